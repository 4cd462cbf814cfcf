//! FindCoordinator (10), versions 0 to 6: which broker coordinates a group or a transactional id.
//!
//! This broker coordinates everything; among virtual nodes it is who leads the partition that keeps the key. Version 0
//! knows groups only, 1 adds the key type, 4 asks for many keys at once, 6 adds share groups (key type 2). A key type that the version does not have, or a key that is none of a share group, is
//! INVALID_REQUEST. The coordinator's topic is made at this moment, and here it is there at once.

use std::sync::Arc;

use protocol::layout::Layout;
use protocol::messages::find_coordinator_response::Coordinator;
use protocol::messages::{ApiKey, FindCoordinatorRequest, FindCoordinatorResponse};
use protocol::{ErrorCode, StrBytes, layouts};

use super::{Api, Reply, RequestContext};
use crate::broker::Broker;
use crate::topics::{self, OFFSETS_TOPIC, SHARE_STATE_TOPIC, TRANSACTIONS_TOPIC};

const GROUP: i8 = 0;
const TRANSACTION: i8 = 1;
const SHARE: i8 = 2;
/// Kafka's own message for INVALID_REQUEST.
pub(super) const MALFORMED: &str = "This most likely occurs because of a request being malformed by the client library or the message was sent to an incompatible broker. See the broker logs for more details.";

pub(super) struct FindCoordinator;

impl Api for FindCoordinator {
    type Request = FindCoordinatorRequest;
    type Response = FindCoordinatorResponse;
    const KEY: ApiKey = ApiKey::FindCoordinator;
    const LAYOUT: &'static Layout = &layouts::groups::FIND_COORDINATOR;

    fn handle(broker: &Arc<Broker>, context: &RequestContext<'_>, request: FindCoordinatorRequest) -> Reply {
        let version = context.version();
        let key_type = request.key_type;
        let find = |key: StrBytes| coordinator(broker, context, key_type, key);
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
            let message = if found.error_code == ErrorCode::None.code() { "NONE" } else { MALFORMED };
            let message = Some(StrBytes::from_static_str(message));
            if version >= 1 { response.with_error_message(message) } else { response }
        };
        context.reply(&response)
    }
}

/// Without a message, as Kafka's, but for a key type that makes the whole request wrong.
fn coordinator(broker: &Broker, context: &RequestContext<'_>, key_type: i8, key: StrBytes) -> Coordinator {
    let (error, message) = match key_type {
        GROUP => (without_topic(broker, OFFSETS_TOPIC), ""),
        TRANSACTION => (without_topic(broker, TRANSACTIONS_TOPIC), ""),
        SHARE if context.version() >= 6 && is_share_key(&key) => {
            (without_topic(broker, SHARE_STATE_TOPIC), "")
        }
        SHARE => (Some(ErrorCode::InvalidRequest), ""),
        _ => (Some(ErrorCode::InvalidRequest), MALFORMED),
    };
    let node = match (error, key_type) {
        (Some(error), _) => Err(error),
        (None, GROUP) => Ok(context.coordinator(broker, OFFSETS_TOPIC, &key)),
        (None, SHARE) => Ok(context.coordinator(broker, SHARE_STATE_TOPIC, &key)),
        (None, _) => Ok(context.coordinator(broker, TRANSACTIONS_TOPIC, &key)),
    };
    let found =
        Coordinator::default().with_key(key).with_error_message(Some(StrBytes::from_static_str(message)));
    match node.and_then(|node| node.ok_or(ErrorCode::CoordinatorNotAvailable)) {
        Err(error) => found.with_node_id((-1).into()).with_port(-1).with_error_code(error.code()),
        Ok(node) => found.with_node_id(node.id.into()).with_host(node.host).with_port(i32::from(node.port)),
    }
}

/// The error to give while the topic cannot be made.
fn without_topic(broker: &Broker, name: &str) -> Option<ErrorCode> {
    topics::find_or_create_internal(broker, name).err().map(|_| ErrorCode::CoordinatorNotAvailable)
}

/// Group, topic id and partition (Kafka `SharePartitionKey.validate`).
fn is_share_key(key: &str) -> bool {
    let parts: Vec<_> = key.split(':').collect();
    let [group, topic_id, partition] = parts[..] else { return false };
    let of_id = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_');
    !group.trim().is_empty()
        && topic_id.len() == 22
        && topic_id.bytes().all(of_id)
        && partition.parse::<i32>().is_ok()
}

#[cfg(test)]
mod unit_tests {
    use super::is_share_key;

    #[test]
    fn share_keys_have_a_group_a_topic_id_and_a_partition() {
        assert!(is_share_key("g:AAAAAAAAAAAAAAAAAAAAAg:0"));
        for wrong in ["", "g", "g:AAAAAAAAAAAAAAAAAAAAAg", " :AAAAAAAAAAAAAAAAAAAAAg:0", "g:short:0"] {
            assert!(!is_share_key(wrong), "{wrong}");
        }
        assert!(!is_share_key("g:AAAAAAAAAAAAAAAAAAAAAg:zero"));
    }
}
