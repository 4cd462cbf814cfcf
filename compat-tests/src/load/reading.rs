//! Reads whole partitions with a consumer of its own and lets `checker` judge them.

use std::time::Duration;

use crate::clock;
use anyhow::{Context as _, Result, ensure};
use rdkafka::config::ClientConfig;
use rdkafka::consumer::{BaseConsumer, Consumer as _};
use rdkafka::message::Message as _;
use rdkafka::{Offset, TopicPartitionList};

use super::checker::{Outcome, PartitionChecker, Tally};
use super::payload;
use super::producers::{History, Places};

const CALL_LIMIT: Duration = Duration::from_secs(30);
/// Reading must go on at least this often.
const STALL_LIMIT: Duration = Duration::from_secs(30);

/// Checks every partition up to its present end. `histories` must be taken before this is called.
///
/// # Errors
/// The broker does not answer, or a partition stops short of its high watermark.
pub fn check_all(address: &str, places: &Places, histories: &[History]) -> Result<Tally> {
    let mut tally = Tally::default();
    for (place, (topic, partition)) in places.iter().enumerate() {
        let sent = histories.iter().map(|history| history[place].as_slice()).collect();
        tally.add(check_partition(address, topic, partition, sent)?);
    }
    Ok(tally)
}

fn check_partition(address: &str, topic: &str, partition: i32, sent: Vec<&[Outcome]>) -> Result<Tally> {
    let name = format!("{topic}-{partition}");
    let mut config = ClientConfig::new();
    config.set("bootstrap.servers", address).set("group.id", "load-reader");
    config.set("enable.auto.commit", "false").set("check.crcs", "true").set("auto.offset.reset", "error");
    let consumer: BaseConsumer = config.create()?;
    let (start, end) = consumer.fetch_watermarks(topic, partition, CALL_LIMIT)?;
    ensure!(start == 0, "{name} starts at {start}: nothing was ever deleted");
    let mut assignment = TopicPartitionList::new();
    assignment.add_partition_offset(topic, partition, Offset::Offset(0))?;
    consumer.assign(&assignment)?;

    let mut checker = PartitionChecker::new(name.clone(), sent);
    let mut next = 0;
    let mut heard = clock::now();
    while next < end {
        let Some(message) = consumer.poll(Duration::from_millis(200)) else {
            ensure!(
                heard.elapsed() < STALL_LIMIT,
                "{name} gives nothing after offset {next}, its end is {end}"
            );
            continue;
        };
        heard = clock::now();
        let message = message.with_context(|| format!("reading {name} at {next}"))?;
        let value = message.payload().unwrap_or_default();
        next = message.offset() + 1;
        if next <= end {
            checker.see(message.offset(), payload::decode(topic, partition, value));
        }
    }
    Ok(checker.finish(end))
}
