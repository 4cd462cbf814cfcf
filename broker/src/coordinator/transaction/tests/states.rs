//! Every request in every state, as one table (Kafka 4.3's `TransactionCoordinator`).
//!
//! The id has producer id 1000 and epoch 5. "old" is epoch 4, the one before: for new clients a retry of what ended.

use super::*;
use ErrorCode::{ConcurrentTransactions as Concurrent, InvalidTxnState as Invalid, ProducerFenced as Fenced};
use TransactionState::{CompleteAbort, CompleteCommit, Empty, Ongoing, PrepareAbort, PrepareCommit};
use TransactionVersion::{V0, V2};

const STATES: [TransactionState; 6] =
    [Empty, Ongoing, PrepareCommit, PrepareAbort, CompleteCommit, CompleteAbort];

/// The error of an answer; `None` for success.
fn error(response: &Response) -> Option<ErrorCode> {
    match response {
        Response::InitProducerId(outcome) | Response::EndTransaction(outcome) => outcome.err(),
        Response::AddPartitions(outcome) => outcome.err(),
        Response::VerifyPartitions(outcome) => outcome.as_ref().err().copied(),
        Response::Describe(outcome) => outcome.as_ref().err().copied(),
        Response::List(outcome) => outcome.as_ref().err().copied(),
    }
}

/// Asks once in each state; `expected` in the order of `STATES`.
fn table(request: impl Fn() -> Request, expected: [Option<ErrorCode>; 6]) {
    for (state, expected) in STATES.into_iter().zip(expected) {
        let mut world = World::new();
        world.plant("tx", &metadata(state, V2));
        let waiter = world.ask(request());
        // What is under way stays under way: only appends are let through, never markers.
        while world.answers.is_empty() {
            if world.allocations.is_empty() { world.append_succeeds() } else { world.allocation_succeeds() }
        }
        let answer = world.answer(waiter).unwrap();
        assert_eq!(error(&answer), expected, "{:?} in {state:?}", request());
    }
}

fn current() -> ProducerIdAndEpoch {
    producer(1000, 5)
}

fn old() -> ProducerIdAndEpoch {
    producer(1000, 4)
}

#[test]
fn init_producer_id_in_every_state() {
    let busy = Some(Concurrent);
    table(|| init("tx", None), [None, busy, busy, busy, None, None]);
    table(|| init("tx", Some(current())), [None, busy, busy, busy, None, None]);
    let fenced = Some(Fenced);
    // Loaded from the log, nobody remembers the epoch before: a resume with it is fenced where epochs are compared.
    table(|| init("tx", Some(old())), [fenced, busy, busy, busy, fenced, fenced]);
    table(|| init("tx", Some(producer(7, 5))), [fenced, fenced, busy, busy, fenced, fenced]);
}

#[test]
fn add_partitions_in_every_state() {
    for version in [V0, V2] {
        let busy = Some(Concurrent);
        let with = |who| move || add("tx", who, &[("u", &[0])], version);
        table(with(current()), [None, None, busy, busy, None, None]);
        let unless_busy = |error| [Some(error), Some(error), busy, busy, Some(error), Some(error)];
        table(with(old()), unless_busy(Fenced));
        table(with(producer(7, 5)), unless_busy(ErrorCode::InvalidProducerIdMapping));
    }
}

#[test]
fn verify_partitions_in_every_state() {
    let busy = Some(Concurrent);
    table(|| verify("tx", current(), &[("u", &[0])]), [None, None, busy, busy, None, None]);
    table(|| verify("tx", old(), &[("u", &[0])]), [Some(Fenced); 6]);
}

#[test]
fn classic_end_in_every_state() {
    let (busy, invalid, fenced) = (Some(Concurrent), Some(Invalid), Some(Fenced));
    table(|| end("tx", current(), true, V0), [invalid, None, busy, busy, None, invalid]);
    table(|| end("tx", current(), false, V0), [invalid, None, busy, busy, invalid, None]);
    table(|| end("tx", old(), true, V0), [fenced; 6]);
    table(|| end("tx", producer(1000, 6), false, V0), [fenced; 6]);
}

#[test]
fn end_with_epoch_bump_in_every_state() {
    let (busy, invalid, fenced) = (Some(Concurrent), Some(Invalid), Some(Fenced));
    table(|| end("tx", current(), true, V2), [invalid, None, busy, busy, invalid, invalid]);
    table(|| end("tx", current(), false, V2), [None, None, busy, busy, None, None]);
    table(|| end("tx", old(), true, V2), [fenced, fenced, busy, busy, None, invalid]);
    table(|| end("tx", old(), false, V2), [fenced, fenced, busy, busy, invalid, None]);
    table(|| end("tx", producer(1000, 6), false, V2), [fenced, fenced, busy, busy, fenced, fenced]);
    let unknown = Some(ErrorCode::InvalidProducerIdMapping);
    table(|| end("tx", producer(7, 5), true, V2), [unknown, unknown, busy, busy, unknown, unknown]);
}

#[test]
fn describe_in_every_state() {
    table(|| Request::Describe { transactional_id: "tx".to_owned() }, [None; 6]);
}

#[test]
fn time_in_every_state() {
    for state in STATES {
        let mut world = World::new();
        world.plant("tx", &metadata(state, V2));
        world.markers.clear();
        world.pass(Duration::from_hours(24));
        let appended = world.appends.len();
        assert_eq!(appended, usize::from(state == Ongoing), "{state:?}");
    }
}

#[test]
fn only_drawn_transitions_are_possible() {
    let allowed = [
        (Empty, Empty),
        (Empty, Ongoing),
        (Empty, PrepareAbort),
        (Ongoing, Ongoing),
        (Ongoing, PrepareCommit),
        (Ongoing, PrepareAbort),
        (PrepareCommit, CompleteCommit),
        (PrepareAbort, CompleteAbort),
        (CompleteCommit, Empty),
        (CompleteCommit, Ongoing),
        (CompleteCommit, PrepareAbort),
        (CompleteAbort, Empty),
        (CompleteAbort, Ongoing),
        (CompleteAbort, PrepareAbort),
    ];
    for from in TransactionState::ALL {
        for to in TransactionState::ALL {
            assert_eq!(from.may_become(to), allowed.contains(&(from, to)), "{from:?} to {to:?}");
        }
    }
}
