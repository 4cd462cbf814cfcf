//! The verb `produce`: all records into one producer, and what became of each.

use std::sync::{Arc, Mutex, PoisonError};

use anyhow::{Result, bail};
use compat_tests::record::{Bytes, Delivery, Record};
use rdkafka::ClientContext;
use rdkafka::config::ClientConfig;
use rdkafka::error::KafkaError;
use rdkafka::message::{DeliveryResult, Header, Message as _, OwnedHeaders};
use rdkafka::producer::{BaseRecord, NoCustomPartitioner, ProducerContext, ThreadedProducer};
use rdkafka::types::RDKafkaErrorCode;
use serde::Deserialize;
use serde_json::Value;

#[derive(Deserialize)]
pub(crate) struct Arguments {
    records: Vec<Record>,
    options: Options,
}

#[derive(Deserialize)]
struct Options {
    compression: Option<String>,
    idempotent: bool,
    batch_records: Option<usize>,
    max_request_bytes: Option<usize>,
    request_timeout_ms: Option<u64>,
}

/// Deliveries by the record's number.
struct Deliveries(Arc<Mutex<Vec<Option<Delivery>>>>);

impl ClientContext for Deliveries {}

impl ProducerContext<NoCustomPartitioner> for Deliveries {
    type DeliveryOpaque = Box<usize>;

    fn delivery(&self, result: &DeliveryResult<'_>, number: Box<usize>) {
        let delivery = match result {
            Ok(message) => {
                Delivery::Acknowledged { partition: message.partition(), offset: message.offset() }
            }
            Err((error, _)) => refused(error),
        };
        if let Some(place) = self.0.lock().unwrap_or_else(PoisonError::into_inner).get_mut(*number) {
            *place = Some(delivery);
        }
    }
}

pub(crate) fn produce(mut config: ClientConfig, arguments: &Arguments) -> Result<Value> {
    let options = &arguments.options;
    config.set("linger.ms", "20").set("acks", "all").set("message.timeout.ms", "60000");
    if options.idempotent {
        config.set("enable.idempotence", "true").set("max.in.flight.requests.per.connection", "5");
        config.set("linger.ms", "0");
    }
    if let Some(codec) = &options.compression {
        config.set("compression.codec", codec);
    }
    if let Some(records) = options.batch_records {
        config.set("batch.num.messages", records.to_string());
    }
    if let Some(bytes) = options.max_request_bytes {
        config.set("message.max.bytes", bytes.to_string());
    }
    if let Some(ms) = options.request_timeout_ms {
        config.set("socket.timeout.ms", ms.to_string()).set("request.timeout.ms", ms.to_string());
    }
    let deliveries = Arc::new(Mutex::new(vec![None; arguments.records.len()]));
    let producer: ThreadedProducer<Deliveries> =
        config.create_with_context(Deliveries(Arc::clone(&deliveries)))?;
    for (number, record) in arguments.records.iter().enumerate() {
        if let Err((error, _)) = producer.send(base_record(record, number)) {
            deliveries.lock().unwrap_or_else(PoisonError::into_inner)[number] = Some(refused(&error));
        }
    }
    crate::flush(&producer)?;
    let deliveries = deliveries.lock().unwrap_or_else(PoisonError::into_inner);
    if deliveries.iter().any(Option::is_none) {
        bail!("a record was flushed without a delivery report");
    }
    Ok(serde_json::to_value(&*deliveries)?)
}

fn base_record(record: &Record, number: usize) -> BaseRecord<'_, [u8], [u8], Box<usize>> {
    let mut base: BaseRecord<'_, [u8], [u8], Box<usize>> =
        BaseRecord::with_opaque_to(&record.topic, Box::new(number));
    if let Some(partition) = record.partition {
        base = base.partition(partition);
    }
    if let Some(Bytes(key)) = &record.key {
        base = base.key(key);
    }
    if let Some(Bytes(value)) = &record.value {
        base = base.payload(value);
    }
    if let Some(timestamp) = record.timestamp {
        base = base.timestamp(timestamp);
    }
    if !record.headers.is_empty() {
        let headers = record.headers.iter().fold(OwnedHeaders::new(), |headers, (key, value)| {
            headers.insert(Header { key, value: value.as_ref().map(|bytes| &bytes.0) })
        });
        base = base.headers(headers);
    }
    base
}

fn refused(error: &KafkaError) -> Delivery {
    let code = error.rdkafka_error_code().unwrap_or(RDKafkaErrorCode::Unknown);
    Delivery::Refused { code: crate::number(code), message: error.to_string() }
}
