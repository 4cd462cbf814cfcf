//! Transactions in the log, unit by unit: what may be appended (Kafka's `ProducerAppendInfo`), what readers of committed
//! records may see, what a restart keeps.
#![allow(clippy::unwrap_used, reason = "a test that cannot go on should say where")]

mod support;

use std::sync::Arc;

use protocol::control_batch::MarkerType::{Abort, Commit};
use protocol::record_batch_builder::RecordBatchBuilder;
use storage::{
    AbortedTransaction, Append, AppendError, Appended, Configs, FlushMode, PartitionLog, Store, ValidBatch,
    VerificationGuard,
};
use support::simulated_disk::SimulatedDisk;
use support::{Producer, append, append_verified, batch, config, marker, open, transactional};
use uuid::Uuid;

struct Log {
    disk: SimulatedDisk,
    store: Arc<Store>,
    partition: Arc<PartitionLog>,
}

type Outcome = Result<Appended, AppendError>;

fn producer(id: i64, epoch: i16, sequence: i32) -> Producer {
    Producer { id, epoch, sequence }
}

impl Log {
    fn new() -> Self {
        let disk = SimulatedDisk::default();
        let store = open(Arc::new(disk.clone()), config("/data", FlushMode::Sync)).unwrap().0;
        let (topic, _) = store.create_topic("t", Uuid::from_u128(1), 1, Configs::default()).unwrap();
        Self { disk, store, partition: topic.partition(0).unwrap() }
    }

    fn try_append(&self, batch: ValidBatch, guard: Option<VerificationGuard>) -> Outcome {
        self.store.append(vec![Append::new(Arc::clone(&self.partition), batch).verified(guard)]).remove(0)
    }

    /// One transactional record.
    fn data(&self, producer: Producer) -> Outcome {
        append_verified(&self.store, &self.partition, transactional(b"v", &[1], producer))
    }

    fn abort(&self, id: i64, epoch: i16) -> i64 {
        append(&self.store, &self.partition, marker(id, epoch, Abort, 0)).base_offset
    }

    fn commit(&self, id: i64, epoch: i16) -> i64 {
        append(&self.store, &self.partition, marker(id, epoch, Commit, 0)).base_offset
    }

    fn flush(&self) {
        self.store.flush().unwrap();
    }

    fn restart(self) -> Self {
        let disk = self.disk.kill();
        let store = open(Arc::new(disk.clone()), config("/data", FlushMode::Sync)).unwrap().0;
        let partition = store.topic("t").unwrap().partition(0).unwrap();
        Self { disk, store, partition }
    }
}

fn aborted(producer_id: i64, first_offset: i64, last_offset: i64) -> AbortedTransaction {
    AbortedTransaction { producer_id, first_offset, last_offset }
}

#[test]
fn the_last_stable_offset_waits_for_the_oldest_open_transaction_and_for_its_marker_to_be_acknowledged() {
    let log = Log::new();
    append(&log.store, &log.partition, batch(b"plain", &[1], None));
    log.data(producer(1, 0, 0)).unwrap();
    log.data(producer(2, 0, 0)).unwrap();
    assert_eq!(log.partition.last_stable_offset(), 0, "nothing is acknowledged");
    log.flush();
    assert_eq!((log.partition.last_stable_offset(), log.partition.high_watermark()), (1, 3));
    log.commit(1, 0);
    assert_eq!(log.partition.last_stable_offset(), 1, "the marker could still be lost");
    log.flush();
    assert_eq!((log.partition.last_stable_offset(), log.partition.high_watermark()), (2, 4));
    log.abort(2, 0);
    append(&log.store, &log.partition, batch(b"plain", &[1], None));
    assert_eq!(log.partition.last_stable_offset(), 2);
    log.flush();
    assert_eq!((log.partition.last_stable_offset(), log.partition.high_watermark()), (6, 6));
}

#[test]
fn every_aborted_transaction_that_overlaps_is_listed_by_first_offset() {
    let log = Log::new();
    for (id, sequence) in [(1, 0), (2, 0), (3, 0)] {
        log.data(producer(id, 0, sequence)).unwrap();
    }
    assert_eq!((log.abort(2, 0), log.commit(3, 0), log.abort(1, 0)), (3, 4, 5));
    log.data(producer(3, 0, 1)).unwrap();
    assert_eq!(log.abort(3, 0), 7);
    let all = [aborted(1, 0, 5), aborted(2, 1, 3), aborted(3, 6, 7)];
    assert_eq!(log.partition.aborted_transactions(0, 8), all);
    assert_eq!(log.partition.aborted_transactions(0, 6), all[..2]);
    assert_eq!(log.partition.aborted_transactions(0, 1), all[..1]);
    assert_eq!(log.partition.aborted_transactions(3, 8), all);
    assert_eq!(log.partition.aborted_transactions(4, 8), [all[0], all[2]]);
    assert_eq!(log.partition.aborted_transactions(6, 8), all[2..]);
    assert_eq!(log.partition.aborted_transactions(8, 100), []);
}

#[test]
fn a_batch_opens_a_transaction_only_with_the_guard_that_counts() {
    let log = Log::new();
    let first = |sequence| transactional(b"v", &[1], producer(1, 0, sequence));
    let refused = |outcome: Outcome| matches!(outcome, Err(AppendError::InvalidTransactionState { .. }));
    assert!(refused(log.try_append(first(0), None)));
    let guard = log.partition.begin_verification(&first(0).view(), false);
    assert_eq!(guard, log.partition.begin_verification(&first(0).view(), false), "who waits shares it");
    let other = transactional(b"v", &[1], producer(2, 0, 0));
    let others = log.partition.begin_verification(&other.view(), false);
    assert!(refused(log.try_append(first(0), others)));
    assert!(log.try_append(first(0), guard).is_ok());
    assert_eq!(log.partition.open_transaction(1), Some(0));
    assert_eq!(log.partition.begin_verification(&first(1).view(), false), None, "it is open");
    assert!(log.try_append(first(1), None).is_ok());
    log.commit(1, 0);
    assert!(refused(log.try_append(first(2), guard)), "a guard counts once");
    assert_eq!(log.partition.open_transaction(1), None);
}

#[test]
fn a_marker_between_verification_and_append_makes_the_guard_worthless() {
    let log = Log::new();
    let late = transactional(b"v", &[1], producer(1, 0, 0));
    let guard = log.partition.begin_verification(&late.view(), false);
    assert!(guard.is_some());
    log.abort(1, 0);
    let newer = log.partition.begin_verification(&late.view(), false);
    assert_ne!(guard, newer);
    let outcome = log.try_append(late.clone(), guard);
    assert!(matches!(outcome, Err(AppendError::InvalidTransactionState { producer_id: 1 })));
    assert!(log.try_append(late, newer).is_ok());
}

#[test]
fn the_marker_of_the_last_transaction_leaves_the_guard_of_the_next_one_where_the_epoch_grows() {
    let log = Log::new();
    log.data(producer(1, 0, 0)).unwrap();
    let next = transactional(b"v", &[1], producer(1, 1, 0));
    let guard = log.partition.begin_verification(&next.view(), true);
    assert!(guard.is_some(), "a transaction of an older epoch is not this one");
    log.commit(1, 1);
    assert_eq!(log.try_append(next, guard).unwrap().base_offset, 2);
    // Under transaction version 1 the same marker could be this transaction's own.
    let log = Log::new();
    log.data(producer(1, 0, 0)).unwrap();
    let next = transactional(b"v", &[1], producer(1, 1, 0));
    let guard = log.partition.begin_verification(&next.view(), false);
    log.commit(1, 1);
    assert!(matches!(log.try_append(next, guard), Err(AppendError::InvalidTransactionState { .. })));
}

#[test]
fn a_batch_outside_of_the_open_transaction_of_its_producer_is_refused() {
    let log = Log::new();
    log.data(producer(1, 0, 0)).unwrap();
    let plain = batch(b"v", &[1], Some(producer(1, 0, 1)));
    let outcome = log.try_append(plain.clone(), None);
    assert!(matches!(outcome, Err(AppendError::InvalidTransactionState { .. })));
    log.commit(1, 0);
    assert!(log.try_append(plain, None).is_ok());
}

#[test]
fn a_marker_with_a_greater_epoch_fences_the_older_one_and_begins_at_sequence_zero() {
    let log = Log::new();
    log.data(producer(1, 3, 0)).unwrap();
    log.abort(1, 4);
    let stale = AppendError::InvalidProducerEpoch { producer_id: 1, current: 4, found: 3 };
    assert_eq!(log.data(producer(1, 3, 1)).unwrap_err().to_string(), stale.to_string());
    let outcome = log.try_append(marker(1, 3, Commit, 0), None);
    assert_eq!(outcome.unwrap_err().to_string(), stale.to_string());
    let skipped = log.data(producer(1, 4, 7));
    assert!(matches!(skipped, Err(AppendError::OutOfOrderSequence { expected: 0, found: 7, .. })));
    log.data(producer(1, 4, 0)).unwrap();
    // Under transaction version 2 a marker of the transaction's own epoch is late, unless it is one that came before.
    let bumped = Some(VerificationGuard::BUMPED_EPOCH);
    let late = AppendError::InvalidProducerEpoch { producer_id: 1, current: 4, found: 4 };
    let outcome = log.try_append(marker(1, 4, Abort, 0), bumped);
    assert_eq!(outcome.unwrap_err().to_string(), late.to_string());
    // Under transaction version 1 the epoch stays, and sequences go on.
    log.commit(1, 4);
    let retried = transactional(b"v", &[1], producer(1, 4, 0));
    assert!(log.try_append(retried, None).unwrap().duplicate);
    assert!(!log.data(producer(1, 4, 1)).unwrap().duplicate);
    for _ in 0..2 {
        log.try_append(marker(1, 5, Commit, 0), bumped).unwrap();
    }
}

#[test]
fn a_marker_of_a_replaced_coordinator_is_refused() {
    let log = Log::new();
    log.data(producer(1, 0, 0)).unwrap();
    append(&log.store, &log.partition, marker(1, 0, Commit, 5));
    let outcome = log.try_append(marker(1, 0, Abort, 4), None);
    assert!(matches!(
        outcome,
        Err(AppendError::TransactionCoordinatorFenced { producer_id: 1, current: 5, found: 4 })
    ));
    assert!(log.try_append(marker(1, 0, Abort, 5), None).is_ok());
    assert_eq!(log.partition.aborted_transactions(0, 100), [], "it ended nothing");
}

#[test]
fn a_producer_that_is_not_known_begins_anywhere_but_where_the_epoch_grows_at_zero() {
    let log = Log::new();
    assert!(log.data(producer(1, 0, 7)).is_ok());
    let late = transactional(b"v", &[1], producer(2, 0, 7));
    let guard = log.partition.begin_verification(&late.view(), true);
    let outcome = log.try_append(late, guard);
    assert!(matches!(outcome, Err(AppendError::OutOfOrderSequence { expected: 0, found: 7, .. })));
}

#[test]
fn of_batches_that_wait_for_their_verification_the_lowest_sequence_comes_first() {
    let log = Log::new();
    let [first, second] = [0, 1].map(|sequence| transactional(b"v", &[1], producer(1, 0, sequence)));
    let guard = log.partition.begin_verification(&second.view(), false);
    assert_eq!(guard, log.partition.begin_verification(&first.view(), false));
    let outcome = log.try_append(second.clone(), guard);
    assert!(matches!(outcome, Err(AppendError::OutOfOrderSequence { expected: 0, found: 1, .. })));
    assert!(log.try_append(first, guard).is_ok() && log.try_append(second, None).is_ok());
}

#[test]
fn what_a_coordinator_of_the_broker_appends_needs_neither_guard_nor_sequence() {
    let log = Log::new();
    let commit_offsets = || {
        let mut builder = RecordBatchBuilder::new(0).producer(1, 0, -1).transactional();
        builder.append(1, Some(b"group"), Some(b"offset"));
        ValidBatch::new(builder.build()).unwrap()
    };
    for expected in 0..3 {
        let appended = log.try_append(commit_offsets(), Some(VerificationGuard::COORDINATOR)).unwrap();
        assert_eq!((appended.base_offset, appended.duplicate), (expected, false));
    }
    assert_eq!(log.partition.open_transaction(1), Some(0));
    log.abort(1, 0);
    assert_eq!(log.partition.aborted_transactions(0, 4), [aborted(1, 0, 3)]);
}

#[test]
fn a_deleted_log_start_carries_the_last_stable_offset_with_it() {
    let log = Log::new();
    for sequence in 0..4 {
        log.data(producer(1, 0, sequence)).unwrap();
    }
    log.flush();
    assert_eq!(log.partition.last_stable_offset(), 0);
    log.store.advance_log_start(&log.partition, 3).unwrap();
    assert_eq!((log.partition.last_stable_offset(), log.partition.open_transaction(1)), (3, Some(0)));
    log.abort(1, 0);
    log.flush();
    assert_eq!(log.partition.last_stable_offset(), 5);
    assert_eq!(log.partition.aborted_transactions(3, 5), [aborted(1, 0, 4)]);
    log.store.advance_log_start(&log.partition, 5).unwrap();
    assert_eq!(log.partition.aborted_transactions(0, 100), []);
}

#[test]
fn producers_and_transactions_outlive_a_kill_with_and_without_a_checkpoint() {
    for checkpoint in [false, true] {
        let log = Log::new();
        log.data(producer(1, 0, 0)).unwrap();
        log.data(producer(2, 3, 0)).unwrap();
        append(&log.store, &log.partition, marker(1, 1, Abort, 6));
        log.data(producer(3, 0, 0)).unwrap();
        let (before, open) = (log.partition.active_producers(), log.partition.open_transaction(2));
        assert_eq!((before.len(), open), (3, Some(1)));
        assert_eq!(
            (before[0].producer_epoch, before[0].last_sequence, before[0].coordinator_epoch),
            (1, -1, 6)
        );
        assert_eq!(before[2].current_transaction_start_offset, Some(3));
        if checkpoint {
            log.store.checkpoint().unwrap();
        }
        let log = log.restart();
        assert_eq!(log.partition.active_producers(), before, "checkpoint: {checkpoint}");
        assert_eq!(log.partition.aborted_transactions(0, 9), [aborted(1, 0, 2)]);
        assert_eq!((log.partition.last_stable_offset(), log.partition.high_watermark()), (1, 4));
        assert!(log.data(producer(1, 0, 1)).is_err(), "the marker's epoch holds");
        log.commit(2, 3);
        log.flush();
        assert_eq!(log.partition.last_stable_offset(), 3);
    }
}
