//! The broker is killed with -9 again and again under idempotent producers and a committing group; afterwards every
//! partition is read whole. `cargo run -p compat-tests --bin kill_loop -- --rounds 50`; `--help` says the rest.
//!
//! The load and its checker are `compat_tests::load`. This file kills.

use std::fmt;
use std::io::Write as _;
use std::process::ExitCode;
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, ensure};
use clap::Parser;
use compat_tests::broker::{Broker, BrokerKind};
use compat_tests::clock;
use compat_tests::load::{Commits, Load, Places, Tally, check_all, create_topics, spread};

const GROUP: &str = "kill-loop-group";
/// What is written down of each kind of trouble.
const EXAMPLES: usize = 20;

/// Kills the broker with -9 at random moments under load, restarts it on the same port and data, and checks at the end
/// that every acknowledged record is there once, in order, at its offset, and that no acknowledged commit is forgotten.
/// Exits 1 on any violation. ONELOG_BIN names a built broker; without it cargo builds one.
#[derive(Debug, Parser)]
#[command(name = "kill_loop")]
struct Arguments {
    /// How often the broker is killed
    #[arg(long, default_value_t = 50)]
    rounds: u32,
    /// Idempotent producers with acks=all
    #[arg(long, default_value_t = 4)]
    producers: usize,
    /// Topics that all producers write to
    #[arg(long, default_value_t = 3)]
    topics: usize,
    /// Partitions of each topic
    #[arg(long, default_value_t = 4)]
    partitions: i32,
    /// Records of about 1 KiB per second, all producers together
    #[arg(long, default_value_t = 8000)]
    rate: u64,
    /// Shortest time from ready to the kill, in milliseconds
    #[arg(long, default_value_t = 50)]
    shortest: u64,
    /// Longest time from ready to the kill, in milliseconds
    #[arg(long, default_value_t = 2000)]
    longest: u64,
    /// Read and check everything after each so many rounds too, under load; 0: only at the end
    #[arg(long, default_value_t = 0)]
    check_every: u32,
    /// The broker: onelog or kafka
    #[arg(long, default_value = "onelog")]
    broker: String,
    /// Repeats the moments and places of an earlier run; its timing is the machine's
    #[arg(long)]
    seed: Option<u64>,
    /// The rounds may take this many seconds in all
    #[arg(long, default_value_t = 900)]
    limit: u64,
}

fn main() -> ExitCode {
    match run(&Arguments::parse()) {
        Ok(report) => {
            say(&report.to_string());
            if report.is_clean() { ExitCode::SUCCESS } else { ExitCode::FAILURE }
        }
        Err(error) => {
            say(&format!("kill_loop did not finish: {error:#}"));
            ExitCode::FAILURE
        }
    }
}

fn run(arguments: &Arguments) -> Result<Report> {
    let kind = match arguments.broker.as_str() {
        "onelog" => BrokerKind::Onelog,
        "kafka" => BrokerKind::Kafka,
        other => anyhow::bail!("--broker is {other}: it must be onelog or kafka"),
    };
    ensure!(
        arguments.producers > 0 && arguments.topics > 0 && arguments.partitions > 0,
        "there must be a load"
    );
    ensure!(arguments.shortest <= arguments.longest, "--shortest must not be above --longest");
    let seed = arguments.seed.unwrap_or_else(|| fastrand::u64(..));
    say(&format!("{} rounds on {}, --seed {seed}", arguments.rounds, kind.name()));

    let broker = Broker::start(kind)?;
    let address = broker.address();
    let places = Places {
        topics: (0..arguments.topics).map(|number| format!("kill-loop-{number}")).collect(),
        partitions: arguments.partitions,
    };
    create_topics(&address, &places)?;
    let load = Load::start(&address, &places, arguments.producers, arguments.rate, seed)?;
    let commits = Commits::start(&address, GROUP, &places.topics[0])?;
    let random = fastrand::Rng::with_seed(seed);
    let mut run = Run { broker, places, load, commits, random, report: Report::default() };
    run.rounds(arguments)?;
    run.finish()
}

/// Everything that lives through the rounds.
struct Run {
    broker: Broker,
    places: Places,
    load: Load,
    commits: Commits,
    random: fastrand::Rng,
    report: Report,
}

impl Run {
    fn rounds(&mut self, arguments: &Arguments) -> Result<()> {
        let deadline = clock::now() + Duration::from_secs(arguments.limit);
        for round in 1..=arguments.rounds {
            ensure!(clock::now() < deadline, "--limit is over after {} rounds", round - 1);
            let wait = Duration::from_millis(self.random.u64(arguments.shortest..=arguments.longest));
            self.round(wait).with_context(|| format!("round {round}"))?;
            if arguments.check_every > 0 && round % arguments.check_every == 0 {
                let tally = self.check()?;
                say(&format!(
                    "after round {round}: {} acknowledged, {} violations",
                    tally.acknowledged,
                    tally.violations()
                ));
                if tally.violations() > 0 {
                    self.report.tally = tally;
                    return Ok(());
                }
            }
        }
        Ok(())
    }

    /// Waits, kills, restarts, and looks whether commits survived.
    fn round(&mut self, wait: Duration) -> Result<()> {
        let (records, commits) = (self.load.acknowledged(), self.commits.acknowledged());
        let ready = clock::now();
        let first = clock::poll_until(wait, Duration::from_millis(1), || {
            Ok((self.load.acknowledged() > records).then(|| ready.elapsed()))
        })?;
        if let (Some(first), Some(restart)) = (first, self.report.restarts.last()) {
            self.report.first_records.push(*restart + first);
        }
        std::thread::sleep(wait.saturating_sub(ready.elapsed()));
        self.report.rounds += 1;
        self.report.rounds_with_records += u32::from(self.load.acknowledged() > records);
        self.report.rounds_with_commits += u32::from(self.commits.acknowledged() > commits);
        let floors = self.commits.floors();
        self.broker.kill();
        let killed = clock::now();
        self.broker.restart()?;
        self.report.restarts.push(killed.elapsed());
        let forgotten = self.commits.forgotten(&floors)?;
        self.report.forgotten_count += forgotten.len();
        self.report.forgotten.extend(forgotten);
        self.report.forgotten.truncate(EXAMPLES);
        Ok(())
    }

    fn check(&self) -> Result<Tally> {
        check_all(&self.broker.address(), &self.places, &self.load.histories())
    }

    fn finish(mut self) -> Result<Report> {
        let stopped = self.load.finish().and(self.commits.finish());
        if let Err(error) = stopped {
            self.report.failures.push(format!("{error:#}"));
        }
        self.report.failures.extend(self.load.failures());
        self.report.commits = self.commits.acknowledged();
        if self.report.tally == Tally::default() {
            let begin: Instant = clock::now();
            self.report.tally = self.check()?;
            self.report.reading = begin.elapsed();
        }
        Ok(self.report)
    }
}

/// What came of all rounds.
#[derive(Debug, Default)]
struct Report {
    rounds: u32,
    /// Rounds in which the producers heard of a record before the kill.
    rounds_with_records: u32,
    rounds_with_commits: u32,
    /// From the kill to the first answer, each.
    restarts: Vec<Duration>,
    /// From the kill to the first record that is acknowledged after it, where that came before the next kill.
    first_records: Vec<Duration>,
    tally: Tally,
    commits: u64,
    forgotten_count: usize,
    forgotten: Vec<String>,
    /// Producers and members that gave up.
    failures: Vec<String>,
    reading: Duration,
}

impl Report {
    fn is_clean(&self) -> bool {
        self.tally.violations() == 0 && self.forgotten_count == 0 && self.failures.is_empty()
    }
}

impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let tally = &self.tally;
        writeln!(f, "rounds                 {}", self.rounds)?;
        writeln!(f, "  with records         {}", self.rounds_with_records)?;
        writeln!(f, "  with commits         {}", self.rounds_with_commits)?;
        write!(f, "{tally}")?;
        writeln!(f, "commits acknowledged   {}", self.commits)?;
        writeln!(f, "commits forgotten      {}", self.forgotten_count)?;
        writeln!(f, "failures of clients    {}", self.failures.len())?;
        writeln!(f, "kill to first answer   {}", spread(&self.restarts))?;
        writeln!(f, "kill to first record   {}", spread(&self.first_records))?;
        writeln!(f, "reading it all         {:.1?}", self.reading)?;
        for words in tally.examples.iter().chain(&self.forgotten).chain(self.failures.iter().take(EXAMPLES)) {
            writeln!(f, "  {words}")?;
        }
        write!(f, "{}", if self.is_clean() { "clean" } else { "VIOLATED" })
    }
}

/// A reader that is gone is no reason to stop.
fn say(text: &str) {
    writeln!(std::io::stdout(), "{text}").ok();
}
