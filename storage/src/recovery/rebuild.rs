//! Building everything anew from the log alone, when there is no usable snapshot.
//!
//! Called by `recovery`. Two walks: first what exists, for metadata may stand behind records that need it (it moves when
//! files are given up); then the records. Batches of a partition that was rewritten stand in several files in no order
//! and perhaps twice: they are collected, and of equals the newest copy counts.

use std::collections::{BTreeMap, HashMap};

use bytes::Bytes;
use protocol::record_batch::RecordBatchView;

use crate::catalog::Catalog;
use crate::consume_queue::{Entry, Extents};
use crate::disk::Disk;
use crate::error::{Error, OpenError};
use crate::frame::{FrameHeader, FrameKind, payload_at};
use crate::frame_walk::each_frame;
use crate::manifest::Manifest;
use crate::partition_log::{Compacted, PartitionLog};
use crate::position::{Offset, Position};

use super::apply::{apply_metadata, compacted, numbers, out_of_order, stamped, take_batch};
use super::files::LogFiles;

type Numbers = (u32, u32);

/// What the first walk found, for the second.
pub(super) struct Rebuild<'a> {
    catalog: &'a Catalog,
    extents: &'a Extents,
    manifest: Manifest,
    compacted: HashMap<Numbers, Compacted>,
    log_starts: HashMap<Numbers, (Offset, Position)>,
    /// Batches of partitions that have some in rewrite files.
    collected: BTreeMap<Numbers, Vec<FrameHeader>>,
}

impl<'a> Rebuild<'a> {
    pub(super) fn new(catalog: &'a Catalog, extents: &'a Extents) -> Self {
        Self {
            catalog,
            extents,
            manifest: Manifest::default(),
            compacted: HashMap::new(),
            log_starts: HashMap::new(),
            collected: BTreeMap::new(),
        }
    }

    /// The first walk: everything but records.
    pub(super) fn learn(&mut self, header: &FrameHeader, payload: &Bytes) -> Result<(), String> {
        match header.kind {
            FrameKind::Files => {
                self.manifest = Manifest::decode(payload).map_err(|error| error.to_string())?;
                for done in &self.manifest.compactions {
                    let compacted =
                        Compacted { upto: done.upto, generation: done.generation, frame: header.position };
                    self.compacted.insert((done.topic, done.partition), compacted);
                }
                Ok(())
            }
            FrameKind::Compacted => {
                self.compacted.insert(numbers(header), compacted(header));
                Ok(())
            }
            FrameKind::LogStart => {
                let known = self.log_starts.entry(numbers(header)).or_default();
                *known = (known.0.max(header.base_offset), header.position);
                Ok(())
            }
            FrameKind::Batch => {
                // A number must not be given again while anything in the log bears it.
                self.catalog.raise_next_number(header.topic + 1);
                Ok(())
            }
            _ => apply_metadata(self.catalog, self.extents, header, payload, |_| {})
                .map_err(|error| error.to_string()),
        }
    }

    /// Between the walks: which files count.
    pub(super) fn settle_files(&mut self, disk: &dyn Disk, files: &mut LogFiles) -> Result<(), Error> {
        let rewritten = files.take_rewritten(disk, &self.manifest)?;
        files.give_up(&self.manifest);
        files.check_gaps(&self.manifest)?;
        for (numbers, compacted) in &self.compacted {
            if let Some(partition) = self.catalog.partition(numbers.0, numbers.1) {
                partition.state().compacted = Some(Box::new(*compacted));
            }
        }
        for file in rewritten {
            each_frame(&file, file.end(), |header, _| {
                self.catalog.raise_next_number(header.topic + 1);
                self.collected.entry(numbers(header)).or_default().push(*header);
                Ok(())
            })?;
        }
        Ok(())
    }

    /// The second walk: records.
    pub(super) fn take(
        &mut self,
        files: &LogFiles,
        header: &FrameHeader,
        payload: &Bytes,
    ) -> Result<(), String> {
        if header.kind != FrameKind::Batch {
            return Ok(());
        }
        if let Some(collected) = self.collected.get_mut(&numbers(header)) {
            collected.push(*header);
            return Ok(());
        }
        let Some(partition) = self.catalog.partition(header.topic, header.partition) else {
            return Ok(()); // of a topic deleted later
        };
        self.apply(files, &partition, header, payload)
    }

    /// After both walks: what was collected, then the log starts.
    pub(super) fn finish(mut self, files: &LogFiles) -> Result<(), OpenError> {
        for (numbers, mut frames) in std::mem::take(&mut self.collected) {
            let Some(partition) = self.catalog.partition(numbers.0, numbers.1) else { continue };
            frames.sort_by_key(|frame| (frame.base_offset, u32::MAX - frame.incarnation));
            frames.retain(|frame| self.counts(frame));
            frames.dedup_by_key(|frame| frame.base_offset);
            for header in frames {
                let payload = read_payload(files, &header)?;
                self.apply(files, &partition, &header, &payload)
                    .map_err(|what| files.corrupt(header.position, what))?;
            }
        }
        for (numbers, (log_start, frame)) in &self.log_starts {
            let Some(partition) = self.catalog.partition(numbers.0, numbers.1) else { continue };
            if partition.state().next_offset < *log_start {
                // All that it had lay in files that were given up.
                partition.begin_at(*log_start);
            }
            let dead = |entry: &Entry| files.remove_live(entry);
            partition.set_log_start(*log_start, *frame);
            partition.trim(self.extents, dead)?;
        }
        Ok(())
    }

    /// Whether compaction left this copy of a batch.
    fn counts(&self, header: &FrameHeader) -> bool {
        self.compacted
            .get(&numbers(header))
            .is_none_or(|done| header.base_offset >= done.upto || header.incarnation >= done.generation)
    }

    fn apply(
        &self,
        files: &LogFiles,
        partition: &PartitionLog,
        header: &FrameHeader,
        payload: &Bytes,
    ) -> Result<(), String> {
        if !self.counts(header) {
            return Ok(());
        }
        let batch = RecordBatchView::parse(payload).map_err(|error| error.to_string())?;
        let mut state = partition.state();
        let log_start = self.log_starts.get(&numbers(header)).map_or(0, |(log_start, _)| *log_start);
        // Files that held only what lies below the log start may be gone, and compaction leaves any gap.
        let latest = if self.compacted.contains_key(&numbers(header)) { Offset::MAX } else { log_start };
        if !(state.next_offset..=latest.max(state.next_offset)).contains(&header.base_offset) {
            return Err(out_of_order(header, state.next_offset));
        }
        let stamped = stamped(header, batch);
        if header.base_offset + i64::from(batch.last_offset_delta()) < log_start {
            state.apply_below_log_start(&stamped);
            return Ok(());
        }
        take_batch(files, partition, &mut state, header, &stamped, self.extents)
    }
}

fn read_payload(files: &LogFiles, header: &FrameHeader) -> Result<Bytes, Error> {
    let file = files
        .at(header.position)
        .ok_or_else(|| files.corrupt(header.position, "no commitlog file holds this position".to_owned()))?;
    let at = header.position.plus(payload_at(header.first));
    let len = usize::try_from(header.payload_len).expect("32 bits fit");
    let payload = file.copy(at, len).map_err(|error| files.io(at, error))?;
    let found = crc32c::crc32c(&payload);
    if !header.first && found != header.payload_crc {
        return Err(files.corrupt(header.position, "payload CRC does not match".to_owned()));
    }
    Ok(payload)
}
