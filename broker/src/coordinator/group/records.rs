//! Records of `__consumer_offsets` in Kafka's own format (`OffsetCommitKey.json` and its neighbours in Kafka's
//! `group-coordinator`), so that Kafka's tools read our log and we read Kafka's.
//!
//! ```text
//! key    version int16 = 0, 1 | group string | topic string | partition int32             a committed offset
//! key    version int16 = 2    | group string                                              a classic group
//!
//! offset version int16 0..4 | offset int64 | leader epoch int32 (3+) | metadata string | commit timestamp int64
//!        | expire timestamp int64 (1 only) | tagged fields (4+)
//! group  version int16 0..4 | protocol type string | generation int32 | protocol string? | leader string?
//!        | state timestamp int64 (2+) | members array | tagged fields (4+)
//! member member id string | instance id string? (3+) | client id string | client host string
//!        | rebalance timeout int32 (1+) | session timeout int32 | subscription bytes | assignment bytes
//!        | tagged fields (4+)
//! ```
//!
//! Written as Kafka 4.3 writes them: offsets in version 4 (version 1 if they carry their own expiry), groups in version 3. The
//! topic id that version 4 may carry as a tag is not used: offsets are kept by topic name. Keys of other versions belong to
//! other kinds of groups and are passed over.

use bytes::{BufMut, Bytes, BytesMut};

use super::consumer::records::ConsumerRecord;
use super::effect::CoordinatorRecord;
use super::offsets::CommittedOffset;
use super::share::records::ShareRecord;
use super::wire::{self, DecodeError, Reader};

const OFFSET_COMMIT_KEYS: std::ops::RangeInclusive<i16> = 0..=1;
const OFFSET_COMMIT_KEY: i16 = 1;
const GROUP_METADATA_KEY: i16 = 2;
const HIGHEST_VALUE: i16 = 4;
const FIRST_FLEXIBLE: i16 = 4;
/// Sentinel for a timestamp that is not set.
const NO_TIMESTAMP: i64 = -1;

/// A record, decoded. A value of `None` is a tombstone.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Record {
    OffsetCommit {
        group: String,
        topic: String,
        partition: i32,
        value: Option<CommittedOffset>,
    },
    GroupMetadata {
        group: String,
        value: Option<GroupMetadata>,
    },
    /// Of a consumer group (KIP-848).
    Consumer(ConsumerRecord),
    /// Of a share group (KIP-932).
    Share(ShareRecord),
    /// Of another kind of group.
    Other,
}

/// What the log keeps of a classic group.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct GroupMetadata {
    pub(super) protocol_type: String,
    pub(super) generation: i32,
    pub(super) protocol: Option<String>,
    pub(super) leader: Option<String>,
    pub(super) state_since_ms: Option<i64>,
    pub(super) members: Vec<MemberMetadata>,
}

/// What the log keeps of a member.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct MemberMetadata {
    pub(super) member_id: String,
    pub(super) group_instance_id: Option<String>,
    pub(super) client_id: String,
    pub(super) client_host: String,
    pub(super) rebalance_timeout_ms: i32,
    pub(super) session_timeout_ms: i32,
    pub(super) subscription: Bytes,
    pub(super) assignment: Bytes,
}

impl Record {
    pub(super) fn decode(key: &[u8], value: Option<&[u8]>) -> Result<Self, DecodeError> {
        let mut key = Reader::new(key);
        match key.i16()? {
            version if OFFSET_COMMIT_KEYS.contains(&version) => {
                let (group, topic, partition) = (key.string(false)?, key.string(false)?, key.i32()?);
                let value = value.map(decode_offset).transpose()?;
                Ok(Self::OffsetCommit { group, topic, partition, value })
            }
            GROUP_METADATA_KEY => {
                let group = key.string(false)?;
                Ok(Self::GroupMetadata { group, value: value.map(decode_group).transpose()? })
            }
            version if ConsumerRecord::is_key(version) => {
                ConsumerRecord::decode(version, &mut key, value).map(Self::Consumer)
            }
            version if ShareRecord::is_key(version) => {
                ShareRecord::decode(version, &mut key, value).map(Self::Share)
            }
            _ => Ok(Self::Other),
        }
    }
}

/// The record of a committed offset, or its tombstone.
pub(super) fn offset_commit(
    group: &str,
    topic: &str,
    partition: i32,
    value: Option<&CommittedOffset>,
) -> CoordinatorRecord {
    let mut key = BytesMut::with_capacity(10 + group.len() + topic.len());
    key.put_i16(OFFSET_COMMIT_KEY);
    wire::put_string(&mut key, group);
    wire::put_string(&mut key, topic);
    key.put_i32(partition);
    CoordinatorRecord { key: key.freeze(), value: value.map(encode_offset) }
}

/// The record of a classic group, or its tombstone.
pub(super) fn group_metadata(group: &str, value: Option<&GroupMetadata>) -> CoordinatorRecord {
    let mut key = BytesMut::with_capacity(4 + group.len());
    key.put_i16(GROUP_METADATA_KEY);
    wire::put_string(&mut key, group);
    CoordinatorRecord { key: key.freeze(), value: value.map(encode_group) }
}

fn encode_offset(value: &CommittedOffset) -> Bytes {
    let mut buffer = BytesMut::with_capacity(36 + value.metadata.len());
    match value.expire_timestamp_ms {
        Some(expire_timestamp_ms) => {
            buffer.put_i16(1);
            buffer.put_i64(value.offset);
            wire::put_string(&mut buffer, &value.metadata);
            buffer.put_i64(value.commit_timestamp_ms);
            buffer.put_i64(expire_timestamp_ms);
        }
        None => {
            buffer.put_i16(4);
            buffer.put_i64(value.offset);
            buffer.put_i32(value.leader_epoch);
            wire::put_compact_string(&mut buffer, &value.metadata);
            buffer.put_i64(value.commit_timestamp_ms);
            buffer.put_u8(0); // no tagged fields
        }
    }
    buffer.freeze()
}

fn decode_offset(value: &[u8]) -> Result<CommittedOffset, DecodeError> {
    let mut reader = Reader::new(value);
    let version = value_version(&mut reader)?;
    let flexible = version >= FIRST_FLEXIBLE;
    let offset = reader.i64()?;
    let leader_epoch = if version >= 3 { reader.i32()? } else { -1 };
    let metadata = reader.string(flexible)?;
    let commit_timestamp_ms = reader.i64()?;
    let expire_timestamp_ms = if version == 1 { optional(reader.i64()?) } else { None };
    if flexible {
        reader.skip_tagged_fields()?;
    }
    Ok(CommittedOffset { offset, leader_epoch, metadata, commit_timestamp_ms, expire_timestamp_ms })
}

fn encode_group(value: &GroupMetadata) -> Bytes {
    let mut buffer = BytesMut::with_capacity(64 + value.members.len() * 128);
    buffer.put_i16(3);
    wire::put_string(&mut buffer, &value.protocol_type);
    buffer.put_i32(value.generation);
    wire::put_nullable_string(&mut buffer, value.protocol.as_deref());
    wire::put_nullable_string(&mut buffer, value.leader.as_deref());
    buffer.put_i64(value.state_since_ms.unwrap_or(NO_TIMESTAMP));
    buffer.put_i32(i32::try_from(value.members.len()).expect("a group has fewer than 2^31 members"));
    for member in &value.members {
        wire::put_string(&mut buffer, &member.member_id);
        wire::put_nullable_string(&mut buffer, member.group_instance_id.as_deref());
        wire::put_string(&mut buffer, &member.client_id);
        wire::put_string(&mut buffer, &member.client_host);
        buffer.put_i32(member.rebalance_timeout_ms);
        buffer.put_i32(member.session_timeout_ms);
        wire::put_bytes(&mut buffer, &member.subscription);
        wire::put_bytes(&mut buffer, &member.assignment);
    }
    buffer.freeze()
}

fn decode_group(value: &[u8]) -> Result<GroupMetadata, DecodeError> {
    /// Flexible form: three empty strings, a null, two timeouts, two empty byte fields, no tags.
    const SMALLEST_MEMBER: usize = 15;
    let mut reader = Reader::new(value);
    let version = value_version(&mut reader)?;
    let flexible = version >= FIRST_FLEXIBLE;
    let protocol_type = reader.string(flexible)?;
    let generation = reader.i32()?;
    let protocol = reader.nullable_string(flexible)?;
    let leader = reader.nullable_string(flexible)?;
    let state_since_ms = if version >= 2 { optional(reader.i64()?) } else { None };
    let count = reader.count(flexible, SMALLEST_MEMBER)?;
    let members = (0..count).map(|_| decode_member(&mut reader, version)).collect::<Result<_, _>>()?;
    if flexible {
        reader.skip_tagged_fields()?;
    }
    Ok(GroupMetadata { protocol_type, generation, protocol, leader, state_since_ms, members })
}

fn decode_member(reader: &mut Reader<'_>, version: i16) -> Result<MemberMetadata, DecodeError> {
    let flexible = version >= FIRST_FLEXIBLE;
    let member_id = reader.string(flexible)?;
    let group_instance_id = if version >= 3 { reader.nullable_string(flexible)? } else { None };
    let client_id = reader.string(flexible)?;
    let client_host = reader.string(flexible)?;
    let rebalance_timeout_ms = if version >= 1 { reader.i32()? } else { -1 };
    let session_timeout_ms = reader.i32()?;
    let subscription = reader.bytes(flexible)?;
    let assignment = reader.bytes(flexible)?;
    if flexible {
        reader.skip_tagged_fields()?;
    }
    // Version 0 knew no rebalance timeout: the session timeout took its place (GroupMetadataManager.replay).
    let rebalance_timeout_ms =
        if rebalance_timeout_ms == -1 { session_timeout_ms } else { rebalance_timeout_ms };
    Ok(MemberMetadata {
        member_id,
        group_instance_id,
        client_id,
        client_host,
        rebalance_timeout_ms,
        session_timeout_ms,
        subscription,
        assignment,
    })
}

fn value_version(reader: &mut Reader<'_>) -> Result<i16, DecodeError> {
    match reader.i16()? {
        version @ 0..=HIGHEST_VALUE => Ok(version),
        version => Err(DecodeError::Version(version)),
    }
}

fn optional(timestamp: i64) -> Option<i64> {
    (timestamp != NO_TIMESTAMP).then_some(timestamp)
}
