//! A set of topics that together have the wanted number of partitions, with what is known of each partition's end.
//!
//! Rows create a set, load it one or more times, read it back and delete it. Partitions are counted over the whole set.
//! Invariant: `create` returns once every partition answers a Fetch, so no run pays for a leader that is not there yet.

use std::net::SocketAddr;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

use anyhow::{Context as _, Result, ensure};
use kafka_protocol::messages::create_topics_request::{CreatableTopic, CreatableTopicConfig};
use kafka_protocol::messages::delete_topics_request::DeleteTopicState;
use kafka_protocol::messages::{CreateTopicsRequest, DeleteTopicsRequest, TopicName};
use kafka_protocol::protocol::StrBytes;

use crate::clock;
use crate::fetch::FetchPlan;
use crate::wire::Connection;

/// Partitions of each topic; Kafka refuses requests that create more than 10 000 at once.
const PER_TOPIC: u32 = 1000;
const TOPICS_PER_REQUEST: usize = 8;
const CREATE_VERSION: i16 = 7;
const DELETE_VERSION: i16 = 6;
const TIMEOUT_MS: i32 = 60_000;
const READY_LIMIT: Duration = Duration::from_secs(120);

/// Topics `PREFIX-NUMBER-000`, `-001` and so on.
#[derive(Debug)]
pub(crate) struct TopicSet {
    prefix: String,
    number: u32,
    partitions: u32,
    /// Partitions of each topic at most.
    per_topic: u32,
    /// End offset of each partition, as the acknowledged records make it.
    pub(crate) ends: Vec<i64>,
}

impl TopicSet {
    /// Creates topics with `partitions` partitions in all, on a broker that serves at `address`.
    ///
    /// # Errors
    /// The broker refuses one, or they are not ready within two minutes.
    pub(crate) fn create(address: SocketAddr, partitions: u32, configs: &[(&str, &str)]) -> Result<Self> {
        let configs: Vec<_> =
            configs.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect();
        Self::unborn("bench", next_number(), partitions).born(address, |_| configs.clone())
    }

    /// The same with one partition in each topic, and the configs that `configs` gives for it.
    ///
    /// # Errors
    /// As `create`.
    pub(crate) fn create_singles(
        address: SocketAddr,
        topics: u32,
        configs: impl Fn(u32) -> Vec<(String, String)>,
    ) -> Result<Self> {
        let set = Self { per_topic: 1, ..Self::unborn("bench", next_number(), topics) };
        set.born(address, configs)
    }

    fn born(self, address: SocketAddr, configs: impl Fn(u32) -> Vec<(String, String)>) -> Result<Self> {
        let set = self;
        let mut connection = Connection::open(address)?;
        let topics: Vec<_> = (0..set.topics()).map(|topic| set.creatable(topic, configs(topic))).collect();
        for some in topics.chunks(TOPICS_PER_REQUEST) {
            let request =
                CreateTopicsRequest::default().with_topics(some.to_vec()).with_timeout_ms(TIMEOUT_MS);
            for topic in connection.ask(CREATE_VERSION, &request)?.topics {
                ensure!(
                    topic.error_code == 0,
                    "creating {:?} answered error {}",
                    topic.name,
                    topic.error_code
                );
            }
        }
        set.wait_until_served(address)?;
        Ok(set)
    }

    /// The same without any broker.
    pub(crate) fn unborn(prefix: &str, number: u32, partitions: u32) -> Self {
        let ends = vec![0; usize::try_from(partitions).expect("a u32 fits")];
        Self { prefix: prefix.to_owned(), number, partitions, per_topic: PER_TOPIC, ends }
    }

    /// Deletes the topics.
    ///
    /// # Errors
    /// The broker refuses.
    pub(crate) fn delete(self, address: SocketAddr) -> Result<()> {
        let mut connection = Connection::open(address)?;
        let names: Vec<_> = (0..self.topics())
            .map(|topic| DeleteTopicState::default().with_name(Some(self.topic_name(topic))))
            .collect();
        let request = DeleteTopicsRequest::default().with_topics(names).with_timeout_ms(TIMEOUT_MS);
        for topic in connection.ask(DELETE_VERSION, &request)?.responses {
            ensure!(topic.error_code == 0, "deleting {:?} answered error {}", topic.name, topic.error_code);
        }
        Ok(())
    }

    /// Waits until every partition answers.
    ///
    /// # Errors
    /// One does not within the limit.
    fn wait_until_served(&self, address: SocketAddr) -> Result<()> {
        self.wait_until_settled(address, Duration::ZERO)
    }

    /// Waits until every partition has answered for `settles` whenever it was asked. After a restart Kafka needs a while for
    /// that, and leaders may come, go and come again.
    ///
    /// # Errors
    /// That does not happen within the limit.
    pub(crate) fn wait_until_settled(&self, address: SocketAddr, settles: Duration) -> Result<()> {
        let mut connection = Connection::open(address)?;
        let mut served_since = None;
        let settled = clock::poll_until(READY_LIMIT, Duration::from_millis(50), || {
            if !self.is_served(&mut connection)? {
                served_since = None;
                return Ok(None);
            }
            let since = *served_since.get_or_insert_with(clock::now);
            Ok((clock::now() - since >= settles).then_some(()))
        })?;
        settled.context("partitions are not served for long enough within the limit")
    }

    fn is_served(&self, connection: &mut Connection) -> Result<bool> {
        let all: Vec<u32> = (0..self.partitions).collect();
        let plan = FetchPlan { max_wait_ms: 0, partition_max_bytes: 1 };
        for some in all.chunks(usize::try_from(self.per_topic).expect("a u32 fits")) {
            let offsets: Vec<_> = some.iter().map(|partition| (*partition, 0)).collect();
            let answers = plan.ask(connection, self, &offsets)?;
            let ready = answers.iter().filter(|answer| answer.error_code == 0).count();
            if ready < some.len() {
                return Ok(false);
            }
        }
        Ok(true)
    }

    /// Number of the set; part of every record's identity.
    pub(crate) fn number(&self) -> u32 {
        self.number
    }

    /// Partitions in all.
    pub(crate) fn partitions(&self) -> u32 {
        self.partitions
    }

    /// Name of the topic with this number; all are equally long.
    pub(crate) fn topic_name(&self, topic: u32) -> TopicName {
        TopicName(StrBytes::from_string(format!("{}-{:04}-{topic:03}", self.prefix, self.number)))
    }

    /// Topic number and partition index of a partition of the set.
    pub(crate) fn place(&self, partition: u32) -> (u32, u32) {
        (partition / self.per_topic, partition % self.per_topic)
    }

    /// The partition of the set that is partition `index` of topic number `topic`.
    pub(crate) fn partition(&self, topic: u32, index: i32) -> u32 {
        topic * self.per_topic + u32::try_from(index).unwrap_or(u32::MAX - topic * self.per_topic)
    }

    /// How many consecutive partitions lie in one topic at most.
    pub(crate) fn per_topic(&self) -> u32 {
        self.partitions.min(self.per_topic)
    }

    /// Adds `records` to what `partition` holds.
    pub(crate) fn extend(&mut self, partition: u32, records: u64) {
        let end = &mut self.ends[usize::try_from(partition).expect("a u32 fits")];
        *end += i64::try_from(records).expect("fewer records than offsets");
    }

    fn topics(&self) -> u32 {
        self.partitions.div_ceil(self.per_topic)
    }

    fn creatable(&self, topic: u32, configs: Vec<(String, String)>) -> CreatableTopic {
        let left = self.partitions - topic * self.per_topic;
        let configs = configs
            .into_iter()
            .map(|(name, value)| {
                CreatableTopicConfig::default()
                    .with_name(StrBytes::from_string(name))
                    .with_value(Some(StrBytes::from_string(value)))
            })
            .collect();
        CreatableTopic::default()
            .with_name(self.topic_name(topic))
            .with_num_partitions(i32::try_from(left.min(self.per_topic)).expect("at most PER_TOPIC"))
            .with_replication_factor(1)
            .with_configs(configs)
    }
}

fn next_number() -> u32 {
    static NUMBER: AtomicU32 = AtomicU32::new(0);
    NUMBER.fetch_add(1, Ordering::Relaxed)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn partitions_are_counted_over_topics_of_a_thousand() {
        let set = TopicSet::unborn("bench", 7, 2500);
        assert_eq!(set.topics(), 3);
        assert_eq!(
            [0, 999, 1000, 2499].map(|partition| set.place(partition)),
            [(0, 0), (0, 999), (1, 0), (2, 499)]
        );
        let partitions: Vec<_> =
            (0..3).map(|topic| set.creatable(topic, Vec::new()).num_partitions).collect();
        assert_eq!(partitions, [1000, 1000, 500]);
        assert_eq!(&*set.topic_name(2).0, "bench-0007-002");
        assert_eq!((set.per_topic(), TopicSet::unborn("a", 0, 3).per_topic()), (1000, 3));
    }
}
