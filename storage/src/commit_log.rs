//! The shared log: an ordered set of [`MappedFile`]s, one byte address space over all of them.
//!
//! Called by `store` and `recovery`; knows frames, but not what they mean. Invariants: `synced <= written`; bytes below
//! `written` never change; every write and sync passes the poison latch.

mod writer;

use std::collections::BTreeMap;
use std::io;
use std::path::PathBuf;
use std::sync::atomic::{AtomicU32, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, RwLock, Weak};

use bytes::Bytes;

use crate::consume_queue::Entry;
use crate::disk::Disk;
use crate::error::Error;
use crate::frame::payload_at;
use crate::mapped_file::{FILE_HEADER_LEN, MappedFile};
use crate::poison::Poison;
use crate::position::Position;

pub(crate) use writer::{Draft, LogWriter};

/// Retired files kept to be recycled.
const SPARE_FILES: usize = 2;

/// A file given up: its name, and who may still read it.
#[derive(Debug)]
struct Retired {
    base: Position,
    readers: Weak<()>,
}

/// All files of the log.
#[derive(Debug)]
pub(crate) struct CommitLog {
    disk: Arc<dyn Disk>,
    dir: PathBuf,
    file_size: u64,
    files: RwLock<BTreeMap<u64, Arc<MappedFile>>>,
    /// The file after the last one, created ahead so that rolling costs nothing in the append lock.
    prepared: Mutex<Option<Arc<MappedFile>>>,
    /// Files given up, until nobody reads them and they are recycled or removed.
    retired: Mutex<Vec<Retired>>,
    next_incarnation: AtomicU32,
    written: AtomicU64,
    synced: AtomicU64,
    poison: Poison,
}

impl CommitLog {
    /// Over files that `recovery` found or made; `written` and `synced` start at `end`.
    pub(crate) fn new(
        disk: Arc<dyn Disk>,
        dir: PathBuf,
        file_size: u64,
        files: BTreeMap<u64, Arc<MappedFile>>,
        end: Position,
        next_incarnation: u32,
    ) -> Self {
        Self {
            disk,
            dir,
            file_size,
            files: RwLock::new(files),
            prepared: Mutex::new(None),
            retired: Mutex::default(),
            next_incarnation: AtomicU32::new(next_incarnation),
            written: AtomicU64::new(end.0),
            synced: AtomicU64::new(end.0),
            poison: Poison::default(),
        }
    }

    pub(crate) fn poison(&self) -> &Poison {
        &self.poison
    }

    /// First position that holds nothing yet.
    pub(crate) fn written(&self) -> Position {
        Position(self.written.load(Ordering::Acquire))
    }

    /// Everything below is on stable storage.
    pub(crate) fn synced(&self) -> Position {
        Position(self.synced.load(Ordering::Acquire))
    }

    /// Largest payload a frame can carry, bytes.
    pub(crate) fn max_payload(&self) -> usize {
        let room = self.file_size.saturating_sub(FILE_HEADER_LEN + payload_at(true) + payload_at(false));
        usize::try_from(room).unwrap_or(usize::MAX)
    }

    pub(crate) fn file_size(&self) -> u64 {
        self.file_size
    }

    /// Where the log begins.
    pub(crate) fn begin(&self) -> Position {
        let files = self.files.read().expect("no panic under this lock");
        files.values().next().map_or(Position(0), |file| file.base())
    }

    /// How many files the log has, the prepared one not counted.
    pub(crate) fn file_count(&self) -> usize {
        self.files.read().expect("no panic under this lock").len()
    }

    pub(crate) fn next_incarnation(&self) -> u32 {
        self.next_incarnation.load(Ordering::Relaxed)
    }

    /// The file that holds `position`.
    pub(crate) fn file_at(&self, position: Position) -> Option<Arc<MappedFile>> {
        let files = self.files.read().expect("no panic under this lock");
        let (_, file) = files.range(..=position.0).next_back()?;
        (position < file.end()).then(|| Arc::clone(file))
    }

    /// Bytes of the log as they are on disk.
    pub(crate) fn read(&self, position: Position, len: usize) -> Result<Bytes, Error> {
        let file = self.file_at(position).ok_or_else(|| Error::Corrupt {
            file: MappedFile::path(&self.dir, position),
            at: 0,
            position,
            what: "no commitlog file holds this position".to_owned(),
        })?;
        file.read(position, len)
            .map_err(|source| Error::io("read", MappedFile::path(&self.dir, file.base()), source))
    }

    /// Syncs everything written up to now and returns the position that is durable then.
    ///
    /// # Errors
    /// The first failure poisons the log.
    pub(crate) fn sync(&self) -> Result<Position, Error> {
        self.poison.check()?;
        let target = self.written();
        let from = self.synced();
        if from < target {
            let files: Vec<Arc<MappedFile>> = {
                let files = self.files.read().expect("no panic under this lock");
                files.values().filter(|file| file.end() > from && file.base() < target).cloned().collect()
            };
            for file in files {
                self.poison.guard("sync the commitlog", file.sync())?;
            }
            self.synced.fetch_max(target.0, Ordering::AcqRel);
        }
        Ok(self.synced())
    }

    /// Creates the file after the last one unless it is there. Called by housekeeping, or in need by the writer.
    ///
    /// # Errors
    /// `Full` when the disk has no room for it; the log stays usable.
    pub(crate) fn prepare_next(&self) -> Result<(), Error> {
        let mut prepared = self.prepared.lock().expect("no panic under this lock");
        if prepared.is_none() {
            let base = {
                let files = self.files.read().expect("no panic under this lock");
                files.values().next_back().map_or(Position(0), |last| last.end())
            };
            *prepared = Some(Arc::new(self.create_file(base)?));
        }
        Ok(())
    }

    fn create_file(&self, base: Position) -> Result<MappedFile, Error> {
        let incarnation = self.next_incarnation.fetch_add(1, Ordering::Relaxed);
        if let Some(retired) = self.take_unread() {
            return MappedFile::recycle(&*self.disk, &self.dir, retired.base, base, incarnation)
                .map_err(|source| Error::io("recycle", MappedFile::path(&self.dir, retired.base), source));
        }
        MappedFile::create(&*self.disk, &self.dir, base, incarnation, self.file_size).map_err(|source| {
            match source.kind() {
                io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded => Error::Full(source.to_string()),
                _ => Error::io("create", MappedFile::path(&self.dir, base), source),
            }
        })
    }

    /// Makes the prepared file the last one.
    fn take_next(&self) -> Result<Arc<MappedFile>, Error> {
        self.prepare_next()?;
        let next = self.prepared.lock().expect("no panic under this lock").take();
        let next = next.expect("prepared above; only the writer, which holds the append lock, takes it");
        self.files.write().expect("no panic under this lock").insert(next.base().0, Arc::clone(&next));
        Ok(next)
    }

    /// Bytes of each file that some partition still has.
    pub(crate) fn live(&self) -> Vec<(Position, u64)> {
        let files = self.files.read().expect("no panic under this lock");
        files.values().map(|file| (file.base(), file.live())).collect()
    }

    /// A batch that no partition has any more.
    pub(crate) fn remove_live(&self, entry: &Entry) {
        if let Some(file) = self.file_at(entry.position) {
            file.remove_live(u64::from(entry.size));
        }
    }

    /// End of the files at the log's beginning that no partition needs; the last file is never among them.
    pub(crate) fn dead_upto(&self) -> Option<Position> {
        let files = self.files.read().expect("no panic under this lock");
        let sealed = files.values().take(files.len().saturating_sub(1));
        sealed.take_while(|file| file.live() == 0).last().map(|file| file.end())
    }

    /// Gives up the files below `end`. A durable checkpoint already says that the log begins there.
    pub(crate) fn retire(&self, end: Position) -> Result<(), Error> {
        let given_up: Vec<Retired> = {
            let mut files = self.files.write().expect("no panic under this lock");
            let kept = files.split_off(&end.0);
            let given_up = std::mem::replace(&mut *files, kept);
            given_up.values().map(|file| Retired { base: file.base(), readers: file.readers() }).collect()
        };
        for file in given_up {
            let (path, spare) =
                (MappedFile::path(&self.dir, file.base), MappedFile::spare_path(&self.dir, file.base));
            self.disk.rename(&path, &spare).map_err(|source| Error::io("rename", path, source))?;
            self.retired.lock().expect("no panic under this lock").push(file);
        }
        self.disk.sync_dir(&self.dir).map_err(|source| Error::io("sync", &self.dir, source))?;
        self.remove_surplus()
    }

    /// Removes retired files that nobody reads, but for a few kept to be recycled.
    pub(crate) fn remove_surplus(&self) -> Result<(), Error> {
        while self.retired.lock().expect("no panic under this lock").len() > SPARE_FILES {
            let Some(retired) = self.take_unread() else { return Ok(()) };
            let path = MappedFile::spare_path(&self.dir, retired.base);
            self.disk.remove(&path).map_err(|source| Error::io("remove", path, source))?;
        }
        Ok(())
    }

    fn take_unread(&self) -> Option<Retired> {
        let mut retired = self.retired.lock().expect("no panic under this lock");
        let at = retired.iter().position(|file| file.readers.strong_count() == 0)?;
        Some(retired.swap_remove(at))
    }

    fn publish_written(&self, end: Position) {
        self.written.store(end.0, Ordering::Release);
    }
}
