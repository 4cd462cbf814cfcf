//! Writing everything that is whole into a new directory.
//!
//! One pass finds what is bad and where every whole batch stands; then each partition is written in offset order through
//! the live writer. Memory: up to 64 bytes per batch of the log. Invariant: a batch is written at the offsets it had, with the bytes
//! it had, once.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use uuid::Uuid;

use crate::append::{append_metadata, metadata_draft};
use crate::catalog::TopicRecord;
use crate::clock::Clock;
use crate::data_dir::{DataDir, Format};
use crate::disk::Disk;
use crate::error::Error;
use crate::frame::FrameKind;
use crate::log_policy::LogPolicy;
use crate::partition_log::PartitionLog;
use crate::position::{Offset, Position};
use crate::store::{CompactionLimits, FlushMode, Store, StoreConfig};
use crate::topic::Configs;

use super::directory::{Directory, beside};
use super::finding::{Finding, OffsetRange, Severity};
use super::known::{Known, Numbers};
use super::place::{self, Placed};
use super::survey::Survey;
use super::verify::{Verified, verify_with};
use super::{InspectError, Progress};

/// What salvage wrote.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Salvaged {
    /// Topics.
    pub topics: usize,
    /// Of these, topics whose name and configs are lost.
    pub nameless: usize,
    /// Record batches.
    pub batches: u64,
    /// Bytes of these.
    pub bytes: u64,
    /// What the old directory's verification came to.
    pub verified: Verified,
}

/// A whole batch of the old log.
#[derive(Debug, Clone, Copy)]
struct Kept {
    base_offset: Offset,
    last_offset: Offset,
    position: Position,
    incarnation: u32,
}

type Batches = BTreeMap<Numbers, Vec<Kept>>;

struct Salvage<'a> {
    directory: &'a Directory,
    known: &'a Known,
    store: &'a Store,
    salvaged: Salvaged,
    report: &'a mut dyn FnMut(Finding),
}

pub(super) fn salvage(
    directory: &Directory,
    disk: Arc<dyn Disk>,
    target: &Path,
    clock: Arc<dyn Clock>,
    report: &mut dyn FnMut(Finding),
    progress: Progress<'_>,
) -> Result<Salvaged, InspectError> {
    if target.starts_with(directory.root()) || disk.list(target).is_ok_and(|names| !names.is_empty()) {
        return Err(InspectError::TargetInUse(target.to_owned()));
    }
    let mut batches = Batches::new();
    let mut greatest_producer = -1;
    let (verified, survey) = verify_with(
        directory,
        &mut |file, header, batch| {
            greatest_producer = greatest_producer.max(batch.producer_id());
            batches.entry((header.topic, header.partition)).or_default().push(Kept {
                base_offset: header.base_offset,
                last_offset: header.base_offset.saturating_add(i64::from(batch.last_offset_delta())),
                position: header.position,
                incarnation: file.incarnation().unwrap_or(0),
            });
        },
        report,
        progress,
    )?;
    let store = new_store(directory, disk, target, clock)?;
    let salvaged = Salvaged { verified, ..Salvaged::default() };
    let mut salvage = Salvage { directory, known: &survey.known, store: &store, salvaged, report };
    salvage.brokers_own(greatest_producer)?;
    salvage.topics(batches, &survey)?;
    let salvaged = salvage.salvaged;
    store.close()?;
    Ok(salvaged)
}

/// A new directory with the old one's identity, as far as that is known.
fn new_store(
    directory: &Directory,
    disk: Arc<dyn Disk>,
    target: &Path,
    clock: Arc<dyn Clock>,
) -> Result<Arc<Store>, InspectError> {
    let file_size = directory.file_size;
    if let Some(Format { store_id, .. }) = directory.format {
        DataDir::new(target.to_owned()).create(&*disk, Format { store_id, file_size })?;
    }
    let config = StoreConfig {
        dir: target.to_owned(),
        file_size,
        flush: FlushMode::Os,
        checkpoint_bytes: u64::MAX,
        producer_expiration: Arc::new(|_| Duration::MAX),
        retention_check: Duration::from_secs(u64::MAX),
        policies: Arc::new(|_: &str, _: &Configs, _: &Configs| LogPolicy {
            delete: false,
            ..LogPolicy::default()
        }),
        compaction: CompactionLimits::default(),
        threads: false,
    };
    Ok(Store::open(config, disk, clock, Box::new(|_| {}))?.0)
}

impl Salvage<'_> {
    /// Producer ids given away and the dynamic configs of the broker.
    fn brokers_own(&mut self, greatest_producer: i64) -> Result<(), InspectError> {
        let below = self.known.producer_ids.max(greatest_producer.saturating_add(1));
        let engine = self.store.engine();
        if below > 0 {
            let prepare = || {
                Ok::<_, Arc<Error>>((metadata_draft(FrameKind::ProducerIds, 0, 0, below, Bytes::new()), ()))
            };
            append_metadata(engine, prepare, |(), frame| engine.catalog.apply_producer_ids(below, frame))?;
        }
        if !self.known.broker_configs.is_empty() {
            self.store.set_broker_configs(self.known.broker_configs.clone())?;
        }
        Ok(())
    }

    fn topics(&mut self, mut batches: Batches, survey: &Survey) -> Result<(), InspectError> {
        let metadata_lost = !survey.bad.is_empty();
        batches.retain(|numbers, _| !self.known.is_deleted(numbers.0, metadata_lost));
        let numbers: BTreeSet<u32> =
            self.known.topics.keys().copied().chain(batches.keys().map(|numbers| numbers.0)).collect();
        for number in numbers {
            let highest = batches.range((number, 0)..=(number, u32::MAX)).next_back();
            let partitions = highest.map_or(0, |(numbers, _)| numbers.1.saturating_add(1));
            let record = self.record(number, partitions);
            let (topic, _) =
                self.store.create_topic(&record.name, record.id, record.partitions, record.configs)?;
            self.salvaged.topics += 1;
            for (index, partition) in (0_u32..).zip(topic.partitions().iter()) {
                let kept = batches.remove(&(number, index)).unwrap_or_default();
                self.partition(partition, (number, index), kept)?;
            }
        }
        Ok(())
    }

    /// The topic as it was, or as far as its batches show it.
    fn record(&mut self, number: u32, partitions: u32) -> TopicRecord {
        let Some(known) = self.known.topics.get(&number) else {
            self.salvaged.nameless += 1;
            let name = self.free_name(number);
            self.note(format!(
                "name, id and configs of topic number {number} are lost; its records are in the new topic {name}"
            ));
            return TopicRecord { id: Uuid::new_v4(), name, partitions, configs: Configs::default() };
        };
        let mut record = known.clone();
        if partitions > record.partitions {
            self.note(format!(
                "topic {} had {} partitions as far as is known, and has batches of {partitions}",
                record.name, record.partitions
            ));
            record.partitions = partitions;
        }
        if self.store.topic(&record.name).is_some() {
            let name = self.free_name(number);
            self.note(format!(
                "topic {} was made anew and its deletion is lost: its older records are in the new topic {name}",
                record.name
            ));
            record.name = name;
        }
        record
    }

    fn free_name(&self, number: u32) -> String {
        let plain = format!("salvaged-topic-{number}");
        let taken = |name: &String| {
            self.known.topics.values().any(|record| record.name == *name) || self.store.topic(name).is_some()
        };
        let numbered = (2_u32..).map(|count| format!("{plain}-{count}"));
        std::iter::once(plain.clone())
            .chain(numbered)
            .find(|name| !taken(name))
            .expect("names do not run out")
    }

    fn note(&mut self, what: String) {
        let meaning = "Rename or copy it as needed";
        (self.report)(beside(Severity::Damage, &self.directory.commit_log(), 0, what, meaning));
    }

    fn partition(
        &mut self,
        partition: &PartitionLog,
        numbers: Numbers,
        mut kept: Vec<Kept>,
    ) -> Result<(), InspectError> {
        let log_start = self.known.log_start(numbers);
        kept.retain(|batch| {
            batch.last_offset >= log_start && self.known.counts(numbers, batch.base_offset, batch.incarnation)
        });
        kept.sort_unstable_by_key(|batch| (batch.base_offset, std::cmp::Reverse(batch.incarnation)));
        let mut next = kept.first().map_or(log_start, |first| first.base_offset);
        let mut overlapping = Vec::new();
        kept.retain(|batch| {
            let follows = batch.base_offset >= next;
            if follows {
                next = batch.last_offset.saturating_add(1);
            } else if batch.last_offset >= next {
                overlapping.push(*batch);
            }
            follows
        });
        self.overlaps(numbers, &overlapping);
        let begin = match kept.first() {
            Some(first) => first.base_offset,
            // Nothing is left: offsets that were given are not given again.
            None => self.known.log_ends.get(&numbers).map_or(log_start, |log_end| log_start.max(*log_end)),
        };
        let log_start = log_start.max(begin);
        let engine = self.store.engine();
        if begin > 0 {
            place::begin_at(engine, partition, begin)?;
        }
        let follow = |pair: &&[Kept]| pair[0].last_offset.saturating_add(1) != pair[1].base_offset;
        if let Some(gap) = kept.windows(2).rfind(follow) {
            place::allow_gaps(engine, partition, gap[1].base_offset)?;
        }
        let (directory, salvaged) = (self.directory, &mut self.salvaged);
        let mut placed = kept.iter().map(|batch| {
            let placed = reread(directory, batch)?;
            salvaged.batches += 1;
            salvaged.bytes += placed.payload.len() as u64;
            Ok(placed)
        });
        place::place(engine, partition, &mut placed)?;
        if log_start > begin {
            self.store.advance_log_start(partition, log_start.min(partition.high_watermark()))?;
        }
        Ok(())
    }

    fn overlaps(&mut self, numbers: Numbers, overlapping: &[Kept]) {
        for batch in overlapping {
            let what = "a batch overlaps the offsets of the one before it and was left out".to_owned();
            let path = self
                .directory
                .file_at(batch.position)
                .map_or_else(PathBuf::new, |file| file.path().to_owned());
            let mut finding = beside(Severity::Damage, &path, 0, what, "No start takes such a log");
            finding.position = Some(batch.position);
            finding.offsets = vec![OffsetRange {
                topic: numbers.0,
                name: self.known.name(numbers.0),
                partition: numbers.1,
                first: batch.base_offset,
                last: batch.last_offset,
                exact: true,
            }];
            (self.report)(finding);
        }
    }
}

/// The batch again, still whole.
fn reread(directory: &Directory, kept: &Kept) -> Result<Placed, Error> {
    let gone =
        |path: PathBuf, what: String| Error::Corrupt { file: path, at: 0, position: kept.position, what };
    let file = directory
        .file_at(kept.position)
        .ok_or_else(|| gone(directory.commit_log(), "the file is gone".to_owned()))?;
    match file.frame(kept.position)? {
        Ok(whole) => Ok(Placed {
            payload: whole.payload,
            base_offset: kept.base_offset,
            leader_epoch: whole.header.leader_epoch,
        }),
        Err((why, _)) => {
            Err(gone(file.path().to_owned(), format!("{why}, though it was whole a moment ago")))
        }
    }
}
