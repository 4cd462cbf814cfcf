//! Which part of a partition can be compacted, and whether it is time to (Kafka's `LogCleanerManager`, `LogToClean`).
//!
//! Called by the compaction runner. Pure; invariant: the range ends at or below the active segment and the high watermark.

use crate::log_policy::LogPolicy;
use crate::position::Offset;
use crate::segments::{LogBounds, Segments};

/// What one compaction covers.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) struct CleanRange {
    /// The log start: where filtering begins.
    pub(crate) from: Offset,
    /// Where the keys are learned from: below, every key is compacted already.
    pub(crate) dirty_from: Offset,
    /// Where both end (exclusive); a segment begins here.
    pub(crate) upto: Offset,
    /// Share of the range's bytes that are dirty, above 0 to 1: of several partitions the dirtiest comes first.
    pub(crate) dirty_ratio: f64,
}

/// What to compact now, `None` when it is not time yet. `compacted_upto` is where the last compaction of the partition
/// ended, 0 before the first.
///
/// It is time when more than `min.cleanable.dirty.ratio` of the bytes are dirty, or a dirty segment began longer than
/// `max.compaction.lag.ms` ago.
pub(crate) fn clean_range(
    segments: &Segments,
    policy: &LogPolicy,
    now_ms: i64,
    compacted_upto: Offset,
    bounds: &LogBounds,
) -> Option<CleanRange> {
    if !policy.compact {
        return None;
    }
    // A place outside the log says nothing about what is in it.
    let inside = (bounds.log_start..=bounds.log_end).contains(&compacted_upto);
    let dirty_from = if inside { compacted_upto } else { bounds.log_start };
    let closed = segments.closed();
    let ends = (0..closed.len()).map(|index| segments.end(index, bounds));
    let first_dirty = ends.clone().take_while(|end| end.offset <= dirty_from).count();
    let acknowledged = ends.clone().take_while(|end| end.offset <= bounds.high_watermark).count();
    let after_last = (first_dirty..acknowledged)
        .find(|index| !is_old_enough(segments, *index, policy, now_ms))
        .unwrap_or(acknowledged);
    let last = after_last.checked_sub(1).filter(|last| *last >= first_dirty)?;

    let upto = segments.end(last, bounds);
    let dirty_bytes = upto.bytes - closed[first_dirty].start_bytes;
    let all_bytes = upto.bytes - closed[0].start_bytes;
    let dirty_ratio = ratio(dirty_bytes, all_bytes);
    let overdue = is_overdue(segments, first_dirty, policy, now_ms);
    (dirty_bytes > 0 && (overdue || dirty_ratio > policy.min_cleanable_dirty_ratio)).then_some(CleanRange {
        from: bounds.log_start,
        dirty_from,
        upto: upto.offset,
        dirty_ratio,
    })
}

/// Nothing in the segment is younger than `min.compaction.lag.ms`. Where timestamps are missing, nothing may say so.
fn is_old_enough(segments: &Segments, index: usize, policy: &LogPolicy, now_ms: i64) -> bool {
    let youngest_allowed = now_ms.saturating_sub(policy.min_compaction_lag_ms);
    policy.min_compaction_lag_ms <= 0
        || segments.newest_timestamp(index).is_some_and(|newest| newest <= youngest_allowed)
}

/// Whether a dirty closed segment began longer ago than `max.compaction.lag.ms`
/// (`LogCleanerManager.maxCompactionDelay`; absent and zero timestamps do not count).
fn is_overdue(segments: &Segments, first_dirty: usize, policy: &LogPolicy, now_ms: i64) -> bool {
    let oldest_allowed = now_ms.saturating_sub(policy.max_compaction_lag_ms.max(0));
    let mut began = segments.closed()[first_dirty..].iter().map(|segment| segment.first_timestamp);
    began.any(|first| first > 0 && first < oldest_allowed)
}

fn ratio(part: u64, whole: u64) -> f64 {
    if whole == 0 {
        return 0.0;
    }
    // A rounding error of 2^-53 does not matter to a threshold.
    part as f64 / whole as f64
}

#[cfg(test)]
mod tests;
