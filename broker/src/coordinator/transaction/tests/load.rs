//! Loading, and losing a partition's state to a failed append.

use super::*;

const V2: TransactionVersion = TransactionVersion::V2;

#[test]
fn nothing_is_answered_before_the_partition_is_loaded() {
    let now = any_instant();
    let mut coordinator = TransactionCoordinator::new(TransactionConfig::default(), now, EPOCH_MS);
    let requests = [
        init("tx", None),
        add("tx", producer(1, 0), &[("t", &[0])], V2),
        verify("tx", producer(1, 0), &[("t", &[0])]),
        end("tx", producer(1, 0), true, V2),
        Request::Describe { transactional_id: "tx".to_owned() },
        Request::List(ListTransactions::default()),
    ];
    for (number, request) in (1..).zip(requests) {
        let waiter = WaiterId(number);
        let refused = Response::failed(&request, ErrorCode::CoordinatorLoadInProgress);
        coordinator.handle(now, Event::Request { waiter, request });
        assert_eq!(coordinator.take_effects(), [Effect::Respond { waiter, response: refused }]);
    }
}

#[test]
fn newest_record_of_an_id_counts_and_a_tombstone_removes_it() {
    let mut world = World::new();
    world.plant("tx", &metadata(TransactionState::Ongoing, V2));
    world.plant("tx", &metadata(TransactionState::CompleteCommit, V2));
    assert_eq!(world.state("tx"), TransactionState::CompleteCommit);
    let tombstone = super::super::records::transaction("tx", None);
    world.log.get_mut(&partition_for("tx", 2)).unwrap().push(tombstone);
    world.crash();
    assert_eq!(world.describe("tx"), Err(ErrorCode::TransactionalIdNotFound));
}

#[test]
fn decided_transactions_have_their_markers_written_at_load() {
    for (state, committed) in
        [(TransactionState::PrepareCommit, true), (TransactionState::PrepareAbort, false)]
    {
        let mut world = World::new();
        world.plant("tx", &metadata(state, V2));
        let (_, markers) = world.markers.front().unwrap();
        assert_eq!((markers.producer, markers.committed), (producer(1000, 5), committed));
        world.settle();
        assert!(world.state("tx").is_idle());
    }
}

#[test]
fn decided_transaction_without_partitions_completes_at_load() {
    let mut world = World::new();
    let prepared = metadata(TransactionState::PrepareAbort, V2);
    world.plant("tx", &Metadata { partitions: Partitions::new(), ..prepared });
    assert!(world.markers.is_empty());
    world.settle();
    assert_eq!(world.durable("tx").unwrap().state, TransactionState::CompleteAbort);
}

#[test]
fn record_that_cannot_be_read_costs_only_itself() {
    let mut world = World::new();
    world.plant("tx", &metadata(TransactionState::Empty, V2));
    let partition = partition_for("tx", 2);
    let key = super::super::records::transaction("tx", None).key;
    for value in [&b"\x00\x09"[..], &b"\x00\x01\x00"[..], &b""[..]] {
        let value = Some(bytes::Bytes::copy_from_slice(value));
        world.log.get_mut(&partition).unwrap().push(CoordinatorRecord { key: key.clone(), value });
    }
    let strange = CoordinatorRecord { key: bytes::Bytes::from_static(b"\x00\x07xyz"), value: None };
    world.log.get_mut(&partition).unwrap().push(strange);
    world.coordinator = TransactionCoordinator::new(world.config.clone(), world.now, EPOCH_MS);
    world.load_all();
    assert_eq!(world.coordinator.ids, 1);
}

#[test]
fn failed_append_fails_what_waits_and_the_log_decides_what_is() {
    let mut world = World::new();
    let me = world.init("tx").unwrap();
    let add = world.ask(add("tx", me, &[("t", &[0])], V2));
    let verify = world.ask(verify("tx", me, &[("t", &[0])]));
    world.append_fails(ErrorCode::KafkaStorageError);
    assert_eq!(world.answer(add), Some(Response::AddPartitions(Err(ErrorCode::NotCoordinator))));
    assert_eq!(world.answer(verify), Some(Response::VerifyPartitions(Err(ErrorCode::NotCoordinator))));
    let loading = world.ask(end("tx", me, true, V2));
    let refused = Err(ErrorCode::CoordinatorLoadInProgress);
    assert_eq!(world.answer(loading), Some(Response::EndTransaction(refused)));
    world.reload();
    assert_eq!(world.state("tx"), TransactionState::Empty);
    assert_eq!(world.begin("tx", me, "t"), Ok(()));
}

#[test]
fn later_outcomes_of_a_partition_that_was_given_up_are_ignored() {
    let mut world = World::new();
    let me = world.init("tx").unwrap();
    world.ask(add("tx", me, &[("t", &[0])], V2));
    world.ask(end("tx", me, true, V2));
    world.append_fails(ErrorCode::MessageTooLarge);
    world.append_fails(ErrorCode::MessageTooLarge);
    assert_eq!(world.reloads.len(), 1);
    world.reload();
    assert!(world.markers.is_empty(), "the decision was never durable");
    assert_eq!(world.state("tx"), TransactionState::Empty);
}

#[test]
fn markers_from_before_a_reload_do_not_complete_what_came_after() {
    let mut world = World::new();
    let me = world.init("tx").unwrap();
    world.begin("tx", me, "t").unwrap();
    world.ask(end("tx", me, true, V2));
    world.append_succeeds();
    let (stale, _) = world.markers.pop_front().unwrap();
    let same_partition =
        (0..).map(|n| format!("x{n}")).find(|id| partition_for(id, 2) == partition_for("tx", 2)).unwrap();
    world.ask(init(&same_partition, None));
    world.allocation_succeeds();
    world.append_fails(ErrorCode::KafkaStorageError);
    world.reload();
    let failed = Partitions::new();
    world
        .coordinator
        .handle(world.now, Event::Own(TransactionEvent::MarkersWritten { ticket: stale, failed }));
    world.collect();
    assert!(world.appends.is_empty(), "only the markers written after the reload count");
    world.settle();
    assert_eq!(world.state("tx"), TransactionState::CompleteCommit);
}

#[test]
fn waiting_requests_are_answered_when_their_partition_is_given_up() {
    let mut world = World::new();
    let me = world.init("tx").unwrap();
    world.begin("tx", me, "t").unwrap();
    world.ask(end("tx", me, true, V2));
    let waiter = world.ask(patient("tx", producer(1000, 1), &[("t", &[0])]));
    world.append_fails(ErrorCode::KafkaStorageError);
    assert_eq!(world.answer(waiter), Some(Response::AddPartitions(Err(ErrorCode::NotCoordinator))));
    assert_eq!(world.coordinator.ids, 0);
    world.reload();
    assert_eq!(world.coordinator.ids, 1);
}

#[test]
fn retry_is_recognised_by_the_next_process() {
    let mut world = World::new();
    let me = world.init("tx").unwrap();
    world.begin("tx", me, "t").unwrap();
    let next = world.end_as("tx", me, true, V2).unwrap();
    world.crash();
    assert_eq!(world.end_as("tx", me, true, V2), Ok(next));
}
