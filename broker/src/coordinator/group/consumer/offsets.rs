//! Who may commit and fetch offsets of a consumer group (Kafka's `ConsumerGroup.validateOffsetCommit` and
//! `validateOffsetFetch`; KIP-848, KIP-1251).

use protocol::ErrorCode;

use super::ConsumerGroup;
use super::member::{ConsumerMember, Owned};
use super::topics::TopicIndex;
use crate::coordinator::group::event::OffsetCommit;

impl ConsumerGroup {
    /// A member one or more epochs behind, of either protocol, may commit for partitions that it has held since then.
    pub(in crate::coordinator::group) fn admit_commit(
        &self,
        request: &OffsetCommit,
        topics: &TopicIndex,
    ) -> Result<(), ErrorCode> {
        if request.generation_id < 0 && self.is_empty() {
            return Ok(());
        }
        let member = self.member(&request.member_id).ok_or(ErrorCode::UnknownMemberId)?;
        if member.classic.is_none() && !request.supports_group_id_not_found {
            return Err(ErrorCode::UnsupportedVersion);
        }
        if request.generation_id == member.epoch {
            return Ok(());
        }
        let held_since = |topic: &str, partition: i32| {
            let id = topics.get(topic).map(|info| info.id);
            let epoch_in = |owned: &Owned| owned.get(&id?)?.get(&partition).copied();
            let epoch = epoch_in(&member.assigned).or_else(|| epoch_in(&member.revoking));
            epoch.is_some_and(|epoch| request.generation_id >= epoch)
        };
        let is_behind = request.generation_id < member.epoch;
        let mut partitions = request
            .topics
            .iter()
            .flat_map(|(topic, commits)| commits.iter().map(move |commit| (topic, commit.partition)));
        if is_behind && partitions.all(|(topic, partition)| held_since(topic, partition)) {
            return Ok(());
        }
        Err(stale(member))
    }

    pub(in crate::coordinator::group) fn admit_fetch(
        &self,
        member: &str,
        epoch: i32,
    ) -> Result<(), ErrorCode> {
        let member = self.member(member).ok_or(ErrorCode::UnknownMemberId)?;
        if epoch == member.epoch { Ok(()) } else { Err(stale(member)) }
    }
}

const fn stale(member: &ConsumerMember) -> ErrorCode {
    if member.classic.is_some() { ErrorCode::IllegalGeneration } else { ErrorCode::StaleMemberEpoch }
}
