//! What the dashboards that others publish ask a broker for, as facts: `stock_dashboards.txt`.
//!
//! A line is `DASHBOARDS PAGE METRIC LABEL...`: a sample of this name must have all these labels, with this value where one
//! is given. With `absent` for the page, the metric is not there and the rest of the line says why.

use std::fmt;
use std::fs;

use anyhow::{Context as _, Result, ensure};
use compat_tests::layout;

use super::exposition::Page;

/// One line.
#[derive(Debug)]
pub(crate) struct Need {
    pub(crate) dashboards: Vec<String>,
    /// Its path.
    pub(crate) page: String,
    metric: String,
    labels: Vec<(String, Option<String>)>,
}

/// What must be there, and the names of what is known not to be.
///
/// # Errors
/// The list cannot be read.
pub(crate) fn read() -> Result<(Vec<Need>, Vec<String>)> {
    let file = layout::crate_dir().join("tests").join("prometheus").join("stock_dashboards.txt");
    let (mut needs, mut absent) = (Vec::new(), Vec::new());
    for line in fs::read_to_string(file)?.lines().filter(|line| !line.is_empty() && !line.starts_with('#')) {
        let need = need(line)?;
        if need.page == "absent" {
            ensure!(!need.labels.is_empty(), "{line}: why?");
            absent.push(need.metric);
        } else {
            needs.push(need);
        }
    }
    ensure!(needs.len() > 60 && !absent.is_empty(), "the list is not whole");
    Ok((needs, absent))
}

/// A line of the list.
///
/// # Errors
/// It is too short.
pub(crate) fn need(line: &str) -> Result<Need> {
    let mut words = line.split_whitespace();
    let mut next = || words.next().map(str::to_owned).with_context(|| format!("too short: {line}"));
    let (dashboards, page, metric) = (next()?, next()?, next()?);
    let label = |word: &str| match word.split_once('=') {
        Some((label, value)) => (label.to_owned(), Some(value.to_owned())),
        None => (word.to_owned(), None),
    };
    let dashboards = dashboards.split(',').map(str::to_owned).collect();
    Ok(Need { dashboards, page, metric, labels: words.map(label).collect() })
}

impl Need {
    /// Whether a sample of the page has everything.
    pub(crate) fn is_met_by(&self, page: &Page) -> bool {
        let has = |sample: &std::collections::BTreeMap<String, String>| {
            self.labels.iter().all(|(label, value)| match (sample.get(label), value) {
                (Some(has), Some(wanted)) => has == wanted,
                (has, None) => has.is_some_and(|value| !value.is_empty()),
                (None, Some(_)) => false,
            })
        };
        page.of(&self.metric).any(has)
    }

    /// The same as a query.
    pub(crate) fn selector(&self) -> String {
        let matchers: Vec<String> = self
            .labels
            .iter()
            .map(|(label, value)| match value {
                Some(value) => format!("{label}=\"{value}\""),
                None => format!("{label}!=\"\""),
            })
            .collect();
        format!("{}{{{}}}", self.metric, matchers.join(","))
    }
}

impl fmt::Display for Need {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {} on {}", self.dashboards.join(", "), self.selector(), self.page)
    }
}
