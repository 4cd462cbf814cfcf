//! Verify, dump and salvage of directories as a broker leaves them, and of what lies in them that is not whole.
#![allow(clippy::unwrap_used, reason = "a test that cannot go on should say where")]

mod support;

use std::collections::BTreeMap;
use std::io::IoSlice;
use std::ops::ControlFlow;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use bytes::Bytes;
use storage::disk::{Disk, LocalDisk};
use storage::inspect::{DumpLine, Filter, Finding, InspectError, Inspection, Salvaged, Severity};
use storage::{Append, Configs, FlushMode, Store, SystemClock};
use support::simulated_disk::{Faults, SimulatedDisk};
use support::{Random, SMALL_FILE, append, batch, config, keyed_batch, open, read_all};
use uuid::Uuid;

const DIR: &str = "/data";
const NEW_DIR: &str = "/salvaged";

fn open_at(disk: &SimulatedDisk, dir: &str) -> Arc<Store> {
    open(Arc::new(disk.clone()), config(dir, FlushMode::Sync)).unwrap().0
}

fn inspection(disk: &SimulatedDisk, dir: &str) -> Inspection {
    Inspection::open(Path::new(dir), Arc::new(disk.clone())).unwrap()
}

fn verify(disk: &SimulatedDisk, dir: &str) -> Vec<Finding> {
    let mut findings = Vec::new();
    let verified = inspection(disk, dir).verify(&mut |finding| findings.push(finding), &mut |_| {}).unwrap();
    let bad = findings.iter().filter(|finding| finding.severity > Severity::Note).count();
    assert_eq!(verified.bad, bad);
    findings
}

fn salvage(disk: &SimulatedDisk) -> (Salvaged, Vec<Finding>) {
    let mut findings = Vec::new();
    let (clock, report) = (Arc::new(SystemClock), &mut |finding| findings.push(finding));
    let salvaged = inspection(disk, DIR).salvage(Path::new(NEW_DIR), clock, report, &mut |_| {}).unwrap();
    (salvaged, findings)
}

fn log_file(base: u64) -> PathBuf {
    Path::new(DIR).join(format!("commitlog/{base:020}"))
}

fn overwrite(disk: &SimulatedDisk, path: &Path, at: u64, bytes: &[u8]) {
    disk.open(path).unwrap().write_all_at(&mut [IoSlice::new(bytes)], at).unwrap();
}

fn frames(disk: &SimulatedDisk, filter: &Filter) -> Vec<storage::inspect::FrameLine> {
    let mut frames = Vec::new();
    inspection(disk, DIR)
        .dump(filter, &mut |line| {
            if let DumpLine::Frame(frame) = line {
                frames.push(*frame);
            }
            ControlFlow::Continue(())
        })
        .unwrap();
    frames
}

/// What every partition of every topic holds.
fn records(store: &Store) -> BTreeMap<(String, i32), Vec<Bytes>> {
    let mut records = BTreeMap::new();
    for topic in store.topics() {
        for partition in topic.partitions().iter() {
            let batches = read_all(store, partition, partition.log_start_offset());
            records.insert((topic.name().to_string(), partition.partition()), batches);
        }
    }
    records
}

/// A store with one topic of one partition and `count` batches of one record, each in a group of its own.
fn one_topic(disk: &SimulatedDisk, count: u8) -> Arc<Store> {
    let store = open_at(disk, DIR);
    let (topic, _) = store.create_topic("orders", Uuid::from_u128(1), 1, Configs::default()).unwrap();
    for value in 0..count {
        append(&store, &topic.partition(0).unwrap(), batch(&[value; 700], &[i64::from(value)], None));
        store.flush().unwrap();
    }
    store
}

/// Compacted topics, deleted ones, moved log starts: files rewritten, given up and recycled.
fn cleaned(disk: &SimulatedDisk, random: &mut Random) -> Arc<Store> {
    let store = open_at(disk, DIR);
    let compact = Configs::from([
        ("cleanup.policy".to_owned(), "compact".to_owned()),
        ("segment.bytes".to_owned(), "20000".to_owned()),
    ]);
    let (keyed, _) = store.create_topic("keyed", Uuid::from_u128(1), 2, compact).unwrap();
    let (plain, _) = store.create_topic("plain", Uuid::from_u128(2), 2, Configs::default()).unwrap();
    for round in 0..12 {
        let name = format!("doomed-{round}");
        let (doomed, _) =
            store.create_topic(&name, Uuid::from_u128(100 + round), 1, Configs::default()).unwrap();
        for _ in 0..40 {
            let key = vec![u8::try_from(random.below(9)).unwrap()];
            let value = vec![7; usize::try_from(random.below(900)).unwrap()];
            let side = i32::try_from(random.below(2)).unwrap();
            append(&store, &keyed.partition(side).unwrap(), keyed_batch(&[(key, Some(value))], 5));
            append(&store, &plain.partition(side).unwrap(), batch(&[1; 50], &[1, 2], None));
            append(&store, &doomed.partition(0).unwrap(), batch(&[2; 2000], &[1], None));
        }
        store.flush().unwrap();
        if round % 2 == 0 {
            store.delete_topic(&doomed).unwrap();
        }
        if round == 7 {
            store.advance_log_start(&plain.partition(0).unwrap(), 101).unwrap();
        }
        store.clean().unwrap();
        store.housekeep().unwrap();
        if random.coin() {
            store.checkpoint().unwrap();
        }
    }
    store.flush().unwrap();
    store
}

#[test]
fn cleaned_and_recycled_logs_have_nothing_wrong_and_are_salvaged_whole() {
    let mut rewritten = 0;
    for seed in 0..6 {
        let disk = SimulatedDisk::default();
        let store = cleaned(&disk, &mut Random(seed));
        if seed % 2 == 0 {
            store.close().unwrap();
        }
        let disk = disk.kill();
        let names = disk.list(&Path::new(DIR).join("commitlog")).unwrap();
        rewritten += names.iter().filter(|name| name.starts_with("046116860")).count();
        let expected = records(&open_at(&disk.kill(), DIR));
        for (what, remove) in [("as it is", None), ("without its checkpoint", Some("checkpoint"))] {
            let disk = disk.kill();
            if let Some(name) = remove {
                disk.remove(&Path::new(DIR).join(name)).unwrap();
            }
            let damage: Vec<Finding> =
                verify(&disk, DIR).into_iter().filter(|found| found.severity == Severity::Damage).collect();
            assert_eq!(damage, [], "seed {seed}, {what}");
            salvage(&disk);
            assert_eq!(verify(&disk, NEW_DIR), [], "seed {seed}, {what}");
            assert!(records(&open_at(&disk, NEW_DIR)) == expected, "seed {seed}, {what}");
        }
    }
    assert!(rewritten > 0, "no log had a rewrite file");
}

#[test]
fn torn_tail_is_a_note_and_what_lies_whole_in_it_is_salvaged() {
    let disk = SimulatedDisk::default();
    let store = one_topic(&disk, 5);
    let partition = store.topic("orders").unwrap().partition(0).unwrap();
    let end = append(&store, &partition, batch(&[9; 700], &[9], None)).end;
    append(&store, &partition, batch(&[10; 700], &[10], None));
    let disk = disk.kill();
    overwrite(&disk, &log_file(0), end.0 - 100, &[0; 8]);
    let findings = verify(&disk, DIR);
    assert_eq!(findings.len(), 1, "{findings:?}");
    assert_eq!(findings[0].severity, Severity::Note);
    assert!(findings[0].to_string().contains("the next start cuts it"), "{}", findings[0]);
    let (salvaged, _) = salvage(&disk);
    assert_eq!(salvaged.batches, 6);
    let store = open_at(&disk, NEW_DIR);
    let partition = store.topic("orders").unwrap().partition(0).unwrap();
    assert_eq!(partition.log_end_offset(), 7);
    assert_eq!(append(&store, &partition, batch(&[1; 5], &[1], None)).base_offset, 7);
}

#[test]
fn group_that_was_never_finished_is_a_torn_tail() {
    let disk = SimulatedDisk::default();
    let store = one_topic(&disk, 3);
    let partition = store.topic("orders").unwrap().partition(0).unwrap();
    let start = store.acknowledged();
    let both = [1, 2].map(|value| Append::new(Arc::clone(&partition), batch(&[value; 300], &[1], None)));
    let end = store.append(both.to_vec())[1].as_ref().unwrap().end;
    let disk = disk.kill();
    let (from, to) = (usize::try_from(start.0).unwrap() + 440, usize::try_from(end.0).unwrap());
    overwrite(&disk, &log_file(0), from as u64, &vec![0; to - from]);
    let findings = verify(&disk, DIR);
    assert_eq!(findings.len(), 1, "{findings:?}");
    assert_eq!((findings[0].severity, findings[0].position), (Severity::Note, Some(start)));
}

#[test]
fn topic_whose_name_is_lost_gets_one_that_says_so() {
    let disk = SimulatedDisk::default();
    let store = one_topic(&disk, 4);
    let expected = read_all(&store, &store.topic("orders").unwrap().partition(0).unwrap(), 0);
    let disk = disk.kill();
    let topic = frames(&disk, &Filter::default()).remove(0);
    assert_eq!(topic.kind, "topic");
    overwrite(&disk, &log_file(0), topic.position.0 + 80, &[0xff; 4]);
    let (salvaged, findings) = salvage(&disk);
    assert_eq!((salvaged.topics, salvaged.nameless, salvaged.batches), (1, 1, 4));
    let told = |part: &str| findings.iter().any(|finding| finding.to_string().contains(part));
    assert!(told("topic frame of topic number 0: payload CRC does not match"), "{findings:?}");
    assert!(told("name, id and configs of topic number 0 are lost"), "{findings:?}");
    let store = open_at(&disk, NEW_DIR);
    let topic = store.topic("salvaged-topic-0").unwrap();
    assert_eq!(read_all(&store, &topic.partition(0).unwrap(), 0), expected);
}

#[test]
fn partition_whose_front_is_lost_begins_where_its_records_begin() {
    let disk = SimulatedDisk::default();
    let store = one_topic(&disk, 200);
    store.close().unwrap();
    let disk = disk.kill();
    disk.remove(&log_file(0)).unwrap();
    let first = frames(&disk, &Filter::default())[0].base_offset;
    let findings = verify(&disk, DIR);
    assert_eq!((findings.len(), findings[0].what.as_str()), (1, "this commitlog file is missing"));
    let lost = &findings[0].offsets[0];
    assert_eq!(
        (lost.name.as_deref(), lost.first, lost.last, lost.exact),
        (Some("orders"), 0, first - 1, true)
    );
    salvage(&disk);
    for replay in [false, true] {
        if replay {
            disk.remove(&Path::new(NEW_DIR).join("checkpoint")).unwrap();
        }
        let store = open_at(&disk, NEW_DIR);
        let partition = store.topic("orders").unwrap().partition(0).unwrap();
        assert_eq!((partition.log_start_offset(), partition.log_end_offset()), (first, 200));
        assert_eq!(read_all(&store, &partition, first).len(), usize::try_from(200 - first).unwrap());
        drop(store);
    }
}

#[test]
fn files_gone_from_the_end_or_wiped_are_damage_when_the_checkpoint_knows_better() {
    let disk = SimulatedDisk::default();
    one_topic(&disk, 250).close().unwrap();
    let disk = disk.kill();
    let cut = disk.kill();
    for base in [2, 3] {
        cut.remove(&log_file(base * SMALL_FILE)).unwrap();
    }
    let findings = verify(&cut, DIR);
    assert_eq!((findings.len(), findings[0].severity), (1, Severity::Damage), "{findings:?}");
    assert_eq!((&findings[0].file, findings[0].offsets[0].last), (&log_file(2 * SMALL_FILE), 249));
    for base in 0..4 {
        let file = log_file(base * SMALL_FILE);
        overwrite(&disk, &file, 4096, &vec![0; usize::try_from(SMALL_FILE - 4096).unwrap()]);
    }
    let findings = verify(&disk, DIR);
    assert_eq!((findings.len(), findings[0].severity), (1, Severity::Damage), "{findings:?}");
    let lost = &findings[0].offsets[0];
    assert_eq!((lost.first, lost.last), (0, 249));
}

#[test]
fn salvage_does_without_format_checkpoint_and_snapshot() {
    let disk = SimulatedDisk::default();
    let store = one_topic(&disk, 200);
    let partition = store.topic("orders").unwrap().partition(0).unwrap();
    store.advance_log_start(&partition, 20).unwrap();
    let (id, _) = store.allocate_producer_id().unwrap();
    let configs = Configs::from([("log.retention.ms".to_owned(), "5".to_owned())]);
    store.set_broker_configs(configs.clone()).unwrap();
    store.close().unwrap();
    let expected = records(&store);
    let disk = disk.kill();
    for path in disk.paths().into_iter().filter(|path| !path.starts_with(Path::new(DIR).join("commitlog"))) {
        disk.remove(&path).unwrap();
    }
    let (salvaged, findings) = salvage(&disk);
    assert_eq!(salvaged.nameless, 0);
    assert!(findings.iter().any(|finding| finding.what.contains("format file is missing")), "{findings:?}");
    let store = open_at(&disk, NEW_DIR);
    assert_eq!(records(&store), expected);
    assert_eq!(*store.broker_configs(), configs);
    assert!(store.allocate_producer_id().unwrap().0 > id);
}

#[test]
fn forged_file_size_is_found_and_salvage_makes_files_as_they_were() {
    let disk = SimulatedDisk::default();
    let store = one_topic(&disk, 20);
    store.close().unwrap();
    let expected = records(&store);
    drop(store);
    let path = Path::new(DIR).join("format");
    let mut format = disk.contents(&path);
    format[28..36].copy_from_slice(&0xff01_0000_u64.to_be_bytes());
    let crc = crc32c::crc32c(&format[..36]);
    format[36..].copy_from_slice(&crc.to_be_bytes());
    overwrite(&disk, &path, 0, &format);
    let (_, findings) = salvage(&disk);
    assert!(findings.iter().any(|finding| finding.file == path), "{findings:?}");
    let first = Path::new(NEW_DIR).join(format!("commitlog/{:020}", 0));
    assert_eq!(disk.open(&first).unwrap().len(), SMALL_FILE);
    assert_eq!(records(&open_at(&disk, NEW_DIR)), expected);
}

#[test]
fn damaged_queue_page_is_rebuildable_and_names_its_offsets() {
    let disk = SimulatedDisk::default();
    one_topic(&disk, 200).close().unwrap();
    let disk = disk.kill();
    // Entry 3 of the first page.
    let page = Path::new(DIR).join("consumequeue/00000000");
    overwrite(&disk, &page, 16 + 3 * 48 + 5, &[0xee]);
    let findings = verify(&disk, DIR);
    assert_eq!(findings.len(), 1, "{findings:?}");
    let finding = &findings[0];
    assert_eq!((finding.severity, &finding.file, finding.at), (Severity::Rebuildable, &page, 16 + 3 * 48));
    assert_eq!((finding.offsets[0].first, finding.offsets[0].last), (0, 84));
}

#[test]
fn damage_in_one_topics_batch_names_its_neighbours_offsets_without_a_checkpoint() {
    let disk = SimulatedDisk::default();
    one_topic(&disk, 30).close().unwrap();
    let disk = disk.kill();
    disk.remove(&Path::new(DIR).join("checkpoint")).unwrap();
    let frame = frames(&disk, &Filter::default()).into_iter().find(|frame| frame.base_offset == 11).unwrap();
    overwrite(&disk, &log_file(0), frame.position.0, &[0; 8]);
    let findings = verify(&disk, DIR);
    let damage = findings.iter().find(|finding| finding.severity == Severity::Damage).unwrap();
    assert_eq!(damage.position, Some(frame.position));
    let lost = &damage.offsets[0];
    assert_eq!((lost.first, lost.last, lost.exact), (11, 11, false));
    assert!(damage.meaning.starts_with("The next start is refused"), "{damage}");
}

#[test]
fn dump_filters_and_ends_when_nobody_wants_more() {
    let disk = SimulatedDisk::default();
    one_topic(&disk, 100).close().unwrap();
    let disk = disk.kill();
    let of =
        |topic: &str| frames(&disk, &Filter { topic: Some(topic.to_owned()), ..Filter::default() }).len();
    assert_eq!((of("orders"), of("0"), of("others")), (101, 101, 0));
    let other = Filter { partition: Some(1), ..Filter::default() };
    assert_eq!(frames(&disk, &other).len(), 0);
    let second = Filter { file: Some(format!("{SMALL_FILE:020}")), ..Filter::default() };
    assert!(frames(&disk, &second).iter().all(|frame| frame.position.0 > SMALL_FILE));
    let mut lines = 0;
    let stop_at_5 = &mut |_| {
        lines += 1;
        if lines == 5 { ControlFlow::Break(()) } else { ControlFlow::Continue(()) }
    };
    inspection(&disk, DIR).dump(&Filter::default(), stop_at_5).unwrap();
    assert_eq!(lines, 5);
    let missing = Filter { file: Some("7".to_owned()), ..Filter::default() };
    let outcome = inspection(&disk, DIR).dump(&missing, &mut |_| ControlFlow::Continue(()));
    assert!(matches!(outcome, Err(InspectError::NoSuchFile(_))));
}

#[test]
fn looking_changes_nothing_and_a_full_disk_ends_a_salvage_with_an_error() {
    let disk = SimulatedDisk::default();
    one_topic(&disk, 200).close().unwrap();
    let disk = disk.kill();
    let contents = |disk: &SimulatedDisk| -> BTreeMap<PathBuf, Vec<u8>> {
        let ours = disk.paths().into_iter().filter(|path| path.starts_with(DIR) && !path.ends_with("lock"));
        ours.map(|path| (path.clone(), disk.contents(&path))).collect()
    };
    let before = contents(&disk);
    let used: usize = before.values().map(Vec::len).sum();
    verify(&disk, DIR);
    frames(&disk, &Filter::default());
    disk.set_faults(Faults { capacity: Some(used as u64 + SMALL_FILE), ..Faults::default() });
    let outcome =
        inspection(&disk, DIR).salvage(Path::new(NEW_DIR), Arc::new(SystemClock), &mut |_| {}, &mut |_| {});
    assert!(outcome.is_err());
    disk.set_faults(Faults::default());
    assert!(contents(&disk) == before);
    let inside = Path::new(DIR).join("new");
    for target in [Path::new(NEW_DIR), &inside] {
        let outcome = inspection(&disk, DIR).salvage(target, Arc::new(SystemClock), &mut |_| {}, &mut |_| {});
        assert!(matches!(outcome, Err(InspectError::TargetInUse(_))), "{outcome:?}");
    }
}

#[test]
fn directory_in_use_or_of_something_else_is_refused_and_not_touched() {
    let dir = tempfile::tempdir().unwrap();
    let look = || Inspection::open(dir.path(), Arc::new(LocalDisk));
    assert!(matches!(look(), Err(InspectError::NotOurs(_))));
    assert_eq!(std::fs::read_dir(dir.path()).unwrap().count(), 0);
    let (store, _) = open(Arc::new(LocalDisk), config(dir.path(), FlushMode::Os)).unwrap();
    let refused = look().unwrap_err();
    assert!(matches!(&refused, InspectError::InUse { pid, .. } if *pid == std::process::id().to_string()));
    store.close().unwrap();
    drop(store);
    look().unwrap().verify(&mut |finding| panic!("{finding}"), &mut |_| {}).unwrap();
}
