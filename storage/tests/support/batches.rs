//! Batches as producers send them: keys, values, any timestamps, every codec.

use bytes::Bytes;
use protocol::compression::compress;
use protocol::record_batch::{Codec, HEADER_LEN, set_log_append_time};
use protocol::record_batch_builder::RecordBatchBuilder;
use storage::ValidBatch;

pub const CODECS: [Codec; 5] = [Codec::None, Codec::Gzip, Codec::Snappy, Codec::Lz4, Codec::Zstd];

#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Sent {
    pub timestamp: i64,
    pub key: Option<Vec<u8>>,
    pub value: Option<Vec<u8>>,
}

/// One batch of these records.
pub fn batch_of(records: &[Sent], codec: Codec) -> ValidBatch {
    ValidBatch::new(Bytes::from(bytes_of(records, codec))).unwrap()
}

/// The same in a topic with LogAppendTime: every record has this time.
pub fn batch_appended_at(records: &[Sent], codec: Codec, at_ms: i64) -> ValidBatch {
    let mut bytes = bytes_of(records, codec);
    set_log_append_time(&mut bytes, at_ms).unwrap();
    ValidBatch::new(Bytes::from(bytes)).unwrap()
}

/// A batch of one record whose records section is not what its header says it is.
pub fn garbage_batch(codec: Codec) -> ValidBatch {
    let mut bytes = bytes_of(&[Sent { timestamp: 1, key: Some(vec![7]), value: None }], Codec::None);
    bytes[HEADER_LEN..].fill(0xa5);
    bytes[22] |= bits(codec);
    ValidBatch::new(Bytes::from(with_crc(bytes))).unwrap()
}

fn bytes_of(records: &[Sent], codec: Codec) -> Vec<u8> {
    let mut builder = RecordBatchBuilder::new(0);
    for record in records {
        builder.append(record.timestamp, record.key.as_deref(), record.value.as_deref());
    }
    let plain = builder.build();
    if codec == Codec::None {
        return plain.to_vec();
    }
    let packed = compress(codec, &plain[HEADER_LEN..]).unwrap();
    let mut bytes = [&plain[..HEADER_LEN], &packed].concat();
    let length = i32::try_from(bytes.len() - 12).unwrap();
    bytes[8..12].copy_from_slice(&length.to_be_bytes());
    bytes[22] |= bits(codec);
    with_crc(bytes)
}

fn bits(codec: Codec) -> u8 {
    match codec {
        Codec::None => 0,
        Codec::Gzip => 1,
        Codec::Snappy => 2,
        Codec::Lz4 => 3,
        Codec::Zstd => 4,
    }
}

fn with_crc(mut bytes: Vec<u8>) -> Vec<u8> {
    let crc = crc32c::crc32c(&bytes[21..]);
    bytes[17..21].copy_from_slice(&crc.to_be_bytes());
    bytes
}
