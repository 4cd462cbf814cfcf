//! What Apache Kafka 4.3.1 said to each change of a config, against what this broker says: code and sentence.
//!
//! `config_verdicts.tsv` was written by IncrementalAlterConfigs with `validate_only` against a fresh Kafka with the topic
//! `t`: code, message, resource type, resource name, then name, operation and value of each config, tab separated.

use protocol::StrBytes;
use protocol::messages::incremental_alter_configs_request::{AlterConfigsResource, AlterableConfig};
use protocol::messages::{ApiKey, IncrementalAlterConfigsRequest, IncrementalAlterConfigsResponse};

use super::Client;

const VERDICTS: &str = include_str!("config_verdicts.tsv");

/// Answered otherwise on purpose: type, name of the config, value, and why.
const DIFFERENT: &[(&str, &str, &str, &str)] = &[
    (
        "TOPIC",
        "internal.segment.bytes",
        "1000",
        "segments exist by accounting only, none is made smaller for tests",
    ),
    ("BROKER", "log.cleaner.threads", "0", "Kafka says: / by zero"),
    (
        "BROKER",
        "min.insync.replicas",
        "2",
        "refused for one broker while Kafka's ELR is on; there is no ELR here",
    ),
    (
        "BROKER",
        "min.insync.replicas",
        "",
        "refused for all brokers while Kafka's ELR is on; there is no ELR here",
    ),
    (
        "BROKER",
        "listeners",
        "PLAINTEXT://127.0.0.1:1",
        "Kafka misses its controller's listener; there is none to miss here",
    ),
    ("BROKER", "max.connections.per.ip.overrides", "x", "Kafka shows an index of the JVM's substring"),
    ("BROKER", "metric.reporters", "nope.Nope", "Kafka looked for the class"),
    ("BROKER", "config.providers", "x", "Kafka takes names of classes without looking"),
    ("BROKER", "cordoned.log.dirs", "*", "the one data directory cannot be cordoned"),
    ("BROKER", "cordoned.log.dirs", "/x", "the one data directory cannot be cordoned"),
    ("BROKER", "log.local.retention.ms", "99999999999", "remote storage is not there"),
    ("BROKER_LOGGER", "kafka.server.KafkaApis", "DEBUG", "there are no loggers"),
    ("BROKER_LOGGER", "kafka.server.KafkaApis", "LOUD", "there are no loggers"),
    ("BROKER_LOGGER", "kafka.server.KafkaApis", "", "there are no loggers"),
    ("BROKER_LOGGER", "root", "", "there are no loggers"),
];

fn kind(name: &str) -> i8 {
    match name {
        "TOPIC" => 2,
        "BROKER" => 4,
        "BROKER_LOGGER" => 8,
        "CLIENT_METRICS" => 16,
        "GROUP" => 32,
        other => panic!("{other}"),
    }
}

fn operation(name: &str) -> i8 {
    ["SET", "DELETE", "APPEND", "SUBTRACT"]
        .iter()
        .position(|known| *known == name)
        .unwrap()
        .try_into()
        .unwrap()
}

fn text(text: &str) -> StrBytes {
    StrBytes::from_string(text.to_owned())
}

fn asked(client: &Client, resource: &str, name: &str, operations: &[&str]) -> (i16, String) {
    let configs = operations.chunks(3).map(|one| {
        let value = Some(one[2]).filter(|value| *value != "<null>").map(text);
        AlterableConfig::default()
            .with_name(text(one[0]))
            .with_config_operation(operation(one[1]))
            .with_value(value)
    });
    let resource = AlterConfigsResource::default()
        .with_resource_type(kind(resource))
        .with_resource_name(text(name))
        .with_configs(configs.collect());
    let request =
        IncrementalAlterConfigsRequest::default().with_resources(vec![resource]).with_validate_only(true);
    let response: IncrementalAlterConfigsResponse = client.call(ApiKey::IncrementalAlterConfigs, 1, &request);
    let answer = &response.responses[0];
    (answer.error_code, answer.error_message.as_deref().unwrap_or_default().to_owned())
}

#[test]
fn every_change_is_judged_as_kafka_judges_it() {
    let client = Client::new();
    client.create("t", 1, &[]);
    let (mut wrong, mut different) = (Vec::new(), 0);
    for line in VERDICTS.lines() {
        let empty = |field| if field == "<empty>" { "" } else { field };
        let fields: Vec<&str> = line.split('\t').map(empty).collect();
        let [code, message, resource, name, operations @ ..] = fields.as_slice() else { panic!("{line}") };
        let expected = (code.parse::<i16>().unwrap(), (*message).to_owned());
        let found = asked(&client, resource, name, operations);
        let on_purpose = DIFFERENT
            .iter()
            .any(|(kind, key, value, _)| (*kind, *key, *value) == (*resource, operations[0], operations[2]));
        if found == expected {
            continue;
        }
        different += usize::from(on_purpose);
        if !on_purpose {
            wrong
                .push(format!("{resource} {name} {operations:?}\n  Kafka: {expected:?}\n  here:  {found:?}"));
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
    assert!(different >= DIFFERENT.len(), "a difference that is none any more");
}
