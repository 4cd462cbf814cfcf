//! Payloads of metadata frames as bytes (`docs/STORAGE_FORMAT.md` §4). Bounded by the bytes that are there.

use bytes::{BufMut, Bytes, BytesMut};
use uuid::Uuid;

use crate::decode::{DecodeError, Reader};
use crate::topic::{Configs, PARTITIONS};

/// The whole state of a topic.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct TopicRecord {
    pub(crate) id: Uuid,
    pub(crate) name: String,
    pub(crate) partitions: u32,
    pub(crate) configs: Configs,
}

impl TopicRecord {
    pub(crate) fn encode(&self) -> Bytes {
        let mut out = BytesMut::new();
        out.put_slice(self.id.as_bytes());
        put_text(&mut out, &self.name);
        out.put_u32(self.partitions);
        put_configs(&mut out, &self.configs);
        out.freeze()
    }

    pub(crate) fn decode(bytes: &[u8]) -> Result<Self, DecodeError> {
        let mut reader = Reader::new(bytes);
        let id = Uuid::from_bytes(reader.array()?);
        let name = reader.text()?;
        let partitions = reader.u32()?;
        // Memory is taken for each of them, and no bytes stand behind the number.
        if !PARTITIONS.contains(&partitions) {
            return Err(DecodeError::Partitions(partitions));
        }
        let configs = reader.configs()?;
        reader.finish()?;
        Ok(Self { id, name, partitions, configs })
    }
}

pub(crate) fn encode_configs(configs: &Configs) -> Bytes {
    let mut out = BytesMut::new();
    put_configs(&mut out, configs);
    out.freeze()
}

pub(crate) fn decode_configs(bytes: &[u8]) -> Result<Configs, DecodeError> {
    let mut reader = Reader::new(bytes);
    let configs = reader.configs()?;
    reader.finish()?;
    Ok(configs)
}

pub(crate) fn put_configs(out: &mut BytesMut, configs: &Configs) {
    out.put_u32(u32::try_from(configs.len()).expect("config counts are small"));
    for (key, value) in configs {
        put_text(out, key);
        put_text(out, value);
    }
}

pub(crate) fn put_text(out: &mut BytesMut, text: &str) {
    out.put_u32(u32::try_from(text.len()).expect("texts are smaller than frames"));
    out.put_slice(text.as_bytes());
}

impl Reader<'_> {
    fn configs(&mut self) -> Result<Configs, DecodeError> {
        let count = self.length()?;
        (0..count).map(|_| Ok((self.text()?, self.text()?))).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn topic_record_survives_encoding_and_every_cut_is_noticed() {
        let record = TopicRecord {
            id: Uuid::from_u128(7),
            name: "orders".to_owned(),
            partitions: 3,
            configs: Configs::from([("retention.ms".to_owned(), "1".to_owned())]),
        };
        let bytes = record.encode();
        assert_eq!(TopicRecord::decode(&bytes), Ok(record));
        for cut in 0..bytes.len() {
            assert_eq!(TopicRecord::decode(&bytes[..cut]), Err(DecodeError::Short));
        }
        assert_eq!(TopicRecord::decode(&[&bytes[..], &[0]].concat()), Err(DecodeError::Trailing(1)));
    }
    #[test]
    fn a_topic_has_no_more_partitions_than_a_broker_accepts() {
        let record = |partitions| TopicRecord {
            id: Uuid::nil(),
            name: "t".to_owned(),
            partitions,
            configs: Configs::new(),
        };
        for (count, accepted) in
            [(0, false), (1, true), (1_000_000, true), (1_000_001, false), (u32::MAX, false)]
        {
            let decoded = TopicRecord::decode(&record(count).encode());
            let expected = if accepted { Ok(record(count)) } else { Err(DecodeError::Partitions(count)) };
            assert_eq!(decoded, expected);
        }
    }
}
