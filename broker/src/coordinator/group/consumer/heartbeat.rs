//! ConsumerGroupHeartbeat: joining, staying, and being led to an assignment (Kafka's `consumerGroupHeartbeat` in
//! `GroupMetadataManager`). Leaving is next door.
//!
//! Everything that can refuse the request comes before anything is changed.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Instant;

use protocol::ErrorCode;

use super::assignor::Assignor;
use super::member::{Assignment, ConsumerMember, LEAVE_EPOCH, LEAVE_STATIC_EPOCH, MemberState, partitions};
use super::reconcile::Reconciliation;
use super::records::{self, GroupValue, TargetValue};
use super::regex::{Pattern, ResolvedPattern};
use super::{ConsumerGroup, ConsumerGroupState};
use crate::coordinator::effect::{CoordinatorRecord, WaiterId};
use crate::coordinator::group::GroupCoordinator;
use crate::coordinator::group::classic::millis;
use crate::coordinator::group::config::{ConsumerSettings, MAX_STRING};
use crate::coordinator::group::event::ConsumerGroupHeartbeat;
use crate::coordinator::group::rebalances::RebalanceReason;
use crate::coordinator::group::response::{ConsumerGroupHeartbeatResponse, Refusal, Response};
use crate::coordinator::group::timers::Timer;
use crate::coordinator::group::turn::Turn;

type Outcome<T> = Result<T, Refusal>;

impl GroupCoordinator {
    pub(in crate::coordinator::group) fn consumer_heartbeat(
        &mut self,
        now: Instant,
        waiter: WaiterId,
        request: ConsumerGroupHeartbeat,
    ) {
        let group_id = request.group_id.clone();
        let is_new = !self.contains(&group_id);
        let outcome = self.beat(now, request);
        if outcome.is_err() && is_new {
            self.forget(&group_id);
        }
        match (outcome, self.turn(now, &group_id)) {
            (Ok(response), Some(mut turn)) => {
                turn.respond_when_durable(waiter, Response::ConsumerGroupHeartbeat(response));
            }
            (Ok(response), None) => self.outbox.respond(waiter, Response::ConsumerGroupHeartbeat(response)),
            (Err(refusal), _) => {
                let response = ConsumerGroupHeartbeatResponse::refused(refusal);
                self.outbox.respond(waiter, Response::ConsumerGroupHeartbeat(response));
            }
        }
    }

    fn beat(
        &mut self,
        now: Instant,
        request: ConsumerGroupHeartbeat,
    ) -> Outcome<ConsumerGroupHeartbeatResponse> {
        validate(&request, &self.config.consumer.assignors, self.config.max_append_bytes)?;
        let group_id = request.group_id.clone();
        if matches!(request.member_epoch, LEAVE_EPOCH | LEAVE_STATIC_EPOCH) {
            let not_found = || Refusal::group_not_found(&format!("Group {group_id} not found."));
            return self.turn(now, &group_id).ok_or_else(not_found)?.consumer_leave(&request);
        }
        let joins = request.member_epoch == 0;
        if !self.contains(&group_id) {
            if !joins {
                return Err(Refusal::group_not_found(&format!("Consumer group {group_id} not found.")));
            }
            self.create(now, &group_id).map_err(Refusal::from)?;
        }
        let mut turn = self.turn(now, &group_id).ok_or(ErrorCode::CoordinatorNotAvailable)?;
        let converted = turn.become_consumer_group(joins)?;
        turn.consumer_beat(request, converted)
    }
}

impl Turn<'_> {
    /// The consumer half of the group; callers have seen that there is one.
    pub(super) fn consumer(&mut self) -> &mut ConsumerGroup {
        self.group.consumer.get_or_insert_default()
    }

    fn consumer_settings(&mut self) -> ConsumerSettings {
        let default = self.config.consumer.settings();
        self.consumer().settings.unwrap_or(default)
    }

    fn consumer_beat(
        &mut self,
        request: ConsumerGroupHeartbeat,
        mut records: Vec<CoordinatorRecord>,
    ) -> Outcome<ConsumerGroupHeartbeatResponse> {
        let (request_epoch, is_full) = (request.member_epoch, request.is_full());
        let admitted = self.admit_consumer(&request);
        let (before, replaces) = match admitted {
            Ok(admitted) => admitted,
            Err(refusal) => {
                // A conversion stands, even if the member that caused it does not come in.
                self.append_in_parts(records);
                return Err(refusal);
            }
        };
        self.consumer().settings = Some(request.settings);
        let owned = request.owned.clone();
        let updated = update(&before, request);
        let pattern = match self.new_pattern(&updated) {
            Ok(pattern) => pattern,
            Err(refusal) => {
                self.append_in_parts(records);
                return Err(refusal);
            }
        };
        if let Some(replaced) = replaces {
            self.replace_consumer(&replaced, &before, &mut records);
        }
        let id = updated.id.clone();
        let changed = self.update_member(&before, &updated, pattern, &mut records);
        let reconciled = self.lead_member(updated, changed, owned.as_ref(), &mut records);
        let settings = self.consumer_settings();
        self.set_session(id, settings.session_timeout);
        self.append_in_parts(records);
        let assignment = partitions(&reconciled.assigned);
        let tells_assignment = request_epoch == 0 || is_full || assignment != partitions(&before.assigned);
        Ok(ConsumerGroupHeartbeatResponse {
            error: ErrorCode::None,
            message: None,
            member_id: Some(reconciled.id.to_string()),
            member_epoch: reconciled.epoch,
            heartbeat_interval_ms: settings.heartbeat_interval_ms(),
            assignment: tells_assignment.then_some(assignment),
        })
    }

    /// The member as it was before this request, new or known, and the id of the static member whose place it takes.
    fn admit_consumer(
        &mut self,
        request: &ConsumerGroupHeartbeat,
    ) -> Outcome<(ConsumerMember, Option<Arc<str>>)> {
        let (max, group_id) = (self.config.consumer.max_size, self.group.id.clone());
        let consumer = self.consumer();
        let known = consumer.member(&request.member_id);
        if consumer.len() >= max && known.is_none() {
            let message = format!("The consumer group has reached its maximum capacity of {max} members.");
            return Err(Refusal::new(ErrorCode::GroupMaxSizeReached, message));
        }
        let joins = request.member_epoch == 0;
        let fresh_id = || -> Arc<str> {
            if request.member_id.is_empty() {
                request.fresh_member_id.as_str().into()
            } else {
                request.member_id.as_str().into()
            }
        };
        let Some(instance) = request.instance_id.as_deref() else {
            return match known {
                Some(member) => {
                    check_epoch(member, request)?;
                    Ok((member.clone(), None))
                }
                None if joins => Ok((ConsumerMember::new(fresh_id()), None)),
                None => Err(unknown_member(&request.member_id, &group_id)),
            };
        };
        let existing = consumer.static_member(instance);
        if !joins {
            let existing = known_static(existing, instance)?;
            check_fenced(existing, &request.member_id, instance)?;
            check_epoch(existing, request)?;
            return Ok((existing.clone(), None));
        }
        let Some(existing) = existing else {
            return Ok((ConsumerMember::new(fresh_id()), None));
        };
        if existing.classic.is_none() && existing.epoch != LEAVE_STATIC_EPOCH {
            let message = format!(
                "Static member {} with instance id {instance} cannot join the group because the instance id is \
                 owned by {} member.",
                request.member_id, existing.id
            );
            return Err(Refusal::new(ErrorCode::UnreleasedInstanceId, message));
        }
        let (id, replaced) = (fresh_id(), existing.id.clone());
        Ok((ConsumerMember { id, epoch: 0, previous_epoch: 0, ..existing.clone() }, Some(replaced)))
    }

    /// The member's pattern, compiled, if the group does not know it yet.
    fn new_pattern(&mut self, updated: &ConsumerMember) -> Outcome<Option<Pattern>> {
        let known = |pattern: &&str| {
            self.group.consumer.as_ref().is_some_and(|it| it.patterns.contains_key(*pattern))
        };
        let Some(pattern) = updated.pattern().filter(|pattern| !known(pattern)) else { return Ok(None) };
        Pattern::compile(pattern).map(Some).map_err(|why| {
            let message =
                format!("SubscribedTopicRegex `{pattern}` is not a valid regular expression: {why}.");
            Refusal::new(ErrorCode::InvalidRegularExpression, message)
        })
    }

    /// A static member came back under another id: it takes over what the old id had.
    pub(super) fn replace_consumer(
        &mut self,
        replaced: &Arc<str>,
        by: &ConsumerMember,
        records: &mut Vec<CoordinatorRecord>,
    ) {
        let group_id = self.group.id.clone();
        self.cancel_consumer_timers(replaced);
        let consumer = self.consumer();
        consumer.take(replaced);
        let target = consumer.target.remove(replaced).unwrap_or_default();
        if *replaced != by.id {
            records.extend(records::member_tombstones(&group_id, replaced));
        }
        records.push(records::member(&group_id, by));
        records.push(records::target_member(&group_id, &by.id, &target));
        records.push(records::current_member(&group_id, by));
        consumer.target.insert(by.id.clone(), target);
        consumer.put(by.clone());
    }

    /// First step of a heartbeat: the member as it is now, and the group epoch. Returns whether its subscription changed.
    pub(super) fn update_member(
        &mut self,
        before: &ConsumerMember,
        updated: &ConsumerMember,
        pattern: Option<Pattern>,
        records: &mut Vec<CoordinatorRecord>,
    ) -> bool {
        let group_id = self.group.id.clone();
        let is_unknown = self.consumer().member(&updated.id).is_none();
        if is_unknown || before != updated {
            records.push(records::member(&group_id, updated));
        }
        let pattern_changed = before.pattern() != updated.pattern();
        let subscription_changed = before.topics != updated.topics || pattern_changed;
        // A pattern that is new to the group changes what it matches, which may be nothing.
        let mut bumps = before.topics != updated.topics || pattern_changed && pattern.is_none();
        let topics = self.topics;
        let consumer = self.consumer();
        if let (Some(name), Some(pattern)) = (updated.pattern(), pattern) {
            let resolved = ResolvedPattern::resolve(pattern, topics);
            bumps |= resolved.is_changed;
            consumer.patterns.insert(name.to_owned(), resolved);
            consumer.metadata_stale = true;
        }
        consumer.put(updated.clone());
        let reason = if is_unknown { RebalanceReason::MemberJoined } else { RebalanceReason::MemberChanged };
        self.bump_epoch(bumps.then_some(reason), records);
        subscription_changed
    }

    /// The other two steps: the target assignment, and the member's own next step towards it.
    pub(super) fn lead_member(
        &mut self,
        updated: ConsumerMember,
        subscription_changed: bool,
        owned: Option<&Assignment>,
        records: &mut Vec<CoordinatorRecord>,
    ) -> ConsumerMember {
        let group_id = self.group.id.clone();
        let (topics, now_ms) = (self.topics, self.wall_clock_ms);
        if self.may_assign(now_ms) {
            self.assign_targets(records);
        }
        let consumer = self.consumer();
        let nothing = Assignment::new();
        let reconciliation = Reconciliation {
            target_epoch: consumer.assignment_epoch,
            target: consumer.target.get(&updated.id).unwrap_or(&nothing),
            subscribed: &consumer.subscribed_ids(&updated, topics),
            subscription_changed,
            owned,
            is_held_by_other: &|topic, partition| consumer.is_held_by_other(&updated.id, topic, partition),
        };
        let is_settled = !subscription_changed && updated.is_reconciled_to(consumer.assignment_epoch);
        let reconciled = if is_settled { updated.clone() } else { reconciliation.step(&updated) };
        if reconciled != updated {
            records.push(records::current_member(&group_id, &reconciled));
            consumer.put(reconciled.clone());
            if reconciled.classic.is_none() {
                self.schedule_revocation(&reconciled);
            }
        }
        reconciled
    }

    /// Begins a new group epoch if subscriptions or subscribed topics changed.
    pub(super) fn bump_epoch(
        &mut self,
        changed: Option<RebalanceReason>,
        records: &mut Vec<CoordinatorRecord>,
    ) {
        let (group_id, topics, now_ms) = (self.group.id.clone(), self.topics, self.wall_clock_ms);
        let consumer = self.consumer();
        for pattern in consumer.drop_unused_patterns() {
            records.push(records::pattern(&group_id, &pattern, None));
        }
        let mut bump = changed.is_some();
        for (name, pattern) in consumer.patterns.iter_mut().filter(|(_, pattern)| pattern.is_dirty) {
            pattern.is_dirty = false;
            bump |= std::mem::take(&mut pattern.is_changed);
            records.push(records::pattern(&group_id, name, Some((&pattern.topics, now_ms))));
        }
        if !bump && !consumer.metadata_stale {
            return;
        }
        consumer.metadata_stale = false;
        let metadata_hash = consumer.compute_metadata_hash(topics);
        if !bump && metadata_hash == consumer.metadata_hash {
            return;
        }
        consumer.metadata_hash = metadata_hash;
        consumer.epoch = consumer.epoch.saturating_add(1);
        let value = GroupValue { epoch: consumer.epoch, metadata_hash };
        records.push(records::group(&group_id, Some(value)));
        if std::mem::take(&mut consumer.has_partition_metadata) {
            records.push(records::partition_metadata_tombstone(&group_id));
        }
        tracing::info!(group = &*group_id, epoch = consumer.epoch, "group epoch begins");
        self.rebalances.began(changed.unwrap_or(RebalanceReason::TopicsChanged));
    }

    /// Whether the target is out of date and the last one is old enough (KIP-1263).
    fn may_assign(&mut self, now_ms: i64) -> bool {
        let interval = self.consumer_settings().assignment_interval;
        let consumer = self.consumer();
        let due_ms = i64::try_from(interval.as_millis()).unwrap_or(i64::MAX);
        let due_ms = consumer.assignment_timestamp_ms.saturating_add(due_ms);
        consumer.state() == ConsumerGroupState::Assigning
            && (consumer.assignment_timestamp_ms == 0 || interval.is_zero() || now_ms >= due_ms)
    }

    fn assign_targets(&mut self, records: &mut Vec<CoordinatorRecord>) {
        let (group_id, topics, now_ms) = (self.group.id.clone(), self.topics, self.wall_clock_ms);
        let default = self.config.consumer.assignors.first().copied().unwrap_or(Assignor::Uniform);
        let consumer = self.consumer();
        let assignor = consumer.preferred_assignor().and_then(Assignor::named).unwrap_or(default);
        for id in consumer.compute_target(assignor, topics) {
            if let Some(assignment) = consumer.target.get(&id) {
                records.push(records::target_member(&group_id, &id, assignment));
            }
        }
        consumer.assignment_epoch = consumer.epoch;
        consumer.assignment_timestamp_ms = now_ms;
        let value = TargetValue { epoch: consumer.epoch, timestamp_ms: now_ms };
        records.push(records::target(&group_id, Some(value)));
    }

    /// A member that has to give partitions up has its rebalance timeout for it.
    fn schedule_revocation(&mut self, member: &ConsumerMember) {
        let timer = Timer::MemberRebalance { group: self.group.id.clone(), member: member.id.clone() };
        if member.state == MemberState::UnrevokedPartitions {
            self.timers.set(timer, self.now + millis(member.rebalance_timeout_ms));
        } else {
            self.timers.cancel(timer);
        }
    }
}

/// The member with what the request tells of it.
fn update(before: &ConsumerMember, request: ConsumerGroupHeartbeat) -> ConsumerMember {
    let mut updated = before.clone();
    updated.instance_id = request.instance_id.or(updated.instance_id);
    updated.rack_id = request.rack_id.or(updated.rack_id);
    if request.rebalance_timeout_ms != -1 {
        updated.rebalance_timeout_ms = request.rebalance_timeout_ms;
    }
    updated.server_assignor = request.server_assignor.or(updated.server_assignor);
    if let Some(topics) = request.topics {
        updated.topics = topics.into_iter().collect::<BTreeSet<_>>();
    }
    updated.regex = request.regex.or(updated.regex);
    (updated.client_id, updated.client_host) = (request.client_id, request.client_host);
    updated.classic = None;
    updated
}

pub(super) fn unknown_member(member_id: &str, group_id: &str) -> Refusal {
    let message = format!("Member {member_id} is not a member of group {group_id}.");
    Refusal::new(ErrorCode::UnknownMemberId, message)
}

pub(super) fn known_static<'a>(
    existing: Option<&'a ConsumerMember>,
    instance: &str,
) -> Outcome<&'a ConsumerMember> {
    let message = || format!("Instance id {instance} is unknown.");
    existing.ok_or_else(|| Refusal::new(ErrorCode::UnknownMemberId, message()))
}

pub(super) fn check_fenced(existing: &ConsumerMember, member_id: &str, instance: &str) -> Outcome<()> {
    if &*existing.id == member_id {
        return Ok(());
    }
    let message = format!(
        "Static member {member_id} with instance id {instance} was fenced by member {}.",
        existing.id
    );
    Err(Refusal::new(ErrorCode::FencedInstanceId, message))
}

/// A member one epoch behind whose answer may have been lost is let in, if all it owns is still its own.
fn check_epoch(member: &ConsumerMember, request: &ConsumerGroupHeartbeat) -> Outcome<()> {
    let epoch = request.member_epoch;
    let owns_its_own = || request.owned.as_ref().is_some_and(|owned| member.is_assigned_all(owned));
    let comparison = match epoch {
        0 => return Ok(()),
        _ if epoch == member.epoch => return Ok(()),
        _ if epoch > member.epoch => "greater",
        _ if epoch == member.previous_epoch && owns_its_own() => return Ok(()),
        _ => "smaller",
    };
    let message = format!(
        "The consumer group member has a {comparison} member epoch ({epoch}) than the one known by the group \
         coordinator ({}). The member must abandon all its partitions and rejoin.",
        member.epoch
    );
    Err(Refusal::new(ErrorCode::FencedMemberEpoch, message))
}

/// Kafka's `throwIfConsumerGroupHeartbeatRequestIsInvalid`, in its order, and our own bounds.
fn validate(request: &ConsumerGroupHeartbeat, assignors: &[Assignor], max_bytes: usize) -> Outcome<()> {
    let refuse = |message: &str| Err(Refusal::new(ErrorCode::InvalidRequest, message.to_owned()));
    let is_blank = |text: &str| text.trim().is_empty();
    let is_blank_option = |text: &Option<String>| text.as_deref().is_some_and(is_blank);
    let epoch = request.member_epoch;
    let needs_id = request.requires_member_id || epoch > 0 || epoch == LEAVE_EPOCH;
    if needs_id && is_blank(&request.member_id) {
        return refuse("MemberId can't be empty.");
    }
    if is_blank(&request.group_id) {
        return refuse("GroupId can't be empty.");
    }
    if is_blank_option(&request.instance_id) {
        return refuse("InstanceId can't be empty.");
    }
    if is_blank_option(&request.rack_id) {
        return refuse("RackId can't be empty.");
    }
    if epoch == 0 {
        if request.rebalance_timeout_ms == -1 {
            return refuse("RebalanceTimeoutMs must be provided in first request.");
        }
        if request.owned.as_ref().is_none_or(|owned| !owned.is_empty()) {
            return refuse("TopicPartitions must be empty when (re-)joining.");
        }
        if request.topics.is_none() && request.regex.is_none() {
            return refuse(
                "Either SubscribedTopicNames or SubscribedTopicRegex must be non-null when (re-)joining.",
            );
        }
    } else if epoch == LEAVE_STATIC_EPOCH {
        if request.instance_id.is_none() {
            return refuse("InstanceId can't be null.");
        }
    } else if epoch < LEAVE_STATIC_EPOCH {
        return refuse("MemberEpoch is invalid.");
    }
    if let Some(name) = &request.server_assignor
        && !assignors.iter().any(|assignor| assignor.name() == name)
    {
        let supported: Vec<_> = assignors.iter().map(|assignor| assignor.name()).collect();
        let message =
            format!("ServerAssignor {name} is not supported. Supported assignors: {}.", supported.join(", "));
        return Err(Refusal::new(ErrorCode::UnsupportedAssignor, message));
    }
    let one = [&request.member_id, &request.client_id, &request.client_host];
    let optional = [&request.instance_id, &request.rack_id, &request.regex];
    let texts =
        || one.into_iter().chain(optional.into_iter().flatten()).chain(request.topics.iter().flatten());
    if texts().any(|text| text.len() > MAX_STRING) || texts().map(String::len).sum::<usize>() > max_bytes {
        return refuse("The request is too large.");
    }
    Ok(())
}
