//! A compaction of many steps: power cuts before every single write and sync of it.
//!
//! Nothing is appended meanwhile, so that there is one table per topic that a reader may find, whatever is cut off.
#![allow(clippy::unwrap_used, reason = "a test that cannot go on should say where")]

mod support;

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;

use storage::{CompactionLimits, Configs, Store, StoreConfig};
use support::cleaned::{
    Table, configs, has_rewrite_files, left_by_power_cuts, partition, store_config, table, try_open_on,
};
use support::simulated_disk::{Faults, SimulatedDisk};
use support::{Random, append, batch, keyed_batch};
use uuid::Uuid;

const TOPICS: [&str; 3] = ["a", "b", "c"];
/// So little that each topic takes several passes, and each pass of all topics several commits.
const LIMITS: CompactionLimits = CompactionLimits { keys: 9, commit_bytes: 4000 };
const ROUNDS: usize = 6;

fn limited() -> StoreConfig {
    StoreConfig { compaction: LIMITS, ..store_config() }
}

/// Topics of which most is replaced, all of it durable.
fn fill(disk: &SimulatedDisk) -> Arc<Store> {
    let store = try_open_on(disk, limited()).unwrap();
    let compacted = configs(&[("cleanup.policy", "compact"), ("segment.bytes", "3000")]);
    for (id, topic) in (1..).zip(TOPICS) {
        store.create_topic(topic, Uuid::from_u128(id), 1, compacted.clone()).unwrap();
    }
    store.create_topic("noise", Uuid::from_u128(9), 1, Configs::default()).unwrap();
    let mut random = Random(11);
    for round in 0..90 {
        let records: Vec<_> = (0..=random.below(3))
            .map(|index| {
                let value = format!("{round}.{index} {}", "x".repeat(250)).into_bytes();
                (format!("key {}", random.below(25)).into_bytes(), (random.below(6) > 0).then_some(value))
            })
            .collect();
        append(&store, &partition(&store, TOPICS[round % TOPICS.len()]), keyed_batch(&records, 1));
        append(&store, &partition(&store, "noise"), batch(&[1; 1000], &[1], None));
    }
    let noise = partition(&store, "noise");
    store.flush().unwrap();
    store.advance_log_start(&noise, noise.log_end_offset()).unwrap();
    store.checkpoint().unwrap();
    store
}

fn clean(store: &Store) {
    for _ in 0..ROUNDS {
        store.clean().unwrap();
        store.checkpoint().unwrap();
    }
}

fn tables(store: &Store) -> [Table; 3] {
    TOPICS.map(|topic| table(store, topic))
}

fn size(store: &Store) -> u64 {
    TOPICS.iter().map(|topic| partition(store, topic).size_bytes()).sum()
}

/// The disk when the power went before operation `cut`, which comes after all was durable.
fn cut_before(cut: u64, faults: Faults) -> SimulatedDisk {
    let disk = SimulatedDisk::default();
    let store = fill(&disk);
    disk.set_faults(faults);
    disk.cut_before(cut);
    clean(&store);
    disk.at_cut().expect("the operation comes")
}

/// Of three disks that may be left of it, what is wrong with the first that is.
fn check(at_cut: &SimulatedDisk, cut: u64, expected: &[Table; 3]) -> Result<u32, String> {
    let mut rewritten = 0;
    for (pattern, crashed) in left_by_power_cuts(at_cut, cut).into_iter().enumerate() {
        rewritten += u32::from(has_rewrite_files(&crashed));
        let when = |what: &str| format!("cut {cut} pattern {pattern}: {what}");
        let store = try_open_on(&crashed, limited()).map_err(|error| when(&error.to_string()))?;
        if tables(&store) != *expected {
            return Err(when("a table that never was"));
        }
        clean(&store);
        if tables(&store) != *expected {
            return Err(when("a table that never was, after the rest of the compaction"));
        }
    }
    Ok(rewritten)
}

/// First and last operation of the compaction, and the tables.
fn whole() -> (u64, u64, [Table; 3]) {
    let disk = SimulatedDisk::default();
    let store = fill(&disk);
    let (begins, before, expected) = (disk.operations(), size(&store), tables(&store));
    let one_step = fill(&SimulatedDisk::default());
    one_step.clean().unwrap();
    clean(&store);
    let (first, after) = (size(&one_step), size(&store));
    assert!(after < first && after < before / 2, "{before} bytes, {first} after one step, {after} after all");
    assert_eq!(tables(&store), expected);
    (begins, disk.operations(), expected)
}

#[test]
fn power_can_go_before_every_operation_of_a_compaction_of_many_steps() {
    let (begins, ends, expected) = whole();
    let outcome: Result<Vec<u32>, String> =
        (begins..ends).map(|cut| check(&cut_before(cut, Faults::default()), cut, &expected)).collect();
    let rewritten: u32 = outcome.unwrap_or_else(|wrong| panic!("{wrong}")).iter().sum();
    assert!(rewritten > 50, "{rewritten} of the crashed logs had rewrite files");
}

#[test]
fn negative_control_without_syncs_a_power_cut_is_noticed() {
    let (begins, ends, expected) = whole();
    let faults = Faults { lying_sync: true, ..Faults::default() };
    let wrong = (begins..ends).step_by(7).filter(|cut| {
        let at_cut = cut_before(*cut, faults);
        !matches!(catch_unwind(AssertUnwindSafe(|| check(&at_cut, *cut, &expected))), Ok(Ok(_)))
    });
    assert!(wrong.count() > 3, "syncs make no difference");
}
