//! `kafka-get-offsets` (Kafka class `GetOffsetShell`): `topic:partition:offset` for the end, the beginning or a time.

use std::ffi::OsString;
use std::io::Write;

use clap::{CommandFactory as _, Parser};
use serde_json::json;

use crate::client::Cluster;
use crate::failure::{Failure, Outcome};
use crate::options::Connect;
use crate::partitions::{self, READ_UNCOMMITTED, TopicPartition};
use crate::text::topic_pattern;

/// Show offsets of partitions
#[derive(Debug, Parser)]
#[command(version, infer_long_args = true)]
struct Arguments {
    #[command(flatten)]
    connect: Connect,
    /// The topics, a regular expression
    #[arg(long, value_name = "TOPIC")]
    topic: Option<String>,
    /// Partitions, comma-separated
    #[arg(long, value_name = "N,N", conflicts_with = "topic_partitions")]
    partitions: Option<String>,
    /// Topics with partitions: a:0,b:1-3,c:2-,d (the end of a range is not included)
    #[arg(long, value_name = "LIST", conflicts_with = "topic")]
    topic_partitions: Option<String>,
    /// latest or -1, earliest or -2, max-timestamp or -3, or milliseconds since 1970
    #[arg(long, value_name = "TIME", default_value = "latest", allow_hyphen_values = true)]
    time: String,
    /// Leave internal topics out
    #[arg(long)]
    exclude_internal_topics: bool,
    /// JSON (not in Kafka's tool)
    #[arg(long)]
    json: bool,
}

/// The command line, for completions and manual pages.
pub(crate) fn command() -> clap::Command {
    Arguments::command()
}

pub(crate) fn run(line: Vec<OsString>, out: &mut dyn Write) -> Outcome {
    let arguments = Arguments::try_parse_from(line)?;
    show(&arguments, out).map_err(|failure| failure.in_words("Error occurred: "))
}

fn show(arguments: &Arguments, out: &mut dyn Write) -> Outcome {
    let time = timestamp(&arguments.time)?;
    let filters = arguments.filters()?;
    let mut client = arguments.connect.client()?;
    let mut cluster = client.cluster(None)?;
    cluster.topics.retain(|_, topic| !(arguments.exclude_internal_topics && topic.internal));
    let chosen = chosen(&cluster, &filters);
    if chosen.is_empty() {
        return Err(Failure::new("Could not match any topic-partitions with the specified filters"));
    }
    let wanted: Vec<_> = chosen.into_iter().map(|partition| (partition, time)).collect();
    let found = partitions::offsets(&mut client, &wanted, READ_UNCOMMITTED)?;
    // No record is that late: Kafka's tool leaves the partition out.
    let found = found.into_iter().filter(|(_, offset)| *offset >= 0);
    if arguments.json {
        let row = |((topic, partition), offset): (TopicPartition, i64)| json!({ "topic": topic, "partition": partition, "offset": offset });
        writeln!(out, "{}", json!({ "offsets": found.map(row).collect::<Vec<_>>() }))?;
        return Ok(());
    }
    for ((topic, partition), offset) in found {
        writeln!(out, "{topic}:{partition}:{offset}")?;
    }
    Ok(())
}

/// One rule of `--topic-partitions`: which topics, which partitions.
#[derive(Debug)]
struct Filter {
    topic: regex::Regex,
    from: i32,
    /// Not included.
    to: i32,
}

impl Arguments {
    fn filters(&self) -> Outcome<Vec<Filter>> {
        if let Some(list) = &self.topic_partitions {
            return list.split(',').map(rule).collect();
        }
        let topic = topic_pattern(self.topic.as_deref().unwrap_or(".*"))?;
        let Some(indexes) = &self.partitions else {
            return Ok(vec![Filter { topic, from: 0, to: i32::MAX }]);
        };
        let filter = |word: &str| {
            let from = index(word)?;
            Ok(Filter { topic: topic.clone(), from, to: from.saturating_add(1) })
        };
        indexes.split(',').map(filter).collect()
    }
}

fn chosen(cluster: &Cluster, filters: &[Filter]) -> Vec<TopicPartition> {
    let wanted = |(topic, index): &TopicPartition| {
        filters.iter().any(|rule| rule.topic.is_match(topic) && (rule.from..rule.to).contains(index))
    };
    partitions::all(cluster).into_iter().filter(wanted).collect()
}

fn rule(text: &str) -> Outcome<Filter> {
    let (topic, range) = text.split_once(':').unwrap_or((text, ""));
    let topic = topic_pattern(if topic.is_empty() { ".*" } else { topic })?;
    let (from, to) = match range.split_once('-') {
        None if range.is_empty() => (0, i32::MAX),
        None => {
            let only = index(range)?;
            (only, only.saturating_add(1))
        }
        Some((from, to)) => {
            let from = if from.is_empty() { 0 } else { index(from)? };
            (from, if to.is_empty() { i32::MAX } else { index(to)? })
        }
    };
    Ok(Filter { topic, from, to })
}

fn index(word: &str) -> Outcome<i32> {
    let wrong = || Failure::new(format!("{word:?} is not the number of a partition; write 0,1,2 or a:0-3"));
    word.trim().parse().map_err(|_| wrong())
}

fn timestamp(text: &str) -> Outcome<i64> {
    match text {
        "latest" => Ok(-1),
        "earliest" => Ok(-2),
        "max-timestamp" => Ok(-3),
        "earliest-local" => Ok(-4),
        "latest-tiered" => Ok(-5),
        _ => text.parse().map_err(|_| {
            Failure::new(format!(
                "Malformed time argument {text}. Please use -1 or latest / -2 or earliest / -3 or max-timestamp / -4 or earliest-local / -5 or latest-tiered, or a specified long format timestamp"
            ))
        }),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rules_name_topics_and_ranges_of_partitions() {
        for (text, from, to) in
            [("a:1", 1, 2), ("a:0-2", 0, 2), ("a:2-", 2, i32::MAX), ("a:-3", 0, 3), ("a", 0, i32::MAX)]
        {
            let read = rule(text).unwrap();
            assert_eq!((read.from, read.to), (from, to), "{text}");
            assert!(read.topic.is_match("a") && !read.topic.is_match("ab"));
        }
        assert!(rule(":1").unwrap().topic.is_match("anything"));
        assert!(rule("a:x").is_err());
    }

    #[test]
    fn time_is_a_word_or_a_number() {
        assert_eq!(timestamp("-2").unwrap(), -2);
        assert_eq!(timestamp("earliest").unwrap(), -2);
        assert_eq!(timestamp("1700000000000").unwrap(), 1_700_000_000_000);
        assert!(timestamp("nope").unwrap_err().to_string().contains("Malformed time argument nope"));
    }
}
