//! Compactions put in place step by step, with appends and trims in between, against plain lists.

use std::cell::RefCell;
use std::collections::BTreeMap;

use proptest::prelude::*;
use protocol::record_batch::RecordBatchView;
use protocol::record_batch_builder::RecordBatchBuilder;

use super::*;
use crate::disk::LocalDisk;
use crate::log_policy::{LogPolicy, PolicyCell};
use crate::partition_log::StampedBatch;

/// By position: bytes of the batches that are live, by the account that files keep.
type Live = RefCell<BTreeMap<u64, u32>>;

struct Bench {
    _dir: tempfile::TempDir,
    extents: Extents,
    log: PartitionLog,
    /// Base offset and size of what a reader may find, in order.
    batches: Vec<(Offset, u32)>,
    live: Live,
    end: Offset,
    next_place: u64,
}

impl Bench {
    fn new(count: usize) -> Self {
        let dir = tempfile::tempdir().unwrap();
        let extents = Extents::new(std::sync::Arc::new(LocalDisk), dir.path().to_owned(), 1 << 20);
        let policy = PolicyCell::default();
        policy.set(LogPolicy { segment_bytes: 4000, ..LogPolicy::default() });
        let log = PartitionLog::new(3, 1, std::sync::Arc::new(policy));
        let live = Live::default();
        let mut bench =
            Self { _dir: dir, extents, log, batches: Vec::new(), live, end: 0, next_place: 1 << 62 };
        (0..count).for_each(|_| bench.append());
        bench
    }

    fn append(&mut self) {
        let mut builder = RecordBatchBuilder::new(0);
        builder.append(self.end % 977, None, Some(&[7; 20][..usize::try_from(self.end % 20).unwrap()]));
        let bytes = builder.build();
        let batch = RecordBatchView::parse(&bytes).unwrap();
        let size = u32::try_from(bytes.len()).unwrap();
        let stamped = StampedBatch { batch, base_offset: self.end, leader_epoch: 0 };
        let position = Position(self.end.unsigned_abs() * 1000);
        let policy = self.log.policy();
        self.log.state().apply_batch((3, 1), position, false, &stamped, &policy, &self.extents).unwrap();
        self.live.borrow_mut().insert(position.0, size);
        self.batches.push((self.end, size));
        self.end += 1;
    }

    fn trim(&mut self, upto: Offset) {
        self.log.set_log_start(upto, Position(1));
        self.log.trim(&self.extents, |entry| forget(&self.live, entry)).unwrap();
        self.batches.retain(|(base, _)| *base >= self.log.log_start_offset());
    }

    /// What a compaction below `upto` leaves where `keeps` says so: a little smaller or larger than it was.
    fn outcome(&mut self, upto: Offset, keeps: impl Fn(Offset) -> bool, grows: u32) -> Vec<Entry> {
        self.next_place += 1 << 40;
        let mut left = Vec::new();
        let mut state = self.log.state();
        let visit = |entry: &Entry| {
            if entry.base_offset < upto && keeps(entry.base_offset) {
                let position = Position(self.next_place + entry.base_offset.unsigned_abs());
                left.push(Entry { position, size: entry.size - 2 + grows, ..*entry });
            }
            true
        };
        state.queue.visit_from(0, &self.extents, visit).unwrap();
        left
    }

    /// One step; afterwards what is below the step's end is as the outcome says.
    fn step(&mut self, outcome: &mut Outcome<'_>, all: &[Entry]) -> bool {
        let from = outcome.from;
        let touched = RefCell::new(0);
        let live = |entry: &Entry| {
            self.live.borrow_mut().insert(entry.position.0, entry.size);
        };
        let dead = |entry: &Entry| {
            *touched.borrow_mut() += 1;
            forget(&self.live, entry);
        };
        let more = self.log.compaction_step(outcome, &self.extents, live, dead).unwrap();
        assert!(*touched.borrow() <= STEP, "{} entries under the lock", touched.borrow());
        let range = from..outcome.from;
        let log_start = self.log.log_start_offset();
        self.batches.retain(|(base, _)| !range.contains(base));
        let new = all.iter().map(|entry| (entry.base_offset, entry.size));
        self.batches.extend(new.filter(|(base, _)| range.contains(base) && *base >= log_start));
        self.batches.sort_unstable();
        more
    }

    fn check(&self) {
        let mut found = Vec::new();
        let (mut live, mut running_max) = (BTreeMap::new(), -1);
        let mut state = self.log.state();
        let visit = |entry: &Entry| {
            assert!(entry.running_max >= running_max.max(entry.max_timestamp), "the running maximum falls");
            running_max = entry.running_max;
            found.push((entry.base_offset, entry.size));
            live.insert(entry.position.0, entry.size);
            true
        };
        state.queue.visit_from(self.log.log_start_offset(), &self.extents, visit).unwrap();
        assert_eq!(found, self.batches);
        assert_eq!(live, *self.live.borrow());
        let bytes: u64 = found.iter().map(|(_, size)| u64::from(*size)).sum();
        assert_eq!(state.appended_bytes - state.trimmed_bytes, bytes);
    }

    /// The bytes from each segment on are those of its batches and all behind them.
    fn check_segments(&self) {
        let state = self.log.state();
        for segment in
            state.segments.iter().filter(|segment| segment.base_offset >= self.log.log_start_offset())
        {
            let behind = self.batches.iter().filter(|(base, _)| *base >= segment.base_offset);
            let bytes: u64 = behind.map(|(_, size)| u64::from(*size)).sum();
            assert_eq!(state.appended_bytes - segment.start_bytes, bytes, "from {}", segment.base_offset);
        }
    }

    fn pages(&self) -> usize {
        self.log.state().queue.page_numbers().count()
    }
}

fn forget(live: &Live, entry: &Entry) {
    assert_eq!(live.borrow_mut().remove(&entry.position.0), Some(entry.size), "{entry:?} was not live");
}

fn compacted(upto: Offset) -> Compacted {
    Compacted { upto, generation: 9, frame: Position(5) }
}

#[test]
fn outcome_of_few_batches_takes_few_pages() {
    let mut bench = Bench::new(5000);
    let all = bench.outcome(4500, |base| base % 50 == 0, 0);
    let mut outcome = Outcome { from: 0, upto: 4500, entries: &all };
    let mut steps = 1;
    while bench.step(&mut outcome, &all) {
        bench.check();
        steps += 1;
    }
    bench.check();
    bench.log.rebuild_segments(compacted(4500), &bench.extents).unwrap();
    bench.check_segments();
    assert!(steps >= 5, "{steps} steps");
    // 90 entries that are left and 500 that were not compacted.
    assert!(bench.pages() <= 9, "{} pages", bench.pages());
}

#[test]
fn step_that_reaches_the_tail_looks_at_no_more_entries_than_others() {
    // Ten sealed pages and ten entries of the tail.
    let mut bench = Bench::new(860);
    let all = bench.outcome(851, |_| true, 0);
    let mut outcome = Outcome { from: 0, upto: 851, entries: &all };
    while bench.step(&mut outcome, &all) {}
    bench.check();
}

#[test]
fn partition_deleted_between_two_steps_stays_empty() {
    let mut bench = Bench::new(3000);
    let all = bench.outcome(2900, |base| base % 3 == 0, 0);
    let mut outcome = Outcome { from: 0, upto: 2900, entries: &all };
    assert!(bench.step(&mut outcome, &all));
    bench.log.mark_deleted();
    bench.log.clear(&bench.extents, |entry| forget(&bench.live, entry));
    bench.batches.clear();
    assert!(!bench.step(&mut outcome, &[]));
    bench.log.rebuild_segments(compacted(2900), &bench.extents).unwrap();
    bench.check();
    assert_eq!((bench.log.compacted(), bench.pages()), (None, 0));
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(40))]

    #[test]
    fn steps_with_appends_and_trims_between_them_lose_and_resurrect_nothing(
        count in 1..4000_usize,
        part in 1..=100_usize,
        keep in 1..30_i64,
        grows in 0..8_u32,
        between in prop::collection::vec((0..200_usize, 0..1500_i64), 8),
    ) {
        let mut bench = Bench::new(count);
        let upto = Offset::try_from(count * part / 100).unwrap();
        for round in 0..2 {
            let all = bench.outcome(upto, |base| (base + round) % keep == 0, grows);
            let mut outcome = Outcome { from: 0, upto, entries: &all };
            let mut between = between.iter();
            while bench.step(&mut outcome, &all) {
                bench.check();
                let Some((appends, trim)) = between.next() else { continue };
                (0..*appends).for_each(|_| bench.append());
                if trim % 3 == 0 {
                    bench.trim((bench.log.log_start_offset() + trim).min(bench.end));
                }
                bench.check();
            }
            bench.check();
            bench.log.rebuild_segments(compacted(upto), &bench.extents).unwrap();
            bench.check();
            bench.check_segments();
            prop_assert_eq!(bench.log.compacted(), Some(compacted(upto)));
        }
    }
}
