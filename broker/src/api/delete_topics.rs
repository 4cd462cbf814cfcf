//! DeleteTopics (20), versions 1 to 6: topics and all their records, by name, from version 6 also by id.
//!
//! Each topic has its own outcome; the answer waits until the deletions are durable. Fetches that wait on a partition of
//! such a topic are woken and told, groups forget the offsets they committed for it. A name or id given twice, both at once
//! or neither is INVALID_REQUEST for that topic (`ControllerApis.deleteTopics`). With `delete.topic.enable=false` everything
//! is TOPIC_DELETION_DISABLED (before version 3: INVALID_REQUEST).
//!
//! Deliberate gaps: internal topics cannot be deleted (Kafka allows it and loses the groups); `timeout_ms` is not looked at.

use std::collections::HashSet;
use std::sync::Arc;

use protocol::layout::Layout;
use protocol::messages::delete_topics_request::DeleteTopicState;
use protocol::messages::delete_topics_response::DeletableTopicResult;
use protocol::messages::{ApiKey, DeleteTopicsRequest, DeleteTopicsResponse, TopicName};
use protocol::{ErrorCode, StrBytes, layouts};
use storage::{Position, Topic};
use uuid::Uuid;

use super::create_topics::Failure;
use super::{Api, Reply, RequestContext, Response};
use crate::broker::Broker;
use crate::{error_map, topics, virtual_nodes};

pub(super) struct DeleteTopics;

impl Api for DeleteTopics {
    type Request = DeleteTopicsRequest;
    type Response = DeleteTopicsResponse;
    const KEY: ApiKey = ApiKey::DeleteTopics;
    const LAYOUT: &'static Layout = &layouts::topics::DELETE_TOPICS;

    fn handle(broker: &Arc<Broker>, context: &RequestContext<'_>, request: DeleteTopicsRequest) -> Reply {
        let version = context.version();
        let by_name = |name| DeleteTopicState::default().with_name(Some(name));
        let asked: Vec<DeleteTopicState> = if version >= 6 {
            request.topics
        } else {
            request.topic_names.into_iter().map(by_name).collect()
        };
        let twice = named_twice(&asked);
        let (mut durable, mut answered) = (None, HashSet::new());
        let mut results: Vec<DeletableTopicResult> = Vec::with_capacity(asked.len());
        for topic in asked {
            let outcome = if twice.contains(&topic.name) && topic.name.is_some() {
                if !answered.insert(topic.name.clone()) {
                    continue;
                }
                Err((ErrorCode::InvalidRequest, "Duplicate topic name.".to_owned()))
            } else {
                delete(broker, version, &topic, &mut durable)
            };
            results.push(result(topic, outcome));
        }
        if durable.is_some() {
            durable = durable.max(virtual_nodes::keep(broker));
        }
        let deleted =
            results.iter().filter(|result| result.error_code == 0).filter_map(|result| result.name.as_ref());
        let deleted: Vec<String> = deleted.map(|name| name.as_str().to_owned()).collect();
        let ids = results.iter().filter(|result| result.error_code == 0).map(|result| result.topic_id);
        let ids: Vec<Uuid> = ids.collect();
        let Some(durable) = durable else {
            return context.reply(&DeleteTopicsResponse::default().with_responses(results));
        };
        let (groups, acknowledged) = (broker.groups.clone(), broker.waits.acknowledged(durable));
        let share_partitions = broker.share_partitions.clone();
        Reply::Later(Box::pin(async move {
            let outcome = acknowledged.await;
            for topic in deleted {
                groups.topic_deleted(topic).await;
            }
            for topic in ids {
                share_partitions.topic_deleted(topic).await;
            }
            if outcome.is_err() {
                results.iter_mut().filter(|result| result.error_code == 0).for_each(|result| {
                    result.error_code = ErrorCode::KafkaStorageError.code();
                });
            }
            Response::encode(&DeleteTopicsResponse::default().with_responses(results), version)
        }))
    }
}

fn named_twice(asked: &[DeleteTopicState]) -> HashSet<Option<TopicName>> {
    let mut once = HashSet::new();
    asked.iter().map(|topic| topic.name.clone()).filter(|name| !once.insert(name.clone())).collect()
}

fn delete(
    broker: &Broker,
    version: i16,
    asked: &DeleteTopicState,
    durable: &mut Option<Position>,
) -> Result<Arc<Topic>, Failure> {
    let topic = find(broker, version, asked)?;
    if topics::is_internal(topic.name()) {
        let why = format!("{} is an internal topic and cannot be deleted.", topic.name());
        return Err((ErrorCode::InvalidTopicException, why));
    }
    let position = broker
        .topics
        .delete(&broker.store, &topic)
        .map_err(|error| (error_map::topic_error(&error), error.to_string()))?;
    *durable = (*durable).max(Some(position));
    broker.traffic.forget(topic.number());
    for partition in topic.partitions().iter() {
        broker.waits.partition_changed(partition);
    }
    Ok(topic)
}

fn find(broker: &Broker, version: i16, asked: &DeleteTopicState) -> Result<Arc<Topic>, Failure> {
    let failure = |error, why: &str| (error, why.to_owned());
    if !broker.config.delete_topic_enable {
        let error = if version < 3 { ErrorCode::InvalidRequest } else { ErrorCode::TopicDeletionDisabled };
        return Err(failure(error, "Topic deletion is disabled."));
    }
    match (&asked.name, asked.topic_id.is_nil()) {
        (Some(_), false) => {
            Err(failure(ErrorCode::InvalidRequest, "You may not specify both topic name and topic id."))
        }
        (None, true) => Err(failure(ErrorCode::InvalidRequest, "Neither topic name nor id were specified.")),
        (Some(name), true) => broker.store.topic(name).ok_or_else(|| {
            failure(ErrorCode::UnknownTopicOrPartition, "This server does not host this topic-partition.")
        }),
        (None, false) => broker
            .store
            .topic_by_id(asked.topic_id)
            .ok_or_else(|| failure(ErrorCode::UnknownTopicId, "This server does not host this topic ID.")),
    }
}

fn result(asked: DeleteTopicState, outcome: Result<Arc<Topic>, Failure>) -> DeletableTopicResult {
    match outcome {
        Ok(topic) => {
            let name = TopicName(StrBytes::from_string(topic.name().to_string()));
            DeletableTopicResult::default().with_name(Some(name)).with_topic_id(topic.id())
        }
        Err((error, message)) => DeletableTopicResult::default()
            .with_name(asked.name)
            .with_topic_id(asked.topic_id)
            .with_error_code(error.code())
            .with_error_message(Some(StrBytes::from_string(message))),
    }
}
