//! A record batch as a producer or the log hands it over: header, records, decompression, searches, rebuilding.
//!
//! CRCs are no obstacle here: whoever forges a batch can compute them. What must hold besides no panic: nothing
//! decompresses to more than the cap; the walk that keeps records and the walk that only skips them agree; what is put
//! together again has a right CRC and the same records.

use std::ops::ControlFlow;

use protocol::compression::compress;
use protocol::record_batch::{
    Codec, HEADER_LEN, RecordBatchView, set_log_append_time, set_max_timestamp, stamped_prefix,
};
use protocol::record_batch_builder::RecordBatchBuilder;
use protocol::record_batch_rebuild::{with_records, without_records};
use protocol::record_lookup::{first_record_at_or_after, max_timestamp_record, records_payload};
use protocol::record_outline::each_outline;
use protocol::record_set::{Record, RecordIter, validate_records, validate_records_in};

/// As small as a test wants it: batches that hold more are refused in the product, too.
const CAP: usize = 256 * 1024;

/// Reads `bytes` as one batch in every way that the broker knows.
pub fn run(bytes: &[u8]) {
    let Ok(batch) = RecordBatchView::parse(bytes) else { return };
    stamps(&batch);
    drop(first_record_at_or_after(&batch, batch.base_timestamp(), batch.base_offset(), CAP));
    drop(first_record_at_or_after(&batch, i64::MAX, i64::MIN, CAP));
    drop(max_timestamp_record(&batch, CAP));
    let mut outlines = Vec::new();
    let outlined = each_outline(&batch, CAP, |outline| {
        outlines.push(outline);
        ControlFlow::Continue(())
    });
    let Ok(payload) = records_payload(&batch, CAP) else { return };
    assert!(payload.len() <= CAP || batch.codec() == Some(Codec::None), "{} bytes", payload.len());
    let valid = validate_records_in(&batch, &payload).is_ok();
    assert!(validate_records(&batch).is_err() || (valid && batch.codec() == Some(Codec::None)));
    let records = RecordIter::new(&payload, batch.record_count()).and_then(Iterator::collect);
    let records: Vec<Record<'_>> = match records {
        Ok(records) => records,
        Err(error) => return assert!(!valid, "{error}"),
    };
    if payload.len() < CAP {
        outlined.expect("the other walk read it");
        let agree = outlines.iter().zip(&records).all(|(outline, record)| {
            let deltas = (outline.offset_delta, outline.timestamp_delta);
            deltas == (record.offset_delta, record.timestamp_delta) && outline.has_key == record.key.is_some()
        });
        assert!(agree && outlines.len() == records.len());
    }
    rebuilds(&batch, &records);
}

/// What the broker changes in a header leaves a batch that others accept.
fn stamps(batch: &RecordBatchView<'_>) {
    let (valid, mut changed) = (batch.verify_crc().is_ok(), batch.as_bytes().to_vec());
    let prefix = stamped_prefix(batch, 7, 3);
    changed[..prefix.len()].copy_from_slice(&prefix);
    let stamped = RecordBatchView::parse(&changed).expect("offset and epoch are free");
    assert_eq!((stamped.base_offset(), stamped.leader_epoch()), (7, 3));
    assert_eq!(stamped.verify_crc().is_ok(), valid);
    for change in [set_log_append_time, set_max_timestamp] {
        change(&mut changed, 99).expect("it parsed before");
        let stamped = RecordBatchView::parse(&changed).expect("a time is free");
        stamped.verify_crc().expect("it was computed anew");
        assert_eq!(stamped.max_timestamp(), 99);
    }
}

fn rebuilds(batch: &RecordBatchView<'_>, records: &[Record<'_>]) {
    let empty = without_records(batch);
    let empty = RecordBatchView::parse(&empty).expect("a header");
    empty.verify_crc().expect("it was computed anew");
    assert_eq!((empty.record_count(), empty.last_offset_delta()), (0, batch.last_offset_delta()));
    for (step, horizon) in [(1, None), (2, Some(5))] {
        let kept: Vec<Record<'_>> = records.iter().copied().step_by(step).collect();
        let Ok(rebuilt) = with_records(batch, kept.iter().copied(), horizon) else { continue };
        let rebuilt = RecordBatchView::parse(&rebuilt).expect("a batch");
        rebuilt.verify_crc().expect("it was computed anew");
        let payload = records_payload(&rebuilt, usize::MAX).expect("we compressed it");
        let found = RecordIter::new(&payload, rebuilt.record_count()).expect("we counted them");
        let found: Vec<Record<'_>> = found.map(|record| record.expect("we wrote it")).collect();
        assert_eq!(found.len(), kept.len());
        for (found, kept) in found.iter().zip(&kept) {
            let same =
                (found.key, found.value, found.offset_delta) == (kept.key, kept.value, kept.offset_delta);
            assert!(same && found.headers().eq(kept.headers()));
        }
    }
}

/// Batches of every codec, with and without keys, values, headers and transactions.
pub fn seeds() -> Vec<Vec<u8>> {
    let mut plain = Vec::new();
    for count in [1, 3, 40] {
        let mut builder = RecordBatchBuilder::new(5).producer(9, 1, 0);
        if count == 3 {
            builder = builder.transactional();
        }
        for index in 0..count {
            let key = (index % 3 != 0).then_some(&b"key"[..]);
            let value = (index % 4 != 1).then_some(&b"value value value value"[..]);
            let headers: [(&[u8], Option<&[u8]>); 2] = [(b"header", Some(b"content")), (b"header", None)];
            builder.append_with_headers(1_000 + index, key, value, &headers);
        }
        plain.push(builder.build().to_vec());
    }
    let packed: Vec<Vec<u8>> = [(1, Codec::Gzip), (2, Codec::Snappy), (3, Codec::Lz4), (4, Codec::Zstd)]
        .into_iter()
        .flat_map(|(bits, codec)| plain.iter().map(move |plain| compressed(plain, bits, codec)))
        .collect();
    [plain, packed].concat()
}

fn compressed(plain: &[u8], bits: u8, codec: Codec) -> Vec<u8> {
    let packed = compress(codec, &plain[HEADER_LEN..]).expect("codecs take anything");
    let mut bytes = [&plain[..HEADER_LEN], &packed].concat();
    let length = i32::try_from(bytes.len() - 12).expect("small");
    bytes[8..12].copy_from_slice(&length.to_be_bytes());
    bytes[22] |= bits;
    set_max_timestamp(&mut bytes, 1_040).expect("a batch");
    bytes
}
