//! Deadlines of the transaction coordinator; an id without one costs nothing.

use std::sync::Arc;
use std::time::Instant;

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
#[derive(Debug, Default)]
pub(super) struct Timers(Deadlines<Timer>);

impl Timers {
    pub(super) fn set(&mut self, timer: Timer, deadline: Instant) {
        self.0.set(timer, deadline);
    }

    pub(super) fn set_earlier(&mut self, timer: Timer, deadline: Instant) {
        self.0.set_earlier(timer, deadline);
    }

    pub(super) fn cancel(&mut self, timer: Timer) {
        self.0.cancel(timer);
    }

    pub(super) fn cancel_all(&mut self, id: &Arc<str>) {
        let id = || Arc::clone(id);
        self.0.cancel(Timer::Timeout { id: id() });
        self.0.cancel(Timer::Expiration { id: id() });
        self.0.cancel(Timer::Markers { id: id() });
        self.0.cancel(Timer::Patience { id: id() });
    }

    pub(super) fn next(&self) -> Option<Instant> {
        self.0.next()
    }

    pub(super) fn pop_due(&mut self, now: Instant) -> Option<Timer> {
        self.0.pop_due(now)
    }
}
