//! The test suites of client libraries and the programs of Kafka's ecosystem, `compat-tests/suites/NAME/run.sh`, each against
//! brokers of its own. Which tests of a library are left out or known to fail, and why, says `expected.txt` beside each.

use std::fs;

use anyhow::{Result, bail, ensure};

use crate::{Broker, step, suite, workspace};

/// A suite as it is run by [`run_all`]: its folder and what is set for it.
const ALL: &[(&str, &[(&str, &str)])] = &[
    ("librdkafka", &[]),
    ("rust-rdkafka", &[]),
    ("franz-go", &[]),
    ("franz-go", &[("KGO_TEST_CHAOS", "1")]),
    ("kafka-go", &[]),
    ("verifier", &[]),
    ("ecosystem", &[]),
];

/// Runs one suite with `options` for its script.
///
/// # Errors
/// There is no such suite, or something is not as expected.
pub(crate) fn run(name: &str, broker: Broker, options: &[String]) -> Result<()> {
    let known = names()?;
    ensure!(
        known.iter().any(|each| each == name),
        "there is no suite {name}; there are: {}",
        known.join(", ")
    );
    let binary = built(broker)?;
    one(name, &[], broker, binary.as_ref(), options)
}

/// Runs all of them, the one for franz-go also with a client that cuts its own connections.
///
/// # Errors
/// Something is not as expected in any of them; the others are run all the same.
pub(crate) fn run_all(broker: Broker) -> Result<()> {
    let binary = built(broker)?;
    let mut failed = Vec::new();
    for (name, variables) in ALL {
        if let Err(error) = one(name, variables, broker, binary.as_ref(), &[]) {
            step::say(&format!("{error:#}"));
            failed.push(*name);
        }
    }
    if !failed.is_empty() {
        bail!("not as expected: {}", failed.join(", "));
    }
    Ok(())
}

fn built(broker: Broker) -> Result<Option<std::ffi::OsString>> {
    match broker {
        Broker::Onelog => suite::build_broker().map(Some),
        Broker::Kafka => Ok(None),
    }
}

fn one(
    name: &str,
    variables: &[(&str, &str)],
    broker: Broker,
    binary: Option<&std::ffi::OsString>,
    options: &[String],
) -> Result<()> {
    let mut command = std::process::Command::new("bash");
    command.arg(folder().join(name).join("run.sh")).args(["--broker", broker.name()]).args(options);
    command.envs(variables.iter().copied());
    if let Some(binary) = binary {
        command.env("ONELOG_BIN", binary);
    }
    step::run(&format!("suite {name}"), &mut command)
}

fn folder() -> std::path::PathBuf {
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
        let mut all: Vec<&str> = ALL.iter().map(|(name, _)| *name).collect();
        all.dedup();
        all.sort_unstable();
        assert_eq!(names().unwrap(), all);
    }
}
