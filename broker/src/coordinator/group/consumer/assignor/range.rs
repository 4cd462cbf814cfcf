//! The `range` assignor (Kafka's `RangeAssignor`): topic by topic, each subscriber gets a stretch of partitions, the first few
//! one more than the others. What a member had it keeps, lowest numbers first, as long as its share allows: so members keep
//! the same numbers in topics of equal size, and joins of co-partitioned topics stay together.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use uuid::Uuid;

use super::Spec;
use crate::coordinator::group::consumer::member::Assignment;

pub(super) fn assign(spec: &Spec) -> BTreeMap<Arc<str>, Assignment> {
    let mut target: BTreeMap<Arc<str>, Assignment> =
        spec.members.keys().map(|id| (id.clone(), Assignment::new())).collect();
    let kept: BTreeMap<&str, Assignment> =
        spec.members.iter().map(|(id, member)| (&**id, spec.kept(member))).collect();
    for (topic, subscribers) in spec.subscribers() {
        let count = spec.topics.get(&topic).copied().unwrap_or(0);
        for (id, partitions) in assign_topic(topic, count, &subscribers, &kept) {
            if !partitions.is_empty() {
                target.entry(id).or_default().insert(topic, partitions);
            }
        }
    }
    target
}

fn assign_topic(
    topic: Uuid,
    count: i32,
    subscribers: &[Arc<str>],
    kept: &BTreeMap<&str, Assignment>,
) -> BTreeMap<Arc<str>, BTreeSet<i32>> {
    let partitions = usize::try_from(count).unwrap_or(0);
    let (share, mut extra) = (partitions / subscribers.len(), partitions % subscribers.len());
    let mut given: BTreeMap<Arc<str>, BTreeSet<i32>> = BTreeMap::new();
    let mut free: BTreeSet<i32> = (0..count).collect();
    let mut unfilled = Vec::new();
    for id in subscribers {
        let had = kept.get(&**id).and_then(|assignment| assignment.get(&topic));
        let had_count = had.map_or(0, BTreeSet::len);
        let keeps_extra = had_count > share && extra > 0;
        extra -= usize::from(keeps_extra);
        let keeps: BTreeSet<i32> =
            had.into_iter().flatten().take(share + usize::from(keeps_extra)).copied().collect();
        free.retain(|partition| !keeps.contains(partition));
        if !keeps_extra {
            unfilled.push((id, share - keeps.len()));
        }
        given.insert(id.clone(), keeps);
    }
    let mut free = free.into_iter();
    for (id, missing) in unfilled {
        let gets_extra = extra > 0;
        extra -= usize::from(gets_extra);
        let more = free.by_ref().take(missing + usize::from(gets_extra));
        given.entry(id.clone()).or_default().extend(more);
    }
    given
}
