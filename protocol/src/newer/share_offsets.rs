//! DescribeShareGroupOffsets, to version 1: how many records a group has yet to be done with (KIP-1226).

use anyhow::Result;
use kafka_protocol::messages;
use kafka_protocol::protocol::buf::ByteBufMut;
use kafka_protocol::protocol::{Encodable, HeaderVersion, Message, VersionRange};

use super::{Same, read, versions_up_to};

/// As version 0.
pub type DescribeShareGroupOffsetsRequest = Same<messages::DescribeShareGroupOffsetsRequest, 1>;

/// DescribeShareGroupOffsets, to version 1.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct DescribeShareGroupOffsetsResponse {
    /// What the older version has.
    pub common: messages::DescribeShareGroupOffsetsResponse,
    /// One for each partition, in their order; -1 for one that is missing.
    pub lags: Vec<i64>,
}

versions_up_to!(1, DescribeShareGroupOffsetsResponse, messages::DescribeShareGroupOffsetsResponse);

impl Encodable for DescribeShareGroupOffsetsResponse {
    fn encode<B: ByteBufMut>(&self, buf: &mut B, version: i16) -> Result<()> {
        if version <= messages::DescribeShareGroupOffsetsResponse::VERSIONS.max {
            return self.common.encode(buf, version);
        }
        let mut lags = self.lags.iter().copied().chain(std::iter::repeat(-1));
        buf.put_i32(self.common.throttle_time_ms);
        read::put_compact(buf, self.common.groups.len());
        for group in &self.common.groups {
            read::put_string(buf, Some(&group.group_id.0));
            read::put_compact(buf, group.topics.len());
            for topic in &group.topics {
                read::put_string(buf, Some(&topic.topic_name.0));
                buf.put_slice(topic.topic_id.as_bytes());
                read::put_compact(buf, topic.partitions.len());
                for (partition, lag) in topic.partitions.iter().zip(&mut lags) {
                    buf.put_i32(partition.partition_index);
                    buf.put_i64(partition.start_offset);
                    buf.put_i32(partition.leader_epoch);
                    buf.put_i64(lag);
                    buf.put_i16(partition.error_code);
                    read::put_string(buf, partition.error_message.as_ref());
                    buf.put_u8(0);
                }
                buf.put_u8(0);
            }
            buf.put_i16(group.error_code);
            read::put_string(buf, group.error_message.as_ref());
            buf.put_u8(0);
        }
        buf.put_u8(0);
        Ok(())
    }

    fn compute_size(&self, version: i16) -> Result<usize> {
        let mut out = Vec::new();
        self.encode(&mut out, version)?;
        Ok(out.len())
    }
}
