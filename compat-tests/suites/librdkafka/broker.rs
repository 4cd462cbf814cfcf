//! A broker for a suite that is not written in Rust: `suite-broker [onelog|kafka]` starts it with the harness's settings,
//! prints its address in one line, and kills it when its input ends.

use std::io::{Read as _, Write as _};

use anyhow::{Result, bail};
use compat_tests::broker::{Broker, BrokerKind};

fn main() -> Result<()> {
    let kind = match std::env::args().nth(1).as_deref() {
        Some("onelog") => BrokerKind::Onelog,
        Some("kafka") => BrokerKind::Kafka,
        other => bail!("{other:?} is no broker: it must be onelog or kafka"),
    };
    let broker = Broker::start(kind)?;
    writeln!(std::io::stdout(), "{}", broker.address())?;
    std::io::stdin().read_to_end(&mut Vec::new())?;
    Ok(())
}
