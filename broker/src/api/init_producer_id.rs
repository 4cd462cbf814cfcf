//! InitProducerId (22), versions 0 to 5: a producer id of its own for an idempotent producer.
//!
//! Without a transactional id every request gets a new id with epoch 0, whatever id and epoch it brings (Kafka
//! `TransactionCoordinator.handleInitProducerId`). The answer waits until the reservation of the id is durable, so no id
//! is ever given twice.
//!
//! Deliberate gap: transactions are not served yet. A transactional id is answered with
//! TRANSACTIONAL_ID_AUTHORIZATION_FAILED, which every client treats as fatal and reports; "no coordinator" would be
//! retried for ever.

use std::sync::Arc;

use protocol::layout::Layout;
use protocol::messages::{ApiKey, InitProducerIdRequest, InitProducerIdResponse, ProducerId};
use protocol::{ErrorCode, layouts};

use super::{Api, Reply, RequestContext, Response};
use crate::broker::Broker;
use crate::error_map;

pub(super) struct InitProducerId;

impl Api for InitProducerId {
    type Request = InitProducerIdRequest;
    type Response = InitProducerIdResponse;
    const KEY: ApiKey = ApiKey::InitProducerId;
    const LAYOUT: &'static Layout = &layouts::transactions::INIT_PRODUCER_ID;

    fn handle(broker: &Arc<Broker>, context: &RequestContext<'_>, request: InitProducerIdRequest) -> Reply {
        match &request.transactional_id {
            None => {}
            Some(id) if id.is_empty() => return context.reply(&failed(ErrorCode::InvalidRequest)),
            Some(_) => return context.reply(&failed(ErrorCode::TransactionalIdAuthorizationFailed)),
        }
        let version = context.version();
        match broker.store.allocate_producer_id() {
            Err(error) => context.reply(&failed(error_map::topic_error(&error))),
            Ok((id, position)) => Reply::when_acknowledged(broker, Some(position), move |outcome| {
                let response = match outcome {
                    Ok(()) => InitProducerIdResponse::default()
                        .with_producer_id(ProducerId(id))
                        .with_producer_epoch(0),
                    Err(error) => failed(error),
                };
                Response::encode(&response, version)
            }),
        }
    }
}

fn failed(error: ErrorCode) -> InitProducerIdResponse {
    InitProducerIdResponse::default()
        .with_error_code(error.code())
        .with_producer_id(ProducerId(-1))
        .with_producer_epoch(-1)
}
