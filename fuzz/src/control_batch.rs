//! End-transaction markers: any batch, and a control batch around any key and value.
//!
//! What must hold besides no panic: a marker that is read and written again reads the same.

use protocol::control_batch::{EndTransactionMarker, MarkerType};
use protocol::record_batch::RecordBatchView;
use protocol::record_batch_builder::RecordBatchBuilder;

/// `bytes` as a batch; then as a length, a key of that length and a value.
pub fn run(bytes: &[u8]) {
    if let Ok(batch) = RecordBatchView::parse(bytes) {
        reads_again(&batch);
    }
    let Some((len, rest)) = bytes.split_first() else { return };
    let (key, value) = rest.split_at(usize::from(*len).min(rest.len()));
    let mut builder = RecordBatchBuilder::new(0).producer(4, 2, -1).transactional().control();
    builder.append(1, Some(key), Some(value));
    let batch = builder.build();
    reads_again(&RecordBatchView::parse(&batch).expect("we wrote it"));
}

fn reads_again(batch: &RecordBatchView<'_>) {
    let Some(marker) = EndTransactionMarker::parse(batch) else { return };
    assert!(batch.is_control());
    let written = marker.build(batch.producer_id(), batch.producer_epoch(), batch.max_timestamp());
    let written = RecordBatchView::parse(&written).expect("we wrote it");
    assert_eq!(EndTransactionMarker::parse(&written), Some(marker));
}

/// A commit and an abort, whole and as key and value.
pub fn seeds() -> Vec<Vec<u8>> {
    let marker = |marker_type| EndTransactionMarker { marker_type, coordinator_epoch: 3 };
    let whole = [MarkerType::Abort, MarkerType::Commit].map(|kind| marker(kind).build(4, 2, 1).to_vec());
    let split = [0, 1].map(|kind| vec![4, 0, 0, 0, kind, 0, 0, 0, 0, 0, 3]);
    [whole, split].concat()
}
