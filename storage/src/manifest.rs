//! Which files the log has, as a frame says it (`docs/STORAGE_FORMAT.md` §4): the truth behind giving up and rewriting files.
//!
//! Pure: values and bytes. Called by `commit_log`, `rewrite`, `snapshot` and `recovery`. Invariant: a file that no durable
//! frame gives up is never removed; a rewrite file that none names is no part of the log.

use bytes::{BufMut, Bytes, BytesMut};

use crate::decode::{DecodeError, Reader};
use crate::position::{Offset, Position};

/// One file of the log.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct FileRecord {
    pub(crate) base: Position,
    /// Bytes.
    pub(crate) len: u64,
    pub(crate) incarnation: u32,
}

/// What a compaction did to one partition: its batches below `upto` count only in files of at least `generation`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Compaction {
    pub(crate) topic: u32,
    pub(crate) partition: u32,
    pub(crate) upto: Offset,
    /// Incarnation of the first file that holds the outcome.
    pub(crate) generation: u32,
}

/// The payload of a `files` frame.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Manifest {
    /// Ranges of append files that were given up, in order, as wide as they come.
    pub(crate) holes: Vec<(Position, Position)>,
    /// All rewrite files, in order.
    pub(crate) rewritten: Vec<FileRecord>,
    /// Compactions that this statement brings; earlier ones hold on.
    pub(crate) compactions: Vec<Compaction>,
}

impl Manifest {
    /// Whether the append file that begins at `base` was given up.
    pub(crate) fn gives_up(&self, base: Position) -> bool {
        self.holes.iter().any(|(from, upto)| (*from..*upto).contains(&base))
    }

    pub(crate) fn encode(&self) -> Bytes {
        let mut out = BytesMut::new();
        put_count(&mut out, self.holes.len());
        for (from, upto) in &self.holes {
            out.put_u64(from.0);
            out.put_u64(upto.0);
        }
        put_count(&mut out, self.rewritten.len());
        for file in &self.rewritten {
            file.encode(&mut out);
        }
        put_count(&mut out, self.compactions.len());
        for compaction in &self.compactions {
            out.put_u32(compaction.topic);
            out.put_u32(compaction.partition);
            out.put_i64(compaction.upto);
            out.put_u32(compaction.generation);
        }
        out.freeze()
    }

    pub(crate) fn decode(bytes: &[u8]) -> Result<Self, DecodeError> {
        let mut reader = Reader::new(bytes);
        let holes = reader.length()?;
        let holes = (0..holes)
            .map(|_| Ok((Position(reader.u64()?), Position(reader.u64()?))))
            .collect::<Result<_, DecodeError>>()?;
        let rewritten = reader.length()?;
        let rewritten =
            (0..rewritten).map(|_| FileRecord::decode(&mut reader)).collect::<Result<_, DecodeError>>()?;
        let compactions = reader.length()?;
        let compactions = (0..compactions)
            .map(|_| {
                let (topic, partition) = (reader.u32()?, reader.u32()?);
                Ok(Compaction { topic, partition, upto: reader.i64()?, generation: reader.u32()? })
            })
            .collect::<Result<_, DecodeError>>()?;
        reader.finish()?;
        Ok(Self { holes, rewritten, compactions })
    }
}

impl FileRecord {
    pub(crate) fn encode(&self, out: &mut impl BufMut) {
        out.put_u64(self.base.0);
        out.put_u64(self.len);
        out.put_u32(self.incarnation);
    }

    pub(crate) fn decode(reader: &mut Reader<'_>) -> Result<Self, DecodeError> {
        let base = Position(reader.u64()?);
        Ok(Self { base, len: reader.u64()?, incarnation: reader.u32()? })
    }
}

fn put_count(out: &mut BytesMut, count: usize) {
    out.put_u32(u32::try_from(count).expect("counts are below 2^32"));
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_encoded_comes_back_and_nothing_shorter_does() {
        let manifest = Manifest {
            holes: vec![(Position(0), Position(65536)), (Position(131_072), Position(196_608))],
            rewritten: vec![FileRecord { base: Position(1 << 62), len: 8192, incarnation: 7 }],
            compactions: vec![Compaction { topic: 1, partition: 2, upto: 3, generation: 4 }],
        };
        let bytes = manifest.encode();
        assert_eq!(Manifest::decode(&bytes), Ok(manifest.clone()));
        assert!((0..bytes.len()).all(|len| Manifest::decode(&bytes[..len]).is_err()));
        assert!(manifest.gives_up(Position(131_072)) && !manifest.gives_up(Position(65536)));
    }
}
