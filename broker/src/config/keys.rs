//! The one table of configuration keys: name, type, range, default, what it does here.
//!
//! Every key that DescribeConfigs of an Apache Kafka 4.3.1 broker shows is here, with Kafka's type, range and default
//! (`AbstractKafkaConfig.CONFIG_DEF`); `docs/CONFIGS.md` says where the default is another on purpose. `onelog.*` are our own.
//! Parsing, checking, DescribeConfigs and the nearest-name advice all read it. A table, exempt from the file size rule.

use std::collections::HashMap;
use std::sync::LazyLock;

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
    /// Name of a Java class.
    Class,
    /// Never shown.
    Password,
}

impl Kind {
    /// Kafka's `DescribeConfigsResponse.ConfigType`.
    pub(crate) fn type_code(self) -> i8 {
        match self {
            Self::Boolean => 1,
            Self::Text | Self::OneOf(_) => 2,
            Self::Int(..) => 3,
            Self::Short(..) => 4,
            Self::Long(..) => 5,
            Self::Double(..) => 6,
            Self::List(_) => 7,
            Self::Class => 8,
            Self::Password => 9,
        }
    }
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

use Kind::{Boolean, Class, Double, Int, List, Long, OneOf, Password, Short, Text};

const ANY_INT: Kind = Int(i32::MIN, i32::MAX);
const ANY_LONG: Kind = Long(i64::MIN, i64::MAX);
const COUNT: Kind = Int(1, i32::MAX);
const NATURAL_INT: Kind = Int(0, i32::MAX);
const NATURAL: Kind = Long(0, i64::MAX);
const FROM_ONE: Kind = Long(1, i64::MAX);

/// Every known key, grouped as in Kafka's documentation.
#[rustfmt::skip]
pub static KEYS: &[Key] = &[
    // Identity.
    used("node.id", NATURAL_INT, "0", "Id of this broker."),
    used("broker.id", NATURAL_INT, "0", "Older name of node.id."),
    unset("broker.rack", Text, "Rack of this broker, told to clients."),
    accepted("process.roles", List(&["broker", "controller"]), "broker,controller"),
    // Listeners and connections.
    used("listeners", List(&[]), "PLAINTEXT://127.0.0.1:9092", "Where to listen: NAME://HOST:PORT, comma separated."),
    unset("advertised.listeners", List(&[]), "What clients are told to connect to, by listener name; unset: what is listened on."),
    used("listener.security.protocol.map", Text, "SASL_SSL:SASL_SSL,PLAINTEXT:PLAINTEXT,SSL:SSL,SASL_PLAINTEXT:SASL_PLAINTEXT", "Security protocol of each listener name."),
    used("controller.listener.names", List(&[]), "", "Listeners that only a separate controller would need; not opened."),
    accepted_unset("inter.broker.listener.name", Text),
    accepted("security.inter.broker.protocol", OneOf(&["PLAINTEXT", "SSL", "SASL_PLAINTEXT", "SASL_SSL"]), "PLAINTEXT"),
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
    used("default.replication.factor", Int(1, i32::MAX), "1", "Replicas of topics that are created without saying how many, no more than there are virtual nodes."),
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
    accepted("num.replica.fetchers", NATURAL_INT, "1"),
    accepted("controlled.shutdown.enable", Boolean, "true"),
    accepted_unset("create.topic.policy.class.name", Class),
    accepted_unset("alter.config.policy.class.name", Class),
    // The log.
    unset("log.dirs", List(&[]), "The data directory; exactly one. Unset: log.dir, else ./onelog-data."),
    unset("log.dir", List(&[]), "The data directory, used when log.dirs is unset."),
    unset("log.retention.ms", ANY_LONG, "How long records are kept; -1: forever. Wins over minutes and hours."),
    unset("log.retention.minutes", ANY_INT, "How long records are kept, used when log.retention.ms is unset."),
    used("log.retention.hours", ANY_INT, "168", "How long records are kept, used when ms and minutes are unset."),
    used("log.retention.bytes", ANY_LONG, "-1", "How many bytes of a partition are kept; -1: all."),
    used("log.retention.check.interval.ms", FROM_ONE, "300000", "How often record ages are compared with retention times."),
    used("log.segment.bytes", Int(1_048_576, i32::MAX), "1073741824", "Default of the topic config segment.bytes."),
    unset("log.roll.ms", ANY_LONG, "Default of the topic config segment.ms."),
    used("log.roll.hours", COUNT, "168", "Default of the topic config segment.ms, used when log.roll.ms is unset."),
    unset("log.roll.jitter.ms", ANY_LONG, "Default of the topic config segment.jitter.ms."),
    used("log.roll.jitter.hours", NATURAL_INT, "0", "Default of segment.jitter.ms, used when log.roll.jitter.ms is unset."),
    used("log.cleanup.policy", List(&["compact", "delete"]), "delete", "Default of the topic config cleanup.policy."),
    used("log.index.size.max.bytes", Int(4, i32::MAX), "10485760", "Default of the topic config segment.index.bytes."),
    used("log.index.interval.bytes", NATURAL_INT, "4096", "Default of the topic config index.interval.bytes."),
    used("log.preallocate", Boolean, "false", "Default of the topic config preallocate."),
    used("log.segment.delete.delay.ms", NATURAL, "60000", "Default of the topic config file.delete.delay.ms."),
    used("log.flush.interval.messages", FROM_ONE, "9223372036854775807", "Default of the topic config flush.messages; how this broker flushes is onelog.flush."),
    unset("log.flush.interval.ms", ANY_LONG, "Default of the topic config flush.ms; how this broker flushes is onelog.flush."),
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
    used("offsets.topic.replication.factor", Short(1, i16::MAX), "3", "Replicas of __consumer_offsets, no more than there are virtual nodes."),
    accepted("offsets.topic.segment.bytes", COUNT, "104857600"),
    accepted("offsets.topic.compression.codec", ANY_INT, "0"),
    accepted("offsets.load.buffer.size", COUNT, "5242880"),
    accepted("offsets.commit.timeout.ms", COUNT, "5000"),
    used("group.coordinator.rebalance.protocols", List(&["classic", "consumer", "share", "streams"]), "classic,consumer,streams", "Protocols that groups may use; classic and consumer have an effect here, share groups are always served."),
    accepted("group.coordinator.threads", COUNT, "4"),
    accepted("group.coordinator.append.linger.ms", Int(-1, i32::MAX), "-1"),
    used("group.consumer.session.timeout.ms", COUNT, "45000", "Silence after which a member of a consumer group is dead."),
    accepted("group.consumer.min.session.timeout.ms", COUNT, "45000"),
    accepted("group.consumer.max.session.timeout.ms", COUNT, "60000"),
    used("group.consumer.heartbeat.interval.ms", COUNT, "5000", "Heartbeat interval told to members of consumer groups."),
    accepted("group.consumer.min.heartbeat.interval.ms", COUNT, "5000"),
    accepted("group.consumer.max.heartbeat.interval.ms", COUNT, "15000"),
    used("group.consumer.max.size", COUNT, "2147483647", "Most members of one consumer group."),
    used("group.consumer.assignors", List(&["uniform", "range"]), "uniform,range", "Assignors of consumer groups; the first is the default."),
    used("group.consumer.migration.policy", OneOf(&["bidirectional", "upgrade", "downgrade", "disabled"]), "bidirectional", "Which groups may change between classic and consumer protocol with members in them."),
    used("group.consumer.assignment.interval.ms", NATURAL_INT, "1000", "Shortest time between two target assignments of a consumer group."),
    used("group.share.record.lock.duration.ms", Int(1000, 3_600_000), "30000", "How long a member of a share group may keep a record."),
    used("group.share.delivery.count.limit", Int(2, 10), "5", "Deliveries after which a share group gives a record up."),
    used("group.share.partition.max.record.locks", Int(100, 10_000), "2000", "Records of a partition that a share group may have in flight."),
    // Producers and transactions.
    used("producer.id.expiration.ms", COUNT, "86400000", "A producer id that is silent this long is forgotten."),
    used("transaction.state.log.num.partitions", COUNT, "50", "Partitions of __transaction_state when it is created."),
    used("transaction.state.log.replication.factor", Short(1, i16::MAX), "3", "Replicas of __transaction_state, no more than there are virtual nodes."),
    accepted("transaction.state.log.min.isr", COUNT, "2"),
    accepted("transaction.state.log.segment.bytes", COUNT, "104857600"),
    used("transaction.max.timeout.ms", COUNT, "900000", "Largest transaction timeout a producer may ask for."),
    used("transactional.id.expiration.ms", COUNT, "604800000", "A transactional id that is unused this long is forgotten."),
    used("transaction.abort.timed.out.transaction.cleanup.interval.ms", COUNT, "10000", "How often transactions past their timeout are looked for."),
    used("transaction.remove.expired.transaction.cleanup.interval.ms", COUNT, "3600000", "How often unused transactional ids are looked for."),
    used("transaction.partition.verification.enable", Boolean, "true", "A transactional batch is appended only after the coordinator was asked whether its transaction is open."),
    // Metrics.
    accepted("metric.reporters", List(&[]), ""),
    // Security: not served yet; setting one of these gives a warning at start.
    accepted("authorizer.class.name", Text, ""),
    accepted("connection.failed.authentication.delay.ms", NATURAL_INT, "100"),
    accepted("connections.max.reauth.ms", ANY_LONG, "0"),
    accepted("delegation.token.expiry.check.interval.ms", FROM_ONE, "3600000"),
    accepted("delegation.token.expiry.time.ms", FROM_ONE, "86400000"),
    accepted("delegation.token.max.lifetime.ms", FROM_ONE, "604800000"),
    accepted_unset("delegation.token.secret.key", Password),
    accepted("principal.builder.class", Class, "org.apache.kafka.common.security.authenticator.DefaultKafkaPrincipalBuilder"),
    accepted_unset("sasl.client.callback.handler.class", Class),
    accepted("sasl.enabled.mechanisms", List(&[]), "GSSAPI"),
    accepted_unset("sasl.jaas.config", Password),
    accepted("sasl.kerberos.kinit.cmd", Text, "/usr/bin/kinit"),
    accepted("sasl.kerberos.min.time.before.relogin", ANY_LONG, "60000"),
    accepted("sasl.kerberos.principal.to.local.rules", List(&[]), "DEFAULT"),
    accepted_unset("sasl.kerberos.service.name", Text),
    accepted("sasl.kerberos.ticket.renew.jitter", Double(f64::MIN, f64::MAX), "0.05"),
    accepted("sasl.kerberos.ticket.renew.window.factor", Double(f64::MIN, f64::MAX), "0.8"),
    accepted_unset("sasl.login.callback.handler.class", Class),
    accepted_unset("sasl.login.class", Class),
    accepted_unset("sasl.login.connect.timeout.ms", ANY_INT),
    accepted_unset("sasl.login.read.timeout.ms", ANY_INT),
    accepted("sasl.login.refresh.buffer.seconds", Short(i16::MIN, i16::MAX), "300"),
    accepted("sasl.login.refresh.min.period.seconds", Short(i16::MIN, i16::MAX), "60"),
    accepted("sasl.login.refresh.window.factor", Double(f64::MIN, f64::MAX), "0.8"),
    accepted("sasl.login.refresh.window.jitter", Double(f64::MIN, f64::MAX), "0.05"),
    accepted("sasl.login.retry.backoff.max.ms", ANY_LONG, "10000"),
    accepted("sasl.login.retry.backoff.ms", ANY_LONG, "100"),
    accepted("sasl.mechanism.controller.protocol", Text, "GSSAPI"),
    accepted("sasl.mechanism.inter.broker.protocol", Text, "GSSAPI"),
    accepted("sasl.oauthbearer.assertion.algorithm", Text, "RS256"),
    accepted_unset("sasl.oauthbearer.assertion.claim.aud", Text),
    accepted("sasl.oauthbearer.assertion.claim.exp.seconds", Int(0, 86_400), "300"),
    accepted_unset("sasl.oauthbearer.assertion.claim.iss", Text),
    accepted("sasl.oauthbearer.assertion.claim.jti.include", Boolean, "false"),
    accepted("sasl.oauthbearer.assertion.claim.nbf.seconds", Int(0, 3600), "60"),
    accepted_unset("sasl.oauthbearer.assertion.claim.sub", Text),
    accepted_unset("sasl.oauthbearer.assertion.file", Text),
    accepted_unset("sasl.oauthbearer.assertion.private.key.file", Text),
    accepted_unset("sasl.oauthbearer.assertion.private.key.passphrase", Password),
    accepted_unset("sasl.oauthbearer.assertion.template.file", Text),
    accepted_unset("sasl.oauthbearer.client.credentials.client.id", Text),
    accepted_unset("sasl.oauthbearer.client.credentials.client.secret", Password),
    accepted("sasl.oauthbearer.clock.skew.seconds", ANY_INT, "30"),
    accepted("sasl.oauthbearer.expected.audience", List(&[]), ""),
    accepted_unset("sasl.oauthbearer.expected.issuer", Text),
    accepted("sasl.oauthbearer.jwks.endpoint.refresh.ms", ANY_LONG, "3600000"),
    accepted("sasl.oauthbearer.jwks.endpoint.retry.backoff.max.ms", ANY_LONG, "10000"),
    accepted("sasl.oauthbearer.jwks.endpoint.retry.backoff.ms", ANY_LONG, "100"),
    accepted_unset("sasl.oauthbearer.jwks.endpoint.url", Text),
    accepted("sasl.oauthbearer.jwt.retriever.class", Class, "org.apache.kafka.common.security.oauthbearer.DefaultJwtRetriever"),
    accepted("sasl.oauthbearer.jwt.validator.class", Class, "org.apache.kafka.common.security.oauthbearer.DefaultJwtValidator"),
    accepted_unset("sasl.oauthbearer.scope", Text),
    accepted("sasl.oauthbearer.scope.claim.name", Text, "scope"),
    accepted("sasl.oauthbearer.sub.claim.name", Text, "sub"),
    accepted_unset("sasl.oauthbearer.token.endpoint.url", Text),
    accepted_unset("sasl.server.callback.handler.class", Class),
    accepted("sasl.server.max.receive.size", ANY_INT, "524288"),
    accepted_unset("security.providers", Text),
    accepted("ssl.allow.dn.changes", Boolean, "false"),
    accepted("ssl.allow.san.changes", Boolean, "false"),
    accepted("ssl.cipher.suites", List(&[]), ""),
    accepted("ssl.client.auth", OneOf(&["required", "requested", "none"]), "none"),
    accepted("ssl.enabled.protocols", List(&[]), "TLSv1.2,TLSv1.3"),
    accepted("ssl.endpoint.identification.algorithm", Text, "https"),
    accepted_unset("ssl.engine.factory.class", Class),
    accepted_unset("ssl.key.password", Password),
    accepted("ssl.keymanager.algorithm", Text, "SunX509"),
    accepted_unset("ssl.keystore.certificate.chain", Password),
    accepted_unset("ssl.keystore.key", Password),
    accepted_unset("ssl.keystore.location", Text),
    accepted_unset("ssl.keystore.password", Password),
    accepted("ssl.keystore.type", Text, "JKS"),
    accepted("ssl.principal.mapping.rules", Text, "DEFAULT"),
    accepted("ssl.protocol", Text, "TLSv1.3"),
    accepted_unset("ssl.provider", Text),
    accepted_unset("ssl.secure.random.implementation", Text),
    accepted("ssl.trustmanager.algorithm", Text, "PKIX"),
    accepted_unset("ssl.truststore.certificates", Password),
    accepted_unset("ssl.truststore.location", Text),
    accepted_unset("ssl.truststore.password", Password),
    accepted("ssl.truststore.type", Text, "JKS"),
    // Remote storage.
    accepted("follower.fetch.last.tiered.offset.enable", Boolean, "false"),
    accepted("remote.fetch.max.wait.ms", COUNT, "500"),
    accepted("remote.list.offsets.request.timeout.ms", FROM_ONE, "30000"),
    accepted("remote.log.index.file.cache.total.size.bytes", FROM_ONE, "1073741824"),
    accepted("remote.log.manager.copier.thread.pool.size", COUNT, "10"),
    accepted("remote.log.manager.copy.max.bytes.per.second", FROM_ONE, "9223372036854775807"),
    accepted("remote.log.manager.copy.quota.window.num", COUNT, "11"),
    accepted("remote.log.manager.copy.quota.window.size.seconds", COUNT, "1"),
    accepted("remote.log.manager.expiration.thread.pool.size", COUNT, "10"),
    accepted("remote.log.manager.fetch.max.bytes.per.second", FROM_ONE, "9223372036854775807"),
    accepted("remote.log.manager.fetch.quota.window.num", COUNT, "11"),
    accepted("remote.log.manager.fetch.quota.window.size.seconds", COUNT, "1"),
    accepted("remote.log.manager.follower.thread.pool.size", COUNT, "2"),
    accepted("remote.log.manager.task.interval.ms", FROM_ONE, "30000"),
    accepted("remote.log.manager.thread.pool.size", COUNT, "2"),
    accepted("remote.log.metadata.custom.metadata.max.bytes", NATURAL_INT, "128"),
    accepted("remote.log.metadata.manager.class.name", Text, "org.apache.kafka.server.log.remote.metadata.storage.TopicBasedRemoteLogMetadataManager"),
    accepted_unset("remote.log.metadata.manager.class.path", Text),
    accepted("remote.log.metadata.manager.impl.prefix", Text, "rlmm.config."),
    accepted_unset("remote.log.metadata.manager.listener.name", Text),
    accepted("remote.log.reader.max.pending.tasks", COUNT, "100"),
    accepted("remote.log.reader.threads", COUNT, "10"),
    accepted_unset("remote.log.storage.manager.class.name", Text),
    accepted_unset("remote.log.storage.manager.class.path", Text),
    accepted("remote.log.storage.manager.impl.prefix", Text, "rsm.config."),
    accepted("remote.log.storage.system.enable", Boolean, "false"),
    // Groups of the newer protocols.
    accepted("group.consumer.max.assignment.interval.ms", NATURAL_INT, "15000"),
    accepted("group.consumer.min.assignment.interval.ms", NATURAL_INT, "0"),
    accepted("group.coordinator.background.threads", COUNT, "2"),
    accepted("group.coordinator.cached.buffer.max.bytes", Int(524_288, i32::MAX), "1048588"),
    used("group.share.assignment.interval.ms", NATURAL_INT, "1000", "Shortest time between two target assignments of a share group."),
    used("group.share.assignors", List(&[]), "simple", "The assignor of share groups; there is one."),
    used("group.share.heartbeat.interval.ms", COUNT, "5000", "Heartbeat interval told to members of share groups."),
    used("group.share.max.assignment.interval.ms", NATURAL_INT, "15000", "Most that share.assignment.interval.ms may be."),
    used("group.share.max.delivery.count.limit", Int(5, 25), "10", "Most that share.delivery.count.limit may be."),
    used("group.share.max.heartbeat.interval.ms", COUNT, "15000", "Most that share.heartbeat.interval.ms may be."),
    used("group.share.max.partition.max.record.locks", Int(2000, 10_000), "4000", "Most that share.partition.max.record.locks may be."),
    used("group.share.max.record.lock.duration.ms", Int(30_000, 3_600_000), "60000", "Most that share.record.lock.duration.ms may be."),
    used("group.share.max.session.timeout.ms", COUNT, "60000", "Most that share.session.timeout.ms may be."),
    used("group.share.max.share.sessions", COUNT, "2000", "Share sessions that may be open at once."),
    used("group.share.max.size", Int(1, 1000), "200", "Most members of one share group."),
    used("group.share.min.assignment.interval.ms", NATURAL_INT, "0", "Least that share.assignment.interval.ms may be."),
    used("group.share.min.delivery.count.limit", Int(2, 5), "2", "Least that share.delivery.count.limit may be."),
    used("group.share.min.heartbeat.interval.ms", COUNT, "5000", "Least that share.heartbeat.interval.ms may be."),
    used("group.share.min.partition.max.record.locks", Int(100, 2000), "100", "Least that share.partition.max.record.locks may be."),
    used("group.share.min.record.lock.duration.ms", Int(1000, 30_000), "15000", "Least that share.record.lock.duration.ms may be."),
    used("group.share.min.session.timeout.ms", COUNT, "45000", "Least that share.session.timeout.ms may be."),
    used("group.share.session.timeout.ms", COUNT, "45000", "Silence after which a member of a share group is dead."),
    accepted("group.streams.assignment.interval.ms", NATURAL_INT, "1000"),
    accepted("group.streams.heartbeat.interval.ms", COUNT, "5000"),
    accepted("group.streams.initial.rebalance.delay.ms", NATURAL_INT, "3000"),
    accepted("group.streams.max.assignment.interval.ms", NATURAL_INT, "15000"),
    accepted("group.streams.max.heartbeat.interval.ms", COUNT, "15000"),
    accepted("group.streams.max.session.timeout.ms", COUNT, "60000"),
    accepted("group.streams.max.size", COUNT, "2147483647"),
    accepted("group.streams.max.standby.replicas", NATURAL_INT, "2"),
    accepted("group.streams.min.assignment.interval.ms", NATURAL_INT, "0"),
    accepted("group.streams.min.heartbeat.interval.ms", COUNT, "5000"),
    accepted("group.streams.min.session.timeout.ms", COUNT, "45000"),
    accepted("group.streams.num.standby.replicas", NATURAL_INT, "0"),
    accepted("group.streams.session.timeout.ms", COUNT, "45000"),
    accepted("share.coordinator.append.linger.ms", Int(-1, i32::MAX), "-1"),
    accepted("share.coordinator.cached.buffer.max.bytes", Int(524_288, i32::MAX), "1048588"),
    accepted("share.coordinator.load.buffer.size", COUNT, "5242880"),
    used("share.coordinator.snapshot.update.records.per.snapshot", Int(0, 500), "500", "Changes of a share partition that are written one by one before all of it is written again."),
    accepted("share.coordinator.state.topic.compression.codec", ANY_INT, "0"),
    accepted("share.coordinator.state.topic.min.isr", Short(1, i16::MAX), "2"),
    used("share.coordinator.state.topic.num.partitions", COUNT, "50", "Partitions of __share_group_state when it is created."),
    used("share.coordinator.state.topic.replication.factor", Short(1, i16::MAX), "3", "Replicas of __share_group_state, no more than there are virtual nodes."),
    accepted("share.coordinator.state.topic.segment.bytes", COUNT, "104857600"),
    accepted("share.coordinator.threads", COUNT, "1"),
    accepted("share.coordinator.write.timeout.ms", COUNT, "5000"),
    accepted("share.fetch.purgatory.purge.interval.requests", ANY_INT, "1000"),
    // Controllers, replicas and quotas.
    accepted("alter.log.dirs.replication.quota.window.num", COUNT, "11"),
    accepted("alter.log.dirs.replication.quota.window.size.seconds", COUNT, "1"),
    accepted("broker.heartbeat.interval.ms", ANY_INT, "2000"),
    accepted("broker.session.timeout.ms", ANY_INT, "9000"),
    accepted_unset("client.quota.callback.class", Class),
    accepted("controller.quorum.append.linger.ms", NATURAL_INT, "25"),
    accepted("controller.quorum.auto.join.enable", Boolean, "false"),
    accepted("controller.quorum.bootstrap.servers", List(&[]), ""),
    accepted("controller.quorum.election.backoff.max.ms", NATURAL_INT, "1000"),
    accepted("controller.quorum.election.timeout.ms", NATURAL_INT, "1000"),
    accepted("controller.quorum.fetch.max.bytes", COUNT, "1048576"),
    accepted("controller.quorum.fetch.snapshot.max.bytes", COUNT, "1048576"),
    accepted("controller.quorum.fetch.timeout.ms", NATURAL_INT, "2000"),
    accepted("controller.quorum.request.timeout.ms", NATURAL_INT, "2000"),
    accepted("controller.quorum.retry.backoff.ms", NATURAL_INT, "20"),
    accepted("controller.quorum.voters", List(&[]), ""),
    accepted("controller.quota.window.num", COUNT, "11"),
    accepted("controller.quota.window.size.seconds", COUNT, "1"),
    accepted("controller.socket.timeout.ms", ANY_INT, "30000"),
    accepted("delete.records.purgatory.purge.interval.requests", ANY_INT, "1"),
    accepted("fetch.purgatory.purge.interval.requests", ANY_INT, "1000"),
    accepted("initial.broker.registration.timeout.ms", ANY_INT, "60000"),
    accepted_unset("metadata.log.dir", Text),
    accepted("metadata.log.max.record.bytes.between.snapshots", FROM_ONE, "20971520"),
    accepted("metadata.log.max.snapshot.interval.ms", NATURAL, "3600000"),
    accepted("metadata.log.segment.bytes", Int(8_388_608, i32::MAX), "1073741824"),
    accepted("metadata.log.segment.ms", ANY_LONG, "604800000"),
    accepted("metadata.max.idle.interval.ms", NATURAL_INT, "500"),
    accepted("metadata.max.retention.bytes", ANY_LONG, "104857600"),
    accepted("metadata.max.retention.ms", ANY_LONG, "604800000"),
    accepted("producer.purgatory.purge.interval.requests", ANY_INT, "1000"),
    accepted("quota.window.num", COUNT, "11"),
    accepted("quota.window.size.seconds", COUNT, "1"),
    accepted("replica.fetch.backoff.ms", NATURAL_INT, "1000"),
    accepted("replica.fetch.max.bytes", NATURAL_INT, "1048576"),
    accepted("replica.fetch.min.bytes", ANY_INT, "1"),
    accepted("replica.fetch.response.max.bytes", NATURAL_INT, "10485760"),
    accepted("replica.fetch.wait.max.ms", ANY_INT, "500"),
    accepted("replica.high.watermark.checkpoint.interval.ms", ANY_LONG, "5000"),
    accepted("replica.lag.time.max.ms", ANY_LONG, "30000"),
    accepted_unset("replica.selector.class", Text),
    accepted("replica.socket.receive.buffer.bytes", ANY_INT, "65536"),
    accepted("replica.socket.timeout.ms", ANY_INT, "30000"),
    // Others.
    accepted("add.partitions.to.txn.retry.backoff.max.ms", NATURAL_INT, "100"),
    accepted("add.partitions.to.txn.retry.backoff.ms", COUNT, "20"),
    accepted("config.providers", List(&[]), ""),
    accepted("cordoned.log.dirs", List(&[]), ""),
    accepted_unset("early.start.listeners", List(&[])),
    accepted("kafka.metrics.polling.interval.secs", COUNT, "10"),
    accepted("kafka.metrics.reporters", List(&[]), ""),
    accepted("log.cleaner.backoff.ms", NATURAL, "15000"),
    accepted("log.cleaner.io.buffer.load.factor", Double(f64::MIN, f64::MAX), "0.9"),
    accepted("log.cleaner.io.buffer.size", NATURAL_INT, "524288"),
    accepted("log.cleaner.io.max.bytes.per.second", Double(f64::MIN, f64::MAX), "1.7976931348623157E308"),
    accepted("log.dir.failure.timeout.ms", FROM_ONE, "30000"),
    used(
        "max.request.partition.size.limit",
        COUNT,
        "2000",
        "Partitions in one answer to DescribeTopicPartitions.",
    ),
    accepted("metrics.num.samples", COUNT, "2"),
    accepted("metrics.recording.level", Text, "INFO"),
    accepted("metrics.sample.window.ms", FROM_ONE, "30000"),
    accepted_unset("num.replica.alter.log.dirs.threads", ANY_INT),
    accepted("replication.quota.window.num", COUNT, "11"),
    accepted("replication.quota.window.size.seconds", COUNT, "1"),
    accepted("socket.connection.setup.timeout.max.ms", ANY_LONG, "30000"),
    accepted("socket.connection.setup.timeout.ms", ANY_LONG, "10000"),
    accepted("telemetry.max.bytes", COUNT, "1048576"),
    accepted("transaction.state.log.load.buffer.size", COUNT, "5242880"),
    accepted("transaction.two.phase.commit.enable", Boolean, "false"),
    // Our own.
    used("onelog.flush", OneOf(&["sync", "interval", "os"]), "sync", "When acks=all answers: after fdatasync, or once written, synced in the background or by the kernel."),
    used("onelog.flush.interval.ms", FROM_ONE, "1000", "How often the log is synced with onelog.flush=interval."),
    used("onelog.commitlog.file.bytes", Long(1_048_576, 1 << 40), "268435456", "Size of a commitlog file in a new data directory."),
    used("onelog.checkpoint.bytes", Long(1_048_576, i64::MAX), "67108864", "A checkpoint is written after this many appended bytes, or later, after up to 16 times as many, where it would write more than an eighth as much: with tens of thousands of partitions."),
    unset("onelog.create.topics", List(&[]), "Topics made at the start unless they are there: NAME[:PARTITIONS[:REPLICATION[:CLEANUP]]], comma separated."),
    unset("onelog.admin.listen", Text, "HOST:PORT of the HTTP endpoints /metrics, /healthz and /readyz."),
    used("onelog.test.mode", OneOf(&["off", "local", "anywhere"]), "off", "Serve the control API for tests, docs/TEST_MODE.md, on the admin address: local when that is a loopback address, anywhere on any."),
    used("onelog.brokers", Int(1, 100), "1", "Nodes that this process plays for tests, with ids from node.id on: listeners of their own over one log, docs/TEST_MODE.md."),
    unset("onelog.ready.file", Text, "File that is written once the broker serves."),
];

/// Families of keys, and keys of older versions, that are no mistake though nothing here knows them. Security is listed
/// apart: leaving it out matters.
pub(super) static ACCEPTED_PREFIXES: &[&str] = &[
    "auto.include.jmx.reporter",
    "broker.id.generation.enable",
    "config.providers.",
    "confluent.",
    // Bitnami's image: whether and under which cluster id it runs without ZooKeeper.
    "enable.kraft",
    "inter.broker.protocol.version",
    "kafka.metrics.",
    "kraft.cluster.id",
    "leader.imbalance.per.broker.percentage",
    "log.cleaner.",
    "log.message.format.version",
    "metrics.",
    "producer.id.expiration.check.interval.ms",
    "remote.log.",
    "reserved.broker.max.id",
    // Confluent's REST proxy, configured beside the broker in its image for development.
    "rest.",
    "rlmm.config.",
    "rsm.config.",
    "share.coordinator.",
    "unstable.",
    "zookeeper.",
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
pub(crate) fn find(name: &str) -> Option<&'static Key> {
    static BY_NAME: LazyLock<HashMap<&str, &Key>> =
        LazyLock::new(|| KEYS.iter().map(|key| (key.name, key)).collect());
    BY_NAME.get(name).copied()
}
