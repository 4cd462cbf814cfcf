//! Offsets by timestamp against a scan of all records, with timestamps in any order.
//!
//! Random batches (one or many records, increasing, decreasing, random and missing timestamps, every codec, append time),
//! log starts that move, reopens with and without projections, housekeeping in between. After each stretch random questions;
//! the answers are those of the scan.
#![allow(clippy::unwrap_used, reason = "a test that cannot go on should say where")]

mod support;

use std::path::Path;
use std::sync::Arc;

use storage::disk::Disk;
use storage::{Append, Configs, FlushMode, PartitionLog, Store, TimestampOffset};
use support::batches::{CODECS, Sent, batch_appended_at, batch_of};
use support::simulated_disk::SimulatedDisk;
use support::{Random, config, open};
use uuid::Uuid;

const PARTITIONS: usize = 2;
/// Timestamps are below this, most of them.
const TIMES: u64 = 2000;

/// One partition as a plain list: timestamp of each record by offset, and the batches' first offsets.
#[derive(Debug, Clone, Default)]
struct Plain {
    timestamps: Vec<i64>,
    batch_starts: Vec<usize>,
    log_start: usize,
}

impl Plain {
    /// Batches of which something is left.
    fn batches(&self) -> impl Iterator<Item = (usize, usize)> + '_ {
        let ends = self.batch_starts.iter().skip(1).copied().chain([self.timestamps.len()]);
        self.batch_starts.iter().copied().zip(ends).filter(|(_, end)| *end > self.log_start)
    }

    /// Kafka's `UnifiedLog.fetchOffsetByTimestamp`: batch after batch whose maximum reaches the timestamp, its first record
    /// that does and that was not deleted. Not found at or above the limit.
    fn first_at_or_after(&self, timestamp: i64, limit: usize) -> Option<(i64, i64)> {
        for (start, end) in self.batches() {
            let reaches = self.timestamps[start..end].iter().any(|own| *own >= timestamp);
            let record =
                (start.max(self.log_start)..end).find(|offset| self.timestamps[*offset] >= timestamp);
            if let Some(offset) = record.filter(|_| reaches) {
                return (offset < limit).then(|| (i64::try_from(offset).unwrap(), self.timestamps[offset]));
            }
        }
        None
    }

    /// The first batch with the greatest maximum, its first record that has it; a batch counts whole, as in Kafka.
    fn greatest(&self) -> Option<(i64, i64)> {
        let offsets = self.batches().flat_map(|(start, end)| start..end);
        let mut best: Option<(i64, i64)> = None;
        for offset in offsets {
            let timestamp = self.timestamps[offset];
            if timestamp >= 0 && best.is_none_or(|(_, greatest)| timestamp > greatest) {
                best = Some((i64::try_from(offset).unwrap(), timestamp));
            }
        }
        best
    }
}

#[derive(Debug, Default)]
struct Tally {
    questions: u64,
    found: u64,
    batches: u64,
    trims: u64,
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
        store
            .create_topic("t", Uuid::from_u128(1), u32::try_from(PARTITIONS).unwrap(), Configs::default())
            .unwrap();
        let plain = vec![Plain::default(); PARTITIONS];
        Self { random: Random(seed), disk, store, plain, now: 0, tally: Tally::default() }
    }

    fn below(&mut self, bound: usize) -> usize {
        usize::try_from(self.random.below(bound as u64)).unwrap()
    }

    fn partition(&self, index: usize) -> Arc<PartitionLog> {
        self.store.topic("t").unwrap().partition(i32::try_from(index).unwrap()).unwrap()
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
            let (index, codec) = (self.below(PARTITIONS), CODECS[self.below(CODECS.len())]);
            let count = if self.random.coin() { 1 } else { 1 + self.below(6) };
            let mut records = Vec::new();
            for _ in 0..count {
                let value = vec![3; self.below(400)];
                records.push(Sent { timestamp: self.timestamp(), key: None, value: Some(value) });
            }
            let plain = &mut self.plain[index];
            plain.batch_starts.push(plain.timestamps.len());
            let batch = if self.random.below(20) == 0 {
                let at = i64::try_from(self.now).unwrap();
                plain.timestamps.extend(records.iter().map(|_| at));
                batch_appended_at(&records, codec, at)
            } else {
                plain.timestamps.extend(records.iter().map(|record| record.timestamp));
                batch_of(&records, codec)
            };
            self.tally.batches += 1;
            self.store.append(vec![Append { partition: self.partition(index), batch }]).remove(0).unwrap();
        }
    }

    fn trim(&mut self) {
        let index = self.below(PARTITIONS);
        let room = self.plain[index].timestamps.len() - self.plain[index].log_start;
        // Mostly a little, so that there is something left to ask for.
        let step = if self.random.below(8) == 0 { room } else { room / 8 };
        let to = self.plain[index].log_start + self.below(step + 1);
        self.plain[index].log_start = to;
        self.store.advance_log_start(&self.partition(index), i64::try_from(to).unwrap()).unwrap();
        self.tally.trims += 1;
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
            4..=5 => self.store.clean().unwrap(),
            6..=7 => self.trim(),
            8 => drop(self.store.build_index_files().unwrap()),
            _ => self.append(),
        }
    }

    fn ask(&mut self, questions: usize) {
        for _ in 0..questions {
            let index = self.below(PARTITIONS);
            let end = self.plain[index].timestamps.len();
            let limit = if self.random.below(4) == 0 { self.below(end + 1) } else { end };
            let one = self.below(end.max(1));
            let timestamp = match self.random.below(6) {
                0 => i64::try_from(self.random.below(TIMES * 6)).unwrap(),
                1 if end > 0 => self.plain[index].timestamps[one].max(0) + 1,
                2 if end > 0 => self.plain[index].timestamps[one].max(0),
                _ => i64::try_from(self.random.below(TIMES)).unwrap(),
            };
            let (partition, plain) = (self.partition(index), &self.plain[index]);
            let expected = plain.first_at_or_after(timestamp, limit);
            let limit = i64::try_from(limit).unwrap();
            let found = self.store.offset_for_timestamp(&partition, timestamp, limit).unwrap();
            assert_eq!(found.map(pair), expected, "partition {index}, timestamp {timestamp}, limit {limit}");
            self.tally.questions += 1;
            self.tally.found += u64::from(found.is_some());
        }
        for index in 0..PARTITIONS {
            let end = i64::try_from(self.plain[index].timestamps.len()).unwrap();
            let greatest = self.store.offset_of_max_timestamp(&self.partition(index), end).unwrap();
            assert_eq!(greatest.map(pair), self.plain[index].greatest());
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
        total.reopens += tally.reopens;
    }
    eprintln!("{total:?}");
    assert!(total.questions >= 8000 && total.found > total.questions / 4, "{total:?}");
    assert!(total.batches > 10_000 && total.trims > 50 && total.reopens > 30, "{total:?}");
}

#[test]
fn negative_control_the_scan_notices_a_timestamp_that_is_not_in_the_log() {
    let mut run = Run::new(1);
    run.append();
    for plain in &mut run.plain {
        plain.timestamps.push(i64::MAX);
        plain.batch_starts.push(plain.timestamps.len() - 1);
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
        let records = [Sent { timestamp, key: None, value: None }];
        let plain = &mut run.plain[0];
        plain.batch_starts.push(plain.timestamps.len());
        plain.timestamps.push(timestamp);
        let batch = batch_of(&records, CODECS[0]);
        run.store.append(vec![Append { partition: Arc::clone(&partition), batch }]).remove(0).unwrap();
    };
    append(1_000_000);
    (0..2000).for_each(&mut append);
    for log_start in [1, 2, 84, 85, 86, 300] {
        run.store.advance_log_start(&partition, log_start).unwrap();
        run.plain[0].log_start = usize::try_from(log_start).unwrap();
        for timestamp in (0..2010).step_by(7) {
            let found = run.store.offset_for_timestamp(&partition, timestamp, 2001).unwrap();
            assert_eq!(found.map(pair), run.plain[0].first_at_or_after(timestamp, 2001));
        }
    }
}
