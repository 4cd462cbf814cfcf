//! One share partition: where its group is, and what of it is in flight.
//!
//! The rules are in the neighbouring rooms (`acquire`, `acknowledge`), each an `impl SharePartition`; here is what they
//! share. A change hands back what the log has to be told, as [`StateBatch`]es. **Invariant:** everything below the start
//! is done with, and the offset at the start is not, unless nothing behind it was ever delivered.

use std::time::Instant;

use super::in_flight::{Batch, InFlight, Range, State};
use super::records::{DeliveryState, StateBatch};
use super::response::{Position, Summary};
use crate::coordinator::effect::Ticket;

/// Deliveries of a record before it is delivered in smaller and smaller company (Kafka `SharePartition`).
const LEAST_THROTTLED: i16 = 2;

/// A share partition.
#[derive(Debug)]
pub(super) struct SharePartition {
    /// First offset that is not done with; `None` until the first fetch chooses it.
    pub(super) start: Option<i64>,
    pub(super) in_flight: InFlight,
    /// As the last record has it, durable or not.
    pub(super) logged: Logged,
    /// No lock ends before this.
    pub(super) next_lock_end: Option<Instant>,
    /// The group's limit when it was last told.
    pub(super) delivery_limit: i16,
    /// Its newest record, durable or not.
    pub(super) last_append: Option<Ticket>,
}

/// What the newest record of the log says besides the batches.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Logged {
    pub(super) snapshot_epoch: i32,
    pub(super) state_epoch: i32,
    pub(super) leader_epoch: i32,
    /// -1 for none.
    pub(super) start_offset: i64,
    /// -1 for unknown.
    pub(super) delivery_complete_count: i32,
    /// Records since the snapshot.
    pub(super) updates: u32,
}

impl SharePartition {
    pub(super) fn new(logged: Logged, delivery_limit: i16) -> Self {
        let start = Some(logged.start_offset).filter(|start| *start >= 0);
        Self {
            start,
            in_flight: InFlight::default(),
            logged,
            next_lock_end: None,
            delivery_limit,
            last_append: None,
        }
    }

    /// The offset behind everything that was ever delivered.
    pub(super) fn end(&self) -> i64 {
        let start = self.start.unwrap_or(0);
        self.in_flight.end().map_or(start, |end| end.max(start))
    }

    /// Where a fetch reads next.
    pub(super) fn position(&self, most_in_flight: i64) -> Position {
        let Some(start) = self.start else { return Position::Unset };
        let next = self.next_offset(start);
        let full = next == self.end() && next - start >= most_in_flight;
        if full { Position::Full } else { Position::At(next) }
    }

    /// The first offset that somebody may have.
    fn next_offset(&self, start: i64) -> i64 {
        let mut next = start;
        for (first, range) in self.in_flight.iter() {
            // A gap was never delivered.
            if first > next || range.state == State::Available {
                break;
            }
            next = range.last + 1;
        }
        next
    }

    /// The log begins at `log_start`: what was below is gone.
    pub(super) fn log_starts(&mut self, log_start: i64) {
        if self.start.is_some_and(|start| start < log_start) {
            self.start = Some(log_start);
            self.in_flight.drop_below(log_start);
            self.advance();
        }
    }

    /// Moves the start over everything that is done with.
    pub(super) fn advance(&mut self) {
        let Some(mut start) = self.start else { return };
        let done = |start| move |first: i64, range: &Range| first <= start && range.state.is_terminal();
        while let Some(range) = self.in_flight.pop_first_if(done(start)) {
            start = start.max(range.last + 1);
        }
        self.start = Some(start);
    }

    /// Offsets from the start on that are done with (KIP-1226).
    pub(super) fn delivery_complete_count(&self) -> i32 {
        let start = self.start.unwrap_or(0);
        let done = self.in_flight.iter().filter(|(_, range)| range.state.is_terminal());
        let count: i64 = done.map(|(first, range)| (range.last - first.max(start) + 1).max(0)).sum();
        i32::try_from(count).unwrap_or(i32::MAX)
    }

    /// What the log has to know of the batches to begin anew after this: what is acquired was available before.
    pub(super) fn state_batches(&self) -> Vec<StateBatch> {
        let mut batches = Vec::new();
        for (first, range) in self.in_flight.iter() {
            let (state, deliveries) = match &range.state {
                // The rest of a batch of which somebody had a part.
                State::Available if range.deliveries == 0 => continue,
                State::Available => (DeliveryState::Available, range.deliveries),
                State::Acquired { .. } if range.deliveries <= 1 => continue,
                State::Acquired { .. } => (DeliveryState::Available, range.deliveries - 1),
                State::Acknowledged => (DeliveryState::Acknowledged, range.deliveries),
                State::Archived => (DeliveryState::Archived, range.deliveries),
            };
            push_batch(&mut batches, StateBatch { first, last: range.last, state, deliveries });
        }
        batches
    }

    /// Takes in a batch of the log.
    pub(super) fn load_batch(&mut self, batch: StateBatch) {
        let StateBatch { first, last, state, deliveries } = batch;
        if first < 0 || last < first || last == i64::MAX {
            return; // nothing that anybody wrote
        }
        let state = match state {
            DeliveryState::Available => State::Available,
            DeliveryState::Acknowledged => State::Acknowledged,
            DeliveryState::Archived => State::Archived,
        };
        self.in_flight.put(first, Range { last, state, deliveries, batch: Batch { first, last } });
    }

    pub(super) const fn summary(&self) -> Summary {
        Summary {
            start_offset: self.logged.start_offset,
            leader_epoch: self.logged.leader_epoch,
            delivery_complete_count: self.logged.delivery_complete_count,
        }
    }
}

/// Adds a batch, or lengthens the last one.
pub(super) fn push_batch(batches: &mut Vec<StateBatch>, batch: StateBatch) {
    match batches.last_mut() {
        Some(last)
            if last.last + 1 == batch.first
                && last.state == batch.state
                && last.deliveries == batch.deliveries =>
        {
            last.last = batch.last;
        }
        _ => batches.push(batch),
    }
}

/// From so many deliveries on a record is delivered in smaller company.
pub(super) fn throttled_from(delivery_limit: i16) -> i16 {
    LEAST_THROTTLED.max(delivery_limit / 2 + delivery_limit % 2)
}
