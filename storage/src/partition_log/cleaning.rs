//! What takes batches away from a partition or puts them elsewhere: trimming, deletion, rewriting, compaction.
//!
//! Called by `admin`, `rewrite` and replay. Invariant: an append to the partition waits for no more than [`STEP`] queue
//! entries at a time, and between two steps the partition is whole: readers find what was or what is.

#[cfg(test)]
mod tests;

use std::ops::Range;
use std::thread;
use std::time::Duration;

use super::{Compacted, PartitionLog, PartitionState};
use crate::consume_queue::{Entry, Extents};
use crate::error::Error;
use crate::position::{Offset, Position};
use crate::segments::{LeftBatches, SegmentBatch};

/// Queue entries looked at under a partition's lock at once.
const STEP: usize = 850;
/// The same in sealed pages of 85; the tail, which is less than one, comes with the last of them.
const STEP_PAGES: usize = 9;

impl PartitionLog {
    /// Forgets what lies below the log start. `dead` is told each batch that no one can read any more.
    pub(crate) fn trim(&self, extents: &Extents, mut dead: impl FnMut(&Entry)) -> Result<(), Error> {
        while self.trim_step(self.log_start_offset(), extents, &mut dead)? {
            let_others_in();
        }
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
        state.transactions.iter_mut().for_each(|all| all.truncate_front(reached));
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
        self.each_entry(from..upto, extents, |entry| {
            if wanted(entry) {
                entries.push(*entry);
            }
        })?;
        Ok(entries)
    }

    fn each_entry(
        &self,
        range: Range<Offset>,
        extents: &Extents,
        mut visit: impl FnMut(&Entry),
    ) -> Result<(), Error> {
        let mut next = Some(range.start);
        while let Some(from) = next.take() {
            let mut count = 0;
            self.state().queue.visit_from(from, extents, |entry| {
                if entry.base_offset >= range.end {
                    return false;
                }
                if count == STEP {
                    next = Some(entry.base_offset);
                    return false;
                }
                count += 1;
                visit(entry);
                true
            })?;
            if next.is_some() {
                let_others_in();
            }
        }
        Ok(())
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
        self.transactions_changed(&state);
    }

    /// Points the queue at copies of its batches: base offset and new place, sorted. `on` is told each entry that can be
    /// read, as it was and as it is.
    pub(crate) fn apply_repoint(
        &self,
        moved: &[(Offset, Position)],
        extents: &Extents,
        mut on: impl FnMut(&Entry, &Entry),
    ) -> Result<(), Error> {
        let mut rest = moved;
        loop {
            let done = {
                let mut state = self.state();
                let counted_from = state.trimmed_upto;
                let numbers = (self.topic, self.partition);
                state.queue.repoint(numbers, rest, STEP_PAGES, extents, |before, after| {
                    if before.last_offset() >= counted_from {
                        on(before, after);
                    }
                })?
            };
            rest = &rest[done..];
            extents.relieve();
            if rest.is_empty() {
                return Ok(());
            }
            let_others_in();
        }
    }

    /// Puts the outcome of a compaction in the place of everything below its end, from the oldest on: a value goes before
    /// the tombstone that removed it. `live` is told each entry of it that can be read, `dead` each that could be before.
    pub(crate) fn apply_compaction(
        &self,
        compacted: Compacted,
        entries: &[Entry],
        extents: &Extents,
        live: impl Fn(&Entry),
        dead: impl Fn(&Entry),
    ) -> Result<(), Error> {
        let is_done = |done: &Compacted| done.generation >= compacted.generation;
        if self.compacted().is_some_and(|done| is_done(&done)) {
            return Ok(());
        }
        // Before: a reader that is told of an aborted transaction must find the marker where it ends.
        self.forget_unmarked_aborts(compacted.upto, entries);
        let mut outcome = Outcome { from: 0, upto: compacted.upto, entries };
        while self.compaction_step(&mut outcome, extents, &live, &dead)? {
            extents.relieve();
            let_others_in();
        }
        extents.relieve();
        self.rebuild_segments(compacted, extents)
    }

    /// Puts some pages' worth of the outcome in place. Returns whether there is more to do.
    fn compaction_step(
        &self,
        outcome: &mut Outcome<'_>,
        extents: &Extents,
        live: impl Fn(&Entry),
        dead: impl Fn(&Entry),
    ) -> Result<bool, Error> {
        let mut state = self.state();
        if self.is_deleted() {
            return Ok(false);
        }
        let counted_from = state.trimmed_upto;
        let upto = state.queue.pages_on(outcome.from, STEP_PAGES).unwrap_or(Offset::MAX).min(outcome.upto);
        let range = outcome.from..upto;
        let entries = outcome.take_below(upto);
        let entries = entries.iter().filter(|entry| entry.last_offset() >= counted_from).copied();
        let entries: Vec<Entry> = entries.collect();
        let mut removed = 0;
        state.queue.replace((self.topic, self.partition), &range, &entries, extents, |entry| {
            if entry.last_offset() >= counted_from {
                removed += u64::from(entry.size);
                dead(entry);
            }
        })?;
        entries.iter().for_each(live);
        let added: u64 = entries.iter().map(|entry| u64::from(entry.size)).sum();
        // What was removed counts as trimmed, so that the bytes behind any segment stay what they are.
        let moved_up = added.saturating_sub(state.trimmed_bytes + removed);
        state.appended_bytes += moved_up;
        state.segments.move_up(moved_up);
        state.trimmed_bytes = state.trimmed_bytes + moved_up + removed - added;
        Ok(outcome.from < outcome.upto)
    }

    /// The segments of what a compaction left.
    fn rebuild_segments(&self, compacted: Compacted, extents: &Extents) -> Result<(), Error> {
        loop {
            let (from, untouched) = {
                let state = self.state();
                (state.trimmed_upto, state.segments.untouched_from(compacted.upto))
            };
            let mut left = LeftBatches::new(compacted.upto, self.policy().segment_bytes);
            self.each_entry(from..untouched, extents, |entry| left.add(&SegmentBatch::of(entry)))?;
            let mut state = self.state();
            if self.is_deleted() {
                return Ok(());
            }
            // Else some of it was trimmed meanwhile.
            if (state.trimmed_upto, state.segments.untouched_from(compacted.upto)) == (from, untouched) {
                let appended = state.appended_bytes;
                let moved_up = state.segments.rebuild(left, appended);
                state.appended_bytes += moved_up;
                state.trimmed_bytes += moved_up;
                state.compacted = Some(Box::new(compacted));
                return Ok(());
            }
        }
    }
}

/// Between two steps. The lock is not fair: who lets it go and takes it again at once is before all who wait for it.
fn let_others_in() {
    thread::sleep(Duration::from_micros(20));
}

/// What is still to be put in place of a compaction.
struct Outcome<'a> {
    from: Offset,
    upto: Offset,
    /// In offset order.
    entries: &'a [Entry],
}

impl<'a> Outcome<'a> {
    /// Takes what begins below `upto`.
    fn take_below(&mut self, upto: Offset) -> &'a [Entry] {
        let (taken, rest) =
            self.entries.split_at(self.entries.partition_point(|entry| entry.base_offset < upto));
        self.entries = rest;
        self.from = upto;
        taken
    }
}
