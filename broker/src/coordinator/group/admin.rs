//! What administrators ask: DescribeGroups, ListGroups, DeleteGroups (Kafka's `describeGroups`, `listGroups` in
//! `GroupMetadataManager` and `deleteGroups` in `GroupCoordinatorShard`).

use std::time::Instant;

use bytes::Bytes;
use protocol::ErrorCode;

use super::GroupCoordinator;
use super::classic::{Group, GroupState};
use super::effect::WaiterId;
use super::event::{DescribeGroup, ListGroups};
use super::records;
use super::response::{DescribedGroup, DescribedMember, ListedGroup, Response};

/// The only type of group here, as ListGroups filters and names it.
const GROUP_TYPE: &str = "classic";

impl GroupCoordinator {
    pub(super) fn describe_group(&self, request: DescribeGroup) -> DescribedGroup {
        match self.group(&request.group_id) {
            Some(group) => describe(group),
            None if request.supports_group_id_not_found => {
                DescribedGroup::dead(ErrorCode::GroupIdNotFound, request.group_id)
            }
            None => DescribedGroup::dead(ErrorCode::None, request.group_id),
        }
    }

    pub(super) fn list_groups(&self, request: &ListGroups) -> Vec<ListedGroup> {
        let has_type =
            request.types.is_empty() || request.types.iter().any(|it| it.eq_ignore_ascii_case(GROUP_TYPE));
        let has_state = |state: GroupState| {
            request.states.is_empty()
                || request.states.iter().any(|it| it.trim().eq_ignore_ascii_case(state.name()))
        };
        let groups = self.shards.iter().flat_map(|shard| shard.groups.values());
        let wanted = groups.filter(|group| has_type && has_state(group.state()));
        let listed = wanted.map(|group| ListedGroup {
            group_id: group.id.to_string(),
            protocol_type: group.protocol_type.clone().unwrap_or_default(),
            state: group.state(),
        });
        listed.collect()
    }

    /// Tombstones for the offsets, and last for the group.
    pub(super) fn delete_group(&mut self, now: Instant, waiter: WaiterId, group_id: &str) {
        let Some(mut turn) = self.turn(now, group_id) else {
            return self.outbox.respond(waiter, Response::DeleteGroup(ErrorCode::GroupIdNotFound));
        };
        if !turn.group.is_empty() {
            return turn.respond(waiter, Response::DeleteGroup(ErrorCode::NonEmptyGroup));
        }
        let offsets = turn.group.offsets.iter().flat_map(|(topic, partitions)| {
            partitions.keys().map(move |partition| records::offset_commit(group_id, topic, *partition, None))
        });
        let tombstones = offsets.chain([records::group_metadata(group_id, None)]).collect();
        turn.append_in_parts(tombstones);
        turn.respond_when_durable(waiter, Response::DeleteGroup(ErrorCode::None));
        self.forget(group_id);
    }
}

fn describe(group: &Group) -> DescribedGroup {
    let is_stable = group.state() == GroupState::Stable;
    let protocol = if is_stable { group.protocol_name.clone() } else { None };
    let members = group.members.iter().map(|member| DescribedMember {
        member_id: member.id.to_string(),
        group_instance_id: member.group_instance_id.clone(),
        client_id: member.client_id.clone(),
        client_host: member.client_host.clone(),
        metadata: if is_stable { member.metadata(protocol.as_deref()) } else { Bytes::new() },
        assignment: member.assignment.clone(),
    });
    DescribedGroup {
        error: ErrorCode::None,
        group_id: group.id.to_string(),
        state: Some(group.state()),
        protocol_type: group.protocol_type.clone().unwrap_or_default(),
        members: members.collect(),
        protocol: protocol.unwrap_or_default(),
    }
}
