//! Leaving, and being thrown out.

use super::*;

#[test]
fn member_that_leaves_starts_a_rebalance() {
    let mut world = World::new();
    let members = world.stable_group(2);
    assert_eq!(left(world.ask(leave(&[&members[1]]))), [ErrorCode::None]);
    assert_eq!(world.state(), GroupState::PreparingRebalance);
    let response = world.ask_to_join(rejoin(&members[0]));
    assert_eq!((response.generation_id, response.members.len()), (2, 1));
}

#[test]
fn last_member_that_leaves_is_answered_when_the_empty_group_is_durable() {
    let mut world = World::new();
    let members = world.stable_group(1);
    let waiter = world.send(leave(&[&members[0]]));
    let effects = world.effects();
    let [Effect::Append { ticket, .. }] = effects.as_slice() else { panic!("{effects:?}") };
    world.settle(*ticket, Ok(()));
    assert_eq!(left(world.answer(waiter)), [ErrorCode::None]);
    assert_eq!(world.state(), GroupState::Empty);
}

#[test]
fn leave_reports_each_member() {
    let mut world = World::new();
    let members = world.stable_group(2);
    let errors = left(world.ask(leave(&["m", &members[1], &members[1], ""])));
    let unknown = ErrorCode::UnknownMemberId;
    assert_eq!(errors, [unknown, ErrorCode::None, unknown, unknown]);
    assert_eq!(world.describe().members.len(), 1);
}

#[test]
fn leave_of_nobody_known_changes_nothing() {
    let mut world = World::new();
    world.stable_group(1);
    assert_eq!(left(world.ask(leave(&["m"]))), [ErrorCode::UnknownMemberId]);
    assert_eq!(world.state(), GroupState::Stable);
}

#[test]
fn leave_of_an_unknown_group_is_each_members_error() {
    let mut world = World::new();
    let members = ["a", "b"].map(|member| LeftMember {
        member_id: member.to_owned(),
        group_instance_id: None,
        error: ErrorCode::UnknownMemberId,
    });
    let expected = LeaveGroupResponse { error: ErrorCode::None, members: members.into() };
    assert_eq!(world.ask(leave(&["a", "b"])), Response::LeaveGroup(expected));
}

#[test]
fn leave_with_an_empty_group_id_is_invalid() {
    let mut world = World::new();
    let leave = LeaveGroup { group_id: String::new(), members: Vec::new() };
    let expected = LeaveGroupResponse { error: ErrorCode::InvalidGroupId, members: Vec::new() };
    assert_eq!(world.ask(Request::LeaveGroup(leave)), Response::LeaveGroup(expected));
}

#[test]
fn handed_out_member_id_can_be_given_back() {
    let mut world = World::new();
    let member = world.ask_to_join(first_join()).member_id;
    assert_eq!(left(world.ask(leave(&[&member]))), [ErrorCode::None]);
    assert_eq!(world.ask_to_join(rejoin(&member)).error, ErrorCode::UnknownMemberId);
}

#[test]
fn leaving_member_takes_its_parked_requests_with_it() {
    let mut world = World::new();
    let members = world.joined_group(2);
    let parked = world.send(Request::SyncGroup(sync(&members[1], 1)));
    let leaving = world.send(leave(&[&members[1]]));
    let answers: BTreeMap<_, _> = world.answers().into_iter().collect();
    assert_eq!(synced(answers[&parked].clone()).error, ErrorCode::UnknownMemberId);
    assert_eq!(left(answers[&leaving].clone()), [ErrorCode::None]);
}

#[test]
fn member_that_leaves_during_a_rebalance_lets_it_finish() {
    let mut world = World::new();
    let members = world.stable_group(2);
    let waiter = world.join(rejoin(&members[0]));
    world.send(leave(&[&members[1]]));
    let answers: BTreeMap<_, _> = world.answers().into_iter().collect();
    let response = joined(answers[&waiter].clone());
    assert_eq!((response.generation_id, response.members.len()), (2, 1));
}
