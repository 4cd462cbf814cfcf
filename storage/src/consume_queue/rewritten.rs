//! Entries whose batches were copied to another place, and ranges that compaction replaced.
//!
//! Called by `partition_log` under its lock, a few pages at a time; between two calls the queue is whole. Invariant: a page that the last checkpoint may name is never
//! overwritten with other entries: changed pages get new numbers.

use std::ops::Range;

use super::extents::{ENTRIES_PER_PAGE, NO_PAGE};
use super::{ConsumeQueue, Entry, Extents, PageRef, Tail, entry};
use crate::error::Error;
use crate::position::{Offset, Position};

impl ConsumeQueue {
    /// Points entries at the places that `moved` gives for their base offsets (sorted by offset), in no more than `pages`
    /// pages. `on` is told each changed entry, as it was and as it is. Returns how many of `moved` are done.
    pub(crate) fn repoint(
        &mut self,
        numbers: (u32, u32),
        moved: &[(Offset, Position)],
        pages: usize,
        extents: &Extents,
        mut on: impl FnMut(&Entry, &Entry),
    ) -> Result<usize, Error> {
        let mut done = 0;
        for _ in 0..pages {
            let rest = &moved[done..];
            let Some((first, _)) = rest.first() else { return Ok(done) };
            let index = self.pages.partition_point(|page| page.first_offset <= *first).saturating_sub(1);
            let next = self.pages.get(index + 1).map(|next| next.first_offset);
            let count = next.map_or(rest.len(), |next| rest.partition_point(|(offset, _)| *offset < next));
            self.repoint_page(index, numbers, &rest[..count], extents, &mut on)?;
            if next.is_none() {
                let tail = self.load_tail(extents)?;
                if repoint_entries(tail, rest, &mut on) {
                    self.tail_changed(extents);
                }
            }
            done += count;
        }
        Ok(done)
    }

    fn repoint_page(
        &mut self,
        index: usize,
        (topic, partition): (u32, u32),
        moved: &[(Offset, Position)],
        extents: &Extents,
        on: &mut impl FnMut(&Entry, &Entry),
    ) -> Result<(), Error> {
        let Some(page) = self.pages.get_mut(index) else { return Ok(()) };
        let mut entries = extents.read_sealed(page)?;
        if repoint_entries(&mut entries, moved, on) {
            let number = extents.allocate();
            extents.put(number, entry::encode_page(topic, partition, &entries));
            extents.free([page.number]);
            page.number = number;
        }
        Ok(())
    }

    /// Where the page begins that is `count` pages behind the one that holds `from`; `None` behind the last.
    pub(crate) fn pages_on(&self, from: Offset, count: usize) -> Option<Offset> {
        let index = self.pages.partition_point(|page| page.first_offset <= from).saturating_sub(1);
        self.pages.get(index + count).map(|page| page.first_offset)
    }

    /// Puts `entries` in the place of all that begin in `range`. `gone` is told each entry that was there.
    pub(crate) fn replace(
        &mut self,
        (topic, partition): (u32, u32),
        range: &Range<Offset>,
        entries: &[Entry],
        extents: &Extents,
        mut gone: impl FnMut(&Entry),
    ) -> Result<(), Error> {
        let first = self.pages.partition_point(|page| page.first_offset < range.start).saturating_sub(1);
        let cut = self.pages.partition_point(|page| page.first_offset < range.end).max(first);
        let reaches_tail = cut == self.pages.len();
        let (mut start, mut before) = (first, Vec::new());
        for index in first..cut {
            let entries = extents.read_sealed(&self.pages[index])?;
            // The page before the range takes part when it has room.
            let is_full = entries.len() == ENTRIES_PER_PAGE;
            if is_full && entries.last().is_some_and(|last| last.base_offset < range.start) {
                start = index + 1;
            } else {
                before.extend(entries);
            }
        }
        if reaches_tail {
            before.append(self.load_tail(extents)?);
        }
        let from = before.partition_point(|entry| entry.base_offset < range.start);
        let upto = before.partition_point(|entry| entry.base_offset < range.end);
        let mut replaced = before;
        replaced.splice(from..upto, entries.iter().copied()).for_each(|entry| gone(&entry));
        let mut running_max = start.checked_sub(1).map_or(-1, |index| self.pages[index].running_max);
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
        extents.free(self.pages.splice(start..cut, pages).map(|page| page.number));
        if reaches_tail {
            self.tail = Tail::Loaded(replaced.split_off(in_pages));
            self.tail_changed(extents);
        }
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
