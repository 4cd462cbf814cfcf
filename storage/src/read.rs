//! Reading batches by offset.
//!
//! Called by `store`. Invariant: only bytes below the caller's limit, which is at most the log end, are handed out.

use bytes::Bytes;

use crate::commit_log::CommitLog;
use crate::consume_queue::{Entry, Extents};
use crate::error::{Error, ReadError};
use crate::frame::payload_at;
use crate::partition_log::PartitionLog;
use crate::position::Offset;

/// What to read.
#[derive(Debug, Clone, Copy)]
pub struct ReadRequest {
    /// First offset wanted; its whole batch is returned.
    pub from: Offset,
    /// Batches that start at or above this offset are not returned (high watermark, last stable offset).
    pub limit: Offset,
    /// Stop before this many bytes ...
    pub max_bytes: usize,
    /// ... but return the first batch even if it alone is larger.
    pub at_least_one: bool,
}

/// What was read: each `Bytes` is one whole batch, a slice of the mapped log.
#[derive(Debug, Clone, Default)]
pub struct Batches {
    /// In offset order.
    pub batches: Vec<Bytes>,
    /// Sum of their sizes.
    pub bytes: usize,
}

pub(crate) fn read(
    log: &CommitLog,
    extents: &Extents,
    partition: &PartitionLog,
    request: &ReadRequest,
) -> Result<Batches, ReadError> {
    let (log_start, log_end) = (partition.log_start_offset(), partition.log_end_offset());
    if partition.is_deleted() {
        return Err(ReadError::Deleted);
    }
    if request.from < log_start || request.from > log_end {
        return Err(ReadError::OutOfRange { offset: request.from, log_start, log_end });
    }
    let limit = request.limit.min(log_end);
    if request.from >= limit {
        return Ok(Batches::default());
    }
    let mut entries = Vec::new();
    let mut bytes = 0_usize;
    partition.state().queue.visit_from(request.from, extents, |entry| {
        let size = usize::try_from(entry.size).expect("32 bits fit");
        let fits = bytes + size <= request.max_bytes || (entries.is_empty() && request.at_least_one);
        if entry.base_offset >= limit || !fits {
            return false;
        }
        bytes += size;
        entries.push(*entry);
        bytes < request.max_bytes
    })?;
    let batches = entries.iter().map(|entry| batch_bytes(log, entry)).collect::<Result<_, Error>>()?;
    Ok(Batches { batches, bytes })
}

/// The batch that an entry points at.
pub(crate) fn batch_bytes(log: &CommitLog, entry: &Entry) -> Result<Bytes, Error> {
    let payload = entry.position.plus(payload_at(entry.first_of_group()));
    log.read(payload, usize::try_from(entry.size).expect("32 bits fit"))
}
