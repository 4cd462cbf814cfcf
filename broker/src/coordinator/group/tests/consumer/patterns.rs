//! Subscriptions by pattern.

use super::*;

fn matching(member: &str, regex: &str) -> ConsumerGroupHeartbeat {
    ConsumerGroupHeartbeat { topics: None, regex: Some(regex.to_owned()), ..joining(member) }
}

fn topic_numbers(assignment: Option<Assignment>) -> Vec<u128> {
    assignment.unwrap().keys().map(Uuid::as_u128).collect()
}

#[test]
fn pattern_matches_topics_that_are_there_and_those_that_come() {
    let mut world = World::with(config());
    world.topic("orders-eu", 1, 1);
    world.topic("other", 2, 1);
    let (epoch, assignment) = world.beat_ok(matching("a", "orders-.*"));
    assert_eq!((epoch, topic_numbers(assignment)), (2, vec![1]));
    world.topic("orders-us", 3, 1);
    world.topic("unrelated", 4, 1);
    let (epoch, assignment) = world.beat_ok(staying("a", 2));
    assert_eq!((epoch, topic_numbers(assignment)), (3, vec![1, 3]));
    world.event(Event::Own(GroupEvent::TopicChanged { topic: "orders-eu".to_owned(), info: None }));
    let (epoch, assignment) = world.beat_ok(owning("a", 3, Assignment::from([(id(3), [0].into())])));
    assert_eq!((epoch, topic_numbers(assignment)), (4, vec![3]));
}

#[test]
fn malformed_pattern_is_an_invalid_regular_expression_and_makes_no_group() {
    let mut world = World::with(config());
    let (error, message) = world.beat_error(matching("a", "["));
    assert_eq!(error, ErrorCode::InvalidRegularExpression);
    assert!(message.starts_with("SubscribedTopicRegex `[` is not a valid regular expression: "), "{message}");
    assert_eq!(world.coordinator.groups, 0);
}

#[test]
fn names_and_pattern_add_up_and_the_pattern_can_be_given_up() {
    let mut world = world(1);
    world.topic("orders", 2, 1);
    let both = ConsumerGroupHeartbeat { regex: Some("ord.*".to_owned()), ..joining("a") };
    let (_, assignment) = world.beat_ok(both);
    assert_eq!(topic_numbers(assignment), [1, 2]);
    let without = ConsumerGroupHeartbeat { regex: Some(String::new()), ..owning("a", 2, partitions(&[0])) };
    world.beat_ok(without);
    let (epoch, _) = world.beat_ok(owning("a", 2, partitions(&[0])));
    assert_eq!(epoch, 3);
    assert_eq!(world.describe_consumers().members[0].regex, None);
    world.topic("ordinary", 3, 1);
    assert_eq!(world.beat_ok(staying("a", 3)), (3, None));
}

#[test]
fn pattern_that_matches_nothing_begins_no_epoch_until_it_matches() {
    let mut world = World::with(config());
    assert_eq!(world.beat_ok(matching("a", "top.*")), (1, Some(Assignment::new())));
    assert_eq!(world.beat_ok(matching("b", "tip.*")), (1, Some(Assignment::new())));
    world.topic("topic", 1, 1);
    assert_eq!(world.beat_ok(staying("a", 1)), (2, Some(partitions(&[0]))));
}

#[test]
fn member_with_the_pattern_of_another_begins_an_epoch() {
    let mut world = world(2);
    world.beat_ok(matching("a", "top.*"));
    assert_eq!(world.beat_ok(matching("b", "top.*")).0, 3);
    // The same names by a pattern of its own: what it matches is new to the group.
    assert_eq!(world.beat_ok(matching("c", "to.*")).0, 4);
}

#[test]
fn second_member_with_a_known_pattern_shares_its_topics() {
    let mut world = world(2);
    world.beat_ok(matching("a", "top.*"));
    world.beat_ok(matching("b", "top.*"));
    assert_eq!(world.beat_ok(staying("a", 2)), (2, Some(partitions(&[0]))));
    world.beat_ok(owning("a", 2, partitions(&[0])));
    assert_eq!(world.beat_ok(staying("b", 3)), (3, Some(partitions(&[1]))));
}
