//! The benchmark: builds the broker and the load generator as users would run them, and starts the latter.
//!
//! What is measured and how is `bench/`'s business; this room knows only where things are.

use anyhow::Result;

use crate::{step, suite, workspace};

/// Runs the benchmark with `arguments`, which `bench` itself understands.
///
/// # Errors
/// Something does not build, or a row fails.
pub(crate) fn run(arguments: &[String]) -> Result<()> {
    let broker = suite::build_broker()?;
    step::run("bench", workspace::cargo().args(["build", "--release", "--package", "bench"]))?;
    let target = workspace::target_dir()?;
    let mut command = std::process::Command::new(target.join("release").join("bench"));
    command.args(arguments).arg("--onelog").arg(broker).arg("--folder").arg(target.join("bench"));
    let pom = workspace::root().join("compat-tests").join("drivers").join("kafka").join("pom.xml");
    command
        .arg("--kafka-pom")
        .arg(pom)
        .arg("--kfake-module")
        .arg(workspace::root().join("bench").join("kfake"));
    command.arg("--table").arg(workspace::root().join("docs").join("BENCHMARKS.md"));
    step::run("measure", &mut command)
}
