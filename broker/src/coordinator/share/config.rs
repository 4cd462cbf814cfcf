//! What the share coordinator is configured with. Read once at start by the shell; the value never changes it.

/// Settings of the share coordinator, with Kafka's defaults.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ShareConfig {
    /// Partitions of `__share_group_state` (`share.coordinator.state.topic.num.partitions`).
    pub partitions: i32,
    /// Updates of a share partition after which a snapshot is written
    /// (`share.coordinator.snapshot.update.records.per.snapshot`).
    pub updates_per_snapshot: u32,
    /// Deliveries after which a record is given up, until the group's own limit is told
    /// (`group.share.delivery.count.limit`).
    pub delivery_limit: i16,
    /// Most bytes of one append; at most `max.message.bytes` of `__share_group_state`, less the batch header.
    pub max_append_bytes: usize,
}

impl Default for ShareConfig {
    fn default() -> Self {
        Self { partitions: 50, updates_per_snapshot: 500, delivery_limit: 5, max_append_bytes: 1_000_000 }
    }
}
