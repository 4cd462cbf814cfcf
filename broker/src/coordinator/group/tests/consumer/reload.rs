//! What the log knows of a consumer group is the group: after a restart, and after a failed append.

use super::*;

/// The same groups in a new coordinator, read from the log.
fn restarted(world: &World) -> World {
    let mut again = World::loading(config());
    again.now = world.now;
    again.topic("topic", 1, 4);
    for (partition, records) in &world.log {
        for CoordinatorRecord { key, value } in records.clone() {
            again.event(Event::LoadRecord { partition: *partition, key, value });
        }
    }
    again.log = world.log.clone();
    again.finish_loading();
    again
}

#[test]
fn group_is_the_same_after_a_restart() {
    let mut world = world(4);
    world.pair();
    let before = world.describe_consumers();
    let mut again = restarted(&world);
    assert_eq!(again.describe_consumers(), before);
    assert_eq!(again.beat_ok(staying("a", 3)), (3, None));
    assert_eq!(again.beat_ok(staying("b", 3)), (3, None));
    assert_eq!(again.describe_consumers().epoch, before.epoch);
}

#[test]
fn reconciliation_goes_on_after_a_restart() {
    let mut world = world(4);
    world.beat_ok(joining("a"));
    world.beat_ok(joining("b"));
    world.beat_ok(staying("a", 2));
    let mut again = restarted(&world);
    assert_eq!(again.beat_ok(staying("b", 3)), (3, None));
    assert_eq!(again.beat_ok(owning("a", 2, partitions(&[0, 1]))), (3, None));
    assert_eq!(again.beat_ok(staying("b", 3)), (3, Some(partitions(&[2, 3]))));
}

#[test]
fn members_have_a_session_and_revokers_their_timeout_after_a_restart() {
    let mut world = world(4);
    world.beat_ok(joining("a"));
    world.beat_ok(joining("b"));
    world.beat_ok(staying("a", 2));
    let mut again = restarted(&world);
    again.pass(SECOND * 44);
    assert_eq!(again.describe_consumers().members.len(), 2);
    again.pass(SECOND);
    assert!(again.answers().is_empty());
    assert_eq!(again.describe_consumers().state, "Empty");
}

#[test]
fn topic_that_grew_before_the_restart_is_noticed_after_it() {
    let mut world = world(2);
    world.beat_ok(joining("a"));
    let mut again = restarted(&world);
    assert_eq!(again.beat_ok(staying("a", 2)), (3, Some(partitions(&[0, 1, 2, 3]))));
}

#[test]
fn deleted_group_is_gone_after_a_restart() {
    let mut world = world(1);
    world.beat_ok(joining("a"));
    world.commit(commit_by("a", 2));
    world.beat_ok(staying("a", -1));
    world.ask(Request::DeleteGroup { group_id: GROUP.to_owned() });
    let mut again = restarted(&world);
    assert_eq!(again.describe_consumers().error, ErrorCode::GroupIdNotFound);
    assert_eq!(again.coordinator.groups, 0);
}

#[test]
fn pattern_is_the_same_after_a_restart() {
    let mut world = world(4);
    let matching = ConsumerGroupHeartbeat { topics: None, regex: Some("to.*".to_owned()), ..joining("a") };
    world.beat_ok(matching);
    let mut again = restarted(&world);
    assert_eq!(again.beat_ok(staying("a", 2)), (2, None));
    again.topic("tomorrow", 2, 1);
    assert_eq!(again.beat_ok(staying("a", 2)).0, 3);
}

#[test]
fn failed_append_is_told_and_the_group_read_again() {
    let mut world = world(1);
    let waiter = world.send(Request::ConsumerGroupHeartbeat(Box::new(joining("a"))));
    let effects = world.effects();
    let [Effect::Append { ticket, partition, .. }] = effects.as_slice() else { panic!("{effects:?}") };
    world.settle(*ticket, Err(ErrorCode::NotEnoughReplicas));
    let effects = world.effects();
    let [Effect::Respond { waiter: answered, response }, Effect::Reload { .. }] = effects.as_slice() else {
        panic!("{effects:?}")
    };
    assert_eq!(*answered, waiter);
    let Response::ConsumerGroupHeartbeat(beat) = response else { panic!("{response:?}") };
    assert_eq!(beat.error, ErrorCode::CoordinatorNotAvailable);
    world.event(Event::LoadFinished { partition: *partition });
    assert_eq!(world.describe_consumers().error, ErrorCode::GroupIdNotFound);
}

#[test]
fn group_that_changed_its_kind_is_of_the_last_kind_after_a_restart() {
    let mut world = world(4);
    world.stable_group(1);
    world.commit(OffsetCommit { topics: vec![("topic".to_owned(), vec![offset(0, 7)])], ..simple_commit() });
    let classic = world.describe();
    let mut again = restarted(&world);
    assert_eq!(again.describe(), classic);
    let id = classic.members[0].member_id.clone();
    again.ask(leave(&[&id]));
    again.pass(SECOND * 61);
    again.answers();
    assert_eq!(again.state(), GroupState::Empty);
    again.beat_ok(joining("a"));
    let mut again = restarted(&again);
    assert_eq!(again.describe_consumers().members.len(), 1);
}
