//! Nothing grows without a limit.

use super::*;

#[test]
fn no_more_groups_than_configured() {
    let mut world = World::with(GroupConfig { max_groups: 1, ..GroupConfig::default() });
    world.stable_group(1);
    let other = JoinGroup { group_id: "other".to_owned(), ..first_join() };
    assert_eq!(world.ask_to_join(other).error, ErrorCode::PolicyViolation);
    let other = OffsetCommit { group_id: "other".to_owned(), ..simple_commit() };
    assert_eq!(world.commit(other.clone()), ErrorCode::PolicyViolation);
    let members = world.describe().members;
    world.ask(leave(&[&members[0].member_id]));
    world.ask(Request::DeleteGroup { group_id: GROUP.to_owned() });
    assert_eq!(world.commit(other), ErrorCode::None);
}

#[test]
fn no_more_unused_member_ids_than_configured() {
    let mut world = World::with(GroupConfig { max_pending_members: 2, ..GroupConfig::default() });
    for error in [ErrorCode::MemberIdRequired, ErrorCode::MemberIdRequired, ErrorCode::GroupMaxSizeReached] {
        assert_eq!(world.ask_to_join(first_join()).error, error);
    }
    world.pass(SECOND * 10);
    assert_eq!(world.ask_to_join(first_join()).error, ErrorCode::MemberIdRequired);
}

#[test]
fn strings_that_no_record_can_hold_are_refused_at_the_door() {
    let mut world = World::new();
    let long = "x".repeat(40_000);
    let join = JoinGroup { group_id: long.clone(), ..first_join() };
    assert_eq!(world.ask_to_join(join).error, ErrorCode::InvalidGroupId);
    let invalid = [
        JoinGroup { client_id: long.clone(), ..first_join() },
        JoinGroup { client_host: long.clone(), ..first_join() },
        JoinGroup { protocol_type: long.clone(), ..first_join() },
        JoinGroup { group_instance_id: Some(long.clone()), ..first_join() },
        JoinGroup { protocols: vec![protocol(&long)], ..first_join() },
    ];
    for join in invalid {
        assert_eq!(world.ask_to_join(join).error, ErrorCode::InvalidRequest);
    }
    assert_eq!(world.ask_to_join(rejoin(&long)).error, ErrorCode::UnknownMemberId);
    let topics = vec![(long, vec![offset(0, 1)])];
    let commit = OffsetCommit { topics, ..simple_commit() };
    assert_eq!(world.commit(commit), ErrorCode::InvalidTopicException);
}

#[test]
fn longest_allowed_strings_can_be_written_and_read_back() {
    let mut world = World::new();
    let long = "x".repeat(MAX_STRING);
    let join = JoinGroup {
        client_id: long.clone(),
        client_host: long.clone(),
        protocol_type: long.clone(),
        protocols: vec![protocol(&long)],
        requires_known_member_id: false,
        ..first_join()
    };
    let waiter = world.join(join);
    world.pass(SECOND * 3);
    let member = joined(world.answer(waiter)).member_id;
    assert_eq!(world.ask_to_sync(sync(&member, 1)).error, ErrorCode::None);
    let mut reloaded = World::loading(GroupConfig::default());
    for CoordinatorRecord { key, value } in world.log[&29].clone() {
        reloaded.event(Event::LoadRecord { partition: 29, key, value });
    }
    reloaded.finish_loading();
    assert_eq!(reloaded.describe(), world.describe());
}

#[test]
fn too_many_protocols_or_too_much_metadata_is_refused() {
    let mut world = World::with(GroupConfig { max_append_bytes: 2_000, ..GroupConfig::default() });
    let protocols =
        (0..129).map(|number| Protocol { name: number.to_string(), metadata: Bytes::new() }).collect();
    let many = JoinGroup { protocols, ..first_join() };
    assert_eq!(world.ask_to_join(many).error, ErrorCode::InvalidRequest);
    let protocols = vec![Protocol { name: "range".to_owned(), metadata: Bytes::from(vec![0; 2_001]) }];
    let large = JoinGroup { protocols, ..first_join() };
    assert_eq!(world.ask_to_join(large).error, ErrorCode::MessageTooLarge);
}

#[test]
fn superfluous_and_early_timeouts_are_harmless() {
    let mut world = World::new();
    world.join_dynamic();
    world.answers();
    for _ in 0..3 {
        world.coordinator.handle_timeout(world.now);
    }
    assert_eq!(world.effects(), []);
    assert_eq!(world.coordinator.next_timeout(), Some(world.now + SECOND * 3));
}
