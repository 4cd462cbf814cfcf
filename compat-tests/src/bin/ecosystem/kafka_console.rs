//! `kafka-console` as npm has it: a public command line client over `@platformatic/kafka`, which speaks only the newer versions
//! of the protocol.

use std::collections::BTreeMap;
use std::ffi::OsString;
use std::fs::{self, File};
use std::process::{Command, Stdio};
use std::time::Duration;

use anyhow::{Context as _, Result, ensure};
use compat_tests::broker::{Broker, BrokerKind};
use compat_tests::process::run_with_input;
use compat_tests::setup;
use serde_json::{Value, json};

use crate::program::Folder;
use crate::records;

const LIMIT: Duration = Duration::from_secs(60);
const RECORDS: usize = 3000;
const PARTITIONS: i32 = 3;

/// Creates, lists, produces, consumes, copies, dumps, asks for offsets and configs, deletes.
pub(crate) fn run(kind: BrokerKind) -> Result<String> {
    let broker = Broker::start(kind)?;
    let address = broker.address();
    let console = Console {
        line: setup::kafka_console()?,
        address: address.clone(),
        folder: Folder::new("kafka-console")?,
    };
    let created = console.objects(&["topic:create", "orders", "-p", "3"], "")?;
    ensure!(created[0]["name"] == "orders" && created[0]["partitions"] == 3, "topic:create says {created:?}");
    console.objects(&["topic:create", "copies", "-p", "3"], "")?;
    let metadata = console.objects(&["metadata"], "")?;
    let brokers = metadata[0]["brokers"].as_array().map_or(0, Vec::len);
    ensure!(brokers == 1, "metadata says {metadata:?}");

    let wanted: BTreeMap<String, String> =
        (0..RECORDS).map(|number| (format!("key-{number}"), format!("value-{number}"))).collect();
    let lines: String =
        wanted.iter().map(|(key, value)| format!("{}\n", json!({ "key": key, "value": value }))).collect();
    console.run(&["produce", "orders"], &lines)?;
    let ends = records::end_offsets(&address, "orders", PARTITIONS)?;
    ensure!(ends.iter().sum::<i64>() == i64::try_from(RECORDS)?, "{ends:?} records were produced");
    let offsets = console.objects(&["topic:offsets", "orders"], "")?;
    let highs: Vec<i64> = offsets.iter().filter_map(|one| one["high"].as_str()?.parse().ok()).collect();
    ensure!(highs == ends, "topic:offsets says {offsets:?}, librdkafka {ends:?}");
    records::commit(&address, "shop", "orders", &ends)?;
    let committed = console.objects(&["topic:offsets", "orders", "--group", "shop"], "")?;
    let committed: Vec<i64> = committed[0]["partitions"]
        .as_array()
        .context("topic:offsets --group names no partitions")?
        .iter()
        .filter_map(|one| one["offset"].as_str()?.parse().ok())
        .collect();
    ensure!(committed == ends, "the group committed {ends:?}, topic:offsets says {committed:?}");

    let read = console.objects(&["consume", "orders", "--from", "0", "--snapshot"], "")?;
    ensure!(pairs(&read) == wanted && read.len() == RECORDS, "{} of {RECORDS} records were read", read.len());
    console.run(&["topic:copy", "orders", "copies"], "")?;
    let dump = console.folder.path("dump");
    console.run(&["topic:dump", "copies", "--output", &dump.display().to_string()], "")?;
    let dumped = objects(&fs::read_to_string(dump)?)?;
    ensure!(dumped.len() == RECORDS, "{} of {RECORDS} records were dumped", dumped.len());

    let configs = console.objects(&["config", "-r", "topic", "-n", "orders"], "")?;
    let named = |name: &str| configs[0]["configs"].as_array()?.iter().find(|one| one["name"] == name);
    let policy = named("cleanup.policy").context("config does not name cleanup.policy")?;
    ensure!(policy["value"] == "delete", "config says {policy}");
    console.run(&["topic:delete", "orders"], "")?;
    let left = console.run(&["ls"], "")?;
    ensure!(left.contains("\"copies\"") && !left.contains("\"orders\""), "ls says {left}");
    Ok(format!("{RECORDS} records produced, consumed, copied and dumped; offsets as librdkafka sees them"))
}

fn pairs(records: &[Value]) -> BTreeMap<String, String> {
    let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
    records.iter().map(|record| (text(&record["key"]), text(&record["value"]))).collect()
}

struct Console {
    line: Vec<OsString>,
    address: String,
    folder: Folder,
}

impl Console {
    fn run(&self, arguments: &[&str], input: &str) -> Result<String> {
        let input = File::open(self.folder.file("input", input)?)?;
        let (program, first) = self.line.split_first().context("a command line")?;
        let mut command = Command::new(program);
        command.args(first).args(["--brokers", &self.address]).args(arguments);
        run_with_input(&mut command, Stdio::from(input), LIMIT)
    }

    fn objects(&self, arguments: &[&str], input: &str) -> Result<Vec<Value>> {
        let output = self.run(arguments, input)?;
        let found = objects(&output)?;
        ensure!(!found.is_empty(), "kafka-console {} says {output:?}", arguments.join(" "));
        Ok(found)
    }
}

/// The lines that are objects; the others are for people.
fn objects(output: &str) -> Result<Vec<Value>> {
    let lines = output.lines().filter(|line| line.starts_with('{'));
    lines.map(|line| serde_json::from_str(line).with_context(|| format!("{line} is no JSON"))).collect()
}
