//! Compression of a batch's records section, with a hard limit on what comes out.
//!
//! Called by the record walk, compaction and recompression. Invariant: `decompress` never returns, nor reserves for its
//! output, more than `cap` bytes, and output memory grows with what was really decompressed, not with what a header
//! claims. A codec's own window and block buffers come on top: at most 128 MiB of address space for zstd (a window of
//! level 22, touched only as far as it is filled), 16 MiB for lz4 (two blocks of the greatest size). `reader` takes those buffers and
//! nothing else; for snappy one block, at most 22 times as long as what was read for it.

use std::io::{self, Read, Write};

use lz4_flex::frame::{BlockMode, BlockSize, FrameDecoder, FrameEncoder, FrameInfo};
use thiserror::Error;

use crate::record_batch::Codec;

/// Magic of the framing that Kafka's Java client (xerial snappy-java) and librdkafka put around snappy blocks, then
/// version and least compatible version, four bytes each.
const XERIAL_MAGIC: &[u8; 8] = b"\x82SNAPPY\0";
const XERIAL_HEADER_LEN: usize = 16;
const XERIAL_BLOCK: usize = 32 * 1024;
/// A snappy copy element of 3 bytes yields at most 64: no block grows more than 22-fold.
const SNAPPY_MAX_GROWTH: usize = 22;
/// Window of zstd level 22, 128 MiB: also the limit of Kafka's own decoder.
const ZSTD_WINDOW_LOG_MAX: u32 = 27;

/// Why a records section cannot be (de)compressed.
#[derive(Debug, Error)]
pub enum CompressionError {
    /// The output would be over the cap.
    #[error("decompressed records are over the limit of {cap} bytes")]
    OverCap {
        /// The limit given by the caller.
        cap: usize,
    },
    /// The codec does not accept the bytes.
    #[error("{codec:?} cannot read the records: {source}")]
    Corrupt {
        /// Which codec.
        codec: Codec,
        /// What it said.
        source: io::Error,
    },
    /// The codec failed to compress.
    #[error("{codec:?} cannot write the records: {source}")]
    Compress {
        /// Which codec.
        codec: Codec,
        /// What it said.
        source: io::Error,
    },
}

/// The records section behind `input`, byte by byte as it is asked for. `Codec::None` reads `input`.
///
/// An error of the reader is what `Corrupt` has as its source. After an error, or the first read of 0 bytes, nothing more
/// may be read.
///
/// # Errors
/// `Corrupt` when the first bytes show already that `codec` did not write them.
pub fn reader<'a>(codec: Codec, input: &'a [u8]) -> Result<Box<dyn Read + 'a>, CompressionError> {
    Ok(match codec {
        Codec::None => Box::new(input),
        Codec::Gzip => Box::new(flate2::read::MultiGzDecoder::new(input)),
        Codec::Snappy => Box::new(SnappyReader::new(input).map_err(|source| corrupt(codec, source))?),
        Codec::Lz4 => Box::new(FrameDecoder::new(input)),
        Codec::Zstd => Box::new(zstd_decoder(input).map_err(|source| corrupt(codec, source))?),
    })
}

/// The records section behind `input`, at most `cap` bytes. `Codec::None` copies.
///
/// Bytes after the end of an lz4 frame, and a frame whose end mark is cut, go unnoticed here: the record walk counts
/// what came out.
///
/// # Errors
/// `OverCap`, or `Corrupt` for bytes that are not what `codec` writes.
pub fn decompress(codec: Codec, input: &[u8], cap: usize) -> Result<Vec<u8>, CompressionError> {
    let output = match codec {
        // What a block claims is held against the cap before its memory is taken.
        Codec::Snappy => snappy_decompress(input, cap),
        Codec::None | Codec::Gzip | Codec::Lz4 | Codec::Zstd => read_capped(reader(codec, input)?, cap),
    }
    .map_err(|source| corrupt(codec, source))?;
    output.ok_or(CompressionError::OverCap { cap })
}

fn corrupt(codec: Codec, source: io::Error) -> CompressionError {
    CompressionError::Corrupt { codec, source }
}

/// `input` as Kafka's clients of that codec expect it: xerial framing for snappy, independent 64 KiB blocks for lz4.
///
/// # Errors
/// `Compress` when the codec fails, which none does on memory.
pub fn compress(codec: Codec, input: &[u8]) -> Result<Vec<u8>, CompressionError> {
    compress_at(codec, None, input)
}

/// As [`compress`], with a level of the codec's own scale: gzip 1 to 9, zstd -131072 to 22, else the nearest of those.
/// Snappy has no levels, and lz4 has one here.
///
/// # Errors
/// As [`compress`].
pub fn compress_at(codec: Codec, level: Option<i32>, input: &[u8]) -> Result<Vec<u8>, CompressionError> {
    match codec {
        Codec::None => Ok(input.to_vec()),
        Codec::Gzip => gzip_compress(input, level),
        Codec::Snappy => snappy_compress(input),
        Codec::Lz4 => lz4_compress(input),
        // In one piece: the codec then takes no larger tables than an input of this length can use, on any level.
        Codec::Zstd => zstd::bulk::compress(input, level.unwrap_or(zstd::DEFAULT_COMPRESSION_LEVEL)),
    }
    .map_err(|source| CompressionError::Compress { codec, source })
}

/// All of `reader`, or `None` when that is more than `cap` bytes.
fn read_capped(reader: impl Read, cap: usize) -> io::Result<Option<Vec<u8>>> {
    let mut output = Vec::new();
    let limit = u64::try_from(cap).unwrap_or(u64::MAX).saturating_add(1);
    reader.take(limit).read_to_end(&mut output)?;
    Ok((output.len() <= cap).then_some(output))
}

fn zstd_decoder(input: &[u8]) -> io::Result<impl Read> {
    let mut decoder = zstd::stream::read::Decoder::with_buffer(input)?;
    decoder.window_log_max(ZSTD_WINDOW_LOG_MAX)?;
    Ok(decoder)
}

/// The raw snappy blocks of a section: those of the xerial framing, or the section itself.
struct SnappyBlocks<'a> {
    unframed: Option<&'a [u8]>,
    framed: &'a [u8],
}

impl<'a> SnappyBlocks<'a> {
    fn new(input: &'a [u8]) -> io::Result<Self> {
        if !input.starts_with(XERIAL_MAGIC) {
            return Ok(Self { unframed: Some(input), framed: &[] });
        }
        let framed = input.get(XERIAL_HEADER_LEN..).ok_or_else(|| invalid("snappy header is cut"))?;
        Ok(Self { unframed: None, framed })
    }

    fn next(&mut self) -> io::Result<Option<&'a [u8]>> {
        if let Some(block) = self.unframed.take() {
            return Ok(Some(block));
        }
        if self.framed.is_empty() {
            return Ok(None);
        }
        let (length, after) =
            self.framed.split_first_chunk::<4>().ok_or_else(|| invalid("snappy block length is cut"))?;
        let length = usize::try_from(i32::from_be_bytes(*length)).ok();
        let (block, rest) = length
            .and_then(|length| after.split_at_checked(length))
            .ok_or_else(|| invalid("snappy block length runs over the end"))?;
        self.framed = rest;
        Ok(Some(block))
    }
}

/// Holds one decompressed block at a time.
struct SnappyReader<'a> {
    blocks: SnappyBlocks<'a>,
    block: Vec<u8>,
    position: usize,
}

impl<'a> SnappyReader<'a> {
    fn new(input: &'a [u8]) -> io::Result<Self> {
        Ok(Self { blocks: SnappyBlocks::new(input)?, block: Vec::new(), position: 0 })
    }
}

impl Read for SnappyReader<'_> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        while self.position == self.block.len() {
            let Some(packed) = self.blocks.next()? else {
                return Ok(0);
            };
            self.block.clear();
            self.position = 0;
            snappy_block(packed, usize::MAX, &mut self.block)?;
        }
        let taken = (&self.block[self.position..]).read(buffer)?;
        self.position += taken;
        Ok(taken)
    }
}

fn snappy_decompress(input: &[u8], cap: usize) -> io::Result<Option<Vec<u8>>> {
    let mut output = Vec::new();
    let mut blocks = SnappyBlocks::new(input)?;
    while let Some(block) = blocks.next()? {
        if !snappy_block(block, cap, &mut output)? {
            return Ok(None);
        }
    }
    Ok(Some(output))
}

/// Appends one raw snappy block to `output`; false when `output` would grow over `cap`.
fn snappy_block(block: &[u8], cap: usize, output: &mut Vec<u8>) -> io::Result<bool> {
    let claimed = snap::raw::decompress_len(block).map_err(io::Error::other)?;
    if claimed > block.len().saturating_mul(SNAPPY_MAX_GROWTH) {
        return Err(invalid("snappy block claims more than it can hold"));
    }
    let start = output.len();
    let Some(end) = start.checked_add(claimed).filter(|end| *end <= cap) else {
        return Ok(false);
    };
    output.try_reserve(claimed).map_err(io::Error::other)?;
    output.resize(end, 0);
    let written =
        snap::raw::Decoder::new().decompress(block, &mut output[start..]).map_err(io::Error::other)?;
    output.truncate(start + written);
    Ok(true)
}

fn invalid(what: &'static str) -> io::Error {
    io::Error::new(io::ErrorKind::InvalidData, what)
}

fn gzip_compress(input: &[u8], level: Option<i32>) -> io::Result<Vec<u8>> {
    let level = level.map(|level| flate2::Compression::new(level.clamp(1, 9).unsigned_abs()));
    let mut encoder = flate2::write::GzEncoder::new(Vec::new(), level.unwrap_or_default());
    encoder.write_all(input)?;
    encoder.finish()
}

fn snappy_compress(input: &[u8]) -> io::Result<Vec<u8>> {
    let mut output = Vec::new();
    output.extend_from_slice(XERIAL_MAGIC);
    output.extend_from_slice(&1_i32.to_be_bytes());
    output.extend_from_slice(&1_i32.to_be_bytes());
    let mut encoder = snap::raw::Encoder::new();
    for chunk in input.chunks(XERIAL_BLOCK) {
        let block = encoder.compress_vec(chunk).map_err(io::Error::other)?;
        let length = i32::try_from(block.len()).map_err(io::Error::other)?;
        output.extend_from_slice(&length.to_be_bytes());
        output.extend_from_slice(&block);
    }
    Ok(output)
}

fn lz4_compress(input: &[u8]) -> io::Result<Vec<u8>> {
    // Kafka's Java decoder refuses linked blocks.
    let info = FrameInfo::new().block_size(BlockSize::Max64KB).block_mode(BlockMode::Independent);
    let mut encoder = FrameEncoder::with_frame_info(info, Vec::new());
    encoder.write_all(input)?;
    encoder.finish().map_err(io::Error::other)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const CODECS: [Codec; 5] = [Codec::None, Codec::Gzip, Codec::Snappy, Codec::Lz4, Codec::Zstd];

    #[test]
    fn output_of_exactly_the_cap_passes_and_one_byte_more_does_not() {
        let input = vec![7_u8; 100_000];
        for codec in CODECS {
            let packed = compress(codec, &input).unwrap();
            assert_eq!(decompress(codec, &packed, 100_000).unwrap(), input, "{codec:?}");
            let over = decompress(codec, &packed, 99_999);
            assert!(matches!(over, Err(CompressionError::OverCap { cap: 99_999 })), "{codec:?}");
        }
    }

    #[test]
    fn raw_snappy_without_framing_is_read() {
        let input = b"snappy snappy snappy snappy".repeat(50);
        let packed = snap::raw::Encoder::new().compress_vec(&input).unwrap();
        assert_eq!(decompress(Codec::Snappy, &packed, 10_000).unwrap(), input);
    }

    #[test]
    fn snappy_block_that_claims_a_gigabyte_is_refused_before_any_memory_is_taken() {
        let claim = [0x80, 0x80, 0x80, 0x80, 0x04, 0, b'a'];
        let error = decompress(Codec::Snappy, &claim, usize::MAX).unwrap_err();
        assert!(error.to_string().contains("claims more than it can hold"), "{error}");
    }

    #[test]
    fn snappy_copies_stay_below_the_growth_that_is_assumed() {
        let zeros = vec![0_u8; 1 << 20];
        let packed = snap::raw::Encoder::new().compress_vec(&zeros).unwrap();
        assert!(packed.len() * SNAPPY_MAX_GROWTH >= zeros.len());
        assert_eq!(decompress(Codec::Snappy, &packed, zeros.len()).unwrap(), zeros);
    }

    #[test]
    fn levels_are_obeyed_where_the_codec_has_them() {
        let input: Vec<u8> =
            (0_u32..40_000).flat_map(|n| (n.wrapping_mul(2_654_435_761) >> 20).to_be_bytes()).collect();
        for (codec, levels) in [(Codec::Gzip, [1, 9]), (Codec::Zstd, [-131_072, 22])] {
            let sizes = levels.map(|level| {
                let packed = compress_at(codec, Some(level), &input).unwrap();
                assert_eq!(decompress(codec, &packed, input.len()).unwrap(), input);
                packed.len()
            });
            assert!(sizes[0] > sizes[1], "{codec:?} {sizes:?}");
        }
        assert_eq!(
            compress(Codec::Gzip, &input).unwrap(),
            compress_at(Codec::Gzip, Some(6), &input).unwrap()
        );
        assert_eq!(
            compress(Codec::Zstd, &input).unwrap(),
            compress_at(Codec::Zstd, Some(3), &input).unwrap()
        );
    }

    #[test]
    fn cut_input_is_an_error_for_every_framed_codec() {
        let input = b"some records, some records, some records".repeat(20);
        for codec in [Codec::Gzip, Codec::Snappy, Codec::Lz4, Codec::Zstd] {
            let packed = compress(codec, &input).unwrap();
            let cut = decompress(codec, &packed[..packed.len() - 9], 1 << 20);
            assert!(matches!(cut, Err(CompressionError::Corrupt { .. })), "{codec:?}");
        }
    }

    proptest! {
        #[test]
        fn every_codec_gives_back_what_it_was_given(input: Vec<u8>) {
            for codec in CODECS {
                let packed = compress(codec, &input).unwrap();
                prop_assert_eq!(decompress(codec, &packed, input.len()).unwrap(), input.clone());
                let mut read = Vec::new();
                reader(codec, &packed).unwrap().read_to_end(&mut read).unwrap();
                prop_assert_eq!(read, input.clone());
            }
        }

        #[test]
        fn damaged_input_gives_at_most_the_cap_or_an_error(
            input in prop::collection::vec(0_u8..4, 0..2000),
            damage in prop::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 1..4),
        ) {
            for codec in CODECS {
                let mut packed = compress(codec, &input).unwrap();
                packed.push(0);
                for (at, byte) in &damage {
                    let at = at.index(packed.len());
                    packed[at] = *byte;
                }
                if let Ok(output) = decompress(codec, &packed, 3000) {
                    prop_assert!(output.len() <= 3000);
                }
            }
        }

        #[test]
        fn any_bytes_give_at_most_the_cap_or_an_error(input: Vec<u8>, cap in 0_usize..1000) {
            for codec in CODECS {
                if let Ok(output) = decompress(codec, &input, cap) {
                    prop_assert!(output.len() <= cap);
                }
            }
        }
    }
}
