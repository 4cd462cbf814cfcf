//! All tests of the workspace. The clients of `compat-tests` drive the release binary, the one that users run; everything
//! else is built and tested in the dev profile, with debug assertions.
//!
//! Invariant: the last line says how many tests passed and failed, and a run of no test is a failure.

use std::ffi::OsString;

use anyhow::{Result, ensure};

use crate::{step, workspace};

/// Builds the broker, then runs every test of every crate.
///
/// # Errors
/// Something does not build, or a test fails.
pub(crate) fn all() -> Result<()> {
    let binary = build_broker()?;
    let mut command = workspace::cargo();
    command.args(["test", "--workspace", "--no-fail-fast"]).env("ONELOG_BIN", binary);
    run_counted("test", &mut command)
}

/// Builds the binary that users run, with the words of the README so that cargo builds it once for both, and returns its
/// path.
///
/// # Errors
/// It does not build.
pub(crate) fn build_broker() -> Result<OsString> {
    let arguments = ["build", "--release", "--bin", "onelog"];
    step::run("broker", workspace::cargo().args(arguments))?;
    Ok(workspace::target_dir()?.join("release").join("onelog").into_os_string())
}

/// Runs a `cargo test` command and closes with the sum of its results.
///
/// # Errors
/// A test fails, or none ran.
pub(crate) fn run_counted(name: &str, command: &mut std::process::Command) -> Result<()> {
    let mut total = Counts::default();
    let outcome = step::run_reading(name, command, |line| total.add(line));
    let Counts { passed, failed, ignored } = total;
    step::say(&format!("\n{passed} passed, {failed} failed, {ignored} skipped"));
    outcome?;
    ensure!(passed > 0, "no test ran");
    Ok(())
}

/// Sums of the lines with which each test binary closes.
#[derive(Debug, Default, PartialEq, Eq)]
struct Counts {
    passed: u64,
    failed: u64,
    ignored: u64,
}

impl Counts {
    /// Adds a line such as `test result: ok. 3 passed; 0 failed; 1 ignored; 0 measured; 0 filtered out`.
    fn add(&mut self, line: &str) {
        let Some(results) = line.strip_prefix("test result: ") else { return };
        for part in results.split([';', '.']) {
            let mut words = part.split_whitespace();
            let (Some(Ok(count)), Some(what)) = (words.next().map(str::parse::<u64>), words.next()) else {
                continue;
            };
            match what {
                "passed" => self.passed += count,
                "failed" => self.failed += count,
                "ignored" => self.ignored += count,
                _ => {}
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn results_of_all_test_binaries_are_summed() {
        let mut counts = Counts::default();
        for line in [
            "running 4 tests",
            "test result: ok. 3 passed; 0 failed; 1 ignored; 0 measured; 0 filtered out; finished in 0.10s",
            "test silly ... test result: ok. 9 passed; 9 failed",
            "test result: FAILED. 10 passed; 2 failed; 0 ignored; 0 measured; 5 filtered out; finished in 1.25s",
        ] {
            counts.add(line);
        }
        assert_eq!(counts, Counts { passed: 13, failed: 2, ignored: 1 });
    }
}
