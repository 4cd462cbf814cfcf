//! Staying alive.

use super::*;

#[test]
fn silent_member_is_evicted_at_its_session_deadline() {
    let mut world = World::new();
    let members = world.stable_group(2);
    world.pass(SECOND * 9);
    assert_eq!(world.heartbeat(&members[0], 1), ErrorCode::None);
    world.pass(SECOND - Duration::from_millis(1));
    assert_eq!(world.state(), GroupState::Stable);
    world.pass(Duration::from_millis(1));
    assert_eq!(world.state(), GroupState::PreparingRebalance);
    assert_eq!(world.heartbeat(&members[1], 1), ErrorCode::UnknownMemberId);
    assert_eq!(world.heartbeat(&members[0], 1), ErrorCode::RebalanceInProgress);
}

#[test]
fn heartbeat_during_a_rebalance_says_so_and_keeps_the_member_alive() {
    let mut world = World::new();
    let members = world.stable_group(2);
    world.join(rejoin(&members[0]));
    for _ in 0..5 {
        world.pass(SECOND * 9);
        assert_eq!(world.heartbeat(&members[1], 1), ErrorCode::RebalanceInProgress);
    }
    assert_eq!(world.describe().members.len(), 2);
}

#[test]
fn heartbeat_while_the_leader_assigns_is_fine() {
    let mut world = World::new();
    let members = world.joined_group(1);
    assert_eq!(world.heartbeat(&members[0], 1), ErrorCode::None);
}

#[test]
fn heartbeat_of_an_unknown_group_or_member_or_an_empty_group_is_unknown() {
    let mut world = World::new();
    assert_eq!(world.heartbeat("m", 0), ErrorCode::UnknownMemberId);
    world.commit(simple_commit());
    assert_eq!(world.heartbeat("m", 0), ErrorCode::UnknownMemberId);
    world.stable_group(1);
    assert_eq!(world.heartbeat("m", 1), ErrorCode::UnknownMemberId);
}

#[test]
fn heartbeat_with_another_generation_is_illegal_and_does_not_keep_alive() {
    let mut world = World::new();
    let members = world.stable_group(1);
    world.pass(SECOND * 9);
    assert_eq!(world.heartbeat(&members[0], 0), ErrorCode::IllegalGeneration);
    world.pass(SECOND);
    assert_eq!(world.state(), GroupState::Empty);
}

#[test]
fn heartbeat_with_an_empty_group_id_is_invalid() {
    let mut world = World::new();
    let heartbeat = Heartbeat { group_id: String::new(), ..heartbeat("m", 0) };
    let response = world.ask(Request::Heartbeat(heartbeat));
    assert_eq!(response, Response::Heartbeat(ErrorCode::InvalidGroupId));
}

#[test]
fn member_that_waits_for_the_rebalance_needs_no_heartbeat() {
    let mut world = World::new();
    let members = world.stable_group(2);
    let waiter = world.join(rejoin(&members[0]));
    for _ in 0..4 {
        world.pass(SECOND * 9);
        assert_eq!(world.heartbeat(&members[1], 1), ErrorCode::RebalanceInProgress);
    }
    world.join(rejoin(&members[1]));
    let answers: BTreeMap<_, _> = world.answers().into_iter().collect();
    assert_eq!(joined(answers[&waiter].clone()).members.len(), 2);
}

#[test]
fn member_that_waits_for_its_assignment_needs_no_heartbeat() {
    let mut world = World::new();
    let members = world.joined_group(2);
    let waiter = world.send(Request::SyncGroup(sync(&members[1], 1)));
    for _ in 0..4 {
        world.pass(SECOND * 9);
        assert_eq!(world.heartbeat(&members[0], 1), ErrorCode::None);
    }
    world.send(Request::SyncGroup(sync(&members[0], 1)));
    let answers: BTreeMap<_, _> = world.answers().into_iter().collect();
    assert_eq!(synced(answers[&waiter].clone()).error, ErrorCode::None);
}
