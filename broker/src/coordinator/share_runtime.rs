//! The share coordinator in its shell: what the handlers ask it, who is told that records can be had again, what of its
//! topic is cut off.
//!
//! Started by `Broker::open`, which waits until every partition of `__share_group_state` is loaded; asked by the handlers
//! through [`SharePartitions`].

use std::collections::HashMap;
use std::sync::{Arc, Weak};
use std::time::Instant;

use futures_util::future::join_all;
use protocol::ErrorCode;
use storage::{Clock, Offset, Store};
use uuid::Uuid;

use super::share::{
    Acknowledge, Acquire, Acquired, Effect, Event, Key, Limits, Position, Positions, Refusal, Request,
    Response, ShareConfig, ShareCoordinator, ShareEvent, Summary, Work,
};
use super::shell::{Coordinator, Mailbox, Shell, unexpected};
use super::state_log::StateLog;
use crate::broker::Broker;
use crate::partition::Waits;
use crate::topics::{self, SHARE_STATE_TOPIC};

/// The handlers' way to the coordinator.
#[derive(Debug, Clone)]
pub(crate) struct SharePartitions(Mailbox<ShareRuntime>);

impl SharePartitions {
    /// Has `group` read each topic's partition from the offset on, -1 to choose at the first fetch; what was in flight is
    /// forgotten. Saying the same again changes nothing.
    ///
    /// # Errors
    /// The first one: `FENCED_STATE_EPOCH` when a newer one is known; `INVALID_REQUEST`; `COORDINATOR_NOT_AVAILABLE`,
    /// `COORDINATOR_LOAD_IN_PROGRESS` and `NOT_COORDINATOR` for what could not be written.
    pub(crate) async fn initialize(
        &self,
        group: &str,
        state_epoch: i32,
        partitions: Vec<(Uuid, i32, i64)>,
    ) -> Result<(), ErrorCode> {
        let group: Arc<str> = group.into();
        let done = join_all(partitions.into_iter().map(|(topic, partition, start_offset)| {
            let key = Key { group: Arc::clone(&group), topic, partition };
            self.done(Request::Initialize { key, state_epoch, start_offset })
        }));
        done.await.into_iter().collect()
    }

    /// What the log says of share partitions, in their order; `None` for one that was never initialized.
    pub(crate) async fn summary(
        &self,
        group: &str,
        partitions: Vec<(Uuid, i32)>,
    ) -> Vec<Result<Option<Summary>, ErrorCode>> {
        let group: Arc<str> = group.into();
        let summaries = partitions.into_iter().map(|(topic, partition)| {
            let key = Key { group: Arc::clone(&group), topic, partition };
            async {
                match self.ask(Request::Summary { key }).await {
                    Response::Summary(summary) => summary,
                    other => unexpected(&other),
                }
            }
        });
        join_all(summaries).await
    }

    /// Forgets share partitions; NONE for one that is not there.
    pub(crate) async fn delete(&self, group: &str, partitions: Vec<(Uuid, i32)>) -> Vec<ErrorCode> {
        let group: Arc<str> = group.into();
        let done = join_all(partitions.into_iter().map(|(topic, partition)| {
            self.done(Request::Delete { key: Key { group: Arc::clone(&group), topic, partition } })
        }));
        done.await.into_iter().map(|done| done.err().unwrap_or(ErrorCode::None)).collect()
    }

    /// Forgets what every group has of a topic that is gone.
    pub(crate) async fn topic_deleted(&self, topic: Uuid) {
        if let Err(error) = self.done(Request::DeleteTopic { topic }).await {
            tracing::debug!(%error, %topic, "share partitions of a deleted topic are left");
        }
    }

    /// Where the next records to deliver are.
    pub(crate) async fn positions(&self, asked: Positions) -> Vec<Result<Position, ErrorCode>> {
        match self.ask(Request::Positions(asked)).await {
            Response::Positions(positions) => positions,
            other => unexpected(&other),
        }
    }

    /// The first fetch chose where the group begins.
    pub(crate) async fn start(&self, key: Key, offset: Offset) -> Result<(), ErrorCode> {
        self.done(Request::Start { key, offset }).await
    }

    /// A member takes records.
    pub(crate) async fn acquire(&self, acquire: Acquire) -> Vec<Result<Vec<Acquired>, ErrorCode>> {
        match self.ask(Request::Acquire(acquire)).await {
            Response::Acquired(acquired) => acquired,
            other => unexpected(&other),
        }
    }

    /// A member answers for records; what it said is durable when this returns.
    ///
    /// # Errors
    /// `INVALID_RECORD_STATE`, `INVALID_REQUEST`, or that it could not be written.
    pub(crate) async fn acknowledge(&self, acknowledge: Acknowledge) -> Result<(), Refusal> {
        match self.ask(Request::Acknowledge(acknowledge)).await {
            Response::Acknowledged(outcome) => outcome,
            other => unexpected(&other),
        }
    }

    /// A member holds nothing any more.
    ///
    /// # Errors
    /// When that could not be written.
    pub(crate) async fn release(&self, key: Key, member: Arc<str>, limits: Limits) -> Result<(), ErrorCode> {
        self.done(Request::Release { key, member, limits }).await
    }

    /// Has the coordinator act upon what is over by now, because the clock was moved.
    pub(crate) async fn clock_moved(&self) {
        self.0.clock_moved().await;
    }

    /// Ends the coordinator's thread. Called once, outside of any runtime, when no connection is left.
    pub(crate) fn stop(&self) {
        self.0.stop();
    }

    async fn ask(&self, request: Request) -> Response {
        self.0.ask(request, None).await
    }

    async fn done(&self, request: Request) -> Result<(), ErrorCode> {
        match self.ask(request).await {
            Response::Done(done) => done,
            other => unexpected(&other),
        }
    }
}

/// The coordinator and what it acts upon.
pub(crate) struct ShareRuntime {
    store: Arc<Store>,
    waits: Arc<Waits>,
    coordinator: ShareCoordinator,
    /// By partition of `__share_group_state`: everything is said again from this offset on.
    marks: HashMap<i32, Offset>,
}

impl ShareRuntime {
    /// Loads every partition of `__share_group_state`. `broker` is weak: the broker owns the handle, not the other way.
    pub(crate) fn load(
        broker: Weak<Broker>,
        (store, waits, clock): (&Arc<Store>, &Arc<Waits>, &Arc<dyn Clock>),
        mut config: ShareConfig,
    ) -> (Shell<Self>, SharePartitions) {
        if let Some(topic) = store.topic(SHARE_STATE_TOPIC) {
            // Share partitions stay where they are when the configured number changes later.
            config.partitions = i32::try_from(topic.partition_count()).unwrap_or(config.partitions);
        }
        let partitions = config.partitions;
        let topic = (SHARE_STATE_TOPIC, topics::create_share_state as _);
        let log = StateLog::new(topic, broker, store, waits, clock);
        let coordinator = ShareCoordinator::new(config, clock.instant(), clock.now_ms());
        let (store, waits, marks) = (Arc::clone(store), Arc::clone(waits), HashMap::new());
        let (shell, mailbox) = Shell::load(Self { store, waits, coordinator, marks }, log, partitions);
        (shell, SharePartitions(mailbox))
    }
}

impl Coordinator for ShareRuntime {
    type Request = Request;
    type Response = Response;
    type Event = ShareEvent;
    type Work = Work;
    const NAME: &'static str = "shares";

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
        std::future::pending().await
    }

    fn work(shell: &mut Shell<Self>, work: Work) {
        match work {
            Work::Available { topic, partition } => {
                let runtime = &shell.coordinator;
                let log = runtime.store.topic_by_id(topic).and_then(|topic| topic.partition(partition));
                if let Some(log) = log {
                    runtime.waits.partition_changed(&log);
                }
            }
            Work::Mark { partition } => {
                // Nobody else writes there: what is appended next begins at the end.
                shell.write();
                if let Some(log) = shell.log.partition(partition) {
                    shell.coordinator.marks.insert(partition, log.log_end_offset());
                }
            }
            Work::Cut { partition } => {
                let (Some(mark), Some(log)) =
                    (shell.coordinator.marks.remove(&partition), shell.log.partition(partition))
                else {
                    return;
                };
                if let Err(error) = shell.coordinator.store.advance_log_start(&log, mark) {
                    tracing::warn!(partition, %error, "the front of __share_group_state was not cut off");
                }
            }
        }
    }
}
