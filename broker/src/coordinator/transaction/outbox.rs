//! Effects on their way out, and what waits for the runtime: answers for a write to become durable, a transaction for its
//! `Prepare*` record, markers for their partitions, requests for a producer id.
//!
//! **Invariant:** every waiter handed in leaves exactly once, when its append is settled at the latest.

use std::collections::BTreeMap;
use std::sync::Arc;

use protocol::ErrorCode;

use super::effect::{Effect, Markers};
use super::event::Request;
use super::response::Response;
use crate::coordinator::effect::{CoordinatorRecord, Ticket, WaiterId};

/// What waits for a producer id.
#[derive(Debug)]
pub(super) enum Pending {
    Request(WaiterId, Request),
    Timeout(Arc<str>),
}

/// Work under way and effects not yet taken.
#[derive(Debug, Default)]
pub(super) struct Outbox {
    effects: Vec<Effect>,
    appends: BTreeMap<Ticket, Write>,
    markers: BTreeMap<Ticket, Arc<str>>,
    allocating: BTreeMap<Ticket, Pending>,
    next_ticket: u64,
}

#[derive(Debug)]
struct Write {
    partition: i32,
    /// The id whose markers follow once this is durable.
    prepared: Option<Arc<str>>,
    parked: Vec<(WaiterId, Response)>,
}

impl Outbox {
    pub(super) fn take(&mut self) -> Vec<Effect> {
        std::mem::take(&mut self.effects)
    }

    fn ticket(&mut self) -> Ticket {
        self.next_ticket += 1;
        Ticket(self.next_ticket)
    }

    /// `prepared` is told back by `settle`.
    pub(super) fn append(
        &mut self,
        partition: i32,
        record: CoordinatorRecord,
        prepared: Option<Arc<str>>,
    ) -> Ticket {
        let ticket = self.ticket();
        self.appends.insert(ticket, Write { partition, prepared, parked: Vec::new() });
        self.effects.push(Effect::Append { partition, records: vec![record], ticket });
        ticket
    }

    pub(super) fn write_markers(&mut self, id: Arc<str>, markers: Markers) -> Ticket {
        let ticket = self.ticket();
        self.markers.insert(ticket, id);
        self.effects.push(Effect::WriteMarkers { ticket, markers });
        ticket
    }

    /// The id whose markers these were.
    pub(super) fn take_markers(&mut self, ticket: Ticket) -> Option<Arc<str>> {
        self.markers.remove(&ticket)
    }

    pub(super) fn allocate(&mut self, pending: Pending) {
        let ticket = self.ticket();
        self.allocating.insert(ticket, pending);
        self.effects.push(Effect::AllocateProducerId { ticket });
    }

    pub(super) fn take_allocating(&mut self, ticket: Ticket) -> Option<Pending> {
        self.allocating.remove(&ticket)
    }

    pub(super) fn respond(&mut self, waiter: WaiterId, response: Response) {
        self.effects.push(Effect::Respond { waiter, response });
    }

    /// Answers once the append is durable: at once if it is already, or if there was none.
    pub(super) fn respond_after(&mut self, append: Option<Ticket>, waiter: WaiterId, response: Response) {
        match append.and_then(|ticket| self.appends.get_mut(&ticket)) {
            Some(write) => write.parked.push((waiter, response)),
            None => self.respond(waiter, response),
        }
    }

    /// The append is durable: its answers leave. Returns the id whose markers follow.
    pub(super) fn settle(&mut self, ticket: Ticket) -> Option<Arc<str>> {
        let write = self.appends.remove(&ticket)?;
        for (waiter, response) in write.parked {
            self.respond(waiter, response);
        }
        write.prepared
    }

    /// The partition of an append under way.
    pub(super) fn partition_of(&self, ticket: Ticket) -> Option<i32> {
        self.appends.get(&ticket).map(|write| write.partition)
    }

    /// Gives up every append of the partition: each parked answer leaves as this error. Outcomes still to come for these
    /// tickets find nothing.
    pub(super) fn fail_partition(&mut self, partition: i32, error: ErrorCode) {
        let failed = self.appends.extract_if(.., |_, write| write.partition == partition);
        for (waiter, response) in failed.flat_map(|(_, write)| write.parked) {
            let response = response.into_failed(error);
            self.effects.push(Effect::Respond { waiter, response });
        }
    }

    pub(super) fn reload(&mut self, partition: i32) {
        self.effects.push(Effect::Reload { partition });
    }
}
