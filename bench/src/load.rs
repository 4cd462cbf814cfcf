//! What a load looks like, and which connection sends to which partitions. Shared by the closed and the open loop.
//!
//! Partitions are visited in turn, in runs of `batches_per_request` consecutive ones. Each connection is a producer of its
//! own. Invariant: when there are at least as many runs as connections, each partition belongs to one connection; else all
//! connections share them and the producer in each record keeps their sequences apart.

use std::sync::atomic::{AtomicU32, Ordering};

use anyhow::{Result, ensure};

use crate::batches::{BatchShape, Identity, count};
use crate::produce_request::ProduceTemplate;
use crate::produced::Sent;
use crate::topics::TopicSet;

/// The shape of a load; how fast and how long is the loops' business.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Load {
    /// Records and batches.
    pub(crate) shape: BatchShape,
    /// Batches, of as many partitions, in one Produce request.
    pub(crate) batches_per_request: u32,
    /// Connections, with a thread each.
    pub(crate) connections: u32,
}

/// A number for a load run that no other run of this process has.
pub(crate) fn next_run() -> u32 {
    static RUN: AtomicU32 = AtomicU32::new(1);
    RUN.fetch_add(1, Ordering::Relaxed)
}

/// The sending side of one connection: which requests it writes, with which identities.
#[derive(Debug)]
pub(crate) struct Producer<'a> {
    topics: &'a TopicSet,
    load: Load,
    template: ProduceTemplate,
    run: u32,
    number: u32,
    /// First partition of each run of partitions that it sends to.
    groups: Vec<u32>,
    /// Next sequence of each of those partitions: group by group, partition by partition.
    sequences: Vec<u64>,
    turn: usize,
    requests: u64,
}

impl<'a> Producer<'a> {
    /// Producer `number` of `load.connections`.
    ///
    /// # Errors
    /// A request would not fit the topics, or the codec refuses it.
    pub(crate) fn new(topics: &'a TopicSet, load: Load, run: u32, number: u32) -> Result<Self> {
        let step = load.batches_per_request;
        ensure!(
            step > 0 && topics.per_topic().is_multiple_of(step) && topics.partitions().is_multiple_of(step),
            "requests of {step} batches do not divide {} partitions",
            topics.partitions()
        );
        let groups = groups_of(topics.partitions() / step, load.connections, number);
        let groups: Vec<u32> = groups.into_iter().map(|group| group * step).collect();
        let width = usize::try_from(step)?;
        let template = ProduceTemplate::new(topics, load.shape, width, -1)?;
        let sequences = vec![0; groups.len() * width];
        Ok(Self { topics, load, template, run, number, groups, sequences, turn: 0, requests: 0 })
    }

    /// Appends the next request to `out`.
    pub(crate) fn write_next(&mut self, out: &mut Vec<u8>) {
        let width = self.sequences.len() / self.groups.len();
        let partition = self.groups[self.turn];
        let sequences = &mut self.sequences[self.turn * width..][..width];
        let records = count(self.load.shape.records);
        let first = Identity {
            run: self.run,
            topic_set: self.topics.number(),
            partition,
            producer: self.number,
            sequence: 0,
        };
        let mut sequences = sequences.iter_mut();
        let correlation_id = i32::try_from(self.requests & 0x7fff_ffff).expect("31 bits");
        self.template.write(out, self.topics, correlation_id, first, |_| {
            let next = sequences.next().expect("one per batch of the request");
            let now = *next;
            *next += records;
            now
        });
        self.requests += 1;
        self.turn = (self.turn + 1) % self.groups.len();
    }

    /// Requests written so far.
    pub(crate) fn requests(&self) -> u64 {
        self.requests
    }

    /// Bytes of one request.
    pub(crate) fn request_len(&self) -> usize {
        self.template.len()
    }

    /// What it sent.
    pub(crate) fn finish(self) -> Sent {
        let width = self.sequences.len() / self.groups.len();
        let partitions = self.groups.iter().flat_map(|first| (*first..).take(width));
        let mut records: Vec<_> = partitions.zip(self.sequences).collect();
        records.sort_unstable();
        Sent { producer: self.number, requests: self.requests, records }
    }
}

/// Which of `groups` the producer `number` of `producers` sends to, each starting at another place.
fn groups_of(groups: u32, producers: u32, number: u32) -> Vec<u32> {
    if groups < producers {
        let start = number % groups;
        return (start..groups).chain(0..start).collect();
    }
    (number..groups).step_by(usize::try_from(producers).expect("a u32 fits")).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    const LOAD: Load =
        Load { shape: BatchShape { value_len: 100, records: 2 }, batches_per_request: 1, connections: 2 };

    #[test]
    fn producers_share_few_partitions_and_divide_many() {
        assert_eq!(groups_of(1, 4, 3), [0]);
        assert_eq!(groups_of(3, 4, 1), [1, 2, 0]);
        assert_eq!(groups_of(5, 2, 0), [0, 2, 4]);
        assert_eq!(groups_of(5, 2, 1), [1, 3]);
    }

    #[test]
    fn sequences_of_each_partition_follow_each_other() {
        let topics = TopicSet::unborn("bench", 0, 4);
        let load = Load { batches_per_request: 2, ..LOAD };
        let mut producer = Producer::new(&topics, load, 1, 1).unwrap();
        for _ in 0..3 {
            producer.write_next(&mut Vec::new());
        }
        let sent = producer.finish();
        assert_eq!((sent.producer, sent.requests, sent.records), (1, 3, vec![(2, 6), (3, 6)]));
    }

    #[test]
    fn request_that_would_cross_topics_is_refused() {
        let topics = TopicSet::unborn("bench", 0, 2000);
        assert!(Producer::new(&topics, Load { batches_per_request: 300, ..LOAD }, 1, 0).is_err());
    }
}
