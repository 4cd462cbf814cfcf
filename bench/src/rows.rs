//! The rows of the benchmark: one function each, picked by name.
//!
//! A row starts what it needs, measures through the session and returns figures. Invariant: rows share nothing but the
//! warmed Kafka, and leave no topic, process or file behind.

mod device_bytes;
mod fetch;
mod idle;
mod latency;
mod noisy_neighbour;
mod produce;
mod recovery;
mod small_records;
mod space;
mod spread;
mod start;
mod syscalls;
mod test_broker;

use anyhow::Result;

use crate::session::Session;
use crate::table::Figure;

type Measure = fn(&mut Session) -> Result<Vec<Figure>>;

/// One row.
#[derive(Debug)]
pub(crate) struct Row {
    /// For `--row`.
    pub(crate) name: &'static str,
    /// How it is measured, for the table's foot.
    pub(crate) about: &'static str,
    /// It takes too long to run with the others.
    pub(crate) alone: bool,
    /// Measures it.
    pub(crate) run: Measure,
}

const fn row(name: &'static str, about: &'static str, run: Measure) -> Row {
    Row { name, about, alone: false, run }
}

/// All rows, in the order in which they run.
pub(crate) static ROWS: &[Row] = &[
    row("produce", produce::ABOUT, produce::run),
    row("fetch", fetch::ABOUT, fetch::run),
    row("small-records", small_records::ABOUT, small_records::run),
    row("spread-batches", spread::ABOUT_BATCHES, spread::run_batches),
    row("spread-throughput", spread::ABOUT_THROUGHPUT, spread::run_throughput),
    row("start", start::ABOUT, start::run),
    row("test-broker", test_broker::ABOUT, test_broker::run),
    row("idle", idle::ABOUT, idle::run),
    row("recovery", recovery::ABOUT, recovery::run),
    row("device-bytes", device_bytes::ABOUT, device_bytes::run),
    row("latency", latency::ABOUT, latency::run),
    row("noisy-neighbour", noisy_neighbour::ABOUT, noisy_neighbour::run),
    row("syscalls", syscalls::ABOUT, syscalls::run),
    Row { alone: true, ..row("space", space::ABOUT, space::run) },
];

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::ROWS;

    #[test]
    fn names_of_rows_are_unique() {
        let names: BTreeSet<_> = ROWS.iter().map(|row| row.name).collect();
        assert_eq!(names.len(), ROWS.len());
    }
}
