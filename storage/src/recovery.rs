//! Opening a data directory: newest checkpoint, its snapshot, then one replay through the live `apply`.
//!
//! Called by `store`. The rules for what a bad frame means are in `docs/STORAGE_FORMAT.md` §8: a torn tail is cut,
//! damage below what was proven durable is refused with file and position named, and nothing is shortened then.

mod apply;
mod files;
mod rebuild;
mod scan;

use std::sync::Arc;
use std::time::Duration;

use crate::catalog::Catalog;
use crate::checkpoint::Checkpoint;
use crate::clock::Clock;
use crate::commit_log::{CommitLog, LogWriter};
use crate::consume_queue::Extents;
use crate::data_dir::{DataDir, Format};
use crate::disk::Disk;
use crate::engine::Parts;
use crate::error::{Error, OpenError};
use crate::housekeeping::snapshot_name;
use crate::log_policy::Policies;
use crate::manifest::FileRecord;
use crate::mapped_file::{FILE_HEADER_LEN, MappedFile};
use crate::position::Position;
use crate::snapshot;
use crate::store::StoreConfig;

use apply::Replay;
use files::{Listed, LogFiles};
use rebuild::Rebuild;
use scan::Scan;

/// What opening found, for one log line and the tests.
#[derive(Debug, Clone, Default)]
pub struct Recovered {
    /// The directory is new, or the last process closed the store properly.
    pub clean: bool,
    /// Frames replayed after the checkpoint.
    pub frames: u64,
    /// Bytes replayed after the checkpoint.
    pub bytes: u64,
    /// Bytes of a torn tail that were cut.
    pub cut: u64,
    /// Partitions found.
    pub partitions: usize,
    /// How long it took.
    pub took: Duration,
}

/// Brings the projections to the end of the log and makes that end durable.
pub(crate) fn recover(
    config: StoreConfig,
    disk: Arc<dyn Disk>,
    clock: Arc<dyn Clock>,
    dir: DataDir,
    format: Format,
    was_running: bool,
) -> Result<(Parts, Recovered), OpenError> {
    let checkpoint = Checkpoint::load(&*disk, &dir)?;
    let begin = checkpoint.map_or(Position(0), |slot| slot.begin);
    let extents = Extents::new(Arc::clone(&disk), dir.consume_queue(), format.file_size);
    let (catalog, base) = load_snapshot(&*disk, &dir, &extents, &config.policies, checkpoint.as_ref());
    let listed = base.as_ref().map(|(position, files)| Listed { files, position: *position });
    let mut files = LogFiles::open(&*disk, dir.commit_log(), format.file_size, begin, listed.as_ref())?;
    files.check_holds(checkpoint.as_ref())?;

    let clean = checkpoint.is_some_and(|slot| slot.clean) && !was_running && base.is_some();
    let new = files.is_empty() && checkpoint.is_none();
    if new && format.file_size != config.file_size {
        // No file has the length of the format file yet: the one that is asked for now counts.
        let format = dir.create(&*disk, Format { file_size: config.file_size, ..format })?;
        return recover(config, disk, clock, dir, format, was_running);
    }
    let mut recovered = Recovered { clean: clean || new, ..Recovered::default() };
    let base = base.map(|(position, _)| position);
    let start = base.unwrap_or_else(|| files.first_frame());
    let durable = checkpoint.map_or(Position(0), |slot| slot.durable);
    let walk = Walk { disk: &*disk, catalog: &catalog, extents: &extents, start, durable };
    let end = if base.is_some() {
        walk.replay(&mut files, &mut recovered)?
    } else {
        walk.rebuild(&mut files, &mut recovered)?
    };
    publish(&catalog);
    // Also after a clean stop: a file created ahead of need may stand behind the end.
    recovered.cut = files.remove_behind(&*disk, end)?;
    if !clean {
        recovered.cut += files.zero_behind(end)?;
    }
    files.sync_from(start)?;

    let next_incarnation = files.next_incarnation().max(checkpoint.map_or(1, |slot| slot.next_incarnation));
    let (files, last, next_incarnation) = files.finish(&*disk, end, next_incarnation)?;
    let end = end.max(last.base().plus(FILE_HEADER_LEN));
    let log =
        CommitLog::new(Arc::clone(&disk), dir.commit_log(), format.file_size, files, end, next_incarnation);
    for topic in catalog.topics() {
        recovered.partitions += topic.partitions().len();
    }
    let last_checkpoint = (checkpoint.map_or(0, |slot| slot.sequence), base.unwrap_or_default());
    let writer = LogWriter::new(last, end);
    Ok((Parts { config, disk, clock, dir, log, extents, catalog, writer, last_checkpoint }, recovered))
}

/// Where a snapshot stands, and the log's files with their live bytes as it lists them.
type Base = (Position, Vec<(FileRecord, u64)>);

/// The catalog as of the checkpoint and what the snapshot says, or an empty one when the whole log must be replayed.
fn load_snapshot(
    disk: &dyn Disk,
    dir: &DataDir,
    extents: &Extents,
    policies: &Policies,
    checkpoint: Option<&Checkpoint>,
) -> (Catalog, Option<Base>) {
    let empty = || Catalog::new(Arc::clone(policies));
    let Some(checkpoint) = checkpoint else { return (empty(), None) };
    let path = dir.snapshots().join(snapshot_name(checkpoint.sequence));
    let catalog = empty();
    let loaded = disk
        .open(&path)
        .and_then(|file| file.read(0, usize::try_from(file.len()).map_err(std::io::Error::other)?))
        .map_err(|error| error.to_string())
        .and_then(|bytes| snapshot::decode(&bytes, &catalog, extents, checkpoint.position));
    match loaded {
        Ok(files) => (catalog, Some((checkpoint.position, files))),
        Err(reason) => {
            tracing::warn!(file = %path.display(), %reason, "state snapshot is unusable; replaying the whole log");
            (empty(), None)
        }
    }
}

/// From where the log is walked, and what proves it durable.
struct Walk<'a> {
    disk: &'a dyn Disk,
    catalog: &'a Catalog,
    extents: &'a Extents,
    start: Position,
    durable: Position,
}

impl Walk<'_> {
    /// Applies every whole group behind the snapshot; returns where the log ends.
    fn replay(&self, files: &mut LogFiles, recovered: &mut Recovered) -> Result<Position, OpenError> {
        let replay = Replay { disk: self.disk, catalog: self.catalog, extents: self.extents };
        let mut scan = Scan::new(self.start, self.durable);
        while let Some(group) = scan.next_group(files)? {
            recovered.frames += group.len() as u64;
            for (header, payload) in &group {
                replay.apply(files, header, payload).map_err(|what| files.corrupt(header.position, what))?;
            }
        }
        if !recovered.clean {
            scan.check_torn(files)?;
        }
        recovered.bytes = scan.end().0 - self.start.0;
        Ok(scan.end())
    }

    /// Builds everything from the log alone; returns where the log ends.
    fn rebuild(&self, files: &mut LogFiles, recovered: &mut Recovered) -> Result<Position, OpenError> {
        let mut rebuild = Rebuild::new(self.catalog, self.extents);
        let mut scan = Scan::new(self.start, self.durable);
        while let Some(group) = scan.next_group(files)? {
            recovered.frames += group.len() as u64;
            for (header, payload) in &group {
                rebuild.learn(header, payload).map_err(|what| files.corrupt(header.position, what))?;
            }
        }
        if !recovered.clean {
            scan.check_torn(files)?;
        }
        let end = scan.end();
        rebuild.settle_files(self.disk, files)?;
        let mut scan = Scan::new(files.first_frame().min(end), end);
        while scan.end() < end
            && let Some(group) = scan.next_group(files)?
        {
            for (header, payload) in &group {
                rebuild.take(files, header, payload).map_err(|what| files.corrupt(header.position, what))?;
            }
        }
        rebuild.finish(files)?;
        recovered.bytes = end.0 - self.start.0;
        Ok(end)
    }
}

/// Everything that was found is readable.
fn publish(catalog: &Catalog) {
    for topic in catalog.topics() {
        for partition in topic.partitions().iter() {
            let next_offset = partition.recovered();
            partition.publish_log_end(next_offset);
            partition.publish_high_watermark(next_offset);
        }
    }
}

/// A file that must be there is not.
fn missing(dir: &std::path::Path, position: Position) -> Error {
    Error::Corrupt {
        file: MappedFile::path(dir, position),
        at: 0,
        position,
        what: "this commitlog file is missing; put it back from a backup".to_owned(),
    }
}
