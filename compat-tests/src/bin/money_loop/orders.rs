//! One processor's orders: read from where its group stands, in order, each once for each attempt.

use std::time::Duration;

use anyhow::{Context as _, Result, ensure};
use compat_tests::clock;
use rdkafka::consumer::{BaseConsumer, Consumer as _, ConsumerGroupMetadata};
use rdkafka::error::KafkaError;
use rdkafka::message::Message as _;
use rdkafka::{Offset, TopicPartitionList};

use crate::bank::{ORDERS, client_config};

const PATIENCE: Duration = Duration::from_secs(60);
const CALL_LIMIT: Duration = Duration::from_secs(5);
/// How long a transaction waits for orders.
const WAIT: Duration = Duration::from_millis(20);

/// The orders of one partition, from the committed offset on.
pub(crate) struct Orders {
    consumer: BaseConsumer,
    partition: i32,
    /// The first order that is not carried out.
    position: i64,
    /// The first that was not taken.
    taken: i64,
}

impl Orders {
    /// Asks the group of `worker` where it stands. A transaction that is still open there holds the answer back.
    ///
    /// # Errors
    /// The broker does not answer within a minute.
    pub(crate) fn open(address: &str, worker: usize, partition: i32) -> Result<Self> {
        let mut config = client_config(address);
        config.set("group.id", format!("money-processor-{worker}")).set("isolation.level", "read_committed");
        config.set("enable.auto.commit", "false").set("auto.offset.reset", "error");
        let consumer: BaseConsumer = config.create()?;
        let position = committed(&consumer, partition)?;
        // Once for each consumer: librdkafka 2.12 may fail an assertion when a partition is assigned again.
        let mut assignment = TopicPartitionList::new();
        assignment.add_partition_offset(ORDERS, partition, Offset::Offset(position))?;
        consumer.assign(&assignment)?;
        Ok(Self { consumer, partition, position, taken: position })
    }

    /// The first order that the group has not committed.
    pub(crate) fn position(&self) -> i64 {
        self.position
    }

    /// Up to `most` orders; none when none comes in time.
    ///
    /// # Errors
    /// Orders come that were not due.
    pub(crate) fn take(&mut self, most: usize) -> Result<Vec<i64>> {
        let mut orders = Vec::new();
        let begin = clock::now();
        while orders.len() < most && begin.elapsed() < WAIT {
            // Errors here are the broker being away.
            let Some(Ok(message)) = self.consumer.poll(WAIT) else { continue };
            let (offset, due) = (message.offset(), self.taken);
            ensure!(offset == due, "order {offset} of partition {} came where {due} was due", self.partition);
            self.taken += 1;
            orders.push(offset);
        }
        Ok(orders)
    }

    /// What a transaction commits for the taken orders.
    ///
    /// # Errors
    /// librdkafka refuses the offset, or the consumer is closed.
    pub(crate) fn progress(&self) -> Result<(TopicPartitionList, ConsumerGroupMetadata)> {
        let mut offsets = TopicPartitionList::new();
        offsets.add_partition_offset(ORDERS, self.partition, Offset::Offset(self.taken))?;
        Ok((offsets, self.consumer.group_metadata().context("a consumer without a group")?))
    }

    /// The taken orders are carried out.
    pub(crate) fn done(&mut self) {
        self.position = self.taken;
    }

    /// The taken orders are not carried out: their transaction is aborted. A new reader takes them again.
    ///
    /// # Errors
    /// As [`Orders::open`], or the group has moved with the aborted transaction.
    pub(crate) fn again(&mut self, address: &str, worker: usize) -> Result<()> {
        let next = Self::open(address, worker, self.partition)?;
        let (before, after) = (self.position, next.position);
        ensure!(after == before, "an aborted transaction moved the group from {before} to {after}");
        *self = next;
        Ok(())
    }
}

/// Asks until an answer comes: the coordinator may be loading, the broker away.
fn committed(consumer: &BaseConsumer, partition: i32) -> Result<i64> {
    let mut asked = TopicPartitionList::new();
    asked.add_partition(ORDERS, partition);
    let mut last: Option<KafkaError> = None;
    let found = clock::poll_until(PATIENCE, Duration::from_millis(20), || {
        let answer = consumer.committed_offsets(asked.clone(), CALL_LIMIT).and_then(|list| {
            let element = list.elements().into_iter().next();
            element.map_or(Ok(Offset::Invalid), |element| element.error().map(|()| element.offset()))
        });
        match answer {
            Ok(Offset::Offset(offset)) => Ok(Some(offset)),
            Ok(_) => Ok(Some(0)),
            Err(error) => {
                last = Some(error);
                Ok(None)
            }
        }
    })?;
    found.with_context(|| format!("no committed offset of partition {partition}: {last:?}"))
}
