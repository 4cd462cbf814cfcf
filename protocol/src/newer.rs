//! Versions of messages that the codec crate does not have, beside it and in its traits.
//!
//! Named by the broker's table of APIs where the crate's own type would end too early. A version that only changed the
//! meaning of fields is [`Same`]; one with other fields has a type of its own below, which leaves every older version to
//! the crate. Field facts are those of the message schemas of Kafka 4.3 and 4.4. Invariant: a decoder reads only bodies that
//! `guard` has passed, and still checks every length.

mod offsets;
mod read;
mod share;
mod share_offsets;

use anyhow::Result;
use kafka_protocol::messages;
use kafka_protocol::protocol::buf::{ByteBuf, ByteBufMut};
use kafka_protocol::protocol::{Decodable, Encodable, HeaderVersion, Message, StrBytes, VersionRange};

pub use offsets::{OffsetCommitRequest, OffsetFetchRequest};
pub use share::{ShareAcknowledgeRequest, ShareAcknowledgeResponse, ShareFetchRequest, ShareFetchResponse};
pub use share_offsets::{DescribeShareGroupOffsetsRequest, DescribeShareGroupOffsetsResponse};

/// Declares a message that has the crate's versions and newer ones up to `$last`.
macro_rules! versions_up_to {
    ($last:literal, $newer:ty, $crates:ty) => {
        impl Message for $newer {
            const VERSIONS: VersionRange = VersionRange { min: <$crates>::VERSIONS.min, max: $last };
            const DEPRECATED_VERSIONS: Option<VersionRange> = None;
        }

        impl HeaderVersion for $newer {
            fn header_version(version: i16) -> i16 {
                <$crates>::header_version(version)
            }
        }
    };
}
use versions_up_to;

/// A message whose versions up to `LAST` look like the newest one that the crate has.
#[derive(Debug, Clone, PartialEq)]
pub struct Same<M, const LAST: i16>(pub M);

impl<M, const LAST: i16> From<M> for Same<M, LAST> {
    fn from(message: M) -> Self {
        Self(message)
    }
}

impl<M: Default, const LAST: i16> Default for Same<M, LAST> {
    fn default() -> Self {
        Self(M::default())
    }
}

impl<M: Message, const LAST: i16> Message for Same<M, LAST> {
    const VERSIONS: VersionRange = VersionRange { min: M::VERSIONS.min, max: LAST };
    const DEPRECATED_VERSIONS: Option<VersionRange> = None;
}

impl<M: Message + HeaderVersion, const LAST: i16> HeaderVersion for Same<M, LAST> {
    fn header_version(version: i16) -> i16 {
        M::header_version(version.min(M::VERSIONS.max))
    }
}

impl<M: Message + Decodable, const LAST: i16> Decodable for Same<M, LAST> {
    fn decode<B: ByteBuf>(buf: &mut B, version: i16) -> Result<Self> {
        M::decode(buf, version.min(M::VERSIONS.max)).map(Self)
    }
}

impl<M: Message + Encodable, const LAST: i16> Encodable for Same<M, LAST> {
    fn encode<B: ByteBufMut>(&self, buf: &mut B, version: i16) -> Result<()> {
        self.0.encode(buf, version.min(M::VERSIONS.max))
    }

    fn compute_size(&self, version: i16) -> Result<usize> {
        self.0.compute_size(version.min(M::VERSIONS.max))
    }
}

/// ListOffsets 11 knows one special timestamp more, -6.
pub type ListOffsetsRequest = Same<messages::ListOffsetsRequest, 11>;
/// As version 10.
pub type ListOffsetsResponse = Same<messages::ListOffsetsResponse, 11>;
/// As version 4.
pub type DescribeLogDirsRequest = Same<messages::DescribeLogDirsRequest, 5>;
/// As version 1.
pub type WriteTxnMarkersResponse = Same<messages::WriteTxnMarkersResponse, 2>;
/// As version 0.
pub type AddRaftVoterResponse = Same<messages::AddRaftVoterResponse, 1>;
/// As version 4.
pub type ApiVersionsResponse = Same<messages::ApiVersionsResponse, 5>;
/// As version 2.
pub type DeleteGroupsRequest = Same<messages::DeleteGroupsRequest, 3>;

/// ApiVersions, to version 5: the client says whom it believes to talk to (KIP-1242).
#[derive(Debug, Clone, PartialEq, Default)]
pub struct ApiVersionsRequest {
    /// What the older versions have.
    pub common: messages::ApiVersionsRequest,
    /// The cluster that the client knows; `None` before it knows one.
    pub cluster_id: Option<StrBytes>,
    /// The node that the client means, -1 when it does not know.
    pub node_id: i32,
}

versions_up_to!(5, ApiVersionsRequest, messages::ApiVersionsRequest);

impl Decodable for ApiVersionsRequest {
    fn decode<B: ByteBuf>(buf: &mut B, version: i16) -> Result<Self> {
        if version <= messages::ApiVersionsRequest::VERSIONS.max {
            let common = messages::ApiVersionsRequest::decode(buf, version)?;
            return Ok(Self { common, cluster_id: None, node_id: -1 });
        }
        let common = messages::ApiVersionsRequest::default()
            .with_client_software_name(read::string(buf)?)
            .with_client_software_version(read::string(buf)?);
        let request = Self { common, cluster_id: read::nullable_string(buf)?, node_id: read::i32(buf)? };
        read::skip_tags(buf)?;
        Ok(request)
    }
}

/// WriteTxnMarkers, to version 2: each marker names the transaction version that it was written by.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct WriteTxnMarkersRequest {
    /// What the older version has.
    pub common: messages::WriteTxnMarkersRequest,
    /// One for each marker; 0 in version 1.
    pub transaction_versions: Vec<i8>,
}

versions_up_to!(2, WriteTxnMarkersRequest, messages::WriteTxnMarkersRequest);

impl Decodable for WriteTxnMarkersRequest {
    fn decode<B: ByteBuf>(buf: &mut B, version: i16) -> Result<Self> {
        use messages::write_txn_markers_request::{WritableTxnMarker, WritableTxnMarkerTopic};
        if version <= messages::WriteTxnMarkersRequest::VERSIONS.max {
            let common = messages::WriteTxnMarkersRequest::decode(buf, version)?;
            let transaction_versions = vec![0; common.markers.len()];
            return Ok(Self { common, transaction_versions });
        }
        let marker = |buf: &mut B| {
            let marker = WritableTxnMarker::default()
                .with_producer_id(read::i64(buf)?.into())
                .with_producer_epoch(read::i16(buf)?)
                .with_transaction_result(read::i8(buf)? != 0)
                .with_topics(read::array(buf, |buf| WritableTxnMarkerTopic::decode(buf, 1))?)
                .with_coordinator_epoch(read::i32(buf)?);
            let transaction_version = read::i8(buf)?;
            read::skip_tags(buf)?;
            Ok((marker, transaction_version))
        };
        let (markers, transaction_versions) = read::array(buf, marker)?.into_iter().unzip();
        read::skip_tags(buf)?;
        let common = messages::WriteTxnMarkersRequest::default().with_markers(markers);
        Ok(Self { common, transaction_versions })
    }
}

/// AddRaftVoter, to version 1: whether the answer waits for the commit.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct AddRaftVoterRequest {
    /// What the older version has.
    pub common: messages::AddRaftVoterRequest,
    /// True in version 0.
    pub ack_when_committed: bool,
}

versions_up_to!(1, AddRaftVoterRequest, messages::AddRaftVoterRequest);

impl Decodable for AddRaftVoterRequest {
    fn decode<B: ByteBuf>(buf: &mut B, version: i16) -> Result<Self> {
        use messages::add_raft_voter_request::Listener;
        if version <= messages::AddRaftVoterRequest::VERSIONS.max {
            let common = messages::AddRaftVoterRequest::decode(buf, version)?;
            return Ok(Self { common, ack_when_committed: true });
        }
        let common = messages::AddRaftVoterRequest::default()
            .with_cluster_id(read::nullable_string(buf)?)
            .with_timeout_ms(read::i32(buf)?)
            .with_voter_id(read::i32(buf)?)
            .with_voter_directory_id(read::uuid(buf)?)
            .with_listeners(read::array(buf, |buf| Listener::decode(buf, 0))?);
        let ack_when_committed = read::i8(buf)? != 0;
        read::skip_tags(buf)?;
        Ok(Self { common, ack_when_committed })
    }
}

/// DescribeLogDirs, to version 5: whether a directory is cordoned (KIP-1066). None is here.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct DescribeLogDirsResponse(pub messages::DescribeLogDirsResponse);

versions_up_to!(5, DescribeLogDirsResponse, messages::DescribeLogDirsResponse);

impl Encodable for DescribeLogDirsResponse {
    fn encode<B: ByteBufMut>(&self, buf: &mut B, version: i16) -> Result<()> {
        const OLDER: i16 = messages::DescribeLogDirsResponse::VERSIONS.max;
        if version <= OLDER {
            return self.0.encode(buf, version);
        }
        buf.put_i32(self.0.throttle_time_ms);
        buf.put_i16(self.0.error_code);
        read::put_compact(buf, self.0.results.len());
        for result in &self.0.results {
            // The older form ends with its tags, of which there are none: one byte.
            let mut older = Vec::new();
            result.encode(&mut older, OLDER)?;
            older.truncate(older.len() - 1);
            buf.put_slice(&older);
            buf.put_slice(&[0, 0]);
        }
        buf.put_u8(0);
        Ok(())
    }

    fn compute_size(&self, version: i16) -> Result<usize> {
        let older = self.0.compute_size(version.min(messages::DescribeLogDirsResponse::VERSIONS.max))?;
        let newer = usize::from(version > messages::DescribeLogDirsResponse::VERSIONS.max);
        Ok(older + newer * self.0.results.len())
    }
}

/// DeleteGroups, to version 3: a sentence for each group that was not deleted.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct DeleteGroupsResponse {
    /// What the older versions have.
    pub common: messages::DeleteGroupsResponse,
    /// One for each result, in its order; a missing one is null.
    pub messages: Vec<Option<StrBytes>>,
}

versions_up_to!(3, DeleteGroupsResponse, messages::DeleteGroupsResponse);

impl Encodable for DeleteGroupsResponse {
    fn encode<B: ByteBufMut>(&self, buf: &mut B, version: i16) -> Result<()> {
        if version <= messages::DeleteGroupsResponse::VERSIONS.max {
            return self.common.encode(buf, version);
        }
        buf.put_i32(self.common.throttle_time_ms);
        read::put_compact(buf, self.common.results.len());
        let sentences = self.messages.iter().map(Option::as_ref).chain(std::iter::repeat(None));
        for (result, sentence) in self.common.results.iter().zip(sentences) {
            read::put_string(buf, Some(&result.group_id.0));
            buf.put_i16(result.error_code);
            read::put_string(buf, sentence);
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

#[cfg(test)]
mod tests;
