//! Fetch and ListOffsets for readers of committed records.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use proptest::prelude::*;
use protocol::control_batch::{EndTransactionMarker, MarkerType};
use protocol::messages::fetch_request::{FetchPartition, FetchTopic};
use protocol::messages::fetch_response::PartitionData;
use protocol::messages::list_offsets_request::{ListOffsetsPartition, ListOffsetsTopic};
use protocol::messages::{
    ApiKey, BrokerId, FetchRequest, FetchResponse, ListOffsetsRequest, ListOffsetsResponse,
};
use protocol::record_batch::RecordBatchView;
use protocol::record_batch_builder::RecordBatchBuilder;
use protocol::record_set::records;
use storage::{Append, PartitionLog, ValidBatch, VerificationGuard};

use super::{Client, block_on, decoded, topic_name};
use crate::api::Reply;

const READ_COMMITTED: i8 = 1;

/// Writes into partition 0 of a topic as transactional producers and their coordinator do.
struct Writer<'a> {
    client: &'a Client,
    log: Arc<PartitionLog>,
    /// Timestamps are counted from here: what is older is deleted.
    began: i64,
}

impl<'a> Writer<'a> {
    fn new(client: &'a Client, topic: &str) -> Self {
        client.create(topic, 1, &[]);
        let log = client.broker.store.topic(topic).unwrap().partition(0).unwrap();
        Self { client, log, began: client.now() }
    }

    fn append(&self, batch: Bytes) -> i64 {
        let batch = ValidBatch::new(batch).unwrap();
        let append = Append::new(Arc::clone(&self.log), batch).verified(Some(VerificationGuard::COORDINATOR));
        let appended = self.client.broker.store.append(vec![append]).remove(0).unwrap();
        block_on(self.client.broker.waits.acknowledged(appended.end)).unwrap();
        appended.base_offset
    }

    /// One record of nobody's transaction.
    fn plain(&self, timestamp: i64, value: &str) -> i64 {
        let mut builder = RecordBatchBuilder::new(0);
        builder.append(self.began + timestamp, None, Some(value.as_bytes()));
        self.append(builder.build())
    }

    fn transactional(&self, producer: i64, timestamp: i64, value: &str) -> i64 {
        let mut builder = RecordBatchBuilder::new(0).producer(producer, 0, -1).transactional();
        builder.append(self.began + timestamp, None, Some(value.as_bytes()));
        self.append(builder.build())
    }

    fn end(&self, producer: i64, committed: bool) -> i64 {
        let marker_type = if committed { MarkerType::Commit } else { MarkerType::Abort };
        let marker = EndTransactionMarker { marker_type, coordinator_epoch: 0 };
        self.append(marker.build(producer, 0, self.began))
    }
}

fn request(topic: &str, from: i64, isolation_level: i8) -> FetchRequest {
    let partition = FetchPartition::default().with_fetch_offset(from).with_partition_max_bytes(1 << 20);
    let topic = FetchTopic::default().with_topic(topic_name(topic)).with_partitions(vec![partition]);
    FetchRequest::default()
        .with_replica_id(BrokerId(-1))
        .with_max_bytes(1 << 20)
        .with_min_bytes(1)
        .with_isolation_level(isolation_level)
        .with_topics(vec![topic])
}

fn partition(mut response: FetchResponse) -> PartitionData {
    response.responses.remove(0).partitions.remove(0)
}

fn fetch(client: &Client, request: &FetchRequest) -> PartitionData {
    partition(client.call(ApiKey::Fetch, 12, request))
}

fn batches(fetched: &PartitionData) -> Vec<RecordBatchView<'_>> {
    let (mut rest, mut batches) = (&fetched.records.as_ref().unwrap()[..], Vec::new());
    while !rest.is_empty() {
        let batch = RecordBatchView::parse(rest).unwrap();
        rest = &rest[batch.as_bytes().len()..];
        batches.push(batch);
    }
    batches
}

fn offsets(fetched: &PartitionData) -> Vec<i64> {
    batches(fetched).iter().map(RecordBatchView::base_offset).collect()
}

fn aborted(fetched: &PartitionData) -> Option<Vec<(i64, i64)>> {
    let aborted = fetched.aborted_transactions.as_ref()?;
    Some(aborted.iter().map(|aborted| (aborted.producer_id.0, aborted.first_offset)).collect())
}

#[test]
fn readers_of_committed_records_stop_before_the_first_open_transaction() {
    let client = Client::new();
    let writer = Writer::new(&client, "t");
    writer.plain(1, "a");
    writer.transactional(7, 1, "b");
    writer.plain(1, "c");
    let committed = fetch(&client, &request("t", 0, READ_COMMITTED));
    assert_eq!((committed.high_watermark, committed.last_stable_offset), (3, 1));
    assert_eq!((offsets(&committed), aborted(&committed)), (vec![0], Some(Vec::new())));
    let all = fetch(&client, &request("t", 0, 0));
    assert_eq!((all.high_watermark, all.last_stable_offset), (3, 1), "it is told to everybody");
    assert_eq!((offsets(&all), aborted(&all)), (vec![0, 1, 2], None));
    let beyond = fetch(&client, &request("t", 2, READ_COMMITTED));
    assert_eq!((beyond.error_code, offsets(&beyond), aborted(&beyond)), (0, Vec::new(), Some(Vec::new())));
    writer.end(7, true);
    let committed = fetch(&client, &request("t", 1, READ_COMMITTED));
    assert_eq!((committed.last_stable_offset, offsets(&committed)), (4, vec![1, 2, 3]));
    assert_eq!(aborted(&committed), Some(Vec::new()));
}

#[test]
fn aborted_transactions_among_the_records_are_named_by_first_offset() {
    let client = Client::new();
    let writer = Writer::new(&client, "t");
    for (producer, value) in [(1, "a"), (2, "b"), (3, "c")] {
        writer.transactional(producer, 1, value);
    }
    writer.end(2, false);
    writer.end(3, true);
    writer.end(1, false);
    writer.transactional(4, 1, "d");
    writer.end(4, false);
    let named = |from, max_bytes| {
        let mut request = request("t", from, READ_COMMITTED);
        request.topics[0].partitions[0].partition_max_bytes = max_bytes;
        let fetched = fetch(&client, &request);
        (offsets(&fetched), aborted(&fetched).unwrap())
    };
    assert_eq!(named(0, 1 << 20), ((0..8).collect(), vec![(1, 0), (2, 1), (4, 6)]));
    assert_eq!(named(0, 1), (vec![0], vec![(1, 0)]), "only what overlaps the records");
    assert_eq!(named(4, 1), (vec![4], vec![(1, 0)]), "that of producer 2 ended before");
    assert_eq!(named(6, 1 << 20), (vec![6, 7], vec![(4, 6)]));
    assert_eq!(named(8, 1 << 20), (Vec::new(), Vec::new()));
}

#[test]
fn a_waiting_reader_of_committed_records_is_woken_by_the_marker_and_not_before() {
    let client = Client::with_config(&[("onelog.flush", "sync")]);
    let writer = Writer::new(&client, "t");
    let wait = |milliseconds| {
        let request = request("t", 0, READ_COMMITTED).with_max_wait_ms(milliseconds);
        let Reply::Later(later) = client.reply(ApiKey::Fetch, 12, &request) else { panic!("it should wait") };
        later
    };
    writer.transactional(7, 1, "a");
    let waited: FetchResponse = decoded(block_on(wait(50)), 12);
    assert_eq!(
        offsets(&partition(waited)),
        Vec::<i64>::new(),
        "bytes behind the last stable offset are not enough"
    );
    let parked = wait(60_000);
    let fetched = std::thread::scope(|scope| {
        scope.spawn(|| {
            std::thread::sleep(Duration::from_millis(50));
            writer.plain(1, "b");
            writer.end(7, true);
        });
        partition(decoded(block_on(parked), 12))
    });
    assert_eq!((offsets(&fetched), fetched.last_stable_offset), (vec![0, 1, 2], 3));
}

#[test]
fn offsets_that_are_not_stable_are_not_listed() {
    let client = Client::new();
    let writer = Writer::new(&client, "t");
    writer.plain(100, "a");
    writer.transactional(7, 300, "b");
    writer.plain(200, "c");
    let list = |timestamp: i64, isolation_level| {
        let timestamp = if timestamp < 0 { timestamp } else { writer.began + timestamp };
        let asked = ListOffsetsPartition::default().with_timestamp(timestamp).with_current_leader_epoch(-1);
        let topic = ListOffsetsTopic::default().with_name(topic_name("t")).with_partitions(vec![asked]);
        let request = ListOffsetsRequest::default()
            .with_replica_id(BrokerId(-1))
            .with_isolation_level(isolation_level)
            .with_topics(vec![topic]);
        let mut response: ListOffsetsResponse = client.call(ApiKey::ListOffsets, 9, &request);
        let found = response.topics.remove(0).partitions.remove(0);
        (found.error_code, found.offset)
    };
    let both = |timestamp| (list(timestamp, 0), list(timestamp, READ_COMMITTED));
    assert_eq!(both(-1), ((0, 3), (0, 1)), "the end");
    assert_eq!(both(-2), ((0, 0), (0, 0)), "the start");
    assert_eq!(both(-3), ((0, 1), (0, -1)), "the greatest timestamp");
    assert_eq!(both(100), ((0, 0), (0, 0)));
    assert_eq!(both(150), ((0, 1), (0, -1)));
    writer.end(7, false);
    assert_eq!(both(-1), ((0, 4), (0, 4)));
    assert_eq!(both(150), ((0, 1), (0, 1)), "aborted records have their timestamps too");
}

/// A consumer as Kafka's: goes through the records of one answer, skips those of aborted transactions and all markers.
fn committed_values(fetched: &PartitionData) -> Vec<String> {
    let mut aborts = aborted(fetched).unwrap();
    assert!(aborts.is_sorted_by_key(|(_, first_offset)| *first_offset));
    let (mut skipped, mut values) = (BTreeSet::new(), Vec::new());
    for batch in batches(fetched) {
        let last = batch.base_offset() + i64::from(batch.last_offset_delta());
        skipped.extend(aborts.extract_if(.., |(_, first)| *first <= last).map(|(producer, _)| producer));
        if batch.is_control() {
            let marker = EndTransactionMarker::parse(&batch).unwrap();
            if marker.marker_type == MarkerType::Abort {
                skipped.remove(&batch.producer_id());
            }
        } else if !(batch.is_transactional() && skipped.contains(&batch.producer_id())) {
            let value = |record: protocol::record_set::Record<'_>| {
                String::from_utf8(record.value.unwrap().to_vec()).unwrap()
            };
            values.extend(records(&batch).unwrap().map(|record| value(record.unwrap())));
        }
    }
    values
}

#[derive(Debug, Clone)]
enum Op {
    Plain,
    InTransaction(i64),
    End(i64, bool),
    Fetch,
}

fn op() -> impl Strategy<Value = Op> {
    prop_oneof![
        2 => Just(Op::Plain),
        6 => (1..5_i64).prop_map(Op::InTransaction),
        3 => (1..5_i64, any::<bool>()).prop_map(|(producer, committed)| Op::End(producer, committed)),
        2 => Just(Op::Fetch),
    ]
}

#[test]
fn a_consumer_sees_exactly_what_was_committed() {
    let client = Client::new();
    let topics = std::cell::Cell::new(0);
    let config = ProptestConfig { cases: 128, failure_persistence: None, ..ProptestConfig::default() };
    proptest!(config, |(ops in proptest::collection::vec(op(), 1..60), max_bytes in 1..400_i32)| {
        topics.set(topics.get() + 1);
        let topic = format!("t{}", topics.get());
        let writer = Writer::new(&client, &topic);
        // Values by offset, those of open transactions apart.
        let (mut committed, mut open) = (BTreeMap::new(), BTreeMap::<i64, Vec<(i64, String)>>::new());
        let (mut seen, mut from) = (Vec::new(), 0);
        for (number, op) in ops.into_iter().chain([Op::Fetch]).enumerate() {
            let value = number.to_string();
            match op {
                Op::Plain => {
                    committed.insert(writer.plain(1, &value), value);
                }
                Op::InTransaction(producer) => {
                    let offset = writer.transactional(producer, 1, &value);
                    open.entry(producer).or_default().push((offset, value));
                }
                Op::End(producer, commits) => {
                    writer.end(producer, commits);
                    committed.extend(open.remove(&producer).filter(|_| commits).into_iter().flatten());
                }
                Op::Fetch => {
                    let end = writer.log.high_watermark();
                    let first_open = open.values().map(|written| written[0].0).min();
                    let stable = first_open.unwrap_or(end);
                    while from < stable {
                        let mut request = request(&topic, from, READ_COMMITTED);
                        request.topics[0].partitions[0].partition_max_bytes = max_bytes;
                        let fetched = fetch(&client, &request);
                        prop_assert_eq!(fetched.last_stable_offset, stable);
                        seen.extend(committed_values(&fetched));
                        from = offsets(&fetched).last().unwrap() + 1;
                    }
                    let expected: Vec<String> = committed.range(..stable).map(|(_, value)| value.clone()).collect();
                    prop_assert_eq!(&seen, &expected);
                }
            }
        }
    });
}
