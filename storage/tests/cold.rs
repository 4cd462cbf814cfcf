//! Reads of what is not in memory, on the machine's file system.
#![allow(clippy::unwrap_used, reason = "a test that cannot go on should say where")]

mod support;

use std::fs::{File, OpenOptions};
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use bytes::Bytes;
use rustix::fs::{Advice, fadvise};
use storage::disk::{Disk, LocalDisk};
use storage::{
    Append, Configs, Error, FlushMode, Located, PartitionLog, ReadError, ReadRequest, Store, StoreConfig,
};
use support::{append, batch, config, open};
use tempfile::TempDir;
use uuid::Uuid;

const FILE: u64 = 4 << 20;
const FILES: u64 = 8;

/// A store of [`FILES`] full files, and each partition's batches.
struct World {
    dir: TempDir,
    store: Arc<Store>,
    expected: Vec<Vec<Bytes>>,
}

/// Beside the program: the directory for temporary files may be memory, where nothing is ever cold.
fn device_dir() -> TempDir {
    tempfile::tempdir_in(env!("CARGO_TARGET_TMPDIR")).unwrap()
}

fn store_config(dir: &Path) -> StoreConfig {
    StoreConfig { file_size: FILE, ..config(dir, FlushMode::Os) }
}

fn stamped(batch: &storage::ValidBatch, base_offset: i64) -> Bytes {
    let mut bytes = batch.view().as_bytes().to_vec();
    bytes[..8].copy_from_slice(&base_offset.to_be_bytes());
    bytes[12..16].copy_from_slice(&0_i32.to_be_bytes());
    bytes.into()
}

impl World {
    /// Batches of `value` bytes go to `partitions` in turn. The store is closed and opened again.
    fn new(partitions: u32, value: usize, bytes: u64) -> Self {
        let dir = device_dir();
        let (store, _) = open(Arc::new(LocalDisk), store_config(dir.path())).unwrap();
        let (topic, _) = store.create_topic("t", Uuid::from_u128(1), partitions, Configs::default()).unwrap();
        let mut expected = vec![Vec::new(); usize::try_from(partitions).unwrap()];
        let (mut count, mut written) = (0_u64, 0);
        while written < bytes {
            let index = i32::try_from(count % u64::from(partitions)).unwrap();
            let value = vec![u8::try_from(count % 251).unwrap(); value + usize::try_from(count % 7).unwrap()];
            let batch = batch(&value, &[i64::try_from(count).unwrap()], None);
            let appended = append(&store, &topic.partition(index).unwrap(), batch.clone());
            expected[usize::try_from(index).unwrap()].push(stamped(&batch, appended.base_offset));
            (count, written) = (count + 1, appended.end.0);
        }
        store.close().unwrap();
        drop((store, topic));
        let (store, _) = open(Arc::new(LocalDisk), store_config(dir.path())).unwrap();
        let world = Self { dir, store, expected };
        world.forget("commitlog");
        world.forget("consumequeue");
        world
    }

    fn files(&self, of: &str) -> Vec<PathBuf> {
        let names = std::fs::read_dir(self.dir.path().join(of)).unwrap();
        let mut paths: Vec<_> = names.map(|name| name.unwrap().path()).collect();
        paths.sort();
        paths
    }

    /// Has the system give up the pages of all files in a folder.
    fn forget(&self, of: &str) {
        for path in self.files(of) {
            let file = File::open(&path).unwrap();
            file.sync_all().unwrap();
            fadvise(&file, 0, None, Advice::DontNeed).unwrap();
        }
    }

    fn partition(&self, index: i32) -> Arc<PartitionLog> {
        self.store.topic("t").unwrap().partition(index).unwrap()
    }

    /// The share of a commitlog file's pages that is in memory, percent.
    fn resident(&self, file: usize) -> u64 {
        let file = LocalDisk.open(&self.files("commitlog")[file]).unwrap();
        let pages = file.len() / 4096;
        (0..pages).filter(|page| file.is_resident(page * 4096, 4096)).count() as u64 * 100 / pages
    }

    fn locate(&self, partition: &PartitionLog, from: i64) -> Located {
        self.store.locate_waiting(partition, &request(partition, from)).unwrap()
    }
}

fn request(partition: &PartitionLog, from: i64) -> ReadRequest {
    ReadRequest { from, limit: partition.high_watermark(), max_bytes: 1 << 20, at_least_one: true }
}

/// As a consumer that fetches all partitions at once, cold reads only; calls `each` after each round.
fn consume(world: &World, mut each: impl FnMut(usize)) -> Vec<Vec<Bytes>> {
    let partitions: Vec<_> =
        (0..i32::try_from(world.expected.len()).unwrap()).map(|i| world.partition(i)).collect();
    let mut got = vec![Vec::new(); partitions.len()];
    for round in 0.. {
        let at = |index: usize| i64::try_from(got[index].len()).unwrap();
        let located: Vec<_> =
            partitions.iter().enumerate().map(|(index, log)| world.locate(log, at(index))).collect();
        if located.iter().all(|located| located.end_offset().is_none()) {
            return got;
        }
        let wanted: Vec<_> = partitions.iter().map(|log| &**log).zip(&located).collect();
        for (got, read) in got.iter_mut().zip(world.store.read_cold(&wanted)) {
            got.extend(read.unwrap().batches);
        }
        each(round);
    }
    unreachable!("rounds end when everything is read")
}

#[test]
fn what_is_read_cold_is_what_was_appended() {
    for (partitions, value) in [(1, 20_000), (5, 3_000), (40, 200)] {
        let world = World::new(partitions, value, FILE * FILES / 4);
        let first = world.partition(0);
        let located = world.store.locate(&first, &request(&first, 0)).unwrap();
        assert!(located.is_cold(), "nothing of it is in memory");
        let got = consume(&world, |_| {});
        assert!(got == world.expected, "{partitions} partitions");
    }
}

#[test]
fn a_cold_queue_is_not_waited_for_until_somebody_may() {
    let world = World::new(1, 2_000, FILE * 2);
    let log = world.partition(0);
    // One page of the queue holds 85 batches.
    let mut looked = world.store.locate(&log, &request(&log, 10)).unwrap();
    assert_eq!((looked.is_cold(), looked.end_offset(), looked.bytes()), (true, None, 0));
    looked.truncate(0, false);
    assert!(looked.is_cold(), "what is there is not known, so it cannot be too much");
    let mut located = world.store.locate_waiting(&log, &request(&log, 10)).unwrap();
    assert!(located.bytes() > 2_000 * 80 && located.is_cold());
    located.truncate(5_000, false);
    assert_eq!(
        (located.end_offset(), located.bytes()),
        (Some(12), world.expected[0][10].len() + world.expected[0][11].len())
    );
    located.truncate(10, true);
    assert_eq!((located.end_offset(), located.is_cold()), (Some(11), true));
    located.truncate(10, false);
    assert_eq!((located.end_offset(), located.is_cold(), located.bytes()), (None, false, 0));
    let offset = world.store.offset_for_timestamp(&log, 100, log.high_watermark()).unwrap().unwrap().offset;
    assert_eq!(offset, 100);
}

#[test]
fn what_is_in_memory_is_not_cold_and_what_was_read_ahead_is() {
    let world = World::new(1, 20_000, FILE * 2);
    let log = world.partition(0);
    let located = world.locate(&log, 0);
    let read = world.store.read_cold(&[(&log, &located)]).remove(0).unwrap();
    assert_eq!(read.batches[..], world.expected[0][..read.batches.len()]);
    let next = world.locate(&log, located.end_offset().unwrap());
    assert!(next.is_cold(), "it may still be on its way");
    // The last batch may have a file of its own.
    for path in &world.files("commitlog")[1..] {
        assert_eq!(std::fs::read(path).unwrap().len() as u64, FILE);
    }
    let last = i64::try_from(world.expected[0].len()).unwrap() - 2;
    let hot = world.store.locate_waiting(&log, &request(&log, last)).unwrap();
    assert!(!hot.is_cold(), "somebody else brought it in");
    assert_eq!(hot.read().unwrap().batches, world.expected[0][world.expected[0].len() - 2..]);
}

#[test]
fn damage_is_found_in_copies_as_in_the_map() {
    let world = World::new(2, 20_000, FILE * 2);
    let log = world.partition(1);
    let damaged = 7;
    let path = &world.files("commitlog")[0];
    let bytes = std::fs::read(path).unwrap();
    let batch = &world.expected[1][damaged];
    let at = bytes.windows(batch.len()).position(|window| window == batch).unwrap() + batch.len() / 2;
    let file = OpenOptions::new().write(true).open(path).unwrap();
    file.write_all_at(&[bytes[at] ^ 1], at as u64).unwrap();
    world.forget("commitlog");
    let (located, after) = (world.locate(&log, 0), world.locate(&log, 8));
    assert!(located.is_cold() && located.end_offset().unwrap() > 8);
    let read = world.store.read_cold(&[(&log, &located), (&log, &world.locate(&log, 7)), (&log, &after)]);
    assert_eq!(read[0].as_ref().unwrap().batches, world.expected[1][..damaged], "those before it are served");
    assert!(matches!(&read[1], Err(ReadError::Log(Error::Corrupt { .. }))), "{:?}", read[1]);
    assert_eq!(read[2].as_ref().unwrap().batches[0], world.expected[1][8]);
}

/// 64 MiB of what was read cold may stay, and the two newest files are left alone.
#[test]
fn what_was_read_cold_leaves_memory_again() {
    let files = 30;
    let world = World::new(3, 100_000, FILE * files);
    let (before, mut most) = (world.resident(0), 0);
    assert!(before < 10, "{before} % of the first file");
    let got = consume(&world, |round| {
        if round == 1 {
            most = world.resident(0);
        }
    });
    assert!(got == world.expected);
    assert!(most > 30, "{most} % of the first file while it was read: others may read the same");
    let resident: Vec<u64> = (0..usize::try_from(files).unwrap()).map(|file| world.resident(file)).collect();
    assert!(resident[..10].iter().all(|percent| *percent < 10), "{resident:?}");
    assert!(resident[resident.len() - 2..].iter().all(|percent| *percent > 90), "{resident:?}");
    let total = resident.iter().sum::<u64>() * FILE / 100;
    assert!(total < (64 + 16) << 20, "{resident:?}");
}

#[test]
fn appends_go_on_while_old_batches_are_read() {
    let world = World::new(2, 20_000, FILE * 4);
    let log = world.partition(0);
    let batches = (0..50).map(|count| batch(&[9; 5000], &[count], None));
    let appends = batches.map(|batch| Append::new(Arc::clone(&log), batch)).collect();
    let count = i64::try_from(world.expected[0].len()).unwrap();
    assert_eq!(world.store.append(appends).pop().unwrap().unwrap().base_offset, count + 49);
    world.store.flush().unwrap();
    let located = world.locate(&log, count - 2);
    assert!(located.is_cold() && located.end_offset() == Some(count + 50), "old and new in one read");
    let read = world.store.read_cold(&[(&log, &located)]).remove(0).unwrap();
    assert_eq!(read.batches[..2], world.expected[0][world.expected[0].len() - 2..]);
    assert_eq!(read.batches.len(), 52);
    let tail = world.store.locate(&log, &request(&log, count)).unwrap();
    assert!(!tail.is_cold(), "this process wrote it a moment ago");
    assert_eq!(tail.read().unwrap().batches[..], read.batches[2..]);
}

#[test]
fn while_somebody_writes_nothing_is_read_ahead_and_everything_is_served() {
    for (partitions, value) in [(1, 20_000), (5, 3_000), (40, 200), (2, 600_000)] {
        let world = World::new(partitions, value, FILE * FILES / 4);
        let (hot, _) = world.store.create_topic("hot", Uuid::from_u128(2), 1, Configs::default()).unwrap();
        let hot = hot.partition(0).unwrap();
        let write = || {
            let count = hot.high_watermark();
            append(&world.store, &hot, batch(b"new", &[count], None));
        };
        write();
        let mut first = None;
        let got = consume(&world, |_| {
            first.get_or_insert_with(|| world.resident(0));
            write();
        });
        assert!(got == world.expected, "{partitions} partitions");
        if partitions == 1 {
            let first = first.unwrap();
            assert!((20..40).contains(&first), "{first} % of 4 MiB after a fetch of 1 MiB");
        }
    }
}
