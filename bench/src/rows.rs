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
mod spread;
mod start;
mod syscalls;

use anyhow::Result;

use crate::session::Session;
use crate::table::Figure;

/// One row.
#[derive(Debug)]
pub(crate) struct Row {
    /// For `--row`.
    pub(crate) name: &'static str,
    /// How it is measured, for the table's foot.
    pub(crate) about: &'static str,
    /// Measures it.
    pub(crate) run: fn(&mut Session) -> Result<Vec<Figure>>,
}

/// All rows, in the order in which they run.
pub(crate) static ROWS: &[Row] = &[
    Row { name: "produce", about: produce::ABOUT, run: produce::run },
    Row { name: "fetch", about: fetch::ABOUT, run: fetch::run },
    Row { name: "small-records", about: small_records::ABOUT, run: small_records::run },
    Row { name: "spread-batches", about: spread::ABOUT_BATCHES, run: spread::run_batches },
    Row { name: "spread-throughput", about: spread::ABOUT_THROUGHPUT, run: spread::run_throughput },
    Row { name: "start", about: start::ABOUT, run: start::run },
    Row { name: "idle", about: idle::ABOUT, run: idle::run },
    Row { name: "recovery", about: recovery::ABOUT, run: recovery::run },
    Row { name: "device-bytes", about: device_bytes::ABOUT, run: device_bytes::run },
    Row { name: "latency", about: latency::ABOUT, run: latency::run },
    Row { name: "noisy-neighbour", about: noisy_neighbour::ABOUT, run: noisy_neighbour::run },
    Row { name: "syscalls", about: syscalls::ABOUT, run: syscalls::run },
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
