//! What members say of their records.

use super::*;
use AcknowledgeKind::{Accept, Gap, Reject, Release, Renew};

#[test]
fn the_start_moves_over_what_is_done_with_and_no_further() {
    let mut world = World::new();
    assert_eq!(world.take("m", 500, &batches(&[10])), [(0, 9, 1)]);
    world.say("m", &[(1, 3, Accept), (5, 5, Reject), (7, 7, Gap)]).unwrap();
    assert_eq!((world.share_partition().start, world.summary()), (Some(0), Some((0, 5))));
    world.say("m", &[(0, 0, Accept)]).unwrap();
    assert_eq!((world.share_partition().start, world.summary()), (Some(4), Some((0, 6))));
    world.say("m", &[(4, 4, Accept), (6, 6, Accept), (8, 9, Accept)]).unwrap();
    assert_eq!((world.share_partition().start, world.summary()), (Some(10), Some((4, 6))));
    assert_eq!(world.share_partition().in_flight.len(), 0);
}

#[test]
fn each_offset_may_have_a_kind_of_its_own() {
    let mut world = World::new();
    let log = batches(&[4]);
    assert_eq!(world.take("m", 500, &log), [(0, 3, 1)]);
    let kinds = vec![Accept, Release, Release, Reject];
    let batches = vec![AcknowledgeBatch { first: 0, last: 3, kinds }];
    let (key, member, limits) = (key(), "m".into(), world.limits);
    let said = world.call(Request::Acknowledge(Acknowledge { key, member, limits, batches }));
    assert_eq!(said, Response::Acknowledged(Ok(())));
    assert_eq!(world.take("n", 500, &log), [(1, 2, 2)]);
}

#[test]
fn an_acknowledgement_counts_as_a_whole_or_not_at_all() {
    let mut world = World::new();
    let log = batches(&[5, 5]);
    assert_eq!(world.take("m", 5, &log), [(0, 4, 1)]);
    assert_eq!(world.take("n", 5, &log), [(5, 9, 1)]);
    let not_its_own = Err(ErrorCode::InvalidRecordState);
    assert_eq!(world.say("m", &[(0, 2, Accept), (4, 5, Accept)]), not_its_own);
    assert_eq!(world.say("m", &[(0, 2, Accept), (2, 3, Release)]), not_its_own, "an offset twice");
    assert_eq!(world.summary(), Some((0, 0)));
    assert_eq!(world.say("m", &[(0, 4, Accept)]), Ok(()));
    assert_eq!(world.say("m", &[(0, 4, Accept)]), Ok(()), "below the start: as from Kafka");
    assert_eq!(world.say("n", &[(5, 10, Accept)]), Err(ErrorCode::InvalidRequest));
    assert_eq!(world.say("n", &[(10, 10, Accept)]), Err(ErrorCode::InvalidRequest));
}

#[test]
fn what_nobody_ever_acquired_cannot_be_acknowledged() {
    let mut world = World::new();
    assert_eq!(world.say("m", &[(0, 0, Accept)]), Err(ErrorCode::InvalidRecordState));
    assert_eq!(world.take("m", 500, &batches(&[2])), [(0, 1, 1)]);
    world.say("m", &[(0, 1, Release)]).unwrap();
    assert_eq!(world.say("m", &[(0, 1, Accept)]), Err(ErrorCode::InvalidRecordState), "released");
    let unknown = Request::Acknowledge(Acknowledge {
        key: other_key(5),
        member: "m".into(),
        limits: LIMITS,
        batches: vec![AcknowledgeBatch { first: 0, last: 0, kinds: vec![Accept] }],
    });
    let refused = Response::Acknowledged(Err(UNKNOWN_PARTITION));
    assert_eq!(world.call(unknown), refused);
}

#[test]
fn a_record_that_was_released_too_often_is_given_up() {
    let mut world = World::new();
    world.limits.deliveries = 2;
    let log = batches(&[1]);
    for deliveries in [1, 2] {
        assert_eq!(world.take("m", 500, &log), [(0, 0, deliveries)]);
        world.say("m", &[(0, 0, Release)]).unwrap();
    }
    assert_eq!(world.position(), Position::At(1));
}

#[test]
fn renewing_has_to_be_allowed() {
    let mut world = World::new();
    assert_eq!(world.take("m", 500, &batches(&[2])), [(0, 1, 1)]);
    world.limits.renew = false;
    assert_eq!(world.say("m", &[(0, 1, Renew)]), Err(ErrorCode::InvalidRecordState));
    world.limits.renew = true;
    assert_eq!(world.say("m", &[(0, 0, Renew)]), Ok(()));
    world.pass(LOCK / 2);
    assert_eq!(world.say("m", &[(0, 0, Renew)]), Ok(()));
    world.pass(LOCK / 2);
    assert_eq!(world.say("m", &[(1, 1, Accept)]), Err(ErrorCode::InvalidRecordState), "not renewed");
    assert_eq!(world.say("m", &[(0, 0, Accept)]), Ok(()));
}
