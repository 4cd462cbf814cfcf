//! The shell around the group coordinator: one thread, one bounded mailbox, one timer.
//!
//! The only bridge between the pure coordinator and the log. Started by `Broker::open`, which waits until every partition
//! of `__consumer_offsets` is loaded; asked by the group API handlers through [`Groups`]. Invariants: events reach the
//! coordinator one at a time; an append's outcome is told only when the log has acknowledged it; appends of one partition
//! keep their order.

use std::collections::HashMap;
use std::io;
use std::sync::{Arc, Weak};
use std::thread;

use protocol::ErrorCode;
use storage::{Clock, Store, VerificationGuard};
use tokio::sync::{mpsc, oneshot};
use tokio::time::sleep_until;

use super::group::{
    CompleteTransaction, Effect, Event, GroupConfig, GroupCoordinator, Request, Response, TopicInfo,
    TxnOffsetCommit, WaiterId,
};
use super::load::Entry;
use super::partition_for;
use super::state_log::{EndsProcessOnPanic, Outcome, StateLog, TransactionalWrite, Write, now};
use crate::broker::Broker;
use crate::partition::Waits;
use crate::topics::{self, OFFSETS_TOPIC, TopicChanges};

/// Requests that may wait for the coordinator; senders wait beyond that.
const MAILBOX: usize = 4096;
/// Messages taken in before their effects are carried out together.
const ROUND: usize = 256;

enum Message {
    Request { request: Request, asker: Asker },
    TopicDeleted { topic: String },
    Stop,
}

/// Who waits for an answer.
struct Asker {
    answer: oneshot::Sender<Response>,
    /// For a commit in a transaction: that the transaction coordinator knows of it.
    verification: Option<VerificationGuard>,
}

/// The handlers' way to the coordinator.
#[derive(Debug, Clone)]
pub(crate) struct Groups {
    mailbox: mpsc::Sender<Message>,
    partitions: i32,
}

impl Groups {
    /// The partition of `__consumer_offsets` that holds the group.
    pub(crate) fn partition_of(&self, group_id: &str) -> i32 {
        partition_for(group_id, self.partitions)
    }

    /// Asks the coordinator. Requests sent one after the other are handled in that order.
    pub(crate) async fn ask(&self, request: Request) -> Response {
        self.ask_verified(request, None).await
    }

    /// Asks the coordinator to commit offsets in a transaction. `verification` as the partition of the group gave it: the
    /// log refuses to open a transaction without.
    pub(crate) async fn commit_in_transaction(
        &self,
        commit: TxnOffsetCommit,
        verification: Option<VerificationGuard>,
    ) -> Response {
        self.ask_verified(Request::TxnOffsetCommit(commit), verification).await
    }

    async fn ask_verified(&self, request: Request, verification: Option<VerificationGuard>) -> Response {
        let (answer, answered) = oneshot::channel();
        let message = Message::Request { request, asker: Asker { answer, verification } };
        self.send(message).await;
        answered
            .await
            .expect("the coordinator answers every request once, and stops after the last connection")
    }

    /// Ends a producer's transaction in a partition of `__consumer_offsets`: writes the marker, durable, and lets the
    /// offsets that it committed for groups count, or forgets them. Writing a marker a second time is harmless.
    ///
    /// # Errors
    /// `INVALID_PRODUCER_EPOCH` and `TRANSACTION_COORDINATOR_FENCED` when a newer one was written already;
    /// `COORDINATOR_LOAD_IN_PROGRESS` and `COORDINATOR_NOT_AVAILABLE` pass; `NOT_COORDINATOR` when the log has stopped or
    /// there is no such partition.
    pub(crate) async fn complete_transaction(
        &self,
        partition: i32,
        producer_id: i64,
        producer_epoch: i16,
        coordinator_epoch: i32,
        committed: bool,
    ) -> Result<(), ErrorCode> {
        let complete =
            CompleteTransaction { partition, producer_id, producer_epoch, coordinator_epoch, committed };
        match self.ask(Request::CompleteTransaction(complete)).await {
            Response::CompleteTransaction(ErrorCode::None) => Ok(()),
            Response::CompleteTransaction(error) => Err(error),
            other => unreachable!("the coordinator answered another question: {other:?}"),
        }
    }

    /// Has the offsets removed that groups committed for a topic that is gone.
    pub(crate) async fn topic_deleted(&self, topic: String) {
        let message = Message::TopicDeleted { topic };
        self.send(message).await;
    }
}

impl Groups {
    async fn send(&self, message: Message) {
        let sent = self.mailbox.send(message).await;
        assert!(sent.is_ok(), "the coordinator stops after the last connection");
    }

    /// Ends the coordinator's thread. Called once, outside of any runtime, when no connection is left.
    pub(crate) fn stop(&self) {
        if self.mailbox.blocking_send(Message::Stop).is_err() {
            tracing::debug!("the coordinator has ended already");
        }
    }
}

/// A coordinator whose partitions are loaded, ready to run.
pub(crate) struct Runtime {
    log: StateLog,
    store: Arc<Store>,
    topic_changes: Arc<TopicChanges>,
    coordinator: GroupCoordinator,
    mailbox: mpsc::Receiver<Message>,
    waiters: HashMap<WaiterId, Asker>,
    next_waiter: u64,
}

impl Runtime {
    /// Loads every partition of `__consumer_offsets`. `broker` is weak: the broker owns the handle, not the other way.
    pub(crate) fn load(
        broker: Weak<Broker>,
        store: &Arc<Store>,
        waits: &Arc<Waits>,
        clock: &Arc<dyn Clock>,
        topic_changes: &Arc<TopicChanges>,
        mut config: GroupConfig,
    ) -> (Self, Groups) {
        if let Some(topic) = store.topic(OFFSETS_TOPIC) {
            // Groups stay where they are when the configured number changes later.
            config.partitions = i32::try_from(topic.partition_count()).unwrap_or(config.partitions);
        }
        let partitions = config.partitions;
        let (sender, mailbox) = mpsc::channel(MAILBOX);
        let mut runtime = Self {
            log: StateLog::new((OFFSETS_TOPIC, topics::create_internal), broker, store, waits, clock),
            store: Arc::clone(store),
            topic_changes: Arc::clone(topic_changes),
            coordinator: GroupCoordinator::new(config, now(), clock.now_ms()),
            mailbox,
            waiters: HashMap::new(),
            next_waiter: 0,
        };
        for topic in store.topics() {
            runtime.topic_changed(topic.name());
        }
        for partition in 0..partitions {
            runtime.load_partition(partition);
        }
        (runtime, Groups { mailbox: sender, partitions })
    }

    /// Runs until it is stopped or the last [`Groups`] is dropped.
    ///
    /// # Errors
    /// When the system gives no thread.
    pub(crate) fn spawn(self) -> io::Result<thread::JoinHandle<()>> {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_time().build()?;
        thread::Builder::new().name("groups".to_owned()).spawn(move || {
            let _guard = EndsProcessOnPanic("groups");
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
            () = self.topic_changes.wait() => self.take_in_topic_changes(),
            () = timer => self.coordinator.handle_timeout(now()),
            outcome = settled => {
                let settled = self.log.take_settled(outcome);
                self.tell(settled);
            }
        }
        true
    }

    /// False for `Stop`.
    fn take_in(&mut self, message: Message) -> bool {
        self.take_in_topic_changes();
        match message {
            Message::Request { request, asker } => {
                let is_transactional =
                    matches!(request, Request::TxnOffsetCommit(_) | Request::CompleteTransaction(_));
                self.next_waiter += 1;
                let waiter = WaiterId(self.next_waiter);
                self.waiters.insert(waiter, asker);
                self.handle(Event::Request { waiter, request });
                if is_transactional {
                    // The log's answer comes before any other event.
                    self.carry_out_effects();
                }
            }
            Message::TopicDeleted { topic } => self.handle(Event::TopicDeleted { topic }),
            Message::Stop => return false,
        }
        true
    }

    fn take_in_topic_changes(&mut self) {
        for name in self.topic_changes.take() {
            self.topic_changed(&name);
        }
    }

    /// Tells the coordinator what a topic is at this moment.
    fn topic_changed(&mut self, name: &str) {
        let info = self.store.topic(name).map(|topic| TopicInfo {
            id: topic.id(),
            partitions: i32::try_from(topic.partition_count()).unwrap_or(i32::MAX),
        });
        self.handle(Event::TopicChanged { topic: name.to_owned(), info });
    }

    fn handle(&mut self, event: Event) {
        self.coordinator.handle(now(), event);
    }

    fn tell(&mut self, outcomes: Vec<Outcome>) {
        for (ticket, result) in outcomes {
            self.handle(Event::AppendOutcome { ticket, result });
        }
    }

    /// Until nothing is left to do at once: carrying out effects can cause new ones.
    fn carry_out_effects(&mut self) {
        self.handle(Event::WallClock { epoch_ms: self.log.wall_clock_ms() });
        loop {
            let effects = self.coordinator.take_effects();
            let idle = effects.is_empty();
            let mut writes = Vec::new();
            for effect in effects {
                match effect {
                    Effect::Respond { waiter, response } => self.respond(waiter, response),
                    Effect::Append { partition, records, ticket } => {
                        writes.push(Write { partition, ticket, records });
                    }
                    Effect::AppendTransactional { partition, producer, content, waiter, ticket } => {
                        self.write(std::mem::take(&mut writes));
                        let verification = self.waiters.get(&waiter).and_then(|asker| asker.verification);
                        let write = TransactionalWrite { partition, ticket, producer, content, verification };
                        let result = self.log.write_transactional(write);
                        self.handle(Event::AppendTried { ticket, result });
                    }
                    Effect::Reload { partition } => self.log.reload(partition),
                }
            }
            self.write(writes);
            let reloaded = self.reload();
            if idle && !reloaded {
                return;
            }
        }
    }

    fn write(&mut self, writes: Vec<Write>) {
        let failed = self.log.write(writes);
        self.tell(failed);
    }

    fn respond(&mut self, waiter: WaiterId, response: Response) {
        let asker = self.waiters.remove(&waiter).expect("the coordinator answers every waiter once");
        if asker.answer.send(response).is_err() {
            tracing::debug!(waiter = waiter.0, "the client left before its answer");
        }
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
        let loaded = self.log.read_entries(partition, |entry| {
            let event = match entry {
                Entry::Record { producer_id: None, key, value } => {
                    Event::LoadRecord { partition, key, value }
                }
                Entry::Record { producer_id: Some(producer_id), key, value } => {
                    Event::LoadTransactionalRecord { partition, producer_id, key, value }
                }
                Entry::Marker { producer_id, committed } => {
                    Event::LoadMarker { partition, producer_id, committed }
                }
            };
            coordinator.handle(now(), event);
        });
        if let Err(error) = loaded {
            // Answering from half a partition would hand out offsets that are too old.
            tracing::error!(partition, %error, "{OFFSETS_TOPIC} cannot be read; its groups stay unavailable");
            return;
        }
        self.handle(Event::LoadFinished { partition });
    }
}
