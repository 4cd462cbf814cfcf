//! Programs of Kafka's ecosystem, each as its users run it, against Onelog or Apache Kafka: `cargo xtask suite ecosystem
//! [--broker kafka] [NAME...]`. A program that passes on Apache Kafka must pass on Onelog; there are no known failures.
//!
//! One file per program; `program` runs a Java program, `records` writes and reads topics with another client. Each
//! scenario starts brokers of its own and checks what came out against what went in, record by record.

mod connect;
mod flink;
mod kafka_console;
mod kafkatop;
mod kcat;
mod klag_exporter;
mod mirror;
mod program;
mod records;
mod sarama_tools;
mod streams;

use std::io::Write as _;
use std::process::ExitCode;

use anyhow::{Result, bail, ensure};
use clap::Parser;
use compat_tests::broker::BrokerKind;
use compat_tests::clock;
use compat_tests::results::{self, CaseResult, ECOSYSTEM, Outcome};

use streams::{Guarantee, Victim};

/// A scenario answers with figures worth a look, or says what went wrong.
type Scenario = fn(BrokerKind) -> Result<String>;

const SCENARIOS: &[(&str, Scenario)] = &[
    ("kcat", kcat::run),
    ("kafka-console", kafka_console::run),
    ("kafkatop", kafkatop::run),
    ("klag-exporter", klag_exporter::run),
    ("sarama-tools", sarama_tools::run),
    ("connect-standalone", connect::standalone),
    ("connect-distributed", connect::distributed),
    ("connect-exactly-once-source", connect::exactly_once_source),
    ("mirror-maker", mirror::run),
    ("flink-exactly-once", |kind| flink::run(kind, "INCREMENTING")),
    ("flink-exactly-once-pooling", |kind| flink::run(kind, "POOLING")),
    ("streams-at-least-once", |kind| streams::run(kind, Guarantee::AtLeastOnce, &[])),
    ("streams-at-least-once-killed", |kind| {
        streams::run(kind, Guarantee::AtLeastOnce, &[Victim::Application; 2])
    }),
    ("streams-exactly-once", |kind| streams::run(kind, Guarantee::ExactlyOnce, &[])),
    ("streams-exactly-once-killed", |kind| {
        streams::run(kind, Guarantee::ExactlyOnce, &[Victim::Application; 2])
    }),
    ("streams-exactly-once-broker-killed", |kind| {
        streams::run(kind, Guarantee::ExactlyOnce, &[Victim::Broker; 2])
    }),
];

#[derive(Debug, Parser)]
#[command(name = "cargo xtask suite ecosystem", about = "Programs of Kafka's ecosystem against a broker")]
struct Arguments {
    /// `onelog` or `kafka`
    #[arg(long, default_value = "onelog")]
    broker: String,
    /// Which of them; all without any
    names: Vec<String>,
}

fn main() -> Result<ExitCode> {
    let arguments = Arguments::parse();
    let kind = match arguments.broker.as_str() {
        "onelog" => BrokerKind::Onelog,
        "kafka" => BrokerKind::Kafka,
        other => bail!("--broker is {other}: it must be onelog or kafka"),
    };
    let known: Vec<&str> = SCENARIOS.iter().map(|(name, _)| *name).collect();
    for name in &arguments.names {
        ensure!(known.contains(&name.as_str()), "there is no {name}; there are: {}", known.join(", "));
    }
    let wanted = |name: &str| arguments.names.is_empty() || arguments.names.iter().any(|each| each == name);
    let (mut passed, mut failed) = (0, 0);
    for (name, scenario) in SCENARIOS.iter().filter(|(name, _)| wanted(name)) {
        let result = play(name, kind, *scenario);
        results::append(kind, &result)?;
        let word = if result.outcome == Outcome::Ok { "passed" } else { "FAILED" };
        if result.outcome == Outcome::Ok {
            passed += 1
        } else {
            failed += 1
        }
        let CaseResult { seconds, detail, .. } = result;
        writeln!(std::io::stdout(), "{name:<35} {word} {seconds:>6.1} s  {detail}")?;
    }
    writeln!(std::io::stdout(), "ecosystem: {passed} of {} passed on {}", passed + failed, kind.name())?;
    Ok(if failed == 0 { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

fn play(name: &str, kind: BrokerKind, scenario: Scenario) -> CaseResult {
    let started = clock::now();
    let (outcome, detail) = match scenario(kind) {
        Ok(figures) => (Outcome::Ok, figures),
        Err(error) => (Outcome::Failed, format!("{error:#}")),
    };
    CaseResult {
        client: ECOSYSTEM.to_owned(),
        library: String::new(),
        case: name.replace('-', "_"),
        outcome,
        detail,
        seconds: started.elapsed().as_secs_f64(),
    }
}
