//! The table of clients. Adding a client is a driver that speaks the line protocol (`drivers/README.md`), one entry
//! here, and one `client_cases!` line in `tests/`.

use crate::broker::BrokerKind;
use crate::setup::Toolchain;

/// A client under test.
#[derive(Debug)]
pub struct Client {
    /// The name in results and in topic names.
    pub name: &'static str,
    /// How its driver is made runnable.
    pub toolchain: Toolchain,
    /// What the client itself cannot do, so no broker could pass it. Reported as such, never skipped silently.
    pub unsupported: &'static [Unsupported],
}

/// A case that a client cannot do.
#[derive(Debug)]
pub struct Unsupported {
    /// The case's name.
    pub case: &'static str,
    /// Only against this broker, or against any.
    pub broker: Option<BrokerKind>,
    /// Why, for the table's footnote.
    pub reason: &'static str,
}

impl Client {
    /// Why this client cannot do `case` against `broker`, if so.
    #[must_use]
    pub fn cannot(&self, case: &str, broker: BrokerKind) -> Option<&'static str> {
        let found = self
            .unsupported
            .iter()
            .find(|entry| entry.case == case && entry.broker.is_none_or(|only| only == broker));
        found.map(|entry| entry.reason)
    }
}

const INCREMENTAL: &str = "topic_configs_are_altered_one_by_one";
const LEGACY: &str = "alter_configs_replaces_the_whole_set";

const SHARE_BY_CONSUMER: &str = "three_members_share_a_topic_by_the_consumer_protocol";
const RESUME_BY_CONSUMER: &str = "group_resumes_from_its_commits_by_the_consumer_protocol";

/// librdkafka through the crate `rdkafka`.
pub static LIBRDKAFKA: Client = Client {
    name: "librdkafka",
    toolchain: Toolchain::Rust { binary: "driver-librdkafka" },
    unsupported: &[Unsupported {
        case: INCREMENTAL,
        broker: None,
        reason: "the crate rdkafka 0.39 has no IncrementalAlterConfigs",
    }],
};

/// librdkafka through Python's `confluent-kafka`.
pub static CONFLUENT_KAFKA: Client = Client {
    name: "confluent-kafka",
    toolchain: Toolchain::Python { name: "confluent-kafka" },
    unsupported: &[],
};

/// Python's `kafka-python`.
pub static KAFKA_PYTHON: Client = Client {
    name: "kafka-python",
    toolchain: Toolchain::Python { name: "kafka-python" },
    unsupported: &[
        Unsupported {
            case: "null_headers_and_records_of_nothing_round_trip",
            broker: None,
            reason: "kafka-python 3.0.12 sends neither null header values nor records without key and value",
        },
        Unsupported {
            case: LEGACY,
            broker: None,
            reason: "kafka-python 3.0.12 completes AlterConfigs itself, so that nothing goes back to its default",
        },
        Unsupported {
            case: SHARE_BY_CONSUMER,
            broker: None,
            reason: "kafka-python 3.0.12 has no consumer protocol",
        },
        Unsupported {
            case: RESUME_BY_CONSUMER,
            broker: None,
            reason: "kafka-python 3.0.12 has no consumer protocol",
        },
    ],
};

/// Python's `aiokafka`: a producer, a transaction manager and a group member of its own.
pub static AIOKAFKA: Client = Client {
    name: "aiokafka",
    toolchain: Toolchain::Python { name: "aiokafka" },
    unsupported: &[
        Unsupported {
            case: "null_headers_and_records_of_nothing_round_trip",
            broker: None,
            reason: "aiokafka 0.14.0 sends no records without key and value",
        },
        Unsupported {
            case: INCREMENTAL,
            broker: None,
            reason: "aiokafka 0.14.0 has no IncrementalAlterConfigs",
        },
        Unsupported {
            case: SHARE_BY_CONSUMER,
            broker: None,
            reason: "aiokafka 0.14.0 has no consumer protocol",
        },
        Unsupported {
            case: RESUME_BY_CONSUMER,
            broker: None,
            reason: "aiokafka 0.14.0 has no consumer protocol",
        },
    ],
};

const JAVA_UNSUPPORTED: &[Unsupported] =
    &[Unsupported { case: LEGACY, broker: None, reason: "kafka-clients 4 removed Admin.alterConfigs" }];

/// Apache Kafka's own Java client, the version of the reference broker.
pub static JAVA_4_3_1: Client = Client {
    name: "kafka-clients-4.3.1",
    toolchain: Toolchain::Java { version: "4.3.1" },
    unsupported: JAVA_UNSUPPORTED,
};

/// Kafka's own share consumer, for `tests/share_consumers.rs` only: its verbs are others.
pub static SHARE_CONSUMER: Client = Client {
    name: "kafka-share-consumer-4.3.1",
    toolchain: Toolchain::Program { folder: "share", class: "ShareDriver" },
    unsupported: &[],
};

/// Apache Kafka's own Java client, one version newer: opens with ApiVersions 5.
pub static JAVA_4_4_0: Client = Client {
    name: "kafka-clients-4.4.0",
    toolchain: Toolchain::Java { version: "4.4.0" },
    unsupported: JAVA_UNSUPPORTED,
};

const NO_INCREMENTAL: Unsupported = Unsupported {
    case: INCREMENTAL,
    broker: None,
    reason: "kafka-clients before 2.3 has no IncrementalAlterConfigs",
};

/// The oldest Java client that Kafka 4 still serves.
pub static JAVA_2_1_1: Client = Client {
    name: "kafka-clients-2.1.1",
    toolchain: Toolchain::Java { version: "2.1.1" },
    unsupported: &[NO_INCREMENTAL],
};

/// The last Java client of Kafka 2.
pub static JAVA_2_8_2: Client =
    Client { name: "kafka-clients-2.8.2", toolchain: Toolchain::Java { version: "2.8.2" }, unsupported: &[] };

/// The first Java client whose producer is idempotent unless told otherwise.
pub static JAVA_3_0_2: Client =
    Client { name: "kafka-clients-3.0.2", toolchain: Toolchain::Java { version: "3.0.2" }, unsupported: &[] };

/// The last Java client of Kafka 3.
pub static JAVA_3_9_1: Client =
    Client { name: "kafka-clients-3.9.1", toolchain: Toolchain::Java { version: "3.9.1" }, unsupported: &[] };

/// The first Java client of Kafka 4.
pub static JAVA_4_0_0: Client = Client {
    name: "kafka-clients-4.0.0",
    toolchain: Toolchain::Java { version: "4.0.0" },
    unsupported: JAVA_UNSUPPORTED,
};

/// Go's `franz-go`.
pub static FRANZ_GO: Client = Client {
    name: "franz-go",
    toolchain: Toolchain::Go { library: "franz-go" },
    unsupported: &[
        Unsupported {
            case: SHARE_BY_CONSUMER,
            broker: None,
            reason: "franz-go has the consumer protocol only as an opt-in beta",
        },
        Unsupported {
            case: RESUME_BY_CONSUMER,
            broker: None,
            reason: "franz-go has the consumer protocol only as an opt-in beta",
        },
    ],
};

/// Go's `sarama`.
pub static SARAMA: Client = Client {
    name: "sarama",
    toolchain: Toolchain::Go { library: "sarama" },
    unsupported: &[
        Unsupported { case: SHARE_BY_CONSUMER, broker: None, reason: "sarama 1.61 has no consumer protocol" },
        Unsupported {
            case: RESUME_BY_CONSUMER,
            broker: None,
            reason: "sarama 1.61 has no consumer protocol",
        },
    ],
};

/// JavaScript's `kafkajs`.
pub static KAFKAJS: Client = Client {
    name: "kafkajs",
    toolchain: Toolchain::JavaScript,
    unsupported: &[
        Unsupported {
            case: INCREMENTAL,
            broker: None,
            reason: "kafkajs 2.2.4 has no IncrementalAlterConfigs",
        },
        Unsupported {
            case: "null_headers_and_records_of_nothing_round_trip",
            broker: None,
            reason: "kafkajs 2.2.4 does not send null header values",
        },
        Unsupported {
            case: "first_produce_creates_the_topic",
            broker: Some(BrokerKind::Kafka),
            reason: "KRaft answers UNKNOWN_TOPIC_OR_PARTITION while it creates the topic; kafkajs gives up on that",
        },
        Unsupported {
            case: SHARE_BY_CONSUMER,
            broker: None,
            reason: "kafkajs 2.2.4 has no consumer protocol",
        },
        Unsupported {
            case: RESUME_BY_CONSUMER,
            broker: None,
            reason: "kafkajs 2.2.4 has no consumer protocol",
        },
    ],
};

/// Every client, in the order of the table's columns.
pub static CLIENTS: &[&Client] = &[
    &LIBRDKAFKA,
    &CONFLUENT_KAFKA,
    &KAFKA_PYTHON,
    &AIOKAFKA,
    &JAVA_4_3_1,
    &JAVA_4_4_0,
    &FRANZ_GO,
    &SARAMA,
    &KAFKAJS,
];

/// Older Java clients, with a choice of the cases: [`crate::OLD_CLIENT_CASES`].
pub static OLD_CLIENTS: &[&Client] = &[&JAVA_2_1_1, &JAVA_2_8_2, &JAVA_3_0_2, &JAVA_3_9_1, &JAVA_4_0_0];
