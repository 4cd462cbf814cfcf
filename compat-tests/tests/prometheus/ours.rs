//! The dashboard and the alerts of the folder `grafana`.

use std::collections::BTreeSet;
use std::fs;
use std::path::PathBuf;

use anyhow::{Context as _, Result, ensure};
use compat_tests::layout;
use serde_json::Value;

/// What Grafana puts in for `$__rate_interval` when Prometheus scrapes every second.
const RATE_INTERVAL: &str = "20s";
const PREFIXES: [&str; 3] = ["onelog_", "kafka_", "process_"];

/// `grafana` at the top of the repository.
pub(crate) fn folder() -> Result<PathBuf> {
    let top = layout::crate_dir().parent().map(|top| top.join("grafana"));
    top.context("the crate lies in a workspace")
}

/// Every query of the dashboard's panels, with its variables as Grafana resolves them for All.
///
/// # Errors
/// The dashboard cannot be read, or a variable is left.
pub(crate) fn queries() -> Result<Vec<String>> {
    let dashboard: Value =
        serde_json::from_str(&fs::read_to_string(folder()?.join("dashboards").join("onelog.json"))?)?;
    let panels = dashboard["panels"].as_array().context("the dashboard has panels")?;
    let mut queries = Vec::new();
    for target in panels.iter().filter_map(|panel| panel["targets"].as_array()).flatten() {
        let mut query = target["expr"].as_str().context("a target has a query")?.to_owned();
        for variable in ["$job", "$instance", "$topic", "$group"] {
            query = query.replace(&format!("\"{variable}\""), "\".*\"");
        }
        query = query.replace("$__rate_interval", RATE_INTERVAL);
        ensure!(!query.contains("\"$") || query.contains("\"$1\""), "a variable is left in {query}");
        queries.push(query);
    }
    ensure!(queries.len() > 40, "only {} queries", queries.len());
    Ok(queries)
}

/// The metrics that the dashboard and the alerts name.
///
/// # Errors
/// A file cannot be read.
pub(crate) fn metrics_asked_for() -> Result<BTreeSet<String>> {
    let alerts = fs::read_to_string(folder()?.join("prometheus").join("onelog-alerts.yml"))?;
    let mut names = BTreeSet::new();
    for text in queries()?.iter().chain([&alerts]) {
        // Every selector has braces: what stands before one is a metric.
        let pieces = text.split('{').map(|piece| {
            let start =
                piece.rfind(|it: char| !(it.is_ascii_alphanumeric() || it == '_')).map_or(0, |at| at + 1);
            &piece[start..]
        });
        let known = |name: &&str| PREFIXES.iter().any(|prefix| name.starts_with(prefix));
        names.extend(pieces.filter(known).map(str::to_owned));
    }
    Ok(names)
}
