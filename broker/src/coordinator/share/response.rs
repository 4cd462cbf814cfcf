//! The answers of the share coordinator, which the API handlers shape for the wire.

use protocol::ErrorCode;

use super::event::Request;
use crate::coordinator::effect::Fails;

/// The answer to a `Request`, variant by variant.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Response {
    /// To what only changes something.
    Done(Result<(), ErrorCode>),
    /// To Acknowledge.
    Acknowledged(Result<(), Refusal>),
    /// To Summary; `None` when the share partition was never initialized.
    Summary(Result<Option<Summary>, ErrorCode>),
    /// To Positions, in the order of the request.
    Positions(Vec<Result<Position, ErrorCode>>),
    /// To Acquire, in the order of the request.
    Acquired(Vec<Result<Vec<Acquired>, ErrorCode>>),
}

/// Why an acknowledgement does not count.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Refusal {
    /// For programs.
    pub error: ErrorCode,
    /// For people, as Kafka says it to clients; `None` where it says nothing.
    pub sentence: Option<&'static str>,
}

impl Refusal {
    pub(super) const fn new(error: ErrorCode, sentence: &'static str) -> Self {
        Self { error, sentence: Some(sentence) }
    }
}

impl From<ErrorCode> for Refusal {
    fn from(error: ErrorCode) -> Self {
        Self { error, sentence: None }
    }
}

/// What the log says of a share partition.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Summary {
    /// First offset that is not done with, -1 before the first delivery was settled.
    pub start_offset: i64,
    /// Of the partition when it was written.
    pub leader_epoch: i32,
    /// Offsets from there on that are done with, -1 when unknown (KIP-1226).
    pub delivery_complete_count: i32,
}

/// Where the next record to deliver is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Position {
    /// Here.
    At(i64),
    /// As many as may be are in flight already.
    Full,
    /// The group's reset strategy decides: ask for it and send `Request::Start`.
    Unset,
}

/// Records that a member has from now on.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Acquired {
    /// First offset.
    pub first: i64,
    /// Last offset.
    pub last: i64,
    /// How often they were delivered, this time counted.
    pub deliveries: i16,
}

impl Fails for Response {
    fn into_failed(self, error: ErrorCode) -> Self {
        match self {
            Self::Done(_) => Self::Done(Err(error)),
            Self::Acknowledged(_) => Self::Acknowledged(Err(error.into())),
            Self::Summary(_) => Self::Summary(Err(error)),
            Self::Positions(all) => Self::Positions(vec![Err(error); all.len()]),
            Self::Acquired(all) => Self::Acquired(vec![Err(error); all.len()]),
        }
    }
}

impl Response {
    /// The answer that refuses a request about one share partition.
    pub(super) fn failed(request: &Request, error: ErrorCode) -> Self {
        match request {
            Request::Summary { .. } => Self::Summary(Err(error)),
            Request::Acknowledge(_) => Self::Acknowledged(Err(error.into())),
            _ => Self::Done(Err(error)),
        }
    }
}
