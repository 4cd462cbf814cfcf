//! OffsetCommit and OffsetFetch, to version 10: topics are named by id.

use anyhow::Result;
use kafka_protocol::messages::{self, offset_commit_request, offset_fetch_request};
use kafka_protocol::protocol::buf::{ByteBuf, ByteBufMut};
use kafka_protocol::protocol::{Decodable, Encodable, HeaderVersion, Message, VersionRange};

use super::{read, versions_up_to};

/// Version of the parts that did not change.
const OLDER: i16 = 9;

/// OffsetCommit, to version 10: `topic_id` instead of `name`.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct OffsetCommitRequest(pub messages::OffsetCommitRequest);

versions_up_to!(10, OffsetCommitRequest, messages::OffsetCommitRequest);

impl Decodable for OffsetCommitRequest {
    fn decode<B: ByteBuf>(buf: &mut B, version: i16) -> Result<Self> {
        use offset_commit_request::{OffsetCommitRequestPartition, OffsetCommitRequestTopic};
        if version <= OLDER {
            return messages::OffsetCommitRequest::decode(buf, version).map(Self);
        }
        let topic = |buf: &mut B| {
            let topic = OffsetCommitRequestTopic::default()
                .with_topic_id(read::uuid(buf)?)
                .with_partitions(read::array(buf, |buf| OffsetCommitRequestPartition::decode(buf, OLDER))?);
            read::skip_tags(buf)?;
            Ok(topic)
        };
        let request = messages::OffsetCommitRequest::default()
            .with_group_id(read::string(buf)?.into())
            .with_generation_id_or_member_epoch(read::i32(buf)?)
            .with_member_id(read::string(buf)?)
            .with_group_instance_id(read::nullable_string(buf)?)
            .with_topics(read::array(buf, topic)?);
        read::skip_tags(buf)?;
        Ok(Self(request))
    }
}

impl Encodable for OffsetCommitRequest {
    fn encode<B: ByteBufMut>(&self, buf: &mut B, version: i16) -> Result<()> {
        let request = &self.0;
        if version <= OLDER {
            return request.encode(buf, version);
        }
        read::put_string(buf, Some(&request.group_id.0));
        buf.put_i32(request.generation_id_or_member_epoch);
        read::put_string(buf, Some(&request.member_id));
        read::put_string(buf, request.group_instance_id.as_ref());
        read::put_compact(buf, request.topics.len());
        for topic in &request.topics {
            buf.put_slice(topic.topic_id.as_bytes());
            read::put_compact(buf, topic.partitions.len());
            for partition in &topic.partitions {
                let mut older = Vec::new();
                partition.encode(&mut older, OLDER)?;
                buf.put_slice(&older);
            }
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

/// OffsetFetch, to version 10: `topic_id` instead of `name`.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct OffsetFetchRequest(pub messages::OffsetFetchRequest);

versions_up_to!(10, OffsetFetchRequest, messages::OffsetFetchRequest);

impl Decodable for OffsetFetchRequest {
    fn decode<B: ByteBuf>(buf: &mut B, version: i16) -> Result<Self> {
        use offset_fetch_request::{OffsetFetchRequestGroup, OffsetFetchRequestTopics};
        if version <= OLDER {
            return messages::OffsetFetchRequest::decode(buf, version).map(Self);
        }
        let topic = |buf: &mut B| {
            let topic = OffsetFetchRequestTopics::default()
                .with_topic_id(read::uuid(buf)?)
                .with_partition_indexes(read::array(buf, read::i32)?);
            read::skip_tags(buf)?;
            Ok(topic)
        };
        let group = |buf: &mut B| {
            let group = OffsetFetchRequestGroup::default()
                .with_group_id(read::string(buf)?.into())
                .with_member_id(read::nullable_string(buf)?)
                .with_member_epoch(read::i32(buf)?)
                .with_topics(read::nullable_array(buf, topic)?);
            read::skip_tags(buf)?;
            Ok(group)
        };
        let request = messages::OffsetFetchRequest::default()
            .with_groups(read::array(buf, group)?)
            .with_require_stable(read::i8(buf)? != 0);
        read::skip_tags(buf)?;
        Ok(Self(request))
    }
}
