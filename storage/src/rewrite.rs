//! Giving space back: the live frames of mostly dead files are copied together, grouped by partition.
//!
//! Called by `cleaner`. A rewrite is: copy into new files, make them durable, say so in one frame of the log (the manifest),
//! point the queues at the copies. The frame is the moment of truth: before it the copies are garbage, after it every
//! start points the queues at them again. Never inside the append lock; never above the last checkpoint.
//! (storage.md 5.8, 5.12 "Relocate"; raft-engine's rewrite queue.)

mod buffer;
mod retire;
mod swap;
mod victims;

use std::collections::BTreeMap;
use std::sync::Arc;

use bytes::Bytes;

use crate::append::{append_metadata, metadata_draft};
use crate::consume_queue::Entry;
use crate::engine::Engine;
use crate::error::Error;
use crate::flush::flush_once;
use crate::frame::FrameKind;
use crate::frame_walk::each_frame;
use crate::manifest::Compaction;
use crate::mapped_file::MappedFile;
use crate::partition_log::PartitionLog;
use crate::position::Offset;
use crate::read::check;

pub(crate) use buffer::Copies;
pub(crate) use retire::retire_dead;
pub(crate) use swap::swap;

/// Copies the live frames of the files that are worth it. Returns whether there were any.
///
/// # Errors
/// Log failures; nothing is lost, the next round tries again.
pub(crate) fn relocate(engine: &Engine) -> Result<bool, Arc<Error>> {
    let checkpoint = engine.last_checkpoint.lock().expect("no panic under this lock").1;
    let sealed = engine.log.sealed();
    let chosen = victims::choose(&victims::uses(&sealed, checkpoint), engine.log.file_size());
    let victims: Vec<_> = sealed.into_iter().filter(|file| chosen.contains(&file.base())).collect();
    if victims.is_empty() {
        return Ok(false);
    }
    let mut copies = Copies::new(engine);
    let copied = copy(engine, &victims, &mut copies);
    commit(engine, copies.finish(engine, copied)?, Vec::new())?;
    Ok(true)
}

fn copy(engine: &Engine, victims: &[Arc<MappedFile>], copies: &mut Copies) -> Result<(), Error> {
    for (partition, entries) in live_entries(engine, victims)? {
        let numbers = (partition.topic_number(), partition.partition().unsigned_abs());
        for entry in entries {
            match copy_of(engine, &entry)? {
                Some(batch) => copies.push(engine, numbers, &entry, &batch)?,
                None => tracing::error!(
                    topic = numbers.0,
                    partition = numbers.1,
                    offset = entry.base_offset,
                    position = entry.position.0,
                    "a damaged batch is not copied: its file stays"
                ),
            }
        }
    }
    Ok(())
}

type LiveEntries = Vec<(Arc<PartitionLog>, Vec<Entry>)>;

/// The entries of all batches in `victims` that some partition still has, by partition and offset.
fn live_entries(engine: &Engine, victims: &[Arc<MappedFile>]) -> Result<LiveEntries, Error> {
    let mut ranges: BTreeMap<(u32, u32), (Offset, Offset)> = BTreeMap::new();
    for file in victims {
        each_frame(file, file.end(), |frame, _| {
            if frame.kind == FrameKind::Batch {
                let offset = frame.base_offset;
                let range = ranges.entry((frame.topic, frame.partition)).or_insert((offset, offset));
                *range = (range.0.min(offset), range.1.max(offset));
            }
            Ok(())
        })?;
    }
    let in_victims =
        |entry: &Entry| victims.iter().any(|file| (file.base()..file.end()).contains(&entry.position));
    let mut live = Vec::new();
    for ((topic, partition), (first, last)) in ranges {
        let Some(partition) = engine.catalog.partition(topic, partition) else { continue };
        let from = first.max(partition.log_start_offset());
        let entries = partition.entries(from, last + 1, &engine.extents, in_victims)?;
        live.push((partition, entries));
    }
    Ok(live)
}

/// The batch that `entry` points at, `None` when it is not what was written.
pub(crate) fn copy_of(engine: &Engine, entry: &Entry) -> Result<Option<Bytes>, Error> {
    let batch = engine.log.copy_payload(entry)?;
    Ok(check(entry, &batch).is_ok().then_some(batch))
}

/// Makes `files` part of the log and points the queues at what is in them.
pub(crate) fn commit(
    engine: &Engine,
    files: Vec<Arc<MappedFile>>,
    compactions: Vec<Compaction>,
) -> Result<(), Arc<Error>> {
    // A checkpoint in between would know the new files without the queues that point at them.
    let _unsettled = engine.settled.read().expect("no panic under this lock");
    let log = &engine.log;
    let prepare = || {
        let body = log.manifest(&files, &[], compactions.clone()).encode();
        Ok::<_, Arc<Error>>((metadata_draft(FrameKind::Files, 0, 0, 0, body), ()))
    };
    let committed = append_metadata(engine, prepare, |(), frame| frame);
    let frame = match committed {
        Ok((frame, _)) => frame,
        Err(error) => {
            // No frame names them; a start would remove them too.
            log.discard(&files)?;
            return Err(error);
        }
    };
    flush_once(engine)?;
    files.iter().for_each(|file| log.adopt(Arc::clone(file)));
    let dead = |entry: &Entry| log.remove_live(entry);
    swap(&engine.catalog, &engine.extents, &files, &compactions, frame, dead)?;
    Ok(())
}
