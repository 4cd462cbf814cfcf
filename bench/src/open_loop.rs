//! Produces at a fixed rate, whatever the broker does, and measures from the moment a request was due.
//!
//! So a broker that stalls pays for every request that was due in the meantime (no coordinated omission). Each connection
//! has a thread that writes and one that reads. Invariant: as in the closed loop, every request is answered or the run fails.

use std::io::Write as _;
use std::net::{SocketAddr, TcpStream};
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, ensure};
use hdrhistogram::Histogram;

use crate::load::{Load, Producer, next_run};
use crate::produce_request::check_response;
use crate::produced::{Produced, Sent};
use crate::topics::TopicSet;
use crate::wire::Connection;
use crate::{clock, cpus};

/// Latencies are kept in microseconds up to a minute, three digits exact.
const MOST_MICROSECONDS: u64 = 60_000_000;

/// The rate of an open loop.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Schedule {
    /// Requests per second over all connections.
    pub(crate) rate: f64,
    /// Requests due in this time are sent and not measured.
    pub(crate) warm_up: Duration,
    /// Requests due after that and within this time are measured.
    pub(crate) duration: Duration,
}

impl Schedule {
    /// When request `index` of connection `number` of `connections` is due, from the start.
    fn due(&self, connections: u32, number: u32, index: u64) -> Duration {
        let place = index * u64::from(connections) + u64::from(number);
        Duration::from_secs_f64(place as f64 / self.rate)
    }

    /// How many requests of this connection are due in all.
    fn requests(&self, connections: u32, number: u32) -> u64 {
        let whole = self.warm_up + self.duration;
        let mut requests = 0;
        let mut step = 1 << 40;
        while step > 0 {
            if self.due(connections, number, requests + step - 1) < whole {
                requests += step;
            }
            step /= 2;
        }
        requests
    }
}

/// Latencies in microseconds, by the second in which their requests were due.
#[derive(Debug, Default)]
pub(crate) struct Latencies(Vec<Histogram<u64>>);

impl Latencies {
    /// Those of all requests.
    pub(crate) fn all(&self) -> Histogram<u64> {
        let mut all = histogram();
        self.0.iter().for_each(|second| all += second);
        all
    }

    /// A quantile of each second's requests. Their median says what a load costs where a device stalls for part of a second
    /// now and then by itself, which a quantile of all requests does not.
    pub(crate) fn of_each_second(&self, quantile: f64) -> Vec<f64> {
        self.0.iter().map(|second| second.value_at_quantile(quantile) as f64).collect()
    }

    fn record(&mut self, second: usize, latency: u64) {
        self.second(second).saturating_record(latency);
    }

    fn add(&mut self, other: &Self) {
        other.0.iter().enumerate().for_each(|(number, second)| *self.second(number) += second);
    }

    fn second(&mut self, number: usize) -> &mut Histogram<u64> {
        self.0.resize_with(self.0.len().max(number + 1), histogram);
        &mut self.0[number]
    }
}

/// Runs the load and returns it with the latencies.
///
/// # Errors
/// The broker refuses a batch, goes away, or needs twice the time that the schedule has.
pub(crate) fn produce(
    address: SocketAddr,
    topics: &mut TopicSet,
    load: Load,
    schedule: Schedule,
) -> Result<(Produced, Latencies)> {
    let run = next_run();
    let shared: &TopicSet = topics;
    // Threads need a moment to start and connect before the first request is due.
    let started = clock::now() + Duration::from_millis(100);
    let one = |number| -> Result<_> {
        let producer = Producer::new(shared, load, run, number)?;
        connection_run(address, producer, Line { load, schedule, number, started })
    };
    let results: Result<Vec<_>> = std::thread::scope(|scope| {
        let threads: Vec<_> = (0..load.connections).map(|number| scope.spawn(move || one(number))).collect();
        threads.into_iter().map(|thread| thread.join().expect("a load thread panicked")).collect()
    });
    let elapsed = clock::now() - started;
    let (sent, measured): (Vec<_>, Vec<_>) = results.context("a load connection failed")?.into_iter().unzip();
    let mut latencies = Latencies::default();
    measured.iter().for_each(|one| latencies.add(one));
    let produced = Produced::new(run, &load, elapsed, sent);
    produced.extend(topics);
    Ok((produced, latencies))
}

/// One connection's part of the schedule.
#[derive(Debug, Clone, Copy)]
struct Line {
    load: Load,
    schedule: Schedule,
    number: u32,
    started: Instant,
}

impl Line {
    fn due(&self, index: u64) -> Instant {
        self.started + self.schedule.due(self.load.connections, self.number, index)
    }
}

fn connection_run(address: SocketAddr, mut producer: Producer<'_>, line: Line) -> Result<(Sent, Latencies)> {
    let connection = Connection::open(address)?;
    let writer = connection.writer()?;
    let total = AtomicU64::new(line.schedule.requests(line.load.connections, line.number));
    let (written, measured) = std::thread::scope(|scope| {
        let reader = scope.spawn(|| receive(connection, line, &total));
        let written = send(writer, &mut producer, line, &total);
        if written.is_err() {
            total.store(0, Ordering::Release);
        }
        (written, reader.join().expect("a reading thread panicked"))
    });
    written?;
    Ok((producer.finish(), measured?))
}

/// Writes what is due; lowers `total` before the last request when time has run out.
fn send(mut writer: TcpStream, producer: &mut Producer<'_>, line: Line, total: &AtomicU64) -> Result<()> {
    cpus::wake_exactly();
    let limit = line.started + (line.schedule.warm_up + line.schedule.duration) * 2;
    let mut out = Vec::new();
    while producer.requests() < total.load(Ordering::Acquire) {
        clock::sleep_until(line.due(producer.requests()));
        if clock::now() > limit {
            total.store(producer.requests() + 1, Ordering::Release);
        }
        producer.write_next(&mut out);
        writer.write_all(&out)?;
        out.clear();
    }
    ensure!(clock::now() <= limit, "the broker cannot keep up with {:.0} requests/s", line.schedule.rate);
    Ok(())
}

fn receive(mut connection: Connection, line: Line, total: &AtomicU64) -> Result<Latencies> {
    let mut latencies = Latencies::default();
    let measured_from = line.started + line.schedule.warm_up;
    let mut received = 0;
    while received < total.load(Ordering::Acquire) {
        let frame = connection.next_frame()?;
        let now = clock::now();
        check_response(&frame)?;
        let due = line.due(received);
        if due >= measured_from {
            let latency = u64::try_from(now.saturating_duration_since(due).as_micros())?;
            latencies.record(usize::try_from((due - measured_from).as_secs())?, latency);
        }
        received += 1;
    }
    Ok(latencies)
}

fn histogram() -> Histogram<u64> {
    Histogram::new_with_bounds(1, MOST_MICROSECONDS, 3).expect("constant bounds that the crate allows")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn requests_are_due_in_turn_over_all_connections() {
        let schedule = Schedule {
            rate: 1000.0,
            warm_up: Duration::from_millis(10),
            duration: Duration::from_millis(95),
        };
        assert_eq!(schedule.due(4, 0, 0), Duration::ZERO);
        assert_eq!(schedule.due(4, 3, 2), Duration::from_millis(11));
        let requests: Vec<_> = (0..4).map(|number| schedule.requests(4, number)).collect();
        assert_eq!(requests, [27, 26, 26, 26]);
    }

    #[test]
    fn one_second_with_a_stall_moves_no_median_of_seconds() {
        let mut one = Latencies::default();
        let mut other = Latencies::default();
        (0..3).for_each(|second| (0..100).for_each(|_| one.record(second, 200)));
        (0..50).for_each(|_| other.record(1, 400_000));
        one.add(&other);
        assert_eq!(one.all().len(), 350);
        assert!(one.all().value_at_quantile(0.99) >= 400_000);
        let seconds = one.of_each_second(0.99);
        assert_eq!((seconds.len(), crate::samples::median(&seconds)), (3, 200.0));
    }
}
