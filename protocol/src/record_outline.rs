//! A walk over the records of one batch that keeps none of them: place, time and whether there is a key.
//!
//! Called by timestamp lookup and by the produce checks. Compressed records are read through a small buffer and skipped
//! as they come out. Invariant: whatever the batch holds, the walk takes no more memory than the codec's own window and
//! blocks (see `compression::reader`) and `BUFFER_LEN`; it checks what `record_set::RecordIter` checks.

use std::io::{BufRead, BufReader, Read, Take};
use std::ops::ControlFlow;

use crate::compression::{CompressionError, reader};
use crate::record_batch::{Codec, RecordBatchView};
use crate::record_lookup::LookupError;
use crate::record_set::{RecordError, RecordIter};
use crate::wire::{Cursor, Fault};

const BUFFER_LEN: usize = 32 * 1024;
const MAX_VARINT_LEN: usize = 5;
const MAX_VARLONG_LEN: usize = 10;
/// Key length, value length.
const MIN_HEADER_LEN: usize = 2;

/// What the walk tells of a record.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct RecordOutline {
    /// Counted from the batch's base offset.
    pub offset_delta: i32,
    /// Counted from the batch's base timestamp, ms.
    pub timestamp_delta: i64,
    /// The key is not null.
    pub has_key: bool,
}

/// Shows `visit` every record of `batch`, compressed or not, until it breaks. `cap` limits the decompressed bytes that
/// are walked over.
///
/// What follows the record at which `visit` breaks is not read, so neither is it checked. In a compressed batch the
/// count is held against the bytes only where they end.
///
/// # Errors
/// As `RecordIter`; `OverCap` when the walk comes to byte `cap` of compressed records; `Corrupt`.
pub fn each_outline(
    batch: &RecordBatchView<'_>,
    cap: usize,
    mut visit: impl FnMut(RecordOutline) -> ControlFlow<()>,
) -> Result<(), LookupError> {
    let (codec, claimed) = (batch.codec().ok_or(RecordError::UnknownCodec)?, batch.record_count());
    if codec == Codec::None {
        for record in RecordIter::new(batch.records_bytes(), claimed)? {
            let record = record?;
            let (offset_delta, timestamp_delta) = (record.offset_delta, record.timestamp_delta);
            let outline = RecordOutline { offset_delta, timestamp_delta, has_key: record.key.is_some() };
            if visit(outline).is_break() {
                return Ok(());
            }
        }
        return Ok(());
    }
    if claimed < 0 {
        return Err(RecordError::NegativeCount(claimed).into());
    }
    let mut section = Section::new(codec, batch.records_bytes(), cap)?;
    for found in 0..claimed {
        if section.buffered()?.is_empty() {
            return Err(RecordError::CountMismatch { claimed, found }.into());
        }
        if visit(section.record()?).is_break() {
            return Ok(());
        }
    }
    match section.drain()? {
        0 => Ok(()),
        bytes => Err(RecordError::TrailingBytes { bytes }.into()),
    }
}

/// The records section as it comes out of its codec.
struct Section<'a> {
    reader: BufReader<Take<Box<dyn Read + 'a>>>,
    codec: Codec,
    cap: usize,
    /// Bytes read so far, at most `cap`.
    position: usize,
    /// The codec said so. It is not asked again: the lz4 decoder would go on to what follows its frame.
    ended: bool,
}

impl<'a> Section<'a> {
    fn new(codec: Codec, input: &'a [u8], cap: usize) -> Result<Self, CompressionError> {
        let limit = u64::try_from(cap).unwrap_or(u64::MAX).saturating_add(1);
        let reader = BufReader::with_capacity(BUFFER_LEN, reader(codec, input)?.take(limit));
        Ok(Self { reader, codec, cap, position: 0, ended: false })
    }

    /// The next bytes, some at least unless the section has ended.
    fn buffered(&mut self) -> Result<&[u8], CompressionError> {
        if self.ended {
            return Ok(&[]);
        }
        let codec = self.codec;
        let bytes = self.reader.fill_buf().map_err(|source| CompressionError::Corrupt { codec, source })?;
        self.ended = bytes.is_empty();
        let left = self.cap - self.position;
        if left == 0 && !self.ended {
            return Err(CompressionError::OverCap { cap: self.cap });
        }
        Ok(&bytes[..bytes.len().min(left)])
    }

    /// Passes over up to `length` bytes; returns how many there were.
    fn pass(&mut self, length: usize) -> Result<usize, CompressionError> {
        let mut passed = 0;
        while passed < length {
            let step = self.buffered()?.len().min(length - passed);
            if step == 0 {
                break;
            }
            self.reader.consume(step);
            self.position += step;
            passed += step;
        }
        Ok(passed)
    }

    /// Passes over the rest; returns how many bytes that was.
    fn drain(&mut self) -> Result<usize, CompressionError> {
        self.pass(usize::MAX)
    }

    fn record(&mut self) -> Result<RecordOutline, LookupError> {
        let record_at = self.position;
        let length = self.length("record length", 0, usize::MAX)?.unwrap_or_default();
        let end = self.position.saturating_add(length);
        self.field("attributes", 1, end, |cursor| cursor.i8())?;
        let timestamp_delta =
            self.field("timestamp delta", MAX_VARLONG_LEN, end, |cursor| cursor.varlong())?;
        let offset_delta = self.field("offset delta", MAX_VARINT_LEN, end, |cursor| cursor.varint())?;
        let has_key = self.skip_bytes("key", -1, end)?;
        self.skip_bytes("value", -1, end)?;
        let count_at = self.position;
        let header_count = self.length("header count", 0, end)?.unwrap_or_default();
        if header_count > (end - self.position) / MIN_HEADER_LEN {
            return Err(RecordError::Truncated { field: "headers", position: count_at }.into());
        }
        for _ in 0..header_count {
            self.skip_bytes("header key", 0, end)?;
            self.skip_bytes("header value", -1, end)?;
        }
        match end - self.position {
            0 => Ok(RecordOutline { offset_delta, timestamp_delta, has_key }),
            unused => Err(RecordError::LengthMismatch { position: record_at, unused }.into()),
        }
    }

    /// Passes over a length of at least `least` and the bytes it counts; false when they are null.
    fn skip_bytes(&mut self, field: &'static str, least: i32, end: usize) -> Result<bool, LookupError> {
        let position = self.position;
        let Some(length) = self.length(field, least, end)? else {
            return Ok(false);
        };
        if length > end - self.position || self.pass(length)? < length {
            return Err(RecordError::Truncated { field, position }.into());
        }
        Ok(true)
    }

    /// A varint length of at least `least`, which is 0, or -1 where null (`None`) is allowed.
    fn length(&mut self, field: &'static str, least: i32, end: usize) -> Result<Option<usize>, LookupError> {
        let position = self.position;
        let length = self.field(field, MAX_VARINT_LEN, end, |cursor| cursor.varint())?;
        if length < least {
            return Err(RecordError::Negative { field, position, length }.into());
        }
        Ok(usize::try_from(length).ok())
    }

    /// A number of up to `max_len` bytes, none of them at `end` or later. Every byte but its last has the top bit set.
    fn field<T>(
        &mut self,
        field: &'static str,
        max_len: usize,
        end: usize,
        decode: impl FnOnce(&mut Cursor<'_>) -> Result<T, Fault>,
    ) -> Result<T, LookupError> {
        let position = self.position;
        let mut bytes = [0; MAX_VARLONG_LEN];
        let mut len = 0;
        while len < max_len && self.position < end {
            let Some(byte) = self.buffered()?.first().copied() else {
                break;
            };
            self.pass(1)?;
            bytes[len] = byte;
            len += 1;
            if byte & 0x80 == 0 {
                break;
            }
        }
        decode(&mut Cursor::new(&bytes[..len])).map_err(|fault| match fault {
            Fault::End => RecordError::Truncated { field, position }.into(),
            Fault::Varint => RecordError::Varint { field, position }.into(),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::compression::{compress, decompress};
    use crate::record_batch::HEADER_LEN;
    use crate::record_batch_builder::RecordBatchBuilder;
    use proptest::prelude::*;

    const CODECS: [(Codec, u8); 5] =
        [(Codec::None, 0), (Codec::Gzip, 1), (Codec::Snappy, 2), (Codec::Lz4, 3), (Codec::Zstd, 4)];
    const CAP: usize = 1 << 20;

    /// A batch that says it holds `count` records in `section`, compressed already.
    fn batch_of(section: &[u8], bits: u8, count: i32) -> Vec<u8> {
        let mut builder = RecordBatchBuilder::new(0);
        builder.append(0, None, None);
        let mut out = [&builder.build()[..HEADER_LEN], section].concat();
        let length = i32::try_from(out.len() - 12).unwrap();
        out[8..12].copy_from_slice(&length.to_be_bytes());
        out[22] |= bits;
        out[57..61].copy_from_slice(&count.to_be_bytes());
        out
    }

    fn outlines(section: &[u8], bits: u8, count: i32, cap: usize) -> Result<Vec<RecordOutline>, LookupError> {
        let batch = batch_of(section, bits, count);
        let mut seen = Vec::new();
        each_outline(&RecordBatchView::parse(&batch).unwrap(), cap, |outline| {
            seen.push(outline);
            ControlFlow::Continue(())
        })?;
        Ok(seen)
    }

    /// The same by way of the whole section in memory.
    fn expected(
        codec: Codec,
        section: &[u8],
        count: i32,
        cap: usize,
    ) -> Result<Vec<RecordOutline>, LookupError> {
        let payload = decompress(codec, section, cap)?;
        let outline = |record: Result<crate::record_set::Record<'_>, RecordError>| {
            let record = record?;
            let (offset_delta, timestamp_delta) = (record.offset_delta, record.timestamp_delta);
            Ok(RecordOutline { offset_delta, timestamp_delta, has_key: record.key.is_some() })
        };
        RecordIter::new(&payload, count)?.map(outline).collect()
    }

    fn records() -> impl Strategy<Value = Vec<u8>> {
        let bytes = || prop::option::of(prop::collection::vec(0_u8..4, 0..300));
        let headers = prop::collection::vec((prop::collection::vec(any::<u8>(), 0..4), bytes()), 0..3);
        let record = (any::<i32>(), bytes(), bytes(), headers);
        prop::collection::vec(record, 1..20).prop_map(|records| {
            let mut builder = RecordBatchBuilder::new(0);
            for (timestamp, key, value, headers) in &records {
                let headers: Vec<_> =
                    headers.iter().map(|(key, value)| (&key[..], value.as_deref())).collect();
                builder.append_with_headers(
                    i64::from(*timestamp),
                    key.as_deref(),
                    value.as_deref(),
                    &headers,
                );
            }
            builder.build().to_vec()
        })
    }

    fn record_error(payload: &[u8], count: i32) -> RecordError {
        let section = compress(Codec::Gzip, payload).unwrap();
        match outlines(&section, 1, count, CAP).unwrap_err() {
            LookupError::Record(error) => error,
            LookupError::Compression(error) => panic!("{error}"),
        }
    }

    /// length 6 | attributes | timestamp delta 1 | offset delta 0 | null key | null value | no headers
    const SMALLEST: [u8; 7] = [12, 0, 2, 0, 1, 1, 0];

    #[test]
    fn compressed_records_that_lie_get_the_errors_of_the_walk_in_memory() {
        let with = |at: usize, byte: u8| {
            let mut payload = [SMALLEST, SMALLEST].concat();
            payload[7 + at] = byte;
            record_error(&payload, 2)
        };
        assert_eq!(with(0, 11), RecordError::Negative { field: "record length", position: 7, length: -6 });
        assert_eq!(with(4, 3), RecordError::Negative { field: "key", position: 11, length: -2 });
        assert_eq!(with(4, 8), RecordError::Truncated { field: "key", position: 11 });
        assert_eq!(with(5, 8), RecordError::Truncated { field: "value", position: 12 });
        assert_eq!(with(6, 2), RecordError::Truncated { field: "headers", position: 13 });
        let loose = [14, 0, 2, 0, 1, 1, 0, 0];
        assert_eq!(record_error(&loose, 1), RecordError::LengthMismatch { position: 0, unused: 1 });
        let overlong = [16, 0, 2, 0xff, 0xff, 0xff, 0xff, 0x7f, 0];
        assert_eq!(record_error(&overlong, 1), RecordError::Varint { field: "offset delta", position: 3 });
        assert_eq!(record_error(&SMALLEST, -1), RecordError::NegativeCount(-1));
        assert_eq!(record_error(&SMALLEST, 0), RecordError::TrailingBytes { bytes: 7 });
        assert_eq!(record_error(&SMALLEST, 2), RecordError::CountMismatch { claimed: 2, found: 1 });
    }

    #[test]
    fn walk_that_breaks_reads_no_further() {
        let mut payload = SMALLEST.to_vec();
        payload.extend_from_slice(&vec![0xff; 1 << 17]);
        for (codec, bits) in &CODECS[1..] {
            let section = compress(*codec, &payload).unwrap();
            let batch = batch_of(&section, *bits, 2);
            let view = RecordBatchView::parse(&batch).unwrap();
            let mut seen = 0;
            each_outline(&view, 7, |_| {
                seen += 1;
                ControlFlow::Break(())
            })
            .unwrap();
            assert_eq!(seen, 1);
            let over = each_outline(&view, 7, |_| ControlFlow::Continue(())).unwrap_err();
            assert!(matches!(over, LookupError::Compression(CompressionError::OverCap { cap: 7 })));
            assert!(each_outline(&view, CAP, |_| ControlFlow::Continue(())).is_err());
        }
    }

    #[test]
    fn cut_sections_are_errors_in_every_codec() {
        let payload = SMALLEST.repeat(50);
        for (codec, bits) in &CODECS[1..] {
            let section = compress(*codec, &payload).unwrap();
            assert_eq!(outlines(&section, *bits, 50, payload.len()).unwrap().len(), 50);
            for cut in [section.len() / 2, section.len() - 9] {
                assert!(outlines(&section[..cut], *bits, 50, CAP).is_err(), "{codec:?} {cut}");
            }
        }
    }

    proptest! {
        #[test]
        fn walk_sees_what_the_walk_in_memory_sees(batch in records()) {
            let view = RecordBatchView::parse(&batch).unwrap();
            for (codec, bits) in CODECS {
                let section = compress(codec, view.records_bytes()).unwrap();
                let seen = outlines(&section, bits, view.record_count(), CAP).unwrap();
                prop_assert_eq!(seen, expected(codec, &section, view.record_count(), CAP).unwrap());
            }
        }

        #[test]
        fn walk_refuses_what_the_walk_in_memory_refuses(
            batch in records(),
            inside in prop::option::of((any::<prop::sample::Index>(), any::<u8>())),
            outside in prop::option::of((any::<prop::sample::Index>(), any::<u8>())),
            cut in 0_usize..3,
            count_off in -1_i32..2,
            cap in prop_oneof![Just(CAP), 0_usize..3000],
        ) {
            let view = RecordBatchView::parse(&batch).unwrap();
            let count = view.record_count() + count_off;
            let mut payload = view.records_bytes().to_vec();
            if let Some((at, byte)) = inside {
                let at = at.index(payload.len());
                payload[at] = byte;
            }
            for (codec, bits) in &CODECS[1..] {
                let mut section = compress(*codec, &payload).unwrap();
                if let Some((at, byte)) = outside {
                    let at = at.index(section.len());
                    section[at] = byte;
                }
                section.truncate(section.len().saturating_sub(cut));
                let seen = outlines(&section, *bits, count, cap);
                let wanted = expected(*codec, &section, count, cap);
                prop_assert_eq!(seen.ok(), wanted.ok(), "{:?}", codec);
            }
        }
    }
}
