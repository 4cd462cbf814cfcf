//! CreateTopics (19), versions 2 to 7: new topics with partitions, configs and, if wanted, a replica assignment.
//!
//! Each topic has its own outcome; the answer waits until the creations are durable, and by then every API on every
//! connection sees the topics. -1 means the broker's default number of partitions or replicas. An assignment is honoured
//! as far as one broker goes: every partition on this one. Version 5 returns partitions, replicas and all configs, 7 the
//! topic id. Checks, their order and their sentences are those of Kafka (`ControllerApis.createTopics`,
//! `ReplicationControlManager.createTopic`).
//!
//! Deliberate gaps: `timeout_ms` is not looked at, a creation takes one append; no quota (6). A replication factor above 1
//! is refused, except as the default from `default.replication.factor`, which counts as 1.

use std::collections::HashMap;
use std::sync::Arc;

use protocol::layout::Layout;
use protocol::messages::create_topics_request::{CreatableReplicaAssignment, CreatableTopic};
use protocol::messages::create_topics_response::{CreatableTopicConfigs, CreatableTopicResult};
use protocol::messages::{ApiKey, BrokerId, CreateTopicsRequest, CreateTopicsResponse, TopicName};
use protocol::{ErrorCode, StrBytes, layouts};
use storage::{Configs, Position};
use uuid::Uuid;

use super::describe_quorum::METADATA_TOPIC;
use super::{Api, Reply, RequestContext, Response};
use crate::broker::Broker;
use crate::error_map;
use crate::topic_config::{self, BrokerLayers, Source, TOPIC_KEYS};
use crate::topics::{self, CreateError};

pub(super) struct CreateTopics;

/// An error code with Kafka's sentence for it.
pub(super) type Failure = (ErrorCode, String);

impl Api for CreateTopics {
    type Request = CreateTopicsRequest;
    type Response = CreateTopicsResponse;
    const KEY: ApiKey = ApiKey::CreateTopics;
    const LAYOUT: &'static Layout = &layouts::topics::CREATE_TOPICS;

    fn handle(broker: &Arc<Broker>, context: &RequestContext<'_>, request: CreateTopicsRequest) -> Reply {
        let version = context.version();
        let mut times: HashMap<TopicName, usize> = HashMap::new();
        for topic in &request.topics {
            *times.entry(topic.name.clone()).or_default() += 1;
        }
        let allowed = topics::check_added_partitions(request.topics.iter().map(asked_for).sum());
        let mut durable: Option<Position> = None;
        let mut results: Vec<CreatableTopicResult> = Vec::with_capacity(times.len());
        for topic in request.topics {
            let outcome = match times.get(&topic.name) {
                Some(1) => allowed.clone().and_then(|()| create(broker, &topic, request.validate_only)),
                // Named more than once: one error for all of them, at the first.
                Some(_) => Err((ErrorCode::InvalidRequest, "Duplicate topic name.".to_owned())),
                None => continue,
            };
            times.remove(&topic.name);
            results.push(match outcome {
                Ok(created) => {
                    durable = durable.max(created.durable);
                    result(broker, version, topic.name, &created)
                }
                Err(failure) => failed(topic.name, failure),
            });
        }
        Reply::when_acknowledged(broker, durable, move |outcome| {
            if let Err(error) = outcome {
                results.iter_mut().filter(|result| result.error_code == 0).for_each(|result| {
                    *result = failed(std::mem::take(&mut result.name), (error, error.to_string()));
                });
            }
            Response::encode(&CreateTopicsResponse::default().with_topics(results), version)
        })
    }
}

struct Created {
    id: Uuid,
    partitions: u32,
    configs: Configs,
    durable: Option<Position>,
}

fn create(broker: &Broker, asked: &CreatableTopic, validate_only: bool) -> Result<Created, Failure> {
    let name = asked.name.as_str();
    topics::validate_name(name).map_err(|why| (ErrorCode::InvalidTopicException, why))?;
    if name == METADATA_TOPIC {
        let why = format!("Creation of internal topic {name} is prohibited.");
        return Err((ErrorCode::InvalidRequest, why));
    }
    if broker.store.topic(name).is_some() {
        return Err(exists(name));
    }
    if let Some(existing) = broker.topics.collision(name) {
        let message = format!("Topic '{name}' collides with existing topic: {existing}");
        return Err((ErrorCode::InvalidTopicException, message));
    }
    let configs = configs(asked)?;
    let partitions = partitions(broker, asked)?;
    if validate_only {
        return Ok(Created { id: Uuid::nil(), partitions, configs, durable: None });
    }
    match broker.topics.create(&broker.store, name, partitions, configs.clone()) {
        Ok((topic, position)) => Ok(Created { id: topic.id(), partitions, configs, durable: Some(position) }),
        Err(CreateError::Log(storage::TopicError::Exists(_))) => Err(exists(name)),
        Err(error @ CreateError::Collides { .. }) => {
            Err((ErrorCode::InvalidTopicException, error.to_string()))
        }
        Err(CreateError::Log(error)) => Err((error_map::topic_error(&error), error.to_string())),
    }
}

fn exists(name: &str) -> Failure {
    (ErrorCode::TopicAlreadyExists, format!("Topic '{name}' already exists."))
}

fn configs(asked: &CreatableTopic) -> Result<Configs, Failure> {
    let nulls: Vec<&str> = asked
        .configs
        .iter()
        .filter(|config| config.value.is_none())
        .map(|config| config.name.as_str())
        .collect();
    if !nulls.is_empty() {
        let message = format!("Null value not supported for topic configs: {}", nulls.join(","));
        return Err((ErrorCode::InvalidConfig, message));
    }
    let given = asked
        .configs
        .iter()
        .map(|config| (config.name.to_string(), config.value.as_deref().unwrap_or_default().to_owned()))
        .collect();
    topic_config::validate(&given).map_err(|why| (ErrorCode::InvalidConfig, why))
}

/// How many partitions the request names for the topic; 1 stands for the default.
fn asked_for(topic: &CreatableTopic) -> i64 {
    let assigned = i64::try_from(topic.assignments.len()).unwrap_or(i64::MAX);
    assigned.max(i64::from(topic.num_partitions)).max(1)
}

/// How many partitions the topic gets.
fn partitions(broker: &Broker, asked: &CreatableTopic) -> Result<u32, Failure> {
    let invalid = |error, why: &str| Err((error, why.to_owned()));
    if !asked.assignments.is_empty() {
        if asked.replication_factor != -1 {
            let why =
                "A manual partition assignment was specified, but replication factor was not set to -1.";
            return invalid(ErrorCode::InvalidRequest, why);
        }
        if asked.num_partitions != -1 {
            let why = "A manual partition assignment was specified, but numPartitions was not set to -1.";
            return invalid(ErrorCode::InvalidRequest, why);
        }
        return assigned(broker.config.node_id, &asked.assignments);
    }
    match asked.replication_factor {
        -1 | 1 => {}
        factor @ 2.. => return Err((ErrorCode::InvalidReplicationFactor, too_few_brokers(factor))),
        _ => {
            let why = "Replication factor must be larger than 0, or -1 to use the default value.";
            return invalid(ErrorCode::InvalidReplicationFactor, why);
        }
    }
    match asked.num_partitions {
        -1 => Ok(broker.config.num_partitions),
        count => u32::try_from(count).ok().filter(|count| *count > 0).ok_or_else(|| {
            let why = "Number of partitions was set to an invalid non-positive value.";
            (ErrorCode::InvalidPartitions, why.to_owned())
        }),
    }
}

fn too_few_brokers(factor: i16) -> String {
    format!(
        "Unable to replicate the partition {factor} time(s): The target replication factor of {factor} cannot be reached \
         because only 1 broker(s) are registered or some brokers have all their log directories cordoned."
    )
}

fn assigned(node_id: i32, assignments: &[CreatableReplicaAssignment]) -> Result<u32, Failure> {
    let mut indexes: Vec<i32> = assignments.iter().map(|assignment| assignment.partition_index).collect();
    indexes.sort_unstable();
    if let Some(twice) = indexes.windows(2).find(|pair| pair[0] == pair[1]) {
        let why = format!("Found multiple manual partition assignments for partition {}", twice[0]);
        return Err((ErrorCode::InvalidReplicaAssignment, why));
    }
    for assignment in assignments {
        check_replicas(node_id, &assignment.broker_ids)?;
    }
    if (0..).zip(&indexes).any(|(expected, index)| expected != *index) {
        let why = "partitions should be a consecutive 0-based integer sequence".to_owned();
        return Err((ErrorCode::InvalidReplicaAssignment, why));
    }
    Ok(u32::try_from(assignments.len()).unwrap_or(u32::MAX))
}

/// Whether a partition can live on `replicas`: on this broker and no other.
pub(super) fn check_replicas(node_id: i32, replicas: &[BrokerId]) -> Result<(), Failure> {
    let why = match replicas {
        [] => "The manual partition assignment includes an empty replica list.".to_owned(),
        [BrokerId(only)] if *only == node_id => return Ok(()),
        replicas => match replicas.iter().find(|replica| replica.0 != node_id) {
            Some(BrokerId(other)) => {
                format!(
                    "The manual partition assignment includes broker {other}, but no such broker is registered."
                )
            }
            None => format!("The manual partition assignment includes the broker {node_id} more than once."),
        },
    };
    Err((ErrorCode::InvalidReplicaAssignment, why))
}

fn failed(name: TopicName, (error, message): Failure) -> CreatableTopicResult {
    CreatableTopicResult::default()
        .with_name(name)
        .with_error_code(error.code())
        .with_error_message(Some(StrBytes::from_string(message)))
}

fn result(broker: &Broker, version: i16, name: TopicName, created: &Created) -> CreatableTopicResult {
    let result = CreatableTopicResult::default().with_name(name).with_error_message(None);
    if version < 5 {
        return result;
    }
    let dynamic = broker.store.broker_configs();
    let layers = BrokerLayers { config: &broker.config, dynamic: &dynamic };
    let configs = TOPIC_KEYS.iter().map(|key| {
        let source =
            layers.topic_settings(key, &created.configs).first().map_or(Source::Default, |top| top.source);
        let value = layers.effective(key, &created.configs).into_owned();
        CreatableTopicConfigs::default()
            .with_name(StrBytes::from_static_str(key.name))
            .with_value(Some(StrBytes::from_string(value)))
            .with_config_source(source.code())
    });
    result
        .with_topic_id(created.id)
        .with_num_partitions(i32::try_from(created.partitions).unwrap_or(i32::MAX))
        .with_replication_factor(1)
        .with_configs(Some(configs.collect()))
}

#[cfg(test)]
mod unit_tests {
    use super::*;

    fn assignment(partition: i32, brokers: &[i32]) -> CreatableReplicaAssignment {
        CreatableReplicaAssignment::default()
            .with_partition_index(partition)
            .with_broker_ids(brokers.iter().map(|id| BrokerId(*id)).collect())
    }

    #[test]
    fn an_assignment_counts_its_partitions_and_names_only_this_broker() {
        assert_eq!(assigned(7, &[assignment(1, &[7]), assignment(0, &[7])]), Ok(2));
        for (bad, why) in [
            (vec![assignment(0, &[7]), assignment(0, &[7])], "Found multiple manual partition assignments"),
            (vec![assignment(1, &[7])], "partitions should be a consecutive 0-based integer sequence"),
            (vec![assignment(0, &[])], "The manual partition assignment includes an empty replica list."),
            (
                vec![assignment(0, &[8])],
                "The manual partition assignment includes broker 8, but no such broker",
            ),
            (
                vec![assignment(0, &[7, 8])],
                "The manual partition assignment includes broker 8, but no such broker",
            ),
            (
                vec![assignment(0, &[7, 7])],
                "The manual partition assignment includes the broker 7 more than once.",
            ),
        ] {
            let (error, message) = assigned(7, &bad).unwrap_err();
            assert_eq!(error, ErrorCode::InvalidReplicaAssignment);
            assert!(message.starts_with(why), "{message}");
        }
    }
}
