//! Records of consumer groups in `__consumer_offsets`, in Kafka 4.3's own format (`ConsumerGroup*.json` of Kafka's
//! `group-coordinator`). Keys are not flexible, values are: compact strings and arrays, tagged fields at the end.
//!
//! ```text
//! key    version int16 | group string | 5, 7, 8: member string, 16: pattern string
//!  3 group    epoch int32 | tag 0: metadata hash int64
//!  4 (topics of the group, until Kafka 4.0; only its tombstone is written)
//!  5 member   instance? | rack? | client id | client host | topics array | pattern? | rebalance timeout int32
//!             | assignor? | tag 0: classic metadata: session timeout int32, protocols array of name, metadata bytes
//!  6 target   assignment epoch int32 | tag 0: timestamp int64
//!  7 target   array of topic id uuid, partitions array of int32                      of one member
//!  8 current  epoch int32 | previous epoch int32 | state int8 | assigned array | to revoke array
//!             each: topic id uuid, partitions array of int32, tag 0: epochs array of int32, one for each partition
//! 16 pattern  topics array of string | version int64 | timestamp int64
//! ```

use std::collections::BTreeSet;

use bytes::{BufMut, Bytes, BytesMut};
use uuid::Uuid;

use super::member::{Assignment, ClassicMetadata, ConsumerMember, MemberState, Owned};
use crate::coordinator::effect::CoordinatorRecord;
use crate::coordinator::group::event::Protocol;
use crate::coordinator::wire::{self, DecodeError, Reader};

#[cfg(test)]
mod tests;

const GROUP: i16 = 3;
const PARTITION_METADATA: i16 = 4;
const MEMBER: i16 = 5;
const TARGET: i16 = 6;
const TARGET_MEMBER: i16 = 7;
const CURRENT_MEMBER: i16 = 8;
const PATTERN: i16 = 16;

/// A record of a consumer group, decoded. A value of `None` is a tombstone.
#[derive(Debug, PartialEq, Eq)]
pub(in crate::coordinator::group) struct ConsumerRecord {
    pub(super) group: String,
    pub(super) content: Content,
}

/// What the record tells.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Content {
    Group(Option<GroupValue>),
    /// Whether there is one.
    PartitionMetadata(bool),
    Member(String, Option<Box<ConsumerMember>>),
    Target(Option<TargetValue>),
    TargetMember(String, Option<Assignment>),
    CurrentMember(String, Option<CurrentValue>),
    Pattern(String, Option<BTreeSet<String>>),
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in crate::coordinator::group) struct GroupValue {
    pub(in crate::coordinator::group) epoch: i32,
    pub(in crate::coordinator::group) metadata_hash: i64,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in crate::coordinator::group) struct TargetValue {
    pub(in crate::coordinator::group) epoch: i32,
    pub(in crate::coordinator::group) timestamp_ms: i64,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct CurrentValue {
    pub(super) epoch: i32,
    pub(super) previous_epoch: i32,
    pub(super) state: MemberState,
    pub(super) assigned: Owned,
    pub(super) revoking: Owned,
}

impl ConsumerRecord {
    /// Whether keys of this version belong to consumer groups.
    pub(in crate::coordinator::group) const fn is_key(version: i16) -> bool {
        matches!(version, GROUP..=CURRENT_MEMBER | PATTERN)
    }

    /// `key` is read up to its version.
    pub(in crate::coordinator::group) fn decode(
        version: i16,
        key: &mut Reader<'_>,
        value: Option<&[u8]>,
    ) -> Result<Self, DecodeError> {
        let group = key.string(false)?;
        let content = match version {
            GROUP => Content::Group(read(value, group_value)?),
            PARTITION_METADATA => Content::PartitionMetadata(value.is_some()),
            MEMBER => {
                let member = key.string(false)?;
                let value = read(value, |reader| member_value(reader, &member))?;
                Content::Member(member, value.map(Box::new))
            }
            TARGET => Content::Target(read(value, target_value)?),
            TARGET_MEMBER => Content::TargetMember(key.string(false)?, read(value, target_member_value)?),
            CURRENT_MEMBER => Content::CurrentMember(key.string(false)?, read(value, current_value)?),
            PATTERN => Content::Pattern(key.string(false)?, read(value, pattern_value)?),
            version => return Err(DecodeError::Version(version)),
        };
        Ok(Self { group, content })
    }
}

pub(super) fn group(id: &str, value: Option<GroupValue>) -> CoordinatorRecord {
    record(GROUP, id, None, value, |buffer, value| {
        buffer.put_i32(value.epoch);
        let hash = value.metadata_hash.to_be_bytes();
        wire::put_tagged_field(buffer, (value.metadata_hash != 0).then_some(&hash[..]));
    })
}

pub(super) fn partition_metadata_tombstone(id: &str) -> CoordinatorRecord {
    record(PARTITION_METADATA, id, None, None::<()>, |_, ()| ())
}

pub(super) fn member(id: &str, member: &ConsumerMember) -> CoordinatorRecord {
    record(MEMBER, id, Some(&member.id), Some(member), |buffer, member| {
        wire::put_compact_nullable_string(buffer, member.instance_id.as_deref());
        wire::put_compact_nullable_string(buffer, member.rack_id.as_deref());
        wire::put_compact_string(buffer, &member.client_id);
        wire::put_compact_string(buffer, &member.client_host);
        put_strings(buffer, &member.topics);
        wire::put_compact_nullable_string(buffer, member.regex.as_deref());
        buffer.put_i32(member.rebalance_timeout_ms);
        wire::put_compact_nullable_string(buffer, member.server_assignor.as_deref());
        let classic = member.classic.as_ref().map(classic_metadata);
        wire::put_tagged_field(buffer, classic.as_deref());
    })
}

/// The three tombstones of a member that is gone, in Kafka's order.
pub(super) fn member_tombstones(id: &str, member: &str) -> [CoordinatorRecord; 3] {
    let tombstone = |version| record(version, id, Some(member), None::<()>, |_, ()| ());
    [tombstone(CURRENT_MEMBER), tombstone(TARGET_MEMBER), tombstone(MEMBER)]
}

pub(super) fn target(id: &str, value: Option<TargetValue>) -> CoordinatorRecord {
    record(TARGET, id, None, value, put_target)
}

pub(in crate::coordinator::group) fn put_target(buffer: &mut BytesMut, value: TargetValue) {
    buffer.put_i32(value.epoch);
    let timestamp = value.timestamp_ms.to_be_bytes();
    wire::put_tagged_field(buffer, (value.timestamp_ms != 0).then_some(&timestamp[..]));
}

pub(super) fn target_member(id: &str, member: &str, assignment: &Assignment) -> CoordinatorRecord {
    record(TARGET_MEMBER, id, Some(member), Some(assignment), |buffer, assignment| {
        put_assignment(buffer, assignment);
        wire::put_tagged_field(buffer, None);
    })
}

pub(in crate::coordinator::group) fn put_assignment(buffer: &mut BytesMut, assignment: &Assignment) {
    wire::put_compact_length(buffer, assignment.len());
    for (topic, partitions) in assignment {
        buffer.put_slice(topic.as_bytes());
        put_ints(buffer, partitions.len(), partitions.iter().copied());
        wire::put_tagged_field(buffer, None);
    }
}

pub(super) fn current_member(id: &str, member: &ConsumerMember) -> CoordinatorRecord {
    record(CURRENT_MEMBER, id, Some(&member.id), Some(member), |buffer, member| {
        buffer.put_i32(member.epoch);
        buffer.put_i32(member.previous_epoch);
        buffer.put_i8(member.state.record());
        put_owned(buffer, &member.assigned);
        put_owned(buffer, &member.revoking);
        wire::put_tagged_field(buffer, None);
    })
}

/// `version` is the offset of Kafka's metadata log, which has no counterpart here.
pub(super) fn pattern(id: &str, pattern: &str, value: Option<(&BTreeSet<String>, i64)>) -> CoordinatorRecord {
    record(PATTERN, id, Some(pattern), value, |buffer, (topics, timestamp_ms)| {
        put_strings(buffer, topics);
        buffer.put_i64(0);
        buffer.put_i64(timestamp_ms);
        wire::put_tagged_field(buffer, None);
    })
}

/// One record; its value in version 0.
pub(in crate::coordinator::group) fn record<V>(
    version: i16,
    group: &str,
    name: Option<&str>,
    value: Option<V>,
    put: impl FnOnce(&mut BytesMut, V),
) -> CoordinatorRecord {
    let mut key = BytesMut::with_capacity(6 + group.len() + name.map_or(0, str::len));
    key.put_i16(version);
    wire::put_string(&mut key, group);
    if let Some(name) = name {
        wire::put_string(&mut key, name);
    }
    let value = value.map(|value| {
        let mut buffer = BytesMut::new();
        buffer.put_i16(0);
        put(&mut buffer, value);
        buffer.freeze()
    });
    CoordinatorRecord { key: key.freeze(), value }
}

fn classic_metadata(classic: &ClassicMetadata) -> Bytes {
    let mut buffer = BytesMut::new();
    // A struct in a tag is preceded by nothing but its length: it cannot be null there, but Kafka marks it as present.
    buffer.put_i8(1);
    buffer.put_i32(classic.session_timeout_ms);
    wire::put_compact_length(&mut buffer, classic.protocols.len());
    for protocol in &classic.protocols {
        wire::put_compact_string(&mut buffer, &protocol.name);
        wire::put_compact_bytes(&mut buffer, &protocol.metadata);
        wire::put_tagged_field(&mut buffer, None);
    }
    wire::put_tagged_field(&mut buffer, None);
    buffer.freeze()
}

pub(in crate::coordinator::group) fn put_strings(buffer: &mut BytesMut, strings: &BTreeSet<String>) {
    wire::put_compact_length(buffer, strings.len());
    strings.iter().for_each(|text| wire::put_compact_string(buffer, text));
}

pub(in crate::coordinator::group) fn put_ints(
    buffer: &mut BytesMut,
    count: usize,
    ints: impl Iterator<Item = i32>,
) {
    wire::put_compact_length(buffer, count);
    ints.for_each(|int| buffer.put_i32(int));
}

fn put_owned(buffer: &mut BytesMut, owned: &Owned) {
    wire::put_compact_length(buffer, owned.len());
    for (topic, partitions) in owned {
        buffer.put_slice(topic.as_bytes());
        put_ints(buffer, partitions.len(), partitions.keys().copied());
        let mut epochs = BytesMut::new();
        put_ints(&mut epochs, partitions.len(), partitions.values().copied());
        wire::put_tagged_field(buffer, Some(&epochs));
    }
}

/// Reads a value of version 0, if there is one.
pub(in crate::coordinator::group) fn read<T>(
    value: Option<&[u8]>,
    decode: impl FnOnce(&mut Reader<'_>) -> Result<T, DecodeError>,
) -> Result<Option<T>, DecodeError> {
    let Some(value) = value else { return Ok(None) };
    let mut reader = Reader::new(value);
    match reader.i16()? {
        0 => decode(&mut reader).map(Some),
        version => Err(DecodeError::Version(version)),
    }
}

fn group_value(reader: &mut Reader<'_>) -> Result<GroupValue, DecodeError> {
    let epoch = reader.i32()?;
    let metadata_hash = reader.tagged_field()?.map_or(Ok(0), |mut field| field.i64())?;
    Ok(GroupValue { epoch, metadata_hash })
}

fn member_value(reader: &mut Reader<'_>, id: &str) -> Result<ConsumerMember, DecodeError> {
    let mut member = ConsumerMember::new(id.into());
    member.instance_id = reader.nullable_string(true)?;
    member.rack_id = reader.nullable_string(true)?;
    member.client_id = reader.string(true)?;
    member.client_host = reader.string(true)?;
    member.topics = strings(reader)?;
    member.regex = reader.nullable_string(true)?;
    member.rebalance_timeout_ms = reader.i32()?;
    member.server_assignor = reader.nullable_string(true)?;
    member.classic = reader.tagged_field()?.map(read_classic_metadata).transpose()?.flatten();
    Ok(member)
}

fn read_classic_metadata(mut reader: Reader<'_>) -> Result<Option<ClassicMetadata>, DecodeError> {
    if reader.i8()? < 0 {
        return Ok(None);
    }
    let session_timeout_ms = reader.i32()?;
    let count = reader.count(true, 3)?;
    let protocol = |reader: &mut Reader<'_>| {
        let (name, metadata) = (reader.string(true)?, reader.bytes(true)?);
        reader.skip_tagged_fields()?;
        Ok(Protocol { name, metadata })
    };
    let protocols = (0..count).map(|_| protocol(&mut reader)).collect::<Result<_, DecodeError>>()?;
    Ok(Some(ClassicMetadata { session_timeout_ms, protocols }))
}

pub(in crate::coordinator::group) fn target_value(
    reader: &mut Reader<'_>,
) -> Result<TargetValue, DecodeError> {
    let epoch = reader.i32()?;
    let timestamp_ms = reader.tagged_field()?.map_or(Ok(0), |mut field| field.i64())?;
    Ok(TargetValue { epoch, timestamp_ms })
}

fn target_member_value(reader: &mut Reader<'_>) -> Result<Assignment, DecodeError> {
    let assigned = assignment(reader)?;
    reader.skip_tagged_fields()?;
    Ok(assigned)
}

pub(in crate::coordinator::group) fn assignment(reader: &mut Reader<'_>) -> Result<Assignment, DecodeError> {
    let count = reader.count(true, SMALLEST_TOPIC)?;
    let topic = |reader: &mut Reader<'_>| {
        let topic = (reader.uuid()?, ints(reader)?.into_iter().collect());
        reader.skip_tagged_fields()?;
        Ok(topic)
    };
    (0..count).map(|_| topic(reader)).collect()
}

/// A topic id, no partitions, no tags.
const SMALLEST_TOPIC: usize = 18;

fn current_value(reader: &mut Reader<'_>) -> Result<CurrentValue, DecodeError> {
    let (epoch, previous_epoch) = (reader.i32()?, reader.i32()?);
    let state = MemberState::from_record(reader.i8()?);
    let (assigned, revoking) = (owned(reader, epoch)?, owned(reader, epoch)?);
    reader.skip_tagged_fields()?;
    Ok(CurrentValue { epoch, previous_epoch, state, assigned, revoking })
}

/// Records from before Kafka 4.3 have no epochs of their own: the member's takes their place.
fn owned(reader: &mut Reader<'_>, member_epoch: i32) -> Result<Owned, DecodeError> {
    let count = reader.count(true, SMALLEST_TOPIC)?;
    let topic = |reader: &mut Reader<'_>| {
        let (topic, partitions): (Uuid, _) = (reader.uuid()?, ints(reader)?);
        let epochs = reader.tagged_field()?.map(|mut field| ints(&mut field)).transpose()?;
        let epochs = epochs.filter(|epochs| epochs.len() == partitions.len());
        let epochs = epochs.unwrap_or_else(|| vec![member_epoch; partitions.len()]);
        Ok((topic, partitions.into_iter().zip(epochs).collect()))
    };
    (0..count).map(|_| topic(reader)).collect()
}

fn pattern_value(reader: &mut Reader<'_>) -> Result<BTreeSet<String>, DecodeError> {
    let topics = strings(reader)?;
    let (_version, _timestamp) = (reader.i64()?, reader.i64()?);
    reader.skip_tagged_fields()?;
    Ok(topics)
}

pub(in crate::coordinator::group) fn strings(
    reader: &mut Reader<'_>,
) -> Result<BTreeSet<String>, DecodeError> {
    let count = reader.count(true, 1)?;
    (0..count).map(|_| reader.string(true)).collect()
}

pub(in crate::coordinator::group) fn ints(reader: &mut Reader<'_>) -> Result<Vec<i32>, DecodeError> {
    let count = reader.count(true, 4)?;
    (0..count).map(|_| reader.i32()).collect()
}
