//! Full disks: records are refused, reads and deletes go on, and what is written again is written by itself.
#![allow(clippy::unwrap_used, reason = "a test that cannot go on should say where")]

mod support;

use std::sync::Arc;

use bytes::Bytes;
use storage::{Append, AppendError, Configs, Error, FlushMode, PartitionLog, SpaceState, Store};
use support::simulated_disk::{Faults, SimulatedDisk};
use support::{SMALL_FILE, batch, config, open, read_all};
use uuid::Uuid;

const DIR: &str = "/data";
/// Of one run of `work`.
const STEPS: usize = 70;
const VALUE: [u8; 3000] = [7; 3000];

fn open_on(disk: &SimulatedDisk) -> Arc<Store> {
    open(Arc::new(disk.clone()), config(DIR, FlushMode::Sync)).unwrap().0
}

fn create(store: &Store, name: &str, id: u128) -> Arc<PartitionLog> {
    store.create_topic(name, Uuid::from_u128(id), 1, Configs::default()).unwrap().0.partition(0).unwrap()
}

fn try_append(store: &Store, partition: &Arc<PartitionLog>) -> Result<(), AppendError> {
    let append = Append::new(Arc::clone(partition), batch(&VALUE, &[1], None));
    store.append(vec![append]).remove(0).map(drop)
}

/// Appends until it is refused; how often it was not.
fn fill(store: &Store, partition: &Arc<PartitionLog>) -> usize {
    let error = (0..10_000).find_map(|count| try_append(store, partition).err().map(|error| (count, error)));
    let (count, error) = error.unwrap();
    assert!(is_full(&error), "{error}");
    count
}

fn is_full(error: &AppendError) -> bool {
    matches!(error, AppendError::Log(error) if matches!(**error, Error::Full(_)))
}

fn with_capacity(files: u64) -> Faults {
    Faults { capacity: Some(files * SMALL_FILE), ..Faults::default() }
}

#[test]
fn full_disk_refuses_records_keeps_reads_and_takes_records_again_when_there_is_room() {
    let disk = SimulatedDisk::default();
    let store = open_on(&disk);
    let partition = create(&store, "t", 1);
    assert_eq!(store.space().state, SpaceState::Ok);
    disk.set_faults(with_capacity(5));
    store.housekeep().unwrap();
    assert_eq!(store.space().state, SpaceState::Low);
    let appended = fill(&store, &partition);
    assert!(appended > 20, "{appended}");
    assert_eq!(store.space().state, SpaceState::Full);
    store.housekeep().unwrap();
    assert!(is_full(&try_append(&store, &partition).unwrap_err()));
    store.flush().unwrap();
    assert_eq!(read_all(&store, &partition, 0).len(), appended);

    disk.set_faults(Faults::default());
    store.housekeep().unwrap();
    assert_eq!(store.space().state, SpaceState::Ok);
    try_append(&store, &partition).unwrap();
    assert_eq!(read_all(&store, &partition, 0).len(), appended + 1);
}

#[test]
fn records_that_a_test_has_refused_are_refused_at_once_and_taken_again_at_once() {
    let store = open_on(&SimulatedDisk::default());
    let partition = create(&store, "t", 1);
    try_append(&store, &partition).unwrap();
    store.refuse_records(true);
    assert!(is_full(&try_append(&store, &partition).unwrap_err()));
    store.housekeep().unwrap();
    assert_eq!(store.space().state, SpaceState::Full);
    assert!(is_full(&try_append(&store, &partition).unwrap_err()));
    create(&store, "what is no record is taken", 2);
    store.refuse_records(false);
    try_append(&store, &partition).unwrap();
    assert_eq!(store.space().state, SpaceState::Ok);
    store.flush().unwrap();
    assert_eq!(read_all(&store, &partition, 0).len(), 2);
}

#[test]
fn deleting_on_a_full_disk_gives_room_for_records() {
    let disk = SimulatedDisk::default();
    let store = open_on(&disk);
    let (doomed, emptied, kept) =
        (create(&store, "doomed", 1), create(&store, "emptied", 2), create(&store, "kept", 3));
    disk.set_faults(with_capacity(12));
    for partition in [&doomed, &emptied] {
        for _ in 0..3 * SMALL_FILE / 3000 {
            try_append(&store, partition).unwrap();
        }
    }
    let appended = fill(&store, &kept);
    assert!(appended > 20, "{appended}");
    store.flush().unwrap();
    drop(doomed);

    store.delete_topic(&store.topic("doomed").unwrap()).unwrap();
    store.advance_log_start(&emptied, emptied.log_end_offset()).unwrap();
    let mut more = 0;
    for _ in 0..4 {
        store.flush().unwrap();
        store.clean().unwrap();
        store.housekeep().unwrap();
        more += fill(&store, &kept);
    }
    assert!(more as u64 > 3 * SMALL_FILE / 3000, "{more} after giving back about five files");
    store.flush().unwrap();
    assert_eq!(read_all(&store, &kept, 0).len(), appended + more);
}

#[test]
fn metadata_has_a_place_when_records_have_none() {
    let disk = SimulatedDisk::default();
    let store = open_on(&disk);
    let partition = create(&store, "t", 1);
    disk.set_faults(with_capacity(3));
    fill(&store, &partition);
    for id in 2..32 {
        create(&store, &format!("more-{id}"), id);
    }
    assert!(is_full(&try_append(&store, &partition).unwrap_err()));
}

#[test]
fn store_starts_on_a_disk_without_a_byte_and_serves_reads() {
    let disk = SimulatedDisk::default();
    let store = open_on(&disk);
    let partition = create(&store, "t", 1);
    disk.set_faults(with_capacity(6));
    let appended = fill(&store, &partition);
    store.flush().unwrap();
    let expected = read_all(&store, &partition, 0);
    let killed = disk.kill();
    // What is there fits, nothing more does.
    killed.set_faults(Faults { full_at: Some(0), ..Faults::default() });
    let store = open_on(&killed);
    let partition = store.topic("t").unwrap().partition(0).unwrap();
    assert_eq!(read_all(&store, &partition, 0), expected);
    assert_eq!(expected.len(), appended);
}

/// Records, checkpoints, deletes and cleaning; what may be refused may be.
fn work(store: &Store) {
    for step in 0..STEPS as u128 {
        if store.topic("doomed").is_none() {
            let created = store.create_topic("doomed", Uuid::from_u128(100 + step), 1, Configs::default());
            assert!(created.is_ok() || store.space().state == SpaceState::Full);
        }
        for name in ["kept", "doomed"] {
            let Some(topic) = store.topic(name) else { continue };
            if let Err(error) = try_append(store, &topic.partition(0).unwrap()) {
                assert!(is_full(&error), "{error}");
            }
        }
        if step % 10 == 9 {
            store.flush().unwrap();
            // Reported, and tried again by the next round.
            drop((store.housekeep(), store.checkpoint(), store.clean()));
        }
        if step % 30 == 29
            && let Some(topic) = store.topic("doomed")
        {
            assert!(store.delete_topic(&topic).is_ok() || store.space().state == SpaceState::Full);
        }
    }
}

fn kept(store: &Store) -> Vec<Bytes> {
    read_all(store, &store.topic("kept").unwrap().partition(0).unwrap(), 0)
}

#[test]
fn file_that_finds_no_room_stops_nothing_for_good() {
    let mut refused = 0;
    for full_at in 0..25 {
        let disk = SimulatedDisk::default();
        let store = open_on(&disk);
        create(&store, "kept", 1);
        disk.set_faults(Faults { full_at: Some(full_at), ..Faults::default() });
        work(&store);
        assert_eq!(store.poisoned(), None, "file {full_at}");
        let before = kept(&store);
        refused += usize::from(before.len() < STEPS);

        disk.set_faults(Faults::default());
        store.housekeep().unwrap();
        store.checkpoint().unwrap();
        store.clean().unwrap();
        work(&store);
        let after = kept(&store);
        assert_eq!(after[..before.len()], before, "file {full_at}");
        assert_eq!(after.len(), before.len() + STEPS, "file {full_at}");
        store.flush().unwrap();
        drop(store);
        assert_eq!(kept(&open_on(&disk.kill())), after, "file {full_at}");
    }
    assert!(refused > 3, "the disk was full in {refused} runs only");
}
