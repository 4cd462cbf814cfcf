//! InitProducerId (22), versions 0 to 5: a producer id and epoch.
//!
//! Without a transactional id every request gets a new id with epoch 0, whatever id and epoch it brings; the answer waits until
//! the reservation of the id is durable, so no id is ever given twice. With one, the transaction coordinator decides: older
//! producers are fenced, an open transaction is aborted first (CONCURRENT_TRANSACTIONS, the client comes again). Version 3
//! brings what the producer had (KIP-360); an id without epoch or an epoch without id is INVALID_REQUEST. Versions before 4 do
//! not know PRODUCER_FENCED and are told INVALID_PRODUCER_EPOCH.

use std::sync::Arc;

use protocol::layout::Layout;
use protocol::messages::{
    ApiKey, InitProducerIdRequest, InitProducerIdResponse, ProducerId, TransactionalId,
};
use protocol::{ErrorCode, layouts};

use super::{Api, Reply, RequestContext, Response};
use crate::broker::Broker;
use crate::coordinator::shell::unexpected;
use crate::coordinator::transaction::{self, ProducerIdAndEpoch, Request};
use crate::error_map;

const NONE: i64 = -1;
const NO_EPOCH: i16 = -1;

pub(super) struct InitProducerId;

impl Api for InitProducerId {
    type Request = InitProducerIdRequest;
    type Response = InitProducerIdResponse;
    const KEY: ApiKey = ApiKey::InitProducerId;
    const LAYOUT: &'static Layout = &layouts::transactions::INIT_PRODUCER_ID;

    fn handle(broker: &Arc<Broker>, context: &RequestContext<'_>, request: InitProducerIdRequest) -> Reply {
        let expected = match (request.producer_id.0, request.producer_epoch) {
            (NONE, NO_EPOCH) => None,
            (NONE, _) | (_, NO_EPOCH) => return context.reply(&failed(ErrorCode::InvalidRequest)),
            (producer_id, epoch) => Some(ProducerIdAndEpoch { producer_id, epoch }),
        };
        match request.transactional_id {
            None => idempotent(broker, context),
            Some(id) => transactional(broker, context, &id, request.transaction_timeout_ms, expected),
        }
    }
}

fn transactional(
    broker: &Arc<Broker>,
    context: &RequestContext<'_>,
    id: &TransactionalId,
    timeout_ms: i32,
    expected: Option<ProducerIdAndEpoch>,
) -> Reply {
    let (version, coordinator) = (context.version(), context.transactions(broker));
    let init = transaction::InitProducerId { transactional_id: id.to_string(), timeout_ms, expected };
    Reply::Later(Box::pin(async move {
        let response = match coordinator.ask(Request::InitProducerId(init)).await {
            transaction::Response::InitProducerId(Ok(producer)) => given(producer),
            transaction::Response::InitProducerId(Err(error)) => {
                failed(super::fenced_before(4, version, error))
            }
            other => unexpected(&other),
        };
        Response::encode(&response, version)
    }))
}

fn idempotent(broker: &Arc<Broker>, context: &RequestContext<'_>) -> Reply {
    let version = context.version();
    match broker.store.allocate_producer_id() {
        Err(error) => context.reply(&failed(error_map::topic_error(&error))),
        Ok((producer_id, position)) => Reply::when_acknowledged(broker, Some(position), move |outcome| {
            let response = match outcome {
                Ok(()) => given(ProducerIdAndEpoch { producer_id, epoch: 0 }),
                Err(error) => failed(error),
            };
            Response::encode(&response, version)
        }),
    }
}

fn given(producer: ProducerIdAndEpoch) -> InitProducerIdResponse {
    InitProducerIdResponse::default()
        .with_producer_id(ProducerId(producer.producer_id))
        .with_producer_epoch(producer.epoch)
}

fn failed(error: ErrorCode) -> InitProducerIdResponse {
    InitProducerIdResponse::default()
        .with_error_code(error.code())
        .with_producer_id(ProducerId(NONE))
        .with_producer_epoch(NO_EPOCH)
}
