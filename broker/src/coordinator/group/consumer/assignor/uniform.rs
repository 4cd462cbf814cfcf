//! The `uniform` assignor (Kafka's `UniformAssignor`): balance first, then stickiness.
//!
//! All members subscribe to the same topics: shares differ by one at most, and a member gives up only what exceeds its share
//! (`UniformHomogeneousAssignmentBuilder`, here). Subscriptions differ: topic by topic the most loaded give to the least loaded
//! (`UniformHeterogeneousAssignmentBuilder`, in `heterogeneous`).

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use uuid::Uuid;

use super::Spec;
use crate::coordinator::group::consumer::member::Assignment;

mod heterogeneous;
mod levels;

pub(super) fn assign(spec: &Spec) -> BTreeMap<Arc<str>, Assignment> {
    if spec.is_homogeneous { homogeneous(spec) } else { heterogeneous::assign(spec) }
}

fn homogeneous(spec: &Spec) -> BTreeMap<Arc<str>, Assignment> {
    let mut target: BTreeMap<Arc<str>, Assignment> =
        spec.members.iter().map(|(id, member)| (id.clone(), spec.kept(member))).collect();
    let total: usize = spec.topics.values().map(|count| usize::try_from(*count).unwrap_or(0)).sum();
    let members = target.len().max(1);
    let (share, mut extra) = (total / members, total % members);
    let mut free = unassigned(spec, &target);
    let mut lacking = Vec::with_capacity(target.len());
    for (place, (id, assignment)) in target.iter_mut().enumerate() {
        // One more than the share is for those who have it already, as long as enough others are left to take it.
        let takes_extra = extra > 0 && (size(assignment) > share || members - place <= extra);
        extra -= usize::from(takes_extra);
        let quota = share + usize::from(takes_extra);
        free.extend(shrink(assignment, quota));
        lacking.push((id.clone(), quota - size(assignment)));
    }
    let mut free = free.into_iter();
    for (id, missing) in lacking {
        for (topic, partition) in free.by_ref().take(missing) {
            target.entry(id.clone()).or_default().entry(topic).or_default().insert(partition);
        }
    }
    target
}

/// Takes all partitions but the first `quota` away; returns them in order.
fn shrink(assignment: &mut Assignment, quota: usize) -> Vec<(Uuid, i32)> {
    let all = assignment.iter().flat_map(|(topic, it)| it.iter().map(|partition| (*topic, *partition)));
    let taken: Vec<(Uuid, i32)> = all.skip(quota).collect();
    for (topic, partition) in &taken {
        if let Some(partitions) = assignment.get_mut(topic) {
            partitions.remove(partition);
        }
    }
    assignment.retain(|_, partitions| !partitions.is_empty());
    taken
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
