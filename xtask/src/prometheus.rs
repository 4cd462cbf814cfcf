//! What a real Prometheus makes of the pages, the dashboard and the alerts: the tests of `compat-tests/tests/prometheus.rs`,
//! those too that `test` leaves out.
//!
//! Not part of `test`: Prometheus is fetched (20 MB) where the machine has none.

use anyhow::Result;

use crate::{suite, workspace};

/// Runs all of them against the release binary.
///
/// # Errors
/// Prometheus cannot be had, or a query has no data, a rule or a page is not as it should be.
pub(crate) fn run() -> Result<()> {
    let binary = suite::build_broker()?;
    let mut command = workspace::cargo();
    command.args(["test", "--package", "compat-tests", "--test", "prometheus", "--"]);
    suite::run_counted(
        "prometheus",
        command.args(["--include-ignored", "--nocapture"]).env("ONELOG_BIN", binary),
    )
}
