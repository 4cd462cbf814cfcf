//! What each kind of frame does to the projections, in replay. The live path calls the same `apply_*` beneath.

use bytes::Bytes;
use protocol::record_batch::RecordBatchView;

use crate::catalog::{Catalog, TopicRecord, decode_configs};
use crate::consume_queue::{Entry, Extents};
use crate::decode::DecodeError;
use crate::disk::Disk;
use crate::error::Error;
use crate::frame::{FrameHeader, FrameKind};
use crate::manifest::Manifest;
use crate::partition_log::{Compacted, PartitionLog, PartitionState, StampedBatch};
use crate::rewrite::swap;

use super::files::LogFiles;

/// Replay of what came after a snapshot: every frame, in order.
pub(super) struct Replay<'a> {
    pub(super) disk: &'a dyn Disk,
    pub(super) catalog: &'a Catalog,
    pub(super) extents: &'a Extents,
}

impl Replay<'_> {
    /// Applies one frame of a whole group.
    ///
    /// # Errors
    /// A sentence: the frame is valid but does not follow from those before it.
    pub(super) fn apply(
        &self,
        files: &mut LogFiles,
        header: &FrameHeader,
        payload: &Bytes,
    ) -> Result<(), String> {
        match header.kind {
            FrameKind::Batch => self.apply_batch(files, header, payload),
            FrameKind::LogStart => self.apply_log_start(files, header).map_err(|error| error.to_string()),
            FrameKind::Files => {
                let manifest = Manifest::decode(payload).map_err(|error| error.to_string())?;
                self.apply_manifest(files, header, &manifest).map_err(|error| error.to_string())
            }
            FrameKind::Compacted => {
                if let Some(partition) = self.catalog.partition(header.topic, header.partition) {
                    partition.set_compacted_frame(header.position);
                }
                Ok(())
            }
            _ => {
                let dead = |entry: &Entry| files.remove_live(entry);
                apply_metadata(self.catalog, self.extents, header, payload, dead)
                    .map_err(|error| error.to_string())
            }
        }
    }

    fn apply_log_start(&self, files: &LogFiles, header: &FrameHeader) -> Result<(), Error> {
        let Some(partition) = self.catalog.partition(header.topic, header.partition) else { return Ok(()) };
        let dead = |entry: &Entry| files.remove_live(entry);
        partition.set_log_start(header.base_offset, header.position);
        partition.trim(self.extents, dead)
    }

    fn apply_manifest(
        &self,
        files: &mut LogFiles,
        header: &FrameHeader,
        manifest: &Manifest,
    ) -> Result<(), Error> {
        let rewritten = files.take_rewritten(self.disk, manifest)?;
        let (frame, compactions) = (header.position, &manifest.compactions);
        let dead = |entry: &Entry| files.remove_live(entry);
        swap(self.catalog, self.extents, &rewritten, compactions, frame, dead)?;
        files.give_up(manifest);
        Ok(())
    }

    fn apply_batch(&self, files: &LogFiles, header: &FrameHeader, payload: &Bytes) -> Result<(), String> {
        let Some(partition) = self.catalog.partition(header.topic, header.partition) else {
            return Ok(()); // of a topic deleted later
        };
        let batch = RecordBatchView::parse(payload).map_err(|error| error.to_string())?;
        let mut state = partition.state();
        if header.base_offset != state.next_offset {
            return Err(out_of_order(header, state.next_offset));
        }
        let stamped = stamped(header, batch);
        take_batch(files, &partition, &mut state, header, &stamped, self.extents)
    }
}

/// Takes a batch into the state of its partition.
pub(super) fn take_batch(
    files: &LogFiles,
    partition: &PartitionLog,
    state: &mut PartitionState,
    header: &FrameHeader,
    stamped: &StampedBatch<'_>,
    extents: &Extents,
) -> Result<(), String> {
    files.add_live(header);
    state
        .apply_batch(numbers(header), header.position, header.first, stamped, &partition.policy(), extents)
        .map_err(|error| error.to_string())?;
    partition.saw_leader_epoch(stamped.leader_epoch);
    Ok(())
}

/// Frames that say what exists. `dead` is told the batches of deleted topics.
pub(super) fn apply_metadata(
    catalog: &Catalog,
    extents: &Extents,
    header: &FrameHeader,
    payload: &Bytes,
    dead: impl Fn(&Entry),
) -> Result<(), DecodeError> {
    match header.kind {
        FrameKind::Topic => {
            catalog.apply_topic(header.topic, TopicRecord::decode(payload)?, header.position);
        }
        FrameKind::TopicDeleted => {
            if let Some(topic) = catalog.apply_topic_deleted(header.topic, header.position) {
                for partition in topic.partitions().iter() {
                    partition.mark_deleted();
                    partition.clear(extents, &dead);
                }
            }
        }
        FrameKind::ProducerIds => catalog.apply_producer_ids(header.base_offset, header.position),
        FrameKind::BrokerConfigs => {
            catalog.apply_broker_configs(decode_configs(payload)?, header.position);
        }
        FrameKind::Batch
        | FrameKind::LogStart
        | FrameKind::Blank
        | FrameKind::Files
        | FrameKind::Compacted => {}
    }
    Ok(())
}

pub(super) fn numbers(header: &FrameHeader) -> (u32, u32) {
    (header.topic, header.partition)
}

pub(super) fn stamped<'a>(header: &FrameHeader, batch: RecordBatchView<'a>) -> StampedBatch<'a> {
    StampedBatch { batch, base_offset: header.base_offset, leader_epoch: header.leader_epoch }
}

/// What a `compacted` frame says.
pub(super) fn compacted(header: &FrameHeader) -> Compacted {
    Compacted {
        upto: header.base_offset,
        generation: u32::try_from(header.log_index).unwrap_or(u32::MAX),
        frame: header.position,
    }
}

pub(super) fn out_of_order(header: &FrameHeader, next_offset: i64) -> String {
    format!(
        "topic {} partition {}: a batch at offset {} follows offset {next_offset}",
        header.topic, header.partition, header.base_offset
    )
}
