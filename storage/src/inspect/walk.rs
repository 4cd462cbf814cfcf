//! Walking one commitlog file and going on behind what is bad: the next valid frame is searched in steps of 8 bytes.
//!
//! Called by `survey` and `dump`. Unlike `frame_walk` and recovery's scan it expects nothing. Invariant: a frame that is
//! shown stands in its place, belongs to this use of the file, and its payload's CRC matches.

use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use bytes::Bytes;

use crate::disk::{Disk, DiskFile};
use crate::error::Error;
use crate::frame::{ALIGNMENT, EXTENSION_LEN, FrameHeader, FrameKind, HEADER_LEN, MAGIC};
use crate::mapped_file::{FILE_HEADER_LEN, FileHeaderError, MappedFile};
use crate::position::Position;

/// Read at a time when the next frame is searched.
const CHUNK: u64 = 1024 * 1024;

/// A commitlog file as it is found, with whatever header and length.
#[derive(Debug)]
pub(super) struct LogFile {
    base: Position,
    /// What its length should be.
    size: u64,
    path: PathBuf,
    file: Arc<dyn DiskFile>,
    /// Which use of the file its frames belong to; `None` when neither header nor any frame says so.
    incarnation: Option<u32>,
    bad_header: Option<String>,
}

/// A frame with its payload, the extension taken off.
#[derive(Debug)]
pub(super) struct Whole {
    pub(super) header: FrameHeader,
    pub(super) payload: Bytes,
    pub(super) durable_upto: Option<Position>,
}

/// Bytes where frames should be and none is valid.
#[derive(Debug)]
pub(super) struct BadPlace {
    pub(super) from: Position,
    pub(super) to: Position,
    pub(super) why: String,
    /// When the header is whole and only the payload is bad.
    pub(super) header: Option<FrameHeader>,
}

/// What a walk comes to, in the order of the file.
#[derive(Debug)]
pub(super) enum Piece {
    Frame(Whole),
    Bad(BadPlace),
}

/// What follows a file's last frame.
#[derive(Debug)]
pub(super) enum Rest {
    /// Nothing: a blank frame, or the last frame itself, ends with the file.
    Sealed { blank: bool },
    /// Zeroes, or frames of an earlier use of the file.
    Empty,
    /// Something that this use of the file left.
    Torn(BadPlace),
}

type Fault = (String, Option<FrameHeader>);

impl LogFile {
    /// # Errors
    /// Only when the file cannot be opened or read.
    pub(super) fn open(disk: &dyn Disk, dir: &Path, base: Position, size: u64) -> Result<Self, Error> {
        let path = MappedFile::path(dir, base);
        let io = |error| Error::io("open", &path, error);
        let file = disk.open(&path).map_err(io)?;
        let (incarnation, bad_header) = match MappedFile::open(disk, dir, base, size) {
            Ok(whole) => (Some(whole.incarnation()), None),
            Err(FileHeaderError::Io(error)) if error.kind() != io::ErrorKind::UnexpectedEof => {
                return Err(io(error));
            }
            Err(error) => (None, Some(error.to_string())),
        };
        let size = if base.is_rewritten() && bad_header.is_none() { file.len() } else { size };
        let mut found = Self { base, size, path, file, incarnation, bad_header };
        if found.incarnation.is_none() {
            found.incarnation = found.newest_incarnation().map_err(|error| found.io(error))?;
        }
        Ok(found)
    }

    pub(super) fn base(&self) -> Position {
        self.base
    }

    pub(super) fn path(&self) -> &Path {
        &self.path
    }

    pub(super) fn len(&self) -> u64 {
        self.file.len()
    }

    pub(super) fn incarnation(&self) -> Option<u32> {
        self.incarnation
    }

    /// Why header or length are not what they should be.
    pub(super) fn bad_header(&self) -> Option<&str> {
        self.bad_header.as_deref()
    }

    /// Where its positions end, however many of them are there.
    pub(super) fn end(&self) -> Position {
        self.base.plus(self.size)
    }

    /// Where its bytes end.
    fn bytes_end(&self) -> Position {
        self.base.plus(self.file.len().min(self.size))
    }

    pub(super) fn holds(&self, position: Position) -> bool {
        (self.base..self.end()).contains(&position)
    }

    fn copy(&self, at: Position, len: u64) -> io::Result<Bytes> {
        self.file.copy(at.0 - self.base.0, usize::try_from(len).map_err(io::Error::other)?)
    }

    pub(super) fn io(&self, error: io::Error) -> Error {
        Error::io("read", &self.path, error)
    }

    /// The valid frame at `at`, or why there is none.
    pub(super) fn frame(&self, at: Position) -> Result<Result<Whole, Fault>, Error> {
        self.read_frame(at).map_err(|error| self.io(error))
    }

    /// The header at `at`, when it is whole and was written for this place; the payload is left unread.
    pub(super) fn header(&self, at: Position) -> Result<Result<FrameHeader, String>, Error> {
        let header = self.read_header(at).map_err(|error| self.io(error))?;
        Ok(header.and_then(|header| self.belongs(&header, at).map(|()| header)))
    }

    fn belongs(&self, header: &FrameHeader, at: Position) -> Result<(), String> {
        if Some(header.incarnation) == self.incarnation && header.position == at {
            return Ok(());
        }
        Err("the frame belongs to another place or an earlier use of the file".to_owned())
    }

    fn read_frame(&self, at: Position) -> io::Result<Result<Whole, Fault>> {
        let found = self.read_header(at)?;
        let header = match found.and_then(|header| self.belongs(&header, at).map(|()| header)) {
            Ok(header) => header,
            Err(why) => return Ok(Err((why, None))),
        };
        let end = at.plus(u64::from(header.length));
        if header.kind == FrameKind::Blank && end != self.end() {
            return Ok(Err(("a blank frame does not end with its file".to_owned(), Some(header))));
        }
        if header.kind != FrameKind::Blank && end > self.bytes_end() {
            return Ok(Err(("the frame is longer than the file".to_owned(), Some(header))));
        }
        let extension = if header.first { EXTENSION_LEN } else { 0 };
        let payload =
            self.copy(at.plus(HEADER_LEN as u64), extension as u64 + u64::from(header.payload_len))?;
        if crc32c::crc32c(&payload) != header.payload_crc {
            return Ok(Err(("payload CRC does not match".to_owned(), Some(header))));
        }
        let durable_upto = payload.first_chunk::<EXTENSION_LEN>().filter(|_| header.first);
        let durable_upto = durable_upto.map(|bytes| Position(u64::from_be_bytes(*bytes)));
        Ok(Ok(Whole { header, payload: payload.slice(extension..), durable_upto }))
    }

    /// The header at `at`, wherever it was written for.
    fn read_header(&self, at: Position) -> io::Result<Result<FrameHeader, String>> {
        if at.plus(HEADER_LEN as u64) > self.bytes_end() {
            return Ok(Err("no room for a frame".to_owned()));
        }
        let bytes = self.copy(at, HEADER_LEN as u64)?;
        let header = FrameHeader::decode(bytes[..].try_into().expect("64 bytes were read"));
        Ok(header.map_err(|error| error.to_string()))
    }

    /// The first place from `from` on for which `found` gives something, among those where a frame's magic stands.
    fn search<T>(
        &self,
        from: Position,
        mut found: impl FnMut(Position) -> io::Result<Option<T>>,
    ) -> io::Result<Option<T>> {
        let data_end = self.base.plus(self.file.data_end()?).min(self.bytes_end());
        let mut at = from;
        while at < data_end {
            let bytes = self.copy(at, (data_end.0 - at.0).min(CHUNK))?;
            for (index, word) in bytes.chunks(8).enumerate() {
                if word.starts_with(&MAGIC)
                    && let Some(found) = found(at.plus(index as u64 * ALIGNMENT))?
                {
                    return Ok(Some(found));
                }
            }
            at = at.plus(bytes.len() as u64);
        }
        Ok(None)
    }

    fn first_frame(&self) -> Position {
        self.base.plus(FILE_HEADER_LEN)
    }

    /// The file's header says nothing: frames that stand in their place do. Every use of a file gives it other positions.
    fn newest_incarnation(&self) -> io::Result<Option<u32>> {
        let mut newest = None;
        self.search(self.first_frame(), |at| {
            if let Ok(header) = self.read_header(at)?
                && header.position == at
            {
                newest = newest.max(Some(header.incarnation));
            }
            Ok(None::<()>)
        })?;
        Ok(newest)
    }

    /// Shows `visit` every valid frame but blank ones, and every place between them where there should be one. Returns where the
    /// last frame ends and what follows it.
    ///
    /// # Errors
    /// `Io`, and what `visit` returns.
    pub(super) fn walk<E: From<Error>>(
        &self,
        mut visit: impl FnMut(Piece) -> Result<(), E>,
    ) -> Result<(Position, Rest), E> {
        let mut at = self.first_frame();
        loop {
            if at == self.end() {
                return Ok((at, Rest::Sealed { blank: false }));
            }
            match self.frame(at)? {
                Ok(whole) if whole.header.kind == FrameKind::Blank => {
                    return Ok((self.end(), Rest::Sealed { blank: true }));
                }
                Ok(whole) => {
                    let end = at.plus(u64::from(whole.header.length));
                    visit(Piece::Frame(whole))?;
                    at = end;
                }
                Err((why, header)) => {
                    let valid = |at| Ok(self.read_frame(at)?.is_ok().then_some(at));
                    let next = self.search(at.plus(ALIGNMENT), valid).map_err(|error| self.io(error))?;
                    let Some(to) = next else {
                        let rest = self.rest(at, why, header).map_err(|error| self.io(error))?;
                        return Ok((at, rest));
                    };
                    visit(Piece::Bad(BadPlace { from: at, to, why, header }))?;
                    at = to;
                }
            }
        }
    }

    /// Judges what stands at `at`, behind which no valid frame follows.
    fn rest(&self, at: Position, why: String, header: Option<FrameHeader>) -> io::Result<Rest> {
        let torn = |why, to| Ok(Rest::Torn(BadPlace { from: at, to, why, header }));
        if self.file.len() < self.size {
            return torn("the file ends early".to_owned(), self.end());
        }
        let (last_byte, ours) = (self.last_byte(at)?, self.looks_ours(at)?);
        if header.is_some() || ours {
            return torn(why, last_byte.unwrap_or(at.plus(HEADER_LEN as u64)));
        }
        let Some(to) = last_byte else { return Ok(Rest::Empty) };
        // A file that was used before is full of frames that were written for other places.
        let left_over = |at| Ok(self.read_header(at)?.is_ok().then_some(()));
        match self.search(at, left_over)? {
            Some(()) => Ok(Rest::Empty),
            None => torn("bytes that are no frame".to_owned(), to),
        }
    }

    /// Whether a damaged header at `at` was written for this place: two of its three marks are right.
    fn looks_ours(&self, at: Position) -> io::Result<bool> {
        if at.plus(HEADER_LEN as u64) > self.bytes_end() {
            return Ok(false);
        }
        let bytes = self.copy(at, HEADER_LEN as u64)?;
        let incarnation = self.incarnation.map(u32::to_be_bytes);
        let marks = [
            bytes[..4] == MAGIC,
            bytes[8..16] == at.0.to_be_bytes(),
            incarnation.is_some_and(|incarnation| bytes[16..20] == incarnation),
        ];
        Ok(marks.into_iter().filter(|mark| *mark).count() >= 2)
    }

    /// Behind the last byte from `from` on that is not zero.
    fn last_byte(&self, from: Position) -> io::Result<Option<Position>> {
        let data_end = self.base.plus(self.file.data_end()?).min(self.bytes_end());
        let (mut last, mut at) = (None, from);
        while at < data_end {
            let bytes = self.copy(at, (data_end.0 - at.0).min(CHUNK))?;
            let found = bytes.iter().rposition(|byte| *byte != 0);
            last = found.map(|index| at.plus(index as u64 + 1)).or(last);
            at = at.plus(bytes.len() as u64);
        }
        Ok(last)
    }
}
