//! Offsets committed by transactions: pending until the marker, whatever happens meanwhile.

use super::*;

const PRODUCER: i64 = 7;
/// The partition of `GROUP`.
const PARTITION: i32 = 29;

/// Offset 50 of partition 0, in a transaction of `PRODUCER`, by a client that does not say who it is.
pub(super) fn txn_commit() -> TxnOffsetCommit {
    TxnOffsetCommit {
        group_id: GROUP.to_owned(),
        producer_id: PRODUCER,
        producer_epoch: 0,
        generation_id: -1,
        member_id: String::new(),
        group_instance_id: None,
        topics: vec![("topic".to_owned(), vec![offset(0, 50)])],
    }
}

pub(super) fn complete(producer_id: i64, committed: bool) -> Request {
    let (partition, producer_epoch, coordinator_epoch) = (PARTITION, 0, 3);
    Request::CompleteTransaction(CompleteTransaction {
        partition,
        producer_id,
        producer_epoch,
        coordinator_epoch,
        committed,
    })
}

/// A coordinator that has read what this one wrote.
pub(super) fn reopened(world: World) -> World {
    let mut reopened = World::loading(GroupConfig::default());
    reopened.now = world.now;
    world.written.iter().cloned().for_each(|event| reopened.event(event));
    reopened.finish_loading();
    reopened.written = world.written;
    reopened
}

impl World {
    pub(super) fn commit_in_transaction(&mut self, commit: TxnOffsetCommit) -> ErrorCode {
        let Response::TxnOffsetCommit(topics) = self.ask(Request::TxnOffsetCommit(commit)) else {
            panic!("no commit")
        };
        topics[0].1[0].1
    }

    pub(super) fn end_transaction(&mut self, producer_id: i64, committed: bool) -> ErrorCode {
        let Response::CompleteTransaction(error) = self.ask(complete(producer_id, committed)) else {
            panic!("no end")
        };
        error
    }

    /// Offset and error of partition 0, for who requires stable offsets.
    pub(super) fn stable(&mut self, topic: &str) -> (i64, ErrorCode) {
        let topics = Some(vec![(topic.to_owned(), vec![0])]);
        let fetch = OffsetFetch { group_id: GROUP.to_owned(), topics, require_stable: true, member: None };
        let Response::OffsetFetch(response) = self.ask(Request::OffsetFetch(fetch)) else {
            panic!("no fetch")
        };
        (response.topics[0].1[0].offset, response.topics[0].1[0].error)
    }
}

const UNSTABLE: (i64, ErrorCode) = (-1, ErrorCode::UnstableOffsetCommit);

#[test]
fn offsets_of_a_transaction_count_when_it_is_committed() {
    for restart in [false, true] {
        let mut world = World::new();
        world.commit(simple_commit());
        assert_eq!(world.commit_in_transaction(txn_commit()), ErrorCode::None);
        if restart {
            world = reopened(world);
        }
        assert_eq!((world.committed("topic"), world.stable("topic")), (42, UNSTABLE));
        assert_eq!(world.end_transaction(PRODUCER, true), ErrorCode::None);
        assert_eq!((world.committed("topic"), world.stable("topic")), (50, (50, ErrorCode::None)));
        let mut world = reopened(world);
        assert_eq!(world.stable("topic"), (50, ErrorCode::None));
    }
}

#[test]
fn offsets_of_an_aborted_transaction_never_count() {
    let mut world = World::new();
    world.commit(simple_commit());
    world.commit_in_transaction(txn_commit());
    assert_eq!(world.end_transaction(PRODUCER, false), ErrorCode::None);
    assert_eq!(world.stable("topic"), (42, ErrorCode::None));
    assert_eq!(reopened(world).stable("topic"), (42, ErrorCode::None));
}

#[test]
fn an_offset_that_was_committed_later_wins_whatever_ends_first() {
    let mut world = World::new();
    let by = |producer_id, at| TxnOffsetCommit {
        producer_id,
        topics: vec![("topic".to_owned(), vec![offset(0, at)])],
        ..txn_commit()
    };
    world.commit_in_transaction(by(1, 60));
    world.commit_in_transaction(by(2, 70));
    world.end_transaction(2, true);
    world.end_transaction(1, true);
    assert_eq!(world.committed("topic"), 70, "it was written after 60");
    world.commit_in_transaction(by(3, 80));
    world.commit(simple_commit());
    world.end_transaction(3, true);
    assert_eq!(world.committed("topic"), 42, "it was written after 80");
    assert_eq!(reopened(world).committed("topic"), 42);
}

#[test]
fn all_offsets_are_asked_for_and_the_unstable_ones_are_named() {
    let mut world = World::new();
    let topics = vec![("topic".to_owned(), vec![offset(0, 1), offset(1, 2)])];
    world.commit(OffsetCommit { topics, ..simple_commit() });
    let topics = vec![("topic".to_owned(), vec![offset(1, 3)]), ("new".to_owned(), vec![offset(0, 4)])];
    world.commit_in_transaction(TxnOffsetCommit { topics, ..txn_commit() });
    let mut all = |require_stable| {
        let fetch = OffsetFetch { group_id: GROUP.to_owned(), topics: None, require_stable, member: None };
        let Response::OffsetFetch(response) = world.ask(Request::OffsetFetch(fetch)) else { panic!() };
        let topics = response.topics.into_iter().map(|(topic, offsets)| {
            (topic, offsets.into_iter().map(|it| (it.partition, it.offset, it.error)).collect::<Vec<_>>())
        });
        topics.collect::<Vec<_>>()
    };
    let (none, unstable) = (ErrorCode::None, ErrorCode::UnstableOffsetCommit);
    assert_eq!(all(false), [("topic".to_owned(), vec![(0, 1, none), (1, 2, none)])]);
    assert_eq!(all(true), [("topic".to_owned(), vec![(0, 1, none), (1, -1, unstable)])]);
}

#[test]
fn what_the_log_refuses_changes_nothing_and_disturbs_nobody() {
    let mut world = World::new();
    world.commit(simple_commit());
    world.refuses = Some(ErrorCode::InvalidProducerEpoch);
    assert_eq!(world.commit_in_transaction(txn_commit()), ErrorCode::InvalidProducerEpoch);
    assert_eq!(world.stable("topic"), (42, ErrorCode::None));
    world.commit_in_transaction(txn_commit());
    world.refuses = Some(ErrorCode::TransactionCoordinatorFenced);
    assert_eq!(world.end_transaction(PRODUCER, true), ErrorCode::TransactionCoordinatorFenced);
    assert_eq!((world.committed("topic"), world.stable("topic")), (42, UNSTABLE));
    let refused = TxnOffsetCommit { group_id: "grp-s".to_owned(), ..txn_commit() };
    world.refuses = Some(ErrorCode::InvalidTxnState);
    assert_eq!(world.commit_in_transaction(refused), ErrorCode::InvalidTxnState);
    assert!(!world.coordinator.contains("grp-s"));
}

#[test]
fn who_commits_must_be_who_it_says_if_it_says() {
    let mut world = World::new();
    let unknown = TxnOffsetCommit { generation_id: 1, member_id: "m".to_owned(), ..txn_commit() };
    assert_eq!(world.commit_in_transaction(unknown.clone()), ErrorCode::IllegalGeneration);
    let members = world.stable_group(1);
    let by = |member: &str, generation_id| TxnOffsetCommit {
        generation_id,
        member_id: member.to_owned(),
        ..txn_commit()
    };
    assert_eq!(world.commit_in_transaction(unknown), ErrorCode::UnknownMemberId);
    assert_eq!(world.commit_in_transaction(by(&members[0], 2)), ErrorCode::IllegalGeneration);
    assert_eq!(world.commit_in_transaction(by(&members[0], 1)), ErrorCode::None);
    assert_eq!(world.commit_in_transaction(txn_commit()), ErrorCode::None, "older clients do not say");
    let fenced = TxnOffsetCommit { group_instance_id: Some("i".to_owned()), ..by(&members[0], 1) };
    assert_eq!(world.commit_in_transaction(fenced), ErrorCode::UnknownMemberId);
    let empty = TxnOffsetCommit { group_id: String::new(), ..txn_commit() };
    assert_eq!(world.commit_in_transaction(empty), ErrorCode::InvalidGroupId);
}

#[test]
fn a_rebalance_under_way_does_not_refuse_a_transaction() {
    let mut world = World::new();
    let members = world.joined_group(2);
    let commit =
        |generation_id| TxnOffsetCommit { generation_id, member_id: members[0].clone(), ..txn_commit() };
    assert_eq!(world.commit(commit_by(&members[0], 1)), ErrorCode::RebalanceInProgress);
    assert_eq!(world.commit_in_transaction(commit(1)), ErrorCode::None);
}

#[test]
fn too_much_metadata_is_refused_for_its_partition_alone() {
    let mut world = World::new();
    let long = PartitionCommit { metadata: Some("x".repeat(4097)), ..offset(1, 5) };
    let topics = vec![("topic".to_owned(), vec![offset(0, 50), long])];
    let request = Request::TxnOffsetCommit(TxnOffsetCommit { topics, ..txn_commit() });
    let Response::TxnOffsetCommit(outcomes) = world.ask(request) else { panic!() };
    assert_eq!(outcomes[0].1, [(0, ErrorCode::None), (1, ErrorCode::OffsetMetadataTooLarge)]);
}

#[test]
fn a_commit_is_answered_when_it_is_durable_and_a_marker_too() {
    let mut world = World::new();
    let waiter = world.send(Request::TxnOffsetCommit(txn_commit()));
    let effects = world.effects();
    let [Effect::Work(TransactionalAppend { partition, producer, content, ticket, .. })] = &effects[..]
    else {
        panic!("{effects:?}")
    };
    assert_eq!((*partition, *producer), (PARTITION, (PRODUCER, 0)));
    assert!(world.append_transactional(*partition, producer.0, content.clone(), *ticket));
    assert_eq!(world.effects(), []);
    world.settle(*ticket, Ok(()));
    assert!(matches!(world.answer(waiter), Response::TxnOffsetCommit(_)));

    let waiter = world.send(complete(PRODUCER, true));
    let effects = world.effects();
    let [Effect::Work(TransactionalAppend { content, ticket, .. })] = &effects[..] else {
        panic!("{effects:?}")
    };
    let TransactionalContent::Marker(marker) = content else { panic!("{content:?}") };
    assert_eq!((marker.marker_type, marker.coordinator_epoch), (MarkerType::Commit, 3));
    assert!(world.append_transactional(PARTITION, PRODUCER, content.clone(), *ticket));
    let topics = Some(vec![("topic".to_owned(), vec![0])]);
    let fetch = OffsetFetch { group_id: GROUP.to_owned(), topics, require_stable: true, member: None };
    let fetch = world.send(Request::OffsetFetch(fetch));
    assert_eq!(world.effects(), [], "who reads the offset waits for the marker too");
    world.settle(*ticket, Ok(()));
    let answers: Vec<WaiterId> = world.answers().into_iter().map(|(waiter, _)| waiter).collect();
    assert_eq!(answers, [waiter, fetch]);
}

#[test]
fn a_marker_is_written_where_nothing_is_pending_and_to_no_partition_that_is_not_there() {
    let mut world = World::new();
    assert_eq!(world.end_transaction(PRODUCER, true), ErrorCode::None);
    assert!(matches!(world.written[..], [Event::Own(GroupEvent::LoadMarker { partition: PARTITION, .. })]));
    for (partition, error) in [(50, ErrorCode::NotCoordinator), (-1, ErrorCode::NotCoordinator)] {
        let complete = CompleteTransaction {
            partition,
            producer_id: 1,
            producer_epoch: 0,
            coordinator_epoch: 0,
            committed: true,
        };
        let answer = world.ask(Request::CompleteTransaction(complete));
        assert_eq!(answer, Response::CompleteTransaction(error));
    }
    let mut loading = World::loading(GroupConfig::default());
    assert_eq!(loading.end_transaction(PRODUCER, true), ErrorCode::CoordinatorLoadInProgress);
    assert_eq!(loading.commit_in_transaction(txn_commit()), ErrorCode::CoordinatorLoadInProgress);
}

#[test]
fn a_failed_append_gives_up_transactional_ones_under_way() {
    let mut world = World::new();
    world.commit(simple_commit());
    let plain = world.send(Request::OffsetCommit(simple_commit()));
    let txn = world.send(Request::TxnOffsetCommit(txn_commit()));
    let effects = world.effects();
    let [Effect::Append { ticket: failed, .. }, Effect::Work(TransactionalAppend { ticket, .. })] =
        &effects[..]
    else {
        panic!("{effects:?}")
    };
    world.settle(*failed, Err(ErrorCode::NotEnoughReplicas));
    world.event(Event::Own(GroupEvent::AppendTried { ticket: *ticket, result: Ok(()) }));
    world.settle(*ticket, Ok(()));
    let mut answered = Vec::new();
    for effect in world.effects() {
        match effect {
            Effect::Respond { waiter, .. } => answered.push(waiter),
            Effect::Reload { partition } => assert_eq!(partition, PARTITION),
            other => panic!("{other:?}"),
        }
    }
    assert_eq!(answered, [plain, txn]);
    world.written.clone().into_iter().for_each(|event| world.event(event));
    world.event(Event::LoadFinished { partition: PARTITION });
    assert_eq!(world.stable("topic"), (42, ErrorCode::None));
}

#[test]
fn deleting_an_offset_takes_what_is_pending_with_it() {
    let mut world = World::new();
    world.commit_in_transaction(txn_commit());
    let delete = OffsetDelete { group_id: GROUP.to_owned(), topics: vec![("topic".to_owned(), vec![0])] };
    world.ask(Request::OffsetDelete(delete));
    assert_eq!(world.log[&PARTITION].len(), 1, "a tombstone for what was only pending");
    world.end_transaction(PRODUCER, true);
    assert_eq!(world.stable("topic"), (-1, ErrorCode::None));
    assert_eq!(reopened(world).stable("topic"), (-1, ErrorCode::None));
}

#[test]
fn deleting_the_topic_or_the_group_takes_what_is_pending_with_it() {
    let mut world = World::new();
    world.commit_in_transaction(txn_commit());
    world.event(Event::Own(GroupEvent::TopicDeleted { topic: "topic".to_owned() }));
    assert_eq!(world.answers(), []);
    assert_eq!(world.stable("topic"), (-1, ErrorCode::None));
    world.commit_in_transaction(txn_commit());
    let delete = Request::DeleteGroup { group_id: GROUP.to_owned() };
    assert_eq!(world.ask(delete), Response::DeleteGroup(ErrorCode::None));
    world.end_transaction(PRODUCER, true);
    assert!(!world.coordinator.contains(GROUP));
    assert!(!reopened(world).coordinator.contains(GROUP));
}

#[test]
fn nothing_expires_under_a_transaction() {
    let mut world = World::new();
    world.commit(simple_commit());
    world.commit_in_transaction(txn_commit());
    world.pass(DAY * 30);
    assert_eq!(world.answers(), []);
    assert_eq!(world.committed("topic"), 42);
    world.end_transaction(PRODUCER, false);
    world.pass(DAY);
    world.answers();
    assert!(!world.coordinator.contains(GROUP), "then it does, and the group with it");
    assert_eq!(world.coordinator.next_timeout(), None);
}

#[test]
fn a_group_that_was_made_for_an_aborted_transaction_is_forgotten() {
    let mut world = World::new();
    world.commit_in_transaction(txn_commit());
    world.pass(DAY);
    assert!(world.coordinator.contains(GROUP));
    world.end_transaction(PRODUCER, false);
    world.pass(DAY);
    world.answers();
    assert!(!world.coordinator.contains(GROUP));
    assert!(world.coordinator.shards.iter().all(|shard| shard.transactions.is_empty()));
}
