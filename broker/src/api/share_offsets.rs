//! DescribeShareGroupOffsets (90, versions 0 and 1), AlterShareGroupOffsets (91, 0), DeleteShareGroupOffsets (92, 0): where
//! share groups are, and where they are to begin (KIP-932).
//!
//! The group coordinator knows which partitions have a state, the share coordinator keeps it; this room asks the one, then
//! the other, and tells the first what became of it. Describe: 1 adds the lag, the records that the group is not done with
//! (KIP-1226); a partition of which nothing is known is at -1, without an error, as is one that does not exist. Alter and
//! delete want a group without members, alter makes it if it is not there. Topics that do not exist come first in the answer
//! of an alter, last in the others, as Kafka sorts them.

use std::collections::BTreeMap;
use std::sync::Arc;

use futures_util::future::join_all;
use protocol::layout::Layout;
use protocol::messages::alter_share_group_offsets_response::{
    AlterShareGroupOffsetsResponsePartition as AlteredPartition,
    AlterShareGroupOffsetsResponseTopic as AlteredTopic,
};
use protocol::messages::delete_share_group_offsets_response::DeleteShareGroupOffsetsResponseTopic as DeletedTopic;
use protocol::messages::describe_share_group_offsets_request::DescribeShareGroupOffsetsRequestGroup;
use protocol::messages::describe_share_group_offsets_response::{
    DescribeShareGroupOffsetsResponseGroup as DescribedGroup,
    DescribeShareGroupOffsetsResponsePartition as DescribedPartition,
    DescribeShareGroupOffsetsResponseTopic as DescribedTopic,
};
use protocol::messages::{
    AlterShareGroupOffsetsRequest, AlterShareGroupOffsetsResponse, ApiKey, DeleteShareGroupOffsetsRequest,
    DeleteShareGroupOffsetsResponse,
};
use protocol::newer::{DescribeShareGroupOffsetsRequest, DescribeShareGroupOffsetsResponse};
use protocol::{ErrorCode, StrBytes, layouts, messages};
use storage::Store;
use uuid::Uuid;

use super::share_groups::tell_initialized;
use super::{Api, Reply, RequestContext, Response};
use crate::broker::Broker;
use crate::coordinator::group::{
    self, AlteringOffsets, DeletingOffsets, Refusal, Request, ShareRequest, ShareResponse,
};
use crate::coordinator::share::Summary;
use crate::coordinator::shell::unexpected;

/// Where a group is in a partition of which nothing is known, and how many records it lacks.
const UNKNOWN: i64 = -1;

pub(super) struct DescribeShareGroupOffsets;
pub(super) struct AlterShareGroupOffsets;
pub(super) struct DeleteShareGroupOffsets;

impl Api for DescribeShareGroupOffsets {
    type Request = DescribeShareGroupOffsetsRequest;
    type Response = DescribeShareGroupOffsetsResponse;
    const KEY: ApiKey = ApiKey::DescribeShareGroupOffsets;
    const LAYOUT: &'static Layout = &layouts::share::DESCRIBE_SHARE_GROUP_OFFSETS;

    fn handle(
        broker: &Arc<Broker>,
        context: &RequestContext<'_>,
        request: DescribeShareGroupOffsetsRequest,
    ) -> Reply {
        let version = context.version();
        let (groups, broker) = (context.groups(broker), Arc::clone(broker));
        Reply::Later(Box::pin(async move {
            let described = join_all(request.0.groups.into_iter().map(|group| async {
                match asked_of(&broker.store, group.topics.as_ref()) {
                    Some(asked) => described(&broker, group, Ok(asked)).await,
                    None => {
                        let group_id = group.group_id.to_string();
                        let all = Request::Share(ShareRequest::StatePartitions { group_id });
                        let asked = match groups.ask(all).await {
                            group::Response::Share(ShareResponse::StatePartitions(kept)) => {
                                kept.map(|kept| named(&broker.store, kept))
                            }
                            other => unexpected(&other),
                        };
                        described(&broker, group, asked).await
                    }
                }
            }));
            let mut response = DescribeShareGroupOffsetsResponse::default();
            for (group, lags) in described.await {
                response.common.groups.push(group);
                response.lags.extend(lags);
            }
            Response::encode(&response, version)
        }))
    }
}

/// A topic by name; its id if it exists, and partitions.
type Asked = (StrBytes, Option<Uuid>, Vec<i32>);

/// Topics that exist before those that do not; `None` when all that have a state are asked for.
fn asked_of(
    store: &Store,
    topics: Option<
        &Vec<messages::describe_share_group_offsets_request::DescribeShareGroupOffsetsRequestTopic>,
    >,
) -> Option<Vec<Asked>> {
    let asked = topics?.iter().map(|topic| {
        let id = store.topic(&topic.topic_name).map(|topic| topic.id());
        (topic.topic_name.0.clone(), id, topic.partitions.clone())
    });
    let mut asked: Vec<_> = asked.collect();
    asked.sort_by_key(|(_, id, _)| id.is_none());
    Some(asked)
}

fn named(store: &Store, kept: group::Assignment) -> Vec<Asked> {
    let name = |(id, partitions): (Uuid, std::collections::BTreeSet<i32>)| {
        let topic = store.topic_by_id(id)?;
        Some((StrBytes::from(topic.name().to_string()), Some(id), partitions.into_iter().collect()))
    };
    kept.into_iter().filter_map(name).collect()
}

/// One group of the answer, and a lag for each of its partitions.
async fn described(
    broker: &Broker,
    group: DescribeShareGroupOffsetsRequestGroup,
    asked: Result<Vec<Asked>, ErrorCode>,
) -> (DescribedGroup, Vec<i64>) {
    let answer = DescribedGroup::default().with_group_id(group.group_id.clone());
    let asked = match asked {
        Ok(asked) => asked,
        Err(error) => {
            let failed = answer.with_error_code(error.code()).with_error_message(Some(sentence(error)));
            return (failed, Vec::new());
        }
    };
    let known = asked.iter().filter_map(|(_, id, partitions)| Some(((*id)?, partitions)));
    let known = known.flat_map(|(id, partitions)| partitions.iter().map(move |partition| (id, *partition)));
    let summaries = broker.share_partitions.summary(&group.group_id, known.collect()).await;
    let mut summaries = summaries.into_iter();
    let (mut topics, mut lags) = (Vec::with_capacity(asked.len()), Vec::new());
    for (name, id, partitions) in asked {
        let described = partitions.into_iter().map(|partition| {
            let summary = id.and_then(|_| summaries.next());
            let summary = summary.and_then(Result::ok).flatten();
            lags.push(summary.map_or(UNKNOWN, |summary| lag(&broker.store, &name, partition, &summary)));
            DescribedPartition::default()
                .with_partition_index(partition)
                .with_start_offset(summary.map_or(UNKNOWN, |summary| summary.start_offset))
                .with_leader_epoch(summary.map_or(0, |summary| summary.leader_epoch))
        });
        let described = described.collect();
        let topic = DescribedTopic::default().with_topic_id(id.unwrap_or_default());
        topics.push(topic.with_topic_name(name.into()).with_partitions(described));
    }
    (answer.with_topics(topics), lags)
}

/// Records from the group's start offset to the end of the partition, less those that it is done with.
fn lag(store: &Store, topic: &str, partition: i32, summary: &Summary) -> i64 {
    if summary.start_offset == UNKNOWN || summary.delivery_complete_count == -1 {
        return UNKNOWN;
    }
    let partition = store.topic(topic).and_then(|topic| topic.partition(partition));
    let end = partition.map(|partition| partition.high_watermark());
    end.map_or(UNKNOWN, |end| end - summary.start_offset - i64::from(summary.delivery_complete_count))
}

impl Api for AlterShareGroupOffsets {
    type Request = AlterShareGroupOffsetsRequest;
    type Response = AlterShareGroupOffsetsResponse;
    const KEY: ApiKey = ApiKey::AlterShareGroupOffsets;
    const LAYOUT: &'static Layout = &layouts::share::ALTER_SHARE_GROUP_OFFSETS;

    fn handle(
        broker: &Arc<Broker>,
        context: &RequestContext<'_>,
        request: AlterShareGroupOffsetsRequest,
    ) -> Reply {
        let version = context.version();
        let (asked, broker) = (context.groups(broker), Arc::clone(broker));
        Reply::Later(Box::pin(async move {
            let group_id = request.group_id.to_string();
            let topics = request.topics.into_iter().map(|topic| {
                let partitions = topic.partitions.iter().map(|it| (it.partition_index, it.start_offset));
                (topic.topic_name.to_string(), partitions.collect())
            });
            let alter = ShareRequest::AlterOffsets { group_id: group_id.clone(), topics: topics.collect() };
            let response = match asked.ask(Request::Share(alter)).await {
                group::Response::Share(ShareResponse::AlterOffsets(Ok(altering))) => {
                    altered(&broker, group_id, altering).await
                }
                group::Response::Share(ShareResponse::AlterOffsets(Err(refusal))) => {
                    let (code, message) = refused(refusal);
                    AlterShareGroupOffsetsResponse::default()
                        .with_error_code(code)
                        .with_error_message(message)
                }
                other => unexpected(&other),
            };
            Response::encode(&response, version)
        }))
    }
}

async fn altered(
    broker: &Broker,
    group_id: String,
    altering: AlteringOffsets,
) -> AlterShareGroupOffsetsResponse {
    let AlteringOffsets { state_epoch, mut topics, initialize } = altering;
    let mut partitions = group::Assignment::new();
    for (topic, partition, _) in &initialize {
        partitions.entry(*topic).or_default().insert(*partition);
    }
    let mut failed = None;
    if !initialize.is_empty() {
        let done = broker.share_partitions.initialize(&group_id, state_epoch, initialize).await;
        failed = done.err();
        tell_initialized(&broker.groups, group_id, partitions, failed.is_none()).await;
    }
    topics.sort_by_key(|topic| topic.id.is_some());
    let topics = topics.into_iter().map(|group::AlteredTopic { name, id, partitions }| {
        let partitions = partitions.into_iter().map(|(partition, error)| {
            let error = if error.is_none() { failed.unwrap_or(error) } else { error };
            AlteredPartition::default()
                .with_partition_index(partition)
                .with_error_code(error.code())
                .with_error_message((!error.is_none()).then(|| sentence(error)))
        });
        AlteredTopic::default()
            .with_topic_name(StrBytes::from(name).into())
            .with_topic_id(id.unwrap_or_default())
            .with_partitions(partitions.collect())
    });
    AlterShareGroupOffsetsResponse::default().with_responses(topics.collect())
}

impl Api for DeleteShareGroupOffsets {
    type Request = DeleteShareGroupOffsetsRequest;
    type Response = DeleteShareGroupOffsetsResponse;
    const KEY: ApiKey = ApiKey::DeleteShareGroupOffsets;
    const LAYOUT: &'static Layout = &layouts::share::DELETE_SHARE_GROUP_OFFSETS;

    fn handle(
        broker: &Arc<Broker>,
        context: &RequestContext<'_>,
        request: DeleteShareGroupOffsetsRequest,
    ) -> Reply {
        let version = context.version();
        let (asked, broker) = (context.groups(broker), Arc::clone(broker));
        Reply::Later(Box::pin(async move {
            let group_id = request.group_id.to_string();
            let topics = request.topics.into_iter().map(|topic| topic.topic_name.to_string()).collect();
            let delete = ShareRequest::DeleteOffsets { group_id: group_id.clone(), topics: Some(topics) };
            let response = match asked.ask(Request::Share(delete)).await {
                group::Response::Share(ShareResponse::DeleteOffsets(Ok(deleting))) => {
                    let responses = deleted(&broker, group_id, deleting).await;
                    DeleteShareGroupOffsetsResponse::default().with_responses(responses)
                }
                group::Response::Share(ShareResponse::DeleteOffsets(Err(refusal))) => {
                    let (code, message) = refused(refusal);
                    DeleteShareGroupOffsetsResponse::default()
                        .with_error_code(code)
                        .with_error_message(message)
                }
                other => unexpected(&other),
            };
            Response::encode(&response, version)
        }))
    }
}

async fn deleted(broker: &Broker, group_id: String, deleting: DeletingOffsets) -> Vec<DeletedTopic> {
    let DeletingOffsets { failed, delete } = deleting;
    let each = delete
        .iter()
        .flat_map(|(topic, _, partitions)| partitions.iter().map(move |partition| (*topic, *partition)));
    let each: Vec<_> = each.collect();
    let outcomes = broker.share_partitions.delete(&group_id, each.clone()).await;
    let errors = each.into_iter().zip(outcomes).filter(|(_, error)| !error.is_none());
    let errors: BTreeMap<Uuid, ErrorCode> = errors.map(|((topic, _), error)| (topic, error)).collect();
    let gone: Vec<Uuid> =
        delete.iter().map(|(topic, ..)| *topic).filter(|topic| !errors.contains_key(topic)).collect();
    if !gone.is_empty() {
        let told = ShareRequest::OffsetsDeleted { group_id, topics: gone };
        match broker.groups.ask(Request::Share(told)).await {
            group::Response::Share(ShareResponse::Noted(error)) if error.is_none() => {}
            // Who deletes them again finds nothing, and says so.
            group::Response::Share(ShareResponse::Noted(error)) => {
                tracing::debug!(%error, "the group coordinator was not told of deleted offsets");
            }
            other => unexpected(&other),
        }
    }
    let tried = delete.into_iter().map(|(topic, name, _)| {
        let answer =
            DeletedTopic::default().with_topic_name(StrBytes::from(name).into()).with_topic_id(topic);
        match errors.get(&topic) {
            None => answer.with_error_message(None),
            Some(error) => answer.with_error_code(error.code()).with_error_message(Some(sentence(*error))),
        }
    });
    let mut responses: Vec<_> = tried.collect();
    responses.sort_by_key(|topic| topic.error_code != ErrorCode::None.code());
    responses.extend(failed.into_iter().map(|(name, error, why)| {
        DeletedTopic::default()
            .with_topic_name(StrBytes::from(name).into())
            .with_error_code(error.code())
            .with_error_message(Some(why.map_or_else(|| sentence(error), StrBytes::from_static_str)))
    }));
    responses
}

fn refused(refusal: Refusal) -> (i16, Option<StrBytes>) {
    let Refusal { error, message } = refusal;
    (error.code(), Some(message.map_or_else(|| sentence(error), StrBytes::from)))
}

/// Kafka's sentence for the error, of those that can come here.
fn sentence(error: ErrorCode) -> StrBytes {
    match error {
        ErrorCode::UnknownTopicOrPartition => "This server does not host this topic-partition.".into(),
        ErrorCode::InvalidGroupId => "The group id is invalid.".into(),
        ErrorCode::NotCoordinator => "This is not the correct coordinator.".into(),
        ErrorCode::CoordinatorNotAvailable => "The coordinator is not available.".into(),
        ErrorCode::CoordinatorLoadInProgress => {
            "The coordinator is loading and hence can't process requests.".into()
        }
        ErrorCode::FencedStateEpoch => {
            "The share coordinator rejected the request because the share-group state epoch did not match."
                .into()
        }
        other => other.to_string().into(),
    }
}
