//! Members come, stay, go and fall silent.

use super::*;

#[test]
fn first_heartbeat_joins_and_the_next_one_brings_what_was_initialized_meanwhile() {
    let mut world = world(2);
    let joined = world.share_beat(joining("a"));
    assert_eq!((joined.error, joined.member_epoch), (ErrorCode::None, 2));
    assert_eq!(joined.assignment, Some(Assignment::new()), "nothing has a state yet");
    assert_eq!(joined.heartbeat_interval_ms, 5000);
    let initialize = Initialize { state_epoch: 2, partitions: partitions(&[0, 1]) };
    assert_eq!(joined.initialize, Some(initialize));
    assert_eq!(world.share_beat(staying("a", 2)).assignment, None, "it is not initialized yet");
    world.initialized(partitions(&[0, 1]), true);
    assert_eq!(world.share_ok(staying("a", 2)), (3, Some(partitions(&[0, 1]))));
    assert_eq!(world.share_ok(staying("a", 3)), (3, None));
}

#[test]
fn group_is_described_with_members_and_assignments() {
    let mut world = world(2);
    world.sharing_pair();
    let rack = ShareGroupHeartbeat { rack_id: Some("r".to_owned()), ..staying("a", 4) };
    world.share_ok(rack);
    let group = world.describe_share();
    assert_eq!((group.error, group.state, group.assignor), (ErrorCode::None, "Stable", "simple"));
    assert_eq!((group.epoch, group.assignment_epoch), (4, 4));
    let named = |partition| vec![(id(1), "topic".to_owned(), vec![partition])];
    let member = |name: &str, rack: Option<&str>, partition| DescribedShareMember {
        member_id: name.to_owned(),
        rack_id: rack.map(str::to_owned),
        epoch: 4,
        client_id: "client".to_owned(),
        client_host: "/127.0.0.1".to_owned(),
        topics: vec!["topic".to_owned()],
        assignment: named(partition),
    };
    assert_eq!(group.members, [member("a", Some("r"), 0), member("b", None, 1)]);
}

#[test]
fn more_members_than_partitions_share_them() {
    let mut world = world(1);
    world.share_ok(joining("a"));
    assert_eq!(world.share_ok(staying("a", 2)), (3, Some(partitions(&[0]))));
    assert_eq!(world.share_ok(joining("b")), (4, Some(partitions(&[0]))));
    assert_eq!(world.share_ok(staying("a", 3)), (4, None), "it keeps what it has");
}

#[test]
fn member_that_leaves_leaves_its_partitions_to_the_others() {
    let mut world = world(2);
    world.sharing_pair();
    let left = world.share_beat(leaving("b"));
    assert_eq!((left.error, left.member_epoch, left.member_id), (ErrorCode::None, -1, Some("b".to_owned())));
    assert_eq!(world.share_ok(staying("a", 4)), (5, Some(partitions(&[0, 1]))));
    world.share_ok(leaving("a"));
    assert_eq!(world.describe_share().state, "Empty");
    let error = (ErrorCode::UnknownMemberId, "Member a is not a member of group grp.".to_owned());
    assert_eq!(world.share_error(leaving("a")), error);
}

#[test]
fn silent_member_is_out_at_its_session_deadline() {
    let mut world = world(2);
    world.sharing_pair();
    world.pass(SECOND * 44);
    world.share_ok(staying("a", 4));
    world.pass(SECOND - Duration::from_millis(1));
    assert_eq!(world.describe_share().members.len(), 2);
    world.pass(Duration::from_millis(1));
    assert!(world.answers().is_empty());
    assert_eq!(world.share_ok(staying("a", 4)), (5, Some(partitions(&[0, 1]))));
    let message = "Member b is not a member of group grp.".to_owned();
    assert_eq!(world.share_error(staying("b", 4)), (ErrorCode::UnknownMemberId, message));
}

#[test]
fn session_and_interval_are_those_of_the_group() {
    let mut world = world(1);
    let settings = ShareSettings {
        session_timeout: SECOND * 7,
        heartbeat_interval: SECOND * 2,
        assignment_interval: Duration::ZERO,
    };
    let joined = world.share_beat(ShareGroupHeartbeat { settings, ..joining("a") });
    assert_eq!(joined.heartbeat_interval_ms, 2000);
    world.pass(SECOND * 7);
    assert!(world.answers().is_empty());
    assert_eq!(world.describe_share().state, "Empty");
}

#[test]
fn member_may_be_one_epoch_behind_and_no_further() {
    let mut world = world(2);
    world.sharing_pair();
    assert_eq!(world.share_ok(staying("a", 3)), (4, None));
    let greater = "The share group member has a greater member epoch (9) than the one known by the group \
                   coordinator (4). The member must abandon all its partitions and rejoin.";
    let smaller = "The share group member has a smaller member epoch (2) than the one known by the group \
                   coordinator (4), and it does not match the previous member epoch (3). The member must abandon \
                   all its partitions and rejoin.";
    let fenced = |message: &str| (ErrorCode::FencedMemberEpoch, message.to_owned());
    assert_eq!(world.share_error(staying("a", 9)), fenced(greater));
    assert_eq!(world.share_error(staying("a", 2)), fenced(smaller));
    assert_eq!(world.share_ok(joining("a")), (4, Some(partitions(&[0]))), "epoch 0 is always right");
}

#[test]
fn full_group_takes_nobody_else() {
    let share = ShareConfig { max_size: 1, ..config().share };
    let mut world = World::with(GroupConfig { share, ..config() });
    world.share_ok(joining("a"));
    let message = "The share group has reached its maximum capacity of 1 members.".to_owned();
    assert_eq!(world.share_error(joining("b")), (ErrorCode::GroupMaxSizeReached, message));
    world.share_ok(joining("a"));
}

#[test]
fn malformed_requests_are_refused_in_kafkas_words() {
    let mut world = world(1);
    let blank = |member: &str| ShareGroupHeartbeat { member_id: member.to_owned(), ..joining("a") };
    let cases = [
        (blank(" "), "MemberId can't be empty."),
        (ShareGroupHeartbeat { group_id: String::new(), ..joining("a") }, "GroupId can't be empty."),
        (ShareGroupHeartbeat { rack_id: Some(String::new()), ..joining("a") }, "RackId can't be empty."),
        (
            ShareGroupHeartbeat { topics: None, ..joining("a") },
            "SubscribedTopicNames must be set in first request.",
        ),
        (
            ShareGroupHeartbeat { topics: Some(Vec::new()), ..joining("a") },
            "SubscribedTopicNames must be set in first request.",
        ),
        (staying("a", -2), "MemberEpoch is invalid."),
    ];
    for (request, message) in cases {
        assert_eq!(world.share_error(request), (ErrorCode::InvalidRequest, message.to_owned()));
    }
    assert!(world.listed(&[], &[]).is_empty(), "none of them made a group");
}

#[test]
fn only_a_joining_member_makes_a_group() {
    let mut world = world(1);
    let not_found = |message: &str| (ErrorCode::GroupIdNotFound, message.to_owned());
    assert_eq!(world.share_error(staying("a", 3)), not_found("Share group grp not found."));
    assert_eq!(world.share_error(leaving("a")), not_found("Group grp not found."));
    let group = world.describe_share();
    assert_eq!(group.error, ErrorCode::GroupIdNotFound);
    assert_eq!(group.message.as_deref(), Some("Group grp not found."));
}

#[test]
fn other_subscription_is_followed_at_once() {
    let mut world = world(1);
    world.topic("other", 2, 1);
    world.share_ok(joining("a"));
    world.share_ok(staying("a", 2));
    let both = Some(vec!["topic".to_owned(), "other".to_owned()]);
    let more = ShareGroupHeartbeat { topics: both, ..staying("a", 3) };
    assert_eq!(world.share_ok(more), (4, Some(partitions(&[0]))), "the other one has no state yet");
    let all = Assignment::from([(id(1), [0].into()), (id(2), [0].into())]);
    assert_eq!(world.share_ok(staying("a", 4)), (5, Some(all)));
    let one = ShareGroupHeartbeat { topics: Some(vec!["other".to_owned()]), ..staying("a", 5) };
    assert_eq!(world.share_ok(one), (6, Some(Assignment::from([(id(2), [0].into())]))));
}

#[test]
fn topic_that_comes_or_grows_is_initialized_and_assigned() {
    let mut world = World::with(config());
    assert_eq!(world.share_ok(joining("a")), (2, Some(Assignment::new())));
    world.topic("topic", 1, 1);
    assert_eq!(world.share_ok(staying("a", 2)), (3, None));
    assert_eq!(world.share_ok(staying("a", 3)), (4, Some(partitions(&[0]))));
    world.topic("topic", 1, 2);
    assert_eq!(world.share_ok(staying("a", 4)), (5, None));
    assert_eq!(world.share_ok(staying("a", 5)), (6, Some(partitions(&[0, 1]))));
}

#[test]
fn deleted_topic_is_taken_back_and_one_made_again_is_another() {
    let mut world = world(1);
    world.share_ok(joining("a"));
    world.share_ok(staying("a", 2));
    world.topic_is_gone();
    assert_eq!(world.state_partitions(), Assignment::new());
    assert_eq!(world.share_ok(staying("a", 3)), (4, Some(Assignment::new())));
    assert_eq!(world.share_ok(staying("a", 4)), (4, None));
    world.topic("topic", 7, 1);
    assert_eq!(world.share_ok(staying("a", 4)), (5, None));
    assert_eq!(world.share_ok(staying("a", 5)), (6, Some(Assignment::from([(id(7), [0].into())]))));
}

#[test]
fn targets_are_computed_no_more_often_than_the_group_allows() {
    let mut world = world(2);
    let settings = ShareSettings { assignment_interval: SECOND, ..config().share.settings() };
    let slowly = |heartbeat| ShareGroupHeartbeat { settings, ..heartbeat };
    assert_eq!(world.share_ok(slowly(joining("a"))), (2, Some(Assignment::new())));
    assert_eq!(world.share_ok(slowly(staying("a", 2))), (2, None), "not yet");
    world.pass(SECOND);
    assert_eq!(world.share_ok(slowly(staying("a", 2))), (3, Some(partitions(&[0, 1]))));
}

#[test]
fn initializing_that_fails_is_tried_again_with_the_next_heartbeat_and_one_that_hangs_after_a_while() {
    let mut world = world(1);
    assert!(world.share_beat(joining("a")).initialize.is_some());
    world.initialized(partitions(&[0]), false);
    assert!(world.share_beat(staying("a", 2)).initialize.is_some());
    world.pass(Duration::from_millis(4_999));
    assert_eq!(world.share_beat(staying("a", 2)).initialize, None);
    world.pass(Duration::from_millis(1));
    assert!(world.share_beat(staying("a", 2)).initialize.is_some());
}
