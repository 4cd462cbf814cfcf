//! What a client's batch must look like before it may reach the log (Kafka `ProduceRequest.validateRecords`,
//! `UnifiedLog.analyzeAndValidateRecords`, `LogValidator`). Pure: bytes and rules in, a batch or a rejection out.
//!
//! Uncompressed records are walked to their last byte. Compressed ones are looked into only where a record can break a
//! rule that the header does not show: keys of a compacted topic, a limit on old timestamps, or where they are compressed
//! anew. Otherwise the header's word
//! on count and greatest timestamp is taken. A header that names another greatest timestamp than the records have is put
//! right, so that searches by time find what is there.

use std::fmt::Display;
use std::ops::ControlFlow;

use bytes::Bytes;
use protocol::ErrorCode;
use protocol::record_batch::{BatchError, Codec, RecordBatchView, set_log_append_time, set_max_timestamp};
use protocol::record_lookup::LookupError;
use protocol::record_outline::{RecordOutline, each_outline};
use protocol::record_set::RecordError;
use storage::ValidBatch;

use super::recompress;
use crate::topic_config::TopicConfig;

const SIZE_AT: usize = 8;
/// Base offset and size, which the size does not count.
const SIZED_FROM: usize = 12;
const MAGIC_AT: usize = 16;
/// The half of the attributes that has the timestamp type, and its bit.
const TIMESTAMP_TYPE: (usize, u8) = (22, 0x08);
/// No message set of any magic is smaller (Kafka `LegacyRecord.RECORD_OVERHEAD_V0`).
const MIN_SIZE: i32 = 14;
const NO_TIMESTAMP: i64 = -1;
/// Records that are named one by one in a rejection.
const MAX_RECORD_ERRORS: usize = 1000;
/// A batch that decompresses to more than this many times its limit is not looked into.
const DECOMPRESSED_FACTOR: usize = 64;

/// What the batch is measured against.
pub(super) struct Rules<'a> {
    pub(super) version: i16,
    pub(super) config: &'a TopicConfig,
    /// The request names a transactional id.
    pub(super) transactional_id: bool,
    pub(super) now_ms: i64,
    pub(super) topic: &'a str,
    pub(super) partition: i32,
}

/// A batch that may be appended.
#[derive(Debug)]
pub(super) struct Checked {
    pub(super) batch: ValidBatch,
    /// The time it was stamped with, -1 when it keeps its own.
    pub(super) log_append_time_ms: i64,
    /// It belongs to a transaction.
    pub(super) transactional: bool,
    /// The rest of the check takes long: [`finish`] is to be called away from the core, and says what is appended.
    pub(super) unfinished: bool,
}

/// Why a batch is not appended. Clients are told as much as Kafka tells them, the rest goes to the log at level debug.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Rejection {
    pub(super) error: ErrorCode,
    pub(super) message: Option<String>,
    /// Where the log starts, -1 where Kafka gives up before it looks.
    pub(super) log_start_offset: i64,
    /// Kafka finds out in its log, after the checks of the request.
    pub(super) in_log: bool,
    /// Index in the batch and what is wrong with that record.
    pub(super) record_errors: Vec<(i32, String)>,
}

impl From<ErrorCode> for Rejection {
    fn from(error: ErrorCode) -> Self {
        Self { error, message: None, log_start_offset: -1, in_log: false, record_errors: Vec::new() }
    }
}

impl Rejection {
    pub(super) fn new(error: ErrorCode, why: impl Display) -> Self {
        tracing::debug!(error = error.name(), %why, "a batch is refused");
        Self::from(error)
    }

    fn invalid(why: impl Display) -> Self {
        Self::new(ErrorCode::InvalidRecord, why)
    }

    fn in_log(self) -> Self {
        Self { in_log: true, ..self }
    }

    fn timestamps(record_errors: Vec<(i32, String)>) -> Self {
        let message = "One or more records have been rejected due to invalid timestamp".to_owned();
        Self { message: Some(message), record_errors, ..Self::from(ErrorCode::InvalidTimestamp) }
    }
}

/// Checks the records of one partition.
pub(super) fn check(records: Option<Bytes>, rules: &Rules<'_>) -> Result<Checked, Rejection> {
    let records = one_batch(records.unwrap_or_default(), rules.version)?;
    let batch = structure(&records, rules)?;
    let size = records.len();
    let limit = rules.config.max_message_bytes;
    if size > limit {
        let message = format!(
            "The record batch size in the append to {}-{} is {size} bytes which exceeds the maximum configured value of {limit}.",
            rules.topic, rules.partition
        );
        return Err(Rejection::new(ErrorCode::MessageTooLarge, message));
    }
    let valid =
        ValidBatch::new(records.clone()).map_err(|error| Rejection::new(ErrorCode::CorruptMessage, error))?;
    if batch.is_transactional() && !rules.transactional_id {
        return Err(Rejection::from(ErrorCode::TransactionalIdAuthorizationFailed));
    }
    header(&batch, rules).map_err(Rejection::in_log)?;
    if recompress::takes_long(&batch, rules.config) {
        let log_append_time_ms = if rules.config.log_append_time { rules.now_ms } else { NO_TIMESTAMP };
        let transactional = batch.is_transactional();
        return Ok(Checked { batch: valid, log_append_time_ms, transactional, unfinished: true });
    }
    finish(valid, rules)
}

/// Looks into the records of a batch with a right header and makes of it what is stored: in the topic's codec, with the
/// topic's kind of timestamps.
pub(super) fn finish(valid: ValidBatch, rules: &Rules<'_>) -> Result<Checked, Rejection> {
    let transactional = valid.view().is_transactional();
    let newest = contents(&valid.view(), rules).map_err(Rejection::in_log)?;
    let valid = recompress::recompressed(valid, rules)?;
    if rules.config.log_append_time {
        let batch = rewritten(&valid, |bytes| set_log_append_time(bytes, rules.now_ms));
        return Ok(Checked { batch, log_append_time_ms: rules.now_ms, transactional, unfinished: false });
    }
    let batch = if newest == valid.view().max_timestamp() && !valid.view().is_log_append_time() {
        valid
    } else {
        rewritten(&valid, |bytes| {
            bytes[TIMESTAMP_TYPE.0] &= !TIMESTAMP_TYPE.1;
            set_max_timestamp(bytes, newest)
        })
    };
    Ok(Checked { batch, log_append_time_ms: NO_TIMESTAMP, transactional, unfinished: false })
}

fn rewritten(batch: &ValidBatch, change: impl FnOnce(&mut [u8]) -> Result<(), BatchError>) -> ValidBatch {
    let mut bytes = batch.view().as_bytes().to_vec();
    change(&mut bytes).expect("the same bytes parsed before");
    ValidBatch::new(Bytes::from(bytes)).expect("every change computes the checksum anew")
}

/// How many bytes the first batch has, `None` when it is not all there (Kafka `ByteBufferLogInputStream`).
///
/// # Errors
/// Kafka's sentence about bytes that are no batch of any magic.
fn first_batch(bytes: &[u8]) -> Result<Option<usize>, String> {
    let Some(size) = bytes.get(SIZE_AT..SIZED_FROM) else { return Ok(None) };
    let size = i32::from_be_bytes(size.try_into().expect("four bytes"));
    if size < MIN_SIZE {
        return Err(format!("Record size {size} is less than the minimum record overhead ({MIN_SIZE})"));
    }
    let Some(magic) = bytes.get(MAGIC_AT).map(|magic| magic.cast_signed()) else { return Ok(None) };
    if !(0..=2).contains(&magic) {
        return Err(format!("Invalid magic found in record: {magic}"));
    }
    let total = usize::try_from(size).ok().and_then(|size| size.checked_add(SIZED_FROM));
    Ok(total.filter(|total| *total <= bytes.len()))
}

/// Why a request with these records is refused as a whole: Kafka looks at the first batch of each partition before all
/// else.
pub(super) fn unreadable(records: &[u8]) -> Option<String> {
    first_batch(records).err()
}

/// The one batch of magic 2 that there must be. What follows it is cut off unless it is a batch too.
fn one_batch(records: Bytes, version: i16) -> Result<Bytes, Rejection> {
    let corrupt = |why| Rejection::new(ErrorCode::CorruptMessage, why);
    let only = format_args!("Produce requests with version {version} are only allowed to contain");
    let Some(total) = first_batch(&records).map_err(corrupt)? else {
        return Err(Rejection::invalid(format!("{only} at least one whole record batch per partition")));
    };
    if records[MAGIC_AT] != 2 {
        return Err(Rejection::invalid(format!("{only} record batches with magic version 2")));
    }
    if first_batch(&records[total..]).map_err(corrupt)?.is_some() {
        return Err(Rejection::invalid(format!("{only} exactly one record batch per partition")));
    }
    Ok(records.slice(..total))
}

/// A batch with a codec that the version may use.
fn structure<'a>(records: &'a Bytes, rules: &Rules<'_>) -> Result<RecordBatchView<'a>, Rejection> {
    let batch =
        RecordBatchView::parse(records).map_err(|error| Rejection::new(ErrorCode::CorruptMessage, error))?;
    match batch.codec() {
        None => {
            let why = "the batch names no known compression codec";
            Err(Rejection::new(ErrorCode::UnknownServerError, why).in_log())
        }
        Some(Codec::Zstd) if rules.version < 7 => {
            let why = "Produce requests below version 7 are not allowed to use ZStandard compression";
            Err(Rejection::new(ErrorCode::UnsupportedCompressionType, why))
        }
        Some(_) => Ok(batch),
    }
}

/// What the 61 bytes say about the batch as a whole.
fn header(batch: &RecordBatchView<'_>, rules: &Rules<'_>) -> Result<(), Rejection> {
    let place = format_args!("in topic partition {}-{}", rules.topic, rules.partition);
    if batch.base_offset() != 0 {
        return Err(Rejection::invalid(format!(
            "The baseOffset of the record batch in the append to {}-{} should be 0, but it is {}",
            rules.topic,
            rules.partition,
            batch.base_offset()
        )));
    }
    if batch.is_control() {
        return Err(Rejection::invalid(format!("Clients are not allowed to write control records {place}.")));
    }
    let (last, count) = (batch.last_offset_delta(), batch.record_count());
    if count <= 0 || last.checked_add(1) != Some(count) {
        return Err(Rejection::invalid(format!(
            "Inconsistent batch offset range [0, {last}] and count of records {count} {place}"
        )));
    }
    let (producer_id, sequence) = (batch.producer_id(), batch.base_sequence());
    if producer_id >= 0 && sequence < 0 {
        return Err(Rejection::invalid(format!(
            "Invalid sequence number {sequence} in record batch with producerId {producer_id} {place}"
        )));
    }
    if batch.is_transactional() && producer_id < 0 {
        return Err(Rejection::invalid(format!("Transactional batch without a producer id {place}")));
    }
    // Where records keep their own time Kafka just clears the bit.
    if batch.is_log_append_time() && (rules.config.log_append_time || batch.max_timestamp() == NO_TIMESTAMP) {
        let why =
            "Invalid timestamp type in message. Producer should not set timestamp type to LogAppendTime.";
        let errors = (0..count).take(MAX_RECORD_ERRORS).map(|index| (index, why.to_owned()));
        return Err(Rejection::timestamps(errors.collect()));
    }
    Ok(())
}

/// The greatest timestamp of the records, or what the header says of it where they are not looked into.
fn contents(batch: &RecordBatchView<'_>, rules: &Rules<'_>) -> Result<i64, Rejection> {
    let config = rules.config;
    let old_records_matter = !config.log_append_time && config.timestamp_before_max_ms < i64::MAX;
    let every_one = config.compacted || old_records_matter || recompress::target(batch, config).is_some();
    if batch.codec() == Some(Codec::None) || every_one {
        return each_record(batch, rules);
    }
    let (newest, last) = (batch.max_timestamp(), batch.last_offset_delta());
    match out_of_range(newest, rules) {
        Some((from, to)) => {
            Err(Rejection::timestamps(vec![(last, timestamp_message(newest, last, from, to))]))
        }
        None => Ok(newest),
    }
}

/// What the records of a batch may take when they are not compressed, bytes.
pub(super) fn decompressed_cap(config: &TopicConfig) -> usize {
    config.max_message_bytes.saturating_mul(DECOMPRESSED_FACTOR)
}

fn malformed(error: &RecordError) -> Rejection {
    Rejection::invalid(error)
}

/// One walk over the records: structure, offset deltas 0, 1, 2, ..., keys, timestamps. Returns the greatest timestamp.
fn each_record(batch: &RecordBatchView<'_>, rules: &Rules<'_>) -> Result<i64, Rejection> {
    let mut newest = NO_TIMESTAMP;
    let mut errors = Vec::new();
    let mut first = None;
    let mut out_of_order = None;
    let mut indexes = 0_i32..;
    each_outline(batch, decompressed_cap(rules.config), |record| {
        let index = indexes.next().expect("a batch counts its records in an i32");
        if record.offset_delta != index {
            out_of_order = Some(RecordError::OffsetDelta { index, found: record.offset_delta });
            return ControlFlow::Break(());
        }
        let timestamp = batch.base_timestamp().wrapping_add(record.timestamp_delta);
        newest = newest.max(timestamp);
        if let Some((error, message)) = record_error(record, index, timestamp, rules) {
            // One timestamp that is wrong decides (Kafka `LogValidator.processRecordErrors`).
            first = first.filter(|first| *first == ErrorCode::InvalidTimestamp).or(Some(error));
            if errors.len() < MAX_RECORD_ERRORS {
                errors.push((index, message));
            }
        }
        ControlFlow::Continue(())
    })
    .map_err(|error| match error {
        LookupError::Compression(error) => Rejection::new(ErrorCode::UnknownServerError, error),
        LookupError::Record(error) => malformed(&error),
    })?;
    match (out_of_order, first) {
        (Some(error), _) => Err(malformed(&error)),
        (None, Some(error)) => Err(record_rejection(error, errors)),
        (None, None) => Ok(newest),
    }
}

/// What is wrong with one record of a sound batch.
fn record_error(
    record: RecordOutline,
    index: i32,
    timestamp: i64,
    rules: &Rules<'_>,
) -> Option<(ErrorCode, String)> {
    if rules.config.compacted && !record.has_key {
        let place = format_args!("{}-{}", rules.topic, rules.partition);
        let message = format!("Compacted topic cannot accept message without key in topic partition {place}");
        return Some((ErrorCode::InvalidRecord, message));
    }
    let (from, to) = out_of_range(timestamp, rules)?;
    Some((ErrorCode::InvalidTimestamp, timestamp_message(timestamp, index, from, to)))
}

fn record_rejection(error: ErrorCode, record_errors: Vec<(i32, String)>) -> Rejection {
    if error == ErrorCode::InvalidTimestamp {
        return Rejection::timestamps(record_errors);
    }
    let shown = record_errors.iter().take(3);
    let shown: Vec<String> = shown
        .map(|(index, message)| format!("RecordError(batchIndex={index}, message='{message}')"))
        .collect();
    let message = format!(
        "One or more records have been rejected due to {} record errors in total, and only showing the first three errors at most: [{}]",
        record_errors.len(),
        shown.join(", ")
    );
    Rejection { message: Some(message), record_errors, ..Rejection::from(error) }
}

fn timestamp_message(timestamp: i64, offset: i32, from: i64, to: i64) -> String {
    format!(
        "Timestamp {timestamp} of message with offset {offset} is out of range. The timestamp should be within [{from}, {to}]"
    )
}

/// The oldest and newest timestamp that a record may have.
fn allowed(rules: &Rules<'_>) -> (i64, i64) {
    let config = rules.config;
    let from = rules.now_ms.saturating_sub(config.timestamp_before_max_ms);
    (from, rules.now_ms.saturating_add(config.timestamp_after_max_ms))
}

/// The limits, when `timestamp` lies outside them. A record without timestamp is fine, and so is any on a topic that stamps
/// its own time.
fn out_of_range(timestamp: i64, rules: &Rules<'_>) -> Option<(i64, i64)> {
    let (from, to) = allowed(rules);
    let free = rules.config.log_append_time || timestamp == NO_TIMESTAMP;
    (!free && !(from..=to).contains(&timestamp)).then_some((from, to))
}

#[cfg(test)]
mod tests;
