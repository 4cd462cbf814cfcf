//! The embedded consumer protocol: what classic members write into JoinGroup and read from SyncGroup
//! (`ConsumerProtocolSubscription.json`, `ConsumerProtocolAssignment.json`). A consumer group reads and writes it for members
//! that still speak the classic protocol.
//!
//! ```text
//! subscription  version int16 | topics array of string | user data bytes? | owned partitions array (1+)
//!               | generation int32 (2+) | rack string? (3+)
//! assignment    version int16 | partitions array | user data bytes?
//! partitions    topic string | array of int32
//! ```

use std::collections::BTreeSet;

use bytes::{BufMut, Bytes, BytesMut};

use super::member::{Assignment, Owned};
use super::topics::TopicIndex;
use crate::coordinator::wire::{self, DecodeError, Reader};

/// Newest version that is written.
const HIGHEST: i16 = 3;

/// What a classic member subscribes to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Subscription {
    pub(super) version: i16,
    pub(super) topics: BTreeSet<String>,
    pub(super) owned: Vec<(String, BTreeSet<i32>)>,
    pub(super) rack_id: Option<String>,
}

impl Subscription {
    pub(super) fn decode(bytes: &[u8]) -> Result<Self, DecodeError> {
        let mut reader = Reader::new(bytes);
        let version = non_negative(reader.i16()?)?;
        let count = reader.count(false, 2)?;
        let topics = (0..count).map(|_| reader.string(false)).collect::<Result<_, _>>()?;
        skip_nullable_bytes(&mut reader)?;
        let owned = if version >= 1 { partitions(&mut reader)? } else { Vec::new() };
        if version >= 2 {
            reader.i32()?;
        }
        let rack_id = if version >= 3 { reader.nullable_string(false)? } else { None };
        Ok(Self { version, topics, owned, rack_id })
    }

    /// What it says it owns, of topics that exist.
    pub(super) fn owned(&self, topics: &TopicIndex) -> Assignment {
        by_id(&self.owned, topics)
    }
}

/// Reads an assignment; `Err(None)` when an assignor put something of its own in it, which a consumer group would lose.
pub(super) fn decode_assignment(
    bytes: &[u8],
    topics: &TopicIndex,
) -> Result<Assignment, Option<DecodeError>> {
    if bytes.is_empty() {
        return Ok(Assignment::new());
    }
    let mut reader = Reader::new(bytes);
    non_negative(reader.i16()?)?;
    let assigned = partitions(&mut reader)?;
    if skip_nullable_bytes(&mut reader)? > 0 {
        return Err(None);
    }
    Ok(by_id(&assigned, topics))
}

/// Writes an assignment for a member that wrote its subscription in `version`.
pub(super) fn encode_assignment(version: i16, assigned: &Owned, topics: &TopicIndex) -> Bytes {
    let named: Vec<_> = assigned
        .iter()
        .filter_map(|(topic, partitions)| topics.name(*topic).map(|name| (name, partitions)))
        .collect();
    let count = |count: usize| i32::try_from(count).expect("an assignment has fewer than 2^31 entries");
    let mut buffer = BytesMut::new();
    buffer.put_i16(version.min(HIGHEST));
    buffer.put_i32(count(named.len()));
    for (name, partitions) in named {
        wire::put_string(&mut buffer, name);
        buffer.put_i32(count(partitions.len()));
        partitions.keys().for_each(|partition| buffer.put_i32(*partition));
    }
    buffer.put_i32(-1); // no user data
    buffer.freeze()
}

fn by_id(named: &[(String, BTreeSet<i32>)], topics: &TopicIndex) -> Assignment {
    let mut assignment = Assignment::new();
    for (name, partitions) in named {
        if let Some(info) = topics.get(name) {
            assignment.entry(info.id).or_default().extend(partitions);
        }
    }
    assignment
}

fn partitions(reader: &mut Reader<'_>) -> Result<Vec<(String, BTreeSet<i32>)>, DecodeError> {
    let count = reader.count(false, 6)?;
    let one = |reader: &mut Reader<'_>| {
        let topic = reader.string(false)?;
        let count = reader.count(false, 4)?;
        Ok((topic, (0..count).map(|_| reader.i32()).collect::<Result<_, DecodeError>>()?))
    };
    (0..count).map(|_| one(reader)).collect()
}

/// How many bytes there were.
fn skip_nullable_bytes(reader: &mut Reader<'_>) -> Result<usize, DecodeError> {
    Ok(reader.nullable_bytes(false)?.map_or(0, |bytes| bytes.len()))
}

const fn non_negative(version: i16) -> Result<i16, DecodeError> {
    if version < 0 { Err(DecodeError::Version(version)) } else { Ok(version) }
}
