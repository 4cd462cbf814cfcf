//! Transactional batches whose transaction is not open in their partition yet: the transaction coordinator is asked first
//! (KIP-890, Kafka's `AddPartitionsToTxnManager` and `ReplicaManager.handleProduceAppend`).
//!
//! From version 12 on the partition is added to the transaction by this; before, the client did that and it is verified.
//! Called by Produce before the append. Invariant: a batch goes on with a guard or not at all, so the log never opens a
//! transaction that no coordinator will end.

use std::sync::Arc;

use protocol::ErrorCode;
use protocol::messages::produce_response::TopicProduceResponse;
use storage::{PartitionLog, ValidBatch, VerificationGuard};

use super::batch::Rejection;
use super::{Pending, rejected};
use crate::broker::Broker;
use crate::coordinator::transaction::{Partitions, ProducerIdAndEpoch};

/// First version whose batches add their partition by themselves.
const ADDS_PARTITIONS: i16 = 12;
/// First version that knows TRANSACTION_ABORTABLE.
const KNOWS_ABORTABLE: i16 = 11;

/// A batch that waits for the coordinator.
pub(super) struct Unverified {
    /// Its index among the appends.
    append: usize,
    guard: VerificationGuard,
    producer: ProducerIdAndEpoch,
    topic: Arc<str>,
    partition: i32,
}

/// Whether the coordinator must be asked before `batch`, the append at `append`, may go on.
pub(super) fn begin(
    (log, topic): (&PartitionLog, Arc<str>),
    batch: &ValidBatch,
    version: i16,
    append: usize,
) -> Option<Unverified> {
    let view = batch.view();
    let guard = log.begin_verification(&view, version >= ADDS_PARTITIONS)?;
    let producer = ProducerIdAndEpoch { producer_id: view.producer_id(), epoch: view.producer_epoch() };
    Some(Unverified { append, guard, producer, topic, partition: log.partition() })
}

/// Asks the coordinator about all batches that wait. Those it lets in get their guard; the others leave `pending` with
/// their error in `responses`.
pub(super) async fn verify(
    broker: &Broker,
    transactional_id: &str,
    version: i16,
    pending: &mut Pending,
    responses: &mut [TopicProduceResponse],
) {
    let unverified = std::mem::take(&mut pending.unverified);
    let mut refused = Vec::new();
    if version < ADDS_PARTITIONS && !broker.config.transactions.verification {
        for batch in &unverified {
            pending.appends[batch.append].verification = Some(VerificationGuard::COORDINATOR);
        }
        return;
    }
    let outcome = ask(broker, transactional_id, version, &unverified).await;
    for batch in &unverified {
        let rejection = match &outcome {
            Err(error) => Some(rejection(*error)),
            Ok(uncovered) if covers(uncovered, batch) => Some(not_added(version)),
            Ok(_) => None,
        };
        match rejection {
            None => pending.appends[batch.append].verification = Some(batch.guard),
            Some(rejection) => refused.push((batch.append, rejection)),
        }
    }
    // From the back, so that the indexes in front stay what they are.
    for (append, rejection) in refused.into_iter().rev() {
        let (topic, place) = pending.places.remove(append);
        pending.appends.remove(append);
        pending.failed = true;
        let response = &mut responses[topic].partition_responses[place];
        *response = rejected(response.index, rejection);
    }
}

/// The partitions that the transaction does not cover.
async fn ask(
    broker: &Broker,
    transactional_id: &str,
    version: i16,
    unverified: &[Unverified],
) -> Result<Partitions, ErrorCode> {
    let producer = unverified.first().expect("asked only when a batch waits").producer;
    if unverified.iter().any(|batch| batch.producer != producer) {
        return Err(ErrorCode::InvalidProducerIdMapping);
    }
    let mut partitions = Partitions::new();
    for batch in unverified {
        partitions.entry(batch.topic.to_string()).or_default().insert(batch.partition);
    }
    let coordinator = &broker.transactions;
    if version >= ADDS_PARTITIONS {
        let added = coordinator.add_partitions(transactional_id, producer, partitions).await;
        return added.map(|()| Partitions::new());
    }
    coordinator.verify_partitions(transactional_id, producer, partitions).await
}

fn covers(partitions: &Partitions, batch: &Unverified) -> bool {
    partitions.get(&*batch.topic).is_some_and(|numbers| numbers.contains(&batch.partition))
}

fn not_added(version: i16) -> Rejection {
    if version >= KNOWS_ABORTABLE {
        return ErrorCode::TransactionAbortable.into();
    }
    let message = Some("Partition was not added to the transaction".to_owned());
    Rejection { message, ..ErrorCode::InvalidTxnState.into() }
}

/// What a producer is told of the coordinator's error: fenced ones can go on with a new epoch; what passes is told as
/// NOT_ENOUGH_REPLICAS, which every client retries as it should.
fn rejection(error: ErrorCode) -> Rejection {
    match error {
        ErrorCode::ProducerFenced => ErrorCode::InvalidProducerEpoch.into(),
        ErrorCode::ConcurrentTransactions
        | ErrorCode::CoordinatorLoadInProgress
        | ErrorCode::CoordinatorNotAvailable
        | ErrorCode::NotCoordinator => Rejection {
            message: Some(format!(
                "Unable to verify the partition has been added to the transaction. Underlying error: {}",
                error.name()
            )),
            ..ErrorCode::NotEnoughReplicas.into()
        },
        error => error.into(),
    }
}
