//! ListConfigResources (74), versions 0 and 1: what has configs, by name (KIP-1142; version 0 was ListClientMetricsResources).
//!
//! Version 0 lists client metrics subscriptions. Version 1 names the types that are wanted, none meaning all five: topics,
//! this broker, its loggers (named by the broker), subscriptions, and the groups that have configs of their own. A type
//! that the version does not have is UNSUPPORTED_VERSION (`KafkaApis.handleListConfigResources`).

use std::sync::Arc;

use protocol::layout::Layout;
use protocol::messages::list_config_resources_response::ConfigResource;
use protocol::messages::{ApiKey, ListConfigResourcesRequest, ListConfigResourcesResponse};
use protocol::{ErrorCode, StrBytes, layouts};

use super::config_change::{BROKER, BROKER_LOGGER, CLIENT_METRICS, GROUP, TOPIC};
use super::{Api, Reply, RequestContext};
use crate::broker::Broker;
use crate::stored_configs;

const ALL: &[i8] = &[TOPIC, BROKER, BROKER_LOGGER, CLIENT_METRICS, GROUP];

pub(super) struct ListConfigResources;

impl Api for ListConfigResources {
    type Request = ListConfigResourcesRequest;
    type Response = ListConfigResourcesResponse;
    const KEY: ApiKey = ApiKey::ListConfigResources;
    const LAYOUT: &'static Layout = &layouts::topics::LIST_CONFIG_RESOURCES;

    fn handle(
        broker: &Arc<Broker>,
        context: &RequestContext<'_>,
        request: ListConfigResourcesRequest,
    ) -> Reply {
        let version = context.version();
        let types: &[i8] = match request.resource_types.as_slice() {
            _ if version == 0 => &[CLIENT_METRICS],
            [] => ALL,
            types => types,
        };
        if types.iter().any(|kind| !ALL.contains(kind)) {
            let error = ErrorCode::UnsupportedVersion.code();
            return context.reply(&ListConfigResourcesResponse::default().with_error_code(error));
        }
        let mut resources = Vec::new();
        for kind in ALL.iter().filter(|kind| types.contains(kind)) {
            resources.extend(names(broker, *kind).into_iter().map(|name| {
                let resource = ConfigResource::default().with_resource_name(StrBytes::from_string(name));
                if version == 0 { resource } else { resource.with_resource_type(*kind) }
            }));
        }
        context.reply(&ListConfigResourcesResponse::default().with_config_resources(resources))
    }
}

fn names(broker: &Broker, kind: i8) -> Vec<String> {
    let dynamic = broker.store.broker_configs();
    match kind {
        TOPIC => broker.store.topics().iter().map(|topic| topic.name().to_string()).collect(),
        BROKER | BROKER_LOGGER => broker.config.node_ids().map(|id| id.to_string()).collect(),
        CLIENT_METRICS => stored_configs::client_metrics(&dynamic).into_iter().collect(),
        GROUP => stored_configs::groups(&dynamic).into_iter().collect(),
        other => unreachable!("type {other} was refused"),
    }
}
