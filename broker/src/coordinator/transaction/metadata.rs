//! What the log keeps of a transactional id, and which state may follow which (Kafka's `TransactionMetadata` and
//! `TransactionState`).

use std::collections::{BTreeMap, BTreeSet};

use super::event::{ProducerIdAndEpoch, TransactionVersion};

/// No producer id, no epoch, no time.
pub(super) const NONE: i64 = -1;
pub(super) const NO_EPOCH: i16 = -1;
/// The last epoch that a client may have; the one above is kept for fencing it.
const LAST_EPOCH: i16 = i16::MAX - 1;

/// Partition numbers by topic name.
pub type Partitions = BTreeMap<String, BTreeSet<i32>>;

/// Where a transactional id stands. The numbers are those of the records.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum TransactionState {
    /// It has a producer and never had a transaction since.
    Empty,
    /// A transaction is open.
    Ongoing,
    /// It will be committed; markers are being written.
    PrepareCommit,
    /// It will be aborted; markers are being written.
    PrepareAbort,
    /// The last transaction was committed.
    CompleteCommit,
    /// The last transaction was aborted.
    CompleteAbort,
    /// Being forgotten. A name only, see the module of the coordinator.
    Dead,
    /// Being fenced. A name only, see the module of the coordinator.
    PrepareEpochFence,
}

impl TransactionState {
    /// Every state.
    pub const ALL: [Self; 8] = [
        Self::Empty,
        Self::Ongoing,
        Self::PrepareCommit,
        Self::PrepareAbort,
        Self::CompleteCommit,
        Self::CompleteAbort,
        Self::Dead,
        Self::PrepareEpochFence,
    ];

    /// Kafka's name.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Empty => "Empty",
            Self::Ongoing => "Ongoing",
            Self::PrepareCommit => "PrepareCommit",
            Self::PrepareAbort => "PrepareAbort",
            Self::CompleteCommit => "CompleteCommit",
            Self::CompleteAbort => "CompleteAbort",
            Self::Dead => "Dead",
            Self::PrepareEpochFence => "PrepareEpochFence",
        }
    }

    /// The state of this name.
    #[must_use]
    pub fn from_name(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|state| state.name() == name)
    }

    pub(super) const fn number(self) -> i8 {
        match self {
            Self::Empty => 0,
            Self::Ongoing => 1,
            Self::PrepareCommit => 2,
            Self::PrepareAbort => 3,
            Self::CompleteCommit => 4,
            Self::CompleteAbort => 5,
            Self::Dead => 6,
            Self::PrepareEpochFence => 7,
        }
    }

    pub(super) fn from_number(number: i8) -> Option<Self> {
        Self::ALL.into_iter().find(|state| state.number() == number)
    }

    /// The outcome is decided and markers are on their way.
    pub(super) const fn is_prepared(self) -> bool {
        matches!(self, Self::PrepareCommit | Self::PrepareAbort)
    }

    /// No transaction is open.
    pub(super) const fn is_idle(self) -> bool {
        matches!(self, Self::Empty | Self::CompleteCommit | Self::CompleteAbort)
    }

    /// Whether a record with `next` may follow one with `self`.
    pub(super) const fn may_become(self, next: Self) -> bool {
        match next {
            Self::Empty => self.is_idle(),
            Self::Ongoing => self.is_idle() || matches!(self, Self::Ongoing),
            Self::PrepareCommit => matches!(self, Self::Ongoing),
            Self::PrepareAbort => self.is_idle() || matches!(self, Self::Ongoing),
            Self::CompleteCommit => matches!(self, Self::PrepareCommit),
            Self::CompleteAbort => matches!(self, Self::PrepareAbort),
            Self::Dead | Self::PrepareEpochFence => false,
        }
    }
}

/// What the log keeps of a transactional id.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Metadata {
    pub(super) producer: ProducerIdAndEpoch,
    /// The producer id before the last change.
    pub(super) previous_producer_id: i64,
    /// The producer id once the transaction that is being ended is complete, -1 for the same.
    pub(super) next_producer_id: i64,
    /// The epoch that the same producer had before, -1 when another producer may have had it. Not in the log.
    pub(super) last_epoch: i16,
    pub(super) timeout_ms: i32,
    pub(super) state: TransactionState,
    pub(super) partitions: Partitions,
    /// Milliseconds since the Unix epoch, -1 before the first transaction.
    pub(super) start_ms: i64,
    pub(super) last_update_ms: i64,
    pub(super) version: TransactionVersion,
}

impl Metadata {
    /// Of an id that nobody had before.
    pub(super) fn new(producer_id: i64) -> Self {
        Self {
            producer: ProducerIdAndEpoch { producer_id, epoch: NO_EPOCH },
            previous_producer_id: NONE,
            next_producer_id: NONE,
            last_epoch: NO_EPOCH,
            timeout_ms: 0,
            state: TransactionState::Empty,
            partitions: Partitions::new(),
            start_ms: NONE,
            last_update_ms: 0,
            version: TransactionVersion::V0,
        }
    }

    /// No epoch is left that a client may have.
    pub(super) fn is_epoch_exhausted(&self) -> bool {
        is_exhausted(self.producer.epoch)
    }

    pub(super) fn covers(&self, partitions: &Partitions) -> bool {
        partitions.iter().all(|(topic, numbers)| {
            self.partitions.get(topic).is_some_and(|covered| numbers.is_subset(covered))
        })
    }
}

pub(super) const fn is_exhausted(epoch: i16) -> bool {
    epoch >= LAST_EPOCH
}
