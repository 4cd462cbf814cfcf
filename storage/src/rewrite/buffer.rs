//! Copies of batches on their way into rewrite files: collected in memory, written and made durable piece by piece.
//!
//! Called by `relocate` and by compaction, without a lock that appends need. Invariants: a rewrite file is as long as what
//! is in it, so it holds no space that nothing uses; its frames are those of append files but for their place, and never
//! first of a group; no more than a piece of it waits for the device at a time, for appends that are synced wait behind it.

use std::io::{self, IoSlice};
use std::sync::Arc;
use std::thread;
use std::time::Duration;

use crate::commit_log::CommitLog;
use crate::consume_queue::Entry;
use crate::engine::Engine;
use crate::error::Error;
use crate::frame::{FrameHeader, FrameKind, HEADER_LEN, frame_len};
use crate::mapped_file::{FILE_HEADER_LEN, MappedFile};
use crate::position::Position;

/// A rewrite file is at most this long, bytes, and no longer than an append file: so much memory a rewrite takes.
const MAX_FILE: u64 = 64 * 1024 * 1024;
/// Between two pauses of a copy.
const PAUSE_EVERY: u64 = 4 * 1024 * 1024;
const LONGEST_PAUSE_MS: i64 = 500;
/// A full file goes to the device in so many pieces, none smaller than [`SMALLEST_PIECE`].
const PIECES: u64 = 64;
/// Bytes.
const SMALLEST_PIECE: u64 = 16 * 1024;

/// Batches being copied, and the files that are full already.
pub(crate) struct Copies {
    limit: u64,
    current: Option<Buffer>,
    files: Vec<Arc<MappedFile>>,
    /// When the stretch of copying since the last pause began, ms, and its bytes.
    stretch: (i64, u64),
}

/// A rewrite file before it is written.
struct Buffer {
    base: Position,
    incarnation: u32,
    /// The file from its header on.
    bytes: Vec<u8>,
}

impl Copies {
    pub(crate) fn new(engine: &Engine) -> Self {
        let limit = engine.log.file_size().min(MAX_FILE);
        Self { limit, current: None, files: Vec::new(), stretch: (engine.clock.now_ms(), 0) }
    }

    /// Takes a batch whose first bytes are stamped. `entry` says what else its frame needs.
    pub(crate) fn push(
        &mut self,
        engine: &Engine,
        (topic, partition): (u32, u32),
        entry: &Entry,
        batch: &[u8],
    ) -> Result<(), Error> {
        let payload_len = u32::try_from(batch.len()).expect("batches are smaller than files");
        let length = frame_len(payload_len, false);
        if self.current.as_ref().is_some_and(|buffer| buffer.bytes.len() as u64 + length > self.limit) {
            self.store(engine)?;
        }
        let buffer = self.current.get_or_insert_with(|| Buffer::new(&engine.log));
        let header = FrameHeader {
            length: u32::try_from(length).expect("frames are smaller than files"),
            position: buffer.base.plus(buffer.bytes.len() as u64),
            incarnation: buffer.incarnation,
            payload_len,
            leader_epoch: entry.leader_epoch,
            kind: FrameKind::Batch,
            first: false,
            remainder: 0,
            log_index: 0,
            topic,
            partition,
            base_offset: entry.base_offset,
            payload_crc: crc32c::crc32c(batch),
        };
        buffer.bytes.extend_from_slice(&header.encode());
        buffer.bytes.extend_from_slice(batch);
        let padded =
            buffer.bytes.len() + usize::try_from(length).expect("32 bits fit") - HEADER_LEN - batch.len();
        buffer.bytes.resize(padded, 0);
        self.pause(engine, length);
        Ok(())
    }

    /// As long as it copied, it rests: half of one core at most, and half of what the disk can do.
    fn pause(&mut self, engine: &Engine, length: u64) {
        self.stretch.1 += length;
        if self.stretch.1 < PAUSE_EVERY {
            return;
        }
        rest(engine, self.stretch.0);
        self.stretch = (engine.clock.now_ms(), 0);
    }

    fn store(&mut self, engine: &Engine) -> Result<(), Error> {
        if let Some(buffer) = self.current.take() {
            let piece = usize::try_from((self.limit / PIECES).max(SMALLEST_PIECE)).expect("1 MiB at most");
            self.files.push(buffer.store(engine, piece)?);
            // It rested already.
            self.stretch = (engine.clock.now_ms(), 0);
        }
        Ok(())
    }

    /// Bytes of all files so far.
    pub(crate) fn bytes(&self) -> u64 {
        let current = self.current.as_ref().map_or(0, |buffer| buffer.bytes.len() as u64);
        self.files.iter().map(|file| file.len()).sum::<u64>() + current
    }

    /// Incarnation of the first file, `None` while nothing was pushed.
    pub(crate) fn generation(&self) -> Option<u32> {
        let first = self.files.first().map(|file| file.incarnation());
        first.or(self.current.as_ref().map(|buffer| buffer.incarnation))
    }

    /// All files, durable with their names, when all was `copied`; no frame names them yet. Else none is left.
    ///
    /// # Errors
    /// Why it was not copied, or why the last file could not be written.
    pub(crate) fn finish(
        mut self,
        engine: &Engine,
        copied: Result<(), Error>,
    ) -> Result<Vec<Arc<MappedFile>>, Error> {
        match copied.and_then(|()| self.store(engine)) {
            Ok(()) => Ok(self.files),
            Err(error) => {
                engine.log.discard(&self.files)?;
                Err(error)
            }
        }
    }
}

impl Buffer {
    fn new(log: &CommitLog) -> Self {
        let (base, incarnation) = log.reserve_rewrite_file();
        let header = usize::try_from(FILE_HEADER_LEN).expect("4096");
        Self { base, incarnation, bytes: vec![0; header] }
    }

    fn store(self, engine: &Engine, piece: usize) -> Result<Arc<MappedFile>, Error> {
        let log = &engine.log;
        let file = log.create_rewrite_file(self.base, self.incarnation, self.bytes.len() as u64)?;
        let file = Arc::new(file);
        if let Err(source) = self.write_to(&file, engine, piece) {
            let error = Error::io("write", file.file_name(), source);
            log.discard(&[file])?;
            return Err(error);
        }
        Ok(file)
    }

    fn write_to(&self, file: &MappedFile, engine: &Engine, piece: usize) -> io::Result<()> {
        let header = usize::try_from(FILE_HEADER_LEN).expect("4096");
        let mut at = self.base.plus(FILE_HEADER_LEN);
        for piece in self.bytes[header..].chunks(piece) {
            let began_ms = engine.clock.now_ms();
            file.write_at(&mut [IoSlice::new(piece)], at)?;
            file.sync()?;
            at = at.plus(piece.len() as u64);
            rest(engine, began_ms);
        }
        Ok(())
    }
}

/// As long as it worked since `began_ms`.
fn rest(engine: &Engine, began_ms: i64) {
    let took_ms = engine.clock.now_ms().saturating_sub(began_ms).clamp(0, LONGEST_PAUSE_MS);
    if engine.config.threads && !engine.is_closed() {
        thread::sleep(Duration::from_millis(took_ms.unsigned_abs()));
    }
}
