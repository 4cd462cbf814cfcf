//! Which records the bad places took: named by queue entries that point there, else by what is missing between neighbours.
//!
//! Pure. Called by `verify`.

use std::collections::BTreeMap;

use crate::position::{Offset, Position};

use super::finding::OffsetRange;
use super::known::Numbers;
use super::runs::Gap;
use super::survey::{Bad, Survey};

/// Offsets that queue entries named, by partition, in order.
#[derive(Debug, Default)]
pub(super) struct Named(BTreeMap<Numbers, Vec<(Offset, Offset)>>);

impl Named {
    pub(super) fn add(&mut self, numbers: Numbers, first: Offset, last: Offset) {
        self.0.entry(numbers).or_default().push((first, last));
    }

    /// The parts of a gap that no entry named.
    fn unnamed(&self, numbers: Numbers, gap: Gap) -> Vec<Gap> {
        let (mut first, mut parts) = (gap.first, Vec::new());
        for (named_first, named_last) in self.0.get(&numbers).into_iter().flatten() {
            if *named_last < first || *named_first > gap.last {
                continue;
            }
            if first < *named_first {
                parts.push(Gap { first, last: named_first - 1, ..gap });
            }
            first = named_last.saturating_add(1);
        }
        if first <= gap.last {
            parts.push(Gap { first, ..gap });
        }
        parts
    }
}

/// Adds exact offsets to the bad place that holds `position`; false when none does.
pub(super) fn attach_exact(survey: &mut Survey, position: Position, range: OffsetRange) -> bool {
    let Some(bad) = survey.bad.iter_mut().find(|bad| bad.holds(position)) else { return false };
    match bad.offsets.last_mut() {
        Some(last)
            if last.exact
                && (last.topic, last.partition, last.last.saturating_add(1))
                    == (range.topic, range.partition, range.first) =>
        {
            last.last = range.last;
        }
        _ => bad.offsets.push(range),
    }
    true
}

/// Gives every gap in the offsets of a live topic to the bad places between its neighbours. Returns those that no bad
/// place explains.
pub(super) fn attach_gaps(survey: &mut Survey, named: &Named) -> Vec<(OffsetRange, Gap)> {
    let mut unexplained = Vec::new();
    for (numbers, gap) in gaps(survey) {
        for part in named.unnamed(numbers, gap) {
            let range = OffsetRange {
                topic: numbers.0,
                name: survey.known.name(numbers.0),
                partition: numbers.1,
                first: part.first,
                last: part.last,
                exact: false,
            };
            let explains = |bad: &&mut Bad| {
                part.after.is_none_or(|after| after < bad.to)
                    && part.before.is_none_or(|before| bad.from < before)
            };
            let mut explained = false;
            for bad in survey.bad.iter_mut().filter(explains) {
                bad.offsets.push(range.clone());
                explained = true;
            }
            if !explained {
                unexplained.push((range, part));
            }
        }
    }
    unexplained
}

fn gaps(survey: &Survey) -> Vec<(Numbers, Gap)> {
    let known = &survey.known;
    let mut gaps = Vec::new();
    let nothing = super::runs::Runs::default();
    for (number, record) in &known.topics {
        for partition in 0..record.partitions {
            let numbers = (*number, partition);
            let runs = survey.runs.get(&numbers).unwrap_or(&nothing);
            let log_end = known.log_ends.get(&numbers).copied();
            let found = runs.gaps(known.log_start(numbers), log_end, known.thinned(numbers));
            gaps.extend(found.into_iter().map(|gap| (numbers, gap)));
        }
    }
    gaps
}
