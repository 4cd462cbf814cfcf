//! The options that all tools share, and the client made of them.

use std::fs;
use std::path::PathBuf;
use std::time::Duration;

use clap::Args;

use crate::client::{Client, Settings};
use crate::failure::{Failure, Outcome};

/// How to reach the brokers.
#[derive(Debug, Clone, Args)]
pub(crate) struct Connect {
    /// Brokers to ask first, comma-separated
    #[arg(long, value_name = "HOST:PORT[,HOST:PORT]", required = true)]
    pub(crate) bootstrap_server: String,
    /// File of client properties: client.id, request.timeout.ms and default.api.timeout.ms are used
    #[arg(long, value_name = "FILE")]
    pub(crate) command_config: Option<PathBuf>,
}

impl Connect {
    /// A client that has not connected yet.
    ///
    /// # Errors
    /// An address is none, or the file cannot be read or asks for what these tools do not have.
    pub(crate) fn client(&self) -> Outcome<Client> {
        client(&self.bootstrap_server, self.command_config.as_ref(), &[])
    }
}

/// The client for `bootstrap`, with the properties of `file` and then `properties` over it.
pub(crate) fn client(
    bootstrap: &str,
    file: Option<&PathBuf>,
    properties: &[(String, String)],
) -> Outcome<Client> {
    let mut settings = Settings::default();
    if let Some(path) = file {
        let text = fs::read_to_string(path)
            .map_err(|error| Failure::new(format!("{} cannot be read: {error}", path.display())))?;
        for (key, value) in read_properties(&text) {
            apply(&mut settings, &key, &value)
                .map_err(|failure| failure.in_words(&format!("{}: ", path.display())))?;
        }
    }
    for (key, value) in properties {
        apply(&mut settings, key, value)?;
    }
    Client::new(bootstrap, settings)
}

/// Client properties that do not concern these tools are let pass, as Kafka's clients do.
fn apply(settings: &mut Settings, key: &str, value: &str) -> Outcome {
    let millis = || {
        let wrong = || Failure::new(format!("{key}={value}: this must be a number of milliseconds"));
        value.trim().parse().map(Duration::from_millis).map_err(|_| wrong())
    };
    match key {
        "client.id" => value.clone_into(&mut settings.client_id),
        "default.api.timeout.ms" => settings.patience = millis()?,
        "request.timeout.ms" => settings.request_timeout = millis()?,
        "security.protocol" if !value.eq_ignore_ascii_case("PLAINTEXT") => {
            return Err(Failure::new(format!(
                "security.protocol={value}: these tools speak PLAINTEXT only; use a PLAINTEXT listener or Kafka's own tools"
            )));
        }
        _ => {}
    }
    Ok(())
}

/// `key=value` lines of a Java properties file; `:` separates too, `#` and `!` begin comments.
pub(crate) fn read_properties(text: &str) -> Vec<(String, String)> {
    text.lines()
        .map(str::trim)
        .filter(|line| !line.is_empty() && !line.starts_with(['#', '!']))
        .map(|line| match line.split_once(['=', ':']) {
            Some((key, value)) => (key.trim().to_owned(), value.trim().to_owned()),
            None => (line.to_owned(), String::new()),
        })
        .collect()
}

/// `key=value` of a repeated flag.
pub(crate) fn key_value(text: &str) -> Result<(String, String), String> {
    match text.split_once('=') {
        Some((key, value)) if !key.is_empty() => Ok((key.to_owned(), value.to_owned())),
        _ => Err("this must be KEY=VALUE".to_owned()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn properties_are_read_without_comments() {
        let read = read_properties("# a\n! b\nclient.id = me\nretries: 3\nflag\n");
        let pair = |key: &str, value: &str| (key.to_owned(), value.to_owned());
        assert_eq!(read, [pair("client.id", "me"), pair("retries", "3"), pair("flag", "")]);
    }

    #[test]
    fn security_that_the_tools_do_not_have_is_refused_in_words() {
        let mut settings = Settings::default();
        let refused = apply(&mut settings, "security.protocol", "SASL_SSL").unwrap_err().to_string();
        assert!(refused.contains("PLAINTEXT only"), "{refused}");
        apply(&mut settings, "security.protocol", "PLAINTEXT").unwrap();
        apply(&mut settings, "acks", "all").unwrap();
        assert!(apply(&mut settings, "request.timeout.ms", "soon").is_err());
    }
}
