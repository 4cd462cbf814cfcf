//! What the group coordinator wants done. Carried out by its shell, in the order given.

use super::response::Response;
pub use crate::coordinator::effect::{CoordinatorRecord, Ticket, TransactionalContent, WaiterId};
use crate::coordinator::{effect, outbox};

/// One thing to do.
pub type Effect = effect::Effect<Response, TransactionalAppend>;

/// Effects on their way out.
pub(super) type Outbox = outbox::Outbox<Response, TransactionalAppend, super::transactions::Tried>;

/// Append to a producer's transaction, or the marker that ends it, after earlier appends to the partition. The log may refuse
/// it because of the producer: report at once with `GroupEvent::AppendTried`, before any other event, and what it took, when
/// it is durable, with `Event::AppendOutcome`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TransactionalAppend {
    /// Partition of `__consumer_offsets`.
    pub partition: i32,
    /// Id and epoch of the producer.
    pub producer: (i64, i16),
    /// What to write; records within `GroupConfig::max_append_bytes`.
    pub content: TransactionalContent,
    /// The client that is answered; what was verified about its producer is shown to the log.
    pub waiter: WaiterId,
    /// Returned with the outcome.
    pub ticket: Ticket,
}
