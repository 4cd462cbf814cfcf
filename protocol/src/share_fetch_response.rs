//! ShareFetchResponse v1-v2, written so that record bytes are never copied, as `fetch_response` does it for Fetch.
//!
//! Called by the broker's ShareFetch handler. Invariants: the slices leave as they came, in order, between chunks of metadata;
//! `records` is zero-length when there are none, never null. Both versions look alike.

use bytes::{BufMut, Bytes, BytesMut};
use kafka_protocol::protocol::StrBytes;
use uuid::Uuid;

use crate::error_code::ErrorCode;
use crate::fetch_response::{LeaderIdAndEpoch, NodeEndpoint};

/// The answer to one ShareFetch.
#[derive(Debug, Clone, Default)]
pub struct ShareFetchResponse {
    /// Error of the whole request.
    pub error_code: ErrorCode,
    /// A sentence for it.
    pub error_message: Option<StrBytes>,
    /// How long acquired records are locked, ms.
    pub acquisition_lock_timeout_ms: i32,
    /// Topics.
    pub topics: Vec<ShareFetchedTopic>,
    /// Addresses of the leaders named in `current_leader`.
    pub node_endpoints: Vec<NodeEndpoint>,
}

/// One topic.
#[derive(Debug, Clone, Default)]
pub struct ShareFetchedTopic {
    /// Topic id.
    pub topic_id: Uuid,
    /// Partitions.
    pub partitions: Vec<ShareFetchedPartition>,
}

/// One partition.
#[derive(Debug, Clone, Default)]
pub struct ShareFetchedPartition {
    /// Partition number.
    pub partition_index: i32,
    /// Why nothing was fetched.
    pub error_code: ErrorCode,
    /// Why acknowledgements in the request do not count.
    pub acknowledge_error_code: ErrorCode,
    /// A sentence for that.
    pub acknowledge_error_message: Option<StrBytes>,
    /// Where the leader is, when it is not here.
    pub current_leader: Option<LeaderIdAndEpoch>,
    /// Record batches, in offset order; more than was acquired.
    pub records: Vec<Bytes>,
    /// First and last offset, and how often they were delivered.
    pub acquired: Vec<(i64, i64, i16)>,
}

/// The response body, in chunks to be written one after the other; without frame size and response header.
///
/// # Panics
/// When a partition's records or a list reach 2 GiB or 2^31 entries: limits keep far below.
#[must_use]
pub fn encode(response: &ShareFetchResponse) -> Vec<Bytes> {
    let partitions: usize = response.topics.iter().map(|topic| topic.partitions.len()).sum();
    let out = BytesMut::with_capacity(64 * (1 + response.topics.len() + partitions));
    let mut writer = Writer { out, chunks: Vec::new() };
    writer.response(response);
    writer.cut();
    writer.chunks
}

struct Writer {
    out: BytesMut,
    chunks: Vec<Bytes>,
}

impl Writer {
    /// Ends the current metadata chunk.
    fn cut(&mut self) {
        if !self.out.is_empty() {
            self.chunks.push(self.out.split().freeze());
        }
    }

    fn response(&mut self, response: &ShareFetchResponse) {
        self.out.put_i32(0); // throttle time
        self.out.put_i16(response.error_code.code());
        self.string(response.error_message.as_ref());
        self.out.put_i32(response.acquisition_lock_timeout_ms);
        self.count(response.topics.len());
        for topic in &response.topics {
            self.out.put_slice(topic.topic_id.as_bytes());
            self.count(topic.partitions.len());
            for partition in &topic.partitions {
                self.partition(partition);
            }
            self.no_tags();
        }
        self.count(response.node_endpoints.len());
        for node in &response.node_endpoints {
            self.out.put_i32(node.node_id);
            self.string(Some(&node.host));
            self.out.put_i32(node.port);
            self.string(node.rack.as_ref());
            self.no_tags();
        }
        self.no_tags();
    }

    fn partition(&mut self, partition: &ShareFetchedPartition) {
        self.out.put_i32(partition.partition_index);
        self.out.put_i16(partition.error_code.code());
        self.string(None);
        self.out.put_i16(partition.acknowledge_error_code.code());
        self.string(partition.acknowledge_error_message.as_ref());
        let leader = partition.current_leader.unwrap_or(LeaderIdAndEpoch { leader_id: 0, leader_epoch: 0 });
        self.out.put_i32(leader.leader_id);
        self.out.put_i32(leader.leader_epoch);
        self.no_tags();
        self.count(partition.records.iter().map(Bytes::len).sum());
        for slice in partition.records.iter().filter(|slice| !slice.is_empty()) {
            self.cut();
            self.chunks.push(slice.clone());
        }
        self.count(partition.acquired.len());
        for (first, last, deliveries) in &partition.acquired {
            self.out.put_i64(*first);
            self.out.put_i64(*last);
            self.out.put_i16(*deliveries);
            self.no_tags();
        }
        self.no_tags();
    }

    fn no_tags(&mut self) {
        self.out.put_u8(0);
    }

    fn string(&mut self, text: Option<&StrBytes>) {
        match text {
            None => self.out.put_u8(0),
            Some(text) => {
                self.count(text.len());
                self.out.put_slice(text.as_bytes());
            }
        }
    }

    /// Count of an array, or length of records or a string.
    fn count(&mut self, count: usize) {
        let count = i32::try_from(count + 1).expect("limits keep lengths below 2^31");
        let mut value = count.cast_unsigned();
        while value >= 0x80 {
            let low = u8::try_from(value & 0x7f).expect("seven bits fit a byte");
            self.out.put_u8(low | 0x80);
            value >>= 7;
        }
        self.out.put_u8(u8::try_from(value).expect("below 0x80"));
    }
}

#[cfg(test)]
mod tests {
    use kafka_protocol::messages;
    use kafka_protocol::protocol::Decodable as _;

    use super::*;

    #[test]
    fn what_is_written_is_what_the_codec_reads() {
        let partition = ShareFetchedPartition {
            partition_index: 3,
            error_code: ErrorCode::NotLeaderOrFollower,
            acknowledge_error_code: ErrorCode::InvalidRecordState,
            acknowledge_error_message: Some(StrBytes::from_static_str("no")),
            current_leader: Some(LeaderIdAndEpoch { leader_id: 2, leader_epoch: 7 }),
            records: vec![Bytes::from_static(b"abc"), Bytes::new(), Bytes::from_static(b"de")],
            acquired: vec![(5, 9, 1), (10, 10, 4)],
        };
        let response = ShareFetchResponse {
            error_code: ErrorCode::None,
            error_message: None,
            acquisition_lock_timeout_ms: 30_000,
            topics: vec![ShareFetchedTopic { topic_id: Uuid::from_u128(6), partitions: vec![partition] }],
            node_endpoints: vec![NodeEndpoint {
                node_id: 2,
                host: StrBytes::from_static_str("h"),
                port: 9,
                rack: None,
            }],
        };
        let chunks = encode(&response);
        assert_eq!(chunks.len(), 4, "records are not copied");
        let mut body = Bytes::from(chunks.concat());
        let read = messages::ShareFetchResponse::decode(&mut body, 1).unwrap();
        assert!(body.is_empty());
        assert_eq!((read.error_code, read.acquisition_lock_timeout_ms), (0, 30_000));
        assert_eq!((read.node_endpoints[0].node_id.0, read.node_endpoints[0].port), (2, 9));
        let topic = &read.responses[0];
        assert_eq!(topic.topic_id, Uuid::from_u128(6));
        let partition = &topic.partitions[0];
        assert_eq!((partition.partition_index, partition.error_code), (3, 6));
        assert_eq!(partition.acknowledge_error_code, ErrorCode::InvalidRecordState.code());
        assert_eq!(partition.acknowledge_error_message.as_deref(), Some("no"));
        assert_eq!((partition.current_leader.leader_id, partition.current_leader.leader_epoch), (2, 7));
        assert_eq!(partition.records.as_deref(), Some(&b"abcde"[..]));
        let acquired = partition.acquired_records.iter();
        let acquired: Vec<_> =
            acquired.map(|it| (it.first_offset, it.last_offset, it.delivery_count)).collect();
        assert_eq!(acquired, [(5, 9, 1), (10, 10, 4)]);
    }
}
