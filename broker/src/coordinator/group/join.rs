//! JoinGroup: who may join, as what, and whether that needs a rebalance (Kafka's `classicGroupJoin*` in
//! `GroupMetadataManager`).

use std::sync::Arc;
use std::time::Instant;

use bytes::Bytes;
use protocol::ErrorCode;

use super::GroupCoordinator;
use super::classic::{GroupState, millis};
use super::config::NEW_MEMBER_JOIN_TIMEOUT;
use super::effect::WaiterId;
use super::event::{JoinGroup, Protocol};
use super::members::{Member, Terms};
use super::rebalances::RebalanceReason;
use super::response::{JoinGroupResponse, Response};
use super::turn::Turn;

impl GroupCoordinator {
    pub(super) fn join_group(&mut self, now: Instant, waiter: WaiterId, mut request: JoinGroup) {
        request.protocols = owned_once(request.protocols);
        let is_new_group = !self.contains(&request.group_id);
        if is_new_group && let Err(error) = self.create_for(now, &request) {
            let failed = JoinGroupResponse::failed(error, &request.member_id);
            return self.outbox.respond(waiter, Response::JoinGroup(failed));
        }
        let group_id = request.group_id.clone();
        let Some(mut turn) = self.turn(now, &group_id) else { return };
        if turn.group.share.is_some() {
            return turn.fail_join(waiter, ErrorCode::InconsistentGroupProtocol, "");
        }
        // The log learns of the group at once, with no members: they are written with their assignment.
        if is_new_group {
            let record = turn.group_record();
            turn.append(vec![record]);
            turn.check_retention_soon();
        }
        match &turn.group.consumer {
            Some(consumer) if !consumer.is_empty() => turn.join_as_classic(waiter, request),
            Some(_) => {
                turn.end_consumer_half();
                turn.join(waiter, request);
            }
            None => turn.join(waiter, request),
        }
    }

    /// Only a client without a member id, with something to propose, makes a group.
    fn create_for(&mut self, now: Instant, request: &JoinGroup) -> Result<(), ErrorCode> {
        if !request.member_id.is_empty() {
            return Err(ErrorCode::UnknownMemberId);
        }
        if request.protocol_type.is_empty() || request.protocols.is_empty() {
            return Err(ErrorCode::InconsistentGroupProtocol);
        }
        self.create(now, &request.group_id)
    }
}

impl Turn<'_> {
    fn join(&mut self, waiter: WaiterId, request: JoinGroup) {
        if !self.accepts(&request) {
            self.remove_member(&request.member_id);
            return self.fail_join(waiter, ErrorCode::GroupMaxSizeReached, "");
        }
        if !self.group.supports_protocols(&request.protocol_type, &request.protocols) {
            return self.fail_join(waiter, ErrorCode::InconsistentGroupProtocol, &request.member_id);
        }
        if request.member_id.is_empty() {
            self.join_new(waiter, request);
        } else {
            self.join_known(waiter, request);
        }
    }

    /// Room for one more. While a rebalance collects members, those who already wait count; else those who are in.
    fn accepts(&self, request: &JoinGroup) -> bool {
        let (group, max) = (&self.group, self.config.max_size);
        let member = group.members.get(&request.member_id);
        let fits = match group.state() {
            GroupState::Empty | GroupState::Dead => true,
            GroupState::PreparingRebalance => {
                member.is_some_and(Member::is_awaiting_join) || group.members.awaiting_join() < max
            }
            GroupState::CompletingRebalance | GroupState::Stable => {
                member.is_some() || group.members.len() < max
            }
        };
        let takes_an_id = request.member_id.is_empty() && request.group_instance_id.is_none();
        fits && (!takes_an_id || group.pending_members.len() < self.config.max_pending_members)
    }

    fn join_new(&mut self, waiter: WaiterId, request: JoinGroup) {
        let prefix = request.group_instance_id.as_ref().unwrap_or(&request.client_id);
        let id: Arc<str> = format!("{prefix}-{}", request.fresh_uuid).into();
        let replaced = request.group_instance_id.as_ref().and_then(|it| self.group.members.static_member(it));
        if let Some(replaced) = replaced.cloned() {
            return self.replace_static_member(waiter, request, &replaced, id);
        }
        if request.group_instance_id.is_some() || !request.requires_known_member_id {
            return self.add_member(waiter, request, id);
        }
        // KIP-394: a client that never comes back with its id leaves nothing behind but this timer.
        self.group.pending_members.insert(id.clone());
        self.set_session(id.clone(), millis(request.session_timeout_ms));
        self.fail_join(waiter, ErrorCode::MemberIdRequired, &id);
    }

    fn join_known(&mut self, waiter: WaiterId, request: JoinGroup) {
        let id: Arc<str> = request.member_id.as_str().into();
        if request.group_instance_id.is_none() && self.group.pending_members.contains(&id) {
            return self.add_member(waiter, request, id);
        }
        if let Err(error) = self.group.validate_member(&id, request.group_instance_id.as_deref()) {
            return self.fail_join(waiter, error, &id);
        }
        let proposed = self.group.members.get(&id).map(Member::protocols);
        let is_unchanged = proposed == Some(request.protocols.as_slice());
        let has_nothing_new = match self.group.state() {
            // The client did not hear of the generation it is in: tell it again.
            GroupState::CompletingRebalance => is_unchanged,
            // A leader that comes back saw something to rebalance for, a follower only repeats itself.
            GroupState::Stable => is_unchanged && !self.group.is_leader(&id),
            GroupState::Empty | GroupState::PreparingRebalance | GroupState::Dead => false,
        };
        if has_nothing_new {
            let response = Response::JoinGroup(self.joined(&id));
            return self.respond(waiter, response);
        }
        self.group.members.set_terms(&id, terms(request));
        self.park_join(&id, waiter);
        self.rebalance_or_complete_join(RebalanceReason::MemberChanged);
    }

    fn add_member(&mut self, waiter: WaiterId, mut request: JoinGroup, id: Arc<str>) {
        if self.group.is_initial_rebalance() {
            self.group.new_member_added = true;
        }
        if self.group.members.is_empty() {
            self.group.protocol_type = Some(std::mem::take(&mut request.protocol_type));
        }
        self.group.leader.get_or_insert_with(|| id.clone());
        self.group.pending_members.remove(&id);
        let client = (std::mem::take(&mut request.client_id), std::mem::take(&mut request.client_host));
        let instance = request.group_instance_id.take();
        let mut member = Member::new(id.clone(), instance, client, terms(request));
        member.is_new = true;
        self.group.members.insert(member);
        self.park_join(&id, waiter);
        self.set_session(id, NEW_MEMBER_JOIN_TIMEOUT);
        self.rebalance_or_complete_join(RebalanceReason::MemberJoined);
    }

    /// A static member came back without its member id: it gets a new one and takes the old one's place, which is fenced
    /// off. In a stable group that needs no rebalance, unless the group would now choose another protocol (KIP-345).
    fn replace_static_member(
        &mut self,
        waiter: WaiterId,
        mut request: JoinGroup,
        old_id: &str,
        id: Arc<str>,
    ) {
        let Some(old) = self.group.members.remove(old_id) else { return };
        self.fail_waiters(&old, ErrorCode::FencedInstanceId, old_id);
        self.cancel_session(old.id.clone());
        let old_leader = self.group.leader.clone();
        if self.group.is_leader(old_id) {
            self.group.leader = Some(id.clone());
        }
        if self.group.pending_sync.remove(&old.id) {
            self.group.pending_sync.insert(id.clone());
        }
        let supports_skip_assignment = request.supports_skip_assignment;
        let client = (std::mem::take(&mut request.client_id), std::mem::take(&mut request.client_host));
        let mut member = Member::new(id.clone(), request.group_instance_id.take(), client, terms(request));
        member.assignment = old.assignment;
        self.group.members.insert(member);
        self.keep_alive(&id);
        let keeps_protocol = self.group.members.select_protocol() == self.group.protocol_name;
        if self.group.state() == GroupState::Stable && keeps_protocol {
            let record = self.group_record();
            if self.fits_an_append(&record) {
                let response = self.rejoined(&id, old_leader.as_deref(), supports_skip_assignment);
                self.append(vec![record]);
                return self.respond_when_durable(waiter, Response::JoinGroup(response));
            }
        }
        self.park_join(&id, waiter);
        self.rebalance_or_complete_join(RebalanceReason::MemberChanged);
    }

    /// Without KIP-814 a returning leader must not know itself as leader, or it would compute an assignment that nobody asked
    /// for; so it is shown its old id as the leader.
    fn rejoined(
        &self,
        id: &str,
        old_leader: Option<&str>,
        supports_skip_assignment: bool,
    ) -> JoinGroupResponse {
        let response = self.joined(id);
        if supports_skip_assignment {
            return JoinGroupResponse { skip_assignment: self.group.is_leader(id), ..response };
        }
        let leader = old_leader.unwrap_or_default().to_owned();
        JoinGroupResponse { leader, members: Vec::new(), ..response }
    }
}

fn terms(request: JoinGroup) -> Terms {
    Terms {
        rebalance_timeout_ms: request.rebalance_timeout_ms,
        session_timeout_ms: request.session_timeout_ms,
        protocols: request.protocols,
    }
}

/// Each protocol once, in bytes of its own: a member must not keep its request's frame in memory.
fn owned_once(protocols: Vec<Protocol>) -> Vec<Protocol> {
    let mut owned: Vec<Protocol> = Vec::with_capacity(protocols.len());
    for protocol in protocols {
        if owned.iter().all(|known| known.name != protocol.name) {
            owned.push(Protocol { metadata: Bytes::copy_from_slice(&protocol.metadata), ..protocol });
        }
    }
    owned
}
