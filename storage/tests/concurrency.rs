//! Many appenders, readers and the store's own threads at once, on the machine's file system.
#![allow(clippy::unwrap_used, reason = "a test that cannot go on should say where")]

mod support;

use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Barrier};
use std::thread;

use storage::disk::LocalDisk;
use storage::{Append, Configs, Event, FlushMode, ReadRequest, Store, StoreConfig, SystemClock};
use support::{Producer, Random, batch, config, read_all};
use uuid::Uuid;

const APPENDERS: i64 = 4;
const PARTITIONS: u32 = 8;
const ROUNDS: i32 = 150;

fn open(config: StoreConfig, acknowledged: Arc<AtomicU64>) -> Arc<Store> {
    let listener = Box::new(move |event: &Event<'_>| {
        if let Event::Acknowledged { position, .. } = event {
            acknowledged.fetch_max(position.0, Ordering::AcqRel);
        }
    });
    Store::open(config, Arc::new(LocalDisk), Arc::new(SystemClock), listener).unwrap().0
}

/// Each appender is an idempotent producer on every partition: the log itself refuses a batch that is out of place.
fn append_all(store: &Store, appender: i64) {
    let partitions = store.topic("t").unwrap().partitions();
    let mut random = Random(appender.unsigned_abs());
    for sequence in 0..ROUNDS {
        let appends = partitions.iter().map(|partition| {
            let producer = Producer { id: appender, epoch: 0, sequence };
            let value = vec![u8::try_from(appender).unwrap(); usize::try_from(random.below(3000)).unwrap()];
            Append::new(Arc::clone(partition), batch(&value, &[i64::from(sequence)], Some(producer)))
        });
        for outcome in store.append(appends.collect()) {
            assert!(!outcome.unwrap().duplicate);
        }
    }
}

/// Follows one partition as a consumer does: nothing above the high watermark, no gap, nothing changes.
fn follow(store: &Store, index: i32, stop: &AtomicBool) {
    let partition = store.topic("t").unwrap().partition(index).unwrap();
    let mut next = 0;
    loop {
        let last_round = stop.load(Ordering::Acquire);
        let limit = partition.high_watermark();
        let request = ReadRequest { from: next, limit, max_bytes: 64 * 1024, at_least_one: true };
        for bytes in store.read(&partition, &request).unwrap().batches {
            assert_eq!(bytes[..8], next.to_be_bytes());
            protocol::record_batch::RecordBatchView::parse(&bytes).unwrap().verify_crc().unwrap();
            next += 1;
        }
        if last_round && next == partition.high_watermark() {
            assert_eq!(next, APPENDERS * i64::from(ROUNDS));
            return;
        }
        thread::yield_now();
    }
}

#[test]
fn concurrent_appends_reads_and_checkpoints_lose_and_mix_nothing() {
    for flush in [FlushMode::Sync, FlushMode::Os] {
        let dir = tempfile::tempdir().unwrap();
        let config = StoreConfig { threads: true, checkpoint_bytes: 300_000, ..config(dir.path(), flush) };
        let acknowledged = Arc::new(AtomicU64::new(0));
        let store = open(config.clone(), Arc::clone(&acknowledged));
        store.create_topic("t", Uuid::from_u128(1), PARTITIONS, Configs::default()).unwrap();
        let (stop, start) = (AtomicBool::new(false), Barrier::new(usize::try_from(APPENDERS).unwrap()));
        thread::scope(|scope| {
            let (store, stop, start) = (&store, &stop, &start);
            let appenders: Vec<_> = (0..APPENDERS)
                .map(|appender| {
                    scope.spawn(move || {
                        start.wait();
                        append_all(store, appender);
                    })
                })
                .collect();
            for index in 0..2 {
                scope.spawn(move || follow(store, index, stop));
            }
            let finished: Vec<_> = appenders.into_iter().map(thread::ScopedJoinHandle::join).collect();
            store.flush().unwrap();
            stop.store(true, Ordering::Release);
            finished.into_iter().for_each(|appender| appender.unwrap());
        });
        assert_eq!(acknowledged.load(Ordering::Acquire), store.acknowledged().0);
        let expected: Vec<_> = contents(&store);
        store.close().unwrap();
        drop(store);
        let store = open(config, acknowledged);
        assert!(contents(&store) == expected, "the same records after a restart");
    }
}

fn contents(store: &Store) -> Vec<Vec<u8>> {
    let partitions = store.topic("t").unwrap().partitions();
    partitions
        .iter()
        .flat_map(|partition| read_all(store, partition, 0))
        .map(|batch| batch.to_vec())
        .collect()
}
