//! The start after kill -9 with a long tail that no checkpoint covers.

use std::time::Duration;

use anyhow::Result;
use serde::Serialize;

use crate::batches::BatchShape;
use crate::broker_process::Subject;
use crate::checker::Findings;
use crate::closed_loop::{self, Pace};
use crate::load::Load;
use crate::onelog::Flush;
use crate::samples::Series;
use crate::session::Session;
use crate::table::{Figure, Limit};
use crate::topics::TopicSet;
use crate::{page_cache, readback};

pub(super) const ABOUT: &str = "1 GiB (quick: 256 MiB) in 16 KiB batches to 16 partitions with checkpoints turned off, kill -9, start to first \
    answer; then everything is read back. Cold: the files were put out of the page cache before the start";

#[derive(Debug, Clone, Serialize)]
struct Recovery {
    seconds: f64,
    tail_bytes: u64,
    findings: Findings,
}

pub(super) fn run(session: &mut Session) -> Result<Vec<Figure>> {
    let mut figures = Vec::new();
    for cold in [false, true] {
        let word = if cold { "cold" } else { "in the page cache" };
        let what = format!("recovery after kill -9, tail {word}");
        let mut series = Series(Vec::new());
        for _ in 0..session.options.rounds() {
            let sample = once(session, &what, cold)?;
            session.add_findings(Subject::Onelog, sample.value.findings);
            series.0.push(sample);
        }
        let gib = series.median(|run: &Recovery| run.tail_bytes as f64 / f64::from(1 << 30)).unwrap_or(0.0);
        figures.push(Figure {
            unit: "s",
            onelog: series.median(|run| run.seconds),
            limit: Some(Limit::AtMost(2.0 + gib)),
            note: format!("tail of {gib:.2} GiB; {}", series.spread(|run| run.seconds)),
            what,
            ..Figure::default()
        });
    }
    Ok(figures)
}

fn once(session: &mut Session, what: &str, cold: bool) -> Result<crate::samples::Sample<Recovery>> {
    // More than any run writes: the tail stays unverified.
    let mut broker = session.onelog(Flush::Sync, &[("onelog.checkpoint.bytes", "1099511627776")])?;
    let load = Load { shape: BatchShape::filling(16 << 10, 1024), batches_per_request: 1, connections: 4 };
    let bytes = if session.options.quick { 256 << 20 } else { 1 << 30 };
    let pace = Pace { in_flight: 64, duration: Duration::from_secs(60), bytes };
    session.measure("recovery", what, Subject::Onelog, || {
        let mut topics = TopicSet::create(broker.address(), 16, &[])?;
        let from = topics.ends.clone();
        let answered = std::sync::atomic::AtomicU64::new(0);
        let produced = closed_loop::produce(broker.address(), &mut topics, load, pace, false, &answered)?;
        broker.kill();
        if cold {
            page_cache::evict(broker.folder())?;
        }
        let seconds = broker.start()?.as_secs_f64();
        let findings = readback::check(broker.address(), &topics, &from, &produced)?;
        Ok(Recovery { seconds, tail_bytes: produced.bytes, findings })
    })
}
