//! Errors in the answers of every version that is served, and of parts of requests.

use protocol::messages::*;
use protocol::{Message, StrBytes};

use super::*;
use crate::api::APIS;

fn target<'a>(only: &'a Only, name_of: &'a dyn Fn(Uuid) -> Option<String>) -> Target<'a> {
    Target { only, name_of, error: ErrorCode::NotLeaderOrFollower }
}

fn topic_name(name: &str) -> TopicName {
    TopicName(StrBytes::from_string(name.to_owned()))
}

fn only(topic: &str, partition: Option<i32>) -> Only {
    Only { topic: Some(topic.to_owned()), partition, group: None }
}

/// A request of `api` in `version`, about topics `t` and `u` where it names any.
fn request(api: &str, version: i16) -> Bytes {
    let topics = ["t", "u"].map(topic_name);
    let by_id = |from: i16| if version >= from { Uuid::from_u128(7) } else { Uuid::nil() };
    let name =
        |name: &TopicName, from: i16| if version >= from { TopicName::default() } else { name.clone() };
    match api {
        "Produce" => {
            use produce_request::{PartitionProduceData, TopicProduceData};
            let topics = topics.iter().map(|topic| {
                let partition = |index| PartitionProduceData::default().with_index(index).with_records(None);
                TopicProduceData::default()
                    .with_name(name(topic, 13))
                    .with_topic_id(by_id(13))
                    .with_partition_data(vec![partition(0), partition(1)])
            });
            encoded(&ProduceRequest::default().with_acks(-1).with_topic_data(topics.collect()), version)
        }
        "OffsetCommit" => {
            use offset_commit_request::{OffsetCommitRequestPartition, OffsetCommitRequestTopic};
            let topics = topics.iter().map(|topic| {
                let partition = |index| OffsetCommitRequestPartition::default().with_partition_index(index);
                OffsetCommitRequestTopic::default()
                    .with_name(name(topic, 10))
                    .with_topic_id(by_id(10))
                    .with_partitions(vec![partition(0), partition(1)])
            });
            let request = OffsetCommitRequest::default().with_topics(topics.collect());
            encoded(&newer::OffsetCommitRequest(request), version)
        }
        "TxnOffsetCommit" => {
            use txn_offset_commit_request::{TxnOffsetCommitRequestPartition, TxnOffsetCommitRequestTopic};
            let topics = topics.map(|topic| {
                let partition =
                    |index| TxnOffsetCommitRequestPartition::default().with_partition_index(index);
                TxnOffsetCommitRequestTopic::default()
                    .with_name(topic)
                    .with_partitions(vec![partition(0), partition(1)])
            });
            encoded(&TxnOffsetCommitRequest::default().with_topics(topics.to_vec()), version)
        }
        "AddPartitionsToTxn" => {
            use add_partitions_to_txn_request::{AddPartitionsToTxnTopic, AddPartitionsToTxnTransaction};
            let topics = topics
                .map(|topic| AddPartitionsToTxnTopic::default().with_name(topic).with_partitions(vec![0, 1]));
            let request = if version < 4 {
                AddPartitionsToTxnRequest::default().with_v3_and_below_topics(topics.to_vec())
            } else {
                let one = AddPartitionsToTxnTransaction::default().with_topics(topics.to_vec());
                AddPartitionsToTxnRequest::default().with_transactions(vec![one])
            };
            encoded(&request, version)
        }
        "CreateTopics" => {
            let topics =
                topics.map(|topic| create_topics_request::CreatableTopic::default().with_name(topic));
            encoded(&CreateTopicsRequest::default().with_topics(topics.to_vec()), version)
        }
        "DeleteTopics" if version < 6 => {
            encoded(&DeleteTopicsRequest::default().with_topic_names(topics.to_vec()), version)
        }
        "DeleteTopics" => {
            let topics =
                topics.map(|topic| delete_topics_request::DeleteTopicState::default().with_name(Some(topic)));
            encoded(&DeleteTopicsRequest::default().with_topics(topics.to_vec()), version)
        }
        other => whole_request(other, version),
    }
}

fn whole_request(api: &str, version: i16) -> Bytes {
    match api {
        "JoinGroup" => encoded(&JoinGroupRequest::default(), version),
        "SyncGroup" => encoded(&SyncGroupRequest::default(), version),
        "Heartbeat" => encoded(&HeartbeatRequest::default(), version),
        "LeaveGroup" => encoded(&LeaveGroupRequest::default(), version),
        "ConsumerGroupHeartbeat" => encoded(&ConsumerGroupHeartbeatRequest::default(), version),
        "ShareGroupHeartbeat" => encoded(&ShareGroupHeartbeatRequest::default(), version),
        "InitProducerId" => encoded(&InitProducerIdRequest::default(), version),
        "AddOffsetsToTxn" => encoded(&AddOffsetsToTxnRequest::default(), version),
        "EndTxn" => encoded(&EndTxnRequest::default(), version),
        other => panic!("{other} is read only"),
    }
}

const READS: [&str; 5] = ["Fetch", "ListOffsets", "Metadata", "FindCoordinator", "OffsetFetch"];

fn every_version(api: &str) -> std::ops::RangeInclusive<i16> {
    let entry = APIS.iter().find(|entry| entry.name() == api).unwrap();
    entry.versions.0..=entry.versions.1
}

#[test]
fn every_shape_is_of_an_api_that_is_served() {
    for shape in SHAPES {
        assert!(APIS.iter().any(|entry| entry.name() == shape.api), "{}", shape.api);
    }
    assert_eq!(names().split(", ").count(), 20);
}

#[test]
fn a_whole_request_is_refused_throttled_and_patched_in_every_version() {
    let everything = Only::default();
    let target = target(&everything, &|_| None);
    for shape in SHAPES.iter().filter(|shape| !READS.contains(&shape.api)) {
        for version in every_version(shape.api) {
            let what = format!("{} {version}", shape.api);
            let refused = (shape.refuse)(&request(shape.api, version), version, &target).expect(&what);
            assert!(refused.rest.is_none(), "{what}");
            let answer = refused.answer.expect(&what);
            let error = target.code().to_be_bytes();
            assert!(answer.windows(2).any(|two| two == error), "{what} says the error");
            assert!((shape.throttle)(&answer, version, 9).is_some(), "{what}");
            assert_eq!(
                (shape.patch)(&answer, version, &target).as_ref(),
                Some(&answer),
                "{what}: says it already"
            );
        }
    }
}

#[test]
fn of_a_request_with_two_topics_one_is_refused_and_the_other_left() {
    let name_of = |id: Uuid| (id == Uuid::from_u128(7)).then(|| "t".to_owned());
    let (of_t, of_t1) = (only("t", None), only("t", Some(1)));
    for api in ["Produce", "OffsetCommit", "TxnOffsetCommit", "CreateTopics", "DeleteTopics"] {
        let shape = shape(api).unwrap();
        let has_partitions = !api.ends_with("Topics");
        for version in every_version(api) {
            // Where topics have ids, both have the same here.
            let is_by_id = matches!((api, version), ("Produce", 13) | ("OffsetCommit", 10));
            let only = if has_partitions { &of_t1 } else { &of_t };
            let target = target(only, &name_of);
            let body = request(api, version);
            let refused = (shape.refuse)(&body, version, &target).unwrap();
            let rest = refused.rest.expect("not all was refused");
            assert!(rest.len() < body.len(), "{api} {version}");
            let again = (shape.refuse)(&rest, version, &target).unwrap();
            assert_eq!(again.rest.as_ref(), Some(&rest), "{api} {version}: nothing is left to refuse");
            if is_by_id {
                continue;
            }
            assert!(rest.windows(1).any(|byte| byte == b"u"), "{api} {version}");
            let joined = (shape.join)(&again.answer.unwrap(), &refused.answer.clone().unwrap(), version);
            assert_eq!(joined, refused.answer, "{api} {version}");
        }
    }
}

#[test]
fn a_partition_that_cannot_be_added_keeps_the_others_out_of_the_transaction() {
    let only = only("t", Some(1));
    let target = target(&only, &|_| None);
    let shape = shape("AddPartitionsToTxn").unwrap();
    let refused = (shape.refuse)(&request("AddPartitionsToTxn", 3), 3, &target).unwrap();
    assert!(refused.rest.is_none());
    let answer = AddPartitionsToTxnResponse::decode(&mut refused.answer.unwrap(), 3).unwrap();
    let codes = answer.results_by_topic_v3_and_below.iter().flat_map(|topic| &topic.results_by_partition);
    let not_attempted = ErrorCode::OperationNotAttempted.code();
    let codes: Vec<i16> = codes.map(|partition| partition.partition_error_code).collect();
    assert_eq!(codes, [not_attempted, target.code(), not_attempted, not_attempted]);
}

#[test]
fn reads_are_answered_with_the_error_in_every_version() {
    let everything = Only::default();
    let target = target(&everything, &|_| None);
    let check = |api: &str, version: i16, answer: Bytes| {
        let shape = shape(api).unwrap();
        let patched = (shape.patch)(&answer, version, &target).unwrap_or_else(|| panic!("{api} {version}"));
        let error = target.code().to_be_bytes();
        assert!(patched.windows(2).any(|two| two == error), "{api} {version} says the error");
        assert!((shape.throttle)(&patched, version, 9).is_some(), "{api} {version}");
    };
    for version in every_version("Fetch") {
        let topic = fetch_response::FetchableTopicResponse::default();
        let topic = topic.with_partitions(vec![fetch_response::PartitionData::default().with_records(None)]);
        check("Fetch", version, encoded(&FetchResponse::default().with_responses(vec![topic]), version));
    }
    for version in every_version("ListOffsets") {
        let topic = list_offsets_response::ListOffsetsTopicResponse::default();
        let topic =
            topic.with_partitions(vec![list_offsets_response::ListOffsetsPartitionResponse::default()]);
        let answer =
            newer::ListOffsetsResponse::from(ListOffsetsResponse::default().with_topics(vec![topic]));
        check("ListOffsets", version, encoded(&answer, version));
    }
    for version in every_version("Metadata") {
        let topic = metadata_response::MetadataResponseTopic::default().with_name(Some(topic_name("t")));
        check("Metadata", version, encoded(&MetadataResponse::default().with_topics(vec![topic]), version));
    }
    for version in every_version("FindCoordinator") {
        let one = find_coordinator_response::Coordinator::default().with_key("g".into());
        let answer = FindCoordinatorResponse::default();
        let answer = if version < 4 { answer.with_port(9) } else { answer.with_coordinators(vec![one]) };
        check("FindCoordinator", version, encoded(&answer, version));
    }
    for version in every_version("OffsetFetch") {
        let answer = OffsetFetchResponse::default();
        let answer = if version < 8 {
            let topic = offset_fetch_response::OffsetFetchResponseTopic::default();
            let topic =
                topic.with_partitions(vec![offset_fetch_response::OffsetFetchResponsePartition::default()]);
            answer.with_topics(vec![topic])
        } else {
            answer.with_groups(vec![offset_fetch_response::OffsetFetchResponseGroup::default()])
        };
        check("OffsetFetch", version, encoded(&answer, version));
    }
    // No keys were asked for: there is nothing to say it of, and nothing fails.
    let empty = encoded(&FindCoordinatorResponse::default(), FindCoordinatorResponse::VERSIONS.max);
    let shape = shape("FindCoordinator").unwrap();
    assert!((shape.patch)(&empty, FindCoordinatorResponse::VERSIONS.max, &target).is_some());
}

#[test]
fn a_fetch_that_is_to_fail_does_not_wait() {
    for version in every_version("Fetch") {
        let request = FetchRequest::default().with_max_wait_ms(500).with_max_bytes(77).with_min_bytes(1);
        let body = without_waiting("Fetch", version, encoded(&request, version));
        let hurried = FetchRequest::decode(&mut body.clone(), version).unwrap();
        assert_eq!((hurried.max_wait_ms, hurried.min_bytes, hurried.max_bytes), (0, 1, 77), "{version}");
    }
}
