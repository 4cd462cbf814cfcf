//! Partitions of `__transaction_state` coming and going: replaying their records, and throwing their state away when an append
//! failed (Kafka's `loadTransactionsForTxnTopicPartition`).
//!
//! **Invariant:** replay is the only way back from a failed append; nothing is undone by hand. A transaction that was decided
//! and not completed has all its markers written again.

use std::sync::Arc;
use std::time::Instant;

use protocol::ErrorCode;

use super::TransactionCoordinator;
use super::effect::Pending;
use super::records::{self, Record};
use super::response::Response;
use super::turn::Transaction;
use crate::coordinator::effect::{Ticket, append_error};

impl TransactionCoordinator {
    /// Applies a record of the log. One that cannot be read is skipped with an error in the log: the other ids of the
    /// partition are not taken hostage by it.
    pub(super) fn load_record(&mut self, partition: i32, key: &[u8], value: Option<&[u8]>) {
        let Some(shard) = self.shard_mut(partition).filter(|shard| !shard.loaded) else { return };
        match records::decode(key, value) {
            Ok(Record::Transaction { id, metadata: Some(metadata) }) => {
                shard.loading.insert(id, metadata);
            }
            Ok(Record::Transaction { id, metadata: None }) => {
                shard.loading.remove(&id);
            }
            Ok(Record::Other) => (),
            Err(error) => tracing::error!(partition, %error, "skipped a record of __transaction_state"),
        }
    }

    pub(super) fn load_finished(&mut self, now: Instant, partition: i32) {
        let Some(shard) = self.shard_mut(partition).filter(|shard| !shard.loaded) else { return };
        shard.loaded = true;
        let mut ids = Vec::with_capacity(shard.loading.len());
        for (id, metadata) in std::mem::take(&mut shard.loading) {
            let id: Arc<str> = id.into();
            shard.transactions.insert(Arc::clone(&id), Transaction::new(Arc::clone(&id), metadata));
            ids.push(id);
        }
        self.ids += ids.len();
        for id in ids {
            self.on(now, &id, |turn| {
                turn.arm_timers();
                turn.write_markers();
            });
        }
    }

    /// An append is durable, or its partition starts again from the log.
    pub(super) fn append_outcome(&mut self, now: Instant, ticket: Ticket, result: Result<(), ErrorCode>) {
        match (result, self.outbox.partition_of(ticket)) {
            (Ok(()), _) => {
                if let Some(Pending::Decided(id)) = self.outbox.settle(ticket) {
                    self.on(now, &id, |turn| turn.write_markers());
                }
            }
            (Err(error), Some(partition)) => {
                tracing::warn!(partition, %error, "an append to __transaction_state failed, reloading");
                self.drop_partition(partition, append_error(error));
            }
            (Err(_), None) => (), // its partition was given up by an earlier failure
        }
    }

    fn drop_partition(&mut self, partition: i32, error: ErrorCode) {
        let Some(shard) = self.shard_mut(partition) else { return };
        shard.loaded = false;
        let dropped = std::mem::take(&mut shard.transactions);
        self.ids -= dropped.len();
        self.outbox.fail_partition(partition, error);
        for (id, transaction) in dropped {
            self.timers.cancel_all(&id);
            for (waiter, request) in transaction.waiting {
                self.outbox.respond(waiter, Response::failed(&request, error));
            }
        }
        self.outbox.reload(partition);
    }
}
