//! Groups that change their protocol while members are in them (KIP-848, `group.consumer.migration.policy`; Kafka's
//! `convertToConsumerGroup` and `convertToClassicGroup` in `GroupMetadataManager`).
//!
//! Upgrade: the first member that speaks the consumer protocol joins a classic group of consumers; everybody keeps what it has.
//! Downgrade: the last such member goes while classic members are still there; they rebalance among themselves. It also goes
//! when a static member comes back speaking the classic protocol; then nobody need rebalance if nothing has changed.
//! Offsets stay where they are in both directions.

use std::sync::Arc;

use protocol::ErrorCode;

use super::embedded::{self, Subscription};
use super::member::{ClassicMetadata, ConsumerMember, owned_at};
use super::records::{GroupValue, TargetValue};
use super::{ConsumerGroup, records as consumer_records};
use crate::coordinator::effect::CoordinatorRecord;
use crate::coordinator::group::classic::{CONSUMER_PROTOCOL_TYPE, millis};
use crate::coordinator::group::members::{Member, Terms};
use crate::coordinator::group::rebalances::RebalanceReason;
use crate::coordinator::group::records;
use crate::coordinator::group::response::Refusal;
use crate::coordinator::group::timers::Timer;
use crate::coordinator::group::turn::Turn;

impl Turn<'_> {
    /// Makes the group a consumer group if it is not. Returns the records that this takes; an error changes nothing.
    pub(super) fn become_consumer_group(&mut self, joins: bool) -> Result<Vec<CoordinatorRecord>, Refusal> {
        let id = self.group.id.clone();
        if self.group.consumer.is_some() {
            return Ok(Vec::new());
        }
        if !joins || self.group.share.is_some() {
            return Err(Refusal::group_not_found(&format!("Group {id} is not a consumer group.")));
        }
        if !self.group.members.is_empty() || !self.group.is_empty() {
            return self.upgrade();
        }
        let in_the_log = self.group.last_append.is_some() || self.group.protocol_type.is_some();
        self.end_classic_half();
        self.group.consumer = Some(Box::default());
        Ok(if in_the_log { vec![records::group_metadata(&id, None)] } else { Vec::new() })
    }

    fn upgrade(&mut self) -> Result<Vec<CoordinatorRecord>, Refusal> {
        let id = self.group.id.clone();
        let refuse = |why: &str| {
            Refusal::group_not_found(&format!(
                "Cannot upgrade classic group {id} to consumer group because {why}."
            ))
        };
        if !self.config.consumer.migration.allows_upgrade() {
            return Err(refuse("online upgrade is disabled"));
        }
        if !self.group.is_consumer_group() {
            return Err(refuse("the group does not use the consumer embedded protocol"));
        }
        if self.group.members.len() > self.config.consumer.max_size {
            return Err(refuse("the group size exceeds the consumer group maximum size"));
        }
        let generation = self.group.generation;
        let mut consumer =
            ConsumerGroup { epoch: generation, assignment_epoch: generation, ..ConsumerGroup::default() };
        for member in self.group.members.iter() {
            let converted = self.upgraded(member, &mut consumer).map_err(refuse)?;
            consumer.target.insert(converted.id.clone(), super::member::partitions(&converted.assigned));
            consumer.put(converted);
        }
        consumer.metadata_hash = consumer.compute_metadata_hash(self.topics);
        let mut written = vec![records::group_metadata(&id, None)];
        written.extend(created(&id, &consumer));
        for member in self.group.members.ids() {
            if let Some(member) = self.group.members.remove(&member) {
                self.fail_waiters(&member, ErrorCode::RebalanceInProgress, &member.id);
            }
        }
        self.end_classic_half();
        let sessions: Vec<_> = consumer.members().map(|it| (it.id.clone(), session_ms(it))).collect();
        for (member, session_ms) in sessions {
            self.set_session(member, millis(session_ms));
        }
        self.group.consumer = Some(Box::new(consumer));
        tracing::info!(group = &*id, "the classic group is a consumer group now");
        Ok(written)
    }

    fn upgraded(
        &self,
        member: &Member,
        consumer: &mut ConsumerGroup,
    ) -> Result<ConsumerMember, &'static str> {
        let malformed = |_| "the embedded consumer protocol is malformed";
        let chosen = self.group.protocol_name.as_deref();
        let proposed = member.protocols().iter().find(|protocol| Some(protocol.name.as_str()) == chosen);
        let proposed =
            proposed.or(member.protocols().first()).ok_or("the embedded consumer protocol is malformed")?;
        let subscription = Subscription::decode(&proposed.metadata).map_err(malformed)?;
        let assignment = embedded::decode_assignment(&member.assignment, self.topics).map_err(|error| {
            error.map_or(
                "an unsupported custom assignor is in use. Please refer to the documentation or switch to a \
                 default assignor before re-attempting the upgrade",
                malformed,
            )
        })?;
        let mut assigned = owned_at(&assignment, self.group.generation);
        for (topic, partitions) in &mut assigned {
            partitions.retain(|partition, _| !consumer.is_held_by_other(&member.id, *topic, *partition));
        }
        Ok(ConsumerMember {
            instance_id: member.group_instance_id.clone(),
            rack_id: subscription.rack_id.filter(|rack| !rack.is_empty()),
            client_id: member.client_id.clone(),
            client_host: member.client_host.clone(),
            rebalance_timeout_ms: member.rebalance_timeout_ms,
            topics: subscription.topics,
            classic: Some(ClassicMetadata {
                session_timeout_ms: member.session_timeout_ms,
                protocols: member.protocols().to_vec(),
            }),
            epoch: self.group.generation,
            previous_epoch: self.group.generation,
            assigned,
            ..ConsumerMember::new(member.id.clone())
        })
    }

    /// Nothing of the classic protocol is left: no member, no timer, no generation.
    fn end_classic_half(&mut self) {
        let group = || self.group.id.clone();
        for timer in [
            Timer::InitialRebalance { group: group() },
            Timer::Rebalance { group: group() },
            Timer::Sync { group: group() },
        ] {
            self.timers.cancel(timer);
        }
        for pending in std::mem::take(&mut self.group.pending_members) {
            self.cancel_session(pending);
        }
        self.group.end_classic_half();
    }

    /// Whether the group would do without the consumer protocol if these members went.
    pub(super) fn is_classic_without(&self, ids: &[Arc<str>]) -> bool {
        let Some(consumer) = &self.group.consumer else { return false };
        let mut left = consumer.members().filter(|member| !ids.contains(&member.id)).peekable();
        left.peek().is_some()
            && self.config.consumer.migration.allows_downgrade()
            && left.all(|member| member.classic.is_some())
            && consumer.len() - ids.len().min(consumer.len()) <= self.config.max_size
    }

    /// Makes the group a classic one of the members that are left.
    pub(super) fn convert_to_classic(&mut self, leaving: &[Arc<str>], rebalances: Option<RebalanceReason>) {
        let id = self.group.id.clone();
        let Some(consumer) = self.group.consumer.take() else { return };
        let mut written = tombstones(&id, &consumer);
        self.group.generation = consumer.epoch;
        self.group.protocol_type = Some(CONSUMER_PROTOCOL_TYPE.to_owned());
        for member in consumer.members() {
            self.cancel_consumer_timers(&member.id);
            if let Some(classic) = member.classic.as_ref().filter(|_| !leaving.contains(&member.id)) {
                let downgraded = self.downgraded(member, classic);
                self.group.leader.get_or_insert_with(|| member.id.clone());
                self.group.members.insert(downgraded);
            }
        }
        self.group.protocol_name = self.group.members.select_protocol();
        self.group.state_since_ms = Some(self.wall_clock_ms);
        self.group.restore_state();
        written.push(self.group_record());
        self.append_in_parts(written);
        for member in self.group.members.ids() {
            self.keep_alive(&member);
        }
        tracing::info!(group = &*id, "the consumer group is a classic group now");
        if let Some(reason) = rebalances {
            self.prepare_rebalance(reason);
        }
    }

    fn downgraded(&self, member: &ConsumerMember, classic: &ClassicMetadata) -> Member {
        let client = (member.client_id.clone(), member.client_host.clone());
        let terms = Terms {
            rebalance_timeout_ms: member.rebalance_timeout_ms,
            session_timeout_ms: classic.session_timeout_ms,
            protocols: classic.protocols.clone(),
        };
        let mut downgraded = Member::new(member.id.clone(), member.instance_id.clone(), client, terms);
        downgraded.assignment =
            embedded::encode_assignment(embedded_version(classic), &member.assigned, self.topics);
        downgraded
    }

    /// Takes an empty consumer group out of the log, so that a classic one of its name can follow.
    pub(in crate::coordinator::group) fn end_consumer_half(&mut self) {
        let Some(consumer) = self.group.consumer.take() else { return };
        let mut written = tombstones(&self.group.id, &consumer);
        self.group.end_classic_half();
        written.push(self.group_record());
        self.append_in_parts(written);
    }
}

/// Version of the embedded protocol that the member writes.
pub(super) fn embedded_version(classic: &ClassicMetadata) -> i16 {
    let first = classic.protocols.first();
    first.and_then(|it| Subscription::decode(&it.metadata).ok()).map_or(0, |it| it.version)
}

fn session_ms(member: &ConsumerMember) -> i32 {
    member.classic.as_ref().map_or(0, |classic| classic.session_timeout_ms)
}

/// The records of a whole consumer group, in Kafka's order.
fn created(id: &str, consumer: &ConsumerGroup) -> Vec<CoordinatorRecord> {
    let members = || consumer.members();
    let group = GroupValue { epoch: consumer.epoch, metadata_hash: consumer.metadata_hash };
    let target = TargetValue { epoch: consumer.assignment_epoch, timestamp_ms: 0 };
    let mut written: Vec<_> = members().map(|member| consumer_records::member(id, member)).collect();
    written.push(consumer_records::group(id, Some(group)));
    for (member, assignment) in &consumer.target {
        written.push(consumer_records::target_member(id, member, assignment));
    }
    written.push(consumer_records::target(id, Some(target)));
    written.extend(members().map(|member| consumer_records::current_member(id, member)));
    written
}

/// Everything the log may hold of a consumer group but its offsets; the group's own record last.
pub(in crate::coordinator::group) fn tombstones(
    id: &str,
    consumer: &ConsumerGroup,
) -> Vec<CoordinatorRecord> {
    let mut written = Vec::new();
    for member in consumer.members() {
        written.extend(consumer_records::member_tombstones(id, &member.id));
    }
    written.push(consumer_records::target(id, None));
    written.extend(consumer.patterns.keys().map(|pattern| consumer_records::pattern(id, pattern, None)));
    if consumer.has_partition_metadata {
        written.push(consumer_records::partition_metadata_tombstone(id));
    }
    written.push(consumer_records::group(id, None));
    written
}
