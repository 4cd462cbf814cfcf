//! The 61-byte record-batch header (Kafka's `DefaultRecordBatch`, magic 2) as a view over bytes.
//!
//! Called by storage (validate, stamp, recover) and by the broker (fetch, timestamp lookup). Invariant: a view is only
//! handed out over bytes whose declared length lies inside the slice, so no accessor can read past it.

use thiserror::Error;

/// Bytes before the first record: the fixed header of a magic-2 batch.
pub const HEADER_LEN: usize = 61;
/// Bytes 0..12 are not counted by the batch's own length field.
pub const LOG_OVERHEAD: usize = 12;
/// The first byte covered by the batch CRC (attributes).
pub const CRC_START: usize = 21;

pub(crate) const LENGTH_AT: usize = 8;
const LEADER_EPOCH_AT: usize = 12;
const MAGIC_AT: usize = 16;
pub(crate) const CRC_AT: usize = 17;
pub(crate) const ATTRIBUTES_AT: usize = 21;
const LAST_OFFSET_DELTA_AT: usize = 23;
pub(crate) const BASE_TIMESTAMP_AT: usize = 27;
pub(crate) const MAX_TIMESTAMP_AT: usize = 35;
const PRODUCER_ID_AT: usize = 43;
const PRODUCER_EPOCH_AT: usize = 51;
const BASE_SEQUENCE_AT: usize = 53;
pub(crate) const COUNT_AT: usize = 57;

/// Attribute bits that others set or clear.
pub(crate) const CODEC_BITS: i16 = 0x07;
pub(crate) const DELETE_HORIZON: i16 = 0x40;

/// Why bytes are not a record batch.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
pub enum BatchError {
    /// Fewer bytes than the fixed header, or than the declared length.
    #[error("record batch is short: needs {needed} bytes, {available} are there")]
    Short {
        /// Bytes the batch claims.
        needed: u64,
        /// Bytes that are there.
        available: usize,
    },
    /// The declared length cannot even hold the header.
    #[error("record batch declares {0} bytes, less than its own header")]
    BadLength(i32),
    /// A message format before magic 2.
    #[error("record batch has magic {0}, only 2 is supported")]
    Magic(i8),
    /// CRC-32C over bytes 21.. differs from the stored one.
    #[error("record batch CRC is {stored:#010x}, computed {computed:#010x}")]
    Crc {
        /// CRC in the header.
        stored: u32,
        /// CRC over the bytes.
        computed: u32,
    },
}

/// The compression codec in bits 0..3 of the attributes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Codec {
    /// Records follow as they are.
    None,
    /// RFC 1952.
    Gzip,
    /// Xerial framing.
    Snappy,
    /// LZ4 frame.
    Lz4,
    /// Zstandard (Produce v7+, Fetch v10+).
    Zstd,
}

impl Codec {
    /// Its number in the attributes.
    pub(crate) fn bits(self) -> i16 {
        match self {
            Self::None => 0,
            Self::Gzip => 1,
            Self::Snappy => 2,
            Self::Lz4 => 3,
            Self::Zstd => 4,
        }
    }
}

/// A magic-2 batch whose declared length is `self.as_bytes().len()`.
#[derive(Debug, Clone, Copy)]
pub struct RecordBatchView<'a> {
    bytes: &'a [u8],
}

impl<'a> RecordBatchView<'a> {
    /// The batch at the start of `bytes`; bytes after its declared length are ignored. Does not check the CRC.
    ///
    /// # Errors
    /// `Short`, `BadLength` or `Magic`.
    pub fn parse(bytes: &'a [u8]) -> Result<Self, BatchError> {
        if bytes.len() < HEADER_LEN {
            return Err(BatchError::Short { needed: HEADER_LEN as u64, available: bytes.len() });
        }
        let length = i32_at(bytes, LENGTH_AT);
        let total = usize::try_from(length)
            .ok()
            .and_then(|length| length.checked_add(LOG_OVERHEAD))
            .filter(|total| *total >= HEADER_LEN)
            .ok_or(BatchError::BadLength(length))?;
        let magic = i8_at(bytes, MAGIC_AT);
        if magic != 2 {
            return Err(BatchError::Magic(magic));
        }
        let bytes =
            bytes.get(..total).ok_or(BatchError::Short { needed: total as u64, available: bytes.len() })?;
        Ok(Self { bytes })
    }

    /// Recomputes CRC-32C over bytes 21.. and compares it with the stored one.
    ///
    /// # Errors
    /// `Crc` when they differ.
    pub fn verify_crc(&self) -> Result<(), BatchError> {
        let computed = crc32c::crc32c(&self.bytes[CRC_START..]);
        let stored = self.crc();
        if computed == stored { Ok(()) } else { Err(BatchError::Crc { stored, computed }) }
    }

    /// The whole batch, header and records.
    #[must_use]
    pub fn as_bytes(&self) -> &'a [u8] {
        self.bytes
    }

    /// Records section, possibly compressed.
    #[must_use]
    pub fn records_bytes(&self) -> &'a [u8] {
        &self.bytes[HEADER_LEN..]
    }

    /// Offset of the first record.
    #[must_use]
    pub fn base_offset(&self) -> i64 {
        i64_at(self.bytes, 0)
    }

    /// Offset of the last record, counted from the base offset.
    #[must_use]
    pub fn last_offset_delta(&self) -> i32 {
        i32_at(self.bytes, LAST_OFFSET_DELTA_AT)
    }

    /// Partition leader epoch, -1 when a client sent it.
    #[must_use]
    pub fn leader_epoch(&self) -> i32 {
        i32_at(self.bytes, LEADER_EPOCH_AT)
    }

    /// Stored CRC-32C of bytes 21...
    #[must_use]
    pub fn crc(&self) -> u32 {
        u32::from_be_bytes(array(self.bytes, CRC_AT))
    }

    /// Raw attribute bits.
    #[must_use]
    pub fn attributes(&self) -> i16 {
        i16::from_be_bytes(array(self.bytes, ATTRIBUTES_AT))
    }

    /// Compression codec, `None` for the three unassigned values.
    #[must_use]
    pub fn codec(&self) -> Option<Codec> {
        match self.attributes() & 0x07 {
            0 => Some(Codec::None),
            1 => Some(Codec::Gzip),
            2 => Some(Codec::Snappy),
            3 => Some(Codec::Lz4),
            4 => Some(Codec::Zstd),
            _ => None,
        }
    }

    /// Whether `max_timestamp` is the broker's append time for every record (attribute bit 3).
    #[must_use]
    pub fn is_log_append_time(&self) -> bool {
        self.attributes() & 0x08 != 0
    }

    /// Attribute bit 4.
    #[must_use]
    pub fn is_transactional(&self) -> bool {
        self.attributes() & 0x10 != 0
    }

    /// Attribute bit 5: transaction markers and the like.
    #[must_use]
    pub fn is_control(&self) -> bool {
        self.attributes() & 0x20 != 0
    }

    /// When tombstones and markers in the batch may go, ms: set by the first compaction that saw them (attribute bit 6).
    /// It stands in place of the base timestamp, so record deltas count from it as they do from any other (KIP-534).
    #[must_use]
    pub fn delete_horizon(&self) -> Option<i64> {
        (self.attributes() & DELETE_HORIZON != 0).then(|| self.base_timestamp())
    }

    /// Timestamp that record deltas count from, ms.
    #[must_use]
    pub fn base_timestamp(&self) -> i64 {
        i64_at(self.bytes, BASE_TIMESTAMP_AT)
    }

    /// Greatest record timestamp, ms, -1 when records carry none.
    #[must_use]
    pub fn max_timestamp(&self) -> i64 {
        i64_at(self.bytes, MAX_TIMESTAMP_AT)
    }

    /// Producer id, -1 without idempotence.
    #[must_use]
    pub fn producer_id(&self) -> i64 {
        i64_at(self.bytes, PRODUCER_ID_AT)
    }

    /// Producer epoch, -1 without idempotence.
    #[must_use]
    pub fn producer_epoch(&self) -> i16 {
        i16::from_be_bytes(array(self.bytes, PRODUCER_EPOCH_AT))
    }

    /// Sequence of the first record, -1 without idempotence.
    #[must_use]
    pub fn base_sequence(&self) -> i32 {
        i32_at(self.bytes, BASE_SEQUENCE_AT)
    }

    /// Sequence of the last record; wraps from 2^31-1 to 0 (`DefaultRecordBatch.incrementSequence`).
    #[must_use]
    pub fn last_sequence(&self) -> i32 {
        increment_sequence(self.base_sequence(), self.last_offset_delta())
    }

    /// Number of records the header claims.
    #[must_use]
    pub fn record_count(&self) -> i32 {
        i32_at(self.bytes, COUNT_AT)
    }
}

/// What the header of a batch says, for who has not its records.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct RecordBatchHeader {
    /// As [`RecordBatchView::last_offset_delta`].
    pub last_offset_delta: i32,
    /// As [`RecordBatchView::max_timestamp`].
    pub max_timestamp: i64,
}

impl RecordBatchHeader {
    /// The header at the start of `bytes`; what is behind it is not looked at. `None` when it is none.
    #[must_use]
    pub fn parse(bytes: &[u8]) -> Option<Self> {
        let header = bytes.get(..HEADER_LEN).filter(|header| i8_at(header, MAGIC_AT) == 2)?;
        Some(Self {
            last_offset_delta: i32_at(header, LAST_OFFSET_DELTA_AT),
            max_timestamp: i64_at(header, MAX_TIMESTAMP_AT),
        })
    }
}

/// `sequence + by`, wrapping from 2^31-1 to 0 as Kafka's `DefaultRecordBatch.incrementSequence` does. -1 stays -1.
#[must_use]
pub fn increment_sequence(sequence: i32, by: i32) -> i32 {
    if sequence < 0 {
        return sequence;
    }
    sequence.checked_add(by).unwrap_or_else(|| by - (i32::MAX - sequence) - 1)
}

/// The first 21 bytes of a batch as the log stores them: client bytes with base offset and leader epoch stamped in.
/// Neither lies under the batch CRC.
#[must_use]
pub fn stamped_prefix(batch: &RecordBatchView<'_>, base_offset: i64, leader_epoch: i32) -> [u8; CRC_START] {
    let mut prefix: [u8; CRC_START] = array(batch.as_bytes(), 0);
    prefix[..LENGTH_AT].copy_from_slice(&base_offset.to_be_bytes());
    prefix[LEADER_EPOCH_AT..MAGIC_AT].copy_from_slice(&leader_epoch.to_be_bytes());
    prefix
}

/// Turns `batch` into a LogAppendTime batch: attribute bit 3, max timestamp `now_ms`, new CRC
/// (`DefaultRecordBatch.setMaxTimestamp`). The bytes must parse as a batch.
///
/// # Errors
/// As `RecordBatchView::parse`.
pub fn set_log_append_time(batch: &mut [u8], now_ms: i64) -> Result<(), BatchError> {
    RecordBatchView::parse(batch)?;
    batch[ATTRIBUTES_AT + 1] |= 0x08;
    set_max_timestamp(batch, now_ms)
}

/// Corrects the max timestamp of a batch whose records say otherwise, with a new CRC. The bytes must parse as a batch.
///
/// # Errors
/// As `RecordBatchView::parse`.
pub fn set_max_timestamp(batch: &mut [u8], max_timestamp_ms: i64) -> Result<(), BatchError> {
    let total = RecordBatchView::parse(batch)?.as_bytes().len();
    let batch = &mut batch[..total];
    batch[MAX_TIMESTAMP_AT..PRODUCER_ID_AT].copy_from_slice(&max_timestamp_ms.to_be_bytes());
    let crc = crc32c::crc32c(&batch[CRC_START..]);
    batch[CRC_AT..CRC_START].copy_from_slice(&crc.to_be_bytes());
    Ok(())
}

fn array<const N: usize>(bytes: &[u8], at: usize) -> [u8; N] {
    let mut out = [0; N];
    out.copy_from_slice(&bytes[at..at + N]);
    out
}

fn i64_at(bytes: &[u8], at: usize) -> i64 {
    i64::from_be_bytes(array(bytes, at))
}

fn i32_at(bytes: &[u8], at: usize) -> i32 {
    i32::from_be_bytes(array(bytes, at))
}

fn i8_at(bytes: &[u8], at: usize) -> i8 {
    i8::from_be_bytes(array(bytes, at))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sequence_wraps_to_zero_after_two_to_the_31_minus_one() {
        assert_eq!(increment_sequence(i32::MAX, 1), 0);
        assert_eq!(increment_sequence(i32::MAX - 1, 3), 1);
        assert_eq!(increment_sequence(-1, 5), -1);
    }

    #[test]
    fn short_and_lying_batches_are_rejected() {
        assert!(matches!(RecordBatchView::parse(&[0; 60]), Err(BatchError::Short { .. })));
        let mut bytes = [0_u8; 61];
        bytes[MAGIC_AT] = 2;
        assert_eq!(RecordBatchView::parse(&bytes).err(), Some(BatchError::BadLength(0)));
        bytes[LENGTH_AT..LEADER_EPOCH_AT].copy_from_slice(&i32::MAX.to_be_bytes());
        assert!(matches!(RecordBatchView::parse(&bytes), Err(BatchError::Short { .. })));
        bytes[LENGTH_AT..LEADER_EPOCH_AT].copy_from_slice(&49_i32.to_be_bytes());
        assert!(RecordBatchView::parse(&bytes).is_ok());
    }
}
