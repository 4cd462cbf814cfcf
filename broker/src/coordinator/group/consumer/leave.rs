//! Members of a consumer group that go: on their own, for a while, by LeaveGroup, or because they were silent or slow (Kafka's
//! `consumerGroupLeave`, `classicGroupLeaveToConsumerGroup`, `consumerGroupFenceMembers` in `GroupMetadataManager`).

use std::sync::Arc;

use protocol::ErrorCode;

use super::heartbeat::{check_fenced, known_static, unknown_member};
use super::member::{LEAVE_STATIC_EPOCH, MemberState, Owned};
use super::records;
use crate::coordinator::group::event::{ConsumerGroupHeartbeat, LeaveGroup, MemberIdentity};
use crate::coordinator::group::rebalances::RebalanceReason;
use crate::coordinator::group::response::{
    ConsumerGroupHeartbeatResponse, LeaveGroupResponse, LeftMember, Refusal,
};
use crate::coordinator::group::timers::Timer;
use crate::coordinator::group::turn::Turn;

impl Turn<'_> {
    pub(super) fn consumer_leave(
        &mut self,
        request: &ConsumerGroupHeartbeat,
    ) -> Result<ConsumerGroupHeartbeatResponse, Refusal> {
        let group_id = self.group.id.clone();
        let Some(consumer) = &self.group.consumer else {
            return Err(Refusal::group_not_found(&format!("Group {group_id} is not a consumer group.")));
        };
        let member = match request.instance_id.as_deref() {
            Some(instance) => {
                let member = known_static(consumer.static_member(instance), instance)?;
                check_fenced(member, &request.member_id, instance)?;
                member
            }
            None => {
                let unknown = || unknown_member(&request.member_id, &group_id);
                consumer.member(&request.member_id).ok_or_else(unknown)?
            }
        };
        let id = member.id.clone();
        if request.member_epoch == LEAVE_STATIC_EPOCH {
            self.leave_for_a_while(&id);
        } else {
            self.fence_consumers(std::slice::from_ref(&id), RebalanceReason::MemberLeft);
        }
        Ok(ConsumerGroupHeartbeatResponse {
            error: ErrorCode::None,
            message: None,
            member_id: Some(id.to_string()),
            member_epoch: request.member_epoch,
            heartbeat_interval_ms: 0,
            assignment: None,
        })
    }

    /// LeaveGroup takes members of both protocols out: a classic one says goodbye with it, and an administrator names whom he
    /// wants out.
    pub(in crate::coordinator::group) fn leave_consumers(
        &mut self,
        request: LeaveGroup,
    ) -> LeaveGroupResponse {
        let (mut left, mut members) = (Vec::new(), Vec::with_capacity(request.members.len()));
        for identity in request.members {
            let leaving = self.leaving_consumer(&identity);
            let error = leaving.as_ref().err().map_or(ErrorCode::None, |refusal| refusal.error);
            left.extend(leaving);
            let MemberIdentity { member_id, group_instance_id } = identity;
            members.push(LeftMember { member_id, group_instance_id, error });
        }
        if !left.is_empty() {
            self.fence_consumers(&left, RebalanceReason::MemberLeft);
        }
        LeaveGroupResponse { error: ErrorCode::None, members }
    }

    /// An instance id alone names a static member, whatever its member id is.
    fn leaving_consumer(&mut self, identity: &MemberIdentity) -> Result<Arc<str>, Refusal> {
        let group_id = self.group.id.clone();
        let consumer = self.consumer();
        let id = identity.member_id.as_str();
        let Some(instance) = identity.group_instance_id.as_deref() else {
            let member = consumer.member(id).ok_or_else(|| unknown_member(id, &group_id))?;
            return Ok(member.id.clone());
        };
        let member = known_static(consumer.static_member(instance), instance)?;
        if !id.is_empty() {
            check_fenced(member, id, instance)?;
        }
        Ok(member.id.clone())
    }

    /// The static member keeps its place until its session ends.
    fn leave_for_a_while(&mut self, id: &Arc<str>) {
        let group_id = self.group.id.clone();
        let consumer = self.consumer();
        let Some(mut member) = consumer.take(id) else { return };
        member.epoch = LEAVE_STATIC_EPOCH;
        member.revoking = Owned::new();
        // Whoever comes back may commit what was read before (KIP-1251).
        member.assigned.values_mut().flat_map(|it| it.values_mut()).for_each(|epoch| *epoch = 0);
        let record = records::current_member(&group_id, &member);
        consumer.put(member);
        self.append(vec![record]);
    }

    /// Takes members out. A group in which only classic members are left becomes a classic group.
    pub(super) fn fence_consumers(&mut self, ids: &[Arc<str>], reason: RebalanceReason) {
        if self.is_classic_without(ids) {
            return self.convert_to_classic(ids, Some(reason));
        }
        let group_id = self.group.id.clone();
        let mut fenced = Vec::new();
        for id in ids {
            self.cancel_consumer_timers(id);
            let consumer = self.consumer();
            consumer.target.remove(id);
            if consumer.take(id).is_some() {
                fenced.extend(records::member_tombstones(&group_id, id));
                tracing::info!(group = &*group_id, member = &**id, "member is out of the consumer group");
            }
        }
        self.bump_epoch(Some(reason), &mut fenced);
        self.append_in_parts(fenced);
        if self.group.is_empty() {
            self.check_retention_soon();
        }
    }

    /// The member was silent for its session.
    pub(in crate::coordinator::group) fn consumer_session_due(&mut self, id: &str) {
        let member = self.group.consumer.as_ref().and_then(|consumer| consumer.member(id));
        if let Some(id) = member.map(|member| member.id.clone()) {
            self.fence_consumers(&[id], RebalanceReason::SessionTimeout);
        }
    }

    /// The member did not give its partitions up in time, or, being a classic one, did not join or sync again.
    pub(in crate::coordinator::group) fn consumer_rebalance_due(&mut self, id: &str) {
        let member = self.group.consumer.as_ref().and_then(|consumer| consumer.member(id));
        let is_late = |member: &&_| is_unrevoked(member) || is_classic(member);
        if let Some(id) = member.filter(is_late).map(|member| member.id.clone()) {
            self.fence_consumers(&[id], RebalanceReason::RebalanceTimeout);
        }
    }

    pub(super) fn cancel_consumer_timers(&mut self, id: &Arc<str>) {
        self.cancel_session(id.clone());
        self.timers.cancel(Timer::MemberRebalance { group: self.group.id.clone(), member: id.clone() });
    }
}

fn is_unrevoked(member: &super::ConsumerMember) -> bool {
    member.state == MemberState::UnrevokedPartitions
}

const fn is_classic(member: &super::ConsumerMember) -> bool {
    member.classic.is_some()
}
