//! Families that only a broker like this one has: the shared log's steps and bytes, and how many seconds groups are behind.
//!
//! A group's lag in seconds is the age of the oldest record that it has not committed: now minus the timestamp of the batch
//! at its committed offset, 0 when it has committed everything.

use std::collections::BTreeMap;
use std::fmt;
use std::sync::Arc;

use storage::{PartitionFacts, PartitionLog};

use super::Metrics;
use super::exposition::{Buckets, Exposition, Kind};
use super::observed::{OPEN_STATES, Observed};
use crate::broker::Broker;
use crate::coordinator::group::RebalanceReason;

/// Writes all families of this scheme, but for the counters that `Metrics` holds.
pub(super) fn write(out: &mut Exposition, observed: &Observed, metrics: &Metrics, broker: &Broker) {
    start(out, broker);
    cores(out, metrics);
    log(out, observed);
    coordinators(out, observed, broker);
    partitions(out, observed, broker);
    generations(out, observed);
    group_lag(out, observed, broker);
    process(out, observed);
    let mut shown = out.family(
        "onelog_metrics_series_shown",
        Kind::Gauge,
        "1 when single series of these are on this page, 0 when they are too many and only on /metrics/detailed.",
    );
    shown.sample(&[("of", "partitions")], u8::from(observed.shows_partitions));
    shown.sample(&[("of", "groups")], u8::from(observed.shows_groups));
    shown.sample(&[("of", "topics")], u8::from(observed.shown_topics().count() == observed.topics.len()));
}

fn start(out: &mut Exposition, broker: &Broker) {
    let recovery = &broker.recovery;
    let mut seconds = out.family(
        "onelog_recovery_seconds",
        Kind::Gauge,
        "How long the last start took: opening the log with its replay, and loading the groups.",
    );
    for (phase, took) in [("log", recovery.log), ("groups", recovery.groups)] {
        seconds.sample(&[("phase", phase)], took.as_secs_f64());
    }
    out.gauge(
        "onelog_recovery_replayed_bytes",
        "Bytes of the log that the last start read again because no checkpoint covered them.",
        recovery.replayed_bytes,
    );
}

fn cores(out: &mut Exposition, metrics: &Metrics) {
    let mut busy = out.family(
        "onelog_core_busy_seconds_total",
        Kind::Counter,
        "How long each thread that serves clients did something else than wait.",
    );
    for (core, worked) in metrics.cores.busy().into_iter().enumerate() {
        busy.sample(&[("core", &core.to_string())], worked.as_secs_f64());
    }
}

fn coordinators(out: &mut Exposition, observed: &Observed, broker: &Broker) {
    let mut rebalances = out.family(
        "onelog_group_rebalances_total",
        Kind::Counter,
        "Rebalances that groups began, by what they began with.",
    );
    for reason in RebalanceReason::ALL {
        rebalances.sample(&[("reason", reason.name())], observed.rebalances[reason]);
    }
    if let Some(transactions) = &observed.transactions {
        let help = "Transactions that are open, and such whose outcome is still being written.";
        let mut family = out.family("onelog_transactions", Kind::Gauge, help);
        for (name, state) in OPEN_STATES {
            family.sample(
                &[("state", name)],
                transactions.iter().filter(|listed| listed.state == state).count(),
            );
        }
        let oldest = transactions.iter().map(|listed| listed.start_ms).filter(|start| *start >= 0).min();
        let age_ms = oldest.map_or(0, |start| (broker.clock.now_ms() - start).max(0));
        out.gauge(
            "onelog_transaction_oldest_seconds",
            "Age of the oldest of them, 0 when there is none.",
            Seconds(age_ms),
        );
    }
    if let Some(test_mode) = &broker.test_mode {
        out.counter(
            "onelog_test_fault_hits_total",
            "Requests that a fault of test mode was done to.",
            test_mode.fault_hits(),
        );
    }
}

/// What partitions keep besides batches; the age of records only where single partitions are shown: it is looked up.
fn partitions(out: &mut Exposition, observed: &Observed, broker: &Broker) {
    let (mut producers, mut behind, mut retention) = (0, Vec::new(), Vec::new());
    for topic in &observed.topics {
        let facts = topic.partitions.iter().map(|log| log.facts());
        let (mut uncompacted, mut kept_ms) = (None, None);
        for PartitionFacts { producers: here, uncompacted: offsets, retention_ms } in facts {
            producers += here;
            uncompacted = uncompacted.into_iter().chain(offsets).reduce(|sum: i64, more| sum + more);
            kept_ms = retention_ms;
        }
        behind.push(uncompacted);
        retention.push(kept_ms);
    }
    out.gauge(
        "kafka_server_replicamanager_produceridcount",
        "Producers whose sequences partitions remember, added up over the partitions.",
        producers,
    );
    let mut family = out.family(
        "onelog_topic_uncompacted_offsets",
        Kind::Gauge,
        "Offsets that compaction has not looked at yet, of compacted topics.",
    );
    for (place, topic) in observed.shown_topic_places() {
        if let Some(offsets) = behind[place] {
            family.sample(&[("topic", &topic.name)], offsets);
        }
    }
    let mut family = out.family(
        "onelog_topic_retention_seconds",
        Kind::Gauge,
        "How long records are kept, where that is limited.",
    );
    for (place, topic) in observed.shown_topic_places() {
        if let Some(ms) = retention[place] {
            family.sample(&[("topic", &topic.name)], Seconds(ms));
        }
    }
    let mut family = out.family(
        "onelog_topic_oldest_record_seconds",
        Kind::Gauge,
        "Age of the oldest batch of the topic.",
    );
    let now = broker.clock.now_ms();
    for topic in observed.shown_topics().filter(|_| observed.shows_partitions) {
        let first =
            |log: &Arc<PartitionLog>| broker.store.timestamp_at(log, log.log_start_offset()).ok().flatten();
        let oldest = topic.partitions.iter().filter_map(first).filter(|timestamp| *timestamp >= 0).min();
        if let Some(oldest) = oldest {
            family.sample(&[("topic", &topic.name)], Seconds((now - oldest).max(0)));
        }
    }
}

/// Milliseconds, shown as seconds.
struct Seconds(i64);

impl fmt::Display for Seconds {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}.{:03}", self.0 / 1000, self.0 % 1000)
    }
}

/// Rises by one with every rebalance.
fn generations(out: &mut Exposition, observed: &Observed) {
    let mut family = out.family(
        "onelog_group_generation",
        Kind::Gauge,
        "Generation of a classic group, group epoch of a consumer group: each rebalance begins a new one.",
    );
    for group in observed.groups.iter().filter(|_| observed.shows_groups) {
        family.sample(&[("group", &group.group_id)], group.generation);
    }
}

fn log(out: &mut Exposition, observed: &Observed) {
    let log = &observed.log;
    out.histogram(
        "onelog_commitlog_append_seconds",
        "Steps of an append: wait for the append lock, write under it, sync of all that was written.",
        &[
            (&[("stage", "wait")], Buckets::from(&log.wait)),
            (&[("stage", "write")], Buckets::from(&log.write)),
            (&[("stage", "sync")], Buckets::from(&log.sync)),
        ],
    );
    let mut bytes = out.family(
        "onelog_commitlog_bytes",
        Kind::Gauge,
        "Bytes in commitlog files: live ones some partition still has, unused ones are still to be written, dead is the rest.",
    );
    bytes.sample(&[("state", "live")], log.live_bytes);
    bytes.sample(&[("state", "unused")], log.unused_bytes);
    bytes.sample(&[("state", "dead")], log.file_bytes.saturating_sub(log.live_bytes + log.unused_bytes));
    out.gauge("onelog_commitlog_files", "Files of the log.", log.files);
    for (name, help, value) in [
        (
            "onelog_queue_bytes",
            "Bytes of full consume queue pages; the last page of each partition is in memory.",
            log.queue_bytes,
        ),
        ("onelog_index_bytes", "Bytes of index files.", log.indexes.bytes),
        ("onelog_index_keys", "Records that can be found by key without reading the log.", log.indexes.keys),
    ] {
        out.gauge(name, help, value);
    }
    out.gauge("onelog_index_files", "Index files.", log.indexes.files);
    for (name, help, value) in [
        ("onelog_commitlog_start_position_bytes", "Where the log begins.", log.begin.0),
        ("onelog_commitlog_end_position_bytes", "Where the next batch goes.", log.written.0),
        ("onelog_commitlog_synced_position_bytes", "Everything below is on stable storage.", log.synced.0),
        (
            "onelog_commitlog_flush_behind_bytes",
            "Written but not synced.",
            log.written.0.saturating_sub(log.synced.0),
        ),
        (
            "onelog_index_behind_bytes",
            "Bytes of full files that have no index file yet.",
            log.unindexed_bytes,
        ),
    ] {
        out.gauge(name, help, value);
    }
}

/// By group and topic: the partition that is most behind.
fn group_lag(out: &mut Exposition, observed: &Observed, broker: &Broker) {
    let now = broker.clock.now_ms();
    let mut family = out.family(
        "onelog_group_lag_seconds",
        Kind::Gauge,
        "Age of the oldest record that the group has not committed, over the partitions of the topic.",
    );
    for group in observed.groups.iter().filter(|_| observed.shows_groups) {
        let mut behind: BTreeMap<&str, i64> = BTreeMap::new();
        for (topic, partition, offset) in &group.offsets {
            let Some(log) = observed.partition(topic, *partition) else { continue };
            let age = if *offset >= log.high_watermark() {
                Some(0)
            } else {
                let oldest = broker.store.timestamp_at(log, (*offset).max(log.log_start_offset()));
                oldest
                    .ok()
                    .flatten()
                    .filter(|timestamp| *timestamp >= 0)
                    .map(|timestamp| (now - timestamp).max(0))
            };
            if let Some(age) = age {
                behind.entry(topic).and_modify(|most| *most = age.max(*most)).or_insert(age);
            }
        }
        for (topic, ms) in behind {
            family.sample(&[("group", &group.group_id), ("topic", topic)], Seconds(ms));
        }
    }
}

fn process(out: &mut Exposition, observed: &Observed) {
    let process = &observed.process;
    for (name, help, value) in [
        ("process_resident_memory_bytes", "Resident memory.", process.resident),
        (
            "onelog_memory_anonymous_bytes",
            "Resident memory without mapped files of the log.",
            process.anonymous,
        ),
        ("process_virtual_memory_bytes", "Virtual memory.", process.virtual_memory),
        ("process_threads", "Threads.", process.threads),
        ("process_open_fds", "Open files.", process.open_files),
        ("process_max_fds", "Open files that the system allows.", process.most_open_files),
    ] {
        if let Some(value) = value {
            out.gauge(name, help, value);
        }
    }
    if let Some(seconds) = process.start_seconds {
        out.gauge("process_start_time_seconds", "Start, since the Unix epoch.", seconds);
    }
    if let Some(seconds) = process.cpu_seconds {
        out.counter("process_cpu_seconds_total", "Processor time.", seconds);
    }
    if let Some(faults) = process.major_faults {
        out.counter("onelog_page_faults_major_total", "Page faults that waited for a device.", faults);
    }
}
