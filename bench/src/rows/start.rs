//! From the start of the process to its first answer and to the first record it accepts, empty and with many partitions.

use std::sync::atomic::AtomicU64;
use std::time::Duration;

use anyhow::{Context as _, Result};
use serde::Serialize;

use crate::batches::BatchShape;
use crate::broker_process::{Broker, Subject};
use crate::closed_loop::{self, Pace};
use crate::load::Load;
use crate::onelog::Flush;
use crate::samples::median;
use crate::session::Session;
use crate::table::{Figure, Limit};
use crate::topics::TopicSet;
use crate::{clock, readback};

pub(super) const ABOUT: &str = "from starting the process to its first answer (ApiVersions), and to the first record \
    that a partition accepts; each partition holds one record; before kill -9 another record goes to each. Kafka is \
    started with 5000 partitions instead of 50 000; after a start it may lose its leaders again for a while, which is \
    waited for before the next load";

const PARTITIONS: u32 = 50_000;
const KAFKA_PARTITIONS: u32 = 5000;
/// Kafka's `broker.session.timeout.ms` is 9 s: a broker that is busy with its start may be fenced that late.
const KAFKA_SETTLES: Duration = Duration::from_secs(10);
/// Until the first record is accepted.
const ACCEPT_LIMIT: Duration = Duration::from_secs(120);

#[derive(Debug, Clone, Default, Serialize)]
struct Starts {
    milliseconds: Vec<f64>,
    /// To the first record that was accepted, where that was asked.
    accepted_milliseconds: Vec<f64>,
}

impl Starts {
    fn median(&self) -> f64 {
        median(&self.milliseconds)
    }

    /// Starts `broker` and waits until `probe` takes a record.
    fn take(&mut self, broker: &mut Broker, probe: &mut TopicSet) -> Result<()> {
        let began = clock::now();
        self.milliseconds.push(milliseconds(broker.start()?));
        let address = broker.address();
        let load = Load { shape: BatchShape::single(1024), batches_per_request: 1, connections: 1 };
        let pace = Pace { in_flight: 1, duration: ACCEPT_LIMIT, bytes: 1 };
        let mut refusal = None;
        let accepted = clock::poll_until(ACCEPT_LIMIT, Duration::from_millis(1), || {
            let produced = closed_loop::produce(address, probe, load, pace, false, &AtomicU64::new(0));
            Ok(produced.map_err(|error| refusal = Some(error)).ok())
        })?;
        if accepted.is_none() {
            return Err(refusal.context("no attempt")?.context("no record was accepted"));
        }
        self.accepted_milliseconds.push(milliseconds(clock::now() - began));
        Ok(())
    }
}

fn milliseconds(time: Duration) -> f64 {
    time.as_secs_f64() * 1e3
}

pub(super) fn run(session: &mut Session) -> Result<Vec<Figure>> {
    let (new, again) = empty(session)?;
    let mut figures = vec![
        Figure { limit: Some(Limit::AtMost(15.0)), ..figure("start on a new directory", &new) },
        Figure { limit: Some(Limit::AtMost(15.0)), ..figure("start on an empty log", &again) },
    ];
    let repeats = if session.options.quick { 2 } else { 5 };
    let mut onelog = session.onelog(Flush::Sync, &[])?;
    let (clean, killed) = with_partitions(session, &mut onelog, PARTITIONS, repeats)?;
    drop(onelog);
    let most = Some(Limit::AtMost(1000.0));
    let (stopped, after_kill) =
        ("start with 50 000 partitions, stopped cleanly", "start with 50 000 partitions, after kill -9");
    figures.push(Figure { limit: most, ..figure(stopped, &clean) });
    figures.push(Figure { limit: most, ..figure(after_kill, &killed) });
    figures.push(accepted(stopped, &clean));
    figures.push(accepted(after_kill, &killed));
    if let Some(mut kafka) = session.unstarted_kafka(None)? {
        let took = session.measure("start", "start, empty", Subject::Kafka, || {
            Ok(Starts { milliseconds: vec![milliseconds(kafka.start()?)], ..Starts::default() })
        })?;
        figures[0].kafka = Some(took.value.median());
        if !session.options.quick {
            match with_partitions(session, &mut kafka, KAFKA_PARTITIONS, 1) {
                Ok((clean, killed)) => {
                    figures[2].kafka = Some(clean.median());
                    figures[3].kafka = Some(killed.median());
                    figures[4].kafka = Some(median(&clean.accepted_milliseconds));
                    figures[5].kafka = Some(median(&killed.accepted_milliseconds));
                }
                // It ends itself when its controller does not answer in time, as it may after a kill.
                Err(error) => {
                    let text = format!("{error:#}");
                    let reason = text.split([';', '\n']).next().unwrap_or_default();
                    figures[2..].iter_mut().for_each(|figure| figure.note += &format!("; {reason}"));
                }
            }
        }
    }
    Ok(figures)
}

fn figure(what: &str, starts: &Starts) -> Figure {
    of_all(what.to_owned(), &starts.milliseconds)
}

fn accepted(what: &str, starts: &Starts) -> Figure {
    of_all(format!("{what}: to the first accepted record"), &starts.accepted_milliseconds)
}

fn of_all(what: String, values: &[f64]) -> Figure {
    let most = values.iter().copied().fold(0.0, f64::max);
    Figure {
        what,
        unit: "ms",
        onelog: Some(median(values)),
        note: format!("median of {}, slowest {most:.1}", values.len()),
        ..Figure::default()
    }
}

/// On a directory that is not there yet, and on one that was stopped cleanly without ever holding a record.
fn empty(session: &mut Session) -> Result<(Starts, Starts)> {
    let repeats = if session.options.quick { 5 } else { 20 };
    let (mut new, mut again) = (Vec::new(), Vec::new());
    let mut brokers = Vec::new();
    for _ in 0..repeats {
        brokers.push(session.unstarted_onelog(Flush::Sync, &[], None)?);
    }
    let sample = session.measure("start", "start on a new directory", Subject::Onelog, || {
        for broker in &mut brokers {
            new.push(milliseconds(broker.start()?));
            broker.stop()?;
        }
        Ok(Starts { milliseconds: new, ..Starts::default() })
    })?;
    let next = session.measure("start", "start on an empty log", Subject::Onelog, || {
        for broker in &mut brokers {
            again.push(milliseconds(broker.start()?));
            broker.stop()?;
        }
        Ok(Starts { milliseconds: again, ..Starts::default() })
    })?;
    Ok((sample.value, next.value))
}

/// After a clean stop and after kill -9, with records read back in the end.
fn with_partitions(
    session: &mut Session,
    broker: &mut Broker,
    partitions: u32,
    repeats: usize,
) -> Result<(Starts, Starts)> {
    let subject = broker.subject();
    let settles = if subject == Subject::Kafka { KAFKA_SETTLES } else { Duration::ZERO };
    let load = Load { shape: BatchShape::single(1024), batches_per_request: 100, connections: 2 };
    let bytes = 1024 * u64::from(partitions);
    let pace = Pace { in_flight: 3, duration: Duration::from_secs(60), bytes };
    let mut topics = TopicSet::create(broker.address(), partitions, &[])?;
    let mut probe = TopicSet::create(broker.address(), 1, &[])?;
    topics.wait_until_settled(broker.address(), settles)?;
    closed_loop::produce(broker.address(), &mut topics, load, pace, false, &AtomicU64::new(0))?;
    let what = format!("start with {partitions} partitions, clean");
    let clean = session.measure("start", &what, subject, || {
        let mut starts = Starts::default();
        for _ in 0..repeats {
            broker.stop()?;
            starts.take(broker, &mut probe)?;
        }
        Ok(starts)
    })?;
    let what = format!("start with {partitions} partitions, killed");
    let mut findings = Vec::new();
    let killed = session.measure("start", &what, subject, || {
        let mut starts = Starts::default();
        for _ in 0..repeats {
            topics.wait_until_settled(broker.address(), settles)?;
            let from = topics.ends.clone();
            let answered = AtomicU64::new(0);
            let produced = closed_loop::produce(broker.address(), &mut topics, load, pace, false, &answered)?;
            broker.kill();
            starts.take(broker, &mut probe)?;
            topics.wait_until_settled(broker.address(), settles)?;
            findings.push(readback::check(broker.address(), &topics, &from, &produced)?);
        }
        Ok(starts)
    })?;
    findings.into_iter().for_each(|found| session.add_findings(subject, found));
    Ok((clean.value, killed.value))
}
