//! One event's work on one transactional id: the id and the few things around it that its rules touch.
//!
//! The rules themselves are in the neighbouring rooms (`init`, `add`, `end`, `completion`, `expiry`, `admin`), each an
//! `impl Turn`. Here is what they share: going to the next state, answering, arming timers.

use std::sync::Arc;
use std::time::{Duration, Instant};

use protocol::ErrorCode;

use super::config::TransactionConfig;
use super::effect::{Outbox, Pending};
use super::event::Request;
use super::metadata::{Metadata, TransactionState};
use super::records;
use super::response::Response;
use super::timers::{Timer, Timers};
use crate::coordinator::effect::{Ticket, WaiterId};

/// A transactional id.
#[derive(Debug)]
pub(super) struct Transaction {
    pub(super) id: Arc<str>,
    pub(super) metadata: Metadata,
    /// Its newest record, durable or not.
    pub(super) last_append: Option<Ticket>,
    /// Markers under way.
    pub(super) markers: Option<Ticket>,
    /// Requests that wait for the transaction to complete.
    pub(super) waiting: Vec<(WaiterId, Request)>,
}

impl Transaction {
    pub(super) const fn new(id: Arc<str>, metadata: Metadata) -> Self {
        Self { id, metadata, last_append: None, markers: None, waiting: Vec::new() }
    }
}

/// A transactional id being worked on.
pub(super) struct Turn<'a> {
    pub(super) now: Instant,
    pub(super) wall_clock_ms: i64,
    pub(super) started: Instant,
    pub(super) partition: i32,
    pub(super) config: &'a TransactionConfig,
    pub(super) timers: &'a mut Timers,
    pub(super) outbox: &'a mut Outbox,
    pub(super) transaction: &'a mut Transaction,
}

impl Turn<'_> {
    pub(super) fn request(&mut self, waiter: WaiterId, request: Request, fresh: Option<i64>) {
        match request {
            Request::InitProducerId(init) => self.init_producer_id(waiter, init, fresh),
            Request::AddPartitions(add) => self.add_partitions(waiter, add),
            Request::VerifyPartitions(verify) => self.verify_partitions(waiter, &verify),
            Request::EndTransaction(end) => self.end_transaction(waiter, end, fresh),
            Request::Describe { .. } => self.describe(waiter),
            Request::List(_) => unreachable!("a list is not about one id"),
        }
    }

    /// Goes to the next state and writes it. Nothing changes when the record is too large.
    pub(super) fn transit(&mut self, next: Metadata) -> Result<(), ErrorCode> {
        let (from, to) = (self.transaction.metadata.state, next.state);
        assert!(from.may_become(to), "{} goes from {from:?} to {to:?}", self.transaction.id);
        let record = records::transaction(&self.transaction.id, Some(&next));
        if record.size() > self.config.max_append_bytes {
            return Err(ErrorCode::UnknownServerError);
        }
        let prepared = to.is_prepared().then(|| Pending::Decided(Arc::clone(&self.transaction.id)));
        self.transaction.last_append = Some(self.outbox.append(self.partition, vec![record], prepared));
        self.transaction.metadata = next;
        self.arm_timers();
        Ok(())
    }

    /// The metadata of the next state, to be changed further.
    pub(super) fn next(&self, state: TransactionState) -> Metadata {
        let current = &self.transaction.metadata;
        Metadata {
            state,
            previous_producer_id: current.producer.producer_id,
            last_update_ms: self.wall_clock_ms,
            ..current.clone()
        }
    }

    pub(super) fn respond(&mut self, waiter: WaiterId, response: Response) {
        self.outbox.respond(waiter, response);
    }

    /// Answers once everything that is known of the id is durable.
    pub(super) fn respond_when_durable(&mut self, waiter: WaiterId, response: Response) {
        self.outbox.respond_after(self.transaction.last_append, waiter, response);
    }

    /// Arms what the current state can run into.
    pub(super) fn arm_timers(&mut self) {
        let id = || Arc::clone(&self.transaction.id);
        let (timeout, expiration) = (Timer::Timeout { id: id() }, Timer::Expiration { id: id() });
        let state = self.transaction.metadata.state;
        if state == TransactionState::Ongoing {
            let due = self.sweep_after(self.times_out_at_ms(), self.config.timeout_check_interval);
            self.timers.set(timeout, due);
        } else {
            self.timers.cancel(timeout);
        }
        if state.is_idle() {
            let due = self.sweep_after(self.expires_at_ms(), self.config.id_expiration_check_interval);
            self.timers.set(expiration, due);
        } else {
            self.timers.cancel(expiration);
        }
    }

    /// The first sweep, after now, at which the wall clock has reached `at_ms`.
    fn sweep_after(&self, at_ms: i64, every: Duration) -> Instant {
        let wait = u64::try_from(at_ms.saturating_sub(self.wall_clock_ms)).unwrap_or(0);
        let since_start = self.now.saturating_duration_since(self.started).as_millis();
        let every = every.as_millis().max(1);
        let sweeps = (since_start + u128::from(wait)).div_ceil(every).max(since_start / every + 1);
        let at = u64::try_from(sweeps.saturating_mul(every)).unwrap_or(u64::MAX);
        // What lies beyond the clock's end is never due; a year is as good.
        let never = Duration::from_hours(24 * 365);
        self.started.checked_add(Duration::from_millis(at)).unwrap_or(self.now + never)
    }
}
