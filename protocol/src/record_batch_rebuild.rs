//! A batch again, changed: with only some of its records, as compaction leaves it (Kafka's `MemoryRecords.filterTo`), or
//! with all of them in another codec, as a topic's `compression.type` wants it.
//!
//! Called by compaction and by Produce. Invariants: base offset, last offset delta, leader epoch, producer id, producer epoch and base
//! sequence stay, so that offsets are never given again and the producer's state can be read from what is left; records
//! keep their offset deltas, keys, values, headers and timestamps; what is returned passes `RecordBatchView::verify_crc`.

use std::borrow::Cow;

use bytes::Bytes;
use thiserror::Error;

use crate::compression::{CompressionError, compress, compress_at, decompress};
use crate::record_batch::{
    ATTRIBUTES_AT, BASE_TIMESTAMP_AT, CODEC_BITS, COUNT_AT, CRC_AT, CRC_START, Codec, DELETE_HORIZON,
    HEADER_LEN, LENGTH_AT, LOG_OVERHEAD, MAX_TIMESTAMP_AT, RecordBatchView,
};
use crate::record_batch_builder::put_length;
use crate::record_set::{Record, RecordError};
use crate::wire::put_varlong;

/// Why a batch cannot be put together again.
#[derive(Debug, Error)]
pub enum RebuildError {
    /// The codec failed.
    #[error(transparent)]
    Compression(#[from] CompressionError),
    /// The batch names no codec.
    #[error(transparent)]
    Record(#[from] RecordError),
    /// A timestamp outside of 64 bits, or no longer within 64 bits of the others: no clock gave it.
    #[error("the timestamps of the batch cannot be counted from another base")]
    Timestamp,
    /// The format's limit.
    #[error("the batch would reach 2 GiB")]
    TooLarge,
}

/// `batch` with `records` alone, which are some of its own in their order, compressed as it was.
///
/// With a delete horizon (ms) that is the base timestamp, and attribute bit 6 says so; without, the first record's is. The
/// max timestamp is that of `records`, or stays when it is the broker's append time.
///
/// # Errors
/// See [`RebuildError`]. A batch that a broker accepted from a sane client gives none.
pub fn with_records<'a>(
    batch: &RecordBatchView<'_>,
    records: impl IntoIterator<Item = Record<'a>>,
    delete_horizon: Option<i64>,
) -> Result<Bytes, RebuildError> {
    let codec = batch.codec().ok_or(RecordError::UnknownCodec)?;
    let mut base_timestamp = delete_horizon;
    let (mut max_timestamp, mut count) = (-1, 0_i32);
    let (mut payload, mut scratch) = (Vec::new(), Vec::new());
    for record in records {
        let timestamp = timestamp_of(batch, &record).ok_or(RebuildError::Timestamp)?;
        let base = *base_timestamp.get_or_insert(timestamp);
        scratch.clear();
        put_varlong(&mut scratch, timestamp.checked_sub(base).ok_or(RebuildError::Timestamp)?);
        put_record(&mut payload, &record, &scratch);
        max_timestamp = timestamp.max(max_timestamp);
        count = count.checked_add(1).ok_or(RebuildError::TooLarge)?;
    }
    if batch.is_log_append_time() {
        max_timestamp = batch.max_timestamp();
    }
    let horizon_bit = if delete_horizon.is_some() { DELETE_HORIZON } else { 0 };
    let changed = Changed {
        attributes: (batch.attributes() & (CODEC_BITS | KEPT_FLAGS)) | horizon_bit,
        base_timestamp: base_timestamp.unwrap_or(-1),
        max_timestamp,
        count,
    };
    changed.over(batch, &compress(codec, &payload)?).ok_or(RebuildError::TooLarge)
}

/// `batch` without any record: it only says which offsets and sequences its producer used
/// (`DefaultRecordBatch.writeEmptyHeader`).
///
/// # Panics
/// Never: a header alone is not too large.
#[must_use]
pub fn without_records(batch: &RecordBatchView<'_>) -> Bytes {
    let changed = Changed {
        attributes: batch.attributes() & KEPT_FLAGS,
        base_timestamp: -1,
        max_timestamp: batch.max_timestamp(),
        count: 0,
    };
    changed.over(batch, &[]).expect("a header is 61 bytes")
}

/// `batch` with the same records in another `codec`, at a level of it (see [`compress_at`]). Its records section may take
/// `cap` bytes when it is not compressed.
///
/// # Errors
/// `Compression`, `OverCap` among it; `Record` when the batch names no codec; `TooLarge`.
pub fn with_codec(
    batch: &RecordBatchView<'_>,
    codec: Codec,
    level: Option<i32>,
    cap: usize,
) -> Result<Bytes, RebuildError> {
    let payload = match batch.codec().ok_or(RecordError::UnknownCodec)? {
        Codec::None => Cow::Borrowed(batch.records_bytes()),
        packed => Cow::Owned(decompress(packed, batch.records_bytes(), cap)?),
    };
    let section = match codec {
        Codec::None => payload,
        codec => Cow::Owned(compress_at(codec, level, &payload)?),
    };
    let changed = Changed {
        attributes: (batch.attributes() & KEPT_FLAGS) | codec.bits(),
        base_timestamp: batch.base_timestamp(),
        max_timestamp: batch.max_timestamp(),
        count: batch.record_count(),
    };
    changed.over(batch, &section).ok_or(RebuildError::TooLarge)
}

/// Timestamp type, transactional, control. Bits 7 to 15 have no meaning, and Kafka does not keep them.
const KEPT_FLAGS: i16 = 0x38;

/// What of the header is not as it was, beside length and CRC.
struct Changed {
    attributes: i16,
    base_timestamp: i64,
    max_timestamp: i64,
    count: i32,
}

impl Changed {
    /// `None` when the length field cannot say it.
    fn over(&self, batch: &RecordBatchView<'_>, section: &[u8]) -> Option<Bytes> {
        let length = i32::try_from(HEADER_LEN - LOG_OVERHEAD + section.len()).ok()?;
        let mut out = Vec::with_capacity(HEADER_LEN + section.len());
        out.extend_from_slice(&batch.as_bytes()[..HEADER_LEN]);
        out.extend_from_slice(section);
        let mut put = |at: usize, field: &[u8]| out[at..at + field.len()].copy_from_slice(field);
        put(LENGTH_AT, &length.to_be_bytes());
        put(ATTRIBUTES_AT, &self.attributes.to_be_bytes());
        put(BASE_TIMESTAMP_AT, &self.base_timestamp.to_be_bytes());
        put(MAX_TIMESTAMP_AT, &self.max_timestamp.to_be_bytes());
        put(COUNT_AT, &self.count.to_be_bytes());
        let crc = crc32c::crc32c(&out[CRC_START..]);
        out[CRC_AT..CRC_START].copy_from_slice(&crc.to_be_bytes());
        Some(Bytes::from(out))
    }
}

fn timestamp_of(batch: &RecordBatchView<'_>, record: &Record<'_>) -> Option<i64> {
    if batch.is_log_append_time() {
        Some(batch.max_timestamp())
    } else {
        batch.base_timestamp().checked_add(record.timestamp_delta)
    }
}

fn put_record(out: &mut Vec<u8>, record: &Record<'_>, timestamp_delta: &[u8]) {
    let rest = record.after_timestamp();
    put_length(out, 1 + timestamp_delta.len() + rest.len());
    out.push(record.attributes.cast_unsigned());
    out.extend_from_slice(timestamp_delta);
    out.extend_from_slice(rest);
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::record_batch::set_log_append_time;
    use crate::record_batch_builder::RecordBatchBuilder;
    use crate::record_lookup::{first_record_at_or_after, max_timestamp_record};
    use crate::record_outline::each_outline;
    use crate::record_set::RecordIter;
    use kafka_protocol::records::RecordBatchDecoder;
    use proptest::prelude::*;
    use std::ops::ControlFlow;

    const CODECS: [(Codec, u8); 5] =
        [(Codec::None, 0), (Codec::Gzip, 1), (Codec::Snappy, 2), (Codec::Lz4, 3), (Codec::Zstd, 4)];

    fn batch(timestamps: &[i64], (codec, bits): (Codec, u8)) -> Vec<u8> {
        let mut builder = RecordBatchBuilder::new(100).leader_epoch(4).producer(7, 2, 30).transactional();
        for timestamp in timestamps {
            builder.append_with_headers(*timestamp, Some(b"k"), None, &[(b"h", None), (b"h", Some(b"x"))]);
        }
        let plain = builder.build();
        let mut out = [&plain[..HEADER_LEN], &compress(codec, &plain[HEADER_LEN..]).unwrap()].concat();
        let length = i32::try_from(out.len() - LOG_OVERHEAD).unwrap();
        out[LENGTH_AT..LENGTH_AT + 4].copy_from_slice(&length.to_be_bytes());
        // The upper byte has no meaning and is not kept.
        out[ATTRIBUTES_AT..CRC_START + 2].copy_from_slice(&[0x80, plain[ATTRIBUTES_AT + 1] | bits]);
        out
    }

    /// `batch` with every second record.
    fn every_second(bytes: &[u8], delete_horizon: Option<i64>) -> Result<Bytes, RebuildError> {
        let view = RecordBatchView::parse(bytes).unwrap();
        let payload = decompress(view.codec().unwrap(), view.records_bytes(), 1 << 20).unwrap();
        let records = RecordIter::new(&payload, view.record_count()).unwrap().map(Result::unwrap);
        with_records(&view, records.step_by(2), delete_horizon)
    }

    #[test]
    fn records_keep_offsets_and_times_over_any_base_in_every_codec() {
        for codec in CODECS {
            for delete_horizon in [None, Some(9000)] {
                let bytes = every_second(&batch(&[50, 60, 30, 70, 40], codec), delete_horizon).unwrap();
                let view = RecordBatchView::parse(&bytes).unwrap();
                view.verify_crc().unwrap();
                assert_eq!(view.delete_horizon(), delete_horizon);
                assert_eq!(view.base_timestamp(), delete_horizon.unwrap_or(50));
                assert_eq!((view.max_timestamp(), view.record_count()), (50, 3));
                assert_eq!((view.base_offset(), view.last_offset_delta(), view.leader_epoch()), (100, 4, 4));
                assert_eq!((view.producer_id(), view.producer_epoch(), view.base_sequence()), (7, 2, 30));
                assert_eq!(view.codec(), Some(codec.0));
                assert!(view.is_transactional() && !view.is_control());
                assert_eq!(view.attributes() & !0x57, 0);

                let mut outlines = Vec::new();
                each_outline(&view, 1 << 20, |outline| {
                    outlines.push((outline.offset_delta, view.base_timestamp() + outline.timestamp_delta));
                    ControlFlow::Continue(())
                })
                .unwrap();
                assert_eq!(outlines, [(0, 50), (2, 30), (4, 40)]);
                assert_eq!(first_record_at_or_after(&view, 35, 101, 1 << 20).unwrap(), Some((104, 40)));
                assert_eq!(first_record_at_or_after(&view, 51, 0, 1 << 20).unwrap(), None);
                assert_eq!(max_timestamp_record(&view, 1 << 20).unwrap(), Some((100, 50)));
            }
        }
    }

    #[test]
    fn codec_crate_reads_what_was_rebuilt() {
        let mut bytes = every_second(&batch(&[50, 60, 30], CODECS[0]), Some(9000)).unwrap();
        let decoded = RecordBatchDecoder::decode(&mut bytes).unwrap();
        let seen: Vec<_> = decoded.records.iter().map(|record| (record.offset, record.timestamp)).collect();
        assert_eq!(seen, [(100, 50), (102, 30)]);
        assert_eq!(decoded.records[0].key.as_deref(), Some(&b"k"[..]));
    }

    #[test]
    fn append_time_stays_the_time_of_all_records() {
        let mut bytes = batch(&[50, 60, 30], CODECS[1]);
        set_log_append_time(&mut bytes, 700).unwrap();
        let bytes = every_second(&bytes, Some(9000)).unwrap();
        let view = RecordBatchView::parse(&bytes).unwrap();
        assert_eq!((view.base_timestamp(), view.max_timestamp()), (9000, 700));
        assert_eq!(first_record_at_or_after(&view, 600, 101, 1 << 20).unwrap(), Some((102, 700)));
    }

    #[test]
    fn batch_without_records_says_what_its_producer_used() {
        let bytes = batch(&[50, 60], CODECS[4]);
        let bytes = without_records(&RecordBatchView::parse(&bytes).unwrap());
        assert_eq!(bytes.len(), HEADER_LEN);
        let view = RecordBatchView::parse(&bytes).unwrap();
        view.verify_crc().unwrap();
        assert_eq!((view.last_offset_delta(), view.last_sequence(), view.record_count()), (1, 31, 0));
        assert_eq!((view.base_timestamp(), view.max_timestamp()), (-1, 60));
        assert_eq!(view.codec(), Some(Codec::None));
        assert!(view.is_transactional());
        assert_eq!(first_record_at_or_after(&view, 0, 0, 0).unwrap(), None);
        assert_eq!(max_timestamp_record(&view, 0).unwrap(), None);
    }

    #[test]
    fn timestamps_outside_of_64_bits_are_refused() {
        let mut bytes = batch(&[0, 0, 10], CODECS[0]);
        bytes[BASE_TIMESTAMP_AT..MAX_TIMESTAMP_AT].copy_from_slice(&(i64::MAX - 5).to_be_bytes());
        assert!(matches!(every_second(&bytes, None), Err(RebuildError::Timestamp)));
        bytes[BASE_TIMESTAMP_AT..MAX_TIMESTAMP_AT].copy_from_slice(&(i64::MIN + 5).to_be_bytes());
        assert!(matches!(every_second(&bytes, Some(10)), Err(RebuildError::Timestamp)));
    }

    #[test]
    fn another_codec_changes_nothing_but_the_form_of_the_records() {
        for from in CODECS {
            for to in CODECS {
                let bytes = batch(&[50, 60, 30], from);
                let before = RecordBatchView::parse(&bytes).unwrap();
                let after = with_codec(&before, to.0, None, 1 << 20).unwrap();
                let after = RecordBatchView::parse(&after).unwrap();
                after.verify_crc().unwrap();
                assert_eq!(
                    after.attributes(),
                    before.attributes() & KEPT_FLAGS | i16::from(to.1),
                    "{from:?} {to:?}"
                );
                for kept in [0..LENGTH_AT, LENGTH_AT + 4..CRC_AT, ATTRIBUTES_AT + 2..HEADER_LEN] {
                    assert_eq!(
                        after.as_bytes()[kept.clone()],
                        bytes[kept.clone()],
                        "{from:?} {to:?} {kept:?}"
                    );
                }
                assert_eq!(payload(&after), payload(&before));
            }
        }
    }

    #[test]
    fn records_that_would_take_more_than_the_cap_are_not_decompressed() {
        let packed = batch(&[50, 60, 30], CODECS[4]);
        let view = RecordBatchView::parse(&packed).unwrap();
        let length = payload(&view).len();
        assert!(with_codec(&view, Codec::None, None, length).is_ok());
        assert!(matches!(
            with_codec(&view, Codec::None, None, length - 1),
            Err(RebuildError::Compression(CompressionError::OverCap { .. }))
        ));
    }

    fn payload(view: &RecordBatchView<'_>) -> Vec<u8> {
        decompress(view.codec().unwrap(), view.records_bytes(), 1 << 20).unwrap()
    }

    /// Timestamp, key, value, headers.
    type Written = (i32, Option<Vec<u8>>, Option<Vec<u8>>, Vec<(String, Option<Vec<u8>>)>);

    fn written() -> impl Strategy<Value = Vec<Written>> {
        let bytes = || prop::option::of(prop::collection::vec(any::<u8>(), 0..200));
        let headers = prop::collection::vec(("[a-c]{0,3}", bytes()), 0..3);
        prop::collection::vec((any::<i32>(), bytes(), bytes(), headers), 1..30)
    }

    proptest! {
        #[test]
        fn records_are_equal_after_any_chain_of_codecs(
            records in written(),
            chain in prop::collection::vec((0_usize..5, prop::option::of(1_i32..9)), 1..5),
        ) {
            let mut builder = RecordBatchBuilder::new(0).producer(7, 2, 30);
            for (timestamp, key, value, headers) in &records {
                let headers: Vec<_> =
                    headers.iter().map(|(key, value)| (key.as_bytes(), value.as_deref())).collect();
                builder.append_with_headers(i64::from(*timestamp), key.as_deref(), value.as_deref(), &headers);
            }
            let first = builder.build();
            let first = RecordBatchView::parse(&first).unwrap();
            let mut bytes = Bytes::copy_from_slice(first.as_bytes());
            for (codec, level) in chain {
                bytes = with_codec(&RecordBatchView::parse(&bytes).unwrap(), CODECS[codec].0, level, 1 << 20).unwrap();
            }
            let last = RecordBatchView::parse(&bytes).unwrap();
            let payload = payload(&last);
            let before: Vec<_> = RecordIter::new(first.records_bytes(), first.record_count()).unwrap().map(Result::unwrap).collect();
            let after: Vec<_> = RecordIter::new(&payload, last.record_count()).unwrap().map(Result::unwrap).collect();
            prop_assert_eq!(after, before);
            let plain = with_codec(&last, Codec::None, None, 1 << 20).unwrap();
            prop_assert_eq!(&plain[..], first.as_bytes());
        }
    }
}
