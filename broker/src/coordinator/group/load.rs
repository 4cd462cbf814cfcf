//! Partitions of `__consumer_offsets` coming and going: replaying their records, and throwing their groups away when an
//! append failed (Kafka's `replay`, `onLoaded` and `onUnloaded` in `GroupMetadataManager`).
//!
//! **Invariant:** replay is the only way back from a failed append; nothing is undone by hand.

use std::sync::Arc;
use std::time::Instant;

use protocol::ErrorCode;

use super::classic::Group;
use super::effect::Ticket;
use super::event::Protocol;
use super::members::{Member, Terms};
use super::rebalances::RebalanceReason;
use super::records::{GroupMetadata, Record};
use super::response::{JoinGroupResponse, Response, SyncGroupResponse};
use super::timers::Timer;
use super::{GroupCoordinator, Shard};
use crate::coordinator::effect::append_error;

impl GroupCoordinator {
    /// Applies a record of the log. One that cannot be read is skipped with an error in the log: the groups of a partition are
    /// not taken hostage by one bad record.
    pub(super) fn load_record(&mut self, partition: i32, key: &[u8], value: Option<&[u8]>) {
        let Some(shard) = self.shard_mut(partition).filter(|shard| !shard.loaded) else { return };
        match Record::decode(key, value) {
            Ok(Record::OffsetCommit { group, topic, partition, value: Some(committed) }) => {
                shard.entry(&group).put_offset(&topic, partition, committed);
            }
            Ok(Record::OffsetCommit { group, topic, partition, value: None }) => {
                if let Some(group) = shard.groups.get_mut(group.as_str()) {
                    group.remove_offset(&topic, partition);
                }
            }
            Ok(Record::GroupMetadata { group, value: Some(metadata) }) => {
                restore(shard.entry(&group), metadata)
            }
            // Its offsets have tombstones of their own; a consumer group may have taken its place.
            Ok(Record::GroupMetadata { group: id, value: None }) => {
                if let Some(group) = shard.groups.get_mut(id.as_str()) {
                    group.end_classic_half();
                }
                shard.drop_if_nothing(&id);
            }
            Ok(Record::Consumer(record)) => shard.load_consumer_record(record),
            Ok(Record::Share(record)) => shard.load_share_record(record),
            Ok(Record::Other) => (),
            Err(error) => tracing::error!(partition, %error, "skipped a record of __consumer_offsets"),
        }
    }

    /// The partition is ours from now on: members have a full session to show up.
    pub(super) fn load_finished(&mut self, now: Instant, partition: i32) {
        let Some(shard) = self.shard_mut(partition).filter(|shard| !shard.loaded) else { return };
        shard.loaded = true;
        let deleted_topics = std::mem::take(&mut shard.deleted_topics);
        let ids: Vec<Arc<str>> = shard.groups.keys().cloned().collect();
        self.groups += ids.len();
        for id in ids {
            let Some(mut turn) = self.turn_in(now, partition, &id) else { continue };
            for member in turn.group.members.ids() {
                turn.keep_alive(&member);
            }
            turn.consumer_loaded();
            turn.share_loaded();
            turn.check_retention_soon();
            if turn.group.members.len() > turn.config.max_size {
                turn.prepare_rebalance(RebalanceReason::TooLarge);
            }
        }
        for topic in deleted_topics {
            self.forget_topic(now, partition, &topic);
        }
    }

    /// An append is durable, or its partition starts again from the log.
    pub(super) fn append_outcome(&mut self, ticket: Ticket, result: Result<(), ErrorCode>) {
        match (result, self.outbox.partition_of(ticket)) {
            (Ok(()), _) => drop(self.outbox.settle(ticket)),
            (Err(error), Some(partition)) => {
                tracing::warn!(partition, %error, "an append to __consumer_offsets failed, reloading");
                self.drop_partition(partition, append_error(error));
            }
            (Err(_), None) => (), // its partition was given up by an earlier failure
        }
    }

    pub(super) fn drop_partition(&mut self, partition: i32, error: ErrorCode) {
        let Some(shard) = self.shard_mut(partition) else { return };
        shard.loaded = false;
        let groups = std::mem::take(&mut shard.groups);
        shard.transactions.clear();
        self.groups -= groups.len();
        self.outbox.fail_partition(partition, error);
        for group in groups.into_values() {
            self.cancel_timers(&group);
            for member in group.members.iter() {
                if let Some(waiter) = member.awaiting_join() {
                    let response = JoinGroupResponse::failed(error, &member.id);
                    self.outbox.respond(waiter, Response::JoinGroup(response));
                }
                if let Some(waiter) = member.awaiting_sync {
                    self.outbox.respond(waiter, Response::SyncGroup(SyncGroupResponse::failed(error)));
                }
            }
        }
        self.outbox.reload(partition);
    }

    pub(super) fn cancel_timers(&mut self, group: &Group) {
        let id = || group.id.clone();
        self.timers.cancel(Timer::InitialRebalance { group: id() });
        self.timers.cancel(Timer::Rebalance { group: id() });
        self.timers.cancel(Timer::Sync { group: id() });
        self.timers.cancel(Timer::OffsetRetention { group: id() });
        let members = group.members.iter().map(|member| &member.id);
        for member in members.chain(&group.pending_members) {
            self.timers.cancel(Timer::Session { group: id(), member: member.clone() });
        }
        for member in group.consumer.iter().flat_map(|consumer| consumer.members()) {
            self.timers.cancel(Timer::Session { group: id(), member: member.id.clone() });
            self.timers.cancel(Timer::MemberRebalance { group: id(), member: member.id.clone() });
        }
        for member in group.share.iter().flat_map(|share| share.members()) {
            self.timers.cancel(Timer::Session { group: id(), member: member.id.clone() });
        }
    }
}

impl Shard {
    /// Forgets a group of which the log knows nothing any more.
    pub(super) fn drop_if_nothing(&mut self, group: &str) {
        let is_nothing = |group: &Group| {
            group.consumer.is_none()
                && group.share.is_none()
                && group.offsets.is_empty()
                && group.pending.is_empty()
                && group.protocol_type.is_none()
                && group.members.is_empty()
        };
        if self.groups.get(group).is_some_and(is_nothing) {
            self.groups.remove(group);
        }
    }

    pub(super) fn entry(&mut self, group: &str) -> &mut Group {
        let id: Arc<str> = group.into();
        self.groups.entry(id.clone()).or_insert_with(|| Group::new(id, None))
    }
}

/// The group as of this record. Its offsets are records of their own and stay.
fn restore(group: &mut Group, metadata: GroupMetadata) {
    let (offsets, pending) = (std::mem::take(&mut group.offsets), std::mem::take(&mut group.pending));
    let (consumer, share) = (group.consumer.take(), group.share.take());
    *group = Group::new(group.id.clone(), metadata.state_since_ms);
    (group.offsets, group.pending) = (offsets, pending);
    group.consumer = consumer.filter(|_| metadata.members.is_empty());
    group.share = share.filter(|_| metadata.members.is_empty());
    group.generation = metadata.generation;
    group.protocol_type = Some(metadata.protocol_type).filter(|protocol_type| !protocol_type.is_empty());
    group.leader = metadata.leader.map(Arc::from);
    for member in metadata.members {
        let name = metadata.protocol.clone().unwrap_or_default();
        let terms = Terms {
            rebalance_timeout_ms: member.rebalance_timeout_ms,
            session_timeout_ms: member.session_timeout_ms,
            protocols: vec![Protocol { name, metadata: member.subscription }],
        };
        let client = (member.client_id, member.client_host);
        let mut restored = Member::new(member.member_id.into(), member.group_instance_id, client, terms);
        restored.assignment = member.assignment;
        group.members.insert(restored);
    }
    group.protocol_name = metadata.protocol;
    group.restore_state();
}
