//! What can happen to the transaction coordinator. Built by the API handlers and by the runtime, consumed by
//! `TransactionCoordinator::handle`.
//!
//! Where a rule depends on the request's version, the event names the rule, so the coordinator knows no version numbers.

use protocol::ErrorCode;

use super::metadata::{Partitions, TransactionState};
use crate::coordinator::effect::Ticket;
use crate::coordinator::event;

/// One thing that happened.
pub type Event = event::Event<Request, TransactionEvent>;

/// What happens to this coordinator only.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum TransactionEvent {
    /// What became of a `Work::AllocateProducerId`.
    ProducerIdAllocated {
        /// The ticket of the effect.
        ticket: Ticket,
        /// The id, or what a client is told.
        result: Result<i64, ErrorCode>,
    },
    /// What became of a `Work::WriteMarkers`.
    MarkersWritten {
        /// The ticket of the effect.
        ticket: Ticket,
        /// Partitions that do not have their marker yet. A partition whose topic was deleted is not among them: it is done.
        failed: Partitions,
    },
}

/// A client's request about one transactional id (List: about all).
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Request {
    /// API key 22, with a transactional id.
    InitProducerId(InitProducerId),
    /// API keys 24 and 25, and what Produce and TxnOffsetCommit add by themselves.
    AddPartitions(AddPartitions),
    /// API key 24 to verify only, and what Produce and TxnOffsetCommit check.
    VerifyPartitions(VerifyPartitions),
    /// API key 26.
    EndTransaction(EndTransaction),
    /// API key 65, one id of it.
    Describe {
        /// The id.
        transactional_id: String,
    },
    /// API key 66.
    List(ListTransactions),
}

impl Request {
    pub(crate) fn transactional_id(&self) -> &str {
        match self {
            Self::InitProducerId(init) => &init.transactional_id,
            Self::AddPartitions(add) => &add.transactional_id,
            Self::VerifyPartitions(verify) => &verify.transactional_id,
            Self::EndTransaction(end) => &end.transactional_id,
            Self::Describe { transactional_id } => transactional_id,
            Self::List(_) => "",
        }
    }
}

/// Who writes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ProducerIdAndEpoch {
    /// Producer id, -1 for none.
    pub producer_id: i64,
    /// Producer epoch, -1 for none.
    pub epoch: i16,
}

/// Which protocol the client of a transaction follows (Kafka's `TransactionVersion` feature levels).
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Default)]
pub enum TransactionVersion {
    /// KIP-98: the epoch changes with InitProducerId only.
    #[default]
    V0,
    /// As V0, with records that allow tagged fields.
    V1,
    /// KIP-890: every end of a transaction bumps the epoch.
    V2,
}

/// A producer begins, or begins again: older producers with its id are fenced.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct InitProducerId {
    /// The id.
    pub transactional_id: String,
    /// How long a transaction may stay open, milliseconds.
    pub timeout_ms: i32,
    /// Versions 3 and later (KIP-360): what the producer had; refused unless it still holds.
    pub expected: Option<ProducerIdAndEpoch>,
}

/// The transaction, begun if need be, covers these partitions too.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AddPartitions {
    /// The id.
    pub transactional_id: String,
    /// Who.
    pub producer: ProducerIdAndEpoch,
    /// The handler has already refused partitions that do not exist.
    pub partitions: Partitions,
    /// The client's protocol.
    pub version: TransactionVersion,
    /// If the previous transaction is still completing, wait for that before answering CONCURRENT_TRANSACTIONS.
    pub patient: bool,
}

/// Does the open transaction cover these partitions?
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct VerifyPartitions {
    /// The id.
    pub transactional_id: String,
    /// Who.
    pub producer: ProducerIdAndEpoch,
    /// Which.
    pub partitions: Partitions,
}

/// The transaction is over.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct EndTransaction {
    /// The id.
    pub transactional_id: String,
    /// Who.
    pub producer: ProducerIdAndEpoch,
    /// Commit or abort.
    pub committed: bool,
    /// The client's protocol.
    pub version: TransactionVersion,
}

/// Name the transactional ids.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct ListTransactions {
    /// Only in one of these states; empty for all.
    pub states: Vec<TransactionState>,
    /// Only of one of these producers; empty for all.
    pub producer_ids: Vec<i64>,
    /// Only transactions that began longer ago than this, milliseconds.
    pub longer_than_ms: Option<i64>,
}
