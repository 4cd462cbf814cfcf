//! Describing, listing and deleting groups.

use super::*;

fn list(world: &mut World, states: &[&str], types: &[&str]) -> Vec<(String, &'static str)> {
    let owned = |names: &[&str]| names.iter().map(|name| (*name).to_owned()).collect();
    let list = ListGroups { states: owned(states), types: owned(types) };
    let Response::ListGroups(Ok(groups)) = world.ask(Request::ListGroups(list)) else { panic!("no list") };
    groups.into_iter().map(|group| (group.group_id, group.state)).collect()
}

fn delete(world: &mut World) -> ErrorCode {
    let request = Request::DeleteGroup { group_id: GROUP.to_owned() };
    let Response::DeleteGroup(error) = world.ask(request) else { panic!("no delete") };
    error
}

#[test]
fn stable_group_is_described_with_everything() {
    let mut world = World::new();
    let members = world.stable_group(1);
    let member = DescribedMember {
        member_id: members[0].clone(),
        group_instance_id: None,
        client_id: "client".to_owned(),
        client_host: "/127.0.0.1".to_owned(),
        metadata: subscription(&["topic"]),
        assignment: Bytes::from_static(&[0]),
    };
    let expected = DescribedGroup {
        error: ErrorCode::None,
        group_id: GROUP.to_owned(),
        state: Some(GroupState::Stable),
        protocol_type: "consumer".to_owned(),
        protocol: "range".to_owned(),
        members: vec![member],
        is_no_classic_group: false,
    };
    assert_eq!(world.describe(), expected);
}

#[test]
fn group_in_a_rebalance_is_described_without_protocol_and_metadata() {
    let mut world = World::new();
    world.joined_group(1);
    let described = world.describe();
    assert_eq!(described.state, Some(GroupState::CompletingRebalance));
    assert_eq!(described.protocol, "");
    assert_eq!(described.members[0].metadata, Bytes::new());
}

#[test]
fn unknown_group_is_dead_or_not_found_by_version() {
    let mut world = World::new();
    assert_eq!(world.describe(), DescribedGroup::dead(ErrorCode::None, GROUP.to_owned()));
    let describe = DescribeGroup { group_id: GROUP.to_owned(), supports_group_id_not_found: true };
    let expected = DescribedGroup::dead(ErrorCode::GroupIdNotFound, GROUP.to_owned());
    assert_eq!(world.ask(Request::DescribeGroup(describe)), Response::DescribeGroup(expected));
}

#[test]
fn list_filters_by_state_and_type_in_any_case() {
    let mut world = World::new();
    world.stable_group(1);
    world.commit(OffsetCommit { group_id: "simple".to_owned(), ..simple_commit() });
    let stable = (GROUP.to_owned(), "Stable");
    let simple = ("simple".to_owned(), "Empty");
    let mut all = list(&mut world, &[], &[]);
    all.sort_by(|one, other| one.0.cmp(&other.0));
    assert_eq!(all, [stable.clone(), simple.clone()]);
    assert_eq!(list(&mut world, &[" STABLE "], &["Classic"]), [stable]);
    assert_eq!(list(&mut world, &["empty", "dead"], &[]), [simple]);
    assert_eq!(list(&mut world, &["nonsense"], &[]), []);
    assert_eq!(list(&mut world, &[], &["consumer"]), []);
}

#[test]
fn list_names_the_protocol_type() {
    let mut world = World::new();
    world.stable_group(1);
    let listed = ListedGroup {
        group_id: GROUP.to_owned(),
        protocol_type: "consumer".to_owned(),
        state: "Stable",
        group_type: "classic",
    };
    let response = world.ask(Request::ListGroups(ListGroups::default()));
    assert_eq!(response, Response::ListGroups(Ok(vec![listed])));
}

#[test]
fn group_with_members_cannot_be_deleted() {
    let mut world = World::new();
    world.stable_group(1);
    assert_eq!(delete(&mut world), ErrorCode::NonEmptyGroup);
}

#[test]
fn unknown_group_cannot_be_deleted() {
    let mut world = World::new();
    assert_eq!(delete(&mut world), ErrorCode::GroupIdNotFound);
}

#[test]
fn deleted_group_leaves_tombstones_for_its_offsets_and_last_for_itself() {
    let mut world = World::new();
    world.commit(simple_commit());
    world.log.clear();
    assert_eq!(delete(&mut world), ErrorCode::None);
    let tombstones = [offset_commit(GROUP, "topic", 0, None), group_metadata(GROUP, None)];
    assert_eq!(world.log[&29], tombstones);
    assert_eq!(world.committed("topic"), -1);
    assert_eq!(world.coordinator.next_timeout(), None);
    assert_eq!(delete(&mut world), ErrorCode::GroupIdNotFound);
}

#[test]
fn large_group_is_deleted_in_several_appends_and_answered_after_the_last() {
    let mut world = World::with(GroupConfig { max_append_bytes: 1_000, ..GroupConfig::default() });
    for partition in 0..40 {
        let topics = vec![("topic".to_owned(), vec![offset(partition, 7)])];
        assert_eq!(world.commit(OffsetCommit { topics, ..simple_commit() }), ErrorCode::None);
    }
    let waiter = world.send(Request::DeleteGroup { group_id: GROUP.to_owned() });
    let mut tickets = Vec::new();
    for effect in world.effects() {
        let Effect::Append { records, ticket, .. } = effect else { panic!("{effect:?}") };
        assert!(records.iter().map(CoordinatorRecord::size).sum::<usize>() <= 1_000);
        tickets.push(ticket);
    }
    assert!(tickets.len() > 1);
    let last = tickets.pop().unwrap();
    tickets.into_iter().for_each(|ticket| world.settle(ticket, Ok(())));
    assert_eq!(world.effects(), []);
    world.settle(last, Ok(()));
    let response = Response::DeleteGroup(ErrorCode::None);
    assert_eq!(world.effects(), [Effect::Respond { waiter, response }]);
}

#[test]
fn deleted_group_can_be_made_again() {
    let mut world = World::new();
    let pending = world.ask_to_join(first_join()).member_id;
    assert_eq!(delete(&mut world), ErrorCode::None);
    assert_eq!(world.ask_to_join(rejoin(&pending)).error, ErrorCode::UnknownMemberId);
    world.stable_group(1);
}
