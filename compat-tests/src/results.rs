//! What became of each case: one JSON line per run in `target/compat/results-<broker>.jsonl`, and the Markdown table
//! that `compat-table` makes of them. The newest line of a case counts.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::fs::File;
use std::io::Write as _;
use std::path::Path;

use anyhow::{Context as _, Result};
use serde::{Deserialize, Serialize};

use crate::broker::BrokerKind;
use crate::layout;

/// The column of the cases that are not any client's: Kafka's own command line tools.
pub const KAFKA_TOOLS: &str = "kafka-tools-4.3.1";

/// The column of whole programs: Kafka Streams, Connect, MirrorMaker 2 and the like.
pub const ECOSYSTEM: &str = "ecosystem-4.3.1";

/// How a case ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Outcome {
    /// It passed.
    Ok,
    /// It failed.
    Failed,
    /// The client cannot do it with any broker, or not with this one; the detail says why.
    Unsupported,
}

/// One run of one case.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct CaseResult {
    /// The client, or [`KAFKA_TOOLS`].
    pub client: String,
    /// Its library and version as it reports itself.
    pub library: String,
    /// The case.
    pub case: String,
    /// How it ended.
    pub outcome: Outcome,
    /// The reason when it is not ok.
    pub detail: String,
    /// How long it took.
    pub seconds: f64,
}

/// Appends one result to the broker's file.
///
/// # Errors
/// The file cannot be written.
pub fn append(broker: BrokerKind, result: &CaseResult) -> Result<()> {
    let path = layout::cache_dir()?.join(format!("results-{}.jsonl", broker.name()));
    let line = format!("{}\n", serde_json::to_string(result)?);
    // One write in append mode: test binaries that run at the same time do not tear each other's lines.
    File::options().create(true).append(true).open(path)?.write_all(line.as_bytes())?;
    Ok(())
}

/// The newest result of each client and case in a results file, in the order of the file.
///
/// # Errors
/// The file cannot be read or is not made of results.
pub fn read(path: &Path) -> Result<Vec<CaseResult>> {
    let text = std::fs::read_to_string(path)
        .with_context(|| format!("no results at {}: run the tests first", path.display()))?;
    let mut newest: Vec<CaseResult> = Vec::new();
    for line in text.lines() {
        let result: CaseResult =
            serde_json::from_str(line).with_context(|| format!("not a result: {line}"))?;
        match newest.iter_mut().find(|old| old.client == result.client && old.case == result.case) {
            Some(old) => *old = result,
            None => newest.push(result),
        }
    }
    Ok(newest)
}

/// The results against one broker as Markdown: cases down, clients across, then the reasons.
#[must_use]
pub fn markdown(broker: &str, results: &[CaseResult], clients: &[&str], cases: &[&str]) -> String {
    let cells: BTreeMap<(&str, &str), &CaseResult> =
        results.iter().map(|result| ((result.client.as_str(), result.case.as_str()), result)).collect();
    let mut notes = Vec::new();
    let mut text = format!("## {broker}\n\n| case |");
    for client in clients {
        write!(text, " {client} |").ok();
    }
    text.push_str("\n|---|");
    text.push_str(&"---|".repeat(clients.len()));
    text.push('\n');
    for case in cases {
        write!(text, "| {} |", case.replace('_', " ")).ok();
        for client in clients {
            let cell =
                cells.get(&(*client, *case)).map_or("not run".to_owned(), |result| cell(result, &mut notes));
            write!(text, " {cell} |").ok();
        }
        text.push('\n');
    }
    if !notes.is_empty() {
        text.push('\n');
        text.push_str(&notes.concat());
    }
    let total = |outcome| results.iter().filter(|result| result.outcome == outcome).count();
    writeln!(
        text,
        "\n{} ok, {} failed, {} unsupported by the client.",
        total(Outcome::Ok),
        total(Outcome::Failed),
        total(Outcome::Unsupported)
    )
    .ok();
    text
}

fn cell(result: &CaseResult, notes: &mut Vec<String>) -> String {
    let word = match result.outcome {
        Outcome::Ok => return "ok".to_owned(),
        Outcome::Failed => "**failed**",
        Outcome::Unsupported => "unsupported",
    };
    let number = notes.len() + 1;
    let reason = result.detail.lines().next().unwrap_or_default();
    notes.push(format!("{number}. {}, {}: {reason}\n", result.client, result.case.replace('_', " ")));
    format!("{word} ({number})")
}

#[cfg(test)]
mod tests {
    use super::{CaseResult, Outcome, markdown};

    #[test]
    fn table_shows_every_case_of_every_client_and_why_it_is_not_ok() {
        let result = |client: &str, case: &str, outcome, detail: &str| CaseResult {
            client: client.to_owned(),
            library: String::new(),
            case: case.to_owned(),
            outcome,
            detail: detail.to_owned(),
            seconds: 1.0,
        };
        let results = [
            result("a", "one_case", Outcome::Ok, ""),
            result("b", "one_case", Outcome::Failed, "it broke\nat length"),
            result("a", "other_case", Outcome::Unsupported, "it cannot"),
        ];
        let table = markdown("broker", &results, &["a", "b"], &["one_case", "other_case"]);
        assert!(table.contains("| one case | ok | **failed** (1) |"), "{table}");
        assert!(table.contains("| other case | unsupported (2) | not run |"), "{table}");
        assert!(table.contains("1. b, one case: it broke\n"), "{table}");
        assert!(table.contains("1 ok, 1 failed, 1 unsupported"), "{table}");
    }
}
