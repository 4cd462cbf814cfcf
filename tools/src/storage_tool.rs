//! `kafka-storage` (Kafka class `StorageTool`): `random-uuid` as Kafka's; `format` and `info` for scripts that call them before
//! the first start. Onelog makes its directory by itself, so `format` checks what it is given and says that nothing is to do.

use std::ffi::OsString;
use std::fs;
use std::io::Write;
use std::path::{Path, PathBuf};

use clap::{CommandFactory as _, Parser, Subcommand};

use crate::failure::{Failure, Outcome};
use crate::{options, text};

/// Kafka's storage tool; Onelog's directory needs no formatting
#[derive(Debug, Parser)]
#[command(version)]
struct Arguments {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Print a random cluster id
    RandomUuid,
    /// Check the arguments and do nothing: the first start makes the directory
    #[command(infer_long_args = true)]
    Format(Format),
    /// Show the log directories of the configuration
    #[command(infer_long_args = true)]
    Info(Info),
}

#[derive(Debug, clap::Args)]
struct Format {
    /// The broker's server.properties
    #[arg(short = 'c', long, value_name = "FILE")]
    config: PathBuf,
    /// Cluster id, as `random-uuid` prints it
    #[arg(short = 't', long, value_name = "ID")]
    cluster_id: String,
    /// Accepted: there is nothing that could be formatted twice
    #[arg(short = 'g', long)]
    ignore_formatted: bool,
    /// Accepted
    #[arg(short = 's', long)]
    standalone: bool,
    /// Accepted
    #[arg(short = 'N', long)]
    no_initial_controllers: bool,
    /// Accepted
    #[arg(short = 'I', long, value_name = "CONTROLLERS")]
    initial_controllers: Option<String>,
    /// Accepted
    #[arg(short = 'r', long, value_name = "VERSION")]
    release_version: Option<String>,
    /// Accepted
    #[arg(short = 'f', long, value_name = "FEATURE")]
    feature: Vec<String>,
    /// Not supported: SCRAM users are made with the Admin API of a broker that runs
    #[arg(short = 'S', long, value_name = "SCRAM")]
    add_scram: Vec<String>,
}

#[derive(Debug, clap::Args)]
struct Info {
    /// The broker's server.properties
    #[arg(short = 'c', long, value_name = "FILE")]
    config: PathBuf,
}

/// The command line, for completions and manual pages.
pub(crate) fn command() -> clap::Command {
    Arguments::command()
}

pub(crate) fn run(line: Vec<OsString>, out: &mut dyn Write) -> Outcome {
    match Arguments::try_parse_from(line)?.command {
        Command::RandomUuid => writeln!(out, "{}", text::random_uuid())?,
        Command::Format(arguments) => {
            let directories = log_directories(&arguments.config)?;
            let id = &arguments.cluster_id;
            if text::parse_uuid(id).is_none() {
                return Err(Failure::new(format!(
                    "cluster id {id:?} is none: it must be 22 characters as `kafka-storage random-uuid` prints them"
                )));
            }
            if !arguments.add_scram.is_empty() {
                return Err(Failure::new(
                    "--add-scram: SCRAM users are made with the Admin API of a broker that runs; leave it out",
                ));
            }
            let directories = text::joined(directories);
            writeln!(out, "Nothing to format: the first start makes {directories}.")?;
        }
        Command::Info(arguments) => {
            writeln!(out, "Found log directory:")?;
            for directory in log_directories(&arguments.config)? {
                let state = if Path::new(&directory).exists() { "" } else { " (the first start makes it)" };
                writeln!(out, "  {directory}{state}")?;
            }
            writeln!(out)?;
        }
    }
    Ok(())
}

/// `log.dirs`, or what stands in for it.
fn log_directories(config: &Path) -> Outcome<Vec<String>> {
    let text = fs::read_to_string(config)
        .map_err(|error| Failure::new(format!("{} cannot be read: {error}", config.display())))?;
    let properties = options::read_properties(&text);
    let value =
        |wanted: &str| properties.iter().rev().find(|(key, _)| key == wanted).map(|(_, value)| value.clone());
    let directories = value("log.dirs").or_else(|| value("log.dir"));
    let directories = directories.unwrap_or_else(|| "./onelog-data".to_owned());
    Ok(directories.split(',').map(|directory| directory.trim().to_owned()).collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn said(words: &[&str]) -> Result<String, String> {
        let line =
            std::iter::once("kafka-storage").chain(words.iter().copied()).map(OsString::from).collect();
        let mut out = Vec::new();
        run(line, &mut out).map_err(|failure| failure.to_string())?;
        Ok(String::from_utf8(out).unwrap())
    }

    #[test]
    fn random_uuid_is_one_line_of_22_characters() {
        let id = said(&["random-uuid"]).unwrap();
        assert_eq!(id.len(), 23);
        assert!(text::parse_uuid(id.trim()).is_some());
    }

    #[test]
    fn format_refuses_what_kafka_refuses() {
        let missing =
            said(&["format", "-t", "5L6g3nShT-eMCtK--X86sw", "-c", "/no/such.properties"]).unwrap_err();
        assert!(missing.contains("/no/such.properties"), "{missing}");
        let manifest = concat!(env!("CARGO_MANIFEST_DIR"), "/Cargo.toml");
        assert!(said(&["format", "-t", "x", "-c", manifest]).unwrap_err().contains("cluster id"));
        let fine = said(&["format", "-t", "5L6g3nShT-eMCtK--X86sw", "-c", manifest, "--standalone"]).unwrap();
        assert!(fine.starts_with("Nothing to format"), "{fine}");
        assert!(said(&["format", "-c", manifest]).is_err());
    }
}
