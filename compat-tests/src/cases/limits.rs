//! Records that are too large are refused by the broker, by name, and nothing else is harmed.

use anyhow::{Context as _, Result, bail};

use super::{expect_equal, offsets};
use crate::record::{Delivery, Record};
use crate::scene::Scene;
use crate::verbs::ProduceOptions;

/// Kafka's MESSAGE_TOO_LARGE, RecordTooLargeException in Java.
const MESSAGE_TOO_LARGE: i32 = 10;

/// `max.message.bytes` of the topic.
pub fn record_over_the_topic_limit_is_refused(scene: &Scene) -> Result<()> {
    refused(scene, &[("max.message.bytes", "20000")], 30_000)
}

/// The broker's default of 1 MiB plus the batch's overhead.
pub fn record_over_the_broker_limit_is_refused(scene: &Scene) -> Result<()> {
    refused(scene, &[], 1_500_000)
}

fn refused(scene: &Scene, configs: &[(&str, &str)], size: usize) -> Result<()> {
    let mut driver = scene.driver()?;
    let topic = scene.new_topic(&mut driver, 1, configs)?;
    let options = ProduceOptions { max_request_bytes: Some(8_000_000), ..ProduceOptions::default() };
    let large = Record::new(&topic, 0, &"x".repeat(size));
    let deliveries = driver.produce(&[large], &options)?;
    match deliveries.first().context("no delivery was reported")? {
        Delivery::Refused { code, .. } => expect_equal("error code", code, &MESSAGE_TOO_LARGE)?,
        Delivery::Acknowledged { .. } => bail!("a record of {size} bytes was taken"),
    }
    let fitting = Record::new(&topic, 0, "fits");
    let deliveries = driver.produce(std::slice::from_ref(&fitting), &options)?;
    expect_equal("offset of the next record", &offsets(&deliveries)?, &vec![0])?;
    expect_equal("records in the topic", &driver.consume(&topic, 0, 0, 1)?.len(), &1)
}
