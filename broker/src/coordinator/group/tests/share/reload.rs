//! What the log knows of a share group is the group: after a restart, and after a failed append.

use super::*;

/// The same groups in a new coordinator, read from the log.
fn restarted(world: &World, partitions: i32) -> World {
    let mut again = World::loading(config());
    again.now = world.now;
    again.topic("topic", 1, partitions);
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
    let mut world = world(2);
    world.sharing_pair();
    let before = world.describe_share();
    let mut again = restarted(&world, 2);
    assert_eq!(again.describe_share(), before);
    assert_eq!(again.share_ok(staying("a", 4)), (4, None));
    assert_eq!(again.share_ok(staying("b", 4)), (4, None));
    assert_eq!(again.describe_share().epoch, before.epoch);
    assert_eq!(again.state_partitions(), partitions(&[0, 1]));
}

#[test]
fn members_have_a_session_after_a_restart() {
    let mut world = world(2);
    world.sharing_pair();
    let mut again = restarted(&world, 2);
    again.pass(SECOND * 44);
    assert_eq!(again.describe_share().members.len(), 2);
    again.pass(SECOND);
    assert!(again.answers().is_empty());
    assert_eq!(again.describe_share().state, "Empty");
}

#[test]
fn member_that_left_is_not_there_after_a_restart_and_neither_is_a_deleted_group() {
    let mut world = world(2);
    world.sharing_pair();
    world.share_ok(leaving("a"));
    let members = restarted(&world, 2).describe_share().members;
    assert_eq!(members.len(), 1);
    world.share_ok(leaving("b"));
    assert_eq!(restarted(&world, 2).describe_share().state, "Empty");
    assert_eq!(world.delete(), ErrorCode::None);
    assert!(restarted(&world, 2).listed(&[], &[]).is_empty());
}

#[test]
fn topic_that_grew_before_the_restart_is_noticed_after_it() {
    let mut world = world(1);
    world.share_ok(joining("a"));
    world.share_ok(staying("a", 2));
    let mut again = restarted(&world, 2);
    assert_eq!(again.share_ok(staying("a", 3)), (4, None));
    assert_eq!(again.share_ok(staying("a", 4)), (5, Some(partitions(&[0, 1]))));
}

#[test]
fn topic_that_went_before_the_restart_is_forgotten_after_it() {
    let mut world = world(1);
    world.share_ok(joining("a"));
    world.share_ok(staying("a", 2));
    let mut again = restarted(&world, 1);
    again.topic_is_gone();
    assert_eq!(again.state_partitions(), Assignment::new());
    assert_eq!(again.share_ok(staying("a", 3)), (4, Some(Assignment::new())));
}

#[test]
fn initializing_that_the_restart_cut_off_begins_again() {
    let mut world = world(1);
    assert!(world.share_beat(joining("a")).initialize.is_some());
    let mut again = restarted(&world, 1);
    assert!(again.share_beat(staying("a", 2)).initialize.is_some());
}

#[test]
fn failed_append_refuses_the_heartbeat_and_the_group_is_read_again() {
    let mut world = world(1);
    let waiter = world.send(Request::Share(ShareRequest::Heartbeat(Box::new(joining("a")))));
    let effects = world.effects();
    let Effect::Append { ticket, partition, .. } = effects[0] else { panic!("{effects:?}") };
    world.settle(ticket, Err(ErrorCode::KafkaStorageError));
    let effects = world.effects();
    let refused = |effect: &Effect| match effect {
        Effect::Respond { waiter: to, response: Response::Share(ShareResponse::Heartbeat(beat)) } => {
            *to == waiter && beat.error != ErrorCode::None && beat.initialize.is_none()
        }
        _ => false,
    };
    assert!(effects.iter().any(refused), "{effects:?}");
    assert!(effects.contains(&Effect::Reload { partition }), "{effects:?}");
    assert_eq!(world.coordinator.next_timeout(), None);
}
