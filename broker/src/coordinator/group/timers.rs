//! Deadlines of the group coordinator; a group without one costs nothing.

use std::sync::Arc;

use crate::coordinator::deadlines::Deadlines;

/// What is due at a deadline. Ids are shared with the group, so an entry is two pointers.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(super) enum Timer {
    /// When the first rebalance of an empty group stops waiting for more members, or waits another round.
    InitialRebalance { group: Arc<str> },
    /// When a rebalance goes on without the members that have not rejoined.
    Rebalance { group: Arc<str> },
    /// When members that joined the generation but never asked for their assignment are removed.
    Sync { group: Arc<str> },
    /// When a member has been silent for its session timeout, or a handed-out member id was not used.
    Session { group: Arc<str>, member: Arc<str> },
    /// When a member of a consumer group must have given up its partitions, or, speaking the classic protocol, must have
    /// joined or synced again.
    MemberRebalance { group: Arc<str>, member: Arc<str> },
    /// When an offset of the group may have expired, or the group may be forgotten.
    OffsetRetention { group: Arc<str> },
}

/// The deadlines.
pub(super) type Timers = Deadlines<Timer>;
