//! A member takes records (Kafka `SharePartition.acquire`).
//!
//! New records are taken up to the end of a batch of the log, or of the limit (KIP-1206). Records that were delivered before
//! are taken in the batches in which they were; those that failed often in fewer and fewer at a time, and the last time
//! alone, so that one bad record does not take others with it.

use std::sync::Arc;
use std::time::Instant;

use super::event::{AcquireMode, Fetched, Limits};
use super::in_flight::{Batch, Range, State};
use super::partition::{SharePartition, throttled_from};
use super::response::Acquired;

/// Who takes, and how much.
#[derive(Debug, Clone)]
pub(super) struct Taker {
    pub(super) member: Arc<str>,
    /// When its lock ends.
    pub(super) until: Instant,
    pub(super) limits: Limits,
    pub(super) mode: AcquireMode,
    pub(super) batch_size: i64,
}

/// Acquiring from one share partition.
struct Acquiring<'a> {
    partition: &'a mut SharePartition,
    fetched: &'a Fetched,
    taker: &'a Taker,
    /// Nothing below or above is taken.
    first: i64,
    last: i64,
    most: i64,
    count: i64,
    acquired: Vec<Acquired>,
    /// A record that is to be delivered in small company was met.
    stopped: bool,
}

impl SharePartition {
    /// Takes up to about `most` of the records that were fetched. A record that no member may see is archived.
    pub(super) fn acquire(&mut self, fetched: &Fetched, taker: &Taker, most: i64) -> Vec<Acquired> {
        let (Some(start), Some((base, _)), Some((_, last))) =
            (self.start, fetched.batches.first().copied(), fetched.batches.last().copied())
        else {
            return Vec::new();
        };
        if most <= 0 || last < start || last == i64::MAX {
            return Vec::new();
        }
        let Some((last, most)) = self.room(start, fetched.from, last, most, taker.limits.in_flight) else {
            return Vec::new();
        };
        self.archive_what_is_gone(fetched.from.max(start), base);
        let first = base.max(self.start.unwrap_or(base));
        let mut acquiring = Acquiring {
            partition: self,
            fetched,
            taker,
            first,
            last,
            most,
            count: 0,
            acquired: Vec::new(),
            stopped: false,
        };
        acquiring.run();
        let acquired = acquiring.acquired;
        if !acquired.is_empty() {
            self.next_lock_end = Some(self.next_lock_end.map_or(taker.until, |end| end.min(taker.until)));
        }
        let acquired = self.without_aborted(fetched, acquired);
        if acquired.is_empty() {
            // Nobody will say anything of these, which is when the start moves.
            self.advance();
        }
        acquired
    }

    /// The last offset that may be taken, and how many, while only so many may be in flight.
    fn room(&self, start: i64, from: i64, last: i64, most: i64, in_flight: i64) -> Option<(i64, i64)> {
        let end = self.end();
        let left = in_flight - (end - start);
        if left > 0 {
            return Some((last, most.min(left)));
        }
        // Records that are in flight already may be delivered again.
        (from < end).then(|| (last.min(end - 1), most.min(end - from)))
    }

    /// The log has nothing between `from` and `base` any more.
    fn archive_what_is_gone(&mut self, from: i64, base: i64) {
        if from >= base {
            return;
        }
        let mut at = from;
        while at < base {
            let (last, gone) = match self.in_flight.covering(at) {
                Some((_, range)) => (range.last, range.state == State::Available),
                None => (self.in_flight.next_first(at).map_or(base - 1, |next| next - 1), true),
            };
            let last = last.min(base - 1);
            if gone {
                let batch = Batch { first: at, last };
                let range = Range { last, state: State::Archived, deliveries: 0, batch };
                self.in_flight.put(at, range);
            }
            at = last + 1;
        }
        self.advance();
    }

    /// Archives what was acquired of aborted transactions.
    fn without_aborted(&mut self, fetched: &Fetched, mut acquired: Vec<Acquired>) -> Vec<Acquired> {
        for (first, last) in fetched.aborted.iter().copied() {
            let mut left = Vec::with_capacity(acquired.len() + 1);
            for piece in acquired {
                let (from, to) = (piece.first.max(first), piece.last.min(last));
                if from > to {
                    left.push(piece);
                    continue;
                }
                self.in_flight.change(from, to, |_, range| range.state = State::Archived);
                if piece.first < from {
                    left.push(Acquired { last: from - 1, ..piece });
                }
                if piece.last > to {
                    left.push(Acquired { first: to + 1, ..piece });
                }
            }
            acquired = left;
        }
        acquired
    }
}

impl Acquiring<'_> {
    fn run(&mut self) {
        let mut at = self.first;
        while at <= self.last && self.count < self.most && !self.stopped {
            at = match self.partition.in_flight.covering(at) {
                None => {
                    let next = self.partition.in_flight.next_first(at);
                    self.take_new(at, next.map_or(self.last, |next| self.last.min(next - 1)))
                }
                Some((_, range)) => {
                    let batch = range.batch;
                    if range.state.is_terminal() { range.last + 1 } else { self.take_again(at, batch) }
                }
            };
        }
    }

    fn lock(&self) -> State {
        State::Acquired { member: Arc::clone(&self.taker.member), until: self.taker.until }
    }

    /// Takes offsets that were never delivered; returns the offset behind them.
    fn take_new(&mut self, first: i64, last: i64) -> i64 {
        let left = self.most - self.count;
        let mut end = last;
        if left < last - first + 1 {
            let wanted = first + left - 1;
            end = self.last_of_batch_with(wanted).min(last);
            if self.taker.mode == AcquireMode::RecordLimit {
                return self.take_part(first, wanted, end);
            }
        }
        let mut from = first;
        if self.taker.mode == AcquireMode::BatchOptimized {
            for (base, _) in self.fetched.batches.iter().copied().filter(|(base, _)| *base <= end) {
                if base - from >= self.taker.batch_size.max(1) {
                    self.take_piece(from, base - 1);
                    from = base;
                }
            }
        }
        self.take_piece(from, end);
        end + 1
    }

    /// Takes `first..=wanted` of a batch that ends later. The rest belongs to it all the same, though nobody had it.
    fn take_part(&mut self, first: i64, wanted: i64, last: i64) -> i64 {
        let batch = Batch { first, last };
        if wanted < last {
            let rest = Range { last, state: State::Available, deliveries: 0, batch };
            self.partition.in_flight.put(wanted + 1, rest);
        }
        let taken = Range { last: wanted, state: self.lock(), deliveries: 1, batch };
        self.partition.in_flight.put(first, taken);
        self.acquired.push(Acquired { first, last: wanted, deliveries: 1 });
        self.count += wanted - first + 1;
        last + 1
    }

    fn take_piece(&mut self, first: i64, last: i64) {
        let range = Range { last, state: self.lock(), deliveries: 1, batch: Batch { first, last } };
        self.partition.in_flight.put(first, range);
        self.acquired.push(Acquired { first, last, deliveries: 1 });
        self.count += last - first + 1;
    }

    fn last_of_batch_with(&self, offset: i64) -> i64 {
        let batch = self.fetched.batches.iter().find(|(base, last)| (*base..=*last).contains(&offset));
        batch.map_or(offset, |(_, last)| *last)
    }

    /// Takes what is available of a batch that was delivered before; returns the offset behind what was looked at.
    fn take_again(&mut self, at: i64, batch: Batch) -> i64 {
        let last = batch.last.min(self.last);
        let available: Vec<(i64, i64, i16)> = self
            .partition
            .in_flight
            .overlapping(at, last)
            .filter(|(_, range)| range.batch == batch && range.state == State::Available)
            .map(|(first, range)| (first.max(at), range.last.min(last), range.deliveries))
            .collect();
        // Another batch may lie in the middle of this one, when the log said so.
        let end = self.partition.in_flight.covering(at).map_or(last, |(_, range)| range.last.min(last)) + 1;
        let Some(most) = available.iter().map(|(_, _, deliveries)| *deliveries).max() else { return end };
        let throttled = most >= throttled_from(self.taker.limits.deliveries);
        if throttled && self.count > 0 {
            self.stopped = true;
            return end;
        }
        let in_one = available.len() == 1 && (available[0].0, available[0].1) == (batch.first, batch.last);
        let too_many = self.taker.mode == AcquireMode::RecordLimit && batch.len() > self.most - self.count;
        let before = self.count;
        if in_one && !throttled && !too_many {
            self.deliver(batch.first, batch.last, most, false);
        } else {
            self.take_some(&available, batch);
        }
        self.stopped |= throttled && self.count > before;
        last + 1
    }

    /// Takes some of a batch's records, by what happened to them.
    fn take_some(&mut self, available: &[(i64, i64, i16)], batch: Batch) {
        let limit = self.taker.limits.deliveries;
        let (throttled_from, room) = (throttled_from(limit), self.most - self.count);
        let (mut taken, mut company) = (0, None);
        for (first, last, deliveries) in available.iter().copied() {
            let is_last_try = limit > 2 && deliveries == limit - 1;
            if is_last_try && taken > 0 {
                return;
            }
            if deliveries >= throttled_from && company.is_none() {
                company = Some((batch.len() >> (deliveries - throttled_from + 1).min(62)).max(1));
            }
            let mut wanted = last - first + 1;
            if is_last_try {
                wanted = 1;
            }
            if self.taker.mode == AcquireMode::RecordLimit {
                wanted = wanted.min(room - taken);
            }
            if let Some(company) = company {
                wanted = wanted.min(company - taken);
            }
            if wanted <= 0 {
                return;
            }
            self.deliver(first, first + wanted - 1, deliveries, taken > 0);
            taken += wanted;
            if is_last_try || wanted < last - first + 1 {
                return;
            }
        }
    }

    /// `joins` what was taken just before, if it follows it.
    fn deliver(&mut self, first: i64, last: i64, deliveries: i16, joins: bool) {
        let (lock, deliveries) = (self.lock(), deliveries.saturating_add(1));
        self.partition.in_flight.change(first, last, |_, range| {
            range.state = lock.clone();
            range.deliveries = deliveries;
        });
        self.count += last - first + 1;
        match self.acquired.last_mut() {
            Some(before) if joins && before.last + 1 == first && before.deliveries == deliveries => {
                before.last = last;
            }
            _ => self.acquired.push(Acquired { first, last, deliveries }),
        }
    }
}
