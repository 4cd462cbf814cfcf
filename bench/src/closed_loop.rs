//! Produces as fast as the broker answers: each connection keeps a number of requests in flight.
//!
//! One thread per connection writes and reads by turns. That cannot lock up: the answers to what is in flight fit the
//! socket's buffer. Invariant: a run ends only when every request was answered, so what was sent is what was acknowledged.

use std::net::SocketAddr;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, ensure};

use crate::load::{Load, Producer, next_run};
use crate::produce_request::check_response;
use crate::produced::{Produced, Sent};
use crate::topics::TopicSet;
use crate::wire::Connection;
use crate::{clock, cpus};

/// Bytes that are written at once when requests are small.
const BURST: usize = 128 << 10;

/// When a closed loop ends and how much it keeps in flight.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Pace {
    /// Requests in flight per connection.
    pub(crate) in_flight: u64,
    /// Nothing is sent after this time.
    pub(crate) duration: Duration,
    /// Nor after this many user bytes.
    pub(crate) bytes: u64,
}

/// Runs the load on the load generator's processors, or on all when not `pinned`. `answered` counts batches as they are
/// acknowledged, for those who watch.
///
/// # Errors
/// The broker refuses a batch, hangs or goes away.
pub(crate) fn produce(
    address: SocketAddr,
    topics: &mut TopicSet,
    load: Load,
    pace: Pace,
    pinned: bool,
    answered: &AtomicU64,
) -> Result<Produced> {
    let run = next_run();
    let shared: &TopicSet = topics;
    let started = clock::now();
    let one = |number| -> Result<Sent> {
        if pinned {
            cpus::pin_this_thread_to_load()?;
        }
        let mut producer = Producer::new(shared, load, run, number)?;
        let connection = Connection::open(address)?;
        send(connection, &mut producer, load, pace, started, answered)?;
        Ok(producer.finish())
    };
    let sent: Result<Vec<_>> = std::thread::scope(|scope| {
        let threads: Vec<_> = (0..load.connections).map(|number| scope.spawn(move || one(number))).collect();
        threads.into_iter().map(|thread| thread.join().expect("a load thread panicked")).collect()
    });
    let elapsed = clock::now() - started;
    let produced = Produced::new(run, &load, elapsed, sent.context("a load connection failed")?);
    produced.extend(topics);
    Ok(produced)
}

fn send(
    mut connection: Connection,
    producer: &mut Producer<'_>,
    load: Load,
    pace: Pace,
    started: Instant,
    answered: &AtomicU64,
) -> Result<()> {
    let bytes_per_request = load.shape.value_bytes() * u64::from(load.batches_per_request);
    let requests = (pace.bytes / u64::from(load.connections) / bytes_per_request).max(1);
    let mut received: u64 = 0;
    let mut out = Vec::with_capacity(BURST + producer.request_len());
    loop {
        let mut more = clock::now() - started < pace.duration;
        while more && producer.requests() < requests && producer.requests() - received < pace.in_flight {
            producer.write_next(&mut out);
            if out.len() >= BURST {
                connection.send(&out)?;
                out.clear();
                more = clock::now() - started < pace.duration;
            }
        }
        if !out.is_empty() {
            connection.send(&out)?;
            out.clear();
        }
        if producer.requests() == received {
            return Ok(());
        }
        let mut next = Some(connection.next_frame()?);
        while let Some(frame) = next {
            let expected = i32::try_from(received & 0x7fff_ffff)?;
            ensure!(check_response(&frame)? == expected, "an answer came out of order");
            received += 1;
            answered.fetch_add(u64::from(load.batches_per_request), Ordering::Relaxed);
            next = connection.buffered_frame()?;
        }
    }
}
