//! The verbs `load_*`: an idempotent producer in the background, with at most two thousand records unanswered.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::JoinHandle;
use std::time::Duration;

use anyhow::{Result, anyhow};
use rdkafka::ClientContext;
use rdkafka::config::ClientConfig;
use rdkafka::message::{DeliveryResult, Message as _};
use rdkafka::producer::{BaseRecord, NoCustomPartitioner, Producer as _, ProducerContext, ThreadedProducer};
use serde::Deserialize;
use serde_json::{Value, json};

const UNANSWERED: i32 = 2000;

#[derive(Deserialize)]
pub(crate) struct Arguments {
    topic: String,
    partitions: i32,
}

pub(crate) struct Load {
    stop: Arc<AtomicBool>,
    report: Arc<Mutex<Report>>,
    sender: JoinHandle<Result<()>>,
}

#[derive(Default)]
struct Report {
    acknowledged: Vec<(i32, i64, i64)>,
    failed: Vec<String>,
}

struct Reporter(Arc<Mutex<Report>>);

impl ClientContext for Reporter {}

impl ProducerContext<NoCustomPartitioner> for Reporter {
    type DeliveryOpaque = Box<i64>;

    fn delivery(&self, result: &DeliveryResult<'_>, number: Box<i64>) {
        let mut report = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        match result {
            Ok(message) => report.acknowledged.push((message.partition(), *number, message.offset())),
            Err((error, message)) => report.failed.push(format!("{}/{number}: {error}", message.partition())),
        }
    }
}

impl Load {
    pub(crate) fn start(mut config: ClientConfig, arguments: &Arguments) -> Result<Self> {
        config.set("enable.idempotence", "true").set("acks", "all").set("message.timeout.ms", "120000");
        config.set("linger.ms", "2").set("reconnect.backoff.max.ms", "500");
        let report = Arc::new(Mutex::new(Report::default()));
        let stop = Arc::new(AtomicBool::new(false));
        let producer = config.create_with_context(Reporter(Arc::clone(&report)))?;
        let (topic, partitions, stopped) = (arguments.topic.clone(), arguments.partitions, Arc::clone(&stop));
        let sender = std::thread::spawn(move || send(&producer, &topic, partitions, &stopped));
        Ok(Self { stop, report, sender })
    }

    pub(crate) fn acknowledged(&self) -> usize {
        self.report.lock().unwrap_or_else(PoisonError::into_inner).acknowledged.len()
    }

    pub(crate) fn stop(self) -> Result<Value> {
        self.stop.store(true, Ordering::Relaxed);
        self.sender.join().map_err(|_| anyhow!("the sender panicked"))??;
        let report = self.report.lock().unwrap_or_else(PoisonError::into_inner);
        Ok(json!({ "acknowledged": report.acknowledged, "failed": report.failed }))
    }
}

fn send(
    producer: &ThreadedProducer<Reporter>,
    topic: &str,
    partitions: i32,
    stop: &AtomicBool,
) -> Result<()> {
    let mut number: i64 = 0;
    while !stop.load(Ordering::Relaxed) {
        if producer.in_flight_count() < UNANSWERED {
            for partition in 0..partitions {
                let value = number.to_string();
                let record: BaseRecord<'_, (), str, _> = BaseRecord::with_opaque_to(topic, Box::new(number));
                producer.send(record.partition(partition).payload(&value)).map_err(|(error, _)| error)?;
            }
            number += 1;
        }
        std::thread::sleep(Duration::from_millis(1));
    }
    crate::flush(producer)
}
