//! `onelog log` as a black box: exit codes, messages, JSON, and that looking changes nothing.
#![allow(clippy::unwrap_used, reason = "a test that cannot go on should say where")]

mod support;

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use protocol::record_batch_builder::RecordBatchBuilder;
use serde_json::Value;
use storage::{Append, Configs, ReadRequest, Store, ValidBatch};
use support::open;
use uuid::Uuid;

const BATCHES: i64 = 60;

/// One test at a time: a child that another test is just starting holds copies of this one's locks until it is the binary.
fn alone() -> MutexGuard<'static, ()> {
    static ALONE: Mutex<()> = Mutex::new(());
    ALONE.lock().unwrap_or_else(PoisonError::into_inner)
}

/// A store with one batch of one record per offset of `orders`, spread over a few files.
fn filled(dir: &Path) -> Arc<Store> {
    let store = open(dir);
    let (topic, _) = store.create_topic("orders", Uuid::from_u128(1), 1, Configs::default()).unwrap();
    for index in 0..BATCHES {
        let mut batch = RecordBatchBuilder::new(0);
        batch.append(1000 + index, Some(format!("key {index}").as_bytes()), Some(&[0xff; 3000]));
        let batch = ValidBatch::new(batch.build()).unwrap();
        let partition = topic.partition(0).unwrap();
        assert!(store.append(vec![Append::new(partition, batch)])[0].is_ok());
    }
    store
}

fn stopped() -> tempfile::TempDir {
    let dir = tempfile::tempdir().unwrap();
    filled(dir.path()).close().unwrap();
    dir
}

fn log(arguments: &[&str]) -> Output {
    Command::new(env!("CARGO_BIN_EXE_onelog")).arg("log").args(arguments).output().unwrap()
}

fn text(bytes: &[u8]) -> String {
    String::from_utf8(bytes.to_vec()).unwrap()
}

fn json_lines(output: &Output) -> Vec<Value> {
    text(&output.stdout).lines().map(|line| serde_json::from_str(line).unwrap()).collect()
}

/// Every file with its bytes, but for the pid that the holder of the lock leaves.
fn contents(dir: &Path) -> BTreeMap<PathBuf, Vec<u8>> {
    let mut files = BTreeMap::new();
    let mut dirs = vec![dir.to_owned()];
    while let Some(dir) = dirs.pop() {
        for entry in fs::read_dir(dir).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() {
                dirs.push(path);
            } else if !path.ends_with("lock") {
                files.insert(path.clone(), fs::read(path).unwrap());
            }
        }
    }
    files
}

/// Flips a bit in the value of the batch at `offset`; returns the file.
fn damage(dir: &Path, offset: i64) -> PathBuf {
    let path = dir.to_str().unwrap();
    let lines = json_lines(&log(&["dump", path, "--topic", "orders", "--partition", "0", "--json"]));
    let frame = lines.iter().find(|line| line["base_offset"] == offset && line["kind"] == "batch").unwrap();
    let position = frame["position"].as_u64().unwrap();
    let base = position / (64 * 1024) * (64 * 1024);
    let file = dir.join(format!("commitlog/{base:020}"));
    let mut bytes = fs::read(&file).unwrap();
    bytes[usize::try_from(position - base).unwrap() + 1000] ^= 1;
    fs::write(&file, bytes).unwrap();
    file
}

#[test]
fn whole_directory_verifies_with_code_0_and_is_left_as_it_is() {
    let _alone = alone();
    let dir = stopped();
    let (path, before) = (dir.path().to_str().unwrap(), contents(dir.path()));
    let output = log(&["verify", path]);
    assert_eq!(output.status.code(), Some(0), "{output:?}");
    assert!(text(&output.stdout).starts_with("nothing is wrong: "), "{output:?}");
    let output = log(&["verify", path, "--json"]);
    let lines = json_lines(&output);
    assert_eq!((lines.len(), &lines[0]["type"], &lines[0]["bad"]), (1, &"summary".into(), &0.into()));
    assert_eq!(lines[0]["batches"], BATCHES);
    assert_eq!(log(&["dump", path, "--records"]).status.code(), Some(0));
    assert_eq!(contents(dir.path()), before);
}

#[test]
fn damage_is_named_with_file_byte_position_topic_and_offsets_and_gives_code_1() {
    let _alone = alone();
    let dir = stopped();
    let file = damage(dir.path(), 17);
    let (path, before) = (dir.path().to_str().unwrap(), contents(dir.path()));
    let output = log(&["verify", path, "--json"]);
    assert_eq!(output.status.code(), Some(1), "{output:?}");
    let lines = json_lines(&output);
    let finding = &lines[0];
    assert_eq!(finding["severity"], "damage");
    assert_eq!(finding["file"], file.to_str().unwrap());
    let base: u64 = file.file_name().unwrap().to_str().unwrap().parse().unwrap();
    assert_eq!(finding["position"].as_u64().unwrap() - base, finding["byte"].as_u64().unwrap());
    let records = &finding["records"][0];
    assert_eq!((&records["topic"], &records["partition"]), (&"orders".into(), &0.into()));
    assert_eq!((&records["first_offset"], &records["last_offset"]), (&17.into(), &17.into()));
    assert_eq!(records["exact"], true);
    assert_eq!(lines[1]["bad"], 1);
    let output = log(&["verify", path]);
    let said = text(&output.stdout);
    for part in ["damage: ", file.to_str().unwrap(), "topic orders partition 0 offset 17", "1 thing is wrong"]
    {
        assert!(said.contains(part), "no {part:?} in {said}");
    }
    assert_eq!(contents(dir.path()), before);
}

#[test]
fn directory_in_use_is_refused_with_the_pid() {
    let _alone = alone();
    let dir = tempfile::tempdir().unwrap();
    let store = filled(dir.path());
    for command in ["verify", "dump"] {
        let output = log(&[command, dir.path().to_str().unwrap()]);
        assert_eq!(output.status.code(), Some(2), "{output:?}");
        let said = text(&output.stderr);
        assert!(said.contains(&format!("is in use by process {}", std::process::id())), "{said}");
    }
    store.close().unwrap();
}

#[test]
fn what_is_no_data_directory_or_no_command_line_gives_code_2() {
    let _alone = alone();
    let dir = tempfile::tempdir().unwrap();
    let missing = dir.path().join("missing");
    for (arguments, said) in [
        (vec!["verify", dir.path().to_str().unwrap()], "is not an onelog data directory"),
        (vec!["verify", missing.to_str().unwrap()], "No such file"),
        (vec!["verify"], "Usage"),
        (vec!["mend", "x"], "mend"),
    ] {
        let output = log(&arguments);
        assert_eq!(output.status.code(), Some(2), "{output:?}");
        assert!(text(&output.stderr).contains(said), "{output:?}");
    }
    assert!(!missing.exists() && fs::read_dir(dir.path()).unwrap().next().is_none());
}

#[test]
fn dump_shows_frames_and_records_and_filters_them() {
    let _alone = alone();
    let dir = stopped();
    let path = dir.path().to_str().unwrap();
    let all = json_lines(&log(&["dump", path, "--json"]));
    assert_eq!(all[0]["kind"], "topic");
    let batches: Vec<&Value> = all.iter().filter(|line| line["kind"] == "batch").collect();
    assert_eq!(batches.len(), usize::try_from(BATCHES).unwrap());
    assert_eq!((&batches[5]["topic"], &batches[5]["batch"]["codec"]), (&"orders".into(), &"none".into()));
    assert!(all.iter().all(|line| line["type"] == "frame" && line["first"].is_boolean()));

    let position = batches[40]["position"].as_u64().unwrap().to_string();
    let late = json_lines(&log(&["dump", path, "--json", "--records", "--from-position", &position]));
    assert_eq!(late[0]["base_offset"], 40);
    let record = &late[0]["batch"]["shown"][0];
    assert_eq!((&record["key"]["text"], &record["offset"]), (&"key 40".into(), &40.into()));
    assert_eq!(
        (&record["value"]["bytes"], record["value"]["hex"].as_str().unwrap().len()),
        (&3000.into(), 512)
    );

    let second = json_lines(&log(&["dump", path, "--json", "--file", "00000000000000065536"]));
    let within = |line: &Value| (65536..131_072).contains(&line["position"].as_u64().unwrap());
    assert!(!second.is_empty() && second.iter().all(within));
    assert!(json_lines(&log(&["dump", path, "--json", "--topic", "others"])).is_empty());
    let output = log(&["dump", path, "--file", "5"]);
    assert_eq!(output.status.code(), Some(2), "{output:?}");
    let lines = text(&log(&["dump", path, "--topic", "orders", "--records"]).stdout);
    assert!(lines.contains("batch topic orders (0) partition 0 offsets 3-3 records 1"), "{lines}");
    assert!(lines.contains("key \"key 3\" value 0xffff"), "{lines}");
}

#[test]
fn salvage_writes_what_is_whole_and_says_what_is_lost() {
    let _alone = alone();
    let dir = stopped();
    damage(dir.path(), 17);
    let parent = tempfile::tempdir().unwrap();
    let new_dir = parent.path().join("new");
    let (path, new_path) = (dir.path().to_str().unwrap(), new_dir.to_str().unwrap());
    let output = log(&["salvage", path, new_path, "--json"]);
    assert_eq!(output.status.code(), Some(1), "{output:?}");
    let lines = json_lines(&output);
    assert_eq!(lines[0]["records"][0]["first_offset"], 17);
    let summary = lines.last().unwrap();
    assert_eq!((&summary["topics"], &summary["batches"]), (&1.into(), &(BATCHES - 1).into()));

    let output = log(&["salvage", path, new_path]);
    assert_eq!(output.status.code(), Some(2), "{output:?}");
    assert!(text(&output.stderr).contains("is not empty"), "{output:?}");
    assert_eq!(log(&["verify", new_path]).status.code(), Some(0));

    let old = open(dir.path()).cluster_id();
    let store = open(&new_dir);
    assert_eq!(store.cluster_id(), old);
    let partition = store.topic("orders").unwrap().partition(0).unwrap();
    let request = ReadRequest { from: 16, limit: i64::MAX, max_bytes: 4000, at_least_one: true };
    let read = store.read(&partition, &request).unwrap();
    assert_eq!(read.batches[0][..8], 16_i64.to_be_bytes());
    let after_gap = store.read(&partition, &ReadRequest { from: 17, ..request }).unwrap();
    assert_eq!(after_gap.batches[0][..8], 18_i64.to_be_bytes());
    assert_eq!(partition.log_end_offset(), BATCHES);
}

#[test]
fn salvage_of_a_whole_directory_gives_code_0() {
    let _alone = alone();
    let (dir, new_dir) = (stopped(), tempfile::tempdir().unwrap());
    let output = log(&["salvage", dir.path().to_str().unwrap(), new_dir.path().to_str().unwrap()]);
    assert_eq!(output.status.code(), Some(0), "{output:?}");
    assert!(text(&output.stdout).starts_with("wrote 1 topics"), "{output:?}");
}
