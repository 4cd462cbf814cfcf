//! What was asked for on the command line, and how large and long the runs are because of it.

use std::path::PathBuf;
use std::time::Duration;

use clap::Parser;

/// Broker costs against Apache Kafka in the same run. Start it as `cargo xtask bench`.
#[derive(Debug, Clone, Parser)]
pub(crate) struct Options {
    /// Short runs: numbers for a first look only
    #[arg(long)]
    pub(crate) quick: bool,
    /// Only these rows
    #[arg(long, value_name = "NAME")]
    pub(crate) row: Vec<String>,
    /// How often A B B A is repeated
    #[arg(long)]
    pub(crate) rounds: Option<u32>,
    /// Only Onelog
    #[arg(long)]
    pub(crate) no_kafka: bool,
    /// GiB of old data that the noisy neighbour reads
    #[arg(long, value_name = "GIB")]
    pub(crate) cold_gib: Option<u64>,
    /// The release binary of the broker
    #[arg(long)]
    pub(crate) onelog: PathBuf,
    /// Folder for jars, data, logs and results
    #[arg(long)]
    pub(crate) folder: PathBuf,
    /// POM that names Apache Kafka's version
    #[arg(long)]
    pub(crate) kafka_pom: PathBuf,
    /// Go module with kfake's main
    #[arg(long)]
    pub(crate) kfake_module: PathBuf,
    /// File for the table of a full run; any other run leaves its table in the folder
    #[arg(long)]
    pub(crate) table: PathBuf,
}

impl Options {
    /// How often A B B A is repeated.
    pub(crate) fn rounds(&self) -> u32 {
        self.rounds.unwrap_or(if self.quick { 1 } else { 2 })
    }

    /// The same in rows that go through many settings, where it would take too long.
    pub(crate) fn rounds_of_many(&self) -> u32 {
        self.rounds.unwrap_or(1)
    }

    /// Time of one closed loop run.
    pub(crate) fn run_time(&self) -> Duration {
        if self.quick { Duration::from_millis(1000) } else { Duration::from_millis(3000) }
    }

    /// User bytes of one run at most: three runs per broker and round have to fit the disk.
    pub(crate) fn run_bytes(&self) -> u64 {
        if self.quick { 1 << 30 } else { 3 << 30 }
    }

    /// How long the JVM is warmed before anything is compared.
    pub(crate) fn warm_up(&self) -> Duration {
        Duration::from_secs(if self.quick { 20 } else { 120 })
    }

    /// Time of one open loop run.
    pub(crate) fn latency_time(&self) -> Duration {
        Duration::from_secs(if self.quick { 2 } else { 6 })
    }

    /// Old data for the noisy neighbour.
    pub(crate) fn cold_bytes(&self) -> u64 {
        self.cold_gib.unwrap_or(if self.quick { 2 } else { 10 }) << 30
    }

    /// Whether this run's table is the one to keep.
    pub(crate) fn is_full(&self) -> bool {
        !self.quick && !self.no_kafka && self.row.is_empty()
    }

    /// The command that a reader would type for the same run.
    pub(crate) fn command(&self) -> String {
        let mut words = vec!["cargo xtask bench".to_owned()];
        words.extend(self.quick.then(|| "--quick".to_owned()));
        words.extend(self.row.iter().map(|row| format!("--row {row}")));
        words.extend(self.rounds.map(|rounds| format!("--rounds {rounds}")));
        words.extend(self.no_kafka.then(|| "--no-kafka".to_owned()));
        words.extend(self.cold_gib.map(|gib| format!("--cold-gib {gib}")));
        words.join(" ")
    }
}
