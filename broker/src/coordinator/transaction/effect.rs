//! What the transaction coordinator wants done. Carried out by its shell, in the order given.

use std::sync::Arc;

use super::event::{ProducerIdAndEpoch, Request};
use super::metadata::Partitions;
use super::response::Response;
use crate::coordinator::effect::{self, Ticket, WaiterId};
use crate::coordinator::outbox;

/// One thing to do.
pub type Effect = effect::Effect<Response, Work>;

/// Effects on their way out.
pub(super) type Outbox = outbox::Outbox<Response, Work, Pending>;

/// What only this coordinator wants done.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Work {
    /// End a transaction in its partitions: append the marker to each, make them durable, settle the group offsets in it, and
    /// report with `TransactionEvent::MarkersWritten`. Writing a marker a second time is harmless.
    WriteMarkers {
        /// Returned with the outcome.
        ticket: Ticket,
        /// What to write where.
        markers: Markers,
    },
    /// Reserve a producer id that was never given before; report with `TransactionEvent::ProducerIdAllocated`. What is
    /// appended after that report must not become durable before the reservation is.
    AllocateProducerId {
        /// Returned with the outcome.
        ticket: Ticket,
    },
}

/// What waits for an outcome.
#[derive(Debug)]
pub(super) enum Pending {
    /// A decided transaction: for its `Prepare*` record to be durable, then for its markers.
    Decided(Arc<str>),
    /// A request for a producer id.
    Request(WaiterId, Request),
    /// A transaction past its timeout for a producer id.
    Timeout(Arc<str>),
}

impl Outbox {
    pub(super) fn allocate(&mut self, pending: Pending) {
        self.work(pending, |ticket| Work::AllocateProducerId { ticket });
    }
}

/// The markers that end one transaction.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Markers {
    /// Partition of `__transaction_state` that decided it; its leader epoch is the coordinator epoch of the markers.
    pub coordinator_partition: i32,
    /// The producer; the epoch is the one from which on it may write again.
    pub producer: ProducerIdAndEpoch,
    /// Commit or abort.
    pub committed: bool,
    /// Where.
    pub partitions: Partitions,
}
