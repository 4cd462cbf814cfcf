//! What is worth compacting, and when.

use super::*;
use crate::segments::SegmentBatch;

fn policy() -> LogPolicy {
    LogPolicy { segment_bytes: 100, compact: true, delete: false, ..LogPolicy::default() }
}

/// One batch per segment, of 100 bytes and one record, at these times; the last is the active segment.
fn log(timestamps: &[i64]) -> (Segments, LogBounds) {
    let mut segments = Segments::default();
    let mut appended_bytes = 0;
    for (base_offset, max_timestamp) in (0..).zip(timestamps) {
        let batch = SegmentBatch { base_offset, size: 100, max_timestamp: *max_timestamp };
        segments.push(batch, &policy(), appended_bytes);
        appended_bytes += 100;
    }
    let log_end = i64::try_from(timestamps.len()).unwrap();
    (segments, LogBounds { log_start: 0, high_watermark: log_end, log_end, appended_bytes })
}

fn range(from: Offset, dirty_from: Offset, upto: Offset, dirty_ratio: f64) -> Option<CleanRange> {
    Some(CleanRange { from, dirty_from, upto, dirty_ratio })
}

#[test]
fn closed_segments_are_compacted_and_the_active_one_is_not() {
    let (segments, bounds) = log(&[1, 2, 3, 4]);
    assert_eq!(clean_range(&segments, &policy(), 10, 0, &bounds), range(0, 0, 3, 1.0));
    let (segments, bounds) = log(&[1]);
    assert_eq!(clean_range(&segments, &policy(), 10, 0, &bounds), None);
    let (segments, bounds) = log(&[]);
    assert_eq!(clean_range(&segments, &policy(), 10, 0, &bounds), None);
    let delete = LogPolicy { compact: false, delete: true, ..policy() };
    let (segments, bounds) = log(&[1, 2]);
    assert_eq!(clean_range(&segments, &delete, 10, 0, &bounds), None);
}

#[test]
fn share_of_dirty_bytes_has_to_be_above_the_threshold() {
    let (segments, bounds) = log(&[1, 2, 3, 4, 5]);
    let at = |upto, ratio| {
        let policy = LogPolicy { min_cleanable_dirty_ratio: ratio, ..policy() };
        clean_range(&segments, &policy, 10, upto, &bounds)
    };
    assert_eq!(at(2, 0.5), None, "exactly half is not above one half");
    assert_eq!(at(2, 0.49), range(0, 2, 4, 0.5));
    assert_eq!(at(3, 0.0), range(0, 3, 4, 0.25));
    assert_eq!(at(4, 0.0), None, "nothing is dirty");
    assert_eq!(at(0, 1.0), None);
}

#[test]
fn place_outside_the_log_means_that_all_of_it_is_dirty() {
    let (segments, mut bounds) = log(&[1, 2, 3, 4]);
    assert_eq!(clean_range(&segments, &policy(), 10, 5, &bounds), range(0, 0, 3, 1.0));
    bounds.log_start = 1;
    assert_eq!(clean_range(&segments, &policy(), 10, 0, &bounds), range(1, 1, 3, 2.0 / 3.0));
}

#[test]
fn segment_that_was_compacted_in_part_is_dirty() {
    let wide = LogPolicy { segment_bytes: 200, ..policy() };
    let mut segments = Segments::default();
    for base_offset in 0..5 {
        let batch = SegmentBatch { base_offset, size: 100, max_timestamp: 1 };
        segments.push(batch, &wide, u64::try_from(base_offset).unwrap() * 100);
    }
    let bounds = LogBounds { log_start: 0, high_watermark: 5, log_end: 5, appended_bytes: 500 };
    let always = LogPolicy { min_cleanable_dirty_ratio: 0.0, ..wide };
    assert_eq!(clean_range(&segments, &always, 10, 1, &bounds), range(0, 1, 4, 1.0));
    assert_eq!(clean_range(&segments, &always, 10, 3, &bounds), range(0, 3, 4, 0.5));
}

#[test]
fn nothing_above_the_high_watermark_is_compacted() {
    let (segments, mut bounds) = log(&[1, 2, 3, 4]);
    bounds.high_watermark = 2;
    assert_eq!(clean_range(&segments, &policy(), 10, 0, &bounds), range(0, 0, 2, 1.0));
    bounds.high_watermark = 0;
    assert_eq!(clean_range(&segments, &policy(), 10, 0, &bounds), None);
}

#[test]
fn young_records_wait_for_the_least_lag() {
    let lag = LogPolicy { min_compaction_lag_ms: 100, ..policy() };
    let (segments, bounds) = log(&[1000, 1050, 900, 1200]);
    assert_eq!(clean_range(&segments, &lag, 1099, 0, &bounds), None);
    assert_eq!(clean_range(&segments, &lag, 1100, 0, &bounds), range(0, 0, 1, 1.0));
    assert_eq!(clean_range(&segments, &lag, 1150, 0, &bounds), range(0, 0, 3, 1.0));
    let (segments, bounds) = log(&[-1, -1, -1]);
    assert_eq!(clean_range(&segments, &lag, i64::MAX, 0, &bounds), None, "nothing says that they are old");
    assert_eq!(clean_range(&segments, &policy(), 0, 0, &bounds), range(0, 0, 2, 1.0));
}

#[test]
fn old_dirty_records_force_a_compaction_below_the_threshold() {
    let lag = LogPolicy { max_compaction_lag_ms: 100, min_cleanable_dirty_ratio: 0.9, ..policy() };
    let (segments, bounds) = log(&[1000, 1000, 1000, 1010, 1020]);
    assert_eq!(clean_range(&segments, &lag, 1110, 3, &bounds), None);
    assert_eq!(clean_range(&segments, &lag, 1111, 3, &bounds), range(0, 3, 4, 0.25));
    assert_eq!(clean_range(&segments, &lag, 5000, 4, &bounds), None, "what is compacted is not overdue");
    let (segments, bounds) = log(&[0, -1, 5]);
    assert_eq!(
        clean_range(&segments, &LogPolicy { min_cleanable_dirty_ratio: 1.0, ..lag }, 5000, 0, &bounds),
        None
    );
}
