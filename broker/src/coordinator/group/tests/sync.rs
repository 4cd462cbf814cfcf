//! Handing out the leader's assignment.

use super::*;

#[test]
fn leaders_assignment_reaches_everybody_when_it_is_durable() {
    let mut world = World::new();
    let members = world.joined_group(2);
    let follower = world.send(Request::SyncGroup(sync(&members[1], 1)));
    assert_eq!(world.effects(), []);
    let leader = world
        .send(Request::SyncGroup(SyncGroup { assignments: assignments(&members), ..sync(&members[0], 1) }));
    let effects = world.effects();
    let [Effect::Append { partition: 29, records, ticket }] = effects.as_slice() else {
        panic!("{effects:?}")
    };
    assert_eq!(records.len(), 1);
    world.settle(*ticket, Ok(()));
    let assigned = |byte| {
        Response::SyncGroup(SyncGroupResponse {
            error: ErrorCode::None,
            protocol_type: Some("consumer".to_owned()),
            protocol_name: Some("range".to_owned()),
            assignment: Bytes::from(vec![byte]),
        })
    };
    let expected = vec![
        Effect::Respond { waiter: leader, response: assigned(0) },
        Effect::Respond { waiter: follower, response: assigned(1) },
    ];
    assert_eq!(world.effects(), expected);
}

#[test]
fn member_that_the_leader_left_out_gets_an_empty_assignment() {
    let mut world = World::new();
    let members = world.joined_group(2);
    let only_leader =
        vec![(members[0].clone(), Bytes::from_static(b"all")), ("made up".to_owned(), Bytes::new())];
    world.ask_to_sync(SyncGroup { assignments: only_leader, ..sync(&members[0], 1) });
    let response = world.ask_to_sync(sync(&members[1], 1));
    assert_eq!((response.error, response.assignment), (ErrorCode::None, Bytes::new()));
}

#[test]
fn assignment_of_an_earlier_generation_does_not_outlive_it() {
    let mut world = World::new();
    let members = world.stable_group(2);
    for member in &members {
        world.join(changed(member));
    }
    assert_eq!(world.answers().len(), 2);
    world.ask_to_sync(SyncGroup { assignments: assignments(&members[..1]), ..sync(&members[0], 2) });
    assert_eq!(world.ask_to_sync(sync(&members[1], 2)).assignment, Bytes::new());
}

#[test]
fn late_sync_in_a_stable_group_gets_the_assignment() {
    let mut world = World::new();
    let members = world.stable_group(2);
    assert_eq!(world.ask_to_sync(sync(&members[1], 1)).assignment, Bytes::from_static(&[1]));
}

#[test]
fn sync_before_the_assignment_is_durable_waits_for_it() {
    let mut world = World::new();
    let members = world.joined_group(2);
    world.send(Request::SyncGroup(sync(&members[0], 1)));
    let effects = world.effects();
    let [Effect::Append { ticket, .. }] = effects.as_slice() else { panic!("{effects:?}") };
    let late = world.send(Request::SyncGroup(sync(&members[1], 1)));
    assert_eq!(world.effects(), []);
    world.settle(*ticket, Ok(()));
    let answered: Vec<_> = world.answers().into_iter().map(|(waiter, _)| waiter).collect();
    assert!(answered.contains(&late) && answered.len() == 2);
}

#[test]
fn sync_while_a_rebalance_collects_members_is_sent_back() {
    let mut world = World::new();
    let members = world.stable_group(2);
    world.join(changed(&members[1]));
    assert_eq!(world.ask_to_sync(sync(&members[0], 1)).error, ErrorCode::RebalanceInProgress);
}

#[test]
fn sync_of_an_unknown_group_or_member_or_of_an_empty_group_is_unknown() {
    let mut world = World::new();
    assert_eq!(world.ask_to_sync(sync("m", 1)).error, ErrorCode::UnknownMemberId);
    world.commit(simple_commit());
    assert_eq!(world.ask_to_sync(sync("m", 0)).error, ErrorCode::UnknownMemberId);
    world.stable_group(1);
    assert_eq!(world.ask_to_sync(sync("m", 1)).error, ErrorCode::UnknownMemberId);
}

#[test]
fn sync_with_another_generation_is_illegal() {
    let mut world = World::new();
    let members = world.joined_group(1);
    for generation in [0, 2] {
        assert_eq!(world.ask_to_sync(sync(&members[0], generation)).error, ErrorCode::IllegalGeneration);
    }
}

#[test]
fn sync_with_another_protocol_is_inconsistent() {
    let mut world = World::new();
    let members = world.joined_group(1);
    let other_type = SyncGroup { protocol_type: Some("connect".to_owned()), ..sync(&members[0], 1) };
    let other_name = SyncGroup { protocol_name: Some("sticky".to_owned()), ..sync(&members[0], 1) };
    for sync in [other_type, other_name] {
        assert_eq!(world.ask_to_sync(sync).error, ErrorCode::InconsistentGroupProtocol);
    }
    let same = SyncGroup {
        protocol_type: Some("consumer".to_owned()),
        protocol_name: Some("range".to_owned()),
        ..sync(&members[0], 1)
    };
    assert_eq!(world.ask_to_sync(same).error, ErrorCode::None);
}

#[test]
fn sync_with_an_empty_group_id_is_invalid() {
    let mut world = World::new();
    let response = world.ask_to_sync(SyncGroup { group_id: String::new(), ..sync("m", 1) });
    assert_eq!(response.error, ErrorCode::InvalidGroupId);
}

#[test]
fn repeated_sync_answers_the_older_one_too() {
    let mut world = World::new();
    let members = world.joined_group(2);
    let older = world.send(Request::SyncGroup(sync(&members[1], 1)));
    world.send(Request::SyncGroup(sync(&members[1], 1)));
    assert_eq!(synced(world.answer(older)).error, ErrorCode::RebalanceInProgress);
}

#[test]
fn assignment_too_large_to_be_written_fails_the_generation() {
    let mut world = World::with(GroupConfig { max_append_bytes: 2_000, ..GroupConfig::default() });
    let members = world.joined_group(2);
    let waiting = world.send(Request::SyncGroup(sync(&members[1], 1)));
    let huge = vec![(members[0].clone(), Bytes::from(vec![0; 2_000]))];
    let leader = world.send(Request::SyncGroup(SyncGroup { assignments: huge, ..sync(&members[0], 1) }));
    let failed = Response::SyncGroup(SyncGroupResponse::failed(ErrorCode::UnknownServerError));
    let expected = vec![
        Effect::Respond { waiter: leader, response: failed.clone() },
        Effect::Respond { waiter: waiting, response: failed },
    ];
    assert_eq!(world.effects(), expected);
    assert_eq!(world.state(), GroupState::PreparingRebalance);
}
