//! Newer versions against bytes written by the Java client's generated classes.

use bytes::{Bytes, BytesMut};
use kafka_protocol::messages::delete_groups_response::DeletableGroupResult;
use kafka_protocol::messages::describe_log_dirs_response::DescribeLogDirsResult;
use uuid::Uuid;

use super::*;

fn bytes(hex: &str) -> Bytes {
    let digits: Vec<u8> = hex.bytes().filter(u8::is_ascii_hexdigit).collect();
    let byte = |pair: &[u8]| u8::from_str_radix(std::str::from_utf8(pair).unwrap(), 16).unwrap();
    digits.chunks(2).map(byte).collect::<Vec<_>>().into()
}

fn decoded<M: Decodable>(hex: &str, version: i16) -> M {
    let mut body = bytes(hex);
    let message = M::decode(&mut body, version).unwrap();
    assert!(body.is_empty());
    for cut in 0..bytes(hex).len() {
        assert!(M::decode(&mut bytes(hex).slice(..cut), version).is_err(), "cut at {cut}");
    }
    message
}

fn encoded<M: Encodable>(message: &M, version: i16) -> Bytes {
    let mut out = BytesMut::new();
    message.encode(&mut out, version).unwrap();
    assert_eq!(out.len(), message.compute_size(version).unwrap());
    out.freeze()
}

#[test]
fn offsets_name_their_topics_by_id() {
    let id = Uuid::from_u64_pair(1, 2);
    let commit: OffsetCommitRequest = decoded(
        "0267 00000007 026d 00 02 00000000000000010000000000000002 02 00000003 0000000000000009 00000005 0278 00 00 00",
        10,
    );
    let OffsetCommitRequest(commit) = commit;
    assert_eq!((commit.group_id.as_str(), commit.generation_id_or_member_epoch), ("g", 7));
    assert_eq!((commit.member_id.as_str(), commit.group_instance_id), ("m", None));
    let partition = &commit.topics[0].partitions[0];
    assert_eq!(
        (commit.topics[0].topic_id, partition.partition_index, partition.committed_offset),
        (id, 3, 9)
    );
    assert_eq!((partition.committed_leader_epoch, partition.committed_metadata.as_deref()), (5, Some("x")));

    let fetch: OffsetFetchRequest = decoded(
        "03 0267 00 ffffffff 02 00000000000000010000000000000002 03 00000001 00000002 00 00 0268 00 ffffffff 00 00 01 00",
        10,
    );
    let OffsetFetchRequest(fetch) = fetch;
    let topics = fetch.groups[0].topics.as_ref().unwrap();
    assert_eq!((topics[0].topic_id, topics[0].partition_indexes.as_slice()), (id, &[1, 2][..]));
    assert_eq!((fetch.groups[1].group_id.as_str(), &fetch.groups[1].topics), ("h", &None));
    assert!(fetch.require_stable);
}

#[test]
fn markers_and_voters_have_a_field_more() {
    let markers: WriteTxnMarkersRequest =
        decoded("02 0000000000000004 0002 01 02 0274 02 00000001 00 00000006 02 00 00", 2);
    let marker = &markers.common.markers[0];
    assert_eq!((marker.producer_id.0, marker.producer_epoch, marker.transaction_result), (4, 2, true));
    assert_eq!((marker.coordinator_epoch, markers.transaction_versions), (6, vec![2]));
    assert_eq!(marker.topics[0].partition_indexes, [1]);
    let voter: AddRaftVoterRequest =
        decoded("0263 00000005 00000003 00000000000000010000000000000002 02 0243 0268 0009 00 00 00", 1);
    assert_eq!((voter.common.voter_id, voter.common.listeners[0].port), (3, 9));
    assert!(!voter.ack_when_committed);
}

#[test]
fn a_client_says_whom_it_believes_to_talk_to() {
    let versions: ApiVersionsRequest = decoded("0261 0231 0263 00000003 00", 5);
    assert_eq!(versions.common.client_software_name.as_str(), "a");
    assert_eq!((versions.cluster_id.as_deref(), versions.node_id), (Some("c"), 3));
    let older: ApiVersionsRequest = decoded("0261 0231 00", 4);
    assert_eq!((older.cluster_id, older.node_id), (None, -1));
}

#[test]
fn answers_are_those_of_the_java_classes() {
    let result = |dir: &'static str| {
        DescribeLogDirsResult::default().with_log_dir(StrBytes::from_static_str(dir)).with_topics(Vec::new())
    };
    let dirs = vec![result("d").with_total_bytes(8).with_usable_bytes(4), result("e")];
    let dirs = messages::DescribeLogDirsResponse::default().with_results(dirs);
    let expected = "00000000 0000 03 0000 0264 01 0000000000000008 0000000000000004 00 00 \
                    0000 0265 01 ffffffffffffffff ffffffffffffffff 00 00 00";
    assert_eq!(encoded(&DescribeLogDirsResponse(dirs), 5), bytes(expected));
    let group = |id: &'static str| {
        DeletableGroupResult::default().with_group_id(StrBytes::from_static_str(id).into())
    };
    let common = messages::DeleteGroupsResponse::default()
        .with_results(vec![group("g").with_error_code(69), group("h")]);
    let deleted = DeleteGroupsResponse { common, messages: vec![Some(StrBytes::from_static_str("no"))] };
    assert_eq!(encoded(&deleted, 3), bytes("00000000 03 0267 0045 036e6f 00 0268 0000 00 00 00"));
    assert_eq!(encoded(&deleted, 2), bytes("00000000 03 0267 0045 00 0268 0000 00 00"));
}

#[test]
fn counts_that_the_bytes_cannot_hold_are_refused() {
    let mut body = bytes("0267 00000007 026d 00 ffffffff0f");
    assert!(OffsetCommitRequest::decode(&mut body, 10).is_err());
    let mut body = bytes("ffffffffff7f");
    assert!(OffsetFetchRequest::decode(&mut body, 10).is_err());
}

#[test]
fn offsets_of_share_groups_have_a_lag() {
    use messages::describe_share_group_offsets_response::{
        DescribeShareGroupOffsetsResponseGroup, DescribeShareGroupOffsetsResponsePartition,
        DescribeShareGroupOffsetsResponseTopic,
    };
    let partitions = vec![
        DescribeShareGroupOffsetsResponsePartition::default()
            .with_partition_index(3)
            .with_start_offset(4)
            .with_leader_epoch(5),
        DescribeShareGroupOffsetsResponsePartition::default()
            .with_partition_index(7)
            .with_start_offset(-1)
            .with_error_code(3)
            .with_error_message(Some("x".into())),
    ];
    let topic = DescribeShareGroupOffsetsResponseTopic::default()
        .with_topic_name(messages::TopicName("t".into()))
        .with_topic_id(Uuid::from_u64_pair(1, 2))
        .with_partitions(partitions);
    let groups = vec![
        DescribeShareGroupOffsetsResponseGroup::default()
            .with_group_id(messages::GroupId("g".into()))
            .with_topics(vec![topic]),
        DescribeShareGroupOffsetsResponseGroup::default()
            .with_group_id(messages::GroupId("h".into()))
            .with_error_code(16)
            .with_error_message(Some("y".into())),
    ];
    let common = messages::DescribeShareGroupOffsetsResponse::default().with_groups(groups);
    let response = DescribeShareGroupOffsetsResponse { common, lags: vec![6] };
    let expected = "00000000 03 0267 02 0274 00000000000000010000000000000002 03 \
                    00000003 0000000000000004 00000005 0000000000000006 0000 00 00 \
                    00000007 ffffffffffffffff 00000000 ffffffffffffffff 0003 0278 00 00 0000 00 00 \
                    0268 01 0010 0279 00 00";
    assert_eq!(encoded(&response, 1), bytes(expected));
    assert_eq!(encoded(&response, 0), encoded(&response.common, 0));
}

#[test]
fn share_fetches_say_how_much_they_acquire_and_whether_they_renew() {
    let id = Uuid::from_u64_pair(1, 2);
    let fetch: ShareFetchRequest = decoded(
        "0267 026d 00000007 000001f4 00000001 00100000 0000000a 00000005 01 01 \
         02 00000000000000010000000000000002 02 00000003 02 0000000000000004 0000000000000005 03 01 04 00 00 00 \
         02 00000000000000010000000000000002 02 00000006 00 00",
        2,
    );
    assert_eq!((fetch.acquire_mode, fetch.is_renew), (1, true));
    let common = fetch.common;
    assert_eq!((common.share_session_epoch, common.max_wait_ms, common.min_bytes), (7, 500, 1));
    assert_eq!((common.max_bytes, common.max_records, common.batch_size), (1 << 20, 10, 5));
    let partition = &common.topics[0].partitions[0];
    let batch = &partition.acknowledgement_batches[0];
    assert_eq!((common.topics[0].topic_id, partition.partition_index), (id, 3));
    assert_eq!((batch.first_offset, batch.last_offset, &batch.acknowledge_types[..]), (4, 5, &[1, 4][..]));
    assert_eq!(common.forgotten_topics_data[0].partitions, [6]);

    let acknowledge: ShareAcknowledgeRequest = decoded("0267 026d 00000007 01 01 00", 2);
    assert!(acknowledge.is_renew && acknowledge.common.topics.is_empty());
    let older: ShareAcknowledgeRequest = decoded("0267 026d 00000007 01 00", 1);
    assert_eq!((older.is_renew, older.common.share_session_epoch), (false, 7));
    let mut answer = ShareAcknowledgeResponse { acquisition_lock_timeout_ms: 30_000, ..Default::default() };
    answer.common.error_code = 122;
    assert_eq!(encoded(&answer, 1), bytes("00000000 007a 00 01 01 00"));
    assert_eq!(encoded(&answer, 2), bytes("00000000 007a 00 00007530 01 01 00"));
}
