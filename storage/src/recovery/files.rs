//! The commitlog files as a start finds them.

use std::collections::BTreeMap;
use std::io;
use std::path::PathBuf;
use std::sync::Arc;

use bytes::Bytes;

use crate::checkpoint::Checkpoint;
use crate::disk::Disk;
use crate::error::Error;
use crate::mapped_file::{FILE_HEADER_LEN, FileHeaderError, MappedFile};
use crate::position::Position;

use super::missing;

/// Read at a time when a file is searched for what is left in it.
const CHUNK: u64 = 1024 * 1024;

/// All files in order, without gaps.
pub(super) struct LogFiles {
    dir: PathBuf,
    size: u64,
    files: BTreeMap<u64, Arc<MappedFile>>,
    /// Where each file's data ends, by its base.
    data_ends: BTreeMap<u64, Position>,
    /// Files that belong to no log any more.
    leftovers: Vec<PathBuf>,
}

impl LogFiles {
    /// Opens what is there and changes nothing. Spare files, files below `begin`, and a last file whose header never
    /// became durable belong to no log: `remove_behind` removes them.
    pub(super) fn open(disk: &dyn Disk, dir: PathBuf, size: u64, begin: Position) -> Result<Self, Error> {
        let names = disk.list(&dir).map_err(|error| Error::io("list", &dir, error))?;
        let mut leftovers: Vec<PathBuf> =
            names.iter().filter(|name| name.ends_with(".spare")).map(|name| dir.join(name)).collect();
        let mut bases: Vec<u64> =
            names.iter().filter(|name| name.len() == 20).filter_map(|name| name.parse().ok()).collect();
        bases.sort_unstable();
        let given_up = bases.partition_point(|base| *base < begin.0);
        leftovers.extend(bases.drain(..given_up).map(|base| MappedFile::path(&dir, Position(base))));
        let mut files = BTreeMap::new();
        for (index, base) in bases.iter().enumerate() {
            let last = index + 1 == bases.len();
            let path = MappedFile::path(&dir, Position(*base));
            match MappedFile::open(disk, &dir, Position(*base), size) {
                Ok(file) => {
                    files.insert(*base, Arc::new(file));
                }
                Err(error) if last && was_never_used(&error, index, *base) => leftovers.push(path),
                Err(FileHeaderError::Io(error)) => return Err(Error::io("open", path, error)),
                Err(error) => {
                    let position = Position(*base);
                    return Err(Error::Corrupt { file: path, at: 0, position, what: error.to_string() });
                }
            }
        }
        let data_ends = files
            .iter()
            .map(|(base, file): (&u64, &Arc<MappedFile>)| Ok((*base, file.data_end()?)))
            .collect::<io::Result<_>>()
            .map_err(|error| Error::io("look for data in", &dir, error))?;
        let files = Self { dir, size, files, data_ends, leftovers };
        files.check_contiguous()?;
        Ok(files)
    }

    fn check_contiguous(&self) -> Result<(), Error> {
        let mut expected = None;
        for file in self.files.values() {
            if let Some(expected) = expected.filter(|expected| *expected != file.base()) {
                return Err(missing(&self.dir, expected));
            }
            expected = Some(file.end());
        }
        Ok(())
    }

    /// Refuses a directory whose checkpoint speaks of positions that no file holds.
    pub(super) fn check_holds(&self, checkpoint: Option<&Checkpoint>) -> Result<(), Error> {
        let Some(checkpoint) = checkpoint else { return Ok(()) };
        let end = self.files.values().next_back().map_or(Position(0), |file| file.end());
        for position in [checkpoint.begin, checkpoint.position, checkpoint.durable] {
            if self.at(position).is_none() && position != end {
                return Err(missing(&self.dir, Position(position.0 / self.size * self.size)));
            }
        }
        Ok(())
    }

    /// What the snapshot says of the files' live bytes.
    pub(super) fn set_live(&self, live: &[(Position, u64)]) {
        for (base, bytes) in live {
            if let Some(file) = self.files.get(&base.0) {
                file.add_live(*bytes);
            }
        }
    }

    pub(super) fn is_empty(&self) -> bool {
        self.files.is_empty()
    }

    pub(super) fn first_frame(&self) -> Position {
        self.files.values().next().map_or(Position(0), |file| file.base()).plus(FILE_HEADER_LEN)
    }

    pub(super) fn at(&self, position: Position) -> Option<&Arc<MappedFile>> {
        let (_, file) = self.files.range(..=position.0).next_back()?;
        (position < file.end()).then_some(file)
    }

    /// Files from the one that holds `position` on.
    pub(super) fn from(&self, position: Position) -> impl Iterator<Item = &Arc<MappedFile>> {
        self.files.values().filter(move |file| file.end() > position)
    }

    /// The error for a bad frame.
    pub(super) fn corrupt(&self, position: Position, what: String) -> Error {
        let base = Position(position.0 / self.size * self.size);
        Error::Corrupt { file: MappedFile::path(&self.dir, base), at: position.0 - base.0, position, what }
    }

    pub(super) fn io(&self, position: Position, error: io::Error) -> Error {
        Error::io("read", MappedFile::path(&self.dir, Position(position.0 / self.size * self.size)), error)
    }

    /// Removes leftovers and the files behind the log's end, so that no later start can take them for frames. Returns the
    /// bytes that the latter held.
    pub(super) fn remove_behind(&mut self, disk: &dyn Disk, end: Position) -> Result<u64, Error> {
        for path in self.leftovers.drain(..) {
            disk.remove(&path).map_err(|error| Error::io("remove", path, error))?;
        }
        let mut held = 0;
        let behind: Vec<Arc<MappedFile>> =
            self.files.values().filter(|file| file.base() >= end).cloned().collect();
        for file in behind.iter().rev() {
            let start = file.base().plus(FILE_HEADER_LEN);
            held += self.last_nonzero(file, start).map_err(|error| self.io(start, error))?;
            let path = MappedFile::path(&self.dir, file.base());
            disk.remove(&path).map_err(|error| Error::io("remove", path, error))?;
            self.files.remove(&file.base().0);
        }
        if !behind.is_empty() {
            disk.sync_dir(&self.dir).map_err(|error| Error::io("sync", &self.dir, error))?;
        }
        Ok(held)
    }

    /// Makes the rest of the last file zero, durably. Returns how many bytes up to the last one that was not.
    pub(super) fn zero_behind(&self, end: Position) -> Result<u64, Error> {
        let Some(file) = self.at(end) else { return Ok(0) };
        let io = |error| self.io(end, error);
        let held = self.last_nonzero(file, end).map_err(io)?;
        if held > 0 {
            file.zero_from(end).and_then(|()| file.sync()).map_err(io)?;
        }
        Ok(held)
    }

    /// Where the data of `file` ends; behind it all is zero.
    pub(super) fn data_end(&self, file: &MappedFile) -> Position {
        self.data_ends.get(&file.base().0).copied().unwrap_or_else(|| file.end())
    }

    /// Bytes from `start` to the end of the last byte that is not zero.
    fn last_nonzero(&self, file: &MappedFile, start: Position) -> io::Result<u64> {
        let data_end = self.data_end(file);
        let (mut last, mut at) = (start, start);
        while at < data_end {
            let (bytes, next) = chunk(file, at, data_end)?;
            if let Some(found) = bytes.iter().rposition(|byte| *byte != 0) {
                last = at.plus(found as u64 + 1);
            }
            at = next;
        }
        Ok(last.0 - start.0)
    }

    /// What was replayed may be in the page cache only (after a kill): makes it durable before it is built upon.
    pub(super) fn sync_from(&self, start: Position) -> Result<(), Error> {
        for file in self.from(start) {
            file.sync()
                .map_err(|error| Error::io("sync", MappedFile::path(&self.dir, file.base()), error))?;
        }
        Ok(())
    }

    /// Above every incarnation seen here.
    pub(super) fn next_incarnation(&self) -> u32 {
        self.files.values().map(|file| file.incarnation()).max().map_or(1, |newest| newest + 1)
    }

    /// The files and the one that takes the next frame, created when there is none.
    #[expect(clippy::type_complexity, reason = "handed over once, taken apart at once")]
    pub(super) fn finish(
        mut self,
        disk: &dyn Disk,
        end: Position,
        next_incarnation: u32,
    ) -> Result<(BTreeMap<u64, Arc<MappedFile>>, Arc<MappedFile>, u32), Error> {
        if let Some(file) = self.files.values().next_back().filter(|file| end <= file.end()) {
            let file = Arc::clone(file);
            return Ok((self.files, file, next_incarnation));
        }
        let base = self.files.values().next_back().map_or(Position(0), |file| file.end());
        let file = MappedFile::create(disk, &self.dir, base, next_incarnation, self.size)
            .map_err(|error| Error::io("create", MappedFile::path(&self.dir, base), error))?;
        let file = Arc::new(file);
        self.files.insert(base.0, Arc::clone(&file));
        Ok((self.files, file, next_incarnation + 1))
    }
}

/// Whether a last file with this header is one whose creation was cut short. A lone first file with a wrong CRC is not:
/// it may have been used.
fn was_never_used(error: &FileHeaderError, index: usize, base: u64) -> bool {
    match error {
        FileHeaderError::Magic | FileHeaderError::Length { .. } => index > 0 || base == 0,
        FileHeaderError::Crc => index > 0,
        FileHeaderError::Position { .. } | FileHeaderError::Io(_) => false,
    }
}

/// Up to 1 MiB from `at` on but nothing behind `end`, and the position behind it.
pub(super) fn chunk(file: &MappedFile, at: Position, end: Position) -> io::Result<(Bytes, Position)> {
    let len = (end.0 - at.0).min(CHUNK);
    let bytes = file.copy(at, usize::try_from(len).map_err(io::Error::other)?)?;
    Ok((bytes, at.plus(len)))
}
