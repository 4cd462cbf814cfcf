//! Share groups (KIP-932) in virtual time.

use super::*;

mod members;
mod model;
mod offsets;
mod reload;
mod wrong_kind;

/// Topic ids by number.
fn id(number: u128) -> Uuid {
    Uuid::from_u128(number)
}

/// Partitions of topic number 1.
fn partitions(partitions: &[i32]) -> Assignment {
    if partitions.is_empty() {
        return Assignment::new();
    }
    Assignment::from([(id(1), partitions.iter().copied().collect())])
}

fn config() -> GroupConfig {
    let share = ShareConfig { assignment_interval: Duration::ZERO, ..ShareConfig::default() };
    GroupConfig { share, ..GroupConfig::default() }
}

/// A world with topic `topic` of so many partitions, and no wait between assignments.
fn world(partitions: i32) -> World {
    let mut world = World::with(config());
    world.topic("topic", 1, partitions);
    world
}

fn joining(member: &str) -> ShareGroupHeartbeat {
    ShareGroupHeartbeat {
        group_id: GROUP.to_owned(),
        member_id: member.to_owned(),
        member_epoch: 0,
        rack_id: None,
        topics: Some(vec!["topic".to_owned()]),
        client_id: "client".to_owned(),
        client_host: "/127.0.0.1".to_owned(),
        settings: config().share.settings(),
    }
}

/// A request that says nothing new.
fn staying(member: &str, member_epoch: i32) -> ShareGroupHeartbeat {
    ShareGroupHeartbeat { member_epoch, topics: None, ..joining(member) }
}

fn leaving(member: &str) -> ShareGroupHeartbeat {
    staying(member, -1)
}

impl World {
    fn share(&mut self, request: ShareRequest) -> ShareResponse {
        let Response::Share(response) = self.ask(Request::Share(request)) else { panic!("no share group") };
        response
    }

    fn share_beat(&mut self, request: ShareGroupHeartbeat) -> ShareGroupHeartbeatResponse {
        match self.share(ShareRequest::Heartbeat(Box::new(request))) {
            ShareResponse::Heartbeat(beat) => beat,
            other => panic!("{other:?}"),
        }
    }

    /// A heartbeat that is let in; what the member is told. What is to be initialized is initialized.
    fn share_ok(&mut self, request: ShareGroupHeartbeat) -> (i32, Option<Assignment>) {
        let beat = self.share_beat(request);
        assert_eq!(beat.error, ErrorCode::None, "{:?}", beat.message);
        if let Some(Initialize { partitions, .. }) = beat.initialize {
            self.initialized(partitions, true);
        }
        (beat.member_epoch, beat.assignment)
    }

    fn initialized(&mut self, partitions: Assignment, succeeded: bool) {
        let group_id = GROUP.to_owned();
        let noted = self.share(ShareRequest::Initialized { group_id, partitions, succeeded });
        assert_eq!(noted, ShareResponse::Noted(ErrorCode::None));
    }

    fn share_error(&mut self, request: ShareGroupHeartbeat) -> (ErrorCode, String) {
        let beat = self.share_beat(request);
        (beat.error, beat.message.unwrap_or_default())
    }

    fn describe_share(&mut self) -> DescribedShareGroup {
        match self.share(ShareRequest::Describe { group_id: GROUP.to_owned() }) {
            ShareResponse::Describe(group) => group,
            other => panic!("{other:?}"),
        }
    }

    fn state_partitions(&mut self) -> Assignment {
        match self.share(ShareRequest::StatePartitions { group_id: GROUP.to_owned() }) {
            ShareResponse::StatePartitions(Ok(partitions)) => partitions,
            other => panic!("{other:?}"),
        }
    }

    fn topic_is_gone(&mut self) {
        let topic = "topic".to_owned();
        self.event(Event::Own(GroupEvent::TopicChanged { topic: topic.clone(), info: None }));
        self.event(Event::Own(GroupEvent::TopicDeleted { topic }));
        assert!(self.answers().is_empty());
    }

    fn delete(&mut self) -> ErrorCode {
        match self.ask(Request::DeleteGroup { group_id: GROUP.to_owned() }) {
            Response::DeleteGroup(error) => error,
            other => panic!("{other:?}"),
        }
    }

    fn listed(&mut self, states: &[&str], types: &[&str]) -> Vec<ListedGroup> {
        let owned = |texts: &[&str]| texts.iter().map(|text| (*text).to_owned()).collect();
        let list = ListGroups { states: owned(states), types: owned(types) };
        match self.ask(Request::ListGroups(list)) {
            Response::ListGroups(Ok(groups)) => groups,
            other => panic!("{other:?}"),
        }
    }

    /// Two members at epoch 4 with both partitions of the topic assigned to one each.
    fn sharing_pair(&mut self) {
        assert_eq!(self.share_ok(joining("a")), (2, Some(partitions(&[]))));
        assert_eq!(self.share_ok(staying("a", 2)), (3, Some(partitions(&[0, 1]))));
        assert_eq!(self.share_ok(joining("b")), (4, Some(partitions(&[1]))));
        assert_eq!(self.share_ok(staying("a", 3)), (4, Some(partitions(&[0]))));
    }
}
