//! DescribeProducers (61), version 0: the producers that partitions remember, and their open transactions (KIP-664).

use std::sync::Arc;

use protocol::layout::Layout;
use protocol::messages::describe_producers_response::{PartitionResponse, ProducerState, TopicResponse};
use protocol::messages::{ApiKey, DescribeProducersRequest, DescribeProducersResponse};
use protocol::{ErrorCode, StrBytes, layouts};
use storage::{ActiveProducer, PartitionLog};

use super::{Api, Reply, RequestContext};
use crate::broker::Broker;

pub(super) struct DescribeProducers;

impl Api for DescribeProducers {
    type Request = DescribeProducersRequest;
    type Response = DescribeProducersResponse;
    const KEY: ApiKey = ApiKey::DescribeProducers;
    const LAYOUT: &'static Layout = &layouts::transactions::DESCRIBE_PRODUCERS;

    fn handle(
        broker: &Arc<Broker>,
        context: &RequestContext<'_>,
        request: DescribeProducersRequest,
    ) -> Reply {
        let topics = request.topics.into_iter().map(|asked| {
            let topic = broker.store.topic(&asked.name);
            let partitions = asked.partition_indexes.into_iter().map(|number| {
                let log = topic.as_ref().and_then(|topic| topic.partition(number));
                partition(number, log.as_deref())
            });
            TopicResponse::default().with_partitions(partitions.collect()).with_name(asked.name)
        });
        context.reply(&DescribeProducersResponse::default().with_topics(topics.collect()))
    }
}

fn partition(number: i32, log: Option<&PartitionLog>) -> PartitionResponse {
    let response = PartitionResponse::default().with_partition_index(number);
    let Some(log) = log else {
        let error = ErrorCode::UnknownTopicOrPartition;
        return response.with_error_code(error.code()).with_error_message(Some(StrBytes::from_static_str(
            "This server does not host this topic-partition.",
        )));
    };
    let producers = log.active_producers().into_iter().map(producer);
    response.with_error_message(None).with_active_producers(producers.collect())
}

fn producer(active: ActiveProducer) -> ProducerState {
    ProducerState::default()
        .with_producer_id(active.producer_id.into())
        .with_producer_epoch(i32::from(active.producer_epoch))
        .with_last_sequence(active.last_sequence)
        .with_last_timestamp(active.last_timestamp)
        .with_coordinator_epoch(active.coordinator_epoch)
        .with_current_txn_start_offset(active.current_transaction_start_offset.unwrap_or(-1))
}
