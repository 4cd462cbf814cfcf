//! The group coordinator in virtual time: event, now, effects. No test sleeps, and nothing here is asynchronous.
//!
//! `World` plays the shell: it hands out waiters and UUIDs, keeps the log, and lets time pass.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use bytes::{BufMut, Bytes, BytesMut};
use protocol::ErrorCode;
use protocol::control_batch::MarkerType;
use uuid::Uuid;

use super::config::MAX_STRING;
use super::offsets::CommittedOffset;
use super::records::{GroupMetadata, group_metadata, offset_commit};
use super::*;

mod admin;
mod bounds;
mod churn;
mod consumer;
mod durability;
mod heartbeat;
mod join;
mod leave;
mod load;
mod offsets;
mod rebalance;
mod records;
mod retention;
mod share;
mod static_members;
mod sync;
mod transactions;
mod transactions_model;

const GROUP: &str = "grp";
const EPOCH_MS: i64 = 1_700_000_000_000;
const SECOND: Duration = Duration::from_secs(1);
const DAY: Duration = Duration::from_hours(24);

/// The coordinator and everything around it.
pub(super) struct World {
    pub(super) coordinator: GroupCoordinator,
    pub(super) now: Instant,
    pub(super) log: BTreeMap<i32, Vec<CoordinatorRecord>>,
    /// All that was appended, as it is to be loaded.
    pub(super) written: Vec<Event>,
    /// The log refuses the next transactional append.
    pub(super) refuses: Option<ErrorCode>,
    last_waiter: u64,
    last_uuid: u128,
}

impl World {
    pub(super) fn new() -> Self {
        Self::with(GroupConfig::default())
    }

    /// All partitions loaded, and empty.
    pub(super) fn with(config: GroupConfig) -> Self {
        let mut world = Self::loading(config);
        world.finish_loading();
        world
    }

    pub(super) fn loading(config: GroupConfig) -> Self {
        let now = start();
        let coordinator = GroupCoordinator::new(config, now, EPOCH_MS);
        let (log, written, refuses) = (BTreeMap::new(), Vec::new(), None);
        Self { coordinator, now, log, written, refuses, last_waiter: 0, last_uuid: 0 }
    }

    pub(super) fn finish_loading(&mut self) {
        for partition in 0..50 {
            self.event(Event::LoadFinished { partition });
        }
    }

    pub(super) fn event(&mut self, event: Event) {
        self.coordinator.handle(self.now, event);
    }

    pub(super) fn effects(&mut self) -> Vec<Effect> {
        self.coordinator.take_effects()
    }

    pub(super) fn send(&mut self, request: Request) -> WaiterId {
        self.last_waiter += 1;
        let waiter = WaiterId(self.last_waiter);
        self.event(Event::Request { waiter, request });
        waiter
    }

    pub(super) fn join(&mut self, mut join: JoinGroup) -> WaiterId {
        self.last_uuid += 1;
        join.fresh_uuid = Uuid::from_u128(self.last_uuid);
        self.send(Request::JoinGroup(join))
    }

    pub(super) fn settle(&mut self, ticket: Ticket, result: Result<(), ErrorCode>) {
        self.event(Event::AppendOutcome { ticket, result });
    }

    /// Writes what is to be written, and returns every answer that comes of it.
    pub(super) fn answers(&mut self) -> Vec<(WaiterId, Response)> {
        let mut answers = Vec::new();
        loop {
            let effects = self.effects();
            if effects.is_empty() {
                return answers;
            }
            for effect in effects {
                match effect {
                    Effect::Append { partition, records, ticket } => {
                        self.log.entry(partition).or_default().extend(records.iter().cloned());
                        let load =
                            |CoordinatorRecord { key, value }| Event::LoadRecord { partition, key, value };
                        self.written.extend(records.into_iter().map(load));
                        self.settle(ticket, Ok(()));
                    }
                    Effect::Work(TransactionalAppend { partition, producer, content, ticket, .. }) => {
                        if self.append_transactional(partition, producer.0, content, ticket) {
                            self.settle(ticket, Ok(()));
                        }
                    }
                    Effect::Respond { waiter, response } => answers.push((waiter, response)),
                    Effect::Reload { partition } => panic!("partition {partition} was to be reloaded"),
                }
            }
        }
    }

    /// Whether the log takes it.
    pub(super) fn append_transactional(
        &mut self,
        partition: i32,
        producer_id: i64,
        content: TransactionalContent,
        ticket: Ticket,
    ) -> bool {
        if let Some(error) = self.refuses.take() {
            self.event(Event::Own(GroupEvent::AppendTried { ticket, result: Err(error) }));
            return false;
        }
        match content {
            TransactionalContent::Records(records) => {
                self.written.extend(records.into_iter().map(|CoordinatorRecord { key, value }| {
                    Event::Own(GroupEvent::LoadTransactionalRecord { partition, producer_id, key, value })
                }));
            }
            TransactionalContent::Marker(marker) => {
                let committed = marker.marker_type == MarkerType::Commit;
                self.written.push(Event::Own(GroupEvent::LoadMarker { partition, producer_id, committed }));
            }
        }
        self.event(Event::Own(GroupEvent::AppendTried { ticket, result: Ok(()) }));
        true
    }

    /// The one answer that is due, which must be to this waiter.
    pub(super) fn answer(&mut self, waiter: WaiterId) -> Response {
        let mut answers = self.answers();
        assert_eq!(answers.len(), 1, "{answers:?}");
        let (answered, response) = answers.remove(0);
        assert_eq!(answered, waiter);
        response
    }

    pub(super) fn ask(&mut self, request: Request) -> Response {
        let waiter = self.send(request);
        self.answer(waiter)
    }

    pub(super) fn ask_to_join(&mut self, join: JoinGroup) -> JoinGroupResponse {
        let waiter = self.join(join);
        joined(self.answer(waiter))
    }

    pub(super) fn ask_to_sync(&mut self, sync: SyncGroup) -> SyncGroupResponse {
        synced(self.ask(Request::SyncGroup(sync)))
    }

    pub(super) fn heartbeat(&mut self, member: &str, generation_id: i32) -> ErrorCode {
        let heartbeat = heartbeat(member, generation_id);
        let Response::Heartbeat(error) = self.ask(Request::Heartbeat(heartbeat)) else {
            panic!("no heartbeat")
        };
        error
    }

    pub(super) fn commit(&mut self, commit: OffsetCommit) -> ErrorCode {
        let Response::OffsetCommit(topics) = self.ask(Request::OffsetCommit(commit)) else {
            panic!("no commit")
        };
        topics[0].1[0].1
    }

    /// The committed offset of partition 0.
    pub(super) fn committed(&mut self, topic: &str) -> i64 {
        let topics = Some(vec![(topic.to_owned(), vec![0])]);
        let fetch = OffsetFetch { group_id: GROUP.to_owned(), topics, ..OffsetFetch::default() };
        let Response::OffsetFetch(response) = self.ask(Request::OffsetFetch(fetch)) else {
            panic!("no fetch")
        };
        response.topics[0].1[0].offset
    }

    pub(super) fn state(&mut self) -> GroupState {
        self.describe().state.expect("a loaded coordinator knows the state")
    }

    pub(super) fn describe(&mut self) -> DescribedGroup {
        let describe = DescribeGroup { group_id: GROUP.to_owned(), supports_group_id_not_found: false };
        let Response::DescribeGroup(group) = self.ask(Request::DescribeGroup(describe)) else {
            panic!("no group")
        };
        group
    }

    /// Lets time pass, waking the coordinator whenever it asked for it.
    pub(super) fn pass(&mut self, time: Duration) {
        let end = self.now + time;
        while let Some(due) = self.coordinator.next_timeout().filter(|due| *due <= end) {
            self.now = due.max(self.now);
            self.coordinator.handle_timeout(self.now);
        }
        self.now = end;
    }

    /// Long enough for members that joined together: a round of the initial delay, and one more because of the second.
    pub(super) fn pass_initial_rebalance(&mut self) {
        self.pass(SECOND * 6);
    }

    /// Lets seconds pass in which these members send heartbeats. Returns what else was answered.
    pub(super) fn pass_alive(
        &mut self,
        seconds: u32,
        members: &[&str],
        generation_id: i32,
    ) -> Vec<(WaiterId, Response)> {
        let mut answers = Vec::new();
        for _ in 0..seconds {
            self.pass(SECOND);
            for member in members {
                self.send(Request::Heartbeat(heartbeat(member, generation_id)));
            }
            let all = self.answers();
            answers
                .extend(all.into_iter().filter(|(_, response)| !matches!(response, Response::Heartbeat(_))));
        }
        answers
    }

    /// A dynamic member without an id yet joins (KIP-394) and waits; returns its id.
    pub(super) fn join_dynamic(&mut self) -> (String, WaiterId) {
        let member = self.ask_to_join(first_join()).member_id;
        let waiter = self.join(rejoin(&member));
        (member, waiter)
    }

    /// A group of so many dynamic members in its first generation, all joined, none synced. The leader is the first.
    pub(super) fn joined_group(&mut self, members: usize) -> Vec<String> {
        let ids = (0..members).map(|_| self.join_dynamic().0).collect();
        self.pass_initial_rebalance();
        assert_eq!(self.answers().len(), members);
        ids
    }

    /// A group of so many dynamic members, Stable in its first generation; member number n was assigned the byte n.
    pub(super) fn stable_group(&mut self, members: usize) -> Vec<String> {
        let ids = self.joined_group(members);
        for id in &ids[1..] {
            self.send(Request::SyncGroup(sync(id, 1)));
        }
        self.send(Request::SyncGroup(SyncGroup { assignments: assignments(&ids), ..sync(&ids[0], 1) }));
        assert_eq!(self.answers().len(), members);
        assert_eq!(self.state(), GroupState::Stable);
        ids
    }
}

/// Any instant will do; it is the only one that is read from the system.
#[expect(clippy::disallowed_methods, reason = "an Instant can be had from nowhere else")]
fn start() -> Instant {
    Instant::now()
}

pub(super) fn first_join() -> JoinGroup {
    JoinGroup {
        group_id: GROUP.to_owned(),
        member_id: String::new(),
        group_instance_id: None,
        client_id: "client".to_owned(),
        client_host: "/127.0.0.1".to_owned(),
        session_timeout_ms: 10_000,
        rebalance_timeout_ms: 60_000,
        protocol_type: "consumer".to_owned(),
        protocols: vec![range(&["topic"])],
        requires_known_member_id: true,
        supports_skip_assignment: true,
        fresh_uuid: Uuid::nil(),
    }
}

pub(super) fn rejoin(member: &str) -> JoinGroup {
    JoinGroup { member_id: member.to_owned(), ..first_join() }
}

/// The member's second join, with another subscription.
pub(super) fn changed(member: &str) -> JoinGroup {
    JoinGroup { protocols: vec![range(&["topic", "another"])], ..rejoin(member) }
}

pub(super) fn static_join(instance: &str) -> JoinGroup {
    JoinGroup { group_instance_id: Some(instance.to_owned()), ..first_join() }
}

pub(super) fn range(topics: &[&str]) -> Protocol {
    Protocol { name: "range".to_owned(), metadata: subscription(topics) }
}

pub(super) fn protocol(name: &str) -> Protocol {
    Protocol { name: name.to_owned(), metadata: subscription(&["topic"]) }
}

/// `ConsumerProtocolSubscription`, version 0.
pub(super) fn subscription(topics: &[&str]) -> Bytes {
    let mut buffer = BytesMut::new();
    buffer.put_i16(0);
    buffer.put_i32(i32::try_from(topics.len()).unwrap());
    for topic in topics {
        buffer.put_i16(i16::try_from(topic.len()).unwrap());
        buffer.put_slice(topic.as_bytes());
    }
    buffer.put_i32(-1);
    buffer.freeze()
}

pub(super) fn sync(member: &str, generation_id: i32) -> SyncGroup {
    SyncGroup {
        group_id: GROUP.to_owned(),
        generation_id,
        member_id: member.to_owned(),
        group_instance_id: None,
        protocol_type: None,
        protocol_name: None,
        assignments: Vec::new(),
    }
}

pub(super) fn assignments(ids: &[String]) -> Vec<(String, Bytes)> {
    let assignment =
        |(index, id): (usize, &String)| (id.clone(), Bytes::from(vec![u8::try_from(index).unwrap()]));
    ids.iter().enumerate().map(assignment).collect()
}

pub(super) fn heartbeat(member: &str, generation_id: i32) -> Heartbeat {
    Heartbeat {
        group_id: GROUP.to_owned(),
        generation_id,
        member_id: member.to_owned(),
        group_instance_id: None,
    }
}

pub(super) fn leave(members: &[&str]) -> Request {
    let identity =
        |member: &&str| MemberIdentity { member_id: (*member).to_owned(), group_instance_id: None };
    Request::LeaveGroup(LeaveGroup {
        group_id: GROUP.to_owned(),
        members: members.iter().map(identity).collect(),
    })
}

/// Offset 42 of partition 0, committed by this member.
pub(super) fn commit_by(member: &str, generation_id: i32) -> OffsetCommit {
    OffsetCommit {
        group_id: GROUP.to_owned(),
        generation_id,
        member_id: member.to_owned(),
        group_instance_id: None,
        retention: None,
        supports_group_id_not_found: true,
        topics: vec![("topic".to_owned(), vec![offset(0, 42)])],
    }
}

/// Committed by a client that is in no group.
pub(super) fn simple_commit() -> OffsetCommit {
    commit_by("", -1)
}

pub(super) fn offset(partition: i32, offset: i64) -> PartitionCommit {
    PartitionCommit { partition, offset, leader_epoch: 3, metadata: Some("meta".to_owned()) }
}

pub(super) fn joined(response: Response) -> JoinGroupResponse {
    let Response::JoinGroup(joined) = response else { panic!("{response:?}") };
    joined
}

pub(super) fn synced(response: Response) -> SyncGroupResponse {
    let Response::SyncGroup(synced) = response else { panic!("{response:?}") };
    synced
}

pub(super) fn left(response: Response) -> Vec<ErrorCode> {
    let Response::LeaveGroup(left) = response else { panic!("{response:?}") };
    left.members.into_iter().map(|member| member.error).collect()
}
