//! The file system as a seam: everything the log asks of a disk, and nothing more.
//!
//! [`LocalDisk`] is the machine's file system; tests put a simulated disk in its place that loses, reorders and tears
//! what was not synced. Files are written by positioned writes and read as [`Bytes`] (slices of a read-only map on the
//! real disk), so a full or failing disk is an error value and never a signal.

mod local;
mod mapped;

use std::any::Any;
use std::fmt::Debug;
use std::io::{self, IoSlice};
use std::path::Path;
use std::sync::{Arc, Weak};

use bytes::Bytes;

pub use local::LocalDisk;

/// A held directory lock; dropping it releases the lock.
pub type DirLock = Box<dyn Any + Send + Sync>;

/// Room on a file system, bytes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Room {
    /// What an ordinary process can still write.
    pub free: u64,
    /// All of it.
    pub total: u64,
}

/// A file system. Names and removals are durable only after [`Disk::sync_dir`] of their directory.
pub trait Disk: Send + Sync + Debug {
    /// Creates a directory and its parents.
    ///
    /// # Errors
    /// As the system says.
    fn create_dir_all(&self, path: &Path) -> io::Result<()>;
    /// File names in a directory, in no order.
    ///
    /// # Errors
    /// As the system says.
    fn list(&self, dir: &Path) -> io::Result<Vec<String>>;
    /// Creates a file of `len` zero bytes whose blocks are allocated; replaces an existing one.
    ///
    /// # Errors
    /// `StorageFull` when the blocks are not there; no file is left behind then.
    fn create(&self, path: &Path, len: u64) -> io::Result<Arc<dyn DiskFile>>;
    /// Opens an existing file for reading and writing.
    ///
    /// # Errors
    /// `NotFound` and what else the system says.
    fn open(&self, path: &Path) -> io::Result<Arc<dyn DiskFile>>;
    /// Renames, replacing the target.
    ///
    /// # Errors
    /// As the system says.
    fn rename(&self, from: &Path, to: &Path) -> io::Result<()>;
    /// Removes a file.
    ///
    /// # Errors
    /// As the system says.
    fn remove(&self, path: &Path) -> io::Result<()>;
    /// Makes names in the directory durable.
    ///
    /// # Errors
    /// As the system says; poisons the log.
    fn sync_dir(&self, dir: &Path) -> io::Result<()>;
    /// Room on the file system that holds `dir`.
    ///
    /// # Errors
    /// As the system says.
    fn room(&self, dir: &Path) -> io::Result<Room>;
    /// Takes the exclusive lock of the file at `path` and writes `contents` into it. `None` when another process has it.
    ///
    /// # Errors
    /// As the system says.
    fn try_lock(&self, path: &Path, contents: &str) -> io::Result<Option<DirLock>>;
}

/// An open file of fixed length.
pub trait DiskFile: Send + Sync + Debug {
    /// Its length, bytes.
    fn len(&self) -> u64;
    /// Whether it has no bytes.
    fn is_empty(&self) -> bool {
        self.len() == 0
    }
    /// Writes all of `slices`, one after the other, at byte `at`. May be torn by a crash until synced.
    ///
    /// # Errors
    /// As the system says; what was written is then unknown.
    fn write_all_at(&self, slices: &mut [IoSlice<'_>], at: u64) -> io::Result<()>;
    /// `len` bytes at `at`, sharing memory with the file where it can.
    ///
    /// # Errors
    /// `UnexpectedEof` past the end.
    fn read(&self, at: u64, len: usize) -> io::Result<Bytes>;
    /// As `read`, but the bytes are copied: what is read once, in passing, need not be mapped.
    ///
    /// # Errors
    /// `UnexpectedEof` past the end.
    fn copy(&self, at: u64, len: usize) -> io::Result<Bytes>;
    /// Whether `read` of the range waits for no device, as far as the system tells; `true` where it does not.
    fn is_resident(&self, _at: u64, _len: u64) -> bool {
        true
    }
    /// Asks the system to have the range in memory soon. Advice: nothing fails.
    fn read_ahead(&self, _at: u64, _len: u64) {}
    /// Tells the system that the range need not stay in memory. Advice: what is mapped or not on the device yet stays.
    fn release(&self, _at: u64, _len: u64) {}
    /// Behind the last byte that may not be zero, as far as the file system knows without reading.
    ///
    /// # Errors
    /// As the system says.
    fn data_end(&self) -> io::Result<u64>;
    /// Returns when all bytes written before the call are on stable storage (`fdatasync`).
    ///
    /// # Errors
    /// As the system says. Never retry: the kernel may have dropped the dirty pages.
    fn sync(&self) -> io::Result<()>;
    /// Alive as long as this handle or any bytes that its `read` gave: while it is, the file must not be written anew.
    fn readers(&self) -> Weak<()>;
    /// Makes the range zero.
    ///
    /// # Errors
    /// As the system says.
    fn zero(&self, at: u64, len: u64) -> io::Result<()>;
}
