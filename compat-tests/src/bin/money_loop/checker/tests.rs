//! Made-up histories: whole ones are clean, and every way of breaking one is found under its name.

use super::*;
use crate::ledger::Outcome::{Committed, NeverAsked, Unknown};

/// Worker 0, transaction `number`: 100 from account 0 (partition 0) to account 1 (partition 1).
fn transfer(number: usize, outcome: Outcome, offset: i64) -> Transaction {
    let transaction = TransactionNumber { worker: 0, number };
    let part = |index, account, amount| Part {
        transaction,
        index,
        account,
        amount,
        order: None,
        poison: outcome == NeverAsked,
    };
    let parts = vec![part(0, 0, -100), part(1, 1, 100)];
    Transaction { parts, offsets: vec![Some(offset), Some(offset)], outcome }
}

/// Both partitions with the given transactions' parts at their offsets, read up to `end`.
fn reading(transactions: &[Transaction], shown: &[(usize, usize)], end: i64) -> Reading {
    let mut partitions = vec![PartitionReading { end, records: Vec::new() }; 2];
    for (number, index) in shown {
        let part = transactions[*number].parts[*index];
        let offset = transactions[*number].offsets[*index].unwrap_or(end - 1);
        partitions[*index].records.push((offset, Ok(part)));
    }
    Reading { partitions, quiet: false }
}

fn found(transactions: &[Transaction], reading: &Reading) -> Vec<Violation> {
    check(&vec![transactions.to_vec()], reading).counts.into_keys().collect()
}

#[test]
fn whole_transactions_are_clean_and_counted() {
    let sent = [transfer(0, Committed, 0), transfer(1, Unknown, 2), transfer(2, NeverAsked, 4)];
    let read = reading(&sent, &[(0, 0), (0, 1), (1, 0), (1, 1)], 6);
    let findings = check(&vec![sent.to_vec()], &read);
    assert_eq!(findings.violations(), 0, "{findings:?}");
    assert_eq!((findings.whole, findings.unknown_whole), (2, 1));
}

#[test]
fn acknowledged_transaction_that_misses_a_part_is_torn_and_unbalances_the_sum() {
    let sent = [transfer(0, Committed, 0)];
    assert_eq!(found(&sent, &reading(&sent, &[(0, 0)], 2)), [Violation::Torn, Violation::Unbalanced]);
}

#[test]
fn transaction_in_doubt_may_be_whole_or_absent_but_not_half() {
    let sent = [transfer(0, Unknown, 0)];
    assert_eq!(found(&sent, &reading(&sent, &[(0, 0), (0, 1)], 2)), []);
    assert_eq!(found(&sent, &reading(&sent, &[], 2)), []);
    assert_eq!(found(&sent, &reading(&sent, &[(0, 1)], 2)), [Violation::Torn, Violation::Unbalanced]);
}

#[test]
fn part_above_the_end_of_its_partition_is_not_missing_yet() {
    let sent = [transfer(0, Committed, 5)];
    let mut read = reading(&sent, &[(0, 0)], 6);
    read.partitions[1].end = 5;
    assert_eq!(found(&sent, &read), []);
    read.partitions[1].end = 6;
    assert_eq!(found(&sent, &read), [Violation::Torn, Violation::Unbalanced]);
}

#[test]
fn part_without_a_known_offset_is_missed_only_at_rest() {
    let mut sent = [transfer(0, Unknown, 5)];
    sent[0].offsets[1] = None;
    let mut read = reading(&sent, &[(0, 0)], 6);
    assert_eq!(found(&sent, &read), []);
    read.quiet = true;
    assert_eq!(found(&sent, &read), [Violation::Torn, Violation::Unbalanced]);
}

#[test]
fn acknowledged_transaction_of_which_nothing_can_be_seen_is_lost() {
    let sent = [transfer(0, Committed, 0), transfer(1, Committed, 2)];
    assert_eq!(found(&sent, &reading(&sent, &[(1, 0), (1, 1)], 4)), [Violation::Lost]);
    assert_eq!(found(&sent, &reading(&sent, &[(1, 0), (1, 1)], 0)), []);
}

#[test]
fn record_whose_commit_nobody_asked_for_is_exposed() {
    let sent = [transfer(0, NeverAsked, 0)];
    assert!(found(&sent, &reading(&sent, &[(0, 1)], 2)).contains(&Violation::Exposed));
    assert_eq!(found(&sent, &reading(&sent, &[(0, 0), (0, 1)], 2)), [Violation::Exposed]);
}

/// What a skipped abort marker does: the next commit marker of the producer shows what was aborted.
#[test]
fn aborted_part_that_the_next_commit_shows_is_exposed() {
    let sent = [transfer(0, NeverAsked, 0), transfer(1, Committed, 1)];
    let read = reading(&sent, &[(0, 1), (1, 0), (1, 1)], 4);
    assert_eq!(found(&sent, &read), [Violation::Exposed, Violation::Unbalanced]);
}

/// What a skipped commit marker does before the producer's next transaction is aborted: its part is aborted too.
#[test]
fn committed_part_that_the_next_abort_hides_is_torn() {
    let sent = [transfer(0, Committed, 0), transfer(1, NeverAsked, 1)];
    assert_eq!(found(&sent, &reading(&sent, &[(0, 0)], 4)), [Violation::Torn, Violation::Unbalanced]);
}

#[test]
fn record_that_comes_twice_is_duplicated() {
    let sent = [transfer(0, Committed, 0)];
    let mut read = reading(&sent, &[(0, 0), (0, 1)], 4);
    let again = read.partitions[0].records[0].1.clone();
    read.partitions[0].records.push((2, again));
    assert_eq!(found(&sent, &read), [Violation::Duplicated, Violation::Moved, Violation::Unbalanced]);
}

#[test]
fn records_of_a_worker_in_another_order_are_reordered() {
    let mut sent = [transfer(0, Committed, 2), transfer(1, Committed, 0)];
    sent[0].offsets = vec![Some(2), Some(0)];
    sent[1].offsets = vec![Some(0), Some(2)];
    let read = reading(&sent, &[(1, 0), (0, 0), (0, 1), (1, 1)], 4);
    assert_eq!(found(&sent, &read), [Violation::Reordered]);
}

#[test]
fn record_at_another_offset_than_acknowledged_is_moved() {
    let sent = [transfer(0, Committed, 0)];
    let mut read = reading(&sent, &[(0, 0), (0, 1)], 4);
    read.partitions[0].records[0].0 = 1;
    assert_eq!(found(&sent, &read), [Violation::Moved]);
}

#[test]
fn record_that_nobody_sent_or_not_there_is_foreign() {
    let sent = [transfer(0, Committed, 0)];
    let mut read = reading(&sent, &[(0, 0), (0, 1)], 4);
    read.partitions[0].records.push((1, Err("no text".to_owned())));
    assert_eq!(found(&sent, &read), [Violation::Foreign]);
    let changed = Part { amount: 101, ..sent[0].parts[1] };
    read.partitions[0].records[1] = (1, Ok(changed));
    assert_eq!(found(&sent, &read), [Violation::Foreign]);
    read.partitions[0].records.truncate(1);
    let moved = read.partitions[1].records.remove(0);
    read.partitions[0].records.push((0, moved.1));
    assert_eq!(found(&sent, &read), [Violation::Foreign]);
}

fn with_order(mut transaction: Transaction, order: i64) -> Transaction {
    transaction.parts.iter_mut().for_each(|part| part.order = Some(order));
    transaction
}

#[test]
fn order_that_two_transactions_carried_out_is_repeated() {
    let sent = [with_order(transfer(0, Committed, 0), 7), with_order(transfer(1, Unknown, 2), 7)];
    assert_eq!(found(&sent, &reading(&sent, &[(0, 0), (0, 1)], 4)), []);
    let read = reading(&sent, &[(0, 0), (0, 1), (1, 0), (1, 1)], 4);
    assert_eq!(found(&sent, &read), [Violation::Repeated]);
}

#[test]
fn carried_out_orders_are_those_below_the_committed_offset() {
    let sent = [with_order(transfer(0, Committed, 0), 0), with_order(transfer(1, Committed, 2), 1)];
    let read = reading(&sent, &[(0, 0), (0, 1), (1, 0), (1, 1)], 4);
    assert_eq!(check_orders(&read, 0, 2).violations(), 0);
    assert_eq!(check_orders(&read, 0, 3).counts, [(Violation::Uneven, 1)].into());
    assert_eq!(check_orders(&read, 0, 1).counts, [(Violation::Uneven, 1)].into());
    assert_eq!(check_orders(&read, 1, 0).violations(), 0);
}
