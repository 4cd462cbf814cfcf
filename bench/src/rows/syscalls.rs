//! System calls per produced batch, and how often an idle broker wakes.

use std::fs::{self, File};
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use anyhow::{Context as _, Result};
use rustix::process::{Pid, Signal, kill_process};
use serde::Serialize;

use crate::batches::BatchShape;
use crate::broker_process::{Broker, Subject};
use crate::closed_loop::{self, Pace};
use crate::load::Load;
use crate::onelog::Flush;
use crate::session::Session;
use crate::table::Figure;
use crate::topics::TopicSet;
use crate::{clock, process_facts};

pub(super) const ABOUT: &str = "`strace -c -f` for a second of steady produce, 16 KiB batches to 16 partitions, 4 \
    connections with 16 in flight; tracing slows both brokers, only the count per batch means something. Wake-ups are \
    voluntary context switches of all threads while nobody talks to the broker";

const TRACED: Duration = Duration::from_secs(1);
const IDLE_PARTITIONS: u32 = 10_000;
const KAFKA_IDLE_PARTITIONS: u32 = 1000;

#[derive(Debug, Clone, Serialize)]
struct Calls {
    calls: u64,
    batches: u64,
    /// The most frequent ones.
    most: Vec<(String, u64)>,
}

impl Calls {
    fn per_batch(&self) -> f64 {
        self.calls as f64 / self.batches as f64
    }
}

pub(super) fn run(session: &mut Session) -> Result<Vec<Figure>> {
    let mut figures = Vec::new();
    for flush in [Flush::Os, Flush::Sync] {
        let onelog = session.onelog(flush, &[])?;
        let kafka = if flush == Flush::Os { session.kafka()? } else { None };
        figures.push(calls(session, flush, &onelog, kafka.as_deref())?);
    }
    let onelog = session.onelog(Flush::Sync, &[])?;
    let kafka = session.kafka()?;
    let own = wake_ups(session, &onelog, IDLE_PARTITIONS)?;
    let other = kafka.as_deref().map(|kafka| wake_ups(session, kafka, KAFKA_IDLE_PARTITIONS)).transpose()?;
    figures.push(Figure {
        what: "wake-ups of an idle broker".to_owned(),
        unit: "1/s",
        onelog: Some(own),
        kafka: other,
        note: format!("Onelog with {IDLE_PARTITIONS} partitions, Kafka with {KAFKA_IDLE_PARTITIONS}"),
        ..Figure::default()
    });
    Ok(figures)
}

fn calls(session: &mut Session, flush: Flush, onelog: &Broker, kafka: Option<&Broker>) -> Result<Figure> {
    let what = format!("system calls per 16 KiB batch, flush={}", flush.word());
    let output = session.run_folder().join("strace");
    let mut figure = Figure { what: what.clone(), unit: "calls", ..Figure::default() };
    if let Err(error) = Command::new("strace").arg("-V").stdout(Stdio::null()).status() {
        figure.note = format!("not run: strace: {error}");
        return Ok(figure);
    }
    let run = || traced(onelog, &output);
    let own = session.measure("syscalls", &what, Subject::Onelog, run)?.value;
    if let Some(kafka) = kafka {
        let run = || traced(kafka, &output);
        figure.kafka = Some(session.measure("syscalls", &what, Subject::Kafka, run)?.value.per_batch());
    }
    figure.onelog = Some(own.per_batch());
    let per_batch = |calls: u64| calls as f64 / own.batches as f64;
    let most: Vec<_> =
        own.most.iter().map(|(name, calls)| format!("{name} {:.2}", per_batch(*calls))).collect();
    figure.note = most.join(", ");
    Ok(figure)
}

/// Produces while strace counts for a second.
fn traced(broker: &Broker, output: &Path) -> Result<Calls> {
    let mut topics = TopicSet::create(broker.address(), 16, &[])?;
    let load = Load { shape: BatchShape::filling(16 << 10, 1024), batches_per_request: 1, connections: 4 };
    let pace = Pace { in_flight: 16, duration: TRACED * 3, bytes: 8 << 30 };
    let answered = AtomicU64::new(0);
    let (produced, counted) = std::thread::scope(|scope| {
        let tracer = scope.spawn(|| -> Result<u64> {
            std::thread::sleep(TRACED / 2);
            let mut strace = attach(broker.pid()?, output)?;
            let before = answered.load(Ordering::Relaxed);
            std::thread::sleep(TRACED);
            let batches = answered.load(Ordering::Relaxed) - before;
            let pid = Pid::from_raw(i32::try_from(strace.id())?).context("process 0")?;
            kill_process(pid, Signal::INT)?;
            strace.wait()?;
            Ok(batches)
        });
        let produced = closed_loop::produce(broker.address(), &mut topics, load, pace, true, &answered);
        (produced, tracer.join().expect("the tracing thread panicked"))
    });
    produced?;
    topics.delete(broker.address())?;
    let calls = parse(&fs::read_to_string(output)?);
    let total = calls.iter().map(|(_, calls)| calls).sum();
    Ok(Calls { calls: total, batches: counted?, most: calls.into_iter().take(6).collect() })
}

/// Starts strace and waits until it holds the process.
fn attach(pid: u32, output: &Path) -> Result<Child> {
    let errors = output.with_extension("errors");
    let child = Command::new("strace")
        .args(["-c", "-f", "-o"])
        .arg(output)
        .args(["-p", &pid.to_string()])
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(File::create(&errors)?)
        .spawn()
        .context("cannot start strace")?;
    let attached = || Ok(fs::read_to_string(&errors)?.contains("attached").then_some(()));
    clock::poll_until(Duration::from_secs(5), Duration::from_millis(5), attached)?
        .context("strace does not attach")?;
    Ok(child)
}

/// Names and counts of the summary that strace prints, most frequent first.
fn parse(summary: &str) -> Vec<(String, u64)> {
    let mut calls: Vec<(String, u64)> = summary
        .lines()
        .filter_map(|line| {
            let fields: Vec<_> = line.split_whitespace().collect();
            let (name, count) = (*fields.last()?, fields.get(3)?.parse().ok()?);
            (name != "total").then(|| (name.to_owned(), count))
        })
        .collect();
    calls.sort_by_key(|(_, calls)| std::cmp::Reverse(*calls));
    calls
}

fn wake_ups(session: &mut Session, broker: &Broker, partitions: u32) -> Result<f64> {
    let time = Duration::from_secs(if session.options.quick { 2 } else { 5 });
    let what = format!("wake-ups, idle with {partitions} partitions");
    let sample = session.measure("syscalls", &what, broker.subject(), || {
        let topics = TopicSet::create(broker.address(), partitions, &[])?;
        // What creating them left to do in the background.
        std::thread::sleep(time);
        let before = process_facts::voluntary_switches(broker.pid()?)?;
        std::thread::sleep(time);
        let after = process_facts::voluntary_switches(broker.pid()?)?;
        let switches = process_facts::switches_between(&before, &after);
        topics.delete(broker.address())?;
        Ok(switches as f64 / time.as_secs_f64())
    })?;
    Ok(sample.value)
}

#[cfg(test)]
mod tests {
    use super::parse;

    #[test]
    fn summary_of_strace_is_read_with_and_without_errors_column() {
        let summary = "\
% time     seconds  usecs/call     calls    errors syscall
------ ----------- ----------- --------- --------- ----------------
 60.00    0.010000           5      2000           writev
 40.00    0.005000           5      3000        12 epoll_wait
------ ----------- ----------- --------- --------- ----------------
100.00    0.015000           5      5000        12 total
";
        assert_eq!(parse(summary), [("epoll_wait".to_owned(), 3000), ("writev".to_owned(), 2000)]);
    }
}
