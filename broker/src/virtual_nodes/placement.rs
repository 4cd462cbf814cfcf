//! The replicas of one partition: who leads, who is in sync. A value; who is up is told by the caller.

use std::ops::Range;

use super::Placement;

/// See the module.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Replicas {
    /// The preferred leader first.
    replicas: Vec<i32>,
    in_sync: Vec<i32>,
    leader: Option<i32>,
}

/// Where a partition lives that nobody assigned: leaders go round by partition, as with Kafka's `StripedReplicaPlacer`, and
/// begin elsewhere for each topic.
pub(super) fn striped(ids: &Range<i32>, (topic, partition): (u32, i32), factor: usize) -> Vec<i32> {
    let start = u64::from(topic) + u64::from(partition.unsigned_abs());
    let count = ids.len();
    let first = usize::try_from(start % u64::try_from(count).unwrap_or(1)).unwrap_or_default();
    ids.clone().cycle().skip(first).take(factor.clamp(1, count)).collect()
}

impl Replicas {
    /// `replicas` is not empty; none of them counts as in sync that is down, unless all are.
    pub(super) fn new(replicas: Vec<i32>, is_up: impl Fn(i32) -> bool) -> Self {
        let up: Vec<i32> = replicas.iter().copied().filter(|id| is_up(*id)).collect();
        let in_sync = if up.is_empty() { replicas.iter().copied().take(1).collect() } else { up.clone() };
        Self { leader: up.first().copied(), in_sync, replicas }
    }

    /// As they were left: `leader`, one of `replicas`, leads unless it is down and another is up.
    pub(super) fn led(replicas: Vec<i32>, leader: i32, is_up: impl Fn(i32) -> bool) -> Self {
        let mut placed = Self::new(replicas, &is_up);
        if is_up(leader) {
            placed.leader = Some(leader);
        } else if placed.leader.is_none() {
            placed.in_sync = vec![leader];
        }
        placed
    }

    /// Takes the place of what was; true when the leader changed.
    pub(super) fn replaced(&mut self, by: Self) -> bool {
        let before = std::mem::replace(self, by).leader;
        self.leader != before
    }

    /// Takes in that nodes went down or came up; true when the leader changed. The last in-sync replica stays one when it
    /// goes down, and no other leads before it is back (Kafka without unclean elections).
    pub(super) fn settle(&mut self, is_up: impl Fn(i32) -> bool) -> bool {
        let before = self.leader;
        self.leader = self.leader.filter(|leader| is_up(*leader) && self.replicas.contains(leader));
        if self.leader.is_none() {
            self.leader = self.in_sync.iter().copied().find(|id| is_up(*id) && self.replicas.contains(id));
        }
        if self.leader.is_some() {
            self.in_sync = self.replicas.iter().copied().filter(|id| is_up(*id)).collect();
        }
        self.leader != before
    }

    /// Makes `node`, which is up, the leader; true when it was not. A node that has no replica gets the old leader's, and is
    /// preferred where that was.
    pub(super) fn lead(&mut self, node: i32, is_up: impl Fn(i32) -> bool) -> bool {
        if self.leader == Some(node) {
            return false;
        }
        if !self.replicas.contains(&node) {
            let old = self.leader.and_then(|old| self.replicas.iter().position(|id| *id == old)).unwrap_or(0);
            self.replicas[old] = node;
        }
        self.leader = Some(node);
        self.in_sync = self.replicas.iter().copied().filter(|id| is_up(*id)).collect();
        true
    }

    /// Moves the partition to `replicas`; true when the leader changed. They hold the same log, so they are in sync at once.
    pub(super) fn reassign(&mut self, replicas: Vec<i32>, is_up: impl Fn(i32) -> bool) -> bool {
        self.in_sync.clone_from(&replicas);
        self.replicas = replicas;
        self.settle(is_up)
    }

    pub(super) fn leader(&self) -> Option<i32> {
        self.leader
    }

    /// Who leads, or will lead when it is up again.
    pub(super) fn last_leader(&self) -> i32 {
        self.leader.or_else(|| self.in_sync.first().copied()).unwrap_or_else(|| self.preferred())
    }

    pub(super) fn replicas(&self) -> &[i32] {
        &self.replicas
    }

    pub(super) fn has(&self, node: i32) -> bool {
        self.replicas.contains(&node)
    }

    pub(super) fn preferred(&self) -> i32 {
        self.replicas[0]
    }

    pub(super) fn placement(&self, leader_epoch: i32, is_up: impl Fn(i32) -> bool) -> Placement {
        Placement {
            leader: self.leader.unwrap_or(-1),
            leader_epoch,
            replicas: self.replicas.clone(),
            in_sync: self.in_sync.clone(),
            offline: self.replicas.iter().copied().filter(|id| !is_up(*id)).collect(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn leaders_go_round_and_replicas_are_different_nodes() {
        let of = |partition, factor| striped(&(1..4), (5, partition), factor);
        assert_eq!([of(0, 1), of(1, 1), of(2, 1), of(3, 1)], [[3], [1], [2], [3]]);
        assert_eq!(of(0, 3), [3, 1, 2]);
        assert_eq!(of(0, 9).len(), 3);
    }

    #[test]
    fn leader_that_goes_down_is_followed_by_an_in_sync_replica_and_does_not_take_over_again() {
        let mut partition = Replicas::new(vec![1, 2, 3], |_| true);
        assert!(partition.settle(|id| id != 1));
        assert_eq!((partition.leader(), partition.in_sync.clone()), (Some(2), vec![2, 3]));
        assert!(!partition.settle(|_| true));
        assert_eq!((partition.leader(), partition.in_sync.clone()), (Some(2), vec![1, 2, 3]));
    }

    #[test]
    fn nobody_leads_while_the_last_in_sync_replica_is_down() {
        let mut partition = Replicas::new(vec![1, 2], |_| true);
        assert!(!partition.settle(|id| id == 1));
        assert!(partition.settle(|_| false));
        assert!(!partition.settle(|id| id == 2), "2 was not in sync");
        assert_eq!((partition.leader(), partition.in_sync.clone()), (None, vec![1]));
        assert_eq!(partition.placement(7, |id| id == 2).offline, [1]);
        assert!(partition.settle(|_| true));
        assert_eq!((partition.leader(), partition.in_sync.clone()), (Some(1), vec![1, 2]));
    }

    #[test]
    fn node_without_a_replica_takes_the_old_leaders() {
        let mut partition = Replicas::new(vec![1, 2], |_| true);
        assert!(partition.lead(3, |_| true));
        assert!(!partition.lead(3, |_| true));
        assert_eq!((partition.leader(), partition.replicas.clone()), (Some(3), vec![3, 2]));
        assert!(partition.lead(2, |_| true));
        assert_eq!((partition.replicas.clone(), partition.preferred()), (vec![3, 2], 3));
        assert!(partition.reassign(vec![1, 3], |id| id != 1));
        assert_eq!((partition.leader(), partition.in_sync), (Some(3), vec![3]));
    }
}
