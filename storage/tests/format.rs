//! Pins the on-disk format: a directory written by version 1 opens for ever, and the same operations write the same
//! bytes today. `docs/STORAGE_FORMAT.md` says what they mean. After a deliberate change of format run with
//! `UPDATE_FIXTURES=1` and raise the version.
#![allow(clippy::unwrap_used, reason = "a test that cannot go on should say where")]

mod support;

use std::fs;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use protocol::control_batch::MarkerType;
use protocol::record_batch::RecordBatchView;
use storage::disk::LocalDisk;
use storage::{AbortedTransaction, Append, Clock, Configs, FindQuery, FlushMode, Store};
use support::{
    Producer, append, append_verified, batch, config, keyed_batch, marker, open, read_all, transactional,
};
use uuid::Uuid;

/// What lies there beside the log and could be built from it.
const PROJECTIONS: [&str; 3] = ["checkpoint", "consumequeue", "snapshot"];

fn fixture(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures").join(name)
}

/// All files of the log and its projections, relative to `dir`. `format` holds a random id and is not pinned.
fn pinned(dir: &Path) -> Vec<String> {
    let mut names = vec!["checkpoint".to_owned()];
    for folder in ["commitlog", "consumequeue", "snapshot", "index"] {
        let Ok(files) = fs::read_dir(dir.join(folder)) else { continue };
        let files = files.map(|file| file.unwrap().file_name().into_string().unwrap());
        names.extend(files.filter(|name| !name.ends_with(".spare")).map(|name| format!("{folder}/{name}")));
    }
    names.sort();
    names
}

/// One of everything that the format knows.
fn write_reference(dir: &Path) {
    let (store, _) = open(Arc::new(LocalDisk), config(dir, FlushMode::Sync)).unwrap();
    let configs = Configs::from([("retention.ms".to_owned(), "1000".to_owned())]);
    let (topic, _) = store.create_topic("orders", Uuid::from_u128(1), 2, configs.clone()).unwrap();
    let (gone, _) = store.create_topic("gone", Uuid::from_u128(2), 1, Configs::default()).unwrap();
    store.set_broker_configs(configs).unwrap();
    store.allocate_producer_id().unwrap();
    let partition = topic.partition(0).unwrap();
    for sequence in 0..90 {
        let producer = Producer { id: 7, epoch: 1, sequence };
        append(&store, &partition, batch(b"value", &[1000 - i64::from(sequence)], Some(producer)));
    }
    store.flush().unwrap();
    let group =
        [0, 1].map(|index| Append::new(topic.partition(index).unwrap(), batch(b"pair", &[5, 6], None)));
    assert!(store.append(group.to_vec()).iter().all(Result::is_ok));
    append(&store, &gone.partition(0).unwrap(), batch(b"x", &[1], None));
    store.flush().unwrap();
    store.delete_topic(&gone).unwrap();
    store.flush().unwrap();
    store.advance_log_start(&partition, 3).unwrap();
    store.add_partitions(&topic, 3).unwrap();
    store.close().unwrap();
}

fn check(store: &Store) {
    assert!(store.topic("gone").is_none());
    let topic = store.topic("orders").unwrap();
    assert_eq!((topic.id(), topic.partition_count()), (Uuid::from_u128(1), 3));
    assert_eq!(topic.configs()["retention.ms"], "1000");
    assert_eq!(store.broker_configs()["retention.ms"], "1000");
    let partition = topic.partition(0).unwrap();
    assert_eq!((partition.log_start_offset(), partition.high_watermark()), (3, 92));
    assert_eq!(read_all(store, &partition, 3).len(), 88);
    assert_eq!(store.offset_for_timestamp(&partition, 990, 92).unwrap().unwrap().offset, 3);
    let retry = Append::new(
        Arc::clone(&partition),
        batch(b"value", &[911], Some(Producer { id: 7, epoch: 1, sequence: 89 })),
    );
    let retried = store.append(vec![retry]).remove(0).unwrap();
    assert_eq!((retried.base_offset, retried.duplicate), (89, true));
    assert_eq!(store.allocate_producer_id().unwrap().0, 1000);
}

/// A log that was rewritten and compacted: holes, a rewrite file, the frames that say so.
fn write_rewritten(dir: &Path) {
    let (store, _) = open(Arc::new(LocalDisk), config(dir, FlushMode::Sync)).unwrap();
    let pairs = [("cleanup.policy", "compact"), ("segment.bytes", "2000")];
    let configs: Configs =
        pairs.iter().map(|(key, value)| ((*key).to_owned(), (*value).to_owned())).collect();
    let (table, _) = store.create_topic("table", Uuid::from_u128(1), 1, configs).unwrap();
    let (kept, _) = store.create_topic("kept", Uuid::from_u128(2), 1, Configs::default()).unwrap();
    let (gone, _) = store.create_topic("gone", Uuid::from_u128(3), 1, Configs::default()).unwrap();
    for round in 0..60_u32 {
        let record = (format!("key {}", round % 5).into_bytes(), Some(format!("value {round}").into_bytes()));
        append(&store, &table.partition(0).unwrap(), keyed_batch(&[record], 1));
        append(&store, &gone.partition(0).unwrap(), batch(&[7; 2900], &[1], None));
        if round % 6 == 0 {
            append(
                &store,
                &kept.partition(0).unwrap(),
                batch(format!("kept {round}").as_bytes(), &[1], None),
            );
        }
    }
    store.flush().unwrap();
    store.delete_topic(&gone).unwrap();
    store.flush().unwrap();
    store.checkpoint().unwrap();
    store.clean().unwrap();
    store.close().unwrap();
}

fn check_rewritten(store: &Store) {
    assert!(store.topic("gone").is_none());
    let table = store.topic("table").unwrap().partition(0).unwrap();
    assert_eq!((table.log_start_offset(), table.high_watermark()), (0, 60));
    let batches = read_all(store, &table, 0);
    assert!(batches.len() < 40, "{} of 60 batches are left", batches.len());
    let last = RecordBatchView::parse(batches.last().unwrap()).unwrap();
    assert_eq!(last.base_offset(), 59);
    let kept = store.topic("kept").unwrap().partition(0).unwrap();
    assert_eq!(read_all(store, &kept, 0).len(), 10);
    assert!(store.topics().iter().all(|topic| topic.number() != 2));
}

/// An index file says when it was made.
struct FixedClock;

impl Clock for FixedClock {
    fn now_ms(&self) -> i64 {
        1_800_000_000_000
    }
}

/// A sealed file whose index file has a partition table and a key table, the latter of one topic only.
fn write_indexed(dir: &Path) {
    let config = config(dir, FlushMode::Sync);
    let (store, _) =
        Store::open(config, Arc::new(LocalDisk), Arc::new(FixedClock), Box::new(|_| {})).unwrap();
    let configs = Configs::from([("onelog.index.keys".to_owned(), "true".to_owned())]);
    let (keyed, _) = store.create_topic("keyed", Uuid::from_u128(1), 1, configs).unwrap();
    let (other, _) = store.create_topic("other", Uuid::from_u128(2), 2, Configs::default()).unwrap();
    for round in 0..40_i64 {
        let record = |number: i64| (format!("key {number}").into_bytes(), Some(vec![7; 600]));
        append(
            &store,
            &keyed.partition(0).unwrap(),
            keyed_batch(&[record(round % 9), record(round)], 1000 - round),
        );
        let partition = other.partition(i32::from(round % 2 == 0)).unwrap();
        append(&store, &partition, keyed_batch(&[record(round)], round));
    }
    store.flush().unwrap();
    assert_eq!(store.build_index_files().unwrap(), 1);
    store.close().unwrap();
}

fn check_indexed(store: &Store) {
    assert_eq!(store.build_index_files().unwrap(), 0, "the index file is taken as it is");
    let query = FindQuery { topic: "keyed", key: b"key 3", from_ms: None, to_ms: None, limit: 10 };
    let found = store.find_by_key(&query).unwrap().records;
    let offsets: Vec<i64> = found.iter().map(|record| record.offset).collect();
    assert_eq!(offsets, [78, 60, 42, 24, 7, 6]);
}

/// Transactions: one open, one aborted, one that only a marker is known of.
fn write_transactions(dir: &Path) {
    let (store, _) = open(Arc::new(LocalDisk), config(dir, FlushMode::Sync)).unwrap();
    let (topic, _) = store.create_topic("accounts", Uuid::from_u128(1), 2, Configs::default()).unwrap();
    let partition = topic.partition(0).unwrap();
    for (id, epoch) in [(7, 0), (8, 3)] {
        let data = transactional(b"value", &[1, 2], Producer { id, epoch, sequence: 0 });
        append_verified(&store, &partition, data).unwrap();
    }
    append(&store, &partition, marker(7, 1, MarkerType::Abort, 5));
    append(&store, &partition, marker(9, 0, MarkerType::Commit, 5));
    store.close().unwrap();
}

fn check_transactions(store: &Store) {
    let partition = store.topic("accounts").unwrap().partition(0).unwrap();
    assert_eq!((partition.last_stable_offset(), partition.high_watermark()), (2, 6));
    let aborted = AbortedTransaction { producer_id: 7, first_offset: 0, last_offset: 4 };
    assert_eq!(partition.aborted_transactions(0, 6), [aborted]);
    let active = partition.active_producers();
    let known: Vec<_> = active.iter().map(|one| (one.producer_id, one.producer_epoch)).collect();
    assert_eq!(known, [(7, 1), (8, 3), (9, 0)]);
    assert_eq!(active.iter().map(|one| one.coordinator_epoch).collect::<Vec<_>>(), [5, -1, 5]);
    assert_eq!(active[1].current_transaction_start_offset, Some(2));
}

fn copy(from: &Path, to: &Path) {
    for name in pinned(from).iter().map(String::as_str).chain(["format"]) {
        fs::create_dir_all(to.join(name).parent().unwrap()).unwrap();
        fs::copy(from.join(name), to.join(name)).unwrap();
    }
}

fn writes_the_same_bytes(name: &str, write: fn(&Path)) {
    let dir = tempfile::tempdir().unwrap();
    write(dir.path());
    if std::env::var_os("UPDATE_FIXTURES").is_some() {
        if fixture(name).exists() {
            fs::remove_dir_all(fixture(name)).unwrap();
        }
        copy(dir.path(), &fixture(name));
    }
    assert_eq!(pinned(dir.path()), pinned(&fixture(name)));
    for file in pinned(dir.path()) {
        let same = fs::read(dir.path().join(&file)).unwrap() == fs::read(fixture(name).join(&file)).unwrap();
        assert!(same, "{name}: {file} differs");
    }
}

fn opens_with_and_without_projections(name: &str, check: fn(&Store)) {
    let dir = tempfile::tempdir().unwrap();
    copy(&fixture(name), dir.path());
    let (store, recovered) = open(Arc::new(LocalDisk), config(dir.path(), FlushMode::Sync)).unwrap();
    assert!(recovered.clean);
    check(&store);

    let dir = tempfile::tempdir().unwrap();
    copy(&fixture(name), dir.path());
    for file in pinned(dir.path()) {
        if PROJECTIONS.iter().any(|projection| file.starts_with(projection)) {
            fs::remove_file(dir.path().join(file)).unwrap();
        }
    }
    let (store, _) = open(Arc::new(LocalDisk), config(dir.path(), FlushMode::Sync)).unwrap();
    check(&store);
}

#[test]
fn the_same_operations_write_the_same_bytes_as_version_1() {
    writes_the_same_bytes("v1", write_reference);
    writes_the_same_bytes("v1-rewritten", write_rewritten);
    writes_the_same_bytes("v1-indexed", write_indexed);
    writes_the_same_bytes("v1-transactions", write_transactions);
}

#[test]
fn a_directory_of_version_1_opens_with_and_without_its_projections() {
    opens_with_and_without_projections("v1", check);
    opens_with_and_without_projections("v1-rewritten", check_rewritten);
    opens_with_and_without_projections("v1-indexed", check_indexed);
    opens_with_and_without_projections("v1-transactions", check_transactions);
    // Snapshots of version 2, before there were transactions.
    opens_with_and_without_projections("v1-snapshot-2", check);
}

/// It is taken as it is; were it not, another would be made.
#[test]
fn index_file_of_version_1_stays_and_answers() {
    let dir = tempfile::tempdir().unwrap();
    copy(&fixture("v1-indexed"), dir.path());
    let names =
        || pinned(dir.path()).into_iter().filter(|name| name.starts_with("index/")).collect::<Vec<_>>();
    let index = names();
    assert_eq!(index, ["index/20270115080000000"]);
    let before = fs::read(dir.path().join(&index[0])).unwrap();
    assert_eq!(&before[..8], b"OLIX\0\0\0\x01");
    let (store, _) = open(Arc::new(LocalDisk), config(dir.path(), FlushMode::Sync)).unwrap();
    check_indexed(&store);
    assert_eq!((names(), fs::read(dir.path().join(&index[0])).unwrap()), (index, before));
    store.close().unwrap();
    drop(store);

    fs::write(dir.path().join(&names()[0]), [0; 100]).unwrap();
    let (store, _) = open(Arc::new(LocalDisk), config(dir.path(), FlushMode::Sync)).unwrap();
    assert_eq!(store.build_index_files().unwrap(), 1, "a damaged one is made anew");
    check_indexed(&store);
}

#[test]
fn the_rewritten_fixture_has_what_the_format_knows_of_rewriting() {
    let names = pinned(&fixture("v1-rewritten"));
    let log: Vec<&str> = names.iter().filter_map(|name| name.strip_prefix("commitlog/")).collect();
    assert!(log.iter().any(|name| *name > "04"), "no rewrite file: {log:?}");
    assert!(!log.contains(&"00000000000000000000"), "no file was given up: {log:?}");
}
