//! How long a rebalance waits, for whom, and what becomes of the others.

use super::*;

#[test]
fn first_rebalance_waits_three_seconds() {
    let mut world = World::new();
    let (_, waiter) = world.join_dynamic();
    world.pass(SECOND * 3 - Duration::from_millis(1));
    assert_eq!(world.answers(), []);
    world.pass(Duration::from_millis(1));
    assert_eq!(joined(world.answer(waiter)).generation_id, 1);
}

#[test]
fn rebalances_are_counted_by_what_they_began_with() {
    let counted = |world: &mut World| {
        world.answers();
        let Response::Observe(observed) = world.ask(Request::Observe) else { panic!("it observes") };
        let rebalances = observed.rebalances;
        let of = |reason| (rebalances[reason] > 0).then_some((reason, rebalances[reason]));
        RebalanceReason::ALL.into_iter().filter_map(of).collect::<Vec<_>>()
    };
    let mut world = World::new();
    let members = world.stable_group(2);
    let joined = (RebalanceReason::MemberJoined, 1);
    assert_eq!(counted(&mut world), [joined], "those who come into a rebalance begin no other");
    world.ask(leave(&[&members[1]]));
    let left = (RebalanceReason::MemberLeft, 1);
    assert_eq!(counted(&mut world), [joined, left]);
    world.pass(DAY);
    assert_eq!(
        counted(&mut world),
        [joined, left],
        "who does not come back ends a rebalance and begins none"
    );

    let mut world = World::new();
    let members = world.stable_group(2);
    world.join(changed(&members[0]));
    world.join(rejoin(&members[1]));
    world.pass_alive(70, &[&members[0], &members[1]], 2);
    let (changed, late) = ((RebalanceReason::MemberChanged, 1), (RebalanceReason::RebalanceTimeout, 1));
    assert_eq!(counted(&mut world), [joined, changed, late], "they joined and never synced");

    let mut world = World::new();
    world.stable_group(1);
    world.pass(DAY);
    assert_eq!(counted(&mut world), [joined, (RebalanceReason::SessionTimeout, 1)]);
}

#[test]
fn initial_delay_of_zero_answers_on_the_next_timeout() {
    let mut world =
        World::with(GroupConfig { initial_rebalance_delay: Duration::ZERO, ..GroupConfig::default() });
    let (_, waiter) = world.join_dynamic();
    assert_eq!(world.coordinator.next_timeout(), Some(world.now));
    world.pass(Duration::ZERO);
    assert_eq!(joined(world.answer(waiter)).generation_id, 1);
}

#[test]
fn initial_delay_is_extended_while_members_arrive() {
    let mut world = World::new();
    world.join_dynamic();
    world.pass(SECOND * 2);
    world.join_dynamic();
    world.pass(SECOND); // the first round ends, and somebody came
    assert_eq!(world.answers(), []);
    world.pass(SECOND * 2);
    assert_eq!(world.answers(), []);
    world.pass(SECOND); // the second round ends, and nobody came
    assert_eq!(world.answers().len(), 2);
}

#[test]
fn initial_delay_ends_with_the_rebalance_timeout_however_many_arrive() {
    let mut world = World::new();
    let join = JoinGroup { rebalance_timeout_ms: 7_000, requires_known_member_id: false, ..first_join() };
    world.join(join.clone());
    for _ in 0..6 {
        world.pass(SECOND);
        world.join(join.clone());
    }
    assert_eq!(world.answers(), []);
    world.pass(SECOND);
    assert_eq!(world.answers().len(), 7);
}

#[test]
fn later_rebalance_ends_as_soon_as_everybody_is_back() {
    let mut world = World::new();
    let members = world.stable_group(2);
    let (_, newcomer) = world.join_dynamic();
    world.join(rejoin(&members[0]));
    assert_eq!(world.answers(), []);
    world.join(rejoin(&members[1]));
    let answers = world.answers();
    assert_eq!(answers.len(), 3);
    for (waiter, response) in answers {
        let response = joined(response);
        assert_eq!((response.error, response.generation_id), (ErrorCode::None, 2));
        assert_eq!(
            response.members.len(),
            if response.member_id == members[0] { 3 } else { 0 },
            "{waiter:?}"
        );
        assert!(waiter >= newcomer);
    }
}

#[test]
fn dynamic_member_that_does_not_rejoin_is_removed_at_the_rebalance_timeout() {
    let mut world = World::new();
    let members = world.stable_group(2);
    let waiter = world.join(rejoin(&members[0]));
    assert_eq!(world.pass_alive(59, &[&members[1]], 1), []);
    world.pass(SECOND);
    let response = joined(world.answer(waiter));
    assert_eq!((response.generation_id, response.members.len()), (2, 1));
    assert_eq!(world.heartbeat(&members[1], 1), ErrorCode::UnknownMemberId);
}

#[test]
fn rebalance_waits_for_the_longest_rebalance_timeout_of_all_members() {
    let mut world = World::new();
    let members = world.stable_group(2);
    let waiter = world.join(JoinGroup { rebalance_timeout_ms: 90_000, ..changed(&members[1]) });
    assert_eq!(world.pass_alive(89, &[&members[0]], 1), []);
    world.pass(SECOND);
    assert_eq!(joined(world.answer(waiter)).generation_id, 2);
}

#[test]
fn leader_that_does_not_rejoin_loses_the_leadership() {
    let mut world = World::new();
    let members = world.stable_group(2);
    let waiter = world.join(changed(&members[1]));
    assert_eq!(world.pass_alive(59, &[&members[0]], 1), []);
    world.pass(SECOND);
    let response = joined(world.answer(waiter));
    assert_eq!(response.leader, members[1]);
    assert_eq!(response.members.len(), 1);
}

#[test]
fn handed_out_member_id_holds_up_a_later_rebalance_until_it_expires() {
    let mut world = World::new();
    let members = world.stable_group(1);
    world.ask_to_join(first_join());
    let waiter = world.join(rejoin(&members[0]));
    world.pass(SECOND * 9);
    assert_eq!(world.answers(), []);
    world.pass(SECOND);
    assert_eq!(joined(world.answer(waiter)).generation_id, 2);
}

#[test]
fn group_whose_members_are_all_gone_is_empty_and_written_as_such() {
    let mut world = World::new();
    let members = world.stable_group(1);
    let generation = world.describe();
    assert_eq!(generation.members.len(), 1);
    world.log.clear();
    world.pass(SECOND * 10);
    assert_eq!(world.answers(), []);
    assert_eq!(world.state(), GroupState::Empty);
    let empty = GroupMetadata {
        protocol_type: "consumer".to_owned(),
        generation: 2,
        protocol: None,
        leader: None,
        state_since_ms: Some(world.coordinator.wall_clock_ms(world.now)),
        members: Vec::new(),
    };
    assert_eq!(world.log[&29], [group_metadata(GROUP, Some(&empty))]);
    assert_eq!(world.heartbeat(&members[0], 1), ErrorCode::UnknownMemberId);
}

#[test]
fn new_member_that_waits_too_long_for_its_first_rebalance_is_removed() {
    let mut world =
        World::with(GroupConfig { initial_rebalance_delay: SECOND * 600, ..GroupConfig::default() });
    let (_, waiter) = world.join_dynamic();
    world.pass(SECOND * 300);
    assert_eq!(joined(world.answer(waiter)), JoinGroupResponse::failed(ErrorCode::UnknownMemberId, ""));
    assert_eq!(world.state(), GroupState::Empty);
}

#[test]
fn members_that_never_sync_are_removed_and_the_others_told_to_rejoin() {
    let mut world = World::new();
    let members = world.joined_group(2);
    let waiter = world.send(Request::SyncGroup(sync(&members[1], 1)));
    assert_eq!(world.pass_alive(59, &[&members[0]], 1), []);
    assert_eq!(world.state(), GroupState::CompletingRebalance);
    world.pass(SECOND);
    assert_eq!(synced(world.answer(waiter)).error, ErrorCode::RebalanceInProgress);
    assert_eq!(world.state(), GroupState::PreparingRebalance);
    assert_eq!(world.heartbeat(&members[0], 1), ErrorCode::UnknownMemberId);
    let response = world.ask_to_join(rejoin(&members[1]));
    assert_eq!((response.generation_id, response.leader), (2, members[1].clone()));
}

#[test]
fn follower_that_never_syncs_is_removed_from_a_stable_group() {
    let mut world = World::new();
    let members = world.joined_group(2);
    world.ask_to_sync(SyncGroup { assignments: assignments(&members), ..sync(&members[0], 1) });
    world.pass_alive(60, &[&members[0], &members[1]], 1);
    assert_eq!(world.state(), GroupState::PreparingRebalance);
    assert_eq!(world.heartbeat(&members[1], 1), ErrorCode::UnknownMemberId);
    assert_eq!(world.heartbeat(&members[0], 1), ErrorCode::RebalanceInProgress);
}

#[test]
fn join_with_new_metadata_while_the_leader_assigns_sends_waiting_members_back() {
    let mut world = World::new();
    let members = world.joined_group(3);
    let waiting = world.send(Request::SyncGroup(sync(&members[1], 1)));
    world.join(changed(&members[2]));
    assert_eq!(synced(world.answer(waiting)), SyncGroupResponse::failed(ErrorCode::RebalanceInProgress));
    assert_eq!(world.state(), GroupState::PreparingRebalance);
}

#[test]
fn stable_idle_group_has_no_timers_but_sessions() {
    let mut world = World::new();
    world.stable_group(3);
    // Three sessions, and the retention check that every new group has.
    assert_eq!(world.coordinator.timers.len(), 4);
}
