//! Describe and list.

use super::*;

const V2: TransactionVersion = TransactionVersion::V2;

fn listed(world: &mut World, list: ListTransactions) -> Vec<String> {
    match world.call(Request::List(list)) {
        Response::List(Ok(listed)) => listed.into_iter().map(|found| found.transactional_id).collect(),
        other => panic!("not a list: {other:?}"),
    }
}

#[test]
fn description_shows_what_the_transaction_covers() {
    let mut world = World::new();
    assert_eq!(world.describe("tx"), Err(ErrorCode::TransactionalIdNotFound));
    assert_eq!(world.describe(""), Err(ErrorCode::InvalidRequest));
    let me = world.init("tx").unwrap();
    world.begin("tx", me, "t").unwrap();
    let expected = DescribedTransaction {
        producer: me,
        state: TransactionState::Ongoing,
        timeout_ms: TIMEOUT_MS,
        start_ms: EPOCH_MS,
        partitions: partitions(&[("t", &[0])]),
    };
    assert_eq!(world.describe("tx"), Ok(expected));
}

#[test]
fn description_waits_for_what_it_tells() {
    let mut world = World::new();
    let me = world.init("tx").unwrap();
    world.ask(add("tx", me, &[("t", &[0])], V2));
    let waiter = world.ask(Request::Describe { transactional_id: "tx".to_owned() });
    assert_eq!(world.answer(waiter), None);
    world.settle();
    assert!(world.answer(waiter).is_some());
}

#[test]
fn list_is_filtered_by_state_producer_and_age() {
    let mut world = World::new();
    for id in ["a", "b", "c"] {
        let me = world.init(id).unwrap();
        if id != "a" {
            world.begin(id, me, "t").unwrap();
        }
        world.pass(Duration::from_secs(5));
    }
    let mut all = listed(&mut world, ListTransactions::default());
    all.sort();
    assert_eq!(all, ["a", "b", "c"]);
    let states = vec![TransactionState::Ongoing];
    let mut open = listed(&mut world, ListTransactions { states, ..ListTransactions::default() });
    open.sort();
    assert_eq!(open, ["b", "c"]);
    let producer_ids = vec![1000, 1002];
    let mut of_some = listed(&mut world, ListTransactions { producer_ids, ..ListTransactions::default() });
    of_some.sort();
    assert_eq!(of_some, ["a", "c"]);
    let states = vec![TransactionState::Ongoing];
    let longer_than_ms = Some(5000);
    let old = ListTransactions { states, longer_than_ms, ..ListTransactions::default() };
    assert_eq!(listed(&mut world, old), ["b"], "open for ten seconds, the other for exactly five");
}

#[test]
fn states_have_kafkas_names_and_numbers() {
    let names: Vec<_> = TransactionState::ALL.iter().map(|state| (state.number(), state.name())).collect();
    let expected = [
        (0, "Empty"),
        (1, "Ongoing"),
        (2, "PrepareCommit"),
        (3, "PrepareAbort"),
        (4, "CompleteCommit"),
        (5, "CompleteAbort"),
        (6, "Dead"),
        (7, "PrepareEpochFence"),
    ];
    assert_eq!(names, expected);
    assert_eq!(TransactionState::from_name("Ongoing"), Some(TransactionState::Ongoing));
    assert_eq!(TransactionState::from_name("ongoing"), None);
}
