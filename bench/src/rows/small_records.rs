//! Broker CPU per million records of 100 bytes.

use anyhow::Result;

use super::produce::{compare, throughput};
use crate::batches::BatchShape;
use crate::load::Load;
use crate::onelog::Flush;
use crate::produce_run::ProduceRun;
use crate::session::{Experiment, Session};
use crate::table::{Figure, Limit};

pub(super) const ABOUT: &str = "closed loop, acks=all, one partition, 1 MiB batches of 100-byte values, 4 connections \
    with 4 requests in flight, flush=os beside Kafka's default";

pub(super) fn run(session: &mut Session) -> Result<Vec<Figure>> {
    let what = "produce 100-byte records, 1 MiB batches, flush=os";
    let load = Load { shape: BatchShape::filling(1 << 20, 100), batches_per_request: 1, connections: 4 };
    let sides = compare(
        session,
        Experiment { row: "small-records", what, rounds: session.options.rounds() },
        Flush::Os,
        &[],
        load,
        4,
    )?;
    let per_million = |run: &ProduceRun| run.cpu_per_million();
    Ok(vec![
        Figure {
            what: format!("{what}: broker CPU"),
            unit: "s/million",
            onelog: sides.onelog.median(per_million),
            kafka: sides.kafka.median(per_million),
            limit: Some(Limit::AtMost(0.12)),
            most_of_kafka: Some(0.35),
            note: sides.onelog.spread(per_million),
        },
        throughput(what, &sides),
    ])
}
