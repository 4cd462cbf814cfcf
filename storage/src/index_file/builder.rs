//! Making the index file of one sealed commitlog file.
//!
//! Called by [`super::IndexFiles`] in the background, one at a time. The file is walked twice: once for the partition
//! table, and once for the keys of topics that ask for it. Invariants: memory is bounded by one run of keys and one batch;
//! the index file gets its name when it is whole and on stable storage.

use std::collections::BTreeMap;
use std::io::{self, IoSlice};
use std::ops::ControlFlow;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use super::key_table::{EncodedRun, KeyEntry, RUN_ENTRIES, encode_run, key_hash};
use super::page::{PAGE_LEN, put_items, put_page};
use super::{Header, IndexFile, MAX_RUNS, PartitionRow, each_record};
use crate::disk::{Disk, DiskFile};
use crate::error::Error;
use crate::frame::{FrameHeader, FrameKind, payload_at};
use crate::frame_walk::each_frame;
use crate::mapped_file::MappedFile;
use crate::position::Position;

/// Bytes moved at once from a run's own file to the index file.
const COPY_LEN: usize = 1024 * 1024;

/// What an index file is made of, and how.
pub(super) struct Build<'a> {
    pub(super) disk: &'a dyn Disk,
    /// Where index files are.
    pub(super) dir: &'a Path,
    /// The name it will have.
    pub(super) name: String,
    pub(super) created_ms: i64,
    pub(super) file: &'a MappedFile,
    /// Whether the keys of a topic, by its number, are to be found.
    pub(super) wants_keys: &'a dyn Fn(u32) -> bool,
    /// Asked often; true ends the work.
    pub(super) stopped: &'a dyn Fn() -> bool,
}

/// Blocks of a run, in a file of their own until the size of the index file is known.
struct SpilledRun {
    path: PathBuf,
    file: Arc<dyn DiskFile>,
    first_hashes: Vec<u64>,
}

impl Build<'_> {
    /// Makes the index file.
    ///
    /// # Errors
    /// `Corrupt` when the commitlog file is damaged, `Io`, `Closed` when it was stopped.
    pub(super) fn run(&self) -> Result<IndexFile, Error> {
        let rows = self.partition_rows()?;
        let (keys, runs) = self.key_runs(&rows)?;
        let header = Header {
            base: self.file.base(),
            length: self.file.len(),
            incarnation: self.file.incarnation(),
            created_ms: self.created_ms,
            rows: u32::try_from(rows.len()).expect("a file of 4 GiB has fewer frames"),
            keys,
            runs: runs.iter().map(|run| run.blocks()).collect(),
        };
        let path = self.dir.join(&self.name);
        let written = self.write(&path, &header, &rows, &runs);
        for run in &runs {
            self.disk.remove(&run.path).map_err(|error| Error::io("remove", &run.path, error))?;
        }
        written.map_err(|error| Error::io("write", &path, error))?;
        IndexFile::open(self.disk, &path)
    }

    fn partition_rows(&self) -> Result<Vec<PartitionRow>, Error> {
        let mut rows: BTreeMap<(u32, u32), PartitionRow> = BTreeMap::new();
        let mut keyed: BTreeMap<u32, bool> = BTreeMap::new();
        self.each_batch(|header, batch| {
            let row = rows.entry((header.topic, header.partition)).or_insert_with(|| {
                let has_keys = *keyed.entry(header.topic).or_insert_with(|| (self.wants_keys)(header.topic));
                PartitionRow::new(header.topic, header.partition, has_keys)
            });
            row.add(header.length, header.base_offset, batch);
            Ok(())
        })?;
        Ok(rows.into_values().collect())
    }

    /// Number of keys, and the runs with all of them.
    fn key_runs(&self, rows: &[PartitionRow]) -> Result<(u64, Vec<SpilledRun>), Error> {
        let mut keys = Keys { build: self, entries: Vec::new(), runs: Vec::new(), count: 0 };
        if !rows.iter().any(|row| row.has_keys) {
            return keys.finish();
        }
        self.each_batch(|header, _| {
            let place = (header.topic, header.partition);
            match rows.binary_search_by_key(&place, |row| (row.topic, row.partition)) {
                Ok(number) if rows[number].has_keys => {
                    keys.add_batch(&self.payload(header)?, number, &rows[number])
                }
                _ => Ok(()),
            }
        })?;
        keys.finish()
    }

    fn each_batch(
        &self,
        mut visit: impl FnMut(&FrameHeader, &[u8]) -> Result<(), Error>,
    ) -> Result<(), Error> {
        each_frame(self.file, self.file.end(), |header, head| {
            if (self.stopped)() {
                return Err(Error::Closed);
            }
            if header.kind == FrameKind::Batch { visit(header, head) } else { Ok(()) }
        })
    }

    /// The batch of a frame, as it is in the file.
    fn payload(&self, header: &FrameHeader) -> Result<bytes::Bytes, Error> {
        let position: Position = header.position.plus(payload_at(header.first));
        let len = usize::try_from(header.payload_len).expect("32 bits fit");
        self.file.copy(position, len).map_err(|error| Error::io("read", self.file.file_name(), error))
    }

    fn write(
        &self,
        path: &Path,
        header: &Header,
        rows: &[PartitionRow],
        runs: &[SpilledRun],
    ) -> io::Result<()> {
        let temporary = self.dir.join(format!("{}.tmp", self.name));
        let mut out = Vec::new();
        put_page(&mut out, &header.encode());
        put_items(&mut out, rows.iter().map(PartitionRow::encode));
        let first_hashes = runs.iter().flat_map(|run| &run.first_hashes);
        put_items(&mut out, first_hashes.map(|hash| hash.to_be_bytes()));
        let file = self.disk.create(&temporary, header.file_len())?;
        file.write_all_at(&mut [IoSlice::new(&out)], 0)?;
        let mut at = out.len() as u64;
        for run in runs {
            let mut from = 0;
            while from < run.file.len() {
                let len = usize::try_from(run.file.len() - from).map_or(COPY_LEN, |left| left.min(COPY_LEN));
                file.write_all_at(&mut [IoSlice::new(&run.file.copy(from, len)?)], at)?;
                (from, at) = (from + len as u64, at + len as u64);
            }
        }
        file.sync()?;
        self.disk.rename(&temporary, path)?;
        self.disk.sync_dir(self.dir)
    }
}

/// The keys of a file as they come, sorted and put aside a run at a time.
struct Keys<'a> {
    build: &'a Build<'a>,
    entries: Vec<KeyEntry>,
    runs: Vec<SpilledRun>,
    count: u64,
}

impl Keys<'_> {
    /// Takes the keys of a batch that belongs to `row`, which is the partition table's row `number`.
    fn add_batch(&mut self, batch: &[u8], number: usize, row: &PartitionRow) -> Result<(), Error> {
        let number = u32::try_from(number).expect("rows are counted in 32 bits");
        let mut spilled = Ok(());
        each_record(batch, |record| {
            let offset = u64::try_from(record.offset.saturating_sub(row.first_offset)).ok();
            let entry = record
                .record
                .key
                .zip(offset)
                .and_then(|(key, offset)| KeyEntry::new(key_hash(row.topic, key), number, offset));
            self.entries.extend(entry);
            if self.entries.len() == RUN_ENTRIES {
                spilled = self.spill();
            }
            if spilled.is_ok() { ControlFlow::Continue(()) } else { ControlFlow::Break(()) }
        });
        spilled
    }

    fn spill(&mut self) -> Result<(), Error> {
        let Build { disk, dir, name, file, .. } = self.build;
        let EncodedRun { blocks, first_hashes } = encode_run(&mut self.entries);
        self.count += self.entries.len() as u64;
        self.entries.clear();
        let path = dir.join(format!("{name}.{}.tmp", self.runs.len()));
        if self.runs.len() == MAX_RUNS {
            let what = "it holds more keys than an index file has room for".to_owned();
            return Err(Error::Corrupt { file: file.file_name(), at: 0, position: file.base(), what });
        }
        let create = || -> io::Result<Arc<dyn DiskFile>> {
            let file = disk.create(&path, blocks.len() as u64)?;
            file.write_all_at(&mut [IoSlice::new(&blocks)], 0)?;
            Ok(file)
        };
        let file = create().map_err(|error| Error::io("write", &path, error))?;
        self.runs.push(SpilledRun { path, file, first_hashes });
        Ok(())
    }

    fn finish(mut self) -> Result<(u64, Vec<SpilledRun>), Error> {
        if !self.entries.is_empty() {
            self.spill()?;
        }
        Ok((self.count, self.runs))
    }
}

impl SpilledRun {
    fn blocks(&self) -> u32 {
        u32::try_from(self.file.len() / PAGE_LEN as u64).expect("a run has a million entries")
    }
}
