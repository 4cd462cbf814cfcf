//! What this process counts, under which names.
//!
//! Written by `net`, read by `admin`. Names are given here once; a label never carries what a client made up.

mod clients;
mod cores;
mod exposition;
mod kafka;
mod kafka_exporter;
mod memory;
mod observed;
mod own;
mod process;
mod redpanda;

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Mutex;
use std::sync::atomic::AtomicU64;

use prometheus::{
    Encoder as _, HistogramOpts, HistogramVec, IntCounter, IntCounterVec, IntGauge, Opts, Registry,
    TextEncoder,
};
use prometheus::{Histogram, core::Collector};

use protocol::ErrorCode;

use self::clients::Clients;
use self::cores::Cores;
use self::exposition::{Buckets, Exposition};
use crate::api::APIS;
use crate::broker::Broker;

pub(crate) use self::clients::Present;
pub(crate) use self::observed::{Coordinators, Detail, Observed};

/// Counters of one process; cheap to update from every core.
#[derive(Debug)]
pub(crate) struct Metrics {
    registry: Registry,
    requests: IntCounterVec,
    errors: IntCounterVec,
    /// Names of client libraries that have series of their own.
    software: Mutex<BTreeSet<String>>,
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
    pub(crate) cores: Cores,
    clients: Clients,
    /// The least available memory that any scrape saw, bytes.
    least_available_memory: AtomicU64,
}

/// Counters of one API in one version, looked up once per connection.
#[derive(Debug, Clone)]
pub(crate) struct ApiMetrics {
    name: &'static str,
    pub(crate) requests: IntCounter,
    pub(crate) seconds: Histogram,
}

/// Client libraries with series of their own: the names are what clients say.
const MOST_SOFTWARE: usize = 32;
/// Longer ones are not shown, bytes.
const LONGEST_SOFTWARE: usize = 64;

/// From a fast produce to a long poll.
const SECONDS: &[f64] = &[
    0.000_1, 0.000_25, 0.000_5, 0.001, 0.002_5, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 10.0,
    60.0,
];

impl Metrics {
    /// All at zero.
    pub(crate) fn new() -> Self {
        let registry = Registry::new();
        let (requests, request_seconds) = request_families();
        Self {
            requests: registered(&registry, requests),
            errors: registered(&registry, error_family()),
            software: Mutex::default(),
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
            cores: Cores::default(),
            clients: Clients::default(),
            least_available_memory: AtomicU64::new(u64::MAX),
            registry,
        }
    }

    /// The counters of an API, for a client whose library has this name and version. Versions that are not served
    /// (ApiVersions answers those too) share one label, and so do libraries beyond the first few.
    pub(crate) fn api(&self, key: i16, version: i16, software: Option<&(String, String)>) -> ApiMetrics {
        let entry = APIS.iter().find(|entry| entry.key == key);
        let name = entry.map_or("unserved", |entry| entry.name());
        let served = entry.filter(|entry| (entry.versions.0..=entry.versions.1).contains(&version));
        let version = served.map_or_else(|| "unserved".to_owned(), |_| version.to_string());
        let software =
            software.map_or_else(|| "unknown".to_owned(), |software| self.software_label(software));
        ApiMetrics {
            name,
            requests: self.requests.with_label_values(&[name, version.as_str(), software.as_str()]),
            seconds: self.request_seconds.with_label_values(&[name]),
        }
    }

    /// An answer of this API said an error so often.
    pub(crate) fn error(&self, api: &ApiMetrics, code: i16, count: u64) {
        let known = ErrorCode::from_code(code).map(ErrorCode::name);
        let error = known.map_or_else(|| code.to_string(), str::to_owned);
        self.errors.with_label_values(&[api.name, error.as_str()]).inc_by(count);
    }

    fn software_label(&self, (name, version): &(String, String)) -> String {
        let label = format!("{name} {version}");
        let mut known = self.software.lock().expect("nothing panics under this lock");
        if known.contains(&label) {
            return label;
        }
        if known.len() == MOST_SOFTWARE || label.len() > LONGEST_SOFTWARE {
            return "other".to_owned();
        }
        known.insert(label.clone());
        label
    }

    /// Shows what is counted elsewhere. Once for each.
    pub(crate) fn show<C: Collector + Clone + 'static>(&self, counted: C) {
        registered(&self.registry, counted);
    }

    /// Requests that were understood, by API over all its versions.
    fn requests_by_api(&self) -> BTreeMap<String, f64> {
        let mut counts = BTreeMap::new();
        for metric in self.requests.collect().iter().flat_map(|family| family.get_metric()) {
            let api = metric.get_label().iter().find(|label| label.name() == "api");
            if let Some(api) = api {
                *counts.entry(api.value().to_owned()).or_default() += metric.get_counter().get_value();
            }
        }
        counts
    }

    /// How long requests of an API took.
    fn seconds_of(&self, api: &str) -> Buckets {
        summed(&self.request_seconds.with_label_values(&[api]))
    }

    /// How long requests of all APIs took.
    fn seconds_of_all(&self) -> Buckets {
        summed(&self.request_seconds)
    }

    /// `/metrics` and `/metrics/detailed`: the JMX exporter's names, kafka_exporter's and our own.
    pub(crate) fn page(&self, broker: &Broker, observed: &Observed) -> Vec<u8> {
        let mut out = Exposition::default();
        let idle = self.cores.idle(broker.opened_at, broker.clock.elapsed());
        kafka::write(&mut out, observed, self, idle);
        self.clients.write(&mut out, broker.config.listeners.iter().map(|listener| listener.name.as_str()));
        kafka_exporter::write(&mut out, observed);
        own::write(&mut out, observed, self, broker);
        let mut text = self.render();
        text.extend_from_slice(out.into_text().as_bytes());
        text
    }

    /// `/public_metrics`: Redpanda's names.
    pub(crate) fn public_page(&self, broker: &Broker, observed: &Observed) -> Vec<u8> {
        let mut out = Exposition::default();
        let device_reads = broker.cold_reads.device_reads().get();
        redpanda::write(&mut out, observed, self, &broker.store.space(), device_reads);
        out.into_text().into_bytes()
    }

    /// What this process counted, in Prometheus' text format 0.0.4.
    pub(crate) fn render(&self) -> Vec<u8> {
        let mut text = Vec::new();
        TextEncoder::new().encode(&self.registry.gather(), &mut text).expect("a buffer takes everything");
        text
    }
}

/// Where fetches record how long they wait for records or for the device, to be shown once.
pub(crate) fn fetch_wait_seconds() -> Histogram {
    let help = "How long fetches that could not be answered at once waited for records or for the device.";
    let options = HistogramOpts::new("onelog_fetch_wait_seconds", help).buckets(SECONDS.to_vec());
    Histogram::with_opts(options).expect("a constant name is valid")
}

/// All series of a histogram as one.
fn summed(histograms: &impl Collector) -> Buckets {
    let families = histograms.collect();
    let mut sum = Buckets::default();
    for metric in families.iter().flat_map(|family| family.get_metric()) {
        let histogram = metric.get_histogram();
        let below = histogram.get_bucket().iter().map(|it| (it.upper_bound(), it.cumulative_count()));
        if sum.below.is_empty() {
            sum.below = below.collect();
        } else {
            sum.below.iter_mut().zip(below).for_each(|((_, count), (_, more))| *count += more);
        }
        sum.count += histogram.get_sample_count();
        sum.sum += histogram.get_sample_sum();
    }
    sum
}

fn error_family() -> IntCounterVec {
    let errors = Opts::new(
        "kafka_network_requestmetrics_errors_total",
        "Errors in answers, one for each partition, topic, group or request that it was said of.",
    );
    IntCounterVec::new(errors, &["request", "error"]).expect("a constant name is valid")
}

fn request_families() -> (IntCounterVec, HistogramVec) {
    let requests = Opts::new(
        "onelog_api_requests_total",
        "Requests that were understood, by API, version and client library.",
    );
    let seconds = HistogramOpts::new(
        "onelog_api_request_seconds",
        "From the last byte of a request to the answer being handed to the socket; long polls include their wait.",
    );
    let requests = IntCounterVec::new(requests, &["api", "version", "client_software"]);
    let seconds = HistogramVec::new(seconds.buckets(SECONDS.to_vec()), &["api"]);
    (requests.expect("a constant name is valid"), seconds.expect("a constant name is valid"))
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
        metrics.api(18, 3, None).requests.inc();
        metrics.api(18, 99, None).requests.inc();
        metrics.connections.set(2);
        let text = String::from_utf8(metrics.render()).unwrap();
        assert!(
            text.contains(
                "onelog_api_requests_total{api=\"ApiVersions\",client_software=\"unknown\",version=\"3\"} 1\n"
            ),
            "{text}"
        );
        assert!(
            text.contains("onelog_api_requests_total{api=\"ApiVersions\",client_software=\"unknown\",version=\"unserved\"} 1\n"),
            "{text}"
        );
        assert!(text.contains("# TYPE onelog_connections gauge\nonelog_connections 2\n"), "{text}");
    }

    #[test]
    fn libraries_beyond_the_first_few_share_a_label() {
        let metrics = Metrics::new();
        for number in 0..100 {
            metrics.api(18, 3, Some(&("lib".to_owned(), number.to_string()))).requests.inc();
        }
        let text = String::from_utf8(metrics.render()).unwrap();
        let of = |label: &str| format!("{{api=\"ApiVersions\",client_software=\"{label}\",version=\"3\"}}");
        assert!(text.contains(&format!("{} 1\n", of("lib 31"))), "{text}");
        assert!(text.contains(&format!("{} 68\n", of("other"))), "{text}");
        assert!(!text.contains("lib 32"), "{text}");
    }
}
