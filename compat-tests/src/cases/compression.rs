//! Each codec there and back, and proof that the batches really are stored compressed: some clients silently stop
//! compressing when the broker advertises the wrong versions.

use anyhow::{Result, ensure};

use super::round_trip::expect_same;
use super::{expect_equal, expect_offsets_from_zero};
use crate::record::{Bytes, Record};
use crate::scene::Scene;
use crate::verbs::ProduceOptions;
use crate::wire;

/// Codec 1.
pub fn gzip_batches_round_trip(scene: &Scene) -> Result<()> {
    codec_round_trips(scene, "gzip", 1)
}

/// Codec 2.
pub fn snappy_batches_round_trip(scene: &Scene) -> Result<()> {
    codec_round_trips(scene, "snappy", 2)
}

/// Codec 3.
pub fn lz4_batches_round_trip(scene: &Scene) -> Result<()> {
    codec_round_trips(scene, "lz4", 3)
}

/// Codec 4.
pub fn zstd_batches_round_trip(scene: &Scene) -> Result<()> {
    codec_round_trips(scene, "zstd", 4)
}

fn codec_round_trips(scene: &Scene, name: &'static str, codec: i16) -> Result<()> {
    let mut driver = scene.driver()?;
    let topic = scene.new_topic(&mut driver, 1, &[])?;
    let records: Vec<Record> = (0..200)
        .map(|number| Record {
            key: Some(Bytes::text(&format!("key-{number}"))),
            headers: vec![("codec".to_owned(), Some(Bytes::text(name)))],
            ..Record::new(&topic, 0, &format!("{number} {}", "a text that compresses well ".repeat(20)))
        })
        .collect();
    let options = ProduceOptions { compression: Some(name), ..ProduceOptions::default() };
    expect_offsets_from_zero(&driver.produce(&records, &options)?)?;
    expect_same(&driver.consume(&topic, 0, 0, records.len())?, &records)?;

    let batches = wire::stored_batches(scene.socket()?, &topic, 0)?;
    let stored: i32 = batches.iter().map(|batch| batch.record_count).sum();
    expect_equal("stored records", &stored, &200)?;
    // A batch of one record may be sent as it is when compressing does not make it smaller.
    let full = || batches.iter().filter(|batch| batch.record_count > 1);
    ensure!(full().count() > 0, "no batch holds two records, so nothing was proven");
    for batch in full() {
        expect_equal("codec of a stored batch", &batch.codec(), &codec)?;
    }
    Ok(())
}
