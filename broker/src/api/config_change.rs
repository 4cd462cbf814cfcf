//! Changing the configs of a topic or of the broker: what AlterConfigs and IncrementalAlterConfigs have in common.
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
use crate::config::{KEYS, Key};
use crate::topic_config::{self, TOPIC_KEYS, canonical, per_broker_key};
use crate::{error_map, topics};

pub(super) const TOPIC: i8 = 2;
pub(super) const BROKER: i8 = 4;
pub(super) const BROKER_LOGGER: i8 = 8;

/// A resource whose configs can be changed.
pub(super) enum Resource {
    Topic(Arc<Topic>),
    /// All brokers, which is to say the default of each.
    AllBrokers,
    ThisBroker,
}

/// Finds the resource that a request names.
pub(super) fn resource(broker: &Broker, kind: i8, name: &str) -> Result<Resource, Failure> {
    match kind {
        TOPIC if name.is_empty() => Err(invalid_request("Default topic resources are not allowed.")),
        TOPIC => {
            topics::validate_name(name).map_err(|why| (ErrorCode::InvalidTopicException, why))?;
            broker.store.topic(name).map(Resource::Topic).ok_or_else(|| {
                (ErrorCode::UnknownTopicOrPartition, format!("The topic '{name}' does not exist."))
            })
        }
        BROKER if name.is_empty() => Ok(Resource::AllBrokers),
        BROKER => this_broker(broker.config.node_id, name).map(|()| Resource::ThisBroker),
        _ => Err(invalid_request(&format!("Unknown resource type {kind}"))),
    }
}

fn this_broker(node_id: i32, name: &str) -> Result<(), Failure> {
    match name.parse::<i32>() {
        Ok(id) if id == node_id => Ok(()),
        Ok(_) => {
            Err(invalid_request(&format!("Unexpected broker id, expected {node_id}, but received {name}")))
        }
        Err(_) => Err(invalid_request(&format!("Node id must be an integer, but it is: {name}"))),
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
    let written = match resource {
        Resource::Topic(topic) => {
            let configs = topic_config::validate(&change(&topic.configs())?)
                .map_err(|why| (ErrorCode::InvalidConfig, why))?;
            if validate_only {
                return Ok(None);
            }
            broker.store.set_topic_configs(topic, configs)
        }
        Resource::AllBrokers | Resource::ThisBroker => {
            let scope =
                Scope { node_id: matches!(resource, Resource::ThisBroker).then_some(broker.config.node_id) };
            let all = broker.store.broker_configs();
            let configs = validate_broker(change(&scope.of(&all))?)?;
            if validate_only {
                return Ok(None);
            }
            broker.store.set_broker_configs(scope.replaced(&all, configs))
        }
    };
    written.map(Some).map_err(|error: TopicError| (error_map::topic_error(&error), error.to_string()))
}

/// Which part of the stored broker configs is meant.
struct Scope {
    /// One broker, or the default of all.
    node_id: Option<i32>,
}

impl Scope {
    fn plain_name<'a>(&self, stored: &'a str) -> Option<&'a str> {
        match (self.node_id, stored.split_once('/')) {
            (None, None) => Some(stored),
            (Some(node_id), Some((id, name))) if id.parse() == Ok(node_id) => Some(name),
            _ => None,
        }
    }

    fn of(&self, all: &Configs) -> Configs {
        let part = all
            .iter()
            .filter_map(|(stored, value)| Some((self.plain_name(stored)?.to_owned(), value.clone())));
        part.collect()
    }

    fn replaced(&self, all: &Configs, part: Configs) -> Configs {
        let others = all.iter().filter(|(stored, _)| self.plain_name(stored).is_none());
        let mut merged: Configs = others.map(|(stored, value)| (stored.clone(), value.clone())).collect();
        merged.extend(part.into_iter().map(|(name, value)| match self.node_id {
            Some(node_id) => (per_broker_key(node_id, &name), value),
            None => (name, value),
        }));
        merged
    }
}

/// Broker configs that take effect without a restart: those behind topic configs, which are looked up on every use.
pub(super) fn is_dynamic(name: &str) -> bool {
    TOPIC_KEYS.iter().flat_map(|key| key.synonyms).any(|synonym| synonym.key == name)
}

fn validate_broker(configs: Configs) -> Result<Configs, Failure> {
    let mut checked = Configs::new();
    for (name, value) in configs {
        let key =
            known(&name).ok_or_else(|| (ErrorCode::InvalidConfig, format!("Unknown config name: {name}")))?;
        if !is_dynamic(&name) {
            return Err(invalid_request(&format!("Cannot update these configs dynamically: Set({name})")));
        }
        // INVALID_REQUEST and not INVALID_CONFIG: what Kafka answers (KAFKA-13609).
        let value = canonical(&name, key.kind, &value).map_err(|why| invalid_request(&why))?;
        checked.insert(name, value);
    }
    Ok(checked)
}

/// The broker config called `name`.
pub(super) fn known(name: &str) -> Option<&'static Key> {
    KEYS.iter().find(|key| key.name == name)
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
            Err((error, message)) => (error, Some(StrBytes::from_string(message))),
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

#[cfg(test)]
mod unit_tests {
    use super::*;

    fn configs(pairs: &[(&str, &str)]) -> Configs {
        pairs.iter().map(|(key, value)| ((*key).to_owned(), (*value).to_owned())).collect()
    }

    #[test]
    fn configs_of_one_broker_and_of_all_are_kept_apart() {
        let all = configs(&[("a", "1"), ("3/a", "2"), ("4/a", "3")]);
        let (every, three) = (Scope { node_id: None }, Scope { node_id: Some(3) });
        assert_eq!(every.of(&all), configs(&[("a", "1")]));
        assert_eq!(three.of(&all), configs(&[("a", "2")]));
        assert_eq!(
            three.replaced(&all, configs(&[("b", "9")])),
            configs(&[("a", "1"), ("3/b", "9"), ("4/a", "3")])
        );
        assert_eq!(every.replaced(&all, Configs::new()), configs(&[("3/a", "2"), ("4/a", "3")]));
    }

    #[test]
    fn broker_configs_must_be_known_dynamic_and_of_their_type() {
        assert_eq!(
            validate_broker(configs(&[("log.retention.ms", "7")])),
            Ok(configs(&[("log.retention.ms", "7")]))
        );
        let error = |name: &str, value: &str| validate_broker(configs(&[(name, value)])).unwrap_err().0;
        assert_eq!(error("nope", "1"), ErrorCode::InvalidConfig);
        assert_eq!(error("num.io.threads", "1"), ErrorCode::InvalidRequest);
        assert_eq!(error("log.retention.ms", "x"), ErrorCode::InvalidRequest);
    }
}
