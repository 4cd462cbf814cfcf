//! Random commits, transactions, deletions and restarts, compared with a reading of the whole history.
//!
//! The model knows no pending offsets: an offset counts when it was written after the last removal, stands in no
//! transaction or in one whose next marker commits it, and nothing that counts was written later.

use std::collections::BTreeSet;

use proptest::prelude::*;

use super::transactions::{complete, reopened, txn_commit};
use super::*;

/// Groups of one partition of the log.
const GROUPS: [&str; 2] = [GROUP, "grp-s"];
const TOPICS: [&str; 2] = ["a", "b"];
const PRODUCERS: i64 = 3;

/// Group, topic, partition.
type Key = (usize, usize, i32);

#[derive(Debug, Clone)]
enum Op {
    Commit(Key),
    CommitInTransaction(Key, i64),
    Refused(Key, i64),
    End(i64, bool),
    DeleteOffset(Key),
    DeleteGroup(usize),
    DeleteTopic(usize),
    Restart,
    Fail,
}

#[derive(Debug, Clone, Copy)]
enum Written {
    Offset(i64),
    InTransaction(i64, i64),
    Removed,
}

/// Everything that happened, in order.
#[derive(Default)]
struct History {
    written: Vec<(Key, Written)>,
    /// Producer, outcome, how much was written before.
    markers: Vec<(i64, bool, usize)>,
}

impl History {
    /// What was written for the key since it was last removed, with its place in history.
    fn since_removal(&self, key: Key) -> Vec<(usize, Written)> {
        let own = self.written.iter().copied().enumerate().filter(|(_, (of, _))| *of == key);
        let own: Vec<_> = own.map(|(at, (_, written))| (at, written)).collect();
        let removed = own.iter().rposition(|(_, written)| matches!(written, Written::Removed));
        own[removed.map_or(0, |at| at + 1)..].to_vec()
    }

    /// How the producer's transaction that wrote at this place ended.
    fn outcome(&self, producer: i64, at: usize) -> Option<bool> {
        let mut markers = self.markers.iter().filter(|(by, _, before)| *by == producer && at < *before);
        markers.next().map(|(_, committed, _)| *committed)
    }

    fn committed(&self, key: Key) -> Option<i64> {
        let counts = |(at, written)| match written {
            Written::Offset(offset) => Some(offset),
            Written::InTransaction(producer, offset) => {
                self.outcome(producer, at).filter(|committed| *committed).map(|_| offset)
            }
            Written::Removed => None,
        };
        self.since_removal(key).into_iter().rev().find_map(counts)
    }

    fn is_pending(&self, key: Key) -> bool {
        let open = |(at, written)| match written {
            Written::InTransaction(producer, _) => self.outcome(producer, at).is_none(),
            Written::Offset(_) | Written::Removed => false,
        };
        self.since_removal(key).into_iter().any(open)
    }

    fn keys(&self) -> BTreeSet<Key> {
        self.written.iter().map(|(key, _)| *key).collect()
    }
}

fn key() -> impl Strategy<Value = Key> {
    (0..GROUPS.len(), 0..TOPICS.len(), 0..2_i32)
}

fn op() -> impl Strategy<Value = Op> {
    let producer = || 1..=PRODUCERS;
    prop_oneof![
        4 => key().prop_map(Op::Commit),
        8 => (key(), producer()).prop_map(|(key, producer)| Op::CommitInTransaction(key, producer)),
        1 => (key(), producer()).prop_map(|(key, producer)| Op::Refused(key, producer)),
        5 => (producer(), any::<bool>()).prop_map(|(producer, committed)| Op::End(producer, committed)),
        1 => key().prop_map(Op::DeleteOffset),
        1 => (0..GROUPS.len()).prop_map(Op::DeleteGroup),
        1 => (0..TOPICS.len()).prop_map(Op::DeleteTopic),
        1 => Just(Op::Restart),
        1 => Just(Op::Fail),
    ]
}

struct Run {
    world: World,
    history: History,
    next: i64,
}

impl Run {
    fn topics(&self, (_, topic, partition): Key) -> Vec<(String, Vec<PartitionCommit>)> {
        vec![(TOPICS[topic].to_owned(), vec![offset(partition, self.next)])]
    }

    fn remove(&mut self, gone: impl Fn(Key) -> bool) {
        for key in self.history.keys().into_iter().filter(|key| gone(*key)) {
            self.history.written.push((key, Written::Removed));
        }
    }

    fn apply(&mut self, op: Op) {
        self.next += 1;
        let offset = self.next;
        match op {
            Op::Commit(key) => {
                let (group_id, topics) = (GROUPS[key.0].to_owned(), self.topics(key));
                let commit = OffsetCommit { group_id, topics, ..simple_commit() };
                assert_eq!(self.world.commit(commit), ErrorCode::None);
                self.history.written.push((key, Written::Offset(offset)));
            }
            Op::CommitInTransaction(key, producer_id) => {
                assert_eq!(self.commit_in_transaction(key, producer_id), ErrorCode::None);
                self.history.written.push((key, Written::InTransaction(producer_id, offset)));
            }
            Op::Refused(key, producer_id) => {
                self.world.refuses = Some(ErrorCode::InvalidTxnState);
                assert_eq!(self.commit_in_transaction(key, producer_id), ErrorCode::InvalidTxnState);
            }
            Op::End(producer, committed) => {
                let answer = self.world.ask(complete(producer, committed));
                assert_eq!(answer, Response::CompleteTransaction(ErrorCode::None));
                self.history.markers.push((producer, committed, self.history.written.len()));
            }
            Op::DeleteOffset(key) => {
                let topics = vec![(TOPICS[key.1].to_owned(), vec![key.2])];
                let group_id = GROUPS[key.0].to_owned();
                self.world.ask(Request::OffsetDelete(OffsetDelete { group_id, topics }));
                self.remove(|it| it == key);
            }
            Op::DeleteGroup(group) => {
                self.world.ask(Request::DeleteGroup { group_id: GROUPS[group].to_owned() });
                self.remove(|(it, ..)| it == group);
            }
            Op::DeleteTopic(topic) => {
                self.world.event(Event::Own(GroupEvent::TopicDeleted { topic: TOPICS[topic].to_owned() }));
                assert_eq!(self.world.answers(), []);
                self.remove(|(_, it, _)| it == topic);
            }
            Op::Restart => {
                let world = std::mem::replace(&mut self.world, World::new());
                self.world = reopened(world);
            }
            Op::Fail => self.fail(),
        }
    }

    fn commit_in_transaction(&mut self, key: Key, producer_id: i64) -> ErrorCode {
        let (group_id, topics) = (GROUPS[key.0].to_owned(), self.topics(key));
        self.world.commit_in_transaction(TxnOffsetCommit { group_id, producer_id, topics, ..txn_commit() })
    }

    /// An append fails, and the partition is read again.
    fn fail(&mut self) {
        let waiter = self.world.send(Request::OffsetCommit(simple_commit()));
        let effects = self.world.effects();
        let [Effect::Append { ticket, .. }] = effects[..] else { panic!("{effects:?}") };
        self.world.settle(ticket, Err(ErrorCode::NotEnoughReplicas));
        let effects = self.world.effects();
        assert!(
            matches!(effects[..], [Effect::Respond { waiter: it, .. }, Effect::Reload { .. }] if it == waiter)
        );
        self.world.written.clone().into_iter().for_each(|event| self.world.event(event));
        self.world.event(Event::LoadFinished { partition: 29 });
    }

    fn check(&mut self) {
        for key in self.history.keys() {
            let topics = Some(vec![(TOPICS[key.1].to_owned(), vec![key.2])]);
            let mut fetch = |require_stable| {
                let (group_id, topics) = (GROUPS[key.0].to_owned(), topics.clone());
                let fetch = OffsetFetch { group_id, topics, require_stable, member: None };
                let Response::OffsetFetch(response) = self.world.ask(Request::OffsetFetch(fetch)) else {
                    panic!("no fetch")
                };
                (response.topics[0].1[0].offset, response.topics[0].1[0].error)
            };
            let committed = self.history.committed(key).unwrap_or(-1);
            assert_eq!(fetch(false), (committed, ErrorCode::None), "{key:?}");
            let stable = if self.history.is_pending(key) {
                (-1, ErrorCode::UnstableOffsetCommit)
            } else {
                (committed, ErrorCode::None)
            };
            assert_eq!(fetch(true), stable, "{key:?}");
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 256, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn offsets_are_what_a_reading_of_the_whole_history_says(
        ops in proptest::collection::vec(op(), 1..60),
    ) {
        let mut run = Run { world: World::new(), history: History::default(), next: 0 };
        for op in ops {
            run.apply(op);
            run.check();
        }
    }
}
