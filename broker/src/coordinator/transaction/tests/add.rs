//! Partitions join a transaction and are verified.

use super::*;

const V2: TransactionVersion = TransactionVersion::V2;

#[test]
fn first_partitions_begin_the_transaction() {
    let mut world = World::new();
    let me = world.init("tx").unwrap();
    world.pass(Duration::from_secs(1));
    let answer = world.call(add("tx", me, &[("t", &[0, 2]), ("u", &[1])], V2));
    assert_eq!(answer, Response::AddPartitions(Ok(())));
    let durable = world.durable("tx").unwrap();
    assert_eq!(durable.state, TransactionState::Ongoing);
    assert_eq!(durable.partitions, partitions(&[("t", &[0, 2]), ("u", &[1])]));
    assert_eq!((durable.start_ms, durable.version), (EPOCH_MS + 1000, V2));
}

#[test]
fn further_partitions_join_and_the_start_stays() {
    let mut world = World::new();
    let me = world.init("tx").unwrap();
    world.call(add("tx", me, &[("t", &[0])], V2));
    world.pass(Duration::from_secs(2));
    world.call(add("tx", me, &[("t", &[1])], V2));
    let durable = world.durable("tx").unwrap();
    assert_eq!(durable.partitions, partitions(&[("t", &[0, 1])]));
    assert_eq!((durable.start_ms, durable.last_update_ms), (EPOCH_MS, EPOCH_MS + 2000));
}

#[test]
fn partitions_that_are_in_already_write_nothing() {
    let mut world = World::new();
    let me = world.init("tx").unwrap();
    world.call(add("tx", me, &[("t", &[0, 1])], V2));
    let waiter = world.ask(add("tx", me, &[("t", &[1])], V2));
    assert!(world.appends.is_empty());
    assert_eq!(world.answer(waiter), Some(Response::AddPartitions(Ok(()))));
}

#[test]
fn same_partitions_asked_twice_wait_for_the_same_record() {
    let mut world = World::new();
    let me = world.init("tx").unwrap();
    let first = world.ask(add("tx", me, &[("t", &[0])], V2));
    let second = world.ask(add("tx", me, &[("t", &[0])], V2));
    let third = world.ask(verify("tx", me, &[("t", &[0])]));
    assert_eq!(world.appends.len(), 1);
    assert_eq!((world.answer(second), world.answer(third)), (None, None));
    world.settle();
    assert_eq!(world.answer(first), Some(Response::AddPartitions(Ok(()))));
    assert_eq!(world.answer(second), Some(Response::AddPartitions(Ok(()))));
    assert_eq!(world.answer(third), Some(Response::VerifyPartitions(Ok(Partitions::new()))));
}

#[test]
fn wrong_producers_are_told_apart() {
    let mut world = World::new();
    let me = world.init("tx").unwrap();
    let cases = [
        ("tx", producer(me.producer_id + 1, me.epoch), ErrorCode::InvalidProducerIdMapping),
        ("tx", producer(me.producer_id, me.epoch + 1), ErrorCode::ProducerFenced),
        ("tx", producer(me.producer_id, me.epoch - 1), ErrorCode::ProducerFenced),
        ("nobody", me, ErrorCode::InvalidProducerIdMapping),
        ("", me, ErrorCode::InvalidRequest),
    ];
    for (id, who, error) in cases {
        let answer = world.call(add(id, who, &[("t", &[0])], V2));
        assert_eq!(answer, Response::AddPartitions(Err(error)), "{id} {who:?}");
        let answer = world.call(verify(id, who, &[("t", &[0])]));
        assert_eq!(answer, Response::VerifyPartitions(Err(error)), "{id} {who:?}");
    }
}

#[test]
fn verification_names_what_the_transaction_does_not_cover() {
    let mut world = World::new();
    let me = world.init("tx").unwrap();
    world.call(add("tx", me, &[("t", &[0, 1])], V2));
    let answer = world.call(verify("tx", me, &[("t", &[1, 2]), ("u", &[0])]));
    assert_eq!(answer, Response::VerifyPartitions(Ok(partitions(&[("t", &[2]), ("u", &[0])]))));
    assert_eq!(world.durable("tx").unwrap().partitions, partitions(&[("t", &[0, 1])]));
}

#[test]
fn nothing_joins_a_transaction_that_is_ending() {
    let mut world = World::new();
    let me = world.init("tx").unwrap();
    world.begin("tx", me, "t").unwrap();
    world.ask(end("tx", me, true, V2));
    world.append_succeeds();
    let next = producer(me.producer_id, me.epoch + 1);
    for request in [add("tx", next, &[("t", &[1])], V2), verify("tx", next, &[("t", &[0])])] {
        let waiter = world.ask(request);
        let answer = world.answer(waiter).unwrap();
        let concurrent = ErrorCode::ConcurrentTransactions;
        assert!(
            answer == Response::AddPartitions(Err(concurrent))
                || answer == Response::VerifyPartitions(Err(concurrent))
        );
    }
}

#[test]
fn patient_request_joins_the_next_transaction_once_this_one_is_complete() {
    let mut world = World::new();
    let me = world.init("tx").unwrap();
    world.begin("tx", me, "t").unwrap();
    world.ask(end("tx", me, true, V2));
    world.append_succeeds();
    let next = producer(me.producer_id, me.epoch + 1);
    let waiter = world.ask(patient("tx", next, &[("u", &[7])]));
    assert_eq!(world.answer(waiter), None);
    world.markers_succeed();
    assert_eq!(world.appends.len(), 2, "complete, and begin again");
    world.append_succeeds();
    assert_eq!(world.answer(waiter), None);
    world.append_succeeds();
    assert_eq!(world.answer(waiter), Some(Response::AddPartitions(Ok(()))));
    assert_eq!(world.durable("tx").unwrap().partitions, partitions(&[("u", &[7])]));
}

#[test]
fn patience_has_an_end() {
    let mut world = World::new();
    let me = world.init("tx").unwrap();
    world.begin("tx", me, "t").unwrap();
    world.ask(end("tx", me, true, V2));
    world.append_succeeds();
    let waiter = world.ask(patient("tx", producer(me.producer_id, me.epoch + 1), &[("u", &[7])]));
    world.pass(Duration::from_millis(99));
    assert_eq!(world.answer(waiter), None);
    world.pass(Duration::from_millis(1));
    let concurrent = Err(ErrorCode::ConcurrentTransactions);
    assert_eq!(world.answer(waiter), Some(Response::AddPartitions(concurrent)));
    world.settle();
    assert_eq!(world.state("tx"), TransactionState::CompleteCommit);
}

#[test]
fn transaction_too_large_for_a_record_is_refused_and_stays_as_it_was() {
    let config = TransactionConfig { partitions: 2, max_append_bytes: 300, ..TransactionConfig::default() };
    let mut world = World::with_config(config);
    let me = world.init("tx").unwrap();
    world.begin("tx", me, "t").unwrap();
    let many: Vec<i32> = (0..100).collect();
    let answer = world.call(add("tx", me, &[("t", &many)], V2));
    assert_eq!(answer, Response::AddPartitions(Err(ErrorCode::UnknownServerError)));
    assert_eq!(world.describe("tx").unwrap().partitions, partitions(&[("t", &[0])]));
    assert!(world.end_as("tx", me, true, V2).is_ok());
}
