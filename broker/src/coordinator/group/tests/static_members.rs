//! Static membership (KIP-345, KIP-814).

use super::*;

/// A stable group of two static members `a` (leader) and `b`; returns their member ids.
fn static_group(world: &mut World) -> [String; 2] {
    let waiters = ["a", "b"].map(|instance| world.join(static_join(instance)));
    world.pass_initial_rebalance();
    let answers: BTreeMap<_, _> = world.answers().into_iter().collect();
    let ids = waiters.map(|waiter| joined(answers[&waiter].clone()).member_id);
    world.send(Request::SyncGroup(static_sync("b", &ids[1])));
    world.send(Request::SyncGroup(SyncGroup { assignments: assignments(&ids), ..static_sync("a", &ids[0]) }));
    assert_eq!(world.answers().len(), 2);
    ids
}

fn static_sync(instance: &str, member: &str) -> SyncGroup {
    SyncGroup { group_instance_id: Some(instance.to_owned()), ..sync(member, 1) }
}

fn static_heartbeat(world: &mut World, instance: &str, member: &str) -> ErrorCode {
    let heartbeat = Heartbeat { group_instance_id: Some(instance.to_owned()), ..heartbeat(member, 1) };
    let Response::Heartbeat(error) = world.ask(Request::Heartbeat(heartbeat)) else { panic!("no heartbeat") };
    error
}

#[test]
fn static_member_needs_no_second_join_and_is_named_after_its_instance() {
    let mut world = World::new();
    let waiter = world.join(static_join("a"));
    world.pass(SECOND * 3);
    let response = joined(world.answer(waiter));
    assert_eq!(response.member_id, "a-00000000-0000-0000-0000-000000000001");
    assert_eq!(response.members[0].group_instance_id.as_deref(), Some("a"));
}

#[test]
fn returning_static_follower_replaces_itself_without_a_rebalance() {
    let mut world = World::new();
    let ids = static_group(&mut world);
    let response = world.ask_to_join(static_join("b"));
    assert_eq!((response.error, response.generation_id), (ErrorCode::None, 1));
    assert_ne!(response.member_id, ids[1]);
    assert_eq!((response.leader, response.members.len()), (ids[0].clone(), 0));
    assert!(!response.skip_assignment);
    assert_eq!(world.state(), GroupState::Stable);
    let assignment = world.ask_to_sync(static_sync("b", &response.member_id)).assignment;
    assert_eq!(assignment, Bytes::from_static(&[1]));
}

#[test]
fn returning_static_member_is_answered_when_its_new_id_is_durable() {
    let mut world = World::new();
    static_group(&mut world);
    let timers = world.coordinator.timers.len();
    let waiter = world.join(static_join("b"));
    assert_eq!(world.coordinator.timers.len(), timers, "the old id leaves no timer behind");
    let effects = world.effects();
    let [Effect::Append { ticket, .. }] = effects.as_slice() else { panic!("{effects:?}") };
    world.settle(*ticket, Ok(()));
    assert_eq!(joined(world.answer(waiter)).error, ErrorCode::None);
}

#[test]
fn replaced_member_id_is_fenced_in_every_request() {
    let mut world = World::new();
    let ids = static_group(&mut world);
    world.ask_to_join(static_join("b"));
    let fenced = ErrorCode::FencedInstanceId;
    assert_eq!(static_heartbeat(&mut world, "b", &ids[1]), fenced);
    assert_eq!(world.ask_to_sync(static_sync("b", &ids[1])).error, fenced);
    let join = JoinGroup { member_id: ids[1].clone(), ..static_join("b") };
    assert_eq!(world.ask_to_join(join).error, fenced);
    let commit = OffsetCommit { group_instance_id: Some("b".to_owned()), ..commit_by(&ids[1], 1) };
    assert_eq!(world.commit(commit), fenced);
    let identity = MemberIdentity { member_id: ids[1].clone(), group_instance_id: Some("b".to_owned()) };
    let leave = LeaveGroup { group_id: GROUP.to_owned(), members: vec![identity] };
    assert_eq!(left(world.ask(Request::LeaveGroup(leave))), [fenced]);
}

#[test]
fn replaced_member_without_its_instance_id_is_unknown() {
    let mut world = World::new();
    let ids = static_group(&mut world);
    world.ask_to_join(static_join("b"));
    assert_eq!(world.heartbeat(&ids[1], 1), ErrorCode::UnknownMemberId);
}

#[test]
fn unknown_instance_id_is_an_unknown_member() {
    let mut world = World::new();
    let ids = static_group(&mut world);
    assert_eq!(static_heartbeat(&mut world, "c", &ids[0]), ErrorCode::UnknownMemberId);
    let join = JoinGroup { member_id: ids[0].clone(), ..static_join("c") };
    assert_eq!(world.ask_to_join(join).error, ErrorCode::UnknownMemberId);
}

#[test]
fn returning_static_leader_is_told_to_skip_the_assignment() {
    let mut world = World::new();
    static_group(&mut world);
    let response = world.ask_to_join(static_join("a"));
    assert!(response.skip_assignment);
    assert_eq!(response.leader, response.member_id);
    assert_eq!(response.members.len(), 2);
    assert_eq!(world.state(), GroupState::Stable);
}

#[test]
fn returning_static_leader_of_an_older_version_is_shown_its_old_id_as_leader() {
    let mut world = World::new();
    let ids = static_group(&mut world);
    let response = world.ask_to_join(JoinGroup { supports_skip_assignment: false, ..static_join("a") });
    assert!(!response.skip_assignment);
    assert_eq!(response.leader, ids[0]);
    assert_eq!(response.members, []);
}

#[test]
fn returning_static_member_that_changes_the_chosen_protocol_starts_a_rebalance() {
    let mut world = World::new();
    let join = |instance: &str, names: [&str; 2]| JoinGroup {
        protocols: names.map(protocol).into(),
        ..static_join(instance)
    };
    let waiter = world.join(join("a", ["range", "sticky"]));
    world.pass(SECOND * 3);
    let leader = joined(world.answer(waiter)).member_id;
    world.ask_to_sync(static_sync("a", &leader));
    world.join(join("a", ["sticky", "range"]));
    let answers = world.answers();
    let [(_, response)] = answers.as_slice() else { panic!("{answers:?}") };
    let response = joined(response.clone());
    assert_eq!((response.generation_id, response.protocol_name.as_deref()), (2, Some("sticky")));
}

#[test]
fn static_member_that_returns_while_it_waits_fences_its_own_older_request() {
    let mut world = World::new();
    let older = world.join(static_join("a"));
    let newer = world.join(static_join("a"));
    let first_id = "a-00000000-0000-0000-0000-000000000001";
    let fenced = JoinGroupResponse::failed(ErrorCode::FencedInstanceId, first_id);
    assert_eq!(world.answer(older), Response::JoinGroup(fenced));
    world.pass_initial_rebalance();
    let response = joined(world.answer(newer));
    assert_eq!((response.error, response.members.len()), (ErrorCode::None, 1));
    assert_eq!(response.leader, response.member_id);
}

#[test]
fn static_member_that_returns_while_the_leader_assigns_starts_a_rebalance() {
    let mut world = World::new();
    let waiters = ["a", "b"].map(|instance| world.join(static_join(instance)));
    world.pass_initial_rebalance();
    let answers: BTreeMap<_, _> = world.answers().into_iter().collect();
    let b = joined(answers[&waiters[1]].clone()).member_id;
    let parked = world.send(Request::SyncGroup(static_sync("b", &b)));
    world.join(static_join("b"));
    assert_eq!(synced(world.answer(parked)).error, ErrorCode::FencedInstanceId);
    assert_eq!(world.state(), GroupState::PreparingRebalance);
}

#[test]
fn absent_static_member_stays_through_a_rebalance_until_its_session_ends() {
    let mut world = World::new();
    let patient = |instance| JoinGroup {
        session_timeout_ms: 60_000,
        rebalance_timeout_ms: 10_000,
        ..static_join(instance)
    };
    let waiters = ["a", "b"].map(|instance| world.join(patient(instance)));
    world.pass_initial_rebalance();
    let answers: BTreeMap<_, _> = world.answers().into_iter().collect();
    let ids = waiters.map(|waiter| joined(answers[&waiter].clone()).member_id);
    world.ask_to_sync(static_sync("a", &ids[0]));
    world.ask_to_sync(static_sync("b", &ids[1]));

    let waiter = world.join(JoinGroup { member_id: ids[0].clone(), ..patient("a") });
    world.pass(SECOND * 10);
    let response = joined(world.answer(waiter));
    assert_eq!((response.generation_id, response.members.len()), (2, 2));

    let sync = SyncGroup { generation_id: 2, ..static_sync("a", &ids[0]) };
    assert_eq!(world.ask_to_sync(sync).error, ErrorCode::None);
    world.pass_alive(10, &[&ids[0]], 2);
    // b never asked for its assignment, which even a static member must.
    assert_eq!(world.describe().members.len(), 1);
}

#[test]
fn group_of_absent_static_members_tries_again_until_their_sessions_end() {
    let mut world = World::new();
    let patient = JoinGroup { session_timeout_ms: 60_000, rebalance_timeout_ms: 10_000, ..static_join("a") };
    let waiter = world.join(patient.clone());
    world.pass_initial_rebalance();
    let a = joined(world.answer(waiter)).member_id;
    world.ask_to_sync(static_sync("a", &a));
    // Another static member comes and goes: the rebalance it began waits for one that is not there.
    let joining = world.join(JoinGroup { group_instance_id: Some("b".to_owned()), ..patient });
    world.send(leave(&["b-00000000-0000-0000-0000-000000000002"]));
    let answers: BTreeMap<_, _> = world.answers().into_iter().collect();
    assert_eq!(joined(answers[&joining].clone()).error, ErrorCode::UnknownMemberId);
    world.pass(SECOND * 59);
    assert_eq!(world.state(), GroupState::PreparingRebalance);
    world.pass(SECOND);
    assert_eq!(world.state(), GroupState::Empty);
}

#[test]
fn rebalance_timeout_of_zero_does_not_make_a_busy_loop_of_absent_static_members() {
    let mut world = World::new();
    let waiter = world.join(static_join("a"));
    world.pass(SECOND * 3);
    let a = joined(world.answer(waiter)).member_id;
    world.ask_to_sync(static_sync("a", &a));
    let hasty = |instance| JoinGroup { rebalance_timeout_ms: 0, ..static_join(instance) };
    assert_eq!(world.ask_to_join(hasty("a")).error, ErrorCode::None);
    world.join(hasty("b"));
    world.send(leave(&["b-00000000-0000-0000-0000-000000000003"]));
    assert_eq!(world.answers().len(), 2);
    assert_eq!(world.state(), GroupState::PreparingRebalance);
    world.coordinator.handle_timeout(world.now);
    assert_eq!(world.coordinator.next_timeout(), Some(world.now + SECOND));
}

#[test]
fn administrator_removes_a_static_member_by_its_instance_id_alone() {
    let mut world = World::new();
    let ids = static_group(&mut world);
    let named = |instance: &str| MemberIdentity {
        member_id: String::new(),
        group_instance_id: Some(instance.to_owned()),
    };
    let leave = LeaveGroup { group_id: GROUP.to_owned(), members: vec![named("b"), named("c")] };
    let errors = left(world.ask(Request::LeaveGroup(leave)));
    assert_eq!(errors, [ErrorCode::None, ErrorCode::UnknownMemberId]);
    assert_eq!(world.state(), GroupState::PreparingRebalance);
    assert_eq!(static_heartbeat(&mut world, "b", &ids[1]), ErrorCode::UnknownMemberId);
}

#[test]
fn returning_static_member_is_not_evicted_by_its_predecessors_session() {
    let mut world = World::new();
    let ids = static_group(&mut world);
    world.pass(SECOND * 9);
    assert_eq!(static_heartbeat(&mut world, "a", &ids[0]), ErrorCode::None);
    let b = world.ask_to_join(static_join("b")).member_id;
    world.pass(SECOND * 9);
    assert_eq!(static_heartbeat(&mut world, "b", &b), ErrorCode::None);
    assert_eq!(world.state(), GroupState::Stable);
}
