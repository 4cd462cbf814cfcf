//! The state snapshot: everything that frames below a position add up to, as one file (`docs/STORAGE_FORMAT.md` §7).
//!
//! Called by `housekeeping` (`begin` under the append lock, the rest beside appends) and `recovery` (decode). Invariant:
//! decode gives back what was encoded, or an error; a damaged snapshot never yields state.

mod freeze;
mod partition;

use std::sync::Arc;

use bytes::BufMut;

use crate::catalog::{Catalog, Deleted, TopicRecord, decode_configs, encode_configs};
use crate::commit_log::CommitLog;
use crate::consume_queue::Extents;
use crate::decode::{DecodeError, Reader};
use crate::manifest::FileRecord;
use crate::position::Position;
use crate::topic::Topic;

pub(crate) use freeze::Freeze;

/// "OLSN" and format version 3.
const MAGIC: u64 = 0x4f4c_534e_0000_0003;
/// Version 2 knew nothing of transactions, and no log that it was made of had any.
const MAGIC_2: u64 = 0x4f4c_534e_0000_0002;
const CRC_LEN: usize = 4;

/// A snapshot in the making: what does not belong to a partition, and the topics that there were.
pub(crate) struct Draft {
    out: Vec<u8>,
    topics: Vec<Arc<Topic>>,
}

/// Begins a snapshot of the state at `position`. The caller holds the append lock, so that nothing moves.
pub(crate) fn begin(catalog: &Catalog, log: &CommitLog, position: Position) -> Draft {
    let mut out = Vec::new();
    out.put_u64(MAGIC);
    out.put_u64(position.0);
    out.put_u32(catalog.next_number());
    out.put_i64(catalog.reserved_producer_ids());
    out.put_u64(catalog.producer_ids_frame().0);
    put_sized(&mut out, &encode_configs(&catalog.broker_configs()));
    out.put_u64(catalog.broker_configs_frame().0);
    let files = log.live();
    out.put_u32(u32::try_from(files.len()).expect("file counts are below 2^32"));
    for (file, live) in files {
        file.encode(&mut out);
        out.put_u64(live);
    }
    let deleted = catalog.deleted();
    out.put_u32(u32::try_from(deleted.len()).expect("topic numbers are u32"));
    for (number, deleted) in deleted {
        out.put_u32(number);
        out.put_u64(deleted.at.0);
        out.put_u64(deleted.frame.0);
    }
    Draft { out, topics: catalog.topics() }
}

impl Draft {
    /// Adds the partitions. Appends go on meanwhile: a partition that one of them touches first was put aside in `freeze`.
    /// What is said of a topic may be newer than the snapshot; its replay then changes nothing. The snapshot counts once
    /// the pages that wait in `extents` are on disk.
    pub(crate) fn finish(mut self, extents: &Extents, freeze: &Freeze) -> Vec<u8> {
        let out = &mut self.out;
        out.put_u32(u32::try_from(self.topics.len()).expect("topic numbers are u32"));
        for topic in &self.topics {
            let partitions = topic.partitions();
            let count = u32::try_from(partitions.len()).expect("partition numbers are u32");
            out.put_u32(topic.number());
            out.put_u64(topic.frame().0);
            put_sized(out, &TopicRecord { partitions: count, ..topic.record() }.encode());
            for partition in partitions.iter() {
                freeze.take(out, partition, extents);
            }
        }
        freeze.end();
        let crc = crc32c::crc32c(out);
        out.put_u32(crc);
        self.out
    }
}

/// The commitlog's files and the live bytes of each.
type LiveBytes = Vec<(FileRecord, u64)>;

/// Fills an empty catalog; tells `extents` which pages are in use.
///
/// # Errors
/// A sentence that says what does not fit; the catalog is then unusable.
pub(crate) fn decode(
    bytes: &[u8],
    catalog: &Catalog,
    extents: &Extents,
    position: Position,
) -> Result<LiveBytes, String> {
    let (body, crc) = bytes.split_at_checked(bytes.len().saturating_sub(CRC_LEN)).ok_or("it is empty")?;
    if crc != crc32c::crc32c(body).to_be_bytes() {
        return Err("its CRC does not match".to_owned());
    }
    let mut reader = Reader::new(body);
    let live = decode_body(&mut reader, catalog, position).and_then(|(live, used_pages)| {
        reader.finish()?;
        extents.set_used(used_pages)?;
        Ok(live)
    });
    live.map_err(|error| error.to_string())
}

/// The second of the pair: the pages of the consume queues.
fn decode_body(
    reader: &mut Reader<'_>,
    catalog: &Catalog,
    position: Position,
) -> Result<(LiveBytes, Vec<u32>), DecodeError> {
    let has_transactions = match reader.u64()? {
        MAGIC => true,
        MAGIC_2 => false,
        _ => return Err(DecodeError::Short),
    };
    if reader.u64()? != position.0 {
        return Err(DecodeError::Short);
    }
    let next_number = reader.u32()?;
    catalog.apply_producer_ids(reader.i64()?, Position(reader.u64()?));
    let configs = reader.length()?;
    catalog.apply_broker_configs(decode_configs(reader.take(configs)?)?, Position(reader.u64()?));
    let files = reader.length()?;
    let live = (0..files)
        .map(|_| Ok((FileRecord::decode(reader)?, reader.u64()?)))
        .collect::<Result<Vec<_>, DecodeError>>()?;
    for _ in 0..reader.length()? {
        let number = reader.u32()?;
        let (at, frame) = (Position(reader.u64()?), Position(reader.u64()?));
        catalog.set_deleted(number, Deleted { at, frame });
    }
    let topics = reader.length()?;
    let mut used_pages = Vec::new();
    for _ in 0..topics {
        let (number, frame) = (reader.u32()?, Position(reader.u64()?));
        let len = reader.length()?;
        let mut record = TopicRecord::decode(reader.take(len)?)?;
        let partitions = std::mem::take(&mut record.partitions);
        let topic = catalog.apply_topic(number, record, frame);
        let partitions = (0..partitions)
            .map(|partition| {
                let log = partition::decode(reader, (number, partition), topic.policy(), has_transactions)?;
                used_pages.extend(log.state().queue.page_numbers());
                Ok(Arc::new(log))
            })
            .collect::<Result<Vec<_>, DecodeError>>()?;
        topic.set_partitions(partitions);
    }
    catalog.raise_next_number(next_number);
    Ok((live, used_pages))
}

fn put_sized(out: &mut Vec<u8>, bytes: &[u8]) {
    out.put_u32(u32::try_from(bytes.len()).expect("texts are smaller than frames"));
    out.put_slice(bytes);
}
