//! A new producer takes over while the old one's transaction is open.

use super::*;

const V0: TransactionVersion = TransactionVersion::V0;
const V2: TransactionVersion = TransactionVersion::V2;

#[test]
fn open_transaction_is_aborted_and_the_new_producer_comes_again() {
    let mut world = World::new();
    let old = world.init("tx").unwrap();
    world.begin("tx", old, "t").unwrap();
    assert_eq!(world.init("tx"), Err(ErrorCode::ConcurrentTransactions));
    assert_eq!(world.state("tx"), TransactionState::CompleteAbort);
    assert_eq!(world.marked[&("t".to_owned(), 0)], [(old.producer_id, old.epoch + 1, false)]);
    assert_eq!(world.init("tx"), Ok(producer(old.producer_id, old.epoch + 2)));
}

#[test]
fn answer_of_the_fencing_waits_for_its_record_not_for_the_markers() {
    let mut world = World::new();
    let old = world.init("tx").unwrap();
    world.begin("tx", old, "t").unwrap();
    let waiter = world.ask(init("tx", None));
    assert_eq!(world.answer(waiter), None);
    world.append_succeeds();
    let again = Some(Response::InitProducerId(Err(ErrorCode::ConcurrentTransactions)));
    assert_eq!(world.answer(waiter), again);
    let waiter = world.ask(init("tx", None));
    assert_eq!(world.answer(waiter), again, "still completing");
}

#[test]
fn fenced_producer_can_do_nothing_any_more() {
    for version in [V0, V2] {
        let mut world = World::new();
        let old = world.init("tx").unwrap();
        world.call(add("tx", old, &[("t", &[0])], version));
        assert!(world.init("tx").is_err());
        let new = world.init("tx").unwrap();
        let fenced = Err(ErrorCode::ProducerFenced);
        assert_eq!(world.call(add("tx", old, &[("t", &[0])], version)), Response::AddPartitions(fenced));
        assert_eq!(world.end_as("tx", old, true, version), Err(ErrorCode::ProducerFenced));
        assert_eq!(world.init_with("tx", Some(old)), Err(ErrorCode::ProducerFenced));
        assert_eq!(world.begin("tx", new, "t"), Ok(()));
    }
}

#[test]
fn commit_that_arrives_after_the_fencing_loses() {
    let mut world = World::new();
    let old = world.init("tx").unwrap();
    world.begin("tx", old, "t").unwrap();
    world.ask(init("tx", None));
    let commit = world.ask(end("tx", old, true, V2));
    let again = Some(Response::EndTransaction(Err(ErrorCode::ConcurrentTransactions)));
    assert_eq!(world.answer(commit), again);
    world.settle();
    // The epoch before ours is a retry for the coordinator; the outcome is what counts.
    assert_eq!(world.end_as("tx", old, true, V2), Err(ErrorCode::InvalidTxnState));
    assert_eq!(world.state("tx"), TransactionState::CompleteAbort);
}

#[test]
fn fencing_that_arrives_after_the_commit_waits_for_it() {
    let mut world = World::new();
    let old = world.init("tx").unwrap();
    world.begin("tx", old, "t").unwrap();
    let commit = world.ask(end("tx", old, true, V2));
    let fence = world.ask(init("tx", None));
    let again = Response::InitProducerId(Err(ErrorCode::ConcurrentTransactions));
    assert_eq!(world.answer(fence), Some(again));
    world.settle();
    assert!(matches!(world.answer(commit), Some(Response::EndTransaction(Ok(_)))));
    assert_eq!(world.marked[&("t".to_owned(), 0)], [(1000, 1, true)]);
}

#[test]
fn fencing_the_last_epoch_brings_a_new_producer_id() {
    let mut world = World::new();
    let old = producer(1000, 32_766);
    world.plant("tx", &Metadata { producer: old, ..metadata(TransactionState::Ongoing, V2) });
    world.next_producer_id = 2000;
    assert_eq!(world.init("tx"), Err(ErrorCode::ConcurrentTransactions));
    assert_eq!(world.marked[&("t".to_owned(), 0)], [(1000, 32_767, false)]);
    assert_eq!(world.init("tx"), Ok(producer(2000, 1)));
}

#[test]
fn fenced_producer_resumes_if_nobody_took_over() {
    // KIP-588: a producer whose transaction was aborted for its timeout goes on with InitProducerId.
    let mut world = World::new();
    let me = world.init("tx").unwrap();
    world.begin("tx", me, "t").unwrap();
    world.pass(Duration::from_secs(80));
    world.settle();
    assert_eq!(world.state("tx"), TransactionState::CompleteAbort);
    assert_eq!(world.init_with("tx", Some(me)), Ok(producer(me.producer_id, me.epoch + 1)));
}
