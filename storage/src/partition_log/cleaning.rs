//! What takes batches away from a partition or puts them elsewhere: trimming, deletion, rewriting, compaction.
//!
//! Called by `admin`, `rewrite` and replay. Invariant: an append to the partition waits for no more than [`STEP`] queue
//! entries at a time, but where a compaction is put in place.

use super::{Compacted, PartitionLog, PartitionState};
use crate::consume_queue::{Entry, Extents};
use crate::error::Error;
use crate::position::{Offset, Position};
use crate::segments::SegmentBatch;

/// Queue entries looked at under a partition's lock at once: ten pages.
const STEP: usize = 850;

impl PartitionLog {
    /// Forgets what lies below the log start. `dead` is told each batch that no one can read any more.
    pub(crate) fn trim(&self, extents: &Extents, mut dead: impl FnMut(&Entry)) -> Result<(), Error> {
        while self.trim_step(self.log_start_offset(), extents, &mut dead)? {}
        Ok(())
    }

    /// One part of the way to `upto`, short enough for an append to wait for. Returns whether there is more to do.
    fn trim_step(
        &self,
        upto: Offset,
        extents: &Extents,
        dead: &mut impl FnMut(&Entry),
    ) -> Result<bool, Error> {
        let mut state = self.state();
        let from = state.trimmed_upto;
        if upto <= from {
            return Ok(false);
        }
        let (mut trimmed, mut count, mut reached) = (0, 0, upto);
        state.queue.visit_from(from, extents, |entry| {
            if entry.last_offset() >= upto {
                return false;
            }
            if count == STEP {
                reached = entry.base_offset;
                return false;
            }
            count += 1;
            trimmed += u64::from(entry.size);
            dead(entry);
            true
        })?;
        state.trimmed_upto = reached;
        state.trimmed_bytes += trimmed;
        state.queue.truncate_front(reached, extents);
        state.epochs.truncate_front(reached);
        let next_offset = state.next_offset;
        state.segments.truncate_front(reached, next_offset);
        Ok(reached < upto)
    }

    /// The entries between two offsets for which `wanted` holds, in steps short enough for appends to wait for.
    pub(crate) fn entries(
        &self,
        from: Offset,
        upto: Offset,
        extents: &Extents,
        wanted: impl Fn(&Entry) -> bool,
    ) -> Result<Vec<Entry>, Error> {
        let mut entries = Vec::new();
        let mut next = Some(from);
        while let Some(from) = next.take() {
            let mut count = 0;
            self.state().queue.visit_from(from, extents, |entry| {
                if entry.base_offset >= upto {
                    return false;
                }
                if count == STEP {
                    next = Some(entry.base_offset);
                    return false;
                }
                count += 1;
                if wanted(entry) {
                    entries.push(*entry);
                }
                true
            })?;
        }
        Ok(entries)
    }

    /// Gives its queue pages back; `dead` is told each of its batches.
    pub(crate) fn clear(&self, extents: &Extents, mut dead: impl FnMut(&Entry)) {
        let end = self.state().next_offset;
        let trimmed = (|| {
            while self.trim_step(end, extents, &mut dead)? {}
            Ok::<_, Error>(())
        })();
        if let Err(error) = trimmed {
            tracing::warn!(%error, "batches of a deleted partition are not accounted for: their files stay");
        }
        let mut state = self.state();
        state.queue.clear(extents);
        *state = PartitionState::default();
    }

    /// Points the queue at copies of its batches: base offset and new place, sorted. `on` is told each entry that can be
    /// read, as it was and as it is.
    pub(crate) fn apply_repoint(
        &self,
        moved: &[(Offset, Position)],
        extents: &Extents,
        mut on: impl FnMut(&Entry, &Entry),
    ) -> Result<(), Error> {
        for moved in moved.chunks(STEP) {
            let mut state = self.state();
            let counted_from = state.trimmed_upto;
            state.queue.repoint((self.topic, self.partition), moved, extents, |before, after| {
                if before.last_offset() >= counted_from {
                    on(before, after);
                }
            })?;
        }
        Ok(())
    }

    /// Puts the outcome of a compaction in the place of everything below its end. `live` is told each entry of it that can
    /// be read, `dead` each that could be before.
    pub(crate) fn apply_compaction(
        &self,
        compacted: Compacted,
        entries: Vec<Entry>,
        extents: &Extents,
        live: impl Fn(&Entry),
        dead: impl Fn(&Entry),
    ) -> Result<(), Error> {
        let mut state = self.state();
        if self.is_deleted()
            || state.compacted.as_ref().is_some_and(|done| done.generation >= compacted.generation)
        {
            return Ok(());
        }
        let counted_from = state.trimmed_upto;
        let entries: Vec<Entry> =
            entries.into_iter().filter(|entry| entry.last_offset() >= counted_from).collect();
        let added: u64 = entries.iter().map(|entry| u64::from(entry.size)).sum();
        entries.iter().for_each(live);
        let mut removed = 0;
        state.queue.replace_below(
            (self.topic, self.partition),
            compacted.upto,
            entries,
            extents,
            |entry| {
                if entry.last_offset() >= counted_from {
                    removed += u64::from(entry.size);
                    dead(entry);
                }
            },
        )?;
        let mut left = Vec::new();
        let boundary = state.segments.active_base().unwrap_or(Offset::MAX);
        state.queue.visit_from(counted_from, extents, |entry| {
            left.push(SegmentBatch::of(entry));
            entry.base_offset < boundary
        })?;
        // What was removed counts as trimmed, so that the bytes behind any segment stay what they are.
        let (segment_bytes, appended) = (self.policy().segment_bytes, state.appended_bytes);
        let moved_up = state.segments.rebuild(compacted.upto, left.into_iter(), segment_bytes, appended);
        state.appended_bytes += moved_up;
        state.trimmed_bytes = (state.trimmed_bytes + moved_up + removed).saturating_sub(added);
        state.compacted = Some(Box::new(compacted));
        Ok(())
    }
}
