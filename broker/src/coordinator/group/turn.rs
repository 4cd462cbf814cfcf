//! One event's work on one group: the group and the few things around it that its rules touch.
//!
//! The rules themselves are in the neighbouring rooms (`join`, `rebalance`, `sync`, `leave`, `offsets`, `retention`), each
//! an `impl Turn`. Here is what they share: writing, answering, and keeping members alive.

use std::sync::Arc;
use std::time::{Duration, Instant};

use bytes::Bytes;
use protocol::ErrorCode;

use super::classic::{Group, millis};
use super::config::GroupConfig;
use super::consumer::topics::TopicIndex;
use super::effect::{CoordinatorRecord, Outbox, Ticket, WaiterId};
use super::members::Member;
use super::rebalances::Rebalances;
use super::records::{self, GroupMetadata, MemberMetadata};
use super::response::{JoinGroupResponse, Response, SyncGroupResponse};
use super::timers::{Timer, Timers};

/// A group being worked on.
pub(super) struct Turn<'a> {
    pub(super) now: Instant,
    pub(super) wall_clock_ms: i64,
    pub(super) partition: i32,
    pub(super) config: &'a GroupConfig,
    pub(super) topics: &'a TopicIndex,
    pub(super) timers: &'a mut Timers,
    pub(super) outbox: &'a mut Outbox,
    pub(super) rebalances: &'a mut Rebalances,
    pub(super) group: &'a mut Group,
}

impl Turn<'_> {
    pub(super) fn append(&mut self, records: Vec<CoordinatorRecord>) -> Ticket {
        let ticket = self.outbox.append(self.partition, records, None);
        self.group.last_append = Some(ticket);
        ticket
    }

    /// Appends what need not be atomic, in as many appends as its size takes. Returns the last.
    pub(super) fn append_in_parts(&mut self, records: Vec<CoordinatorRecord>) -> Option<Ticket> {
        let (mut part, mut size, mut last) = (Vec::new(), 0, None);
        for record in records {
            if !part.is_empty() && size + record.size() > self.config.max_append_bytes {
                last = Some(self.append(std::mem::take(&mut part)));
                size = 0;
            }
            size += record.size();
            part.push(record);
        }
        if part.is_empty() { last } else { Some(self.append(part)) }
    }

    pub(super) fn respond(&mut self, waiter: WaiterId, response: Response) {
        self.outbox.respond(waiter, response);
    }

    /// Answers once everything the group knows is durable.
    pub(super) fn respond_when_durable(&mut self, waiter: WaiterId, response: Response) {
        self.outbox.respond_after(self.group.last_append, waiter, response);
    }

    pub(super) fn fail_join(&mut self, waiter: WaiterId, error: ErrorCode, member_id: &str) {
        self.respond(waiter, Response::JoinGroup(JoinGroupResponse::failed(error, member_id)));
    }

    pub(super) fn fail_sync(&mut self, waiter: WaiterId, error: ErrorCode) {
        self.respond(waiter, Response::SyncGroup(SyncGroupResponse::failed(error)));
    }

    /// Answers whatever a member that is no longer in the group still waits for.
    pub(super) fn fail_waiters(&mut self, member: &Member, error: ErrorCode, member_id: &str) {
        if let Some(waiter) = member.awaiting_join() {
            self.fail_join(waiter, error, member_id);
        }
        if let Some(waiter) = member.awaiting_sync {
            self.fail_sync(waiter, error);
        }
    }

    /// The member was heard of: its session begins anew.
    pub(super) fn keep_alive(&mut self, member_id: &str) {
        let Some(member) = self.group.members.get(member_id) else { return };
        let (id, timeout) = (member.id.clone(), millis(member.session_timeout_ms));
        self.set_session(id, timeout);
    }

    pub(super) fn set_session(&mut self, member: Arc<str>, timeout: Duration) {
        let timer = Timer::Session { group: self.group.id.clone(), member };
        self.timers.set(timer, self.now + timeout);
    }

    pub(super) fn cancel_session(&mut self, member: Arc<str>) {
        self.timers.cancel(Timer::Session { group: self.group.id.clone(), member });
    }

    /// Takes a member, or an id that was handed out, out of the group.
    pub(super) fn remove_member(&mut self, member_id: &str) {
        let id: Arc<str> = member_id.into();
        if let Some(member) = self.group.members.remove(member_id) {
            self.fail_waiters(&member, ErrorCode::UnknownMemberId, "");
        }
        if self.group.is_leader(member_id) {
            self.group.leader = self.group.members.iter().next().map(|member| member.id.clone());
        }
        self.group.pending_members.remove(&id);
        self.group.pending_sync.remove(&id);
        self.cancel_session(id);
    }

    /// The group as the log keeps it.
    pub(super) fn group_record(&self) -> CoordinatorRecord {
        let group = &self.group;
        let protocol = group.protocol_name.as_deref();
        let member = |member: &Member| MemberMetadata {
            member_id: member.id.to_string(),
            group_instance_id: member.group_instance_id.clone(),
            client_id: member.client_id.clone(),
            client_host: member.client_host.clone(),
            rebalance_timeout_ms: member.rebalance_timeout_ms,
            session_timeout_ms: member.session_timeout_ms,
            subscription: member.metadata(protocol),
            assignment: Bytes::clone(&member.assignment),
        };
        let metadata = GroupMetadata {
            protocol_type: group.protocol_type.clone().unwrap_or_default(),
            generation: group.generation,
            protocol: group.protocol_name.clone(),
            leader: group.leader.as_deref().map(str::to_owned),
            state_since_ms: group.state_since_ms,
            members: group.members.iter().map(member).collect(),
        };
        records::group_metadata(&group.id, Some(&metadata))
    }

    pub(super) fn fits_an_append(&self, record: &CoordinatorRecord) -> bool {
        record.size() <= self.config.max_append_bytes
    }
}
