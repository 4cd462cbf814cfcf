//! EndTxn (26), versions 0 to 5: a transaction is committed or aborted.
//!
//! Answered when the decision is durable; the markers follow. Version 5 (KIP-890) bumps the producer's epoch with every
//! transaction and returns what the producer has from now on. Versions before 2 do not know PRODUCER_FENCED and are told
//! INVALID_PRODUCER_EPOCH.

use std::sync::Arc;

use protocol::layout::Layout;
use protocol::messages::{ApiKey, EndTxnRequest, EndTxnResponse};
use protocol::{ErrorCode, layouts};

use super::{Api, Reply, RequestContext, Response};
use crate::broker::Broker;
use crate::coordinator::shell::unexpected;
use crate::coordinator::transaction::{
    self, EndTransaction, ProducerIdAndEpoch, Request, TransactionVersion,
};

pub(super) struct EndTxn;

impl Api for EndTxn {
    type Request = EndTxnRequest;
    type Response = EndTxnResponse;
    const KEY: ApiKey = ApiKey::EndTxn;
    const LAYOUT: &'static Layout = &layouts::transactions::END_TXN;

    fn handle(broker: &Arc<Broker>, context: &RequestContext<'_>, request: EndTxnRequest) -> Reply {
        let version = context.version();
        let end = EndTransaction {
            transactional_id: request.transactional_id.to_string(),
            producer: ProducerIdAndEpoch {
                producer_id: request.producer_id.0,
                epoch: request.producer_epoch,
            },
            committed: request.committed,
            version: if version >= 5 { TransactionVersion::V2 } else { TransactionVersion::V0 },
        };
        let coordinator = context.transactions(broker);
        Reply::Later(Box::pin(async move {
            let outcome = match coordinator.ask(Request::EndTransaction(end)).await {
                transaction::Response::EndTransaction(outcome) => outcome,
                other => unexpected(&other),
            };
            Response::encode(&response(outcome, version), version)
        }))
    }
}

fn response(outcome: Result<ProducerIdAndEpoch, ErrorCode>, version: i16) -> EndTxnResponse {
    match outcome {
        Ok(producer) if version >= 5 => EndTxnResponse::default()
            .with_producer_id(producer.producer_id.into())
            .with_producer_epoch(producer.epoch),
        Ok(_) => EndTxnResponse::default(),
        Err(error) => {
            EndTxnResponse::default().with_error_code(super::fenced_before(2, version, error).code())
        }
    }
}
