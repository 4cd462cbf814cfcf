//! The test suites of client libraries and the programs of Kafka's ecosystem, `compat-tests/suites/NAME/run.sh`, each against
//! brokers of its own. Which tests of a library are left out or known to fail, and why, says `expected.txt` beside each.

use std::ffi::OsString;
use std::fs;
use std::path::PathBuf;

use anyhow::{Result, bail, ensure};

use crate::{Broker, step, suite, suite_results, workspace};

/// A suite as it is run by [`run_all`].
struct Suite {
    folder: &'static str,
    /// What it is called where its results are shown; nothing when they are shown in `docs/COMPATIBILITY.md`.
    title: Option<&'static str>,
    /// Told apart from another run of the same folder by this word and what is set for it.
    variant: Option<(&'static str, (&'static str, &'static str))>,
}

const ALL: &[Suite] = &[
    Suite { folder: "librdkafka", title: Some("librdkafka 2.12.1, smoke run"), variant: None },
    Suite { folder: "rust-rdkafka", title: Some("rust-rdkafka 0.39"), variant: None },
    Suite { folder: "franz-go", title: Some("franz-go 1.22.2, `pkg/kgo`"), variant: None },
    Suite {
        folder: "franz-go",
        title: Some("franz-go, its client cuts connections"),
        variant: Some(("chaos", ("KGO_TEST_CHAOS", "1"))),
    },
    Suite { folder: "kafka-go", title: Some("kafka-go 0.4.49"), variant: None },
    Suite {
        folder: "verifier",
        title: Some("our own reading tests with franz-go (`verifier`)"),
        variant: None,
    },
    Suite { folder: "ecosystem", title: None, variant: None },
];

impl Suite {
    /// The script's name of a run, which names its logs and its file of results.
    fn run_name(&self, broker: Broker, round: u32) -> String {
        let variant = self.variant.map(|(word, _)| format!("-{word}")).unwrap_or_default();
        format!("{}{variant}-{round}", broker.name())
    }

    fn results(&self, broker: Broker, round: u32) -> Result<PathBuf> {
        let file = format!("{}.txt", self.run_name(broker, round));
        Ok(workspace::target_dir()?.join("suites").join(self.folder).join(file))
    }

    /// Runs it `rounds` times and leaves the results of those runs only.
    fn run(&self, broker: Broker, rounds: u32, binary: Option<&OsString>) -> Result<()> {
        for round in 1..=MOST_ROUNDS {
            let former = self.results(broker, round)?;
            if former.exists() {
                fs::remove_file(former)?;
            }
        }
        let mut outcome = Ok(());
        for round in 1..=rounds {
            let mut options = Vec::new();
            if self.title.is_some() {
                options = vec!["--run".to_owned(), self.run_name(broker, round)];
            }
            let variable = self.variant.map(|(_, variable)| variable);
            outcome = outcome.and(one(self.folder, variable, broker, binary, &options));
        }
        outcome
    }
}

/// Bounds the numbers that results are looked for under.
const MOST_ROUNDS: u32 = 9;

/// Runs one suite with `options` for its script.
///
/// # Errors
/// There is no such suite, or something is not as expected.
pub(crate) fn run(name: &str, broker: Broker, options: &[String]) -> Result<()> {
    require(name)?;
    let binary = built(broker)?;
    one(name, None, broker, binary.as_ref(), options)
}

/// Runs those of `chosen`, or all of them, the one for franz-go also with a client that cuts its own connections.
///
/// # Errors
/// There is no such suite, or something is not as expected in any of them; the others are run all the same.
pub(crate) fn run_all(broker: Broker, rounds: u32, chosen: &[String]) -> Result<()> {
    ensure!((1..=MOST_ROUNDS).contains(&rounds), "--rounds is {rounds}: it must be 1 to {MOST_ROUNDS}");
    chosen.iter().try_for_each(|name| require(name))?;
    let binary = built(broker)?;
    let mut failed = Vec::new();
    for suite in
        ALL.iter().filter(|suite| chosen.is_empty() || chosen.iter().any(|name| name == suite.folder))
    {
        if let Err(error) = suite.run(broker, rounds, binary.as_ref()) {
            step::say(&format!("{error:#}"));
            failed.push(suite.folder);
        }
    }
    if !failed.is_empty() {
        bail!("not as expected: {}", failed.join(", "));
    }
    Ok(())
}

/// Writes `docs/SUITES.md` from the results of the last [`run_all`] against both brokers.
///
/// # Errors
/// A suite has no results of a broker, or the file cannot be written.
pub(crate) fn write_table() -> Result<()> {
    step::announce("suites-table", "results of the last runs to docs/SUITES.md");
    step::timed("suites-table", || {
        let mut suites = Vec::new();
        for suite in ALL {
            let Some(title) = suite.title else { continue };
            let runs = |broker| -> Result<Vec<suite_results::Run>> {
                let mut runs = Vec::new();
                for round in 1..=MOST_ROUNDS {
                    let file = suite.results(broker, round)?;
                    if file.exists() {
                        runs.push(suite_results::Run::parse(&fs::read_to_string(file)?)?);
                    }
                }
                ensure!(!runs.is_empty(), "{title} has no results on {}: run `suites`", broker.name());
                Ok(runs)
            };
            suites.push(suite_results::Suite {
                title,
                onelog: runs(Broker::Onelog)?,
                kafka: runs(Broker::Kafka)?,
                expected: fs::read_to_string(folder().join(suite.folder).join("expected.txt"))?,
            });
        }
        fs::write(workspace::root().join("docs").join("SUITES.md"), suite_results::markdown(&suites))?;
        Ok(())
    })
}

fn require(name: &str) -> Result<()> {
    let known = names()?;
    ensure!(
        known.iter().any(|each| each == name),
        "there is no suite {name}; there are: {}",
        known.join(", ")
    );
    Ok(())
}

fn built(broker: Broker) -> Result<Option<OsString>> {
    match broker {
        Broker::Onelog => suite::build_broker().map(Some),
        Broker::Kafka => Ok(None),
    }
}

fn one(
    name: &str,
    variable: Option<(&str, &str)>,
    broker: Broker,
    binary: Option<&OsString>,
    options: &[String],
) -> Result<()> {
    let mut command = std::process::Command::new("bash");
    command.arg(folder().join(name).join("run.sh")).args(["--broker", broker.name()]).args(options);
    command.envs(variable);
    if let Some(binary) = binary {
        command.env("ONELOG_BIN", binary);
    }
    step::run(&format!("suite {name}"), &mut command)
}

fn folder() -> PathBuf {
    workspace::root().join("compat-tests").join("suites")
}

fn names() -> Result<Vec<String>> {
    let mut names = Vec::new();
    for entry in fs::read_dir(folder())? {
        let entry = entry?;
        if entry.path().join("run.sh").exists() {
            names.push(entry.file_name().to_string_lossy().into_owned());
        }
    }
    names.sort();
    Ok(names)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_suite_is_run_by_all_and_there_is_no_other() {
        let mut all: Vec<&str> = ALL.iter().map(|suite| suite.folder).collect();
        all.dedup();
        all.sort_unstable();
        assert_eq!(names().unwrap(), all);
    }
}
