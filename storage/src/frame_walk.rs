//! Walking the frames of one file whose end is known: a sealed append file, or a rewrite file.
//!
//! Called by `rewrite`, `index_file` and `recovery`. Headers are checked (CRC, place, incarnation), payloads are left unread.
//! Unlike recovery's own walk it knows that everything below `upto` must be whole: anything else is damage.

use bytes::Bytes;

use crate::error::Error;
use crate::frame::{FrameHeader, FrameKind, HEADER_LEN};
use crate::mapped_file::{FILE_HEADER_LEN, MappedFile};
use crate::position::Position;

/// Read at once where frames are small, bytes.
const WINDOW: u64 = 128 * 1024;

/// Calls `visit` with every frame of `file` that lies below `upto`, blank ones left out, in the order of the file.
///
/// # Errors
/// `Corrupt` where a frame should stand and none does, `Io`, and what `visit` returns.
pub(crate) fn each_frame(
    file: &MappedFile,
    upto: Position,
    mut visit: impl FnMut(&FrameHeader) -> Result<(), Error>,
) -> Result<(), Error> {
    let end = upto.min(file.end());
    let mut at = file.base().plus(FILE_HEADER_LEN);
    let mut window = Window { at, bytes: Bytes::new(), next_len: WINDOW };
    while at < end {
        let header = window.header(file, at)?;
        if header.kind == FrameKind::Blank {
            return Ok(());
        }
        visit(&header)?;
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
        if at.0 + HEADER_LEN as u64 > self.at.0 + self.bytes.len() as u64 {
            let len = usize::try_from(self.next_len.min(room)).expect("a window fits memory");
            self.bytes = file.copy(at, len).map_err(|source| Error::io("read", file.file_name(), source))?;
            self.at = at;
        }
        let start = usize::try_from(at.0 - self.at.0).expect("a window fits memory");
        let header = decode(file, at, &self.bytes[start..start + HEADER_LEN])?;
        // Of large frames the headers alone are read.
        self.next_len = if u64::from(header.length) < WINDOW / 8 { WINDOW } else { HEADER_LEN as u64 };
        Ok(header)
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
