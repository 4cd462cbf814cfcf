//! Ranges of the log that are in memory only because they were read cold.
//!
//! A value inside `ColdReads`. It keeps the page cache for those who read at the log's end: what a consumer that catches up
//! brings in goes out again, but not at once, since others of its kind read the same places at about the same time.
//! Invariant: ranges leave in the order they came, as soon as their bytes or their number exceed the bounds.

use std::collections::{BTreeMap, VecDeque};
use std::ops::Range;
use std::sync::Weak;

use crate::mapped_file::MappedFile;
use crate::position::Position;

/// Ranges remembered at most.
const MOST_RANGES: usize = 8192;

/// See the module.
#[derive(Debug)]
pub(super) struct Recent {
    budget: u64,
    bytes: u64,
    order: VecDeque<Position>,
    ranges: BTreeMap<Position, Known>,
}

#[derive(Debug)]
struct Known {
    end: Position,
    /// Where to release it; dangling for ranges that stay.
    file: Weak<MappedFile>,
}

impl Recent {
    /// Remembers `budget` bytes.
    pub(super) fn new(budget: u64) -> Self {
        Self { budget, bytes: 0, order: VecDeque::new(), ranges: BTreeMap::new() }
    }

    /// Whether a part of `range` came in cold. Where ranges overlap the answer may be no.
    pub(super) fn touches(&self, range: &Range<Position>) -> bool {
        self.ranges.range(..range.end).next_back().is_some_and(|(_, known)| known.end > range.start)
    }

    /// Adds a range; `file` is where to release it, dangling when it shall stay.
    pub(super) fn push(&mut self, range: &Range<Position>, file: Weak<MappedFile>) {
        let len = |end: Position| end.0 - range.start.0;
        match self.ranges.get_mut(&range.start) {
            Some(known) => {
                self.bytes += len(known.end.max(range.end)) - len(known.end);
                known.end = known.end.max(range.end);
            }
            None => {
                self.order.push_back(range.start);
                self.ranges.insert(range.start, Known { end: range.end, file });
                self.bytes += len(range.end);
            }
        }
    }

    /// Forgets the oldest ranges that exceed the bounds; those that shall be released are returned.
    pub(super) fn shrink(&mut self) -> Vec<(Range<Position>, Weak<MappedFile>)> {
        let mut gone = Vec::new();
        while self.bytes > self.budget || self.order.len() > MOST_RANGES {
            let Some(start) = self.order.pop_front() else { break };
            let known = self.ranges.remove(&start).expect("what has a turn is known");
            self.bytes -= known.end.0 - start.0;
            if known.file.strong_count() > 0 {
                gone.push((start..known.end, known.file));
            }
        }
        gone
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn range(start: u64, end: u64) -> Range<Position> {
        Position(start)..Position(end)
    }

    #[test]
    fn the_oldest_ranges_leave_when_there_are_too_many_bytes() {
        let mut recent = Recent::new(100);
        for start in [300, 0, 100] {
            recent.push(&range(start, start + 40), Weak::new());
        }
        assert!(recent.touches(&range(310, 320)));
        assert!(recent.shrink().is_empty(), "nothing to release where no file is");
        assert!(
            !recent.touches(&range(300, 340))
                && recent.touches(&range(0, 1))
                && recent.touches(&range(139, 500))
        );
        assert!(!recent.touches(&range(40, 100)) && !recent.touches(&range(140, 141)));
        assert_eq!((recent.bytes, recent.order.len(), recent.ranges.len()), (80, 2, 2));
    }

    #[test]
    fn a_range_that_grows_keeps_its_turn() {
        let mut recent = Recent::new(100);
        recent.push(&range(0, 10), Weak::new());
        recent.push(&range(50, 90), Weak::new());
        recent.push(&range(0, 30), Weak::new());
        recent.push(&range(0, 20), Weak::new());
        assert_eq!((recent.bytes, recent.touches(&range(29, 30))), (70, true));
        recent.push(&range(200, 240), Weak::new());
        recent.shrink();
        assert_eq!((recent.bytes, recent.touches(&range(0, 30))), (80, false));
    }

    #[test]
    fn there_is_a_bound_on_the_number_of_ranges() {
        let mut recent = Recent::new(u64::MAX);
        for start in 0..10_000 {
            recent.push(&range(2 * start, 2 * start + 1), Weak::new());
            recent.shrink();
        }
        assert_eq!((recent.order.len(), recent.ranges.len(), recent.bytes), (8192, 8192, 8192));
    }
}
