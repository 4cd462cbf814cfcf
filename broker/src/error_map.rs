//! The one place where the log's outcomes become Kafka's error codes.
//!
//! Called by handlers and by the group coordinator's runtime. Invariant: every match is exhaustive, so a new outcome in
//! `storage` does not compile until somebody has decided what a client is told.

use std::sync::Mutex;
use std::time::Duration;

use protocol::ErrorCode;
use storage::{AppendError, Error, ReadError, TopicError};
use tokio::time::Instant;

/// Between two lines about damage: a consumer asks for the damaged batch again at once.
const DAMAGE_LINES: Duration = Duration::from_secs(10);

/// What a producer is told when one batch was not appended.
pub(crate) fn append_error(error: &AppendError) -> ErrorCode {
    match error {
        AppendError::OutOfOrderSequence { .. } => ErrorCode::OutOfOrderSequenceNumber,
        // Produce answers INVALID_PRODUCER_EPOCH, never PRODUCER_FENCED, so that the client can bump its epoch and go on
        // (Kafka `ProducerAppendInfo.checkProducerEpoch`).
        AppendError::InvalidProducerEpoch { .. } => ErrorCode::InvalidProducerEpoch,
        AppendError::InvalidTransactionState { .. } => ErrorCode::InvalidTxnState,
        AppendError::TransactionCoordinatorFenced { .. } => ErrorCode::TransactionCoordinatorFenced,
        AppendError::TooLarge { .. } => ErrorCode::RecordListTooLarge,
        AppendError::Deleted => ErrorCode::UnknownTopicOrPartition,
        AppendError::Log(error) => log_error(error),
    }
}

/// What a consumer is told when a partition could not be read. Damage also gets a line in the log, now and then.
pub(crate) fn read_error(error: &ReadError) -> ErrorCode {
    match error {
        ReadError::OutOfRange { .. } => ErrorCode::OffsetOutOfRange,
        ReadError::Deleted => ErrorCode::UnknownTopicOrPartition,
        ReadError::Log(error @ Error::Corrupt { .. }) => {
            static LAST_LINE: Mutex<Option<Instant>> = Mutex::new(None);
            if is_due(&mut LAST_LINE.lock().expect("nothing panics under this lock"), Instant::now()) {
                tracing::error!(%error, "damaged data was asked for and is not served");
            }
            ErrorCode::CorruptMessage
        }
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

fn is_due(last: &mut Option<Instant>, now: Instant) -> bool {
    let due = last.is_none_or(|last| now.duration_since(last) >= DAMAGE_LINES);
    if due {
        *last = Some(now);
    }
    due
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn damage_that_is_asked_for_again_and_again_gets_a_line_every_ten_seconds() {
        let (mut last, start) = (None, Instant::now());
        let lines = (0..30).filter(|second| is_due(&mut last, start + Duration::from_secs(*second)));
        assert_eq!(lines.collect::<Vec<_>>(), [0, 10, 20]);
    }
}
