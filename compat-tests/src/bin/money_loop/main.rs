//! Money is moved by transactions while the broker is killed with -9 again and again; readers of committed records look on all the
//! time. `cargo run -p compat-tests --bin money_loop -- --rounds 50`; `--help` says the rest.
//!
//! `worker`, `java` and `orders` are the load, `reader` looks on, `checker` judges, `control` proves that it would find something. This
//! file kills.

mod bank;
mod checker;
mod control;
mod ending;
mod java;
mod ledger;
mod orders;
mod reader;
mod report;
mod transfer;
mod worker;
mod workers;

use std::io::Write as _;
use std::process::ExitCode;
use std::time::Duration;

use anyhow::{Context as _, Result, bail, ensure};
use clap::Parser;
use compat_tests::broker::{Broker, BrokerKind, Identity};
use compat_tests::clock;

use bank::Bank;
use control::Control;
use ledger::Ledger;
use orders::Orders;
use reader::Reader;
use report::Report;
use workers::Workers;

/// Transactions that are left open end soon, and are looked for often.
const PROPERTIES: &str = "transaction.abort.timed.out.transaction.cleanup.interval.ms=1000\n";

/// Kills the broker with -9 at random moments under a load of transactions, restarts it on the same port and data, and checks
/// at every reading of committed records that the sum of all balances is conserved, that nothing aborted is seen and nothing
/// committed is missing, that every order is carried out once, and at the end that no transaction is left open. Exits 1 on any
/// violation. ONELOG_BIN names a built broker; without it cargo builds one.
#[derive(Debug, Parser)]
#[command(name = "money_loop")]
struct Arguments {
    /// How often the broker is killed
    #[arg(long, default_value_t = 50)]
    rounds: u32,
    /// Workers that only move money
    #[arg(long, default_value_t = 4)]
    movers: usize,
    /// Workers that only move money with Java's newest producer, which speaks transaction version 2 (needs Java and Maven)
    #[arg(long, default_value_t = 0)]
    java_movers: usize,
    /// Workers that carry out orders and commit their offsets in the same transactions
    #[arg(long, default_value_t = 2)]
    processors: usize,
    /// Orders for each of them
    #[arg(long, default_value_t = 20_000)]
    orders: u32,
    /// Partitions of the accounts
    #[arg(long, default_value_t = 8)]
    partitions: i32,
    /// Shortest time from ready to the kill, in milliseconds
    #[arg(long, default_value_t = 50)]
    shortest: u64,
    /// Longest time from ready to the kill, in milliseconds
    #[arg(long, default_value_t = 2000)]
    longest: u64,
    /// After each so many rounds all workers hold still and everything must be whole; 0: only at the end
    #[arg(long, default_value_t = 10)]
    quiet_every: u32,
    /// The broker: onelog or kafka
    #[arg(long, default_value = "onelog")]
    broker: String,
    /// Negative control: brings this about, and fails unless it is found
    #[arg(long)]
    control: Option<Control>,
    /// Repeats the choices of an earlier run; its timing is the machine's
    #[arg(long)]
    seed: Option<u64>,
    /// The rounds may take this many seconds in all
    #[arg(long, default_value_t = 900)]
    limit: u64,
}

fn main() -> ExitCode {
    let arguments = Arguments::parse();
    match run(&arguments) {
        Ok(report) => {
            say(&report.to_string());
            let passed = match arguments.control {
                Some(control) => report.proves(control),
                None => report.is_clean(),
            };
            if arguments.control.is_some() {
                say(if passed { "the control was found" } else { "FAILED: the control was NOT found" });
            }
            if passed { ExitCode::SUCCESS } else { ExitCode::FAILURE }
        }
        Err(error) => {
            say(&format!("money_loop did not finish: {error:#}"));
            ExitCode::FAILURE
        }
    }
}

fn run(arguments: &Arguments) -> Result<Report> {
    let kind = match arguments.broker.as_str() {
        "onelog" => BrokerKind::Onelog,
        "kafka" => BrokerKind::Kafka,
        other => bail!("--broker is {other}: it must be onelog or kafka"),
    };
    ensure!(arguments.partitions > 1, "a transfer needs two partitions");
    ensure!(arguments.movers + arguments.java_movers + arguments.processors > 0, "there must be a load");
    ensure!(arguments.shortest <= arguments.longest, "--shortest must not be above --longest");
    let seed = arguments.seed.unwrap_or_else(|| fastrand::u64(..));
    say(&format!("{} rounds on {}, --seed {seed}", arguments.rounds, kind.name()));

    let bank = Bank {
        partitions: arguments.partitions,
        accounts: arguments.partitions * 4,
        java_movers: arguments.java_movers,
        processors: arguments.processors,
        workers: arguments.java_movers + arguments.movers + arguments.processors,
        orders: arguments.orders,
    };
    let broker =
        Broker::start_as(kind, Identity { properties: PROPERTIES.to_owned(), ..Identity::default() })?;
    bank.open(&broker.address())?;
    // The last place is for the control.
    let ledger = Ledger::new(bank.workers + 1);
    let workers = Workers::start(&broker.address(), bank, &ledger, seed);
    let reader = Reader::start(broker.socket(), bank, &ledger);
    let random = fastrand::Rng::with_seed(seed);
    let mut run = Run { broker, bank, ledger, workers, reader, random, report: Report::default() };
    run.rounds(arguments)?;
    run.finish()
}

/// Everything that lives through the rounds.
struct Run {
    broker: Broker,
    bank: Bank,
    ledger: Ledger,
    workers: Workers,
    reader: Reader,
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
            if arguments.quiet_every > 0 && round % arguments.quiet_every == 0 && round < arguments.rounds {
                if let Err(error) = self.workers.pause() {
                    let open = ending::hanging(self.broker.socket(), &self.bank)?;
                    return Err(error.context(format!("after round {round}, open in the broker: {open:?}")));
                }
                self.quiet_reading().with_context(|| format!("after round {round}"))?;
                self.workers.resume();
                say(&format!("after round {round}: {}", self.report.state()));
            }
            if self.reader.live().findings.violations() > 0 || self.report.is_violated() {
                return Ok(());
            }
        }
        if let Some(control) = arguments.control {
            control.act(&self.broker, &self.bank, &self.ledger)?;
        }
        Ok(())
    }

    /// Waits, kills and restarts.
    fn round(&mut self, wait: Duration) -> Result<()> {
        let before = self.workers.counts();
        std::thread::sleep(wait);
        self.report.rounds += 1;
        self.report.rounds_with_commits += u32::from(self.workers.counts().commits > before.commits);
        self.broker.kill();
        let killed = clock::now();
        self.broker.restart()?;
        self.report.restarts.push(killed.elapsed());
        Ok(())
    }

    /// No worker is in a transaction. All that was begun must end by itself, and then everything must be whole.
    fn quiet_reading(&mut self) -> Result<()> {
        let socket = self.broker.socket();
        let begin = clock::now();
        let hanging = ending::hanging(socket, &self.bank)?;
        self.report.settling.push(begin.elapsed());
        let settled = hanging.is_empty();
        self.report.hanging.extend(hanging);
        let reading = reader::read(socket, &self.bank, settled)?;
        self.report.quiet_readings += 1;
        let mut findings = checker::check(&self.ledger.snapshot(), &reading);
        let (whole, unknown_whole, orders) = (findings.whole, findings.unknown_whole, findings.orders);
        self.ledger.shown(reading.parts());
        if settled {
            for worker in 0..self.bank.workers {
                let Some(partition) = self.bank.order_partition(worker) else { continue };
                let committed = Orders::open(&self.broker.address(), worker, partition)?.position();
                findings.add(checker::check_orders(&reading, worker, committed));
            }
        }
        (findings.whole, findings.unknown_whole, findings.orders) = (whole, unknown_whole, orders);
        self.report.findings.add(findings);
        Ok(())
    }

    fn finish(mut self) -> Result<Report> {
        let stopped = self.workers.stop().and(self.reader.stop());
        if let Err(error) = stopped {
            self.report.failures.push(format!("{error:#}"));
        }
        self.report.counts = self.workers.counts();
        self.report.errors = self.workers.errors();
        self.quiet_reading()?;
        self.report.live = self.reader.live();
        self.report.take_in(&self.ledger.snapshot());
        Ok(self.report)
    }
}

/// A reader that is gone is no reason to stop.
fn say(text: &str) {
    writeln!(std::io::stdout(), "{text}").ok();
}
