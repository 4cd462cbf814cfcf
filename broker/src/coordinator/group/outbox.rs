//! Effects on their way out, and answers that wait for a write to become durable.
//!
//! State is applied first and answered later: an answer that tells of a write is parked under the ticket of its append.
//! **Invariant:** every waiter handed in leaves exactly once, when its append is settled at the latest.

use std::collections::BTreeMap;

use protocol::ErrorCode;

use super::effect::{CoordinatorRecord, Effect, Ticket, TransactionalContent, WaiterId};
use super::response::Response;
pub(super) use crate::coordinator::effect::append_error;

/// Appends under way and effects not yet taken.
#[derive(Debug, Default)]
pub(super) struct Outbox {
    effects: Vec<Effect>,
    under_way: BTreeMap<Ticket, Write>,
    next_ticket: u64,
}

#[derive(Debug)]
struct Write {
    partition: i32,
    parked: Vec<(WaiterId, Response)>,
}

impl Outbox {
    pub(super) fn take(&mut self) -> Vec<Effect> {
        std::mem::take(&mut self.effects)
    }

    pub(super) fn append(&mut self, partition: i32, records: Vec<CoordinatorRecord>) -> Ticket {
        let ticket = Ticket(self.next_ticket);
        self.next_ticket += 1;
        self.under_way.insert(ticket, Write { partition, parked: Vec::new() });
        self.effects.push(Effect::Append { partition, records, ticket });
        ticket
    }

    /// The response leaves when the append is durable.
    pub(super) fn append_transactional(
        &mut self,
        partition: i32,
        producer: (i64, i16),
        content: TransactionalContent,
        (waiter, response): (WaiterId, Response),
    ) -> Ticket {
        let ticket = Ticket(self.next_ticket);
        self.next_ticket += 1;
        self.under_way.insert(ticket, Write { partition, parked: vec![(waiter, response)] });
        self.effects.push(Effect::AppendTransactional { partition, producer, content, waiter, ticket });
        ticket
    }

    pub(super) fn respond(&mut self, waiter: WaiterId, response: Response) {
        self.effects.push(Effect::Respond { waiter, response });
    }

    /// Answers once the append is durable: at once if it is already, or if there was none.
    pub(super) fn respond_after(&mut self, append: Option<Ticket>, waiter: WaiterId, response: Response) {
        match append.and_then(|ticket| self.under_way.get_mut(&ticket)) {
            Some(write) => write.parked.push((waiter, response)),
            None => self.respond(waiter, response),
        }
    }

    /// The append is durable: its answers leave.
    pub(super) fn settle(&mut self, ticket: Ticket) {
        let Some(write) = self.under_way.remove(&ticket) else { return };
        for (waiter, response) in write.parked {
            self.respond(waiter, response);
        }
    }

    /// The append was refused and changed nothing: its answers leave as this error.
    pub(super) fn fail(&mut self, ticket: Ticket, error: ErrorCode) {
        let Some(write) = self.under_way.remove(&ticket) else { return };
        for (waiter, response) in write.parked {
            self.respond(waiter, response.into_failed(error));
        }
    }

    /// The partition of an append under way.
    pub(super) fn partition_of(&self, ticket: Ticket) -> Option<i32> {
        self.under_way.get(&ticket).map(|write| write.partition)
    }

    /// Gives up every append of the partition: each parked answer leaves as this error. Outcomes still to come for these
    /// tickets find nothing.
    pub(super) fn fail_partition(&mut self, partition: i32, error: ErrorCode) {
        let failed = self.under_way.extract_if(.., |_, write| write.partition == partition);
        for (waiter, response) in failed.flat_map(|(_, write)| write.parked) {
            let response = response.into_failed(error);
            self.effects.push(Effect::Respond { waiter, response });
        }
    }

    pub(super) fn reload(&mut self, partition: i32) {
        self.effects.push(Effect::Reload { partition });
    }
}
