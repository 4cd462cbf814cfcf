//! Compares what was read as committed with what the workers know. Pure: no client, no broker, no clock.
//!
//! Called by `main` with one reading of all partitions from their beginning. A reading takes each partition up to the last stable offset
//! that it had when the reading began, each at its own moment; so a record of a committed transaction may be missing only at or above
//! that end. Invariant: a transaction whose commit is in doubt may be there whole or not at all; everything else has one
//! right answer.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;

use crate::ledger::{Outcome, Transaction, Transactions};
use crate::transfer::{Part, TransactionNumber};

/// What a reader of committed records got.
#[derive(Debug, Clone, Default)]
pub(crate) struct Reading {
    pub(crate) partitions: Vec<PartitionReading>,
    /// Nobody was writing, and nothing was open: every record has its place below an end.
    pub(crate) quiet: bool,
}

/// One partition of it.
#[derive(Debug, Clone, Default)]
pub(crate) struct PartitionReading {
    /// The last stable offset that it was read to.
    pub(crate) end: i64,
    /// Offset and content of each record, as they came.
    pub(crate) records: Vec<(i64, Result<Part, String>)>,
}

impl Reading {
    /// What was read, where it makes sense.
    pub(crate) fn parts(&self) -> impl Iterator<Item = (i64, Part)> {
        let records = self.partitions.iter().flat_map(|partition| &partition.records);
        records.filter_map(|(offset, part)| part.as_ref().ok().map(|part| (*offset, *part)))
    }
}

/// Something that must never be.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Violation {
    /// A transaction of which one part can be seen and another cannot.
    Torn,
    /// A record of a transaction whose commit nobody asked for.
    Exposed,
    /// A transaction with an acknowledged commit, or that was seen before, of which nothing can be seen.
    Lost,
    /// A record at two offsets.
    Duplicated,
    /// A record behind one that the same worker sent later.
    Reordered,
    /// A record at another offset than it was acknowledged at.
    Moved,
    /// A record that nobody sent, or not to this partition.
    Foreign,
    /// The balances of the transactions that can be seen are not zero together.
    Unbalanced,
    /// An order that was carried out twice.
    Repeated,
    /// An order that is committed and was not carried out, or the other way round.
    Uneven,
}

/// Violations by kind, and the first of them in words.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Findings {
    pub(crate) counts: BTreeMap<Violation, u64>,
    pub(crate) examples: Vec<String>,
    /// Transactions that were seen whole.
    pub(crate) whole: usize,
    /// Those of them whose commit was not acknowledged.
    pub(crate) unknown_whole: usize,
    /// Orders that were carried out.
    pub(crate) orders: usize,
}

/// More examples than this help nobody.
const EXAMPLES: usize = 20;

impl Findings {
    pub(crate) fn violations(&self) -> u64 {
        self.counts.values().sum()
    }

    /// Takes in the violations of another reading.
    pub(crate) fn add(&mut self, other: Self) {
        for (violation, count) in other.counts {
            *self.counts.entry(violation).or_default() += count;
        }
        self.examples.extend(other.examples);
        self.examples.truncate(EXAMPLES);
        (self.whole, self.unknown_whole, self.orders) = (other.whole, other.unknown_whole, other.orders);
    }

    fn note(&mut self, violation: Violation, words: impl FnOnce() -> String) {
        *self.counts.entry(violation).or_default() += 1;
        if self.examples.len() < EXAMPLES {
            self.examples.push(format!("{violation:?}: {}", words()));
        }
    }
}

impl fmt::Display for Findings {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "seen whole at last     {}", self.whole)?;
        writeln!(f, "  commit in doubt      {}", self.unknown_whole)?;
        writeln!(f, "orders carried out     {}", self.orders)?;
        writeln!(f, "violations             {} {:?}", self.violations(), self.counts)
    }
}

/// What can be seen of one transaction.
struct Seen {
    /// By part: where.
    offsets: Vec<Option<i64>>,
    sum: i64,
}

/// Judges `reading`. `transactions` must be a snapshot from after the reading.
pub(crate) fn check(transactions: &Transactions, reading: &Reading) -> Findings {
    let mut findings = Findings::default();
    let mut seen: BTreeMap<TransactionNumber, Seen> = BTreeMap::new();
    for (partition, read) in (0..).zip(&reading.partitions) {
        see_partition(transactions, (partition, reading.partitions.len()), read, &mut seen, &mut findings);
    }

    let mut balance = 0;
    let mut orders: BTreeMap<(usize, i64), TransactionNumber> = BTreeMap::new();
    for (number, transaction) in all(transactions) {
        let seen = seen.get(&number);
        if let Some(seen) = seen
            && transaction.outcome != Outcome::NeverAsked
        {
            for order in transaction.parts.iter().filter_map(|part| part.order).collect::<BTreeSet<_>>() {
                if let Some(before) = orders.insert((number.worker, order), number) {
                    findings.note(Violation::Repeated, || format!("order {order} by {before} and {number}"));
                }
            }
            let missing = seen.offsets.iter().filter(|offset| offset.is_none()).count();
            findings.whole += usize::from(missing == 0);
            findings.unknown_whole += usize::from(missing == 0 && transaction.outcome == Outcome::Unknown);
        }
        balance += judge(number, transaction, seen, reading, &mut findings);
    }
    if balance != 0 {
        findings.note(Violation::Unbalanced, || format!("all that can be seen comes to {balance}"));
    }
    findings.orders = orders.len();
    findings
}

/// The orders of `worker` that were carried out are exactly those below `committed`, the offset its group committed.
pub(crate) fn check_orders(reading: &Reading, worker: usize, committed: i64) -> Findings {
    let mut findings = Findings::default();
    let of_worker = reading.parts().filter(|(_, part)| part.transaction.worker == worker);
    let done: BTreeSet<i64> = of_worker.filter_map(|(_, part)| part.order).collect();
    for order in (0..committed).filter(|order| !done.contains(order)) {
        findings.note(Violation::Uneven, || {
            format!(
                "worker {worker}: order {order} is below the committed {committed} and was never carried out"
            )
        });
    }
    for order in done.range(committed..) {
        findings.note(Violation::Uneven, || {
            format!("worker {worker}: order {order} was carried out, the committed offset is {committed}")
        });
    }
    findings
}

fn all(transactions: &Transactions) -> impl Iterator<Item = (TransactionNumber, &Transaction)> {
    transactions.iter().enumerate().flat_map(|(worker, of_worker)| {
        let numbered = of_worker.iter().enumerate();
        numbered.map(move |(number, transaction)| (TransactionNumber { worker, number }, transaction))
    })
}

/// Takes in the records of one of `of` partitions, and judges what one partition alone shows.
fn see_partition(
    transactions: &Transactions,
    (partition, of): (i32, usize),
    read: &PartitionReading,
    seen: &mut BTreeMap<TransactionNumber, Seen>,
    findings: &mut Findings,
) {
    let of = i32::try_from(of).unwrap_or(i32::MAX);
    let mut highest: BTreeMap<usize, (usize, usize)> = BTreeMap::new();
    for (offset, record) in &read.records {
        let place = || format!("partition {partition} offset {offset}");
        let part = match record {
            Ok(part) => part,
            Err(why) => {
                findings.note(Violation::Foreign, || format!("{}: {why}", place()));
                continue;
            }
        };
        let TransactionNumber { worker, number } = part.transaction;
        let known = transactions.get(worker).and_then(|of_worker| of_worker.get(number));
        let Some(transaction) = known.filter(|known| known.parts.get(part.index) == Some(part)) else {
            findings.note(Violation::Foreign, || format!("{}: nobody sent {part}", place()));
            continue;
        };
        if part.partition(of) != partition {
            findings.note(Violation::Foreign, || format!("{}: {part} belongs elsewhere", place()));
        }
        if transaction.outcome == Outcome::NeverAsked {
            findings.note(Violation::Exposed, || format!("{}: {part}", place()));
        }
        if let Some(told) = transaction.offsets[part.index].filter(|told| told != offset) {
            findings.note(Violation::Moved, || format!("{}: {part} was acknowledged at {told}", place()));
        }
        let seen = seen
            .entry(part.transaction)
            .or_insert_with(|| Seen { offsets: vec![None; transaction.parts.len()], sum: 0 });
        seen.sum += part.amount;
        if let Some(before) = seen.offsets[part.index].replace(*offset) {
            findings.note(Violation::Duplicated, || format!("{}: {part} is at {before} too", place()));
            continue;
        }
        let own = (number, part.index);
        let highest = highest.entry(worker).or_insert(own);
        if *highest > own {
            let (number, index) = *highest;
            findings.note(Violation::Reordered, || format!("{}: {part} behind {number}, {index}", place()));
        }
        *highest = (*highest).max(own);
    }
}

/// Judges one transaction over all partitions. Returns what it adds to the balance: nothing while the rest of it can still
/// lie above what was read.
fn judge(
    number: TransactionNumber,
    transaction: &Transaction,
    seen: Option<&Seen>,
    reading: &Reading,
    findings: &mut Findings,
) -> i64 {
    if seen.is_none() && transaction.outcome != Outcome::Committed {
        return 0;
    }
    let partitions = i32::try_from(reading.partitions.len()).unwrap_or(i32::MAX);
    let (mut above, mut missing) = (false, Vec::new());
    for part in &transaction.parts {
        if seen.is_some_and(|seen| seen.offsets[part.index].is_some()) {
            continue;
        }
        let partition = part.partition(partitions);
        let end = usize::try_from(partition).ok().and_then(|place| reading.partitions.get(place));
        // Without an acknowledged offset it can be anywhere, until nothing is under way any more.
        let offset = transaction.offsets[part.index];
        let below = offset.is_some_and(|offset| end.is_some_and(|read| offset < read.end));
        if reading.quiet || below {
            missing.push(format!("part {} of partition {partition} at {offset:?}", part.index));
        } else {
            above = true;
        }
    }
    if !missing.is_empty() && transaction.outcome != Outcome::NeverAsked {
        let violation = if seen.is_some() { Violation::Torn } else { Violation::Lost };
        let outcome = transaction.outcome;
        findings.note(violation, || format!("{number}, {outcome:?}, lacks {}", missing.join(", ")));
    }
    let sum = seen.map_or(0, |seen| seen.sum);
    if above && missing.is_empty() { 0 } else { sum }
}

#[cfg(test)]
mod tests;
