//! What a finished load run sent, all of it acknowledged: the ground truth of the read-back.

use std::time::Duration;

use crate::batches::count;
use crate::load::Load;
use crate::topics::TopicSet;

/// What one connection sent.
#[derive(Debug, Clone)]
pub(crate) struct Sent {
    pub(crate) producer: u32,
    pub(crate) requests: u64,
    /// Partitions with their number of records, ascending.
    pub(crate) records: Vec<(u32, u64)>,
}

/// A finished run.
#[derive(Debug, Clone)]
pub(crate) struct Produced {
    /// The run's number, part of every record's identity.
    pub(crate) run: u32,
    /// From the first request to the last answer.
    pub(crate) elapsed: Duration,
    /// Requests that were answered.
    pub(crate) requests: u64,
    /// Batches in them.
    pub(crate) batches: u64,
    /// Records in those.
    pub(crate) records: u64,
    /// User bytes: values only.
    pub(crate) bytes: u64,
    sent: Vec<Sent>,
}

impl Produced {
    /// From what each connection sent and got answered.
    pub(crate) fn new(run: u32, load: &Load, elapsed: Duration, sent: Vec<Sent>) -> Self {
        let requests = sent.iter().map(|one| one.requests).sum();
        let batches = requests * u64::from(load.batches_per_request);
        let records = batches * count(load.shape.records);
        let bytes = batches * load.shape.value_bytes();
        Self { run, elapsed, requests, batches, records, bytes, sent }
    }

    /// How many records each producer got acknowledged in a partition.
    pub(crate) fn acknowledged(&self, partition: u32) -> impl Iterator<Item = (u32, u64)> {
        self.sent.iter().filter_map(move |one| {
            let at = one.records.binary_search_by_key(&partition, |(partition, _)| *partition).ok()?;
            Some((one.producer, one.records[at].1))
        })
    }

    /// Moves the ends of `topics` by what was acknowledged.
    pub(crate) fn extend(&self, topics: &mut TopicSet) {
        for (partition, records) in self.sent.iter().flat_map(|one| &one.records) {
            topics.extend(*partition, *records);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::batches::BatchShape;

    #[test]
    fn sums_and_ends_come_from_what_the_connections_sent() {
        let load =
            Load { shape: BatchShape { value_len: 100, records: 2 }, batches_per_request: 1, connections: 2 };
        let sent = vec![
            Sent { producer: 0, requests: 3, records: vec![(0, 4), (2, 2)] },
            Sent { producer: 1, requests: 1, records: vec![(0, 2)] },
        ];
        let produced = Produced::new(1, &load, Duration::from_secs(1), sent);
        assert_eq!((produced.requests, produced.batches, produced.records, produced.bytes), (4, 4, 8, 800));
        assert_eq!(produced.acknowledged(0).collect::<Vec<_>>(), [(0, 4), (1, 2)]);
        assert_eq!(produced.acknowledged(2).collect::<Vec<_>>(), [(0, 2)]);
        let mut topics = TopicSet::unborn("bench", 0, 3);
        produced.extend(&mut topics);
        assert_eq!(topics.ends, [6, 0, 2]);
    }
}
