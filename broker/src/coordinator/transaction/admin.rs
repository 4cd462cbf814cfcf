//! What tools ask: DescribeTransactions and ListTransactions (Kafka's `handleDescribeTransactions` and
//! `listTransactionStates`, KIP-664).

use std::time::Instant;

use protocol::ErrorCode;

use super::TransactionCoordinator;
use super::event::ListTransactions;
use super::metadata::{Metadata, NONE};
use super::response::{DescribedTransaction, ListedTransaction, Response};
use super::turn::Turn;
use crate::coordinator::effect::WaiterId;

impl TransactionCoordinator {
    pub(super) fn list(
        &self,
        now: Instant,
        list: &ListTransactions,
    ) -> Result<Vec<ListedTransaction>, ErrorCode> {
        if self.shards.iter().any(|shard| !shard.loaded) {
            return Err(ErrorCode::CoordinatorLoadInProgress);
        }
        let wall_clock_ms = self.wall_clock_ms(now);
        let mut listed = Vec::new();
        for shard in &self.shards {
            let from = listed.len();
            let wanted = shard
                .transactions
                .values()
                .filter(|transaction| is_listed(&transaction.metadata, list, wall_clock_ms));
            listed.extend(wanted.map(|transaction| ListedTransaction {
                transactional_id: transaction.id.to_string(),
                producer_id: transaction.metadata.producer.producer_id,
                state: transaction.metadata.state,
                start_ms: transaction.metadata.start_ms,
            }));
            listed[from..].sort_by(|a, b| a.transactional_id.cmp(&b.transactional_id));
        }
        Ok(listed)
    }
}

fn is_listed(metadata: &Metadata, list: &ListTransactions, wall_clock_ms: i64) -> bool {
    let ListTransactions { states, producer_ids, longer_than_ms } = list;
    let open_for_ms = match metadata.start_ms {
        NONE => wall_clock_ms,
        start_ms => wall_clock_ms.saturating_sub(start_ms),
    };
    (states.is_empty() || states.contains(&metadata.state))
        && (producer_ids.is_empty() || producer_ids.contains(&metadata.producer.producer_id))
        && longer_than_ms.is_none_or(|longer_than_ms| open_for_ms > longer_than_ms)
}

impl Turn<'_> {
    pub(super) fn describe(&mut self, waiter: WaiterId) {
        let current = &self.transaction.metadata;
        let described = DescribedTransaction {
            producer: current.producer,
            state: current.state,
            timeout_ms: current.timeout_ms,
            start_ms: current.start_ms,
            partitions: current.partitions.clone(),
        };
        self.respond_when_durable(waiter, Response::Describe(Ok(described)));
    }
}
