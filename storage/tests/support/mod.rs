//! What the storage tests share: batches to append, a store without threads on a disk of the test's choice.
#![allow(dead_code, unreachable_pub, clippy::unwrap_used, reason = "each test binary uses its part")]

pub mod batches;
pub mod cleaned;
pub mod simulated_disk;

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use protocol::control_batch::{EndTransactionMarker, MarkerType};
use protocol::record_batch_builder::RecordBatchBuilder;
use storage::disk::Disk;
use storage::{
    Append, AppendError, Appended, CompactionLimits, Configs, FlushMode, LogPolicy, OpenError, PartitionLog,
    ReadRequest, Recovered, Store, StoreConfig, SystemClock, ValidBatch,
};

/// Small enough that a few dozen batches roll it.
pub const SMALL_FILE: u64 = 64 * 1024;

pub fn config(dir: impl Into<PathBuf>, flush: FlushMode) -> StoreConfig {
    StoreConfig {
        dir: dir.into(),
        file_size: SMALL_FILE,
        flush,
        checkpoint_bytes: u64::MAX,
        producer_expiration: Arc::new(|_| Duration::MAX),
        retention_check: Duration::ZERO,
        policies: Arc::new(|_, topic, _| policy(topic)),
        compaction: CompactionLimits::default(),
        threads: false,
    }
}

/// A topic's policy as its configs say it in plain numbers; nothing is deleted unless they ask for it. What is no number, as in a
/// directory that was damaged on purpose, counts as not there.
pub fn policy(configs: &Configs) -> LogPolicy {
    let number = |key: &str| configs.get(key).and_then(|value| value.parse::<u64>().ok());
    let ms = |key: &str| number(key).and_then(|value| i64::try_from(value).ok());
    let compact = configs.get("cleanup.policy").is_some_and(|policy| policy.contains("compact"));
    LogPolicy {
        segment_bytes: number("segment.bytes").unwrap_or(u64::MAX),
        retention_bytes: number("retention.bytes"),
        retention_ms: ms("retention.ms"),
        delete: configs.get("cleanup.policy").is_none_or(|policy| policy.contains("delete")),
        compact,
        min_cleanable_dirty_ratio: 0.0,
        delete_retention_ms: ms("delete.retention.ms").unwrap_or(0),
        index_keys: configs.get("onelog.index.keys").is_some_and(|value| value == "true"),
        ..LogPolicy::default()
    }
}

pub fn open(disk: Arc<dyn Disk>, config: StoreConfig) -> Result<(Arc<Store>, Recovered), OpenError> {
    Store::open(config, disk, Arc::new(SystemClock), Box::new(|_| {}))
}

/// A producer's stamp on a batch.
#[derive(Debug, Clone, Copy)]
pub struct Producer {
    pub id: i64,
    pub epoch: i16,
    pub sequence: i32,
}

/// An uncompressed magic-2 batch with one record per timestamp; each value is `value`.
pub fn batch(value: &[u8], timestamps: &[i64], producer: Option<Producer>) -> ValidBatch {
    let producer = producer.unwrap_or(Producer { id: -1, epoch: -1, sequence: -1 });
    let base = timestamps[0];
    let mut records = Vec::new();
    for (index, timestamp) in timestamps.iter().enumerate() {
        let mut record = vec![0_u8];
        put_varint(&mut record, timestamp - base);
        put_varint(&mut record, i64::try_from(index).unwrap());
        put_varint(&mut record, -1);
        put_varint(&mut record, i64::try_from(value.len()).unwrap());
        record.extend_from_slice(value);
        put_varint(&mut record, 0);
        put_varint(&mut records, i64::try_from(record.len()).unwrap());
        records.extend_from_slice(&record);
    }
    let count = i32::try_from(timestamps.len()).unwrap();
    let mut out = Vec::new();
    out.extend_from_slice(&0_i64.to_be_bytes());
    out.extend_from_slice(&i32::try_from(49 + records.len()).unwrap().to_be_bytes());
    out.extend_from_slice(&(-1_i32).to_be_bytes());
    out.push(2);
    out.extend_from_slice(&[0; 4]);
    out.extend_from_slice(&[0; 2]);
    out.extend_from_slice(&(count - 1).to_be_bytes());
    out.extend_from_slice(&base.to_be_bytes());
    out.extend_from_slice(&timestamps.iter().max().unwrap().to_be_bytes());
    out.extend_from_slice(&producer.id.to_be_bytes());
    out.extend_from_slice(&producer.epoch.to_be_bytes());
    out.extend_from_slice(&producer.sequence.to_be_bytes());
    out.extend_from_slice(&count.to_be_bytes());
    out.extend_from_slice(&records);
    let crc = crc32c::crc32c(&out[21..]);
    out[17..21].copy_from_slice(&crc.to_be_bytes());
    ValidBatch::new(Bytes::from(out)).unwrap()
}

/// A batch of a transaction, one record with `value` per timestamp.
pub fn transactional(value: &[u8], timestamps: &[i64], producer: Producer) -> ValidBatch {
    let mut builder =
        RecordBatchBuilder::new(0).producer(producer.id, producer.epoch, producer.sequence).transactional();
    timestamps.iter().for_each(|timestamp| builder.append(*timestamp, None, Some(value)));
    ValidBatch::new(builder.build()).unwrap()
}

/// The marker that ends a transaction, at time 1.
pub fn marker(producer_id: i64, epoch: i16, marker_type: MarkerType, coordinator_epoch: i32) -> ValidBatch {
    let marker = EndTransactionMarker { marker_type, coordinator_epoch };
    ValidBatch::new(marker.build(producer_id, epoch, 1)).unwrap()
}

/// Appends a transactional batch as the produce handler does when the coordinator knows of the transaction.
pub fn append_verified(
    store: &Store,
    partition: &Arc<PartitionLog>,
    batch: ValidBatch,
) -> Result<Appended, AppendError> {
    let guard = partition.begin_verification(&batch.view(), false);
    store.append(vec![Append::new(Arc::clone(partition), batch).verified(guard)]).remove(0)
}

/// An uncompressed batch of keyed records, all with one timestamp; no value is a tombstone.
pub fn keyed_batch(records: &[(Vec<u8>, Option<Vec<u8>>)], timestamp: i64) -> ValidBatch {
    let mut builder = RecordBatchBuilder::new(0);
    for (key, value) in records {
        builder.append(timestamp, Some(key), value.as_deref());
    }
    ValidBatch::new(builder.build()).unwrap()
}

fn put_varint(out: &mut Vec<u8>, value: i64) {
    let mut rest = ((value << 1) ^ (value >> 63)).cast_unsigned();
    while rest >= 0x80 {
        out.push(u8::try_from(rest & 0x7f).unwrap() | 0x80);
        rest >>= 7;
    }
    out.push(u8::try_from(rest).unwrap());
}

/// One append, which must succeed.
pub fn append(store: &Store, partition: &Arc<PartitionLog>, batch: ValidBatch) -> Appended {
    store.append(vec![Append::new(Arc::clone(partition), batch)]).remove(0).unwrap()
}

/// All readable batches from `from` on, as bytes.
pub fn read_all(store: &Store, partition: &PartitionLog, from: i64) -> Vec<Bytes> {
    let limit = partition.log_end_offset();
    let request = ReadRequest { from, limit, max_bytes: usize::MAX, at_least_one: true };
    store.read(partition, &request).unwrap().batches
}

/// SplitMix64: the same seed gives the same run.
#[derive(Debug, Clone)]
pub struct Random(pub u64);

impl Random {
    pub fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }

    pub fn below(&mut self, bound: u64) -> u64 {
        self.next() % bound
    }

    pub fn coin(&mut self) -> bool {
        self.next() & 1 == 1
    }
}
