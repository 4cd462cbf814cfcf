//! Room on the data directory's file system: how much there is, and how much of it records leave alone.
//!
//! Called by `commit_log` before it takes room for a file of records, and by whoever shows or watches it. Invariant: records
//! never take the last of a disk, so that what gives room back (copies of live batches, queue pages, a snapshot, metadata
//! frames) still has a place when they are refused.

use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, Ordering};

use crate::disk::Room;
use crate::error::Error;

/// Queue pages and snapshots get as much as a commitlog file, but no more than this.
const MOST_FOR_PROJECTIONS: u64 = 64 * 1024 * 1024;
/// Less than this part of the disk is little.
const LOW_DIVISOR: u64 = 20;
/// Less than this many commitlog files is little.
const LOW_FILES: u64 = 4;
/// The part of a commitlog file that records leave to metadata while there is no next file.
const METADATA_DIVISOR: u64 = 16;

/// How the disk stands.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum SpaceState {
    /// Room for a while.
    #[default]
    Ok,
    /// Less than 5 % of the disk, or than four commitlog files.
    Low,
    /// No room for the next commitlog file: records are refused when the current one is used up.
    Full,
}

/// What [`crate::Store::space`] tells.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Space {
    /// Bytes that can still be written on the file system.
    pub free: u64,
    /// Bytes that it has in all.
    pub total: u64,
    /// What that means for the log.
    pub state: SpaceState,
}

/// Watches one file system for one commitlog.
#[derive(Debug)]
pub(crate) struct SpaceWatch {
    file_size: u64,
    seen: Mutex<Space>,
    full: AtomicBool,
    /// A test says that there is no room, whatever the disk says.
    refused: AtomicBool,
}

impl SpaceWatch {
    /// For commitlog files of `file_size` bytes.
    pub(crate) fn new(file_size: u64) -> Self {
        Self {
            file_size,
            seen: Mutex::default(),
            full: AtomicBool::new(false),
            refused: AtomicBool::new(false),
        }
    }

    /// Whether there was no room for the next file when it was last tried, or records are refused.
    pub(crate) fn is_full(&self) -> bool {
        self.full.load(Ordering::Acquire) || self.is_refused()
    }

    /// Takes the disk for full from now on, for records at once; or no longer.
    pub(crate) fn refuse(&self, refused: bool) {
        self.refused.store(refused, Ordering::Release);
    }

    /// Whether records are refused although the file that is written to may have room.
    pub(crate) fn is_refused(&self) -> bool {
        self.refused.load(Ordering::Acquire)
    }

    /// Bytes at the end of a file that records leave to metadata while there is no next file.
    pub(crate) fn metadata_room(&self) -> u64 {
        self.file_size / METADATA_DIVISOR
    }

    /// # Errors
    /// `Full` when another file would leave less than one for copies of live batches and one, or less, for projections.
    pub(crate) fn check(&self, room: Room) -> Result<(), Error> {
        let kept = self.file_size + self.file_size.min(MOST_FOR_PROJECTIONS);
        if room.free >= self.file_size + kept {
            return Ok(());
        }
        let what =
            format!("{} bytes are free, a file has {} and {kept} are kept back", room.free, self.file_size);
        Err(Error::Full(what))
    }

    /// Takes note of `room`, and of whether the next file could be had where that was tried. Says so once when the state
    /// changes.
    pub(crate) fn note(&self, room: Room, next_file: Option<bool>) -> Space {
        let mut seen = self.seen.lock().expect("no panic under this lock");
        let full = next_file.map_or_else(|| self.full.load(Ordering::Acquire), |had| !had);
        let state = judge(seen.state, room, self.file_size, full || self.is_refused());
        let before = std::mem::replace(&mut *seen, Space { free: room.free, total: room.total, state });
        self.full.store(full, Ordering::Release);
        if before.state != state {
            tell(*seen);
        }
        *seen
    }

    /// As last noted.
    pub(crate) fn seen(&self) -> Space {
        *self.seen.lock().expect("no panic under this lock")
    }
}

/// The state after `before`. It takes a quarter more than too little to be enough again, so that it does not flutter.
fn judge(before: SpaceState, room: Room, file_size: u64, full: bool) -> SpaceState {
    let low = (room.total / LOW_DIVISOR).max(LOW_FILES * file_size);
    let enough = if before == SpaceState::Ok { low } else { low + low / 4 };
    if full {
        SpaceState::Full
    } else if room.free < enough {
        SpaceState::Low
    } else {
        SpaceState::Ok
    }
}

fn tell(Space { free, total, state }: Space) {
    match state {
        SpaceState::Ok => tracing::info!(free, total, "there is enough disk space again"),
        SpaceState::Low => {
            tracing::warn!(free, total, "disk space is low: delete records or topics, or add space")
        }
        SpaceState::Full => tracing::error!(
            free,
            total,
            "the disk is full: records are refused once the current commitlog file is used up, and taken again by \
             themselves when there is room; delete records or topics, or add space"
        ),
    }
}

#[cfg(test)]
mod tests {
    use super::SpaceState::{Full, Low, Ok};
    use super::*;

    const FILE: u64 = 1000;
    const TOTAL: u64 = 100_000;

    fn room(free: u64) -> Room {
        Room { free, total: TOTAL }
    }

    #[test]
    fn little_is_five_percent_or_four_files_whichever_is_more() {
        for (free, state) in [(5000, Ok), (4999, Low)] {
            assert_eq!(judge(Ok, room(free), FILE, false), state, "{free}");
        }
        for (free, state) in [(8000, Ok), (7999, Low)] {
            assert_eq!(judge(Ok, room(free), 2 * FILE, false), state, "{free}");
        }
    }

    #[test]
    fn state_leaves_low_with_a_quarter_more_only() {
        assert_eq!(judge(Low, room(6249), FILE, false), Low);
        assert_eq!(judge(Low, room(6250), FILE, false), Ok);
        assert_eq!(judge(Full, room(6249), FILE, false), Low);
    }

    #[test]
    fn full_is_when_the_next_file_could_not_be_had_until_it_can() {
        let watch = SpaceWatch::new(FILE);
        assert_eq!(watch.note(room(2500), None).state, Low);
        assert_eq!(watch.note(room(2500), Some(false)).state, Full);
        assert!(watch.is_full());
        // More room alone is not a file.
        assert_eq!(watch.note(room(90_000), None), Space { free: 90_000, total: TOTAL, state: Full });
        assert_eq!(watch.note(room(90_000), Some(true)).state, Ok);
        assert!(!watch.is_full());
    }

    #[test]
    fn file_of_records_is_refused_when_it_would_leave_less_than_two_more() {
        let watch = SpaceWatch::new(FILE);
        assert!(watch.check(room(3000)).is_ok());
        assert!(matches!(watch.check(room(2999)), Err(Error::Full(_))));
        let large = SpaceWatch::new(1 << 30);
        assert!(large.check(room((2 << 30) + MOST_FOR_PROJECTIONS)).is_ok());
    }
}
