//! Kafka's segments of one partition, by accounting only: the shared log has no file per partition, but retention and
//! compaction are promised in steps of segments.
//!
//! A value inside `PartitionLog`, fed by every applied batch; read by `retention` and `compaction`. Pure: no clock, no
//! disk. Rolls as Kafka's `LogSegment.shouldRoll` and deletes as `UnifiedLog.deleteOldSegments`; what those take from
//! index files and file times does not exist here (see [`Segments::push`] and [`Segments::deletable`]).
//! Invariants: base offsets and start bytes ascend; the active segment, when there is one, is the last and holds at least
//! one batch.

mod rebuild;
#[cfg(test)]
mod tests;

use crate::consume_queue::Entry;
use crate::log_policy::LogPolicy;
use crate::position::Offset;

pub(crate) use rebuild::LeftBatches;

/// In place of an offset: no segment is active.
const NONE: Offset = -1;

/// A batch as segments see it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct SegmentBatch {
    pub(crate) base_offset: Offset,
    /// Of the whole batch, bytes.
    pub(crate) size: u32,
    /// Of its records, ms; -1 without timestamps.
    pub(crate) max_timestamp: i64,
}

impl SegmentBatch {
    pub(crate) fn of(entry: &Entry) -> Self {
        Self { base_offset: entry.base_offset, size: entry.size, max_timestamp: entry.max_timestamp }
    }
}

/// Where a segment begins and what its records' times are.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Segment {
    pub(crate) base_offset: Offset,
    /// Bytes of the partition's batches before this segment, counted like `PartitionState::appended_bytes`.
    pub(crate) start_bytes: u64,
    /// Max timestamp of its first batch, ms; -1 without timestamps.
    pub(crate) first_timestamp: i64,
    /// Of all its batches, ms; -1 without timestamps.
    pub(crate) max_timestamp: i64,
}

/// The partition's state beside its segments, taken under the same lock.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct LogBounds {
    pub(crate) log_start: Offset,
    pub(crate) high_watermark: Offset,
    /// The offset after the last batch that was pushed, published or not.
    pub(crate) log_end: Offset,
    /// `PartitionState::appended_bytes`.
    pub(crate) appended_bytes: u64,
}

/// All segments of a partition that are not wholly below its log start.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Segments {
    /// Most partitions never close a segment: one word until then.
    closed: Option<Box<Closed>>,
    active: Segment,
}

/// An idle partition is held by the hundred thousand.
const _: () = assert!(size_of::<Segments>() <= 40);

/// Oldest first.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
struct Closed(Vec<Segment>);

impl Default for Segments {
    fn default() -> Self {
        Self { closed: None, active: NO_SEGMENT }
    }
}

const NO_SEGMENT: Segment =
    Segment { base_offset: NONE, start_bytes: 0, first_timestamp: -1, max_timestamp: -1 };

impl Segments {
    /// From what a snapshot kept of [`Segments::closed`] and [`Segments::active`].
    pub(crate) fn from_parts(closed: Vec<Segment>, active: Option<Segment>) -> Self {
        let mut segments = Self { closed: None, active: active.unwrap_or(NO_SEGMENT) };
        segments.set_closed(closed);
        segments
    }

    /// Those that take no more batches, oldest first.
    pub(crate) fn closed(&self) -> &[Segment] {
        self.closed.as_ref().map_or(&[], |closed| &closed.0)
    }

    /// The one that the next batch may go to.
    pub(crate) fn active(&self) -> Option<&Segment> {
        (self.active.base_offset != NONE).then_some(&self.active)
    }

    /// Where the active segment begins: nothing at or above is compacted.
    pub(crate) fn active_base(&self) -> Option<Offset> {
        self.active().map(|active| active.base_offset)
    }

    /// All of them, oldest first.
    pub(crate) fn iter(&self) -> impl DoubleEndedIterator<Item = &Segment> + Clone {
        self.closed().iter().chain(self.active())
    }

    /// Takes in a batch that was appended (or replayed) after `appended_bytes_before` bytes of this partition; returns
    /// whether a segment was closed for it.
    ///
    /// Closes by `segment.bytes`, and by `segment.ms` between the max timestamps of the segment's first batch and of this
    /// one. Where the first batch has no timestamp Kafka takes the wall clock since the segment was created; here such a
    /// segment closes by size only, so that a replay comes to the same segments. Kafka also rolls when an index file is
    /// full or an offset no longer fits one: there are none.
    pub(crate) fn push(
        &mut self,
        batch: SegmentBatch,
        policy: &LogPolicy,
        appended_bytes_before: u64,
    ) -> bool {
        let closes = self.active_base().is_some() && self.should_roll(&batch, policy, appended_bytes_before);
        if closes {
            self.closed.get_or_insert_default().0.push(self.active);
        }
        if closes || self.active_base().is_none() {
            self.active = Segment {
                base_offset: batch.base_offset,
                start_bytes: appended_bytes_before,
                first_timestamp: batch.max_timestamp,
                max_timestamp: batch.max_timestamp,
            };
        }
        self.active.max_timestamp = self.active.max_timestamp.max(batch.max_timestamp);
        closes
    }

    fn should_roll(&self, batch: &SegmentBatch, policy: &LogPolicy, appended_bytes_before: u64) -> bool {
        let size = appended_bytes_before.saturating_sub(self.active.start_bytes);
        let waited = batch.max_timestamp.saturating_sub(self.active.first_timestamp);
        size.saturating_add(u64::from(batch.size)) > policy.segment_bytes
            || (self.active.first_timestamp >= 0 && waited > roll_ms(policy))
    }

    /// The log start that retention asks for, when it is above the present one: oldest segments go first, up to the first
    /// that stays; by size, then by time. A segment goes only when the high watermark has passed its end. The active one
    /// goes too when it is due, as in Kafka, which then rolls first: the log is empty afterwards.
    ///
    /// Kafka judges a segment without timestamps by its file's modification time. Here it is judged by the next segment
    /// that has one: it was written earlier, so it is at least as old; without such a segment nothing says that it is old
    /// enough, and it stays. Timestamps in the future keep a segment until they have passed, as in Kafka.
    pub(crate) fn deletable(&self, now_ms: i64, policy: &LogPolicy, bounds: &LogBounds) -> Option<Offset> {
        if !policy.delete {
            return None;
        }
        let mut gone = 0;
        if let Some(limit) = policy.retention_bytes {
            while let Some(end) = self.acknowledged_end(gone, bounds)
                && bounds.appended_bytes.saturating_sub(end.bytes) >= limit
            {
                gone += 1;
            }
        }
        if let Some(limit) = policy.retention_ms {
            while self.acknowledged_end(gone, bounds).is_some()
                && self.newest_timestamp(gone).is_some_and(|newest| now_ms.saturating_sub(newest) > limit)
            {
                gone += 1;
            }
        }
        let new_start = self.end(gone.checked_sub(1)?, bounds).offset;
        (new_start > bounds.log_start).then_some(new_start)
    }

    /// Forgets the segments that lie wholly below the log start; the active one, too, when nothing is left
    /// (`log_start == log_end`): the next batch begins another.
    pub(crate) fn truncate_front(&mut self, log_start: Offset, log_end: Offset) {
        let ends = self.iter().skip(1).map(|next| next.base_offset);
        let gone = ends.take_while(|end| *end <= log_start).count();
        if gone > 0
            && let Some(closed) = &mut self.closed
        {
            closed.0.drain(..gone);
        }
        if log_start >= log_end {
            *self = Self::default();
        }
        if self.closed().is_empty() {
            self.closed = None;
        }
    }

    /// How old the segment at `index` can be proven to be: its own newest timestamp or, without any, that of the first
    /// later segment that has one.
    pub(crate) fn newest_timestamp(&self, index: usize) -> Option<i64> {
        self.iter().skip(index).map(|segment| segment.max_timestamp).find(|newest| *newest >= 0)
    }

    /// Where the segment at `index` ends: where the next begins, or the log ends.
    pub(crate) fn end(&self, index: usize, bounds: &LogBounds) -> SegmentEnd {
        let next = self.iter().nth(index + 1);
        next.map_or(SegmentEnd { offset: bounds.log_end, bytes: bounds.appended_bytes }, |next| SegmentEnd {
            offset: next.base_offset,
            bytes: next.start_bytes,
        })
    }

    /// The same, when there is such a segment and all of it is below the high watermark.
    fn acknowledged_end(&self, index: usize, bounds: &LogBounds) -> Option<SegmentEnd> {
        self.iter().nth(index)?;
        Some(self.end(index, bounds)).filter(|end| end.offset <= bounds.high_watermark)
    }

    fn set_closed(&mut self, closed: Vec<Segment>) {
        self.closed = (!closed.is_empty()).then(|| Box::new(Closed(closed)));
    }
}

/// Where a segment ends.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct SegmentEnd {
    /// The first offset after it.
    pub(crate) offset: Offset,
    /// Bytes of the partition's batches before that offset.
    pub(crate) bytes: u64,
}

/// `segment.ms`; a compacted topic with a `max.compaction.lag.ms` closes its segments early enough for it
/// (`LogConfig.maxSegmentMs`).
fn roll_ms(policy: &LogPolicy) -> i64 {
    if policy.compact && policy.max_compaction_lag_ms > 0 {
        policy.segment_ms.min(policy.max_compaction_lag_ms)
    } else {
        policy.segment_ms
    }
}
