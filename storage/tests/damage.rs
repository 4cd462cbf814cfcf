//! Bytes that change on disk behind the log's back never reach a reader.
#![allow(clippy::unwrap_used, reason = "a test that cannot go on should say where")]

mod support;

use std::fs::OpenOptions;
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use storage::disk::LocalDisk;
use storage::{Configs, Error, FlushMode, OpenError, PartitionLog, ReadError, ReadRequest, Store};
use support::{SMALL_FILE, append, batch, config, open, read_all};
use uuid::Uuid;

const VALUE_LEN: usize = 300;
const BATCHES: i64 = 20;
const DAMAGED: i64 = 11;

fn value(offset: i64) -> Vec<u8> {
    vec![u8::try_from(offset + 100).unwrap(); VALUE_LEN]
}

/// A store whose partition 1 of topic number 1 or so holds one-record batches 0 to 19 of timestamps 0 to 19.
fn filled(dir: &Path) -> (Arc<Store>, Arc<PartitionLog>) {
    let (store, _) = open(Arc::new(LocalDisk), config(dir, FlushMode::Os)).unwrap();
    let (topic, _) = store.create_topic("t", Uuid::from_u128(1), 2, Configs::default()).unwrap();
    let partition = topic.partition(1).unwrap();
    for offset in 0..BATCHES {
        append(&store, &partition, batch(&value(offset), &[offset], None));
    }
    store.flush().unwrap();
    (store, partition)
}

fn log_file(dir: &Path) -> PathBuf {
    dir.join("commitlog").join("00000000000000000000")
}

/// Flips one bit in the middle of the value of the record at `offset`, in the file; returns where.
fn damage(dir: &Path, offset: i64) -> usize {
    let path = log_file(dir);
    let bytes = std::fs::read(&path).unwrap();
    let start = bytes.windows(VALUE_LEN).position(|window| window == value(offset)).unwrap();
    let at = start + VALUE_LEN / 2;
    let file = OpenOptions::new().write(true).open(&path).unwrap();
    file.write_all_at(&[bytes[at] ^ 0x10], at as u64).unwrap();
    assert_ne!(std::fs::read(&path).unwrap(), bytes, "the file itself holds another record now");
    at
}

fn read(store: &Store, partition: &PartitionLog, from: i64) -> Result<usize, ReadError> {
    let limit = partition.log_end_offset();
    let request = ReadRequest { from, limit, max_bytes: usize::MAX, at_least_one: true };
    store.read(partition, &request).map(|read| read.batches.len())
}

fn check(store: &Store, partition: &PartitionLog, file: &Path, byte: usize) {
    let sound = read_all(store, partition, 0);
    assert_eq!(sound.len(), usize::try_from(DAMAGED).unwrap(), "the batches before the damaged one");
    for (offset, batch) in (0..DAMAGED).zip(&sound) {
        assert!(batch.windows(VALUE_LEN).any(|window| window == value(offset)));
    }
    let error = read(store, partition, DAMAGED).unwrap_err();
    let ReadError::Log(Error::Corrupt { file: named, at, position, what }) = &error else {
        panic!("{error}")
    };
    assert_eq!((named.as_path(), *at), (file, position.0));
    let batch_start = usize::try_from(*at).unwrap();
    assert!(batch_start < byte && byte < batch_start + 2 * VALUE_LEN, "{at} {byte}");
    let named = format!("topic number {}, partition 1, offsets 11 to 11", partition.topic_number());
    assert!(what.contains(&named) && what.contains("CRC"), "{what}");
    assert_eq!(read(store, partition, DAMAGED + 1).unwrap(), 8, "what stands behind it can be read");
    let by_time = |timestamp| store.offset_for_timestamp(partition, timestamp, BATCHES);
    assert_eq!(by_time(DAMAGED - 1).unwrap().unwrap().offset, DAMAGED - 1);
    assert!(matches!(by_time(DAMAGED), Err(ReadError::Log(Error::Corrupt { .. }))));
}

#[test]
fn a_bit_that_flips_under_a_running_store_is_never_served() {
    let dir = tempfile::tempdir().unwrap();
    let (store, partition) = filled(dir.path());
    assert_eq!(read(&store, &partition, 0).unwrap(), 20);
    let byte = damage(dir.path(), DAMAGED);
    check(&store, &partition, &log_file(dir.path()), byte);
}

#[test]
fn a_bit_that_flips_below_the_checkpoint_between_two_starts_is_never_served() {
    let dir = tempfile::tempdir().unwrap();
    let (store, partition) = filled(dir.path());
    store.close().unwrap();
    drop((store, partition));
    let byte = damage(dir.path(), DAMAGED);
    let (store, recovered) = open(Arc::new(LocalDisk), config(dir.path(), FlushMode::Os)).unwrap();
    assert_eq!((recovered.clean, recovered.frames), (true, 0), "nothing is looked at again");
    let partition = store.topic("t").unwrap().partition(1).unwrap();
    check(&store, &partition, &log_file(dir.path()), byte);
}

/// The base offset is not under the batch's CRC.
#[test]
fn a_batch_with_another_base_offset_is_never_served() {
    let dir = tempfile::tempdir().unwrap();
    let (store, partition) = filled(dir.path());
    let path = log_file(dir.path());
    let bytes = std::fs::read(&path).unwrap();
    let stored = read_all(&store, &partition, DAMAGED)[0].to_vec();
    let at = bytes.windows(stored.len()).position(|window| window == stored).unwrap();
    let file = OpenOptions::new().write(true).open(&path).unwrap();
    file.write_all_at(&(DAMAGED - 1).to_be_bytes(), at as u64).unwrap();
    let error = read(&store, &partition, DAMAGED).unwrap_err().to_string();
    assert!(error.contains("its base offset is 10, the consume queue says 11"), "{error}");
}

/// An entry that is skipped would be a batch that is silently missing.
#[test]
fn a_damaged_queue_entry_hides_nothing() {
    let dir = tempfile::tempdir().unwrap();
    let (store, _) = open(Arc::new(LocalDisk), config(dir.path(), FlushMode::Os)).unwrap();
    let (topic, _) = store.create_topic("t", Uuid::from_u128(1), 1, Configs::default()).unwrap();
    let partition = topic.partition(0).unwrap();
    // A page of the queue holds 85 entries of 48 bytes behind its header of 16.
    for offset in 0..100 {
        append(&store, &partition, batch(b"value", &[offset], None));
    }
    store.checkpoint().unwrap();
    assert_eq!(read_all(&store, &partition, 0).len(), 100);
    let path = dir.path().join("consumequeue").join("00000000");
    let page = std::fs::read(&path).unwrap();
    let file = OpenOptions::new().write(true).open(&path).unwrap();
    for entry in [40, 84] {
        let at = 16 + entry * 48;
        for damage in [[page[at] ^ 1; 1].to_vec(), vec![0; 4096 - at]] {
            file.write_all_at(&damage, at as u64).unwrap();
            let error = read(&store, &partition, 0).unwrap_err();
            assert!(
                matches!(&error, ReadError::Log(Error::Corrupt { file, .. }) if *file == path),
                "{error}"
            );
            file.write_all_at(&page, 0).unwrap();
        }
    }
    assert_eq!(read(&store, &partition, 0).unwrap(), 100);
}

/// Whatever wrote it knew how to make the CRCs match.
/// Has the format file of `dir` say that commitlog files have `size` bytes.
fn forge_file_size(dir: &Path, size: u64) {
    let path = dir.join("format");
    let mut bytes = std::fs::read(&path).unwrap();
    bytes[28..36].copy_from_slice(&size.to_be_bytes());
    let crc = crc32c::crc32c(&bytes[..36]);
    bytes[36..].copy_from_slice(&crc.to_be_bytes());
    std::fs::write(&path, bytes).unwrap();
}

#[test]
fn a_file_size_that_no_file_has_is_damage_and_the_log_stays() {
    for (size, accused) in [(2 * SMALL_FILE, "commitlog"), (u64::from(u32::MAX), "format"), (0, "format")] {
        let dir = tempfile::tempdir().unwrap();
        filled(dir.path()).0.close().unwrap();
        forge_file_size(dir.path(), size);
        // Without it nothing else tells that the log is not new.
        std::fs::remove_file(dir.path().join("checkpoint")).unwrap();
        let whole = std::fs::read(log_file(dir.path())).unwrap();
        match open(Arc::new(LocalDisk), config(dir.path(), FlushMode::Os)) {
            Err(OpenError::Log(Error::Corrupt { file, .. })) => {
                assert!(file.to_string_lossy().contains(accused), "{size}: {}", file.display());
            }
            other => panic!("{size}: {:?}", other.map(|(_, recovered)| recovered)),
        }
        assert_eq!(std::fs::read(log_file(dir.path())).unwrap(), whole, "{size}");
    }
}

#[test]
fn a_log_without_files_gets_files_of_the_configured_size() {
    let dir = tempfile::tempdir().unwrap();
    let opened = || open(Arc::new(LocalDisk), config(dir.path(), FlushMode::Os)).unwrap().0;
    let (before, first) = (opened().cluster_id(), log_file(dir.path()));
    std::fs::remove_file(&first).unwrap();
    forge_file_size(dir.path(), 0xffff_f000);
    assert_eq!(opened().cluster_id(), before);
    assert_eq!(std::fs::metadata(&first).unwrap().len(), SMALL_FILE);
    // The first file's creation was cut short: its header is not there.
    std::fs::write(&first, vec![0; 8192]).unwrap();
    forge_file_size(dir.path(), 0xffff_f000);
    opened();
    assert_eq!(std::fs::metadata(&first).unwrap().len(), SMALL_FILE);
}

#[test]
fn a_topic_frame_of_too_many_partitions_is_refused_before_memory_is_taken_for_them() {
    const TOPIC_FRAME: usize = 4096;
    const PARTITIONS: usize = TOPIC_FRAME + 72 + 16 + 4 + "t".len();
    let dir = tempfile::tempdir().unwrap();
    drop(filled(dir.path()));
    let mut bytes = std::fs::read(log_file(dir.path())).unwrap();
    assert_eq!(bytes[PARTITIONS..PARTITIONS + 4], 2_u32.to_be_bytes());
    bytes[PARTITIONS..PARTITIONS + 4].copy_from_slice(&1_000_001_u32.to_be_bytes());
    let frame = &mut bytes[TOPIC_FRAME..];
    let payload = usize::try_from(u32::from_be_bytes(frame[20..24].try_into().unwrap())).unwrap();
    let crc = crc32c::crc32c(&frame[64..72 + payload]);
    frame[56..60].copy_from_slice(&crc.to_be_bytes());
    let crc = crc32c::crc32c(&frame[..60]);
    frame[60..64].copy_from_slice(&crc.to_be_bytes());
    std::fs::write(log_file(dir.path()), &bytes).unwrap();
    let error = open(Arc::new(LocalDisk), config(dir.path(), FlushMode::Os)).unwrap_err().to_string();
    assert!(error.contains("a topic of 1000001 partitions, which no broker accepts"), "{error}");
}
