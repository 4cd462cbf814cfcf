//! The partition table of an index file: what each partition has in the file described.
//!
//! Pure: rows and bytes. Built by `builder`, read through `IndexFile`. Invariant: rows are sorted by topic number, then
//! partition, and no two are of the same partition.

use protocol::record_batch::RecordBatchHeader;

use crate::position::Offset;

/// Length of a row, bytes.
pub(super) const ROW_LEN: usize = 56;
/// Flag: the keys of this partition's records are in the key table.
const KEYS: u32 = 1;

/// What one partition has in one commitlog file, whether or not it still needs it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct PartitionRow {
    /// Number of the topic.
    pub(crate) topic: u32,
    pub(crate) partition: u32,
    /// Batch frames.
    pub(crate) frames: u32,
    /// Bytes of these frames, headers and padding included.
    pub(crate) bytes: u64,
    pub(crate) first_offset: Offset,
    pub(crate) last_offset: Offset,
    /// Least max timestamp of its batches, ms; -1 when one has none.
    pub(crate) min_timestamp: i64,
    /// Greatest max timestamp of its batches, ms; -1 when none has one.
    pub(crate) max_timestamp: i64,
    /// The keys of its records are in the key table.
    pub(crate) has_keys: bool,
}

impl PartitionRow {
    /// Of a partition that has nothing in the file yet.
    pub(super) fn new(topic: u32, partition: u32, has_keys: bool) -> Self {
        Self {
            topic,
            partition,
            frames: 0,
            bytes: 0,
            first_offset: Offset::MAX,
            last_offset: Offset::MIN,
            min_timestamp: i64::MAX,
            max_timestamp: -1,
            has_keys,
        }
    }

    /// Counts a frame of `frame_bytes` whose payload begins with `batch`, at `base_offset`.
    pub(super) fn add(&mut self, frame_bytes: u32, base_offset: Offset, batch: &[u8]) {
        let (last_delta, timestamp) = RecordBatchHeader::parse(batch)
            .map_or((0, -1), |batch| (batch.last_offset_delta, batch.max_timestamp));
        self.frames = self.frames.saturating_add(1);
        self.bytes += u64::from(frame_bytes);
        self.first_offset = self.first_offset.min(base_offset);
        self.last_offset = self.last_offset.max(base_offset.saturating_add(i64::from(last_delta)));
        self.min_timestamp = self.min_timestamp.min(timestamp);
        self.max_timestamp = self.max_timestamp.max(timestamp);
    }

    pub(super) fn encode(&self) -> [u8; ROW_LEN] {
        let mut out = [0; ROW_LEN];
        out[0..4].copy_from_slice(&self.topic.to_be_bytes());
        out[4..8].copy_from_slice(&self.partition.to_be_bytes());
        out[8..12].copy_from_slice(&self.frames.to_be_bytes());
        out[12..16].copy_from_slice(&(if self.has_keys { KEYS } else { 0 }).to_be_bytes());
        out[16..24].copy_from_slice(&self.bytes.to_be_bytes());
        out[24..32].copy_from_slice(&self.first_offset.to_be_bytes());
        out[32..40].copy_from_slice(&self.last_offset.to_be_bytes());
        out[40..48].copy_from_slice(&self.min_timestamp.to_be_bytes());
        out[48..56].copy_from_slice(&self.max_timestamp.to_be_bytes());
        out
    }

    pub(super) fn decode(bytes: &[u8; ROW_LEN]) -> Self {
        let four = |at: usize| u32::from_be_bytes(bytes[at..at + 4].try_into().expect("4 bytes"));
        let eight = |at: usize| -> [u8; 8] { bytes[at..at + 8].try_into().expect("8 bytes") };
        Self {
            topic: four(0),
            partition: four(4),
            frames: four(8),
            bytes: u64::from_be_bytes(eight(16)),
            first_offset: i64::from_be_bytes(eight(24)),
            last_offset: i64::from_be_bytes(eight(32)),
            min_timestamp: i64::from_be_bytes(eight(40)),
            max_timestamp: i64::from_be_bytes(eight(48)),
            has_keys: four(12) & KEYS != 0,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn row_layout_is_the_one_in_the_format_document() {
        let row = PartitionRow {
            topic: 0x0102_0304,
            partition: 0x1112_1314,
            frames: 0x2122_2324,
            bytes: 0x3132_3334_3536_3738,
            first_offset: 0x4142_4344_4546_4748,
            last_offset: 0x5152_5354_5556_5758,
            min_timestamp: 0x6162_6364_6566_6768,
            max_timestamp: 0x7172_7374_7576_7778,
            has_keys: true,
        };
        let bytes = row.encode();
        let hex: String = bytes.iter().map(|byte| format!("{byte:02x}")).collect();
        assert_eq!(
            hex,
            "01020304111213142122232400000001313233343536373841424344454647485152535455565758\
             61626364656667687172737475767778"
        );
        assert_eq!(PartitionRow::decode(&bytes), row);
    }
}
