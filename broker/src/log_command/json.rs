//! What `onelog log` finds, as JSON. Field names here are part of the command's interface.

use std::path::Path;

use serde_json::{Value, json};
use storage::inspect::{
    BatchLine, DumpLine, Finding, FrameLine, OffsetRange, RecordLine, Salvaged, Verified,
};

use super::text::{Shown, shown};

pub(super) fn finding(finding: &Finding) -> Value {
    json!({
        "type": "finding",
        "severity": finding.severity.name(),
        "file": finding.file.display().to_string(),
        "byte": finding.at,
        "bytes": finding.len,
        "position": finding.position.map(|position| position.0),
        "what": finding.what,
        "meaning": finding.meaning,
        "records": finding.offsets.iter().map(range).collect::<Vec<_>>(),
    })
}

fn range(range: &OffsetRange) -> Value {
    json!({
        "topic": range.name,
        "topic_number": range.topic,
        "partition": range.partition,
        "first_offset": range.first,
        "last_offset": range.last,
        "exact": range.exact,
    })
}

pub(super) fn verified(verified: &Verified) -> Value {
    json!({
        "type": "summary",
        "files": verified.files,
        "frames": verified.frames,
        "batches": verified.batches,
        "bad": verified.bad,
        "end": verified.end.0,
    })
}

pub(super) fn salvaged(salvaged: &Salvaged, new_dir: &Path) -> Value {
    json!({
        "type": "summary",
        "directory": new_dir.display().to_string(),
        "topics": salvaged.topics,
        "nameless_topics": salvaged.nameless,
        "batches": salvaged.batches,
        "bytes": salvaged.bytes,
        "bad": salvaged.verified.bad,
    })
}

pub(super) fn dump_line(line: &DumpLine) -> Value {
    match line {
        DumpLine::Frame(frame) => frame_line(frame),
        DumpLine::Bad { file, from, to, why } => json!({
            "type": "bad",
            "file": file.display().to_string(),
            "position": from.0,
            "end": to.0,
            "what": why,
        }),
    }
}

fn frame_line(frame: &FrameLine) -> Value {
    json!({
        "type": "frame",
        "position": frame.position.0,
        "kind": frame.kind,
        "topic": frame.topic_name,
        "topic_number": frame.topic,
        "partition": frame.partition,
        "base_offset": frame.base_offset,
        "size": frame.size,
        "leader_epoch": frame.leader_epoch,
        "incarnation": frame.incarnation,
        "first": frame.first,
        "remainder": frame.remainder,
        "durable_upto": frame.durable_upto.map(|position| position.0),
        "batch": frame.batch.as_ref().map(batch_line),
        "problem": frame.problem,
    })
}

fn batch_line(batch: &BatchLine) -> Value {
    json!({
        "last_offset": batch.last_offset,
        "records": batch.records,
        "base_timestamp": batch.base_timestamp,
        "max_timestamp": batch.max_timestamp,
        "producer_id": batch.producer_id,
        "producer_epoch": batch.producer_epoch,
        "base_sequence": batch.base_sequence,
        "codec": batch.codec,
        "transactional": batch.transactional,
        "control": batch.control,
        "log_append_time": batch.log_append_time,
        "shown": batch.shown.iter().map(record_line).collect::<Vec<_>>(),
    })
}

fn record_line(record: &RecordLine) -> Value {
    json!({
        "offset": record.offset,
        "timestamp": record.timestamp,
        "key": bytes(record.key.as_deref(), record.key_len),
        "value": bytes(record.value.as_deref(), record.value_len),
        "headers": record.headers,
    })
}

/// Null, or text or hex with the length of the whole.
fn bytes(cut: Option<&[u8]>, len: usize) -> Value {
    match cut.map(|cut| shown(cut, len)) {
        None => Value::Null,
        Some(Shown::Text(text)) => json!({ "text": text, "bytes": len }),
        Some(Shown::Hex(hex)) => json!({ "hex": hex, "bytes": len }),
    }
}
