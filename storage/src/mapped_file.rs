//! One file of the commitlog: a 4 KiB header, then frames up to its fixed size.
//!
//! Called by `commit_log`. Invariant: a file's header says which positions it holds and which incarnation (use) of the
//! file this is, so frames left over from an earlier use never validate.

use std::io::{self, IoSlice};
use std::ops::Range;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Weak};

use bytes::Bytes;
use thiserror::Error;

use crate::disk::{Disk, DiskFile};
use crate::manifest::FileRecord;
use crate::position::Position;

/// Bytes before the first frame.
pub(crate) const FILE_HEADER_LEN: u64 = 4096;
/// "OLOG" and format version 1.
const MAGIC: u64 = 0x4f4c_4f47_0000_0001;
const USED: usize = 48;
/// Where in the header it says what the file is for, and what it says of a rewrite file.
const PURPOSE_AT: usize = 28;
const REWRITTEN: u8 = 1;
/// Positions of rewrite files start here: append files never get so far.
const FIRST_REWRITTEN: u64 = 1 << 62;

/// Where rewrite file number `index` begins, in a log of files of `file_size` bytes.
pub(crate) fn rewritten_base(index: u64, file_size: u64) -> Position {
    Position(FIRST_REWRITTEN + index * file_size)
}

/// The number of the rewrite file that begins at `base`.
pub(crate) fn rewritten_index(base: Position, file_size: u64) -> u64 {
    (base.0 - FIRST_REWRITTEN) / file_size
}

impl Position {
    /// Whether it lies in a rewrite file.
    pub(crate) fn is_rewritten(self) -> bool {
        self.0 >= FIRST_REWRITTEN
    }
}

/// Why a file is not a commitlog file.
#[derive(Debug, Error)]
pub(crate) enum FileHeaderError {
    #[error("no commitlog header")]
    Magic,
    #[error("header CRC does not match")]
    Crc,
    #[error("header says position {found}, the file name says {named}")]
    Position { found: u64, named: u64 },
    #[error("file has {found} bytes, expected {expected}")]
    Length { found: u64, expected: u64 },
    #[error("header says {found} bytes, the format file {expected}")]
    Size { found: u64, expected: u64 },
    #[error(transparent)]
    Io(#[from] io::Error),
}

/// An open commitlog file.
#[derive(Debug)]
pub(crate) struct MappedFile {
    base: Position,
    incarnation: u32,
    path: PathBuf,
    file: Arc<dyn DiskFile>,
    /// Bytes of batches that some partition still has.
    live: AtomicU64,
}

impl MappedFile {
    /// 20 digits, so that names sort as positions do.
    pub(crate) fn path(dir: &Path, base: Position) -> PathBuf {
        dir.join(format!("{:020}", base.0))
    }

    /// What a file is called once it is given up: no start takes it for a part of the log.
    pub(crate) fn spare_path(dir: &Path, base: Position) -> PathBuf {
        dir.join(format!("{:020}.spare", base.0))
    }

    /// Allocates the file and makes its header and its name durable.
    pub(crate) fn create(
        disk: &dyn Disk,
        dir: &Path,
        base: Position,
        incarnation: u32,
        size: u64,
    ) -> io::Result<Self> {
        let file = disk.create(&Self::path(dir, base), size)?;
        let header = encode_header(base, incarnation, size);
        file.write_all_at(&mut [IoSlice::new(&header)], 0)?;
        file.sync()?;
        disk.sync_dir(dir)?;
        Ok(Self::with(dir, base, incarnation, file))
    }

    fn with(dir: &Path, base: Position, incarnation: u32, file: Arc<dyn DiskFile>) -> Self {
        Self { base, incarnation, path: Self::path(dir, base), file, live: AtomicU64::new(0) }
    }

    /// Turns the spare file that was at `old`, which nobody reads any more, into the one for `base`: its blocks are
    /// written and its pages cached, so the next use costs less than a new file. Frames of the earlier use carry an
    /// older incarnation.
    pub(crate) fn recycle(
        disk: &dyn Disk,
        dir: &Path,
        old: Position,
        base: Position,
        incarnation: u32,
    ) -> io::Result<Self> {
        let spare = Self::spare_path(dir, old);
        let file = disk.open(&spare)?;
        let header = encode_header(base, incarnation, file.len());
        file.write_all_at(&mut [IoSlice::new(&header)], 0)?;
        file.sync()?;
        disk.rename(&spare, &Self::path(dir, base))?;
        disk.sync_dir(dir)?;
        Ok(Self::with(dir, base, incarnation, file))
    }

    /// What manifests and snapshots say of it.
    pub(crate) fn record(&self) -> FileRecord {
        FileRecord { base: self.base, len: self.len(), incarnation: self.incarnation }
    }

    /// Bytes on disk.
    pub(crate) fn len(&self) -> u64 {
        self.file.len()
    }

    /// Alive while this or bytes read from it are held.
    pub(crate) fn readers(&self) -> Weak<()> {
        self.file.readers()
    }

    pub(crate) fn live(&self) -> u64 {
        self.live.load(Ordering::Acquire)
    }

    pub(crate) fn add_live(&self, bytes: u64) {
        self.live.fetch_add(bytes, Ordering::AcqRel);
    }

    pub(crate) fn remove_live(&self, bytes: u64) {
        self.live.fetch_sub(bytes, Ordering::AcqRel);
    }

    pub(crate) fn open(
        disk: &dyn Disk,
        dir: &Path,
        base: Position,
        size: u64,
    ) -> Result<Self, FileHeaderError> {
        let file = disk.open(&Self::path(dir, base))?;
        let wrong_length = |expected| FileHeaderError::Length { found: file.len(), expected };
        if base.is_rewritten() {
            if file.len() < FILE_HEADER_LEN || file.len() > size {
                return Err(wrong_length(size));
            }
        } else if file.len() != size {
            return Err(wrong_size(&*file, base, size).unwrap_or_else(|| wrong_length(size)));
        }
        let header = file.copy(0, USED)?;
        let (incarnation, length) = decode_header(&header, base)?;
        if length != file.len() {
            return Err(wrong_length(length));
        }
        Ok(Self::with(dir, base, incarnation, file))
    }

    /// Where the file is, for messages.
    pub(crate) fn file_name(&self) -> PathBuf {
        self.path.clone()
    }

    pub(crate) fn base(&self) -> Position {
        self.base
    }

    pub(crate) fn incarnation(&self) -> u32 {
        self.incarnation
    }

    /// First position after the file.
    pub(crate) fn end(&self) -> Position {
        self.base.plus(self.file.len())
    }

    pub(crate) fn write_at(&self, slices: &mut [IoSlice<'_>], position: Position) -> io::Result<()> {
        self.file.write_all_at(slices, position.0 - self.base.0)
    }

    pub(crate) fn read(&self, position: Position, len: usize) -> io::Result<Bytes> {
        self.file.read(position.0 - self.base.0, len)
    }

    /// As `read`, without mapping what is read once.
    pub(crate) fn copy(&self, position: Position, len: usize) -> io::Result<Bytes> {
        self.file.copy(position.0 - self.base.0, len)
    }

    /// Whether `read` of the range waits for no device.
    pub(crate) fn is_resident(&self, range: &Range<Position>) -> bool {
        self.file.is_resident(range.start.0 - self.base.0, range.end.0 - range.start.0)
    }

    /// Asks the system to have the range in memory soon.
    pub(crate) fn read_ahead(&self, range: &Range<Position>) {
        self.file.read_ahead(range.start.0 - self.base.0, range.end.0 - range.start.0);
    }

    /// Tells the system that the range need not stay in memory.
    pub(crate) fn release(&self, range: &Range<Position>) {
        self.file.release(range.start.0 - self.base.0, range.end.0 - range.start.0);
    }

    /// Behind the last byte that may not be zero. Asked before the file is read: what is read counts as data later.
    pub(crate) fn data_end(&self) -> io::Result<Position> {
        Ok(self.base.plus(self.file.data_end()?))
    }

    pub(crate) fn sync(&self) -> io::Result<()> {
        self.file.sync()
    }

    /// Makes everything from `position` to the end of the file zero.
    pub(crate) fn zero_from(&self, position: Position) -> io::Result<()> {
        self.file.zero(position.0 - self.base.0, self.end().0 - position.0)
    }
}

/// A whole header that disagrees with the format file: no creation that was cut short leaves one.
fn wrong_size(file: &dyn DiskFile, base: Position, expected: u64) -> Option<FileHeaderError> {
    let (_, found) = decode_header(&file.copy(0, USED).ok()?, base).ok()?;
    (found != expected).then_some(FileHeaderError::Size { found, expected })
}

fn encode_header(base: Position, incarnation: u32, size: u64) -> Vec<u8> {
    let mut out = Vec::with_capacity(USED);
    out.extend_from_slice(&MAGIC.to_be_bytes());
    out.extend_from_slice(&base.0.to_be_bytes());
    out.extend_from_slice(&size.to_be_bytes());
    out.extend_from_slice(&incarnation.to_be_bytes());
    out.resize(USED - 4, 0);
    if base.is_rewritten() {
        out[PURPOSE_AT] = REWRITTEN;
    }
    let crc = crc32c::crc32c(&out);
    out.extend_from_slice(&crc.to_be_bytes());
    out
}

/// Incarnation and length.
fn decode_header(bytes: &[u8], named: Position) -> Result<(u32, u64), FileHeaderError> {
    let u64_at = |at: usize| u64::from_be_bytes(bytes[at..at + 8].try_into().expect("8 bytes"));
    let u32_at = |at: usize| u32::from_be_bytes(bytes[at..at + 4].try_into().expect("4 bytes"));
    if u64_at(0) != MAGIC {
        return Err(FileHeaderError::Magic);
    }
    if crc32c::crc32c(&bytes[..USED - 4]) != u32_at(USED - 4) {
        return Err(FileHeaderError::Crc);
    }
    if u64_at(8) != named.0 {
        return Err(FileHeaderError::Position { found: u64_at(8), named: named.0 });
    }
    Ok((u32_at(24), u64_at(16)))
}
