//! One member of a consumer group, and the assignments that it is given (Kafka's `ConsumerGroupMember`, `MemberState`).
//!
//! A plain value: the group keeps the indexes over its members.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use uuid::Uuid;

use crate::coordinator::group::event::Protocol;

/// Member epoch of a request to leave for good.
pub(in crate::coordinator::group) const LEAVE_EPOCH: i32 = -1;
/// Member epoch of a static member that will be back (KIP-345 in KIP-848).
pub(in crate::coordinator::group) const LEAVE_STATIC_EPOCH: i32 = -2;

/// Partitions by topic: what an assignor gives to a member, what a member says it owns.
pub type Assignment = BTreeMap<Uuid, BTreeSet<i32>>;

/// Partitions that a member holds, each with the epoch at which it was given to the member.
pub(in crate::coordinator::group) type Owned = BTreeMap<Uuid, BTreeMap<i32, i32>>;

/// How far a member is on its way to its target assignment. The numbers are those of Kafka's records.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in crate::coordinator::group) enum MemberState {
    /// It has all that was meant for it at its epoch.
    Stable,
    /// It must give partitions up before it moves to the next epoch.
    UnrevokedPartitions,
    /// It is at the target's epoch and waits for partitions that others still hold.
    UnreleasedPartitions,
    /// Written by a newer broker.
    Unknown,
}

impl MemberState {
    pub(in crate::coordinator::group) const fn from_record(value: i8) -> Self {
        match value {
            0 => Self::Stable,
            1 => Self::UnrevokedPartitions,
            2 => Self::UnreleasedPartitions,
            _ => Self::Unknown,
        }
    }

    pub(in crate::coordinator::group) const fn record(self) -> i8 {
        match self {
            Self::Stable => 0,
            Self::UnrevokedPartitions => 1,
            Self::UnreleasedPartitions => 2,
            Self::Unknown => 127,
        }
    }
}

/// What a member that speaks the classic protocol brought with its JoinGroup.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(in crate::coordinator::group) struct ClassicMetadata {
    pub(in crate::coordinator::group) session_timeout_ms: i32,
    /// Never empty while the member lives: the first is the one it is told.
    pub(in crate::coordinator::group) protocols: Vec<Protocol>,
}

/// A member. `assigned` and `revoking` are together what it may hold at this moment.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(in crate::coordinator::group) struct ConsumerMember {
    pub(in crate::coordinator::group) id: Arc<str>,
    pub(in crate::coordinator::group) instance_id: Option<String>,
    pub(in crate::coordinator::group) rack_id: Option<String>,
    pub(in crate::coordinator::group) client_id: String,
    pub(in crate::coordinator::group) client_host: String,
    pub(in crate::coordinator::group) rebalance_timeout_ms: i32,
    pub(in crate::coordinator::group) topics: BTreeSet<String>,
    /// `None` and empty are the same but for the record.
    pub(in crate::coordinator::group) regex: Option<String>,
    pub(in crate::coordinator::group) server_assignor: Option<String>,
    /// Set for a member that speaks the classic protocol.
    pub(in crate::coordinator::group) classic: Option<ClassicMetadata>,
    pub(in crate::coordinator::group) epoch: i32,
    pub(in crate::coordinator::group) previous_epoch: i32,
    pub(in crate::coordinator::group) state: MemberState,
    pub(in crate::coordinator::group) assigned: Owned,
    pub(in crate::coordinator::group) revoking: Owned,
}

impl ConsumerMember {
    /// A member of whom nothing is known but its id.
    pub(in crate::coordinator::group) const fn new(id: Arc<str>) -> Self {
        Self {
            id,
            instance_id: None,
            rack_id: None,
            client_id: String::new(),
            client_host: String::new(),
            rebalance_timeout_ms: -1,
            topics: BTreeSet::new(),
            regex: None,
            server_assignor: None,
            classic: None,
            epoch: 0,
            previous_epoch: -1,
            state: MemberState::Stable,
            assigned: Owned::new(),
            revoking: Owned::new(),
        }
    }

    /// The pattern it subscribes to, if any.
    pub(in crate::coordinator::group) fn pattern(&self) -> Option<&str> {
        self.regex.as_deref().filter(|regex| !regex.is_empty())
    }

    pub(in crate::coordinator::group) fn is_reconciled_to(&self, target_epoch: i32) -> bool {
        self.state == MemberState::Stable && self.epoch == target_epoch
    }

    /// Moves to `epoch`, and remembers the one before it: an answer may be lost on its way.
    pub(in crate::coordinator::group) const fn advance_to(&mut self, epoch: i32) {
        self.previous_epoch = self.epoch;
        self.epoch = epoch;
    }

    /// Whether everything in `owned` is assigned to it.
    pub(in crate::coordinator::group) fn is_assigned_all(&self, owned: &Assignment) -> bool {
        owned.iter().all(|(topic, partitions)| {
            let assigned = self.assigned.get(topic);
            assigned.is_some_and(|assigned| partitions.iter().all(|it| assigned.contains_key(it)))
        })
    }
}

/// Without the epochs.
pub(in crate::coordinator::group) fn partitions(owned: &Owned) -> Assignment {
    owned.iter().map(|(topic, partitions)| (*topic, partitions.keys().copied().collect())).collect()
}

/// All of it given at one epoch.
pub(in crate::coordinator::group) fn owned_at(assignment: &Assignment, epoch: i32) -> Owned {
    let at_epoch = |partitions: &BTreeSet<i32>| partitions.iter().map(|it| (*it, epoch)).collect();
    assignment.iter().map(|(topic, partitions)| (*topic, at_epoch(partitions))).collect()
}
