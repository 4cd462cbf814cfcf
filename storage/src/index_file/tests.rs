//! The header page, and that whatever a page holds is an error or an answer, never a panic.

use super::*;

fn header() -> Header {
    Header {
        base: Position(0x0102_0304_0506_0708),
        length: 0x1112_1314_1516_1718,
        incarnation: 0x2122_2324,
        created_ms: 0x3132_3334_3536_3738,
        rows: 0x4142_4344,
        keys: 0x5152_5354_5556_5758,
        runs: vec![0x6162_6364, 0x7172_7374],
    }
}

#[test]
fn header_layout_is_the_one_in_the_format_document() {
    let bytes = header().encode();
    let hex: String = bytes.iter().map(|byte| format!("{byte:02x}")).collect();
    assert_eq!(
        hex,
        "4f4c495800000001010203040506070811121314151617182122232431323334353637384142434451525354555657580\
         00000026162636471727374"
    );
    assert_eq!(bytes.len(), FIXED_LEN + 4 * 2);
    let mut page = bytes;
    page.resize(page::ROOM, 0);
    assert_eq!(Header::decode(&page).unwrap(), Some(header()));
    assert_eq!(Header::decode(&vec![0; page::ROOM]).unwrap(), None);
}

#[test]
fn more_runs_than_the_page_has_room_for_are_not_read() {
    let mut page = header().encode();
    page[FIXED_LEN - 4..FIXED_LEN].copy_from_slice(&u32::MAX.to_be_bytes());
    page.resize(page::ROOM, 0);
    assert_eq!(Header::decode(&page).unwrap().unwrap().runs.len(), MAX_RUNS);
}

/// What the partition tables of a whole log say, and what was appended to it.
#[test]
fn partition_tables_say_what_each_partition_has_in_each_file() {
    use crate::{
        Append, CompactionLimits, Configs, FlushMode, LogPolicy, Store, StoreConfig, SystemClock, ValidBatch,
    };
    let dir = tempfile::tempdir().unwrap();
    let config = StoreConfig {
        dir: dir.path().to_owned(),
        file_size: 64 * 1024,
        flush: FlushMode::Os,
        checkpoint_bytes: u64::MAX,
        producer_expiration: Arc::new(|_| std::time::Duration::MAX),
        retention_check: std::time::Duration::ZERO,
        policies: Arc::new(|_, _, _| LogPolicy::default()),
        compaction: CompactionLimits::default(),
        threads: false,
    };
    let disk = Arc::new(crate::disk::LocalDisk);
    let (store, _) = Store::open(config, disk, Arc::new(SystemClock), Box::new(|_| {})).unwrap();
    for name in ["a", "b"] {
        store.create_topic(name, uuid::Uuid::new_v4(), 2, Configs::default()).unwrap();
    }
    for number in 0..400_i64 {
        let topic = store.topic(if number % 3 == 0 { "a" } else { "b" }).unwrap();
        let partition = topic.partition(i32::from(number % 5 == 0)).unwrap();
        let mut builder = protocol::record_batch_builder::RecordBatchBuilder::new(0);
        (0..2).for_each(|more| builder.append(1000 - number - more, Some(b"key"), Some(&[0; 300])));
        let batch = ValidBatch::new(builder.build()).unwrap();
        store.append(vec![Append::new(partition, batch)]).remove(0).unwrap();
    }
    store.flush().unwrap();
    store.build_index_files().unwrap();

    let engine = store.engine();
    let sealed = engine.log.sealed();
    assert!(sealed.len() > 3);
    for file in sealed {
        let table = engine.index_files.of(&file).expect("made above").partition_table().unwrap();
        let places: Vec<(u32, u32)> = table.iter().map(|row| (row.topic, row.partition)).collect();
        assert!(places.is_sorted() && places.len() == 4);
        for row in table {
            let partition = engine.catalog.partition(row.topic, row.partition).unwrap();
            let mut expected = PartitionRow::new(row.topic, row.partition, false);
            let visit = |entry: &crate::consume_queue::Entry| {
                if (file.base()..file.end()).contains(&entry.position) {
                    expected.frames += 1;
                    expected.bytes += entry.frame_len();
                    expected.first_offset = expected.first_offset.min(entry.base_offset);
                    expected.last_offset = entry.last_offset();
                    expected.min_timestamp = expected.min_timestamp.min(entry.max_timestamp);
                    expected.max_timestamp = expected.max_timestamp.max(entry.max_timestamp);
                }
                true
            };
            partition.state().queue.visit_from(0, &engine.extents, visit).unwrap();
            assert_eq!(row, expected);
        }
    }
}
