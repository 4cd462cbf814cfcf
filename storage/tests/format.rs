//! Pins the on-disk format: a directory written by version 1 opens for ever, and the same operations write the same
//! bytes today. `docs/STORAGE_FORMAT.md` says what they mean. After a deliberate change of format run with
//! `UPDATE_FIXTURES=1` and raise the version.
#![allow(clippy::unwrap_used, reason = "a test that cannot go on should say where")]

mod support;

use std::fs;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use storage::disk::LocalDisk;
use storage::{Append, Configs, FlushMode, Store};
use support::{Producer, append, batch, config, open, read_all};
use uuid::Uuid;

/// Everything but `format`, which holds a random id.
const PINNED: [&str; 4] = [
    "commitlog/00000000000000000000",
    "consumequeue/00000000",
    "checkpoint",
    "snapshot/00000000000000000001",
];

fn fixture() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures/v1")
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
    let group = [0, 1].map(|index| Append {
        partition: topic.partition(index).unwrap(),
        batch: batch(b"pair", &[5, 6], None),
    });
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
    let retry = Append {
        partition: Arc::clone(&partition),
        batch: batch(b"value", &[911], Some(Producer { id: 7, epoch: 1, sequence: 89 })),
    };
    let retried = store.append(vec![retry]).remove(0).unwrap();
    assert_eq!((retried.base_offset, retried.duplicate), (89, true));
    assert_eq!(store.allocate_producer_id().unwrap().0, 1000);
}

fn copy(from: &Path, to: &Path) {
    for name in PINNED.iter().chain(&["format"]) {
        fs::create_dir_all(to.join(name).parent().unwrap()).unwrap();
        fs::copy(from.join(name), to.join(name)).unwrap();
    }
}

#[test]
fn the_same_operations_write_the_same_bytes_as_version_1() {
    let dir = tempfile::tempdir().unwrap();
    write_reference(dir.path());
    if std::env::var_os("UPDATE_FIXTURES").is_some() {
        copy(dir.path(), &fixture());
    }
    for name in PINNED {
        assert!(
            fs::read(dir.path().join(name)).unwrap() == fs::read(fixture().join(name)).unwrap(),
            "{name} differs"
        );
    }
}

#[test]
fn a_directory_of_version_1_opens_with_and_without_its_projections() {
    let dir = tempfile::tempdir().unwrap();
    copy(&fixture(), dir.path());
    let (store, recovered) = open(Arc::new(LocalDisk), config(dir.path(), FlushMode::Sync)).unwrap();
    assert!(recovered.clean);
    check(&store);

    let dir = tempfile::tempdir().unwrap();
    copy(&fixture(), dir.path());
    for name in &PINNED[1..] {
        fs::remove_file(dir.path().join(name)).unwrap();
    }
    let (store, _) = open(Arc::new(LocalDisk), config(dir.path(), FlushMode::Sync)).unwrap();
    check(&store);
}
