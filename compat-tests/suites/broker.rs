//! A broker for a suite that is not written in Rust: `suite-broker onelog|kafka [--port N] [--host NAME] [--node-id N]
//! [--config KEY=VALUE]..` starts it with the harness's settings, prints its address in one line, and kills it when its input ends.

use std::io::{Read as _, Write as _};

use anyhow::{Result, bail};
use clap::Parser;
use compat_tests::broker::{Broker, BrokerKind, Identity};

#[derive(Debug, Parser)]
#[command(name = "suite-broker", about = "A broker until the input ends")]
struct Arguments {
    /// `onelog` or `kafka`
    broker: String,
    /// Where it listens
    #[arg(long)]
    port: Option<u16>,
    /// What it tells clients to connect to
    #[arg(long, default_value = "127.0.0.1")]
    host: String,
    /// Its number
    #[arg(long, default_value_t = 0)]
    node_id: i32,
    /// KEY=VALUE, wins over the harness's settings; may be repeated
    #[arg(long)]
    config: Vec<String>,
}

fn main() -> Result<()> {
    let Arguments { broker, port, host, node_id, config } = Arguments::parse();
    let kind = match broker.as_str() {
        "onelog" => BrokerKind::Onelog,
        "kafka" => BrokerKind::Kafka,
        other => bail!("{other:?} is no broker: it must be onelog or kafka"),
    };
    let properties = config.iter().map(|line| format!("{line}\n")).collect();
    let broker = Broker::start_as(kind, Identity { port, host, node_id, properties })?;
    writeln!(std::io::stdout(), "{}", broker.address())?;
    std::io::stdin().read_to_end(&mut Vec::new())?;
    Ok(())
}
