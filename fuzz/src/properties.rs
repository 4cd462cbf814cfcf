//! Settings: a file in Java's properties format, or environment variables, up to a checked configuration.

use std::io::Write as _;

use broker::config::environment::variables;
use broker::config::{Config, Sources};

/// The first byte says as what the rest is read: a file, or lines that are variables.
pub fn run(bytes: &[u8]) {
    let Some((kind, rest)) = bytes.split_first() else { return };
    if kind & 1 == 1 {
        let text = String::from_utf8_lossy(rest);
        let pairs = text.lines().filter_map(|line| line.split_once('='));
        let environment = variables(pairs.map(|(name, value)| (name.to_owned(), value.to_owned())));
        drop(Config::load(&Sources { environment: &environment, ..Sources::default() }));
        return;
    }
    let mut file = tempfile::NamedTempFile::new().expect("a temporary folder");
    file.write_all(rest).expect("room for a small file");
    drop(Config::load(&Sources { file: Some(file.path()), ..Sources::default() }));
}

/// Files and environments as people write them.
pub fn seeds() -> Vec<Vec<u8>> {
    const TEXTS: [&str; 10] = [
        "\0node.id=1\nlisteners=PLAINTEXT://:9092,CONTROLLER://127.0.0.1:9093\nadvertised.listeners=PLAINTEXT://host:9092\n",
        "\0log.dirs=/var/lib/onelog\nlog.retention.hours=168\nlog.segment.bytes=1073741824\n",
        "\0# comment\n! another\nkey : value\\\n   continued\nauto.create.topics.enable true\n",
        "\0a\\ b=\\u00e9\\uD83D\\uDE00\\t\\n\nnum.partitions=3\n",
        "\0onelog.flush=interval\nonelog.flush.interval.ms=50\nmax.connections.per.ip=10\n",
        "\0listener.security.protocol.map=CLIENT:PLAINTEXT,INTERNAL:PLAINTEXT\nlisteners=CLIENT://[::1]:1,INTERNAL://:2\n",
        "\0group.initial.rebalance.delay.ms=0\noffsets.topic.num.partitions=1\nmessage.max.bytes=1048588\n",
        "\x01KAFKA_LISTENERS=PLAINTEXT://:9092\nKAFKA_NODE_ID=1\nKAFKA_NUM_PARTITIONS=3\n",
        "\x01KAFKA_ADVERTISED_LISTENERS=PLAINTEXT://localhost:9092,OTHER://broker:29092\nKAFKA_LOG_DIRS=/data\n",
        "\x01KAFKA_CFG_LOG_RETENTION_MS=-1\nKAFKA_LOG__SEGMENT___BYTES=1\nKAFKA_CREATE_TOPICS=a:1:1,b:2:1:compact\n",
    ];
    TEXTS.map(|text| text.as_bytes().to_vec()).to_vec()
}
