//! What a look at a plan found, and reading it.
//!
//! Invariant: a partition whose batches cannot be read has its error and nothing else; the others are not touched by it.

use protocol::ErrorCode;
use protocol::fetch_response::{FetchResponse, FetchedPartition};
use storage::{Batches, Located, PartitionLog, ReadError};

use super::plan::COLD_AT_ONCE;
use crate::broker::Broker;
use crate::cold_reads::Memory;
use crate::error_map;
use crate::traffic::TopicMeter;

/// Batches of one partition.
pub(super) type PartitionLocated<'a> = (&'a PartitionLog, Located);

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
        let cold = self.located.iter().flatten().filter(|(_, located)| located.is_cold());
        // Where the queue itself is cold nobody knows yet.
        let bytes = cold.map(|(_, located)| located.end_offset().map_or(COLD_AT_ONCE, |_| located.bytes()));
        bytes.reduce(|sum, bytes| (sum + bytes).min(COLD_AT_ONCE.max(bytes)))
    }

    /// The response with its records as slices of the map.
    pub(super) fn read(self, broker: &Broker) -> FetchResponse {
        let read = self.located.iter().map(|located| located.as_ref().map(|(_, located)| located.read()));
        let read: Vec<_> = read.collect();
        broker.cold_reads.count_mapped(read.iter().flatten().flatten().map(|batches| batches.bytes).sum());
        with_records(broker, self.response, &self.located, read)
    }

    /// The same, but what is cold is copied from the device; `memory` answers for the copies until they are sent.
    pub(super) fn read_cold(self, broker: &Broker, memory: &mut Memory) -> FetchResponse {
        if !memory.may_copy() {
            return self.read(broker);
        }
        let located = || self.located.iter().flatten();
        let cold: Vec<_> = located()
            .filter(|(_, located)| located.is_cold())
            .map(|(log, located)| (*log, located))
            .collect();
        let mut copied = broker.store.read_cold(&cold);
        memory.hold(copied.iter_mut().flatten().flat_map(|read| &mut read.batches));
        let (mut copied, mut mapped) = (copied.into_iter(), 0);
        let mut read = |(_, located): &PartitionLocated<'_>| {
            if located.is_cold() {
                return copied.next().expect("there is an answer for each that was wanted");
            }
            located.read().inspect(|read| mapped += read.bytes)
        };
        let read = self.located.iter().map(|located| located.as_ref().map(&mut read)).collect();
        broker.cold_reads.count_mapped(mapped);
        with_records(broker, self.response, &self.located, read)
    }
}

/// A partition with nothing but an error.
pub(super) fn failed(partition_index: i32, error_code: ErrorCode) -> FetchedPartition {
    FetchedPartition { partition_index, error_code, ..FetchedPartition::default() }
}

/// Fills in what was read, and counts it.
fn with_records(
    broker: &Broker,
    mut response: FetchResponse,
    located: &[Option<PartitionLocated<'_>>],
    read: Vec<Option<Result<Batches, ReadError>>>,
) -> FetchResponse {
    let mut traffic = TopicMeter::new(&broker.traffic);
    let partitions = response.topics.iter_mut().flat_map(|topic| &mut topic.partitions);
    for ((partition, located), read) in partitions.zip(located).zip(read) {
        if let Some((log, _)) = located {
            let bytes = read.as_ref().and_then(|read| read.as_ref().ok()).map_or(0, |read| read.bytes);
            let failed = matches!(read, Some(Err(_)));
            traffic.of(log.topic_number()).fetch_answered(u64::try_from(bytes).unwrap_or(u64::MAX), failed);
        }
        match read {
            None => {}
            Some(Ok(read)) => partition.records = read.batches,
            Some(Err(error)) => *partition = failed(partition.partition_index, error_map::read_error(&error)),
        }
    }
    response
}
