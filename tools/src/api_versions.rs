//! `kafka-broker-api-versions` (Kafka class `BrokerApiVersionsCommand`): each broker with its APIs and the version that these
//! tools would use.

use std::ffi::OsString;
use std::io::Write;

use clap::{CommandFactory as _, Parser};
use kafka_protocol::messages::ApiKey;

use crate::client::{ApiRange, Broker, Target};
use crate::failure::Outcome;
use crate::options::Connect;

/// What clients of Apache Kafka 4.3 know, by key: those that a broker lacks are shown as unsupported.
const CLIENT_APIS: &[(i16, i16)] =
    &[(0, 3), (8, 51), (55, 55), (57, 57), (60, 61), (64, 66), (68, 69), (71, 72), (74, 81), (83, 92)];

/// Show each broker's APIs and their versions
#[derive(Debug, Parser)]
#[command(version, infer_long_args = true)]
struct Arguments {
    #[command(flatten)]
    connect: Connect,
}

/// The command line, for completions and manual pages.
pub(crate) fn command() -> clap::Command {
    Arguments::command()
}

pub(crate) fn run(line: Vec<OsString>, out: &mut dyn Write) -> Outcome {
    let arguments = Arguments::try_parse_from(line)?;
    let mut client = arguments.connect.client()?;
    let cluster = client.cluster(Some(&[]))?;
    for broker in cluster.brokers {
        let ranges = client.retry(|client| client.api_ranges(Target::Node(broker.id)))?;
        write!(out, "{}", block(&broker, &ranges))?;
    }
    Ok(())
}

fn block(broker: &Broker, ranges: &[ApiRange]) -> String {
    let client_apis = CLIENT_APIS.iter().flat_map(|&(first, last)| first..=last);
    let mut keys: Vec<i16> = client_apis.chain(ranges.iter().map(|range| range.key)).collect();
    keys.sort_unstable();
    keys.dedup();
    let rows: Vec<String> =
        keys.into_iter().map(|key| row(key, ranges.iter().find(|range| range.key == key))).collect();
    let Broker { id, host, port, rack } = broker;
    let rack = rack.as_deref().unwrap_or("null");
    format!("{host}:{port} (id: {id} rack: {rack} isFenced: false) -> (\n{}\n)\n", rows.join(",\n"))
}

fn row(key: i16, range: Option<&ApiRange>) -> String {
    let name = name(key);
    let Some(range) = range else { return format!("\t{name}({key}): UNSUPPORTED") };
    let versions = if range.oldest == range.newest {
        range.newest.to_string()
    } else {
        format!("{} to {}", range.oldest, range.newest)
    };
    let usable = match ApiKey::try_from(key).map(|key| key.valid_versions()) {
        Ok(ours) if ours.max < range.oldest => "unusable: node too new".to_owned(),
        Ok(ours) if ours.min > range.newest => "unusable: node too old".to_owned(),
        Ok(ours) => format!("usable: {}", ours.max.min(range.newest)),
        Err(()) => "unusable: node too new".to_owned(),
    };
    format!("\t{name}({key}): {versions} [{usable}]")
}

fn name(key: i16) -> String {
    match key {
        // The codec has no messages of streams groups.
        88 => "StreamsGroupHeartbeat".to_owned(),
        89 => "StreamsGroupDescribe".to_owned(),
        _ => ApiKey::try_from(key).map_or_else(|()| "UNKNOWN".to_owned(), |key| format!("{key:?}")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rows_have_kafkas_columns() {
        let broker = Broker { id: 1, host: "a".to_owned(), port: 9092, rack: None };
        let ranges = [
            ApiRange { key: 0, oldest: 0, newest: 13 },
            ApiRange { key: 47, oldest: 0, newest: 0 },
            ApiRange { key: 18, oldest: 99, newest: 100 },
        ];
        let text = block(&broker, &ranges);
        assert!(text.starts_with(
            "a:9092 (id: 1 rack: null isFenced: false) -> (\n\tProduce(0): 0 to 13 [usable: 13],\n"
        ));
        assert!(text.contains("\tOffsetDelete(47): 0 [usable: 0],\n"));
        assert!(text.contains("\tApiVersions(18): 99 to 100 [unusable: node too new],\n"));
        assert!(text.ends_with("\tDeleteShareGroupOffsets(92): UNSUPPORTED\n)\n"));
    }
}
