//! End-transaction markers: the control batches that end a producer's transaction in a partition (KIP-98).
//!
//! Built by the transaction coordinator, read by storage. One record: key `version, type`, value `version, coordinator
//! epoch`, all versions 0. Invariant: `build` writes what Kafka's `MemoryRecords.withEndTransactionMarker` writes; `parse`
//! takes any bytes.

use bytes::Bytes;

use crate::record_batch::RecordBatchView;
use crate::record_batch_builder::RecordBatchBuilder;
use crate::record_set::records;

const VERSION: [u8; 2] = [0, 0];
const ABORT: i16 = 0;
const COMMIT: i16 = 1;
const NO_SEQUENCE: i32 = -1;

/// How a transaction ended (`ControlRecordType`).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum MarkerType {
    /// None of its records count.
    Abort,
    /// All of its records count.
    Commit,
}

/// What a marker says beside its producer's id and epoch, which stand in the batch's header (`EndTransactionMarker`).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct EndTransactionMarker {
    /// How the transaction ended.
    pub marker_type: MarkerType,
    /// Epoch of the transaction coordinator that decided so.
    pub coordinator_epoch: i32,
}

impl EndTransactionMarker {
    /// The marker as a whole batch, base offset 0 and leader epoch -1, for the log to stamp.
    #[must_use]
    pub fn build(&self, producer_id: i64, producer_epoch: i16, timestamp_ms: i64) -> Bytes {
        let marker_type = match self.marker_type {
            MarkerType::Abort => ABORT,
            MarkerType::Commit => COMMIT,
        };
        let key = [VERSION, marker_type.to_be_bytes()].concat();
        let value = [&VERSION[..], &self.coordinator_epoch.to_be_bytes()].concat();
        let mut builder = RecordBatchBuilder::new(0)
            .producer(producer_id, producer_epoch, NO_SEQUENCE)
            .transactional()
            .control();
        builder.append(timestamp_ms, Some(&key), Some(&value));
        builder.build()
    }

    /// The marker in `batch`; `None` when it is no control batch, holds a control record of another kind, or nothing any
    /// more because compaction emptied it. Versions above 0 may be longer and are read as 0, as Kafka does.
    #[must_use]
    pub fn parse(batch: &RecordBatchView<'_>) -> Option<Self> {
        let record = batch.is_control().then(|| records(batch).ok()?.next()?.ok()).flatten()?;
        let key = versioned(record.key?)?;
        let marker_type = match i16::from_be_bytes(*key.first_chunk()?) {
            ABORT => MarkerType::Abort,
            COMMIT => MarkerType::Commit,
            _ => return None,
        };
        let coordinator_epoch = i32::from_be_bytes(*versioned(record.value?)?.first_chunk()?);
        Some(Self { marker_type, coordinator_epoch })
    }
}

/// What follows a version that is not negative.
fn versioned(bytes: &[u8]) -> Option<&[u8]> {
    let (version, rest) = bytes.split_first_chunk()?;
    (i16::from_be_bytes(*version) >= 0).then_some(rest)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::record_batch::{CRC_START, stamped_prefix};

    /// Kafka 4.3.1's `MemoryRecords.withEndTransactionMarker(42, 1700000000123, 7, 4711, 3, COMMIT, 9)` and
    /// `(0, 5, -1, 1, 0, ABORT, 0)`: offset, timestamp, leader epoch, producer id and epoch, type, coordinator epoch.
    const COMMIT_OF_KAFKA: &str = "000000000000002a00000042000000070219d59d550030000000000000018bcfe5687b0000018bcfe5687b00000000000012670003ffffffff000000012000000008000000010c00000000000900";
    const ABORT_OF_KAFKA: &str = "000000000000000000000042ffffffff025190c85a0030000000000000000000000005000000000000000500000000000000010000ffffffff000000012000000008000000000c00000000000000";

    fn bytes(hex: &str) -> Vec<u8> {
        (0..hex.len()).step_by(2).map(|at| u8::from_str_radix(&hex[at..at + 2], 16).unwrap()).collect()
    }

    #[test]
    fn markers_are_byte_for_byte_what_kafka_4_3_1_writes() {
        let commit = EndTransactionMarker { marker_type: MarkerType::Commit, coordinator_epoch: 9 };
        let built = commit.build(4711, 3, 1_700_000_000_123);
        let prefix = stamped_prefix(&RecordBatchView::parse(&built).unwrap(), 42, 7);
        assert_eq!([&prefix, &built[CRC_START..]].concat(), bytes(COMMIT_OF_KAFKA));

        let abort = EndTransactionMarker { marker_type: MarkerType::Abort, coordinator_epoch: 0 };
        assert_eq!(abort.build(1, 0, 5), bytes(ABORT_OF_KAFKA));
    }

    #[test]
    fn kafkas_markers_are_read() {
        let kafkas = bytes(COMMIT_OF_KAFKA);
        let batch = RecordBatchView::parse(&kafkas).unwrap();
        assert!(batch.verify_crc().is_ok() && batch.is_transactional());
        let marker = EndTransactionMarker::parse(&batch).unwrap();
        assert_eq!(marker, EndTransactionMarker { marker_type: MarkerType::Commit, coordinator_epoch: 9 });
        let kafkas = bytes(ABORT_OF_KAFKA);
        let marker = EndTransactionMarker::parse(&RecordBatchView::parse(&kafkas).unwrap()).unwrap();
        assert_eq!((marker.marker_type, marker.coordinator_epoch), (MarkerType::Abort, 0));
    }

    #[test]
    fn what_is_no_marker_is_not_taken_for_one() {
        let with = |key: &[u8], value: Option<&[u8]>, control: bool| {
            let builder = RecordBatchBuilder::new(0).producer(1, 0, -1).transactional();
            let mut builder = if control { builder.control() } else { builder };
            builder.append(5, Some(key), value);
            EndTransactionMarker::parse(&RecordBatchView::parse(&builder.build()).unwrap())
        };
        let value: Option<&[u8]> = Some(&[0, 0, 0, 0, 0, 3]);
        assert!(with(&[0, 0, 0, 1], value, true).is_some());
        assert!(with(&[0, 1, 0, 1, 9], Some(&[0, 1, 0, 0, 0, 3, 9]), true).is_some(), "a later version");
        assert_eq!(with(&[0, 0, 0, 1], value, false), None, "not a control batch");
        assert_eq!(with(&[0, 0, 0, 2], value, true), None, "a leader change");
        assert_eq!(with(&[255, 255, 0, 1], value, true), None, "a negative version");
        assert_eq!(with(&[0, 0, 0], value, true), None);
        assert_eq!(with(&[0, 0, 0, 1], Some(&[0, 0, 0, 0, 0]), true), None);
        assert_eq!(with(&[0, 0, 0, 1], None, true), None);
        let mut emptied = bytes(ABORT_OF_KAFKA);
        emptied.truncate(61);
        emptied[8..12].copy_from_slice(&49_i32.to_be_bytes());
        emptied[57..61].copy_from_slice(&0_i32.to_be_bytes());
        assert_eq!(EndTransactionMarker::parse(&RecordBatchView::parse(&emptied).unwrap()), None);
    }
}
