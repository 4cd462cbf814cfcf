//! Reading a coordinator's own topic back, record by record.
//!
//! Called by the runtimes at start and after a failed append. Invariant: records and markers come in offset order, each
//! once.

use bytes::Bytes;
use protocol::control_batch::{EndTransactionMarker, MarkerType};
use protocol::record_batch::{BatchError, RecordBatchView};
use protocol::record_lookup::{LookupError, records_payload};
use protocol::record_set::RecordIter;
use storage::{PartitionLog, ReadError, ReadRequest, Store};
use thiserror::Error;

/// Read at a time, bytes.
const CHUNK: usize = 1024 * 1024;
/// A batch may decompress to this, bytes. The coordinators themselves do not compress.
const DECOMPRESSED_CAP: usize = 64 * 1024 * 1024;

/// Why a partition cannot be loaded.
#[derive(Debug, Error)]
pub(super) enum LoadError {
    #[error(transparent)]
    Read(#[from] ReadError),
    #[error(transparent)]
    Batch(#[from] BatchError),
    #[error("batch at offset {offset}: {error}")]
    Records { offset: i64, error: LookupError },
}

/// One thing that the log says.
#[derive(Debug)]
pub(crate) enum Entry {
    /// A record; `producer_id` when it belongs to a producer's transaction.
    Record { producer_id: Option<i64>, key: Bytes, value: Option<Bytes> },
    /// A producer's transaction ends.
    Marker { producer_id: i64, committed: bool },
}

/// Calls `visit` with everything from the log start to the log end. Records without a key and control batches that are no
/// markers are passed over, as Kafka's `CoordinatorLoaderImpl` does.
pub(super) fn each_entry(
    store: &Store,
    partition: &PartitionLog,
    mut visit: impl FnMut(Entry),
) -> Result<(), LoadError> {
    let limit = partition.log_end_offset();
    let mut from = partition.log_start_offset();
    while from < limit {
        let request = ReadRequest { from, limit, max_bytes: CHUNK, at_least_one: true };
        let batches = store.read(partition, &request)?.batches;
        if batches.is_empty() {
            return Ok(());
        }
        for bytes in &batches {
            let batch = RecordBatchView::parse(bytes)?;
            visit_batch(&batch, &mut visit)?;
            from = batch.base_offset() + i64::from(batch.last_offset_delta()) + 1;
        }
    }
    Ok(())
}

fn visit_batch(batch: &RecordBatchView<'_>, visit: &mut impl FnMut(Entry)) -> Result<(), LoadError> {
    let (offset, producer_id) = (batch.base_offset(), batch.producer_id());
    if batch.is_control() {
        if let Some(marker) = EndTransactionMarker::parse(batch) {
            visit(Entry::Marker { producer_id, committed: marker.marker_type == MarkerType::Commit });
        }
        return Ok(());
    }
    let producer_id = Some(producer_id).filter(|id| *id >= 0);
    let failed = |error| LoadError::Records { offset, error };
    let payload = records_payload(batch, DECOMPRESSED_CAP).map_err(failed)?;
    for record in RecordIter::new(&payload, batch.record_count()).map_err(|error| failed(error.into()))? {
        let record = record.map_err(|error| failed(error.into()))?;
        if let Some(key) = record.key {
            let (key, value) = (Bytes::copy_from_slice(key), record.value.map(Bytes::copy_from_slice));
            visit(Entry::Record { producer_id, key, value });
        }
    }
    Ok(())
}
