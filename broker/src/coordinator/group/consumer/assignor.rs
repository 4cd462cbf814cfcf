//! Server-side assignors (KIP-848): who reads what. Pure functions of the subscriptions and of what was assigned before.
//!
//! Answers are those of Kafka's `UniformAssignor` and `RangeAssignor` to a group whose members and topics come in the order of
//! their ids. A running Kafka takes them in the order of a hash map, which decides between members that have equally many.
//!
//! **Invariant:** every partition of every subscribed topic is given to exactly one member that subscribes to it.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use uuid::Uuid;

use super::member::Assignment;

mod range;
mod uniform;

#[cfg(test)]
mod tests;

/// An assignor, as `group.consumer.assignors` names it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Assignor {
    /// Spreads partitions evenly and moves as few as it can.
    Uniform,
    /// Gives each member a stretch of every topic, the same stretch of topics with equal partition counts.
    Range,
}

impl Assignor {
    /// Every assignor there is.
    pub const ALL: [Self; 2] = [Self::Uniform, Self::Range];

    /// Its name in requests and configs.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Uniform => "uniform",
            Self::Range => "range",
        }
    }

    /// The assignor of this name.
    #[must_use]
    pub fn named(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|assignor| assignor.name() == name)
    }

    /// Gives every partition to a member.
    pub(in crate::coordinator::group) fn assign(self, spec: &Spec) -> BTreeMap<Arc<str>, Assignment> {
        match self {
            Self::Uniform => uniform::assign(spec),
            Self::Range => range::assign(spec),
        }
    }
}

/// What an assignor is given.
#[derive(Debug, Clone, Default)]
pub(in crate::coordinator::group) struct Spec {
    pub(in crate::coordinator::group) members: BTreeMap<Arc<str>, MemberSpec>,
    /// Partition count of every topic that a member subscribes to.
    pub(in crate::coordinator::group) topics: BTreeMap<Uuid, i32>,
    /// Whether all members subscribe to the same (Kafka's `SubscriptionType`), topics that do not exist included.
    pub(in crate::coordinator::group) is_homogeneous: bool,
}

/// A member as an assignor sees it.
#[derive(Debug, Clone, Default)]
pub(in crate::coordinator::group) struct MemberSpec {
    /// Of a static member.
    pub(in crate::coordinator::group) instance_id: Option<String>,
    /// Topics that exist; each is in `Spec::topics`.
    pub(in crate::coordinator::group) topics: BTreeSet<Uuid>,
    /// Its present target assignment. No partition is in two of them.
    pub(in crate::coordinator::group) current: Assignment,
}

impl Spec {
    /// The part of a member's present assignment that may stay: topics it subscribes to, partitions that exist.
    fn kept(&self, member: &MemberSpec) -> Assignment {
        let mut kept = Assignment::new();
        for (topic, partitions) in &member.current {
            let Some(count) = self.topics.get(topic).filter(|_| member.topics.contains(topic)) else {
                continue;
            };
            let partitions: BTreeSet<i32> = partitions.range(0..*count).copied().collect();
            if !partitions.is_empty() {
                kept.insert(*topic, partitions);
            }
        }
        kept
    }

    /// Members of each topic, in order.
    fn subscribers(&self) -> BTreeMap<Uuid, Vec<Arc<str>>> {
        let mut subscribers: BTreeMap<Uuid, Vec<Arc<str>>> = BTreeMap::new();
        for (id, member) in &self.members {
            for topic in &member.topics {
                subscribers.entry(*topic).or_default().push(id.clone());
            }
        }
        subscribers
    }
}
