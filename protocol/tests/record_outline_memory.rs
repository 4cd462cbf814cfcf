//! A batch that decompresses to a gigabyte is refused with the memory of a codec's window.
//!
//! Allocations are counted for the whole process, so this file holds one test.

use std::ops::ControlFlow;

use peak_alloc::PeakAlloc;
use protocol::compression::{CompressionError, compress};
use protocol::record_batch::{Codec, HEADER_LEN, RecordBatchView};
use protocol::record_batch_builder::RecordBatchBuilder;
use protocol::record_lookup::{LookupError, max_timestamp_record};
use protocol::record_outline::each_outline;

#[global_allocator]
static ALLOCATIONS: PeakAlloc = PeakAlloc;

const MIB: usize = 1024 * 1024;
const CAP: usize = 16 * MIB;

/// A varint of `value` zigzagged.
fn varint(value: usize) -> Vec<u8> {
    let mut left = value * 2;
    let mut out = Vec::new();
    while left >= 0x80 {
        out.push(u8::try_from(left & 0x7f).expect("seven bits") | 0x80);
        left >>= 7;
    }
    out.push(u8::try_from(left).expect("seven bits"));
    out
}

/// The start of a record with a value of `value_len` zeros: length, attributes, deltas, null key, value length.
fn record_start(value_len: usize) -> Vec<u8> {
    let fields = [&[0, 0, 0, 1][..], &varint(value_len)].concat();
    [varint(fields.len() + value_len + 1), fields].concat()
}

fn batch(section: &[u8], bits: u8) -> Vec<u8> {
    let mut builder = RecordBatchBuilder::new(0);
    builder.append(0, None, None);
    let mut out = [&builder.build()[..HEADER_LEN], section].concat();
    let length = i32::try_from(out.len() - 12).expect("a small batch");
    out[8..12].copy_from_slice(&length.to_be_bytes());
    out[22] |= bits;
    out
}

/// A gigabyte of zeros in a megabyte: gzip members follow one another.
fn gzip_bomb() -> Vec<u8> {
    let zeros = compress(Codec::Gzip, &vec![0; MIB]).expect("compresses in memory");
    let start = compress(Codec::Gzip, &record_start(1000 * MIB)).expect("compresses in memory");
    batch(&[start, zeros.repeat(1000)].concat(), 1)
}

fn bomb(codec: Codec, bits: u8) -> Vec<u8> {
    let mut payload = record_start(2 * CAP);
    payload.resize(2 * CAP, 0);
    batch(&compress(codec, &payload).expect("compresses in memory"), bits)
}

#[test]
fn bomb_of_one_huge_value_is_refused_at_the_cap_with_little_memory() {
    let bombs = [gzip_bomb(), bomb(Codec::Snappy, 2), bomb(Codec::Lz4, 3), bomb(Codec::Zstd, 4)];
    assert!((MIB..2 * MIB).contains(&bombs[0].len()), "{}", bombs[0].len());
    for bytes in &bombs {
        let view = RecordBatchView::parse(bytes).unwrap();
        let before = ALLOCATIONS.current_usage();
        ALLOCATIONS.reset_peak_usage();
        let walked = each_outline(&view, CAP, |_| ControlFlow::Continue(()));
        let looked_up = max_timestamp_record(&view, CAP);
        let taken = ALLOCATIONS.peak_usage().saturating_sub(before);
        for error in [walked.unwrap_err(), looked_up.unwrap_err()] {
            assert!(matches!(error, LookupError::Compression(CompressionError::OverCap { cap: CAP })));
        }
        assert!(taken < MIB, "{:?} took {taken} bytes", view.codec());
    }
}
