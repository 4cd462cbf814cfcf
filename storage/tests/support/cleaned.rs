//! What the tests of compaction and rewriting share: stores on a simulated disk, tables of the newest values.

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::Arc;

use protocol::record_batch::RecordBatchView;
use protocol::record_set::RecordIter;
use storage::disk::Disk;
use storage::{Configs, FlushMode, OpenError, PartitionLog, Store, StoreConfig};

use super::simulated_disk::SimulatedDisk;
use super::{Random, SMALL_FILE, config, open, read_all};

/// The newest value of each key.
pub type Table = BTreeMap<Vec<u8>, Vec<u8>>;

pub fn configs(pairs: &[(&str, &str)]) -> Configs {
    pairs.iter().map(|(key, value)| ((*key).to_owned(), (*value).to_owned())).collect()
}

pub fn store_config() -> StoreConfig {
    StoreConfig { checkpoint_bytes: 2 * SMALL_FILE, ..config("/data", FlushMode::Sync) }
}

pub fn try_open_on(disk: &SimulatedDisk, config: StoreConfig) -> Result<Arc<Store>, OpenError> {
    open(Arc::new(disk.clone()), config).map(|(store, _)| store)
}

pub fn open_on(disk: &SimulatedDisk) -> Arc<Store> {
    try_open_on(disk, store_config()).unwrap_or_else(|error| panic!("{error}"))
}

pub fn partition(store: &Store, topic: &str) -> Arc<PartitionLog> {
    store.topic(topic).unwrap().partition(0).unwrap()
}

pub fn is_rewrite_file(path: &Path) -> bool {
    path.parent().is_some_and(|dir| dir.ends_with("commitlog"))
        && path.file_name().and_then(|name| name.to_str()).is_some_and(|name| name > "04")
}

pub fn has_rewrite_files(disk: &SimulatedDisk) -> bool {
    disk.paths().iter().any(|path| is_rewrite_file(path))
}

/// Removes what a start can make again from the log alone.
pub fn drop_projections(disk: &SimulatedDisk) {
    for path in disk.paths() {
        let projection = ["/data/consumequeue", "/data/snapshot"].iter().any(|dir| path.starts_with(dir));
        if projection || path.ends_with("checkpoint") {
            disk.remove(&path).unwrap();
        }
    }
}

/// What three power cuts at the same moment may leave of a disk: nothing that was not synced, all of it, or some of it; with
/// or without what a start can make again.
pub fn left_by_power_cuts(at_cut: &SimulatedDisk, cut: u64) -> [SimulatedDisk; 3] {
    [0, 1, 2].map(|pattern| {
        let mut random = Random(cut * 4 + pattern);
        let left = at_cut.crash(|| pattern == 1 || (pattern == 2 && random.coin()));
        if random.below(4) == 0 {
            drop_projections(&left);
        }
        left
    })
}

/// A record without a value removes.
pub fn put<'a>(table: &mut Table, records: impl Iterator<Item = (&'a [u8], Option<&'a [u8]>)>) {
    for (key, value) in records {
        match value {
            Some(value) => table.insert(key.to_vec(), value.to_vec()),
            None => table.remove(key),
        };
    }
}

/// The table that a reader from the start makes of a topic without transactions.
pub fn table(store: &Store, topic: &str) -> Table {
    let log = partition(store, topic);
    let (mut table, mut last) = (Table::new(), -1);
    for batch in read_all(store, &log, log.log_start_offset()) {
        let view = RecordBatchView::parse(&batch).unwrap();
        for record in RecordIter::new(view.records_bytes(), view.record_count()).unwrap() {
            let record = record.unwrap();
            let offset = view.base_offset() + i64::from(record.offset_delta);
            assert!(offset > last, "offset {offset} follows {last}");
            last = offset;
            put(&mut table, std::iter::once((record.key.unwrap(), record.value)));
        }
    }
    table
}
