//! What came in and went out, by topic.
//!
//! Counted by the Produce and Fetch handlers, read by `metrics`. Invariant: counting takes no lock that a scrape holds, and a
//! deleted topic leaves nothing behind.

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex};

use dashmap::DashMap;

/// Counters of every topic that had traffic since the start, by its number in the log.
#[derive(Debug, Default)]
pub(crate) struct Traffic {
    topics: DashMap<u32, Arc<TopicTraffic>>,
    /// Of topics that are no more: sums over all topics must never fall.
    gone: Mutex<TrafficCounts>,
}

/// Of one topic, since the start.
#[derive(Debug, Default)]
pub(crate) struct TopicTraffic {
    bytes_in: AtomicU64,
    records_in: AtomicU64,
    bytes_out: AtomicU64,
    produce_requests: AtomicU64,
    failed_produce_requests: AtomicU64,
    fetch_requests: AtomicU64,
    failed_fetch_requests: AtomicU64,
}

/// [`TopicTraffic`] at one moment, or a sum of several.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) struct TrafficCounts {
    pub(crate) bytes_in: u64,
    pub(crate) records_in: u64,
    pub(crate) bytes_out: u64,
    pub(crate) produce_requests: u64,
    pub(crate) failed_produce_requests: u64,
    pub(crate) fetch_requests: u64,
    pub(crate) failed_fetch_requests: u64,
}

impl Traffic {
    /// Of one topic; made when it is first asked for.
    pub(crate) fn topic(&self, number: u32) -> Arc<TopicTraffic> {
        if let Some(known) = self.topics.get(&number) {
            return Arc::clone(&known);
        }
        Arc::clone(&self.topics.entry(number).or_default())
    }

    /// Of one topic, if it had any.
    pub(crate) fn of(&self, number: u32) -> Option<TrafficCounts> {
        self.topics.get(&number).map(|traffic| traffic.counts())
    }

    /// Of all topics since the start, deleted ones too.
    pub(crate) fn total(&self) -> TrafficCounts {
        let mut total = *self.gone.lock().expect("nothing panics under this lock");
        self.topics.iter().for_each(|traffic| total += traffic.counts());
        total
    }

    /// The topic is gone.
    pub(crate) fn forget(&self, number: u32) {
        if let Some((_, traffic)) = self.topics.remove(&number) {
            *self.gone.lock().expect("nothing panics under this lock") += traffic.counts();
        }
    }
}

impl TopicTraffic {
    /// One partition of a produce request was appended to.
    pub(crate) fn appended(&self, bytes: u64, records: u64) {
        self.produce_requests.fetch_add(1, Ordering::Relaxed);
        self.bytes_in.fetch_add(bytes, Ordering::Relaxed);
        self.records_in.fetch_add(records, Ordering::Relaxed);
    }

    /// So many partitions of a produce request were refused.
    pub(crate) fn refused_to_append(&self, count: u64) {
        self.produce_requests.fetch_add(count, Ordering::Relaxed);
        self.failed_produce_requests.fetch_add(count, Ordering::Relaxed);
    }

    /// One partition of a fetch request was answered with so many bytes of batches.
    pub(crate) fn fetch_answered(&self, bytes: u64, failed: bool) {
        self.fetch_requests.fetch_add(1, Ordering::Relaxed);
        self.bytes_out.fetch_add(bytes, Ordering::Relaxed);
        if failed {
            self.failed_fetch_requests.fetch_add(1, Ordering::Relaxed);
        }
    }

    fn counts(&self) -> TrafficCounts {
        let load = |counter: &AtomicU64| counter.load(Ordering::Relaxed);
        TrafficCounts {
            bytes_in: load(&self.bytes_in),
            records_in: load(&self.records_in),
            bytes_out: load(&self.bytes_out),
            produce_requests: load(&self.produce_requests),
            failed_produce_requests: load(&self.failed_produce_requests),
            fetch_requests: load(&self.fetch_requests),
            failed_fetch_requests: load(&self.failed_fetch_requests),
        }
    }
}

/// Counters of one topic after the other: partitions of one topic stand together in a request.
pub(crate) struct TopicMeter<'a> {
    traffic: &'a Traffic,
    last: Option<(u32, Arc<TopicTraffic>)>,
}

impl<'a> TopicMeter<'a> {
    /// Nothing looked up yet.
    pub(crate) fn new(traffic: &'a Traffic) -> Self {
        Self { traffic, last: None }
    }

    /// The counters of a topic, looked up only when the last one asked for was another.
    pub(crate) fn of(&mut self, number: u32) -> &TopicTraffic {
        let last = self.last.take().filter(|(known, _)| *known == number);
        &self.last.insert(last.unwrap_or_else(|| (number, self.traffic.topic(number)))).1
    }
}

impl std::ops::AddAssign for TrafficCounts {
    fn add_assign(&mut self, other: Self) {
        self.bytes_in += other.bytes_in;
        self.records_in += other.records_in;
        self.bytes_out += other.bytes_out;
        self.produce_requests += other.produce_requests;
        self.failed_produce_requests += other.failed_produce_requests;
        self.fetch_requests += other.fetch_requests;
        self.failed_fetch_requests += other.failed_fetch_requests;
    }
}
