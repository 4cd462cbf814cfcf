//! Verbs about groups: waiting for one, and taking members out as if their session had ended.

use std::sync::Arc;
use std::time::Duration;

use hyper::StatusCode;
use protocol::messages::{
    ApiKey, ConsumerGroupDescribeRequest, ConsumerGroupDescribeResponse, ConsumerGroupHeartbeatRequest,
    ConsumerGroupHeartbeatResponse, DescribeGroupsRequest, DescribeGroupsResponse, GroupId,
    LeaveGroupRequest, LeaveGroupResponse, ShareGroupDescribeRequest, ShareGroupDescribeResponse,
    ShareGroupHeartbeatRequest, ShareGroupHeartbeatResponse, leave_group_request::MemberIdentity,
};
use protocol::{ErrorCode, StrBytes};
use serde_json::json;

use super::http::{Call, Failure, Outcome, answer};
use super::inner_client::ask;
use crate::broker::Broker;
use crate::coordinator::group::{ObservedGroup, Request, Response};

/// Between two looks at a group: below what a test notices, above what a coordinator does.
const LOOK: Duration = Duration::from_millis(2);

/// The states that groups of any kind can be in, as ListGroups names them.
const STATES: [&str; 6] =
    ["Empty", "PreparingRebalance", "CompletingRebalance", "Assigning", "Reconciling", "Stable"];

/// `GET /test/groups/{group}/wait`.
pub(super) async fn wait(call: Call) -> Outcome {
    let group = call.segment(0);
    let state = match call.text("state") {
        None => None,
        Some(state) => match STATES.iter().find(|known| known.eq_ignore_ascii_case(state)) {
            Some(known) => Some(*known),
            None => {
                return Err(Failure::bad(format!(
                    "there is no group state \"{state}\"; give one of {}",
                    STATES.join(", ")
                )));
            }
        },
    };
    let members: Option<usize> = call.number("members")?;
    let is_it = |group: &ObservedGroup| {
        state.is_none_or(|state| group.state == state)
            && members.is_none_or(|members| group.members == members)
    };
    let look = async {
        loop {
            let found = observed(&call).await.into_iter().find(|observed| observed.group_id == group);
            match found {
                Some(found) if is_it(&found) => break found,
                _ => tokio::time::sleep(LOOK).await,
            }
        }
    };
    match tokio::time::timeout(call.timeout()?, look).await {
        Ok(found) => answer(&json!({
            "group": found.group_id, "state": found.state, "members": found.members, "generation": found.generation,
        })),
        Err(_) => {
            let now = observed(&call).await.into_iter().find(|observed| observed.group_id == group);
            let now = now.map_or("it is not there".to_owned(), |now| {
                format!("it is {} with {} members", now.state, now.members)
            });
            Err(Failure::timeout(format!("group {group} did not become what was waited for: {now}")))
        }
    }
}

/// `POST /test/members/{group}/{member}/expire`.
pub(super) async fn expire(call: Call) -> Outcome {
    let (group, member) = (call.segment(0), call.segment(1));
    let members = members(&call.broker, group).await?;
    let Some(found) =
        members.iter().find(|known| known.id == member || known.instance.as_deref() == Some(member))
    else {
        let known: Vec<&str> = members.iter().map(|member| member.id.as_str()).collect();
        return Err(Failure::missing(format!(
            "group {group} has no member {member}; it has {}",
            if known.is_empty() { "none".to_owned() } else { known.join(", ") }
        )));
    };
    take_out(&call.broker, group, found).await?;
    answer(&json!({ "group": group, "member": found.id }))
}

/// All groups of the broker that serves now.
pub(super) async fn observed(call: &Call) -> Vec<ObservedGroup> {
    let _stays = call.test_mode().stays().await;
    all(&call.broker.serving()).await
}

/// All groups of `broker`, which is not exchanged meanwhile.
pub(super) async fn all(broker: &Broker) -> Vec<ObservedGroup> {
    match broker.groups.ask(Request::Observe).await {
        Response::Observe(observed) => observed.groups,
        other => unreachable!("the coordinator answered another question: {other:?}"),
    }
}

/// One member of a group.
pub(super) struct Member {
    id: String,
    instance: Option<String>,
    kind: Kind,
}

/// What kind of group a member is in.
#[derive(Clone, Copy)]
enum Kind {
    Classic,
    Consumer,
    Share,
}

/// Who is in a group; nobody in one that is not there.
pub(super) async fn members(broker: &Arc<Broker>, group: &str) -> Result<Vec<Member>, Failure> {
    let id = GroupId(StrBytes::from_string(group.to_owned()));
    let request = DescribeGroupsRequest::default().with_groups(vec![id.clone()]);
    let classic: DescribeGroupsResponse = ask(broker, ApiKey::DescribeGroups, 5, &request).await?;
    let classic = classic.groups.into_iter().flat_map(|group| group.members).map(|member| Member {
        id: member.member_id.to_string(),
        instance: member.group_instance_id.map(|instance| instance.to_string()),
        kind: Kind::Classic,
    });
    let request = ConsumerGroupDescribeRequest::default().with_group_ids(vec![id.clone()]);
    let consumer: ConsumerGroupDescribeResponse =
        ask(broker, ApiKey::ConsumerGroupDescribe, 1, &request).await?;
    let consumer = consumer.groups.into_iter().flat_map(|group| group.members).map(|member| Member {
        id: member.member_id.to_string(),
        instance: member.instance_id.map(|instance| instance.to_string()),
        kind: Kind::Consumer,
    });
    let request = ShareGroupDescribeRequest::default().with_group_ids(vec![id]);
    let share: ShareGroupDescribeResponse = ask(broker, ApiKey::ShareGroupDescribe, 1, &request).await?;
    let share = share.groups.into_iter().flat_map(|group| group.members).map(|member| Member {
        id: member.member_id.to_string(),
        instance: None,
        kind: Kind::Share,
    });
    Ok(classic.chain(consumer).chain(share).collect())
}

/// Has a member leave: what it sends next is answered with UNKNOWN_MEMBER_ID.
pub(super) async fn take_out(broker: &Arc<Broker>, group: &str, member: &Member) -> Result<(), Failure> {
    let group_id = GroupId(StrBytes::from_string(group.to_owned()));
    let (id, instance) =
        (StrBytes::from_string(member.id.clone()), member.instance.clone().map(StrBytes::from));
    let code = match member.kind {
        Kind::Consumer => {
            let request = ConsumerGroupHeartbeatRequest::default()
                .with_group_id(group_id)
                .with_member_id(id)
                .with_instance_id(instance)
                .with_member_epoch(-1);
            let left: ConsumerGroupHeartbeatResponse =
                ask(broker, ApiKey::ConsumerGroupHeartbeat, 1, &request).await?;
            left.error_code
        }
        Kind::Share => {
            let request = ShareGroupHeartbeatRequest::default()
                .with_group_id(group_id)
                .with_member_id(id)
                .with_member_epoch(-1);
            let left: ShareGroupHeartbeatResponse =
                ask(broker, ApiKey::ShareGroupHeartbeat, 1, &request).await?;
            left.error_code
        }
        Kind::Classic => {
            let member = MemberIdentity::default().with_member_id(id).with_group_instance_id(instance);
            let request = LeaveGroupRequest::default().with_group_id(group_id).with_members(vec![member]);
            let left: LeaveGroupResponse = ask(broker, ApiKey::LeaveGroup, 5, &request).await?;
            left.members.first().map_or(left.error_code, |member| member.error_code.max(left.error_code))
        }
    };
    match ErrorCode::from_code(code) {
        // Gone by itself in between.
        Some(ErrorCode::None | ErrorCode::UnknownMemberId | ErrorCode::GroupIdNotFound) => Ok(()),
        _ => {
            let name = ErrorCode::from_code(code).map_or("an unknown error", ErrorCode::name);
            let sentence = format!("member {} of group {group} did not go: {name}", member.id);
            Err(Failure::new(StatusCode::CONFLICT, sentence))
        }
    }
}
