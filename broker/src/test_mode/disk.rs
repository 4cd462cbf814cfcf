//! A disk that is slow or full when a test says so, over the one that the log would have.
//!
//! Put between log and disk by `Broker::open_with` in test mode, steered by `POST /test/slow-disk` and `/test/disk-full`.
//! Invariants: it refuses only what a full disk refuses, a new file, and never what was taken already; without word from a test
//! everything passes through.

use std::io::{self, IoSlice};
use std::path::Path;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Weak};
use std::time::Duration;

use bytes::Bytes;
use storage::disk::{DirLock, Disk, DiskFile, Room};

/// What tests say.
#[derive(Debug, Default)]
pub(crate) struct DiskFaults {
    sync_ms: AtomicU64,
    is_full: AtomicBool,
}

impl DiskFaults {
    /// Every sync takes this much longer.
    pub(crate) fn slow_down(&self, sync_ms: u64) {
        self.sync_ms.store(sync_ms, Ordering::Release);
    }

    /// No more room, or as much as there is.
    pub(super) fn fill(&self, is_full: bool) {
        self.is_full.store(is_full, Ordering::Release);
    }

    /// Whether a test says so.
    pub(super) fn is_full(&self) -> bool {
        self.is_full.load(Ordering::Acquire)
    }

    fn wait(&self) {
        let ms = self.sync_ms.load(Ordering::Acquire);
        if ms > 0 {
            std::thread::sleep(Duration::from_millis(ms));
        }
    }
}

/// See the module.
#[derive(Debug)]
pub(crate) struct FaultyDisk {
    pub(crate) inner: Arc<dyn Disk>,
    pub(crate) faults: Arc<DiskFaults>,
}

impl FaultyDisk {
    fn file(&self, inner: Arc<dyn DiskFile>) -> Arc<dyn DiskFile> {
        Arc::new(FaultyFile { inner, faults: Arc::clone(&self.faults) })
    }
}

impl Disk for FaultyDisk {
    fn create_dir_all(&self, path: &Path) -> io::Result<()> {
        self.inner.create_dir_all(path)
    }

    fn list(&self, dir: &Path) -> io::Result<Vec<String>> {
        self.inner.list(dir)
    }

    fn create(&self, path: &Path, len: u64) -> io::Result<Arc<dyn DiskFile>> {
        if self.faults.is_full() {
            return Err(io::Error::new(io::ErrorKind::StorageFull, "a test says that the disk is full"));
        }
        Ok(self.file(self.inner.create(path, len)?))
    }

    fn open(&self, path: &Path) -> io::Result<Arc<dyn DiskFile>> {
        Ok(self.file(self.inner.open(path)?))
    }

    fn rename(&self, from: &Path, to: &Path) -> io::Result<()> {
        self.inner.rename(from, to)
    }

    fn remove(&self, path: &Path) -> io::Result<()> {
        self.inner.remove(path)
    }

    fn sync_dir(&self, dir: &Path) -> io::Result<()> {
        self.inner.sync_dir(dir)
    }

    fn room(&self, dir: &Path) -> io::Result<Room> {
        let room = self.inner.room(dir)?;
        Ok(if self.faults.is_full() { Room { free: 0, ..room } } else { room })
    }

    fn try_lock(&self, path: &Path, contents: &str) -> io::Result<Option<DirLock>> {
        self.inner.try_lock(path, contents)
    }
}

#[derive(Debug)]
struct FaultyFile {
    inner: Arc<dyn DiskFile>,
    faults: Arc<DiskFaults>,
}

impl DiskFile for FaultyFile {
    fn len(&self) -> u64 {
        self.inner.len()
    }

    fn write_all_at(&self, slices: &mut [IoSlice<'_>], at: u64) -> io::Result<()> {
        self.inner.write_all_at(slices, at)
    }

    fn read(&self, at: u64, len: usize) -> io::Result<Bytes> {
        self.inner.read(at, len)
    }

    fn copy(&self, at: u64, len: usize) -> io::Result<Bytes> {
        self.inner.copy(at, len)
    }

    fn is_resident(&self, at: u64, len: u64) -> bool {
        self.inner.is_resident(at, len)
    }

    fn read_ahead(&self, at: u64, len: u64) {
        self.inner.read_ahead(at, len);
    }

    fn release(&self, at: u64, len: u64) {
        self.inner.release(at, len);
    }

    fn data_end(&self) -> io::Result<u64> {
        self.inner.data_end()
    }

    fn sync(&self) -> io::Result<()> {
        self.faults.wait();
        self.inner.sync()
    }

    fn readers(&self) -> Weak<()> {
        self.inner.readers()
    }

    fn zero(&self, at: u64, len: u64) -> io::Result<()> {
        self.inner.zero(at, len)
    }
}
