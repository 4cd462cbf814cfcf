//! What `onelog log` finds, as lines for people.

use std::path::Path;

use storage::inspect::{BatchLine, DumpLine, FrameLine, RecordLine, Salvaged, Verified};

pub(super) fn verified(verified: &Verified) -> String {
    let Verified { files, frames, batches, bad, end } = verified;
    let looked = format!("{files} files, {frames} frames, {batches} batches, log end {end}");
    match bad {
        0 => format!("nothing is wrong: {looked}"),
        1 => format!("1 thing is wrong: {looked}"),
        _ => format!("{bad} things are wrong: {looked}"),
    }
}

pub(super) fn salvaged(salvaged: &Salvaged, new_dir: &Path) -> String {
    let Salvaged { topics, nameless, batches, bytes, .. } = salvaged;
    format!(
        "wrote {topics} topics ({nameless} of them without their name), {batches} batches, {bytes} bytes to {}",
        new_dir.display()
    )
}

/// One line, and one per record where they were asked for.
pub(super) fn dump_line(line: &DumpLine) -> Vec<String> {
    match line {
        DumpLine::Frame(frame) => {
            let records = frame.batch.iter().flat_map(|batch| &batch.shown).map(record_line);
            std::iter::once(frame_line(frame)).chain(records).collect()
        }
        DumpLine::Bad { file, from, to, why } => {
            vec![format!("{from} BAD up to {to} in {}: {why}", file.display())]
        }
    }
}

fn frame_line(frame: &FrameLine) -> String {
    let mut line = format!("{} {}", frame.position, frame.kind);
    let mut add = |text: String| line.push_str(&text);
    match &frame.topic_name {
        Some(name) => add(format!(" topic {name} ({})", frame.topic)),
        None if frame.batch.is_some() => add(format!(" topic number {}", frame.topic)),
        None => {}
    }
    match frame.kind {
        "batch" => add(format!(" partition {}", frame.partition)),
        "log start" | "compacted" => {
            add(format!(" partition {} offset {}", frame.partition, frame.base_offset));
        }
        "producer ids" => add(format!(" below {}", frame.base_offset)),
        _ => {}
    }
    if let Some(batch) = &frame.batch {
        add(batch_fields(frame, batch));
    }
    add(format!(" size {} incarnation {}", frame.size, frame.incarnation));
    match frame.durable_upto {
        Some(durable) => add(format!(" first of {} durable {durable}", u32::from(frame.remainder) + 1)),
        None => add(format!(" followed by {}", frame.remainder)),
    }
    if let Some(problem) = &frame.problem {
        add(format!(" PROBLEM {problem}"));
    }
    line
}

fn batch_fields(frame: &FrameLine, batch: &BatchLine) -> String {
    let mut fields = format!(
        " offsets {}-{} records {} epoch {} timestamps {}-{} codec {}",
        frame.base_offset,
        batch.last_offset,
        batch.records,
        frame.leader_epoch,
        batch.base_timestamp,
        batch.max_timestamp,
        batch.codec
    );
    if batch.producer_id >= 0 {
        let producer = (batch.producer_id, batch.producer_epoch, batch.base_sequence);
        let producer = format!(" producer {} epoch {} sequence {}", producer.0, producer.1, producer.2);
        fields.push_str(&producer);
    }
    let flags = [
        (batch.transactional, " transactional"),
        (batch.control, " control"),
        (batch.log_append_time, " log-append-time"),
    ];
    flags.into_iter().filter(|(set, _)| *set).for_each(|(_, name)| fields.push_str(name));
    fields
}

fn record_line(record: &RecordLine) -> String {
    let bytes =
        |cut: &Option<Vec<u8>>, len: usize| match cut.as_deref().map(|cut| (shown(cut, len), cut.len())) {
            None => "null".to_owned(),
            Some((shown, cut)) => {
                let rest = if cut < len { format!("... ({len} bytes)") } else { String::new() };
                match shown {
                    Shown::Text(text) => format!("{text:?}{rest}"),
                    Shown::Hex(hex) => format!("0x{hex}{rest}"),
                }
            }
        };
    format!(
        "  {} timestamp {} key {} value {} headers {}",
        record.offset,
        record.timestamp,
        bytes(&record.key, record.key_len),
        bytes(&record.value, record.value_len),
        record.headers
    )
}

/// Bytes as a person can read them.
pub(super) enum Shown {
    Text(String),
    Hex(String),
}

/// Text where it is text; `cut` are the first of `len` bytes, so a last character may be cut in two.
pub(super) fn shown(cut: &[u8], len: usize) -> Shown {
    let text = match std::str::from_utf8(cut) {
        Ok(text) => Some(text),
        Err(error) if cut.len() < len && error.error_len().is_none() => {
            std::str::from_utf8(&cut[..error.valid_up_to()]).ok()
        }
        Err(_) => None,
    };
    let printable = |text: &&str| !text.chars().any(|c| c.is_control() && !c.is_ascii_whitespace());
    match text.filter(printable) {
        Some(text) => Shown::Text(text.to_owned()),
        None => Shown::Hex(cut.iter().map(|byte| format!("{byte:02x}")).collect()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn text_of(cut: &[u8], len: usize) -> Option<String> {
        match shown(cut, len) {
            Shown::Text(text) => Some(text),
            Shown::Hex(_) => None,
        }
    }

    #[test]
    fn text_is_text_even_when_its_last_character_is_cut() {
        assert_eq!(text_of("grün".as_bytes(), 5).as_deref(), Some("grün"));
        assert_eq!(text_of(&"grü".as_bytes()[..3], 5).as_deref(), Some("gr"));
        assert_eq!(text_of(&"grü".as_bytes()[..3], 3), None);
        assert_eq!(text_of(b"a\0b", 3), None);
    }
}
