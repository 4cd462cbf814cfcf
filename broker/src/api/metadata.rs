//! Metadata (3), versions 0 to 13: this broker, which topics there are, who leads their partitions.
//!
//! Version 0 asks for all topics with an empty list, later ones with null, and then an empty list asks for none. A topic
//! asked for by name is created when the request and the broker allow it, and is in the same answer: Kafka answers
//! UNKNOWN_TOPIC_OR_PARTITION first, which not every client retries. The answer waits until the creation is durable. From
//! version 12 topics may be asked for by id; an id at an earlier version is INVALID_REQUEST (`KafkaApis`).
//!
//! Deliberate gaps: authorized operations are not reported (there are no ACLs yet), so their fields hold -2147483648 as
//! from a broker without authorizer data.

use std::sync::Arc;

use protocol::layout::Layout;
use protocol::messages::metadata_request::MetadataRequestTopic;
use protocol::messages::metadata_response::{
    MetadataResponseBroker, MetadataResponsePartition, MetadataResponseTopic,
};
use protocol::messages::{ApiKey, BrokerId, MetadataRequest, MetadataResponse, TopicName};
use protocol::{ErrorCode, StrBytes, layouts};
use storage::{Position, Topic};

use super::{Api, Reply, RequestContext, Response};
use crate::broker::Broker;
use crate::topics;

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
        let mut durable = None;
        let topics = if all {
            broker.store.topics().iter().map(|topic| described(broker, topic)).collect()
        } else {
            let asked = request.topics.unwrap_or_default();
            let create = version < 4 || request.allow_auto_topic_creation;
            asked.into_iter().map(|topic| answer(broker, version, create, topic, &mut durable)).collect()
        };
        let (host, port) = &context.connection.advertised;
        let node = MetadataResponseBroker::default()
            .with_node_id(BrokerId(broker.config.node_id))
            .with_host(host.clone())
            .with_port(i32::from(*port))
            .with_rack(broker.config.broker_rack.clone().map(StrBytes::from_string));
        let response = MetadataResponse::default()
            .with_brokers(vec![node])
            .with_cluster_id(Some(StrBytes::from_string(broker.cluster_id.clone())))
            .with_controller_id(BrokerId(broker.config.node_id))
            .with_topics(topics);
        Reply::when_acknowledged(broker, durable, move |outcome| {
            Response::encode(&with_outcome(response, outcome), version)
        })
    }
}

fn answer(
    broker: &Broker,
    version: i16,
    create: bool,
    asked: MetadataRequestTopic,
    durable: &mut Option<Position>,
) -> MetadataResponseTopic {
    let by_id = !asked.topic_id.is_nil();
    if version < 12 && (by_id || asked.name.is_none()) {
        return failed(version, asked, ErrorCode::InvalidRequest);
    }
    if by_id {
        return match broker.store.topic_by_id(asked.topic_id) {
            Some(topic) => described(broker, &topic),
            None => failed(version, asked.with_name(None), ErrorCode::UnknownTopicId),
        };
    }
    let Some(name) = &asked.name else {
        return failed(version, asked, ErrorCode::InvalidRequest);
    };
    match topics::find_or_create(broker, name, create) {
        Ok((topic, created)) => {
            *durable = (*durable).max(created);
            described(broker, &topic)
        }
        Err(error) => failed(version, asked, error),
    }
}

/// Only version 12 and later may leave the name out.
fn failed(version: i16, asked: MetadataRequestTopic, error: ErrorCode) -> MetadataResponseTopic {
    let name = if version < 12 { Some(asked.name.unwrap_or_default()) } else { asked.name };
    let internal = name.as_ref().is_some_and(|name| topics::is_internal(name));
    MetadataResponseTopic::default()
        .with_error_code(error.code())
        .with_name(name)
        .with_topic_id(asked.topic_id)
        .with_is_internal(internal)
}

fn described(broker: &Broker, topic: &Topic) -> MetadataResponseTopic {
    let node = BrokerId(broker.config.node_id);
    let partitions = topic.partitions();
    let partitions = partitions.iter().map(|partition| {
        MetadataResponsePartition::default()
            .with_partition_index(partition.partition())
            .with_leader_id(node)
            .with_leader_epoch(partition.leader_epoch())
            .with_replica_nodes(vec![node])
            .with_isr_nodes(vec![node])
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
