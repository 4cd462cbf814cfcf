//! The places of the load, and the orders that are there before it begins.

use std::time::Duration;

use anyhow::{Context as _, Result};
use compat_tests::load::{Places, create_topics};
use rdkafka::config::ClientConfig;
use rdkafka::error::{KafkaError, RDKafkaErrorCode};
use rdkafka::producer::{BaseProducer, BaseRecord, Producer as _};

/// The topic of all accounts.
pub(crate) const ACCOUNTS: &str = "money-accounts";
/// The topic of orders; partition n is for processor n.
pub(crate) const ORDERS: &str = "money-orders";

/// How much there is of everything.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Bank {
    /// Of the topic of accounts.
    pub(crate) partitions: i32,
    /// Account a is in partition `a % partitions`.
    pub(crate) accounts: i32,
    /// Workers with Java's producer, the first ones.
    pub(crate) java_movers: usize,
    /// Workers that carry out orders; they come after the others.
    pub(crate) processors: usize,
    /// All workers.
    pub(crate) workers: usize,
    /// Orders for each processor.
    pub(crate) orders: u32,
}

impl Bank {
    /// The partition of orders that `worker` carries out, if it does.
    pub(crate) fn order_partition(&self, worker: usize) -> Option<i32> {
        let processor = worker.checked_sub(self.workers - self.processors)?;
        i32::try_from(processor).ok().filter(|_| worker < self.workers)
    }

    /// Creates the topics and writes all orders.
    ///
    /// # Errors
    /// The broker refuses or does not answer.
    pub(crate) fn open(&self, address: &str) -> Result<()> {
        let accounts = Places { topics: vec![ACCOUNTS.to_owned()], partitions: self.partitions };
        create_topics(address, &accounts)?;
        if self.processors == 0 {
            return Ok(());
        }
        let partitions = i32::try_from(self.processors)?;
        create_topics(address, &Places { topics: vec![ORDERS.to_owned()], partitions })?;
        let mut config = client_config(address);
        let producer: BaseProducer = config.set("enable.idempotence", "true").create()?;
        for number in 0..self.orders {
            for partition in 0..partitions {
                let value = number.to_string();
                let mut record: BaseRecord<'_, (), str> =
                    BaseRecord::to(ORDERS).partition(partition).payload(&value);
                while let Err((error, back)) = producer.send(record) {
                    if error != KafkaError::MessageProduction(RDKafkaErrorCode::QueueFull) {
                        return Err(error).context("writing orders");
                    }
                    producer.poll(Duration::from_millis(10));
                    record = back;
                }
            }
        }
        producer.flush(Duration::from_secs(60)).context("writing orders")
    }
}

/// What all clients have in common: back at once after a restart, or the shortest rounds would see no load.
pub(crate) fn client_config(address: &str) -> ClientConfig {
    let mut config = ClientConfig::new();
    config.set("bootstrap.servers", address);
    config.set("reconnect.backoff.ms", "5").set("reconnect.backoff.max.ms", "50");
    config.set("retry.backoff.ms", "20");
    config
}
