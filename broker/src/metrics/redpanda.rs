//! Redpanda's names, served on its path `/public_metrics`, as its Ops, default and consumer-offsets dashboards ask for them.
//!
//! Every family carries `shard="0"` where Redpanda's has a shard: there is one log. What only Redpanda's engine has (I/O
//! queues, its allocator) is not there.

use super::Metrics;
use super::exposition::{Exposition, Kind};
use super::observed::Observed;
use crate::coordinator::group::ObservedGroup;
use storage::{PartitionLog, Space, SpaceState};

const NAMESPACE: (&str, &str) = ("redpanda_namespace", "kafka");

/// Writes all families of this scheme.
pub(super) fn write(out: &mut Exposition, observed: &Observed, metrics: &Metrics, space: &Space) {
    cluster(out, observed);
    storage(out, observed, space);
    let mut active = out.family("redpanda_rpc_active_connections", Kind::Gauge, "Open client connections.");
    active.sample(&[("redpanda_server", "kafka")], metrics.connections.get());
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
    out.gauge("redpanda_cluster_brokers", "Brokers in the cluster.", 1);
    out.gauge("redpanda_cluster_topics", "Topics.", observed.topics.len());
    out.gauge("redpanda_cluster_partitions", "Partitions.", observed.partition_count);
    let unavailable = if observed.stopped { observed.partition_count } else { 0 };
    out.gauge("redpanda_cluster_unavailable_partitions", "Partitions without a leader.", unavailable);
    if let Some(seconds) = observed.process.cpu_seconds {
        let mut busy = out.family("redpanda_cpu_busy_seconds_total", Kind::Gauge, "Processor time used.");
        busy.sample(&[("shard", "0")], seconds);
    }
}

fn storage(out: &mut Exposition, observed: &Observed, space: &Space) {
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
    if let Some(resident) = observed.process.resident {
        let mut memory = out.family("redpanda_memory_allocated_memory", Kind::Gauge, "Resident bytes.");
        memory.sample(&[("shard", "0")], resident);
    }
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
