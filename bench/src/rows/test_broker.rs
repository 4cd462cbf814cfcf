//! A broker for one test: from starting the process to the first acknowledged record, what it holds then, and how long it takes
//! to empty it for the next test. Beside kfake and Apache Kafka in the same run.

use std::io::{Read as _, Write as _};
use std::net::{SocketAddr, TcpStream};
use std::sync::atomic::AtomicU64;
use std::time::Duration;

use anyhow::{Result, ensure};
use serde::Serialize;

use crate::batches::BatchShape;
use crate::broker_process::{Broker, Subject, free_port};
use crate::closed_loop::{self, Pace};
use crate::load::Load;
use crate::process_facts;
use crate::session::Session;
use crate::table::{Figure, Limit, number};
use crate::topics::TopicSet;
use crate::{clock, samples};

pub(super) const ABOUT: &str = "`onelog dev`, kfake and Apache Kafka in their default settings on a new directory by turns: from \
    starting the process until a topic was created and one record of it acknowledged; RSS and PSS right after it; `POST /test/reset` \
    of `onelog dev --test-mode` from connecting to the whole answer, each time with 10 topics of one record. The median, with the \
    slowest beside it";

const TURNS: usize = 3;
const PRODUCE_LIMIT: Duration = Duration::from_secs(60);
const TOPICS_TO_RESET: u32 = 10;
const MOST_RESET_MS: f64 = 5.0;

#[derive(Debug, Clone, Default, Serialize)]
struct Starts {
    milliseconds: Vec<f64>,
    resident_megabytes: Vec<f64>,
    proportional_megabytes: Vec<f64>,
}

pub(super) fn run(session: &mut Session) -> Result<Vec<Figure>> {
    let quick = session.options.quick;
    let (of_onelog, of_kfake) = if quick { (3, 2) } else { (34, 7) };
    let (mut onelog, mut kfake, mut kafka) = (Starts::default(), Starts::default(), Starts::default());
    for _ in 0..TURNS {
        turn(session, Subject::Onelog, of_onelog, &mut onelog)?;
        turn(session, Subject::Kfake, of_kfake, &mut kfake)?;
        if session.kafka_version().is_some() {
            turn(session, Subject::Kafka, 1, &mut kafka)?;
        }
    }
    let reset = resets(session, if quick { 10 } else { 100 })?;
    let starts = [&onelog, &kfake, &kafka];
    let mut figures = vec![
        figure("test broker: start to first acknowledged record", "ms", starts, |starts| {
            &starts.milliseconds
        }),
        figure("test broker: RSS after the first record", "MB", starts, |starts| &starts.resident_megabytes),
        figure("test broker: PSS after the first record", "MB", starts, |starts| {
            &starts.proportional_megabytes
        }),
    ];
    figures.push(Figure {
        what: format!("test broker: reset of {TOPICS_TO_RESET} topics"),
        unit: "ms",
        onelog: Some(samples::median(&reset)),
        limit: Some(Limit::AtMost(MOST_RESET_MS)),
        note: format!("slowest {} of {}", number(most(&reset)), reset.len()),
        ..Figure::default()
    });
    Ok(figures)
}

fn figure(what: &str, unit: &'static str, starts: [&Starts; 3], of: impl Fn(&Starts) -> &Vec<f64>) -> Figure {
    let [onelog, kfake, kafka] = starts.map(of);
    let mut note = format!("slowest {} of {}", number(most(onelog)), onelog.len());
    if what.contains("S after") {
        note = note.replace("slowest", "most");
    }
    note.push_str(&format!(
        "; kfake {}, {} at most of {}",
        number(samples::median(kfake)),
        number(most(kfake)),
        kfake.len()
    ));
    if !kafka.is_empty() {
        note.push_str(&format!("; Kafka {} at most of {}", number(most(kafka)), kafka.len()));
    }
    Figure {
        what: what.to_owned(),
        unit,
        onelog: Some(samples::median(onelog)),
        kafka: (!kafka.is_empty()).then(|| samples::median(kafka)),
        note,
        ..Figure::default()
    }
}

/// A number of starts, each on a new broker.
fn turn(session: &mut Session, subject: Subject, count: usize, into: &mut Starts) -> Result<()> {
    let mut brokers = Vec::new();
    for _ in 0..count {
        brokers.extend(match subject {
            Subject::Onelog => Some(session.unstarted_dev(None)?),
            Subject::Kfake => Some(session.unstarted_kfake()?),
            Subject::Kafka => session.unstarted_kafka(None)?,
        });
    }
    let taken = session.measure("test-broker", "start to first acknowledged record", subject, || {
        let mut starts = Starts::default();
        for broker in &mut brokers {
            starts.take(broker)?;
        }
        Ok(starts)
    })?;
    into.milliseconds.extend(taken.value.milliseconds);
    into.resident_megabytes.extend(taken.value.resident_megabytes);
    into.proportional_megabytes.extend(taken.value.proportional_megabytes);
    Ok(())
}

impl Starts {
    fn take(&mut self, broker: &mut Broker) -> Result<()> {
        let began = clock::now();
        broker.start()?;
        let topics = one_record_in_each(broker.address(), 1)?;
        self.milliseconds.push(milliseconds(clock::now() - began));
        let footprint = process_facts::footprint(broker.pid()?)?;
        self.resident_megabytes.push(megabytes(footprint.resident));
        self.proportional_megabytes.push(megabytes(footprint.proportional));
        drop(topics);
        broker.stop()
    }
}

fn one_record_in_each(address: SocketAddr, topics: u32) -> Result<TopicSet> {
    let mut topics = TopicSet::create_singles(address, topics, |_| Vec::new())?;
    let load = Load { shape: BatchShape::single(100), batches_per_request: 1, connections: 1 };
    let bytes = 100 * u64::from(topics.partitions());
    let pace = Pace { in_flight: 1, duration: PRODUCE_LIMIT, bytes };
    closed_loop::produce(address, &mut topics, load, pace, false, &AtomicU64::new(0))?;
    Ok(topics)
}

/// Milliseconds of each reset.
fn resets(session: &mut Session, count: usize) -> Result<Vec<f64>> {
    let admin = SocketAddr::from(([127, 0, 0, 1], free_port()?));
    let mut broker = session.unstarted_dev(Some(admin.port()))?;
    broker.start()?;
    let taken = session.measure("test-broker", "reset", Subject::Onelog, || {
        let mut taken = Vec::new();
        for _ in 0..count {
            one_record_in_each(broker.address(), TOPICS_TO_RESET)?;
            let began = clock::now();
            let answer = reset(admin)?;
            taken.push(milliseconds(clock::now() - began));
            ensure!(answer.starts_with("HTTP/1.1 200"), "the reset was answered with {answer}");
        }
        Ok(taken)
    })?;
    broker.stop()?;
    Ok(taken.value)
}

fn reset(admin: SocketAddr) -> Result<String> {
    let mut stream = TcpStream::connect(admin)?;
    stream.set_read_timeout(Some(PRODUCE_LIMIT))?;
    let request = format!(
        "POST /test/reset HTTP/1.1\r\nHost: {admin}\r\nContent-Length: 0\r\nConnection: close\r\n\r\n"
    );
    stream.write_all(request.as_bytes())?;
    let mut answer = String::new();
    stream.read_to_string(&mut answer)?;
    Ok(answer)
}

fn milliseconds(time: Duration) -> f64 {
    time.as_secs_f64() * 1e3
}

fn megabytes(bytes: u64) -> f64 {
    bytes as f64 / 1e6
}

fn most(values: &[f64]) -> f64 {
    values.iter().copied().fold(0.0, f64::max)
}
