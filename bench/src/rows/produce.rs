//! Broker CPU per GB of 1 KiB records in large batches to one partition.

use anyhow::Result;

use crate::batches::BatchShape;
use crate::broker_process::{Broker, Subject};
use crate::closed_loop::Pace;
use crate::load::Load;
use crate::onelog::Flush;
use crate::produce_run::{self, ProduceRun};
use crate::samples::Sides;
use crate::session::{Experiment, Session};
use crate::table::{Figure, Limit};
use crate::topics::TopicSet;

pub(super) const ABOUT: &str = "closed loop, acks=all, one partition, 4 connections with 4 requests of 1 MiB or 64 of \
    16 KiB in flight; broker CPU is user + system time of the process; Kafka with its default (no sync) stands beside \
    flush=os, Kafka with the topic config flush.messages=1 beside flush=sync";

/// A way to flush, with Kafka's counterpart.
struct Pair {
    flush: Flush,
    kafka: &'static [(&'static str, &'static str)],
    most: f64,
}

const PAIRS: [Pair; 2] = [
    Pair { flush: Flush::Os, kafka: &[], most: 0.50 },
    Pair { flush: Flush::Sync, kafka: &[("flush.messages", "1")], most: 0.60 },
];
const SIZES: [(&str, usize, u64); 2] = [("1 MiB", 1 << 20, 4), ("16 KiB", 16 << 10, 64)];

pub(super) fn run(session: &mut Session) -> Result<Vec<Figure>> {
    let mut figures = Vec::new();
    for pair in &PAIRS {
        for (size, bytes, in_flight) in SIZES {
            let what = format!("produce 1 KiB records, {size} batches, flush={}", pair.flush.word());
            let load =
                Load { shape: BatchShape::filling(bytes, 1024), batches_per_request: 1, connections: 4 };
            let sides = compare(
                session,
                Experiment { row: "produce", what: &what, rounds: session.options.rounds() },
                pair.flush,
                pair.kafka,
                load,
                in_flight,
            )?;
            let per_gb = |run: &ProduceRun| run.cpu_per_gb();
            figures.push(Figure {
                what: format!("{what}: broker CPU"),
                unit: "s/GB",
                onelog: sides.onelog.median(per_gb),
                kafka: sides.kafka.median(per_gb),
                limit: Some(Limit::AtMost(pair.most)),
                most_of_kafka: Some(0.5),
                note: sides.onelog.spread(per_gb),
            });
            figures.push(throughput(&what, &sides));
        }
    }
    Ok(figures)
}

/// The rate of the same runs, with how busy the brokers were: below 100 % something else was the limit.
pub(super) fn throughput(what: &str, sides: &Sides<ProduceRun>) -> Figure {
    let note = [("Onelog", &sides.onelog), ("Kafka", &sides.kafka)]
        .into_iter()
        .filter_map(|(name, series)| {
            let (busy, load) = (series.median(ProduceRun::busy)?, series.median(ProduceRun::load_busy)?);
            Some(format!("{name} used {busy:.0} % of a core, its load {load:.0} %"))
        })
        .collect::<Vec<_>>()
        .join(", ");
    Figure {
        what: format!("{what}: rate on one core"),
        unit: "MB/s",
        onelog: sides.onelog.median(ProduceRun::mb_per_second),
        kafka: sides.kafka.median(ProduceRun::mb_per_second),
        note,
        ..Figure::default()
    }
}

/// Compares one load to one partition on a fresh Onelog and the warmed Kafka.
pub(super) fn compare(
    session: &mut Session,
    experiment: Experiment<'_>,
    flush: Flush,
    kafka_configs: &[(&str, &str)],
    load: Load,
    in_flight: u64,
) -> Result<Sides<ProduceRun>> {
    let kafka = session.kafka()?;
    let onelog = session.onelog(flush, &[])?;
    let options = &session.options;
    let pace = Pace { in_flight, duration: options.run_time(), bytes: options.run_bytes() };
    let run = |broker: &Broker, pace| {
        let configs = if broker.subject() == Subject::Kafka { kafka_configs } else { &[] };
        let mut topics = TopicSet::create(broker.address(), 1, configs)?;
        let run = produce_run::run(broker, &mut topics, load, pace)?;
        topics.delete(broker.address())?;
        Ok(run)
    };
    let short = Pace { duration: pace.duration / 3, ..pace };
    run(&onelog, short)?;
    let sides = session.compare(experiment, &onelog, kafka.as_deref(), |broker| run(broker, pace))?;
    add_findings(session, &sides);
    Ok(sides)
}

/// Adds what the read-backs of these runs found.
pub(super) fn add_findings(session: &mut Session, sides: &Sides<ProduceRun>) {
    for (subject, series) in [(Subject::Onelog, &sides.onelog), (Subject::Kafka, &sides.kafka)] {
        series.0.iter().for_each(|sample| session.add_findings(subject, sample.value.findings));
    }
}
