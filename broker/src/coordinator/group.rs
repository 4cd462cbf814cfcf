//! The group coordinator: classic, consumer and share groups and committed offsets, for all partitions of `__consumer_offsets`.
//!
//! A pure value. The runtime hands it events and the time, asks when it wants to be woken, and carries out its effects:
//!
//! ```text
//!   API handlers --Request--> +------------------+ --Respond--> API handlers
//!   log reader ---LoadRecord->| GroupCoordinator | --Append---> log --AppendOutcome--> (back in)
//!   timer ----handle_timeout->+------------------+ --Reload---> log reader
//! ```
//!
//! State is applied first and answered later: an answer that tells of something written leaves when the write is durable. If
//! the write fails, the partition's state is dropped and read again from the log.
//!
//! Behaviour is Kafka 4.3's `GroupMetadataManager` (for consumer groups see `consumer`, for share groups `share`) and `OffsetMetadataManager`. Where it differs on
//! purpose: a join that is refused makes no group; a group is Stable as soon as the leader's assignment is applied, not when
//! it is durable (its answers wait all the same); a member that repeats a parked request gets an answer to both; requests,
//! groups and ids that nobody uses are bounded (`GroupConfig`).
//!
//! **Invariants:** every waiter is answered exactly once. Records of one partition are appended in the order decided.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Instant;

use protocol::ErrorCode;

use self::classic::Group;
use self::consumer::topics::TopicIndex;
use self::effect::Outbox;
use self::timers::{Timer, Timers};
use self::transactions::Transactions;
use self::turn::Turn;
use super::{partition_for, wire};

mod admin;
mod admission;
mod classic;
mod config;
mod consumer;
mod effect;
mod event;
mod join;
mod leave;
mod load;
mod members;
mod observe;
mod offsets;
mod pending;
mod rebalance;
mod rebalances;
mod records;
mod response;
mod retention;
mod share;
mod subscription;
mod sync;
mod timers;
mod transactions;
mod turn;

#[cfg(test)]
mod tests;

pub use self::classic::GroupState;
pub use self::config::{
    ConsumerConfig, ConsumerSettings, GroupConfig, MigrationPolicy, ShareConfig, ShareSettings,
};
pub use self::consumer::assignor::Assignor;
pub use self::consumer::member::Assignment;
pub use self::consumer::topics::TopicInfo;
pub use self::effect::{
    CoordinatorRecord, Effect, Ticket, TransactionalAppend, TransactionalContent, WaiterId,
};
pub use self::event::{
    CompleteTransaction, ConsumerGroupHeartbeat, DescribeGroup, Event, GroupEvent, Heartbeat, JoinGroup,
    LeaveGroup, ListGroups, MemberIdentity, OffsetCommit, OffsetDelete, OffsetFetch, PartitionCommit,
    Protocol, Request, SyncGroup, TxnOffsetCommit,
};
pub use self::observe::{ObservedGroup, ObservedGroups};
pub use self::rebalances::{RebalanceReason, Rebalances};
pub use self::response::{
    ConsumerGroupHeartbeatResponse, DescribedConsumer, DescribedConsumerGroup, DescribedGroup,
    DescribedMember, FetchedOffset, JoinGroupMember, JoinGroupResponse, LeaveGroupResponse, LeftMember,
    ListedGroup, NamedAssignment, OffsetDeleteResponse, OffsetFetchResponse, PartitionErrors, Refusal,
    Response, SyncGroupResponse,
};
pub use self::share::{
    AlteredTopic, AlteringOffsets, DeletingOffsets, DescribedShareGroup, DescribedShareMember, Initialize,
    ShareGroupHeartbeat, ShareGroupHeartbeatResponse, ShareRequest, ShareResponse,
};

/// All groups of this broker.
#[derive(Debug)]
pub struct GroupCoordinator {
    config: GroupConfig,
    shards: Vec<Shard>,
    /// Groups in loaded shards.
    groups: usize,
    topics: TopicIndex,
    timers: Timers,
    outbox: Outbox,
    clock: WallClock,
    rebalances: Rebalances,
}

/// The groups of one partition of `__consumer_offsets`.
#[derive(Debug, Default)]
struct Shard {
    loaded: bool,
    /// Topics that were deleted while this shard was being loaded.
    deleted_topics: Vec<String>,
    groups: BTreeMap<Arc<str>, Group>,
    /// By producer id: groups for which its open transaction committed offsets.
    transactions: Transactions,
}

/// The wall clock, as last told.
#[derive(Debug)]
struct WallClock {
    at: Instant,
    epoch_ms: i64,
}

impl GroupCoordinator {
    /// A coordinator whose partitions are all still to be loaded. `epoch_ms` is the wall clock at `now`.
    #[must_use]
    pub fn new(config: GroupConfig, now: Instant, epoch_ms: i64) -> Self {
        let shards = (0..config.partitions).map(|_| Shard::default()).collect();
        let clock = WallClock { at: now, epoch_ms };
        let (timers, outbox) = (Timers::default(), Outbox::default());
        let (topics, rebalances) = (TopicIndex::default(), Rebalances::default());
        Self { config, shards, groups: 0, topics, timers, outbox, clock, rebalances }
    }

    /// Takes in what happened at `now`. Take the effects afterwards.
    pub fn handle(&mut self, now: Instant, event: Event) {
        match event {
            Event::Request { waiter, request } => match self.admit(&request) {
                Ok(()) => self.request(now, waiter, request),
                Err(error) => self.outbox.respond(waiter, Response::refusal(request, error)),
            },
            Event::LoadRecord { partition, key, value } => {
                self.load_record(partition, &key, value.as_deref())
            }
            Event::LoadFinished { partition } => self.load_finished(now, partition),
            Event::AppendOutcome { ticket, result } => self.append_outcome(ticket, result),
            Event::WallClock { epoch_ms } => self.clock = WallClock { at: now, epoch_ms },
            Event::Own(event) => self.own(now, event),
        }
    }

    fn own(&mut self, now: Instant, event: GroupEvent) {
        match event {
            GroupEvent::TopicDeleted { topic } => self.topic_deleted(now, &topic),
            GroupEvent::TopicChanged { topic, info } => self.topic_changed(&topic, info),
            GroupEvent::LoadTransactionalRecord { partition, producer_id, key, value } => {
                self.load_transactional_record(partition, producer_id, &key, value.as_deref());
            }
            GroupEvent::LoadMarker { partition, producer_id, committed } => {
                self.load_marker(partition, producer_id, committed);
            }
            GroupEvent::AppendTried { ticket, result } => self.append_tried(now, ticket, result),
        }
    }

    /// Does what is due at `now`. A call that comes too early is harmless.
    pub fn handle_timeout(&mut self, now: Instant) {
        while let Some(timer) = self.timers.pop_due(now) {
            let (Timer::InitialRebalance { group }
            | Timer::Rebalance { group }
            | Timer::Sync { group }
            | Timer::Session { group, .. }
            | Timer::MemberRebalance { group, .. }
            | Timer::OffsetRetention { group }) = &timer;
            let group = Arc::clone(group);
            let Some(mut turn) = self.turn(now, &group) else { continue };
            match timer {
                Timer::InitialRebalance { .. } => turn.initial_rebalance_due(),
                Timer::Rebalance { .. } => turn.complete_join(),
                Timer::Sync { .. } => turn.sync_due(),
                Timer::Session { member, .. } if turn.group.consumer.is_some() => {
                    turn.consumer_session_due(&member);
                }
                Timer::Session { member, .. } if turn.group.share.is_some() => {
                    turn.share_session_due(&member);
                }
                Timer::Session { member, .. } => turn.session_due(&member),
                Timer::MemberRebalance { member, .. } => turn.consumer_rebalance_due(&member),
                Timer::OffsetRetention { .. } => {
                    if turn.retention_due() {
                        self.forget(&group);
                    }
                }
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

    fn request(&mut self, now: Instant, waiter: WaiterId, request: Request) {
        match request {
            Request::JoinGroup(join) => self.join_group(now, waiter, join),
            Request::OffsetCommit(commit) => self.offset_commit(now, waiter, commit),
            Request::ConsumerGroupHeartbeat(beat) => self.consumer_heartbeat(now, waiter, *beat),
            Request::ConsumerGroupDescribe { group_id } => {
                self.describe_consumer_group(now, waiter, &group_id);
            }
            Request::Share(request) => self.share_request(now, waiter, request),
            Request::TxnOffsetCommit(commit) => self.txn_offset_commit(now, waiter, commit),
            Request::CompleteTransaction(complete) => self.complete_transaction(waiter, complete),
            Request::DeleteGroup { group_id } => self.delete_group(now, waiter, &group_id),
            Request::DescribeGroup(describe) => {
                let group = self.describe_group(describe);
                self.outbox.respond(waiter, Response::DescribeGroup(group));
            }
            Request::ListGroups(list) => {
                let groups = self.list_groups(&list);
                self.outbox.respond(waiter, Response::ListGroups(Ok(groups)));
            }
            Request::Observe => self.outbox.respond(waiter, Response::Observe(self.observe())),
            Request::OffsetFetch(fetch) => match self.turn(now, &fetch.group_id) {
                Some(mut turn) => turn.fetch_offsets(waiter, fetch),
                None => {
                    let topics = offsets::fetch(None, fetch);
                    let response = OffsetFetchResponse { error: ErrorCode::None, topics };
                    self.outbox.respond(waiter, Response::OffsetFetch(response));
                }
            },
            Request::SyncGroup(sync) => match self.turn(now, &sync.group_id) {
                Some(mut turn) => turn.sync(waiter, sync),
                None => self.refuse(waiter, Request::SyncGroup(sync), ErrorCode::UnknownMemberId),
            },
            Request::Heartbeat(heartbeat) => match self.turn(now, &heartbeat.group_id) {
                Some(mut turn) => turn.heartbeat(waiter, &heartbeat),
                None => self.refuse(waiter, Request::Heartbeat(heartbeat), ErrorCode::UnknownMemberId),
            },
            Request::LeaveGroup(leave) => match self.turn(now, &leave.group_id) {
                Some(mut turn) => turn.leave(waiter, leave),
                None => self.refuse(waiter, Request::LeaveGroup(leave), ErrorCode::UnknownMemberId),
            },
            Request::OffsetDelete(delete) => match self.turn(now, &delete.group_id) {
                Some(mut turn) => turn.delete_offsets(waiter, delete),
                None => self.refuse(waiter, Request::OffsetDelete(delete), ErrorCode::GroupIdNotFound),
            },
        }
    }

    fn refuse(&mut self, waiter: WaiterId, request: Request, error: ErrorCode) {
        self.outbox.respond(waiter, Response::refusal(request, error));
    }

    /// Work on a group, if it exists.
    fn turn(&mut self, now: Instant, group_id: &str) -> Option<Turn<'_>> {
        self.turn_in(now, self.partition_of(group_id), group_id)
    }

    fn partition_of(&self, group_id: &str) -> i32 {
        partition_for(group_id, self.config.partitions)
    }

    fn turn_in(&mut self, now: Instant, partition: i32, group_id: &str) -> Option<Turn<'_>> {
        let wall_clock_ms = self.wall_clock_ms(now);
        let Self { config, shards, topics, timers, outbox, rebalances, .. } = self;
        let shard = shards.get_mut(usize::try_from(partition).ok()?)?;
        let group = shard.groups.get_mut(group_id)?;
        Some(Turn { now, wall_clock_ms, partition, config, topics, timers, outbox, rebalances, group })
    }

    fn shard_of(&self, group_id: &str) -> Option<&Shard> {
        let partition = partition_for(group_id, self.config.partitions);
        self.shards.get(usize::try_from(partition).ok()?)
    }

    fn shard_mut(&mut self, partition: i32) -> Option<&mut Shard> {
        self.shards.get_mut(usize::try_from(partition).ok()?)
    }

    fn group(&self, group_id: &str) -> Option<&Group> {
        self.shard_of(group_id)?.groups.get(group_id)
    }

    fn contains(&self, group_id: &str) -> bool {
        self.group(group_id).is_some()
    }

    fn create(&mut self, now: Instant, group_id: &str) -> Result<(), ErrorCode> {
        if self.groups >= self.config.max_groups {
            return Err(ErrorCode::PolicyViolation);
        }
        let wall_clock_ms = self.wall_clock_ms(now);
        let partition = partition_for(group_id, self.config.partitions);
        let shard = self.shard_mut(partition).ok_or(ErrorCode::CoordinatorNotAvailable)?;
        let id: Arc<str> = group_id.into();
        shard.groups.insert(id.clone(), Group::new(id, Some(wall_clock_ms)));
        self.groups += 1;
        Ok(())
    }

    /// Removes a group that the log no longer knows.
    fn forget(&mut self, group_id: &str) {
        let partition = partition_for(group_id, self.config.partitions);
        let Some(group) = self.shard_mut(partition).and_then(|shard| shard.groups.remove(group_id)) else {
            return;
        };
        self.groups -= 1;
        self.cancel_timers(&group);
    }

    /// Consumer and share groups act on it with their next heartbeat.
    fn topic_changed(&mut self, topic: &str, info: Option<TopicInfo>) {
        self.topics.set(topic, info);
        for group in self.shards.iter_mut().flat_map(|shard| shard.groups.values_mut()) {
            if let Some(consumer) = &mut group.consumer {
                consumer.topic_changed(topic, info.is_some());
            }
            if let Some(share) = &mut group.share {
                share.topic_changed(topic);
            }
        }
    }

    fn wall_clock_ms(&self, now: Instant) -> i64 {
        let since = now.saturating_duration_since(self.clock.at).as_millis();
        self.clock.epoch_ms.saturating_add(i64::try_from(since).unwrap_or(i64::MAX))
    }
}
