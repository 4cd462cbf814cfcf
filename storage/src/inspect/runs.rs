//! Which offsets of a partition are there, as runs without gaps. Pure.

use std::cmp::Reverse;

use crate::position::{Offset, Position};

/// Batches whose offsets follow each other.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Run {
    pub(super) first: Offset,
    pub(super) last: Offset,
    /// Where the first batch stands.
    pub(super) from: Position,
    /// Where the last batch stands.
    pub(super) to: Position,
}

/// Offsets that are not there, and the places between which they should be.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Gap {
    pub(super) first: Offset,
    pub(super) last: Offset,
    pub(super) after: Option<Position>,
    pub(super) before: Option<Position>,
}

/// The runs of one partition.
#[derive(Debug, Default)]
pub(super) struct Runs(Vec<Run>);

impl Runs {
    /// Adds a batch, mostly in offset order.
    pub(super) fn add(&mut self, first: Offset, last: Offset, at: Position) {
        match self.0.last_mut() {
            Some(run) if run.last.checked_add(1) == Some(first) => (run.last, run.to) = (last, at),
            _ => self.0.push(Run { first, last, from: at, to: at }),
        }
    }

    /// What is missing from `log_start` up to `log_end`, if that is known; gaps that lie below `thinned` are none.
    pub(super) fn gaps(&self, log_start: Offset, log_end: Option<Offset>, thinned: Offset) -> Vec<Gap> {
        let mut runs = self.0.clone();
        runs.sort_unstable_by_key(|run| (run.first, Reverse(run.last)));
        let (mut next, mut after) = (log_start, None);
        let mut gaps = Vec::new();
        let mut gap = |first: Offset, upto: Offset, after, before| {
            if first < upto && upto > thinned {
                gaps.push(Gap { first: first.max(thinned), last: upto - 1, after, before });
            }
        };
        for run in runs {
            gap(next, run.first, after, Some(run.from));
            if run.last >= next {
                (next, after) = (run.last.saturating_add(1), Some(run.to));
            }
        }
        gap(next, log_end.unwrap_or(next), after, None);
        gaps
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn gap(first: Offset, last: Offset, after: Option<u64>, before: Option<u64>) -> Gap {
        Gap { first, last, after: after.map(Position), before: before.map(Position) }
    }

    #[test]
    fn gaps_lie_between_runs_whatever_order_they_came_in() {
        let mut runs = Runs::default();
        for (first, last, at) in [(0, 4, 10), (5, 9, 20), (30, 39, 60), (12, 19, 40), (12, 15, 41)] {
            runs.add(first, last, Position(at));
        }
        let between = [gap(10, 11, Some(20), Some(40)), gap(20, 29, Some(40), Some(60))];
        assert_eq!(runs.gaps(0, None, 0), between);
        assert_eq!(runs.gaps(15, None, 0), between[1..]);
        assert_eq!(runs.gaps(0, None, 30), []);
        assert_eq!(runs.gaps(0, None, 25), [gap(25, 29, Some(40), Some(60))]);
        assert_eq!(runs.gaps(40, Some(42), 0), [gap(40, 41, None, None)]);
        assert_eq!(Runs::default().gaps(3, Some(3), 0), []);
    }
}
