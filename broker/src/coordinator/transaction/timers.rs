//! Deadlines of the transaction coordinator; an id without one costs nothing.

use std::sync::Arc;

use crate::coordinator::deadlines::Deadlines;

/// What is due at a deadline.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(super) enum Timer {
    /// When an open transaction may be past its timeout.
    Timeout { id: Arc<str> },
    /// When an unused id may be forgotten.
    Expiration { id: Arc<str> },
    /// When markers are tried again that could not be written.
    Markers { id: Arc<str> },
    /// When requests stop waiting for the previous transaction to complete.
    Patience { id: Arc<str> },
}

/// The deadlines.
pub(super) type Timers = Deadlines<Timer>;

impl Timers {
    /// Disarms every timer of the id.
    pub(super) fn cancel_all(&mut self, id: &Arc<str>) {
        let id = || Arc::clone(id);
        self.cancel(Timer::Timeout { id: id() });
        self.cancel(Timer::Expiration { id: id() });
        self.cancel(Timer::Markers { id: id() });
        self.cancel(Timer::Patience { id: id() });
    }
}
