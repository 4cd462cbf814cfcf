//! `kafka-consumer-groups` (Kafka class `ConsumerGroupCommand`): list, describe, reset and delete offsets, delete groups.
//! `describe` and `reset` are in files of their own, `state` asks what a group is. Where Kafka's tool fails and ends with 0,
//! this one ends with 1.

mod describe;
mod reset;
mod state;

use std::ffi::OsString;
use std::io::Write;

use clap::{CommandFactory as _, Parser};
use kafka_protocol::messages::offset_delete_request::{
    OffsetDeleteRequestPartition, OffsetDeleteRequestTopic,
};
use kafka_protocol::messages::{DeleteGroupsRequest, GroupId, OffsetDeleteRequest};
use kafka_protocol::protocol::StrBytes;
use serde_json::json;

use crate::client::{Client, Target, topic_name};
use crate::failure::{Failure, Outcome};
use crate::options::Connect;
use crate::partitions::TopicPartition;
use crate::table::{self, fixed, growing};
use state::Listed;

/// List, describe, reset and delete consumer groups
#[derive(Debug, Parser)]
#[command(version, infer_long_args = true)]
struct Arguments {
    #[command(flatten)]
    connect: Connect,
    /// List groups
    #[arg(long)]
    list: bool,
    /// Describe groups
    #[arg(long)]
    describe: bool,
    /// Delete groups
    #[arg(long)]
    delete: bool,
    /// Move the offsets of groups
    #[arg(long)]
    reset_offsets: bool,
    /// Delete offsets of a group
    #[arg(long)]
    delete_offsets: bool,
    /// A group; may be given again
    #[arg(long, value_name = "GROUP")]
    group: Vec<String>,
    /// All groups
    #[arg(long, conflicts_with = "group")]
    all_groups: bool,
    /// A topic, or partitions of it: a, a:0,1; may be given again
    #[arg(long, value_name = "TOPIC[:N,N]")]
    topic: Vec<String>,
    /// All topics that the group has offsets of
    #[arg(long, conflicts_with = "topic")]
    all_topics: bool,
    /// With --describe: offsets and lag, which is the default
    #[arg(long)]
    offsets: bool,
    /// With --describe: the members
    #[arg(long)]
    members: bool,
    /// With --describe: the state; with --list: that column, or only groups in these states
    #[arg(long, value_name = "STATE,STATE", num_args = 0..=1, default_missing_value = "")]
    state: Option<String>,
    /// With --list: the column, or only groups of these types
    #[arg(long = "type", value_name = "TYPE,TYPE", num_args = 0..=1, default_missing_value = "")]
    group_type: Option<String>,
    /// With --describe: more columns
    #[arg(long)]
    verbose: bool,
    /// Accepted: the client has its own patience
    #[arg(long, value_name = "MS")]
    timeout: Option<u64>,
    #[command(flatten)]
    reset: reset::ResetArguments,
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
    match () {
        () if arguments.list => list(&mut client, &arguments, out),
        () if arguments.describe => describe::run(&mut client, &arguments, out),
        () if arguments.delete => delete(&mut client, &arguments, out),
        () if arguments.reset_offsets => reset::run(&mut client, &arguments, out),
        () => delete_offsets(&mut client, &arguments, out),
    }
}

impl Arguments {
    fn check(&self) -> Outcome {
        let actions = [self.list, self.describe, self.delete, self.reset_offsets, self.delete_offsets];
        if actions.into_iter().filter(|chosen| *chosen).count() != 1 {
            return Err(Failure::new(
                "Command must include exactly one action: --list, --describe, --delete, --reset-offsets, --delete-offsets",
            ));
        }
        if !self.list && self.group.is_empty() && !self.all_groups {
            return Err(Failure::new("say which group with --group GROUP, or --all-groups"));
        }
        if self.describe
            && [self.offsets, self.members, self.state.is_some()].into_iter().filter(|chosen| *chosen).count()
                > 1
        {
            return Err(Failure::new("--describe takes at most one of --offsets, --members and --state"));
        }
        if (self.reset_offsets || self.delete_offsets)
            && self.topic.is_empty()
            && !self.all_topics
            && self.reset.from_file.is_none()
        {
            return Err(Failure::new("say which topics with --topic TOPIC or --all-topics"));
        }
        if self.reset_offsets { self.reset.check() } else { Ok(()) }
    }

    /// The groups that are meant, sorted.
    fn groups(&self, client: &mut Client) -> Outcome<Vec<String>> {
        let mut groups = self.group.clone();
        if self.all_groups {
            groups = state::list(client)?.into_iter().map(|group| group.name).collect();
        }
        groups.sort();
        groups.dedup();
        Ok(groups)
    }
}

fn list(client: &mut Client, arguments: &Arguments, out: &mut dyn Write) -> Outcome {
    let wanted = |filter: &Option<String>, value: &str| {
        let words = filter.as_deref().unwrap_or_default();
        words.is_empty() || words.split(',').any(|word| word.trim().eq_ignore_ascii_case(value))
    };
    let mut groups = state::list(client)?;
    groups
        .retain(|group| wanted(&arguments.state, &group.state) && wanted(&arguments.group_type, &group.kind));
    if arguments.json {
        let rows: Vec<_> = groups
            .iter()
            .map(|group| json!({ "group": group.name, "type": group.kind, "state": group.state }))
            .collect();
        writeln!(out, "{}", json!({ "groups": rows }))?;
        return Ok(());
    }
    let (with_type, with_state) = (arguments.group_type.is_some(), arguments.state.is_some());
    if !with_type && !with_state {
        return Ok(groups.iter().try_for_each(|group| writeln!(out, "{}", group.name))?);
    }
    let mut columns = vec![growing("GROUP", 15)];
    columns.extend(with_type.then_some(fixed("TYPE", 20)));
    columns.extend(with_state.then_some(fixed("STATE", 20)));
    let row = |Listed { name, kind, state }: &Listed| {
        let mut cells = vec![name.clone()];
        cells.extend(with_type.then(|| kind.clone()));
        cells.extend(with_state.then(|| state.clone()));
        cells
    };
    table::write(&columns, &groups.iter().map(row).collect::<Vec<_>>(), out)
}

fn delete(client: &mut Client, arguments: &Arguments, out: &mut dyn Write) -> Outcome {
    let (mut deleted, mut failed) = (Vec::new(), Vec::new());
    for group in arguments.groups(client)? {
        let request = DeleteGroupsRequest::default().with_groups_names(vec![id(&group)]);
        let outcome = client.retry(|client| {
            let coordinator = client.coordinator(&group)?;
            let answer = client.call(Target::Node(coordinator.id), &request)?;
            answer.results.iter().try_for_each(|result| Failure::check(result.error_code, None))
        });
        match outcome {
            Ok(()) => deleted.push(format!("'{group}'")),
            Err(failure) => {
                failed.push(format!("\n* Group '{group}' could not be deleted due to: {failure}"))
            }
        }
    }
    if failed.is_empty() {
        writeln!(out, "Deletion of requested consumer groups ({}) was successful.", deleted.join(", "))?;
        return Ok(());
    }
    if !deleted.is_empty() {
        writeln!(out, "\nThese consumer groups were deleted successfully: {}", deleted.join(", "))?;
    }
    Err(Failure::new(format!("\nError: Deletion of some consumer groups failed:{}", failed.concat())))
}

fn delete_offsets(client: &mut Client, arguments: &Arguments, out: &mut dyn Write) -> Outcome {
    let group = arguments.group.first().map(String::as_str).unwrap_or_default();
    let partitions = named_partitions(client, &arguments.topic)?;
    let topics = partitions.iter().map(|(topic, index)| {
        let partition = OffsetDeleteRequestPartition::default().with_partition_index(*index);
        OffsetDeleteRequestTopic::default().with_name(topic_name(topic)).with_partitions(vec![partition])
    });
    let request = OffsetDeleteRequest::default().with_group_id(id(group)).with_topics(topics.collect());
    let answer = client.retry(|client| {
        let coordinator = client.coordinator(group)?;
        let answer = client.call(Target::Node(coordinator.id), &request)?;
        Failure::check(answer.error_code, None)?;
        Ok(answer)
    })?;
    writeln!(out, "Request succeeded for deleting offsets from group {group}.")?;
    let mut rows = Vec::new();
    let mut failed = false;
    for topic in answer.topics {
        for partition in topic.partitions {
            let status = match Failure::check(partition.error_code, None) {
                Ok(()) => "Successful".to_owned(),
                Err(failure) => {
                    failed = true;
                    format!("Error: {failure}")
                }
            };
            rows.push(vec![topic.name.to_string(), partition.partition_index.to_string(), status]);
        }
    }
    writeln!(out)?;
    table::write(&[fixed("TOPIC", 15), fixed("PARTITION", 10), fixed("STATUS", 15)], &rows, out)?;
    if failed { Err(Failure::new("some offsets were not deleted, see above")) } else { Ok(()) }
}

/// The partitions that `a` and `a:0,1` name.
///
/// # Errors
/// There is no such topic.
fn named_partitions(client: &mut Client, texts: &[String]) -> Outcome<Vec<TopicPartition>> {
    let mut partitions = Vec::new();
    for text in texts {
        let (topic, indexes) =
            text.split_once(':').map_or((text.as_str(), None), |(topic, indexes)| (topic, Some(indexes)));
        let cluster = client.cluster(Some(&[topic]))?;
        let found = cluster
            .topics
            .get(topic)
            .ok_or_else(|| Failure::broker(3, Some(&format!("there is no topic {topic}"))))?;
        match indexes {
            None => partitions.extend(found.leaders.keys().map(|index| (topic.to_owned(), *index))),
            Some(indexes) => {
                for word in indexes.split(',') {
                    let index = word.trim().parse().ok().filter(|index| found.leaders.contains_key(index));
                    let index = index.ok_or_else(|| {
                        Failure::new(format!("--topic {text}: {topic} has no partition {word:?}"))
                    })?;
                    partitions.push((topic.to_owned(), index));
                }
            }
        }
    }
    partitions.sort();
    partitions.dedup();
    Ok(partitions)
}

fn id(group: &str) -> GroupId {
    GroupId(StrBytes::from_string(group.to_owned()))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parsed(words: &str) -> Outcome<Arguments> {
        let line = format!("kafka-consumer-groups --bootstrap-server a:1 {words}");
        let arguments = Arguments::try_parse_from(line.split_whitespace())?;
        arguments.check()?;
        Ok(arguments)
    }

    #[test]
    fn flags_of_scripts_are_read() {
        for line in [
            "--list",
            "--list --state",
            "--list --state Empty,Stable",
            "--describe --group g",
            "--describe --all-groups --members --verbose",
            "--describe --group g --state",
            "--group g --reset-offsets --all-topics --shift-by -2 --dry-run",
            "--group g --reset-offsets --topic a:0,1 --to-datetime 2020-01-01T00:00:00.000 --execute",
            "--delete --group a --group b",
            "--delete-offsets --group a --topic t",
        ] {
            parsed(line).map_err(|failure| format!("{line}: {failure}")).unwrap();
        }
    }

    #[test]
    fn flags_that_do_not_go_together_are_refused_in_words() {
        for (line, words) in [
            ("", "exactly one action"),
            ("--describe", "--all-groups"),
            ("--describe --group g --members --offsets", "at most one"),
            ("--group g --reset-offsets --to-earliest", "--all-topics"),
            ("--group g --reset-offsets --all-topics", "--to-earliest"),
            ("--group g --reset-offsets --all-topics --to-earliest --to-latest", "exactly one"),
            ("--group g --reset-offsets --all-topics --to-earliest --dry-run --execute", "--dry-run"),
        ] {
            let said = parsed(line).unwrap_err().to_string();
            assert!(said.contains(words), "{line}: {said}");
        }
    }
}
