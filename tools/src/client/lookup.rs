//! Who is who: the brokers, the topics with their leaders, the coordinator of a group.

use std::collections::BTreeMap;

use kafka_protocol::messages::metadata_request::MetadataRequestTopic;
use kafka_protocol::messages::metadata_response::MetadataResponseTopic;
use kafka_protocol::messages::{FindCoordinatorRequest, MetadataRequest, TopicName};
use kafka_protocol::protocol::StrBytes;
use uuid::Uuid;

use super::{Client, Target};
use crate::failure::{Failure, Outcome};

/// From this version on FindCoordinator asks for several keys.
const COORDINATOR_KEYS: i16 = 4;

/// A broker as the cluster lists it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Broker {
    pub(crate) id: i32,
    pub(crate) host: String,
    pub(crate) port: i32,
    pub(crate) rack: Option<String>,
}

/// A topic with its partitions in order.
#[derive(Debug, Clone)]
pub(crate) struct TopicInfo {
    pub(crate) name: String,
    pub(crate) id: Uuid,
    pub(crate) internal: bool,
    /// Partition to leader, -1 for none.
    pub(crate) leaders: BTreeMap<i32, i32>,
    pub(crate) raw: MetadataResponseTopic,
}

/// What Metadata says.
#[derive(Debug)]
pub(crate) struct Cluster {
    pub(crate) brokers: Vec<Broker>,
    /// Id of the broker that takes changes of topics, where the cluster names one.
    pub(crate) controller: Option<i32>,
    /// Sorted by name; those with an error are left out.
    pub(crate) topics: BTreeMap<String, TopicInfo>,
}

impl Client {
    /// All topics, or those named (which are not created by asking).
    pub(crate) fn cluster(&mut self, topics: Option<&[&str]>) -> Outcome<Cluster> {
        self.retry(|client| client.cluster_once(topics, false))
    }

    /// One attempt.
    pub(crate) fn cluster_once(&mut self, topics: Option<&[&str]>, create: bool) -> Outcome<Cluster> {
        let named = |name: &&str| MetadataRequestTopic::default().with_name(Some(topic_name(name)));
        let request = MetadataRequest::default()
            .with_topics(topics.map(|names| names.iter().map(named).collect()))
            .with_allow_auto_topic_creation(create);
        let answer = self.call(Target::Any, &request)?;
        let brokers: Vec<Broker> = answer
            .brokers
            .iter()
            .map(|broker| Broker {
                id: broker.node_id.0,
                host: broker.host.to_string(),
                port: broker.port,
                rack: broker.rack.as_ref().map(ToString::to_string),
            })
            .collect();
        self.nodes =
            brokers.iter().map(|broker| (broker.id, format!("{}:{}", broker.host, broker.port))).collect();
        let found = answer.topics.into_iter().filter(|topic| topic.error_code == 0);
        let topics = found.filter_map(topic_info).map(|topic| (topic.name.clone(), topic)).collect();
        let controller = Some(answer.controller_id.0).filter(|id| self.nodes.contains_key(id));
        Ok(Cluster { brokers, controller, topics })
    }

    /// The broker that coordinates `group`, one attempt.
    pub(crate) fn coordinator(&mut self, group: &str) -> Outcome<Broker> {
        let key = StrBytes::from_string(group.to_owned());
        let modern = FindCoordinatorRequest::default().with_coordinator_keys(vec![key.clone()]);
        let ranges = self.api_ranges(Target::Any)?;
        let asks_for_many = ranges.iter().any(|api| api.key == 10 && api.newest >= COORDINATOR_KEYS);
        let broker = if asks_for_many {
            let answer = self.call(Target::Any, &modern)?;
            let found = answer.coordinators.into_iter().next();
            let found = found.ok_or_else(|| Failure::new("the broker named no coordinator"))?;
            Failure::check(found.error_code, found.error_message.as_deref())?;
            Broker { id: found.node_id.0, host: found.host.to_string(), port: found.port, rack: None }
        } else {
            let answer = self.call(Target::Any, &FindCoordinatorRequest::default().with_key(key))?;
            Failure::check(answer.error_code, answer.error_message.as_deref())?;
            Broker { id: answer.node_id.0, host: answer.host.to_string(), port: answer.port, rack: None }
        };
        self.nodes.insert(broker.id, format!("{}:{}", broker.host, broker.port));
        Ok(broker)
    }
}

impl Cluster {
    /// The leader of a partition.
    ///
    /// # Errors
    /// There is no such partition, or nobody leads it.
    pub(crate) fn leader(&self, topic: &str, partition: i32) -> Outcome<i32> {
        match self.topics.get(topic).and_then(|topic| topic.leaders.get(&partition)) {
            Some(&leader) if leader >= 0 => Ok(leader),
            Some(_) => Err(Failure::broker(5, Some(&format!("{topic}-{partition} has no leader right now")))),
            None => Err(Failure::broker(3, Some(&format!("there is no partition {topic}-{partition}")))),
        }
    }
}

#[cfg(test)]
impl TopicInfo {
    /// A topic whose partitions broker 0 leads.
    pub(crate) fn for_test(name: &str, partitions: i32) -> Self {
        let leaders = (0..partitions).map(|index| (index, 0)).collect();
        Self {
            name: name.to_owned(),
            id: Uuid::nil(),
            internal: false,
            leaders,
            raw: MetadataResponseTopic::default(),
        }
    }
}

fn topic_info(topic: MetadataResponseTopic) -> Option<TopicInfo> {
    let leaders = topic.partitions.iter().map(|partition| (partition.partition_index, partition.leader_id.0));
    Some(TopicInfo {
        leaders: leaders.collect(),
        name: topic.name.as_ref()?.to_string(),
        id: topic.topic_id,
        internal: topic.is_internal,
        raw: topic,
    })
}

/// A topic's name as the messages want it.
pub(crate) fn topic_name(name: &str) -> TopicName {
    TopicName(StrBytes::from_string(name.to_owned()))
}
