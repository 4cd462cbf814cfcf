//! Changing who leads and who is up: what the control API and the admin APIs do to virtual nodes.
//!
//! Invariant: whoever waits for a partition whose leader changed is woken, and finds it elsewhere. Elections and reassignments come
//! by the partition: who asks for them calls `keep` after the last.

use std::sync::Arc;

use serde::Serialize;
use storage::PartitionLog;
use thiserror::Error;
use tokio_util::sync::CancellationToken;

use super::kept::keep;
use super::placement::Replicas;
use super::{Placement, VirtualNodes};
use crate::broker::Broker;

/// Why nothing was changed.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub(crate) enum NodeError {
    #[error("this broker is one node; start it with --brokers 3")]
    OneNode,
    #[error("there is no node {id}; there are {first} to {last}")]
    UnknownNode { id: i32, first: i32, last: i32 },
    #[error("node {0} is down; take it up first")]
    Down(i32),
    #[error("there is no partition {1} of a topic {0}")]
    UnknownPartition(String, i32),
    #[error("the leader is the preferred one")]
    NotNeeded,
}

/// One node as `GET /test/nodes` shows it.
#[derive(Debug, Serialize)]
pub(crate) struct NodeView {
    pub(crate) id: i32,
    pub(crate) up: bool,
    /// Host and port of its first listener.
    pub(crate) address: Option<String>,
    /// Partitions that it leads, those of internal topics included.
    pub(crate) leads: usize,
}

/// All nodes.
///
/// # Errors
/// `OneNode`.
pub(crate) fn overview(broker: &Broker) -> Result<Vec<NodeView>, NodeError> {
    let nodes = nodes(broker)?;
    let listener = broker.config.listeners.first().map_or("", |listener| listener.name.as_str());
    let leaders: Vec<i32> = partitions(broker).iter().map(|log| nodes.placement(log).leader).collect();
    let known = nodes.addresses.get().and_then(|addresses| addresses.get(listener));
    let view = |(index, id): (usize, i32)| {
        let address = known.and_then(|known| known.get(index)).map(|(fixed, port)| match fixed {
            Some(fixed) => fixed.to_string(),
            None => format!("127.0.0.1:{port}"),
        });
        let leads = leaders.iter().filter(|leader| **leader == id).count();
        NodeView { id, up: nodes.lifetime(index).is_some(), address, leads }
    };
    Ok(nodes.ids.clone().enumerate().map(view).collect())
}

/// Makes `node` the leader of a partition, whoever has replicas of it. Returns where it is now.
///
/// # Errors
/// See [`NodeError`].
pub(crate) fn move_leader(
    broker: &Broker,
    topic: &str,
    partition: i32,
    node: i32,
) -> Result<Placement, NodeError> {
    let nodes = nodes(broker)?;
    index(nodes, node)?;
    let unknown = || NodeError::UnknownPartition(topic.to_owned(), partition);
    let log = broker.store.topic(topic).and_then(|topic| topic.partition(partition)).ok_or_else(unknown)?;
    changed(broker, nodes, &log, |replicas, is_up| {
        is_up(node).then(|| replicas.lead(node, is_up)).ok_or(NodeError::Down(node))
    })?;
    keep(broker);
    Ok(nodes.placement(&log))
}

/// Takes a node down, cutting its connections, or up again.
///
/// # Errors
/// `OneNode`, `UnknownNode`.
pub(crate) fn set_up(broker: &Broker, node: i32, up: bool) -> Result<(), NodeError> {
    let nodes = nodes(broker)?;
    let index = index(nodes, node)?;
    {
        let mut state = nodes.state();
        let lifetime = &mut state.up[index];
        match (up, lifetime.is_some()) {
            (true, false) => *lifetime = Some(CancellationToken::new()),
            (false, true) => {
                if let Some(lifetime) = lifetime.take() {
                    lifetime.cancel();
                }
            }
            _ => {}
        }
    }
    for log in partitions(broker) {
        changed(broker, nodes, &log, |replicas, is_up| Ok(replicas.settle(is_up)))?;
    }
    keep(broker);
    Ok(())
}

/// Has the preferred replica lead (ElectLeaders).
///
/// # Errors
/// `NotNeeded`, `Down`.
pub(crate) fn elect_preferred(
    broker: &Broker,
    nodes: &VirtualNodes,
    log: &PartitionLog,
) -> Result<(), NodeError> {
    changed(broker, nodes, log, |replicas, is_up| {
        let preferred = replicas.preferred();
        if replicas.leader() == Some(preferred) {
            return Err(NodeError::NotNeeded);
        }
        is_up(preferred).then(|| replicas.lead(preferred, is_up)).ok_or(NodeError::Down(preferred))
    })
}

/// Moves a partition to other nodes (AlterPartitionReassignments). `to` is not empty and of nodes that there are.
///
/// # Errors
/// None; the signature is that of its siblings.
pub(crate) fn reassign(
    broker: &Broker,
    nodes: &VirtualNodes,
    log: &PartitionLog,
    to: Vec<i32>,
) -> Result<(), NodeError> {
    changed(broker, nodes, log, |replicas, is_up| Ok(replicas.reassign(to, is_up)))
}

/// Does `work`, which says whether the leader changed; then the epoch grows and who waits is woken.
pub(super) fn changed(
    broker: &Broker,
    nodes: &VirtualNodes,
    log: &PartitionLog,
    work: impl FnOnce(&mut Replicas, &dyn Fn(i32) -> bool) -> Result<bool, NodeError>,
) -> Result<(), NodeError> {
    let changed = nodes.with(log, |replicas, is_up| {
        let changed = work(replicas, is_up)?;
        if changed {
            log.raise_leader_epoch(log.leader_epoch() + 1);
        }
        Ok(changed)
    })?;
    if changed {
        broker.waits.partition_changed(log);
    }
    Ok(())
}

pub(super) fn partitions(broker: &Broker) -> Vec<Arc<PartitionLog>> {
    broker.store.topics().iter().flat_map(|topic| topic.partitions().to_vec()).collect()
}

fn nodes(broker: &Broker) -> Result<&VirtualNodes, NodeError> {
    broker.virtual_nodes.as_deref().ok_or(NodeError::OneNode)
}

fn index(nodes: &VirtualNodes, id: i32) -> Result<usize, NodeError> {
    let (first, last) = (nodes.ids.start, nodes.ids.end - 1);
    nodes.ids.clone().position(|known| known == id).ok_or(NodeError::UnknownNode { id, first, last })
}
