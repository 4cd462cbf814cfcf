//! The differences that are right, each with its reason: lines of `compat-tests/differential/known.txt`,
//! `SCENARIO | FRAME | PATH | REASON`. A star stands for anything.
//!
//! Invariant: a line that explains nothing any more is reported, so that the list stays true.

use std::cell::Cell;
use std::path::Path;

use anyhow::{Context as _, Result, bail, ensure};

/// One line.
#[derive(Debug)]
struct Entry {
    line: usize,
    scenario: String,
    frame: String,
    path: String,
    used: Cell<bool>,
}

/// All lines.
#[derive(Debug)]
pub struct Known(Vec<Entry>);

impl Known {
    /// Reads `known.txt`.
    ///
    /// # Errors
    /// It is missing, or a line has no reason.
    pub fn read(folder: &Path) -> Result<Self> {
        let text = std::fs::read_to_string(folder.join("known.txt")).context("known.txt")?;
        Self::parse(&text).context("known.txt")
    }

    fn parse(text: &str) -> Result<Self> {
        let mut entries = Vec::new();
        for (index, line) in text.lines().enumerate() {
            if line.trim().is_empty() || line.starts_with('#') {
                continue;
            }
            let parts: Vec<_> = line.split(" | ").map(str::trim).collect();
            let [scenario, frame, path, reason] = parts[..] else {
                bail!("line {}: not SCENARIO | FRAME | PATH | REASON", index + 1)
            };
            ensure!(reason.len() > 10, "line {}: no reason", index + 1);
            let [scenario, frame, path] = [scenario, frame, path].map(str::to_owned);
            entries.push(Entry { line: index + 1, scenario, frame, path, used: Cell::new(false) });
        }
        Ok(Self(entries))
    }

    /// Whether a line explains this difference.
    #[must_use]
    pub fn explains(&self, scenario: &str, frame: &str, path: &str) -> bool {
        let entry = self.0.iter().find(|entry| {
            matches(&entry.scenario, scenario) && matches(&entry.frame, frame) && matches(&entry.path, path)
        });
        if let Some(entry) = entry {
            entry.used.set(true);
        }
        entry.is_some()
    }

    /// The numbers of lines that explained nothing, among those about `played` scenarios.
    #[must_use]
    pub fn unused(&self, played: &[&str]) -> Vec<usize> {
        let about = |entry: &&Entry| played.iter().any(|title| matches(&entry.scenario, title));
        let unused = self.0.iter().filter(|entry| !entry.used.get()).filter(about);
        unused.map(|entry| entry.line).collect()
    }
}

/// Whether `text` is `pattern`, in which a star stands for any number of letters.
fn matches(pattern: &str, text: &str) -> bool {
    let Some((head, rest)) = pattern.split_once('*') else { return pattern == text };
    let Some(after) = text.strip_prefix(head) else { return false };
    after
        .char_indices()
        .map(|(place, _)| place)
        .chain([after.len()])
        .any(|place| matches(rest, &after[place..]))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn stars_stand_for_anything_and_idle_lines_are_named() {
        let known = Known::parse(
            "# title\n* | Metadata v* | topics.*.errorCode | it is created at once\n\
             one | Fetch v4 | a | never met in this test\nother | x | y | another scenario",
        )
        .unwrap();
        assert!(known.explains("one", "Metadata v9", "topics.10.errorCode"));
        assert!(!known.explains("one", "Metadata v9", "topics.10.name"));
        assert_eq!(known.unused(&["one"]), [3]);
        Known::parse("a | b | c | ").unwrap_err();
    }
}
