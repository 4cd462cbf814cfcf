//! The console tools that come with sarama, built as its Go module has them: a producer, two consumers and a load generator.

use std::collections::BTreeMap;
use std::fs::{self, File};
use std::path::PathBuf;
use std::process::{Command, Stdio};
use std::time::Duration;

use anyhow::{Context as _, Result, bail, ensure};
use compat_tests::broker::{Broker, BrokerKind};
use compat_tests::process::{GuardedProcess, run_with_input};
use compat_tests::{clock, setup};

use crate::program::Folder;
use crate::records::{self, Isolation};

const LIMIT: Duration = Duration::from_secs(60);
const POLL: Duration = Duration::from_millis(20);
const PARTITIONS: i32 = 3;
/// Each is a process of its own.
const PER_PARTITION: usize = 8;
const LOAD: usize = 2000;
const CODECS: [&str; 4] = ["none", "gzip", "snappy", "lz4"];

/// Key and value of the records of one partition, in order.
type Pairs = Vec<(String, String)>;

/// Produces to named partitions and by key, consumes all partitions and one from an offset on, and writes a load with each codec.
pub(crate) fn run(kind: BrokerKind) -> Result<String> {
    let broker = Broker::start(kind)?;
    let address = broker.address();
    let tools =
        Tools { programs: setup::sarama_tools()?, address: address.clone(), folder: Folder::new("sarama")? };
    records::create_topic(&address, "words", PARTITIONS, &[])?;

    let mut wanted: BTreeMap<i32, Pairs> = (0..PARTITIONS).map(|partition| (partition, Vec::new())).collect();
    for (partition, pairs) in &mut wanted {
        for offset in 0..PER_PARTITION {
            let (key, value) = (format!("key-{offset}"), format!("value-{partition}-{offset}"));
            let place = ["-partition", &partition.to_string(), "-key", &key];
            ensure!(tools.produce(&place, &value)? == (*partition, offset), "{value} was put elsewhere");
            pairs.push((key, value));
        }
    }
    for value in ["first", "second"] {
        let (partition, offset) = tools.produce(&["-key", "same"], value)?;
        let pairs = wanted.get_mut(&partition).context("a partition that the topic does not have")?;
        ensure!(offset == pairs.len(), "{value} is at {offset}, and {} records were there", pairs.len());
        pairs.push(("same".to_owned(), value.to_owned()));
    }
    let with_both = |pairs: &&Pairs| pairs.iter().filter(|(key, _)| key == "same").count() == 2;
    ensure!(wanted.values().filter(with_both).count() == 1, "one key went to two partitions");

    let all = tools.consume("kafka-console-consumer", &["-offset", "oldest"], 3 * PER_PARTITION + 2)?;
    let mut read: BTreeMap<i32, Pairs> = BTreeMap::new();
    for record in all {
        let pairs = read.entry(record.partition.context("no partition is named")?).or_default();
        ensure!(record.offset == pairs.len(), "{} came after {} records", record.offset, pairs.len());
        pairs.push((record.key, record.value));
    }
    ensure!(read == wanted, "{wanted:?} was produced, {read:?} consumed");

    let last = &wanted[&(PARTITIONS - 1)][3..];
    let place = ["-partition", &(PARTITIONS - 1).to_string(), "-offset", "3"];
    let tail = tools.consume("kafka-console-partitionconsumer", &place, last.len())?;
    ensure!(tail[0].offset == 3, "the consumer from offset 3 on begins with {:?}", tail[0]);
    let tail: Pairs = tail.into_iter().map(|record| (record.key, record.value)).collect();
    ensure!(tail == last, "{last:?} was produced from offset 3 on, {tail:?} consumed");

    tools.load()?;
    let loaded = records::read(&address, "load", PARTITIONS, Isolation::Uncommitted)?.len();
    ensure!(loaded == LOAD * CODECS.len(), "{loaded} records of the load were read");
    let produced = read.values().map(Vec::len).sum::<usize>();
    Ok(format!(
        "{produced} records by the producer, all read by both consumers; {loaded} of a load with four codecs"
    ))
}

/// A record as a consumer prints it; only the one for all partitions names the partition.
#[derive(Debug, Default)]
struct Printed {
    partition: Option<i32>,
    offset: usize,
    key: String,
    value: String,
}

struct Tools {
    programs: PathBuf,
    address: String,
    folder: Folder,
}

impl Tools {
    fn command(&self, program: &str, arguments: &[&str]) -> Command {
        let mut command = Command::new(self.programs.join(program));
        command.args(["-brokers", &self.address]).args(arguments);
        command
    }

    /// Produces `value`, given on the standard input; the partition and the offset that the producer names.
    fn produce(&self, arguments: &[&str], value: &str) -> Result<(i32, usize)> {
        let input = File::open(self.folder.file("input", value)?)?;
        let mut command = self.command("kafka-console-producer", &["-topic", "words"]);
        let said = run_with_input(command.args(arguments), Stdio::from(input), LIMIT)?;
        let number = |name: &str| {
            let field = said.trim().split('\t').find_map(|field| field.strip_prefix(name));
            field.with_context(|| format!("the producer says {said}"))
        };
        Ok((number("partition=")?.parse()?, number("offset=")?.parse()?))
    }

    /// The first `count` records that a consumer, which runs until it is killed, prints.
    fn consume(&self, program: &str, arguments: &[&str], count: usize) -> Result<Vec<Printed>> {
        let path = self.folder.path(program);
        let output = File::create(&path)?;
        let mut command = self.command(program, &["-topic", "words"]);
        command.args(arguments).stdin(Stdio::null()).stdout(output.try_clone()?).stderr(output);
        let mut consumer = GuardedProcess::start(&mut command, None)?;
        let found = clock::poll_until(LIMIT, POLL, || {
            let text = fs::read_to_string(&path)?;
            if let Some(status) = consumer.exit_status() {
                bail!("{program} ended with {status}: {text}");
            }
            let blocks: Vec<&str> =
                text.split_inclusive("\n\n").filter(|one| one.ends_with("\n\n")).collect();
            if blocks.len() < count {
                return Ok(None);
            }
            blocks.into_iter().map(printed).collect::<Result<Vec<_>>>().map(Some)
        })?;
        found.with_context(|| format!("{program} printed less than {count} records within {LIMIT:?}"))
    }

    /// Writes `LOAD` records with each codec that all replicas acknowledge.
    fn load(&self) -> Result<()> {
        records::create_topic(&self.address, "load", PARTITIONS, &[])?;
        let count = LOAD.to_string();
        for codec in CODECS {
            let size = ["-topic", "load", "-message-load", &count, "-message-size", "200"];
            let mut command = self.command("kafka-producer-performance", &size);
            command.args(["-required-acks", "-1", "-version", "2.8.0", "-compression", codec]);
            run_with_input(&mut command, Stdio::null(), LIMIT)?;
        }
        Ok(())
    }
}

/// Reads one record of a consumer's output: a line per field, its name and its value with a tab between.
fn printed(block: &str) -> Result<Printed> {
    let mut record = Printed::default();
    for line in block.lines().filter(|line| !line.is_empty()) {
        match line.split_once(":\t").with_context(|| format!("a consumer says {line}"))? {
            ("Partition", number) => record.partition = Some(number.parse()?),
            ("Offset", number) => record.offset = number.parse()?,
            ("Key", key) => key.clone_into(&mut record.key),
            ("Value", value) => value.clone_into(&mut record.value),
            (other, _) => bail!("a consumer prints {other}"),
        }
    }
    Ok(record)
}
