//! What the log tells of itself to whoever watches it.
//!
//! Called by `broker`'s metrics, now and then, from a thread that may wait. Only reads; nothing is kept here.

use std::ops::ControlFlow;

use crate::error::ReadError;
use crate::partition_log::PartitionLog;
use crate::position::{Offset, Position};
use crate::read;
use crate::store::Store;
use crate::timings::TimingCounts;

/// The log at one moment.
#[derive(Debug, Clone)]
pub struct LogFacts {
    /// Where it begins.
    pub begin: Position,
    /// Where the next batch goes.
    pub written: Position,
    /// Everything below is on stable storage.
    pub synced: Position,
    /// Files of it, those given up not counted.
    pub files: usize,
    /// Their bytes on disk.
    pub file_bytes: u64,
    /// Bytes in them that some partition still has.
    pub live_bytes: u64,
    /// Bytes of the active file that nothing was written to yet.
    pub unused_bytes: u64,
    /// Bytes of full files that have no index file yet.
    pub unindexed_bytes: u64,
    /// Index files, records in them that can be found by key, and their bytes on disk.
    pub indexes: IndexFacts,
    /// Pages of consume queues that partitions use, bytes.
    pub queue_bytes: u64,
    /// From an append being asked for to the append lock being had.
    pub wait: TimingCounts,
    /// Under the append lock: checks, stamps, the write.
    pub write: TimingCounts,
    /// One `fdatasync` of everything written.
    pub sync: TimingCounts,
}

/// All index files at one moment.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct IndexFacts {
    /// How many there are.
    pub files: usize,
    /// Records that can be found by key.
    pub keys: u64,
    /// On disk.
    pub bytes: u64,
}

/// What one partition keeps besides its batches, at one moment.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct PartitionFacts {
    /// Producers whose sequences it remembers.
    pub producers: usize,
    /// Offsets that compaction has not looked at yet; `None` where the topic is not compacted.
    pub uncompacted: Option<Offset>,
    /// How long its records are kept, ms; `None` for ever.
    pub retention_ms: Option<i64>,
}

impl PartitionLog {
    /// What it keeps at this moment.
    #[must_use]
    pub fn facts(&self) -> PartitionFacts {
        let policy = self.policy();
        let state = self.state();
        let compacted = state.compacted.as_ref().map_or(0, |done| done.upto).max(self.log_start_offset());
        PartitionFacts {
            producers: state.producers.as_ref().map_or(0, |producers| producers.len()),
            uncompacted: policy.compact.then(|| (self.log_end_offset() - compacted).max(0)),
            retention_ms: policy.retention_ms.filter(|_| policy.delete),
        }
    }
}

impl Store {
    /// The log at this moment.
    #[must_use]
    pub fn facts(&self) -> LogFacts {
        let engine = self.engine();
        let (log, timings) = (&engine.log, &engine.timings);
        let files = log.live();
        let sealed = log.sealed();
        let mut indexes = IndexFacts::default();
        let mut unindexed_bytes = 0;
        for file in &sealed {
            match engine.index_files.of(file) {
                Some(index) => {
                    indexes.files += 1;
                    indexes.keys += index.keys();
                    indexes.bytes += index.len();
                }
                None => unindexed_bytes += file.len(),
            }
        }
        LogFacts {
            begin: log.begin(),
            written: log.written(),
            synced: log.synced(),
            files: files.len(),
            file_bytes: log.disk_bytes(),
            live_bytes: files.iter().map(|(_, live)| live).sum(),
            unused_bytes: log.file_at(log.written()).map_or(0, |file| file.end().0 - log.written().0),
            unindexed_bytes,
            indexes,
            queue_bytes: engine.extents.used_bytes(),
            wait: timings.wait.counts(),
            write: timings.write.counts(),
            sync: timings.sync.counts(),
        }
    }

    /// Greatest timestamp (ms) of the batch that holds `offset`, or of the next one where compaction left a gap; `None` at
    /// the log end. Reads the consume queue only, perhaps from the device.
    ///
    /// # Errors
    /// Io or corruption only.
    pub fn timestamp_at(&self, partition: &PartitionLog, offset: Offset) -> Result<Option<i64>, ReadError> {
        let first = read::visit(&self.engine().extents, partition, offset, |entry| {
            ControlFlow::Break(entry.max_timestamp)
        })?;
        Ok(first)
    }
}
