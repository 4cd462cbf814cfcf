//! Records whose member is gone, or too slow.

use super::*;
use AcknowledgeKind::{Accept, Renew};

#[test]
fn records_that_nobody_answers_for_can_be_had_again() {
    let mut world = World::new();
    let log = batches(&[5, 5]);
    assert_eq!(world.take("m", 5, &log), [(0, 4, 1)]);
    world.pass(LOCK / 3);
    assert_eq!(world.take("n", 5, &log), [(5, 9, 1)]);
    assert_eq!(world.coordinator.next_timeout(), Some(world.now + LOCK * 2 / 3));
    world.pass(LOCK * 2 / 3 - Duration::from_millis(1));
    assert_eq!((world.position(), world.woken), (Position::At(10), 0));
    world.pass(Duration::from_millis(1));
    assert_eq!((world.position(), world.woken), (Position::At(0), 1));
    assert_eq!(world.say("m", &[(0, 4, Accept)]), Err(ErrorCode::InvalidRecordState));
    assert_eq!(world.say("n", &[(5, 9, Accept)]), Ok(()));
    assert_eq!(world.take("o", 500, &log), [(0, 4, 2)]);
}

#[test]
fn a_lock_that_ends_is_written_like_a_release() {
    let mut world = World::new();
    world.limits.deliveries = 2;
    let log = batches(&[3]);
    assert_eq!(world.take("m", 500, &log), [(0, 2, 1)]);
    world.pass(LOCK);
    world.crash();
    assert_eq!(world.take("m", 500, &log), [(0, 2, 2)]);
    world.pass(LOCK);
    assert_eq!(world.position(), Position::At(3), "given up");
    assert_eq!(world.coordinator.next_timeout(), None);
}

#[test]
fn a_renewed_lock_begins_anew() {
    let mut world = World::new();
    assert_eq!(world.take("m", 500, &batches(&[3])), [(0, 2, 1)]);
    for _ in 0..3 {
        world.pass(LOCK - Duration::from_millis(1));
        world.say("m", &[(0, 2, Renew)]).unwrap();
    }
    assert_eq!(world.say("m", &[(0, 2, Accept)]), Ok(()));
    world.pass(LOCK * 2);
    assert_eq!(world.position(), Position::At(3));
}

#[test]
fn a_member_that_leaves_gives_back_what_is_its_own() {
    let mut world = World::new();
    let log = batches(&[5, 5, 5]);
    assert_eq!(world.take("m", 5, &log), [(0, 4, 1)]);
    assert_eq!(world.take("n", 5, &log), [(5, 9, 1)]);
    assert_eq!(world.take("m", 5, &log), [(10, 14, 1)]);
    world.leave("m");
    assert_eq!(world.take("o", 500, &log), [(0, 4, 2), (10, 14, 2)]);
    let woken = world.woken;
    world.leave("m");
    assert_eq!(world.woken, woken, "nothing was left to give back");
}
