//! The names under which the JMX exporter shows Apache Kafka, as Strimzi's dashboards and alert rules ask for them.
//!
//! Sources: Strimzi's `strimzi-kafka.json` and its Prometheus rules; meaning of each as in Kafka's `ReplicaManager`,
//! `BrokerTopicMetrics`, `KafkaController`, `Log`. One broker leads everything and is its own controller, so what counts
//! other replicas has the value that a Kafka of one node shows; of virtual nodes it has the sum, for they are one process.
//! Java's own metrics are not there.

use super::Metrics;
use super::exposition::{Exposition, Kind};
use super::observed::{Observed, ObservedTopic, Placed};
use crate::coordinator::group::ObservedGroup;
use crate::traffic::TrafficCounts;

/// Writes all families of this scheme. `idle` is the share of the time in which the cores waited for something to do.
pub(super) fn write(out: &mut Exposition, observed: &Observed, metrics: &Metrics, idle: Option<f64>) {
    broker(out, observed, metrics);
    threads(out, idle);
    requests(out, metrics);
    groups(out, &observed.groups);
    traffic(out, observed);
    partitions(out, observed);
}

fn broker(out: &mut Exposition, observed: &Observed, metrics: &Metrics) {
    let partitions = observed.partition_count;
    let under =
        observed.topics.iter().map(|topic| topic.count(|placed| is_under_min(topic, placed))).sum::<usize>();
    let stopped = u8::from(observed.stopped);
    let count =
        |is_so: fn(Placed) -> bool| observed.topics.iter().map(|topic| topic.count(is_so)).sum::<usize>();
    let leaderless = count(|placed| placed.leader < 0);
    for (name, help, value) in [
        (
            "kafka_server_replicamanager_leadercount",
            "Partitions that this broker leads.",
            partitions - leaderless,
        ),
        ("kafka_server_replicamanager_partitioncount", "Partitions on this broker.", partitions),
        (
            "kafka_server_replicamanager_underreplicatedpartitions",
            "Partitions that miss a replica.",
            count(|placed| placed.in_sync < placed.replicas),
        ),
        (
            "kafka_server_replicamanager_underminisrpartitioncount",
            "Partitions below min.insync.replicas.",
            under,
        ),
        (
            "kafka_server_replicamanager_offlinereplicacount",
            "Partitions that cannot be read or written.",
            if observed.stopped { partitions } else { 0 },
        ),
        ("kafka_controller_kafkacontroller_activecontrollercount", "1 on the controller.", 1),
        (
            "kafka_controller_kafkacontroller_activebrokercount",
            "Brokers in the cluster.",
            observed.nodes.len(),
        ),
        (
            "kafka_controller_kafkacontroller_offlinepartitionscount",
            "Partitions without a leader.",
            leaderless,
        ),
        (
            "kafka_controller_kafkacontroller_globaltopiccount",
            "Topics in the cluster.",
            observed.topics.len(),
        ),
        ("kafka_controller_kafkacontroller_globalpartitioncount", "Partitions in the cluster.", partitions),
    ] {
        out.gauge(name, help, value);
    }
    out.gauge("kafka_log_logmanager_offlinelogdirectorycount", "Log directories that failed.", stopped);
    out.gauge("kafka_server_kafkaserver_brokerstate", "3 is RUNNING.", 3);
    for (name, help) in [
        ("kafka_controller_controllerstats_uncleanleaderelections_total", "Elections that lost records."),
        ("kafka_server_replicamanager_isrshrinks_total", "Times an in-sync replica was lost."),
        ("kafka_server_replicamanager_isrexpands_total", "Times an in-sync replica came back."),
    ] {
        out.counter(name, help, 0);
    }
    let sessions = metrics.fetch_sessions.get();
    out.gauge("kafka_server_fetchsessioncache_numincrementalfetchsessions", "Fetch sessions.", sessions);
    disk(out, observed);
}

fn disk(out: &mut Exposition, observed: &Observed) {
    let process = &observed.process;
    let read =
        ("kafka_server_kafkaserver_linux_disk_read_bytes", "Bytes read from devices.", process.read_bytes);
    let written = (
        "kafka_server_kafkaserver_linux_disk_write_bytes",
        "Bytes written to devices.",
        process.written_bytes,
    );
    for (name, help, value) in [read, written] {
        if let Some(value) = value {
            out.gauge(name, help, value);
        }
    }
}

/// One core is both a network and a handler thread of Kafka's.
fn threads(out: &mut Exposition, idle: Option<f64>) {
    let Some(idle) = idle else { return };
    for name in [
        "kafka_network_socketserver_networkprocessoravgidle_percent",
        "kafka_server_kafkarequesthandlerpool_requesthandleravgidle_percent",
    ] {
        out.gauge(
            name,
            "Share of the time in which the threads that serve clients had nothing to do, 0 to 1.",
            idle,
        );
    }
}

/// Requests by API name; errors of whole requests are not counted apart.
fn requests(out: &mut Exposition, metrics: &Metrics) {
    let mut requests = out.family(
        "kafka_network_requestmetrics_requests_total",
        Kind::Counter,
        "Requests that were understood, by API.",
    );
    for (api, count) in metrics.requests_by_api() {
        requests.sample(&[("request", &api)], count);
    }
}

fn groups(out: &mut Exposition, groups: &[ObservedGroup]) {
    let all = "kafka_coordinator_group_groupmetadatamanager_numgroups";
    out.gauge(all, "Groups.", groups.len());
    for (state, suffix) in [
        ("Stable", "stable"),
        ("Empty", "empty"),
        ("Dead", "dead"),
        ("PreparingRebalance", "preparingrebalance"),
        ("CompletingRebalance", "completingrebalance"),
    ] {
        let count = groups.iter().filter(|group| group.state == state).count();
        out.gauge(&format!("{all}{suffix}"), "Groups in this state.", count);
    }
}

/// Name, help, and where the value is.
type TrafficFamily = (&'static str, &'static str, fn(&TrafficCounts) -> u64);

const TRAFFIC: [TrafficFamily; 7] = [
    ("kafka_server_brokertopicmetrics_bytesin_total", "Bytes of batches appended.", |it| it.bytes_in),
    ("kafka_server_brokertopicmetrics_bytesout_total", "Bytes of batches given to consumers.", |it| {
        it.bytes_out
    }),
    ("kafka_server_brokertopicmetrics_messagesin_total", "Records appended.", |it| it.records_in),
    ("kafka_server_brokertopicmetrics_totalproducerequests_total", "Partitions in produce requests.", |it| {
        it.produce_requests
    }),
    ("kafka_server_brokertopicmetrics_failedproducerequests_total", "Of those, refused.", |it| {
        it.failed_produce_requests
    }),
    ("kafka_server_brokertopicmetrics_totalfetchrequests_total", "Partitions in answers to fetches.", |it| {
        it.fetch_requests
    }),
    ("kafka_server_brokertopicmetrics_failedfetchrequests_total", "Of those, refused.", |it| {
        it.failed_fetch_requests
    }),
];

/// One series without a topic for the whole broker, then one for each topic that had traffic.
fn traffic(out: &mut Exposition, observed: &Observed) {
    for (name, help, value) in TRAFFIC {
        let mut family = out.family(name, Kind::Counter, help);
        family.sample(&[], value(&observed.total));
        for topic in observed.shown_topics() {
            if let Some(traffic) = &topic.traffic {
                family.sample(&[("topic", &topic.name)], value(traffic));
            }
        }
    }
}

fn is_under_min(topic: &ObservedTopic, placed: Placed) -> bool {
    i32::try_from(placed.in_sync).is_ok_and(|in_sync| in_sync < topic.min_insync_replicas)
}

fn partitions(out: &mut Exposition, observed: &Observed) {
    type PartitionFamily = (&'static str, &'static str, fn(&ObservedTopic, &storage::PartitionLog) -> i64);
    let families: [PartitionFamily; 7] = [
        ("kafka_cluster_partition_replicascount", "Replicas.", |topic, log| {
            i64::try_from(topic.placed(log).replicas).unwrap_or(i64::MAX)
        }),
        ("kafka_cluster_partition_atminisr", "1 when one replica less would be too few.", |topic, log| {
            i64::from(i32::try_from(topic.placed(log).in_sync) == Ok(topic.min_insync_replicas))
        }),
        ("kafka_cluster_partition_underminisr", "1 when replicas are too few.", |topic, log| {
            i64::from(is_under_min(topic, topic.placed(log)))
        }),
        ("kafka_log_log_size", "Bytes of batches from the log start on.", |_, log| {
            i64::try_from(log.size_bytes()).unwrap_or(i64::MAX)
        }),
        ("kafka_log_log_logstartoffset", "First offset.", |_, log| log.log_start_offset()),
        ("kafka_log_log_logendoffset", "Next offset.", |_, log| log.log_end_offset()),
        (
            "kafka_cluster_partition_laststableoffsetlag",
            "Records that open transactions keep from readers of committed ones.",
            |_, log| log.high_watermark().saturating_sub(log.last_stable_offset()).max(0),
        ),
    ];
    for (name, help, value) in families {
        let mut family = out.family(name, Kind::Gauge, help);
        for (topic, partition, log) in observed.shown_partitions() {
            family.sample(&[("topic", &topic.name), ("partition", &partition)], value(topic, log));
        }
    }
}
