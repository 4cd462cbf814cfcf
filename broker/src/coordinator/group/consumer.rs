//! Consumer groups (KIP-848): the coordinator assigns, and leads each member to its part of the assignment one step at a time.
//!
//! ```text
//!   group epoch       counts changes from 1 on: members who subscribe or leave, subscriptions, topics
//!   assignment epoch  the group epoch that the target assignment was computed for
//!   member epoch      the assignment epoch that the member has reached
//!
//!   Empty --join--> Assigning --target computed--> Reconciling --every member is there--> Stable
//!     ^                ^  a change of members, subscriptions or topics, from any state      |
//!     +--last leaves---+--------------------------------------------------------------------+
//! ```
//!
//! Behaviour is Kafka 4.3's `ConsumerGroup` and the consumer half of `GroupMetadataManager`. Different on purpose: patterns are
//! resolved at once, in the heartbeat that brings them, and follow topics as they come and go; the number that tells whether
//! topics changed is made in another way; the assignor runs in the coordinator.
//!
//! Rooms: `member` and `topics` are the values, `assignor` computes targets, `reconcile` takes a member's next step, `heartbeat`,
//! `leave`, `classic_member` and `convert` are the requests, `records`, `load` and `embedded` the bytes.
//!
//! **Invariant:** no partition is held (assigned or being revoked) by two members.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::sync::Arc;

use uuid::Uuid;

use self::assignor::{Assignor, MemberSpec, Spec};
use self::member::{Assignment, ConsumerMember, Owned};
use self::regex::ResolvedPattern;
use self::topics::TopicIndex;
use super::config::ConsumerSettings;

pub(super) mod admin;
pub(super) mod assignor;
mod classic_member;
mod convert;
mod embedded;
mod heartbeat;
mod leave;
mod load;
pub(super) mod member;
mod offsets;
mod reconcile;
pub(super) mod records;
mod regex;
pub(super) mod response;
pub(super) mod topics;

pub(super) use self::convert::tombstones;

/// State of a consumer group, as it is shown.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum ConsumerGroupState {
    Empty,
    Assigning,
    Reconciling,
    Stable,
}

impl ConsumerGroupState {
    /// Name on the wire.
    pub(super) const fn name(self) -> &'static str {
        match self {
            Self::Empty => "Empty",
            Self::Assigning => "Assigning",
            Self::Reconciling => "Reconciling",
            Self::Stable => "Stable",
        }
    }
}

/// The members of a consumer group and their assignments. Its offsets are the `Group`'s.
#[derive(Debug)]
pub(super) struct ConsumerGroup {
    /// Begins at 1, so that the first target, of epoch 0 until it is computed, is out of date even if nobody subscribes.
    pub(super) epoch: i32,
    pub(super) assignment_epoch: i32,
    assignment_timestamp_ms: i64,
    metadata_hash: i64,
    /// A topic changed since the hash was computed.
    metadata_stale: bool,
    /// The log has a record that Kafka wrote up to 4.0.
    has_partition_metadata: bool,
    members: BTreeMap<Arc<str>, ConsumerMember>,
    static_members: BTreeMap<String, Arc<str>>,
    target: BTreeMap<Arc<str>, Assignment>,
    patterns: BTreeMap<String, ResolvedPattern>,
    /// The latest that a heartbeat brought.
    settings: Option<ConsumerSettings>,
    holders: HashMap<(Uuid, i32), Arc<str>>,
}

impl Default for ConsumerGroup {
    fn default() -> Self {
        Self {
            epoch: 1,
            assignment_epoch: 0,
            assignment_timestamp_ms: 0,
            metadata_hash: 0,
            metadata_stale: false,
            has_partition_metadata: false,
            members: BTreeMap::new(),
            static_members: BTreeMap::new(),
            target: BTreeMap::new(),
            patterns: BTreeMap::new(),
            settings: None,
            holders: HashMap::new(),
        }
    }
}

impl ConsumerGroup {
    pub(super) fn state(&self) -> ConsumerGroupState {
        if self.members.is_empty() {
            ConsumerGroupState::Empty
        } else if self.epoch > self.assignment_epoch {
            ConsumerGroupState::Assigning
        } else if self.members.values().all(|member| member.is_reconciled_to(self.assignment_epoch)) {
            ConsumerGroupState::Stable
        } else {
            ConsumerGroupState::Reconciling
        }
    }

    pub(super) fn is_empty(&self) -> bool {
        self.members.is_empty()
    }

    pub(super) fn len(&self) -> usize {
        self.members.len()
    }

    pub(super) fn member(&self, id: &str) -> Option<&ConsumerMember> {
        self.members.get(id)
    }

    pub(super) fn members(&self) -> impl Iterator<Item = &ConsumerMember> {
        self.members.values()
    }

    fn static_member(&self, instance: &str) -> Option<&ConsumerMember> {
        self.members.get(self.static_members.get(instance)?)
    }

    /// Puts a member in, in place of the one with its id.
    fn put(&mut self, member: ConsumerMember) {
        self.take(&member.id);
        for partition in held(&member) {
            self.holders.insert(partition, member.id.clone());
        }
        if let Some(instance) = &member.instance_id {
            self.static_members.insert(instance.clone(), member.id.clone());
        }
        self.members.insert(member.id.clone(), member);
    }

    /// Takes a member out; its target stays.
    fn take(&mut self, id: &str) -> Option<ConsumerMember> {
        let member = self.members.remove(id)?;
        for partition in held(&member) {
            if self.holders.get(&partition) == Some(&member.id) {
                self.holders.remove(&partition);
            }
        }
        if let Some(instance) = &member.instance_id
            && self.static_members.get(instance) == Some(&member.id)
        {
            self.static_members.remove(instance);
        }
        Some(member)
    }

    /// Whether anybody but this member holds the partition.
    fn is_held_by_other(&self, member: &str, topic: Uuid, partition: i32) -> bool {
        self.holders.get(&(topic, partition)).is_some_and(|holder| &**holder != member)
    }

    /// Names that the member subscribes to, one by one or by pattern.
    fn subscription<'a>(&'a self, member: &'a ConsumerMember) -> impl Iterator<Item = &'a str> {
        let pattern = member.pattern().and_then(|pattern| self.patterns.get(pattern));
        let matched = pattern.into_iter().flat_map(|pattern| &pattern.topics);
        member.topics.iter().chain(matched).map(String::as_str)
    }

    /// Ids of the topics that exist among those.
    fn subscribed_ids(&self, member: &ConsumerMember, topics: &TopicIndex) -> BTreeSet<Uuid> {
        self.subscription(member).filter_map(|name| topics.get(name)).map(|info| info.id).collect()
    }

    pub(super) fn is_subscribed_to(&self, topic: &str) -> bool {
        self.members.values().any(|member| self.subscription(member).any(|name| name == topic))
    }

    fn compute_metadata_hash(&self, topics: &TopicIndex) -> i64 {
        topics.hash(&self.members.values().flat_map(|member| self.subscription(member)).collect())
    }

    /// A topic came, went or grew: whoever subscribes to it is in for a new assignment.
    pub(super) fn topic_changed(&mut self, topic: &str, exists: bool) {
        for pattern in self.patterns.values_mut() {
            pattern.topic_changed(topic, exists);
        }
        self.metadata_stale |= self.patterns.values().any(|pattern| pattern.is_dirty);
        self.metadata_stale |= self.is_subscribed_to(topic);
    }

    /// Forgets patterns that no member subscribes to any more; returns them.
    fn drop_unused_patterns(&mut self) -> Vec<String> {
        let used: BTreeSet<&str> = self.members.values().filter_map(ConsumerMember::pattern).collect();
        let unused = self.patterns.keys().filter(|pattern| !used.contains(pattern.as_str()));
        let unused: Vec<String> = unused.cloned().collect();
        unused.iter().for_each(|pattern| drop(self.patterns.remove(pattern)));
        unused
    }

    /// The assignor most members ask for; of equals the first by name.
    pub(super) fn preferred_assignor(&self) -> Option<&str> {
        let mut votes: BTreeMap<&str, usize> = BTreeMap::new();
        for assignor in self.members.values().filter_map(|member| member.server_assignor.as_deref()) {
            *votes.entry(assignor).or_default() += 1;
        }
        let most = votes.values().copied().max()?;
        votes.into_iter().find(|(_, count)| *count == most).map(|(name, _)| name)
    }

    /// Whether all members subscribe to the same names, or all by the same pattern and to no names.
    fn is_homogeneous(&self) -> bool {
        let mut subscriptions = self.members.values().map(|member| (&member.topics, member.pattern()));
        let Some(first) = subscriptions.next() else { return true };
        (first.1.is_none() || first.0.is_empty()) && subscriptions.all(|subscription| subscription == first)
    }

    /// Computes the target assignment of everybody; returns the members whose target changed.
    fn compute_target(&mut self, assignor: Assignor, topics: &TopicIndex) -> Vec<Arc<str>> {
        let mut spec = Spec { is_homogeneous: self.is_homogeneous(), ..Spec::default() };
        for (id, member) in &self.members {
            let mut subscribed = BTreeSet::new();
            for info in self.subscription(member).filter_map(|name| topics.get(name)) {
                subscribed.insert(info.id);
                spec.topics.insert(info.id, info.partitions);
            }
            let current = self.target.get(id).cloned().unwrap_or_default();
            spec.members.insert(
                id.clone(),
                MemberSpec { instance_id: member.instance_id.clone(), topics: subscribed, current },
            );
        }
        let target = assignor.assign(&spec);
        let changed = target.iter().filter(|(id, assignment)| self.target.get(*id) != Some(assignment));
        let changed = changed.map(|(id, _)| id.clone()).collect();
        self.target = target;
        changed
    }
}

/// Everything a member holds.
fn held(member: &ConsumerMember) -> impl Iterator<Item = (Uuid, i32)> {
    let all = |owned: &Owned| -> Vec<(Uuid, i32)> {
        owned.iter().flat_map(|(topic, it)| it.keys().map(|partition| (*topic, *partition))).collect()
    };
    all(&member.assigned).into_iter().chain(all(&member.revoking))
}
