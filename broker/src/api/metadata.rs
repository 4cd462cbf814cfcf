//! Metadata (3), versions 0 to 13: this broker or the virtual nodes that it plays, which topics there are, who leads their partitions.
//!
//! Version 0 asks for all topics with an empty list, later ones with null, and then an empty list asks for none. A topic
//! asked for by name is created when the request and the broker allow it, and is in the same answer: Kafka answers
//! UNKNOWN_TOPIC_OR_PARTITION first, which not every client retries. The answer waits until the creation is durable. From
//! version 12 topics may be asked for by id; an id at an earlier version is INVALID_REQUEST (`KafkaApis`). A topic that is
//! asked for twice is answered once. Version 8 tells what the client may do, when asked.
//!
//! Deliberate gaps: none.

use std::collections::BTreeSet;
use std::sync::Arc;

use protocol::layout::Layout;
use protocol::messages::metadata_request::MetadataRequestTopic;
use protocol::messages::metadata_response::{
    MetadataResponseBroker, MetadataResponsePartition, MetadataResponseTopic,
};
use protocol::messages::{ApiKey, BrokerId, MetadataRequest, MetadataResponse, TopicName};
use protocol::{ErrorCode, StrBytes, layouts};
use storage::{Position, Topic};
use uuid::Uuid;

use super::authorized_operations;
use super::{Api, Reply, RequestContext, Response};
use crate::broker::Broker;
use crate::topics;
use crate::virtual_nodes::Placement;

pub(super) struct Metadata;

impl Api for Metadata {
    type Request = MetadataRequest;
    type Response = MetadataResponse;
    const KEY: ApiKey = ApiKey::Metadata;
    const LAYOUT: &'static Layout = &layouts::data::METADATA;

    fn handle(broker: &Arc<Broker>, context: &RequestContext<'_>, request: MetadataRequest) -> Reply {
        let version = context.version();
        let all = match &request.topics {
            None => true,
            Some(topics) => version == 0 && topics.is_empty(),
        };
        let asked = request.topics.unwrap_or_default();
        if let Some(error) = refusal(version, &asked) {
            return context.reply(&refused(asked, error));
        }
        let mut durable = None;
        let mut topics: Vec<_> = if all {
            broker.store.topics().iter().map(|topic| described(broker, topic)).collect()
        } else {
            let create = version < 4 || request.allow_auto_topic_creation;
            answers(broker, create, asked, &mut durable)
        };
        if request.include_topic_authorized_operations {
            // Not where only an id is known (`KafkaApis`).
            for topic in topics.iter_mut().filter(|topic| topic.name.is_some()) {
                topic.topic_authorized_operations = authorized_operations::TOPIC;
            }
        }
        let nodes = context.connection.nodes(broker);
        let controller = nodes.first().map_or(-1, |node| node.id);
        let nodes = nodes.into_iter().map(|node| {
            MetadataResponseBroker::default()
                .with_node_id(BrokerId(node.id))
                .with_host(node.host)
                .with_port(i32::from(node.port))
                .with_rack(broker.config.broker_rack.clone().map(StrBytes::from_string))
        });
        let mut response = MetadataResponse::default()
            .with_brokers(nodes.collect())
            .with_cluster_id(Some(StrBytes::from_string(broker.cluster_id.clone())))
            .with_controller_id(BrokerId(controller))
            .with_topics(topics);
        if request.include_cluster_authorized_operations {
            response.cluster_authorized_operations = authorized_operations::CLUSTER;
        }
        Reply::when_acknowledged(broker, durable, move |outcome| {
            Response::encode(&with_outcome(response, outcome), version)
        })
    }
}

/// Why a request is answered with nothing but an error. From version 12 on names do not count beside an id, and a missing
/// name without one is an accident in Kafka.
fn refusal(version: i16, asked: &[MetadataRequestTopic]) -> Option<ErrorCode> {
    let by_id = asked.iter().any(|topic| !topic.topic_id.is_nil());
    let nameless = asked.iter().any(|topic| topic.name.is_none());
    match version {
        ..12 => (by_id || nameless).then_some(ErrorCode::InvalidRequest),
        _ => (!by_id && nameless).then_some(ErrorCode::UnknownServerError),
    }
}

/// Kafka's `MetadataRequest.getErrorResponse`: not even the brokers.
fn refused(asked: Vec<MetadataRequestTopic>, error: ErrorCode) -> MetadataResponse {
    let topics = asked.into_iter().map(|topic| {
        MetadataResponseTopic::default()
            .with_error_code(error.code())
            .with_name(Some(topic.name.unwrap_or_default()))
            .with_topic_id(topic.topic_id)
    });
    MetadataResponse::default().with_controller_id(BrokerId(-1)).with_topics(topics.collect())
}

/// The topics asked for, each once. As soon as one is asked for by id, names do not count.
fn answers(
    broker: &Broker,
    create: bool,
    asked: Vec<MetadataRequestTopic>,
    durable: &mut Option<Position>,
) -> Vec<MetadataResponseTopic> {
    let ids: BTreeSet<Uuid> = asked.iter().map(|topic| topic.topic_id).filter(|id| !id.is_nil()).collect();
    if ids.is_empty() {
        let mut seen = BTreeSet::new();
        let names = asked.into_iter().filter_map(|topic| topic.name).filter(|name| seen.insert(name.clone()));
        return names.map(|name| answer(broker, create, name, durable)).collect();
    }
    let by_id = |id| match broker.store.topic_by_id(id) {
        Some(topic) => described(broker, &topic),
        None => MetadataResponseTopic::default()
            .with_error_code(ErrorCode::UnknownTopicId.code())
            .with_name(None)
            .with_topic_id(id),
    };
    ids.into_iter().map(by_id).collect()
}

fn answer(
    broker: &Broker,
    create: bool,
    name: TopicName,
    durable: &mut Option<Position>,
) -> MetadataResponseTopic {
    match topics::find_or_create(broker, &name, create) {
        Ok((topic, created)) => {
            *durable = (*durable).max(created);
            described(broker, &topic)
        }
        Err(error) => MetadataResponseTopic::default()
            .with_error_code(error.code())
            .with_is_internal(topics::is_internal(&name))
            .with_name(Some(name)),
    }
}

fn described(broker: &Broker, topic: &Topic) -> MetadataResponseTopic {
    let partitions = topic.partitions();
    let partitions = partitions.iter().map(|partition| {
        let Placement { leader, leader_epoch, replicas, in_sync, offline } = broker.placement(partition);
        let error = if leader < 0 { ErrorCode::LeaderNotAvailable } else { ErrorCode::None };
        MetadataResponsePartition::default()
            .with_error_code(error.code())
            .with_partition_index(partition.partition())
            .with_leader_id(BrokerId(leader))
            .with_leader_epoch(leader_epoch)
            .with_replica_nodes(replicas.into_iter().map(BrokerId).collect())
            .with_isr_nodes(in_sync.into_iter().map(BrokerId).collect())
            .with_offline_replicas(offline.into_iter().map(BrokerId).collect())
    });
    MetadataResponseTopic::default()
        .with_name(Some(TopicName(StrBytes::from_string(topic.name().to_string()))))
        .with_topic_id(topic.id())
        .with_is_internal(topics::is_internal(topic.name()))
        .with_partitions(partitions.collect())
}

/// A creation that is not durable did not happen.
fn with_outcome(mut response: MetadataResponse, outcome: Result<(), ErrorCode>) -> MetadataResponse {
    if let Err(error) = outcome {
        for topic in &mut response.topics {
            topic.error_code = error.code();
            topic.partitions.clear();
        }
    }
    response
}
