//! The document that a run leaves: what was run, where, with what, and the figures.

use std::fs;
use std::path::Path;

use anyhow::{Context as _, Result};

use crate::broker_process::Subject;
use crate::rows::Row;
use crate::session::Session;
use crate::table::{self, Figure, Limit};
use crate::{clock, machine, say};

/// Writes the table of `figures` to its file and prints where it is.
///
/// # Errors
/// A file cannot be written.
pub(crate) fn write(session: &Session, rows: &[&Row], mut figures: Vec<Figure>) -> Result<()> {
    figures.extend(lost(session));
    let options = &session.options;
    let path = if options.is_full() { options.table.clone() } else { options.folder.join("BENCHMARKS.md") };
    let text = document(session, rows, &figures)?;
    fs::write(&path, &text).with_context(|| format!("cannot write {}", path.display()))?;
    say(&text);
    say(&format!("table: {}", path.display()));
    say(&format!("raw results: {}", session.results_path().display()));
    Ok(())
}

fn document(session: &Session, rows: &[&Row], figures: &[Figure]) -> Result<String> {
    let options = &session.options;
    let kafka = match session.kafka_version() {
        Some(version) => format!(
            "Apache Kafka {version} (its default configuration, 1 to 2 GiB heap, warmed for {} s) on {}",
            options.warm_up().as_secs(),
            machine::version_of(Path::new("java"))
        ),
        None => "Apache Kafka took no part".to_owned(),
    };
    let mut text = format!(
        "# Benchmarks\n\n\
         Written by `{command}` on {date}; not edited by hand. {machine}.\n\
         Brokers: {onelog}; {kafka}.\n\n\
         Each row runs on both brokers by turns, in the order Onelog, Kafka, Kafka, Onelog, {rounds}x ({many}x in rows with many\n\
         settings); figures are medians. Where CPU time is counted, the broker has one half of the processors and the load the other. Before and\n\
         after each run the machine itself is measured; a run during which it changed by more than a fifth is left out\n\
         unless all did. GB and MB are 10^9 and 10^6 user bytes. Compare ratios, not figures of different machines or days.\n",
        command = options.command(),
        date = clock::date()?,
        machine = machine::describe()?,
        onelog = machine::version_of(&options.onelog),
        rounds = options.rounds(),
        many = options.rounds_of_many(),
    );
    text.push_str(&table::render(figures));
    text.push_str("\n## How each row is measured\n\n");
    for row in rows {
        text.push_str(&format!("- **{}**: {}.\n", row.name, row.about));
    }
    Ok(text)
}

/// What the read-backs of all rows found: the last row of the design's table.
fn lost(session: &Session) -> Vec<Figure> {
    let Some(onelog) = session.findings(Subject::Onelog) else { return Vec::new() };
    let kafka = session.findings(Subject::Kafka);
    vec![Figure {
        what: "acknowledged records lost, duplicated, reordered or wrong when read back".to_owned(),
        unit: "records",
        onelog: Some(onelog.anomalies() as f64),
        kafka: kafka.map(|found| found.anomalies() as f64),
        limit: Some(Limit::AtMost(0.0)),
        note: format!(
            "{} records read back: {} lost, {} duplicated, {} reordered, {} wrong",
            onelog.records, onelog.lost, onelog.duplicated, onelog.reordered, onelog.wrong
        ),
        ..Figure::default()
    }]
}
