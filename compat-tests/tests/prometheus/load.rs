//! A broker whose topics are produced to and consumed by two groups, one of them too slow, as long as it lives.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::JoinHandle;
use std::time::Duration;

use anyhow::{Context as _, Result};
use compat_tests::broker::Broker;
use compat_tests::layout;
use rdkafka::config::ClientConfig;
use rdkafka::consumer::{BaseConsumer, Consumer as _};
use rdkafka::producer::{BaseProducer, BaseRecord, Producer as _};

use super::exposition::Page;
use super::http;

/// All pages for Prometheus.
pub(crate) const PAGES: [&str; 3] = ["/metrics", "/metrics/detailed", "/public_metrics"];

const TOPICS: [&str; 2] = ["orders", "payments"];
/// Much slower than what is produced.
const SLOW: Duration = Duration::from_millis(50);
const PAUSE: Duration = Duration::from_millis(2);

/// See the module.
pub(crate) struct LoadedBroker {
    /// `host:port` of the admin endpoints.
    pub(crate) admin: String,
    stop: Arc<AtomicBool>,
    clients: Vec<JoinHandle<()>>,
    _broker: Broker,
}

impl LoadedBroker {
    /// # Errors
    /// The broker or a client does not start.
    pub(crate) fn start() -> Result<Self> {
        let data = layout::scratch_dir("prometheus")?.join("data");
        let broker = Broker::start_on(data, "onelog.admin.listen=127.0.0.1:0\n")?;
        let output = broker.output();
        let admin = output.split("admin on http://").nth(1).and_then(|rest| rest.split_whitespace().next());
        let admin = admin.context("the broker does not say where its admin endpoints are")?.to_owned();
        let (stop, address) = (Arc::new(AtomicBool::new(false)), broker.address());
        let mut clients = vec![produce(&address, Arc::clone(&stop))?];
        for (topic, pause) in [(TOPICS[0], Duration::ZERO), (TOPICS[1], SLOW)] {
            clients.push(consume(&address, topic, pause, Arc::clone(&stop))?);
        }
        Ok(Self { admin, stop, clients, _broker: broker })
    }

    /// A page as it is.
    ///
    /// # Errors
    /// It cannot be had.
    pub(crate) fn text(&self, path: &str) -> Result<String> {
        http::get(&self.admin, path)
    }

    /// A page.
    ///
    /// # Errors
    /// It cannot be had or read.
    pub(crate) fn page(&self, path: &str) -> Result<Page> {
        Page::parse(&self.text(path)?)
    }

    /// All of them.
    ///
    /// # Errors
    /// As [`LoadedBroker::page`].
    pub(crate) fn pages(&self) -> Result<BTreeMap<&'static str, Page>> {
        PAGES.into_iter().map(|path| Ok((path, self.page(path)?))).collect()
    }
}

impl Drop for LoadedBroker {
    fn drop(&mut self) {
        self.stop.store(true, Ordering::Release);
        for client in self.clients.drain(..) {
            client.join().ok();
        }
    }
}

fn produce(address: &str, stop: Arc<AtomicBool>) -> Result<JoinHandle<()>> {
    let producer: BaseProducer =
        ClientConfig::new().set("bootstrap.servers", address).set("linger.ms", "5").create()?;
    Ok(std::thread::spawn(move || {
        let mut number = 0_u64;
        while !stop.load(Ordering::Acquire) {
            number += 1;
            let key = number.to_string();
            for topic in TOPICS {
                // A full queue is tried again with the next record.
                producer.send(BaseRecord::to(topic).key(&key).payload("a record for the dashboards")).ok();
            }
            producer.poll(Duration::ZERO);
            std::thread::sleep(PAUSE);
        }
        producer.flush(Duration::from_secs(2)).ok();
    }))
}

fn consume(address: &str, topic: &str, pause: Duration, stop: Arc<AtomicBool>) -> Result<JoinHandle<()>> {
    let consumer: BaseConsumer = ClientConfig::new()
        .set("bootstrap.servers", address)
        .set("group.id", format!("readers-of-{topic}"))
        .set("auto.offset.reset", "earliest")
        .set("auto.commit.interval.ms", "300")
        .set("topic.metadata.refresh.interval.ms", "500")
        .create()?;
    consumer.subscribe(&[topic])?;
    // An answer with an error in it: consumers do not make topics.
    consumer.fetch_metadata(Some("no-such-topic"), Duration::from_secs(10))?;
    Ok(std::thread::spawn(move || {
        while !stop.load(Ordering::Acquire) {
            if consumer.poll(Duration::from_millis(100)).is_some() {
                std::thread::sleep(pause);
            }
        }
    }))
}
