//! A blocking client, as small as the tools need it: bootstrap addresses, one connection per broker, the leader of a partition,
//! the coordinator of a group, and patience with what passes by itself.
//!
//! Invariant: `retry` is the only loop over failures; it gives up when the patience of the settings is over.

mod connection;
mod lookup;

use std::collections::{BTreeMap, HashMap};
use std::io::Write as _;
use std::time::{Duration, Instant};

use kafka_protocol::protocol::Request;

use crate::clock;
use crate::failure::{Failure, Outcome};
pub(crate) use connection::ApiRange;
use connection::Connection;
#[cfg(test)]
pub(crate) use lookup::TopicInfo;
pub(crate) use lookup::{Broker, Cluster, topic_name};

/// First wait before another attempt; doubled up to `LONGEST_WAIT`.
const FIRST_WAIT: Duration = Duration::from_millis(50);
const LONGEST_WAIT: Duration = Duration::from_secs(1);

/// What the properties of a client can change.
#[derive(Debug, Clone)]
pub(crate) struct Settings {
    /// Sent with every request.
    pub(crate) client_id: String,
    /// How long one request may take.
    pub(crate) request_timeout: Duration,
    /// How long failures that may pass are borne (Kafka's `default.api.timeout.ms`).
    pub(crate) patience: Duration,
}

impl Default for Settings {
    /// As Kafka's admin client.
    fn default() -> Self {
        Self {
            client_id: "onelog-tools".to_owned(),
            request_timeout: Duration::from_secs(30),
            patience: Duration::from_secs(60),
        }
    }
}

/// Which broker a request is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Target {
    /// Whichever answers.
    Any,
    /// The broker with this id.
    Node(i32),
}

/// Connections to the brokers of one cluster.
#[derive(Debug)]
pub(crate) struct Client {
    pub(crate) settings: Settings,
    bootstrap: Vec<String>,
    /// Learnt from Metadata and FindCoordinator.
    nodes: BTreeMap<i32, String>,
    connections: HashMap<String, Connection>,
    complained: bool,
}

impl Client {
    /// # Errors
    /// `bootstrap` is not a comma-separated list of `host:port`.
    pub(crate) fn new(bootstrap: &str, settings: Settings) -> Outcome<Self> {
        let bootstrap = bootstrap.split(',').map(address).collect::<Outcome<Vec<_>>>()?;
        Ok(Self {
            settings,
            bootstrap,
            nodes: BTreeMap::new(),
            connections: HashMap::new(),
            complained: false,
        })
    }

    /// Sends `request` in the newest version that both sides know and returns the answer. One attempt.
    ///
    /// # Errors
    /// `Unreachable`, or the broker does not have the API.
    pub(crate) fn call<R: Request>(&mut self, target: Target, request: &R) -> Outcome<R::Response> {
        self.call_at_most(target, request, i16::MAX)
    }

    /// The same in no newer version than `newest`.
    pub(crate) fn call_at_most<R: Request>(
        &mut self,
        target: Target,
        request: &R,
        newest: i16,
    ) -> Outcome<R::Response> {
        let timeout = self.settings.request_timeout;
        self.call_within(target, request, newest, timeout)
    }

    /// The same with a time limit of its own.
    pub(crate) fn call_within<R: Request>(
        &mut self,
        target: Target,
        request: &R,
        newest: i16,
        timeout: Duration,
    ) -> Outcome<R::Response> {
        let address = self.connect(target)?;
        let connection = self.connections.get_mut(&address).expect("connect left one for the address");
        let answer = connection.call(request, newest, timeout);
        if matches!(answer, Err(Failure::Unreachable(_))) {
            self.connections.remove(&address);
        }
        answer
    }

    /// What the broker says about its APIs.
    pub(crate) fn api_ranges(&mut self, target: Target) -> Outcome<Vec<ApiRange>> {
        let address = self.connect(target)?;
        Ok(self.connections[&address].api_ranges().to_vec())
    }

    /// Does `attempt` until it succeeds, fails for good, or the patience is over. Says once on stderr that it waits.
    pub(crate) fn retry<T>(&mut self, attempt: impl FnMut(&mut Self) -> Outcome<T>) -> Outcome<T> {
        let deadline = clock::now() + self.settings.patience;
        self.retry_until(deadline, attempt)
    }

    /// The same until `deadline`.
    pub(crate) fn retry_until<T>(
        &mut self,
        deadline: Instant,
        mut attempt: impl FnMut(&mut Self) -> Outcome<T>,
    ) -> Outcome<T> {
        let mut wait = FIRST_WAIT;
        loop {
            let failure = match attempt(self) {
                Err(failure) if failure.is_retriable() => failure,
                done => return done,
            };
            let left = deadline.saturating_duration_since(clock::now());
            if left.is_zero() {
                return Err(failure);
            }
            self.complain(&failure, left);
            clock::sleep(wait.min(left));
            wait = (wait * 2).min(LONGEST_WAIT);
        }
    }

    fn complain(&mut self, failure: &Failure, left: Duration) {
        if !std::mem::replace(&mut self.complained, true) {
            let seconds = left.as_secs_f32().ceil();
            drop(writeln!(std::io::stderr(), "{failure}; trying again for up to {seconds} s"));
        }
    }

    /// The address of an open connection to `target`.
    fn connect(&mut self, target: Target) -> Outcome<String> {
        let addresses = match target {
            Target::Node(id) => {
                let known = self.nodes.get(&id);
                vec![
                    known
                        .cloned()
                        .ok_or_else(|| Failure::Unreachable(format!("broker {id} is not known")))?,
                ]
            }
            Target::Any => self.nodes.values().chain(&self.bootstrap).cloned().collect(),
        };
        if let Some(open) = addresses.iter().find(|address| self.connections.contains_key(*address)) {
            return Ok(open.clone());
        }
        let mut failure = Failure::new("no broker address was given");
        for address in addresses {
            match Connection::open(&address, &self.settings) {
                Ok(connection) => {
                    self.connections.insert(address.clone(), connection);
                    return Ok(address);
                }
                Err(error) => failure = error,
            }
        }
        Err(failure)
    }
}

/// `host:port`, maybe after `PROTOCOL://`.
fn address(text: &str) -> Outcome<String> {
    let text = text.trim();
    let plain = text.split_once("://").map_or(text, |(_, address)| address);
    let valid =
        plain.rsplit_once(':').is_some_and(|(host, port)| !host.is_empty() && port.parse::<u16>().is_ok());
    if valid {
        return Ok(plain.to_owned());
    }
    Err(Failure::new(format!(
        "{text:?} is not an address: give --bootstrap-server HOST:PORT, such as localhost:9092"
    )))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bootstrap_list_is_split_and_checked() {
        let client = Client::new("a:1, PLAINTEXT://b:2,[::1]:3", Settings::default()).unwrap();
        assert_eq!(client.bootstrap, ["a:1", "b:2", "[::1]:3"]);
        for wrong in ["", "a", "a:", ":9", "a:70000", "a:1,,b:2"] {
            assert!(Client::new(wrong, Settings::default()).is_err(), "{wrong:?}");
        }
    }

    #[test]
    fn retry_gives_up_when_its_patience_is_over_and_at_once_for_what_does_not_pass() {
        let settings = Settings { patience: Duration::from_millis(120), ..Settings::default() };
        let mut client = Client::new("a:1", settings).unwrap();
        let mut attempts = 0;
        let outcome: Outcome = client.retry(|_| {
            attempts += 1;
            Err(Failure::Unreachable("nobody".to_owned()))
        });
        assert!(outcome.is_err() && attempts > 1);
        attempts = 0;
        let outcome: Outcome = client.retry(|_| {
            attempts += 1;
            Err(Failure::new("no"))
        });
        assert!(outcome.is_err() && attempts == 1);
    }
}
