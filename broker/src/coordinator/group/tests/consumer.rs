//! Consumer groups (KIP-848) in virtual time.

use super::*;

mod convert;
mod fencing;
mod members;
mod model;
mod patterns;
mod reload;
mod topics;

pub(super) const NO_DELAY: Duration = Duration::ZERO;

/// A world with topic `topic` of so many partitions, and no wait between assignments.
pub(super) fn world(partitions: i32) -> World {
    let mut world = World::with(config());
    world.topic("topic", 1, partitions);
    world
}

pub(super) fn config() -> GroupConfig {
    let consumer = ConsumerConfig { assignment_interval: NO_DELAY, ..ConsumerConfig::default() };
    GroupConfig { consumer, ..GroupConfig::default() }
}

/// Topic ids by number.
pub(super) fn id(number: u128) -> Uuid {
    Uuid::from_u128(number)
}

/// Partitions of topic number 1.
pub(super) fn partitions(partitions: &[i32]) -> Assignment {
    if partitions.is_empty() {
        return Assignment::new();
    }
    Assignment::from([(id(1), partitions.iter().copied().collect())])
}

/// A full request to join.
pub(super) fn joining(member: &str) -> ConsumerGroupHeartbeat {
    ConsumerGroupHeartbeat {
        group_id: GROUP.to_owned(),
        member_id: member.to_owned(),
        member_epoch: 0,
        instance_id: None,
        rack_id: None,
        rebalance_timeout_ms: 60_000,
        topics: Some(vec!["topic".to_owned()]),
        regex: None,
        server_assignor: None,
        owned: Some(Assignment::new()),
        client_id: "client".to_owned(),
        client_host: "/127.0.0.1".to_owned(),
        settings: config().consumer.settings(),
        requires_member_id: true,
        fresh_member_id: "fresh".to_owned(),
    }
}

pub(super) fn joining_static(member: &str, instance: &str) -> ConsumerGroupHeartbeat {
    ConsumerGroupHeartbeat { instance_id: Some(instance.to_owned()), ..joining(member) }
}

/// A request that says nothing new.
pub(super) fn staying(member: &str, member_epoch: i32) -> ConsumerGroupHeartbeat {
    let rebalance_timeout_ms = -1;
    ConsumerGroupHeartbeat {
        member_epoch,
        rebalance_timeout_ms,
        topics: None,
        owned: None,
        ..joining(member)
    }
}

pub(super) fn owning(member: &str, member_epoch: i32, owned: Assignment) -> ConsumerGroupHeartbeat {
    ConsumerGroupHeartbeat { owned: Some(owned), ..staying(member, member_epoch) }
}

impl World {
    pub(super) fn topic(&mut self, name: &str, number: u128, partitions: i32) {
        let info = Some(TopicInfo { id: id(number), partitions });
        self.event(Event::Own(GroupEvent::TopicChanged { topic: name.to_owned(), info }));
    }

    pub(super) fn beat(&mut self, request: ConsumerGroupHeartbeat) -> ConsumerGroupHeartbeatResponse {
        let response = self.ask(Request::ConsumerGroupHeartbeat(Box::new(request)));
        let Response::ConsumerGroupHeartbeat(beat) = response else { panic!("{response:?}") };
        beat
    }

    /// A heartbeat that is let in; what the member is told.
    pub(super) fn beat_ok(&mut self, request: ConsumerGroupHeartbeat) -> (i32, Option<Assignment>) {
        let beat = self.beat(request);
        assert_eq!(beat.error, ErrorCode::None, "{:?}", beat.message);
        (beat.member_epoch, beat.assignment)
    }

    pub(super) fn beat_error(&mut self, request: ConsumerGroupHeartbeat) -> (ErrorCode, String) {
        let beat = self.beat(request);
        (beat.error, beat.message.unwrap_or_default())
    }

    pub(super) fn describe_consumers(&mut self) -> DescribedConsumerGroup {
        let describe = Request::ConsumerGroupDescribe { group_id: GROUP.to_owned() };
        let Response::ConsumerGroupDescribe(group) = self.ask(describe) else { panic!("no group") };
        group
    }

    /// Two members that share four partitions, at epoch 3.
    pub(super) fn pair(&mut self) {
        self.beat_ok(joining("a"));
        self.beat_ok(joining("b"));
        self.beat_ok(staying("a", 2));
        self.beat_ok(owning("a", 2, partitions(&[0, 1])));
        assert_eq!(self.beat_ok(staying("b", 3)), (3, Some(partitions(&[2, 3]))));
        assert_eq!(self.describe_consumers().state, "Stable");
    }
}
