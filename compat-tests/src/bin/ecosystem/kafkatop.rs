//! `kafkatop` as PyPI has it: a public monitor of consumer groups over confluent-kafka, which shows their lag.

use std::ffi::OsString;
use std::process::Command;
use std::time::Duration;

use anyhow::{Context as _, Result, ensure};
use compat_tests::broker::{Broker, BrokerKind};
use compat_tests::process::run_to_end;
use compat_tests::setup;
use serde_json::{Deserializer, Value, json};

use crate::records;

const LIMIT: Duration = Duration::from_secs(60);
const RECORDS: usize = 500;

/// The lag of two groups, the partitions of their topics and the state of health, against what was produced and committed.
pub(crate) fn run(kind: BrokerKind) -> Result<String> {
    let broker = Broker::start(kind)?;
    let address = broker.address();
    let monitor = Monitor { program: setup::kafkatop()?, address: address.clone() };
    let values: Vec<String> = (0..RECORDS).map(|number| number.to_string()).collect();
    for topic in ["orders", "invoices"] {
        records::create_topic(&address, topic, 2, &[])?;
        for partition in 0..2 {
            records::produce(&address, topic, Some(partition), &values)?;
        }
    }
    records::commit(&address, "shop", "orders", &[300, 500])?;
    records::commit(&address, "archive", "orders", &[500, 500])?;
    records::commit(&address, "archive", "invoices", &[0, 17])?;

    let lag = |least: i64, most: i64| json!({ "partitions": 2, "lag_min": least, "lag_max": most });
    let groups = monitor.ask(&["--summary-json", "--all"])?;
    ensure!(
        groups["shop"]["topics"] == json!({ "orders": lag(0, 200) }),
        "the group shop is shown as {groups}"
    );
    let archive = json!({ "orders": lag(0, 0), "invoices": lag(483, 500) });
    ensure!(groups["archive"]["topics"] == archive, "the group archive is shown as {groups}");
    for group in ["shop", "archive"] {
        let state = groups[group]["state"].as_str().unwrap_or_default();
        ensure!(state.ends_with("EMPTY"), "the state of {group} is shown as {state}");
    }

    let topics = monitor.ask(&["--topicinfo-parts", "--text"])?;
    for topic in ["orders", "invoices"] {
        let parts = topics["topics"][topic]["partinfo"].as_array().context("a topic without partitions")?;
        let led = parts.iter().filter(|part| part["leader"] == 0 && part["replicas"] == json!([0])).count();
        ensure!(led == 2 && parts.len() == 2, "{topic} is shown as {parts:?}");
    }
    let health = monitor.ask(&["--status", "--all"])?;
    ensure!(
        health["shop-orders"]["rate"]["status"] == "ERROR",
        "nobody reads for shop, which is shown as {health}"
    );
    Ok("lag of two groups, partitions and state of health as produced and committed".to_owned())
}

struct Monitor {
    program: OsString,
    address: String,
}

impl Monitor {
    fn ask(&self, arguments: &[&str]) -> Result<Value> {
        let mut command = Command::new(&self.program);
        command.args(["--kafka-broker", &self.address]).args(arguments);
        let output = run_to_end(&mut command, LIMIT)?;
        let first = Deserializer::from_str(&output).into_iter().next();
        first.context("no output")?.with_context(|| format!("kafkatop {} says {output}", arguments.join(" ")))
    }
}
