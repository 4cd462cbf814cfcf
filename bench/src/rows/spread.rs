//! What many partitions cost: broker CPU per batch of one record, and how much of one partition's throughput is kept.

use std::time::Duration;

use anyhow::Result;

use super::produce::add_findings;
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

pub(super) const ABOUT_BATCHES: &str = "closed loop, acks=all, batches of one 1 KiB record to each partition in turn, \
    topics of 1000 partitions; one batch per request with 4 x 256 requests in flight (the shape of librdkafka), and 100 \
    partitions per request with 4 x 3 in flight (the shape of the Java client)";
pub(super) const ABOUT_THROUGHPUT: &str = "closed loop, acks=all, 16 KiB batches to each partition in turn, one per \
    request, 4 x 64 requests in flight, flush=os; one run over all partitions comes first and does not count";

const COUNTS: [u32; 4] = [1, 1000, 10_000, 50_000];

/// One load at several numbers of partitions.
struct Sweep<'a> {
    row: &'static str,
    what: &'a str,
    flush: Flush,
    load: Load,
    in_flight: u64,
    counts: &'a [u32],
    /// Kafka takes part up to so many partitions.
    kafka_up_to: u32,
}

impl Sweep<'_> {
    fn run(&self, session: &mut Session) -> Result<Vec<(u32, Sides<ProduceRun>)>> {
        let onelog = session.onelog(self.flush, &[])?;
        let mut results = Vec::new();
        for partitions in self.counts.iter().copied() {
            let kafka = if partitions <= self.kafka_up_to { session.kafka()? } else { None };
            let what = format!("{}, {partitions} partitions", self.what);
            let sides = self.at(session, &what, partitions, &onelog, kafka.as_deref())?;
            results.push((partitions, sides));
        }
        Ok(results)
    }

    fn at(
        &self,
        session: &mut Session,
        what: &str,
        partitions: u32,
        onelog: &Broker,
        kafka: Option<&Broker>,
    ) -> Result<Sides<ProduceRun>> {
        let options = &session.options;
        let pace =
            Pace { in_flight: self.in_flight, duration: options.run_time(), bytes: options.run_bytes() };
        let mut create = |broker: &Broker| -> Result<TopicSet> {
            let mut topics = TopicSet::create(broker.address(), partitions, &[])?;
            // Twice around, for what the first batch of a partition sets up.
            let bytes = self.load.shape.value_bytes() * u64::from(partitions) * 2;
            let around =
                Pace { duration: Duration::from_secs(20), bytes: bytes.max(pace.bytes / 16), ..pace };
            let run = produce_run::run(broker, &mut topics, self.load, around)?;
            session.add_findings(broker.subject(), run.findings);
            Ok(topics)
        };
        let mut on_onelog = create(onelog)?;
        let mut on_kafka = kafka.map(create).transpose()?;
        let experiment = Experiment { row: self.row, what, rounds: session.options.rounds_of_many() };
        let sides = session.compare(experiment, onelog, kafka, |broker| {
            let topics = match broker.subject() {
                Subject::Onelog => &mut on_onelog,
                Subject::Kafka | Subject::Kfake => {
                    on_kafka.as_mut().expect("created whenever Kafka takes part")
                }
            };
            produce_run::run(broker, topics, self.load, pace)
        })?;
        add_findings(session, &sides);
        on_onelog.delete(onelog.address())?;
        if let (Some(kafka), Some(topics)) = (kafka, on_kafka) {
            topics.delete(kafka.address())?;
        }
        Ok(sides)
    }
}

pub(super) fn run_batches(session: &mut Session) -> Result<Vec<Figure>> {
    let single = Load { shape: BatchShape::single(1024), batches_per_request: 1, connections: 4 };
    let hundred = Load { batches_per_request: 100, ..single };
    let (kafka_up_to, with_kafka): (u32, &[u32]) =
        if session.options.quick { (1000, &COUNTS) } else { (5000, &[1, 1000, 5000, 10_000, 50_000]) };
    let librdkafka = Sweep {
        row: "spread-batches",
        what: "one-record batches of 1 KiB, one per request, flush=os",
        flush: Flush::Os,
        load: single,
        in_flight: 256,
        counts: with_kafka,
        kafka_up_to,
    };
    let synced = Sweep {
        what: "one-record batches of 1 KiB, one per request, flush=sync",
        flush: Flush::Sync,
        kafka_up_to: 0,
        counts: if session.options.quick { &[1, 50_000] } else { &COUNTS },
        ..librdkafka
    };
    let java = Sweep {
        what: "one-record batches of 1 KiB, 100 per request, flush=os",
        load: hundred,
        in_flight: 3,
        counts: &COUNTS[1..],
        kafka_up_to: 1000,
        ..librdkafka
    };
    let mut figures = per_batch(&librdkafka, session)?;
    figures.extend(per_batch(&synced, session)?);
    figures.extend(per_batch(&java, session)?);
    Ok(figures)
}

fn per_batch(sweep: &Sweep<'_>, session: &mut Session) -> Result<Vec<Figure>> {
    let results = sweep.run(session)?;
    let per_batch = |run: &ProduceRun| run.cpu_us_per_batch();
    let least = results.first().and_then(|(_, sides)| sides.onelog.median(per_batch));
    let base = results.first().map_or(0, |(partitions, _)| *partitions);
    let mut figures = Vec::new();
    for (partitions, sides) in &results {
        let onelog = sides.onelog.median(per_batch);
        let rate = |run: &ProduceRun| run.batches as f64 / run.seconds;
        let rates = [("Onelog", &sides.onelog), ("Kafka", &sides.kafka)];
        let rates = rates
            .into_iter()
            .filter_map(|(name, series)| Some(format!("{name} {:.0}/s", series.median(rate)?)));
        figures.push(Figure {
            what: format!("{}, {partitions} partitions: broker CPU per batch", sweep.what),
            unit: "us",
            onelog,
            kafka: sides.kafka.median(per_batch),
            limit: Some(Limit::AtMost(3.0)),
            note: format!("{}; {}", sides.onelog.spread(per_batch), rates.collect::<Vec<_>>().join(", ")),
            ..Figure::default()
        });
        let most = match *partitions {
            1000 => Limit::AtMost(1.2),
            10_000 => Limit::AtMost(1.3),
            50_000 => Limit::AtMost(1.5),
            _ => continue,
        };
        if base != 1 {
            continue;
        }
        figures.push(Figure {
            what: format!("{}, {partitions} partitions: CPU per batch against 1 partition", sweep.what),
            unit: "times",
            onelog: onelog.zip(least).map(|(here, one)| here / one),
            kafka: against_first(&results, sides, per_batch),
            limit: Some(most),
            ..Figure::default()
        });
    }
    Ok(figures)
}

pub(super) fn run_throughput(session: &mut Session) -> Result<Vec<Figure>> {
    let (kafka_up_to, counts): (u32, &[u32]) =
        if session.options.quick { (1000, &COUNTS) } else { (5000, &[1, 1000, 5000, 10_000, 50_000]) };
    let sweep = Sweep {
        row: "spread-throughput",
        what: "16 KiB batches, flush=os",
        flush: Flush::Os,
        load: Load { shape: BatchShape::filling(16 << 10, 1024), batches_per_request: 1, connections: 4 },
        in_flight: 64,
        counts,
        kafka_up_to,
    };
    let results = sweep.run(session)?;
    let rate = |run: &ProduceRun| run.mb_per_second();
    let mut figures = Vec::new();
    for (partitions, sides) in &results {
        let what = format!("{}, {partitions} partitions", sweep.what);
        figures.push(super::produce::throughput(&what, sides));
        let least = match *partitions {
            1 => continue,
            1000 => Some(Limit::AtLeast(95.0)),
            10_000 => Some(Limit::AtLeast(90.0)),
            50_000 => Some(Limit::AtLeast(80.0)),
            _ => None,
        };
        let one = results.first().and_then(|(_, sides)| sides.onelog.median(rate));
        figures.push(Figure {
            what: format!("{what}: throughput kept of 1 partition"),
            unit: "%",
            onelog: sides.onelog.median(rate).zip(one).map(|(here, one)| 100.0 * here / one),
            kafka: against_first(&results, sides, rate).map(|kept| 100.0 * kept),
            limit: least,
            note: sides.onelog.spread(rate),
            ..Figure::default()
        });
    }
    Ok(figures)
}

/// Kafka's median here divided by its median in the first result.
fn against_first(
    results: &[(u32, Sides<ProduceRun>)],
    sides: &Sides<ProduceRun>,
    of: impl Fn(&ProduceRun) -> f64 + Copy,
) -> Option<f64> {
    let (_, first) = results.first()?;
    Some(sides.kafka.median(of)? / first.kafka.median(of)?)
}
