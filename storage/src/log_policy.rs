//! What a topic's configs mean for the log: when Kafka's segments close, what is deleted, what is compacted.
//!
//! Storage knows configs as text only; the broker, which knows layers and defaults, gives it the parsed values through
//! [`Policies`]. Read by `segments`, `retention`, `compaction` and `index_file`. A plain value: nothing is checked here.

use std::sync::{Arc, RwLock};

use crate::topic::Configs;

/// Retention, segment and cleanup settings of one topic, parsed. Names in parentheses are Kafka's topic configs.
#[derive(Clone, Debug, PartialEq)]
pub struct LogPolicy {
    /// A segment closes before the batch that would make it larger (`segment.bytes`).
    pub segment_bytes: u64,
    /// A segment closes once record timestamps have moved on by more than this, ms (`segment.ms`).
    pub segment_ms: i64,
    /// Oldest segments go while the partition stays at least this large without them (`retention.bytes`); `None` keeps all.
    pub retention_bytes: Option<u64>,
    /// Segments go when their newest record is older, ms (`retention.ms`); `None` keeps them forever.
    pub retention_ms: Option<i64>,
    /// `cleanup.policy` names delete: both kinds of retention apply.
    pub delete: bool,
    /// `cleanup.policy` names compact: of each key only the newest record is kept.
    pub compact: bool,
    /// Share of a log's bytes that must be uncompacted before it is compacted, 0 to 1 (`min.cleanable.dirty.ratio`).
    pub min_cleanable_dirty_ratio: f64,
    /// Records younger than this stay out of compaction, ms (`min.compaction.lag.ms`).
    pub min_compaction_lag_ms: i64,
    /// A log is compacted, whatever its ratio, when its oldest uncompacted record is older, ms (`max.compaction.lag.ms`).
    pub max_compaction_lag_ms: i64,
    /// How long tombstones stay after the compaction that first saw them, ms (`delete.retention.ms`).
    pub delete_retention_ms: i64,
    /// Records can be looked up by key (`onelog.index.keys`, this broker's own).
    pub index_keys: bool,
}

impl Default for LogPolicy {
    /// Kafka 4.3.1's defaults: delete after seven days, segments of 1 GiB and seven days.
    fn default() -> Self {
        const WEEK_MS: i64 = 604_800_000;
        Self {
            segment_bytes: 1 << 30,
            segment_ms: WEEK_MS,
            retention_bytes: None,
            retention_ms: Some(WEEK_MS),
            delete: true,
            compact: false,
            min_cleanable_dirty_ratio: 0.5,
            min_compaction_lag_ms: 0,
            max_compaction_lag_ms: i64::MAX,
            delete_retention_ms: 86_400_000,
            index_keys: false,
        }
    }
}

/// Gives the policy of a topic, from its name, its overrides and the dynamic broker configs. Must not call back.
pub type Policies = Arc<dyn Fn(&str, &Configs, &Configs) -> LogPolicy + Send + Sync>;

/// The policy that all partitions of a topic share.
#[derive(Debug, Default)]
pub(crate) struct PolicyCell(RwLock<Arc<LogPolicy>>);

impl PolicyCell {
    pub(crate) fn get(&self) -> Arc<LogPolicy> {
        Arc::clone(&self.0.read().expect("no panic under this lock"))
    }

    pub(crate) fn set(&self, policy: LogPolicy) {
        *self.0.write().expect("no panic under this lock") = Arc::new(policy);
    }
}
