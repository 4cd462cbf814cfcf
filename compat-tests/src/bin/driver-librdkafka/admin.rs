//! The admin verbs. The crate has no IncrementalAlterConfigs.

use std::collections::BTreeMap;
use std::time::Duration;

use anyhow::{Context as _, Result, bail};
use rdkafka::admin::{
    AdminClient, AdminOptions, AlterConfig, NewPartitions, NewTopic, ResourceSpecifier, TopicReplication,
    TopicResult,
};
use rdkafka::client::DefaultClientContext;
use rdkafka::config::ClientConfig;
use rdkafka::consumer::{BaseConsumer, Consumer as _};
use rdkafka::error::RDKafkaErrorCode;
use rdkafka::metadata::Metadata;
use serde::Deserialize;
use serde_json::{Value, json};

use crate::arguments;

const CALL_LIMIT: Duration = Duration::from_secs(30);

#[derive(Deserialize)]
struct CreateArguments {
    topic: String,
    partitions: i32,
    configs: BTreeMap<String, String>,
}

#[derive(Deserialize)]
struct TopicArguments {
    topic: String,
}

#[derive(Deserialize)]
struct GrowArguments {
    topic: String,
    total: usize,
}

#[derive(Deserialize)]
struct AlterArguments {
    topic: String,
    set: BTreeMap<String, String>,
}

pub(crate) fn answer(config: &ClientConfig, verb: &str, request: &Value) -> Result<Value> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    let options = AdminOptions::new().request_timeout(Some(CALL_LIMIT)).operation_timeout(Some(CALL_LIMIT));
    let admin: AdminClient<DefaultClientContext> = config.create()?;
    match verb {
        "create_topic" => {
            let arguments: CreateArguments = arguments(request)?;
            let mut topic = NewTopic::new(&arguments.topic, arguments.partitions, TopicReplication::Fixed(1));
            for (name, value) in &arguments.configs {
                topic = topic.set(name, value);
            }
            done(runtime.block_on(admin.create_topics([&topic], &options))?)
        }
        "create_partitions" => {
            let arguments: GrowArguments = arguments(request)?;
            let partitions = NewPartitions::new(&arguments.topic, arguments.total);
            done(runtime.block_on(admin.create_partitions([&partitions], &options))?)
        }
        "delete_topic" => {
            let arguments: TopicArguments = arguments(request)?;
            done(runtime.block_on(admin.delete_topics(&[&arguments.topic], &options))?)
        }
        "describe_topic" => describe_topic(config, &arguments::<TopicArguments>(request)?.topic),
        "list_topics" => {
            let metadata = metadata(config, None)?;
            Ok(json!(metadata.topics().iter().map(|topic| topic.name()).collect::<Vec<_>>()))
        }
        "describe_configs" => {
            let arguments: TopicArguments = arguments(request)?;
            let resource = ResourceSpecifier::Topic(&arguments.topic);
            let results = runtime.block_on(admin.describe_configs([&resource], &options))?;
            let resource = results.into_iter().next().context("no resource is answered")??;
            let configs: BTreeMap<_, _> =
                resource.entries.into_iter().map(|entry| (entry.name, entry.value)).collect();
            Ok(serde_json::to_value(configs)?)
        }
        "alter_configs" => {
            let arguments: AlterArguments = arguments(request)?;
            let resource = ResourceSpecifier::Topic(&arguments.topic);
            let alter = arguments
                .set
                .iter()
                .fold(AlterConfig::new(resource), |alter, (name, value)| alter.set(name, value));
            let results = runtime.block_on(admin.alter_configs([&alter], &options))?;
            match results.into_iter().next().context("no resource is answered")? {
                Ok(_) => Ok(json!({})),
                Err((_, code)) => bail!(code),
            }
        }
        other => bail!("this driver has no verb {other}"),
    }
}

fn done(results: Vec<TopicResult>) -> Result<Value> {
    match results.into_iter().next().context("no topic is answered")? {
        Ok(_) => Ok(json!({})),
        Err((_, code)) => bail!(code),
    }
}

fn describe_topic(config: &ClientConfig, name: &str) -> Result<Value> {
    let metadata = metadata(config, Some(name))?;
    let topic = metadata.topics().first().context("no topic is answered")?;
    if let Some(error) = topic.error() {
        bail!(RDKafkaErrorCode::from(error));
    }
    let partitions: Vec<_> = topic
        .partitions()
        .iter()
        .map(|partition| json!({ "partition": partition.id(), "leader": partition.leader() }))
        .collect();
    Ok(json!(partitions))
}

/// Through a consumer, whose Metadata requests do not create topics.
fn metadata(config: &ClientConfig, topic: Option<&str>) -> Result<Metadata> {
    let consumer: BaseConsumer = config.create()?;
    Ok(consumer.fetch_metadata(topic, CALL_LIMIT)?)
}
