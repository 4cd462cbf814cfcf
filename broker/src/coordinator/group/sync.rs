//! SyncGroup and Heartbeat: the life of a member between two rebalances (Kafka's `classicGroupSyncToClassicGroup` and
//! `classicGroupHeartbeatToClassicGroup` in `GroupMetadataManager`).

use std::collections::HashMap;

use bytes::Bytes;
use protocol::ErrorCode;

use super::classic::GroupState;
use super::effect::WaiterId;
use super::event::{Heartbeat, SyncGroup};
use super::rebalances::RebalanceReason;
use super::response::{Response, SyncGroupResponse};
use super::timers::Timer;
use super::turn::Turn;

impl Turn<'_> {
    pub(super) fn sync(&mut self, waiter: WaiterId, request: SyncGroup) {
        if self.group.consumer.is_some() {
            return self.sync_as_classic(waiter, &request);
        }
        if let Err(error) = self.validate_sync(&request) {
            return self.fail_sync(waiter, error);
        }
        self.group.pending_sync.remove(request.member_id.as_str());
        if self.group.pending_sync.is_empty() {
            self.timers.cancel(Timer::Sync { group: self.group.id.clone() });
        }
        if self.group.state() == GroupState::Stable {
            let response = Response::SyncGroup(self.synced(&request.member_id));
            return self.respond_when_durable(waiter, response);
        }
        let Some(member) = self.group.members.get_mut(&request.member_id) else { return };
        if let Some(superseded) = member.awaiting_sync.replace(waiter) {
            self.fail_sync(superseded, ErrorCode::RebalanceInProgress);
        }
        if self.group.is_leader(&request.member_id) {
            self.assign(request.assignments);
        }
    }

    pub(super) fn heartbeat(&mut self, waiter: WaiterId, request: &Heartbeat) {
        if self.group.consumer.is_some() {
            let outcome = self.heartbeat_as_classic(request);
            return self.respond(waiter, Response::Heartbeat(outcome));
        }
        let outcome = self.check_heartbeat(request);
        if matches!(outcome, ErrorCode::None | ErrorCode::RebalanceInProgress) {
            self.keep_alive(&request.member_id);
        }
        self.respond(waiter, Response::Heartbeat(outcome));
    }

    fn check_heartbeat(&self, request: &Heartbeat) -> ErrorCode {
        let instance = request.group_instance_id.as_deref();
        if let Err(error) = self.group.validate_member(&request.member_id, instance) {
            return error;
        }
        if request.generation_id != self.group.generation {
            return ErrorCode::IllegalGeneration;
        }
        match self.group.state() {
            GroupState::Empty | GroupState::Dead => ErrorCode::UnknownMemberId,
            GroupState::PreparingRebalance => ErrorCode::RebalanceInProgress,
            GroupState::CompletingRebalance | GroupState::Stable => ErrorCode::None,
        }
    }

    fn validate_sync(&self, request: &SyncGroup) -> Result<(), ErrorCode> {
        let group = &self.group;
        if group.is_empty() {
            return Err(ErrorCode::UnknownMemberId);
        }
        group.validate_member(&request.member_id, request.group_instance_id.as_deref())?;
        if request.generation_id != group.generation {
            return Err(ErrorCode::IllegalGeneration);
        }
        let differs =
            |asked: &Option<String>, is: &Option<String>| asked.is_some() && is.is_some() && asked != is;
        if differs(&request.protocol_type, &group.protocol_type)
            || differs(&request.protocol_name, &group.protocol_name)
        {
            return Err(ErrorCode::InconsistentGroupProtocol);
        }
        if group.state() == GroupState::PreparingRebalance {
            return Err(ErrorCode::RebalanceInProgress);
        }
        Ok(())
    }

    /// The leader decided. Members it left out get nothing; members it made up are ignored.
    fn assign(&mut self, assignments: Vec<(String, Bytes)>) {
        let mut assignments: HashMap<String, Bytes> = assignments.into_iter().collect();
        for member in self.group.members.iter_mut() {
            let assignment = assignments.remove(&*member.id).unwrap_or_default();
            member.assignment = Bytes::copy_from_slice(&assignment);
        }
        let record = self.group_record();
        if !self.fits_an_append(&record) {
            // What Kafka does when the append fails with RECORD_TOO_LARGE.
            self.withdraw_assignments(ErrorCode::UnknownServerError);
            return self.prepare_rebalance(RebalanceReason::TooLarge);
        }
        self.group.transition(GroupState::Stable, self.wall_clock_ms);
        self.append(vec![record]);
        if !self.group.offsets.is_empty() {
            self.check_retention_soon();
        }
        for id in self.group.members.ids() {
            let Some(member) = self.group.members.get_mut(&id) else { continue };
            if let Some(waiter) = member.awaiting_sync.take() {
                let response = Response::SyncGroup(self.synced(&id));
                self.respond_when_durable(waiter, response);
                self.keep_alive(&id);
            }
        }
    }

    fn synced(&self, member_id: &str) -> SyncGroupResponse {
        let assignment = self.group.members.get(member_id).map(|member| member.assignment.clone());
        SyncGroupResponse {
            error: ErrorCode::None,
            protocol_type: self.group.protocol_type.clone(),
            protocol_name: self.group.protocol_name.clone(),
            assignment: assignment.unwrap_or_default(),
        }
    }
}
