//! One partition of the log: its four offsets, consume queue, producer state and leader epochs.
//!
//! Changed only by `apply_*`, which the live path and recovery share. Lock order: the append lock, then a partition's
//! state. Invariants: `log_start <= high_watermark <= log_end`; none of the three ever moves back.

use std::sync::atomic::{AtomicBool, AtomicI64, AtomicU64, Ordering};
use std::sync::{Mutex, MutexGuard};

use protocol::record_batch::RecordBatchView;

use crate::consume_queue::{ConsumeQueue, Entry, Extents, FIRST_OF_GROUP};
use crate::error::Error;
use crate::leader_epochs::LeaderEpochs;
use crate::position::{Offset, Position};
use crate::producer_state::ProducerStates;

/// The log's handle on one partition.
#[derive(Debug)]
pub struct PartitionLog {
    topic: u32,
    partition: u32,
    log_start: AtomicI64,
    high_watermark: AtomicI64,
    log_end: AtomicI64,
    deleted: AtomicBool,
    /// Where the log last said what the log start is; 0 when it never did.
    log_start_frame: AtomicU64,
    state: Mutex<PartitionState>,
}

/// What the append lock and readers change or search.
#[derive(Debug, Clone, Default)]
pub(crate) struct PartitionState {
    pub(crate) queue: ConsumeQueue,
    pub(crate) producers: Option<Box<ProducerStates>>,
    pub(crate) epochs: LeaderEpochs,
    /// The offset of the next record: ahead of `log_end` while a group is being written.
    pub(crate) next_offset: Offset,
    /// Bytes of batches appended, ever.
    pub(crate) appended_bytes: u64,
    /// Of those, bytes of batches wholly below the log start.
    pub(crate) trimmed_bytes: u64,
}

impl PartitionLog {
    pub(crate) fn new(topic: u32, partition: u32) -> Self {
        Self::with_state(topic, partition, (0, Position::default()), PartitionState::default())
    }

    /// As a checkpoint left it: the log start, where the log said so, and the rest.
    pub(crate) fn with_state(
        topic: u32,
        partition: u32,
        (log_start, log_start_frame): (Offset, Position),
        state: PartitionState,
    ) -> Self {
        Self {
            topic,
            partition,
            log_start: AtomicI64::new(log_start),
            high_watermark: AtomicI64::new(state.next_offset),
            log_end: AtomicI64::new(state.next_offset),
            deleted: AtomicBool::new(false),
            log_start_frame: AtomicU64::new(log_start_frame.0),
            state: Mutex::new(state),
        }
    }

    /// Number of the topic in this log.
    #[must_use]
    pub fn topic_number(&self) -> u32 {
        self.topic
    }

    /// Partition number.
    #[must_use]
    pub fn partition(&self) -> i32 {
        i32::try_from(self.partition).expect("partition counts are limited to i32")
    }

    /// First offset that can be read.
    #[must_use]
    pub fn log_start_offset(&self) -> Offset {
        self.log_start.load(Ordering::Acquire)
    }

    /// One past the last acknowledged record.
    #[must_use]
    pub fn high_watermark(&self) -> Offset {
        self.high_watermark.load(Ordering::Acquire)
    }

    /// First offset of the oldest open transaction, else the high watermark.
    #[must_use]
    pub fn last_stable_offset(&self) -> Offset {
        self.high_watermark()
    }

    /// One past the last written record.
    #[must_use]
    pub fn log_end_offset(&self) -> Offset {
        self.log_end.load(Ordering::Acquire)
    }

    /// Epoch stamped into new batches. A single node never changes leaders.
    #[must_use]
    pub fn leader_epoch(&self) -> i32 {
        0
    }

    /// Kafka's OffsetForLeaderEpoch: the largest epoch <= `requested` and its end offset; (-1, -1) for a future epoch.
    #[must_use]
    pub fn end_offset_for_epoch(&self, requested: i32) -> (i32, Offset) {
        let state = self.state();
        state.epochs.end_offset_for(requested, self.leader_epoch(), self.log_end_offset())
    }

    /// Bytes of batches at or above the log start.
    #[must_use]
    pub fn size_bytes(&self) -> u64 {
        let state = self.state();
        state.appended_bytes - state.trimmed_bytes
    }

    /// Whether its topic was deleted.
    #[must_use]
    pub fn is_deleted(&self) -> bool {
        self.deleted.load(Ordering::Acquire)
    }

    /// Forgets producers whose newest timestamp is older.
    pub(crate) fn expire_producers(&self, before_ms: i64) {
        if let Some(producers) = &mut self.state().producers {
            producers.expire(before_ms);
        }
    }

    pub(crate) fn state(&self) -> MutexGuard<'_, PartitionState> {
        self.state.lock().expect("no panic under this lock")
    }

    /// Makes everything applied so far readable: it is in the file now.
    pub(crate) fn publish_log_end(&self, log_end: Offset) {
        self.log_end.fetch_max(log_end, Ordering::AcqRel);
    }

    /// Makes it visible to consumers; returns whether the high watermark moved.
    pub(crate) fn publish_high_watermark(&self, high_watermark: Offset) -> bool {
        self.high_watermark.fetch_max(high_watermark, Ordering::AcqRel) < high_watermark
    }

    /// Moves the log start and forgets what lies below. Shared by DeleteRecords and replay.
    /// `dead` is told each batch that no one can read any more; `frame` is where the log says so.
    pub(crate) fn apply_log_start(
        &self,
        log_start: Offset,
        frame: Position,
        extents: &Extents,
        mut dead: impl FnMut(&Entry),
    ) -> Result<(), Error> {
        let before = self.log_start_offset();
        self.set_log_start_frame(frame);
        if log_start <= before {
            return Ok(());
        }
        let mut state = self.state();
        let mut trimmed = 0;
        state.queue.visit_from(before, extents, |entry| {
            let below = entry.last_offset() < log_start;
            if below {
                trimmed += u64::from(entry.size);
                dead(entry);
            }
            below
        })?;
        state.trimmed_bytes += trimmed;
        state.queue.truncate_front(log_start, extents);
        state.epochs.truncate_front(log_start);
        self.log_start.store(log_start, Ordering::Release);
        Ok(())
    }

    /// Marks it deleted and gives its queue pages back; `dead` is told each of its batches.
    pub(crate) fn apply_deleted(&self, extents: &Extents, dead: impl FnMut(&Entry)) {
        let mut state = self.state();
        self.deleted.store(true, Ordering::Release);
        if let Err(error) = each_entry(&mut state.queue, self.log_start_offset(), extents, dead) {
            tracing::warn!(%error, "batches of a deleted partition are not accounted for: their files stay");
        }
        state.queue.clear(extents);
        *state = PartitionState::default();
    }

    /// Where the log last said what the log start is, when it is not 0.
    pub(crate) fn log_start_frame(&self) -> Option<Position> {
        (self.log_start_offset() > 0).then(|| Position(self.log_start_frame.load(Ordering::Acquire)))
    }

    pub(crate) fn set_log_start_frame(&self, frame: Position) {
        self.log_start_frame.store(frame.0, Ordering::Release);
    }

    /// Replay only: the log begins later than this partition did, since older files are gone.
    pub(crate) fn begin_at(&self, offset: Offset) {
        self.state().next_offset = offset;
        self.log_start.store(offset, Ordering::Release);
        self.publish_log_end(offset);
    }

    /// Whether a batch was ever applied.
    pub(crate) fn is_empty(&self) -> bool {
        self.state().appended_bytes == 0
    }
}

fn each_entry(
    queue: &mut ConsumeQueue,
    from: Offset,
    extents: &Extents,
    mut visit: impl FnMut(&Entry),
) -> Result<(), Error> {
    queue.visit_from(from, extents, |entry| {
        visit(entry);
        true
    })
}

impl PartitionState {
    /// Takes a stamped batch into the queue, epochs and producer state. `first` as in its frame.
    pub(crate) fn apply_batch(
        &mut self,
        partition: (u32, u32),
        position: Position,
        first: bool,
        stamped: &StampedBatch<'_>,
        extents: &Extents,
    ) -> Result<(), Error> {
        let batch = &stamped.batch;
        let own = if first { FIRST_OF_GROUP } else { 0 };
        let entry = Entry {
            position,
            base_offset: stamped.base_offset,
            max_timestamp: batch.max_timestamp(),
            running_max: 0,
            size: u32::try_from(batch.as_bytes().len()).expect("batches are smaller than files"),
            last_offset_delta: batch.last_offset_delta(),
            leader_epoch: stamped.leader_epoch,
            attributes: u16::from_be_bytes(batch.attributes().to_be_bytes()) | own,
        };
        self.queue.push(entry, partition.0, partition.1, extents)?;
        self.epochs.assign(stamped.leader_epoch, stamped.base_offset);
        if batch.producer_id() >= 0 {
            self.producers.get_or_insert_default().apply(batch, stamped.base_offset);
        }
        self.next_offset = entry.last_offset() + 1;
        self.appended_bytes += u64::from(entry.size);
        Ok(())
    }
}

/// A batch with the offset and epoch that it has in the log, whatever its own first bytes say.
#[derive(Debug, Clone, Copy)]
pub(crate) struct StampedBatch<'a> {
    pub(crate) batch: RecordBatchView<'a>,
    pub(crate) base_offset: Offset,
    pub(crate) leader_epoch: i32,
}
