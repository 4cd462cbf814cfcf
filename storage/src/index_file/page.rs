//! Pages of an index file: 4092 bytes of content, then their CRC. What is read of an index file is read in whole pages.
//!
//! Called by the rest of `index_file`. Invariant: no byte of a page is looked at before its CRC was.

use bytes::Bytes;

use crate::disk::DiskFile;

/// Length of a page, bytes.
pub(crate) const PAGE_LEN: usize = 4096;
/// Bytes of a page before its CRC.
pub(super) const ROOM: usize = PAGE_LEN - 4;

/// Appends one page with `content`, at most [`ROOM`] bytes, to `out`.
pub(super) fn put_page(out: &mut Vec<u8>, content: &[u8]) {
    debug_assert!(content.len() <= ROOM, "callers fill pages only so far");
    let start = out.len();
    out.extend_from_slice(content);
    out.resize(start + ROOM, 0);
    let crc = crc32c::crc32c(&out[start..]);
    out.extend_from_slice(&crc.to_be_bytes());
}

/// Appends as many pages as `items`, all of the same length, need. None crosses a page's end.
pub(super) fn put_items<const N: usize>(out: &mut Vec<u8>, items: impl Iterator<Item = [u8; N]>) {
    let mut content = Vec::with_capacity(ROOM);
    for item in items {
        if content.len() + N > ROOM {
            put_page(out, &content);
            content.clear();
        }
        content.extend_from_slice(&item);
    }
    if !content.is_empty() {
        put_page(out, &content);
    }
}

/// Pages that `count` items of `item_len` bytes take.
pub(super) fn pages_for(count: u64, item_len: usize) -> u64 {
    count.div_ceil((ROOM / item_len) as u64)
}

/// The content of page `number`.
///
/// # Errors
/// A sentence: it cannot be read, or its CRC does not match.
pub(super) fn read_page(file: &dyn DiskFile, number: u64) -> Result<Bytes, String> {
    let page = file.copy(number * PAGE_LEN as u64, PAGE_LEN).map_err(|error| error.to_string())?;
    let (content, crc) = page.split_at(ROOM);
    if crc32c::crc32c(content).to_be_bytes() != crc {
        return Err("page CRC does not match".to_owned());
    }
    Ok(page.slice(..ROOM))
}

/// Seven bits a byte, low ones first; the top bit says that more follow.
pub(super) fn put_varint(out: &mut Vec<u8>, mut value: u64) {
    loop {
        let [.., low] = (value & 0x7f).to_be_bytes();
        value >>= 7;
        if value == 0 {
            out.push(low);
            return;
        }
        out.push(low | 0x80);
    }
}

/// Takes a varint off the front of `bytes`; `None` when it ends early or has more than 64 bits.
pub(super) fn take_varint(bytes: &mut &[u8]) -> Option<u64> {
    let mut value = 0_u64;
    for shift in (0..64).step_by(7) {
        let (&byte, rest) = bytes.split_first()?;
        *bytes = rest;
        let bits = u64::from(byte & 0x7f);
        if shift == 63 && bits > 1 {
            return None;
        }
        value |= bits << shift;
        if byte & 0x80 == 0 {
            return Some(value);
        }
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn varints_come_back_and_cut_or_overlong_ones_do_not() {
        for value in [0, 1, 127, 128, 0xff_ffff_ffff, u64::MAX] {
            let mut out = Vec::new();
            put_varint(&mut out, value);
            assert_eq!(take_varint(&mut &out[..]), Some(value));
            assert_eq!(take_varint(&mut &out[..out.len() - 1]), None);
        }
        assert_eq!(take_varint(&mut &[0xff; 11][..]), None);
    }

    #[test]
    fn items_never_cross_a_page() {
        let mut out = Vec::new();
        put_items(&mut out, (0..148_u8).map(|index| [index; 56]));
        assert_eq!(out.len(), 3 * PAGE_LEN);
        assert_eq!(pages_for(148, 56), 3);
        assert_eq!(out[PAGE_LEN], 73);
    }
}
