//! Nothing is told before it is durable, and a failed append starts its partition again from the log.

use super::*;

#[test]
fn commit_is_answered_only_when_it_is_durable() {
    let mut world = World::new();
    let waiter = world.send(Request::OffsetCommit(simple_commit()));
    assert!(matches!(world.effects().as_slice(), [Effect::Append { .. }]));
    world.pass(SECOND * 60);
    assert_eq!(world.effects(), []);
    world.settle(Ticket(0), Ok(()));
    assert!(matches!(world.answer(waiter), Response::OffsetCommit(_)));
}

#[test]
fn fetch_waits_for_a_commit_under_way() {
    let mut world = World::new();
    world.commit(simple_commit());
    let topics = vec![("topic".to_owned(), vec![offset(0, 43)])];
    world.send(Request::OffsetCommit(OffsetCommit { topics, ..simple_commit() }));
    let fetch = OffsetFetch { group_id: GROUP.to_owned(), topics: None, ..OffsetFetch::default() };
    let waiter = world.send(Request::OffsetFetch(fetch));
    assert!(matches!(world.effects().as_slice(), [Effect::Append { ticket: Ticket(1), .. }]));
    world.settle(Ticket(1), Ok(()));
    let answers: BTreeMap<_, _> = world.answers().into_iter().collect();
    let Response::OffsetFetch(response) = &answers[&waiter] else { panic!("{answers:?}") };
    assert_eq!(response.topics[0].1[0].offset, 43);
}

#[test]
fn failed_append_answers_everybody_and_reloads_the_partition() {
    let mut world = World::new();
    let commit = world.send(Request::OffsetCommit(simple_commit()));
    let fetch = OffsetFetch { group_id: GROUP.to_owned(), topics: None, ..OffsetFetch::default() };
    let fetch = world.send(Request::OffsetFetch(fetch));
    world.effects();
    world.settle(Ticket(0), Err(ErrorCode::NotEnoughReplicas));
    let error = ErrorCode::CoordinatorNotAvailable;
    let committed = Response::OffsetCommit(vec![("topic".to_owned(), vec![(0, error)])]);
    let fetched = Response::OffsetFetch(OffsetFetchResponse { error, topics: Vec::new() });
    let expected = vec![
        Effect::Respond { waiter: commit, response: committed },
        Effect::Respond { waiter: fetch, response: fetched },
        Effect::Reload { partition: 29 },
    ];
    assert_eq!(world.effects(), expected);
    assert_eq!(world.heartbeat("m", 1), ErrorCode::None);
    assert_eq!(world.commit(simple_commit()), ErrorCode::CoordinatorLoadInProgress);
}

#[test]
fn failed_append_answers_parked_members_too_and_stops_their_timers() {
    let mut world = World::new();
    let (member, join) = world.join_dynamic();
    world.answers();
    let commit = OffsetCommit { group_id: "grp-s".to_owned(), ..simple_commit() };
    assert_eq!(partition_for("grp-s", 50), 29, "it shares the partition of {GROUP}");
    world.send(Request::OffsetCommit(commit));
    let effects = world.effects();
    let [Effect::Append { ticket, .. }] = effects.as_slice() else { panic!("{effects:?}") };
    world.settle(*ticket, Err(ErrorCode::KafkaStorageError));
    let effects = world.effects();
    let response = Response::JoinGroup(JoinGroupResponse::failed(ErrorCode::NotCoordinator, &member));
    assert_eq!(effects[1], Effect::Respond { waiter: join, response });
    assert_eq!(effects[2], Effect::Reload { partition: 29 });
    assert_eq!(world.coordinator.next_timeout(), None);
}

#[test]
fn later_outcomes_of_a_dropped_partition_are_ignored() {
    let mut world = World::new();
    world.send(Request::OffsetCommit(simple_commit()));
    world.send(Request::OffsetCommit(simple_commit()));
    world.effects();
    world.settle(Ticket(0), Err(ErrorCode::RequestTimedOut));
    assert_eq!(world.effects().len(), 3);
    world.settle(Ticket(1), Err(ErrorCode::RequestTimedOut));
    world.settle(Ticket(1), Ok(()));
    world.settle(Ticket(99), Ok(()));
    assert_eq!(world.effects(), []);
}

#[test]
fn reloaded_partition_knows_what_the_log_knows() {
    let mut world = World::new();
    world.commit(simple_commit());
    let topics = vec![("topic".to_owned(), vec![offset(0, 43)])];
    world.send(Request::OffsetCommit(OffsetCommit { topics, ..simple_commit() }));
    world.effects();
    world.settle(Ticket(1), Err(ErrorCode::MessageTooLarge));
    let effects = world.effects();
    let outcome = vec![("topic".to_owned(), vec![(0, ErrorCode::UnknownServerError)])];
    assert!(
        matches!(&effects[0], Effect::Respond { response: Response::OffsetCommit(it), .. } if *it == outcome)
    );
    for CoordinatorRecord { key, value } in world.log[&29].clone() {
        world.event(Event::LoadRecord { partition: 29, key, value });
    }
    world.event(Event::LoadFinished { partition: 29 });
    assert_eq!(world.committed("topic"), 42);
}

#[test]
fn failure_in_one_partition_leaves_the_others_alone() {
    let mut world = World::new();
    world.commit(simple_commit());
    world.send(Request::OffsetCommit(OffsetCommit { group_id: "other".to_owned(), ..simple_commit() }));
    world.effects();
    world.settle(Ticket(1), Err(ErrorCode::RequestTimedOut));
    world.effects();
    assert_eq!(world.committed("topic"), 42);
}
