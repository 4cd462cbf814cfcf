//! The `uniform` assignor (Kafka's `UniformAssignor`): balance first, then stickiness.
//!
//! All members subscribe to the same topics: shares differ by one at most, and a member gives up only what exceeds its share
//! (`UniformHomogeneousAssignmentBuilder`). Subscriptions differ: no partition could move to a subscriber of its topic that
//! has two or more partitions fewer than its owner (`UniformHeterogeneousAssignmentBuilder`).

use std::cmp::Reverse;
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use uuid::Uuid;

use super::Spec;
use crate::coordinator::group::consumer::member::Assignment;

pub(super) fn assign(spec: &Spec) -> BTreeMap<Arc<str>, Assignment> {
    let mut subscriptions = spec.members.values().map(|member| &member.topics);
    let first = subscriptions.next();
    if subscriptions.all(|topics| Some(topics) == first) { homogeneous(spec) } else { heterogeneous(spec) }
}

fn homogeneous(spec: &Spec) -> BTreeMap<Arc<str>, Assignment> {
    let mut target: BTreeMap<Arc<str>, Assignment> =
        spec.members.iter().map(|(id, member)| (id.clone(), spec.kept(member))).collect();
    let total: usize = spec.topics.values().map(|count| usize::try_from(*count).unwrap_or(0)).sum();
    let members = target.len().max(1);
    let (share, mut extra) = (total / members, total % members);
    // Those who have more than the share are the first to keep one more.
    let mut quota: BTreeMap<Arc<str>, usize> = BTreeMap::new();
    for over in [true, false] {
        for (id, assignment) in &target {
            if (size(assignment) > share) == over {
                quota.insert(id.clone(), share + usize::from(extra > 0));
                extra = extra.saturating_sub(1);
            }
        }
    }
    for (id, assignment) in &mut target {
        shrink(assignment, quota.get(id).copied().unwrap_or(share));
    }
    let mut free = unassigned(spec, &target).into_iter();
    for (id, assignment) in &mut target {
        let missing = quota.get(id).copied().unwrap_or(share).saturating_sub(size(assignment));
        for (topic, partition) in free.by_ref().take(missing) {
            assignment.entry(topic).or_default().insert(partition);
        }
    }
    target
}

/// Takes partitions away, from the last one on, until no more than `quota` are left.
fn shrink(assignment: &mut Assignment, quota: usize) {
    let mut excess = size(assignment).saturating_sub(quota);
    while excess > 0
        && let Some(mut topic) = assignment.last_entry()
    {
        topic.get_mut().pop_last();
        if topic.get().is_empty() {
            topic.remove();
        }
        excess -= 1;
    }
}

fn heterogeneous(spec: &Spec) -> BTreeMap<Arc<str>, Assignment> {
    let target: BTreeMap<Arc<str>, Assignment> =
        spec.members.iter().map(|(id, member)| (id.clone(), spec.kept(member))).collect();
    let loads = target.iter().map(|(id, assignment)| (id.clone(), size(assignment))).collect();
    let subscribers = spec.subscribers();
    let mut free = unassigned(spec, &target);
    // Partitions that few can take come first, so that those who can take anything fill the gaps.
    free.sort_by_key(|(topic, partition)| {
        (subscribers.get(topic).map_or(0, Vec::len), Reverse(spec.topics.get(topic)), *partition, *topic)
    });
    let mut plan = Plan { target, loads };
    for (topic, partition) in free {
        if let Some(id) = subscribers.get(&topic).and_then(|able| plan.least_loaded(able)) {
            plan.give(&id, topic, partition);
        }
    }
    plan.balance(&subscribers);
    plan.target
}

/// A heterogeneous assignment in the making. **Invariant:** `loads` are the sizes of `target`.
struct Plan {
    target: BTreeMap<Arc<str>, Assignment>,
    loads: BTreeMap<Arc<str>, usize>,
}

impl Plan {
    fn load(&self, id: &str) -> usize {
        self.loads.get(id).copied().unwrap_or(0)
    }

    fn least_loaded(&self, members: &[Arc<str>]) -> Option<Arc<str>> {
        members.iter().min_by_key(|id| self.load(id)).cloned()
    }

    fn give(&mut self, id: &Arc<str>, topic: Uuid, partition: i32) {
        self.target.entry(id.clone()).or_default().entry(topic).or_default().insert(partition);
        *self.loads.entry(id.clone()).or_default() += 1;
    }

    /// Takes the topic's last partition from a member.
    fn take(&mut self, id: &Arc<str>, topic: Uuid) -> Option<i32> {
        let assignment = self.target.get_mut(id)?;
        let partitions = assignment.get_mut(&topic)?;
        let partition = partitions.pop_last()?;
        if partitions.is_empty() {
            assignment.remove(&topic);
        }
        *self.loads.get_mut(id)? -= 1;
        Some(partition)
    }

    /// Moves partitions from the most to the least loaded subscriber of a topic while that helps. Each move makes the sum of
    /// squared loads smaller, so it ends.
    fn balance(&mut self, subscribers: &BTreeMap<Uuid, Vec<Arc<str>>>) {
        let mut moved = true;
        while moved {
            moved = false;
            for (topic, members) in subscribers {
                moved |= self.balance_topic(*topic, members);
            }
        }
    }

    fn balance_topic(&mut self, topic: Uuid, members: &[Arc<str>]) -> bool {
        let mut moved = false;
        loop {
            let has_some = |id: &&Arc<str>| {
                self.target.get(*id).is_some_and(|assignment| assignment.contains_key(&topic))
            };
            let most =
                members.iter().filter(has_some).max_by_key(|id| (self.load(id), Reverse((*id).clone())));
            let (Some(from), Some(to)) = (most.cloned(), self.least_loaded(members)) else { return moved };
            if self.load(&from) <= self.load(&to) + 1 {
                return moved;
            }
            let Some(partition) = self.take(&from, topic) else { return moved };
            self.give(&to, topic, partition);
            moved = true;
        }
    }
}

fn size(assignment: &Assignment) -> usize {
    assignment.values().map(BTreeSet::len).sum()
}

/// Partitions of subscribed topics that nobody has, in order.
fn unassigned(spec: &Spec, target: &BTreeMap<Arc<str>, Assignment>) -> Vec<(Uuid, i32)> {
    let mut assigned: BTreeMap<Uuid, BTreeSet<i32>> = BTreeMap::new();
    for (topic, partitions) in target.values().flatten() {
        assigned.entry(*topic).or_default().extend(partitions);
    }
    let mut free = Vec::new();
    for (topic, count) in &spec.topics {
        let taken = assigned.get(topic);
        let is_free = |partition: &i32| taken.is_none_or(|taken| !taken.contains(partition));
        free.extend((0..*count).filter(is_free).map(|partition| (*topic, partition)));
    }
    free
}
