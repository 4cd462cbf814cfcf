//! ElectLeaders (43), versions 0 to 2: elections of partition leaders, none of which is ever needed here.
//!
//! A partition that is named is ELECTION_NOT_NEEDED or unknown, with Kafka's sentences
//! (`ReplicationControlManager.electLeaders`). Without a list all partitions are meant, and Kafka answers only for those
//! that were elected anew: none. Version 1 adds the type of election and an error for the whole request.

use std::sync::Arc;

use protocol::layout::Layout;
use protocol::messages::elect_leaders_request::TopicPartitions;
use protocol::messages::elect_leaders_response::{PartitionResult, ReplicaElectionResult};
use protocol::messages::{ApiKey, ElectLeadersRequest, ElectLeadersResponse};
use protocol::{ErrorCode, StrBytes, layouts};

use super::{Api, Reply, RequestContext};
use crate::broker::Broker;

/// Preferred and unclean.
const ELECTION_TYPES: std::ops::RangeInclusive<i8> = 0..=1;

pub(super) struct ElectLeaders;

impl Api for ElectLeaders {
    type Request = ElectLeadersRequest;
    type Response = ElectLeadersResponse;
    const KEY: ApiKey = ApiKey::ElectLeaders;
    const LAYOUT: &'static Layout = &layouts::topics::ELECT_LEADERS;

    fn handle(broker: &Arc<Broker>, context: &RequestContext<'_>, request: ElectLeadersRequest) -> Reply {
        if !ELECTION_TYPES.contains(&request.election_type) {
            let error = ErrorCode::InvalidRequest.code();
            return context.reply(&ElectLeadersResponse::default().with_error_code(error));
        }
        let asked = request.topic_partitions.unwrap_or_default();
        let results = asked.into_iter().map(|topic| result(broker, topic)).collect();
        context.reply(&ElectLeadersResponse::default().with_replica_election_results(results))
    }
}

fn result(broker: &Broker, asked: TopicPartitions) -> ReplicaElectionResult {
    let name = asked.topic.as_str();
    let topic = broker.store.topic(name);
    let partitions = asked.partitions.iter().map(|index| {
        let (error, message) = match &topic {
            None => (ErrorCode::UnknownTopicOrPartition, format!("No such topic as {name}")),
            Some(topic) if topic.partition(*index).is_none() => {
                (ErrorCode::UnknownTopicOrPartition, format!("No such partition as {name}-{index}"))
            }
            Some(_) => {
                (ErrorCode::ElectionNotNeeded, "Leader election not needed for topic partition.".to_owned())
            }
        };
        PartitionResult::default()
            .with_partition_id(*index)
            .with_error_code(error.code())
            .with_error_message(Some(StrBytes::from_string(message)))
    });
    let partitions = partitions.collect();
    ReplicaElectionResult::default().with_partition_result(partitions).with_topic(asked.topic)
}
