//! What each kind of frame does to the projections, in replay. The live path calls the same `apply_*` beneath.

use bytes::Bytes;
use protocol::record_batch::RecordBatchView;

use crate::catalog::{Catalog, TopicRecord, decode_configs};
use crate::consume_queue::Extents;
use crate::frame::{FrameHeader, FrameKind};
use crate::partition_log::StampedBatch;

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
            FrameKind::LogStart => match self.catalog.partition(header.topic, header.partition) {
                Some(partition) => partition
                    .apply_log_start(header.base_offset, self.extents)
                    .map_err(|error| error.to_string()),
                None => Ok(()),
            },
            _ if self.pass == Pass::Records => Ok(()),
            _ => self.apply_metadata(header, payload).map_err(|error| error.to_string()),
        }
    }

    fn apply_metadata(
        &self,
        header: &FrameHeader,
        payload: &Bytes,
    ) -> Result<(), crate::decode::DecodeError> {
        match header.kind {
            FrameKind::Topic => {
                self.catalog.apply_topic(header.topic, TopicRecord::decode(payload)?);
            }
            FrameKind::TopicDeleted => {
                if let Some(topic) = self.catalog.apply_topic_deleted(header.topic) {
                    topic.partitions().iter().for_each(|partition| partition.apply_deleted(self.extents));
                }
            }
            FrameKind::ProducerIds => self.catalog.apply_producer_ids(header.base_offset),
            FrameKind::BrokerConfigs => self.catalog.apply_broker_configs(decode_configs(payload)?),
            FrameKind::Batch | FrameKind::LogStart | FrameKind::Blank | FrameKind::Checkpoint => {}
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
