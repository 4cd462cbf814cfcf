//! Records of share groups in `__consumer_offsets`, in Kafka 4.3's own format (`ShareGroup*.json` of Kafka's
//! `group-coordinator`). Keys are not flexible, values are: compact strings and arrays, tagged fields at the end.
//!
//! ```text
//! key    version int16 | group string | 10, 13, 14: member string
//! 10 member   rack? | client id | client host | topics array of string
//! 11 group    epoch int32 | metadata hash int64
//! 12 target   assignment epoch int32 | tag 0: timestamp int64
//! 13 target   array of topic id uuid, partitions array of int32                      of one member
//! 14 current  epoch int32 | previous epoch int32 | state int8, always 0 | assigned array as in 13
//! 15 state    initializing array | initialized array | deleting array of topic id uuid, name
//!             the first two: topic id uuid, name, partitions array of int32
//! ```

use std::collections::BTreeMap;

use bytes::BufMut;
use uuid::Uuid;

use super::member::ShareMember;
use super::state::{StatePartitions, StateTopic};
use crate::coordinator::effect::CoordinatorRecord;
use crate::coordinator::group::consumer::member::Assignment;
use crate::coordinator::group::consumer::records::{
    GroupValue, TargetValue, assignment, ints, put_assignment, put_ints, put_strings, put_target, read,
    record, strings, target_value,
};
use crate::coordinator::wire::{self, DecodeError, Reader};

#[cfg(test)]
mod tests;

const MEMBER: i16 = 10;
const GROUP: i16 = 11;
const TARGET: i16 = 12;
const TARGET_MEMBER: i16 = 13;
const CURRENT_MEMBER: i16 = 14;
const STATE: i16 = 15;

/// A record of a share group, decoded. A value of `None` is a tombstone.
#[derive(Debug, PartialEq, Eq)]
pub(in crate::coordinator::group) struct ShareRecord {
    pub(super) group: String,
    pub(super) content: Content,
}

/// What the record tells.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Content {
    Member(String, Option<Box<ShareMember>>),
    Group(Option<GroupValue>),
    Target(Option<TargetValue>),
    TargetMember(String, Option<Assignment>),
    CurrentMember(String, Option<CurrentValue>),
    State(Option<StatePartitions>),
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct CurrentValue {
    pub(super) epoch: i32,
    pub(super) previous_epoch: i32,
    pub(super) assigned: Assignment,
}

impl ShareRecord {
    /// Whether keys of this version belong to share groups.
    pub(in crate::coordinator::group) const fn is_key(version: i16) -> bool {
        matches!(version, MEMBER..=STATE)
    }

    /// `key` is read up to its version.
    pub(in crate::coordinator::group) fn decode(
        version: i16,
        key: &mut Reader<'_>,
        value: Option<&[u8]>,
    ) -> Result<Self, DecodeError> {
        let group = key.string(false)?;
        let content = match version {
            MEMBER => {
                let member = key.string(false)?;
                let value = read(value, |reader| member_value(reader, &member))?;
                Content::Member(member, value.map(Box::new))
            }
            GROUP => Content::Group(read(value, group_value)?),
            TARGET => Content::Target(read(value, target_value)?),
            TARGET_MEMBER => Content::TargetMember(key.string(false)?, read(value, target_member_value)?),
            CURRENT_MEMBER => Content::CurrentMember(key.string(false)?, read(value, current_value)?),
            STATE => Content::State(read(value, state_value)?),
            version => return Err(DecodeError::Version(version)),
        };
        Ok(Self { group, content })
    }
}

pub(super) fn member(id: &str, member: &ShareMember) -> CoordinatorRecord {
    record(MEMBER, id, Some(&member.id), Some(member), |buffer, member| {
        wire::put_compact_nullable_string(buffer, member.rack_id.as_deref());
        wire::put_compact_string(buffer, &member.client_id);
        wire::put_compact_string(buffer, &member.client_host);
        put_strings(buffer, &member.topics);
        wire::put_tagged_field(buffer, None);
    })
}

/// The three tombstones of a member that is gone, in Kafka's order.
pub(super) fn member_tombstones(id: &str, member: &str) -> [CoordinatorRecord; 3] {
    let tombstone = |version| record(version, id, Some(member), None::<()>, |_, ()| ());
    [tombstone(CURRENT_MEMBER), tombstone(TARGET_MEMBER), tombstone(MEMBER)]
}

pub(super) fn group(id: &str, value: Option<GroupValue>) -> CoordinatorRecord {
    record(GROUP, id, None, value, |buffer, value| {
        buffer.put_i32(value.epoch);
        buffer.put_i64(value.metadata_hash);
        wire::put_tagged_field(buffer, None);
    })
}

pub(super) fn target(id: &str, value: Option<TargetValue>) -> CoordinatorRecord {
    record(TARGET, id, None, value, put_target)
}

pub(super) fn target_member(id: &str, member: &str, assignment: &Assignment) -> CoordinatorRecord {
    record(TARGET_MEMBER, id, Some(member), Some(assignment), |buffer, assignment| {
        put_assignment(buffer, assignment);
        wire::put_tagged_field(buffer, None);
    })
}

pub(super) fn current_member(id: &str, member: &ShareMember) -> CoordinatorRecord {
    record(CURRENT_MEMBER, id, Some(&member.id), Some(member), |buffer, member| {
        buffer.put_i32(member.epoch);
        buffer.put_i32(member.previous_epoch);
        buffer.put_i8(0);
        put_assignment(buffer, &member.assigned);
        wire::put_tagged_field(buffer, None);
    })
}

pub(super) fn state(id: &str, value: Option<&StatePartitions>) -> CoordinatorRecord {
    record(STATE, id, None, value, |buffer, state| {
        for topics in [&state.initializing, &state.initialized] {
            wire::put_compact_length(buffer, topics.len());
            for (id, topic) in topics {
                buffer.put_slice(id.as_bytes());
                wire::put_compact_string(buffer, &topic.name);
                put_ints(buffer, topic.partitions.len(), topic.partitions.iter().copied());
                wire::put_tagged_field(buffer, None);
            }
        }
        wire::put_compact_length(buffer, state.deleting.len());
        for (id, name) in &state.deleting {
            buffer.put_slice(id.as_bytes());
            wire::put_compact_string(buffer, name);
            wire::put_tagged_field(buffer, None);
        }
        wire::put_tagged_field(buffer, None);
    })
}

fn member_value(reader: &mut Reader<'_>, id: &str) -> Result<ShareMember, DecodeError> {
    let mut member = ShareMember::new(id.into());
    member.rack_id = reader.nullable_string(true)?;
    member.client_id = reader.string(true)?;
    member.client_host = reader.string(true)?;
    member.topics = strings(reader)?;
    reader.skip_tagged_fields()?;
    Ok(member)
}

fn group_value(reader: &mut Reader<'_>) -> Result<GroupValue, DecodeError> {
    let value = GroupValue { epoch: reader.i32()?, metadata_hash: reader.i64()? };
    reader.skip_tagged_fields()?;
    Ok(value)
}

fn target_member_value(reader: &mut Reader<'_>) -> Result<Assignment, DecodeError> {
    let assigned = assignment(reader)?;
    reader.skip_tagged_fields()?;
    Ok(assigned)
}

fn current_value(reader: &mut Reader<'_>) -> Result<CurrentValue, DecodeError> {
    let (epoch, previous_epoch) = (reader.i32()?, reader.i32()?);
    let _state = reader.i8()?;
    let assigned = assignment(reader)?;
    reader.skip_tagged_fields()?;
    Ok(CurrentValue { epoch, previous_epoch, assigned })
}

fn state_value(reader: &mut Reader<'_>) -> Result<StatePartitions, DecodeError> {
    let (initializing, initialized) = (state_topics(reader)?, state_topics(reader)?);
    let count = reader.count(true, SMALLEST_TOPIC)?;
    let topic = |reader: &mut Reader<'_>| {
        let topic = (reader.uuid()?, reader.string(true)?);
        reader.skip_tagged_fields()?;
        Ok(topic)
    };
    let deleting = (0..count).map(|_| topic(reader)).collect::<Result<_, DecodeError>>()?;
    reader.skip_tagged_fields()?;
    Ok(StatePartitions { initializing, initialized, deleting })
}

/// A topic id, an empty name, no tags.
const SMALLEST_TOPIC: usize = 18;

fn state_topics(reader: &mut Reader<'_>) -> Result<BTreeMap<Uuid, StateTopic>, DecodeError> {
    let count = reader.count(true, SMALLEST_TOPIC)?;
    let topic = |reader: &mut Reader<'_>| {
        let (id, name) = (reader.uuid()?, reader.string(true)?);
        let partitions = ints(reader)?.into_iter().collect();
        reader.skip_tagged_fields()?;
        Ok((id, StateTopic { name, partitions, since_ms: 0 }))
    };
    (0..count).map(|_| topic(reader)).collect()
}
