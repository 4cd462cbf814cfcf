//! `onelog find` and `/find` as black boxes: a stopped directory and a running broker give the same answer, and say what is
//! wrong with a question.
#![allow(clippy::unwrap_used, reason = "a test that cannot go on should say where")]

mod support;

use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::net::TcpStream;
use std::path::Path;
use std::process::{Child, Command, Output, Stdio};
use std::time::Duration;

use protocol::record_batch_builder::RecordBatchBuilder;
use serde_json::{Value, json};
use storage::{Append, Configs, ValidBatch};
use support::open;
use uuid::Uuid;

/// A stopped directory: five records of `order-1`, one of a key that is no text, and a topic that is not indexed.
fn stopped() -> tempfile::TempDir {
    let dir = tempfile::tempdir().unwrap();
    let store = open(dir.path());
    let keyed = Configs::from([("onelog.index.keys".to_owned(), "true".to_owned())]);
    let (topic, _) = store.create_topic("orders", Uuid::from_u128(1), 2, keyed).unwrap();
    store.create_topic("plain", Uuid::from_u128(2), 1, Configs::default()).unwrap();
    let send = |partition: i32, timestamp, key: &[u8], value: Option<&[u8]>| {
        let mut batch = RecordBatchBuilder::new(0);
        let header: (&[u8], Option<&[u8]>) = (b"trace", Some(b"7"));
        batch.append_with_headers(timestamp, Some(key), value, &[header]);
        let (partition, batch) =
            (topic.partition(partition).unwrap(), ValidBatch::new(batch.build()).unwrap());
        assert!(store.append(vec![Append::new(partition, batch)])[0].is_ok());
    };
    for number in 0..5 {
        send(0, 1000 + number, b"order-1", Some(format!("state {number}").as_bytes()));
        send(0, 1000 + number, b"order-2", Some(&[b'x'; 30_000]));
    }
    send(1, 1003, &[0xff, b'&', b' '], Some(&[0xfe]));
    store.close().unwrap();
    dir
}

fn find(arguments: &[&str]) -> Output {
    Command::new(env!("CARGO_BIN_EXE_onelog")).arg("find").args(arguments).output().unwrap()
}

fn json_lines(output: &Output) -> Vec<Value> {
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8(output.stdout.clone())
        .unwrap()
        .lines()
        .map(|line| serde_json::from_str(line).unwrap())
        .collect()
}

/// The one sentence that a search which cannot be done ends with.
fn refusal(arguments: &[&str]) -> String {
    let output = find(arguments);
    assert_eq!(output.status.code(), Some(1));
    assert!(output.stdout.is_empty());
    String::from_utf8(output.stderr).unwrap()
}

/// A broker on `dir`, killed when dropped.
struct Running {
    child: Child,
    admin: String,
}

impl Running {
    fn start(dir: &Path) -> Self {
        let mut child = Command::new(env!("CARGO_BIN_EXE_onelog"))
            .arg("--data-dir")
            .arg(dir)
            .args(["--listen", "127.0.0.1:0", "--admin", "127.0.0.1:0"])
            .env_remove("ONELOG_LOG")
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        let mut lines = BufReader::new(child.stderr.take().unwrap()).lines().map(Result::unwrap);
        let summary = lines.find(|line| line.contains("listens on")).expect("it starts");
        std::thread::spawn(move || lines.for_each(drop));
        let admin = summary.split_once("admin on http://").unwrap().1.trim().to_owned();
        Self { child, admin }
    }

    fn get(&self, path: &str) -> String {
        let mut stream = TcpStream::connect(&self.admin).unwrap();
        stream.set_read_timeout(Some(Duration::from_secs(20))).unwrap();
        write!(stream, "GET {path} HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n").unwrap();
        let mut text = String::new();
        stream.read_to_string(&mut text).unwrap();
        text
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        drop(self.child.kill());
        drop(self.child.wait());
    }
}

/// Asks everything of the searched thing that `place` names.
fn check(place: &[&str]) {
    let ask = |more: &[&str]| json_lines(&find(&[place, &["--topic", "orders", "--json"], more].concat()));
    let all = ask(&["--key", "order-1"]);
    let offsets: Vec<i64> = all.iter().map(|record| record["offset"].as_i64().unwrap()).collect();
    assert_eq!(offsets, [8, 6, 4, 2, 0], "newest first");
    assert_eq!(
        all[1],
        json!({
            "partition": 0,
            "offset": 6,
            "timestamp": 1003,
            "value": { "text": "state 3", "bytes": 7 },
            "headers": [{ "key": { "text": "trace", "bytes": 5 }, "value": { "text": "7", "bytes": 1 } }],
        })
    );
    assert_eq!(ask(&["--key", "order-1", "--from", "1001", "--to", "1002"]), all[2..4]);
    assert_eq!(ask(&["--key", "no such order"]), [] as [Value; 0]);
    let binary = ask(&["--key-hex", "ff2620"]);
    assert_eq!((&binary[0]["partition"], &binary[0]["value"]["hex"]), (&json!(1), &json!("fe")));

    let some = find(&[place, &["--topic", "orders", "--key", "order-1", "--limit", "2"]].concat());
    let text = String::from_utf8(some.stdout).unwrap();
    assert_eq!(
        text,
        "partition 0 offset 8 timestamp 1004 \"trace\"=\"7\": \"state 4\"\n\
         partition 0 offset 6 timestamp 1003 \"trace\"=\"7\": \"state 3\"\n"
    );
    assert!(String::from_utf8(some.stderr).unwrap().contains("there may be more"));

    let unknown = refusal(&[place, &["--topic", "nothing", "--key", "a"]].concat());
    assert!(unknown.contains("error: there is no topic nothing"), "{unknown}");
    let unindexed = refusal(&[place, &["--topic", "plain", "--key", "a"]].concat());
    assert!(unindexed.contains("--add-config onelog.index.keys=true"), "{unindexed}");
}

#[test]
fn stopped_directory_and_running_broker_give_the_same_answers() {
    let dir = stopped();
    let path = dir.path().to_str().unwrap();
    check(&["--data-dir", path]);
    check(&["--data-dir", path]);
    let broker = Running::start(dir.path());
    check(&["--admin", &broker.admin]);

    let in_use = refusal(&["--data-dir", path, "--topic", "orders", "--key", "a"]);
    assert!(in_use.contains("in use by process") && in_use.contains("--admin HOST:PORT"), "{in_use}");
    let answer = broker.get("/find?topic=orders&key=order-1&limit=1");
    assert!(answer.starts_with("HTTP/1.1 200") && answer.contains("onelog-more: true"), "{answer}");
    assert!(answer.ends_with("}\n"), "{answer}");
    assert!(broker.get("/find?topic=orders&key=order-1").contains("application/jsonl"));
    let wrong = broker.get("/find?topic=orders");
    assert!(wrong.starts_with("HTTP/1.1 400") && wrong.contains("key is missing"), "{wrong}");
    assert!(broker.get("/find?topic=nothing&key=a").starts_with("HTTP/1.1 404"));
    assert!(broker.get("/find?topic=plain&key=a").starts_with("HTTP/1.1 409"));
}

#[test]
fn places_that_are_not_there_are_named() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().to_str().unwrap();
    let empty = refusal(&["--data-dir", path, "--topic", "t", "--key", "a"]);
    assert!(empty.contains("is no onelog data directory") && empty.contains("--data-dir"), "{empty}");
    assert_eq!(std::fs::read_dir(dir.path()).unwrap().count(), 0, "nothing is made");
    let free = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().to_string();
    let nobody = refusal(&["--admin", &free, "--topic", "t", "--key", "a"]);
    assert!(nobody.contains("no broker answers at") && nobody.contains("--admin HOST:PORT"), "{nobody}");
    let missing = refusal(&["--topic", "t"]);
    assert!(missing.contains("--key"), "{missing}");
    let limit = refusal(&["--topic", "t", "--key", "a", "--limit", "0"]);
    assert!(limit.contains("from 1 to 10000"), "{limit}");
}
