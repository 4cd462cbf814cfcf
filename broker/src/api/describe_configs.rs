//! DescribeConfigs (32), versions 1 to 4: configs of topics and brokers with value, source, synonyms, type, documentation.
//!
//! A topic shows every topic config; a broker named by id every key it knows; the broker without a name the dynamic
//! defaults that are set. Null or no keys means all. Values are canonical, because tools compare them. Version 3 brings
//! types and documentation (`ConfigHelper`).
//!
//! Deliberate gaps: broker loggers cannot be changed, so there are none to show; client metrics and groups have no configs
//! here and are INVALID_REQUEST.

use std::sync::Arc;

use protocol::layout::Layout;
use protocol::messages::describe_configs_request::DescribeConfigsResource;
use protocol::messages::describe_configs_response::{
    DescribeConfigsResourceResult, DescribeConfigsResult, DescribeConfigsSynonym,
};
use protocol::messages::{ApiKey, DescribeConfigsRequest, DescribeConfigsResponse};
use protocol::{StrBytes, layouts};

use super::config_change::{self, BROKER_LOGGER, Resource, invalid_request, is_dynamic, resource};
use super::create_topics::Failure;
use super::{Api, Reply, RequestContext};
use crate::broker::Broker;
use crate::config::{KEYS, Key};
use crate::topic_config::{BrokerLayers, Setting, Source, TOPIC_KEYS, type_code};

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
                Ok(configs) => result.with_error_message(None).with_configs(configs),
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
    let resource = match asked.resource_type {
        BROKER_LOGGER if asked.resource_name.is_empty() => {
            return Err(invalid_request("Broker id must not be empty"));
        }
        BROKER_LOGGER => {
            // There are no loggers to show, but a wrong broker is still an error.
            return resource(broker, config_change::BROKER, &asked.resource_name).map(|_| Vec::new());
        }
        kind => resource(broker, kind, &asked.resource_name)?,
    };
    let broker_key = |key: &'static Key, own: fn(Source) -> bool| {
        let mut settings = layers.settings(&[key.name]);
        settings.retain(|setting| own(setting.source));
        let value = settings.first().map(|setting| setting.value.to_string());
        let read_only = !is_dynamic(key.name);
        Entry { name: key.name, value, settings, read_only, config_type: type_code(key.kind), doc: key.doc }
    };
    let entries: Vec<Entry<'_>> = match &resource {
        Resource::Topic(topic) => {
            let overrides = topic.configs();
            let shown = TOPIC_KEYS.iter().filter(|key| wanted(key.name)).map(|key| {
                let settings = layers.topic_settings(key, &overrides).into_iter().map(Setting::into_owned);
                Entry {
                    name: key.name,
                    value: Some(layers.effective(key, &overrides).into_owned()),
                    settings: settings.collect(),
                    read_only: false,
                    config_type: type_code(key.kind),
                    doc: key.doc,
                }
            });
            shown.collect()
        }
        Resource::ThisBroker => {
            KEYS.iter().filter(|key| wanted(key.name)).map(|key| broker_key(key, |_| true)).collect()
        }
        Resource::AllBrokers => KEYS
            .iter()
            .filter(|key| wanted(key.name) && dynamic.contains_key(key.name))
            .map(|key| broker_key(key, |source| source == Source::DynamicDefaultBroker))
            .collect(),
    };
    Ok(entries.into_iter().map(|entry| entry.into_result(show)).collect())
}

struct Entry<'a> {
    name: &'static str,
    value: Option<String>,
    /// Strongest first.
    settings: Vec<Setting<'a>>,
    read_only: bool,
    config_type: i8,
    doc: &'static str,
}

impl Entry<'_> {
    fn into_result(self, show: Show) -> DescribeConfigsResourceResult {
        let source = self.settings.first().map_or(Source::Default, |setting| setting.source);
        let synonyms = if show.synonyms { self.settings.iter().map(synonym).collect() } else { Vec::new() };
        DescribeConfigsResourceResult::default()
            .with_name(StrBytes::from_static_str(self.name))
            .with_value(self.value.map(StrBytes::from_string))
            .with_read_only(self.read_only)
            .with_config_source(source.code())
            .with_synonyms(synonyms)
            .with_config_type(self.config_type)
            .with_documentation(show.documentation.then(|| StrBytes::from_static_str(self.doc)))
    }
}

fn synonym(setting: &Setting<'_>) -> DescribeConfigsSynonym {
    DescribeConfigsSynonym::default()
        .with_name(StrBytes::from_static_str(setting.key))
        .with_value(Some(StrBytes::from_string(setting.value.to_string())))
        .with_source(setting.source.code())
}
