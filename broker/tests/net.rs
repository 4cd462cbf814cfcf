//! The built binary from outside: raw bytes on its socket, its command line, its signals, its exit codes.
#![expect(
    clippy::unwrap_used,
    clippy::disallowed_methods,
    reason = "helpers of tests: they may panic and need the real time"
)]

use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::net::{TcpListener, TcpStream};
use std::path::Path;
use std::process::{Child, Command, ExitStatus, Output, Stdio};
use std::time::{Duration, Instant};

use rustix::process::{Pid, Signal, kill_process};

const PATIENCE: Duration = Duration::from_secs(20);

fn onelog(data_dir: &Path, flags: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_onelog"));
    command.arg("--data-dir").arg(data_dir).args(flags).env_remove("ONELOG_LOG");
    command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::piped());
    command
}

/// Runs a broker that must refuse to start: its exit code is 1, its one sentence is returned.
fn refusal(data_dir: &Path, flags: &[&str]) -> String {
    let mut child = onelog(data_dir, flags).spawn().unwrap();
    let begin = Instant::now();
    while child.try_wait().unwrap().is_none() && begin.elapsed() < PATIENCE {
        std::thread::sleep(Duration::from_millis(5));
    }
    drop(child.kill());
    let Output { status, stderr, .. } = child.wait_with_output().unwrap();
    let text = String::from_utf8(stderr).unwrap();
    assert_eq!(status.code(), Some(1), "{text}");
    text.lines()
        .find(|line| line.starts_with("error: "))
        .unwrap_or_else(|| panic!("no sentence in {text}"))
        .to_owned()
}

/// A broker that serves, killed when dropped.
struct Running {
    child: Child,
    address: String,
    /// The line that it starts with.
    summary: String,
    dir: tempfile::TempDir,
}

impl Running {
    fn start(flags: &[&str]) -> Self {
        let dir = tempfile::tempdir().unwrap();
        let mut child = onelog(&dir.path().join("data"), &[&["--listen", "127.0.0.1:0"], flags].concat())
            .spawn()
            .unwrap();
        let mut lines = BufReader::new(child.stderr.take().unwrap()).lines().map(Result::unwrap);
        let summary = lines.find(|line| line.contains("listens on")).expect("it starts");
        std::thread::spawn(move || lines.for_each(drop));
        let address = word_after(&summary, "advertises ");
        Self { child, address, summary, dir }
    }

    fn connect(&self) -> TcpStream {
        let stream = TcpStream::connect(&self.address).unwrap();
        stream.set_read_timeout(Some(PATIENCE)).unwrap();
        stream
    }

    fn terminate(&mut self) -> ExitStatus {
        kill_process(Pid::from_child(&self.child), Signal::TERM).unwrap();
        let begin = Instant::now();
        loop {
            if let Some(status) = self.child.try_wait().unwrap() {
                return status;
            }
            assert!(begin.elapsed() < Duration::from_secs(5), "a stop takes less than 5 s");
            std::thread::sleep(Duration::from_millis(5));
        }
    }

    fn resident_kib(&self) -> u64 {
        let status = std::fs::read_to_string(format!("/proc/{}/status", self.child.id())).unwrap();
        let line = status.lines().find(|line| line.starts_with("VmRSS:")).unwrap();
        line.split_whitespace().nth(1).unwrap().parse().unwrap()
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        drop(self.child.kill());
        drop(self.child.wait());
    }
}

fn word_after(text: &str, before: &str) -> String {
    let rest = text.split_once(before).unwrap_or_else(|| panic!("no {before:?} in {text}")).1;
    rest.split([',', ' ']).next().unwrap().to_owned()
}

fn frame(body: &[u8]) -> Vec<u8> {
    [&u32::try_from(body.len()).unwrap().to_be_bytes()[..], body].concat()
}

/// ApiVersions in version 0, without client id.
fn api_versions(correlation: i32) -> Vec<u8> {
    frame(&[&[0, 18, 0, 0][..], &correlation.to_be_bytes(), &[0xff, 0xff]].concat())
}

/// One response: correlation id and the rest.
fn response(stream: &mut TcpStream) -> (i32, Vec<u8>) {
    let mut prefix = [0; 4];
    stream.read_exact(&mut prefix).unwrap();
    let mut body = vec![0; usize::try_from(u32::from_be_bytes(prefix)).unwrap()];
    stream.read_exact(&mut body).unwrap();
    (i32::from_be_bytes(body[..4].try_into().unwrap()), body.split_off(4))
}

fn assert_serves(stream: &mut TcpStream, correlation: i32) {
    stream.write_all(&api_versions(correlation)).unwrap();
    let (echoed, body) = response(stream);
    assert_eq!((echoed, &body[..2]), (correlation, &[0, 0][..]), "correlation id and no error");
}

/// True when the broker closed the connection without an answer.
fn is_closed(stream: &mut TcpStream) -> bool {
    matches!(stream.read(&mut [0; 1]), Ok(0)) || stream.take_error().unwrap().is_some()
}

#[test]
fn pipelined_requests_in_odd_pieces_are_answered_in_order() {
    let broker = Running::start(&[]);
    let mut stream = broker.connect();
    let bytes: Vec<u8> = (0..50).flat_map(api_versions).collect();
    for piece in bytes.chunks(13) {
        stream.write_all(piece).unwrap();
    }
    for correlation in 0..50 {
        assert_eq!(response(&mut stream).0, correlation);
    }
}

#[test]
fn hostile_bytes_cost_their_own_connection_and_no_memory() {
    let broker = Running::start(&[]);
    let mut healthy = broker.connect();
    assert_serves(&mut healthy, 1);
    let before = broker.resident_kib();

    let mut hostile: Vec<Vec<u8>> = vec![
        b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03".to_vec(),
        b"GET / HTTP/1.1\r\nHost: x\r\n\r\n".to_vec(),
        i32::MAX.to_be_bytes().to_vec(),
        (-1_i32).to_be_bytes().to_vec(),
        0_i32.to_be_bytes().to_vec(),
        frame(&[0x7f; 8]),
    ];
    // Every API key and a few that are none, with a count of 2^31-1 right behind an empty client id.
    for key in -1_i16..100 {
        let head = [&key.to_be_bytes()[..], &[0, 1, 0, 0, 0, 9, 0xff, 0xff]].concat();
        hostile.push(frame(&[&head[..], &[0x7f, 0xff, 0xff, 0xff], &[0; 40]].concat()));
        hostile.push(frame(&[&head[..], &[0xff; 40]].concat()));
    }
    for bytes in &hostile {
        let mut stream = broker.connect();
        stream.write_all(bytes).unwrap();
        stream.shutdown(std::net::Shutdown::Write).unwrap();
        // Closed or answered with an error, but never left hanging.
        let mut rest = Vec::new();
        drop(stream.read_to_end(&mut rest));
    }
    assert_serves(&mut healthy, 2);
    let grown = broker.resident_kib().saturating_sub(before);
    assert!(grown < 16 * 1024, "grew by {grown} KiB over {} connections", hostile.len());
}

#[test]
fn a_huge_claimed_length_allocates_nothing() {
    let broker = Running::start(&[]);
    let before = broker.resident_kib();
    let streams: Vec<TcpStream> = (0..100)
        .map(|_| {
            let mut stream = broker.connect();
            stream.write_all(&[&(100_i32 << 20).to_be_bytes()[..], &[0; 1000]].concat()).unwrap();
            stream
        })
        .collect();
    assert_serves(&mut broker.connect(), 1);
    let grown = broker.resident_kib().saturating_sub(before);
    assert!(grown < 16 * 1024, "grew by {grown} KiB");
    drop(streams);
}

#[test]
fn tls_and_http_clients_are_closed() {
    let broker = Running::start(&[]);
    for bytes in [&b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03"[..], b"GET / HTTP/1.1\r\n\r\n"] {
        let mut stream = broker.connect();
        stream.write_all(bytes).unwrap();
        assert!(is_closed(&mut stream));
    }
}

#[test]
fn connections_over_a_limit_are_closed_and_the_others_stay() {
    let dir = tempfile::tempdir().unwrap();
    let properties = dir.path().join("server.properties");
    std::fs::write(&properties, "max.connections=2\n").unwrap();
    let broker = Running::start(&["--config", properties.to_str().unwrap()]);
    let (mut first, mut second) = (broker.connect(), broker.connect());
    assert_serves(&mut first, 1);
    assert_serves(&mut second, 1);
    assert!(is_closed(&mut broker.connect()));
    assert_serves(&mut first, 2);
    drop(second);
    // The place of a connection that is gone is free again, once the broker has noticed.
    let begin = Instant::now();
    while is_closed_after_request(&mut broker.connect()) {
        assert!(begin.elapsed() < PATIENCE);
    }
}

fn is_closed_after_request(stream: &mut TcpStream) -> bool {
    stream.write_all(&api_versions(1)).is_err() || !matches!(stream.read(&mut [0; 4]), Ok(4))
}

#[test]
fn terminate_stops_it_cleanly_with_an_idle_client_connected() {
    let mut broker = Running::start(&[]);
    let mut idle = broker.connect();
    assert_serves(&mut idle, 1);
    assert_eq!(broker.terminate().code(), Some(0));
    assert!(is_closed(&mut idle));
}

#[test]
fn the_ready_file_names_the_address_and_lives_as_long_as_the_broker_serves() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("ready");
    std::fs::write(&path, "127.0.0.1:1\n").unwrap();
    let mut broker = Running::start(&["--ready-file", path.to_str().unwrap()]);
    assert_eq!(std::fs::read_to_string(&path).unwrap(), format!("{}\n", broker.address));
    broker.terminate();
    assert!(!path.exists());
}

#[test]
fn the_first_line_says_where_what_and_how() {
    let broker = Running::start(&["--advertise", "broker.example:9999", "--flush", "os"]);
    let summary = &broker.summary;
    assert!(summary.contains("advertises broker.example:9999"), "{summary}");
    assert!(
        summary.contains(&format!("keeps its data in {}", broker.dir.path().join("data").display())),
        "{summary}"
    );
    assert!(summary.contains("flush=os") && summary.contains("power failure"), "{summary}");
}

#[test]
fn admin_endpoints_answer_and_count() {
    let broker = Running::start(&["--admin", "127.0.0.1:0"]);
    assert_serves(&mut broker.connect(), 1);
    let address = word_after(&broker.summary, "admin on http://");
    let get = |path: &str| {
        let mut stream = TcpStream::connect(&address).unwrap();
        stream.set_read_timeout(Some(PATIENCE)).unwrap();
        write!(stream, "GET {path} HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n").unwrap();
        let mut text = String::new();
        stream.read_to_string(&mut text).unwrap();
        text
    };
    assert!(get("/healthz").starts_with("HTTP/1.1 200"));
    assert!(get("/readyz").starts_with("HTTP/1.1 200"));
    assert!(get("/nothing").starts_with("HTTP/1.1 404"));
    let metrics = get("/metrics");
    assert!(
        metrics.contains(
            "onelog_api_requests_total{api=\"ApiVersions\",client_software=\"unknown\",version=\"0\"} 1\n"
        ),
        "{metrics}"
    );
    assert!(metrics.contains("text/plain; version=0.0.4"), "{metrics}");
}

#[test]
fn wrong_flags_and_values_stop_the_start_with_a_sentence() {
    let dir = tempfile::tempdir().unwrap();
    let of = |flags: &[&str]| refusal(&dir.path().join("data"), flags);
    assert!(of(&["--no-such-flag"]).contains("--no-such-flag"));
    assert!(of(&["--listen", "9092"]).contains("give HOST:PORT"));
    assert!(
        of(&["--partitions", "none"])
            .contains("--partitions: num.partitions is \"none\"; give a whole number")
    );
    assert!(of(&["--flush", "never"]).contains("give one of sync, interval, os"));
    assert!(of(&["--config", "no/such/file"]).contains("no/such/file"));
    let properties = dir.path().join("server.properties");
    std::fs::write(&properties, "# mine\nnum.partitions=-1\n").unwrap();
    let sentence = of(&["--config", properties.to_str().unwrap()]);
    assert!(sentence.contains(&format!("{}:2: num.partitions is -1", properties.display())), "{sentence}");
    assert!(!dir.path().join("data").exists(), "nothing was made");
}

#[test]
fn a_port_in_use_is_named() {
    let dir = tempfile::tempdir().unwrap();
    let taken = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = taken.local_addr().unwrap().to_string();
    for flag in ["--listen", "--admin"] {
        let sentence = refusal(
            dir.path(),
            &["--listen", "127.0.0.1:0", flag, &address][if flag == "--listen" { 2.. } else { 0.. }],
        );
        assert!(sentence.contains(&format!("{address} is in use")) && sentence.contains(flag), "{sentence}");
    }
}

#[test]
fn a_second_broker_on_the_same_directory_is_refused_with_the_pid_of_the_first() {
    let broker = Running::start(&[]);
    let sentence = refusal(&broker.dir.path().join("data"), &["--listen", "127.0.0.1:0"]);
    assert!(sentence.contains(&format!("in use by process {}", broker.child.id())), "{sentence}");
    assert_serves(&mut broker.connect(), 1);
}

#[test]
fn a_directory_of_something_else_is_refused_and_left_alone() {
    let dir = tempfile::tempdir().unwrap();
    std::fs::write(dir.path().join("diary.txt"), "mine").unwrap();
    let sentence = refusal(dir.path(), &["--listen", "127.0.0.1:0"]);
    assert!(
        sentence.contains("is not an onelog data directory") && sentence.contains("diary.txt"),
        "{sentence}"
    );
    assert_eq!(std::fs::read_dir(dir.path()).unwrap().count(), 1);
}

#[test]
fn a_data_directory_that_cannot_be_made_is_named() {
    let dir = tempfile::tempdir().unwrap();
    std::fs::write(dir.path().join("file"), "").unwrap();
    let sentence = refusal(&dir.path().join("file/data"), &["--listen", "127.0.0.1:0"]);
    assert!(sentence.contains("file/data"), "{sentence}");
}
