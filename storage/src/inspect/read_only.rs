//! A disk that refuses every change: proof that an inspection leaves the directory as it is.

use std::io::{self, IoSlice};
use std::path::Path;
use std::sync::{Arc, Weak};

use bytes::Bytes;

use crate::disk::{DirLock, Disk, DiskFile, Room};

/// Reads pass through, everything else is `PermissionDenied`.
#[derive(Debug)]
pub(super) struct ReadOnly(Arc<dyn Disk>);

#[derive(Debug)]
struct ReadOnlyFile(Arc<dyn DiskFile>);

impl ReadOnly {
    pub(super) fn over(disk: Arc<dyn Disk>) -> Arc<dyn Disk> {
        Arc::new(Self(disk))
    }
}

fn refused<T>() -> io::Result<T> {
    Err(io::ErrorKind::PermissionDenied.into())
}

impl Disk for ReadOnly {
    fn create_dir_all(&self, _path: &Path) -> io::Result<()> {
        refused()
    }

    fn list(&self, dir: &Path) -> io::Result<Vec<String>> {
        self.0.list(dir)
    }

    fn create(&self, _path: &Path, _len: u64) -> io::Result<Arc<dyn DiskFile>> {
        refused()
    }

    fn open(&self, path: &Path) -> io::Result<Arc<dyn DiskFile>> {
        Ok(Arc::new(ReadOnlyFile(self.0.open(path)?)))
    }

    fn rename(&self, _from: &Path, _to: &Path) -> io::Result<()> {
        refused()
    }

    fn remove(&self, _path: &Path) -> io::Result<()> {
        refused()
    }

    fn sync_dir(&self, _dir: &Path) -> io::Result<()> {
        refused()
    }

    fn room(&self, dir: &Path) -> io::Result<Room> {
        self.0.room(dir)
    }

    fn try_lock(&self, _path: &Path, _contents: &str) -> io::Result<Option<DirLock>> {
        refused()
    }
}

impl DiskFile for ReadOnlyFile {
    fn len(&self) -> u64 {
        self.0.len()
    }

    fn write_all_at(&self, _slices: &mut [IoSlice<'_>], _at: u64) -> io::Result<()> {
        refused()
    }

    fn read(&self, at: u64, len: usize) -> io::Result<Bytes> {
        self.0.read(at, len)
    }

    fn copy(&self, at: u64, len: usize) -> io::Result<Bytes> {
        self.0.copy(at, len)
    }

    fn data_end(&self) -> io::Result<u64> {
        self.0.data_end()
    }

    fn sync(&self) -> io::Result<()> {
        refused()
    }

    fn readers(&self) -> Weak<()> {
        self.0.readers()
    }

    fn zero(&self, _at: u64, _len: u64) -> io::Result<()> {
        refused()
    }
}
