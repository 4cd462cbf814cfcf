//! What the share coordinator wants done. Carried out by its shell, in the order given.

use uuid::Uuid;

use super::response::Response;
use crate::coordinator::{effect, outbox};

/// One thing to do.
pub type Effect = effect::Effect<Response, Work>;

/// Effects on their way out. The note of an append: everything before it is said again, the partition can be cut.
pub(super) type Outbox = outbox::Outbox<Response, Work, ()>;

/// What only this coordinator wants done.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Work {
    /// Records of the partition can be had again: whoever waits for some looks again.
    Available {
        /// The topic.
        topic: Uuid,
        /// The partition's number.
        partition: i32,
    },
    /// Remember where this partition of `__share_group_state` ends: everything is said again from here on.
    Mark {
        /// Its number.
        partition: i32,
    },
    /// Cut off what lies before the mark.
    Cut {
        /// Its number.
        partition: i32,
    },
}
