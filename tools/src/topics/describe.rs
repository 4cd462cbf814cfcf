//! `kafka-topics --describe`: a line per topic, a line per partition, and the filters that make it a health check.

use std::collections::BTreeMap;
use std::io::Write;

use kafka_protocol::messages::describe_configs_request::DescribeConfigsResource;
use kafka_protocol::messages::describe_configs_response::DescribeConfigsResourceResult;
use kafka_protocol::messages::describe_topic_partitions_request::{Cursor, TopicRequest};
use kafka_protocol::messages::describe_topic_partitions_response::DescribeTopicPartitionsResponsePartition;
use kafka_protocol::messages::{BrokerId, DescribeConfigsRequest, DescribeTopicPartitionsRequest};
use kafka_protocol::protocol::StrBytes;
use protocol::ErrorCode;
use serde_json::json;

use super::{Arguments, matching};
use crate::client::{Client, Cluster, Target, topic_name};
use crate::failure::{Failure, Outcome};
use crate::table::heading;
use crate::text::{joined, uuid_text};

const TOPIC: i8 = 2;
const SOURCE_TOPIC: i8 = 1;
const SOURCE_DEFAULT: i8 = 5;

/// What is shown of a partition. `elr` and `last_known_elr` are `None` where the broker does not tell.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Partition {
    index: i32,
    leader: i32,
    replicas: Vec<i32>,
    isr: Vec<i32>,
    elr: Option<Vec<i32>>,
    last_known_elr: Option<Vec<i32>>,
}

#[derive(Debug)]
struct Described {
    name: String,
    id: String,
    partitions: Vec<Partition>,
    configs: Vec<DescribeConfigsResourceResult>,
}

pub(super) fn run(client: &mut Client, arguments: &Arguments, out: &mut dyn Write) -> Outcome {
    let names = matching(client, arguments)?;
    if names.is_empty() {
        return Ok(());
    }
    let wanted: Vec<&str> = names.iter().map(String::as_str).collect();
    let cluster = client.cluster(Some(&wanted))?;
    let mut partitions = partitions(client, &cluster, &names, arguments.partition_size_limit_per_response)?;
    let mut configs = configs(client, &names)?;
    let topics = cluster.topics.values().map(|topic| Described {
        name: topic.name.clone(),
        id: uuid_text(topic.id),
        partitions: partitions.remove(&topic.name).unwrap_or_default(),
        configs: configs.remove(&topic.name).unwrap_or_default(),
    });
    if arguments.json {
        let shown: Vec<_> = topics.map(|topic| topic.as_json()).collect();
        writeln!(out, "{}", json!({ "topics": shown }))?;
        return Ok(());
    }
    for topic in topics {
        topic.write(arguments, out)?;
    }
    Ok(())
}

impl Described {
    fn write(&self, arguments: &Arguments, out: &mut dyn Write) -> Outcome {
        let Self { name, id, .. } = self;
        let filters = [
            arguments.under_replicated_partitions,
            arguments.unavailable_partitions,
            arguments.under_min_isr_partitions,
            arguments.at_min_isr_partitions,
        ];
        let filtered = filters.contains(&true);
        let own = self.configs.iter().any(|config| config.config_source == SOURCE_TOPIC);
        if !filtered && (own || !arguments.topics_with_overrides) {
            let replicas = self.partitions.first().map_or(0, |partition| partition.replicas.len());
            let count = self.partitions.len();
            let configs = joined(self.shown_configs().map(|(name, value)| format!("{name}={value}")));
            let line = format!(
                "Topic: {name}\tTopicId: {id}\tPartitionCount: {count}\tReplicationFactor: {replicas}\tConfigs: {configs}"
            );
            writeln!(out, "{}", heading(line))?;
        }
        if arguments.topics_with_overrides {
            return Ok(());
        }
        let min_isr = self.min_isr();
        for partition in &self.partitions {
            if !filtered || partition.passes(filters, min_isr) {
                writeln!(out, "{}", partition.line(name))?;
            }
        }
        Ok(())
    }

    /// Configs that are not defaults, by name.
    fn shown_configs(&self) -> impl Iterator<Item = (&str, &str)> {
        let shown = self.configs.iter().filter(|config| config.config_source != SOURCE_DEFAULT);
        shown.map(|config| (config.name.as_str(), config.value.as_deref().unwrap_or_default()))
    }

    fn min_isr(&self) -> usize {
        let config = self.configs.iter().find(|config| config.name.as_str() == "min.insync.replicas");
        config.and_then(|config| config.value.as_deref()?.parse().ok()).unwrap_or(1)
    }

    fn as_json(&self) -> serde_json::Value {
        let partitions: Vec<_> = self
            .partitions
            .iter()
            .map(|partition| {
                json!({
                    "partition": partition.index,
                    "leader": (partition.leader >= 0).then_some(partition.leader),
                    "replicas": partition.replicas,
                    "isr": partition.isr,
                })
            })
            .collect();
        let configs: BTreeMap<_, _> = self.shown_configs().collect();
        json!({ "name": self.name, "id": self.id, "configs": configs, "partitions": partitions })
    }
}

impl Partition {
    /// Whether one of the filters (under-replicated, unavailable, under and at min ISR) is for it.
    fn passes(&self, filters: [bool; 4], min_isr: usize) -> bool {
        let isr = self.isr.len();
        let holds = [isr < self.replicas.len(), self.leader < 0, isr < min_isr, isr == min_isr];
        filters.into_iter().zip(holds).any(|(asked, holds)| asked && holds)
    }

    fn line(&self, topic: &str) -> String {
        let leader = if self.leader < 0 { "none".to_owned() } else { self.leader.to_string() };
        let known = |ids: &Option<Vec<i32>>| ids.as_ref().map_or_else(|| "N/A".to_owned(), joined);
        format!(
            "\tTopic: {topic}\tPartition: {}\tLeader: {leader}\tReplicas: {}\tIsr: {}\tElr: {}\tLastKnownElr: {}",
            self.index,
            joined(&self.replicas),
            joined(&self.isr),
            known(&self.elr),
            known(&self.last_known_elr),
        )
    }
}

/// The partitions of each topic, page by page; from Metadata where the broker has no DescribeTopicPartitions.
fn partitions(
    client: &mut Client,
    cluster: &Cluster,
    names: &[String],
    limit: i32,
) -> Outcome<BTreeMap<String, Vec<Partition>>> {
    let topics = names.iter().map(|name| TopicRequest::default().with_name(topic_name(name)));
    let mut request = DescribeTopicPartitionsRequest::default()
        .with_topics(topics.collect())
        .with_response_partition_limit(limit);
    let mut found: BTreeMap<String, Vec<Partition>> = BTreeMap::new();
    loop {
        let answer = match client.retry(|client| client.call(Target::Any, &request)) {
            Err(failure) if failure.code() == Some(ErrorCode::UnsupportedVersion) => {
                return Ok(from_metadata(cluster));
            }
            answer => answer?,
        };
        for topic in answer.topics {
            // Deleted since it was listed.
            if topic.error_code == ErrorCode::UnknownTopicOrPartition.code() {
                continue;
            }
            Failure::check(topic.error_code, None)?;
            let name = topic.name.map(|name| name.to_string()).unwrap_or_default();
            found.entry(name).or_default().extend(topic.partitions.into_iter().map(from_answer));
        }
        let Some(next) = answer.next_cursor else { return Ok(found) };
        request.cursor = Some(
            Cursor::default().with_topic_name(next.topic_name).with_partition_index(next.partition_index),
        );
    }
}

fn from_answer(partition: DescribeTopicPartitionsResponsePartition) -> Partition {
    Partition {
        index: partition.partition_index,
        leader: partition.leader_id.0,
        replicas: ids(partition.replica_nodes),
        isr: ids(partition.isr_nodes),
        elr: partition.eligible_leader_replicas.map(ids),
        last_known_elr: partition.last_known_elr.map(ids),
    }
}

fn from_metadata(cluster: &Cluster) -> BTreeMap<String, Vec<Partition>> {
    let topics = cluster.topics.values().map(|topic| {
        let mut partitions: Vec<Partition> = topic
            .raw
            .partitions
            .iter()
            .map(|partition| Partition {
                index: partition.partition_index,
                leader: partition.leader_id.0,
                replicas: ids(partition.replica_nodes.clone()),
                isr: ids(partition.isr_nodes.clone()),
                elr: None,
                last_known_elr: None,
            })
            .collect();
        partitions.sort_by_key(|partition| partition.index);
        (topic.name.clone(), partitions)
    });
    topics.collect()
}

fn ids(nodes: Vec<BrokerId>) -> Vec<i32> {
    nodes.into_iter().map(|id| id.0).collect()
}

fn configs(
    client: &mut Client,
    names: &[String],
) -> Outcome<BTreeMap<String, Vec<DescribeConfigsResourceResult>>> {
    let resource = |name: &String| {
        DescribeConfigsResource::default()
            .with_resource_type(TOPIC)
            .with_resource_name(StrBytes::from_string(name.clone()))
            .with_configuration_keys(None)
    };
    let request = DescribeConfigsRequest::default().with_resources(names.iter().map(resource).collect());
    let answer = client.retry(|client| client.call(Target::Any, &request))?;
    let mut configs = BTreeMap::new();
    for result in answer.results {
        if result.error_code != ErrorCode::UnknownTopicOrPartition.code() {
            Failure::check(result.error_code, result.error_message.as_deref())?;
        }
        let mut entries = result.configs;
        entries.sort_by(|a, b| a.name.as_str().cmp(b.name.as_str()));
        configs.insert(result.resource_name.to_string(), entries);
    }
    Ok(configs)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn partition(leader: i32, replicas: &[i32], isr: &[i32]) -> Partition {
        let (elr, last_known_elr) = (Some(Vec::new()), None);
        Partition { index: 0, leader, replicas: replicas.to_vec(), isr: isr.to_vec(), elr, last_known_elr }
    }

    #[test]
    fn partition_line_has_kafkas_columns() {
        let line = partition(1, &[1, 2], &[1]).line("a");
        assert_eq!(
            line,
            "\tTopic: a\tPartition: 0\tLeader: 1\tReplicas: 1,2\tIsr: 1\tElr: \tLastKnownElr: N/A"
        );
        assert!(partition(-1, &[1], &[]).line("a").contains("\tLeader: none\t"));
    }

    #[test]
    fn filters_choose_the_partitions_that_they_name() {
        let whole = partition(1, &[1, 2], &[1, 2]);
        let one_left = partition(1, &[1, 2], &[1]);
        let headless = partition(-1, &[1, 2], &[]);
        let passing = |filters: [bool; 4]| [&whole, &one_left, &headless].map(|p| p.passes(filters, 1));
        assert_eq!(passing([true, false, false, false]), [false, true, true]);
        assert_eq!(passing([false, true, false, false]), [false, false, true]);
        assert_eq!(passing([false, false, true, false]), [false, false, true]);
        assert_eq!(passing([false, false, false, true]), [false, true, false]);
    }
}
