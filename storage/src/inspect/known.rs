//! What metadata says, as far as it is whole: the snapshot, then every metadata frame behind it.
//!
//! Filled by `survey`. The same rules as recovery's, but nothing is refused.

use std::collections::{BTreeMap, BTreeSet};

use crate::catalog::{TopicRecord, decode_configs};
use crate::decode::DecodeError;
use crate::frame::FrameKind;
use crate::manifest::{FileRecord, Manifest};
use crate::position::{Offset, Position};
use crate::topic::Configs;

use super::directory::Directory;
use super::walk::Whole;

/// Topic number and partition.
pub(super) type Numbers = (u32, u32);

/// Topics, configs, log starts, producer ids and files.
#[derive(Debug, Default)]
pub(super) struct Known {
    /// The snapshot holds what frames below say.
    since: Position,
    pub(super) topics: BTreeMap<u32, TopicRecord>,
    /// Topics that were deleted for certain.
    deleted: BTreeSet<u32>,
    /// Names that any frame ever gave, of deleted topics too.
    names: BTreeMap<u32, String>,
    log_starts: BTreeMap<Numbers, Offset>,
    /// Log ends as of the snapshot.
    pub(super) log_ends: BTreeMap<Numbers, Offset>,
    pub(super) producer_ids: i64,
    pub(super) broker_configs: Configs,
    manifest: Manifest,
    /// The snapshot's own list of files, until a frame behind it says more.
    listed: Option<Vec<FileRecord>>,
    /// `upto` and `generation` of each compacted partition.
    compactions: BTreeMap<Numbers, (Offset, u32)>,
    /// Topic numbers below were used, says the snapshot.
    used_numbers: u32,
}

impl Known {
    /// What the snapshot says.
    pub(super) fn from_snapshot(directory: &Directory) -> Self {
        let (Some(catalog), Some(checkpoint)) = (&directory.catalog, directory.checkpoint) else {
            return Self::default();
        };
        let mut known = Self {
            since: checkpoint.position,
            producer_ids: catalog.reserved_producer_ids(),
            broker_configs: catalog.broker_configs().as_ref().clone(),
            used_numbers: catalog.next_number(),
            listed: Some(directory.listed.clone()),
            ..Self::default()
        };
        for topic in catalog.topics() {
            for (index, partition) in (0_u32..).zip(topic.partitions().iter()) {
                known.log_starts.insert((topic.number(), index), partition.log_start_offset());
                known.log_ends.insert((topic.number(), index), partition.state().next_offset);
                if let Some(done) = partition.compacted() {
                    known.compacted((topic.number(), index), done.upto, done.generation);
                }
            }
            known.names.insert(topic.number(), topic.name().to_string());
            known.topics.insert(topic.number(), topic.record());
        }
        known
    }

    /// Takes a metadata frame.
    ///
    /// # Errors
    /// Its payload is not what its kind asks for, though its CRC matches.
    pub(super) fn apply(&mut self, whole: &Whole) -> Result<(), DecodeError> {
        let header = &whole.header;
        let (numbers, newer) = ((header.topic, header.partition), header.position >= self.since);
        match header.kind {
            FrameKind::Topic => {
                let record = TopicRecord::decode(&whole.payload)?;
                self.names.insert(header.topic, record.name.clone());
                if newer && !self.deleted.contains(&header.topic) {
                    self.topics.insert(header.topic, record);
                }
            }
            FrameKind::TopicDeleted => {
                self.deleted.insert(header.topic);
                self.topics.remove(&header.topic);
            }
            FrameKind::LogStart => {
                let start = self.log_starts.entry(numbers).or_default();
                *start = (*start).max(header.base_offset);
            }
            FrameKind::ProducerIds => self.producer_ids = self.producer_ids.max(header.base_offset),
            FrameKind::BrokerConfigs if newer => self.broker_configs = decode_configs(&whole.payload)?,
            FrameKind::Files => {
                let manifest = Manifest::decode(&whole.payload)?;
                for done in &manifest.compactions {
                    self.compacted((done.topic, done.partition), done.upto, done.generation);
                }
                self.manifest = manifest;
                if let Some(listed) = self.listed.as_mut().filter(|_| newer) {
                    listed.retain(|file| !file.base.is_rewritten() && !self.manifest.gives_up(file.base));
                    listed.extend(&self.manifest.rewritten);
                }
            }
            FrameKind::Compacted => {
                let generation = u32::try_from(header.log_index).unwrap_or(u32::MAX);
                self.compacted(numbers, header.base_offset, generation);
            }
            FrameKind::Batch | FrameKind::Blank | FrameKind::BrokerConfigs => {}
        }
        Ok(())
    }

    fn compacted(&mut self, numbers: Numbers, upto: Offset, generation: u32) {
        let (known_upto, known_generation) = self.compactions.entry(numbers).or_default();
        *known_upto = (*known_upto).max(upto);
        *known_generation = (*known_generation).max(generation);
    }

    /// Whether the file that begins at `base` is a part of the log, or would be if it were there.
    pub(super) fn is_part(&self, base: Position) -> bool {
        match &self.listed {
            Some(listed) if base < self.since || base.is_rewritten() => {
                listed.iter().any(|file| file.base == base)
            }
            _ if base.is_rewritten() => self.manifest.rewritten.iter().any(|file| file.base == base),
            _ => !self.manifest.gives_up(base),
        }
    }

    /// Rewrite files that are a part of the log.
    pub(super) fn rewritten(&self) -> Vec<FileRecord> {
        let named = self.listed.as_ref().unwrap_or(&self.manifest.rewritten);
        named.iter().filter(|file| file.base.is_rewritten()).copied().collect()
    }

    /// The name of a topic, deleted or not.
    pub(super) fn name(&self, topic: u32) -> Option<String> {
        self.names.get(&topic).cloned()
    }

    /// The number of the live topic of that name, else of a deleted one.
    pub(super) fn number(&self, name: &str) -> Option<u32> {
        let live = self.topics.iter().find(|(_, record)| record.name == name);
        let ever = || self.names.iter().rev().find(|(_, known)| *known == name);
        live.map(|(number, _)| *number).or_else(|| ever().map(|(number, _)| *number))
    }

    pub(super) fn log_start(&self, numbers: Numbers) -> Offset {
        self.log_starts.get(&numbers).copied().unwrap_or(0)
    }

    /// Offsets below may be missing: compaction took them.
    pub(super) fn thinned(&self, numbers: Numbers) -> Offset {
        self.compactions.get(&numbers).map_or(0, |(upto, _)| *upto)
    }

    /// Whether a batch in a file of that incarnation still holds, or a later compaction replaced it.
    pub(super) fn counts(&self, numbers: Numbers, base_offset: Offset, incarnation: u32) -> bool {
        let compaction = self.compactions.get(&numbers);
        compaction.is_none_or(|(upto, generation)| base_offset >= *upto || incarnation >= *generation)
    }

    /// Whether batches of this topic number need not be kept: the topic was deleted. Without a snapshot, a number that
    /// nothing names is one of a deleted topic unless metadata may be lost.
    pub(super) fn is_deleted(&self, topic: u32, metadata_lost: bool) -> bool {
        if self.topics.contains_key(&topic) {
            return false;
        }
        self.deleted.contains(&topic) || topic < self.used_numbers || !metadata_lost
    }
}
