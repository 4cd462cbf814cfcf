//! A running driver: one process of one client, spoken to in JSON lines (`drivers/README.md`).
//! The cases call the verbs below; each is one line out and one line in.

use std::fmt;
use std::fs::{self, File};
use std::io::{BufRead as _, BufReader, Write as _};
use std::path::PathBuf;
use std::process::{ChildStdin, Command, Stdio};
use std::sync::mpsc::{Receiver, sync_channel};
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use anyhow::{Context as _, Result, anyhow, bail};
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use crate::client::Client;
use crate::layout;
use crate::process::GuardedProcess;

/// Longer than any verb's own limits, which drivers keep at two minutes.
const ANSWER_LIMIT: Duration = Duration::from_secs(150);

/// A driver process on loan to a case. Dropping it hands the process on to the next case that asks for this client
/// and broker, unless it holds a group member or a load or did not answer: then it is killed, without a goodbye.
#[derive(Debug)]
pub struct Driver {
    process: Option<DriverProcess>,
    reusable: bool,
}

#[derive(Debug)]
struct DriverProcess {
    client: &'static str,
    address: String,
    process: GuardedProcess,
    requests: ChildStdin,
    answers: Receiver<String>,
    log: PathBuf,
}

/// Idle processes: starting a Java machine or an interpreter costs more than most cases do.
static IDLE: Mutex<Vec<DriverProcess>> = Mutex::new(Vec::new());

/// What leaves a process in a state that another case must not meet.
const STATEFUL: &[&str] = &["group_join", "load_start"];

/// An error that the client reported.
#[derive(Debug, Clone, Deserialize)]
pub struct ClientError {
    /// Kafka's error code, or the client's own below zero, or none.
    pub code: Option<i32>,
    /// The client's words.
    pub message: String,
}

impl fmt::Display for ClientError {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.code {
            Some(code) => write!(formatter, "client error {code}: {}", self.message),
            None => write!(formatter, "client error: {}", self.message),
        }
    }
}

impl std::error::Error for ClientError {}

#[derive(Deserialize)]
#[serde(rename_all = "lowercase")]
enum Answer {
    Ok(Value),
    Error(ClientError),
}

impl Driver {
    /// An idle driver of the client against the broker at `address`, or a new one.
    ///
    /// # Errors
    /// As [`Driver::start`].
    pub fn borrow(client: &Client, address: &str) -> Result<Self> {
        let mut idle = IDLE.lock().unwrap_or_else(PoisonError::into_inner);
        match idle.iter().position(|one| one.client == client.name && one.address == address) {
            Some(place) => Ok(Self { process: Some(idle.swap_remove(place)), reusable: true }),
            None => {
                drop(idle);
                Self::start(client, address)
            }
        }
    }

    /// Starts the client's driver against the broker at `address`, setting its language up first if need be.
    ///
    /// # Errors
    /// The setup fails or the process cannot be started.
    pub fn start(client: &Client, address: &str) -> Result<Self> {
        Ok(Self { process: Some(DriverProcess::start(client, address)?), reusable: true })
    }

    /// Ends the idle drivers of a broker that goes away.
    pub fn forget(address: &str) {
        IDLE.lock().unwrap_or_else(PoisonError::into_inner).retain(|one| one.address != address);
    }

    /// One verb: sends `arguments` and waits for the answer.
    ///
    /// # Errors
    /// A [`ClientError`] if the client reported one; else the driver died, hung or broke the line protocol.
    pub fn call<T: DeserializeOwned>(&mut self, verb: &str, arguments: impl Serialize) -> Result<T> {
        self.send(verb, arguments)?;
        self.receive()
    }

    /// The first half of [`Self::call`], so that several drivers work at the same time.
    ///
    /// # Errors
    /// The driver is gone.
    pub fn send(&mut self, verb: &str, arguments: impl Serialize) -> Result<()> {
        let mut request = serde_json::to_value(arguments)?;
        let fields = request.as_object_mut().context("a verb's arguments are an object")?;
        fields.insert("verb".to_owned(), json!(verb));
        self.reusable &= !STATEFUL.contains(&verb);
        self.process()?.send(&request)
    }

    /// The second half of [`Self::call`].
    ///
    /// # Errors
    /// As [`Self::call`].
    pub fn receive<T: DeserializeOwned>(&mut self) -> Result<T> {
        let answer = self.process()?.receive();
        self.reusable &= answer.is_ok();
        match answer? {
            Answer::Ok(value) => {
                serde_json::from_value(value).context("the driver answered in another shape")
            }
            Answer::Error(error) => bail!(error),
        }
    }

    /// kill -9: the client says no goodbye and its group finds out by the session timeout.
    pub fn kill(mut self) {
        self.process = None;
    }

    fn process(&mut self) -> Result<&mut DriverProcess> {
        self.process.as_mut().context("the driver was killed")
    }
}

impl Drop for Driver {
    fn drop(&mut self) {
        if let Some(process) = self.process.take().filter(|_| self.reusable) {
            IDLE.lock().unwrap_or_else(PoisonError::into_inner).push(process);
        }
    }
}

impl DriverProcess {
    fn start(client: &Client, address: &str) -> Result<Self> {
        let line = client.toolchain.prepare()?;
        let (program, arguments) = line.split_first().context("an empty driver command")?;
        let log = layout::log_file(client.name)?;
        let mut process = GuardedProcess::start(
            Command::new(program)
                .args(arguments)
                .arg(address)
                .stdin(Stdio::piped())
                .stdout(Stdio::piped())
                .stderr(File::create(&log)?),
            None,
        )?;
        let requests = process.child().stdin.take().context("the driver has no stdin")?;
        let stdout = process.child().stdout.take().context("the driver has no stdout")?;
        let (sender, answers) = sync_channel(4);
        std::thread::spawn(move || {
            for line in BufReader::new(stdout).lines().map_while(Result::ok) {
                if sender.send(line).is_err() {
                    return;
                }
            }
        });
        Ok(Self { client: client.name, address: address.to_owned(), process, requests, answers, log })
    }

    fn send(&mut self, request: &Value) -> Result<()> {
        let sent = writeln!(self.requests, "{request}").and_then(|()| self.requests.flush());
        sent.map_err(|error| self.gone(&format!("takes no request: {error}")))
    }

    fn receive(&mut self) -> Result<Answer> {
        let line = self
            .answers
            .recv_timeout(ANSWER_LIMIT)
            .map_err(|error| self.gone(&format!("gave no answer: {error}")))?;
        serde_json::from_str(&line).with_context(|| format!("{} printed no answer: {line}", self.client))
    }

    fn gone(&mut self, what: &str) -> anyhow::Error {
        let log = fs::read_to_string(&self.log).unwrap_or_default();
        let lines: Vec<_> = log.lines().collect();
        let tail = lines[lines.len().saturating_sub(20)..].join("\n");
        let status =
            self.process.exit_status().map_or("still running".to_owned(), |status| status.to_string());
        anyhow!("the {} driver ({status}) {what}; its last words:\n{tail}", self.client)
    }
}
