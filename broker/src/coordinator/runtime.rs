//! The group coordinator in its shell: what the handlers ask it, how it hears of topics, its appends to transactions.
//!
//! Started by `Broker::open`, which waits until every partition of `__consumer_offsets` is loaded; asked by the group API
//! handlers through [`Groups`].

use std::sync::{Arc, Weak};
use std::time::Instant;

use protocol::ErrorCode;
use storage::{Clock, Store, VerificationGuard};

use super::group::{
    CompleteTransaction, Effect, Event, GroupConfig, GroupCoordinator, GroupEvent, Request, Response,
    TopicInfo, TransactionalAppend, TxnOffsetCommit,
};
use super::load::Entry;
use super::partition_for;
use super::shell::{Coordinator, Mailbox, Shell, unexpected};
use super::state_log::StateLog;
use crate::broker::Broker;
use crate::partition::Waits;
use crate::topics::{self, OFFSETS_TOPIC, TopicChanges};

/// The handlers' way to the coordinator.
#[derive(Debug, Clone)]
pub(crate) struct Groups {
    mailbox: Mailbox<GroupRuntime>,
    partitions: i32,
}

impl Groups {
    /// The partition of `__consumer_offsets` that holds the group.
    pub(crate) fn partition_of(&self, group_id: &str) -> i32 {
        partition_for(group_id, self.partitions)
    }

    /// Asks the coordinator. Requests sent one after the other are handled in that order.
    pub(crate) async fn ask(&self, request: Request) -> Response {
        self.mailbox.ask(request, None).await
    }

    /// Asks the coordinator to commit offsets in a transaction. `verification` as the partition of the group gave it: the
    /// log refuses to open a transaction without.
    pub(crate) async fn commit_in_transaction(
        &self,
        commit: TxnOffsetCommit,
        verification: Option<VerificationGuard>,
    ) -> Response {
        self.mailbox.ask(Request::TxnOffsetCommit(commit), verification).await
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
        complete: CompleteTransaction,
        guard: Option<VerificationGuard>,
    ) -> Result<(), ErrorCode> {
        match self.mailbox.ask(Request::CompleteTransaction(complete), guard).await {
            Response::CompleteTransaction(ErrorCode::None) => Ok(()),
            Response::CompleteTransaction(error) => Err(error),
            other => unexpected(&other),
        }
    }

    /// Has the offsets removed that groups committed for a topic that is gone.
    pub(crate) async fn topic_deleted(&self, topic: String) {
        self.mailbox.tell(GroupEvent::TopicDeleted { topic }).await;
    }

    /// Has the coordinator act upon what is over by now, because the clock was moved.
    pub(crate) async fn clock_moved(&self) {
        self.mailbox.clock_moved().await;
    }

    /// Ends the coordinator's thread. Called once, outside of any runtime, when no connection is left.
    pub(crate) fn stop(&self) {
        self.mailbox.stop();
    }
}

/// The coordinator and the topics that it is told of.
pub(crate) struct GroupRuntime {
    store: Arc<Store>,
    topic_changes: Arc<TopicChanges>,
    clock: Arc<dyn Clock>,
    coordinator: GroupCoordinator,
}

impl GroupRuntime {
    /// Loads every partition of `__consumer_offsets`. `broker` is weak: the broker owns the handle, not the other way.
    pub(crate) fn load(
        broker: Weak<Broker>,
        store: &Arc<Store>,
        waits: &Arc<Waits>,
        clock: &Arc<dyn Clock>,
        topic_changes: &Arc<TopicChanges>,
        mut config: GroupConfig,
    ) -> (Shell<Self>, Groups) {
        if let Some(topic) = store.topic(OFFSETS_TOPIC) {
            // Groups stay where they are when the configured number changes later.
            config.partitions = i32::try_from(topic.partition_count()).unwrap_or(config.partitions);
        }
        let partitions = config.partitions;
        let log = StateLog::new((OFFSETS_TOPIC, topics::create_internal), broker, store, waits, clock);
        let coordinator = GroupCoordinator::new(config, clock.instant(), clock.now_ms());
        let (store, topic_changes) = (Arc::clone(store), Arc::clone(topic_changes));
        let mut groups = Self { store, topic_changes, clock: Arc::clone(clock), coordinator };
        for topic in groups.store.topics() {
            groups.topic_changed(topic.name());
        }
        let (shell, mailbox) = Shell::load(groups, log, partitions);
        (shell, Groups { mailbox, partitions })
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
        let changed = GroupEvent::TopicChanged { topic: name.to_owned(), info };
        self.coordinator.handle(self.clock.instant(), Event::Own(changed));
    }
}

impl Coordinator for GroupRuntime {
    type Request = Request;
    type Response = Response;
    type Event = GroupEvent;
    type Work = TransactionalAppend;
    const NAME: &'static str = "groups";

    fn handle(&mut self, now: Instant, event: Event) {
        if matches!(event, Event::Request { .. } | Event::Own(GroupEvent::TopicDeleted { .. })) {
            self.take_in_topic_changes();
        }
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

    /// The log's answer comes before any other event.
    fn is_urgent(request: &Request) -> bool {
        matches!(request, Request::TxnOffsetCommit(_) | Request::CompleteTransaction(_))
    }

    fn loaded(partition: i32, entry: Entry) -> Option<Event> {
        Some(match entry {
            Entry::Record { producer_id: None, key, value } => Event::LoadRecord { partition, key, value },
            Entry::Record { producer_id: Some(producer_id), key, value } => {
                Event::Own(GroupEvent::LoadTransactionalRecord { partition, producer_id, key, value })
            }
            Entry::Marker { producer_id, committed } => {
                Event::Own(GroupEvent::LoadMarker { partition, producer_id, committed })
            }
        })
    }

    async fn happening(&mut self) {
        self.topic_changes.wait().await;
        self.take_in_topic_changes();
    }

    fn work(shell: &mut Shell<Self>, append: TransactionalAppend) {
        shell.write();
        let (ticket, verification) = (append.ticket, shell.verification(append.waiter));
        let result = shell.log.write_transactional(append, verification);
        shell.handle(Event::Own(GroupEvent::AppendTried { ticket, result }));
    }
}
