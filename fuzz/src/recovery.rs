//! A stopped data directory with any of its bytes changed, then a start, reads and the tools for operators.
//!
//! The input is a list of edits, so that small inputs reach every file. CRCs can be put right after the edits: what lies
//! behind them is then read as if this program had written it. What must hold is no panic, and memory in proportion to
//! the directory; that nothing wrong is served is what `storage/tests/mutations.rs` looks at.

use std::collections::BTreeMap;
use std::io::IoSlice;
use std::ops::{ControlFlow, Range};
use std::path::{Path, PathBuf};
use std::sync::{Arc, LazyLock};

use protocol::control_batch::MarkerType;
use storage::disk::Disk;
use storage::inspect::{Filter, Inspection};
use storage::{Append, Configs, FindQuery, FlushMode, PartitionLog, ReadRequest, Store, SystemClock};
use uuid::Uuid;

use support::simulated_disk::SimulatedDisk;
use support::{Producer, append, append_verified, batch, config, keyed_batch, marker, open, transactional};

#[path = "../../storage/tests/support/mod.rs"]
mod support;

const DIR: &str = "/data";
const NEW_DIR: &str = "/salvaged";
const FIRST_FRAME: usize = 4096;
const PAGE: usize = 4096;
const MAX_EDITS: usize = 16;
/// Batches read of each partition.
const MAX_READS: usize = 200;

/// Bits of the first byte.
const BASE: u8 = 3;
const MEND: u8 = 4;
const INSPECT: u8 = 8;

/// `bytes`: what to do (1), then edits: file (1), operation (1), place (2), what the operation needs.
pub fn run(bytes: &[u8]) {
    let mut input = Input(bytes);
    let what = input.byte();
    let base = &BASES[usize::from(what & BASE)];
    let disk = base.disk.kill();
    base.edit(&disk, &mut input, what & MEND != 0);
    if what & INSPECT != 0 {
        inspect(&disk);
    } else {
        start(&disk);
    }
}

/// Opens, reads everything, writes on, stops and starts again.
fn start(disk: &SimulatedDisk) {
    let Some(store) = open_at(disk) else { return };
    read_all(&store);
    for topic in store.topics() {
        if let Some(partition) = topic.partition(0) {
            drop(store.append(vec![Append::new(partition, batch(b"after the damage", &[77], None))]));
        }
    }
    drop(store.flush());
    drop(store.build_index_files());
    drop(store.clean());
    drop(store.checkpoint());
    drop(store.close());
    drop(store);
    if let Some(store) = open_at(disk) {
        read_all(&store);
    }
}

fn open_at(disk: &SimulatedDisk) -> Option<Arc<Store>> {
    open(Arc::new(disk.clone()), config(DIR, FlushMode::Sync)).ok().map(|(store, _)| store)
}

fn read_all(store: &Store) {
    for topic in store.topics() {
        for partition in topic.partitions().iter() {
            read(store, partition);
        }
        let query = FindQuery { topic: topic.name(), key: &[3], from_ms: None, to_ms: None, limit: 10 };
        drop(store.find_by_key(&query));
    }
}

fn read(store: &Store, partition: &PartitionLog) {
    let limit = partition.log_end_offset();
    let mut from = partition.log_start_offset();
    for _ in 0..MAX_READS {
        let request = ReadRequest { from, limit, max_bytes: 4096, at_least_one: true };
        let Ok(batches) = store.read(partition, &request) else { break };
        let Some(last) = batches.batches.last() else { break };
        let Ok(view) = protocol::record_batch::RecordBatchView::parse(last) else { break };
        from = view.base_offset().saturating_add(i64::from(view.last_offset_delta())).saturating_add(1);
    }
    drop(partition.aborted_transactions(0, limit));
    drop(partition.active_producers());
    drop(store.offset_for_timestamp(partition, 250, limit));
    drop(store.offset_of_max_timestamp(partition, limit));
}

fn inspect(disk: &SimulatedDisk) {
    let Ok(inspection) = Inspection::open(Path::new(DIR), Arc::new(disk.clone())) else { return };
    drop(inspection.verify(&mut |_| {}, &mut |_| {}));
    drop(inspection.dump(&Filter::default(), &mut |_| ControlFlow::Continue(())));
    drop(inspection.salvage(Path::new(NEW_DIR), Arc::new(SystemClock), &mut |_| {}, &mut |_| {}));
}

/// libFuzzer's bytes, from the first on; zeros when there are no more.
struct Input<'a>(&'a [u8]);

impl Input<'_> {
    fn byte(&mut self) -> u8 {
        let Some((first, rest)) = self.0.split_first() else { return 0 };
        self.0 = rest;
        *first
    }

    fn place(&mut self) -> usize {
        usize::from(u16::from_be_bytes([self.byte(), self.byte()]))
    }
}

/// A directory that was left by a store, closed or killed.
struct Base {
    disk: SimulatedDisk,
    files: Vec<PathBuf>,
}

static BASES: LazyLock<[Base; 4]> = LazyLock::new(|| {
    [(true, true), (false, true), (true, false), (false, false)].map(|(clean, large)| Base::new(clean, large))
});

impl Base {
    /// A large one has several files, some of them rewritten, and an index file.
    fn new(clean: bool, large: bool) -> Self {
        let disk = SimulatedDisk::default();
        let store = open_at(&disk).expect("a new directory");
        fill(&store, large);
        let killed = disk.clone();
        if clean {
            store.close().expect("nothing is wrong");
        }
        let disk = killed.kill();
        let mut files = disk.paths();
        files.retain(|path| !path.ends_with("lock") && !path.ends_with("abort"));
        files.retain(|path| path.extension().is_none());
        Self { disk, files }
    }

    fn edit(&self, disk: &SimulatedDisk, input: &mut Input<'_>, mend: bool) {
        let mut edited: BTreeMap<usize, Option<Vec<u8>>> = BTreeMap::new();
        for _ in 0..MAX_EDITS {
            if input.0.is_empty() {
                break;
            }
            let file = usize::from(input.byte()) % self.files.len();
            let contents = edited.entry(file).or_insert_with(|| Some(disk.contents(&self.files[file])));
            let operation = input.byte();
            let place = input.place();
            if operation & 7 == 5 {
                *contents = None;
            } else if let Some(contents) = contents {
                change(contents, operation, place, input);
            }
        }
        for (file, contents) in edited {
            let path = &self.files[file];
            let Some(mut contents) = contents else {
                disk.remove(path).expect("it was there");
                continue;
            };
            if mend {
                self.mend(path, &mut contents);
            }
            let file = disk.create(path, contents.len() as u64).expect("there is room");
            file.write_all_at(&mut [IoSlice::new(&contents)], 0).expect("it has that length");
        }
    }

    /// Puts right every CRC that a start or a tool looks at, frames at the places where the undamaged file has them.
    fn mend(&self, path: &Path, contents: &mut [u8]) {
        let folder = path.parent().and_then(Path::file_name).and_then(|name| name.to_str());
        let name = path.file_name().and_then(|name| name.to_str()).unwrap_or_default();
        let len = contents.len();
        match (folder, name) {
            (_, "format") => seal(contents, 0..36, 36),
            (_, "checkpoint") => {
                seal(contents, 0..52, 52);
                seal(contents, 4096..4148, 4148);
            }
            (Some("snapshot"), _) if len > 4 => seal(contents, 0..len - 4, len - 4),
            (Some("index"), _) => {
                (0..len / PAGE)
                    .for_each(|page| seal(contents, page * PAGE..page * PAGE + 4092, page * PAGE + 4092));
            }
            (Some("consumequeue"), _) => {
                let pages = (0..len / PAGE).map(|page| page * PAGE);
                pages.flat_map(|page| (0..85).map(move |entry| page + 16 + entry * 48)).for_each(|at| {
                    let crc = crc32c::crc32c(&contents[at..at + 46]).to_be_bytes();
                    contents[at + 46..at + 48].copy_from_slice(&crc[2..]);
                });
            }
            (Some("commitlog"), _) => {
                seal(contents, 0..44, 44);
                frames(&self.disk.contents(path)).into_iter().for_each(|frame| mend_frame(contents, frame));
            }
            _ => {}
        }
    }
}

/// Where the frames of a commitlog file begin.
fn frames(contents: &[u8]) -> Vec<usize> {
    let mut frames = Vec::new();
    let mut at = FIRST_FRAME;
    while let Some(header) = contents.get(at..at + 64).filter(|header| header.starts_with(b"OLF")) {
        frames.push(at);
        at += number(header, 4).max(64);
    }
    frames
}

fn mend_frame(contents: &mut [u8], at: usize) {
    let Some(frame) = contents.get_mut(at..).filter(|frame| frame.len() >= 64) else { return };
    let begins = if frame[29] & 1 == 1 { 72 } else { 64 };
    let ends = begins + number(frame, 20);
    if ends <= frame.len() {
        if frame[28] == 1 && ends - begins >= 61 {
            seal(frame, begins + 21..ends, begins + 17);
        }
        seal(frame, 64..ends, 56);
    }
    seal(frame, 0..60, 60);
}

fn number(bytes: &[u8], at: usize) -> usize {
    bytes[at..at + 4].iter().fold(0, |number, byte| number << 8 | usize::from(*byte))
}

fn seal(contents: &mut [u8], range: Range<usize>, at: usize) {
    if range.end.max(at + 4) <= contents.len() {
        let crc = crc32c::crc32c(&contents[range]);
        contents[at..at + 4].copy_from_slice(&crc.to_be_bytes());
    }
}

/// One edit. Files are mostly empty: places are taken below the last byte that is not zero, or counted from it.
fn change(contents: &mut Vec<u8>, operation: u8, place: usize, input: &mut Input<'_>) {
    let used = contents.iter().rposition(|byte| *byte != 0).map_or(0, |last| last + 1);
    if used == 0 {
        return;
    }
    let at = if operation & 0x80 == 0 { place % used } else { used - 1 - place % used };
    let end = (at + 1 + usize::from(operation >> 3 & 15)).min(contents.len());
    match operation & 7 {
        4 => contents.truncate(at),
        6 => contents[at / PAGE * PAGE..].iter_mut().take(PAGE).for_each(|byte| *byte = 0),
        7 => contents[at..end].fill(0xff),
        3 => contents[at] = contents[at].wrapping_add(input.byte()),
        _ => contents[at..end].fill_with(|| input.byte()),
    }
}

fn fill(store: &Store, large: bool) {
    let configs = |pairs: &[(&str, &str)]| -> Configs {
        pairs.iter().map(|(key, value)| ((*key).to_owned(), (*value).to_owned())).collect()
    };
    let create = |name: &str, id: u128, partitions, pairs: &[(&str, &str)]| {
        store.create_topic(name, Uuid::from_u128(id), partitions, configs(pairs)).expect("a new topic").0
    };
    let orders = create("orders", 1, 2, &[("max.message.bytes", "9999"), ("segment.bytes", "5000")]);
    let gone = create("gone", 2, 1, &[]);
    let keyed = create(
        "keyed",
        3,
        1,
        &[("cleanup.policy", "compact"), ("onelog.index.keys", "true"), ("segment.bytes", "9000")],
    );
    store
        .set_broker_configs(configs(&[
            ("log.retention.ms", "-1"),
            ("@group/g/consumer.session.timeout.ms", "50000"),
        ]))
        .expect("stored");
    let (id, _) = store.allocate_producer_id().expect("ids are left");
    let log = |partition| orders.partition(partition).expect("made above");
    for round in 0..if large { 120_u8 } else { 6 } {
        let time = i64::from(round) * 10;
        let value = vec![round; if large { 1500 } else { 40 }];
        append(store, &log(i32::from(round % 2)), batch(&value, &[time, time + 3], None));
        append(
            store,
            &keyed.partition(0).expect("made above"),
            keyed_batch(&[(vec![round % 7], Some(value))], time),
        );
        match round {
            1 => {
                append(store, &gone.partition(0).expect("made above"), batch(&[8; 300], &[1], None));
                store.delete_topic(&gone).expect("it is there");
            }
            2 => transactions(store, &log(1), id),
            3 => store.checkpoint().expect("nothing is wrong"),
            4 => drop(store.advance_log_start(&log(0), 2).expect("inside the log")),
            5 => drop(store.add_partitions(&orders, 3).expect("more than before")),
            60 | 100 => {
                store.flush().expect("nothing is wrong");
                store.clean().expect("nothing is wrong");
                store.build_index_files().expect("nothing is wrong");
                store.checkpoint().expect("nothing is wrong");
            }
            _ => {}
        }
    }
    store.flush().expect("nothing is wrong");
}

/// An aborted transaction, a committed one, and one that stays open.
fn transactions(store: &Store, partition: &Arc<PartitionLog>, id: i64) {
    for (sequence, end) in [(0, Some(MarkerType::Abort)), (1, Some(MarkerType::Commit)), (2, None)] {
        let producer = Producer { id, epoch: 0, sequence };
        append_verified(store, partition, transactional(b"maybe", &[5], producer)).expect("verified");
        if let Some(end) = end {
            append(store, partition, marker(id, 0, end, 0));
        }
    }
}

/// No edit, then one of every kind in every file of every base, with and without CRCs put right, started and inspected.
pub fn seeds() -> Vec<Vec<u8>> {
    let mut seeds = Vec::new();
    for (what, base) in (0..16_u8).map(|what| (what, &BASES[usize::from(what & BASE)])) {
        seeds.push(vec![what]);
        for file in 0..u8::try_from(base.files.len()).expect("few files") {
            for operation in [0x18, 0x03, 0x04, 0x05, 0x06, 0x3f, 0x9f] {
                seeds.push(vec![what, file, operation, 0x10, operation.wrapping_mul(file), 1, 0xff, 0, 7]);
            }
        }
    }
    seeds
}
