//! Looks for one record by timestamp inside one batch.
//!
//! Called by ListOffsets after storage found the batch. Walks over the records as they come out of their codec, at most to
//! the caller's cap, and keeps none. Invariant: in a LogAppendTime batch every record has the batch's max timestamp (Kafka's
//! `DefaultRecordBatch`), whatever its own delta says.

use std::borrow::Cow;
use std::ops::ControlFlow;

use thiserror::Error;

use crate::compression::{CompressionError, decompress};
use crate::record_batch::{Codec, RecordBatchView};
use crate::record_outline::{RecordOutline, each_outline};
use crate::record_set::RecordError;

/// Why a batch cannot be searched.
#[derive(Debug, Error)]
pub enum LookupError {
    /// The records section does not decompress within the cap.
    #[error(transparent)]
    Compression(#[from] CompressionError),
    /// The records section is not well formed.
    #[error(transparent)]
    Record(#[from] RecordError),
}

/// Offset and timestamp (ms) of a record.
pub type OffsetAndTimestamp = (i64, i64);

/// The first record of `batch` with an offset of at least `min_offset` and a timestamp of at least `timestamp` (ms)
/// (Kafka's `FileRecords.searchForTimestamp` within one batch). `cap` limits the decompressed
/// bytes that are read.
///
/// # Errors
/// When the records up to the one that answers do not decompress within `cap` or are malformed.
pub fn first_record_at_or_after(
    batch: &RecordBatchView<'_>,
    timestamp: i64,
    min_offset: i64,
    cap: usize,
) -> Result<Option<OffsetAndTimestamp>, LookupError> {
    let mut answer = None;
    each_outline(batch, cap, |record| {
        let (offset, found) = offset_and_timestamp(batch, record);
        if offset >= min_offset && found >= timestamp {
            answer = Some((offset, found));
            return ControlFlow::Break(());
        }
        ControlFlow::Continue(())
    })?;
    Ok(answer)
}

/// The first of the records with the greatest timestamp (ms) of `batch`; `None` when no record carries a timestamp.
/// `cap` limits the decompressed size.
///
/// The greatest timestamp is taken from the records, not from the header, which a client may have filled wrongly.
///
/// # Errors
/// When the records do not decompress within `cap` or are malformed.
pub fn max_timestamp_record(
    batch: &RecordBatchView<'_>,
    cap: usize,
) -> Result<Option<OffsetAndTimestamp>, LookupError> {
    let mut greatest: Option<OffsetAndTimestamp> = None;
    each_outline(batch, cap, |record| {
        let (offset, timestamp) = offset_and_timestamp(batch, record);
        if timestamp >= 0 && greatest.is_none_or(|(_, so_far)| timestamp > so_far) {
            greatest = Some((offset, timestamp));
        }
        ControlFlow::Continue(())
    })?;
    Ok(greatest)
}

/// The records section of `batch`, decompressed to at most `cap` bytes; borrowed when it is not compressed.
///
/// # Errors
/// `UnknownCodec`, or as `compression::decompress`.
pub fn records_payload<'a>(batch: &RecordBatchView<'a>, cap: usize) -> Result<Cow<'a, [u8]>, LookupError> {
    match batch.codec().ok_or(RecordError::UnknownCodec)? {
        Codec::None => Ok(Cow::Borrowed(batch.records_bytes())),
        codec => Ok(Cow::Owned(decompress(codec, batch.records_bytes(), cap)?)),
    }
}

/// Offset and timestamp of a record of `batch`. Saturates where a client's deltas leave the range.
fn offset_and_timestamp(batch: &RecordBatchView<'_>, record: RecordOutline) -> OffsetAndTimestamp {
    let offset = batch.base_offset().saturating_add(i64::from(record.offset_delta));
    let timestamp = if batch.is_log_append_time() {
        batch.max_timestamp()
    } else {
        batch.base_timestamp().saturating_add(record.timestamp_delta)
    };
    (offset, timestamp)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::compression::compress;
    use crate::record_batch::{HEADER_LEN, set_log_append_time};
    use crate::record_batch_builder::RecordBatchBuilder;

    /// Offsets 100.. with these timestamps.
    fn batch(timestamps: &[i64]) -> Vec<u8> {
        let mut builder = RecordBatchBuilder::new(100);
        for timestamp in timestamps {
            builder.append(*timestamp, None, Some(b"value"));
        }
        builder.build().to_vec()
    }

    fn compressed(batch: &[u8], codec: Codec, bits: u8) -> Vec<u8> {
        let packed = compress(codec, &batch[HEADER_LEN..]).unwrap();
        let mut out = [&batch[..HEADER_LEN], &packed].concat();
        let length = i32::try_from(out.len() - 12).unwrap();
        out[8..12].copy_from_slice(&length.to_be_bytes());
        out[22] |= bits;
        out
    }

    #[test]
    fn first_record_is_found_by_time_and_least_offset_in_every_codec() {
        let plain = batch(&[10, 30, 20, 40]);
        let all = [
            plain.clone(),
            compressed(&plain, Codec::Gzip, 1),
            compressed(&plain, Codec::Snappy, 2),
            compressed(&plain, Codec::Lz4, 3),
            compressed(&plain, Codec::Zstd, 4),
        ];
        for bytes in &all {
            let view = RecordBatchView::parse(bytes).unwrap();
            let find =
                |timestamp, offset| first_record_at_or_after(&view, timestamp, offset, 1 << 20).unwrap();
            assert_eq!(find(0, 0), Some((100, 10)));
            assert_eq!(find(15, 0), Some((101, 30)));
            assert_eq!(find(15, 102), Some((102, 20)));
            assert_eq!(find(41, 0), None);
            assert_eq!(find(0, 104), None);
            assert_eq!(max_timestamp_record(&view, 1 << 20).unwrap(), Some((103, 40)));
        }
    }

    #[test]
    fn first_of_equal_greatest_timestamps_wins() {
        let bytes = batch(&[10, 50, 50, 20]);
        let view = RecordBatchView::parse(&bytes).unwrap();
        assert_eq!(max_timestamp_record(&view, 0).unwrap(), Some((101, 50)));
    }

    #[test]
    fn records_of_a_log_append_time_batch_have_the_append_time() {
        let mut bytes = batch(&[10, 30]);
        set_log_append_time(&mut bytes, 5000).unwrap();
        let view = RecordBatchView::parse(&bytes).unwrap();
        assert_eq!(first_record_at_or_after(&view, 31, 0, 0).unwrap(), Some((100, 5000)));
        assert_eq!(first_record_at_or_after(&view, 31, 101, 0).unwrap(), Some((101, 5000)));
        assert_eq!(max_timestamp_record(&view, 0).unwrap(), Some((100, 5000)));
    }

    #[test]
    fn records_without_a_timestamp_have_no_greatest_one() {
        let bytes = batch(&[-1]);
        let view = RecordBatchView::parse(&bytes).unwrap();
        assert_eq!(max_timestamp_record(&view, 0).unwrap(), None);
    }

    #[test]
    fn batch_that_decompresses_over_the_cap_is_an_error() {
        let bytes = compressed(&batch(&[1; 1000]), Codec::Zstd, 4);
        let view = RecordBatchView::parse(&bytes).unwrap();
        assert_eq!(
            first_record_at_or_after(&view, 1, 0, 100).unwrap(),
            Some((100, 1)),
            "the rest is not read"
        );
        let error = first_record_at_or_after(&view, 2, 0, 100).unwrap_err();
        assert!(matches!(error, LookupError::Compression(CompressionError::OverCap { cap: 100 })));
        let error = max_timestamp_record(&view, 100).unwrap_err();
        assert!(matches!(error, LookupError::Compression(CompressionError::OverCap { cap: 100 })));
    }
}
