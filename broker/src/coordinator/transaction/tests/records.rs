//! Records byte by byte, against what Kafka 4.3.1's own classes write.

use super::super::records::{Record, decode, transaction};
use super::*;
use crate::coordinator::wire::DecodeError;
use proptest::prelude::*;

/// Printed by `TransactionLog.valueToBytes` at `transaction.version` 2 (log value version 1).
const EMPTY: &str =
    "000100000000000003e800000000ea6000000000018bcfe56800ffffffffffffffff01000800000000000003e8";
const ONGOING: &str = "000100000000000003e800050000ea60010202740200000003000000018bcfe568020000018bcfe5680102000800000000000003e802020002";
const PREPARED: &str = "000100000000000003e87fff0000ea60020202740200000003000000018bcfe568020000018bcfe5680103000800000000000003e8010800000000000007d002020002";
const COMPLETE: &str =
    "000100000000000007d000000000ea6005010000018bcfe568030000018bcfe5680102000800000000000003e802020002";
/// The same at `transaction.version` 0 (log value version 0).
const ONGOING_V0: &str =
    "000000000000000003e800050000ea60010000000100017400000001000000030000018bcfe568020000018bcfe56801";
const EMPTY_V0: &str = "000000000000000003e800000000ea6000ffffffff0000018bcfe56800ffffffffffffffff";

fn bytes(hex: &str) -> Vec<u8> {
    (0..hex.len()).step_by(2).map(|at| u8::from_str_radix(&hex[at..at + 2], 16).unwrap()).collect()
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

fn decoded(value: &[u8]) -> Result<Metadata, DecodeError> {
    let key = transaction("tx", None).key;
    match decode(&key, Some(value))? {
        Record::Transaction { metadata: Some(metadata), .. } => Ok(metadata),
        other => panic!("not a transaction: {other:?}"),
    }
}

fn golden() -> [(&'static str, Metadata); 4] {
    let base = |state| Metadata {
        producer: producer(1000, 0),
        previous_producer_id: 1000,
        timeout_ms: 60_000,
        state,
        start_ms: EPOCH_MS + 1,
        last_update_ms: EPOCH_MS + 2,
        partitions: partitions(&[("t", &[3])]),
        version: TransactionVersion::V2,
        ..Metadata::new(1000)
    };
    let empty = Metadata {
        start_ms: -1,
        last_update_ms: EPOCH_MS,
        partitions: Partitions::new(),
        version: TransactionVersion::V0,
        ..base(TransactionState::Empty)
    };
    let ongoing = Metadata { producer: producer(1000, 5), ..base(TransactionState::Ongoing) };
    let prepared = Metadata {
        producer: producer(1000, i16::MAX),
        next_producer_id: 2000,
        ..base(TransactionState::PrepareCommit)
    };
    let complete = Metadata {
        producer: producer(2000, 0),
        last_update_ms: EPOCH_MS + 3,
        partitions: Partitions::new(),
        ..base(TransactionState::CompleteAbort)
    };
    [(EMPTY, empty), (ONGOING, ongoing), (PREPARED, prepared), (COMPLETE, complete)]
}

#[test]
fn values_are_kafkas_byte_by_byte() {
    for (expected, metadata) in golden() {
        let value = transaction("tx", Some(&metadata)).value.unwrap();
        assert_eq!(hex(&value), expected, "{:?}", metadata.state);
        assert_eq!(decoded(&bytes(expected)), Ok(metadata));
    }
}

#[test]
fn key_is_kafkas() {
    assert_eq!(hex(&transaction("tx-é", None).key), "0000000574782dc3a9");
}

#[test]
fn values_of_the_older_version_are_read() {
    let [(_, empty), (_, ongoing), ..] = golden();
    let older = |metadata| Metadata { previous_producer_id: -1, version: TransactionVersion::V0, ..metadata };
    assert_eq!(decoded(&bytes(EMPTY_V0)), Ok(older(empty)));
    assert_eq!(decoded(&bytes(ONGOING_V0)), Ok(older(ongoing)));
}

#[test]
fn unknown_tags_are_skipped_and_unknown_versions_are_not_guessed_at() {
    let mut value = bytes(EMPTY);
    let tags = value.len() - 11;
    assert_eq!(value[tags], 1);
    value[tags] = 2;
    value.extend([9, 2, 0xaa, 0xbb]);
    assert_eq!(decoded(&value), decoded(&bytes(EMPTY)));
    value[1] = 2;
    assert_eq!(decoded(&value), Err(DecodeError::Version(2)));
    let other = decode(b"\x00\x01\x00\x01x", None).unwrap();
    assert_eq!(other, Record::Other);
}

#[test]
fn states_that_are_never_written_are_not_read() {
    for number in [6, 7, 8, 0xff] {
        let mut value = bytes(EMPTY);
        value[16] = number;
        assert_eq!(decoded(&value), Err(DecodeError::Length), "{number}");
    }
}

#[test]
fn every_prefix_of_a_record_is_refused() {
    for (value, _) in golden() {
        let value = bytes(value);
        for end in 0..value.len() {
            assert!(decoded(&value[..end]).is_err(), "{end} bytes of {}", hex(&value));
        }
    }
}

proptest! {
    #[test]
    fn arbitrary_bytes_never_panic(key: Vec<u8>, value: Option<Vec<u8>>) {
        let whatever = decode(&key, value.as_deref());
        prop_assert!(whatever.is_ok() || whatever.is_err());
        let key = transaction("tx", None).key;
        let whatever = decode(&key, value.as_deref());
        prop_assert!(whatever.is_ok() || whatever.is_err());
    }

    #[test]
    fn what_is_written_is_read_back(
        producer_id in 0..i64::MAX, epoch in 0..i16::MAX, next in -1..i64::MAX, timeout_ms in 1..i32::MAX,
        topics in prop::collection::btree_map("[a-z.]{1,20}", prop::collection::btree_set(0..i32::MAX, 1..5), 0..5),
        update: i64, start: i64,
    ) {
        let metadata = Metadata {
            producer: producer(producer_id, epoch),
            next_producer_id: next,
            timeout_ms,
            partitions: topics,
            start_ms: start,
            last_update_ms: update,
            ..metadata(TransactionState::Ongoing, TransactionVersion::V2)
        };
        let value = transaction("tx", Some(&metadata)).value.unwrap();
        prop_assert_eq!(decoded(&value), Ok(metadata));
    }
}
