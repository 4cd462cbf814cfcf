//! Groups come back from the log as they were.

use super::*;

/// A coordinator that has read what this one wrote.
fn reopened(world: &World) -> World {
    let mut reopened = World::loading(GroupConfig::default());
    reopened.now = world.now;
    for (partition, records) in &world.log {
        for CoordinatorRecord { key, value } in records.clone() {
            reopened.event(Event::LoadRecord { partition: *partition, key, value });
        }
    }
    reopened.finish_loading();
    reopened
}

#[test]
fn requests_are_refused_until_the_partition_is_loaded_but_heartbeats_are_not() {
    let mut world = World::loading(GroupConfig::default());
    let loading = ErrorCode::CoordinatorLoadInProgress;
    assert_eq!(world.ask_to_join(first_join()).error, loading);
    assert_eq!(world.ask_to_sync(sync("m", 1)).error, loading);
    assert_eq!(world.heartbeat("m", 1), ErrorCode::None);
    assert_eq!(world.commit(simple_commit()), loading);
    assert_eq!(world.ask(Request::ListGroups(ListGroups::default())), Response::ListGroups(Err(loading)));
    let delete = Request::DeleteGroup { group_id: GROUP.to_owned() };
    assert_eq!(world.ask(delete), Response::DeleteGroup(loading));
    assert_eq!((world.describe().error, world.describe().state), (loading, None));
    let fetch = OffsetFetch { group_id: GROUP.to_owned(), topics: None, ..OffsetFetch::default() };
    let refused = OffsetFetchResponse { error: loading, topics: Vec::new() };
    assert_eq!(world.ask(Request::OffsetFetch(fetch)), Response::OffsetFetch(refused));
}

#[test]
fn stable_group_survives_a_restart_without_a_rebalance() {
    let mut world = World::new();
    let members = world.stable_group(2);
    world.commit(commit_by(&members[0], 1));
    let before = world.describe();
    let mut world = reopened(&world);
    assert_eq!(world.describe(), before);
    assert_eq!(world.heartbeat(&members[0], 1), ErrorCode::None);
    assert_eq!(world.ask_to_sync(sync(&members[1], 1)).assignment, Bytes::from_static(&[1]));
    assert_eq!(world.ask_to_join(rejoin(&members[1])).generation_id, 1);
    assert_eq!(world.committed("topic"), 42);
}

#[test]
fn members_have_a_full_session_after_a_restart() {
    let mut world = World::new();
    world.stable_group(1);
    world.pass(SECOND * 9);
    let mut world = reopened(&world);
    world.pass(SECOND * 9);
    assert_eq!(world.state(), GroupState::Stable);
    world.pass(SECOND);
    assert_eq!(world.state(), GroupState::Empty);
}

#[test]
fn static_member_is_known_by_its_instance_after_a_restart() {
    let mut world = World::new();
    let waiter = world.join(static_join("a"));
    world.pass(SECOND * 3);
    let member = joined(world.answer(waiter)).member_id;
    world.ask_to_sync(SyncGroup { group_instance_id: Some("a".to_owned()), ..sync(&member, 1) });
    let mut world = reopened(&world);
    world.ask_to_join(first_join()); // another member id than the one of old
    let response = world.ask_to_join(static_join("a"));
    assert_eq!((response.error, response.generation_id), (ErrorCode::None, 1));
    assert_eq!(
        world.ask_to_sync(SyncGroup { group_instance_id: Some("a".to_owned()), ..sync(&member, 1) }).error,
        ErrorCode::FencedInstanceId
    );
}

#[test]
fn tombstones_take_groups_and_offsets_away_again() {
    let mut world = World::new();
    world.commit(simple_commit());
    world.ask(Request::DeleteGroup { group_id: GROUP.to_owned() });
    let mut world = reopened(&world);
    assert_eq!(world.state(), GroupState::Dead);
    assert_eq!(world.committed("topic"), -1);
    assert_eq!(world.coordinator.next_timeout(), None);
}

#[test]
fn empty_group_keeps_its_generation_and_expires_from_the_time_in_the_log() {
    let mut world = World::new();
    let members = world.stable_group(1);
    world.commit(commit_by(&members[0], 1));
    world.ask(leave(&[&members[0]]));
    world.pass(DAY * 6);
    let mut world = reopened(&world);
    world.event(Event::WallClock { epoch_ms: EPOCH_MS + 6 * 24 * 60 * 60 * 1000 });
    world.pass(DAY - SECOND);
    assert_eq!(world.committed("topic"), 42);
    world.pass(Duration::from_mins(11));
    assert_eq!(world.state(), GroupState::Dead);
}

#[test]
fn generation_goes_on_where_it_was_after_a_restart() {
    let mut world = World::new();
    let members = world.stable_group(1);
    world.ask(leave(&[&members[0]]));
    let mut world = reopened(&world);
    let waiter = world.join(static_join("a"));
    world.pass(SECOND * 3);
    assert_eq!(joined(world.answer(waiter)).generation_id, 3);
}

#[test]
fn records_that_cannot_be_read_or_are_of_another_kind_are_passed_over() {
    let mut world = World::loading(GroupConfig::default());
    let good = offset_commit(GROUP, "topic", 0, None).key;
    for (key, value) in [
        (Bytes::from_static(b"\x00\x03\x00\x03grp"), Some(Bytes::from_static(b"\0\0"))), // a KIP-848 group
        (Bytes::from_static(b"\x00"), None),
        (Bytes::from_static(b"\x00\x02\x7f\xffgrp"), None),
        (good.clone(), Some(Bytes::from_static(b"\x00\x05"))),
        (good, Some(Bytes::new())),
    ] {
        world.event(Event::LoadRecord { partition: 29, key, value });
    }
    world.event(Event::LoadRecord { partition: 99, key: Bytes::new(), value: None });
    world.event(Event::LoadFinished { partition: -1 });
    world.finish_loading();
    assert_eq!(world.state(), GroupState::Dead);
}

#[test]
fn record_that_comes_after_the_end_of_loading_is_ignored() {
    let mut world = World::new();
    let key = group_metadata(GROUP, None).key;
    world.commit(simple_commit());
    world.event(Event::LoadRecord { partition: 29, key, value: None });
    world.event(Event::LoadFinished { partition: 29 });
    assert_eq!(world.committed("topic"), 42);
}

#[test]
fn loaded_group_over_the_size_limit_is_rebalanced() {
    let mut world = World::new();
    world.stable_group(3);
    let mut small = World::loading(GroupConfig { max_size: 2, ..GroupConfig::default() });
    for CoordinatorRecord { key, value } in world.log[&29].clone() {
        small.event(Event::LoadRecord { partition: 29, key, value });
    }
    small.finish_loading();
    assert_eq!(small.state(), GroupState::PreparingRebalance);
}

#[test]
fn topic_deleted_while_loading_takes_its_offsets_when_loaded() {
    let mut world = World::new();
    world.commit(simple_commit());
    let records = world.log[&29].clone();
    let mut world = World::loading(GroupConfig::default());
    world.event(Event::Own(GroupEvent::TopicDeleted { topic: "topic".to_owned() }));
    for CoordinatorRecord { key, value } in records {
        world.event(Event::LoadRecord { partition: 29, key, value });
    }
    world.finish_loading();
    assert_eq!(world.answers(), []);
    assert_eq!(world.committed("topic"), -1);
    assert_eq!(world.log[&29], [offset_commit(GROUP, "topic", 0, None)]);
}
