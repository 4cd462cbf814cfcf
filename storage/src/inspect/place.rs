//! Appending batches at the offsets they have, gaps allowed: the one thing salvage needs that the live path refuses.
//!
//! Called by `salvage` on a new store that nobody else uses. Invariant: the new log says of every gap why it is there, so
//! that a full replay of it agrees: a log start before the first batch, a `compacted` frame that reaches over later gaps.

use std::sync::Arc;

use bytes::Bytes;
use protocol::record_batch::{CRC_START, RecordBatchView, stamped_prefix};

use crate::append::{append_metadata, metadata_draft};
use crate::commit_log::Draft;
use crate::engine::Engine;
use crate::error::Error;
use crate::frame::FrameKind;
use crate::partition_log::{Compacted, PartitionLog, StampedBatch};
use crate::position::Offset;

/// Bytes of batches written as one group.
const GROUP_BYTES: usize = 1024 * 1024;

/// A whole batch and where it belongs.
pub(super) struct Placed {
    pub(super) payload: Bytes,
    pub(super) base_offset: Offset,
    pub(super) leader_epoch: i32,
}

/// Says that the partition begins at `offset`.
pub(super) fn begin_at(engine: &Engine, partition: &PartitionLog, offset: Offset) -> Result<(), Arc<Error>> {
    let numbers = (partition.topic_number(), partition.partition().unsigned_abs());
    let prepare = || {
        partition.begin_at(offset);
        Ok::<_, Arc<Error>>((
            metadata_draft(FrameKind::LogStart, numbers.0, numbers.1, offset, Bytes::new()),
            (),
        ))
    };
    append_metadata(engine, prepare, |(), frame| partition.set_log_start(offset, frame))?;
    partition.trim(&engine.extents, |_| {})?;
    Ok(())
}

/// Says that offsets below `upto` may be missing.
pub(super) fn allow_gaps(engine: &Engine, partition: &PartitionLog, upto: Offset) -> Result<(), Arc<Error>> {
    let numbers = (partition.topic_number(), partition.partition().unsigned_abs());
    let prepare = || {
        Ok::<_, Arc<Error>>((
            metadata_draft(FrameKind::Compacted, numbers.0, numbers.1, upto, Bytes::new()),
            (),
        ))
    };
    let apply = |(), frame| {
        partition.state().compacted = Some(Box::new(Compacted { upto, generation: 0, frame }));
    };
    append_metadata(engine, prepare, apply).map(drop)
}

/// Appends `batches`, whose offsets increase and lie at or above the partition's end, and makes them readable.
pub(super) fn place(
    engine: &Engine,
    partition: &PartitionLog,
    batches: &mut dyn Iterator<Item = Result<Placed, Error>>,
) -> Result<(), Arc<Error>> {
    let mut writer = engine.writer.lock().expect("no panic under the append lock");
    let numbers = (partition.topic_number(), partition.partition().unsigned_abs());
    let mut grouped = 0;
    for placed in batches {
        let Placed { payload, base_offset, leader_epoch } = placed?;
        let view = RecordBatchView::parse(&payload).expect("salvage keeps what it has parsed");
        let reserved = writer.reserve(&engine.log, payload.len())?;
        let stamped = StampedBatch { batch: view, base_offset, leader_epoch };
        partition.state().apply_batch(
            numbers,
            reserved.position,
            reserved.first,
            &stamped,
            &partition.policy(),
            &engine.extents,
        )?;
        writer.add_live(reserved.end.0 - reserved.position.0);
        let stamp = stamped_prefix(&view, base_offset, leader_epoch);
        let draft = Draft {
            kind: FrameKind::Batch,
            topic: numbers.0,
            partition: numbers.1,
            base_offset,
            leader_epoch,
            log_index: 0,
            stamp: Some((stamp, view.crc())),
            body: payload.slice(CRC_START..),
        };
        writer.push(draft, reserved);
        grouped += payload.len();
        if grouped >= GROUP_BYTES {
            writer.flush(&engine.log)?;
            grouped = 0;
        }
    }
    writer.flush(&engine.log)?;
    drop(writer);
    let log_end = partition.state().next_offset;
    partition.publish_log_end(log_end);
    partition.publish_high_watermark(log_end);
    Ok(())
}
