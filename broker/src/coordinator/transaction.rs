//! The transaction coordinator: transactional ids, their producers' epochs and their transactions, for all partitions of
//! `__transaction_state`.
//!
//! A pure value in the verbs of the group coordinator. The runtime hands it events and the time and carries out its effects:
//!
//! ```text
//!   API handlers --Request----> +------------------------+ --Respond-----------> API handlers
//!   log reader ---LoadRecord--> | TransactionCoordinator | --Append------------> log --AppendOutcome--> (back in)
//!   timer ----handle_timeout--> |                        | --WriteMarkers------> partitions --MarkersWritten--> (back in)
//!                               |                        | --AllocateProducerId> log --ProducerIdAllocated--> (back in)
//!                               +------------------------+ --Reload------------> log reader
//! ```
//!
//! The life of one transactional id; every arrow is one record of `__transaction_state`:
//!
//! ```text
//!                  InitProducerId (epoch + 1, or a new producer id once epochs run out)
//!                      +-----------------<-------------------------------+
//!                      v                                                 |
//!  (nothing) ------> Empty --add partitions--> Ongoing <--add-- CompleteCommit, CompleteAbort
//!                      |                        |  |                     ^            |
//!                      |        EndTxn commit --+  +-- EndTxn abort,     |            | EndTxn v5 abort
//!                      |              |                timeout, fencing  |            | (nothing was added)
//!                      |              v                    v             |            |
//!                      |        PrepareCommit        PrepareAbort <------|------------+
//!                      |              |                  ^ |             |
//!                      +--------------|------------------+ |             |
//!            EndTxn v5 abort          +--- every marker ---+-------------+
//!                                          is durable
//!  Empty, CompleteCommit, CompleteAbort --unused for transactional.id.expiration.ms--> (nothing; a tombstone)
//! ```
//!
//! From `Prepare*` on the outcome is decided: once that record is durable the markers are written, again and again until
//! every partition has its marker, also by the next process when this one dies in between. Fencing (an InitProducerId while a
//! transaction is open, or its timeout) bumps the epoch and goes to `PrepareAbort` in one record, so Kafka's
//! `PrepareEpochFence` exists as a name only; nor is `Dead` ever seen, for the id is forgotten when its tombstone is appended.
//!
//! Protocol versions (KIP-890): with `TransactionVersion::V2` ending a transaction bumps the epoch, so that a late batch of it
//! can never join the next one, and EndTxn's retry is told by its epoch, one behind ours. Before, the epoch stays.
//!
//! State is applied first and answered later, as in the group coordinator: an answer that tells of something written leaves
//! when the write is durable; if the write fails, the partition's state is dropped and read again from the log.
//!
//! Behaviour is Kafka 4.3's `TransactionCoordinator`, `TransactionMetadata` and `TransactionStateManager`. Where it differs on
//! purpose: a request that comes while an earlier one's record is being written is judged by the new state and waits with it,
//! where Kafka answers CONCURRENT_TRANSACTIONS; partitions that a produce request adds while the previous transaction is
//! completing wait for that a moment (Kafka's broker retries); transactional ids are bounded (`TransactionConfig`).
//!
//! **Invariants:** every waiter is answered exactly once. No marker is written before its `Prepare*` record is durable, and no
//! `Complete*` record before all its markers are.

use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;
use std::time::Instant;

use protocol::ErrorCode;

use self::effect::{Outbox, Pending};
use self::metadata::Metadata;
use self::timers::{Timer, Timers};
use self::turn::{Transaction, Turn};
use super::{partition_for, wire};

mod add;
mod admin;
mod completion;
mod config;
mod effect;
mod end;
mod event;
mod expiry;
mod init;
mod load;
mod metadata;
mod records;
mod response;
mod timers;
mod turn;

#[cfg(test)]
mod tests;

pub use self::config::TransactionConfig;
pub use self::effect::{Effect, Markers, Work};
pub use self::event::{
    AddPartitions, EndTransaction, Event, InitProducerId, ListTransactions, ProducerIdAndEpoch, Request,
    TransactionEvent, TransactionVersion, VerifyPartitions,
};
pub use self::metadata::{Partitions, TransactionState};
pub use self::response::{DescribedTransaction, ListedTransaction, Response};
pub use super::effect::{CoordinatorRecord, Ticket, WaiterId};

/// All transactional ids of this broker.
#[derive(Debug)]
pub struct TransactionCoordinator {
    config: TransactionConfig,
    shards: Vec<Shard>,
    /// Transactional ids in loaded shards.
    ids: usize,
    timers: Timers,
    outbox: Outbox,
    clock: WallClock,
    /// Sweeps for timeouts happen at whole intervals after this.
    started: Instant,
}

/// The transactional ids of one partition of `__transaction_state`.
#[derive(Debug, Default)]
struct Shard {
    loaded: bool,
    transactions: HashMap<Arc<str>, Transaction>,
    /// While it is being loaded: what the log says of each id.
    loading: BTreeMap<String, Metadata>,
}

/// The wall clock, as last told.
#[derive(Debug)]
struct WallClock {
    at: Instant,
    epoch_ms: i64,
}

impl TransactionCoordinator {
    /// A coordinator whose partitions are all still to be loaded. `epoch_ms` is the wall clock at `now`.
    #[must_use]
    pub fn new(config: TransactionConfig, now: Instant, epoch_ms: i64) -> Self {
        let shards = (0..config.partitions).map(|_| Shard::default()).collect();
        let clock = WallClock { at: now, epoch_ms };
        let (timers, outbox) = (Timers::default(), Outbox::default());
        Self { config, shards, ids: 0, timers, outbox, clock, started: now }
    }

    /// Takes in what happened at `now`. Take the effects afterwards.
    pub fn handle(&mut self, now: Instant, event: Event) {
        match event {
            Event::Request { waiter, request } => self.request(now, waiter, request, None),
            Event::LoadRecord { partition, key, value } => {
                self.load_record(partition, &key, value.as_deref());
            }
            Event::LoadFinished { partition } => self.load_finished(now, partition),
            Event::AppendOutcome { ticket, result } => self.append_outcome(now, ticket, result),
            Event::WallClock { epoch_ms } => self.clock = WallClock { at: now, epoch_ms },
            Event::Own(TransactionEvent::ProducerIdAllocated { ticket, result }) => {
                self.producer_id_allocated(now, ticket, result);
            }
            Event::Own(TransactionEvent::MarkersWritten { ticket, failed }) => {
                self.markers_written(now, ticket, failed);
            }
        }
    }

    /// Does what is due at `now`. A call that comes too early is harmless.
    pub fn handle_timeout(&mut self, now: Instant) {
        while let Some(timer) = self.timers.pop_due(now) {
            match timer {
                Timer::Timeout { id } => self.timeout_due(now, &id, None),
                Timer::Expiration { id } => self.expiration_due(now, &id),
                Timer::Markers { id } => self.on(now, &id, |turn| turn.write_markers()),
                Timer::Patience { id } => self.on(now, &id, |turn| turn.patience_ends()),
            }
        }
    }

    /// When `handle_timeout` is due next, if ever. Ask again after every call.
    #[must_use]
    pub fn next_timeout(&self) -> Option<Instant> {
        self.timers.next()
    }

    /// What is to be done now, in this order.
    pub fn take_effects(&mut self) -> Vec<Effect> {
        self.outbox.take()
    }

    /// `fresh` is a producer id that nobody has, allocated because an earlier try asked for one.
    fn request(&mut self, now: Instant, waiter: WaiterId, request: Request, fresh: Option<i64>) {
        if let Request::List(list) = &request {
            let listed = self.list(now, list);
            return self.outbox.respond(waiter, Response::List(listed));
        }
        if let Err(error) = self.admit(&request) {
            return self.outbox.respond(waiter, Response::failed(&request, error));
        }
        if !self.contains(request.transactional_id()) {
            let Request::InitProducerId(_) = request else {
                let error = match request {
                    Request::Describe { .. } => ErrorCode::TransactionalIdNotFound,
                    _ => ErrorCode::InvalidProducerIdMapping,
                };
                return self.outbox.respond(waiter, Response::failed(&request, error));
            };
            match fresh {
                None => return self.outbox.allocate(Pending::Request(waiter, request)),
                Some(producer_id) => {
                    if let Err(error) = self.create(request.transactional_id(), producer_id) {
                        return self.outbox.respond(waiter, Response::failed(&request, error));
                    }
                }
            }
        }
        let id: Arc<str> = request.transactional_id().into();
        self.on(now, &id, |turn| turn.request(waiter, request, fresh));
    }

    /// What can be said of a request without looking at its transactional id's state.
    fn admit(&self, request: &Request) -> Result<(), ErrorCode> {
        let id = request.transactional_id();
        if id.is_empty() || id.len() > wire::MAX_RECORD_STRING {
            return Err(ErrorCode::InvalidRequest);
        }
        if let Request::InitProducerId(init) = request
            && !(1..=self.config.max_timeout_ms).contains(&init.timeout_ms)
        {
            return Err(ErrorCode::InvalidTransactionTimeout);
        }
        match self.shard_of(id) {
            None => Err(ErrorCode::NotCoordinator),
            Some(shard) if !shard.loaded => Err(ErrorCode::CoordinatorLoadInProgress),
            Some(_) => Ok(()),
        }
    }

    fn producer_id_allocated(&mut self, now: Instant, ticket: Ticket, result: Result<i64, ErrorCode>) {
        let Some(pending) = self.outbox.take_note(ticket) else { return };
        match (pending, result) {
            (Pending::Request(waiter, request), Ok(fresh)) => self.request(now, waiter, request, Some(fresh)),
            (Pending::Request(waiter, request), Err(error)) => {
                self.outbox.respond(waiter, Response::failed(&request, error));
            }
            (Pending::Timeout(id), Ok(fresh)) => self.timeout_due(now, &id, Some(fresh)),
            (Pending::Decided(id), _) => unreachable!("{id} asked for markers, not for a producer id"),
            // The transaction stays open; the next sweep tries again.
            (Pending::Timeout(id), Err(_)) => self.on(now, &id, |turn| turn.arm_timers()),
        }
    }

    /// Work on an id, if it exists.
    fn on(&mut self, now: Instant, id: &str, work: impl FnOnce(&mut Turn<'_>)) {
        let partition = partition_for(id, self.config.partitions);
        let wall_clock_ms = self.wall_clock_ms(now);
        let Self { config, shards, timers, outbox, started, .. } = self;
        let shard = usize::try_from(partition).ok().and_then(|index| shards.get_mut(index));
        let Some(transaction) = shard.and_then(|shard| shard.transactions.get_mut(id)) else { return };
        let started = *started;
        work(&mut Turn { now, wall_clock_ms, started, partition, config, timers, outbox, transaction });
    }

    fn shard_of(&self, id: &str) -> Option<&Shard> {
        let partition = partition_for(id, self.config.partitions);
        self.shards.get(usize::try_from(partition).ok()?)
    }

    fn shard_mut(&mut self, partition: i32) -> Option<&mut Shard> {
        self.shards.get_mut(usize::try_from(partition).ok()?)
    }

    fn contains(&self, id: &str) -> bool {
        self.shard_of(id).is_some_and(|shard| shard.transactions.contains_key(id))
    }

    fn create(&mut self, id: &str, producer_id: i64) -> Result<(), ErrorCode> {
        if self.ids >= self.config.max_ids {
            return Err(ErrorCode::PolicyViolation);
        }
        let partition = partition_for(id, self.config.partitions);
        let shard = self.shard_mut(partition).ok_or(ErrorCode::NotCoordinator)?;
        let id: Arc<str> = id.into();
        shard.transactions.insert(id.clone(), Transaction::new(id, Metadata::new(producer_id)));
        self.ids += 1;
        Ok(())
    }

    /// Removes an id that the log no longer knows.
    fn forget(&mut self, id: &Arc<str>) {
        let partition = partition_for(id, self.config.partitions);
        let removed = self.shard_mut(partition).and_then(|shard| shard.transactions.remove(id));
        if removed.is_some() {
            self.ids -= 1;
            self.timers.cancel_all(id);
        }
    }

    fn wall_clock_ms(&self, now: Instant) -> i64 {
        let since = now.saturating_duration_since(self.clock.at).as_millis();
        self.clock.epoch_ms.saturating_add(i64::try_from(since).unwrap_or(i64::MAX))
    }
}
