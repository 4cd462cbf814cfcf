//! Idempotent producers that live through all rounds, and the history of what each was told.
//!
//! Started and stopped by the program that breaks the broker; `reading` compares the history with the log. Invariant: a record is in the history
//! before the client has it, so nothing can be stored that the history does not know.

use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::thread::JoinHandle;
use std::time::Duration;

use crate::clock;
use anyhow::{Context as _, Result, anyhow};
use rdkafka::ClientContext;
use rdkafka::config::ClientConfig;
use rdkafka::error::{KafkaError, RDKafkaErrorCode};
use rdkafka::message::{DeliveryResult, Message as _};
use rdkafka::producer::{BaseRecord, NoCustomPartitioner, Producer as _, ProducerContext, ThreadedProducer};

use super::checker::{Origin, Outcome};
use super::payload;

/// Each producer has its codec, so that all ways of storing a batch are met.
const CODECS: [&str; 4] = ["none", "lz4", "none", "zstd"];
/// A producer sends up to this many records to one partition before it goes on to another.
const LONGEST_BURST: usize = 32;
/// Records of one producer without a report; more are not sent.
const MOST_UNANSWERED: i32 = 4000;
const FLUSH_LIMIT: Duration = Duration::from_secs(60);

/// All partitions of the load.
#[derive(Debug, Clone)]
pub struct Places {
    /// Names.
    pub topics: Vec<String>,
    /// Of each topic.
    pub partitions: i32,
}

impl Places {
    /// Topic and partition of each place, in the order of [`History`].
    pub fn iter(&self) -> impl Iterator<Item = (&str, i32)> {
        self.topics
            .iter()
            .flat_map(|topic| (0..self.partitions).map(move |partition| (topic.as_str(), partition)))
    }
}

/// What one producer sent: by place, by sequence.
pub type History = Vec<Vec<Outcome>>;

/// One producer's history and what went wrong, shared between its sender and its delivery reports.
#[derive(Debug)]
struct Ledger {
    history: Mutex<History>,
    failures: Mutex<Vec<String>>,
    acknowledged: Arc<AtomicU64>,
}

impl Ledger {
    fn history(&self) -> MutexGuard<'_, History> {
        self.history.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn fail(&self, words: String) {
        self.failures.lock().unwrap_or_else(PoisonError::into_inner).push(words);
    }
}

struct Reports(Arc<Ledger>);

impl ClientContext for Reports {
    fn error(&self, error: KafkaError, reason: &str) {
        if error.rdkafka_error_code() == Some(RDKafkaErrorCode::Fatal) {
            self.0.fail(format!("fatal: {reason}"));
        }
    }
}

impl ProducerContext<NoCustomPartitioner> for Reports {
    /// Place and sequence.
    type DeliveryOpaque = Box<(usize, usize)>;

    fn delivery(&self, result: &DeliveryResult<'_>, record: Box<(usize, usize)>) {
        let (place, sequence) = *record;
        match result {
            Ok(message) => {
                self.0.history()[place][sequence] = Outcome::Acknowledged(message.offset());
                self.0.acknowledged.fetch_add(1, Ordering::Relaxed);
            }
            Err((error, _)) => self.0.fail(format!("record {place}/{sequence}: {error}")),
        }
    }
}

/// The running producers.
#[derive(Debug)]
pub struct Load {
    stop: Arc<AtomicBool>,
    ledgers: Vec<Arc<Ledger>>,
    senders: Vec<JoinHandle<Result<()>>>,
    acknowledged: Arc<AtomicU64>,
}

impl Load {
    /// Starts `producers` producers that together send about `rate` records per second.
    ///
    /// # Errors
    /// librdkafka does not start.
    pub fn start(address: &str, places: &Places, producers: usize, rate: u64, seed: u64) -> Result<Self> {
        let stop = Arc::new(AtomicBool::new(false));
        let acknowledged = Arc::new(AtomicU64::new(0));
        let mut load = Self { stop, ledgers: Vec::new(), senders: Vec::new(), acknowledged };
        for number in 0..producers {
            let ledger = Arc::new(Ledger {
                history: Mutex::new(vec![Vec::new(); places.iter().count()]),
                failures: Mutex::default(),
                acknowledged: Arc::clone(&load.acknowledged),
            });
            let client = client(address, number).create_with_context(Reports(Arc::clone(&ledger)))?;
            load.ledgers.push(Arc::clone(&ledger));
            let sender = Sender {
                client,
                ledger,
                places: places.clone(),
                number,
                random: fastrand::Rng::with_seed(seed.wrapping_add(u64::try_from(number)?)),
                per_second: rate / u64::try_from(producers)?,
                stop: Arc::clone(&load.stop),
            };
            load.senders.push(std::thread::spawn(move || sender.run()));
        }
        Ok(load)
    }

    /// Records acknowledged so far.
    #[must_use]
    pub fn acknowledged(&self) -> u64 {
        self.acknowledged.load(Ordering::Relaxed)
    }

    /// The histories of all producers as of now.
    #[must_use]
    pub fn histories(&self) -> Vec<History> {
        self.ledgers.iter().map(|ledger| ledger.history().clone()).collect()
    }

    /// Records that were refused or given up, and fatal errors of producers. With time enough there are none.
    #[must_use]
    pub fn failures(&self) -> Vec<String> {
        let failures =
            |ledger: &Arc<Ledger>| ledger.failures.lock().unwrap_or_else(PoisonError::into_inner).clone();
        self.ledgers.iter().flat_map(failures).collect()
    }

    /// Sends no more and waits until all is reported.
    ///
    /// # Errors
    /// The last records are not acknowledged within a minute.
    pub fn finish(&mut self) -> Result<()> {
        self.stop.store(true, Ordering::Relaxed);
        for sender in self.senders.drain(..) {
            sender.join().map_err(|_| anyhow!("a sender panicked"))??;
        }
        Ok(())
    }
}

fn client(address: &str, number: usize) -> ClientConfig {
    let mut config = ClientConfig::new();
    config.set("bootstrap.servers", address).set("client.id", format!("load-{number}"));
    config.set("enable.idempotence", "true").set("acks", "all").set("linger.ms", "5");
    config.set("compression.codec", CODECS[number % CODECS.len()]);
    // Long enough for any restart: a record that is given up would have an unknown outcome.
    config.set("message.timeout.ms", "300000");
    // Back at once, or the shortest rounds would see no load.
    config
        .set("reconnect.backoff.ms", "5")
        .set("reconnect.backoff.max.ms", "50")
        .set("retry.backoff.ms", "20");
    config
}

struct Sender {
    client: ThreadedProducer<Reports>,
    ledger: Arc<Ledger>,
    places: Places,
    number: usize,
    random: fastrand::Rng,
    per_second: u64,
    stop: Arc<AtomicBool>,
}

impl Sender {
    fn run(mut self) -> Result<()> {
        let places: Vec<(String, i32)> =
            self.places.iter().map(|(topic, partition)| (topic.to_owned(), partition)).collect();
        let begin = clock::now();
        let mut sent: u64 = 0;
        while !self.stop.load(Ordering::Relaxed) {
            let due = u128::from(self.per_second) * begin.elapsed().as_millis() / 1000;
            if u128::from(sent) >= due || self.client.in_flight_count() >= MOST_UNANSWERED {
                std::thread::sleep(Duration::from_millis(1));
                continue;
            }
            let place = self.random.usize(..places.len());
            let burst = self.random.usize(1..=LONGEST_BURST);
            for _ in 0..burst {
                self.send(place, &places[place])?;
            }
            sent += u64::try_from(burst)?;
        }
        self.client.flush(FLUSH_LIMIT).context("the last records are not acknowledged")
    }

    fn send(&self, place: usize, (topic, partition): &(String, i32)) -> Result<()> {
        let sequence = {
            let mut history = self.ledger.history();
            history[place].push(Outcome::Unknown);
            history[place].len() - 1
        };
        let value = payload::encode(topic, *partition, Origin { producer: self.number, sequence });
        let mut record: BaseRecord<'_, (), [u8], _> =
            BaseRecord::with_opaque_to(topic, Box::new((place, sequence)));
        record = record.partition(*partition).payload(&value);
        loop {
            match self.client.send(record) {
                Ok(()) => return Ok(()),
                Err((KafkaError::MessageProduction(RDKafkaErrorCode::QueueFull), back)) => record = back,
                Err((error, _)) => return Err(error.into()),
            }
            std::thread::sleep(Duration::from_millis(5));
        }
    }
}
