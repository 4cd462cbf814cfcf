//! The one place with `unsafe`: a file mapped read-only, and the question which of its pages are in memory.
#![expect(unsafe_code, reason = "no safe wrapper exists for these calls; the proof is beside each")]

use std::fs::File;
use std::io;
use std::os::fd::AsRawFd;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

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

/// `cachestat(2)`, Linux 6.5; later calls have the same number on every architecture that has Rust's standard library.
const SYS_CACHESTAT: libc::c_long = 451;

#[repr(C)]
struct CachestatRange {
    offset: u64,
    length: u64,
}

#[repr(C)]
#[derive(Default)]
struct Cachestat {
    cached: u64,
    dirty: u64,
    writeback: u64,
    evicted: u64,
    recently_evicted: u64,
}

/// Whether all pages of the range are in the page cache; also true when the system does not tell. `map` is the whole
/// file's. A page that is just being read may count as there.
pub(super) fn is_cached(file: &File, map: &[u8], at: u64, len: u64) -> bool {
    static HAS_CACHESTAT: AtomicBool = AtomicBool::new(true);
    let page = rustix::param::page_size() as u64;
    let end = at.saturating_add(len).min(map.len() as u64);
    if at >= end {
        return true;
    }
    let (start, pages) = (at / page * page, end.div_ceil(page) - at / page);
    if HAS_CACHESTAT.load(Ordering::Relaxed) {
        match cached_pages(file, start, pages * page) {
            Some(cached) if cached >= pages => return true,
            // It may have looked in the wrong place (overlayfs); the slower call asks by the map.
            Some(_) => {}
            // Not there, or forbidden by a sandbox: it will not come back.
            None => HAS_CACHESTAT.store(false, Ordering::Relaxed),
        }
    }
    let range = usize::try_from(start).ok().zip(usize::try_from(end).ok());
    range.and_then(|(start, end)| map.get(start..end)).is_none_or(are_pages_in_core)
}

fn cached_pages(file: &File, offset: u64, length: u64) -> Option<u64> {
    let (range, mut found) = (CachestatRange { offset, length }, Cachestat::default());
    // SAFETY: the descriptor is open while `file` is borrowed; the kernel reads 16 bytes at the first pointer and writes
    // 40 at the second, which are the sizes of these two structs.
    let result =
        unsafe { libc::syscall(SYS_CACHESTAT, file.as_raw_fd(), &raw const range, &raw mut found, 0_u32) };
    (result == 0).then_some(found.cached)
}

/// `range` begins at a page of a map.
fn are_pages_in_core(range: &[u8]) -> bool {
    let mut pages = vec![0_u8; range.len().div_ceil(rustix::param::page_size())];
    // SAFETY: the range is mapped while it is borrowed and starts at a page; the kernel writes one byte for each page that
    // it touches, which is how many `pages` has.
    let result = unsafe { libc::mincore(range.as_ptr().cast_mut().cast(), range.len(), pages.as_mut_ptr()) };
    result != 0 || pages.iter().all(|page| page & 1 == 1)
}

#[cfg(test)]
mod tests {
    use super::*;
    use rustix::fs::{Advice, fadvise};
    use std::os::unix::fs::FileExt;

    const LEN: usize = 1 << 20;

    #[test]
    fn both_calls_tell_cold_pages_from_those_that_were_read() {
        // Beside the program: the directory for temporary files may be memory, where nothing is ever cold.
        let program = std::env::current_exe().unwrap();
        let file = tempfile::tempfile_in(program.parent().unwrap()).unwrap();
        file.write_all_at(&vec![7; LEN], 0).unwrap();
        file.sync_all().unwrap();
        let map = map_read_only(&file, LEN, Arc::default()).unwrap();
        let page = rustix::param::page_size();
        let in_core =
            |pages: std::ops::Range<usize>| are_pages_in_core(&map[pages.start * page..pages.end * page]);
        assert!(in_core(0..2) && is_cached(&file, &map, 0, LEN as u64));
        fadvise(&file, 0, None, Advice::DontNeed).unwrap();
        assert!(!in_core(0..1) && !is_cached(&file, &map, 0, 1), "the pages were given up");
        // Random: no more than the page that is read.
        fadvise(&file, 0, None, Advice::Random).unwrap();
        file.read_exact_at(&mut [0], (2 * page) as u64).unwrap();
        assert!(in_core(2..3) && !in_core(1..2) && !in_core(2..4));
        let cached = |at: usize, len: usize| is_cached(&file, &map, at as u64, len as u64);
        assert!(cached(2 * page + 1, page - 1) && !cached(2 * page - 1, 2) && !cached(2 * page, page + 1));
        if let Some(pages) = cached_pages(&file, 0, LEN as u64) {
            assert_eq!(pages, 1);
        }
        assert!(cached(LEN, 1) && cached(0, 0), "what is not there need not be read");
    }
}
