//! A closed data directory, kept in memory: what test mode takes as a snapshot and goes back to.
//!
//! Knows which files belong to a directory (`docs/STORAGE_FORMAT.md` §1) and nothing of what is in them. Invariants: the directory is
//! of one moment, because nobody has it open; one that is put back half, by a crash, has no `format` and is refused by a start.

use std::io::{self, IoSlice};
use std::path::{Path, PathBuf};

use bytes::Bytes;

use crate::data_dir::{DataDir, write_atomically};
use crate::disk::Disk;
use crate::error::Error;

/// In its directory.
const FORMAT: &str = "format";

/// All files of a data directory that is not open. See the module.
#[derive(Debug)]
pub struct DirectoryImage {
    format: Bytes,
    files: Vec<File>,
}

#[derive(Debug)]
struct File {
    /// Below the data directory.
    path: PathBuf,
    len: u64,
    /// From its beginning; behind it all is zero.
    data: Bytes,
}

impl DirectoryImage {
    /// Of the directory `root`, unless it has more than `most_bytes` that are not zero: `None` then.
    ///
    /// # Errors
    /// Io; there is no such directory.
    pub fn take(disk: &dyn Disk, root: &Path, most_bytes: u64) -> Result<Option<Self>, Error> {
        let (mut files, mut left) = (Vec::new(), most_bytes);
        for from in files_of(disk, root)? {
            let path = from.strip_prefix(root).expect("it was listed below the root").to_owned();
            let read = || -> io::Result<Option<File>> {
                let file = disk.open(&from)?;
                let end = file.data_end()?;
                let Some(rest) = left.checked_sub(end) else { return Ok(None) };
                left = rest;
                let data = file.copy(0, usize::try_from(end).map_err(io::Error::other)?)?;
                Ok(Some(File { path, len: file.len(), data }))
            };
            let Some(file) = read().map_err(|error| Error::io("read", &from, error))? else {
                return Ok(None);
            };
            files.push(file);
        }
        let path = root.join(FORMAT);
        let format = disk
            .open(&path)
            .and_then(|file| file.copy(0, usize::try_from(file.len()).map_err(io::Error::other)?));
        let format = format.map_err(|error| Error::io("read", path, error))?;
        Ok(Some(Self { format, files }))
    }

    /// Makes `root`, which nobody has open, what it was. Durable when it returns.
    ///
    /// # Errors
    /// Io; the directory cannot be opened any more then.
    pub fn put_back(&self, disk: &dyn Disk, root: &Path) -> Result<(), Error> {
        let removed = |path: PathBuf| {
            disk.remove(&path).or_else(|error| match error.kind() {
                io::ErrorKind::NotFound => Ok(()),
                _ => Err(Error::io("remove", path, error)),
            })
        };
        removed(root.join(FORMAT))?;
        disk.sync_dir(root).map_err(|error| Error::io("sync", root, error))?;
        for path in files_of(disk, root)? {
            removed(path)?;
        }
        for File { path, len, data } in &self.files {
            let path = root.join(path);
            let write = || -> io::Result<()> {
                // A new file: bytes of the old one may be on their way to a client.
                let file = disk.create(&path, *len)?;
                file.write_all_at(&mut [IoSlice::new(data)], 0)?;
                file.sync()
            };
            write().map_err(|error| Error::io("write", &path, error))?;
        }
        for directory in directories(root) {
            match disk.sync_dir(&directory) {
                Err(error) if error.kind() != io::ErrorKind::NotFound => {
                    return Err(Error::io("sync", directory, error));
                }
                _ => {}
            }
        }
        write_atomically(disk, root, FORMAT, &self.format)
    }

    /// What it takes of memory, bytes.
    #[must_use]
    pub fn bytes(&self) -> u64 {
        self.files.iter().map(|file| file.data.len() as u64).sum()
    }
}

/// All but `format`, the lock and the mark of a running process, below `root`.
fn files_of(disk: &dyn Disk, root: &Path) -> Result<Vec<PathBuf>, Error> {
    let checkpoint = DataDir::new(root.to_owned()).checkpoint();
    let mut files = Vec::new();
    if disk.open(&checkpoint).is_ok() {
        files.push(checkpoint);
    }
    for directory in directories(root) {
        match disk.list(&directory) {
            Ok(names) => files.extend(names.iter().map(|name| directory.join(name))),
            Err(error) if error.kind() == io::ErrorKind::NotFound => {}
            Err(error) => return Err(Error::io("list", directory, error)),
        }
    }
    Ok(files)
}

fn directories(root: &Path) -> [PathBuf; 4] {
    let dir = DataDir::new(root.to_owned());
    [dir.commit_log(), dir.consume_queue(), dir.snapshots(), dir.index()]
}
