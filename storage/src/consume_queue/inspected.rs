//! Queue pages as `inspect` looks at them: every slot judged, nothing taken for the end of a page that is not zero.
//!
//! Pure but for the lookup of a page's place.

use std::path::PathBuf;

use super::entry::{ENTRY_LEN, PAGE_HEADER_LEN, PAGE_MAGIC};
use super::extents::{NO_PAGE, PAGE_LEN};
use super::{Entry, Extents, PageRef, QueueDirectory};
use crate::position::Offset;

/// A page that the snapshot names.
#[derive(Debug, Clone, Copy)]
pub(crate) struct NamedPage {
    pub(crate) number: u32,
    /// First offset behind the page, where the next page says so.
    pub(crate) upto: Option<Offset>,
    expected: Expected,
}

#[derive(Debug, Clone, Copy)]
enum Expected {
    Sealed(PageRef),
    Tail(u8),
}

impl QueueDirectory {
    /// All pages in offset order, the tail page last.
    pub(crate) fn named_pages(&self) -> Vec<NamedPage> {
        let sealed = self.pages.iter().enumerate().map(|(index, page)| NamedPage {
            number: page.number,
            upto: self.pages.get(index + 1).map(|next| next.first_offset),
            expected: Expected::Sealed(*page),
        });
        let tail = NamedPage { number: self.tail_page, upto: None, expected: Expected::Tail(self.tail_len) };
        sealed.chain((self.tail_page != NO_PAGE && self.tail_len > 0).then_some(tail)).collect()
    }
}

impl NamedPage {
    /// First offset of the page, when the snapshot says it.
    pub(crate) fn first_offset(&self) -> Option<Offset> {
        match self.expected {
            Expected::Sealed(page) => Some(page.first_offset),
            Expected::Tail(_) => None,
        }
    }

    /// The page's entries as the snapshot knew them.
    ///
    /// # Errors
    /// The byte in the page where it is bad, and what is.
    pub(crate) fn entries(
        &self,
        page: &[u8],
        topic: u32,
        partition: u32,
    ) -> Result<Vec<Entry>, (usize, String)> {
        let header = [PAGE_MAGIC, topic, partition, 0].map(u32::to_be_bytes).concat();
        if page.get(..PAGE_HEADER_LEN) != Some(&header[..]) {
            return Err((0, format!("no consume queue page of topic number {topic} partition {partition}")));
        }
        let mut entries = Vec::new();
        for (index, slot) in page[PAGE_HEADER_LEN..].chunks_exact(ENTRY_LEN).enumerate() {
            let at = PAGE_HEADER_LEN + index * ENTRY_LEN;
            if let Expected::Tail(len) = self.expected
                && index == usize::from(len)
            {
                break;
            }
            match Entry::decode(slot) {
                Some(entry) => entries.push(entry),
                None if slot.iter().all(|byte| *byte == 0) => break,
                None => return Err((at, "a consume queue entry's CRC does not match".to_owned())),
            }
        }
        let behind = PAGE_HEADER_LEN + entries.len() * ENTRY_LEN;
        match self.expected {
            Expected::Tail(len) if entries.len() < usize::from(len) => {
                Err((behind, format!("{} entries, the snapshot says {len}", entries.len())))
            }
            Expected::Sealed(named) if entries.is_empty() || PageRef::of(self.number, &entries) != named => {
                Err((behind, "the entries are not those that the snapshot speaks of".to_owned()))
            }
            Expected::Tail(_) | Expected::Sealed(_) => Ok(entries),
        }
    }
}

impl Extents {
    /// Which file a page is in, at which byte, and how long it is.
    pub(crate) fn place(&self, number: u32) -> (PathBuf, u64, usize) {
        (self.path(self.file_of(number)), self.byte_offset(number), PAGE_LEN)
    }
}
