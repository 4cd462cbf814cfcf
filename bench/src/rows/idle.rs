//! What an idle broker holds: memory, per connection and per partition, with descriptors and maps.

use anyhow::Result;
use kafka_protocol::messages::MetadataRequest;
use serde::Serialize;

use crate::broker_process::{Broker, Subject};
use crate::onelog::Flush;
use crate::process_facts::{self, Footprint};
use crate::session::Session;
use crate::table::{Figure, Limit};
use crate::topics::TopicSet;
use crate::wire::Connection;

pub(super) const ABOUT: &str = "RssAnon of a fresh broker, of one with 1000 connections that each asked for Metadata, \
    of one with 100 000 partitions (1000 for Kafka) in topics of 1000";

const CONNECTIONS: u32 = 1000;
const PARTITIONS: u32 = 100_000;
const KAFKA_PARTITIONS: u32 = 1000;

#[derive(Debug, Clone, Serialize)]
struct Idle {
    fresh: Footprint,
    connected: Footprint,
    partitioned: Footprint,
    partitions: u32,
}

impl Idle {
    fn per_connection(&self) -> f64 {
        self.connected.anonymous.saturating_sub(self.fresh.anonymous) as f64 / f64::from(CONNECTIONS)
    }

    fn per_partition(&self) -> f64 {
        self.partitioned.anonymous.saturating_sub(self.fresh.anonymous) as f64 / f64::from(self.partitions)
    }
}

pub(super) fn run(session: &mut Session) -> Result<Vec<Figure>> {
    let subjects = [Some(Subject::Onelog), session.kafka_version().map(|_| Subject::Kafka)];
    let mut found = Vec::new();
    for subject in subjects.into_iter().flatten() {
        let idle = take(session, subject)?;
        found.push(idle);
    }
    let onelog = &found[0];
    let kafka = found.get(1);
    let figure = |what: &str, unit, of: &dyn Fn(&Idle) -> f64, limit| Figure {
        what: what.to_owned(),
        unit,
        onelog: Some(of(onelog)),
        kafka: kafka.map(of),
        limit,
        ..Figure::default()
    };
    let mb = |bytes: u64| bytes as f64 / 1e6;
    let most = |limit| Some(Limit::AtMost(limit));
    Ok(vec![
        Figure {
            note: format!(
                "RSS {:.1} MB, PSS {:.1} MB",
                mb(onelog.fresh.resident),
                mb(onelog.fresh.proportional)
            ),
            ..figure("idle memory", "MB", &|idle| mb(idle.fresh.anonymous), most(15.0))
        },
        figure("memory per idle connection", "KiB", &|idle| idle.per_connection() / 1024.0, most(10.0)),
        figure("memory per idle partition", "B", &Idle::per_partition, most(300.0)),
        Figure {
            note: format!("Onelog with {PARTITIONS} partitions, Kafka with {KAFKA_PARTITIONS}"),
            ..figure(
                "open descriptors with many partitions",
                "",
                &|idle| idle.partitioned.descriptors as f64,
                None,
            )
        },
        Figure {
            note: format!("Onelog with {PARTITIONS} partitions, Kafka with {KAFKA_PARTITIONS}"),
            ..figure("memory maps with many partitions", "", &|idle| idle.partitioned.maps as f64, None)
        },
    ])
}

fn take(session: &mut Session, subject: Subject) -> Result<Idle> {
    let partitions = if subject == Subject::Onelog { PARTITIONS } else { KAFKA_PARTITIONS };
    let (for_connections, for_partitions) = (start(session, subject)?, start(session, subject)?);
    let sample = session.measure("idle", "idle memory", subject, || {
        let fresh = process_facts::footprint(for_connections.pid()?)?;
        let mut connections = Vec::new();
        for _ in 0..CONNECTIONS {
            let mut connection = Connection::open(for_connections.address())?;
            connection.ask(1, &MetadataRequest::default().with_topics(Some(Vec::new())))?;
            connections.push(connection);
        }
        let connected = process_facts::footprint(for_connections.pid()?)?;
        drop(connections);
        TopicSet::create(for_partitions.address(), partitions, &[])?;
        let partitioned = process_facts::footprint(for_partitions.pid()?)?;
        Ok(Idle { fresh, connected, partitioned, partitions })
    })?;
    Ok(sample.value)
}

fn start(session: &mut Session, subject: Subject) -> Result<Broker> {
    if subject == Subject::Kafka
        && let Some(mut broker) = session.unstarted_kafka(None)?
    {
        broker.start()?;
        return Ok(broker);
    }
    session.onelog(Flush::Sync, &[])
}
