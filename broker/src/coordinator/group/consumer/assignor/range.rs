//! The `range` assignor (Kafka's `RangeAssignor`): topic by topic, each subscriber gets a stretch of partitions, the first few
//! one more than the others, whatever they had before. So members have the same numbers in topics of equal size, and joins of
//! co-partitioned topics stay together. Static members come first, in order of their instance ids, and keep their stretches
//! when they come back under other member ids.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use super::Spec;
use crate::coordinator::group::consumer::member::Assignment;

pub(super) fn assign(spec: &Spec) -> BTreeMap<Arc<str>, Assignment> {
    let mut target: BTreeMap<Arc<str>, Assignment> =
        spec.members.keys().map(|id| (id.clone(), Assignment::new())).collect();
    for (topic, mut subscribers) in spec.subscribers() {
        subscribers.sort_by_key(|id| {
            let instance = spec.members.get(id).and_then(|member| member.instance_id.as_deref());
            (instance.is_none(), instance, id.clone())
        });
        let mut partitions = 0..spec.topics.get(&topic).copied().unwrap_or(0);
        let (share, extra) = (partitions.len() / subscribers.len(), partitions.len() % subscribers.len());
        for (place, id) in subscribers.into_iter().enumerate() {
            let stretch: BTreeSet<i32> =
                partitions.by_ref().take(share + usize::from(place < extra)).collect();
            if !stretch.is_empty() {
                target.entry(id).or_default().insert(topic, stretch);
            }
        }
    }
    target
}
