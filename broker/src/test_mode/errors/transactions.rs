//! AddPartitionsToTxn and TxnOffsetCommit: an error for each partition.

use protocol::ErrorCode;
use protocol::messages::add_partitions_to_txn_request::AddPartitionsToTxnTopic;
use protocol::messages::add_partitions_to_txn_response::{
    AddPartitionsToTxnPartitionResult, AddPartitionsToTxnResult, AddPartitionsToTxnTopicResult,
};
use protocol::messages::txn_offset_commit_response::{
    TxnOffsetCommitResponsePartition, TxnOffsetCommitResponseTopic,
};
use protocol::messages::{
    AddPartitionsToTxnRequest, AddPartitionsToTxnResponse, TxnOffsetCommitRequest, TxnOffsetCommitResponse,
};
use uuid::Uuid;

use super::{Erring, Rest, Target, encoded};

/// One partition that cannot be added keeps all others out (Kafka: OPERATION_NOT_ATTEMPTED), so a rule about one partition
/// refuses the whole request.
pub(super) struct AddPartitionsToTxn;

impl Erring for AddPartitionsToTxn {
    type Request = AddPartitionsToTxnRequest;
    type Response = AddPartitionsToTxnResponse;

    fn patch(answer: &mut AddPartitionsToTxnResponse, _version: i16, target: &Target<'_>) {
        let results = answer.results_by_transaction.iter_mut().flat_map(|result| &mut result.topic_results);
        for topic in results.chain(&mut answer.results_by_topic_v3_and_below) {
            let is_meant = target.has_topic(&topic.name, Uuid::nil());
            for partition in &mut topic.results_by_partition {
                let is_meant = is_meant && target.has_partition(partition.partition_index);
                let error = if is_meant { target.error } else { ErrorCode::OperationNotAttempted };
                partition.partition_error_code = error.code();
            }
        }
    }

    fn throttle(answer: &mut AddPartitionsToTxnResponse) -> &mut i32 {
        &mut answer.throttle_time_ms
    }

    fn refuse(
        request: AddPartitionsToTxnRequest,
        version: i16,
        target: &Target<'_>,
    ) -> (Rest, AddPartitionsToTxnResponse) {
        let topics = |topics: Vec<AddPartitionsToTxnTopic>| topics.into_iter().map(topic_result).collect();
        let transactions = request.transactions.into_iter().map(|transaction| {
            AddPartitionsToTxnResult::default()
                .with_transactional_id(transaction.transactional_id)
                .with_topic_results(topics(transaction.topics))
        });
        let mut refused = AddPartitionsToTxnResponse::default()
            .with_results_by_transaction(transactions.collect())
            .with_results_by_topic_v3_and_below(topics(request.v3_and_below_topics));
        Self::patch(&mut refused, version, target);
        (Rest::Nothing, refused)
    }
}

fn topic_result(topic: AddPartitionsToTxnTopic) -> AddPartitionsToTxnTopicResult {
    let partition = |index| AddPartitionsToTxnPartitionResult::default().with_partition_index(index);
    AddPartitionsToTxnTopicResult::default()
        .with_name(topic.name)
        .with_results_by_partition(topic.partitions.into_iter().map(partition).collect())
}

pub(super) struct TxnOffsetCommit;

impl Erring for TxnOffsetCommit {
    type Request = TxnOffsetCommitRequest;
    type Response = TxnOffsetCommitResponse;

    fn patch(answer: &mut TxnOffsetCommitResponse, _version: i16, target: &Target<'_>) {
        for topic in answer.topics.iter_mut().filter(|topic| target.has_topic(&topic.name, Uuid::nil())) {
            let meant = topic.partitions.iter_mut().filter(|it| target.has_partition(it.partition_index));
            meant.for_each(|partition| partition.error_code = target.code());
        }
    }

    fn throttle(answer: &mut TxnOffsetCommitResponse) -> &mut i32 {
        &mut answer.throttle_time_ms
    }

    fn refuse(
        mut request: TxnOffsetCommitRequest,
        version: i16,
        target: &Target<'_>,
    ) -> (Rest, TxnOffsetCommitResponse) {
        let mut refused = TxnOffsetCommitResponse::default();
        for topic in request.topics.iter_mut().filter(|topic| target.has_topic(&topic.name, Uuid::nil())) {
            let meant = topic.partitions.extract_if(.., |it| target.has_partition(it.partition_index));
            let failed = meant.map(|partition| {
                TxnOffsetCommitResponsePartition::default()
                    .with_partition_index(partition.partition_index)
                    .with_error_code(target.code())
            });
            let failed = failed.collect();
            let topic = TxnOffsetCommitResponseTopic::default().with_name(topic.name.clone());
            refused.topics.push(topic.with_partitions(failed));
        }
        request.topics.retain(|topic| !topic.partitions.is_empty());
        let rest =
            if request.topics.is_empty() { Rest::Nothing } else { Rest::Some(encoded(&request, version)) };
        (rest, refused)
    }

    fn join(answer: &mut TxnOffsetCommitResponse, refused: TxnOffsetCommitResponse) {
        for topic in refused.topics {
            match answer.topics.iter_mut().find(|known| known.name == topic.name) {
                Some(known) => known.partitions.extend(topic.partitions),
                None => answer.topics.push(topic),
            }
        }
    }
}
