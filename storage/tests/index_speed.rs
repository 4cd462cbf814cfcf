//! Figures of index files and of searches by key and by time, on the machine's own disk. Not part of the tests:
//! `cargo test --release -p storage --test index_speed -- --ignored --nocapture`.
//!
//! `ONELOG_SPEED_RECORDS` is the number of records (10 million unless set), `TMPDIR` where they go. Cold figures need the
//! right to drop the page cache (root on Linux); without it they are left out.
#![allow(clippy::unwrap_used, reason = "a test that cannot go on should say where")]
#![allow(clippy::disallowed_methods, reason = "it measures")]

mod support;

use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, Instant};

use protocol::record_batch::Codec;
use storage::disk::LocalDisk;
use storage::{Append, Configs, FindQuery, FlushMode, Store, StoreConfig};
use support::batches::{Sent, batch_of};
use support::{Random, config};
use uuid::Uuid;

const FILE_SIZE: u64 = 256 * 1024 * 1024;
const PARTITIONS: u32 = 8;
const RECORDS_PER_BATCH: u64 = 20;
/// Each record's timestamp is its number, ms.
const KEYS_PER_RECORD: u64 = 4;

fn store(dir: &Path) -> Arc<Store> {
    let config = StoreConfig { file_size: FILE_SIZE, ..config(dir, FlushMode::Os) };
    let (disk, clock) = (Arc::new(LocalDisk), Arc::new(storage::SystemClock));
    Store::open(config, disk, clock, Box::new(|_| {})).unwrap().0
}

fn key(number: u64, records: u64) -> Vec<u8> {
    format!("order-{:010}", number * 0x9e37_79b1 % (records / KEYS_PER_RECORD).max(1)).into_bytes()
}

fn fill(store: &Store, records: u64) {
    let configs = Configs::from([("onelog.index.keys".to_owned(), "true".to_owned())]);
    let (topic, _) = store.create_topic("orders", Uuid::from_u128(1), PARTITIONS, configs).unwrap();
    let partitions = topic.partitions();
    for batch in 0..records / RECORDS_PER_BATCH {
        let numbers = batch * RECORDS_PER_BATCH..(batch + 1) * RECORDS_PER_BATCH;
        let record = |number: u64| Sent {
            timestamp: i64::try_from(number).unwrap(),
            key: Some(key(number, records)),
            value: Some(vec![b'v'; 80]),
        };
        let batch = (batch, batch_of(&numbers.map(record).collect::<Vec<_>>(), Codec::None));
        let partition = Arc::clone(&partitions[usize::try_from(batch.0 % u64::from(PARTITIONS)).unwrap()]);
        store.append(vec![Append::new(partition, batch.1)]).remove(0).unwrap();
        if batch.0 % 50_000 == 0 {
            store.housekeep().unwrap();
        }
    }
    store.flush().unwrap();
    store.checkpoint().unwrap();
}

fn drop_page_cache() -> bool {
    rustix::fs::sync();
    std::fs::write("/proc/sys/vm/drop_caches", "3").is_ok()
}

/// Time that this thread had a core: what others run here does not count.
fn cpu_time() -> Duration {
    let stat = std::fs::read_to_string("/proc/thread-self/schedstat").unwrap();
    Duration::from_nanos(stat.split(' ').next().unwrap().parse().unwrap())
}

fn percentiles(mut took: Vec<Duration>) -> String {
    took.sort_unstable();
    let at = |part: usize| took[(took.len() - 1) * part / 100];
    format!("median {:?}, 99 % {:?}, most {:?}", at(50), at(99), at(100))
}

fn time(mut questions: impl FnMut(usize), count: usize) -> String {
    let cpu_before = cpu_time();
    let took = (0..count).map(|index| {
        let start = Instant::now();
        questions(index);
        start.elapsed()
    });
    let percentiles = percentiles(took.collect());
    format!("{percentiles}, {:?} of a core each", (cpu_time() - cpu_before) / u32::try_from(count).unwrap())
}

fn searches(store: &Store, records: u64, what: &str, count: usize) {
    let mut random = Random(count as u64);
    let (topic, mut found) = (store.topic("orders").unwrap(), 0);
    let report = time(
        |_| {
            let key = key(random.below(records), records);
            let query = FindQuery { topic: "orders", key: &key, from_ms: None, to_ms: None, limit: 100 };
            found += store.find_by_key(&query).unwrap().records.len();
        },
        count,
    );
    eprintln!("find by key, {what}: {report}; {found} records of {count} keys");
    let mut found = 0;
    let report = time(
        |index| {
            let partition = &topic.partitions()[index % usize::try_from(PARTITIONS).unwrap()];
            let timestamp = i64::try_from(random.below(records)).unwrap();
            let answer = store.offset_for_timestamp(partition, timestamp, partition.high_watermark());
            found += usize::from(answer.unwrap().is_some());
        },
        count,
    );
    eprintln!("offset by time, {what}: {report}; {found} of {count} found");
}

#[test]
#[ignore = "takes minutes and gigabytes: figures, not a test"]
fn index_speed() {
    let records: u64 =
        std::env::var("ONELOG_SPEED_RECORDS").map_or(10_000_000, |records| records.parse().unwrap());
    let dir = tempfile::tempdir().unwrap();
    let filling = store(dir.path());
    fill(&filling, records);
    let (log_bytes, _) = filling.log_size();
    eprintln!(
        "{records} records of 96 bytes, {RECORDS_PER_BATCH} a batch, {PARTITIONS} partitions, log of {log_bytes} bytes"
    );
    let (start, cpu_before) = (Instant::now(), cpu_time());
    let files = filling.build_index_files().unwrap();
    let (took, cpu) = (start.elapsed(), cpu_time() - cpu_before);
    let index_bytes: u64 = std::fs::read_dir(dir.path().join("index"))
        .unwrap()
        .map(|entry| entry.unwrap().metadata().unwrap().len())
        .sum();
    let indexed = records * (files as u64 * FILE_SIZE) / filling.log_size().1;
    eprintln!(
        "{files} index files of {index_bytes} bytes in {took:?}, {cpu:?} of them on a core: about {indexed} keys, {:.2} bytes a key, {:.2} million keys a second of a core",
        index_bytes as f64 / indexed as f64,
        indexed as f64 / 1e6 / cpu.as_secs_f64()
    );
    searches(&filling, records, "warm", 500);
    // From here on nothing of the topic is in a file that is not indexed.
    roll(&filling);
    let made = filling.build_index_files().unwrap();
    searches(&filling, records, &format!("warm, all indexed ({made} more)"), 5000);
    filling.close().unwrap();
    drop(filling);
    cold(dir.path(), records);
}

/// Fills the last file with another topic's batches.
fn roll(store: &Store) {
    let (topic, _) = store.create_topic("other", Uuid::from_u128(2), 1, Configs::default()).unwrap();
    let filler = [Sent { timestamp: 1, key: None, value: Some(vec![0; 1 << 20]) }];
    for _ in 0..FILE_SIZE >> 20 {
        let append = Append::new(topic.partition(0).unwrap(), batch_of(&filler, Codec::None));
        store.append(vec![append]).remove(0).unwrap();
    }
    store.flush().unwrap();
    store.checkpoint().unwrap();
}

/// Each question to a store just opened, with nothing in the page cache.
fn cold(dir: &Path, records: u64) {
    let mut random = Random(9);
    let (mut opens, mut keys, mut times) = (Vec::new(), Vec::new(), Vec::new());
    for round in 0..20 {
        if !drop_page_cache() {
            eprintln!("no cold figures: the page cache cannot be dropped");
            return;
        }
        let start = Instant::now();
        let store = store(dir);
        opens.push(start.elapsed());
        let topic = store.topic("orders").unwrap();
        let start = Instant::now();
        if round % 2 == 0 {
            let key = key(random.below(records), records);
            let query = FindQuery { topic: "orders", key: &key, from_ms: None, to_ms: None, limit: 100 };
            assert!(!store.find_by_key(&query).unwrap().records.is_empty());
            keys.push(start.elapsed());
        } else {
            let partition = topic.partition(i32::try_from(round % PARTITIONS).unwrap()).unwrap();
            let timestamp = i64::try_from(random.below(records)).unwrap();
            let answer = store.offset_for_timestamp(&partition, timestamp, partition.high_watermark());
            assert!(answer.unwrap().is_some());
            times.push(start.elapsed());
        }
        store.close().unwrap();
    }
    eprintln!("open, cold: {}", percentiles(opens));
    eprintln!("find by key, cold, first after the start: {}", percentiles(keys));
    eprintln!("offset by time, cold, first after the start: {}", percentiles(times));
}
