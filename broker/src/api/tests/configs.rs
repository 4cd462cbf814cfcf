//! Describing and changing configs.

use std::sync::Arc;
use std::time::Duration;

use protocol::ErrorCode;
use protocol::StrBytes;
use protocol::messages::alter_configs_request as replace;
use protocol::messages::describe_configs_request::DescribeConfigsResource;
use protocol::messages::describe_configs_response::{DescribeConfigsResourceResult, DescribeConfigsResult};
use protocol::messages::incremental_alter_configs_request as incremental;
use protocol::messages::{
    AlterConfigsRequest, AlterConfigsResponse, ApiKey, DescribeConfigsRequest, DescribeConfigsResponse,
    IncrementalAlterConfigsRequest, IncrementalAlterConfigsResponse,
};

use super::Client;
use crate::topic_config;

const TOPIC: i8 = 2;
const BROKER: i8 = 4;
const BROKER_LOGGER: i8 = 8;
const CLIENT_METRICS: i8 = 16;
const GROUP: i8 = 32;
const SET: i8 = 0;
const DELETE: i8 = 1;
const APPEND: i8 = 2;

fn describe(client: &Client, kind: i8, name: &'static str, keys: &[&'static str]) -> DescribeConfigsResult {
    let keys = keys.iter().map(|key| StrBytes::from_static_str(key)).collect();
    let resource = DescribeConfigsResource::default()
        .with_resource_type(kind)
        .with_resource_name(name.into())
        .with_configuration_keys(Some(keys));
    let request =
        DescribeConfigsRequest::default().with_resources(vec![resource]).with_include_synonyms(true);
    let mut response: DescribeConfigsResponse = client.call(ApiKey::DescribeConfigs, 4, &request);
    response.results.remove(0)
}

fn one(client: &Client, kind: i8, name: &'static str, key: &'static str) -> DescribeConfigsResourceResult {
    let mut result = describe(client, kind, name, &[key]);
    assert_eq!((result.error_code, result.configs.len()), (0, 1), "{:?}", result.error_message);
    result.configs.remove(0)
}

type Operation = (&'static str, i8, Option<&'static str>);

fn resource(kind: i8, name: &'static str, operations: &[Operation]) -> incremental::AlterConfigsResource {
    let configs = operations.iter().map(|(key, operation, value)| {
        incremental::AlterableConfig::default()
            .with_name((*key).into())
            .with_config_operation(*operation)
            .with_value(value.map(StrBytes::from_static_str))
    });
    incremental::AlterConfigsResource::default()
        .with_resource_type(kind)
        .with_resource_name(name.into())
        .with_configs(configs.collect())
}

fn alter_all(
    client: &Client,
    validate_only: bool,
    resources: Vec<incremental::AlterConfigsResource>,
) -> Vec<(i16, String)> {
    let request =
        IncrementalAlterConfigsRequest::default().with_resources(resources).with_validate_only(validate_only);
    let response: IncrementalAlterConfigsResponse = client.call(ApiKey::IncrementalAlterConfigs, 1, &request);
    let outcome =
        |answer: &protocol::messages::incremental_alter_configs_response::AlterConfigsResourceResponse| {
            (answer.error_code, answer.error_message.as_deref().unwrap_or_default().to_owned())
        };
    response.responses.iter().map(outcome).collect()
}

fn alter(client: &Client, kind: i8, name: &'static str, operations: &[Operation]) -> (i16, String) {
    alter_all(client, false, vec![resource(kind, name, operations)]).remove(0)
}

#[test]
fn a_topics_config_shows_value_source_type_and_synonyms() {
    let client = Client::with_config(&[("log.retention.hours", "1")]);
    client.create("t", 1, &[("max.message.bytes", "500")]);
    let own = one(&client, TOPIC, "t", "max.message.bytes");
    assert_eq!(
        (own.value.as_deref(), own.config_source, own.config_type, own.read_only),
        (Some("500"), 1, 3, false)
    );
    let synonyms: Vec<(&str, Option<&str>, i8)> = own
        .synonyms
        .iter()
        .map(|synonym| (synonym.name.as_str(), synonym.value.as_deref(), synonym.source))
        .collect();
    assert_eq!(synonyms, [("max.message.bytes", Some("500"), 1), ("message.max.bytes", Some("1048588"), 5)]);
    let fixed = one(&client, TOPIC, "t", "retention.ms");
    // As Kafka, which names no source when the strongest of the broker's keys, log.retention.ms, is not set.
    assert_eq!((fixed.value.as_deref(), fixed.config_source), (Some("3600000"), 5));
    let default = one(&client, TOPIC, "t", "min.cleanable.dirty.ratio");
    assert_eq!((default.value.as_deref(), default.config_source, default.config_type), (Some("0.5"), 5, 6));
    assert_eq!(describe(&client, TOPIC, "t", &[]).configs.len(), 34);
}

#[test]
fn resources_that_are_not_there_are_errors_of_their_own() {
    let client = Client::new();
    let code = |kind, name| describe(&client, kind, name, &[]).error_code;
    assert_eq!(code(TOPIC, "missing"), ErrorCode::UnknownTopicOrPartition.code());
    assert_eq!(code(TOPIC, "a b"), ErrorCode::InvalidTopicException.code());
    assert_eq!(code(BROKER, "7"), ErrorCode::InvalidRequest.code());
    assert_eq!(code(BROKER, "x"), ErrorCode::InvalidRequest.code());
    assert_eq!(code(BROKER_LOGGER, ""), ErrorCode::InvalidRequest.code());
    assert_eq!(code(BROKER_LOGGER, "0"), 0);
    assert_eq!(code(GROUP, ""), ErrorCode::InvalidRequest.code());
    assert_eq!(code(CLIENT_METRICS, ""), ErrorCode::InvalidRequest.code());
    assert_eq!(code(7, "g"), ErrorCode::InvalidRequest.code());
}

#[test]
fn single_configs_change_and_hold_at_once() {
    let client = Client::new();
    client.create("t", 1, &[]);
    let set = [("retention.ms", SET, Some(" 7 ")), ("cleanup.policy", APPEND, Some("compact"))];
    assert_eq!(alter(&client, TOPIC, "t", &set), (0, String::new()));
    assert_eq!(one(&client, TOPIC, "t", "retention.ms").value.as_deref(), Some("7"));
    assert_eq!(one(&client, TOPIC, "t", "cleanup.policy").value.as_deref(), Some("delete,compact"));
    assert_eq!(alter(&client, TOPIC, "t", &[("retention.ms", DELETE, None)]).0, 0);
    let back = one(&client, TOPIC, "t", "retention.ms");
    assert_eq!((back.value.as_deref(), back.config_source), (Some("604800000"), 5));
    assert_eq!(one(&client, TOPIC, "t", "cleanup.policy").value.as_deref(), Some("delete,compact"));
}

#[test]
fn a_wrong_change_changes_nothing() {
    let client = Client::new();
    client.create("t", 1, &[]);
    let wrong = [
        (
            vec![("retention.ms", SET, Some("5")), ("nope", SET, Some("1"))],
            40,
            "Unknown topic config name: nope",
        ),
        (
            vec![("retention.ms", SET, Some("-5"))],
            40,
            "Invalid value -5 for configuration retention.ms: Value must be at least -1",
        ),
        (
            vec![("retention.ms", APPEND, Some("5"))],
            40,
            "Can't APPEND to key retention.ms because its type is not LIST.",
        ),
        (vec![("retention.ms", SET, None)], 42, "Null value not supported for : retention.ms"),
        (
            vec![("retention.ms", SET, Some("5")), ("retention.ms", DELETE, None)],
            42,
            "Error due to duplicate config keys",
        ),
        (vec![("retention.ms", 9, Some("5"))], -1, ""),
    ];
    for (operations, code, message) in wrong {
        assert_eq!(alter(&client, TOPIC, "t", &operations), (code, message.to_owned()));
    }
    assert!(client.broker.store.topic("t").unwrap().configs().is_empty());
    let outcome = alter_all(&client, true, vec![resource(TOPIC, "t", &[("retention.ms", SET, Some("5"))])]);
    assert_eq!(outcome[0].0, 0);
    assert!(client.broker.store.topic("t").unwrap().configs().is_empty(), "only validated");
}

#[test]
fn a_resource_named_twice_fails_and_leaves_the_others_alone() {
    let client = Client::new();
    client.create("t", 1, &[]);
    client.create("u", 1, &[]);
    let set = [("retention.ms", SET, Some("5"))];
    let resources = vec![resource(TOPIC, "t", &set), resource(TOPIC, "u", &set), resource(TOPIC, "t", &set)];
    let codes: Vec<i16> = alter_all(&client, false, resources).into_iter().map(|(code, _)| code).collect();
    assert_eq!(codes, [42, 0, 42]);
}

#[test]
fn broker_configs_are_layered_and_reach_topics() {
    let client = Client::new();
    client.create("t", 1, &[]);
    assert_eq!(alter(&client, BROKER, "", &[("log.retention.ms", SET, Some("10"))]).0, 0);
    let everywhere = one(&client, BROKER, "", "log.retention.ms");
    assert_eq!((everywhere.value.as_deref(), everywhere.config_source), (Some("10"), 3));
    assert_eq!(one(&client, TOPIC, "t", "retention.ms").value.as_deref(), Some("10"));
    assert_eq!(alter(&client, BROKER, "0", &[("log.retention.ms", SET, Some("20"))]).0, 0);
    let here = one(&client, BROKER, "0", "log.retention.ms");
    assert_eq!((here.value.as_deref(), here.config_source, here.read_only), (Some("20"), 2, false));
    let topic = one(&client, TOPIC, "t", "retention.ms");
    assert_eq!((topic.value.as_deref(), topic.config_source), (Some("20"), 2));
    assert_eq!(alter(&client, BROKER, "0", &[("log.retention.ms", DELETE, None)]).0, 0);
    assert_eq!(one(&client, TOPIC, "t", "retention.ms").value.as_deref(), Some("10"));
    assert_eq!(
        alter(&client, BROKER, "0", &[("node.id", SET, Some("4"))]).0,
        ErrorCode::InvalidRequest.code()
    );
    assert_eq!(
        alter(&client, BROKER, "5", &[("log.retention.ms", SET, Some("4"))]).0,
        ErrorCode::InvalidRequest.code()
    );
    assert!(one(&client, BROKER, "0", "node.id").read_only);
}

#[test]
fn limits_that_are_changed_at_run_time_hold_at_once_and_over_a_restart() {
    let mut client = Client::with_config(&[
        ("onelog.flush", "sync"),
        ("max.connections", "50"),
        ("max.connections.per.ip", "40"),
    ]);
    let expiration = |client: &Client| {
        topic_config::producer_expiration(Arc::clone(&client.broker.config))(
            &client.broker.store.broker_configs(),
        )
    };
    assert_eq!(client.broker.connection_limits(), (50, 40));
    assert_eq!(expiration(&client), Duration::from_secs(86_400));
    let everywhere = [("max.connections", SET, Some("30")), ("producer.id.expiration.ms", SET, Some("5000"))];
    assert_eq!(alter(&client, BROKER, "", &everywhere), (0, String::new()));
    assert_eq!(client.broker.connection_limits(), (30, 40));
    assert_eq!(expiration(&client), Duration::from_secs(5));
    let here = [("max.connections", SET, Some("20")), ("max.connections.per.ip", SET, Some("10"))];
    assert_eq!(alter(&client, BROKER, "0", &here), (0, String::new()));
    client = client.reopened();
    assert_eq!(client.broker.connection_limits(), (20, 10));
    assert_eq!(expiration(&client), Duration::from_secs(5));
    let back = [("max.connections", DELETE, None), ("max.connections.per.ip", DELETE, None)];
    assert_eq!(alter(&client, BROKER, "0", &back), (0, String::new()));
    assert_eq!(client.broker.connection_limits(), (30, 40));
}

#[test]
fn groups_and_subscriptions_keep_their_configs_over_a_restart() {
    let mut client = Client::with_config(&[("onelog.flush", "sync")]);
    let session = "consumer.session.timeout.ms";
    assert_eq!(alter(&client, GROUP, "g", &[(session, SET, Some("45001"))]), (0, String::new()));
    assert_eq!(alter(&client, CLIENT_METRICS, "m", &[("interval.ms", SET, Some("1000"))]).0, 0);
    assert_eq!(alter(&client, BROKER, "", &[("nope", SET, Some("1"))]).0, 0);
    client = client.reopened();
    let group = one(&client, GROUP, "g", session);
    assert_eq!((group.value.as_deref(), group.config_source), (Some("45001"), 8));
    let synonyms: Vec<&str> = group.synonyms.iter().map(|synonym| synonym.name.as_str()).collect();
    assert_eq!(synonyms, [session, "group.consumer.session.timeout.ms"]);
    assert_eq!(one(&client, GROUP, "other", session).value.as_deref(), Some("45000"));
    let interval = one(&client, CLIENT_METRICS, "m", "interval.ms");
    assert_eq!((interval.value.as_deref(), interval.config_source), (Some("1000"), 7));
    let plugin = one(&client, BROKER, "0", "nope");
    assert_eq!(
        (plugin.value, plugin.is_sensitive, plugin.read_only, plugin.config_type),
        (None, true, true, 0)
    );
    assert_eq!(alter(&client, GROUP, "g", &[(session, DELETE, None)]).0, 0);
    assert_eq!(one(&client, GROUP, "g", session).config_source, 5);
}

#[test]
fn the_older_api_replaces_everything_that_is_set() {
    let client = Client::new();
    client.create("t", 1, &[("retention.ms", "5"), ("max.message.bytes", "500")]);
    let replace = |kind, configs: &[(&'static str, Option<&'static str>)]| {
        let configs = configs.iter().map(|(key, value)| {
            replace::AlterableConfig::default()
                .with_name((*key).into())
                .with_value(value.map(StrBytes::from_static_str))
        });
        let resource = replace::AlterConfigsResource::default()
            .with_resource_type(kind)
            .with_resource_name("t".into())
            .with_configs(configs.collect());
        let request = AlterConfigsRequest::default().with_resources(vec![resource]);
        let response: AlterConfigsResponse = client.call(ApiKey::AlterConfigs, 2, &request);
        response.responses[0].error_code
    };
    assert_eq!(replace(TOPIC, &[("retention.ms", None)]), 42);
    assert_eq!(replace(BROKER_LOGGER, &[]), 42);
    assert_eq!(replace(TOPIC, &[("retention.ms", Some("6"))]), 0);
    assert_eq!(one(&client, TOPIC, "t", "retention.ms").value.as_deref(), Some("6"));
    assert_eq!(one(&client, TOPIC, "t", "max.message.bytes").config_source, 5);
}

/// Host and port as each API that names this broker gives them.
fn addresses(client: &Client) -> Vec<(String, i32)> {
    use protocol::messages::{
        DescribeClusterRequest, DescribeClusterResponse, FindCoordinatorRequest, FindCoordinatorResponse,
        MetadataRequest, MetadataResponse,
    };
    let metadata: MetadataResponse = client.call(ApiKey::Metadata, 13, &MetadataRequest::default());
    let cluster: DescribeClusterResponse =
        client.call(ApiKey::DescribeCluster, 0, &DescribeClusterRequest::default());
    let find = FindCoordinatorRequest::default().with_key("g".into());
    let coordinator: FindCoordinatorResponse = client.call(ApiKey::FindCoordinator, 3, &find);
    vec![
        (metadata.brokers[0].host.to_string(), metadata.brokers[0].port),
        (cluster.brokers[0].host.to_string(), cluster.brokers[0].port),
        (coordinator.host.to_string(), coordinator.port),
    ]
}

#[test]
fn an_advertised_address_changes_at_once_for_open_connections_and_outlives_a_restart() {
    const KEY: &str = "advertised.listeners";
    let client = Client::new();
    let told = |client: &Client, host: &str, port: i32| {
        assert_eq!(addresses(client), vec![(host.to_owned(), port); 3]);
    };
    told(&client, "broker.example", 9092);
    let set = |client: &Client, value| alter(client, BROKER, "0", &[(KEY, SET, Some(value))]);
    assert_eq!(set(&client, "PLAINTEXT://moved.example:19092").0, ErrorCode::None.code());
    told(&client, "moved.example", 19092);
    let shown = one(&client, BROKER, "0", KEY);
    assert_eq!((shown.value.as_deref(), shown.config_source), (Some("PLAINTEXT://moved.example:19092"), 2));

    for (value, why) in [
        ("OTHER://h:1", "advertised.listeners has OTHER, which is not a name in listeners"),
        ("PLAINTEXT://0.0.0.0:1", "which clients cannot connect to"),
        ("h:1", "give NAME://HOST:PORT"),
    ] {
        let (error, message) = set(&client, value);
        assert_eq!(error, ErrorCode::InvalidRequest.code());
        assert!(message.contains(why), "{message}");
    }
    let everywhere = alter(&client, BROKER, "", &[(KEY, SET, Some("PLAINTEXT://h:1"))]);
    assert!(everywhere.1.contains("broker id must be specified"), "{everywhere:?}");

    let client = client.reopened();
    told(&client, "moved.example", 19092);
    assert_eq!(alter(&client, BROKER, "0", &[(KEY, DELETE, None)]).0, ErrorCode::None.code());
    told(&client, "broker.example", 9092);
}
