//! What the operator asked for, as one typed [`Config`]: default, then properties file, then environment, then flag.
//!
//! Owns reading, checking and naming of configuration; `main` calls it once, everyone else reads the finished value. One
//! table ([`keys::KEYS`]) is the source of every name, default and range. Nothing here logs or opens sockets: remarks are
//! handed back as [`Notice`]s.

mod create_topics;
pub(crate) mod dynamic;
pub mod environment;
mod keys;
mod listeners;
mod properties;
mod settings;
mod share_bounds;

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::time::Duration;

use storage::FlushMode;
use thiserror::Error;

use crate::coordinator::{group, share, transaction};
pub use create_topics::TopicToCreate;
use environment::Variable;
pub(crate) use keys::find as find_key;
pub use keys::{KEYS, Key, Kind, Role};
pub(crate) use listeners::advertised_of;
pub use listeners::{HostPort, ListenerConfig};
use settings::Settings;
pub use settings::{Notice, Origin};

/// A configuration that cannot be used: one sentence with the place, what is wrong and what would be right.
#[derive(Debug, Error, PartialEq, Eq)]
#[error("{0}")]
pub struct ConfigError(pub(crate) String);

/// Everything that can be configured, in the units of the code. Kafka's name of each is in its comment.
#[derive(Debug, Clone)]
pub struct Config {
    /// `node.id`, else `broker.id`, else 0; 1 for the first of several virtual nodes.
    pub node_id: i32,
    /// `--brokers`, `onelog.brokers`: how many nodes this process plays, with ids from `node_id` on.
    pub brokers: i32,
    /// `broker.rack`.
    pub broker_rack: Option<String>,
    /// `listeners` with their `advertised.listeners`; never empty.
    pub listeners: Vec<ListenerConfig>,
    /// `max.connections`.
    pub max_connections: usize,
    /// `max.connections.per.ip`.
    pub max_connections_per_ip: usize,
    /// `connections.max.idle.ms`; `None` when negative: never.
    pub connections_max_idle: Option<Duration>,
    /// `socket.request.max.bytes`.
    pub socket_request_max_bytes: usize,
    /// `num.partitions`.
    pub num_partitions: u32,
    /// `auto.create.topics.enable`.
    pub auto_create_topics: bool,
    /// `delete.topic.enable`.
    pub delete_topic_enable: bool,
    /// `fetch.max.bytes`.
    pub fetch_max_bytes: i32,
    /// `max.incremental.fetch.session.cache.slots`.
    pub fetch_session_slots: usize,
    /// `producer.id.expiration.ms`.
    pub producer_id_expiration: Duration,
    /// `log.retention.check.interval.ms`.
    pub retention_check_interval: Duration,
    /// What the group coordinator needs.
    pub groups: GroupConfig,
    /// Settings of the transaction coordinator.
    pub transactions: TransactionConfig,
    /// Share partitions.
    pub share: ShareConfig,
    /// `--data-dir`, `log.dirs`, `log.dir`.
    pub data_dir: PathBuf,
    /// `onelog.flush` and `onelog.flush.interval.ms`.
    pub flush: FlushMode,
    /// `onelog.commitlog.file.bytes`.
    pub commitlog_file_bytes: u64,
    /// `onelog.checkpoint.bytes`.
    pub checkpoint_bytes: u64,
    /// `--admin`: where the HTTP endpoints listen, if at all.
    pub admin: Option<HostPort>,
    /// `--test-mode`, `onelog.test.mode`: whether the control API of `crate::test_mode` is served.
    pub test_mode: bool,
    /// `--ready-file`.
    pub ready_file: Option<PathBuf>,
    /// `onelog.create.topics`.
    pub create_topics: Vec<TopicToCreate>,
    /// Where each key of `static_properties` was set last.
    pub origins: BTreeMap<String, Origin>,
    /// Every known key that was set in the file, the environment or by a flag, with its value as Kafka writes it. What is set here has source
    /// STATIC_BROKER_CONFIG in DescribeConfigs.
    pub static_properties: BTreeMap<String, String>,
}

/// Settings of the group coordinator (Kafka `GroupCoordinatorConfig`, `OffsetConfig`).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct GroupConfig {
    /// `group.initial.rebalance.delay.ms`.
    pub initial_rebalance_delay: Duration,
    /// `group.min.session.timeout.ms`.
    pub min_session_timeout: Duration,
    /// `group.max.session.timeout.ms`.
    pub max_session_timeout: Duration,
    /// `group.max.size`: members per group.
    pub max_size: usize,
    /// `offsets.topic.num.partitions`.
    pub offsets_topic_partitions: u32,
    /// `offsets.retention.minutes`.
    pub offsets_retention: Duration,
    /// `offsets.retention.check.interval.ms`.
    pub offsets_retention_check_interval: Duration,
    /// `offset.metadata.max.bytes`.
    pub offset_metadata_max_bytes: usize,
    /// `group.coordinator.rebalance.protocols` names `consumer`.
    pub consumer_protocol: bool,
    /// `group.consumer.*`.
    pub consumer: group::ConsumerConfig,
    /// Share groups (KIP-932).
    pub share: group::ShareConfig,
}

impl GroupConfig {
    /// As the coordinator takes it.
    pub(crate) fn coordinator_config(&self) -> group::GroupConfig {
        group::GroupConfig {
            partitions: i32::try_from(self.offsets_topic_partitions).unwrap_or(i32::MAX),
            initial_rebalance_delay: self.initial_rebalance_delay,
            min_session_timeout: self.min_session_timeout,
            max_session_timeout: self.max_session_timeout,
            max_size: self.max_size,
            offset_metadata_max_bytes: self.offset_metadata_max_bytes,
            offsets_retention: self.offsets_retention,
            offsets_retention_check_interval: self.offsets_retention_check_interval,
            consumer: self.consumer.clone(),
            share: self.share.clone(),
            ..group::GroupConfig::default()
        }
    }
}

/// Settings of the share coordinator (Kafka `ShareCoordinatorConfig`) and of share partitions (`ShareGroupConfig`).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ShareConfig {
    /// `share.coordinator.state.topic.num.partitions`.
    pub state_partitions: u32,
    /// `share.coordinator.snapshot.update.records.per.snapshot`.
    pub updates_per_snapshot: i32,
    /// `group.share.max.share.sessions`.
    pub max_sessions: i32,
}

impl ShareConfig {
    /// As the coordinator takes it.
    pub(crate) fn coordinator_config(&self) -> share::ShareConfig {
        share::ShareConfig {
            partitions: i32::try_from(self.state_partitions).unwrap_or(i32::MAX),
            updates_per_snapshot: u32::try_from(self.updates_per_snapshot).unwrap_or_default(),
            ..share::ShareConfig::default()
        }
    }

    fn from_settings(settings: &Settings) -> Self {
        Self {
            state_partitions: settings.count("share.coordinator.state.topic.num.partitions"),
            updates_per_snapshot: settings.int("share.coordinator.snapshot.update.records.per.snapshot"),
            max_sessions: settings.int("group.share.max.share.sessions"),
        }
    }
}

/// Settings of the transaction coordinator (Kafka `TransactionLogConfig`, `TransactionStateManagerConfig`).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TransactionConfig {
    /// `transaction.state.log.num.partitions`.
    pub state_partitions: u32,
    /// `transaction.max.timeout.ms`.
    pub max_timeout_ms: i32,
    /// `transaction.abort.timed.out.transaction.cleanup.interval.ms`.
    pub timeout_check_interval: Duration,
    /// `transactional.id.expiration.ms`.
    pub id_expiration: Duration,
    /// `transaction.remove.expired.transaction.cleanup.interval.ms`.
    pub id_expiration_check_interval: Duration,
    /// `transaction.partition.verification.enable`.
    pub verification: bool,
}

impl TransactionConfig {
    /// As the coordinator takes it.
    pub(crate) fn coordinator_config(&self) -> transaction::TransactionConfig {
        transaction::TransactionConfig {
            partitions: i32::try_from(self.state_partitions).unwrap_or(i32::MAX),
            max_timeout_ms: self.max_timeout_ms,
            timeout_check_interval: self.timeout_check_interval,
            id_expiration: self.id_expiration,
            id_expiration_check_interval: self.id_expiration_check_interval,
            ..transaction::TransactionConfig::default()
        }
    }

    fn from_settings(settings: &Settings) -> Self {
        Self {
            state_partitions: settings.count("transaction.state.log.num.partitions"),
            max_timeout_ms: settings.int("transaction.max.timeout.ms"),
            timeout_check_interval: settings
                .millis("transaction.abort.timed.out.transaction.cleanup.interval.ms"),
            id_expiration: settings.millis("transactional.id.expiration.ms"),
            id_expiration_check_interval: settings
                .millis("transaction.remove.expired.transaction.cleanup.interval.ms"),
            verification: settings.boolean("transaction.partition.verification.enable"),
        }
    }
}

/// One flag that was given.
#[derive(Debug, Clone)]
pub struct Flag {
    /// As typed: `--listen`.
    pub name: &'static str,
    /// The key it stands for.
    pub key: String,
    /// Its value in the form that the key takes.
    pub value: String,
}

/// Where a configuration comes from, weakest first.
#[derive(Debug, Clone, Copy, Default)]
pub struct Sources<'a> {
    /// What the command itself prefers to the table's defaults.
    pub defaults: &'a [Flag],
    /// A file in the format of Kafka's `server.properties`.
    pub file: Option<&'a Path>,
    /// See [`environment::variables`].
    pub environment: &'a [Variable],
    /// What was typed.
    pub flags: &'a [Flag],
}

impl Config {
    /// Lays the sources over each other, each over the one before it, and checks every value.
    ///
    /// Where only the environment says what is advertised, the broker listens on the same ports of every address, as Apache
    /// Kafka's images do.
    ///
    /// # Errors
    /// An unreadable file, wrong syntax, a bad value of a known key: the sentence names the place. Unknown keys only make a
    /// notice.
    pub fn load(sources: &Sources<'_>) -> Result<(Self, Vec<Notice>), ConfigError> {
        let mut settings = Settings::default();
        let mut notices = Vec::new();
        for flag in sources.defaults {
            notices.extend(settings.set(&flag.key, &flag.value, Origin::Flag(flag.name))?);
        }
        if let Some(path) = sources.file {
            let text = std::fs::read(path).map_err(|error| {
                ConfigError(format!(
                    "--config {}: cannot be read: {error}; give the path of a properties file",
                    path.display()
                ))
            })?;
            let name: std::sync::Arc<str> = path.display().to_string().into();
            for property in properties::parse(&text)
                .map_err(|(line, what)| ConfigError(format!("{name}:{line}: {what}")))?
            {
                let origin = Origin::File { name: name.clone(), line: property.line };
                notices.extend(settings.set(&property.key, &property.value, origin)?);
            }
        }
        for Variable { name, key, value } in sources.environment {
            notices.extend(settings.set(key, value, Origin::Environment(name.as_str().into()))?);
        }
        for flag in sources.flags {
            notices.extend(settings.set(&flag.key, &flag.value, Origin::Flag(flag.name))?);
        }
        settings.refuse_references()?;
        notices.extend(listeners::take_retired(&mut settings)?);
        listeners::listen_where_advertised(&mut settings)?;
        notices.extend(listeners::notices(&settings));
        Ok((Self::from_settings(&settings)?, notices))
    }

    /// A configuration from keys and values, for embedding and tests. Port 0 and a temporary `log.dirs` suit tests.
    ///
    /// # Errors
    /// As [`Config::load`].
    pub fn from_properties<'a>(
        pairs: impl IntoIterator<Item = (&'a str, &'a str)>,
    ) -> Result<Self, ConfigError> {
        let mut settings = Settings::default();
        for (key, value) in pairs {
            // Remarks on unknown keys are for operators; a program sees that its key is missing from `static_properties`.
            drop(settings.set(key, value, Origin::Program)?);
        }
        Self::from_settings(&settings)
    }

    /// The value of a known key as Kafka writes it: what was set, else the default. `None` for a key without either.
    ///
    /// Time settings with several units (`log.retention.hours`) are plain keys here; see [`Config::log_retention_ms`].
    #[must_use]
    pub fn value(&self, key: &str) -> Option<&str> {
        self.static_properties
            .get(key)
            .map(String::as_str)
            .or_else(|| keys::find(key).and_then(|key| key.default))
    }

    /// Effective `log.retention.ms`: it wins over `.minutes`, which wins over `.hours` (Kafka `LogConfig`). -1 keeps forever.
    #[must_use]
    pub fn log_retention_ms(&self) -> i64 {
        let forever = |ms: i64| if ms < 0 { -1 } else { ms };
        let units =
            [("log.retention.ms", 1), ("log.retention.minutes", 60_000), ("log.retention.hours", 3_600_000)];
        forever(self.first_set(&units))
    }

    /// Effective `log.roll.ms`: it wins over `log.roll.hours`.
    #[must_use]
    pub fn log_roll_ms(&self) -> i64 {
        self.first_set(&[("log.roll.ms", 1), ("log.roll.hours", 3_600_000)])
    }

    /// The first of `units` that was set, else the last one's default, in milliseconds.
    fn first_set(&self, units: &[(&str, i64)]) -> i64 {
        let set = units.iter().find(|(key, _)| self.static_properties.contains_key(*key));
        let (key, factor) = set.or(units.last()).expect("callers name at least one unit");
        let value: i64 = self
            .value(key)
            .and_then(|value| value.parse().ok())
            .expect("checked when set, or the table's default");
        value.saturating_mul(*factor)
    }

    /// The ids of the nodes that this process plays; one without `--brokers`.
    pub(crate) fn node_ids(&self) -> std::ops::Range<i32> {
        self.node_id..self.node_id.saturating_add(self.brokers)
    }

    fn from_settings(settings: &Settings) -> Result<Self, ConfigError> {
        share_bounds::check(settings)?;
        let flush = match settings.text("onelog.flush") {
            Some("interval") => FlushMode::Interval(settings.millis("onelog.flush.interval.ms")),
            Some("os") => FlushMode::Os,
            _ => FlushMode::Sync,
        };
        let (admin, test_mode) = listeners::admin(settings)?;
        Ok(Self {
            node_id: node_id(settings),
            brokers: settings.int("onelog.brokers"),
            broker_rack: settings.text("broker.rack").map(str::to_owned),
            listeners: listeners::resolve(settings)?,
            max_connections: settings.size("max.connections"),
            max_connections_per_ip: settings.size("max.connections.per.ip"),
            connections_max_idle: settings.optional_millis("connections.max.idle.ms"),
            socket_request_max_bytes: settings.size("socket.request.max.bytes"),
            num_partitions: settings.count("num.partitions"),
            auto_create_topics: settings.boolean("auto.create.topics.enable"),
            delete_topic_enable: settings.boolean("delete.topic.enable"),
            fetch_max_bytes: settings.int("fetch.max.bytes"),
            fetch_session_slots: settings.size("max.incremental.fetch.session.cache.slots"),
            producer_id_expiration: settings.millis("producer.id.expiration.ms"),
            retention_check_interval: settings.millis("log.retention.check.interval.ms"),
            groups: GroupConfig::from_settings(settings),
            transactions: TransactionConfig::from_settings(settings),
            share: ShareConfig::from_settings(settings),
            data_dir: settings.data_dir()?,
            flush,
            commitlog_file_bytes: settings.bytes("onelog.commitlog.file.bytes"),
            checkpoint_bytes: settings.bytes("onelog.checkpoint.bytes"),
            admin,
            test_mode,
            ready_file: settings.text("onelog.ready.file").map(PathBuf::from),
            create_topics: settings.topics_to_create()?,
            origins: settings.origins(),
            static_properties: settings.explicit(),
        })
    }
}

fn node_id(settings: &Settings) -> i32 {
    let several = settings.int("onelog.brokers") > 1;
    match ["node.id", "broker.id"].into_iter().find(|key| settings.is_set(key)) {
        Some(key) => settings.int(key),
        // Where there are several, people count from one.
        None if several => 1,
        None => settings.int("broker.id"),
    }
}

impl Default for Config {
    fn default() -> Self {
        Self::from_settings(&Settings::default()).expect("the table's defaults are checked by a test")
    }
}

impl GroupConfig {
    fn from_settings(settings: &Settings) -> Self {
        Self {
            initial_rebalance_delay: settings.millis("group.initial.rebalance.delay.ms"),
            min_session_timeout: settings.millis("group.min.session.timeout.ms"),
            max_session_timeout: settings.millis("group.max.session.timeout.ms"),
            max_size: settings.size("group.max.size"),
            offsets_topic_partitions: settings.count("offsets.topic.num.partitions"),
            offsets_retention: Duration::from_secs(
                60 * u64::from(settings.count("offsets.retention.minutes")),
            ),
            offsets_retention_check_interval: settings.millis("offsets.retention.check.interval.ms"),
            offset_metadata_max_bytes: settings.size("offset.metadata.max.bytes"),
            consumer_protocol: settings.list("group.coordinator.rebalance.protocols").contains(&"consumer"),
            consumer: consumer_config(settings),
            share: share_config(settings),
        }
    }
}

fn share_config(settings: &Settings) -> group::ShareConfig {
    group::ShareConfig {
        session_timeout: settings.millis("group.share.session.timeout.ms"),
        heartbeat_interval: settings.millis("group.share.heartbeat.interval.ms"),
        max_size: settings.size("group.share.max.size"),
        assignment_interval: settings.millis("group.share.assignment.interval.ms"),
    }
}

fn consumer_config(settings: &Settings) -> group::ConsumerConfig {
    use group::MigrationPolicy::{Bidirectional, Disabled, Downgrade, Upgrade};
    let assignors: Vec<_> =
        settings.list("group.consumer.assignors").into_iter().filter_map(group::Assignor::named).collect();
    let default = group::ConsumerConfig::default();
    group::ConsumerConfig {
        session_timeout: settings.millis("group.consumer.session.timeout.ms"),
        heartbeat_interval: settings.millis("group.consumer.heartbeat.interval.ms"),
        max_size: settings.size("group.consumer.max.size"),
        assignors: if assignors.is_empty() { default.assignors } else { assignors },
        assignment_interval: settings.millis("group.consumer.assignment.interval.ms"),
        migration: match settings.text("group.consumer.migration.policy") {
            Some("upgrade") => Upgrade,
            Some("downgrade") => Downgrade,
            Some("disabled") => Disabled,
            _ => Bidirectional,
        },
    }
}

impl Default for GroupConfig {
    fn default() -> Self {
        Self::from_settings(&Settings::default())
    }
}

#[cfg(test)]
mod document;
#[cfg(test)]
mod tests;
