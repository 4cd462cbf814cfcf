//! FetchResponse v4-v18, written so that record bytes are never copied.
//!
//! Called by the broker's Fetch handler. The codec crate holds a partition's records as one contiguous `Bytes`; a fetch
//! from a shared log is many slices. Invariants: the slices leave as they came, in order, between chunks of metadata;
//! `records` is zero-length when there are none, never null (clients fail on null); fields that a version lacks are left
//! out silently.

use bytes::{BufMut, Bytes, BytesMut};
use kafka_protocol::protocol::StrBytes;
use uuid::Uuid;

use crate::error_code::ErrorCode;

/// The answer to one Fetch.
#[derive(Debug, Clone, Default)]
pub struct FetchResponse {
    /// How long the client was or shall be held back, ms.
    pub throttle_time_ms: i32,
    /// Error of the whole request (v7+).
    pub error_code: ErrorCode,
    /// Fetch session, 0 without one (v7+).
    pub session_id: i32,
    /// Topics in request order.
    pub topics: Vec<FetchedTopic>,
    /// Addresses of the leaders named in `current_leader` (v16+).
    pub node_endpoints: Vec<NodeEndpoint>,
}

/// One topic: its name goes out up to v12, its id from v13.
#[derive(Debug, Clone, Default)]
pub struct FetchedTopic {
    /// Topic name.
    pub name: StrBytes,
    /// Topic id.
    pub topic_id: Uuid,
    /// Partitions in request order.
    pub partitions: Vec<FetchedPartition>,
}

/// One partition.
#[derive(Debug, Clone)]
pub struct FetchedPartition {
    /// Partition number.
    pub partition_index: i32,
    /// Error of this partition.
    pub error_code: ErrorCode,
    /// High watermark, -1 with an error.
    pub high_watermark: i64,
    /// Last stable offset, -1 with an error.
    pub last_stable_offset: i64,
    /// Log start offset, -1 with an error (v5+).
    pub log_start_offset: i64,
    /// Largest common epoch and its end offset, when the client's log diverges (v12+).
    pub diverging_epoch: Option<EpochEndOffset>,
    /// Where the leader is, when it is not here (v12+).
    pub current_leader: Option<LeaderIdAndEpoch>,
    /// Aborted transactions that overlap the records, by first offset; `None` (null) for read_uncommitted.
    pub aborted_transactions: Option<Vec<AbortedTransaction>>,
    /// Replica to fetch from next, -1 for the leader (v11+).
    pub preferred_read_replica: i32,
    /// Record batches, in offset order; a batch may be spread over slices.
    pub records: Vec<Bytes>,
}

impl Default for FetchedPartition {
    /// An empty answer without error: offsets and replica -1.
    fn default() -> Self {
        Self {
            partition_index: 0,
            error_code: ErrorCode::None,
            high_watermark: -1,
            last_stable_offset: -1,
            log_start_offset: -1,
            diverging_epoch: None,
            current_leader: None,
            aborted_transactions: None,
            preferred_read_replica: -1,
            records: Vec::new(),
        }
    }
}

/// A leader epoch and the offset after its last record.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct EpochEndOffset {
    /// Leader epoch.
    pub epoch: i32,
    /// First offset that is not of this epoch.
    pub end_offset: i64,
}

/// A partition's leader.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct LeaderIdAndEpoch {
    /// Broker id.
    pub leader_id: i32,
    /// Leader epoch.
    pub leader_epoch: i32,
}

/// A transaction whose records a read_committed consumer skips.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct AbortedTransaction {
    /// Producer of the transaction.
    pub producer_id: i64,
    /// Its first offset in the partition.
    pub first_offset: i64,
}

/// Address of a broker.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct NodeEndpoint {
    /// Broker id.
    pub node_id: i32,
    /// Host name.
    pub host: StrBytes,
    /// Port.
    pub port: i32,
    /// Rack, `None` without one.
    pub rack: Option<StrBytes>,
}

/// The response body of `version` (4 to 18), in chunks to be written one after the other; without frame size and response
/// header. Chunks with records are the slices of `response`, the others were written here.
///
/// # Panics
/// When a partition's records or a list reach 2 GiB or 2^31 entries: Fetch limits keep far below.
#[must_use]
pub fn encode(version: i16, response: &FetchResponse) -> Vec<Bytes> {
    let partitions: usize = response.topics.iter().map(|topic| topic.partitions.len()).sum();
    let out = BytesMut::with_capacity(64 * (1 + response.topics.len() + partitions));
    let mut writer = Writer { version, out, chunks: Vec::new() };
    writer.response(response);
    writer.finish()
}

const FLEXIBLE_FROM: i16 = 12;

struct Writer {
    version: i16,
    out: BytesMut,
    chunks: Vec<Bytes>,
}

impl Writer {
    fn finish(mut self) -> Vec<Bytes> {
        self.cut();
        self.chunks
    }

    /// Ends the current metadata chunk.
    fn cut(&mut self) {
        if !self.out.is_empty() {
            self.chunks.push(self.out.split().freeze());
        }
    }

    fn response(&mut self, response: &FetchResponse) {
        self.out.put_i32(response.throttle_time_ms);
        if self.version >= 7 {
            self.out.put_i16(response.error_code.code());
            self.out.put_i32(response.session_id);
        }
        self.count(response.topics.len());
        for topic in &response.topics {
            self.topic(topic);
        }
        if self.version >= 16 && !response.node_endpoints.is_empty() {
            self.node_endpoints(&response.node_endpoints);
        } else {
            self.no_tags();
        }
    }

    fn topic(&mut self, topic: &FetchedTopic) {
        if self.version >= 13 {
            self.out.put_slice(topic.topic_id.as_bytes());
        } else {
            self.string(&topic.name);
        }
        self.count(topic.partitions.len());
        for partition in &topic.partitions {
            self.partition(partition);
        }
        self.no_tags();
    }

    fn partition(&mut self, partition: &FetchedPartition) {
        self.out.put_i32(partition.partition_index);
        self.out.put_i16(partition.error_code.code());
        self.out.put_i64(partition.high_watermark);
        self.out.put_i64(partition.last_stable_offset);
        if self.version >= 5 {
            self.out.put_i64(partition.log_start_offset);
        }
        self.aborted_transactions(partition.aborted_transactions.as_deref());
        if self.version >= 11 {
            self.out.put_i32(partition.preferred_read_replica);
        }
        self.count(partition.records.iter().map(Bytes::len).sum());
        let records = partition.records.iter().filter(|slice| !slice.is_empty());
        for slice in records {
            self.cut();
            self.chunks.push(slice.clone());
        }
        self.partition_tags(partition);
    }

    fn aborted_transactions(&mut self, aborted: Option<&[AbortedTransaction]>) {
        let Some(aborted) = aborted else {
            if self.is_flexible() {
                self.out.put_u8(0);
            } else {
                self.out.put_i32(-1);
            }
            return;
        };
        self.count(aborted.len());
        for transaction in aborted {
            self.out.put_i64(transaction.producer_id);
            self.out.put_i64(transaction.first_offset);
            self.no_tags();
        }
    }

    /// Each tagged struct is 12 or 8 bytes and an empty tag section of its own.
    fn partition_tags(&mut self, partition: &FetchedPartition) {
        if !self.is_flexible() {
            return;
        }
        let (diverging, leader) = (partition.diverging_epoch, partition.current_leader);
        self.out.put_u8(u8::from(diverging.is_some()) + u8::from(leader.is_some()));
        if let Some(diverging) = diverging {
            self.out.put_slice(&[0, 13]);
            self.out.put_i32(diverging.epoch);
            self.out.put_i64(diverging.end_offset);
            self.no_tags();
        }
        if let Some(leader) = leader {
            self.out.put_slice(&[1, 9]);
            self.out.put_i32(leader.leader_id);
            self.out.put_i32(leader.leader_epoch);
            self.no_tags();
        }
    }

    /// The tag section of the response: tag 0 with its size, which is known only after its content.
    fn node_endpoints(&mut self, endpoints: &[NodeEndpoint]) {
        let mut field = Self { version: self.version, out: BytesMut::new(), chunks: Vec::new() };
        field.count(endpoints.len());
        for endpoint in endpoints {
            field.out.put_i32(endpoint.node_id);
            field.string(&endpoint.host);
            field.out.put_i32(endpoint.port);
            match &endpoint.rack {
                None => field.out.put_u8(0),
                Some(rack) => field.string(rack),
            }
            field.no_tags();
        }
        self.out.put_slice(&[1, 0]);
        self.unsigned_varint(field.out.len());
        self.out.put_slice(&field.out);
    }

    fn is_flexible(&self) -> bool {
        self.version >= FLEXIBLE_FROM
    }

    fn no_tags(&mut self) {
        if self.is_flexible() {
            self.out.put_u8(0);
        }
    }

    /// Count of an array, or length of records.
    fn count(&mut self, count: usize) {
        if self.is_flexible() {
            self.unsigned_varint(count + 1);
        } else {
            self.out.put_i32(i32::try_from(count).expect("fetch limits keep lengths below 2^31"));
        }
    }

    fn string(&mut self, text: &StrBytes) {
        if self.is_flexible() {
            self.unsigned_varint(text.len() + 1);
        } else {
            self.out.put_i16(i16::try_from(text.len()).expect("names are below 32 KiB"));
        }
        self.out.put_slice(text.as_bytes());
    }

    fn unsigned_varint(&mut self, value: usize) {
        let mut value = i32::try_from(value).expect("fetch limits keep lengths below 2^31").cast_unsigned();
        while value >= 0x80 {
            let low = u8::try_from(value & 0x7f).expect("seven bits fit a byte");
            self.out.put_u8(low | 0x80);
            value >>= 7;
        }
        self.out.put_u8(u8::try_from(value).expect("below 0x80"));
    }
}

#[cfg(test)]
#[path = "fetch_response_tests.rs"]
mod tests;
