//! Which records are too old or too many: log starts move past whole segments, as in Kafka.
//!
//! Called by `cleaner`. A partition is looked at when a segment of it closes, and all of them from time to time, for records
//! age by themselves. (Kafka `LogManager.cleanupLogs`, `UnifiedLog.deleteOldSegments`.)

use std::mem;
use std::sync::atomic::{AtomicBool, AtomicI64, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use crate::admin::move_log_start;
use crate::engine::Engine;
use crate::error::{Error, TopicError};
use crate::partition_log::PartitionLog;
use crate::segments::LogBounds;

/// Partitions that retention or compaction should look at before their turn comes.
#[derive(Debug, Default)]
pub(crate) struct RetentionQueue {
    closed: Mutex<Vec<Arc<PartitionLog>>>,
    has_work: AtomicBool,
    /// When all partitions are looked at next, ms.
    next_check_ms: AtomicI64,
}

/// From a start to the first look at all partitions (Kafka's `LogManager.InitialTaskDelayMs`).
pub(crate) const FIRST_RETENTION_CHECK: Duration = Duration::from_secs(30);

impl RetentionQueue {
    /// All partitions are looked at for the first time `delay` after `now_ms`.
    pub(crate) fn starting_in(delay: Duration, now_ms: i64) -> Self {
        let delay_ms = i64::try_from(delay.as_millis()).unwrap_or(i64::MAX);
        Self { next_check_ms: AtomicI64::new(now_ms.saturating_add(delay_ms)), ..Self::default() }
    }

    /// A segment of the partition takes no more batches.
    pub(crate) fn segment_closed(&self, partition: &Arc<PartitionLog>) {
        self.closed.lock().expect("no panic under this lock").push(Arc::clone(partition));
        self.has_work.store(true, Ordering::Release);
    }

    pub(crate) fn has_work(&self) -> bool {
        self.has_work.load(Ordering::Acquire)
    }

    /// All partitions are looked at in the next round: what their configs mean has changed.
    pub(crate) fn all_changed(&self) {
        self.next_check_ms.store(0, Ordering::Relaxed);
        self.has_work.store(true, Ordering::Release);
    }

    /// Whom to look at now: all partitions when that is due, else those with a segment closed since the last call.
    pub(crate) fn due(&self, engine: &Engine) -> Vec<Arc<PartitionLog>> {
        self.has_work.store(false, Ordering::Release);
        let closed = mem::take(&mut *self.closed.lock().expect("no panic under this lock"));
        let now_ms = engine.clock.now_ms();
        if now_ms < self.next_check_ms.load(Ordering::Relaxed) {
            return closed;
        }
        let interval_ms = i64::try_from(engine.config.retention_check.as_millis()).unwrap_or(i64::MAX);
        self.next_check_ms.store(now_ms.saturating_add(interval_ms), Ordering::Relaxed);
        engine.catalog.topics().iter().flat_map(|topic| topic.partitions().to_vec()).collect()
    }
}

/// Moves the log starts that are due.
///
/// # Errors
/// Log failures; what was not moved is due again later.
pub(crate) fn apply(engine: &Engine, partitions: &[Arc<PartitionLog>]) -> Result<(), Arc<Error>> {
    let now_ms = engine.clock.now_ms();
    partitions.iter().try_for_each(|partition| apply_to(engine, partition, now_ms))
}

fn apply_to(engine: &Engine, partition: &PartitionLog, now_ms: i64) -> Result<(), Arc<Error>> {
    let policy = partition.policy();
    let log_start = {
        let state = partition.state();
        let bounds = LogBounds {
            log_start: partition.log_start_offset(),
            high_watermark: partition.high_watermark(),
            log_end: state.next_offset,
            appended_bytes: state.appended_bytes,
        };
        state.segments.deletable(now_ms, &policy, &bounds)
    };
    let Some(log_start) = log_start else { return Ok(()) };
    match move_log_start(engine, partition, log_start) {
        Ok(_) | Err(TopicError::Unknown) => Ok(()),
        Err(TopicError::Log(error)) => Err(error),
        Err(error) => {
            // The segments' bounds were taken a moment ago: another caller moved the log start meanwhile.
            tracing::debug!(%error, "a log start was not moved");
            Ok(())
        }
    }
}
