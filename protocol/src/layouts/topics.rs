//! Layouts of requests about topics, configs, replicas.
//!
//! A table, one row per field, from the field facts of Kafka's message schemas; exempt from the file size rule.

use kafka_protocol::messages::{
    alter_configs_request, alter_partition_reassignments_request, alter_replica_log_dirs_request,
    create_partitions_request, create_topics_request, delete_topics_request, describe_configs_request,
    describe_log_dirs_request, elect_leaders_request, incremental_alter_configs_request,
    list_partition_reassignments_request,
};

use crate::layout::Kind::{Array, One, Structs};
use crate::layout::Primitive::{Bool, Int8, Int16, Int32, String, Uuid};
use crate::layout::{Field, Layout, field};

const CREATABLE_REPLICA_ASSIGNMENT: &[Field] =
    &[field("PartitionIndex", One(Int32), 2, 7), field("BrokerIds", Array(Int32), 2, 7)];

const CREATABLE_TOPIC_CONFIG: &[Field] =
    &[field("Name", One(String), 2, 7), field("Value", One(String), 2, 7).nullable(2, 7)];

const CREATABLE_TOPIC: &[Field] = &[
    field("Name", One(String), 2, 7),
    field("NumPartitions", One(Int32), 2, 7),
    field("ReplicationFactor", One(Int16), 2, 7),
    field(
        "Assignments",
        Structs(CREATABLE_REPLICA_ASSIGNMENT, size_of::<create_topics_request::CreatableReplicaAssignment>()),
        2,
        7,
    ),
    field(
        "Configs",
        Structs(CREATABLE_TOPIC_CONFIG, size_of::<create_topics_request::CreatableTopicConfig>()),
        2,
        7,
    ),
];

/// CreateTopics, key 19, versions 2-7.
pub static CREATE_TOPICS: Layout = Layout {
    api_key: 19,
    name: "CreateTopics",
    versions: (2, 7),
    flexible_from: Some(5),
    fields: &[
        field("Topics", Structs(CREATABLE_TOPIC, size_of::<create_topics_request::CreatableTopic>()), 2, 7),
        field("timeoutMs", One(Int32), 2, 7),
        field("validateOnly", One(Bool), 2, 7),
    ],
};

const DELETE_TOPIC_STATE: &[Field] =
    &[field("Name", One(String), 6, 6).nullable(6, 6), field("TopicId", One(Uuid), 6, 6)];

/// DeleteTopics, key 20, versions 1-6.
pub static DELETE_TOPICS: Layout = Layout {
    api_key: 20,
    name: "DeleteTopics",
    versions: (1, 6),
    flexible_from: Some(4),
    fields: &[
        field(
            "Topics",
            Structs(DELETE_TOPIC_STATE, size_of::<delete_topics_request::DeleteTopicState>()),
            6,
            6,
        ),
        field("TopicNames", Array(String), 1, 5),
        field("TimeoutMs", One(Int32), 1, 6),
    ],
};

const DESCRIBE_CONFIGS_RESOURCE: &[Field] = &[
    field("ResourceType", One(Int8), 1, 4),
    field("ResourceName", One(String), 1, 4),
    field("ConfigurationKeys", Array(String), 1, 4).nullable(1, 4),
];

/// DescribeConfigs, key 32, versions 1-4.
pub static DESCRIBE_CONFIGS: Layout = Layout {
    api_key: 32,
    name: "DescribeConfigs",
    versions: (1, 4),
    flexible_from: Some(4),
    fields: &[
        field(
            "Resources",
            Structs(
                DESCRIBE_CONFIGS_RESOURCE,
                size_of::<describe_configs_request::DescribeConfigsResource>(),
            ),
            1,
            4,
        ),
        field("IncludeSynonyms", One(Bool), 1, 4),
        field("IncludeDocumentation", One(Bool), 3, 4),
    ],
};

const ALTERABLE_CONFIG: &[Field] =
    &[field("Name", One(String), 0, 2), field("Value", One(String), 0, 2).nullable(0, 2)];

const ALTER_CONFIGS_RESOURCE: &[Field] = &[
    field("ResourceType", One(Int8), 0, 2),
    field("ResourceName", One(String), 0, 2),
    field("Configs", Structs(ALTERABLE_CONFIG, size_of::<alter_configs_request::AlterableConfig>()), 0, 2),
];

/// AlterConfigs, key 33, versions 0-2.
pub static ALTER_CONFIGS: Layout = Layout {
    api_key: 33,
    name: "AlterConfigs",
    versions: (0, 2),
    flexible_from: Some(2),
    fields: &[
        field(
            "Resources",
            Structs(ALTER_CONFIGS_RESOURCE, size_of::<alter_configs_request::AlterConfigsResource>()),
            0,
            2,
        ),
        field("ValidateOnly", One(Bool), 0, 2),
    ],
};

const ALTER_REPLICA_LOG_DIR_TOPIC: &[Field] =
    &[field("Name", One(String), 1, 2), field("Partitions", Array(Int32), 1, 2)];

const ALTER_REPLICA_LOG_DIR: &[Field] = &[
    field("Path", One(String), 1, 2),
    field(
        "Topics",
        Structs(
            ALTER_REPLICA_LOG_DIR_TOPIC,
            size_of::<alter_replica_log_dirs_request::AlterReplicaLogDirTopic>(),
        ),
        1,
        2,
    ),
];

/// AlterReplicaLogDirs, key 34, versions 1-2.
pub static ALTER_REPLICA_LOG_DIRS: Layout = Layout {
    api_key: 34,
    name: "AlterReplicaLogDirs",
    versions: (1, 2),
    flexible_from: Some(2),
    fields: &[field(
        "Dirs",
        Structs(ALTER_REPLICA_LOG_DIR, size_of::<alter_replica_log_dirs_request::AlterReplicaLogDir>()),
        1,
        2,
    )],
};

const DESCRIBABLE_LOG_DIR_TOPIC: &[Field] =
    &[field("Topic", One(String), 1, 5), field("Partitions", Array(Int32), 1, 5)];

/// DescribeLogDirs, key 35, versions 1-5.
pub static DESCRIBE_LOG_DIRS: Layout = Layout {
    api_key: 35,
    name: "DescribeLogDirs",
    versions: (1, 5),
    flexible_from: Some(2),
    fields: &[field(
        "Topics",
        Structs(DESCRIBABLE_LOG_DIR_TOPIC, size_of::<describe_log_dirs_request::DescribableLogDirTopic>()),
        1,
        5,
    )
    .nullable(1, 5)],
};

const CREATE_PARTITIONS_ASSIGNMENT: &[Field] = &[field("BrokerIds", Array(Int32), 0, 3)];

const CREATE_PARTITIONS_TOPIC: &[Field] = &[
    field("Name", One(String), 0, 3),
    field("Count", One(Int32), 0, 3),
    field(
        "Assignments",
        Structs(
            CREATE_PARTITIONS_ASSIGNMENT,
            size_of::<create_partitions_request::CreatePartitionsAssignment>(),
        ),
        0,
        3,
    )
    .nullable(0, 3),
];

/// CreatePartitions, key 37, versions 0-3.
pub static CREATE_PARTITIONS: Layout = Layout {
    api_key: 37,
    name: "CreatePartitions",
    versions: (0, 3),
    flexible_from: Some(2),
    fields: &[
        field(
            "Topics",
            Structs(CREATE_PARTITIONS_TOPIC, size_of::<create_partitions_request::CreatePartitionsTopic>()),
            0,
            3,
        ),
        field("TimeoutMs", One(Int32), 0, 3),
        field("ValidateOnly", One(Bool), 0, 3),
    ],
};

const TOPIC_PARTITIONS: &[Field] =
    &[field("Topic", One(String), 0, 2), field("Partitions", Array(Int32), 0, 2)];

/// ElectLeaders, key 43, versions 0-2.
pub static ELECT_LEADERS: Layout = Layout {
    api_key: 43,
    name: "ElectLeaders",
    versions: (0, 2),
    flexible_from: Some(2),
    fields: &[
        field("ElectionType", One(Int8), 1, 2),
        field(
            "TopicPartitions",
            Structs(TOPIC_PARTITIONS, size_of::<elect_leaders_request::TopicPartitions>()),
            0,
            2,
        )
        .nullable(0, 2),
        field("TimeoutMs", One(Int32), 0, 2),
    ],
};

const INCREMENTAL_ALTER_CONFIGS_ALTERABLE_CONFIG: &[Field] = &[
    field("Name", One(String), 0, 1),
    field("ConfigOperation", One(Int8), 0, 1),
    field("Value", One(String), 0, 1).nullable(0, 1),
];

const INCREMENTAL_ALTER_CONFIGS_ALTER_CONFIGS_RESOURCE: &[Field] = &[
    field("ResourceType", One(Int8), 0, 1),
    field("ResourceName", One(String), 0, 1),
    field(
        "Configs",
        Structs(
            INCREMENTAL_ALTER_CONFIGS_ALTERABLE_CONFIG,
            size_of::<incremental_alter_configs_request::AlterableConfig>(),
        ),
        0,
        1,
    ),
];

/// IncrementalAlterConfigs, key 44, versions 0-1.
pub static INCREMENTAL_ALTER_CONFIGS: Layout = Layout {
    api_key: 44,
    name: "IncrementalAlterConfigs",
    versions: (0, 1),
    flexible_from: Some(1),
    fields: &[
        field(
            "Resources",
            Structs(
                INCREMENTAL_ALTER_CONFIGS_ALTER_CONFIGS_RESOURCE,
                size_of::<incremental_alter_configs_request::AlterConfigsResource>(),
            ),
            0,
            1,
        ),
        field("ValidateOnly", One(Bool), 0, 1),
    ],
};

const REASSIGNABLE_PARTITION: &[Field] =
    &[field("PartitionIndex", One(Int32), 0, 1), field("Replicas", Array(Int32), 0, 1).nullable(0, 1)];

const REASSIGNABLE_TOPIC: &[Field] = &[
    field("Name", One(String), 0, 1),
    field(
        "Partitions",
        Structs(
            REASSIGNABLE_PARTITION,
            size_of::<alter_partition_reassignments_request::ReassignablePartition>(),
        ),
        0,
        1,
    ),
];

/// AlterPartitionReassignments, key 45, versions 0-1.
pub static ALTER_PARTITION_REASSIGNMENTS: Layout = Layout {
    api_key: 45,
    name: "AlterPartitionReassignments",
    versions: (0, 1),
    flexible_from: Some(0),
    fields: &[
        field("TimeoutMs", One(Int32), 0, 1),
        field("AllowReplicationFactorChange", One(Bool), 1, 1),
        field(
            "Topics",
            Structs(
                REASSIGNABLE_TOPIC,
                size_of::<alter_partition_reassignments_request::ReassignableTopic>(),
            ),
            0,
            1,
        ),
    ],
};

const LIST_PARTITION_REASSIGNMENTS_TOPICS: &[Field] =
    &[field("Name", One(String), 0, 0), field("PartitionIndexes", Array(Int32), 0, 0)];

/// ListPartitionReassignments, key 46, versions 0-0.
pub static LIST_PARTITION_REASSIGNMENTS: Layout = Layout {
    api_key: 46,
    name: "ListPartitionReassignments",
    versions: (0, 0),
    flexible_from: Some(0),
    fields: &[
        field("TimeoutMs", One(Int32), 0, 0),
        field(
            "Topics",
            Structs(
                LIST_PARTITION_REASSIGNMENTS_TOPICS,
                size_of::<list_partition_reassignments_request::ListPartitionReassignmentsTopics>(),
            ),
            0,
            0,
        )
        .nullable(0, 0),
    ],
};

/// ListConfigResources, key 74, versions 0-1.
pub static LIST_CONFIG_RESOURCES: Layout = Layout {
    api_key: 74,
    name: "ListConfigResources",
    versions: (0, 1),
    flexible_from: Some(0),
    fields: &[field("ResourceTypes", Array(Int8), 1, 1)],
};
