//! Share groups among the other kinds: each API knows its own, and ListGroups knows all.

use super::*;

#[test]
fn share_groups_are_listed_by_type_and_state() {
    let mut world = world(1);
    world.share_ok(joining("a"));
    let group = |state| ListedGroup {
        group_id: GROUP.to_owned(),
        protocol_type: "share".to_owned(),
        state,
        group_type: "share",
    };
    assert_eq!(world.listed(&[], &[]), [group("Stable")]);
    assert_eq!(world.listed(&["stable"], &["Share"]), [group("Stable")]);
    assert_eq!(world.listed(&["Empty"], &[]), []);
    assert_eq!(world.listed(&[], &["consumer", "classic"]), []);
    world.share_ok(leaving("a"));
    assert_eq!(world.listed(&["Empty"], &[]), [group("Empty")]);
}

#[test]
fn classic_apis_do_not_know_a_share_group() {
    let mut world = world(1);
    world.share_ok(joining("a"));
    let described = world.describe();
    assert!(described.is_no_classic_group);
    assert_eq!(described.state, Some(GroupState::Dead));
    assert_eq!(world.ask_to_join(first_join()).error, ErrorCode::InconsistentGroupProtocol);
    assert_eq!(world.ask_to_sync(sync("a", 2)).error, ErrorCode::UnknownMemberId);
    assert_eq!(world.heartbeat("a", 2), ErrorCode::UnknownMemberId);
    assert_eq!(left(world.ask(leave(&["a"]))), [ErrorCode::UnknownMemberId]);
    assert_eq!(world.describe_share().state, "Stable", "nothing has changed");
}

#[test]
fn nobody_commits_fetches_or_deletes_offsets_of_a_share_group() {
    let mut world = world(1);
    world.share_ok(joining("a"));
    world.share_ok(leaving("a"));
    assert_eq!(world.commit(simple_commit()), ErrorCode::GroupIdNotFound);
    assert_eq!(world.committed("topic"), -1);
    let delete = OffsetDelete { group_id: GROUP.to_owned(), topics: vec![("topic".to_owned(), vec![0])] };
    let Response::OffsetDelete(deleted) = world.ask(Request::OffsetDelete(delete)) else { panic!() };
    assert_eq!((deleted.error, deleted.topics.len()), (ErrorCode::GroupIdNotFound, 0));
}

#[test]
fn consumer_groups_and_share_groups_do_not_become_each_other() {
    let mut world = world(1);
    world.share_ok(joining("a"));
    world.share_ok(leaving("a"));
    let refused = (ErrorCode::GroupIdNotFound, "Group grp is not a consumer group.".to_owned());
    assert_eq!(world.beat_error(consumer::joining("c")), refused);
    assert_eq!(world.describe_consumers().message.as_deref(), Some("Group grp is not a consumer group."));
    assert_eq!(world.delete(), ErrorCode::None);
    world.beat_ok(consumer::joining("c"));
    let refused = (ErrorCode::GroupIdNotFound, "Group grp is not a share group.".to_owned());
    for request in [joining("a"), staying("a", 1), leaving("a")] {
        assert_eq!(world.share_error(request), refused);
    }
    assert_eq!(world.describe_share().message.as_deref(), Some("Group grp is not a share group."));
}

#[test]
fn group_of_committed_offsets_is_no_share_group() {
    let mut world = world(1);
    assert_eq!(world.commit(simple_commit()), ErrorCode::None);
    let refused = (ErrorCode::GroupIdNotFound, "Group grp is not a share group.".to_owned());
    assert_eq!(world.share_error(joining("a")), refused);
}

#[test]
fn share_groups_show_in_what_metrics_observe() {
    let mut world = world(1);
    world.share_ok(joining("a"));
    let Response::Observe(observed) = world.ask(Request::Observe) else { panic!() };
    let group = &observed.groups[0];
    assert_eq!((group.state, group.generation, group.members), ("Stable", 2, 1));
}
