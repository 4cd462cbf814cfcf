//! The record format, against bytes that Kafka 4.3.1's own serializer (`GroupCoordinatorRecordSerde`) wrote.

use proptest::prelude::*;

use super::super::records::{MemberMetadata, Record};
use super::super::subscription::subscribed_topics;
use super::super::wire::DecodeError;
use super::*;

const OFFSET_KEY: &str = "000100036772700007746f7069632d6100000007";
const GROUP_KEY: &str = "00020003677270";
const COMMITTED_MS: i64 = 1_700_000_000_123;

fn bytes(hex: &str) -> Bytes {
    let digit = |at: usize| u8::from_str_radix(&hex[at..at + 2], 16).expect("hexadecimal digits");
    (0..hex.len()).step_by(2).map(digit).collect()
}

fn committed(leader_epoch: i32, expire_timestamp_ms: Option<i64>) -> CommittedOffset {
    CommittedOffset {
        offset: 4242,
        leader_epoch,
        metadata: "mé".to_owned(),
        commit_timestamp_ms: COMMITTED_MS,
        expire_timestamp_ms,
    }
}

fn decoded_offset(value: &str) -> Record {
    let value = Some(committed_from(value));
    Record::OffsetCommit { group: GROUP.to_owned(), topic: "topic-a".to_owned(), partition: 7, value }
}

fn committed_from(value: &str) -> CommittedOffset {
    match Record::decode(&bytes(OFFSET_KEY), Some(&bytes(value))) {
        Ok(Record::OffsetCommit { value: Some(value), .. }) => value,
        other => panic!("{other:?}"),
    }
}

fn group(version: u8) -> GroupMetadata {
    let member = |id: &str, host: &str, rebalance_timeout_ms, session_timeout_ms| MemberMetadata {
        member_id: id.to_owned(),
        group_instance_id: None,
        client_id: "c".to_owned(),
        client_host: host.to_owned(),
        rebalance_timeout_ms: if version >= 1 { rebalance_timeout_ms } else { session_timeout_ms },
        session_timeout_ms,
        subscription: Bytes::new(),
        assignment: Bytes::new(),
    };
    let first = MemberMetadata {
        group_instance_id: (version >= 3).then(|| "inst".to_owned()),
        subscription: Bytes::from_static(&[0, 1, 2]),
        assignment: Bytes::from_static(&[9]),
        ..member("c-1", "/127.0.0.1", 60_000, 45_000)
    };
    GroupMetadata {
        protocol_type: "consumer".to_owned(),
        generation: 5,
        protocol: Some("range".to_owned()),
        leader: Some("c-1".to_owned()),
        state_since_ms: (version >= 2).then_some(COMMITTED_MS),
        members: vec![first, member("c-2", "/127.0.0.2", 300_000, 10_000)],
    }
}

const GROUP_VALUES: [&str; 5] = [
    "00000008636f6e73756d657200000005000572616e67650003632d31000000020003632d31000163000a2f3132372e302e302e310000\
     afc80000000300010200000001090003632d32000163000a2f3132372e302e302e32000027100000000000000000",
    "00010008636f6e73756d657200000005000572616e67650003632d31000000020003632d31000163000a2f3132372e302e302e310000\
     ea600000afc80000000300010200000001090003632d32000163000a2f3132372e302e302e32000493e0000027100000000000000000",
    "00020008636f6e73756d657200000005000572616e67650003632d310000018bcfe5687b000000020003632d31000163000a2f313237\
     2e302e302e310000ea600000afc80000000300010200000001090003632d32000163000a2f3132372e302e302e32000493e000002710\
     0000000000000000",
    "00030008636f6e73756d657200000005000572616e67650003632d310000018bcfe5687b000000020003632d310004696e7374000163\
     000a2f3132372e302e302e310000ea600000afc80000000300010200000001090003632d32ffff000163000a2f3132372e302e302e32\
     000493e0000027100000000000000000",
    "000409636f6e73756d6572000000050672616e676504632d310000018bcfe5687b0304632d3105696e737402630b2f3132372e302e30\
     2e310000ea600000afc80400010202090004632d320002630b2f3132372e302e302e32000493e00000271001010000",
];

#[test]
fn offset_is_written_in_version_4_as_kafka_writes_it() {
    let record = offset_commit(GROUP, "topic-a", 7, Some(&committed(3, None)));
    assert_eq!(record.key, bytes(OFFSET_KEY));
    assert_eq!(record.value, Some(bytes("0004000000000000109200000003046dc3a90000018bcfe5687b00")));
}

#[test]
fn offset_with_its_own_expiry_is_written_in_version_1_as_kafka_writes_it() {
    let record = offset_commit(GROUP, "topic-a", 7, Some(&committed(3, Some(1_700_000_009_999))));
    assert_eq!(record.value, Some(bytes("0001000000000000109200036dc3a90000018bcfe5687b0000018bcfe58f0f")));
}

#[test]
fn long_metadata_is_written_with_a_length_of_several_bytes() {
    let long = CommittedOffset { metadata: "m".repeat(4096), ..committed(3, None) };
    let value = offset_commit(GROUP, "t", 0, Some(&long)).value.unwrap();
    assert_eq!(value[14..16], [0x81, 0x20]);
    let record = Record::decode(&bytes(OFFSET_KEY), Some(&value)).unwrap();
    assert!(matches!(record, Record::OffsetCommit { value: Some(value), .. } if value == long));
}

#[test]
fn every_version_of_an_offset_is_read() {
    let expected = [
        ("0000000000000000109200036dc3a90000018bcfe5687b", committed(-1, None)),
        (
            "0001000000000000109200036dc3a90000018bcfe5687b0000018bcfe58f0f",
            committed(-1, Some(1_700_000_009_999)),
        ),
        ("0002000000000000109200036dc3a90000018bcfe5687b", committed(-1, None)),
        ("000300000000000010920000000300036dc3a90000018bcfe5687b", committed(3, None)),
        ("0004000000000000109200000003046dc3a90000018bcfe5687b00", committed(3, None)),
    ];
    for (value, offset) in expected {
        assert_eq!(committed_from(value), offset, "{value}");
        assert!(matches!(decoded_offset(value), Record::OffsetCommit { partition: 7, .. }));
    }
}

#[test]
fn topic_id_in_an_offset_is_passed_over() {
    let value = "00040000000000001092ffffffff010000018bcfe5687b0100100102030405060708090a0b0c0d0e0f10";
    assert_eq!(committed_from(value), CommittedOffset { metadata: String::new(), ..committed(-1, None) });
}

#[test]
fn key_of_the_oldest_version_is_read() {
    let (key, value) =
        ("000000036772700007746f7069632d6100000007", "0000000000000000000100016d0000000000000005");
    let offset = CommittedOffset {
        offset: 1,
        leader_epoch: -1,
        metadata: "m".to_owned(),
        commit_timestamp_ms: 5,
        expire_timestamp_ms: None,
    };
    let expected = Record::OffsetCommit {
        group: GROUP.to_owned(),
        topic: "topic-a".to_owned(),
        partition: 7,
        value: Some(offset),
    };
    assert_eq!(Record::decode(&bytes(key), Some(&bytes(value))), Ok(expected));
}

#[test]
fn group_is_written_in_version_3_as_kafka_writes_it() {
    let record = group_metadata(GROUP, Some(&group(3)));
    assert_eq!(record.key, bytes(GROUP_KEY));
    assert_eq!(record.value, Some(bytes(GROUP_VALUES[3])));
}

#[test]
fn every_version_of_a_group_is_read() {
    for (version, value) in (0..).zip(GROUP_VALUES) {
        let expected = Record::GroupMetadata { group: GROUP.to_owned(), value: Some(group(version)) };
        assert_eq!(Record::decode(&bytes(GROUP_KEY), Some(&bytes(value))), Ok(expected), "version {version}");
    }
}

#[test]
fn new_group_is_written_as_kafka_writes_it() {
    let mut world = World::new();
    world.event(Event::WallClock { epoch_ms: COMMITTED_MS });
    world.ask_to_join(first_join());
    let value = bytes("0003000000000000ffffffff0000018bcfe5687b00000000");
    assert_eq!(world.log[&29], [CoordinatorRecord { key: bytes(GROUP_KEY), value: Some(value) }]);
}

#[test]
fn tombstone_is_a_key_without_a_value() {
    let expected = CoordinatorRecord { key: bytes(OFFSET_KEY), value: None };
    assert_eq!(offset_commit(GROUP, "topic-a", 7, None), expected);
    assert_eq!(group_metadata(GROUP, None), CoordinatorRecord { key: bytes(GROUP_KEY), value: None });
    let record = Record::decode(&bytes(GROUP_KEY), None);
    assert_eq!(record, Ok(Record::GroupMetadata { group: GROUP.to_owned(), value: None }));
}

#[test]
fn truncated_record_is_an_error_at_every_length() {
    for (key, value) in [(OFFSET_KEY, "0004000000000000109200000003046dc3a90000018bcfe5687b00")]
        .into_iter()
        .chain(GROUP_VALUES.map(|value| (GROUP_KEY, value)))
    {
        let (key, value) = (bytes(key), bytes(value));
        for end in 0..value.len() {
            assert!(Record::decode(&key, Some(&value[..end])).is_err(), "{end} bytes of {value:?}");
        }
        for end in 0..key.len() {
            assert!(Record::decode(&key[..end], None).is_err());
        }
    }
}

#[test]
fn unknown_value_version_is_an_error() {
    for (value, version) in [("0005", 5), ("ffff", -1)] {
        let record = Record::decode(&bytes(OFFSET_KEY), Some(&bytes(value)));
        assert_eq!(record, Err(DecodeError::Version(version)));
    }
}

#[test]
fn member_count_beyond_the_record_allocates_nothing() {
    let value = bytes("0003000000000000ffffffff0000018bcfe5687b7fffffff");
    assert_eq!(Record::decode(&bytes(GROUP_KEY), Some(&value)), Err(DecodeError::Length));
}

#[test]
fn topics_of_a_subscription_are_read_whatever_its_version() {
    // `ConsumerProtocolSubscription` version 3, written by Kafka 4.3.1.
    let version_3 = bytes("0003000000020007746f7069632d6100027432ffffffff00000000ffffffffffff");
    let topics = vec!["topic-a".to_owned(), "t2".to_owned()];
    assert_eq!(subscribed_topics(&version_3), Some(topics));
    let mut newer = version_3.to_vec();
    newer[1] = 99;
    assert!(subscribed_topics(&newer).is_some());
}

#[test]
fn bytes_that_are_no_subscription_name_no_topics() {
    for metadata in
        ["", "00", "ffff00000000", "00007fffffff", "000000000001", "00000000000100ff61", "0000ffffffff"]
    {
        assert_eq!(subscribed_topics(&bytes(metadata)), None, "{metadata}");
    }
}

proptest! {
    #[test]
    fn arbitrary_bytes_never_panic(
        key in proptest::collection::vec(any::<u8>(), 0..64),
        version in 0_u8..6,
        value in proptest::collection::vec(any::<u8>(), 0..256),
    ) {
        let value = [&[0, version], value.as_slice()].concat();
        for key in [key.as_slice(), &bytes(OFFSET_KEY), &bytes(GROUP_KEY)] {
            let mut world = World::loading(GroupConfig::default());
            let (key, value) = (Bytes::copy_from_slice(key), Bytes::copy_from_slice(&value));
            world.event(Event::LoadRecord { partition: 29, key, value: Some(value) });
            world.finish_loading();
            world.answers();
            world.pass(DAY * 30);
        }
        subscribed_topics(&value);
    }

    #[test]
    fn what_is_written_is_what_is_read(
        offset: i64,
        leader_epoch in -1..i32::MAX,
        metadata in ".{0,40}",
        commit_timestamp_ms: i64,
    ) {
        let committed =
            CommittedOffset { offset, leader_epoch, metadata, commit_timestamp_ms, expire_timestamp_ms: None };
        let CoordinatorRecord { key, value } = offset_commit("g", "t", 1, Some(&committed));
        let record = Record::decode(&key, value.as_deref());
        let expected = Record::OffsetCommit {
            group: "g".to_owned(),
            topic: "t".to_owned(),
            partition: 1,
            value: Some(committed),
        };
        prop_assert_eq!(record, Ok(expected));
    }
}
