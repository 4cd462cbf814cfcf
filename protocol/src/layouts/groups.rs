//! Layouts of requests about groups and their offsets.
//!
//! A table, one row per field, from the field facts of Kafka's message schemas; exempt from the file size rule.

use kafka_protocol::messages::{
    consumer_group_heartbeat_request, join_group_request, leave_group_request, offset_commit_request,
    offset_delete_request, offset_fetch_request, sync_group_request,
};

use crate::layout::Kind::{Array, One, Structs};
use crate::layout::Primitive::{Bool, Bytes, Int8, Int32, Int64, String, Uuid};
use crate::layout::{Field, Layout, field};

const OFFSET_COMMIT_REQUEST_PARTITION: &[Field] = &[
    field("PartitionIndex", One(Int32), 2, 10),
    field("CommittedOffset", One(Int64), 2, 10),
    field("CommittedLeaderEpoch", One(Int32), 6, 10),
    field("CommittedMetadata", One(String), 2, 10).nullable(2, 10),
];

const OFFSET_COMMIT_REQUEST_TOPIC: &[Field] = &[
    field("Name", One(String), 2, 9),
    field("TopicId", One(Uuid), 10, 10),
    field(
        "Partitions",
        Structs(
            OFFSET_COMMIT_REQUEST_PARTITION,
            size_of::<offset_commit_request::OffsetCommitRequestPartition>(),
        ),
        2,
        10,
    ),
];

/// OffsetCommit, key 8, versions 2-10.
pub static OFFSET_COMMIT: Layout = Layout {
    api_key: 8,
    name: "OffsetCommit",
    versions: (2, 10),
    flexible_from: Some(8),
    fields: &[
        field("GroupId", One(String), 2, 10),
        field("GenerationIdOrMemberEpoch", One(Int32), 2, 10),
        field("MemberId", One(String), 2, 10),
        field("GroupInstanceId", One(String), 7, 10).nullable(7, 10),
        field("RetentionTimeMs", One(Int64), 2, 4),
        field(
            "Topics",
            Structs(
                OFFSET_COMMIT_REQUEST_TOPIC,
                size_of::<offset_commit_request::OffsetCommitRequestTopic>(),
            ),
            2,
            10,
        ),
    ],
};

const OFFSET_FETCH_REQUEST_TOPIC: &[Field] =
    &[field("Name", One(String), 1, 7), field("PartitionIndexes", Array(Int32), 1, 7)];

const OFFSET_FETCH_REQUEST_TOPICS: &[Field] = &[
    field("Name", One(String), 8, 9),
    field("TopicId", One(Uuid), 10, 10),
    field("PartitionIndexes", Array(Int32), 8, 10),
];

const OFFSET_FETCH_REQUEST_GROUP: &[Field] = &[
    field("GroupId", One(String), 8, 10),
    field("MemberId", One(String), 9, 10).nullable(9, 10),
    field("MemberEpoch", One(Int32), 9, 10),
    field(
        "Topics",
        Structs(OFFSET_FETCH_REQUEST_TOPICS, size_of::<offset_fetch_request::OffsetFetchRequestTopics>()),
        8,
        10,
    )
    .nullable(8, 10),
];

/// OffsetFetch, key 9, versions 1-10.
pub static OFFSET_FETCH: Layout = Layout {
    api_key: 9,
    name: "OffsetFetch",
    versions: (1, 10),
    flexible_from: Some(6),
    fields: &[
        field("GroupId", One(String), 1, 7),
        field(
            "Topics",
            Structs(OFFSET_FETCH_REQUEST_TOPIC, size_of::<offset_fetch_request::OffsetFetchRequestTopic>()),
            1,
            7,
        )
        .nullable(2, 7),
        field(
            "Groups",
            Structs(OFFSET_FETCH_REQUEST_GROUP, size_of::<offset_fetch_request::OffsetFetchRequestGroup>()),
            8,
            10,
        ),
        field("RequireStable", One(Bool), 7, 10),
    ],
};

/// FindCoordinator, key 10, versions 0-6.
pub static FIND_COORDINATOR: Layout = Layout {
    api_key: 10,
    name: "FindCoordinator",
    versions: (0, 6),
    flexible_from: Some(3),
    fields: &[
        field("Key", One(String), 0, 3),
        field("KeyType", One(Int8), 1, 6),
        field("CoordinatorKeys", Array(String), 4, 6),
    ],
};

const JOIN_GROUP_REQUEST_PROTOCOL: &[Field] =
    &[field("Name", One(String), 0, 9), field("Metadata", One(Bytes), 0, 9)];

/// JoinGroup, key 11, versions 0-9.
pub static JOIN_GROUP: Layout = Layout {
    api_key: 11,
    name: "JoinGroup",
    versions: (0, 9),
    flexible_from: Some(6),
    fields: &[
        field("GroupId", One(String), 0, 9),
        field("SessionTimeoutMs", One(Int32), 0, 9),
        field("RebalanceTimeoutMs", One(Int32), 1, 9),
        field("MemberId", One(String), 0, 9),
        field("GroupInstanceId", One(String), 5, 9).nullable(5, 9),
        field("ProtocolType", One(String), 0, 9),
        field(
            "Protocols",
            Structs(JOIN_GROUP_REQUEST_PROTOCOL, size_of::<join_group_request::JoinGroupRequestProtocol>()),
            0,
            9,
        ),
        field("Reason", One(String), 8, 9).nullable(8, 9),
    ],
};

/// Heartbeat, key 12, versions 0-4.
pub static HEARTBEAT: Layout = Layout {
    api_key: 12,
    name: "Heartbeat",
    versions: (0, 4),
    flexible_from: Some(4),
    fields: &[
        field("GroupId", One(String), 0, 4),
        field("GenerationId", One(Int32), 0, 4),
        field("MemberId", One(String), 0, 4),
        field("GroupInstanceId", One(String), 3, 4).nullable(3, 4),
    ],
};

const MEMBER_IDENTITY: &[Field] = &[
    field("MemberId", One(String), 3, 5),
    field("GroupInstanceId", One(String), 3, 5).nullable(3, 5),
    field("Reason", One(String), 5, 5).nullable(5, 5),
];

/// LeaveGroup, key 13, versions 0-5.
pub static LEAVE_GROUP: Layout = Layout {
    api_key: 13,
    name: "LeaveGroup",
    versions: (0, 5),
    flexible_from: Some(4),
    fields: &[
        field("GroupId", One(String), 0, 5),
        field("MemberId", One(String), 0, 2),
        field("Members", Structs(MEMBER_IDENTITY, size_of::<leave_group_request::MemberIdentity>()), 3, 5),
    ],
};

const SYNC_GROUP_REQUEST_ASSIGNMENT: &[Field] =
    &[field("MemberId", One(String), 0, 5), field("Assignment", One(Bytes), 0, 5)];

/// SyncGroup, key 14, versions 0-5.
pub static SYNC_GROUP: Layout = Layout {
    api_key: 14,
    name: "SyncGroup",
    versions: (0, 5),
    flexible_from: Some(4),
    fields: &[
        field("GroupId", One(String), 0, 5),
        field("GenerationId", One(Int32), 0, 5),
        field("MemberId", One(String), 0, 5),
        field("GroupInstanceId", One(String), 3, 5).nullable(3, 5),
        field("ProtocolType", One(String), 5, 5).nullable(5, 5),
        field("ProtocolName", One(String), 5, 5).nullable(5, 5),
        field(
            "Assignments",
            Structs(
                SYNC_GROUP_REQUEST_ASSIGNMENT,
                size_of::<sync_group_request::SyncGroupRequestAssignment>(),
            ),
            0,
            5,
        ),
    ],
};

/// DescribeGroups, key 15, versions 0-6.
pub static DESCRIBE_GROUPS: Layout = Layout {
    api_key: 15,
    name: "DescribeGroups",
    versions: (0, 6),
    flexible_from: Some(5),
    fields: &[field("Groups", Array(String), 0, 6), field("IncludeAuthorizedOperations", One(Bool), 3, 6)],
};

/// ListGroups, key 16, versions 0-5.
pub static LIST_GROUPS: Layout = Layout {
    api_key: 16,
    name: "ListGroups",
    versions: (0, 5),
    flexible_from: Some(3),
    fields: &[field("StatesFilter", Array(String), 4, 5), field("TypesFilter", Array(String), 5, 5)],
};

/// DeleteGroups, key 42, versions 0-3.
pub static DELETE_GROUPS: Layout = Layout {
    api_key: 42,
    name: "DeleteGroups",
    versions: (0, 3),
    flexible_from: Some(2),
    fields: &[field("GroupsNames", Array(String), 0, 3)],
};

const OFFSET_DELETE_REQUEST_PARTITION: &[Field] = &[field("PartitionIndex", One(Int32), 0, 0)];

const OFFSET_DELETE_REQUEST_TOPIC: &[Field] = &[
    field("Name", One(String), 0, 0),
    field(
        "Partitions",
        Structs(
            OFFSET_DELETE_REQUEST_PARTITION,
            size_of::<offset_delete_request::OffsetDeleteRequestPartition>(),
        ),
        0,
        0,
    ),
];

/// OffsetDelete, key 47, versions 0-0.
pub static OFFSET_DELETE: Layout = Layout {
    api_key: 47,
    name: "OffsetDelete",
    versions: (0, 0),
    flexible_from: None,
    fields: &[
        field("GroupId", One(String), 0, 0),
        field(
            "Topics",
            Structs(
                OFFSET_DELETE_REQUEST_TOPIC,
                size_of::<offset_delete_request::OffsetDeleteRequestTopic>(),
            ),
            0,
            0,
        ),
    ],
};

const TOPIC_PARTITIONS: &[Field] =
    &[field("TopicId", One(Uuid), 0, 1), field("Partitions", Array(Int32), 0, 1)];

/// ConsumerGroupHeartbeat, key 68, versions 0-1.
pub static CONSUMER_GROUP_HEARTBEAT: Layout = Layout {
    api_key: 68,
    name: "ConsumerGroupHeartbeat",
    versions: (0, 1),
    flexible_from: Some(0),
    fields: &[
        field("GroupId", One(String), 0, 1),
        field("MemberId", One(String), 0, 1),
        field("MemberEpoch", One(Int32), 0, 1),
        field("InstanceId", One(String), 0, 1).nullable(0, 1),
        field("RackId", One(String), 0, 1).nullable(0, 1),
        field("RebalanceTimeoutMs", One(Int32), 0, 1),
        field("SubscribedTopicNames", Array(String), 0, 1).nullable(0, 1),
        field("SubscribedTopicRegex", One(String), 1, 1).nullable(1, 1),
        field("ServerAssignor", One(String), 0, 1).nullable(0, 1),
        field(
            "TopicPartitions",
            Structs(TOPIC_PARTITIONS, size_of::<consumer_group_heartbeat_request::TopicPartitions>()),
            0,
            1,
        )
        .nullable(0, 1),
    ],
};

/// ConsumerGroupDescribe, key 69, versions 0-1.
pub static CONSUMER_GROUP_DESCRIBE: Layout = Layout {
    api_key: 69,
    name: "ConsumerGroupDescribe",
    versions: (0, 1),
    flexible_from: Some(0),
    fields: &[field("GroupIds", Array(String), 0, 1), field("IncludeAuthorizedOperations", One(Bool), 0, 1)],
};
