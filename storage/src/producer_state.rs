//! What each idempotent or transactional producer last wrote to one partition (Kafka `ProducerStateEntry`,
//! `ProducerAppendInfo`).
//!
//! A value inside `PartitionLog`, changed only by applied batches; checks are pure. Invariants: at most five batches per
//! producer, oldest first, all of the producer's current epoch; a producer has at most one open transaction here.

use std::collections::BTreeMap;

use protocol::control_batch::EndTransactionMarker;
use protocol::record_batch::{RecordBatchView, increment_sequence};

use crate::error::AppendError;
use crate::position::Offset;
use crate::verification::{VerificationGuard, Verifications};

/// Before a marker named one.
pub(crate) const NO_COORDINATOR_EPOCH: i32 = -1;
const NO_SEQUENCE: i32 = -1;

/// Batches remembered per producer (`ProducerStateEntry.NUM_BATCHES_TO_RETAIN`).
pub(crate) const BATCHES_TO_RETAIN: usize = 5;

/// A batch as needed to recognise it again.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct WrittenBatch {
    pub(crate) base_sequence: i32,
    pub(crate) last_sequence: i32,
    pub(crate) base_offset: Offset,
}

/// One producer in one partition.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct ProducerState {
    pub(crate) epoch: i16,
    /// Max timestamp of the newest batch or marker, ms; decides expiry, as in Kafka.
    pub(crate) last_timestamp: i64,
    /// Of the last marker.
    pub(crate) coordinator_epoch: i32,
    /// First offset of the open transaction.
    pub(crate) transaction_start: Option<Offset>,
    pub(crate) batches: Vec<WrittenBatch>,
}

/// A producer that the partition remembers (DescribeProducers).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ActiveProducer {
    /// Its id.
    pub producer_id: i64,
    /// Newest epoch seen.
    pub producer_epoch: i16,
    /// Sequence of its last record, -1 when none of its epoch is known or it does not number them.
    pub last_sequence: i32,
    /// Greatest timestamp of its newest batch or marker, ms.
    pub last_timestamp: i64,
    /// Epoch of the transaction coordinator that wrote its last marker, -1 without one.
    pub coordinator_epoch: i32,
    /// First offset of its open transaction.
    pub current_transaction_start_offset: Option<Offset>,
}

/// What a batch's sequence means.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum SequenceCheck {
    /// Append it.
    Next,
    /// It is in the log already, at this base offset.
    Duplicate(Offset),
}

/// What a batch did to the open transaction of its producer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Effect {
    None,
    Opened,
    /// The transaction that began at this offset.
    Ended(Offset, EndTransactionMarker),
}

impl ProducerState {
    fn new(epoch: i16) -> Self {
        Self {
            epoch,
            last_timestamp: 0,
            coordinator_epoch: NO_COORDINATOR_EPOCH,
            transaction_start: None,
            batches: Vec::new(),
        }
    }

    fn is_duplicate(&self, batch: &RecordBatchView<'_>) -> Option<Offset> {
        let (base, last) = (batch.base_sequence(), batch.last_sequence());
        let same = |written: &&WrittenBatch| written.base_sequence == base && written.last_sequence == last;
        let written = self.batches.iter().find(same).filter(|_| batch.producer_epoch() == self.epoch)?;
        Some(written.base_offset)
    }

    fn has_open(&self, epoch: i16) -> bool {
        self.transaction_start.is_some() && self.epoch == epoch
    }

    fn check_epoch(&self, batch: &RecordBatchView<'_>) -> Result<(), AppendError> {
        let (producer_id, found) = (batch.producer_id(), batch.producer_epoch());
        if found < self.epoch {
            return Err(AppendError::InvalidProducerEpoch { producer_id, current: self.epoch, found });
        }
        Ok(())
    }

    fn check_sequence(&self, batch: &RecordBatchView<'_>) -> Result<(), AppendError> {
        // A new epoch begins at 0, and so does one of which only a marker is known.
        let last = self.batches.last().filter(|_| batch.producer_epoch() == self.epoch);
        let expected = match last {
            Some(last) if last.last_sequence >= 0 => increment_sequence(last.last_sequence, 1),
            _ => 0,
        };
        let found = batch.base_sequence();
        if found == expected {
            return Ok(());
        }
        Err(AppendError::OutOfOrderSequence { producer_id: batch.producer_id(), expected, found })
    }

    fn check_marker(
        &self,
        batch: &RecordBatchView<'_>,
        marker: &EndTransactionMarker,
        guard: Option<VerificationGuard>,
    ) -> Result<(), AppendError> {
        self.check_epoch(batch)?;
        // With no transaction open it is the same marker once more (KAFKA-19999).
        if guard == Some(VerificationGuard::BUMPED_EPOCH) && self.has_open(batch.producer_epoch()) {
            let (producer_id, found) = (batch.producer_id(), batch.producer_epoch());
            return Err(AppendError::InvalidProducerEpoch { producer_id, current: self.epoch, found });
        }
        let (current, found) = (self.coordinator_epoch, marker.coordinator_epoch);
        if found < current {
            let producer_id = batch.producer_id();
            return Err(AppendError::TransactionCoordinatorFenced { producer_id, current, found });
        }
        Ok(())
    }

    fn raise_epoch(&mut self, epoch: i16) {
        if self.epoch != epoch {
            self.epoch = epoch;
            self.batches.clear();
        }
    }

    fn remember(&mut self, batch: WrittenBatch) {
        if self.batches.len() == BATCHES_TO_RETAIN {
            self.batches.remove(0);
        } else if self.batches.is_empty() {
            self.batches.reserve_exact(1);
        }
        self.batches.push(batch);
    }
}

/// All producers of one partition by producer id.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct ProducerStates(BTreeMap<i64, ProducerState>);

impl ProducerStates {
    pub(crate) fn iter(&self) -> impl Iterator<Item = (&i64, &ProducerState)> {
        self.0.iter()
    }

    pub(crate) fn len(&self) -> usize {
        self.0.len()
    }

    pub(crate) fn insert(&mut self, producer_id: i64, state: ProducerState) {
        self.0.insert(producer_id, state);
    }

    /// First offset of the producer's open transaction.
    pub(crate) fn transaction_start(&self, producer_id: i64) -> Option<Offset> {
        self.0.get(&producer_id)?.transaction_start
    }

    /// Whether the producer has a transaction of this epoch open.
    pub(crate) fn has_open(&self, producer_id: i64, epoch: i16) -> bool {
        self.0.get(&producer_id).is_some_and(|state| state.has_open(epoch))
    }

    pub(crate) fn active(&self) -> Vec<ActiveProducer> {
        let active = |(producer_id, state): (&i64, &ProducerState)| ActiveProducer {
            producer_id: *producer_id,
            producer_epoch: state.epoch,
            last_sequence: state.batches.last().map_or(NO_SEQUENCE, |batch| batch.last_sequence),
            last_timestamp: state.last_timestamp,
            coordinator_epoch: state.coordinator_epoch,
            current_transaction_start_offset: state.transaction_start,
        };
        self.0.iter().map(active).collect()
    }

    /// Judges a batch with a producer id before it is appended. What is not numbered (base sequence -1) comes from a
    /// coordinator of the broker, and its sequence is not looked at.
    pub(crate) fn check(
        &self,
        batch: &RecordBatchView<'_>,
        guard: Option<VerificationGuard>,
        verifications: Option<&Verifications>,
    ) -> Result<SequenceCheck, AppendError> {
        let producer_id = batch.producer_id();
        let state = self.0.get(&producer_id);
        if batch.is_control() {
            if let (Some(state), Some(marker)) = (state, EndTransactionMarker::parse(batch)) {
                state.check_marker(batch, &marker, guard)?;
            }
            return Ok(SequenceCheck::Next);
        }
        let numbered = batch.base_sequence() >= 0;
        if numbered && let Some(base_offset) = state.and_then(|state| state.is_duplicate(batch)) {
            return Ok(SequenceCheck::Duplicate(base_offset));
        }
        // The epoch first: a producer that was left behind can go on with a new one (KAFKA-19367).
        state.map_or(Ok(()), |state| state.check_epoch(batch))?;
        let opens = batch.is_transactional() && !self.has_open(producer_id, batch.producer_epoch());
        let none = Verifications::default();
        let verifications = verifications.unwrap_or(&none);
        if opens && !verifications.accepts(producer_id, guard) {
            return Err(AppendError::InvalidTransactionState { producer_id });
        }
        if numbered {
            let has_batches = state.is_some_and(|state| !state.batches.is_empty());
            let (found, highest) =
                (batch.base_sequence(), verifications.highest_sequence(producer_id, has_batches));
            if let Some(expected) = highest.filter(|highest| found > *highest) {
                return Err(AppendError::OutOfOrderSequence { producer_id, expected, found });
            }
            // An unknown producer may have been expired: any first sequence is right.
            state.map_or(Ok(()), |state| state.check_sequence(batch))?;
        }
        if !batch.is_transactional() && state.is_some_and(|state| state.transaction_start.is_some()) {
            return Err(AppendError::InvalidTransactionState { producer_id });
        }
        Ok(SequenceCheck::Next)
    }

    /// Remembers an appended batch or marker that has a producer id.
    pub(crate) fn apply(&mut self, batch: &RecordBatchView<'_>, base_offset: Offset) -> Effect {
        let epoch = batch.producer_epoch();
        let state = self.0.entry(batch.producer_id()).or_insert_with(|| ProducerState::new(epoch));
        state.raise_epoch(epoch);
        state.last_timestamp = batch.max_timestamp();
        if batch.is_control() {
            let Some(marker) = EndTransactionMarker::parse(batch) else { return Effect::None };
            state.coordinator_epoch = marker.coordinator_epoch;
            return state.transaction_start.take().map_or(Effect::None, |start| Effect::Ended(start, marker));
        }
        state.remember(WrittenBatch {
            base_sequence: batch.base_sequence(),
            last_sequence: batch.last_sequence(),
            base_offset,
        });
        if !batch.is_transactional() || state.transaction_start.is_some() {
            return Effect::None;
        }
        state.transaction_start = Some(base_offset);
        Effect::Opened
    }

    /// Forgets producers that have not written since `before_ms` (`producer.id.expiration.ms`), but none whose transaction
    /// is open.
    pub(crate) fn expire(&mut self, before_ms: i64) {
        self.0.retain(|_, state| state.transaction_start.is_some() || state.last_timestamp >= before_ms);
    }
}
