//! Visiting entries without waiting for a device.
//!
//! Called by `read`, which holds the partition's lock meanwhile: whoever appends to the partition must not wait for a page
//! that somebody wants to read.

use super::{ConsumeQueue, Entry, Extents, PageRef, Tail};
use crate::error::Error;
use crate::position::Offset;

impl ConsumeQueue {
    /// As `visit_from`, but stops before the first page that is not in memory and returns its number;
    /// [`Extents::fetch`] brings it there, and the page that was `fetched` is not doubted again.
    pub(crate) fn visit_resident(
        &mut self,
        from: Offset,
        extents: &Extents,
        fetched: Option<u32>,
        mut visit: impl FnMut(&Entry) -> bool,
    ) -> Result<Option<u32>, Error> {
        let missing = |number| Ok::<_, Error>(fetched != Some(number) && !extents.is_resident(number)?);
        let first = match &self.tail {
            Tail::Loaded(entries) if entries.first().is_some_and(|first| first.base_offset <= from) => {
                self.pages.len()
            }
            _ => self.pages.partition_point(|page| page.first_offset <= from).saturating_sub(1),
        };
        for page in &self.pages[first..] {
            if missing(page.number)? {
                return Ok(Some(page.number));
            }
            let entries = extents.read_sealed(page)?;
            let start = entries.partition_point(|entry| entry.last_offset() < from);
            if !entries[start..].iter().all(&mut visit) {
                return Ok(None);
            }
        }
        if matches!(self.tail, Tail::OnDisk(_)) && missing(self.tail_page)? {
            return Ok(Some(self.tail_page));
        }
        let tail = self.load_tail(extents)?;
        let start = tail.partition_point(|entry| entry.last_offset() < from);
        let _ended_early = !tail[start..].iter().all(visit);
        Ok(None)
    }
}

impl PageRef {
    /// Whether these entries are the page's own, as far as it remembers them.
    pub(super) fn is_of(&self, entries: &[Entry]) -> bool {
        let (Some(first), Some(last)) = (entries.first(), entries.last()) else { return false };
        (first.base_offset, last.running_max) == (self.first_offset, self.running_max)
    }
}
