//! Cleaning the shared log: retention per topic, compaction, rewriting, against plain models; power cuts at every step.
#![allow(
    clippy::unwrap_used,
    clippy::cast_precision_loss,
    reason = "a test that cannot go on should say where"
)]

mod support;

use std::fs;
use std::path::Path;
use std::sync::Arc;

use storage::disk::LocalDisk;
use storage::{Append, Configs, FlushMode, Store, StoreConfig};
use support::cleaned::{
    self, Table, configs, drop_projections, has_rewrite_files, is_rewrite_file, left_by_power_cuts, open_on,
    partition, table,
};
use support::simulated_disk::SimulatedDisk;
use support::{Random, SMALL_FILE, append, batch, config, keyed_batch, open, read_all};
use uuid::Uuid;

/// Sum of the files in the commitlog's folder.
fn disk_bytes(dir: &Path) -> u64 {
    let files = fs::read_dir(dir.join("commitlog")).unwrap();
    files.map(|file| file.unwrap().metadata().unwrap().len()).sum()
}

#[test]
fn topics_with_retentions_far_apart_share_the_log_within_the_space_bound() {
    // In memory where there is such a place: it syncs often.
    let dir = tempfile::tempdir_in("/dev/shm").or_else(|_| tempfile::tempdir()).unwrap();
    let (file_size, flush) = (4 * SMALL_FILE, FlushMode::Os);
    let config = StoreConfig { file_size, checkpoint_bytes: file_size, ..config(dir.path(), flush) };
    let (store, _) = open(Arc::new(LocalDisk), config).unwrap();
    let mut random = Random(7);
    // From an eighth of a file to 8 files.
    let limits: Vec<u64> = (0..40).map(|index| (file_size / 8) << (index % 7)).collect();
    for (index, limit) in limits.iter().enumerate() {
        let (limit, segment) = (limit.to_string(), (limit / 8).to_string());
        let configs = configs(&[("retention.bytes", &limit), ("segment.bytes", &segment)]);
        store.create_topic(&format!("t{index}"), Uuid::from_u128(index as u128 + 1), 1, configs).unwrap();
    }
    let mut worst = 0.0_f64;
    for round in 0..800 {
        let appends = (0..40).map(|_| {
            let topic = format!("t{}", random.below(limits.len() as u64));
            let value = vec![0; usize::try_from(1000 + random.below(2000)).unwrap()];
            Append::new(partition(&store, &topic), batch(&value, &[1], None))
        });
        for outcome in store.append(appends.collect()) {
            outcome.unwrap();
        }
        store.housekeep().unwrap();
        store.clean().unwrap();
        let live: u64 = store.topics().iter().map(|topic| topic.partition(0).unwrap().size_bytes()).sum();
        let held = disk_bytes(dir.path()).saturating_sub(4 * file_size);
        if round > 100 {
            worst = worst.max(held as f64 / live as f64);
        }
    }
    assert!(worst <= 1.3, "the disk held {worst:.3} times the live bytes, four files not counted");
    assert!(worst > 0.9, "{worst:.3}: the account is wrong");
    for (index, limit) in limits.iter().enumerate() {
        let size = partition(&store, &format!("t{index}")).size_bytes();
        assert!(size <= limit + limit / 8 + 4000, "topic {index}: {size} bytes with a retention of {limit}");
    }
}

/// What is synced meanwhile waits for the device behind one piece, not behind a whole file.
#[test]
fn rewrite_file_reaches_the_device_in_pieces() {
    let piece = 16 * 1024;
    let disk = SimulatedDisk::default();
    let store = open_on(&disk);
    for (id, topic) in [(1, "kept"), (2, "gone")] {
        store.create_topic(topic, Uuid::from_u128(id), 1, Configs::default()).unwrap();
    }
    for round in 0..80 {
        let topic = if round % 3 == 0 { "kept" } else { "gone" };
        append(&store, &partition(&store, topic), batch(&[7; 3000], &[1], None));
    }
    store.delete_topic(&store.topic("gone").unwrap()).unwrap();
    store.flush().unwrap();
    store.checkpoint().unwrap();
    store.clean().unwrap();
    let rewritten: Vec<_> = disk.paths().into_iter().filter(|path| is_rewrite_file(path)).collect();
    assert!(rewritten.iter().any(|path| disk.contents(path).len() > 2 * piece), "{rewritten:?}");
    assert!(rewritten.iter().all(|path| disk.most_unsynced(path) <= piece as u64));
}

struct Keyed {
    random: Random,
    disk: SimulatedDisk,
    store: Arc<Store>,
    /// The table after each append, the empty one first.
    tables: Vec<Table>,
    /// How many of them were durable when the last step began.
    durable: usize,
    appended: usize,
}

const COMPACTED: [(&str, &str); 2] = [("cleanup.policy", "compact"), ("segment.bytes", "8000")];

impl Keyed {
    fn new(seed: u64, disk: SimulatedDisk) -> Self {
        let store = open_on(&disk);
        store.create_topic("c", Uuid::from_u128(1), 1, configs(&COMPACTED)).unwrap();
        store.create_topic("noise", Uuid::from_u128(2), 1, Configs::default()).unwrap();
        store.flush().unwrap();
        Self { random: Random(seed), disk, store, tables: vec![Table::new()], durable: 1, appended: 0 }
    }

    fn step(&mut self) {
        match self.random.below(40) {
            0 => {
                self.store.checkpoint().unwrap();
                self.durable = self.tables.len();
            }
            1..=4 => {
                self.flush();
                self.store.clean().unwrap();
            }
            5..=7 => {
                append(&self.store, &partition(&self.store, "noise"), batch(&[1; 3000], &[1], None));
            }
            8 => {
                self.flush();
                let noise = partition(&self.store, "noise");
                self.store.advance_log_start(&noise, noise.log_end_offset()).unwrap();
            }
            9 => self.flush(),
            _ => self.put(),
        }
    }

    fn put(&mut self) {
        let mut table = self.tables.last().unwrap().clone();
        let records: Vec<(Vec<u8>, Option<Vec<u8>>)> = (0..=self.random.below(4))
            .map(|index| {
                let key = format!("key {}", self.random.below(40)).into_bytes();
                let value = format!("value {}.{index} {}", self.appended, "x".repeat(300)).into_bytes();
                (key, (self.random.below(5) > 0).then_some(value))
            })
            .collect();
        append(&self.store, &partition(&self.store, "c"), keyed_batch(&records, 1));
        self.appended += 1;
        cleaned::put(&mut table, records.iter().map(|(key, value)| (key.as_slice(), value.as_deref())));
        self.tables.push(table);
    }

    fn flush(&mut self) {
        self.store.flush().unwrap();
        self.durable = self.tables.len();
    }
}

#[test]
fn a_compacted_topic_always_reads_as_the_table_of_its_newest_values() {
    for seed in 0..10 {
        let mut keyed = Keyed::new(seed, SimulatedDisk::default());
        for step in 0..600 {
            keyed.step();
            if step % 75 == 74 {
                keyed.disk = keyed.disk.kill();
                if keyed.random.coin() {
                    drop_projections(&keyed.disk);
                }
                keyed.store = open_on(&keyed.disk);
            }
            if step % 15 == 0 {
                let written = keyed.tables.last().unwrap();
                assert_eq!(&table(&keyed.store, "c"), written, "seed {seed} step {step}");
            }
        }
        keyed.flush();
        keyed.store.clean().unwrap();
        let log = partition(&keyed.store, "c");
        let left = read_all(&keyed.store, &log, 0);
        assert!(left.len() < keyed.appended / 2, "seed {seed}: {} of {} batches", left.len(), keyed.appended);
        assert_eq!(log.size_bytes(), left.iter().map(|batch| batch.len() as u64).sum::<u64>());
    }
}

/// Works until the power goes before operation `cut`; what was durable before the step in which it went.
fn script(disk: SimulatedDisk, cut: u64) -> (Keyed, usize) {
    disk.cut_before(cut);
    let mut keyed = Keyed::new(5, disk);
    let mut durable = keyed.durable;
    for _ in 0..260 {
        if keyed.disk.at_cut().is_some() {
            break;
        }
        durable = keyed.durable;
        keyed.step();
    }
    (keyed, durable)
}

/// Whether the table of a log that lost its power is one that a reader may find: as new as what was durable.
fn is_allowed(keyed: &Keyed, durable: usize, found: &Table) -> bool {
    keyed.tables[durable - 1..].contains(found)
}

#[test]
fn power_can_go_at_any_step_of_a_compaction_or_rewrite() {
    let (whole, _) = script(SimulatedDisk::default(), u64::MAX);
    assert!(has_rewrite_files(&whole.disk), "nothing was rewritten");
    let mut rewritten = 0;
    for cut in (40..whole.disk.operations()).step_by(3) {
        let disk = SimulatedDisk::default();
        let (keyed, durable) = script(disk.clone(), cut);
        let at_cut = disk.at_cut().unwrap();
        for (pattern, crashed) in left_by_power_cuts(&at_cut, cut).into_iter().enumerate() {
            rewritten += u32::from(has_rewrite_files(&crashed));
            let store = open_on(&crashed);
            if store.topic("c").is_none() {
                assert_eq!(durable, 1, "cut {cut} pattern {pattern}: the topic is gone");
                continue;
            }
            let found = table(&store, "c");
            assert!(
                is_allowed(&keyed, durable, &found),
                "cut {cut} pattern {pattern}: a table that never was"
            );
        }
    }
    assert!(rewritten > 100, "{rewritten} of the crashed logs had rewrite files");
}

#[test]
fn negative_control_a_resurrected_key_and_a_lost_append_are_noticed() {
    let (keyed, durable) = script(SimulatedDisk::default(), u64::MAX);
    let newest = keyed.tables.last().unwrap().clone();
    assert!(is_allowed(&keyed, durable, &newest));
    let mut resurrected = newest.clone();
    resurrected.insert(b"key that was deleted".to_vec(), Vec::new());
    assert!(!is_allowed(&keyed, durable, &resurrected));
    let stale = &keyed.tables[durable / 2];
    assert!(*stale != newest && !is_allowed(&keyed, durable, stale));
}
