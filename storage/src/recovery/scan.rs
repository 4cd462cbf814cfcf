//! Walking the log frame by frame, group by group, until the first thing that is not a whole, valid group.

use bytes::Bytes;

use crate::error::Error;
use crate::frame::{ALIGNMENT, EXTENSION_LEN, FrameHeader, FrameKind, HEADER_LEN, MAGIC};
use crate::mapped_file::{FILE_HEADER_LEN, MappedFile};
use crate::position::Position;

use super::files::{LogFiles, chunk};

type Frame = (FrameHeader, Bytes);

/// The device is asked for this much at a time, ahead of the walk, bytes.
const AHEAD: u64 = 4 << 20;

/// A walk from one position to the end of the log.
pub(super) struct Scan {
    /// Start of the group that comes next.
    at: Position,
    /// Proven durable: by the checkpoint, or by what frames said when they were written.
    durable: Position,
    /// Why the walk ended.
    stopped: Option<String>,
    /// The last frame was a blank one: the next file was there, durably, before it was written.
    expects_file: bool,
    /// The device was asked for what lies below.
    asked: Position,
}

impl Scan {
    pub(super) fn new(start: Position, durable: Position) -> Self {
        Self { at: start, durable, stopped: None, expects_file: false, asked: start }
    }

    /// Where the log ends, once `next_group` gave `None`.
    pub(super) fn end(&self) -> Position {
        self.at
    }

    /// The next whole group. `None` at the first thing that is none.
    pub(super) fn next_group(&mut self, files: &LogFiles) -> Result<Option<Vec<Frame>>, Error> {
        let mut group: Vec<Frame> = Vec::new();
        let mut at = self.at;
        loop {
            let Some(file) = files.at_or_behind(at) else {
                if self.expects_file {
                    return Err(files.no_successor(at));
                }
                self.stopped = Some("the log ends with its last file".to_owned());
                return Ok(None);
            };
            self.expects_file = false;
            if at <= file.base() {
                at = file.base().plus(FILE_HEADER_LEN);
                if group.is_empty() {
                    self.at = at;
                }
            }
            self.read_ahead(file, at);
            let (header, payload) = match read_frame(file, at) {
                Ok(Ok(frame)) => frame,
                Ok(Err(reason)) => {
                    self.stopped = Some(reason);
                    return Ok(None);
                }
                Err(error) => return Err(files.io(at, error)),
            };
            let end = at.plus(u64::from(header.length));
            if header.kind == FrameKind::Blank && group.is_empty() {
                if end != file.end() {
                    self.stopped = Some("a blank frame does not end with its file".to_owned());
                    return Ok(None);
                }
                (self.at, at) = (end, end);
                self.expects_file = true;
                continue;
            }
            let misplaced = header.kind == FrameKind::Blank || header.first != group.is_empty();
            let expected = group.last().map(|(last, _)| last.remainder - 1);
            if misplaced || expected.is_some_and(|expected| expected != header.remainder) {
                self.stopped = Some("a group of frames is not complete".to_owned());
                return Ok(None);
            }
            let complete = header.remainder == 0;
            group.push((header, payload));
            at = end;
            if complete {
                self.at = at;
                self.durable = self.durable.max(durable_upto(&group[0]));
                for (header, payload) in &mut group {
                    if header.first {
                        *payload = payload.slice(EXTENSION_LEN..);
                    }
                }
                return Ok(Some(group));
            }
        }
    }

    /// Keeps the device at work on what comes behind `at` in its file.
    fn read_ahead(&mut self, file: &MappedFile, at: Position) {
        let end = at.plus(2 * AHEAD).min(file.end());
        if self.asked < at.plus(AHEAD).min(file.end()) {
            file.read_ahead(&(self.asked.max(at)..end));
            self.asked = end;
        }
    }

    /// After the walk: a bad frame at or above what was durable is a torn tail; below, it is damage. Frames behind it
    /// are searched for what they say about that: unsynced pages reach a disk in any order.
    ///
    /// # Errors
    /// `Corrupt`, naming file and position.
    pub(super) fn check_torn(&self, files: &LogFiles) -> Result<(), Error> {
        let mut durable = self.durable;
        for file in files.from(self.at) {
            let start = self.at.max(file.base().plus(FILE_HEADER_LEN));
            durable = durable.max(probe(files, file, start)?);
        }
        if durable <= self.at {
            return Ok(());
        }
        let reason = self.stopped.as_deref().unwrap_or("it ends here");
        let what = format!(
            "{reason}, but the log was durable up to position {durable}; nothing was changed. Put the file back from \
             a backup"
        );
        Err(files.corrupt(self.at, what))
    }
}

/// The highest `durable_upto` of any valid frame from `start` on.
fn probe(files: &LogFiles, file: &MappedFile, start: Position) -> Result<Position, Error> {
    let mut durable = Position(0);
    let io = |error| files.io(start, error);
    let data_end = files.data_end(file);
    // `next` is where the next frame may stand, behind the last one found.
    let (mut at, mut next) = (start, start);
    while at < data_end {
        let (bytes, behind) = chunk(file, at, data_end).map_err(io)?;
        let words = bytes.chunks(8).enumerate().filter(|(_, word)| word.starts_with(&MAGIC));
        for (index, _) in words {
            let here = at.plus(index as u64 * ALIGNMENT);
            if here >= next
                && let Ok(frame) = read_frame(file, here).map_err(io)?
            {
                durable = durable.max(durable_upto(&frame));
                next = here.plus(u64::from(frame.0.length));
            }
        }
        at = behind;
    }
    Ok(durable)
}

/// A valid frame and its extension and payload, or why there is none.
fn read_frame(file: &MappedFile, at: Position) -> std::io::Result<Result<Frame, String>> {
    let room = file.end().0 - at.0;
    if room < HEADER_LEN as u64 {
        return Ok(Err("no room for a frame".to_owned()));
    }
    let bytes = file.copy(at, HEADER_LEN)?;
    let header = match FrameHeader::decode(bytes[..].try_into().expect("64 bytes were read")) {
        Ok(header) => header,
        Err(error) => return Ok(Err(error.to_string())),
    };
    if !header.stands_at(at, file.incarnation()) {
        return Ok(Err("the frame belongs to another place or an earlier use of the file".to_owned()));
    }
    if u64::from(header.length) > room {
        return Ok(Err("the frame is longer than the file".to_owned()));
    }
    let extension = if header.first { EXTENSION_LEN } else { 0 };
    let len = extension + usize::try_from(header.payload_len).expect("32 bits fit");
    let payload = file.copy(at.plus(HEADER_LEN as u64), len)?;
    if crc32c::crc32c(&payload) != header.payload_crc {
        return Ok(Err("payload CRC does not match".to_owned()));
    }
    Ok(Ok((header, payload)))
}

fn durable_upto(frame: &Frame) -> Position {
    let (header, payload) = frame;
    let extension = payload.first_chunk::<EXTENSION_LEN>().filter(|_| header.first);
    extension.map_or(Position(0), |bytes| Position(u64::from_be_bytes(*bytes)))
}
