//! Finding records by key against a plain list of all records: sealed and unsealed files, deletions, reopens, damaged and
//! missing index files; and what becomes of the index files themselves.
#![allow(clippy::unwrap_used, reason = "a test that cannot go on should say where")]

mod support;

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use protocol::record_batch::Codec;
use storage::disk::Disk;
use storage::{Append, Configs, FindError, FindQuery, FlushMode, FoundRecord, PartitionLog, Store};
use support::batches::{CODECS, Sent, batch_of, garbage_batch};
use support::simulated_disk::SimulatedDisk;
use support::{Random, config, open};
use uuid::Uuid;

const PARTITIONS: usize = 3;
const KEYS: u64 = 40;

fn keyed() -> Configs {
    Configs::from([("onelog.index.keys".to_owned(), "true".to_owned())])
}

fn start(disk: &SimulatedDisk) -> Arc<Store> {
    open(Arc::new(disk.clone()), config("/data", FlushMode::Os)).unwrap().0
}

fn key(number: u64) -> Vec<u8> {
    format!("key-{number}").into_bytes()
}

fn query<'a>(topic: &'a str, key: &'a [u8]) -> FindQuery<'a> {
    FindQuery { topic, key, from_ms: None, to_ms: None, limit: usize::MAX }
}

fn index_files(disk: &SimulatedDisk) -> Vec<PathBuf> {
    disk.paths().into_iter().filter(|path| path.starts_with("/data/index")).collect()
}

fn commitlog_files(disk: &SimulatedDisk) -> Vec<PathBuf> {
    let is_file = |path: &PathBuf| path.starts_with("/data/commitlog") && path.extension().is_none();
    disk.paths().into_iter().filter(is_file).collect()
}

/// Where housekeeping has not yet created a file ahead.
fn sealed_files(disk: &SimulatedDisk) -> usize {
    commitlog_files(disk).len() - 1
}

struct Run {
    random: Random,
    disk: SimulatedDisk,
    store: Arc<Store>,
    /// Of each partition the records by offset.
    plain: Vec<Vec<Sent>>,
    log_starts: Vec<usize>,
    /// Records found over all questions.
    found: usize,
}

impl Run {
    fn new(seed: u64) -> Self {
        let disk = SimulatedDisk::default();
        let store = start(&disk);
        let count = u32::try_from(PARTITIONS).unwrap();
        store.create_topic("other", Uuid::from_u128(1), 1, Configs::default()).unwrap();
        store.create_topic("t", Uuid::from_u128(2), count, keyed()).unwrap();
        let (plain, log_starts) = (vec![Vec::new(); PARTITIONS], vec![0; PARTITIONS]);
        Self { random: Random(seed), disk, store, plain, log_starts, found: 0 }
    }

    fn below(&mut self, bound: usize) -> usize {
        usize::try_from(self.random.below(bound as u64)).unwrap()
    }

    fn partition(&self, topic: &str, index: usize) -> Arc<PartitionLog> {
        self.store.topic(topic).unwrap().partition(i32::try_from(index).unwrap()).unwrap()
    }

    fn records(&mut self) -> Vec<Sent> {
        let count = 1 + self.below(6);
        let mut records = Vec::new();
        for _ in 0..count {
            // A few keys are frequent.
            let number = if self.random.coin() { self.random.below(KEYS) } else { self.random.below(3) };
            let key = (self.random.below(10) > 0).then(|| key(number));
            let value = (self.random.below(10) > 0).then(|| self.random.next().to_string().into_bytes());
            let timestamp = i64::try_from(self.random.below(1000)).unwrap();
            records.push(Sent { timestamp, key, value });
        }
        records
    }

    fn append(&mut self) {
        for _ in 0..=self.below(10) {
            let (index, codec) = (self.below(PARTITIONS), CODECS[self.below(CODECS.len())]);
            let (topic, records) = (if self.random.below(4) == 0 { "other" } else { "t" }, self.records());
            let (index, batch) = if topic == "other" {
                (0, batch_of(&records, codec))
            } else if self.random.below(15) == 0 {
                self.plain[index].push(Sent { timestamp: 1, key: None, value: None });
                (index, garbage_batch(codec))
            } else {
                self.plain[index].extend(records.iter().cloned());
                (index, batch_of(&records, codec))
            };
            let partition = self.partition(topic, index);
            self.store.append(vec![Append::new(partition, batch)]).remove(0).unwrap();
        }
    }

    fn trim(&mut self) {
        let index = self.below(PARTITIONS);
        let room = self.plain[index].len() - self.log_starts[index];
        self.log_starts[index] += self.below(room / 2 + 1);
        let to = i64::try_from(self.log_starts[index]).unwrap();
        self.store.advance_log_start(&self.partition("t", index), to).unwrap();
        // The other topic holds no file back.
        let other = self.partition("other", 0);
        self.store.advance_log_start(&other, other.high_watermark()).unwrap();
    }

    fn reopen(&mut self) {
        match self.below(4) {
            0 => self.store.close().unwrap(),
            1 => self.disk = self.disk.kill(),
            2 => {
                self.disk = self.disk.kill();
                for path in index_files(&self.disk) {
                    if self.random.coin() {
                        self.disk.remove(&path).unwrap();
                    }
                }
            }
            _ => {
                self.disk = self.disk.kill();
                for path in self.disk.paths() {
                    let of = |dir: &str| path.starts_with(Path::new("/data").join(dir));
                    if of("consumequeue") || of("snapshot") || of("checkpoint") {
                        self.disk.remove(&path).unwrap();
                    }
                }
            }
        }
        self.store = start(&self.disk);
    }

    fn damage_an_index_file(&mut self) {
        let paths = index_files(&self.disk);
        if paths.is_empty() {
            return;
        }
        let path = &paths[self.below(paths.len())];
        let at = self.below(self.disk.contents(path).len());
        self.disk.damage(path, at, |byte| *byte ^= 0x10);
    }

    fn step(&mut self) {
        match self.random.below(60) {
            0 => self.reopen(),
            1 => self.damage_an_index_file(),
            2 => self.store.checkpoint().unwrap(),
            // `clean` is where files are given up and rewritten.
            3 => self.store.housekeep().unwrap(),
            4 => self.store.clean().unwrap(),
            5 => self.trim(),
            6..=8 => drop(self.store.build_index_files().unwrap()),
            _ => self.append(),
        }
    }

    /// What `find` promises, from the list.
    fn expected(&self, query: &FindQuery<'_>) -> Vec<FoundRecord> {
        let times = query.from_ms.unwrap_or(i64::MIN)..=query.to_ms.unwrap_or(i64::MAX);
        let mut of_partitions: Vec<Vec<FoundRecord>> = Vec::new();
        for (partition, records) in (0_i32..).zip(&self.plain) {
            let offsets = self.log_starts[usize::try_from(partition).unwrap()]..records.len();
            let wanted = offsets.filter(|offset| {
                let record = &records[*offset];
                record.key.as_deref() == Some(query.key) && times.contains(&record.timestamp)
            });
            let found = wanted.map(|offset| FoundRecord {
                partition,
                offset: i64::try_from(offset).unwrap(),
                timestamp: records[offset].timestamp,
                value: records[offset].value.clone().map(Into::into),
                headers: Vec::new(),
            });
            of_partitions.push(found.collect());
        }
        let mut merged = Vec::new();
        while merged.len() < query.limit {
            let heads = of_partitions.iter_mut().rev();
            let newest = heads.max_by_key(|found| found.last().map(|found| found.timestamp));
            match newest.unwrap().pop() {
                Some(found) => merged.push(found),
                None => break,
            }
        }
        merged
    }

    fn ask(&mut self) {
        let key = key(self.random.below(KEYS + 2));
        let mut query = query("t", &key);
        if self.random.below(3) == 0 {
            query.from_ms = Some(i64::try_from(self.random.below(1000)).unwrap());
        }
        if self.random.below(3) == 0 {
            query.to_ms = Some(i64::try_from(self.random.below(1000)).unwrap());
        }
        if self.random.coin() {
            query.limit = self.below(8);
        }
        let found = self.store.find_by_key(&query).unwrap();
        let expected = self.expected(&query);
        assert_eq!(found.records, expected, "{query:?}");
        let all = self.expected(&FindQuery { limit: usize::MAX, ..query.clone() });
        assert_eq!(found.more, all.len() > expected.len());
        self.found += expected.len();
    }
}

#[test]
fn every_search_by_key_gives_what_a_scan_over_all_records_gives() {
    let (mut searches, mut found, mut indexed) = (0, 0, 0);
    for seed in 0..5 {
        let mut run = Run::new(seed);
        for _ in 0..30 {
            (0..10).for_each(|_| run.step());
            for _ in 0..4 {
                run.ask();
                searches += 1;
            }
            indexed = indexed.max(index_files(&run.disk).len());
        }
        found += run.found;
    }
    eprintln!("{searches} searches found {found} records; {indexed} index files at most");
    assert!(found > 10 * searches && indexed > 2);
}

#[test]
fn negative_control_a_record_that_is_not_in_the_log_is_missed() {
    let mut run = Run::new(1);
    run.append();
    run.plain[0].push(Sent { timestamp: 1, key: Some(key(1)), value: None });
    let found = run.store.find_by_key(&query("t", &key(1))).unwrap();
    assert_ne!(found.records, run.expected(&query("t", &key(1))));
}

/// A store with some sealed files, and how often each key was written.
fn filled(disk: &SimulatedDisk, configs: Configs) -> (Arc<Store>, BTreeMap<Vec<u8>, usize>) {
    let store = start(disk);
    let (topic, _) = store.create_topic("t", Uuid::from_u128(1), 1, configs).unwrap();
    let partition = topic.partition(0).unwrap();
    let mut written = BTreeMap::new();
    for number in 0..600_u64 {
        let key = key(number % 50);
        *written.entry(key.clone()).or_default() += 1;
        let records = [Sent { timestamp: 5, key: Some(key), value: Some(vec![1; 500]) }];
        let batch = batch_of(&records, Codec::None);
        store.append(vec![Append::new(Arc::clone(&partition), batch)]).remove(0).unwrap();
    }
    store.flush().unwrap();
    store.checkpoint().unwrap();
    (store, written)
}

fn check(store: &Store, written: &BTreeMap<Vec<u8>, usize>) {
    for (key, count) in written {
        assert_eq!(store.find_by_key(&query("t", key)).unwrap().records.len(), *count);
    }
    assert_eq!(store.find_by_key(&query("t", b"no such key")).unwrap().records, []);
}

#[test]
fn one_index_file_is_made_per_sealed_file_and_named_by_its_time() {
    let disk = SimulatedDisk::default();
    let (store, written) = filled(&disk, keyed());
    assert_eq!(store.build_index_files().unwrap(), sealed_files(&disk));
    assert_eq!(store.build_index_files().unwrap(), 0, "nothing is made twice");
    let paths = index_files(&disk);
    assert_eq!(paths.len(), sealed_files(&disk));
    for path in &paths {
        let name = path.file_name().unwrap().to_str().unwrap();
        assert!(name.starts_with("20") && name.len() == 17, "{name}");
    }
    check(&store, &written);
}

#[test]
fn index_file_goes_with_its_commitlog_file() {
    let disk = SimulatedDisk::default();
    let (store, _) = filled(&disk, keyed());
    store.build_index_files().unwrap();
    let (before, files) = (index_files(&disk).len(), commitlog_files(&disk));
    let partition = store.topic("t").unwrap().partition(0).unwrap();
    store.advance_log_start(&partition, 400).unwrap();
    store.flush().unwrap();
    (0..5).for_each(|_| store.clean().unwrap());
    let left = commitlog_files(&disk);
    let gone = files.iter().filter(|file| !left.contains(file)).count();
    assert!(gone > 1);
    store.build_index_files().unwrap();
    assert_eq!(index_files(&disk).len(), before - gone);
}

#[test]
fn damaged_index_files_are_made_anew_and_never_believed() {
    let disk = SimulatedDisk::default();
    let (store, written) = filled(&disk, keyed());
    store.build_index_files().unwrap();
    let paths = index_files(&disk);
    for (page, path) in paths.iter().enumerate() {
        // The header is not read again by this process; a new one reads it.
        disk.damage(path, (page % 4) * 4096 + 100, |byte| *byte ^= 1);
    }
    check(&store, &written);
    let disk = disk.kill();
    let store = start(&disk);
    check(&store, &written);
    store.build_index_files().unwrap();
    assert_eq!(index_files(&disk).len(), sealed_files(&disk));
    assert!(index_files(&disk).iter().all(|path| !paths[1..].contains(path)));
    check(&store, &written);
}

#[test]
fn whatever_an_index_file_holds_is_an_answer_or_a_new_file() {
    let disk = SimulatedDisk::default();
    let (store, written) = filled(&disk, keyed());
    store.build_index_files().unwrap();
    let mut random = Random(3);
    for _ in 0..20 {
        for path in index_files(&disk) {
            let len = disk.contents(&path).len() as u64;
            for _ in 0..3 {
                let at = usize::try_from(random.below(len)).unwrap();
                // A right CRC over wrong bytes: what a bug would write.
                disk.damage(&path, at, |byte| *byte = byte.wrapping_add(1));
                fix_crc(&disk, &path, at / 4096);
            }
        }
        let store = start(&disk.kill());
        // Anything but a panic; records that are found do have the key.
        for key in written.keys() {
            let found = store.find_by_key(&query("t", key)).unwrap();
            assert!(found.records.len() <= written[key]);
        }
    }
}

fn fix_crc(disk: &SimulatedDisk, path: &Path, page: usize) {
    let bytes = disk.contents(path);
    let start = page * 4096;
    let crc = crc32c::crc32c(&bytes[start..start + 4092]).to_be_bytes();
    for (index, byte) in crc.into_iter().enumerate() {
        disk.damage(path, start + 4092 + index, |old| *old = byte);
    }
}

#[test]
fn power_cut_at_any_moment_of_the_making_leaves_nothing_wrong() {
    let disk = SimulatedDisk::default();
    let (_, written) = filled(&disk, keyed());
    let mut random = Random(4);
    for operation in 0.. {
        let disk = disk.kill();
        let store = start(&disk);
        disk.cut_before(disk.operations() + operation);
        store.build_index_files().unwrap();
        let Some(cut) = disk.at_cut() else {
            assert!(operation > 20, "the making has operations to cut: {operation}");
            return;
        };
        let disk = cut.crash(|| random.coin());
        let store = start(&disk);
        check(&store, &written);
        store.build_index_files().unwrap();
        check(&store, &written);
        assert_eq!(index_files(&disk).len(), sealed_files(&disk));
    }
}

#[test]
fn failing_disk_fails_the_making_and_nothing_else() {
    use support::simulated_disk::Faults;
    let disk = SimulatedDisk::default();
    let (store, written) = filled(&disk, keyed());
    disk.set_faults(Faults { fail_sync: Some(0), ..Faults::default() });
    assert!(store.build_index_files().is_err());
    disk.set_faults(Faults { fail_write: Some(2), ..Faults::default() });
    assert!(store.build_index_files().is_err());
    disk.set_faults(Faults { capacity: Some(0), ..Faults::default() });
    assert!(store.build_index_files().is_err());
    assert_eq!(store.poisoned(), None);
    check(&store, &written);
    disk.set_faults(Faults::default());
    store.build_index_files().unwrap();
    assert_eq!(index_files(&disk).len(), sealed_files(&disk));
    check(&store, &written);
}

#[test]
fn topic_has_to_ask_for_it_and_may_do_so_later() {
    let disk = SimulatedDisk::default();
    let (store, written) = filled(&disk, Configs::default());
    store.build_index_files().unwrap();
    let before = index_files(&disk);
    assert!(!before.is_empty(), "partition tables are for all topics");
    let refused = store.find_by_key(&query("t", b"key-1")).unwrap_err();
    assert!(matches!(refused, FindError::KeysNotIndexed(_)), "{refused}");
    assert!(refused.to_string().contains("onelog.index.keys=true"));
    let unknown = store.find_by_key(&query("nothing", b"key-1")).unwrap_err();
    assert!(matches!(unknown, FindError::UnknownTopic(_)), "{unknown}");

    store.set_topic_configs(&store.topic("t").unwrap(), keyed()).unwrap();
    check(&store, &written);
    assert_eq!(store.build_index_files().unwrap(), before.len(), "made again, with keys");
    assert!(index_files(&disk).iter().all(|path| !before.contains(path)));
    assert_eq!(index_files(&disk).len(), before.len());
    check(&store, &written);
}

#[test]
fn file_that_is_not_on_stable_storage_gets_no_index_file_yet() {
    let disk = SimulatedDisk::default();
    let store = start(&disk);
    let (topic, _) = store.create_topic("t", Uuid::from_u128(1), 1, keyed()).unwrap();
    for _ in 0..300 {
        let records = [Sent { timestamp: 5, key: Some(key(1)), value: Some(vec![1; 500]) }];
        let append = Append::new(topic.partition(0).unwrap(), batch_of(&records, Codec::None));
        store.append(vec![append]).remove(0).unwrap();
    }
    assert!(sealed_files(&disk) > 1);
    assert_eq!(store.build_index_files().unwrap(), 0);
    store.flush().unwrap();
    assert!(store.build_index_files().unwrap() > 0);
}

/// More records of one key than candidates are kept at once (1024 of a partition, where there are many partitions).
#[test]
fn frequent_key_is_found_in_several_goes_without_repeating_a_record() {
    let disk = SimulatedDisk::default();
    let store = start(&disk);
    let (topic, _) = store.create_topic("t", Uuid::from_u128(1), 2000, keyed()).unwrap();
    let partition = topic.partition(77).unwrap();
    for start in (0..5000_i64).step_by(7) {
        let record = |timestamp| Sent { timestamp, key: Some(b"hot".to_vec()), value: None };
        let records: Vec<Sent> = (start..start + 7).map(record).collect();
        let batch = batch_of(&records, Codec::Zstd);
        store.append(vec![Append::new(Arc::clone(&partition), batch)]).remove(0).unwrap();
    }
    store.flush().unwrap();
    for made in [false, true] {
        if made {
            store.build_index_files().unwrap();
        }
        let found = store.find_by_key(&query("t", b"hot")).unwrap();
        let offsets: Vec<i64> = found.records.iter().map(|found| found.offset).collect();
        assert_eq!(offsets, (0..partition.high_watermark()).rev().collect::<Vec<_>>());
        assert!(!found.more);
        let query = FindQuery { to_ms: Some(3), ..query("t", b"hot") };
        assert_eq!(store.find_by_key(&query).unwrap().records.len(), 4);
    }
}
