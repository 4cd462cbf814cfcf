//! The shell around the transaction coordinator: one thread, one bounded mailbox, one timer.
//!
//! The only bridge between the pure coordinator and the log. Started by `Broker::open`, which waits until every partition of
//! `__transaction_state` is loaded; asked by the handlers through [`Transactions`]. Invariants: events reach the coordinator
//! one at a time; the outcome of an append or a marker is told only when the log has acknowledged it.

use std::collections::HashMap;
use std::io;
use std::pin::Pin;
use std::sync::{Arc, Weak};
use std::thread;

use futures_util::StreamExt as _;
use futures_util::stream::FuturesUnordered;
use protocol::ErrorCode;
use storage::{Clock, Store};
use tokio::sync::{mpsc, oneshot};
use tokio::time::sleep_until;

use super::markers::{Marked, Marker, MarkerWriter};
use super::runtime::Groups;
use super::state_log::{EndsProcessOnPanic, Outcome, StateLog, Write, now};
use super::transaction::{
    AddPartitions, Effect, Event, Markers, Partitions, ProducerIdAndEpoch, Request, Response, Ticket,
    TransactionConfig, TransactionCoordinator, TransactionVersion, VerifyPartitions, WaiterId,
};
use crate::broker::Broker;
use crate::error_map;
use crate::partition::Waits;
use crate::topics::{self, TRANSACTIONS_TOPIC};

/// Requests that may wait for the coordinator; senders wait beyond that.
const MAILBOX: usize = 4096;
/// Messages taken in before their effects are carried out together.
const ROUND: usize = 256;

enum Message {
    Request { request: Request, answer: oneshot::Sender<Response> },
    Stop,
}

/// The handlers' way to the coordinator.
#[derive(Debug, Clone)]
pub(crate) struct Transactions {
    mailbox: mpsc::Sender<Message>,
}

impl Transactions {
    /// Asks the coordinator. Requests sent one after the other are handled in that order.
    pub(crate) async fn ask(&self, request: Request) -> Response {
        let (answer, answered) = oneshot::channel();
        let sent = self.mailbox.send(Message::Request { request, answer }).await;
        assert!(sent.is_ok(), "the coordinator stops after the last connection");
        answered
            .await
            .expect("the coordinator answers every request once, and stops after the last connection")
    }

    /// Has the producer's transaction, begun if need be, cover these partitions; what a request that writes data does by
    /// itself from transaction version 2 on. Waits a moment if the producer's previous transaction is still completing.
    ///
    /// # Errors
    /// The coordinator's: `INVALID_PRODUCER_ID_MAPPING`, `PRODUCER_FENCED`, `CONCURRENT_TRANSACTIONS`,
    /// `COORDINATOR_LOAD_IN_PROGRESS`, `INVALID_REQUEST`, or that the record could not be written.
    pub(crate) async fn add_partitions(
        &self,
        transactional_id: &str,
        producer: ProducerIdAndEpoch,
        partitions: Partitions,
    ) -> Result<(), ErrorCode> {
        let (transactional_id, version) = (transactional_id.to_owned(), TransactionVersion::V2);
        let add = AddPartitions { transactional_id, producer, partitions, version, patient: true };
        match self.ask(Request::AddPartitions(add)).await {
            Response::AddPartitions(outcome) => outcome,
            other => unexpected(&other),
        }
    }

    /// Those of these partitions that the producer's open transaction does not cover.
    ///
    /// # Errors
    /// As [`Transactions::add_partitions`].
    pub(crate) async fn verify_partitions(
        &self,
        transactional_id: &str,
        producer: ProducerIdAndEpoch,
        partitions: Partitions,
    ) -> Result<Partitions, ErrorCode> {
        let transactional_id = transactional_id.to_owned();
        let verify = VerifyPartitions { transactional_id, producer, partitions };
        match self.ask(Request::VerifyPartitions(verify)).await {
            Response::VerifyPartitions(outcome) => outcome,
            other => unexpected(&other),
        }
    }

    /// Ends the coordinator's thread. Called once, outside of any runtime, when no connection is left.
    pub(crate) fn stop(&self) {
        if self.mailbox.blocking_send(Message::Stop).is_err() {
            tracing::debug!("the coordinator has ended already");
        }
    }
}

/// The coordinator answers every request with its own kind.
pub(crate) fn unexpected(response: &Response) -> ! {
    unreachable!("the answer to another request: {response:?}")
}

/// Markers on their way: whose, and which partitions are left.
type Completion = Pin<Box<dyn Future<Output = (Ticket, Partitions)> + Send>>;

/// A coordinator whose partitions are loaded, ready to run.
pub(crate) struct TransactionRuntime {
    log: StateLog,
    markers: MarkerWriter,
    coordinator: TransactionCoordinator,
    mailbox: mpsc::Receiver<Message>,
    waiters: HashMap<WaiterId, oneshot::Sender<Response>>,
    next_waiter: u64,
    completions: FuturesUnordered<Completion>,
}

impl TransactionRuntime {
    /// Loads every partition of `__transaction_state`. `broker` is weak: the broker owns the handle, not the other way.
    pub(crate) fn load(
        broker: Weak<Broker>,
        (store, waits, clock): (&Arc<Store>, &Arc<Waits>, &Arc<dyn Clock>),
        groups: &Groups,
        mut config: TransactionConfig,
    ) -> (Self, Transactions) {
        if let Some(topic) = store.topic(TRANSACTIONS_TOPIC) {
            // Transactional ids stay where they are when the configured number changes later.
            config.partitions = i32::try_from(topic.partition_count()).unwrap_or(config.partitions);
        }
        let partitions = config.partitions;
        let (sender, mailbox) = mpsc::channel(MAILBOX);
        let mut runtime = Self {
            log: StateLog::new(
                (TRANSACTIONS_TOPIC, topics::create_transaction_state),
                broker,
                store,
                waits,
                clock,
            ),
            markers: MarkerWriter {
                store: Arc::clone(store),
                waits: Arc::clone(waits),
                clock: Arc::clone(clock),
                groups: groups.clone(),
            },
            coordinator: TransactionCoordinator::new(config, now(), clock.now_ms()),
            mailbox,
            waiters: HashMap::new(),
            next_waiter: 0,
            completions: FuturesUnordered::new(),
        };
        for partition in 0..partitions {
            runtime.load_partition(partition);
        }
        (runtime, Transactions { mailbox: sender })
    }

    /// Runs until it is stopped or the last [`Transactions`] is dropped.
    ///
    /// # Errors
    /// When the system gives no thread.
    pub(crate) fn spawn(self) -> io::Result<thread::JoinHandle<()>> {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_time().build()?;
        thread::Builder::new().name("transactions".to_owned()).spawn(move || {
            let _guard = EndsProcessOnPanic("transactions");
            runtime.block_on(self.run());
        })
    }

    async fn run(mut self) {
        self.carry_out_effects();
        while self.wait().await {
            for _ in 0..ROUND {
                let Ok(message) = self.mailbox.try_recv() else { break };
                if !self.take_in(message) {
                    return;
                }
            }
            self.carry_out_effects();
        }
    }

    /// Waits for the next thing to happen and takes it in; false when it is time to stop.
    async fn wait(&mut self) -> bool {
        let timeout = self.coordinator.next_timeout();
        let timer = async {
            match timeout {
                Some(at) => sleep_until(at.into()).await,
                None => std::future::pending().await,
            }
        };
        let settled = self.log.oldest_settled();
        tokio::select! {
            message = self.mailbox.recv() => match message {
                Some(message) => return self.take_in(message),
                None => return false,
            },
            () = timer => {
                self.tell_wall_clock();
                self.coordinator.handle_timeout(now());
            }
            outcome = settled => {
                let settled = self.log.take_settled(outcome);
                self.tell(settled);
            }
            Some((ticket, failed)) = self.completions.next() => {
                self.handle(Event::MarkersWritten { ticket, failed });
            }
        }
        true
    }

    /// False for `Stop`.
    fn take_in(&mut self, message: Message) -> bool {
        match message {
            Message::Request { request, answer } => {
                self.next_waiter += 1;
                let waiter = WaiterId(self.next_waiter);
                self.waiters.insert(waiter, answer);
                self.tell_wall_clock();
                self.handle(Event::Request { waiter, request });
                true
            }
            Message::Stop => false,
        }
    }

    fn handle(&mut self, event: Event) {
        self.coordinator.handle(now(), event);
    }

    fn tell(&mut self, outcomes: Vec<Outcome>) {
        for (ticket, result) in outcomes {
            self.handle(Event::AppendOutcome { ticket, result });
        }
    }

    fn tell_wall_clock(&mut self) {
        self.handle(Event::WallClock { epoch_ms: self.log.wall_clock_ms() });
    }

    /// Until nothing is left to do at once: carrying out effects can cause new ones.
    fn carry_out_effects(&mut self) {
        loop {
            let effects = self.coordinator.take_effects();
            let idle = effects.is_empty();
            let (mut writes, mut markers) = (Vec::new(), Vec::new());
            for effect in effects {
                match effect {
                    Effect::Respond { waiter, response } => self.respond(waiter, response),
                    Effect::Append { partition, records, ticket } => {
                        writes.push(Write { partition, ticket, records });
                    }
                    Effect::WriteMarkers { ticket, markers: these } => markers.push((ticket, these)),
                    Effect::AllocateProducerId { ticket } => self.allocate_producer_id(ticket),
                    Effect::Reload { partition } => self.log.reload(partition),
                }
            }
            let failed = self.log.write(writes);
            self.tell(failed);
            self.write_markers(markers);
            let reloaded = self.reload();
            if idle && !reloaded {
                return;
            }
        }
    }

    fn respond(&mut self, waiter: WaiterId, response: Response) {
        let answer = self.waiters.remove(&waiter).expect("the coordinator answers every waiter once");
        if answer.send(response).is_err() {
            tracing::debug!(waiter = waiter.0, "the client left before its answer");
        }
    }

    /// What is appended later is durable later: the reservation never comes after the record that uses the id.
    fn allocate_producer_id(&mut self, ticket: Ticket) {
        let allocated = self.markers.store.allocate_producer_id();
        let result = allocated.map(|(id, _)| id).map_err(|error| error_map::topic_error(&error));
        self.handle(Event::ProducerIdAllocated { ticket, result });
    }

    /// The markers of all transactions that were decided in this round go to the log together.
    fn write_markers(&mut self, decided: Vec<(Ticket, Markers)>) {
        let (tickets, markers): (Vec<_>, Vec<_>) =
            decided.into_iter().map(|(ticket, markers)| (ticket, self.marker(markers))).unzip();
        if markers.is_empty() {
            return;
        }
        for (ticket, written) in tickets.into_iter().zip(self.markers.write(&markers)) {
            self.completions.push(Box::pin(async move { (ticket, unmarked(written.await)) }));
        }
    }

    fn marker(&self, markers: Markers) -> Marker {
        let Markers { coordinator_partition, producer, committed, partitions } = markers;
        let log = self.log.partition(coordinator_partition);
        let coordinator_epoch = log.map_or(0, |log| log.leader_epoch());
        Marker { producer, coordinator_epoch, committed, partitions }
    }

    /// Reads partitions again whose appends are all settled; returns whether there were any.
    fn reload(&mut self) -> bool {
        let ready = self.log.take_reloads();
        for partition in &ready {
            self.load_partition(*partition);
        }
        !ready.is_empty()
    }

    fn load_partition(&mut self, partition: i32) {
        let coordinator = &mut self.coordinator;
        let loaded = self.log.read(partition, |key, value| {
            coordinator.handle(now(), Event::LoadRecord { partition, key, value });
        });
        if let Err(error) = loaded {
            // Half a partition may show a decided transaction as open.
            tracing::error!(partition, %error, "{TRANSACTIONS_TOPIC} cannot be read; its ids stay unavailable");
            return;
        }
        self.handle(Event::LoadFinished { partition });
    }
}

/// The partitions that still need their marker.
fn unmarked(marked: Vec<Marked>) -> Partitions {
    let mut left = Partitions::new();
    for ((topic, partition), outcome) in marked {
        match outcome {
            Ok(()) => {}
            Err(ErrorCode::UnknownTopicOrPartition) => {
                tracing::info!(topic, partition, "no marker for a partition that was deleted");
            }
            // Its transaction ended before: somebody else's marker has come with a newer epoch.
            Err(error @ (ErrorCode::InvalidProducerEpoch | ErrorCode::TransactionCoordinatorFenced)) => {
                tracing::error!(topic, partition, %error, "a partition refuses the marker of a transaction");
            }
            Err(error) => {
                tracing::warn!(topic, partition, %error, "a marker was not written");
                left.entry(topic).or_default().insert(partition);
            }
        }
    }
    left
}
