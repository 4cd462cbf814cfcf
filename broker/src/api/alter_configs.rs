//! AlterConfigs (33), versions 0 to 2: replaces all configs that are set on a topic or broker.
//!
//! What the request does not name goes back to its default; IncrementalAlterConfigs is the API that does not. Each resource
//! has its own outcome, the answer waits until the changes are durable, and by then they hold.
//!
//! Deliberate gaps: broker loggers are INVALID_REQUEST, as a resource type that is not known.

use std::sync::Arc;

use protocol::layout::Layout;
use protocol::layouts;
use protocol::messages::alter_configs_request::AlterConfigsResource;
use protocol::messages::alter_configs_response::AlterConfigsResourceResponse;
use protocol::messages::{AlterConfigsRequest, AlterConfigsResponse, ApiKey};
use storage::Position;

use super::config_change::{apply, change_each, check_names, resource};
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
        let (version, validate_only) = (context.version(), request.validate_only);
        let change = |asked: &AlterConfigsResource| replace(broker, asked, validate_only);
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
                    &AlterConfigsResponse::default().with_responses(responses.collect()),
                    version,
                )
            },
        )
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
