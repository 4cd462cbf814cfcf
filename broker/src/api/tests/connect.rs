//! What happens before the first record: versions, refusals, metadata.

use protocol::ErrorCode;
use protocol::messages::metadata_request::MetadataRequestTopic;
use protocol::messages::{
    ApiKey, ApiVersionsRequest, ApiVersionsResponse, DescribeClusterRequest, DescribeClusterResponse,
    InitProducerIdRequest, InitProducerIdResponse, MetadataRequest, MetadataResponse,
};
use uuid::Uuid;

use super::{Client, decoded, finished, topic_name};
use crate::api::{APIS, Reply};

#[test]
fn a_newer_api_versions_is_answered_in_version_zero_with_our_own_range() {
    let client = Client::new();
    // What the body holds does not matter here.
    for version in [6, 99, i16::MAX, -1] {
        let answer = client.send(ApiKey::ApiVersions, version, &[0xff; 9]).unwrap();
        let Reply::Now(response) = answer.reply else { panic!("not at once") };
        // Error 35, one key: 18 with versions 0 to 5. No throttle time, no tags.
        let expected = [0, 35, 0, 0, 0, 1, 0, 18, 0, 0, 0, 5];
        assert_eq!(response.chunks.concat(), expected);
        assert_eq!(answer.header.len(), 4);
    }
}

#[test]
fn api_versions_names_the_table_in_order_of_keys() {
    let client = Client::new();
    let request = ApiVersionsRequest::default()
        .with_client_software_name("tester".into())
        .with_client_software_version("1.0".into());
    let response: ApiVersionsResponse = client.call(ApiKey::ApiVersions, 4, &request);
    assert_eq!((response.error_code, response.api_keys.len()), (0, APIS.len()));
    let range = |key: ApiKey| {
        let found = response.api_keys.iter().find(|api| api.api_key == key as i16).unwrap();
        (found.min_version, found.max_version)
    };
    assert_eq!(range(ApiKey::Produce), (0, 13));
    assert_eq!(range(ApiKey::Fetch), (4, 18));
    assert_eq!(range(ApiKey::InitProducerId), (0, 5), "version 6 cannot be decoded");
    assert!(response.api_keys.is_sorted_by_key(|api| api.api_key));
    let (name, version) = client.connection.software.get().unwrap();
    assert_eq!((name.as_str(), version.as_str()), ("tester", "1.0"));
}

#[test]
fn api_versions_of_a_nameless_client_is_an_invalid_request_in_its_own_version() {
    let client = Client::new();
    let request = ApiVersionsRequest::default().with_client_software_name("-".into());
    let response: ApiVersionsResponse = client.call(ApiKey::ApiVersions, 3, &request);
    assert_eq!(response.error_code, ErrorCode::InvalidRequest.code());
    assert!(response.api_keys.is_empty());
    let response: ApiVersionsResponse = client.call(ApiKey::ApiVersions, 2, &ApiVersionsRequest::default());
    assert_eq!(response.error_code, 0, "older versions have no name");
}

#[test]
fn what_cannot_be_answered_is_refused_with_a_reason() {
    let client = Client::new();
    let reason = |key, version, body: &[u8]| client.send(key, version, body).unwrap_err().reason;
    assert_eq!(reason(ApiKey::Produce, 2, &[]), "Produce version 2 is not served, only 3 to 13");
    assert_eq!(reason(ApiKey::Vote, 0, &[]), "api key 52 (version 0) is not served");
    assert!(reason(ApiKey::Metadata, 1, &[0x7f, 0xff, 0xff, 0xff]).contains("count 2147483647"));
    assert!(reason(ApiKey::Metadata, 1, &[0, 0]).contains("body ends inside the field"));
    let short = super::dispatch(&client.broker, &client.connection, bytes::Bytes::from_static(&[0, 18]));
    assert!(short.is_err());
}

#[test]
fn bytes_behind_the_last_field_are_ignored_as_kafka_does() {
    let client = Client::new();
    client.create("a", 1, &[]);
    // What librdkafka 2.16 sends to list all topics.
    let answer = client.send(ApiKey::Metadata, 13, &[0, 0, 0, 0, 1, 0, 0]).unwrap();
    let response: MetadataResponse = decoded(finished(answer.reply), 13);
    assert_eq!((response.error_code, response.topics.len()), (0, 1));
}

fn named(name: &str) -> MetadataRequestTopic {
    MetadataRequestTopic::default().with_name(Some(topic_name(name)))
}

fn metadata(client: &Client, version: i16, topics: Option<Vec<MetadataRequestTopic>>) -> MetadataResponse {
    let request = MetadataRequest::default().with_topics(topics).with_allow_auto_topic_creation(true);
    client.call(ApiKey::Metadata, version, &request)
}

#[test]
fn an_empty_list_of_topics_is_all_in_version_zero_and_none_later() {
    let client = Client::new();
    client.create("a", 1, &[]);
    assert_eq!(metadata(&client, 0, Some(Vec::new())).topics.len(), 1);
    assert_eq!(metadata(&client, 1, Some(Vec::new())).topics.len(), 0);
    assert_eq!(metadata(&client, 1, None).topics.len(), 1);
    assert_eq!(metadata(&client, 13, None).topics.len(), 1);
}

#[test]
fn metadata_names_this_broker_as_leader_and_controller() {
    let client = Client::with_config(&[("node.id", "7"), ("broker.rack", "r1")]);
    let id = client.create("a", 2, &[]);
    let response = metadata(&client, 13, None);
    let broker = &response.brokers[0];
    assert_eq!((broker.node_id.0, broker.host.as_str(), broker.port), (7, "broker.example", 9092));
    assert_eq!(broker.rack.as_deref(), Some("r1"));
    assert_eq!((response.controller_id.0, response.error_code), (7, 0));
    assert_eq!(response.cluster_id.as_deref(), Some(client.broker.cluster_id.as_str()));
    let topic = &response.topics[0];
    assert_eq!((topic.topic_id, topic.partitions.len()), (id, 2));
    assert_eq!(topic.topic_authorized_operations, i32::MIN);
    let partition = &topic.partitions[1];
    assert_eq!((partition.partition_index, partition.leader_id.0, partition.error_code), (1, 7, 0));
    assert_eq!(partition.isr_nodes, partition.replica_nodes);
    assert!(partition.leader_epoch >= 0);
}

#[test]
fn a_topic_asked_for_by_name_is_created_and_in_the_same_answer() {
    let client = Client::with_config(&[("num.partitions", "3")]);
    let topic = metadata(&client, 9, Some(vec![named("fresh")])).topics.remove(0);
    assert_eq!((topic.error_code, topic.partitions.len()), (0, 3));
    let forbidden = MetadataRequest::default()
        .with_topics(Some(vec![named("other")]))
        .with_allow_auto_topic_creation(false);
    let response: MetadataResponse = client.call(ApiKey::Metadata, 9, &forbidden);
    assert_eq!(response.topics[0].error_code, ErrorCode::UnknownTopicOrPartition.code());
    let client = Client::with_config(&[("auto.create.topics.enable", "false")]);
    let topic = metadata(&client, 9, Some(vec![named("fresh")])).topics.remove(0);
    assert_eq!(topic.error_code, ErrorCode::UnknownTopicOrPartition.code());
}

#[test]
fn bad_names_are_an_error_of_their_topic_alone() {
    let client = Client::new();
    let response =
        metadata(&client, 9, Some(vec![named("a b"), named("good"), named("go.od"), named("go_od")]));
    let codes: Vec<i16> = response.topics.iter().map(|topic| topic.error_code).collect();
    assert_eq!(codes, [17, 0, 0, 3], "as in Kafka a colliding name is just not there");
}

#[test]
fn a_topic_is_answered_once_and_names_do_not_count_beside_an_id() {
    let client = Client::new();
    let id = client.create("a", 1, &[]);
    assert_eq!(metadata(&client, 9, Some(vec![named("a"), named("a")])).topics.len(), 1);
    let both =
        vec![named("a"), named("b"), MetadataRequestTopic::default().with_name(None).with_topic_id(id)];
    let topics = metadata(&client, 12, Some(both)).topics;
    assert_eq!((topics.len(), topics[0].name.clone()), (1, Some(topic_name("a"))));
    let nameless = metadata(&client, 12, Some(vec![MetadataRequestTopic::default().with_name(None)]));
    assert_eq!(
        (nameless.topics[0].error_code, nameless.brokers.len(), nameless.controller_id.0),
        (-1, 0, -1)
    );
}

#[test]
fn what_the_client_may_do_is_told_when_it_asks() {
    let client = Client::new();
    client.create("a", 1, &[]);
    let request = MetadataRequest::default()
        .with_topics(Some(vec![named("a"), named("a b")]))
        .with_include_topic_authorized_operations(true)
        .with_include_cluster_authorized_operations(true);
    let response: MetadataResponse = client.call(ApiKey::Metadata, 9, &request);
    let told: Vec<i32> = response.topics.iter().map(|topic| topic.topic_authorized_operations).collect();
    assert_eq!((told, response.cluster_authorized_operations), (vec![3576, 3576], 8096));
    let request = DescribeClusterRequest::default().with_include_cluster_authorized_operations(true);
    let response: DescribeClusterResponse = client.call(ApiKey::DescribeCluster, 0, &request);
    assert_eq!(response.cluster_authorized_operations, 8096);
}

#[test]
fn ids_are_for_version_twelve_and_unknown_ones_are_told_apart_from_names() {
    let client = Client::new();
    let id = client.create("a", 1, &[]);
    let by_id = |id| MetadataRequestTopic::default().with_name(None).with_topic_id(id);
    let found = metadata(&client, 12, Some(vec![by_id(id)])).topics.remove(0);
    assert_eq!((found.name, found.error_code), (Some(topic_name("a")), 0));
    let unknown = metadata(&client, 12, Some(vec![by_id(Uuid::max())])).topics.remove(0);
    assert_eq!((unknown.error_code, unknown.name, unknown.topic_id), (100, None, Uuid::max()));
    let early = metadata(&client, 10, Some(vec![named("a").with_topic_id(id)])).topics.remove(0);
    assert_eq!(early.error_code, ErrorCode::InvalidRequest.code());
}

#[test]
fn the_offsets_topic_is_internal_and_has_its_own_shape() {
    let client = Client::new();
    let topic = metadata(&client, 9, Some(vec![named("__consumer_offsets")])).topics.remove(0);
    assert_eq!((topic.error_code, topic.is_internal, topic.partitions.len()), (0, true, 3));
    let configs = client.broker.store.topic("__consumer_offsets").unwrap().configs();
    assert_eq!(configs.get("cleanup.policy").map(String::as_str), Some("compact"));
}

#[test]
fn describe_cluster_answers_for_brokers_only() {
    let client = Client::new();
    let call = |endpoint_type| -> DescribeClusterResponse {
        client.call(
            ApiKey::DescribeCluster,
            2,
            &DescribeClusterRequest::default().with_endpoint_type(endpoint_type),
        )
    };
    let response = call(1);
    assert_eq!((response.error_code, response.brokers.len(), response.controller_id.0), (0, 1, 0));
    assert_eq!(response.cluster_id.as_str(), client.broker.cluster_id);
    assert_eq!(call(2).error_code, ErrorCode::MismatchedEndpointType.code());
    assert_eq!(call(3).error_code, ErrorCode::UnsupportedEndpointType.code());
}

#[test]
fn producer_ids_are_handed_out_once() {
    let client = Client::new();
    let call = || -> InitProducerIdResponse {
        let request = InitProducerIdRequest::default().with_transaction_timeout_ms(1000);
        client.call(ApiKey::InitProducerId, 4, &request.with_transactional_id(None))
    };
    let (first, second) = (call(), call());
    assert_eq!((first.error_code, first.producer_epoch), (0, 0));
    assert_ne!(first.producer_id, second.producer_id);
}
