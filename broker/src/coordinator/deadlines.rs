//! Deadlines of a coordinator: one ordered table, so that arming, cancelling and firing cost O(log n).
//!
//! **Invariant:** at most one deadline for each timer; both indexes hold the same entries.

use std::collections::{BTreeSet, HashMap};
use std::hash::Hash;
use std::time::Instant;

/// The deadlines.
#[derive(Debug)]
pub(super) struct Deadlines<Timer> {
    by_deadline: BTreeSet<(Instant, Timer)>,
    deadlines: HashMap<Timer, Instant>,
}

impl<Timer> Default for Deadlines<Timer> {
    fn default() -> Self {
        Self { by_deadline: BTreeSet::new(), deadlines: HashMap::new() }
    }
}

impl<Timer: Clone + Ord + Hash> Deadlines<Timer> {
    /// Arms the timer, or moves it.
    pub(super) fn set(&mut self, timer: Timer, deadline: Instant) {
        if let Some(previous) = self.deadlines.insert(timer.clone(), deadline) {
            self.by_deadline.remove(&(previous, timer.clone()));
        }
        self.by_deadline.insert((deadline, timer));
    }

    /// Arms the timer unless it is due earlier anyway.
    pub(super) fn set_earlier(&mut self, timer: Timer, deadline: Instant) {
        if self.deadlines.get(&timer).is_none_or(|current| deadline < *current) {
            self.set(timer, deadline);
        }
    }

    /// Disarms the timer, armed or not.
    pub(super) fn cancel(&mut self, timer: Timer) {
        if let Some(deadline) = self.deadlines.remove(&timer) {
            self.by_deadline.remove(&(deadline, timer));
        }
    }

    /// The earliest deadline.
    pub(super) fn next(&self) -> Option<Instant> {
        self.by_deadline.first().map(|(deadline, _)| *deadline)
    }

    /// Takes the earliest timer that is due.
    pub(super) fn pop_due(&mut self, now: Instant) -> Option<Timer> {
        if self.next()? > now {
            return None;
        }
        let (_, timer) = self.by_deadline.pop_first()?;
        self.deadlines.remove(&timer);
        Some(timer)
    }

    #[cfg(test)]
    pub(super) fn is_armed(&self, timer: &Timer) -> bool {
        self.deadlines.contains_key(timer)
    }

    /// Number of armed timers.
    #[cfg(test)]
    pub(super) fn len(&self) -> usize {
        self.deadlines.len()
    }
}
