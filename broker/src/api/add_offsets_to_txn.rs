//! AddOffsetsToTxn (25), versions 0 to 4: a transaction will commit offsets of this group.
//!
//! It then covers the group's partition of `__consumer_offsets`, which is created if need be. Versions before 2 do not know
//! PRODUCER_FENCED and are told INVALID_PRODUCER_EPOCH. Clients of transaction version 2 do without: TxnOffsetCommit adds the
//! partition by itself.

use std::sync::Arc;

use protocol::layout::Layout;
use protocol::messages::{AddOffsetsToTxnRequest, AddOffsetsToTxnResponse, ApiKey};
use protocol::{ErrorCode, layouts};

use super::{Api, Reply, RequestContext, Response};
use crate::broker::Broker;
use crate::coordinator::partition_for;
use crate::coordinator::shell::unexpected;
use crate::coordinator::transaction::{
    self, AddPartitions, Partitions, ProducerIdAndEpoch, Request, TransactionVersion,
};
use crate::topics::{self, OFFSETS_TOPIC};

pub(super) struct AddOffsetsToTxn;

impl Api for AddOffsetsToTxn {
    type Request = AddOffsetsToTxnRequest;
    type Response = AddOffsetsToTxnResponse;
    const KEY: ApiKey = ApiKey::AddOffsetsToTxn;
    const LAYOUT: &'static Layout = &layouts::transactions::ADD_OFFSETS_TO_TXN;

    fn handle(broker: &Arc<Broker>, context: &RequestContext<'_>, request: AddOffsetsToTxnRequest) -> Reply {
        let version = context.version();
        let partitions = match offsets_partition(broker, &request.group_id) {
            Ok(partitions) => partitions,
            Err(error) => {
                return context.reply(&AddOffsetsToTxnResponse::default().with_error_code(error.code()));
            }
        };
        let add = AddPartitions {
            transactional_id: request.transactional_id.to_string(),
            producer: ProducerIdAndEpoch {
                producer_id: request.producer_id.0,
                epoch: request.producer_epoch,
            },
            partitions,
            version: TransactionVersion::V0,
            patient: false,
        };
        let coordinator = context.transactions(broker);
        Reply::Later(Box::pin(async move {
            let error = match coordinator.ask(Request::AddPartitions(add)).await {
                transaction::Response::AddPartitions(outcome) => outcome.err().unwrap_or(ErrorCode::None),
                other => unexpected(&other),
            };
            let error = super::fenced_before(2, version, error);
            Response::encode(&AddOffsetsToTxnResponse::default().with_error_code(error.code()), version)
        }))
    }
}

/// The partition of `__consumer_offsets` that keeps the group.
fn offsets_partition(broker: &Broker, group_id: &str) -> Result<Partitions, ErrorCode> {
    let (topic, _) = topics::find_or_create_internal(broker, OFFSETS_TOPIC)?;
    let count = i32::try_from(topic.partition_count()).unwrap_or(i32::MAX);
    let partition = partition_for(group_id, count);
    Ok([(OFFSETS_TOPIC.to_owned(), [partition].into())].into())
}
