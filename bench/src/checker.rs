//! Says of every record that was sent whether it is there, once, in order and unchanged. Pure: no sockets, no clock.
//!
//! `readback` hands it the records of each partition in the order of their offsets. Invariant: a record that was
//! acknowledged and is not seen counts as lost; a record is counted under one heading only.

use std::collections::{BTreeMap, BTreeSet};

use serde::Serialize;

use crate::batches::{Identity, count};

/// What was found, over any number of partitions.
#[derive(Debug, Default, Clone, Copy, PartialEq, Eq, Serialize)]
pub(crate) struct Findings {
    /// Records that were read.
    pub(crate) records: u64,
    /// Acknowledged and not there.
    pub(crate) lost: u64,
    /// There more than once.
    pub(crate) duplicated: u64,
    /// Behind a record that the same producer sent later.
    pub(crate) reordered: u64,
    /// Not what was sent to this partition: another partition's, another run's, changed bytes, or more than was sent.
    pub(crate) wrong: u64,
}

impl Findings {
    /// Adds another sum.
    pub(crate) fn add(&mut self, other: Self) {
        self.records += other.records;
        self.lost += other.lost;
        self.duplicated += other.duplicated;
        self.reordered += other.reordered;
        self.wrong += other.wrong;
    }

    /// Everything that must not be.
    pub(crate) fn anomalies(&self) -> u64 {
        self.lost + self.duplicated + self.reordered + self.wrong
    }
}

/// One partition while it is read.
#[derive(Debug)]
pub(crate) struct PartitionCheck {
    run: u32,
    topic_set: u32,
    partition: u32,
    producers: BTreeMap<u32, ProducerCheck>,
    findings: Findings,
}

/// The records of one producer in one partition.
#[derive(Debug, Default)]
struct ProducerCheck {
    /// How many were acknowledged; all that were sent were waited for.
    acknowledged: u64,
    /// The sequence after the highest that was seen.
    next: u64,
    /// Below `next` and not seen.
    missing: BTreeSet<u64>,
}

impl PartitionCheck {
    /// `acknowledged`: records of this run that each producer sent to this partition and got an answer for.
    pub(crate) fn new(
        run: u32,
        topic_set: u32,
        partition: u32,
        acknowledged: impl IntoIterator<Item = (u32, u64)>,
    ) -> Self {
        let producers = acknowledged
            .into_iter()
            .map(|(producer, acknowledged)| {
                (producer, ProducerCheck { acknowledged, ..ProducerCheck::default() })
            })
            .collect();
        Self { run, topic_set, partition, producers, findings: Findings::default() }
    }

    /// The next record; `None` when its bytes are not those of a record that was ever sent.
    pub(crate) fn see(&mut self, identity: Option<Identity>) {
        self.findings.records += 1;
        let expected = identity.filter(|identity| {
            (identity.run, identity.topic_set, identity.partition)
                == (self.run, self.topic_set, self.partition)
        });
        let producer = expected.and_then(|identity| {
            let producer = self.producers.get_mut(&identity.producer)?;
            (identity.sequence < producer.acknowledged).then_some((producer, identity.sequence))
        });
        let Some((producer, sequence)) = producer else {
            self.findings.wrong += 1;
            return;
        };
        if sequence >= producer.next {
            producer.missing.extend(producer.next..sequence);
            producer.next = sequence + 1;
        } else if producer.missing.remove(&sequence) {
            self.findings.reordered += 1;
        } else {
            self.findings.duplicated += 1;
        }
    }

    /// The sum, once the partition was read to its end.
    pub(crate) fn finish(self) -> Findings {
        let lost =
            self.producers.values().map(|one| one.acknowledged - one.next + count(one.missing.len())).sum();
        Findings { lost, ..self.findings }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn record(producer: u32, sequence: u64) -> Option<Identity> {
        Some(Identity { run: 1, topic_set: 2, partition: 3, producer, sequence })
    }

    /// Two producers, of whom the first was told of four records, the second of two.
    fn check(records: impl IntoIterator<Item = Option<Identity>>) -> Findings {
        let mut check = PartitionCheck::new(1, 2, 3, [(0, 4), (1, 2)]);
        records.into_iter().for_each(|record| check.see(record));
        check.finish()
    }

    fn whole() -> Vec<Option<Identity>> {
        vec![record(0, 0), record(1, 0), record(0, 1), record(0, 2), record(1, 1), record(0, 3)]
    }

    #[test]
    fn everything_once_and_in_order_is_clean() {
        assert_eq!(check(whole()), Findings { records: 6, ..Findings::default() });
    }

    #[test]
    fn record_missing_in_the_middle_or_at_the_end_is_lost() {
        for missing in [2, 5] {
            let mut records = whole();
            records.remove(missing);
            assert_eq!(check(records), Findings { records: 5, lost: 1, ..Findings::default() });
        }
        assert_eq!(check([]), Findings { lost: 6, ..Findings::default() });
    }

    #[test]
    fn record_that_comes_twice_is_duplicated() {
        for again in [2, 5] {
            let mut records = whole();
            records.push(records[again]);
            assert_eq!(check(records), Findings { records: 7, duplicated: 1, ..Findings::default() });
        }
    }

    #[test]
    fn record_behind_a_later_one_of_its_producer_is_reordered() {
        let mut records = whole();
        records.swap(2, 3);
        assert_eq!(check(records), Findings { records: 6, reordered: 1, ..Findings::default() });
    }

    #[test]
    fn producers_may_come_in_any_order_among_each_other() {
        let mut records = whole();
        records.swap(0, 1);
        assert_eq!(check(records).anomalies(), 0);
    }

    #[test]
    fn foreign_changed_and_never_sent_records_are_wrong() {
        let mine = record(0, 3).unwrap();
        let strangers = [
            None,
            Some(Identity { run: 9, ..mine }),
            Some(Identity { topic_set: 9, ..mine }),
            Some(Identity { partition: 9, ..mine }),
            Some(Identity { producer: 9, ..mine }),
            Some(Identity { sequence: 4, ..mine }),
        ];
        for stranger in strangers {
            let records = whole().into_iter().chain([stranger]);
            assert_eq!(check(records), Findings { records: 7, wrong: 1, ..Findings::default() });
        }
    }

    #[test]
    fn findings_add_up() {
        let one = Findings { records: 1, lost: 2, duplicated: 3, reordered: 4, wrong: 5 };
        let mut sum = one;
        sum.add(one);
        assert_eq!(sum, Findings { records: 2, lost: 4, duplicated: 6, reordered: 8, wrong: 10 });
        assert_eq!(sum.anomalies(), 28);
    }
}
