//! The two-slot checkpoint file: where recovery starts (`docs/STORAGE_FORMAT.md` §6).
//!
//! Called by `housekeeping` (write) and `recovery` (read). Invariant: the slot that is being written is never the newest
//! valid one, so a crash at any moment leaves a usable checkpoint.

use std::io::{self, IoSlice};
use std::path::Path;

use crate::data_dir::{DataDir, write_atomically};
use crate::disk::Disk;
use crate::error::Error;
use crate::position::Position;

/// Slots lie in pages of their own, so that a torn write cannot touch both.
pub(crate) const SLOT_SPACING: usize = 4096;
pub(crate) const SLOT_LEN: usize = 56;
/// "OLCK" and format version 1.
const MAGIC: u64 = 0x4f4c_434b_0000_0001;

/// Where recovery starts.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Checkpoint {
    /// Counts checkpoints; names the state snapshot.
    pub(crate) sequence: u64,
    /// The snapshot holds the effect of every frame below.
    pub(crate) position: Position,
    /// Everything below is on stable storage.
    pub(crate) durable: Position,
    /// Where the log begins: the first file's position.
    pub(crate) begin: Position,
    /// Incarnations below were used.
    pub(crate) next_incarnation: u32,
    /// Written by a proper close: nothing follows `position`.
    pub(crate) clean: bool,
}

impl Checkpoint {
    /// The newest valid slot.
    pub(crate) fn load(disk: &dyn Disk, dir: &DataDir) -> Result<Option<Self>, Error> {
        let path = dir.checkpoint();
        let file = match disk.open(&path) {
            Ok(file) => file,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
            Err(error) => return Err(Error::io("open", path, error)),
        };
        let slot = |index: usize| {
            let bytes = file.read((index * SLOT_SPACING) as u64, SLOT_LEN).ok()?;
            Self::decode(&bytes)
        };
        Ok([slot(0), slot(1)].into_iter().flatten().max_by_key(|slot| slot.sequence))
    }

    /// Writes it over the older slot and makes it durable.
    pub(crate) fn store(&self, disk: &dyn Disk, dir: &DataDir) -> Result<(), Error> {
        let path = dir.checkpoint();
        let io = |error| Error::io("write", &path, error);
        match disk.open(&path) {
            Ok(file) => {
                let at = (self.sequence % 2) * SLOT_SPACING as u64;
                file.write_all_at(&mut [IoSlice::new(&self.encode())], at).map_err(io)?;
                file.sync().map_err(io)
            }
            Err(error) if error.kind() == io::ErrorKind::NotFound => self.create(disk, dir.root()),
            Err(error) => Err(io(error)),
        }
    }

    fn create(&self, disk: &dyn Disk, root: &Path) -> Result<(), Error> {
        let mut contents = vec![0; 2 * SLOT_SPACING];
        let at = if self.sequence.is_multiple_of(2) { 0 } else { SLOT_SPACING };
        contents[at..at + SLOT_LEN].copy_from_slice(&self.encode());
        write_atomically(disk, root, "checkpoint", &contents)
    }

    fn encode(&self) -> [u8; SLOT_LEN] {
        let mut out = [0; SLOT_LEN];
        out[0..8].copy_from_slice(&MAGIC.to_be_bytes());
        out[8..16].copy_from_slice(&self.sequence.to_be_bytes());
        out[16..24].copy_from_slice(&self.position.0.to_be_bytes());
        out[24..32].copy_from_slice(&self.durable.0.to_be_bytes());
        out[32..40].copy_from_slice(&self.begin.0.to_be_bytes());
        out[40..44].copy_from_slice(&self.next_incarnation.to_be_bytes());
        out[44] = u8::from(self.clean);
        let crc = crc32c::crc32c(&out[..SLOT_LEN - 4]);
        out[SLOT_LEN - 4..].copy_from_slice(&crc.to_be_bytes());
        out
    }

    pub(crate) fn decode(bytes: &[u8]) -> Option<Self> {
        let u64_at = |at: usize| u64::from_be_bytes(bytes[at..at + 8].try_into().expect("8 bytes"));
        let u32_at = |at: usize| u32::from_be_bytes(bytes[at..at + 4].try_into().expect("4 bytes"));
        let valid = u64_at(0) == MAGIC && crc32c::crc32c(&bytes[..SLOT_LEN - 4]) == u32_at(SLOT_LEN - 4);
        valid.then(|| Self {
            sequence: u64_at(8),
            position: Position(u64_at(16)),
            durable: Position(u64_at(24)),
            begin: Position(u64_at(32)),
            next_incarnation: u32_at(40),
            clean: bytes[44] != 0,
        })
    }
}
