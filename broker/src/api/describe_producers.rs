//! DescribeProducers (61), version 0: the producers that partitions remember, and their open transactions (KIP-664).

use std::sync::Arc;

use protocol::layout::Layout;
use protocol::messages::describe_producers_response::{PartitionResponse, ProducerState, TopicResponse};
use protocol::messages::{ApiKey, DescribeProducersRequest, DescribeProducersResponse};
use protocol::{ErrorCode, StrBytes, layouts};
use storage::{ActiveProducer, PartitionLog, Topic};

use super::create_topics::Failure;
use super::{Api, Reply, RequestContext};
use crate::broker::Broker;
use crate::topics;
use crate::virtual_nodes::{AtNode, check_leader};

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
        let at = context.at(broker);
        let topics = request.topics.into_iter().map(|asked| {
            let topic = broker.store.topic(&asked.name);
            let partitions = asked.partition_indexes.into_iter().map(|number| {
                let response = PartitionResponse::default().with_partition_index(number);
                match found(at.as_ref(), &asked.name, topic.as_deref(), number) {
                    Ok(log) => described(response, &log),
                    Err((error, message)) => response
                        .with_error_code(error.code())
                        .with_error_message((!message.is_empty()).then(|| StrBytes::from_string(message))),
                }
            });
            TopicResponse::default().with_partitions(partitions.collect()).with_name(asked.name)
        });
        context.reply(&DescribeProducersResponse::default().with_topics(topics.collect()))
    }
}

/// Kafka has a sentence for names and topics, none for a partition that the topic lacks.
fn found(
    at: Option<&AtNode>,
    name: &str,
    topic: Option<&Topic>,
    number: i32,
) -> Result<Arc<PartitionLog>, Failure> {
    topics::validate_name(name).map_err(|why| (ErrorCode::InvalidTopicException, why))?;
    let unknown = |why: &str| (ErrorCode::UnknownTopicOrPartition, why.to_owned());
    let topic = topic.ok_or_else(|| unknown("This server does not host this topic-partition."))?;
    let log = topic.partition(number).ok_or_else(|| unknown(""))?;
    check_leader(at, &log).map_err(|error| (error, String::new()))?;
    Ok(log)
}

fn described(response: PartitionResponse, log: &PartitionLog) -> PartitionResponse {
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
