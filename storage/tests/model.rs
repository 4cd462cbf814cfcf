//! Random operations and reopens against a plain map of every record, on small files so that everything rolls.
//!
//! After each step the log answers as the map does: offsets, contents, log start, and every timestamp question, with
//! timestamps in any order. Reopens are clean, killed, or with all projections thrown away.
#![allow(clippy::unwrap_used, reason = "a test that cannot go on should say where")]

mod support;

use std::path::{Path, PathBuf};
use std::sync::Arc;

use storage::disk::Disk;
use storage::{Append, Configs, FlushMode, PartitionLog, Store, TimestampOffset};
use support::simulated_disk::SimulatedDisk;
use support::{Random, batch, config, open, read_all};
use uuid::Uuid;

const PARTITIONS: usize = 3;

/// One batch as the map keeps it.
#[derive(Debug, Clone)]
struct ModelBatch {
    base: i64,
    timestamps: Vec<i64>,
    value: Vec<u8>,
}

#[derive(Debug, Clone, Default)]
struct ModelPartition {
    batches: Vec<ModelBatch>,
    log_start: i64,
    end: i64,
}

impl ModelPartition {
    fn records(&self) -> impl Iterator<Item = (i64, i64)> + '_ {
        self.batches
            .iter()
            .flat_map(|batch| batch.timestamps.iter().zip(batch.base..).map(|(ts, offset)| (offset, *ts)))
    }

    /// Kafka's rule: the first batch whose maximum reaches `timestamp`, then the first such record in it, else on.
    fn first_at_or_after(&self, timestamp: i64) -> Option<(i64, i64)> {
        self.records().find(|(offset, ts)| *offset >= self.log_start && *ts >= timestamp)
    }

    fn greatest(&self) -> Option<(i64, i64)> {
        let visible =
            self.batches.iter().filter(|batch| batch.base + batch.timestamps.len() as i64 > self.log_start);
        let mut best: Option<(i64, i64)> = None;
        for batch in visible {
            for (timestamp, offset) in batch.timestamps.iter().zip(batch.base..) {
                if best.is_none_or(|(_, greatest)| *timestamp > greatest) {
                    best = Some((offset, *timestamp));
                }
            }
        }
        best
    }
}

struct Run {
    random: Random,
    disk: SimulatedDisk,
    store: Arc<Store>,
    model: Vec<ModelPartition>,
    /// Whether a file was ever rewritten.
    rewritten: bool,
}

impl Run {
    fn new(seed: u64) -> Self {
        let disk = SimulatedDisk::default();
        let (store, _) = open(Arc::new(disk.clone()), config("/data", FlushMode::Os)).unwrap();
        let partitions = u32::try_from(PARTITIONS).unwrap();
        store.create_topic("t", Uuid::from_u128(1), partitions, Configs::default()).unwrap();
        Self {
            random: Random(seed),
            disk,
            store,
            model: vec![ModelPartition::default(); PARTITIONS],
            rewritten: false,
        }
    }

    fn partition(&self, index: usize) -> Arc<PartitionLog> {
        self.store.topic("t").unwrap().partition(i32::try_from(index).unwrap()).unwrap()
    }

    fn step(&mut self) {
        match self.random.below(100) {
            0..=1 => self.reopen(),
            2..=3 => self.store.checkpoint().unwrap(),
            4 => self.store.housekeep().unwrap(),
            7..=9 => self.clean(),
            5..=6 => self.advance_log_start(),
            _ => self.append(),
        }
    }

    fn append(&mut self) {
        let mut appends = Vec::new();
        for _ in 0..=self.random.below(5) {
            let index = usize::try_from(self.random.below(PARTITIONS as u64)).unwrap();
            let count = 1 + self.random.below(4);
            let timestamps: Vec<i64> =
                (0..count).map(|_| i64::try_from(self.random.below(500)).unwrap()).collect();
            let value = vec![
                u8::try_from(self.random.below(256)).unwrap();
                usize::try_from(self.random.below(600)).unwrap()
            ];
            appends.push(Append::new(self.partition(index), batch(&value, &timestamps, None)));
            let model = &mut self.model[index];
            model.batches.push(ModelBatch { base: model.end, timestamps, value });
            model.end += i64::try_from(count).unwrap();
        }
        for outcome in self.store.append(appends) {
            outcome.unwrap();
        }
    }

    fn advance_log_start(&mut self) {
        let index = usize::try_from(self.random.below(PARTITIONS as u64)).unwrap();
        let model = &mut self.model[index];
        let room = u64::try_from(model.end - model.log_start).unwrap();
        model.log_start += i64::try_from(self.random.below(room + 1)).unwrap();
        let log_start = model.log_start;
        self.store.advance_log_start(&self.partition(index), log_start).unwrap();
    }

    fn clean(&mut self) {
        if self.random.coin() {
            self.store.checkpoint().unwrap();
        }
        self.store.clean().unwrap();
        let rewritten = |path: &PathBuf| path.file_name().is_some_and(|name| name.to_str() > Some("04"));
        self.rewritten |=
            self.disk.paths().iter().filter(|path| path.starts_with("/data/commitlog")).any(rewritten);
    }

    fn reopen(&mut self) {
        match self.random.below(3) {
            0 => self.store.close().unwrap(),
            1 => self.disk = self.disk.kill(),
            _ => {
                self.disk = self.disk.kill();
                for path in self.disk.paths() {
                    let projection = ["consumequeue", "snapshot"]
                        .iter()
                        .any(|dir| path.starts_with(Path::new("/data").join(dir)));
                    if projection || path.ends_with("checkpoint") {
                        self.disk.remove(&path).unwrap();
                    }
                }
            }
        }
        self.store = open(Arc::new(self.disk.clone()), config("/data", FlushMode::Os)).unwrap().0;
    }

    fn check(&mut self) {
        for index in 0..PARTITIONS {
            let (partition, model) = (self.partition(index), self.model[index].clone());
            assert_eq!(
                (partition.log_start_offset(), partition.high_watermark()),
                (model.log_start, model.end)
            );
            let found = read_all(&self.store, &partition, model.log_start);
            let expected: Vec<_> = model
                .batches
                .iter()
                .filter(|b| b.base + b.timestamps.len() as i64 > model.log_start)
                .collect();
            assert_eq!(found.len(), expected.len());
            for (found, expected) in found.iter().zip(&expected) {
                assert_eq!(found[..8], expected.base.to_be_bytes());
                let sent = batch(&expected.value, &expected.timestamps, None);
                assert_eq!(found[16..], sent.view().as_bytes()[16..]);
            }
            let bytes: usize = found.iter().map(bytes::Bytes::len).sum();
            assert_eq!(partition.size_bytes(), bytes as u64);
            for _ in 0..8 {
                let timestamp = i64::try_from(self.random.below(520)).unwrap();
                let found = self.store.offset_for_timestamp(&partition, timestamp, model.end).unwrap();
                assert_eq!(found.map(pair), model.first_at_or_after(timestamp), "timestamp {timestamp}");
            }
            let greatest = self.store.offset_of_max_timestamp(&partition, model.end).unwrap();
            assert_eq!(greatest.map(pair), model.greatest());
        }
    }
}

fn pair(found: TimestampOffset) -> (i64, i64) {
    (found.offset, found.timestamp)
}

#[test]
fn the_log_answers_as_a_plain_map_of_all_records_does() {
    let mut rewritten = 0;
    for seed in 0..12 {
        let mut run = Run::new(seed);
        for step in 0..300 {
            run.step();
            if step % 10 == 0 {
                run.check();
            }
        }
        run.check();
        rewritten += u32::from(run.rewritten);
    }
    assert!(rewritten > 6, "files were rewritten in {rewritten} of 12 runs");
}

#[test]
fn negative_control_the_model_notices_a_record_that_is_not_in_the_log() {
    let mut run = Run::new(1);
    run.append();
    let base = run.model[0].end;
    run.model[0].batches.push(ModelBatch { base, timestamps: vec![1], value: Vec::new() });
    let noticed = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| run.check()));
    assert!(noticed.is_err());
}
