//! Members of a consumer group that speak the classic protocol, during an online migration (Kafka's
//! `classicGroupJoinToConsumerGroup` and its neighbours in `GroupMetadataManager`).
//!
//! Each is led to its assignment like everybody else, but step by step through its own protocol: a heartbeat tells it to
//! rejoin, JoinGroup takes its next step (its generation is its member epoch), SyncGroup tells what it has now. Nobody is
//! leader, nobody waits for the others.

use std::sync::Arc;

use protocol::ErrorCode;

use super::convert::embedded_version;
use super::embedded::{self, Subscription};
use super::heartbeat::{check_fenced, known_static};
use super::member::{ClassicMetadata, ConsumerMember, MemberState};
use crate::coordinator::effect::{CoordinatorRecord, WaiterId};
use crate::coordinator::group::classic::{CONSUMER_PROTOCOL_TYPE, millis};
use crate::coordinator::group::event::{Heartbeat, JoinGroup, SyncGroup};
use crate::coordinator::group::rebalances::RebalanceReason;
use crate::coordinator::group::response::{JoinGroupResponse, Response, SyncGroupResponse};
use crate::coordinator::group::timers::Timer;
use crate::coordinator::group::turn::Turn;

impl Turn<'_> {
    pub(in crate::coordinator::group) fn join_as_classic(&mut self, waiter: WaiterId, request: JoinGroup) {
        let id: Arc<str> = if request.member_id.is_empty() {
            request.fresh_uuid.to_string().into()
        } else {
            request.member_id.as_str().into()
        };
        match self.classic_join(&id, request) {
            Ok(response) => self.respond_when_durable(waiter, Response::JoinGroup(response)),
            Err(error) => self.fail_join(waiter, error, &id),
        }
    }

    fn classic_join(&mut self, id: &Arc<str>, request: JoinGroup) -> Result<JoinGroupResponse, ErrorCode> {
        let (max, is_unknown) = (self.config.consumer.max_size, request.member_id.is_empty());
        let consumer = self.consumer();
        if consumer.member(id).is_none() && consumer.len() >= max {
            return Err(ErrorCode::GroupMaxSizeReached);
        }
        if !self.supports_classic(&request) {
            return Err(ErrorCode::InconsistentGroupProtocol);
        }
        if is_unknown && request.requires_known_member_id && request.group_instance_id.is_none() {
            return Err(ErrorCode::MemberIdRequired);
        }
        let first = request.protocols.first().ok_or(ErrorCode::InconsistentGroupProtocol)?;
        let protocol_name = first.name.clone();
        let subscription =
            Subscription::decode(&first.metadata).map_err(|_| ErrorCode::UnknownServerError)?;
        let mut written = Vec::new();
        let (before, replaces_consumer) = self.admit_classic(id, &request, &mut written)?;
        let epoch_before = self.consumer().epoch;
        let owned = subscription.owned(self.topics);
        let (session, rebalance) = (millis(request.session_timeout_ms), millis(request.rebalance_timeout_ms));
        let updated = update(&before, request, subscription);
        let changed = self.update_member(&before, &updated, None, &mut written);
        let downgrades = replaces_consumer && self.is_classic_without(&[]);
        let consumer = self.consumer();
        let rebalances = downgrades && consumer.assignment_epoch < consumer.epoch;
        // The classic group assigns anew by itself.
        let member =
            if rebalances { updated } else { self.lead_member(updated, changed, Some(&owned), &mut written) };
        self.set_session(id.clone(), session);
        self.timers.set(self.rejoin_timer(id), self.now + rebalance);
        self.append_in_parts(written);
        if downgrades {
            // Kafka converts the group as it was when the request came.
            self.consumer().epoch = epoch_before;
            self.convert_to_classic(&[], rebalances.then_some(RebalanceReason::MemberChanged));
        }
        Ok(JoinGroupResponse {
            error: ErrorCode::None,
            generation_id: member.epoch,
            protocol_type: Some(CONSUMER_PROTOCOL_TYPE.to_owned()),
            protocol_name: Some(protocol_name),
            leader: String::new(),
            skip_assignment: false,
            member_id: id.to_string(),
            members: Vec::new(),
        })
    }

    /// The member as it was before this request, new or known, and whether a static one spoke the consumer protocol until now.
    fn admit_classic(
        &mut self,
        id: &Arc<str>,
        request: &JoinGroup,
        written: &mut Vec<CoordinatorRecord>,
    ) -> Result<(ConsumerMember, bool), ErrorCode> {
        let consumer = self.consumer();
        let new = || ConsumerMember::new(id.clone());
        let Some(instance) = request.group_instance_id.as_deref() else {
            return Ok((consumer.member(id).cloned().unwrap_or_else(new), false));
        };
        let existing = consumer.static_member(instance).cloned();
        if !request.member_id.is_empty() {
            let existing = known_static(existing.as_ref(), instance).map_err(|refusal| refusal.error)?;
            check_fenced(existing, id, instance).map_err(|refusal| refusal.error)?;
            return Ok((existing.clone(), existing.classic.is_none()));
        }
        let Some(existing) = existing else { return Ok((new(), false)) };
        let (replaced, replaces_consumer) = (existing.id.clone(), existing.classic.is_none());
        let member = ConsumerMember { id: id.clone(), epoch: 0, previous_epoch: 0, ..existing };
        self.replace_consumer(&replaced, &member, written);
        Ok((member, replaces_consumer))
    }

    /// Whether all classic members, this one too, support one protocol.
    fn supports_classic(&mut self, request: &JoinGroup) -> bool {
        let others: Vec<_> = self.consumer().members().filter_map(|member| member.classic.as_ref()).collect();
        let supported = |name: &str| {
            others.iter().all(|classic| classic.protocols.iter().any(|protocol| protocol.name == name))
        };
        request.protocol_type == CONSUMER_PROTOCOL_TYPE
            && request.protocols.iter().any(|protocol| supported(&protocol.name))
    }

    pub(in crate::coordinator::group) fn sync_as_classic(&mut self, waiter: WaiterId, request: &SyncGroup) {
        match self.classic_sync(request) {
            Ok(response) => self.respond_when_durable(waiter, Response::SyncGroup(response)),
            Err(error) => self.fail_sync(waiter, error),
        }
    }

    fn classic_sync(&mut self, request: &SyncGroup) -> Result<SyncGroupResponse, ErrorCode> {
        let (member, classic) =
            self.classic_member(&request.member_id, request.group_instance_id.as_deref())?;
        if request.generation_id != member.epoch {
            return Err(ErrorCode::IllegalGeneration);
        }
        let protocol_name = classic.protocols.first().map(|protocol| protocol.name.clone());
        let differs = request.protocol_type.as_deref().is_some_and(|it| it != CONSUMER_PROTOCOL_TYPE)
            || request.protocol_name.is_some() && request.protocol_name != protocol_name;
        if differs {
            return Err(ErrorCode::InconsistentGroupProtocol);
        }
        if self.consumer().epoch > member.epoch && member.state != MemberState::UnrevokedPartitions {
            self.expect_rejoin(&member);
            return Err(ErrorCode::RebalanceInProgress);
        }
        self.timers.cancel(self.rejoin_timer(&member.id));
        self.set_session(member.id.clone(), millis(classic.session_timeout_ms));
        let assignment =
            embedded::encode_assignment(embedded_version(&classic), &member.assigned, self.topics);
        Ok(SyncGroupResponse {
            error: ErrorCode::None,
            protocol_type: Some(CONSUMER_PROTOCOL_TYPE.to_owned()),
            protocol_name,
            assignment,
        })
    }

    pub(in crate::coordinator::group) fn heartbeat_as_classic(&mut self, request: &Heartbeat) -> ErrorCode {
        let (member, classic) =
            match self.classic_member(&request.member_id, request.group_instance_id.as_deref()) {
                Ok(known) => known,
                Err(error) => return error,
            };
        if request.generation_id != member.epoch {
            return ErrorCode::IllegalGeneration;
        }
        self.set_session(member.id.clone(), millis(classic.session_timeout_ms));
        let rejoins = member.epoch < self.consumer().epoch
            || match member.state {
                MemberState::UnrevokedPartitions => true,
                MemberState::UnreleasedPartitions => !self.waits_for_others(&member),
                MemberState::Stable | MemberState::Unknown => false,
            };
        if rejoins {
            self.expect_rejoin(&member);
            return ErrorCode::RebalanceInProgress;
        }
        ErrorCode::None
    }

    /// Who asks, if it is a classic member.
    fn classic_member(
        &mut self,
        member_id: &str,
        instance: Option<&str>,
    ) -> Result<(ConsumerMember, ClassicMetadata), ErrorCode> {
        let consumer = self.consumer();
        if let Some(instance) = instance {
            let existing =
                known_static(consumer.static_member(instance), instance).map_err(|refusal| refusal.error)?;
            check_fenced(existing, member_id, instance).map_err(|refusal| refusal.error)?;
        }
        let member = consumer.member(member_id).cloned().ok_or(ErrorCode::UnknownMemberId)?;
        let classic = member.classic.clone().ok_or(ErrorCode::UnknownMemberId)?;
        Ok((member, classic))
    }

    /// Whether everything the member still lacks is held by somebody else.
    fn waits_for_others(&mut self, member: &ConsumerMember) -> bool {
        let consumer = self.consumer();
        let target = consumer.target.get(&member.id).into_iter().flatten();
        let mut lacking = target.flat_map(|(topic, partitions)| {
            let has = member.assigned.get(topic);
            let lacks = move |it: &&i32| has.is_none_or(|has| !has.contains_key(*it));
            partitions.iter().filter(lacks).map(move |partition| (*topic, *partition))
        });
        lacking.all(|(topic, partition)| consumer.is_held_by_other(&member.id, topic, partition))
    }

    /// The member has its rebalance timeout to come back with a JoinGroup.
    fn expect_rejoin(&mut self, member: &ConsumerMember) {
        let deadline = self.now + millis(member.rebalance_timeout_ms);
        self.timers.set_earlier(self.rejoin_timer(&member.id), deadline);
    }

    fn rejoin_timer(&self, member: &Arc<str>) -> Timer {
        Timer::MemberRebalance { group: self.group.id.clone(), member: member.clone() }
    }
}

fn update(before: &ConsumerMember, request: JoinGroup, subscription: Subscription) -> ConsumerMember {
    let rack_id = subscription.rack_id.filter(|rack| !rack.is_empty());
    ConsumerMember {
        instance_id: request.group_instance_id.or_else(|| before.instance_id.clone()),
        rack_id: rack_id.or_else(|| before.rack_id.clone()),
        rebalance_timeout_ms: request.rebalance_timeout_ms,
        topics: subscription.topics,
        regex: Some(String::new()),
        client_id: request.client_id,
        client_host: request.client_host,
        classic: Some(ClassicMetadata {
            session_timeout_ms: request.session_timeout_ms,
            protocols: request.protocols,
        }),
        ..before.clone()
    }
}
