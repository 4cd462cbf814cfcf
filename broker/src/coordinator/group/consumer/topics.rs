//! What the coordinator knows of topics: their ids and partition counts, as the shell tells them.
//!
//! Assignors work on ids, subscriptions on names; both ways of looking a topic up are here. **Invariant:** both maps hold the
//! same topics; an id belongs to one name.

use std::collections::{BTreeMap, BTreeSet, HashMap};

use uuid::Uuid;

/// A topic as assignments need it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct TopicInfo {
    /// Its id; a topic made again under the same name has another.
    pub id: Uuid,
    /// Partitions, numbered from 0.
    pub partitions: i32,
}

/// Every topic of this broker.
#[derive(Debug, Default)]
pub(in crate::coordinator::group) struct TopicIndex {
    by_name: BTreeMap<String, TopicInfo>,
    names: HashMap<Uuid, String>,
}

impl TopicIndex {
    /// Takes in what a topic is now; `None`: gone.
    pub(in crate::coordinator::group) fn set(&mut self, name: &str, info: Option<TopicInfo>) {
        let previous = match info {
            Some(info) => {
                self.names.insert(info.id, name.to_owned());
                self.by_name.insert(name.to_owned(), info)
            }
            None => self.by_name.remove(name),
        };
        if let Some(previous) = previous.filter(|previous| Some(previous.id) != info.map(|info| info.id)) {
            self.names.remove(&previous.id);
        }
    }

    pub(in crate::coordinator::group) fn get(&self, name: &str) -> Option<TopicInfo> {
        self.by_name.get(name).copied()
    }

    pub(in crate::coordinator::group) fn name(&self, id: Uuid) -> Option<&str> {
        self.names.get(&id).map(String::as_str)
    }

    pub(in crate::coordinator::group) fn names(&self) -> impl Iterator<Item = &str> {
        self.by_name.keys().map(String::as_str)
    }

    /// A number that changes when one of these topics comes, goes, grows or is made again; 0 for none. FNV-1a over names in
    /// order, ids and counts. Kafka hashes other bytes; nobody compares the numbers of two brokers.
    pub(in crate::coordinator::group) fn hash(&self, names: &BTreeSet<&str>) -> i64 {
        const OFFSET_BASIS: u64 = 0xcbf2_9ce4_8422_2325;
        const PRIME: u64 = 0x0000_0100_0000_01b3;
        let mut hash = OFFSET_BASIS;
        let mut any = false;
        for name in names {
            let Some(info) = self.get(name) else { continue };
            any = true;
            let length = u64::try_from(name.len()).unwrap_or(u64::MAX).to_be_bytes();
            let parts: [&[u8]; 4] =
                [&length, name.as_bytes(), info.id.as_bytes(), &info.partitions.to_be_bytes()];
            for byte in parts.concat() {
                hash = (hash ^ u64::from(byte)).wrapping_mul(PRIME);
            }
        }
        if any { hash.cast_signed() } else { 0 }
    }
}

#[cfg(test)]
mod tests {
    use super::{BTreeSet, TopicIndex, TopicInfo, Uuid};

    #[test]
    fn hash_changes_with_every_change_of_a_subscribed_topic_and_with_no_other() {
        let mut topics = TopicIndex::default();
        let info = |id, partitions| Some(TopicInfo { id: Uuid::from_u128(id), partitions });
        let subscribed = BTreeSet::from(["a", "b"]);
        assert_eq!(topics.hash(&subscribed), 0);
        topics.set("a", info(1, 3));
        let first = topics.hash(&subscribed);
        topics.set("other", info(9, 3));
        assert_eq!(topics.hash(&subscribed), first);
        let mut seen = vec![first];
        for (name, id, partitions) in [("a", 1, 4), ("a", 2, 4), ("b", 3, 1)] {
            topics.set(name, info(id, partitions));
            let hash = topics.hash(&subscribed);
            assert!(!seen.contains(&hash), "{name} {id} {partitions}");
            seen.push(hash);
        }
        topics.set("b", None);
        assert_eq!(topics.hash(&subscribed), seen[2]);
    }

    #[test]
    fn id_of_a_topic_made_again_replaces_the_old_one() {
        let mut topics = TopicIndex::default();
        topics.set("a", Some(TopicInfo { id: Uuid::from_u128(1), partitions: 1 }));
        topics.set("a", Some(TopicInfo { id: Uuid::from_u128(2), partitions: 1 }));
        assert_eq!(topics.name(Uuid::from_u128(1)), None);
        assert_eq!(topics.name(Uuid::from_u128(2)), Some("a"));
        topics.set("a", None);
        assert_eq!(topics.name(Uuid::from_u128(2)), None);
    }
}
