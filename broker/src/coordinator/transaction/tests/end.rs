//! EndTxn in both protocols, its retries, markers and completion.

use super::*;

const V0: TransactionVersion = TransactionVersion::V0;
const V2: TransactionVersion = TransactionVersion::V2;

fn begun() -> (World, ProducerIdAndEpoch) {
    let mut world = World::new();
    let me = world.init("tx").unwrap();
    world.call(add("tx", me, &[("t", &[0, 1]), ("u", &[0])], V2));
    (world, me)
}

#[test]
fn commit_answers_when_decided_and_completes_when_every_marker_is_there() {
    let (mut world, me) = begun();
    let waiter = world.ask(end("tx", me, true, V2));
    assert!(world.markers.is_empty(), "nothing is marked before the decision is durable");
    world.append_succeeds();
    let next = producer(me.producer_id, me.epoch + 1);
    assert_eq!(world.answer(waiter), Some(Response::EndTransaction(Ok(next))));
    let (_, markers) = world.markers.front().unwrap();
    assert_eq!((markers.producer, markers.committed), (next, true));
    assert_eq!(markers.partitions, partitions(&[("t", &[0, 1]), ("u", &[0])]));
    world.markers_succeed();
    world.append_succeeds();
    let durable = world.durable("tx").unwrap();
    assert_eq!(durable.state, TransactionState::CompleteCommit);
    assert_eq!((durable.producer, durable.partitions), (next, Partitions::new()));
}

#[test]
fn classic_end_keeps_the_epoch() {
    let (mut world, me) = begun();
    assert_eq!(world.end_as("tx", me, false, V0), Ok(me));
    let durable = world.durable("tx").unwrap();
    assert_eq!((durable.state, durable.producer, durable.version), (TransactionState::CompleteAbort, me, V0));
    assert_eq!(world.marked[&("t".to_owned(), 1)], [(1000, 0, false)]);
}

#[test]
fn markers_that_failed_are_written_again_until_all_are_there() {
    let (mut world, me) = begun();
    world.ask(end("tx", me, true, V2));
    world.append_succeeds();
    world.markers_succeed_but(partitions(&[("t", &[1])]));
    assert!(world.markers.is_empty() && world.appends.is_empty());
    assert_eq!(world.describe("tx").unwrap().partitions, partitions(&[("t", &[1])]));
    world.pass(Duration::from_millis(100));
    assert_eq!(world.markers.front().unwrap().1.partitions, partitions(&[("t", &[1])]));
    world.markers_succeed_but(partitions(&[("t", &[1])]));
    world.pass(Duration::from_millis(100));
    world.markers_succeed();
    world.append_succeeds();
    assert_eq!(world.state("tx"), TransactionState::CompleteCommit);
    assert_eq!(world.marked[&("t".to_owned(), 0)].len(), 1);
}

#[test]
fn retry_of_an_end_whose_answer_was_lost_succeeds_with_the_same_epoch() {
    for committed in [true, false] {
        let (mut world, me) = begun();
        let next = Ok(producer(me.producer_id, me.epoch + 1));
        assert_eq!(world.end_as("tx", me, committed, V2), next);
        let records: usize = world.log.values().map(Vec::len).sum();
        assert_eq!(world.end_as("tx", me, committed, V2), next);
        assert_eq!(world.end_as("tx", me, !committed, V2), Err(ErrorCode::InvalidTxnState));
        assert_eq!(world.log.values().map(Vec::len).sum::<usize>(), records, "nothing was written");
    }
}

#[test]
fn classic_retry_succeeds_and_the_other_outcome_is_refused() {
    let (mut world, me) = begun();
    assert_eq!(world.end_as("tx", me, true, V0), Ok(me));
    assert_eq!(world.end_as("tx", me, true, V0), Ok(me));
    assert_eq!(world.end_as("tx", me, false, V0), Err(ErrorCode::InvalidTxnState));
}

#[test]
fn end_while_ending_is_told_to_come_again() {
    for version in [V0, V2] {
        let (mut world, me) = begun();
        world.ask(end("tx", me, true, version));
        world.append_succeeds();
        for committed in [true, false] {
            let waiter = world.ask(end("tx", me, committed, version));
            let again = Some(Response::EndTransaction(Err(ErrorCode::ConcurrentTransactions)));
            assert_eq!(world.answer(waiter), again, "{version:?}");
        }
    }
}

#[test]
fn abort_of_the_next_transaction_waits_for_the_completion_of_this_one() {
    // A Java producer commits, begins, sends, and aborts before the batch has left: nothing was added, and the abort with the
    // new epoch may come before the markers of the commit are there.
    let (mut world, me) = begun();
    world.ask(end("tx", me, true, V2));
    world.append_succeeds();
    let next = producer(me.producer_id, me.epoch + 1);
    let early = world.ask(end("tx", next, false, V2));
    let again = Some(Response::EndTransaction(Err(ErrorCode::ConcurrentTransactions)));
    assert_eq!(world.answer(early), again);
    world.settle();
    assert_eq!(world.end_as("tx", next, false, V2), Ok(producer(me.producer_id, me.epoch + 2)));
}

#[test]
fn abort_of_nothing_bumps_the_epoch_for_new_clients_only() {
    let mut world = World::new();
    let me = world.init("tx").unwrap();
    assert_eq!(world.end_as("tx", me, false, V0), Err(ErrorCode::InvalidTxnState));
    assert_eq!(world.end_as("tx", me, true, V2), Err(ErrorCode::InvalidTxnState));
    world.pass(Duration::from_secs(3));
    let next = producer(me.producer_id, me.epoch + 1);
    assert_eq!(world.end_as("tx", me, false, V2), Ok(next));
    let durable = world.durable("tx").unwrap();
    assert_eq!((durable.state, durable.start_ms), (TransactionState::CompleteAbort, EPOCH_MS + 3000));
    assert!(world.marked.is_empty());
    assert_eq!(world.end_as("tx", next, false, V2), Ok(producer(me.producer_id, me.epoch + 2)));
}

#[test]
fn wrong_producers_cannot_end() {
    let (mut world, me) = begun();
    for version in [V0, V2] {
        let other = producer(me.producer_id + 1, me.epoch);
        let error = Err(ErrorCode::InvalidProducerIdMapping);
        assert_eq!(world.end_as("tx", other, true, version), error);
        assert_eq!(world.end_as("nobody", me, true, version), error);
        for epoch in [me.epoch - 1, me.epoch + 1] {
            let other = producer(me.producer_id, epoch);
            assert_eq!(world.end_as("tx", other, true, version), Err(ErrorCode::ProducerFenced));
        }
        assert_eq!(world.end_as("", me, true, version), Err(ErrorCode::InvalidRequest));
    }
    assert_eq!(world.state("tx"), TransactionState::Ongoing);
}

#[test]
fn last_epoch_ends_with_a_new_producer_id() {
    let mut world = World::new();
    let ongoing = metadata(TransactionState::Ongoing, V2);
    let me = producer(1000, 32_766);
    world.plant("tx", &Metadata { producer: me, ..ongoing });
    world.next_producer_id = 2000;
    assert_eq!(world.end_as("tx", me, true, V2), Ok(producer(2000, 0)));
    assert_eq!(world.marked[&("t".to_owned(), 0)], [(1000, 32_767, true)]);
    let durable = world.durable("tx").unwrap();
    assert_eq!((durable.producer, durable.previous_producer_id), (producer(2000, 0), 1000));
    // The client did not hear it and still has the old id.
    assert_eq!(world.end_as("tx", me, true, V2), Ok(producer(2000, 0)));
    assert_eq!(world.end_as("tx", me, false, V2), Err(ErrorCode::InvalidTxnState));
    assert_eq!(world.begin("tx", producer(2000, 0), "t"), Ok(()));
}

#[test]
fn new_producer_id_survives_a_crash_between_decision_and_completion() {
    let mut world = World::new();
    let me = producer(1000, 32_766);
    world.plant("tx", &Metadata { producer: me, ..metadata(TransactionState::Ongoing, V2) });
    world.next_producer_id = 2000;
    world.ask(end("tx", me, true, V2));
    world.allocation_succeeds();
    world.append_succeeds();
    world.crash();
    world.settle();
    assert_eq!(world.describe("tx").unwrap().producer, producer(2000, 0));
}

#[test]
fn hundred_transactions_one_after_the_other() {
    let mut world = World::new();
    let mut me = world.init("tx").unwrap();
    for round in 0..100 {
        world.begin("tx", me, "t").unwrap();
        me = world.end_as("tx", me, round % 3 != 0, V2).unwrap();
        assert_eq!(me.epoch, round + 1);
    }
    let marks = &world.marked[&("t".to_owned(), 0)];
    assert_eq!(marks.iter().filter(|(_, _, committed)| *committed).count(), 66);
}
