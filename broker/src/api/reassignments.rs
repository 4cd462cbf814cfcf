//! AlterPartitionReassignments (45), versions 0 and 1, and ListPartitionReassignments (46), version 0: replicas on other
//! brokers.
//!
//! A partition may be assigned to this broker, which changes nothing, or to virtual nodes, where it is at once; other replicas
//! are INVALID_REPLICA_ASSIGNMENT, and a null list, which cancels, finds NO_REASSIGNMENT_IN_PROGRESS
//! (`ReplicationControlManager.alterPartitionReassignments`). No reassignment is ever listed.

use std::sync::Arc;

use protocol::layout::Layout;
use protocol::messages::alter_partition_reassignments_request::{ReassignablePartition, ReassignableTopic};
use protocol::messages::alter_partition_reassignments_response::{
    ReassignablePartitionResponse, ReassignableTopicResponse,
};
use protocol::messages::{
    AlterPartitionReassignmentsRequest, AlterPartitionReassignmentsResponse, ApiKey,
    ListPartitionReassignmentsRequest, ListPartitionReassignmentsResponse,
};
use protocol::{ErrorCode, StrBytes, layouts};

use super::create_topics::{Failure, check_replicas};
use super::{Api, Reply, RequestContext};
use crate::broker::Broker;
use crate::virtual_nodes;

pub(super) struct AlterPartitionReassignments;
pub(super) struct ListPartitionReassignments;

impl Api for AlterPartitionReassignments {
    type Request = AlterPartitionReassignmentsRequest;
    type Response = AlterPartitionReassignmentsResponse;
    const KEY: ApiKey = ApiKey::AlterPartitionReassignments;
    const LAYOUT: &'static Layout = &layouts::topics::ALTER_PARTITION_REASSIGNMENTS;

    fn handle(
        broker: &Arc<Broker>,
        context: &RequestContext<'_>,
        request: AlterPartitionReassignmentsRequest,
    ) -> Reply {
        // Kafka has an empty sentence for nothing to do, and none for something done.
        let message = request.topics.is_empty().then(StrBytes::default);
        let responses = request.topics.into_iter().map(|topic| answered(broker, topic)).collect();
        virtual_nodes::keep(broker);
        let response = AlterPartitionReassignmentsResponse::default()
            .with_error_message(message)
            .with_allow_replication_factor_change(request.allow_replication_factor_change)
            .with_responses(responses);
        context.reply(&response)
    }
}

fn answered(broker: &Broker, topic: ReassignableTopic) -> ReassignableTopicResponse {
    let partitions = topic.partitions.iter().map(|asked| {
        let response = ReassignablePartitionResponse::default().with_partition_index(asked.partition_index);
        match reassign(broker, topic.name.as_str(), asked) {
            Ok(()) => response.with_error_message(None),
            Err((error, message)) => response
                .with_error_code(error.code())
                .with_error_message((!message.is_empty()).then(|| StrBytes::from_string(message))),
        }
    });
    let partitions = partitions.collect();
    ReassignableTopicResponse::default().with_partitions(partitions).with_name(topic.name)
}

fn reassign(broker: &Broker, name: &str, asked: &ReassignablePartition) -> Result<(), Failure> {
    let unknown = |what: String| (ErrorCode::UnknownTopicOrPartition, what);
    let topic =
        broker.store.topic(name).ok_or_else(|| unknown(format!("Unable to find a topic named {name}.")))?;
    let index = asked.partition_index;
    let log =
        topic.partition(index).ok_or_else(|| unknown(format!("Unable to find partition {name}:{index}.")))?;
    match &asked.replicas {
        Some(replicas) => {
            check_replicas(&broker.config.node_ids(), replicas)?;
            let to = replicas.iter().map(|id| id.0).collect();
            let moved =
                broker.virtual_nodes.as_ref().map(|nodes| virtual_nodes::reassign(broker, nodes, &log, to));
            moved.transpose().map(drop).map_err(|error| (ErrorCode::UnknownServerError, error.to_string()))
        }
        None => Err((ErrorCode::NoReassignmentInProgress, String::new())),
    }
}

impl Api for ListPartitionReassignments {
    type Request = ListPartitionReassignmentsRequest;
    type Response = ListPartitionReassignmentsResponse;
    const KEY: ApiKey = ApiKey::ListPartitionReassignments;
    const LAYOUT: &'static Layout = &layouts::topics::LIST_PARTITION_REASSIGNMENTS;

    fn handle(_: &Arc<Broker>, context: &RequestContext<'_>, _: ListPartitionReassignmentsRequest) -> Reply {
        context.reply(&ListPartitionReassignmentsResponse::default().with_error_message(None))
    }
}
