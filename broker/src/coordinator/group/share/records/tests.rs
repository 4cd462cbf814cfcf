//! Records of share groups: bytes as Kafka 4.3.1's own classes print them, and back.

use uuid::Uuid;

use super::{
    Assignment, Content, CoordinatorRecord, GroupValue, ShareMember, ShareRecord, StatePartitions,
    StateTopic, TargetValue,
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

fn assigned() -> Assignment {
    [(topic_id(), [0, 3].into())].into()
}

fn member() -> ShareMember {
    ShareMember {
        rack_id: Some("r".to_owned()),
        client_id: "c".to_owned(),
        client_host: "/127.0.0.1".to_owned(),
        topics: ["a".to_owned(), "b".to_owned()].into(),
        epoch: 5,
        previous_epoch: 4,
        assigned: assigned(),
        ..ShareMember::new("m1".into())
    }
}

fn state() -> StatePartitions {
    let topic = |partitions: &[i32]| {
        let partitions = partitions.iter().copied().collect();
        [(topic_id(), StateTopic { name: "a".to_owned(), partitions, since_ms: 0 })].into()
    };
    StatePartitions {
        initializing: topic(&[1]),
        initialized: topic(&[0, 3]),
        deleting: [(Uuid::from_u64_pair(3, 4), "b".to_owned())].into(),
    }
}

fn golden() -> Vec<(CoordinatorRecord, &'static str, &'static str)> {
    let bare = ShareMember { rack_id: None, topics: [].into(), ..member() };
    vec![
        (
            super::member(GROUP, &member()),
            "000a000367727000026d31",
            "0000027202630b2f3132372e302e302e31030261026200",
        ),
        (super::member(GROUP, &bare), "000a000367727000026d31", "00000002630b2f3132372e302e302e310100"),
        (
            super::group(GROUP, Some(GroupValue { epoch: 5, metadata_hash: 77 })),
            "000b0003677270",
            "000000000005000000000000004d00",
        ),
        (
            super::target(GROUP, Some(TargetValue { epoch: 5, timestamp_ms: 1000 })),
            "000c0003677270",
            "00000000000501000800000000000003e8",
        ),
        (
            super::target_member(GROUP, "m1", &assigned()),
            "000d000367727000026d31",
            "000002000000000000000100000000000000020300000000000000030000",
        ),
        (
            super::current_member(GROUP, &member()),
            "000e000367727000026d31",
            "000000000005000000040002000000000000000100000000000000020300000000000000030000",
        ),
        (
            super::state(GROUP, Some(&state())),
            "000f0003677270",
            "0000020000000000000001000000000000000202610200000001000200000000000000010000000000000002026103000000\
             000000000300020000000000000003000000000000000402620000",
        ),
    ]
}

#[test]
fn records_are_kafkas_bytes() {
    for (record, key, value) in golden() {
        assert_eq!(hex(&record.key), key);
        assert_eq!(hex(record.value.as_ref().unwrap()), value, "{key}");
    }
    let tombstone = super::state(GROUP, None);
    assert_eq!((hex(&tombstone.key).as_str(), tombstone.value), ("000f0003677270", None));
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
        Ok(Record::Share(ShareRecord { group, content })) => {
            assert_eq!(group, GROUP);
            content
        }
        other => panic!("{other:?}"),
    };
    let group = GroupValue { epoch: 5, metadata_hash: -77 };
    assert_eq!(read(super::group(GROUP, Some(group))), Content::Group(Some(group)));
    let Content::Member(id, Some(read_member)) = read(super::member(GROUP, &member())) else { panic!() };
    assert_eq!(
        (id.as_str(), &read_member.topics, &read_member.rack_id),
        ("m1", &member().topics, &member().rack_id)
    );
    let Content::CurrentMember(_, Some(current)) = read(super::current_member(GROUP, &member())) else {
        panic!()
    };
    assert_eq!((current.epoch, current.previous_epoch, current.assigned), (5, 4, assigned()));
    assert_eq!(read(super::state(GROUP, Some(&state()))), Content::State(Some(state())));
    let target = TargetValue { epoch: 5, timestamp_ms: 1000 };
    assert_eq!(read(super::target(GROUP, Some(target))), Content::Target(Some(target)));
    let [current, target, member] = super::member_tombstones(GROUP, "m1").map(read);
    assert_eq!(current, Content::CurrentMember("m1".to_owned(), None));
    assert_eq!(target, Content::TargetMember("m1".to_owned(), None));
    assert_eq!(member, Content::Member("m1".to_owned(), None));
}
