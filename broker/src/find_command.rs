//! `onelog find`: records by key, from a stopped directory or from a running broker.
//!
//! Called by `main`. Exit code 0 when it could look, whether or not something was found.

use std::io::{self, Write};

use anyhow::Context as _;
use broker::config::{Config, Flag, HostPort, Sources};
use broker::find::{Answer, DEFAULT_LIMIT, KeySearch, MAX_LIMIT, ask};
use clap::Args;
use serde_json::Value;

/// `onelog find ...`
#[derive(Debug, Args)]
#[command(after_help = "Only topics with the config onelog.index.keys=true can be searched.\n\
    A stopped directory is opened as a broker opens it: a log that was not closed properly is recovered.")]
pub(crate) struct FindArguments {
    /// Topic to search
    #[arg(long, value_name = "TOPIC")]
    topic: String,
    /// Key of the records, as text
    #[arg(long, value_name = "KEY", required_unless_present = "key_hex", conflicts_with = "key_hex")]
    key: Option<String>,
    /// Key of the records, as hexadecimal digits
    #[arg(long, value_name = "DIGITS", value_parser = from_hex)]
    key_hex: Option<Bytes>,
    /// Only records with this timestamp or a later one, milliseconds since 1970
    #[arg(long, value_name = "MS", allow_negative_numbers = true)]
    from: Option<i64>,
    /// Only records with this timestamp or an earlier one, milliseconds since 1970
    #[arg(long, value_name = "MS", allow_negative_numbers = true)]
    to: Option<i64>,
    /// Records at most, the newest first
    #[arg(long, value_name = "N", default_value_t = DEFAULT_LIMIT, value_parser = limit)]
    limit: usize,
    /// One JSON object per line
    #[arg(long)]
    json: bool,
    /// Directory of the log of a stopped broker [default: ./onelog-data]
    #[arg(long, value_name = "DIR", conflicts_with = "admin")]
    data_dir: Option<String>,
    /// Where a running broker serves its admin endpoints
    #[arg(long, value_name = "HOST:PORT")]
    admin: Option<HostPort>,
}

/// Its own type, so that clap takes the option once and not a number at a time.
#[derive(Debug, Clone)]
struct Bytes(Vec<u8>);

/// Runs the command.
///
/// # Errors
/// A sentence for the user.
pub(crate) fn run(arguments: FindArguments) -> anyhow::Result<()> {
    let key = match (arguments.key, arguments.key_hex) {
        (Some(text), _) => text.into_bytes(),
        (None, key) => key.map_or_else(Vec::new, |key| key.0),
    };
    let search = KeySearch {
        topic: arguments.topic,
        key,
        from_ms: arguments.from,
        to_ms: arguments.to,
        limit: arguments.limit,
    };
    let answer = match arguments.admin {
        Some(address) => ask(&address, &search)?,
        None => {
            let flag = |value| Flag { name: "--data-dir", key: "log.dirs".to_owned(), value };
            let flags: Vec<Flag> = arguments.data_dir.map(flag).into_iter().collect();
            let (config, _) = Config::load(&Sources { flags: &flags, ..Sources::default() })?;
            search.run_in_directory(config)?
        }
    };
    match print(&answer, arguments.json) {
        // Who read the output has enough.
        Err(error) if error.kind() == io::ErrorKind::BrokenPipe => return Ok(()),
        printed => printed.context("standard output")?,
    }
    if answer.more {
        let enough = "there may be more, older records; raise --limit or lower --to";
        writeln!(io::stderr(), "{enough}").context("standard error")?;
    }
    Ok(())
}

fn print(answer: &Answer, json: bool) -> io::Result<()> {
    let mut out = io::BufWriter::new(io::stdout());
    if json {
        out.write_all(answer.lines.as_bytes())?;
        return out.flush();
    }
    for line in answer.lines.lines() {
        writeln!(out, "{}", text(&serde_json::from_str(line)?))?;
    }
    out.flush()
}

/// A record for a person.
fn text(record: &Value) -> String {
    let headers = record["headers"].as_array().into_iter().flatten();
    let headers: String =
        headers.map(|header| format!(" {}={}", shown(&header["key"]), shown(&header["value"]))).collect();
    format!(
        "partition {} offset {} timestamp {}{headers}: {}",
        record["partition"],
        record["offset"],
        record["timestamp"],
        shown(&record["value"])
    )
}

fn shown(bytes: &Value) -> String {
    match (bytes["text"].as_str(), bytes["hex"].as_str()) {
        (Some(text), _) => format!("{text:?}"),
        (None, Some(hex)) => format!("0x{hex}"),
        (None, None) => "null".to_owned(),
    }
}

fn from_hex(digits: &str) -> Result<Bytes, String> {
    let wrong = || "give an even number of hexadecimal digits".to_owned();
    let pairs = digits.as_bytes().chunks(2).map(|pair| {
        let pair = std::str::from_utf8(pair).ok().filter(|pair| pair.len() == 2)?;
        pair.bytes().all(|digit| digit.is_ascii_hexdigit()).then(|| u8::from_str_radix(pair, 16).ok())?
    });
    pairs.collect::<Option<Vec<u8>>>().map(Bytes).ok_or_else(wrong)
}

fn limit(value: &str) -> Result<usize, String> {
    let limit = value.parse().ok().filter(|limit| (1..=MAX_LIMIT).contains(limit));
    limit.ok_or_else(|| format!("give a number from 1 to {MAX_LIMIT}"))
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn keys_are_taken_as_hex_digits_too() {
        assert_eq!(from_hex("00fF7a").unwrap().0, [0, 255, 0x7a]);
        assert!(from_hex("").unwrap().0.is_empty());
        for wrong in ["0", "0g", "+1", "00 1", "é0"] {
            assert!(from_hex(wrong).is_err(), "{wrong}");
        }
    }

    #[test]
    fn record_is_one_line_for_a_person() {
        let record = json!({
            "partition": 1, "offset": 2, "timestamp": 3,
            "value": { "text": "a\nb", "bytes": 3 },
            "headers": [{ "key": { "text": "h", "bytes": 1 }, "value": null }],
        });
        assert_eq!(text(&record), "partition 1 offset 2 timestamp 3 \"h\"=null: \"a\\nb\"");
    }
}
