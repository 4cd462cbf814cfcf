//! The broker under attack: what is sent at it, what it did, what `/proc` says of it, and the healthy client beside.
//!
//! Complaints are collected and end the test at once only where nothing after them would mean anything.

use std::collections::BTreeMap;
use std::fs;
use std::io::{ErrorKind, Read as _, Write as _};
use std::net::{SocketAddr, TcpStream};
use std::path::PathBuf;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::JoinHandle;
use std::time::Duration;

use anyhow::{Context as _, Result, bail, ensure};
use compat_tests::broker::{Broker, BrokerKind};
use compat_tests::clock;

use crate::layouts::API_VERSIONS;
use crate::requests;

const HEALTHY_TOPIC: &str = "healthy";
const HEALTHY_LIMIT: Duration = Duration::from_secs(1);
/// The same for a broker without optimisation, whose codecs are ten times slower.
const HEALTHY_LIMIT_UNOPTIMISED: Duration = Duration::from_secs(10);
const MOST_GROWTH_KIB: u64 = 64 << 10;
/// How long memory has to be given back after a phase.
const SETTLE_LIMIT: Duration = Duration::from_secs(5);
/// No answer and no end of the connection within this time is silence.
const REACTION_LIMIT: Duration = Duration::from_secs(10);
const MOST_COMPLAINTS: usize = 30;

/// What became of a connection.
pub(crate) enum Reaction {
    Closed,
    /// The answer from its correlation id on.
    Answered(Vec<u8>),
    Silent,
}

pub(crate) struct Siege {
    broker: Broker,
    pid: u32,
    log: PathBuf,
    healthy: Healthy,
    served: BTreeMap<i16, (i16, i16)>,
    resident_at_first: u64,
    /// Told once: memory that is kept is kept in every later phase too.
    overgrown: bool,
    frames: usize,
    complaints: Vec<String>,
}

impl Siege {
    pub(crate) fn start() -> Result<Self> {
        let broker = Broker::start(BrokerKind::Onelog)?;
        let pid = process_id(&broker)?;
        let log = fs::read_link(format!("/proc/{pid}/fd/2")).context("where the broker logs")?;
        let served = api_versions(&mut connect(broker.socket())?)?;
        create_topic(broker.socket(), HEALTHY_TOPIC)?;
        let healthy = Healthy::start(broker.socket())?;
        std::thread::sleep(Duration::from_millis(500));
        let resident_at_first = resident_kib(pid)?;
        Ok(Self {
            broker,
            pid,
            log,
            healthy,
            served,
            resident_at_first,
            overgrown: false,
            frames: 0,
            complaints: Vec::new(),
        })
    }

    /// First and last version of an API that the broker advertises.
    pub(crate) fn served(&self, key: i16) -> Option<(i16, i16)> {
        self.served.get(&key).copied()
    }

    /// Frames sent so far.
    pub(crate) fn frames(&self) -> usize {
        self.frames
    }

    /// The connection must end without a byte of an answer.
    pub(crate) fn expect_closed(&mut self, what: &str, bytes: &[u8]) -> Result<()> {
        match self.attack(bytes)? {
            Reaction::Closed => {}
            Reaction::Answered(answer) => {
                let head = &answer[..answer.len().min(40)];
                self.complain(format!("{what}: answered {head:02x?} where the connection should end"));
            }
            Reaction::Silent => self.complain(format!("{what}: neither answered nor closed")),
        }
        Ok(())
    }

    /// The connection must end or be answered.
    pub(crate) fn expect_reaction(&mut self, what: &str, bytes: &[u8]) -> Result<Reaction> {
        let reaction = self.attack(bytes)?;
        if matches!(reaction, Reaction::Silent) {
            self.complain(format!("{what}: neither answered nor closed"));
        }
        Ok(reaction)
    }

    /// Sends the same on `count` connections before any answer is read. The answers that came.
    pub(crate) fn attack_in_parallel(
        &mut self,
        what: &str,
        bytes: &[u8],
        count: usize,
    ) -> Result<Vec<Vec<u8>>> {
        let streams: Vec<_> = (0..count).map(|_| self.connect_and_send(bytes)).collect::<Result<_>>()?;
        let mut answers = Vec::new();
        for mut stream in streams {
            match reaction(&mut stream)? {
                Reaction::Answered(answer) => answers.push(answer),
                Reaction::Closed => {}
                Reaction::Silent => self.complain(format!("{what}: neither answered nor closed")),
            }
        }
        Ok(answers)
    }

    /// Sends and goes away without reading.
    pub(crate) fn hang_up(&mut self, what: &str, bytes: &[u8]) -> Result<()> {
        drop(self.connect_and_send(bytes).with_context(|| what.to_owned())?);
        Ok(())
    }

    /// Sends and keeps the connection. That the broker ends it meanwhile is no error.
    pub(crate) fn connect_and_send(&mut self, bytes: &[u8]) -> Result<TcpStream> {
        let mut stream = connect(self.broker.socket())
            .with_context(|| format!("the broker takes no connection any more:\n{}", self.last_words()))?;
        self.frames += 1;
        match stream.write_all(bytes) {
            Err(error) if !is_closing(error.kind()) => Err(error.into()),
            _ => Ok(stream),
        }
    }

    pub(crate) fn create_topic(&mut self, topic: &str) -> Result<()> {
        create_topic(self.broker.socket(), topic)
    }

    pub(crate) fn create_compacted_topic(&mut self, topic: &str) -> Result<()> {
        let mut stream = connect(self.broker.socket())?;
        let answer = exchange(&mut stream, &requests::create_compacted(topic)?)?;
        let code = requests::create_error(topic, &answer)?;
        ensure!(code == 0, "{topic} is not created: error {code}");
        Ok(())
    }

    pub(crate) fn require(&mut self, holds: bool, words: impl FnOnce() -> String) {
        if !holds {
            self.complain(words());
        }
    }

    /// After each kind of attack: the broker is there and has given its memory back, the healthy client is well.
    pub(crate) fn phase(&mut self, name: &str) -> Result<()> {
        // A process that ended stays in /proc without memory until it is waited for.
        ensure!(resident_kib(self.pid).is_ok(), "after {name} the broker is gone:\n{}", self.last_words());
        let mut growth = 0;
        let patience = if self.overgrown { Duration::ZERO } else { SETTLE_LIMIT };
        let settled = clock::poll_until(patience, Duration::from_millis(100), || {
            growth = resident_kib(self.pid)?.saturating_sub(self.resident_at_first);
            Ok((growth < MOST_GROWTH_KIB).then_some(()))
        })?;
        if settled.is_none() && !std::mem::replace(&mut self.overgrown, true) {
            let anonymous = status_kib(self.pid, "RssAnon:")?;
            self.complain(format!(
                "after {name} the broker is {growth} KiB larger; {anonymous} KiB are no mapped files"
            ));
        }
        let Seen { answers, slowest, trouble } = self.healthy.take()?;
        self.require(slowest < healthy_limit(), || {
            format!("during {name} the healthy client waited {slowest:?}")
        });
        for words in trouble {
            self.complain(format!("during {name} the healthy client: {words}"));
        }
        let peak = status_kib(self.pid, "VmHWM:")?.saturating_sub(self.resident_at_first);
        eprintln!(
            "{:5} frames; {growth:6} KiB more, at most {peak:6}; healthy {answers:5} answers within {slowest:8.1?}; {name}",
            self.frames
        );
        // The next phase has its own peak.
        fs::write(format!("/proc/{}/clear_refs", self.pid), "5").ok();
        Ok(())
    }

    /// The summary, and all complaints as one failure.
    pub(crate) fn finish(mut self) -> Result<()> {
        let log = fs::read_to_string(&self.log).context("the broker's log")?;
        for line in log.lines().filter(|line| line.contains("panic")) {
            self.complaints.push(format!("the broker's log: {line}"));
        }
        let count = self.complaints.len();
        self.complaints.truncate(MOST_COMPLAINTS);
        ensure!(count == 0, "{count} complaints, the first:\n{}", self.complaints.join("\n"));
        Ok(())
    }

    fn attack(&mut self, bytes: &[u8]) -> Result<Reaction> {
        reaction(&mut self.connect_and_send(bytes)?)
    }

    fn last_words(&self) -> String {
        let log = fs::read_to_string(&self.log).unwrap_or_default();
        let lines: Vec<_> = log.lines().collect();
        lines[lines.len().saturating_sub(10)..].join("\n")
    }

    fn complain(&mut self, words: String) {
        self.complaints.push(words);
    }
}

fn reaction(stream: &mut TcpStream) -> Result<Reaction> {
    match read_frame(stream) {
        Ok(answer) => Ok(Reaction::Answered(answer)),
        Err(error) => match error.downcast_ref::<std::io::Error>().map(std::io::Error::kind) {
            Some(ErrorKind::WouldBlock | ErrorKind::TimedOut) => Ok(Reaction::Silent),
            Some(kind) if is_closing(kind) => Ok(Reaction::Closed),
            _ => Err(error),
        },
    }
}

fn is_closing(kind: ErrorKind) -> bool {
    matches!(kind, ErrorKind::UnexpectedEof | ErrorKind::ConnectionReset | ErrorKind::BrokenPipe)
}

fn connect(address: SocketAddr) -> Result<TcpStream> {
    let stream = TcpStream::connect_timeout(&address, Duration::from_secs(5))?;
    stream.set_read_timeout(Some(REACTION_LIMIT))?;
    stream.set_write_timeout(Some(REACTION_LIMIT))?;
    stream.set_nodelay(true)?;
    Ok(stream)
}

fn read_frame(stream: &mut TcpStream) -> Result<Vec<u8>> {
    let mut size = [0; 4];
    stream.read_exact(&mut size)?;
    let size = usize::try_from(i32::from_be_bytes(size)).context("a negative answer size")?;
    ensure!((4..1 << 20).contains(&size), "an answer of {size} bytes");
    let mut answer = vec![0; size];
    stream.read_exact(&mut answer)?;
    Ok(answer)
}

fn exchange(stream: &mut TcpStream, request: &[u8]) -> Result<Vec<u8>> {
    stream.write_all(request)?;
    read_frame(stream)
}

/// Waits until the broker has it, leader and all.
fn create_topic(address: SocketAddr, topic: &str) -> Result<()> {
    let mut stream = connect(address)?;
    let request = requests::metadata(topic)?;
    let created = clock::poll_until(Duration::from_secs(5), Duration::from_millis(20), || {
        let answer = exchange(&mut stream, &request)?;
        // Error code none, then the name: not found like this in an answer with an error.
        let mut wanted = vec![0, 0];
        requests::put_string(&mut wanted, topic)?;
        Ok(answer.windows(wanted.len()).any(|window| window == wanted).then_some(()))
    })?;
    created.with_context(|| format!("{topic} is not created"))
}

/// Keys with first and last version, from ApiVersions version 0.
fn api_versions(stream: &mut TcpStream) -> Result<BTreeMap<i16, (i16, i16)>> {
    let answer = exchange(stream, &requests::request(API_VERSIONS, 0, false, &[]))?;
    let entries = answer.get(10..).context("a short ApiVersions answer")?;
    ensure!(answer[4..6] == [0, 0] && !entries.is_empty(), "ApiVersions answered {answer:02x?}");
    let number = |entry: &[u8], place: usize| i16::from_be_bytes([entry[place], entry[place + 1]]);
    Ok(entries
        .chunks_exact(6)
        .map(|entry| (number(entry, 0), (number(entry, 2), number(entry, 4))))
        .collect())
}

/// A client that asks the same two questions all the time on one connection; the answers never change.
struct Healthy {
    stop: Arc<AtomicBool>,
    seen: Arc<Mutex<Seen>>,
    client: Option<JoinHandle<()>>,
}

#[derive(Default)]
struct Seen {
    answers: usize,
    slowest: Duration,
    trouble: Vec<String>,
}

impl Healthy {
    fn start(address: SocketAddr) -> Result<Self> {
        let mut stream = connect(address)?;
        let questions = [requests::request(API_VERSIONS, 0, false, &[]), requests::metadata(HEALTHY_TOPIC)?];
        let rights =
            questions.iter().map(|question| exchange(&mut stream, question)).collect::<Result<Vec<_>>>()?;
        let (stop, seen) = (Arc::new(AtomicBool::new(false)), Arc::new(Mutex::new(Seen::default())));
        let (stopped, notes) = (Arc::clone(&stop), Arc::clone(&seen));
        let client = std::thread::spawn(move || {
            while !stopped.load(Ordering::Relaxed) {
                for (question, right) in questions.iter().zip(&rights) {
                    let begin = clock::now();
                    let answer = exchange(&mut stream, question);
                    let mut seen = notes.lock().unwrap_or_else(PoisonError::into_inner);
                    seen.slowest = seen.slowest.max(begin.elapsed());
                    match answer {
                        Ok(answer) if answer == *right => seen.answers += 1,
                        Ok(answer) => seen.trouble.push(format!("another answer than before: {answer:02x?}")),
                        Err(error) => {
                            seen.trouble.push(format!("{error:#}"));
                            return;
                        }
                    }
                }
                std::thread::sleep(Duration::from_millis(5));
            }
        });
        Ok(Self { stop, seen, client: Some(client) })
    }

    /// What it saw since the last call, once it has seen something.
    fn take(&self) -> Result<Seen> {
        let taken = clock::poll_until(REACTION_LIMIT, Duration::from_millis(5), || {
            let mut seen = self.seen.lock().unwrap_or_else(PoisonError::into_inner);
            let enough = seen.answers > 1 || !seen.trouble.is_empty();
            Ok(enough.then(|| std::mem::take(&mut *seen)))
        })?;
        taken.with_context(|| format!("the healthy client got nothing within {REACTION_LIMIT:?}"))
    }
}

impl Drop for Healthy {
    fn drop(&mut self) {
        self.stop.store(true, Ordering::Relaxed);
        if let Some(client) = self.client.take() {
            client.join().ok();
        }
    }
}

/// The child whose ready file names the broker's address.
fn process_id(broker: &Broker) -> Result<u32> {
    for entry in fs::read_dir("/proc")? {
        let Some(pid) = entry?.file_name().to_str().and_then(|name| name.parse().ok()) else { continue };
        let command = fs::read_to_string(format!("/proc/{pid}/cmdline")).unwrap_or_default();
        let mut words = command.split('\0').skip_while(|word| *word != "--ready-file").skip(1);
        let Some(ready) = words.next().and_then(|file| fs::read_to_string(file).ok()) else { continue };
        if ready.lines().next() == Some(&broker.address()) {
            return Ok(pid);
        }
    }
    bail!("no process serves {}", broker.address())
}

/// The harness builds the broker as these tests are built, unless it is told of one.
fn healthy_limit() -> Duration {
    if cfg!(debug_assertions) && std::env::var_os("ONELOG_BIN").is_none() {
        HEALTHY_LIMIT_UNOPTIMISED
    } else {
        HEALTHY_LIMIT
    }
}

fn resident_kib(pid: u32) -> Result<u64> {
    status_kib(pid, "VmRSS:")
}

fn status_kib(pid: u32, field: &str) -> Result<u64> {
    let status = fs::read_to_string(format!("/proc/{pid}/status")).context("the broker is gone")?;
    let line = status.lines().find_map(|line| line.strip_prefix(field)).context("no such field")?;
    Ok(line.split_whitespace().next().context("an empty field")?.parse()?)
}
