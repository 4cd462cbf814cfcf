//! How much disk a log takes whose topics keep very different amounts.

use std::fs;
use std::net::SocketAddr;
use std::path::Path;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::Duration;

use anyhow::{Result, ensure};
use kafka_protocol::messages::DescribeLogDirsRequest;
use serde::Serialize;

use crate::batches::BatchShape;
use crate::broker_process::{Broker, Subject};
use crate::clock;
use crate::load::Load;
use crate::onelog::Flush;
use crate::open_loop::{self, Schedule};
use crate::session::Session;
use crate::table::{Figure, Limit};
use crate::topics::TopicSet;
use crate::wire::Connection;

pub(super) const ABOUT: &str = "200 topics with retention.bytes from 1 MiB to 1 GiB, evenly on a logarithmic scale, \
    segment.bytes 1 MiB; 60 MB/s of 64 KiB batches spread evenly over all, open loop, flush=sync; every half second the bytes of \
    the commitlog folder less four files are divided by the bytes that DescribeLogDirs says the topics have, and the worst \
    after the first minute counts. Runs only when it is asked for";

const TOPICS: u32 = 200;
const BYTES_PER_SECOND: f64 = 60e6;
const FILE_BYTES: u64 = 256 << 20;
const DESCRIBE_LOG_DIRS_VERSION: i16 = 4;
/// Until then little was deleted yet.
const BEGINNING: Duration = Duration::from_secs(60);

#[derive(Debug, Clone, Copy, Default, Serialize)]
struct Space {
    /// The greatest of bytes held, four files not counted, by live bytes.
    worst: f64,
    live_bytes: u64,
    held_bytes: u64,
    written_bytes: u64,
    p99_us: f64,
}

pub(super) fn run(session: &mut Session) -> Result<Vec<Figure>> {
    let seconds = if session.is_quick() { 120 } else { 600 };
    let broker = session.onelog(Flush::Sync, &[])?;
    let what = format!("disk bytes less four files per live byte, {TOPICS} topics, {seconds} s");
    let measured = || measure(&broker, Duration::from_secs(seconds));
    let space = session.measure("space", &what, Subject::Onelog, measured)?.value;
    let gb = |bytes: u64| bytes as f64 / 1e9;
    let note = format!(
        "{:.1} GB written, {:.1} GB live and {:.1} GB held at the end; produce p99 {:.1} ms meanwhile",
        gb(space.written_bytes),
        gb(space.live_bytes),
        gb(space.held_bytes),
        space.p99_us / 1e3
    );
    let limit = Some(Limit::AtMost(1.3));
    Ok(vec![Figure { what, unit: "B/B", onelog: Some(space.worst), limit, note, ..Figure::default() }])
}

fn measure(broker: &Broker, duration: Duration) -> Result<Space> {
    let address = broker.address();
    let mut topics = TopicSet::create_singles(address, TOPICS, |topic| {
        let share = f64::from(topic) / f64::from(TOPICS - 1);
        let bytes = (1 << 20) as f64 * 1024_f64.powf(share);
        vec![
            ("retention.bytes".to_owned(), format!("{bytes:.0}")),
            ("segment.bytes".to_owned(), (1 << 20).to_string()),
        ]
    })?;
    let shape = BatchShape::filling(64 << 10, 1024);
    let load = Load { shape, batches_per_request: 1, connections: 4 };
    let rate = BYTES_PER_SECOND / (64 << 10) as f64;
    let schedule = Schedule { rate, warm_up: Duration::from_secs(1), duration };
    let log = broker.folder().join("data").join("commitlog");
    let done = AtomicBool::new(false);
    let (produced, watched) = thread::scope(|scope| {
        let watch = scope.spawn(|| watch(address, &log, &done));
        let produced = open_loop::produce(address, &mut topics, load, schedule);
        done.store(true, Ordering::Release);
        (produced, watch.join().expect("the watching thread panicked"))
    });
    let (produced, latencies) = produced?;
    let p99_us = latencies.all().value_at_quantile(0.99) as f64;
    Ok(Space { written_bytes: produced.bytes, p99_us, ..watched? })
}

fn watch(address: SocketAddr, log: &Path, done: &AtomicBool) -> Result<Space> {
    let mut connection = Connection::open(address)?;
    let started = clock::now();
    let mut space = Space::default();
    while !done.load(Ordering::Acquire) {
        thread::sleep(Duration::from_millis(500));
        space.held_bytes = held_bytes(log)?;
        space.live_bytes = live_bytes(&mut connection)?;
        if clock::now() - started > BEGINNING {
            let held = space.held_bytes.saturating_sub(4 * FILE_BYTES);
            space.worst = space.worst.max(held as f64 / space.live_bytes.max(1) as f64);
        }
    }
    Ok(space)
}

fn held_bytes(log: &Path) -> Result<u64> {
    let mut held = 0;
    for file in fs::read_dir(log)? {
        // A file may be given up and removed between two looks.
        held += file?.metadata().map_or(0, |file| file.len());
    }
    Ok(held)
}

fn live_bytes(connection: &mut Connection) -> Result<u64> {
    let request = DescribeLogDirsRequest::default().with_topics(None);
    let answer = connection.ask(DESCRIBE_LOG_DIRS_VERSION, &request)?;
    ensure!(answer.error_code == 0, "DescribeLogDirs answered error {}", answer.error_code);
    let topics = answer.results.iter().flat_map(|dir| &dir.topics);
    let sizes = topics.flat_map(|topic| &topic.partitions).map(|partition| partition.partition_size);
    Ok(sizes.map(|size| u64::try_from(size).unwrap_or_default()).sum())
}
