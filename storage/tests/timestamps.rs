//! Offsets by timestamp against a scan of all records, with timestamps in any order.
//!
//! Random batches (one or many records, increasing, decreasing, random and missing timestamps, every codec, append time),
//! log starts that move, compactions that remove and lengthen batches, reopens with and without projections, housekeeping in
//! between. After each stretch random questions; the answers are those of the scan.
#![allow(clippy::unwrap_used, reason = "a test that cannot go on should say where")]

mod support;

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::Arc;

use protocol::compression::decompress;
use protocol::record_batch::RecordBatchView;
use protocol::record_set::RecordIter;
use storage::disk::Disk;
use storage::{Append, Configs, FlushMode, PartitionLog, Store, TimestampOffset};
use support::batches::{CODECS, Sent, batch_appended_at, batch_of};
use support::simulated_disk::SimulatedDisk;
use support::{Random, config, open, read_all};
use uuid::Uuid;

/// Topic and partition by index; from [`FIRST_COMPACTED`] on they are compacted.
const PARTITIONS: [(&str, i32); 4] = [("t", 0), ("t", 1), ("forgets", 0), ("remembers", 0)];
const FIRST_COMPACTED: usize = 2;
/// Timestamps are below this, most of them.
const TIMES: u64 = 2000;
const KEYS: u64 = 60;

/// One partition as a plain list of batches.
#[derive(Debug, Clone, Default)]
struct Plain {
    batches: Vec<PlainBatch>,
    /// Every record ever written: key, if it is no tombstone, and timestamp.
    written: Vec<(Vec<u8>, bool, i64)>,
    log_start: i64,
}

#[derive(Debug, Clone, PartialEq, Eq)]
struct PlainBatch {
    last_offset: i64,
    /// Offset and timestamp of each.
    records: Vec<(i64, i64)>,
}

impl PlainBatch {
    fn of(batch: &[u8]) -> Self {
        let view = RecordBatchView::parse(batch).unwrap();
        let bytes = decompress(view.codec().unwrap(), view.records_bytes(), 1 << 20).unwrap();
        let records = RecordIter::new(&bytes, view.record_count()).unwrap().map(|record| {
            let record = record.unwrap();
            let own = view.base_timestamp() + record.timestamp_delta;
            let timestamp = if view.is_log_append_time() { view.max_timestamp() } else { own };
            (view.base_offset() + i64::from(record.offset_delta), timestamp)
        });
        let last_offset = view.base_offset() + i64::from(view.last_offset_delta());
        Self { last_offset, records: records.collect() }
    }
}

impl Plain {
    fn end(&self) -> i64 {
        i64::try_from(self.written.len()).unwrap()
    }

    fn push(&mut self, records: &[Sent], timestamp: impl Fn(&Sent) -> i64) {
        let offsets = self.end()..;
        let records_of = offsets.zip(records).map(|(offset, record)| (offset, timestamp(record))).collect();
        self.written.extend(
            records
                .iter()
                .map(|record| (record.key.clone().unwrap(), record.value.is_some(), timestamp(record))),
        );
        self.batches.push(PlainBatch { last_offset: self.end() - 1, records: records_of });
    }

    /// Batches of which something is left.
    fn batches(&self) -> impl Iterator<Item = &PlainBatch> {
        self.batches.iter().filter(|batch| batch.last_offset >= self.log_start)
    }

    /// Kafka's `UnifiedLog.fetchOffsetByTimestamp`: batch after batch whose maximum reaches the timestamp, its first record
    /// that does and that was not deleted. Not found at or above the limit.
    fn first_at_or_after(&self, timestamp: i64, limit: i64) -> Option<(i64, i64)> {
        let mut records = self.batches().flat_map(|batch| &batch.records);
        let found = records.find(|(offset, own)| *offset >= self.log_start && *own >= timestamp);
        found.copied().filter(|(offset, _)| *offset < limit)
    }

    /// The first batch with the greatest maximum, its first record that has it; a batch counts whole, as in Kafka.
    fn greatest(&self) -> Option<(i64, i64)> {
        let mut best: Option<(i64, i64)> = None;
        for (offset, timestamp) in self.batches().flat_map(|batch| &batch.records) {
            if *timestamp >= 0 && best.is_none_or(|(_, greatest)| *timestamp > greatest) {
                best = Some((*offset, *timestamp));
            }
        }
        best
    }

    /// Takes over what a compaction left, which must be a part of what was written with the newest value of each key.
    fn compacted_to(&mut self, left: Vec<PlainBatch>) {
        let records: BTreeMap<i64, i64> =
            left.iter().flat_map(|batch| batch.records.iter().copied()).collect();
        for (offset, timestamp) in &records {
            assert_eq!(*timestamp, self.written[usize::try_from(*offset).unwrap()].2, "offset {offset}");
        }
        let newest: BTreeMap<_, _> =
            (0..).zip(&self.written).map(|(at, (key, live, _))| (key, (at, live))).collect();
        for (key, (offset, live)) in newest {
            let kept = !live || offset < self.log_start || records.contains_key(&offset);
            assert!(kept, "{key:?} is gone, offset {offset}");
        }
        self.batches = left;
    }
}

#[derive(Debug, Default)]
struct Tally {
    questions: u64,
    found: u64,
    batches: u64,
    trims: u64,
    /// Partitions that a compaction left with other batches.
    compactions: u64,
    reopens: u64,
}

struct Run {
    random: Random,
    disk: SimulatedDisk,
    store: Arc<Store>,
    plain: Vec<Plain>,
    now: u64,
    tally: Tally,
}

impl Run {
    fn new(seed: u64) -> Self {
        let disk = SimulatedDisk::default();
        let (store, _) = open(Arc::new(disk.clone()), config("/data", FlushMode::Os)).unwrap();
        store.create_topic("t", Uuid::from_u128(1), 2, Configs::default()).unwrap();
        for (id, topic, tombstones_ms) in [(2, "forgets", "0"), (3, "remembers", "86400000")] {
            let pairs = [
                ("cleanup.policy", "compact"),
                ("segment.bytes", "4000"),
                ("delete.retention.ms", tombstones_ms),
            ];
            let configs = pairs.map(|(key, value)| (key.to_owned(), value.to_owned()));
            store.create_topic(topic, Uuid::from_u128(id), 1, Configs::from(configs)).unwrap();
        }
        let plain = vec![Plain::default(); PARTITIONS.len()];
        Self { random: Random(seed), disk, store, plain, now: 0, tally: Tally::default() }
    }

    fn below(&mut self, bound: usize) -> usize {
        usize::try_from(self.random.below(bound as u64)).unwrap()
    }

    fn partition(&self, index: usize) -> Arc<PartitionLog> {
        let (topic, partition) = PARTITIONS[index];
        self.store.topic(topic).unwrap().partition(partition).unwrap()
    }

    fn timestamp(&mut self) -> i64 {
        self.now += self.random.below(4);
        let timestamp = match self.random.below(40) {
            0..=25 => self.now,
            26..=33 => self.random.below(TIMES),
            34..=36 => TIMES.saturating_sub(self.now),
            37 => TIMES * 5 + self.random.below(10), // far ahead of all others
            _ => return -1,
        };
        i64::try_from(timestamp).unwrap()
    }

    fn append(&mut self) {
        for _ in 0..=self.below(8) {
            let (index, codec) = (self.below(PARTITIONS.len()), CODECS[self.below(CODECS.len())]);
            let count = if self.random.coin() { 1 } else { 1 + self.below(6) };
            let mut records = Vec::new();
            for _ in 0..count {
                let key = Some(self.random.below(KEYS).to_string().into_bytes());
                let value = (self.random.below(8) > 0).then(|| vec![3; self.below(400)]);
                records.push(Sent { timestamp: self.timestamp(), key, value });
            }
            let plain = &mut self.plain[index];
            let batch = if self.random.below(20) == 0 {
                let at = i64::try_from(self.now).unwrap();
                plain.push(&records, |_| at);
                batch_appended_at(&records, codec, at)
            } else {
                plain.push(&records, |record| record.timestamp);
                batch_of(&records, codec)
            };
            self.tally.batches += 1;
            self.store.append(vec![Append::new(self.partition(index), batch)]).remove(0).unwrap();
        }
    }

    fn trim(&mut self) {
        let index = self.below(PARTITIONS.len());
        let room = usize::try_from(self.plain[index].end() - self.plain[index].log_start).unwrap();
        // Mostly a little, so that there is something left to ask for.
        let step = if self.random.below(8) == 0 { room } else { room / 8 };
        let to = self.plain[index].log_start + i64::try_from(self.below(step + 1)).unwrap();
        self.plain[index].log_start = to;
        self.store.advance_log_start(&self.partition(index), to).unwrap();
        self.tally.trims += 1;
    }

    /// Space is given back, and topics are compacted.
    fn clean(&mut self) {
        self.store.clean().unwrap();
        for index in FIRST_COMPACTED..PARTITIONS.len() {
            let partition = self.partition(index);
            let batches = read_all(&self.store, &partition, partition.log_start_offset());
            let left: Vec<PlainBatch> = batches.iter().map(|batch| PlainBatch::of(batch)).collect();
            if !left.iter().eq(self.plain[index].batches()) {
                self.plain[index].compacted_to(left);
                self.tally.compactions += 1;
            }
        }
    }

    fn reopen(&mut self) {
        self.tally.reopens += 1;
        match self.below(3) {
            0 => self.store.close().unwrap(),
            1 => self.disk = self.disk.kill(),
            _ => {
                self.disk = self.disk.kill();
                for path in self.disk.paths() {
                    let of = |dir: &str| path.starts_with(Path::new("/data").join(dir));
                    if of("consumequeue") || of("snapshot") || of("index") || of("checkpoint") {
                        self.disk.remove(&path).unwrap();
                    }
                }
            }
        }
        self.store = open(Arc::new(self.disk.clone()), config("/data", FlushMode::Os)).unwrap().0;
    }

    fn step(&mut self) {
        match self.random.below(60) {
            0 => self.reopen(),
            1..=2 => self.store.checkpoint().unwrap(),
            // `clean` is where files are given up and rewritten.
            3 => self.store.housekeep().unwrap(),
            4..=5 => self.clean(),
            6..=7 => self.trim(),
            8 => drop(self.store.build_index_files().unwrap()),
            _ => self.append(),
        }
    }

    fn ask(&mut self, questions: usize) {
        for _ in 0..questions {
            let index = self.below(PARTITIONS.len());
            let end = self.plain[index].end();
            let one = self.below(self.plain[index].written.len().max(1));
            let some = i64::try_from(one).unwrap();
            let limit = if self.random.below(4) == 0 { some } else { end };
            let timestamp = match self.random.below(6) {
                0 => i64::try_from(self.random.below(TIMES * 6)).unwrap(),
                1 if end > 0 => self.plain[index].written[one].2.max(0) + 1,
                2 if end > 0 => self.plain[index].written[one].2.max(0),
                _ => i64::try_from(self.random.below(TIMES)).unwrap(),
            };
            let expected = self.plain[index].first_at_or_after(timestamp, limit);
            let found = self.store.offset_for_timestamp(&self.partition(index), timestamp, limit).unwrap();
            assert_eq!(found.map(pair), expected, "partition {index}, timestamp {timestamp}, limit {limit}");
            self.tally.questions += 1;
            self.tally.found += u64::from(found.is_some());
        }
        for (index, plain) in self.plain.iter().enumerate() {
            let greatest = self.store.offset_of_max_timestamp(&self.partition(index), plain.end()).unwrap();
            assert_eq!(greatest.map(pair), plain.greatest(), "partition {index}");
            self.tally.questions += 1;
        }
    }
}

fn pair(found: TimestampOffset) -> (i64, i64) {
    (found.offset, found.timestamp)
}

#[test]
fn every_answer_is_that_of_a_scan_over_all_records() {
    let mut total = Tally::default();
    for seed in 0..10 {
        let mut run = Run::new(seed);
        for _ in 0..40 {
            (0..12).for_each(|_| run.step());
            run.ask(20);
        }
        let tally = run.tally;
        total.questions += tally.questions;
        total.found += tally.found;
        total.batches += tally.batches;
        total.trims += tally.trims;
        total.compactions += tally.compactions;
        total.reopens += tally.reopens;
    }
    eprintln!("{total:?}");
    assert!(total.questions >= 8000 && total.found > total.questions / 4, "{total:?}");
    assert!(total.batches > 10_000 && total.trims > 50 && total.reopens > 30, "{total:?}");
    assert!(total.compactions > 100, "{total:?}");
}

#[test]
fn negative_control_the_scan_notices_a_timestamp_that_is_not_in_the_log() {
    let mut run = Run::new(1);
    run.append();
    for plain in &mut run.plain {
        plain.push(&[Sent { timestamp: i64::MAX, key: Some(Vec::new()), value: None }], |_| i64::MAX);
    }
    let noticed = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| run.ask(50)));
    assert!(noticed.is_err());
}

/// One outlier far ahead, deleted: from then on the running maximum says nothing, and pages have to be judged by their own.
#[test]
fn deleted_outlier_does_not_hide_what_follows() {
    let mut run = Run::new(2);
    let partition = run.partition(0);
    let mut append = |timestamp: i64| {
        let records = [Sent { timestamp, key: Some(Vec::new()), value: None }];
        run.plain[0].push(&records, |record| record.timestamp);
        let batch = batch_of(&records, CODECS[0]);
        run.store.append(vec![Append::new(Arc::clone(&partition), batch)]).remove(0).unwrap();
    };
    append(1_000_000);
    (0..2000).for_each(&mut append);
    for log_start in [1, 2, 84, 85, 86, 300] {
        run.store.advance_log_start(&partition, log_start).unwrap();
        run.plain[0].log_start = log_start;
        for timestamp in (0..2010).step_by(7) {
            let found = run.store.offset_for_timestamp(&partition, timestamp, 2001).unwrap();
            assert_eq!(found.map(pair), run.plain[0].first_at_or_after(timestamp, 2001));
        }
    }
}
