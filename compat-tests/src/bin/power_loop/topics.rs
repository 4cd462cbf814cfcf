//! Topics that are created, written to and deleted all the time, and the check that the broker remembers every answered
//! change. What they leave among the records of the load makes the broker rewrite files.
//!
//! One thread works through all rounds; `cut` asks for a check after each restart. Invariant: a name is used once, and its
//! state is noted before a request leaves and after its answer came, so what is [`Topic::Exists`] or [`Topic::Gone`] was
//! answered and is not being changed.

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::JoinHandle;
use std::time::Duration;

use anyhow::{Context as _, Result, anyhow};
use rdkafka::admin::{AdminClient, AdminOptions, NewTopic, TopicReplication};
use rdkafka::client::DefaultClientContext;
use rdkafka::config::ClientConfig;
use rdkafka::consumer::{BaseConsumer, Consumer as _};
use rdkafka::producer::{BaseProducer, BaseRecord, Producer as _, PurgeConfig};
use tokio::runtime::{Builder, Runtime};

/// Topics that exist at a time.
const MOST: usize = 6;
const PAUSE: Duration = Duration::from_millis(10);
/// What is written to each; nobody asks for it later.
const VALUES: usize = 96;
const VALUE_BYTES: usize = 16 << 10;
const WRITE_LIMIT: Duration = Duration::from_secs(3);
const CALL_LIMIT: Duration = Duration::from_secs(20);

/// What is known of a topic.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Topic {
    /// A change of it is not answered.
    Unknown,
    Exists,
    Gone,
}

/// By name.
pub(crate) type Known = BTreeMap<String, Topic>;

/// The running thread.
#[derive(Debug)]
pub(crate) struct Topics {
    address: String,
    stop: Arc<AtomicBool>,
    known: Arc<Mutex<Known>>,
    worker: Option<JoinHandle<Result<()>>>,
}

impl Topics {
    pub(crate) fn start(address: &str) -> Result<Self> {
        let (stop, known) = (Arc::<AtomicBool>::default(), Arc::default());
        let mut config = ClientConfig::new();
        config
            .set("bootstrap.servers", address)
            .set("reconnect.backoff.ms", "5")
            .set("reconnect.backoff.max.ms", "50");
        let worker = Worker {
            admin: config.create()?,
            producer: config.clone().set("message.timeout.ms", "3000").create()?,
            runtime: Builder::new_current_thread().enable_all().build()?,
            known: Arc::clone(&known),
        };
        let stopped = Arc::clone(&stop);
        let worker = Some(std::thread::spawn(move || worker.run(&stopped)));
        Ok(Self { address: address.to_owned(), stop, known, worker })
    }

    /// What was answered so far.
    pub(crate) fn known(&self) -> Known {
        self.known.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Answered changes of `before` that the broker has forgotten, in words.
    ///
    /// # Errors
    /// The broker does not answer.
    pub(crate) fn forgotten(&self, before: &Known) -> Result<Vec<String>> {
        let consumer: BaseConsumer = ClientConfig::new().set("bootstrap.servers", &self.address).create()?;
        let metadata = consumer.fetch_metadata(None, CALL_LIMIT).context("the list of topics")?;
        let found = metadata.topics().iter().map(|topic| topic.name().to_owned()).collect();
        Ok(forgotten(before, &found, &self.known()))
    }

    pub(crate) fn finish(&mut self) -> Result<()> {
        self.stop.store(true, Ordering::Relaxed);
        let Some(worker) = self.worker.take() else { return Ok(()) };
        worker.join().map_err(|_| anyhow!("the thread that creates topics panicked"))?
    }
}

/// `after` was taken behind `found`: a topic that exists in both was not being deleted when `found` was asked for.
fn forgotten(before: &Known, found: &BTreeSet<String>, after: &Known) -> Vec<String> {
    let wrong = |(name, topic): (&String, &Topic)| match (topic, found.contains(name)) {
        (Topic::Exists, false) if after.get(name) == Some(&Topic::Exists) => {
            Some(format!("topic {name} was created and is not there"))
        }
        (Topic::Gone, true) => Some(format!("topic {name} was deleted and is there")),
        _ => None,
    };
    before.iter().filter_map(wrong).collect()
}

struct Worker {
    admin: AdminClient<DefaultClientContext>,
    producer: BaseProducer,
    runtime: Runtime,
    known: Arc<Mutex<Known>>,
}

impl Worker {
    fn run(self, stop: &AtomicBool) -> Result<()> {
        let options = AdminOptions::new().request_timeout(Some(CALL_LIMIT));
        let mut existing = VecDeque::new();
        for number in 0.. {
            if stop.load(Ordering::Relaxed) {
                break;
            }
            let name = format!("come-and-go-{number}");
            self.note(&name, Topic::Unknown);
            let topic = NewTopic::new(&name, 2, TopicReplication::Fixed(1));
            let created = self.runtime.block_on(self.admin.create_topics([&topic], &options));
            if created.is_ok_and(|results| results.iter().all(Result::is_ok)) {
                self.note(&name, Topic::Exists);
                self.write(&name);
                existing.push_back(name);
            }
            if existing.len() > MOST
                && let Some(name) = existing.pop_front()
            {
                self.note(&name, Topic::Unknown);
                let deleted = self.runtime.block_on(self.admin.delete_topics(&[&name], &options));
                if deleted.is_ok_and(|results| results.iter().all(Result::is_ok)) {
                    self.note(&name, Topic::Gone);
                }
            }
            std::thread::sleep(PAUSE);
        }
        Ok(())
    }

    /// The power may go meanwhile: then it is not all written.
    fn write(&self, name: &str) {
        let mut value = vec![0; VALUE_BYTES];
        for _ in 0..VALUES {
            fastrand::fill(&mut value);
            self.producer.send(BaseRecord::<(), [u8]>::to(name).partition(0).payload(&value)).ok();
        }
        if self.producer.flush(WRITE_LIMIT).is_err() {
            self.producer.purge(PurgeConfig::default().queue().inflight());
        }
    }

    fn note(&self, name: &str, topic: Topic) {
        self.known.lock().unwrap_or_else(PoisonError::into_inner).insert(name.to_owned(), topic);
    }
}

#[cfg(test)]
mod tests {
    use super::Topic::{Exists, Gone, Unknown};
    use super::*;

    fn known(topics: &[(&str, Topic)]) -> Known {
        topics.iter().map(|(name, topic)| ((*name).to_owned(), *topic)).collect()
    }

    #[test]
    fn created_topic_that_is_missing_and_deleted_one_that_is_there_are_forgotten() {
        let before = known(&[("made", Exists), ("kept", Exists), ("gone", Gone), ("open", Unknown)]);
        let found = BTreeSet::from(["kept".to_owned(), "gone".to_owned()]);
        let words = forgotten(&before, &found, &before);
        assert_eq!(words, ["topic gone was deleted and is there", "topic made was created and is not there"]);
    }

    #[test]
    fn topic_deleted_while_the_list_was_fetched_is_not_forgotten() {
        let before = known(&[("made", Exists)]);
        assert!(forgotten(&before, &BTreeSet::new(), &known(&[("made", Unknown)])).is_empty());
    }
}
