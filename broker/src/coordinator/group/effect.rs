//! What the group coordinator wants done. Carried out by the runtime, in the order given.

use bytes::Bytes;

use super::response::Response;

/// Stands for a client that waits for an answer. The runtime makes them up and never reuses one.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct WaiterId(pub u64);

/// Names one append until its outcome is known.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Ticket(pub u64);

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

/// A record of `__consumer_offsets` in Kafka's format.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CoordinatorRecord {
    /// Record key.
    pub key: Bytes,
    /// Record value; `None` is a tombstone.
    pub value: Option<Bytes>,
}

impl CoordinatorRecord {
    /// Bytes it may take in a record batch: the parts and the largest record overhead.
    pub(super) fn size(&self) -> usize {
        const RECORD_OVERHEAD: usize = 32;
        RECORD_OVERHEAD + self.key.len() + self.value.as_ref().map_or(0, Bytes::len)
    }
}
