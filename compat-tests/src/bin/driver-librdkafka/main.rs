//! The driver of librdkafka through the crate `rdkafka`: the line protocol of `drivers/README.md` on stdin and
//! stdout. A process of its own like every other driver, so that a group member can be killed.

mod admin;
mod consume;
mod load;
mod produce;

use std::io::{BufRead as _, Write as _};

use anyhow::{Context as _, Result, bail};
use rdkafka::config::ClientConfig;
use rdkafka::error::KafkaError;
use rdkafka::producer::Producer as _;
use rdkafka::types::RDKafkaErrorCode;
use serde::Deserialize;
use serde::de::DeserializeOwned;
use serde_json::{Value, json};

/// What lives from one verb to the next.
struct Driver {
    address: String,
    member: Option<consume::Member>,
    load: Option<load::Load>,
}

fn main() -> Result<()> {
    let address = std::env::args().nth(1).context("the broker's address is the only argument")?;
    let mut driver = Driver { address, member: None, load: None };
    for line in std::io::stdin().lock().lines() {
        let request: Value = serde_json::from_str(&line?)?;
        let answer = match driver.answer(&request) {
            Ok(value) => json!({ "ok": value }),
            Err(error) => json!({ "error": { "code": code(&error), "message": format!("{error:#}") } }),
        };
        writeln!(std::io::stdout(), "{answer}")?;
    }
    Ok(())
}

impl Driver {
    fn answer(&mut self, request: &Value) -> Result<Value> {
        let verb = request.get("verb").and_then(Value::as_str).context("a request has a verb")?;
        match verb {
            "hello" => {
                let (_, version) = rdkafka::util::get_rdkafka_version();
                Ok(json!(format!("librdkafka {version} (crate rdkafka 0.39)")))
            }
            "produce" => produce::produce(self.config(), &arguments(request)?),
            "consume" => consume::consume(self.config(), &arguments(request)?),
            "offset_for_time" => consume::offset_for_time(&self.config(), &arguments(request)?),
            "watermarks" => consume::watermarks(&self.config(), &arguments(request)?),
            "long_poll" => consume::long_poll(&self.config(), &arguments(request)?),
            "group_join" => {
                self.member = Some(consume::Member::join(self.config(), &arguments(request)?)?);
                Ok(json!({}))
            }
            "group_poll" => self.member()?.poll(&arguments(request)?),
            "group_commit" => self.member()?.commit(),
            "group_leave" => {
                self.member = None;
                Ok(json!({}))
            }
            "load_start" => {
                self.load = Some(load::Load::start(self.config(), &arguments(request)?)?);
                Ok(json!({}))
            }
            "load_status" => Ok(json!(self.load.as_ref().context("no load runs")?.acknowledged())),
            "load_stop" => self.load.take().context("no load runs")?.stop(),
            _ => admin::answer(&self.config(), verb, request),
        }
    }

    fn member(&mut self) -> Result<&mut consume::Member> {
        self.member.as_mut().context("no group was joined")
    }

    fn config(&self) -> ClientConfig {
        let mut config = ClientConfig::new();
        config.set("bootstrap.servers", &self.address);
        config
    }
}

/// One partition of a topic, and where in it.
#[derive(Deserialize)]
struct Place {
    topic: String,
    partition: i32,
}

fn arguments<T: DeserializeOwned>(request: &Value) -> Result<T> {
    T::deserialize(request).context("the verb's arguments are of another shape")
}

/// Kafka's error code, or librdkafka's own below zero.
fn code(error: &anyhow::Error) -> Option<i32> {
    let found = error.downcast_ref::<RDKafkaErrorCode>().copied();
    let found = found.or_else(|| error.downcast_ref::<KafkaError>().and_then(KafkaError::rdkafka_error_code));
    found.map(number)
}

fn number(code: RDKafkaErrorCode) -> i32 {
    code as i32
}

fn flush<C: rdkafka::producer::ProducerContext>(
    producer: &rdkafka::producer::ThreadedProducer<C>,
) -> Result<()> {
    if let Err(error) = producer.flush(std::time::Duration::from_secs(120)) {
        bail!(error);
    }
    Ok(())
}
