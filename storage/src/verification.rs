//! Which producers are being asked about: may they open a transaction in this partition? (KIP-890, Kafka's
//! `VerificationGuard` and `VerificationStateEntry`.)
//!
//! A value inside `Transactions`, in memory only: after a restart every producer is asked about again. Invariant: a
//! guard counts once, and not after the transaction that it was given for has ended, so that a late batch cannot open a
//! transaction of which the coordinator knows nothing.

use std::collections::BTreeMap;

use protocol::record_batch::RecordBatchView;

/// Proof that a transaction coordinator knows of the transaction that a batch opens. Asked for before the coordinator is,
/// shown to the log with the batch.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct VerificationGuard(u64);

impl VerificationGuard {
    /// For what the broker's own coordinators append: they know of the transaction themselves.
    pub const COORDINATOR: Self = Self(0);
    /// With a marker: the producer's epoch was bumped for it (transaction version 2), so that one of the open
    /// transaction's own epoch is late (Kafka's `ProducerAppendInfo.checkProducerEpoch`).
    pub const BUMPED_EPOCH: Self = Self(u64::MAX);
}

/// One producer that is being asked about.
#[derive(Debug, Clone, Copy)]
struct Verification {
    guard: VerificationGuard,
    epoch: i16,
    /// Least base sequence of `epoch` that waits: nothing after it is appended before it.
    lowest_sequence: i32,
    /// The producer's epoch grows with each transaction (transaction version 2).
    bumps_epoch: bool,
    /// It was there already at the last look for forgotten ones.
    old: bool,
}

/// The producers of one partition that are being asked about, by id.
#[derive(Debug, Clone, Default)]
pub(crate) struct Verifications {
    last: u64,
    producers: BTreeMap<i64, Verification>,
}

impl Verifications {
    /// The guard for this batch's producer: the one that waits already, or a new one.
    pub(crate) fn begin(&mut self, batch: &RecordBatchView<'_>, bumps_epoch: bool) -> VerificationGuard {
        let (epoch, sequence) = (batch.producer_epoch(), batch.base_sequence());
        let waiting = self.producers.entry(batch.producer_id()).or_insert_with(|| {
            self.last += 1;
            let guard = VerificationGuard(self.last);
            Verification { guard, epoch, lowest_sequence: sequence, bumps_epoch, old: false }
        });
        if epoch == waiting.epoch {
            waiting.lowest_sequence = waiting.lowest_sequence.min(sequence);
        } else if epoch > waiting.epoch {
            (waiting.epoch, waiting.lowest_sequence) = (epoch, sequence);
        }
        waiting.guard
    }

    /// Whether `guard` is the one that counts for this producer.
    pub(crate) fn accepts(&self, producer_id: i64, guard: Option<VerificationGuard>) -> bool {
        let current = self.producers.get(&producer_id).map(|waiting| waiting.guard);
        guard == Some(VerificationGuard::COORDINATOR) || (guard.is_some() && guard == current)
    }

    /// The greatest base sequence that a batch of the producer may begin with; `None` when any may. `has_batches` says
    /// whether the partition remembers a batch of it: a producer whose epoch grows with each transaction begins at 0.
    pub(crate) fn highest_sequence(&self, producer_id: i64, has_batches: bool) -> Option<i32> {
        let waiting = self.producers.get(&producer_id)?;
        Some(if waiting.bumps_epoch && !has_batches { 0 } else { waiting.lowest_sequence })
    }

    /// After a transactional batch was appended: its transaction is open, or, after a marker, over. Where the epoch grows
    /// with each transaction and the marker brought the epoch that waits, it is the next transaction that waits.
    pub(crate) fn end(&mut self, batch: &RecordBatchView<'_>) {
        let next_waits = |waiting: &Verification| {
            batch.is_control() && waiting.bumps_epoch && waiting.epoch == batch.producer_epoch()
        };
        if !self.producers.get(&batch.producer_id()).is_some_and(next_waits) {
            self.producers.remove(&batch.producer_id());
        }
    }

    /// Forgets those that were there at the last call already: their requests ended long ago.
    pub(crate) fn forget_old(&mut self) {
        self.producers.retain(|_, waiting| !std::mem::replace(&mut waiting.old, true));
    }
}
