//! ListOffsets (2), versions 1 to 11: offsets by timestamp, and the special timestamps -1 (latest) to -6.
//!
//! -1 is the high watermark, or the last stable offset for read_committed; -2 the log start; -3 the record with the
//! greatest timestamp (7+); -4 the local log start, the same as -2 without remote storage (8+); -5 the last offset in
//! remote storage, and -6 the first that waits to go there, always -1 here (9+, 11+). A timestamp finds the first record, in offset order, that is as new; finding none
//! is offset -1 without error. A special timestamp that the version does not have is UNSUPPORTED_VERSION for its
//! partition; a partition that is named twice is INVALID_REQUEST, once (Kafka `ReplicaManager.fetchOffset`). The answer
//! counts everything that was appended before the request, also what is not yet acknowledged: it waits until that is.
//!
//! Deliberate gaps: `timeout_ms` (10) is for remote storage and not looked at.

use std::collections::{HashMap, HashSet};
use std::sync::Arc;

use protocol::layout::Layout;
use protocol::messages::list_offsets_request::ListOffsetsPartition;
use protocol::messages::list_offsets_response::{ListOffsetsPartitionResponse, ListOffsetsTopicResponse};
use protocol::messages::{ApiKey, ListOffsetsRequest, ListOffsetsResponse, TopicName};
use protocol::{ErrorCode, layouts, newer};
use storage::{PartitionLog, Position, Store, TimestampOffset, Topic};

use super::{Api, Reply, RequestContext, Response, reply};
use crate::broker::Broker;
use crate::virtual_nodes::{AtNode, check_leader};
use crate::{error_map, partition};

const LATEST: i64 = -1;
const EARLIEST: i64 = -2;
const MAX_TIMESTAMP: i64 = -3;
const EARLIEST_LOCAL: i64 = -4;
const LATEST_TIERED: i64 = -5;
const EARLIEST_PENDING_UPLOAD: i64 = -6;
const READ_COMMITTED: i8 = 1;

pub(super) struct ListOffsets;

impl Api for ListOffsets {
    type Request = newer::ListOffsetsRequest;
    type Response = newer::ListOffsetsResponse;
    const KEY: ApiKey = ApiKey::ListOffsets;
    const LAYOUT: &'static Layout = &layouts::data::LIST_OFFSETS;

    fn handle(
        broker: &Arc<Broker>,
        context: &RequestContext<'_>,
        newer::Same(request): newer::ListOffsetsRequest,
    ) -> Reply {
        let (version, appended) = (context.version(), appended(broker, &request));
        if !searches(&request) {
            let (at, store) = (context.at(broker), Arc::clone(&broker.store));
            // A log that stopped acknowledges nothing more, and its high watermark is what holds.
            return Reply::when_acknowledged(broker, appended, move |_| {
                Response::encode(&answer(at.as_ref(), &store, version, &request), version)
            });
        }
        // A search decodes batches, and a client decides how large they are inside: off this core, and one at a time.
        let (at, broker) = (context.at(broker), Arc::clone(broker));
        Reply::Later(Box::pin(async move {
            if let Some(position) = appended {
                reply::caught_up(&broker, position).await;
            }
            let (store, turn) = (Arc::clone(&broker.store), Arc::clone(&broker.searches));
            let turn = turn.acquire_owned().await.expect("the semaphore is never closed");
            let search = tokio::task::spawn_blocking(move || {
                let _turn = turn;
                Response::encode(&answer(at.as_ref(), &store, version, &request), version)
            });
            search.await.expect("a search neither panics nor is cancelled")
        }))
    }
}

/// What has to be acknowledged before the end of each partition that is asked for is that of its log.
fn appended(broker: &Broker, request: &ListOffsetsRequest) -> Option<Position> {
    let behind = request.topics.iter().filter_map(|asked| {
        let topic = broker.store.topic(&asked.name)?;
        asked.partitions.iter().filter(|asked| ends_matter(asked.timestamp)).find_map(|asked| {
            let partition = topic.partition(asked.partition_index)?;
            reply::behind(broker, &partition)
        })
    });
    behind.max()
}

/// Whether the answer depends on where the partition ends.
fn ends_matter(timestamp: i64) -> bool {
    timestamp >= 0 || matches!(timestamp, LATEST | MAX_TIMESTAMP)
}

/// Whether records have to be looked at.
fn searches(request: &ListOffsetsRequest) -> bool {
    let asked = request.topics.iter().flat_map(|topic| &topic.partitions);
    asked.into_iter().any(|partition| partition.timestamp >= 0 || partition.timestamp == MAX_TIMESTAMP)
}

fn answer(
    at: Option<&AtNode>,
    store: &Store,
    version: i16,
    request: &ListOffsetsRequest,
) -> newer::ListOffsetsResponse {
    let committed = request.isolation_level == READ_COMMITTED;
    let times = times_named(request);
    let mut told = HashSet::new();
    let topics = request.topics.iter().map(|asked| {
        let topic = store.topic(&asked.name);
        let first = |partition: &&ListOffsetsPartition| told.insert((&asked.name, partition.partition_index));
        let partitions = asked.partitions.iter().filter(first).map(|partition| {
            let index = partition.partition_index;
            let found = if !matches!(request.isolation_level, 0 | READ_COMMITTED) {
                Err(ErrorCode::UnknownServerError)
            } else if times[&(&asked.name, index)] > 1 {
                Err(ErrorCode::InvalidRequest)
            } else {
                look_up((at, store), topic.as_deref(), version, committed, partition)
            };
            response(version, index, found)
        });
        ListOffsetsTopicResponse::default()
            .with_name(asked.name.clone())
            .with_partitions(partitions.collect())
    });
    let topics = topics.filter(|topic| !topic.partitions.is_empty());
    ListOffsetsResponse::default().with_topics(topics.collect()).into()
}

/// How often each partition is in the request.
fn times_named(request: &ListOffsetsRequest) -> HashMap<(&TopicName, i32), usize> {
    let mut times = HashMap::new();
    for topic in &request.topics {
        for partition in &topic.partitions {
            *times.entry((&topic.name, partition.partition_index)).or_default() += 1;
        }
    }
    times
}

fn look_up(
    (at, store): (Option<&AtNode>, &Store),
    topic: Option<&Topic>,
    version: i16,
    committed: bool,
    asked: &ListOffsetsPartition,
) -> Result<Option<TimestampOffset>, ErrorCode> {
    let partition = topic
        .and_then(|topic| topic.partition(asked.partition_index))
        .ok_or(ErrorCode::UnknownTopicOrPartition)?;
    if !version_has(version, asked.timestamp) {
        return Err(ErrorCode::UnsupportedVersion);
    }
    check_leader(at, &partition)?;
    partition::check_leader_epoch(&partition, asked.current_leader_epoch)?;
    let limit = if committed { partition.last_stable_offset() } else { partition.high_watermark() };
    match asked.timestamp {
        LATEST => {
            Ok(Some(TimestampOffset { offset: limit, timestamp: -1, leader_epoch: partition.leader_epoch() }))
        }
        EARLIEST | EARLIEST_LOCAL => Ok(Some(earliest(&partition))),
        LATEST_TIERED | EARLIEST_PENDING_UPLOAD => Ok(None),
        MAX_TIMESTAMP => {
            // Kafka looks at all records and then whether the one it found may be told.
            let all = partition.high_watermark();
            let found = store.offset_of_max_timestamp(&partition, all);
            let found = found.map_err(|error| error_map::read_error(&error))?;
            Ok(found.filter(|found| found.offset < limit))
        }
        timestamp => store
            .offset_for_timestamp(&partition, timestamp, limit)
            .map_err(|error| error_map::read_error(&error)),
    }
}

fn earliest(partition: &PartitionLog) -> TimestampOffset {
    let offset = partition.log_start_offset();
    TimestampOffset { offset, timestamp: -1, leader_epoch: partition::epoch_of(partition, offset) }
}

/// `ReplicaManager.timestampMinSupportedVersion`.
fn version_has(version: i16, timestamp: i64) -> bool {
    match timestamp {
        0.. | LATEST | EARLIEST => true,
        MAX_TIMESTAMP => version >= 7,
        EARLIEST_LOCAL => version >= 8,
        LATEST_TIERED => version >= 9,
        EARLIEST_PENDING_UPLOAD => version >= 11,
        _ => false,
    }
}

fn response(
    version: i16,
    index: i32,
    found: Result<Option<TimestampOffset>, ErrorCode>,
) -> ListOffsetsPartitionResponse {
    let response = ListOffsetsPartitionResponse::default().with_partition_index(index);
    match found {
        Err(error) => response.with_error_code(error.code()),
        Ok(None) => response,
        Ok(Some(found)) => {
            let epoch = if version >= 4 { found.leader_epoch } else { -1 };
            response.with_offset(found.offset).with_timestamp(found.timestamp).with_leader_epoch(epoch)
        }
    }
}

#[cfg(test)]
mod unit_tests {
    use super::version_has;

    #[test]
    fn special_timestamps_came_one_by_one() {
        for (timestamp, first) in [(0, 1), (-1, 1), (-2, 1), (-3, 7), (-4, 8), (-5, 9), (-6, 11)] {
            assert!(version_has(first, timestamp));
            assert_eq!(version_has(first - 1, timestamp), first == 1, "{timestamp}");
        }
        assert!(!version_has(11, -7));
        assert!(!version_has(10, i64::MIN));
    }
}
