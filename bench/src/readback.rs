//! Fetches what a load run wrote and checks it: the witness beside every measured number.
//!
//! Invariant: every batch's CRC is renewed by the sender and checked here, so content that changed on the way is found.

use std::net::SocketAddr;

use anyhow::Result;
use protocol::record_set;

use crate::batches::Identity;
use crate::checker::{Findings, PartitionCheck};
use crate::fetch;
use crate::produced::Produced;
use crate::topics::TopicSet;
use crate::wire::Connection;

/// Reads everything from the offsets `from`, where the run began, to the end, and checks it against what was acknowledged.
///
/// # Errors
/// The broker answers with an error. What it answers wrongly is a finding.
pub(crate) fn check(
    address: SocketAddr,
    topics: &TopicSet,
    from: &[i64],
    produced: &Produced,
) -> Result<Findings> {
    let mut checks: Vec<_> = (0..topics.partitions())
        .map(|partition| {
            let sent = produced.acknowledged(partition);
            PartitionCheck::new(produced.run, topics.number(), partition, sent)
        })
        .collect();
    let mut expected: Vec<i64> = from.to_vec();
    let mut misplaced = 0;
    let each = |partition: u32, batch: &protocol::record_batch::RecordBatchView<'_>| {
        let at = usize::try_from(partition).expect("a u32 fits");
        // An offset that was skipped or came twice: lost and duplicated are found by identity, the shift itself is wrong.
        misplaced += u64::from(batch.base_offset() != expected[at]);
        expected[at] = batch.base_offset() + i64::from(batch.last_offset_delta()) + 1;
        let whole = batch.verify_crc().is_ok();
        for record in record_set::records(batch)? {
            let identity = record.ok().and_then(|record| Identity::read(record.value?));
            checks[at].see(identity.filter(|_| whole));
        }
        Ok(())
    };
    fetch::read(&mut Connection::open(address)?, topics, from, each, || true)?;
    let mut findings = Findings { wrong: misplaced, ..Findings::default() };
    checks.into_iter().for_each(|check| findings.add(check.finish()));
    Ok(findings)
}
