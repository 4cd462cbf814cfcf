//! What the effects of every coordinator are made of: who is answered, what is appended, by which name its outcome comes back.

use bytes::Bytes;
use protocol::ErrorCode;
use protocol::control_batch::EndTransactionMarker;

/// Stands for a client that waits for an answer. The runtime makes them up and never reuses one.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct WaiterId(pub u64);

/// Names one append, or other work for the runtime, until its outcome is known.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Ticket(pub u64);

/// A record of a coordinator's own topic, in Kafka's format.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CoordinatorRecord {
    /// Record key.
    pub key: Bytes,
    /// Record value; `None` is a tombstone.
    pub value: Option<Bytes>,
}

/// What a transactional append consists of.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum TransactionalContent {
    /// Records that count when the transaction is committed.
    Records(Vec<CoordinatorRecord>),
    /// The end of the transaction.
    Marker(EndTransactionMarker),
}

impl CoordinatorRecord {
    /// Bytes it may take in a record batch: the parts and the largest record overhead.
    pub(super) fn size(&self) -> usize {
        const RECORD_OVERHEAD: usize = 32;
        RECORD_OVERHEAD + self.key.len() + self.value.as_ref().map_or(0, Bytes::len)
    }
}

/// What a client is told when the append behind its request fails with this error (Kafka's
/// `CoordinatorOperationExceptionHelper` and `TransactionStateManager.appendTransactionToLog`).
pub(super) const fn append_error(error: ErrorCode) -> ErrorCode {
    match error {
        ErrorCode::UnknownTopicOrPartition | ErrorCode::NotEnoughReplicas | ErrorCode::RequestTimedOut => {
            ErrorCode::CoordinatorNotAvailable
        }
        ErrorCode::NotLeaderOrFollower | ErrorCode::KafkaStorageError => ErrorCode::NotCoordinator,
        ErrorCode::MessageTooLarge | ErrorCode::RecordListTooLarge | ErrorCode::InvalidFetchSize => {
            ErrorCode::UnknownServerError
        }
        other => other,
    }
}
