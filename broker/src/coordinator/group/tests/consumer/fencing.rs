//! Who is refused, with which error and Kafka's words; static members; offsets by member epoch.

use super::*;

#[test]
fn malformed_requests_are_refused_with_kafkas_words() {
    let mut world = world(1);
    let some = |text: &str| Some(text.to_owned());
    let base = || joining("a");
    let cases = [
        (ConsumerGroupHeartbeat { member_id: " ".to_owned(), ..base() }, "MemberId can't be empty."),
        (ConsumerGroupHeartbeat { group_id: String::new(), ..base() }, "GroupId can't be empty."),
        (ConsumerGroupHeartbeat { instance_id: some(""), ..base() }, "InstanceId can't be empty."),
        (ConsumerGroupHeartbeat { rack_id: some(""), ..base() }, "RackId can't be empty."),
        (
            ConsumerGroupHeartbeat { rebalance_timeout_ms: -1, ..base() },
            "RebalanceTimeoutMs must be provided in first request.",
        ),
        (
            ConsumerGroupHeartbeat { owned: None, ..base() },
            "TopicPartitions must be empty when (re-)joining.",
        ),
        (
            ConsumerGroupHeartbeat { owned: Some(partitions(&[0])), ..base() },
            "TopicPartitions must be empty when (re-)joining.",
        ),
        (
            ConsumerGroupHeartbeat { topics: None, ..base() },
            "Either SubscribedTopicNames or SubscribedTopicRegex must be non-null when (re-)joining.",
        ),
        (ConsumerGroupHeartbeat { member_epoch: -2, ..base() }, "InstanceId can't be null."),
        (ConsumerGroupHeartbeat { member_epoch: -3, ..base() }, "MemberEpoch is invalid."),
    ];
    for (request, message) in cases {
        assert_eq!(world.beat_error(request), (ErrorCode::InvalidRequest, message.to_owned()));
    }
    assert_eq!(world.coordinator.groups, 0, "nobody made a group");
}

#[test]
fn unknown_assignor_is_unsupported() {
    let mut world = world(1);
    let request = ConsumerGroupHeartbeat { server_assignor: Some("bogus".to_owned()), ..joining("a") };
    let message = "ServerAssignor bogus is not supported. Supported assignors: uniform, range.";
    assert_eq!(world.beat_error(request), (ErrorCode::UnsupportedAssignor, message.to_owned()));
}

#[test]
fn member_of_version_zero_is_given_an_id() {
    let mut world = world(1);
    let request = ConsumerGroupHeartbeat { requires_member_id: false, ..joining("") };
    assert_eq!(world.beat(request).member_id.as_deref(), Some("fresh"));
}

#[test]
fn full_group_lets_nobody_in_but_its_members() {
    let mut full = config();
    full.consumer.max_size = 1;
    let mut world = World::with(full);
    world.topic("topic", 1, 1);
    world.beat_ok(joining("a"));
    let message = "The consumer group has reached its maximum capacity of 1 members.";
    assert_eq!(world.beat_error(joining("b")), (ErrorCode::GroupMaxSizeReached, message.to_owned()));
    world.beat_ok(joining("a"));
}

#[test]
fn group_that_is_not_there_is_not_found() {
    let mut world = world(1);
    let not_found = |message: &str| (ErrorCode::GroupIdNotFound, message.to_owned());
    assert_eq!(world.beat_error(staying("a", 2)), not_found("Consumer group grp not found."));
    assert_eq!(world.beat_error(staying("a", -1)), not_found("Group grp not found."));
}

#[test]
fn member_with_a_greater_epoch_is_fenced() {
    let mut world = world(1);
    world.beat_ok(joining("a"));
    let (error, message) = world.beat_error(staying("a", 3));
    assert_eq!(error, ErrorCode::FencedMemberEpoch);
    let expected = "The consumer group member has a greater member epoch (3) than the one known by the group \
                    coordinator (2). The member must abandon all its partitions and rejoin.";
    assert_eq!(message, expected);
}

#[test]
fn member_one_epoch_behind_is_let_in_only_with_nothing_but_its_own_partitions() {
    let mut world = world(2);
    world.beat_ok(joining("a"));
    world.topic("topic", 1, 3);
    assert_eq!(world.beat_ok(staying("a", 2)).0, 3);
    // The answer was lost: the member says again what it said before.
    assert_eq!(world.beat_ok(owning("a", 2, partitions(&[0, 1]))).0, 3);
    assert_eq!(world.beat_error(staying("a", 2)).0, ErrorCode::FencedMemberEpoch);
    let foreign = owning("a", 2, Assignment::from([(id(9), [0].into())]));
    assert_eq!(world.beat_error(foreign).0, ErrorCode::FencedMemberEpoch);
}

#[test]
fn fenced_member_rejoins_with_epoch_zero_and_keeps_its_partitions() {
    let mut world = world(2);
    world.beat_ok(joining("a"));
    assert_eq!(world.beat_ok(joining("a")), (2, Some(partitions(&[0, 1]))));
}

#[test]
fn instance_id_in_use_is_not_given_to_another_member() {
    let mut world = world(1);
    world.beat_ok(joining_static("a", "i"));
    let message = "Static member b with instance id i cannot join the group because the instance id is owned by \
                   a member.";
    assert_eq!(
        world.beat_error(joining_static("b", "i")),
        (ErrorCode::UnreleasedInstanceId, message.to_owned())
    );
}

#[test]
fn static_member_that_comes_back_under_another_id_has_its_partitions_without_a_rebalance() {
    let mut world = world(4);
    world.beat_ok(joining_static("a", "i"));
    let leave = ConsumerGroupHeartbeat { member_epoch: -2, ..joining_static("a", "i") };
    assert_eq!(world.beat_ok(leave), (-2, None));
    let epoch = world.describe_consumers().epoch;
    assert_eq!(world.beat_ok(joining_static("b", "i")), (2, Some(partitions(&[0, 1, 2, 3]))));
    assert_eq!(world.describe_consumers().epoch, epoch);
    let old = ConsumerGroupHeartbeat { instance_id: Some("i".to_owned()), ..staying("a", 2) };
    let message = "Static member a with instance id i was fenced by member b.";
    assert_eq!(world.beat_error(old), (ErrorCode::FencedInstanceId, message.to_owned()));
}

#[test]
fn static_member_that_went_for_a_while_may_commit_at_any_older_epoch() {
    let mut world = world(1);
    world.beat_ok(joining_static("a", "i"));
    world.beat_ok(ConsumerGroupHeartbeat { member_epoch: -2, ..joining_static("a", "i") });
    world.beat_ok(joining_static("b", "i"));
    assert_eq!(world.commit(commit_by("b", 1)), ErrorCode::None);
}

#[test]
fn static_member_that_does_not_come_back_is_out_when_its_session_ends() {
    let mut world = world(2);
    world.beat_ok(joining_static("a", "i"));
    world.beat_ok(ConsumerGroupHeartbeat { member_epoch: -2, ..joining_static("a", "i") });
    world.pass(SECOND * 44);
    assert_eq!(world.describe_consumers().members.len(), 1);
    world.pass(SECOND);
    assert!(world.answers().is_empty());
    assert_eq!(world.describe_consumers().members.len(), 0);
}

#[test]
fn unknown_instance_id_is_an_unknown_member() {
    let mut world = world(1);
    world.beat_ok(joining("a"));
    let request = ConsumerGroupHeartbeat { instance_id: Some("i".to_owned()), ..staying("a", 2) };
    assert_eq!(
        world.beat_error(request),
        (ErrorCode::UnknownMemberId, "Instance id i is unknown.".to_owned())
    );
}

#[test]
fn commit_counts_at_the_members_epoch_and_for_what_it_has_held_since_an_older_one() {
    let mut world = world(2);
    world.beat_ok(joining("a"));
    assert_eq!(world.commit(commit_by("a", 2)), ErrorCode::None);
    world.topic("topic", 1, 3);
    world.beat_ok(staying("a", 2));
    // Partition 0 is the member's since epoch 2, partition 2 since epoch 3.
    assert_eq!(world.commit(commit_by("a", 2)), ErrorCode::None);
    let newer = vec![("topic".to_owned(), vec![offset(2, 42)])];
    let commit = |epoch| OffsetCommit { topics: newer.clone(), ..commit_by("a", epoch) };
    assert_eq!(world.commit(commit(2)), ErrorCode::StaleMemberEpoch);
    assert_eq!(world.commit(commit(3)), ErrorCode::None);
    assert_eq!(world.commit(commit(4)), ErrorCode::StaleMemberEpoch);
    assert_eq!(world.commit(commit_by("b", 3)), ErrorCode::UnknownMemberId);
    assert_eq!(world.commit(simple_commit()), ErrorCode::UnknownMemberId);
    let old = OffsetCommit { supports_group_id_not_found: false, ..commit_by("a", 3) };
    assert_eq!(world.commit(old), ErrorCode::UnsupportedVersion);
}

#[test]
fn administrator_commits_for_an_empty_consumer_group() {
    let mut world = world(1);
    world.beat_ok(joining("a"));
    world.beat_ok(staying("a", -1));
    assert_eq!(world.commit(simple_commit()), ErrorCode::None);
    assert_eq!(world.describe_consumers().state, "Empty");
}

#[test]
fn fetch_by_a_member_needs_its_epoch() {
    let mut world = world(1);
    world.beat_ok(joining("a"));
    let mut fetch = |member: Option<(&str, i32)>| {
        let member = member.map(|(member, epoch)| (member.to_owned(), epoch));
        let fetch = OffsetFetch { group_id: GROUP.to_owned(), member, ..OffsetFetch::default() };
        let Response::OffsetFetch(response) = world.ask(Request::OffsetFetch(fetch)) else { panic!() };
        response.error
    };
    assert_eq!(fetch(None), ErrorCode::None);
    assert_eq!(fetch(Some(("a", 2))), ErrorCode::None);
    assert_eq!(fetch(Some(("a", 1))), ErrorCode::StaleMemberEpoch);
    assert_eq!(fetch(Some(("b", 2))), ErrorCode::UnknownMemberId);
}
