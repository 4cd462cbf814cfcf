//! Files whose batches were all deleted are given up, recycled, and never confused with their earlier use.
#![allow(clippy::unwrap_used, reason = "a test that cannot go on should say where")]

mod support;

use std::path::Path;
use std::sync::Arc;

use storage::disk::LocalDisk;
use storage::{Configs, FlushMode, Store};
use support::{SMALL_FILE, append, batch, config, open, read_all};
use uuid::Uuid;

fn files(dir: &Path) -> Vec<String> {
    let names = std::fs::read_dir(dir.join("commitlog")).unwrap();
    let mut names: Vec<String> =
        names.map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect();
    names.sort();
    names
}

fn fill(store: &Store, topic: &str, files: u64) {
    let partition = store.topic(topic).unwrap().partition(0).unwrap();
    for _ in 0..files * SMALL_FILE / 3000 {
        append(store, &partition, batch(&[9; 2900], &[1], None));
    }
}

#[test]
fn dead_files_are_recycled_and_a_replay_of_what_is_left_knows_everything_that_holds() {
    let dir = tempfile::tempdir().unwrap();
    let (store, _) = open(Arc::new(LocalDisk), config(dir.path(), FlushMode::Os)).unwrap();
    let configs = Configs::from([("segment.ms".to_owned(), "5".to_owned())]);
    store.create_topic("kept", Uuid::from_u128(1), 2, configs.clone()).unwrap();
    store.set_broker_configs(configs.clone()).unwrap();
    let given = store.allocate_producer_id().unwrap().0;
    fill(&store, "kept", 2);
    let (topic, _) = store.create_topic("doomed", Uuid::from_u128(2), 1, Configs::default()).unwrap();
    fill(&store, "doomed", 6);
    let held = read_all(&store, &topic.partition(0).unwrap(), 0);
    let copies: Vec<Vec<u8>> = held.iter().map(|batch| batch.to_vec()).collect();
    let before = files(dir.path()).len();
    store.delete_topic(&topic).unwrap();
    drop(topic);
    store.clean().unwrap();
    let spares = |names: &[String]| names.iter().filter(|name| name.ends_with(".spare")).count();
    assert!(spares(&files(dir.path())) >= 5, "files in the middle are given up, but held by a reader");
    let kept = store.topic("kept").unwrap().partition(0).unwrap();
    let end = kept.log_end_offset();
    store.advance_log_start(&kept, end).unwrap();
    fill(&store, "kept", 3);
    store.clean().unwrap();
    assert!(
        held.iter().zip(&copies).all(|(held, copy)| held == copy),
        "bytes that a reader holds never change"
    );
    drop(held);
    store.clean().unwrap();
    assert!(files(dir.path()).len() < before, "dead files are removed but for two spare ones");
    assert_eq!(spares(&files(dir.path())), 2);
    fill(&store, "kept", 2);
    assert!(spares(&files(dir.path())) < 2, "a spare file is used again");
    let expected: Vec<_> = read_all(&store, &kept, end).iter().map(|batch| batch.to_vec()).collect();
    drop(kept);
    drop(store);

    std::fs::remove_file(dir.path().join("checkpoint")).unwrap();
    for name in ["consumequeue", "snapshot"] {
        std::fs::remove_dir_all(dir.path().join(name)).unwrap();
        std::fs::create_dir(dir.path().join(name)).unwrap();
    }
    let (store, _) = open(Arc::new(LocalDisk), config(dir.path(), FlushMode::Os)).unwrap();
    assert!(store.topic("doomed").is_none());
    let topic = store.topic("kept").unwrap();
    assert_eq!((topic.id(), topic.partition_count(), &*topic.configs()), (Uuid::from_u128(1), 2, &configs));
    assert_eq!(*store.broker_configs(), configs);
    assert!(store.allocate_producer_id().unwrap().0 > given);
    let partition = topic.partition(0).unwrap();
    assert_eq!(partition.log_start_offset(), end);
    let found: Vec<_> = read_all(&store, &partition, end).iter().map(|batch| batch.to_vec()).collect();
    assert_eq!(found, expected);
}

#[test]
fn a_file_created_ahead_of_need_does_not_become_a_hole_after_a_clean_restart() {
    // The restart once went on in the prepared file and left the current one without its blank: the next start then
    // found a bad frame below what was durable.
    let dir = tempfile::tempdir().unwrap();
    for round in 0..3 {
        let (store, _) = open(Arc::new(LocalDisk), config(dir.path(), FlushMode::Os)).unwrap();
        if round == 0 {
            store.create_topic("t", Uuid::from_u128(1), 1, Configs::default()).unwrap();
        }
        let partition = store.topic("t").unwrap().partition(0).unwrap();
        assert_eq!(read_all(&store, &partition, 0).len(), round * 6);
        for _ in 0..6 {
            append(&store, &partition, batch(&[9; 2900], &[1], None));
        }
        store.housekeep().unwrap();
        store.close().unwrap();
        drop(store);
        std::fs::remove_file(dir.path().join("checkpoint")).unwrap();
    }
}
