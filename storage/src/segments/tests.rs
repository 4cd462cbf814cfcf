//! Rolling, retention and rebuilding, against a naive account of the same batches.

use proptest::prelude::*;

use super::*;

fn policy() -> LogPolicy {
    LogPolicy { segment_bytes: 100, segment_ms: 1000, retention_ms: Some(5000), ..LogPolicy::default() }
}

/// A partition of batches of one record each, with what its state would hold.
struct Log {
    segments: Segments,
    bounds: LogBounds,
}

impl Log {
    fn new() -> Self {
        let bounds = LogBounds { log_start: 0, high_watermark: 0, log_end: 0, appended_bytes: 0 };
        Self { segments: Segments::default(), bounds }
    }

    fn of(policy: &LogPolicy, batches: &[(u32, i64)]) -> Self {
        let mut log = Self::new();
        for (size, max_timestamp) in batches {
            log.push(policy, *size, *max_timestamp);
        }
        log
    }

    /// Acknowledged at once.
    fn push(&mut self, policy: &LogPolicy, size: u32, max_timestamp: i64) -> bool {
        let batch = SegmentBatch { base_offset: self.bounds.log_end, size, max_timestamp };
        let closed = self.segments.push(batch, policy, self.bounds.appended_bytes);
        self.bounds.log_end += 1;
        self.bounds.high_watermark += 1;
        self.bounds.appended_bytes += u64::from(size);
        closed
    }

    fn bases(&self) -> Vec<Offset> {
        self.segments.iter().map(|segment| segment.base_offset).collect()
    }

    fn deletable(&self, now_ms: i64, policy: &LogPolicy) -> Option<Offset> {
        self.segments.deletable(now_ms, policy, &self.bounds)
    }

    fn rebuild(&mut self, upto: Offset, left: &[SegmentBatch], segment_bytes: u64) -> u64 {
        let mut batches = LeftBatches::new(upto, segment_bytes);
        let untouched = self.segments.untouched_from(upto);
        left.iter().filter(|batch| batch.base_offset < untouched).for_each(|batch| batches.add(batch));
        self.segments.rebuild(batches, self.bounds.appended_bytes)
    }

    fn start_at(&mut self, log_start: Offset) {
        self.bounds.log_start = log_start;
        self.segments.truncate_front(log_start, self.bounds.log_end);
    }
}

#[test]
fn segment_closes_before_the_batch_that_would_make_it_too_large() {
    let log = Log::of(&policy(), &[(60, 0), (40, 0), (1, 0), (300, 0), (10, 0)]);
    assert_eq!(log.bases(), [0, 2, 3, 4]);
    assert_eq!(log.segments.active_base(), Some(4));
    let starts: Vec<u64> = log.segments.iter().map(|segment| segment.start_bytes).collect();
    assert_eq!(starts, [0, 100, 101, 401]);
}

#[test]
fn segment_closes_when_timestamps_move_on_from_its_first_batch() {
    let mut log = Log::of(&policy(), &[(1, 500), (1, 1500)]);
    assert_eq!(log.bases(), [0], "exactly segment.ms is not too long");
    assert!(log.push(&policy(), 1, 1501));
    assert!(!log.push(&policy(), 1, -1), "a batch without timestamp waits for nothing");
    assert!(!log.push(&policy(), 1, 0), "nor does one from the past");
    assert!(log.push(&policy(), 1, i64::MAX));
    assert_eq!(log.bases(), [0, 2, 5]);
    let untimed = Log::of(&policy(), &[(1, -1), (1, i64::MAX)]);
    assert_eq!(untimed.bases(), [0]);
}

#[test]
fn compacted_topic_closes_segments_within_its_greatest_lag() {
    let compact = LogPolicy { compact: true, max_compaction_lag_ms: 10, ..policy() };
    assert_eq!(Log::of(&compact, &[(1, 0), (1, 11)]).bases(), [0, 1]);
    let delete = LogPolicy { compact: false, ..compact };
    assert_eq!(Log::of(&delete, &[(1, 0), (1, 11)]).bases(), [0]);
}

#[test]
fn time_takes_the_oldest_segments_up_to_the_first_that_stays() {
    let log = Log::of(&policy(), &[(100, 1000), (100, 9000), (100, 2000), (100, 9500)]);
    assert_eq!(log.deletable(6000, &policy()), None, "exactly retention.ms is not too old");
    assert_eq!(log.deletable(6001, &policy()), Some(1));
    assert_eq!(log.deletable(14_000, &policy()), Some(1), "an old segment behind a young one waits");
    assert_eq!(log.deletable(14_001, &policy()), Some(3));
    assert_eq!(log.deletable(14_501, &policy()), Some(4), "all of it, the active segment included");
    let forever = LogPolicy { retention_ms: None, ..policy() };
    assert_eq!(log.deletable(i64::MAX, &forever), None);
    let compact = LogPolicy { delete: false, compact: true, ..policy() };
    assert_eq!(log.deletable(i64::MAX, &compact), None);
}

#[test]
fn size_takes_oldest_segments_while_enough_is_left() {
    let bytes = |limit| LogPolicy { retention_bytes: Some(limit), retention_ms: None, ..policy() };
    let log = Log::of(&policy(), &[(90, 0), (80, 0), (70, 0), (60, 0)]);
    assert_eq!(log.deletable(0, &bytes(211)), None);
    assert_eq!(log.deletable(0, &bytes(210)), Some(1));
    assert_eq!(log.deletable(0, &bytes(60)), Some(3));
    assert_eq!(log.deletable(0, &bytes(1)), Some(3));
    assert_eq!(log.deletable(0, &bytes(0)), Some(4));
}

#[test]
fn nothing_above_the_high_watermark_goes() {
    let mut log = Log::of(&policy(), &[(100, 0), (100, 0), (100, 0)]);
    log.bounds.high_watermark = 1;
    assert_eq!(log.deletable(i64::MAX, &policy()), Some(1));
    log.bounds.high_watermark = 0;
    assert_eq!(log.deletable(i64::MAX, &policy()), None);
}

#[test]
fn segment_without_timestamps_is_as_old_as_the_next_that_has_one() {
    let log = Log::of(&policy(), &[(100, -1), (100, -1), (100, 1000), (100, -1)]);
    assert_eq!(log.deletable(6000, &policy()), None);
    assert_eq!(log.deletable(6001, &policy()), Some(3), "the last has nothing behind it");
}

#[test]
fn future_timestamps_keep_a_segment() {
    let log = Log::of(&policy(), &[(100, i64::MAX), (100, 0)]);
    assert_eq!(log.deletable(i64::MAX, &policy()), None);
}

#[test]
fn log_start_inside_a_segment_keeps_it() {
    let mut log = Log::of(&policy(), &[(50, 0), (50, 0), (50, 0), (50, 0), (50, 0)]);
    log.start_at(3);
    assert_eq!(log.bases(), [2, 4]);
    assert_eq!(log.deletable(i64::MAX, &LogPolicy { retention_ms: None, ..policy() }), None);
    log.start_at(4);
    assert_eq!(log.bases(), [4]);
    log.start_at(5);
    assert_eq!(log.segments, Segments::default());
    assert_eq!(log.deletable(i64::MAX, &policy()), None);
    log.push(&policy(), 10, 7);
    assert_eq!(log.bases(), [5]);
    assert_eq!(
        log.segments.active().map(|active| (active.start_bytes, active.max_timestamp)),
        Some((250, 7))
    );
}

#[test]
fn parts_of_a_snapshot_give_the_same_segments() {
    for batches in [&[][..], &[(1, 1)], &[(100, 1), (100, 2), (100, 3)]] {
        let log = Log::of(&policy(), batches);
        let again = Segments::from_parts(log.segments.closed().to_vec(), log.segments.active().copied());
        assert_eq!(again, log.segments);
    }
}

#[test]
fn compacted_segments_are_joined_and_the_others_stay() {
    let mut log = Log::of(&policy(), &[(100, 5), (100, 3), (100, 9), (100, 1), (60, 2), (10, 4)]);
    // Compacted below 3: of the first three batches little is left.
    let left = [(0, 40, 5), (1, 50, 3), (2, 20, 9), (3, 100, 1), (4, 60, 2), (5, 10, 4)];
    let batches =
        left.map(|(base_offset, size, max_timestamp)| SegmentBatch { base_offset, size, max_timestamp });
    let missing = log.rebuild(3, &batches, 100);
    assert_eq!(missing, 0);
    let seen: Vec<_> = log
        .segments
        .iter()
        .map(|segment| (segment.base_offset, segment.start_bytes, segment.max_timestamp))
        .collect();
    assert_eq!(seen, [(0, 190, 5), (2, 280, 9), (3, 300, 1), (4, 400, 4)]);
    assert_eq!(log.segments.active_base(), Some(4));
}

#[test]
fn segment_compacted_in_part_is_split_where_it_is_still_dirty() {
    let wide = LogPolicy { segment_bytes: 300, ..policy() };
    let mut log = Log::of(&wide, &[(100, 1), (100, 2), (100, 3), (100, 4)]);
    let batches = [(0, 10, 1), (1, 10, 2), (2, 100, 3)]
        .map(|(base_offset, size, max_timestamp)| SegmentBatch { base_offset, size, max_timestamp });
    log.rebuild(2, &batches, 300);
    assert_eq!(log.bases(), [0, 2, 3]);
}

#[test]
fn batches_that_grew_move_everything_up() {
    let mut log = Log::of(&policy(), &[(100, 1), (100, 2), (30, 3)]);
    let batches = [(0, 104, 1), (1, 103, 2)].map(|(base_offset, size, max_timestamp)| SegmentBatch {
        base_offset,
        size,
        max_timestamp,
    });
    assert_eq!(log.rebuild(2, &batches, 1), 7);
    let starts: Vec<u64> = log.segments.iter().map(|segment| segment.start_bytes).collect();
    assert_eq!(starts, [0, 104, 207]);
}

/// Segments kept as plain lists of batches, deleted as Kafka's loops do it.
#[derive(Default)]
struct Naive(Vec<Vec<SegmentBatch>>);

impl Naive {
    fn push(&mut self, batch: SegmentBatch, policy: &LogPolicy) {
        let rolls = self.0.last().is_none_or(|segment| {
            let size: u64 = segment.iter().map(|batch| u64::from(batch.size)).sum();
            let first = segment[0].max_timestamp;
            size + u64::from(batch.size) > policy.segment_bytes
                || (first >= 0 && batch.max_timestamp - first > policy.segment_ms)
        });
        if rolls {
            self.0.push(Vec::new());
        }
        self.0.last_mut().unwrap().push(batch);
    }

    fn max(&self, index: usize) -> Option<i64> {
        self.0[index..]
            .iter()
            .map(|segment| segment.iter().map(|batch| batch.max_timestamp).max().unwrap())
            .find(|max| *max >= 0)
    }

    /// How many segments go.
    fn deletable(&self, now_ms: i64, policy: &LogPolicy, high_watermark: Offset) -> usize {
        let size = |index: usize| self.0[index].iter().map(|batch| i64::from(batch.size)).sum::<i64>();
        let end = |index: usize| self.0[index].last().unwrap().base_offset + 1;
        let mut gone = 0;
        if let Some(limit) = policy.retention_bytes {
            let total: i64 = (0..self.0.len()).map(size).sum();
            let mut over = total - i64::try_from(limit).unwrap();
            while gone < self.0.len() && end(gone) <= high_watermark && over - size(gone) >= 0 {
                over -= size(gone);
                gone += 1;
            }
        }
        while gone < self.0.len()
            && end(gone) <= high_watermark
            && self.max(gone).is_some_and(|max| policy.retention_ms.is_some_and(|limit| now_ms - max > limit))
        {
            gone += 1;
        }
        gone
    }
}

proptest! {
    #[test]
    fn retention_agrees_with_a_naive_account(
        batches in prop::collection::vec((1_u32..150, -1_i64..8000), 1..40),
        now_ms in 0_i64..16_000,
        retention_ms in prop::option::of(0_i64..8000),
        retention_bytes in prop::option::of(0_u64..1000),
        lag in 0_i64..5,
        rounds in 1_usize..4,
    ) {
        let policy = LogPolicy { retention_ms, retention_bytes, ..policy() };
        let (mut log, mut naive) = (Log::new(), Naive::default());
        for chunk in batches.chunks(batches.len().div_ceil(rounds)) {
            for (size, max_timestamp) in chunk {
                let batch =
                    SegmentBatch { base_offset: log.bounds.log_end, size: *size, max_timestamp: *max_timestamp };
                naive.push(batch, &policy);
                log.push(&policy, *size, *max_timestamp);
            }
            log.bounds.high_watermark = (log.bounds.log_end - lag).max(log.bounds.log_start);
            let bases: Vec<Offset> = naive.0.iter().map(|segment| segment[0].base_offset).collect();
            prop_assert_eq!(log.bases(), bases);
            let gone = naive.deletable(now_ms, &policy, log.bounds.high_watermark);
            naive.0.drain(..gone);
            let expected = naive.0.first().map_or(log.bounds.log_end, |segment| segment[0].base_offset);
            let found = log.deletable(now_ms, &policy);
            prop_assert_eq!(found, (gone > 0).then_some(expected));
            if let Some(log_start) = found {
                log.start_at(log_start);
                prop_assert_eq!(log.deletable(now_ms, &policy), None, "once is enough");
            }
        }
    }
}
