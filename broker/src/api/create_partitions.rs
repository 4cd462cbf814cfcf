//! CreatePartitions (37), versions 0 to 3: more partitions for topics that are there.
//!
//! `count` is the number a topic shall have in all; every topic asked about is echoed with its own outcome. An assignment
//! names one list of replicas for each new partition, each this broker alone. The answer waits until it is durable.
//! Sentences are those of Kafka (`ReplicationControlManager.createPartitions`).
//!
//! Deliberate gaps: internal topics keep their number (Kafka lets it grow and loses track of groups); `timeout_ms` is not
//! looked at; no quota (3).

use std::collections::HashMap;
use std::sync::Arc;

use protocol::layout::Layout;
use protocol::messages::create_partitions_request::CreatePartitionsTopic;
use protocol::messages::create_partitions_response::CreatePartitionsTopicResult;
use protocol::messages::{ApiKey, CreatePartitionsRequest, CreatePartitionsResponse, TopicName};
use protocol::{ErrorCode, StrBytes, layouts};
use storage::Position;

use super::create_topics::{Failure, check_replicas};
use super::{Api, Reply, RequestContext, Response};
use crate::broker::Broker;
use crate::{error_map, topics, virtual_nodes};

pub(super) struct CreatePartitions;

impl Api for CreatePartitions {
    type Request = CreatePartitionsRequest;
    type Response = CreatePartitionsResponse;
    const KEY: ApiKey = ApiKey::CreatePartitions;
    const LAYOUT: &'static Layout = &layouts::topics::CREATE_PARTITIONS;

    fn handle(broker: &Arc<Broker>, context: &RequestContext<'_>, request: CreatePartitionsRequest) -> Reply {
        let version = context.version();
        let mut times: HashMap<TopicName, usize> = HashMap::new();
        for topic in &request.topics {
            *times.entry(topic.name.clone()).or_default() += 1;
        }
        let allowed =
            topics::check_added_partitions(request.topics.iter().map(|topic| added(broker, topic)).sum());
        let mut durable = None;
        let mut results: Vec<CreatePartitionsTopicResult> = Vec::with_capacity(times.len());
        for topic in request.topics {
            let outcome = match times.remove(&topic.name) {
                Some(1) => allowed.clone().and_then(|()| grow(broker, &topic, request.validate_only)),
                Some(_) => Err((ErrorCode::InvalidRequest, "Duplicate topic name.".to_owned())),
                None => continue,
            };
            results.push(match outcome {
                Ok(position) => {
                    durable = durable.max(position);
                    CreatePartitionsTopicResult::default().with_name(topic.name)
                }
                Err((error, message)) => CreatePartitionsTopicResult::default()
                    .with_name(topic.name)
                    .with_error_code(error.code())
                    .with_error_message((!message.is_empty()).then(|| StrBytes::from_string(message))),
            });
        }
        Reply::when_acknowledged(broker, durable, move |outcome| {
            if let Err(error) = outcome {
                results.iter_mut().filter(|result| result.error_code == 0).for_each(|result| {
                    result.error_code = error.code();
                });
            }
            Response::encode(&CreatePartitionsResponse::default().with_results(results), version)
        })
    }
}

fn added(broker: &Broker, asked: &CreatePartitionsTopic) -> i64 {
    let current = broker.store.topic(&asked.name).map_or(0, |topic| i64::from(topic.partition_count()));
    (i64::from(asked.count) - current).max(0)
}

fn grow(
    broker: &Broker,
    asked: &CreatePartitionsTopic,
    validate_only: bool,
) -> Result<Option<Position>, Failure> {
    let name = asked.name.as_str();
    let topic =
        broker.store.topic(name).ok_or_else(|| (ErrorCode::UnknownTopicOrPartition, String::new()))?;
    if topics::is_internal(name) {
        let why = format!("{name} is an internal topic and keeps its partitions.");
        return Err((ErrorCode::InvalidTopicException, why));
    }
    let current = topic.partition_count();
    let invalid = |why| Err((ErrorCode::InvalidPartitions, why));
    let count = match u32::try_from(asked.count) {
        Ok(count) if count > current => count,
        Ok(count) if count == current => {
            return invalid(format!("Topic already has {current} partition(s)."));
        }
        _ => {
            return invalid(format!(
                "The topic {name} currently has {current} partition(s); {} would not be an increase.",
                asked.count
            ));
        }
    };
    if let Some(assignments) = &asked.assignments {
        let added = usize::try_from(count - current).unwrap_or(usize::MAX);
        if assignments.len() != added {
            let why = format!(
                "Attempted to add {added} additional partition(s), but only {} assignment(s) were specified.",
                assignments.len()
            );
            return Err((ErrorCode::InvalidReplicaAssignment, why));
        }
        for assignment in assignments {
            check_replicas(&broker.config.node_ids(), &assignment.broker_ids)?;
        }
    }
    if validate_only {
        return Ok(None);
    }
    let position = broker.store.add_partitions(&topic, count);
    if let (Ok(_), Some(nodes), Some(assignments)) = (&position, &broker.virtual_nodes, &asked.assignments) {
        let replicas =
            assignments.iter().map(|assignment| assignment.broker_ids.iter().map(|id| id.0).collect());
        nodes.assigned(topic.number(), i32::try_from(current).unwrap_or(i32::MAX), replicas.collect());
        virtual_nodes::keep(broker);
    }
    broker.topics.changes.add(topic.name());
    position.map(Some).map_err(|error| (error_map::topic_error(&error), error.to_string()))
}
