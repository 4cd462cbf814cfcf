//! The newest offset of each key in the dirty part of a log (Kafka's `OffsetMap`, `Cleaner.buildOffsetMap`).
//!
//! Filled by the compaction runner, asked by `filter`. Invariants: it never holds more than its number of keys; what it
//! says is complete for offsets below [`KeyMap::upto`] and silent about those at and above.

use std::collections::HashMap;
use std::hash::{BuildHasher, RandomState};

use protocol::record_batch::RecordBatchView;
use protocol::record_lookup::records_payload;
use protocol::record_set::RecordIter;

use super::PAYLOAD_CAP;
use super::filter::is_aborted;
use crate::position::Offset;
use crate::transactions::AbortedTransaction;

/// Keys of one pass: 50 MiB at 25 bytes in each of 2^21 slots, seven eighths of which are used. More keys take more
/// passes.
pub(crate) const MAX_KEYS: usize = (1 << 21) / 8 * 7;

/// Key to newest offset.
///
/// A key is held as two 64-bit hashes, not as bytes: it takes 16 bytes however long it is. Two keys with the same hashes
/// would lose a record; at 128 bits that does not happen by chance, and since the standard library's hashers have random
/// keys of their own, nobody can choose such record keys either.
#[derive(Debug)]
pub(crate) struct KeyMap {
    hashers: [RandomState; 2],
    newest: HashMap<(u64, u64), Offset>,
    max_keys: usize,
    from: Offset,
    upto: Offset,
}

impl KeyMap {
    /// To be filled with the batches from the one that holds `from` on; at most `max_keys` keys (at least one).
    pub(crate) fn new(from: Offset, max_keys: usize) -> Self {
        let hashers = [RandomState::new(), RandomState::new()];
        Self { hashers, newest: HashMap::new(), max_keys: max_keys.max(1), from, upto: from }
    }

    /// The offset after the last record that it knows: compaction goes up to here.
    pub(crate) fn upto(&self) -> Offset {
        self.upto
    }

    /// Takes in the next batch; `false` when a key found no place: the map ends there, perhaps inside the batch, and takes
    /// no more. Control batches, records of aborted transactions and batches that cannot be read have no keys.
    pub(crate) fn add_batch(&mut self, batch: &RecordBatchView<'_>, aborted: &[AbortedTransaction]) -> bool {
        let after =
            batch.base_offset().saturating_add(i64::from(batch.last_offset_delta())).saturating_add(1);
        if !batch.is_control() && !is_aborted(batch, aborted) && !self.add_records(batch) {
            return false;
        }
        self.upto = self.upto.max(after);
        true
    }

    /// All batches below `upto` were taken in: offsets that no batch holds any more are covered, too.
    pub(crate) fn finish(&mut self, upto: Offset) {
        self.upto = self.upto.max(upto);
    }

    fn add_records(&mut self, batch: &RecordBatchView<'_>) -> bool {
        let Ok(payload) = records_payload(batch, PAYLOAD_CAP) else { return true };
        let Ok(records) = RecordIter::new(&payload, batch.record_count()) else { return true };
        // `filter` keeps a batch that is damaged anywhere as it is; none of its keys may outdo a readable record.
        if batch.verify_crc().is_err() || records.clone().any(|record| record.is_err()) {
            return true;
        }
        for record in records.flatten() {
            let offset = batch.base_offset().saturating_add(i64::from(record.offset_delta));
            if offset < self.from {
                continue;
            }
            if let Some(key) = record.key
                && !self.add(key, offset)
            {
                self.upto = self.upto.max(offset);
                return false;
            }
        }
        true
    }

    fn add(&mut self, key: &[u8], offset: Offset) -> bool {
        let hash = self.hash(key);
        if let Some(newest) = self.newest.get_mut(&hash) {
            *newest = offset.max(*newest);
            return true;
        }
        let fits = self.newest.len() < self.max_keys;
        if fits {
            self.newest.insert(hash, offset);
        }
        fits
    }

    /// Whether no newer record with `key` is known.
    pub(crate) fn is_newest(&self, key: &[u8], offset: Offset) -> bool {
        self.newest.get(&self.hash(key)).is_none_or(|newest| offset >= *newest)
    }

    #[cfg(test)]
    pub(super) fn of(keys: &[(Vec<u8>, Offset)], upto: Offset) -> Self {
        let mut map = Self::new(0, keys.len());
        assert!(keys.iter().all(|(key, offset)| map.add(key, *offset)));
        map.finish(upto);
        map
    }

    #[cfg(test)]
    pub(super) fn len(&self) -> usize {
        self.newest.len()
    }

    fn hash(&self, key: &[u8]) -> (u64, u64) {
        (self.hashers[0].hash_one(key), self.hashers[1].hash_one(key))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use protocol::record_batch_builder::RecordBatchBuilder;

    fn batch(base_offset: Offset, keys: &[&str]) -> bytes::Bytes {
        let mut builder = RecordBatchBuilder::new(base_offset);
        for key in keys {
            builder.append(0, (!key.is_empty()).then_some(key.as_bytes()), Some(b"v"));
        }
        builder.build()
    }

    fn add(map: &mut KeyMap, batch: &[u8]) -> bool {
        map.add_batch(&RecordBatchView::parse(batch).unwrap(), &[])
    }

    #[test]
    fn full_map_takes_known_keys_and_ends_at_the_first_new_one() {
        let mut map = KeyMap::new(0, 2);
        assert!(add(&mut map, &batch(0, &["a", "b", "a"])));
        assert_eq!(map.upto(), 3);
        assert!(!add(&mut map, &batch(3, &["b", "", "c", "a"])));
        assert_eq!((map.upto(), map.len()), (5, 2));
        assert!(map.is_newest(b"b", 3) && !map.is_newest(b"b", 2));
        assert!(map.is_newest(b"c", 0), "an unknown key has no newer record");
    }

    #[test]
    fn records_below_the_dirty_part_are_not_learned() {
        let mut map = KeyMap::new(2, 10);
        assert!(add(&mut map, &batch(0, &["a", "b", "c"])));
        assert_eq!((map.upto(), map.len()), (3, 1));
        map.finish(9);
        assert_eq!(map.upto(), 9);
    }

    #[test]
    fn even_the_smallest_map_comes_further() {
        let mut map = KeyMap::new(0, 0);
        assert!(!add(&mut map, &batch(0, &["a", "b"])));
        assert_eq!(map.upto(), 1);
    }
}
