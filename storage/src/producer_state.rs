//! What each idempotent producer last wrote to one partition (Kafka `ProducerStateEntry`, `ProducerAppendInfo`).
//!
//! A value inside `PartitionLog`, changed only by applied batches; `check` is pure. Invariant: at most five batches per
//! producer, oldest first, all of the producer's current epoch.

use std::collections::BTreeMap;

use protocol::record_batch::{RecordBatchView, increment_sequence};

use crate::error::AppendError;
use crate::position::Offset;

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
    /// Max timestamp of the newest batch, ms; decides expiry, as in Kafka.
    pub(crate) last_timestamp: i64,
    pub(crate) batches: Vec<WrittenBatch>,
}

/// What a batch's sequence means.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum SequenceCheck {
    /// Append it.
    Next,
    /// It is in the log already, at this base offset.
    Duplicate(Offset),
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

    /// Judges a batch before it is appended.
    pub(crate) fn check(&self, batch: &RecordBatchView<'_>) -> Result<SequenceCheck, AppendError> {
        let producer_id = batch.producer_id();
        let (epoch, base, last) = (batch.producer_epoch(), batch.base_sequence(), batch.last_sequence());
        let Some(state) = (producer_id >= 0).then(|| self.0.get(&producer_id)).flatten() else {
            // An unknown producer may have been expired: any first sequence is right.
            return Ok(SequenceCheck::Next);
        };
        if epoch < state.epoch {
            return Err(AppendError::InvalidProducerEpoch {
                producer_id,
                current: state.epoch,
                found: epoch,
            });
        }
        if epoch > state.epoch {
            let starts_anew = base == 0;
            let error = AppendError::OutOfOrderSequence { producer_id, expected: 0, found: base };
            return if starts_anew { Ok(SequenceCheck::Next) } else { Err(error) };
        }
        let same = |written: &&WrittenBatch| written.base_sequence == base && written.last_sequence == last;
        if let Some(written) = state.batches.iter().find(same) {
            return Ok(SequenceCheck::Duplicate(written.base_offset));
        }
        match state.batches.last().map(|written| increment_sequence(written.last_sequence, 1)) {
            Some(expected) if expected != base => {
                Err(AppendError::OutOfOrderSequence { producer_id, expected, found: base })
            }
            _ => Ok(SequenceCheck::Next),
        }
    }

    /// Remembers an appended batch.
    pub(crate) fn apply(&mut self, batch: &RecordBatchView<'_>, base_offset: Offset) {
        if batch.producer_id() < 0 || batch.is_control() {
            return;
        }
        let epoch = batch.producer_epoch();
        let state = self.0.entry(batch.producer_id()).or_insert_with(|| ProducerState {
            epoch,
            last_timestamp: batch.max_timestamp(),
            batches: Vec::with_capacity(1),
        });
        if state.epoch != epoch {
            state.epoch = epoch;
            state.batches.clear();
        }
        if state.batches.len() == BATCHES_TO_RETAIN {
            state.batches.remove(0);
        }
        state.last_timestamp = batch.max_timestamp();
        state.batches.push(WrittenBatch {
            base_sequence: batch.base_sequence(),
            last_sequence: batch.last_sequence(),
            base_offset,
        });
    }

    /// Forgets producers that have not written since `before_ms` (`producer.id.expiration.ms`).
    pub(crate) fn expire(&mut self, before_ms: i64) {
        self.0.retain(|_, state| state.last_timestamp >= before_ms);
    }
}
