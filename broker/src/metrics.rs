//! What this process counts, under which names.
//!
//! Written by `net`, read by `admin`. Names are given here once; a label never carries what a client made up.

use prometheus::{
    Encoder as _, HistogramOpts, HistogramVec, IntCounter, IntCounterVec, IntGauge, Opts, Registry,
    TextEncoder,
};
use prometheus::{Histogram, core::Collector};

use crate::api::APIS;

/// Counters of one process; cheap to update from every core.
#[derive(Debug)]
pub(crate) struct Metrics {
    registry: Registry,
    requests: IntCounterVec,
    request_seconds: HistogramVec,
    pub(crate) requests_refused: IntCounter,
    pub(crate) received_bytes: IntCounter,
    pub(crate) sent_bytes: IntCounter,
    pub(crate) connections: IntGauge,
    pub(crate) connections_accepted: IntCounter,
    pub(crate) connections_refused: IntCounter,
    pub(crate) topics: IntGauge,
    pub(crate) partitions: IntGauge,
    pub(crate) fetch_sessions: IntGauge,
    pub(crate) fetch_session_partitions: IntGauge,
    pub(crate) commitlog_file_bytes: IntGauge,
    pub(crate) commitlog_appended_bytes: IntGauge,
    pub(crate) disk_free_bytes: IntGauge,
    pub(crate) disk_total_bytes: IntGauge,
    pub(crate) disk_state: IntGauge,
}

/// Counters of one API in one version, looked up once per connection.
#[derive(Debug, Clone)]
pub(crate) struct ApiMetrics {
    pub(crate) requests: IntCounter,
    pub(crate) seconds: Histogram,
}

/// From a fast produce to a long poll.
const SECONDS: &[f64] = &[
    0.000_1, 0.000_25, 0.000_5, 0.001, 0.002_5, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 10.0,
    60.0,
];

impl Metrics {
    /// All at zero.
    pub(crate) fn new() -> Self {
        let registry = Registry::new();
        let requests =
            Opts::new("onelog_api_requests_total", "Requests that were understood, by API and version.");
        let seconds = HistogramOpts::new(
            "onelog_api_request_seconds",
            "From the last byte of a request to the answer being handed to the socket; long polls include their wait.",
        );
        let requests = IntCounterVec::new(requests, &["api", "version"]).expect("a constant name is valid");
        let request_seconds =
            HistogramVec::new(seconds.buckets(SECONDS.to_vec()), &["api"]).expect("a constant name is valid");
        Self {
            requests: registered(&registry, requests),
            request_seconds: registered(&registry, request_seconds),
            requests_refused: counter(
                &registry,
                "onelog_requests_refused_total",
                "Requests that ended their connection.",
            ),
            received_bytes: counter(&registry, "onelog_received_bytes_total", "Bytes read from clients."),
            sent_bytes: counter(&registry, "onelog_sent_bytes_total", "Bytes written to clients."),
            connections: gauge(&registry, "onelog_connections", "Open client connections."),
            connections_accepted: counter(
                &registry,
                "onelog_connections_accepted_total",
                "Client connections taken in.",
            ),
            connections_refused: counter(
                &registry,
                "onelog_connections_refused_total",
                "Connections over a limit.",
            ),
            topics: gauge(&registry, "onelog_topics", "Topics."),
            partitions: gauge(&registry, "onelog_partitions", "Partitions over all topics."),
            fetch_sessions: gauge(
                &registry,
                "onelog_fetch_sessions",
                "Fetch sessions that are kept (KIP-227).",
            ),
            fetch_session_partitions: gauge(
                &registry,
                "onelog_fetch_session_partitions",
                "Partitions over all fetch sessions.",
            ),
            commitlog_file_bytes: gauge(
                &registry,
                "onelog_commitlog_file_bytes",
                "Bytes of commitlog files on disk.",
            ),
            commitlog_appended_bytes: gauge(
                &registry,
                "onelog_commitlog_appended_bytes",
                "Bytes appended in those files.",
            ),
            disk_free_bytes: gauge(
                &registry,
                "onelog_disk_free_bytes",
                "Bytes free on the file system of the data directory.",
            ),
            disk_total_bytes: gauge(&registry, "onelog_disk_total_bytes", "Bytes of that file system."),
            disk_state: gauge(
                &registry,
                "onelog_disk_state",
                "0: enough room. 1: less than 5 % or four commitlog files. 2: none for the next file, records are refused.",
            ),
            registry,
        }
    }

    /// The counters of an API. Versions that are not served (ApiVersions answers those too) share one label.
    pub(crate) fn api(&self, key: i16, version: i16) -> ApiMetrics {
        let entry = APIS.iter().find(|entry| entry.key == key);
        let name = entry.map_or("unserved", |entry| entry.name());
        let served = entry.filter(|entry| (entry.versions.0..=entry.versions.1).contains(&version));
        let version = served.map_or_else(|| "unserved".to_owned(), |_| version.to_string());
        ApiMetrics {
            requests: self.requests.with_label_values(&[name, version.as_str()]),
            seconds: self.request_seconds.with_label_values(&[name]),
        }
    }

    /// Shows a counter that lives elsewhere. Once for each.
    pub(crate) fn show(&self, counter: IntCounter) {
        registered(&self.registry, counter);
    }

    /// Everything in Prometheus' text format 0.0.4.
    pub(crate) fn render(&self) -> Vec<u8> {
        let mut text = Vec::new();
        TextEncoder::new().encode(&self.registry.gather(), &mut text).expect("a buffer takes everything");
        text
    }
}

fn counter(registry: &Registry, name: &str, help: &str) -> IntCounter {
    registered(registry, IntCounter::new(name, help).expect("a constant name is valid"))
}

fn gauge(registry: &Registry, name: &str, help: &str) -> IntGauge {
    registered(registry, IntGauge::new(name, help).expect("a constant name is valid"))
}

fn registered<C: Collector + Clone + 'static>(registry: &Registry, collector: C) -> C {
    registry.register(Box::new(collector.clone())).expect("names are registered once");
    collector
}

#[cfg(test)]
mod tests {
    use super::Metrics;

    #[test]
    fn counters_show_under_their_names() {
        let metrics = Metrics::new();
        metrics.api(18, 3).requests.inc();
        metrics.api(18, 99).requests.inc();
        metrics.connections.set(2);
        let text = String::from_utf8(metrics.render()).unwrap();
        assert!(text.contains("onelog_api_requests_total{api=\"ApiVersions\",version=\"3\"} 1\n"), "{text}");
        assert!(
            text.contains("onelog_api_requests_total{api=\"ApiVersions\",version=\"unserved\"} 1\n"),
            "{text}"
        );
        assert!(text.contains("# TYPE onelog_connections gauge\nonelog_connections 2\n"), "{text}");
    }
}
