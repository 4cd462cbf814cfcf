//! InitProducerId: epochs, producer ids, what a producer may go on with (KIP-98, KIP-360).

use super::*;

#[test]
fn first_producer_gets_a_fresh_id_and_epoch_zero() {
    let mut world = World::new();
    assert_eq!(world.init("tx"), Ok(producer(1000, 0)));
    assert_eq!(world.init("other"), Ok(producer(1001, 0)));
    let durable = world.durable("tx").unwrap();
    assert_eq!((durable.state, durable.start_ms), (TransactionState::Empty, -1));
    assert_eq!((durable.timeout_ms, durable.last_update_ms), (TIMEOUT_MS, EPOCH_MS));
}

#[test]
fn answer_waits_until_the_id_is_durable() {
    let mut world = World::new();
    let waiter = world.ask(init("tx", None));
    assert!(world.appends.is_empty(), "the id comes first");
    world.allocation_succeeds();
    assert_eq!(world.answer(waiter), None);
    world.append_succeeds();
    assert_eq!(world.answer(waiter), Some(Response::InitProducerId(Ok(producer(1000, 0)))));
}

#[test]
fn every_further_producer_gets_the_next_epoch() {
    let mut world = World::new();
    for epoch in 0..4 {
        assert_eq!(world.init("tx"), Ok(producer(1000, epoch)));
    }
    assert_eq!(world.next_producer_id, 1001, "one id for all of them");
}

#[test]
fn two_producers_that_begin_together_get_an_epoch_each() {
    let mut world = World::new();
    let (first, second) = (world.ask(init("tx", None)), world.ask(init("tx", None)));
    world.settle();
    assert_eq!(world.answer(first), Some(Response::InitProducerId(Ok(producer(1000, 0)))));
    assert_eq!(world.answer(second), Some(Response::InitProducerId(Ok(producer(1000, 1)))));
}

#[test]
fn bad_requests_are_refused_before_anything_is_looked_at() {
    let mut world = World::new();
    assert_eq!(world.init(""), Err(ErrorCode::InvalidRequest));
    assert_eq!(world.init(&"x".repeat(32_768)), Err(ErrorCode::InvalidRequest));
    for timeout_ms in [0, -1, 900_001] {
        let request = InitProducerId { transactional_id: "tx".to_owned(), timeout_ms, expected: None };
        let answer = world.call(Request::InitProducerId(request));
        assert_eq!(answer, Response::InitProducerId(Err(ErrorCode::InvalidTransactionTimeout)));
    }
    assert!(world.log.is_empty());
}

#[test]
fn failed_allocation_is_the_answer_and_leaves_nothing() {
    let mut world = World::new();
    let waiter = world.ask(init("tx", None));
    let ticket = world.allocations.pop_front().unwrap();
    let result = Err(ErrorCode::KafkaStorageError);
    world.coordinator.handle(world.now, Event::Own(TransactionEvent::ProducerIdAllocated { ticket, result }));
    world.collect();
    let error = Err(ErrorCode::KafkaStorageError);
    assert_eq!(world.answer(waiter), Some(Response::InitProducerId(error)));
    assert_eq!(world.describe("tx"), Err(ErrorCode::TransactionalIdNotFound));
}

#[test]
fn producer_that_names_its_epoch_goes_on_with_the_next() {
    let mut world = World::new();
    let first = world.init("tx").unwrap();
    assert_eq!(world.init_with("tx", Some(first)), Ok(producer(1000, 1)));
}

#[test]
fn retry_of_a_resume_whose_answer_was_lost_gets_the_same_epoch() {
    let mut world = World::new();
    let first = world.init("tx").unwrap();
    assert_eq!(world.init_with("tx", Some(first)), Ok(producer(1000, 1)));
    assert_eq!(world.init_with("tx", Some(first)), Ok(producer(1000, 1)));
}

#[test]
fn producer_that_was_overtaken_cannot_resume() {
    let mut world = World::new();
    let first = world.init("tx").unwrap();
    let second = world.init("tx").unwrap();
    assert_eq!(world.init_with("tx", Some(first)), Err(ErrorCode::ProducerFenced));
    assert_eq!(world.init_with("tx", Some(producer(77, 1))), Err(ErrorCode::ProducerFenced));
    assert_eq!(world.init_with("tx", Some(second)), Ok(producer(1000, 2)));
}

#[test]
fn resume_of_an_id_that_was_forgotten_begins_anew() {
    let mut world = World::new();
    assert_eq!(world.init_with("tx", Some(producer(77, 5))), Ok(producer(1000, 0)));
}

/// As the log keeps an id whose epochs ran out.
fn exhausted(state: TransactionState) -> Metadata {
    Metadata { producer: producer(1000, 32_766), ..metadata(state, TransactionVersion::V2) }
}

#[test]
fn epochs_that_ran_out_bring_a_new_producer_id() {
    let mut world = World::new();
    world.plant("tx", &exhausted(TransactionState::Empty));
    world.next_producer_id = 2000;
    assert_eq!(world.init("tx"), Ok(producer(2000, 0)));
    assert_eq!(world.durable("tx").unwrap().previous_producer_id, 1000);
}

#[test]
fn producer_that_missed_its_new_id_gets_it_again() {
    let mut world = World::new();
    world.plant("tx", &exhausted(TransactionState::CompleteCommit));
    world.next_producer_id = 2000;
    let old = producer(1000, 32_766);
    assert_eq!(world.init_with("tx", Some(old)), Ok(producer(2000, 0)));
    assert_eq!(world.init_with("tx", Some(old)), Ok(producer(2000, 0)));
    assert_eq!(world.next_producer_id, 2001);
}

#[test]
fn other_epoch_of_an_exhausted_id_is_fenced() {
    let mut world = World::new();
    world.plant("tx", &exhausted(TransactionState::Empty));
    assert_eq!(world.init_with("tx", Some(producer(1000, 3))), Err(ErrorCode::ProducerFenced));
}

#[test]
fn ids_are_bounded() {
    let mut world =
        World::with_config(TransactionConfig { partitions: 2, max_ids: 1, ..TransactionConfig::default() });
    assert!(world.init("one").is_ok());
    assert_eq!(world.init("two"), Err(ErrorCode::PolicyViolation));
    assert!(world.init("one").is_ok());
}
