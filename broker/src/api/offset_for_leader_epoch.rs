//! OffsetForLeaderEpoch (23), versions 2 to 4: where a leader epoch ends, so that a client notices a truncated log.
//!
//! The answer is the largest epoch up to the one asked for and its end offset; -1 and -1 for an epoch that is not there
//! yet (Kafka `LeaderEpochFileCache.endOffsetFor`, `Partition.lastOffsetForLeaderEpoch`).
//!
//! Deliberate gaps: none.

use std::sync::Arc;

use protocol::layout::Layout;
use protocol::messages::offset_for_leader_epoch_request::OffsetForLeaderPartition;
use protocol::messages::offset_for_leader_epoch_response::{EpochEndOffset, OffsetForLeaderTopicResult};
use protocol::messages::{ApiKey, OffsetForLeaderEpochRequest, OffsetForLeaderEpochResponse};
use protocol::{ErrorCode, layouts};
use storage::{Offset, Topic};

use super::{Api, Reply, RequestContext};
use crate::broker::Broker;
use crate::partition;
use crate::virtual_nodes::{AtNode, check_leader};

pub(super) struct OffsetForLeaderEpoch;

impl Api for OffsetForLeaderEpoch {
    type Request = OffsetForLeaderEpochRequest;
    type Response = OffsetForLeaderEpochResponse;
    const KEY: ApiKey = ApiKey::OffsetForLeaderEpoch;
    const LAYOUT: &'static Layout = &layouts::data::OFFSET_FOR_LEADER_EPOCH;

    fn handle(
        broker: &Arc<Broker>,
        context: &RequestContext<'_>,
        request: OffsetForLeaderEpochRequest,
    ) -> Reply {
        let at = context.at(broker);
        let topics = request.topics.iter().map(|asked| {
            let topic = broker.store.topic(&asked.topic);
            let partitions =
                asked.partitions.iter().map(|partition| answer(at.as_ref(), topic.as_deref(), partition));
            OffsetForLeaderTopicResult::default()
                .with_topic(asked.topic.clone())
                .with_partitions(partitions.collect())
        });
        context.reply(&OffsetForLeaderEpochResponse::default().with_topics(topics.collect()))
    }
}

fn answer(at: Option<&AtNode>, topic: Option<&Topic>, asked: &OffsetForLeaderPartition) -> EpochEndOffset {
    let answer = EpochEndOffset::default().with_partition(asked.partition);
    match end_of_epoch(at, topic, asked) {
        Ok((epoch, end)) => answer.with_leader_epoch(epoch).with_end_offset(end),
        Err(error) => answer.with_error_code(error.code()).with_leader_epoch(-1).with_end_offset(-1),
    }
}

fn end_of_epoch(
    at: Option<&AtNode>,
    topic: Option<&Topic>,
    asked: &OffsetForLeaderPartition,
) -> Result<(i32, Offset), ErrorCode> {
    let partition =
        topic.and_then(|topic| topic.partition(asked.partition)).ok_or(ErrorCode::UnknownTopicOrPartition)?;
    check_leader(at, &partition)?;
    partition::check_leader_epoch(&partition, asked.current_leader_epoch)?;
    Ok(partition.end_offset_for_epoch(asked.leader_epoch))
}
