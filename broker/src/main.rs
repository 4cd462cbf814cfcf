//! The command line of `onelog`: flags to configuration, start, signals, exit code (0 after a clean stop, 1 otherwise).
//! `onelog log` has its own codes, see `log_command`.

mod allocator;
mod find_command;
mod log_command;

use std::io::Write as _;
use std::path::PathBuf;
use std::process::ExitCode;

use anyhow::Context as _;
use broker::config::{Config, Flag, HostPort};
use broker::server::{Server, write_ready_file};
use broker::{logging, shutdown};
use clap::{Parser, Subcommand};
use find_command::FindArguments;
use log_command::LogArguments;
use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};

/// A Kafka-protocol broker in one binary: one shared log, durable by default.
#[derive(Debug, Parser)]
#[command(name = "onelog", version, about, args_conflicts_with_subcommands = true)]
struct Arguments {
    #[command(subcommand)]
    command: Option<Command>,
    /// Where to listen; port 0 takes any free one [default: 127.0.0.1:9092]
    #[arg(long, value_name = "HOST:PORT")]
    listen: Option<HostPort>,
    /// What clients are told to connect to [default: what is listened on]
    #[arg(long, value_name = "HOST:PORT")]
    advertise: Option<HostPort>,
    /// Directory of the log; made when missing [default: ./onelog-data]
    #[arg(long, value_name = "DIR")]
    data_dir: Option<String>,
    /// When a record counts as stored: sync (on disk), interval or os [default: sync]
    #[arg(long, value_name = "MODE")]
    flush: Option<String>,
    /// Partitions of topics that are created without saying how many [default: 1]
    #[arg(long, value_name = "N")]
    partitions: Option<String>,
    /// Create topics when they are first asked for: true or false [default: true]
    #[arg(long, value_name = "BOOL")]
    auto_create: Option<String>,
    /// File in the format of Kafka's server.properties; flags win over it
    #[arg(long, value_name = "FILE")]
    config: Option<PathBuf>,
    /// File that is written once clients are served: first line HOST:PORT
    #[arg(long, value_name = "FILE")]
    ready_file: Option<String>,
    /// Where to serve /metrics, /healthz, /readyz and /find over HTTP [default: nowhere]
    #[arg(long, value_name = "HOST:PORT")]
    admin: Option<HostPort>,
}

/// What else the binary does than serve.
#[derive(Debug, Subcommand)]
enum Command {
    /// Look into the log of a stopped broker: verify, dump, salvage
    Log(LogArguments),
    /// Find records by their key, in a stopped broker's directory or through a running broker
    Find(FindArguments),
}

impl Arguments {
    fn flags(self) -> Vec<Flag> {
        let endpoint = |address: HostPort| format!("PLAINTEXT://{address}");
        let flags = [
            ("--listen", "listeners", self.listen.map(endpoint)),
            ("--advertise", "advertised.listeners", self.advertise.map(endpoint)),
            ("--data-dir", "log.dirs", self.data_dir),
            ("--flush", "onelog.flush", self.flush),
            ("--partitions", "num.partitions", self.partitions),
            ("--auto-create", "auto.create.topics.enable", self.auto_create),
            ("--ready-file", "onelog.ready.file", self.ready_file),
            ("--admin", "onelog.admin.listen", self.admin.map(|address| address.to_string())),
        ];
        flags
            .into_iter()
            .filter_map(|(name, key, value)| value.map(|value| Flag { name, key, value }))
            .collect()
    }
}

fn main() -> ExitCode {
    allocator::fix_thresholds();
    let arguments = match Arguments::try_parse() {
        Ok(arguments) => arguments,
        // Help and version are errors to clap; only real ones fail. A closed terminal is nobody to tell.
        Err(error) => {
            drop(error.print());
            return if error.use_stderr() { usage_code() } else { ExitCode::SUCCESS };
        }
    };
    let outcome = match arguments.command {
        Some(Command::Log(arguments)) => return log_command::run(arguments),
        Some(Command::Find(arguments)) => find_command::run(arguments),
        None => run(arguments),
    };
    match outcome {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            drop(writeln!(std::io::stderr(), "error: {error:#}"));
            ExitCode::FAILURE
        }
    }
}

/// For a command line that cannot be understood: 1, but 2 for `onelog log`, where 1 says that the log is damaged.
fn usage_code() -> ExitCode {
    let log = std::env::args_os().nth(1).is_some_and(|first| first == "log");
    if log { ExitCode::from(log_command::FAILED) } else { ExitCode::FAILURE }
}

fn run(mut arguments: Arguments) -> anyhow::Result<()> {
    logging::start().map_err(anyhow::Error::msg)?;
    let file = arguments.config.take();
    let (config, notices) = Config::load(file.as_deref(), &arguments.flags())?;
    for notice in notices {
        if notice.warning {
            tracing::warn!("{}", notice.text);
        } else {
            tracing::info!("{}", notice.text);
        }
    }
    let ready_file = config.ready_file.clone();
    if let Some(path) = &ready_file {
        // Left by a run that was killed: nobody may take it for this one's.
        drop(std::fs::remove_file(path));
    }
    raise_open_files(config.max_connections);
    let server = Server::start(config)?;
    let (summary, address) = (server.summary(), server.client_address().clone());
    let ready = || {
        if let Some(path) = &ready_file {
            write_ready_file(path, &address)?;
        }
        tracing::info!("{summary}");
        Ok(())
    };
    let stopped = shutdown::until_signalled(ready, |signal| {
        tracing::info!(signal, "stopping");
        server.stop()
    });
    if let Some(path) = &ready_file {
        drop(std::fs::remove_file(path));
    }
    let place = || {
        ready_file
            .as_ref()
            .map_or_else(|| "signals".to_owned(), |path| format!("--ready-file {}", path.display()))
    };
    stopped.with_context(place)?.context("the log was not closed cleanly; the next start recovers it")?;
    tracing::info!("stopped");
    Ok(())
}

/// Every connection and every log file is an open file; the soft limit of many systems is far below the hard one.
fn raise_open_files(connections: usize) {
    let Rlimit { current, maximum } = getrlimit(Resource::Nofile);
    if current != maximum && setrlimit(Resource::Nofile, Rlimit { current: maximum, maximum }).is_err() {
        tracing::debug!("the limit of open files could not be raised");
    }
    let limit = getrlimit(Resource::Nofile).current.unwrap_or(u64::MAX);
    if limit < u64::try_from(connections).unwrap_or(u64::MAX) {
        tracing::warn!(
            limit,
            connections,
            "open files are limited below max.connections; raise the limit (ulimit -n) to reach it"
        );
    }
}
