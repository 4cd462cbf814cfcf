//! One partition of the log: its offsets, consume queue, producers, transactions and leader epochs.
//!
//! Changed only by `apply_*`, which the live path and recovery share. Lock order: the append lock, then a partition's
//! state. Invariants: `log_start <= high_watermark <= log_end`; none of the three ever moves back.

mod cleaning;
mod transactions;

use std::sync::atomic::{AtomicBool, AtomicI32, AtomicI64, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard};

use protocol::record_batch::RecordBatchView;

use crate::consume_queue::{ConsumeQueue, Entry, Extents};
use crate::error::Error;
use crate::leader_epochs::LeaderEpochs;
use crate::log_policy::{LogPolicy, PolicyCell};
use crate::position::{Offset, Position};
use crate::producer_state::ProducerStates;
use crate::segments::{SegmentBatch, Segments};
use crate::transactions::Transactions;

/// The log's handle on one partition.
#[derive(Debug)]
pub struct PartitionLog {
    topic: u32,
    partition: u32,
    log_start: AtomicI64,
    high_watermark: AtomicI64,
    log_end: AtomicI64,
    leader_epoch: AtomicI32,
    deleted: AtomicBool,
    /// Transactions may hold the last stable offset below the high watermark.
    unstable: AtomicBool,
    /// Where the log last said what the log start is; 0 when it never did.
    log_start_frame: AtomicU64,
    policy: Arc<PolicyCell>,
    state: Mutex<PartitionState>,
}

/// What the append lock and readers change or search.
#[derive(Debug, Clone, Default)]
pub(crate) struct PartitionState {
    pub(crate) queue: ConsumeQueue,
    pub(crate) producers: Option<Box<ProducerStates>>,
    pub(crate) transactions: Option<Box<Transactions>>,
    pub(crate) epochs: LeaderEpochs,
    /// The offset of the next record: ahead of `log_end` while a group is being written.
    pub(crate) next_offset: Offset,
    /// Bytes of batches appended, ever.
    pub(crate) appended_bytes: u64,
    /// Of those, bytes of batches wholly below the log start.
    pub(crate) trimmed_bytes: u64,
    /// What compaction did here last.
    pub(crate) compacted: Option<Box<Compacted>>,
    /// Kafka's segments, by accounting.
    pub(crate) segments: Segments,
    /// Number of the last checkpoint that has its state.
    pub(crate) frozen: u32,
    /// Batches below are accounted for as trimmed: the log start, but for a moment after it moved.
    pub(crate) trimmed_upto: Offset,
}

/// Batches below `upto` count only in files of at least `generation`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Compacted {
    pub(crate) upto: Offset,
    /// Incarnation of the first file that holds the outcome.
    pub(crate) generation: u32,
    /// Where the log last said so.
    pub(crate) frame: Position,
}

impl PartitionLog {
    pub(crate) fn new(topic: u32, partition: u32, policy: Arc<PolicyCell>) -> Self {
        Self::with_state((topic, partition), policy, (0, Position::default()), PartitionState::default())
    }

    /// As a checkpoint left it: the log start, where the log said so, and the rest.
    pub(crate) fn with_state(
        (topic, partition): (u32, u32),
        policy: Arc<PolicyCell>,
        (log_start, log_start_frame): (Offset, Position),
        state: PartitionState,
    ) -> Self {
        let partition = Self {
            topic,
            partition,
            log_start: AtomicI64::new(log_start),
            high_watermark: AtomicI64::new(state.next_offset),
            log_end: AtomicI64::new(state.next_offset),
            leader_epoch: AtomicI32::new(state.epochs.latest()),
            deleted: AtomicBool::new(false),
            unstable: AtomicBool::new(false),
            log_start_frame: AtomicU64::new(log_start_frame.0),
            policy,
            state: Mutex::new(state),
        };
        partition.transactions_changed(&partition.state());
        partition
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

    /// One past the last written record.
    #[must_use]
    pub fn log_end_offset(&self) -> Offset {
        self.log_end.load(Ordering::Acquire)
    }

    /// Epoch stamped into new batches: 0 until somebody raises it.
    #[must_use]
    pub fn leader_epoch(&self) -> i32 {
        self.leader_epoch.load(Ordering::Acquire)
    }

    /// The partition has a new leader: batches are stamped with `epoch` from now on, and the epochs before end here (Kafka
    /// `Partition.makeLeader`). An epoch that is not newer changes nothing. It is durable with the next checkpoint or the
    /// first batch that has it.
    pub fn raise_leader_epoch(&self, epoch: i32) {
        let mut state = self.state();
        if epoch > self.leader_epoch() {
            let next_offset = state.next_offset;
            state.epochs.assign(epoch, next_offset);
            self.saw_leader_epoch(epoch);
        }
    }

    /// Replay only: a batch of this epoch was applied.
    pub(crate) fn saw_leader_epoch(&self, epoch: i32) {
        self.leader_epoch.fetch_max(epoch, Ordering::AcqRel);
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

    pub(crate) fn state(&self) -> MutexGuard<'_, PartitionState> {
        self.state.lock().expect("no panic under this lock")
    }

    /// Reads what an append needs and is not in memory. A failure shows again in the append.
    pub(crate) fn warm(&self, extents: &Extents) {
        if let Err(error) = self.state().queue.warm(extents) {
            tracing::debug!(%error, "a queue page could not be read ahead of an append");
        }
    }

    /// Makes everything applied so far readable: it is in the file now.
    pub(crate) fn publish_log_end(&self, log_end: Offset) {
        self.log_end.fetch_max(log_end, Ordering::AcqRel);
    }

    /// Makes it visible to consumers; returns whether the high watermark moved.
    pub(crate) fn publish_high_watermark(&self, high_watermark: Offset) -> bool {
        let moved = self.high_watermark.fetch_max(high_watermark, Ordering::AcqRel) < high_watermark;
        self.acknowledge_markers();
        moved
    }

    /// What its topic's configs mean for the log.
    pub(crate) fn policy(&self) -> Arc<LogPolicy> {
        self.policy.get()
    }

    /// Moves the log start; nothing below can be read any more. `frame` is where the log says so. `trim` must follow.
    pub(crate) fn set_log_start(&self, log_start: Offset, frame: Position) {
        self.set_log_start_frame(frame);
        self.log_start.fetch_max(log_start, Ordering::AcqRel);
    }

    /// Nothing is appended or read any more. `clear` must follow.
    pub(crate) fn mark_deleted(&self) {
        let _no_append = self.state();
        self.deleted.store(true, Ordering::Release);
    }

    /// What compaction did here last.
    pub(crate) fn compacted(&self) -> Option<Compacted> {
        self.state().compacted.as_deref().copied()
    }

    /// Notes that the log says again, at `frame`, what compaction did here.
    pub(crate) fn set_compacted_frame(&self, frame: Position) {
        if let Some(compacted) = &mut self.state().compacted {
            compacted.frame = frame;
        }
    }

    /// Where the log last said what the log start is, when it is not 0.
    pub(crate) fn log_start_frame(&self) -> Option<Position> {
        (self.log_start_offset() > 0).then(|| Position(self.log_start_frame.load(Ordering::Acquire)))
    }

    pub(crate) fn set_log_start_frame(&self, frame: Position) {
        self.log_start_frame.store(frame.0, Ordering::Release);
    }

    /// After replay, which looks at no atomic: returns the offset of the next record.
    pub(crate) fn recovered(&self) -> Offset {
        let state = self.state();
        self.transactions_changed(&state);
        state.next_offset
    }

    /// Replay only: the log begins later than this partition did, since older files are gone.
    pub(crate) fn begin_at(&self, offset: Offset) {
        self.state().next_offset = offset;
        self.publish_log_end(offset);
    }
}

impl PartitionState {
    /// Replay only: a batch that nobody can read any more still says which sequences were written.
    pub(crate) fn apply_below_log_start(&mut self, stamped: &StampedBatch<'_>) {
        self.apply_producer(&stamped.batch, stamped.base_offset);
        self.next_offset = stamped.base_offset + i64::from(stamped.batch.last_offset_delta()) + 1;
    }

    /// Takes a stamped batch into the queue, segments, epochs and producer state. `first` as in its frame. Returns whether a
    /// segment was closed.
    pub(crate) fn apply_batch(
        &mut self,
        partition: (u32, u32),
        position: Position,
        first: bool,
        stamped: &StampedBatch<'_>,
        policy: &LogPolicy,
        extents: &Extents,
    ) -> Result<bool, Error> {
        let batch = &stamped.batch;
        let entry = Entry::of(batch, position, first, stamped.base_offset, stamped.leader_epoch);
        self.queue.push(entry, partition.0, partition.1, extents)?;
        self.epochs.assign(stamped.leader_epoch, stamped.base_offset);
        self.apply_producer(batch, stamped.base_offset);
        let closed = self.segments.push(SegmentBatch::of(&entry), policy, self.appended_bytes);
        self.next_offset = entry.last_offset() + 1;
        self.appended_bytes += u64::from(entry.size);
        Ok(closed)
    }
}

/// A batch with the offset and epoch that it has in the log, whatever its own first bytes say.
#[derive(Debug, Clone, Copy)]
pub(crate) struct StampedBatch<'a> {
    pub(crate) batch: RecordBatchView<'a>,
    pub(crate) base_offset: Offset,
    pub(crate) leader_epoch: i32,
}

/// Partitions are held by the hundred thousand: with the counters of its `Arc` and the word that points at it, an idle one
/// takes less than 300 bytes.
const _: () = assert!(size_of::<PartitionLog>() <= 240);
