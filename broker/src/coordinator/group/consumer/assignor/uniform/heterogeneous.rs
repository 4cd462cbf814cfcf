//! `uniform` where subscriptions differ (Kafka's `UniformHeterogeneousAssignmentBuilder`).
//!
//! Everybody keeps what it still subscribes to. Then, topic by topic, the partitions that nobody has go to the least loaded
//! subscribers, and in rounds over all topics the most loaded subscribers give to the least loaded ones, until a whole round
//! moves nothing. Topics with the most partitions for each subscriber come first, then those with the fewest subscribers.

use std::cmp::Ordering;
use std::collections::BTreeMap;
use std::sync::Arc;

use uuid::Uuid;

use super::levels::Levels;
use crate::coordinator::group::consumer::assignor::Spec;
use crate::coordinator::group::consumer::member::Assignment;

/// Kafka's bound: subscriptions that overlap in a long chain may need many rounds for the last bit of balance.
const MAX_ROUNDS: usize = 16;

pub(super) fn assign(spec: &Spec) -> BTreeMap<Arc<str>, Assignment> {
    let mut plan = Plan::kept(spec);
    let topics = plan.topics_in_order();
    plan.assign_free(&topics);
    plan.balance(&topics);
    plan.target(spec)
}

/// An assignment in the making. Members are known by their place among the ids in order.
///
/// **Invariant:** `loads` counts what `owners` says; only subscribers own partitions of a topic.
struct Plan {
    loads: Vec<i64>,
    /// Subscribers of each topic, in order.
    subscribers: BTreeMap<Uuid, Vec<usize>>,
    /// Who has which partition of each topic that has subscribers.
    owners: BTreeMap<Uuid, Vec<Option<usize>>>,
}

impl Plan {
    /// What members have already and still subscribe to.
    fn kept(spec: &Spec) -> Self {
        let mut subscribers: BTreeMap<Uuid, Vec<usize>> = BTreeMap::new();
        for (place, member) in spec.members.values().enumerate() {
            for topic in &member.topics {
                subscribers.entry(*topic).or_default().push(place);
            }
        }
        let unowned = |topic: &Uuid| {
            let count = spec.topics.get(topic).copied().unwrap_or(0);
            vec![None; usize::try_from(count).unwrap_or(0)]
        };
        let owners = subscribers.keys().map(|topic| (*topic, unowned(topic))).collect();
        let mut plan = Self { loads: vec![0; spec.members.len()], subscribers, owners };
        for (place, member) in spec.members.values().enumerate() {
            for (topic, partitions) in spec.kept(member) {
                for partition in partitions.iter().filter_map(|it| usize::try_from(*it).ok()) {
                    plan.give(topic, partition, place);
                }
            }
        }
        plan
    }

    /// Gives the partition to a member, and takes it from the one that has it.
    fn give(&mut self, topic: Uuid, partition: usize, to: usize) {
        let Some(owner) = self.owners.get_mut(&topic).and_then(|owners| owners.get_mut(partition)) else {
            return;
        };
        if let Some(from) = owner.replace(to) {
            self.loads[from] -= 1;
        }
        self.loads[to] += 1;
    }

    /// Topics with subscribers: the most partitions for each subscriber first, then the fewest subscribers, then by id.
    fn topics_in_order(&self) -> Vec<Uuid> {
        let sizes = |topic: &Uuid| (self.owners[topic].len(), self.subscribers[topic].len());
        let mut topics: Vec<Uuid> = self.subscribers.keys().copied().collect();
        topics.sort_by(|one, other| {
            let ((one_partitions, one_members), (other_partitions, other_members)) =
                (sizes(one), sizes(other));
            let by_ratio = (other_partitions * one_members).cmp(&(one_partitions * other_members));
            by_ratio.then(one_members.cmp(&other_members)).then_with(|| compare_ids(*one, *other))
        });
        topics
    }

    fn assign_free(&mut self, topics: &[Uuid]) {
        for topic in topics {
            let owners = self.owners[topic].iter().enumerate();
            let free: Vec<usize> = owners.filter(|(_, owner)| owner.is_none()).map(|(it, _)| it).collect();
            let mut levels = Levels::of(&self.subscribers[topic], &self.loads);
            for partition in free {
                let to = levels.least_loaded(&self.loads);
                self.give(*topic, partition, to);
            }
        }
    }

    /// Rounds over the topics that somebody else could take, until the last one that moved something comes again.
    fn balance(&mut self, topics: &[Uuid]) {
        let movable = topics.iter().filter(|topic| self.subscribers[*topic].len() > 1);
        let movable: Vec<Uuid> = movable.copied().collect();
        let mut last_moved = None;
        for _ in 0..MAX_ROUNDS {
            for (place, topic) in movable.iter().enumerate() {
                if last_moved == Some(place) {
                    return;
                }
                if self.balance_topic(*topic) || last_moved.is_none() {
                    last_moved = Some(place);
                }
            }
        }
    }

    /// Whether a partition of this topic moved.
    fn balance_topic(&mut self, topic: Uuid) -> bool {
        let subscribers = &self.subscribers[&topic];
        let loads = || subscribers.iter().map(|member| self.loads[*member]);
        if loads().max().unwrap_or(0) - loads().min().unwrap_or(0) <= 1 {
            return false;
        }
        let mut levels = Levels::of(subscribers, &self.loads);
        // Those that somebody received meanwhile do not move again.
        let mut givable: BTreeMap<usize, Vec<usize>> = BTreeMap::new();
        for (partition, owner) in self.owners[&topic].iter().enumerate() {
            if let Some(owner) = owner {
                givable.entry(*owner).or_default().push(partition);
            }
        }
        let mut moved = false;
        while let Some(from) = levels.most_loaded(&self.loads) {
            let Some(partition) = givable.get_mut(&from).and_then(Vec::pop) else {
                levels.exclude_most_loaded();
                continue;
            };
            let to = levels.least_loaded(&self.loads);
            if levels.are_balanced() {
                break;
            }
            self.give(topic, partition, to);
            moved = true;
        }
        moved
    }

    fn target(&self, spec: &Spec) -> BTreeMap<Arc<str>, Assignment> {
        let mut target = vec![Assignment::new(); spec.members.len()];
        for (topic, owners) in &self.owners {
            for (partition, owner) in (0..).zip(owners) {
                if let Some(owner) = owner {
                    target[*owner].entry(*topic).or_default().insert(partition);
                }
            }
        }
        spec.members.keys().cloned().zip(target).collect()
    }
}

/// Kafka's ids are two signed numbers.
fn compare_ids(one: Uuid, other: Uuid) -> Ordering {
    let signed = |id: Uuid| {
        let (high, low) = id.as_u64_pair();
        (high.cast_signed(), low.cast_signed())
    };
    signed(one).cmp(&signed(other))
}
