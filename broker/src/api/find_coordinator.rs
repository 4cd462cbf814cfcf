//! FindCoordinator (10), versions 0 to 6: which broker coordinates a group or a transactional id.
//!
//! This node coordinates everything. Version 0 knows groups only, 1 adds the key type, 4 asks for many keys at once, 6 adds
//! share groups (key type 2). A key type that the version does not have is INVALID_REQUEST. Kafka makes the coordinator's
//! topic at this moment; here it is made when the first group writes, so there is nothing to wait for.
//!
//! Deliberate gaps: share groups are not served, their keys are answered COORDINATOR_NOT_AVAILABLE.

use std::sync::Arc;

use protocol::layout::Layout;
use protocol::messages::find_coordinator_response::Coordinator;
use protocol::messages::{ApiKey, FindCoordinatorRequest, FindCoordinatorResponse};
use protocol::{ErrorCode, StrBytes, layouts};

use super::{Api, Reply, RequestContext};
use crate::broker::Broker;

const GROUP: i8 = 0;
const TRANSACTION: i8 = 1;
const SHARE: i8 = 2;

pub(super) struct FindCoordinator;

impl Api for FindCoordinator {
    type Request = FindCoordinatorRequest;
    type Response = FindCoordinatorResponse;
    const KEY: ApiKey = ApiKey::FindCoordinator;
    const LAYOUT: &'static Layout = &layouts::groups::FIND_COORDINATOR;

    fn handle(broker: &Arc<Broker>, context: &RequestContext<'_>, request: FindCoordinatorRequest) -> Reply {
        let version = context.version();
        let find = |key: StrBytes| coordinator(broker, context, request.key_type, key);
        let response = if version >= 4 {
            let coordinators = request.coordinator_keys.into_iter().map(find).collect();
            FindCoordinatorResponse::default().with_coordinators(coordinators)
        } else {
            let found = find(request.key);
            let response = FindCoordinatorResponse::default()
                .with_error_code(found.error_code)
                .with_node_id(found.node_id)
                .with_host(found.host)
                .with_port(found.port);
            if version >= 1 { response.with_error_message(found.error_message) } else { response }
        };
        context.reply(&response)
    }
}

fn coordinator(broker: &Broker, context: &RequestContext<'_>, key_type: i8, key: StrBytes) -> Coordinator {
    let error = match key_type {
        GROUP => None,
        TRANSACTION if key.is_empty() => Some(ErrorCode::InvalidRequest),
        TRANSACTION => None,
        SHARE if context.version() >= 6 => Some(ErrorCode::CoordinatorNotAvailable),
        _ => Some(ErrorCode::InvalidRequest),
    };
    let found = Coordinator::default().with_key(key);
    match error {
        Some(error) => found
            .with_node_id((-1).into())
            .with_port(-1)
            .with_error_code(error.code())
            .with_error_message(Some(StrBytes::from_static_str(error.name()))),
        None => {
            let (host, port) = &context.connection.advertised;
            found
                .with_node_id(broker.config.node_id.into())
                .with_host(host.clone())
                .with_port(i32::from(*port))
                .with_error_message(Some(StrBytes::from_static_str("NONE")))
        }
    }
}
