//! What each kind of frame does to the projections, in replay. The live path calls the same `apply_*` beneath.

use bytes::Bytes;
use protocol::record_batch::RecordBatchView;

use crate::catalog::{Catalog, TopicRecord, decode_configs};
use crate::consume_queue::{Entry, Extents};
use crate::error::Error;
use crate::frame::{FrameHeader, FrameKind};
use crate::partition_log::StampedBatch;

use super::files::LogFiles;

/// Which frames a walk applies.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Pass {
    Everything,
    Metadata,
    Records,
}

pub(super) struct Replay<'a> {
    pub(super) catalog: &'a Catalog,
    pub(super) extents: &'a Extents,
    pub(super) files: &'a LogFiles,
    pub(super) pass: Pass,
}

impl Replay<'_> {
    /// Applies one frame of a whole group.
    ///
    /// # Errors
    /// A sentence: the frame is valid but does not follow from those before it.
    pub(super) fn apply(&self, header: &FrameHeader, payload: &Bytes) -> Result<(), String> {
        match header.kind {
            FrameKind::Batch | FrameKind::LogStart if self.pass == Pass::Metadata => Ok(()),
            FrameKind::Batch => self.apply_batch(header, payload),
            FrameKind::LogStart => self.apply_log_start(header).map_err(|error| error.to_string()),
            _ if self.pass == Pass::Records => Ok(()),
            _ => self.apply_metadata(header, payload).map_err(|error| error.to_string()),
        }
    }

    fn apply_log_start(&self, header: &FrameHeader) -> Result<(), Error> {
        let Some(partition) = self.catalog.partition(header.topic, header.partition) else { return Ok(()) };
        if self.pass == Pass::Records
            && partition.is_empty()
            && partition.log_start_offset() < header.base_offset
        {
            // Its batches lay in files that were given up.
            partition.begin_at(header.base_offset);
        }
        partition.apply_log_start(header.base_offset, header.position, self.extents, |entry| self.dead(entry))
    }

    fn dead(&self, entry: &Entry) {
        if let Some(file) = self.files.at(entry.position) {
            file.remove_live(u64::from(entry.size));
        }
    }

    fn apply_metadata(
        &self,
        header: &FrameHeader,
        payload: &Bytes,
    ) -> Result<(), crate::decode::DecodeError> {
        match header.kind {
            FrameKind::Topic => {
                self.catalog.apply_topic(header.topic, TopicRecord::decode(payload)?, header.position);
            }
            FrameKind::TopicDeleted => {
                if let Some(topic) = self.catalog.apply_topic_deleted(header.topic) {
                    topic.partitions().iter().for_each(|partition| {
                        partition.apply_deleted(self.extents, |entry| self.dead(entry));
                    });
                }
            }
            FrameKind::ProducerIds => self.catalog.apply_producer_ids(header.base_offset, header.position),
            FrameKind::BrokerConfigs => {
                self.catalog.apply_broker_configs(decode_configs(payload)?, header.position)
            }
            FrameKind::Batch | FrameKind::LogStart | FrameKind::Blank => {}
        }
        Ok(())
    }

    fn apply_batch(&self, header: &FrameHeader, payload: &Bytes) -> Result<(), String> {
        let Some(partition) = self.catalog.partition(header.topic, header.partition) else {
            return Ok(()); // of a topic deleted later
        };
        let batch = RecordBatchView::parse(payload).map_err(|error| error.to_string())?;
        if partition.is_empty() && self.pass == Pass::Records && partition.log_end_offset() == 0 {
            partition.begin_at(header.base_offset);
        }
        let mut state = partition.state();
        if header.base_offset != state.next_offset {
            return Err(format!(
                "topic {} partition {}: a batch at offset {} follows offset {}",
                header.topic, header.partition, header.base_offset, state.next_offset
            ));
        }
        let stamped =
            StampedBatch { batch, base_offset: header.base_offset, leader_epoch: header.leader_epoch };
        if let Some(file) = self.files.at(header.position) {
            file.add_live(payload.len() as u64);
        }
        state
            .apply_batch(
                (header.topic, header.partition),
                header.position,
                header.first,
                &stamped,
                self.extents,
            )
            .map_err(|error| error.to_string())
    }
}
