//! Records of consumer groups: bytes as Kafka 4.3.1's own classes print them, and back.

use bytes::Bytes;
use uuid::Uuid;

use super::{
    ClassicMetadata, ConsumerMember, ConsumerRecord, Content, CoordinatorRecord, GroupValue, MemberState,
    Protocol, TargetValue,
};
use crate::coordinator::group::records::Record;

const GROUP: &str = "grp";

fn hex(bytes: &[u8]) -> String {
    use std::fmt::Write as _;
    bytes.iter().fold(String::new(), |mut text, byte| {
        write!(text, "{byte:02x}").unwrap();
        text
    })
}

/// Kafka's `new Uuid(1, 2)`.
fn topic_id() -> Uuid {
    Uuid::from_u64_pair(1, 2)
}

fn member() -> ConsumerMember {
    ConsumerMember {
        instance_id: Some("i".to_owned()),
        client_id: "c".to_owned(),
        client_host: "/127.0.0.1".to_owned(),
        topics: ["a".to_owned(), "b".to_owned()].into(),
        regex: Some("x.*".to_owned()),
        rebalance_timeout_ms: 300_000,
        server_assignor: Some("range".to_owned()),
        epoch: 5,
        previous_epoch: 4,
        state: MemberState::UnrevokedPartitions,
        assigned: [(topic_id(), [(0, 2), (3, 5)].into())].into(),
        revoking: [(topic_id(), [(1, 3)].into())].into(),
        ..ConsumerMember::new("m1".into())
    }
}

fn classic_member() -> ConsumerMember {
    ConsumerMember {
        client_id: "c".to_owned(),
        client_host: "/127.0.0.1".to_owned(),
        topics: ["a".to_owned()].into(),
        regex: Some(String::new()),
        rebalance_timeout_ms: 300_000,
        classic: Some(ClassicMetadata {
            session_timeout_ms: 45_000,
            protocols: vec![Protocol { name: "range".to_owned(), metadata: Bytes::from_static(&[1, 2, 3]) }],
        }),
        ..ConsumerMember::new("m1".into())
    }
}

fn golden() -> Vec<(CoordinatorRecord, &'static str, &'static str)> {
    let target = [(topic_id(), [0, 3].into())].into();
    let topics = ["xa".to_owned(), "xb".to_owned()].into();
    let tagged = GroupValue { epoch: 5, metadata_hash: 77 };
    vec![
        (super::group(GROUP, Some(tagged)), "00030003677270", "000000000005010008000000000000004d"),
        (
            super::group(GROUP, Some(GroupValue { metadata_hash: 0, ..tagged })),
            "00030003677270",
            "00000000000500",
        ),
        (
            super::member(GROUP, &member()),
            "0005000367727000026d31",
            "000002690002630b2f3132372e302e302e31030261026204782e2a000493e00672616e676500",
        ),
        (
            super::member(GROUP, &classic_member()),
            "0005000367727000026d31",
            "0000000002630b2f3132372e302e302e3102026101000493e000010012010000afc8020672616e6765040102030000",
        ),
        (
            super::target(GROUP, Some(TargetValue { epoch: 5, timestamp_ms: 1000 })),
            "00060003677270",
            "00000000000501000800000000000003e8",
        ),
        (
            super::target_member(GROUP, "m1", &target),
            "0007000367727000026d31",
            "000002000000000000000100000000000000020300000000000000030000",
        ),
        (
            super::current_member(GROUP, &member()),
            "0008000367727000026d31",
            "000000000005000000040102000000000000000100000000000000020300000000000000030100090300000002000000050200\
             0000000000000100000000000000020200000001010005020000000300",
        ),
        (
            super::pattern(GROUP, "x.*", Some((&topics, 1000))),
            "001000036772700003782e2a",
            "000003037861037862000000000000000000000000000003e800",
        ),
    ]
}

#[test]
fn records_are_kafkas_bytes() {
    for (record, key, value) in golden() {
        assert_eq!(hex(&record.key), key);
        assert_eq!(hex(record.value.as_ref().unwrap()), value, "{key}");
    }
    let tombstone = super::partition_metadata_tombstone(GROUP);
    assert_eq!((hex(&tombstone.key).as_str(), tombstone.value), ("00040003677270", None));
}

#[test]
fn truncated_records_are_errors_and_never_panics() {
    for (record, ..) in golden() {
        let value = record.value.unwrap();
        for length in 0..value.len() {
            assert!(Record::decode(&record.key, Some(&value[..length])).is_err(), "{length}");
        }
        for length in 0..record.key.len() {
            let _decoded = Record::decode(&record.key[..length], Some(&value));
        }
    }
}

#[test]
fn records_are_read_back_as_they_were_written() {
    let read = |record: CoordinatorRecord| match Record::decode(&record.key, record.value.as_deref()) {
        Ok(Record::Consumer(ConsumerRecord { group, content })) => {
            assert_eq!(group, GROUP);
            content
        }
        other => panic!("{other:?}"),
    };
    let group = GroupValue { epoch: 5, metadata_hash: -77 };
    assert_eq!(read(super::group(GROUP, Some(group))), Content::Group(Some(group)));
    assert_eq!(read(super::group(GROUP, None)), Content::Group(None));
    let Content::Member(id, Some(read_member)) = read(super::member(GROUP, &classic_member())) else {
        panic!()
    };
    assert_eq!(id, "m1");
    assert_eq!(read_member.classic, classic_member().classic);
    let Content::CurrentMember(_, Some(current)) = read(super::current_member(GROUP, &member())) else {
        panic!()
    };
    assert_eq!((current.assigned, current.revoking), (member().assigned, member().revoking));
    assert_eq!(
        (current.epoch, current.previous_epoch, current.state),
        (5, 4, MemberState::UnrevokedPartitions)
    );
    for tombstone in super::member_tombstones(GROUP, "m1") {
        assert!(matches!(
            read(tombstone),
            Content::Member(_, None) | Content::TargetMember(_, None) | Content::CurrentMember(_, None)
        ));
    }
}
