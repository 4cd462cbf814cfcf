//! Reads partitions back over the protocol, as a consumer does: one connection, one request in flight.
//!
//! `readback` checks every record with it; the fetch rows only count batches. Invariant: batches are handed out in the order
//! of offsets per partition, each once, whole.

use std::collections::VecDeque;
use std::time::Duration;

use anyhow::{Result, ensure};
use bytes::Bytes;
use kafka_protocol::messages::fetch_request::{FetchPartition, FetchTopic};
use kafka_protocol::messages::{BrokerId, FetchRequest};
use protocol::record_batch::{LOG_OVERHEAD, RecordBatchView};

use crate::batches::count;
use crate::clock;
use crate::topics::TopicSet;
use crate::wire::Connection;

/// The last version that names topics by name.
const VERSION: i16 = 12;
const MAX_BYTES: i32 = 50 << 20;
/// Partitions in one request.
const CHUNK: usize = 500;
/// Offset of a partition that is read to its end.
const READ: i64 = i64::MAX;
/// Without a byte for this long, the rest is not there.
const PATIENCE: Duration = Duration::from_secs(5);

/// What every request of a reader says.
#[derive(Debug, Clone, Copy)]
pub(crate) struct FetchPlan {
    pub(crate) max_wait_ms: i32,
    pub(crate) partition_max_bytes: i32,
}

impl Default for FetchPlan {
    /// What Kafka's consumer asks for.
    fn default() -> Self {
        Self { max_wait_ms: 500, partition_max_bytes: 1 << 20 }
    }
}

/// One partition of an answer.
#[derive(Debug)]
pub(crate) struct FetchAnswer {
    pub(crate) partition: u32,
    pub(crate) error_code: i16,
    pub(crate) high_watermark: i64,
    pub(crate) records: Bytes,
}

impl FetchPlan {
    /// One Fetch of the given partitions of one topic or more, each from its offset.
    ///
    /// # Errors
    /// The connection breaks, or the answer as a whole is an error.
    pub(crate) fn ask(
        self,
        connection: &mut Connection,
        topics: &TopicSet,
        offsets: &[(u32, i64)],
    ) -> Result<Vec<FetchAnswer>> {
        let mut asked: Vec<(u32, FetchTopic)> = Vec::new();
        for (partition, offset) in offsets {
            let (topic, index) = topics.place(*partition);
            let wanted = FetchPartition::default()
                .with_partition(i32::try_from(index)?)
                .with_current_leader_epoch(-1)
                .with_fetch_offset(*offset)
                .with_last_fetched_epoch(-1)
                .with_log_start_offset(-1)
                .with_partition_max_bytes(self.partition_max_bytes);
            match asked.last_mut() {
                Some((last, fetched)) if *last == topic => fetched.partitions.push(wanted),
                _ => asked.push((topic, fetch_topic(topics, topic, wanted))),
            }
        }
        let request = FetchRequest::default()
            .with_replica_id(BrokerId(-1))
            .with_max_wait_ms(self.max_wait_ms)
            .with_min_bytes(1)
            .with_max_bytes(MAX_BYTES)
            .with_session_epoch(-1)
            .with_topics(asked.iter().map(|(_, topic)| topic.clone()).collect());
        let response = connection.ask(VERSION, &request)?;
        ensure!(response.error_code == 0, "Fetch answered error {}", response.error_code);
        let mut answers = Vec::with_capacity(offsets.len());
        for topic in response.responses {
            let number = asked.iter().find(|(_, one)| one.topic == topic.topic).map(|(number, _)| *number);
            let Some(number) = number else { continue };
            answers.extend(topic.partitions.into_iter().map(|data| FetchAnswer {
                partition: topics.partition(number, data.partition_index),
                error_code: data.error_code,
                high_watermark: data.high_watermark,
                records: data.records.unwrap_or_default(),
            }));
        }
        Ok(answers)
    }
}

fn fetch_topic(topics: &TopicSet, topic: u32, first: FetchPartition) -> FetchTopic {
    FetchTopic::default().with_topic(topics.topic_name(topic)).with_partitions(vec![first])
}

/// What a reader read.
#[derive(Debug, Default, Clone, Copy)]
pub(crate) struct ReadTotals {
    pub(crate) batches: u64,
    pub(crate) records: u64,
    /// Bytes of whole batches.
    pub(crate) bytes: u64,
}

/// Reads every partition of `topics` from its offset in `from` to its end, and hands each batch to `each`. Stops early when
/// `go_on` says so.
///
/// # Errors
/// The broker answers with an error, or with bytes that are not record batches.
pub(crate) fn read(
    connection: &mut Connection,
    topics: &TopicSet,
    from: &[i64],
    mut each: impl FnMut(u32, &RecordBatchView<'_>) -> Result<()>,
    go_on: impl Fn() -> bool,
) -> Result<ReadTotals> {
    let plan = FetchPlan::default();
    let mut totals = ReadTotals::default();
    let mut open: Vec<(u32, i64)> = (0..topics.partitions()).zip(from.iter().copied()).collect();
    open.retain(|(partition, offset)| *offset < end_of(topics, *partition));
    let mut open = VecDeque::from(open);
    let mut last_byte = clock::now();
    while !open.is_empty() && go_on() {
        let mut chunk: Vec<_> = open.drain(..open.len().min(CHUNK)).collect();
        chunk.sort_unstable();
        let before = totals.bytes;
        for answer in plan.ask(connection, topics, &chunk)? {
            ensure!(answer.error_code == 0, "Fetch of {} answered {}", answer.partition, answer.error_code);
            let at = chunk.binary_search_by_key(&answer.partition, |(partition, _)| *partition);
            let Ok(at) = at else { continue };
            let offset = &mut chunk[at].1;
            *offset = each_batch(&answer, &mut totals, &mut each)?.unwrap_or(*offset);
            if *offset >= end_of(topics, answer.partition).max(answer.high_watermark) {
                *offset = READ;
            }
        }
        if totals.bytes > before {
            last_byte = clock::now();
        } else if clock::now() - last_byte > PATIENCE {
            break;
        }
        chunk.retain(|(_, offset)| *offset != READ);
        open.extend(chunk);
    }
    Ok(totals)
}

fn end_of(topics: &TopicSet, partition: u32) -> i64 {
    topics.ends[usize::try_from(partition).expect("a u32 fits")]
}

/// The whole batches of an answer; returns the offset after the last one.
fn each_batch(
    answer: &FetchAnswer,
    totals: &mut ReadTotals,
    each: &mut impl FnMut(u32, &RecordBatchView<'_>) -> Result<()>,
) -> Result<Option<i64>> {
    let mut next = None;
    let mut bytes = &answer.records[..];
    while bytes.len() > LOG_OVERHEAD {
        // The limit of a Fetch may cut the last batch; Kafka's sendfile does.
        let Ok(batch) = RecordBatchView::parse(bytes) else { break };
        each(answer.partition, &batch)?;
        next = Some(batch.base_offset() + i64::from(batch.last_offset_delta()) + 1);
        totals.batches += 1;
        totals.records += u64::try_from(batch.record_count())?;
        totals.bytes += count(batch.as_bytes().len());
        bytes = &bytes[batch.as_bytes().len()..];
    }
    ensure!(next.is_some() || bytes.is_empty(), "a Fetch answer starts with bytes that are no batch");
    Ok(next)
}
