//! Topics that come, go and grow while a group reads them.

use super::*;

#[test]
fn more_partitions_are_assigned_with_the_next_heartbeat() {
    let mut world = world(1);
    world.beat_ok(joining("a"));
    world.topic("topic", 1, 3);
    assert_eq!(world.beat_ok(staying("a", 2)), (3, Some(partitions(&[0, 1, 2]))));
}

#[test]
fn topic_that_nobody_reads_changes_nothing() {
    let mut world = world(1);
    world.beat_ok(joining("a"));
    world.topic("other", 2, 3);
    assert_eq!(world.beat_ok(staying("a", 2)), (2, None));
    assert_eq!(world.describe_consumers().epoch, 2);
}

#[test]
fn deleted_topic_is_taken_back_and_one_made_again_is_another() {
    let mut world = world(2);
    world.beat_ok(joining("a"));
    world.event(Event::Own(GroupEvent::TopicChanged { topic: "topic".to_owned(), info: None }));
    assert_eq!(world.beat_ok(owning("a", 2, Assignment::new())), (3, Some(Assignment::new())));
    world.topic("topic", 7, 1);
    let again = Assignment::from([(id(7), [0].into())]);
    assert_eq!(world.beat_ok(staying("a", 3)), (4, Some(again)));
}

#[test]
fn change_of_a_topic_bumps_the_epoch_once() {
    let mut world = world(1);
    world.beat_ok(joining("a"));
    world.topic("topic", 1, 2);
    world.topic("topic", 1, 3);
    world.beat_ok(staying("a", 2));
    world.beat_ok(staying("a", 3));
    assert_eq!(world.describe_consumers().epoch, 3);
}
