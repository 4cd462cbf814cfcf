//! Every version of the encoder against the decoder of the crate, field by field.

use super::*;
use kafka_protocol::messages::FetchResponse as Theirs;
use kafka_protocol::protocol::Decodable;
use proptest::prelude::*;

fn decode(version: i16, chunks: &[Bytes]) -> Theirs {
    let mut body = Bytes::from(chunks.concat());
    let decoded = Theirs::decode(&mut body, version).unwrap();
    assert!(body.is_empty(), "v{version} leaves {} bytes", body.len());
    decoded
}

fn name(text: &str) -> StrBytes {
    StrBytes::from_string(text.to_owned())
}

/// Everything set, in two topics: one with data and a moved leader, one with an error and nothing else.
fn full_response() -> FetchResponse {
    let full = FetchedPartition {
        partition_index: 3,
        error_code: ErrorCode::None,
        high_watermark: 1 << 40,
        last_stable_offset: 900,
        log_start_offset: 5,
        diverging_epoch: Some(EpochEndOffset { epoch: 4, end_offset: 77 }),
        current_leader: Some(LeaderIdAndEpoch { leader_id: 2, leader_epoch: 6 }),
        aborted_transactions: Some(vec![
            AbortedTransaction { producer_id: 1000, first_offset: 10 },
            AbortedTransaction { producer_id: 1001, first_offset: 20 },
        ]),
        preferred_read_replica: 9,
        records: vec![Bytes::from(vec![1; 300]), Bytes::new(), Bytes::from(vec![2; 70_000])],
    };
    let failed = FetchedPartition {
        partition_index: 1,
        error_code: ErrorCode::NotLeaderOrFollower,
        ..FetchedPartition::default()
    };
    let topic =
        |text, partitions| FetchedTopic { name: name(text), topic_id: Uuid::from_u128(7), partitions };
    FetchResponse {
        throttle_time_ms: 11,
        error_code: ErrorCode::FetchSessionIdNotFound,
        session_id: 99,
        topics: vec![topic("orders", vec![full, failed.clone()]), topic("t", vec![failed])],
        node_endpoints: vec![
            NodeEndpoint { node_id: 2, host: name("broker-2.example"), port: 9092, rack: Some(name("r1")) },
            NodeEndpoint { node_id: 3, host: name(""), port: 1, rack: None },
        ],
    }
}

fn assert_same(version: i16, ours: &FetchResponse, theirs: &Theirs) {
    assert_eq!(theirs.throttle_time_ms, ours.throttle_time_ms);
    let (error, session) = if version >= 7 { (ours.error_code.code(), ours.session_id) } else { (0, 0) };
    assert_eq!((theirs.error_code, theirs.session_id), (error, session), "v{version}");
    assert_eq!(theirs.responses.len(), ours.topics.len());
    for (theirs, ours) in theirs.responses.iter().zip(&ours.topics) {
        if version >= 13 {
            assert_eq!((theirs.topic_id, theirs.topic.as_str()), (ours.topic_id, ""));
        } else {
            assert_eq!((theirs.topic_id, theirs.topic.as_str()), (Uuid::nil(), ours.name.as_str()));
        }
        assert_eq!(theirs.partitions.len(), ours.partitions.len());
        for (theirs, ours) in theirs.partitions.iter().zip(&ours.partitions) {
            assert_same_partition(version, ours, theirs);
        }
    }
    let endpoints: Vec<NodeEndpoint> = theirs
        .node_endpoints
        .iter()
        .map(|node| NodeEndpoint {
            node_id: node.node_id.0,
            host: node.host.clone(),
            port: node.port,
            rack: node.rack.clone(),
        })
        .collect();
    let expected = if version >= 16 { ours.node_endpoints.as_slice() } else { &[] };
    assert_eq!(endpoints, expected, "v{version}");
}

fn assert_same_partition(
    version: i16,
    ours: &FetchedPartition,
    theirs: &kafka_protocol::messages::fetch_response::PartitionData,
) {
    assert_eq!(theirs.partition_index, ours.partition_index);
    assert_eq!(theirs.error_code, ours.error_code.code());
    assert_eq!(theirs.high_watermark, ours.high_watermark);
    assert_eq!(theirs.last_stable_offset, ours.last_stable_offset);
    assert_eq!(theirs.log_start_offset, if version >= 5 { ours.log_start_offset } else { -1 });
    let replica = if version >= 11 { ours.preferred_read_replica } else { -1 };
    assert_eq!(theirs.preferred_read_replica.0, replica);
    let aborted = theirs.aborted_transactions.as_ref().map(|list| {
        list.iter()
            .map(|one| AbortedTransaction { producer_id: one.producer_id.0, first_offset: one.first_offset })
            .collect::<Vec<_>>()
    });
    assert_eq!(aborted, ours.aborted_transactions);
    let none = (-1, -1);
    let diverging = ours.diverging_epoch.filter(|_| version >= 12);
    let diverging = diverging.map_or((-1, -1), |epoch| (epoch.epoch, epoch.end_offset));
    assert_eq!((theirs.diverging_epoch.epoch, theirs.diverging_epoch.end_offset), diverging);
    let leader = ours.current_leader.filter(|_| version >= 12);
    let leader = leader.map_or(none, |leader| (leader.leader_id, leader.leader_epoch));
    assert_eq!((theirs.current_leader.leader_id.0, theirs.current_leader.leader_epoch), leader);
    assert_eq!(theirs.records.as_deref(), Some(&ours.records.concat()[..]), "never null");
}

#[test]
fn codec_crate_reads_every_field_in_every_version() {
    let response = full_response();
    for version in 4..=18 {
        assert_same(version, &response, &decode(version, &encode(version, &response)));
    }
}

#[test]
fn empty_response_is_one_chunk_that_the_crate_reads() {
    let response = FetchResponse::default();
    for version in 4..=18 {
        let chunks = encode(version, &response);
        assert_eq!(chunks.len(), 1);
        assert_same(version, &response, &decode(version, &chunks));
    }
}

#[test]
fn record_slices_are_handed_on_without_a_copy() {
    let response = full_response();
    for version in 4..=18 {
        let chunks = encode(version, &response);
        for slice in response.topics[0].partitions[0].records.iter().filter(|slice| !slice.is_empty()) {
            let passed = chunks.iter().filter(|chunk| chunk.as_ptr() == slice.as_ptr());
            assert_eq!(passed.map(Bytes::len).collect::<Vec<_>>(), [slice.len()]);
        }
        assert!(chunks.iter().all(|chunk| !chunk.is_empty()));
    }
}

fn partitions() -> impl Strategy<Value = FetchedPartition> {
    let aborted = (any::<i64>(), any::<i64>())
        .prop_map(|(producer_id, first_offset)| AbortedTransaction { producer_id, first_offset });
    let ids = (any::<i32>(), 0..ErrorCode::ALL.len(), any::<i64>(), any::<i64>(), any::<i64>(), any::<i32>());
    let tags = (any::<Option<(i32, i64)>>(), any::<Option<(i32, i32)>>());
    let aborted = prop::option::of(prop::collection::vec(aborted, 0..200));
    let records = prop::collection::vec(prop::collection::vec(any::<u8>(), 0..300), 0..4);
    (ids, tags, aborted, records).prop_map(|(ids, (diverging, leader), aborted_transactions, records)| {
        FetchedPartition {
            partition_index: ids.0,
            error_code: ErrorCode::ALL[ids.1],
            high_watermark: ids.2,
            last_stable_offset: ids.3,
            log_start_offset: ids.4,
            preferred_read_replica: ids.5,
            diverging_epoch: diverging.map(|(epoch, end_offset)| EpochEndOffset { epoch, end_offset }),
            current_leader: leader
                .map(|(leader_id, leader_epoch)| LeaderIdAndEpoch { leader_id, leader_epoch }),
            aborted_transactions,
            records: records.into_iter().map(Bytes::from).collect(),
        }
    })
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    #[test]
    fn any_response_reads_back_in_any_version(
        version in 4_i16..=18,
        partitions in prop::collection::vec(partitions(), 0..140),
        text in "[a-zA-Z0-9._-]{0,249}",
        id: u128,
        host in "[a-z.]{0,200}",
    ) {
        let topic = FetchedTopic { name: name(&text), topic_id: Uuid::from_u128(id), partitions };
        let endpoint = NodeEndpoint { node_id: 1, host: name(&host), port: 9092, rack: None };
        let response =
            FetchResponse { topics: vec![topic], node_endpoints: vec![endpoint], ..FetchResponse::default() };
        assert_same(version, &response, &decode(version, &encode(version, &response)));
    }
}
