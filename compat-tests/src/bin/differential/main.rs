//! Sends the scenarios of `compat-tests/differential/` to Apache Kafka and to Onelog and compares every answer:
//! `cargo xtask differential [--only WORD] [--list]`. Exits 1 when a difference has no line in `known.txt`.

mod report;

use std::io::Write as _;
use std::path::Path;
use std::process::ExitCode;

use anyhow::{Context as _, Result, ensure};
use clap::Parser;
use compat_tests::broker::{Broker, BrokerKind};
use compat_tests::differential::known::Known;
use compat_tests::differential::mask;
use compat_tests::differential::play::{self, Outcome};
use compat_tests::differential::scenario::{self, Scenario};
use compat_tests::differential::schema::Schemas;
use compat_tests::{clock, layout, setup};

use report::Report;

/// A scenario that takes so many seconds is named: a broker may have left a frame without an answer.
const SLOW: u64 = 5;

#[derive(Debug, Parser)]
#[command(name = "cargo xtask differential", about = "The same frames to Apache Kafka and to Onelog")]
struct Arguments {
    /// Only scenarios whose title has this in it; may be repeated
    #[arg(long)]
    only: Vec<String>,
    /// Prints every answer of both, not only what differs
    #[arg(long)]
    answers: bool,
}

fn main() -> Result<ExitCode> {
    let arguments = Arguments::parse();
    let folder = layout::crate_dir().join("differential");
    let schemas = Schemas::read(&setup::kafka_messages()?)?;
    let masks = mask::read(&folder)?;
    let known = Known::read(&folder)?;
    let scenarios = wanted(&folder, &schemas, &arguments.only)?;
    let (kafka, onelog) = std::thread::scope(|scope| {
        let kafka = scope.spawn(|| play_all(BrokerKind::Kafka, &schemas, &scenarios));
        let onelog = play_all(BrokerKind::Onelog, &schemas, &scenarios);
        (kafka.join(), onelog)
    });
    let kafka = kafka.ok().context("the Kafka side panicked")??;
    let mut report = Report::new(&known, &masks, arguments.answers);
    for ((scenario, kafka), onelog) in scenarios.iter().zip(&kafka).zip(&onelog?) {
        report.scenario(scenario, kafka, onelog)?;
    }
    report.close(&scenarios, arguments.only.is_empty())
}

fn wanted(folder: &Path, schemas: &Schemas, only: &[String]) -> Result<Vec<Scenario>> {
    let mut scenarios = scenario::read_all(folder, schemas)?;
    if !only.is_empty() {
        scenarios.retain(|scenario| only.iter().any(|word| scenario.title.contains(word)));
    }
    ensure!(!scenarios.is_empty(), "no such scenario");
    Ok(scenarios)
}

/// What came of every step of every scenario; a scenario that could not be played to its end says why.
fn play_all(
    kind: BrokerKind,
    schemas: &Schemas,
    scenarios: &[Scenario],
) -> Result<Vec<Result<Vec<Outcome>>>> {
    let broker = Broker::start(kind)?;
    let played = scenarios.iter().map(|scenario| {
        let started = clock::now();
        let outcomes = play::play(schemas, broker.socket(), scenario);
        let seconds = started.elapsed().as_secs();
        if seconds >= SLOW {
            writeln!(std::io::stderr(), "{}: {seconds} s for {}", kind.name(), scenario.title).ok();
        }
        outcomes
    });
    Ok(played.collect())
}
