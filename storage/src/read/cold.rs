//! Reading what is not in memory, without harm to those who read what is.
//!
//! Called by `store` on threads that may wait for a device. The batches of all partitions of one fetch are read together:
//! the system is told all ranges first, then those that come next, so that the device works on many at once; then batches
//! are copied out by positioned reads and checked, all that on a thread of the idle class. What came in this way is released
//! again a little later, except in the newest files. While somebody writes, little is asked for at a time and nothing ahead.
//! Invariant: no page of a map is touched here that may have to be waited for, so the map's pages stay those of readers at
//! the log's end.

use std::iter::Peekable;
use std::ops::Range;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, Weak};

use bytes::Bytes;

use super::idle_class::IdleClass;
use super::recent::Recent;
use super::{Batches, Located, Piece, ReadRequest, locate_pieces};
use crate::commit_log::CommitLog;
use crate::consume_queue::Extents;
use crate::error::{Error, ReadError};
use crate::mapped_file::MappedFile;
use crate::partition_log::PartitionLog;
use crate::position::Position;

/// Data this close to the log's end was just written, and is in memory.
const TAIL: u64 = 64 << 20;
/// What may stay in memory of what was read cold.
const RECENT: u64 = 64 << 20;
/// Read along with what is wanted rather than left out: a device that seeks in 16 us reads this meanwhile.
const READ_GAP: u64 = 32 << 10;
/// Copied along rather than left out.
const COPY_GAP: u64 = 1 << 10;
/// A run that grew to this ends. Larger pieces of memory come from the system and go back to it each time.
const RUN: u64 = 512 << 10;
/// Read ahead while somebody writes.
const LITTLE: u64 = 256 << 10;
/// Of each partition, asked for ahead of need.
const AHEAD: usize = 2 << 20;
const PAGE: u64 = 4096;

/// See the module.
#[derive(Debug)]
pub(crate) struct ColdReads {
    /// The log's end when it was opened: nothing below was written by this process.
    opened_at: Position,
    recent: Mutex<Recent>,
    idle_class: IdleClass,
    /// The log's end when it was read from last.
    written_before: AtomicU64,
}

/// Bytes of one file that are read in one go.
#[derive(Debug, Clone)]
struct Run {
    file: Arc<MappedFile>,
    range: Range<Position>,
}

impl ColdReads {
    pub(crate) fn new(opened_at: Position) -> Self {
        Self {
            opened_at,
            recent: Mutex::new(Recent::new(RECENT)),
            idle_class: IdleClass::default(),
            written_before: AtomicU64::new(opened_at.0),
        }
    }

    /// Whether reading these from the map may wait for a device.
    pub(super) fn are_cold(&self, log: &CommitLog, pieces: &[Piece]) -> bool {
        let tail = self.tail(log);
        let older: Vec<&Piece> = pieces.iter().filter(|piece| !tail.contains(&piece.range().start)).collect();
        if older.is_empty() {
            return false;
        }
        let runs = runs(older.into_iter(), READ_GAP);
        let recent = self.recent.lock().expect("no panic under this lock");
        // What came in cold may still be on its way, and shall not be mapped: it would stay.
        if runs.iter().any(|run| recent.touches(&run.range)) {
            return true;
        }
        drop(recent);
        !runs.iter().all(|run| run.file.is_resident(&run.range))
    }

    /// What this process wrote last. Positions of rewrite files are never in it.
    fn tail(&self, log: &CommitLog) -> Range<Position> {
        let written = log.written();
        Position(written.0.saturating_sub(TAIL)).max(self.opened_at)..written
    }

    /// The batches of `wanted`, in its order, copied where they are not the log's tail.
    pub(crate) fn read(
        &self,
        log: &CommitLog,
        extents: &Extents,
        wanted: &[(&PartitionLog, &Located)],
    ) -> Vec<Result<Batches, ReadError>> {
        let (mut cold, came_in_cold) = self.not_in_memory(log, wanted.iter().flat_map(|(_, it)| &it.pieces));
        let written = log.written().0;
        let somebody_writes = self.written_before.swap(written, Ordering::Relaxed) != written;
        if somebody_writes {
            // They do not wait in the device behind more than a little.
            cold.clear();
        } else if came_in_cold || !cold.is_empty() {
            let next: Vec<Piece> = wanted
                .iter()
                .flat_map(|(log_of, located)| following(log, extents, log_of, located))
                .collect();
            cold.append(&mut self.not_in_memory(log, next.iter()).0);
        }
        let surplus = self.recent.lock().expect("no panic under this lock").shrink();
        let tail = self.tail(log);
        self.idle_class.run(|| {
            cold.iter().for_each(|run| run.file.read_ahead(&run.range));
            let read = wanted.iter().map(|(_, located)| copy(located, &tail, somebody_writes)).collect();
            for (range, file) in &surplus {
                if let Some(file) = file.upgrade() {
                    file.release(&whole_pages(range));
                }
            }
            read
        })
    }

    /// The runs of `pieces` that have to be read, which are remembered as such, and whether others came in cold a little
    /// while ago.
    fn not_in_memory<'a>(
        &self,
        log: &CommitLog,
        pieces: impl Iterator<Item = &'a Piece>,
    ) -> (Vec<Run>, bool) {
        let mut pieces: Vec<&Piece> = pieces.collect();
        pieces.sort_unstable_by_key(|piece| piece.entry.position);
        let (resident, cold): (Vec<Run>, Vec<Run>) =
            runs(pieces.into_iter(), READ_GAP).into_iter().partition(|run| run.file.is_resident(&run.range));
        let mut recent = self.recent.lock().expect("no panic under this lock");
        for run in &cold {
            let stays = is_young(log, &run.file);
            recent.push(&run.range, if stays { Weak::new() } else { Arc::downgrade(&run.file) });
        }
        let came_in_cold = resident.iter().any(|run| recent.touches(&run.range));
        (cold, came_in_cold)
    }
}

/// Whether `file` is the one that is appended to or the one before it.
fn is_young(log: &CommitLog, file: &MappedFile) -> bool {
    let newest = log.written().0 / log.file_size() * log.file_size();
    !file.base().is_rewritten() && file.end().0 + log.file_size() > newest
}

/// What a consumer that has read `located` will ask for next, as far as the queue is in memory.
fn following(log: &CommitLog, extents: &Extents, partition: &PartitionLog, located: &Located) -> Vec<Piece> {
    let Some(from) = located.end_offset() else { return Vec::new() };
    let max_bytes = located.bytes.min(AHEAD);
    let request = ReadRequest { from, limit: partition.high_watermark(), max_bytes, at_least_one: true };
    // Whether there is anything to read is decided when it is asked for.
    locate_pieces(log, extents, partition, &request, None).map(|located| located.pieces).unwrap_or_default()
}

/// Copies what is not in `tail`; a little is read ahead where nothing was.
fn copy(located: &Located, tail: &Range<Position>, a_little_ahead: bool) -> Result<Batches, ReadError> {
    let mut copied: Option<(Range<Position>, Bytes)> = None;
    let mut told = 0;
    located.read_from(|index, piece| {
        // Before a batch and behind a copy, so that whoever wakes waits for no more than one check or copy.
        std::thread::yield_now();
        let wanted = piece.range();
        if tail.contains(&wanted.start) {
            return Ok(piece.map.clone());
        }
        let (range, bytes) = match copied.take().filter(|(range, _)| holds(range, &wanted)) {
            Some(copied) => copied,
            None => {
                let run = Run::first_of(&mut located.pieces[index..].iter().peekable(), COPY_GAP);
                let run = run.expect("there is at least this batch");
                if a_little_ahead {
                    told = tell_some(&located.pieces, index, told);
                }
                let bytes = run.copy()?;
                std::thread::yield_now();
                (run.range.clone(), bytes)
            }
        };
        let at = usize::try_from(wanted.start.0 - range.start.0).expect("runs fit memory");
        let batch = bytes.slice(at..at + piece.map.len());
        copied = Some((range, bytes));
        Ok(batch)
    })
}

/// Has as many pieces as are small together read ahead, from number `from` on and but for those below `told`, which are already.
/// Returns the number below which that is so now.
fn tell_some(pieces: &[Piece], from: usize, told: usize) -> usize {
    let mut bytes = 0;
    let small = |piece: &&Piece| {
        bytes += length(&piece.range());
        bytes <= LITTLE
    };
    let until = from + pieces[from..].iter().take_while(small).count();
    if until > told {
        for run in runs(pieces[told.max(from)..until].iter(), READ_GAP) {
            run.file.read_ahead(&run.range);
        }
    }
    until.max(told)
}

fn holds(range: &Range<Position>, wanted: &Range<Position>) -> bool {
    range.start <= wanted.start && wanted.end <= range.end
}

/// Ranges that hold all pieces, which come in the order of their positions.
fn runs<'a>(pieces: impl Iterator<Item = &'a Piece>, gap: u64) -> Vec<Run> {
    let mut pieces = pieces.peekable();
    std::iter::from_fn(|| Run::first_of(&mut pieces, gap)).collect()
}

impl Run {
    /// Takes pieces off the front as long as they lie close together.
    fn first_of<'a>(pieces: &mut Peekable<impl Iterator<Item = &'a Piece>>, gap: u64) -> Option<Self> {
        let first = pieces.next()?;
        let mut range = first.range();
        while let Some(next) = pieces.next_if(|next| {
            let next_range = next.range();
            Arc::ptr_eq(&next.file, &first.file)
                && (range.end..=range.end.plus(gap)).contains(&next_range.start)
                && next_range.end.0 - range.start.0 <= RUN
        }) {
            range.end = next.range().end;
        }
        Some(Self { file: Arc::clone(&first.file), range })
    }

    fn copy(&self) -> Result<Bytes, Error> {
        let len = usize::try_from(length(&self.range)).expect("runs fit memory");
        self.file
            .copy(self.range.start, len)
            .map_err(|source| Error::io("read", self.file.file_name(), source))
    }
}

fn length(range: &Range<Position>) -> u64 {
    range.end.0 - range.start.0
}

fn whole_pages(range: &Range<Position>) -> Range<Position> {
    Position(range.start.0 / PAGE * PAGE)..Position(range.end.0.next_multiple_of(PAGE))
}
