//! What Prometheus and Grafana find: every series that stock dashboards ask for is on the pages, every metric of our own
//! dashboard and alerts exists, and a real Prometheus that scrapes a loaded broker answers every query with data.
//!
//! The last needs Prometheus and is run by `cargo xtask prometheus`. Only ever aimed at Onelog.

#[path = "prometheus/exposition.rs"]
mod exposition;
#[path = "prometheus/http.rs"]
mod http;
#[path = "prometheus/load.rs"]
mod load;
#[path = "prometheus/ours.rs"]
mod ours;
#[path = "prometheus/server.rs"]
mod server;
#[path = "prometheus/stock.rs"]
mod stock;

use std::collections::BTreeMap;
use std::time::Duration;

use anyhow::{Context as _, Result, ensure};
use compat_tests::clock;

use exposition::Page;
use load::LoadedBroker;
use server::Prometheus;
use stock::Need;

/// Everything has been produced, fetched and committed at least once long before.
const LIMIT: Duration = Duration::from_secs(60);
const PAUSE: Duration = Duration::from_millis(500);

/// Calls `missing` until nothing is.
fn until_nothing_is_missing(mut missing: impl FnMut() -> Result<Vec<String>>) -> Result<()> {
    let mut last = Vec::new();
    clock::poll_until(LIMIT, PAUSE, || {
        last = missing()?;
        Ok(last.is_empty().then_some(()))
    })?
    .with_context(|| format!("without data after {LIMIT:?}:\n{}", last.join("\n")))
}

#[test]
fn series_that_stock_dashboards_ask_for_are_on_the_pages() -> Result<()> {
    let (needs, absent) = stock::read()?;
    let broker = LoadedBroker::start()?;
    until_nothing_is_missing(|| {
        let pages = broker.pages()?;
        let unmet = |need: &&Need| !pages.get(need.page.as_str()).is_some_and(|page| need.is_met_by(page));
        Ok(needs.iter().filter(unmet).map(ToString::to_string).collect())
    })?;
    let pages = broker.pages()?;
    for metric in absent {
        let shown = pages.values().any(|page| page.has(&metric));
        ensure!(!shown, "{metric} is there now: give its labels in stock_dashboards.txt");
    }
    Ok(())
}

#[test]
fn every_metric_of_our_dashboard_and_alerts_exists() -> Result<()> {
    let names = ours::metrics_asked_for()?;
    ensure!(names.len() > 40, "only {names:?} are asked for");
    let broker = LoadedBroker::start()?;
    until_nothing_is_missing(|| {
        let page = broker.page("/metrics")?;
        Ok(names.iter().filter(|name| !page.has(name)).cloned().collect())
    })
}

#[test]
#[ignore = "needs Prometheus: cargo xtask prometheus"]
fn a_real_prometheus_answers_every_query_with_data() -> Result<()> {
    let folder = compat_tests::setup::prometheus()?;
    server::check_rules(&folder)?;
    let broker = LoadedBroker::start()?;
    let prometheus = Prometheus::start(&folder, &broker.admin)?;
    let (needs, _) = stock::read()?;
    let mut queries: Vec<(String, String)> =
        ours::queries()?.into_iter().map(|query| ("onelog".to_owned(), query)).collect();
    for need in &needs {
        queries.extend(need.dashboards.iter().map(|name| (name.clone(), need.selector())));
    }
    until_nothing_is_missing(|| {
        let mut empty = Vec::new();
        for (dashboard, query) in &queries {
            if prometheus.count(query)? == 0 {
                empty.push(format!("{dashboard}: {query}"));
            }
        }
        Ok(empty)
    })?;
    prometheus.rules_are_healthy()?;
    for path in load::PAGES {
        server::check_page(&folder, &broker.text(path)?)?;
    }
    let mut counts: BTreeMap<&str, usize> = BTreeMap::new();
    queries.iter().for_each(|(dashboard, _)| *counts.entry(dashboard.as_str()).or_default() += 1);
    for (dashboard, count) in counts {
        eprintln!("{dashboard}: {count} queries, all with data");
    }
    Ok(())
}

#[test]
fn selectors_and_samples_are_read_as_prometheus_reads_them() -> Result<()> {
    let page = Page::parse("# HELP a b\na{x=\"1\",y=\"q\\\"}, \\\\\"} 5\na_bucket{le=\"+Inf\"} 2\nb 7\n")?;
    for (line, met) in [
        ("d /metrics a x y", true),
        ("d /metrics a x=1", true),
        ("d /metrics a x=2", false),
        ("d /metrics a z", false),
        ("d /metrics a_bucket le", true),
        ("d,e /metrics b", true),
        ("d /metrics c", false),
    ] {
        assert_eq!(stock::need(line)?.is_met_by(&page), met, "{line}");
    }
    assert_eq!(stock::need("d /metrics a x=2 z")?.selector(), "a{x=\"2\",z!=\"\"}");
    Ok(())
}
