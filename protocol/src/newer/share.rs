//! ShareFetch and ShareAcknowledge, to version 2: locks are renewed (KIP-1222), a limit on records is kept (KIP-1206).

use anyhow::Result;
use kafka_protocol::messages::{self, share_acknowledge_request, share_fetch_request};
use kafka_protocol::protocol::buf::{ByteBuf, ByteBufMut};
use kafka_protocol::protocol::{Decodable, Encodable, HeaderVersion, Message, VersionRange};

use super::{Same, read, versions_up_to};

/// Version of the parts that did not change.
const OLDER: i16 = 1;

/// As version 1.
pub type ShareFetchResponse = Same<messages::ShareFetchResponse, 2>;

/// ShareFetch, to version 2.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct ShareFetchRequest {
    /// What the older version has.
    pub common: messages::ShareFetchRequest,
    /// 0 for whole batches, 1 for no more records than asked for; 0 in version 1.
    pub acquire_mode: i8,
    /// Whether locks are renewed, and nothing is fetched; false in version 1.
    pub is_renew: bool,
}

versions_up_to!(2, ShareFetchRequest, messages::ShareFetchRequest);

impl Decodable for ShareFetchRequest {
    fn decode<B: ByteBuf>(buf: &mut B, version: i16) -> Result<Self> {
        use share_fetch_request::{FetchTopic, ForgottenTopic};
        if version <= OLDER {
            let common = messages::ShareFetchRequest::decode(buf, version)?;
            return Ok(Self { common, acquire_mode: 0, is_renew: false });
        }
        let common = messages::ShareFetchRequest::default()
            .with_group_id(read::nullable_string(buf)?.map(Into::into))
            .with_member_id(read::nullable_string(buf)?)
            .with_share_session_epoch(read::i32(buf)?)
            .with_max_wait_ms(read::i32(buf)?)
            .with_min_bytes(read::i32(buf)?)
            .with_max_bytes(read::i32(buf)?)
            .with_max_records(read::i32(buf)?)
            .with_batch_size(read::i32(buf)?);
        let (acquire_mode, is_renew) = (read::i8(buf)?, read::i8(buf)? != 0);
        let common = common
            .with_topics(read::array(buf, |buf| FetchTopic::decode(buf, OLDER))?)
            .with_forgotten_topics_data(read::array(buf, |buf| ForgottenTopic::decode(buf, OLDER))?);
        read::skip_tags(buf)?;
        Ok(Self { common, acquire_mode, is_renew })
    }
}

/// ShareAcknowledge, to version 2.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct ShareAcknowledgeRequest {
    /// What the older version has.
    pub common: messages::ShareAcknowledgeRequest,
    /// Whether locks are renewed; false in version 1.
    pub is_renew: bool,
}

versions_up_to!(2, ShareAcknowledgeRequest, messages::ShareAcknowledgeRequest);

impl Decodable for ShareAcknowledgeRequest {
    fn decode<B: ByteBuf>(buf: &mut B, version: i16) -> Result<Self> {
        use share_acknowledge_request::AcknowledgeTopic;
        if version <= OLDER {
            let common = messages::ShareAcknowledgeRequest::decode(buf, version)?;
            return Ok(Self { common, is_renew: false });
        }
        let common = messages::ShareAcknowledgeRequest::default()
            .with_group_id(read::nullable_string(buf)?.map(Into::into))
            .with_member_id(read::nullable_string(buf)?)
            .with_share_session_epoch(read::i32(buf)?);
        let is_renew = read::i8(buf)? != 0;
        let common = common.with_topics(read::array(buf, |buf| AcknowledgeTopic::decode(buf, OLDER))?);
        read::skip_tags(buf)?;
        Ok(Self { common, is_renew })
    }
}

/// ShareAcknowledge, to version 2: how long locks are.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct ShareAcknowledgeResponse {
    /// What the older version has.
    pub common: messages::ShareAcknowledgeResponse,
    /// How long acquired records are locked, ms.
    pub acquisition_lock_timeout_ms: i32,
}

versions_up_to!(2, ShareAcknowledgeResponse, messages::ShareAcknowledgeResponse);

impl Encodable for ShareAcknowledgeResponse {
    fn encode<B: ByteBufMut>(&self, buf: &mut B, version: i16) -> Result<()> {
        let common = &self.common;
        if version <= OLDER {
            return common.encode(buf, version);
        }
        buf.put_i32(common.throttle_time_ms);
        buf.put_i16(common.error_code);
        read::put_string(buf, common.error_message.as_ref());
        buf.put_i32(self.acquisition_lock_timeout_ms);
        read::put_compact(buf, common.responses.len());
        for topic in &common.responses {
            put_older(buf, topic)?;
        }
        read::put_compact(buf, common.node_endpoints.len());
        for node in &common.node_endpoints {
            put_older(buf, node)?;
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

fn put_older<B: ByteBufMut>(buf: &mut B, part: &impl Encodable) -> Result<()> {
    let mut older = Vec::new();
    part.encode(&mut older, OLDER)?;
    buf.put_slice(&older);
    Ok(())
}
