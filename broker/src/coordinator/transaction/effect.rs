//! What the transaction coordinator wants done. Carried out by the runtime, in the order given.

use super::event::ProducerIdAndEpoch;
use super::metadata::Partitions;
use super::response::Response;
use crate::coordinator::effect::{CoordinatorRecord, Ticket, WaiterId};

/// One thing to do.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Effect {
    /// Append these records to a partition of `__transaction_state`, all or none, after earlier appends to it; make them
    /// durable and report with `Event::AppendOutcome`.
    Append {
        /// Partition of `__transaction_state`.
        partition: i32,
        /// What to write.
        records: Vec<CoordinatorRecord>,
        /// Returned with the outcome.
        ticket: Ticket,
    },
    /// Answer a client.
    Respond {
        /// The client.
        waiter: WaiterId,
        /// The answer.
        response: Response,
    },
    /// End a transaction in its partitions: append the marker to each, make them durable, settle the group offsets in it, and
    /// report with `Event::MarkersWritten`. Writing a marker a second time is harmless.
    WriteMarkers {
        /// Returned with the outcome.
        ticket: Ticket,
        /// What to write where.
        markers: Markers,
    },
    /// Reserve a producer id that was never given before; report with `Event::ProducerIdAllocated`. What is appended after
    /// that report must not become durable before the reservation is.
    AllocateProducerId {
        /// Returned with the outcome.
        ticket: Ticket,
    },
    /// The state of a partition was thrown away because an append failed. Once no append to it is under way any more, read
    /// it again: `Event::LoadRecord` for each record, then `Event::LoadFinished`.
    Reload {
        /// Partition of `__transaction_state`.
        partition: i32,
    },
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
