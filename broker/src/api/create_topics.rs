//! CreateTopics (19), versions 2 to 7: new topics with partitions, configs and, if wanted, a replica assignment.
//!
//! Each topic has its own outcome; the answer waits until the creations are durable, and by then every API on every
//! connection sees the topics. -1 means the broker's default number of partitions or replicas. An assignment is honoured
//! as far as one process goes: every partition on this broker, or on the virtual nodes that it plays. Version 5 returns
//! partitions, replicas and all configs, 7 the topic id. Checks, their order and their sentences are those of Kafka
//! (`ControllerApis.createTopics`, `ReplicationControlManager.createTopic`).
//!
//! Deliberate gaps: `timeout_ms` is not looked at, a creation takes one append; no quota (6). A replication factor above the
//! number of nodes is refused, except as the default from `default.replication.factor`, which counts as that number then.

use std::collections::BTreeSet;
use std::collections::HashMap;
use std::ops::Range;
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
use crate::virtual_nodes;

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
    replication: usize,
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
    let replication = replication(broker, asked);
    if validate_only {
        return Ok(Created { id: Uuid::nil(), partitions, replication, configs, durable: None });
    }
    match broker.topics.create(&broker.store, name, partitions, configs.clone()) {
        Ok((topic, position)) => {
            if let Some(nodes) = &broker.virtual_nodes {
                nodes.replicated(topic.number(), replication);
                let of = |assignment: &CreatableReplicaAssignment| {
                    assignment.broker_ids.iter().map(|id| id.0).collect::<Vec<_>>()
                };
                let mut assignments: Vec<_> = asked.assignments.iter().collect();
                assignments.sort_by_key(|assignment| assignment.partition_index);
                nodes.assigned(topic.number(), 0, assignments.into_iter().map(of).collect());
                if !asked.assignments.is_empty() || replication != nodes.default_replication() {
                    virtual_nodes::keep(broker);
                }
            }
            Ok(Created { id: topic.id(), partitions, replication, configs, durable: Some(position) })
        }
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
        return assigned(&broker.config.node_ids(), &asked.assignments);
    }
    match asked.replication_factor {
        -1 => {}
        factor @ 1.. if i32::from(factor) <= broker.config.brokers => {}
        factor @ 1.. => {
            let why = too_few_brokers(factor, broker.config.brokers);
            return Err((ErrorCode::InvalidReplicationFactor, why));
        }
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

/// Replicas of each partition.
fn replication(broker: &Broker, asked: &CreatableTopic) -> usize {
    let default = broker.virtual_nodes.as_ref().map_or(1, |nodes| nodes.default_replication());
    match asked.assignments.first() {
        Some(assignment) => assignment.broker_ids.len(),
        None => usize::try_from(asked.replication_factor).unwrap_or(default),
    }
}

fn too_few_brokers(factor: i16, brokers: i32) -> String {
    format!(
        "Unable to replicate the partition {factor} time(s): The target replication factor of {factor} cannot be reached \
         because only {brokers} broker(s) are registered or some brokers have all their log directories cordoned."
    )
}

fn assigned(nodes: &Range<i32>, assignments: &[CreatableReplicaAssignment]) -> Result<u32, Failure> {
    let mut indexes: Vec<i32> = assignments.iter().map(|assignment| assignment.partition_index).collect();
    indexes.sort_unstable();
    if let Some(twice) = indexes.windows(2).find(|pair| pair[0] == pair[1]) {
        let why = format!("Found multiple manual partition assignments for partition {}", twice[0]);
        return Err((ErrorCode::InvalidReplicaAssignment, why));
    }
    for assignment in assignments {
        check_replicas(nodes, &assignment.broker_ids)?;
        let (replicas, before) = (assignment.broker_ids.len(), assignments[0].broker_ids.len());
        if replicas != before {
            let why = format!(
                "The manual partition assignment includes a partition with {replicas} replica(s), but this is not consistent with \
                 previous partitions, which have {before} replica(s)."
            );
            return Err((ErrorCode::InvalidReplicaAssignment, why));
        }
    }
    if (0..).zip(&indexes).any(|(expected, index)| expected != *index) {
        let why = "partitions should be a consecutive 0-based integer sequence".to_owned();
        return Err((ErrorCode::InvalidReplicaAssignment, why));
    }
    Ok(u32::try_from(assignments.len()).unwrap_or(u32::MAX))
}

/// Whether a partition can live on `replicas`: on nodes that there are, each once.
pub(super) fn check_replicas(nodes: &Range<i32>, replicas: &[BrokerId]) -> Result<(), Failure> {
    let mut seen = BTreeSet::new();
    let twice = replicas.iter().find(|replica| !seen.insert(replica.0));
    let why = match (replicas.iter().find(|replica| !nodes.contains(&replica.0)), twice) {
        (Some(BrokerId(other)), _) => format!(
            "The manual partition assignment includes broker {other}, but no such broker is registered."
        ),
        (None, Some(BrokerId(id))) => {
            format!("The manual partition assignment includes the broker {id} more than once.")
        }
        _ if replicas.is_empty() => {
            "The manual partition assignment includes an empty replica list.".to_owned()
        }
        _ => return Ok(()),
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
        .with_replication_factor(i16::try_from(created.replication).unwrap_or(i16::MAX))
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
        assert_eq!(assigned(&(7..8), &[assignment(1, &[7]), assignment(0, &[7])]), Ok(2));
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
            let (error, message) = assigned(&(7..8), &bad).unwrap_err();
            assert_eq!(error, ErrorCode::InvalidReplicaAssignment);
            assert!(message.starts_with(why), "{message}");
        }
    }
}
