//! What a look at a plan found, and reading it.
//!
//! Invariant: a partition whose batches cannot be read has its error and nothing else; the others are not touched by it.

use bytes::Bytes;
use protocol::ErrorCode;
use protocol::fetch_response::{AbortedTransaction, FetchResponse, FetchedPartition};
use protocol::record_batch::RecordBatchView;
use storage::{Batches, Located, Offset, PartitionLog, ReadError};

use super::plan::COLD_AT_ONCE;
use crate::broker::Broker;
use crate::cold_reads::Memory;
use crate::error_map;
use crate::traffic::TopicMeter;

/// Bytes that a core checks before others have their turn, or one batch that is larger: about 100 us, and what most fetches
/// ask for.
pub(super) const CHECKED_AT_ONCE: usize = 1 << 20;

/// Batches of one partition.
pub(super) struct PartitionLocated<'a> {
    pub(super) log: &'a PartitionLog,
    pub(super) located: Located,
    /// From where a reader of committed records reads; `None` for who reads everything.
    pub(super) committed_from: Option<Offset>,
}

/// See the module.
pub(super) struct Looked<'a> {
    /// Everything but the records.
    pub(super) response: FetchResponse,
    /// For each partition of `response`, in order.
    pub(super) located: Vec<Option<PartitionLocated<'a>>>,
    /// The client need not wait: enough bytes, an error, a diverging epoch, or nothing to wait for.
    pub(super) is_enough: bool,
}

impl Looked<'_> {
    /// About how many bytes have to be read on a thread that may wait; `None` when there is nothing to wait for.
    pub(super) fn cold_bytes(&self) -> Option<usize> {
        let cold = self.located.iter().flatten().map(|it| &it.located).filter(|located| located.is_cold());
        // Where the queue itself is cold nobody knows yet.
        let bytes = cold.map(|located| located.end_offset().map_or(COLD_AT_ONCE, |_| located.bytes()));
        bytes.reduce(|sum, bytes| (sum + bytes).min(COLD_AT_ONCE.max(bytes)))
    }

    /// Bytes of all batches that were found.
    pub(super) fn bytes(&self) -> usize {
        self.located.iter().flatten().map(|it| it.located.bytes()).sum()
    }

    /// The response with its records as slices of the map.
    pub(super) fn read(self, broker: &Broker) -> FetchResponse {
        let read = self.located.iter().map(|it| it.as_ref().map(|it| it.located.read())).collect();
        self.with_mapped(broker, read)
    }

    /// The same, but the others of the core have their turn after each [`CHECKED_AT_ONCE`].
    pub(super) async fn read_in_turns(self, broker: &Broker) -> FetchResponse {
        let (mut read, mut left) = (Vec::with_capacity(self.located.len()), CHECKED_AT_ONCE);
        for located in &self.located {
            let Some(PartitionLocated { located, .. }) = located else {
                read.push(None);
                continue;
            };
            let mut reading = located.reading();
            left = left.saturating_sub(reading.check(left, left == CHECKED_AT_ONCE));
            while !reading.is_done() {
                tokio::task::yield_now().await;
                left = CHECKED_AT_ONCE.saturating_sub(reading.check(CHECKED_AT_ONCE, true));
            }
            read.push(Some(reading.finish()));
        }
        self.with_mapped(broker, read)
    }

    fn with_mapped(self, broker: &Broker, read: Vec<Option<Result<Batches, ReadError>>>) -> FetchResponse {
        broker.cold_reads.count_mapped(read.iter().flatten().flatten().map(|batches| batches.bytes).sum());
        self.with_records(broker, read)
    }

    /// The same, but what is cold is copied from the device; `memory` answers for the copies until they are sent.
    pub(super) fn read_cold(self, broker: &Broker, memory: &mut Memory) -> FetchResponse {
        if !memory.may_copy() {
            return self.read(broker);
        }
        let located = || self.located.iter().flatten();
        let cold: Vec<_> =
            located().filter(|it| it.located.is_cold()).map(|it| (it.log, &it.located)).collect();
        let mut copied = broker.store.read_cold(&cold);
        memory.hold(copied.iter_mut().flatten().flat_map(|read| &mut read.batches));
        let (mut copied, mut mapped) = (copied.into_iter(), 0);
        let mut read = |it: &PartitionLocated<'_>| {
            if it.located.is_cold() {
                return copied.next().expect("there is an answer for each that was wanted");
            }
            it.located.read().inspect(|read| mapped += read.bytes)
        };
        let read = self.located.iter().map(|it| it.as_ref().map(&mut read)).collect();
        broker.cold_reads.count_mapped(mapped);
        self.with_records(broker, read)
    }

    /// Fills in what was read, and counts it.
    fn with_records(
        mut self,
        broker: &Broker,
        read: Vec<Option<Result<Batches, ReadError>>>,
    ) -> FetchResponse {
        let mut traffic = TopicMeter::new(&broker.traffic);
        let partitions = self.response.topics.iter_mut().flat_map(|topic| &mut topic.partitions);
        for ((partition, located), read) in partitions.zip(&self.located).zip(read) {
            let (Some(located), Some(read)) = (located, read) else { continue };
            let bytes = read.as_ref().map_or(0, |read| read.bytes);
            let bytes = u64::try_from(bytes).unwrap_or(u64::MAX);
            traffic.of(located.log.topic_number()).fetch_answered(bytes, read.is_err());
            match read {
                Ok(read) => {
                    partition.aborted_transactions = located.aborted_transactions(&read.batches);
                    partition.records = read.batches;
                }
                Err(error) => *partition = failed(partition.partition_index, error_map::read_error(&error)),
            }
        }
        self.response
    }
}

impl PartitionLocated<'_> {
    /// The aborted transactions among what was read, which its reader has to skip. The last stable offset was looked at
    /// before: whatever ended below it is known by now.
    fn aborted_transactions(&self, batches: &[Bytes]) -> Option<Vec<AbortedTransaction>> {
        let from = self.committed_from?;
        let last = batches.last().and_then(|batch| RecordBatchView::parse(batch).ok());
        let upper = last.map_or(from, |last| last.base_offset() + i64::from(last.last_offset_delta()) + 1);
        let aborted = self.log.aborted_transactions(from, upper).into_iter().map(|aborted| {
            AbortedTransaction { producer_id: aborted.producer_id, first_offset: aborted.first_offset }
        });
        Some(aborted.collect())
    }
}

/// A partition with nothing but an error.
pub(super) fn failed(partition_index: i32, error_code: ErrorCode) -> FetchedPartition {
    FetchedPartition { partition_index, error_code, ..FetchedPartition::default() }
}
