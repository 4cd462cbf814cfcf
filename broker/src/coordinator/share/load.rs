//! Partitions of `__share_group_state` coming and going: replaying their records, throwing their state away when an append
//! failed, and saying again what is true so that the front of a partition can be cut off.
//!
//! **Invariant:** replay is the only way back from a failed append; nothing is undone by hand. What was acquired and not
//! answered for is available again.

use std::time::Instant;

use protocol::ErrorCode;

use super::effect::Work;
use super::partition::{Logged, SharePartition};
use super::records::{self, Record};
use super::{Key, Shard, ShareCoordinator};
use crate::coordinator::effect::{CoordinatorRecord, Ticket, append_error};

/// Before a partition of the topic is cut, it has at least so many records that are said again or not true any more.
const LEAST_STALE: u64 = 10_000;

impl ShareCoordinator {
    /// Applies a record of the log. One that cannot be read is skipped with an error in the log.
    pub(super) fn load_record(&mut self, partition: i32, key: &[u8], value: Option<&[u8]>) {
        let limit = self.config.delivery_limit;
        let Some(shard) = self.shard_mut(partition).filter(|shard| !shard.loaded) else { return };
        shard.records += 1;
        match records::decode(key, value) {
            Ok(Record::Snapshot { key, state: Some((logged, batches)) }) => {
                let mut loaded = SharePartition::new(logged, limit);
                batches.into_iter().for_each(|batch| loaded.load_batch(batch));
                shard.partitions.insert(key, loaded);
            }
            Ok(Record::Snapshot { key, state: None }) => {
                shard.partitions.remove(&key);
            }
            Ok(Record::Update { key, logged, batches }) => {
                let Some(loaded) = shard.partitions.get_mut(&key) else { return };
                loaded.logged = merged(loaded.logged, logged);
                if logged.start_offset >= 0 {
                    loaded.start = Some(logged.start_offset);
                    loaded.in_flight.drop_below(logged.start_offset);
                }
                batches.into_iter().for_each(|batch| loaded.load_batch(batch));
            }
            Ok(Record::Other) => (),
            Err(error) => tracing::error!(partition, %error, "skipped a record of __share_group_state"),
        }
    }

    pub(super) fn load_finished(&mut self, partition: i32) {
        let Some(shard) = self.shard_mut(partition).filter(|shard| !shard.loaded) else { return };
        shard.loaded = true;
        for loaded in shard.partitions.values_mut() {
            loaded.advance();
        }
    }

    /// An append is durable, or its partition starts again from the log.
    pub(super) fn append_outcome(&mut self, now: Instant, ticket: Ticket, result: Result<(), ErrorCode>) {
        match (result, self.outbox.partition_of(ticket)) {
            (Ok(()), partition) => {
                if let (Some(()), Some(partition)) = (self.outbox.settle(ticket), partition) {
                    self.outbox.work_untold(Work::Cut { partition });
                }
                if let Some(partition) = partition {
                    self.say_again_if_due(now, partition);
                }
            }
            (Err(error), Some(partition)) => {
                tracing::warn!(partition, %error, "an append to __share_group_state failed, reloading");
                self.drop_partition(partition, append_error(error));
            }
            (Err(_), None) => (), // its partition was given up by an earlier failure
        }
    }

    fn drop_partition(&mut self, partition: i32, error: ErrorCode) {
        let Some(shard) = self.shard_mut(partition) else { return };
        let dropped = std::mem::take(shard);
        for key in dropped.partitions.keys() {
            self.timers.cancel(key.clone());
        }
        self.outbox.fail_partition(partition, error);
        self.outbox.reload(partition);
    }

    /// Writes a snapshot of everything when most records of the partition are not true any more; once they are durable, what
    /// lies before them is cut off (Kafka's `ShareCoordinatorOffsetsManager` waits for the snapshots to come by themselves).
    fn say_again_if_due(&mut self, now: Instant, partition: i32) {
        let (now_ms, most) = (self.wall_clock_ms(now), self.config.max_append_bytes);
        let Self { shards, outbox, .. } = self;
        let Some(shard) = usize::try_from(partition).ok().and_then(|index| shards.get_mut(index)) else {
            return;
        };
        if !shard.is_mostly_stale() {
            return;
        }
        outbox.work_untold(Work::Mark { partition });
        let (mut records, mut bytes) = (Vec::new(), 0);
        for (key, known) in &mut shard.partitions {
            let record = known.snapshot(key, now_ms);
            if bytes + record.size() > most && !records.is_empty() {
                outbox.append(partition, std::mem::take(&mut records), None);
                bytes = 0;
            }
            bytes += record.size();
            records.push(record);
        }
        shard.records = u64::try_from(shard.partitions.len()).unwrap_or(u64::MAX);
        // Appends of a partition are settled in their order: with the last all are durable.
        outbox.append(partition, records, Some(()));
    }
}

impl Shard {
    fn is_mostly_stale(&self) -> bool {
        let needed = u64::try_from(self.partitions.len()).unwrap_or(u64::MAX);
        !self.partitions.is_empty() && self.records > LEAST_STALE.max(needed.saturating_mul(4))
    }
}

impl SharePartition {
    /// A record that says everything: nothing below the start is said any more, so the start is.
    pub(super) fn snapshot(&mut self, key: &Key, now_ms: i64) -> CoordinatorRecord {
        if let Some(start) = self.start {
            self.logged.start_offset = start;
            self.logged.delivery_complete_count = self.delivery_complete_count();
        }
        self.logged.snapshot_epoch = self.logged.snapshot_epoch.wrapping_add(1);
        self.logged.updates = 0;
        records::snapshot(key, &self.logged, now_ms, &self.state_batches())
    }
}

/// What the log says after an update.
fn merged(before: Logged, update: Logged) -> Logged {
    let start_offset = if update.start_offset < 0 { before.start_offset } else { update.start_offset };
    let leader_epoch = if update.leader_epoch < 0 { before.leader_epoch } else { update.leader_epoch };
    Logged {
        start_offset,
        leader_epoch,
        delivery_complete_count: update.delivery_complete_count,
        updates: before.updates + 1,
        ..before
    }
}
