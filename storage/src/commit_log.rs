//! The shared log: an ordered set of [`MappedFile`]s, one byte address space over all of them.
//!
//! Called by `store` and `recovery`; knows frames, but not what they mean. Invariants: `synced <= written`; bytes below
//! `written` never change; every write and sync passes the poison latch.

mod files;
mod writer;

use std::io;
use std::path::PathBuf;
use std::sync::atomic::{AtomicU32, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, RwLock, RwLockReadGuard, Weak};

use bytes::Bytes;

use crate::consume_queue::Entry;
use crate::disk::{Disk, Room};
use crate::error::Error;
use crate::frame::payload_at;
use crate::manifest::{Compaction, FileRecord, Manifest};
use crate::mapped_file::{FILE_HEADER_LEN, MappedFile, rewritten_base, rewritten_index};
use crate::poison::Poison;
use crate::position::Position;
use crate::space::{Space, SpaceWatch};

pub(crate) use files::Files;
pub(crate) use writer::{Draft, LogWriter};

/// Retired files kept to be recycled.
const SPARE_FILES: usize = 2;

/// A file given up: its name, and who may still read it.
#[derive(Debug)]
struct Retired {
    base: Position,
    readers: Weak<()>,
}

impl Retired {
    /// Append files are all of one size and can be used again.
    fn is_spare(&self) -> bool {
        !self.base.is_rewritten()
    }
}

/// All files of the log.
#[derive(Debug)]
pub(crate) struct CommitLog {
    disk: Arc<dyn Disk>,
    dir: PathBuf,
    file_size: u64,
    files: RwLock<Files>,
    /// The file after the last one, created ahead so that rolling costs nothing in the append lock.
    prepared: Mutex<Option<Arc<MappedFile>>>,
    /// Files that a frame gave up, until a checkpoint is durable that does without them.
    condemned: Mutex<Vec<Arc<MappedFile>>>,
    /// Files given up, until nobody reads them and they are recycled or removed.
    retired: Mutex<Vec<Retired>>,
    next_incarnation: AtomicU32,
    /// Number of the next rewrite file; not used twice in one process, for the earlier one may still be read.
    next_rewritten: AtomicU64,
    written: AtomicU64,
    synced: AtomicU64,
    poison: Poison,
    space: SpaceWatch,
}

impl CommitLog {
    /// Over files that `recovery` found or made; `written` and `synced` start at `end`.
    pub(crate) fn new(
        disk: Arc<dyn Disk>,
        dir: PathBuf,
        file_size: u64,
        files: Files,
        end: Position,
        next_incarnation: u32,
    ) -> Self {
        let last = files.rewritten.values().next_back();
        let next_rewritten = last.map_or(0, |file| rewritten_index(file.base(), file_size) + 1);
        Self {
            disk,
            dir,
            file_size,
            files: RwLock::new(files),
            next_rewritten: AtomicU64::new(next_rewritten),
            prepared: Mutex::new(None),
            condemned: Mutex::default(),
            retired: Mutex::default(),
            next_incarnation: AtomicU32::new(next_incarnation),
            written: AtomicU64::new(end.0),
            synced: AtomicU64::new(end.0),
            poison: Poison::default(),
            space: SpaceWatch::new(file_size),
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
        self.files().appended.values().next().map_or(Position(0), |file| file.base())
    }

    /// Bytes of all files of the log, the prepared one and those given up not counted.
    pub(crate) fn disk_bytes(&self) -> u64 {
        self.files().all().map(|file| file.len()).sum()
    }

    fn files(&self) -> RwLockReadGuard<'_, Files> {
        self.files.read().expect("no panic under this lock")
    }

    pub(crate) fn next_incarnation(&self) -> u32 {
        self.next_incarnation.load(Ordering::Relaxed)
    }

    /// The file that holds `position`.
    pub(crate) fn file_at(&self, position: Position) -> Option<Arc<MappedFile>> {
        self.files().at(position).cloned()
    }

    /// Files that nothing is appended to any more, append files first.
    pub(crate) fn sealed(&self) -> Vec<Arc<MappedFile>> {
        self.files().sealed().cloned().collect()
    }

    /// As `file_at`, where there must be one.
    ///
    /// # Errors
    /// `Corrupt` when no file holds `position`.
    pub(crate) fn file_holding(&self, position: Position) -> Result<Arc<MappedFile>, Error> {
        self.file_at(position).ok_or_else(|| Error::Corrupt {
            file: MappedFile::path(&self.dir, position),
            at: 0,
            position,
            what: "no commitlog file holds this position".to_owned(),
        })
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
                let files = self.files();
                files
                    .appended
                    .values()
                    .filter(|file| file.end() > from && file.base() < target)
                    .cloned()
                    .collect()
            };
            for file in files {
                self.poison.guard("sync the commitlog", file.sync())?;
            }
            self.synced.fetch_max(target.0, Ordering::AcqRel);
        }
        Ok(self.synced())
    }

    /// How the disk stands now.
    pub(crate) fn space(&self) -> Space {
        self.note_space(None)
    }

    fn note_space(&self, next_file: Option<bool>) -> Space {
        let seen = self.space.seen();
        match self.disk.room(&self.dir) {
            Ok(room) => self.space.note(room, next_file),
            Err(_) if next_file.is_none() => seen,
            Err(_) => self.space.note(Room { free: seen.free, total: seen.total }, next_file),
        }
    }

    /// Takes the disk for full, for records at once; or no longer.
    pub(crate) fn refuse_records(&self, refused: bool) {
        self.space.refuse(refused);
    }

    /// Whether the log could not have its next file when it was last tried.
    pub(crate) fn is_full(&self) -> bool {
        self.space.is_full()
    }

    /// As `prepare_next`, for the writer: a disk that was full is not asked under the append lock; housekeeping asks it.
    fn need_next(&self) -> Result<(), Error> {
        if self.is_full() {
            return Err(Error::Full("there was none when last tried".to_owned()));
        }
        self.prepare_next()
    }

    /// Creates the file after the last one unless it is there. Called by housekeeping, or in need by the writer.
    ///
    /// # Errors
    /// `Full` when the disk has no room for it; the log stays usable.
    pub(crate) fn prepare_next(&self) -> Result<(), Error> {
        let mut prepared = self.prepared.lock().expect("no panic under this lock");
        if prepared.is_none() {
            let base = {
                let files = self.files();
                files.appended.values().next_back().map_or(Position(0), |last| last.end())
            };
            let created = self.create_file(base);
            if matches!(created, Err(Error::Full(_))) {
                self.note_space(Some(false));
            }
            *prepared = Some(Arc::new(created?));
        }
        if self.is_full() {
            self.note_space(Some(true));
        }
        Ok(())
    }

    fn create_file(&self, base: Position) -> Result<MappedFile, Error> {
        let incarnation = self.next_incarnation.fetch_add(1, Ordering::Relaxed);
        if let Some(retired) = self.take_unread(Retired::is_spare) {
            return MappedFile::recycle(&*self.disk, &self.dir, retired.base, base, incarnation)
                .map_err(|source| Error::io("recycle", MappedFile::path(&self.dir, retired.base), source));
        }
        if let Ok(room) = self.disk.room(&self.dir) {
            self.space.check(room)?;
        }
        MappedFile::create(&*self.disk, &self.dir, base, incarnation, self.file_size)
            .map_err(|error| self.no_file(base, error))
    }

    fn no_file(&self, base: Position, error: io::Error) -> Error {
        match error.kind() {
            io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded => Error::Full(error.to_string()),
            _ => Error::io("create", MappedFile::path(&self.dir, base), error),
        }
    }

    /// Makes the prepared file the last one.
    fn take_next(&self) -> Result<Arc<MappedFile>, Error> {
        self.need_next()?;
        // Held until the file is among the others: else housekeeping would prepare a file for the same place meanwhile.
        let mut prepared = self.prepared.lock().expect("no panic under this lock");
        let next =
            prepared.take().expect("prepared above; only the writer, which holds the append lock, takes it");
        let mut files = self.files.write().expect("no panic under this lock");
        files.appended.insert(next.base().0, Arc::clone(&next));
        Ok(next)
    }

    /// All files and the bytes in each that some partition still has.
    pub(crate) fn live(&self) -> Vec<(FileRecord, u64)> {
        self.files().all().map(|file| (file.record(), file.live())).collect()
    }

    /// A batch that no partition has any more, or no longer there.
    pub(crate) fn remove_live(&self, entry: &Entry) {
        if let Some(file) = self.file_at(entry.position) {
            file.remove_live(entry.frame_len());
        }
    }

    /// Base and incarnation for a file of batches copied from others.
    pub(crate) fn reserve_rewrite_file(&self) -> (Position, u32) {
        let index = self.next_rewritten.fetch_add(1, Ordering::Relaxed);
        let incarnation = self.next_incarnation.fetch_add(1, Ordering::Relaxed);
        (rewritten_base(index, self.file_size), incarnation)
    }

    /// Creates a file of `len` bytes for batches copied from others; its name is durable.
    ///
    /// # Errors
    /// `Full`, `Io`.
    pub(crate) fn create_rewrite_file(
        &self,
        base: Position,
        incarnation: u32,
        len: u64,
    ) -> Result<MappedFile, Error> {
        MappedFile::create(&*self.disk, &self.dir, base, incarnation, len)
            .map_err(|error| self.no_file(base, error))
    }

    /// Removes rewrite files that never became part of the log.
    pub(crate) fn discard(&self, files: &[Arc<MappedFile>]) -> Result<(), Error> {
        for file in files {
            let path = file.file_name();
            self.disk.remove(&path).map_err(|source| Error::io("remove", path, source))?;
        }
        Ok(())
    }

    /// The batch that `entry` points at, copied and unchecked: for work in passing.
    pub(crate) fn copy_payload(&self, entry: &Entry) -> Result<Bytes, Error> {
        let at = entry.position.plus(payload_at(entry.first_of_group()));
        let file = self.file_holding(at)?;
        file.copy(at, usize::try_from(entry.size).expect("32 bits fit"))
            .map_err(|source| Error::io("read", file.file_name(), source))
    }

    /// Makes `file` part of the log: a durable manifest names it.
    pub(crate) fn adopt(&self, file: Arc<MappedFile>) {
        self.files.write().expect("no panic under this lock").rewritten.insert(file.base().0, file);
    }

    /// What a manifest would say now, with `more` files and without those at `less`.
    pub(crate) fn manifest(
        &self,
        more: &[Arc<MappedFile>],
        less: &[Position],
        compactions: Vec<Compaction>,
    ) -> Manifest {
        let mut files = self.files().clone();
        files.rewritten.extend(more.iter().map(|file| (file.base().0, Arc::clone(file))));
        for base in less {
            files.remove(*base);
        }
        Manifest { holes: files.holes(), rewritten: files.rewritten_records(), compactions }
    }

    /// Takes files out of the log that a manifest has just given up. They stay on disk until [`CommitLog::retire`].
    pub(crate) fn condemn(&self, bases: &[Position]) {
        let mut files = self.files.write().expect("no panic under this lock");
        let condemned = bases.iter().filter_map(|base| files.remove(*base));
        self.condemned.lock().expect("no panic under this lock").extend(condemned);
    }

    /// Whether files wait for a checkpoint to be given up.
    pub(crate) fn has_condemned(&self) -> bool {
        !self.condemned.lock().expect("no panic under this lock").is_empty()
    }

    /// Gives up the condemned files. A durable checkpoint says already that the log does without them.
    pub(crate) fn retire(&self) -> Result<(), Error> {
        let mut condemned = self.condemned.lock().expect("no panic under this lock");
        while let Some(file) = condemned.last() {
            let (path, spare) =
                (MappedFile::path(&self.dir, file.base()), MappedFile::spare_path(&self.dir, file.base()));
            self.disk.rename(&path, &spare).map_err(|source| Error::io("rename", path, source))?;
            let retired = Retired { base: file.base(), readers: file.readers() };
            self.retired.lock().expect("no panic under this lock").push(retired);
            condemned.pop();
        }
        drop(condemned);
        self.disk.sync_dir(&self.dir).map_err(|source| Error::io("sync", &self.dir, source))?;
        self.remove_surplus()
    }

    /// Removes retired files that nobody reads, but for a few kept to be recycled.
    pub(crate) fn remove_surplus(&self) -> Result<(), Error> {
        loop {
            let spares = self
                .retired
                .lock()
                .expect("no panic under this lock")
                .iter()
                .filter(|file| file.is_spare())
                .count();
            let surplus = self.take_unread(|file| !file.is_spare() || spares > SPARE_FILES);
            let Some(retired) = surplus else { return Ok(()) };
            let path = MappedFile::spare_path(&self.dir, retired.base);
            self.disk.remove(&path).map_err(|source| Error::io("remove", path, source))?;
        }
    }

    fn take_unread(&self, wanted: impl Fn(&Retired) -> bool) -> Option<Retired> {
        let mut retired = self.retired.lock().expect("no panic under this lock");
        let at = retired.iter().position(|file| file.readers.strong_count() == 0 && wanted(file))?;
        Some(retired.swap_remove(at))
    }

    fn publish_written(&self, end: Position) {
        self.written.store(end.0, Ordering::Release);
    }
}
