//! Markers of ended transactions, written to their partitions.
//!
//! Called by the transaction coordinator's shell and by WriteTxnMarkers. All markers handed in together are one append to the
//! log. Invariant: a partition counts as marked when its marker is durable, and its group offsets, if it has any, are
//! settled.

use std::future::Future;
use std::sync::Arc;

use protocol::ErrorCode;
use protocol::control_batch::{EndTransactionMarker, MarkerType};
use storage::{Append, Clock, PartitionLog, Position, Store, ValidBatch, VerificationGuard};

use super::group::CompleteTransaction;
use super::runtime::Groups;
use super::transaction::{Partitions, ProducerIdAndEpoch};
use crate::error_map;
use crate::partition::Waits;
use crate::topics::OFFSETS_TOPIC;

/// The end of one transaction in some partitions.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Marker {
    pub(crate) producer: ProducerIdAndEpoch,
    pub(crate) coordinator_epoch: i32,
    pub(crate) committed: bool,
    pub(crate) partitions: Partitions,
    /// What the partitions are shown with it.
    pub(crate) guard: Option<VerificationGuard>,
}

/// What became of a marker in one partition. `UNKNOWN_TOPIC_OR_PARTITION` says that the partition does not exist: every
/// topic is loaded before anybody asks, so it was deleted.
pub(crate) type Marked = ((String, i32), Result<(), ErrorCode>);

/// What markers are written with.
#[derive(Clone)]
pub(crate) struct MarkerWriter {
    pub(crate) store: Arc<Store>,
    pub(crate) waits: Arc<Waits>,
    pub(crate) clock: Arc<dyn Clock>,
    pub(crate) groups: Groups,
}

/// One marker whose batches are in the log.
struct Written {
    end: Option<Position>,
    marked: Vec<Marked>,
    /// Partitions of `__consumer_offsets`, which the group coordinator marks itself.
    of_groups: Vec<i32>,
}

impl MarkerWriter {
    /// Appends the markers before it returns; the futures, one for each marker, end when they are durable.
    pub(crate) fn write(
        &self,
        markers: &[Marker],
    ) -> Vec<impl Future<Output = Vec<Marked>> + Send + 'static + use<>> {
        let mut written: Vec<Written> = Vec::with_capacity(markers.len());
        let (mut appends, mut places) = (Vec::new(), Vec::new());
        for (index, marker) in markers.iter().enumerate() {
            let mut outcome = Written { end: None, marked: Vec::new(), of_groups: Vec::new() };
            let batch = self.batch(marker);
            for (topic, numbers) in &marker.partitions {
                for number in numbers {
                    match self.partition(topic, *number) {
                        None => {
                            let error = Err(ErrorCode::UnknownTopicOrPartition);
                            outcome.marked.push(((topic.clone(), *number), error));
                        }
                        Some(_) if topic == OFFSETS_TOPIC => outcome.of_groups.push(*number),
                        Some(_) if is_withheld(topic, *number) => {
                            outcome.marked.push(((topic.clone(), *number), Ok(())));
                        }
                        Some(log) => {
                            appends.push(Append::new(log, batch.clone()).verified(marker.guard));
                            places.push((index, (topic.clone(), *number)));
                        }
                    }
                }
            }
            written.push(outcome);
        }
        if !appends.is_empty() {
            for ((index, place), outcome) in places.into_iter().zip(self.store.append(appends)) {
                let written = &mut written[index];
                written.marked.push(match outcome {
                    Ok(appended) => {
                        written.end = written.end.max(Some(appended.end));
                        (place, Ok(()))
                    }
                    Err(error) => (place, Err(error_map::append_error(&error))),
                });
            }
        }
        markers.iter().zip(written).map(|(marker, written)| self.durable(marker, written)).collect()
    }

    fn durable(
        &self,
        marker: &Marker,
        written: Written,
    ) -> impl Future<Output = Vec<Marked>> + Send + 'static + use<> {
        let acknowledged = written.end.map(|end| self.waits.acknowledged(end));
        let (groups, guard) = (self.groups.clone(), marker.guard);
        let Marker { producer, coordinator_epoch, committed, .. } = *marker;
        let ProducerIdAndEpoch { producer_id, epoch: producer_epoch } = producer;
        async move {
            let mut marked = written.marked;
            if let Some(acknowledged) = acknowledged
                && acknowledged.await.is_err()
            {
                marked.iter_mut().for_each(|(_, outcome)| *outcome = Err(ErrorCode::KafkaStorageError));
            }
            for partition in written.of_groups {
                let complete = CompleteTransaction {
                    partition,
                    producer_id,
                    producer_epoch,
                    coordinator_epoch,
                    committed,
                };
                let outcome = groups.complete_transaction(complete, guard).await;
                marked.push(((OFFSETS_TOPIC.to_owned(), partition), outcome));
            }
            marked
        }
    }

    fn batch(&self, marker: &Marker) -> ValidBatch {
        let marker_type = if marker.committed { MarkerType::Commit } else { MarkerType::Abort };
        let control = EndTransactionMarker { marker_type, coordinator_epoch: marker.coordinator_epoch };
        let ProducerIdAndEpoch { producer_id, epoch } = marker.producer;
        let batch = control.build(producer_id, epoch, self.clock.now_ms());
        ValidBatch::new(batch).expect("the builder makes valid batches")
    }

    pub(crate) fn partition(&self, topic: &str, number: i32) -> Option<Arc<PartitionLog>> {
        self.store.topic(topic)?.partition(number)
    }
}

#[cfg(all(feature = "withheld-markers", not(debug_assertions)))]
compile_error!("withheld-markers breaks transactions: it is for debug builds that are meant to fail");

/// Whether the marker of this partition is passed off as written: never, but in a build for the negative control of
/// `money_loop`.
fn is_withheld(topic: &str, number: i32) -> bool {
    cfg!(feature = "withheld-markers") && topic == "money-accounts" && number == 1
}
