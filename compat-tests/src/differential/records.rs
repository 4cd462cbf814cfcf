//! Record batches as a table writes them, right or wrong in every field, and as an answer shows them.

use std::io::Write as _;

use anyhow::{Context as _, Result, bail};
use serde::Deserialize;
use serde_json::{Value, json};

use super::decode::{readable, to_hex};
use super::encode::{hex, text};

/// Everything before the records.
const HEADER: usize = 61;
/// Base offset and length, which the length does not count.
const BEFORE_LENGTH: usize = 12;
/// Up to and with the CRC, which the CRC does not cover.
const BEFORE_CRC: usize = 21;

/// A batch of a table. Whatever is not given is what a correct producer without an id would write.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
struct Batch {
    /// One per record: text, null, or `{"repeat": TEXT, "times": N}`.
    #[serde(default)]
    values: Vec<Value>,
    /// One per record; without any, no record has a key.
    #[serde(default)]
    keys: Vec<Option<String>>,
    /// Of the first record, and of the others unless `timestampDeltas` says more. The player fills in the current time.
    timestamp: i64,
    #[serde(default)]
    timestamp_deltas: Vec<i64>,
    /// Minus one, or a timestamp; the greatest of the records unless given.
    max_timestamp: Option<i64>,
    /// One per record instead of 0, 1, 2, ...
    #[serde(default)]
    offset_deltas: Vec<i64>,
    #[serde(default)]
    base_offset: i64,
    #[serde(default = "minus_one")]
    leader_epoch: i32,
    #[serde(default = "magic")]
    magic: i8,
    #[serde(default)]
    attributes: i16,
    last_offset_delta: Option<i32>,
    count: Option<i32>,
    #[serde(default = "minus_one_long")]
    producer_id: i64,
    #[serde(default = "minus_one_short")]
    producer_epoch: i16,
    #[serde(default = "minus_one")]
    sequence: i32,
    /// `gzip` or `zstd`; sets the attributes' low bits.
    codec: Option<String>,
    /// Added to the CRC.
    #[serde(default)]
    crc_delta: u32,
    /// Added to the length.
    #[serde(default)]
    length_delta: i32,
    /// So many bytes are cut off the end.
    #[serde(default)]
    cut: usize,
    /// Digits in place of the records.
    records: Option<String>,
}

fn minus_one() -> i32 {
    -1
}

fn minus_one_long() -> i64 {
    -1
}

fn minus_one_short() -> i16 {
    -1
}

fn magic() -> i8 {
    2
}

/// The bytes of a records field: a batch, an array of them, or `hex:` digits.
///
/// # Errors
/// The description has an unknown field or one that fits no batch.
pub fn build(value: &Value) -> Result<Vec<u8>> {
    match value {
        Value::Array(batches) => {
            let parts: Vec<_> = batches.iter().map(build).collect::<Result<_>>()?;
            Ok(parts.concat())
        }
        Value::String(digits) => hex(digits.strip_prefix("hex:").unwrap_or(digits)),
        _ => {
            let batch = Batch::deserialize(value).with_context(|| format!("no record batch: {value}"))?;
            batch.bytes()
        }
    }
}

impl Batch {
    fn bytes(&self) -> Result<Vec<u8>> {
        let records = match &self.records {
            Some(digits) => hex(digits)?,
            None => self.records()?,
        };
        let (codec, records) = compress(self.codec.as_deref(), records)?;
        let count = i32::try_from(self.values.len())?;
        let greatest = self.timestamp + self.timestamp_deltas.iter().copied().max().unwrap_or(0).max(0);
        let mut covered = Vec::new();
        covered.extend((self.attributes | codec).to_be_bytes());
        covered.extend(self.last_offset_delta.unwrap_or(count - 1).to_be_bytes());
        covered.extend(self.timestamp.to_be_bytes());
        covered.extend(self.max_timestamp.unwrap_or(greatest).to_be_bytes());
        covered.extend(self.producer_id.to_be_bytes());
        covered.extend(self.producer_epoch.to_be_bytes());
        covered.extend(self.sequence.to_be_bytes());
        covered.extend(self.count.unwrap_or(count).to_be_bytes());
        covered.extend(records);
        let length = i32::try_from(covered.len() + BEFORE_CRC - BEFORE_LENGTH)? + self.length_delta;
        let mut bytes = self.base_offset.to_be_bytes().to_vec();
        bytes.extend(length.to_be_bytes());
        bytes.extend(self.leader_epoch.to_be_bytes());
        bytes.extend(self.magic.to_be_bytes());
        bytes.extend(crc32c::crc32c(&covered).wrapping_add(self.crc_delta).to_be_bytes());
        bytes.extend(covered);
        bytes.truncate(bytes.len().saturating_sub(self.cut));
        Ok(bytes)
    }

    fn records(&self) -> Result<Vec<u8>> {
        let mut bytes = Vec::new();
        for (index, value) in self.values.iter().enumerate() {
            let offset_delta = self.offset_deltas.get(index).copied().unwrap_or(i64::try_from(index)?);
            let mut record = vec![0];
            put_varint(&mut record, self.timestamp_deltas.get(index).copied().unwrap_or(0));
            put_varint(&mut record, offset_delta);
            put_bytes(&mut record, self.keys.get(index).and_then(Option::as_deref))?;
            let value = if value.is_null() { None } else { Some(text(value)?) };
            put_bytes(&mut record, value.as_deref())?;
            put_varint(&mut record, 0);
            put_varint(&mut bytes, i64::try_from(record.len())?);
            bytes.extend(record);
        }
        Ok(bytes)
    }
}

fn compress(codec: Option<&str>, records: Vec<u8>) -> Result<(i16, Vec<u8>)> {
    Ok(match codec {
        None => (0, records),
        Some("gzip") => {
            let mut encoder = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::default());
            encoder.write_all(&records)?;
            (1, encoder.finish()?)
        }
        Some("zstd") => (4, zstd::bulk::compress(&records, 3)?),
        Some(other) => bail!("the tables know gzip and zstd, not {other}"),
    })
}

/// The batches of an answer, each with its header and, where they are not compressed, its records.
///
/// # Errors
/// Bytes that are no batch where one begins.
pub fn describe(bytes: &[u8]) -> Result<Value> {
    let mut batches = Vec::new();
    let mut rest = bytes;
    while let Some(size) = batch_size(rest) {
        let Some((batch, after)) = rest.split_at_checked(size) else { break };
        batches.push(describe_batch(batch)?);
        rest = after;
    }
    if !rest.is_empty() {
        batches.push(json!({ "cutOffAfterBytes": rest.len() }));
    }
    Ok(Value::Array(batches))
}

fn batch_size(bytes: &[u8]) -> Option<usize> {
    let length = i32::from_be_bytes(*bytes.get(8..)?.first_chunk()?);
    Some(BEFORE_LENGTH + usize::try_from(length).ok()?).filter(|size| *size >= HEADER)
}

fn describe_batch(bytes: &[u8]) -> Result<Value> {
    let mut fields = Reader(bytes);
    let base_offset = fields.i64()?;
    fields.take(4)?;
    let leader_epoch = fields.i32()?;
    let magic = fields.take(1)?[0];
    let crc = u32::from_be_bytes(fields.take(4)?.try_into()?);
    let whole = crc32c::crc32c(fields.0) == crc;
    let attributes = fields.i16()?;
    let last_offset_delta = fields.i32()?;
    let (base_timestamp, max_timestamp) = (fields.i64()?, fields.i64()?);
    let (producer_id, producer_epoch) = (fields.i64()?, fields.i16()?);
    let (sequence, count) = (fields.i32()?, fields.i32()?);
    let records = if attributes & 7 == 0 {
        (0..count).map(|_| describe_record(&mut fields)).collect::<Result<_>>()?
    } else {
        Value::from(format!("compressed with codec {}", attributes & 7))
    };
    Ok(json!({
        "baseOffset": base_offset, "leaderEpoch": leader_epoch, "magic": magic, "crcIsRight": whole,
        "attributes": attributes, "lastOffsetDelta": last_offset_delta, "baseTimestamp": base_timestamp,
        "maxTimestamp": max_timestamp, "producerId": producer_id, "producerEpoch": producer_epoch,
        "sequence": sequence, "count": count, "records": records,
    }))
}

fn describe_record(fields: &mut Reader<'_>) -> Result<Value> {
    let length = usize::try_from(fields.varint()?)?;
    let mut record = Reader(fields.take(length)?);
    let attributes = record.take(1)?[0];
    let (timestamp_delta, offset_delta) = (record.varint()?, record.varint()?);
    let (key, value) = (record.bytes()?, record.bytes()?);
    Ok(json!({
        "attributes": attributes, "timestampDelta": timestamp_delta, "offsetDelta": offset_delta,
        "key": key, "value": value, "headers": to_hex(record.0),
    }))
}

struct Reader<'a>(&'a [u8]);

impl<'a> Reader<'a> {
    fn take(&mut self, length: usize) -> Result<&'a [u8]> {
        let (head, tail) = self.0.split_at_checked(length).context("the batch ends early")?;
        self.0 = tail;
        Ok(head)
    }

    fn i16(&mut self) -> Result<i16> {
        Ok(i16::from_be_bytes(self.take(2)?.try_into()?))
    }

    fn i32(&mut self) -> Result<i32> {
        Ok(i32::from_be_bytes(self.take(4)?.try_into()?))
    }

    fn i64(&mut self) -> Result<i64> {
        Ok(i64::from_be_bytes(self.take(8)?.try_into()?))
    }

    fn varint(&mut self) -> Result<i64> {
        let mut value = 0_u64;
        for shift in (0..70).step_by(7) {
            let byte = u64::from(self.take(1)?[0]);
            value |= (byte & 0x7f).checked_shl(shift).unwrap_or(0);
            if byte & 0x80 == 0 {
                let half = i64::try_from(value >> 1)?;
                return Ok(if value & 1 == 0 { half } else { -half - 1 });
            }
        }
        bail!("a varint of more than ten bytes")
    }

    fn bytes(&mut self) -> Result<Value> {
        match self.varint()? {
            -1 => Ok(Value::Null),
            length => Ok(Value::from(readable(self.take(usize::try_from(length)?)?))),
        }
    }
}

fn put_bytes(record: &mut Vec<u8>, content: Option<&str>) -> Result<()> {
    match content {
        None => put_varint(record, -1),
        Some(content) => {
            put_varint(record, i64::try_from(content.len())?);
            record.extend(content.as_bytes());
        }
    }
    Ok(())
}

/// Zigzag, then seven bits a byte.
fn put_varint(bytes: &mut Vec<u8>, value: i64) {
    let mut rest = ((value << 1) ^ (value >> 63)).cast_unsigned();
    while rest >= 0x80 {
        bytes.push((rest & 0x7f).to_be_bytes()[7] | 0x80);
        rest >>= 7;
    }
    bytes.push(rest.to_be_bytes()[7]);
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_batch_of_a_table_is_read_back_as_it_was_written() {
        let value = json!({"values": ["a", null, {"repeat": "xy", "times": 40}], "keys": ["k"], "timestamp": 1000,
            "timestampDeltas": [0, -5, 300], "producerId": 7, "producerEpoch": 1, "sequence": 9});
        let found = describe(&build(&json!([value, value])).unwrap()).unwrap();
        assert_eq!(found.as_array().unwrap().len(), 2);
        let batch = &found[1];
        assert_eq!((&batch["count"], &batch["crcIsRight"]), (&json!(3), &json!(true)));
        assert_eq!((&batch["maxTimestamp"], &batch["sequence"]), (&json!(1300), &json!(9)));
        assert_eq!(batch["records"][0]["key"], "k");
        assert_eq!(batch["records"][1]["timestampDelta"], -5);
        assert_eq!(batch["records"][1]["value"], Value::Null);
        assert_eq!(batch["records"][2]["value"], "xy".repeat(40));
    }

    #[test]
    fn wrong_batches_can_be_written() {
        let bad =
            build(&json!({"values": ["a"], "timestamp": 0, "crcDelta": 1, "count": 5, "magic": 1})).unwrap();
        assert_eq!(bad[16], 1);
        let cut = build(&json!({"values": ["a"], "timestamp": 0, "cut": 3})).unwrap();
        assert_eq!(describe(&cut).unwrap()[0]["cutOffAfterBytes"], cut.len());
        build(&json!({"timestamp": 0, "vales": []})).unwrap_err();
    }
}
