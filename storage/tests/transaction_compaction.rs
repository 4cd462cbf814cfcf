//! Transactions in a compacted topic: through compactions, rewrites, kills and power cuts a reader of committed records
//! finds the table that the committed records below the last stable offset make, and no other.
//!
//! The model is the plain list of what was appended. What a power cut leaves is a beginning of that list, no shorter than
//! what was acknowledged.
#![allow(clippy::unwrap_used, reason = "a test that cannot go on should say where")]

mod support;

use std::collections::BTreeSet;
use std::sync::Arc;

use protocol::control_batch::{EndTransactionMarker, MarkerType};
use protocol::record_batch::RecordBatchView;
use protocol::record_batch_builder::RecordBatchBuilder;
use protocol::record_set::records;
use storage::{Configs, Store, ValidBatch};
use support::cleaned::{
    Table, configs, drop_projections, has_rewrite_files, left_by_power_cuts, open_on, partition, put,
};
use support::simulated_disk::SimulatedDisk;
use support::{Random, append, append_verified, batch, keyed_batch, marker, read_all};
use uuid::Uuid;

type Records = Vec<(Vec<u8>, Option<Vec<u8>>)>;

const PRODUCERS: usize = 3;
const COMPACTED: [(&str, &str); 2] = [("cleanup.policy", "compact"), ("segment.bytes", "6000")];

/// What was appended, with its first offset and the one after its last.
#[derive(Debug, Clone)]
struct Logged {
    base: i64,
    end: i64,
    event: Event,
}

#[derive(Debug, Clone)]
enum Event {
    Put { producer: Option<usize>, records: Records },
    End { producer: usize, aborted: bool },
}

#[derive(Debug)]
struct Transaction {
    first: i64,
    marker: Option<(i64, bool)>,
}

/// Last stable offset and table of a log that ends at `end` and is acknowledged up to `high_watermark`.
fn expected(events: &[Logged], end: i64, high_watermark: i64) -> (i64, Table) {
    let mut transactions: Vec<Transaction> = Vec::new();
    let mut current = [None; PRODUCERS];
    let mut puts = Vec::new();
    for logged in events.iter().take_while(|logged| logged.end <= end) {
        match &logged.event {
            Event::Put { producer, records } => {
                let transaction = producer.map(|producer| {
                    *current[producer].get_or_insert_with(|| {
                        transactions.push(Transaction { first: logged.base, marker: None });
                        transactions.len() - 1
                    })
                });
                puts.push((logged.base, transaction, records));
            }
            Event::End { producer, aborted } => {
                if let Some(index) = current[*producer].take() {
                    transactions[index].marker = Some((logged.base, *aborted));
                }
            }
        }
    }
    let unstable = transactions.iter().filter(|one| one.marker.is_none_or(|(at, _)| at >= high_watermark));
    let stable = unstable.map(|one| one.first).min().unwrap_or(i64::MAX).min(high_watermark);
    let committed = |index: usize| transactions[index].marker.is_some_and(|(_, aborted)| !aborted);
    let mut table = Table::new();
    for (base, transaction, records) in puts {
        if base < stable && transaction.is_none_or(committed) {
            put(&mut table, records.iter().map(|(key, value)| (key.as_slice(), value.as_deref())));
        }
    }
    (stable, table)
}

/// The same, and the keys whose values differ are named.
fn assert_same(found: &(i64, Table), expected: &(i64, Table), when: &str) {
    let keys: BTreeSet<_> = found.1.keys().chain(expected.1.keys()).collect();
    let differing: Vec<_> =
        keys.into_iter().filter(|key| found.1.get(*key) != expected.1.get(*key)).collect();
    let differing: Vec<_> = differing.into_iter().map(|key| String::from_utf8_lossy(key)).collect();
    assert!(found == expected, "{when}: {} instead of {}, {differing:?} differ", found.0, expected.0);
}

/// The same as a client with `read_committed` finds it.
fn found(store: &Store) -> (i64, Table) {
    let log = partition(store, "c");
    let (log_start, stable) = (log.log_start_offset(), log.last_stable_offset());
    let mut aborted = log.aborted_transactions(log_start, stable).into_iter().peekable();
    let (mut dropped, mut table) = (BTreeSet::new(), Table::new());
    for bytes in read_all(store, &log, log_start) {
        let view = RecordBatchView::parse(&bytes).unwrap();
        if view.base_offset() >= stable {
            break;
        }
        let last = view.base_offset() + i64::from(view.last_offset_delta());
        while let Some(next) = aborted.next_if(|next| next.first_offset <= last) {
            dropped.insert(next.producer_id);
        }
        if view.is_control() {
            let marker = EndTransactionMarker::parse(&view);
            if marker.is_some_and(|marker| marker.marker_type == MarkerType::Abort) {
                dropped.remove(&view.producer_id());
            }
        } else if !view.is_transactional() || !dropped.contains(&view.producer_id()) {
            let records: Vec<_> = records(&view).unwrap().map(Result::unwrap).collect();
            put(&mut table, records.iter().map(|record| (record.key.unwrap(), record.value)));
        }
    }
    (stable, table)
}

struct Run {
    random: Random,
    disk: SimulatedDisk,
    store: Arc<Store>,
    events: Vec<Logged>,
    /// Next sequence and epoch of each producer; the epoch of even ones grows with each transaction.
    producers: [(i32, i16); PRODUCERS],
    /// Log end when everything was acknowledged last.
    durable: i64,
}

impl Run {
    fn new(seed: u64, disk: SimulatedDisk) -> Self {
        let store = open_on(&disk);
        store.create_topic("c", Uuid::from_u128(1), 1, configs(&COMPACTED)).unwrap();
        store.create_topic("noise", Uuid::from_u128(2), 1, Configs::default()).unwrap();
        store.flush().unwrap();
        let producers = [(0, 0); PRODUCERS];
        Self { random: Random(seed), disk, store, events: Vec::new(), producers, durable: 0 }
    }

    fn step(&mut self) {
        match self.random.below(40) {
            0 => {
                self.store.checkpoint().unwrap();
                self.durable = self.end();
            }
            1..=4 => {
                self.flush();
                self.store.clean().unwrap();
            }
            5..=7 => {
                append(&self.store, &partition(&self.store, "noise"), batch(&[1; 3000], &[1], None));
            }
            8 => {
                self.flush();
                let noise = partition(&self.store, "noise");
                self.store.advance_log_start(&noise, noise.log_end_offset()).unwrap();
            }
            9 => self.flush(),
            10..=17 => {
                let producer = usize::try_from(self.random.below(PRODUCERS as u64)).unwrap();
                let aborted = self.random.coin();
                self.end_transaction(producer, aborted);
            }
            _ => self.put(),
        }
    }

    fn end(&self) -> i64 {
        self.events.last().map_or(0, |logged| logged.end)
    }

    fn flush(&mut self) {
        self.store.flush().unwrap();
        self.durable = self.end();
    }

    fn put(&mut self) {
        let records: Records = (0..=self.random.below(3))
            .map(|index| {
                let key = format!("key {}", self.random.below(30)).into_bytes();
                let value = format!("value {}.{index} {}", self.events.len(), "x".repeat(300)).into_bytes();
                (key, (self.random.below(5) > 0).then_some(value))
            })
            .collect();
        let producer = usize::try_from(self.random.below(PRODUCERS as u64 + 1)).unwrap();
        let producer = (producer < PRODUCERS).then_some(producer);
        let log = partition(&self.store, "c");
        let base = match producer {
            None => append(&self.store, &log, keyed_batch(&records, 1)).base_offset,
            Some(producer) => {
                let (sequence, epoch) = &mut self.producers[producer];
                let id = i64::try_from(producer).unwrap();
                let mut builder = RecordBatchBuilder::new(0).producer(id, *epoch, *sequence).transactional();
                for (key, value) in &records {
                    builder.append(1, Some(key), value.as_deref());
                }
                *sequence += i32::try_from(records.len()).unwrap();
                let batch = ValidBatch::new(builder.build()).unwrap();
                append_verified(&self.store, &log, batch).unwrap().base_offset
            }
        };
        let end = base + i64::try_from(records.len()).unwrap();
        self.events.push(Logged { base, end, event: Event::Put { producer, records } });
    }

    fn end_transaction(&mut self, producer: usize, aborted: bool) {
        let (sequence, epoch) = &mut self.producers[producer];
        if producer.is_multiple_of(2) {
            (*sequence, *epoch) = (0, *epoch + 1);
        }
        let marker_type = if aborted { MarkerType::Abort } else { MarkerType::Commit };
        let marker = marker(i64::try_from(producer).unwrap(), *epoch, marker_type, 0);
        let base = append(&self.store, &partition(&self.store, "c"), marker).base_offset;
        self.events.push(Logged { base, end: base + 1, event: Event::End { producer, aborted } });
    }
}

#[test]
fn readers_of_committed_records_find_the_same_table_whatever_compaction_does() {
    let mut held_back = 0;
    for seed in 0..10 {
        let mut run = Run::new(seed, SimulatedDisk::default());
        for step in 0..600 {
            run.step();
            if step % 75 == 74 {
                run.disk = run.disk.kill();
                if run.random.coin() {
                    drop_projections(&run.disk);
                }
                run.store = open_on(&run.disk);
            }
            if step % 10 == 0 {
                let high_watermark = partition(&run.store, "c").high_watermark();
                let (stable, table) = expected(&run.events, i64::MAX, high_watermark);
                held_back += u32::from(stable < high_watermark);
                assert_same(&found(&run.store), &(stable, table), &format!("seed {seed} step {step}"));
            }
        }
        (0..PRODUCERS).for_each(|producer| run.end_transaction(producer, true));
        (0..20).for_each(|_| run.put());
        (0..PRODUCERS).for_each(|producer| run.end_transaction(producer, false));
        for _ in 0..3 {
            run.flush();
            run.store.clean().unwrap();
        }
        let left = read_all(&run.store, &partition(&run.store, "c"), 0).len();
        assert!(left < run.events.len() / 2, "seed {seed}: {left} of {} batches", run.events.len());
        let last = expected(&run.events, i64::MAX, run.end());
        assert_same(&found(&run.store), &last, &format!("seed {seed}"));
    }
    assert!(held_back > 100, "the last stable offset was held back at {held_back} looks");
}

/// Works until the power goes before operation `cut`; the log end that was acknowledged before the step in which it went.
fn script(disk: SimulatedDisk, cut: u64) -> (Run, i64) {
    disk.cut_before(cut);
    let mut run = Run::new(5, disk);
    let mut durable = run.durable;
    for _ in 0..240 {
        if run.disk.at_cut().is_some() {
            break;
        }
        durable = run.durable;
        run.step();
    }
    (run, durable)
}

#[test]
fn power_can_go_at_any_step_and_no_transaction_is_torn() {
    let (whole, _) = script(SimulatedDisk::default(), u64::MAX);
    assert!(has_rewrite_files(&whole.disk), "nothing was rewritten");
    let (mut rewritten, mut undecided) = (0, 0);
    for cut in (40..whole.disk.operations()).step_by(5) {
        let disk = SimulatedDisk::default();
        let (run, durable) = script(disk.clone(), cut);
        let at_cut = disk.at_cut().unwrap();
        for (pattern, crashed) in left_by_power_cuts(&at_cut, cut).into_iter().enumerate() {
            rewritten += u32::from(has_rewrite_files(&crashed));
            let store = open_on(&crashed);
            if store.topic("c").is_none() {
                assert_eq!(durable, 0, "cut {cut} pattern {pattern}: the topic is gone");
                continue;
            }
            let end = partition(&store, "c").log_end_offset();
            assert!(end >= durable, "cut {cut} pattern {pattern}: {durable} was durable, {end} is left");
            let (stable, table) = expected(&run.events, end, end);
            undecided += u32::from(stable < end);
            assert_same(&found(&store), &(stable, table), &format!("cut {cut} pattern {pattern}"));
        }
    }
    assert!(rewritten > 100 && undecided > 100, "{rewritten} logs with rewrite files, {undecided} undecided");
}

#[test]
fn negative_control_another_outcome_of_one_transaction_is_noticed() {
    let mut run = Run::new(1, SimulatedDisk::default());
    (0..60).for_each(|_| run.step());
    for producer in 0..PRODUCERS {
        run.end_transaction(producer, true);
    }
    run.flush();
    let end = run.end();
    assert_same(&found(&run.store), &expected(&run.events, end, end), "before");
    let changes = (0..run.events.len()).filter(|index| {
        let mut events = run.events.clone();
        let Event::End { aborted, .. } = &mut events[*index].event else { return false };
        *aborted = !*aborted;
        expected(&events, end, end).1 != found(&run.store).1
    });
    assert!(changes.count() > 2);
}
