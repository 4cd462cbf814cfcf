//! Joining, being led to an assignment, staying, leaving.

use super::*;

#[test]
fn first_member_gets_everything_at_epoch_two() {
    let mut world = world(4);
    let beat = world.beat(joining("a"));
    let expected = ConsumerGroupHeartbeatResponse {
        error: ErrorCode::None,
        message: None,
        member_id: Some("a".to_owned()),
        member_epoch: 2,
        heartbeat_interval_ms: 5000,
        assignment: Some(partitions(&[0, 1, 2, 3])),
    };
    assert_eq!(beat, expected);
    assert_eq!(world.describe_consumers().state, "Stable");
}

#[test]
fn group_stays_at_epoch_one_until_somebody_subscribes() {
    let mut world = world(1);
    let nothing = ConsumerGroupHeartbeat { topics: Some(Vec::new()), ..joining("a") };
    assert_eq!(world.beat_ok(nothing), (1, Some(Assignment::new())));
    assert_eq!(world.describe_consumers().state, "Stable");
    let topics = Some(vec!["topic".to_owned()]);
    let subscribes = ConsumerGroupHeartbeat { topics, ..owning("a", 1, Assignment::new()) };
    assert_eq!(world.beat_ok(subscribes), (2, Some(partitions(&[0]))));
}

#[test]
fn join_is_answered_when_it_is_durable() {
    let mut world = world(1);
    let waiter = world.send(Request::ConsumerGroupHeartbeat(Box::new(joining("a"))));
    let effects = world.effects();
    let [Effect::Append { ticket, .. }] = effects.as_slice() else { panic!("{effects:?}") };
    world.settle(*ticket, Ok(()));
    assert!(matches!(world.effects().as_slice(), [Effect::Respond { waiter: it, .. }] if *it == waiter));
}

#[test]
fn newcomer_waits_until_the_others_gave_up_what_is_meant_for_it() {
    let mut world = world(4);
    world.beat_ok(joining("a"));
    assert_eq!(world.beat_ok(joining("b")), (3, Some(partitions(&[]))));
    // a is told what is left to it and stays at its epoch until it has given up the rest.
    assert_eq!(world.beat_ok(staying("a", 2)), (2, Some(partitions(&[0, 1]))));
    assert_eq!(world.beat_ok(owning("a", 2, partitions(&[0, 1, 2, 3]))), (2, None));
    assert_eq!(world.beat_ok(staying("b", 3)), (3, None));
    assert_eq!(world.describe_consumers().state, "Reconciling");
    assert_eq!(world.beat_ok(owning("a", 2, partitions(&[0, 1]))), (3, None));
    assert_eq!(world.beat_ok(staying("b", 3)), (3, Some(partitions(&[2, 3]))));
    assert_eq!(world.describe_consumers().state, "Stable");
}

#[test]
fn assignments_follow_each_other_no_faster_than_configured() {
    let mut world = World::with(GroupConfig::default());
    world.topic("topic", 1, 2);
    let settings = ConsumerConfig::default().settings();
    let beat = |world: &mut World, request| world.beat_ok(ConsumerGroupHeartbeat { settings, ..request });
    beat(&mut world, joining("a"));
    // The second comes within the second: it is in, and waits for the next target.
    assert_eq!(beat(&mut world, joining("b")), (2, Some(partitions(&[]))));
    assert_eq!(world.describe_consumers().state, "Assigning");
    world.pass(SECOND);
    assert_eq!(beat(&mut world, staying("a", 2)), (2, Some(partitions(&[0]))));
    assert_eq!(world.describe_consumers().assignment_epoch, 3);
}

#[test]
fn repeated_heartbeat_says_nothing_and_a_full_one_hears_everything() {
    let mut world = world(2);
    world.beat_ok(joining("a"));
    assert_eq!(world.beat_ok(staying("a", 2)), (2, None));
    let full = ConsumerGroupHeartbeat { member_epoch: 2, ..joining("a") };
    let full = ConsumerGroupHeartbeat { owned: Some(partitions(&[0, 1])), ..full };
    assert_eq!(world.beat_ok(full), (2, Some(partitions(&[0, 1]))));
}

#[test]
fn leaver_is_gone_at_once_and_its_partitions_go_to_the_others() {
    let mut world = world(4);
    world.pair();
    assert_eq!(world.beat_ok(staying("b", -1)), (-1, None));
    assert_eq!(world.beat_ok(staying("a", 3)), (4, Some(partitions(&[0, 1, 2, 3]))));
    assert_eq!(world.describe_consumers().members.len(), 1);
    let gone = world.beat_error(staying("b", 3));
    assert_eq!(gone, (ErrorCode::UnknownMemberId, "Member b is not a member of group grp.".to_owned()));
}

#[test]
fn administrator_takes_members_out_by_member_id() {
    let mut world = world(4);
    world.pair();
    assert_eq!(left(world.ask(leave(&["b", "c"]))), [ErrorCode::None, ErrorCode::UnknownMemberId]);
    assert_eq!(world.beat_error(staying("b", 3)).0, ErrorCode::UnknownMemberId);
    assert_eq!(world.beat_ok(staying("a", 3)), (4, Some(partitions(&[0, 1, 2, 3]))));
}

#[test]
fn administrator_takes_static_members_out_by_instance_id() {
    let mut world = world(4);
    let instance_id = Some("i".to_owned());
    world.beat_ok(ConsumerGroupHeartbeat { instance_id: instance_id.clone(), ..joining("a") });
    // Gone for a while: without the administrator it would keep its partitions until its session ends.
    world.beat_ok(ConsumerGroupHeartbeat { instance_id, ..staying("a", -2) });
    let leave = |member_id: &str, instance: &str| {
        let group_instance_id = Some(instance.to_owned());
        let member = MemberIdentity { member_id: member_id.to_owned(), group_instance_id };
        Request::LeaveGroup(LeaveGroup { group_id: GROUP.to_owned(), members: vec![member] })
    };
    assert_eq!(left(world.ask(leave("", "j"))), [ErrorCode::UnknownMemberId]);
    assert_eq!(left(world.ask(leave("b", "i"))), [ErrorCode::FencedInstanceId]);
    assert_eq!(left(world.ask(leave("", "i"))), [ErrorCode::None]);
    assert_eq!(world.describe_consumers().state, "Empty");
}

#[test]
fn silent_member_is_out_at_its_session_deadline() {
    let mut world = world(4);
    world.pair();
    for _ in 0..8 {
        world.pass(SECOND * 5);
        world.beat_ok(staying("a", 3));
    }
    assert_eq!(world.describe_consumers().members.len(), 2);
    world.pass(SECOND * 5);
    assert!(world.answers().is_empty());
    assert_eq!(world.describe_consumers().members.len(), 1);
    assert_eq!(world.beat_ok(staying("a", 3)), (4, Some(partitions(&[0, 1, 2, 3]))));
}

#[test]
fn member_that_does_not_give_up_its_partitions_is_out_at_its_rebalance_deadline() {
    let mut world = world(4);
    world.beat_ok(joining("a"));
    world.beat_ok(joining("b"));
    assert_eq!(world.beat_ok(staying("a", 2)), (2, Some(partitions(&[0, 1]))));
    for _ in 0..12 {
        world.pass(SECOND * 5);
        let holds_on = world.beat(owning("a", 2, partitions(&[0, 1, 2, 3])));
        world.beat_ok(staying("b", 3));
        if holds_on.error != ErrorCode::None {
            assert_eq!(holds_on.error, ErrorCode::UnknownMemberId);
        }
    }
    let (_, assignment) = world.beat_ok(ConsumerGroupHeartbeat { member_epoch: 0, ..joining("b") });
    assert_eq!(assignment, Some(partitions(&[0, 1, 2, 3])));
}

#[test]
fn group_without_members_is_empty_can_be_joined_again_and_be_deleted() {
    let mut world = world(1);
    world.beat_ok(joining("a"));
    let delete = || Request::DeleteGroup { group_id: GROUP.to_owned() };
    assert_eq!(world.ask(delete()), Response::DeleteGroup(ErrorCode::NonEmptyGroup));
    world.beat_ok(staying("a", -1));
    assert_eq!(world.describe_consumers().state, "Empty");
    assert_eq!(world.beat_ok(joining("b")), (4, Some(partitions(&[0]))));
    world.beat_ok(staying("b", -1));
    assert_eq!(world.ask(delete()), Response::DeleteGroup(ErrorCode::None));
    assert_eq!(world.describe_consumers().error, ErrorCode::GroupIdNotFound);
}

#[test]
fn member_chooses_the_assignor_and_the_majority_wins() {
    let mut world = world(4);
    let range = || Some("range".to_owned());
    world.beat_ok(ConsumerGroupHeartbeat { server_assignor: range(), ..joining("a") });
    assert_eq!(world.describe_consumers().assignor, "range");
    let uniform = || Some("uniform".to_owned());
    world.beat_ok(ConsumerGroupHeartbeat { server_assignor: uniform(), ..joining("b") });
    world.beat_ok(ConsumerGroupHeartbeat { server_assignor: uniform(), ..joining("c") });
    assert_eq!(world.describe_consumers().assignor, "uniform");
}

#[test]
fn changed_subscription_takes_partitions_back_at_once() {
    let mut world = world(2);
    world.topic("other", 2, 1);
    world.beat_ok(joining("a"));
    let both = partitions(&[0, 1]);
    let elsewhere = ConsumerGroupHeartbeat { topics: Some(vec!["other".to_owned()]), ..owning("a", 2, both) };
    assert_eq!(world.beat_ok(elsewhere), (2, Some(Assignment::new())));
    let other = Assignment::from([(id(2), [0].into())]);
    assert_eq!(world.beat_ok(owning("a", 2, Assignment::new())), (3, Some(other)));
}

#[test]
fn changed_subscription_takes_partitions_back_before_there_is_a_new_target() {
    let mut world = World::with(GroupConfig::default());
    world.topic("topic", 1, 2);
    world.topic("other", 2, 1);
    let settings = ConsumerConfig::default().settings();
    let beat = |world: &mut World, request| world.beat_ok(ConsumerGroupHeartbeat { settings, ..request });
    let names = |names: &[&str]| Some(names.iter().map(|name| (*name).to_owned()).collect());
    let other = Assignment::from([(id(2), [0].into())]);
    let mut both = partitions(&[0, 1]);
    both.extend(other.clone());
    let joins = ConsumerGroupHeartbeat { topics: names(&["topic", "other"]), ..joining("a") };
    assert_eq!(beat(&mut world, joins), (2, Some(both.clone())));
    let gives_up = ConsumerGroupHeartbeat { topics: names(&["other"]), ..owning("a", 2, both.clone()) };
    assert_eq!(beat(&mut world, gives_up), (2, Some(other.clone())));
    let described = world.describe_consumers();
    assert_eq!((described.state, described.epoch, described.assignment_epoch), ("Assigning", 3, 2));
    // Whoever joins gets them when they are given up and there is a target that says so.
    assert_eq!(beat(&mut world, joining("b")), (2, Some(Assignment::new())));
    world.pass(SECOND);
    assert_eq!(beat(&mut world, staying("b", 2)), (4, None));
    assert_eq!(beat(&mut world, owning("a", 2, both)), (2, None));
    assert_eq!(beat(&mut world, owning("a", 2, other)), (4, None));
    assert_eq!(beat(&mut world, staying("b", 4)), (4, Some(partitions(&[0, 1]))));
    assert_eq!(world.describe_consumers().state, "Stable");
}

#[test]
fn subscription_to_a_topic_that_is_not_there_yet_is_an_empty_assignment() {
    let mut world = World::with(config());
    assert_eq!(world.beat_ok(joining("a")), (2, Some(Assignment::new())));
    world.topic("topic", 1, 2);
    assert_eq!(world.beat_ok(staying("a", 2)), (3, Some(partitions(&[0, 1]))));
}

#[test]
fn groups_of_both_kinds_are_listed_by_type_and_state() {
    let mut world = world(1);
    world.beat_ok(joining("a"));
    world.commit(OffsetCommit { group_id: "simple".to_owned(), ..simple_commit() });
    let mut list = |states: &[&str], types: &[&str]| {
        let owned = |names: &[&str]| names.iter().map(|name| (*name).to_owned()).collect();
        let list = ListGroups { states: owned(states), types: owned(types) };
        let Response::ListGroups(Ok(groups)) = world.ask(Request::ListGroups(list)) else { panic!() };
        groups
    };
    let consumer = ListedGroup {
        group_id: GROUP.to_owned(),
        protocol_type: "consumer".to_owned(),
        state: "Stable",
        group_type: "consumer",
    };
    assert_eq!(list(&[], &["Consumer"]), std::slice::from_ref(&consumer));
    assert_eq!(list(&["stable"], &[]), [consumer]);
    assert_eq!(list(&["reconciling"], &[]), []);
    assert_eq!(list(&[], &[]).len(), 2);
}

#[test]
fn describe_groups_calls_a_consumer_group_dead() {
    let mut world = world(1);
    world.beat_ok(joining("a"));
    let describe =
        |supported| DescribeGroup { group_id: GROUP.to_owned(), supports_group_id_not_found: supported };
    for (supported, error) in [(true, ErrorCode::GroupIdNotFound), (false, ErrorCode::None)] {
        let Response::DescribeGroup(group) = world.ask(Request::DescribeGroup(describe(supported))) else {
            panic!()
        };
        assert_eq!((group.error, group.state), (error, Some(GroupState::Dead)));
    }
}

#[test]
fn classic_group_is_no_consumer_group_to_describe() {
    let mut world = World::new();
    world.stable_group(1);
    let described = world.describe_consumers();
    assert_eq!(described.error, ErrorCode::GroupIdNotFound);
    assert_eq!(described.message.as_deref(), Some("Group grp is not a consumer group."));
}

#[test]
fn description_shows_members_with_assignment_and_target() {
    let mut world = world(2);
    world.beat_ok(ConsumerGroupHeartbeat { rack_id: Some("r".to_owned()), ..joining_static("a", "i") });
    world.beat_ok(joining("b"));
    let group = world.describe_consumers();
    assert_eq!((group.epoch, group.assignment_epoch, group.assignor.as_str()), (3, 3, "uniform"));
    let a = &group.members[0];
    assert_eq!(a.assignment, [(id(1), "topic".to_owned(), vec![0, 1])]);
    assert_eq!(a.target, [(id(1), "topic".to_owned(), vec![0])]);
    assert_eq!((a.epoch, a.instance_id.as_deref(), a.rack_id.as_deref()), (2, Some("i"), Some("r")));
    assert_eq!(
        (a.topics.as_slice(), a.regex.as_deref(), a.is_classic),
        (&["topic".to_owned()][..], None, false)
    );
}

#[test]
fn join_writes_kafkas_records_in_kafkas_order() {
    let mut world = world(1);
    world.beat_ok(joining("a"));
    let versions: Vec<u8> = world.log.values().flatten().map(|record| record.key[1]).collect();
    assert_eq!(versions, [5, 3, 7, 6, 8]);
}

#[test]
fn groups_own_settings_count_from_its_next_heartbeat_on() {
    let mut world = world(1);
    world.beat_ok(joining("a"));
    let own = ConsumerSettings {
        session_timeout: SECOND * 50,
        heartbeat_interval: SECOND * 7,
        ..config().consumer.settings()
    };
    let beat = world.beat(ConsumerGroupHeartbeat { settings: own, ..staying("a", 2) });
    assert_eq!(beat.heartbeat_interval_ms, 7000);
    world.pass(SECOND * 49);
    assert_eq!(world.describe_consumers().members.len(), 1);
    world.pass(SECOND);
    assert!(world.answers().is_empty());
    assert_eq!(world.describe_consumers().members.len(), 0);
}
