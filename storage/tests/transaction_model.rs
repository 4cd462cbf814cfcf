//! Random transactions of several producers against a plain list of them, through kills, restarts, rebuilt projections,
//! checkpoints, deleted records and rewritten files.
//!
//! After each step: the last stable offset and the aborted transactions are what the list says, and a reader of committed
//! records gets exactly those. Markers are acknowledged late, so that they stand above the high watermark for a while.
#![allow(clippy::unwrap_used, reason = "a test that cannot go on should say where")]

mod support;

use std::collections::BTreeSet;
use std::sync::Arc;

use protocol::control_batch::{EndTransactionMarker, MarkerType};
use protocol::record_batch::RecordBatchView;
use storage::disk::Disk;
use storage::{AbortedTransaction, Append, AppendError, Configs, FlushMode, PartitionLog, Store};
use support::simulated_disk::SimulatedDisk;
use support::{
    Producer, Random, append, append_verified, batch, config, marker, open, read_all, transactional,
};
use uuid::Uuid;

const PARTITIONS: usize = 3;
const PRODUCERS: usize = 5;

/// A transaction in one partition.
#[derive(Debug, Clone)]
struct ModelTransaction {
    producer: i64,
    first: i64,
    /// Base offsets of its batches.
    batches: Vec<i64>,
    marker: Option<(i64, MarkerType)>,
}

#[derive(Debug, Clone, Default)]
struct ModelPartition {
    transactions: Vec<ModelTransaction>,
    /// Base offsets of batches outside of transactions.
    plain: Vec<i64>,
    log_start: i64,
    high_watermark: i64,
    end: i64,
}

impl ModelPartition {
    fn last_stable_offset(&self) -> i64 {
        let unstable = self
            .transactions
            .iter()
            .filter(|transaction| transaction.marker.is_none_or(|(offset, _)| offset >= self.high_watermark));
        let first = unstable.map(|transaction| transaction.first).min().unwrap_or(i64::MAX);
        first.min(self.high_watermark).max(self.log_start)
    }

    fn aborted(&self, from: i64, upper: i64) -> Vec<AbortedTransaction> {
        let aborted = |transaction: &ModelTransaction| match transaction.marker {
            Some((last_offset, MarkerType::Abort)) => Some(AbortedTransaction {
                producer_id: transaction.producer,
                first_offset: transaction.first,
                last_offset,
            }),
            _ => None,
        };
        let mut found: Vec<_> = self.transactions.iter().filter_map(aborted).collect();
        found.retain(|one| one.last_offset >= from.max(self.log_start) && one.first_offset < upper);
        found.sort_by_key(|one| one.first_offset);
        found
    }

    /// Base offsets that a reader of committed records gets.
    fn committed(&self) -> BTreeSet<i64> {
        let committed = self.transactions.iter().filter(|transaction| {
            transaction.marker.is_some_and(|(_, marker_type)| marker_type == MarkerType::Commit)
        });
        let bases = committed.flat_map(|transaction| &transaction.batches).chain(&self.plain).copied();
        bases.filter(|base| (self.log_start..self.last_stable_offset()).contains(base)).collect()
    }

    fn open(&mut self, producer: i64) -> Option<&mut ModelTransaction> {
        self.transactions.iter_mut().find(|one| one.producer == producer && one.marker.is_none())
    }
}

#[derive(Debug, Clone, Copy)]
struct ModelProducer {
    epoch: i16,
    /// Its epoch grows with each transaction.
    bumps_epoch: bool,
    sequences: [i32; PARTITIONS],
}

struct Run {
    random: Random,
    disk: SimulatedDisk,
    store: Arc<Store>,
    model: Vec<ModelPartition>,
    producers: Vec<ModelProducer>,
    /// What the run came across, for the test of the test.
    seen: Seen,
}

#[derive(Debug, Default)]
struct Seen {
    held_back: u32,
    aborted: u32,
    rebuilt: u32,
}

impl Run {
    fn new(seed: u64) -> Self {
        let disk = SimulatedDisk::default();
        let (store, _) = open(Arc::new(disk.clone()), config("/data", FlushMode::Sync)).unwrap();
        let partitions = u32::try_from(PARTITIONS).unwrap();
        store.create_topic("t", Uuid::from_u128(1), partitions, Configs::default()).unwrap();
        let producer =
            |index| ModelProducer { epoch: 0, bumps_epoch: index % 2 == 0, sequences: [0; PARTITIONS] };
        Self {
            random: Random(seed),
            disk,
            store,
            model: vec![ModelPartition::default(); PARTITIONS],
            producers: (0..PRODUCERS).map(producer).collect(),
            seen: Seen::default(),
        }
    }

    fn partition(&self, index: usize) -> Arc<PartitionLog> {
        self.store.topic("t").unwrap().partition(i32::try_from(index).unwrap()).unwrap()
    }

    fn pick(&mut self, below: usize) -> usize {
        usize::try_from(self.random.below(below as u64)).unwrap()
    }

    fn step(&mut self) {
        match self.random.below(100) {
            0..=1 => self.reopen(),
            2..=3 => {
                self.store.checkpoint().unwrap();
                self.acknowledged();
            }
            4 => self.store.housekeep().unwrap(),
            5..=6 => self.advance_log_start(),
            7..=8 => {
                self.flush();
                self.store.clean().unwrap();
                self.acknowledged();
            }
            9..=25 => self.flush(),
            26..=45 => self.end_transaction(),
            46..=55 => self.plain(),
            56..=60 => self.refused(),
            _ => self.data(),
        }
    }

    fn flush(&mut self) {
        self.store.flush().unwrap();
        self.acknowledged();
    }

    fn acknowledged(&mut self) {
        self.model.iter_mut().for_each(|model| model.high_watermark = model.end);
    }

    fn data(&mut self) {
        let (index, who) = (self.pick(PARTITIONS), self.pick(PRODUCERS));
        let id = i64::try_from(who).unwrap();
        let timestamps = vec![1; 1 + self.pick(3)];
        let producer = &mut self.producers[who];
        let stamp = Producer { id, epoch: producer.epoch, sequence: producer.sequences[index] };
        let count = i32::try_from(timestamps.len()).unwrap();
        producer.sequences[index] += count;
        let value = vec![7; self.pick(700)];
        let partition = self.partition(index);
        let is_open = self.model[index].open(id).map(|one| one.first);
        assert_eq!(partition.open_transaction(id), is_open);
        let data = transactional(&value, &timestamps, stamp);
        assert_eq!(partition.begin_verification(&data.view(), false).is_none(), is_open.is_some());
        let base = append_verified(&self.store, &partition, data).unwrap().base_offset;
        let model = &mut self.model[index];
        assert_eq!(base, model.end);
        model.end += i64::from(count);
        match model.open(id) {
            Some(transaction) => transaction.batches.push(base),
            None => model.transactions.push(ModelTransaction {
                producer: id,
                first: base,
                batches: vec![base],
                marker: None,
            }),
        }
    }

    fn plain(&mut self) {
        let index = self.pick(PARTITIONS);
        let appended = append(&self.store, &self.partition(index), batch(b"plain", &[1], None));
        self.model[index].plain.push(appended.base_offset);
        self.model[index].end += 1;
    }

    /// Markers to all its partitions as one group, and now and then to one that has no part in the transaction.
    fn end_transaction(&mut self) {
        let who = self.pick(PRODUCERS);
        let id = i64::try_from(who).unwrap();
        let marker_type = if self.random.coin() { MarkerType::Commit } else { MarkerType::Abort };
        let producer = &mut self.producers[who];
        if producer.bumps_epoch {
            producer.epoch += 1;
            producer.sequences = [0; PARTITIONS];
        }
        let epoch = producer.epoch;
        // A greater epoch must be known to all before it is used: the coordinator sees to that in its own way.
        let everywhere = self.producers[who].bumps_epoch || self.random.below(8) == 0;
        let targets: Vec<usize> =
            (0..PARTITIONS).filter(|index| everywhere || self.model[*index].open(id).is_some()).collect();
        let appends = targets
            .iter()
            .map(|index| Append::new(self.partition(*index), marker(id, epoch, marker_type, 0)));
        let outcomes = self.store.append(appends.collect());
        for (index, outcome) in targets.into_iter().zip(outcomes) {
            let model = &mut self.model[index];
            let offset = outcome.unwrap().base_offset;
            assert_eq!(offset, model.end);
            model.end += 1;
            if let Some(transaction) = model.open(id) {
                transaction.marker = Some((offset, marker_type));
            }
        }
    }

    /// What must not get into the log.
    fn refused(&mut self) {
        let (index, who) = (self.pick(PARTITIONS), self.pick(PRODUCERS));
        let (id, producer) = (i64::try_from(who).unwrap(), self.producers[who]);
        let partition = self.partition(index);
        let stamp = Producer { id, epoch: producer.epoch, sequence: producer.sequences[index] };
        let is_open = self.model[index].open(id).is_some();
        let wrong = if is_open {
            batch(b"not transactional", &[1], Some(stamp))
        } else {
            transactional(b"not verified", &[1], stamp)
        };
        let outcome = self.store.append(vec![Append::new(partition, wrong)]).remove(0);
        assert!(matches!(outcome, Err(AppendError::InvalidTransactionState { .. })), "{outcome:?}");
    }

    fn advance_log_start(&mut self) {
        let index = self.pick(PARTITIONS);
        let model = &mut self.model[index];
        let room = u64::try_from(model.high_watermark - model.log_start).unwrap();
        model.log_start += i64::try_from(self.random.below(room + 1)).unwrap();
        let log_start = model.log_start;
        self.store.advance_log_start(&self.partition(index), log_start).unwrap();
    }

    fn reopen(&mut self) {
        let how = self.random.below(3);
        match how {
            0 => self.store.close().unwrap(),
            1 => self.disk = self.disk.kill(),
            _ => {
                self.disk = self.disk.kill();
                for path in self.disk.paths() {
                    let projection =
                        ["/data/consumequeue", "/data/snapshot"].iter().any(|dir| path.starts_with(dir));
                    if projection || path.ends_with("checkpoint") {
                        self.disk.remove(&path).unwrap();
                    }
                }
            }
        }
        self.store = open(Arc::new(self.disk.clone()), config("/data", FlushMode::Sync)).unwrap().0;
        self.acknowledged();
        if how == 2 {
            self.seen.rebuilt += 1;
            (0..PARTITIONS).for_each(|index| self.adopt(index));
        }
    }

    /// A log alone does not tell of records below the log start whose files are gone: transactions may begin later then,
    /// or have no record left.
    fn adopt(&mut self, index: usize) {
        let partition = self.partition(index);
        let ended = partition.aborted_transactions(0, i64::MAX);
        let model = &mut self.model[index];
        let log_start = model.log_start;
        model.transactions.retain_mut(|transaction| {
            let found = match transaction.marker {
                None => partition.open_transaction(transaction.producer),
                Some((_, MarkerType::Commit)) => Some(transaction.first),
                Some((last, MarkerType::Abort)) => {
                    ended.iter().find(|one| one.last_offset == last).map(|one| one.first_offset)
                }
            };
            match found {
                Some(first) => {
                    assert!(first == transaction.first || transaction.first < log_start);
                    assert!(transaction.batches.contains(&first));
                    transaction.first = first;
                    true
                }
                None => {
                    let is_gone = transaction.batches.iter().all(|base| *base < log_start)
                        || transaction.marker.is_some_and(|(last, _)| last < log_start);
                    assert!(is_gone, "{transaction:?} is lost, log start {log_start}");
                    false
                }
            }
        });
    }

    fn check(&mut self) {
        for index in 0..PARTITIONS {
            let (partition, model) = (self.partition(index), self.model[index].clone());
            let stable = model.last_stable_offset();
            assert_eq!(
                (partition.high_watermark(), partition.last_stable_offset()),
                (model.high_watermark, stable)
            );
            for _ in 0..6 {
                let end = u64::try_from(model.end).unwrap();
                let [from, upper] = [(); 2].map(|()| i64::try_from(self.random.below(end + 2)).unwrap());
                assert_eq!(
                    partition.aborted_transactions(from.max(model.log_start), upper),
                    model.aborted(from, upper),
                    "partition {index}, {from} to {upper}"
                );
            }
            assert_eq!(partition.aborted_transactions(0, i64::MAX), model.aborted(0, i64::MAX));
            assert_eq!(read_committed(&self.store, &partition), model.committed(), "partition {index}");
            for active in partition.active_producers() {
                let open = partition.open_transaction(active.producer_id);
                assert_eq!(active.current_transaction_start_offset, open);
                assert_eq!(self.model[index].open(active.producer_id).map(|one| one.first), open);
            }
            self.seen.held_back += u32::from(stable < model.high_watermark);
            self.seen.aborted += u32::from(!model.aborted(0, i64::MAX).is_empty());
        }
    }
}

/// Base offsets of the batches that a client gets with `read_committed`: it drops those of the aborted transactions listed.
fn read_committed(store: &Store, partition: &PartitionLog) -> BTreeSet<i64> {
    let (log_start, stable) = (partition.log_start_offset(), partition.last_stable_offset());
    let mut aborted = partition.aborted_transactions(log_start, stable).into_iter().peekable();
    let mut dropped = BTreeSet::new();
    let mut bases = BTreeSet::new();
    for bytes in read_all(store, partition, log_start) {
        let view = RecordBatchView::parse(&bytes).unwrap();
        let base = view.base_offset();
        if base >= stable {
            break;
        }
        let last = base + i64::from(view.last_offset_delta());
        while let Some(next) = aborted.next_if(|next| next.first_offset <= last) {
            dropped.insert(next.producer_id);
        }
        match EndTransactionMarker::parse(&view) {
            Some(marker) if marker.marker_type == MarkerType::Abort => {
                dropped.remove(&view.producer_id());
            }
            Some(_) => {}
            None if view.is_transactional() && dropped.contains(&view.producer_id()) => {}
            // A whole batch is handed out when its end lies above the log start.
            None if base < log_start => {}
            None => {
                bases.insert(base);
            }
        }
    }
    bases
}

#[test]
fn the_log_knows_open_and_aborted_transactions_as_a_plain_list_does() {
    let mut seen = Seen::default();
    for seed in 0..16 {
        let mut run = Run::new(seed);
        for step in 0..350 {
            run.step();
            if step % 5 == 0 {
                run.check();
            }
        }
        run.check();
        seen.held_back += run.seen.held_back;
        seen.aborted += run.seen.aborted;
        seen.rebuilt += run.seen.rebuilt;
    }
    assert!(seen.held_back > 500 && seen.aborted > 500 && seen.rebuilt > 10, "{seen:?}");
}

#[test]
fn negative_control_the_list_notices_an_abort_that_was_a_commit_and_a_marker_that_is_missing() {
    for wrong in [Some((1, MarkerType::Commit)), None] {
        let mut run = Run::new(3);
        let data = transactional(b"v", &[1], Producer { id: 0, epoch: 0, sequence: 0 });
        append_verified(&run.store, &run.partition(0), data).unwrap();
        append(&run.store, &run.partition(0), marker(0, 0, MarkerType::Abort, 0));
        let transaction = |marker| ModelTransaction { producer: 0, first: 0, batches: vec![0], marker };
        run.model[0].transactions.push(transaction(Some((1, MarkerType::Abort))));
        run.model[0].end = 2;
        run.flush();
        run.check();
        run.model[0].transactions[0] = transaction(wrong);
        let noticed = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| run.check()));
        assert!(noticed.is_err());
    }
}
