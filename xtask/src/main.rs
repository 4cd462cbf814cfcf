//! Every command of the project, run as `cargo xtask COMMAND`; nothing has to be installed first except Rust and the
//! languages of the clients under test.
//!
//! This file maps commands to steps. `step` runs one and times it; `suite`, `compat`, `checks` and `deny` know what to
//! run; `tidy` holds the rules of the house that no other tool knows. Invariant: a command fails when any of its steps
//! fails, and the failure names the step.
#![forbid(unsafe_code)]

mod bench;
mod bindings;
mod checks;
mod client_suites;
mod compat;
mod deny;
mod differential;
mod fuzz;
mod power;
mod prometheus;
mod step;
mod suite;
mod suite_results;
mod tidy;
mod toolchains;
mod workspace;

use std::process::ExitCode;

use anyhow::Result;
use clap::{Parser, Subcommand, ValueEnum};

#[derive(Debug, Parser)]
#[command(name = "cargo xtask", about = "Every command of the project")]
struct Arguments {
    #[command(subcommand)]
    command: Task,
}

#[derive(Debug, Subcommand)]
enum Task {
    /// All tests: units, storage models and crashes, the broker, real clients and our bindings in five languages
    Test,
    /// Everything that must be green before a change lands: format, tidy, lints, docs, dependencies, then all tests
    Ci,
    /// Only the client tests, against this broker or against Apache Kafka
    Compat {
        /// Which broker the clients talk to
        #[arg(long, value_enum, default_value_t = Broker::Onelog)]
        broker: Broker,
        /// Only this client: a file of compat-tests/tests without its ending
        client: Option<String>,
    },
    /// Measures this broker and a warmed Apache Kafka in the same run and writes docs/BENCHMARKS.md
    ///
    /// Options: --quick (short runs), --row NAME (only this row, may be repeated), --rounds N (repetitions of A B B A),
    /// --no-kafka, --cold-gib GIB. Only a run without any of --quick, --row and --no-kafka writes the document; every
    /// other one leaves its table in `bench` of cargo's target folder, beside the raw results.
    Bench {
        /// Handed to the load generator
        #[arg(trailing_var_arg = true, allow_hyphen_values = true)]
        options: Vec<String>,
    },
    /// The bindings for Python, Go, Node.js, Java and Rust with their examples, each set up from nothing by its package manager
    Bindings {
        /// Only these languages
        languages: Vec<String>,
    },
    /// Writes docs/COMPATIBILITY.md from the results of the last client tests
    CompatTable,
    /// Writes docs/PROTOCOL_COVERAGE.md from the broker's table of APIs
    Coverage,
    /// Sends the same frames to Apache Kafka and to this broker and compares every answer, field by field
    ///
    /// Options: --only WORD (scenarios with that word in their title), --answers (print every answer). The frames are lines of
    /// compat-tests/differential, and so are the differences that are known to be right.
    Differential {
        /// Handed to the runner
        #[arg(trailing_var_arg = true, allow_hyphen_values = true)]
        options: Vec<String>,
    },
    /// Checks licences, sources and versions of all dependencies, and known advisories where they can be fetched
    Deny,
    /// Runs libFuzzer on what takes bytes from outside: requests, record batches, data directories, settings (needs nightly)
    Fuzz {
        /// Each target for so long
        #[arg(long, default_value_t = 300)]
        seconds: u64,
        /// Only these: files of fuzz/fuzz_targets without their ending
        targets: Vec<String>,
    },
    /// Cuts the power of a file system at random moments under load; every acknowledged record is looked for (needs root)
    ///
    /// Options: --rounds N, --without-sync (negative control: must lose records), --producers N, --rate N, --shortest MS,
    /// --longest MS, --check-every N, --seed N, --limit SECONDS.
    PowerCut {
        /// Handed to the test
        #[arg(trailing_var_arg = true, allow_hyphen_values = true)]
        options: Vec<String>,
    },
    /// Lets the device below a file system fail to write back: no acknowledgement after the first failed sync (needs root)
    ///
    /// Options: --device-breaks (EIO; else it runs out of room), --without-sync (negative control: must lose records).
    SyncFailure {
        /// Handed to the test
        #[arg(trailing_var_arg = true, allow_hyphen_values = true)]
        options: Vec<String>,
    },
    /// Fills a disk: reads and deletes go on, and producing resumes by itself (needs root)
    ///
    /// Options: --rounds N, --power-cuts (the power goes on the full disk too), --without-delete (negative control: must not
    /// resume).
    DiskFull {
        /// Handed to the test
        #[arg(trailing_var_arg = true, allow_hyphen_values = true)]
        options: Vec<String>,
    },
    /// Runs the test suite of one client library, or the programs of the ecosystem, against this broker or Apache Kafka: a
    /// folder of compat-tests/suites
    Suite {
        /// Which one
        name: String,
        /// Which broker it talks to
        #[arg(long, value_enum, default_value_t = Broker::Onelog)]
        broker: Broker,
        /// Handed to its script: --seconds N, names of tests
        #[arg(trailing_var_arg = true, allow_hyphen_values = true)]
        options: Vec<String>,
    },
    /// Runs the test suites of all client libraries and the programs of the ecosystem
    Suites {
        /// Which broker they talk to
        #[arg(long, value_enum, default_value_t = Broker::Onelog)]
        broker: Broker,
        /// How often each runs, each time on a new broker
        #[arg(long, default_value_t = 1)]
        rounds: u32,
        /// Only these
        names: Vec<String>,
    },
    /// Writes docs/SUITES.md from the results of the last `suites` against both brokers
    SuitesTable,
    /// Lets a real Prometheus scrape a loaded broker: every query of our dashboard and what stock dashboards ask for must have
    /// data, promtool checks the pages, the alerts and their tests
    Prometheus,
    /// Checks the house rules: imports, file sizes, names, stray words
    Tidy,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum Broker {
    Onelog,
    Kafka,
}

impl Broker {
    /// As the scripts and `COMPAT_BROKER` name it.
    fn name(self) -> &'static str {
        match self {
            Self::Onelog => "onelog",
            Self::Kafka => "kafka",
        }
    }
}

fn main() -> ExitCode {
    match run(&Arguments::parse().command) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            step::say(&format!("error: {error:#}"));
            ExitCode::FAILURE
        }
    }
}

fn run(task: &Task) -> Result<()> {
    match task {
        Task::Test => {
            toolchains::require_all()?;
            bindings::run_beside_the_workspace()?;
            suite::all()
        }
        Task::Ci => {
            toolchains::require_all()?;
            checks::format()?;
            tidy::check()?;
            checks::lints()?;
            checks::docs()?;
            deny::check()?;
            bindings::run_beside_the_workspace()?;
            suite::all()
        }
        Task::Compat { broker, client } => compat::run(*broker, client.as_deref()),
        Task::Bench { options } => bench::run(options),
        Task::Bindings { languages } => bindings::run(languages),
        Task::CompatTable => compat::write_table(),
        Task::Coverage => checks::write_coverage(),
        Task::Differential { options } => differential::run(options),
        Task::Deny => deny::check(),
        Task::Fuzz { seconds, targets } => fuzz::run(targets, *seconds),
        Task::PowerCut { options } => power::run("cut", options),
        Task::SyncFailure { options } => power::run("sync-failure", options),
        Task::DiskFull { options } => power::run("disk-full", options),
        Task::Suite { name, broker, options } => client_suites::run(name, *broker, options),
        Task::Suites { broker, rounds, names } => client_suites::run_all(*broker, *rounds, names),
        Task::SuitesTable => client_suites::write_table(),
        Task::Prometheus => prometheus::run(),
        Task::Tidy => tidy::check(),
    }
}
