//! Looking into a data directory that no broker has open: verify, dump, salvage.
//!
//! Called by `onelog log`. Unlike recovery it does not stop at the first bad byte: it goes on behind it and says what is
//! lost. Invariant: nothing in the inspected directory is written but the pid in `lock`; everything is read through a
//! [`Disk`] that refuses every change.

mod directory;
mod dump;
mod dump_line;
mod finding;
mod groups;
mod index_files;
mod known;
mod loss;
mod place;
mod queues;
mod read_only;
mod runs;
mod salvage;
mod survey;
mod verify;
mod walk;
mod words;

use std::fmt;
use std::ops::ControlFlow;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use thiserror::Error;

use crate::clock::Clock;
use crate::data_dir::DataDir;
use crate::disk::{DirLock, Disk};
use crate::error::{Error, OpenError, TopicError};

use directory::Directory;

pub use dump::Filter;
pub use dump_line::{BatchLine, DumpLine, FrameLine, RecordLine};
pub use finding::{Finding, OffsetRange, Severity};
pub use salvage::Salvaged;
pub use verify::Verified;

/// Bytes of a key or value that a dump shows at most.
pub const SHOWN_BYTES: usize = 256;

/// Why a directory could not be looked into, or not be salvaged.
#[derive(Debug, Error)]
pub enum InspectError {
    /// A broker, or another look, holds the directory.
    #[error("{dir} is in use by process {pid}; stop it first")]
    InUse {
        /// The data directory.
        dir: PathBuf,
        /// Pid of the holder, "unknown" when it left none.
        pid: String,
    },
    /// Nothing of ours is there.
    #[error("{0} is not an onelog data directory: it has neither a file `format` nor a folder `commitlog`")]
    NotOurs(PathBuf),
    /// The new directory is not new.
    #[error("{0} is not empty; salvage writes into a directory that does not exist or is empty")]
    TargetInUse(PathBuf),
    /// The filter names a file that the log does not have.
    #[error("{0} is no file of this log; name one as it is in `commitlog`, 20 digits")]
    NoSuchFile(String),
    /// Opening failed, here or of the new directory.
    #[error(transparent)]
    Open(#[from] OpenError),
    /// Reading or writing failed.
    #[error(transparent)]
    Log(#[from] Error),
    /// The new directory did not take a topic or config.
    #[error("writing the new directory: {0}")]
    Write(#[from] TopicError),
    /// The new directory did not take a frame.
    #[error("writing the new directory: {0}")]
    Append(#[from] Arc<Error>),
}

/// Is told how many bytes were looked at so far, out of [`Inspection::bytes`].
pub type Progress<'a> = &'a mut dyn FnMut(u64);

/// A data directory under its lock.
pub struct Inspection {
    directory: Directory,
    /// What salvage writes the new directory with.
    disk: Arc<dyn Disk>,
    _lock: DirLock,
}

impl fmt::Debug for Inspection {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Inspection").field("dir", &self.directory.root()).finish_non_exhaustive()
    }
}

impl Inspection {
    /// Takes the directory's lock and reads what lies beside the log. Damage is no error here: `verify` reports it.
    ///
    /// # Errors
    /// `InUse`, `NotOurs`, and what the file system says.
    pub fn open(dir: &Path, disk: Arc<dyn Disk>) -> Result<Self, InspectError> {
        let names = disk.list(dir).map_err(|error| Error::io("list", dir, error))?;
        if !names.iter().any(|name| name == "format" || name == "commitlog") {
            return Err(InspectError::NotOurs(dir.to_owned()));
        }
        let lock = DataDir::new(dir.to_owned()).lock(&*disk).map_err(|error| match error {
            OpenError::InUse { dir, pid } => InspectError::InUse { dir, pid },
            other => other.into(),
        })?;
        let directory = Directory::read(dir, read_only::ReadOnly::over(Arc::clone(&disk)))?;
        Ok(Self { directory, disk, _lock: lock })
    }

    /// Bytes of all commitlog files.
    #[must_use]
    pub fn bytes(&self) -> u64 {
        self.directory.files.iter().map(walk::LogFile::len).sum()
    }

    /// Checks every frame of the log and everything that is derived from it; `report` is told each bad thing.
    ///
    /// # Errors
    /// Only when something cannot be read at all.
    pub fn verify(
        &self,
        report: &mut dyn FnMut(Finding),
        progress: Progress<'_>,
    ) -> Result<Verified, InspectError> {
        verify::verify(&self.directory, report, progress)
    }

    /// Shows `visit` every frame that the filter lets through, in the order of the log, until it breaks; rewrite files come
    /// last.
    ///
    /// # Errors
    /// `NoSuchFile`; when something cannot be read at all.
    pub fn dump(
        &self,
        filter: &Filter,
        visit: &mut dyn FnMut(DumpLine) -> ControlFlow<()>,
    ) -> Result<(), InspectError> {
        dump::dump(&self.directory, filter, visit)
    }

    /// Writes everything that is whole into `target`, a new directory that a normal start then opens. `report` is told
    /// all that `verify` would tell, and what salvage itself could not keep.
    ///
    /// # Errors
    /// `TargetInUse`; when something cannot be read or written at all: `target` is then of no use.
    pub fn salvage(
        &self,
        target: &Path,
        clock: Arc<dyn Clock>,
        report: &mut dyn FnMut(Finding),
        progress: Progress<'_>,
    ) -> Result<Salvaged, InspectError> {
        salvage::salvage(&self.directory, Arc::clone(&self.disk), target, clock, report, progress)
    }
}
