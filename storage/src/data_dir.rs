//! The data directory itself: what lies where, its format file, lock and abort marker (`docs/STORAGE_FORMAT.md` §1).
//!
//! Called by `recovery` and `store`. Invariant: nothing in a directory is changed before its lock is held and its format
//! is known to be ours.

use std::io::{self, IoSlice};
use std::path::{Path, PathBuf};
use std::process;

use uuid::Uuid;

use crate::disk::{DirLock, Disk};
use crate::error::{Error, OpenError};
use crate::position::Position;

/// Newest directory format this program reads and writes.
const FORMAT_VERSION: u32 = 1;
/// "ONELOG" and two zero bytes.
const FORMAT_MAGIC: [u8; 8] = *b"ONELOG\0\0";
const FORMAT_LEN: usize = 40;
/// What may lie in it; `lost+found` is a mounted file system's own.
const OURS: [&str; 9] =
    ["lock", "format", "abort", "checkpoint", "commitlog", "consumequeue", "snapshot", "index", "lost+found"];

/// Paths in a data directory.
#[derive(Debug, Clone)]
pub(crate) struct DataDir {
    root: PathBuf,
}

/// What the format file says.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Format {
    pub(crate) store_id: Uuid,
    pub(crate) file_size: u64,
}

impl DataDir {
    pub(crate) fn new(root: PathBuf) -> Self {
        Self { root }
    }

    pub(crate) fn root(&self) -> &Path {
        &self.root
    }

    pub(crate) fn commit_log(&self) -> PathBuf {
        self.root.join("commitlog")
    }

    pub(crate) fn consume_queue(&self) -> PathBuf {
        self.root.join("consumequeue")
    }

    pub(crate) fn snapshots(&self) -> PathBuf {
        self.root.join("snapshot")
    }

    pub(crate) fn index(&self) -> PathBuf {
        self.root.join("index")
    }

    pub(crate) fn checkpoint(&self) -> PathBuf {
        self.root.join("checkpoint")
    }

    fn abort(&self) -> PathBuf {
        self.root.join("abort")
    }

    fn format(&self) -> PathBuf {
        self.root.join("format")
    }

    /// Takes the directory: creates it when missing, refuses foreign ones, holds the lock.
    pub(crate) fn lock(&self, disk: &dyn Disk) -> Result<DirLock, OpenError> {
        disk.create_dir_all(&self.root).map_err(|error| Error::io("create", &self.root, error))?;
        let names = disk.list(&self.root).map_err(|error| Error::io("list", &self.root, error))?;
        let known = |name: &&String| OURS.iter().any(|ours| *name == ours || *name == &format!("{ours}.tmp"));
        let ours = names.iter().any(|name| name == "format" || name == "lock");
        if let Some(found) = names.iter().find(|name| !ours && !known(name)) {
            return Err(OpenError::Foreign { dir: self.root.clone(), found: found.clone() });
        }
        let path = self.root.join("lock");
        let lock = disk
            .try_lock(&path, &format!("{}\n", process::id()))
            .map_err(|error| Error::io("lock", &path, error))?;
        lock.ok_or_else(|| OpenError::InUse { dir: self.root.clone(), pid: self.holder(disk, &path) })
    }

    fn holder(&self, disk: &dyn Disk, lock: &Path) -> String {
        let contents =
            disk.open(lock).and_then(|file| file.read(0, usize::try_from(file.len()).unwrap_or(0)));
        match contents.map(|bytes| String::from_utf8_lossy(&bytes).trim().to_owned()) {
            Ok(pid) if !pid.is_empty() => pid,
            _ => "unknown".to_owned(),
        }
    }

    /// Reads the format file, or writes one into a new directory.
    pub(crate) fn format_or_create(&self, disk: &dyn Disk, file_size: u64) -> Result<Format, OpenError> {
        match disk.open(&self.format()) {
            Ok(file) => {
                let bytes =
                    file.read(0, FORMAT_LEN).map_err(|error| Error::io("read", self.format(), error))?;
                self.decode_format(&bytes)
            }
            Err(error) if error.kind() == io::ErrorKind::NotFound => {
                self.check_holds_no_log(disk)?;
                self.create(disk, Format { store_id: Uuid::new_v4(), file_size })
            }
            Err(error) => Err(Error::io("open", self.format(), error).into()),
        }
    }

    /// A log without its identity is not a new directory.
    fn check_holds_no_log(&self, disk: &dyn Disk) -> Result<(), Error> {
        let held = match disk.list(&self.commit_log()) {
            Ok(names) => !names.is_empty(),
            Err(error) if error.kind() == io::ErrorKind::NotFound => false,
            Err(error) => return Err(Error::io("list", self.commit_log(), error)),
        };
        if !held {
            return Ok(());
        }
        let what = "the file is missing beside a commitlog; put it back from a backup".to_owned();
        Err(Error::Corrupt { file: self.format(), at: 0, position: Position::default(), what })
    }

    /// Lays out a new directory with this identity.
    pub(crate) fn create(&self, disk: &dyn Disk, format: Format) -> Result<Format, OpenError> {
        check_file_size(format.file_size).map_err(OpenError::Config)?;
        for dir in [self.commit_log(), self.consume_queue(), self.snapshots()] {
            disk.create_dir_all(&dir).map_err(|error| Error::io("create", &dir, error))?;
        }
        write_atomically(disk, &self.root, "format", &encode_format(format))?;
        Ok(format)
    }

    fn decode_format(&self, bytes: &[u8]) -> Result<Format, OpenError> {
        let four = |at: usize| u32::from_be_bytes(bytes[at..at + 4].try_into().expect("4 bytes"));
        let corrupt = |what: &str| Error::Corrupt {
            file: self.format(),
            at: 0,
            position: Position::default(),
            what: what.to_owned(),
        };
        if bytes[..8] != FORMAT_MAGIC {
            return Err(OpenError::Foreign { dir: self.root.clone(), found: "format".to_owned() });
        }
        if four(8) > FORMAT_VERSION {
            let (found, known) = (four(8), FORMAT_VERSION);
            return Err(OpenError::NewerFormat { dir: self.root.clone(), found, known });
        }
        if crc32c::crc32c(&bytes[..FORMAT_LEN - 4]) != four(FORMAT_LEN - 4) {
            return Err(corrupt("CRC of the format file does not match").into());
        }
        let file_size = u64::from_be_bytes(bytes[28..36].try_into().expect("8 bytes"));
        check_file_size(file_size).map_err(|what| corrupt(&what))?;
        Ok(Format { store_id: Uuid::from_bytes(bytes[12..28].try_into().expect("16 bytes")), file_size })
    }

    /// Whether the last process did not close the store.
    pub(crate) fn is_marked_running(&self, disk: &dyn Disk) -> bool {
        disk.open(&self.abort()).is_ok()
    }

    /// Marks the directory as in use by a running process. `is_marked`: the last one left its mark, perhaps not on stable
    /// storage yet.
    pub(crate) fn mark_running(&self, disk: &dyn Disk, is_marked: bool) -> Result<(), Error> {
        if is_marked {
            return self.sync(disk);
        }
        match write_atomically(disk, &self.root, "abort", format!("{}\n", process::id()).as_bytes()) {
            // Its name is the mark; a full disk has no block for who made it.
            Err(Error::Io { source, .. }) if source.kind() == io::ErrorKind::StorageFull => {
                write_atomically(disk, &self.root, "abort", &[])
            }
            written => written,
        }
    }

    /// Removes the mark: the store was closed properly.
    pub(crate) fn mark_stopped(&self, disk: &dyn Disk) -> Result<(), Error> {
        disk.remove(&self.abort()).map_err(|error| Error::io("remove", self.abort(), error))?;
        self.sync(disk)
    }

    fn sync(&self, disk: &dyn Disk) -> Result<(), Error> {
        disk.sync_dir(&self.root).map_err(|error| Error::io("sync", &self.root, error))
    }
}

/// Whether the files of a log may have that many bytes.
pub(crate) fn is_file_size(bytes: u64) -> bool {
    (64 * 1024..=u64::from(u32::MAX)).contains(&bytes) && bytes.is_multiple_of(4096)
}

fn check_file_size(file_size: u64) -> Result<(), String> {
    if is_file_size(file_size) {
        return Ok(());
    }
    Err(format!(
        "commitlog file size is {file_size} bytes; it must be a multiple of 4096 between 65536 and 4294963200"
    ))
}

fn encode_format(format: Format) -> Vec<u8> {
    let mut out = Vec::with_capacity(FORMAT_LEN);
    out.extend_from_slice(&FORMAT_MAGIC);
    out.extend_from_slice(&FORMAT_VERSION.to_be_bytes());
    out.extend_from_slice(format.store_id.as_bytes());
    out.extend_from_slice(&format.file_size.to_be_bytes());
    let crc = crc32c::crc32c(&out);
    out.extend_from_slice(&crc.to_be_bytes());
    out
}

/// Writes `dir/name` so that after a crash either the old or the new contents are there, whole.
pub(crate) fn write_atomically(
    disk: &dyn Disk,
    dir: &Path,
    name: &str,
    contents: &[u8],
) -> Result<(), Error> {
    let (path, temporary) = (dir.join(name), dir.join(format!("{name}.tmp")));
    let write = || -> io::Result<()> {
        let file = disk.create(&temporary, contents.len() as u64)?;
        file.write_all_at(&mut [IoSlice::new(contents)], 0)?;
        file.sync()?;
        disk.rename(&temporary, &path)?;
        disk.sync_dir(dir)
    };
    write().map_err(|error| Error::io("write", &path, error))
}
