//! What can happen to every coordinator. Each has events of its own beside these.

use bytes::Bytes;
use protocol::ErrorCode;

use super::effect::{Ticket, WaiterId};

/// One thing that happened. `Own` is what happens to one coordinator only.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Event<Request, Own> {
    /// A client asks; exactly one `Effect::Respond` with this waiter follows, now or later.
    Request {
        /// Stands for the client until it is answered; never reused.
        waiter: WaiterId,
        /// What it asks.
        request: Request,
    },
    /// One record of a partition of the coordinator's topic that is being loaded, in log order.
    LoadRecord {
        /// The partition it was read from.
        partition: i32,
        /// Record key, in Kafka's format.
        key: Bytes,
        /// Record value, `None` for a tombstone.
        value: Option<Bytes>,
    },
    /// The partition's log was read to its end: answer for what is in it from now on. Every partition starts unloaded.
    LoadFinished {
        /// The loaded partition.
        partition: i32,
    },
    /// What became of an `Effect::Append`. For one partition outcomes arrive in the order of the appends.
    AppendOutcome {
        /// The ticket of the append.
        ticket: Ticket,
        /// `Ok` once the records are durable; otherwise the error a produce request would have got.
        result: Result<(), ErrorCode>,
    },
    /// The wall clock, for timestamps and timeouts in records. Sent now and then, because it drifts from `Instant`.
    WallClock {
        /// Milliseconds since the Unix epoch at the `now` of this event.
        epoch_ms: i64,
    },
    /// What only this coordinator knows.
    Own(Own),
}
