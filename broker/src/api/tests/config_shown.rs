//! Every config that DescribeConfigs of Apache Kafka 4.3.1 shows, name by name: type, sensitive, read-only, default and the
//! synonyms that give the default.
//!
//! `config_shown.tsv` was written by DescribeConfigs against a fresh Kafka: resource type, name, type, sensitive,
//! read-only, default, synonyms, tab separated. Where a file set a value there, the default is that of its definition.

use std::collections::BTreeSet;

use protocol::messages::describe_configs_request::DescribeConfigsResource;
use protocol::messages::describe_configs_response::DescribeConfigsResult;
use protocol::messages::{ApiKey, DescribeConfigsRequest, DescribeConfigsResponse};

use super::Client;
use crate::config::{KEYS, find_key};

const SHOWN: &str = include_str!("config_shown.tsv");

/// Defaults that are others on purpose; said in `docs/CONFIGS.md` too.
pub(super) const OTHER_DEFAULTS: &[(&str, &str)] = &[
    ("broker.id", "follows node.id"),
    ("controller.listener.names", "there is no controller to listen for"),
    ("group.coordinator.rebalance.protocols", "only what is served"),
    ("listeners", "only this machine is let in unless told otherwise"),
    ("log.dir", "a directory of its own, not one that is emptied when the machine starts"),
    ("max.connections", "every connection takes memory"),
    ("metric.reporters", "there is no JMX"),
    ("node.id", "0 without a file"),
    ("process.roles", "always both"),
];

fn type_name(code: i8) -> &'static str {
    ["UNKNOWN", "BOOLEAN", "STRING", "INT", "SHORT", "LONG", "DOUBLE", "LIST", "CLASS", "PASSWORD"]
        [usize::try_from(code).unwrap()]
}

fn described(client: &Client, kind: i8, name: &'static str) -> DescribeConfigsResult {
    let resource = DescribeConfigsResource::default()
        .with_resource_type(kind)
        .with_resource_name(name.into())
        .with_configuration_keys(None);
    let request = DescribeConfigsRequest::default()
        .with_resources(vec![resource])
        .with_include_synonyms(true)
        .with_include_documentation(true);
    let mut response: DescribeConfigsResponse = client.call(ApiKey::DescribeConfigs, 4, &request);
    response.results.remove(0)
}

#[test]
fn every_config_of_kafka_is_shown_as_kafka_shows_it() {
    let client = Client::new();
    client.create("t", 1, &[]);
    let mut wrong = Vec::new();
    let mut ours = BTreeSet::new();
    for (resource, kind, name) in
        [("TOPIC", 2, "t"), ("BROKER", 4, "0"), ("GROUP", 32, "g"), ("CLIENT_METRICS", 16, "m")]
    {
        let result = described(&client, kind, name);
        let expected = SHOWN.lines().filter_map(|line| line.strip_prefix(resource)?.strip_prefix('\t'));
        let mut names = BTreeSet::new();
        for line in expected {
            let [name, expected_type, sensitive, read_only, default, synonyms] = line
                .split('\t')
                .map(|field| if field == "<empty>" { "" } else { field })
                .collect::<Vec<_>>()
                .try_into()
                .unwrap();
            names.insert(name);
            let Some(entry) = result.configs.iter().find(|entry| entry.name.as_str() == name) else {
                wrong.push(format!("{resource} {name} is missing"));
                continue;
            };
            let found = (type_name(entry.config_type), entry.is_sensitive, entry.read_only);
            // Changeable here at run time, as it was before Kafka 4.
            let read_only = read_only == "true" && name != "advertised.listeners";
            if found != (expected_type, sensitive == "true", read_only) {
                wrong.push(format!("{resource} {line}: {found:?}"));
            }
            assert!(entry.documentation.as_ref().is_some_and(|doc| !doc.is_empty()), "{name}");
            // What this client's own file sets shows its value, not its default.
            let value = match entry.config_source {
                5 => entry.value.as_deref(),
                _ => find_key(name).and_then(|key| key.default),
            };
            if resource == "BROKER" && OTHER_DEFAULTS.iter().any(|(other, _)| *other == name) {
                continue;
            }
            let defaults = entry.synonyms.iter().filter(|synonym| synonym.source == 5);
            let defaults = defaults.map(|synonym| synonym.name.as_str()).collect::<Vec<_>>().join(",");
            // Kafka writes ELR's minimum as a dynamic config of all brokers.
            if value.unwrap_or("<null>") != default || (defaults != synonyms && name != "min.insync.replicas")
            {
                wrong.push(format!("{resource} {line}: {value:?} {defaults}"));
            }
        }
        let more =
            result.configs.iter().map(|entry| entry.name.as_str()).filter(|name| !names.contains(name));
        ours.extend(more.map(str::to_owned));
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
    assert!(ours.iter().all(|name| name.starts_with("onelog.")), "{ours:?}");
    let own = KEYS.iter().filter(|key| key.name.starts_with("onelog.")).count();
    assert_eq!(ours.len(), own + 1, "and the one of topics");
}
