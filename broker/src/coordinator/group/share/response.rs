//! The answers about share groups, in the coordinator's own plain types.

use protocol::ErrorCode;
use uuid::Uuid;

use super::event::ShareRequest;
use crate::coordinator::group::consumer::member::Assignment;
use crate::coordinator::group::response::{NamedAssignment, Refusal};

/// The answer to a `ShareRequest`, variant by variant.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ShareResponse {
    /// To Heartbeat.
    Heartbeat(ShareGroupHeartbeatResponse),
    /// To Describe.
    Describe(DescribedShareGroup),
    /// To Initialized and OffsetsDeleted.
    Noted(ErrorCode),
    /// To StatePartitions.
    StatePartitions(Result<Assignment, ErrorCode>),
    /// To AlterOffsets.
    AlterOffsets(Result<AlteringOffsets, Refusal>),
    /// To DeleteOffsets.
    DeleteOffsets(Result<DeletingOffsets, Refusal>),
}

impl ShareResponse {
    pub(in crate::coordinator::group) fn into_failed(self, error: ErrorCode) -> Self {
        match self {
            Self::Heartbeat(_) => Self::Heartbeat(ShareGroupHeartbeatResponse::refused(error.into())),
            Self::Describe(group) => {
                Self::Describe(DescribedShareGroup::refused(group.group_id, error.into()))
            }
            Self::Noted(_) => Self::Noted(error),
            Self::StatePartitions(_) => Self::StatePartitions(Err(error)),
            Self::AlterOffsets(_) => Self::AlterOffsets(Err(error.into())),
            Self::DeleteOffsets(_) => Self::DeleteOffsets(Err(error.into())),
        }
    }

    /// The answer that refuses a whole request.
    pub(in crate::coordinator::group) fn refusal(request: ShareRequest, error: ErrorCode) -> Self {
        match request {
            ShareRequest::Heartbeat(_) => Self::Heartbeat(ShareGroupHeartbeatResponse::refused(error.into())),
            ShareRequest::Describe { group_id } => {
                Self::Describe(DescribedShareGroup::refused(group_id, error.into()))
            }
            ShareRequest::Initialized { .. } | ShareRequest::OffsetsDeleted { .. } => Self::Noted(error),
            ShareRequest::StatePartitions { .. } => Self::StatePartitions(Err(error)),
            ShareRequest::AlterOffsets { .. } => Self::AlterOffsets(Err(error.into())),
            ShareRequest::DeleteOffsets { .. } => Self::DeleteOffsets(Err(error.into())),
        }
    }
}

/// Answer to ShareGroupHeartbeat.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ShareGroupHeartbeatResponse {
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
    /// What the member reads from now on; `None`: nothing changed.
    pub assignment: Option<Assignment>,
    /// Not for the member: whoever asked has this done, and tells the coordinator what became of it.
    pub initialize: Option<Initialize>,
}

impl ShareGroupHeartbeatResponse {
    pub(super) fn refused(refusal: Refusal) -> Self {
        Self {
            error: refusal.error,
            message: refusal.message,
            member_id: None,
            member_epoch: 0,
            heartbeat_interval_ms: 0,
            assignment: None,
            initialize: None,
        }
    }
}

/// Partitions whose state is to be kept for a group from now on.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Initialize {
    /// The group's epoch: state of an older one gives way.
    pub state_epoch: i32,
    /// Which.
    pub partitions: Assignment,
}

/// A group as ShareGroupDescribe shows it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DescribedShareGroup {
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
    /// The assignor that computes targets, empty with an error.
    pub assignor: &'static str,
    /// Everybody.
    pub members: Vec<DescribedShareMember>,
}

impl DescribedShareGroup {
    pub(super) fn refused(group_id: String, refusal: Refusal) -> Self {
        Self {
            error: refusal.error,
            message: refusal.message,
            group_id,
            state: "",
            epoch: 0,
            assignment_epoch: 0,
            assignor: "",
            members: Vec::new(),
        }
    }
}

/// A member as ShareGroupDescribe shows it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DescribedShareMember {
    /// Member id.
    pub member_id: String,
    /// Its rack, if it told.
    pub rack_id: Option<String>,
    /// Its epoch.
    pub epoch: i32,
    /// From its last request.
    pub client_id: String,
    /// From its last request.
    pub client_host: String,
    /// Topics it subscribes to.
    pub topics: Vec<String>,
    /// What it reads.
    pub assignment: NamedAssignment,
}

/// What AlterShareGroupOffsets found.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AlteringOffsets {
    /// As in `Initialize`.
    pub state_epoch: i32,
    /// In the order asked.
    pub topics: Vec<AlteredTopic>,
    /// What is to be initialized with these start offsets. Tell the outcome with `ShareRequest::Initialized`.
    pub initialize: Vec<(Uuid, i32, i64)>,
}

/// A topic of an AlterShareGroupOffsets.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AlteredTopic {
    /// As in the request.
    pub name: String,
    /// `None`: it does not exist.
    pub id: Option<Uuid>,
    /// Which of its partitions exist.
    pub partitions: Vec<(i32, ErrorCode)>,
}

/// What DeleteShareGroupOffsets found.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct DeletingOffsets {
    /// Topics that the group keeps nothing of, with Kafka's words; the default ones of the error if there are none.
    pub failed: Vec<(String, ErrorCode, Option<&'static str>)>,
    /// Id, name and partitions whose state is to be deleted. Tell what is gone with `ShareRequest::OffsetsDeleted`.
    pub delete: NamedAssignment,
}
