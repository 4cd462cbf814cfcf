//! Appending by flat combining: whoever gets the append lock appends for everyone who waits.
//!
//! Called by `store`. Who has more to append at once submits it all before asking for the first outcome: then one group, one
//! lock and one system call are enough for it. Under the lock: producer state, offset, stamp, queue entry, one `pwritev`. Nothing of a batch is
//! visible before it is in the file, and nothing is in the file without its queue entry.

use std::fmt;
use std::mem;
use std::sync::{Arc, Mutex};

use bytes::Bytes;
use protocol::record_batch::{BatchError, CRC_START, RecordBatchView, stamped_prefix};

use crate::commit_log::{Draft, LogWriter};
use crate::engine::Engine;
use crate::error::{AppendError, Error};
use crate::frame::FrameKind;
use crate::partition_log::{PartitionLog, StampedBatch};
use crate::position::{Offset, Position};
use crate::producer_state::SequenceCheck;
use crate::verification::VerificationGuard;

/// One record batch whose header parses and whose CRC matches. Nothing else is promised about it.
#[derive(Debug, Clone)]
pub struct ValidBatch {
    bytes: Bytes,
}

impl ValidBatch {
    /// Checks header and CRC of the one batch that `bytes` must hold exactly.
    ///
    /// # Errors
    /// As [`RecordBatchView`]; trailing bytes are `BadLength`.
    pub fn new(bytes: Bytes) -> Result<Self, BatchError> {
        let view = RecordBatchView::parse(&bytes)?;
        if view.as_bytes().len() != bytes.len() {
            return Err(BatchError::BadLength(i32::try_from(bytes.len()).unwrap_or(i32::MAX)));
        }
        view.verify_crc()?;
        Ok(Self { bytes })
    }

    /// The header.
    #[must_use]
    pub fn view(&self) -> RecordBatchView<'_> {
        RecordBatchView::parse(&self.bytes).expect("checked when made")
    }
}

/// One batch for one partition.
#[derive(Debug, Clone)]
pub struct Append {
    /// Where to.
    pub partition: Arc<PartitionLog>,
    /// What.
    pub batch: ValidBatch,
    /// For a transactional batch that may open its producer's transaction in the partition: that the coordinator knows
    /// (`PartitionLog::begin_verification`). Markers need none; see `VerificationGuard::BUMPED_EPOCH`.
    pub verification: Option<VerificationGuard>,
}

impl Append {
    /// A batch that opens no transaction.
    #[must_use]
    pub fn new(partition: Arc<PartitionLog>, batch: ValidBatch) -> Self {
        Self { partition, batch, verification: None }
    }

    /// The same with a guard.
    #[must_use]
    pub fn verified(self, verification: Option<VerificationGuard>) -> Self {
        Self { verification, ..self }
    }
}

/// A batch that is in the log.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Appended {
    /// Offset of its first record; of the original when `duplicate`.
    pub base_offset: Offset,
    /// It is acknowledged when `Store::acknowledged()` reaches this.
    pub end: Position,
    /// The producer sent it before (one of its last five batches): nothing was appended now.
    pub duplicate: bool,
}

/// What became of one batch.
type Outcome = Result<Appended, AppendError>;

/// One caller's batches, then its outcomes.
#[derive(Debug)]
pub(crate) struct Request(Mutex<Stage>);

#[derive(Debug)]
enum Stage {
    Waiting(Vec<Append>),
    Done(Vec<Outcome>),
}

impl Request {
    fn take_batches(&self) -> Vec<Append> {
        match &mut *self.0.lock().expect("no panic under this lock") {
            Stage::Waiting(batches) => mem::take(batches),
            Stage::Done(_) => Vec::new(),
        }
    }

    fn finish(&self, outcomes: Vec<Outcome>) {
        *self.0.lock().expect("no panic under this lock") = Stage::Done(outcomes);
    }

    fn outcomes(&self) -> Option<Vec<Outcome>> {
        match &mut *self.0.lock().expect("no panic under this lock") {
            Stage::Waiting(_) => None,
            Stage::Done(outcomes) => Some(mem::take(outcomes)),
        }
    }
}

/// Batches that have their place in the order of appends, and are in the log at the latest when this is dropped.
pub struct Submitted {
    engine: Arc<Engine>,
    /// `None` once its outcomes were taken.
    request: Option<Arc<Request>>,
}

impl Submitted {
    /// Gives the batches their place: before all that are submitted or appended after this returns.
    pub(crate) fn new(engine: &Arc<Engine>, batches: Vec<Append>) -> Self {
        // What is not in memory is read before the append lock is taken.
        batches.iter().for_each(|append| append.partition.warm(&engine.extents));
        let request = Arc::new(Request(Mutex::new(Stage::Waiting(batches))));
        engine.waiting.lock().expect("no panic under this lock").push(Arc::clone(&request));
        Self { engine: Arc::clone(engine), request: Some(request) }
    }

    /// What became of each batch. Appends them now, together with all others that wait, unless somebody has by now.
    #[must_use]
    pub fn outcomes(mut self) -> Vec<Outcome> {
        let request = self.request.take().expect("taken once");
        if let Some(outcomes) = request.outcomes() {
            return outcomes;
        }
        append_submitted(&self.engine);
        request.outcomes().expect("who held the append lock meanwhile appended it, or else it was done now")
    }
}

impl Drop for Submitted {
    fn drop(&mut self) {
        if self.request.is_some() {
            append_submitted(&self.engine);
        }
    }
}

impl fmt::Debug for Submitted {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Submitted").field("request", &self.request).finish_non_exhaustive()
    }
}

/// Appends everything that was submitted, by whomever, as one group. All of it has its outcome when this returns.
pub(crate) fn append_submitted(engine: &Engine) {
    let asked = engine.clock.elapsed();
    let mut writer = engine.writer.lock().expect("no panic under the append lock");
    let begun = engine.clock.elapsed();
    engine.timings.wait.record(begun.saturating_sub(asked));
    let requests = mem::take(&mut *engine.waiting.lock().expect("no panic under this lock"));
    if requests.is_empty() {
        return;
    }
    let mut group = Group::default();
    let mut outcomes: Vec<Vec<Outcome>> =
        requests.iter().map(|request| group.add_all(engine, &mut writer, request.take_batches())).collect();
    if let Err(error) = writer.flush(&engine.log) {
        let error = Arc::new(error);
        let failed = || Err(AppendError::Log(Arc::clone(&error)));
        outcomes.iter_mut().flatten().for_each(|outcome| *outcome = failed());
    } else {
        group.publish(engine, writer.tail());
    }
    engine.timings.write.record(engine.clock.elapsed().saturating_sub(begun));
    let end = writer.tail();
    for (request, outcomes) in requests.iter().zip(outcomes) {
        request.finish(outcomes);
    }
    drop(writer);
    engine.written(end);
}

/// Partitions that a group touches, with their log end after it.
#[derive(Default)]
struct Group {
    touched: Vec<(Arc<PartitionLog>, Offset)>,
}

impl Group {
    fn add_all(&mut self, engine: &Engine, writer: &mut LogWriter, batches: Vec<Append>) -> Vec<Outcome> {
        batches.into_iter().map(|append| self.add(engine, writer, append)).collect()
    }

    fn add(&mut self, engine: &Engine, writer: &mut LogWriter, append: Append) -> Outcome {
        let Append { partition, batch, verification } = append;
        let view = batch.view();
        let (size, limit) = (batch.bytes.len(), engine.log.max_payload());
        if size > limit {
            return Err(AppendError::TooLarge { size, limit });
        }
        engine.check_open().map_err(Arc::new)?;
        let mut state = partition.state();
        if partition.is_deleted() {
            return Err(AppendError::Deleted);
        }
        if let SequenceCheck::Duplicate(base_offset) = state.check_producer(&view, verification)? {
            return Ok(Appended { base_offset, end: writer.tail(), duplicate: true });
        }
        let reserved = writer.reserve_batch(&engine.log, size).map_err(Arc::new)?;
        engine.freeze.before_change(&partition, &mut state, &engine.extents);
        let stamped = StampedBatch {
            batch: view,
            base_offset: state.next_offset,
            leader_epoch: partition.leader_epoch(),
        };
        let numbers = (partition.topic_number(), partition.partition().unsigned_abs());
        let (policy, extents) = (partition.policy(), &engine.extents);
        let closed = state
            .apply_batch(numbers, reserved.position, reserved.first, &stamped, &policy, extents)
            .map_err(Arc::new)?;
        partition.transactions_changed(&state);
        if closed {
            engine.retention.segment_closed(&partition);
        }
        writer.add_live(reserved.end.0 - reserved.position.0);
        self.touched.push((Arc::clone(&partition), state.next_offset));
        let stamp = stamped_prefix(&view, stamped.base_offset, stamped.leader_epoch);
        writer.push(
            Draft {
                kind: FrameKind::Batch,
                topic: numbers.0,
                partition: numbers.1,
                base_offset: stamped.base_offset,
                leader_epoch: stamped.leader_epoch,
                log_index: 0,
                stamp: Some((stamp, view.crc())),
                body: batch.bytes.slice(CRC_START..),
            },
            reserved,
        );
        Ok(Appended { base_offset: stamped.base_offset, end: reserved.end, duplicate: false })
    }

    /// Makes the group readable up to the log ends, and notes whose high watermarks move when it is acknowledged.
    fn publish(self, engine: &Engine, end: Position) {
        for (partition, log_end) in &self.touched {
            partition.publish_log_end(*log_end);
        }
        engine.unacknowledged.push(end, self.touched);
    }
}

/// Appends one metadata frame. `prepare` checks and builds it under the append lock; `apply` changes the state it
/// describes, after the place in the log is sure, and is told that place. Returns what `apply` returned and the frame's end.
pub(crate) fn append_metadata<P, T, E>(
    engine: &Engine,
    prepare: impl FnOnce() -> Result<(Draft, P), E>,
    apply: impl FnOnce(P, Position) -> T,
) -> Result<(T, Position), E>
where
    E: From<Arc<Error>>,
{
    let mut writer = engine.writer.lock().expect("no panic under the append lock");
    engine.check_open().map_err(Arc::new)?;
    let (draft, prepared) = prepare()?;
    if draft.payload_len() > engine.log.max_payload() {
        let what = format!("{} bytes of metadata do not fit a commitlog file", draft.payload_len());
        return Err(Arc::new(Error::Full(what)).into());
    }
    let reserved = writer.reserve(&engine.log, draft.payload_len()).map_err(Arc::new)?;
    let applied = apply(prepared, reserved.position);
    writer.push(draft, reserved);
    writer.flush(&engine.log).map_err(Arc::new)?;
    engine.unacknowledged.push(writer.tail(), Vec::new());
    drop(writer);
    engine.written(reserved.end);
    Ok((applied, reserved.end))
}

/// A metadata frame that is about a topic or nothing.
pub(crate) fn metadata_draft(
    kind: FrameKind,
    topic: u32,
    partition: u32,
    base_offset: i64,
    body: Bytes,
) -> Draft {
    Draft { kind, topic, partition, base_offset, leader_epoch: 0, log_index: 0, stamp: None, body }
}
