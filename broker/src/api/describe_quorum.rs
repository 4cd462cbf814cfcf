//! DescribeQuorum (55), versions 0 to 2: who decides about the cluster's metadata: this broker, alone.
//!
//! The only partition that may be asked for is `__cluster_metadata` 0, as on Kafka; anything else is
//! UNKNOWN_TOPIC_OR_PARTITION for what was named (`KafkaRaftClient.handleDescribeQuorumRequest`). Version 1 adds the times
//! of the last fetch, which for the leader itself are now; 2 the nodes with their addresses.
//!
//! Deliberate gaps: metadata live in the commitlog and have no offsets of their own, so those here are 0; the one address
//! is that of the listener that was asked.

use std::sync::Arc;

use protocol::layout::Layout;
use protocol::messages::describe_quorum_request::TopicData as Asked;
use protocol::messages::describe_quorum_response::{Listener, Node, PartitionData, ReplicaState, TopicData};
use protocol::messages::{ApiKey, BrokerId, DescribeQuorumRequest, DescribeQuorumResponse};
use protocol::{ErrorCode, StrBytes, layouts};

use super::{Api, Reply, RequestContext};
use crate::broker::Broker;

pub(super) const METADATA_TOPIC: &str = "__cluster_metadata";
/// The first term of office, which never ends here.
const LEADER_EPOCH: i32 = 1;

pub(super) struct DescribeQuorum;

impl Api for DescribeQuorum {
    type Request = DescribeQuorumRequest;
    type Response = DescribeQuorumResponse;
    const KEY: ApiKey = ApiKey::DescribeQuorum;
    const LAYOUT: &'static Layout = &layouts::cluster::DESCRIBE_QUORUM;

    fn handle(broker: &Arc<Broker>, context: &RequestContext<'_>, request: DescribeQuorumRequest) -> Reply {
        let version = context.version();
        if !asks_for_metadata(&request.topics) {
            return context
                .reply(&DescribeQuorumResponse::default().with_topics(unknown(version, request.topics)));
        }
        let node = BrokerId(broker.config.node_id);
        let now = broker.clock.now_ms();
        let voter = ReplicaState::default().with_replica_id(node).with_log_end_offset(0);
        let voter = if version >= 1 {
            voter.with_last_fetch_timestamp(now).with_last_caught_up_timestamp(now)
        } else {
            voter
        };
        let partition = PartitionData::default()
            .with_error_message(None)
            .with_leader_id(node)
            .with_leader_epoch(LEADER_EPOCH)
            .with_high_watermark(0)
            .with_current_voters(vec![voter]);
        let topic = TopicData::default()
            .with_topic_name(StrBytes::from_static_str(METADATA_TOPIC).into())
            .with_partitions(vec![partition]);
        let response = DescribeQuorumResponse::default().with_error_message(None).with_topics(vec![topic]);
        if version < 2 {
            return context.reply(&response);
        }
        let (host, port) = context.connection.advertised(broker);
        let name = broker.config.listeners.first().map(|listener| listener.name.clone()).unwrap_or_default();
        let listener =
            Listener::default().with_name(StrBytes::from_string(name)).with_host(host).with_port(port);
        let nodes = vec![Node::default().with_node_id(node).with_listeners(vec![listener])];
        context.reply(&response.with_nodes(nodes))
    }
}

fn asks_for_metadata(topics: &[Asked]) -> bool {
    match topics {
        [topic] if topic.topic_name.as_str() == METADATA_TOPIC => {
            matches!(topic.partitions.as_slice(), [partition] if partition.partition_index == 0)
        }
        _ => false,
    }
}

fn unknown(version: i16, topics: Vec<Asked>) -> Vec<TopicData> {
    let error = ErrorCode::UnknownTopicOrPartition;
    let partition = |index| {
        let message = (version >= 2).then(|| StrBytes::from_string(error.to_string()));
        PartitionData::default()
            .with_partition_index(index)
            .with_error_code(error.code())
            .with_error_message(message)
    };
    let topic = |topic: Asked| {
        let partitions = topic.partitions.iter().map(|asked| partition(asked.partition_index)).collect();
        TopicData::default().with_topic_name(topic.topic_name).with_partitions(partitions)
    };
    topics.into_iter().map(topic).collect()
}
