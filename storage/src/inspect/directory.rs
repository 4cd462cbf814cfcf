//! What lies in the inspected directory beside the frames: format, checkpoint slots, snapshot, list of files.
//!
//! Read once, when the directory is opened. Whatever is bad becomes a finding; nothing bad stops the look.

use std::collections::BTreeMap;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use crate::catalog::Catalog;
use crate::checkpoint::{Checkpoint, SLOT_LEN, SLOT_SPACING};
use crate::consume_queue::Extents;
use crate::data_dir::{DataDir, Format, is_file_size};
use crate::disk::Disk;
use crate::error::{Error, OpenError};
use crate::housekeeping::snapshot_name;
use crate::manifest::FileRecord;
use crate::mapped_file::MappedFile;
use crate::position::Position;
use crate::snapshot;

use super::finding::{Finding, Severity};
use super::walk::LogFile;

const WITHOUT_FORMAT: &str = "No start is possible, or one that makes a new identity: put the file back from a backup, or use `onelog log salvage`";
const WITHOUT_SLOT: &str = "The next start uses the other slot, or replays the whole log where there is none";
const WITHOUT_SNAPSHOT: &str = "The next start replays the whole log and writes a new snapshot";

/// The directory as it was found.
pub(super) struct Directory {
    dir: DataDir,
    pub(super) disk: Arc<dyn Disk>,
    /// `None` when it is damaged or gone.
    pub(super) format: Option<Format>,
    /// As the format says; as most files are where it is gone or no file agrees with it.
    pub(super) file_size: u64,
    /// The newest valid slot.
    pub(super) checkpoint: Option<Checkpoint>,
    /// The catalog as of the checkpoint, when the snapshot is whole.
    pub(super) catalog: Option<Catalog>,
    /// The files that the log had at the checkpoint, says the snapshot.
    pub(super) listed: Vec<FileRecord>,
    /// Append files, then rewrite files, by position.
    pub(super) files: Vec<LogFile>,
    /// What is bad here.
    pub(super) findings: Vec<Finding>,
}

impl Directory {
    /// # Errors
    /// Only when something that is there cannot be read.
    pub(super) fn read(root: &Path, disk: Arc<dyn Disk>) -> Result<Self, OpenError> {
        let dir = DataDir::new(root.to_owned());
        let mut findings = Vec::new();
        let format = read_format(&dir, &disk, &mut findings)?;
        let bases = bases(&*disk, &dir.commit_log())?;
        let usual = || usual_size(&*disk, &dir.commit_log(), &bases);
        let is_of_one = |size| {
            let mut appended = bases.iter().filter(|base| !base.is_rewritten());
            appended.any(|base| MappedFile::open(&*disk, &dir.commit_log(), *base, size).is_ok())
        };
        let file_size = match format {
            None => usual(),
            Some(Format { file_size, .. }) if is_of_one(file_size) => file_size,
            // A size that only the format file knows could be any: what most files have is room enough for what they hold.
            Some(Format { file_size, .. }) => {
                let usual = Some(usual()).filter(|usual| is_file_size(*usual)).unwrap_or(file_size);
                if usual != file_size {
                    let what = format!("commitlog files should have {file_size} bytes; they have {usual}");
                    let file = dir.root().join("format");
                    findings.push(beside(Severity::Damage, &file, 28, what, WITHOUT_FORMAT));
                }
                usual
            }
        };
        let checkpoint = read_slots(&dir, &*disk, &mut findings)?;
        let mut files = Vec::new();
        // Files below `begin` were given up; the next start removes them.
        let begin = checkpoint.map_or(Position(0), |slot| slot.begin);
        for base in bases.into_iter().filter(|base| *base >= begin) {
            files.push(LogFile::open(&*disk, &dir.commit_log(), base, file_size)?);
        }
        let mut directory = Self {
            dir,
            disk,
            format,
            file_size,
            checkpoint,
            catalog: None,
            listed: Vec::new(),
            files,
            findings,
        };
        directory.read_snapshot()?;
        Ok(directory)
    }

    pub(super) fn root(&self) -> &Path {
        self.dir.root()
    }

    pub(super) fn commit_log(&self) -> PathBuf {
        self.dir.commit_log()
    }

    pub(super) fn index(&self) -> PathBuf {
        self.dir.index()
    }

    /// The file that holds `position`.
    pub(super) fn file_at(&self, position: Position) -> Option<&LogFile> {
        let after = self.files.partition_point(|file| file.base() <= position);
        self.files.get(after.checked_sub(1)?).filter(|file| file.holds(position))
    }

    /// Over the read-only disk: a page is read, never written.
    pub(super) fn extents(&self) -> Extents {
        Extents::new(Arc::clone(&self.disk), self.dir.consume_queue(), self.file_size)
    }

    fn read_snapshot(&mut self) -> Result<(), Error> {
        let Some(checkpoint) = self.checkpoint else { return Ok(()) };
        let path = self.dir.snapshots().join(snapshot_name(checkpoint.sequence));
        let catalog = Catalog::default();
        let loaded = match self.disk.open(&path).and_then(|file| file.copy(0, to_usize(file.len())?)) {
            Ok(bytes) => snapshot::decode(&bytes, &catalog, &self.extents(), checkpoint.position),
            Err(error) if error.kind() == io::ErrorKind::NotFound => Err("it is missing".to_owned()),
            Err(error) => return Err(Error::io("read", path, error)),
        };
        match loaded {
            Ok(listed) => {
                self.catalog = Some(catalog);
                self.listed = listed.into_iter().map(|(record, _)| record).collect();
            }
            Err(why) => {
                let what = format!("the state snapshot of the newest checkpoint is unusable: {why}");
                self.findings.push(beside(Severity::Rebuildable, &path, 0, what, WITHOUT_SNAPSHOT));
            }
        }
        Ok(())
    }
}

/// A finding in a file that holds no log positions.
pub(super) fn beside(severity: Severity, file: &Path, at: u64, what: String, meaning: &str) -> Finding {
    let (file, meaning) = (file.to_owned(), meaning.to_owned());
    Finding { severity, file, at, len: 0, position: None, what, meaning, offsets: Vec::new() }
}

fn to_usize(len: u64) -> io::Result<usize> {
    usize::try_from(len).map_err(io::Error::other)
}

fn read_format(
    dir: &DataDir,
    disk: &Arc<dyn Disk>,
    findings: &mut Vec<Finding>,
) -> Result<Option<Format>, OpenError> {
    let path = dir.root().join("format");
    let mut damaged = |what: String| {
        findings.push(beside(Severity::Damage, &path, 0, what, WITHOUT_FORMAT));
        Ok(None)
    };
    match disk.open(&path) {
        Ok(_) => {}
        Err(error) if error.kind() == io::ErrorKind::NotFound => {
            return damaged("the directory's format file is missing".to_owned());
        }
        Err(error) => return Err(Error::io("open", path, error).into()),
    }
    // The file is there: nothing is created, nor could it be on this disk.
    match dir.format_or_create(&**disk, 0) {
        Ok(format) => Ok(Some(format)),
        Err(OpenError::Log(Error::Io { source, .. })) if source.kind() == io::ErrorKind::UnexpectedEof => {
            damaged("the directory's format file ends early".to_owned())
        }
        Err(OpenError::Foreign { .. }) => damaged("the directory's format file has no magic".to_owned()),
        Err(error @ OpenError::NewerFormat { .. }) => damaged(error.to_string()),
        Err(OpenError::Log(Error::Corrupt { what, .. })) => damaged(what),
        Err(error) => Err(error),
    }
}

/// The newest valid slot. Of two slots written in turn both must be valid, but before the second checkpoint.
fn read_slots(
    dir: &DataDir,
    disk: &dyn Disk,
    findings: &mut Vec<Finding>,
) -> Result<Option<Checkpoint>, Error> {
    let path = dir.checkpoint();
    let file = match disk.open(&path) {
        Ok(file) => file,
        Err(error) if error.kind() == io::ErrorKind::NotFound => {
            if disk.list(&dir.snapshots()).is_ok_and(|names| !names.is_empty()) {
                let what = "the checkpoint file is missing".to_owned();
                findings.push(beside(Severity::Rebuildable, &path, 0, what, WITHOUT_SNAPSHOT));
            }
            return Ok(None);
        }
        Err(error) => return Err(Error::io("open", path, error)),
    };
    // A slot that is not valid is told apart by whether anything was ever written there.
    let slot = |at| match file.copy(at, SLOT_LEN) {
        Ok(bytes) => Ok(Checkpoint::decode(&bytes).ok_or(bytes.iter().any(|byte| *byte != 0))),
        Err(error) if error.kind() == io::ErrorKind::UnexpectedEof => Ok(Err(true)),
        Err(error) => Err(Error::io("read", &path, error)),
    };
    let slots = [(0, slot(0)?), (SLOT_SPACING as u64, slot(SLOT_SPACING as u64)?)];
    let newest = slots.iter().filter_map(|(_, slot)| slot.ok()).max_by_key(|slot| slot.sequence);
    let second = newest.is_some_and(|newest| newest.sequence > 1);
    for (at, slot) in slots {
        if let Err(written) = slot
            && (written || second || newest.is_none())
        {
            let what = "this checkpoint slot is damaged".to_owned();
            findings.push(beside(Severity::Rebuildable, &path, at, what, WITHOUT_SLOT));
        }
    }
    Ok(newest)
}

/// First positions of all commitlog files, in order.
fn bases(disk: &dyn Disk, dir: &Path) -> Result<Vec<Position>, Error> {
    let names = match disk.list(dir) {
        Ok(names) => names,
        Err(error) if error.kind() == io::ErrorKind::NotFound => Vec::new(),
        Err(error) => return Err(Error::io("list", dir, error)),
    };
    // Positions never get beyond 2^63: a greater name is none of ours, and its file's end could not be counted.
    let named = names.iter().filter(|name| name.len() == 20 && name.as_str() < "09223372036854775808");
    let mut bases: Vec<Position> = named.filter_map(|name| name.parse().ok().map(Position)).collect();
    bases.sort_unstable();
    Ok(bases)
}

/// The length that most append files have.
fn usual_size(disk: &dyn Disk, dir: &Path, bases: &[Position]) -> u64 {
    let mut counts: BTreeMap<u64, usize> = BTreeMap::new();
    for base in bases.iter().filter(|base| !base.is_rewritten()) {
        if let Ok(file) = disk.open(&MappedFile::path(dir, *base)) {
            *counts.entry(file.len()).or_default() += 1;
        }
    }
    counts.into_iter().max_by_key(|(_, count)| *count).map_or(0, |(size, _)| size)
}
