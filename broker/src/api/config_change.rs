//! Changing the configs of topics, brokers, groups and client metrics subscriptions: what AlterConfigs and
//! IncrementalAlterConfigs have in common.
//!
//! A change is a function from the configs that were set to those that shall be set; it is checked as a whole, in Kafka's
//! words (`ConfigAdminManager`, `ConfigurationControlManager`), and then written in one piece. Invariant: changes follow
//! one another, so none is lost between reading and writing.

use std::collections::{HashMap, HashSet};
use std::sync::Arc;

use protocol::{ErrorCode, StrBytes};
use storage::{Configs, Position, Topic, TopicError};

use super::create_topics::Failure;
use super::{Reply, Response};
use crate::broker::Broker;
use crate::config::Config;
use crate::config::{Kind, dynamic, find_key};
use crate::stored_configs::Scope;
use crate::topic_config::{self, BrokerLayers};
use crate::{client_metrics, error_map, group_config, topics};

pub(super) const TOPIC: i8 = 2;
pub(super) const BROKER: i8 = 4;
pub(super) const BROKER_LOGGER: i8 = 8;
pub(super) const CLIENT_METRICS: i8 = 16;
pub(super) const GROUP: i8 = 32;

/// A resource whose configs can be changed.
pub(super) enum Resource {
    Topic(Arc<Topic>),
    /// All brokers, which is to say the default of each.
    AllBrokers,
    ThisBroker,
    /// A group, which need not exist.
    Group(String),
    /// A client metrics subscription, which need not exist.
    ClientMetrics(String),
}

/// Finds the resource that a change names.
pub(super) fn resource(broker: &Broker, kind: i8, name: &str) -> Result<Resource, Failure> {
    match kind {
        TOPIC if name.is_empty() => Err(invalid_request("Default topic resources are not allowed.")),
        TOPIC => topic(broker, name),
        BROKER if name.is_empty() => Ok(Resource::AllBrokers),
        BROKER => this_broker(&broker.config, name).map(|()| Resource::ThisBroker),
        GROUP if name.is_empty() => Err(invalid_request("Default group resources are not allowed.")),
        GROUP => Ok(Resource::Group(name.to_owned())),
        CLIENT_METRICS if name.is_empty() => Err(invalid_request("Subscription name can't be empty")),
        CLIENT_METRICS => Ok(Resource::ClientMetrics(name.to_owned())),
        _ => Err(invalid_request(&format!("Unknown resource type {kind}"))),
    }
}

/// The topic called `name`.
pub(super) fn topic(broker: &Broker, name: &str) -> Result<Resource, Failure> {
    topics::validate_name(name).map_err(|why| (ErrorCode::InvalidTopicException, why))?;
    broker
        .store
        .topic(name)
        .map(Resource::Topic)
        .ok_or_else(|| (ErrorCode::UnknownTopicOrPartition, format!("The topic '{name}' does not exist.")))
}

/// Whether `name` is this broker's id, or that of another node that it plays: they have their configs in common.
pub(super) fn this_broker(config: &Config, name: &str) -> Result<(), Failure> {
    let node_id = config.node_id;
    match name.parse::<i32>() {
        Ok(id) if config.node_ids().contains(&id) => Ok(()),
        Ok(_) => {
            Err(invalid_request(&format!("Unexpected broker id, expected {node_id}, but received {name}")))
        }
        Err(_) => Err(invalid_request(&format!("Node id must be an integer, but it is: {name}"))),
    }
}

impl Resource {
    /// Where its configs are stored; a topic keeps its own.
    pub(super) fn scope(&self, broker: &Broker) -> Option<Scope<'_>> {
        match self {
            Self::Topic(_) => None,
            Self::AllBrokers => Some(Scope::AllBrokers),
            Self::ThisBroker => Some(Scope::Broker(broker.config.node_id)),
            Self::Group(name) => Some(Scope::Group(name)),
            Self::ClientMetrics(name) => Some(Scope::ClientMetrics(name)),
        }
    }

    /// Type and default of a config; `None` when the resource has no such config.
    pub(super) fn known(&self, name: &str) -> Option<(Kind, &'static str)> {
        match self {
            Self::Topic(_) => topic_config::find(name).map(|key| (key.kind, key.default)),
            Self::AllBrokers | Self::ThisBroker => dynamic::kind(name)
                .map(|kind| (kind, find_key(name).and_then(|key| key.default).unwrap_or_default())),
            Self::Group(_) => group_config::find(name).map(|key| (key.kind, "")),
            // Kafka appends to none of these, though two are lists.
            Self::ClientMetrics(_) => None,
        }
    }
}

/// Applies `change` to what is set on `resource`; only checks it with `validate_only`. Returns where it is durable.
pub(super) fn apply(
    broker: &Broker,
    resource: &Resource,
    validate_only: bool,
    change: impl FnOnce(&Configs) -> Result<Configs, Failure>,
) -> Result<Option<Position>, Failure> {
    let _one_at_a_time = broker.config_changes.lock().expect("nothing panics under this lock");
    let written = match (resource, resource.scope(broker)) {
        (Resource::Topic(topic), _) => {
            let configs = topic_config::validate(&change(&topic.configs())?)
                .map_err(|why| (ErrorCode::InvalidConfig, why))?;
            if validate_only {
                return Ok(None);
            }
            broker.store.set_topic_configs(topic, configs)
        }
        (_, Some(scope)) => {
            let all = broker.store.broker_configs();
            let configs = validate(broker, resource, &all, &change(&scope.of(&all))?)?;
            if validate_only {
                return Ok(None);
            }
            let advertised = configs.get("advertised.listeners").cloned();
            let before = all.get(&scope.stored_name("advertised.listeners"));
            let told = advertised.filter(|now| Some(now) != before);
            let mut after = all.as_ref().clone();
            scope.replace(&mut after, configs);
            let written = broker.store.set_broker_configs(after);
            if let (Some(advertised), Ok(_)) = (told, &written) {
                tracing::info!(
                    advertised,
                    "advertised.listeners was changed; clients are told it from now on"
                );
            }
            written
        }
        (_, None) => unreachable!("only a topic keeps its own configs"),
    };
    written.map(Some).map_err(|error: TopicError| (error_map::topic_error(&error), error.to_string()))
}

/// Checks all that is to be set on something that is no topic.
fn validate(
    broker: &Broker,
    resource: &Resource,
    all: &Configs,
    configs: &Configs,
) -> Result<Configs, Failure> {
    let layers = BrokerLayers { config: &broker.config, dynamic: all };
    let in_effect = |name: &str| -> Option<String> {
        let key = find_key(name)?;
        layers.settings(&[key.name]).into_iter().next().map(|top| top.value.into_owned())
    };
    match resource {
        Resource::Group(_) => {
            group_config::validate(&layers, configs).map_err(|why| (ErrorCode::InvalidConfig, why))
        }
        Resource::ClientMetrics(_) => client_metrics::validate(configs).map_err(|wrong| match wrong {
            client_metrics::Wrong::Config(why) => (ErrorCode::InvalidConfig, why),
            client_metrics::Wrong::Request(why) => (ErrorCode::InvalidRequest, why),
        }),
        // INVALID_REQUEST and not INVALID_CONFIG: what Kafka answers (KAFKA-13609).
        Resource::ThisBroker | Resource::AllBrokers | Resource::Topic(_) => {
            let per_broker = matches!(resource, Resource::ThisBroker);
            dynamic::validate(configs, per_broker, &in_effect).map_err(|why| invalid_request(&why))
        }
    }
}

/// Checks that hold for each resource of both APIs before anything is looked up.
pub(super) fn check_names<'a>(names: impl Iterator<Item = (&'a StrBytes, bool)>) -> Result<(), Failure> {
    let (mut seen, mut nulls) = (HashSet::new(), Vec::new());
    for (name, null) in names {
        if !seen.insert(name.as_str()) {
            return Err(invalid_request("Error due to duplicate config keys"));
        }
        if null {
            nulls.push(name.as_str());
        }
    }
    if nulls.is_empty() {
        return Ok(());
    }
    Err(invalid_request(&format!("Null value not supported for : {}", nulls.join(", "))))
}

/// What became of one resource of a request.
pub(super) struct Changed {
    pub(super) kind: i8,
    pub(super) name: StrBytes,
    pub(super) error: ErrorCode,
    pub(super) message: Option<StrBytes>,
}

/// Changes one resource after the other and answers, in the order asked, when all changes are durable. A resource that is
/// named more than once is not changed.
pub(super) fn change_each<R>(
    broker: &Arc<Broker>,
    resources: &[R],
    named: impl Fn(&R) -> (i8, &StrBytes),
    change: impl Fn(&R) -> Result<Option<Position>, Failure>,
    encode: impl FnOnce(Vec<Changed>) -> Response + 'static,
) -> Reply {
    let mut times: HashMap<(i8, &StrBytes), usize> = HashMap::new();
    for resource in resources {
        *times.entry(named(resource)).or_default() += 1;
    }
    let mut durable = None;
    let mut changed = Vec::with_capacity(resources.len());
    for resource in resources {
        let (kind, name) = named(resource);
        let outcome = match times.get(&(kind, name)) {
            Some(1) => change(resource),
            _ => Err(invalid_request("Each resource must appear at most once.")),
        };
        let (error, message) = match outcome {
            Ok(position) => {
                durable = durable.max(position);
                (ErrorCode::None, None)
            }
            Err((error, message)) => (error, (!message.is_empty()).then(|| StrBytes::from_string(message))),
        };
        changed.push(Changed { kind, name: name.clone(), error, message });
    }
    Reply::when_acknowledged(broker, durable, move |outcome| {
        if let Err(error) = outcome {
            changed
                .iter_mut()
                .filter(|changed| changed.error.is_none())
                .for_each(|changed| changed.error = error);
        }
        encode(changed)
    })
}

pub(super) fn invalid_request(why: &str) -> Failure {
    (ErrorCode::InvalidRequest, why.to_owned())
}
