//! The broker on file systems that lose power, fail to write back, or fill up: `power_loop` of `compat-tests`, aimed at the
//! release binary.
//!
//! Not part of `test`: it needs root, and says SKIPPED without it.

use anyhow::Result;

use crate::{step, suite, workspace};

/// Builds the broker and runs one test of `power_loop` with `options`.
///
/// # Errors
/// Something acknowledged is lost, or a negative control loses nothing.
pub(crate) fn run(test: &str, options: &[String]) -> Result<()> {
    let binary = suite::build_broker()?;
    let mut command = workspace::cargo();
    command.args(["run", "--quiet", "--package", "compat-tests", "--bin", "power_loop", "--", test]);
    step::run(test, command.args(options).env("ONELOG_BIN", binary))
}
