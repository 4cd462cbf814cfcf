//! Placements that outlive the process: whoever leads a partition that was moved leads it after a restart.
//!
//! They are in the map of the broker's configs (`stored_configs`), a scope for each topic by its id, partition to
//! `<leader>@<leader epoch>:<replicas>`, and `replication` to the number of replicas that the topic was made with. Written by those who
//! change placements, make topics and delete them, read at the start and when a test goes back to an older log. Invariants: a partition
//! that is where it would be by itself is not stored, nor is the default number of replicas, so nodes that nobody moves anything between
//! store nothing; one node never writes here, and leaves what several nodes stored. Which nodes are up is not kept.

use std::collections::HashMap;
use std::ops::Range;

use storage::{Configs, Position, Store};

use super::VirtualNodes;
use super::control::{changed, partitions};
use super::placement::{Replicas, striped};
use crate::broker::Broker;
use crate::stored_configs::{self, Scope};

/// Stands in the place of a partition, for the number of replicas that a topic was made with.
const REPLICATION: &str = "replication";

/// What the log says.
#[derive(Debug, Default)]
struct Stored {
    /// By topic number and partition.
    placements: HashMap<(u32, i32), Kept>,
    /// Replicas of each partition, by topic number.
    replication: HashMap<u32, usize>,
}

/// Where a partition is.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Kept {
    replicas: Vec<i32>,
    /// One of them.
    leader: i32,
    leader_epoch: i32,
}

/// Has the log say where partitions are, if it says something else. Returns from where on it does, for who must wait until that is
/// durable; a process that is killed forgets nothing that was written.
///
/// A log that takes nothing now, on a full disk, is named in a line: the next change tries again.
pub(crate) fn keep(broker: &Broker) -> Option<Position> {
    let nodes = broker.virtual_nodes.as_ref()?;
    let _one_at_a_time = broker.config_changes.lock().expect("nothing panics under this lock");
    let before = broker.store.broker_configs();
    let after = nodes.kept(&broker.store, &before);
    if after == *before {
        return None;
    }
    let written = broker.store.set_broker_configs(after);
    written.inspect_err(|error| tracing::warn!(%error, "who leads what is forgotten at the next start")).ok()
}

/// Places partitions as the log says: all of them after a start; of those that are placed already, the ones that the log has
/// elsewhere, as a change of their leaders.
pub(crate) fn place(broker: &Broker) {
    let Some(nodes) = &broker.virtual_nodes else { return };
    let Stored { placements: mut stored, replication } = stored(&broker.store, &nodes.ids);
    nodes.state().replication = replication;
    for log in partitions(broker) {
        let key = (log.topic_number(), log.partition());
        let kept = stored.remove(&key);
        let mut state = nodes.state();
        let factor = state.partitions.contains_key(&key).then(|| state.factor(key.0, nodes.replication));
        match (factor, kept) {
            (None, None) => {}
            (None, Some(kept)) => {
                log.raise_leader_epoch(kept.leader_epoch);
                let placed = Replicas::led(kept.replicas, kept.leader, |id| state.is_up(&nodes.ids, id));
                state.partitions.insert(key, placed);
            }
            (Some(factor), kept) => {
                drop(state);
                let by_itself = || by_itself(&nodes.ids, key, factor);
                let (replicas, leader) = kept.map_or_else(by_itself, |kept| (kept.replicas, kept.leader));
                changed(broker, nodes, &log, |now, is_up| {
                    let moved = (now.replicas(), now.last_leader()) != (&replicas[..], leader);
                    Ok(moved && now.replaced(Replicas::led(replicas, leader, is_up)))
                })
                .expect("to be placed is never refused");
            }
        }
    }
}

impl VirtualNodes {
    /// `all` with the placements as they are now.
    fn kept(&self, store: &Store, all: &Configs) -> Configs {
        let mut after = all.clone();
        for id in stored_configs::placements(all) {
            Scope::Placement(&id).replace(&mut after, Configs::new());
        }
        let state = self.state();
        for topic in store.topics() {
            let id = topic.id().to_string();
            let factor = state.factor(topic.number(), self.replication);
            if factor != self.replication {
                after.insert(Scope::Placement(&id).stored_name(REPLICATION), factor.to_string());
            }
            for log in topic.partitions().iter() {
                let key = (topic.number(), log.partition());
                let Some(placed) = state.partitions.get(&key) else { continue };
                let (replicas, leader) = (placed.replicas().to_vec(), placed.last_leader());
                let by_itself = by_itself(&self.ids, key, factor);
                if (&replicas, leader) != (&by_itself.0, by_itself.1) {
                    let kept = Kept { replicas, leader, leader_epoch: log.leader_epoch() };
                    after.insert(Scope::Placement(&id).stored_name(&key.1.to_string()), written(&kept));
                }
            }
        }
        after
    }
}

/// Where a partition is that nobody moved.
fn by_itself(ids: &Range<i32>, key: (u32, i32), factor: usize) -> (Vec<i32>, i32) {
    let replicas = striped(ids, key, factor);
    let leader = replicas[0];
    (replicas, leader)
}

/// What the log says, as far as nodes are there.
fn stored(store: &Store, ids: &Range<i32>) -> Stored {
    let (all, mut stored) = (store.broker_configs(), Stored::default());
    if stored_configs::placements(&all).is_empty() {
        return stored;
    }
    for topic in store.topics() {
        let of_topic = Scope::Placement(&topic.id().to_string()).of(&all);
        let factor = of_topic.get(REPLICATION).and_then(|factor| factor.parse::<usize>().ok());
        stored.replication.extend(factor.map(|factor| (topic.number(), factor)));
        let one = |(partition, text): (&String, &String)| {
            Some(((topic.number(), partition.parse().ok()?), read(text, ids)?))
        };
        stored.placements.extend(of_topic.iter().filter_map(one));
    }
    stored
}

fn written(kept: &Kept) -> String {
    let replicas: Vec<String> = kept.replicas.iter().map(i32::to_string).collect();
    format!("{}@{}:{}", kept.leader, kept.leader_epoch, replicas.join(","))
}

/// Without nodes that are not there; `None` when none of them is.
fn read(text: &str, ids: &Range<i32>) -> Option<Kept> {
    let (leader, replicas) = text.split_once(':')?;
    let (leader, leader_epoch) = leader.split_once('@')?;
    let replicas = replicas.split(',').filter_map(|id| id.parse().ok());
    let replicas: Vec<i32> = replicas.filter(|id| ids.contains(id)).collect();
    let leader = leader.parse().ok().filter(|leader| replicas.contains(leader));
    let leader = leader.or_else(|| replicas.first().copied())?;
    Some(Kept { replicas, leader, leader_epoch: leader_epoch.parse().ok()? })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_written_is_read_without_nodes_that_are_not_there() {
        let kept = |replicas: &[i32], leader| Kept { replicas: replicas.to_vec(), leader, leader_epoch: 7 };
        assert_eq!(written(&kept(&[2, 3, 1], 3)), "3@7:2,3,1");
        assert_eq!(read("3@7:2,3,1", &(1..4)), Some(kept(&[2, 3, 1], 3)));
        assert_eq!(read("3@7:2,3,1", &(1..3)), Some(kept(&[2, 1], 2)));
        assert_eq!(read("1@7:3,1", &(1..3)), Some(kept(&[1], 1)));
        assert_eq!(read("3@7:3", &(1..3)), None);
        assert_eq!((read("", &(1..3)), read("x@y:z", &(1..3)), read("1:1", &(1..3))), (None, None, None));
    }
}
