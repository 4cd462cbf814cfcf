//! Reading batches by offset: found in the queue first, read from the map or by copying then.
//!
//! Called by `store`. Invariants: only bytes below the caller's limit, which is at most the log end, are handed out; every
//! batch that is handed out is the one its queue entry speaks of and has a matching CRC. Places are looked up under the
//! partition's lock: an entry may be given another place, and the file at its old one be removed, as soon as it is free.
//! Nothing waits for a device under that lock.

mod check;
mod cold;
mod idle_class;
mod recent;

use std::ops::{ControlFlow, Range};
use std::sync::Arc;

use bytes::Bytes;

use crate::commit_log::CommitLog;
use crate::consume_queue::{Entry, Extents};
use crate::error::{Error, ReadError};
use crate::frame::payload_at;
use crate::mapped_file::MappedFile;
use crate::partition_log::PartitionLog;
use crate::position::{Offset, Position};

pub(crate) use check::check;
pub(crate) use cold::ColdReads;

/// Entries looked at before the partition's lock is given to others.
const VISIT_AT_ONCE: usize = 4096;

/// What to read.
#[derive(Debug, Clone, Copy)]
pub struct ReadRequest {
    /// First offset wanted; its whole batch is returned.
    pub from: Offset,
    /// Batches that start at or above this offset are not returned (high watermark, last stable offset).
    pub limit: Offset,
    /// Stop before this many bytes ...
    pub max_bytes: usize,
    /// ... but return the first batch even if it alone is larger.
    pub at_least_one: bool,
}

/// What was read: each `Bytes` is one whole batch, a slice of the mapped log or of a copy.
#[derive(Debug, Clone, Default)]
pub struct Batches {
    /// In offset order.
    pub batches: Vec<Bytes>,
    /// Sum of their sizes.
    pub bytes: usize,
}

/// Batches that were found and not looked at yet. Their files stay as they are while this is held.
#[derive(Debug, Clone)]
pub struct Located {
    topic: u32,
    partition: i32,
    pieces: Vec<Piece>,
    bytes: usize,
    /// The queue's next page was not in memory.
    missing: Option<u32>,
    cold: bool,
}

/// A batch that an entry points at, not looked at yet. Its file stays as it is while this is held.
#[derive(Debug, Clone)]
pub(crate) struct Piece {
    pub(crate) entry: Entry,
    file: Arc<MappedFile>,
    map: Bytes,
}

impl Located {
    fn new(partition: &PartitionLog) -> Self {
        let (topic, partition) = (partition.topic_number(), partition.partition());
        Self { topic, partition, pieces: Vec::new(), bytes: 0, missing: None, cold: false }
    }

    /// Sum of the batches' sizes.
    #[must_use]
    pub fn bytes(&self) -> usize {
        self.bytes
    }

    /// One past the last record found; `None` when there is none.
    #[must_use]
    pub fn end_offset(&self) -> Option<Offset> {
        self.pieces.last().map(|piece| piece.entry.last_offset() + 1)
    }

    /// Whether finding or reading what was asked for waits for a device: then `Store::locate_waiting` and
    /// `Store::read_cold` are for a thread that may.
    #[must_use]
    pub fn is_cold(&self) -> bool {
        self.cold || (self.missing.is_some() && self.pieces.is_empty())
    }

    /// Keeps the batches from the beginning that fit `max_bytes`, and the first in any case when `at_least_one`.
    pub fn truncate(&mut self, max_bytes: usize, at_least_one: bool) {
        let mut bytes = 0;
        let fitting = self.pieces.iter().enumerate().take_while(|(index, piece)| {
            let fits = bytes + piece.map.len() <= max_bytes || (*index == 0 && at_least_one);
            bytes += if fits { piece.map.len() } else { 0 };
            fits
        });
        let kept = fitting.count();
        if kept == 0 && !self.pieces.is_empty() {
            // Nothing is wanted, so nothing is to be waited for.
            (self.cold, self.missing) = (false, None);
        }
        self.pieces.truncate(kept);
        self.bytes = bytes;
    }

    /// The batches, as slices of the map. What stands before damage is served; damage is reported to who asks for it first.
    ///
    /// # Errors
    /// `Corrupt` when the first batch is not what was written.
    pub fn read(&self) -> Result<Batches, ReadError> {
        self.read_from(|_, piece| Ok(piece.map.clone()))
    }

    /// The same for who has other work beside it: a part is checked at a time.
    #[must_use]
    pub fn reading(&self) -> Reading<'_> {
        Reading { located: self, next: 0, read: Batches::default(), damage: None }
    }

    /// The batches, whose bytes `bytes_of` gives.
    fn read_from(
        &self,
        mut bytes_of: impl FnMut(usize, &Piece) -> Result<Bytes, Error>,
    ) -> Result<Batches, ReadError> {
        let mut reading = self.reading();
        while let Some(piece) = reading.next() {
            let bytes = bytes_of(reading.next, piece);
            reading.take(piece, bytes);
        }
        reading.finish()
    }
}

/// Batches on their way from [`Located`] to [`Batches`].
#[derive(Debug)]
pub struct Reading<'a> {
    located: &'a Located,
    next: usize,
    read: Batches,
    damage: Option<Error>,
}

impl<'a> Reading<'a> {
    /// Checks the next batches, as slices of the map: not more than `max_bytes`, but the first in any case when
    /// `at_least_one`. Returns how many bytes it were.
    pub fn check(&mut self, max_bytes: usize, at_least_one: bool) -> usize {
        let mut checked = 0;
        while let Some(piece) = self.next() {
            let more = checked + piece.map.len();
            if more > max_bytes && !(checked == 0 && at_least_one) {
                break;
            }
            checked = more;
            self.take(piece, Ok(piece.map.clone()));
        }
        checked
    }

    /// Whether there is nothing left to check.
    #[must_use]
    pub fn is_done(&self) -> bool {
        self.next().is_none()
    }

    /// What was checked.
    ///
    /// # Errors
    /// As [`Located::read`].
    pub fn finish(self) -> Result<Batches, ReadError> {
        match self.damage {
            Some(error) if self.read.batches.is_empty() => Err(error.into()),
            _ => Ok(self.read),
        }
    }

    /// The next batch; none behind damage.
    fn next(&self) -> Option<&'a Piece> {
        if self.damage.is_some() { None } else { self.located.pieces.get(self.next) }
    }

    fn take(&mut self, piece: &Piece, bytes: Result<Bytes, Error>) {
        let Located { topic, partition, .. } = self.located;
        match bytes.and_then(|bytes| piece.check(*topic, *partition, &bytes).map(|()| bytes)) {
            Ok(batch) => {
                self.read.bytes += batch.len();
                self.read.batches.push(batch);
            }
            Err(error) => self.damage = Some(error),
        }
        self.next += 1;
    }
}

/// Everything that `request` asks for, from the map, waiting for whatever is not in memory.
pub(crate) fn read(
    log: &CommitLog,
    extents: &Extents,
    partition: &PartitionLog,
    request: &ReadRequest,
) -> Result<Batches, ReadError> {
    let (mut rest, mut read) = (*request, Batches::default());
    loop {
        let located = wait_for_pieces(log, extents, partition, &rest);
        let from_map = |located: Located| {
            located.pieces.iter().for_each(Piece::read_ahead);
            located.read().map(|part| (located, part))
        };
        let (located, part) = match located.and_then(from_map) {
            Ok(both) => both,
            Err(error) if read.batches.is_empty() => return Err(error),
            Err(_) => return Ok(read),
        };
        let whole = part.batches.len() == located.pieces.len();
        read.bytes += part.bytes;
        read.batches.extend(part.batches);
        let Some(end) = located.end_offset().filter(|_| whole && located.missing.is_some()) else {
            return Ok(read);
        };
        let max_bytes = request.max_bytes.saturating_sub(read.bytes);
        rest = ReadRequest { from: end, max_bytes, at_least_one: false, ..rest };
    }
}

/// The batches that `request` asks for, as far as the queue's pages are in memory. Does not wait for a device.
pub(crate) fn locate(
    log: &CommitLog,
    extents: &Extents,
    cold: &ColdReads,
    partition: &PartitionLog,
    request: &ReadRequest,
) -> Result<Located, ReadError> {
    let mut located = locate_pieces(log, extents, partition, request, None)?;
    located.cold = cold.are_cold(log, &located.pieces);
    Ok(located)
}

/// As `locate`, but waits for the queue's page that holds the first batch.
pub(crate) fn locate_waiting(
    log: &CommitLog,
    extents: &Extents,
    cold: &ColdReads,
    partition: &PartitionLog,
    request: &ReadRequest,
) -> Result<Located, ReadError> {
    let mut located = wait_for_pieces(log, extents, partition, request)?;
    located.cold = cold.are_cold(log, &located.pieces);
    Ok(located)
}

fn wait_for_pieces(
    log: &CommitLog,
    extents: &Extents,
    partition: &PartitionLog,
    request: &ReadRequest,
) -> Result<Located, ReadError> {
    let mut fetched = None;
    loop {
        let located = locate_pieces(log, extents, partition, request, fetched)?;
        match located.missing {
            Some(page) if located.pieces.is_empty() => {
                extents.fetch(page)?;
                fetched = Some(page);
            }
            _ => return Ok(located),
        }
    }
}

fn locate_pieces(
    log: &CommitLog,
    extents: &Extents,
    partition: &PartitionLog,
    request: &ReadRequest,
    fetched: Option<u32>,
) -> Result<Located, ReadError> {
    let mut located = Located::new(partition);
    let mut state = partition.state();
    if partition.is_deleted() {
        return Err(ReadError::Deleted);
    }
    let (log_start, log_end) = (partition.log_start_offset(), partition.log_end_offset());
    if request.from < log_start || request.from > log_end {
        return Err(ReadError::OutOfRange { offset: request.from, log_start, log_end });
    }
    let limit = request.limit.min(log_end);
    if request.from >= limit {
        return Ok(located);
    }
    let (pieces, mut bytes, mut lost) = (&mut located.pieces, 0_usize, None);
    located.missing = state.queue.visit_resident(request.from, extents, fetched, |entry| {
        let size = usize::try_from(entry.size).expect("32 bits fit");
        let fits = bytes + size <= request.max_bytes || (pieces.is_empty() && request.at_least_one);
        if entry.base_offset >= limit || !fits {
            return false;
        }
        match Piece::locate(log, entry, pieces.last()) {
            Ok(piece) => pieces.push(piece),
            Err(error) => {
                lost = Some(error);
                return false;
            }
        }
        bytes += size;
        bytes < request.max_bytes
    })?;
    located.bytes = bytes;
    match lost {
        Some(error) if located.pieces.is_empty() => Err(error.into()),
        _ => Ok(located),
    }
}

/// Calls `visit` with entries in offset order, beginning with the one that holds `from`, until it breaks. The partition's
/// lock is held during each call, and let go while a page is waited for and every few thousand entries.
pub(crate) fn visit<T>(
    extents: &Extents,
    partition: &PartitionLog,
    from: Offset,
    mut visit: impl FnMut(&Entry) -> ControlFlow<T>,
) -> Result<Option<T>, Error> {
    let (mut from, mut fetched) = (from, None);
    loop {
        let (mut left, mut broken) = (VISIT_AT_ONCE, None);
        let missing = {
            let mut state = partition.state();
            // Entries below the log start may point at files that are no more.
            from = from.max(partition.log_start_offset());
            state.queue.visit_resident(from, extents, fetched, |entry| {
                broken = visit(entry).break_value();
                from = entry.last_offset() + 1;
                left -= 1;
                left > 0 && broken.is_none()
            })?
        };
        match missing {
            _ if broken.is_some() => return Ok(broken),
            Some(page) => {
                extents.fetch(page)?;
                fetched = missing;
            }
            None if left > 0 => return Ok(None),
            None => {}
        }
    }
}

impl Piece {
    /// The batch that `entry` points at. The caller holds the partition's lock since it saw the entry. `near` may be in
    /// the same file.
    pub(crate) fn locate(log: &CommitLog, entry: &Entry, near: Option<&Self>) -> Result<Self, Error> {
        let position = payload_position(entry);
        let near = near.map(|near| &near.file).filter(|file| (file.base()..file.end()).contains(&position));
        let file = match near {
            Some(file) => Arc::clone(file),
            None => log.file_holding(position)?,
        };
        let map = file
            .read(position, usize::try_from(entry.size).expect("32 bits fit"))
            .map_err(|source| Error::io("read", file.file_name(), source))?;
        Ok(Self { entry: *entry, file, map })
    }

    /// Its bytes, a slice of the map. Waits for the device where they are not in memory.
    ///
    /// # Errors
    /// `Corrupt`.
    pub(crate) fn checked(&self, partition: &PartitionLog) -> Result<&Bytes, Error> {
        self.check(partition.topic_number(), partition.partition(), &self.map)?;
        Ok(&self.map)
    }

    fn check(&self, topic: u32, partition: i32, bytes: &[u8]) -> Result<(), Error> {
        let Err(damage) = check(&self.entry, bytes) else { return Ok(()) };
        let position = self.range().start;
        let (first, last) = (self.entry.base_offset, self.entry.last_offset());
        let what = format!(
            "batch of topic number {topic}, partition {partition}, offsets {first} to {last}: {damage}"
        );
        Err(Error::Corrupt {
            file: self.file.file_name(),
            at: position.0 - self.file.base().0,
            position,
            what,
        })
    }

    /// Has the device asked for it and no more; a page of the map that is touched first asks for 8 MiB around it.
    pub(crate) fn read_ahead(&self) {
        self.file.read_ahead(&self.range());
    }

    /// Where its bytes are.
    fn range(&self) -> Range<Position> {
        let start = payload_position(&self.entry);
        start..start.plus(self.map.len() as u64)
    }
}

fn payload_position(entry: &Entry) -> Position {
    entry.position.plus(payload_at(entry.first_of_group()))
}
