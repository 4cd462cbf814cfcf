//! Whether bytes from the log are the batch that a queue entry speaks of.
//!
//! Pure. Called for every batch before it is handed out. The CRC covers all but the first 21 bytes of a batch; the fields
//! in those are compared with the entry, which has a CRC of its own.

use protocol::record_batch::{BatchError, RecordBatchView};
use thiserror::Error;

use crate::consume_queue::Entry;

/// What is wrong with a batch.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
pub(crate) enum Damage {
    #[error(transparent)]
    Batch(#[from] BatchError),
    #[error("its {field} is {found}, the consume queue says {expected}")]
    Field { field: &'static str, found: i64, expected: i64 },
}

pub(crate) fn check(entry: &Entry, bytes: &[u8]) -> Result<(), Damage> {
    let view = RecordBatchView::parse(bytes)?;
    let size = i64::try_from(view.as_bytes().len()).expect("a batch's length is 32 bits");
    let fields = [
        ("size", size, i64::from(entry.size)),
        ("base offset", view.base_offset(), entry.base_offset),
        ("leader epoch", i64::from(view.leader_epoch()), i64::from(entry.leader_epoch)),
        ("last offset delta", i64::from(view.last_offset_delta()), i64::from(entry.last_offset_delta)),
    ];
    for (field, found, expected) in fields {
        if found != expected {
            return Err(Damage::Field { field, found, expected });
        }
    }
    Ok(view.verify_crc()?)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::position::Position;
    use protocol::record_batch_builder::RecordBatchBuilder;

    fn batch() -> (Entry, Vec<u8>) {
        let mut builder = RecordBatchBuilder::new(0);
        builder.append(5, Some(b"key"), Some(b"value"));
        builder.append(6, None, Some(b"value"));
        let mut bytes = builder.build().to_vec();
        bytes[..8].copy_from_slice(&77_i64.to_be_bytes());
        bytes[12..16].copy_from_slice(&3_i32.to_be_bytes());
        let entry = Entry {
            position: Position(0),
            base_offset: 77,
            max_timestamp: 6,
            running_max: 6,
            size: u32::try_from(bytes.len()).unwrap(),
            last_offset_delta: 1,
            leader_epoch: 3,
            attributes: 0,
        };
        (entry, bytes)
    }

    #[test]
    fn any_flipped_bit_is_noticed() {
        let (entry, bytes) = batch();
        assert_eq!(check(&entry, &bytes), Ok(()));
        for bit in 0..bytes.len() * 8 {
            let mut damaged = bytes.clone();
            damaged[bit / 8] ^= 1 << (bit % 8);
            assert!(check(&entry, &damaged).is_err(), "bit {bit}");
        }
    }

    #[test]
    fn a_sound_batch_in_the_wrong_place_is_noticed() {
        let (entry, bytes) = batch();
        let other = Entry { base_offset: 76, ..entry };
        let field = Damage::Field { field: "base offset", found: 77, expected: 76 };
        assert_eq!(check(&other, &bytes), Err(field));
        let (field, found) = ("leader epoch", 3);
        let other = Entry { leader_epoch: 4, ..entry };
        assert_eq!(check(&other, &bytes), Err(Damage::Field { field, found, expected: 4 }));
        assert!(check(&Entry { last_offset_delta: 2, ..entry }, &bytes).is_err());
        assert!(check(&Entry { size: entry.size - 1, ..entry }, &bytes).is_err());
    }
}
