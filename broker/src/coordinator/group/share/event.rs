//! What share groups are asked. Plain owned values, as in the coordinator's own `event`.

use uuid::Uuid;

use crate::coordinator::group::config::ShareSettings;
use crate::coordinator::group::consumer::member::Assignment;

/// A request about one share group.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ShareRequest {
    /// API key 76.
    Heartbeat(Box<ShareGroupHeartbeat>),
    /// API key 77, one group of it.
    Describe {
        /// The group to describe.
        group_id: String,
    },
    /// What became of `Initialize`.
    Initialized {
        /// The group.
        group_id: String,
        /// The partitions that it named.
        partitions: Assignment,
        /// Their state is kept from now on; if not, it is tried again later.
        succeeded: bool,
    },
    /// For API key 90: which partitions have a state?
    StatePartitions {
        /// The group; one that is not there has none.
        group_id: String,
    },
    /// API key 91: where the group is to begin.
    AlterOffsets {
        /// The group; made if it is not there.
        group_id: String,
        /// Topic names; partitions and start offsets.
        topics: Vec<(String, Vec<(i32, i64)>)>,
    },
    /// API key 92, or the first half of API key 42: state that is to be deleted.
    DeleteOffsets {
        /// The group.
        group_id: String,
        /// Topic names; `None`: all of them, because the group is to go.
        topics: Option<Vec<String>>,
    },
    /// The state of these topics is gone.
    OffsetsDeleted {
        /// The group.
        group_id: String,
        /// Topic ids.
        topics: Vec<Uuid>,
    },
}

impl ShareRequest {
    /// The group that it is about.
    pub(in crate::coordinator::group) fn group_id(&self) -> &str {
        match self {
            Self::Heartbeat(heartbeat) => &heartbeat.group_id,
            Self::Describe { group_id }
            | Self::Initialized { group_id, .. }
            | Self::StatePartitions { group_id }
            | Self::AlterOffsets { group_id, .. }
            | Self::DeleteOffsets { group_id, .. }
            | Self::OffsetsDeleted { group_id, .. } => group_id,
        }
    }

    /// Whether an empty group id gets an answer of its own further in.
    pub(in crate::coordinator::group) const fn may_be_empty(&self) -> bool {
        matches!(
            self,
            Self::Heartbeat(_)
                | Self::Describe { .. }
                | Self::StatePartitions { .. }
                | Self::DeleteOffsets { topics: None, .. }
        )
    }
}

/// A member of a share group joins, stays or leaves. What is `None` has not changed since the last time.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ShareGroupHeartbeat {
    /// The group.
    pub group_id: String,
    /// Made up by the member.
    pub member_id: String,
    /// 0 to join, -1 to leave.
    pub member_epoch: i32,
    /// The member's rack.
    pub rack_id: Option<String>,
    /// Topics by name.
    pub topics: Option<Vec<String>>,
    /// From the request header.
    pub client_id: String,
    /// As in `JoinGroup`.
    pub client_host: String,
    /// What counts for this group now.
    pub settings: ShareSettings,
}
