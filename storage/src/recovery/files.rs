//! The commitlog files as a start finds them.

use std::collections::{BTreeMap, BTreeSet};
use std::io;
use std::path::PathBuf;
use std::sync::Arc;

use bytes::Bytes;

use crate::checkpoint::Checkpoint;
use crate::commit_log::Files;
use crate::consume_queue::Entry;
use crate::disk::Disk;
use crate::error::Error;
use crate::frame::FrameHeader;
use crate::manifest::{FileRecord, Manifest};
use crate::mapped_file::{FILE_HEADER_LEN, FileHeaderError, MappedFile};
use crate::position::Position;

use super::missing;

/// Read at a time when a file is searched for what is left in it.
const CHUNK: u64 = 1024 * 1024;

/// The files of the log, and those that may turn out not to be of it.
pub(super) struct LogFiles {
    dir: PathBuf,
    size: u64,
    files: Files,
    /// Rewrite files that nothing named so far.
    unnamed: BTreeSet<Position>,
    /// Where each append file's data ends, by its base.
    data_ends: BTreeMap<u64, Position>,
    /// Files that belong to no log any more.
    leftovers: Vec<PathBuf>,
    /// The last file, when its header never became durable, and what is wrong with it.
    never_used: Option<(Position, FileHeaderError)>,
}

/// What a usable snapshot says: the files that the log had, their live bytes, and up to where that holds.
pub(super) struct Listed<'a> {
    pub(super) files: &'a [(FileRecord, u64)],
    pub(super) position: Position,
}

impl LogFiles {
    /// Opens what is there and changes nothing. Spare files, files that the snapshot does without or that lie below `begin`,
    /// and a last file whose header never became durable belong to no log: `remove_behind` removes them.
    ///
    /// # Errors
    /// `Corrupt` for a file that is not what it should be, or not there.
    pub(super) fn open(
        disk: &dyn Disk,
        dir: PathBuf,
        size: u64,
        begin: Position,
        listed: Option<&Listed<'_>>,
    ) -> Result<Self, Error> {
        let names = disk.list(&dir).map_err(|error| Error::io("list", &dir, error))?;
        let spares =
            names.iter().filter(|name| name.ends_with(".spare")).map(|name| dir.join(name)).collect();
        let numbered = names.iter().filter(|name| name.len() == 20).filter_map(|name| name.parse().ok());
        // Nothing of ours lies so far out.
        let numbered = numbered.filter(|base| *base < 1 << 63);
        let (unnamed, appended): (BTreeSet<_>, BTreeSet<_>) =
            numbered.map(Position).partition(|base: &Position| base.is_rewritten());
        let (files, data_ends) = (Files::default(), BTreeMap::new());
        let mut found = Self { dir, size, files, unnamed, data_ends, leftovers: spares, never_used: None };
        let is_listed = |base| listed.is_none_or(|listed| listed.has(base) || base >= listed.position);
        let bases: Vec<Position> = appended
            .into_iter()
            .filter(|base| {
                let kept = *base >= begin && is_listed(*base);
                if !kept {
                    found.leftovers.push(MappedFile::path(&found.dir, *base));
                }
                kept
            })
            .collect();
        for (index, base) in bases.iter().enumerate() {
            found.open_appended(disk, *base, index > 0, index + 1 == bases.len())?;
        }
        if let Some(listed) = listed {
            found.take_listed(disk, listed)?;
        }
        Ok(found)
    }

    fn open_appended(
        &mut self,
        disk: &dyn Disk,
        base: Position,
        follows: bool,
        last: bool,
    ) -> Result<(), Error> {
        match MappedFile::open(disk, &self.dir, base, self.size) {
            Ok(file) => {
                let data_end = file
                    .data_end()
                    .map_err(|error| Error::io("look for data in", file.file_name(), error))?;
                self.data_ends.insert(base.0, data_end);
                self.files.appended.insert(base.0, Arc::new(file));
                Ok(())
            }
            Err(error) if last && was_never_used(&error, follows, base) => {
                self.leftovers.push(MappedFile::path(&self.dir, base));
                self.never_used = Some((base, error));
                Ok(())
            }
            Err(error) => Err(self.unusable(base, error)),
        }
    }

    /// The log goes on in a file at `base` that is not there, or whose header is damaged.
    pub(super) fn no_successor(&self, base: Position) -> Error {
        match &self.never_used {
            Some((found, error)) if *found == base => {
                let what = format!("{error}; the log goes on here. Put the file back from a backup");
                Error::Corrupt { file: MappedFile::path(&self.dir, base), at: 0, position: base, what }
            }
            _ => missing(&self.dir, base),
        }
    }

    fn unusable(&self, base: Position, error: FileHeaderError) -> Error {
        let file = MappedFile::path(&self.dir, base);
        match error {
            FileHeaderError::Io(error) if error.kind() == io::ErrorKind::NotFound => missing(&self.dir, base),
            FileHeaderError::Io(error) => Error::io("open", file, error),
            error => Error::Corrupt { file, at: 0, position: base, what: error.to_string() },
        }
    }

    /// The files of the snapshot must be there, as they were.
    fn take_listed(&mut self, disk: &dyn Disk, listed: &Listed<'_>) -> Result<(), Error> {
        for (record, live) in listed.files {
            let file = if record.base.is_rewritten() {
                self.open_rewritten(disk, record)?
            } else {
                let file = self.files.appended.get(&record.base.0).map(Arc::clone);
                file.ok_or_else(|| missing(&self.dir, record.base))?
            };
            if file.record() != *record {
                let what = "the file was used for something else since the last checkpoint".to_owned();
                return Err(Error::Corrupt { file: file.file_name(), at: 0, position: record.base, what });
            }
            file.add_live(*live);
        }
        let mut expected = None;
        for file in self.from(listed.position) {
            if let Some(expected) = expected.filter(|expected| *expected != file.base()) {
                return Err(missing(&self.dir, expected));
            }
            expected = Some(file.end());
        }
        Ok(())
    }

    fn open_rewritten(&mut self, disk: &dyn Disk, record: &FileRecord) -> Result<Arc<MappedFile>, Error> {
        let file = MappedFile::open(disk, &self.dir, record.base, self.size)
            .map_err(|error| self.unusable(record.base, error))?;
        let file = Arc::new(file);
        if file.record() != *record {
            let what = "this is another file than the log says".to_owned();
            return Err(Error::Corrupt { file: file.file_name(), at: 0, position: record.base, what });
        }
        self.unnamed.remove(&record.base);
        self.files.rewritten.insert(record.base.0, Arc::clone(&file));
        Ok(file)
    }

    /// Opens the rewrite files that a frame names and that were not part of the log before; returns these.
    ///
    /// # Errors
    /// `Corrupt` when one is missing or another than the frame says.
    pub(super) fn take_rewritten(
        &mut self,
        disk: &dyn Disk,
        manifest: &Manifest,
    ) -> Result<Vec<Arc<MappedFile>>, Error> {
        let known = |record: &&FileRecord| self.files.rewritten.contains_key(&record.base.0);
        let new: Vec<&FileRecord> = manifest.rewritten.iter().filter(|record| !known(record)).collect();
        new.into_iter().map(|record| self.open_rewritten(disk, record)).collect()
    }

    /// Drops the files that a frame gives up.
    pub(super) fn give_up(&mut self, manifest: &Manifest) {
        let named = |base: u64| manifest.rewritten.iter().any(|record| record.base.0 == base);
        let dropped: Vec<Position> = self
            .files
            .all()
            .map(|file| file.base())
            .filter(|base| if base.is_rewritten() { !named(base.0) } else { manifest.gives_up(*base) })
            .collect();
        for base in dropped {
            self.files.remove(base);
            self.leftovers.push(MappedFile::path(&self.dir, base));
        }
    }

    /// Refuses a log with files missing that no frame gave up.
    ///
    /// # Errors
    /// `Corrupt`, naming the first one.
    pub(super) fn check_gaps(&self, manifest: &Manifest) -> Result<(), Error> {
        for (from, upto) in self.files.holes() {
            let mut base = from;
            while base < upto {
                if !manifest.gives_up(base) {
                    return Err(missing(&self.dir, base));
                }
                base = base.plus(self.size);
            }
        }
        Ok(())
    }

    /// Refuses a directory whose checkpoint speaks of positions that no file holds.
    pub(super) fn check_holds(&self, checkpoint: Option<&Checkpoint>) -> Result<(), Error> {
        let Some(checkpoint) = checkpoint else { return Ok(()) };
        let last = self.files.appended.values().next_back();
        let end = last.ok_or_else(|| missing(&self.dir, checkpoint.begin))?.end();
        for position in [checkpoint.begin, checkpoint.position, checkpoint.durable] {
            if self.at(position).is_none() && position != end {
                return Err(missing(&self.dir, Position(position.0 / self.size * self.size)));
            }
        }
        Ok(())
    }

    /// A batch that no partition has any more.
    pub(super) fn remove_live(&self, entry: &Entry) {
        if let Some(file) = self.at(entry.position) {
            file.remove_live(entry.frame_len());
        }
    }

    /// A batch that its partition has.
    pub(super) fn add_live(&self, header: &FrameHeader) {
        if let Some(file) = self.at(header.position) {
            file.add_live(u64::from(header.length));
        }
    }

    pub(super) fn is_empty(&self) -> bool {
        self.files.appended.is_empty()
    }

    pub(super) fn first_frame(&self) -> Position {
        self.files.appended.values().next().map_or(Position(0), |file| file.base()).plus(FILE_HEADER_LEN)
    }

    pub(super) fn at(&self, position: Position) -> Option<&Arc<MappedFile>> {
        self.files.at(position)
    }

    /// The append file that holds `position`, or the first one behind it when that was given up.
    pub(super) fn at_or_behind(&self, position: Position) -> Option<&Arc<MappedFile>> {
        self.from(position).next()
    }

    /// Append files from the one that holds `position` on.
    pub(super) fn from(&self, position: Position) -> impl Iterator<Item = &Arc<MappedFile>> {
        self.files.appended.values().filter(move |file| file.end() > position)
    }

    /// The error for a bad frame.
    pub(super) fn corrupt(&self, position: Position, what: String) -> Error {
        let base = self.at(position).map_or(Position(position.0 / self.size * self.size), |file| file.base());
        Error::Corrupt { file: MappedFile::path(&self.dir, base), at: position.0 - base.0, position, what }
    }

    pub(super) fn io(&self, position: Position, error: io::Error) -> Error {
        Error::io("read", MappedFile::path(&self.dir, Position(position.0 / self.size * self.size)), error)
    }

    /// Removes leftovers and the files behind the log's end, so that no later start can take them for frames. Returns the
    /// bytes that the latter held.
    pub(super) fn remove_behind(&mut self, disk: &dyn Disk, end: Position) -> Result<u64, Error> {
        let unnamed = std::mem::take(&mut self.unnamed);
        self.leftovers.extend(unnamed.into_iter().map(|base| MappedFile::path(&self.dir, base)));
        for path in self.leftovers.drain(..) {
            disk.remove(&path).map_err(|error| Error::io("remove", path, error))?;
        }
        let mut held = 0;
        let behind: Vec<Arc<MappedFile>> =
            self.files.appended.values().filter(|file| file.base() >= end).cloned().collect();
        for file in behind.iter().rev() {
            let start = file.base().plus(FILE_HEADER_LEN);
            held += self.last_nonzero(file, start).map_err(|error| self.io(start, error))?;
            let path = MappedFile::path(&self.dir, file.base());
            disk.remove(&path).map_err(|error| Error::io("remove", path, error))?;
            self.files.remove(file.base());
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
        self.files.all().map(|file| file.incarnation()).max().map_or(1, |newest| newest + 1)
    }

    /// The files and the one that takes the next frame, created when there is none.
    pub(super) fn finish(
        mut self,
        disk: &dyn Disk,
        end: Position,
        next_incarnation: u32,
    ) -> Result<(Files, Arc<MappedFile>, u32), Error> {
        if let Some(file) = self.files.appended.values().next_back().filter(|file| end <= file.end()) {
            let file = Arc::clone(file);
            return Ok((self.files, file, next_incarnation));
        }
        let base = self.files.appended.values().next_back().map_or(Position(0), |file| file.end());
        let file = MappedFile::create(disk, &self.dir, base, next_incarnation, self.size)
            .map_err(|error| Error::io("create", MappedFile::path(&self.dir, base), error))?;
        let file = Arc::new(file);
        self.files.appended.insert(base.0, Arc::clone(&file));
        Ok((self.files, file, next_incarnation + 1))
    }
}

impl Listed<'_> {
    fn has(&self, base: Position) -> bool {
        self.files.iter().any(|(record, _)| record.base == base)
    }
}

/// Whether a last file with this header is one whose creation was cut short. A lone first file with a wrong CRC is not:
/// it may have been used.
fn was_never_used(error: &FileHeaderError, follows: bool, base: Position) -> bool {
    match error {
        FileHeaderError::Magic | FileHeaderError::Length { .. } => follows || base.0 == 0,
        FileHeaderError::Crc => follows,
        FileHeaderError::Position { .. } | FileHeaderError::Size { .. } | FileHeaderError::Io(_) => false,
    }
}

/// Up to 1 MiB from `at` on but nothing behind `end`, and the position behind it.
pub(super) fn chunk(file: &MappedFile, at: Position, end: Position) -> io::Result<(Bytes, Position)> {
    let len = (end.0 - at.0).min(CHUNK);
    let bytes = file.copy(at, usize::try_from(len).map_err(io::Error::other)?)?;
    Ok((bytes, at.plus(len)))
}
