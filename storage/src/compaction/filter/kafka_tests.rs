//! The filter against outputs of Kafka 4.3.1's own cleaner filter on random batches in all codecs.
//!
//! `kafka-4.3.1.txt` was written by a program that drives that release's `Cleaner` and `MemoryRecords.filterTo`. A pass is
//! a line `R now retention dirty_from map_end range_end`; `K key newest_offset` for each key in the map; `P producer
//! last_data_offset` (-1: none, its newest batch is a marker) for each remembered producer; `T producer first last` for
//! each aborted transaction; `B batch output` for each batch (`-`: dropped); `E`. Later passes filter what earlier ones left.

use protocol::record_batch::{HEADER_LEN, RecordBatchView};
use protocol::record_lookup::records_payload;

use super::super::key_map::KeyMap;
use super::*;

const PASSES: &str = include_str!("kafka-4.3.1.txt");

#[derive(Default)]
struct Pass {
    numbers: Vec<i64>,
    keys: Vec<(Vec<u8>, Offset)>,
    producers: Vec<(i64, Offset)>,
    aborted: Vec<AbortedTransaction>,
    batches: Vec<(Vec<u8>, Option<Vec<u8>>)>,
}

fn passes() -> Vec<Pass> {
    let mut passes = Vec::new();
    let mut pass = Pass::default();
    for line in PASSES.lines() {
        let words: Vec<&str> = line.split(' ').collect();
        let number = |at: usize| words[at].parse::<i64>().unwrap();
        match words[0] {
            "R" => pass.numbers = (1..6).map(number).collect(),
            "K" => pass.keys.push((unhex(words[1]), number(2))),
            "P" => pass.producers.push((number(1), number(2))),
            "T" => pass.aborted.push(AbortedTransaction {
                producer_id: number(1),
                first_offset: number(2),
                last_offset: number(3),
            }),
            "B" => pass.batches.push((unhex(words[1]), (words[2] != "-").then(|| unhex(words[2])))),
            _ => {
                pass.aborted.sort_by_key(|aborted| (aborted.producer_id, aborted.first_offset));
                passes.push(std::mem::take(&mut pass));
            }
        }
    }
    passes
}

fn unhex(text: &str) -> Vec<u8> {
    let digits = text.as_bytes().chunks_exact(2);
    digits.map(|pair| u8::from_str_radix(std::str::from_utf8(pair).unwrap(), 16).unwrap()).collect()
}

/// The last word of Kafka's producer state about `batch`.
fn is_last(producers: &[(i64, Offset)], batch: &RecordBatchView<'_>) -> bool {
    let last = producers.iter().find(|(id, _)| *id == batch.producer_id()).map(|(_, last)| *last);
    let end = batch.base_offset() + i64::from(batch.last_offset_delta());
    last.is_some_and(|last| if last < 0 { batch.is_control() } else { last == end })
}

/// A batch but for what depends on the codec's implementation: header without length and CRC, records decompressed.
fn readable(batch: &[u8]) -> (Vec<u8>, Vec<u8>) {
    let view = RecordBatchView::parse(batch).unwrap();
    view.verify_crc().unwrap();
    let header = [&batch[..8], &batch[12..17], &batch[21..HEADER_LEN]].concat();
    (header, records_payload(&view, PAYLOAD_CAP).unwrap().into_owned())
}

#[test]
fn batches_are_filtered_as_kafka_4_3_1_filters_them() {
    let passes = passes();
    let mut kinds = [0; 3];
    for pass in &passes {
        let [now_ms, delete_retention_ms, dirty_from, map_end, range_end] = pass.numbers[..] else {
            panic!("five numbers")
        };
        let keys = KeyMap::of(&pass.keys, map_end);
        if map_end == range_end {
            let mut learned = KeyMap::new(dirty_from, 100);
            for (batch, _) in &pass.batches {
                assert!(learned.add_batch(&RecordBatchView::parse(batch).unwrap(), &pass.aborted));
            }
            for (key, newest) in &pass.keys {
                assert!(learned.is_newest(key, *newest) && !learned.is_newest(key, newest - 1));
            }
            assert_eq!(learned.len(), pass.keys.len());
        }
        let is_last_of_producer = |batch: &RecordBatchView<'_>| is_last(&pass.producers, batch);
        let mut filter = BatchFilter::new(FilterContext {
            keys: &keys,
            now_ms,
            delete_retention_ms,
            range_end,
            is_last_of_producer: &is_last_of_producer,
            aborted: &pass.aborted,
        });
        for (batch, expected) in &pass.batches {
            let (kind, found) = match filter.filter(batch) {
                Kept::Whole => (0, Some(batch.clone())),
                Kept::Rewritten(rewritten) => (1, Some(rewritten.to_vec())),
                Kept::Gone => (2, None),
            };
            kinds[kind] += 1;
            assert_eq!(found.as_deref().map(readable), expected.as_deref().map(readable));
        }
    }
    assert!(kinds.iter().all(|count| *count > 10), "{kinds:?}");
}
