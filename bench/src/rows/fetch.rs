//! Broker CPU per GB that one consumer reads at the tail.

use std::time::Duration;

use anyhow::Result;
use serde::Serialize;

use crate::batches::BatchShape;
use crate::broker_process::Broker;
use crate::closed_loop::Pace;
use crate::load::Load;
use crate::onelog::Flush;
use crate::session::{Experiment, Session};
use crate::table::{Figure, Limit};
use crate::topics::TopicSet;
use crate::wire::Connection;
use crate::{clock, cpus, fetch, process_facts, produce_run};

pub(super) const ABOUT: &str = "one consumer reads what was just produced to one partition, from the page cache, with \
    the fetch sizes of Kafka's consumer; one request in flight";

#[derive(Debug, Clone, Serialize)]
struct FetchRun {
    cpu: f64,
    seconds: f64,
    bytes: u64,
}

pub(super) fn run(session: &mut Session) -> Result<Vec<Figure>> {
    let kafka = session.kafka()?;
    let mut figures = Vec::new();
    for (size, batch_bytes, in_flight) in [("1 MiB", 1 << 20, 4), ("16 KiB", 16 << 10, 64)] {
        let what = format!("tail fetch, 1 KiB records, {size} batches");
        let onelog = session.onelog(Flush::Os, &[])?;
        let load =
            Load { shape: BatchShape::filling(batch_bytes, 1024), batches_per_request: 1, connections: 4 };
        let pace = Pace { in_flight, duration: Duration::from_secs(30), bytes: session.options.run_bytes() };
        let mut fill = |broker: &Broker| -> Result<TopicSet> {
            let mut topics = TopicSet::create(broker.address(), 1, &[])?;
            let run = produce_run::run(broker, &mut topics, load, pace)?;
            session.add_findings(broker.subject(), run.findings);
            Ok(topics)
        };
        let on_onelog = fill(&onelog)?;
        let on_kafka = kafka.as_deref().map(fill).transpose()?;
        let experiment = Experiment { row: "fetch", what: &what, rounds: session.options.rounds() };
        let sides = session.compare(experiment, &onelog, kafka.as_deref(), |broker| {
            let topics =
                if broker.address() == onelog.address() { Some(&on_onelog) } else { on_kafka.as_ref() };
            read(broker, topics.expect("filled whenever Kafka takes part"))
        })?;
        if let (Some(kafka), Some(topics)) = (&kafka, on_kafka) {
            topics.delete(kafka.address())?;
        }
        let per_gb = |run: &FetchRun| run.cpu / (run.bytes as f64 / 1e9);
        let rate = |run: &FetchRun| run.bytes as f64 / 1e6 / run.seconds;
        figures.push(Figure {
            what: format!("{what}: broker CPU"),
            unit: "s/GB",
            onelog: sides.onelog.median(per_gb),
            kafka: sides.kafka.median(per_gb),
            limit: Some(Limit::AtMost(0.35)),
            most_of_kafka: Some(0.8),
            note: sides.onelog.spread(per_gb),
        });
        figures.push(Figure {
            what: format!("{what}: rate of one consumer"),
            unit: "MB/s",
            onelog: sides.onelog.median(rate),
            kafka: sides.kafka.median(rate),
            ..Figure::default()
        });
    }
    Ok(figures)
}

fn read(broker: &Broker, topics: &TopicSet) -> Result<FetchRun> {
    broker.pin()?;
    let from = vec![0; topics.ends.len()];
    let began = clock::now();
    let (totals, cpu) = process_facts::cpu_time_of(broker.pid()?, || {
        cpus::on_load(|| {
            fetch::read(&mut Connection::open(broker.address())?, topics, &from, |_, _| Ok(()), || true)
        })
    })?;
    let seconds = (clock::now() - began).as_secs_f64();
    Ok(FetchRun { cpu: cpu.as_secs_f64(), seconds, bytes: totals.bytes })
}
