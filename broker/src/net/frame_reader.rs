//! Bytes of one connection into frames, in as little memory and with as few copies as can be.
//!
//! Called by `net::connection`. Invariants: memory grows with bytes that arrived (at most doubled) or that the client has
//! shown before it sends, never with a length that it only claims; a frame is handed out as a slice of the buffer it was
//! read into; a quiet connection holds no buffer.

use std::collections::TryReserveError;

use bytes::{Buf as _, BufMut, Bytes, BytesMut};
use protocol::frame::{FrameError, frame_len};

/// Bytes of the size prefix.
const PREFIX: usize = 4;
/// First read of a connection that was quiet.
const SMALLEST_READ: usize = 4 * 1024;
/// Reads that are not known to lie inside one frame ask for no more. What comes with one read is written to the log at
/// once: fewer and larger writes cost less per byte, as long as what was read is still in the processor's cache.
const LARGEST_BLIND_READ: usize = 256 * 1024;
/// How far a length is believed at once.
const BELIEVED: usize = 64 * 1024;

#[derive(Debug)]
pub(super) struct FrameReader {
    buffer: BytesMut,
    limit: usize,
    /// How much the next blind read asks for: doubles while reads fill it.
    read_size: usize,
    /// Size of the last whole frame: one of this size is believed again without growing step by step.
    shown: usize,
    /// Size of the allocation behind `buffer`, of which it shows only what is not handed out.
    allocated: usize,
}

impl FrameReader {
    /// Frames above `limit` bytes are refused.
    pub(super) fn new(limit: usize) -> Self {
        Self { buffer: BytesMut::new(), limit, read_size: SMALLEST_READ, shown: 0, allocated: 0 }
    }

    /// The next whole frame, without its size prefix.
    ///
    /// # Errors
    /// A size that no frame can have; nothing after it can be understood.
    pub(super) fn next_frame(&mut self) -> Result<Option<Bytes>, FrameError> {
        let Some(len) = self.claimed()? else { return Ok(None) };
        if self.buffer.len() < PREFIX + len {
            return Ok(None);
        }
        self.buffer.advance(PREFIX);
        self.shown = len;
        Ok(Some(self.buffer.split_to(len).freeze()))
    }

    /// Room for the next read. What is read into it is seen by [`FrameReader::next_frame`].
    ///
    /// # Errors
    /// No memory.
    pub(super) fn room(&mut self) -> Result<impl BufMut + '_, TryReserveError> {
        let have = self.buffer.len();
        let missing = match self.claimed() {
            Ok(Some(len)) => (PREFIX + len).saturating_sub(have),
            Ok(None) | Err(_) => 0,
        };
        let spare = self.buffer.capacity() - have;
        let room = if missing <= self.read_size {
            self.read_size
        } else if spare >= SMALLEST_READ {
            // Inside one large frame: never beyond its end, so that the next one starts in a fresh place and is never moved.
            missing.min(spare)
        } else {
            missing.min(have.max(BELIEVED).max((PREFIX + self.shown).saturating_sub(have)))
        };
        if have == 0 && self.allocated > 4 * LARGEST_BLIND_READ.max(PREFIX + self.shown) {
            // One huge frame must not hold its memory under a busy stream of small ones.
            self.buffer = BytesMut::new();
        }
        if !self.buffer.try_reclaim(room) {
            self.allocated = grow(&mut self.buffer, room)?;
        }
        Ok((&mut self.buffer).limit(room))
    }

    /// Tells how much the last read brought, so that the next one asks for more when it was full.
    pub(super) fn on_read(&mut self, bytes: usize) {
        if bytes >= self.read_size {
            self.read_size = (self.read_size * 2).min(LARGEST_BLIND_READ);
        }
    }

    /// True when a frame has begun and is not complete.
    pub(super) fn is_inside_frame(&self) -> bool {
        !self.buffer.is_empty()
    }

    /// Gives the buffer back if nothing is in it.
    pub(super) fn release(&mut self) {
        if self.buffer.is_empty() {
            *self = Self::new(self.limit);
        }
    }

    /// True when [`FrameReader::release`] would give memory back.
    pub(super) fn holds_memory(&self) -> bool {
        self.buffer.is_empty() && self.buffer.capacity() > 0
    }

    /// First bytes that are not understood, for a guess at what the client speaks.
    pub(super) fn head(&self) -> &[u8] {
        &self.buffer[..self.buffer.len().min(PREFIX)]
    }

    fn claimed(&self) -> Result<Option<usize>, FrameError> {
        self.buffer.first_chunk::<PREFIX>().map(|prefix| frame_len(*prefix, self.limit)).transpose()
    }
}

/// `BytesMut::reserve` aborts the process without memory; this asks first. Returns the new size.
fn grow(buffer: &mut BytesMut, room: usize) -> Result<usize, TryReserveError> {
    let mut larger = Vec::new();
    larger.try_reserve_exact(buffer.len() + room)?;
    larger.extend_from_slice(buffer);
    let allocated = larger.capacity();
    *buffer = BytesMut::from(Bytes::from(larger));
    Ok(allocated)
}

#[cfg(test)]
mod tests {
    use super::*;

    const LIMIT: usize = 100 << 20;

    /// Feeds all of `bytes` in pieces of at most `piece`, as a socket would, and returns the frames and the largest room asked.
    fn feed(reader: &mut FrameReader, mut bytes: &[u8], piece: usize) -> (Vec<Bytes>, usize) {
        let (mut frames, mut largest) = (Vec::new(), 0);
        while !bytes.is_empty() {
            let mut room = reader.room().unwrap();
            largest = largest.max(room.remaining_mut());
            let count = bytes.len().min(piece).min(room.remaining_mut());
            room.put_slice(&bytes[..count]);
            drop(room);
            reader.on_read(count);
            bytes = &bytes[count..];
            while let Some(frame) = reader.next_frame().unwrap() {
                frames.push(frame);
            }
        }
        (frames, largest)
    }

    fn frame(len: usize, fill: u8) -> Vec<u8> {
        let mut bytes = u32::try_from(len).unwrap().to_be_bytes().to_vec();
        bytes.resize(PREFIX + len, fill);
        bytes
    }

    #[test]
    fn frames_come_out_whole_whatever_the_pieces() {
        let sizes = [8, 9, 5_000, 100_000, 8, 300_000, 70_000];
        let bytes: Vec<u8> = sizes.iter().zip(1..).flat_map(|(len, fill)| frame(*len, fill)).collect();
        for piece in [3, 1_000, 65_536, usize::MAX] {
            let mut reader = FrameReader::new(LIMIT);
            let (frames, _) = feed(&mut reader, &bytes, piece);
            assert_eq!(frames.iter().map(Bytes::len).collect::<Vec<_>>(), sizes);
            assert!(frames.iter().zip(1_u8..).all(|(frame, fill)| frame.iter().all(|byte| *byte == fill)));
            assert!(!reader.is_inside_frame());
        }
    }

    #[test]
    fn a_claimed_length_allocates_nothing_before_its_bytes_arrive() {
        let mut reader = FrameReader::new(LIMIT);
        let mut bytes = frame(LIMIT, 0);
        bytes.truncate(1_000_000);
        let (frames, largest) = feed(&mut reader, &bytes[..100], 100);
        assert!(frames.is_empty());
        assert!(largest <= LARGEST_BLIND_READ);
        feed(&mut reader, &bytes[100..], usize::MAX);
        assert!(reader.buffer.capacity() <= 2 * bytes.len(), "{}", reader.buffer.capacity());
    }

    #[test]
    fn frames_of_one_size_reuse_one_buffer_without_moving_bytes() {
        let mut reader = FrameReader::new(LIMIT);
        let bytes = frame(1 << 20, 7);
        drop(feed(&mut reader, &bytes, usize::MAX));
        let capacity = |reader: &mut FrameReader| {
            assert!(reader.buffer.try_reclaim(1));
            (reader.buffer.as_ptr(), reader.buffer.capacity())
        };
        let first = capacity(&mut reader);
        for _ in 0..3 {
            drop(feed(&mut reader, &bytes, usize::MAX));
            assert_eq!(capacity(&mut reader), first);
        }
    }

    #[test]
    fn a_huge_frame_does_not_hold_its_memory_under_small_ones() {
        let mut reader = FrameReader::new(LIMIT);
        drop(feed(&mut reader, &frame(10 << 20, 1), usize::MAX));
        for _ in 0..3 {
            drop(feed(&mut reader, &frame(100, 1), usize::MAX));
        }
        assert!(reader.allocated <= LARGEST_BLIND_READ, "{}", reader.allocated);
    }

    #[test]
    fn a_quiet_reader_holds_no_memory() {
        let mut reader = FrameReader::new(LIMIT);
        drop(feed(&mut reader, &frame(300_000, 1), usize::MAX));
        assert!(reader.holds_memory());
        reader.release();
        assert!(!reader.holds_memory());
        assert_eq!(reader.buffer.capacity(), 0);
        let (frames, _) = feed(&mut reader, &frame(20, 1), usize::MAX);
        assert_eq!(frames.len(), 1);
    }

    #[test]
    fn release_keeps_a_frame_that_has_begun() {
        let mut reader = FrameReader::new(LIMIT);
        feed(&mut reader, &frame(20, 1)[..10], usize::MAX);
        reader.release();
        let (frames, _) = feed(&mut reader, &frame(20, 1)[10..], usize::MAX);
        assert_eq!(frames.len(), 1);
    }

    #[test]
    fn a_size_over_the_limit_is_an_error_and_its_head_is_kept_for_the_log() {
        let mut reader = FrameReader::new(LIMIT);
        reader.room().unwrap().put_slice(b"GET / HTTP/1.1\r\n");
        assert!(reader.next_frame().is_err());
        assert_eq!(reader.head(), b"GET ");
    }
}
