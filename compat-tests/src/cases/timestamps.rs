//! ListOffsets by time, and reading on from what it answers.

use anyhow::{Context as _, Result, ensure};

use super::expect_equal;
use crate::clock;
use crate::record::Record;
use crate::scene::Scene;
use crate::verbs::ProduceOptions;

/// In offset order, the first record stamped at or after the time asked for; equal to a naive scan also when the
/// stamps are shuffled. Nothing (or the end, for clients that turn nothing into the end) after the last stamp.
pub fn seek_by_timestamp_finds_the_first_record_at_or_after_it(scene: &Scene) -> Result<()> {
    let mut driver = scene.driver()?;
    let topic = scene.new_topic(&mut driver, 1, &[])?;
    let base = clock::unix_millis() - 3_600_000;
    let stamps: Vec<i64> =
        [0, 1, 2, 7, 5, 3, 9, 9, 4, 20, 12, 30].iter().map(|second| base + second * 1000).collect();
    for (number, stamp) in stamps.iter().enumerate() {
        // One request each: the answer must not depend on what shares a batch.
        let record =
            Record { timestamp: Some(*stamp), ..Record::new(&topic, 0, &format!("record {number}")) };
        driver.produce(&[record], &ProduceOptions::default())?;
    }
    let tail: Vec<Record> = [40, 60, 50]
        .iter()
        .map(|second| Record {
            timestamp: Some(base + second * 1000),
            ..Record::new(&topic, 0, "in one batch")
        })
        .collect();
    driver.produce(&tail, &ProduceOptions::default())?;
    let stamps: Vec<i64> =
        stamps.into_iter().chain(tail.iter().filter_map(|record| record.timestamp)).collect();

    for asked in [-5000, 0, 500, 1000, 2001, 6000, 8000, 9500, 20_001, 30_000, 40_000, 45_000, 60_000] {
        let naive = stamps.iter().position(|stamp| *stamp >= base + asked);
        let expected = naive.map(i64::try_from).transpose()?;
        let found = driver.offset_for_time(&topic, 0, base + asked)?;
        expect_equal(&format!("offset at or after {asked} ms"), &found, &expected)?;
    }
    let after = driver.offset_for_time(&topic, 0, base + 60_001)?;
    let end = i64::try_from(stamps.len())?;
    ensure!(after.is_none_or(|offset| offset == end), "after the last stamp: {after:?}");

    let offset = driver.offset_for_time(&topic, 0, base + 6000)?.context("no offset")?;
    let first = driver.consume(&topic, 0, offset, 1)?.pop().context("no record came")?;
    expect_equal("the record sought", &first.text(), &"record 3".to_owned())
}
