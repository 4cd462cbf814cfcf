//! `onelog config print`: what a broker that is started the same way would take for its configuration, and from where.

use std::io::{self, IsTerminal as _, Write as _};

use anyhow::Context as _;
use broker::config::{Config, KEYS, Role};
use clap::{Args, Subcommand};
use serde_json::json;

use crate::server_arguments::ServerArguments;

/// Shows the configuration.
#[derive(Debug, Args)]
pub(crate) struct ConfigArguments {
    #[command(subcommand)]
    verb: Verb,
}

#[derive(Debug, Subcommand)]
enum Verb {
    /// Print what is set in the file, the environment and by flags, with the place of each value
    Print {
        /// Every key, those that are not set with their defaults
        #[arg(long)]
        effective: bool,
        /// One JSON object per line
        #[arg(long)]
        json: bool,
        #[command(flatten)]
        server: Box<ServerArguments>,
    },
}

/// # Errors
/// A configuration that no broker would start with; standard output that cannot be written.
pub(crate) fn run(arguments: ConfigArguments) -> anyhow::Result<()> {
    let Verb::Print { effective, json, server } = arguments.verb;
    let (config, notices) = server.load(&[])?;
    for notice in notices.iter().filter(|notice| notice.warning) {
        writeln!(io::stderr(), "warning: {}", notice.text).context("standard error")?;
    }
    match print(&config, effective, json) {
        // Who read the output has enough.
        Err(error) if error.kind() == io::ErrorKind::BrokenPipe => Ok(()),
        printed => printed.context("standard output"),
    }
}

fn print(config: &Config, effective: bool, as_json: bool) -> io::Result<()> {
    let mut out = io::BufWriter::new(io::stdout());
    let for_a_person =
        io::stdout().is_terminal() && std::env::var_os("NO_COLOR").is_none_or(|set| set.is_empty());
    let (faint, plain) = if for_a_person { ("\x1b[2m", "\x1b[0m") } else { ("", "") };
    for key in KEYS {
        let origin = config.origins.get(key.name);
        if origin.is_none() && !effective {
            continue;
        }
        let value = config.value(key.name);
        let place = origin.map_or_else(|| "default".to_owned(), ToString::to_string);
        if as_json {
            let used = key.role == Role::Used;
            let line = json!({ "key": key.name, "value": value, "origin": place, "used": used });
            writeln!(out, "{line}")?;
        } else {
            let unused = if key.role == Role::Used { "" } else { ", has no effect here" };
            writeln!(out, "{}={}  {faint}# {place}{unused}{plain}", key.name, value.unwrap_or_default())?;
        }
    }
    out.flush()
}
