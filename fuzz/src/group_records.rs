//! The log of the group coordinator: any keys and values, as after a damaged copy or another program's writes.
//!
//! Loads them, then lets a month pass. What must hold is no panic.

use std::time::{Duration, Instant};

use broker::coordinator::group::{Event, GroupConfig, GroupCoordinator, GroupEvent};
use bytes::Bytes;

const PRODUCER: i64 = 7;
/// Timers that make new ones could go on for ever.
const MAX_TIMEOUTS: u32 = 200;

/// `bytes` as a row of records: what it is (1), length of the key (1), key, length of the value (1), value.
pub fn run(bytes: &[u8]) {
    let config = GroupConfig { partitions: 1, ..GroupConfig::default() };
    let start = Instant::now();
    let mut groups = GroupCoordinator::new(config, start, 1_700_000_000_000);
    let mut rest = Bytes::copy_from_slice(bytes);
    while let Some(kind) = take(&mut rest, 1).first().copied() {
        let (key, value) = (field(&mut rest), field(&mut rest));
        let value = (kind & 4 == 0).then_some(value);
        groups.handle(
            start,
            match kind & 3 {
                0 | 1 => Event::LoadRecord { partition: 0, key, value },
                2 => Event::Own(GroupEvent::LoadTransactionalRecord {
                    partition: 0,
                    producer_id: PRODUCER,
                    key,
                    value,
                }),
                _ => Event::Own(GroupEvent::LoadMarker {
                    partition: 0,
                    producer_id: PRODUCER,
                    committed: kind & 8 == 0,
                }),
            },
        );
    }
    groups.handle(start, Event::LoadFinished { partition: 0 });
    drop(groups.take_effects());
    let end = start + Duration::from_secs(30 * 24 * 3600);
    for _ in 0..MAX_TIMEOUTS {
        let Some(now) = groups.next_timeout().filter(|at| *at <= end) else { break };
        groups.handle_timeout(now.max(start));
        drop(groups.take_effects());
    }
}

fn take(rest: &mut Bytes, len: usize) -> Bytes {
    rest.split_to(len.min(rest.len()))
}

fn field(rest: &mut Bytes) -> Bytes {
    let len = take(rest, 1).first().copied().unwrap_or(0);
    take(rest, usize::from(len))
}

/// Committed offsets, a group, and the keys of every record that a consumer or a share group has.
pub fn seeds() -> Vec<Vec<u8>> {
    let record = |kind: u8, key: &[u8], value: &[u8]| {
        let len = |bytes: &[u8]| vec![u8::try_from(bytes.len()).expect("short")];
        [vec![kind], len(key), key.to_vec(), len(value), value.to_vec()].concat()
    };
    let text = |text: &str| [&[0, u8::try_from(text.len()).expect("short")], text.as_bytes()].concat();
    let offset_key = [&[0, 1][..], &text("grp"), &text("topic"), &[0, 0, 0, 7]].concat();
    let offset =
        [&[0, 3][..], &[0; 7], &[42], &[0, 0, 0, 1], &text("m"), &[0, 0, 1, 0x8b, 0xcf, 0xe5, 0x68, 0]]
            .concat();
    let group_key = [&[0, 2][..], &text("grp")].concat();
    let member = [
        &text("member-1")[..],
        &[0xff, 0xff],
        &text("client"),
        &text("/127.0.0.1"),
        &[0, 0, 0x75, 0x30],
        &[0, 0, 0x75, 0x30],
        &[0, 0, 0, 3, 0, 1, 2],
        &[0, 0, 0, 1, 9],
    ]
    .concat();
    let group = [
        &[0, 3][..],
        &text("consumer"),
        &[0, 0, 0, 5],
        &text("range"),
        &text("member-1"),
        &[0, 0, 1, 0x8b, 0xcf, 0xe5, 0x68, 0],
        &[0, 0, 0, 1],
        &member,
    ]
    .concat();
    let mut seeds = vec![
        record(0, &offset_key, &offset),
        record(0, &group_key, &group),
        [record(0, &group_key, &group), record(0, &offset_key, &offset), record(4, &group_key, &[])].concat(),
        [record(2, &offset_key, &offset), record(3, &[], &[])].concat(),
    ];
    for version in (3..=8_u8).chain(10..=15) {
        let key = [&[0, version][..], &text("grp"), &text("member-1")].concat();
        for value in [&[0, 0, 0, 0, 0, 1][..], &[0, 0, 0, 0, 0, 1, 2, b'a', 1, 1, 1, 1, 1, 1, 0, 0, 0, 0]] {
            seeds
                .push([record(0, &group_key, &group), record(0, &key, value), record(4, &key, &[])].concat());
        }
    }
    seeds
}
