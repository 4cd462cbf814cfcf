//! DescribeTopicPartitions (75), version 0: topics with their partitions, page by page (KIP-966).
//!
//! Topics come in order of name, all of them when none is named. A page holds at most the asked number of partitions, and
//! never more than `max.request.partition.size.limit`; the cursor of a cut answer names the topic and partition to go on
//! with. A cursor before partition 0, or of a topic that is not asked for, is INVALID_REQUEST for every topic. Each topic
//! tells what the client may do with it.
//!
//! Deliberate gaps: eligible leader replicas are always empty, there is one replica.

use std::collections::BTreeSet;
use std::sync::Arc;

use protocol::layout::Layout;
use protocol::messages::describe_topic_partitions_request::Cursor as From;
use protocol::messages::describe_topic_partitions_response::{
    Cursor, DescribeTopicPartitionsResponsePartition, DescribeTopicPartitionsResponseTopic,
};
use protocol::messages::{
    ApiKey, BrokerId, DescribeTopicPartitionsRequest, DescribeTopicPartitionsResponse, TopicName,
};
use protocol::{ErrorCode, StrBytes, layouts};
use storage::{PartitionLog, Topic};

use super::authorized_operations;
use super::{Api, Reply, RequestContext};
use crate::broker::Broker;
use crate::topics;
use crate::virtual_nodes::Placement;

pub(super) struct DescribeTopicPartitions;

impl Api for DescribeTopicPartitions {
    type Request = DescribeTopicPartitionsRequest;
    type Response = DescribeTopicPartitionsResponse;
    const KEY: ApiKey = ApiKey::DescribeTopicPartitions;
    const LAYOUT: &'static Layout = &layouts::data::DESCRIBE_TOPIC_PARTITIONS;

    fn handle(
        broker: &Arc<Broker>,
        context: &RequestContext<'_>,
        request: DescribeTopicPartitionsRequest,
    ) -> Reply {
        if request.cursor.as_ref().is_some_and(|cursor| is_invalid(cursor, &request)) {
            let refused =
                request.topics.into_iter().map(|topic| failed(topic.name, ErrorCode::InvalidRequest));
            return context.reply(&DescribeTopicPartitionsResponse::default().with_topics(refused.collect()));
        }
        let all = request.topics.is_empty();
        let names: BTreeSet<String> = if all {
            broker.store.topics().iter().map(|topic| topic.name().to_string()).collect()
        } else {
            request.topics.iter().map(|topic| topic.name.to_string()).collect()
        };
        let most = broker.config.value("max.request.partition.size.limit").and_then(|most| most.parse().ok());
        let limit = request.response_partition_limit.min(most.unwrap_or(i32::MAX)).max(1);
        let limit = usize::try_from(limit).expect("it is positive");
        let mut page = Page { broker, left: limit, topics: Vec::new(), next: None };
        for name in names {
            let start = match start_of(&name, request.cursor.as_ref()) {
                Some(start) => start,
                None => continue,
            };
            if page.left == 0 {
                page.next = Some(cursor(TopicName(StrBytes::from_string(name)), 0));
                break;
            }
            match broker.store.topic(&name) {
                Some(topic) => page.add(&topic, start),
                // Gone since the names were listed.
                None if all => {}
                None => page.topics.push(unknown(name)),
            }
            if page.next.is_some() {
                break;
            }
        }
        for topic in &mut page.topics {
            topic.topic_authorized_operations = authorized_operations::TOPIC;
        }
        let response =
            DescribeTopicPartitionsResponse::default().with_topics(page.topics).with_next_cursor(page.next);
        context.reply(&response)
    }
}

/// A cursor goes on with something that was asked for.
fn is_invalid(cursor: &From, request: &DescribeTopicPartitionsRequest) -> bool {
    let is_asked = |name: &TopicName| request.topics.iter().any(|topic| topic.name == *name);
    cursor.partition_index < 0 || (!request.topics.is_empty() && !is_asked(&cursor.topic_name))
}

/// The partition to start with, `None` for a topic that an earlier page had.
fn start_of(name: &str, cursor: Option<&From>) -> Option<usize> {
    let Some(cursor) = cursor else {
        return Some(0);
    };
    match name.cmp(cursor.topic_name.as_str()) {
        std::cmp::Ordering::Less => None,
        std::cmp::Ordering::Equal => Some(usize::try_from(cursor.partition_index).unwrap_or_default()),
        std::cmp::Ordering::Greater => Some(0),
    }
}

struct Page<'a> {
    broker: &'a Broker,
    left: usize,
    topics: Vec<DescribeTopicPartitionsResponseTopic>,
    next: Option<Cursor>,
}

impl Page<'_> {
    fn add(&mut self, topic: &Topic, start: usize) {
        let name = TopicName(StrBytes::from_string(topic.name().to_string()));
        let partitions = topic.partitions();
        let shown: Vec<_> =
            partitions.iter().skip(start).take(self.left).map(|log| partition(self.broker, log)).collect();
        let end = start + shown.len();
        self.left -= shown.len();
        if end < partitions.len() {
            self.next = Some(cursor(name.clone(), end));
        }
        self.topics.push(
            DescribeTopicPartitionsResponseTopic::default()
                .with_name(Some(name))
                .with_topic_id(topic.id())
                .with_is_internal(topics::is_internal(topic.name()))
                .with_partitions(shown),
        );
    }
}

fn cursor(topic: TopicName, partition: usize) -> Cursor {
    let index = i32::try_from(partition).unwrap_or(i32::MAX);
    Cursor::default().with_topic_name(topic).with_partition_index(index)
}

fn partition(broker: &Broker, log: &PartitionLog) -> DescribeTopicPartitionsResponsePartition {
    let Placement { leader, leader_epoch, replicas, in_sync, offline } = broker.placement(log);
    let error = if leader < 0 { ErrorCode::LeaderNotAvailable } else { ErrorCode::None };
    DescribeTopicPartitionsResponsePartition::default()
        .with_error_code(error.code())
        .with_partition_index(log.partition())
        .with_leader_id(BrokerId(leader))
        .with_leader_epoch(leader_epoch)
        .with_replica_nodes(replicas.into_iter().map(BrokerId).collect())
        .with_isr_nodes(in_sync.into_iter().map(BrokerId).collect())
        .with_eligible_leader_replicas(Some(Vec::new()))
        .with_last_known_elr(Some(Vec::new()))
        .with_offline_replicas(offline.into_iter().map(BrokerId).collect())
}

fn unknown(name: String) -> DescribeTopicPartitionsResponseTopic {
    let error = match topics::validate_name(&name) {
        Ok(()) => ErrorCode::UnknownTopicOrPartition,
        Err(_) => ErrorCode::InvalidTopicException,
    };
    failed(TopicName(StrBytes::from_string(name)), error)
}

fn failed(name: TopicName, error: ErrorCode) -> DescribeTopicPartitionsResponseTopic {
    DescribeTopicPartitionsResponseTopic::default().with_error_code(error.code()).with_name(Some(name))
}
