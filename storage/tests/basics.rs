//! Append, read, reopen on the machine's own file system.
#![allow(clippy::unwrap_used, reason = "a test that cannot go on should say where")]

mod support;

use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};
use std::time::Duration;

use storage::disk::LocalDisk;
use storage::{
    Append, AppendError, Clock, Configs, FlushMode, OpenError, ReadError, ReadRequest, Store, StoreConfig,
    Submitted,
};
use support::{Producer, append, batch, config, open, read_all};
use uuid::Uuid;

#[test]
fn batches_come_back_stamped_and_otherwise_untouched_also_after_a_clean_restart() {
    let dir = tempfile::tempdir().unwrap();
    let (store, recovered) = open(Arc::new(LocalDisk), config(dir.path(), FlushMode::Os)).unwrap();
    assert!(recovered.clean, "there was nothing to recover");
    let (topic, _) = store.create_topic("orders", Uuid::from_u128(1), 2, Configs::default()).unwrap();
    let partition = topic.partition(1).unwrap();
    let sent: Vec<_> = (0..300_i64).map(|i| batch(&vec![7; 400], &[i, i + 1], None)).collect();
    for (index, batch) in sent.iter().enumerate() {
        let appended = append(&store, &partition, batch.clone());
        assert_eq!(appended.base_offset, 2 * i64::try_from(index).unwrap());
    }
    let check = |store: &Store| {
        let partition = store.topic("orders").unwrap().partition(1).unwrap();
        assert_eq!((partition.high_watermark(), partition.log_end_offset()), (600, 600));
        let read = read_all(store, &partition, 0);
        assert_eq!(read.len(), sent.len());
        for (index, (read, sent)) in read.iter().zip(&sent).enumerate() {
            assert_eq!(read[..8], (2 * i64::try_from(index).unwrap()).to_be_bytes());
            assert_eq!(read[8..12], sent.view().as_bytes()[8..12]);
            assert_eq!(read[12..16], 0_i32.to_be_bytes());
            assert_eq!(read[16..], sent.view().as_bytes()[16..]);
        }
        assert_eq!(read_all(store, &partition, 599).len(), 1);
        assert_eq!(store.offset_for_timestamp(&partition, 150, 600).unwrap().unwrap().offset, 299);
        assert_eq!(store.offset_for_timestamp(&partition, 301, 600).unwrap(), None);
        assert_eq!(store.offset_of_max_timestamp(&partition, 600).unwrap().unwrap().offset, 599);
        assert_eq!(partition.size_bytes(), sent.iter().map(|b| b.view().as_bytes().len() as u64).sum());
    };
    check(&store);
    store.close().unwrap();
    drop(store);
    let (store, recovered) = open(Arc::new(LocalDisk), config(dir.path(), FlushMode::Os)).unwrap();
    assert!(recovered.clean);
    assert_eq!((recovered.frames, recovered.cut), (0, 0));
    check(&store);
    drop(store);
    let (store, recovered) = open(Arc::new(LocalDisk), config(dir.path(), FlushMode::Os)).unwrap();
    assert!(!recovered.clean, "the store was dropped, not closed");
    check(&store);
    drop(store);
    std::fs::remove_file(dir.path().join("checkpoint")).unwrap();
    std::fs::remove_dir_all(dir.path().join("consumequeue")).unwrap();
    std::fs::create_dir(dir.path().join("consumequeue")).unwrap();
    let (store, recovered) = open(Arc::new(LocalDisk), config(dir.path(), FlushMode::Os)).unwrap();
    assert!(recovered.frames > 300, "everything is rebuilt from the log");
    check(&store);
}

#[test]
fn a_producers_retry_gets_its_first_offset_and_a_gap_is_refused_also_after_a_restart() {
    let dir = tempfile::tempdir().unwrap();
    let (mut store, _) = open(Arc::new(LocalDisk), config(dir.path(), FlushMode::Os)).unwrap();
    store.create_topic("t", Uuid::from_u128(1), 1, Configs::default()).unwrap();
    let of = |sequence| batch(b"x", &[5, 6, 7], Some(Producer { id: 9, epoch: 0, sequence }));
    for round in 0..6 {
        let partition = store.topic("t").unwrap().partition(0).unwrap();
        assert_eq!(append(&store, &partition, of(round * 3)).base_offset, i64::from(round) * 3);
        if round == 3 {
            store.checkpoint().unwrap();
            drop(store);
            store = open(Arc::new(LocalDisk), config(dir.path(), FlushMode::Os)).unwrap().0;
        }
    }
    drop(store);
    let (store, _) = open(Arc::new(LocalDisk), config(dir.path(), FlushMode::Os)).unwrap();
    let partition = store.topic("t").unwrap().partition(0).unwrap();
    for sequence in [3, 6, 9, 12, 15] {
        let again = append(&store, &partition, of(sequence));
        assert!(again.duplicate);
        assert_eq!(again.base_offset, i64::from(sequence));
    }
    let refused = |batch| store.append(vec![Append::new(Arc::clone(&partition), batch)]).remove(0);
    assert!(matches!(refused(of(0)), Err(AppendError::OutOfOrderSequence { expected: 18, found: 0, .. })));
    assert!(matches!(refused(of(21)), Err(AppendError::OutOfOrderSequence { expected: 18, found: 21, .. })));
    let old_epoch = batch(b"x", &[5], Some(Producer { id: 9, epoch: -1, sequence: 0 }));
    assert!(matches!(refused(old_epoch), Err(AppendError::InvalidProducerEpoch { current: 0, .. })));
    assert_eq!(
        append(&store, &partition, batch(b"x", &[1], Some(Producer { id: 9, epoch: 1, sequence: 0 })))
            .base_offset,
        18
    );
    assert_eq!(partition.log_end_offset(), 19);
}

#[test]
fn reads_respect_limit_size_and_range() {
    let dir = tempfile::tempdir().unwrap();
    let (store, _) = open(Arc::new(LocalDisk), config(dir.path(), FlushMode::Os)).unwrap();
    let (topic, _) = store.create_topic("t", Uuid::from_u128(1), 1, Configs::default()).unwrap();
    let partition = topic.partition(0).unwrap();
    for _ in 0..200 {
        append(&store, &partition, batch(&[1; 100], &[1, 2, 3], None));
    }
    let size = partition.size_bytes() / 200;
    let read = |from, limit, max_bytes, at_least_one| {
        store.read(&partition, &ReadRequest { from, limit, max_bytes, at_least_one })
    };
    assert_eq!(read(0, 600, 1, true).unwrap().batches.len(), 1);
    assert_eq!(read(0, 600, 1, false).unwrap().batches.len(), 0);
    assert_eq!(read(0, 600, usize::try_from(size).unwrap() * 3, false).unwrap().batches.len(), 3);
    assert_eq!(read(299, 600, usize::MAX, false).unwrap().batches.len(), 101);
    assert_eq!(read(0, 30, usize::MAX, true).unwrap().batches.len(), 10);
    assert_eq!(read(600, 600, usize::MAX, true).unwrap().batches.len(), 0);
    assert!(matches!(read(601, 700, 1, true), Err(ReadError::OutOfRange { log_start: 0, log_end: 600, .. })));
    store.advance_log_start(&partition, 301).unwrap();
    assert!(matches!(read(300, 600, 1, true), Err(ReadError::OutOfRange { log_start: 301, .. })));
    let first = &read(301, 600, 1, true).unwrap().batches[0];
    assert_eq!(first[..8], 300_i64.to_be_bytes(), "the batch that holds the log start is whole");
    assert_eq!(partition.size_bytes(), size * 100);
    drop(store);
    let (store, _) = open(Arc::new(LocalDisk), config(dir.path(), FlushMode::Os)).unwrap();
    assert_eq!(store.topic("t").unwrap().partition(0).unwrap().log_start_offset(), 301);
}

#[test]
fn what_was_located_can_be_checked_a_part_at_a_time() {
    let dir = tempfile::tempdir().unwrap();
    let (store, _) = open(Arc::new(LocalDisk), config(dir.path(), FlushMode::Os)).unwrap();
    let (topic, _) = store.create_topic("t", Uuid::from_u128(1), 1, Configs::default()).unwrap();
    let partition = topic.partition(0).unwrap();
    for offset in 0..5 {
        append(&store, &partition, batch(&[7; 100], &[offset], None));
    }
    let request = ReadRequest { from: 0, limit: 5, max_bytes: usize::MAX, at_least_one: true };
    let located = store.locate(&partition, &request).unwrap();
    let size = located.bytes() / 5;
    let mut reading = located.reading();
    assert_eq!((reading.check(size - 1, false), reading.is_done()), (0, false));
    assert_eq!(reading.check(size - 1, true), size, "one that is larger");
    assert_eq!(reading.check(3 * size - 1, false), 2 * size);
    assert_eq!((reading.check(usize::MAX, false), reading.is_done()), (2 * size, true));
    assert_eq!((reading.check(usize::MAX, true), reading.finish().unwrap().batches.len()), (0, 5));
}

#[test]
fn what_was_submitted_is_appended_in_order_as_one_group() {
    let dir = tempfile::tempdir().unwrap();
    let (store, _) = open(Arc::new(LocalDisk), config(dir.path(), FlushMode::Os)).unwrap();
    let (topic, _) = store.create_topic("t", Uuid::from_u128(1), 1, Configs::default()).unwrap();
    let partition = topic.partition(0).unwrap();
    let writes = || store.facts().write.counts.iter().sum::<u64>();
    let submit = |time| store.submit(vec![Append::new(Arc::clone(&partition), batch(b"v", &[time], None))]);
    let [first, second, third] = [submit(0), submit(1), submit(2)];
    assert_eq!((partition.log_end_offset(), writes()), (0, 0), "nobody asked for an outcome");
    let offset = |submitted: Submitted| submitted.outcomes()[0].as_ref().unwrap().base_offset;
    assert_eq!((offset(second), partition.log_end_offset(), writes()), (1, 3, 1));
    assert_eq!((offset(first), offset(third), writes()), (0, 2, 1));
    drop(submit(3));
    assert_eq!((partition.log_end_offset(), writes()), (4, 2), "nobody wants to know, but it was sent");
    let _later = submit(4);
    assert_eq!(append(&store, &partition, batch(b"v", &[5], None)).base_offset, 5);
    let _last = submit(6);
    store.append_submitted();
    assert_eq!((partition.log_end_offset(), read_all(&store, &partition, 0).len()), (7, 7));
}

#[test]
fn a_deleted_topic_is_gone_and_its_name_can_be_used_again() {
    let dir = tempfile::tempdir().unwrap();
    let (store, _) = open(Arc::new(LocalDisk), config(dir.path(), FlushMode::Os)).unwrap();
    let (old, _) = store.create_topic("t", Uuid::from_u128(1), 1, Configs::default()).unwrap();
    append(&store, &old.partition(0).unwrap(), batch(b"x", &[1], None));
    store.delete_topic(&old).unwrap();
    assert!(store.topic("t").is_none());
    let stale = store.append(vec![Append::new(old.partition(0).unwrap(), batch(b"x", &[1], None))]);
    assert!(matches!(stale[0], Err(AppendError::Deleted)));
    store.create_topic("t", Uuid::from_u128(2), 3, Configs::default()).unwrap();
    drop(store);
    let (store, _) = open(Arc::new(LocalDisk), config(dir.path(), FlushMode::Os)).unwrap();
    let topic = store.topic("t").unwrap();
    assert_eq!((topic.id(), topic.partition_count()), (Uuid::from_u128(2), 3));
    assert_eq!(topic.partition(0).unwrap().log_end_offset(), 0);
    assert!(store.topic_by_id(Uuid::from_u128(1)).is_none());
}

#[test]
fn producer_ids_are_never_given_twice_across_kills() {
    let dir = tempfile::tempdir().unwrap();
    let mut given = std::collections::BTreeSet::new();
    for _ in 0..3 {
        let (store, _) = open(Arc::new(LocalDisk), config(dir.path(), FlushMode::Os)).unwrap();
        for _ in 0..1100 {
            assert!(given.insert(store.allocate_producer_id().unwrap().0));
        }
    }
}

#[test]
fn foreign_newer_and_used_directories_are_refused_and_left_alone() {
    let dir = tempfile::tempdir().unwrap();
    std::fs::write(dir.path().join("meta.properties"), "node.id=1").unwrap();
    let refused = open(Arc::new(LocalDisk), config(dir.path(), FlushMode::Os)).unwrap_err();
    assert!(matches!(&refused, OpenError::Foreign { found, .. } if found == "meta.properties"));
    assert_eq!(std::fs::read_dir(dir.path()).unwrap().count(), 1);

    let dir = tempfile::tempdir().unwrap();
    let (store, _) = open(Arc::new(LocalDisk), config(dir.path(), FlushMode::Os)).unwrap();
    let refused = open(Arc::new(LocalDisk), config(dir.path(), FlushMode::Os)).unwrap_err();
    assert!(matches!(&refused, OpenError::InUse { pid, .. } if *pid == std::process::id().to_string()));
    store.close().unwrap();
    drop(store);
    let format = dir.path().join("format");
    let mut bytes = std::fs::read(&format).unwrap();
    bytes[11] = 99;
    std::fs::write(&format, bytes).unwrap();
    let refused = open(Arc::new(LocalDisk), config(dir.path(), FlushMode::Os)).unwrap_err();
    assert!(matches!(refused, OpenError::NewerFormat { found: 99, known: 1, .. }));
}

/// A clock that stands where the test puts it.
struct StoppedClock(AtomicI64);

impl Clock for StoppedClock {
    fn now_ms(&self) -> i64 {
        self.0.load(Ordering::Relaxed)
    }
}

#[test]
fn a_producer_that_is_silent_for_long_is_forgotten_and_may_begin_anywhere() {
    let dir = tempfile::tempdir().unwrap();
    let clock = Arc::new(StoppedClock(AtomicI64::new(0)));
    let expiration = |configs: &Configs| {
        Duration::from_secs(configs.get("seconds").map_or(3600, |seconds| seconds.parse().unwrap()))
    };
    let config =
        StoreConfig { producer_expiration: Arc::new(expiration), ..config(dir.path(), FlushMode::Os) };
    let (store, _) =
        Store::open(config, Arc::new(LocalDisk), Arc::<StoppedClock>::clone(&clock), Box::new(|_| {}))
            .unwrap();
    let (topic, _) = store.create_topic("t", Uuid::from_u128(1), 1, Configs::default()).unwrap();
    let partition = topic.partition(0).unwrap();
    let at = |sequence, timestamp| batch(b"x", &[timestamp], Some(Producer { id: 9, epoch: 0, sequence }));
    append(&store, &partition, at(0, 1000));
    let gap = || store.append(vec![Append::new(Arc::clone(&partition), at(7, 2000))]).remove(0);
    clock.0.store(3_601_000, Ordering::Relaxed);
    store.housekeep().unwrap();
    assert!(
        matches!(gap(), Err(AppendError::OutOfOrderSequence { expected: 1, found: 7, .. })),
        "an hour, not more"
    );
    clock.0.store(3_601_001 + 600_000, Ordering::Relaxed);
    store.housekeep().unwrap();
    assert_eq!(gap().unwrap().base_offset, 1);

    store.set_broker_configs([("seconds".to_owned(), "7200".to_owned())].into()).unwrap();
    clock.0.store(3_602_000 + 1_200_000, Ordering::Relaxed);
    store.housekeep().unwrap();
    let other_gap = store.append(vec![Append::new(Arc::clone(&partition), at(17, 2000))]).remove(0);
    assert!(
        matches!(other_gap, Err(AppendError::OutOfOrderSequence { expected: 8, .. })),
        "two hours by now"
    );
}
