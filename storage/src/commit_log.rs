//! The shared log: an ordered set of [`MappedFile`]s, one byte address space over all of them.
//!
//! Called by `store` and `recovery`; knows frames, but not what they mean. Invariants: `synced <= written`; bytes below
//! `written` never change; every write and sync passes the poison latch.

mod writer;

use std::collections::BTreeMap;
use std::io;
use std::path::PathBuf;
use std::sync::atomic::{AtomicU32, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, RwLock};

use bytes::Bytes;

use crate::disk::Disk;
use crate::error::Error;
use crate::frame::payload_at;
use crate::mapped_file::{FILE_HEADER_LEN, MappedFile};
use crate::poison::Poison;
use crate::position::Position;

pub(crate) use writer::{Draft, LogWriter};

/// All files of the log.
#[derive(Debug)]
pub(crate) struct CommitLog {
    disk: Arc<dyn Disk>,
    dir: PathBuf,
    file_size: u64,
    files: RwLock<BTreeMap<u64, Arc<MappedFile>>>,
    /// The file after the last one, created ahead so that rolling costs nothing in the append lock.
    prepared: Mutex<Option<Arc<MappedFile>>>,
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

    fn publish_written(&self, end: Position) {
        self.written.store(end.0, Ordering::Release);
    }
}
