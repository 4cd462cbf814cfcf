//! The partitions whose state the share coordinator keeps for a group, as the group's record names them (Kafka's
//! `ShareGroupStatePartitionMetadataInfo`).
//!
//! A partition may be initializing and initialized in one topic with others; a topic whose state is being deleted is named
//! as a whole. A plain value: whoever changes it writes the record.

use std::collections::{BTreeMap, BTreeSet};

use uuid::Uuid;

use crate::coordinator::group::consumer::member::Assignment;
use crate::coordinator::group::consumer::topics::TopicIndex;

/// How long nothing may be heard of initializing before it is tried again. In Kafka 30 s
/// (`group.share.initialize.retry.interval.ms`, a config that it does not show), because a share coordinator elsewhere may be
/// long; here it is in the same process, and silent only when the client whose heartbeat began it is gone.
const RETRY_MS: i64 = 5_000;

/// Partitions of one topic.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub(super) struct StateTopic {
    pub(super) name: String,
    pub(super) partitions: BTreeSet<i32>,
    /// Wall clock at which initializing them began; not in the record.
    pub(super) since_ms: i64,
}

/// All of them.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub(super) struct StatePartitions {
    pub(super) initializing: BTreeMap<Uuid, StateTopic>,
    pub(super) initialized: BTreeMap<Uuid, StateTopic>,
    pub(super) deleting: BTreeMap<Uuid, String>,
}

impl StatePartitions {
    pub(super) fn initialized(&self) -> impl Iterator<Item = (&Uuid, &StateTopic)> {
        self.initialized.iter()
    }

    /// The initialized partitions of a topic.
    pub(super) fn partitions_of(&self, topic: Uuid) -> Option<&BTreeSet<i32>> {
        self.initialized.get(&topic).map(|topic| &topic.partitions)
    }

    /// Partitions of these topics that are neither initialized nor, for not too long, initializing.
    pub(super) fn missing(
        &self,
        subscribed: &BTreeSet<&str>,
        topics: &TopicIndex,
        now_ms: i64,
    ) -> Vec<(Uuid, StateTopic)> {
        let mut missing = Vec::new();
        for (name, info) in subscribed.iter().filter_map(|name| Some((name, topics.get(name)?))) {
            let under_way = self.initializing.get(&info.id);
            let under_way = under_way.filter(|it| now_ms.saturating_sub(it.since_ms) < RETRY_MS);
            let known = [under_way, self.initialized.get(&info.id)].into_iter().flatten();
            let known: BTreeSet<i32> = known.flat_map(|topic| &topic.partitions).copied().collect();
            let partitions: BTreeSet<i32> = (0..info.partitions).filter(|it| !known.contains(it)).collect();
            if !partitions.is_empty() {
                let name = (*name).to_owned();
                missing.push((info.id, StateTopic { name, partitions, since_ms: now_ms }));
            }
        }
        missing
    }

    /// These are being initialized from now on.
    pub(super) fn begin_initializing(&mut self, topics: &[(Uuid, StateTopic)]) {
        for (id, began) in topics {
            self.deleting.remove(id);
            let topic = self.initializing.entry(*id).or_default();
            (topic.name, topic.since_ms) = (began.name.clone(), began.since_ms);
            topic.partitions.extend(&began.partitions);
        }
    }

    /// These are no longer being initialized: they are, or it failed. Returns those that were.
    pub(super) fn end_initializing(&mut self, partitions: &Assignment, succeeded: bool) {
        for (id, ended) in partitions {
            let Some(topic) = self.initializing.get_mut(id) else { continue };
            let name = topic.name.clone();
            let ended: BTreeSet<i32> = topic.partitions.extract_if(.., |it| ended.contains(it)).collect();
            if topic.partitions.is_empty() {
                self.initializing.remove(id);
            }
            if succeeded && !ended.is_empty() {
                let topic = self.initialized.entry(*id).or_default();
                topic.name = name;
                topic.partitions.extend(ended);
            }
        }
    }

    /// Everything is to be deleted; what is deleted already but for the record is deleted once more.
    pub(super) fn begin_deleting_all(&mut self, topics: &TopicIndex) -> Vec<(Uuid, StateTopic)> {
        let mut doomed: BTreeMap<Uuid, StateTopic> = BTreeMap::new();
        let retried = std::mem::take(&mut self.deleting).into_iter().filter_map(|(id, name)| {
            let partitions = 0..topics.get(topics.name(id)?)?.partitions;
            Some((id, StateTopic { name, partitions: partitions.collect(), since_ms: 0 }))
        });
        let (initialized, initializing) =
            (std::mem::take(&mut self.initialized), std::mem::take(&mut self.initializing));
        for (id, topic) in initialized.into_iter().chain(initializing).chain(retried) {
            let one = doomed.entry(id).or_default();
            one.name = topic.name;
            one.partitions.extend(topic.partitions);
        }
        self.deleting = doomed.iter().map(|(id, topic)| (*id, topic.name.clone())).collect();
        doomed.into_iter().collect()
    }

    /// A topic is to be deleted; `None` when nothing is kept of it.
    pub(super) fn begin_deleting(&mut self, id: Uuid, partitions: i32) -> Option<BTreeSet<i32>> {
        if let Some(topic) = self.initialized.remove(&id) {
            self.deleting.insert(id, topic.name);
            return Some(topic.partitions);
        }
        self.deleting.contains_key(&id).then(|| (0..partitions).collect())
    }

    /// Forgets topics that do not exist any more; returns whether there were any.
    pub(super) fn forget_missing(&mut self, topics: &TopicIndex) -> bool {
        let before = (self.initializing.len(), self.initialized.len(), self.deleting.len());
        self.initializing.retain(|id, _| topics.name(*id).is_some());
        self.initialized.retain(|id, _| topics.name(*id).is_some());
        self.deleting.retain(|id, _| topics.name(*id).is_some());
        before != (self.initializing.len(), self.initialized.len(), self.deleting.len())
    }
}
