//! Who leads a partition that was written to in the wrong place, told with the error (KIP-951).
//!
//! Called by `produce` where a process plays several nodes; with one there is nothing to tell.

use std::collections::BTreeSet;

use protocol::messages::produce_response::{LeaderIdAndEpoch, NodeEndpoint, TopicProduceResponse};
use protocol::{ErrorCode, StrBytes};

use crate::api::RequestContext;
use crate::broker::Broker;
use crate::topics;
use crate::virtual_nodes::{NodeAddress, Placement};

/// First version that can be told.
const FIRST_VERSION: i16 = 10;

/// The nodes that the client can be sent to; empty when it is told nothing.
pub(super) fn told(broker: &Broker, context: &RequestContext<'_>) -> Vec<NodeAddress> {
    let told = broker.virtual_nodes.is_some() && context.version() >= FIRST_VERSION;
    if told { context.connection.nodes(broker) } else { Vec::new() }
}

/// Fills in the leaders; returns where they are.
pub(super) fn tell(
    broker: &Broker,
    nodes: &[NodeAddress],
    responses: &mut [TopicProduceResponse],
) -> Vec<NodeEndpoint> {
    if nodes.is_empty() {
        return Vec::new();
    }
    let mut leaders = BTreeSet::new();
    for response in responses {
        let by_id = response.name.is_empty();
        let Ok(topic) = topics::resolve(&broker.store, by_id, &response.name, response.topic_id) else {
            continue;
        };
        for partition in &mut response.partition_responses {
            if partition.error_code != ErrorCode::NotLeaderOrFollower.code() {
                continue;
            }
            let Some(log) = topic.partition(partition.index) else { continue };
            let Placement { leader, leader_epoch, .. } = broker.placement(&log);
            partition.current_leader =
                LeaderIdAndEpoch::default().with_leader_id(leader.into()).with_leader_epoch(leader_epoch);
            leaders.insert(leader);
        }
    }
    let endpoint = |node: &NodeAddress| {
        NodeEndpoint::default()
            .with_node_id(node.id.into())
            .with_host(node.host.clone())
            .with_port(i32::from(node.port))
            .with_rack(broker.config.broker_rack.clone().map(StrBytes::from_string))
    };
    nodes.iter().filter(|node| leaders.contains(&node.id)).map(endpoint).collect()
}
