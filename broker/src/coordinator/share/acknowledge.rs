//! A member answers for records, loses them, or leaves them (Kafka `SharePartition.acknowledge`, `releaseAcquiredRecords`,
//! `releaseAcquisitionLockOnTimeout`).
//!
//! An acknowledgement counts as a whole or not at all: everything is looked at before anything is changed.

use std::time::Instant;

use protocol::ErrorCode;

use super::event::{AcknowledgeBatch, AcknowledgeKind, Limits};
use super::in_flight::{Range, State};
use super::partition::{SharePartition, push_batch};
use super::records::{DeliveryState, StateBatch};
use super::response::Refusal;

const NOT_FOUND: Refusal = Refusal::new(
    ErrorCode::InvalidRecordState,
    "Batch record not found. The request batch offsets are not found in the cache.",
);
const FIRST_IS_PAST: Refusal = Refusal::new(
    ErrorCode::InvalidRequest,
    "Batch record not found. The first offset in request is past acquired records.",
);
const LAST_IS_PAST: Refusal = Refusal::new(
    ErrorCode::InvalidRequest,
    "Batch record not found. The last offset in request is past acquired records.",
);
const BATCH_NOT_ACQUIRED: Refusal = Refusal::new(
    ErrorCode::InvalidRecordState,
    "The batch cannot be acknowledged. The batch is not in the acquired state.",
);
const OFFSET_NOT_ACQUIRED: Refusal = Refusal::new(
    ErrorCode::InvalidRecordState,
    "The offset cannot be acknowledged. The offset is not acquired.",
);
const NOT_OWNER_OF_BATCH: Refusal =
    Refusal::new(ErrorCode::InvalidRecordState, "Member is not the owner of batch record");
const NOT_OWNER_OF_OFFSET: Refusal =
    Refusal::new(ErrorCode::InvalidRecordState, "Member is not the owner of offset");
const RENEWING_DISABLED: Refusal =
    Refusal::new(ErrorCode::InvalidRecordState, "Renewing acquisition locks is not enabled for the group.");

impl SharePartition {
    /// Takes in what `member` says of its records; returns what the log has to know.
    ///
    /// # Errors
    /// `INVALID_RECORD_STATE` for a record that the member does not hold, `INVALID_REQUEST` for offsets that nobody ever
    /// acquired.
    pub(super) fn acknowledge(
        &mut self,
        now: Instant,
        member: &str,
        batches: &[AcknowledgeBatch],
        limits: Limits,
    ) -> Result<Vec<StateBatch>, Refusal> {
        let start = self.start.ok_or(NOT_FOUND)?;
        let mut runs = Vec::new();
        for batch in batches {
            self.check(start, member, batch, limits)?;
            runs.extend(kinds(batch).filter(|(_, last, _)| *last >= start));
        }
        if !are_apart(&runs) {
            return Err(OFFSET_NOT_ACQUIRED);
        }
        let mut changed = Vec::new();
        let renewed = now + limits.lock;
        for (first, last, kind) in runs {
            self.in_flight.change(first.max(start), last, |first, range| {
                if let State::Acquired { until, .. } = &mut range.state
                    && kind == AcknowledgeKind::Renew
                {
                    *until = renewed;
                    return;
                }
                range.state = outcome(kind, range.deliveries, limits.deliveries);
                push_batch(&mut changed, logged(first, range));
            });
        }
        Ok(changed)
    }

    fn check(
        &self,
        start: i64,
        member: &str,
        batch: &AcknowledgeBatch,
        limits: Limits,
    ) -> Result<(), Refusal> {
        let (first, last) = (batch.first, batch.last);
        if last < start {
            return Ok(());
        }
        let known = self.in_flight.begins_by(first) || (first < start && self.in_flight.begins_by(start));
        if !known {
            return Err(NOT_FOUND);
        }
        match self.in_flight.overlapping(first.max(start), last).last() {
            None => return Err(FIRST_IS_PAST),
            Some((_, range)) if range.last < last => return Err(LAST_IS_PAST),
            Some(_) => (),
        }
        for (first, last, kind) in kinds(batch).filter(|(_, last, _)| *last >= start) {
            for (from, range) in self.in_flight.overlapping(first.max(start), last) {
                let is_whole = (from, range.last) == (range.batch.first, range.batch.last);
                match &range.state {
                    State::Acquired { member: holder, .. } if **holder == *member => (),
                    State::Acquired { .. } if is_whole => return Err(NOT_OWNER_OF_BATCH),
                    State::Acquired { .. } => return Err(NOT_OWNER_OF_OFFSET),
                    _ if is_whole => return Err(BATCH_NOT_ACQUIRED),
                    _ => return Err(OFFSET_NOT_ACQUIRED),
                }
                if kind == AcknowledgeKind::Renew && !limits.renew {
                    return Err(RENEWING_DISABLED);
                }
            }
        }
        Ok(())
    }

    /// `member` holds nothing any more; returns what the log has to know.
    pub(super) fn release(&mut self, member: &str) -> Vec<StateBatch> {
        self.let_go(|state| matches!(state, State::Acquired { member: holder, .. } if **holder == *member))
    }

    /// Locks that are over by now are; returns what the log has to know.
    pub(super) fn locks_end(&mut self, now: Instant) -> Vec<StateBatch> {
        let changed = self.let_go(|state| matches!(state, State::Acquired { until, .. } if *until <= now));
        self.next_lock_end = self.in_flight.iter().filter_map(|(_, range)| range.state.until()).min();
        changed
    }

    fn let_go(&mut self, whose: impl Fn(&State) -> bool) -> Vec<StateBatch> {
        let wanted = self.in_flight.iter().filter(|(_, range)| whose(&range.state));
        let wanted: Vec<(i64, i64)> = wanted.map(|(first, range)| (first, range.last)).collect();
        let (mut changed, limit) = (Vec::new(), self.delivery_limit);
        for (first, last) in wanted {
            self.in_flight.change(first, last, |first, range| {
                range.state = outcome(AcknowledgeKind::Release, range.deliveries, limit);
                push_batch(&mut changed, logged(first, range));
            });
        }
        changed
    }
}

impl State {
    const fn until(&self) -> Option<Instant> {
        match self {
            Self::Acquired { until, .. } => Some(*until),
            _ => None,
        }
    }
}

const fn outcome(kind: AcknowledgeKind, deliveries: i16, limit: i16) -> State {
    match kind {
        AcknowledgeKind::Accept => State::Acknowledged,
        AcknowledgeKind::Gap | AcknowledgeKind::Reject => State::Archived,
        AcknowledgeKind::Release | AcknowledgeKind::Renew if deliveries >= limit => State::Archived,
        AcknowledgeKind::Release | AcknowledgeKind::Renew => State::Available,
    }
}

const fn logged(first: i64, range: &Range) -> StateBatch {
    let state = match range.state {
        State::Acknowledged => DeliveryState::Acknowledged,
        State::Archived => DeliveryState::Archived,
        State::Available | State::Acquired { .. } => DeliveryState::Available,
    };
    StateBatch { first, last: range.last, state, deliveries: range.deliveries }
}

/// What is said of the offsets of a batch, as runs of the same.
fn kinds(batch: &AcknowledgeBatch) -> impl Iterator<Item = (i64, i64, AcknowledgeKind)> {
    let mut first = batch.first;
    batch.kinds.chunk_by(|kind, next| kind == next).map(move |same| {
        let count = i64::try_from(same.len()).unwrap_or(i64::MAX);
        let last = if batch.kinds.len() == 1 { batch.last } else { first + count - 1 };
        let run = (first, last, same[0]);
        first = last.saturating_add(1);
        run
    })
}

/// Whether no offset is named twice.
fn are_apart(runs: &[(i64, i64, AcknowledgeKind)]) -> bool {
    let mut runs: Vec<(i64, i64)> = runs.iter().map(|(first, last, _)| (*first, *last)).collect();
    runs.sort_unstable();
    runs.is_sorted_by(|left, right| left.1 < right.0)
}
