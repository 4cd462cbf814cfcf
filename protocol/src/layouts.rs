//! The layout of every request that a client may send to a listener, by API key.
//!
//! Called by the broker's dispatch before `guard::check`. Invariant: a layout's versions are exactly those that the codec
//! crate and `newer` decode; what the broker advertises is a subset of them.

pub mod cluster;
pub mod data;
pub mod groups;
pub mod security;
pub mod share;
pub mod topics;
pub mod transactions;

use crate::layout::Layout;

/// Every layout, in ascending order of API key.
pub static ALL: &[&Layout] = &[
    &data::PRODUCE,
    &data::FETCH,
    &data::LIST_OFFSETS,
    &data::METADATA,
    &groups::OFFSET_COMMIT,
    &groups::OFFSET_FETCH,
    &groups::FIND_COORDINATOR,
    &groups::JOIN_GROUP,
    &groups::HEARTBEAT,
    &groups::LEAVE_GROUP,
    &groups::SYNC_GROUP,
    &groups::DESCRIBE_GROUPS,
    &groups::LIST_GROUPS,
    &cluster::SASL_HANDSHAKE,
    &cluster::API_VERSIONS,
    &topics::CREATE_TOPICS,
    &topics::DELETE_TOPICS,
    &data::DELETE_RECORDS,
    &transactions::INIT_PRODUCER_ID,
    &data::OFFSET_FOR_LEADER_EPOCH,
    &transactions::ADD_PARTITIONS_TO_TXN,
    &transactions::ADD_OFFSETS_TO_TXN,
    &transactions::END_TXN,
    &transactions::WRITE_TXN_MARKERS,
    &transactions::TXN_OFFSET_COMMIT,
    &security::DESCRIBE_ACLS,
    &security::CREATE_ACLS,
    &security::DELETE_ACLS,
    &topics::DESCRIBE_CONFIGS,
    &topics::ALTER_CONFIGS,
    &topics::ALTER_REPLICA_LOG_DIRS,
    &topics::DESCRIBE_LOG_DIRS,
    &cluster::SASL_AUTHENTICATE,
    &topics::CREATE_PARTITIONS,
    &security::CREATE_DELEGATION_TOKEN,
    &security::RENEW_DELEGATION_TOKEN,
    &security::EXPIRE_DELEGATION_TOKEN,
    &security::DESCRIBE_DELEGATION_TOKEN,
    &groups::DELETE_GROUPS,
    &topics::ELECT_LEADERS,
    &topics::INCREMENTAL_ALTER_CONFIGS,
    &topics::ALTER_PARTITION_REASSIGNMENTS,
    &topics::LIST_PARTITION_REASSIGNMENTS,
    &groups::OFFSET_DELETE,
    &security::DESCRIBE_CLIENT_QUOTAS,
    &security::ALTER_CLIENT_QUOTAS,
    &security::DESCRIBE_USER_SCRAM_CREDENTIALS,
    &security::ALTER_USER_SCRAM_CREDENTIALS,
    &cluster::DESCRIBE_QUORUM,
    &cluster::UPDATE_FEATURES,
    &cluster::DESCRIBE_CLUSTER,
    &transactions::DESCRIBE_PRODUCERS,
    &cluster::UNREGISTER_BROKER,
    &transactions::DESCRIBE_TRANSACTIONS,
    &transactions::LIST_TRANSACTIONS,
    &groups::CONSUMER_GROUP_HEARTBEAT,
    &groups::CONSUMER_GROUP_DESCRIBE,
    &cluster::GET_TELEMETRY_SUBSCRIPTIONS,
    &cluster::PUSH_TELEMETRY,
    &topics::LIST_CONFIG_RESOURCES,
    &data::DESCRIBE_TOPIC_PARTITIONS,
    &share::SHARE_GROUP_HEARTBEAT,
    &share::SHARE_GROUP_DESCRIBE,
    &share::SHARE_FETCH,
    &share::SHARE_ACKNOWLEDGE,
    &cluster::ADD_RAFT_VOTER,
    &cluster::REMOVE_RAFT_VOTER,
    &share::DESCRIBE_SHARE_GROUP_OFFSETS,
    &share::ALTER_SHARE_GROUP_OFFSETS,
    &share::DELETE_SHARE_GROUP_OFFSETS,
];

/// The layout of requests with this API key; `None` when no client listener takes them or the codec does not know them.
#[must_use]
pub fn layout(api_key: i16) -> Option<&'static Layout> {
    let at = ALL.binary_search_by_key(&api_key, |layout| layout.api_key).ok()?;
    ALL.get(at).copied()
}

/// Whether requests of this version have header v2 and compact lengths; `None` for a key or version without a layout.
/// In the shape that `RequestHeader::parse` asks for.
#[must_use]
pub fn is_flexible(api_key: i16, version: i16) -> Option<bool> {
    let layout = layout(api_key)?;
    layout.has_version(version).then(|| layout.is_flexible(version))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keys_ascend_and_each_finds_its_own_layout() {
        assert!(ALL.is_sorted_by(|a, b| a.api_key < b.api_key));
        for expected in ALL {
            assert_eq!(layout(expected.api_key).map(|found| found.name), Some(expected.name));
        }
        assert!(layout(4).is_none() && layout(-1).is_none() && layout(88).is_none());
    }

    #[test]
    fn flexibility_is_known_for_versions_with_a_layout_only() {
        assert_eq!((is_flexible(18, 2), is_flexible(18, 3)), (Some(false), Some(true)));
        assert_eq!((is_flexible(18, 6), is_flexible(0, 2), is_flexible(4, 0)), (None, None, None));
        assert_eq!(is_flexible(17, 1), Some(false));
    }
}
