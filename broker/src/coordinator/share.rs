//! The share coordinator: what share groups have of the partitions that they read (KIP-932), for all partitions of
//! `__share_group_state`.
//!
//! A pure value in the verbs of the other coordinators. Kafka has two parts for this: the `SharePartition`s of a partition's
//! leader decide who gets which record, a share coordinator keeps what they say. One process is both here.
//!
//! ```text
//!   API handlers --Request----> +------------------+ --Respond---> API handlers
//!   log reader ---LoadRecord--> | ShareCoordinator | --Append----> log --AppendOutcome--> (back in)
//!   timer ----handle_timeout--> |                  | --Available-> fetches that wait
//!                               +------------------+ --Reload----> log reader
//! ```
//!
//! The life of one offset:
//!
//! ```text
//!                  fetch                accept
//!   (never had) ---------> Acquired ------------------> Acknowledged
//!                 +------>    |  ^   reject, gap,
//!          fetch  |           |  |   release after too many deliveries
//!                 |           +--|------------------------------> Archived
//!             Available <-----+  +-- renew                           ^
//!                 |   release, lock over, member gone                |
//!                 +------- the log lets go of it --------------------+
//! ```
//!
//! The start moves over what is Acknowledged or Archived. That a record is acquired is never written: after a crash it is
//! available again, delivered as often as it was last written.
//!
//! State is applied first and answered later, as in the other coordinators: an acknowledgement is answered when it is
//! durable; if the write fails, the state of that partition of the topic is dropped and read again from the log.
//!
//! Behaviour is Kafka 4.3's `SharePartition`, `SharePartitionManager` and `ShareCoordinatorShard`. Where it differs on
//! purpose: records that the log let go of are done with at once.
//!
//! **Invariants:** every waiter is answered exactly once. No two members hold an offset. What was acknowledged is never
//! delivered again, and no offset is passed over that was not.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Instant;

use protocol::ErrorCode;

use self::acquire::Taker;
use self::effect::Outbox;
use self::partition::{Logged, SharePartition};
use self::records::{DeliveryState, StateBatch};
use super::deadlines::Deadlines;
use super::effect::{Ticket, WaiterId};
use super::{base64_id, partition_for, wire};

mod acknowledge;
mod acquire;
mod config;
mod effect;
mod event;
mod in_flight;
mod load;
mod partition;
mod records;
mod response;

#[cfg(test)]
mod tests;

pub use self::config::ShareConfig;
pub use self::effect::{Effect, Work};
pub use self::event::{
    Acknowledge, AcknowledgeBatch, AcknowledgeKind, Acquire, AcquireMode, Event, Fetched, Key, Limits,
    LogState, Positions, Request, ShareEvent,
};
pub use self::response::{Acquired, Position, Refusal, Response, Summary};

/// To a group that never read the partition.
const UNKNOWN_PARTITION: Refusal =
    Refusal::new(ErrorCode::UnknownTopicOrPartition, "This server does not host this topic-partition.");

/// All share partitions of this broker.
#[derive(Debug)]
pub struct ShareCoordinator {
    config: ShareConfig,
    shards: Vec<Shard>,
    /// When the next lock of a share partition may end.
    timers: Deadlines<Key>,
    outbox: Outbox,
    /// The wall clock, as last told.
    clock: (Instant, i64),
}

/// The share partitions of one partition of `__share_group_state`.
#[derive(Debug, Default)]
struct Shard {
    loaded: bool,
    partitions: HashMap<Key, SharePartition>,
    /// Records in the log that may matter.
    records: u64,
}

impl ShareCoordinator {
    /// A coordinator whose partitions are all still to be loaded. `epoch_ms` is the wall clock at `now`.
    #[must_use]
    pub fn new(config: ShareConfig, now: Instant, epoch_ms: i64) -> Self {
        let shards = (0..config.partitions).map(|_| Shard::default()).collect();
        Self {
            config,
            shards,
            timers: Deadlines::default(),
            outbox: Outbox::default(),
            clock: (now, epoch_ms),
        }
    }

    /// Takes in what happened at `now`. Take the effects afterwards.
    pub fn handle(&mut self, now: Instant, event: Event) {
        match event {
            Event::Request { waiter, request } => self.request(now, waiter, request),
            Event::LoadRecord { partition, key, value } => {
                self.load_record(partition, &key, value.as_deref());
            }
            Event::LoadFinished { partition } => self.load_finished(partition),
            Event::AppendOutcome { ticket, result } => self.append_outcome(now, ticket, result),
            Event::WallClock { epoch_ms } => self.clock = (now, epoch_ms),
            Event::Own(nothing) => match nothing {},
        }
    }

    /// Ends the locks that are over at `now`. A call that comes too early is harmless.
    pub fn handle_timeout(&mut self, now: Instant) {
        while let Some(key) = self.timers.pop_due(now) {
            let changed = self.partition(&key).map(|found| found.locks_end(now)).unwrap_or_default();
            self.write(now, &key, &changed);
            self.told_of(&key, &changed);
            self.arm(&key);
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

    fn request(&mut self, now: Instant, waiter: WaiterId, request: Request) {
        if let Err(error) = request.key().map_or(Ok(()), |key| self.admit(key)) {
            return self.outbox.respond(waiter, Response::failed(&request, error));
        }
        match request {
            Request::Positions(asked) => {
                let positions = self.positions(now, &asked);
                self.outbox.respond(waiter, Response::Positions(positions));
            }
            Request::Acquire(acquire) => {
                let acquired = self.acquire(now, &acquire);
                self.outbox.respond(waiter, Response::Acquired(acquired));
            }
            Request::Summary { key } => {
                let found = self.partition(&key);
                let (last_append, summary) = found.map(|found| (found.last_append, found.summary())).unzip();
                self.outbox.respond_after(last_append.flatten(), waiter, Response::Summary(Ok(summary)));
            }
            Request::Start { key, offset } => {
                let found = self.partition(&key).ok_or(ErrorCode::UnknownServerError);
                let done = found.map(|found| found.start = found.start.or(Some(offset)));
                self.outbox.respond(waiter, Response::Done(done));
            }
            Request::Initialize { key, state_epoch, start_offset } => {
                let written = self.initialize(now, &key, state_epoch, start_offset);
                self.done(waiter, written);
            }
            Request::Delete { key } => {
                let written = self.delete(&key);
                self.done(waiter, Ok(written));
            }
            Request::DeleteTopic { topic } => {
                let keys = self.shards.iter().flat_map(|shard| shard.partitions.keys());
                let keys: Vec<Key> = keys.filter(|key| key.topic == topic).cloned().collect();
                for key in keys {
                    self.delete(&key);
                }
                self.outbox.respond(waiter, Response::Done(Ok(())));
            }
            Request::Acknowledge(acknowledge) => match self.acknowledge(now, &acknowledge) {
                Ok(ticket) => {
                    self.outbox.respond_after(ticket, waiter, Response::Acknowledged(Ok(())));
                }
                Err(refusal) => self.outbox.respond(waiter, Response::Acknowledged(Err(refusal))),
            },
            Request::Release { key, member, limits } => {
                let changed = self.partition(&key).map(|found| {
                    found.delivery_limit = limits.deliveries;
                    found.release(&member)
                });
                let changed = changed.unwrap_or_default();
                let written = self.write(now, &key, &changed);
                self.told_of(&key, &changed);
                self.done(waiter, Ok(written));
            }
        }
    }

    /// Answers once what was written is durable.
    fn done(&mut self, waiter: WaiterId, written: Result<Option<Ticket>, ErrorCode>) {
        match written {
            Ok(ticket) => self.outbox.respond_after(ticket, waiter, Response::Done(Ok(()))),
            Err(error) => self.outbox.respond(waiter, Response::Done(Err(error))),
        }
    }

    fn admit(&self, key: &Key) -> Result<(), ErrorCode> {
        if key.group.len() > wire::MAX_RECORD_STRING || key.partition < 0 {
            return Err(ErrorCode::InvalidRequest);
        }
        match usize::try_from(self.partition_of(key)).ok().and_then(|index| self.shards.get(index)) {
            None => Err(ErrorCode::CoordinatorNotAvailable),
            Some(shard) if !shard.loaded => Err(ErrorCode::CoordinatorLoadInProgress),
            Some(_) => Ok(()),
        }
    }

    fn positions(&mut self, now: Instant, asked: &Positions) -> Vec<Result<Position, ErrorCode>> {
        let positions = asked.partitions.iter().map(|log| {
            let key = Key { group: Arc::clone(&asked.group), topic: log.topic, partition: log.partition };
            self.admit(&key)?;
            let found = self.partition(&key).ok_or(ErrorCode::UnknownServerError)?;
            found.delivery_limit = asked.limits.deliveries;
            found.log_starts(log.log_start);
            let position = found.position(asked.limits.in_flight);
            if found.logged.leader_epoch != log.leader_epoch {
                found.logged.leader_epoch = log.leader_epoch;
                self.append_update(now, &key, &[]);
            }
            Ok(position)
        });
        positions.collect()
    }

    fn acquire(&mut self, now: Instant, acquire: &Acquire) -> Vec<Result<Vec<Acquired>, ErrorCode>> {
        let mut left = acquire.max_records;
        let taker = Taker {
            member: Arc::clone(&acquire.member),
            until: now + acquire.limits.lock,
            limits: acquire.limits,
            mode: acquire.mode,
            batch_size: acquire.batch_size,
        };
        let mut all = Vec::with_capacity(acquire.partitions.len());
        for fetched in &acquire.partitions {
            let (topic, partition) = (fetched.topic, fetched.partition);
            let key = Key { group: Arc::clone(&acquire.group), topic, partition };
            let acquired = self.admit(&key).and_then(|()| {
                let found = self.partition(&key).ok_or(ErrorCode::UnknownServerError)?;
                found.delivery_limit = acquire.limits.deliveries;
                let acquired = found.acquire(fetched, &taker, left);
                self.arm(&key);
                Ok(acquired)
            });
            let taken: i64 = acquired.iter().flatten().map(|piece| piece.last - piece.first + 1).sum();
            left -= taken;
            all.push(acquired);
        }
        all
    }

    fn acknowledge(&mut self, now: Instant, acknowledge: &Acknowledge) -> Result<Option<Ticket>, Refusal> {
        let Acknowledge { key, member, limits, batches } = acknowledge;
        let found = self.partition(key).ok_or(UNKNOWN_PARTITION)?;
        found.delivery_limit = limits.deliveries;
        let was_full = found.position(limits.in_flight) == Position::Full;
        let changed = found.acknowledge(now, member, batches, *limits)?;
        let written = self.write(now, key, &changed);
        if was_full || changed.iter().any(|batch| batch.state == DeliveryState::Available) {
            self.told_of(key, &changed);
        }
        Ok(written)
    }

    fn initialize(
        &mut self,
        now: Instant,
        key: &Key,
        state_epoch: i32,
        start_offset: i64,
    ) -> Result<Option<Ticket>, ErrorCode> {
        let before = self.partition(key).map(|found| found.logged);
        if before.is_some_and(|before| before.state_epoch > state_epoch) {
            return Err(ErrorCode::FencedStateEpoch);
        }
        let snapshot_epoch = before.map_or(0, |before| before.snapshot_epoch.wrapping_add(1));
        let is_same = start_offset < 0 && before.is_some_and(|before| before.state_epoch == state_epoch);
        if is_same {
            return Ok(None);
        }
        let logged = Logged {
            snapshot_epoch,
            state_epoch,
            leader_epoch: 0,
            start_offset: start_offset.max(-1),
            delivery_complete_count: if start_offset < 0 { -1 } else { 0 },
            updates: 0,
        };
        let record = records::snapshot(key, &logged, self.wall_clock_ms(now), &[]);
        let partition = self.partition_of(key);
        let limit = self.config.delivery_limit;
        self.timers.cancel(key.clone());
        let ticket = self.outbox.append(partition, vec![record], None);
        let mut fresh = SharePartition::new(logged, limit);
        fresh.last_append = Some(ticket);
        if let Some(shard) = self.shard_mut(partition) {
            shard.records += 1;
            shard.partitions.insert(key.clone(), fresh);
        }
        Ok(Some(ticket))
    }

    fn delete(&mut self, key: &Key) -> Option<Ticket> {
        let partition = self.partition_of(key);
        let shard = self.shard_mut(partition).filter(|shard| shard.loaded)?;
        shard.partitions.remove(key)?;
        shard.records += 1;
        self.timers.cancel(key.clone());
        Some(self.outbox.append(partition, vec![records::tombstone(key)], None))
    }

    /// Writes what changed, if anything did, and moves the start. As in Kafka the start in the record is the one before that.
    fn write(&mut self, now: Instant, key: &Key, changed: &[StateBatch]) -> Option<Ticket> {
        if changed.is_empty() {
            return None;
        }
        let found = self.partition(key)?;
        found.logged.start_offset = found.start.unwrap_or(-1);
        found.logged.delivery_complete_count = found.delivery_complete_count();
        let written = self.append_update(now, key, changed);
        if let Some(found) = self.partition(key) {
            found.advance();
        }
        written
    }

    /// Writes an update, or a snapshot when there were many.
    fn append_update(&mut self, now: Instant, key: &Key, changed: &[StateBatch]) -> Option<Ticket> {
        let (now_ms, most) = (self.wall_clock_ms(now), self.config.updates_per_snapshot);
        let partition = self.partition_of(key);
        let Self { shards, outbox, .. } = self;
        let shard = shards.get_mut(usize::try_from(partition).ok()?)?;
        shard.records += 1;
        let found = shard.partitions.get_mut(key)?;
        let record = if found.logged.updates >= most {
            found.snapshot(key, now_ms)
        } else {
            found.logged.updates += 1;
            records::update(key, &found.logged, changed)
        };
        found.last_append = Some(outbox.append(partition, vec![record], None));
        found.last_append
    }

    /// Somebody may wait for records that can be had again, or for room.
    fn told_of(&mut self, key: &Key, changed: &[StateBatch]) {
        if !changed.is_empty() {
            let (topic, partition) = (key.topic, key.partition);
            self.outbox.work_untold(Work::Available { topic, partition });
        }
    }

    fn arm(&mut self, key: &Key) {
        if let Some(at) = self.partition(key).and_then(|found| found.next_lock_end) {
            self.timers.set(key.clone(), at);
        }
    }

    fn partition_of(&self, key: &Key) -> i32 {
        let topic = base64_id(key.topic);
        partition_for(&format!("{}:{topic}:{}", key.group, key.partition), self.config.partitions)
    }

    fn partition(&mut self, key: &Key) -> Option<&mut SharePartition> {
        let partition = self.partition_of(key);
        self.shard_mut(partition)?.partitions.get_mut(key)
    }

    fn shard_mut(&mut self, partition: i32) -> Option<&mut Shard> {
        self.shards.get_mut(usize::try_from(partition).ok()?)
    }

    fn wall_clock_ms(&self, now: Instant) -> i64 {
        let since = now.saturating_duration_since(self.clock.0).as_millis();
        self.clock.1.saturating_add(i64::try_from(since).unwrap_or(i64::MAX))
    }
}

impl Request {
    /// The share partition that it is about, if it is about one.
    fn key(&self) -> Option<&Key> {
        match self {
            Self::Initialize { key, .. }
            | Self::Summary { key }
            | Self::Delete { key }
            | Self::Start { key, .. }
            | Self::Release { key, .. } => Some(key),
            Self::Acknowledge(acknowledge) => Some(&acknowledge.key),
            Self::DeleteTopic { .. } | Self::Positions(_) | Self::Acquire(_) => None,
        }
    }
}
