//! The names of `kafka_exporter` (Grafana dashboard 7589, `strimzi-kafka-exporter.json`): offsets and lag, without a second
//! process that asks for them.
//!
//! All gauges, as there. A lag is counted to the high watermark, which is what consumers can reach.

use super::exposition::{Exposition, Kind};
use super::observed::{Observed, Placed};
use storage::PartitionLog;

/// Writes all families of this scheme.
pub(super) fn write(out: &mut Exposition, observed: &Observed) {
    out.gauge("kafka_brokers", "Brokers in the cluster.", observed.nodes.len());
    let mut build = out.family(
        "kafka_exporter_build_info",
        Kind::Gauge,
        "1, with the version of what shows these names: Onelog, no exporter.",
    );
    build.sample(&[("version", env!("CARGO_PKG_VERSION"))], 1);
    let mut info = out.family("kafka_broker_info", Kind::Gauge, "1 for each broker.");
    for (id, address) in &observed.nodes {
        info.sample(&[("id", &id.to_string()), ("address", address)], 1);
    }
    let mut counts = out.family("kafka_topic_partitions", Kind::Gauge, "Partitions of the topic.");
    for topic in observed.shown_topics() {
        counts.sample(&[("topic", &topic.name)], topic.partitions.len());
    }
    partitions(out, observed);
    groups(out, observed);
}

fn partitions(out: &mut Exposition, observed: &Observed) {
    type Value<'a> = &'a dyn Fn(&PartitionLog, Placed) -> i64;
    let count = |count: usize| i64::try_from(count).unwrap_or(i64::MAX);
    let families: [(&str, &str, Value<'_>); 7] = [
        ("kafka_topic_partition_current_offset", "High watermark.", &|log, _| log.high_watermark()),
        ("kafka_topic_partition_oldest_offset", "First offset.", &|log, _| log.log_start_offset()),
        ("kafka_topic_partition_leader", "Node that leads it, -1 for none.", &|_, placed| {
            placed.leader.into()
        }),
        ("kafka_topic_partition_replicas", "Replicas.", &|_, placed| count(placed.replicas)),
        ("kafka_topic_partition_in_sync_replica", "Replicas in sync.", &|_, placed| count(placed.in_sync)),
        ("kafka_topic_partition_leader_is_preferred", "1 when the preferred replica leads.", &|_, placed| {
            placed.is_preferred.into()
        }),
        ("kafka_topic_partition_under_replicated_partition", "1 when a replica is missing.", &|_, placed| {
            (placed.in_sync < placed.replicas).into()
        }),
    ];
    for (name, help, value) in families {
        let mut family = out.family(name, Kind::Gauge, help);
        for (topic, partition, log) in observed.shown_partitions() {
            family
                .sample(&[("topic", &topic.name), ("partition", &partition)], value(log, topic.placed(log)));
        }
    }
}

fn groups(out: &mut Exposition, observed: &Observed) {
    let mut members = out.family("kafka_consumergroup_members", Kind::Gauge, "Members of the group.");
    let shown = || observed.groups.iter().filter(|_| observed.shows_groups);
    for group in shown() {
        members.sample(&[("consumergroup", &group.group_id)], group.members);
    }
    let lag = |topic: &str, partition: i32, offset: i64| {
        observed.partition(topic, partition).map(|log| (log.high_watermark() - offset).max(0))
    };
    let mut offsets = out.family("kafka_consumergroup_current_offset", Kind::Gauge, "Committed offset.");
    for group in shown() {
        for (topic, partition, offset) in &group.offsets {
            let number = partition.to_string();
            let labels =
                [("consumergroup", group.group_id.as_str()), ("topic", topic), ("partition", &number)];
            offsets.sample(&labels, offset);
        }
    }
    let mut lags = out.family("kafka_consumergroup_lag", Kind::Gauge, "Records behind the high watermark.");
    for group in shown() {
        for (topic, partition, offset) in &group.offsets {
            let number = partition.to_string();
            let labels =
                [("consumergroup", group.group_id.as_str()), ("topic", topic), ("partition", &number)];
            if let Some(lag) = lag(topic, *partition, *offset) {
                lags.sample(&labels, lag);
            }
        }
    }
    for (name, help, of_lag) in [
        ("kafka_consumergroup_current_offset_sum", "Committed offsets of the topic, added up.", false),
        ("kafka_consumergroup_lag_sum", "Records behind, over all partitions of the topic.", true),
    ] {
        let mut family = out.family(name, Kind::Gauge, help);
        for group in shown() {
            for of_topic in group.offsets.chunk_by(|one, next| one.0 == next.0) {
                let values = of_topic.iter().filter_map(|(topic, partition, offset)| {
                    if of_lag { lag(topic, *partition, *offset) } else { Some(*offset) }
                });
                let labels = [("consumergroup", group.group_id.as_str()), ("topic", of_topic[0].0.as_str())];
                family.sample(&labels, values.sum::<i64>());
            }
        }
    }
}
