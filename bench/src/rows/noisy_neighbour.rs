//! Produce latency while one consumer reads old data that only the device has.

use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};

use anyhow::Result;
use serde::Serialize;

use super::latency::{LOAD, Latency, PARTITIONS};
use crate::batches::BatchShape;
use crate::broker_process::{Broker, Subject};
use crate::closed_loop::{self, Pace};
use crate::load::Load;
use crate::onelog::Flush;
use crate::open_loop::{self, Schedule};
use crate::samples::Sample;
use crate::session::Session;
use crate::table::{Figure, Limit};
use crate::topics::TopicSet;
use crate::wire::Connection;
use crate::{fetch, page_cache, process_facts};

pub(super) const ABOUT: &str = "open loop of 1500 16 KiB batches per second to 16 partitions, alone and while one \
    consumer reads old data (10 GiB, quick: 2 GiB) that was put out of the page cache; nothing pinned. Each half takes \
    three times as long as a latency run; its figure is the median of the 99 % of each second, since this device stalls for up to half \
    a second by itself, and the 99 % of the whole are beside it; the note says how much was read from the device meanwhile";

const RATE: f64 = 1500.0;

#[derive(Debug, Clone, Serialize)]
struct Noise {
    alone: Latency,
    beside: Latency,
    /// What the consumer got while latency was measured.
    read_bytes: u64,
    /// What the broker read from the device for it.
    device_bytes: u64,
}

impl Noise {
    fn times(&self) -> f64 {
        self.beside.second_p99_us / self.alone.second_p99_us
    }
}

pub(super) fn run(session: &mut Session) -> Result<Vec<Figure>> {
    let mut figures = Vec::new();
    for flush in [Flush::Os, Flush::Sync] {
        let what = format!("produce p99 beside a cold reader, flush={}", flush.word());
        let mut onelog = session.onelog(flush, &[])?;
        let noise = take(session, &what, Subject::Onelog, |time, bytes| {
            let cold = preload(&onelog, bytes)?;
            // Restarted, so that no page is mapped.
            onelog.stop()?;
            page_cache::evict(onelog.folder())?;
            onelog.start()?;
            measure(&onelog, &cold, time)
        })?;
        drop(onelog);
        let kafka = if flush == Flush::Os { session.kafka()? } else { None };
        let beside_kafka = kafka
            .map(|kafka| {
                take(session, &what, Subject::Kafka, |time, bytes| {
                    kafka.unpin()?;
                    let cold = preload(&kafka, bytes)?;
                    page_cache::evict(kafka.folder())?;
                    let noise = measure(&kafka, &cold, time)?;
                    cold.delete(kafka.address())?;
                    Ok(noise)
                })
            })
            .transpose()?;
        figures.extend(compare(&what, &noise.value, beside_kafka.as_ref().map(|sample| &sample.value)));
    }
    Ok(figures)
}

fn take(
    session: &mut Session,
    what: &str,
    subject: Subject,
    body: impl FnOnce(std::time::Duration, u64) -> Result<Noise>,
) -> Result<Sample<Noise>> {
    let (time, bytes) = (session.options.latency_time() * 3, session.options.cold_bytes());
    session.measure("noisy-neighbour", what, subject, || body(time, bytes))
}

fn compare(what: &str, onelog: &Noise, kafka: Option<&Noise>) -> Vec<Figure> {
    let amount = |noise: &Noise| {
        format!(
            "{:.0} MB to the reader, {:.0} MB from the device",
            noise.read_bytes as f64 / 1e6,
            noise.device_bytes as f64 / 1e6
        )
    };
    let note = match kafka {
        Some(kafka) => format!("Onelog {}; Kafka {}", amount(onelog), amount(kafka)),
        None => amount(onelog),
    };
    let p99 = |name: &str, of: fn(&Noise) -> f64| Figure {
        what: format!("{what}: {name}"),
        unit: "us",
        onelog: Some(of(onelog)),
        kafka: kafka.map(of),
        ..Figure::default()
    };
    let mut figures = vec![
        p99("alone", |noise| noise.alone.second_p99_us),
        p99("beside", |noise| noise.beside.second_p99_us),
        p99("alone, of the whole", |noise| noise.alone.p99_us),
        p99("beside, of the whole", |noise| noise.beside.p99_us),
    ];
    figures.push(Figure {
        what: format!("{what}: against alone"),
        unit: "times",
        onelog: Some(onelog.times()),
        kafka: kafka.map(Noise::times),
        limit: Some(Limit::AtMost(2.0)),
        note,
        ..Figure::default()
    });
    figures
}

fn preload(broker: &Broker, bytes: u64) -> Result<TopicSet> {
    let mut topics = TopicSet::create(broker.address(), 4, &[])?;
    let load = Load { shape: BatchShape::filling(1 << 20, 1024), batches_per_request: 1, connections: 4 };
    let pace = Pace { in_flight: 4, duration: std::time::Duration::from_secs(120), bytes };
    closed_loop::produce(broker.address(), &mut topics, load, pace, false, &AtomicU64::new(0))?;
    Ok(topics)
}

fn measure(broker: &Broker, cold: &TopicSet, time: std::time::Duration) -> Result<Noise> {
    let mut topics = TopicSet::create(broker.address(), PARTITIONS, &[])?;
    let schedule = Schedule { rate: RATE, warm_up: time / 4, duration: time };
    let (_, alone) = open_loop::produce(broker.address(), &mut topics, LOAD, schedule)?;
    let before = process_facts::device_bytes_read(broker.pid()?)?;
    let done = AtomicBool::new(false);
    let (beside, read_bytes) = std::thread::scope(|scope| {
        let reader = scope.spawn(|| read_until(broker, cold, &done));
        let beside = open_loop::produce(broker.address(), &mut topics, LOAD, schedule);
        done.store(true, Ordering::Release);
        (beside, reader.join().expect("the reading thread panicked"))
    });
    let device_bytes = process_facts::device_bytes_read(broker.pid()?)? - before;
    topics.delete(broker.address())?;
    let (_, beside) = beside?;
    Ok(Noise {
        alone: Latency::new(RATE, &alone),
        beside: Latency::new(RATE, &beside),
        read_bytes: read_bytes?,
        device_bytes,
    })
}

/// Reads the old data from its start, again and again, until `done`.
fn read_until(broker: &Broker, cold: &TopicSet, done: &AtomicBool) -> Result<u64> {
    let mut connection = Connection::open(broker.address())?;
    let from = vec![0; cold.ends.len()];
    let mut bytes = 0;
    while !done.load(Ordering::Acquire) {
        bytes +=
            fetch::read(&mut connection, cold, &from, |_, _| Ok(()), || !done.load(Ordering::Acquire))?.bytes;
        page_cache::evict(broker.folder())?;
    }
    Ok(bytes)
}
