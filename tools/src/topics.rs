//! `kafka-topics` (Kafka class `TopicCommand`): create, list, describe, alter, delete. Messages for people go to stderr, where
//! Kafka's tool prints them to stdout. `describe` is in a file of its own.

mod describe;

use std::ffi::OsString;
use std::io::{self, Write};

use clap::{CommandFactory as _, Parser};
use kafka_protocol::messages::create_partitions_request::{
    CreatePartitionsAssignment, CreatePartitionsTopic,
};
use kafka_protocol::messages::create_topics_request::{
    CreatableReplicaAssignment, CreatableTopic, CreatableTopicConfig,
};
use kafka_protocol::messages::delete_topics_request::DeleteTopicState;
use kafka_protocol::messages::{BrokerId, CreatePartitionsRequest, CreateTopicsRequest, DeleteTopicsRequest};
use kafka_protocol::protocol::StrBytes;
use protocol::ErrorCode;

use crate::client::{Client, Target, topic_name};
use crate::failure::{Failure, Outcome};
use crate::options::{self, Connect};
use crate::text::{has_collision_chars, parse_uuid, topic_pattern};

const BROKER_TIMEOUT_MS: i32 = 30_000;
/// DeleteTopics names topics one way up to here, another way from then on.
const DELETE_BY_NAME_LIST: i16 = 5;

/// Create, list, describe, alter and delete topics
#[derive(Debug, Parser)]
#[command(version, infer_long_args = true)]
struct Arguments {
    #[command(flatten)]
    connect: Connect,
    /// List topics
    #[arg(long)]
    list: bool,
    /// Create a topic
    #[arg(long)]
    create: bool,
    /// Describe topics
    #[arg(long)]
    describe: bool,
    /// Raise the number of partitions
    #[arg(long)]
    alter: bool,
    /// Delete topics
    #[arg(long)]
    delete: bool,
    /// The topic; for all but --create also a regular expression
    #[arg(long, value_name = "TOPIC")]
    topic: Option<String>,
    /// The topic's id, with --describe
    #[arg(long, value_name = "ID", conflicts_with = "topic", allow_hyphen_values = true)]
    topic_id: Option<String>,
    /// Number of partitions
    #[arg(long, value_name = "N")]
    partitions: Option<i32>,
    /// Replicas of each partition
    #[arg(long, value_name = "N")]
    replication_factor: Option<i16>,
    /// Brokers of each partition: 0:1,1:0 for two partitions on brokers 0 and 1
    #[arg(long, value_name = "BROKERS", conflicts_with = "replication_factor")]
    replica_assignment: Option<String>,
    /// A config of the new topic
    #[arg(long, value_name = "NAME=VALUE")]
    config: Vec<String>,
    /// Do nothing if the topic exists
    #[arg(long)]
    if_not_exists: bool,
    /// Do nothing if there is no such topic
    #[arg(long)]
    if_exists: bool,
    /// Leave internal topics out
    #[arg(long)]
    exclude_internal: bool,
    /// Describe only partitions with fewer in-sync replicas than replicas
    #[arg(long)]
    under_replicated_partitions: bool,
    /// Describe only partitions without a leader
    #[arg(long)]
    unavailable_partitions: bool,
    /// Describe only partitions with fewer in-sync replicas than min.insync.replicas
    #[arg(long)]
    under_min_isr_partitions: bool,
    /// Describe only partitions with exactly min.insync.replicas in-sync replicas
    #[arg(long)]
    at_min_isr_partitions: bool,
    /// Describe only topics with configs of their own, and no partitions
    #[arg(long)]
    topics_with_overrides: bool,
    /// Partitions in one answer of the broker
    #[arg(long, value_name = "N", default_value_t = 2000)]
    partition_size_limit_per_response: i32,
    /// With --list and --describe: JSON (not in Kafka's tool)
    #[arg(long)]
    json: bool,
}

/// The command line, for completions and manual pages.
pub(crate) fn command() -> clap::Command {
    Arguments::command()
}

pub(crate) fn run(line: Vec<OsString>, out: &mut dyn Write) -> Outcome {
    let arguments = Arguments::try_parse_from(line)?;
    arguments.check()?;
    let mut client = arguments.connect.client()?;
    let outcome = match () {
        () if arguments.list => list(&mut client, &arguments, out),
        () if arguments.create => create(&mut client, &arguments, out),
        () if arguments.describe => describe::run(&mut client, &arguments, out),
        () if arguments.alter => alter(&mut client, &arguments),
        () => delete(&mut client, &arguments),
    };
    outcome.map_err(|failure| failure.in_words("Error while executing topic command : "))
}

impl Arguments {
    fn check(&self) -> Outcome {
        let actions = [self.list, self.create, self.describe, self.alter, self.delete];
        if actions.into_iter().filter(|chosen| *chosen).count() != 1 {
            return Err(Failure::new(
                "Command must include exactly one action: --list, --describe, --create, --alter or --delete",
            ));
        }
        let only = |given: bool, allowed: bool, flag: &str, with: &str| {
            if given && !allowed {
                Err(Failure::new(format!("{flag} goes with {with} only")))
            } else {
                Ok(())
            }
        };
        only(
            !self.config.is_empty(),
            self.create,
            "--config",
            "--create (kafka-configs changes those of a topic)",
        )?;
        only(self.if_not_exists, self.create, "--if-not-exists", "--create")?;
        only(
            self.if_exists,
            self.alter || self.delete || self.describe,
            "--if-exists",
            "--alter, --delete or --describe",
        )?;
        only(self.topic_id.is_some(), self.describe, "--topic-id", "--describe")?;
        only(self.replication_factor.is_some(), self.create, "--replication-factor", "--create")?;
        only(self.partitions.is_some(), self.create || self.alter, "--partitions", "--create or --alter")?;
        if (self.create || self.alter || self.delete) && self.topic.is_none() {
            return Err(Failure::new("Missing required argument \"[topic]\": say which with --topic TOPIC"));
        }
        if self.alter && self.partitions.is_none() {
            return Err(Failure::new(
                "Missing required argument \"[partitions]\": say how many with --partitions N",
            ));
        }
        Ok(())
    }
}

fn list(client: &mut Client, arguments: &Arguments, out: &mut dyn Write) -> Outcome {
    let names = matching(client, arguments)?;
    if arguments.json {
        writeln!(out, "{}", serde_json::json!({ "topics": names }))?;
    } else {
        for name in names {
            writeln!(out, "{name}")?;
        }
    }
    Ok(())
}

fn create(client: &mut Client, arguments: &Arguments, out: &mut dyn Write) -> Outcome {
    let name = arguments.topic.as_deref().unwrap_or_default();
    if has_collision_chars(name) {
        writeln!(
            io::stderr(),
            "WARNING: Due to limitations in metric names, topics with a period ('.') or underscore ('_') could collide. To avoid issues it is best to use either, but not both."
        )?;
    }
    let configs = arguments.config.iter().map(|text| config(text)).collect::<Outcome<Vec<_>>>()?;
    let assignments = assignments(arguments.replica_assignment.as_deref())?;
    let (partitions, replicas) = if assignments.is_empty() {
        (arguments.partitions.unwrap_or(-1), arguments.replication_factor.unwrap_or(-1))
    } else {
        (-1, -1)
    };
    for (flag, wrong) in [
        ("--partitions", arguments.partitions.is_some_and(|n| n < 1)),
        ("--replication-factor", arguments.replication_factor.is_some_and(|n| n < 1)),
    ] {
        if wrong {
            return Err(Failure::new(format!("{flag} must be 1 or more")));
        }
    }
    let assignments = assignments.into_iter().zip(0..).map(|(brokers, partition)| {
        CreatableReplicaAssignment::default().with_partition_index(partition).with_broker_ids(brokers)
    });
    let topic = CreatableTopic::default()
        .with_name(topic_name(name))
        .with_num_partitions(partitions)
        .with_replication_factor(replicas)
        .with_assignments(assignments.collect())
        .with_configs(configs);
    let request = CreateTopicsRequest::default().with_topics(vec![topic]).with_timeout_ms(BROKER_TIMEOUT_MS);
    let created = client.retry(|client| {
        let target = controller(client)?;
        let answer = client.call(target, &request)?;
        answer
            .topics
            .iter()
            .try_for_each(|topic| Failure::check(topic.error_code, topic.error_message.as_deref()))
    });
    match created {
        Err(failure) if arguments.if_not_exists && failure.code() == Some(ErrorCode::TopicAlreadyExists) => {
            Ok(())
        }
        Err(failure) => Err(failure),
        Ok(()) => Ok(writeln!(out, "Created topic {name}.")?),
    }
}

fn alter(client: &mut Client, arguments: &Arguments) -> Outcome {
    let count = arguments.partitions.unwrap_or_default();
    let assignments = assignments(arguments.replica_assignment.as_deref())?;
    let brokers =
        assignments.into_iter().map(|ids| CreatePartitionsAssignment::default().with_broker_ids(ids));
    let brokers: Vec<_> = brokers.collect();
    let topics = matching(client, arguments)?.into_iter().map(|name| {
        CreatePartitionsTopic::default()
            .with_name(topic_name(&name))
            .with_count(count)
            .with_assignments((!brokers.is_empty()).then(|| brokers.clone()))
    });
    let request =
        CreatePartitionsRequest::default().with_topics(topics.collect()).with_timeout_ms(BROKER_TIMEOUT_MS);
    if request.topics.is_empty() {
        return Ok(());
    }
    client.retry(|client| {
        let target = controller(client)?;
        let answer = client.call(target, &request)?;
        answer
            .results
            .iter()
            .try_for_each(|topic| Failure::check(topic.error_code, topic.error_message.as_deref()))
    })
}

fn delete(client: &mut Client, arguments: &Arguments) -> Outcome {
    let names = matching(client, arguments)?;
    if names.is_empty() {
        return Ok(());
    }
    let by_state =
        names.iter().map(|name| DeleteTopicState::default().with_name(Some(topic_name(name)))).collect();
    let modern = DeleteTopicsRequest::default().with_topics(by_state).with_timeout_ms(BROKER_TIMEOUT_MS);
    let by_name = names.iter().map(|name| topic_name(name)).collect();
    let older = DeleteTopicsRequest::default().with_topic_names(by_name).with_timeout_ms(BROKER_TIMEOUT_MS);
    client.retry(|client| {
        let target = controller(client)?;
        let is_modern =
            client.api_ranges(target)?.iter().any(|api| api.key == 20 && api.newest > DELETE_BY_NAME_LIST);
        let answer = if is_modern {
            client.call(target, &modern)?
        } else {
            client.call_at_most(target, &older, DELETE_BY_NAME_LIST)?
        };
        answer
            .responses
            .iter()
            .try_for_each(|topic| Failure::check(topic.error_code, topic.error_message.as_deref()))
    })
}

/// The broker for requests that change topics; any broker of a KRaft cluster passes them on.
fn controller(client: &mut Client) -> Outcome<Target> {
    let cluster = client.cluster_once(Some(&[]), false)?;
    Ok(cluster.controller.map_or(Target::Any, Target::Node))
}

/// Names of the topics that `--topic` means, sorted.
///
/// # Errors
/// There is none, unless `--if-exists` allows that.
fn matching(client: &mut Client, arguments: &Arguments) -> Outcome<Vec<String>> {
    let pattern = arguments.topic.as_deref().map(topic_pattern).transpose()?;
    let id = match arguments.topic_id.as_deref() {
        None => None,
        Some(text) => Some(parse_uuid(text).ok_or_else(|| {
            Failure::new(format!("--topic-id {text}: an id has 22 characters, as --describe shows them"))
        })?),
    };
    let topics = client.cluster(None)?.topics.into_values();
    let names: Vec<String> = topics
        .filter(|topic| pattern.as_ref().is_none_or(|pattern| pattern.is_match(&topic.name)))
        .filter(|topic| id.is_none_or(|id| id == topic.id))
        .filter(|topic| !(arguments.exclude_internal && topic.internal))
        .map(|topic| topic.name)
        .collect();
    let asked = match (&arguments.topic, &arguments.topic_id) {
        (Some(topic), _) => format!("Topic '{topic}'"),
        (None, Some(id)) => format!("TopicId '{id}'"),
        (None, None) => return Ok(names),
    };
    if names.is_empty() && !arguments.if_exists && !arguments.list {
        return Err(Failure::new(format!("{asked} does not exist as expected")));
    }
    Ok(names)
}

fn config(text: &str) -> Outcome<CreatableTopicConfig> {
    let (name, value) = options::key_value(text)
        .map_err(|wrong| Failure::new(format!("--config {text}: {wrong}, such as retention.ms=3600000")))?;
    Ok(CreatableTopicConfig::default()
        .with_name(StrBytes::from_string(name.trim().to_owned()))
        .with_value(Some(StrBytes::from_string(value.trim().to_owned()))))
}

/// `0:1,1:0`: the brokers of partition 0, then those of partition 1.
fn assignments(text: Option<&str>) -> Outcome<Vec<Vec<BrokerId>>> {
    let Some(text) = text else { return Ok(Vec::new()) };
    let broker = |word: &str| {
        let wrong =
            || Failure::new(format!("--replica-assignment {text}: {word:?} is no broker id; write 0:1,1:0"));
        word.trim().parse().map(BrokerId).map_err(|_| wrong())
    };
    text.split(',').map(|partition| partition.split(':').map(broker).collect()).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parsed(words: &str) -> Outcome<Arguments> {
        let line = format!("kafka-topics --bootstrap-server a:1 {words}");
        let arguments = Arguments::try_parse_from(line.split_whitespace())?;
        arguments.check()?;
        Ok(arguments)
    }

    #[test]
    fn command_lines_of_scripts_are_read() {
        let read = parsed("--create --if-not-exists --topic a --partitions 3 --replication-factor=1 --config a=b --config c=d").unwrap();
        assert_eq!((read.partitions, read.replication_factor, read.config.len()), (Some(3), Some(1), 2));
        for line in [
            "--list",
            "--list --exclude-internal",
            "--describe",
            "--delete --topic a --if-exists",
            "--alter --topic a --partitions=4",
        ] {
            parsed(line).unwrap();
        }
    }

    #[test]
    fn command_lines_that_make_no_sense_say_what_would() {
        for (line, words) in [
            ("", "exactly one action"),
            ("--list --create --topic a", "exactly one action"),
            ("--create", "--topic TOPIC"),
            ("--alter --topic a", "--partitions N"),
            ("--alter --topic a --partitions 2 --config a=b", "kafka-configs"),
            ("--list --if-exists", "--alter, --delete or --describe"),
            ("--describe --partitions 3", "--create or --alter"),
        ] {
            let said = parsed(line).unwrap_err().to_string();
            assert!(said.contains(words), "{line}: {said}");
        }
    }

    #[test]
    fn assignments_and_configs_are_read_or_refused() {
        let read = assignments(Some("0:1,1:0")).unwrap();
        assert_eq!(read, [[BrokerId(0), BrokerId(1)], [BrokerId(1), BrokerId(0)]]);
        assert!(assignments(Some("0:x")).is_err());
        assert!(config("retention.ms").unwrap_err().to_string().contains("KEY=VALUE"));
    }
}
