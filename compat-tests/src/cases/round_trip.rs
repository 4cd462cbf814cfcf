//! What is produced is what is consumed: keys, values, nulls, headers, timestamps.

use std::time::Duration;

use anyhow::{Context as _, Result, ensure};

use super::{expect_equal, expect_offsets_from_zero, offsets};
use crate::clock;
use crate::record::{Bytes, ReceivedRecord, Record};
use crate::scene::Scene;
use crate::verbs::ProduceOptions;

/// Text, binary, empty and large keys and values come back byte for byte, from the partition they were sent to.
pub fn keys_and_values_round_trip(scene: &Scene) -> Result<()> {
    let mut driver = scene.driver()?;
    let topic = scene.new_topic(&mut driver, 3, &[])?;
    let binary: Vec<u8> = (0..=255).collect();
    let pairs = [
        (Bytes::text("key"), Bytes::text("value")),
        (Bytes::text("clé Ж 鍵"), Bytes::text("значение 値")),
        (Bytes(binary.clone()), Bytes(binary.repeat(400))),
        (Bytes(Vec::new()), Bytes::text("the key is empty")),
        (Bytes::text("the value is empty"), Bytes(Vec::new())),
    ];
    for partition in [0, 2] {
        let records: Vec<Record> = pairs
            .iter()
            .map(|(key, value)| Record {
                topic: topic.clone(),
                partition: Some(partition),
                key: Some(key.clone()),
                value: Some(value.clone()),
                ..Record::default()
            })
            .collect();
        expect_offsets_from_zero(&driver.produce(&records, &ProduceOptions::default())?)?;
        let received = driver.consume(&topic, partition, 0, records.len())?;
        expect_same(&received, &records)?;
        ensure!(received.iter().all(|record| record.partition == partition), "records of another partition");
    }
    expect_equal("the untouched partition", &driver.watermarks(&topic, 1)?, &(0, 0))?;
    expect_equal("a read from the middle", &driver.consume(&topic, 2, 3, 2)?.len(), &2)
}

/// A null key is not an empty key, a tombstone is not an empty value.
pub fn null_keys_and_tombstones_stay_null(scene: &Scene) -> Result<()> {
    let mut driver = scene.driver()?;
    let topic = scene.new_topic(&mut driver, 1, &[])?;
    let with = |key: Option<&str>, value: Option<&str>| Record {
        topic: topic.clone(),
        partition: Some(0),
        key: key.map(Bytes::text),
        value: value.map(Bytes::text),
        ..Record::default()
    };
    let records = [with(None, Some("no key")), with(Some("tombstone"), None), with(Some(""), Some(""))];
    expect_offsets_from_zero(&driver.produce(&records, &ProduceOptions::default())?)?;
    expect_same(&driver.consume(&topic, 0, 0, records.len())?, &records)
}

/// Headers keep their order; a name may come twice, a value may be empty, a name may be empty.
pub fn headers_keep_order_duplicates_and_empty_values(scene: &Scene) -> Result<()> {
    let mut driver = scene.driver()?;
    let topic = scene.new_topic(&mut driver, 1, &[])?;
    let header = |name: &str, value: &[u8]| (name.to_owned(), Some(Bytes(value.to_vec())));
    let mut full = Record::new(&topic, 0, "with headers");
    full.headers = vec![
        header("twice", b"first"),
        header("twice", b"second"),
        header("empty", b""),
        header("binary", &[0, 255, 128]),
        header("", b"the name is empty"),
        header("last", b"last"),
    ];
    let records = [full, Record::new(&topic, 0, "without headers")];
    expect_offsets_from_zero(&driver.produce(&records, &ProduceOptions::default())?)?;
    expect_same(&driver.consume(&topic, 0, 0, records.len())?, &records)
}

/// What only some clients can send: a header whose value is null, a record that has neither key nor value.
pub fn null_headers_and_records_of_nothing_round_trip(scene: &Scene) -> Result<()> {
    let mut driver = scene.driver()?;
    let topic = scene.new_topic(&mut driver, 1, &[])?;
    let mut with_null = Record::new(&topic, 0, "with a null header");
    with_null.headers = vec![("null".to_owned(), None), ("empty".to_owned(), Some(Bytes(Vec::new())))];
    let nothing = Record { value: None, ..Record::new(&topic, 0, "") };
    let records = [with_null, nothing];
    expect_offsets_from_zero(&driver.produce(&records, &ProduceOptions::default())?)?;
    expect_same(&driver.consume(&topic, 0, 0, records.len())?, &records)
}

/// A timestamp that the producer sets is kept, also when it goes back; without one the client stamps the record.
pub fn explicit_timestamps_are_kept(scene: &Scene) -> Result<()> {
    let mut driver = scene.driver()?;
    let topic = scene.new_topic(&mut driver, 1, &[])?;
    let before = clock::unix_millis();
    let base = before - 3_600_000;
    let mut records: Vec<Record> = [0, 17, 3, 2_000_000]
        .iter()
        .map(|delta| Record { timestamp: Some(base + delta), ..Record::new(&topic, 0, "stamped") })
        .collect();
    records.push(Record::new(&topic, 0, "stamped by the client"));
    expect_offsets_from_zero(&driver.produce(&records, &ProduceOptions::default())?)?;
    let received = driver.consume(&topic, 0, 0, records.len())?;
    expect_same(&received, &records)?;
    let last = received.last().context("no record came")?.timestamp;
    ensure!((before..=clock::unix_millis()).contains(&last), "the client's own stamp {last} is not of now");
    Ok(())
}

/// With automatic creation on, producing to a missing topic makes it, with the broker's default partitions.
pub fn first_produce_creates_the_topic(scene: &Scene) -> Result<()> {
    let mut driver = scene.driver()?;
    let topic = scene.unique_name();
    let record = Record { partition: None, ..Record::new(&topic, 0, "the first") };
    let deliveries = driver.produce(std::slice::from_ref(&record), &ProduceOptions::default())?;
    expect_equal("the first offset", &offsets(&deliveries)?, &vec![0])?;
    let partitions = driver.describe_topic(&topic)?.len();
    expect_equal("num.partitions of the broker's config", &partitions, &4)?;
    let mut total = 0;
    let found = clock::poll_until(Duration::from_secs(5), Duration::from_millis(50), || {
        total = 0;
        for partition in 0..4 {
            total += driver.watermarks(&topic, partition)?.1;
        }
        Ok((total == 1).then_some(()))
    })?;
    ensure!(found.is_some(), "the topic holds {total} records instead of one");
    Ok(())
}

/// Same keys, values, headers and offsets from zero; same timestamps where the record has one.
pub(super) fn expect_same(received: &[ReceivedRecord], produced: &[Record]) -> Result<()> {
    expect_equal("number of records", &received.len(), &produced.len())?;
    for (number, (received, produced)) in received.iter().zip(produced).enumerate() {
        expect_equal("offset", &received.offset, &i64::try_from(number)?)?;
        expect_equal(&format!("key of record {number}"), &received.key, &produced.key)?;
        expect_equal(&format!("value of record {number}"), &received.value, &produced.value)?;
        expect_equal(&format!("headers of record {number}"), &received.headers, &produced.headers)?;
        if let Some(timestamp) = produced.timestamp {
            expect_equal(&format!("timestamp of record {number}"), &received.timestamp, &timestamp)?;
        }
    }
    Ok(())
}
