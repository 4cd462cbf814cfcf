//! The appending end of the log: frames are given their place one by one, then written as one group.
//!
//! Held inside the append lock. `reserve` can fail without a trace; after it, only a failing write can, and that poisons
//! the log. So callers may change their state between `reserve` and `flush`.

use std::io::IoSlice;
use std::sync::Arc;

use bytes::Bytes;
use protocol::record_batch::CRC_START;

use super::CommitLog;
use crate::error::Error;
use crate::frame::{EXTENSION_LEN, FrameHeader, FrameKind, HEADER_LEN, frame_len, payload_at};
use crate::mapped_file::MappedFile;
use crate::position::Position;

/// Payloads up to this size are copied beside their header: cheaper than a slice of their own in `pwritev`.
const COPY_UP_TO: usize = 2048;
/// From this size on, combining two CRCs is cheaper than running over the payload again.
const COMBINE_FROM: usize = 128 * 1024;
const PADDING: [u8; 8] = [0; 8];

/// A frame before it has a place.
#[derive(Debug)]
pub(crate) struct Draft {
    pub(crate) kind: FrameKind,
    pub(crate) topic: u32,
    pub(crate) partition: u32,
    pub(crate) base_offset: i64,
    pub(crate) leader_epoch: i32,
    /// 0, or what the kind makes of it.
    pub(crate) log_index: u64,
    /// For batches: the stamped first 21 bytes, and the CRC of the rest, which the client's CRC is.
    pub(crate) stamp: Option<([u8; CRC_START], u32)>,
    /// The payload, or what follows the stamp.
    pub(crate) body: Bytes,
}

impl Draft {
    pub(crate) fn payload_len(&self) -> usize {
        self.body.len() + if self.stamp.is_some() { CRC_START } else { 0 }
    }
}

/// Where the next frame will stand.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Reserved {
    pub(crate) position: Position,
    /// First of its group: its payload stands 8 bytes further on.
    pub(crate) first: bool,
    /// First position after it.
    pub(crate) end: Position,
}

/// The log's end and the group being put together.
#[derive(Debug)]
pub(crate) struct LogWriter {
    file: Arc<MappedFile>,
    tail: Position,
    group: Vec<(Draft, Reserved)>,
    /// Headers, extensions, stamps, small payloads and padding of the group; kept to reuse its memory.
    arena: Vec<u8>,
}

impl LogWriter {
    /// Continues at `tail`, which lies in `file`.
    pub(crate) fn new(file: Arc<MappedFile>, tail: Position) -> Self {
        Self { file, tail, group: Vec::new(), arena: Vec::new() }
    }

    /// First position after what was reserved.
    pub(crate) fn tail(&self) -> Position {
        self.tail
    }

    /// Bytes left in the current file.
    pub(crate) fn room(&self) -> u64 {
        self.file.end().0 - self.tail.0
    }

    /// The place for a payload of `payload_len` bytes; rolls to the next file when this one is full.
    ///
    /// # Errors
    /// `Full`, `Poisoned`, `Io`: nothing was reserved.
    pub(crate) fn reserve(&mut self, log: &CommitLog, payload_len: usize) -> Result<Reserved, Error> {
        log.poison().check()?;
        let payload_len = u32::try_from(payload_len).expect("callers compare with max_payload");
        let starts_group = self.group.is_empty() || self.group.len() > usize::from(u16::MAX);
        if starts_group {
            self.flush(log)?;
        }
        if !self.fits(frame_len(payload_len, starts_group)) {
            self.roll(log)?;
        }
        let first = self.group.is_empty();
        let position = self.tail;
        let end = position.plus(frame_len(payload_len, first));
        Ok(Reserved { position, first, end })
    }

    /// The same for records: while there is no next file they leave the end of this one to metadata, so that what frees
    /// space can still be said on a full disk.
    ///
    /// # Errors
    /// As `reserve`.
    pub(crate) fn reserve_batch(&mut self, log: &CommitLog, size: usize) -> Result<Reserved, Error> {
        let payload_len = u32::try_from(size).expect("callers compare with max_payload");
        if log.space.is_refused() || self.room() < frame_len(payload_len, true) + log.space.metadata_room() {
            log.poison().check()?;
            log.need_next()?;
        }
        self.reserve(log, size)
    }

    /// Counts bytes of a batch just reserved as needed by its partition.
    pub(crate) fn add_live(&self, bytes: u64) {
        self.file.add_live(bytes);
    }

    /// Puts a frame at the place just reserved for it.
    pub(crate) fn push(&mut self, draft: Draft, reserved: Reserved) {
        debug_assert_eq!(reserved.position, self.tail, "push follows its reserve");
        self.tail = reserved.end;
        self.group.push((draft, reserved));
    }

    /// Writes the group and publishes it as written.
    ///
    /// # Errors
    /// `Poisoned`: a write failed, now or earlier.
    pub(crate) fn flush(&mut self, log: &CommitLog) -> Result<(), Error> {
        let Some((_, first)) = self.group.first() else { return Ok(()) };
        let start = first.position;
        let durable_upto = log.synced();
        self.arena.clear();
        let mut parts = Vec::with_capacity(self.group.len() + 1);
        let mut copied_from = 0;
        let count = self.group.len();
        for (index, (draft, reserved)) in self.group.iter().enumerate() {
            let remainder = u16::try_from(count - 1 - index).expect("groups end at 65 536 frames");
            encode_head(&mut self.arena, draft, reserved, remainder, self.file.incarnation(), durable_upto);
            if draft.body.len() <= COPY_UP_TO {
                self.arena.extend_from_slice(&draft.body);
            } else {
                parts.push(Part::Copied(copied_from, self.arena.len()));
                parts.push(Part::Body(index));
                copied_from = self.arena.len();
            }
            let used = payload_at(reserved.first) + draft.payload_len() as u64;
            let padding = usize::try_from(reserved.end.0 - reserved.position.0 - used).expect("less than 8");
            self.arena.extend_from_slice(&PADDING[..padding]);
        }
        parts.push(Part::Copied(copied_from, self.arena.len()));
        let mut slices: Vec<IoSlice<'_>> = parts
            .iter()
            .map(|part| match *part {
                Part::Copied(from, to) => IoSlice::new(&self.arena[from..to]),
                Part::Body(index) => IoSlice::new(&self.group[index].0.body),
            })
            .filter(|slice| !slice.is_empty())
            .collect();
        log.poison().guard("write to the commitlog", self.file.write_at(&mut slices, start))?;
        self.group.clear();
        log.publish_written(self.tail);
        Ok(())
    }

    /// A frame fits when it ends with the file or leaves room for the blank that fills the rest.
    fn fits(&self, len: u64) -> bool {
        let room = self.room();
        len == room || len + payload_at(false) <= room
    }

    fn roll(&mut self, log: &CommitLog) -> Result<(), Error> {
        let next = log.take_next()?;
        self.flush(log)?;
        let room = self.room();
        if room > 0 {
            let blank = self.blank(room).encode();
            log.poison().guard(
                "write to the commitlog",
                self.file.write_at(&mut [IoSlice::new(&blank)], self.tail),
            )?;
        }
        self.tail = next.base().plus(crate::mapped_file::FILE_HEADER_LEN);
        self.file = next;
        log.publish_written(self.tail);
        Ok(())
    }

    fn blank(&self, room: u64) -> FrameHeader {
        FrameHeader {
            length: u32::try_from(room).expect("files are smaller than 4 GiB"),
            position: self.tail,
            incarnation: self.file.incarnation(),
            payload_len: 0,
            leader_epoch: 0,
            kind: FrameKind::Blank,
            first: false,
            remainder: 0,
            log_index: 0,
            topic: 0,
            partition: 0,
            base_offset: 0,
            payload_crc: crc32c::crc32c(&[]),
        }
    }
}

enum Part {
    Copied(usize, usize),
    Body(usize),
}

fn encode_head(
    arena: &mut Vec<u8>,
    draft: &Draft,
    reserved: &Reserved,
    remainder: u16,
    incarnation: u32,
    durable_upto: Position,
) {
    let mut prefix = [0_u8; EXTENSION_LEN + CRC_START];
    let mut prefix_len = 0;
    if reserved.first {
        prefix[..EXTENSION_LEN].copy_from_slice(&durable_upto.0.to_be_bytes());
        prefix_len = EXTENSION_LEN;
    }
    if let Some((stamp, _)) = &draft.stamp {
        prefix[prefix_len..prefix_len + CRC_START].copy_from_slice(stamp);
        prefix_len += CRC_START;
    }
    let prefix = &prefix[..prefix_len];
    let header = FrameHeader {
        length: u32::try_from(reserved.end.0 - reserved.position.0).expect("frames are smaller than files"),
        position: reserved.position,
        incarnation,
        payload_len: u32::try_from(draft.payload_len()).expect("frames are smaller than files"),
        leader_epoch: draft.leader_epoch,
        kind: draft.kind,
        first: reserved.first,
        remainder,
        log_index: draft.log_index,
        topic: draft.topic,
        partition: draft.partition,
        base_offset: draft.base_offset,
        payload_crc: payload_crc(prefix, draft),
    };
    arena.reserve(HEADER_LEN + prefix.len());
    arena.extend_from_slice(&header.encode());
    arena.extend_from_slice(prefix);
}

/// CRC over extension, stamp and body. A batch's own CRC already covers its body, so large ones are combined.
fn payload_crc(prefix: &[u8], draft: &Draft) -> u32 {
    let head = crc32c::crc32c(prefix);
    match draft.stamp {
        Some((_, body_crc)) if draft.body.len() >= COMBINE_FROM => {
            crc32c::crc32c_combine(head, body_crc, draft.body.len())
        }
        _ => crc32c::crc32c_append(head, &draft.body),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn combined_crc_equals_the_crc_over_everything() {
        let body = Bytes::from(vec![7_u8; COMBINE_FROM + 3]);
        let draft = Draft {
            kind: FrameKind::Batch,
            topic: 0,
            partition: 0,
            base_offset: 0,
            leader_epoch: 0,
            log_index: 0,
            stamp: Some(([1; CRC_START], crc32c::crc32c(&body))),
            body: body.clone(),
        };
        let whole = [&[9_u8; 4][..], &body].concat();
        assert_eq!(payload_crc(&[9; 4], &draft), crc32c::crc32c(&whole));
    }
}
