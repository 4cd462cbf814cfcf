//! A coordinator's own topic as its shell uses it: appends with an outcome for each, reloads, reading back.
//!
//! Owned by the shell. Invariants: an append's outcome is told only when the log has acknowledged
//! it; appends of one partition keep their order; a partition is read again only when no append to it is under way.

use std::collections::VecDeque;
use std::future::Future;
use std::sync::{Arc, Weak};
use std::time::{Duration, Instant};

use protocol::ErrorCode;
use protocol::record_batch_builder::RecordBatchBuilder;
use storage::{Append, Clock, PartitionLog, Position, Store, Topic, ValidBatch, VerificationGuard};

use super::effect::{CoordinatorRecord, Ticket, TransactionalContent};
use super::group::TransactionalAppend;
use super::load::{self, Entry, LoadError};
use crate::broker::Broker;
use crate::error_map;
use crate::partition::Waits;
use crate::topics::CreateError;

/// What became of an append.
pub(super) type Outcome = (Ticket, Result<(), ErrorCode>);

/// Makes the topic when the first record is written.
pub(super) type Create = fn(&Broker) -> Result<(Arc<Topic>, Position), CreateError>;

/// One append that a coordinator wants.
pub(super) struct Write {
    pub(super) partition: i32,
    pub(super) ticket: Ticket,
    pub(super) records: Vec<CoordinatorRecord>,
}

/// What coordinators append is not numbered: they never send anything twice.
const NO_SEQUENCE: i32 = -1;

pub(super) struct StateLog {
    topic: &'static str,
    create: Create,
    /// Weak: the broker owns the coordinators' handles, not the other way.
    broker: Weak<Broker>,
    store: Arc<Store>,
    waits: Arc<Waits>,
    clock: Arc<dyn Clock>,
    /// Appends that are not acknowledged yet, in the order of their positions.
    appended: VecDeque<Appended>,
    reloads: Vec<i32>,
}

struct Appended {
    end: Position,
    partition: i32,
    ticket: Ticket,
}

impl StateLog {
    pub(super) fn new(
        (topic, create): (&'static str, Create),
        broker: Weak<Broker>,
        store: &Arc<Store>,
        waits: &Arc<Waits>,
        clock: &Arc<dyn Clock>,
    ) -> Self {
        Self {
            topic,
            create,
            broker,
            store: Arc::clone(store),
            waits: Arc::clone(waits),
            clock: Arc::clone(clock),
            appended: VecDeque::new(),
            reloads: Vec::new(),
        }
    }

    pub(super) const fn topic(&self) -> &'static str {
        self.topic
    }

    pub(super) fn wall_clock_ms(&self) -> i64 {
        self.clock.now_ms()
    }

    /// The same clock, for deadlines.
    pub(super) fn now(&self) -> Instant {
        self.clock.instant()
    }

    /// How long to sleep until `deadline`, unless the clock is moved meanwhile.
    pub(super) fn until(&self, deadline: Instant) -> Duration {
        deadline.saturating_duration_since(self.now())
    }

    /// Resolves when the oldest append is settled; never when none is under way.
    pub(super) fn oldest_settled(&self) -> impl Future<Output = Result<(), ErrorCode>> + use<> {
        let oldest = self.appended.front().map(|append| self.waits.acknowledged(append.end));
        async {
            match oldest {
                Some(oldest) => oldest.await.map_err(|_| ErrorCode::KafkaStorageError),
                None => std::future::pending().await,
            }
        }
    }

    /// Takes every append that the log has acknowledged by now; all, when `outcome` says that it has stopped.
    pub(super) fn take_settled(&mut self, outcome: Result<(), ErrorCode>) -> Vec<Outcome> {
        let acknowledged = self.store.acknowledged();
        let mut settled = Vec::new();
        while let Some(append) =
            self.appended.pop_front_if(|append| outcome.is_err() || append.end <= acknowledged)
        {
            settled.push((append.ticket, outcome));
        }
        settled
    }

    /// Appends all records as one group in the log. Returns those that failed at once.
    pub(super) fn write(&mut self, writes: Vec<Write>) -> Vec<Outcome> {
        let mut failed = Vec::new();
        let mut appends = Vec::with_capacity(writes.len());
        let mut places = Vec::with_capacity(writes.len());
        for Write { partition, ticket, records } in writes {
            match self.partition_or_create(partition) {
                Ok(log) => {
                    appends.push(Append::new(log, self.batch(&records)));
                    places.push((partition, ticket));
                }
                Err(error) => failed.push((ticket, Err(error))),
            }
        }
        if appends.is_empty() {
            return failed;
        }
        for ((partition, ticket), outcome) in places.into_iter().zip(self.store.append(appends)) {
            match outcome {
                Ok(appended) => self.appended.push_back(Appended { end: appended.end, partition, ticket }),
                Err(error) => failed.push((ticket, Err(error_map::append_error(&error)))),
            }
        }
        failed
    }

    /// Appends to a producer's transaction, or its end, after everything that was written before. The error is the log's
    /// answer; an outcome follows only for what it took.
    pub(super) fn write_transactional(
        &mut self,
        append: TransactionalAppend,
        verification: Option<VerificationGuard>,
    ) -> Result<(), ErrorCode> {
        let TransactionalAppend { partition, ticket, producer, content, .. } = append;
        let (producer_id, producer_epoch) = producer;
        let batch = match content {
            TransactionalContent::Records(records) => {
                let producer = RecordBatchBuilder::new(0).producer(producer_id, producer_epoch, NO_SEQUENCE);
                self.filled(producer.transactional(), &records)
            }
            TransactionalContent::Marker(marker) => {
                let marker = marker.build(producer_id, producer_epoch, self.clock.now_ms());
                ValidBatch::new(marker).expect("the builder makes valid batches")
            }
        };
        let append = Append::new(self.partition_or_create(partition)?, batch).verified(verification);
        let outcome = self.store.append(vec![append]).pop().expect("one outcome for each append");
        let end = outcome.map_err(|error| error_map::append_error(&error))?.end;
        self.appended.push_back(Appended { end, partition, ticket });
        Ok(())
    }

    fn batch(&self, records: &[CoordinatorRecord]) -> ValidBatch {
        self.filled(RecordBatchBuilder::new(0), records)
    }

    fn filled(&self, mut builder: RecordBatchBuilder, records: &[CoordinatorRecord]) -> ValidBatch {
        let timestamp = self.clock.now_ms();
        for record in records {
            builder.append(timestamp, Some(&record.key), record.value.as_deref());
        }
        ValidBatch::new(builder.build()).expect("the builder makes valid batches")
    }

    /// The partition's log, if the topic exists.
    pub(super) fn partition(&self, partition: i32) -> Option<Arc<PartitionLog>> {
        self.store.topic(self.topic)?.partition(partition)
    }

    /// The partition's log; the topic is made when it is missing.
    pub(super) fn partition_or_create(&self, partition: i32) -> Result<Arc<PartitionLog>, ErrorCode> {
        if self.store.topic(self.topic).is_none() {
            let broker = self.broker.upgrade().ok_or(ErrorCode::CoordinatorNotAvailable)?;
            // Another thread may be faster: then it exists, which is all that is wanted.
            if let Err(error) = (self.create)(&broker) {
                tracing::debug!(%error, topic = self.topic, "the coordinator's topic was not created here");
            }
        }
        self.partition(partition).ok_or(ErrorCode::CoordinatorNotAvailable)
    }

    /// The partition is to be read again once its appends are settled.
    pub(super) fn reload(&mut self, partition: i32) {
        self.reloads.push(partition);
    }

    /// Takes the partitions to read again whose appends are all settled.
    pub(super) fn take_reloads(&mut self) -> Vec<i32> {
        let appended = &self.appended;
        let settled = |partition: &mut i32| appended.iter().all(|append| append.partition != *partition);
        self.reloads.extract_if(.., settled).collect()
    }

    /// Shows every record and every marker of the partition in log order.
    pub(super) fn read(&self, partition: i32, visit: impl FnMut(Entry)) -> Result<(), LoadError> {
        match self.partition(partition) {
            Some(log) => load::each_entry(&self.store, &log, visit),
            None => Ok(()),
        }
    }
}
