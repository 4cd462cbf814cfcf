//! A data directory that is put back is the one that was taken, whatever happened to it since.
#![allow(clippy::unwrap_used, reason = "a test that cannot go on should say where")]

mod support;

use std::path::Path;
use std::sync::Arc;

use storage::{Append, Configs, DirectoryImage, FlushMode, OpenError, PartitionLog, Store};
use support::simulated_disk::SimulatedDisk;
use support::{batch, config, open, read_all};
use uuid::Uuid;

const DIR: &str = "/data";
const MOST: u64 = 1 << 30;

fn reopened(disk: &SimulatedDisk) -> Arc<Store> {
    open(Arc::new(disk.clone()), config(DIR, FlushMode::Os)).unwrap().0
}

fn append(store: &Store, partition: &Arc<PartitionLog>, times: usize) {
    for _ in 0..times {
        let append = Append::new(Arc::clone(partition), batch(&[7; 3000], &[1], None));
        store.append(vec![append]).remove(0).unwrap();
    }
}

fn partition(store: &Store, topic: &str) -> Arc<PartitionLog> {
    store.topic(topic).unwrap().partition(0).unwrap()
}

#[test]
fn a_directory_is_put_back_as_often_as_it_is_wanted() {
    let disk = SimulatedDisk::default();
    let store = reopened(&disk);
    store.create_topic("kept", Uuid::from_u128(1), 1, Configs::default()).unwrap();
    append(&store, &partition(&store, "kept"), 50);
    let cluster = store.cluster_id();
    store.close().unwrap();
    drop(store);
    let image = DirectoryImage::take(&disk, Path::new(DIR), MOST).unwrap().unwrap();
    assert!(image.bytes() > 150_000, "{}", image.bytes());
    assert!(DirectoryImage::take(&disk, Path::new(DIR), 100_000).unwrap().is_none(), "more than wanted");
    for round in 0..3 {
        let store = reopened(&disk);
        assert_eq!(store.cluster_id(), cluster);
        assert_eq!(store.topics().len(), 1, "round {round}");
        assert_eq!(read_all(&store, &partition(&store, "kept"), 0).len(), 50, "round {round}");
        append(&store, &partition(&store, "kept"), 70);
        store.create_topic("gone", Uuid::from_u128(2), 1, Configs::default()).unwrap();
        append(&store, &partition(&store, "gone"), 70);
        store.close().unwrap();
        drop(store);
        image.put_back(&disk, Path::new(DIR)).unwrap();
    }
}

#[test]
fn a_directory_without_its_format_is_not_opened() {
    let disk = SimulatedDisk::default();
    let store = reopened(&disk);
    store.create_topic("kept", Uuid::from_u128(1), 1, Configs::default()).unwrap();
    store.close().unwrap();
    drop(store);
    let image = DirectoryImage::take(&disk, Path::new(DIR), MOST).unwrap().unwrap();
    // What is there between two steps of putting it back.
    storage::disk::Disk::remove(&disk, &Path::new(DIR).join("format")).unwrap();
    let refused = open(Arc::new(disk.clone()), config(DIR, FlushMode::Os)).unwrap_err();
    assert!(matches!(refused, OpenError::Log(_)), "{refused}");
    image.put_back(&disk, Path::new(DIR)).unwrap();
    assert_eq!(reopened(&disk).topics().len(), 1);
}

#[test]
fn producer_ids_that_were_given_are_not_given_again() {
    let disk = SimulatedDisk::default();
    let store = reopened(&disk);
    store.close().unwrap();
    drop(store);
    let image = DirectoryImage::take(&disk, Path::new(DIR), MOST).unwrap().unwrap();
    let store = reopened(&disk);
    let given: Vec<i64> = (0..2500).map(|_| store.allocate_producer_id().unwrap().0).collect();
    let next = store.next_producer_id();
    assert_eq!(next, given.last().unwrap() + 1);
    store.close().unwrap();
    drop(store);
    image.put_back(&disk, Path::new(DIR)).unwrap();
    let store = reopened(&disk);
    store.skip_producer_ids(next);
    assert_eq!(store.allocate_producer_id().unwrap().0, next);
    store.close().unwrap();
    drop(store);
    assert!(reopened(&disk).allocate_producer_id().unwrap().0 > next, "nor by the next process");
}
