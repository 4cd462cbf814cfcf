//! `onelog dev` and the ways to configure a broker, as black boxes.
#![allow(clippy::unwrap_used, reason = "a test that cannot go on should say where")]

use std::io::{BufRead as _, BufReader, Read as _};
use std::net::TcpStream;
use std::path::Path;
use std::process::{Child, ChildStdout, Command, Stdio};
use std::time::Duration;

fn onelog() -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_onelog"));
    command.env_clear().stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
    command
}

/// Killed when dropped.
struct Running(Child);

impl Drop for Running {
    fn drop(&mut self) {
        drop(self.0.kill());
        drop(self.0.wait());
    }
}

fn first_line(out: &mut BufReader<ChildStdout>) -> String {
    let mut line = String::new();
    out.read_line(&mut line).unwrap();
    line.trim_end().to_owned()
}

/// Waits for what comes about by itself.
fn eventually(what: &str, holds: impl Fn() -> bool) {
    for _ in 0..4_000 {
        if holds() {
            return;
        }
        std::thread::sleep(Duration::from_millis(5));
    }
    panic!("{what} did not come about");
}

fn connects(address: &str) -> bool {
    TcpStream::connect(address).is_ok()
}

#[test]
fn dev_prints_its_address_says_it_is_ready_and_leaves_nothing_behind() {
    let dir = tempfile::tempdir().unwrap();
    let ready = dir.path().join("ready");
    let mut child = onelog();
    child.args(["dev", "--topics", "a:3,b", "--ready-file"]).arg(&ready).env("TMPDIR", dir.path());
    let mut running = Running(child.spawn().unwrap());
    let mut out = BufReader::new(running.0.stdout.take().unwrap());
    let address = first_line(&mut out);
    assert!(address.starts_with("127.0.0.1:") && connects(&address), "{address}");
    assert!(first_line(&mut out).contains("Transitioning from RECOVERY to RUNNING"));
    assert!(first_line(&mut out).contains("[KafkaServer id=0] started"));
    assert!(first_line(&mut out).contains("Kafka Server started"));
    assert_eq!(std::fs::read_to_string(&ready).unwrap().lines().next(), Some(address.as_str()));
    let pid = running.0.id();
    let data = data_directory(pid).expect("the data is somewhere");
    signal(pid, "TERM");
    assert!(running.0.wait().unwrap().success());
    assert!(!Path::new(&data).exists(), "{data} was left");
    assert!(!ready.exists());
}

/// Where a running broker keeps its files, from what it has open.
fn data_directory(pid: u32) -> Option<String> {
    let files = std::fs::read_dir(format!("/proc/{pid}/fd")).unwrap();
    let paths = files.filter_map(|file| std::fs::read_link(file.unwrap().path()).ok());
    paths.filter_map(|path| path.to_str().map(str::to_owned)).find_map(|path| {
        let begin = path.find("onelog-dev-")?;
        let end = path[begin..].find('/').map_or(path.len(), |length| begin + length);
        Some(path[..end].to_owned())
    })
}

fn signal(pid: u32, name: &str) {
    let status = Command::new("kill").args([format!("-{name}"), pid.to_string()]).status().unwrap();
    assert!(status.success());
}

#[test]
fn dev_ends_with_the_process_that_started_it() {
    let binary = env!("CARGO_BIN_EXE_onelog");
    let mut shell = Command::new("sh")
        .args(["-c", &format!("{binary} dev 2>/dev/null & read line")])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let mut out = BufReader::new(shell.stdout.take().unwrap());
    let address = first_line(&mut out);
    assert!(connects(&address), "{address}");
    shell.kill().unwrap();
    shell.wait().unwrap();
    eventually("the end of the broker", || !connects(&address));
}

#[test]
fn what_a_killed_one_left_is_removed_by_the_next_and_what_a_running_one_has_is_not() {
    let dir = tempfile::tempdir().unwrap();
    let started = || {
        let mut running = Running(onelog().arg("dev").env("TMPDIR", dir.path()).spawn().unwrap());
        first_line(&mut BufReader::new(running.0.stdout.take().unwrap()));
        let data = data_directory(running.0.id()).unwrap();
        (running, data)
    };
    let [(killed, left), (_running, kept)] = [started(), started()];
    drop(killed);
    assert!(Path::new(&left).exists());
    let _next = started();
    assert!(!Path::new(&left).exists() && Path::new(&kept).exists());
}

#[test]
fn topics_of_the_environment_are_there_at_the_start_and_wrong_ones_are_named() {
    let dir = tempfile::tempdir().unwrap();
    let data = dir.path().join("data");
    let mut command = onelog();
    command.args(["--listen", "127.0.0.1:0", "--data-dir"]).arg(&data);
    command.env("KAFKA_CREATE_TOPICS", "orders:2:1:compact,audit").env("KAFKA_NUM_PARTITIONS", "3");
    let mut running = Running(command.spawn().unwrap());
    assert!(first_line(&mut BufReader::new(running.0.stdout.take().unwrap())).contains("RUNNING"));
    signal(running.0.id(), "TERM");
    assert!(running.0.wait().unwrap().success());
    let dump = onelog().args(["log", "dump"]).arg(&data).output().unwrap();
    let dump = String::from_utf8(dump.stdout).unwrap();
    assert!(dump.contains("topic orders ") && dump.contains("topic audit "), "{dump}");

    let mut wrong = onelog();
    wrong.args(["--data-dir"]).arg(dir.path().join("other")).env("KAFKA_CREATE_TOPICS", "a:none");
    let output = wrong.output().unwrap();
    let sentence = String::from_utf8(output.stderr).unwrap();
    assert_eq!(output.status.code(), Some(1));
    assert!(sentence.contains("KAFKA_CREATE_TOPICS: onelog.create.topics has \"a:none\""), "{sentence}");
}

#[test]
fn config_print_shows_values_with_the_place_they_come_from() {
    let dir = tempfile::tempdir().unwrap();
    let file = dir.path().join("server.properties");
    std::fs::write(&file, "# mine\nnum.partitions=3\nlog.retention.hours=1\n").unwrap();
    let mut command = onelog();
    command.args(["config", "print", "--effective", "--config"]).arg(&file);
    command.args(["--override", "fetch.max.bytes=4096", "--partitions", "9"]).env("KAFKA_NODE_ID", "4");
    let mut child = command.spawn().unwrap();
    let mut text = String::new();
    child.stdout.take().unwrap().read_to_string(&mut text).unwrap();
    assert!(child.wait().unwrap().success());
    for line in [
        "num.partitions=9  # --partitions",
        "fetch.max.bytes=4096  # --override",
        "node.id=4  # KAFKA_NODE_ID",
        "auto.create.topics.enable=true  # default",
    ] {
        assert!(text.lines().any(|it| it == line), "{line} is missing in\n{text}");
    }
    let place = format!("log.retention.hours=1  # {}:3", file.display());
    assert!(text.contains(&place), "{text}");
    let few = onelog().args(["config", "print", "--config"]).arg(&file).output().unwrap();
    assert_eq!(String::from_utf8(few.stdout).unwrap().lines().count(), 2);
}

#[test]
fn a_service_manager_is_told_when_clients_are_served_and_when_it_stops() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("notify");
    let socket = std::os::unix::net::UnixDatagram::bind(&path).unwrap();
    socket.set_read_timeout(Some(Duration::from_secs(20))).unwrap();
    let mut running = Running(onelog().arg("dev").env("NOTIFY_SOCKET", &path).spawn().unwrap());
    let mut message = [0; 64];
    let length = socket.recv(&mut message).unwrap();
    assert_eq!(&message[..length], b"READY=1");
    signal(running.0.id(), "TERM");
    let length = socket.recv(&mut message).unwrap();
    assert_eq!(&message[..length], b"STOPPING=1");
    assert!(running.0.wait().unwrap().success());
}

#[test]
fn an_advertised_address_that_nobody_reaches_is_taken_back_through_the_one_that_is_listened_on() {
    let mut running = Running(onelog().arg("dev").spawn().unwrap());
    let address = first_line(&mut BufReader::new(running.0.stdout.take().unwrap()));
    let configs = |change: [&str; 2]| {
        let broker =
            ["configs", "--bootstrap-server", &address, "--entity-type", "brokers", "--entity-name", "0"];
        onelog().args(broker).arg("--alter").args(change).output().unwrap()
    };
    // A name that exists nowhere (RFC 2606).
    let away = configs(["--add-config", "advertised.listeners=[PLAINTEXT://broker.invalid:1]"]);
    assert!(away.status.success(), "{away:?}");
    let back = configs(["--delete-config", "advertised.listeners"]);
    assert!(back.status.success(), "{back:?}");
    let topics = onelog()
        .args(["topics", "--bootstrap-server", &address, "--create", "--topic", "t"])
        .output()
        .unwrap();
    assert!(topics.status.success(), "{topics:?}");
}
