//! Shared extent files: the 4 KiB pages of all consume queues, in a few large files.
//!
//! Called by `ConsumeQueue` and by the checkpoint. No file, descriptor, map or flush per partition. Invariant: a page
//! number given back is handed out again only after the next checkpoint, so the pages that the last checkpoint names
//! are never overwritten with another partition's entries.

use std::io::IoSlice;
use std::path::PathBuf;
use std::sync::{Arc, Mutex, RwLock};

use bytes::Bytes;
use dashmap::DashMap;

use super::entry::{self, Entry};
use crate::disk::{Disk, DiskFile};
use crate::error::Error;
use crate::position::Position;

/// Length of a page, bytes.
pub(crate) const PAGE_LEN: usize = 4096;
/// Entries of a full page.
pub(crate) const ENTRIES_PER_PAGE: usize = 85;
/// No page yet.
pub(crate) const NO_PAGE: u32 = u32::MAX;
/// Pages per extent file at most: 16 MiB. Fewer where the commitlog's own files are smaller.
const MAX_PAGES_PER_FILE: u64 = 4096;
/// Pages that may wait for the background writer; the appender writes them itself beyond that.
const PENDING_LIMIT: usize = 16 * 1024;

/// All extent files of a store.
#[derive(Debug)]
pub(crate) struct Extents {
    disk: Arc<dyn Disk>,
    dir: PathBuf,
    pages_per_file: u32,
    files: RwLock<Vec<Option<ExtentFile>>>,
    numbers: Mutex<PageNumbers>,
    /// Pages that are not in their file yet.
    pending: DashMap<u32, Bytes>,
    writing: Mutex<()>,
}

#[derive(Debug, Clone)]
struct ExtentFile {
    file: Arc<dyn DiskFile>,
    unsynced: bool,
}

#[derive(Debug, Default)]
struct PageNumbers {
    next: u32,
    free: Vec<u32>,
    /// Given back, but named by the last checkpoint.
    quarantined: Vec<u32>,
}

impl Extents {
    /// `file_size` is that of the commitlog's files, bytes.
    pub(crate) fn new(disk: Arc<dyn Disk>, dir: PathBuf, file_size: u64) -> Self {
        let pages = (file_size / PAGE_LEN as u64).clamp(1, MAX_PAGES_PER_FILE);
        let numbers = Mutex::new(PageNumbers::default());
        Self {
            disk,
            dir,
            pages_per_file: u32::try_from(pages).expect("at most 4096"),
            files: RwLock::new(Vec::new()),
            numbers,
            pending: DashMap::new(),
            writing: Mutex::new(()),
        }
    }

    /// Tells which pages are in use after loading a snapshot; all others below the greatest are free.
    pub(crate) fn set_used(&self, mut used: Vec<u32>) {
        used.sort_unstable();
        let mut numbers = self.numbers.lock().expect("no panic under this lock");
        numbers.next = used.last().map_or(0, |last| last + 1);
        let mut in_use = used.into_iter().peekable();
        let gaps = |number: &u32| in_use.next_if_eq(number).is_none();
        let free: Vec<u32> = (0..numbers.next).filter(gaps).collect();
        numbers.free = free;
    }

    pub(super) fn allocate(&self) -> u32 {
        let mut numbers = self.numbers.lock().expect("no panic under this lock");
        numbers.free.pop().unwrap_or_else(|| {
            numbers.next += 1;
            numbers.next - 1
        })
    }

    pub(super) fn free(&self, pages: impl IntoIterator<Item = u32>) {
        let mut numbers = self.numbers.lock().expect("no panic under this lock");
        for page in pages {
            self.pending.remove(&page);
            numbers.quarantined.push(page);
        }
    }

    /// How many numbers wait for a checkpoint; pass it to [`Extents::release`] once that checkpoint is durable.
    pub(crate) fn quarantined(&self) -> usize {
        self.numbers.lock().expect("no panic under this lock").quarantined.len()
    }

    /// Lets the oldest `count` numbers be handed out again: no checkpoint names them any more.
    pub(crate) fn release(&self, count: usize) {
        let mut numbers = self.numbers.lock().expect("no panic under this lock");
        let released: Vec<u32> = numbers.quarantined.drain(..count).collect();
        numbers.free.extend(released);
    }

    /// Takes a page, in place of what it took before under that number; the background writer brings it to its file.
    pub(super) fn put(&self, number: u32, page: Bytes) {
        self.pending.insert(number, page);
    }

    /// Keeps memory bounded when the background writer falls behind.
    pub(super) fn relieve(&self) {
        if self.pending.len() > PENDING_LIMIT {
            // A failure here repeats at the checkpoint, which reports it; the page stays readable from memory.
            let _retried_at_checkpoint = self.write_pending();
        }
    }

    /// The entries of a page.
    pub(super) fn read(&self, number: u32) -> Result<Vec<Entry>, Error> {
        let pending = self.pending.get(&number).map(|page| page.value().clone());
        let page = match pending {
            Some(page) => page,
            None => self.read_file(number)?,
        };
        entry::decode_page(&page).ok_or_else(|| self.damaged(number, "no consume queue page"))
    }

    fn read_file(&self, number: u32) -> Result<Bytes, Error> {
        let file = self.file(self.file_of(number))?;
        file.read(self.byte_offset(number), PAGE_LEN)
            .map_err(|source| Error::io("read", self.path(self.file_of(number)), source))
    }

    /// Writes the pages that wait.
    pub(crate) fn write_pending(&self) -> Result<(), Error> {
        // One writer at a time: an older copy of a page must not overtake a newer one.
        let _one_writer = self.writing.lock().expect("no panic under this lock");
        let numbers: Vec<u32> = self.pending.iter().map(|page| *page.key()).collect();
        for number in &numbers {
            let Some(page) = self.pending.get(number).map(|page| page.value().clone()) else { continue };
            self.write(*number, &page)?;
            self.pending.remove_if(number, |_, current| current.as_ptr() == page.as_ptr());
        }
        Ok(())
    }

    fn write(&self, number: u32, page: &Bytes) -> Result<(), Error> {
        let index = self.file_of(number);
        let file = self.file(index)?;
        file.write_all_at(&mut [IoSlice::new(page)], self.byte_offset(number))
            .map_err(|source| Error::io("write", self.path(index), source))?;
        if let Some(Some(file)) =
            self.files.write().expect("no panic under this lock").get_mut(index as usize)
        {
            file.unsynced = true;
        }
        Ok(())
    }

    /// Makes all pages written so far durable.
    pub(crate) fn sync(&self) -> Result<(), Error> {
        let unsynced: Vec<(usize, Arc<dyn DiskFile>)> = {
            let mut files = self.files.write().expect("no panic under this lock");
            let open = files.iter_mut().enumerate().filter_map(|(index, file)| Some((index, file.as_mut()?)));
            open.filter_map(|(index, file)| {
                std::mem::take(&mut file.unsynced).then(|| (index, Arc::clone(&file.file)))
            })
            .collect()
        };
        for (index, file) in unsynced {
            let index = u32::try_from(index).expect("file numbers are u32");
            file.sync().map_err(|source| Error::io("sync", self.path(index), source))?;
        }
        Ok(())
    }

    fn file(&self, index: u32) -> Result<Arc<dyn DiskFile>, Error> {
        if let Some(Some(file)) = self.files.read().expect("no panic under this lock").get(index as usize) {
            return Ok(Arc::clone(&file.file));
        }
        let mut files = self.files.write().expect("no panic under this lock");
        if files.len() <= index as usize {
            files.resize(index as usize + 1, None);
        }
        if let Some(file) = &files[index as usize] {
            return Ok(Arc::clone(&file.file));
        }
        let path = self.path(index);
        let expected = u64::from(self.pages_per_file) * PAGE_LEN as u64;
        let opened = match self.disk.open(&path) {
            Ok(file) if file.len() == expected => Ok(file),
            _ => self.disk.create(&path, expected).and_then(|file| {
                self.disk.sync_dir(&self.dir)?;
                Ok(file)
            }),
        };
        let file = opened.map_err(|source| Error::io("open", &path, source))?;
        files[index as usize] = Some(ExtentFile { file: Arc::clone(&file), unsynced: false });
        Ok(file)
    }

    fn path(&self, index: u32) -> PathBuf {
        self.dir.join(format!("{index:08}"))
    }

    pub(super) fn damaged(&self, number: u32, what: &str) -> Error {
        let what = format!(
            "{what}; stop the broker, remove the file `checkpoint` and start again: queues are rebuilt"
        );
        Error::Corrupt {
            file: self.path(self.file_of(number)),
            at: self.byte_offset(number),
            position: Position::default(),
            what,
        }
    }

    fn file_of(&self, number: u32) -> u32 {
        number / self.pages_per_file
    }

    fn byte_offset(&self, number: u32) -> u64 {
        u64::from(number % self.pages_per_file) * PAGE_LEN as u64
    }
}
