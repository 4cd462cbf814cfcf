//! Membership of a classic group (Kafka class `ConsumerCoordinator`), with the `range` assignor when it leads.
//!
//! Invariant: what is assigned is read only until a heartbeat or a commit says that the group has moved on; then `must_join`.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use bytes::{BufMut as _, Bytes, BytesMut};
use kafka_protocol::messages::consumer_protocol_assignment::TopicPartition as AssignedTopic;
use kafka_protocol::messages::join_group_request::JoinGroupRequestProtocol;
use kafka_protocol::messages::join_group_response::JoinGroupResponseMember;
use kafka_protocol::messages::offset_commit_request::{
    OffsetCommitRequestPartition, OffsetCommitRequestTopic,
};
use kafka_protocol::messages::sync_group_request::SyncGroupRequestAssignment;
use kafka_protocol::messages::{
    ConsumerProtocolAssignment, ConsumerProtocolSubscription, GroupId, HeartbeatRequest, JoinGroupRequest,
    LeaveGroupRequest, OffsetCommitRequest, SyncGroupRequest,
};
use kafka_protocol::protocol::{Decodable as _, Encodable as _, StrBytes};
use protocol::ErrorCode;

use super::{Positions, reading};
use crate::client::{Client, Cluster, Target, topic_name};
use crate::failure::{Failure, Outcome};
use crate::partitions::TopicPartition;
use crate::{clock, group_offsets};

pub(super) const HEARTBEAT_INTERVAL: Duration = Duration::from_secs(2);
/// Short, because a tool that is interrupted leaves without a word.
const SESSION_TIMEOUT_MS: i32 = 10_000;
const REBALANCE_TIMEOUT_MS: i32 = 60_000;
const REBALANCE_LIMIT: Duration = Duration::from_secs(120);
/// Versions whose fields are those that are set here.
const NEWEST_JOIN: i16 = 5;
const NEWEST_LEAVE: i16 = 2;
const NEWEST_COMMIT: i16 = 7;
const ASSIGNOR: &str = "range";

#[derive(Debug)]
pub(super) struct Membership {
    group: String,
    member_id: StrBytes,
    generation: i32,
    joined: bool,
    last_heartbeat: Instant,
}

impl Membership {
    pub(super) fn new(group: String) -> Self {
        let member_id = StrBytes::from_static_str("");
        Self { group, member_id, generation: -1, joined: false, last_heartbeat: clock::now() }
    }

    pub(super) fn must_join(&self) -> bool {
        !self.joined
    }

    /// Joins and returns what this member is to read of `topics`.
    pub(super) fn join(&mut self, client: &mut Client, topics: &[String]) -> Outcome<Vec<TopicPartition>> {
        loop {
            let joined = client.retry(|client| self.join_once(client, topics));
            match joined {
                Err(failure) if self.takes_up(&failure) => {}
                joined => return joined,
            }
        }
    }

    fn join_once(&mut self, client: &mut Client, topics: &[String]) -> Outcome<Vec<TopicPartition>> {
        let target = self.coordinator(client)?;
        let request = JoinGroupRequest::default()
            .with_group_id(self.id())
            .with_session_timeout_ms(SESSION_TIMEOUT_MS)
            .with_rebalance_timeout_ms(REBALANCE_TIMEOUT_MS)
            .with_member_id(self.member_id.clone())
            .with_protocol_type(StrBytes::from_static_str("consumer"))
            .with_protocols(vec![
                JoinGroupRequestProtocol::default()
                    .with_name(StrBytes::from_static_str(ASSIGNOR))
                    .with_metadata(subscription(topics)?),
            ]);
        let answer = client.call_within(target, &request, NEWEST_JOIN, REBALANCE_LIMIT)?;
        if answer.error_code == ErrorCode::MemberIdRequired.code() {
            self.member_id = answer.member_id;
            return Err(Failure::broker(answer.error_code, None));
        }
        Failure::check(answer.error_code, None)?;
        self.member_id = answer.member_id.clone();
        self.generation = answer.generation_id;
        let assignments = if answer.leader == answer.member_id {
            assignments(client, &answer.members)?
        } else {
            Vec::new()
        };
        let request = SyncGroupRequest::default()
            .with_group_id(self.id())
            .with_generation_id(self.generation)
            .with_member_id(self.member_id.clone())
            .with_assignments(assignments);
        let answer = client.call_within(target, &request, NEWEST_JOIN - 2, REBALANCE_LIMIT)?;
        Failure::check(answer.error_code, None)?;
        self.joined = true;
        self.last_heartbeat = clock::now();
        assigned(answer.assignment)
    }

    /// Tells the group that this member lives, when it is time; `false` when it must join again.
    pub(super) fn heartbeat(&mut self, client: &mut Client) -> Outcome<bool> {
        if self.last_heartbeat.elapsed() < HEARTBEAT_INTERVAL {
            return Ok(true);
        }
        self.last_heartbeat = clock::now();
        let request = HeartbeatRequest::default()
            .with_group_id(self.id())
            .with_generation_id(self.generation)
            .with_member_id(self.member_id.clone());
        let beaten = client.retry(|client| {
            let target = self.coordinator(client)?;
            Failure::check(client.call_at_most(target, &request, 3)?.error_code, None)
        });
        match beaten {
            Err(failure) if self.takes_up(&failure) => Ok(false),
            beaten => beaten.map(|()| true),
        }
    }

    /// Commits `positions`. A group that has moved on keeps what it has.
    pub(super) fn commit(&mut self, client: &mut Client, positions: &Positions) -> Outcome {
        if positions.is_empty() {
            return Ok(());
        }
        let topics = reading::by_topic(positions).into_iter().map(|(name, partitions)| {
            let partitions = partitions.into_iter().map(|(index, offset)| {
                OffsetCommitRequestPartition::default()
                    .with_partition_index(index)
                    .with_committed_offset(offset)
                    .with_committed_metadata(Some(StrBytes::from_static_str("")))
            });
            OffsetCommitRequestTopic::default()
                .with_name(topic_name(name))
                .with_partitions(partitions.collect())
        });
        let request = OffsetCommitRequest::default()
            .with_group_id(self.id())
            .with_generation_id_or_member_epoch(self.generation)
            .with_member_id(self.member_id.clone())
            .with_topics(topics.collect());
        let committed = client.retry(|client| {
            let target = self.coordinator(client)?;
            let answer = client.call_at_most(target, &request, NEWEST_COMMIT)?;
            let mut partitions = answer.topics.iter().flat_map(|topic| &topic.partitions);
            partitions.try_for_each(|partition| Failure::check(partition.error_code, None))
        });
        match committed {
            Err(failure) if self.takes_up(&failure) => Ok(()),
            committed => committed,
        }
    }

    /// What the group has committed for `partitions`; nothing for those it has not.
    pub(super) fn offsets(&self, client: &mut Client, partitions: &[TopicPartition]) -> Outcome<Positions> {
        let mut offsets = group_offsets::committed(client, &self.group)?;
        offsets.retain(|partition, _| partitions.contains(partition));
        Ok(offsets.into_iter().map(|(partition, committed)| (partition, committed.offset)).collect())
    }

    /// Says goodbye, if it can be said in one attempt: nobody waits for the answer.
    pub(super) fn leave(&mut self, client: &mut Client) {
        if self.joined {
            let request =
                LeaveGroupRequest::default().with_group_id(self.id()).with_member_id(self.member_id.clone());
            if let Ok(target) = self.coordinator(client) {
                drop(client.call_at_most(target, &request, NEWEST_LEAVE));
            }
        }
    }

    /// Whether `failure` only means that this member must join (again); if so it will.
    fn takes_up(&mut self, failure: &Failure) -> bool {
        let Some(code) = failure.code() else { return false };
        match code {
            ErrorCode::MemberIdRequired | ErrorCode::RebalanceInProgress => {}
            ErrorCode::UnknownMemberId | ErrorCode::IllegalGeneration => {
                self.member_id = StrBytes::from_static_str("");
                self.generation = -1;
            }
            _ => return false,
        }
        self.joined = false;
        true
    }

    fn coordinator(&self, client: &mut Client) -> Outcome<Target> {
        Ok(Target::Node(client.coordinator(&self.group)?.id))
    }

    fn id(&self) -> GroupId {
        GroupId(StrBytes::from_string(self.group.clone()))
    }
}

/// A subscription as members send it: version 0, then the topics.
fn subscription(topics: &[String]) -> Outcome<Bytes> {
    let topics = topics.iter().map(|topic| StrBytes::from_string(topic.clone())).collect();
    versioned(|out| {
        ConsumerProtocolSubscription::default()
            .with_topics(topics)
            .with_user_data(None)
            .encode(out, 0)
            .is_ok()
    })
}

fn versioned(encode: impl FnOnce(&mut BytesMut) -> bool) -> Outcome<Bytes> {
    let mut out = BytesMut::new();
    out.put_i16(0);
    if encode(&mut out) {
        Ok(out.freeze())
    } else {
        Err(Failure::new("the group's message is too long for its format"))
    }
}

/// Reads what `versioned` wrote; members of any version may have.
fn unversioned<M>(mut bytes: Bytes, decode: impl FnOnce(&mut Bytes, i16) -> Option<M>) -> Outcome<M> {
    let damaged = || Failure::new("a member of the group sent what is no message of consumers");
    let version: [u8; 2] = bytes.get(..2).and_then(|version| version.try_into().ok()).ok_or_else(damaged)?;
    drop(bytes.split_to(2));
    decode(&mut bytes, i16::from_be_bytes(version).clamp(0, 3)).ok_or_else(damaged)
}

fn assignments(
    client: &mut Client,
    members: &[JoinGroupResponseMember],
) -> Outcome<Vec<SyncGroupRequestAssignment>> {
    let mut subscribed: BTreeMap<String, Vec<StrBytes>> = BTreeMap::new();
    for member in members {
        let read = unversioned(member.metadata.clone(), |bytes, version| {
            ConsumerProtocolSubscription::decode(bytes, version).ok()
        })?;
        for topic in read.topics {
            subscribed.entry(topic.to_string()).or_default().push(member.member_id.clone());
        }
    }
    let names: Vec<&str> = subscribed.keys().map(String::as_str).collect();
    let cluster = client.cluster_once(Some(&names), false)?;
    let plan = range(&cluster, &subscribed);
    let assignment = |member: &JoinGroupResponseMember| {
        let topics = plan.get(&member.member_id).into_iter().flatten().map(|(topic, partitions)| {
            AssignedTopic::default().with_topic(topic_name(topic)).with_partitions(partitions.clone())
        });
        let message = ConsumerProtocolAssignment::default()
            .with_assigned_partitions(topics.collect())
            .with_user_data(None);
        let bytes = versioned(|out| message.encode(out, 0).is_ok())?;
        Ok(SyncGroupRequestAssignment::default()
            .with_member_id(member.member_id.clone())
            .with_assignment(bytes))
    };
    members.iter().map(assignment).collect()
}

/// Kafka's `RangeAssignor`: per topic, neighbouring partitions to the members in the order of their ids, the first ones get one
/// more.
fn range(
    cluster: &Cluster,
    subscribed: &BTreeMap<String, Vec<StrBytes>>,
) -> BTreeMap<StrBytes, BTreeMap<String, Vec<i32>>> {
    let mut plan: BTreeMap<StrBytes, BTreeMap<String, Vec<i32>>> = BTreeMap::new();
    for (topic, members) in subscribed {
        let found = cluster.topics.get(topic);
        let partitions: Vec<i32> =
            found.map(|topic| topic.leaders.keys().copied().collect()).unwrap_or_default();
        let mut members = members.clone();
        members.sort_by(|a, b| a.as_str().cmp(b.as_str()));
        let (each, more) = (partitions.len() / members.len(), partitions.len() % members.len());
        let mut rest = partitions.as_slice();
        for (place, member) in members.into_iter().enumerate() {
            let (mine, others) = rest.split_at(each + usize::from(place < more));
            rest = others;
            plan.entry(member).or_default().insert(topic.clone(), mine.to_vec());
        }
    }
    plan
}

/// What a leader assigned; nothing is an empty message.
pub(crate) fn assigned(bytes: Bytes) -> Outcome<Vec<TopicPartition>> {
    if bytes.is_empty() {
        return Ok(Vec::new());
    }
    let read = unversioned(bytes, |bytes, version| ConsumerProtocolAssignment::decode(bytes, version).ok())?;
    let topics = read.assigned_partitions.into_iter();
    Ok(topics
        .flat_map(|topic| topic.partitions.into_iter().map(move |index| (topic.topic.to_string(), index)))
        .collect())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::client::TopicInfo;

    #[test]
    fn range_gives_neighbours_and_the_first_members_one_more() {
        let topic = TopicInfo::for_test("t", 5);
        let cluster = Cluster {
            brokers: Vec::new(),
            controller: None,
            topics: BTreeMap::from([("t".to_owned(), topic)]),
        };
        let [b, a] = ["b", "a"].map(StrBytes::from_static_str);
        let plan = range(&cluster, &BTreeMap::from([("t".to_owned(), vec![b.clone(), a.clone()])]));
        assert_eq!((&plan[&a]["t"], &plan[&b]["t"]), (&vec![0, 1, 2], &vec![3, 4]));
    }

    #[test]
    fn assignment_is_read_as_it_was_written() {
        let topic = AssignedTopic::default().with_topic(topic_name("t")).with_partitions(vec![1, 2]);
        let message = ConsumerProtocolAssignment::default().with_assigned_partitions(vec![topic]);
        let bytes = versioned(|out| message.encode(out, 0).is_ok()).unwrap();
        assert_eq!(assigned(bytes).unwrap(), [("t".to_owned(), 1), ("t".to_owned(), 2)]);
        assert_eq!(assigned(Bytes::new()).unwrap(), []);
        assert!(assigned(Bytes::from_static(b"\0")).is_err());
    }
}
