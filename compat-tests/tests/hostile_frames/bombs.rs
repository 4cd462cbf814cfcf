//! Record batches that lie about what is in them, and small ones that claim to unpack to gigabytes.

use std::io::Write as _;

use anyhow::{Context as _, Result};

/// Base and max timestamp of every batch.
pub(crate) const TIMESTAMP: i64 = 1_700_000_000_000;

/// `max.message.bytes`, less what is around the records.
const LARGEST_RECORDS: usize = (1 << 20) - 4096;
const HEADER: usize = 61;
const GZIP: i16 = 1;
const SNAPPY: i16 = 2;
const LZ4: i16 = 3;
const ZSTD: i16 = 4;

/// A batch that is small until it is unpacked.
pub(crate) struct Bomb {
    /// Also the name of its topic.
    pub(crate) name: &'static str,
    pub(crate) batch: Vec<u8>,
    /// Bytes that it claims to hold.
    pub(crate) unpacked: usize,
}

/// A whole batch around a records section, with a right checksum.
pub(crate) fn batch(attributes: i16, count: i32, records: &[u8]) -> Result<Vec<u8>> {
    let mut batch = Vec::with_capacity(HEADER + records.len());
    batch.extend(0_i64.to_be_bytes()); // base offset
    batch.extend(i32::try_from(HEADER - 12 + records.len())?.to_be_bytes());
    batch.extend((-1_i32).to_be_bytes()); // leader epoch
    batch.push(2); // magic
    batch.extend([0; 4]); // checksum
    batch.extend(attributes.to_be_bytes());
    batch.extend(count.wrapping_sub(1).to_be_bytes()); // last offset delta
    batch.extend(TIMESTAMP.to_be_bytes());
    batch.extend(TIMESTAMP.to_be_bytes());
    batch.extend((-1_i64).to_be_bytes()); // producer id
    batch.extend((-1_i16).to_be_bytes());
    batch.extend((-1_i32).to_be_bytes());
    batch.extend(count.to_be_bytes());
    batch.extend(records);
    Ok(sealed(batch))
}

/// With the checksum of what it holds now.
fn sealed(mut batch: Vec<u8>) -> Vec<u8> {
    let checksum = crc32c::crc32c(&batch[21..]);
    batch[17..21].copy_from_slice(&checksum.to_be_bytes());
    batch
}

/// One record without key and headers.
pub(crate) fn record(value: &[u8]) -> Vec<u8> {
    let length = i64::try_from(value.len()).unwrap_or(0);
    let mut content = vec![0, 0, 0, 1]; // attributes, timestamp delta, offset delta, null key
    put_varint(&mut content, length);
    content.extend(value);
    content.push(0); // headers
    let mut record = Vec::new();
    put_varint(&mut record, i64::try_from(content.len()).unwrap_or(0));
    record.extend(content);
    record
}

/// Uncompressed batches of which none is what it says. A batch and a part of another are not among them: the part is cut off,
/// as Apache Kafka does.
pub(crate) fn lying_batches() -> Result<Vec<(String, Vec<u8>)>> {
    let honest = batch(0, 1, &record(b"value"))?;
    let mut batches = vec![
        ("a batch of 2^31-1 records in one".to_owned(), batch(0, i32::MAX, &record(b"v"))?),
        ("a batch of 2^31-1 records in nothing".to_owned(), batch(0, i32::MAX, &[])?),
        ("a batch of no records".to_owned(), batch(0, 0, &[])?),
        ("a batch of -1 records".to_owned(), batch(0, -1, &record(b"v"))?),
        ("a batch of -2^31 records".to_owned(), batch(0, i32::MIN, &record(b"v"))?),
        ("a control batch".to_owned(), batch(0x20, 1, &record(b"v"))?),
        ("an unknown codec".to_owned(), batch(7, 1, &record(b"v"))?),
        ("a batch without its end".to_owned(), honest[..honest.len() - 1].to_vec()),
        ("half a header".to_owned(), honest[..30].to_vec()),
    ];
    for length in [i32::MAX, i32::MIN, -1, 0, 48, 49, 1 << 30] {
        let changed = with(&honest, 8, &length.to_be_bytes());
        batches.push((format!("a batch length of {length}"), changed));
    }
    for magic in [0, 1, 3, 127, 255] {
        batches.push((format!("magic {magic}"), with(&honest, 16, &[magic])));
    }
    for delta in [i32::MAX, i32::MIN, -1, 5] {
        let changed = sealed(with(&honest, 23, &delta.to_be_bytes()));
        batches.push((format!("a last offset delta of {delta}"), changed));
    }
    batches.push(("a wrong checksum".to_owned(), with(&honest, 17, &[1, 2, 3, 4])));
    let records: [(&str, &[u8]); 8] = [
        ("a record of 2^31-1 bytes", &[0xfe, 0xff, 0xff, 0xff, 0x0f, 0, 0, 0, 1, 2, b'v', 0]),
        ("a record of -1 bytes", &[0x01, 0, 0, 0, 1, 2, b'v', 0]),
        ("a record length without end", &[0xff; 20]),
        ("a key of 2^31-1 bytes", &[22, 0, 0, 0, 0xfe, 0xff, 0xff, 0xff, 0x0f, 2, b'v', 0]),
        ("a key of -2 bytes", &[14, 0, 0, 0, 3, 2, b'v', 0]),
        ("a value of 2^31-1 bytes", &[22, 0, 0, 0, 1, 0xfe, 0xff, 0xff, 0xff, 0x0f, b'v', 0]),
        ("2^31-1 headers", &[22, 0, 0, 0, 1, 2, b'v', 0xfe, 0xff, 0xff, 0xff, 0x0f]),
        ("-1 headers", &[14, 0, 0, 0, 1, 2, b'v', 1]),
    ];
    for (what, record) in records {
        batches.push((what.to_owned(), batch(0, 1, record)?));
    }
    Ok(batches)
}

fn with(batch: &[u8], place: usize, bytes: &[u8]) -> Vec<u8> {
    let mut changed = batch.to_vec();
    changed[place..place + bytes.len()].copy_from_slice(bytes);
    changed
}

/// One bomb per codec and trick. What unpacks begins like a record of a gigabyte.
pub(crate) fn exploding_batches() -> Result<Vec<Bomb>> {
    let mut bombs = vec![gzip()?, zstd()?, lz4()?];
    bombs.extend(snappy()?);
    Ok(bombs)
}

fn bomb(name: &'static str, codec: i16, records: &[u8], unpacked: usize) -> Result<Bomb> {
    Ok(Bomb { name, batch: batch(codec, 1, records)?, unpacked })
}

/// The begin of a record whose value is a gigabyte.
fn record_head() -> Vec<u8> {
    let mut head = Vec::new();
    put_varint(&mut head, 1 << 30);
    head.extend([0, 0, 0, 1]);
    put_varint(&mut head, (1 << 30) - 16);
    head
}

/// As many copies of `piece` behind `begin` as a batch takes.
fn repeated(begin: &[u8], piece: &[u8]) -> (Vec<u8>, usize) {
    let copies = (LARGEST_RECORDS - begin.len()) / piece.len();
    ([begin, &piece.repeat(copies)].concat(), copies)
}

fn gzip() -> Result<Bomb> {
    let member = |content: &[u8]| -> Result<Vec<u8>> {
        let mut encoder = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::best());
        encoder.write_all(content)?;
        Ok(encoder.finish()?)
    };
    let (records, copies) = repeated(&member(&record_head())?, &member(&vec![0; 1 << 20])?);
    bomb("bomb-gzip", GZIP, &records, copies << 20)
}

fn zstd() -> Result<Bomb> {
    let begin = zstd::encode_all(&record_head()[..], 3)?;
    let (records, copies) = repeated(&begin, &zstd::encode_all(&vec![0; 16 << 20][..], 3)?);
    bomb("bomb-zstd", ZSTD, &records, copies << 24)
}

/// One frame: its head, a stored block, and one block of 4 MiB again and again.
fn lz4() -> Result<Bomb> {
    use lz4_flex::frame::{BlockMode, BlockSize, FrameEncoder, FrameInfo};
    let info = FrameInfo::new().block_size(BlockSize::Max4MB).block_mode(BlockMode::Independent);
    let mut encoder = FrameEncoder::with_frame_info(info, Vec::new());
    encoder.write_all(&vec![0; 4 << 20])?;
    let frame = encoder.finish()?;
    let (head, blocks) = frame.split_at(7);
    let block = blocks.strip_suffix(&[0; 4]).context("an lz4 frame ends with a mark")?;
    let stored = record_head();
    // The only little-endian length of this test: a stored block has the top bit set.
    let mut begin = [head, &[u8::try_from(stored.len())?, 0, 0, 0x80]].concat();
    begin.extend(stored);
    let (mut records, copies) = repeated(&begin, block);
    records.extend([0; 4]);
    bomb("bomb-lz4", LZ4, &records, copies << 22)
}

/// Framed as Java does, raw as librdkafka may, and raw with a preamble of 4 GiB.
fn snappy() -> Result<Vec<Bomb>> {
    const CLAIM: [u8; 5] = [0xff, 0xff, 0xff, 0xff, 0x0f];
    let zeros = snap::raw::Encoder::new().compress_vec(&vec![0; 32 << 10])?;
    let block = |content: &[u8]| -> Result<Vec<u8>> {
        Ok([&i32::try_from(content.len())?.to_be_bytes()[..], content].concat())
    };
    let magic = b"\x82SNAPPY\0\0\0\0\x01\0\0\0\x01";
    let head = block(&snap::raw::Encoder::new().compress_vec(&record_head())?)?;
    let (framed, copies) = repeated(&[magic, &head[..]].concat(), &block(&zeros)?);
    let lying = [&CLAIM[..], &zeros[3..]].concat();
    let (lying_blocks, lies) = repeated(magic, &block(&lying)?);
    Ok(vec![
        bomb("bomb-snappy-framed", SNAPPY, &framed, copies << 15)?,
        bomb("bomb-snappy-raw-claim", SNAPPY, &lying, 4 << 30)?,
        bomb("bomb-snappy-framed-claims", SNAPPY, &lying_blocks, lies << 32)?,
    ])
}

/// A signed varint as in records (zigzag).
fn put_varint(bytes: &mut Vec<u8>, value: i64) {
    let mut rest = ((value << 1) ^ (value >> 63)).cast_unsigned();
    while rest >= 0x80 {
        bytes.push(u8::try_from(rest & 0x7f).unwrap_or(0) | 0x80);
        rest >>= 7;
    }
    bytes.push(u8::try_from(rest).unwrap_or(0));
}
