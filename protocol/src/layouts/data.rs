//! Layouts of requests about records and where they live: Produce, Fetch, ListOffsets, Metadata and their kin.
//!
//! A table, one row per field, from the field facts of Kafka's message schemas; exempt from the file size rule.

use kafka_protocol::messages::{
    delete_records_request, describe_topic_partitions_request, fetch_request, list_offsets_request,
    metadata_request, offset_for_leader_epoch_request, produce_request,
};

use crate::layout::Kind::{Array, One, Struct, Structs};
use crate::layout::Primitive::{Bool, Bytes, Int8, Int16, Int32, Int64, String, Uuid};
use crate::layout::{Field, Layout, field};

const PARTITION_PRODUCE_DATA: &[Field] =
    &[field("Index", One(Int32), 3, 13), field("Records", One(Bytes), 3, 13).nullable(3, 13)];

const TOPIC_PRODUCE_DATA: &[Field] = &[
    field("Name", One(String), 3, 12),
    field("TopicId", One(Uuid), 13, 13),
    field(
        "PartitionData",
        Structs(PARTITION_PRODUCE_DATA, size_of::<produce_request::PartitionProduceData>()),
        3,
        13,
    ),
];

/// Produce, key 0, versions 3-13.
pub static PRODUCE: Layout = Layout {
    api_key: 0,
    name: "Produce",
    versions: (3, 13),
    flexible_from: Some(9),
    fields: &[
        field("TransactionalId", One(String), 3, 13).nullable(3, 13),
        field("Acks", One(Int16), 3, 13),
        field("TimeoutMs", One(Int32), 3, 13),
        field(
            "TopicData",
            Structs(TOPIC_PRODUCE_DATA, size_of::<produce_request::TopicProduceData>()),
            3,
            13,
        ),
    ],
};

const REPLICA_STATE: &[Field] =
    &[field("ReplicaId", One(Int32), 15, 18), field("ReplicaEpoch", One(Int64), 15, 18)];

const FETCH_PARTITION: &[Field] = &[
    field("Partition", One(Int32), 4, 18),
    field("CurrentLeaderEpoch", One(Int32), 9, 18),
    field("FetchOffset", One(Int64), 4, 18),
    field("LastFetchedEpoch", One(Int32), 12, 18),
    field("LogStartOffset", One(Int64), 5, 18),
    field("PartitionMaxBytes", One(Int32), 4, 18),
    field("ReplicaDirectoryId", One(Uuid), 17, 18).tagged(0, 17, 18),
    field("HighWatermark", One(Int64), 18, 18).tagged(1, 18, 18),
];

const FETCH_TOPIC: &[Field] = &[
    field("Topic", One(String), 4, 12),
    field("TopicId", One(Uuid), 13, 18),
    field("Partitions", Structs(FETCH_PARTITION, size_of::<fetch_request::FetchPartition>()), 4, 18),
];

const FORGOTTEN_TOPIC: &[Field] = &[
    field("Topic", One(String), 7, 12),
    field("TopicId", One(Uuid), 13, 18),
    field("Partitions", Array(Int32), 7, 18),
];

/// Fetch, key 1, versions 4-18.
pub static FETCH: Layout = Layout {
    api_key: 1,
    name: "Fetch",
    versions: (4, 18),
    flexible_from: Some(12),
    fields: &[
        field("ClusterId", One(String), 12, 18).nullable(12, 18).tagged(0, 12, 18),
        field("ReplicaId", One(Int32), 4, 14),
        field("ReplicaState", Struct(REPLICA_STATE), 15, 18).tagged(1, 15, 18),
        field("MaxWaitMs", One(Int32), 4, 18),
        field("MinBytes", One(Int32), 4, 18),
        field("MaxBytes", One(Int32), 4, 18),
        field("IsolationLevel", One(Int8), 4, 18),
        field("SessionId", One(Int32), 7, 18),
        field("SessionEpoch", One(Int32), 7, 18),
        field("Topics", Structs(FETCH_TOPIC, size_of::<fetch_request::FetchTopic>()), 4, 18),
        field(
            "ForgottenTopicsData",
            Structs(FORGOTTEN_TOPIC, size_of::<fetch_request::ForgottenTopic>()),
            7,
            18,
        ),
        field("RackId", One(String), 11, 18),
    ],
};

const LIST_OFFSETS_PARTITION: &[Field] = &[
    field("PartitionIndex", One(Int32), 1, 11),
    field("CurrentLeaderEpoch", One(Int32), 4, 11),
    field("Timestamp", One(Int64), 1, 11),
];

const LIST_OFFSETS_TOPIC: &[Field] = &[
    field("Name", One(String), 1, 11),
    field(
        "Partitions",
        Structs(LIST_OFFSETS_PARTITION, size_of::<list_offsets_request::ListOffsetsPartition>()),
        1,
        11,
    ),
];

/// ListOffsets, key 2, versions 1-11.
pub static LIST_OFFSETS: Layout = Layout {
    api_key: 2,
    name: "ListOffsets",
    versions: (1, 11),
    flexible_from: Some(6),
    fields: &[
        field("ReplicaId", One(Int32), 1, 11),
        field("IsolationLevel", One(Int8), 2, 11),
        field(
            "Topics",
            Structs(LIST_OFFSETS_TOPIC, size_of::<list_offsets_request::ListOffsetsTopic>()),
            1,
            11,
        ),
        field("TimeoutMs", One(Int32), 10, 11),
    ],
};

const METADATA_REQUEST_TOPIC: &[Field] =
    &[field("TopicId", One(Uuid), 10, 13), field("Name", One(String), 0, 13).nullable(10, 13)];

/// Metadata, key 3, versions 0-13.
pub static METADATA: Layout = Layout {
    api_key: 3,
    name: "Metadata",
    versions: (0, 13),
    flexible_from: Some(9),
    fields: &[
        field(
            "Topics",
            Structs(METADATA_REQUEST_TOPIC, size_of::<metadata_request::MetadataRequestTopic>()),
            0,
            13,
        )
        .nullable(1, 13),
        field("AllowAutoTopicCreation", One(Bool), 4, 13),
        field("IncludeClusterAuthorizedOperations", One(Bool), 8, 10),
        field("IncludeTopicAuthorizedOperations", One(Bool), 8, 13),
    ],
};

const DELETE_RECORDS_PARTITION: &[Field] =
    &[field("PartitionIndex", One(Int32), 0, 2), field("Offset", One(Int64), 0, 2)];

const DELETE_RECORDS_TOPIC: &[Field] = &[
    field("Name", One(String), 0, 2),
    field(
        "Partitions",
        Structs(DELETE_RECORDS_PARTITION, size_of::<delete_records_request::DeleteRecordsPartition>()),
        0,
        2,
    ),
];

/// DeleteRecords, key 21, versions 0-2.
pub static DELETE_RECORDS: Layout = Layout {
    api_key: 21,
    name: "DeleteRecords",
    versions: (0, 2),
    flexible_from: Some(2),
    fields: &[
        field(
            "Topics",
            Structs(DELETE_RECORDS_TOPIC, size_of::<delete_records_request::DeleteRecordsTopic>()),
            0,
            2,
        ),
        field("TimeoutMs", One(Int32), 0, 2),
    ],
};

const OFFSET_FOR_LEADER_PARTITION: &[Field] = &[
    field("Partition", One(Int32), 2, 4),
    field("CurrentLeaderEpoch", One(Int32), 2, 4),
    field("LeaderEpoch", One(Int32), 2, 4),
];

const OFFSET_FOR_LEADER_TOPIC: &[Field] = &[
    field("Topic", One(String), 2, 4),
    field(
        "Partitions",
        Structs(
            OFFSET_FOR_LEADER_PARTITION,
            size_of::<offset_for_leader_epoch_request::OffsetForLeaderPartition>(),
        ),
        2,
        4,
    ),
];

/// OffsetForLeaderEpoch, key 23, versions 2-4.
pub static OFFSET_FOR_LEADER_EPOCH: Layout = Layout {
    api_key: 23,
    name: "OffsetForLeaderEpoch",
    versions: (2, 4),
    flexible_from: Some(4),
    fields: &[
        field("ReplicaId", One(Int32), 3, 4),
        field(
            "Topics",
            Structs(
                OFFSET_FOR_LEADER_TOPIC,
                size_of::<offset_for_leader_epoch_request::OffsetForLeaderTopic>(),
            ),
            2,
            4,
        ),
    ],
};

const TOPIC_REQUEST: &[Field] = &[field("Name", One(String), 0, 0)];

const CURSOR: &[Field] = &[field("TopicName", One(String), 0, 0), field("PartitionIndex", One(Int32), 0, 0)];

/// DescribeTopicPartitions, key 75, versions 0-0.
pub static DESCRIBE_TOPIC_PARTITIONS: Layout = Layout {
    api_key: 75,
    name: "DescribeTopicPartitions",
    versions: (0, 0),
    flexible_from: Some(0),
    fields: &[
        field(
            "Topics",
            Structs(TOPIC_REQUEST, size_of::<describe_topic_partitions_request::TopicRequest>()),
            0,
            0,
        ),
        field("ResponsePartitionLimit", One(Int32), 0, 0),
        field("Cursor", Struct(CURSOR), 0, 0).nullable(0, 0),
    ],
};
