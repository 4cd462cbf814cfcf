//! The client tests by themselves, against Onelog or against Apache Kafka, and the table of their results.

use std::fs;
use std::process::Stdio;

use anyhow::{Context as _, Result, ensure};

use crate::{Broker, step, suite, toolchains, workspace};

/// Runs the tests of one client, or of all and of Kafka's own tools.
///
/// # Errors
/// There is no such client, or a test fails.
pub(crate) fn run(broker: Broker, client: Option<&str>) -> Result<()> {
    let known = test_targets()?;
    let wanted = match client.map(|name| name.replace('-', "_")) {
        None => known,
        Some(name) => {
            ensure!(known.contains(&name), "there is no client {name}; there are: {}", known.join(", "));
            vec![name]
        }
    };
    toolchains::require_all()?;
    let mut command = workspace::cargo();
    // The whole workspace with named targets, not one package: the same features, so nothing is built twice.
    command.args(["test", "--workspace", "--no-fail-fast"]);
    for target in &wanted {
        command.args(["--test", target]);
    }
    match broker {
        Broker::Onelog => command.env("COMPAT_BROKER", "onelog").env("ONELOG_BIN", suite::build_broker()?),
        Broker::Kafka => command.env("COMPAT_BROKER", "kafka"),
    };
    suite::run_counted("compat", &mut command)
}

/// Writes `docs/COMPATIBILITY.md` from the results of the last runs against both brokers.
///
/// # Errors
/// A broker has no results yet, or the file cannot be written.
pub(crate) fn write_table() -> Result<()> {
    step::announce("compat-table", "results of the last runs to docs/COMPATIBILITY.md");
    step::timed("compat-table", || {
        let arguments = ["run", "--quiet", "--package", "compat-tests", "--bin", "compat-table"];
        let output = workspace::cargo().args(arguments).stderr(Stdio::inherit()).output()?;
        ensure!(output.status.success(), "compat-table ended with {}", output.status);
        let tables = String::from_utf8(output.stdout).context("the table is text")?;
        let text = format!("{HEAD}\n{}\n", tables.trim_end());
        fs::write(workspace::root().join("docs").join("COMPATIBILITY.md"), text)?;
        Ok(())
    })
}

const HEAD: &str = "\
# Compatibility

Which cases pass with which client, on Onelog and on Apache Kafka. The same cases run on both, so a case that fails on
both says nothing about Onelog. Written by `cargo xtask compat-table` after `cargo xtask compat` and
`cargo xtask compat --broker kafka`; not edited by hand.
";

fn test_targets() -> Result<Vec<String>> {
    let mut names = Vec::new();
    for entry in fs::read_dir(workspace::root().join("compat-tests").join("tests"))? {
        let path = entry?.path();
        let name = path.file_stem().map(|stem| stem.to_string_lossy().into_owned());
        // What attacks the broker or watches it is no client, and is only ever aimed at Onelog.
        if path.extension().is_some_and(|extension| extension == "rs") {
            names.extend(name.filter(|name| {
                !["hostile_frames", "kafka_tools_compared", "prometheus", "test_mode"]
                    .contains(&name.as_str())
            }));
        }
    }
    names.sort();
    Ok(names)
}
