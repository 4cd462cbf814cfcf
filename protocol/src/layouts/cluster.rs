//! Layouts of requests about the connection and the cluster: negotiation, SASL, telemetry, quorum.
//!
//! A table, one row per field, from the field facts of Kafka's message schemas; exempt from the file size rule.

use kafka_protocol::messages::{add_raft_voter_request, describe_quorum_request, update_features_request};

use crate::layout::Kind::{One, Structs};
use crate::layout::Primitive::{Bool, Bytes, Int8, Int16, Int32, String, Uint16, Uuid};
use crate::layout::{Field, Layout, field};

/// SaslHandshake, key 17, versions 0-1.
pub static SASL_HANDSHAKE: Layout = Layout {
    api_key: 17,
    name: "SaslHandshake",
    versions: (0, 1),
    flexible_from: None,
    fields: &[field("Mechanism", One(String), 0, 1)],
};

/// ApiVersions, key 18, versions 0-5.
pub static API_VERSIONS: Layout = Layout {
    api_key: 18,
    name: "ApiVersions",
    versions: (0, 5),
    flexible_from: Some(3),
    fields: &[
        field("ClientSoftwareName", One(String), 3, 5),
        field("ClientSoftwareVersion", One(String), 3, 5),
        field("ClusterId", One(String), 5, 5).nullable(5, 5),
        field("NodeId", One(Int32), 5, 5),
    ],
};

/// SaslAuthenticate, key 36, versions 0-2.
pub static SASL_AUTHENTICATE: Layout = Layout {
    api_key: 36,
    name: "SaslAuthenticate",
    versions: (0, 2),
    flexible_from: Some(2),
    fields: &[field("AuthBytes", One(Bytes), 0, 2)],
};

const PARTITION_DATA: &[Field] = &[field("PartitionIndex", One(Int32), 0, 2)];

const TOPIC_DATA: &[Field] = &[
    field("TopicName", One(String), 0, 2),
    field("Partitions", Structs(PARTITION_DATA, size_of::<describe_quorum_request::PartitionData>()), 0, 2),
];

/// DescribeQuorum, key 55, versions 0-2.
pub static DESCRIBE_QUORUM: Layout = Layout {
    api_key: 55,
    name: "DescribeQuorum",
    versions: (0, 2),
    flexible_from: Some(0),
    fields: &[field("Topics", Structs(TOPIC_DATA, size_of::<describe_quorum_request::TopicData>()), 0, 2)],
};

const FEATURE_UPDATE_KEY: &[Field] = &[
    field("Feature", One(String), 0, 2),
    field("MaxVersionLevel", One(Int16), 0, 2),
    field("AllowDowngrade", One(Bool), 0, 0),
    field("UpgradeType", One(Int8), 1, 2),
];

/// UpdateFeatures, key 57, versions 0-2.
pub static UPDATE_FEATURES: Layout = Layout {
    api_key: 57,
    name: "UpdateFeatures",
    versions: (0, 2),
    flexible_from: Some(0),
    fields: &[
        field("timeoutMs", One(Int32), 0, 2),
        field(
            "FeatureUpdates",
            Structs(FEATURE_UPDATE_KEY, size_of::<update_features_request::FeatureUpdateKey>()),
            0,
            2,
        ),
        field("ValidateOnly", One(Bool), 1, 2),
    ],
};

/// DescribeCluster, key 60, versions 0-2.
pub static DESCRIBE_CLUSTER: Layout = Layout {
    api_key: 60,
    name: "DescribeCluster",
    versions: (0, 2),
    flexible_from: Some(0),
    fields: &[
        field("IncludeClusterAuthorizedOperations", One(Bool), 0, 2),
        field("EndpointType", One(Int8), 1, 2),
        field("IncludeFencedBrokers", One(Bool), 2, 2),
    ],
};

/// UnregisterBroker, key 64, versions 0-0.
pub static UNREGISTER_BROKER: Layout = Layout {
    api_key: 64,
    name: "UnregisterBroker",
    versions: (0, 0),
    flexible_from: Some(0),
    fields: &[field("BrokerId", One(Int32), 0, 0)],
};

/// GetTelemetrySubscriptions, key 71, versions 0-0.
pub static GET_TELEMETRY_SUBSCRIPTIONS: Layout = Layout {
    api_key: 71,
    name: "GetTelemetrySubscriptions",
    versions: (0, 0),
    flexible_from: Some(0),
    fields: &[field("ClientInstanceId", One(Uuid), 0, 0)],
};

/// PushTelemetry, key 72, versions 0-0.
pub static PUSH_TELEMETRY: Layout = Layout {
    api_key: 72,
    name: "PushTelemetry",
    versions: (0, 0),
    flexible_from: Some(0),
    fields: &[
        field("ClientInstanceId", One(Uuid), 0, 0),
        field("SubscriptionId", One(Int32), 0, 0),
        field("Terminating", One(Bool), 0, 0),
        field("CompressionType", One(Int8), 0, 0),
        field("Metrics", One(Bytes), 0, 0),
    ],
};

const LISTENER: &[Field] =
    &[field("Name", One(String), 0, 1), field("Host", One(String), 0, 1), field("Port", One(Uint16), 0, 1)];

/// AddRaftVoter, key 80, versions 0-1.
pub static ADD_RAFT_VOTER: Layout = Layout {
    api_key: 80,
    name: "AddRaftVoter",
    versions: (0, 1),
    flexible_from: Some(0),
    fields: &[
        field("ClusterId", One(String), 0, 1).nullable(0, 1),
        field("TimeoutMs", One(Int32), 0, 1),
        field("VoterId", One(Int32), 0, 1),
        field("VoterDirectoryId", One(Uuid), 0, 1),
        field("Listeners", Structs(LISTENER, size_of::<add_raft_voter_request::Listener>()), 0, 1),
        field("AckWhenCommitted", One(Bool), 1, 1),
    ],
};

/// RemoveRaftVoter, key 81, versions 0-0.
pub static REMOVE_RAFT_VOTER: Layout = Layout {
    api_key: 81,
    name: "RemoveRaftVoter",
    versions: (0, 0),
    flexible_from: Some(0),
    fields: &[
        field("ClusterId", One(String), 0, 0).nullable(0, 0),
        field("VoterId", One(Int32), 0, 0),
        field("VoterDirectoryId", One(Uuid), 0, 0),
    ],
};
