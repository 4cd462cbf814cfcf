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
    /// From an append being asked for to the append lock being had.
    pub wait: TimingCounts,
    /// Under the append lock: checks, stamps, the write.
    pub write: TimingCounts,
    /// One `fdatasync` of everything written.
    pub sync: TimingCounts,
}

impl Store {
    /// The log at this moment.
    #[must_use]
    pub fn facts(&self) -> LogFacts {
        let engine = self.engine();
        let (log, timings) = (&engine.log, &engine.timings);
        let files = log.live();
        let sealed = log.sealed();
        let unindexed = sealed.iter().filter(|file| engine.index_files.of(file).is_none());
        LogFacts {
            begin: log.begin(),
            written: log.written(),
            synced: log.synced(),
            files: files.len(),
            file_bytes: log.disk_bytes(),
            live_bytes: files.iter().map(|(_, live)| live).sum(),
            unused_bytes: log.file_at(log.written()).map_or(0, |file| file.end().0 - log.written().0),
            unindexed_bytes: unindexed.map(|file| file.len()).sum(),
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
