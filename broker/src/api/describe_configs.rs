//! DescribeConfigs (32), versions 1 to 4: configs with value, source, synonyms, type and documentation.
//!
//! A topic shows every topic config; a broker named by id every key it knows; the broker without a name the dynamic
//! defaults that are set; a group and a client metrics subscription every config of theirs, whether they exist or not. Null
//! or no keys means all. Values are canonical, because tools compare them. Version 3 brings types and documentation
//! (`ConfigHelper`).
//!
//! Deliberate gaps: broker loggers cannot be changed, so there are none to show.

use std::borrow::Cow;
use std::collections::BTreeSet;
use std::sync::Arc;

use protocol::layout::Layout;
use protocol::messages::describe_configs_request::DescribeConfigsResource;
use protocol::messages::describe_configs_response::{
    DescribeConfigsResourceResult, DescribeConfigsResult, DescribeConfigsSynonym,
};
use protocol::messages::{ApiKey, DescribeConfigsRequest, DescribeConfigsResponse};
use protocol::{ErrorCode, StrBytes, layouts};
use storage::Configs;

use super::config_change::{
    self, BROKER, BROKER_LOGGER, CLIENT_METRICS, GROUP, Resource, TOPIC, invalid_request,
};
use super::create_topics::Failure;
use super::{Api, Reply, RequestContext};
use crate::broker::Broker;
use crate::client_metrics::{METRICS_KEYS, MetricsKey};
use crate::config::dynamic::{self, UpdateMode, update_mode, without_listener};
use crate::config::{KEYS, Kind, find_key};
use crate::group_config::{self, GROUP_KEYS};
use crate::stored_configs::Scope;
use crate::topic_config::{BrokerLayers, Setting, Source, TOPIC_KEYS, TopicKey};

/// Kafka's `ConfigType` of what it knows nothing about.
const UNKNOWN_TYPE: i8 = 0;

/// What a resource of a kind without configs is told.
const MALFORMED: &str = super::find_coordinator::MALFORMED;

pub(super) struct DescribeConfigs;

impl Api for DescribeConfigs {
    type Request = DescribeConfigsRequest;
    type Response = DescribeConfigsResponse;
    const KEY: ApiKey = ApiKey::DescribeConfigs;
    const LAYOUT: &'static Layout = &layouts::topics::DESCRIBE_CONFIGS;

    fn handle(broker: &Arc<Broker>, context: &RequestContext<'_>, request: DescribeConfigsRequest) -> Reply {
        let show = Show { synonyms: request.include_synonyms, documentation: request.include_documentation };
        let results = request.resources.into_iter().map(|asked| {
            let result = DescribeConfigsResult::default().with_resource_type(asked.resource_type);
            match describe(broker, show, &asked) {
                Ok(configs) => result.with_configs(configs),
                // Kafka says no more than the code of a topic that is not there.
                Err((error @ ErrorCode::UnknownTopicOrPartition, _)) => result.with_error_code(error.code()),
                Err((error, message)) => result
                    .with_error_code(error.code())
                    .with_error_message(Some(StrBytes::from_string(message))),
            }
            .with_resource_name(asked.resource_name)
        });
        context.reply(&DescribeConfigsResponse::default().with_results(results.collect()))
    }
}

/// What the client wants besides name and value.
#[derive(Clone, Copy)]
struct Show {
    synonyms: bool,
    documentation: bool,
}

fn describe(
    broker: &Broker,
    show: Show,
    asked: &DescribeConfigsResource,
) -> Result<Vec<DescribeConfigsResourceResult>, Failure> {
    let keys = asked.configuration_keys.as_deref().unwrap_or_default();
    let wanted = |name: &str| keys.is_empty() || keys.iter().any(|key| key.as_str() == name);
    let dynamic = broker.store.broker_configs();
    let layers = BrokerLayers { config: &broker.config, dynamic: &dynamic };
    let Some(resource) = resource(broker, asked.resource_type, &asked.resource_name)? else {
        return Ok(Vec::new());
    };
    let own = resource.scope(broker).map(|scope| scope.of(&dynamic)).unwrap_or_default();
    let entries: Vec<Entry<'_>> = match &resource {
        Resource::Topic(topic) => topic_entries(&layers, &topic.configs()),
        Resource::ThisBroker => {
            let fixed = KEYS.iter().map(|key| broker_entry(&layers, key.name, |_| true));
            let all = Scope::AllBrokers.of(&dynamic);
            let others: BTreeSet<&String> =
                own.keys().chain(all.keys()).filter(|name| find_key(name).is_none()).collect();
            fixed.chain(others.into_iter().map(|name| broker_entry(&layers, name, |_| true))).collect()
        }
        Resource::AllBrokers => {
            let of_all = |source| source == Source::DynamicDefaultBroker;
            own.keys().map(|name| broker_entry(&layers, name, of_all)).collect()
        }
        Resource::Group(_) => GROUP_KEYS
            .iter()
            .map(|key| Entry::new(key.name, key.kind, key.doc, group_config::settings(&layers, &own, key)))
            .collect(),
        Resource::ClientMetrics(_) => METRICS_KEYS.iter().map(|key| metrics_entry(&own, key)).collect(),
    };
    let shown = entries.into_iter().filter(|entry| wanted(&entry.name));
    Ok(shown.map(|entry| entry.into_result(show)).collect())
}

/// The resource that is asked for, `None` for this broker's loggers: there are none to show. The sentences are those of
/// Kafka's `ConfigHelper`, which differ from those of a change.
fn resource(broker: &Broker, kind: i8, name: &str) -> Result<Option<Resource>, Failure> {
    let ids = broker.config.node_ids();
    let node_id = ids.start;
    let this_broker = |expected: &str| match name.parse::<i32>() {
        Ok(id) if ids.contains(&id) => Ok(()),
        Ok(_) => Err(invalid_request(&format!(
            "Unexpected broker id, expected {node_id}{expected} but received {name}"
        ))),
        Err(_) => Err(invalid_request(&format!("Broker id must be an integer, but it is: {name}"))),
    };
    match kind {
        TOPIC => config_change::topic(broker, name).map(Some),
        BROKER if name.is_empty() => Ok(Some(Resource::AllBrokers)),
        BROKER => this_broker(" or empty string,").map(|()| Some(Resource::ThisBroker)),
        BROKER_LOGGER if name.is_empty() => Err(invalid_request("Broker id must not be empty")),
        BROKER_LOGGER => this_broker("").map(|()| None),
        CLIENT_METRICS if name.is_empty() => {
            Err(invalid_request("Client metrics subscription name must not be empty"))
        }
        CLIENT_METRICS => Ok(Some(Resource::ClientMetrics(name.to_owned()))),
        GROUP if name.is_empty() => Err(invalid_request("Group name must not be empty")),
        GROUP => Ok(Some(Resource::Group(name.to_owned()))),
        _ => Err(invalid_request(MALFORMED)),
    }
}

fn topic_entries<'a>(layers: &BrokerLayers<'_>, overrides: &Configs) -> Vec<Entry<'a>> {
    let entry = |key: &'static TopicKey| {
        // As Kafka, which shows no synonyms at all when the strongest of the broker's keys is not set.
        let first = key.synonyms.first().map(|synonym| synonym.key);
        let settings = layers.topic_settings(key, overrides).into_iter().map(Setting::into_owned);
        let (own, broker): (Vec<_>, Vec<_>) = settings.partition(|setting| setting.source == Source::Topic);
        let broker = broker.into_iter().skip_while(|setting| first.is_none_or(|first| setting.key != first));
        let value = layers.effective(key, overrides).into_owned();
        let settings = own.into_iter().chain(broker).collect();
        Entry { value: Some(value), ..Entry::new(key.name, key.kind, key.doc, settings) }
    };
    TOPIC_KEYS.iter().map(entry).collect()
}

/// A broker config, or what is set under a name that is none. `own` chooses the layers that are shown.
fn broker_entry<'a>(layers: &BrokerLayers<'a>, name: &str, own: impl Fn(Source) -> bool) -> Entry<'a> {
    let Some(key) = find_key(name) else { return unlisted(layers, name, own) };
    let family = TOPIC_KEYS.iter().map(|topic| topic.synonyms);
    let family = family.into_iter().find(|family| family.iter().any(|synonym| synonym.key == name));
    let names =
        family.map_or_else(|| vec![key.name], |keys| keys.iter().map(|synonym| synonym.key).collect());
    let settings = layers.settings(&names).into_iter();
    // What stands before the first mention of the config itself belongs to a synonym that outweighs it.
    let settings = settings.filter(|setting| own(setting.source)).skip_while(|setting| setting.key != name);
    let read_only = update_mode(name) == Some(UpdateMode::ReadOnly);
    Entry { read_only, ..Entry::new(key.name, key.kind, key.doc, settings.collect()) }
}

/// A dynamic config without a place in the properties file: a replication limit, a setting of one listener, or something
/// that Kafka would hand to a plugin, whose value is nobody's business.
fn unlisted<'a>(layers: &BrokerLayers<'a>, name: &str, own: impl Fn(Source) -> bool) -> Entry<'a> {
    let kind = dynamic::kind(name);
    let mut settings = Vec::new();
    for (scope, source) in [
        (Scope::Broker(layers.config.node_id), Source::DynamicBroker),
        (Scope::AllBrokers, Source::DynamicDefaultBroker),
    ] {
        let value = layers.dynamic.get(&scope.stored_name(name)).filter(|_| own(source));
        settings.extend(value.map(|value| Setting {
            key: name.to_owned().into(),
            value: value.as_str().into(),
            source,
        }));
    }
    let base = find_key(without_listener(name)).map(|key| layers.settings(&[key.name])).unwrap_or_default();
    settings.extend(base.into_iter().filter(|setting| own(setting.source)));
    let plugin = kind.is_none();
    Entry {
        name: name.to_owned().into(),
        read_only: plugin || name.starts_with("listener.name."),
        sensitive: plugin || matches!(kind, Some(Kind::Password)),
        config_type: kind.map_or(UNKNOWN_TYPE, Kind::type_code),
        doc: None,
        value: settings.first().map(|top| top.value.to_string()),
        settings,
    }
}

fn metrics_entry<'a>(own: &'a Configs, key: &'static MetricsKey) -> Entry<'a> {
    let set = own.get(key.name);
    let setting = |value: &'a String| Setting {
        key: key.name.into(),
        value: value.as_str().into(),
        source: Source::ClientMetrics,
    };
    let value = set.map_or(key.default, String::as_str).to_owned();
    let entry = Entry::new(key.name, key.kind, key.doc, set.map(setting).into_iter().collect());
    Entry { value: Some(value), ..entry }
}

struct Entry<'a> {
    name: Cow<'static, str>,
    value: Option<String>,
    /// Strongest first.
    settings: Vec<Setting<'a>>,
    read_only: bool,
    sensitive: bool,
    config_type: i8,
    doc: Option<&'static str>,
}

impl<'a> Entry<'a> {
    /// A config that can be changed and has the strongest of `settings` for its value.
    fn new(name: &'static str, kind: Kind, doc: &'static str, settings: Vec<Setting<'a>>) -> Self {
        Self {
            name: Cow::Borrowed(name),
            value: settings.first().map(|top| top.value.to_string()),
            settings,
            read_only: false,
            sensitive: matches!(kind, Kind::Password),
            config_type: kind.type_code(),
            doc: Some(doc),
        }
    }

    fn into_result(self, show: Show) -> DescribeConfigsResourceResult {
        let source = self.settings.first().map_or(Source::Default, |setting| setting.source);
        let open = !self.sensitive;
        let synonym = |setting: &Setting<'_>| {
            DescribeConfigsSynonym::default()
                .with_name(StrBytes::from_string(setting.key.to_string()))
                .with_value(open.then(|| StrBytes::from_string(setting.value.to_string())))
                .with_source(setting.source.code())
        };
        let synonyms = if show.synonyms { self.settings.iter().map(synonym).collect() } else { Vec::new() };
        let doc = self.doc.filter(|_| show.documentation);
        DescribeConfigsResourceResult::default()
            .with_name(StrBytes::from_string(self.name.into_owned()))
            .with_value(self.value.filter(|_| open).map(StrBytes::from_string))
            .with_read_only(self.read_only)
            .with_is_sensitive(self.sensitive)
            .with_config_source(source.code())
            .with_synonyms(synonyms)
            .with_config_type(self.config_type)
            .with_documentation(doc.map(StrBytes::from_static_str))
    }
}
