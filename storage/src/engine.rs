//! What the store's threads share: the log, the projections, the append lock, and who waits for what.
//!
//! Called by `append`, `flush`, `housekeeping` and `store`. Invariant: `acknowledged` never passes what the flush mode
//! promises, and a high watermark never passes `acknowledged`.

use std::collections::VecDeque;
use std::io;
use std::sync::atomic::{AtomicBool, AtomicI64, AtomicU64, Ordering};
use std::sync::{Arc, Condvar, Mutex, RwLock};
use std::time::Duration;

use crate::append::Request;
use crate::catalog::Catalog;
use crate::clock::Clock;
use crate::commit_log::{CommitLog, LogWriter};
use crate::consume_queue::Extents;
use crate::data_dir::DataDir;
use crate::disk::Disk;
use crate::error::Error;
use crate::housekeeping::PRODUCER_EXPIRY_INTERVAL_MS;
use crate::index_file::IndexFiles;
use crate::partition_log::PartitionLog;
use crate::position::{Offset, Position};
use crate::retention::{FIRST_RETENTION_CHECK, RetentionQueue};
use crate::snapshot::Freeze;
use crate::store::{Event, FlushMode, Listener, StoreConfig};
use crate::timings::Timings;

pub(crate) struct Engine {
    pub(crate) config: StoreConfig,
    pub(crate) disk: Arc<dyn Disk>,
    pub(crate) clock: Arc<dyn Clock>,
    pub(crate) dir: DataDir,
    pub(crate) log: CommitLog,
    pub(crate) extents: Extents,
    pub(crate) catalog: Catalog,
    pub(crate) index_files: IndexFiles,
    /// The append lock.
    pub(crate) writer: Mutex<LogWriter>,
    /// Callers that wait for the append lock with their batches.
    pub(crate) waiting: Mutex<Vec<Arc<Request>>>,
    pub(crate) unacknowledged: Unacknowledged,
    acknowledged: AtomicU64,
    pub(crate) flusher: Wake,
    pub(crate) housekeeper: Wake,
    pub(crate) cleaner: Wake,
    pub(crate) indexer: Wake,
    pub(crate) retention: RetentionQueue,
    pub(crate) freeze: Freeze,
    pub(crate) timings: Timings,
    /// Held for reading between a frame and the last of its effects on the projections, for writing while a checkpoint
    /// takes their state: it sees all effects of a frame or none.
    pub(crate) settled: RwLock<()>,
    closed: AtomicBool,
    /// Sequence and position of the last checkpoint; held while one is written.
    pub(crate) last_checkpoint: Mutex<(u64, Position)>,
    /// What that checkpoint wrote beside the log, bytes; 0 before the first.
    pub(crate) checkpoint_cost: AtomicU64,
    /// When silent producers are looked for next, ms.
    pub(crate) next_producer_expiry_ms: AtomicI64,
    listener: Listener,
}

/// What recovery hands over.
pub(crate) struct Parts {
    pub(crate) config: StoreConfig,
    pub(crate) disk: Arc<dyn Disk>,
    pub(crate) clock: Arc<dyn Clock>,
    pub(crate) dir: DataDir,
    pub(crate) log: CommitLog,
    pub(crate) extents: Extents,
    pub(crate) catalog: Catalog,
    pub(crate) writer: LogWriter,
    pub(crate) last_checkpoint: (u64, Position),
}

impl Engine {
    pub(crate) fn new(parts: Parts, listener: Listener) -> Self {
        let first_check = parts.config.retention_check.min(FIRST_RETENTION_CHECK);
        let retention = RetentionQueue::starting_in(first_check, parts.clock.now_ms());
        let next_expiry_ms = parts.clock.now_ms() + PRODUCER_EXPIRY_INTERVAL_MS;
        Self {
            acknowledged: AtomicU64::new(parts.log.written().0),
            index_files: IndexFiles::new(Arc::clone(&parts.disk), parts.dir.index()),
            config: parts.config,
            disk: parts.disk,
            clock: parts.clock,
            dir: parts.dir,
            log: parts.log,
            extents: parts.extents,
            catalog: parts.catalog,
            writer: Mutex::new(parts.writer),
            waiting: Mutex::default(),
            unacknowledged: Unacknowledged::default(),
            flusher: Wake::default(),
            housekeeper: Wake::default(),
            cleaner: Wake::default(),
            indexer: Wake::default(),
            retention,
            freeze: Freeze::default(),
            timings: Timings::default(),
            settled: RwLock::default(),
            closed: AtomicBool::new(false),
            last_checkpoint: Mutex::new(parts.last_checkpoint),
            checkpoint_cost: AtomicU64::new(0),
            next_producer_expiry_ms: AtomicI64::new(next_expiry_ms),
            listener,
        }
    }

    pub(crate) fn acknowledged(&self) -> Position {
        Position(self.acknowledged.load(Ordering::Acquire))
    }

    pub(crate) fn is_closed(&self) -> bool {
        self.closed.load(Ordering::Acquire)
    }

    /// # Errors
    /// `Closed` after `close_to_appends`; asked under the append lock.
    pub(crate) fn check_open(&self) -> Result<(), Error> {
        if self.is_closed() { Err(Error::Closed) } else { Ok(()) }
    }

    /// No append succeeds from here on; sleeping threads see it and end.
    pub(crate) fn close_to_appends(&self) {
        let _nothing_in_flight = self.writer.lock().expect("no panic under the append lock");
        self.closed.store(true, Ordering::Release);
        self.flusher.notify();
        self.housekeeper.notify();
        self.cleaner.notify();
        self.indexer.notify();
    }

    /// After a group was written up to `end`: acknowledges it, or has it synced first, as the flush mode says.
    pub(crate) fn written(&self, end: Position) {
        if let Some(reason) = self.log.poison().reason() {
            (self.listener)(&Event::Poisoned(reason));
            return;
        }
        match self.config.flush {
            FlushMode::Sync => self.flusher.notify(),
            FlushMode::Interval(_) | FlushMode::Os => self.acknowledge(end),
        }
        self.housekeeper.notify();
        self.indexer.notify();
        if self.retention.has_work() {
            self.cleaner.notify();
        }
    }

    /// Publishes everything below `position` to consumers and waiting producers.
    pub(crate) fn acknowledge(&self, position: Position) {
        let mut moved: Vec<Arc<PartitionLog>> = Vec::new();
        for (partition, log_end) in self.unacknowledged.take_below(position) {
            if partition.publish_high_watermark(log_end) {
                moved.push(partition);
            }
        }
        let before = self.acknowledged.fetch_max(position.0, Ordering::AcqRel);
        if before < position.0 || !moved.is_empty() {
            (self.listener)(&Event::Acknowledged { position, partitions: &moved });
        }
    }

    /// A thread of the log panicked: nothing is acknowledged from here on.
    pub(crate) fn panicked(&self, thread: &str) {
        let cause = io::Error::other("it panicked");
        let stopped = self.log.poison().guard::<()>(&format!("run the thread `{thread}`"), Err(cause));
        if let Err(error) = stopped {
            self.poisoned(&error.to_string());
        }
    }

    pub(crate) fn poisoned(&self, reason: &str) {
        (self.listener)(&Event::Poisoned(reason));
    }
}

/// Groups that are written and wait for their acknowledgement, oldest first.
#[derive(Debug, Default)]
pub(crate) struct Unacknowledged(Mutex<VecDeque<WrittenGroup>>);

type LogEnds = Vec<(Arc<PartitionLog>, Offset)>;

#[derive(Debug)]
struct WrittenGroup {
    end: Position,
    touched: LogEnds,
}

impl Unacknowledged {
    /// The caller holds the append lock, so groups arrive in order.
    pub(crate) fn push(&self, end: Position, touched: LogEnds) {
        self.0.lock().expect("no panic under this lock").push_back(WrittenGroup { end, touched });
    }

    fn take_below(&self, position: Position) -> LogEnds {
        let mut groups = self.0.lock().expect("no panic under this lock");
        let count = groups.partition_point(|group| group.end <= position);
        groups.drain(..count).flat_map(|group| group.touched).collect()
    }
}

/// Wakes one sleeping thread; cheap while that thread is busy.
#[derive(Debug, Default)]
pub(crate) struct Wake {
    pending: AtomicBool,
    lock: Mutex<()>,
    changed: Condvar,
}

impl Wake {
    pub(crate) fn notify(&self) {
        if !self.pending.swap(true, Ordering::AcqRel) {
            // The empty critical section orders this after a sleeper's last look at `pending`.
            drop(self.lock.lock().expect("no panic under this lock"));
            self.changed.notify_one();
        }
    }

    /// Returns after a `notify` that came since the last return.
    pub(crate) fn wait(&self) {
        let mut guard = self.lock.lock().expect("no panic under this lock");
        while !self.pending.swap(false, Ordering::AcqRel) {
            guard = self.changed.wait(guard).expect("no panic under this lock");
        }
    }

    /// The same, but returns after `timeout` in any case.
    pub(crate) fn wait_timeout(&self, timeout: Duration) {
        let guard = self.lock.lock().expect("no panic under this lock");
        let silent = |_: &mut ()| !self.pending.swap(false, Ordering::AcqRel);
        let woken = self.changed.wait_timeout_while(guard, timeout, silent);
        drop(woken.expect("no panic under this lock"));
    }
}
