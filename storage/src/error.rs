//! What can go wrong in the log, one enum per operation. Expected outcomes are variants here; `broker` maps them to
//! Kafka's error codes in one place.

use std::io;
use std::path::PathBuf;

use thiserror::Error;

use crate::position::{Offset, Position};

/// A failure below every operation.
#[derive(Debug, Error)]
pub enum Error {
    /// The operating system said no.
    #[error("{action} {path}: {source}")]
    Io {
        /// What was being done, as a verb: "open", "write".
        action: &'static str,
        /// The file or directory.
        path: PathBuf,
        /// The system's answer.
        source: io::Error,
    },
    /// Bytes that were durable are not what was written.
    #[error("{file}: damaged at byte {at} (log position {position}): {what}")]
    Corrupt {
        /// The file.
        file: PathBuf,
        /// Byte offset in the file.
        at: u64,
        /// Position in the commitlog, or 0 for files beside it.
        position: Position,
        /// What is wrong there.
        what: String,
    },
    /// An earlier write or sync failed: the log takes nothing more in this process.
    #[error("the log stopped after a failed write or sync: {0}")]
    Poisoned(String),
    /// No space for another commitlog file.
    #[error("no space for the next commitlog file: {0}")]
    Full(String),
    /// The store was closed.
    #[error("the log is closed")]
    Closed,
}

impl Error {
    pub(crate) fn io(action: &'static str, path: impl Into<PathBuf>, source: io::Error) -> Self {
        Self::Io { action, path: path.into(), source }
    }
}

/// Why a data directory cannot be opened.
#[derive(Debug, Error)]
pub enum OpenError {
    /// Another process holds the directory's lock.
    #[error("{dir} is in use by process {pid}; stop it or choose another directory with --data-dir")]
    InUse {
        /// The data directory.
        dir: PathBuf,
        /// Pid written by the holder, "unknown" when the file says nothing.
        pid: String,
    },
    /// The directory holds something that is not ours.
    #[error(
        "{dir} is not empty and is not an onelog data directory (found {found}); choose an empty directory"
    )]
    Foreign {
        /// The data directory.
        dir: PathBuf,
        /// One entry that does not belong.
        found: String,
    },
    /// Written by a newer format than this program knows.
    #[error("{dir} has format {found}, this program knows up to {known}; use the newer onelog that wrote it")]
    NewerFormat {
        /// The data directory.
        dir: PathBuf,
        /// Format in the directory.
        found: u32,
        /// Newest format known here.
        known: u32,
    },
    /// The configuration contradicts the directory or itself.
    #[error("{0}")]
    Config(String),
    /// Anything below.
    #[error(transparent)]
    Log(#[from] Error),
}

/// Why one batch was not appended. Nothing of it is in the log.
#[derive(Debug, Error)]
pub enum AppendError {
    /// Not the sequence that follows the producer's last one.
    #[error("producer {producer_id}: sequence {found} out of order, expected {expected}")]
    OutOfOrderSequence {
        /// The producer.
        producer_id: i64,
        /// The sequence that would be right.
        expected: i32,
        /// The batch's base sequence.
        found: i32,
    },
    /// An epoch older than the newest one seen.
    #[error("producer {producer_id}: epoch {found} is older than {current}")]
    InvalidProducerEpoch {
        /// The producer.
        producer_id: i64,
        /// Newest epoch seen in this partition.
        current: i16,
        /// The batch's epoch.
        found: i16,
    },
    /// A batch outside of its producer's transaction: a transactional one that would open a transaction of which the
    /// coordinator was not asked, or one that is not transactional while a transaction is open.
    #[error("producer {producer_id}: the batch is not part of an ongoing transaction")]
    InvalidTransactionState {
        /// The producer.
        producer_id: i64,
    },
    /// A marker of a coordinator that another one has replaced.
    #[error("producer {producer_id}: marker with coordinator epoch {found}, the last one had {current}")]
    TransactionCoordinatorFenced {
        /// The producer.
        producer_id: i64,
        /// Coordinator epoch of its last marker here.
        current: i32,
        /// The marker's coordinator epoch.
        found: i32,
    },
    /// The frame does not fit a commitlog file.
    #[error("batch of {size} bytes is larger than a commitlog file can take ({limit} bytes)")]
    TooLarge {
        /// Batch size, bytes.
        size: usize,
        /// Largest payload, bytes.
        limit: usize,
    },
    /// The topic was deleted.
    #[error("the partition was deleted")]
    Deleted,
    /// Anything below.
    #[error(transparent)]
    Log(#[from] std::sync::Arc<Error>),
}

/// Why a read has no batches to give.
#[derive(Debug, Error)]
pub enum ReadError {
    /// The offset lies outside `[log_start, log_end]`.
    #[error("offset {offset} is out of range: the log holds {log_start} to {log_end}")]
    OutOfRange {
        /// Asked for.
        offset: Offset,
        /// First offset there.
        log_start: Offset,
        /// One past the last offset there.
        log_end: Offset,
    },
    /// The topic was deleted.
    #[error("the partition was deleted")]
    Deleted,
    /// Anything below.
    #[error(transparent)]
    Log(#[from] Error),
}

/// Why a topic could not be changed.
#[derive(Debug, Error)]
pub enum TopicError {
    /// The name is taken.
    #[error("topic {0} exists already")]
    Exists(String),
    /// No such topic (any more).
    #[error("no such topic")]
    Unknown,
    /// Partitions can only be added.
    #[error("topic has {current} partitions, {asked} asked for; the number can only grow")]
    FewerPartitions {
        /// Partitions there.
        current: u32,
        /// Partitions asked for.
        asked: u32,
    },
    /// The request exceeds a limit of this log.
    #[error("{0}")]
    Limit(String),
    /// An offset outside the partition.
    #[error("offset {offset} is out of range: the log holds {log_start} to {high_watermark}")]
    OutOfRange {
        /// Asked for.
        offset: Offset,
        /// First offset there.
        log_start: Offset,
        /// High watermark.
        high_watermark: Offset,
    },
    /// Anything below.
    #[error(transparent)]
    Log(#[from] std::sync::Arc<Error>),
}
