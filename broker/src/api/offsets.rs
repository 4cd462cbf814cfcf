//! OffsetCommit (8, versions 2 to 10), OffsetFetch (9, 1 to 10), OffsetDelete (47, 0): committed offsets of groups.
//!
//! OffsetCommit: 2 to 4 bring a retention time, 9 knows GROUP_ID_NOT_FOUND. Topics and partitions that do not exist are
//! refused one by one, the others committed. OffsetFetch: 2 lets the topics be null (all) and has an error for the whole, 7
//! `require_stable` (what a transaction may yet change is UNSTABLE_OFFSET_COMMIT), 8 asks for many groups, 9 brings the
//! member and its epoch, which a consumer group (KIP-848) checks. What was never committed is offset -1 without error. From
//! 10 on both name topics by id, and an id that is not there is UNKNOWN_TOPIC_ID; all offsets of a group then leave out those
//! of deleted topics.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use futures_util::future::join_all;
use protocol::layout::Layout;
use protocol::messages::offset_commit_response::{OffsetCommitResponsePartition, OffsetCommitResponseTopic};
use protocol::messages::offset_delete_response::{OffsetDeleteResponsePartition, OffsetDeleteResponseTopic};
use protocol::messages::offset_fetch_request::OffsetFetchRequestGroup;
use protocol::messages::offset_fetch_response::{
    OffsetFetchResponseGroup, OffsetFetchResponsePartition, OffsetFetchResponsePartitions,
    OffsetFetchResponseTopic, OffsetFetchResponseTopics,
};
use protocol::messages::{
    ApiKey, OffsetCommitResponse, OffsetDeleteRequest, OffsetDeleteResponse, OffsetFetchResponse, TopicName,
};
use protocol::newer::{OffsetCommitRequest, OffsetFetchRequest};
use protocol::{ErrorCode, StrBytes, layouts, messages};
use storage::Store;
use uuid::Uuid;

use super::group_membership::{ask, text};
use super::{Api, Reply, RequestContext, Response};
use crate::broker::Broker;
use crate::coordinator::group::{self, FetchedOffset, PartitionCommit, Request};
use crate::coordinator::shell::unexpected;

pub(super) struct OffsetCommit;
pub(super) struct OffsetFetch;
pub(super) struct OffsetDelete;

/// The first version of OffsetCommit and OffsetFetch that names topics by id.
const BY_ID: i16 = 10;

/// What was asked, in order, so that refused and accepted partitions can be answered side by side.
pub(super) type Asked = Vec<(TopicName, Vec<i32>)>;

impl Api for OffsetCommit {
    type Request = OffsetCommitRequest;
    type Response = OffsetCommitResponse;
    const KEY: ApiKey = ApiKey::OffsetCommit;
    const LAYOUT: &'static Layout = &layouts::groups::OFFSET_COMMIT;

    fn handle(
        broker: &Arc<Broker>,
        context: &RequestContext<'_>,
        OffsetCommitRequest(request): OffsetCommitRequest,
    ) -> Reply {
        let version = context.version();
        let (mut asked, mut ids) = (Asked::new(), Vec::new());
        let mut topics = Vec::new();
        for mut topic in request.topics {
            if version >= BY_ID {
                ids.push(topic.topic_id);
                topic.name = name_of(&broker.store, topic.topic_id).unwrap_or_default();
            }
            let commits = topic.partitions.into_iter().map(|commit| PartitionCommit {
                partition: commit.partition_index,
                offset: commit.committed_offset,
                leader_epoch: commit.committed_leader_epoch,
                metadata: text(commit.committed_metadata),
            });
            let commits = commits.collect();
            topics.push(existing(broker, &mut asked, topic.name, commits, |commit| commit.partition));
        }
        let retention = u64::try_from(request.retention_time_ms).ok().filter(|_| version <= 4);
        let commit = group::OffsetCommit {
            group_id: request.group_id.to_string(),
            generation_id: request.generation_id_or_member_epoch,
            member_id: request.member_id.to_string(),
            group_instance_id: text(request.group_instance_id),
            retention: retention.map(Duration::from_millis),
            supports_group_id_not_found: version >= 9,
            topics,
        };
        ask(broker, context, Request::OffsetCommit(commit), move |response| match response {
            group::Response::OffsetCommit(committed) => {
                let mut topics = commit_response(asked, committed);
                // Empty where names are asked for.
                for (topic, id) in topics.iter_mut().zip(ids) {
                    by_id(topic, id);
                }
                Response::encode(&OffsetCommitResponse::default().with_topics(topics), version)
            }
            other => unexpected(&other),
        })
    }
}

/// Names the topic by its id; one that was not found has no name.
fn by_id(topic: &mut OffsetCommitResponseTopic, id: Uuid) {
    if topic.name.is_empty() {
        let unknown = ErrorCode::UnknownTopicId.code();
        topic.partitions.iter_mut().for_each(|partition| partition.error_code = unknown);
    }
    topic.name = TopicName::default();
    topic.topic_id = id;
}

fn name_of(store: &Store, id: Uuid) -> Option<TopicName> {
    store.topic_by_id(id).map(|topic| TopicName(StrBytes::from_string(topic.name().to_string())))
}

fn commit_response(asked: Asked, committed: group::PartitionErrors) -> Vec<OffsetCommitResponseTopic> {
    let partition = |partition, error: ErrorCode| {
        OffsetCommitResponsePartition::default().with_partition_index(partition).with_error_code(error.code())
    };
    answered(asked, committed, partition, |name, partitions| {
        OffsetCommitResponseTopic::default().with_partitions(partitions).with_name(name)
    })
}

/// Notes a topic as asked for; returns what of it exists.
pub(super) fn existing<P>(
    broker: &Broker,
    asked: &mut Asked,
    topic: TopicName,
    mut partitions: Vec<P>,
    number: impl Fn(&P) -> i32,
) -> (String, Vec<P>) {
    let (found, name) = (broker.store.topic(&topic), topic.to_string());
    asked.push((topic, partitions.iter().map(&number).collect()));
    partitions.retain(|it| found.as_ref().is_some_and(|topic| topic.partition(number(it)).is_some()));
    (name, partitions)
}

/// The outcome of everything that was asked for, in that order. Partitions that the coordinator was not told about do not
/// exist.
pub(super) fn answered<P, T>(
    asked: Asked,
    told: group::PartitionErrors,
    partition: impl Fn(i32, ErrorCode) -> P,
    topic: impl Fn(TopicName, Vec<P>) -> T,
) -> Vec<T> {
    let flatten = |(topic, partitions): (String, Vec<(i32, ErrorCode)>)| {
        partitions.into_iter().map(move |(partition, error)| ((topic.clone(), partition), error))
    };
    let outcomes: HashMap<_, _> = told.into_iter().flat_map(flatten).collect();
    let answer = |(name, numbers): (TopicName, Vec<i32>)| {
        let partitions = numbers.into_iter().map(|number| {
            let outcome = outcomes.get(&(name.to_string(), number)).copied();
            partition(number, outcome.unwrap_or(ErrorCode::UnknownTopicOrPartition))
        });
        let partitions = partitions.collect();
        topic(name, partitions)
    };
    asked.into_iter().map(answer).collect()
}

impl Api for OffsetFetch {
    type Request = OffsetFetchRequest;
    type Response = OffsetFetchResponse;
    const KEY: ApiKey = ApiKey::OffsetFetch;
    const LAYOUT: &'static Layout = &layouts::groups::OFFSET_FETCH;

    fn handle(
        broker: &Arc<Broker>,
        context: &RequestContext<'_>,
        OffsetFetchRequest(request): OffsetFetchRequest,
    ) -> Reply {
        let version = context.version();
        if version >= 8 {
            return fetch_groups(broker, context, request);
        }
        let topics = request.topics.map(|topics| {
            topics.into_iter().map(|topic| (topic.name.to_string(), topic.partition_indexes)).collect()
        });
        let (group_id, require_stable) = (request.group_id.to_string(), request.require_stable);
        let fetch = group::OffsetFetch { group_id, topics, member: None, require_stable };
        ask(broker, context, Request::OffsetFetch(fetch), move |response| match response {
            group::Response::OffsetFetch(fetched) => {
                let topics = fetched.topics.into_iter().map(|topic| fetched_topic(version, topic)).collect();
                let response = OffsetFetchResponse::default().with_topics(topics);
                let error = fetched.error.code();
                let response = if version >= 2 { response.with_error_code(error) } else { response };
                Response::encode(&response, version)
            }
            other => unexpected(&other),
        })
    }
}

fn fetched_topic(version: i16, (name, partitions): (String, Vec<FetchedOffset>)) -> OffsetFetchResponseTopic {
    let partitions = partitions.into_iter().map(|fetched| {
        let partition = OffsetFetchResponsePartition::default()
            .with_partition_index(fetched.partition)
            .with_committed_offset(fetched.offset)
            .with_metadata(Some(fetched.metadata.into()))
            .with_error_code(fetched.error.code());
        if version >= 5 { partition.with_committed_leader_epoch(fetched.leader_epoch) } else { partition }
    });
    let name = StrBytes::from(name).into();
    OffsetFetchResponseTopic::default().with_name(name).with_partitions(partitions.collect())
}

fn fetch_groups(
    broker: &Arc<Broker>,
    context: &RequestContext<'_>,
    request: messages::OffsetFetchRequest,
) -> Reply {
    let (version, groups) = (context.version(), context.groups(broker));
    let (broker, require_stable) = (Arc::clone(broker), request.require_stable);
    Reply::Later(Box::pin(async move {
        let fetched = join_all(request.groups.into_iter().map(|mut asked| async {
            let all = asked.topics.is_none();
            let unknown = if version >= BY_ID { take_unknown(&broker.store, &mut asked) } else { Vec::new() };
            // Clients without a member say null and -1.
            let member = asked.member_id.filter(|_| version >= 9).map(|id| id.to_string());
            let epoch = asked.member_epoch;
            let member = member.or((epoch >= 0).then(String::new)).map(|member| (member, epoch));
            let topics = asked.topics.map(|topics| {
                topics.into_iter().map(|topic| (topic.name.to_string(), topic.partition_indexes)).collect()
            });
            let group_id = asked.group_id.to_string();
            let fetch = group::OffsetFetch { group_id, topics, member, require_stable };
            match groups.ask(Request::OffsetFetch(fetch)).await {
                group::Response::OffsetFetch(fetched) => {
                    let topics = fetched.topics.into_iter().map(fetched_group_topic);
                    let topics = if version >= BY_ID {
                        let mut topics: Vec<_> =
                            topics.filter_map(|topic| fetched_by_id(&broker.store, topic, all)).collect();
                        topics.extend(unknown);
                        topics
                    } else {
                        topics.collect()
                    };
                    OffsetFetchResponseGroup::default()
                        .with_group_id(asked.group_id)
                        .with_topics(topics)
                        .with_error_code(fetched.error.code())
                }
                other => unreachable!("the coordinator answered another question: {other:?}"),
            }
        }));
        Response::encode(&OffsetFetchResponse::default().with_groups(fetched.await), version)
    }))
}

/// Gives the topics of a group their names; those without one are taken out and answered.
fn take_unknown(store: &Store, asked: &mut OffsetFetchRequestGroup) -> Vec<OffsetFetchResponseTopics> {
    let mut unknown = Vec::new();
    asked.topics.iter_mut().for_each(|topics| {
        topics.retain_mut(|topic| {
            let name = name_of(store, topic.topic_id);
            if let Some(name) = &name {
                topic.name = name.clone();
            } else {
                let partitions = topic.partition_indexes.iter().map(|partition| {
                    OffsetFetchResponsePartitions::default()
                        .with_partition_index(*partition)
                        .with_committed_offset(-1)
                        .with_committed_leader_epoch(-1)
                        .with_metadata(Some(StrBytes::default()))
                        .with_error_code(ErrorCode::UnknownTopicId.code())
                });
                let topic = OffsetFetchResponseTopics::default().with_topic_id(topic.topic_id);
                unknown.push(topic.with_partitions(partitions.collect()));
            }
            name.is_some()
        });
    });
    unknown
}

/// Names the topic by its id. Of all offsets of a group those of deleted topics are left out; a topic that was asked for and
/// is deleted meanwhile keeps its answer under no id.
fn fetched_by_id(
    store: &Store,
    mut topic: OffsetFetchResponseTopics,
    all: bool,
) -> Option<OffsetFetchResponseTopics> {
    let id = store.topic(&topic.name).map(|found| found.id());
    if id.is_none() && all {
        return None;
    }
    topic.name = TopicName::default();
    topic.topic_id = id.unwrap_or_default();
    Some(topic)
}

fn fetched_group_topic((name, partitions): (String, Vec<FetchedOffset>)) -> OffsetFetchResponseTopics {
    let partitions = partitions.into_iter().map(|fetched| {
        OffsetFetchResponsePartitions::default()
            .with_partition_index(fetched.partition)
            .with_committed_offset(fetched.offset)
            .with_committed_leader_epoch(fetched.leader_epoch)
            .with_metadata(Some(fetched.metadata.into()))
            .with_error_code(fetched.error.code())
    });
    let name = StrBytes::from(name).into();
    OffsetFetchResponseTopics::default().with_name(name).with_partitions(partitions.collect())
}

impl Api for OffsetDelete {
    type Request = OffsetDeleteRequest;
    type Response = OffsetDeleteResponse;
    const KEY: ApiKey = ApiKey::OffsetDelete;
    const LAYOUT: &'static Layout = &layouts::groups::OFFSET_DELETE;

    fn handle(broker: &Arc<Broker>, context: &RequestContext<'_>, request: OffsetDeleteRequest) -> Reply {
        let version = context.version();
        let mut asked = Asked::new();
        let topics = request.topics.into_iter().map(|topic| {
            let partitions = topic.partitions.iter().map(|partition| partition.partition_index);
            existing(broker, &mut asked, topic.name, partitions.collect(), |partition| *partition)
        });
        let topics = topics.collect();
        let delete = group::OffsetDelete { group_id: request.group_id.to_string(), topics };
        ask(broker, context, Request::OffsetDelete(delete), move |response| match response {
            group::Response::OffsetDelete(deleted) if deleted.error.is_none() => {
                Response::encode(&delete_response(asked, deleted.topics), version)
            }
            group::Response::OffsetDelete(deleted) => {
                let response = OffsetDeleteResponse::default().with_error_code(deleted.error.code());
                Response::encode(&response, version)
            }
            other => unexpected(&other),
        })
    }
}

fn delete_response(asked: Asked, deleted: group::PartitionErrors) -> OffsetDeleteResponse {
    let partition = |partition, error: ErrorCode| {
        OffsetDeleteResponsePartition::default().with_partition_index(partition).with_error_code(error.code())
    };
    let topics = answered(asked, deleted, partition, |name, partitions| {
        OffsetDeleteResponseTopic::default().with_partitions(partitions).with_name(name)
    });
    OffsetDeleteResponse::default().with_topics(topics)
}
