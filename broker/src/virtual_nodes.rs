//! Several nodes in one process for tests: listeners with node ids of their own over one log.
//!
//! Made by `Broker::open_with` when `onelog.brokers` is more than one; a broker of one node holds none, and every handler answers
//! as it always did. Owns which node leads a partition, its replicas and in-sync replicas, and which nodes are up. `at` is what a
//! handler asks, `control` what the control API does, `kept` what a restart finds again. All nodes read and write the same log, so a replica is a name: it is never
//! behind. Invariants: a partition's leader is one of its in-sync replicas and up, or there is none; its leader epoch grows by one
//! whenever the leader changes, under the lock that changes it; which nodes are up does not outlive the process.

mod at;
mod control;
mod kept;
mod placement;

use std::collections::{HashMap, HashSet};
use std::ops::Range;
use std::sync::{Arc, Mutex, MutexGuard, OnceLock};

use protocol::StrBytes;
use storage::{PartitionLog, Topic};
use tokio_util::sync::CancellationToken;

use crate::broker::Broker;
use crate::config::{Config, HostPort};

pub(crate) use at::{AtNode, GroupsAt, TransactionsAt, check_leader};
pub(crate) use control::{NodeError, elect_preferred, move_leader, overview, reassign, set_up};
pub(crate) use kept::{keep, place};
use placement::Replicas;

/// Of each listener by its name: what clients of each node are told, `None` on a wildcard, and the port.
pub(crate) type Addresses = HashMap<Arc<str>, Vec<(Option<HostPort>, u16)>>;

/// What clients are told of a partition.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Placement {
    /// -1 when no in-sync replica is up.
    pub(crate) leader: i32,
    pub(crate) leader_epoch: i32,
    pub(crate) replicas: Vec<i32>,
    pub(crate) in_sync: Vec<i32>,
    /// Replicas on nodes that are down.
    pub(crate) offline: Vec<i32>,
}

/// A node and where it is reached.
#[derive(Debug, Clone)]
pub(crate) struct NodeAddress {
    pub(crate) id: i32,
    pub(crate) host: StrBytes,
    pub(crate) port: u16,
}

/// See the module.
#[derive(Debug)]
pub(crate) struct VirtualNodes {
    ids: Range<i32>,
    /// `default.replication.factor`.
    replication: usize,
    addresses: OnceLock<Addresses>,
    state: Mutex<State>,
}

#[derive(Debug)]
struct State {
    /// By place in `ids`; `None` while the node is down. Cancelled when it goes down.
    up: Vec<Option<CancellationToken>>,
    /// Topics with another replication than the default, by their number.
    replication: HashMap<u32, usize>,
    /// By topic number and partition, once somebody has looked.
    partitions: HashMap<(u32, i32), Replicas>,
}

impl VirtualNodes {
    /// `None` for a broker of one node.
    pub(crate) fn of(config: &Config) -> Option<Arc<Self>> {
        let ids = config.node_ids();
        let up: Vec<_> = ids.clone().map(|_| Some(CancellationToken::new())).collect();
        let replication = config.value("default.replication.factor").and_then(|factor| factor.parse().ok());
        (up.len() > 1).then(|| {
            Arc::new(Self {
                replication: replication.unwrap_or(1).clamp(1, up.len()),
                ids,
                addresses: OnceLock::new(),
                state: Mutex::new(State { up, replication: HashMap::new(), partitions: HashMap::new() }),
            })
        })
    }

    /// Where the nodes listen. Once, before anybody connects.
    pub(crate) fn listen_on(&self, addresses: Addresses) {
        self.addresses.get_or_init(|| addresses);
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().expect("nothing panics under this lock")
    }

    fn id(&self, index: usize) -> i32 {
        self.ids.clone().nth(index).expect("a listener belongs to a node")
    }

    /// As long as the node is up: cancelled when it goes down.
    pub(crate) fn lifetime(&self, index: usize) -> Option<CancellationToken> {
        self.state().up[index].clone()
    }

    /// How many replicas the partitions of a topic get that says nothing.
    pub(crate) fn default_replication(&self) -> usize {
        self.replication
    }

    /// The topic was made with this many replicas of each partition.
    pub(crate) fn replicated(&self, topic_number: u32, factor: usize) {
        self.state().replication.insert(topic_number, factor.clamp(1, self.ids.len()));
    }

    /// The topic was made with these replicas, from partition `first` on.
    pub(crate) fn assigned(&self, topic_number: u32, first: i32, assignments: Vec<Vec<i32>>) {
        let mut state = self.state();
        for (partition, replicas) in (first..).zip(assignments) {
            let placed = Replicas::new(replicas, |id| state.is_up(&self.ids, id));
            state.partitions.insert((topic_number, partition), placed);
        }
    }

    /// Of other topics nothing is known any more: their numbers may be given again.
    pub(crate) fn forget_all_but(&self, topics: &[Arc<Topic>]) {
        let numbers: HashSet<u32> = topics.iter().map(|topic| topic.number()).collect();
        let mut state = self.state();
        state.replication.retain(|number, _| numbers.contains(number));
        state.partitions.retain(|(number, _), _| numbers.contains(number));
    }

    fn with<R>(&self, log: &PartitionLog, work: impl FnOnce(&mut Replicas, &dyn Fn(i32) -> bool) -> R) -> R {
        let mut state = self.state();
        let State { up, replication, partitions } = &mut *state;
        let is_up = |id| is_up(up, &self.ids, id);
        let key = (log.topic_number(), log.partition());
        let replicas = partitions.entry(key).or_insert_with(|| {
            let factor = factor(replication, key.0, self.replication);
            Replicas::new(placement::striped(&self.ids, key, factor), is_up)
        });
        work(replicas, &is_up)
    }

    /// What clients are told of a partition at this moment.
    pub(crate) fn placement(&self, log: &PartitionLog) -> Placement {
        self.with(log, |replicas, is_up| replicas.placement(log.leader_epoch(), is_up))
    }

    /// The nodes that are up: id, and where `listener` of each is, where that is known.
    fn up(&self, listener: &str) -> Vec<(i32, Option<String>)> {
        let state = self.state();
        let known = self.addresses.get().and_then(|addresses| addresses.get(listener));
        let node = |(index, id): (usize, i32)| {
            state.up[index].as_ref()?;
            let (fixed, port) =
                known.and_then(|known| known.get(index)).map_or((&None, 0), |(fixed, port)| (fixed, *port));
            let address = fixed.as_ref().map(ToString::to_string);
            Some((id, address.or_else(|| (port > 0).then(|| format!("127.0.0.1:{port}")))))
        };
        self.ids.clone().enumerate().filter_map(node).collect()
    }

    /// The nodes that are up, as a client sees them that came by `listener` and was told `own`.
    fn addresses(
        &self,
        listener: &str,
        own: &(StrBytes, u16),
        dynamic: Option<&HostPort>,
    ) -> Vec<NodeAddress> {
        let state = self.state();
        let known = self.addresses.get().and_then(|addresses| addresses.get(listener));
        let node = |(index, id): (usize, i32)| {
            state.up[index].as_ref()?;
            let (fixed, port) = known?.get(index)?;
            let (host, port) = match (dynamic, fixed) {
                (Some(first), _) => (StrBytes::from_string(first.host.clone()), port_of(first.port, index)),
                (None, Some(fixed)) => (StrBytes::from_string(fixed.host.clone()), fixed.port),
                (None, None) => (own.0.clone(), *port),
            };
            Some(NodeAddress { id, host, port })
        };
        self.ids.clone().enumerate().filter_map(node).collect()
    }
}

impl State {
    fn is_up(&self, ids: &Range<i32>, id: i32) -> bool {
        is_up(&self.up, ids, id)
    }

    /// How many replicas the partitions of a topic have that nobody assigned.
    fn factor(&self, topic_number: u32, default: usize) -> usize {
        factor(&self.replication, topic_number, default)
    }
}

fn factor(replication: &HashMap<u32, usize>, topic_number: u32, default: usize) -> usize {
    replication.get(&topic_number).copied().unwrap_or(default)
}

fn is_up(up: &[Option<CancellationToken>], ids: &Range<i32>, id: i32) -> bool {
    ids.clone().zip(up).any(|(known, up)| known == id && up.is_some())
}

/// The port of node `index`, where the first node's is `first`: any free one stays any free one.
pub(crate) fn port_of(first: u16, index: usize) -> u16 {
    if first == 0 { 0 } else { first.saturating_add(u16::try_from(index).unwrap_or(u16::MAX)) }
}

impl Broker {
    /// The nodes that are up, with the address of the first listener; `own` is that of a broker of one node.
    pub(crate) fn nodes_up(&self, own: &str) -> Vec<(i32, String)> {
        let listener = self.config.listeners.first().map_or("", |listener| listener.name.as_str());
        match &self.virtual_nodes {
            Some(nodes) => {
                let named = |(id, address): (i32, Option<String>)| (id, address.unwrap_or_default());
                nodes.up(listener).into_iter().map(named).collect()
            }
            None => vec![(self.config.node_id, own.to_owned())],
        }
    }

    /// What clients are told of a partition.
    pub(crate) fn placement(&self, log: &PartitionLog) -> Placement {
        match &self.virtual_nodes {
            Some(nodes) => nodes.placement(log),
            None => {
                let this = self.config.node_id;
                Placement {
                    leader: this,
                    leader_epoch: log.leader_epoch(),
                    replicas: vec![this],
                    in_sync: vec![this],
                    offline: Vec::new(),
                }
            }
        }
    }
}
