//! Which frames belong to one group, as a walk meets them. Pure.
//!
//! Called by `survey`. Rewrite files have no groups.

use crate::frame::FrameHeader;
use crate::position::Position;

/// The group of frames that a walk is in.
#[derive(Debug, Default)]
pub(super) struct Groups {
    /// Its start and how many frames follow.
    open: Option<(Position, u16)>,
    /// A bad place was passed: frames of the group it broke may follow.
    broken: bool,
}

impl Groups {
    /// Returns where a group starts that this frame shows not to be complete.
    pub(super) fn take(&mut self, header: &FrameHeader) -> Option<Position> {
        let next = |(_, left): (Position, u16)| left.checked_sub(1) == Some(header.remainder);
        let follows = self.open.is_some_and(next) && !header.first;
        let incomplete = match self.open {
            Some((start, _)) if !follows => Some(start),
            None if !header.first && !self.broken => Some(header.position),
            _ => None,
        };
        let start = self.open.filter(|_| follows).map_or(header.position, |(start, _)| start);
        self.open = ((header.first || follows) && header.remainder > 0).then_some((start, header.remainder));
        self.broken &= !header.first;
        incomplete
    }

    /// A bad place was met; returns where the group that it breaks starts.
    pub(super) fn break_off(&mut self) -> Option<Position> {
        self.broken = true;
        self.open.take().map(|(start, _)| start)
    }

    /// Where a group starts of which not all frames came.
    pub(super) fn incomplete(&self) -> Option<Position> {
        self.open.map(|(start, _)| start)
    }
}
