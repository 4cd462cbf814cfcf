//! The target assignment of a share group (Kafka's `SimpleAssignor`): every partition has as many readers as every other, and
//! every member as many partitions as every other, each give or take one; what is assigned already stays where it can.
//!
//! With more members than partitions, partitions are shared. Members that subscribe to different topics are balanced topic by
//! topic, members that subscribe to the same topics over all of their partitions at once. Kafka goes through hash tables, here
//! members and partitions come in order: of the assignments that Kafka may compute, this is always the same one.
//!
//! **Invariant:** every assignable partition of a topic with a subscriber has a reader.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use uuid::Uuid;

use crate::coordinator::group::consumer::member::Assignment;

/// What there is to be assigned, and to whom.
#[derive(Debug, Default)]
pub(super) struct Subscriptions {
    /// Topics that a member subscribes to, and what it was assigned last.
    pub(super) members: BTreeMap<Arc<str>, (BTreeSet<Uuid>, Assignment)>,
    /// For every topic in `members` the partitions that may be assigned.
    pub(super) assignable: BTreeMap<Uuid, BTreeSet<i32>>,
}

/// The new assignment of every member.
pub(super) fn assign(subscriptions: &Subscriptions) -> BTreeMap<Arc<str>, Assignment> {
    let members: Vec<_> = subscriptions.members.iter().collect();
    let mut assigned = vec![Assignment::new(); members.len()];
    let mut balance = |subscribers: Vec<usize>, partitions: Vec<(Uuid, i32)>| {
        let had = |index: &usize| {
            let current = &members[*index].1.1;
            let has =
                |at: usize| current.get(&partitions[at].0).is_some_and(|it| it.contains(&partitions[at].1));
            (0..partitions.len()).filter(|at| has(*at)).collect()
        };
        let had = subscribers.iter().map(had).collect();
        for (index, has) in subscribers.iter().zip(Balance::new(had, partitions.len()).balanced()) {
            for (topic, partition) in has.into_iter().map(|at| partitions[at]) {
                assigned[*index].entry(topic).or_default().insert(partition);
            }
        }
    };
    let of = |topic: &Uuid| {
        let partitions = subscriptions.assignable.get(topic).into_iter().flatten();
        partitions.map(|partition| (*topic, *partition)).collect::<Vec<_>>()
    };
    let is_homogeneous = members.windows(2).all(|pair| pair[0].1.0 == pair[1].1.0);
    if is_homogeneous {
        let all = members.first().map(|member| member.1.0.iter().flat_map(of).collect());
        balance((0..members.len()).collect(), all.unwrap_or_default());
    } else {
        for topic in subscriptions.assignable.keys() {
            let subscribes = |index: &usize| members[*index].1.0.contains(topic);
            balance((0..members.len()).filter(subscribes).collect(), of(topic));
        }
    }
    members.iter().map(|(id, _)| Arc::clone(id)).zip(assigned).collect()
}

/// Members and partitions by number.
struct Balance {
    /// By member: its partitions.
    has: Vec<BTreeSet<usize>>,
    /// By partition: its readers.
    readers: Vec<BTreeSet<usize>>,
    /// Readers that each partition should have.
    sharing: usize,
    /// By member: partitions that it should have.
    wanted: Vec<usize>,
}

impl Balance {
    fn new(has: Vec<BTreeSet<usize>>, partitions: usize) -> Self {
        let members = has.len();
        let sharing = if partitions == 0 { 0 } else { members.div_ceil(partitions) };
        let share_of_first = |count: usize| (sharing * partitions * count).div_ceil(members);
        let wanted = (0..members).map(|member| share_of_first(member + 1) - share_of_first(member)).collect();
        let mut readers = vec![BTreeSet::new(); partitions];
        for (member, its) in has.iter().enumerate() {
            for partition in its {
                readers[*partition].insert(member);
            }
        }
        Self { has, readers, sharing, wanted }
    }

    fn balanced(mut self) -> Vec<BTreeSet<usize>> {
        for member in 0..self.has.len() {
            while self.has[member].len() > self.wanted[member] {
                let Some(partition) = self.has[member].pop_last() else { break };
                self.readers[partition].remove(&member);
            }
        }
        for partition in 0..self.readers.len() {
            while self.readers[partition].len() > self.sharing {
                let Some(member) = self.readers[partition].pop_last() else { break };
                self.has[member].remove(&partition);
            }
        }
        self.fill();
        self.has
    }

    /// Gives partitions that have too few readers to members that have too few partitions, in turn. A partition that all of
    /// those have already stays with fewer readers.
    fn fill(&mut self) {
        let is_unfilled = |member: &usize| self.has[*member].len() < self.wanted[*member];
        let mut unfilled: std::collections::VecDeque<usize> =
            (0..self.has.len()).filter(is_unfilled).collect();
        for partition in 0..self.readers.len() {
            let mut passed_over = 0;
            while self.readers[partition].len() < self.sharing && passed_over < unfilled.len() {
                let Some(member) = unfilled.pop_front() else { return };
                if self.readers[partition].insert(member) {
                    self.has[member].insert(partition);
                    passed_over = 0;
                } else {
                    passed_over += 1;
                }
                if self.has[member].len() < self.wanted[member] {
                    unfilled.push_back(member);
                }
            }
        }
    }
}

#[cfg(test)]
mod tests;
