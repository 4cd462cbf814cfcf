//! ShareGroupHeartbeat: joining, staying, leaving, and members that fall silent (Kafka's `shareGroupHeartbeat`,
//! `shareGroupLeave` and `shareGroupFenceMember` in `GroupMetadataManager`).
//!
//! Everything that can refuse the request comes before anything is changed.

use std::sync::Arc;
use std::time::Instant;

use protocol::ErrorCode;

use super::event::ShareGroupHeartbeat;
use super::member::ShareMember;
use super::response::{Initialize, ShareGroupHeartbeatResponse, ShareResponse};
use super::{ShareGroup, records};
use crate::coordinator::effect::{CoordinatorRecord, WaiterId};
use crate::coordinator::group::GroupCoordinator;
use crate::coordinator::group::config::{MAX_STRING, ShareSettings};
use crate::coordinator::group::consumer::member::{Assignment, LEAVE_EPOCH};
use crate::coordinator::group::consumer::records::{GroupValue, TargetValue};
use crate::coordinator::group::rebalances::RebalanceReason;
use crate::coordinator::group::response::{Refusal, Response};
use crate::coordinator::group::turn::Turn;

type Outcome<T> = Result<T, Refusal>;

impl GroupCoordinator {
    pub(super) fn share_heartbeat(&mut self, now: Instant, waiter: WaiterId, request: ShareGroupHeartbeat) {
        let group_id = request.group_id.clone();
        let is_new = !self.contains(&group_id);
        let outcome = self.beat_share(now, request);
        if outcome.is_err() && is_new {
            self.forget(&group_id);
        }
        match outcome {
            Ok(response) => {
                self.respond_about(now, waiter, &group_id, ShareResponse::Heartbeat(response));
            }
            Err(refusal) => {
                let response = ShareResponse::Heartbeat(ShareGroupHeartbeatResponse::refused(refusal));
                self.outbox.respond(waiter, Response::Share(response));
            }
        }
    }

    fn beat_share(
        &mut self,
        now: Instant,
        request: ShareGroupHeartbeat,
    ) -> Outcome<ShareGroupHeartbeatResponse> {
        validate(&request, self.config.max_append_bytes)?;
        let group_id = request.group_id.clone();
        if request.member_epoch == LEAVE_EPOCH {
            return self.share_turn(now, &group_id)?.leave_share(&request);
        }
        if request.member_epoch == 0 {
            return self.share_turn_or_new(now, &group_id)?.beat_share(request);
        }
        if !self.contains(&group_id) {
            return Err(Refusal::group_not_found(&format!("Share group {group_id} not found.")));
        }
        self.share_turn(now, &group_id)?.beat_share(request)
    }

    /// Work on a share group that is there.
    pub(super) fn share_turn(&mut self, now: Instant, group_id: &str) -> Outcome<Turn<'_>> {
        let not_found = || Refusal::group_not_found(&format!("Group {group_id} not found."));
        let turn = self.turn(now, group_id).ok_or_else(not_found)?;
        if turn.group.share.is_none() {
            return Err(Refusal::group_not_found(&format!("Group {group_id} is not a share group.")));
        }
        Ok(turn)
    }

    /// Work on a share group that is there from now on. Whoever writes nothing about a new one forgets it.
    pub(super) fn share_turn_or_new(&mut self, now: Instant, group_id: &str) -> Outcome<Turn<'_>> {
        if !self.contains(group_id) {
            self.create(now, group_id).map_err(Refusal::from)?;
            let turn = self.turn(now, group_id).ok_or(ErrorCode::CoordinatorNotAvailable)?;
            turn.group.share = Some(Box::default());
        }
        self.share_turn(now, group_id)
    }

    /// Answers once everything that the group knows is durable.
    pub(super) fn respond_about(
        &mut self,
        now: Instant,
        waiter: WaiterId,
        group_id: &str,
        response: ShareResponse,
    ) {
        match self.turn(now, group_id) {
            Some(mut turn) => turn.respond_when_durable(waiter, Response::Share(response)),
            None => self.outbox.respond(waiter, Response::Share(response)),
        }
    }
}

impl Turn<'_> {
    /// The share half of the group; callers have seen that there is one.
    pub(super) fn share(&mut self) -> &mut ShareGroup {
        self.group.share.get_or_insert_default()
    }

    fn share_settings(&mut self) -> ShareSettings {
        let default = self.config.share.settings();
        self.share().settings.unwrap_or(default)
    }

    fn beat_share(&mut self, request: ShareGroupHeartbeat) -> Outcome<ShareGroupHeartbeatResponse> {
        let before = self.admit_share(&request)?;
        let (request_epoch, is_full) = (request.member_epoch, request.topics.is_some());
        self.share().settings = Some(request.settings);
        let updated = update(&before, request);
        let mut records = Vec::new();
        let bumped = self.update_share_member(&before, &updated, &mut records);
        self.assign_share_targets(&mut records);
        let (group_id, topics) = (self.group.id.clone(), self.topics);
        let share = self.share();
        let nothing = Assignment::new();
        let target = share.target.get(&updated.id).unwrap_or(&nothing);
        let reconciled = updated.reconciled(share.assignment_epoch, target, bumped, topics);
        if reconciled != updated {
            records.push(records::current_member(&group_id, &reconciled));
            share.members.insert(reconciled.id.clone(), reconciled.clone());
        }
        let initialize = self.begin_initializing_subscribed(&mut records);
        let settings = self.share_settings();
        self.set_session(reconciled.id.clone(), settings.session_timeout);
        self.append_in_parts(records);
        let tells_assignment = request_epoch == 0 || is_full || reconciled.assigned != before.assigned;
        Ok(ShareGroupHeartbeatResponse {
            error: ErrorCode::None,
            message: None,
            member_id: Some(reconciled.id.to_string()),
            member_epoch: reconciled.epoch,
            heartbeat_interval_ms: settings.heartbeat_interval_ms(),
            assignment: tells_assignment.then_some(reconciled.assigned),
            initialize,
        })
    }

    /// The member as it was before this request, new or known.
    fn admit_share(&mut self, request: &ShareGroupHeartbeat) -> Outcome<ShareMember> {
        let (max, group_id) = (self.config.share.max_size, self.group.id.clone());
        let share = self.share();
        match share.members.get(request.member_id.as_str()) {
            Some(member) => check_epoch(member, request.member_epoch).map(|()| member.clone()),
            None if share.len() >= max => {
                let message = format!("The share group has reached its maximum capacity of {max} members.");
                Err(Refusal::new(ErrorCode::GroupMaxSizeReached, message))
            }
            None if request.member_epoch == 0 => Ok(ShareMember::new(request.member_id.as_str().into())),
            None => Err(unknown_member(&request.member_id, &group_id)),
        }
    }

    /// First step of a heartbeat: the member as it is now, and the group epoch. Returns whether a new epoch began.
    fn update_share_member(
        &mut self,
        before: &ShareMember,
        updated: &ShareMember,
        records: &mut Vec<CoordinatorRecord>,
    ) -> bool {
        let (group_id, topics) = (self.group.id.clone(), self.topics);
        if before != updated {
            records.push(records::member(&group_id, updated));
        }
        let share = self.share();
        let is_unknown = !share.members.contains_key(&updated.id);
        let is_pending = share.assignment_epoch >= share.epoch && share.is_assignment_pending(topics);
        let reason = match (before.topics != updated.topics, is_unknown) {
            (true, true) => Some(RebalanceReason::MemberJoined),
            (true, false) => Some(RebalanceReason::MemberChanged),
            (false, _) => is_pending.then_some(RebalanceReason::TopicsChanged),
        };
        share.members.insert(updated.id.clone(), updated.clone());
        self.bump_share_epoch(reason, records)
    }

    /// Begins a new group epoch if there is a reason, or subscribed topics changed.
    fn bump_share_epoch(
        &mut self,
        reason: Option<RebalanceReason>,
        records: &mut Vec<CoordinatorRecord>,
    ) -> bool {
        let (group_id, topics) = (self.group.id.clone(), self.topics);
        let share = self.share();
        if reason.is_none() && !share.metadata_stale {
            return false;
        }
        share.metadata_stale = false;
        let metadata_hash = topics.hash(&share.subscribed());
        if reason.is_none() && metadata_hash == share.metadata_hash {
            return false;
        }
        share.metadata_hash = metadata_hash;
        share.epoch = share.epoch.saturating_add(1);
        records.push(records::group(&group_id, Some(GroupValue { epoch: share.epoch, metadata_hash })));
        tracing::info!(group = &*group_id, epoch = share.epoch, "share group epoch begins");
        self.rebalances.began(reason.unwrap_or(RebalanceReason::TopicsChanged));
        true
    }

    /// Second step: the target assignment, if it is out of date and the last one is old enough (KIP-1263).
    fn assign_share_targets(&mut self, records: &mut Vec<CoordinatorRecord>) {
        let interval = self.share_settings().assignment_interval;
        let (group_id, topics, now_ms) = (self.group.id.clone(), self.topics, self.wall_clock_ms);
        let share = self.share();
        let interval_ms = i64::try_from(interval.as_millis()).unwrap_or(i64::MAX);
        let due_ms = share.assignment_timestamp_ms.saturating_add(interval_ms);
        let may_assign = share.assignment_timestamp_ms == 0 || interval.is_zero() || now_ms >= due_ms;
        if share.assignment_epoch >= share.epoch || !may_assign {
            return;
        }
        for id in share.compute_target(topics) {
            if let Some(assignment) = share.target.get(&id) {
                records.push(records::target_member(&group_id, &id, assignment));
            }
        }
        share.assignment_epoch = share.epoch;
        share.assignment_timestamp_ms = now_ms;
        let value = TargetValue { epoch: share.epoch, timestamp_ms: now_ms };
        records.push(records::target(&group_id, Some(value)));
    }

    /// Last step: whatever the group reads and has no state of gets one.
    fn begin_initializing_subscribed(&mut self, records: &mut Vec<CoordinatorRecord>) -> Option<Initialize> {
        let (group_id, topics, now_ms) = (self.group.id.clone(), self.topics, self.wall_clock_ms);
        let share = self.share();
        let missing = share.state.missing(&share.subscribed(), topics, now_ms);
        if missing.is_empty() {
            return None;
        }
        share.state.begin_initializing(&missing);
        records.push(records::state(&group_id, Some(&share.state)));
        let partitions = missing.into_iter().map(|(id, topic)| (id, topic.partitions)).collect();
        Some(Initialize { state_epoch: share.epoch, partitions })
    }

    fn leave_share(&mut self, request: &ShareGroupHeartbeat) -> Outcome<ShareGroupHeartbeatResponse> {
        let group_id = self.group.id.clone();
        let member = self.share().members.get(request.member_id.as_str());
        let id = member.ok_or_else(|| unknown_member(&request.member_id, &group_id))?.id.clone();
        self.fence_share_member(&id, RebalanceReason::MemberLeft);
        Ok(ShareGroupHeartbeatResponse {
            error: ErrorCode::None,
            message: None,
            member_id: Some(id.to_string()),
            member_epoch: request.member_epoch,
            heartbeat_interval_ms: 0,
            assignment: None,
            initialize: None,
        })
    }

    /// The member was silent for its session.
    pub(in crate::coordinator::group) fn share_session_due(&mut self, id: &str) {
        let member = self.group.share.as_ref().and_then(|share| share.members.get(id));
        if let Some(id) = member.map(|member| member.id.clone()) {
            self.fence_share_member(&id, RebalanceReason::SessionTimeout);
        }
    }

    /// Takes a member out; the others divide its partitions with their next heartbeats.
    fn fence_share_member(&mut self, id: &Arc<str>, reason: RebalanceReason) {
        let group_id = self.group.id.clone();
        self.cancel_session(id.clone());
        let share = self.share();
        share.members.remove(id);
        share.target.remove(id);
        let mut records = Vec::from(records::member_tombstones(&group_id, id));
        self.bump_share_epoch(Some(reason), &mut records);
        self.append_in_parts(records);
        tracing::info!(group = &*group_id, member = &**id, "member is out of the share group");
    }
}

/// The member with what the request tells of it.
fn update(before: &ShareMember, request: ShareGroupHeartbeat) -> ShareMember {
    let mut updated = before.clone();
    updated.rack_id = request.rack_id.or(updated.rack_id);
    if let Some(topics) = request.topics {
        updated.topics = topics.into_iter().collect();
    }
    (updated.client_id, updated.client_host) = (request.client_id, request.client_host);
    updated
}

fn unknown_member(member_id: &str, group_id: &str) -> Refusal {
    let message = format!("Member {member_id} is not a member of group {group_id}.");
    Refusal::new(ErrorCode::UnknownMemberId, message)
}

/// A member one epoch behind is let in: its answer may have been lost.
fn check_epoch(member: &ShareMember, epoch: i32) -> Outcome<()> {
    if epoch == 0 || epoch == member.epoch || epoch < member.epoch && epoch == member.previous_epoch {
        return Ok(());
    }
    let (known, previous) = (member.epoch, member.previous_epoch);
    let message = if epoch > known {
        format!(
            "The share group member has a greater member epoch ({epoch}) than the one known by the group \
             coordinator ({known}). The member must abandon all its partitions and rejoin."
        )
    } else {
        format!(
            "The share group member has a smaller member epoch ({epoch}) than the one known by the group \
             coordinator ({known}), and it does not match the previous member epoch ({previous}). The member must \
             abandon all its partitions and rejoin."
        )
    };
    Err(Refusal::new(ErrorCode::FencedMemberEpoch, message))
}

/// Kafka's `throwIfShareGroupHeartbeatRequestIsInvalid`, in its order, and our own bounds.
fn validate(request: &ShareGroupHeartbeat, max_bytes: usize) -> Outcome<()> {
    let refuse = |message: &str| Err(Refusal::new(ErrorCode::InvalidRequest, message.to_owned()));
    let is_blank = |text: &str| text.trim().is_empty();
    if is_blank(&request.member_id) {
        return refuse("MemberId can't be empty.");
    }
    if is_blank(&request.group_id) {
        return refuse("GroupId can't be empty.");
    }
    if request.rack_id.as_deref().is_some_and(is_blank) {
        return refuse("RackId can't be empty.");
    }
    if request.member_epoch == 0 && request.topics.as_ref().is_none_or(Vec::is_empty) {
        return refuse("SubscribedTopicNames must be set in first request.");
    }
    if request.member_epoch < LEAVE_EPOCH {
        return refuse("MemberEpoch is invalid.");
    }
    let one = [&request.member_id, &request.client_id, &request.client_host];
    let texts = || one.into_iter().chain(&request.rack_id).chain(request.topics.iter().flatten());
    if texts().any(|text| text.len() > MAX_STRING) || texts().map(String::len).sum::<usize>() > max_bytes {
        return refuse("The request is too large.");
    }
    Ok(())
}
