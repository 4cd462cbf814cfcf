//! Walking the frames of one file whose end is known: a sealed append file, or a rewrite file.
//!
//! Called by `rewrite`, `index_file` and `recovery`. Headers are checked (CRC, place, incarnation); of payloads no more than
//! a batch's own header is read.
//! Unlike recovery's own walk it knows that everything below `upto` must be whole: anything else is damage.

use bytes::Bytes;
use protocol::record_batch;

use crate::error::Error;
use crate::frame::{EXTENSION_LEN, FrameHeader, FrameKind, HEADER_LEN, payload_at};
use crate::mapped_file::{FILE_HEADER_LEN, MappedFile};
use crate::position::Position;

/// Read at once where frames are small, bytes.
const WINDOW: u64 = 64 * 1024;
/// Read of a large frame, bytes: with it the header of its batch.
const HEAD: u64 = (HEADER_LEN + EXTENSION_LEN + record_batch::HEADER_LEN) as u64;

/// Calls `visit` with every frame of `file` that lies below `upto`, blank ones left out, in the order of the file, and with
/// the first bytes of its payload: as many as the header of a batch has, or all.
///
/// # Errors
/// `Corrupt` where a frame should stand and none does, `Io`, and what `visit` returns.
pub(crate) fn each_frame(
    file: &MappedFile,
    upto: Position,
    mut visit: impl FnMut(&FrameHeader, &[u8]) -> Result<(), Error>,
) -> Result<(), Error> {
    let end = upto.min(file.end());
    let mut at = file.base().plus(FILE_HEADER_LEN);
    let mut window = Window { at, bytes: Bytes::new(), next_len: WINDOW };
    while at < end {
        let header = window.header(file, at)?;
        if header.kind == FrameKind::Blank {
            return Ok(());
        }
        visit(&header, window.payload_head(&header))?;
        at = at.plus(u64::from(header.length));
    }
    Ok(())
}

/// What was read of the file around the walk: many small frames cost one read.
struct Window {
    at: Position,
    bytes: Bytes,
    /// How much to read next time, bytes.
    next_len: u64,
}

impl Window {
    fn header(&mut self, file: &MappedFile, at: Position) -> Result<FrameHeader, Error> {
        let room = file.end().0 - at.0;
        if room < HEADER_LEN as u64 {
            return Err(corrupt(file, at, "no room for a frame"));
        }
        if at.0 + HEAD.min(room) > self.at.0 + self.bytes.len() as u64 {
            let len = usize::try_from(self.next_len.min(room)).expect("a window fits memory");
            self.bytes = file.copy(at, len).map_err(|source| Error::io("read", file.file_name(), source))?;
            self.at = at;
        }
        let header = decode(file, at, &self.from(at)[..HEADER_LEN])?;
        // Of large frames the heads alone are read: a system call costs as much as copying 4 KiB.
        self.next_len = if u64::from(header.length) < WINDOW / 16 { WINDOW } else { HEAD };
        Ok(header)
    }

    fn payload_head(&self, header: &FrameHeader) -> &[u8] {
        let from = self.from(header.position.plus(payload_at(header.first)));
        let len = record_batch::HEADER_LEN.min(usize::try_from(header.payload_len).unwrap_or(usize::MAX));
        &from[..len.min(from.len())]
    }

    /// What was read from `at` on, which lies in the window.
    fn from(&self, at: Position) -> &[u8] {
        let start = usize::try_from(at.0 - self.at.0).expect("a window fits memory");
        self.bytes.get(start..).unwrap_or_default()
    }
}

fn decode(file: &MappedFile, at: Position, bytes: &[u8]) -> Result<FrameHeader, Error> {
    let header = FrameHeader::decode(bytes.try_into().expect("64 bytes were read"))
        .map_err(|error| corrupt(file, at, &error.to_string()))?;
    if !header.stands_at(at, file.incarnation()) {
        return Err(corrupt(file, at, "the frame belongs to another place or an earlier use of the file"));
    }
    if u64::from(header.length) > file.end().0 - at.0 {
        return Err(corrupt(file, at, "the frame is longer than the file"));
    }
    Ok(header)
}

fn corrupt(file: &MappedFile, at: Position, what: &str) -> Error {
    Error::Corrupt { file: file.file_name(), at: at.0 - file.base().0, position: at, what: what.to_owned() }
}
