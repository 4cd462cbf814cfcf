//! Handlers as one node has them: is the partition led here, is the group or the transaction coordinated here.
//!
//! Invariant: with one node, and for the broker's own questions, everything is here, and nothing is looked up.

use std::sync::Arc;

use protocol::ErrorCode;
use storage::{PartitionLog, Store};

use super::{NodeAddress, VirtualNodes};
use crate::api::{ConnectionInfo, RequestContext};
use crate::broker::Broker;
use crate::coordinator::partition_for;
use crate::coordinator::runtime::Groups;
use crate::coordinator::transaction_runtime::Transactions;
use crate::coordinator::{group, transaction};
use crate::topics::{OFFSETS_TOPIC, TRANSACTIONS_TOPIC};

/// The node that a request came to.
#[derive(Debug, Clone)]
pub(crate) struct AtNode {
    nodes: Arc<VirtualNodes>,
    store: Arc<Store>,
    id: i32,
}

impl AtNode {
    /// Whether this node leads the partition.
    ///
    /// # Errors
    /// `NOT_LEADER_OR_FOLLOWER`.
    pub(crate) fn check_leader(&self, log: &PartitionLog) -> Result<(), ErrorCode> {
        let here = self.nodes.with(log, |replicas, _| replicas.leader() == Some(self.id));
        if here { Ok(()) } else { Err(ErrorCode::NotLeaderOrFollower) }
    }

    /// Whether this node has a replica of the partition.
    pub(crate) fn has_replica(&self, log: &PartitionLog) -> bool {
        self.nodes.with(log, |replicas, _| replicas.has(self.id))
    }

    /// Whether this node leads the partition of the coordinator's topic that keeps `key`.
    fn coordinates(&self, topic: &str, key: &str) -> bool {
        partition_of(&self.store, topic, key).is_some_and(|log| self.check_leader(&log).is_ok())
    }
}

fn partition_of(store: &Store, topic: &str, key: &str) -> Option<Arc<PartitionLog>> {
    let topic = store.topic(topic)?;
    topic.partition(partition_for(key, i32::try_from(topic.partition_count()).ok()?))
}

/// [`AtNode::check_leader`], where one node leads everything.
pub(crate) fn check_leader(at: Option<&AtNode>, log: &PartitionLog) -> Result<(), ErrorCode> {
    at.map_or(Ok(()), |at| at.check_leader(log))
}

/// The group coordinator as a node has it.
#[derive(Debug, Clone)]
pub(crate) struct GroupsAt {
    groups: Groups,
    at: Option<AtNode>,
}

impl GroupsAt {
    /// Asks the coordinator; of groups that another node coordinates, the answer is `NOT_COORDINATOR`.
    pub(crate) async fn ask(&self, request: group::Request) -> group::Response {
        let Some(at) = &self.at else { return self.groups.ask(request).await };
        match request.group_id() {
            Some(id) if !at.coordinates(OFFSETS_TOPIC, id) => {
                group::Response::refusal(request, ErrorCode::NotCoordinator)
            }
            Some(_) => self.groups.ask(request).await,
            None => match self.groups.ask(request).await {
                group::Response::ListGroups(Ok(mut listed)) => {
                    listed.retain(|group| at.coordinates(OFFSETS_TOPIC, &group.group_id));
                    group::Response::ListGroups(Ok(listed))
                }
                response => response,
            },
        }
    }

    /// Whether groups with this id are asked for here.
    ///
    /// # Errors
    /// `NOT_COORDINATOR`.
    pub(crate) fn check(&self, group_id: &str) -> Result<(), ErrorCode> {
        match &self.at {
            Some(at) if !at.coordinates(OFFSETS_TOPIC, group_id) => Err(ErrorCode::NotCoordinator),
            _ => Ok(()),
        }
    }
}

/// The transaction coordinator as a node has it.
#[derive(Debug, Clone)]
pub(crate) struct TransactionsAt {
    transactions: Transactions,
    at: Option<AtNode>,
}

impl TransactionsAt {
    /// Asks the coordinator; of ids that another node coordinates, the answer is `NOT_COORDINATOR`.
    pub(crate) async fn ask(&self, request: transaction::Request) -> transaction::Response {
        let Some(at) = &self.at else { return self.transactions.ask(request).await };
        match &request {
            transaction::Request::List(_) => match self.transactions.ask(request).await {
                transaction::Response::List(Ok(mut listed)) => {
                    listed.retain(|one| at.coordinates(TRANSACTIONS_TOPIC, &one.transactional_id));
                    transaction::Response::List(Ok(listed))
                }
                response => response,
            },
            about if at.coordinates(TRANSACTIONS_TOPIC, about.transactional_id()) => {
                self.transactions.ask(request).await
            }
            about => transaction::Response::failed(about, ErrorCode::NotCoordinator),
        }
    }
}

impl RequestContext<'_> {
    /// The node that was asked, where there are several.
    pub(crate) fn at(&self, broker: &Broker) -> Option<AtNode> {
        let nodes = broker.virtual_nodes.as_ref()?;
        let id = nodes.id(self.connection.node?);
        Some(AtNode { nodes: Arc::clone(nodes), store: Arc::clone(&broker.store), id })
    }

    /// Id of the node that was asked.
    pub(crate) fn node_id(&self, broker: &Broker) -> i32 {
        self.at(broker).map_or(broker.config.node_id, |at| at.id)
    }

    /// The group coordinator for this request.
    pub(crate) fn groups(&self, broker: &Broker) -> GroupsAt {
        GroupsAt { groups: broker.groups.clone(), at: self.at(broker) }
    }

    /// The transaction coordinator for this request.
    pub(crate) fn transactions(&self, broker: &Broker) -> TransactionsAt {
        TransactionsAt { transactions: broker.transactions.clone(), at: self.at(broker) }
    }

    /// Where the node is that coordinates `key`, a group or a transactional id by `topic`. `None` when there is none.
    pub(crate) fn coordinator(&self, broker: &Broker, topic: &str, key: &str) -> Option<NodeAddress> {
        let nodes = self.connection.nodes(broker);
        if broker.virtual_nodes.is_none() {
            return nodes.into_iter().next();
        }
        let leader = broker.placement(&*partition_of(&broker.store, topic, key)?).leader;
        nodes.into_iter().find(|node| node.id == leader)
    }
}

impl ConnectionInfo {
    /// The nodes of the cluster that are up, as this client can reach them.
    pub(crate) fn nodes(&self, broker: &Broker) -> Vec<NodeAddress> {
        let own = self.advertised(broker);
        match &broker.virtual_nodes {
            Some(nodes) => {
                nodes.addresses(&self.listener, &own, broker.dynamic_advertised(&self.listener).as_ref())
            }
            None => vec![NodeAddress { id: broker.config.node_id, host: own.0, port: own.1 }],
        }
    }
}
