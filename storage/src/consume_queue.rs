//! The consume queue: one 48-byte entry per batch, base offset to commitlog position, for one partition.
//!
//! A value inside `PartitionLog`. Full pages of 85 entries live in shared extent files ([`Extents`]), the growing last
//! page in memory. Invariants: base offsets increase strictly; the running maximum never decreases; every entry is
//! derived from the frame it points at.

mod entry;
mod extents;
mod inspected;
mod resident;
mod rewritten;

use std::ops::Range;

use crate::error::Error;
use crate::position::Offset;

pub(crate) use entry::Entry;
use extents::{ENTRIES_PER_PAGE, NO_PAGE};
pub(crate) use extents::{Extents, PAGE_LEN};
pub(crate) use inspected::NamedPage;

/// A full page in an extent file, with what searches need to know without reading it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct PageRef {
    pub(crate) number: u32,
    pub(crate) first_offset: Offset,
    /// Greatest timestamp of the page's own batches, ms.
    pub(crate) max_timestamp: i64,
    /// Greatest timestamp from the queue's first entry ever to this page's last, ms.
    pub(crate) running_max: i64,
}

/// The queue of one partition.
#[derive(Debug, Clone)]
pub(crate) struct ConsumeQueue {
    pages: Vec<PageRef>,
    tail: Tail,
    /// Where the tail page was last written, `NO_PAGE` when never.
    tail_page: u32,
    /// The tail has entries that no extent file holds.
    dirty: bool,
    /// Nothing was pushed since the last checkpoint.
    idle: bool,
    running_max: i64,
}

/// The last, partly filled page.
#[derive(Debug, Clone, PartialEq, Eq)]
enum Tail {
    /// So many entries in the extent page `tail_page`; not read yet.
    OnDisk(u8),
    Loaded(Vec<Entry>),
}

impl Default for ConsumeQueue {
    fn default() -> Self {
        Self {
            pages: Vec::new(),
            tail: Tail::Loaded(Vec::new()),
            tail_page: NO_PAGE,
            dirty: false,
            idle: false,
            running_max: -1,
        }
    }
}

/// What the snapshot keeps of a queue.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct QueueDirectory {
    pub(crate) pages: Vec<PageRef>,
    pub(crate) tail_page: u32,
    pub(crate) tail_len: u8,
    pub(crate) running_max: i64,
}

impl ConsumeQueue {
    /// As a checkpoint left it; the tail is read on first use.
    pub(crate) fn from_directory(directory: QueueDirectory) -> Self {
        let tail =
            if directory.tail_len == 0 { Tail::Loaded(Vec::new()) } else { Tail::OnDisk(directory.tail_len) };
        Self {
            pages: directory.pages,
            tail,
            tail_page: directory.tail_page,
            dirty: false,
            idle: true,
            running_max: directory.running_max,
        }
    }

    /// For the snapshot. Valid once the page of [`ConsumeQueue::save_tail`] is in its extent file.
    pub(crate) fn directory(&self) -> QueueDirectory {
        let tail_len = match &self.tail {
            Tail::OnDisk(len) => *len,
            Tail::Loaded(entries) => u8::try_from(entries.len()).expect("a page has 85 entries"),
        };
        QueueDirectory {
            pages: self.pages.clone(),
            tail_page: self.tail_page,
            tail_len,
            running_max: self.running_max,
        }
    }

    /// Hands the tail page to the background writer when it changed since the last time, for a snapshot to name it.
    pub(crate) fn save_tail(&mut self, topic: u32, partition: u32, extents: &Extents) {
        let Tail::Loaded(entries) = &self.tail else { return };
        if !self.dirty || entries.is_empty() {
            return;
        }
        if self.tail_page == NO_PAGE {
            self.tail_page = extents.allocate();
        }
        self.dirty = false;
        extents.put(self.tail_page, entry::encode_page(topic, partition, entries));
    }

    /// Adds the entry of a batch just appended or replayed; its running maximum is filled in here.
    pub(crate) fn push(
        &mut self,
        mut entry: Entry,
        topic: u32,
        partition: u32,
        extents: &Extents,
    ) -> Result<(), Error> {
        self.running_max = self.running_max.max(entry.max_timestamp);
        entry.running_max = self.running_max;
        let tail = self.load_tail(extents)?;
        tail.push(entry);
        let full = tail.len() == ENTRIES_PER_PAGE;
        self.dirty = true;
        self.idle = false;
        if full {
            self.seal_tail(topic, partition, extents);
        }
        Ok(())
    }

    /// Drops the tail from memory when nothing was pushed since it was saved; the next use reads it again.
    pub(crate) fn release_idle_tail(&mut self) {
        if let Tail::Loaded(entries) = &self.tail
            && self.idle
            && !entries.is_empty()
        {
            self.tail = Tail::OnDisk(u8::try_from(entries.len()).expect("a page has 85 entries"));
        }
        self.idle = true;
    }

    /// Reads the tail if it is not in memory.
    pub(crate) fn warm(&mut self, extents: &Extents) -> Result<(), Error> {
        self.load_tail(extents).map(drop)
    }

    fn seal_tail(&mut self, topic: u32, partition: u32, extents: &Extents) {
        let Tail::Loaded(entries) = &mut self.tail else { return };
        let number = if self.tail_page == NO_PAGE { extents.allocate() } else { self.tail_page };
        let page = PageRef::of(number, entries);
        extents.put(number, entry::encode_page(topic, partition, entries));
        extents.relieve();
        entries.clear();
        self.pages.push(page);
        self.tail_page = NO_PAGE;
        self.dirty = false;
    }

    fn load_tail(&mut self, extents: &Extents) -> Result<&mut Vec<Entry>, Error> {
        if let Tail::OnDisk(len) = self.tail {
            let mut entries = extents.read(self.tail_page)?;
            entries.truncate(usize::from(len));
            if entries.len() < usize::from(len) {
                return Err(extents.damaged(self.tail_page, "fewer entries than the checkpoint says"));
            }
            self.tail = Tail::Loaded(entries);
        }
        match &mut self.tail {
            Tail::Loaded(entries) => Ok(entries),
            Tail::OnDisk(_) => unreachable!("loaded above"),
        }
    }

    /// Calls `visit` with entries in offset order, beginning with the one that holds `from` (or the next one after a
    /// gap), until it returns false.
    pub(crate) fn visit_from(
        &mut self,
        from: Offset,
        extents: &Extents,
        mut visit: impl FnMut(&Entry) -> bool,
    ) -> Result<(), Error> {
        let after = self.pages.partition_point(|page| page.first_offset <= from);
        for index in after.saturating_sub(1)..self.pages.len() {
            let entries = extents.read_sealed(&self.pages[index])?;
            let start = entries.partition_point(|entry| entry.last_offset() < from);
            if !entries[start..].iter().all(&mut visit) {
                return Ok(());
            }
        }
        let tail = self.load_tail(extents)?;
        let start = tail.partition_point(|entry| entry.last_offset() < from);
        let _ended_early = !tail[start..].iter().all(visit);
        Ok(())
    }

    /// The first offset, not below `from`, at which a batch with `max_timestamp >= timestamp` may start, judged page by
    /// page; `None` when no page can hold one.
    pub(crate) fn first_page_reaching(&self, timestamp: i64, from: Offset) -> Option<Offset> {
        let start = self.pages.partition_point(|page| page.first_offset <= from).saturating_sub(1);
        let pages = &self.pages[start..];
        // The running maximum is monotone and no page's own maximum is greater. Where it counts batches that are trimmed by
        // now, the first pages that it names need not reach `timestamp` themselves.
        let named = pages.partition_point(|page| page.running_max < timestamp);
        match pages[named..].iter().find(|page| page.max_timestamp >= timestamp) {
            Some(page) => Some(page.first_offset.max(from)),
            None if self.running_max < timestamp => None,
            None => Some(self.tail_offset(from)),
        }
    }

    /// Ranges of offsets, in order, one of which holds the first batch with the greatest timestamp between `log_start` and
    /// `limit`: of the pages that lie wholly between them only the first with the greatest timestamp is worth a look.
    pub(crate) fn ranges_with_greatest(&self, log_start: Offset, limit: Offset) -> Vec<Range<Offset>> {
        let first = self.pages.partition_point(|page| page.first_offset <= log_start).saturating_sub(1);
        let pages = &self.pages[first..];
        let mut ranges: Vec<Range<Offset>> = Vec::new();
        let mut best: Option<(i64, Range<Offset>)> = None;
        for (index, page) in pages.iter().enumerate().take_while(|(_, page)| page.first_offset < limit) {
            match pages.get(index + 1).map(|next| next.first_offset) {
                Some(end) if page.first_offset >= log_start && end <= limit => {
                    if best.as_ref().is_none_or(|(greatest, _)| page.max_timestamp > *greatest) {
                        best = Some((page.max_timestamp, page.first_offset..end));
                    }
                }
                end => ranges.push(page.first_offset.max(log_start)..end.unwrap_or(limit).min(limit)),
            }
        }
        if pages.is_empty() {
            ranges.push(log_start..limit);
        }
        ranges.extend(best.map(|(_, range)| range));
        ranges.sort_by_key(|range| range.start);
        ranges
    }

    /// An offset from which `visit_from` visits the tail page only (or nothing).
    fn tail_offset(&self, log_start: Offset) -> Offset {
        match (&self.tail, self.pages.last()) {
            (Tail::Loaded(entries), _) if !entries.is_empty() => entries[0].base_offset.max(log_start),
            (_, Some(last)) => last.first_offset.max(log_start),
            _ => log_start,
        }
    }

    /// Drops full pages that lie wholly below `log_start` and gives their numbers back.
    pub(crate) fn truncate_front(&mut self, log_start: Offset, extents: &Extents) {
        let keep_from = self.pages.partition_point(|page| page.first_offset <= log_start).saturating_sub(1);
        extents.free(self.pages.drain(..keep_from).map(|page| page.number));
    }

    /// Gives all pages back: the partition is gone.
    pub(crate) fn clear(&mut self, extents: &Extents) {
        extents.free(self.pages.drain(..).map(|page| page.number));
        if self.tail_page != NO_PAGE {
            extents.free([self.tail_page]);
        }
        *self = Self::default();
    }

    /// Pages in use, for the free list at start.
    pub(crate) fn page_numbers(&self) -> impl Iterator<Item = u32> + '_ {
        let tail = (self.tail_page != NO_PAGE).then_some(self.tail_page);
        self.pages.iter().map(|page| page.number).chain(tail)
    }
}
