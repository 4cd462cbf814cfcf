//! Records of `__share_group_state` in Kafka's own format (`ShareSnapshotKey.json`, `ShareSnapshotValue.json`,
//! `ShareUpdateKey.json`, `ShareUpdateValue.json`), so that Kafka's tools read our log and we read Kafka's.
//!
//! ```text
//! key       version int16, 0 snapshot, 1 update | group string | topic id uuid | partition int32
//!
//! snapshot  version int16 = 0 | snapshot epoch int32 | state epoch int32 | leader epoch int32 | start offset int64
//!           | created int64 | written int64 | batches array | tagged fields (1)
//! update    version int16 = 0 | snapshot epoch int32 | leader epoch int32 | start offset int64 | batches array | tagged fields (1)
//! batch     first offset int64 | last offset int64 | state int8: 0 available, 2 acknowledged, 4 archived | deliveries int16
//!           | tagged fields
//! tagged    0 delivery complete count int32
//! ```
//!
//! Values are flexible, keys are not. An update tells only what changed since the last record of its share partition: the
//! topic is never compacted, what a later snapshot says again is cut off at the front.

use bytes::{BufMut, Bytes, BytesMut};

use super::event::Key;
use super::partition::Logged;
use crate::coordinator::effect::CoordinatorRecord;
use crate::coordinator::wire::{self, DecodeError, Reader};

const SNAPSHOT_KEY: i16 = 0;
const UPDATE_KEY: i16 = 1;
const VALUE: i16 = 0;
const DELIVERY_COMPLETE_COUNT: usize = 0;
/// Bytes of a batch.
const BATCH: usize = 20;
/// A field that says nothing.
const UNKNOWN: i32 = -1;

/// A record, decoded.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Record {
    /// Everything, or a tombstone.
    Snapshot { key: Key, state: Option<(Logged, Vec<StateBatch>)> },
    /// What changed.
    Update { key: Key, logged: Logged, batches: Vec<StateBatch> },
    /// Of a kind that this version does not know.
    Other,
}

/// Offsets in one state.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct StateBatch {
    pub(super) first: i64,
    pub(super) last: i64,
    pub(super) state: DeliveryState,
    pub(super) deliveries: i16,
}

/// What the log says of an offset; that it is acquired is never written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum DeliveryState {
    Available = 0,
    Acknowledged = 2,
    Archived = 4,
}

/// Everything that is known of a share partition.
pub(super) fn snapshot(key: &Key, logged: &Logged, now_ms: i64, batches: &[StateBatch]) -> CoordinatorRecord {
    let mut value = BytesMut::with_capacity(64 + BATCH * batches.len());
    value.put_i16(VALUE);
    value.put_i32(logged.snapshot_epoch);
    value.put_i32(logged.state_epoch);
    value.put_i32(logged.leader_epoch);
    value.put_i64(logged.start_offset);
    value.put_i64(now_ms);
    value.put_i64(now_ms);
    put_batches(&mut value, batches, logged.delivery_complete_count);
    CoordinatorRecord { key: encode_key(SNAPSHOT_KEY, key), value: Some(value.freeze()) }
}

/// What changed.
pub(super) fn update(key: &Key, logged: &Logged, batches: &[StateBatch]) -> CoordinatorRecord {
    let mut value = BytesMut::with_capacity(32 + BATCH * batches.len());
    value.put_i16(VALUE);
    value.put_i32(logged.snapshot_epoch);
    value.put_i32(logged.leader_epoch);
    value.put_i64(logged.start_offset);
    put_batches(&mut value, batches, logged.delivery_complete_count);
    CoordinatorRecord { key: encode_key(UPDATE_KEY, key), value: Some(value.freeze()) }
}

/// The share partition is gone.
pub(super) fn tombstone(key: &Key) -> CoordinatorRecord {
    CoordinatorRecord { key: encode_key(SNAPSHOT_KEY, key), value: None }
}

fn encode_key(version: i16, key: &Key) -> Bytes {
    let mut buffer = BytesMut::with_capacity(24 + key.group.len());
    buffer.put_i16(version);
    wire::put_string(&mut buffer, &key.group);
    buffer.put_slice(key.topic.as_bytes());
    buffer.put_i32(key.partition);
    buffer.freeze()
}

fn put_batches(buffer: &mut BytesMut, batches: &[StateBatch], delivery_complete_count: i32) {
    wire::put_compact_count(buffer, batches.len());
    for batch in batches {
        buffer.put_i64(batch.first);
        buffer.put_i64(batch.last);
        buffer.put_i8(batch.state as i8);
        buffer.put_i16(batch.deliveries);
        buffer.put_u8(0); // no tagged fields
    }
    let is_known = delivery_complete_count != UNKNOWN;
    wire::put_unsigned_varint(buffer, usize::from(is_known));
    if is_known {
        wire::put_unsigned_varint(buffer, DELIVERY_COMPLETE_COUNT);
        wire::put_unsigned_varint(buffer, size_of::<i32>());
        buffer.put_i32(delivery_complete_count);
    }
}

pub(super) fn decode(key: &[u8], value: Option<&[u8]>) -> Result<Record, DecodeError> {
    let mut reader = Reader::new(key);
    let kind = reader.i16()?;
    if !matches!(kind, SNAPSHOT_KEY | UPDATE_KEY) {
        return Ok(Record::Other);
    }
    let group = reader.string(false)?.into();
    let key = Key { group, topic: reader.uuid()?, partition: reader.i32()? };
    let Some(value) = value else {
        return Ok(if kind == SNAPSHOT_KEY { Record::Snapshot { key, state: None } } else { Record::Other });
    };
    let mut value = Reader::new(value);
    match value.i16()? {
        VALUE if kind == SNAPSHOT_KEY => {
            Ok(Record::Snapshot { key, state: Some(decode_snapshot(&mut value)?) })
        }
        VALUE => {
            let (logged, batches) = decode_update(&mut value)?;
            Ok(Record::Update { key, logged, batches })
        }
        other => Err(DecodeError::Version(other)),
    }
}

fn decode_snapshot(value: &mut Reader<'_>) -> Result<(Logged, Vec<StateBatch>), DecodeError> {
    let mut logged = Logged {
        snapshot_epoch: value.i32()?,
        state_epoch: value.i32()?,
        leader_epoch: value.i32()?,
        start_offset: value.i64()?,
        delivery_complete_count: UNKNOWN,
        updates: 0,
    };
    let (_created_ms, _written_ms) = (value.i64()?, value.i64()?);
    let batches = decode_batches(value, &mut logged)?;
    Ok((logged, batches))
}

fn decode_update(value: &mut Reader<'_>) -> Result<(Logged, Vec<StateBatch>), DecodeError> {
    let mut logged = Logged {
        snapshot_epoch: value.i32()?,
        state_epoch: UNKNOWN,
        leader_epoch: value.i32()?,
        start_offset: value.i64()?,
        delivery_complete_count: UNKNOWN,
        updates: 0,
    };
    let batches = decode_batches(value, &mut logged)?;
    Ok((logged, batches))
}

fn decode_batches(value: &mut Reader<'_>, logged: &mut Logged) -> Result<Vec<StateBatch>, DecodeError> {
    let count = value.count(true, BATCH)?;
    let mut batches = Vec::with_capacity(count);
    for _ in 0..count {
        let (first, last) = (value.i64()?, value.i64()?);
        let state = match value.i8()? {
            0 => DeliveryState::Available,
            2 => DeliveryState::Acknowledged,
            4 => DeliveryState::Archived,
            _ => return Err(DecodeError::Length),
        };
        batches.push(StateBatch { first, last, state, deliveries: value.i16()? });
        value.skip_tagged_fields()?;
    }
    value.tagged_fields(|tag, field| {
        if usize::try_from(tag) == Ok(DELIVERY_COMPLETE_COUNT) {
            logged.delivery_complete_count = field.i32()?;
        }
        Ok(())
    })?;
    Ok(batches)
}
