//! A real Prometheus with the configuration that we ship, and its own checker.

use std::fs::{self, File};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::Duration;

use anyhow::{Context as _, Result, ensure};
use compat_tests::process::{GuardedProcess, run_to_end, run_with_input};
use compat_tests::{clock, layout};
use serde_json::Value;

use super::{http, ours};

const LIMIT: Duration = Duration::from_secs(60);
/// The target in the configuration that we ship.
const SHIPPED_TARGET: &str = "127.0.0.1:9644";

/// See the module. Killed when dropped.
pub(crate) struct Prometheus {
    address: String,
    folder: PathBuf,
    _process: GuardedProcess,
}

impl Prometheus {
    /// Scrapes the broker behind `admin` every second.
    ///
    /// # Errors
    /// It does not start.
    pub(crate) fn start(programs: &Path, admin: &str) -> Result<Self> {
        let folder = layout::scratch_dir("prometheus")?;
        let shipped = ours::folder()?.join("prometheus");
        let config = fs::read_to_string(shipped.join("prometheus.yml"))?;
        ensure!(
            config.contains(SHIPPED_TARGET) && config.contains("_interval: 15s"),
            "another configuration"
        );
        let config = config.replace(SHIPPED_TARGET, admin).replace("_interval: 15s", "_interval: 1s");
        fs::write(folder.join("prometheus.yml"), config)?;
        fs::copy(shipped.join("onelog-alerts.yml"), folder.join("onelog-alerts.yml"))?;
        let address = format!("127.0.0.1:{}", compat_tests::broker::free_port()?);
        let log = File::create(layout::log_file("prometheus")?)?;
        let mut command = Command::new(programs.join("prometheus"));
        command.arg(format!("--config.file={}", folder.join("prometheus.yml").display()));
        command.arg(format!("--storage.tsdb.path={}", folder.join("data").display()));
        command.arg(format!("--web.listen-address={address}"));
        command.stdin(Stdio::null()).stdout(log.try_clone()?).stderr(log);
        let process = GuardedProcess::start(&mut command, Some(&folder))?;
        let ready = || Ok(http::get(&address, "/-/ready").ok());
        clock::poll_until(LIMIT, Duration::from_millis(100), ready)?.context("Prometheus does not start")?;
        Ok(Self { address, folder, _process: process })
    }

    /// How many series `query` has now.
    ///
    /// # Errors
    /// It is not understood.
    pub(crate) fn count(&self, query: &str) -> Result<usize> {
        let path = format!("/api/v1/query?query={}", http::encoded(query));
        let answer: Value =
            serde_json::from_str(&http::get(&self.address, &path).with_context(|| query.to_owned())?)?;
        Ok(answer["data"]["result"].as_array().context("an answer has a result")?.len())
    }

    /// # Errors
    /// A rule cannot be evaluated against what the broker shows, or was not yet after a while.
    pub(crate) fn rules_are_healthy(&self) -> Result<()> {
        let healthy = || {
            let answer: Value = serde_json::from_str(&http::get(&self.address, "/api/v1/rules")?)?;
            let groups = answer["data"]["groups"].as_array().context("there are rules")?;
            let rules: Vec<&Value> =
                groups.iter().filter_map(|group| group["rules"].as_array()).flatten().collect();
            ensure!(rules.len() > 10, "only {} rules", rules.len());
            let bad = rules.iter().find(|rule| rule["health"] == "err");
            ensure!(bad.is_none(), "a rule fails: {}", bad.map(ToString::to_string).unwrap_or_default());
            Ok(rules.iter().all(|rule| rule["health"] == "ok").then_some(()))
        };
        clock::poll_until(LIMIT, Duration::from_millis(200), healthy)?.context("rules were not evaluated")
    }
}

impl Drop for Prometheus {
    fn drop(&mut self) {
        fs::remove_dir_all(&self.folder).ok();
    }
}

/// `promtool` on the configuration, the alerts and their tests.
///
/// # Errors
/// What it finds.
pub(crate) fn check_rules(programs: &Path) -> Result<()> {
    let folder = ours::folder()?.join("prometheus");
    let checks: [&[&str]; 3] = [
        &["check", "config", "prometheus.yml"],
        &["check", "rules", "onelog-alerts.yml"],
        &["test", "rules", "onelog-alerts-test.yml"],
    ];
    for check in checks {
        run_to_end(Command::new(programs.join("promtool")).current_dir(&folder).args(check), LIMIT)?;
    }
    Ok(())
}

/// `promtool` on a page. Names that are not ours are as their first owners chose them.
///
/// # Errors
/// The page is not in the format, or one of our names is not as it should be.
pub(crate) fn check_page(programs: &Path, page: &str) -> Result<()> {
    let file = layout::scratch_dir("page")?.join("page");
    fs::write(&file, page)?;
    let mut command = Command::new(programs.join("promtool"));
    let result = run_with_input(command.args(["check", "metrics"]), File::open(&file)?.into(), LIMIT);
    fs::remove_dir_all(file.parent().context("it lies in a folder")?)?;
    let Err(error) = result else { return Ok(()) };
    let text = format!("{error:#}");
    let (_, findings) = text.split_once("exit status: 3:\n").with_context(|| text.clone())?;
    let foreign = |line: &str| line.starts_with("kafka_") || line.starts_with("redpanda_");
    let ours: Vec<&str> = findings.lines().filter(|line| !line.is_empty() && !foreign(line)).collect();
    ensure!(ours.is_empty(), "{}", ours.join("\n"));
    Ok(())
}
