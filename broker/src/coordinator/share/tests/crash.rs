//! The process dies, or the log refuses.

use super::*;
use AcknowledgeKind::{Accept, Reject, Release};

#[test]
fn what_was_only_acquired_is_available_again_as_often_delivered_as_was_written() {
    let mut world = World::new();
    let log = batches(&[10]);
    assert_eq!(world.take("m", 500, &log), [(0, 9, 1)]);
    world.say("m", &[(2, 3, Release)]).unwrap();
    world.say("m", &[(5, 6, Accept)]).unwrap();
    assert_eq!(world.take("n", 500, &log), [(2, 3, 2)]);
    world.crash();
    assert_eq!(world.position(), Position::At(0));
    let taken = world.take("o", 500, &log);
    assert_eq!(taken, [(0, 1, 1), (2, 3, 2), (4, 4, 1), (7, 9, 1)]);
}

#[test]
fn an_answer_waits_until_what_it_says_is_durable() {
    let mut world = World::new();
    assert_eq!(world.take("m", 500, &batches(&[4])), [(0, 3, 1)]);
    let said = world.saying("m", &[(0, 3, Accept)]);
    let waiter = world.ask(said);
    assert_eq!(world.answers.get(&waiter), None);
    let summary = world.ask(Request::Summary { key: key() });
    assert_eq!(world.answers.get(&summary), None);
    world.crash();
    assert_eq!(world.take("n", 500, &batches(&[4])), [(0, 3, 1)], "it was never told");
}

#[test]
fn an_append_that_fails_takes_back_what_it_said() {
    let mut world = World::new();
    let log = batches(&[4]);
    assert_eq!(world.take("m", 500, &log), [(0, 3, 1)]);
    world.say("m", &[(0, 0, Accept)]).unwrap();
    let said = world.saying("m", &[(1, 1, Accept)]);
    let waiter = world.ask(said);
    world.fail();
    let refused = Response::Acknowledged(Err(ErrorCode::NotCoordinator.into()));
    assert_eq!(world.answers.remove(&waiter), Some(refused));
    assert_eq!(world.take("n", 500, &log), [(1, 3, 1)]);
}

#[test]
fn every_prefix_of_the_log_is_a_state_that_was_told() {
    let mut world = World::new();
    world.config.updates_per_snapshot = 3;
    world.crash();
    let log = batches(&[8]);
    assert_eq!(world.take("m", 500, &log), [(0, 7, 1)]);
    let steps = [
        (3, 3, Accept),
        (0, 0, Reject),
        (7, 7, Release),
        (1, 1, Accept),
        (5, 5, Release),
        (2, 2, Accept),
        (6, 6, Accept),
        (4, 4, Accept),
    ];
    // What can be had again after each step, were it the last.
    let mut expected = vec![vec![0, 1, 2, 3, 4, 5, 6, 7]];
    for (offset, _, kind) in steps {
        world.say("m", &[(offset, offset, kind)]).unwrap();
        let mut left = expected.last().unwrap().clone();
        left.retain(|left| *left != offset || kind == Release);
        expected.push(left);
    }
    let partition = world.coordinator.partition_of(&key());
    let records = world.log.remove(&partition).unwrap();
    assert_eq!(records.len(), expected.len());
    for (count, expected) in (1..).zip(expected) {
        world.log.insert(partition, records[..count].to_vec());
        world.crash();
        let taken = world.take("n", 500, &log);
        let offsets: Vec<i64> = taken.iter().flat_map(|(first, last, _)| *first..=*last).collect();
        assert_eq!(offsets, expected, "after {count} records");
    }
}

#[test]
fn the_front_of_the_log_is_cut_off_when_most_of_it_is_said_again() {
    let mut world = World::bare(ShareConfig { partitions: 1, ..ShareConfig::default() });
    world.initialize(0);
    let initialize = Request::Initialize { key: other_key(1), state_epoch: 1, start_offset: 4 };
    assert_eq!(world.call(initialize), Response::Done(Ok(())));
    for offset in 0..12_000 {
        assert_eq!(world.take("m", 1, &[(offset, offset)]), [(offset, offset, 1)]);
        world.say("m", &[(offset, offset, Accept)]).unwrap();
    }
    let left = world.log[&0].len();
    assert!(left < 3_000, "{left} records are left");
    world.crash();
    assert_eq!(world.position(), Position::At(12_000));
    let summary = world.call(Request::Summary { key: other_key(1) });
    let Response::Summary(Ok(Some(summary))) = summary else { panic!("{summary:?}") };
    assert_eq!(summary.start_offset, 4);
}

#[test]
fn a_deleted_share_partition_is_gone_and_a_deleted_topic_takes_all_of_its_own() {
    let mut world = World::new();
    let other = Key { topic: Uuid::from_u128(8), ..other_key(0) };
    for key in [other_key(1), other.clone()] {
        let initialize = Request::Initialize { key, state_epoch: 1, start_offset: 0 };
        assert_eq!(world.call(initialize), Response::Done(Ok(())));
    }
    assert_eq!(world.call(Request::Delete { key: other_key(1) }), Response::Done(Ok(())));
    assert_eq!(world.call(Request::DeleteTopic { topic: TOPIC }), Response::Done(Ok(())));
    world.crash();
    let mut is_there = |key| world.call(Request::Summary { key }) != Response::Summary(Ok(None));
    assert_eq!([is_there(key()), is_there(other_key(1)), is_there(other)], [false, false, true]);
}

#[test]
fn an_older_state_epoch_is_fenced_and_a_newer_one_begins_anew() {
    let mut world = World::new();
    assert_eq!(world.take("m", 500, &batches(&[4])), [(0, 3, 1)]);
    let initialize = |state_epoch| Request::Initialize { key: key(), state_epoch, start_offset: 2 };
    assert_eq!(world.call(initialize(0)), Response::Done(Err(ErrorCode::FencedStateEpoch)));
    assert_eq!(world.call(initialize(5)), Response::Done(Ok(())));
    assert_eq!(world.take("n", 500, &batches(&[4])), [(2, 3, 1)]);
    let again = Request::Initialize { key: key(), state_epoch: 5, start_offset: -1 };
    assert_eq!(world.call(again), Response::Done(Ok(())));
    assert_eq!(world.position(), Position::At(4), "said twice");
}
