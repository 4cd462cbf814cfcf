//! Segments after a compaction, from what is left of their batches.
//!
//! Called by `partition_log` when a compacted range has been swapped in. What compaction did not touch
//! keeps its segments, for the active one and the ages of the closed ones must not change under it.

use super::{NO_SEGMENT, Segment, SegmentBatch, Segments};
use crate::position::Offset;

impl Segments {
    /// Where the segments begin that a compaction below `upto` does not touch.
    pub(crate) fn untouched_from(&self, upto: Offset) -> Offset {
        let untouched = self.iter().find(|segment| segment.base_offset >= upto);
        untouched.map_or(Offset::MAX, |segment| segment.base_offset)
    }

    /// Takes in what a compaction left: `left` has all batches from the log start to [`Segments::untouched_from`].
    ///
    /// Start bytes count as if what was removed had stood at the front: the sizes of segments, and the bytes from any of
    /// them to the log's end, are those of the batches that are left. Batches can also have grown by a little (delete
    /// horizons lengthen timestamp deltas); where there is no room for that at the front, all start bytes move up.
    /// Returns by how much: `PartitionState::appended_bytes` has to move up by the same.
    pub(crate) fn rebuild(&mut self, left: LeftBatches, appended_bytes: u64) -> u64 {
        let kept = self.closed().partition_point(|segment| segment.base_offset < left.upto);
        let kept: Vec<Segment> = self.closed()[kept..].to_vec();
        if self.active.base_offset < left.upto {
            self.active = NO_SEGMENT;
        }
        let next = kept.first().or(self.active()).copied();
        let end_bytes = next.map_or(appended_bytes, |next| next.start_bytes);
        let missing = left.total().saturating_sub(end_bytes);
        let mut closed = left.before(end_bytes + missing);
        closed.extend(kept.iter().map(|segment| segment.moved_up(missing)));
        self.set_closed(closed);
        self.active = self.active.moved_up(missing);
        missing
    }

    /// Moves all start bytes up, as `PartitionState::appended_bytes` does.
    pub(crate) fn move_up(&mut self, bytes: u64) {
        if let Some(closed) = &mut self.closed {
            closed.0.iter_mut().for_each(|segment| segment.start_bytes += bytes);
        }
        self.active = self.active.moved_up(bytes);
    }
}

impl Segment {
    fn moved_up(mut self, bytes: u64) -> Self {
        self.start_bytes += bytes;
        self
    }
}

/// What a compaction left, as segments in the making, each with its size. Compacted segments are joined up to
/// `segment_bytes` (Kafka's `Cleaner.groupSegmentsBySize`), so that they do not shrink without end.
pub(crate) struct LeftBatches {
    upto: Offset,
    segment_bytes: u64,
    groups: Vec<(Segment, u64)>,
}

impl LeftBatches {
    /// `upto` is where the compaction ended.
    pub(crate) fn new(upto: Offset, segment_bytes: u64) -> Self {
        Self { upto, segment_bytes, groups: Vec::new() }
    }

    /// Takes the next batch, in offset order.
    pub(crate) fn add(&mut self, batch: &SegmentBatch) {
        let size = u64::from(batch.size);
        // The rest of a segment that was compacted in part is still dirty: it is not joined with what is clean.
        let upto = self.upto;
        let joins = |segment: &Segment, so_far: u64| {
            let same_side = (segment.base_offset < upto) == (batch.base_offset < upto);
            same_side && so_far.saturating_add(size) <= self.segment_bytes
        };
        match self.groups.last_mut() {
            Some((segment, so_far)) if joins(segment, *so_far) => {
                *so_far += size;
                segment.max_timestamp = segment.max_timestamp.max(batch.max_timestamp);
            }
            _ => {
                let segment = Segment {
                    base_offset: batch.base_offset,
                    start_bytes: 0,
                    first_timestamp: batch.max_timestamp,
                    max_timestamp: batch.max_timestamp,
                };
                self.groups.push((segment, size));
            }
        }
    }

    fn total(&self) -> u64 {
        self.groups.iter().map(|(_, size)| size).sum()
    }

    /// The segments, the last of which ends at `end_bytes`.
    fn before(self, end_bytes: u64) -> Vec<Segment> {
        let mut start_bytes = end_bytes - self.total();
        let at_their_place = self.groups.into_iter().map(|(segment, size)| {
            let segment = segment.moved_up(start_bytes);
            start_bytes += size;
            segment
        });
        at_their_place.collect()
    }
}
