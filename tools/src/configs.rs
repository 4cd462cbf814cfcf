//! `kafka-configs` (Kafka class `ConfigCommand`) for topics, brokers, groups and client metrics: show and change configs.
//! Quotas and SCRAM users (`users`, `clients`, `ips`) are refused: Kafka's own tool sets them here too.

use std::collections::BTreeMap;
use std::ffi::OsString;
use std::io::Write;
use std::path::PathBuf;

use clap::{CommandFactory as _, Parser};
use kafka_protocol::messages::describe_configs_request::DescribeConfigsResource;
use kafka_protocol::messages::describe_configs_response::{
    DescribeConfigsResourceResult, DescribeConfigsSynonym,
};
use kafka_protocol::messages::incremental_alter_configs_request::{AlterConfigsResource, AlterableConfig};
use kafka_protocol::messages::{
    DescribeConfigsRequest, IncrementalAlterConfigsRequest, ListConfigResourcesRequest,
};
use kafka_protocol::protocol::StrBytes;

use crate::client::{Client, Target};
use crate::failure::{Failure, Outcome};
use crate::options::{self, Connect};

const SET: i8 = 0;
const DELETE: i8 = 1;

/// What has configs.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Kind {
    /// As in `--entity-type`.
    plural: &'static str,
    singular: &'static str,
    /// On the wire.
    resource: i8,
    /// Source of the configs that were set for it alone.
    source: i8,
}

const TOPICS: Kind = Kind { plural: "topics", singular: "topic", resource: 2, source: 1 };
const BROKERS: Kind = Kind { plural: "brokers", singular: "broker", resource: 4, source: 2 };
const CLIENT_METRICS: Kind =
    Kind { plural: "client-metrics", singular: "client-metric", resource: 16, source: 7 };
const GROUPS: Kind = Kind { plural: "groups", singular: "group", resource: 32, source: 8 };
const KINDS: [Kind; 4] = [TOPICS, BROKERS, CLIENT_METRICS, GROUPS];
/// Source of the configs of all brokers.
const SOURCE_DEFAULT_BROKER: i8 = 3;

/// Show and change configs
#[derive(Debug, Parser)]
#[command(version, infer_long_args = true)]
struct Arguments {
    #[command(flatten)]
    connect: Connect,
    /// Show configs
    #[arg(long)]
    describe: bool,
    /// Change configs
    #[arg(long)]
    alter: bool,
    /// With --describe: also the configs that nobody set
    #[arg(long)]
    all: bool,
    /// topics, brokers, groups or client-metrics
    #[arg(long, value_name = "TYPE")]
    entity_type: Option<String>,
    /// Name of the topic or group, id of the broker
    #[arg(long, value_name = "NAME")]
    entity_name: Option<String>,
    /// All brokers
    #[arg(long)]
    entity_default: bool,
    /// Short for --entity-type topics --entity-name
    #[arg(long, value_name = "TOPIC")]
    topic: Option<String>,
    /// Short for --entity-type brokers --entity-name
    #[arg(long, value_name = "ID")]
    broker: Option<String>,
    /// Short for --entity-type brokers --entity-default
    #[arg(long)]
    broker_defaults: bool,
    /// Short for --entity-type groups --entity-name
    #[arg(long, value_name = "GROUP")]
    group: Option<String>,
    /// Short for --entity-type client-metrics --entity-name
    #[arg(long, value_name = "NAME")]
    client_metrics: Option<String>,
    /// Configs to set; a value with commas in brackets: `a=1,b=[x,y]`
    #[arg(long, value_name = "K=V,K=V")]
    add_config: Option<String>,
    /// File of configs to set
    #[arg(long, value_name = "FILE", conflicts_with = "add_config")]
    add_config_file: Option<PathBuf>,
    /// Configs to give back to their default
    #[arg(long, value_name = "K,K")]
    delete_config: Vec<String>,
}

/// The command line, for completions and manual pages.
pub(crate) fn command() -> clap::Command {
    Arguments::command()
}

pub(crate) fn run(line: Vec<OsString>, out: &mut dyn Write) -> Outcome {
    let arguments = Arguments::try_parse_from(line)?;
    if arguments.describe == arguments.alter {
        return Err(Failure::new("Command must include exactly one action: --describe, --alter"));
    }
    let entity = arguments.entity()?;
    let mut client = arguments.connect.client()?;
    if arguments.alter {
        return alter(&mut client, &arguments, &entity, out);
    }
    describe(&mut client, &arguments, &entity, out)
}

/// What `--entity-...` and its short forms name.
#[derive(Debug, PartialEq, Eq)]
struct Entity {
    kind: Kind,
    /// `Some("")` is the default of all brokers; `None` is every one there is.
    name: Option<String>,
}

impl Arguments {
    fn entity(&self) -> Outcome<Entity> {
        let short = [
            (TOPICS, self.topic.clone()),
            (BROKERS, self.broker.clone()),
            (BROKERS, self.broker_defaults.then(String::new)),
            (GROUPS, self.group.clone()),
            (CLIENT_METRICS, self.client_metrics.clone()),
        ];
        let mut named =
            short.into_iter().filter_map(|(kind, name)| name.map(|name| Entity { kind, name: Some(name) }));
        let entity = match (named.next(), &self.entity_type) {
            (Some(_), Some(_)) => {
                return Err(Failure::new(
                    "--entity-type must not be used together with --topic, --broker, --group or --client-metrics",
                ));
            }
            (Some(entity), None) => entity,
            (None, None) => {
                return Err(Failure::new(
                    "At least one entity type must be specified: --entity-type topics, brokers, groups or client-metrics",
                ));
            }
            (None, Some(text)) => {
                let kind = KINDS.into_iter().find(|kind| kind.plural == text).ok_or_else(|| {
                    let known = KINDS.map(|kind| kind.plural).join(", ");
                    Failure::new(format!(
                        "Invalid entity type {text}, the entity type must be one of {known}"
                    ))
                })?;
                let name = if self.entity_default { Some(String::new()) } else { self.entity_name.clone() };
                Entity { kind, name }
            }
        };
        if named.next().is_some() {
            return Err(Failure::new("Only one entity can be named at a time"));
        }
        if entity.name.as_deref() == Some("") && entity.kind != BROKERS {
            return Err(Failure::new(format!(
                "--entity-default is for brokers; name one of the {}",
                entity.kind.plural
            )));
        }
        if entity.kind == BROKERS
            && entity.name.as_deref().is_some_and(|name| !name.is_empty() && name.parse::<i32>().is_err())
        {
            return Err(Failure::new("The entity name for brokers must be a valid integer broker id"));
        }
        if self.alter && entity.name.is_none() {
            return Err(Failure::new(format!(
                "An entity name must be specified with --alter of {}",
                entity.kind.plural
            )));
        }
        Ok(entity)
    }

    fn added(&self) -> Outcome<Vec<(String, String)>> {
        match (&self.add_config, &self.add_config_file) {
            (Some(text), _) => pairs(text),
            (None, Some(path)) => {
                let text = std::fs::read_to_string(path)
                    .map_err(|error| Failure::new(format!("{} cannot be read: {error}", path.display())))?;
                Ok(options::read_properties(&text))
            }
            (None, None) => Ok(Vec::new()),
        }
    }
}

fn alter(client: &mut Client, arguments: &Arguments, entity: &Entity, out: &mut dyn Write) -> Outcome {
    let operation = |name: &str, operation: i8, value: Option<&str>| {
        AlterableConfig::default()
            .with_name(StrBytes::from_string(name.to_owned()))
            .with_config_operation(operation)
            .with_value(value.map(|value| StrBytes::from_string(value.to_owned())))
    };
    let added = arguments.added()?;
    let mut configs: Vec<AlterableConfig> =
        added.iter().map(|(name, value)| operation(name, SET, Some(value))).collect();
    let deleted = arguments.delete_config.iter().flat_map(|names| names.split(','));
    configs.extend(deleted.map(|name| operation(name.trim(), DELETE, None)));
    if configs.is_empty() {
        return Err(Failure::new(
            "At least one of --add-config, --add-config-file, or --delete-config must be specified with --alter",
        ));
    }
    let Entity { kind, name } = entity;
    let name = name.clone().unwrap_or_default();
    let resource = AlterConfigsResource::default()
        .with_resource_type(kind.resource)
        .with_resource_name(StrBytes::from_string(name.clone()))
        .with_configs(configs);
    let request = IncrementalAlterConfigsRequest::default().with_resources(vec![resource]);
    client.retry(|client| {
        let target = target(client, entity)?;
        let answer = client.call(target, &request)?;
        answer
            .responses
            .iter()
            .try_for_each(|result| Failure::check(result.error_code, result.error_message.as_deref()))
    })?;
    if name.is_empty() {
        writeln!(out, "Completed updating default config for {} in the cluster.", kind.plural)?;
    } else {
        writeln!(out, "Completed updating config for {} {name}.", kind.singular)?;
    }
    Ok(())
}

fn describe(client: &mut Client, arguments: &Arguments, entity: &Entity, out: &mut dyn Write) -> Outcome {
    let Kind { plural, singular, .. } = entity.kind;
    let known = names(client, entity.kind)?;
    let names = match &entity.name {
        Some(name) if name.is_empty() || entity.kind == GROUPS || known.contains(name) => vec![name.clone()],
        Some(name) => {
            writeln!(out, "The {singular} '{name}' doesn't exist and doesn't have dynamic config.")?;
            return Ok(());
        }
        None => known,
    };
    for name in names {
        let scope = if arguments.all { "All" } else { "Dynamic" };
        if name.is_empty() {
            writeln!(out, "Default configs for {plural} in the cluster are:")?;
        } else {
            writeln!(out, "{scope} configs for {singular} {name} are:")?;
        }
        let source = if name.is_empty() { SOURCE_DEFAULT_BROKER } else { entity.kind.source };
        for config in configs(client, &Entity { kind: entity.kind, name: Some(name) })? {
            if arguments.all || config.config_source == source {
                writeln!(out, "{}", row(&config))?;
            }
        }
    }
    Ok(())
}

/// Who can be described, in the order of their names; for brokers the default of all comes last.
fn names(client: &mut Client, kind: Kind) -> Outcome<Vec<String>> {
    let cluster = client.cluster(if kind == TOPICS { None } else { Some(&[]) })?;
    if kind == TOPICS {
        return Ok(cluster.topics.into_keys().collect());
    }
    if kind == BROKERS {
        let ids = cluster.brokers.iter().map(|broker| broker.id.to_string());
        return Ok(ids.chain([String::new()]).collect());
    }
    let request = ListConfigResourcesRequest::default().with_resource_types(vec![kind.resource]);
    let answer = client.retry(|client| client.call(Target::Any, &request))?;
    Failure::check(answer.error_code, None)?;
    let mut names: Vec<String> =
        answer.config_resources.into_iter().map(|resource| resource.resource_name.to_string()).collect();
    names.sort();
    Ok(names)
}

fn configs(client: &mut Client, entity: &Entity) -> Outcome<Vec<DescribeConfigsResourceResult>> {
    let name = entity.name.clone().unwrap_or_default();
    let resource = DescribeConfigsResource::default()
        .with_resource_type(entity.kind.resource)
        .with_resource_name(StrBytes::from_string(name))
        .with_configuration_keys(None);
    let request =
        DescribeConfigsRequest::default().with_resources(vec![resource]).with_include_synonyms(true);
    client.retry(|client| {
        let target = target(client, entity)?;
        let answer = client.call(target, &request)?;
        let mut configs = Vec::new();
        for result in answer.results {
            Failure::check(result.error_code, result.error_message.as_deref())?;
            configs.extend(result.configs);
        }
        configs.sort_by(|a, b| a.name.as_str().cmp(b.name.as_str()));
        Ok(configs)
    })
}

/// A broker answers for itself; everything else any broker knows.
fn target(client: &mut Client, entity: &Entity) -> Outcome<Target> {
    match entity.name.as_deref().unwrap_or_default().parse() {
        Ok(id) if entity.kind == BROKERS => {
            let brokers = client.cluster_once(Some(&[]), false)?.brokers;
            // In a cluster of one, who answered is the broker; what it advertises may be what has to be mended.
            let alone = matches!(brokers.as_slice(), [only] if only.id == id);
            Ok(if alone { Target::Any } else { Target::Node(id) })
        }
        _ => Ok(Target::Any),
    }
}

fn row(config: &DescribeConfigsResourceResult) -> String {
    let value =
        |value: &Option<StrBytes>| value.as_ref().map_or_else(|| "null".to_owned(), ToString::to_string);
    let synonym = |synonym: &DescribeConfigsSynonym| {
        format!("{}:{}={}", source(synonym.source), synonym.name.as_str(), value(&synonym.value))
    };
    let synonyms: Vec<String> = config.synonyms.iter().map(synonym).collect();
    format!(
        "  {}={} sensitive={} synonyms={{{}}}",
        config.name.as_str(),
        value(&config.value),
        config.is_sensitive,
        synonyms.join(", ")
    )
}

/// Kafka's `ConfigEntry.ConfigSource`.
fn source(code: i8) -> &'static str {
    match code {
        1 => "DYNAMIC_TOPIC_CONFIG",
        2 => "DYNAMIC_BROKER_CONFIG",
        3 => "DYNAMIC_DEFAULT_BROKER_CONFIG",
        4 => "STATIC_BROKER_CONFIG",
        5 => "DEFAULT_CONFIG",
        6 => "DYNAMIC_BROKER_LOGGER_CONFIG",
        7 => "DYNAMIC_CLIENT_METRICS_CONFIG",
        8 => "DYNAMIC_GROUP_CONFIG",
        _ => "UNKNOWN",
    }
}

/// `a=1,b=[x,y],c=` as pairs; brackets keep the commas inside them.
fn pairs(text: &str) -> Outcome<Vec<(String, String)>> {
    let mut pairs: BTreeMap<String, String> = BTreeMap::new();
    let mut rest = text;
    while !rest.is_empty() {
        let wrong = || {
            Failure::new(format!(
                "--add-config {text}: write NAME=VALUE,NAME=VALUE; a value with commas in brackets: NAME=[A,B]"
            ))
        };
        let (name, after) = rest.split_once('=').filter(|(name, _)| !name.contains(',')).ok_or_else(wrong)?;
        let (value, after) = match after.strip_prefix('[') {
            Some(inside) => {
                let (value, after) = inside.split_once(']').ok_or_else(wrong)?;
                if !after.is_empty() && !after.starts_with(',') {
                    return Err(wrong());
                }
                (value, after.strip_prefix(',').unwrap_or(after))
            }
            None => after.split_once(',').unwrap_or((after, "")),
        };
        if name.trim().is_empty() {
            return Err(wrong());
        }
        pairs.insert(name.trim().to_owned(), value.trim().to_owned());
        rest = after;
    }
    Ok(pairs.into_iter().collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn entity(words: &str) -> Outcome<Entity> {
        let line = format!("kafka-configs --bootstrap-server a:1 {words}");
        Arguments::try_parse_from(line.split_whitespace())?.entity()
    }

    #[test]
    fn entities_are_named_in_both_forms() {
        let named = |kind, name: &str| Entity { kind, name: Some(name.to_owned()) };
        assert_eq!(entity("--describe --entity-type topics --entity-name a").unwrap(), named(TOPICS, "a"));
        assert_eq!(entity("--describe --topic a").unwrap(), named(TOPICS, "a"));
        assert_eq!(entity("--describe --entity-type brokers --entity-default").unwrap(), named(BROKERS, ""));
        assert_eq!(entity("--describe --entity-type groups").unwrap(), Entity { kind: GROUPS, name: None });
        for (line, words) in [
            ("--describe", "entity type must be specified"),
            ("--describe --entity-type users", "must be one of topics"),
            ("--alter --entity-type topics", "entity name must be specified"),
            ("--describe --entity-type brokers --entity-name x", "integer broker id"),
            ("--describe --topic a --broker 1", "one entity"),
        ] {
            assert!(entity(line).unwrap_err().to_string().contains(words), "{line}");
        }
    }

    #[test]
    fn pairs_keep_commas_in_brackets() {
        let read = pairs("a=1,b=[x,y],c=").unwrap();
        let expected = [("a", "1"), ("b", "x,y"), ("c", "")].map(|(k, v)| (k.to_owned(), v.to_owned()));
        assert_eq!(read, expected);
        for wrong in ["a", "a=[1", "=1", "a=1,b", "a=[1]2"] {
            assert!(pairs(wrong).is_err(), "{wrong}");
        }
    }

    #[test]
    fn row_has_kafkas_columns() {
        let text = StrBytes::from_static_str;
        let synonym = DescribeConfigsSynonym::default()
            .with_name(text("log.x"))
            .with_value(Some(text("2")))
            .with_source(5);
        let config = DescribeConfigsResourceResult::default()
            .with_name(text("x"))
            .with_value(None)
            .with_is_sensitive(true)
            .with_synonyms(vec![synonym]);
        assert_eq!(row(&config), "  x=null sensitive=true synonyms={DEFAULT_CONFIG:log.x=2}");
    }
}
