//! The differential runner of `compat-tests`: the same frames to Apache Kafka and to Onelog.

use anyhow::Result;

use crate::{step, workspace};

/// Builds and runs it with `options`.
///
/// # Errors
/// It does not build, or something differs that is not known to be right.
pub(crate) fn run(options: &[String]) -> Result<()> {
    let mut command = workspace::cargo();
    command
        .args(["run", "--quiet", "--package", "compat-tests", "--bin", "differential", "--"])
        .args(options);
    step::run("differential", &mut command)
}
