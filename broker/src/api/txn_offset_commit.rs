//! TxnOffsetCommit (28), versions 0 to 5: offsets of a group that count when the producer's transaction is committed.
//!
//! Before the group coordinator writes them, the transaction coordinator is asked unless the transaction is open in the
//! group's partition already (KIP-890): from version 5 on the partition is added to the transaction by this, before, the
//! client did so with AddOffsetsToTxn and it is verified. Version 2 brings leader epochs, 3 the member and its generation
//! (KIP-447), 4 TRANSACTION_ABORTABLE. Topics and partitions that do not exist are refused one by one. Below version 2
//! COORDINATOR_LOAD_IN_PROGRESS is told as COORDINATOR_NOT_AVAILABLE (KAFKA-7296).

use std::collections::BTreeSet;
use std::sync::Arc;

use protocol::layout::Layout;
use protocol::messages::txn_offset_commit_response::{
    TxnOffsetCommitResponsePartition, TxnOffsetCommitResponseTopic,
};
use protocol::messages::{ApiKey, TxnOffsetCommitRequest, TxnOffsetCommitResponse};
use protocol::record_batch::RecordBatchView;
use protocol::record_batch_builder::RecordBatchBuilder;
use protocol::{ErrorCode, layouts};
use storage::VerificationGuard;

use super::group_membership::text;
use super::offsets::{Asked, answered, existing};
use super::{Api, Reply, RequestContext, Response};
use crate::broker::Broker;
use crate::coordinator::effect::append_error;
use crate::coordinator::group::{self, PartitionCommit};
use crate::coordinator::shell::unexpected;
use crate::coordinator::transaction::{Partitions, ProducerIdAndEpoch};
use crate::topics::{self, OFFSETS_TOPIC};

/// First version that adds the group's partition to the transaction by itself.
const ADDS_PARTITION: i16 = 5;
const KNOWS_ABORTABLE: i16 = 4;
const KNOWS_LOADING: i16 = 2;

pub(super) struct TxnOffsetCommit;

impl Api for TxnOffsetCommit {
    type Request = TxnOffsetCommitRequest;
    type Response = TxnOffsetCommitResponse;
    const KEY: ApiKey = ApiKey::TxnOffsetCommit;
    const LAYOUT: &'static Layout = &layouts::transactions::TXN_OFFSET_COMMIT;

    fn handle(broker: &Arc<Broker>, context: &RequestContext<'_>, request: TxnOffsetCommitRequest) -> Reply {
        let version = context.version();
        let transactional_id = request.transactional_id.to_string();
        let (asked, commit) = taken_apart(broker, request);
        if commit.topics.iter().all(|(_, partitions)| partitions.is_empty()) {
            return Reply::Now(answer(version, asked, Vec::new()));
        }
        if let Err(error) = context.groups(broker).check(&commit.group_id) {
            return Reply::Now(answer(version, asked, all_refused(commit, error)));
        }
        let broker = Arc::clone(broker);
        Reply::Later(Box::pin(async move {
            let committed = match verification(&broker, version, &transactional_id, &commit).await {
                Ok(verification) => match broker.groups.commit_in_transaction(commit, verification).await {
                    group::Response::TxnOffsetCommit(committed) => committed,
                    other => unexpected(&other),
                },
                Err(error) => all_refused(commit, error),
            };
            answer(version, asked, committed)
        }))
    }
}

/// What was asked for, and what of it can be.
fn taken_apart(broker: &Broker, request: TxnOffsetCommitRequest) -> (Asked, group::TxnOffsetCommit) {
    let mut asked = Asked::new();
    let topics = request.topics.into_iter().map(|topic| {
        let commits = topic.partitions.into_iter().map(|commit| PartitionCommit {
            partition: commit.partition_index,
            offset: commit.committed_offset,
            leader_epoch: commit.committed_leader_epoch,
            metadata: text(commit.committed_metadata),
        });
        existing(broker, &mut asked, topic.name, commits.collect(), |commit| commit.partition)
    });
    let topics = topics.collect();
    let commit = group::TxnOffsetCommit {
        group_id: request.group_id.to_string(),
        producer_id: request.producer_id.0,
        producer_epoch: request.producer_epoch,
        generation_id: request.generation_id,
        member_id: request.member_id.to_string(),
        group_instance_id: text(request.group_instance_id),
        topics,
    };
    (asked, commit)
}

/// What the group's partition wants to be shown; `None` when the transaction is open there.
async fn verification(
    broker: &Arc<Broker>,
    version: i16,
    transactional_id: &str,
    commit: &group::TxnOffsetCommit,
) -> Result<Option<VerificationGuard>, ErrorCode> {
    if commit.group_id.is_empty() {
        return Err(ErrorCode::InvalidGroupId);
    }
    let producer = ProducerIdAndEpoch { producer_id: commit.producer_id, epoch: commit.producer_epoch };
    if producer.producer_id < 0 || producer.epoch < 0 {
        return Err(ErrorCode::InvalidProducerIdMapping);
    }
    let adds = version >= ADDS_PARTITION;
    let index = broker.groups.partition_of(&commit.group_id);
    let Some(guard) = guard(broker, index, producer, adds)? else { return Ok(None) };
    if !adds && !broker.config.transactions.verification {
        return Ok(Some(VerificationGuard::COORDINATOR));
    }
    let partitions = Partitions::from([(OFFSETS_TOPIC.to_owned(), BTreeSet::from([index]))]);
    let uncovered = if adds {
        let added = broker.transactions.add_partitions(transactional_id, producer, partitions).await;
        added.map(|()| Partitions::new())
    } else {
        broker.transactions.verify_partitions(transactional_id, producer, partitions).await
    };
    match uncovered.map_err(told)? {
        covered if covered.is_empty() => Ok(Some(guard)),
        _ if version >= KNOWS_ABORTABLE => Err(ErrorCode::TransactionAbortable),
        _ => Err(ErrorCode::InvalidTxnState),
    }
}

/// To be asked for before the transaction coordinator is: a marker that comes between makes it worthless.
fn guard(
    broker: &Broker,
    index: i32,
    producer: ProducerIdAndEpoch,
    bumps_epoch: bool,
) -> Result<Option<VerificationGuard>, ErrorCode> {
    if broker.store.topic(OFFSETS_TOPIC).is_none()
        && let Err(error) = topics::create_internal(broker)
    {
        tracing::debug!(%error, "{OFFSETS_TOPIC} was not created here");
    }
    let topic = broker.store.topic(OFFSETS_TOPIC).ok_or(ErrorCode::CoordinatorNotAvailable)?;
    let log = topic.partition(index).ok_or(ErrorCode::CoordinatorNotAvailable)?;
    let mut batch =
        RecordBatchBuilder::new(0).producer(producer.producer_id, producer.epoch, -1).transactional();
    batch.append(0, None, None);
    let batch = batch.build();
    let batch = RecordBatchView::parse(&batch).expect("the builder makes valid batches");
    Ok(log.begin_verification(&batch, bumps_epoch))
}

/// The transaction coordinator's errors as a committing client is told (Kafka's `AddPartitionsToTxnManager`, then
/// `CoordinatorOperationExceptionHelper`).
fn told(error: ErrorCode) -> ErrorCode {
    match error {
        ErrorCode::ProducerFenced => ErrorCode::InvalidProducerEpoch,
        error => append_error(error),
    }
}

fn all_refused(commit: group::TxnOffsetCommit, error: ErrorCode) -> group::PartitionErrors {
    let refuse = |(topic, partitions): (String, Vec<PartitionCommit>)| {
        (topic, partitions.into_iter().map(|commit| (commit.partition, error)).collect())
    };
    commit.topics.into_iter().map(refuse).collect()
}

fn answer(version: i16, asked: Asked, committed: group::PartitionErrors) -> Response {
    let partition = |partition, error| {
        let error = match error {
            ErrorCode::CoordinatorLoadInProgress if version < KNOWS_LOADING => {
                ErrorCode::CoordinatorNotAvailable
            }
            error => error,
        };
        TxnOffsetCommitResponsePartition::default()
            .with_partition_index(partition)
            .with_error_code(error.code())
    };
    let topics = answered(asked, committed, partition, |name, partitions| {
        TxnOffsetCommitResponseTopic::default().with_partitions(partitions).with_name(name)
    });
    Response::encode(&TxnOffsetCommitResponse::default().with_topics(topics), version)
}
