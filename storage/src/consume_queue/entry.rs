//! One entry and one page of them, as bytes (`docs/STORAGE_FORMAT.md` §5).

use bytes::{BufMut, Bytes, BytesMut};
use protocol::record_batch::RecordBatchView;

use super::extents::{ENTRIES_PER_PAGE, PAGE_LEN};
use crate::frame::frame_len;
use crate::position::{Offset, Position};

/// Length of an entry, bytes.
pub(super) const ENTRY_LEN: usize = 48;
/// Length of a page's header, bytes.
pub(super) const PAGE_HEADER_LEN: usize = 16;
/// "OLQ" and format version 1.
pub(super) const PAGE_MAGIC: u32 = 0x4f4c_5101;
const CRC_AT: usize = 46;
const _: () = assert!(PAGE_HEADER_LEN + ENTRIES_PER_PAGE * ENTRY_LEN == PAGE_LEN);

/// Attribute bit of the queue's own: the frame is the first of its group, so its payload stands 8 bytes further on.
const FIRST_OF_GROUP: u16 = 0x4000;

/// Where one batch is and what searches need of it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Entry {
    /// Start of the batch's frame.
    pub(crate) position: Position,
    pub(crate) base_offset: Offset,
    /// Greatest record timestamp, ms; -1 without timestamps.
    pub(crate) max_timestamp: i64,
    /// Greatest `max_timestamp` of this and all earlier entries, ms.
    pub(crate) running_max: i64,
    /// Batch size, bytes.
    pub(crate) size: u32,
    pub(crate) last_offset_delta: i32,
    pub(crate) leader_epoch: i32,
    /// The batch's attributes, and [`FIRST_OF_GROUP`].
    pub(crate) attributes: u16,
}

impl Entry {
    pub(crate) fn last_offset(&self) -> Offset {
        self.base_offset + i64::from(self.last_offset_delta)
    }

    /// Whether the payload stands behind a group extension.
    pub(crate) fn first_of_group(&self) -> bool {
        self.attributes & FIRST_OF_GROUP != 0
    }

    /// The entry of a batch that lies at `position` with this offset and epoch. The queue fills in the running maximum.
    pub(crate) fn of(
        batch: &RecordBatchView<'_>,
        position: Position,
        first: bool,
        base_offset: Offset,
        leader_epoch: i32,
    ) -> Self {
        let own = if first { FIRST_OF_GROUP } else { 0 };
        Self {
            position,
            base_offset,
            max_timestamp: batch.max_timestamp(),
            running_max: 0,
            size: u32::try_from(batch.as_bytes().len()).expect("batches are smaller than files"),
            last_offset_delta: batch.last_offset_delta(),
            leader_epoch,
            attributes: u16::from_be_bytes(batch.attributes().to_be_bytes()) | own,
        }
    }

    /// The same batch, copied into a rewrite file.
    pub(crate) fn at(&self, position: Position) -> Self {
        Self { position, attributes: self.attributes & !FIRST_OF_GROUP, ..*self }
    }

    /// Bytes of the log that its frame takes.
    pub(crate) fn frame_len(&self) -> u64 {
        frame_len(self.size, self.first_of_group())
    }

    pub(super) fn encode(&self) -> [u8; ENTRY_LEN] {
        let mut out = [0; ENTRY_LEN];
        out[0..8].copy_from_slice(&self.position.0.to_be_bytes());
        out[8..16].copy_from_slice(&self.base_offset.to_be_bytes());
        out[16..24].copy_from_slice(&self.max_timestamp.to_be_bytes());
        out[24..32].copy_from_slice(&self.running_max.to_be_bytes());
        out[32..36].copy_from_slice(&self.size.to_be_bytes());
        out[36..40].copy_from_slice(&self.last_offset_delta.to_be_bytes());
        out[40..44].copy_from_slice(&self.leader_epoch.to_be_bytes());
        out[44..46].copy_from_slice(&self.attributes.to_be_bytes());
        let crc = crc16(&out[..CRC_AT]);
        out[46..48].copy_from_slice(&crc);
        out
    }

    /// `None` when the CRC does not match.
    pub(super) fn decode(bytes: &[u8]) -> Option<Self> {
        let bytes: &[u8; ENTRY_LEN] = bytes.try_into().ok()?;
        if crc16(&bytes[..CRC_AT]) != bytes[CRC_AT..] {
            return None;
        }
        let i64_at = |at: usize| i64::from_be_bytes(bytes[at..at + 8].try_into().expect("8 bytes"));
        let four = |at: usize| -> [u8; 4] { bytes[at..at + 4].try_into().expect("4 bytes") };
        Some(Self {
            position: Position(u64::from_be_bytes(bytes[0..8].try_into().expect("8 bytes"))),
            base_offset: i64_at(8),
            max_timestamp: i64_at(16),
            running_max: i64_at(24),
            size: u32::from_be_bytes(four(32)),
            last_offset_delta: i32::from_be_bytes(four(36)),
            leader_epoch: i32::from_be_bytes(four(40)),
            attributes: u16::from_be_bytes([bytes[44], bytes[45]]),
        })
    }
}

/// A page as far as it has entries; the slots behind them are zero.
pub(super) fn encode_page(topic: u32, partition: u32, entries: &[Entry]) -> Bytes {
    let mut page = BytesMut::with_capacity(PAGE_HEADER_LEN + entries.len() * ENTRY_LEN);
    page.put_u32(PAGE_MAGIC);
    page.put_u32(topic);
    page.put_u32(partition);
    page.put_u32(0);
    for entry in entries {
        page.put_slice(&entry.encode());
    }
    page.freeze()
}

/// Entries up to the first slot that holds none. `None` when it is not a page at all.
pub(super) fn decode_page(page: &[u8]) -> Option<Vec<Entry>> {
    if page.get(..4)? != PAGE_MAGIC.to_be_bytes() {
        return None;
    }
    Some(page[PAGE_HEADER_LEN..].chunks_exact(ENTRY_LEN).map_while(Entry::decode).collect())
}

/// The low half of CRC-32C; all-zero bytes do not validate, since CRC-32C of 46 zero bytes is not zero there.
fn crc16(bytes: &[u8]) -> [u8; 2] {
    let [_, _, high, low] = crc32c::crc32c(bytes).to_be_bytes();
    [high, low]
}

#[cfg(test)]
mod tests {
    use super::*;

    fn entry() -> Entry {
        Entry {
            position: Position(0x0102_0304_0506_0708),
            base_offset: 0x1112_1314_1516_1718,
            max_timestamp: 0x2122_2324_2526_2728,
            running_max: 0x3132_3334_3536_3738,
            size: 0x4142_4344,
            last_offset_delta: 0x5152_5354,
            leader_epoch: 0x6162_6364,
            attributes: 0x4001,
        }
    }

    #[test]
    fn entry_layout_is_the_one_in_the_format_document() {
        let bytes = entry().encode();
        let hex: String = bytes[..46].iter().map(|byte| format!("{byte:02x}")).collect();
        assert_eq!(
            hex,
            "01020304050607081112131415161718212223242526272831323334353637384142434451525354616263644001"
        );
        assert_eq!(Entry::decode(&bytes), Some(entry()));
    }

    #[test]
    fn empty_slots_and_damaged_entries_end_a_page() {
        assert_eq!(Entry::decode(&[0; ENTRY_LEN]), None);
        let mut page = encode_page(1, 2, &[entry(), entry()]).to_vec();
        assert_eq!(decode_page(&page).map(|entries| entries.len()), Some(2));
        page[PAGE_HEADER_LEN + ENTRY_LEN] ^= 1;
        assert_eq!(decode_page(&page).map(|entries| entries.len()), Some(1));
    }
}
