//! Consumer groups (KIP-848) through the whole broker: topics made after the coordinator started, both APIs in both versions.

use protocol::messages::incremental_alter_configs_request as incremental;
use protocol::messages::*;
use uuid::Uuid;

use super::{Client, topic_name};

fn joining(member: &str) -> ConsumerGroupHeartbeatRequest {
    ConsumerGroupHeartbeatRequest::default()
        .with_group_id(GroupId("g".into()))
        .with_member_id(member.to_owned().into())
        .with_rebalance_timeout_ms(60_000)
        .with_subscribed_topic_names(Some(vec![topic_name("t")]))
        .with_topic_partitions(Some(Vec::new()))
}

fn beat(
    client: &Client,
    version: i16,
    request: &ConsumerGroupHeartbeatRequest,
) -> ConsumerGroupHeartbeatResponse {
    client.call(ApiKey::ConsumerGroupHeartbeat, version, request)
}

fn assigned(response: ConsumerGroupHeartbeatResponse) -> Vec<(Uuid, Vec<i32>)> {
    assert_eq!(response.error_code, 0, "{:?}", response.error_message);
    let topics = response.assignment.expect("a change is told").topic_partitions;
    topics.into_iter().map(|topic| (topic.topic_id, topic.partitions)).collect()
}

#[test]
fn member_follows_a_topic_that_is_made_grows_and_goes() {
    let client = Client::with_config(&[("group.consumer.assignment.interval.ms", "0")]);
    assert_eq!(assigned(beat(&client, 1, &joining("m"))), []);
    let id = client.create("t", 2, &[]);
    let staying = |epoch| {
        let request = joining("m").with_member_epoch(epoch).with_rebalance_timeout_ms(-1);
        request.with_subscribed_topic_names(None).with_topic_partitions(None)
    };
    assert_eq!(assigned(beat(&client, 1, &staying(2))), [(id, vec![0, 1])]);
    let more = create_partitions_request::CreatePartitionsTopic::default()
        .with_name(topic_name("t"))
        .with_count(3)
        .with_assignments(None);
    let grow = CreatePartitionsRequest::default().with_topics(vec![more]);
    let grown: CreatePartitionsResponse = client.call(ApiKey::CreatePartitions, 3, &grow);
    assert_eq!(grown.results[0].error_code, 0);
    assert_eq!(assigned(beat(&client, 1, &staying(3))), [(id, vec![0, 1, 2])]);
    let delete = DeleteTopicsRequest::default().with_topic_names(vec![topic_name("t")]);
    let deleted: DeleteTopicsResponse = client.call(ApiKey::DeleteTopics, 5, &delete);
    assert_eq!(deleted.responses[0].error_code, 0);
    assert_eq!(assigned(beat(&client, 1, &staying(4).with_topic_partitions(Some(Vec::new())))), []);
}

#[test]
fn both_versions_are_answered_and_version_zero_gives_the_member_an_id() {
    let client = Client::new();
    let id = client.create("t", 1, &[]);
    let given = beat(&client, 0, &joining(""));
    assert_eq!(given.member_id.as_ref().map(|id| id.len()), Some(22), "as Kafka writes ids");
    assert_eq!(assigned(given), [(id, vec![0])]);
    let refused = beat(&client, 1, &joining(""));
    assert_eq!(
        (refused.error_code, refused.error_message.as_deref()),
        (42, Some("MemberId can't be empty."))
    );
    for version in [0, 1] {
        let ids = ["g", "missing"].map(|id| GroupId(id.into()));
        let request = ConsumerGroupDescribeRequest::default().with_group_ids(ids.to_vec());
        let described: ConsumerGroupDescribeResponse =
            client.call(ApiKey::ConsumerGroupDescribe, version, &request);
        let [group, missing] = described.groups.as_slice() else { panic!("{described:?}") };
        assert_eq!((&*group.group_state, group.group_epoch, &*group.assignor_name), ("Stable", 2, "uniform"));
        let member = &group.members[0];
        assert_eq!(member.assignment.topic_partitions[0].partitions, [0]);
        assert_eq!((&*member.client_id, &*member.client_host), ("tester", "/127.0.0.1"));
        assert_eq!(member.member_type, if version == 0 { -1 } else { 1 });
        let expected = (69, Some("Group missing not found."));
        assert_eq!((missing.error_code, missing.error_message.as_deref()), expected);
    }
}

#[test]
fn group_outlives_a_restart() {
    let mut client = Client::with_config(&[("onelog.flush", "sync")]);
    let id = client.create("t", 1, &[]);
    assert_eq!(assigned(beat(&client, 1, &joining("m"))), [(id, vec![0])]);
    client = client.reopened();
    let staying = joining("m").with_member_epoch(2).with_topic_partitions(Some(Vec::new()));
    let response = beat(&client, 1, &staying);
    assert_eq!(response.member_epoch, 2);
    assert_eq!(assigned(response), [(id, vec![0])]);
}

#[test]
fn protocol_that_is_switched_off_is_an_unsupported_version() {
    let client = Client::with_config(&[("group.coordinator.rebalance.protocols", "classic")]);
    assert_eq!(beat(&client, 1, &joining("m")).error_code, 35);
}

#[test]
fn group_version_is_a_finalized_feature_from_version_three_on() {
    let client = Client::new();
    let request = ApiVersionsRequest::default()
        .with_client_software_name("a".into())
        .with_client_software_version("1".into());
    let response: ApiVersionsResponse = client.call(ApiKey::ApiVersions, 4, &request);
    let finalized = response.finalized_features.iter().find(|feature| &*feature.name == "group.version");
    assert_eq!(finalized.map(|feature| feature.max_version_level), Some(1));
    let old: ApiVersionsResponse = client.call(ApiKey::ApiVersions, 2, &ApiVersionsRequest::default());
    assert!(old.finalized_features.is_empty());
}

#[test]
fn configs_of_a_group_hold_for_its_next_heartbeat() {
    let client = Client::new();
    assert_eq!(beat(&client, 1, &joining("m")).heartbeat_interval_ms, 5000);
    let config = incremental::AlterableConfig::default()
        .with_name("consumer.heartbeat.interval.ms".into())
        .with_value(Some("6000".into()));
    let group = incremental::AlterConfigsResource::default()
        .with_resource_type(32)
        .with_resource_name("g".into())
        .with_configs(vec![config]);
    let request = IncrementalAlterConfigsRequest::default().with_resources(vec![group]);
    let altered: IncrementalAlterConfigsResponse = client.call(ApiKey::IncrementalAlterConfigs, 1, &request);
    assert_eq!(altered.responses[0].error_code, 0, "{altered:?}");
    let staying = joining("m").with_member_epoch(2);
    assert_eq!(beat(&client, 1, &staying).heartbeat_interval_ms, 6000);
}
