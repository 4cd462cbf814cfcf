//! The key table of an index file: hashes of keys, sorted, in blocks of one page each, in runs.
//!
//! Pure: entries and bytes. Written by `builder`, read through `IndexFile`. A run is what was sorted at once, so building
//! takes no more memory than one run, however many records a file has. Invariant: hashes never decrease inside a run; a
//! block knows its first hash, so blocks can be searched and read alone.

use super::page::{PAGE_LEN, ROOM, put_page, put_varint, take_varint};

/// Bits of a key's hash that are kept: in a run of a million entries one of a million foreign keys has the same.
const HASH_BITS: u32 = 40;
/// Bits that an offset has, counted from the partition's first one in the file.
const OFFSET_BITS: u32 = 56;
/// Entries of a run at most: 16 MiB while it is sorted.
pub(super) const RUN_ENTRIES: usize = 1 << 20;
/// First hash and number of entries.
const BLOCK_HEADER_LEN: usize = 10;

/// Which record has a key: hash of the key, row of its partition in the partition table, offset counted from that row's
/// first one. Sorts by hash, row, offset.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct KeyEntry(u128);

impl KeyEntry {
    /// `None` when the offset is too far from the row's first one to be true.
    pub(super) fn new(hash: u64, row: u32, offset: u64) -> Option<Self> {
        (offset >> OFFSET_BITS == 0)
            .then(|| Self(u128::from(hash) << 88 | u128::from(row) << 56 | u128::from(offset)))
    }

    pub(super) fn hash(self) -> u64 {
        u64::try_from(self.0 >> 88).expect("40 bits")
    }

    pub(super) fn row(self) -> u32 {
        u32::try_from(self.0 >> 56 & u128::from(u32::MAX)).expect("32 bits")
    }

    pub(super) fn offset(self) -> u64 {
        u64::try_from(self.0 & ((1 << OFFSET_BITS) - 1)).expect("56 bits")
    }
}

/// Hash of a key of a topic: FNV-1a over the topic's number and the key, mixed, the upper 40 bits of it.
pub(crate) fn key_hash(topic: u32, key: &[u8]) -> u64 {
    let topic = topic.to_be_bytes();
    let fnv = topic.iter().chain(key).fold(0xcbf2_9ce4_8422_2325_u64, |hash, byte| {
        (hash ^ u64::from(*byte)).wrapping_mul(0x0000_0100_0000_01b3)
    });
    // The finalizer of MurmurHash3: FNV leaves the upper bits of short keys alike.
    let mixed = (fnv ^ (fnv >> 33)).wrapping_mul(0xff51_afd7_ed55_8ccd);
    let mixed = (mixed ^ (mixed >> 33)).wrapping_mul(0xc4ce_b9fe_1a85_ec53);
    (mixed ^ (mixed >> 33)) >> (u64::BITS - HASH_BITS)
}

/// A run as bytes.
#[derive(Debug, Default)]
pub(super) struct EncodedRun {
    /// Whole pages.
    pub(super) blocks: Vec<u8>,
    /// First hash of each block.
    pub(super) first_hashes: Vec<u64>,
}

/// Sorts `entries` and puts them into blocks.
pub(super) fn encode_run(entries: &mut [KeyEntry]) -> EncodedRun {
    entries.sort_unstable();
    let mut run = EncodedRun::default();
    let (mut content, mut one) = (Vec::with_capacity(ROOM), Vec::new());
    let (mut count, mut last) = (0_u16, 0);
    for entry in entries {
        one.clear();
        put_varint(&mut one, entry.hash() - last);
        put_varint(&mut one, u64::from(entry.row()));
        put_varint(&mut one, entry.offset());
        if count == 0 || content.len() + one.len() > ROOM {
            close_block(&mut run.blocks, &mut content, count);
            run.first_hashes.push(entry.hash());
            content.extend_from_slice(&entry.hash().to_be_bytes());
            content.extend_from_slice(&[0; 2]);
            // The first entry counts from the block's first hash, which is its own.
            content.push(0);
            put_varint(&mut content, u64::from(entry.row()));
            put_varint(&mut content, entry.offset());
            count = 0;
        } else {
            content.extend_from_slice(&one);
        }
        count += 1;
        last = entry.hash();
    }
    close_block(&mut run.blocks, &mut content, count);
    run
}

fn close_block(blocks: &mut Vec<u8>, content: &mut Vec<u8>, count: u16) {
    if count > 0 {
        content[8..BLOCK_HEADER_LEN].copy_from_slice(&count.to_be_bytes());
        put_page(blocks, content);
        content.clear();
    }
}

/// Shows `visit` the row and offset of each entry of `block` with this hash. False when a later block cannot have any.
///
/// # Errors
/// A sentence: the block contradicts itself.
pub(super) fn search_block(
    block: &[u8],
    wanted: u64,
    mut visit: impl FnMut(u32, u64),
) -> Result<bool, &'static str> {
    const CUT: &str = "a key block ends early";
    let (header, mut rest) = block.split_at_checked(BLOCK_HEADER_LEN).ok_or(CUT)?;
    let mut hash = u64::from_be_bytes(header[..8].try_into().expect("8 bytes"));
    let count = u16::from_be_bytes([header[8], header[9]]);
    for _ in 0..count {
        let mut field = || take_varint(&mut rest).ok_or(CUT);
        let (step, row, offset) = (field()?, field()?, field()?);
        hash = hash.checked_add(step).ok_or("a key hash is out of range")?;
        if hash > wanted {
            return Ok(false);
        }
        if hash == wanted {
            visit(u32::try_from(row).map_err(|_| "a row number is out of range")?, offset);
        }
    }
    Ok(true)
}

const _: () =
    assert!(ROOM - BLOCK_HEADER_LEN > 30 && PAGE_LEN < 1 << 16, "an entry fits; counts are 16 bits");

#[cfg(test)]
mod tests {
    use super::*;

    /// As `IndexFile` does it, over a run in memory.
    fn look_up(run: &EncodedRun, hash: u64) -> Vec<(u32, u64)> {
        let mut found = Vec::new();
        let start = run.first_hashes.partition_point(|first| *first < hash).saturating_sub(1);
        for block in run.blocks.chunks(PAGE_LEN).skip(start) {
            if !search_block(&block[..ROOM], hash, |row, offset| found.push((row, offset))).unwrap() {
                break;
            }
        }
        found
    }

    #[test]
    fn every_entry_is_found_by_its_hash_also_over_many_blocks() {
        let mut entries: Vec<KeyEntry> = (0..20_000_u64)
            .map(|index| KeyEntry::new(key_hash(7, &(index % 5000).to_be_bytes()), 3, index).unwrap())
            .collect();
        // One key on several blocks.
        let hot = key_hash(7, b"hot");
        entries.extend((0..9000).map(|index| KeyEntry::new(hot, 9, index).unwrap()));
        let run = encode_run(&mut entries);
        assert!(run.first_hashes.len() > 20);
        for key in 0..5000_u64 {
            let found = look_up(&run, key_hash(7, &key.to_be_bytes()));
            assert_eq!(found, (0..4).map(|round| (3, key + round * 5000)).collect::<Vec<_>>());
        }
        assert_eq!(look_up(&run, hot).len(), 9000);
        assert_eq!(look_up(&run, key_hash(8, b"hot")), []);
        assert_eq!(look_up(&run, (1 << HASH_BITS) - 1), []);
    }

    #[test]
    fn hash_is_the_one_in_the_format_document() {
        assert_eq!(key_hash(1, b"order-42"), 0xc6_9e11_40c1);
    }

    #[test]
    fn hashes_of_small_keys_spread() {
        let mut hashes: Vec<u64> = (0..100_000_u32).map(|key| key_hash(1, &key.to_be_bytes())).collect();
        hashes.sort_unstable();
        hashes.dedup();
        assert!(hashes.len() > 99_980, "{}", hashes.len());
        let upper_half = hashes.iter().filter(|hash| **hash >> (HASH_BITS - 1) == 1).count();
        assert!((49_000..51_000).contains(&upper_half), "{upper_half}");
    }

    #[test]
    fn blocks_that_lie_are_errors() {
        assert!(search_block(&[0; 5], 0, |_, _| {}).is_err());
        let mut block = vec![0; BLOCK_HEADER_LEN];
        block[9] = 1;
        assert!(search_block(&block, 0, |_, _| {}).is_err());
        block.extend_from_slice(&[0, 0xff, 0xff, 0xff, 0xff, 0xff, 0x01, 0]);
        assert!(search_block(&block, 0, |_, _| {}).is_err());
    }

    #[test]
    fn offset_far_from_its_row_is_no_entry() {
        let entry = KeyEntry::new((1 << HASH_BITS) - 1, u32::MAX, (1 << OFFSET_BITS) - 1).unwrap();
        assert_eq!(
            (entry.hash(), entry.row(), entry.offset()),
            ((1 << HASH_BITS) - 1, u32::MAX, (1 << OFFSET_BITS) - 1)
        );
        assert_eq!(KeyEntry::new(0, 0, 1 << OFFSET_BITS), None);
    }
}
