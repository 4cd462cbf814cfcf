//! The 64-byte header before everything that is written to the commitlog (`docs/STORAGE_FORMAT.md` §3).
//!
//! Pure: bytes in, values out. Invariant: a header that decodes has a matching CRC; whether it stands where it says and
//! belongs to this use of the file is checked by [`FrameHeader::stands_at`].

use thiserror::Error;

use crate::position::Position;

/// Length of the header, bytes.
pub(crate) const HEADER_LEN: usize = 64;
/// Length of `durable_upto` behind the header of a group's first frame, bytes.
pub(crate) const EXTENSION_LEN: usize = 8;
/// Frames start at multiples of this.
pub(crate) const ALIGNMENT: u64 = 8;
/// "OLF" and format version 1: the first bytes of every frame.
pub(crate) const MAGIC: [u8; 4] = *b"OLF\x01";
/// Flag: the first frame of its group, an 8-byte extension follows the header.
const FLAG_FIRST: u8 = 1;

/// What a frame carries.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[repr(u8)]
pub(crate) enum FrameKind {
    /// A Kafka record batch, untouched behind its stamped base offset and leader epoch.
    Batch = 1,
    /// Fills the rest of a file. Stands outside of groups.
    Blank = 2,
    /// The whole state of a topic: id, name, partitions, configs.
    Topic = 3,
    /// The topic is gone.
    TopicDeleted = 4,
    /// The partition's log start moved to the base offset field.
    LogStart = 5,
    /// Producer ids below the base offset field are given away.
    ProducerIds = 6,
    /// The whole of the dynamic broker configs.
    BrokerConfigs = 7,
    /// Which files the log has: those given up, those rewritten, and the compactions that came with them.
    Files = 8,
    /// The partition's batches below the base offset field count only in files of at least the incarnation in the log
    /// index field.
    Compacted = 9,
}

impl FrameKind {
    fn from_wire(value: u8) -> Option<Self> {
        [
            Self::Batch,
            Self::Blank,
            Self::Topic,
            Self::TopicDeleted,
            Self::LogStart,
            Self::ProducerIds,
            Self::BrokerConfigs,
            Self::Files,
            Self::Compacted,
        ]
        .into_iter()
        .find(|kind| *kind as u8 == value)
    }
}

/// Why 64 bytes are not a frame header.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
pub(crate) enum FrameError {
    #[error("no frame magic")]
    Magic,
    #[error("frame header CRC does not match")]
    HeaderCrc,
    #[error("unknown frame kind {0}")]
    Kind(u8),
    #[error("frame length {length} contradicts payload length {payload}")]
    Length { length: u32, payload: u32 },
}

/// The header's fields.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct FrameHeader {
    /// Header, extension, payload and padding, bytes.
    pub(crate) length: u32,
    pub(crate) position: Position,
    /// Which use of the file wrote it.
    pub(crate) incarnation: u32,
    pub(crate) payload_len: u32,
    pub(crate) leader_epoch: i32,
    pub(crate) kind: FrameKind,
    /// First of its group: `durable_upto` follows the header.
    pub(crate) first: bool,
    /// Frames that follow in the same group.
    pub(crate) remainder: u16,
    /// For replication; 0 on a single node.
    pub(crate) log_index: u64,
    pub(crate) topic: u32,
    pub(crate) partition: u32,
    pub(crate) base_offset: i64,
    /// CRC-32C over extension and payload.
    pub(crate) payload_crc: u32,
}

impl FrameHeader {
    pub(crate) fn encode(&self) -> [u8; HEADER_LEN] {
        let mut out = [0; HEADER_LEN];
        out[0..4].copy_from_slice(&MAGIC);
        out[4..8].copy_from_slice(&self.length.to_be_bytes());
        out[8..16].copy_from_slice(&self.position.0.to_be_bytes());
        out[16..20].copy_from_slice(&self.incarnation.to_be_bytes());
        out[20..24].copy_from_slice(&self.payload_len.to_be_bytes());
        out[24..28].copy_from_slice(&self.leader_epoch.to_be_bytes());
        out[28] = self.kind as u8;
        out[29] = if self.first { FLAG_FIRST } else { 0 };
        out[30..32].copy_from_slice(&self.remainder.to_be_bytes());
        out[32..40].copy_from_slice(&self.log_index.to_be_bytes());
        out[40..44].copy_from_slice(&self.topic.to_be_bytes());
        out[44..48].copy_from_slice(&self.partition.to_be_bytes());
        out[48..56].copy_from_slice(&self.base_offset.to_be_bytes());
        out[56..60].copy_from_slice(&self.payload_crc.to_be_bytes());
        let crc = crc32c::crc32c(&out[..60]);
        out[60..64].copy_from_slice(&crc.to_be_bytes());
        out
    }

    pub(crate) fn decode(bytes: &[u8; HEADER_LEN]) -> Result<Self, FrameError> {
        if bytes[..4] != MAGIC {
            return Err(FrameError::Magic);
        }
        if crc32c::crc32c(&bytes[..60]) != u32_at(bytes, 60) {
            return Err(FrameError::HeaderCrc);
        }
        let kind = FrameKind::from_wire(bytes[28]).ok_or(FrameError::Kind(bytes[28]))?;
        let header = Self {
            length: u32_at(bytes, 4),
            position: Position(u64_at(bytes, 8)),
            incarnation: u32_at(bytes, 16),
            payload_len: u32_at(bytes, 20),
            leader_epoch: i32::from_be_bytes(array(bytes, 24)),
            kind,
            first: bytes[29] & FLAG_FIRST != 0,
            remainder: u16::from_be_bytes(array(bytes, 30)),
            log_index: u64_at(bytes, 32),
            topic: u32_at(bytes, 40),
            partition: u32_at(bytes, 44),
            base_offset: i64::from_be_bytes(array(bytes, 48)),
            payload_crc: u32_at(bytes, 56),
        };
        let right = kind == FrameKind::Blank
            || frame_len(header.payload_len, header.first) == u64::from(header.length);
        if right {
            Ok(header)
        } else {
            Err(FrameError::Length { length: header.length, payload: header.payload_len })
        }
    }

    /// Whether it was written for this very place in this use of the file, and not left by an earlier one.
    pub(crate) fn stands_at(&self, position: Position, incarnation: u32) -> bool {
        self.position == position && self.incarnation == incarnation
    }
}

/// Bytes between a frame's start and its payload.
pub(crate) fn payload_at(first: bool) -> u64 {
    (HEADER_LEN + if first { EXTENSION_LEN } else { 0 }) as u64
}

/// Length of a frame with its padding, bytes.
pub(crate) fn frame_len(payload_len: u32, first: bool) -> u64 {
    (payload_at(first) + u64::from(payload_len)).next_multiple_of(ALIGNMENT)
}

fn array<const N: usize>(bytes: &[u8; HEADER_LEN], at: usize) -> [u8; N] {
    let mut out = [0; N];
    out.copy_from_slice(&bytes[at..at + N]);
    out
}

fn u32_at(bytes: &[u8; HEADER_LEN], at: usize) -> u32 {
    u32::from_be_bytes(array(bytes, at))
}

fn u64_at(bytes: &[u8; HEADER_LEN], at: usize) -> u64 {
    u64::from_be_bytes(array(bytes, at))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn header() -> FrameHeader {
        FrameHeader {
            length: 80,
            position: Position(0x0102_0304_0506_0708),
            incarnation: 0x1112_1314,
            payload_len: 5,
            leader_epoch: 7,
            kind: FrameKind::Batch,
            first: true,
            remainder: 0x2122,
            log_index: 0,
            topic: 0x3132_3334,
            partition: 0x4142_4344,
            base_offset: 0x5152_5354_5556_5758,
            payload_crc: 0x6162_6364,
        }
    }

    #[test]
    fn header_layout_is_the_one_in_the_format_document() {
        let bytes = header().encode();
        let hex: String = bytes.iter().map(|byte| format!("{byte:02x}")).collect();
        assert_eq!(
            &hex[..120],
            "4f4c46010000005001020304050607081112131400000005000000070101212200000000000000003132333441424344\
             515253545556575861626364"
        );
        assert_eq!(FrameHeader::decode(&bytes), Ok(header()));
    }

    #[test]
    fn any_flipped_bit_is_noticed() {
        let bytes = header().encode();
        for bit in 0..bytes.len() * 8 {
            let mut damaged = bytes;
            damaged[bit / 8] ^= 1 << (bit % 8);
            assert!(FrameHeader::decode(&damaged).is_err(), "bit {bit}");
        }
    }
}
