//! A partition's producers and transactions: what may be appended, what a batch changes, how far readers of committed
//! records may go.
//!
//! Checks are called by `append`, `apply_producer` by whatever takes a batch in, the rest by the broker. Invariant: the
//! last stable offset counts a marker only when it is acknowledged, so nobody sees a record of a transaction whose end
//! could still be lost.

use std::collections::HashMap;
use std::sync::atomic::Ordering;

use protocol::control_batch::MarkerType;
use protocol::record_batch::{HEADER_LEN, RecordBatchView};

use super::{PartitionLog, PartitionState};
use crate::consume_queue::Entry;
use crate::error::AppendError;
use crate::position::Offset;
use crate::producer_state::{ActiveProducer, Effect, ProducerStates, SequenceCheck};
use crate::transactions::AbortedTransaction;
use crate::verification::VerificationGuard;

impl PartitionLog {
    /// How far readers of committed records may go: the high watermark, or the first offset of the oldest transaction that
    /// is open or whose marker is not acknowledged; never below the log start.
    #[must_use]
    pub fn last_stable_offset(&self) -> Offset {
        // In this order: a transaction below this high watermark that does not show in what is read next has ended.
        let high_watermark = self.high_watermark();
        if self.unstable.load(Ordering::Acquire) {
            return self.last_stable_offset_in(&self.state(), high_watermark);
        }
        high_watermark
    }

    /// The same for who holds the state.
    pub(crate) fn last_stable_offset_in(&self, state: &PartitionState, high_watermark: Offset) -> Offset {
        let first_unstable = state.transactions.as_ref().and_then(|all| all.first_unstable(high_watermark));
        let stable = first_unstable.map_or(high_watermark, |first| first.min(high_watermark));
        // Records of an open transaction may have been deleted.
        stable.max(self.log_start_offset())
    }

    /// Every aborted transaction with a last offset at or above `from` and a first offset below `upper`, by first offset.
    /// Ask after the batches were located, not before: one is forgotten before compaction takes its marker away.
    #[must_use]
    pub fn aborted_transactions(&self, from: Offset, upper: Offset) -> Vec<AbortedTransaction> {
        let state = self.state();
        state.transactions.as_ref().map_or_else(Vec::new, |all| all.aborted_between(from, upper))
    }

    /// The producers that are remembered, by id.
    #[must_use]
    pub fn active_producers(&self) -> Vec<ActiveProducer> {
        self.state().producers.as_ref().map_or_else(Vec::new, |producers| producers.active())
    }

    /// First offset of the producer's open transaction.
    #[must_use]
    pub fn open_transaction(&self, producer_id: i64) -> Option<Offset> {
        self.state().producers.as_ref()?.transaction_start(producer_id)
    }

    /// To be called before the transaction coordinator is asked whether `batch` belongs to a transaction. Shown to the log
    /// with the batch, the guard lets it open its producer's transaction here, unless a marker came between. `None` when
    /// that transaction is open already: then nobody need be asked. `bumps_epoch`: the producer's epoch grows with each
    /// transaction (transaction version 2; Produce v12, TxnOffsetCommit v5).
    #[must_use]
    pub fn begin_verification(
        &self,
        batch: &RecordBatchView<'_>,
        bumps_epoch: bool,
    ) -> Option<VerificationGuard> {
        let mut state = self.state();
        let (producer_id, epoch) = (batch.producer_id(), batch.producer_epoch());
        if state.producers.as_ref().is_some_and(|producers| producers.has_open(producer_id, epoch)) {
            return None;
        }
        Some(state.transactions.get_or_insert_default().verifications.begin(batch, bumps_epoch))
    }

    /// Notes whether the high watermark is all there is to know for readers of committed records. After every change.
    pub(crate) fn transactions_changed(&self, state: &PartitionState) {
        let stable = state.transactions.as_ref().is_none_or(|all| all.is_stable());
        self.unstable.store(!stable, Ordering::Release);
    }

    /// The markers below the high watermark are acknowledged.
    pub(super) fn acknowledge_markers(&self) {
        if self.unstable.load(Ordering::Acquire) {
            let (mut state, high_watermark) = (self.state(), self.high_watermark());
            state.transactions.iter_mut().for_each(|all| all.acknowledge(high_watermark));
            self.transactions_changed(&state);
        }
    }

    /// Forgets producers whose newest timestamp is older, and guards that nobody came back with.
    pub(crate) fn expire_producers(&self, before_ms: i64) {
        let mut state = self.state();
        state.producers.iter_mut().for_each(|producers| producers.expire(before_ms));
        state.transactions.iter_mut().for_each(|all| all.verifications.forget_old());
    }

    /// A compaction leaves `entries` below `upto`: aborted transactions whose markers it takes away, or empties, are
    /// forgotten. None of their records is left then, and a client that was told of one would drop all that its producer
    /// wrote since, for want of the marker (Kafka's `CleanedTransactionMetadata` leaves them out of the new index).
    pub(super) fn forget_unmarked_aborts(&self, upto: Offset, entries: &[Entry]) {
        let is_whole = |offset: Offset| {
            let found = entries.binary_search_by_key(&offset, |entry| entry.base_offset);
            found.is_ok_and(|at| usize::try_from(entries[at].size).is_ok_and(|size| size > HEADER_LEN))
        };
        self.state().transactions.iter_mut().for_each(|all| all.forget_unmarked(upto, is_whole));
    }

    /// Which batches compaction keeps, even empty, for their producers' sake.
    pub(crate) fn newest_batches(&self) -> NewestBatches {
        let state = self.state();
        let producers = state.producers.iter().flat_map(|producers| producers.iter());
        NewestBatches(
            producers
                .map(|(id, producer)| {
                    let newest = match producer.batches.last() {
                        Some(batch) => Newest::Data(batch.base_offset),
                        None => Newest::Marker(producer.epoch),
                    };
                    (*id, newest)
                })
                .collect(),
        )
    }
}

impl PartitionState {
    /// Judges a batch before it is appended.
    pub(crate) fn check_producer(
        &self,
        batch: &RecordBatchView<'_>,
        guard: Option<VerificationGuard>,
    ) -> Result<SequenceCheck, AppendError> {
        if batch.producer_id() < 0 {
            return Ok(SequenceCheck::Next);
        }
        let none = ProducerStates::default();
        let producers = self.producers.as_deref().unwrap_or(&none);
        producers.check(batch, guard, self.transactions.as_ref().map(|all| &all.verifications))
    }

    /// Takes in what a batch says of its producer and its transaction.
    pub(super) fn apply_producer(&mut self, batch: &RecordBatchView<'_>, base_offset: Offset) {
        let producer_id = batch.producer_id();
        if producer_id < 0 {
            return;
        }
        match self.producers.get_or_insert_default().apply(batch, base_offset) {
            Effect::None => {}
            Effect::Opened => self.transactions.get_or_insert_default().open(base_offset),
            Effect::Ended(first_offset, marker) => {
                let last_offset = base_offset;
                let ended = AbortedTransaction { producer_id, first_offset, last_offset };
                let aborted = marker.marker_type == MarkerType::Abort;
                self.transactions.get_or_insert_default().end(ended, aborted);
            }
        }
        if let Some(transactions) = self.transactions.as_mut().filter(|_| batch.is_transactional()) {
            transactions.verifications.end(batch);
        }
    }
}

/// The newest batch of each remembered producer (`UnifiedLog.lastRecordsOfActiveProducers`).
#[derive(Debug)]
pub(crate) struct NewestBatches(HashMap<i64, Newest>);

#[derive(Debug, Clone, Copy)]
enum Newest {
    /// At this base offset.
    Data(Offset),
    /// No data of the newest epoch: the marker that brought it.
    Marker(i16),
}

impl NewestBatches {
    pub(crate) fn contains(&self, batch: &RecordBatchView<'_>) -> bool {
        self.0.get(&batch.producer_id()).is_some_and(|newest| match newest {
            Newest::Data(base_offset) => *base_offset == batch.base_offset(),
            Newest::Marker(epoch) => batch.is_control() && *epoch == batch.producer_epoch(),
        })
    }
}
