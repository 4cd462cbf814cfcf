//! What a dump shows of one frame, as values.
//!
//! Made by `dump`. Keys and values are cut at `SHOWN_BYTES`.

use std::path::PathBuf;

use protocol::compression::decompress;
use protocol::record_batch::{Codec, RecordBatchView};
use protocol::record_set::RecordIter;

use crate::frame::{FrameHeader, FrameKind};
use crate::position::{Offset, Position};

use super::SHOWN_BYTES;
use super::known::Known;
use super::survey::batch_of;
use super::walk::Whole;
use super::words::kind_name;

/// Decompressed bytes of one batch that a dump reads at most.
const RECORDS_CAP: usize = 256 * 1024 * 1024;

/// One line of a dump.
#[derive(Debug, Clone)]
pub enum DumpLine {
    /// A whole frame.
    Frame(Box<FrameLine>),
    /// Bytes that should be frames and are not.
    Bad {
        /// The file.
        file: PathBuf,
        /// First bad position.
        from: Position,
        /// First position behind.
        to: Position,
        /// What is wrong.
        why: String,
    },
}

/// A frame.
#[derive(Debug, Clone)]
pub struct FrameLine {
    /// Where it stands.
    pub position: Position,
    /// The kind's name in the format document.
    pub kind: &'static str,
    /// Topic number; 0 where the kind has none.
    pub topic: u32,
    /// Name of that topic, when known.
    pub topic_name: Option<String>,
    /// Partition; 0 where the kind has none.
    pub partition: u32,
    /// Base offset, or what the kind makes of the field.
    pub base_offset: Offset,
    /// Payload, bytes.
    pub size: u32,
    /// Leader epoch.
    pub leader_epoch: i32,
    /// Which use of the file wrote it.
    pub incarnation: u32,
    /// First frame of its group.
    pub first: bool,
    /// Frames that follow in its group.
    pub remainder: u16,
    /// What was durable when its group was written; in a group's first frame only.
    pub durable_upto: Option<Position>,
    /// Of batch frames whose batch parses.
    pub batch: Option<BatchLine>,
    /// Why the batch or its records cannot be shown.
    pub problem: Option<String>,
}

/// What a batch's header says.
#[derive(Debug, Clone)]
pub struct BatchLine {
    /// Offset of the last record.
    pub last_offset: Offset,
    /// Number of records.
    pub records: i32,
    /// Base timestamp, ms.
    pub base_timestamp: i64,
    /// Greatest timestamp, ms.
    pub max_timestamp: i64,
    /// Producer id, -1 without.
    pub producer_id: i64,
    /// Producer epoch.
    pub producer_epoch: i16,
    /// Sequence of the first record.
    pub base_sequence: i32,
    /// Compression codec, lower case.
    pub codec: &'static str,
    /// Attribute bit 4.
    pub transactional: bool,
    /// Attribute bit 5.
    pub control: bool,
    /// Attribute bit 3.
    pub log_append_time: bool,
    /// When the filter asks for them.
    pub shown: Vec<RecordLine>,
}

/// A record.
#[derive(Debug, Clone)]
pub struct RecordLine {
    /// Its offset.
    pub offset: Offset,
    /// Its timestamp, ms.
    pub timestamp: i64,
    /// Up to `SHOWN_BYTES` of the key.
    pub key: Option<Vec<u8>>,
    /// Length of the whole key, bytes.
    pub key_len: usize,
    /// Up to `SHOWN_BYTES` of the value.
    pub value: Option<Vec<u8>>,
    /// Length of the whole value, bytes.
    pub value_len: usize,
    /// How many headers it has.
    pub headers: usize,
}

/// The line of a frame; with its records where they are asked for.
pub(super) fn line(known: &Known, whole: &Whole, records: bool) -> FrameLine {
    let header = &whole.header;
    let mut line = FrameLine {
        position: header.position,
        kind: kind_name(header.kind),
        topic: header.topic,
        topic_name: None,
        partition: header.partition,
        base_offset: header.base_offset,
        size: header.payload_len,
        leader_epoch: header.leader_epoch,
        incarnation: header.incarnation,
        first: header.first,
        remainder: header.remainder,
        durable_upto: whole.durable_upto,
        batch: None,
        problem: None,
    };
    if !matches!(header.kind, FrameKind::ProducerIds | FrameKind::BrokerConfigs | FrameKind::Files) {
        line.topic_name = known.name(header.topic);
    }
    if header.kind == FrameKind::Batch {
        match batch_of(whole) {
            Ok(batch) => {
                let mut shown = Vec::new();
                if records {
                    line.problem = show_records(&batch, header.base_offset, &mut shown).err();
                }
                line.batch = Some(batch_line(header, &batch, shown));
            }
            Err(problem) => line.problem = Some(problem),
        }
    }
    line
}

fn batch_line(header: &FrameHeader, batch: &RecordBatchView<'_>, shown: Vec<RecordLine>) -> BatchLine {
    BatchLine {
        last_offset: header.base_offset.saturating_add(i64::from(batch.last_offset_delta())),
        records: batch.record_count(),
        base_timestamp: batch.base_timestamp(),
        max_timestamp: batch.max_timestamp(),
        producer_id: batch.producer_id(),
        producer_epoch: batch.producer_epoch(),
        base_sequence: batch.base_sequence(),
        codec: codec_name(batch.codec()),
        transactional: batch.is_transactional(),
        control: batch.is_control(),
        log_append_time: batch.is_log_append_time(),
        shown,
    }
}

fn codec_name(codec: Option<Codec>) -> &'static str {
    match codec {
        Some(Codec::None) => "none",
        Some(Codec::Gzip) => "gzip",
        Some(Codec::Snappy) => "snappy",
        Some(Codec::Lz4) => "lz4",
        Some(Codec::Zstd) => "zstd",
        None => "unknown",
    }
}

fn show_records(
    batch: &RecordBatchView<'_>,
    base_offset: Offset,
    shown: &mut Vec<RecordLine>,
) -> Result<(), String> {
    let codec = batch.codec().ok_or("the batch names no known compression codec")?;
    let decompressed;
    let section = if codec == Codec::None {
        batch.records_bytes()
    } else {
        decompressed =
            decompress(codec, batch.records_bytes(), RECORDS_CAP).map_err(|error| error.to_string())?;
        &decompressed
    };
    let cut = |bytes: &[u8]| bytes[..bytes.len().min(SHOWN_BYTES)].to_vec();
    for record in RecordIter::new(section, batch.record_count()).map_err(|error| error.to_string())? {
        let record = record.map_err(|error| error.to_string())?;
        let timestamp = if batch.is_log_append_time() {
            batch.max_timestamp()
        } else {
            batch.base_timestamp().saturating_add(record.timestamp_delta)
        };
        shown.push(RecordLine {
            offset: base_offset.saturating_add(i64::from(record.offset_delta)),
            timestamp,
            key: record.key.map(cut),
            key_len: record.key.map_or(0, <[u8]>::len),
            value: record.value.map(cut),
            value_len: record.value.map_or(0, <[u8]>::len),
            headers: record.headers().len(),
        });
    }
    Ok(())
}
