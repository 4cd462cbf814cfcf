//! What exists: topics, producer ids given away, dynamic broker configs. A projection of the log's metadata frames.
//!
//! Changed only by `apply`, which the live path and recovery share. Invariant: topic numbers are never reused, so frames
//! of a deleted topic can never be taken for another's.

mod payload;

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicI64, AtomicU32, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, RwLock};

use dashmap::DashMap;
use uuid::Uuid;

use crate::log_policy::Policies;
use crate::partition_log::PartitionLog;
use crate::position::Position;
use crate::topic::{Configs, Topic, UNRELATED_TO_TOPICS};

pub(crate) use payload::{TopicRecord, decode_configs, encode_configs};

/// All topics and the few other things that metadata frames describe.
#[derive(Default)]
pub(crate) struct Catalog {
    policies: Option<Policies>,
    by_name: DashMap<Arc<str>, Arc<Topic>>,
    by_id: DashMap<Uuid, Arc<Topic>>,
    by_number: RwLock<BTreeMap<u32, Arc<Topic>>>,
    /// Deletions that files older than them may contradict.
    deleted: Mutex<BTreeMap<u32, Deleted>>,
    next_number: AtomicU32,
    /// Producer ids below are given away, as far as the log knows.
    reserved_producer_ids: AtomicI64,
    producer_ids_frame: AtomicU64,
    broker_configs: RwLock<Arc<Configs>>,
    broker_configs_frame: AtomicU64,
}

/// A topic that is no more.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Deleted {
    /// Everything that the log says of the topic stands below.
    pub(crate) at: Position,
    /// Where the log last said that it is deleted.
    pub(crate) frame: Position,
}

impl Catalog {
    /// An empty one; `policies` says what topics' configs mean.
    pub(crate) fn new(policies: Policies) -> Self {
        Self { policies: Some(policies), ..Self::default() }
    }

    pub(crate) fn topic(&self, name: &str) -> Option<Arc<Topic>> {
        self.by_name.get(name).map(|topic| Arc::clone(&topic))
    }

    pub(crate) fn topic_by_id(&self, id: Uuid) -> Option<Arc<Topic>> {
        self.by_id.get(&id).map(|topic| Arc::clone(&topic))
    }

    pub(crate) fn topic_by_number(&self, number: u32) -> Option<Arc<Topic>> {
        self.by_number.read().expect("no panic under this lock").get(&number).cloned()
    }

    pub(crate) fn partition(&self, topic: u32, partition: u32) -> Option<Arc<PartitionLog>> {
        self.topic_by_number(topic)?.partition(i32::try_from(partition).ok()?)
    }

    /// By number, which is the order of creation.
    pub(crate) fn topics(&self) -> Vec<Arc<Topic>> {
        self.by_number.read().expect("no panic under this lock").values().cloned().collect()
    }

    pub(crate) fn next_number(&self) -> u32 {
        self.next_number.load(Ordering::Relaxed)
    }

    pub(crate) fn reserved_producer_ids(&self) -> i64 {
        self.reserved_producer_ids.load(Ordering::Relaxed)
    }

    pub(crate) fn broker_configs(&self) -> Arc<Configs> {
        Arc::clone(&self.broker_configs.read().expect("no panic under this lock"))
    }

    /// Where the log last said which producer ids are given away.
    pub(crate) fn producer_ids_frame(&self) -> Position {
        Position(self.producer_ids_frame.load(Ordering::Relaxed))
    }

    /// Where the log last said what the broker configs are.
    pub(crate) fn broker_configs_frame(&self) -> Position {
        Position(self.broker_configs_frame.load(Ordering::Relaxed))
    }

    /// Creates the topic or brings it to the recorded state.
    /// `frame` is where the log says so.
    pub(crate) fn apply_topic(&self, number: u32, record: TopicRecord, frame: Position) -> Arc<Topic> {
        let topic = self.topic_by_number(number).unwrap_or_else(|| self.insert(number, &record));
        topic.set_frame(frame);
        topic.grow_to(record.partitions);
        topic.set_configs(record.configs);
        self.set_policy(&topic);
        topic
    }

    fn set_policy(&self, topic: &Topic) {
        if let Some(policies) = &self.policies {
            topic.policy().set(policies(topic.name(), &topic.configs(), &self.broker_configs()));
        }
    }

    fn insert(&self, number: u32, record: &TopicRecord) -> Arc<Topic> {
        let topic = Arc::new(Topic::new(&record.name, record.id, number));
        self.by_number.write().expect("no panic under this lock").insert(number, Arc::clone(&topic));
        self.by_id.insert(record.id, Arc::clone(&topic));
        self.by_name.insert(Arc::clone(topic.name()), Arc::clone(&topic));
        self.raise_next_number(number.saturating_add(1));
        topic
    }

    /// Removes the topic and returns it, for its partitions to be cleared. `frame` is where the log says so.
    pub(crate) fn apply_topic_deleted(&self, number: u32, frame: Position) -> Option<Arc<Topic>> {
        self.raise_next_number(number.saturating_add(1));
        self.deleted
            .lock()
            .expect("no panic under this lock")
            .entry(number)
            .or_insert(Deleted { at: frame, frame })
            .frame = frame;
        let topic = self.by_number.write().expect("no panic under this lock").remove(&number)?;
        self.by_id.remove(&topic.id());
        self.by_name.remove_if(topic.name(), |_, current| current.number() == number);
        Some(topic)
    }

    pub(crate) fn apply_producer_ids(&self, below: i64, frame: Position) {
        self.producer_ids_frame.store(frame.0, Ordering::Relaxed);
        self.reserved_producer_ids.fetch_max(below, Ordering::Relaxed);
    }

    /// Returns whether topics' policies may be others now.
    pub(crate) fn apply_broker_configs(&self, configs: Configs, frame: Position) -> bool {
        self.broker_configs_frame.store(frame.0, Ordering::Relaxed);
        let before = self.broker_configs();
        let changed = !related(&before).eq(related(&configs));
        *self.broker_configs.write().expect("no panic under this lock") = Arc::new(configs);
        if changed {
            self.topics().iter().for_each(|topic| self.set_policy(topic));
        }
        changed
    }

    /// Deletions by topic number that must stay known.
    pub(crate) fn deleted(&self) -> Vec<(u32, Deleted)> {
        self.deleted
            .lock()
            .expect("no panic under this lock")
            .iter()
            .map(|(number, at)| (*number, *at))
            .collect()
    }

    /// From a snapshot.
    pub(crate) fn set_deleted(&self, number: u32, deleted: Deleted) {
        self.deleted.lock().expect("no panic under this lock").insert(number, deleted);
    }

    /// The log begins at `begin`: what was deleted before is said nowhere any more.
    pub(crate) fn forget_deleted_below(&self, begin: Position) {
        self.deleted.lock().expect("no panic under this lock").retain(|_, deleted| deleted.at >= begin);
    }

    /// From a snapshot, or after an insert: numbers below were used.
    pub(crate) fn raise_next_number(&self, next: u32) {
        self.next_number.fetch_max(next, Ordering::Relaxed);
    }
}

/// Broker configs that policies of topics may depend on.
fn related(configs: &Configs) -> impl Iterator<Item = (&String, &String)> {
    configs.iter().filter(|(name, _)| !name.starts_with(UNRELATED_TO_TOPICS))
}
