//! Fetching: one request to each broker that leads something of what is read, and a walk over the records that came.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use bytes::Bytes;
use kafka_protocol::messages::fetch_request::{FetchPartition, FetchTopic};
use kafka_protocol::messages::{BrokerId, FetchRequest};
use protocol::ErrorCode;
use protocol::record_batch::RecordBatchView;
use protocol::record_lookup::records_payload;
use protocol::record_set::RecordIter;

use super::Positions;
use super::format::Shown;
use crate::client::{Client, Target, topic_name};
use crate::failure::{Failure, Outcome};
use crate::partitions::{TopicPartition, by_leader};

/// From the next version on Fetch names topics by id.
const NEWEST_FETCH: i16 = 12;
const MAX_BYTES: i32 = 16 * 1024 * 1024;
const PARTITION_MAX_BYTES: i32 = 1024 * 1024;
/// No batch decompresses to more.
const DECOMPRESSED_MAX: usize = 512 * 1024 * 1024;
/// Bytes before a batch's length field ends.
const LOG_OVERHEAD: usize = 12;

/// What a fetch gave for one partition.
#[derive(Debug)]
pub(super) struct Fetched {
    pub(super) partition: TopicPartition,
    /// The position is not, or no longer, in the log.
    pub(super) out_of_range: bool,
    records: Bytes,
    /// Producer to the first offset of a transaction that was aborted, in the order of offsets.
    aborted: Vec<(i64, i64)>,
}

/// Asks each leader once, waiting `wait` for records in all.
pub(super) fn fetch(
    client: &mut Client,
    positions: &Positions,
    wait: Duration,
    isolation: i8,
) -> Outcome<Vec<Fetched>> {
    let mut names: Vec<&str> = positions.keys().map(|(topic, _)| topic.as_str()).collect();
    names.dedup();
    let cluster = client.cluster_once(Some(&names), false)?;
    let leaders =
        by_leader(&cluster, positions.iter().map(|(partition, offset)| (partition.clone(), *offset)))?;
    let wait = wait / u32::try_from(leaders.len()).unwrap_or(u32::MAX).max(1);
    let mut fetched = Vec::new();
    for (leader, topics) in leaders {
        let topics = topics.into_iter().map(|(name, partitions)| {
            let partitions = partitions.into_iter().map(|(index, offset)| {
                FetchPartition::default()
                    .with_partition(index)
                    .with_current_leader_epoch(-1)
                    .with_fetch_offset(offset)
                    .with_partition_max_bytes(PARTITION_MAX_BYTES)
            });
            FetchTopic::default().with_topic(topic_name(&name)).with_partitions(partitions.collect())
        });
        let request = FetchRequest::default()
            .with_replica_id(BrokerId(-1))
            .with_max_wait_ms(i32::try_from(wait.as_millis()).unwrap_or(i32::MAX))
            .with_min_bytes(1)
            .with_max_bytes(MAX_BYTES)
            .with_isolation_level(isolation)
            .with_session_epoch(-1)
            .with_topics(topics.collect());
        let answer = client.call_at_most(Target::Node(leader), &request, NEWEST_FETCH)?;
        Failure::check(answer.error_code, None)?;
        for topic in answer.responses {
            for data in topic.partitions {
                let partition = (topic.topic.to_string(), data.partition_index);
                let out_of_range = data.error_code == ErrorCode::OffsetOutOfRange.code();
                if !out_of_range {
                    Failure::check(data.error_code, None)?;
                }
                let aborted = data.aborted_transactions.unwrap_or_default();
                let aborted = aborted.into_iter().map(|one| (one.producer_id.0, one.first_offset)).collect();
                let records = data.records.unwrap_or_default();
                fetched.push(Fetched { partition, out_of_range, records, aborted });
            }
        }
    }
    Ok(fetched)
}

impl Fetched {
    /// Gives `each` the records from the position on, until it says that it has enough; the position after the last one.
    pub(super) fn each_record(
        &self,
        positions: &Positions,
        mut each: impl FnMut(&Shown<'_>) -> Outcome<bool>,
    ) -> Outcome<i64> {
        let mut next = positions.get(&self.partition).copied().unwrap_or(0);
        let mut aborted = Aborted {
            waiting: self.aborted.iter().copied().map(|(id, first)| (first, id)).collect(),
            open: BTreeSet::new(),
        };
        let mut rest = self.records.clone();
        while let Some(batch) = next_batch(&mut rest) {
            let view = RecordBatchView::parse(&batch).map_err(|error| self.damaged(&error.to_string()))?;
            view.verify_crc().map_err(|error| self.damaged(&error.to_string()))?;
            let end =
                view.base_offset().saturating_add(i64::from(view.last_offset_delta())).saturating_add(1);
            if !aborted.hides(&view) {
                let payload = records_payload(&view, DECOMPRESSED_MAX)
                    .map_err(|error| self.damaged(&error.to_string()))?;
                let records = RecordIter::new(&payload, view.record_count())
                    .map_err(|error| self.damaged(&error.to_string()))?;
                for record in records {
                    let record = record.map_err(|error| self.damaged(&error.to_string()))?;
                    let offset = view.base_offset().saturating_add(i64::from(record.offset_delta));
                    if offset < next {
                        continue;
                    }
                    let create_time = view.base_timestamp().saturating_add(record.timestamp_delta);
                    let is_append_time = view.is_log_append_time();
                    let shown = Shown {
                        offset,
                        timestamp: if is_append_time { view.max_timestamp() } else { create_time },
                        is_append_time,
                        leader_epoch: view.leader_epoch(),
                        key: record.key,
                        value: record.value,
                        headers: record.headers().map(|header| (header.key, header.value)).collect(),
                    };
                    if !each(&shown)? {
                        return Ok(next);
                    }
                    next = offset.saturating_add(1);
                }
            }
            next = next.max(end);
        }
        Ok(next)
    }

    fn damaged(&self, why: &str) -> Failure {
        let (topic, index) = &self.partition;
        Failure::new(format!("a batch of {topic}-{index} cannot be read: {why}"))
    }
}

/// Which batches belong to transactions that were aborted.
struct Aborted {
    /// First offset, producer.
    waiting: BTreeSet<(i64, i64)>,
    open: BTreeSet<i64>,
}

impl Aborted {
    /// Whether a reader must not see `batch`: a control batch, or part of an aborted transaction.
    fn hides(&mut self, batch: &RecordBatchView<'_>) -> bool {
        let last = batch.base_offset().saturating_add(i64::from(batch.last_offset_delta()));
        while let Some(&(first, producer)) = self.waiting.first().filter(|(first, _)| *first <= last) {
            self.waiting.remove(&(first, producer));
            self.open.insert(producer);
        }
        if batch.is_control() {
            self.open.remove(&batch.producer_id());
            return true;
        }
        batch.is_transactional() && self.open.contains(&batch.producer_id())
    }
}

/// The next whole batch; brokers may cut the last one.
fn next_batch(rest: &mut Bytes) -> Option<Bytes> {
    let length: [u8; 4] = rest.get(8..LOG_OVERHEAD)?.try_into().ok()?;
    let length = usize::try_from(i32::from_be_bytes(length)).ok()?.checked_add(LOG_OVERHEAD)?;
    (length <= rest.len()).then(|| rest.split_to(length))
}

/// Positions as commits want them: by topic.
pub(super) fn by_topic(positions: &Positions) -> BTreeMap<&str, Vec<(i32, i64)>> {
    let mut topics: BTreeMap<&str, Vec<(i32, i64)>> = BTreeMap::new();
    for ((topic, index), offset) in positions {
        topics.entry(topic).or_default().push((*index, *offset));
    }
    topics
}

#[cfg(test)]
mod tests {
    use super::*;
    use protocol::record_batch_builder::RecordBatchBuilder;

    #[test]
    fn records_before_the_position_and_cut_batches_are_left_out() {
        let mut bytes = Vec::new();
        for base in [0, 2] {
            let mut batch = RecordBatchBuilder::new(base);
            batch.append(5, None, Some(b"a"));
            batch.append(6, None, Some(b"b"));
            bytes.extend_from_slice(&batch.build());
        }
        bytes.truncate(bytes.len() - 1);
        let partition = ("t".to_owned(), 0);
        let fetched = Fetched {
            partition: partition.clone(),
            out_of_range: false,
            records: bytes.into(),
            aborted: Vec::new(),
        };
        let mut seen = Vec::new();
        let positions = Positions::from([(partition, 1)]);
        let next = fetched
            .each_record(&positions, |record| {
                seen.push((record.offset, record.timestamp));
                Ok(true)
            })
            .unwrap();
        assert_eq!((next, seen), (2, vec![(1, 6)]));
    }
}
