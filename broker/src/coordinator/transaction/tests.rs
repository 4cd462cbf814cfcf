//! The coordinator in virtual time: events in, effects out, one thread, no clock.
//!
//! [`World`] is the runtime's stand-in: a log that is durable only when a test says so, partitions that take markers, a
//! producer id counter. It watches what must always hold: no marker before its `Prepare*` record is durable, no `Complete*`
//! record before every partition has its marker, one answer for each request.

mod add;
mod admin;
mod crash;
mod end;
mod fencing;
mod init;
mod load;
mod records;
mod states;
mod timeouts;

use std::collections::{BTreeMap, BTreeSet, HashMap, VecDeque};
use std::time::{Duration, Instant};

use protocol::ErrorCode;

use super::metadata::Metadata;
use super::records::{Record, decode};
use super::*;
use crate::coordinator::partition_for;

/// The wall clock at the start of every test.
const EPOCH_MS: i64 = 1_700_000_000_000;
const TIMEOUT_MS: i32 = 60_000;
const FIRST_PRODUCER_ID: i64 = 1000;

struct Append {
    partition: i32,
    records: Vec<CoordinatorRecord>,
    ticket: Ticket,
}

/// A marker as a partition keeps it: producer id, epoch, committed.
type Marker = (i64, i16, bool);

struct World {
    coordinator: TransactionCoordinator,
    config: TransactionConfig,
    start: Instant,
    now: Instant,
    next_waiter: u64,
    next_producer_id: i64,
    answers: HashMap<WaiterId, Response>,
    /// What is durable, by partition.
    log: BTreeMap<i32, Vec<CoordinatorRecord>>,
    appends: VecDeque<Append>,
    markers: VecDeque<(Ticket, Markers)>,
    allocations: VecDeque<Ticket>,
    reloads: Vec<i32>,
    /// Markers in user partitions, durable.
    marked: BTreeMap<(String, i32), Vec<Marker>>,
}

impl World {
    fn new() -> Self {
        Self::with_config(TransactionConfig { partitions: 2, ..TransactionConfig::default() })
    }

    fn with_config(config: TransactionConfig) -> Self {
        let start = any_instant();
        let mut world = Self {
            coordinator: TransactionCoordinator::new(config.clone(), start, EPOCH_MS),
            config,
            start,
            now: start,
            next_waiter: 0,
            next_producer_id: FIRST_PRODUCER_ID,
            answers: HashMap::new(),
            log: BTreeMap::new(),
            appends: VecDeque::new(),
            markers: VecDeque::new(),
            allocations: VecDeque::new(),
            reloads: Vec::new(),
            marked: BTreeMap::new(),
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
        for record in self.log.get(&partition).cloned().unwrap_or_default() {
            let (key, value) = (record.key, record.value);
            self.coordinator.handle(self.now, Event::LoadRecord { partition, key, value });
        }
        self.coordinator.handle(self.now, Event::LoadFinished { partition });
    }

    fn wall_clock_ms(&self) -> i64 {
        EPOCH_MS + i64::try_from((self.now - self.start).as_millis()).unwrap()
    }

    /// Hands a request in and takes note of what it causes; nothing of it is carried out.
    fn ask(&mut self, request: Request) -> WaiterId {
        self.next_waiter += 1;
        let waiter = WaiterId(self.next_waiter);
        self.coordinator.handle(self.now, Event::Request { waiter, request });
        self.collect();
        waiter
    }

    /// The answer to a request once everything is carried out.
    fn call(&mut self, request: Request) -> Response {
        let waiter = self.ask(request);
        self.settle();
        self.answer(waiter).expect("everything is settled")
    }

    fn answer(&mut self, waiter: WaiterId) -> Option<Response> {
        self.answers.remove(&waiter)
    }

    fn collect(&mut self) {
        for effect in self.coordinator.take_effects() {
            match effect {
                Effect::Respond { waiter, response } => {
                    assert!(self.answers.insert(waiter, response).is_none(), "{waiter:?} answered twice");
                }
                Effect::Append { partition, records, ticket } => {
                    records.iter().for_each(|record| self.check_completion(record));
                    self.appends.push_back(Append { partition, records, ticket });
                }
                Effect::Work(Work::WriteMarkers { ticket, markers }) => {
                    self.check_markers(&markers);
                    self.markers.push_back((ticket, markers));
                }
                Effect::Work(Work::AllocateProducerId { ticket }) => self.allocations.push_back(ticket),
                Effect::Reload { partition } => self.reloads.push(partition),
            }
        }
    }

    /// What the durable log says of an id.
    fn durable(&self, id: &str) -> Option<Metadata> {
        let records = self.log.get(&partition_for(id, self.config.partitions))?;
        records.iter().rev().find_map(|record| {
            match decode(&record.key, record.value.as_deref()).unwrap() {
                Record::Transaction { id: found, metadata } if found == id => Some(metadata),
                _ => None,
            }
        })?
    }

    fn check_markers(&self, markers: &Markers) {
        let records = self.log.get(&markers.coordinator_partition).into_iter().flatten();
        let mut newest = BTreeMap::new();
        for record in records {
            if let Record::Transaction { id, metadata: Some(metadata) } =
                decode(&record.key, record.value.as_deref()).unwrap()
            {
                newest.insert(id, metadata);
            }
        }
        let wanted =
            if markers.committed { TransactionState::PrepareCommit } else { TransactionState::PrepareAbort };
        let prepared = |metadata: &Metadata| {
            metadata.state == wanted
                && metadata.producer == markers.producer
                && metadata.covers(&markers.partitions)
        };
        assert!(newest.values().any(prepared), "markers without a durable decision: {markers:?}");
    }

    fn check_completion(&self, record: &CoordinatorRecord) {
        let Record::Transaction { id, metadata: Some(completed) } =
            decode(&record.key, record.value.as_deref()).unwrap()
        else {
            return;
        };
        if !matches!(completed.state, TransactionState::CompleteCommit | TransactionState::CompleteAbort) {
            return;
        }
        let prepared = self.durable(&id).expect("a decision comes first");
        assert!(prepared.state.is_prepared(), "{id} completes after {:?}", prepared.state);
        let committed = prepared.state == TransactionState::PrepareCommit;
        let marker = (prepared.producer.producer_id, prepared.producer.epoch, committed);
        for partition in flat(&prepared.partitions) {
            let there = self.marked.get(&partition).is_some_and(|markers| markers.contains(&marker));
            assert!(there, "{id} completes without a marker in {partition:?}");
        }
    }

    /// The oldest append becomes durable.
    fn append_succeeds(&mut self) {
        let append = self.appends.pop_front().expect("an append is under way");
        self.log.entry(append.partition).or_default().extend(append.records);
        let event = Event::AppendOutcome { ticket: append.ticket, result: Ok(()) };
        self.coordinator.handle(self.now, event);
        self.collect();
    }

    fn append_fails(&mut self, error: ErrorCode) {
        let append = self.appends.pop_front().expect("an append is under way");
        let event = Event::AppendOutcome { ticket: append.ticket, result: Err(error) };
        self.coordinator.handle(self.now, event);
        self.collect();
    }

    /// Reloads what was asked for, once nothing is under way for it.
    fn reload(&mut self) {
        for partition in std::mem::take(&mut self.reloads) {
            assert!(self.appends.iter().all(|append| append.partition != partition));
            self.load(partition);
        }
        self.collect();
    }

    /// The oldest markers are written, except in `failed`.
    fn markers_succeed_but(&mut self, failed: Partitions) {
        let (ticket, markers) = self.markers.pop_front().expect("markers are under way");
        let failing: BTreeSet<_> = flat(&failed).collect();
        let marker = (markers.producer.producer_id, markers.producer.epoch, markers.committed);
        for partition in flat(&markers.partitions).filter(|partition| !failing.contains(partition)) {
            self.marked.entry(partition).or_default().push(marker);
        }
        self.coordinator.handle(self.now, Event::Own(TransactionEvent::MarkersWritten { ticket, failed }));
        self.collect();
    }

    fn markers_succeed(&mut self) {
        self.markers_succeed_but(Partitions::new());
    }

    fn allocation_succeeds(&mut self) {
        let ticket = self.allocations.pop_front().expect("an allocation is asked for");
        let result = Ok(self.next_producer_id);
        self.next_producer_id += 1;
        self.coordinator
            .handle(self.now, Event::Own(TransactionEvent::ProducerIdAllocated { ticket, result }));
        self.collect();
    }

    /// One thing that is under way happens; false when there is none.
    fn step(&mut self) -> bool {
        if !self.allocations.is_empty() {
            self.allocation_succeeds();
        } else if !self.appends.is_empty() {
            self.append_succeeds();
        } else if !self.markers.is_empty() {
            self.markers_succeed();
        } else {
            return false;
        }
        true
    }

    fn settle(&mut self) {
        while self.step() {}
    }

    /// The process dies and another starts: what was not durable is gone, and so is everybody who waited.
    fn crash(&mut self) {
        self.appends.clear();
        self.markers.clear();
        self.allocations.clear();
        self.answers.clear();
        self.coordinator = TransactionCoordinator::new(self.config.clone(), self.now, self.wall_clock_ms());
        self.load_all();
    }

    /// Time passes; timers fire when they are due.
    fn pass(&mut self, duration: Duration) {
        let end = self.now + duration;
        while let Some(due) = self.coordinator.next_timeout().filter(|due| *due <= end) {
            self.now = self.now.max(due);
            self.tell_wall_clock();
            self.coordinator.handle_timeout(self.now);
            self.collect();
        }
        self.now = end;
        self.tell_wall_clock();
    }

    fn tell_wall_clock(&mut self) {
        let epoch_ms = self.wall_clock_ms();
        self.coordinator.handle(self.now, Event::WallClock { epoch_ms });
    }

    fn init(&mut self, id: &str) -> Result<ProducerIdAndEpoch, ErrorCode> {
        self.init_with(id, None)
    }

    fn init_with(
        &mut self,
        id: &str,
        expected: Option<ProducerIdAndEpoch>,
    ) -> Result<ProducerIdAndEpoch, ErrorCode> {
        match self.call(init(id, expected)) {
            Response::InitProducerId(outcome) => outcome,
            other => panic!("not the answer to InitProducerId: {other:?}"),
        }
    }

    fn begin(&mut self, id: &str, producer: ProducerIdAndEpoch, topic: &str) -> Result<(), ErrorCode> {
        match self.call(add(id, producer, &[(topic, &[0])], TransactionVersion::V2)) {
            Response::AddPartitions(outcome) => outcome,
            other => panic!("not the answer to AddPartitions: {other:?}"),
        }
    }

    fn end_as(
        &mut self,
        id: &str,
        producer: ProducerIdAndEpoch,
        committed: bool,
        version: TransactionVersion,
    ) -> Result<ProducerIdAndEpoch, ErrorCode> {
        match self.call(end(id, producer, committed, version)) {
            Response::EndTransaction(outcome) => outcome,
            other => panic!("not the answer to EndTxn: {other:?}"),
        }
    }

    fn describe(&mut self, id: &str) -> Result<DescribedTransaction, ErrorCode> {
        match self.call(Request::Describe { transactional_id: id.to_owned() }) {
            Response::Describe(outcome) => outcome,
            other => panic!("not the answer to Describe: {other:?}"),
        }
    }

    fn state(&mut self, id: &str) -> TransactionState {
        self.describe(id).unwrap().state
    }

    /// Puts an id into a state as the log would have it.
    fn plant(&mut self, id: &str, metadata: &Metadata) {
        let partition = partition_for(id, self.config.partitions);
        let record = super::records::transaction(id, Some(metadata));
        self.log.entry(partition).or_default().push(record);
        self.crash();
    }
}

#[expect(clippy::disallowed_methods, reason = "any instant will do: tests only move on from it")]
fn any_instant() -> Instant {
    Instant::now()
}

fn producer(producer_id: i64, epoch: i16) -> ProducerIdAndEpoch {
    ProducerIdAndEpoch { producer_id, epoch }
}

fn init(id: &str, expected: Option<ProducerIdAndEpoch>) -> Request {
    Request::InitProducerId(InitProducerId {
        transactional_id: id.to_owned(),
        timeout_ms: TIMEOUT_MS,
        expected,
    })
}

fn add(
    id: &str,
    producer: ProducerIdAndEpoch,
    topics: &[(&str, &[i32])],
    version: TransactionVersion,
) -> Request {
    let partitions = partitions(topics);
    let transactional_id = id.to_owned();
    Request::AddPartitions(AddPartitions { transactional_id, producer, partitions, version, patient: false })
}

fn patient(id: &str, producer: ProducerIdAndEpoch, topics: &[(&str, &[i32])]) -> Request {
    Request::AddPartitions(AddPartitions {
        transactional_id: id.to_owned(),
        producer,
        partitions: partitions(topics),
        version: TransactionVersion::V2,
        patient: true,
    })
}

fn verify(id: &str, producer: ProducerIdAndEpoch, topics: &[(&str, &[i32])]) -> Request {
    let (transactional_id, partitions) = (id.to_owned(), partitions(topics));
    Request::VerifyPartitions(VerifyPartitions { transactional_id, producer, partitions })
}

fn end(id: &str, producer: ProducerIdAndEpoch, committed: bool, version: TransactionVersion) -> Request {
    let transactional_id = id.to_owned();
    Request::EndTransaction(EndTransaction { transactional_id, producer, committed, version })
}

fn partitions(topics: &[(&str, &[i32])]) -> Partitions {
    topics.iter().map(|(topic, numbers)| ((*topic).to_owned(), numbers.iter().copied().collect())).collect()
}

fn flat(partitions: &Partitions) -> impl Iterator<Item = (String, i32)> {
    partitions.iter().flat_map(|(topic, numbers)| numbers.iter().map(|number| (topic.clone(), *number)))
}

/// As the log keeps an id that was given producer id 1000 and epoch 5, in this state.
fn metadata(state: TransactionState, version: TransactionVersion) -> Metadata {
    let covered = if matches!(state, TransactionState::Ongoing) || state.is_prepared() {
        partitions(&[("t", &[0])])
    } else {
        Partitions::new()
    };
    Metadata {
        producer: producer(FIRST_PRODUCER_ID, 5),
        previous_producer_id: FIRST_PRODUCER_ID,
        timeout_ms: TIMEOUT_MS,
        state,
        partitions: covered,
        start_ms: if state == TransactionState::Empty { -1 } else { EPOCH_MS },
        last_update_ms: EPOCH_MS,
        version,
        ..Metadata::new(FIRST_PRODUCER_ID)
    }
}
