//! The one place where the log's outcomes become Kafka's error codes.
//!
//! Called by handlers and by the group coordinator's runtime. Invariant: every match is exhaustive, so a new outcome in
//! `storage` does not compile until somebody has decided what a client is told.

use protocol::ErrorCode;
use storage::{AppendError, Error, ReadError, TopicError};

/// What a producer is told when one batch was not appended.
pub(crate) fn append_error(error: &AppendError) -> ErrorCode {
    match error {
        AppendError::OutOfOrderSequence { .. } => ErrorCode::OutOfOrderSequenceNumber,
        // Produce answers INVALID_PRODUCER_EPOCH, never PRODUCER_FENCED, so that the client can bump its epoch and go on
        // (Kafka `ProducerAppendInfo.checkProducerEpoch`).
        AppendError::InvalidProducerEpoch { .. } => ErrorCode::InvalidProducerEpoch,
        AppendError::TooLarge { .. } => ErrorCode::RecordListTooLarge,
        AppendError::Deleted => ErrorCode::UnknownTopicOrPartition,
        AppendError::Log(error) => log_error(error),
    }
}

/// What a consumer is told when a partition could not be read.
pub(crate) fn read_error(error: &ReadError) -> ErrorCode {
    match error {
        ReadError::OutOfRange { .. } => ErrorCode::OffsetOutOfRange,
        ReadError::Deleted => ErrorCode::UnknownTopicOrPartition,
        ReadError::Log(error) => log_error(error),
    }
}

/// What an admin client is told when a topic, a config or a log start could not be changed.
pub(crate) fn topic_error(error: &TopicError) -> ErrorCode {
    match error {
        TopicError::Exists(_) => ErrorCode::TopicAlreadyExists,
        TopicError::Unknown => ErrorCode::UnknownTopicOrPartition,
        TopicError::FewerPartitions { .. } => ErrorCode::InvalidPartitions,
        TopicError::Limit(_) => ErrorCode::InvalidPartitions,
        TopicError::OutOfRange { .. } => ErrorCode::OffsetOutOfRange,
        TopicError::Log(error) => log_error(error),
    }
}

/// What anybody is told about a failure below every operation.
pub(crate) fn log_error(error: &Error) -> ErrorCode {
    match error {
        Error::Io { .. } | Error::Corrupt { .. } | Error::Poisoned(_) | Error::Full(_) | Error::Closed => {
            ErrorCode::KafkaStorageError
        }
    }
}
