//! One partition inside a snapshot. A partition that nothing was ever written to takes one byte.

use std::collections::BTreeSet;
use std::sync::Arc;

use bytes::BufMut;

use crate::consume_queue::{ConsumeQueue, PageRef, QueueDirectory};
use crate::decode::{DecodeError, Reader};
use crate::leader_epochs::LeaderEpochs;
use crate::log_policy::PolicyCell;
use crate::partition_log::{Compacted, PartitionLog, PartitionState};
use crate::position::Position;
use crate::producer_state::{NO_COORDINATOR_EPOCH, ProducerState, ProducerStates, WrittenBatch};
use crate::segments::{Segment, Segments};
use crate::transactions::{AbortedTransaction, IndexedAbort, Transactions};

const EMPTY: u8 = 0;
const FULL: u8 = 1;
/// In place of an offset: the producer has no transaction open.
const NO_TRANSACTION: i64 = -1;

pub(super) fn encode(out: &mut Vec<u8>, partition: &PartitionLog, state: &PartitionState) {
    if state.next_offset == 0 {
        out.put_u8(EMPTY);
        return;
    }
    out.put_u8(FULL);
    out.put_i64(partition.log_start_offset());
    out.put_u64(partition.log_start_frame().unwrap_or_default().0);
    out.put_i64(state.next_offset);
    out.put_u64(state.appended_bytes);
    out.put_u64(state.trimmed_bytes);
    put_compacted(out, state.compacted.as_deref());
    put_segments(out, &state.segments);
    put_count(out, state.epochs.entries().len());
    for (epoch, start) in state.epochs.entries() {
        out.put_i32(*epoch);
        out.put_i64(*start);
    }
    put_producers(out, state.producers.as_deref());
    put_aborted(out, state.transactions.as_deref());
    let directory = state.queue.directory();
    out.put_i64(directory.running_max);
    out.put_u32(directory.tail_page);
    out.put_u8(directory.tail_len);
    put_count(out, directory.pages.len());
    for page in &directory.pages {
        out.put_u32(page.number);
        out.put_i64(page.first_offset);
        out.put_i64(page.max_timestamp);
        out.put_i64(page.running_max);
    }
}

fn put_compacted(out: &mut Vec<u8>, compacted: Option<&Compacted>) {
    out.put_u8(u8::from(compacted.is_some()));
    if let Some(compacted) = compacted {
        out.put_i64(compacted.upto);
        out.put_u32(compacted.generation);
        out.put_u64(compacted.frame.0);
    }
}

fn decode_compacted(reader: &mut Reader<'_>) -> Result<Option<Box<Compacted>>, DecodeError> {
    if reader.u8()? == 0 {
        return Ok(None);
    }
    let (upto, generation) = (reader.i64()?, reader.u32()?);
    Ok(Some(Box::new(Compacted { upto, generation, frame: Position(reader.u64()?) })))
}

fn put_segments(out: &mut Vec<u8>, segments: &Segments) {
    put_count(out, segments.closed().len());
    out.put_u8(u8::from(segments.active().is_some()));
    for segment in segments.iter() {
        out.put_i64(segment.base_offset);
        out.put_u64(segment.start_bytes);
        out.put_i64(segment.first_timestamp);
        out.put_i64(segment.max_timestamp);
    }
}

fn decode_segments(reader: &mut Reader<'_>) -> Result<Segments, DecodeError> {
    let (closed, is_active) = (reader.length()?, reader.u8()? != 0);
    let mut segment = || {
        Ok(Segment {
            base_offset: reader.i64()?,
            start_bytes: reader.u64()?,
            first_timestamp: reader.i64()?,
            max_timestamp: reader.i64()?,
        })
    };
    let closed = (0..closed).map(|_| segment()).collect::<Result<_, DecodeError>>()?;
    let active = is_active.then(segment).transpose()?;
    Ok(Segments::from_parts(closed, active))
}

fn put_producers(out: &mut Vec<u8>, producers: Option<&ProducerStates>) {
    put_count(out, producers.map_or(0, ProducerStates::len));
    for (id, state) in producers.into_iter().flat_map(ProducerStates::iter) {
        out.put_i64(*id);
        out.put_i16(state.epoch);
        out.put_i64(state.last_timestamp);
        out.put_i32(state.coordinator_epoch);
        out.put_i64(state.transaction_start.unwrap_or(NO_TRANSACTION));
        put_count(out, state.batches.len());
        for batch in &state.batches {
            out.put_i32(batch.base_sequence);
            out.put_i32(batch.last_sequence);
            out.put_i64(batch.base_offset);
        }
    }
}

fn put_aborted(out: &mut Vec<u8>, transactions: Option<&Transactions>) {
    let aborted = transactions.map_or(&[][..], Transactions::aborted);
    put_count(out, aborted.len());
    for IndexedAbort { transaction, last_stable_offset } in aborted {
        out.put_i64(transaction.producer_id);
        out.put_i64(transaction.first_offset);
        out.put_i64(transaction.last_offset);
        out.put_i64(*last_stable_offset);
    }
}

fn put_count(out: &mut Vec<u8>, count: usize) {
    out.put_u32(u32::try_from(count).expect("counts are below 2^32"));
}

pub(super) fn decode(
    reader: &mut Reader<'_>,
    (topic, partition): (u32, u32),
    policy: &Arc<PolicyCell>,
    has_transactions: bool,
) -> Result<PartitionLog, DecodeError> {
    if reader.u8()? == EMPTY {
        return Ok(PartitionLog::new(topic, partition, Arc::clone(policy)));
    }
    let (log_start, log_start_frame) = (reader.i64()?, Position(reader.u64()?));
    let next_offset = reader.i64()?;
    let (appended_bytes, trimmed_bytes) = (reader.u64()?, reader.u64()?);
    check_counters(next_offset, appended_bytes, trimmed_bytes)?;
    let compacted = decode_compacted(reader)?;
    let segments = decode_segments(reader)?;
    let epochs = reader.length()?;
    let epochs =
        (0..epochs).map(|_| Ok((reader.i32()?, reader.i64()?))).collect::<Result<_, DecodeError>>()?;
    let producers = decode_producers(reader, has_transactions)?;
    let aborted = if has_transactions { decode_aborted(reader)? } else { Vec::new() };
    let transactions = transactions(producers.as_deref(), aborted);
    let (running_max, tail_page, tail_len) = (reader.i64()?, reader.u32()?, reader.u8()?);
    let pages = reader.length()?;
    let pages = (0..pages)
        .map(|_| {
            Ok(PageRef {
                number: reader.u32()?,
                first_offset: reader.i64()?,
                max_timestamp: reader.i64()?,
                running_max: reader.i64()?,
            })
        })
        .collect::<Result<_, DecodeError>>()?;
    let state = PartitionState {
        queue: ConsumeQueue::from_directory(QueueDirectory { pages, tail_page, tail_len, running_max }),
        producers,
        transactions,
        epochs: LeaderEpochs::from_entries(epochs),
        next_offset,
        appended_bytes,
        trimmed_bytes,
        compacted,
        segments,
        trimmed_upto: log_start,
        frozen: 0,
    };
    Ok(PartitionLog::with_state((topic, partition), Arc::clone(policy), (log_start, log_start_frame), state))
}

/// What appends add to must have room for it: no log comes to half of what the words hold.
fn check_counters(offset: i64, appended: u64, trimmed: u64) -> Result<(), DecodeError> {
    if (0..i64::MAX / 2).contains(&offset) && trimmed <= appended && appended < u64::MAX / 2 {
        return Ok(());
    }
    Err(DecodeError::Counters { offset, appended, trimmed })
}

fn decode_producers(
    reader: &mut Reader<'_>,
    has_transactions: bool,
) -> Result<Option<Box<ProducerStates>>, DecodeError> {
    let count = reader.length()?;
    let mut producers = ProducerStates::default();
    for _ in 0..count {
        let id = reader.i64()?;
        let (epoch, last_timestamp) = (reader.i16()?, reader.i64()?);
        let (coordinator_epoch, start) = if has_transactions {
            (reader.i32()?, reader.i64()?)
        } else {
            (NO_COORDINATOR_EPOCH, NO_TRANSACTION)
        };
        let transaction_start = (start != NO_TRANSACTION).then_some(start);
        let batches = reader.length()?;
        let batches = (0..batches)
            .map(|_| {
                let (base_sequence, last_sequence) = (reader.i32()?, reader.i32()?);
                Ok(WrittenBatch { base_sequence, last_sequence, base_offset: reader.i64()? })
            })
            .collect::<Result<_, DecodeError>>()?;
        producers.insert(
            id,
            ProducerState { epoch, last_timestamp, coordinator_epoch, transaction_start, batches },
        );
    }
    Ok((count > 0).then(|| Box::new(producers)))
}

fn decode_aborted(reader: &mut Reader<'_>) -> Result<Vec<IndexedAbort>, DecodeError> {
    let count = reader.length()?;
    let mut abort = || {
        let transaction = AbortedTransaction {
            producer_id: reader.i64()?,
            first_offset: reader.i64()?,
            last_offset: reader.i64()?,
        };
        Ok(IndexedAbort { transaction, last_stable_offset: reader.i64()? })
    };
    (0..count).map(|_| abort()).collect()
}

/// The open transactions stand with their producers.
fn transactions(producers: Option<&ProducerStates>, aborted: Vec<IndexedAbort>) -> Option<Box<Transactions>> {
    let open: BTreeSet<_> = producers
        .into_iter()
        .flat_map(ProducerStates::iter)
        .filter_map(|(_, state)| state.transaction_start)
        .collect();
    (!open.is_empty() || !aborted.is_empty()).then(|| Box::new(Transactions::from_parts(open, aborted)))
}
