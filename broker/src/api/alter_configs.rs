//! AlterConfigs (33), versions 0 to 2: replaces all configs that are set on a topic or broker.
//!
//! What the request does not name goes back to its default; IncrementalAlterConfigs is the API that does not. Each resource
//! has its own outcome, the answer waits until the changes are durable, and by then they hold.
//!
//! Deliberate gaps: client metrics and group configs are INVALID_REQUEST, as resource types that are not known. Broker
//! configs can be changed where they are defaults of topic configs.

use std::sync::Arc;

use protocol::layout::Layout;
use protocol::messages::alter_configs_request::AlterConfigsResource;
use protocol::messages::alter_configs_response::AlterConfigsResourceResponse;
use protocol::messages::{AlterConfigsRequest, AlterConfigsResponse, ApiKey};
use protocol::{StrBytes, layouts};
use storage::Position;

use super::config_change::{self, apply, check_names, named_twice, resource};
use super::create_topics::Failure;
use super::{Api, Reply, RequestContext, Response};
use crate::broker::Broker;

pub(super) struct AlterConfigs;

impl Api for AlterConfigs {
    type Request = AlterConfigsRequest;
    type Response = AlterConfigsResponse;
    const KEY: ApiKey = ApiKey::AlterConfigs;
    const LAYOUT: &'static Layout = &layouts::topics::ALTER_CONFIGS;

    fn handle(broker: &Arc<Broker>, context: &RequestContext<'_>, request: AlterConfigsRequest) -> Reply {
        let version = context.version();
        let times = config_change::times(
            request.resources.iter().map(|asked| (asked.resource_type, &asked.resource_name)),
        );
        let mut durable = None;
        let mut responses: Vec<AlterConfigsResourceResponse> = Vec::with_capacity(request.resources.len());
        for asked in request.resources {
            let outcome = match times.get(&(asked.resource_type, asked.resource_name.to_string())) {
                Some(1) => replace(broker, &asked, request.validate_only),
                _ => Err(named_twice()),
            };
            let response = AlterConfigsResourceResponse::default()
                .with_resource_type(asked.resource_type)
                .with_resource_name(asked.resource_name);
            responses.push(match outcome {
                Ok(position) => {
                    durable = durable.max(position);
                    response.with_error_message(None)
                }
                Err((error, message)) => response
                    .with_error_code(error.code())
                    .with_error_message(Some(StrBytes::from_string(message))),
            });
        }
        Reply::when_acknowledged(broker, durable, move |outcome| {
            if let Err(error) = outcome {
                responses.iter_mut().filter(|response| response.error_code == 0).for_each(|response| {
                    response.error_code = error.code();
                });
            }
            Response::encode(&AlterConfigsResponse::default().with_responses(responses), version)
        })
    }
}

fn replace(
    broker: &Broker,
    asked: &AlterConfigsResource,
    validate_only: bool,
) -> Result<Option<Position>, Failure> {
    check_names(asked.configs.iter().map(|config| (&config.name, config.value.is_none())))?;
    let resource = resource(broker, asked.resource_type, &asked.resource_name)?;
    apply(broker, &resource, validate_only, |_| {
        let given = asked
            .configs
            .iter()
            .map(|config| (config.name.to_string(), config.value.as_deref().unwrap_or_default().to_owned()));
        Ok(given.collect())
    })
}
