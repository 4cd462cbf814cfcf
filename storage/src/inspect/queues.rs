//! Consume queue pages that the snapshot names: do they decode, and does each entry point at its own batch?
//!
//! Called by `verify`. An entry that points into a bad place of the log is not the queue's fault: it says what was there.

use std::io;
use std::path::Path;
use std::sync::Arc;

use bytes::Bytes;

use crate::consume_queue::{Entry, Extents, NamedPage};
use crate::disk::DiskFile;
use crate::error::Error;
use crate::frame::FrameKind;
use crate::partition_log::PartitionLog;
use crate::position::{Offset, Position};

use super::directory::{Directory, beside};
use super::finding::{Finding, OffsetRange, Severity};
use super::loss::{self, Named};
use super::survey::Survey;

const REBUILD: &str = "Reads of these offsets fail. Stop the broker, remove the file `checkpoint` and start: queues are rebuilt from the log";

/// Pages of one run of the check; the file read last stays open.
struct Pages<'a> {
    directory: &'a Directory,
    extents: Extents,
    open: Option<(std::path::PathBuf, Arc<dyn DiskFile>)>,
}

/// Checks every page; lost records go to the survey's bad places and into `named`.
pub(super) fn check(
    directory: &Directory,
    survey: &mut Survey,
    named: &mut Named,
    findings: &mut Vec<Finding>,
) -> Result<(), Error> {
    let Some(catalog) = &directory.catalog else { return Ok(()) };
    let mut pages = Pages { directory, extents: directory.extents(), open: None };
    for topic in catalog.topics() {
        for partition in topic.partitions().iter() {
            let (queue, next_offset) = {
                let state = partition.state();
                (state.queue.directory(), state.next_offset)
            };
            for page in queue.named_pages() {
                let upto = page.upto.unwrap_or(next_offset);
                match pages.entries(&page, partition)? {
                    Ok(entries) => {
                        check_entries(
                            directory, survey, named, findings, &page, &pages, partition, &entries,
                        )?;
                    }
                    Err(mut finding) => {
                        let first = page.first_offset().unwrap_or_else(|| partition.log_start_offset());
                        finding.offsets = vec![range(survey, partition, first, upto - 1)];
                        findings.push(finding);
                    }
                }
            }
        }
    }
    Ok(())
}

fn range(survey: &Survey, partition: &PartitionLog, first: Offset, last: Offset) -> OffsetRange {
    let (topic, partition) = (partition.topic_number(), partition.partition().unsigned_abs());
    OffsetRange { topic, name: survey.known.name(topic), partition, first, last, exact: true }
}

impl Pages<'_> {
    /// The entries of a page, or what is wrong with it.
    fn entries(
        &mut self,
        page: &NamedPage,
        partition: &PartitionLog,
    ) -> Result<Result<Vec<Entry>, Finding>, Error> {
        let (path, at, len) = self.extents.place(page.number);
        let numbers = (partition.topic_number(), partition.partition().unsigned_abs());
        let outcome = match self.read(&path, at, len) {
            Ok(bytes) => page.entries(&bytes, numbers.0, numbers.1),
            Err(error) if error.kind() == io::ErrorKind::NotFound => {
                Err((0, "this consume queue file is missing".to_owned()))
            }
            Err(error) if error.kind() == io::ErrorKind::UnexpectedEof => {
                Err((0, "this consume queue file ends early".to_owned()))
            }
            Err(error) => return Err(Error::io("read", path, error)),
        };
        Ok(outcome
            .map_err(|(byte, what)| beside(Severity::Rebuildable, &path, at + byte as u64, what, REBUILD)))
    }

    fn read(&mut self, path: &Path, at: u64, len: usize) -> io::Result<Bytes> {
        match &self.open {
            Some((open, file)) if open == path => file.copy(at, len),
            _ => {
                let file = self.directory.disk.open(path)?;
                self.open = Some((path.to_owned(), Arc::clone(&file)));
                file.copy(at, len)
            }
        }
    }
}

#[expect(clippy::too_many_arguments, reason = "one step of the loop above")]
fn check_entries(
    directory: &Directory,
    survey: &mut Survey,
    named: &mut Named,
    findings: &mut Vec<Finding>,
    page: &NamedPage,
    pages: &Pages<'_>,
    partition: &PartitionLog,
    entries: &[Entry],
) -> Result<(), Error> {
    let log_start = partition.log_start_offset();
    for entry in entries.iter().filter(|entry| entry.last_offset() >= log_start) {
        let lost = range(survey, partition, entry.base_offset.max(log_start), entry.last_offset());
        if loss::attach_exact(survey, entry.position, lost.clone()) {
            named.add((lost.topic, lost.partition), lost.first, lost.last);
            continue;
        }
        let Some(why) = wrong(directory, partition, entry)? else { continue };
        let (path, at, _) = pages.extents.place(page.number);
        let mut finding = beside(Severity::Rebuildable, &path, at, why, REBUILD);
        finding.offsets = vec![lost];
        findings.push(finding);
    }
    Ok(())
}

/// Why the entry does not point at its batch.
fn wrong(directory: &Directory, partition: &PartitionLog, entry: &Entry) -> Result<Option<String>, Error> {
    let at = entry.position;
    let Some(file) = directory.file_at(at) else {
        return Ok(Some(format!("a queue entry points at position {at}, which no file holds")));
    };
    let header = match file.header(at)? {
        Ok(header) => header,
        Err(why) => return Ok(Some(format!("a queue entry points at position {at}: {why}"))),
    };
    let agrees = header.kind == FrameKind::Batch
        && header.topic == partition.topic_number()
        && header.partition == partition.partition().unsigned_abs()
        && header.base_offset == entry.base_offset
        && header.payload_len == entry.size
        && header.first == entry.first_of_group();
    Ok((!agrees).then(|| format!("a queue entry points at position {at}, where another frame stands")))
}

/// The first byte of a file for a position in it.
pub(super) fn byte_of(position: Position, base: Position) -> u64 {
    position.0 - base.0
}
