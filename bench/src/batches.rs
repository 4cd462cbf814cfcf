//! Record batches that are built once and stamped before each send, and the identity that every record carries.
//!
//! A record's value starts with who it is: run, topic set, partition, producer and sequence. So whoever reads it back can
//! say whether it was lost, doubled, moved or made up. Stamping writes those bytes in place and renews the batch CRC with
//! `crc32c`, at some 20 GB/s: a twentieth of a CPU second per GB on the side of the load generator.
//!
//! Invariant: after `stamp` the bytes are a valid uncompressed batch of `records` records with consecutive sequences.

use protocol::record_batch::{CRC_START, RecordBatchView};
use protocol::record_batch_builder::RecordBatchBuilder;
use protocol::record_set;

use crate::clock;

/// Bytes of an identity; no value is shorter.
pub(crate) const IDENTITY_LEN: usize = 32;
const CRC_AT: usize = 17;

/// How large records and batches are.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct BatchShape {
    /// Bytes of each value.
    pub(crate) value_len: usize,
    /// Records per batch.
    pub(crate) records: usize,
}

impl BatchShape {
    /// As many records of `value_len` bytes as a batch of at most `batch_bytes` holds; at least one.
    pub(crate) fn filling(batch_bytes: usize, value_len: usize) -> Self {
        let len_of = |records| build(value_len, records).len();
        let smallest = len_of(1);
        let mut records = (batch_bytes / value_len).max(1);
        while records > 1 && len_of(records) > batch_bytes {
            let over = len_of(records) - batch_bytes;
            records -= (over / smallest).max(1).min(records - 1);
        }
        Self { value_len, records }
    }

    /// One record per batch.
    pub(crate) fn single(value_len: usize) -> Self {
        Self { value_len, records: 1 }
    }

    /// User bytes in a batch: its values.
    pub(crate) fn value_bytes(self) -> u64 {
        count(self.value_len) * count(self.records)
    }
}

/// Who a record is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Identity {
    /// One load run; never the same twice in one process.
    pub(crate) run: u32,
    /// Number of the topic set.
    pub(crate) topic_set: u32,
    /// Partition, counted over all topics of the set.
    pub(crate) partition: u32,
    /// Which connection sent it.
    pub(crate) producer: u32,
    /// Count among the records that this producer sent to this partition.
    pub(crate) sequence: u64,
}

impl Identity {
    /// From a value that was read back; `None` unless it has the marker, and the filler that `write` left untouched.
    pub(crate) fn read(value: &[u8]) -> Option<Self> {
        let (head, filler) = value.split_first_chunk::<IDENTITY_LEN>()?;
        let number = |at: usize| u32::from_be_bytes([head[at], head[at + 1], head[at + 2], head[at + 3]]);
        if number(0) != MARKER || *filler != *filler_of(filler.len()) {
            return None;
        }
        let sequence = u64::from(number(20)) << 32 | u64::from(number(24));
        Some(Self {
            run: number(4),
            topic_set: number(8),
            partition: number(12),
            producer: number(16),
            sequence,
        })
    }

    fn write(self, value: &mut [u8]) {
        let numbers = [self.run, self.topic_set, self.partition, self.producer];
        for (at, number) in (4..).step_by(4).zip(numbers) {
            value[at..at + 4].copy_from_slice(&number.to_be_bytes());
        }
        value[20..28].copy_from_slice(&self.sequence.to_be_bytes());
    }
}

/// Where the values of a built batch are, to stamp them without walking the batch again.
#[derive(Debug, Clone)]
pub(crate) struct BatchTemplate {
    bytes: Vec<u8>,
    values: Vec<usize>,
}

impl BatchTemplate {
    /// Builds a batch of this shape.
    pub(crate) fn new(shape: BatchShape) -> Self {
        let bytes = build(shape.value_len, shape.records);
        let view = RecordBatchView::parse(&bytes).expect("it was just built");
        let records = record_set::records(&view).expect("it was just built, uncompressed");
        let start = bytes.as_ptr().addr();
        let values = records
            .map(|record| {
                record.expect("it was just built").value.expect("every value is set").as_ptr().addr() - start
            })
            .collect();
        Self { bytes, values }
    }

    /// The batch, valid as it is.
    pub(crate) fn bytes(&self) -> &[u8] {
        &self.bytes
    }

    /// Gives the records of `batch`, a copy of this template, identities from `first` on.
    pub(crate) fn stamp(&self, batch: &mut [u8], first: Identity) {
        for (sequence, value) in (first.sequence..).zip(&self.values) {
            Identity { sequence, ..first }.write(&mut batch[*value..value + IDENTITY_LEN]);
        }
        let crc = crc32c::crc32c(&batch[CRC_START..]);
        batch[CRC_AT..CRC_START].copy_from_slice(&crc.to_be_bytes());
    }
}

const MARKER: u32 = 0x4f6e_4c67;
const FILLER_LEN: usize = 4096;

/// Bytes that do not repeat at a power of two and say when they were shifted.
static FILLER: [u8; FILLER_LEN] = {
    let mut bytes = [0; FILLER_LEN];
    let mut at = 0;
    while at < FILLER_LEN {
        bytes[at] = at.wrapping_mul(31).wrapping_add(at / 251).to_be_bytes()[7];
        at += 1;
    }
    bytes
};

fn filler_of(len: usize) -> &'static [u8] {
    &FILLER[..len.min(FILLER_LEN)]
}

fn build(value_len: usize, records: usize) -> Vec<u8> {
    assert!(
        (IDENTITY_LEN..=IDENTITY_LEN + FILLER_LEN).contains(&value_len),
        "a value holds an identity and at most {FILLER_LEN} bytes more"
    );
    let mut value = MARKER.to_be_bytes().to_vec();
    value.resize(IDENTITY_LEN, 0);
    value.extend_from_slice(filler_of(value_len - IDENTITY_LEN));
    let timestamp = i64::try_from(clock::since_epoch().as_millis()).unwrap_or(i64::MAX);
    let mut builder = RecordBatchBuilder::new(0);
    for _ in 0..records {
        builder.append(timestamp, None, Some(&value));
    }
    builder.build().into()
}

/// `usize` as the `u64` of sums.
pub(crate) fn count(number: usize) -> u64 {
    u64::try_from(number).expect("usize has at most 64 bits")
}

#[cfg(test)]
mod tests {
    use super::*;

    const FIRST: Identity =
        Identity { run: 7, topic_set: 3, partition: 49_999, producer: 2, sequence: 1 << 33 };

    #[test]
    fn stamped_batch_is_valid_and_reads_back_with_every_identity() {
        let shape = BatchShape::filling(16 << 10, 1024);
        let template = BatchTemplate::new(shape);
        let mut batch = template.bytes().to_vec();
        template.stamp(&mut batch, FIRST);
        let view = RecordBatchView::parse(&batch).unwrap();
        view.verify_crc().unwrap();
        record_set::validate_records(&view).unwrap();
        let read: Vec<_> = record_set::records(&view)
            .unwrap()
            .map(|record| Identity::read(record.unwrap().value.unwrap()).unwrap())
            .collect();
        let sent: Vec<_> =
            (FIRST.sequence..).take(shape.records).map(|sequence| Identity { sequence, ..FIRST }).collect();
        assert_eq!(read, sent);
    }

    #[test]
    fn batches_fill_their_size_and_not_more() {
        for (batch_bytes, value_len) in [(1 << 20, 1024), (1 << 20, 100), (16 << 10, 1024), (64 << 10, 1024)]
        {
            let shape = BatchShape::filling(batch_bytes, value_len);
            let len = BatchTemplate::new(shape).bytes().len();
            assert!(len <= batch_bytes, "{len}");
            assert!(batch_bytes - len < value_len + 30, "{len} of {batch_bytes}");
        }
        assert_eq!(BatchShape::filling(10, 1024), BatchShape::single(1024));
    }

    #[test]
    fn value_with_another_filler_or_without_the_marker_is_nobody() {
        let template = BatchTemplate::new(BatchShape::single(100));
        let start = template.values[0];
        let mut value = template.bytes()[start..start + 100].to_vec();
        assert!(Identity::read(&value).is_some());
        value[99] ^= 1;
        assert_eq!(Identity::read(&value), None);
        value[99] ^= 1;
        value[0] ^= 1;
        assert_eq!(Identity::read(&value), None);
        assert_eq!(Identity::read(&value[..20]), None);
    }
}
