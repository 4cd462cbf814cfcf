//! What metrics show of groups: states, members, committed offsets.

use super::GroupCoordinator;
use super::rebalances::Rebalances;

/// One group at the moment of the question.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ObservedGroup {
    /// Its id.
    pub group_id: String,
    /// As ListGroups names it.
    pub state: &'static str,
    /// How often it began anew: the generation of a classic group, the group epoch of a consumer or share group.
    pub generation: i32,
    /// How many members it has.
    pub members: usize,
    /// Topic, partition and committed offset, in this order.
    pub offsets: Vec<(String, i32, i64)>,
}

/// All groups, and what they did since the start.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct ObservedGroups {
    /// Those that there are.
    pub groups: Vec<ObservedGroup>,
    /// Why any group, those that are gone too, rebalanced how often.
    pub rebalances: Rebalances,
}

impl GroupCoordinator {
    pub(super) fn observe(&self) -> ObservedGroups {
        let groups = self.shards.iter().flat_map(|shard| shard.groups.values());
        let observed = groups.map(|group| {
            let offsets = group.offsets.iter().flat_map(|(topic, partitions)| {
                partitions
                    .iter()
                    .map(move |(partition, committed)| (topic.to_string(), *partition, committed.offset))
            });
            let (state, members, generation) = match (&group.consumer, &group.share) {
                (Some(consumer), _) => (consumer.state().name(), consumer.len(), consumer.epoch),
                (None, Some(share)) => (share.state(), share.len(), share.epoch),
                (None, None) => (group.state().name(), group.members.len(), group.generation),
            };
            let (group_id, offsets) = (group.id.to_string(), offsets.collect());
            ObservedGroup { group_id, state, generation, members, offsets }
        });
        ObservedGroups { groups: observed.collect(), rebalances: self.rebalances }
    }
}
