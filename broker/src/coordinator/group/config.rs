//! What the group coordinator is configured with. Read once at start by the shell; the value never changes it.

use std::time::Duration;

use super::consumer::assignor::Assignor;

/// How long a member that has just joined may wait for its first rebalance to finish (Kafka's `GroupCoordinatorConfig`
/// constant `CLASSIC_GROUP_NEW_MEMBER_JOIN_TIMEOUT_MS`): a client that vanished while waiting is found by it.
pub(super) const NEW_MEMBER_JOIN_TIMEOUT: Duration = Duration::from_mins(5);

/// Longest string that a record of `__consumer_offsets` can hold, less the suffix (`-` and a UUID) of a member id.
pub(super) const MAX_STRING: usize = 32_767 - 37;

/// Settings of the group coordinator, with Kafka's defaults.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct GroupConfig {
    /// Partitions of `__consumer_offsets` (`offsets.topic.num.partitions`).
    pub partitions: i32,
    /// Wait of an empty group for more members before its first rebalance (`group.initial.rebalance.delay.ms`).
    pub initial_rebalance_delay: Duration,
    /// Smallest session timeout a member may ask for (`group.min.session.timeout.ms`).
    pub min_session_timeout: Duration,
    /// Largest session timeout a member may ask for (`group.max.session.timeout.ms`).
    pub max_session_timeout: Duration,
    /// Most members of one group (`group.max.size`).
    pub max_size: usize,
    /// Longest metadata string of one committed offset (`offset.metadata.max.bytes`), in UTF-16 units as in Kafka.
    pub offset_metadata_max_bytes: usize,
    /// Age at which offsets that nobody uses are dropped (`offsets.retention.minutes`).
    pub offsets_retention: Duration,
    /// How late that may be noticed (`offsets.retention.check.interval.ms`).
    pub offsets_retention_check_interval: Duration,
    /// Consumer groups (KIP-848).
    pub consumer: ConsumerConfig,
    /// Share groups (KIP-932).
    pub share: ShareConfig,
    /// Most groups in this coordinator; a request that would create one more is answered POLICY_VIOLATION.
    pub max_groups: usize,
    /// Most member ids of one group that were handed out and not yet used.
    pub max_pending_members: usize,
    /// Most protocols that one member may propose.
    pub max_protocols: usize,
    /// Most bytes of records in one `Effect::Append`; at most `max.message.bytes` of `__consumer_offsets`, less the batch
    /// header. State that cannot be written within it is refused before it is applied, as Kafka refuses it on append.
    pub max_append_bytes: usize,
}

impl Default for GroupConfig {
    fn default() -> Self {
        Self {
            partitions: 50,
            initial_rebalance_delay: Duration::from_secs(3),
            min_session_timeout: Duration::from_secs(6),
            max_session_timeout: Duration::from_mins(30),
            max_size: 2_147_483_647,
            offset_metadata_max_bytes: 4096,
            offsets_retention: Duration::from_mins(10_080),
            offsets_retention_check_interval: Duration::from_mins(10),
            consumer: ConsumerConfig::default(),
            share: ShareConfig::default(),
            max_groups: 1_000_000,
            max_pending_members: 10_000,
            max_protocols: 128,
            max_append_bytes: 1_000_000,
        }
    }
}

/// Settings of consumer groups (KIP-848), with Kafka's defaults.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ConsumerConfig {
    /// Silence after which a member is dead (`group.consumer.session.timeout.ms`).
    pub session_timeout: Duration,
    /// Told to members with every answer (`group.consumer.heartbeat.interval.ms`).
    pub heartbeat_interval: Duration,
    /// Most members of one group (`group.consumer.max.size`).
    pub max_size: usize,
    /// Assignors that members may ask for; the first is the default (`group.consumer.assignors`). Never empty.
    pub assignors: Vec<Assignor>,
    /// Shortest time between two target assignments of a group (`group.consumer.assignment.interval.ms`).
    pub assignment_interval: Duration,
    /// Which groups may change their protocol with members in them (`group.consumer.migration.policy`).
    pub migration: MigrationPolicy,
}

impl ConsumerConfig {
    /// What counts for a group that has no configs of its own.
    #[must_use]
    pub const fn settings(&self) -> ConsumerSettings {
        ConsumerSettings {
            session_timeout: self.session_timeout,
            heartbeat_interval: self.heartbeat_interval,
            assignment_interval: self.assignment_interval,
        }
    }
}

/// What can be set for a single consumer group (`consumer.*` of a GROUP resource).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ConsumerSettings {
    /// `consumer.session.timeout.ms`.
    pub session_timeout: Duration,
    /// `consumer.heartbeat.interval.ms`.
    pub heartbeat_interval: Duration,
    /// `consumer.assignment.interval.ms`.
    pub assignment_interval: Duration,
}

impl ConsumerSettings {
    pub(super) fn heartbeat_interval_ms(&self) -> i32 {
        i32::try_from(self.heartbeat_interval.as_millis()).unwrap_or(i32::MAX)
    }
}

impl Default for ConsumerConfig {
    fn default() -> Self {
        Self {
            session_timeout: Duration::from_secs(45),
            heartbeat_interval: Duration::from_secs(5),
            max_size: 2_147_483_647,
            assignors: Assignor::ALL.to_vec(),
            assignment_interval: Duration::from_secs(1),
            migration: MigrationPolicy::Bidirectional,
        }
    }
}

/// Settings of share groups (KIP-932), with Kafka's defaults.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ShareConfig {
    /// Silence after which a member is dead (`group.share.session.timeout.ms`).
    pub session_timeout: Duration,
    /// Told to members with every answer (`group.share.heartbeat.interval.ms`).
    pub heartbeat_interval: Duration,
    /// Most members of one group (`group.share.max.size`).
    pub max_size: usize,
    /// Shortest time between two target assignments of a group (`group.share.assignment.interval.ms`).
    pub assignment_interval: Duration,
}

impl ShareConfig {
    /// What counts for a group that has no configs of its own.
    #[must_use]
    pub const fn settings(&self) -> ShareSettings {
        ShareSettings {
            session_timeout: self.session_timeout,
            heartbeat_interval: self.heartbeat_interval,
            assignment_interval: self.assignment_interval,
        }
    }
}

impl Default for ShareConfig {
    fn default() -> Self {
        Self {
            session_timeout: Duration::from_secs(45),
            heartbeat_interval: Duration::from_secs(5),
            max_size: 200,
            assignment_interval: Duration::from_secs(1),
        }
    }
}

/// What can be set for a single share group (`share.*` of a GROUP resource).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ShareSettings {
    /// `share.session.timeout.ms`.
    pub session_timeout: Duration,
    /// `share.heartbeat.interval.ms`.
    pub heartbeat_interval: Duration,
    /// `share.assignment.interval.ms`.
    pub assignment_interval: Duration,
}

impl ShareSettings {
    pub(super) fn heartbeat_interval_ms(&self) -> i32 {
        i32::try_from(self.heartbeat_interval.as_millis()).unwrap_or(i32::MAX)
    }
}

/// Kafka's `ConsumerGroupMigrationPolicy`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum MigrationPolicy {
    /// Both ways.
    Bidirectional,
    /// From classic to consumer.
    Upgrade,
    /// From consumer to classic.
    Downgrade,
    /// Neither.
    Disabled,
}

impl MigrationPolicy {
    /// Whether a classic group may become a consumer group.
    #[must_use]
    pub const fn allows_upgrade(self) -> bool {
        matches!(self, Self::Bidirectional | Self::Upgrade)
    }

    /// Whether a consumer group may become a classic group.
    #[must_use]
    pub const fn allows_downgrade(self) -> bool {
        matches!(self, Self::Bidirectional | Self::Downgrade)
    }
}
