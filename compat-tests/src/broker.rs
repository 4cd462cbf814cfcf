//! The broker under test: one process, started on free ports of 127.0.0.1, killed with -9 and started again on the
//! same port and data. `kafka` and `onelog` know only how to write a command line and how to tell that it serves.

mod kafka;
mod onelog;

use std::fs::{self, File};
use std::net::{SocketAddr, TcpListener};
use std::path::{Path, PathBuf};
use std::process::{Command, ExitStatus, Stdio};
use std::sync::OnceLock;
use std::time::Duration;

use anyhow::{Context as _, Result, bail};

use crate::process::GuardedProcess;
use crate::{clock, layout, wire};

/// Kafka waits about 12 s for its former session after a kill.
const START_LIMIT: Duration = Duration::from_secs(60);

/// This workspace's binary, built first if need be; it is Kafka's tools too.
///
/// # Errors
/// It does not build.
pub fn onelog_binary() -> Result<&'static Path> {
    onelog::binary()
}

/// Which broker the cases run against: environment variable `COMPAT_BROKER`, `onelog` when it is not set.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum BrokerKind {
    /// This workspace's binary.
    Onelog,
    /// Apache Kafka, to prove the cases.
    Kafka,
}

impl BrokerKind {
    /// The broker that the environment asks for.
    ///
    /// # Errors
    /// `COMPAT_BROKER` is neither `onelog` nor `kafka`.
    pub fn from_environment() -> Result<Self> {
        match std::env::var("COMPAT_BROKER").as_deref() {
            Err(_) | Ok("onelog") => Ok(Self::Onelog),
            Ok("kafka") => Ok(Self::Kafka),
            Ok(other) => bail!("COMPAT_BROKER is {other:?}: it must be `onelog` or `kafka`"),
        }
    }

    /// Its name in results.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Onelog => "onelog",
            Self::Kafka => "kafka",
        }
    }

    /// How long an answered admin call may take to show everywhere. KRaft propagates it; Onelog promises that it
    /// shows once answered, so there it gets no time at all.
    #[must_use]
    pub fn settle_limit(self) -> Duration {
        match self {
            Self::Onelog => Duration::ZERO,
            Self::Kafka => Duration::from_secs(15),
        }
    }

    /// How often the crash case kills the broker; Kafka takes 12 s to come back each time.
    #[must_use]
    pub fn kills(self) -> usize {
        match self {
            Self::Onelog => 3,
            Self::Kafka => 1,
        }
    }
}

const LOCAL: &str = "127.0.0.1";

/// What clients see of a broker besides its answers. Some suites insist on it.
#[derive(Debug, Clone)]
pub struct Identity {
    /// Where it listens; a free port when there is none.
    pub port: Option<u16>,
    /// The host that it tells clients.
    pub host: String,
    /// Its number.
    pub node_id: i32,
    /// Lines of configuration that win over the common ones.
    pub properties: String,
}

impl Default for Identity {
    fn default() -> Self {
        Self { port: None, host: LOCAL.to_owned(), node_id: 0, properties: String::new() }
    }
}

/// A broker process. Dropping it kills the process and removes its data.
#[derive(Debug)]
pub struct Broker {
    kind: BrokerKind,
    folder: PathBuf,
    /// Inside `folder` unless its owner keeps it elsewhere.
    data: PathBuf,
    port: u16,
    /// The name that clients are told.
    host: String,
    process: Option<GuardedProcess>,
    log: PathBuf,
}

impl Broker {
    /// The broker that all cases of this test binary share, started at first use.
    ///
    /// # Errors
    /// It cannot be set up or does not begin to serve; every case then fails with that error.
    pub fn shared() -> Result<&'static Self> {
        static SHARED: OnceLock<Result<Broker, String>> = OnceLock::new();
        let started = SHARED.get_or_init(|| {
            BrokerKind::from_environment().and_then(Self::start).map_err(|error| format!("{error:#}"))
        });
        started.as_ref().map_err(|error| anyhow::anyhow!("{error}"))
    }

    /// A broker on a new data folder, serving.
    ///
    /// # Errors
    /// It cannot be set up or does not begin to serve within a minute.
    pub fn start(kind: BrokerKind) -> Result<Self> {
        Self::start_as(kind, Identity::default())
    }

    /// The same with what a suite insists on.
    ///
    /// # Errors
    /// As [`Broker::start`], or the port is taken.
    pub fn start_as(kind: BrokerKind, identity: Identity) -> Result<Self> {
        let folder = layout::scratch_dir(kind.name())?;
        let log = layout::log_file(&format!("broker-{}", kind.name()))?;
        let port = match kind {
            BrokerKind::Onelog => {
                let Identity { node_id, properties, .. } = &identity;
                onelog::prepare(&folder, &format!("node.id={node_id}\n{properties}"))?;
                identity.port.unwrap_or(0)
            }
            BrokerKind::Kafka => kafka::prepare(&folder, &identity)?,
        };
        let data = folder.join("data");
        let mut broker = Self { kind, folder, data, port, host: identity.host, process: None, log };
        broker.launch()?;
        Ok(broker)
    }

    /// Onelog with its data in `data`, which stays when the broker is dropped, and more lines of configuration.
    ///
    /// # Errors
    /// As [`Broker::start`].
    pub fn start_on(data: PathBuf, properties: &str) -> Result<Self> {
        let kind = BrokerKind::Onelog;
        let folder = layout::scratch_dir(kind.name())?;
        let log = layout::log_file(&format!("broker-{}", kind.name()))?;
        onelog::prepare(&folder, properties)?;
        let mut broker = Self { kind, folder, data, port: 0, host: LOCAL.to_owned(), process: None, log };
        broker.launch()?;
        Ok(broker)
    }

    /// Its kind.
    #[must_use]
    pub fn kind(&self) -> BrokerKind {
        self.kind
    }

    /// `host:port` for clients.
    #[must_use]
    pub fn address(&self) -> String {
        self.socket().to_string()
    }

    /// The same as a socket address.
    #[must_use]
    pub fn socket(&self) -> SocketAddr {
        SocketAddr::from(([127, 0, 0, 1], self.port))
    }

    /// Where its admin endpoints answer.
    ///
    /// # Errors
    /// It has none.
    pub fn admin(&self) -> Result<SocketAddr> {
        let ready = fs::read_to_string(self.folder.join("ready"))?;
        let line = ready.lines().find_map(|line| line.strip_prefix("admin "));
        Ok(line.context("the broker was started without admin endpoints")?.parse()?)
    }

    /// Stops it where it is: it answers nothing from here on. Only `kill` ends that.
    ///
    /// # Errors
    /// It does not run.
    pub fn freeze(&mut self) -> Result<()> {
        self.process.as_mut().context("the broker does not run")?.freeze()
    }

    /// Does `work` while the broker stands still outside the kernel.
    ///
    /// # Errors
    /// It does not run or does not stop, or what `work` says.
    pub fn while_frozen(&mut self, work: impl FnOnce() -> Result<()>) -> Result<()> {
        let process = self.process.as_mut().context("the broker does not run")?;
        process.freeze_outside_kernel()?;
        work()?;
        process.thaw()
    }

    /// kill -9.
    pub fn kill(&mut self) {
        self.process = None;
    }

    /// How the process ended, when it did by itself.
    pub fn exit_status(&mut self) -> Option<ExitStatus> {
        self.process.as_mut().and_then(GuardedProcess::exit_status)
    }

    /// All that it printed since its first start.
    #[must_use]
    pub fn output(&self) -> String {
        fs::read_to_string(&self.log).unwrap_or_default()
    }

    /// Starts it again on the same data and port, and waits until it serves.
    ///
    /// # Errors
    /// It ends or does not serve within a minute.
    pub fn restart(&mut self) -> Result<()> {
        self.kill();
        self.launch()
    }

    fn launch(&mut self) -> Result<()> {
        let mut command = match self.kind {
            BrokerKind::Onelog => onelog::command(&self.folder, &self.data, &self.host, self.port)?,
            BrokerKind::Kafka => kafka::command(&self.folder)?,
        };
        let output = File::options().create(true).append(true).open(&self.log)?;
        command.stdin(Stdio::null()).stdout(output.try_clone()?).stderr(output);
        self.process = Some(GuardedProcess::start(&mut command, Some(&self.folder))?);
        let serving = clock::poll_until(START_LIMIT, Duration::from_millis(20), || self.serving())?;
        serving.with_context(|| self.words("does not serve after a minute"))
    }

    /// `Some` once it answers Metadata with itself in it.
    fn serving(&mut self) -> Result<Option<()>> {
        if let Some(status) = self.exit_status() {
            bail!(self.words(&format!("ended at its start with {status}")));
        }
        if self.kind == BrokerKind::Onelog {
            let Some(port) = onelog::reported_port(&self.folder)? else { return Ok(None) };
            self.port = port;
        }
        Ok(wire::broker_count(self.socket()).ok().filter(|count| *count > 0).map(|_| ()))
    }

    fn words(&self, what: &str) -> String {
        let log = self.output();
        let lines: Vec<_> = log.lines().collect();
        let tail = lines[lines.len().saturating_sub(15)..].join("\n");
        format!("the broker {} {what}; the end of its output:\n{tail}", self.kind.name())
    }
}

impl Drop for Broker {
    fn drop(&mut self) {
        self.kill();
        fs::remove_dir_all(&self.folder).ok();
    }
}

/// Configs that both brokers get: four partitions as most client suites assume, groups that form at once, few internal
/// partitions.
const COMMON_CONFIG: &str = "num.partitions=4\n\
                             group.initial.rebalance.delay.ms=0\n\
                             group.min.session.timeout.ms=1000\n\
                             auto.create.topics.enable=true\n\
                             offsets.topic.num.partitions=2\n\
                             transaction.state.log.num.partitions=2\n";

/// A port of 127.0.0.1 that nobody has at the moment.
///
/// # Errors
/// The system gives none.
pub fn free_port() -> Result<u16> {
    Ok(TcpListener::bind(("127.0.0.1", 0))?.local_addr()?.port())
}

fn new_command(program: impl AsRef<std::ffi::OsStr>) -> Command {
    Command::new(program)
}
