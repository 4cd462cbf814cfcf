//! The machine's file system: `fallocate`, `pwritev`, `fdatasync`, a read-only map per file.

use std::fs::{self, File, OpenOptions, TryLockError};
use std::io::{self, IoSlice, Write};
use std::os::unix::fs::FileExt;
use std::path::Path;
use std::sync::{Arc, Weak};

use bytes::Bytes;
use rustix::fs::{FallocateFlags, SeekFrom};

use super::mapped::map_read_only;
use super::{DirLock, Disk, DiskFile};

/// Slices one `pwritev` takes at most (`IOV_MAX`).
const MAX_SLICES: usize = 1024;
static ZEROES: [u8; 64 * 1024] = [0; 64 * 1024];

/// The machine's file system.
#[derive(Debug, Clone, Copy, Default)]
pub struct LocalDisk;

#[derive(Debug)]
struct LocalFile {
    file: File,
    map: Bytes,
    readers: Weak<()>,
}

impl Disk for LocalDisk {
    fn create_dir_all(&self, path: &Path) -> io::Result<()> {
        fs::create_dir_all(path)
    }

    fn list(&self, dir: &Path) -> io::Result<Vec<String>> {
        fs::read_dir(dir)?.map(|entry| Ok(entry?.file_name().to_string_lossy().into_owned())).collect()
    }

    fn create(&self, path: &Path, len: u64) -> io::Result<Arc<dyn DiskFile>> {
        let file = OpenOptions::new().read(true).write(true).create(true).truncate(true).open(path)?;
        if let Err(error) = allocate(&file, len) {
            drop(file);
            fs::remove_file(path)?;
            return Err(error);
        }
        LocalFile::new(file, len)
    }

    fn open(&self, path: &Path) -> io::Result<Arc<dyn DiskFile>> {
        let file = OpenOptions::new().read(true).write(true).open(path)?;
        let len = file.metadata()?.len();
        LocalFile::new(file, len)
    }

    fn rename(&self, from: &Path, to: &Path) -> io::Result<()> {
        fs::rename(from, to)
    }

    fn remove(&self, path: &Path) -> io::Result<()> {
        fs::remove_file(path)
    }

    fn sync_dir(&self, dir: &Path) -> io::Result<()> {
        File::open(dir)?.sync_all()
    }

    fn try_lock(&self, path: &Path, contents: &str) -> io::Result<Option<DirLock>> {
        let mut file = OpenOptions::new().read(true).write(true).create(true).truncate(false).open(path)?;
        match file.try_lock() {
            Ok(()) => {}
            Err(TryLockError::WouldBlock) => return Ok(None),
            Err(TryLockError::Error(error)) => return Err(error),
        }
        file.set_len(0)?;
        file.write_all(contents.as_bytes())?;
        Ok(Some(Box::new(file)))
    }
}

impl LocalFile {
    #[expect(clippy::new_ret_no_self, reason = "callers only ever want the trait object")]
    fn new(file: File, len: u64) -> io::Result<Arc<dyn DiskFile>> {
        let alive = Arc::new(());
        let readers = Arc::downgrade(&alive);
        let map = map_read_only(&file, usize::try_from(len).map_err(io::Error::other)?, alive)?;
        Ok(Arc::new(Self { file, map, readers }))
    }
}

impl DiskFile for LocalFile {
    fn len(&self) -> u64 {
        self.map.len() as u64
    }

    fn write_all_at(&self, slices: &mut [IoSlice<'_>], mut at: u64) -> io::Result<()> {
        let mut rest = slices;
        while !rest.is_empty() {
            let batch = &rest[..rest.len().min(MAX_SLICES)];
            let written = match rustix::io::pwritev(&self.file, batch, at) {
                Ok(0) if batch.iter().any(|slice| !slice.is_empty()) => {
                    return Err(io::ErrorKind::WriteZero.into());
                }
                Ok(written) => written,
                Err(rustix::io::Errno::INTR) => continue,
                Err(error) => return Err(error.into()),
            };
            at += written as u64;
            IoSlice::advance_slices(&mut rest, written);
        }
        Ok(())
    }

    fn read(&self, at: u64, len: usize) -> io::Result<Bytes> {
        let start = usize::try_from(at).map_err(io::Error::other)?;
        match start.checked_add(len) {
            Some(end) if end <= self.map.len() => Ok(self.map.slice(start..end)),
            _ => Err(io::ErrorKind::UnexpectedEof.into()),
        }
    }

    fn copy(&self, at: u64, len: usize) -> io::Result<Bytes> {
        let mut bytes = vec![0; len];
        self.file.read_exact_at(&mut bytes, at)?;
        Ok(bytes.into())
    }

    fn data_end(&self) -> io::Result<u64> {
        let seek = |from| match rustix::fs::seek(&self.file, from) {
            Ok(found) => Ok(Some(found)),
            Err(rustix::io::Errno::NXIO) => Ok(None),
            // A file system that does not know: everything may be data.
            Err(rustix::io::Errno::INVAL | rustix::io::Errno::OPNOTSUPP) => Ok(Some(self.len())),
            Err(error) => Err(io::Error::from(error)),
        };
        let mut end = 0;
        while let Some(data) = seek(SeekFrom::Data(end))?.filter(|data| *data < self.len()) {
            end = seek(SeekFrom::Hole(data))?.unwrap_or_else(|| self.len());
        }
        Ok(end)
    }

    fn readers(&self) -> Weak<()> {
        self.readers.clone()
    }

    fn sync(&self) -> io::Result<()> {
        self.file.sync_data()
    }

    fn zero(&self, at: u64, len: u64) -> io::Result<()> {
        if len == 0 || rustix::fs::fallocate(&self.file, FallocateFlags::ZERO_RANGE, at, len).is_ok() {
            return Ok(());
        }
        write_zeroes(&self.file, at, len)
    }
}

/// Reserves the blocks. Where the file system cannot, zeroes are written: a sparse file would fail later, at a write.
fn allocate(file: &File, len: u64) -> io::Result<()> {
    if len == 0 {
        return Ok(());
    }
    match rustix::fs::fallocate(file, FallocateFlags::empty(), 0, len) {
        Ok(()) => Ok(()),
        Err(rustix::io::Errno::OPNOTSUPP | rustix::io::Errno::NOSYS) => write_zeroes(file, 0, len),
        Err(error) => Err(error.into()),
    }
}

fn write_zeroes(file: &File, mut at: u64, len: u64) -> io::Result<()> {
    let end = at + len;
    while at < end {
        let chunk = usize::try_from(end - at).map_or(ZEROES.len(), |left| left.min(ZEROES.len()));
        file.write_all_at(&ZEROES[..chunk], at)?;
        at += chunk as u64;
    }
    Ok(())
}
