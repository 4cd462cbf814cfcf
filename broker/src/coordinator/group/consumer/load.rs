//! Replaying a consumer group's records (Kafka's `replay` methods in `GroupMetadataManager`), and coming back to life after.
//!
//! Compaction may leave a record without those it followed: each is applied for what it says alone.

use std::sync::Arc;

use super::ConsumerGroup;
use super::member::{ConsumerMember, LEAVE_EPOCH, MemberState, Owned};
use super::records::{ConsumerRecord, Content};
use super::regex::ResolvedPattern;
use crate::coordinator::group::Shard;
use crate::coordinator::group::classic::millis;
use crate::coordinator::group::timers::Timer;
use crate::coordinator::group::turn::Turn;

impl Shard {
    pub(in crate::coordinator::group) fn load_consumer_record(&mut self, record: ConsumerRecord) {
        let ConsumerRecord { group, content } = record;
        if matches!(content, Content::Group(None)) {
            if let Some(group) = self.groups.get_mut(group.as_str()) {
                group.consumer = None;
            }
            return self.drop_if_nothing(&group);
        }
        let is_tombstone = matches!(
            content,
            Content::PartitionMetadata(false)
                | Content::Member(_, None)
                | Content::Target(None)
                | Content::TargetMember(_, None)
                | Content::CurrentMember(_, None)
                | Content::Pattern(_, None)
        );
        if is_tombstone && self.groups.get(group.as_str()).is_none_or(|group| group.consumer.is_none()) {
            return;
        }
        let consumer = self.entry(&group).consumer.get_or_insert_default();
        apply(consumer, content);
    }
}

fn apply(consumer: &mut ConsumerGroup, content: Content) {
    match content {
        Content::Group(None) => (),
        Content::Group(Some(value)) => {
            (consumer.epoch, consumer.metadata_hash) = (value.epoch, value.metadata_hash);
        }
        Content::PartitionMetadata(exists) => consumer.has_partition_metadata = exists,
        Content::Member(id, Some(member)) => {
            // What it holds is in records of its own.
            let known = consumer.take(&id).unwrap_or_else(|| ConsumerMember::new(id.into()));
            consumer.put(ConsumerMember {
                epoch: known.epoch,
                previous_epoch: known.previous_epoch,
                state: known.state,
                assigned: known.assigned,
                revoking: known.revoking,
                ..*member
            });
        }
        Content::Member(id, None) => drop(consumer.take(&id)),
        Content::Target(value) => {
            let (epoch, timestamp_ms) = value.map_or((-1, 0), |value| (value.epoch, value.timestamp_ms));
            (consumer.assignment_epoch, consumer.assignment_timestamp_ms) = (epoch, timestamp_ms);
        }
        Content::TargetMember(id, Some(assignment)) => {
            consumer.target.insert(id.into(), assignment);
        }
        Content::TargetMember(id, None) => drop(consumer.target.remove(id.as_str())),
        Content::CurrentMember(id, value) => {
            let known = consumer.take(&id);
            if known.is_none() && value.is_none() {
                return;
            }
            let mut member = known.unwrap_or_else(|| ConsumerMember::new(id.into()));
            match value {
                Some(value) => {
                    (member.epoch, member.previous_epoch) = (value.epoch, value.previous_epoch);
                    member.state = value.state;
                    (member.assigned, member.revoking) = (value.assigned, value.revoking);
                }
                None => {
                    (member.epoch, member.previous_epoch) = (LEAVE_EPOCH, LEAVE_EPOCH);
                    member.state = MemberState::Stable;
                    (member.assigned, member.revoking) = (Owned::new(), Owned::new());
                }
            }
            consumer.put(member);
        }
        Content::Pattern(pattern, Some(topics)) => {
            let resolved = ResolvedPattern::restored(&pattern, topics);
            consumer.patterns.insert(pattern, resolved);
        }
        Content::Pattern(pattern, None) => drop(consumer.patterns.remove(&pattern)),
    }
}

impl Turn<'_> {
    /// The group was read: every member has a whole session to show up, and whoever has to give up partitions its timeout.
    pub(in crate::coordinator::group) fn consumer_loaded(&mut self) {
        let session = self.config.consumer.session_timeout;
        let topics = self.topics;
        let Some(consumer) = &mut self.group.consumer else { return };
        // Topics may have come and gone after the last record.
        consumer.metadata_stale = true;
        consumer.patterns.values_mut().for_each(|pattern| pattern.refresh(topics));
        let members: Vec<(Arc<str>, Option<i32>, Option<i32>)> = consumer
            .members()
            .map(|member| {
                let unrevoked = member.state == MemberState::UnrevokedPartitions;
                let classic = member.classic.as_ref().map(|classic| classic.session_timeout_ms);
                (member.id.clone(), classic, unrevoked.then_some(member.rebalance_timeout_ms))
            })
            .collect();
        for (id, classic_session_ms, rebalance_ms) in members {
            self.set_session(id.clone(), classic_session_ms.map_or(session, millis));
            if let Some(timeout_ms) = rebalance_ms {
                let timer = Timer::MemberRebalance { group: self.group.id.clone(), member: id };
                self.timers.set(timer, self.now + millis(timeout_ms));
            }
        }
    }
}
