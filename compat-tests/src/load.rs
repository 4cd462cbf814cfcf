//! The load that is its own witness: it remembers what the broker told it and compares that with what is there later.
//!
//! `producers` send and remember, `commits` commit and remember, `reading` reads, `checker` judges. The programs that
//! break brokers (`kill_loop`, `power_loop`) run it; they only do the breaking.

mod checker;
mod commits;
mod payload;
mod producers;
mod reading;

use std::time::Duration;

use anyhow::Result;
use rdkafka::admin::{AdminClient, AdminOptions, NewTopic, TopicReplication};
use rdkafka::client::DefaultClientContext;
use rdkafka::config::ClientConfig;

pub use checker::{Outcome, Tally, VIOLATIONS, Violation};
pub use commits::{Commits, Floors};
pub use producers::{History, Load, Places};
pub use reading::check_all;

/// Creates the topics of the load.
///
/// # Errors
/// The broker does not answer within 30 seconds, or refuses.
pub fn create_topics(address: &str, places: &Places) -> Result<()> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    let mut config = ClientConfig::new();
    let admin: AdminClient<DefaultClientContext> = config.set("bootstrap.servers", address).create()?;
    let options = AdminOptions::new().operation_timeout(Some(Duration::from_secs(30)));
    let topics: Vec<_> = places
        .topics
        .iter()
        .map(|topic| NewTopic::new(topic, places.partitions, TopicReplication::Fixed(1)))
        .collect();
    for result in runtime.block_on(admin.create_topics(&topics, &options))? {
        result.map_err(|(topic, code)| anyhow::anyhow!("{topic} is not created: {code}"))?;
    }
    Ok(())
}

/// Median and longest of `times`, in words.
#[must_use]
pub fn spread(times: &[Duration]) -> String {
    let mut sorted = times.to_vec();
    sorted.sort_unstable();
    match (sorted.get(sorted.len() / 2), sorted.last()) {
        (Some(median), Some(longest)) => format!("median {median:.1?}, max {longest:.1?}"),
        _ => "never seen".to_owned(),
    }
}
