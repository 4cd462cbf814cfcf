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

/// One thing to do. `Work` is what only one coordinator wants.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Effect<Response, Work> {
    /// Append these records to a partition of the coordinator's topic, all or none, after earlier appends to it; make them
    /// durable and report with `Event::AppendOutcome`. Several appends may share a batch and a sync; each has its outcome.
    Append {
        /// Partition of the coordinator's topic.
        partition: i32,
        /// What to write; within the configured `max_append_bytes`.
        records: Vec<CoordinatorRecord>,
        /// Returned with the outcome.
        ticket: Ticket,
    },
    /// Answer a client.
    Respond {
        /// The client.
        waiter: WaiterId,
        /// The answer.
        response: Response,
    },
    /// The state of a partition was thrown away because an append failed. Once no append to it is under way any more, read
    /// it again: `Event::LoadRecord` for each record, then `Event::LoadFinished`.
    Reload {
        /// Partition of the coordinator's topic.
        partition: i32,
    },
    /// What only this coordinator wants.
    Work(Work),
}

/// An answer to a client.
pub(super) trait Fails {
    /// The same kind of answer with an error instead of its content: what was applied could not be written.
    fn into_failed(self, error: ErrorCode) -> Self;
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
pub(crate) const fn append_error(error: ErrorCode) -> ErrorCode {
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
