//! The answers of the group coordinator: its own plain types, which the API handlers shape for the wire and its versions.

use bytes::Bytes;
use protocol::ErrorCode;

use super::classic::GroupState;
pub use super::consumer::response::{
    ConsumerGroupHeartbeatResponse, DescribedConsumer, DescribedConsumerGroup, NamedAssignment, Refusal,
};
use super::event::{LeaveGroup, PartitionCommit, Request};
use super::observe::ObservedGroups;
use super::share::ShareResponse;
use crate::coordinator::effect::Fails;

/// The answer to a `Request`, variant by variant.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Response {
    /// To JoinGroup.
    JoinGroup(JoinGroupResponse),
    /// To SyncGroup.
    SyncGroup(SyncGroupResponse),
    /// To Heartbeat.
    Heartbeat(ErrorCode),
    /// To LeaveGroup.
    LeaveGroup(LeaveGroupResponse),
    /// To OffsetCommit.
    OffsetCommit(PartitionErrors),
    /// To TxnOffsetCommit.
    TxnOffsetCommit(PartitionErrors),
    /// To CompleteTransaction.
    CompleteTransaction(ErrorCode),
    /// To OffsetFetch.
    OffsetFetch(OffsetFetchResponse),
    /// To OffsetDelete.
    OffsetDelete(OffsetDeleteResponse),
    /// To DescribeGroup.
    DescribeGroup(DescribedGroup),
    /// To ListGroups: the error, or the groups ordered by partition and id.
    ListGroups(Result<Vec<ListedGroup>, ErrorCode>),
    /// To Observe.
    Observe(ObservedGroups),
    /// To DeleteGroup.
    DeleteGroup(ErrorCode),
    /// To ConsumerGroupHeartbeat.
    ConsumerGroupHeartbeat(ConsumerGroupHeartbeatResponse),
    /// To ConsumerGroupDescribe.
    ConsumerGroupDescribe(DescribedConsumerGroup),
    /// To Share.
    Share(ShareResponse),
}

impl Fails for Response {
    fn into_failed(self, error: ErrorCode) -> Self {
        match self {
            Self::JoinGroup(_) => Self::JoinGroup(JoinGroupResponse::failed(error, "")),
            Self::SyncGroup(_) => Self::SyncGroup(SyncGroupResponse::failed(error)),
            Self::Heartbeat(_) => Self::Heartbeat(error),
            Self::LeaveGroup(_) => Self::LeaveGroup(LeaveGroupResponse { error, members: Vec::new() }),
            Self::OffsetCommit(topics) => Self::OffsetCommit(all_failed(topics, error)),
            Self::TxnOffsetCommit(topics) => Self::TxnOffsetCommit(all_failed(topics, error)),
            Self::CompleteTransaction(_) => Self::CompleteTransaction(error),
            Self::OffsetFetch(_) => Self::OffsetFetch(OffsetFetchResponse { error, topics: Vec::new() }),
            Self::OffsetDelete(_) => Self::OffsetDelete(OffsetDeleteResponse { error, topics: Vec::new() }),
            Self::DescribeGroup(group) => Self::DescribeGroup(DescribedGroup::failed(error, group.group_id)),
            Self::ListGroups(_) => Self::ListGroups(Err(error)),
            Self::Observe(groups) => Self::Observe(groups),
            Self::DeleteGroup(_) => Self::DeleteGroup(error),
            Self::ConsumerGroupHeartbeat(_) => {
                Self::ConsumerGroupHeartbeat(ConsumerGroupHeartbeatResponse::refused(error.into()))
            }
            Self::ConsumerGroupDescribe(group) => {
                Self::ConsumerGroupDescribe(DescribedConsumerGroup::refused(error, group.group_id))
            }
            Self::Share(response) => Self::Share(response.into_failed(error)),
        }
    }
}

impl Response {
    /// The answer that refuses a whole request.
    pub(crate) fn refusal(request: Request, error: ErrorCode) -> Self {
        match request {
            Request::JoinGroup(join) => Self::JoinGroup(JoinGroupResponse::failed(error, &join.member_id)),
            Request::SyncGroup(_) => Self::SyncGroup(SyncGroupResponse::failed(error)),
            // A member must not lose its group because the broker is still reading it (GroupCoordinatorService).
            Request::Heartbeat(_) if error == ErrorCode::CoordinatorLoadInProgress => {
                Self::Heartbeat(ErrorCode::None)
            }
            Request::Heartbeat(_) => Self::Heartbeat(error),
            Request::LeaveGroup(leave) => Self::LeaveGroup(LeaveGroupResponse::failed(error, leave)),
            Request::OffsetCommit(commit) => Self::OffsetCommit(all_refused(commit.topics, error)),
            Request::TxnOffsetCommit(commit) => Self::TxnOffsetCommit(all_refused(commit.topics, error)),
            Request::CompleteTransaction(_) => Self::CompleteTransaction(error),
            Request::OffsetFetch(_) => Self::OffsetFetch(OffsetFetchResponse { error, topics: Vec::new() }),
            Request::OffsetDelete(_) => {
                Self::OffsetDelete(OffsetDeleteResponse { error, topics: Vec::new() })
            }
            Request::DescribeGroup(describe) => {
                Self::DescribeGroup(DescribedGroup::failed(error, describe.group_id))
            }
            Request::ListGroups(_) => Self::ListGroups(Err(error)),
            Request::Observe => Self::Observe(ObservedGroups::default()),
            Request::DeleteGroup { .. } => Self::DeleteGroup(error),
            Request::ConsumerGroupHeartbeat(_) => {
                Self::ConsumerGroupHeartbeat(ConsumerGroupHeartbeatResponse::refused(error.into()))
            }
            Request::ConsumerGroupDescribe { group_id } => {
                Self::ConsumerGroupDescribe(DescribedConsumerGroup::refused(error, group_id))
            }
            Request::Share(request) => Self::Share(ShareResponse::refusal(request, error)),
        }
    }
}

fn all_failed(mut topics: PartitionErrors, error: ErrorCode) -> PartitionErrors {
    let outcomes = topics.iter_mut().flat_map(|(_, partitions)| partitions);
    outcomes.for_each(|(_, outcome)| *outcome = error);
    topics
}

fn all_refused(topics: Vec<(String, Vec<PartitionCommit>)>, error: ErrorCode) -> PartitionErrors {
    let refuse = |(topic, partitions): (String, Vec<PartitionCommit>)| {
        (topic, partitions.into_iter().map(|commit| (commit.partition, error)).collect())
    };
    topics.into_iter().map(refuse).collect()
}

/// Topic name, and for each partition the outcome.
pub type PartitionErrors = Vec<(String, Vec<(i32, ErrorCode)>)>;

/// Answer to JoinGroup.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct JoinGroupResponse {
    /// NONE: a generation follows. MEMBER_ID_REQUIRED: only the member id counts.
    pub error: ErrorCode,
    /// -1 with an error.
    pub generation_id: i32,
    /// Versions 7 and later.
    pub protocol_type: Option<String>,
    /// `None` is an empty string before version 7.
    pub protocol_name: Option<String>,
    /// Member id of the leader, empty with an error.
    pub leader: String,
    /// The leader must not compute an assignment (version 9).
    pub skip_assignment: bool,
    /// Id of the member that asked.
    pub member_id: String,
    /// Everybody's subscription; for the leader only.
    pub members: Vec<JoinGroupMember>,
}

impl JoinGroupResponse {
    pub(super) fn failed(error: ErrorCode, member_id: &str) -> Self {
        Self {
            error,
            generation_id: -1,
            protocol_type: None,
            protocol_name: None,
            leader: String::new(),
            skip_assignment: false,
            member_id: member_id.to_owned(),
            members: Vec::new(),
        }
    }
}

/// A member as the leader sees it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct JoinGroupMember {
    /// Member id.
    pub member_id: String,
    /// Set for static members.
    pub group_instance_id: Option<String>,
    /// Subscription for the chosen protocol.
    pub metadata: Bytes,
}

/// Answer to SyncGroup.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SyncGroupResponse {
    /// NONE or why there is no assignment.
    pub error: ErrorCode,
    /// Versions 5 and later.
    pub protocol_type: Option<String>,
    /// Versions 5 and later.
    pub protocol_name: Option<String>,
    /// Zero bytes for a member the leader left out.
    pub assignment: Bytes,
}

impl SyncGroupResponse {
    pub(super) const fn failed(error: ErrorCode) -> Self {
        Self { error, protocol_type: None, protocol_name: None, assignment: Bytes::new() }
    }
}

/// Answer to LeaveGroup. Versions before 3 report the error of their single member at the top.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LeaveGroupResponse {
    /// An error of the whole request.
    pub error: ErrorCode,
    /// One entry for each member named, in order.
    pub members: Vec<LeftMember>,
}

impl LeaveGroupResponse {
    /// An unknown group is each member's error, any other error is the request's (GroupCoordinatorService).
    fn failed(error: ErrorCode, request: LeaveGroup) -> Self {
        if error != ErrorCode::UnknownMemberId {
            return Self { error, members: Vec::new() };
        }
        let members = request.members.into_iter().map(|member| LeftMember {
            member_id: member.member_id,
            group_instance_id: member.group_instance_id,
            error,
        });
        Self { error: ErrorCode::None, members: members.collect() }
    }
}

/// Outcome for one leaving member, named as in the request.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LeftMember {
    /// As in the request.
    pub member_id: String,
    /// As in the request.
    pub group_instance_id: Option<String>,
    /// NONE if it left.
    pub error: ErrorCode,
}

/// Answer to OffsetFetch for one group.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct OffsetFetchResponse {
    /// An error of the whole group; then there are no topics.
    pub error: ErrorCode,
    /// By topic name, in the order asked.
    pub topics: Vec<(String, Vec<FetchedOffset>)>,
}

/// A committed offset, or offset -1, epoch -1 and empty metadata where nothing was committed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FetchedOffset {
    /// Partition index.
    pub partition: i32,
    /// Next record to read, -1 for none.
    pub offset: i64,
    /// -1 for unknown.
    pub leader_epoch: i32,
    /// As committed.
    pub metadata: String,
    /// UNSTABLE_OFFSET_COMMIT, or NONE.
    pub error: ErrorCode,
}

/// Answer to OffsetDelete.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct OffsetDeleteResponse {
    /// An error of the whole request; then there are no topics.
    pub error: ErrorCode,
    /// Outcomes, as in the request.
    pub topics: PartitionErrors,
}

/// A group as DescribeGroups shows it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DescribedGroup {
    /// NONE, or why it cannot be shown.
    pub error: ErrorCode,
    /// As in the request.
    pub group_id: String,
    /// `None` is an empty string on the wire (the coordinator is not in charge).
    pub state: Option<GroupState>,
    /// Empty for a group without members so far.
    pub protocol_type: String,
    /// The chosen assignor in a stable group, otherwise empty.
    pub protocol: String,
    /// Everybody.
    pub members: Vec<DescribedMember>,
    /// The group is there, but of another kind.
    pub is_no_classic_group: bool,
}

impl DescribedGroup {
    fn failed(error: ErrorCode, group_id: String) -> Self {
        let (protocol_type, protocol, members) = (String::new(), String::new(), Vec::new());
        Self { error, group_id, state: None, protocol_type, protocol, members, is_no_classic_group: false }
    }

    /// A group that does not exist; up to version 5 that is no error.
    pub(super) fn dead(error: ErrorCode, group_id: String) -> Self {
        Self { state: Some(GroupState::Dead), ..Self::failed(error, group_id) }
    }
}

/// A member as DescribeGroups shows it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DescribedMember {
    /// Member id.
    pub member_id: String,
    /// Set for static members.
    pub group_instance_id: Option<String>,
    /// From its JoinGroup.
    pub client_id: String,
    /// From its JoinGroup.
    pub client_host: String,
    /// Subscription, in a stable group only.
    pub metadata: Bytes,
    /// What the leader gave it last.
    pub assignment: Bytes,
}

/// A group as ListGroups names it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ListedGroup {
    /// Group id.
    pub group_id: String,
    /// Empty for a group that only stores offsets.
    pub protocol_type: String,
    /// Name of its current state.
    pub state: &'static str,
    /// `classic`, `consumer` or `share`.
    pub group_type: &'static str,
}
