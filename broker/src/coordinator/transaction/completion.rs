//! From a decision to its completion: markers to every partition, then `Complete*` (Kafka's `TransactionMarkerChannelManager`
//! and `prepareComplete`).
//!
//! **Invariant:** `Complete*` is written only when no partition is left without its marker. A partition that failed is tried
//! again for as long as it takes; only the runtime can say that one is gone, because its topic was deleted.

use std::sync::Arc;
use std::time::Instant;

use super::effect::{Markers, Pending, Work};
use super::event::ProducerIdAndEpoch;
use super::metadata::{Metadata, NONE, Partitions, TransactionState};
use super::timers::Timer;
use super::turn::Turn;
use super::{TransactionCoordinator, TransactionVersion};
use crate::coordinator::effect::Ticket;

impl TransactionCoordinator {
    pub(super) fn markers_written(&mut self, now: Instant, ticket: Ticket, failed: Partitions) {
        let Some(Pending::Decided(id)) = self.outbox.take_note(ticket) else { return };
        self.on(now, &id, |turn| turn.markers_written(ticket, failed));
    }
}

impl Turn<'_> {
    /// Writes the markers that are still to be written. Called once the `Prepare*` record is durable, never earlier.
    pub(super) fn write_markers(&mut self) {
        let current = &self.transaction.metadata;
        if !current.state.is_prepared() {
            return;
        }
        if current.partitions.is_empty() {
            return self.complete();
        }
        let markers = Markers {
            coordinator_partition: self.partition,
            producer: current.producer,
            committed: current.state == TransactionState::PrepareCommit,
            partitions: current.partitions.clone(),
        };
        let decided = Pending::Decided(Arc::clone(&self.transaction.id));
        let ticket = self.outbox.work(decided, |ticket| Work::WriteMarkers { ticket, markers });
        self.transaction.markers = Some(ticket);
    }

    fn markers_written(&mut self, ticket: Ticket, failed: Partitions) {
        // Markers from before a reload are not waited for: those written after it count.
        if self.transaction.markers != Some(ticket) {
            return;
        }
        self.transaction.markers = None;
        self.transaction.metadata.partitions = failed;
        if self.transaction.metadata.partitions.is_empty() {
            return self.complete();
        }
        let id = Arc::clone(&self.transaction.id);
        tracing::warn!(%id, "markers of a transaction could not be written, trying again");
        self.timers.set(Timer::Markers { id }, self.now + self.config.marker_retry);
    }

    fn complete(&mut self) {
        let current = &self.transaction.metadata;
        let state = match current.state {
            TransactionState::PrepareCommit => TransactionState::CompleteCommit,
            _ => TransactionState::CompleteAbort,
        };
        let mut next = self.next(state);
        if current.version == TransactionVersion::V2 && current.next_producer_id != NONE {
            next.producer = ProducerIdAndEpoch { producer_id: current.next_producer_id, epoch: 0 };
        }
        let next = Metadata { next_producer_id: NONE, partitions: Partitions::new(), ..next };
        let written = self.transit(next);
        assert!(written.is_ok(), "a record without partitions fits an append");
        self.timers.cancel(Timer::Patience { id: Arc::clone(&self.transaction.id) });
        for (waiter, request) in std::mem::take(&mut self.transaction.waiting) {
            self.request(waiter, request, None);
        }
    }
}
