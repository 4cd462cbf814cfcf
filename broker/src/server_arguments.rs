//! The flags that configure a broker, shared by all commands that start one or show its configuration.

use std::path::PathBuf;

use broker::config::{Config, ConfigError, Flag, HostPort, Notice, Sources, environment};
use clap::Args;

/// See the module.
#[derive(Debug, Default, Args)]
pub(crate) struct ServerArguments {
    /// Where to listen; port 0 takes any free one [default: 127.0.0.1:9092]
    #[arg(long, value_name = "HOST:PORT")]
    pub(crate) listen: Option<HostPort>,
    /// What clients are told to connect to [default: what is listened on]
    #[arg(long, value_name = "HOST:PORT")]
    pub(crate) advertise: Option<HostPort>,
    /// Directory of the log; made when missing [default: ./onelog-data]
    #[arg(long, value_name = "DIR")]
    pub(crate) data_dir: Option<String>,
    /// When a record counts as stored: sync (on disk), interval or os [default: sync]
    #[arg(long, value_name = "MODE")]
    pub(crate) flush: Option<String>,
    /// Partitions of topics that are created without saying how many [default: 1]
    #[arg(long, value_name = "N")]
    pub(crate) partitions: Option<String>,
    /// Create topics when they are first asked for: true or false [default: true]
    #[arg(long, value_name = "BOOL")]
    pub(crate) auto_create: Option<String>,
    /// Topics to make at the start unless they are there: `NAME[:PARTITIONS[:REPLICATION[:CLEANUP]]]`, comma separated
    #[arg(long, value_name = "TOPICS")]
    pub(crate) topics: Option<String>,
    /// File in the format of Kafka's server.properties; KAFKA_* variables and flags win over it
    #[arg(long, value_name = "FILE")]
    pub(crate) config: Option<PathBuf>,
    /// Any key of server.properties; wins over everything, may be repeated
    #[arg(long = "override", value_name = "KEY=VALUE", value_parser = key_and_value)]
    pub(crate) overrides: Vec<(String, String)>,
    /// File that is written once clients are served: first line HOST:PORT, then `admin HOST:PORT` where --admin is served
    #[arg(long, value_name = "FILE")]
    pub(crate) ready_file: Option<String>,
    /// Where to serve /metrics, /healthz, /readyz and /find over HTTP [default: nowhere]
    #[arg(long, value_name = "HOST:PORT")]
    pub(crate) admin: Option<HostPort>,
    /// Play this many nodes, for tests: each has a listener of its own, on the next port, over one log [default: 1]
    #[arg(long, value_name = "N")]
    pub(crate) brokers: Option<String>,
    /// Serve the control API for tests (faults, reset, request log) on the admin address, a free port of 127.0.0.1 when none is
    /// given; `=anywhere` allows an admin address that other machines reach
    #[arg(long, value_name = "WHERE", num_args = 0..=1, require_equals = true, default_missing_value = "local")]
    pub(crate) test_mode: Option<String>,
}

impl ServerArguments {
    /// The configuration from `defaults`, file, environment and flags.
    ///
    /// # Errors
    /// As [`Config::load`].
    pub(crate) fn load(self, defaults: &[Flag]) -> Result<(Config, Vec<Notice>), ConfigError> {
        let file = self.config.clone();
        // What is no text cannot be a value of any key.
        let variables = std::env::vars_os()
            .filter_map(|(name, value)| Some((name.into_string().ok()?, value.into_string().ok()?)));
        let (environment, flags) = (environment::variables(variables), self.flags());
        let sources = Sources { defaults, file: file.as_deref(), environment: &environment, flags: &flags };
        Config::load(&sources)
    }

    fn flags(self) -> Vec<Flag> {
        let endpoint = |address: HostPort| format!("PLAINTEXT://{address}");
        let flags = [
            ("--listen", "listeners", self.listen.map(endpoint)),
            ("--advertise", "advertised.listeners", self.advertise.map(endpoint)),
            ("--data-dir", "log.dirs", self.data_dir),
            ("--flush", "onelog.flush", self.flush),
            ("--partitions", "num.partitions", self.partitions),
            ("--auto-create", "auto.create.topics.enable", self.auto_create),
            ("--topics", "onelog.create.topics", self.topics),
            ("--ready-file", "onelog.ready.file", self.ready_file),
            ("--admin", "onelog.admin.listen", self.admin.map(|address| address.to_string())),
            ("--brokers", "onelog.brokers", self.brokers),
            ("--test-mode", "onelog.test.mode", self.test_mode),
        ];
        let flags = flags
            .into_iter()
            .filter_map(|(name, key, value)| value.map(|value| Flag { name, key: key.to_owned(), value }));
        let overrides = self.overrides.into_iter();
        flags.chain(overrides.map(|(key, value)| Flag { name: "--override", key, value })).collect()
    }
}

fn key_and_value(text: &str) -> Result<(String, String), String> {
    match text.split_once('=') {
        Some((key, value)) if !key.trim().is_empty() => Ok((key.trim().to_owned(), value.to_owned())),
        _ => Err("give KEY=VALUE, for example num.partitions=3".to_owned()),
    }
}
