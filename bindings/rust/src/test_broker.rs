//! One broker process: started, waited for, asked, stopped.

use std::fmt::Display;
use std::fs::{self, File};
use std::io::{self, Read as _, Seek as _};
use std::os::unix::process::CommandExt as _;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::thread;
use std::time::{Duration, Instant};

use rustix::process::{Pid, Signal, kill_process};
use serde_json::{Value, json};
use tokio::sync::oneshot;

use crate::{ControlError, StartError, binary, control};

const PAUSE: Duration = Duration::from_millis(2);
const STOP_LIMIT: Duration = Duration::from_secs(10);
const RESET: &str = "/test/reset";

/// A broker of its own for a test, on a free port with its data in memory. Dropping it stops it.
#[derive(Debug)]
pub struct TestBroker {
    address: String,
    admin: Option<String>,
    process: Child,
    log: File,
}

impl TestBroker {
    /// Starts a broker; on return it serves. On any async runtime.
    ///
    /// # Errors
    /// See [`StartError`].
    pub async fn start() -> Result<Self, StartError> {
        Self::builder().start().await
    }

    /// The same without `async`.
    ///
    /// # Errors
    /// See [`StartError`].
    pub fn start_blocking() -> Result<Self, StartError> {
        Self::builder().start_blocking()
    }

    /// Settings for a broker.
    #[must_use]
    pub fn builder() -> Builder {
        Builder::default()
    }

    /// `host:port` for clients.
    #[must_use]
    pub fn bootstrap_servers(&self) -> &str {
        &self.address
    }

    /// Asks the control API, for example `control("GET", "/test/requests?key=produce", None)`; on any async runtime.
    ///
    /// # Errors
    /// See [`ControlError`]; a refusal has the broker's sentence.
    pub async fn control(
        &self,
        method: &str,
        path: &str,
        body: Option<Value>,
    ) -> Result<Value, ControlError> {
        let admin = self.admin()?.to_owned();
        let (method, path) = (method.to_owned(), path.to_owned());
        on_a_thread(move || control::ask(&admin, &method, &path, body.as_ref())).await?
    }

    /// The same without `async`.
    ///
    /// # Errors
    /// As [`TestBroker::control`].
    pub fn control_blocking(
        &self,
        method: &str,
        path: &str,
        body: Option<&Value>,
    ) -> Result<Value, ControlError> {
        control::ask(self.admin()?, method, path, body)
    }

    /// Makes the broker as if it had just been started empty, but for `keep_topics`; says what went.
    ///
    /// # Errors
    /// As [`TestBroker::control`].
    pub async fn reset(&self, keep_topics: &[&str]) -> Result<Value, ControlError> {
        self.control("POST", RESET, Some(json!({ "keep_topics": keep_topics }))).await
    }

    /// The same without `async`.
    ///
    /// # Errors
    /// As [`TestBroker::control`].
    pub fn reset_blocking(&self, keep_topics: &[&str]) -> Result<Value, ControlError> {
        self.control_blocking("POST", RESET, Some(&json!({ "keep_topics": keep_topics })))
    }

    fn admin(&self) -> Result<&str, ControlError> {
        self.admin.as_deref().ok_or(ControlError::NotServed)
    }

    /// What the broker has said so far.
    #[must_use]
    pub fn log(&self) -> String {
        read_log(&self.log)
    }
}

impl Drop for TestBroker {
    fn drop(&mut self) {
        stop(&mut self.process);
    }
}

/// How a broker is started.
#[derive(Debug, Clone)]
pub struct Builder {
    binary: Option<PathBuf>,
    topics: Vec<String>,
    configs: Vec<(String, String)>,
    test_mode: bool,
    start_timeout: Duration,
}

impl Default for Builder {
    fn default() -> Self {
        Self {
            binary: None,
            topics: Vec::new(),
            configs: Vec::new(),
            test_mode: false,
            start_timeout: Duration::from_secs(30),
        }
    }
}

impl Builder {
    /// Topics made at the start, each `NAME[:PARTITIONS]`.
    #[must_use]
    pub fn topics(mut self, topics: impl IntoIterator<Item = impl Into<String>>) -> Self {
        self.topics.extend(topics.into_iter().map(Into::into));
        self
    }

    /// A key of Kafka's `server.properties`.
    #[must_use]
    pub fn config(mut self, key: impl Into<String>, value: impl Display) -> Self {
        self.configs.push((key.into(), value.to_string()));
        self
    }

    /// Serves the control API, for [`TestBroker::control`] and [`TestBroker::reset`].
    #[must_use]
    pub fn test_mode(mut self) -> Self {
        self.test_mode = true;
        self
    }

    /// The program to start instead of what `ONELOG_BIN` or `PATH` name.
    #[must_use]
    pub fn binary(mut self, binary: impl Into<PathBuf>) -> Self {
        self.binary = Some(binary.into());
        self
    }

    /// How long the start may take; 30 seconds unless it is said.
    #[must_use]
    pub fn start_timeout(mut self, limit: Duration) -> Self {
        self.start_timeout = limit;
        self
    }

    /// Starts the broker; on return it serves. On any async runtime: a thread waits, not the executor.
    ///
    /// # Errors
    /// See [`StartError`].
    pub async fn start(self) -> Result<TestBroker, StartError> {
        on_a_thread(move || self.start_blocking()).await?
    }

    /// Starts the broker; on return it serves.
    ///
    /// # Errors
    /// See [`StartError`].
    pub fn start_blocking(self) -> Result<TestBroker, StartError> {
        let binary = match &self.binary {
            Some(binary) => binary.clone(),
            None => {
                let [named, path] = ["ONELOG_BIN", "PATH"].map(std::env::var_os);
                binary::find(named.as_deref(), path.as_deref())?
            }
        };
        // The folder goes as soon as the broker serves, so that nothing can leave it behind; the log stays readable.
        let folder = tempfile::Builder::new().prefix("onelog-").tempdir()?;
        let (ready, log) = (folder.path().join("ready"), folder.path().join("log"));
        let output = File::create(&log)?;
        let log = File::open(&log)?;
        let mut process = match self.command(&binary, &ready).stderr(output).spawn() {
            Ok(process) => process,
            Err(source) => return Err(StartError::NotStarted { binary, source }),
        };
        match self.wait_until_ready(binary, &mut process, &ready, &log) {
            Ok(text) => {
                let mut lines = text.lines();
                let address = lines.next().unwrap_or_default().to_owned();
                let admin = lines.find_map(|line| line.strip_prefix("admin ")).filter(|_| self.test_mode);
                Ok(TestBroker { address, admin: admin.map(str::to_owned), process, log })
            }
            Err(error) => {
                stop(&mut process);
                Err(error)
            }
        }
    }

    fn command(&self, binary: &Path, ready: &Path) -> Command {
        let mut command = Command::new(binary);
        command.arg("dev").arg("--ready-file").arg(ready);
        if !self.topics.is_empty() {
            command.arg("--topics").arg(self.topics.join(","));
        }
        if self.test_mode {
            command.arg("--test-mode");
        }
        for (key, value) in &self.configs {
            command.arg("--override").arg(format!("{key}={value}"));
        }
        // What configures the program under test must not configure the broker.
        for (name, _) in
            std::env::vars_os().filter(|(name, _)| name.as_encoded_bytes().starts_with(b"KAFKA_"))
        {
            command.env_remove(name);
        }
        // A group of its own: Ctrl-C at the terminal is for the tests, which then stop the broker.
        command.stdin(Stdio::null()).stdout(Stdio::null()).process_group(0);
        command
    }

    fn wait_until_ready(
        &self,
        binary: PathBuf,
        process: &mut Child,
        ready: &Path,
        log: &File,
    ) -> Result<String, StartError> {
        let limit = self.start_timeout;
        let mut ended = None;
        let text = within(limit, || {
            ended = process.try_wait()?;
            match fs::read_to_string(ready) {
                Ok(text) => Ok(Some(Some(text))),
                Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(ended.map(|_| None)),
                Err(error) => Err(error),
            }
        })?;
        let log = || read_log(log);
        match (text, ended) {
            (Some(Some(text)), _) => Ok(text),
            (_, Some(status)) => Err(StartError::Ended { binary, status, log: log() }),
            _ => Err(StartError::Late { binary, limit, log: log() }),
        }
    }
}

/// What `work` returns: a thread waits for it, not the executor. A broker that nobody waits for any more is dropped, and so stopped.
async fn on_a_thread<T: Send + 'static>(work: impl FnOnce() -> T + Send + 'static) -> io::Result<T> {
    let (sender, receiver) = oneshot::channel();
    thread::Builder::new().name("onelog".to_owned()).spawn(move || drop(sender.send(work())))?;
    receiver.await.map_err(io::Error::other)
}

/// Asks it to end, and makes it end when it does not.
fn stop(process: &mut Child) {
    if asked_to_end(process).is_none() {
        drop(process.kill());
        drop(process.wait());
    }
}

fn asked_to_end(process: &mut Child) -> Option<ExitStatus> {
    // A process that was waited for may have left its number to another.
    if let Ok(Some(status)) = process.try_wait() {
        return Some(status);
    }
    let pid = Pid::from_raw(i32::try_from(process.id()).ok()?)?;
    kill_process(pid, Signal::TERM).ok()?;
    within(STOP_LIMIT, || process.try_wait()).ok().flatten()
}

/// What `probe` finds, or `None` when it finds nothing within `limit`.
#[expect(clippy::disallowed_methods, reason = "a test waits for another process by this machine's clock")]
fn within<T>(limit: Duration, mut probe: impl FnMut() -> io::Result<Option<T>>) -> io::Result<Option<T>> {
    let began = Instant::now();
    loop {
        match probe()? {
            None if began.elapsed() < limit => thread::sleep(PAUSE),
            found => return Ok(found),
        }
    }
}

fn read_log(mut log: &File) -> String {
    let mut bytes = Vec::new();
    // What cannot be read is left out: this is for people, after something else went wrong.
    if log.rewind().is_ok() && log.read_to_end(&mut bytes).is_err() {
        bytes.extend(b"(the rest cannot be read)");
    }
    String::from_utf8_lossy(&bytes).into_owned()
}
