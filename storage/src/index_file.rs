//! Index files: what one sealed commitlog file holds, by partition and by key (`docs/STORAGE_FORMAT.md` §10).
//!
//! Made in the background by [`IndexFiles`], one per sealed file; read by `find`, by retention accounting and by `inspect`.
//! Everything in them can be made again from the commitlog. Invariants: an index file describes one use of one commitlog
//! file, which was on stable storage as a whole before; one that is damaged is never believed, but removed and made anew.

mod builder;
mod files;
mod key_table;
mod page;
mod partition_table;
mod records;

use std::path::{Path, PathBuf};
use std::sync::Arc;

use bytes::Bytes;

use crate::decode::{DecodeError, Reader};
use crate::disk::{Disk, DiskFile};
use crate::error::Error;
use crate::mapped_file::MappedFile;
use crate::position::{Offset, Position};

pub(crate) use files::{IndexFiles, catch_up, run, wants_keys};
pub(crate) use key_table::key_hash;
pub(crate) use partition_table::PartitionRow;
pub(crate) use records::{BatchRecord, each_record};

pub(crate) use page::PAGE_LEN;
use page::{pages_for, read_page};
use partition_table::ROW_LEN;

/// "OLIX" and format version 1.
const MAGIC: u64 = 0x4f4c_4958_0000_0001;
/// Length of an entry of the block directory: the block's first hash.
const DIRECTORY_ENTRY_LEN: usize = 8;
/// Header fields before the runs.
const FIXED_LEN: usize = 52;
/// Runs that the header page has room for.
const MAX_RUNS: usize = (page::ROOM - FIXED_LEN) / 4;

/// What the first page of an index file says.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Header {
    /// First position of the commitlog file described.
    base: Position,
    /// Its length, bytes.
    length: u64,
    incarnation: u32,
    /// When the index file was made, ms.
    created_ms: i64,
    /// Rows of the partition table.
    rows: u32,
    /// Entries of the key table.
    keys: u64,
    /// Blocks of each run of the key table.
    runs: Vec<u32>,
}

impl Header {
    fn encode(&self) -> Vec<u8> {
        let mut out = Vec::with_capacity(page::ROOM);
        out.extend_from_slice(&MAGIC.to_be_bytes());
        out.extend_from_slice(&self.base.0.to_be_bytes());
        out.extend_from_slice(&self.length.to_be_bytes());
        out.extend_from_slice(&self.incarnation.to_be_bytes());
        out.extend_from_slice(&self.created_ms.to_be_bytes());
        out.extend_from_slice(&self.rows.to_be_bytes());
        out.extend_from_slice(&self.keys.to_be_bytes());
        out.extend_from_slice(&u32::try_from(self.runs.len()).expect("at most MAX_RUNS").to_be_bytes());
        self.runs.iter().for_each(|blocks| out.extend_from_slice(&blocks.to_be_bytes()));
        out
    }

    /// `None` when it is of another kind or version.
    fn decode(content: &[u8]) -> Result<Option<Self>, DecodeError> {
        let mut reader = Reader::new(content);
        if reader.u64()? != MAGIC {
            return Ok(None);
        }
        let (base, length, incarnation) = (Position(reader.u64()?), reader.u64()?, reader.u32()?);
        let (created_ms, rows, keys) = (reader.i64()?, reader.u32()?, reader.u64()?);
        let runs = reader.length()?.min(MAX_RUNS);
        let runs = (0..runs).map(|_| reader.u32()).collect::<Result<_, _>>()?;
        Ok(Some(Self { base, length, incarnation, created_ms, rows, keys, runs }))
    }

    fn blocks(&self) -> u64 {
        self.runs.iter().map(|blocks| u64::from(*blocks)).sum()
    }

    /// First page of the block directory; the partition table begins at page 1.
    fn directory_at(&self) -> u64 {
        1 + pages_for(u64::from(self.rows), ROW_LEN)
    }

    /// First page of the key blocks.
    fn blocks_at(&self) -> u64 {
        self.directory_at() + pages_for(self.blocks(), DIRECTORY_ENTRY_LEN)
    }

    /// Length of the whole index file, bytes.
    fn file_len(&self) -> u64 {
        (self.blocks_at() + self.blocks()) * PAGE_LEN as u64
    }
}

/// An open index file.
#[derive(Debug)]
pub(crate) struct IndexFile {
    path: PathBuf,
    header: Header,
    file: Arc<dyn DiskFile>,
}

/// The rows of one topic: neighbours in the partition table.
#[derive(Debug, Default)]
pub(crate) struct TopicRows {
    /// Row number of the first.
    first: u32,
    pub(crate) rows: Vec<PartitionRow>,
}

impl TopicRows {
    /// Whether every record of the topic in that file can be found by its key.
    pub(crate) fn have_keys(&self) -> bool {
        self.rows.iter().all(|row| row.has_keys)
    }
}

impl IndexFile {
    /// Reads the header only.
    ///
    /// # Errors
    /// `Io`; `Corrupt` when it is no whole index file.
    pub(crate) fn open(disk: &dyn Disk, path: &Path) -> Result<Self, Error> {
        let file = disk.open(path).map_err(|error| Error::io("open", path, error))?;
        let corrupt = |what: String| damaged(path, 0, Position::default(), what);
        let content = read_page(&*file, 0).map_err(corrupt)?;
        let header = Header::decode(&content)
            .map_err(|error| corrupt(error.to_string()))?
            .ok_or_else(|| corrupt("no index file of version 1".to_owned()))?;
        if header.file_len() != file.len() {
            return Err(corrupt(format!("{} bytes, expected {}", file.len(), header.file_len())));
        }
        Ok(Self { path: path.to_owned(), header, file })
    }

    /// Whether it was made of `file` in its present use.
    pub(crate) fn describes(&self, file: &MappedFile) -> bool {
        self.header.base == file.base()
            && self.header.incarnation == file.incarnation()
            && self.header.length == file.len()
    }

    /// Records that can be found by key.
    pub(crate) fn keys(&self) -> u64 {
        self.header.keys
    }

    /// Bytes on disk.
    pub(crate) fn len(&self) -> u64 {
        self.file.len()
    }

    /// Every partition that has batches in the file, sorted by topic number and partition.
    ///
    /// # Errors
    /// `Corrupt`, `Io`.
    #[cfg(test)]
    pub(crate) fn partition_table(&self) -> Result<Vec<PartitionRow>, Error> {
        (0..self.header.rows).map(|row| self.row(row)).collect()
    }

    /// The rows of one topic.
    ///
    /// # Errors
    /// `Corrupt`, `Io`.
    pub(crate) fn rows_of(&self, topic: u32) -> Result<TopicRows, Error> {
        let (mut first, mut end) = (0, self.header.rows);
        while first < end {
            let middle = first + (end - first) / 2;
            if self.row(middle)?.topic < topic { first = middle + 1 } else { end = middle }
        }
        let mut rows = Vec::new();
        for row in first..self.header.rows {
            let row = self.row(row)?;
            if row.topic != topic {
                break;
            }
            rows.push(row);
        }
        Ok(TopicRows { first, rows })
    }

    /// Shows `visit` partition and offset of each record whose key has `hash`, as [`key_hash`] gives it for the topic
    /// of `rows`, in no order. Another key may have the same hash: what is found has to be compared.
    ///
    /// # Errors
    /// `Corrupt`, `Io`.
    pub(crate) fn look_up(
        &self,
        rows: &TopicRows,
        hash: u64,
        mut visit: impl FnMut(u32, Offset),
    ) -> Result<(), Error> {
        let mut run_start = 0;
        for blocks in &self.header.runs {
            let run_end = run_start + u64::from(*blocks);
            for block in self.first_block(run_start, run_end, hash)?..run_end {
                let page = self.header.blocks_at() + block;
                let content = self.page(page)?;
                let found = |row: u32, offset: u64| {
                    let row =
                        row.checked_sub(rows.first).and_then(|row| rows.rows.get(usize::try_from(row).ok()?));
                    if let (Some(row), Ok(offset)) = (row, i64::try_from(offset)) {
                        visit(row.partition, row.first_offset.saturating_add(offset));
                    }
                };
                let more = key_table::search_block(&content, hash, found);
                if !more.map_err(|what| self.damaged(page, what.to_owned()))? {
                    break;
                }
            }
            run_start = run_end;
        }
        Ok(())
    }

    /// The last block of the run that begins with a smaller hash: `hash` cannot be in an earlier one.
    fn first_block(&self, run_start: u64, run_end: u64, hash: u64) -> Result<u64, Error> {
        let (mut first, mut end) = (run_start, run_end);
        while first < end {
            let middle = first + (end - first) / 2;
            let begins = u64::from_be_bytes(self.item(self.header.directory_at(), middle)?);
            if begins < hash { first = middle + 1 } else { end = middle }
        }
        Ok(first.saturating_sub(1).max(run_start))
    }

    fn row(&self, number: u32) -> Result<PartitionRow, Error> {
        self.item(1, u64::from(number)).map(|bytes| PartitionRow::decode(&bytes))
    }

    /// Item `index` of the items of `N` bytes that begin at page `first_page`.
    fn item<const N: usize>(&self, first_page: u64, index: u64) -> Result<[u8; N], Error> {
        let per_page = (page::ROOM / N) as u64;
        let content = self.page(first_page + index / per_page)?;
        let at = usize::try_from(index % per_page).expect("less than a page's items") * N;
        Ok(content[at..at + N].try_into().expect("N bytes"))
    }

    /// What a page holds.
    ///
    /// # Errors
    /// `Corrupt`, `Io`.
    pub(crate) fn page(&self, number: u64) -> Result<Bytes, Error> {
        read_page(&*self.file, number).map_err(|what| self.damaged(number, what))
    }

    fn damaged(&self, page: u64, what: String) -> Error {
        damaged(&self.path, page * PAGE_LEN as u64, self.header.base, what)
    }
}

fn damaged(path: &Path, at: u64, position: Position, what: String) -> Error {
    Error::Corrupt { file: path.to_owned(), at, position, what }
}

#[cfg(test)]
mod tests;
