//! `cub kafka-ready` of Confluent's images: wait until a number of brokers answer. Their other sub-commands wait for other
//! products.

use std::ffi::OsString;
use std::io::{self, Write};
use std::path::PathBuf;
use std::time::Duration;

use clap::{CommandFactory as _, Parser, Subcommand};

use crate::clock;
use crate::failure::{Failure, Outcome};
use crate::options;

/// Wait until Kafka is ready
#[derive(Debug, Parser)]
#[command(version)]
struct Arguments {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Wait until EXPECTED_BROKERS answer; exit 1 when they do not within TIMEOUT seconds
    KafkaReady(KafkaReady),
}

#[derive(Debug, clap::Args)]
struct KafkaReady {
    /// Brokers to ask first, comma-separated
    #[arg(short = 'b', long = "bootstrap-servers", value_name = "HOST:PORT")]
    bootstrap: String,
    /// File of client properties
    #[arg(short = 'c', long, value_name = "FILE")]
    config: Option<PathBuf>,
    /// Security protocol; PLAINTEXT is what there is
    #[arg(short = 's', long = "security-protocol", value_name = "PROTOCOL")]
    security_protocol: Option<String>,
    /// Brokers that must be there
    expected_brokers: usize,
    /// Seconds to wait
    timeout: u64,
}

/// The command line, for completions and manual pages.
pub(crate) fn command() -> clap::Command {
    Arguments::command()
}

pub(crate) fn run(line: Vec<OsString>, _out: &mut dyn Write) -> Outcome {
    let Command::KafkaReady(arguments) = Arguments::try_parse_from(line)?.command;
    let security = arguments.security_protocol.map(|value| ("security.protocol".to_owned(), value));
    let properties: Vec<_> = security.into_iter().collect();
    let mut client = options::client(&arguments.bootstrap, arguments.config.as_ref(), &properties)?;
    let limit = Duration::from_secs(arguments.timeout);
    client.settings.request_timeout = client.settings.request_timeout.min(limit.max(Duration::from_secs(1)));
    let expected = arguments.expected_brokers;
    client.retry_until(clock::now() + limit, |client| {
        let found = client.cluster_once(Some(&[]), false)?.brokers.len();
        if found < expected {
            return Err(Failure::Unreachable(format!("expected {expected} brokers but found only {found}")));
        }
        Ok(())
    })?;
    writeln!(io::stderr(), "{expected} broker(s) answer at {}", arguments.bootstrap)?;
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn arguments_are_those_of_confluents_images() {
        let words = ["cub", "kafka-ready", "-b", "broker:29092", "1", "40"];
        let Command::KafkaReady(read) = Arguments::try_parse_from(words).unwrap().command;
        assert_eq!((read.bootstrap.as_str(), read.expected_brokers, read.timeout), ("broker:29092", 1, 40));
        assert!(Arguments::try_parse_from(["cub", "kafka-ready", "1", "40"]).is_err());
    }
}
