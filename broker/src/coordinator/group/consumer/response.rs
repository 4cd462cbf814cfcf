//! The answers about consumer groups, in the coordinator's own plain types.

use protocol::ErrorCode;
use uuid::Uuid;

use super::member::Assignment;

/// Why a request is refused, with Kafka's words for it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Refusal {
    /// The error.
    pub error: ErrorCode,
    /// What went wrong, in a sentence, if the error does not say it all.
    pub message: Option<String>,
}

impl Refusal {
    pub(in crate::coordinator::group) const fn new(error: ErrorCode, message: String) -> Self {
        Self { error, message: Some(message) }
    }

    pub(in crate::coordinator::group) fn group_not_found(message: &str) -> Self {
        Self::new(ErrorCode::GroupIdNotFound, message.to_owned())
    }
}

impl From<ErrorCode> for Refusal {
    fn from(error: ErrorCode) -> Self {
        Self { error, message: None }
    }
}

/// Answer to ConsumerGroupHeartbeat.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ConsumerGroupHeartbeatResponse {
    /// NONE or why not.
    pub error: ErrorCode,
    /// What went wrong, in a sentence.
    pub message: Option<String>,
    /// `None` with an error.
    pub member_id: Option<String>,
    /// Epoch for the next heartbeat.
    pub member_epoch: i32,
    /// Milliseconds until the next heartbeat.
    pub heartbeat_interval_ms: i32,
    /// What the member owns from now on; `None`: nothing changed.
    pub assignment: Option<Assignment>,
}

impl ConsumerGroupHeartbeatResponse {
    pub(in crate::coordinator::group) fn refused(refusal: Refusal) -> Self {
        Self {
            error: refusal.error,
            message: refusal.message,
            member_id: None,
            member_epoch: 0,
            heartbeat_interval_ms: 0,
            assignment: None,
        }
    }
}

/// Topic id, topic name, partitions.
pub type NamedAssignment = Vec<(Uuid, String, Vec<i32>)>;

/// A group as ConsumerGroupDescribe shows it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DescribedConsumerGroup {
    /// NONE or why it cannot be shown.
    pub error: ErrorCode,
    /// What went wrong, in a sentence.
    pub message: Option<String>,
    /// As in the request.
    pub group_id: String,
    /// Name of the state, empty with an error.
    pub state: &'static str,
    /// Group epoch.
    pub epoch: i32,
    /// Epoch of the target assignment.
    pub assignment_epoch: i32,
    /// The assignor that computes targets.
    pub assignor: String,
    /// Everybody.
    pub members: Vec<DescribedConsumer>,
}

impl DescribedConsumerGroup {
    pub(in crate::coordinator::group) fn refused(error: ErrorCode, group_id: String) -> Self {
        let (state, assignor, members) = ("", String::new(), Vec::new());
        Self { error, message: None, group_id, state, epoch: 0, assignment_epoch: 0, assignor, members }
    }
}

/// A member as ConsumerGroupDescribe shows it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DescribedConsumer {
    /// Member id.
    pub member_id: String,
    /// Set for static members.
    pub instance_id: Option<String>,
    /// Its rack, if it told.
    pub rack_id: Option<String>,
    /// Its epoch.
    pub epoch: i32,
    /// From its last request.
    pub client_id: String,
    /// From its last request.
    pub client_host: String,
    /// Topics it subscribes to by name.
    pub topics: Vec<String>,
    /// Pattern it subscribes to.
    pub regex: Option<String>,
    /// What it owns.
    pub assignment: NamedAssignment,
    /// What it is led to.
    pub target: NamedAssignment,
    /// It speaks the classic protocol.
    pub is_classic: bool,
}
