//! IncrementalAlterConfigs (44), versions 0 and 1: sets, deletes, appends to and subtracts from single configs (KIP-339).
//!
//! Append and subtract work on lists; a list that is not set starts from its default, as in Kafka's
//! `ConfigurationControlManager`. Each resource changes as a whole or not at all, with its own outcome; the answer waits
//! until the changes are durable, and by then they hold.
//!
//! Broker configs can be changed where Kafka's can (`config::dynamic`); those that steer nothing here are kept and shown.
//!
//! Deliberate gaps: there are no broker loggers whose level could be changed.

use std::sync::Arc;

use protocol::layout::Layout;
use protocol::messages::incremental_alter_configs_request::{AlterConfigsResource, AlterableConfig};
use protocol::messages::incremental_alter_configs_response::AlterConfigsResourceResponse;
use protocol::messages::{ApiKey, IncrementalAlterConfigsRequest, IncrementalAlterConfigsResponse};
use protocol::{ErrorCode, layouts};
use storage::{Configs, Position};

use super::config_change::{
    self, BROKER_LOGGER, Resource, apply, change_each, check_names, invalid_request, resource,
};
use super::create_topics::Failure;
use super::{Api, Reply, RequestContext, Response};
use crate::broker::Broker;
use crate::config::Kind;
use crate::topic_config::list;

const SET: i8 = 0;
const DELETE: i8 = 1;
const APPEND: i8 = 2;
const SUBTRACT: i8 = 3;

pub(super) struct IncrementalAlterConfigs;

impl Api for IncrementalAlterConfigs {
    type Request = IncrementalAlterConfigsRequest;
    type Response = IncrementalAlterConfigsResponse;
    const KEY: ApiKey = ApiKey::IncrementalAlterConfigs;
    const LAYOUT: &'static Layout = &layouts::topics::INCREMENTAL_ALTER_CONFIGS;

    fn handle(
        broker: &Arc<Broker>,
        context: &RequestContext<'_>,
        request: IncrementalAlterConfigsRequest,
    ) -> Reply {
        let (version, validate_only) = (context.version(), request.validate_only);
        let change = |asked: &AlterConfigsResource| alter(broker, asked, validate_only);
        change_each(
            broker,
            &request.resources,
            |asked| (asked.resource_type, &asked.resource_name),
            change,
            move |changed| {
                let responses = changed.into_iter().map(|changed| {
                    AlterConfigsResourceResponse::default()
                        .with_resource_type(changed.kind)
                        .with_resource_name(changed.name)
                        .with_error_code(changed.error.code())
                        .with_error_message(changed.message)
                });
                Response::encode(
                    &IncrementalAlterConfigsResponse::default().with_responses(responses.collect()),
                    version,
                )
            },
        )
    }
}

fn alter(
    broker: &Broker,
    asked: &AlterConfigsResource,
    validate_only: bool,
) -> Result<Option<Position>, Failure> {
    let operations = &asked.configs;
    check_names(operations.iter().map(|operation| {
        (&operation.name, operation.config_operation != DELETE && operation.value.is_none())
    }))?;
    if asked.resource_type == BROKER_LOGGER {
        return alter_logger(broker, asked).map(|()| None);
    }
    let resource = resource(broker, asked.resource_type, &asked.resource_name)?;
    apply(broker, &resource, validate_only, |current| altered(&resource, current, operations))
}

fn altered(
    resource: &Resource,
    current: &Configs,
    operations: &[AlterableConfig],
) -> Result<Configs, Failure> {
    let mut configs = current.clone();
    for operation in operations {
        let name = operation.name.as_str();
        let value = operation.value.as_deref().unwrap_or_default();
        match operation.config_operation {
            SET => {
                configs.insert(name.to_owned(), value.to_owned());
            }
            DELETE => {
                configs.remove(name);
            }
            APPEND | SUBTRACT => {
                let verb = if operation.config_operation == APPEND { "APPEND" } else { "SUBTRACT" };
                let start = list_default(resource, name, verb)?;
                let current = configs.get(name).map_or(start, String::as_str);
                let changed =
                    if verb == "APPEND" { appended(current, value) } else { subtracted(current, value) };
                configs.insert(name.to_owned(), changed);
            }
            // Kafka stumbles over an operation that it does not know.
            _ => return Err((ErrorCode::UnknownServerError, String::new())),
        }
    }
    Ok(configs)
}

/// Default of a config that is a list.
///
/// # Errors
/// Kafka's sentence when it is none.
fn list_default(resource: &Resource, name: &str, verb: &str) -> Result<&'static str, Failure> {
    let why = match (resource.known(name), resource) {
        (Some((Kind::List(_), default)), _) => return Ok(default),
        (Some(_), Resource::AllBrokers | Resource::ThisBroker) => {
            format!("Config value {} is not allowed for config key: {name}", verb.to_ascii_lowercase())
        }
        (None, Resource::AllBrokers | Resource::ThisBroker) => format!("Unknown config name: {name}"),
        _ => format!("Can't {verb} to key {name} because its type is not LIST."),
    };
    Err((ErrorCode::InvalidConfig, why))
}

/// What Kafka answers about loggers that it does not have (`ConfigAdminManager.validateLogLevelConfigs`): there are none.
fn alter_logger(broker: &Broker, asked: &AlterConfigsResource) -> Result<(), Failure> {
    config_change::this_broker(&broker.config, &asked.resource_name)?;
    let Some(operation) = asked.configs.first() else { return Ok(()) };
    Err(match operation.config_operation {
        SET | DELETE => {
            (ErrorCode::InvalidConfig, format!("Logger {} does not exist!", operation.name.as_str()))
        }
        APPEND => invalid_request("APPEND operation is not allowed for the BROKER_LOGGER resource"),
        SUBTRACT => invalid_request("SUBTRACT operation is not allowed for the BROKER_LOGGER resource"),
        other => invalid_request(&format!("Unknown operations type {other}")),
    })
}

fn appended(current: &str, value: &str) -> String {
    let mut elements = list(current);
    for element in list(value) {
        if !elements.contains(&element) {
            elements.push(element);
        }
    }
    elements.join(",")
}

fn subtracted(current: &str, value: &str) -> String {
    let gone = list(value);
    let kept: Vec<&str> = list(current).into_iter().filter(|element| !gone.contains(element)).collect();
    kept.join(",")
}

#[cfg(test)]
mod unit_tests {
    use super::*;
    use protocol::StrBytes;

    fn operation(name: &'static str, operation: i8, value: Option<&'static str>) -> AlterableConfig {
        AlterableConfig::default()
            .with_name(name.into())
            .with_config_operation(operation)
            .with_value(value.map(StrBytes::from_static_str))
    }

    #[test]
    fn lists_grow_and_shrink_by_elements() {
        assert_eq!(appended("delete", "compact,delete"), "delete,compact");
        assert_eq!(appended("", "a"), "a");
        assert_eq!(subtracted("delete,compact", "delete"), "compact");
        assert_eq!(subtracted("delete", "x"), "delete");
    }

    #[test]
    fn operations_apply_in_order_to_what_is_set() {
        let current = Configs::from([("log.retention.ms".to_owned(), "1".to_owned())]);
        let operations = [
            operation("log.retention.ms", DELETE, None),
            operation("log.cleanup.policy", APPEND, Some("compact")),
            operation("message.max.bytes", SET, Some("5")),
        ];
        let expected = Configs::from([
            ("log.cleanup.policy".to_owned(), "delete,compact".to_owned()),
            ("message.max.bytes".to_owned(), "5".to_owned()),
        ]);
        assert_eq!(altered(&Resource::AllBrokers, &current, &operations), Ok(expected));
        let append = [operation("log.retention.ms", APPEND, Some("1"))];
        let refused = altered(&Resource::AllBrokers, &current, &append).unwrap_err();
        assert_eq!(refused.1, "Config value append is not allowed for config key: log.retention.ms");
        assert!(altered(&Resource::AllBrokers, &current, &[operation("a", 9, Some("1"))]).is_err());
    }
}
