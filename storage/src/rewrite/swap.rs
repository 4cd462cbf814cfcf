//! Pointing the consume queues at batches that were copied to other files.
//!
//! Called by `rewrite` right after its frame is durable, and by replay when it comes upon that frame. Idempotent.

use std::collections::BTreeMap;
use std::sync::Arc;

use protocol::record_batch::RecordBatchView;

use crate::catalog::Catalog;
use crate::consume_queue::{Entry, Extents};
use crate::error::Error;
use crate::frame::{FrameHeader, payload_at};
use crate::frame_walk::each_frame;
use crate::manifest::Compaction;
use crate::mapped_file::MappedFile;
use crate::partition_log::Compacted;
use crate::position::Position;

type Frames = Vec<(FrameHeader, Arc<MappedFile>)>;

/// Points the queues at the batches in `files`; partitions in `compactions` lose what is not in them. `dead` is told each
/// place that nothing points at any more.
pub(crate) fn swap(
    catalog: &Catalog,
    extents: &Extents,
    files: &[Arc<MappedFile>],
    compactions: &[Compaction],
    frame: Position,
    dead: impl Fn(&Entry),
) -> Result<(), Error> {
    let mut frames = by_partition(files)?;
    for compaction in compactions {
        let numbers = (compaction.topic, compaction.partition);
        let frames = frames.remove(&numbers).unwrap_or_default();
        let Some(partition) = catalog.partition(numbers.0, numbers.1) else { continue };
        let entries =
            frames.iter().map(|(header, file)| entry_of(header, file)).collect::<Result<Vec<_>, _>>()?;
        let compacted = Compacted { upto: compaction.upto, generation: compaction.generation, frame };
        let live = |entry: &Entry| add_live(files, entry);
        partition.apply_compaction(compacted, &entries, extents, live, &dead)?;
    }
    for ((topic, partition), frames) in frames {
        let Some(partition) = catalog.partition(topic, partition) else { continue };
        let moved: Vec<_> = frames.iter().map(|(header, _)| (header.base_offset, header.position)).collect();
        partition.apply_repoint(&moved, extents, |before, after| {
            dead(before);
            add_live(files, after);
        })?;
    }
    Ok(())
}

fn add_live(files: &[Arc<MappedFile>], entry: &Entry) {
    if let Some(file) = files.iter().find(|file| (file.base()..file.end()).contains(&entry.position)) {
        file.add_live(entry.frame_len());
    }
}

/// The frames of all files, each partition's in offset order, as they were written.
fn by_partition(files: &[Arc<MappedFile>]) -> Result<BTreeMap<(u32, u32), Frames>, Error> {
    let mut frames: BTreeMap<_, Frames> = BTreeMap::new();
    for file in files {
        each_frame(file, file.end(), |header, _| {
            frames.entry((header.topic, header.partition)).or_default().push((*header, Arc::clone(file)));
            Ok(())
        })?;
    }
    Ok(frames)
}

/// The queue entry of a batch in a rewrite file; its running maximum is the queue's business.
fn entry_of(header: &FrameHeader, file: &MappedFile) -> Result<Entry, Error> {
    let at = header.position.plus(payload_at(header.first));
    let len = usize::try_from(header.payload_len).expect("32 bits fit");
    let bytes = file.copy(at, len).map_err(|source| Error::io("read", file.file_name(), source))?;
    let batch = RecordBatchView::parse(&bytes).map_err(|error| Error::Corrupt {
        file: file.file_name(),
        at: at.0 - file.base().0,
        position: at,
        what: error.to_string(),
    })?;
    Ok(Entry::of(&batch, header.position, header.first, header.base_offset, header.leader_epoch))
}
