//! `klag-exporter`, a crate: a public Prometheus exporter of consumer group lag over librdkafka.

use std::fs::{self, File};
use std::net::{Ipv4Addr, SocketAddr};
use std::process::{Command, Stdio};
use std::time::Duration;

use anyhow::{Context as _, Result, bail};
use compat_tests::broker::{Broker, BrokerKind, free_port};
use compat_tests::process::GuardedProcess;
use compat_tests::{clock, http, layout, setup};

use crate::program::Folder;
use crate::records;

const LIMIT: Duration = Duration::from_secs(60);
const RECORDS: usize = 500;
/// What it has to say of the topic and the group: name, labels, value.
const EXPECTED: [(&str, &str, f64); 9] = [
    ("kafka_partition_latest_offset", r#"partition="0""#, 500.0),
    ("kafka_partition_earliest_offset", r#"partition="1""#, 0.0),
    ("kafka_consumergroup_group_offset", r#"partition="0""#, 300.0),
    ("kafka_consumergroup_group_lag", r#"partition="0""#, 200.0),
    ("kafka_consumergroup_group_lag", r#"partition="1""#, 0.0),
    ("kafka_consumergroup_group_sum_lag", r#"group="shop""#, 200.0),
    ("kafka_consumergroup_group_topic_sum_lag", r#"topic="orders""#, 200.0),
    // Empty.
    ("kafka_consumergroup_group_state", r#"group="shop""#, 5.0),
    ("kafka_lag_exporter_up", "", 1.0),
];

/// Offsets, lag and state of a group against what was produced and committed; its lag in time, which is read from the record at
/// the committed offset, against the clock.
pub(crate) fn run(kind: BrokerKind) -> Result<String> {
    let broker = Broker::start(kind)?;
    let address = broker.address();
    let values: Vec<String> = (0..RECORDS).map(|number| number.to_string()).collect();
    records::create_topic(&address, "orders", 2, &[])?;
    let produced = clock::now();
    for partition in 0..2 {
        records::produce(&address, "orders", Some(partition), &values)?;
    }
    records::commit(&address, "shop", "orders", &[300, 500])?;

    let metrics = SocketAddr::from((Ipv4Addr::LOCALHOST, free_port()?));
    let folder = Folder::new("klag-exporter")?;
    let config = folder.file("config.toml", &configuration(&address, metrics))?;
    let log = layout::log_file("klag-exporter")?;
    let output = File::options().create(true).append(true).open(&log)?;
    let mut command = Command::new(setup::klag_exporter()?);
    command.arg("--config").arg(&config).stdin(Stdio::null()).stdout(output.try_clone()?).stderr(output);
    let mut exporter = GuardedProcess::start(&mut command, None)?;

    let mut wrong = "nothing yet".to_owned();
    let found = clock::poll_until(LIMIT, Duration::from_millis(200), || {
        if let Some(status) = exporter.exit_status() {
            bail!("it ended with {status}: {}", fs::read_to_string(&log).unwrap_or_default());
        }
        // It listens a little after its start.
        let Ok((200, text)) = http::request(metrics, "GET", "/metrics", "") else { return Ok(None) };
        let differs = EXPECTED.iter().find(|(name, labels, value)| {
            sample(&text, name, labels).is_none_or(|found| (found - value).abs() > f64::EPSILON)
        });
        match differs {
            Some((name, labels, value)) => wrong = format!("{name}{{{labels}}} is not {value}:\n{text}"),
            None => return Ok(sample(&text, "kafka_consumergroup_group_lag_seconds", r#"partition="0""#)),
        }
        Ok(None)
    })?;
    let seconds = found.with_context(|| format!("after {LIMIT:?} {wrong}"))?;
    let most = clock::now().saturating_duration_since(produced).as_secs_f64();
    if !(0.0..=most).contains(&seconds) {
        bail!("a lag of {seconds} s is shown for records that are {most:.1} s old");
    }
    Ok("offsets, lag in records and in time, and state of a group as produced and committed".to_owned())
}

fn configuration(broker: &str, metrics: SocketAddr) -> String {
    let (host, port) = (metrics.ip(), metrics.port());
    format!(
        "[exporter]\npoll_interval = \"1s\"\nhttp_host = \"{host}\"\nhttp_port = {port}\ngranularity = \"partition\"\n\
         [exporter.timestamp_sampling]\nenabled = true\nmode = \"message\"\ncache_ttl = \"1s\"\n\
         [[clusters]]\nname = \"tested\"\nbootstrap_servers = \"{broker}\"\ngroup_whitelist = [\"shop\"]\n\
         topic_whitelist = [\"orders\"]\n"
    )
}

/// The value of the first line of `name` with `labels` among its own.
fn sample(text: &str, name: &str, labels: &str) -> Option<f64> {
    let of_name = |line: &&str| line.strip_prefix(name).is_some_and(|rest| rest.starts_with(['{', ' ']));
    let line = text.lines().filter(of_name).find(|line| line.contains(labels))?;
    line.rsplit(' ').next()?.parse().ok()
}
