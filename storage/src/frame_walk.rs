//! Walking the frames of one file whose end is known: a sealed append file, or a rewrite file.
//!
//! Called by `rewrite`, `index_file` and `recovery`. Headers are checked (CRC, place, incarnation), payloads are left unread.
//! Unlike recovery's own walk it knows that everything below `upto` must be whole: anything else is damage.

use crate::error::Error;
use crate::frame::{FrameHeader, FrameKind, HEADER_LEN};
use crate::mapped_file::{FILE_HEADER_LEN, MappedFile};
use crate::position::Position;

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
    while at < end {
        let header = read_header(file, at)?;
        if header.kind == FrameKind::Blank {
            return Ok(());
        }
        visit(&header)?;
        at = at.plus(u64::from(header.length));
    }
    Ok(())
}

/// The header of the frame that stands at `at`.
///
/// # Errors
/// `Corrupt` when none does, `Io`.
pub(crate) fn read_header(file: &MappedFile, at: Position) -> Result<FrameHeader, Error> {
    let corrupt = |what: &str| Error::Corrupt {
        file: file.file_name(),
        at: at.0 - file.base().0,
        position: at,
        what: what.to_owned(),
    };
    if file.end().0 - at.0 < HEADER_LEN as u64 {
        return Err(corrupt("no room for a frame"));
    }
    let bytes = file.copy(at, HEADER_LEN).map_err(|source| Error::io("read", file.file_name(), source))?;
    let header = FrameHeader::decode(bytes[..].try_into().expect("64 bytes were read"))
        .map_err(|error| corrupt(&error.to_string()))?;
    if !header.stands_at(at, file.incarnation()) {
        return Err(corrupt("the frame belongs to another place or an earlier use of the file"));
    }
    if u64::from(header.length) > file.end().0 - at.0 {
        return Err(corrupt("the frame is longer than the file"));
    }
    Ok(header)
}
