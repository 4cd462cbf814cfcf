//! Who is connected: open connections by listener and by the client library that each names.
//!
//! Connections enter and leave, scrapes count. Invariant: a connection is in here exactly as long as its [`Present`] lives.

use std::collections::{BTreeMap, HashMap};
use std::sync::{Arc, Mutex, OnceLock};

use super::exposition::{Exposition, Kind};
use super::{LONGEST_SOFTWARE, MOST_SOFTWARE, Metrics};

/// Open connections.
#[derive(Debug, Default)]
pub(crate) struct Clients(Mutex<Open>);

#[derive(Debug, Default)]
struct Open {
    next: u64,
    connections: HashMap<u64, Client>,
}

#[derive(Debug)]
struct Client {
    listener: Arc<str>,
    /// Name and version, once it said so (KIP-511).
    software: Arc<OnceLock<(String, String)>>,
}

/// One open connection; over when dropped.
#[derive(Debug)]
pub(crate) struct Present {
    metrics: Arc<Metrics>,
    number: u64,
}

impl Present {
    /// A connection has begun.
    pub(crate) fn new(
        metrics: &Arc<Metrics>,
        listener: &Arc<str>,
        software: &Arc<OnceLock<(String, String)>>,
    ) -> Self {
        let mut open = metrics.clients.0.lock().expect("nothing panics under this lock");
        let number = open.next;
        open.next += 1;
        let client = Client { listener: Arc::clone(listener), software: Arc::clone(software) };
        open.connections.insert(number, client);
        Self { metrics: Arc::clone(metrics), number }
    }
}

impl Drop for Present {
    fn drop(&mut self) {
        let mut open = self.metrics.clients.0.lock().expect("nothing panics under this lock");
        open.connections.remove(&self.number);
    }
}

impl Clients {
    /// Under the names that Strimzi's rules give to Kafka's `socket-server-metrics`. `listeners` are shown also while nobody
    /// is connected. Here no thread has connections of its own, so all stand under one.
    pub(super) fn write<'a>(&self, out: &mut Exposition, listeners: impl Iterator<Item = &'a str>) {
        let mut by_listener: BTreeMap<String, u64> = listeners.map(|name| (name.to_owned(), 0)).collect();
        let mut by_software: BTreeMap<(String, String, String), u64> = BTreeMap::new();
        {
            let open = self.0.lock().expect("nothing panics under this lock");
            for Client { listener, software } in open.connections.values() {
                *by_listener.entry(listener.to_string()).or_default() += 1;
                let (name, version) = software.get().map_or(("unknown", "unknown"), |(name, version)| {
                    if name.len() + version.len() < LONGEST_SOFTWARE { (name, version) } else { OTHER }
                });
                let labels = (listener.to_string(), name.to_owned(), version.to_owned());
                *by_software.entry(labels).or_default() += 1;
            }
        }
        let mut family = out.family(
            "kafka_server_socket_server_metrics_connection_count",
            Kind::Gauge,
            "Open client connections by listener.",
        );
        for (listener, count) in &by_listener {
            family.sample(&[("listener", listener), ("networkProcessor", "all")], count);
        }
        let mut family = out.family(
            "kafka_server_socket_server_metrics_connections_software",
            Kind::Gauge,
            "Open client connections by listener, client library and its version.",
        );
        for ((listener, name, version), count) in bounded(by_software) {
            let software = [("clientSoftwareName", name.as_str()), ("clientSoftwareVersion", &version)];
            let [name, version] = software;
            family.sample(&[name, version, ("listener", &listener), ("networkProcessor", "all")], count);
        }
    }
}

const OTHER: (&str, &str) = ("other", "other");

/// The most frequent ones by themselves, the rest of each listener together: the names are what clients say.
fn bounded(counts: BTreeMap<(String, String, String), u64>) -> BTreeMap<(String, String, String), u64> {
    let mut ordered: Vec<_> = counts.into_iter().collect();
    ordered.sort_by_key(|(_, count)| std::cmp::Reverse(*count));
    let mut bounded = BTreeMap::new();
    for (place, ((listener, name, version), count)) in ordered.into_iter().enumerate() {
        let software = if place < MOST_SOFTWARE { (name, version) } else { (OTHER.0.into(), OTHER.1.into()) };
        *bounded.entry((listener, software.0, software.1)).or_default() += count;
    }
    bounded
}

#[cfg(test)]
mod tests {
    use super::*;

    fn page(metrics: &Metrics) -> String {
        let mut out = Exposition::default();
        metrics.clients.write(&mut out, ["PLAINTEXT", "QUIET"].into_iter());
        out.into_text()
    }

    fn connect(metrics: &Arc<Metrics>, software: Option<(&str, String)>) -> Present {
        let told = Arc::new(OnceLock::new());
        if let Some((name, version)) = software {
            told.set((name.to_owned(), version)).unwrap();
        }
        Present::new(metrics, &Arc::from("PLAINTEXT"), &told)
    }

    #[test]
    fn connections_count_by_listener_and_library_until_they_end() {
        let metrics = Arc::new(Metrics::new());
        let java = || connect(&metrics, Some(("apache-kafka-java", "4.3.1".to_owned())));
        let present = (java(), java(), connect(&metrics, None));
        let text = page(&metrics);
        for line in [
            "connection_count{listener=\"PLAINTEXT\",networkProcessor=\"all\"} 3",
            "connection_count{listener=\"QUIET\",networkProcessor=\"all\"} 0",
            "connections_software{clientSoftwareName=\"apache-kafka-java\",clientSoftwareVersion=\"4.3.1\",\
             listener=\"PLAINTEXT\",networkProcessor=\"all\"} 2",
            "connections_software{clientSoftwareName=\"unknown\",clientSoftwareVersion=\"unknown\",\
             listener=\"PLAINTEXT\",networkProcessor=\"all\"} 1",
        ] {
            let line = format!("kafka_server_socket_server_metrics_{line}");
            assert!(text.lines().any(|it| it == line), "{line} is missing in\n{text}");
        }
        drop(present);
        let text = page(&metrics);
        assert!(
            text.contains("connection_count{listener=\"PLAINTEXT\",networkProcessor=\"all\"} 0\n"),
            "{text}"
        );
        assert!(!text.contains("software"), "{text}");
    }

    #[test]
    fn what_clients_call_themselves_cannot_make_ever_more_series() {
        let metrics = Arc::new(Metrics::new());
        let present: Vec<_> =
            (0..100).map(|number| connect(&metrics, Some(("lib", number.to_string())))).collect();
        let long = connect(&metrics, Some(("lib", "9".repeat(1_000))));
        let text = page(&metrics);
        assert_eq!(text.lines().filter(|line| line.contains("_software{")).count(), MOST_SOFTWARE + 1);
        assert!(text.contains("clientSoftwareName=\"other\"") && !text.contains("999"), "{text}");
        drop((present, long));
    }
}
