//! The one table of configuration keys: name, type, range, default, what it does here.
//!
//! Names, defaults and ranges are Kafka's (`SocketServerConfigs`, `ServerConfigs`, `ServerLogConfigs`, `ReplicationConfigs`,
//! `GroupCoordinatorConfig`, `TransactionLogConfig`); `onelog.*` are our own. Parsing, checking, DescribeConfigs and the
//! nearest-name advice all read it.

/// The type of a key's value, with its range.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Kind {
    /// `true` or `false`.
    Boolean,
    /// 16 bit, inclusive range.
    Short(i16, i16),
    /// 32 bit, inclusive range.
    Int(i32, i32),
    /// 64 bit, inclusive range.
    Long(i64, i64),
    /// Inclusive range.
    Double(f64, f64),
    /// Any text.
    Text,
    /// One of these words.
    OneOf(&'static [&'static str]),
    /// Comma separated; each one of these words, or any when empty.
    List(&'static [&'static str]),
}

/// What this broker does with a key.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Role {
    /// It has its effect, here or as the default of a topic config.
    Used,
    /// It is checked and then ignored, because there is nothing here that it could steer.
    Accepted,
}

/// One known key.
#[derive(Debug, Clone, Copy)]
pub struct Key {
    /// Kafka's name, or `onelog.*`.
    pub name: &'static str,
    /// Type and range.
    pub kind: Kind,
    /// As Kafka writes it; `None` = null.
    pub default: Option<&'static str>,
    /// What it does here.
    pub role: Role,
    /// One sentence for DescribeConfigs.
    pub doc: &'static str,
}

const fn used(name: &'static str, kind: Kind, default: &'static str, doc: &'static str) -> Key {
    Key { name, kind, default: Some(default), role: Role::Used, doc }
}

const fn unset(name: &'static str, kind: Kind, doc: &'static str) -> Key {
    Key { name, kind, default: None, role: Role::Used, doc }
}

const fn accepted(name: &'static str, kind: Kind, default: &'static str) -> Key {
    Key {
        name,
        kind,
        default: Some(default),
        role: Role::Accepted,
        doc: "Accepted for compatibility; has no effect here.",
    }
}

const fn accepted_unset(name: &'static str, kind: Kind) -> Key {
    Key {
        name,
        kind,
        default: None,
        role: Role::Accepted,
        doc: "Accepted for compatibility; has no effect here.",
    }
}

use Kind::{Boolean, Double, Int, List, Long, OneOf, Short, Text};

const ANY_INT: Kind = Int(i32::MIN, i32::MAX);
const ANY_LONG: Kind = Long(i64::MIN, i64::MAX);
const COUNT: Kind = Int(1, i32::MAX);
const NATURAL_INT: Kind = Int(0, i32::MAX);
const NATURAL: Kind = Long(0, i64::MAX);
const FROM_ONE: Kind = Long(1, i64::MAX);
const FROM_MINUS_ONE: Kind = Long(-1, i64::MAX);

/// Every known key, grouped as in Kafka's documentation.
#[rustfmt::skip]
pub static KEYS: &[Key] = &[
    // Identity.
    used("node.id", NATURAL_INT, "0", "Id of this broker."),
    used("broker.id", NATURAL_INT, "0", "Older name of node.id."),
    unset("broker.rack", Text, "Rack of this broker, told to clients."),
    accepted("process.roles", List(&["broker", "controller"]), "broker,controller"),
    accepted("broker.id.generation.enable", Boolean, "true"),
    // Listeners and connections.
    used("listeners", List(&[]), "PLAINTEXT://127.0.0.1:9092", "Where to listen: NAME://HOST:PORT, comma separated."),
    unset("advertised.listeners", List(&[]), "What clients are told to connect to, by listener name; unset: what is listened on."),
    used("listener.security.protocol.map", List(&[]), "PLAINTEXT:PLAINTEXT", "Security protocol of each listener name."),
    used("controller.listener.names", List(&[]), "", "Listeners that only a separate controller would need; not opened."),
    accepted_unset("inter.broker.listener.name", Text),
    accepted("security.inter.broker.protocol", Text, "PLAINTEXT"),
    used("max.connections", NATURAL_INT, "10000", "Connections at one time, over all listeners."),
    used("max.connections.per.ip", NATURAL_INT, "2147483647", "Connections at one time from one address."),
    accepted("max.connections.per.ip.overrides", Text, ""),
    accepted("max.connection.creation.rate", NATURAL_INT, "2147483647"),
    used("connections.max.idle.ms", ANY_LONG, "600000", "Idle connections are closed after this time; negative: never."),
    used("socket.request.max.bytes", COUNT, "104857600", "Largest request."),
    accepted("socket.send.buffer.bytes", Int(-1, i32::MAX), "102400"),
    accepted("socket.receive.buffer.bytes", Int(-1, i32::MAX), "102400"),
    accepted("socket.listen.backlog.size", COUNT, "50"),
    accepted("num.network.threads", COUNT, "3"),
    accepted("num.io.threads", COUNT, "8"),
    accepted("background.threads", COUNT, "10"),
    accepted("queued.max.requests", COUNT, "500"),
    accepted("queued.max.request.bytes", ANY_LONG, "-1"),
    accepted("request.timeout.ms", NATURAL_INT, "30000"),
    // Topics and messages.
    used("num.partitions", COUNT, "1", "Partitions of a topic that is created without saying how many."),
    accepted("default.replication.factor", Short(1, i16::MAX), "1"),
    used("auto.create.topics.enable", Boolean, "true", "A topic is created when it is first asked for."),
    used("delete.topic.enable", Boolean, "true", "Topics can be deleted."),
    used("message.max.bytes", NATURAL_INT, "1048588", "Largest record batch."),
    used("fetch.max.bytes", Int(1024, i32::MAX), "57671680", "Most bytes in one fetch response."),
    used("min.insync.replicas", COUNT, "1", "Default of the topic config min.insync.replicas."),
    used("unclean.leader.election.enable", Boolean, "false", "Default of the topic config unclean.leader.election.enable."),
    used("compression.type", OneOf(&["uncompressed", "zstd", "lz4", "snappy", "gzip", "producer"]), "producer", "Default of the topic config compression.type."),
    used("compression.gzip.level", Int(-1, 9), "-1", "Default of the topic config compression.gzip.level."),
    used("compression.lz4.level", Int(1, 17), "9", "Default of the topic config compression.lz4.level."),
    used("compression.zstd.level", Int(-131_072, 22), "3", "Default of the topic config compression.zstd.level."),
    used("max.incremental.fetch.session.cache.slots", NATURAL_INT, "1000", "Most fetch sessions that are kept at one time."),
    accepted("auto.leader.rebalance.enable", Boolean, "true"),
    accepted("leader.imbalance.check.interval.seconds", FROM_ONE, "300"),
    accepted("leader.imbalance.per.broker.percentage", NATURAL_INT, "10"),
    accepted("num.replica.fetchers", NATURAL_INT, "1"),
    accepted("controlled.shutdown.enable", Boolean, "true"),
    accepted_unset("create.topic.policy.class.name", Text),
    accepted_unset("alter.config.policy.class.name", Text),
    // The log.
    unset("log.dirs", List(&[]), "The data directory; exactly one. Unset: log.dir, else ./onelog-data."),
    unset("log.dir", Text, "The data directory, used when log.dirs is unset."),
    unset("log.retention.ms", FROM_MINUS_ONE, "How long records are kept; -1: forever. Wins over minutes and hours."),
    unset("log.retention.minutes", Int(-1, i32::MAX), "How long records are kept, used when log.retention.ms is unset."),
    used("log.retention.hours", Int(-1, i32::MAX), "168", "How long records are kept, used when ms and minutes are unset."),
    used("log.retention.bytes", FROM_MINUS_ONE, "-1", "How many bytes of a partition are kept; -1: all."),
    used("log.retention.check.interval.ms", FROM_ONE, "300000", "How often record ages are compared with retention times."),
    used("log.segment.bytes", Int(1_048_576, i32::MAX), "1073741824", "Default of the topic config segment.bytes."),
    unset("log.roll.ms", FROM_ONE, "Default of the topic config segment.ms."),
    used("log.roll.hours", COUNT, "168", "Default of the topic config segment.ms, used when log.roll.ms is unset."),
    unset("log.roll.jitter.ms", NATURAL, "Default of the topic config segment.jitter.ms."),
    used("log.roll.jitter.hours", NATURAL_INT, "0", "Default of segment.jitter.ms, used when log.roll.jitter.ms is unset."),
    used("log.cleanup.policy", List(&["compact", "delete"]), "delete", "Default of the topic config cleanup.policy."),
    used("log.index.size.max.bytes", Int(4, i32::MAX), "10485760", "Default of the topic config segment.index.bytes."),
    used("log.index.interval.bytes", NATURAL_INT, "4096", "Default of the topic config index.interval.bytes."),
    used("log.preallocate", Boolean, "false", "Default of the topic config preallocate."),
    used("log.segment.delete.delay.ms", NATURAL, "60000", "Default of the topic config file.delete.delay.ms."),
    used("log.flush.interval.messages", FROM_ONE, "9223372036854775807", "Default of the topic config flush.messages; how this broker flushes is onelog.flush."),
    unset("log.flush.interval.ms", NATURAL, "Default of the topic config flush.ms; how this broker flushes is onelog.flush."),
    used("log.message.timestamp.type", OneOf(&["CreateTime", "LogAppendTime"]), "CreateTime", "Default of the topic config message.timestamp.type."),
    used("log.message.timestamp.before.max.ms", NATURAL, "9223372036854775807", "Default of the topic config message.timestamp.before.max.ms."),
    used("log.message.timestamp.after.max.ms", NATURAL, "3600000", "Default of the topic config message.timestamp.after.max.ms."),
    used("log.local.retention.ms", Long(-2, i64::MAX), "-2", "Default of the topic config local.retention.ms."),
    used("log.local.retention.bytes", Long(-2, i64::MAX), "-2", "Default of the topic config local.retention.bytes."),
    used("log.cleaner.delete.retention.ms", NATURAL, "86400000", "Default of the topic config delete.retention.ms."),
    used("log.cleaner.min.compaction.lag.ms", NATURAL, "0", "Default of the topic config min.compaction.lag.ms."),
    used("log.cleaner.max.compaction.lag.ms", FROM_ONE, "9223372036854775807", "Default of the topic config max.compaction.lag.ms."),
    used("log.cleaner.min.cleanable.ratio", Double(0.0, 1.0), "0.5", "Default of the topic config min.cleanable.dirty.ratio."),
    accepted("log.cleaner.enable", Boolean, "true"),
    accepted("log.cleaner.threads", NATURAL_INT, "1"),
    accepted("log.cleaner.dedupe.buffer.size", ANY_LONG, "134217728"),
    accepted("log.flush.scheduler.interval.ms", ANY_LONG, "9223372036854775807"),
    accepted("log.flush.offset.checkpoint.interval.ms", NATURAL_INT, "60000"),
    accepted("log.flush.start.offset.checkpoint.interval.ms", NATURAL_INT, "60000"),
    accepted("num.recovery.threads.per.data.dir", COUNT, "2"),
    // Groups.
    used("group.initial.rebalance.delay.ms", NATURAL_INT, "3000", "How long the first rebalance of an empty group waits for more members."),
    used("group.min.session.timeout.ms", COUNT, "6000", "Smallest session timeout a member may ask for."),
    used("group.max.session.timeout.ms", COUNT, "1800000", "Largest session timeout a member may ask for."),
    used("group.max.size", COUNT, "2147483647", "Most members of one group."),
    used("offsets.topic.num.partitions", COUNT, "50", "Partitions of __consumer_offsets when it is created."),
    used("offsets.retention.minutes", COUNT, "10080", "How long offsets of an empty group are kept."),
    used("offsets.retention.check.interval.ms", FROM_ONE, "600000", "How often expired offsets are looked for."),
    used("offset.metadata.max.bytes", NATURAL_INT, "4096", "Longest metadata of a committed offset."),
    accepted("offsets.topic.replication.factor", Short(1, i16::MAX), "3"),
    accepted("offsets.topic.segment.bytes", COUNT, "104857600"),
    accepted("offsets.topic.compression.codec", ANY_INT, "0"),
    accepted("offsets.load.buffer.size", COUNT, "5242880"),
    accepted("offsets.commit.timeout.ms", COUNT, "5000"),
    accepted("group.coordinator.rebalance.protocols", List(&["classic", "consumer", "share", "streams"]), "classic"),
    accepted("group.coordinator.threads", COUNT, "4"),
    accepted("group.coordinator.append.linger.ms", Int(-1, i32::MAX), "-1"),
    accepted("group.consumer.session.timeout.ms", COUNT, "45000"),
    accepted("group.consumer.min.session.timeout.ms", COUNT, "45000"),
    accepted("group.consumer.max.session.timeout.ms", COUNT, "60000"),
    accepted("group.consumer.heartbeat.interval.ms", COUNT, "5000"),
    accepted("group.consumer.min.heartbeat.interval.ms", COUNT, "5000"),
    accepted("group.consumer.max.heartbeat.interval.ms", COUNT, "15000"),
    accepted("group.consumer.max.size", COUNT, "2147483647"),
    accepted("group.consumer.assignors", List(&[]), "uniform,range"),
    accepted("group.consumer.migration.policy", Text, "bidirectional"),
    accepted("group.share.record.lock.duration.ms", COUNT, "30000"),
    accepted("group.share.delivery.count.limit", COUNT, "5"),
    accepted("group.share.partition.max.record.locks", COUNT, "2000"),
    // Producers and transactions.
    used("producer.id.expiration.ms", COUNT, "86400000", "A producer id that is silent this long is forgotten."),
    accepted("producer.id.expiration.check.interval.ms", COUNT, "600000"),
    accepted("transaction.state.log.num.partitions", COUNT, "50"),
    accepted("transaction.state.log.replication.factor", Short(1, i16::MAX), "3"),
    accepted("transaction.state.log.min.isr", COUNT, "2"),
    accepted("transaction.state.log.segment.bytes", COUNT, "104857600"),
    accepted("transaction.max.timeout.ms", COUNT, "900000"),
    accepted("transactional.id.expiration.ms", COUNT, "604800000"),
    accepted("transaction.abort.timed.out.transaction.cleanup.interval.ms", COUNT, "10000"),
    accepted("transaction.remove.expired.transaction.cleanup.interval.ms", COUNT, "3600000"),
    accepted("transaction.partition.verification.enable", Boolean, "true"),
    // Metrics.
    accepted("metric.reporters", List(&[]), ""),
    accepted("auto.include.jmx.reporter", Boolean, "true"),
    // Our own.
    used("onelog.flush", OneOf(&["sync", "interval", "os"]), "sync", "When acks=all answers: after fdatasync, or once written, synced in the background or by the kernel."),
    used("onelog.flush.interval.ms", FROM_ONE, "1000", "How often the log is synced with onelog.flush=interval."),
    used("onelog.commitlog.file.bytes", Long(1_048_576, 1 << 40), "268435456", "Size of a commitlog file in a new data directory."),
    used("onelog.checkpoint.bytes", Long(1_048_576, i64::MAX), "67108864", "A checkpoint is written after this many appended bytes at the latest."),
    unset("onelog.admin.listen", Text, "HOST:PORT of the HTTP endpoints /metrics, /healthz and /readyz."),
    unset("onelog.ready.file", Text, "File that is written once the broker serves."),
];

/// Families of keys that Kafka knows and this broker has nothing for. Security is listed apart: leaving it out matters.
pub(super) static ACCEPTED_PREFIXES: &[&str] = &[
    "zookeeper.",
    "confluent.",
    "metrics.",
    "replica.",
    "controller.",
    "broker.session.",
    "broker.heartbeat.",
    "initial.broker.",
    "metadata.",
    "remote.log.",
    "log.cleaner.",
    "leader.replication.",
    "follower.replication.",
    "alter.log.dirs.",
    "client.quota.",
    "quota.",
    "group.share.",
    "group.streams.",
    "share.coordinator.",
    "telemetry.",
    "kafka.metrics.",
    "unstable.",
];

/// Families and keys whose absence leaves the broker open where the operator may expect it closed.
pub(super) static SECURITY_PREFIXES: &[&str] = &[
    "ssl.",
    "sasl.",
    "listener.name.",
    "authorizer.",
    "super.users",
    "allow.everyone.if.no.acl.found",
    "principal.builder.",
    "connections.max.reauth.ms",
    "connection.failed.authentication.delay.ms",
    "security.providers",
    "delegation.token.",
    "password.encoder.",
];

/// The key called `name`.
pub(super) fn find(name: &str) -> Option<&'static Key> {
    KEYS.iter().find(|key| key.name == name)
}
