//! Writes the magic-2 batches that the broker itself produces: group offsets, transaction state, markers.
//!
//! Called by the coordinators and by tests. Invariant: what `build` returns passes `RecordBatchView::verify_crc` and
//! `validate_records`.

use bytes::Bytes;

use crate::record_batch::HEADER_LEN;
use crate::wire::{put_unsigned_varlong, put_varlong};

const TRANSACTIONAL: i16 = 0x10;
const CONTROL: i16 = 0x20;

/// An uncompressed batch in the making. Without `producer` it carries no producer id, epoch or sequence (-1).
#[derive(Debug, Clone)]
pub struct RecordBatchBuilder {
    base_offset: i64,
    leader_epoch: i32,
    attributes: i16,
    producer_id: i64,
    producer_epoch: i16,
    base_sequence: i32,
    base_timestamp: i64,
    max_timestamp: i64,
    count: i32,
    records: Vec<u8>,
    scratch: Vec<u8>,
}

impl RecordBatchBuilder {
    /// A batch whose first record will have offset `base_offset`.
    #[must_use]
    pub fn new(base_offset: i64) -> Self {
        Self {
            base_offset,
            leader_epoch: -1,
            attributes: 0,
            producer_id: -1,
            producer_epoch: -1,
            base_sequence: -1,
            base_timestamp: -1,
            max_timestamp: -1,
            count: 0,
            records: Vec::new(),
            scratch: Vec::new(),
        }
    }

    /// Sets the partition leader epoch.
    #[must_use]
    pub fn leader_epoch(mut self, epoch: i32) -> Self {
        self.leader_epoch = epoch;
        self
    }

    /// Sets producer id, producer epoch and the sequence of the first record.
    #[must_use]
    pub fn producer(mut self, id: i64, epoch: i16, base_sequence: i32) -> Self {
        self.producer_id = id;
        self.producer_epoch = epoch;
        self.base_sequence = base_sequence;
        self
    }

    /// Marks the batch as part of a transaction.
    #[must_use]
    pub fn transactional(mut self) -> Self {
        self.attributes |= TRANSACTIONAL;
        self
    }

    /// Marks the batch as a control batch: its one record is a marker, not data.
    #[must_use]
    pub fn control(mut self) -> Self {
        self.attributes |= CONTROL;
        self
    }

    /// Whether no record was appended yet.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.count == 0
    }

    /// Size of the batch if it were built now, bytes.
    #[must_use]
    pub fn len(&self) -> usize {
        HEADER_LEN + self.records.len()
    }

    /// Appends a record with the next offset. `timestamp` is in ms, `None` is null.
    ///
    /// # Panics
    /// As `append_with_headers`.
    pub fn append(&mut self, timestamp: i64, key: Option<&[u8]>, value: Option<&[u8]>) {
        self.append_with_headers(timestamp, key, value, &[]);
    }

    /// Appends a record with headers, kept in the order given.
    ///
    /// # Panics
    /// When the batch would reach 2 GiB, the format's limit: the broker never writes such a batch.
    pub fn append_with_headers(
        &mut self,
        timestamp: i64,
        key: Option<&[u8]>,
        value: Option<&[u8]>,
        headers: &[(&[u8], Option<&[u8]>)],
    ) {
        if self.count == 0 {
            self.base_timestamp = timestamp;
            self.max_timestamp = timestamp;
        }
        self.max_timestamp = self.max_timestamp.max(timestamp);
        self.scratch.clear();
        self.scratch.push(0);
        put_varlong(&mut self.scratch, timestamp.wrapping_sub(self.base_timestamp));
        put_varlong(&mut self.scratch, i64::from(self.count));
        put_nullable_bytes(&mut self.scratch, key);
        put_nullable_bytes(&mut self.scratch, value);
        put_length(&mut self.scratch, headers.len());
        for (key, value) in headers {
            put_nullable_bytes(&mut self.scratch, Some(key));
            put_nullable_bytes(&mut self.scratch, *value);
        }
        put_length(&mut self.records, self.scratch.len());
        self.records.extend_from_slice(&self.scratch);
        self.count += 1;
        assert!(i32::try_from(self.len()).is_ok(), "a record batch stays below 2 GiB");
    }

    /// The finished batch, header, CRC and records.
    ///
    /// # Panics
    /// When no record was appended: a batch covers at least one offset.
    #[must_use]
    pub fn build(self) -> Bytes {
        assert!(self.count > 0, "a record batch holds at least one record");
        let mut covered = Vec::with_capacity(40 + self.records.len());
        covered.extend_from_slice(&self.attributes.to_be_bytes());
        covered.extend_from_slice(&(self.count - 1).to_be_bytes());
        covered.extend_from_slice(&self.base_timestamp.to_be_bytes());
        covered.extend_from_slice(&self.max_timestamp.to_be_bytes());
        covered.extend_from_slice(&self.producer_id.to_be_bytes());
        covered.extend_from_slice(&self.producer_epoch.to_be_bytes());
        covered.extend_from_slice(&self.base_sequence.to_be_bytes());
        covered.extend_from_slice(&self.count.to_be_bytes());
        covered.extend_from_slice(&self.records);
        // The length field counts from the leader epoch: leader epoch, magic and CRC, then what the CRC covers.
        let length = i32::try_from(9 + covered.len()).expect("append keeps the batch below 2 GiB");
        let mut batch = Vec::with_capacity(21 + covered.len());
        batch.extend_from_slice(&self.base_offset.to_be_bytes());
        batch.extend_from_slice(&length.to_be_bytes());
        batch.extend_from_slice(&self.leader_epoch.to_be_bytes());
        batch.push(2);
        batch.extend_from_slice(&crc32c::crc32c(&covered).to_be_bytes());
        batch.extend_from_slice(&covered);
        Bytes::from(batch)
    }
}

fn put_nullable_bytes(out: &mut Vec<u8>, bytes: Option<&[u8]>) {
    match bytes {
        None => put_varlong(out, -1),
        Some(bytes) => {
            put_length(out, bytes.len());
            out.extend_from_slice(bytes);
        }
    }
}

/// A length that is not negative, as a zigzag varint.
pub(crate) fn put_length(out: &mut Vec<u8>, length: usize) {
    put_unsigned_varlong(out, u64::try_from(length).expect("usize has at most 64 bits") << 1);
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::record_batch::{Codec, RecordBatchView};
    use crate::record_set::{records, validate_records};
    use kafka_protocol::records::RecordBatchDecoder;
    use proptest::prelude::*;

    #[test]
    fn header_fields_are_where_the_view_reads_them() {
        let mut builder = RecordBatchBuilder::new(42).leader_epoch(7).producer(1000, 3, 9).transactional();
        builder.append(500, Some(b"k"), Some(b"v"));
        builder.append(400, None, None);
        let expected_len = builder.len();
        let bytes = builder.build();
        let view = RecordBatchView::parse(&bytes).unwrap();
        view.verify_crc().unwrap();
        validate_records(&view).unwrap();
        assert_eq!(view.as_bytes().len(), expected_len);
        assert_eq!(bytes.len(), expected_len);
        assert_eq!((view.base_offset(), view.last_offset_delta(), view.leader_epoch()), (42, 1, 7));
        assert_eq!((view.producer_id(), view.producer_epoch(), view.base_sequence()), (1000, 3, 9));
        assert_eq!((view.base_timestamp(), view.max_timestamp(), view.record_count()), (500, 500, 2));
        assert_eq!(view.codec(), Some(Codec::None));
        assert!(view.is_transactional() && !view.is_control() && !view.is_log_append_time());
    }

    #[test]
    fn control_bit_is_set_on_request_and_producer_fields_default_to_minus_one() {
        let mut builder = RecordBatchBuilder::new(0).control();
        builder.append(1, Some(&[0, 0, 0, 1]), Some(&[0; 6]));
        let bytes = builder.build();
        let view = RecordBatchView::parse(&bytes).unwrap();
        assert!(view.is_control() && !view.is_transactional());
        assert_eq!((view.producer_id(), view.producer_epoch(), view.base_sequence()), (-1, -1, -1));
    }

    proptest! {
        #[test]
        fn records_read_back_as_written_by_us_and_by_the_codec_crate(
            rows in prop::collection::vec(
                (0_i64..i64::MAX / 2, any::<Option<Vec<u8>>>(), any::<Option<Vec<u8>>>()), 1..20)
        ) {
            let mut builder = RecordBatchBuilder::new(10);
            for (timestamp, key, value) in &rows {
                builder.append(*timestamp, key.as_deref(), value.as_deref());
            }
            let mut bytes = builder.build();
            let view = RecordBatchView::parse(&bytes).unwrap();
            prop_assert_eq!(validate_records(&view), Ok(()));
            for (record, (timestamp, key, value)) in records(&view).unwrap().zip(&rows) {
                let record = record.unwrap();
                prop_assert_eq!(view.base_timestamp() + record.timestamp_delta, *timestamp);
                prop_assert_eq!((record.key, record.value), (key.as_deref(), value.as_deref()));
            }
            let theirs = RecordBatchDecoder::decode(&mut bytes).unwrap();
            prop_assert_eq!(theirs.records.len(), rows.len());
            for (offset, (record, (timestamp, key, value))) in (10..).zip(theirs.records.iter().zip(&rows)) {
                prop_assert_eq!((record.offset, record.timestamp), (offset, *timestamp));
                prop_assert_eq!(record.key.as_deref(), key.as_deref());
                prop_assert_eq!(record.value.as_deref(), value.as_deref());
            }
        }
    }
}
