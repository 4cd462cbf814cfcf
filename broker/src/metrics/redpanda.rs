//! Redpanda's names, served on its path `/public_metrics`, as its Ops, default and consumer-offsets dashboards ask for them.
//!
//! Every family carries `shard="0"` where Redpanda's has a shard: there is one log. One broker leads everything and moves
//! nothing, so what counts movements and other brokers is 0. What only Redpanda's engine has is not there, nor are the
//! servers that are not part of this one (proxy, schema registry).

use std::sync::atomic::Ordering;
use std::time::Duration;

use super::Metrics;
use super::exposition::{Exposition, Kind};
use super::memory::MemoryFacts;
use super::observed::Observed;
use crate::coordinator::group::ObservedGroup;
use storage::{PartitionLog, Space, SpaceState};

const NAMESPACE: (&str, &str) = ("redpanda_namespace", "kafka");

/// Writes all families of this scheme.
pub(super) fn write(
    out: &mut Exposition,
    observed: &Observed,
    metrics: &Metrics,
    space: &Space,
    device_reads: u64,
) {
    cluster(out, observed);
    storage(out, space);
    operations(out, observed, device_reads);
    memory(out, observed, metrics);
    threads(out, metrics);
    connections(out, metrics);
    latencies(out, metrics);
    traffic(out, observed);
    partitions(out, observed);
    groups(out, observed);
}

fn cluster(out: &mut Exposition, observed: &Observed) {
    out.gauge(
        "redpanda_application_uptime_seconds_total",
        "Seconds since the start.",
        observed.uptime.as_secs_f64(),
    );
    let mut build = out.family("redpanda_application_build", Kind::Gauge, "1, with the version as labels.");
    let version = env!("CARGO_PKG_VERSION");
    build.sample(&[("redpanda_version", version), ("redpanda_revision", "onelog")], 1);
    out.gauge("redpanda_cluster_brokers", "Brokers in the cluster.", observed.nodes.len());
    out.gauge("redpanda_cluster_topics", "Topics.", observed.topics.len());
    out.gauge("redpanda_cluster_partitions", "Partitions.", observed.partition_count);
    let unavailable = if observed.stopped { observed.partition_count } else { 0 };
    out.gauge("redpanda_cluster_unavailable_partitions", "Partitions without a leader.", unavailable);
    for (name, help) in [
        ("redpanda_cluster_partition_moving_from_node", "Partitions that leave this broker."),
        ("redpanda_cluster_partition_moving_to_node", "Partitions that come to this broker."),
        ("redpanda_cluster_partition_node_cancelling_movements", "Movements that are being cancelled."),
        ("redpanda_node_status_rpcs_received", "Status requests from other brokers."),
        ("redpanda_node_status_rpcs_sent", "Status requests to other brokers."),
        ("redpanda_node_status_rpcs_timed_out", "Status requests that were not answered."),
    ] {
        out.gauge(name, help, 0);
    }
    if let Some(seconds) = observed.process.cpu_seconds {
        let mut busy = out.family("redpanda_cpu_busy_seconds_total", Kind::Gauge, "Processor time used.");
        busy.sample(&[("shard", "0")], seconds);
    }
}

fn storage(out: &mut Exposition, space: &Space) {
    out.gauge(
        "redpanda_storage_disk_free_bytes",
        "Bytes free on the data directory's file system.",
        space.free,
    );
    out.gauge("redpanda_storage_disk_total_bytes", "Bytes of that file system.", space.total);
    let alert = match space.state {
        SpaceState::Ok => 0,
        SpaceState::Low => 1,
        SpaceState::Full => 2,
    };
    out.gauge("redpanda_storage_disk_free_space_alert", "0: enough room, 1: little, 2: none.", alert);
}

/// Redpanda counts them in the queues of its engine; here they are counted where they are made.
fn operations(out: &mut Exposition, observed: &Observed, device_reads: u64) {
    let write =
        ("redpanda_io_queue_total_write_ops", "Writes to the log.", observed.log.write.counts.iter().sum());
    let read = ("redpanda_io_queue_total_read_ops", "Reads that waited for the device.", device_reads);
    for (name, help, value) in [write, read] {
        let value: u64 = value;
        out.family(name, Kind::Counter, help).sample(&[("shard", "0")], value);
    }
}

fn memory(out: &mut Exposition, observed: &Observed, metrics: &Metrics) {
    let mut gauge = |name: &str, help: &str, value: u64| {
        out.family(name, Kind::Gauge, help).sample(&[("shard", "0")], value);
    };
    if let Some(resident) = observed.process.resident {
        gauge("redpanda_memory_allocated_memory", "Resident bytes.", resident);
    }
    let Some(MemoryFacts { free, available }) = MemoryFacts::read() else { return };
    let before = metrics.least_available_memory.fetch_min(available, Ordering::Relaxed);
    let least = before.min(available);
    gauge("redpanda_memory_free_memory", "Bytes that nobody uses, in the system or the control group.", free);
    gauge(
        "redpanda_memory_available_memory",
        "Free bytes and those of caches that would be given up.",
        available,
    );
    gauge("redpanda_memory_available_memory_low_water_mark", "The least of them that any scrape saw.", least);
}

fn threads(out: &mut Exposition, metrics: &Metrics) {
    let busy: Duration = metrics.cores.busy().iter().sum();
    let mut runtime = out.family(
        "redpanda_scheduler_runtime_seconds_total",
        Kind::Counter,
        "How long the threads that serve clients did something else than wait.",
    );
    runtime.sample(&[("shard", "0"), ("redpanda_scheduling_group", "kafka")], busy.as_secs_f64());
}

/// There is no internal server: one broker calls no other.
fn connections(out: &mut Exposition, metrics: &Metrics) {
    let server = ("redpanda_server", "kafka");
    let mut active = out.family("redpanda_rpc_active_connections", Kind::Gauge, "Open client connections.");
    active.sample(&[server], metrics.connections.get());
    let mut errors = out.family(
        "redpanda_rpc_request_errors_total",
        Kind::Counter,
        "Requests that ended their connection.",
    );
    errors.sample(&[server], metrics.requests_refused.get());
    let all = metrics.seconds_of_all();
    let help = "From the last byte of a request of any API to its answer being handed to the socket.";
    out.histogram("redpanda_rpc_request_latency_seconds", help, &[(&[server], all)]);
}

fn latencies(out: &mut Exposition, metrics: &Metrics) {
    let (produce, fetch) = (metrics.seconds_of("Produce"), metrics.seconds_of("Fetch"));
    let help = "From the last byte of a request to its answer being handed to the socket.";
    let handlers = [("produce", &produce), ("fetch", &fetch)];
    for (name, label, second) in [
        ("redpanda_kafka_handler_latency_seconds", "handler", "fetch"),
        ("redpanda_kafka_request_latency_seconds", "redpanda_request", "consume"),
    ] {
        let labels = [[(label, handlers[0].0)], [(label, second)]];
        let buckets = handlers.iter().map(|(_, buckets)| (*buckets).clone());
        let series: Vec<(&[(&str, &str)], _)> = labels.iter().map(|it| it.as_slice()).zip(buckets).collect();
        out.histogram(name, help, &series);
    }
}

fn traffic(out: &mut Exposition, observed: &Observed) {
    let mut bytes = out.family("redpanda_kafka_request_bytes_total", Kind::Counter, "Bytes of batches.");
    for topic in observed.shown_topics() {
        let Some(traffic) = &topic.traffic else { continue };
        for (request, value) in [("produce", traffic.bytes_in), ("consume", traffic.bytes_out)] {
            bytes.sample(&[NAMESPACE, ("redpanda_topic", &topic.name), ("redpanda_request", request)], value);
        }
    }
    let mut records = out.family("redpanda_kafka_records_produced_total", Kind::Counter, "Records appended.");
    for topic in observed.shown_topics() {
        if let Some(traffic) = &topic.traffic {
            records.sample(&[NAMESPACE, ("redpanda_topic", &topic.name)], traffic.records_in);
        }
    }
    let mut partitions = out.family("redpanda_kafka_partitions", Kind::Gauge, "Partitions of the topic.");
    for topic in observed.shown_topics() {
        partitions.sample(&[NAMESPACE, ("redpanda_topic", &topic.name)], topic.partitions.len());
    }
    let mut replicas = out.family("redpanda_kafka_replicas", Kind::Gauge, "Replicas of each partition.");
    for topic in observed.shown_topics() {
        replicas.sample(&[NAMESPACE, ("redpanda_topic", &topic.name)], 1);
    }
    let mut changes =
        out.family("redpanda_raft_leadership_changes", Kind::Counter, "Times another broker began to lead.");
    for topic in observed.shown_topics() {
        changes.sample(&[NAMESPACE, ("redpanda_topic", &topic.name)], 0);
    }
}

fn partitions(out: &mut Exposition, observed: &Observed) {
    type Value = fn(&PartitionLog) -> i64;
    let families: [(&str, &str, Value); 2] = [
        ("redpanda_kafka_max_offset", "High watermark.", |log| log.high_watermark()),
        ("redpanda_kafka_under_replicated_replicas", "Replicas that are missing.", |_| 0),
    ];
    for (name, help, value) in families {
        let mut family = out.family(name, Kind::Gauge, help);
        for (topic, partition, log) in observed.shown_partitions() {
            let labels = [NAMESPACE, ("redpanda_topic", &*topic.name), ("redpanda_partition", &partition)];
            family.sample(&labels, value(log));
        }
    }
}

fn groups(out: &mut Exposition, observed: &Observed) {
    let shown = || observed.groups.iter().filter(|_| observed.shows_groups);
    let mut offsets =
        out.family("redpanda_kafka_consumer_group_committed_offset", Kind::Gauge, "Committed offset.");
    for group in shown() {
        for (topic, partition, offset) in &group.offsets {
            let number = partition.to_string();
            let (group, topic) =
                (("redpanda_group", group.group_id.as_str()), ("redpanda_topic", topic.as_str()));
            offsets.sample(&[group, topic, ("redpanda_partition", &number)], offset);
        }
    }
    let mut consumers = out.family("redpanda_kafka_consumer_group_consumers", Kind::Gauge, "Members.");
    for group in shown() {
        consumers.sample(&[("redpanda_group", &group.group_id)], group.members);
    }
    let topics = |group: &ObservedGroup| group.offsets.chunk_by(|one, next| one.0 == next.0).count();
    let mut counts = out.family("redpanda_kafka_consumer_group_topics", Kind::Gauge, "Topics with commits.");
    for group in shown() {
        counts.sample(&[("redpanda_group", &group.group_id)], topics(group));
    }
}
