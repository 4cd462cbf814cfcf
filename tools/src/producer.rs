//! `kafka-console-producer` (Kafka classes `ConsoleProducer` and `LineMessageReader`): a record per line of stdin.
//!
//! Lines that have arrived go out together; a line that a person typed goes out at once. With acks=all the producer is
//! idempotent, so that a batch that is sent again is not stored twice. `line` reads a line.

mod line;

use std::collections::BTreeMap;
use std::ffi::OsString;
use std::io::{self, BufRead, IsTerminal as _, Write};
use std::path::PathBuf;

use bytes::Bytes;
use clap::{CommandFactory as _, Parser};
use kafka_protocol::messages::produce_request::{PartitionProduceData, TopicProduceData};
use kafka_protocol::messages::{InitProducerIdRequest, ProduceRequest, ProducerId};
use protocol::record_batch_builder::RecordBatchBuilder;

use crate::client::{Client, Target, topic_name};
use crate::failure::{Failure, Outcome};
use crate::{clock, options};
use line::{LineReader, Parsed};

/// From the next version on Produce names topics by id.
const NEWEST_PRODUCE: i16 = 12;
const BROKER_TIMEOUT_MS: i32 = 30_000;
/// A batch is sent when it has this many bytes, if not before.
const BATCH_BYTES: usize = 64 * 1024;

/// Produce the lines of stdin
#[derive(Debug, Parser)]
#[command(version, infer_long_args = true)]
struct Arguments {
    /// Brokers to ask first, comma-separated
    #[arg(long, value_name = "HOST:PORT[,HOST:PORT]")]
    bootstrap_server: String,
    /// The topic
    #[arg(long, value_name = "TOPIC")]
    topic: String,
    /// File of producer properties
    #[arg(long, visible_alias = "producer.config", value_name = "FILE")]
    command_config: Option<PathBuf>,
    /// A producer property: acks, client.id, request.timeout.ms are used
    #[arg(long, visible_alias = "producer-property", value_name = "NAME=VALUE", value_parser = options::key_value)]
    command_property: Vec<(String, String)>,
    /// How lines are read: parse.key, key.separator, parse.headers, headers.delimiter, headers.separator,
    /// headers.key.separator, null.marker, ignore.error
    #[arg(long, visible_alias = "property", value_name = "NAME=VALUE", value_parser = options::key_value)]
    reader_property: Vec<(String, String)>,
    /// File of such properties
    #[arg(long, value_name = "FILE")]
    reader_config: Option<PathBuf>,
    /// all or -1, 1 or 0
    #[arg(long, value_name = "ACKS", allow_hyphen_values = true)]
    request_required_acks: Option<String>,
    /// Only none: batches are not compressed
    #[arg(long, value_name = "CODEC", num_args = 0..=1, default_missing_value = "gzip")]
    compression_codec: Option<String>,
    /// Accepted: lines are always sent in order
    #[arg(long)]
    sync: bool,
    /// Accepted
    #[arg(long, value_name = "N")]
    batch_size: Option<i64>,
    /// Accepted
    #[arg(long, visible_alias = "linger-ms", value_name = "MS")]
    timeout: Option<i64>,
    /// Accepted
    #[arg(long, value_name = "N")]
    message_send_max_retries: Option<i64>,
    /// Accepted
    #[arg(long, value_name = "MS")]
    retry_backoff_ms: Option<i64>,
    /// Accepted
    #[arg(long, value_name = "N")]
    max_partition_memory_bytes: Option<i64>,
    /// How long one request may take
    #[arg(long, value_name = "MS")]
    request_timeout_ms: Option<u64>,
}

/// The command line, for completions and manual pages.
pub(crate) fn command() -> clap::Command {
    Arguments::command()
}

pub(crate) fn run(line: Vec<OsString>, _out: &mut dyn Write) -> Outcome {
    let arguments = Arguments::try_parse_from(line)?;
    if let Some(codec) = arguments.compression_codec.as_deref().filter(|codec| *codec != "none") {
        return Err(Failure::new(format!(
            "--compression-codec {codec}: this producer does not compress; leave it out or set compression.type of the topic"
        )));
    }
    let reader = arguments.reader()?;
    let mut properties = arguments.command_property.clone();
    if let Some(millis) = arguments.request_timeout_ms {
        properties.push(("request.timeout.ms".to_owned(), millis.to_string()));
    }
    let client =
        options::client(&arguments.bootstrap_server, arguments.command_config.as_ref(), &properties)?;
    let acks = acks(&arguments)?;
    let mut producer = Producer::start(client, &arguments.topic, acks)?;
    produce(&mut producer, &reader)
}

impl Arguments {
    fn reader(&self) -> Outcome<LineReader> {
        let mut properties = match &self.reader_config {
            None => Vec::new(),
            Some(path) => options::read_properties(
                &std::fs::read_to_string(path)
                    .map_err(|error| Failure::new(format!("{} cannot be read: {error}", path.display())))?,
            ),
        };
        properties.extend(self.reader_property.iter().cloned());
        LineReader::new(&properties)
    }
}

fn acks(arguments: &Arguments) -> Outcome<i16> {
    let property = arguments.command_property.iter().rev().find(|(key, _)| key == "acks");
    let given = property.map(|(_, value)| value).or(arguments.request_required_acks.as_ref());
    match given.map(String::as_str) {
        None | Some("all" | "-1") => Ok(-1),
        Some("1") => Ok(1),
        Some(other) => Err(Failure::new(format!("acks={other}: it must be all or 1 here"))),
    }
}

fn produce(producer: &mut Producer, reader: &LineReader) -> Outcome {
    let prompt = io::stdin().is_terminal();
    let mut input = io::BufReader::with_capacity(BATCH_BYTES, io::stdin().lock());
    let mut line = Vec::new();
    for number in 1_u64.. {
        if prompt {
            write!(io::stderr(), ">")?;
        }
        line.clear();
        if input.read_until(b'\n', &mut line)? == 0 {
            break;
        }
        if line.ends_with(b"\n") {
            line.pop();
        }
        if line.ends_with(b"\r") {
            line.pop();
        }
        let sent = reader.parse(&line, number).and_then(|parsed| producer.append(&parsed));
        if let Err(failure) = sent {
            producer.flush()?;
            return Err(failure);
        }
        if input.buffer().is_empty() {
            producer.flush()?;
        }
    }
    producer.flush()
}

/// Who the broker takes the producer for.
#[derive(Debug, Clone, Copy)]
struct Identity {
    id: i64,
    epoch: i16,
}

#[derive(Debug)]
struct Producer {
    client: Client,
    topic: String,
    acks: i16,
    partitions: i32,
    identity: Option<Identity>,
    /// The next sequence number by partition.
    sequences: BTreeMap<i32, i32>,
    batches: BTreeMap<i32, RecordBatchBuilder>,
    /// Where records without a key go until the next flush.
    sticky: i32,
}

impl Producer {
    fn start(mut client: Client, topic: &str, acks: i16) -> Outcome<Self> {
        let name = [topic];
        let partitions = client.retry(|client| {
            let cluster = client.cluster_once(Some(&name), true)?;
            let found = cluster.topics.get(topic).map_or(0, |topic| topic.leaders.len());
            // Made by asking, it has its leaders a moment later.
            if found == 0 {
                Err(Failure::broker(5, Some(&format!("topic {topic} has no partitions yet"))))
            } else {
                Ok(found)
            }
        })?;
        let identity = if acks == -1 { identity(&mut client)? } else { None };
        let partitions = i32::try_from(partitions).unwrap_or(i32::MAX);
        let sticky = i32::try_from(clock::unix_ms() % i64::from(partitions)).unwrap_or(0);
        let topic = topic.to_owned();
        let (sequences, batches) = (BTreeMap::new(), BTreeMap::new());
        Ok(Self { client, topic, acks, partitions, identity, sequences, batches, sticky })
    }

    fn append(&mut self, parsed: &Parsed<'_>) -> Outcome {
        let partition = match parsed.key {
            Some(key) => line::partition_of(key, self.partitions),
            None => self.sticky,
        };
        let (identity, sequence) = (self.identity, self.sequences.get(&partition).copied().unwrap_or(0));
        let batch = self.batches.entry(partition).or_insert_with(|| {
            let batch = RecordBatchBuilder::new(0);
            match identity {
                Some(Identity { id, epoch }) => batch.producer(id, epoch, sequence),
                None => batch,
            }
        });
        batch.append_with_headers(clock::unix_ms(), parsed.key, parsed.value, &parsed.headers);
        let next = self.sequences.entry(partition).or_insert(0);
        *next = next.checked_add(1).unwrap_or(0);
        if batch.len() >= BATCH_BYTES { self.flush() } else { Ok(()) }
    }

    fn flush(&mut self) -> Outcome {
        for (partition, batch) in std::mem::take(&mut self.batches) {
            self.send(partition, &batch.build())?;
        }
        self.sticky = (self.sticky + 1) % self.partitions;
        Ok(())
    }

    fn send(&mut self, partition: i32, batch: &Bytes) -> Outcome {
        let Self { client, topic, acks, .. } = self;
        let data = PartitionProduceData::default().with_index(partition).with_records(Some(batch.clone()));
        let topics = TopicProduceData::default().with_name(topic_name(topic)).with_partition_data(vec![data]);
        let request = ProduceRequest::default()
            .with_acks(*acks)
            .with_timeout_ms(BROKER_TIMEOUT_MS)
            .with_topic_data(vec![topics]);
        client.retry(|client| {
            let leader = client.cluster_once(Some(&[topic.as_str()]), false)?.leader(topic, partition)?;
            let answer = client.call_at_most(Target::Node(leader), &request, NEWEST_PRODUCE)?;
            let mut results = answer.responses.into_iter().flat_map(|topic| topic.partition_responses);
            let result =
                results.next().ok_or_else(|| Failure::new("the broker left the batch out of its answer"))?;
            // Sent twice and stored once: what idempotence is for.
            if result.error_code == protocol::ErrorCode::DuplicateSequenceNumber.code() {
                return Ok(());
            }
            Failure::check(result.error_code, result.error_message.as_deref())
        })
    }
}

/// A producer id; none where the broker has no idempotence.
fn identity(client: &mut Client) -> Outcome<Option<Identity>> {
    let request = InitProducerIdRequest::default()
        .with_transactional_id(None)
        .with_transaction_timeout_ms(i32::MAX)
        .with_producer_id(ProducerId(-1))
        .with_producer_epoch(-1);
    let answer = client.retry(|client| {
        let answer = client.call(Target::Any, &request)?;
        Failure::check(answer.error_code, None)?;
        Ok(answer)
    });
    match answer {
        Ok(answer) => Ok(Some(Identity { id: answer.producer_id.0, epoch: answer.producer_epoch })),
        Err(failure) if failure.code() == Some(protocol::ErrorCode::UnsupportedVersion) => Ok(None),
        Err(failure) => Err(failure),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parsed(words: &str) -> Result<Arguments, clap::Error> {
        let line = format!("kafka-console-producer --bootstrap-server a:1 {words}");
        Arguments::try_parse_from(line.split_whitespace())
    }

    #[test]
    fn flags_of_scripts_are_read() {
        let read = parsed("--topic a --property parse.key=true --reader-property key.separator=: --producer-property acks=1").unwrap();
        assert_eq!(read.reader_property.len(), 2);
        assert_eq!(acks(&read).unwrap(), 1);
        assert_eq!(acks(&parsed("--topic a --request-required-acks -1").unwrap()).unwrap(), -1);
        assert!(acks(&parsed("--topic a --request-required-acks 7").unwrap()).is_err());
        assert!(parsed("").is_err());
        assert!(parsed("--topic a --property nothing").is_err());
    }
}
