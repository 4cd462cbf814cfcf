//! Compares what producers were told with what one partition holds. Pure: no client, no broker, no clock.
//!
//! Called by `reading`, record by record in the order of offsets. The names of the findings follow Jepsen's for queues.
//! Invariant: a record that was sent and not acknowledged may be there or not; everything else has one right answer.

use std::fmt;

/// What a producer knows of a record that it sent.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Outcome {
    /// No report yet, or one that leaves open whether the record is stored.
    Unknown,
    /// Acknowledged at this offset.
    Acknowledged(i64),
}

/// Where a record comes from: the producer's number, and its place among that producer's records of the partition.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Origin {
    pub(super) producer: usize,
    pub(super) sequence: usize,
}

/// Something that must never be.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Violation {
    /// Acknowledged and not there.
    Lost,
    /// There at two offsets.
    Duplicated,
    /// Behind a record that the same producer sent later.
    Reordered,
    /// Acknowledged at another offset than it is read at.
    Moved,
    /// An offset below the end without a record, or one that is not above the one before.
    Gap,
    /// A record that nobody sent to this partition, or not with this content.
    Foreign,
}

/// All of them, in the order of the report.
pub const VIOLATIONS: [Violation; 6] = [
    Violation::Lost,
    Violation::Duplicated,
    Violation::Reordered,
    Violation::Moved,
    Violation::Gap,
    Violation::Foreign,
];

impl fmt::Display for Violation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Lost => "lost",
            Self::Duplicated => "duplicated",
            Self::Reordered => "reordered",
            Self::Moved => "moved",
            Self::Gap => "offset gaps",
            Self::Foreign => "foreign",
        })
    }
}

/// Counts over one or more partitions.
#[derive(Debug, Default, Clone, PartialEq, Eq)]
pub struct Tally {
    /// Records that were sent.
    pub sent: u64,
    /// Those with an acknowledgement.
    pub acknowledged: u64,
    /// Those without one that are there all the same.
    pub unknown_present: u64,
    /// Those without one that are not there.
    pub unknown_absent: u64,
    /// Violations with the place of each; counted beyond what is worth listing.
    counts: [u64; VIOLATIONS.len()],
    /// The first few of them in words.
    pub examples: Vec<String>,
}

/// More examples than this help nobody.
const EXAMPLES: usize = 20;

impl Tally {
    /// How often `violation` was found.
    #[must_use]
    pub fn count(&self, violation: Violation) -> u64 {
        self.counts[violation as usize]
    }

    /// All that must never be, together.
    #[must_use]
    pub fn violations(&self) -> u64 {
        self.counts.iter().sum()
    }

    /// Takes in what was found elsewhere.
    pub fn add(&mut self, other: Self) {
        self.sent += other.sent;
        self.acknowledged += other.acknowledged;
        self.unknown_present += other.unknown_present;
        self.unknown_absent += other.unknown_absent;
        for (mine, theirs) in self.counts.iter_mut().zip(other.counts) {
            *mine += theirs;
        }
        self.examples.extend(other.examples);
        self.examples.truncate(EXAMPLES);
    }

    fn note(&mut self, violation: Violation, words: impl FnOnce() -> String) {
        self.counts[violation as usize] += 1;
        if self.examples.len() < EXAMPLES {
            self.examples.push(format!("{violation}: {}", words()));
        }
    }
}

/// One line for each count.
impl fmt::Display for Tally {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "records sent           {}", self.sent)?;
        writeln!(f, "acknowledged           {}", self.acknowledged)?;
        writeln!(f, "unknown, present       {}", self.unknown_present)?;
        writeln!(f, "unknown, absent        {}", self.unknown_absent)?;
        VIOLATIONS
            .iter()
            .try_for_each(|violation| writeln!(f, "{:<22} {}", violation.to_string(), self.count(*violation)))
    }
}

/// One partition while it is read.
#[derive(Debug)]
pub(super) struct PartitionChecker<'a> {
    name: String,
    /// By producer, by sequence.
    sent: Vec<&'a [Outcome]>,
    seen: Vec<Vec<bool>>,
    highest: Vec<Option<usize>>,
    next_offset: i64,
    tally: Tally,
}

impl<'a> PartitionChecker<'a> {
    /// `sent` must have been taken before the end of what is read was: later acknowledgements are not looked for.
    pub(super) fn new(name: String, sent: Vec<&'a [Outcome]>) -> Self {
        let seen = sent.iter().map(|records| vec![false; records.len()]).collect();
        let highest = vec![None; sent.len()];
        Self { name, sent, seen, highest, next_offset: 0, tally: Tally::default() }
    }

    /// The record at `offset`, or why it is none of ours.
    pub(super) fn see(&mut self, offset: i64, origin: Result<Origin, String>) {
        let place = || format!("{} offset {offset}", self.name);
        if offset != self.next_offset {
            let expected = self.next_offset;
            self.tally.note(Violation::Gap, || format!("{} where {expected} was due", place()));
        }
        self.next_offset = offset + 1;
        let Origin { producer, sequence } = match origin {
            Ok(origin) => origin,
            Err(why) => return self.tally.note(Violation::Foreign, || format!("{}: {why}", place())),
        };
        // A record sent after `sent` was taken is not known yet; duplicates and order of it are seen in the next pass.
        let Some(records) = self.sent.get(producer) else {
            return self.tally.note(Violation::Foreign, || format!("{}: producer {producer}", place()));
        };
        let highest = &mut self.highest[producer];
        let Some(outcome) = records.get(sequence) else {
            if highest.is_some_and(|highest| highest >= sequence) {
                self.tally.note(Violation::Reordered, || format!("{}: {producer}/{sequence}", place()));
            }
            *highest = Some(sequence);
            return;
        };
        if std::mem::replace(&mut self.seen[producer][sequence], true) {
            return self.tally.note(Violation::Duplicated, || format!("{}: {producer}/{sequence}", place()));
        }
        if let Some(highest) = highest.filter(|highest| *highest > sequence) {
            self.tally.note(Violation::Reordered, || {
                format!("{}: {producer}/{sequence} behind {highest}", place())
            });
        }
        *highest = (*highest).max(Some(sequence));
        if let Outcome::Acknowledged(told) = *outcome
            && told != offset
        {
            self.tally.note(Violation::Moved, || {
                format!("{}: {producer}/{sequence} was acknowledged at {told}", place())
            });
        }
    }

    /// All that was below the high watermark `end` has been seen.
    pub(super) fn finish(mut self, end: i64) -> Tally {
        if self.next_offset < end {
            let next = self.next_offset;
            self.tally
                .note(Violation::Gap, || format!("{} ends before {next}, its watermark is {end}", self.name));
        }
        for (producer, (records, seen)) in self.sent.iter().zip(&self.seen).enumerate() {
            for (sequence, (outcome, seen)) in records.iter().zip(seen).enumerate() {
                self.tally.sent += 1;
                match (outcome, seen) {
                    (Outcome::Acknowledged(offset), false) => self.tally.note(Violation::Lost, || {
                        format!("{} {producer}/{sequence}, acknowledged at {offset}", self.name)
                    }),
                    (Outcome::Unknown, true) => self.tally.unknown_present += 1,
                    (Outcome::Unknown, false) => self.tally.unknown_absent += 1,
                    (Outcome::Acknowledged(_), true) => {}
                }
                self.tally.acknowledged += u64::from(matches!(outcome, Outcome::Acknowledged(_)));
            }
        }
        self.tally
    }
}

#[cfg(test)]
mod tests {
    use super::Outcome::{Acknowledged, Unknown};
    use super::*;

    /// Two producers, interleaved: offsets 0, 2, 4 are producer 0's, offsets 1, 3 producer 1's.
    const SENT: [&[Outcome]; 2] =
        [&[Acknowledged(0), Acknowledged(2), Acknowledged(4)], &[Acknowledged(1), Acknowledged(3)]];
    const STORED: [(usize, usize); 5] = [(0, 0), (1, 0), (0, 1), (1, 1), (0, 2)];

    fn check(sent: &[&[Outcome]], stored: &[(usize, usize)]) -> Tally {
        check_from(sent, stored, 0)
    }

    fn check_from(sent: &[&[Outcome]], stored: &[(usize, usize)], first: i64) -> Tally {
        let mut checker = PartitionChecker::new("topic-0".to_owned(), sent.to_vec());
        let end = first + i64::try_from(stored.len()).unwrap();
        for (offset, (producer, sequence)) in (first..).zip(stored) {
            checker.see(offset, Ok(Origin { producer: *producer, sequence: *sequence }));
        }
        checker.finish(end)
    }

    /// The counts of exactly these violations, nothing else.
    fn assert_found(tally: &Tally, expected: &[(Violation, u64)]) {
        let found: Vec<_> = VIOLATIONS
            .iter()
            .map(|violation| (*violation, tally.count(*violation)))
            .filter(|(_, count)| *count > 0)
            .collect();
        assert_eq!(found, expected, "{:?}", tally.examples);
    }

    #[test]
    fn log_that_holds_all_that_was_acknowledged_is_clean() {
        let tally = check(&SENT, &STORED);
        assert_found(&tally, &[]);
        assert_eq!((tally.sent, tally.acknowledged), (5, 5));
    }

    #[test]
    fn acknowledged_record_that_is_cut_off_the_end_is_lost() {
        assert_found(&check(&SENT, &STORED[..4]), &[(Violation::Lost, 1)]);
    }

    #[test]
    fn acknowledged_record_that_is_missing_in_the_middle_is_lost_and_moves_what_follows() {
        let stored = [(0, 0), (1, 0), (1, 1), (0, 2)];
        assert_found(&check(&SENT, &stored), &[(Violation::Lost, 1), (Violation::Moved, 2)]);
    }

    #[test]
    fn record_that_is_there_twice_is_duplicated() {
        let stored = [&STORED[..], &[(0, 2)]].concat();
        assert_found(&check(&SENT, &stored), &[(Violation::Duplicated, 1)]);
    }

    #[test]
    fn batch_that_is_appended_again_after_later_ones_is_duplicated_not_reordered() {
        let stored = [&STORED[..], &[(1, 0), (1, 1)]].concat();
        assert_found(&check(&SENT, &stored), &[(Violation::Duplicated, 2)]);
    }

    #[test]
    fn swapped_records_of_one_producer_are_reordered() {
        let sent: [&[Outcome]; 1] = [&[Acknowledged(1), Acknowledged(0)]];
        assert_found(&check(&sent, &[(0, 1), (0, 0)]), &[(Violation::Reordered, 1)]);
    }

    #[test]
    fn producers_may_interleave_in_any_way() {
        let sent: [&[Outcome]; 2] =
            [&[Acknowledged(2), Acknowledged(3)], &[Acknowledged(0), Acknowledged(1)]];
        assert_found(&check(&sent, &[(1, 0), (1, 1), (0, 0), (0, 1)]), &[]);
    }

    #[test]
    fn record_at_another_offset_than_acknowledged_is_moved() {
        let sent: [&[Outcome]; 1] = [&[Acknowledged(0), Acknowledged(7)]];
        assert_found(&check(&sent, &[(0, 0), (0, 1)]), &[(Violation::Moved, 1)]);
    }

    #[test]
    fn record_of_unknown_outcome_may_be_there_or_not() {
        let sent: [&[Outcome]; 1] = [&[Acknowledged(0), Unknown, Unknown, Acknowledged(2)]];
        let tally = check(&sent, &[(0, 0), (0, 2), (0, 3)]);
        assert_found(&tally, &[]);
        assert_eq!((tally.unknown_present, tally.unknown_absent), (1, 1));
    }

    #[test]
    fn log_that_does_not_begin_at_zero_has_a_gap() {
        let sent: [&[Outcome]; 1] = [&[Unknown, Acknowledged(1)]];
        assert_found(&check_from(&sent, &[(0, 1)], 1), &[(Violation::Gap, 1)]);
    }

    #[test]
    fn skipped_offset_is_a_gap() {
        let sent: [&[Outcome]; 1] = [&[Acknowledged(0), Acknowledged(2)]];
        let mut checker = PartitionChecker::new("topic-0".to_owned(), sent.to_vec());
        checker.see(0, Ok(Origin { producer: 0, sequence: 0 }));
        checker.see(2, Ok(Origin { producer: 0, sequence: 1 }));
        assert_found(&checker.finish(3), &[(Violation::Gap, 1)]);
    }

    #[test]
    fn watermark_above_the_last_record_is_a_gap() {
        let sent: [&[Outcome]; 1] = [&[Acknowledged(0)]];
        let mut checker = PartitionChecker::new("topic-0".to_owned(), sent.to_vec());
        checker.see(0, Ok(Origin { producer: 0, sequence: 0 }));
        assert_found(&checker.finish(2), &[(Violation::Gap, 1)]);
    }

    #[test]
    fn record_that_nobody_sent_is_foreign() {
        let mut checker = PartitionChecker::new("topic-0".to_owned(), SENT.to_vec());
        checker.see(0, Ok(Origin { producer: 2, sequence: 0 }));
        checker.see(1, Err("its filler is damaged".to_owned()));
        let tally = checker.finish(2);
        assert_found(&tally, &[(Violation::Lost, 5), (Violation::Foreign, 2)]);
    }

    #[test]
    fn record_sent_after_the_snapshot_is_checked_for_order_only() {
        let sent: [&[Outcome]; 1] = [&[Acknowledged(0)]];
        assert_found(&check(&sent, &[(0, 0), (0, 1), (0, 2)]), &[]);
        assert_found(&check(&sent, &[(0, 0), (0, 2), (0, 1)]), &[(Violation::Reordered, 1)]);
    }
}
