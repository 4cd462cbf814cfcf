//! The idempotent producer with five requests in flight. What happens to it when the broker dies is in [`super::crash`].

use anyhow::{Context as _, Result, ensure};

use super::{expect_equal, expect_offsets_from_zero};
use crate::record::{ReceivedRecord, Record};
use crate::scene::Scene;
use crate::verbs::ProduceOptions;
use crate::wire;

const RECORDS: i32 = 1000;

/// A thousand records in small batches, five of them in flight: each once, in order, under one producer id with
/// sequences that count on.
pub fn idempotent_producer_keeps_order_with_five_in_flight(scene: &Scene) -> Result<()> {
    let mut driver = scene.driver()?;
    let topic = scene.new_topic(&mut driver, 1, &[])?;
    let records: Vec<Record> =
        (0..RECORDS).map(|number| Record::new(&topic, 0, &format!("{number:0>100}"))).collect();
    let options = ProduceOptions {
        idempotent: true,
        batch_records: Some(10),
        batch_bytes: Some(1200),
        ..ProduceOptions::default()
    };
    expect_offsets_from_zero(&driver.produce(&records, &options)?)?;
    let received = driver.consume(&topic, 0, 0, records.len())?;
    let values: Vec<String> = received.iter().map(ReceivedRecord::text).collect();
    let expected: Vec<String> = (0..RECORDS).map(|number| format!("{number:0>100}")).collect();
    expect_equal("values in order", &values, &expected)?;
    expect_equal("watermarks", &driver.watermarks(&topic, 0)?, &(0, i64::from(RECORDS)))?;

    let batches = wire::stored_batches(scene.socket()?, &topic, 0)?;
    ensure!(batches.len() >= 20, "only {} batches: five were never in flight", batches.len());
    let producer_id = batches.first().context("no batch is stored")?.producer_id;
    ensure!(producer_id >= 0, "the batches carry no producer id");
    let mut next_sequence = 0;
    for batch in &batches {
        expect_equal("producer id", &batch.producer_id, &producer_id)?;
        expect_equal("base sequence", &batch.base_sequence, &next_sequence)?;
        next_sequence += batch.record_count;
    }
    Ok(())
}
