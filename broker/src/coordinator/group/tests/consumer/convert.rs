//! Classic and consumer members in one group: online upgrade and downgrade.

use super::super::transactions::txn_commit;
use super::*;

/// `ConsumerProtocolAssignment` of version 0 with partitions of `topic`.
fn embedded(partitions: &[i32]) -> Bytes {
    let mut buffer = BytesMut::new();
    buffer.put_i16(0);
    buffer.put_i32(1);
    buffer.put_i16(5);
    buffer.put_slice(b"topic");
    buffer.put_i32(i32::try_from(partitions.len()).unwrap());
    partitions.iter().for_each(|partition| buffer.put_i32(*partition));
    buffer.put_i32(-1);
    buffer.freeze()
}

/// A stable classic group of one member that has partitions 0 and 1.
fn classic(world: &mut World) -> String {
    let member = world.joined_group(1).remove(0);
    let assignments = vec![(member.clone(), embedded(&[0, 1]))];
    world.ask_to_sync(SyncGroup { assignments, ..sync(&member, 1) });
    member
}

#[test]
fn consumer_joins_a_classic_group_and_both_share_its_topic() {
    let mut world = world(2);
    let old = classic(&mut world);
    assert_eq!(world.beat_ok(joining("new")), (2, Some(Assignment::new())));
    let described = world.describe_consumers();
    let of = |id: &str| described.members.iter().find(|member| member.member_id == id).unwrap();
    assert!(of(&old).is_classic && !of("new").is_classic);
    assert_eq!(of(&old).assignment, [(id(1), "topic".to_owned(), vec![0, 1])]);
    // The classic member is told to rejoin, joins with nothing (eager), and syncs its half.
    assert_eq!(world.heartbeat(&old, 1), ErrorCode::RebalanceInProgress);
    let joined = world.ask_to_join(rejoin(&old));
    assert_eq!((joined.error, joined.generation_id, joined.leader.as_str()), (ErrorCode::None, 2, ""));
    assert_eq!(joined.protocol_name.as_deref(), Some("range"));
    let synced = world.ask_to_sync(sync(&old, 2));
    assert_eq!((synced.error, synced.assignment), (ErrorCode::None, embedded(&[0])));
    assert_eq!(world.heartbeat(&old, 2), ErrorCode::None);
    assert_eq!(world.beat_ok(staying("new", 2)), (2, Some(partitions(&[1]))));
    assert_eq!(world.commit(commit_by(&old, 2)), ErrorCode::None);
    // Partition 0 has been its own since generation 1, partition 1 no longer is.
    assert_eq!(world.commit(commit_by(&old, 1)), ErrorCode::None);
    let lost = vec![("topic".to_owned(), vec![offset(1, 42)])];
    let lost = OffsetCommit { topics: lost, ..commit_by(&old, 1) };
    assert_eq!(world.commit(lost), ErrorCode::IllegalGeneration);
}

#[test]
fn group_becomes_classic_again_when_the_last_consumer_leaves() {
    let mut world = world(2);
    let old = classic(&mut world);
    world.beat_ok(joining("new"));
    world.ask_to_join(rejoin(&old));
    world.ask_to_sync(sync(&old, 2));
    assert_eq!(world.beat_ok(staying("new", -1)), (-1, None));
    assert_eq!(world.state(), GroupState::PreparingRebalance);
    assert_eq!(world.heartbeat(&old, 2), ErrorCode::RebalanceInProgress);
    let joined = world.ask_to_join(rejoin(&old));
    assert_eq!((joined.error, joined.generation_id), (ErrorCode::None, 3));
    assert_eq!(joined.leader, old);
}

/// A static member of the consumer protocol is alone and settled; then it comes back as a classic one.
fn comes_back_as_classic(world: &mut World, topic: &str) -> JoinGroupResponse {
    world.beat_ok(ConsumerGroupHeartbeat { instance_id: Some("i".to_owned()), ..joining("new") });
    let mut metadata = BytesMut::new();
    metadata.put_i16(0);
    metadata.put_i32(1);
    metadata.put_i16(i16::try_from(topic.len()).unwrap());
    metadata.put_slice(topic.as_bytes());
    metadata.put_i32(-1);
    let protocols = vec![Protocol { name: "range".to_owned(), metadata: metadata.freeze() }];
    world.ask_to_join(JoinGroup { group_instance_id: Some("i".to_owned()), protocols, ..first_join() })
}

#[test]
fn group_becomes_classic_without_a_rebalance_when_a_static_member_replaces_the_last_consumer() {
    let mut world = world(2);
    let joined = comes_back_as_classic(&mut world, "topic");
    assert_eq!((joined.error, joined.generation_id), (ErrorCode::None, 2));
    assert_eq!(world.state(), GroupState::Stable);
    let id = joined.member_id;
    let synced = world.ask_to_sync(SyncGroup { group_instance_id: Some("i".to_owned()), ..sync(&id, 2) });
    assert_eq!((synced.error, synced.assignment), (ErrorCode::None, embedded(&[0, 1])));
    assert_eq!(world.heartbeat(&id, 2), ErrorCode::None);
    // What the log says is the same group.
    let mut again = World::loading(config());
    for (partition, records) in &world.log {
        for CoordinatorRecord { key, value } in records.clone() {
            again.event(Event::LoadRecord { partition: *partition, key, value });
        }
    }
    again.finish_loading();
    assert_eq!(again.heartbeat(&id, 2), ErrorCode::None);
}

#[test]
fn static_member_that_replaces_the_last_consumer_with_another_subscription_has_the_group_rebalance() {
    let mut world = world(2);
    let joined = comes_back_as_classic(&mut world, "other");
    assert_eq!((joined.error, joined.generation_id), (ErrorCode::None, 0));
    assert_eq!(world.state(), GroupState::PreparingRebalance);
    assert_eq!(world.describe().members[0].assignment, embedded(&[0, 1]), "what the member before it had");
    assert_eq!(world.heartbeat(&joined.member_id, 2), ErrorCode::RebalanceInProgress);
    let instance = Some("i".to_owned());
    let again = JoinGroup { group_instance_id: instance, ..rejoin(&joined.member_id) };
    assert_eq!(world.ask_to_join(again).generation_id, 3);
}

#[test]
fn static_member_that_replaces_one_of_two_consumers_leaves_the_group_as_it_is() {
    let mut world = world(2);
    world.beat_ok(joining("stays"));
    comes_back_as_classic(&mut world, "topic");
    assert_eq!(world.describe_consumers().members.len(), 2);
}

#[test]
fn offsets_survive_both_conversions() {
    let mut world = world(2);
    let old = classic(&mut world);
    world.commit(commit_by(&old, 1));
    world.beat_ok(joining("new"));
    assert_eq!(world.committed("topic"), 42);
    world.beat_ok(staying("new", -1));
    assert_eq!(world.committed("topic"), 42);
    let mut again = World::loading(config());
    for (partition, records) in &world.log {
        for CoordinatorRecord { key, value } in records.clone() {
            again.event(Event::LoadRecord { partition: *partition, key, value });
        }
    }
    again.finish_loading();
    assert_eq!(again.committed("topic"), 42);
    assert_eq!(again.describe().members.len(), 1);
}

#[test]
fn policy_decides_about_conversions() {
    let mut upgrade_only = config();
    upgrade_only.consumer.migration = MigrationPolicy::Upgrade;
    let mut world = World::with(upgrade_only);
    world.topic("topic", 1, 2);
    classic(&mut world);
    world.beat_ok(joining("new"));
    world.beat_ok(staying("new", -1));
    assert_eq!(world.describe_consumers().members.len(), 1);

    let mut none = config();
    none.consumer.migration = MigrationPolicy::Disabled;
    let mut world = World::with(none);
    world.topic("topic", 1, 2);
    classic(&mut world);
    let message = "Cannot upgrade classic group grp to consumer group because online upgrade is disabled.";
    assert_eq!(world.beat_error(joining("new")), (ErrorCode::GroupIdNotFound, message.to_owned()));
    assert_eq!(world.state(), GroupState::Stable);
}

#[test]
fn group_of_another_protocol_type_is_not_upgraded() {
    let mut world = world(2);
    let connect = JoinGroup { protocol_type: "connect".to_owned(), ..first_join() };
    let id = world.ask_to_join(connect.clone()).member_id;
    world.join(JoinGroup { member_id: id, ..connect });
    world.pass_initial_rebalance();
    world.answers();
    let (error, message) = world.beat_error(joining("new"));
    assert_eq!(error, ErrorCode::GroupIdNotFound);
    let expected = "Cannot upgrade classic group grp to consumer group because the group does not use the consumer \
                    embedded protocol.";
    assert_eq!(message, expected);
}

#[test]
fn upgrade_answers_members_that_wait_in_a_rebalance() {
    let mut world = world(2);
    let (id, waiter) = world.join_dynamic();
    world.send(Request::ConsumerGroupHeartbeat(Box::new(joining("new"))));
    let answers = world.answers();
    assert_eq!(answers.len(), 2);
    let join = answers.into_iter().find(|(answered, _)| *answered == waiter).unwrap().1;
    assert_eq!(joined(join).error, ErrorCode::RebalanceInProgress);
    assert!(world.describe_consumers().members.iter().any(|member| member.member_id == id));
}

#[test]
fn classic_member_joins_a_consumer_group_with_an_id_it_is_given_first() {
    let mut world = world(2);
    world.beat_ok(joining("new"));
    let given = world.ask_to_join(first_join());
    assert_eq!(given.error, ErrorCode::MemberIdRequired);
    let joined = world.ask_to_join(rejoin(&given.member_id));
    assert_eq!((joined.error, joined.generation_id), (ErrorCode::None, 3));
    let synced = world.ask_to_sync(sync(&given.member_id, 3));
    assert_eq!(synced.error, ErrorCode::None);
    let other = JoinGroup { protocol_type: "connect".to_owned(), ..first_join() };
    assert_eq!(world.ask_to_join(other).error, ErrorCode::InconsistentGroupProtocol);
}

/// A classic member that joins a consumer group and syncs what there is for it.
fn classic_among(world: &mut World) -> (String, i32) {
    let id = world.ask_to_join(first_join()).member_id;
    let generation = world.ask_to_join(rejoin(&id)).generation_id;
    assert_eq!(world.ask_to_sync(sync(&id, generation)).error, ErrorCode::None);
    (id, generation)
}

#[test]
fn classic_member_is_told_to_rejoin_only_when_something_it_waits_for_is_free() {
    let mut world = world(6);
    world.beat_ok(joining("a"));
    world.beat_ok(joining("b"));
    world.beat_ok(staying("a", 2));
    world.beat_ok(owning("a", 2, partitions(&[0, 1, 2])));
    assert_eq!(world.beat_ok(staying("b", 3)), (3, Some(partitions(&[3, 4, 5]))));
    let (classic, generation) = classic_among(&mut world);
    assert_eq!(generation, 4);
    // One partition of each of the others is meant for it.
    assert_eq!(world.heartbeat(&classic, 4), ErrorCode::None);
    assert_eq!(world.beat_ok(staying("a", 3)), (3, Some(partitions(&[0, 1]))));
    assert_eq!(world.heartbeat(&classic, 4), ErrorCode::None);
    world.beat_ok(owning("a", 3, partitions(&[0, 1])));
    assert_eq!(world.heartbeat(&classic, 4), ErrorCode::RebalanceInProgress);
    assert_eq!(world.ask_to_join(rejoin(&classic)).generation_id, 4);
    assert_eq!(world.ask_to_sync(sync(&classic, 4)).assignment, embedded(&[2]));
    // What b still holds is no reason to rejoin.
    assert_eq!(world.heartbeat(&classic, 4), ErrorCode::None);
    world.beat_ok(staying("b", 3));
    world.beat_ok(owning("b", 3, partitions(&[3, 4])));
    assert_eq!(world.heartbeat(&classic, 4), ErrorCode::RebalanceInProgress);
    world.ask_to_join(rejoin(&classic));
    assert_eq!(world.ask_to_sync(sync(&classic, 4)).assignment, embedded(&[2, 5]));
    assert_eq!(world.describe_consumers().state, "Stable");
}

#[test]
fn classic_member_that_does_not_sync_is_out_at_its_rebalance_timeout() {
    let mut world = world(2);
    world.beat_ok(joining("new"));
    let given = world.ask_to_join(first_join()).member_id;
    let late = JoinGroup { session_timeout_ms: 600_000, ..rejoin(&given) };
    assert_eq!(world.ask_to_join(late).error, ErrorCode::None);
    for _ in 0..12 {
        world.pass(SECOND * 5);
        world.beat(staying("new", 2));
    }
    assert!(world.describe_consumers().members.iter().all(|member| member.member_id != given));
}

#[test]
fn consumer_members_are_unknown_to_classic_heartbeat_and_sync() {
    let mut world = world(2);
    world.beat_ok(joining("new"));
    assert_eq!(world.heartbeat("new", 1), ErrorCode::UnknownMemberId);
    assert_eq!(world.ask_to_sync(sync("new", 1)).error, ErrorCode::UnknownMemberId);
}

#[test]
fn classic_members_leave_a_consumer_group() {
    let mut world = world(2);
    let old = classic(&mut world);
    world.beat_ok(joining("new"));
    assert_eq!(left(world.ask(leave(&[&old, "nobody"]))), [ErrorCode::None, ErrorCode::UnknownMemberId]);
    assert_eq!(world.beat_ok(staying("new", 2)), (3, Some(partitions(&[0, 1]))));
}

#[test]
fn empty_groups_change_their_kind_with_the_next_member() {
    let mut world = world(2);
    world.beat_ok(joining("new"));
    world.beat_ok(staying("new", -1));
    let given = world.ask_to_join(first_join());
    assert_eq!(given.error, ErrorCode::MemberIdRequired);
    assert_eq!(world.state(), GroupState::Empty);
    world.beat_ok(joining("new"));
    assert_eq!(world.describe_consumers().state, "Stable");
    world.pass(SECOND * 20);
    assert!(world.answers().is_empty(), "the id that was handed out ends with the classic group");
}

#[test]
fn static_classic_members_of_a_consumer_group_are_known_by_instance_and_id() {
    let mut world = world(2);
    world.beat_ok(joining("new"));
    let instance = || Some("i".to_owned());
    let joined = world.ask_to_join(JoinGroup { group_instance_id: instance(), ..first_join() });
    assert_eq!((joined.error, joined.generation_id), (ErrorCode::None, 3));
    let id = joined.member_id;
    let mut again = |id: &str, group_instance_id: Option<String>| {
        world.ask_to_join(JoinGroup { group_instance_id, ..rejoin(id) }).error
    };
    assert_eq!(again("other", instance()), ErrorCode::FencedInstanceId);
    assert_eq!(again(&id, Some("j".to_owned())), ErrorCode::UnknownMemberId);
    assert_eq!(again(&id, instance()), ErrorCode::None);
    let by_instance = |generation| SyncGroup { group_instance_id: instance(), ..sync(&id, generation) };
    assert_eq!(world.ask_to_sync(by_instance(9)).error, ErrorCode::IllegalGeneration);
    let other = SyncGroup { protocol_name: Some("other".to_owned()), ..by_instance(3) };
    assert_eq!(world.ask_to_sync(other).error, ErrorCode::InconsistentGroupProtocol);
    assert_eq!(world.heartbeat(&id, 9), ErrorCode::IllegalGeneration);
    let leaving = |instance: &str| {
        let member =
            MemberIdentity { member_id: String::new(), group_instance_id: Some(instance.to_owned()) };
        Request::LeaveGroup(LeaveGroup { group_id: GROUP.to_owned(), members: vec![member] })
    };
    assert_eq!(left(world.ask(leaving("j"))), [ErrorCode::UnknownMemberId]);
    assert_eq!(left(world.ask(leaving("i"))), [ErrorCode::None]);
    assert_eq!(world.describe_consumers().members.len(), 1);
}

#[test]
fn transactions_commit_offsets_for_consumer_members_at_their_epoch() {
    let mut world = world(2);
    world.beat_ok(joining("new"));
    let mut commit = |member_id: &str, generation_id| {
        let member_id = member_id.to_owned();
        world.commit_in_transaction(TxnOffsetCommit { member_id, generation_id, ..txn_commit() })
    };
    assert_eq!(commit("new", 9), ErrorCode::IllegalGeneration);
    assert_eq!(commit("stranger", 1), ErrorCode::UnknownMemberId);
    assert_eq!(commit("new", 2), ErrorCode::None);
    assert_eq!(commit("", -1), ErrorCode::None, "who does not say who it is");
}
