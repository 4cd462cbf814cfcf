//! What time does to open transactions and unused ids.

use super::*;

const V2: TransactionVersion = TransactionVersion::V2;

#[test]
fn transaction_is_aborted_at_the_first_sweep_after_its_timeout() {
    let mut world = World::new();
    let me = world.init("tx").unwrap();
    world.pass(Duration::from_secs(5));
    world.begin("tx", me, "t").unwrap();
    // Open from second 5 with a minute's timeout; sweeps are every ten seconds.
    world.pass(Duration::from_secs(64));
    assert_eq!(world.state("tx"), TransactionState::Ongoing);
    world.pass(Duration::from_secs(1));
    assert_eq!(world.appends.len(), 1);
    world.settle();
    let durable = world.durable("tx").unwrap();
    assert_eq!(durable.state, TransactionState::CompleteAbort);
    assert_eq!(durable.producer, producer(me.producer_id, me.epoch + 1));
    assert_eq!(world.end_as("tx", me, true, V2), Err(ErrorCode::InvalidTxnState));
}

#[test]
fn adding_partitions_does_not_extend_the_timeout() {
    let mut world = World::new();
    let me = world.init("tx").unwrap();
    world.begin("tx", me, "t").unwrap();
    for partition in 1..6 {
        world.pass(Duration::from_secs(10));
        world.call(add("tx", me, &[("t", &[partition])], V2));
    }
    world.pass(Duration::from_secs(20));
    world.settle();
    assert_eq!(world.state("tx"), TransactionState::CompleteAbort);
    assert_eq!(world.marked.len(), 6);
}

#[test]
fn ended_transaction_has_no_timeout() {
    let mut world = World::new();
    let me = world.init("tx").unwrap();
    world.begin("tx", me, "t").unwrap();
    world.end_as("tx", me, true, V2).unwrap();
    let records: usize = world.log.values().map(Vec::len).sum();
    world.pass(Duration::from_hours(1));
    world.settle();
    assert_eq!(world.log.values().map(Vec::len).sum::<usize>(), records);
}

#[test]
fn next_transaction_has_its_own_timeout() {
    let mut world = World::new();
    let me = world.init("tx").unwrap();
    world.begin("tx", me, "t").unwrap();
    world.pass(Duration::from_secs(50));
    let me = world.end_as("tx", me, true, V2).unwrap();
    world.begin("tx", me, "t").unwrap();
    world.pass(Duration::from_secs(50));
    assert_eq!(world.state("tx"), TransactionState::Ongoing);
    world.pass(Duration::from_secs(20));
    world.settle();
    assert_eq!(world.state("tx"), TransactionState::CompleteAbort);
}

#[test]
fn timeout_runs_on_across_a_restart() {
    let mut world = World::new();
    let me = world.init("tx").unwrap();
    world.begin("tx", me, "t").unwrap();
    world.pass(Duration::from_secs(55));
    world.crash();
    assert_eq!(world.state("tx"), TransactionState::Ongoing);
    world.pass(Duration::from_secs(10));
    world.settle();
    assert_eq!(world.state("tx"), TransactionState::CompleteAbort);
}

#[test]
fn transaction_long_past_its_timeout_is_aborted_at_the_first_sweep_of_the_next_process() {
    let mut world = World::new();
    world.plant("tx", &metadata(TransactionState::Ongoing, V2));
    world.now += Duration::from_hours(5);
    world.crash();
    world.pass(Duration::from_secs(10));
    world.settle();
    assert_eq!(world.state("tx"), TransactionState::CompleteAbort);
}

#[test]
fn last_epoch_times_out_into_a_new_producer_id() {
    let mut world = World::new();
    let me = producer(1000, 32_766);
    world.plant("tx", &Metadata { producer: me, ..metadata(TransactionState::Ongoing, V2) });
    world.next_producer_id = 2000;
    world.pass(Duration::from_secs(70));
    assert_eq!(world.allocations.len(), 1);
    let ticket = world.allocations.pop_front().unwrap();
    let result = Err(ErrorCode::KafkaStorageError);
    world.coordinator.handle(world.now, Event::Own(TransactionEvent::ProducerIdAllocated { ticket, result }));
    world.collect();
    world.pass(Duration::from_secs(10));
    world.settle();
    assert_eq!(world.describe("tx").unwrap().producer, producer(2000, 0));
}

#[test]
fn transaction_whose_abort_is_too_large_to_write_stays_open_and_is_tried_at_every_sweep() {
    let mut world = World::with_config(TransactionConfig {
        partitions: 2,
        max_append_bytes: 400,
        ..TransactionConfig::default()
    });
    let many: Vec<i32> = (0..200).collect();
    let open = metadata(TransactionState::Ongoing, V2);
    world.plant("tx", &Metadata { partitions: partitions(&[("t", many.as_slice())]), ..open });
    for _ in 0..7 {
        world.pass(Duration::from_secs(10));
    }
    for _ in 0..3 {
        assert!(world.appends.is_empty());
        assert_eq!(world.state("tx"), TransactionState::Ongoing);
        assert_eq!(world.coordinator.next_timeout(), Some(world.now + Duration::from_secs(10)));
        world.pass(Duration::from_secs(10));
    }
    world.config.max_append_bytes = TransactionConfig::default().max_append_bytes;
    world.crash();
    world.pass(Duration::from_secs(10));
    world.settle();
    assert_eq!(world.state("tx"), TransactionState::CompleteAbort);
    assert_eq!(world.marked.len(), 200);
}

#[test]
fn timeout_waits_for_a_wall_clock_that_was_set_back() {
    let mut world = World::new();
    let me = world.init("tx").unwrap();
    world.begin("tx", me, "t").unwrap();
    world.now += Duration::from_secs(70);
    let epoch_ms = EPOCH_MS - 3_600_000;
    world.coordinator.handle(world.now, Event::WallClock { epoch_ms });
    world.coordinator.handle_timeout(world.now);
    world.collect();
    assert!(world.appends.is_empty());
    assert_eq!(world.state("tx"), TransactionState::Ongoing);
    assert!(world.coordinator.next_timeout() > Some(world.now + Duration::from_hours(1)));
    world.pass(Duration::from_hours(2));
    world.settle();
    assert_eq!(world.state("tx"), TransactionState::CompleteAbort);
}

#[test]
fn commit_stands_that_comes_while_a_timeout_waits_for_a_producer_id() {
    let mut world = World::new();
    let me = producer(1000, 32_766);
    let open = metadata(TransactionState::Ongoing, TransactionVersion::V1);
    world.plant("tx", &Metadata { producer: me, ..open });
    world.pass(Duration::from_secs(70));
    assert_eq!(world.allocations.len(), 1);
    let waiter = world.ask(end("tx", me, true, TransactionVersion::V1));
    assert_eq!(world.allocations.len(), 1);
    world.allocation_succeeds();
    world.settle();
    assert!(matches!(world.answer(waiter), Some(Response::EndTransaction(Ok(_)))));
    assert_eq!(world.state("tx"), TransactionState::CompleteCommit);
}

#[test]
fn unused_id_is_forgotten_with_a_tombstone() {
    for state in [TransactionState::Empty, TransactionState::CompleteCommit, TransactionState::CompleteAbort]
    {
        let mut world = World::new();
        world.plant("tx", &metadata(state, V2));
        world.pass(Duration::from_hours(7 * 24 - 1));
        assert!(world.appends.is_empty());
        world.pass(Duration::from_hours(1));
        assert_eq!(world.appends.len(), 1);
        world.settle();
        assert_eq!(world.durable("tx"), None);
        assert_eq!(world.describe("tx"), Err(ErrorCode::TransactionalIdNotFound));
        world.crash();
        assert_eq!(world.describe("tx"), Err(ErrorCode::TransactionalIdNotFound));
        assert_eq!(world.init("tx"), Ok(producer(1000, 0)), "it begins anew");
        assert_eq!(world.coordinator.ids, 1);
    }
}

#[test]
fn id_that_is_used_now_and_then_is_kept() {
    let mut world = World::new();
    for _ in 0..5 {
        assert!(world.init("tx").is_ok());
        world.pass(Duration::from_hours(6 * 24));
    }
    assert!(world.describe("tx").is_ok());
}

#[test]
fn open_transaction_keeps_its_id_whatever_its_age() {
    let mut world = World::with_config(TransactionConfig {
        partitions: 2,
        id_expiration: Duration::from_secs(1),
        id_expiration_check_interval: Duration::from_secs(1),
        timeout_check_interval: Duration::from_secs(40),
        ..TransactionConfig::default()
    });
    world.plant("tx", &metadata(TransactionState::Ongoing, V2));
    world.pass(Duration::from_secs(50));
    assert_eq!(world.state("tx"), TransactionState::Ongoing);
}

#[test]
fn coordinator_without_ids_never_wants_to_be_woken() {
    let mut world = World::new();
    assert_eq!(world.coordinator.next_timeout(), None);
    world.init("tx").unwrap();
    assert!(world.coordinator.next_timeout().is_some());
    world.coordinator.handle_timeout(world.now);
    assert!(world.coordinator.take_effects().is_empty(), "a call too early does nothing");
}
