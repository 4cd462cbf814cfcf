//! Effects on their way out, and what waits for the shell: answers for a write to become durable, decisions for the outcome of
//! other work.
//!
//! State is applied first and answered later: an answer that tells of a write is parked under the ticket of its append.
//! **Invariant:** every waiter handed in leaves exactly once, when its append is settled at the latest.

use std::collections::BTreeMap;

use protocol::ErrorCode;

use super::effect::{CoordinatorRecord, Effect, Fails, Ticket, WaiterId};

/// Appends and other work under way, and effects not yet taken. A `Note` tells how to go on once the outcome is known.
#[derive(Debug)]
pub(super) struct Outbox<Response, Work, Note> {
    effects: Vec<Effect<Response, Work>>,
    appends: BTreeMap<Ticket, Append<Response, Note>>,
    work: BTreeMap<Ticket, Note>,
    next_ticket: u64,
}

#[derive(Debug)]
struct Append<Response, Note> {
    partition: i32,
    note: Option<Note>,
    parked: Vec<(WaiterId, Response)>,
}

impl<Response, Work, Note> Default for Outbox<Response, Work, Note> {
    fn default() -> Self {
        Self { effects: Vec::new(), appends: BTreeMap::new(), work: BTreeMap::new(), next_ticket: 0 }
    }
}

impl<Response: Fails, Work, Note> Outbox<Response, Work, Note> {
    pub(super) fn take(&mut self) -> Vec<Effect<Response, Work>> {
        std::mem::take(&mut self.effects)
    }

    fn ticket(&mut self) -> Ticket {
        let ticket = Ticket(self.next_ticket);
        self.next_ticket += 1;
        ticket
    }

    /// `note` is told back by `settle`.
    pub(super) fn append(
        &mut self,
        partition: i32,
        records: Vec<CoordinatorRecord>,
        note: Option<Note>,
    ) -> Ticket {
        let ticket = self.ticket();
        self.appends.insert(ticket, Append { partition, note, parked: Vec::new() });
        self.effects.push(Effect::Append { partition, records, ticket });
        ticket
    }

    /// Work other than an append of records; `note` is told back by `take_note`.
    pub(super) fn work(&mut self, note: Note, work: impl FnOnce(Ticket) -> Work) -> Ticket {
        let ticket = self.ticket();
        self.work.insert(ticket, note);
        self.effects.push(Effect::Work(work(ticket)));
        ticket
    }

    /// Work whose outcome nobody has to know.
    pub(super) fn work_untold(&mut self, work: Work) {
        self.effects.push(Effect::Work(work));
    }

    /// What is to be done now that the outcome of this work is known.
    pub(super) fn take_note(&mut self, ticket: Ticket) -> Option<Note> {
        self.work.remove(&ticket)
    }

    /// The work is an append, too: the response leaves when it is durable.
    pub(super) fn park(&mut self, ticket: Ticket, partition: i32, parked: (WaiterId, Response)) {
        self.appends.insert(ticket, Append { partition, note: None, parked: vec![parked] });
    }

    pub(super) fn respond(&mut self, waiter: WaiterId, response: Response) {
        self.effects.push(Effect::Respond { waiter, response });
    }

    /// Answers once the append is durable: at once if it is already, or if there was none.
    pub(super) fn respond_after(&mut self, append: Option<Ticket>, waiter: WaiterId, response: Response) {
        match append.and_then(|ticket| self.appends.get_mut(&ticket)) {
            Some(append) => append.parked.push((waiter, response)),
            None => self.respond(waiter, response),
        }
    }

    /// The append is durable: its answers leave.
    pub(super) fn settle(&mut self, ticket: Ticket) -> Option<Note> {
        let append = self.appends.remove(&ticket)?;
        for (waiter, response) in append.parked {
            self.respond(waiter, response);
        }
        append.note
    }

    /// The append was refused and changed nothing: its answers leave as this error.
    pub(super) fn fail(&mut self, ticket: Ticket, error: ErrorCode) {
        let failed = self.appends.remove(&ticket);
        for (waiter, response) in failed.into_iter().flat_map(|append| append.parked) {
            self.respond(waiter, response.into_failed(error));
        }
    }

    /// The partition of an append under way.
    pub(super) fn partition_of(&self, ticket: Ticket) -> Option<i32> {
        self.appends.get(&ticket).map(|append| append.partition)
    }

    /// Gives up every append of the partition: each parked answer leaves as this error. Outcomes still to come for these
    /// tickets find nothing.
    pub(super) fn fail_partition(&mut self, partition: i32, error: ErrorCode) {
        let failed = self.appends.extract_if(.., |_, append| append.partition == partition);
        for (waiter, response) in failed.flat_map(|(_, append)| append.parked) {
            let response = response.into_failed(error);
            self.effects.push(Effect::Respond { waiter, response });
        }
    }

    pub(super) fn reload(&mut self, partition: i32) {
        self.effects.push(Effect::Reload { partition });
    }
}
