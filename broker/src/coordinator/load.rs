//! Reading a coordinator's own topic back, record by record.
//!
//! Called by the runtime at start and after a failed append. Invariant: records come in offset order, each once.

use bytes::Bytes;
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

/// Calls `visit` with key and value of every record from the log start to the log end. Control batches and records
/// without a key are passed over, as Kafka's `CoordinatorLoaderImpl` does.
pub(super) fn each_record(
    store: &Store,
    partition: &PartitionLog,
    mut visit: impl FnMut(Bytes, Option<Bytes>),
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

fn visit_batch(
    batch: &RecordBatchView<'_>,
    visit: &mut impl FnMut(Bytes, Option<Bytes>),
) -> Result<(), LoadError> {
    let offset = batch.base_offset();
    if batch.is_control() {
        return Ok(());
    }
    let failed = |error| LoadError::Records { offset, error };
    let payload = records_payload(batch, DECOMPRESSED_CAP).map_err(failed)?;
    for record in RecordIter::new(&payload, batch.record_count()).map_err(|error| failed(error.into()))? {
        let record = record.map_err(|error| failed(error.into()))?;
        if let Some(key) = record.key {
            visit(Bytes::copy_from_slice(key), record.value.map(Bytes::copy_from_slice));
        }
    }
    Ok(())
}
