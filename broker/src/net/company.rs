//! Whether the connections of one core have company, and what each may therefore write at once.
//!
//! Shared by the connections of a core, asked each time that one is polled. Pure: the caller says what time it is.

use std::cell::Cell;
use std::time::Duration;

use tokio::time::Instant;

/// Bytes that a connection writes before the others of its core have their turn: less than 100 us of copying.
pub(super) const TURN: usize = 128 << 10;
/// Others that did nothing for this long are not waited for: turns, of twice that size, cost a third more time on a
/// core per byte.
pub(super) const MEMORY: Duration = Duration::from_millis(100);

/// See the module.
#[derive(Debug, Default)]
pub(super) struct Company {
    members: Cell<u64>,
    /// Who was polled last, and when.
    last: Cell<Option<(u64, Instant)>>,
    /// When one that is not the last was polled last.
    other: Cell<Option<Instant>>,
}

impl Company {
    /// A number for one more connection.
    pub(super) fn join(&self) -> u64 {
        self.members.set(self.members.get() + 1);
        self.members.get()
    }

    /// What `member` may write before it gives way.
    pub(super) fn turn(&self, member: u64, now: Instant) -> usize {
        match self.last.replace(Some((member, now))) {
            Some((before, at)) if before != member => self.other.set(Some(at)),
            _ => {}
        }
        let has_company = self.other.get().is_some_and(|at| now - at < MEMORY);
        if has_company { TURN } else { usize::MAX }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_what_another_member_did_a_moment_ago_is_company() {
        let (company, start) = (Company::default(), Instant::now());
        let at = |ms| start + Duration::from_millis(ms);
        let (one, two) = (company.join(), company.join());
        assert_eq!(company.turn(one, at(0)), usize::MAX, "nobody else yet");
        assert_eq!(company.turn(one, at(1)), usize::MAX, "its own work is no company");
        assert_eq!(company.turn(two, at(50)), TURN);
        assert_eq!(company.turn(one, at(60)), TURN);
        assert_eq!(company.turn(one, at(149)), TURN, "99 ms since the other");
        assert_eq!(company.turn(one, at(150)), usize::MAX);
        assert_eq!(company.turn(two, at(200)), TURN);
        assert_eq!(company.turn(two, at(250)), usize::MAX, "100 ms since the first");
    }
}
