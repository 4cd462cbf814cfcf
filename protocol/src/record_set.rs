//! A bounded walk over the records of one batch (Kafka's `DefaultRecord`).
//!
//! Called by the broker where it has to look inside a batch: validation, timestamp lookup, compaction, its own internal
//! topics. Invariants: nothing is allocated; every length, count and varint is checked before use; a record that is
//! handed out was parsed to its last byte, headers included, so reading its headers cannot fail.
//!
//! ```text
//! record   length varint | attributes i8 | timestamp delta varlong | offset delta varint
//!          key length varint (-1 null), key | value length varint (-1 null), value
//!          header count varint, then per header: key length varint, key | value length varint (-1 null), value
//! ```

use std::iter::FusedIterator;

use thiserror::Error;

use crate::record_batch::{Codec, RecordBatchView};
use crate::wire::{Cursor, Fault};

/// Length, attributes, timestamp delta, offset delta, key length, value length, header count.
const MIN_RECORD_LEN: usize = 7;
/// Key length, value length.
const MIN_HEADER_LEN: usize = 2;

/// Why a records section is not what its batch header says. Positions count from its first byte.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
pub enum RecordError {
    /// The records have to be decompressed first.
    #[error("the records of the batch are compressed")]
    Compressed,
    /// Attribute bits 0..3 name no codec.
    #[error("the batch names no known compression codec")]
    UnknownCodec,
    /// The batch header counts a negative number of records.
    #[error("the batch claims {0} records")]
    NegativeCount(i32),
    /// More records are claimed than the bytes can hold.
    #[error("the batch claims {claimed} records, {available} bytes cannot hold them")]
    CountOverBytes {
        /// Records that the batch header claims.
        claimed: i32,
        /// Bytes of the records section.
        available: usize,
    },
    /// The bytes end before all claimed records were read.
    #[error("the batch claims {claimed} records, its bytes end after {found}")]
    CountMismatch {
        /// Records that the batch header claims.
        claimed: i32,
        /// Records that are there.
        found: i32,
    },
    /// Bytes follow the last claimed record.
    #[error("{bytes} bytes follow the last record")]
    TrailingBytes {
        /// How many.
        bytes: usize,
    },
    /// A field runs over the end of its record, or a record over the end of the section.
    #[error("{field} at byte {position} runs over its end")]
    Truncated {
        /// What was being read.
        field: &'static str,
        /// Where it starts.
        position: usize,
    },
    /// A varint with more bits than its type.
    #[error("{field} at byte {position} is an overlong varint")]
    Varint {
        /// What was being read.
        field: &'static str,
        /// Where it starts.
        position: usize,
    },
    /// A length or count below what its field allows.
    #[error("{field} at byte {position} is {length}")]
    Negative {
        /// What was being read.
        field: &'static str,
        /// Where it starts.
        position: usize,
        /// The value on the wire.
        length: i32,
    },
    /// A record declares more bytes than its fields use.
    #[error("the record at byte {position} declares {unused} bytes more than its fields use")]
    LengthMismatch {
        /// Where the record starts.
        position: usize,
        /// Bytes left over.
        unused: usize,
    },
    /// Offset deltas do not count 0, 1, 2, ...
    #[error("record {index} has offset delta {found}")]
    OffsetDelta {
        /// Place of the record in the batch.
        index: i32,
        /// Its offset delta.
        found: i32,
    },
    /// The last offset delta in the batch header is not the record count less one.
    #[error("the batch has last offset delta {last_offset_delta} and {count} records")]
    LastOffsetDelta {
        /// From the batch header.
        last_offset_delta: i32,
        /// From the batch header.
        count: i32,
    },
}

/// One record, borrowed from its batch.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Record<'a> {
    /// Unused by Kafka, 0.
    pub attributes: i8,
    /// Counted from the batch's base timestamp, ms.
    pub timestamp_delta: i64,
    /// Counted from the batch's base offset.
    pub offset_delta: i32,
    /// `None` is null.
    pub key: Option<&'a [u8]>,
    /// `None` is null: a tombstone in a compacted topic.
    pub value: Option<&'a [u8]>,
    header_count: usize,
    header_bytes: &'a [u8],
    after_timestamp: &'a [u8],
}

impl<'a> Record<'a> {
    /// What follows the timestamp delta, as it was written: offset delta, key, value, headers.
    pub(crate) fn after_timestamp(&self) -> &'a [u8] {
        self.after_timestamp
    }

    /// The headers in their order on the wire, duplicate keys kept.
    #[must_use]
    pub fn headers(&self) -> RecordHeaders<'a> {
        RecordHeaders { cursor: Cursor::new(self.header_bytes), remaining: self.header_count }
    }
}

/// One header of a record. Kafka's clients write UTF-8 keys; the walk does not insist.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct RecordHeader<'a> {
    /// Never null.
    pub key: &'a [u8],
    /// `None` is null.
    pub value: Option<&'a [u8]>,
}

/// See [`Record::headers`].
#[derive(Debug, Clone)]
pub struct RecordHeaders<'a> {
    cursor: Cursor<'a>,
    remaining: usize,
}

impl<'a> Iterator for RecordHeaders<'a> {
    type Item = RecordHeader<'a>;

    fn next(&mut self) -> Option<Self::Item> {
        self.remaining = self.remaining.checked_sub(1)?;
        Some(record_header(&mut self.cursor).expect("headers were parsed when the record was"))
    }

    fn size_hint(&self) -> (usize, Option<usize>) {
        (self.remaining, Some(self.remaining))
    }
}

impl ExactSizeIterator for RecordHeaders<'_> {}

/// The records of an uncompressed records section. Ends after the first error.
#[derive(Debug, Clone)]
pub struct RecordIter<'a> {
    cursor: Cursor<'a>,
    claimed: i32,
    found: i32,
    done: bool,
}

/// Walks the records of an uncompressed batch.
///
/// # Errors
/// `Compressed` or `UnknownCodec`, else as `RecordIter::new`.
pub fn records<'a>(batch: &RecordBatchView<'a>) -> Result<RecordIter<'a>, RecordError> {
    match batch.codec() {
        Some(Codec::None) => RecordIter::new(batch.records_bytes(), batch.record_count()),
        Some(_) => Err(RecordError::Compressed),
        None => Err(RecordError::UnknownCodec),
    }
}

/// Checks an uncompressed batch to its last byte, as `validate_records_in`.
///
/// # Errors
/// The first thing that is wrong.
pub fn validate_records(batch: &RecordBatchView<'_>) -> Result<(), RecordError> {
    check_counts(batch)?;
    validate(records(batch)?)
}

/// Checks `payload`, the decompressed records section of `batch`: the record count is the header's and agrees with the
/// last offset delta, offset deltas count 0, 1, 2, ..., every length is exact, nothing follows the last record
/// (Kafka's `LogValidator`). The codec of `batch` is not looked at.
///
/// # Errors
/// The first thing that is wrong.
pub fn validate_records_in(batch: &RecordBatchView<'_>, payload: &[u8]) -> Result<(), RecordError> {
    check_counts(batch)?;
    validate(RecordIter::new(payload, batch.record_count())?)
}

fn check_counts(batch: &RecordBatchView<'_>) -> Result<(), RecordError> {
    let (last_offset_delta, count) = (batch.last_offset_delta(), batch.record_count());
    if count < 0 {
        return Err(RecordError::NegativeCount(count));
    }
    if last_offset_delta.checked_add(1) != Some(count) {
        return Err(RecordError::LastOffsetDelta { last_offset_delta, count });
    }
    Ok(())
}

fn validate(records: RecordIter<'_>) -> Result<(), RecordError> {
    for (index, record) in (0_i32..).zip(records) {
        let found = record?.offset_delta;
        if found != index {
            return Err(RecordError::OffsetDelta { index, found });
        }
    }
    Ok(())
}

impl<'a> RecordIter<'a> {
    /// Walks `payload`, which claims to hold exactly `count` records.
    ///
    /// # Errors
    /// `NegativeCount`, or `CountOverBytes` when even the smallest records would not fit.
    pub fn new(payload: &'a [u8], count: i32) -> Result<Self, RecordError> {
        let records = usize::try_from(count).map_err(|_| RecordError::NegativeCount(count))?;
        if records > payload.len() / MIN_RECORD_LEN {
            return Err(RecordError::CountOverBytes { claimed: count, available: payload.len() });
        }
        Ok(Self { cursor: Cursor::new(payload), claimed: count, found: 0, done: false })
    }

    fn step(&mut self) -> Result<Option<Record<'a>>, RecordError> {
        let left = self.cursor.remaining();
        if self.found == self.claimed {
            return if left == 0 { Ok(None) } else { Err(RecordError::TrailingBytes { bytes: left }) };
        }
        if left == 0 {
            return Err(RecordError::CountMismatch { claimed: self.claimed, found: self.found });
        }
        let position = self.cursor.position();
        let length = length(&mut self.cursor, "record length", 0)?.unwrap_or_default();
        let start = self.cursor.position();
        let body =
            self.cursor.take(length).map_err(|_| RecordError::Truncated { field: "record", position })?;
        self.found += 1;
        record(body).map(Some).map_err(|error| error.shifted(start, position))
    }
}

impl<'a> Iterator for RecordIter<'a> {
    type Item = Result<Record<'a>, RecordError>;

    fn next(&mut self) -> Option<Self::Item> {
        if self.done {
            return None;
        }
        let item = self.step().transpose();
        self.done = !matches!(item, Some(Ok(_)));
        item
    }
}

impl FusedIterator for RecordIter<'_> {}

impl RecordError {
    /// Positions inside a record become positions in the section: its fields start at `body`, the record at `record`.
    fn shifted(self, body: usize, record: usize) -> Self {
        match self {
            Self::Truncated { field, position } => Self::Truncated { field, position: position + body },
            Self::Varint { field, position } => Self::Varint { field, position: position + body },
            Self::Negative { field, position, length } => {
                Self::Negative { field, position: position + body, length }
            }
            Self::LengthMismatch { unused, .. } => Self::LengthMismatch { position: record, unused },
            other => other,
        }
    }
}

fn record(body: &[u8]) -> Result<Record<'_>, RecordError> {
    let mut cursor = Cursor::new(body);
    let attributes = read(&mut cursor, "attributes", Cursor::i8)?;
    let timestamp_delta = read(&mut cursor, "timestamp delta", Cursor::varlong)?;
    let after_timestamp = &body[cursor.position()..];
    let offset_delta = read(&mut cursor, "offset delta", Cursor::varint)?;
    let key = nullable_bytes(&mut cursor, "key")?;
    let value = nullable_bytes(&mut cursor, "value")?;
    let count_at = cursor.position();
    let header_count = length(&mut cursor, "header count", 0)?.unwrap_or_default();
    if header_count > cursor.remaining() / MIN_HEADER_LEN {
        return Err(RecordError::Truncated { field: "headers", position: count_at });
    }
    let headers_at = cursor.position();
    for _ in 0..header_count {
        record_header(&mut cursor)?;
    }
    if cursor.remaining() > 0 {
        return Err(RecordError::LengthMismatch { position: 0, unused: cursor.remaining() });
    }
    let header_bytes = &body[headers_at..];
    Ok(Record {
        attributes,
        timestamp_delta,
        offset_delta,
        key,
        value,
        header_count,
        header_bytes,
        after_timestamp,
    })
}

fn record_header<'a>(cursor: &mut Cursor<'a>) -> Result<RecordHeader<'a>, RecordError> {
    let position = cursor.position();
    let key_length = length(cursor, "header key", 0)?.unwrap_or_default();
    let key =
        cursor.take(key_length).map_err(|_| RecordError::Truncated { field: "header key", position })?;
    Ok(RecordHeader { key, value: nullable_bytes(cursor, "header value")? })
}

fn nullable_bytes<'a>(cursor: &mut Cursor<'a>, field: &'static str) -> Result<Option<&'a [u8]>, RecordError> {
    let position = cursor.position();
    match length(cursor, field, -1)? {
        None => Ok(None),
        Some(length) => cursor.take(length).map(Some).map_err(|_| RecordError::Truncated { field, position }),
    }
}

/// A varint length of at least `least`, which is 0, or -1 where null (`None`) is allowed.
fn length(cursor: &mut Cursor<'_>, field: &'static str, least: i32) -> Result<Option<usize>, RecordError> {
    let position = cursor.position();
    let length = read(cursor, field, Cursor::varint)?;
    if length < least {
        return Err(RecordError::Negative { field, position, length });
    }
    Ok(usize::try_from(length).ok())
}

fn read<'a, T>(
    cursor: &mut Cursor<'a>,
    field: &'static str,
    read: impl FnOnce(&mut Cursor<'a>) -> Result<T, Fault>,
) -> Result<T, RecordError> {
    let position = cursor.position();
    read(cursor).map_err(|fault| match fault {
        Fault::End => RecordError::Truncated { field, position },
        Fault::Varint => RecordError::Varint { field, position },
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::record_batch_builder::RecordBatchBuilder;
    use proptest::prelude::*;

    fn walk(payload: &[u8], count: i32) -> Result<Vec<Record<'_>>, RecordError> {
        RecordIter::new(payload, count)?.collect()
    }

    /// length 6 | attributes | timestamp delta 1 | offset delta 0 | null key | null value | no headers
    const SMALLEST: [u8; 7] = [12, 0, 2, 0, 1, 1, 0];

    #[test]
    fn duplicate_headers_and_null_values_are_kept_in_order() {
        let mut builder = RecordBatchBuilder::new(5);
        let headers: [(&[u8], Option<&[u8]>); 3] =
            [(b"trace", Some(b"a")), (b"trace", Some(b"b")), (b"\xff", None)];
        builder.append_with_headers(1000, Some(b"k"), None, &headers);
        let bytes = builder.build();
        let view = RecordBatchView::parse(&bytes).unwrap();
        let record = records(&view).unwrap().next().unwrap().unwrap();
        let seen: Vec<_> = record.headers().map(|header| (header.key, header.value)).collect();
        assert_eq!(seen, headers);
        assert_eq!((record.key, record.value), (Some(&b"k"[..]), None));
    }

    #[test]
    fn count_has_to_agree_with_the_bytes() {
        assert_eq!(walk(&SMALLEST, 1).unwrap().len(), 1);
        assert_eq!(walk(&SMALLEST, -1), Err(RecordError::NegativeCount(-1)));
        assert_eq!(walk(&SMALLEST, 0), Err(RecordError::TrailingBytes { bytes: 7 }));
        assert_eq!(walk(&SMALLEST, 2), Err(RecordError::CountOverBytes { claimed: 2, available: 7 }));
        assert_eq!(walk(&SMALLEST, i32::MAX).unwrap_err().to_string().split(' ').nth(3), Some("2147483647"));
        let long_record = [&[26, 0, 2, 0, 1, 14][..], &[7; 7], &[0]].concat();
        assert_eq!(walk(&long_record, 1).unwrap()[0].value, Some(&[7_u8; 7][..]));
        assert_eq!(walk(&long_record, 2), Err(RecordError::CountMismatch { claimed: 2, found: 1 }));
    }

    #[test]
    fn lengths_that_lie_are_typed_errors_with_their_position() {
        let with = |at: usize, byte: u8| {
            let mut payload = [SMALLEST, SMALLEST].concat();
            payload[7 + at] = byte;
            walk(&payload, 2).unwrap_err()
        };
        assert_eq!(with(0, 14), RecordError::Truncated { field: "record", position: 7 });
        assert_eq!(with(0, 11), RecordError::Negative { field: "record length", position: 7, length: -6 });
        assert_eq!(with(4, 3), RecordError::Negative { field: "key", position: 11, length: -2 });
        assert_eq!(with(4, 8), RecordError::Truncated { field: "key", position: 11 });
        assert_eq!(with(5, 8), RecordError::Truncated { field: "value", position: 12 });
        assert_eq!(with(6, 2), RecordError::Truncated { field: "headers", position: 13 });
        assert_eq!(with(6, 1), RecordError::Negative { field: "header count", position: 13, length: -1 });
        let loose = [14, 0, 2, 0, 1, 1, 0, 0];
        assert_eq!(walk(&loose, 1), Err(RecordError::LengthMismatch { position: 0, unused: 1 }));
        let overlong = [16, 0, 2, 0xff, 0xff, 0xff, 0xff, 0x7f, 0];
        assert_eq!(walk(&overlong, 1), Err(RecordError::Varint { field: "offset delta", position: 3 }));
    }

    #[test]
    fn walk_ends_after_its_first_error() {
        let mut iter = RecordIter::new(&[12, 0, 2, 0, 3, 1, 0], 1).unwrap();
        assert!(iter.next().unwrap().is_err());
        assert!(iter.next().is_none());
    }

    #[test]
    fn validation_wants_consecutive_offset_deltas_and_an_honest_header() {
        let mut builder = RecordBatchBuilder::new(0);
        builder.append(1, None, Some(b"a"));
        builder.append(2, None, Some(b"b"));
        let good = builder.build().to_vec();
        assert_eq!(validate_records(&RecordBatchView::parse(&good).unwrap()), Ok(()));

        let mut gap = good.clone();
        let at = gap.len() - 5; // offset delta of the second record
        gap[at] = 4;
        let error = validate_records(&RecordBatchView::parse(&gap).unwrap());
        assert_eq!(error, Err(RecordError::OffsetDelta { index: 1, found: 2 }));

        let mut last = good.clone();
        last[26] = 5;
        let error = validate_records(&RecordBatchView::parse(&last).unwrap());
        assert_eq!(error, Err(RecordError::LastOffsetDelta { last_offset_delta: 5, count: 2 }));

        let mut compressed = good.clone();
        compressed[22] = 1;
        let error = validate_records(&RecordBatchView::parse(&compressed).unwrap());
        assert_eq!(error, Err(RecordError::Compressed));
        compressed[22] = 7;
        let error = validate_records(&RecordBatchView::parse(&compressed).unwrap());
        assert_eq!(error, Err(RecordError::UnknownCodec));
    }

    proptest! {
        #[test]
        fn any_bytes_give_records_or_one_error(payload: Vec<u8>, count in -2_i32..40) {
            if let Ok(iter) = RecordIter::new(&payload, count) {
                let items: Vec<_> = iter.collect();
                prop_assert!(items.len() <= 40);
                for record in items.iter().flatten() {
                    prop_assert_eq!(record.headers().count(), record.headers().len());
                }
                let errors = items.iter().filter(|item| item.is_err()).count();
                prop_assert!(errors <= 1);
            }
        }

        #[test]
        fn one_flipped_byte_never_panics(at in 0_usize..200, bit in 0_u8..8) {
            let mut builder = RecordBatchBuilder::new(0);
            for value in 0..8_u8 {
                builder.append_with_headers(i64::from(value), Some(&[value]), Some(&[value; 5]), &[(b"h", None)]);
            }
            let mut bytes = builder.build().to_vec();
            let at = at % bytes.len();
            bytes[at] ^= 1 << bit;
            if let Ok(view) = RecordBatchView::parse(&bytes) && let Ok(iter) = records(&view) {
                prop_assert!(iter.count() <= 9);
            }
        }
    }
}
