//! One classic group: its state, and what is true of it in that state (Kafka's `ClassicGroup`).
//!
//! ```text
//!                  first member                all rejoined, or the rebalance timer
//!    +-------+  ------------------>  +--------------------+  ------------>  +---------------------+
//!    | Empty |                       | PreparingRebalance |                 | CompletingRebalance |
//!    +-------+  <------------------  +--------------------+  <------------  +---------------------+
//!        |         nobody rejoined       ^      join with new metadata, leave,     |
//!        |                               |      death, sync timer                  |  the leader's SyncGroup
//!        v                               |                                         v
//!     (Dead)                             |  join with new metadata, leader's   +--------+
//!  deleted, or forgotten by              +-----------------------------------  | Stable |
//!  offset retention                         join, leave, death, sync timer     +--------+
//! ```
//!
//! A generation begins with CompletingRebalance (or Empty). The group is Stable as soon as the leader's assignment is applied;
//! the members hear of it when it is durable. Dead is never stored: a dead group is one that is not there.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;

use protocol::ErrorCode;

use super::consumer::ConsumerGroup;
use super::effect::Ticket;
use super::event::Protocol;
use super::members::Members;
use super::offsets::CommittedOffset;
use super::pending::PendingOffsets;
use super::share::ShareGroup;
use super::subscription::subscribed_topics;

/// Protocol type of groups whose subscriptions the coordinator can read.
pub(super) const CONSUMER_PROTOCOL_TYPE: &str = "consumer";

/// State of a classic group.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum GroupState {
    /// No members; it may hold offsets.
    Empty,
    /// Waiting for members to join the next generation.
    PreparingRebalance,
    /// Waiting for the leader's assignment.
    CompletingRebalance,
    /// Every member can fetch its assignment.
    Stable,
    /// Does not exist.
    Dead,
}

impl GroupState {
    /// Name on the wire.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Empty => "Empty",
            Self::PreparingRebalance => "PreparingRebalance",
            Self::CompletingRebalance => "CompletingRebalance",
            Self::Stable => "Stable",
            Self::Dead => "Dead",
        }
    }
}

/// Rounds of waiting for more members before the first rebalance.
#[derive(Debug, Clone, Copy)]
pub(super) struct InitialDelay {
    /// Length of the round under way.
    pub(super) round: Duration,
    /// What may still be waited after it.
    pub(super) remaining: Duration,
}

/// A group and the offsets committed for it. A consumer group (KIP-848) has its members in `consumer`; the classic half is then
/// empty; so it is with a share group (KIP-932) and `share`.
#[derive(Debug)]
pub(super) struct Group {
    pub(super) id: Arc<str>,
    pub(super) generation: i32,
    pub(super) protocol_type: Option<String>,
    pub(super) protocol_name: Option<String>,
    pub(super) leader: Option<Arc<str>>,
    pub(super) members: Members,
    /// Member ids handed out with MEMBER_ID_REQUIRED and not yet used.
    pub(super) pending_members: BTreeSet<Arc<str>>,
    /// Members of this generation that have not asked for their assignment.
    pub(super) pending_sync: BTreeSet<Arc<str>>,
    /// `None` when unknown: not a consumer group, or a subscription that cannot be read.
    pub(super) subscribed_topics: Option<BTreeSet<String>>,
    /// A member came since the round of the initial delay began.
    pub(super) new_member_added: bool,
    pub(super) initial_delay: Option<InitialDelay>,
    pub(super) consumer: Option<Box<ConsumerGroup>>,
    pub(super) share: Option<Box<ShareGroup>>,
    /// By topic name, then partition.
    pub(super) offsets: BTreeMap<String, BTreeMap<i32, CommittedOffset>>,
    /// Committed by transactions that have not ended.
    pub(super) pending: PendingOffsets,
    /// The latest append about this group: until it is durable, what the group knows is not for telling.
    pub(super) last_append: Option<Ticket>,
    /// Wall clock of the last transition, as the log keeps it.
    pub(super) state_since_ms: Option<i64>,
    state: GroupState,
    came_from_empty: bool,
}

impl Group {
    pub(super) fn new(id: Arc<str>, state_since_ms: Option<i64>) -> Self {
        Self {
            id,
            generation: 0,
            protocol_type: None,
            protocol_name: None,
            leader: None,
            members: Members::default(),
            pending_members: BTreeSet::new(),
            pending_sync: BTreeSet::new(),
            subscribed_topics: None,
            new_member_added: false,
            initial_delay: None,
            consumer: None,
            share: None,
            offsets: BTreeMap::new(),
            pending: PendingOffsets::default(),
            last_append: None,
            state_since_ms,
            state: GroupState::Empty,
            came_from_empty: false,
        }
    }

    pub(super) const fn state(&self) -> GroupState {
        self.state
    }

    pub(super) fn is_empty(&self) -> bool {
        self.state == GroupState::Empty
            && self.consumer.as_ref().is_none_or(|consumer| consumer.is_empty())
            && self.share.as_ref().is_none_or(|share| share.is_empty())
    }

    /// Forgets everything that only a classic group has.
    pub(super) fn end_classic_half(&mut self) {
        let fresh = Self::new(self.id.clone(), self.state_since_ms);
        let (offsets, pending) = (std::mem::take(&mut self.offsets), std::mem::take(&mut self.pending));
        let (consumer, share, last_append) = (self.consumer.take(), self.share.take(), self.last_append);
        *self = Self { consumer, share, offsets, pending, last_append, ..fresh };
    }

    /// Collecting the members of a group that had none: it is not cut short when all of them have joined.
    pub(super) fn is_initial_rebalance(&self) -> bool {
        self.state == GroupState::PreparingRebalance && self.came_from_empty
    }

    pub(super) fn transition(&mut self, to: GroupState, wall_clock_ms: i64) {
        self.came_from_empty = self.state == GroupState::Empty;
        self.state = to;
        self.state_since_ms = Some(wall_clock_ms);
    }

    /// Takes over the state that the log tells: a group with members is Stable.
    pub(super) fn restore_state(&mut self) {
        self.state = if self.members.is_empty() { GroupState::Empty } else { GroupState::Stable };
        self.came_from_empty = false;
        self.subscribed_topics = self.compute_subscribed_topics();
    }

    pub(super) fn is_leader(&self, member_id: &str) -> bool {
        self.leader.as_deref() == Some(member_id)
    }

    pub(super) fn has_all_members_joined(&self) -> bool {
        self.members.all_awaiting_join() && self.pending_members.is_empty()
    }

    /// The longest rebalance timeout among the members.
    pub(super) fn rebalance_timeout(&self) -> Duration {
        millis(self.members.iter().map(|member| member.rebalance_timeout_ms).max().unwrap_or(0))
    }

    /// Whether a member with these protocols can be in this group. With no members yet, anything non-empty can.
    pub(super) fn supports_protocols(&self, protocol_type: &str, protocols: &[Protocol]) -> bool {
        if self.is_empty() {
            return !protocol_type.is_empty() && !protocols.is_empty();
        }
        self.protocol_type.as_deref() == Some(protocol_type) && self.members.all_support_one_of(protocols)
    }

    /// Whether the caller is who it says (KIP-345).
    pub(super) fn validate_member(&self, member_id: &str, instance: Option<&str>) -> Result<(), ErrorCode> {
        if let Some(instance) = instance {
            let current = self.members.static_member(instance).ok_or(ErrorCode::UnknownMemberId)?;
            if current.as_ref() != member_id {
                return Err(ErrorCode::FencedInstanceId);
            }
        }
        self.members.get(member_id).map(|_| ()).ok_or(ErrorCode::UnknownMemberId)
    }

    /// Leaves the leadership to somebody who is here; `false` if nobody rejoined.
    pub(super) fn elect_joined_leader(&mut self) -> bool {
        let joined = |id: &Arc<str>| self.members.get(id).is_some_and(|member| member.is_awaiting_join());
        if self.leader.as_ref().is_some_and(joined) {
            return true;
        }
        match self.members.iter().find(|member| member.is_awaiting_join()).map(|member| member.id.clone()) {
            Some(id) => {
                self.leader = Some(id);
                true
            }
            None => false,
        }
    }

    /// Begins the next generation with the members there are.
    pub(super) fn init_next_generation(&mut self, wall_clock_ms: i64) {
        self.generation = self.generation.checked_add(1).unwrap_or(0);
        self.protocol_name = self.members.select_protocol();
        self.subscribed_topics = self.compute_subscribed_topics();
        let empty = self.members.is_empty();
        self.transition(
            if empty { GroupState::Empty } else { GroupState::CompletingRebalance },
            wall_clock_ms,
        );
        self.pending_sync.clear();
    }

    /// Whether members read this topic; `true` when a consumer group's subscription is unknown.
    pub(super) fn is_subscribed_to(&self, topic: &str) -> bool {
        if let Some(consumer) = &self.consumer {
            return consumer.is_subscribed_to(topic);
        }
        if let Some(share) = &self.share {
            return share.is_subscribed_to(topic);
        }
        match &self.subscribed_topics {
            Some(topics) => topics.contains(topic),
            None => self.is_consumer_group(),
        }
    }

    /// Whether its members are consumers, of either protocol.
    pub(super) fn is_consumer_group(&self) -> bool {
        self.consumer.is_some() || self.protocol_type.as_deref() == Some(CONSUMER_PROTOCOL_TYPE)
    }

    fn compute_subscribed_topics(&self) -> Option<BTreeSet<String>> {
        if !self.is_consumer_group() {
            return None;
        }
        let mut topics = BTreeSet::new();
        for member in self.members.iter() {
            let metadata = member.metadata(Some(self.protocol_name.as_deref()?));
            topics.extend(subscribed_topics(&metadata)?);
        }
        Some(topics)
    }
}

/// A duration from the wire; a negative one is over at once.
pub(super) fn millis(value: i32) -> Duration {
    Duration::from_millis(u64::try_from(value).unwrap_or(0))
}
