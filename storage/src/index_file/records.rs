//! The records of a stored batch, whatever their codec: what is indexed, and what is compared with an asked key.
//!
//! Called by `builder` and `find`; both use it so that what one skips the other does not miss. Invariant: at most
//! [`DECOMPRESSED_CAP`] bytes are taken for a batch; what does not decode is passed over, never an error.

use std::ops::ControlFlow;

use protocol::record_batch::RecordBatchView;
use protocol::record_lookup::records_payload;
use protocol::record_set::{Record, RecordIter};

use crate::position::Offset;

/// A batch that decompresses to more is not looked into.
const DECOMPRESSED_CAP: usize = 64 * 1024 * 1024;

/// A record with its place and time.
#[derive(Debug, Clone, Copy)]
pub(crate) struct BatchRecord<'a> {
    pub(crate) offset: Offset,
    /// As a consumer sees it, ms: the append time where the topic has that.
    pub(crate) timestamp: i64,
    pub(crate) record: Record<'a>,
}

/// Shows `visit` the records of `batch` in their order until it breaks or the batch turns out to be malformed (a client
/// compressed garbage). Control batches have none.
pub(crate) fn each_record(batch: &[u8], mut visit: impl FnMut(&BatchRecord<'_>) -> ControlFlow<()>) {
    let Ok(view) = RecordBatchView::parse(batch) else { return };
    if view.is_control() {
        return;
    }
    let Ok(payload) = records_payload(&view, DECOMPRESSED_CAP) else { return };
    let Ok(records) = RecordIter::new(&payload, view.record_count()) else { return };
    for record in records.map_while(Result::ok) {
        let timestamp = if view.is_log_append_time() {
            view.max_timestamp()
        } else {
            view.base_timestamp().saturating_add(record.timestamp_delta)
        };
        let offset = view.base_offset().saturating_add(i64::from(record.offset_delta));
        if visit(&BatchRecord { offset, timestamp, record }).is_break() {
            return;
        }
    }
}
