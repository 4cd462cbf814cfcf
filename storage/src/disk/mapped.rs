//! The one place with `unsafe`: a file mapped read-only.
#![expect(unsafe_code, reason = "mapping a file is unsafe by nature; the proof is beside the call")]

use std::fs::File;
use std::io;
use std::sync::Arc;

use bytes::Bytes;
use memmap2::{Mmap, MmapOptions};

/// A map and a token that lives as long.
struct SharedMap {
    map: Mmap,
    _alive: Arc<()>,
}

impl AsRef<[u8]> for SharedMap {
    fn as_ref(&self) -> &[u8] {
        &self.map
    }
}

/// The whole file as shared, read-only memory. The map and `alive` live as long as any slice of it.
pub(super) fn map_read_only(file: &File, len: usize, alive: Arc<()>) -> io::Result<Bytes> {
    if len == 0 {
        return Ok(Bytes::new());
    }
    // SAFETY: the directory lock keeps other processes out, and this crate never shortens a file it has open, so the
    // pages stay mapped. Bytes change only by our own `pwritev`; the log hands out slices only below the written
    // position, which is never written again while a slice of the file lives.
    let map = unsafe { MmapOptions::new().len(len).map(file) }?;
    Ok(Bytes::from_owner(SharedMap { map, _alive: alive }))
}
