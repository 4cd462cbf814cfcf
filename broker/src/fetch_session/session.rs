//! One fetch session: what its client fetches and what it was last told of each partition (KIP-227).
//!
//! Pure. Invariants: partitions are served in the order in which they came, but one that gave records goes to the end, so
//! that none starves behind busy ones; both indexes hold the same partitions; nothing here shares memory with a request.

use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;

use protocol::StrBytes;
use protocol::fetch_response::FetchedPartition;
use protocol::messages::fetch_request::{FetchPartition, FetchTopic, ForgottenTopic};
use uuid::Uuid;

/// The epoch of a request that opens a session.
pub(super) const INITIAL_EPOCH: i32 = 0;
/// The epoch of a request that wants no session.
pub(super) const FINAL_EPOCH: i32 = -1;

/// What a client asks of one partition.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Asked {
    pub(crate) from: i64,
    pub(crate) max_bytes: i32,
    pub(crate) leader_epoch: i32,
    pub(crate) last_fetched_epoch: i32,
}

impl From<&FetchPartition> for Asked {
    fn from(partition: &FetchPartition) -> Self {
        Self {
            from: partition.fetch_offset,
            max_bytes: partition.partition_max_bytes,
            leader_epoch: partition.current_leader_epoch,
            last_fetched_epoch: partition.last_fetched_epoch,
        }
    }
}

/// A topic as requests name it: by name with a nil id, or by id with an empty name.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub(crate) struct TopicKey {
    pub(crate) name: StrBytes,
    pub(crate) id: Uuid,
}

impl TopicKey {
    /// A copy that does not hold on to the request that the name came in.
    pub(super) fn copied(name: &str, id: Uuid) -> Arc<Self> {
        Arc::new(Self { name: StrBytes::from_string(name.to_owned()), id })
    }
}

/// Where a partition stands in its session's order.
pub(crate) type Place = u64;

/// A partition that is to be fetched.
#[derive(Debug, Clone)]
pub(crate) struct SessionPartition {
    pub(crate) topic: Arc<TopicKey>,
    pub(crate) index: i32,
    pub(crate) asked: Asked,
    pub(crate) place: Place,
}

/// See the module.
#[derive(Debug)]
pub(super) struct Session {
    /// Requests name topics by id.
    pub(super) by_id: bool,
    /// Which epoch the next request must have.
    pub(super) epoch: i32,
    places: HashMap<(Arc<TopicKey>, i32), Place>,
    partitions: BTreeMap<Place, Cached>,
    next_place: Place,
}

#[derive(Debug)]
struct Cached {
    topic: Arc<TopicKey>,
    index: i32,
    asked: Asked,
    high_watermark: i64,
    log_start_offset: i64,
}

impl Session {
    /// An empty session, whose first incremental request has epoch 1.
    pub(super) fn new(by_id: bool) -> Self {
        let (places, partitions) = (HashMap::new(), BTreeMap::new());
        Self { by_id, epoch: next_epoch(INITIAL_EPOCH), places, partitions, next_place: 0 }
    }

    pub(super) fn len(&self) -> usize {
        self.partitions.len()
    }

    /// Adds or changes a partition that a full fetch was `told` about.
    pub(super) fn open(&mut self, topic: &Arc<TopicKey>, asked: Asked, told: &FetchedPartition) {
        let place = self.put(topic, told.partition_index, asked);
        self.tell(place, told);
    }

    /// Takes in what an incremental request changes.
    pub(super) fn update(&mut self, topics: &[FetchTopic], forgotten: &[ForgottenTopic]) {
        for topic in topics {
            let key = TopicKey::copied(&topic.topic, topic.topic_id);
            for partition in &topic.partitions {
                self.put(&key, partition.partition, partition.into());
            }
        }
        for topic in forgotten {
            let key = TopicKey::copied(&topic.topic, topic.topic_id);
            for index in &topic.partitions {
                if let Some(place) = self.places.remove(&(Arc::clone(&key), *index)) {
                    self.partitions.remove(&place);
                }
            }
        }
    }

    /// All partitions, in the order in which they are to be served.
    pub(super) fn partitions(&self) -> Vec<SessionPartition> {
        let partition = |(place, cached): (&Place, &Cached)| SessionPartition {
            topic: Arc::clone(&cached.topic),
            index: cached.index,
            asked: cached.asked,
            place: *place,
        };
        self.partitions.iter().map(partition).collect()
    }

    /// Takes note of what the client is about to be told of the partition at `place`; false when it knows that already, so
    /// that the answer leaves it out (Kafka `CachedPartition.maybeUpdateResponseData`).
    pub(super) fn tell(&mut self, place: Place, told: &FetchedPartition) -> bool {
        let Some(cached) = self.partitions.get_mut(&place) else { return false };
        // With an error both are -1, so the partition is told about again when the error is gone.
        let (high_watermark, log_start_offset) = (told.high_watermark, told.log_start_offset);
        let news = (cached.high_watermark, cached.log_start_offset) != (high_watermark, log_start_offset);
        (cached.high_watermark, cached.log_start_offset) = (high_watermark, log_start_offset);
        let has_records = told.records.iter().any(|slice| !slice.is_empty());
        if has_records {
            self.move_to_end(place);
        }
        news || has_records
            || !told.error_code.is_none()
            || told.diverging_epoch.is_some()
            || told.preferred_read_replica >= 0
    }

    fn put(&mut self, topic: &Arc<TopicKey>, index: i32, asked: Asked) -> Place {
        if let Some(place) = self.places.get(&(Arc::clone(topic), index)) {
            self.partitions.get_mut(place).expect("both indexes hold the same partitions").asked = asked;
            return *place;
        }
        let topic = Arc::clone(topic);
        self.insert(Cached { topic, index, asked, high_watermark: -1, log_start_offset: -1 })
    }

    fn insert(&mut self, cached: Cached) -> Place {
        let place = self.next_place;
        self.next_place += 1;
        self.places.insert((Arc::clone(&cached.topic), cached.index), place);
        self.partitions.insert(place, cached);
        place
    }

    fn move_to_end(&mut self, place: Place) {
        let cached = self.partitions.remove(&place).expect("looked at a moment ago");
        self.insert(cached);
    }
}

/// The epoch that follows; 0 opens a session, so after the greatest comes 1 (Kafka `FetchMetadata.nextEpoch`).
pub(super) fn next_epoch(epoch: i32) -> i32 {
    match epoch {
        ..0 => FINAL_EPOCH,
        i32::MAX => 1,
        epoch => epoch + 1,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use bytes::Bytes;
    use protocol::ErrorCode;

    fn topic(name: &str, partitions: &[(i32, i64)]) -> FetchTopic {
        let partition = |(index, from): &(i32, i64)| {
            FetchPartition::default().with_partition(*index).with_fetch_offset(*from)
        };
        let name = StrBytes::from_string(name.to_owned()).into();
        FetchTopic::default().with_topic(name).with_partitions(partitions.iter().map(partition).collect())
    }

    fn forgotten(name: &str, partitions: &[i32]) -> ForgottenTopic {
        let name = StrBytes::from_string(name.to_owned()).into();
        ForgottenTopic::default().with_topic(name).with_partitions(partitions.to_vec())
    }

    fn session(topics: &[FetchTopic]) -> Session {
        let mut session = Session::new(false);
        session.update(topics, &[]);
        session
    }

    fn order(session: &Session) -> Vec<(String, i32, i64)> {
        let partition = |it: &SessionPartition| (it.topic.name.to_string(), it.index, it.asked.from);
        session.partitions().iter().map(partition).collect()
    }

    fn told(high_watermark: i64) -> FetchedPartition {
        FetchedPartition { high_watermark, log_start_offset: 0, ..FetchedPartition::default() }
    }

    #[test]
    fn requests_add_change_and_forget_partitions() {
        let mut session = session(&[topic("a", &[(0, 5), (1, 5)]), topic("b", &[(0, 1)])]);
        session.update(&[topic("a", &[(1, 9)]), topic("c", &[(7, 2)])], &[forgotten("a", &[0, 4])]);
        let expected = [("a", 1, 9), ("b", 0, 1), ("c", 7, 2)];
        let expected: Vec<_> = expected.map(|(name, index, from)| (name.to_owned(), index, from)).into();
        assert_eq!(order(&session), expected);
        session.update(&[], &[forgotten("a", &[1]), forgotten("b", &[0]), forgotten("c", &[7])]);
        assert_eq!((session.len(), session.places.len()), (0, 0));
    }

    #[test]
    fn a_partition_that_is_added_and_forgotten_at_once_is_not_there() {
        let mut session = session(&[topic("a", &[(0, 0)])]);
        session.update(&[topic("b", &[(0, 0)])], &[forgotten("b", &[0])]);
        assert_eq!(order(&session), [("a".to_owned(), 0, 0)]);
    }

    #[test]
    fn a_partition_without_news_is_left_out() {
        let mut session = session(&[topic("a", &[(0, 0)])]);
        assert!(session.tell(0, &told(3)), "the first time everything is new");
        assert!(!session.tell(0, &told(3)));
        assert!(session.tell(0, &told(4)));
        assert!(session.tell(0, &FetchedPartition { log_start_offset: 2, ..told(4) }));
        assert!(!session.tell(0, &FetchedPartition { log_start_offset: 2, ..told(4) }));
        let stable = FetchedPartition { log_start_offset: 2, last_stable_offset: 1, ..told(4) };
        assert!(!session.tell(0, &stable), "as in Kafka the last stable offset alone is no news");
    }

    #[test]
    fn an_error_is_told_each_time_and_so_is_its_end() {
        let mut session = session(&[topic("a", &[(0, 0)])]);
        session.tell(0, &told(3));
        let failed =
            FetchedPartition { error_code: ErrorCode::UnknownTopicId, ..FetchedPartition::default() };
        assert!(session.tell(0, &failed));
        assert!(session.tell(0, &failed));
        assert!(session.tell(0, &told(3)));
        assert!(!session.tell(0, &told(3)));
    }

    #[test]
    fn a_partition_that_gave_records_goes_to_the_end() {
        let mut session = session(&[topic("a", &[(0, 0), (1, 0), (2, 0)])]);
        let full = FetchedPartition { records: vec![Bytes::from_static(b"batch")], ..told(1) };
        let places: Vec<Place> = session.partitions().iter().map(|partition| partition.place).collect();
        assert!(session.tell(places[0], &full));
        assert!(session.tell(places[1], &told(1)));
        assert!(session.tell(places[2], &full));
        let order: Vec<i32> = session.partitions().iter().map(|partition| partition.index).collect();
        assert_eq!(order, [1, 0, 2]);
        assert!(session.tell(session.partitions()[1].place, &full), "records are news by themselves");
    }

    #[test]
    fn the_epoch_after_the_greatest_is_one() {
        let epochs = [(0, 1), (1, 2), (i32::MAX - 1, i32::MAX), (i32::MAX, 1), (-1, -1), (i32::MIN, -1)];
        for (epoch, next) in epochs {
            assert_eq!(next_epoch(epoch), next, "{epoch}");
        }
    }
}
