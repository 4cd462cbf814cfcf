//! Kafka Connect with Kafka's own file connectors: the lines of one file go through a topic into another file.

use std::ffi::OsString;
use std::fs::{self, File};
use std::io::Write as _;
use std::net::{SocketAddr, TcpListener};
use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::{Context as _, Result, ensure};
use compat_tests::broker::{Broker, BrokerKind};
use compat_tests::http;

use crate::program::{Folder, Program};
use crate::records::{self, Isolation, Reader};

const LIMIT: Duration = Duration::from_secs(120);
const TOPIC: &str = "connect-lines";
const SOURCE: &str = "org.apache.kafka.connect.file.FileStreamSourceConnector";
const SINK: &str = "org.apache.kafka.connect.file.FileStreamSinkConnector";
const BATCH: usize = 2000;

/// One process, connectors from files, offsets of the source in a file; what is appended later arrives too.
pub(crate) fn standalone(kind: BrokerKind) -> Result<String> {
    let broker = Broker::start(kind)?;
    records::create_topic(&broker.address(), TOPIC, 1, &[])?;
    let files = Files::new()?;
    let offsets = files.folder.path("offsets");
    let worker = worker(&broker.address(), free_port()?)?
        + &format!("offset.storage.file.filename={}\n", offsets.display());
    let mut arguments = vec![files.folder.file("worker.properties", &worker)?];
    for (name, configs) in [("source", files.source()), ("sink", files.sink())] {
        let lines: String = configs.iter().map(|(key, value)| format!("{key}={value}\n")).collect();
        arguments.push(files.folder.file(name, &format!("name={name}\n{lines}"))?);
    }
    files.append(0)?;
    let arguments = arguments.into_iter().map(PathBuf::into_os_string).collect();
    let mut connect = Program::start("org.apache.kafka.connect.cli.ConnectStandalone", arguments)?;
    files.arrive(&mut connect, BATCH)?;
    files.append(1)?;
    files.arrive(&mut connect, 2 * BATCH)?;
    let read = records::read(&broker.address(), TOPIC, 1, Isolation::Uncommitted)?;
    ensure!(read.len() == 2 * BATCH, "the topic has {} records", read.len());
    Ok(format!("{} lines, each once and in order", 2 * BATCH))
}

/// A worker that keeps connectors, offsets and states in topics: killed when all is committed, it goes on from there.
pub(crate) fn distributed(kind: BrokerKind) -> Result<String> {
    let broker = Broker::start(kind)?;
    let address = broker.address();
    records::create_topic(&address, TOPIC, 1, &[])?;
    let files = Files::new()?;
    let mut worker = Worker::start(&address, &files, "")?;
    worker.create("source", &files.source())?;
    worker.create("sink", &files.sink())?;
    files.append(0)?;
    files.arrive(&mut worker.program, BATCH)?;
    worker.everything_is_committed(&address, &files, BATCH)?;

    worker.program.kill();
    files.append(1)?;
    worker.program.restart()?;
    files.arrive(&mut worker.program, 2 * BATCH)?;
    files.append(2)?;
    files.arrive(&mut worker.program, 3 * BATCH)?;
    let state = worker.get("/connectors/source/status")?;
    ensure!(state.matches(r#""state":"RUNNING""#).count() == 2, "the source is {state}");
    Ok(format!("{} lines over a kill of the worker, each once and in order", 3 * BATCH))
}

/// With `exactly.once.source.support` the source's records and its offsets are one transaction: killed in the middle of a
/// file, each line is in the topic once and in order for readers of committed records.
pub(crate) fn exactly_once_source(kind: BrokerKind) -> Result<String> {
    const BATCHES: usize = 6;
    let broker = Broker::start(kind)?;
    let address = broker.address();
    records::create_topic(&address, TOPIC, 1, &[])?;
    let files = Files::new()?;
    // What a killed worker left open keeps readers back no longer than this.
    let mut worker = Worker::start(
        &address,
        &files,
        "exactly.once.source.support=enabled\nproducer.transaction.timeout.ms=10000\n",
    )?;
    let mut source = files.source();
    source.push(("batch.size", "100".to_owned()));
    for number in 0..BATCHES {
        files.append(number)?;
    }
    worker.create("source", &source)?;
    let mut reader = Reader::new(&address, TOPIC, 1, Isolation::Committed)?;
    let mut lines = Vec::new();
    worker.program.until("a line in the middle", LIMIT, || {
        lines.extend(reader.some()?);
        Ok((lines.len() >= BATCH).then_some(()))
    })?;
    worker.program.kill();
    let killed_at = lines.len();
    ensure!(killed_at < BATCHES * BATCH, "all lines were there before the kill: it proves nothing");
    worker.program.restart()?;
    worker.program.until("the last line", LIMIT, || {
        lines.extend(reader.some()?);
        Ok((lines.len() >= BATCHES * BATCH).then_some(()))
    })?;
    lines.extend(reader.drain()?);
    let wanted: Vec<String> = (0..BATCHES).flat_map(batch).collect();
    let came: Vec<String> = lines.into_iter().map(|record| record.value).collect();
    same(&came, &wanted)?;
    Ok(format!("{} lines, the worker killed at {killed_at}, each once and in order", wanted.len()))
}

/// The file that is read and the one that is written.
struct Files {
    folder: Folder,
    input: PathBuf,
    output: PathBuf,
}

impl Files {
    fn new() -> Result<Self> {
        let folder = Folder::new("connect")?;
        let (input, output) = (folder.file("input", "")?, folder.path("output"));
        Ok(Self { folder, input, output })
    }

    fn source(&self) -> Vec<(&'static str, String)> {
        vec![
            ("connector.class", SOURCE.to_owned()),
            ("tasks.max", "1".to_owned()),
            ("file", path(&self.input)),
            ("topic", TOPIC.to_owned()),
        ]
    }

    fn sink(&self) -> Vec<(&'static str, String)> {
        vec![
            ("connector.class", SINK.to_owned()),
            ("tasks.max", "1".to_owned()),
            ("file", path(&self.output)),
            ("topics", TOPIC.to_owned()),
        ]
    }

    /// Appends the lines of one batch to the input.
    fn append(&self, number: usize) -> Result<()> {
        let text: String = batch(number).iter().map(|line| format!("{line}\n")).collect();
        Ok(File::options().append(true).open(&self.input)?.write_all(text.as_bytes())?)
    }

    /// Waits until `count` lines are in the output; they must be the first of the input.
    fn arrive(&self, connect: &mut Program, count: usize) -> Result<()> {
        let text = connect.until(&format!("line {count} in the sink's file"), LIMIT, || {
            let text = fs::read_to_string(&self.output).unwrap_or_default();
            Ok((text.matches('\n').count() >= count).then_some(text))
        })?;
        let input = fs::read_to_string(&self.input)?;
        let lines = |text: &str| text.lines().map(str::to_owned).collect::<Vec<_>>();
        same(&lines(&text), &lines(&input))
    }
}

fn batch(number: usize) -> Vec<String> {
    (0..BATCH).map(|line| format!("line {line} of batch {number}")).collect()
}

fn same(came: &[String], wanted: &[String]) -> Result<()> {
    let place = came.iter().zip(wanted).take_while(|(came, wanted)| came == wanted).count();
    ensure!(
        came == wanted,
        "{} lines came for {}; line {place} is {:?} instead of {:?}",
        came.len(),
        wanted.len(),
        came.get(place),
        wanted.get(place)
    );
    Ok(())
}

/// A worker of a Connect cluster of one.
struct Worker {
    program: Program,
    port: u16,
}

impl Worker {
    fn start(address: &str, files: &Files, more: &str) -> Result<Self> {
        let port = free_port()?;
        let properties = worker(address, port)?
            + "group.id=connect-cluster\n\
               config.storage.topic=connect-configs\nconfig.storage.replication.factor=1\n\
               offset.storage.topic=connect-offsets\noffset.storage.replication.factor=1\noffset.storage.partitions=5\n\
               status.storage.topic=connect-status\nstatus.storage.replication.factor=1\nstatus.storage.partitions=2\n\
               session.timeout.ms=10000\nheartbeat.interval.ms=1000\nscheduled.rebalance.max.delay.ms=0\n"
            + more;
        let file = files.folder.file("worker.properties", &properties)?;
        let program =
            Program::start("org.apache.kafka.connect.cli.ConnectDistributed", vec![OsString::from(file)])?;
        Ok(Self { program, port })
    }

    /// Creates a connector; a worker that has just started answers later.
    fn create(&mut self, name: &str, configs: &[(&str, String)]) -> Result<()> {
        let configs: serde_json::Map<String, serde_json::Value> =
            configs.iter().map(|(key, value)| ((*key).to_owned(), value.clone().into())).collect();
        let body = serde_json::json!({ "name": name, "config": configs }).to_string();
        let address = self.address();
        self.program.until("a connector that is created", LIMIT, || {
            let Ok((status, answer)) = http::request(address, "POST", "/connectors", &body) else {
                return Ok(None);
            };
            let again = status == 409 || status >= 500 || status == 404;
            ensure!(again || status == 201, "POST /connectors is answered {status}: {answer}");
            Ok((!again).then_some(()))
        })
    }

    fn address(&self) -> SocketAddr {
        ([127, 0, 0, 1], self.port).into()
    }

    fn get(&self, path: &str) -> Result<String> {
        let (status, answer) = http::request(self.address(), "GET", path, "")?;
        ensure!(status == 200, "GET {path} is answered {status}: {answer}");
        Ok(answer)
    }

    /// Waits until the offsets of source and sink stand at the end of `count` lines.
    fn everything_is_committed(&mut self, address: &str, files: &Files, count: usize) -> Result<()> {
        let end = Some(i64::try_from(count)?);
        self.program.until("the sink's commit", LIMIT, || {
            Ok((records::committed(address, "connect-sink", TOPIC, 1)? == [end]).then_some(()))
        })?;
        let position = format!(r#"{{"position":{}}}"#, fs::metadata(&files.input)?.len());
        self.program.until("the source's offset", LIMIT, || {
            let offsets = records::read(address, "connect-offsets", 5, Isolation::Committed)?;
            let source = offsets.iter().rfind(|record| record.key.contains("\"source\""));
            Ok(source.filter(|record| record.value == position).map(|_| ()))
        })
    }
}

/// What a worker of either kind needs.
fn worker(address: &str, port: u16) -> Result<String> {
    ensure!(!address.is_empty(), "a worker needs a broker");
    Ok(format!(
        "bootstrap.servers={address}\nlisteners=http://127.0.0.1:{port}\nrest.advertised.host.name=127.0.0.1\n\
         key.converter=org.apache.kafka.connect.storage.StringConverter\n\
         value.converter=org.apache.kafka.connect.storage.StringConverter\n\
         plugin.discovery=service_load\noffset.flush.interval.ms=500\n\
         consumer.auto.offset.reset=earliest\n"
    ))
}

fn path(path: &Path) -> String {
    path.display().to_string()
}

fn free_port() -> Result<u16> {
    let listener = TcpListener::bind(("127.0.0.1", 0)).context("no free port")?;
    Ok(listener.local_addr()?.port())
}
