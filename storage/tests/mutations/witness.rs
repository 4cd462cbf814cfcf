//! The directory that is damaged, and what every byte of it must mean.

use std::collections::{BTreeSet, HashSet};
use std::ops::{ControlFlow, Range};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use bytes::Bytes;
use storage::disk::Disk;
use storage::inspect::{DumpLine, Filter, FrameLine, Inspection};
use storage::{Append, Configs, FlushMode, OpenError, PartitionLog, ReadError, ReadRequest, Store};
use uuid::Uuid;

use super::mutate::Mutation;
use super::support::simulated_disk::SimulatedDisk;
use super::support::{Producer, Random, SMALL_FILE, append, batch, config, keyed_batch, open};

pub const DIR: &str = "/data";
const FRAME_HEADER: u64 = 64;

/// A batch that was acknowledged.
#[derive(Debug, Clone)]
pub struct Acknowledged {
    pub topic: String,
    pub topic_number: u32,
    pub partition: i32,
    pub base_offset: i64,
    /// At or above the log start.
    pub readable: bool,
    pub payload: Bytes,
    pub file: PathBuf,
    /// The frame in its file.
    pub bytes: Range<u64>,
    pub payload_at: u64,
}

/// A store that was closed or killed.
pub struct Stopped {
    pub disk: SimulatedDisk,
    clean: bool,
    /// In the order of the log.
    pub batches: Vec<Acknowledged>,
    /// Every byte of the commitlog and the files beside it that carries something.
    pub matters: Vec<(PathBuf, Range<u64>)>,
    /// The last file with frames, and where they end in it.
    end: (PathBuf, u64),
    /// First bytes of the frames in that file.
    starts: Vec<u64>,
}

impl Stopped {
    /// Whether the mutation took the log from the beginning of some frame on to its end, leaving no trace.
    pub fn wiped_tail(&self, mutation: &Mutation) -> bool {
        let (file, end) = &self.end;
        let last = self.starts.last().unwrap();
        !self.clean
            && mutation.end_in(file).is_some_and(|reached| reached >= *end)
            && mutation.changes(file, *last..*end)
    }
}

/// What came back.
#[derive(Debug, Default)]
pub struct ReadBack {
    /// Indexes into the witness's batches.
    pub found: BTreeSet<usize>,
    pub missing: BTreeSet<usize>,
    pub unreadable: usize,
}

pub fn open_at(disk: &SimulatedDisk, dir: &str) -> Result<Arc<Store>, OpenError> {
    open(Arc::new(disk.clone()), config(dir, FlushMode::Sync)).map(|(store, _)| store)
}

/// Asks for every batch by its base offset. An error is an answer; other bytes than those acknowledged are not.
pub fn read_back(store: &Store, stopped: &Stopped, salvaged: bool) -> Result<ReadBack, String> {
    let mut read = ReadBack::default();
    for (index, expected) in stopped.batches.iter().enumerate().filter(|(_, batch)| batch.readable) {
        let named = store.topic(&expected.topic);
        let nameless =
            || store.topic(&format!("salvaged-topic-{}", expected.topic_number)).filter(|_| salvaged);
        let partition = named.or_else(nameless).and_then(|topic| topic.partition(expected.partition));
        let Some(partition) = partition else {
            read.missing.insert(index);
            continue;
        };
        match batch_at(store, &partition, expected.base_offset) {
            Ok(Some(found)) if found[..] == expected.payload[..] => {
                read.found.insert(index);
            }
            Ok(Some(found)) if salvaged && found[..8] != expected.payload[..8] => {
                read.missing.insert(index); // the next batch after a gap
            }
            Ok(Some(_)) => return Err(format!("another batch is read in place of {expected:?}")),
            Ok(None) => {
                read.missing.insert(index);
            }
            Err(ReadError::OutOfRange { .. }) => {
                read.missing.insert(index);
            }
            Err(_) => read.unreadable += 1,
        }
    }
    Ok(read)
}

fn batch_at(store: &Store, partition: &PartitionLog, from: i64) -> Result<Option<Bytes>, ReadError> {
    let limit = partition.log_end_offset();
    let request = ReadRequest { from, limit, max_bytes: 1, at_least_one: true };
    Ok(store.read(partition, &request)?.batches.into_iter().next())
}

/// A store with everything in it, closed properly or killed; `rewritten` where compaction and dead files were dealt with.
pub fn stopped(clean: bool, rewritten: bool) -> Stopped {
    let disk = SimulatedDisk::default();
    let store = open_at(&disk, DIR).unwrap();
    let mut random = Random(7);
    let configs = Configs::from([("max.message.bytes".to_owned(), "9999".to_owned())]);
    let (orders, _) = store.create_topic("orders", Uuid::from_u128(1), 3, configs.clone()).unwrap();
    let (gone, _) = store.create_topic("gone", Uuid::from_u128(2), 1, Configs::default()).unwrap();
    let (clicks, _) = store.create_topic("clicks", Uuid::from_u128(3), 1, Configs::default()).unwrap();
    let compact = [("cleanup.policy", "compact"), ("segment.bytes", "20000")];
    let compact = compact.map(|(key, value)| (key.to_owned(), value.to_owned()));
    let (keyed, _) = store.create_topic("keyed", Uuid::from_u128(5), 1, Configs::from(compact)).unwrap();
    store.set_broker_configs(Configs::from([("log.retention.ms".to_owned(), "-1".to_owned())])).unwrap();
    store.allocate_producer_id().unwrap();
    store.checkpoint().unwrap();
    for round in 0..260_i32 {
        let mut appends = Vec::new();
        for partition in orders.partitions().iter().chain(clicks.partitions().iter()) {
            if random.below(3) == 0 {
                let value = vec![
                    u8::try_from(random.below(256)).unwrap();
                    usize::try_from(random.below(2500)).unwrap()
                ];
                let timestamp = i64::from(round) * 10;
                appends.push(Append::new(
                    Arc::clone(partition),
                    batch(&value, &[timestamp, timestamp + 3], None),
                ));
            }
        }
        let producer = Producer { id: 0, epoch: 0, sequence: round };
        append(&store, &clicks.partition(0).unwrap(), batch(b"one of many", &[1, 2][..1], Some(producer)));
        assert!(store.append(appends).iter().all(Result::is_ok));
        if rewritten {
            let key = vec![u8::try_from(random.below(20)).unwrap()];
            append(&store, &keyed.partition(0).unwrap(), keyed_batch(&[(key, Some(vec![3; 300]))], 5));
        }
        match round {
            ..60 => drop(append(&store, &gone.partition(0).unwrap(), batch(&[8; 2000], &[1], None))),
            60 => drop(store.delete_topic(&gone).unwrap()),
            100 => drop(store.add_partitions(&orders, 4).unwrap()),
            120 | 180 => store.checkpoint().unwrap(),
            140 | 210 if rewritten => store.clean().unwrap(),
            200 => {
                store.flush().unwrap();
                store.advance_log_start(&orders.partition(0).unwrap(), 7).unwrap();
            }
            220 => drop(store.create_topic("late", Uuid::from_u128(4), 1, Configs::default()).unwrap()),
            _ => {}
        }
        if random.below(4) == 0 {
            store.flush().unwrap();
        }
    }
    append(&store, &store.topic("late").unwrap().partition(0).unwrap(), batch(b"last", &[9], None));
    store.flush().unwrap();
    let before = disk.clone();
    if clean {
        store.close().unwrap();
    }
    let stopped = describe(before.kill(), clean);
    assert_eq!(rewritten, stopped.batches.iter().any(|batch| is_rewritten(&batch.file)));
    stopped
}

/// Rewrite files have positions from 2^62 on.
fn is_rewritten(file: &Path) -> bool {
    file.file_name().unwrap().to_str().unwrap().parse::<u64>().unwrap() >= 1 << 62
}

/// Reads the undamaged directory frame by frame.
fn describe(disk: SimulatedDisk, clean: bool) -> Stopped {
    let store = open_at(&disk.kill(), DIR).unwrap();
    let mut frames: Vec<FrameLine> = Vec::new();
    Inspection::open(Path::new(DIR), Arc::new(disk.clone()))
        .unwrap()
        .dump(&Filter::default(), &mut |line| {
            match line {
                DumpLine::Frame(frame) => frames.push(*frame),
                DumpLine::Bad { why, .. } => panic!("{why}"),
            }
            ControlFlow::Continue(())
        })
        .unwrap();
    let mut stopped = Stopped {
        disk: disk.clone(),
        clean,
        batches: Vec::new(),
        matters: Vec::new(),
        end: (PathBuf::new(), 0),
        starts: Vec::new(),
    };
    let (mut headers, mut seen) = (HashSet::new(), HashSet::new());
    // What was rewritten is older than what was not, and no part of the tail.
    frames.sort_by_key(|frame| frame.position.0 < 1 << 62);
    for frame in frames {
        let base = frame.position.0 / SMALL_FILE * SMALL_FILE;
        let file = Path::new(DIR).join(format!("commitlog/{base:020}"));
        let at = frame.position.0 - base;
        let payload_at = at + FRAME_HEADER + if frame.first { 8 } else { 0 };
        let bytes = at..payload_at + u64::from(frame.size);
        if headers.insert(file.clone()) {
            stopped.matters.push((file.clone(), 0..48));
            stopped.starts.clear();
        }
        stopped.matters.push((file.clone(), bytes.clone()));
        stopped.starts.push(at);
        stopped.end = (file.clone(), bytes.end);
        let Some(topic) = frame.topic_name.filter(|_| frame.kind == "batch") else { continue };
        let partition = i32::try_from(frame.partition).unwrap();
        let payload = Bytes::from(disk.contents(&file))
            .slice(usize::try_from(payload_at).unwrap()..usize::try_from(bytes.end).unwrap());
        // Rewriting leaves frames behind that count no more, be they equal to those that do.
        let fresh = seen.insert((frame.topic, frame.partition, frame.base_offset));
        let log = store.topic(&topic).and_then(|topic| topic.partition(partition));
        let read = log.and_then(|log| batch_at(&store, &log, frame.base_offset).ok().flatten());
        stopped.batches.push(Acknowledged {
            topic,
            topic_number: frame.topic,
            partition,
            base_offset: frame.base_offset,
            readable: fresh && read.is_some_and(|read| read == payload),
            payload,
            file,
            bytes,
            payload_at,
        });
    }
    let small = |name: &str, bytes: Range<u64>| (Path::new(DIR).join(name), bytes);
    stopped.matters.extend([
        small("format", 0..40),
        small("checkpoint", 0..56),
        small("checkpoint", 4096..4152),
    ]);
    for path in disk.paths().into_iter().filter(|path| path.parent().unwrap().ends_with("snapshot")) {
        let len = disk.open(&path).unwrap().len();
        stopped.matters.push((path, 0..len));
    }
    assert!(
        stopped.batches.len() > 450 && stopped.batches.iter().filter(|batch| batch.readable).count() > 400
    );
    stopped
}
