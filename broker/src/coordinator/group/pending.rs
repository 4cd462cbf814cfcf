//! Offsets that transactions have committed and that do not count yet: by topic, partition and producer (the
//! `pendingTransactionalOffsets` and `openTransactions` of Kafka's `OffsetMetadataManager`).
//!
//! A value inside a group, changed only by applied records. **Invariants:** no level is ever empty; of two commits for one
//! partition the one written later counts, whatever the order in which their transactions end.

use std::collections::BTreeMap;

use super::offsets::CommittedOffset;

/// See the module.
#[derive(Debug, Default)]
pub(super) struct PendingOffsets {
    topics: BTreeMap<String, BTreeMap<i32, Partition>>,
    written: u64,
}

/// What is pending for one partition, by producer id.
type Partition = BTreeMap<i64, Pending>;

#[derive(Debug)]
struct Pending {
    offset: CommittedOffset,
    /// Which of the group's pending offsets it is, in the order in which they were written.
    number: u64,
    /// An offset that counts was written later.
    superseded: bool,
}

impl PendingOffsets {
    pub(super) fn is_empty(&self) -> bool {
        self.topics.is_empty()
    }

    /// Whether some transaction may yet change the partition's offset.
    pub(super) fn contains(&self, topic: &str, partition: i32) -> bool {
        self.topics.get(topic).is_some_and(|partitions| partitions.contains_key(&partition))
    }

    /// Every topic and partition with something pending.
    pub(super) fn partitions(&self) -> impl Iterator<Item = (&str, i32)> {
        self.topics.iter().flat_map(|(topic, partitions)| {
            partitions.keys().map(move |partition| (topic.as_str(), *partition))
        })
    }

    /// A transaction of this producer commits `offset`, in place of what it committed before.
    pub(super) fn put(&mut self, topic: &str, partition: i32, producer_id: i64, offset: CommittedOffset) {
        self.written += 1;
        let pending = Pending { offset, number: self.written, superseded: false };
        let partitions = self.topics.entry(topic.to_owned()).or_default();
        partitions.entry(partition).or_default().insert(producer_id, pending);
    }

    /// An offset was committed outside of transactions: what is pending came earlier.
    pub(super) fn supersede(&mut self, topic: &str, partition: i32) {
        let pending = self.topics.get_mut(topic).and_then(|partitions| partitions.get_mut(&partition));
        for pending in pending.into_iter().flat_map(BTreeMap::values_mut) {
            pending.superseded = true;
        }
    }

    /// The partition's offset was removed, and what is pending with it. Whether there was anything.
    pub(super) fn clear(&mut self, topic: &str, partition: i32) -> bool {
        let Some(partitions) = self.topics.get_mut(topic) else { return false };
        let cleared = partitions.remove(&partition).is_some();
        if partitions.is_empty() {
            self.topics.remove(topic);
        }
        cleared
    }

    /// The producer's transaction ends. Returns what it committed, less what was overtaken.
    pub(super) fn end(&mut self, producer_id: i64, committed: bool) -> Vec<(String, i32, CommittedOffset)> {
        let mut counts = Vec::new();
        for (topic, partitions) in &mut self.topics {
            for (partition, pending) in partitions.iter_mut() {
                let Some(ended) = pending.remove(&producer_id) else { continue };
                if !committed || ended.superseded {
                    continue;
                }
                let earlier = pending.values_mut().filter(|other| other.number < ended.number);
                earlier.for_each(|other| other.superseded = true);
                counts.push((topic.clone(), *partition, ended.offset));
            }
            partitions.retain(|_, pending| !pending.is_empty());
        }
        self.topics.retain(|_, partitions| !partitions.is_empty());
        counts
    }
}
