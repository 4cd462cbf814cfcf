//! What the group coordinator wants done. Carried out by the runtime, in the order given.

use super::response::Response;
pub use crate::coordinator::effect::{CoordinatorRecord, Ticket, TransactionalContent, WaiterId};

/// One thing to do.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Effect {
    /// Append these records to a partition of `__consumer_offsets`, all or none, after earlier appends to it; make them
    /// durable and report with `Event::AppendOutcome`. Several appends may share a batch and a sync; each has its outcome.
    Append {
        /// Partition of `__consumer_offsets`.
        partition: i32,
        /// What to write; within `GroupConfig::max_append_bytes`.
        records: Vec<CoordinatorRecord>,
        /// Returned with the outcome.
        ticket: Ticket,
    },
    /// Append to a producer's transaction, or the marker that ends it, after earlier appends to the partition. The log may
    /// refuse it because of the producer: report at once with `Event::AppendTried`, before any other event, and what it
    /// took, when it is durable, with `Event::AppendOutcome`.
    AppendTransactional {
        /// Partition of `__consumer_offsets`.
        partition: i32,
        /// Id and epoch of the producer.
        producer: (i64, i16),
        /// What to write; records within `GroupConfig::max_append_bytes`.
        content: TransactionalContent,
        /// The client that is answered; what was verified about its producer is shown to the log.
        waiter: WaiterId,
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
        /// Partition of `__consumer_offsets`.
        partition: i32,
    },
}
