//! Sends a scenario to one broker and keeps what came of every frame.

use std::collections::{BTreeMap, VecDeque};
use std::io::{ErrorKind, Read as _, Write as _};
use std::net::{SocketAddr, TcpStream};
use std::time::Duration;

use anyhow::{Context as _, Result, ensure};
use serde_json::{Value, json};

use super::scenario::{Action, Scenario, Step, Wait};
use super::schema::Schemas;
use super::variables::Variables;
use super::{decode, encode};
use crate::clock;

/// How long a broker may think. Longer than any wait that a table asks for.
const ANSWER_LIMIT: Duration = Duration::from_secs(12);
const REPEAT_LIMIT: Duration = Duration::from_secs(10);
const REPEAT_PAUSE: Duration = Duration::from_millis(50);
const MAX_ANSWER: usize = 64 << 20;

/// What came of one step.
#[derive(Debug, Clone)]
pub struct Outcome {
    /// The answer, or one of the texts `closed`, `no answer`, `unreadable: ..` under the key `_outcome`.
    pub answer: Value,
    /// The variables at that moment, to recognise their values in the answer.
    pub variables: Variables,
    /// How many frames were sent for it.
    pub frames: usize,
}

/// Plays `scenario` against the broker at `address`: one outcome per step.
///
/// # Errors
/// The table is wrong, or the broker cannot be reached any more.
pub fn play(schemas: &Schemas, address: SocketAddr, scenario: &Scenario) -> Result<Vec<Outcome>> {
    let mut player = Player {
        schemas,
        address,
        variables: Variables::new(&scenario.title),
        connections: BTreeMap::new(),
        correlation_id: 0,
    };
    let mut outcomes = Vec::new();
    for step in &scenario.steps {
        outcomes.push(player.step(step).with_context(|| format!("{} {}", step.place, step.label()))?);
    }
    Ok(outcomes)
}

struct Player<'a> {
    schemas: &'a Schemas,
    address: SocketAddr,
    variables: Variables,
    connections: BTreeMap<String, Connection>,
    correlation_id: i32,
}

struct Connection {
    stream: TcpStream,
    /// Correlation id, API and version of what was sent and not answered yet; raw frames have no API.
    waiting: VecDeque<(i32, Option<(String, i16)>)>,
}

/// An answer of the wire.
enum Received {
    Frame(Vec<u8>),
    Closed,
    Nothing,
}

impl Player<'_> {
    fn step(&mut self, step: &Step) -> Result<Outcome> {
        let mut frames = 1;
        let answer = match &step.action {
            Action::Sleep(pause) => {
                std::thread::sleep(*pause);
                frames = 0;
                Value::Null
            }
            Action::Close => {
                self.connections.remove(&step.connection);
                frames = 0;
                Value::Null
            }
            Action::Receive => {
                frames = 0;
                self.receive(&step.connection)?
            }
            Action::Raw(digits) => {
                let frame = encode::framed(&encode::hex(digits)?)?;
                self.send(&step.connection, &frame, (0, None))?;
                self.receive(&step.connection)?
            }
            Action::Request { api, version, fields, answer } => {
                let mut request = || self.request(&step.connection, api, *version, fields, *answer);
                let deadline = clock::now() + REPEAT_LIMIT;
                loop {
                    let value = request()?;
                    let done = match answer {
                        Wait::Once | Wait::Never => true,
                        // Whoever closes the connection does not know the request and will not learn it.
                        _ if value.get("_outcome").is_some() => true,
                        Wait::UntilOk => !error_codes(&value).iter().any(|code| *code != 0),
                        Wait::UntilCode(code) => error_codes(&value).contains(code),
                    };
                    if done || clock::now() > deadline {
                        break value;
                    }
                    frames += 1;
                    std::thread::sleep(REPEAT_PAUSE);
                }
            }
        };
        for (name, path) in &step.captures {
            // A broker that answered otherwise goes on without it; the difference is seen at this step already.
            let value = at(&answer, path).cloned().unwrap_or_else(|| Value::from("nothing-captured"));
            self.variables.capture(name, value);
        }
        Ok(Outcome { answer, variables: self.variables.clone(), frames })
    }

    fn request(
        &mut self,
        connection: &str,
        api: &str,
        version: i16,
        fields: &Value,
        answer: Wait,
    ) -> Result<Value> {
        self.correlation_id += 1;
        let known = self.schemas.api(api)?;
        let fields = with_timestamps(self.variables.fill(fields)?);
        let frame = encode::request(self.schemas, known, version, self.correlation_id, &fields)?;
        self.send(connection, &frame, (self.correlation_id, Some((api.to_owned(), version))))?;
        if answer == Wait::Never { Ok(Value::Null) } else { self.receive(connection) }
    }

    fn send(&mut self, name: &str, frame: &[u8], waiting: (i32, Option<(String, i16)>)) -> Result<()> {
        if !self.connections.contains_key(name) {
            let stream = TcpStream::connect_timeout(&self.address, ANSWER_LIMIT)
                .context("the broker takes no connection any more")?;
            stream.set_nodelay(true)?;
            stream.set_read_timeout(Some(ANSWER_LIMIT))?;
            self.connections.insert(name.to_owned(), Connection { stream, waiting: VecDeque::new() });
        }
        let connection = self.connections.get_mut(name).context("just made")?;
        connection.waiting.push_back(waiting);
        // A broker that closed meanwhile is met when the answer is read.
        connection.stream.write_all(frame).ok();
        Ok(())
    }

    fn receive(&mut self, name: &str) -> Result<Value> {
        let Some(connection) = self.connections.get_mut(name) else { return Ok(outcome("closed")) };
        let (correlation_id, sent) = connection.waiting.pop_front().context("nothing was sent before")?;
        let mut frame = match read_frame(&mut connection.stream)? {
            Received::Frame(frame) => frame,
            Received::Closed => {
                self.connections.remove(name);
                return Ok(outcome("closed"));
            }
            Received::Nothing => {
                self.connections.remove(name);
                return Ok(outcome("no answer"));
            }
        };
        let Some((api, version)) = sent else {
            return Ok(json!({ "_outcome": format!("bytes {}", decode::to_hex(&frame)) }));
        };
        ensure!(frame.len() >= 4, "an answer without correlation id");
        let body = frame.split_off(4);
        if frame != correlation_id.to_be_bytes() {
            return Ok(outcome("an answer to another request"));
        }
        let known = self.schemas.api(&api)?;
        // ApiVersions in a version that a broker does not know is answered in version 0.
        let unknown = !known.response.versions.contains(version);
        let version = if unknown && api == "ApiVersions" { 0 } else { version };
        Ok(decode::response(known, version, &body)
            .unwrap_or_else(|error| outcome(&format!("unreadable: {error:#}: {}", decode::to_hex(&body)))))
    }
}

fn outcome(word: &str) -> Value {
    json!({ "_outcome": word })
}

fn read_frame(stream: &mut TcpStream) -> Result<Received> {
    let mut size = [0; 4];
    if let Some(other) = read(stream, &mut size)? {
        return Ok(other);
    }
    let size = usize::try_from(i32::from_be_bytes(size)).context("negative size of an answer")?;
    ensure!(size <= MAX_ANSWER, "an answer of {size} bytes");
    let mut frame = vec![0; size];
    Ok(read(stream, &mut frame)?.unwrap_or(Received::Frame(frame)))
}

fn read(stream: &mut TcpStream, bytes: &mut [u8]) -> Result<Option<Received>> {
    match stream.read_exact(bytes) {
        Ok(()) => Ok(None),
        Err(error) => match error.kind() {
            ErrorKind::WouldBlock | ErrorKind::TimedOut => Ok(Some(Received::Nothing)),
            ErrorKind::UnexpectedEof | ErrorKind::ConnectionReset | ErrorKind::BrokenPipe => {
                Ok(Some(Received::Closed))
            }
            _ => Err(error.into()),
        },
    }
}

/// Batches without a timestamp get the moment's.
fn with_timestamps(mut fields: Value) -> Value {
    match &mut fields {
        Value::Object(object) => {
            for (name, value) in object.iter_mut() {
                if name == "records" {
                    stamp(value);
                } else {
                    *value = with_timestamps(value.take());
                }
            }
        }
        Value::Array(elements) => {
            for element in elements.iter_mut() {
                *element = with_timestamps(element.take());
            }
        }
        _ => {}
    }
    fields
}

fn stamp(records: &mut Value) {
    match records {
        Value::Array(batches) => batches.iter_mut().for_each(stamp),
        Value::Object(batch) => {
            batch.entry("timestamp").or_insert_with(|| Value::from(clock::unix_millis()));
        }
        _ => {}
    }
}

fn error_codes(value: &Value) -> Vec<i64> {
    match value {
        Value::Object(fields) => {
            let own = fields.get("errorCode").and_then(Value::as_i64);
            own.into_iter().chain(fields.values().flat_map(error_codes)).collect()
        }
        Value::Array(elements) => elements.iter().flat_map(error_codes).collect(),
        _ => Vec::new(),
    }
}

/// The value at a path such as `topics.0.topicId`.
fn at<'a>(value: &'a Value, path: &str) -> Option<&'a Value> {
    path.split('.').try_fold(value, |value, part| match value {
        Value::Array(elements) => elements.get(part.parse::<usize>().ok()?),
        _ => value.get(part),
    })
}
