//! WriteTxnMarkers (27), versions 1 and 2: ends transactions in their partitions without asking their coordinator.
//!
//! Brokers use it among each other; tools use it to abort a transaction that hangs (`kafka-transactions.sh abort`). Every partition
//! has its own outcome, told when its marker is durable.
//!
//! Version 2 names the transaction version of each marker (KIP-1228): from 2 on a marker of the open transaction's own epoch is
//! INVALID_PRODUCER_EPOCH, for its producer's epoch was bumped before. -1 says that nobody knows it: such a marker is not written,
//! and its error is UNKNOWN_SERVER_ERROR where no other one comes first. Other numbers below 2 are those of older transactions.

use std::sync::Arc;

use futures_util::future::join_all;
use protocol::layout::Layout;
use protocol::messages::write_txn_markers_request::WritableTxnMarker;
use protocol::messages::write_txn_markers_response::{
    WritableTxnMarkerPartitionResult, WritableTxnMarkerResult, WritableTxnMarkerTopicResult,
};
use protocol::messages::{self, ApiKey, TopicName};
use protocol::newer::{WriteTxnMarkersRequest, WriteTxnMarkersResponse};
use protocol::{ErrorCode, StrBytes, layouts};
use storage::VerificationGuard;

use super::{Api, Reply, RequestContext, Response};
use crate::broker::Broker;
use crate::coordinator::markers::{Marked, Marker, MarkerWriter};
use crate::coordinator::transaction::{Partitions, ProducerIdAndEpoch};

/// Kafka's `TransactionVersion.TV_UNKNOWN`.
const UNKNOWN_TRANSACTION_VERSION: i8 = -1;

pub(super) struct WriteTxnMarkers;

impl Api for WriteTxnMarkers {
    type Request = WriteTxnMarkersRequest;
    type Response = WriteTxnMarkersResponse;
    const KEY: ApiKey = ApiKey::WriteTxnMarkers;
    const LAYOUT: &'static Layout = &layouts::transactions::WRITE_TXN_MARKERS;

    fn handle(broker: &Arc<Broker>, context: &RequestContext<'_>, request: WriteTxnMarkersRequest) -> Reply {
        let version = context.version();
        let writer = broker.marker_writer();
        let mut refused = Vec::with_capacity(request.common.markers.len());
        let mut markers = Vec::with_capacity(request.common.markers.len());
        for (asked, transaction_version) in
            request.common.markers.into_iter().zip(request.transaction_versions)
        {
            let mut marker = marker(asked, transaction_version);
            refused.push(match transaction_version {
                UNKNOWN_TRANSACTION_VERSION => refuse(&writer, &mut marker),
                _ => Vec::new(),
            });
            markers.push(marker);
        }
        let written = writer.write(&markers);
        Reply::Later(Box::pin(async move {
            let written = join_all(written).await;
            let results = markers.iter().zip(written).zip(refused).map(|((marker, mut marked), refused)| {
                marked.extend(refused);
                WritableTxnMarkerResult::default()
                    .with_producer_id(marker.producer.producer_id.into())
                    .with_topics(topics(marked))
            });
            let response = messages::WriteTxnMarkersResponse::default().with_markers(results.collect());
            Response::encode(&WriteTxnMarkersResponse::from(response), version)
        }))
    }
}

fn marker(asked: WritableTxnMarker, transaction_version: i8) -> Marker {
    let mut partitions = Partitions::new();
    for topic in asked.topics {
        partitions.entry(topic.name.to_string()).or_default().extend(topic.partition_indexes);
    }
    Marker {
        producer: ProducerIdAndEpoch { producer_id: asked.producer_id.0, epoch: asked.producer_epoch },
        coordinator_epoch: asked.coordinator_epoch,
        committed: asked.transaction_result,
        partitions,
        guard: (transaction_version >= 2).then_some(VerificationGuard::BUMPED_EPOCH),
    }
}

/// Takes the partitions out of the marker; what each of them has to say.
fn refuse(writer: &MarkerWriter, marker: &mut Marker) -> Vec<Marked> {
    let ProducerIdAndEpoch { producer_id, epoch } = marker.producer;
    let error = |topic: &str, number: i32| {
        let Some(partition) = writer.partition(topic, number) else {
            return ErrorCode::UnknownTopicOrPartition;
        };
        let producers = partition.active_producers();
        let current = producers.iter().find(|producer| producer.producer_id == producer_id);
        let is_late = current.is_some_and(|current| epoch < current.producer_epoch);
        if is_late { ErrorCode::InvalidProducerEpoch } else { ErrorCode::UnknownServerError }
    };
    let mut refused = Vec::new();
    for (topic, numbers) in std::mem::take(&mut marker.partitions) {
        for number in numbers {
            refused.push(((topic.clone(), number), Err(error(&topic, number))));
        }
    }
    refused
}

fn topics(mut marked: Vec<Marked>) -> Vec<WritableTxnMarkerTopicResult> {
    marked.sort_by(|(a, _), (b, _)| a.cmp(b));
    let mut topics: Vec<WritableTxnMarkerTopicResult> = Vec::new();
    for ((topic, number), outcome) in marked {
        let result = WritableTxnMarkerPartitionResult::default()
            .with_partition_index(number)
            .with_error_code(outcome.err().unwrap_or(ErrorCode::None).code());
        match topics.last_mut().filter(|last| last.name.as_str() == topic) {
            Some(last) => last.partitions.push(result),
            None => topics.push(
                WritableTxnMarkerTopicResult::default()
                    .with_name(TopicName(StrBytes::from_string(topic)))
                    .with_partitions(vec![result]),
            ),
        }
    }
    topics
}
