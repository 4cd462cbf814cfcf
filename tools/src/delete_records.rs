//! `kafka-delete-records` (Kafka class `DeleteRecordsCommand`): moves the beginning of partitions forward, as a JSON file says.

use std::collections::BTreeMap;
use std::ffi::OsString;
use std::fs;
use std::io::Write;
use std::path::PathBuf;

use clap::{CommandFactory as _, Parser};
use kafka_protocol::messages::DeleteRecordsRequest;
use kafka_protocol::messages::delete_records_request::{DeleteRecordsPartition, DeleteRecordsTopic};
use serde_json::Value;

use crate::client::{Client, Target, topic_name};
use crate::failure::{Failure, Outcome};
use crate::options::Connect;
use crate::partitions::TopicPartition;

const BROKER_TIMEOUT_MS: i32 = 30_000;

/// Delete records before given offsets
#[derive(Debug, Parser)]
#[command(version, infer_long_args = true)]
struct Arguments {
    #[command(flatten)]
    connect: Connect,
    /// {"partitions": [{"topic": "a", "partition": 0, "offset": 5}], "version": 1}; offset -1 is the end
    #[arg(long, value_name = "FILE")]
    offset_json_file: PathBuf,
}

/// The command line, for completions and manual pages.
pub(crate) fn command() -> clap::Command {
    Arguments::command()
}

pub(crate) fn run(line: Vec<OsString>, out: &mut dyn Write) -> Outcome {
    let arguments = Arguments::try_parse_from(line)?;
    let path = arguments.offset_json_file.display().to_string();
    let text = fs::read_to_string(&arguments.offset_json_file)
        .map_err(|error| Failure::new(format!("{path} cannot be read: {error}")))?;
    let wanted = wanted(&text).map_err(|failure| failure.in_words(&format!("{path}: ")))?;
    let mut client = arguments.connect.client()?;
    writeln!(out, "Executing records delete operation")?;
    let mut outcomes = BTreeMap::new();
    for (partition, offset) in wanted {
        let outcome = delete(&mut client, &partition, offset);
        outcomes.insert(partition, outcome);
    }
    writeln!(out, "Records delete operation completed:")?;
    let mut failed = false;
    for ((topic, index), outcome) in outcomes {
        match outcome {
            Ok(low) => writeln!(out, "partition: {topic}-{index}\tlow_watermark: {low}")?,
            Err(failure) => {
                failed = true;
                writeln!(out, "partition: {topic}-{index}\terror: {failure}")?;
            }
        }
    }
    // The lines say it all; Kafka's tool ends with 0 even then.
    if failed { Err(Failure::new("records of some partitions were not deleted, see above")) } else { Ok(()) }
}

fn delete(client: &mut Client, (topic, index): &TopicPartition, offset: i64) -> Outcome<i64> {
    let partition = DeleteRecordsPartition::default().with_partition_index(*index).with_offset(offset);
    let topics = DeleteRecordsTopic::default().with_name(topic_name(topic)).with_partitions(vec![partition]);
    let request =
        DeleteRecordsRequest::default().with_topics(vec![topics]).with_timeout_ms(BROKER_TIMEOUT_MS);
    client.retry(|client| {
        let leader = client.cluster_once(Some(&[topic]), false)?.leader(topic, *index)?;
        let answer = client.call(Target::Node(leader), &request)?;
        let mut results = answer.topics.into_iter().flat_map(|topic| topic.partitions);
        let result =
            results.next().ok_or_else(|| Failure::new("the broker left the partition out of its answer"))?;
        Failure::check(result.error_code, None)?;
        Ok(result.low_watermark)
    })
}

fn wanted(text: &str) -> Outcome<BTreeMap<TopicPartition, i64>> {
    let document: Value =
        serde_json::from_str(text).map_err(|error| Failure::new(format!("this is not JSON: {error}")))?;
    if document.get("version").is_some_and(|version| version != 1) {
        return Err(Failure::new(format!("version {} is not known; it must be 1", document["version"])));
    }
    let rows = document["partitions"].as_array().filter(|rows| !rows.is_empty());
    let rows = rows.ok_or_else(|| Failure::new("there is no list \"partitions\" with an entry"))?;
    let mut wanted = BTreeMap::new();
    for row in rows {
        let field = |name: &str| {
            Failure::new(format!(
                "{row} must have {name:?}, as in {{\"topic\": \"a\", \"partition\": 0, \"offset\": 5}}"
            ))
        };
        let topic = row["topic"].as_str().ok_or_else(|| field("topic"))?;
        let index = row["partition"]
            .as_i64()
            .and_then(|index| i32::try_from(index).ok())
            .ok_or_else(|| field("partition"))?;
        let offset = row["offset"].as_i64().ok_or_else(|| field("offset"))?;
        if wanted.insert((topic.to_owned(), index), offset).is_some() {
            return Err(Failure::new(format!("{topic}-{index} is there twice")));
        }
    }
    Ok(wanted)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn file_is_read_or_refused_in_words() {
        let read = wanted(r#"{"partitions":[{"topic":"a","partition":0,"offset":-1}],"version":1}"#).unwrap();
        assert_eq!(read[&("a".to_owned(), 0)], -1);
        for (text, words) in [
            ("{", "not JSON"),
            ("{}", "partitions"),
            (r#"{"partitions":[{"topic":"a","partition":0}]}"#, "\"offset\""),
            (r#"{"partitions":[{"topic":"a","partition":0,"offset":1}],"version":2}"#, "version 2"),
            (
                r#"{"partitions":[{"topic":"a","partition":0,"offset":1},{"topic":"a","partition":0,"offset":2}]}"#,
                "twice",
            ),
        ] {
            assert!(wanted(text).unwrap_err().to_string().contains(words), "{text}");
        }
    }
}
