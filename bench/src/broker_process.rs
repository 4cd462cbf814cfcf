//! A broker as a child process on a folder of its own: started, timed, pinned, stopped, killed with -9, started again.
//!
//! `onelog` and `kafka` know only how to write the command line. Invariant: whatever ends the benchmark, its brokers end
//! with it: a `sh` watchdog holds a pipe that closes with this process, then kills the broker and removes its folder.

use std::fs::{self, File};
use std::net::{SocketAddr, TcpListener};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use anyhow::{Context as _, Result, bail};
use kafka_protocol::messages::{ApiVersionsRequest, MetadataRequest};
use rustix::process::{Pid, Signal, kill_process};
use serde::Serialize;

use crate::wire::Connection;
use crate::{clock, cpus};

const WATCHDOG: &str = r#"trap '' INT TERM HUP; read -r _; kill -9 "$1" 2>/dev/null; rm -rf "$2""#;
/// Kafka needs 40 s after a kill with some thousand partitions.
const START_LIMIT: Duration = Duration::from_secs(180);
const BEFORE_STOP: Duration = Duration::from_millis(100);
const STOP_LIMIT: Duration = Duration::from_secs(60);

/// Which broker is measured.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "lowercase")]
pub(crate) enum Subject {
    /// This workspace's broker.
    Onelog,
    /// Apache Kafka.
    Kafka,
    /// franz-go's in-memory Kafka, beside `onelog dev` only.
    Kfake,
}

/// How to start a broker on a port and a folder; every start of the same broker uses the same.
pub(crate) type Launch = Box<dyn Fn(&Path, u16) -> Result<Command> + Send + Sync>;

/// A broker. Dropping it kills the process and removes its folder.
pub(crate) struct Broker {
    subject: Subject,
    folder: PathBuf,
    port: u16,
    log: PathBuf,
    launch: Launch,
    process: Option<(Child, Child)>,
}

impl Broker {
    /// A broker that is not started yet, with `folder` of its own and its output in `log`.
    ///
    /// # Errors
    /// The folder cannot be made or no port is free.
    pub(crate) fn new(subject: Subject, folder: PathBuf, log: PathBuf, launch: Launch) -> Result<Self> {
        fs::create_dir_all(&folder).with_context(|| format!("cannot make {}", folder.display()))?;
        Ok(Self { subject, folder, port: free_port()?, log, launch, process: None })
    }

    /// Starts it, waits until it serves, and says how long its first answer took: ApiVersions, from the start of the process.
    ///
    /// # Errors
    /// It ends, or does not serve in time.
    pub(crate) fn start(&mut self) -> Result<Duration> {
        let mut command = (self.launch)(&self.folder, self.port)?;
        let output = File::options().create(true).append(true).open(&self.log)?;
        command.stdin(Stdio::null()).stdout(output.try_clone()?).stderr(output);
        let began = clock::now();
        let child = command.spawn().with_context(|| format!("cannot start {:?}", command.get_program()))?;
        let watchdog = watchdog(child.id(), &self.folder);
        self.process = Some((child, watchdog?));
        let pause = Duration::from_micros(200);
        let answered = clock::poll_until(START_LIMIT, pause, || self.answers(began))?;
        let took = answered.with_context(|| self.words("does not answer"))?;
        let serves = clock::poll_until(START_LIMIT, Duration::from_millis(10), || Ok(self.serves()))?;
        serves.with_context(|| self.words("does not serve"))?;
        Ok(took)
    }

    /// Which broker it is.
    pub(crate) fn subject(&self) -> Subject {
        self.subject
    }

    /// Where it listens.
    pub(crate) fn address(&self) -> SocketAddr {
        SocketAddr::from(([127, 0, 0, 1], self.port))
    }

    /// Its folder; data below.
    pub(crate) fn folder(&self) -> &Path {
        &self.folder
    }

    /// Its process.
    ///
    /// # Errors
    /// It is not running.
    pub(crate) fn pid(&self) -> Result<u32> {
        self.process.as_ref().map(|(child, _)| child.id()).with_context(|| self.words("is not running"))
    }

    /// Binds it to the broker's processors, for rows that count CPU time.
    ///
    /// # Errors
    /// It is not running.
    pub(crate) fn pin(&self) -> Result<()> {
        cpus::pin_broker(self.pid()?)
    }

    /// Lets it run anywhere again.
    ///
    /// # Errors
    /// It is not running.
    pub(crate) fn unpin(&self) -> Result<()> {
        cpus::unpin_broker(self.pid()?)
    }

    /// kill -9.
    pub(crate) fn kill(&mut self) {
        let Some((mut child, mut watchdog)) = self.process.take() else { return };
        // The watchdog first: it must not fire at a process id that the system gave to another.
        for process in [&mut watchdog, &mut child] {
            if process.kill().is_ok() {
                drop(process.wait());
            }
        }
    }

    /// Asks it to stop and waits until it has.
    ///
    /// # Errors
    /// It is not running, or does not stop within a minute.
    pub(crate) fn stop(&mut self) -> Result<()> {
        let pid = Pid::from_raw(i32::try_from(self.pid()?)?).context("process 0")?;
        // Brokers answer clients a moment before they listen for signals.
        std::thread::sleep(BEFORE_STOP);
        kill_process(pid, Signal::TERM)?;
        let (child, _) = self.process.as_mut().context("it was running")?;
        let ended = clock::poll_until(STOP_LIMIT, Duration::from_millis(5), || Ok(child.try_wait()?))?;
        let status = ended.with_context(|| self.words("does not stop"))?;
        self.kill();
        // A JVM that stops cleanly on SIGTERM exits with 143.
        if status.success() || status.code() == Some(143) {
            Ok(())
        } else {
            bail!(self.words("stopped badly"))
        }
    }

    fn answers(&mut self, began: std::time::Instant) -> Result<Option<Duration>> {
        let (child, _) = self.process.as_mut().context("it was started")?;
        if let Some(status) = child.try_wait()? {
            bail!(self.words(&format!("ended at its start with {status}")));
        }
        let Ok(mut connection) = Connection::open(self.address()) else { return Ok(None) };
        let answer = connection.ask(0, &ApiVersionsRequest::default());
        Ok(answer.is_ok().then(|| clock::now() - began))
    }

    /// `Some` once it knows itself; KRaft needs a moment after its first answer.
    fn serves(&self) -> Option<()> {
        let mut connection = Connection::open(self.address()).ok()?;
        let metadata = connection.ask(1, &MetadataRequest::default().with_topics(Some(Vec::new()))).ok()?;
        (!metadata.brokers.is_empty()).then_some(())
    }

    fn words(&self, what: &str) -> String {
        let log = fs::read_to_string(&self.log).unwrap_or_default();
        let lines: Vec<_> = log.lines().collect();
        let tail = lines[lines.len().saturating_sub(15)..].join("\n");
        format!("the broker {:?} {what}; the end of its output:\n{tail}", self.subject)
    }
}

impl Drop for Broker {
    fn drop(&mut self) {
        self.kill();
        drop(fs::remove_dir_all(&self.folder));
    }
}

fn watchdog(pid: u32, folder: &Path) -> Result<Child> {
    Command::new("sh")
        .args(["-c", WATCHDOG, "watchdog", &pid.to_string()])
        .arg(folder)
        .stdin(Stdio::piped())
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .spawn()
        .context("cannot start the watchdog (sh)")
}

/// A port of 127.0.0.1 that nobody uses now.
///
/// # Errors
/// The system has none.
pub(crate) fn free_port() -> Result<u16> {
    Ok(TcpListener::bind(("127.0.0.1", 0))?.local_addr()?.port())
}
