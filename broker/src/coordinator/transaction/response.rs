//! The answers of the transaction coordinator: its own plain types, which the API handlers shape for the wire and its versions.

use protocol::ErrorCode;

use super::event::{ProducerIdAndEpoch, Request};
use super::metadata::{Partitions, TransactionState};
use crate::coordinator::effect::Fails;

/// The answer to a `Request`, variant by variant.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Response {
    /// To InitProducerId: what the producer has from now on.
    InitProducerId(Result<ProducerIdAndEpoch, ErrorCode>),
    /// To AddPartitions.
    AddPartitions(Result<(), ErrorCode>),
    /// To VerifyPartitions: those that the transaction does not cover.
    VerifyPartitions(Result<Partitions, ErrorCode>),
    /// To EndTransaction: what the producer has from now on, which matters to clients of `TransactionVersion::V2` only.
    EndTransaction(Result<ProducerIdAndEpoch, ErrorCode>),
    /// To Describe.
    Describe(Result<DescribedTransaction, ErrorCode>),
    /// To List, ordered by partition and id.
    List(Result<Vec<ListedTransaction>, ErrorCode>),
}

impl Fails for Response {
    fn into_failed(self, error: ErrorCode) -> Self {
        match self {
            Self::InitProducerId(_) => Self::InitProducerId(Err(error)),
            Self::AddPartitions(_) => Self::AddPartitions(Err(error)),
            Self::VerifyPartitions(_) => Self::VerifyPartitions(Err(error)),
            Self::EndTransaction(_) => Self::EndTransaction(Err(error)),
            Self::Describe(_) => Self::Describe(Err(error)),
            Self::List(_) => Self::List(Err(error)),
        }
    }
}

impl Response {
    /// The answer that refuses a request.
    pub(crate) fn failed(request: &Request, error: ErrorCode) -> Self {
        match request {
            Request::InitProducerId(_) => Self::InitProducerId(Err(error)),
            Request::AddPartitions(_) => Self::AddPartitions(Err(error)),
            Request::VerifyPartitions(_) => Self::VerifyPartitions(Err(error)),
            Request::EndTransaction(_) => Self::EndTransaction(Err(error)),
            Request::Describe { .. } => Self::Describe(Err(error)),
            Request::List(_) => Self::List(Err(error)),
        }
    }
}

/// A transactional id as DescribeTransactions shows it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DescribedTransaction {
    /// Its producer.
    pub producer: ProducerIdAndEpoch,
    /// Current state.
    pub state: TransactionState,
    /// How long a transaction may stay open, milliseconds.
    pub timeout_ms: i32,
    /// When the last transaction began, milliseconds since the Unix epoch; -1 if none did.
    pub start_ms: i64,
    /// What the open transaction covers; while it completes, what still waits for its marker.
    pub partitions: Partitions,
}

/// A transactional id as ListTransactions names it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ListedTransaction {
    /// The id.
    pub transactional_id: String,
    /// Its producer id.
    pub producer_id: i64,
    /// Current state.
    pub state: TransactionState,
    /// When the last transaction began, milliseconds since the Unix epoch; -1 if none did.
    pub start_ms: i64,
}
