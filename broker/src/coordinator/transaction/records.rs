//! Records of `__transaction_state` in Kafka's own format (`TransactionLogKey.json`, `TransactionLogValue.json`), so that Kafka's
//! tools read our log and we read Kafka's.
//!
//! ```text
//! key     version int16 = 0 | transactional id string
//!
//! value   version int16 0..1 | producer id int64 | producer epoch int16 | timeout int32, milliseconds | state int8
//!         | partitions array? | last update int64 | start int64 | tagged fields (1)
//! partitions  topic string | partition int32 array | tagged fields (1)
//! tagged  0 previous producer id int64 | 1 next producer id int64 | 2 client's transaction version int16
//! ```
//!
//! Version 1 is the flexible one and what Kafka 4.3 writes with `transaction.version` 1 and later; so do we. A tag whose
//! value is the default (-1, -1, 0) is left out. In state Empty the partitions are null.

use bytes::{BufMut, Bytes, BytesMut};

use super::event::{ProducerIdAndEpoch, TransactionVersion};
use super::metadata::{Metadata, NO_EPOCH, NONE, Partitions, TransactionState};
use crate::coordinator::effect::CoordinatorRecord;
use crate::coordinator::wire::{self, DecodeError, Reader};

const TRANSACTION_KEY: i16 = 0;
const VALUE: i16 = 1;
const FIRST_FLEXIBLE: i16 = 1;
const PREVIOUS_PRODUCER_ID: usize = 0;
const NEXT_PRODUCER_ID: usize = 1;
const CLIENT_VERSION: usize = 2;
/// Bytes of the smallest element of the partitions array: an empty name and no partitions.
const SMALLEST_TOPIC: usize = 2;

/// A record, decoded.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Record {
    Transaction {
        id: String,
        /// `None` is a tombstone.
        metadata: Option<Metadata>,
    },
    /// Of a kind that this version does not know.
    Other,
}

pub(super) fn decode(key: &[u8], value: Option<&[u8]>) -> Result<Record, DecodeError> {
    let mut key = Reader::new(key);
    if key.i16()? != TRANSACTION_KEY {
        return Ok(Record::Other);
    }
    let id = key.string(false)?;
    Ok(Record::Transaction { id, metadata: value.map(decode_value).transpose()? })
}

/// The record of a transactional id, or its tombstone.
pub(super) fn transaction(id: &str, metadata: Option<&Metadata>) -> CoordinatorRecord {
    let mut key = BytesMut::with_capacity(4 + id.len());
    key.put_i16(TRANSACTION_KEY);
    wire::put_string(&mut key, id);
    CoordinatorRecord { key: key.freeze(), value: metadata.map(encode_value) }
}

fn encode_value(metadata: &Metadata) -> Bytes {
    let mut buffer = BytesMut::with_capacity(64);
    buffer.put_i16(VALUE);
    buffer.put_i64(metadata.producer.producer_id);
    buffer.put_i16(metadata.producer.epoch);
    buffer.put_i32(metadata.timeout_ms);
    buffer.put_i8(metadata.state.number());
    if metadata.state == TransactionState::Empty {
        buffer.put_u8(0);
    } else {
        wire::put_compact_count(&mut buffer, metadata.partitions.len());
        for (topic, numbers) in &metadata.partitions {
            wire::put_compact_string(&mut buffer, topic);
            wire::put_compact_count(&mut buffer, numbers.len());
            numbers.iter().for_each(|number| buffer.put_i32(*number));
            buffer.put_u8(0); // no tagged fields
        }
    }
    buffer.put_i64(metadata.last_update_ms);
    buffer.put_i64(metadata.start_ms);
    put_tagged_fields(&mut buffer, metadata);
    buffer.freeze()
}

fn put_tagged_fields(buffer: &mut BytesMut, metadata: &Metadata) {
    let ids = [
        (PREVIOUS_PRODUCER_ID, metadata.previous_producer_id),
        (NEXT_PRODUCER_ID, metadata.next_producer_id),
    ];
    let ids = ids.into_iter().filter(|(_, id)| *id != NONE);
    let version = version_number(metadata.version);
    wire::put_unsigned_varint(buffer, ids.clone().count() + usize::from(version != 0));
    for (tag, id) in ids {
        wire::put_unsigned_varint(buffer, tag);
        wire::put_unsigned_varint(buffer, size_of::<i64>());
        buffer.put_i64(id);
    }
    if version != 0 {
        wire::put_unsigned_varint(buffer, CLIENT_VERSION);
        wire::put_unsigned_varint(buffer, size_of::<i16>());
        buffer.put_i16(version);
    }
}

fn decode_value(value: &[u8]) -> Result<Metadata, DecodeError> {
    let mut reader = Reader::new(value);
    let record_version = reader.i16()?;
    if !(0..=VALUE).contains(&record_version) {
        return Err(DecodeError::Version(record_version));
    }
    let flexible = record_version >= FIRST_FLEXIBLE;
    let producer = ProducerIdAndEpoch { producer_id: reader.i64()?, epoch: reader.i16()? };
    let timeout_ms = reader.i32()?;
    let state = TransactionState::from_number(reader.i8()?)
        .filter(|state| !matches!(state, TransactionState::Dead | TransactionState::PrepareEpochFence))
        .ok_or(DecodeError::Length)?;
    let partitions = decode_partitions(&mut reader, flexible)?;
    let mut metadata = Metadata {
        producer,
        previous_producer_id: NONE,
        next_producer_id: NONE,
        last_epoch: NO_EPOCH,
        timeout_ms,
        state,
        partitions,
        last_update_ms: reader.i64()?,
        start_ms: reader.i64()?,
        version: TransactionVersion::V0,
    };
    if flexible {
        reader.tagged_fields(|tag, field| {
            match usize::try_from(tag) {
                Ok(PREVIOUS_PRODUCER_ID) => metadata.previous_producer_id = field.i64()?,
                Ok(NEXT_PRODUCER_ID) => metadata.next_producer_id = field.i64()?,
                Ok(CLIENT_VERSION) => metadata.version = version_of(field.i16()?),
                _ => (),
            }
            Ok(())
        })?;
    }
    Ok(metadata)
}

fn decode_partitions(reader: &mut Reader<'_>, flexible: bool) -> Result<Partitions, DecodeError> {
    let mut partitions = Partitions::new();
    for _ in 0..reader.nullable_count(flexible, SMALLEST_TOPIC)?.unwrap_or(0) {
        let topic = reader.string(flexible)?;
        let count = reader.count(flexible, size_of::<i32>())?;
        let numbers = partitions.entry(topic).or_default();
        for _ in 0..count {
            numbers.insert(reader.i32()?);
        }
        if flexible {
            reader.skip_tagged_fields()?;
        }
    }
    Ok(partitions)
}

const fn version_number(version: TransactionVersion) -> i16 {
    match version {
        TransactionVersion::V0 => 0,
        TransactionVersion::V1 => 1,
        TransactionVersion::V2 => 2,
    }
}

const fn version_of(number: i16) -> TransactionVersion {
    match number {
        ..=0 => TransactionVersion::V0,
        1 => TransactionVersion::V1,
        2.. => TransactionVersion::V2,
    }
}
