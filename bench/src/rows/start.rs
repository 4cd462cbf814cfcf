//! From the start of the process to its first answer, empty and with many partitions.

use std::sync::atomic::AtomicU64;
use std::time::Duration;

use anyhow::Result;
use serde::Serialize;

use crate::batches::BatchShape;
use crate::broker_process::{Broker, Subject};
use crate::closed_loop::{self, Pace};
use crate::load::Load;
use crate::onelog::Flush;
use crate::readback;
use crate::samples::{Sample, Series};
use crate::session::Session;
use crate::table::{Figure, Limit};
use crate::topics::TopicSet;

pub(super) const ABOUT: &str = "from starting the process to its first answer (ApiVersions); each partition holds one \
    record; before kill -9 another record goes to each. Kafka is started with 5000 partitions instead of 50 000";

const PARTITIONS: u32 = 50_000;
const KAFKA_PARTITIONS: u32 = 5000;

#[derive(Debug, Clone, Serialize)]
struct Starts {
    milliseconds: Vec<f64>,
}

impl Starts {
    fn median(&self) -> f64 {
        let samples = self.milliseconds.iter().map(|value| Sample { value: *value, steady: true });
        Series(samples.collect()).median(|value| *value).unwrap_or(f64::NAN)
    }
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
    figures.push(Figure { limit: most, ..figure("start with 50 000 partitions, stopped cleanly", &clean) });
    figures.push(Figure { limit: most, ..figure("start with 50 000 partitions, after kill -9", &killed) });
    if let Some(mut kafka) = session.unstarted_kafka(None)? {
        let took = session.measure("start", "start, empty", Subject::Kafka, || {
            Ok(Starts { milliseconds: vec![kafka.start()?.as_secs_f64() * 1e3] })
        })?;
        figures[0].kafka = Some(took.value.median());
        if !session.options.quick {
            let (clean, killed) = with_partitions(session, &mut kafka, KAFKA_PARTITIONS, 1)?;
            figures[2].kafka = Some(clean.median());
            figures[3].kafka = Some(killed.median());
        }
    }
    Ok(figures)
}

fn figure(what: &str, starts: &Starts) -> Figure {
    let most = starts.milliseconds.iter().copied().fold(0.0, f64::max);
    Figure {
        what: what.to_owned(),
        unit: "ms",
        onelog: Some(starts.median()),
        note: format!("median of {}, slowest {most:.1}", starts.milliseconds.len()),
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
            new.push(broker.start()?.as_secs_f64() * 1e3);
            broker.stop()?;
        }
        Ok(Starts { milliseconds: new })
    })?;
    let next = session.measure("start", "start on an empty log", Subject::Onelog, || {
        for broker in &mut brokers {
            again.push(broker.start()?.as_secs_f64() * 1e3);
            broker.stop()?;
        }
        Ok(Starts { milliseconds: again })
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
    let load = Load { shape: BatchShape::single(1024), batches_per_request: 100, connections: 2 };
    let bytes = 1024 * u64::from(partitions);
    let pace = Pace { in_flight: 3, duration: Duration::from_secs(60), bytes };
    let mut topics = TopicSet::create(broker.address(), partitions, &[])?;
    closed_loop::produce(broker.address(), &mut topics, load, pace, false, &AtomicU64::new(0))?;
    let what = format!("start with {partitions} partitions, clean");
    let clean = session.measure("start", &what, subject, || {
        let mut milliseconds = Vec::new();
        for _ in 0..repeats {
            broker.stop()?;
            milliseconds.push(broker.start()?.as_secs_f64() * 1e3);
        }
        Ok(Starts { milliseconds })
    })?;
    let what = format!("start with {partitions} partitions, killed");
    let mut findings = Vec::new();
    let killed = session.measure("start", &what, subject, || {
        let mut milliseconds = Vec::new();
        for _ in 0..repeats {
            topics.wait_until_served(broker.address())?;
            let from = topics.ends.clone();
            let answered = AtomicU64::new(0);
            let produced = closed_loop::produce(broker.address(), &mut topics, load, pace, false, &answered)?;
            broker.kill();
            milliseconds.push(broker.start()?.as_secs_f64() * 1e3);
            topics.wait_until_served(broker.address())?;
            findings.push(readback::check(broker.address(), &topics, &from, &produced)?);
        }
        Ok(Starts { milliseconds })
    })?;
    findings.into_iter().for_each(|found| session.add_findings(subject, found));
    Ok((clean.value, killed.value))
}
