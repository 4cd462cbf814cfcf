//! The life of a tombstone, what stays of producers, what is refused; and a model of many passes.

use std::collections::BTreeMap;

use proptest::prelude::*;
use protocol::compression::compress;
use protocol::record_batch::{Codec, HEADER_LEN, set_log_append_time};
use protocol::record_batch_builder::RecordBatchBuilder;
use protocol::record_lookup::{first_record_at_or_after, max_timestamp_record};

use super::*;

const CODECS: [(Codec, u8); 5] =
    [(Codec::None, 0), (Codec::Gzip, 1), (Codec::Snappy, 2), (Codec::Lz4, 3), (Codec::Zstd, 4)];

/// Timestamp, key, value.
type Row = (i64, Option<Vec<u8>>, Option<Vec<u8>>);

fn row(timestamp: i64, key: &str, value: Option<&str>) -> Row {
    (timestamp, Some(key.into()), value.map(Into::into))
}

fn batch(base_offset: Offset, rows: &[Row]) -> Vec<u8> {
    build(RecordBatchBuilder::new(base_offset), rows)
}

fn build(mut builder: RecordBatchBuilder, rows: &[Row]) -> Vec<u8> {
    for (timestamp, key, value) in rows {
        builder.append_with_headers(*timestamp, key.as_deref(), value.as_deref(), &[(b"h", Some(b"x"))]);
    }
    builder.build().to_vec()
}

/// The same batch with its records section as `codec` has it.
fn compressed(batch: &[u8], (codec, bits): (Codec, u8)) -> Vec<u8> {
    with_section(batch, bits, &compress(codec, &batch[HEADER_LEN..]).unwrap())
}

fn with_section(batch: &[u8], bits: u8, section: &[u8]) -> Vec<u8> {
    let mut out = [&batch[..HEADER_LEN], section].concat();
    let length = i32::try_from(out.len() - 12).unwrap();
    out[8..12].copy_from_slice(&length.to_be_bytes());
    out[22] |= bits;
    with_crc(out)
}

fn with_crc(mut batch: Vec<u8>) -> Vec<u8> {
    let crc = crc32c::crc32c(&batch[21..]);
    batch[17..21].copy_from_slice(&crc.to_be_bytes());
    batch
}

fn view(batch: &[u8]) -> RecordBatchView<'_> {
    let view = RecordBatchView::parse(batch).unwrap();
    view.verify_crc().unwrap();
    view
}

/// Offset and row of each record.
fn rows(batch: &[u8]) -> Vec<(Offset, Row)> {
    let view = view(batch);
    let payload = records_payload(&view, 1 << 24).unwrap();
    let row = |record: Record<'_>| {
        assert_eq!(record.headers().next().map(|header| header.value), Some(Some(&b"x"[..])));
        let timestamp = view.base_timestamp() + record.timestamp_delta;
        let row = (timestamp, record.key.map(Into::into), record.value.map(Into::into));
        (view.base_offset() + i64::from(record.offset_delta), row)
    };
    RecordIter::new(&payload, view.record_count()).unwrap().map(|record| row(record.unwrap())).collect()
}

const NOBODY: &dyn Fn(&RecordBatchView<'_>) -> bool = &|_| false;

fn context(keys: &KeyMap, now_ms: i64) -> FilterContext<'_> {
    FilterContext {
        keys,
        now_ms,
        delete_retention_ms: 50,
        range_end: -1,
        is_last_of_producer: NOBODY,
        aborted: &[],
    }
}

fn filter(keys: &KeyMap, now_ms: i64, batch: &[u8]) -> Kept {
    BatchFilter::new(context(keys, now_ms)).filter(batch)
}

fn learned(batches: &[&[u8]]) -> KeyMap {
    let mut keys = KeyMap::new(0, 1000);
    assert!(batches.iter().all(|batch| keys.add_batch(&view(batch), &[])));
    keys
}

fn rewritten(kept: Kept) -> Vec<u8> {
    match kept {
        Kept::Rewritten(batch) => batch.to_vec(),
        other => panic!("{other:?}"),
    }
}

#[test]
fn newest_record_of_each_key_stays_in_every_codec() {
    for codec in CODECS {
        let old =
            [row(30, "a", Some("1")), row(70, "b", Some("1")), row(40, "c", Some("1")), (5, None, None)];
        let old = build(RecordBatchBuilder::new(10).leader_epoch(7).producer(9, 3, 100), &old);
        let old = compressed(&old, codec);
        let new = compressed(&batch(14, &[row(60, "b", Some("2"))]), codec);
        let keys = learned(&[&old, &new]);
        let left = rewritten(filter(&keys, 1000, &old));
        assert_eq!(rows(&left), [(10, row(30, "a", Some("1"))), (12, row(40, "c", Some("1")))]);
        let (left, old) = (view(&left), view(&old));
        assert_eq!((left.base_offset(), left.last_offset_delta(), left.leader_epoch()), (10, 3, 7));
        assert_eq!((left.producer_id(), left.producer_epoch(), left.base_sequence()), (9, 3, 100));
        assert_eq!((left.last_sequence(), left.codec()), (old.last_sequence(), old.codec()));
        assert_eq!((left.base_timestamp(), left.max_timestamp(), left.record_count()), (30, 40, 2));
        assert_eq!(left.delete_horizon(), None);
        assert_eq!(filter(&keys, 1000, &new), Kept::Whole);
    }
}

#[test]
fn tombstone_stays_until_its_horizon_and_then_goes() {
    for codec in CODECS {
        let first = compressed(&batch(0, &[row(10, "a", None), row(20, "b", Some("1"))]), codec);
        let keys = learned(&[&first]);
        let marked = rewritten(filter(&keys, 1000, &first));
        assert_eq!(view(&marked).delete_horizon(), Some(1050));
        assert_eq!(view(&marked).max_timestamp(), 20);
        assert_eq!(rows(&marked), rows(&first), "timestamps count from the horizon");
        assert_eq!(filter(&keys, 1049, &marked), Kept::Whole);
        let cleared = rewritten(filter(&keys, 1050, &marked));
        assert_eq!(rows(&cleared), [(1, row(20, "b", Some("1")))]);
        assert_eq!(view(&cleared).delete_horizon(), Some(1050), "it stays what it was");

        let newer = batch(2, &[row(30, "b", Some("2"))]);
        let keys = learned(&[&marked, &newer]);
        assert_eq!(rows(&rewritten(filter(&keys, 1001, &marked))), [(0, row(10, "a", None))]);
        assert_eq!(filter(&keys, 1050, &marked), Kept::Gone);
    }
}

#[test]
fn lookup_by_time_understands_a_delete_horizon() {
    let marked = batch(0, &[row(10, "a", None), row(30, "b", Some("1")), row(20, "c", Some("1"))]);
    let marked = rewritten(filter(&learned(&[&marked]), 1000, &marked));
    let view = view(&marked);
    assert_eq!(view.base_timestamp(), 1050);
    assert_eq!(first_record_at_or_after(&view, 11, 0, 0).unwrap(), Some((1, 30)));
    assert_eq!(first_record_at_or_after(&view, 31, 0, 0).unwrap(), None);
    assert_eq!(max_timestamp_record(&view, 0).unwrap(), Some((1, 30)));
}

#[test]
fn append_time_of_the_broker_stays() {
    let mut old = batch(0, &[row(10, "a", None), row(20, "b", Some("1"))]);
    set_log_append_time(&mut old, 5000).unwrap();
    let keys = learned(&[&old, &batch(2, &[row(0, "b", Some("2"))])]);
    let left = rewritten(filter(&keys, 6000, &old));
    let view = view(&left);
    assert!(view.is_log_append_time());
    assert_eq!((view.max_timestamp(), view.delete_horizon()), (5000, Some(6050)));
    assert_eq!(max_timestamp_record(&view, 0).unwrap(), Some((0, 5000)));
}

#[test]
fn newest_batch_of_a_producer_stays_as_a_header() {
    let old =
        build(RecordBatchBuilder::new(5).producer(9, 1, 20), &[row(10, "a", Some("1")), row(8, "a", None)]);
    let old = compressed(&old, CODECS[1]);
    let keys = learned(&[&old, &batch(7, &[row(0, "a", Some("2"))])]);
    assert_eq!(filter(&keys, 0, &old), Kept::Gone);
    let is_last = |batch: &RecordBatchView<'_>| batch.producer_id() == 9 && batch.base_offset() == 5;
    let mut filter = BatchFilter::new(FilterContext { is_last_of_producer: &is_last, ..context(&keys, 0) });
    let empty = rewritten(filter.filter(&old));
    assert_eq!(empty.len(), HEADER_LEN);
    let view = view(&empty);
    assert_eq!((view.base_offset(), view.last_offset_delta(), view.record_count()), (5, 1, 0));
    assert_eq!((view.base_sequence(), view.last_sequence(), view.max_timestamp()), (20, 21, 10));
    assert_eq!(view.codec(), Some(Codec::None));
    assert!(rows(&empty).is_empty());
    assert_eq!(filter.filter(&empty), Kept::Whole);
    assert_eq!(BatchFilter::new(context(&keys, 0)).filter(&empty), Kept::Gone);
}

#[test]
fn last_batch_of_the_range_stays_as_a_header() {
    let old = batch(5, &[row(10, "a", Some("1"))]);
    let keys = learned(&[&old, &batch(6, &[row(0, "a", Some("2"))])]);
    let mut filter = BatchFilter::new(FilterContext { range_end: 6, ..context(&keys, 0) });
    assert_eq!(rewritten(filter.filter(&old)).len(), HEADER_LEN);
}

#[test]
fn records_above_the_end_of_the_map_stay() {
    let old =
        batch(0, &[row(1, "a", Some("1")), row(2, "a", Some("2")), (3, None, None), row(4, "a", Some("3"))]);
    let keys = KeyMap::of(&[(b"a".to_vec(), 1)], 2);
    let left = rewritten(filter(&keys, 0, &old));
    assert_eq!(rows(&left).iter().map(|(offset, _)| *offset).collect::<Vec<_>>(), [1, 2, 3]);
}

#[test]
fn aborted_records_go_and_their_marker_follows_after_its_horizon() {
    let data = build(RecordBatchBuilder::new(0).producer(9, 1, 0).transactional(), &[row(1, "a", Some("1"))]);
    let mut marker = RecordBatchBuilder::new(1).producer(9, 1, -1).transactional().control();
    marker.append(2, Some(&[0, 0, 0, 0]), Some(&[0; 6]));
    let marker = marker.build().to_vec();
    let aborted = [AbortedTransaction { producer_id: 9, first_offset: 0, last_offset: 1 }];
    let mut keys = KeyMap::new(0, 10);
    assert!(keys.add_batch(&view(&data), &aborted) && keys.add_batch(&view(&marker), &aborted));
    assert_eq!((keys.len(), keys.upto()), (0, 2));
    let at = |now_ms| FilterContext { aborted: &aborted, ..context(&keys, now_ms) };
    let mut first = BatchFilter::new(at(0));
    assert_eq!((first.filter(&data), first.filter(&marker)), (Kept::Gone, Kept::Whole));
    let marked = rewritten(BatchFilter::new(at(100)).filter(&marker));
    assert_eq!(view(&marked).delete_horizon(), Some(150));
    assert!(view(&marked).is_control());
    assert_eq!(BatchFilter::new(at(149)).filter(&marked), Kept::Whole);
    assert_eq!(BatchFilter::new(at(150)).filter(&marked), Kept::Gone);
}

#[test]
fn control_batch_that_ends_no_transaction_stays() {
    let mut other = RecordBatchBuilder::new(0).control();
    other.append(2, Some(&[0, 0, 0, 2]), Some(&[0; 6]));
    let other = other.build();
    assert_eq!(filter(&learned(&[&other]), i64::MAX, &other), Kept::Whole);
}

#[test]
fn what_cannot_be_read_is_kept_and_outdoes_nothing() {
    let good = batch(0, &[row(1, "a", Some("1"))]);
    let damaged = batch(1, &[row(1, "a", Some("2")), row(1, "b", Some("2"))]);
    let mut wrong_crc = damaged.clone();
    *wrong_crc.last_mut().unwrap() ^= 1;
    let mut unread = vec![wrong_crc, with_section(&damaged, 6, b"no such codec")];
    // Well formed up to the length of the very last field.
    let mut cut = damaged.clone();
    let at = cut.len() - 2;
    cut[at] = 4;
    unread.push(with_crc(cut));
    unread.extend(CODECS[1..].iter().map(|(_, bits)| with_section(&damaged, *bits, &[0xa5; 40])));
    for bytes in &unread {
        let mut keys = learned(&[&good]);
        assert!(keys.add_batch(&RecordBatchView::parse(bytes).unwrap(), &[]));
        assert_eq!((keys.len(), keys.upto()), (1, 3));
        assert_eq!(filter(&keys, 0, bytes), Kept::Whole);
        assert_eq!(filter(&keys, 0, &good), Kept::Whole);
        assert!(keys.add_batch(&view(&batch(3, &[row(1, "a", Some("3")), row(1, "b", Some("3"))])), &[]));
        assert_eq!(filter(&keys, 0, bytes), Kept::Whole);
        assert_eq!(filter(&keys, 0, &good), Kept::Gone);
    }
    let keys = learned(&[&good]);
    assert_eq!(filter(&keys, 0, &good[..60]), Kept::Whole);
    assert_eq!(filter(&keys, 0, &[&good[..], b"more"].concat()), Kept::Whole);
}

#[test]
fn batch_that_decompresses_over_the_cap_is_kept() {
    let wide = vec![b'x'; PAYLOAD_CAP / 2];
    let rows: Vec<Row> = vec![(1, Some(b"a".to_vec()), Some(wide)); 2];
    let mut bomb = compressed(&batch(0, &rows), CODECS[4]);
    assert!(bomb.len() < 1 << 16);
    let keys = learned(&[&bomb, &batch(2, &[row(1, "a", Some("1"))])]);
    assert_eq!(keys.len(), 1);
    assert_eq!(filter(&keys, 0, &bomb), Kept::Whole);
    bomb.truncate(100);
    assert_eq!(filter(&keys, 0, &bomb), Kept::Whole);
}

#[test]
fn timestamps_that_no_clock_gave_do_no_harm() {
    let mut old = batch(0, &[row(1, "a", None), row(2, "b", Some("1"))]);
    old[27..35].copy_from_slice(&i64::MAX.to_be_bytes());
    let old = with_crc(old);
    assert_eq!(filter(&learned(&[&old]), i64::MAX, &old), Kept::Whole);
}

/// A log of batches that is compacted again and again, and what it must hold by then.
struct Model {
    log: Vec<Vec<u8>>,
    upto: Offset,
}

impl Model {
    /// One pass over the dirty part with a map of `max_keys`.
    fn pass(&mut self, max_keys: usize, now_ms: i64, range_end: Offset) {
        let mut keys = KeyMap::new(self.upto, max_keys);
        let dirty = self.log.iter().filter(|batch| {
            let view = view(batch);
            view.base_offset() + i64::from(view.last_offset_delta()) >= self.upto
        });
        if dirty.clone().all(|batch| keys.add_batch(&view(batch), &[])) {
            keys.finish(range_end);
        }
        assert!(keys.upto() > self.upto || self.upto == range_end, "every pass comes further");
        let mut filter = BatchFilter::new(FilterContext { range_end, ..context(&keys, now_ms) });
        let below = |batch: &Vec<u8>| view(batch).base_offset() < keys.upto();
        let mut left = Vec::new();
        for batch in std::mem::take(&mut self.log) {
            match if below(&batch) { filter.filter(&batch) } else { Kept::Whole } {
                Kept::Whole => left.push(batch),
                Kept::Rewritten(rewritten) => left.push(rewritten.to_vec()),
                Kept::Gone => {}
            }
        }
        self.log = left;
        self.upto = keys.upto();
    }

    fn rows(&self) -> Vec<(Offset, Row)> {
        self.log.iter().flat_map(|batch| rows(batch)).collect()
    }
}

fn any_row() -> impl Strategy<Value = Row> {
    let key = prop::option::weighted(0.95, prop::collection::vec(0_u8..6, 1..=1));
    let value = prop::option::weighted(0.7, prop::collection::vec(any::<u8>(), 0..20));
    (0_i64..1000, key, value)
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(200))]

    #[test]
    fn passes_leave_the_newest_record_of_each_key(
        batches in prop::collection::vec((prop::collection::vec(any_row(), 1..8), 0_usize..5), 1..12),
        max_keys in 1_usize..8,
        later in 0_usize..12,
    ) {
        let mut model = Model { log: Vec::new(), upto: 0 };
        let (mut end, mut all) = (0, Vec::new());
        let mut newest = BTreeMap::new();
        for (index, (rows, codec)) in batches.iter().enumerate() {
            model.log.push(compressed(&batch(end, rows), CODECS[*codec]));
            for row in rows {
                if let (_, Some(key), _) = row {
                    newest.insert(key.clone(), end);
                }
                all.push((end, row.clone()));
                end += 1;
            }
            if index == later {
                model.pass(max_keys, 1000, end);
            }
        }
        while model.upto < end {
            model.pass(max_keys, 1000, end);
        }
        model.pass(max_keys, 1000, end);
        all.retain(|(offset, (_, key, _))| key.as_ref().is_some_and(|key| newest[key] == *offset));
        prop_assert_eq!(model.rows(), all.clone());
        // Every tombstone has its horizon by now.
        model.pass(max_keys, 1049, end);
        prop_assert_eq!(model.rows(), all.clone());
        model.pass(max_keys, 1050, end);
        all.retain(|(_, (_, _, value))| value.is_some());
        prop_assert_eq!(model.rows(), all);
        let last = model.log.last().map(|batch| view(batch).base_offset() + i64::from(view(batch).last_offset_delta()));
        prop_assert_eq!(last, Some(end - 1), "the log's end can be told from its batches");
    }

    #[test]
    fn any_flipped_byte_gives_a_readable_batch_or_the_same(
        rows in prop::collection::vec(any_row(), 1..8),
        codec in 0_usize..5,
        flips in prop::collection::vec((any::<prop::sample::Index>(), 1_u8..), 1..4),
    ) {
        let mut bytes = compressed(&batch(0, &rows), CODECS[codec]);
        for (at, bits) in &flips {
            let at = at.index(bytes.len());
            bytes[at] ^= bits;
        }
        let bytes = with_crc(bytes);
        let mut keys = KeyMap::new(0, 1000);
        if let Ok(view) = RecordBatchView::parse(&bytes) {
            keys.add_batch(&view, &[]);
        }
        if let Kept::Rewritten(left) = filter(&keys, 1000, &bytes) {
            let (left, before) = (view(&left), RecordBatchView::parse(&bytes).unwrap());
            prop_assert_eq!(left.base_offset(), before.base_offset());
            prop_assert_eq!(left.last_offset_delta(), before.last_offset_delta());
            let payload = records_payload(&left, PAYLOAD_CAP).unwrap();
            let records = RecordIter::new(&payload, left.record_count()).unwrap();
            prop_assert!(records.clone().all(|record| record.is_ok()));
        }
    }
}
