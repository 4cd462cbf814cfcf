//! The coordinator in virtual time: events in, effects out, one thread, no clock.
//!
//! [`World`] is the runtime's stand-in: a log that is durable at once unless a test holds it back.

mod acknowledge;
mod acquire;
mod crash;
mod locks;
mod model;
mod records;

use std::collections::{BTreeMap, HashMap, VecDeque};
use std::sync::Arc;
use std::time::{Duration, Instant};

use protocol::ErrorCode;
use uuid::Uuid;

use super::*;
use crate::coordinator::effect::CoordinatorRecord;

/// The wall clock at the start of every test.
const EPOCH_MS: i64 = 1_700_000_000_000;
const TOPIC: Uuid = Uuid::from_u128(7);
const LOCK: Duration = Duration::from_secs(30);

const LIMITS: Limits = Limits { lock: LOCK, deliveries: 5, in_flight: 2000, renew: true };

type Append = (i32, Ticket, Vec<CoordinatorRecord>);
/// First offset, last offset, deliveries.
type Piece = (i64, i64, i16);

struct World {
    coordinator: ShareCoordinator,
    config: ShareConfig,
    now: Instant,
    next_waiter: u64,
    answers: HashMap<WaiterId, Response>,
    /// What is durable, by partition; never what a cut took away.
    log: BTreeMap<i32, Vec<CoordinatorRecord>>,
    marks: HashMap<i32, usize>,
    appends: VecDeque<Append>,
    reloads: Vec<i32>,
    /// How often records were said to be there again.
    woken: usize,
    limits: Limits,
    mode: AcquireMode,
    batch_size: i64,
}

fn key() -> Key {
    Key { group: "g".into(), topic: TOPIC, partition: 0 }
}

impl World {
    /// One share partition, read from offset 0 on.
    fn new() -> Self {
        let mut world = Self::bare(ShareConfig { partitions: 2, ..ShareConfig::default() });
        world.initialize(0);
        world
    }

    #[expect(clippy::disallowed_methods, reason = "the start of virtual time")]
    fn bare(config: ShareConfig) -> Self {
        let now = Instant::now();
        let mut world = Self {
            coordinator: ShareCoordinator::new(config.clone(), now, EPOCH_MS),
            config,
            now,
            next_waiter: 0,
            answers: HashMap::new(),
            log: BTreeMap::new(),
            marks: HashMap::new(),
            appends: VecDeque::new(),
            reloads: Vec::new(),
            woken: 0,
            limits: LIMITS,
            mode: AcquireMode::BatchOptimized,
            batch_size: 500,
        };
        world.load_all();
        world
    }

    fn load_all(&mut self) {
        for partition in 0..self.config.partitions {
            self.load(partition);
        }
        self.collect();
    }

    fn load(&mut self, partition: i32) {
        for CoordinatorRecord { key, value } in self.log.get(&partition).cloned().unwrap_or_default() {
            self.coordinator.handle(self.now, Event::LoadRecord { partition, key, value });
        }
        self.coordinator.handle(self.now, Event::LoadFinished { partition });
    }

    /// The process dies; what was durable is loaded by the next one.
    fn crash(&mut self) {
        self.appends.clear();
        self.answers.clear();
        self.coordinator = ShareCoordinator::new(self.config.clone(), self.now, EPOCH_MS);
        self.load_all();
    }

    /// Hands a request in and takes note of what it causes; appends are not carried out.
    fn ask(&mut self, request: Request) -> WaiterId {
        self.next_waiter += 1;
        let waiter = WaiterId(self.next_waiter);
        self.coordinator.handle(self.now, Event::Request { waiter, request });
        self.collect();
        waiter
    }

    fn call(&mut self, request: Request) -> Response {
        let waiter = self.ask(request);
        self.settle();
        self.answers.remove(&waiter).expect("everything is settled")
    }

    fn collect(&mut self) {
        for effect in self.coordinator.take_effects() {
            match effect {
                Effect::Respond { waiter, response } => {
                    assert!(self.answers.insert(waiter, response).is_none(), "{waiter:?} answered twice");
                }
                Effect::Append { partition, records, ticket } => {
                    self.appends.push_back((partition, ticket, records));
                }
                Effect::Reload { partition } => self.reloads.push(partition),
                Effect::Work(Work::Available { .. }) => self.woken += 1,
                Effect::Work(Work::Mark { partition }) => {
                    let written = self.log.get(&partition).map_or(0, Vec::len);
                    let waiting = self.appends.iter().filter(|(of, ..)| *of == partition);
                    let waiting: usize = waiting.map(|(.., records)| records.len()).sum();
                    self.marks.insert(partition, written + waiting);
                }
                Effect::Work(Work::Cut { partition }) => {
                    let mark = self.marks.remove(&partition).expect("a cut follows a mark");
                    self.log.get_mut(&partition).expect("it was written").drain(..mark);
                }
            }
        }
    }

    /// Makes everything durable.
    fn settle(&mut self) {
        while let Some((partition, ticket, records)) = self.appends.pop_front() {
            self.log.entry(partition).or_default().extend(records);
            self.coordinator.handle(self.now, Event::AppendOutcome { ticket, result: Ok(()) });
            self.collect();
        }
    }

    /// The appends under way fail, and their partitions are read again.
    fn fail(&mut self) {
        while let Some((_, ticket, _)) = self.appends.pop_front() {
            let result = Err(ErrorCode::KafkaStorageError);
            self.coordinator.handle(self.now, Event::AppendOutcome { ticket, result });
            self.collect();
        }
        for partition in std::mem::take(&mut self.reloads) {
            self.load(partition);
        }
        self.collect();
    }

    fn pass(&mut self, time: Duration) {
        self.now += time;
        self.coordinator.handle_timeout(self.now);
        self.collect();
        self.settle();
    }

    fn initialize(&mut self, start_offset: i64) {
        let initialize = Request::Initialize { key: key(), state_epoch: 1, start_offset };
        assert_eq!(self.call(initialize), Response::Done(Ok(())));
    }

    fn position(&mut self) -> Position {
        self.position_in(0)
    }

    fn position_in(&mut self, log_start: i64) -> Position {
        let log = LogState { topic: TOPIC, partition: 0, log_start, leader_epoch: 0 };
        let (group, limits) = ("g".into(), self.limits);
        match self.call(Request::Positions(Positions { group, limits, partitions: vec![log] })) {
            Response::Positions(positions) => positions[0].expect("it is initialized"),
            other => panic!("{other:?}"),
        }
    }

    /// What `member` gets of these batches, read from where the group is.
    fn take(&mut self, member: &str, most: i64, batches: &[(i64, i64)]) -> Vec<Piece> {
        let Position::At(from) = self.position() else { return Vec::new() };
        self.take_from(from, member, most, batches, &[])
    }

    fn take_from(
        &mut self,
        from: i64,
        member: &str,
        most: i64,
        batches: &[(i64, i64)],
        aborted: &[(i64, i64)],
    ) -> Vec<Piece> {
        let (batches, aborted) = (batches.to_vec(), aborted.to_vec());
        let fetched = Fetched { topic: TOPIC, partition: 0, from, batches, aborted };
        let acquire = Acquire {
            group: "g".into(),
            member: member.into(),
            limits: self.limits,
            mode: self.mode,
            batch_size: self.batch_size,
            max_records: most,
            partitions: vec![fetched],
        };
        let Response::Acquired(mut acquired) = self.call(Request::Acquire(acquire)) else { panic!() };
        let acquired = acquired.remove(0).expect("it is initialized");
        acquired.into_iter().map(|piece| (piece.first, piece.last, piece.deliveries)).collect()
    }

    fn say(&mut self, member: &str, said: &[(i64, i64, AcknowledgeKind)]) -> Result<(), ErrorCode> {
        let request = self.saying(member, said);
        let Response::Acknowledged(done) = self.call(request) else { panic!() };
        done.map_err(|refusal| refusal.error)
    }

    fn saying(&self, member: &str, said: &[(i64, i64, AcknowledgeKind)]) -> Request {
        let batches = said.iter().map(|(first, last, kind)| AcknowledgeBatch {
            first: *first,
            last: *last,
            kinds: vec![*kind],
        });
        Request::Acknowledge(Acknowledge {
            key: key(),
            member: member.into(),
            limits: self.limits,
            batches: batches.collect(),
        })
    }

    fn leave(&mut self, member: &str) {
        let release = Request::Release { key: key(), member: member.into(), limits: self.limits };
        assert_eq!(self.call(release), Response::Done(Ok(())));
    }

    fn summary(&mut self) -> Option<(i64, i32)> {
        let Response::Summary(summary) = self.call(Request::Summary { key: key() }) else { panic!() };
        summary.expect("loaded").map(|summary| (summary.start_offset, summary.delivery_complete_count))
    }

    fn share_partition(&mut self) -> &mut SharePartition {
        self.coordinator.partition(&key()).expect("it is initialized")
    }
}

/// A batch of each of these lengths, one behind the other.
fn batches(lengths: &[i64]) -> Vec<(i64, i64)> {
    let mut next = 0;
    let batch = |length: &i64| {
        next += length;
        (next - length, next - 1)
    };
    lengths.iter().map(batch).collect()
}

fn other_key(partition: i32) -> Key {
    Key { group: Arc::from("g"), topic: TOPIC, partition }
}
