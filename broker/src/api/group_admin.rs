//! ListGroups (16, versions 0 to 5), DescribeGroups (15, 0 to 6), DeleteGroups (42, 0 to 3).
//!
//! ListGroups: 4 filters by state, 5 by type. DescribeGroups: an unknown group is state Dead without error up to version 5
//! and GROUP_ID_NOT_FOUND with a message from 6 on. DeleteGroups: 3 says why in words. Each group of a request has its own outcome, in the order asked.

use std::sync::Arc;

use futures_util::future::join_all;
use protocol::layout::Layout;
use protocol::messages::delete_groups_response::DeletableGroupResult;
use protocol::messages::describe_groups_response::{DescribedGroup, DescribedGroupMember};
use protocol::messages::list_groups_response::ListedGroup;
use protocol::messages::{
    ApiKey, DescribeGroupsRequest, DescribeGroupsResponse, ListGroupsRequest, ListGroupsResponse,
};
use protocol::newer::{DeleteGroupsRequest, DeleteGroupsResponse};
use protocol::{ErrorCode, StrBytes, layouts, messages};

use super::authorized_operations;
use super::group_membership::ask;
use super::share_groups::delete_state;
use super::{Api, Reply, RequestContext, Response};
use crate::broker::Broker;
use crate::coordinator::group::{self, Request};
use crate::coordinator::shell::unexpected;
use crate::virtual_nodes::GroupsAt;

pub(super) struct ListGroups;
pub(super) struct DescribeGroups;
pub(super) struct DeleteGroups;

impl Api for ListGroups {
    type Request = ListGroupsRequest;
    type Response = ListGroupsResponse;
    const KEY: ApiKey = ApiKey::ListGroups;
    const LAYOUT: &'static Layout = &layouts::groups::LIST_GROUPS;

    fn handle(broker: &Arc<Broker>, context: &RequestContext<'_>, request: ListGroupsRequest) -> Reply {
        let version = context.version();
        let list = group::ListGroups {
            states: request.states_filter.iter().map(ToString::to_string).collect(),
            types: request.types_filter.iter().map(ToString::to_string).collect(),
        };
        ask(broker, context, Request::ListGroups(list), move |response| match response {
            group::Response::ListGroups(listed) => Response::encode(&list_response(version, listed), version),
            other => unexpected(&other),
        })
    }
}

fn list_response(version: i16, listed: Result<Vec<group::ListedGroup>, ErrorCode>) -> ListGroupsResponse {
    let groups = match listed {
        Ok(groups) => groups,
        Err(error) => return ListGroupsResponse::default().with_error_code(error.code()),
    };
    let groups = groups.into_iter().map(|group| {
        let listed = ListedGroup::default()
            .with_group_id(StrBytes::from(group.group_id).into())
            .with_protocol_type(group.protocol_type.into());
        let state = StrBytes::from_static_str(group.state);
        let group_type = StrBytes::from_static_str(group.group_type);
        match version {
            ..4 => listed,
            4 => listed.with_group_state(state),
            _ => listed.with_group_state(state).with_group_type(group_type),
        }
    });
    ListGroupsResponse::default().with_groups(groups.collect())
}

impl Api for DescribeGroups {
    type Request = DescribeGroupsRequest;
    type Response = DescribeGroupsResponse;
    const KEY: ApiKey = ApiKey::DescribeGroups;
    const LAYOUT: &'static Layout = &layouts::groups::DESCRIBE_GROUPS;

    fn handle(broker: &Arc<Broker>, context: &RequestContext<'_>, request: DescribeGroupsRequest) -> Reply {
        let version = context.version();
        let groups = context.groups(broker);
        Reply::Later(Box::pin(async move {
            let described = join_all(request.groups.into_iter().map(|group_id| {
                let describe = group::DescribeGroup {
                    group_id: group_id.to_string(),
                    supports_group_id_not_found: version >= 6,
                };
                groups.ask(Request::DescribeGroup(describe))
            }));
            let operations = request.include_authorized_operations;
            let groups = described.await.into_iter().map(|response| match response {
                group::Response::DescribeGroup(group) => described_group(version, operations, group),
                other => unreachable!("the coordinator answered another question: {other:?}"),
            });
            Response::encode(&DescribeGroupsResponse::default().with_groups(groups.collect()), version)
        }))
    }
}

fn described_group(version: i16, operations: bool, group: group::DescribedGroup) -> DescribedGroup {
    let members = group.members.into_iter().map(|member| {
        let instance = if version >= 4 { member.group_instance_id } else { None };
        DescribedGroupMember::default()
            .with_member_id(member.member_id.into())
            .with_group_instance_id(instance.map(StrBytes::from))
            .with_client_id(member.client_id.into())
            .with_client_host(member.client_host.into())
            .with_member_metadata(member.metadata)
            .with_member_assignment(member.assignment)
    });
    let missing = (version >= 6 && group.error == ErrorCode::GroupIdNotFound).then(|| {
        match group.is_no_classic_group {
            true => format!("Group {} is not a classic group.", group.group_id).into(),
            false => format!("Group {} not found.", group.group_id).into(),
        }
    });
    let mut described = DescribedGroup::default();
    if operations && group.error.is_none() {
        described.authorized_operations = authorized_operations::GROUP;
    }
    described
        .with_error_code(group.error.code())
        .with_error_message(missing)
        .with_group_id(StrBytes::from(group.group_id).into())
        .with_group_state(StrBytes::from_static_str(group.state.map_or("", group::GroupState::name)))
        .with_protocol_type(group.protocol_type.into())
        .with_protocol_data(group.protocol.into())
        .with_members(members.collect())
}

impl Api for DeleteGroups {
    type Request = DeleteGroupsRequest;
    type Response = DeleteGroupsResponse;
    const KEY: ApiKey = ApiKey::DeleteGroups;
    const LAYOUT: &'static Layout = &layouts::groups::DELETE_GROUPS;

    fn handle(broker: &Arc<Broker>, context: &RequestContext<'_>, request: DeleteGroupsRequest) -> Reply {
        let version = context.version();
        let (groups, broker) = (context.groups(broker), Arc::clone(broker));
        Reply::Later(Box::pin(async move {
            let results = join_all(request.0.groups_names.into_iter().map(|group_id| async {
                let error = match delete(&broker, &groups, &group_id).await {
                    Ok(()) => ErrorCode::None,
                    Err(error) => error,
                };
                DeletableGroupResult::default().with_group_id(group_id).with_error_code(error.code())
            }));
            let results = results.await;
            let messages = results.iter().map(why_not_deleted).collect();
            let common = messages::DeleteGroupsResponse::default().with_results(results);
            Response::encode(&DeleteGroupsResponse { common, messages }, version)
        }))
    }
}

/// What is kept for a share group goes first: who fails in between can try again.
async fn delete(broker: &Broker, groups: &GroupsAt, group_id: &str) -> Result<(), ErrorCode> {
    groups.check(group_id)?;
    delete_state(&broker.groups, &broker.share_partitions, group_id).await?;
    match groups.ask(Request::DeleteGroup { group_id: group_id.to_owned() }).await {
        group::Response::DeleteGroup(ErrorCode::None) => Ok(()),
        group::Response::DeleteGroup(error) => Err(error),
        other => unexpected(&other),
    }
}

fn why_not_deleted(result: &DeletableGroupResult) -> Option<StrBytes> {
    let error = ErrorCode::from_code(result.error_code)?;
    let group = result.group_id.as_str();
    let why = match error {
        ErrorCode::None => return None,
        ErrorCode::GroupIdNotFound => format!("Group {group} not found."),
        ErrorCode::NonEmptyGroup => format!("Group {group} is not empty."),
        other => other.to_string(),
    };
    Some(StrBytes::from_string(why))
}
