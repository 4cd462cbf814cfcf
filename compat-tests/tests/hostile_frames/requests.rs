//! Bytes of requests, and the few fields of answers that tell whether one was accepted.

use anyhow::{Context as _, Result};

/// ListOffsets: the record with the greatest timestamp (KIP-734, version 7).
pub(crate) const MAX_TIMESTAMP: i64 = -3;

const PRODUCE: i16 = 0;
const LIST_OFFSETS: i16 = 2;
const METADATA: i16 = 3;
const CREATE_TOPICS: i16 = 19;

/// `content` behind its size.
pub(crate) fn framed(content: &[u8]) -> Vec<u8> {
    let size = i32::try_from(content.len()).unwrap_or(i32::MAX);
    [&size.to_be_bytes()[..], content].concat()
}

/// A frame with request header v1, or v2 with no tags, and `body`.
pub(crate) fn request(key: i16, version: i16, flexible: bool, body: &[u8]) -> Vec<u8> {
    let mut content = Vec::new();
    content.extend(key.to_be_bytes());
    content.extend(version.to_be_bytes());
    content.extend(7_i32.to_be_bytes()); // correlation id
    content.extend(b"\0\x07hostile");
    if flexible {
        content.push(0);
    }
    content.extend(body);
    framed(&content)
}

/// A section of `count` unknown empty tagged fields in rising order, cut off at `limit` bytes.
pub(crate) fn tagged_fields(count: usize, limit: usize) -> Vec<u8> {
    let mut section = Vec::new();
    put_unsigned_varint(&mut section, u32::try_from(count).unwrap_or(u32::MAX));
    for tag in 0..u32::try_from(count).unwrap_or(u32::MAX) {
        if section.len() + 6 > limit {
            break;
        }
        put_unsigned_varint(&mut section, tag);
        section.push(0);
    }
    section
}

/// Metadata version 1 of one topic, which creates it when it is not there.
pub(crate) fn metadata(topic: &str) -> Result<Vec<u8>> {
    let mut body = Vec::from(1_i32.to_be_bytes());
    put_string(&mut body, topic)?;
    Ok(request(METADATA, 1, false, &body))
}

/// CreateTopics version 2 of one compacted topic with one partition.
pub(crate) fn create_compacted(topic: &str) -> Result<Vec<u8>> {
    let mut body = Vec::from(1_i32.to_be_bytes());
    put_string(&mut body, topic)?;
    body.extend(b"\0\0\0\x01\0\x01\0\0\0\0\0\0\0\x01"); // partitions, replicas, no assignment, one config
    put_string(&mut body, "cleanup.policy")?;
    put_string(&mut body, "compact")?;
    body.extend(b"\0\0\x27\x10\0"); // 10 s, for real
    Ok(request(CREATE_TOPICS, 2, false, &body))
}

/// Produce version 8 of one batch to partition 0, acks=all: once it is answered, every other request sees the batch.
pub(crate) fn produce(topic: &str, batch: &[u8]) -> Result<Vec<u8>> {
    produce_claiming(topic, batch, i32::try_from(batch.len())?)
}

/// The same with another length before the batch than it has.
pub(crate) fn produce_claiming(topic: &str, batch: &[u8], length: i32) -> Result<Vec<u8>> {
    let mut body = Vec::from(*b"\xff\xff\xff\xff\0\0\x27\x10\0\0\0\x01"); // no transaction, acks, 10 s, one topic
    put_string(&mut body, topic)?;
    body.extend(b"\0\0\0\x01\0\0\0\0");
    body.extend(length.to_be_bytes());
    body.extend(batch);
    Ok(request(PRODUCE, 8, false, &body))
}

/// ListOffsets version 7 (with flexible fields) of partition 0.
pub(crate) fn list_offsets(topic: &str, timestamp: i64) -> Result<Vec<u8>> {
    let mut body = Vec::from(*b"\xff\xff\xff\xff\0\x02"); // no replica, read uncommitted, one topic
    body.push(u8::try_from(topic.len() + 1)?);
    body.extend(topic.as_bytes());
    body.extend(b"\x02\0\0\0\0\xff\xff\xff\xff"); // one partition, any leader epoch
    body.extend(timestamp.to_be_bytes());
    body.extend([0, 0, 0]);
    Ok(request(LIST_OFFSETS, 7, true, &body))
}

/// The error code of the one partition in the answer to [`produce`].
pub(crate) fn produce_error(topic: &str, answer: &[u8]) -> Result<i16> {
    // Correlation id, topics, name, partitions, index.
    code_at(answer, 4 + 4 + 2 + topic.len() + 4 + 4)
}

/// The error code of the one topic in the answer to [`create_compacted`].
pub(crate) fn create_error(topic: &str, answer: &[u8]) -> Result<i16> {
    // Correlation id, throttle time, topics, name.
    code_at(answer, 4 + 4 + 4 + 2 + topic.len())
}

/// Error code and offset of the one partition in the answer to [`list_offsets`].
pub(crate) fn list_offsets_answer(topic: &str, answer: &[u8]) -> Result<(i16, i64)> {
    // Correlation id, tags, throttle time, topics, name, partitions, index; then code, timestamp, offset.
    let place = 4 + 1 + 4 + 1 + 1 + topic.len() + 1 + 4;
    let offset = answer.get(place + 2 + 8..).and_then(|rest| rest.first_chunk());
    Ok((code_at(answer, place)?, i64::from_be_bytes(*offset.context("the answer is too short")?)))
}

fn code_at(answer: &[u8], place: usize) -> Result<i16> {
    let bytes = answer.get(place..).and_then(|rest| rest.first_chunk());
    Ok(i16::from_be_bytes(*bytes.context("the answer is too short")?))
}

/// A string as classic versions write it.
pub(crate) fn put_string(body: &mut Vec<u8>, text: &str) -> Result<()> {
    body.extend(i16::try_from(text.len())?.to_be_bytes());
    body.extend(text.as_bytes());
    Ok(())
}

fn put_unsigned_varint(bytes: &mut Vec<u8>, mut value: u32) {
    while value >= 0x80 {
        bytes.push(u8::try_from(value & 0x7f).unwrap_or(0) | 0x80);
        value >>= 7;
    }
    bytes.push(u8::try_from(value).unwrap_or(0));
}
