//! ElectLeaders (43), versions 0 to 2: elections of partition leaders.
//!
//! Where one broker leads everything, a partition that is named is ELECTION_NOT_NEEDED or unknown, with Kafka's sentences
//! (`ReplicationControlManager.electLeaders`); among virtual nodes its preferred replica leads again. Without a list all
//! partitions are meant, and only those are answered that were elected anew. Version 1 adds the type of election and an error
//! for the whole request; an unclean election is never needed, since replicas share one log.

use std::sync::Arc;

use protocol::layout::Layout;
use protocol::messages::elect_leaders_request::TopicPartitions;
use protocol::messages::elect_leaders_response::{PartitionResult, ReplicaElectionResult};
use protocol::messages::{ApiKey, ElectLeadersRequest, ElectLeadersResponse, TopicName};
use protocol::{ErrorCode, StrBytes, layouts};

use storage::{PartitionLog, Topic};

use super::{Api, Reply, RequestContext};
use crate::broker::Broker;
use crate::virtual_nodes::{NodeError, elect_preferred, keep};

/// As against unclean.
const PREFERRED: i8 = 0;
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
            let response = ElectLeadersResponse::default().with_error_code(ErrorCode::InvalidRequest.code());
            let asked = request.topic_partitions.unwrap_or_default().into_iter();
            let refused = asked.map(|topic| refused(request.election_type, topic)).collect();
            return context.reply(&response.with_replica_election_results(refused));
        }
        let preferred = request.election_type == PREFERRED;
        let results = match request.topic_partitions {
            Some(asked) => asked.into_iter().map(|topic| result(broker, preferred, topic)).collect(),
            None => all(broker, preferred),
        };
        keep(broker);
        context.reply(&ElectLeadersResponse::default().with_replica_election_results(results))
    }
}

fn refused(election_type: i8, asked: TopicPartitions) -> ReplicaElectionResult {
    let message = StrBytes::from_string(format!("Unknown election type {election_type}"));
    let partitions = asked.partitions.into_iter().map(|index| {
        PartitionResult::default()
            .with_partition_id(index)
            .with_error_code(ErrorCode::InvalidRequest.code())
            .with_error_message(Some(message.clone()))
    });
    ReplicaElectionResult::default().with_partition_result(partitions.collect()).with_topic(asked.topic)
}

/// Those that were elected anew.
fn all(broker: &Broker, preferred: bool) -> Vec<ReplicaElectionResult> {
    let of = |topic: &Arc<Topic>| {
        let logs = topic.partitions();
        let elected = logs.iter().filter(|log| elect(broker, preferred, log).0 == ErrorCode::None);
        let elected = elected.map(|log| {
            PartitionResult::default().with_partition_id(log.partition()).with_error_message(None)
        });
        let name = TopicName(StrBytes::from_string(topic.name().to_string()));
        ReplicaElectionResult::default().with_topic(name).with_partition_result(elected.collect())
    };
    let topics = broker.store.topics();
    topics.iter().map(of).filter(|result| !result.partition_result.is_empty()).collect()
}

fn result(broker: &Broker, preferred: bool, asked: TopicPartitions) -> ReplicaElectionResult {
    let name = asked.topic.as_str();
    let topic = broker.store.topic(name);
    let partitions = asked.partitions.iter().map(|index| {
        let (error, message) = match &topic {
            None => (ErrorCode::UnknownTopicOrPartition, format!("No such topic as {name}")),
            Some(topic) => match topic.partition(*index) {
                None => (ErrorCode::UnknownTopicOrPartition, format!("No such partition as {name}-{index}")),
                Some(log) => elect(broker, preferred, &log),
            },
        };
        PartitionResult::default()
            .with_partition_id(*index)
            .with_error_code(error.code())
            .with_error_message((!message.is_empty()).then(|| StrBytes::from_string(message)))
    });
    let partitions = partitions.collect();
    ReplicaElectionResult::default().with_partition_result(partitions).with_topic(asked.topic)
}

/// The preferred replica, where there are several; one broker leads what it has.
fn elect(broker: &Broker, preferred: bool, log: &PartitionLog) -> (ErrorCode, String) {
    let nodes = broker.virtual_nodes.as_ref().filter(|_| preferred);
    let elected = nodes.map(|nodes| elect_preferred(broker, nodes, log));
    match elected {
        Some(Ok(())) => (ErrorCode::None, String::new()),
        Some(Err(NodeError::Down(_))) => {
            (ErrorCode::PreferredLeaderNotAvailable, "The preferred leader was not available.".to_owned())
        }
        Some(Err(_)) | None => {
            (ErrorCode::ElectionNotNeeded, "Leader election not needed for topic partition.".to_owned())
        }
    }
}
