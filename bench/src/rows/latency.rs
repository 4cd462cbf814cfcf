//! Produce latency at a fixed rate, from the moment each request was due.

use anyhow::Result;
use serde::Serialize;

use crate::batches::BatchShape;
use crate::broker_process::{Broker, Subject};
use crate::checker::Findings;
use crate::closed_loop::{self, Pace};
use crate::load::Load;
use crate::onelog::Flush;
use crate::open_loop::{self, Latencies, Schedule};
use crate::readback;
use crate::samples::{Sides, median};
use crate::session::{Experiment, Session};
use crate::table::Figure;
use crate::topics::TopicSet;

pub(super) const ABOUT: &str = "open loop from the intended start, acks=all, 16 KiB batches of 1 KiB records to 16 \
    partitions over 4 connections, nothing pinned; both brokers get the same rate, a share of the lower one of their \
    closed-loop maxima";

pub(super) const LOAD: Load =
    Load { shape: BatchShape { value_len: 1024, records: 15 }, batches_per_request: 1, connections: 4 };
pub(super) const PARTITIONS: u32 = 16;

/// One open loop run.
#[derive(Debug, Clone, Serialize)]
pub(super) struct Latency {
    pub(super) rate: f64,
    pub(super) requests: u64,
    pub(super) p50_us: f64,
    pub(super) p99_us: f64,
    pub(super) p999_us: f64,
    pub(super) max_us: f64,
    /// The median of the seconds' 99 %.
    pub(super) second_p99_us: f64,
    findings: Findings,
}

impl Latency {
    /// From what an open loop measured.
    pub(super) fn new(rate: f64, latencies: &Latencies) -> Self {
        let all = latencies.all();
        let at = |quantile| all.value_at_quantile(quantile) as f64;
        Self {
            rate,
            requests: all.len(),
            p50_us: at(0.5),
            p99_us: at(0.99),
            p999_us: at(0.999),
            max_us: all.max() as f64,
            second_p99_us: median(&latencies.of_each_second(0.99)),
            findings: Findings::default(),
        }
    }
}

pub(super) fn run(session: &mut Session) -> Result<Vec<Figure>> {
    let mut figures = Vec::new();
    let pairs: [(Flush, &[(&str, &str)]); 2] = [(Flush::Os, &[]), (Flush::Sync, &[("flush.messages", "1")])];
    for (flush, kafka_configs) in pairs {
        let kafka = session.kafka()?;
        let onelog = session.onelog(flush, &[])?;
        let configs = |broker: &Broker| if broker.subject() == Subject::Kafka { kafka_configs } else { &[] };
        let max_of = |broker: &Broker| maximum(session, broker, configs(broker));
        let own = max_of(&onelog)?;
        let maximum = kafka.as_deref().map(max_of).transpose()?.map_or(own, |other| own.min(other));
        for percent in [20, 50] {
            let rate = maximum * f64::from(percent) / 100.0;
            let what = format!(
                "produce latency, 16 KiB batches, flush={}, {percent} % of the lower maximum",
                flush.word()
            );
            let time = session.options.latency_time();
            let rounds = session.options.rounds_of_many();
            let experiment = Experiment { row: "latency", what: &what, rounds };
            let sides = session.compare(experiment, &onelog, kafka.as_deref(), |broker| {
                one(broker, configs(broker), Schedule { rate, warm_up: time / 4, duration: time })
            })?;
            figures.extend(percentiles(&what, &sides, rate));
            for (subject, series) in [(Subject::Onelog, &sides.onelog), (Subject::Kafka, &sides.kafka)] {
                series.0.iter().for_each(|sample| session.add_findings(subject, sample.value.findings));
            }
        }
    }
    Ok(figures)
}

/// Requests per second that the broker takes in a closed loop.
pub(super) fn maximum(session: &Session, broker: &Broker, configs: &[(&str, &str)]) -> Result<f64> {
    broker.unpin()?;
    let mut topics = TopicSet::create(broker.address(), PARTITIONS, configs)?;
    let pace =
        Pace { in_flight: 32, duration: session.options.run_time(), bytes: session.options.run_bytes() };
    let answered = std::sync::atomic::AtomicU64::new(0);
    let produced = closed_loop::produce(broker.address(), &mut topics, LOAD, pace, false, &answered)?;
    topics.delete(broker.address())?;
    Ok(produced.requests as f64 / produced.elapsed.as_secs_f64())
}

fn one(broker: &Broker, configs: &[(&str, &str)], schedule: Schedule) -> Result<Latency> {
    broker.unpin()?;
    let mut topics = TopicSet::create(broker.address(), PARTITIONS, configs)?;
    let from = topics.ends.clone();
    let (produced, latencies) = open_loop::produce(broker.address(), &mut topics, LOAD, schedule)?;
    let findings = readback::check(broker.address(), &topics, &from, &produced)?;
    topics.delete(broker.address())?;
    Ok(Latency { findings, ..Latency::new(schedule.rate, &latencies) })
}

/// One of the numbers of a run.
struct Part {
    name: &'static str,
    of: fn(&Latency) -> f64,
}

fn percentiles(what: &str, sides: &Sides<Latency>, rate: f64) -> Vec<Figure> {
    let parts = [
        Part { name: "p50", of: |run| run.p50_us },
        Part { name: "p99", of: |run| run.p99_us },
        Part { name: "p99.9", of: |run| run.p999_us },
    ];
    parts
        .into_iter()
        .map(|Part { name, of }| Figure {
            what: format!("{what}: {name}"),
            unit: "us",
            onelog: sides.onelog.median(of),
            kafka: sides.kafka.median(of),
            note: format!("{rate:.0} requests/s; {}", sides.onelog.spread(of)),
            ..Figure::default()
        })
        .collect()
}
