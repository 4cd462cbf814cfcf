//! DeleteRecords (21), versions 0 to 2: moves the log start of partitions forward; what lies before it is gone.
//!
//! Offset -1 means the high watermark; an offset above it is OFFSET_OUT_OF_RANGE, one below the log start changes nothing.
//! Topics that are only compacted refuse (POLICY_VIOLATION), internal ones too (INVALID_TOPIC_EXCEPTION), as in Kafka's
//! `Partition.deleteRecordsOnLeader` and `ReplicaManager.deleteRecordsOnLocalLog`. The answer waits until it is durable.
//!
//! An offset that is appended and not yet acknowledged is waited for, so that an answer to `acks=1` can be counted on.
//!
//! Deliberate gaps: `timeout_ms` is not looked at, there are no other replicas to wait for.

use std::sync::Arc;

use protocol::layout::Layout;
use protocol::messages::delete_records_response::{DeleteRecordsPartitionResult, DeleteRecordsTopicResult};
use protocol::messages::{ApiKey, DeleteRecordsRequest, DeleteRecordsResponse};
use protocol::{ErrorCode, layouts};
use storage::{Offset, Position, Topic};

use super::{Api, Reply, RequestContext, Response, reply};
use crate::broker::Broker;
use crate::virtual_nodes::{AtNode, check_leader};
use crate::{error_map, topics};

const HIGH_WATERMARK: i64 = -1;

pub(super) struct DeleteRecords;

impl Api for DeleteRecords {
    type Request = DeleteRecordsRequest;
    type Response = DeleteRecordsResponse;
    const KEY: ApiKey = ApiKey::DeleteRecords;
    const LAYOUT: &'static Layout = &layouts::data::DELETE_RECORDS;

    fn handle(broker: &Arc<Broker>, context: &RequestContext<'_>, request: DeleteRecordsRequest) -> Reply {
        let (version, at) = (context.version(), context.at(broker));
        match behind(broker, &request) {
            None => delete(broker, at.as_ref(), version, request),
            Some(position) => {
                let broker = Arc::clone(broker);
                Reply::Ordered(Box::pin(async move {
                    reply::caught_up(&broker, position).await;
                    delete(&broker, at.as_ref(), version, request)
                }))
            }
        }
    }
}

/// What has to be acknowledged before the high watermarks are where deleting may go.
fn behind(broker: &Broker, request: &DeleteRecordsRequest) -> Option<Position> {
    let behind = request.topics.iter().filter_map(|asked| {
        let topic = broker.store.topic(&asked.name)?;
        asked.partitions.iter().find_map(|asked| {
            let partition = topic.partition(asked.partition_index)?;
            let beyond = asked.offset == HIGH_WATERMARK || asked.offset > partition.high_watermark();
            if beyond { reply::behind(broker, &partition) } else { None }
        })
    });
    behind.max()
}

fn delete(broker: &Arc<Broker>, at: Option<&AtNode>, version: i16, request: DeleteRecordsRequest) -> Reply {
    let mut durable = None;
    let mut results: Vec<DeleteRecordsTopicResult> = Vec::with_capacity(request.topics.len());
    for asked in request.topics {
        let topic = broker.store.topic(&asked.name).ok_or(ErrorCode::UnknownTopicOrPartition);
        let partitions = asked.partitions.iter().map(|partition| {
            let (index, offset) = (partition.partition_index, partition.offset);
            let outcome = topic.as_ref().map_err(|error| *error);
            match outcome.and_then(|topic| advance(broker, at, topic, index, offset)) {
                Ok((low_watermark, position)) => {
                    durable = durable.max(position);
                    result(index, ErrorCode::None, low_watermark)
                }
                Err(error) => result(index, error, -1),
            }
        });
        let partitions = partitions.collect();
        results.push(DeleteRecordsTopicResult::default().with_name(asked.name).with_partitions(partitions));
    }
    Reply::when_acknowledged(broker, durable, move |outcome| {
        if let Err(error) = outcome {
            for partition in results.iter_mut().flat_map(|topic| &mut topic.partitions) {
                *partition = result(partition.partition_index, error, -1);
            }
        }
        Response::encode(&DeleteRecordsResponse::default().with_topics(results), version)
    })
}

fn advance(
    broker: &Broker,
    at: Option<&AtNode>,
    topic: &Topic,
    index: i32,
    offset: Offset,
) -> Result<(Offset, Option<Position>), ErrorCode> {
    let partition = topic.partition(index).ok_or(ErrorCode::UnknownTopicOrPartition)?;
    if topics::is_internal(topic.name()) {
        return Err(ErrorCode::InvalidTopicException);
    }
    check_leader(at, &partition)?;
    let config = broker.topic_config(topic);
    if config.compacted && !config.deletes {
        return Err(ErrorCode::PolicyViolation);
    }
    let offset = if offset == HIGH_WATERMARK { partition.high_watermark() } else { offset };
    if offset < 0 || offset > partition.high_watermark() {
        return Err(ErrorCode::OffsetOutOfRange);
    }
    if offset <= partition.log_start_offset() {
        return Ok((partition.log_start_offset(), None));
    }
    let position =
        broker.store.advance_log_start(&partition, offset).map_err(|error| error_map::topic_error(&error))?;
    broker.waits.partition_changed(&partition);
    Ok((partition.log_start_offset(), Some(position)))
}

fn result(index: i32, error: ErrorCode, low_watermark: Offset) -> DeleteRecordsPartitionResult {
    DeleteRecordsPartitionResult::default()
        .with_partition_index(index)
        .with_error_code(error.code())
        .with_low_watermark(low_watermark)
}
