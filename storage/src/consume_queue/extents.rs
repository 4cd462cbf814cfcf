//! Shared extent files: the 4 KiB pages of all consume queues, in a few large files.
//!
//! Called by `ConsumeQueue` and by the checkpoint. No file, descriptor, map or flush per partition. Invariant: a page
//! number given back is handed out again only after the next checkpoint, so the pages that the last checkpoint names
//! are never overwritten with another partition's entries.

use std::collections::BTreeMap;
use std::io::IoSlice;
use std::ops::Range;
use std::path::PathBuf;
use std::sync::{Arc, Mutex, RwLock};

use bytes::Bytes;
use dashmap::DashMap;

use super::PageRef;
use super::entry::{self, Entry};
use crate::decode::DecodeError;
use crate::disk::{Disk, DiskFile};
use crate::error::Error;
use crate::poison::Poison;
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
/// Neighbours that are written in one go.
const PAGES_PER_WRITE: usize = 256;
/// Read in one go where the device has to be asked.
const PAGES_PER_FETCH: usize = 32;
/// What a page is filled up with.
static ZEROES: [u8; PAGE_LEN] = [0; PAGE_LEN];

/// All extent files of a store.
#[derive(Debug)]
pub(crate) struct Extents {
    disk: Arc<dyn Disk>,
    dir: PathBuf,
    pages_per_file: u32,
    files: RwLock<BTreeMap<u32, ExtentFile>>,
    numbers: Mutex<PageNumbers>,
    /// Pages that are not in their file yet, without the zeroes at their ends.
    pending: DashMap<u32, Bytes>,
    writing: Mutex<()>,
}

#[derive(Debug)]
struct ExtentFile {
    file: Arc<dyn DiskFile>,
    unsynced: bool,
}

#[derive(Debug, Default)]
struct PageNumbers {
    next: u32,
    free: Vec<Range<u32>>,
    /// Given back, but named by the last checkpoint.
    quarantined: Vec<u32>,
}

impl PageNumbers {
    /// Takes memory for as many pages as are in use, however great their numbers: no bytes stand behind the gaps.
    fn in_use(mut used: Vec<u32>) -> Result<Self, DecodeError> {
        used.sort_unstable();
        let mut numbers = Self::default();
        for number in used {
            if number < numbers.next || number == NO_PAGE {
                return Err(DecodeError::Page(number));
            }
            if numbers.next < number {
                numbers.free.push(numbers.next..number);
            }
            numbers.next = number + 1;
        }
        Ok(numbers)
    }

    fn allocate(&mut self) -> u32 {
        while let Some(range) = self.free.last_mut() {
            if let Some(number) = range.next() {
                return number;
            }
            self.free.pop();
        }
        self.next += 1;
        self.next - 1
    }
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
            files: RwLock::default(),
            numbers,
            pending: DashMap::new(),
            writing: Mutex::new(()),
        }
    }

    /// Tells which pages are in use after loading a snapshot; all others below the greatest are free.
    ///
    /// # Errors
    /// A page that two queues claim, or that none can have.
    pub(crate) fn set_used(&self, used: Vec<u32>) -> Result<(), DecodeError> {
        *self.numbers.lock().expect("no panic under this lock") = PageNumbers::in_use(used)?;
        Ok(())
    }

    pub(super) fn allocate(&self) -> u32 {
        self.numbers.lock().expect("no panic under this lock").allocate()
    }

    /// Gives numbers back. Pages that still wait are written all the same: a checkpoint on its way may name them.
    pub(super) fn free(&self, pages: impl IntoIterator<Item = u32>) {
        self.numbers.lock().expect("no panic under this lock").quarantined.extend(pages);
    }

    /// Bytes of pages that queues use, those of the last checkpoint that wait to be free not counted.
    pub(crate) fn used_bytes(&self) -> u64 {
        let numbers = self.numbers.lock().expect("no panic under this lock");
        let free: usize = numbers.free.iter().map(Range::len).sum();
        let unused = u64::try_from(free + numbers.quarantined.len()).unwrap_or(u64::MAX);
        u64::from(numbers.next).saturating_sub(unused) * PAGE_LEN as u64
    }

    /// How many numbers wait for a checkpoint; pass it to [`Extents::release`] once that checkpoint is durable.
    pub(crate) fn quarantined(&self) -> usize {
        self.numbers.lock().expect("no panic under this lock").quarantined.len()
    }

    /// Lets the oldest `count` numbers be handed out again: no checkpoint names them any more.
    pub(crate) fn release(&self, count: usize) {
        let mut numbers = self.numbers.lock().expect("no panic under this lock");
        let released: Vec<_> = numbers.quarantined.drain(..count).map(|number| number..number + 1).collect();
        numbers.free.extend(released);
    }

    /// Takes a page, in place of what it took before under that number; the background writer brings it to its file.
    pub(super) fn put(&self, number: u32, page: Bytes) {
        self.pending.insert(number, page);
    }

    /// Keeps memory bounded when the background writer falls behind.
    pub(crate) fn relieve(&self) {
        if self.pending.len() > PENDING_LIMIT {
            // A failure here repeats at the checkpoint, which reports it; the page stays readable from memory.
            let _retried_at_checkpoint = self.write_pending();
        }
    }

    /// The entries of a page.
    pub(super) fn read(&self, number: u32) -> Result<Vec<Entry>, Error> {
        let page = self.page(number)?;
        entry::decode_page(&page).ok_or_else(|| self.damaged(number, "no consume queue page"))
    }

    /// The entries of a page that is complete: nothing but zeroes may follow them. (What follows the entries of a tail
    /// page may be torn.)
    pub(super) fn read_sealed(&self, sealed: &PageRef) -> Result<Vec<Entry>, Error> {
        let page = self.page(sealed.number)?;
        let entries = entry::decode_page(&page).filter(|entries| {
            let rest = &page[entry::PAGE_HEADER_LEN + entries.len() * entry::ENTRY_LEN..];
            rest.iter().all(|byte| *byte == 0) && sealed.is_of(entries)
        });
        entries.ok_or_else(|| self.damaged(sealed.number, "not the consume queue page that was written"))
    }

    fn page(&self, number: u32) -> Result<Bytes, Error> {
        let pending = self.pending.get(&number).map(|page| page.value().clone());
        pending.map_or_else(|| self.read_file(number), Ok)
    }

    /// Whether `read` of the page waits for no device.
    pub(super) fn is_resident(&self, number: u32) -> Result<bool, Error> {
        let resident = |file: Arc<dyn DiskFile>| file.is_resident(self.byte_offset(number), PAGE_LEN as u64);
        Ok(self.pending.contains_key(&number) || self.file(self.file_of(number)).map(resident)?)
    }

    /// Waits until the page is in memory, with those behind it, which cost the device little more.
    pub(crate) fn fetch(&self, number: u32) -> Result<(), Error> {
        let file = self.file(self.file_of(number))?;
        let at = self.byte_offset(number);
        let left = usize::try_from(file.len() - at).unwrap_or(usize::MAX);
        file.copy(at, left.min(PAGES_PER_FETCH * PAGE_LEN))
            .map(|_| ())
            .map_err(|source| Error::io("read", self.path(self.file_of(number)), source))
    }

    fn read_file(&self, number: u32) -> Result<Bytes, Error> {
        let file = self.file(self.file_of(number))?;
        file.read(self.byte_offset(number), PAGE_LEN)
            .map_err(|source| Error::io("read", self.path(self.file_of(number)), source))
    }

    /// Writes the pages that wait, neighbours together. Returns how many.
    pub(crate) fn write_pending(&self) -> Result<usize, Error> {
        // One writer at a time: an older copy of a page must not overtake a newer one.
        let _one_writer = self.writing.lock().expect("no panic under this lock");
        let mut pages: Vec<(u32, Bytes)> =
            self.pending.iter().map(|page| (*page.key(), page.value().clone())).collect();
        pages.sort_unstable_by_key(|(number, _)| *number);
        let are_neighbours = |(before, _): &(u32, Bytes), (next, _): &(u32, Bytes)| {
            before + 1 == *next && self.file_of(*before) == self.file_of(*next)
        };
        for run in pages.chunk_by(are_neighbours).flat_map(|run| run.chunks(PAGES_PER_WRITE)) {
            self.write(run)?;
            for (number, page) in run {
                self.pending.remove_if(number, |_, current| current.as_ptr() == page.as_ptr());
            }
        }
        Ok(pages.len())
    }

    /// Writes neighbours of one file, each to the end of its page.
    fn write(&self, run: &[(u32, Bytes)]) -> Result<(), Error> {
        let Some((first, _)) = run.first() else { return Ok(()) };
        let index = self.file_of(*first);
        let file = self.file(index)?;
        let mut slices: Vec<IoSlice<'_>> = run
            .iter()
            .flat_map(|(_, page)| [IoSlice::new(page), IoSlice::new(&ZEROES[page.len()..])])
            .filter(|slice| !slice.is_empty())
            .collect();
        file.write_all_at(&mut slices, self.byte_offset(*first))
            .map_err(|source| Error::io("write", self.path(index), source))?;
        if let Some(file) = self.files.write().expect("no panic under this lock").get_mut(&index) {
            file.unsynced = true;
        }
        Ok(())
    }

    /// Makes all pages written so far durable.
    ///
    /// # Errors
    /// `Poisoned`: the pages of a failed sync are lost, though reads may still show them, and a later one may succeed.
    pub(crate) fn sync(&self, poison: &Poison) -> Result<(), Error> {
        let unsynced: Vec<Arc<dyn DiskFile>> = {
            let mut files = self.files.write().expect("no panic under this lock");
            let written =
                |file: &mut ExtentFile| std::mem::take(&mut file.unsynced).then(|| Arc::clone(&file.file));
            files.values_mut().filter_map(written).collect()
        };
        for file in unsynced {
            poison.guard("sync the consume queues", file.sync())?;
        }
        Ok(())
    }

    fn file(&self, index: u32) -> Result<Arc<dyn DiskFile>, Error> {
        if let Some(file) = self.files.read().expect("no panic under this lock").get(&index) {
            return Ok(Arc::clone(&file.file));
        }
        let mut files = self.files.write().expect("no panic under this lock");
        if let Some(file) = files.get(&index) {
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
        files.insert(index, ExtentFile { file: Arc::clone(&file), unsynced: false });
        Ok(file)
    }

    pub(super) fn path(&self, index: u32) -> PathBuf {
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

    pub(super) fn file_of(&self, number: u32) -> u32 {
        number / self.pages_per_file
    }

    pub(super) fn byte_offset(&self, number: u32) -> u64 {
        u64::from(number % self.pages_per_file) * PAGE_LEN as u64
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::disk::LocalDisk;

    #[test]
    fn pages_below_the_greatest_in_use_are_handed_out_before_new_ones_each_once() {
        let mut numbers = PageNumbers::in_use(vec![5, 1, 2]).unwrap();
        let mut handed_out: Vec<u32> = std::iter::repeat_with(|| numbers.allocate()).take(5).collect();
        handed_out[..3].sort_unstable();
        assert_eq!(handed_out, [0, 3, 4, 6, 7]);
    }

    #[test]
    fn page_with_a_great_number_takes_no_memory_for_those_below() {
        let numbers = PageNumbers::in_use(vec![NO_PAGE - 1]).unwrap();
        assert_eq!(numbers.free.len(), 1);
    }

    #[test]
    fn page_of_two_queues_or_of_none_is_refused() {
        for (used, page) in [(vec![3, 7, 3], 3), (vec![NO_PAGE], NO_PAGE)] {
            let error = PageNumbers::in_use(used).unwrap_err();
            assert!(matches!(error, DecodeError::Page(number) if number == page), "{error}");
        }
    }

    /// A checkpoint takes the state that names the page, the topic is deleted, then the checkpoint writes the pages. A start
    /// from it must find the page: the deletion is replayed over it.
    #[test]
    fn page_given_back_while_a_checkpoint_is_written_is_in_its_file() {
        let dir = tempfile::tempdir().unwrap();
        let extents = || Extents::new(Arc::new(LocalDisk), dir.path().to_owned(), 64 * 1024);
        let entry = Entry {
            position: Position(1),
            base_offset: 2,
            max_timestamp: 3,
            running_max: 3,
            size: 4,
            last_offset_delta: 0,
            leader_epoch: 0,
            attributes: 0,
        };
        let running = extents();
        let number = running.allocate();
        running.put(number, entry::encode_page(7, 0, &[entry]));
        running.free([number]);
        running.write_pending().unwrap();
        assert_eq!(extents().read(number).unwrap(), [entry]);
    }
}
