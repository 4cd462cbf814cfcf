//! Bytes as Kafka 4.3.1 writes them.

use super::super::records::{DeliveryState, Record, StateBatch, decode, snapshot, tombstone, update};
use super::*;

fn logged() -> Logged {
    Logged {
        snapshot_epoch: 2,
        state_epoch: 3,
        leader_epoch: 4,
        start_offset: 5,
        delivery_complete_count: 6,
        updates: 0,
    }
}

const BATCHES: [StateBatch; 2] = [
    StateBatch { first: 5, last: 9, state: DeliveryState::Acknowledged, deliveries: 1 },
    StateBatch { first: 11, last: 11, state: DeliveryState::Archived, deliveries: 3 },
];

fn long(number: i64) -> [u8; 8] {
    number.to_be_bytes()
}

#[test]
fn a_snapshot_has_the_fields_of_the_schema_in_their_order() {
    let record = snapshot(&key(), &logged(), 1000, &BATCHES);
    let mut key = vec![0, 0, 0, 1, b'g'];
    key.extend(TOPIC.as_bytes());
    key.extend([0, 0, 0, 0]);
    assert_eq!(record.key[..], key);
    let mut value = vec![0, 0, 0, 0, 0, 2, 0, 0, 0, 3, 0, 0, 0, 4];
    value.extend([long(5), long(1000), long(1000)].concat());
    value.push(3);
    value.extend([&long(5)[..], &long(9), &[2, 0, 1, 0]].concat());
    value.extend([&long(11)[..], &long(11), &[4, 0, 3, 0]].concat());
    value.extend([1, 0, 4, 0, 0, 0, 6]);
    assert_eq!(record.value.as_deref(), Some(&value[..]));
    let read = decode(&record.key, record.value.as_deref()).unwrap();
    assert_eq!(read, Record::Snapshot { key: super::key(), state: Some((logged(), BATCHES.to_vec())) });
}

#[test]
fn an_update_has_no_state_epoch_and_a_count_that_is_unknown_is_left_out() {
    let known = Logged { delivery_complete_count: -1, ..logged() };
    let record = update(&key(), &known, &BATCHES[..1]);
    assert_eq!(record.key[..2], [0, 1]);
    let mut value = vec![0, 0, 0, 0, 0, 2, 0, 0, 0, 4];
    value.extend(long(5));
    value.push(2);
    value.extend([&long(5)[..], &long(9), &[2, 0, 1, 0]].concat());
    value.push(0);
    assert_eq!(record.value.as_deref(), Some(&value[..]));
    let logged = Logged { state_epoch: -1, ..known };
    let read = decode(&record.key, record.value.as_deref()).unwrap();
    assert_eq!(read, Record::Update { key: key(), logged, batches: BATCHES[..1].to_vec() });
}

#[test]
fn a_tombstone_has_the_key_of_a_snapshot() {
    let record = tombstone(&key());
    assert_eq!(record.value, None);
    assert_eq!(decode(&record.key, None).unwrap(), Record::Snapshot { key: key(), state: None });
}

#[test]
fn damaged_records_are_errors_and_unknown_ones_are_passed_over() {
    let record = snapshot(&key(), &logged(), 1000, &BATCHES);
    let value = record.value.unwrap();
    for length in 0..value.len() {
        assert!(decode(&record.key, Some(&value[..length])).is_err(), "{length} bytes");
    }
    for length in 2..record.key.len() {
        assert!(decode(&record.key[..length], Some(&value)).is_err(), "{length} bytes of the key");
    }
    assert_eq!(decode(&[0, 9], None).unwrap(), Record::Other);
    assert!(decode(&record.key, Some(&[0, 7])).is_err());
}
