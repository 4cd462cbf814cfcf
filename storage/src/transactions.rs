//! The transactions of one partition: which are open, which ended above the high watermark, which were aborted (Kafka's
//! `ProducerStateManager`, `TransactionIndex`).
//!
//! A value inside `PartitionLog`, changed only by applied batches. Pure. Invariant: aborted transactions stand in the order
//! of their markers, so their last offsets ascend, and so do the last stable offsets noted with them.

use std::collections::BTreeSet;

use crate::position::Offset;
use crate::verification::Verifications;

/// Offsets of the records of a transaction that was aborted: none of its producer's records there counts.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct AbortedTransaction {
    /// Whose it was.
    pub producer_id: i64,
    /// Of its first record in the partition.
    pub first_offset: Offset,
    /// Of the marker that ended it.
    pub last_offset: Offset,
}

/// An aborted transaction and what bounds a search for more (`AbortedTxn`).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct IndexedAbort {
    pub(crate) transaction: AbortedTransaction,
    /// First offset that was undecided after its marker: no later aborted transaction begins below.
    pub(crate) last_stable_offset: Offset,
}

/// A transaction whose marker is in the log.
#[derive(Debug, Clone, Copy)]
struct Ended {
    first_offset: Offset,
    last_offset: Offset,
}

/// All that is known of one partition's transactions, but which producer has which open: `ProducerStates` says so.
#[derive(Debug, Clone, Default)]
pub(crate) struct Transactions {
    /// First offsets of the open ones.
    open: BTreeSet<Offset>,
    /// Those whose markers may be above the high watermark, in the order of these.
    unacknowledged: Vec<Ended>,
    aborted: Vec<IndexedAbort>,
    pub(crate) verifications: Verifications,
}

impl Transactions {
    /// As a snapshot says.
    pub(crate) fn from_parts(open: BTreeSet<Offset>, aborted: Vec<IndexedAbort>) -> Self {
        Self { open, aborted, ..Self::default() }
    }

    /// Oldest first.
    pub(crate) fn aborted(&self) -> &[IndexedAbort] {
        &self.aborted
    }

    /// A producer's first record of a transaction.
    pub(crate) fn open(&mut self, first_offset: Offset) {
        self.open.insert(first_offset);
    }

    /// The marker of an open transaction, with the offset of the marker.
    pub(crate) fn end(&mut self, transaction: AbortedTransaction, aborted: bool) {
        let AbortedTransaction { first_offset, last_offset, .. } = transaction;
        self.open.remove(&first_offset);
        self.unacknowledged.push(Ended { first_offset, last_offset });
        if aborted {
            let last_stable_offset = self.open.first().copied().unwrap_or(last_offset + 1);
            self.aborted.push(IndexedAbort { transaction, last_stable_offset });
        }
    }

    /// First offset of the oldest transaction that is open or whose marker is not below `high_watermark`.
    pub(crate) fn first_unstable(&self, high_watermark: Offset) -> Option<Offset> {
        let ended = self.unacknowledged.iter().filter(|ended| ended.last_offset >= high_watermark);
        let ended = ended.map(|ended| ended.first_offset).min();
        self.open.first().copied().into_iter().chain(ended).min()
    }

    /// The markers below `high_watermark` are acknowledged.
    pub(crate) fn acknowledge(&mut self, high_watermark: Offset) {
        self.unacknowledged.retain(|ended| ended.last_offset >= high_watermark);
    }

    /// Nothing holds the last stable offset below the high watermark.
    pub(crate) fn is_stable(&self) -> bool {
        self.open.is_empty() && self.unacknowledged.is_empty()
    }

    /// Aborted transactions with records or their marker at or above `from` and records below `upper`, by first offset.
    pub(crate) fn aborted_between(&self, from: Offset, upper: Offset) -> Vec<AbortedTransaction> {
        let begin = self.aborted.partition_point(|abort| abort.transaction.last_offset < from);
        let end = self.aborted.partition_point(|abort| abort.last_stable_offset < upper);
        // The first whose last stable offset is not below `upper` may itself begin below; none after it does.
        let candidates = self.aborted.get(begin..self.aborted.len().min(end + 1)).unwrap_or_default();
        let mut found: Vec<_> = candidates
            .iter()
            .map(|abort| abort.transaction)
            .filter(|transaction| transaction.first_offset < upper)
            .collect();
        found.sort_by_key(|transaction| transaction.first_offset);
        found
    }

    /// Forgets aborted transactions that ended below `upto` and whose marker, at the offset given, is no more.
    pub(crate) fn forget_unmarked(&mut self, upto: Offset, has_marker: impl Fn(Offset) -> bool) {
        self.aborted.retain(|abort| {
            let last_offset = abort.transaction.last_offset;
            last_offset >= upto || has_marker(last_offset)
        });
    }

    /// Forgets aborted transactions that ended below the log start.
    pub(crate) fn truncate_front(&mut self, log_start: Offset) {
        let below = self.aborted.partition_point(|abort| abort.transaction.last_offset < log_start);
        if below > 0 {
            self.aborted.drain(..below);
            self.aborted.shrink_to(2 * self.aborted.len());
        }
    }
}
