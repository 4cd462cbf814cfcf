//! Rebalances: collecting members, beginning the next generation, and the timers that stop either from waiting for ever
//! (Kafka's `prepareRebalance`, `completeClassicGroupJoin`, `tryCompleteInitialRebalanceElseSchedule`,
//! `expirePendingSync` in `GroupMetadataManager`).

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use protocol::ErrorCode;

use super::classic::{GroupState, InitialDelay};
use super::effect::WaiterId;
use super::rebalances::RebalanceReason;
use super::response::{JoinGroupMember, JoinGroupResponse, Response};
use super::timers::Timer;
use super::turn::Turn;

/// When nobody rejoined and only static members are left, the rebalance is tried again, but not in a busy loop.
const SHORTEST_RETRY: Duration = Duration::from_secs(1);

impl Turn<'_> {
    /// Something about the membership changed: rebalance, or go on with the rebalance under way.
    pub(super) fn rebalance_or_complete_join(&mut self, reason: RebalanceReason) {
        match self.group.state() {
            GroupState::PreparingRebalance => self.maybe_complete_join(),
            _ => self.prepare_rebalance(reason),
        }
    }

    /// Begins the next generation if everybody is here. The first rebalance waits out its delay instead.
    pub(super) fn maybe_complete_join(&mut self) {
        let collecting = self.group.state() == GroupState::PreparingRebalance;
        if collecting && !self.group.is_initial_rebalance() && self.group.has_all_members_joined() {
            self.complete_join();
        }
    }

    pub(super) fn prepare_rebalance(&mut self, reason: RebalanceReason) {
        self.rebalances.began(reason);
        if self.group.state() == GroupState::CompletingRebalance {
            self.withdraw_assignments(ErrorCode::RebalanceInProgress);
        }
        self.group.pending_sync.clear();
        self.timers.cancel(Timer::Sync { group: self.group.id.clone() });
        let initial = self.group.is_empty();
        self.group.transition(GroupState::PreparingRebalance, self.wall_clock_ms);
        if initial {
            let round = self.config.initial_rebalance_delay;
            let remaining = self.group.rebalance_timeout().saturating_sub(round);
            self.group.new_member_added = false;
            self.wait_for_more_members(InitialDelay { round, remaining });
        } else if self.group.has_all_members_joined() {
            self.complete_join();
        } else {
            self.set_rebalance_timer(self.group.rebalance_timeout());
        }
    }

    /// A round of the initial delay is over: wait another if members came in it and the rebalance timeout allows.
    pub(super) fn initial_rebalance_due(&mut self) {
        let Some(InitialDelay { round, remaining }) = self.group.initial_delay else { return };
        if !self.group.new_member_added || remaining.is_zero() {
            return self.complete_join();
        }
        self.group.new_member_added = false;
        let next = InitialDelay {
            round: self.config.initial_rebalance_delay.min(remaining),
            remaining: remaining.saturating_sub(round),
        };
        self.wait_for_more_members(next);
    }

    /// Begins the next generation with the members that are here. Dynamic members that did not rejoin are gone; static ones
    /// stay, because only their session timeout decides about them (KIP-345).
    pub(super) fn complete_join(&mut self) {
        self.group.initial_delay = None;
        self.timers.cancel(Timer::InitialRebalance { group: self.group.id.clone() });
        self.timers.cancel(Timer::Rebalance { group: self.group.id.clone() });
        let absent =
            self.group.members.iter().filter(|member| !member.is_awaiting_join() && !member.is_static());
        let absent: Vec<Arc<str>> = absent.map(|member| member.id.clone()).collect();
        for member in absent {
            self.remove_member(&member);
        }
        if !self.group.elect_joined_leader() && !self.group.members.is_empty() {
            return self.set_rebalance_timer(self.group.rebalance_timeout().max(SHORTEST_RETRY));
        }
        self.group.init_next_generation(self.wall_clock_ms);
        tracing::info!(
            group = &*self.group.id,
            generation = self.group.generation,
            members = self.group.members.len(),
            "group began a generation"
        );
        if self.group.is_empty() {
            let record = self.group_record();
            self.append(vec![record]);
            self.check_retention_soon();
        } else {
            self.answer_joins();
            let timer = Timer::Sync { group: self.group.id.clone() };
            self.timers.set(timer, self.now + self.group.rebalance_timeout());
        }
    }

    /// The generation's sync timer ran out: members that never asked for their assignment are gone.
    pub(super) fn sync_due(&mut self) {
        let silent = std::mem::take(&mut self.group.pending_sync);
        if silent.is_empty() {
            return;
        }
        for member in &silent {
            self.remove_member(member);
        }
        self.prepare_rebalance(RebalanceReason::RebalanceTimeout);
    }

    /// A member's session, or the use-by date of a handed-out member id, ran out.
    pub(super) fn session_due(&mut self, member_id: &str) {
        let member = self.group.members.get(member_id);
        if member.is_some_and(|member| member.has_satisfied_heartbeat()) {
            return;
        }
        let was_pending = member.is_none();
        self.remove_member(member_id);
        match self.group.state() {
            GroupState::PreparingRebalance if self.group.has_all_members_joined() => self.complete_join(),
            GroupState::Stable | GroupState::CompletingRebalance if !was_pending => {
                self.prepare_rebalance(RebalanceReason::SessionTimeout);
            }
            _ => (),
        }
    }

    /// The answer to a member that belongs to the current generation.
    pub(super) fn joined(&self, member_id: &str) -> JoinGroupResponse {
        let group = &self.group;
        let protocol = group.protocol_name.as_deref();
        let members = group.members.iter().map(|member| JoinGroupMember {
            member_id: member.id.to_string(),
            group_instance_id: member.group_instance_id.clone(),
            metadata: member.metadata(protocol),
        });
        JoinGroupResponse {
            error: ErrorCode::None,
            generation_id: group.generation,
            protocol_type: group.protocol_type.clone(),
            protocol_name: group.protocol_name.clone(),
            leader: group.leader.as_deref().unwrap_or_default().to_owned(),
            skip_assignment: false,
            member_id: member_id.to_owned(),
            members: if group.is_leader(member_id) { members.collect() } else { Vec::new() },
        }
    }

    /// A member asked twice for the same thing: the older question is answered, so that no client waits for ever.
    pub(super) fn park_join(&mut self, member_id: &str, waiter: WaiterId) {
        if let Some(superseded) = self.group.members.park_join(member_id, waiter) {
            self.fail_join(superseded, ErrorCode::RebalanceInProgress, member_id);
        }
    }

    fn answer_joins(&mut self) {
        for id in self.group.members.ids() {
            if let Some(waiter) = self.group.members.take_join(&id) {
                let response = Response::JoinGroup(self.joined(&id));
                self.respond(waiter, response);
            }
            self.keep_alive(&id);
            if let Some(member) = self.group.members.get_mut(&id) {
                member.is_new = false;
            }
            self.group.pending_sync.insert(id);
        }
    }

    /// There will be no assignment for this generation: whoever waits for one is told so.
    pub(super) fn withdraw_assignments(&mut self, error: ErrorCode) {
        for id in self.group.members.ids() {
            let Some(member) = self.group.members.get_mut(&id) else { continue };
            member.assignment = Bytes::new();
            if let Some(waiter) = member.awaiting_sync.take() {
                self.fail_sync(waiter, error);
                self.keep_alive(&id);
            }
        }
    }

    fn wait_for_more_members(&mut self, delay: InitialDelay) {
        self.group.initial_delay = Some(delay);
        let timer = Timer::InitialRebalance { group: self.group.id.clone() };
        self.timers.set(timer, self.now + delay.round);
    }

    fn set_rebalance_timer(&mut self, timeout: Duration) {
        let timer = Timer::Rebalance { group: self.group.id.clone() };
        self.timers.set(timer, self.now + timeout);
    }
}
