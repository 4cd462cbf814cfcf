//! What is known of the offsets of a share partition between its start and the end of what was ever delivered.
//!
//! Offsets in the same state are one range, however many: a batch of a million records is one entry until members say
//! different things about its records. An offset in no range, or available without a delivery, was never delivered. **Invariants:** ranges do not overlap;
//! neighbours that can be one range are.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Instant;

/// Offsets that were acquired together, which is what Kafka throttles by when they fail again and again.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Batch {
    pub(super) first: i64,
    pub(super) last: i64,
}

impl Batch {
    pub(super) const fn len(self) -> i64 {
        self.last - self.first + 1
    }
}

/// What became of an offset (Kafka's `RecordState`).
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum State {
    Available,
    Acquired { member: Arc<str>, until: Instant },
    Acknowledged,
    Archived,
}

impl State {
    /// Nothing can happen to the offset any more.
    pub(super) const fn is_terminal(&self) -> bool {
        matches!(self, Self::Acknowledged | Self::Archived)
    }
}

/// Offsets in one state; the first is the key it is kept under.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Range {
    pub(super) last: i64,
    pub(super) state: State,
    pub(super) deliveries: i16,
    pub(super) batch: Batch,
}

impl Range {
    fn is_one_with(&self, next: &Self) -> bool {
        self.state == next.state
            && self.deliveries == next.deliveries
            && (self.batch == next.batch || self.state.is_terminal())
    }
}

/// See the module.
#[derive(Debug, Default)]
pub(super) struct InFlight {
    ranges: BTreeMap<i64, Range>,
}

impl InFlight {
    /// The offset behind the last range.
    pub(super) fn end(&self) -> Option<i64> {
        self.ranges.last_key_value().map(|(_, range)| range.last + 1)
    }

    pub(super) fn iter(&self) -> impl Iterator<Item = (i64, &Range)> {
        self.ranges.iter().map(|(first, range)| (*first, range))
    }

    /// Ranges with an offset in `first..=last`, uncut.
    pub(super) fn overlapping(&self, first: i64, last: i64) -> impl Iterator<Item = (i64, &Range)> {
        let from = self.covering(first).map_or(first, |(from, _)| from);
        self.ranges.range(from..=last.max(from)).map(|(first, range)| (*first, range))
    }

    /// The range that holds the offset.
    pub(super) fn covering(&self, offset: i64) -> Option<(i64, &Range)> {
        let (first, range) = self.ranges.range(..=offset).next_back()?;
        (range.last >= offset).then_some((*first, range))
    }

    /// First offset of the first range behind `offset`.
    pub(super) fn next_first(&self, offset: i64) -> Option<i64> {
        self.ranges.range(offset + 1..).next().map(|(first, _)| *first)
    }

    /// Whether a range begins at or before `offset`.
    pub(super) fn begins_by(&self, offset: i64) -> bool {
        self.ranges.range(..=offset).next().is_some()
    }

    /// Makes `first..=last` one range, whatever was there.
    pub(super) fn put(&mut self, first: i64, range: Range) {
        let last = range.last;
        self.cut(first);
        self.cut(last + 1);
        let inside: Vec<i64> = self.ranges.range(first..=last).map(|(first, _)| *first).collect();
        for key in inside {
            self.ranges.remove(&key);
        }
        self.ranges.insert(first, range);
        self.merge(first, last);
    }

    /// Shows each range within `first..=last`, cut to it, to be changed.
    pub(super) fn change(&mut self, first: i64, last: i64, mut change: impl FnMut(i64, &mut Range)) {
        self.cut(first);
        self.cut(last + 1);
        for (first, range) in self.ranges.range_mut(first..=last) {
            change(*first, range);
        }
        self.merge(first, last);
    }

    /// Forgets everything below `offset`.
    pub(super) fn drop_below(&mut self, offset: i64) {
        self.cut(offset);
        self.ranges = self.ranges.split_off(&offset);
    }

    /// Takes the first range away if `wanted`.
    pub(super) fn pop_first_if(&mut self, wanted: impl FnOnce(i64, &Range) -> bool) -> Option<Range> {
        let first = self.ranges.first_entry()?;
        wanted(*first.key(), first.get()).then(|| first.remove())
    }

    /// A range that would lie on both sides of `offset` begins anew there.
    fn cut(&mut self, offset: i64) {
        let Some((first, range)) = self.ranges.range_mut(..offset).next_back() else { return };
        if range.last < offset {
            return;
        }
        debug_assert!(*first < offset, "the range begins before");
        let behind = range.clone();
        range.last = offset - 1;
        self.ranges.insert(offset, behind);
    }

    /// Joins what belongs together in and next to `first..=last`.
    fn merge(&mut self, first: i64, last: i64) {
        let from = self.ranges.range(..first).next_back().map_or(first, |(first, _)| *first);
        let keys: Vec<i64> = self.ranges.range(from..=last + 1).map(|(first, _)| *first).collect();
        for pair in keys.windows(2).rev() {
            let (Some(range), Some(next)) = (self.ranges.get(&pair[0]), self.ranges.get(&pair[1])) else {
                continue;
            };
            if range.last + 1 == pair[1] && range.is_one_with(next) {
                let last = next.last;
                self.ranges.remove(&pair[1]);
                if let Some(range) = self.ranges.get_mut(&pair[0]) {
                    range.last = last;
                }
            }
        }
    }

    #[cfg(test)]
    pub(super) fn len(&self) -> usize {
        self.ranges.len()
    }
}
