//! Produce requests that are encoded once by the codec crate and patched in place before each send, and a reader of their
//! answers that allocates nothing. Used by both load loops, so that the load generator is never what is measured.
//!
//! Invariant: patching changes no length: topic names of one set are equally long, numbers have a fixed width.

use anyhow::{Context as _, Result, bail, ensure};
use bytes::Bytes;
use kafka_protocol::messages::ProduceRequest;
use kafka_protocol::messages::produce_request::{PartitionProduceData, TopicProduceData};

use crate::batches::{BatchShape, BatchTemplate, Identity, count};
use crate::topics::TopicSet;
use crate::wire;

/// The last flexible version that names topics by name.
const VERSION: i16 = 12;
const CORRELATION_AT: usize = 8;
const TIMEOUT_MS: i32 = 60_000;

/// A produce request with one batch for each of a run of consecutive partitions.
#[derive(Debug, Clone)]
pub(crate) struct ProduceTemplate {
    frame: Vec<u8>,
    batch: BatchTemplate,
    topic_at: usize,
    batches_at: Vec<usize>,
}

impl ProduceTemplate {
    /// For requests to `batches` partitions of one topic of `topics`, answered as `acks` says.
    ///
    /// # Errors
    /// The codec refuses it.
    pub(crate) fn new(topics: &TopicSet, shape: BatchShape, batches: usize, acks: i16) -> Result<Self> {
        let batch = BatchTemplate::new(shape);
        let name = topics.topic_name(0);
        let partitions = (0..batches)
            .map(|_| {
                PartitionProduceData::default().with_records(Some(Bytes::copy_from_slice(batch.bytes())))
            })
            .collect();
        let topic = TopicProduceData::default().with_name(name.clone()).with_partition_data(partitions);
        let request = ProduceRequest::default()
            .with_acks(acks)
            .with_timeout_ms(TIMEOUT_MS)
            .with_topic_data(vec![topic]);
        let frame = wire::request_frame(0, VERSION, &request)?;
        let topic_at = find(&frame, name.0.as_bytes(), 0).context("the request does not name its topic")?;
        let mut batches_at = Vec::with_capacity(batches);
        let mut from = topic_at;
        for _ in 0..batches {
            let at = find(&frame, batch.bytes(), from).context("the request does not hold its batches")?;
            batches_at.push(at);
            from = at + batch.bytes().len();
        }
        Ok(Self { frame, batch, topic_at, batches_at })
    }

    /// Appends the request to `out`: for the partitions from `first.partition` on, each batch starting at the sequence
    /// that `sequence_of` gives for its partition.
    pub(crate) fn write(
        &self,
        out: &mut Vec<u8>,
        topics: &TopicSet,
        correlation_id: i32,
        first: Identity,
        mut sequence_of: impl FnMut(u32) -> u64,
    ) {
        let start = out.len();
        out.extend_from_slice(&self.frame);
        let frame = &mut out[start..];
        frame[CORRELATION_AT..CORRELATION_AT + 4].copy_from_slice(&correlation_id.to_be_bytes());
        let (topic, index) = topics.place(first.partition);
        let name = topics.topic_name(topic);
        frame[self.topic_at..self.topic_at + name.len()].copy_from_slice(name.0.as_bytes());
        let length_len = length_len(self.batch.bytes().len());
        for ((partition, index), at) in (first.partition..).zip(index..).zip(&self.batches_at) {
            let index_at = at - length_len - 4;
            frame[index_at..index_at + 4].copy_from_slice(&index.to_be_bytes());
            let identity = Identity { partition, sequence: sequence_of(partition), ..first };
            self.batch.stamp(&mut frame[*at..at + self.batch.bytes().len()], identity);
        }
    }

    /// Bytes of one request.
    pub(crate) fn len(&self) -> usize {
        self.frame.len()
    }
}

/// Bytes of the unsigned varint of a compact length.
fn length_len(len: usize) -> usize {
    let bits = u64::BITS - (count(len) + 1).leading_zeros();
    usize::try_from(bits.div_ceil(7)).expect("at most 10")
}

fn find(bytes: &[u8], what: &[u8], from: usize) -> Option<usize> {
    bytes[from..].windows(what.len()).position(|window| window == what).map(|at| from + at)
}

/// Reads the answer to a request of this room: its correlation id, once every partition in it succeeded.
///
/// # Errors
/// A partition has an error, or the bytes are no such answer.
pub(crate) fn check_response(frame: &[u8]) -> Result<i32> {
    let mut fields = Fields(frame);
    let correlation_id = fields.i32()?;
    fields.tags()?;
    for _ in 0..fields.length()? {
        let name_len = fields.length()?;
        fields.take(name_len)?;
        for _ in 0..fields.length()? {
            let index = fields.i32()?;
            let error = fields.i16()?;
            ensure!(error == 0, "Produce to partition {index} answered error {error}");
            fields.take(24)?; // base offset, append time, log start offset
            ensure!(fields.length()? == 0, "record errors in an answer without an error");
            let message_len = fields.length()?;
            fields.take(message_len)?;
            fields.tags()?;
        }
        fields.tags()?;
    }
    Ok(correlation_id)
}

/// Big-endian fields of a flexible version from the front of a slice.
struct Fields<'a>(&'a [u8]);

impl<'a> Fields<'a> {
    fn take(&mut self, len: usize) -> Result<&'a [u8]> {
        let Some((head, tail)) = self.0.split_at_checked(len) else { bail!("the answer ends early") };
        self.0 = tail;
        Ok(head)
    }

    fn i16(&mut self) -> Result<i16> {
        Ok(i16::from_be_bytes(self.take(2)?.try_into()?))
    }

    fn i32(&mut self) -> Result<i32> {
        Ok(i32::from_be_bytes(self.take(4)?.try_into()?))
    }

    fn varint(&mut self) -> Result<usize> {
        let mut value = 0;
        for shift in (0..35).step_by(7) {
            let byte = self.take(1)?[0];
            value |= usize::from(byte & 0x7f) << shift;
            if byte & 0x80 == 0 {
                return Ok(value);
            }
        }
        bail!("a varint of more than five bytes")
    }

    /// A compact length or count; null is 0.
    fn length(&mut self) -> Result<usize> {
        Ok(self.varint()?.saturating_sub(1))
    }

    fn tags(&mut self) -> Result<()> {
        for _ in 0..self.varint()? {
            self.varint()?;
            let len = self.varint()?;
            self.take(len)?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use bytes::{Buf as _, BytesMut};
    use kafka_protocol::messages::produce_response::{PartitionProduceResponse, TopicProduceResponse};
    use kafka_protocol::messages::{ProduceResponse, RequestHeader, ResponseHeader};
    use kafka_protocol::protocol::{Decodable as _, Encodable as _, HeaderVersion as _, StrBytes};
    use protocol::record_batch::RecordBatchView;

    use super::*;

    const FIRST: Identity = Identity { run: 1, topic_set: 2, partition: 1234, producer: 3, sequence: 0 };

    #[test]
    fn patched_request_decodes_to_its_topic_partitions_and_batches() {
        let topics = TopicSet::unborn("bench-test", 2, 3000);
        for (shape, batches) in [(BatchShape::single(1024), 7), (BatchShape::filling(16 << 10, 1024), 1)] {
            let template = ProduceTemplate::new(&topics, shape, batches, -1).unwrap();
            let mut out = b"before".to_vec();
            template.write(&mut out, &topics, 77, FIRST, |partition| u64::from(partition) * 2);
            assert_eq!(out.len(), 6 + template.len());
            let mut frame = Bytes::from(out).slice(6..);
            assert_eq!(usize::try_from(frame.get_i32()).unwrap(), frame.len());
            let header = RequestHeader::decode(&mut frame, ProduceRequest::header_version(VERSION)).unwrap();
            assert_eq!(
                (header.request_api_key, header.request_api_version, header.correlation_id),
                (0, VERSION, 77)
            );
            let request = ProduceRequest::decode(&mut frame, VERSION).unwrap();
            assert!(frame.is_empty());
            let [topic] = &request.topic_data[..] else { panic!("one topic") };
            assert_eq!(topic.name, topics.topic_name(1));
            assert_eq!(topic.partition_data.len(), batches);
            for (partition, data) in (1234..).zip(&topic.partition_data) {
                assert_eq!(u32::try_from(data.index).unwrap() + 1000, partition);
                let batch = RecordBatchView::parse(data.records.as_ref().unwrap()).unwrap();
                batch.verify_crc().unwrap();
                let record = protocol::record_set::records(&batch).unwrap().next().unwrap().unwrap();
                let expected = Identity { partition, sequence: u64::from(partition) * 2, ..FIRST };
                assert_eq!(Identity::read(record.value.unwrap()), Some(expected));
            }
        }
    }

    fn response(error_code: i16) -> Vec<u8> {
        let partitions = [0, error_code].map(|error| {
            PartitionProduceResponse::default().with_index(5).with_error_code(error).with_base_offset(9)
        });
        let topic = TopicProduceResponse::default()
            .with_name(StrBytes::from_static_str("bench").into())
            .with_partition_responses(partitions.into());
        let mut frame = BytesMut::new();
        let header = ResponseHeader::default().with_correlation_id(12);
        header.encode(&mut frame, ProduceResponse::header_version(VERSION)).unwrap();
        ProduceResponse::default().with_responses(vec![topic]).encode(&mut frame, VERSION).unwrap();
        frame.into()
    }

    #[test]
    fn answer_without_an_error_gives_its_correlation_id() {
        assert_eq!(check_response(&response(0)).unwrap(), 12);
    }

    #[test]
    fn answer_with_an_error_or_cut_short_is_refused() {
        let error = check_response(&response(6)).unwrap_err();
        assert_eq!(error.to_string(), "Produce to partition 5 answered error 6");
        assert!(check_response(&response(0)[..20]).is_err());
    }

    #[test]
    fn length_of_a_compact_length_is_that_of_its_varint() {
        assert_eq!([126, 127, 16_382, 16_383, 1 << 20].map(length_len), [1, 2, 2, 3, 3]);
    }
}
