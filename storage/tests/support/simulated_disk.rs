//! A disk in memory that can lose power: what was not synced is lost, torn or reordered, page by page.
//!
//! Files keep two images: what reads see (the page cache) and what is durable. `sync` copies one to the other.
//! [`SimulatedDisk::crash`] builds the disk a machine would find after a power cut: for every unsynced page a coin
//! decides between the old and the new bytes, in sectors of 512 bytes. Names are durable after `sync_dir`.

use std::collections::BTreeMap;
use std::io::{self, IoSlice};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, Weak};

use bytes::Bytes;
use storage::disk::{DirLock, Disk, DiskFile, Room};

const SECTOR: usize = 512;

/// What goes wrong on purpose.
#[derive(Debug, Default, Clone, Copy, PartialEq, Eq)]
pub struct Faults {
    /// `sync` does nothing and says it did: the negative control.
    pub lying_sync: bool,
    /// The n-th sync from now on fails.
    pub fail_sync: Option<u32>,
    /// The n-th write from now on fails.
    pub fail_write: Option<u32>,
    /// Bytes that files may have in all.
    pub capacity: Option<u64>,
    /// The n-th file from now on finds no room, and none after it does.
    pub full_at: Option<u32>,
}

#[derive(Debug, Clone, Default)]
struct Image {
    cached: Vec<u8>,
    durable: Vec<u8>,
    /// Bytes written since the last sync, and the most there ever were.
    unsynced: u64,
    most_unsynced: u64,
}

type SharedImage = Arc<Mutex<Image>>;

#[derive(Debug, Default)]
struct State {
    names: BTreeMap<PathBuf, SharedImage>,
    durable_names: BTreeMap<PathBuf, SharedImage>,
    faults: Faults,
    /// Every write and sync so far; lets a test cut the power after any of them.
    operations: u64,
    /// The power goes before this operation: what is there then is kept in `at_cut`.
    cut_before: Option<u64>,
    at_cut: Option<SimulatedDisk>,
}

#[derive(Debug, Clone, Default)]
pub struct SimulatedDisk(Arc<Mutex<State>>);

#[derive(Debug)]
struct SimulatedFile {
    disk: Arc<Mutex<State>>,
    image: SharedImage,
    alive: Arc<()>,
}

impl SimulatedDisk {
    pub fn set_faults(&self, faults: Faults) {
        self.0.lock().unwrap().faults = faults;
    }

    /// The disk after a power cut; `coin` is asked once per unsynced sector whether it reached the platter.
    pub fn crash(&self, mut coin: impl FnMut() -> bool) -> Self {
        let state = self.0.lock().unwrap();
        let mut names = BTreeMap::new();
        for (path, image) in &state.durable_names {
            let image = image.lock().unwrap();
            let mut bytes = image.durable.clone();
            bytes.resize(image.cached.len(), 0);
            for (old, new) in bytes.chunks_mut(SECTOR).zip(image.cached.chunks(SECTOR)) {
                if old != new && coin() {
                    old.copy_from_slice(new);
                }
            }
            let image = Image { cached: bytes.clone(), durable: bytes, ..Image::default() };
            names.insert(path.clone(), Arc::new(Mutex::new(image)));
        }
        let state = State { durable_names: names.clone(), names, ..State::default() };
        Self(Arc::new(Mutex::new(state)))
    }

    /// The disk after the process was killed: the page cache survives.
    pub fn kill(&self) -> Self {
        let mut killed = self.0.lock().unwrap().copy();
        killed.durable_names = killed.names.clone();
        for image in killed.names.values() {
            let mut image = image.lock().unwrap();
            image.durable = image.cached.clone();
        }
        Self(Arc::new(Mutex::new(killed)))
    }

    /// Keeps the disk as it is just before the n-th operation from its beginning.
    pub fn cut_before(&self, operation: u64) {
        self.0.lock().unwrap().cut_before = Some(operation);
    }

    /// What `cut_before` kept, once that operation came.
    pub fn at_cut(&self) -> Option<Self> {
        self.0.lock().unwrap().at_cut.clone()
    }

    /// Changes durable bytes behind the log's back.
    pub fn damage(&self, path: &Path, at: usize, change: impl FnOnce(&mut u8)) {
        let state = self.0.lock().unwrap();
        let mut image = state.names[path].lock().unwrap();
        change(&mut image.cached[at]);
        image.durable = image.cached.clone();
    }

    /// Cuts a file short.
    pub fn truncate(&self, path: &Path, len: usize) {
        let state = self.0.lock().unwrap();
        let mut image = state.names[path].lock().unwrap();
        image.cached.truncate(len);
        image.durable = image.cached.clone();
    }

    pub fn contents(&self, path: &Path) -> Vec<u8> {
        self.0.lock().unwrap().names[path].lock().unwrap().cached.clone()
    }

    /// The most bytes of a file that ever were written and not synced.
    pub fn most_unsynced(&self, path: &Path) -> u64 {
        self.0.lock().unwrap().names[path].lock().unwrap().most_unsynced
    }

    pub fn paths(&self) -> Vec<PathBuf> {
        self.0.lock().unwrap().names.keys().cloned().collect()
    }

    pub fn operations(&self) -> u64 {
        self.0.lock().unwrap().operations
    }
}

impl State {
    /// Counts an operation about to be done.
    fn operation(&mut self) {
        if self.cut_before == Some(self.operations) {
            self.at_cut = Some(SimulatedDisk(Arc::new(Mutex::new(self.copy()))));
        }
        self.operations += 1;
    }

    /// A deep copy; a file with a name now and a durable one stays one file.
    fn copy(&self) -> Self {
        let mut copies: Vec<(SharedImage, SharedImage)> = Vec::new();
        let mut copy = |image: &SharedImage| {
            if let Some((_, copy)) = copies.iter().find(|(original, _)| Arc::ptr_eq(original, image)) {
                return Arc::clone(copy);
            }
            let made = Arc::new(Mutex::new(image.lock().unwrap().clone()));
            copies.push((Arc::clone(image), Arc::clone(&made)));
            made
        };
        let names = self.names.iter().map(|(path, image)| (path.clone(), copy(image))).collect();
        let durable_names =
            self.durable_names.iter().map(|(path, image)| (path.clone(), copy(image))).collect();
        Self { names, durable_names, ..Self::default() }
    }

    fn used(&self) -> u64 {
        self.names.values().map(|image| image.lock().unwrap().cached.len() as u64).sum()
    }
}

fn due(countdown: &mut Option<u32>) -> bool {
    match countdown {
        Some(0) => true,
        Some(left) => {
            *left -= 1;
            false
        }
        None => false,
    }
}

impl Disk for SimulatedDisk {
    fn create_dir_all(&self, _path: &Path) -> io::Result<()> {
        Ok(())
    }

    fn list(&self, dir: &Path) -> io::Result<Vec<String>> {
        let state = self.0.lock().unwrap();
        let mut names: Vec<String> = state
            .names
            .keys()
            .filter_map(|path| path.strip_prefix(dir).ok())
            .filter_map(|rest| Some(rest.components().next()?.as_os_str().to_str()?.to_owned()))
            .collect();
        names.dedup();
        Ok(names)
    }

    fn create(&self, path: &Path, len: u64) -> io::Result<Arc<dyn DiskFile>> {
        let mut state = self.0.lock().unwrap();
        let over = state.faults.capacity.is_some_and(|capacity| state.used() + len > capacity);
        if over || (len > 0 && due(&mut state.faults.full_at)) {
            return Err(io::ErrorKind::StorageFull.into());
        }
        let len = usize::try_from(len).unwrap();
        let image =
            Arc::new(Mutex::new(Image { cached: vec![0; len], durable: vec![0; len], ..Image::default() }));
        state.names.insert(path.to_owned(), Arc::clone(&image));
        Ok(Arc::new(SimulatedFile { disk: Arc::clone(&self.0), image, alive: Arc::default() }))
    }

    fn open(&self, path: &Path) -> io::Result<Arc<dyn DiskFile>> {
        let state = self.0.lock().unwrap();
        let image = state.names.get(path).ok_or(io::ErrorKind::NotFound)?;
        Ok(Arc::new(SimulatedFile {
            disk: Arc::clone(&self.0),
            image: Arc::clone(image),
            alive: Arc::default(),
        }))
    }

    fn rename(&self, from: &Path, to: &Path) -> io::Result<()> {
        let mut state = self.0.lock().unwrap();
        state.operation();
        let image = state.names.remove(from).ok_or(io::ErrorKind::NotFound)?;
        state.names.insert(to.to_owned(), image);
        Ok(())
    }

    fn remove(&self, path: &Path) -> io::Result<()> {
        self.0.lock().unwrap().names.remove(path).map(|_| ()).ok_or(io::ErrorKind::NotFound.into())
    }

    fn sync_dir(&self, dir: &Path) -> io::Result<()> {
        let mut state = self.0.lock().unwrap();
        state.operation();
        if state.faults.lying_sync {
            return Ok(());
        }
        let names: BTreeMap<PathBuf, SharedImage> = state
            .names
            .iter()
            .filter(|(path, _)| path.parent() == Some(dir))
            .map(|(path, image)| (path.clone(), Arc::clone(image)))
            .collect();
        state.durable_names.retain(|path, _| path.parent() != Some(dir));
        state.durable_names.extend(names);
        Ok(())
    }

    fn room(&self, _dir: &Path) -> io::Result<Room> {
        let state = self.0.lock().unwrap();
        let total = state.faults.capacity.unwrap_or(1 << 50);
        Ok(Room { free: total.saturating_sub(state.used()), total })
    }

    fn try_lock(&self, path: &Path, contents: &str) -> io::Result<Option<DirLock>> {
        match self.create(path, contents.len() as u64) {
            Err(error) if error.kind() != io::ErrorKind::StorageFull => Err(error),
            _ => Ok(Some(Box::new(()))),
        }
    }
}

impl DiskFile for SimulatedFile {
    fn len(&self) -> u64 {
        self.image.lock().unwrap().cached.len() as u64
    }

    fn write_all_at(&self, slices: &mut [IoSlice<'_>], at: u64) -> io::Result<()> {
        let mut state = self.disk.lock().unwrap();
        state.operation();
        if due(&mut state.faults.fail_write) {
            return Err(io::Error::other("injected write failure"));
        }
        let mut at = usize::try_from(at).unwrap();
        let mut image = self.image.lock().unwrap();
        for slice in slices {
            // As `pwritev`: a file that damage made shorter grows again.
            if image.cached.len() < at + slice.len() {
                image.cached.resize(at + slice.len(), 0);
            }
            image.cached[at..at + slice.len()].copy_from_slice(slice);
            at += slice.len();
            image.unsynced += slice.len() as u64;
        }
        image.most_unsynced = image.most_unsynced.max(image.unsynced);
        Ok(())
    }

    fn read(&self, at: u64, len: usize) -> io::Result<Bytes> {
        let at = usize::try_from(at).unwrap();
        let image = self.image.lock().unwrap();
        let bytes = image.cached.get(at..at + len).ok_or(io::ErrorKind::UnexpectedEof)?;
        Ok(Bytes::copy_from_slice(bytes))
    }

    fn sync(&self) -> io::Result<()> {
        let mut state = self.disk.lock().unwrap();
        state.operation();
        if due(&mut state.faults.fail_sync) {
            return Err(io::Error::other("injected sync failure"));
        }
        if !state.faults.lying_sync {
            let mut image = self.image.lock().unwrap();
            image.durable = image.cached.clone();
            image.unsynced = 0;
        }
        Ok(())
    }

    fn copy(&self, at: u64, len: usize) -> io::Result<Bytes> {
        self.read(at, len)
    }

    fn data_end(&self) -> io::Result<u64> {
        let image = self.image.lock().unwrap();
        Ok(image.cached.iter().rposition(|byte| *byte != 0).map_or(0, |at| at as u64 + 1))
    }

    fn readers(&self) -> Weak<()> {
        Arc::downgrade(&self.alive)
    }

    fn zero(&self, at: u64, len: u64) -> io::Result<()> {
        let (at, len) = (usize::try_from(at).unwrap(), usize::try_from(len).unwrap());
        self.image.lock().unwrap().cached[at..at + len].fill(0);
        Ok(())
    }
}
