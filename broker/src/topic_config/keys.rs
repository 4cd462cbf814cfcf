//! Every topic config: name, type, default, which broker keys give its default, one sentence.
//!
//! Names, types, ranges and defaults are those of Kafka 4.3.1's `LogConfig`, but for `onelog.*`; broker keys those of
//! `ServerTopicConfigSynonyms`. Invariant: sorted by name, and every broker key is in `config::KEYS`.

use crate::config::Kind::{self, Boolean, Double, Int, List, Long, OneOf};

/// One topic config.
#[derive(Debug)]
pub(crate) struct TopicKey {
    pub(crate) name: &'static str,
    pub(crate) kind: Kind,
    /// As Kafka writes it.
    pub(crate) default: &'static str,
    /// Broker keys that set the default, strongest first.
    pub(crate) synonyms: &'static [Synonym],
    pub(crate) doc: &'static str,
}

/// A broker key behind a topic config.
#[derive(Debug)]
pub(crate) struct Synonym {
    pub(crate) key: &'static str,
    /// One unit of the broker key in units of the topic config (`log.retention.hours`: 3 600 000).
    pub(crate) factor: i64,
}

const fn same(key: &'static str) -> Synonym {
    Synonym { key, factor: 1 }
}

const fn minutes(key: &'static str) -> Synonym {
    Synonym { key, factor: 60_000 }
}

const fn hours(key: &'static str) -> Synonym {
    Synonym { key, factor: 3_600_000 }
}

const NATURAL_INT: Kind = Int(0, i32::MAX);
const NATURAL: Kind = Long(0, i64::MAX);
const FROM_ONE: Kind = Long(1, i64::MAX);
const CODECS: Kind = OneOf(&["uncompressed", "zstd", "lz4", "snappy", "gzip", "producer"]);
const FOREVER: &str = "9223372036854775807";

const fn key(
    name: &'static str,
    kind: Kind,
    default: &'static str,
    synonyms: &'static [Synonym],
    doc: &'static str,
) -> TopicKey {
    TopicKey { name, kind, default, synonyms, doc }
}

/// The table.
#[rustfmt::skip]
pub(crate) static TOPIC_KEYS: &[TopicKey] = &[
    key("cleanup.policy", List(&["compact", "delete"]), "delete", &[same("log.cleanup.policy")], "What happens to old records: delete drops them by age and size, compact keeps the newest record of each key; empty keeps all."),
    key("compression.gzip.level", Int(-1, 9), "-1", &[same("compression.gzip.level")], "Level used when the broker compresses with gzip; -1 leaves it to the codec."),
    key("compression.lz4.level", Int(1, 17), "9", &[same("compression.lz4.level")], "Checked and kept; the lz4 codec of this broker has one level."),
    key("compression.type", CODECS, "producer", &[same("compression.type")], "Codec that batches are stored with; producer keeps what the producer chose."),
    key("compression.zstd.level", Int(-131_072, 22), "3", &[same("compression.zstd.level")], "Level used when the broker compresses with zstd."),
    key("delete.retention.ms", NATURAL, "86400000", &[same("log.cleaner.delete.retention.ms")], "How long a tombstone stays readable after the compaction that first met it."),
    key("file.delete.delay.ms", NATURAL, "60000", &[same("log.segment.delete.delay.ms")], "Kept for compatibility: files of the shared log are recycled, not deleted one by one."),
    key("flush.messages", FROM_ONE, FOREVER, &[same("log.flush.interval.messages")], "Kept for compatibility: the broker-wide key onelog.flush decides when records are synced."),
    key("flush.ms", NATURAL, FOREVER, &[same("log.flush.interval.ms"), same("log.flush.scheduler.interval.ms")], "Kept for compatibility: the broker-wide key onelog.flush decides when records are synced."),
    key("follower.replication.throttled.replicas", List(&[]), "", &[], "Follower replicas whose replication is throttled, as partition:broker pairs, or *."),
    key("index.interval.bytes", NATURAL_INT, "4096", &[same("log.index.interval.bytes")], "Kept for compatibility: every batch has its own index entry here."),
    key("leader.replication.throttled.replicas", List(&[]), "", &[], "Leader replicas whose replication is throttled, as partition:broker pairs, or *."),
    key("local.retention.bytes", Long(-2, i64::MAX), "-2", &[same("log.local.retention.bytes")], "How many bytes stay local with remote storage; -2 follows retention.bytes."),
    key("local.retention.ms", Long(-2, i64::MAX), "-2", &[same("log.local.retention.ms")], "How long records stay local with remote storage; -2 follows retention.ms."),
    key("max.compaction.lag.ms", FROM_ONE, FOREVER, &[same("log.cleaner.max.compaction.lag.ms")], "The longest that a record waits for compaction, however little of the log is dirty."),
    key("max.message.bytes", NATURAL_INT, "1048588", &[same("message.max.bytes")], "Largest record batch that is accepted, as it was sent, in bytes."),
    key("message.timestamp.after.max.ms", NATURAL, "3600000", &[same("log.message.timestamp.after.max.ms")], "How far a record's timestamp may lie ahead of the broker's clock."),
    key("message.timestamp.before.max.ms", NATURAL, FOREVER, &[same("log.message.timestamp.before.max.ms")], "How far a record's timestamp may lie behind the broker's clock."),
    key("message.timestamp.type", OneOf(&["CreateTime", "LogAppendTime"]), "CreateTime", &[same("log.message.timestamp.type")], "Whether records keep the producer's timestamp or get the time of their append."),
    key("min.cleanable.dirty.ratio", Double(0.0, 1.0), "0.5", &[same("log.cleaner.min.cleanable.ratio")], "Share of a log that must be uncompacted before it is compacted."),
    key("min.compaction.lag.ms", NATURAL, "0", &[same("log.cleaner.min.compaction.lag.ms")], "The least time that a record stays out of compaction."),
    key("min.insync.replicas", Int(1, i32::MAX), "1", &[same("min.insync.replicas")], "Replicas that must have a record before acks=all is answered; one node has one."),
    key("onelog.index.keys", Boolean, "false", &[], "Whether records can be looked up by key: this broker's own, Kafka has nothing like it."),
    key("preallocate", Boolean, "false", &[same("log.preallocate")], "Kept for compatibility: files of the shared log are always allocated ahead."),
    key("remote.log.copy.disable", Boolean, "false", &[], "With remote storage: copy nothing more to it."),
    key("remote.log.delete.on.disable", Boolean, "false", &[], "With remote storage: delete what is there when it is turned off."),
    key("remote.storage.enable", Boolean, "false", &[], "Whether the topic uses remote storage, which this broker does not have."),
    key("retention.bytes", Long(i64::MIN, i64::MAX), "-1", &[same("log.retention.bytes")], "How many bytes of each partition are kept; -1 keeps all."),
    key("retention.ms", Long(-1, i64::MAX), "604800000", &[same("log.retention.ms"), minutes("log.retention.minutes"), hours("log.retention.hours")], "How long records are kept; -1 keeps them forever."),
    key("segment.bytes", Int(1_048_576, i32::MAX), "1073741824", &[same("log.segment.bytes")], "Granularity of retention and compaction by size: Kafka's segments exist here by accounting only."),
    key("segment.index.bytes", Int(4, i32::MAX), "10485760", &[same("log.index.size.max.bytes")], "Kept for compatibility: there are no index files per partition."),
    key("segment.jitter.ms", NATURAL, "0", &[same("log.roll.jitter.ms"), hours("log.roll.jitter.hours")], "Kept for compatibility: a segment closes by accounting only, so nothing has to be spread."),
    key("segment.ms", FROM_ONE, "604800000", &[same("log.roll.ms"), hours("log.roll.hours")], "Granularity of retention and compaction by time: Kafka's segments exist here by accounting only."),
    key("unclean.leader.election.enable", Boolean, "false", &[same("unclean.leader.election.enable")], "Whether a replica that missed records may become leader; one node has no such replica."),
];

/// The config called `name`.
pub(crate) fn find(name: &str) -> Option<&'static TopicKey> {
    TOPIC_KEYS.binary_search_by(|key| key.name.cmp(name)).ok().map(|index| &TOPIC_KEYS[index])
}
