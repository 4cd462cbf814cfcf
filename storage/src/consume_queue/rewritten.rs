//! Entries whose batches were copied to another place, and ranges that compaction replaced.
//!
//! Called by `rewrite` under the partition's lock. Invariant: a page that the last checkpoint may name is never
//! overwritten with other entries: changed pages get new numbers.

use super::extents::{ENTRIES_PER_PAGE, NO_PAGE};
use super::{ConsumeQueue, Entry, Extents, PageRef, Tail, entry};
use crate::error::Error;
use crate::position::{Offset, Position};

impl ConsumeQueue {
    /// Points entries at the places that `moved` gives for their base offsets (sorted by offset). `on` is told each
    /// changed entry, as it was and as it is.
    pub(crate) fn repoint(
        &mut self,
        (topic, partition): (u32, u32),
        moved: &[(Offset, Position)],
        extents: &Extents,
        mut on: impl FnMut(&Entry, &Entry),
    ) -> Result<(), Error> {
        let (Some(first), Some(last)) = (moved.first(), moved.last()) else { return Ok(()) };
        let start = self.pages.partition_point(|page| page.first_offset <= first.0).saturating_sub(1);
        for index in start..self.pages.len() {
            let page = self.pages[index];
            if page.first_offset > last.0 {
                return Ok(());
            }
            let mut entries = extents.read_sealed(&page)?;
            if repoint_entries(&mut entries, moved, &mut on) {
                let number = extents.allocate();
                extents.put(number, entry::encode_page(topic, partition, &entries));
                extents.relieve();
                extents.free([page.number]);
                self.pages[index].number = number;
            }
        }
        let tail = self.load_tail(extents)?;
        if repoint_entries(tail, moved, &mut on) {
            self.tail_changed(extents);
        }
        Ok(())
    }

    /// Puts `entries` in the place of all that begin below `upto`. `gone` is told each entry that was there.
    pub(crate) fn replace_below(
        &mut self,
        (topic, partition): (u32, u32),
        upto: Offset,
        entries: Vec<Entry>,
        extents: &Extents,
        mut gone: impl FnMut(&Entry),
    ) -> Result<(), Error> {
        let cut = self.pages.partition_point(|page| page.first_offset < upto);
        let mut kept = Vec::new();
        for page in &self.pages[..cut] {
            for entry in extents.read_sealed(page)? {
                if entry.base_offset < upto { gone(&entry) } else { kept.push(entry) }
            }
        }
        let reaches_tail = cut == self.pages.len();
        if reaches_tail {
            let tail = self.load_tail(extents)?;
            let from = tail.partition_point(|entry| entry.base_offset < upto);
            tail[..from].iter().for_each(&mut gone);
            kept.extend(tail.drain(from..));
        }
        let mut replaced = entries;
        replaced.append(&mut kept);
        let mut running_max = -1;
        for entry in &mut replaced {
            running_max = entry.max_timestamp.max(running_max);
            entry.running_max = running_max;
        }
        let in_pages = if reaches_tail { full_pages(replaced.len()) } else { replaced.len() };
        let pages = replaced[..in_pages].chunks(ENTRIES_PER_PAGE).map(|entries| {
            let number = extents.allocate();
            extents.put(number, entry::encode_page(topic, partition, entries));
            PageRef::of(number, entries)
        });
        let pages: Vec<PageRef> = pages.collect();
        extents.free(self.pages.splice(..cut, pages).map(|page| page.number));
        if reaches_tail {
            self.tail = Tail::Loaded(replaced.split_off(in_pages));
            self.tail_changed(extents);
        }
        extents.relieve();
        Ok(())
    }

    /// The tail's page, if it has one, holds other entries than the tail now.
    fn tail_changed(&mut self, extents: &Extents) {
        self.dirty = true;
        if self.tail_page != NO_PAGE {
            extents.free([self.tail_page]);
            self.tail_page = NO_PAGE;
        }
    }
}

impl PageRef {
    /// The reference to a page of these entries, of which there is at least one.
    pub(super) fn of(number: u32, entries: &[Entry]) -> Self {
        Self {
            number,
            first_offset: entries[0].base_offset,
            max_timestamp: entries.iter().map(|entry| entry.max_timestamp).max().unwrap_or(-1),
            running_max: entries.last().map_or(-1, |entry| entry.running_max),
        }
    }
}

/// How many of `count` entries fill whole pages and leave some for the tail.
fn full_pages(count: usize) -> usize {
    count / ENTRIES_PER_PAGE * ENTRIES_PER_PAGE
}

fn repoint_entries(
    entries: &mut [Entry],
    moved: &[(Offset, Position)],
    on: &mut impl FnMut(&Entry, &Entry),
) -> bool {
    let mut changed = false;
    for entry in entries {
        let Ok(found) = moved.binary_search_by_key(&entry.base_offset, |(offset, _)| *offset) else {
            continue;
        };
        let before = *entry;
        *entry = entry.at(moved[found].1);
        if *entry != before {
            on(&before, entry);
            changed = true;
        }
    }
    changed
}
