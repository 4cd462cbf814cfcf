//! Layouts of requests about share groups.
//!
//! A table, one row per field, from the field facts of Kafka's message schemas; exempt from the file size rule.

use kafka_protocol::messages::{
    alter_share_group_offsets_request, delete_share_group_offsets_request,
    describe_share_group_offsets_request, share_acknowledge_request, share_fetch_request,
};

use crate::layout::Kind::{Array, One, Structs};
use crate::layout::Primitive::{Bool, Int8, Int32, Int64, String, Uuid};
use crate::layout::{Field, Layout, field};

/// ShareGroupHeartbeat, key 76, versions 1-1.
pub static SHARE_GROUP_HEARTBEAT: Layout = Layout {
    api_key: 76,
    name: "ShareGroupHeartbeat",
    versions: (1, 1),
    flexible_from: Some(0),
    fields: &[
        field("GroupId", One(String), 1, 1),
        field("MemberId", One(String), 1, 1),
        field("MemberEpoch", One(Int32), 1, 1),
        field("RackId", One(String), 1, 1).nullable(1, 1),
        field("SubscribedTopicNames", Array(String), 1, 1).nullable(1, 1),
    ],
};

/// ShareGroupDescribe, key 77, versions 1-1.
pub static SHARE_GROUP_DESCRIBE: Layout = Layout {
    api_key: 77,
    name: "ShareGroupDescribe",
    versions: (1, 1),
    flexible_from: Some(0),
    fields: &[field("GroupIds", Array(String), 1, 1), field("IncludeAuthorizedOperations", One(Bool), 1, 1)],
};

const ACKNOWLEDGEMENT_BATCH: &[Field] = &[
    field("FirstOffset", One(Int64), 1, 2),
    field("LastOffset", One(Int64), 1, 2),
    field("AcknowledgeTypes", Array(Int8), 1, 2),
];

const FETCH_PARTITION: &[Field] = &[
    field("PartitionIndex", One(Int32), 1, 2),
    field(
        "AcknowledgementBatches",
        Structs(ACKNOWLEDGEMENT_BATCH, size_of::<share_fetch_request::AcknowledgementBatch>()),
        1,
        2,
    ),
];

const FETCH_TOPIC: &[Field] = &[
    field("TopicId", One(Uuid), 1, 2),
    field("Partitions", Structs(FETCH_PARTITION, size_of::<share_fetch_request::FetchPartition>()), 1, 2),
];

const FORGOTTEN_TOPIC: &[Field] =
    &[field("TopicId", One(Uuid), 1, 2), field("Partitions", Array(Int32), 1, 2)];

/// ShareFetch, key 78, versions 1-2.
pub static SHARE_FETCH: Layout = Layout {
    api_key: 78,
    name: "ShareFetch",
    versions: (1, 2),
    flexible_from: Some(0),
    fields: &[
        field("GroupId", One(String), 1, 2).nullable(1, 2),
        field("MemberId", One(String), 1, 2).nullable(1, 2),
        field("ShareSessionEpoch", One(Int32), 1, 2),
        field("MaxWaitMs", One(Int32), 1, 2),
        field("MinBytes", One(Int32), 1, 2),
        field("MaxBytes", One(Int32), 1, 2),
        field("MaxRecords", One(Int32), 1, 2),
        field("BatchSize", One(Int32), 1, 2),
        field("ShareAcquireMode", One(Int8), 2, 2),
        field("IsRenewAck", One(Bool), 2, 2),
        field("Topics", Structs(FETCH_TOPIC, size_of::<share_fetch_request::FetchTopic>()), 1, 2),
        field(
            "ForgottenTopicsData",
            Structs(FORGOTTEN_TOPIC, size_of::<share_fetch_request::ForgottenTopic>()),
            1,
            2,
        ),
    ],
};

const SHARE_ACKNOWLEDGE_ACKNOWLEDGEMENT_BATCH: &[Field] = &[
    field("FirstOffset", One(Int64), 1, 2),
    field("LastOffset", One(Int64), 1, 2),
    field("AcknowledgeTypes", Array(Int8), 1, 2),
];

const ACKNOWLEDGE_PARTITION: &[Field] = &[
    field("PartitionIndex", One(Int32), 1, 2),
    field(
        "AcknowledgementBatches",
        Structs(
            SHARE_ACKNOWLEDGE_ACKNOWLEDGEMENT_BATCH,
            size_of::<share_acknowledge_request::AcknowledgementBatch>(),
        ),
        1,
        2,
    ),
];

const ACKNOWLEDGE_TOPIC: &[Field] = &[
    field("TopicId", One(Uuid), 1, 2),
    field(
        "Partitions",
        Structs(ACKNOWLEDGE_PARTITION, size_of::<share_acknowledge_request::AcknowledgePartition>()),
        1,
        2,
    ),
];

/// ShareAcknowledge, key 79, versions 1-2.
pub static SHARE_ACKNOWLEDGE: Layout = Layout {
    api_key: 79,
    name: "ShareAcknowledge",
    versions: (1, 2),
    flexible_from: Some(0),
    fields: &[
        field("GroupId", One(String), 1, 2).nullable(1, 2),
        field("MemberId", One(String), 1, 2).nullable(1, 2),
        field("ShareSessionEpoch", One(Int32), 1, 2),
        field("IsRenewAck", One(Bool), 2, 2),
        field(
            "Topics",
            Structs(ACKNOWLEDGE_TOPIC, size_of::<share_acknowledge_request::AcknowledgeTopic>()),
            1,
            2,
        ),
    ],
};

const DESCRIBE_SHARE_GROUP_OFFSETS_REQUEST_TOPIC: &[Field] =
    &[field("TopicName", One(String), 0, 1), field("Partitions", Array(Int32), 0, 1)];

const DESCRIBE_SHARE_GROUP_OFFSETS_REQUEST_GROUP: &[Field] = &[
    field("GroupId", One(String), 0, 1),
    field(
        "Topics",
        Structs(
            DESCRIBE_SHARE_GROUP_OFFSETS_REQUEST_TOPIC,
            size_of::<describe_share_group_offsets_request::DescribeShareGroupOffsetsRequestTopic>(),
        ),
        0,
        1,
    )
    .nullable(0, 1),
];

/// DescribeShareGroupOffsets, key 90, versions 0-1.
pub static DESCRIBE_SHARE_GROUP_OFFSETS: Layout = Layout {
    api_key: 90,
    name: "DescribeShareGroupOffsets",
    versions: (0, 1),
    flexible_from: Some(0),
    fields: &[field(
        "Groups",
        Structs(
            DESCRIBE_SHARE_GROUP_OFFSETS_REQUEST_GROUP,
            size_of::<describe_share_group_offsets_request::DescribeShareGroupOffsetsRequestGroup>(),
        ),
        0,
        1,
    )],
};

const ALTER_SHARE_GROUP_OFFSETS_REQUEST_PARTITION: &[Field] =
    &[field("PartitionIndex", One(Int32), 0, 0), field("StartOffset", One(Int64), 0, 0)];

const ALTER_SHARE_GROUP_OFFSETS_REQUEST_TOPIC: &[Field] = &[
    field("TopicName", One(String), 0, 0),
    field(
        "Partitions",
        Structs(
            ALTER_SHARE_GROUP_OFFSETS_REQUEST_PARTITION,
            size_of::<alter_share_group_offsets_request::AlterShareGroupOffsetsRequestPartition>(),
        ),
        0,
        0,
    ),
];

/// AlterShareGroupOffsets, key 91, versions 0-0.
pub static ALTER_SHARE_GROUP_OFFSETS: Layout = Layout {
    api_key: 91,
    name: "AlterShareGroupOffsets",
    versions: (0, 0),
    flexible_from: Some(0),
    fields: &[
        field("GroupId", One(String), 0, 0),
        field(
            "Topics",
            Structs(
                ALTER_SHARE_GROUP_OFFSETS_REQUEST_TOPIC,
                size_of::<alter_share_group_offsets_request::AlterShareGroupOffsetsRequestTopic>(),
            ),
            0,
            0,
        ),
    ],
};

const DELETE_SHARE_GROUP_OFFSETS_REQUEST_TOPIC: &[Field] = &[field("TopicName", One(String), 0, 0)];

/// DeleteShareGroupOffsets, key 92, versions 0-0.
pub static DELETE_SHARE_GROUP_OFFSETS: Layout = Layout {
    api_key: 92,
    name: "DeleteShareGroupOffsets",
    versions: (0, 0),
    flexible_from: Some(0),
    fields: &[
        field("GroupId", One(String), 0, 0),
        field(
            "Topics",
            Structs(
                DELETE_SHARE_GROUP_OFFSETS_REQUEST_TOPIC,
                size_of::<delete_share_group_offsets_request::DeleteShareGroupOffsetsRequestTopic>(),
            ),
            0,
            0,
        ),
    ],
};
