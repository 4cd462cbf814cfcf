//! Why groups rebalance: counted where a rebalance begins, for metrics.
//!
//! A classic group begins one when it asks its members to join again, a consumer group (KIP-848) with each new group epoch.

use std::ops::Index;

/// What a rebalance began with.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum RebalanceReason {
    /// Somebody who was no member joined.
    MemberJoined,
    /// A member wants other topics or another way to assign, or the leader asked for a rebalance.
    MemberChanged,
    /// A member said goodbye, or was thrown out by an administrator.
    MemberLeft,
    /// A member was silent for its session.
    SessionTimeout,
    /// A member did not do its part of the last rebalance in time.
    RebalanceTimeout,
    /// Topics that the group reads came, went or grew.
    TopicsChanged,
    /// The assignment does not fit a record, or the group has more members than are allowed.
    TooLarge,
}

impl RebalanceReason {
    /// Every reason.
    pub const ALL: [Self; 7] = [
        Self::MemberJoined,
        Self::MemberChanged,
        Self::MemberLeft,
        Self::SessionTimeout,
        Self::RebalanceTimeout,
        Self::TopicsChanged,
        Self::TooLarge,
    ];

    /// As a label.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::MemberJoined => "member_joined",
            Self::MemberChanged => "member_changed",
            Self::MemberLeft => "member_left",
            Self::SessionTimeout => "session_timeout",
            Self::RebalanceTimeout => "rebalance_timeout",
            Self::TopicsChanged => "topics_changed",
            Self::TooLarge => "too_large",
        }
    }
}

/// How many rebalances began for each reason, over all groups, since the start.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Rebalances([u64; RebalanceReason::ALL.len()]);

impl Rebalances {
    pub(super) fn began(&mut self, reason: RebalanceReason) {
        self.0[place(reason)] += 1;
    }
}

impl Index<RebalanceReason> for Rebalances {
    type Output = u64;

    fn index(&self, reason: RebalanceReason) -> &u64 {
        &self.0[place(reason)]
    }
}

fn place(reason: RebalanceReason) -> usize {
    RebalanceReason::ALL.iter().position(|known| *known == reason).expect("ALL has every reason")
}
