//! Whether any transaction is open anywhere: at its coordinator, or in a partition whose committed end is below its end.

use std::net::SocketAddr;
use std::time::Duration;

use anyhow::Result;
use compat_tests::{clock, wire};

use crate::bank::{ACCOUNTS, Bank, ORDERS};

/// The longest timeout of a transaction that workers leave open, how often coordinators look for such, and time to
/// write the markers on a busy machine.
const LIMIT: Duration = Duration::from_secs(25);
/// As the brokers are configured here.
const INTERNAL_PARTITIONS: i32 = 2;
const OPEN_STATES: [&str; 4] = ["Ongoing", "PrepareCommit", "PrepareAbort", "PrepareEpochFence"];

/// Waits until no transaction is open; what still is after the limit, in words.
///
/// # Errors
/// The broker does not answer.
pub(crate) fn hanging(socket: SocketAddr, bank: &Bank) -> Result<Vec<String>> {
    let mut found = Vec::new();
    clock::poll_until(LIMIT, Duration::from_millis(100), || {
        found = open_transactions(socket, bank)?;
        Ok(found.is_empty().then_some(()))
    })?;
    Ok(found)
}

fn open_transactions(socket: SocketAddr, bank: &Bank) -> Result<Vec<String>> {
    let mut found = Vec::new();
    for transaction in wire::transactions(socket)? {
        if OPEN_STATES.contains(&transaction.state.as_str()) {
            found.push(format!("{} is in state {}", transaction.id, transaction.state));
        }
    }
    let mut places = vec![(ACCOUNTS, bank.partitions), ("__transaction_state", INTERNAL_PARTITIONS)];
    if bank.processors > 0 {
        places.push((ORDERS, i32::try_from(bank.processors)?));
        places.push(("__consumer_offsets", INTERNAL_PARTITIONS));
    }
    for (topic, partitions) in places {
        for partition in 0..partitions {
            let stable = wire::end_offset(socket, topic, partition, true)?;
            let end = wire::end_offset(socket, topic, partition, false)?;
            if stable != end {
                found.push(format!("{topic}-{partition} is stable up to {stable} of {end}"));
            }
        }
    }
    Ok(found)
}
