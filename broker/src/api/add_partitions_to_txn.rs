//! AddPartitionsToTxn (24), versions 0 to 5: a transaction covers these partitions from now on.
//!
//! Up to version 3 one client's transaction; from 4 on (KIP-890) the shape brokers use among each other: several transactions,
//! each to be added to or only verified. One partition that does not exist fails the whole transaction of the request: it
//! gets its error, the others OPERATION_NOT_ATTEMPTED. Versions before 2 do not know PRODUCER_FENCED and are told
//! INVALID_PRODUCER_EPOCH (`KafkaApis.handleAddPartitionsToTxnRequest`).

use std::sync::Arc;

use futures_util::future::join_all;
use protocol::layout::Layout;
use protocol::messages::add_partitions_to_txn_request::{
    AddPartitionsToTxnTopic, AddPartitionsToTxnTransaction,
};
use protocol::messages::add_partitions_to_txn_response::{
    AddPartitionsToTxnPartitionResult, AddPartitionsToTxnResult, AddPartitionsToTxnTopicResult,
};
use protocol::messages::{AddPartitionsToTxnRequest, AddPartitionsToTxnResponse, ApiKey};
use protocol::{ErrorCode, layouts};

use super::{Api, Reply, RequestContext, Response};
use crate::broker::Broker;
use crate::coordinator::shell::unexpected;
use crate::coordinator::transaction::{
    self, AddPartitions, Partitions, ProducerIdAndEpoch, Request, TransactionVersion, VerifyPartitions,
};
use crate::virtual_nodes::TransactionsAt;

pub(super) struct AddPartitionsToTxn;

impl Api for AddPartitionsToTxn {
    type Request = AddPartitionsToTxnRequest;
    type Response = AddPartitionsToTxnResponse;
    const KEY: ApiKey = ApiKey::AddPartitionsToTxn;
    const LAYOUT: &'static Layout = &layouts::transactions::ADD_PARTITIONS_TO_TXN;

    fn handle(
        broker: &Arc<Broker>,
        context: &RequestContext<'_>,
        request: AddPartitionsToTxnRequest,
    ) -> Reply {
        let version = context.version();
        if version >= 4 {
            let transactions: Vec<Asked> = request
                .transactions
                .into_iter()
                .map(|transaction| Asked::new(broker, version, transaction))
                .collect();
            let coordinator = context.transactions(broker);
            return Reply::Later(Box::pin(async move {
                let results = join_all(transactions.into_iter().map(|asked| asked.answer(&coordinator)));
                let response =
                    AddPartitionsToTxnResponse::default().with_results_by_transaction(results.await);
                Response::encode(&response, version)
            }));
        }
        let transaction = AddPartitionsToTxnTransaction::default()
            .with_transactional_id(request.v3_and_below_transactional_id)
            .with_producer_id(request.v3_and_below_producer_id)
            .with_producer_epoch(request.v3_and_below_producer_epoch)
            .with_topics(request.v3_and_below_topics);
        let asked = Asked::new(broker, version, transaction);
        let coordinator = context.transactions(broker);
        Reply::Later(Box::pin(async move {
            let topics = asked.answer(&coordinator).await.topic_results;
            let response = AddPartitionsToTxnResponse::default().with_results_by_topic_v3_and_below(topics);
            Response::encode(&response, version)
        }))
    }
}

/// One transaction of a request, with what is known before the coordinator is asked.
struct Asked {
    version: i16,
    transaction: AddPartitionsToTxnTransaction,
    /// Partitions that do not exist.
    missing: Partitions,
}

impl Asked {
    fn new(broker: &Broker, version: i16, transaction: AddPartitionsToTxnTransaction) -> Self {
        let mut missing = Partitions::new();
        for AddPartitionsToTxnTopic { name, partitions, .. } in &transaction.topics {
            let topic = broker.store.topic(name);
            for number in partitions {
                if topic.as_ref().and_then(|topic| topic.partition(*number)).is_none() {
                    missing.entry(name.to_string()).or_default().insert(*number);
                }
            }
        }
        Self { version, transaction, missing }
    }

    async fn answer(self, coordinator: &TransactionsAt) -> AddPartitionsToTxnResult {
        let id = self.transaction.transactional_id.clone();
        let topic_results = if self.missing.is_empty() {
            self.ask(coordinator).await
        } else {
            self.results(ErrorCode::OperationNotAttempted, &self.missing, ErrorCode::UnknownTopicOrPartition)
        };
        AddPartitionsToTxnResult::default().with_transactional_id(id).with_topic_results(topic_results)
    }

    async fn ask(&self, coordinator: &TransactionsAt) -> Vec<AddPartitionsToTxnTopicResult> {
        let transactional_id = self.transaction.transactional_id.to_string();
        let producer = ProducerIdAndEpoch {
            producer_id: self.transaction.producer_id.0,
            epoch: self.transaction.producer_epoch,
        };
        let partitions = self.partitions();
        let request = if self.transaction.verify_only {
            Request::VerifyPartitions(VerifyPartitions { transactional_id, producer, partitions })
        } else {
            let version = if self.version >= 4 { TransactionVersion::V2 } else { TransactionVersion::V0 };
            let patient = false;
            Request::AddPartitions(AddPartitions { transactional_id, producer, partitions, version, patient })
        };
        let nothing = Partitions::new();
        match coordinator.ask(request).await {
            transaction::Response::AddPartitions(Ok(())) => {
                self.results(ErrorCode::None, &nothing, ErrorCode::None)
            }
            transaction::Response::VerifyPartitions(Ok(uncovered)) => {
                self.results(ErrorCode::None, &uncovered, ErrorCode::TransactionAbortable)
            }
            transaction::Response::AddPartitions(Err(error))
            | transaction::Response::VerifyPartitions(Err(error)) => {
                let error = super::fenced_before(2, self.version, error);
                self.results(error, &nothing, error)
            }
            other => unexpected(&other),
        }
    }

    fn partitions(&self) -> Partitions {
        let mut partitions = Partitions::new();
        for topic in &self.transaction.topics {
            partitions.entry(topic.name.to_string()).or_default().extend(&topic.partitions);
        }
        partitions
    }

    /// `error` for all partitions but those of `some`.
    fn results(
        &self,
        error: ErrorCode,
        some: &Partitions,
        error_of_some: ErrorCode,
    ) -> Vec<AddPartitionsToTxnTopicResult> {
        let results = self.transaction.topics.iter().map(|topic| {
            let special = some.get(topic.name.as_str());
            let partitions = topic.partitions.iter().map(|number| {
                let is_special = special.is_some_and(|numbers| numbers.contains(number));
                let error = if is_special { error_of_some } else { error };
                AddPartitionsToTxnPartitionResult::default()
                    .with_partition_index(*number)
                    .with_partition_error_code(error.code())
            });
            AddPartitionsToTxnTopicResult::default()
                .with_name(topic.name.clone())
                .with_results_by_partition(partitions.collect())
        });
        results.collect()
    }
}
