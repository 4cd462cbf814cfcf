//! The one handle on a data directory: what `broker` calls.

use std::fmt;
use std::panic::{self, AssertUnwindSafe};
use std::path::PathBuf;
use std::sync::{Arc, Mutex};
use std::thread::{self, JoinHandle};
use std::time::Duration;

use uuid::Uuid;

use crate::append::{self, Append, Appended, Submitted};
use crate::clock::Clock;
use crate::compaction::{COMMIT_BYTES, MAX_KEYS};
use crate::data_dir::DataDir;
use crate::disk::{DirLock, Disk};
use crate::engine::Engine;
use crate::error::{AppendError, Error, OpenError, ReadError};
use crate::log_policy::Policies;
use crate::partition_log::PartitionLog;
use crate::position::{Offset, Position};
use crate::read::{self, Batches, ColdReads, Located, ReadRequest};
use crate::recovery::{self, Recovered};
use crate::space::Space;
use crate::timestamp_search::{self, TimestampOffset};
use crate::topic::{Configs, Topic};
use crate::{cleaner, flush, housekeeping, index_file};

/// When an append counts as acknowledged.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum FlushMode {
    /// When `fdatasync` has returned for it.
    Sync,
    /// When written; synced in the background this often.
    Interval(Duration),
    /// When written; the kernel decides when it reaches the disk.
    Os,
}

/// Gives the time after which a silent producer is forgotten, from the dynamic broker configs. Must not call back.
pub type ProducerExpiration = Arc<dyn Fn(&Configs) -> Duration + Send + Sync>;

/// How a store is laid out and kept.
#[derive(Clone)]
pub struct StoreConfig {
    /// The data directory; created when missing.
    pub dir: PathBuf,
    /// Size of a commitlog file, bytes. Fixed at the directory's creation; a later open with another value keeps the old one.
    pub file_size: u64,
    /// When an append counts as acknowledged.
    pub flush: FlushMode,
    /// A checkpoint is written after this many appended bytes; after up to 16 times as many where it writes much itself.
    pub checkpoint_bytes: u64,
    /// An idempotent producer whose newest record is older is forgotten (`producer.id.expiration.ms`).
    pub producer_expiration: ProducerExpiration,
    /// How often record ages are compared with retention times (`log.retention.check.interval.ms`).
    pub retention_check: Duration,
    /// What topics' configs mean for the log.
    pub policies: Policies,
    /// How much compaction takes on at a time.
    pub compaction: CompactionLimits,
    /// Start the flusher, housekeeping, cleaner and index threads. Off in deterministic tests, which call the steps themselves.
    pub threads: bool,
}

/// What one step of compaction takes on: more takes more steps, each of which can be the last before a crash.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct CompactionLimits {
    /// Keys of one partition that are remembered; with more of them only its older part is compacted at first.
    pub keys: usize,
    /// Bytes that are copied before they become part of the log.
    pub commit_bytes: u64,
}

impl Default for CompactionLimits {
    fn default() -> Self {
        Self { keys: MAX_KEYS, commit_bytes: COMMIT_BYTES }
    }
}

/// What the log tells its owner, from the thread where it happened. Must be handled quickly and without calling back.
#[derive(Debug)]
pub enum Event<'a> {
    /// Appends below `position` are acknowledged, and these partitions' high watermarks moved.
    Acknowledged {
        /// First position that is not acknowledged yet.
        position: Position,
        /// Partitions whose high watermark moved.
        partitions: &'a [Arc<PartitionLog>],
    },
    /// A write or sync failed: nothing will be acknowledged any more.
    Poisoned(&'a str),
}

/// Receives [`Event`]s.
pub type Listener = Box<dyn Fn(&Event<'_>) + Send + Sync>;

/// An open data directory.
pub struct Store {
    engine: Arc<Engine>,
    store_id: Uuid,
    /// The next producer id to give; those below the catalog's reservation are free to give.
    pub(crate) next_producer_id: Mutex<i64>,
    threads: Mutex<Vec<JoinHandle<()>>>,
    cold: ColdReads,
    /// Until the store is closed.
    lock: Mutex<Option<DirLock>>,
}

impl fmt::Debug for Store {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Store").field("dir", &self.engine.dir.root()).finish_non_exhaustive()
    }
}

impl Store {
    /// Opens or creates the directory, recovers the log, starts the threads.
    ///
    /// # Errors
    /// See [`OpenError`]; a directory that is refused is left as it was.
    pub fn open(
        config: StoreConfig,
        disk: Arc<dyn Disk>,
        clock: Arc<dyn Clock>,
        listener: Listener,
    ) -> Result<(Arc<Self>, Recovered), OpenError> {
        let (threads, started_ms) = (config.threads, clock.now_ms());
        let dir = DataDir::new(config.dir.clone());
        let lock = dir.lock(&*disk)?;
        let format = dir.format_or_create(&*disk, config.file_size)?;
        let was_running = dir.is_marked_running(&*disk);
        let (parts, mut recovered) = recovery::recover(config, disk, clock, dir, format, was_running)?;
        parts.dir.mark_running(&*parts.disk, was_running)?;
        let engine = Arc::new(Engine::new(parts, listener));
        let took = engine.clock.now_ms() - started_ms;
        recovered.took = Duration::from_millis(took.unsigned_abs());
        let store = Arc::new(Self {
            next_producer_id: Mutex::new(engine.catalog.reserved_producer_ids()),
            store_id: format.store_id,
            threads: Mutex::new(Vec::new()),
            cold: ColdReads::new(engine.log.written()),
            lock: Mutex::new(Some(lock)),
            engine,
        });
        if threads {
            store.start_threads()?;
        }
        Ok((store, recovered))
    }

    fn start_threads(&self) -> Result<(), Error> {
        let mut threads = self.threads.lock().expect("no panic under this lock");
        let mut start = |name: &str, job: fn(&Arc<Engine>)| {
            let engine = Arc::clone(&self.engine);
            let of_thread = name.to_owned();
            let thread = thread::Builder::new().name(name.to_owned()).spawn(move || {
                // Crash-only: what a thread that panicked left behind is not trusted. The owner ends the process.
                if panic::catch_unwind(AssertUnwindSafe(|| job(&engine))).is_err() {
                    engine.panicked(&of_thread);
                }
            });
            threads.push(
                thread.map_err(|error| Error::io("start a thread for", self.engine.dir.root(), error))?,
            );
            Ok::<_, Error>(())
        };
        start("flusher", flush::run)?;
        start("housekeeping", housekeeping::run)?;
        start("cleaner", cleaner::run)?;
        start("index", index_file::run)?;
        Ok(())
    }

    pub(crate) fn engine(&self) -> &Engine {
        &self.engine
    }

    /// Random id of this directory, made at its creation; serves as Kafka's cluster id.
    #[must_use]
    pub fn cluster_id(&self) -> Uuid {
        self.store_id
    }

    /// Appends each batch to its partition, all in one group where they fit one file. Results in the order of `batches`.
    pub fn append(&self, batches: Vec<Append>) -> Vec<Result<Appended, AppendError>> {
        self.submit(batches).outcomes()
    }

    /// The same in two steps: the batches have their place before all that come later, and are appended with all others that
    /// were submitted when the outcomes of one of these are asked for. Until then nothing of them is to be seen.
    #[must_use]
    pub fn submit(&self, batches: Vec<Append>) -> Submitted {
        Submitted::new(&self.engine, batches)
    }

    /// Appends whatever was submitted up to now.
    pub fn append_submitted(&self) {
        append::append_submitted(&self.engine);
    }

    /// First position not acknowledged under the flush mode. Wait for `>= Appended::end` before answering acks=all.
    #[must_use]
    pub fn acknowledged(&self) -> Position {
        self.engine.acknowledged()
    }

    /// First position that nothing is written at. When `acknowledged()` has reached it, the high watermarks have reached
    /// every log end that was to be seen before.
    #[must_use]
    pub fn written(&self) -> Position {
        self.engine.log.written()
    }

    /// Whole batches from the one that holds `request.from`, zero-copy. Empty at `from == limit`. Waits for the device
    /// where something is not in memory.
    ///
    /// # Errors
    /// `OutOfRange` outside `[log_start, log_end]`; `Corrupt` when the first batch is not what was written.
    pub fn read(&self, partition: &PartitionLog, request: &ReadRequest) -> Result<Batches, ReadError> {
        read::read(&self.engine.log, &self.engine.extents, partition, request)
    }

    /// Finds what `read` would read, without waiting for the device. Read it with [`Located::read`], or, when it
    /// [is cold](Located::is_cold), with [`Store::locate_waiting`] and [`Store::read_cold`] on a thread that may wait.
    ///
    /// # Errors
    /// `OutOfRange` outside `[log_start, log_end]`.
    pub fn locate(&self, partition: &PartitionLog, request: &ReadRequest) -> Result<Located, ReadError> {
        read::locate(&self.engine.log, &self.engine.extents, &self.cold, partition, request)
    }

    /// As [`Store::locate`], but waits until it knows where the first batch is.
    ///
    /// # Errors
    /// As [`Store::locate`].
    pub fn locate_waiting(
        &self,
        partition: &PartitionLog,
        request: &ReadRequest,
    ) -> Result<Located, ReadError> {
        read::locate_waiting(&self.engine.log, &self.engine.extents, &self.cold, partition, request)
    }

    /// The batches of `wanted`, in its order, copied from the device as one piece of work. What a consumer asks for next
    /// is read ahead; what came in this way does not stay in the page cache.
    ///
    /// # Errors
    /// Of each on its own, as [`Located::read`].
    pub fn read_cold(&self, wanted: &[(&PartitionLog, &Located)]) -> Vec<Result<Batches, ReadError>> {
        self.cold.read(&self.engine.log, &self.engine.extents, wanted)
    }

    /// First record in offset order of the first batch with max timestamp >= `timestamp_ms` whose own timestamp is
    /// >= `timestamp_ms`, at or above the log start and below `limit` (Kafka `UnifiedLog.fetchOffsetByTimestamp`).
    ///
    /// # Errors
    /// Io or corruption only.
    pub fn offset_for_timestamp(
        &self,
        partition: &PartitionLog,
        timestamp_ms: i64,
        limit: Offset,
    ) -> Result<Option<TimestampOffset>, ReadError> {
        let (log, extents) = (&self.engine.log, &self.engine.extents);
        timestamp_search::first_at_or_after(log, extents, partition, timestamp_ms, limit)
    }

    /// The first record that carries the partition's greatest timestamp (ListOffsets -3), below `limit`.
    ///
    /// # Errors
    /// Io or corruption only.
    pub fn offset_of_max_timestamp(
        &self,
        partition: &PartitionLog,
        limit: Offset,
    ) -> Result<Option<TimestampOffset>, ReadError> {
        timestamp_search::greatest(&self.engine.log, &self.engine.extents, partition, limit)
    }

    /// Topic by name.
    #[must_use]
    pub fn topic(&self, name: &str) -> Option<Arc<Topic>> {
        self.engine.catalog.topic(name)
    }

    /// Topic by id.
    #[must_use]
    pub fn topic_by_id(&self, id: Uuid) -> Option<Arc<Topic>> {
        self.engine.catalog.topic_by_id(id)
    }

    /// All topics, sorted by name.
    #[must_use]
    pub fn topics(&self) -> Vec<Arc<Topic>> {
        let mut topics = self.engine.catalog.topics();
        topics.sort_by(|a, b| a.name().cmp(b.name()));
        topics
    }

    /// Number of partitions over all topics.
    #[must_use]
    pub fn partition_count(&self) -> usize {
        self.engine.catalog.topics().iter().map(|topic| topic.partitions().len()).sum()
    }

    /// Why the log stopped, when it did.
    #[must_use]
    pub fn poisoned(&self) -> Option<String> {
        self.engine.log.poison().reason().map(str::to_owned)
    }

    /// Bytes of commitlog files on disk, and the log's length in bytes ever appended.
    #[must_use]
    pub fn log_size(&self) -> (u64, u64) {
        let log = &self.engine.log;
        (log.disk_bytes(), log.written().0)
    }

    /// Room on the disk, and what it means for the log.
    #[must_use]
    pub fn space(&self) -> Space {
        self.engine.log.space()
    }

    /// For tests of what writes to the log: takes the disk for full from now on, so that records are refused at once, until it is
    /// told otherwise.
    pub fn refuse_records(&self, refused: bool) {
        self.engine.log.refuse_records(refused);
    }

    /// Syncs what is written and acknowledges it. The flusher does this by itself; for tests without threads.
    ///
    /// # Errors
    /// `Poisoned`.
    pub fn flush(&self) -> Result<(), Error> {
        flush::flush_once(&self.engine)
    }

    /// One round of background work: the next file, queue pages, a checkpoint when due, silent producers. The housekeeping
    /// thread does this by itself; for tests without threads.
    ///
    /// # Errors
    /// Log failures; the next round tries again.
    pub fn housekeep(&self) -> Result<(), Arc<Error>> {
        housekeeping::round(&self.engine)
    }

    /// One round of cleaning: retention, compaction, rewriting, dead files. The cleaner thread does this by itself; for tests
    /// without threads.
    ///
    /// # Errors
    /// Log failures; the next round tries again.
    pub fn clean(&self) -> Result<(), Arc<Error>> {
        cleaner::round(&self.engine)
    }

    /// To be called when the clock was moved: what ages by itself is looked at now, not when its turn comes. Returns at once,
    /// the store's threads do the work.
    pub fn clock_moved(&self) {
        self.engine.retention.all_changed();
        self.engine.cleaner.notify();
        self.engine.housekeeper.notify();
    }

    /// Writes a checkpoint: the next start replays only what comes after.
    ///
    /// # Errors
    /// Io; the previous checkpoint stays valid.
    pub fn checkpoint(&self) -> Result<(), Error> {
        housekeeping::checkpoint(&self.engine, false)
    }

    /// Syncs, checkpoints, ends the threads, removes `abort`, lets go of the directory. Appends fail afterwards.
    ///
    /// # Errors
    /// Io; the next start then recovers as after a crash.
    pub fn close(&self) -> Result<(), Error> {
        self.engine.close_to_appends();
        let threads = std::mem::take(&mut *self.threads.lock().expect("no panic under this lock"));
        for thread in threads {
            thread.thread().unpark();
            thread.join().expect("its panics are caught");
        }
        self.engine.log.poison().check()?;
        housekeeping::checkpoint(&self.engine, true)?;
        self.engine.dir.mark_stopped(&*self.engine.disk)?;
        drop(self.lock.lock().expect("no panic under this lock").take());
        Ok(())
    }
}
