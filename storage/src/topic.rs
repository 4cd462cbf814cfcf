//! One topic: its name, id, number in the log, partitions and config overrides.

use std::collections::BTreeMap;
use std::ops::RangeInclusive;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, RwLock};

use uuid::Uuid;

use crate::catalog::TopicRecord;
use crate::log_policy::PolicyCell;
use crate::partition_log::PartitionLog;
use crate::position::Position;

/// Config overrides by Kafka's key, as they were set. Defaults are the broker's business.
pub type Configs = BTreeMap<String, String>;

/// First character of a name in the broker configs that no topic's policy depends on; what it means is the broker's business.
pub const UNRELATED_TO_TOPICS: char = '@';

/// How many partitions a topic may have.
pub(crate) const PARTITIONS: RangeInclusive<u32> = 1..=1_000_000;

/// A topic that exists, or existed when the caller got hold of it.
#[derive(Debug)]
pub struct Topic {
    name: Arc<str>,
    id: Uuid,
    number: u32,
    /// Where the log last said all this.
    frame: AtomicU64,
    policy: Arc<PolicyCell>,
    inner: RwLock<Inner>,
}

#[derive(Debug)]
struct Inner {
    partitions: Arc<[Arc<PartitionLog>]>,
    configs: Arc<Configs>,
}

impl Topic {
    pub(crate) fn new(name: &str, id: Uuid, number: u32) -> Self {
        let inner = Inner { partitions: Arc::from([]), configs: Arc::default() };
        Self {
            name: name.into(),
            id,
            number,
            frame: AtomicU64::new(0),
            policy: Arc::default(),
            inner: RwLock::new(inner),
        }
    }

    /// Its name.
    #[must_use]
    pub fn name(&self) -> &Arc<str> {
        &self.name
    }

    /// Random, never zero, new when a name is created again.
    #[must_use]
    pub fn id(&self) -> Uuid {
        self.id
    }

    /// Its number in frames; never reused in one log.
    #[must_use]
    pub fn number(&self) -> u32 {
        self.number
    }

    /// All partitions, index = partition number.
    #[must_use]
    pub fn partitions(&self) -> Arc<[Arc<PartitionLog>]> {
        Arc::clone(&self.inner.read().expect("no panic under this lock").partitions)
    }

    /// One partition, `None` when the number is outside the topic.
    #[must_use]
    pub fn partition(&self, index: i32) -> Option<Arc<PartitionLog>> {
        let index = usize::try_from(index).ok()?;
        self.inner.read().expect("no panic under this lock").partitions.get(index).cloned()
    }

    /// How many partitions it has.
    #[must_use]
    pub fn partition_count(&self) -> u32 {
        let count = self.inner.read().expect("no panic under this lock").partitions.len();
        u32::try_from(count).expect("partition numbers are u32")
    }

    /// Overrides as set; compare the `Arc` by pointer to notice a change.
    #[must_use]
    pub fn configs(&self) -> Arc<Configs> {
        Arc::clone(&self.inner.read().expect("no panic under this lock").configs)
    }

    pub(crate) fn grow_to(&self, count: u32) {
        let mut inner = self.inner.write().expect("no panic under this lock");
        let mut partitions = inner.partitions.to_vec();
        for partition in u32::try_from(partitions.len()).expect("partition numbers are u32")..count {
            partitions.push(Arc::new(PartitionLog::new(self.number, partition, Arc::clone(&self.policy))));
        }
        inner.partitions = partitions.into();
    }

    /// What its configs mean for the log.
    pub(crate) fn policy(&self) -> &Arc<PolicyCell> {
        &self.policy
    }

    pub(crate) fn frame(&self) -> Position {
        Position(self.frame.load(Ordering::Acquire))
    }

    pub(crate) fn set_frame(&self, frame: Position) {
        self.frame.store(frame.0, Ordering::Release);
    }

    /// Its state as a metadata frame says it.
    pub(crate) fn record(&self) -> TopicRecord {
        TopicRecord {
            id: self.id,
            name: self.name.to_string(),
            partitions: self.partition_count(),
            configs: Arc::unwrap_or_clone(self.configs()),
        }
    }

    /// From a snapshot: partitions as they were.
    pub(crate) fn set_partitions(&self, partitions: Vec<Arc<PartitionLog>>) {
        self.inner.write().expect("no panic under this lock").partitions = partitions.into();
    }

    pub(crate) fn set_configs(&self, configs: Configs) {
        self.inner.write().expect("no panic under this lock").configs = Arc::new(configs);
    }
}
