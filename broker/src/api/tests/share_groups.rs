//! Share groups (KIP-932) through the whole broker: members and assignments, offsets read, altered and deleted, configs.

use protocol::messages::incremental_alter_configs_request as incremental;
use protocol::messages::*;
use protocol::newer;
use uuid::Uuid;

use super::{Client, topic_name};

fn joining(member: &str) -> ShareGroupHeartbeatRequest {
    ShareGroupHeartbeatRequest::default()
        .with_group_id(GroupId("g".into()))
        .with_member_id(member.to_owned().into())
        .with_subscribed_topic_names(Some(vec![topic_name("t")]))
}

fn staying(member: &str, epoch: i32) -> ShareGroupHeartbeatRequest {
    joining(member).with_member_epoch(epoch).with_subscribed_topic_names(None)
}

fn beat(client: &Client, request: &ShareGroupHeartbeatRequest) -> ShareGroupHeartbeatResponse {
    client.call(ApiKey::ShareGroupHeartbeat, 1, request)
}

fn assigned(response: ShareGroupHeartbeatResponse) -> Vec<(Uuid, Vec<i32>)> {
    assert_eq!(response.error_code, 0, "{:?}", response.error_message);
    let topics = response.assignment.expect("a change is told").topic_partitions;
    topics.into_iter().map(|topic| (topic.topic_id, topic.partitions)).collect()
}

/// No wait between assignments.
fn client() -> Client {
    Client::with_config(&[("group.share.assignment.interval.ms", "0"), ("onelog.flush", "sync")])
}

/// A group that has a state of both partitions of topic `t` and no members.
fn read_and_left(client: &Client) -> Uuid {
    let id = client.create("t", 2, &[]);
    assert_eq!(assigned(beat(client, &joining("m"))), []);
    assert_eq!(assigned(beat(client, &staying("m", 2))), [(id, vec![0, 1])]);
    assert_eq!(beat(client, &staying("m", -1)).error_code, 0);
    id
}

fn alter(client: &Client, topics: &[(&str, &[(i32, i64)])]) -> AlterShareGroupOffsetsResponse {
    use alter_share_group_offsets_request::{
        AlterShareGroupOffsetsRequestPartition, AlterShareGroupOffsetsRequestTopic,
    };
    let partition = |(index, offset): &(i32, i64)| {
        AlterShareGroupOffsetsRequestPartition::default()
            .with_partition_index(*index)
            .with_start_offset(*offset)
    };
    let topic = |(name, partitions): &(&str, &[(i32, i64)])| {
        AlterShareGroupOffsetsRequestTopic::default()
            .with_topic_name(topic_name(name))
            .with_partitions(partitions.iter().map(partition).collect())
    };
    let request = AlterShareGroupOffsetsRequest::default()
        .with_group_id(GroupId("g".into()))
        .with_topics(topics.iter().map(topic).collect());
    client.call(ApiKey::AlterShareGroupOffsets, 0, &request)
}

fn delete_offsets(client: &Client, topics: &[&str]) -> DeleteShareGroupOffsetsResponse {
    use delete_share_group_offsets_request::DeleteShareGroupOffsetsRequestTopic;
    let topic =
        |name: &&str| DeleteShareGroupOffsetsRequestTopic::default().with_topic_name(topic_name(name));
    let request = DeleteShareGroupOffsetsRequest::default()
        .with_group_id(GroupId("g".into()))
        .with_topics(topics.iter().map(topic).collect());
    client.call(ApiKey::DeleteShareGroupOffsets, 0, &request)
}

/// Topic, partition, start offset.
fn offsets(client: &Client, topics: Option<&[(&str, &[i32])]>) -> Vec<(String, i32, i64)> {
    use describe_share_group_offsets_request::{
        DescribeShareGroupOffsetsRequestGroup, DescribeShareGroupOffsetsRequestTopic,
    };
    let topic = |(name, partitions): &(&str, &[i32])| {
        DescribeShareGroupOffsetsRequestTopic::default()
            .with_topic_name(topic_name(name))
            .with_partitions(partitions.to_vec())
    };
    let group = DescribeShareGroupOffsetsRequestGroup::default()
        .with_group_id(GroupId("g".into()))
        .with_topics(topics.map(|topics| topics.iter().map(topic).collect()));
    let request = newer::DescribeShareGroupOffsetsRequest::from(
        DescribeShareGroupOffsetsRequest::default().with_groups(vec![group]),
    );
    let response: DescribeShareGroupOffsetsResponse =
        client.call(ApiKey::DescribeShareGroupOffsets, 0, &request);
    assert_eq!(response.groups[0].error_code, 0);
    let topics = response.groups[0].topics.iter();
    topics
        .flat_map(|topic| {
            let of =
                |it: &describe_share_group_offsets_response::DescribeShareGroupOffsetsResponsePartition| {
                    assert_eq!(it.error_code, 0);
                    (topic.topic_name.to_string(), it.partition_index, it.start_offset)
                };
            topic.partitions.iter().map(of).collect::<Vec<_>>()
        })
        .collect()
}

fn at(topic: &str, partition: i32, offset: i64) -> (String, i32, i64) {
    (topic.to_owned(), partition, offset)
}

fn delete_group(client: &Client) -> i16 {
    let request = DeleteGroupsRequest::default().with_groups_names(vec![GroupId("g".into())]);
    let response: DeleteGroupsResponse = client.call(ApiKey::DeleteGroups, 2, &request);
    response.results[0].error_code
}

#[test]
fn members_share_what_they_subscribe_to_and_are_described() {
    let client = client();
    let id = client.create("t", 2, &[]);
    assert_eq!(assigned(beat(&client, &joining("m"))), []);
    assert_eq!(assigned(beat(&client, &staying("m", 2))), [(id, vec![0, 1])]);
    assert_eq!(assigned(beat(&client, &joining("n"))), [(id, vec![1])]);
    let ids = ["g", "missing", ""].map(|id| GroupId(id.into()));
    let request = ShareGroupDescribeRequest::default()
        .with_group_ids(ids.to_vec())
        .with_include_authorized_operations(true);
    let described: ShareGroupDescribeResponse = client.call(ApiKey::ShareGroupDescribe, 1, &request);
    let [group, missing, nameless] = described.groups.as_slice() else { panic!("{described:?}") };
    assert_eq!((&*group.group_state, group.group_epoch, &*group.assignor_name), ("Stable", 4, "simple"));
    assert_eq!(group.authorized_operations, 3400);
    let member = &group.members[1];
    assert_eq!(member.assignment.topic_partitions[0].partitions, [1]);
    assert_eq!(&*member.assignment.topic_partitions[0].topic_name, "t");
    assert_eq!((&*member.client_id, &*member.client_host), ("tester", "/127.0.0.1"));
    let expected = (69, Some("Group missing not found."));
    assert_eq!((missing.error_code, missing.error_message.as_deref()), expected);
    assert_eq!((nameless.error_code, nameless.error_message.as_deref()), (24, None));
}

#[test]
fn member_ids_are_neither_empty_nor_long() {
    let client = client();
    for (member, code) in [(String::new(), 42), ("m".repeat(37), 42), ("m".repeat(36), 0)] {
        let refused = beat(&client, &joining(&member));
        assert_eq!((refused.error_code, refused.error_message), (code, None), "{member}");
    }
}

#[test]
fn group_and_its_offsets_outlive_a_restart() {
    let mut client = client();
    let id = client.create("t", 2, &[]);
    beat(&client, &joining("m"));
    assert_eq!(assigned(beat(&client, &staying("m", 2))), [(id, vec![0, 1])]);
    client = client.reopened();
    let response = beat(&client, &joining("m").with_member_epoch(3));
    assert_eq!(response.member_epoch, 3);
    assert_eq!(assigned(response), [(id, vec![0, 1])]);
    assert_eq!(beat(&client, &staying("m", -1)).error_code, 0);
    assert_eq!(alter(&client, &[("t", &[(1, 5)])]).responses[0].partitions[0].error_code, 0);
    client = client.reopened();
    assert_eq!(offsets(&client, None), [at("t", 0, -1), at("t", 1, 5)]);
}

#[test]
fn offsets_are_altered_described_and_deleted() {
    let client = client();
    let id = read_and_left(&client);
    client.create("unread", 1, &[]);
    assert_eq!(offsets(&client, None), [at("t", 0, -1), at("t", 1, -1)]);
    let altered = alter(&client, &[("t", &[(1, 7), (2, 0)]), ("nope", &[(0, 0)])]);
    assert_eq!((altered.error_code, altered.error_message), (0, None));
    let [nope, topic] = altered.responses.as_slice() else { panic!("{:?}", altered.responses) };
    let unknown = Some("This server does not host this topic-partition.");
    assert_eq!((nope.topic_id, nope.partitions[0].error_code), (Uuid::nil(), 3));
    assert_eq!(nope.partitions[0].error_message.as_deref(), unknown);
    assert_eq!((topic.topic_id, topic.partitions[0].error_code), (id, 0));
    assert_eq!((topic.partitions[1].error_code, topic.partitions[1].error_message.as_deref()), (3, unknown));
    let asked: &[(&str, &[i32])] = &[("nope", &[0]), ("t", &[1, 0, 9]), ("unread", &[0])];
    let found = [at("t", 1, 7), at("t", 0, -1), at("t", 9, -1), at("unread", 0, -1), at("nope", 0, -1)];
    assert_eq!(offsets(&client, Some(asked)), found);
    let deleted = delete_offsets(&client, &["unread", "t", "nope"]);
    let outcomes: Vec<_> = deleted
        .responses
        .iter()
        .map(|it| (&**it.topic_name, it.error_code, it.error_message.as_deref()))
        .collect();
    let nothing = Some("There is no offset information to delete.");
    assert_eq!(outcomes, [("t", 0, None), ("unread", 3, nothing), ("nope", 3, unknown)]);
    assert_eq!(offsets(&client, None), []);
    assert_eq!(offsets(&client, Some(&[("t", &[1])])), [at("t", 1, -1)]);
}

#[test]
fn group_with_members_keeps_its_offsets_and_one_without_can_be_deleted() {
    let client = client();
    read_and_left(&client);
    alter(&client, &[("t", &[(0, 3)])]);
    beat(&client, &joining("m"));
    let refused = Some("The group is not empty.");
    let altered = alter(&client, &[("t", &[(0, 0)])]);
    assert_eq!((altered.error_code, altered.error_message.as_deref()), (68, refused));
    let deleted = delete_offsets(&client, &["t"]);
    assert_eq!((deleted.error_code, deleted.error_message.as_deref()), (68, refused));
    assert_eq!(delete_group(&client), 68);
    assert_eq!(offsets(&client, None), [at("t", 0, 3), at("t", 1, -1)]);
    assert_eq!(beat(&client, &staying("m", -1)).error_code, 0);
    assert_eq!(delete_group(&client), 0);
    assert_eq!(delete_group(&client), 69);
    assert_eq!(offsets(&client, Some(&[("t", &[0])])), [at("t", 0, -1)], "its state went with it");
    let deleted = delete_offsets(&client, &["t"]);
    assert_eq!((deleted.error_code, deleted.error_message.as_deref()), (69, Some("Group g not found.")));
}

#[test]
fn lag_counts_the_records_from_the_start_offset_on() {
    use describe_share_group_offsets_request::DescribeShareGroupOffsetsRequestGroup;
    let client = client();
    client.create("t", 1, &[]);
    client.fill("t", 0, &["a", "b", "c"]);
    alter(&client, &[("t", &[(0, 1)])]);
    let group =
        DescribeShareGroupOffsetsRequestGroup::default().with_group_id(GroupId("g".into())).with_topics(None);
    let request = newer::DescribeShareGroupOffsetsRequest::from(
        DescribeShareGroupOffsetsRequest::default().with_groups(vec![group]),
    );
    let answer =
        super::finished(client.reply(ApiKey::DescribeShareGroupOffsets, 1, &request)).chunks.concat();
    // Leader epoch 0, lag 2, no error, no message, no tags; no tags of the topic; no error of the group.
    let end =
        [&[0; 4][..], &2_i64.to_be_bytes(), &[0; 4], &[0; 1], &[0; 2], &[0; 1], &[0; 1], &[0; 1]].concat();
    assert!(answer.ends_with(&end), "{answer:?}");
}

#[test]
fn configs_of_a_group_hold_for_its_next_heartbeat() {
    let client = client();
    assert_eq!(beat(&client, &joining("m")).heartbeat_interval_ms, 5000);
    let config = incremental::AlterableConfig::default()
        .with_name("share.heartbeat.interval.ms".into())
        .with_value(Some("6000".into()));
    let group = incremental::AlterConfigsResource::default()
        .with_resource_type(32)
        .with_resource_name("g".into())
        .with_configs(vec![config]);
    let request = IncrementalAlterConfigsRequest::default().with_resources(vec![group]);
    let altered: IncrementalAlterConfigsResponse = client.call(ApiKey::IncrementalAlterConfigs, 1, &request);
    assert_eq!(altered.responses[0].error_code, 0, "{altered:?}");
    assert_eq!(beat(&client, &staying("m", 2)).heartbeat_interval_ms, 6000);
}

#[test]
fn deleted_topic_takes_the_offsets_with_it() {
    let client = client();
    read_and_left(&client);
    let delete = DeleteTopicsRequest::default().with_topic_names(vec![topic_name("t")]);
    let deleted: DeleteTopicsResponse = client.call(ApiKey::DeleteTopics, 5, &delete);
    assert_eq!(deleted.responses[0].error_code, 0);
    assert_eq!(offsets(&client, None), []);
}

#[test]
fn share_version_is_a_finalized_feature_and_share_partitions_have_a_coordinator() {
    let client = client();
    let request = ApiVersionsRequest::default()
        .with_client_software_name("a".into())
        .with_client_software_version("1".into());
    let response: ApiVersionsResponse = client.call(ApiKey::ApiVersions, 4, &request);
    let finalized = response.finalized_features.iter().find(|feature| &*feature.name == "share.version");
    assert_eq!(finalized.map(|feature| feature.max_version_level), Some(1));
    let find = FindCoordinatorRequest::default()
        .with_key_type(2)
        .with_coordinator_keys(vec!["g:AAAAAAAAAAAAAAAAAAAAAg:0".into()]);
    let found: FindCoordinatorResponse = client.call(ApiKey::FindCoordinator, 6, &find);
    assert_eq!((found.coordinators[0].error_code, &*found.coordinators[0].host), (0, "broker.example"));
}
