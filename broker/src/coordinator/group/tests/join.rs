//! Who may join, with which id, and what each member is told.

use super::*;

#[test]
fn first_join_of_a_dynamic_member_is_given_an_id_and_an_empty_group_is_written() {
    let mut world = World::new();
    let waiter = world.join(first_join());
    let response =
        JoinGroupResponse::failed(ErrorCode::MemberIdRequired, "client-00000000-0000-0000-0000-000000000001");
    let empty = GroupMetadata {
        protocol_type: String::new(),
        generation: 0,
        protocol: None,
        leader: None,
        state_since_ms: Some(EPOCH_MS),
        members: Vec::new(),
    };
    let records = vec![group_metadata(GROUP, Some(&empty))];
    let expected = vec![
        Effect::Append { partition: 29, records, ticket: Ticket(0) },
        Effect::Respond { waiter, response: Response::JoinGroup(response) },
    ];
    assert_eq!(world.effects(), expected);
}

#[test]
fn versions_without_known_member_ids_join_at_once() {
    let mut world = World::new();
    let waiter = world.join(JoinGroup { requires_known_member_id: false, ..first_join() });
    assert_eq!(world.answers(), []);
    world.pass(SECOND * 3);
    assert_eq!(joined(world.answer(waiter)).error, ErrorCode::None);
}

#[test]
fn second_member_within_the_initial_delay_shares_the_first_generation() {
    let mut world = World::new();
    let (first, first_waiter) = world.join_dynamic();
    let (second, second_waiter) = world.join_dynamic();
    world.pass_initial_rebalance();
    let answers: BTreeMap<_, _> = world.answers().into_iter().collect();
    let members = [&first, &second].map(|id| JoinGroupMember {
        member_id: id.clone(),
        group_instance_id: None,
        metadata: subscription(&["topic"]),
    });
    let leader = JoinGroupResponse {
        error: ErrorCode::None,
        generation_id: 1,
        protocol_type: Some("consumer".to_owned()),
        protocol_name: Some("range".to_owned()),
        leader: first.clone(),
        skip_assignment: false,
        member_id: first.clone(),
        members: members.into(),
    };
    let follower = JoinGroupResponse { member_id: second, members: Vec::new(), ..leader.clone() };
    assert_eq!(answers[&first_waiter], Response::JoinGroup(leader));
    assert_eq!(answers[&second_waiter], Response::JoinGroup(follower));
}

#[test]
fn empty_group_id_is_refused() {
    let mut world = World::new();
    let response = world.ask_to_join(JoinGroup { group_id: String::new(), ..rejoin("m") });
    assert_eq!(response, JoinGroupResponse::failed(ErrorCode::InvalidGroupId, "m"));
}

#[test]
fn session_timeout_outside_the_bounds_is_refused() {
    let mut world = World::new();
    for (session_timeout_ms, error) in [
        (-1, ErrorCode::InvalidSessionTimeout),
        (5_999, ErrorCode::InvalidSessionTimeout),
        (6_000, ErrorCode::MemberIdRequired),
        (1_800_000, ErrorCode::MemberIdRequired),
        (1_800_001, ErrorCode::InvalidSessionTimeout),
    ] {
        let response = world.ask_to_join(JoinGroup { session_timeout_ms, ..first_join() });
        assert_eq!(response.error, error, "{session_timeout_ms}");
    }
}

#[test]
fn member_id_of_an_unknown_group_is_unknown_and_makes_no_group() {
    let mut world = World::new();
    assert_eq!(world.ask_to_join(rejoin("m")), JoinGroupResponse::failed(ErrorCode::UnknownMemberId, "m"));
    assert_eq!(world.state(), GroupState::Dead);
}

#[test]
fn member_id_that_was_never_given_is_unknown() {
    let mut world = World::new();
    world.stable_group(1);
    assert_eq!(world.ask_to_join(rejoin("m")).error, ErrorCode::UnknownMemberId);
}

#[test]
fn join_without_protocols_is_inconsistent_and_makes_no_group() {
    let mut world = World::new();
    let none = JoinGroup { protocols: Vec::new(), ..first_join() };
    let untyped = JoinGroup { protocol_type: String::new(), ..first_join() };
    for join in [none, untyped] {
        assert_eq!(world.ask_to_join(join).error, ErrorCode::InconsistentGroupProtocol);
    }
    assert_eq!(world.state(), GroupState::Dead);
}

#[test]
fn join_with_another_protocol_type_or_no_common_protocol_is_inconsistent() {
    let mut world = World::new();
    world.stable_group(1);
    let connect = JoinGroup { protocol_type: "connect".to_owned(), ..first_join() };
    let sticky = JoinGroup { protocols: vec![protocol("sticky")], ..first_join() };
    for join in [connect, sticky] {
        assert_eq!(world.ask_to_join(join).error, ErrorCode::InconsistentGroupProtocol);
    }
    assert_eq!(world.state(), GroupState::Stable);
}

#[test]
fn protocol_with_most_first_votes_among_those_all_support_is_chosen() {
    let mut world = World::new();
    let lists: [&[&str]; 3] = [&["a", "b", "c"], &["b", "a"], &["x", "b", "a"]];
    for names in lists {
        let protocols = names.iter().map(|name| protocol(name)).collect();
        world.join(JoinGroup { protocols, requires_known_member_id: false, ..first_join() });
    }
    world.pass_initial_rebalance();
    for (_, response) in world.answers() {
        assert_eq!(joined(response).protocol_name.as_deref(), Some("b"));
    }
}

#[test]
fn protocol_named_twice_counts_once() {
    let mut world = World::new();
    let protocols = vec![protocol("a"), protocol("a")];
    let once = JoinGroup { protocols, requires_known_member_id: false, ..first_join() };
    let first = world.join(once.clone());
    let second = world.join(once);
    world.pass_initial_rebalance();
    let answers: BTreeMap<_, _> = world.answers().into_iter().collect();
    assert_eq!(joined(answers[&first].clone()).error, ErrorCode::None);
    assert_eq!(joined(answers[&second].clone()).protocol_name.as_deref(), Some("a"));
}

#[test]
fn full_group_refuses_one_more_member() {
    let mut world = World::with(GroupConfig { max_size: 2, ..GroupConfig::default() });
    world.stable_group(2);
    assert_eq!(
        world.ask_to_join(first_join()),
        JoinGroupResponse::failed(ErrorCode::GroupMaxSizeReached, "")
    );
    assert_eq!(world.describe().members.len(), 2);
}

#[test]
fn full_group_drops_the_member_that_comes_late_to_the_rebalance() {
    let mut world = World::with(GroupConfig { max_size: 2, ..GroupConfig::default() });
    let (first, first_waiter) = world.join_dynamic();
    let second = world.ask_to_join(first_join()).member_id;
    let third = world.ask_to_join(first_join()).member_id;
    let second_waiter = world.join(rejoin(&second));
    assert_eq!(world.ask_to_join(rejoin(&third)).error, ErrorCode::GroupMaxSizeReached);
    world.pass_initial_rebalance();
    let answered: Vec<_> = world.answers().into_iter().map(|(waiter, _)| waiter).collect();
    assert_eq!(answered, [first_waiter, second_waiter]);
    assert_eq!(world.heartbeat(&first, 1), ErrorCode::None);
    assert_eq!(world.ask_to_join(rejoin(&third)).error, ErrorCode::GroupMaxSizeReached);
}

#[test]
fn unused_member_id_dies_with_its_session_timeout() {
    let mut world = World::new();
    let member = world.ask_to_join(first_join()).member_id;
    world.pass(SECOND * 10);
    assert_eq!(world.ask_to_join(rejoin(&member)).error, ErrorCode::UnknownMemberId);
}

#[test]
fn unused_member_id_that_expires_does_not_disturb_a_stable_group() {
    let mut world = World::new();
    let members = world.stable_group(1);
    world.ask_to_join(first_join());
    world.pass_alive(11, &[&members[0]], 1);
    assert_eq!(world.state(), GroupState::Stable);
}

#[test]
fn follower_that_rejoins_unchanged_gets_the_current_generation() {
    let mut world = World::new();
    let members = world.stable_group(2);
    let response = world.ask_to_join(rejoin(&members[1]));
    assert_eq!((response.error, response.generation_id), (ErrorCode::None, 1));
    assert_eq!(response.leader, members[0]);
    assert_eq!(response.members, []);
    assert_eq!(world.state(), GroupState::Stable);
}

#[test]
fn follower_that_rejoins_with_new_metadata_starts_a_rebalance() {
    let mut world = World::new();
    let members = world.stable_group(2);
    world.join(changed(&members[1]));
    assert_eq!(world.answers(), []);
    assert_eq!(world.state(), GroupState::PreparingRebalance);
}

#[test]
fn leader_that_rejoins_a_stable_group_starts_a_rebalance() {
    let mut world = World::new();
    let members = world.stable_group(2);
    world.join(rejoin(&members[0]));
    assert_eq!(world.answers(), []);
    assert_eq!(world.state(), GroupState::PreparingRebalance);
}

#[test]
fn unchanged_rejoin_while_the_leader_assigns_repeats_the_answer() {
    let mut world = World::new();
    let members = world.joined_group(2);
    let leader = world.ask_to_join(rejoin(&members[0]));
    let follower = world.ask_to_join(rejoin(&members[1]));
    assert_eq!((leader.generation_id, leader.members.len()), (1, 2));
    assert_eq!((follower.generation_id, follower.members.len()), (1, 0));
    assert_eq!(world.state(), GroupState::CompletingRebalance);
}

#[test]
fn repeated_join_answers_the_older_one_too() {
    let mut world = World::new();
    let (member, older) = world.join_dynamic();
    let newer = world.join(rejoin(&member));
    assert_eq!(joined(world.answer(older)).error, ErrorCode::RebalanceInProgress);
    world.pass(SECOND * 3);
    assert_eq!(joined(world.answer(newer)).generation_id, 1);
}

#[test]
fn version_0_group_waits_for_its_session_timeout() {
    let mut world = World::new();
    let join = |member: &str| JoinGroup {
        rebalance_timeout_ms: 10_000,
        requires_known_member_id: false,
        ..rejoin(member)
    };
    let first = world.join(join(""));
    world.pass(SECOND * 3);
    let member = joined(world.answer(first)).member_id;
    world.ask_to_sync(sync(&member, 1));
    let second = world.join(join(""));
    for _ in 0..9 {
        world.pass(SECOND);
        assert_eq!(world.heartbeat(&member, 1), ErrorCode::RebalanceInProgress);
    }
    world.pass(SECOND);
    let response = joined(world.answer(second));
    assert_eq!((response.generation_id, response.members.len()), (2, 1));
}
