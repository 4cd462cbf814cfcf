//! Reading a candidate the way consumers do, and comparing its key.

use std::collections::VecDeque;
use std::ops::ControlFlow;

use bytes::Bytes;

use super::{FoundRecord, Search, unless_gone};
use crate::error::Error;
use crate::index_file::{BatchRecord, each_record};
use crate::partition_log::PartitionLog;
use crate::position::Offset;
use crate::read::ReadRequest;

impl Search<'_> {
    /// The batch that holds `offset`, or the next one; `None` when nothing can be read there (any more).
    pub(super) fn batch_of(&self, partition: &PartitionLog, offset: Offset) -> Result<Option<Bytes>, Error> {
        let limit = partition.high_watermark();
        let request = ReadRequest { from: offset, limit, max_bytes: 1, at_least_one: true };
        let read = unless_gone(self.store.read(partition, &request))?;
        Ok(read.and_then(|read| read.batches.into_iter().next()))
    }

    /// Records of `batch` up to `newest` that are what is looked for, newest first.
    pub(super) fn matches_in(
        &self,
        partition: &PartitionLog,
        batch: &[u8],
        newest: Offset,
    ) -> VecDeque<FoundRecord> {
        let readable = partition.log_start_offset()..partition.high_watermark();
        let mut matches = VecDeque::new();
        each_record(batch, |record| {
            let wanted = record.offset <= newest
                && readable.contains(&record.offset)
                && (self.from_ms..=self.to_ms).contains(&record.timestamp)
                && record.record.key == Some(self.key);
            if wanted {
                matches.push_front(found(partition.partition(), record));
            }
            ControlFlow::Continue(())
        });
        matches
    }
}

/// A copy: what is found must not hold a whole batch, nor its file.
fn found(partition: i32, record: &BatchRecord<'_>) -> FoundRecord {
    let headers = record.record.headers();
    FoundRecord {
        partition,
        offset: record.offset,
        timestamp: record.timestamp,
        value: record.record.value.map(Bytes::copy_from_slice),
        headers: headers
            .map(|header| (Bytes::copy_from_slice(header.key), header.value.map(Bytes::copy_from_slice)))
            .collect(),
    }
}
