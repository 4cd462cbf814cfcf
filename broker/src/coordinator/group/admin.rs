//! What administrators ask: DescribeGroups, ListGroups, DeleteGroups (Kafka's `describeGroups`, `listGroups` in
//! `GroupMetadataManager` and `deleteGroups` in `GroupCoordinatorShard`).

use std::time::Instant;

use bytes::Bytes;
use protocol::ErrorCode;

use super::GroupCoordinator;
use super::classic::{CONSUMER_PROTOCOL_TYPE, Group, GroupState};
use super::consumer;
use super::effect::{CoordinatorRecord, WaiterId};
use super::event::{DescribeGroup, ListGroups};
use super::records;
use super::response::{DescribedGroup, DescribedMember, ListedGroup, Response};
use super::share::{self, SHARE};

/// Types of groups, as ListGroups filters and names them.
const CLASSIC: &str = "classic";
const CONSUMER: &str = "consumer";

impl GroupCoordinator {
    pub(super) fn describe_group(&self, request: DescribeGroup) -> DescribedGroup {
        match self.group(&request.group_id) {
            // Kafka shows groups of other kinds here as ones that are not there.
            Some(group) if group.consumer.is_some() || group.share.is_some() => {
                let error = not_found(request.supports_group_id_not_found);
                let dead = DescribedGroup::dead(error, request.group_id);
                DescribedGroup { is_no_classic_group: true, ..dead }
            }
            Some(group) => describe(group),
            None => DescribedGroup::dead(not_found(request.supports_group_id_not_found), request.group_id),
        }
    }

    pub(super) fn list_groups(&self, request: &ListGroups) -> Vec<ListedGroup> {
        let has = |wanted: &[String], it: &str| {
            wanted.is_empty() || wanted.iter().any(|wanted| wanted.trim().eq_ignore_ascii_case(it))
        };
        let groups = self.shards.iter().flat_map(|shard| shard.groups.values());
        let listed = groups.map(|group| {
            let (state, group_type, protocol_type) = match (&group.consumer, &group.share) {
                (Some(consumer), _) => (consumer.state().name(), CONSUMER, Some(CONSUMER_PROTOCOL_TYPE)),
                (None, Some(share)) => (share.state(), SHARE, Some(SHARE)),
                (None, None) => (group.state().name(), CLASSIC, group.protocol_type.as_deref()),
            };
            let protocol_type = protocol_type.unwrap_or_default().to_owned();
            ListedGroup { group_id: group.id.to_string(), protocol_type, state, group_type }
        });
        listed.filter(|it| has(&request.types, it.group_type) && has(&request.states, it.state)).collect()
    }

    /// Tombstones for the offsets, and last for the group.
    pub(super) fn delete_group(&mut self, now: Instant, waiter: WaiterId, group_id: &str) {
        let Some(mut turn) = self.turn(now, group_id) else {
            return self.outbox.respond(waiter, Response::DeleteGroup(ErrorCode::GroupIdNotFound));
        };
        if !turn.group.is_empty() {
            return turn.respond(waiter, Response::DeleteGroup(ErrorCode::NonEmptyGroup));
        }
        let topics = turn.group.topics();
        let offsets = topics.iter().flat_map(|topic| {
            let tombstone = move |partition| records::offset_commit(group_id, topic, partition, None);
            turn.group.partitions_of(topic).into_iter().map(tombstone)
        });
        let tombstones = offsets.chain(group_tombstones(turn.group)).collect();
        turn.append_in_parts(tombstones);
        turn.respond_when_durable(waiter, Response::DeleteGroup(ErrorCode::None));
        self.forget(group_id);
    }
}

/// Everything that takes the group itself out of the log.
pub(super) fn group_tombstones(group: &Group) -> Vec<CoordinatorRecord> {
    match (&group.consumer, &group.share) {
        (Some(consumer), _) => consumer::tombstones(&group.id, consumer),
        (None, Some(share)) => share::tombstones(&group.id, share),
        (None, None) => vec![records::group_metadata(&group.id, None)],
    }
}

/// Up to version 5 a group that is not there is no error.
const fn not_found(supported: bool) -> ErrorCode {
    if supported { ErrorCode::GroupIdNotFound } else { ErrorCode::None }
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
        is_no_classic_group: false,
    }
}
