//! Finding records by their key, which Kafka has no request for.
//!
//! The third part of `Store`'s face. Index files of sealed commitlog files say where a key may be; what no index file covers
//! yet, the file being appended to above all, is read batch by batch through the topic's consume queues. Every record is
//! then read the way consumers read it and its key compared. Invariants: a record is found once, wherever it was copied to;
//! one that was deleted, compacted away or lies at or above the high watermark is not found.

mod candidates;
mod matches;

use std::collections::{BTreeMap, VecDeque};
use std::sync::Arc;

use bytes::Bytes;
use protocol::record_batch::RecordBatchView;
use thiserror::Error;

use crate::engine::Engine;
use crate::error::{Error, ReadError};
use crate::index_file::{IndexFile, catch_up, wants_keys};
use crate::mapped_file::MappedFile;
use crate::partition_log::PartitionLog;
use crate::position::Offset;
use crate::store::Store;

use candidates::Candidates;

/// Values and headers of what was found, bytes at most; the record that passes it is the last.
const MAX_FOUND_BYTES: usize = 64 * 1024 * 1024;

/// What to look for.
#[derive(Debug, Clone)]
pub struct FindQuery<'a> {
    /// Name of the topic.
    pub topic: &'a str,
    /// The key, whole.
    pub key: &'a [u8],
    /// Records older than this are left out, ms.
    pub from_ms: Option<i64>,
    /// Records newer than this are left out, ms.
    pub to_ms: Option<i64>,
    /// Records found at most.
    pub limit: usize,
}

/// A record that has the key.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FoundRecord {
    /// Its partition.
    pub partition: i32,
    /// Its offset.
    pub offset: Offset,
    /// Its timestamp, ms.
    pub timestamp: i64,
    /// Its value; `None` is null.
    pub value: Option<Bytes>,
    /// Its headers in their order.
    pub headers: Vec<(Bytes, Option<Bytes>)>,
}

/// Records that have the key: inside a partition the newest (of the greatest offset) first, between partitions the one with
/// the greater timestamp first.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct FoundRecords {
    /// The records.
    pub records: Vec<FoundRecord>,
    /// The limit, or 64 MiB of values, ended the search: there may be more, older ones.
    pub more: bool,
}

/// Why nothing could be looked for.
#[derive(Debug, Error)]
pub enum FindError {
    /// No such topic.
    #[error("there is no topic {0}")]
    UnknownTopic(String),
    /// The topic does not ask for it.
    #[error("the keys of topic {0} are not indexed; set its config onelog.index.keys=true")]
    KeysNotIndexed(String),
    /// Io or corruption.
    #[error(transparent)]
    Log(#[from] Error),
}

impl Store {
    /// Records of a topic with `onelog.index.keys=true` that have a key. Takes as long as the unindexed part of the log
    /// needs to be read: call it where that may be waited for.
    ///
    /// # Errors
    /// See [`FindError`].
    pub fn find_by_key(&self, query: &FindQuery<'_>) -> Result<FoundRecords, FindError> {
        let topic = self.topic(query.topic).ok_or_else(|| FindError::UnknownTopic(query.topic.to_owned()))?;
        if !wants_keys(self.engine(), topic.number()) {
            return Err(FindError::KeysNotIndexed(query.topic.to_owned()));
        }
        let search = Search {
            store: self,
            engine: self.engine(),
            topic: topic.number(),
            partitions: topic.partitions(),
            key: query.key,
            from_ms: query.from_ms.unwrap_or(i64::MIN),
            to_ms: query.to_ms.unwrap_or(i64::MAX),
            sources: Sources::of(self.engine(), topic.number())?,
        };
        Ok(search.newest_first(query.limit)?)
    }

    /// Makes all index files that are missing; returns how many were made. The index thread does this by itself; for
    /// tests without threads.
    ///
    /// # Errors
    /// `Io`; the next call goes on.
    pub fn build_index_files(&self) -> Result<usize, Error> {
        catch_up(self.engine(), true)
    }
}

/// One call of [`Store::find_by_key`].
struct Search<'a> {
    store: &'a Store,
    engine: &'a Engine,
    topic: u32,
    partitions: Arc<[Arc<PartitionLog>]>,
    key: &'a [u8],
    from_ms: i64,
    to_ms: i64,
    sources: Sources,
}

/// The sealed files, with the index files that have all keys of the topic.
struct Sources(Vec<(Arc<MappedFile>, Option<Arc<IndexFile>>)>);

/// What is still to come of one partition.
struct Upcoming<'a> {
    partition: &'a PartitionLog,
    candidates: Candidates,
    /// Records of the batch read last, newest first.
    ready: VecDeque<FoundRecord>,
}

impl Sources {
    fn of(engine: &Engine, topic: u32) -> Result<Self, Error> {
        let index_of = |file: &MappedFile| -> Result<Option<Arc<IndexFile>>, Error> {
            let Some(index) = engine.index_files.of(file) else { return Ok(None) };
            let rows = engine.index_files.unless_damaged(&index, index.rows_of(topic))?;
            Ok(rows.is_some_and(|rows| rows.have_keys()).then_some(index))
        };
        let sealed = engine.log.sealed().into_iter();
        sealed.map(|file| Ok((Arc::clone(&file), index_of(&file)?))).collect::<Result<_, Error>>().map(Self)
    }
}

impl Search<'_> {
    fn newest_first(&self, limit: usize) -> Result<FoundRecords, Error> {
        let below =
            self.partitions.iter().map(|partition| (partition.partition(), partition.high_watermark()));
        let mut upcoming: Vec<Upcoming<'_>> = Vec::new();
        for (index, candidates) in self.candidates(&below.collect())? {
            let partition = usize::try_from(index).ok().and_then(|index| self.partitions.get(index));
            upcoming.extend(partition.map(|partition| Upcoming {
                partition,
                candidates,
                ready: VecDeque::new(),
            }));
        }
        let (mut found, mut bytes) = (FoundRecords::default(), 0);
        loop {
            for one in &mut upcoming {
                self.make_ready(one)?;
            }
            upcoming.retain(|one| !one.ready.is_empty());
            // Of equal timestamps the lower partition's goes first.
            let newest =
                upcoming.iter_mut().rev().max_by_key(|one| one.ready.front().map(|found| found.timestamp));
            let Some(newest) = newest else { return Ok(found) };
            found.more = found.records.len() >= limit || bytes >= MAX_FOUND_BYTES;
            if found.more {
                return Ok(found);
            }
            let record = newest.ready.pop_front().expect("partitions without records were dropped");
            bytes += record.value.as_ref().map_or(0, Bytes::len);
            bytes += record
                .headers
                .iter()
                .map(|(key, value)| key.len() + value.as_ref().map_or(0, Bytes::len))
                .sum::<usize>();
            found.records.push(record);
        }
    }

    /// Reads on until a record of the partition is known, or that there is none.
    fn make_ready(&self, one: &mut Upcoming<'_>) -> Result<(), Error> {
        while one.ready.is_empty() {
            let Some(offset) = one.candidates.take_newest() else {
                let Some(below) = one.candidates.dropped_below() else { return Ok(()) };
                let index = one.partition.partition();
                let mut again = self.candidates(&BTreeMap::from([(index, below)]))?;
                one.candidates = again.remove(&index).unwrap_or_default();
                continue;
            };
            if let Some(batch) = self.batch_of(one.partition, offset)? {
                one.ready = self.matches_in(one.partition, &batch, offset);
                one.candidates.forget_from(first_offset(&batch).min(offset));
            }
        }
        Ok(())
    }
}

/// As for consumers, a partition that was deleted or trimmed meanwhile just has nothing any more.
fn unless_gone<T>(read: Result<T, ReadError>) -> Result<Option<T>, Error> {
    match read {
        Ok(read) => Ok(Some(read)),
        Err(ReadError::OutOfRange { .. } | ReadError::Deleted) => Ok(None),
        Err(ReadError::Log(error)) => Err(error),
    }
}

fn first_offset(batch: &[u8]) -> Offset {
    RecordBatchView::parse(batch).map_or(Offset::MAX, |batch| batch.base_offset())
}
