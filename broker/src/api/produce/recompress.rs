//! Batches in the codec that their topic wants (`compression.type`, Kafka's `LogValidator`).
//!
//! Called by Produce before the append. A batch that has the codec already stays as it is; any other is decompressed, its
//! records are looked at one by one, and it is compressed anew. Nothing else of it changes, so that offsets, sequences and
//! transactions are those of its producer. Invariants: this never happens under the append lock; what takes longer than an
//! append happens on another thread, for a few requests at a time, while the connection begins no other request; a batch
//! takes no more memory than `decompressed_cap` and as much again.
//!
//! Kafka would decompress without a limit; here a batch over the cap is CORRUPT_MESSAGE.

use std::sync::Arc;

use protocol::ErrorCode;
use protocol::messages::produce_response::TopicProduceResponse;
use protocol::record_batch::{Codec, RecordBatchView};
use protocol::record_batch_rebuild::with_codec;
use storage::{Topic, ValidBatch};

use super::batch::{self, Rejection, Rules, decompressed_cap};
use super::{Pending, rejected};
use crate::broker::Broker;
use crate::topic_config::{Compression, TopicConfig};

/// Batches up to this length are compressed on the core: about as long as two appends.
const SHORT: usize = 8 * 1024;
/// The same for batches that come compressed, of which nobody knows yet how much they hold.
const SHORT_COMPRESSED: usize = 512;

/// What `batch` is to be compressed with; `None` when it may stay as it is.
pub(super) fn target(batch: &RecordBatchView<'_>, config: &TopicConfig) -> Option<Compression> {
    config.compression.filter(|wanted| batch.codec() != Some(wanted.codec))
}

/// Whether `batch` is to be compressed anew and that is no work for a core.
pub(super) fn takes_long(batch: &RecordBatchView<'_>, config: &TopicConfig) -> bool {
    let short = if batch.codec() == Some(Codec::None) { SHORT } else { SHORT_COMPRESSED };
    target(batch, config).is_some() && batch.as_bytes().len() > short
}

/// `batch`, whose records were walked, in the topic's codec.
pub(super) fn recompressed(batch: ValidBatch, rules: &Rules<'_>) -> Result<ValidBatch, Rejection> {
    let view = batch.view();
    let Some(Compression { codec, level }) = target(&view, rules.config) else { return Ok(batch) };
    let bytes = with_codec(&view, codec, level, decompressed_cap(rules.config))
        .map_err(|error| Rejection::new(ErrorCode::CorruptMessage, error.to_string()))?;
    if bytes.len() > rules.config.max_message_bytes {
        return Err(Rejection::from(ErrorCode::MessageTooLarge));
    }
    Ok(ValidBatch::new(bytes).expect("a rebuilt batch has a right header and checksum"))
}

/// A batch on its way to the log whose check is not done.
pub(super) struct Unfinished {
    /// In the response: topic, then partition.
    place: (usize, usize),
    topic: Arc<Topic>,
    config: Arc<TopicConfig>,
    partition: i32,
}

impl Unfinished {
    pub(super) fn new(
        place: (usize, usize),
        topic: &Arc<Topic>,
        config: &Arc<TopicConfig>,
        partition: i32,
    ) -> Self {
        Self { place, topic: Arc::clone(topic), config: Arc::clone(config), partition }
    }

    fn finish(&self, batch: ValidBatch, version: i16, now_ms: i64) -> Result<ValidBatch, Rejection> {
        let rules = Rules {
            version,
            config: &self.config,
            transactional_id: batch.view().is_transactional(),
            now_ms,
            topic: self.topic.name(),
            partition: self.partition,
        };
        batch::finish(batch, &rules).map(|checked| checked.batch)
    }
}

/// Finishes all batches that wait for it, on another thread. Those that are refused leave `pending` with their error in
/// `responses`.
pub(super) async fn finish(
    broker: &Broker,
    (version, now_ms): (i16, i64),
    pending: &mut Pending,
    responses: &mut [TopicProduceResponse],
) {
    let mut work = Vec::with_capacity(pending.unfinished.len());
    for unfinished in std::mem::take(&mut pending.unfinished) {
        // The coordinator may have refused it meanwhile; places are in order.
        if let Ok(append) = pending.places.binary_search(&unfinished.place) {
            work.push((append, unfinished, pending.appends[append].batch.clone()));
        }
    }
    if work.is_empty() {
        return;
    }
    let turn = Arc::clone(&broker.recompressions).acquire_owned().await;
    let turn = turn.expect("the semaphore is never closed");
    let finished = tokio::task::spawn_blocking(move || {
        let _turn = turn;
        let finish = |(append, unfinished, batch): (usize, Unfinished, ValidBatch)| {
            (append, unfinished.finish(batch, version, now_ms), unfinished)
        };
        work.into_iter().map(finish).collect::<Vec<_>>()
    });
    let finished = finished.await.expect("checking batches neither panics nor is cancelled");
    // From the back, so that the indexes in front stay what they are.
    for (append, outcome, unfinished) in finished.into_iter().rev() {
        match outcome {
            Ok(batch) => pending.appends[append].batch = batch,
            Err(rejection) => {
                pending.appends.remove(append);
                pending.places.remove(append);
                pending.failed = true;
                broker.traffic.topic(unfinished.topic.number()).refused_to_append(1);
                let (topic, place) = unfinished.place;
                responses[topic].partition_responses[place] = rejected(unfinished.partition, rejection);
            }
        }
    }
}
