//! A group member that reads and commits all the time, and the check that no acknowledged commit is forgotten.
//!
//! One thread holds the member through all rounds; the program that restarts the broker asks for a check after each restart. Invariant: the floor of a
//! partition is what the broker acknowledged, and it is read before the broker is killed.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::JoinHandle;
use std::time::Duration;

use crate::clock;
use anyhow::{Context as _, Result, anyhow, bail};
use rdkafka::config::ClientConfig;
use rdkafka::consumer::{BaseConsumer, CommitMode, Consumer as _};
use rdkafka::error::{KafkaError, RDKafkaErrorCode};
use rdkafka::message::Message as _;
use rdkafka::{Offset, TopicPartitionList};

const CALL_LIMIT: Duration = Duration::from_secs(20);
/// Records between two commits, at most.
const COMMIT_EVERY: usize = 50;

/// By partition, the highest offset of an acknowledged commit.
pub type Floors = BTreeMap<i32, i64>;

/// The running member.
#[derive(Debug)]
pub struct Commits {
    group: String,
    topic: String,
    address: String,
    stop: Arc<AtomicBool>,
    floors: Arc<Mutex<Floors>>,
    acknowledged: Arc<AtomicU64>,
    member: Option<JoinHandle<Result<()>>>,
}

impl Commits {
    /// Joins `group` and begins to read and commit `topic`.
    ///
    /// # Errors
    /// librdkafka does not start.
    pub fn start(address: &str, group: &str, topic: &str) -> Result<Self> {
        let consumer: BaseConsumer = config(address, group).create()?;
        consumer.subscribe(&[topic])?;
        let (stop, floors, acknowledged) = (Arc::default(), Arc::default(), Arc::default());
        let member = Member {
            consumer,
            topic: topic.to_owned(),
            stop: Arc::clone(&stop),
            floors: Arc::clone(&floors),
            acknowledged: Arc::clone(&acknowledged),
        };
        let member = Some(std::thread::spawn(move || member.run()));
        let (group, topic, address) = (group.to_owned(), topic.to_owned(), address.to_owned());
        Ok(Self { group, topic, address, stop, floors, acknowledged, member })
    }

    /// Acknowledged commits so far.
    #[must_use]
    pub fn acknowledged(&self) -> u64 {
        self.acknowledged.load(Ordering::Relaxed)
    }

    /// What must not be forgotten from now on.
    #[must_use]
    pub fn floors(&self) -> Floors {
        self.floors.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// The commits that the broker has below `floors`, in words.
    ///
    /// # Errors
    /// The broker does not answer.
    pub fn forgotten(&self, floors: &Floors) -> Result<Vec<String>> {
        let consumer: BaseConsumer = config(&self.address, &self.group).create()?;
        let mut asked = TopicPartitionList::new();
        for partition in floors.keys() {
            asked.add_partition(&self.topic, *partition);
        }
        if floors.is_empty() {
            return Ok(Vec::new());
        }
        let ask = || match consumer.committed_offsets(asked.clone(), CALL_LIMIT) {
            Ok(committed) => Ok(Some(committed)),
            Err(error) if is_passing(&error) => Ok(None),
            Err(error) => Err(error).context("committed offsets"),
        };
        let committed = clock::poll_until(CALL_LIMIT, Duration::from_millis(50), ask)?;
        let committed = committed.context("the group has no coordinator")?;
        let mut found = Floors::new();
        for element in committed.elements() {
            element.error()?;
            match element.offset() {
                Offset::Offset(offset) => drop(found.insert(element.partition(), offset)),
                Offset::Invalid => {}
                other => bail!("a committed offset of another kind: {other:?}"),
            }
        }
        Ok(below(floors, &found)
            .into_iter()
            .map(|words| format!("{} {}-{words}", self.group, self.topic))
            .collect())
    }

    /// Leaves the group.
    ///
    /// # Errors
    /// The member gave up earlier.
    pub fn finish(&mut self) -> Result<()> {
        self.stop.store(true, Ordering::Relaxed);
        let Some(member) = self.member.take() else { return Ok(()) };
        member.join().map_err(|_| anyhow!("the group member panicked"))?
    }
}

fn config(address: &str, group: &str) -> ClientConfig {
    let mut config = ClientConfig::new();
    config.set("bootstrap.servers", address).set("group.id", group).set("session.timeout.ms", "10000");
    config.set("enable.auto.commit", "false").set("auto.offset.reset", "earliest");
    config.set("heartbeat.interval.ms", "500");
    config
        .set("reconnect.backoff.ms", "5")
        .set("reconnect.backoff.max.ms", "50")
        .set("retry.backoff.ms", "20");
    config
}

/// The coordinator is being found or loaded: consumers ask again.
fn is_passing(error: &KafkaError) -> bool {
    use RDKafkaErrorCode::{CoordinatorLoadInProgress, CoordinatorNotAvailable, NotCoordinator};
    let code = error.rdkafka_error_code();
    code.is_some_and(|code| {
        [CoordinatorLoadInProgress, CoordinatorNotAvailable, NotCoordinator].contains(&code)
    })
}

/// Partitions whose committed offset in `found` is below its floor or missing.
fn below(floors: &Floors, found: &Floors) -> Vec<String> {
    let forgotten = |(partition, floor): (&i32, &i64)| match found.get(partition) {
        Some(offset) if offset >= floor => None,
        Some(offset) => Some(format!("{partition}: {offset} is committed, {floor} was acknowledged")),
        None => Some(format!("{partition}: nothing is committed, {floor} was acknowledged")),
    };
    floors.iter().filter_map(forgotten).collect()
}

struct Member {
    consumer: BaseConsumer,
    topic: String,
    stop: Arc<AtomicBool>,
    floors: Arc<Mutex<Floors>>,
    acknowledged: Arc<AtomicU64>,
}

impl Member {
    fn run(self) -> Result<()> {
        let mut positions = Floors::new();
        while !self.stop.load(Ordering::Relaxed) {
            let since = clock::now();
            for _ in 0..COMMIT_EVERY {
                // Errors here are the broker being away.
                if let Some(Ok(message)) = self.consumer.poll(Duration::from_millis(10)) {
                    positions.insert(message.partition(), message.offset() + 1);
                }
                if since.elapsed() > Duration::from_millis(50) {
                    break;
                }
            }
            self.commit(&mut positions)?;
        }
        Ok(())
    }

    fn commit(&self, positions: &mut Floors) -> Result<()> {
        if positions.is_empty() {
            return Ok(());
        }
        let mut offsets = TopicPartitionList::new();
        for (partition, offset) in positions.iter() {
            offsets.add_partition_offset(&self.topic, *partition, Offset::Offset(*offset))?;
        }
        // A refused commit may be stored or not; the next one says where the member really is.
        if self.consumer.commit(&offsets, CommitMode::Sync).is_ok() {
            self.acknowledged.fetch_add(1, Ordering::Relaxed);
            let mut floors = self.floors.lock().unwrap_or_else(PoisonError::into_inner);
            for (partition, offset) in positions.iter() {
                let floor = floors.entry(*partition).or_insert(*offset);
                *floor = (*floor).max(*offset);
            }
        }
        positions.clear();
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn commit_at_or_above_its_floor_is_remembered() {
        assert!(below(&Floors::from([(0, 5), (1, 7)]), &Floors::from([(0, 5), (1, 9), (2, 1)])).is_empty());
    }

    #[test]
    fn commit_below_its_floor_or_missing_is_forgotten() {
        let found = below(&Floors::from([(0, 5), (1, 7)]), &Floors::from([(0, 4)]));
        assert_eq!(found.len(), 2, "{found:?}");
    }
}
