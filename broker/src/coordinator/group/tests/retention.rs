//! Forgetting offsets and groups.

use super::*;

const CHECK: Duration = Duration::from_mins(10);

#[test]
fn offset_of_a_simple_group_expires_after_the_retention_and_the_group_with_it() {
    let mut world = World::new();
    world.commit(simple_commit());
    world.log.clear();
    world.pass(DAY * 7 - SECOND);
    assert_eq!(world.committed("topic"), 42);
    world.pass(SECOND);
    assert_eq!(world.answers(), []);
    let tombstones = [offset_commit(GROUP, "topic", 0, None), group_metadata(GROUP, None)];
    assert_eq!(world.log[&29], tombstones);
    assert_eq!(world.state(), GroupState::Dead);
    assert_eq!(world.coordinator.next_timeout(), None);
}

#[test]
fn commit_renews_the_retention() {
    let mut world = World::new();
    world.commit(simple_commit());
    world.pass(DAY * 6);
    world.commit(simple_commit());
    world.pass(DAY * 6);
    assert_eq!(world.committed("topic"), 42);
    world.pass(DAY + CHECK);
    assert_eq!(world.state(), GroupState::Dead);
}

#[test]
fn offsets_of_a_group_expire_after_its_last_member_left_not_after_the_commit() {
    let mut world = World::new();
    let members = world.stable_group(1);
    world.commit(commit_by(&members[0], 1));
    for _ in 0..(8 * 24 * 60 * 60 / 9) {
        world.pass(SECOND * 9);
        world.heartbeat(&members[0], 1);
    }
    world.ask(leave(&[&members[0]]));
    world.pass(DAY * 7 - SECOND);
    assert_eq!(world.committed("topic"), 42);
    world.pass(CHECK + SECOND);
    assert_eq!(world.state(), GroupState::Dead);
}

#[test]
fn offsets_of_topics_that_an_active_group_no_longer_reads_expire_one_by_one() {
    let mut world = World::new();
    let patient = |member: &str| JoinGroup { session_timeout_ms: 1_800_000, ..rejoin(member) };
    let waiter = world.join(JoinGroup { requires_known_member_id: false, ..patient("") });
    world.pass(SECOND * 3);
    let member = joined(world.answer(waiter)).member_id;
    world.ask_to_sync(sync(&member, 1));
    let topics = vec![("other".to_owned(), vec![offset(0, 7)]), ("topic".to_owned(), vec![offset(0, 8)])];
    world.commit(OffsetCommit { topics, ..commit_by(&member, 1) });
    for _ in 0..(7 * 24 * 2) {
        world.pass(SECOND * 1799);
        world.heartbeat(&member, 1);
        assert_eq!(world.committed("other"), 7);
    }
    world.pass(CHECK);
    assert_eq!((world.committed("other"), world.committed("topic")), (-1, 8));
}

#[test]
fn client_that_chose_its_own_retention_has_it() {
    let mut world = World::new();
    world.commit(OffsetCommit { retention: Some(SECOND * 60), ..simple_commit() });
    world.pass(SECOND * 59);
    assert_eq!(world.committed("topic"), 42);
    world.pass(SECOND);
    assert_eq!(world.state(), GroupState::Dead);
}

#[test]
fn absurd_retention_of_a_client_does_no_harm() {
    let mut world = World::new();
    let error = world.commit(OffsetCommit { retention: Some(Duration::MAX), ..simple_commit() });
    assert_eq!(error, ErrorCode::None);
    world.pass(DAY * 8);
    assert_eq!(world.committed("topic"), 42);
}

#[test]
fn empty_group_without_offsets_is_forgotten_at_the_next_check() {
    let mut world = World::new();
    world.ask_to_join(first_join());
    assert_eq!(world.state(), GroupState::Empty);
    world.pass(CHECK);
    assert_eq!(world.answers(), []);
    assert_eq!(world.log[&29].last(), Some(&group_metadata(GROUP, None)));
    assert_eq!(world.state(), GroupState::Dead);
}

#[test]
fn group_with_members_is_never_forgotten() {
    let mut world = World::new();
    let members = world.stable_group(1);
    world.pass_alive(1_000, &[&members[0]], 1);
    assert_eq!(world.state(), GroupState::Stable);
    // One session and nothing else: an idle group costs no more than its heartbeats.
    assert_eq!(world.coordinator.timers.len(), 1);
}

#[test]
fn wall_clock_that_was_set_right_is_used_from_then_on() {
    let mut world = World::new();
    world.event(Event::WallClock { epoch_ms: EPOCH_MS + 5 });
    world.pass(SECOND);
    world.commit(simple_commit());
    let committed = CommittedOffset {
        offset: 42,
        leader_epoch: 3,
        metadata: "meta".to_owned(),
        commit_timestamp_ms: EPOCH_MS + 1_005,
        expire_timestamp_ms: None,
    };
    let record = offset_commit(GROUP, "topic", 0, Some(&committed));
    assert_eq!(world.log[&29], [record]);
}
