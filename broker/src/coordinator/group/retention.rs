//! Forgetting: offsets that nobody has used for `offsets.retention.minutes`, and groups that hold nothing any more (KIP-211;
//! Kafka's `OffsetMetadataManager.cleanupExpiredOffsets` and `GroupMetadataManager.maybeDeleteGroup`).
//!
//! Kafka scans all groups every `offsets.retention.check.interval.ms`. Here each group has a timer that is armed when
//! something may come to expire, and costs nothing until then: at a commit, when the group becomes Empty or Stable, when
//! offsets are removed, after loading. Expiry is noticed no later than in Kafka.

use std::time::Duration;

use super::admin::group_tombstones;
use super::classic::{Group, GroupState};
use super::effect::CoordinatorRecord;
use super::offsets::CommittedOffset;
use super::records;
use super::timers::Timer;
use super::turn::Turn;

impl Turn<'_> {
    pub(super) fn check_retention_soon(&mut self) {
        self.check_retention_in(self.config.offsets_retention_check_interval);
    }

    pub(super) fn check_retention_in(&mut self, delay: Duration) {
        // A client may ask for any retention; the clock has an end.
        let deadline = self.now.checked_add(delay).unwrap_or(self.now + self.config.offsets_retention);
        self.timers.set_earlier(Timer::OffsetRetention { group: self.group.id.clone() }, deadline);
    }

    /// Writes tombstones for what expired. `true` when the group itself is to be forgotten: its tombstone is written too.
    pub(super) fn retention_due(&mut self) -> bool {
        // A share group stays until it is deleted (Kafka's `ShareGroup.shouldExpire`).
        if self.group.share.is_some() {
            return false;
        }
        let mut tombstones = Vec::new();
        let mut next: Option<i64> = None;
        for (topic, partition, expires_ms) in expirations(self.group, self.config.offsets_retention) {
            if expires_ms > self.wall_clock_ms {
                next = Some(next.map_or(expires_ms, |next| next.min(expires_ms)));
            } else {
                tombstones.push((topic, partition));
            }
        }
        let mut records: Vec<CoordinatorRecord> = Vec::with_capacity(tombstones.len() + 1);
        for (topic, partition) in tombstones {
            self.group.remove_offset(&topic, partition);
            records.push(records::offset_commit(&self.group.id, &topic, partition, None));
        }
        let holds_nothing = self.group.offsets.is_empty() && self.group.pending.is_empty();
        let is_forgotten = self.group.is_empty() && holds_nothing;
        if is_forgotten {
            records.extend(group_tombstones(self.group));
        } else if let Some(next) = next {
            let delay = Duration::from_millis(u64::try_from(next - self.wall_clock_ms).unwrap_or(0));
            self.check_retention_in(delay.max(self.config.offsets_retention_check_interval));
        }
        self.append_in_parts(records);
        is_forgotten
    }
}

/// Topic, partition and wall-clock time of every offset that can expire in the group's present state.
fn expirations(group: &Group, retention: Duration) -> Vec<(String, i32, i64)> {
    let can_expire = match (&group.protocol_type, group.state()) {
        (None, _) | (Some(_), GroupState::Empty) => true,
        (Some(_), GroupState::Stable) => group.is_consumer_group() && group.subscribed_topics.is_some(),
        (Some(_), _) => false,
    };
    if !can_expire {
        return Vec::new();
    }
    let mut expirations = Vec::new();
    for (topic, partitions) in group.offsets.iter().filter(|(topic, _)| !group.is_subscribed_to(topic)) {
        // What a transaction may yet change is not dropped under it.
        let settled = partitions.iter().filter(|(partition, _)| !group.pending.contains(topic, **partition));
        for (partition, committed) in settled {
            expirations.push((topic.clone(), *partition, expires_ms(group, committed, retention)));
        }
    }
    expirations
}

/// An offset lives from its commit, or, in a group that members have left, from that moment.
fn expires_ms(group: &Group, committed: &CommittedOffset, retention: Duration) -> i64 {
    if let Some(expires_ms) = committed.expire_timestamp_ms {
        return expires_ms;
    }
    let left_ms = if group.protocol_type.is_some() && group.is_empty() { group.state_since_ms } else { None };
    let base_ms = left_ms.unwrap_or(committed.commit_timestamp_ms);
    base_ms.saturating_add(i64::try_from(retention.as_millis()).unwrap_or(i64::MAX))
}
