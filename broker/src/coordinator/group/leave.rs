//! LeaveGroup: members that say goodbye, or are thrown out by an administrator (KIP-345; Kafka's
//! `classicGroupLeaveToClassicGroup` in `GroupMetadataManager`).

use std::sync::Arc;

use protocol::ErrorCode;

use super::classic::GroupState;
use super::effect::WaiterId;
use super::event::{LeaveGroup, MemberIdentity, Request};
use super::rebalances::RebalanceReason;
use super::response::{LeaveGroupResponse, LeftMember, Response};
use super::turn::Turn;

impl Turn<'_> {
    pub(super) fn leave(&mut self, waiter: WaiterId, request: LeaveGroup) {
        if self.group.share.is_some() {
            let response = Response::refusal(Request::LeaveGroup(request), ErrorCode::UnknownMemberId);
            return self.respond(waiter, response);
        }
        if self.group.consumer.is_some() {
            let response = self.leave_consumers(request);
            return self.respond_when_durable(waiter, Response::LeaveGroup(response));
        }
        let mut members = Vec::with_capacity(request.members.len());
        for MemberIdentity { member_id, group_instance_id } in request.members {
            let leaving = self.leaving_member(&member_id, group_instance_id.as_deref());
            if let Ok(id) = &leaving {
                self.remove_member(id);
            }
            let error = leaving.err().unwrap_or(ErrorCode::None);
            members.push(LeftMember { member_id, group_instance_id, error });
        }
        if members.iter().any(|member| member.error == ErrorCode::None) {
            match self.group.state() {
                GroupState::Stable | GroupState::CompletingRebalance => {
                    self.prepare_rebalance(RebalanceReason::MemberLeft);
                }
                GroupState::PreparingRebalance => self.maybe_complete_join(),
                GroupState::Empty | GroupState::Dead => (),
            }
        }
        let response = LeaveGroupResponse { error: ErrorCode::None, members };
        self.respond_when_durable(waiter, Response::LeaveGroup(response));
    }

    /// An instance id alone names a static member; a member id names a member, or an id that was handed out.
    fn leaving_member(&self, member_id: &str, instance: Option<&str>) -> Result<Arc<str>, ErrorCode> {
        if member_id.is_empty() {
            let id = instance.and_then(|instance| self.group.members.static_member(instance));
            return id.cloned().ok_or(ErrorCode::UnknownMemberId);
        }
        if !self.group.pending_members.contains(member_id) {
            self.group.validate_member(member_id, instance)?;
        }
        Ok(member_id.into())
    }
}
