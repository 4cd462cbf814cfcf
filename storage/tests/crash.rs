//! Power cuts, kills and failing disks, on a simulated disk that loses, tears and reorders what was not synced.
//!
//! The witness knows every batch that was appended and every one that was acknowledged. After a crash: everything
//! acknowledged is there byte for byte, what else is there was appended and stands without gaps, and the store starts.
//! The same checks must fail when `sync` lies: that is the negative control.
#![allow(clippy::unwrap_used, reason = "a test that cannot go on should say where")]

mod support;

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::Arc;

use bytes::Bytes;
use storage::{Append, AppendError, Configs, Error, FlushMode, OpenError, Store};
use support::simulated_disk::{Faults, SimulatedDisk};
use support::{Random, append, batch, config, open, read_all};
use uuid::Uuid;

const DIR: &str = "/data";

/// What the log must and may hold.
#[derive(Debug, Clone, Default)]
struct Witness {
    topics: BTreeMap<u128, TopicWitness>,
    next_id: u128,
}

#[derive(Debug, Clone, Default)]
struct TopicWitness {
    /// Appended batches without their stamped bytes, per partition.
    appended: Vec<Vec<Bytes>>,
    /// How many of them are acknowledged.
    acknowledged: Vec<usize>,
    created_durably: bool,
    /// Deletion was asked for; it may or may not have become durable.
    deleted: bool,
}

impl Witness {
    fn acknowledge_all(&mut self) {
        for topic in self.topics.values_mut() {
            topic.created_durably = true;
            topic.acknowledged = topic.appended.iter().map(Vec::len).collect();
        }
        self.topics.retain(|_, topic| !topic.deleted);
    }

    /// Compares a recovered store with `before` (must hold) and `self` (may hold).
    fn check(&self, before: &Self, store: &Store) -> Result<(), String> {
        for (id, required) in &before.topics {
            let Some(topic) = store.topic_by_id(Uuid::from_u128(*id)) else {
                let may_be_gone =
                    !required.created_durably || self.topics.get(id).is_none_or(|topic| topic.deleted);
                if may_be_gone {
                    continue;
                }
                return Err(format!("topic {id} is lost"));
            };
            let possible = self.topics.get(id).unwrap_or(required);
            for (index, count) in required.acknowledged.iter().enumerate() {
                let partition =
                    topic.partition(i32::try_from(index).unwrap()).ok_or("a partition is lost")?;
                let found: Vec<Bytes> =
                    read_all(store, &partition, 0).iter().map(|batch| batch.slice(16..)).collect();
                if found.len() < *count {
                    return Err(format!(
                        "topic {id}/{index}: {count} batches acknowledged, {} found",
                        found.len()
                    ));
                }
                if possible.appended[index].get(..found.len()) != Some(&found[..]) {
                    return Err(format!("topic {id}/{index}: found batches that were not appended so"));
                }
            }
        }
        Ok(())
    }
}

/// One random step. Everything a running broker does.
fn step(store: &Store, witness: &mut Witness, random: &mut Random) {
    match random.below(40) {
        0 | 1 => {
            witness.next_id += 1;
            let id = witness.next_id;
            let partitions = u32::try_from(1 + random.below(3)).unwrap();
            store
                .create_topic(&format!("t{id}"), Uuid::from_u128(id), partitions, Configs::default())
                .unwrap();
            let count = usize::try_from(partitions).unwrap();
            let topic = TopicWitness {
                appended: vec![Vec::new(); count],
                acknowledged: vec![0; count],
                ..TopicWitness::default()
            };
            witness.topics.insert(id, topic);
        }
        2 if random.coin() => {
            if let Some((id, topic)) = witness.topics.iter_mut().find(|(_, topic)| !topic.deleted) {
                store.delete_topic(&store.topic_by_id(Uuid::from_u128(*id)).unwrap()).unwrap();
                topic.deleted = true;
            }
        }
        3 => {
            store.checkpoint().unwrap();
            witness.acknowledge_all();
        }
        4 => store.housekeep().unwrap(),
        13 | 14 => {
            // It syncs what it appends, and all before it.
            store.clean().unwrap();
        }
        5..=12 => {
            store.flush().unwrap();
            witness.acknowledge_all();
        }
        _ => append_group(store, witness, random),
    }
}

fn append_group(store: &Store, witness: &mut Witness, random: &mut Random) {
    let mut appends = Vec::new();
    for (id, topic) in witness.topics.iter_mut().filter(|(_, topic)| !topic.deleted) {
        for (index, appended) in topic.appended.iter_mut().enumerate() {
            if random.below(3) > 0 {
                continue;
            }
            let partition = store
                .topic_by_id(Uuid::from_u128(*id))
                .unwrap()
                .partition(i32::try_from(index).unwrap())
                .unwrap();
            let len = usize::try_from(random.below(5000)).unwrap();
            let timestamp = i64::try_from(random.below(1_000_000)).unwrap();
            let batch = batch(
                &vec![u8::try_from(random.below(256)).unwrap(); len],
                &[timestamp, timestamp + 5],
                None,
            );
            appended.push(Bytes::copy_from_slice(&batch.view().as_bytes()[16..]));
            appends.push(Append::new(partition, batch));
        }
    }
    for outcome in store.append(appends) {
        outcome.unwrap();
    }
}

fn open_on(disk: &SimulatedDisk) -> Result<Arc<Store>, OpenError> {
    open(Arc::new(disk.clone()), config(DIR, FlushMode::Sync)).map(|(store, _)| store)
}

/// Works, crashes and recovers several times over; the first thing that was lost, if any.
fn crash_rounds(seed: u64, faults: Faults) -> Result<(), String> {
    let mut random = Random(seed);
    let mut disk = SimulatedDisk::default();
    let mut witness = Witness::default();
    for _ in 0..4 {
        let store = open_on(&disk).map_err(|error| error.to_string())?;
        disk.set_faults(faults);
        for _ in 0..random.below(120) {
            step(&store, &mut witness, &mut random);
        }
        let sectors_survive = random.below(4);
        disk = disk.crash(|| random.below(4) < sectors_survive);
        let store = open_on(&disk).map_err(|error| error.to_string())?;
        witness.check(&witness, &store)?;
        adopt(&mut witness, &store);
        disk = disk.kill();
    }
    Ok(())
}

/// After a crash the log is what it is: the witness takes it over.
fn adopt(witness: &mut Witness, store: &Store) {
    witness.topics.retain(|id, topic| {
        let Some(found) = store.topic_by_id(Uuid::from_u128(*id)) else { return false };
        for (partition, appended) in found.partitions().iter().zip(&mut topic.appended) {
            *appended = read_all(store, partition, 0).iter().map(|batch| batch.slice(16..)).collect();
        }
        topic.deleted = false;
        true
    });
    witness.acknowledge_all();
}

#[test]
fn nothing_acknowledged_is_lost_over_repeated_power_cuts() {
    for seed in 0..150 {
        crash_rounds(seed, Faults::default()).unwrap_or_else(|error| panic!("seed {seed}: {error}"));
    }
}

#[test]
fn negative_control_a_lying_sync_is_caught() {
    let lying = Faults { lying_sync: true, ..Faults::default() };
    let caught = (0..20).filter(|seed| crash_rounds(*seed, lying).is_err()).count();
    assert!(caught >= 15, "the checks noticed {caught} of 20 runs without any sync");
}

#[test]
fn power_can_go_before_any_single_operation() {
    let script = |disk: &SimulatedDisk, cut: u64| {
        let mut random = Random(11);
        let mut witness = Witness::default();
        let mut before = witness.clone();
        disk.cut_before(cut);
        let store = open_on(disk).unwrap();
        for _ in 0..90 {
            if disk.at_cut().is_some() {
                return (before, witness);
            }
            before = witness.clone();
            step(&store, &mut witness, &mut random);
        }
        store.close().unwrap();
        (before, witness)
    };
    let disk = SimulatedDisk::default();
    script(&disk, u64::MAX);
    let operations = disk.operations();
    assert!(operations > 150, "the script does {operations} operations");
    for cut in 0..operations {
        let disk = SimulatedDisk::default();
        let (before, after) = script(&disk, cut);
        let at_cut = disk.at_cut().unwrap();
        for pattern in 0..4_u64 {
            let mut random = Random(cut * 4 + pattern);
            let crashed = at_cut.crash(|| match pattern {
                0 => false,
                1 => true,
                _ => random.coin(),
            });
            let store =
                open_on(&crashed).unwrap_or_else(|error| panic!("cut {cut} pattern {pattern}: {error}"));
            after
                .check(&before, &store)
                .unwrap_or_else(|error| panic!("cut {cut} pattern {pattern}: {error}"));
        }
    }
}

/// A log whose first batches are proven durable by later frames, killed without a close.
fn durable_log() -> (SimulatedDisk, Vec<u64>) {
    let disk = SimulatedDisk::default();
    let store = open_on(&disk).unwrap();
    let (topic, _) = store.create_topic("t", Uuid::from_u128(1), 1, Configs::default()).unwrap();
    let partition = topic.partition(0).unwrap();
    let mut ends = Vec::new();
    for _ in 0..5 {
        ends.push(append(&store, &partition, batch(&[1; 300], &[1], None)).end.0);
        store.flush().unwrap();
    }
    (disk.kill(), ends)
}

#[test]
fn any_flipped_bit_below_what_was_durable_is_refused_naming_file_and_position() {
    let (disk, ends) = durable_log();
    let file = Path::new(DIR).join(format!("commitlog/{:020}", 0));
    let (from, to) = (usize::try_from(ends[0]).unwrap(), usize::try_from(ends[1]).unwrap());
    for at in (from..to - 8).step_by(5) {
        let disk = disk.kill();
        disk.damage(&file, at, |byte| *byte ^= 0x10);
        let before = disk.contents(&file);
        let error = open_on(&disk).expect_err("a damaged log must not open");
        let OpenError::Log(Error::Corrupt { file: named, position, .. }) = &error else { panic!("{error}") };
        assert_eq!((named, position.0), (&file, ends[0]), "byte {at}");
        assert_eq!(disk.contents(&file), before, "a refused log is left as it was");
    }
}

/// Each of them may take seconds on a disk that others keep busy.
#[test]
fn a_start_after_a_kill_syncs_the_tail_of_the_log_and_its_own_mark_and_nothing_else() {
    let (disk, _) = durable_log();
    assert_eq!(disk.operations(), 0);
    let store = open_on(&disk).unwrap();
    assert_eq!(disk.operations(), 2);
    drop(store);
    // The mark of the second start is that of the first, which a power cut may not take away.
    let crashed = disk.crash(|| false);
    assert!(crashed.paths().contains(&Path::new(DIR).join("abort")));
    let (_, recovered) = open(Arc::new(crashed), config(DIR, FlushMode::Sync)).unwrap();
    assert!(!recovered.clean);
}

#[test]
fn damage_in_a_tail_that_was_never_durable_is_cut() {
    let disk = SimulatedDisk::default();
    let store = open_on(&disk).unwrap();
    let (topic, _) = store.create_topic("t", Uuid::from_u128(1), 1, Configs::default()).unwrap();
    let partition = topic.partition(0).unwrap();
    let synced = append(&store, &partition, batch(&[1; 300], &[1], None)).end.0;
    store.flush().unwrap();
    append(&store, &partition, batch(&[2; 300], &[1], None));
    append(&store, &partition, batch(&[3; 300], &[1], None));
    let disk = disk.kill();
    let file = Path::new(DIR).join(format!("commitlog/{:020}", 0));
    disk.damage(&file, usize::try_from(synced).unwrap() + 100, |byte| *byte ^= 1);
    let (store, recovered) = open(Arc::new(disk), config(DIR, FlushMode::Sync)).unwrap();
    assert!(recovered.cut > 600);
    let partition = store.topic("t").unwrap().partition(0).unwrap();
    assert_eq!(partition.log_end_offset(), 1);
    assert_eq!(append(&store, &partition, batch(&[4; 300], &[1], None)).base_offset, 1);
}

#[test]
fn a_missing_or_shortened_file_is_refused() {
    let disk = SimulatedDisk::default();
    let store = open_on(&disk).unwrap();
    let (topic, _) = store.create_topic("t", Uuid::from_u128(1), 1, Configs::default()).unwrap();
    for _ in 0..100 {
        append(&store, &topic.partition(0).unwrap(), batch(&[1; 3000], &[1], None));
    }
    store.close().unwrap();
    let files: Vec<_> =
        disk.paths().into_iter().filter(|path| path.parent().unwrap().ends_with("commitlog")).collect();
    assert!(files.len() > 3);
    for file in files {
        let disk = disk.kill();
        storage::disk::Disk::remove(&disk, &file).unwrap();
        let error = open_on(&disk).expect_err("a log with a hole must not open");
        assert!(error.to_string().contains(file.to_str().unwrap()), "{error}");
    }
}

#[test]
fn a_last_file_that_is_gone_or_cut_after_a_kill_is_refused() {
    let disk = SimulatedDisk::default();
    let store = open_on(&disk).unwrap();
    let (topic, _) = store.create_topic("t", Uuid::from_u128(1), 1, Configs::default()).unwrap();
    for _ in 0..50 {
        append(&store, &topic.partition(0).unwrap(), batch(&[1; 3000], &[1], None));
    }
    store.flush().unwrap();
    let files = disk.paths().into_iter().filter(|path| path.parent().unwrap().ends_with("commitlog"));
    let last = files.max().unwrap();
    type Change = fn(&SimulatedDisk, &Path);
    let changes: [Change; 3] = [
        |disk, path| storage::disk::Disk::remove(disk, path).unwrap(),
        |disk, path| disk.truncate(path, 100),
        |disk, path| (0..48).for_each(|at| disk.damage(path, at, |byte| *byte = 0)),
    ];
    for change in changes {
        let disk = disk.kill();
        change(&disk, &last);
        let error = open_on(&disk).expect_err("the file before it says that the log goes on");
        assert!(error.to_string().contains(last.to_str().unwrap()), "{error}");
        assert_eq!(disk.paths().contains(&last), disk.kill().paths().contains(&last), "nothing was changed");
    }
}

#[test]
fn a_directory_that_lost_its_format_file_is_refused() {
    let disk = SimulatedDisk::default();
    open_on(&disk).unwrap().close().unwrap();
    let disk = disk.kill();
    storage::disk::Disk::remove(&disk, &Path::new(DIR).join("format")).unwrap();
    let error = open_on(&disk).expect_err("it would get a new identity");
    assert!(error.to_string().contains("/data/format"), "{error}");
}

#[test]
fn after_a_failed_sync_or_write_nothing_is_acknowledged_any_more() {
    for faults in [
        Faults { fail_sync: Some(0), ..Faults::default() },
        Faults { fail_write: Some(0), ..Faults::default() },
    ] {
        let disk = SimulatedDisk::default();
        let store = open_on(&disk).unwrap();
        let (topic, _) = store.create_topic("t", Uuid::from_u128(1), 1, Configs::default()).unwrap();
        let partition = topic.partition(0).unwrap();
        append(&store, &partition, batch(&[1; 30], &[1], None));
        store.flush().unwrap();
        let acknowledged = store.acknowledged();
        disk.set_faults(faults);
        let outcome = store.append(vec![Append::new(Arc::clone(&partition), batch(&[2; 30], &[1], None))]);
        assert!(outcome[0].is_err() || store.flush().is_err());
        disk.set_faults(Faults::default());
        assert!(store.flush().is_err(), "the latch stays closed when the disk says OK again");
        let refused = store.append(vec![Append::new(Arc::clone(&partition), batch(&[3; 30], &[1], None))]);
        assert!(matches!(&refused[0], Err(AppendError::Log(error)) if matches!(**error, Error::Poisoned(_))));
        assert_eq!((store.acknowledged(), partition.high_watermark()), (acknowledged, 1));
        assert!(store.poisoned().unwrap().contains("injected"));
        assert!(store.close().is_err());
        let store = open_on(&disk.crash(|| false)).unwrap();
        assert_eq!(store.topic("t").unwrap().partition(0).unwrap().log_end_offset(), 1);
    }
}
