//! Committing, fetching and deleting offsets.

use super::*;

fn fetch(world: &mut World, topics: Option<Vec<(String, Vec<i32>)>>) -> Vec<(String, Vec<FetchedOffset>)> {
    let fetch = OffsetFetch { group_id: GROUP.to_owned(), topics, ..OffsetFetch::default() };
    let Response::OffsetFetch(response) = world.ask(Request::OffsetFetch(fetch)) else { panic!("no fetch") };
    assert_eq!(response.error, ErrorCode::None);
    response.topics
}

fn delete(topic: &str) -> Request {
    let topics = vec![(topic.to_owned(), vec![0])];
    Request::OffsetDelete(OffsetDelete { group_id: GROUP.to_owned(), topics })
}

fn deleted(error: ErrorCode, partition: Option<ErrorCode>) -> Response {
    let topics = partition.map(|error| ("topic".to_owned(), vec![(0, error)])).into_iter().collect();
    Response::OffsetDelete(OffsetDeleteResponse { error, topics })
}

#[test]
fn commit_without_a_generation_makes_a_simple_group() {
    let mut world = World::new();
    let waiter = world.send(Request::OffsetCommit(simple_commit()));
    let committed = CommittedOffset {
        offset: 42,
        leader_epoch: 3,
        metadata: "meta".to_owned(),
        commit_timestamp_ms: EPOCH_MS,
        expire_timestamp_ms: None,
    };
    let records = vec![offset_commit(GROUP, "topic", 0, Some(&committed))];
    assert_eq!(world.effects(), [Effect::Append { partition: 29, records, ticket: Ticket(0) }]);
    world.settle(Ticket(0), Ok(()));
    let response = Response::OffsetCommit(vec![("topic".to_owned(), vec![(0, ErrorCode::None)])]);
    assert_eq!(world.effects(), [Effect::Respond { waiter, response }]);
    assert_eq!(world.state(), GroupState::Empty);
}

#[test]
fn commit_with_a_generation_to_an_unknown_group_depends_on_the_version() {
    let mut world = World::new();
    assert_eq!(world.commit(commit_by("m", 1)), ErrorCode::GroupIdNotFound);
    let old = OffsetCommit { supports_group_id_not_found: false, ..commit_by("m", 1) };
    assert_eq!(world.commit(old), ErrorCode::IllegalGeneration);
    assert_eq!(world.state(), GroupState::Dead);
}

#[test]
fn simple_commit_to_a_group_with_members_is_refused() {
    let mut world = World::new();
    world.stable_group(1);
    assert_eq!(world.commit(simple_commit()), ErrorCode::UnknownMemberId);
}

#[test]
fn simple_commit_to_a_group_whose_members_left_is_accepted() {
    let mut world = World::new();
    let members = world.stable_group(1);
    world.ask(leave(&[&members[0]]));
    assert_eq!(world.commit(simple_commit()), ErrorCode::None);
    assert_eq!(world.commit(commit_by(&members[0], 1)), ErrorCode::UnknownMemberId);
}

#[test]
fn member_commits_in_its_generation_only() {
    let mut world = World::new();
    let members = world.stable_group(1);
    assert_eq!(world.commit(commit_by(&members[0], 1)), ErrorCode::None);
    assert_eq!(world.commit(commit_by(&members[0], 0)), ErrorCode::IllegalGeneration);
    assert_eq!(world.commit(commit_by(&members[0], -1)), ErrorCode::IllegalGeneration);
    assert_eq!(world.commit(commit_by("m", 1)), ErrorCode::UnknownMemberId);
}

#[test]
fn member_may_commit_while_a_rebalance_collects_members_but_not_while_the_leader_assigns() {
    let mut world = World::new();
    let members = world.stable_group(2);
    world.join(changed(&members[1]));
    assert_eq!(world.commit(commit_by(&members[0], 1)), ErrorCode::None);
    world.join(rejoin(&members[0]));
    assert_eq!(world.answers().len(), 2);
    assert_eq!(world.commit(commit_by(&members[0], 2)), ErrorCode::RebalanceInProgress);
}

#[test]
fn commit_is_as_good_as_a_heartbeat() {
    let mut world = World::new();
    let members = world.stable_group(1);
    for _ in 0..3 {
        world.pass(SECOND * 9);
        assert_eq!(world.commit(commit_by(&members[0], 1)), ErrorCode::None);
    }
    assert_eq!(world.state(), GroupState::Stable);
}

#[test]
fn too_large_metadata_fails_its_partition_alone() {
    let mut world = World::new();
    let sized = |partition, metadata: &str, count| PartitionCommit {
        metadata: Some(metadata.repeat(count)),
        ..offset(partition, 7)
    };
    // The limit counts UTF-16 units: "é" is one of two bytes, "𝄞" two of four.
    let partitions = vec![sized(0, "m", 4096), sized(1, "m", 4097), sized(2, "é", 4096), sized(3, "𝄞", 2049)];
    let topics = vec![("topic".to_owned(), partitions)];
    let response = world.ask(Request::OffsetCommit(OffsetCommit { topics, ..simple_commit() }));
    let (fine, too_large) = (ErrorCode::None, ErrorCode::OffsetMetadataTooLarge);
    let outcomes = vec![(0, fine), (1, too_large), (2, fine), (3, too_large)];
    assert_eq!(response, Response::OffsetCommit(vec![("topic".to_owned(), outcomes)]));
    let all = fetch(&mut world, None);
    assert_eq!(all[0].1.iter().map(|offset| offset.partition).collect::<Vec<_>>(), [0, 2]);
}

#[test]
fn commit_whose_partitions_all_fail_makes_no_group() {
    let mut world = World::new();
    let commit = PartitionCommit { metadata: Some("m".repeat(4097)), ..offset(0, 7) };
    let topics = vec![("topic".to_owned(), vec![commit])];
    let error = world.commit(OffsetCommit { topics, ..simple_commit() });
    assert_eq!(error, ErrorCode::OffsetMetadataTooLarge);
    assert_eq!(world.state(), GroupState::Dead);
}

#[test]
fn commit_too_large_for_one_append_is_refused_whole() {
    let mut world = World::with(GroupConfig { max_append_bytes: 1_000, ..GroupConfig::default() });
    let topics = vec![("topic".to_owned(), (0..100).map(|partition| offset(partition, 7)).collect())];
    assert_eq!(world.commit(OffsetCommit { topics, ..simple_commit() }), ErrorCode::UnknownServerError);
    assert_eq!(world.state(), GroupState::Dead);
}

#[test]
fn committed_offset_comes_back_as_it_was() {
    let mut world = World::new();
    world.commit(simple_commit());
    let asked = vec![("topic".to_owned(), vec![0, 1]), ("unknown".to_owned(), vec![5])];
    let none = |partition| FetchedOffset {
        partition,
        offset: -1,
        leader_epoch: -1,
        metadata: String::new(),
        error: ErrorCode::None,
    };
    let committed = FetchedOffset {
        partition: 0,
        offset: 42,
        leader_epoch: 3,
        metadata: "meta".to_owned(),
        error: ErrorCode::None,
    };
    let expected =
        vec![("topic".to_owned(), vec![committed.clone(), none(1)]), ("unknown".to_owned(), vec![none(5)])];
    assert_eq!(fetch(&mut world, Some(asked)), expected);
    assert_eq!(fetch(&mut world, None), vec![("topic".to_owned(), vec![committed])]);
}

#[test]
fn unknown_group_has_committed_nothing() {
    let mut world = World::new();
    assert_eq!(world.committed("topic"), -1);
    assert_eq!(fetch(&mut world, None), []);
}

#[test]
fn empty_group_id_is_legal_for_commit_and_fetch() {
    let mut world = World::new();
    let commit = OffsetCommit { group_id: String::new(), ..simple_commit() };
    assert_eq!(world.commit(commit), ErrorCode::None);
    let response = world.ask(Request::OffsetFetch(OffsetFetch {
        group_id: String::new(),
        topics: None,
        ..OffsetFetch::default()
    }));
    let Response::OffsetFetch(response) = response else { panic!("{response:?}") };
    assert_eq!(response.topics[0].1[0].offset, 42);
}

#[test]
fn newer_commit_replaces_the_older() {
    let mut world = World::new();
    world.commit(simple_commit());
    let topics = vec![("topic".to_owned(), vec![PartitionCommit { metadata: None, ..offset(0, 41) }])];
    world.commit(OffsetCommit { topics, ..simple_commit() });
    assert_eq!(world.committed("topic"), 41);
}

#[test]
fn deleted_offset_is_gone_and_a_tombstone_is_written() {
    let mut world = World::new();
    world.commit(simple_commit());
    world.log.clear();
    assert_eq!(world.ask(delete("topic")), deleted(ErrorCode::None, Some(ErrorCode::None)));
    assert_eq!(world.log[&29], [offset_commit(GROUP, "topic", 0, None)]);
    assert_eq!(world.committed("topic"), -1);
    world.log.clear();
    assert_eq!(world.ask(delete("topic")), deleted(ErrorCode::None, Some(ErrorCode::None)));
    assert!(world.log.is_empty());
}

#[test]
fn offset_of_a_subscribed_topic_cannot_be_deleted() {
    let mut world = World::new();
    let members = world.stable_group(1);
    world.commit(commit_by(&members[0], 1));
    let refused = deleted(ErrorCode::None, Some(ErrorCode::GroupSubscribedToTopic));
    assert_eq!(world.ask(delete("topic")), refused);
    assert_eq!(world.committed("topic"), 42);
}

#[test]
fn offset_of_a_topic_nobody_subscribes_to_can_be_deleted_from_an_active_group() {
    let mut world = World::new();
    let members = world.stable_group(1);
    let topics = vec![("other".to_owned(), vec![offset(0, 7)])];
    world.commit(OffsetCommit { topics, ..commit_by(&members[0], 1) });
    let response = Response::OffsetDelete(OffsetDeleteResponse {
        error: ErrorCode::None,
        topics: vec![("other".to_owned(), vec![(0, ErrorCode::None)])],
    });
    assert_eq!(world.ask(delete("other")), response);
    assert_eq!(world.committed("other"), -1);
}

#[test]
fn consumer_group_with_an_unreadable_subscription_counts_as_subscribed_to_everything() {
    let mut world = World::new();
    let protocols = vec![Protocol { name: "range".to_owned(), metadata: Bytes::from_static(b"\0") }];
    world.join(JoinGroup { protocols, requires_known_member_id: false, ..first_join() });
    world.pass(SECOND * 3);
    world.answers();
    let refused = deleted(ErrorCode::None, Some(ErrorCode::GroupSubscribedToTopic));
    assert_eq!(world.ask(delete("topic")), refused);
}

#[test]
fn offsets_of_an_active_group_of_another_protocol_type_cannot_be_deleted() {
    let mut world = World::new();
    let join =
        JoinGroup { protocol_type: "connect".to_owned(), requires_known_member_id: false, ..first_join() };
    world.join(join);
    world.pass(SECOND * 3);
    world.answers();
    assert_eq!(world.ask(delete("topic")), deleted(ErrorCode::NonEmptyGroup, None));
}

#[test]
fn offset_delete_of_an_unknown_or_unnamed_group_is_refused() {
    let mut world = World::new();
    assert_eq!(world.ask(delete("topic")), deleted(ErrorCode::GroupIdNotFound, None));
    let unnamed = Request::OffsetDelete(OffsetDelete { group_id: String::new(), topics: Vec::new() });
    assert_eq!(world.ask(unnamed), deleted(ErrorCode::InvalidGroupId, None));
}

#[test]
fn offsets_of_a_deleted_topic_are_removed_from_every_group() {
    let mut world = World::new();
    for group in ["a", "b"] {
        world.commit(OffsetCommit { group_id: group.to_owned(), ..simple_commit() });
    }
    let topics = vec![("kept".to_owned(), vec![offset(0, 1)])];
    world.commit(OffsetCommit { topics, group_id: "b".to_owned(), ..simple_commit() });
    world.log.clear();
    world.event(Event::Own(GroupEvent::TopicDeleted { topic: "topic".to_owned() }));
    assert_eq!(world.answers(), []);
    let tombstone = |group: &str| vec![offset_commit(group, "topic", 0, None)];
    let written: Vec<_> = world.log.values().cloned().collect();
    assert_eq!(written, [tombstone("a"), tombstone("b")]);
    let response = world.ask(Request::OffsetFetch(OffsetFetch {
        group_id: "b".to_owned(),
        topics: None,
        ..OffsetFetch::default()
    }));
    let Response::OffsetFetch(response) = response else { panic!("{response:?}") };
    assert_eq!(response.topics.len(), 1);
}
