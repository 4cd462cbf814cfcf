//! DescribeTransactions (65), version 0: what a transactional id is doing (KIP-664).
//!
//! An id that nobody uses is TRANSACTIONAL_ID_NOT_FOUND. While a transaction completes, the partitions are those that still
//! wait for their marker.

use std::sync::Arc;

use futures_util::future::join_all;
use protocol::layout::Layout;
use protocol::messages::describe_transactions_response::{TopicData, TransactionState};
use protocol::messages::{
    ApiKey, DescribeTransactionsRequest, DescribeTransactionsResponse, TopicName, TransactionalId,
};
use protocol::{ErrorCode, StrBytes, layouts};

use super::{Api, Reply, RequestContext, Response};
use crate::broker::Broker;
use crate::coordinator::shell::unexpected;
use crate::coordinator::transaction::{self, DescribedTransaction, Request};
use crate::virtual_nodes::TransactionsAt;

pub(super) struct DescribeTransactions;

impl Api for DescribeTransactions {
    type Request = DescribeTransactionsRequest;
    type Response = DescribeTransactionsResponse;
    const KEY: ApiKey = ApiKey::DescribeTransactions;
    const LAYOUT: &'static Layout = &layouts::transactions::DESCRIBE_TRANSACTIONS;

    fn handle(
        broker: &Arc<Broker>,
        context: &RequestContext<'_>,
        request: DescribeTransactionsRequest,
    ) -> Reply {
        let (version, coordinator) = (context.version(), context.transactions(broker));
        Reply::Later(Box::pin(async move {
            let states = request.transactional_ids.into_iter().map(|id| describe(&coordinator, id));
            let states = join_all(states).await;
            let response = DescribeTransactionsResponse::default().with_transaction_states(states);
            Response::encode(&response, version)
        }))
    }
}

async fn describe(coordinator: &TransactionsAt, id: TransactionalId) -> TransactionState {
    let transactional_id = id.to_string();
    let outcome = match coordinator.ask(Request::Describe { transactional_id }).await {
        transaction::Response::Describe(outcome) => outcome,
        other => unexpected(&other),
    };
    let state = TransactionState::default().with_transactional_id(id);
    match outcome {
        Ok(described) => shown(state, described),
        Err(error) => state.with_error_code(error.code()),
    }
}

fn shown(state: TransactionState, described: DescribedTransaction) -> TransactionState {
    let topics = described.partitions.into_iter().map(|(topic, numbers)| {
        TopicData::default()
            .with_topic(TopicName(StrBytes::from_string(topic)))
            .with_partitions(numbers.into_iter().collect())
    });
    state
        .with_error_code(ErrorCode::None.code())
        .with_producer_id(described.producer.producer_id.into())
        .with_producer_epoch(described.producer.epoch)
        .with_transaction_state(StrBytes::from_static_str(described.state.name()))
        .with_transaction_timeout_ms(described.timeout_ms)
        .with_transaction_start_time_ms(described.start_ms)
        .with_topics(topics.collect())
}
