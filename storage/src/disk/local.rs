//! The machine's file system: `fallocate`, `pwritev`, `fdatasync`, a read-only map per file.

use std::fs::{self, File, OpenOptions, TryLockError};
use std::io::{self, IoSlice, Write};
use std::num::NonZeroU64;
use std::os::unix::fs::FileExt;
use std::path::Path;
use std::sync::{Arc, Weak};

use bytes::Bytes;
use rustix::fs::{Advice, FallocateFlags, SeekFrom};

use super::mapped::{is_cached, map_read_only};
use super::{DirLock, Disk, DiskFile, Room};

/// Slices one `pwritev` takes at most (`IOV_MAX`).
const MAX_SLICES: usize = 1024;
/// Asked for at a time: the kernel reads at most one read-ahead window (128 KiB unless configured) per call.
const READ_AHEAD_CHUNK: u64 = 128 * 1024;
/// Copied at a time, then others have the processor: whoever wakes meanwhile waits for the end of a piece, where the system
/// would let it wait a millisecond or more, whatever the priorities.
const COPY_PIECE: usize = 256 * 1024;
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

    fn room(&self, dir: &Path) -> io::Result<Room> {
        let disk = rustix::fs::statvfs(dir)?;
        Ok(Room {
            free: disk.f_bavail.saturating_mul(disk.f_frsize),
            total: disk.f_blocks.saturating_mul(disk.f_frsize),
        })
    }

    fn try_lock(&self, path: &Path, contents: &str) -> io::Result<Option<DirLock>> {
        let mut file = OpenOptions::new().read(true).write(true).create(true).truncate(false).open(path)?;
        match file.try_lock() {
            Ok(()) => {}
            Err(TryLockError::WouldBlock) => return Ok(None),
            Err(TryLockError::Error(error)) => return Err(error),
        }
        file.set_len(0)?;
        match file.write_all(contents.as_bytes()) {
            // The lock is what counts; a full disk has no block for who holds it.
            Err(error) if error.kind() == io::ErrorKind::StorageFull => {}
            written => written?,
        }
        Ok(Some(Box::new(Locked(file))))
    }
}

/// Unlocks by itself: closing the file would not while a process that is being started from this one has a copy of it.
struct Locked(File);

impl Drop for Locked {
    fn drop(&mut self) {
        if let Err(error) = self.0.unlock() {
            tracing::warn!(%error, "a directory was not unlocked; it is when this process ends");
        }
    }
}

impl LocalFile {
    #[expect(clippy::new_ret_no_self, reason = "callers only ever want the trait object")]
    fn new(file: File, len: u64) -> io::Result<Arc<dyn DiskFile>> {
        // Reads take what they ask for. The system's own read-ahead is of any size (8 MiB here), and leaves marks on pages: who
        // comes upon one, be it a core that reads the map, has the device go on from there.
        let _more_is_read_without = rustix::fs::fadvise(&file, 0, None, Advice::Random);
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
        if at.checked_add(len as u64).is_none_or(|end| end > self.len()) {
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
        let mut bytes = vec![0; len];
        let mut from = at;
        // The device is asked for one piece after the other: whoever writes meanwhile does not wait behind much.
        for piece in bytes.chunks_mut(COPY_PIECE) {
            if from > at {
                std::thread::yield_now();
            }
            self.file.read_exact_at(piece, from)?;
            from += piece.len() as u64;
        }
        Ok(bytes.into())
    }

    fn is_resident(&self, at: u64, len: u64) -> bool {
        is_cached(&self.file, &self.map, at, len)
    }

    fn read_ahead(&self, mut at: u64, len: u64) {
        let end = at.saturating_add(len).min(self.len());
        while at < end {
            let chunk = NonZeroU64::new((end - at).min(READ_AHEAD_CHUNK));
            // Advice that is not taken costs time and nothing else.
            let _slower_without = rustix::fs::fadvise(&self.file, at, chunk, Advice::WillNeed);
            std::thread::yield_now();
            at += READ_AHEAD_CHUNK;
        }
    }

    fn release(&self, at: u64, len: u64) {
        if let Some(len) = NonZeroU64::new(len) {
            let _stays_cached_without = rustix::fs::fadvise(&self.file, at, Some(len), Advice::DontNeed);
        }
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
