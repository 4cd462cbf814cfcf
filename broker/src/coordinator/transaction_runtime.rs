//! The transaction coordinator in its shell: what the handlers ask it, the markers it writes, the producer ids it gives.
//!
//! Started by `Broker::open`, which waits until every partition of `__transaction_state` is loaded; asked by the handlers
//! through [`Transactions`]. Invariant: the outcome of a marker is told only when the log has acknowledged it.

use std::pin::Pin;
use std::sync::{Arc, Weak};
use std::time::Instant;

use futures_util::StreamExt as _;
use futures_util::stream::FuturesUnordered;
use protocol::ErrorCode;
use storage::{Clock, Store};

use super::markers::{Marked, Marker, MarkerWriter};
use super::runtime::Groups;
use super::shell::{Coordinator, Mailbox, Shell, unexpected};
use super::state_log::StateLog;
use super::transaction::{
    AddPartitions, Effect, Event, Markers, Partitions, ProducerIdAndEpoch, Request, Response, Ticket,
    TransactionConfig, TransactionCoordinator, TransactionEvent, TransactionVersion, VerifyPartitions, Work,
};
use crate::broker::Broker;
use crate::error_map;
use crate::partition::Waits;
use crate::topics::{self, TRANSACTIONS_TOPIC};

/// The handlers' way to the coordinator.
#[derive(Debug, Clone)]
pub(crate) struct Transactions(Mailbox<TransactionRuntime>);

impl Transactions {
    /// Asks the coordinator. Requests sent one after the other are handled in that order.
    pub(crate) async fn ask(&self, request: Request) -> Response {
        self.0.ask(request, None).await
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

    /// Has the coordinator act upon what is over by now, because the clock was moved.
    pub(crate) async fn clock_moved(&self) {
        self.0.clock_moved().await;
    }

    /// Ends the coordinator's thread. Called once, outside of any runtime, when no connection is left.
    pub(crate) fn stop(&self) {
        self.0.stop();
    }
}

/// Markers on their way: whose, and which partitions are left.
type Completion = Pin<Box<dyn Future<Output = (Ticket, Partitions)> + Send>>;

/// The coordinator and the markers that it has written.
pub(crate) struct TransactionRuntime {
    markers: MarkerWriter,
    coordinator: TransactionCoordinator,
    /// Markers that are to be written together.
    decided: Vec<(Ticket, Marker)>,
    completions: FuturesUnordered<Completion>,
}

impl TransactionRuntime {
    /// Loads every partition of `__transaction_state`. `broker` is weak: the broker owns the handle, not the other way.
    pub(crate) fn load(
        broker: Weak<Broker>,
        (store, waits, clock): (&Arc<Store>, &Arc<Waits>, &Arc<dyn Clock>),
        groups: &Groups,
        mut config: TransactionConfig,
    ) -> (Shell<Self>, Transactions) {
        if let Some(topic) = store.topic(TRANSACTIONS_TOPIC) {
            // Transactional ids stay where they are when the configured number changes later.
            config.partitions = i32::try_from(topic.partition_count()).unwrap_or(config.partitions);
        }
        let partitions = config.partitions;
        let topic = (TRANSACTIONS_TOPIC, topics::create_transaction_state as _);
        let log = StateLog::new(topic, broker, store, waits, clock);
        let markers = MarkerWriter {
            store: Arc::clone(store),
            waits: Arc::clone(waits),
            clock: Arc::clone(clock),
            groups: groups.clone(),
        };
        let coordinator = TransactionCoordinator::new(config, clock.instant(), clock.now_ms());
        let (decided, completions) = (Vec::new(), FuturesUnordered::new());
        let transactions = Self { markers, coordinator, decided, completions };
        let (shell, mailbox) = Shell::load(transactions, log, partitions);
        (shell, Transactions(mailbox))
    }
}

impl Coordinator for TransactionRuntime {
    type Request = Request;
    type Response = Response;
    type Event = TransactionEvent;
    type Work = Work;
    const NAME: &'static str = "transactions";

    fn handle(&mut self, now: Instant, event: Event) {
        self.coordinator.handle(now, event);
    }

    fn handle_timeout(&mut self, now: Instant) {
        self.coordinator.handle_timeout(now);
    }

    fn next_timeout(&self) -> Option<Instant> {
        self.coordinator.next_timeout()
    }

    fn take_effects(&mut self) -> Vec<Effect> {
        self.coordinator.take_effects()
    }

    async fn happening(&mut self) {
        match self.completions.next().await {
            Some((ticket, failed)) => {
                let written = TransactionEvent::MarkersWritten { ticket, failed };
                self.coordinator.handle(self.markers.clock.instant(), Event::Own(written));
            }
            None => std::future::pending().await,
        }
    }

    fn work(shell: &mut Shell<Self>, work: Work) {
        match work {
            Work::WriteMarkers { ticket, markers } => {
                let marker = marker(&shell.log, markers);
                shell.coordinator.decided.push((ticket, marker));
            }
            // What is appended later is durable later: the reservation never comes after the record that uses the id.
            Work::AllocateProducerId { ticket } => {
                let allocated = shell.coordinator.markers.store.allocate_producer_id();
                let result = allocated.map(|(id, _)| id).map_err(|error| error_map::topic_error(&error));
                shell.handle(Event::Own(TransactionEvent::ProducerIdAllocated { ticket, result }));
            }
        }
    }

    /// The markers of all transactions that were decided go to the log together.
    fn carried_out(shell: &mut Shell<Self>) {
        let Self { markers, decided, completions, .. } = &mut shell.coordinator;
        if decided.is_empty() {
            return;
        }
        let (tickets, decided): (Vec<_>, Vec<_>) = std::mem::take(decided).into_iter().unzip();
        for (ticket, written) in tickets.into_iter().zip(markers.write(&decided)) {
            completions.push(Box::pin(async move { (ticket, unmarked(written.await)) }));
        }
    }
}

fn marker(log: &StateLog, markers: Markers) -> Marker {
    let Markers { coordinator_partition, producer, committed, partitions } = markers;
    let coordinator_epoch = log.partition(coordinator_partition).map_or(0, |log| log.leader_epoch());
    Marker { producer, coordinator_epoch, committed, partitions, guard: None }
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
