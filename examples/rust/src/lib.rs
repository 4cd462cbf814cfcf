//! An order service: reads `orders`, writes an invoice for each to `invoices`, and puts what is no order into
//! `orders.rejected`.
//!
//! Invariant: an order is committed once its invoice is acknowledged. After a crash it may be invoiced again, but never lost.

use std::time::Duration;

use anyhow::{Context as _, Result, anyhow};
use rdkafka::ClientConfig;
use rdkafka::consumer::{BaseConsumer, CommitMode, Consumer as _};
use rdkafka::message::Message as _;
use rdkafka::producer::{BaseRecord, DefaultProducerContext, Producer as _, ThreadedProducer};
use serde::{Deserialize, Serialize};

const ACKNOWLEDGED: Duration = Duration::from_secs(10);

/// What an order costs.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Invoice {
    /// The order's name.
    pub order: String,
    /// What is to be paid.
    pub cents: u64,
}

#[derive(Debug, Deserialize)]
struct Order {
    id: String,
    lines: Vec<Line>,
}

#[derive(Debug, Deserialize)]
struct Line {
    cents: u64,
    quantity: u64,
}

/// `None` when `bytes` are no order.
fn invoice_for(bytes: &[u8]) -> Option<Invoice> {
    let order: Order = serde_json::from_slice(bytes).ok()?;
    let mut cents = order.lines.iter().map(|line| line.cents.checked_mul(line.quantity));
    let cents = cents.try_fold(0_u64, |sum, cents| sum.checked_add(cents?))?;
    (cents > 0).then_some(Invoice { order: order.id, cents })
}

/// A member of the group `order-service`.
pub struct OrderService {
    consumer: BaseConsumer,
    producer: ThreadedProducer<DefaultProducerContext>,
}

impl OrderService {
    /// Joins the group.
    ///
    /// # Errors
    /// The client refuses its settings.
    pub fn new(bootstrap_servers: &str) -> Result<Self> {
        let mut config = ClientConfig::new();
        config.set("bootstrap.servers", bootstrap_servers);
        let producer = config.clone().set("enable.idempotence", "true").create()?;
        let consumer: BaseConsumer = config
            .set("group.id", "order-service")
            .set("auto.offset.reset", "earliest")
            .set("enable.auto.commit", "false")
            .create()?;
        consumer.subscribe(&["orders"])?;
        Ok(Self { consumer, producer })
    }

    /// Handles one order; whether there was one. Ends before `timeout` when something else happens, such as a rebalance.
    ///
    /// # Errors
    /// Kafka refuses to read, write or commit.
    pub fn handle_next(&self, timeout: Duration) -> Result<bool> {
        let Some(message) = self.consumer.poll(timeout) else { return Ok(false) };
        let message = message?;
        let payload = message.payload().unwrap_or_default();
        let (topic, value) = match invoice_for(payload) {
            Some(invoice) => ("invoices", serde_json::to_vec(&invoice)?),
            None => ("orders.rejected", payload.to_vec()),
        };
        let record = BaseRecord::to(topic).key(message.key().unwrap_or_default()).payload(&value);
        self.producer.send(record).map_err(|(error, _)| anyhow!(error))?;
        self.producer.flush(ACKNOWLEDGED).context("the invoice was not acknowledged")?;
        self.consumer.commit_message(&message, CommitMode::Sync)?;
        Ok(true)
    }
}
