//! Layouts of requests about idempotence and transactions.
//!
//! A table, one row per field, from the field facts of Kafka's message schemas; exempt from the file size rule.

use kafka_protocol::messages::{
    add_partitions_to_txn_request, describe_producers_request, txn_offset_commit_request,
    write_txn_markers_request,
};

use crate::layout::Kind::{Array, One, Structs};
use crate::layout::Primitive::{Bool, Int8, Int16, Int32, Int64, String};
use crate::layout::{Field, Layout, field};

/// InitProducerId, key 22, versions 0-5.
pub static INIT_PRODUCER_ID: Layout = Layout {
    api_key: 22,
    name: "InitProducerId",
    versions: (0, 5),
    flexible_from: Some(2),
    fields: &[
        field("TransactionalId", One(String), 0, 5).nullable(0, 5),
        field("TransactionTimeoutMs", One(Int32), 0, 5),
        field("ProducerId", One(Int64), 3, 5),
        field("ProducerEpoch", One(Int16), 3, 5),
    ],
};

const ADD_PARTITIONS_TO_TXN_TOPIC: &[Field] =
    &[field("Name", One(String), 0, 5), field("Partitions", Array(Int32), 0, 5)];

const ADD_PARTITIONS_TO_TXN_TRANSACTION: &[Field] = &[
    field("TransactionalId", One(String), 4, 5),
    field("ProducerId", One(Int64), 4, 5),
    field("ProducerEpoch", One(Int16), 4, 5),
    field("VerifyOnly", One(Bool), 4, 5),
    field(
        "Topics",
        Structs(
            ADD_PARTITIONS_TO_TXN_TOPIC,
            size_of::<add_partitions_to_txn_request::AddPartitionsToTxnTopic>(),
        ),
        4,
        5,
    ),
];

/// AddPartitionsToTxn, key 24, versions 0-5.
pub static ADD_PARTITIONS_TO_TXN: Layout = Layout {
    api_key: 24,
    name: "AddPartitionsToTxn",
    versions: (0, 5),
    flexible_from: Some(3),
    fields: &[
        field(
            "Transactions",
            Structs(
                ADD_PARTITIONS_TO_TXN_TRANSACTION,
                size_of::<add_partitions_to_txn_request::AddPartitionsToTxnTransaction>(),
            ),
            4,
            5,
        ),
        field("V3AndBelowTransactionalId", One(String), 0, 3),
        field("V3AndBelowProducerId", One(Int64), 0, 3),
        field("V3AndBelowProducerEpoch", One(Int16), 0, 3),
        field(
            "V3AndBelowTopics",
            Structs(
                ADD_PARTITIONS_TO_TXN_TOPIC,
                size_of::<add_partitions_to_txn_request::AddPartitionsToTxnTopic>(),
            ),
            0,
            3,
        ),
    ],
};

/// AddOffsetsToTxn, key 25, versions 0-4.
pub static ADD_OFFSETS_TO_TXN: Layout = Layout {
    api_key: 25,
    name: "AddOffsetsToTxn",
    versions: (0, 4),
    flexible_from: Some(3),
    fields: &[
        field("TransactionalId", One(String), 0, 4),
        field("ProducerId", One(Int64), 0, 4),
        field("ProducerEpoch", One(Int16), 0, 4),
        field("GroupId", One(String), 0, 4),
    ],
};

/// EndTxn, key 26, versions 0-5.
pub static END_TXN: Layout = Layout {
    api_key: 26,
    name: "EndTxn",
    versions: (0, 5),
    flexible_from: Some(3),
    fields: &[
        field("TransactionalId", One(String), 0, 5),
        field("ProducerId", One(Int64), 0, 5),
        field("ProducerEpoch", One(Int16), 0, 5),
        field("Committed", One(Bool), 0, 5),
    ],
};

const WRITABLE_TXN_MARKER_TOPIC: &[Field] =
    &[field("Name", One(String), 1, 2), field("PartitionIndexes", Array(Int32), 1, 2)];

const WRITABLE_TXN_MARKER: &[Field] = &[
    field("ProducerId", One(Int64), 1, 2),
    field("ProducerEpoch", One(Int16), 1, 2),
    field("TransactionResult", One(Bool), 1, 2),
    field(
        "Topics",
        Structs(WRITABLE_TXN_MARKER_TOPIC, size_of::<write_txn_markers_request::WritableTxnMarkerTopic>()),
        1,
        2,
    ),
    field("CoordinatorEpoch", One(Int32), 1, 2),
    field("TransactionVersion", One(Int8), 2, 2),
];

/// WriteTxnMarkers, key 27, versions 1-2.
pub static WRITE_TXN_MARKERS: Layout = Layout {
    api_key: 27,
    name: "WriteTxnMarkers",
    versions: (1, 2),
    flexible_from: Some(1),
    fields: &[field(
        "Markers",
        // Decoded in pairs with the transaction version, which are then taken apart: both are held for a moment.
        Structs(WRITABLE_TXN_MARKER, 2 * size_of::<(write_txn_markers_request::WritableTxnMarker, i8)>()),
        1,
        2,
    )],
};

const TXN_OFFSET_COMMIT_REQUEST_PARTITION: &[Field] = &[
    field("PartitionIndex", One(Int32), 0, 5),
    field("CommittedOffset", One(Int64), 0, 5),
    field("CommittedLeaderEpoch", One(Int32), 2, 5),
    field("CommittedMetadata", One(String), 0, 5).nullable(0, 5),
];

const TXN_OFFSET_COMMIT_REQUEST_TOPIC: &[Field] = &[
    field("Name", One(String), 0, 5),
    field(
        "Partitions",
        Structs(
            TXN_OFFSET_COMMIT_REQUEST_PARTITION,
            size_of::<txn_offset_commit_request::TxnOffsetCommitRequestPartition>(),
        ),
        0,
        5,
    ),
];

/// TxnOffsetCommit, key 28, versions 0-5.
pub static TXN_OFFSET_COMMIT: Layout = Layout {
    api_key: 28,
    name: "TxnOffsetCommit",
    versions: (0, 5),
    flexible_from: Some(3),
    fields: &[
        field("TransactionalId", One(String), 0, 5),
        field("GroupId", One(String), 0, 5),
        field("ProducerId", One(Int64), 0, 5),
        field("ProducerEpoch", One(Int16), 0, 5),
        field("GenerationId", One(Int32), 3, 5),
        field("MemberId", One(String), 3, 5),
        field("GroupInstanceId", One(String), 3, 5).nullable(3, 5),
        field(
            "Topics",
            Structs(
                TXN_OFFSET_COMMIT_REQUEST_TOPIC,
                size_of::<txn_offset_commit_request::TxnOffsetCommitRequestTopic>(),
            ),
            0,
            5,
        ),
    ],
};

const TOPIC_REQUEST: &[Field] =
    &[field("Name", One(String), 0, 0), field("PartitionIndexes", Array(Int32), 0, 0)];

/// DescribeProducers, key 61, versions 0-0.
pub static DESCRIBE_PRODUCERS: Layout = Layout {
    api_key: 61,
    name: "DescribeProducers",
    versions: (0, 0),
    flexible_from: Some(0),
    fields: &[field(
        "Topics",
        Structs(TOPIC_REQUEST, size_of::<describe_producers_request::TopicRequest>()),
        0,
        0,
    )],
};

/// DescribeTransactions, key 65, versions 0-0.
pub static DESCRIBE_TRANSACTIONS: Layout = Layout {
    api_key: 65,
    name: "DescribeTransactions",
    versions: (0, 0),
    flexible_from: Some(0),
    fields: &[field("TransactionalIds", Array(String), 0, 0)],
};

/// ListTransactions, key 66, versions 0-2.
pub static LIST_TRANSACTIONS: Layout = Layout {
    api_key: 66,
    name: "ListTransactions",
    versions: (0, 2),
    flexible_from: Some(0),
    fields: &[
        field("StateFilters", Array(String), 0, 2),
        field("ProducerIdFilters", Array(Int64), 0, 2),
        field("DurationFilter", One(Int64), 1, 2),
        field("TransactionalIdPattern", One(String), 2, 2).nullable(2, 2),
    ],
};
