//! JoinGroup (11, versions 0 to 9), SyncGroup (14, 0 to 5), Heartbeat (12, 0 to 4), LeaveGroup (13, 0 to 5): classic groups.
//!
//! The coordinator decides; this room only translates. JoinGroup: 0 has no rebalance timeout (the session's is taken), 4
//! demands a known member id, 5 adds instance ids, 7 returns the protocol type and lets the protocol name be null, 9 knows
//! `skip_assignment`. SyncGroup: 5 checks protocol type and name. LeaveGroup: 3 names many members, before it one, whose
//! error is the request's. Only the leader gets the members.
//!
//! Deliberate gaps: `reason` is not kept.

use std::sync::Arc;

use protocol::layout::Layout;
use protocol::messages::join_group_response::JoinGroupResponseMember;
use protocol::messages::leave_group_response::MemberResponse;
use protocol::messages::{
    ApiKey, HeartbeatRequest, HeartbeatResponse, JoinGroupRequest, JoinGroupResponse, LeaveGroupRequest,
    LeaveGroupResponse, SyncGroupRequest, SyncGroupResponse,
};
use protocol::{ErrorCode, StrBytes, layouts};
use uuid::Uuid;

use super::{Api, Reply, RequestContext, Response};
use crate::broker::Broker;
use crate::coordinator::group::{self, MemberIdentity, Protocol, Request};
use crate::coordinator::shell::unexpected;

pub(super) struct JoinGroup;
pub(super) struct SyncGroup;
pub(super) struct Heartbeat;
pub(super) struct LeaveGroup;

impl Api for JoinGroup {
    type Request = JoinGroupRequest;
    type Response = JoinGroupResponse;
    const KEY: ApiKey = ApiKey::JoinGroup;
    const LAYOUT: &'static Layout = &layouts::groups::JOIN_GROUP;

    fn handle(broker: &Arc<Broker>, context: &RequestContext<'_>, request: JoinGroupRequest) -> Reply {
        let version = context.version();
        let protocols = request
            .protocols
            .into_iter()
            .map(|protocol| Protocol { name: protocol.name.to_string(), metadata: protocol.metadata });
        let rebalance_timeout_ms =
            if version == 0 { request.session_timeout_ms } else { request.rebalance_timeout_ms };
        let join = group::JoinGroup {
            group_id: request.group_id.to_string(),
            member_id: request.member_id.to_string(),
            group_instance_id: text(request.group_instance_id),
            client_id: context.client_id().to_owned(),
            client_host: format!("/{}", context.connection.peer.ip()),
            session_timeout_ms: request.session_timeout_ms,
            rebalance_timeout_ms,
            protocol_type: request.protocol_type.to_string(),
            protocols: protocols.collect(),
            requires_known_member_id: version >= 4,
            supports_skip_assignment: version >= 9,
            fresh_uuid: Uuid::new_v4(),
        };
        ask(broker, context, Request::JoinGroup(join), move |response| match response {
            group::Response::JoinGroup(joined) => Response::encode(&join_response(version, joined), version),
            other => unexpected(&other),
        })
    }
}

fn join_response(version: i16, joined: group::JoinGroupResponse) -> JoinGroupResponse {
    let members = joined.members.into_iter().map(|member| {
        let instance = if version >= 5 { member.group_instance_id } else { None };
        JoinGroupResponseMember::default()
            .with_member_id(member.member_id.into())
            .with_group_instance_id(instance.map(StrBytes::from))
            .with_metadata(member.metadata)
    });
    let response = JoinGroupResponse::default()
        .with_error_code(joined.error.code())
        .with_generation_id(joined.generation_id)
        .with_leader(joined.leader.into())
        .with_member_id(joined.member_id.into())
        .with_members(members.collect());
    if version < 7 {
        return response.with_protocol_name(Some(joined.protocol_name.unwrap_or_default().into()));
    }
    response
        .with_protocol_type(joined.protocol_type.map(StrBytes::from))
        .with_protocol_name(joined.protocol_name.map(StrBytes::from))
        .with_skip_assignment(version >= 9 && joined.skip_assignment)
}

impl Api for SyncGroup {
    type Request = SyncGroupRequest;
    type Response = SyncGroupResponse;
    const KEY: ApiKey = ApiKey::SyncGroup;
    const LAYOUT: &'static Layout = &layouts::groups::SYNC_GROUP;

    fn handle(broker: &Arc<Broker>, context: &RequestContext<'_>, request: SyncGroupRequest) -> Reply {
        let version = context.version();
        if version >= 5 && (request.protocol_type.is_none() || request.protocol_name.is_none()) {
            let error = ErrorCode::InconsistentGroupProtocol.code();
            return context.reply(&SyncGroupResponse::default().with_error_code(error));
        }
        let assignments =
            request.assignments.into_iter().map(|given| (given.member_id.to_string(), given.assignment));
        let sync = group::SyncGroup {
            group_id: request.group_id.to_string(),
            generation_id: request.generation_id,
            member_id: request.member_id.to_string(),
            group_instance_id: text(request.group_instance_id),
            protocol_type: text(request.protocol_type),
            protocol_name: text(request.protocol_name),
            assignments: assignments.collect(),
        };
        ask(broker, context, Request::SyncGroup(sync), move |response| match response {
            group::Response::SyncGroup(synced) => {
                let response = SyncGroupResponse::default()
                    .with_error_code(synced.error.code())
                    .with_assignment(synced.assignment);
                let response = if version >= 5 {
                    response
                        .with_protocol_type(synced.protocol_type.map(StrBytes::from))
                        .with_protocol_name(synced.protocol_name.map(StrBytes::from))
                } else {
                    response
                };
                Response::encode(&response, version)
            }
            other => unexpected(&other),
        })
    }
}

impl Api for Heartbeat {
    type Request = HeartbeatRequest;
    type Response = HeartbeatResponse;
    const KEY: ApiKey = ApiKey::Heartbeat;
    const LAYOUT: &'static Layout = &layouts::groups::HEARTBEAT;

    fn handle(broker: &Arc<Broker>, context: &RequestContext<'_>, request: HeartbeatRequest) -> Reply {
        let version = context.version();
        let heartbeat = group::Heartbeat {
            group_id: request.group_id.to_string(),
            generation_id: request.generation_id,
            member_id: request.member_id.to_string(),
            group_instance_id: text(request.group_instance_id),
        };
        ask(broker, context, Request::Heartbeat(heartbeat), move |response| match response {
            group::Response::Heartbeat(error) => {
                Response::encode(&HeartbeatResponse::default().with_error_code(error.code()), version)
            }
            other => unexpected(&other),
        })
    }
}

impl Api for LeaveGroup {
    type Request = LeaveGroupRequest;
    type Response = LeaveGroupResponse;
    const KEY: ApiKey = ApiKey::LeaveGroup;
    const LAYOUT: &'static Layout = &layouts::groups::LEAVE_GROUP;

    fn handle(broker: &Arc<Broker>, context: &RequestContext<'_>, request: LeaveGroupRequest) -> Reply {
        let version = context.version();
        let members = if version >= 3 {
            let named = request.members.into_iter().map(|member| MemberIdentity {
                member_id: member.member_id.to_string(),
                group_instance_id: text(member.group_instance_id),
            });
            named.collect()
        } else {
            vec![MemberIdentity { member_id: request.member_id.to_string(), group_instance_id: None }]
        };
        let leave = group::LeaveGroup { group_id: request.group_id.to_string(), members };
        ask(broker, context, Request::LeaveGroup(leave), move |response| match response {
            group::Response::LeaveGroup(left) => Response::encode(&leave_response(version, left), version),
            other => unexpected(&other),
        })
    }
}

fn leave_response(version: i16, left: group::LeaveGroupResponse) -> LeaveGroupResponse {
    if version < 3 {
        let of_member = left.members.first().map_or(ErrorCode::None, |member| member.error);
        let error = if left.error.is_none() { of_member } else { left.error };
        return LeaveGroupResponse::default().with_error_code(error.code());
    }
    let members = left.members.into_iter().map(|member| {
        MemberResponse::default()
            .with_member_id(member.member_id.into())
            .with_group_instance_id(member.group_instance_id.map(StrBytes::from))
            .with_error_code(member.error.code())
    });
    LeaveGroupResponse::default().with_error_code(left.error.code()).with_members(members.collect())
}

/// Asks the coordinator and shapes its answer.
pub(super) fn ask(
    broker: &Arc<Broker>,
    context: &RequestContext<'_>,
    request: Request,
    build: impl FnOnce(group::Response) -> Response + 'static,
) -> Reply {
    let groups = context.groups(broker);
    Reply::Later(Box::pin(async move { build(groups.ask(request).await) }))
}

pub(super) fn text(text: Option<StrBytes>) -> Option<String> {
    text.map(|text| text.to_string())
}
