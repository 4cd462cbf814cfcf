//! Who is who: the brokers, the topics with their partitions.

use std::collections::BTreeMap;

use kafka_protocol::messages::metadata_request::MetadataRequestTopic;
use kafka_protocol::messages::metadata_response::MetadataResponseTopic;
use kafka_protocol::messages::{MetadataRequest, TopicName};
use kafka_protocol::protocol::StrBytes;
use uuid::Uuid;

use super::{Client, Target};
use crate::failure::Outcome;

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
}

fn topic_info(topic: MetadataResponseTopic) -> Option<TopicInfo> {
    Some(TopicInfo {
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
