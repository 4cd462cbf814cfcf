//! ShareGroupDescribe, and what a group leaves behind when it is deleted (Kafka's `shareGroupDescribe` in
//! `GroupMetadataManager` and `createGroupTombstoneRecords` in `ShareGroup`).

use std::time::Instant;

use protocol::ErrorCode;

use super::member::ShareMember;
use super::response::{DescribedShareGroup, DescribedShareMember, ShareResponse};
use super::{ASSIGNOR, ShareGroup, records};
use crate::coordinator::effect::CoordinatorRecord;
use crate::coordinator::group::GroupCoordinator;
use crate::coordinator::group::consumer::admin::named;
use crate::coordinator::group::consumer::topics::TopicIndex;

impl GroupCoordinator {
    pub(super) fn describe_share_group(&mut self, now: Instant, group_id: &str) -> ShareResponse {
        let described = self.share_turn(now, group_id).map(|mut turn| {
            let topics = turn.topics;
            describe(group_id, turn.share(), topics)
        });
        let refused = |refusal| DescribedShareGroup::refused(group_id.to_owned(), refusal);
        ShareResponse::Describe(described.unwrap_or_else(refused))
    }
}

fn describe(group_id: &str, share: &ShareGroup, topics: &TopicIndex) -> DescribedShareGroup {
    let member = |member: &ShareMember| DescribedShareMember {
        member_id: member.id.to_string(),
        rack_id: member.rack_id.clone(),
        epoch: member.epoch,
        client_id: member.client_id.clone(),
        client_host: member.client_host.clone(),
        topics: member.topics.iter().cloned().collect(),
        assignment: named(&member.assigned, topics),
    };
    DescribedShareGroup {
        error: ErrorCode::None,
        message: None,
        group_id: group_id.to_owned(),
        state: share.state(),
        epoch: share.epoch,
        assignment_epoch: share.assignment_epoch,
        assignor: ASSIGNOR,
        members: share.members().map(member).collect(),
    }
}

/// Everything the log may hold of a share group; the group's own record last.
pub(in crate::coordinator::group) fn tombstones(id: &str, share: &ShareGroup) -> Vec<CoordinatorRecord> {
    let members = share.members().flat_map(|member| records::member_tombstones(id, &member.id));
    let mut written: Vec<_> = members.collect();
    written.extend([records::target(id, None), records::state(id, None), records::group(id, None)]);
    written
}
