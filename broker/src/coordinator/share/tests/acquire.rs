//! Who gets which records.

use super::*;
use AcknowledgeKind::{Accept, Release};

#[test]
fn records_are_taken_up_to_the_end_of_a_batch() {
    let mut world = World::new();
    let log = batches(&[10, 10, 10]);
    assert_eq!(world.take("m", 5, &log), [(0, 9, 1)]);
    assert_eq!(world.position(), Position::At(10));
    assert_eq!(world.take("n", 15, &log), [(10, 29, 1)]);
    assert_eq!(world.take("o", 15, &log), []);
}

#[test]
fn a_record_limit_is_kept_and_the_rest_of_the_batch_is_for_others() {
    let mut world = World::new();
    world.mode = AcquireMode::RecordLimit;
    let log = batches(&[10]);
    assert_eq!(world.take("m", 4, &log), [(0, 3, 1)]);
    assert_eq!(world.take("n", 4, &log), [(4, 7, 1)]);
    world.say("m", &[(0, 3, Release)]).unwrap();
    assert_eq!(world.take("n", 2, &log), [(0, 1, 2)]);
    assert_eq!(world.take("o", 9, &log), [(2, 3, 2), (8, 9, 1)]);
}

#[test]
fn many_records_are_acquired_in_pieces_of_whole_batches() {
    let mut world = World::new();
    world.batch_size = 25;
    assert_eq!(world.take("m", 1000, &batches(&[10; 7])), [(0, 29, 1), (30, 59, 1), (60, 69, 1)]);
}

#[test]
fn a_million_records_are_one_range() {
    let mut world = World::new();
    world.limits.in_flight = i64::MAX;
    world.batch_size = i64::MAX;
    let log = batches(&[1000; 1000]);
    assert_eq!(world.take("m", i64::MAX, &log), [(0, 999_999, 1)]);
    assert_eq!(world.share_partition().in_flight.len(), 1);
    world.say("m", &[(10, 19, Accept), (20, 29, Accept)]).unwrap();
    assert_eq!(world.share_partition().in_flight.len(), 3);
}

#[test]
fn no_more_records_are_in_flight_than_may_be() {
    let mut world = World::new();
    world.limits.in_flight = 15;
    let log = batches(&[10; 5]);
    assert_eq!(world.take("m", 500, &log), [(0, 19, 1)], "up to the end of a batch");
    assert_eq!(world.position(), Position::Full);
    world.say("m", &[(10, 19, Release)]).unwrap();
    assert_eq!(world.take("n", 500, &log), [(10, 19, 2)], "in flight already");
    let woken = world.woken;
    world.say("m", &[(0, 9, Accept)]).unwrap();
    assert_eq!(world.woken, woken + 1, "there is room");
    world.say("n", &[(10, 10, Accept)]).unwrap();
    assert_eq!(world.woken, woken + 1, "there was room already");
    assert_eq!(world.take("n", 500, &log), [(20, 29, 1)]);
}

#[test]
fn records_in_between_that_can_be_had_again_come_first() {
    let mut world = World::new();
    let log = batches(&[10, 10, 10]);
    assert_eq!(world.take("m", 10, &log), [(0, 9, 1)]);
    assert_eq!(world.take("n", 10, &log), [(10, 19, 1)]);
    world.say("m", &[(2, 3, Release), (6, 6, Release)]).unwrap();
    assert_eq!(world.position(), Position::At(2));
    assert_eq!(world.take("o", 500, &log), [(2, 3, 2), (6, 6, 2), (20, 29, 1)]);
}

#[test]
fn records_that_failed_often_come_in_smaller_and_smaller_company() {
    let mut world = World::new();
    let log = batches(&[16, 16]);
    assert_eq!(world.take("m", 16, &log), [(0, 15, 1)]);
    let mut companies = Vec::new();
    for _ in 0..3 {
        world.leave("m");
        let taken = world.take("m", 500, &log);
        companies.push(taken[0]);
        assert!(taken.len() == 1 || taken[0].2 < 4, "{taken:?}");
    }
    // Five deliveries are the limit: from the third on a half, then a quarter.
    assert_eq!(companies, [(0, 15, 2), (0, 15, 3), (0, 7, 4)]);
    world.leave("m");
    assert_eq!(world.take("m", 500, &log), [(0, 0, 5)], "the last time alone");
    assert_eq!(world.take("n", 500, &log), [(1, 1, 5)]);
    world.leave("m");
    assert_eq!(world.take("o", 500, &log), [(2, 2, 5)], "the first was given up");
}

#[test]
fn records_of_aborted_transactions_are_not_delivered_and_not_waited_for() {
    let mut world = World::new();
    let log = batches(&[5, 5, 5]);
    assert_eq!(world.take_from(0, "m", 500, &log, &[(5, 9)]), [(0, 4, 1), (10, 14, 1)]);
    world.say("m", &[(0, 4, Accept)]).unwrap();
    assert_eq!(world.share_partition().start, Some(10));
    let aborted = [(15, 19)];
    assert_eq!(world.take_from(15, "m", 500, &aborted, &aborted), []);
    assert_eq!(world.position(), Position::At(20));
}

#[test]
fn offsets_that_compaction_took_are_passed_over() {
    let mut world = World::new();
    assert_eq!(world.take("m", 500, &[(5, 9), (20, 24)]), [(5, 24, 1)]);
    world.leave("m");
    // Meanwhile it took more.
    assert_eq!(world.take("m", 500, &[(22, 24), (25, 29)]), [(22, 24, 2), (25, 29, 1)]);
    world.say("m", &[(22, 29, Accept)]).unwrap();
    assert_eq!(world.share_partition().start, Some(30));
}

#[test]
fn what_the_log_lets_go_of_is_done_with() {
    let mut world = World::new();
    let log = batches(&[10, 10, 10]);
    assert_eq!(world.take("m", 10, &log), [(0, 9, 1)]);
    assert_eq!(world.position_in(15), Position::At(15));
    assert_eq!(world.say("m", &[(0, 9, Accept)]), Ok(()), "nothing is left to say about them");
    assert_eq!(world.take_from(15, "m", 500, &log[1..], &[]), [(15, 29, 1)]);
    assert_eq!(world.say("m", &[(10, 29, Accept)]), Ok(()));
    assert_eq!(world.position(), Position::At(30));
}

#[test]
fn a_group_that_never_read_is_asked_where_to_begin() {
    let mut world = World::bare(ShareConfig::default());
    world.initialize(-1);
    assert_eq!((world.position(), world.summary()), (Position::Unset, Some((-1, -1))));
    for (offset, begins) in [(100, 100), (7, 100)] {
        assert_eq!(world.call(Request::Start { key: key(), offset }), Response::Done(Ok(())));
        assert_eq!(world.position(), Position::At(begins));
    }
    assert_eq!(world.take("m", 1, &[(100, 104)]), [(100, 104, 1)]);
    assert_eq!(world.summary(), Some((-1, -1)), "as from Kafka: nothing is settled yet");
}
