//! Share groups (KIP-932): the coordinator says who reads which partitions; a partition may have many readers.
//!
//! ```text
//!   Empty --join--> Stable --last leaves--> Empty      (Dead: not there)
//!
//!   a partition of a subscribed topic:
//!   (unknown) --heartbeat--> initializing --its state is written--> initialized --assigned to members-->
//!                                                                       |
//!                                     (unknown) <--state is gone-- deleting (DeleteShareGroupOffsets, DeleteGroups)
//! ```
//!
//! Only partitions whose state the share coordinator keeps are assigned. It is asked for that by whoever carries the answers
//! out: a heartbeat's answer names what is to be initialized, and the outcome comes back as a request
//! (`ShareRequest::Initialized`). Group, assignment and member epochs are those of consumer groups, but nothing is ever
//! taken back from a member step by step: it moves to its target at once.
//!
//! Behaviour is Kafka 4.3's `ShareGroup` and the share part of `GroupMetadataManager`. Different on purpose: initializing that
//! was under way when the broker stopped is begun again with the next heartbeat, and one that nothing is heard of after five
//! seconds, not after thirty; the number that tells
//! whether topics changed is made in another way (see `consumer`); the assignor runs in the coordinator.
//!
//! Rooms: `member` and `state` are the values, `assignor` computes targets, `heartbeat`, `offsets` and `admin` are the requests,
//! `event` and `response` their types, `records` and `load` the bytes.
//!
//! **Invariant:** only initialized partitions are in a target that is computed.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use self::assignor::Subscriptions;
use self::member::ShareMember;
use self::state::StatePartitions;
use super::config::ShareSettings;
use super::consumer::member::Assignment;
use super::consumer::topics::TopicIndex;

mod admin;
mod assignor;
mod event;
mod heartbeat;
mod load;
mod member;
mod offsets;
pub(super) mod records;
mod response;
mod state;

pub(super) use self::admin::tombstones;
pub use self::event::{ShareGroupHeartbeat, ShareRequest};
pub use self::response::{
    AlteredTopic, AlteringOffsets, DeletingOffsets, DescribedShareGroup, DescribedShareMember, Initialize,
    ShareGroupHeartbeatResponse, ShareResponse,
};

/// The one assignor, as `group.share.assignors` names it.
pub(super) const ASSIGNOR: &str = "simple";

/// Protocol type and type of share groups, as ListGroups shows them.
pub(super) const SHARE: &str = "share";

/// The members of a share group, their assignments, and the partitions whose state is kept for it.
#[derive(Debug)]
pub(super) struct ShareGroup {
    /// Begins at 1, as does the epoch of the target, which then is empty.
    pub(super) epoch: i32,
    assignment_epoch: i32,
    assignment_timestamp_ms: i64,
    metadata_hash: i64,
    /// A topic changed since the hash was computed.
    metadata_stale: bool,
    members: BTreeMap<Arc<str>, ShareMember>,
    target: BTreeMap<Arc<str>, Assignment>,
    state: StatePartitions,
    /// The latest that a heartbeat brought.
    settings: Option<ShareSettings>,
}

impl Default for ShareGroup {
    fn default() -> Self {
        Self {
            epoch: 1,
            assignment_epoch: 1,
            assignment_timestamp_ms: 0,
            metadata_hash: 0,
            metadata_stale: true,
            members: BTreeMap::new(),
            target: BTreeMap::new(),
            state: StatePartitions::default(),
            settings: None,
        }
    }
}

impl ShareGroup {
    /// Name of the state on the wire.
    pub(super) fn state(&self) -> &'static str {
        if self.members.is_empty() { "Empty" } else { "Stable" }
    }

    pub(super) fn is_empty(&self) -> bool {
        self.members.is_empty()
    }

    pub(super) fn len(&self) -> usize {
        self.members.len()
    }

    pub(super) fn members(&self) -> impl Iterator<Item = &ShareMember> {
        self.members.values()
    }

    /// Names that members subscribe to.
    fn subscribed(&self) -> BTreeSet<&str> {
        self.members.values().flat_map(|member| &member.topics).map(String::as_str).collect()
    }

    pub(super) fn is_subscribed_to(&self, topic: &str) -> bool {
        self.members.values().any(|member| member.topics.contains(topic))
    }

    /// A topic came, went or grew.
    pub(super) fn topic_changed(&mut self, topic: &str) {
        self.metadata_stale |= self.is_subscribed_to(topic);
    }

    /// Whether the target leaves out initialized partitions of subscribed topics.
    fn is_assignment_pending(&self, topics: &TopicIndex) -> bool {
        let subscribed = self.subscribed();
        let mut assigned = Assignment::new();
        for (topic, partitions) in self.target.values().flatten() {
            assigned.entry(*topic).or_default().extend(partitions);
        }
        let kept = self.state.initialized().filter(|(_, topic)| subscribed.contains(topic.name.as_str()));
        let mut kept = kept.filter(|(id, _)| topics.name(**id).is_some());
        kept.any(|(id, topic)| assigned.get(id) != Some(&topic.partitions))
    }

    /// Computes the target assignment of everybody; returns the members whose target changed.
    fn compute_target(&mut self, topics: &TopicIndex) -> Vec<Arc<str>> {
        let mut subscriptions = Subscriptions::default();
        for (id, member) in &self.members {
            let infos = member.topics.iter().filter_map(|name| topics.get(name)).collect::<Vec<_>>();
            for info in &infos {
                let exists = |partition: &&i32| **partition < info.partitions;
                let kept = self.state.partitions_of(info.id);
                let kept = kept.into_iter().flatten().filter(exists).copied().collect();
                subscriptions.assignable.insert(info.id, kept);
            }
            let ids = infos.iter().map(|info| info.id).collect();
            let current = self.target.get(id).cloned().unwrap_or_default();
            subscriptions.members.insert(id.clone(), (ids, current));
        }
        let target = assignor::assign(&subscriptions);
        let changed = target.iter().filter(|(id, assignment)| self.target.get(*id) != Some(assignment));
        let changed = changed.map(|(id, _)| id.clone()).collect();
        self.target = target;
        changed
    }
}
