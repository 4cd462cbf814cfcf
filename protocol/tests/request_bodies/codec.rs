//! Request types, chosen by API key.

use bytes::{Bytes, BytesMut};
use protocol::messages::*;
use protocol::{Decodable, Encodable, HeaderVersion, Message};

/// The crate's messages, but those of `newer` where there are newer versions.
mod newest {
    pub(super) use protocol::messages::*;
    pub(super) use protocol::newer::{
        AddRaftVoterRequest, ApiVersionsRequest, DeleteGroupsRequest, DescribeLogDirsRequest,
        DescribeShareGroupOffsetsRequest, ListOffsetsRequest, OffsetCommitRequest, OffsetFetchRequest,
        ShareAcknowledgeRequest, ShareFetchRequest, WriteTxnMarkersRequest,
    };
}

macro_rules! requests {
    ($($key:literal => $request:ident,)*) => {
        /// Decodes `body` and drops the result. `Some(bytes left)`, or `None` when the crate refuses it.
        pub(crate) fn decode(api_key: i16, version: i16, mut body: Bytes) -> Option<usize> {
            match api_key {
                $($key => newest::$request::decode(&mut body, version).ok().map(|_| body.len()),)*
                _ => panic!("no request type for key {api_key}"),
            }
        }

        /// The crate's own encoding of a default request, where that version can express it.
        pub(crate) fn default_body(api_key: i16, version: i16) -> Option<Bytes> {
            let mut out = BytesMut::new();
            match api_key {
                $($key => $request::default().encode(&mut out, version).ok().map(|()| out.freeze()),)*
                _ => panic!("no request type for key {api_key}"),
            }
        }

        /// Versions that can be decoded.
        pub(crate) fn versions(api_key: i16) -> (i16, i16) {
            let range = match api_key {
                $($key => newest::$request::VERSIONS,)*
                _ => panic!("no request type for key {api_key}"),
            };
            (range.min, range.max)
        }

        /// Version of the request header.
        pub(crate) fn header_version(api_key: i16, version: i16) -> i16 {
            match api_key {
                $($key => newest::$request::header_version(version),)*
                _ => panic!("no request type for key {api_key}"),
            }
        }
    };
}

requests! {
    0 => ProduceRequest,
    1 => FetchRequest,
    2 => ListOffsetsRequest,
    3 => MetadataRequest,
    8 => OffsetCommitRequest,
    9 => OffsetFetchRequest,
    10 => FindCoordinatorRequest,
    11 => JoinGroupRequest,
    12 => HeartbeatRequest,
    13 => LeaveGroupRequest,
    14 => SyncGroupRequest,
    15 => DescribeGroupsRequest,
    16 => ListGroupsRequest,
    17 => SaslHandshakeRequest,
    18 => ApiVersionsRequest,
    19 => CreateTopicsRequest,
    20 => DeleteTopicsRequest,
    21 => DeleteRecordsRequest,
    22 => InitProducerIdRequest,
    23 => OffsetForLeaderEpochRequest,
    24 => AddPartitionsToTxnRequest,
    25 => AddOffsetsToTxnRequest,
    26 => EndTxnRequest,
    27 => WriteTxnMarkersRequest,
    28 => TxnOffsetCommitRequest,
    29 => DescribeAclsRequest,
    30 => CreateAclsRequest,
    31 => DeleteAclsRequest,
    32 => DescribeConfigsRequest,
    33 => AlterConfigsRequest,
    34 => AlterReplicaLogDirsRequest,
    35 => DescribeLogDirsRequest,
    36 => SaslAuthenticateRequest,
    37 => CreatePartitionsRequest,
    38 => CreateDelegationTokenRequest,
    39 => RenewDelegationTokenRequest,
    40 => ExpireDelegationTokenRequest,
    41 => DescribeDelegationTokenRequest,
    42 => DeleteGroupsRequest,
    43 => ElectLeadersRequest,
    44 => IncrementalAlterConfigsRequest,
    45 => AlterPartitionReassignmentsRequest,
    46 => ListPartitionReassignmentsRequest,
    47 => OffsetDeleteRequest,
    48 => DescribeClientQuotasRequest,
    49 => AlterClientQuotasRequest,
    50 => DescribeUserScramCredentialsRequest,
    51 => AlterUserScramCredentialsRequest,
    55 => DescribeQuorumRequest,
    57 => UpdateFeaturesRequest,
    60 => DescribeClusterRequest,
    61 => DescribeProducersRequest,
    64 => UnregisterBrokerRequest,
    65 => DescribeTransactionsRequest,
    66 => ListTransactionsRequest,
    68 => ConsumerGroupHeartbeatRequest,
    69 => ConsumerGroupDescribeRequest,
    71 => GetTelemetrySubscriptionsRequest,
    72 => PushTelemetryRequest,
    74 => ListConfigResourcesRequest,
    75 => DescribeTopicPartitionsRequest,
    76 => ShareGroupHeartbeatRequest,
    77 => ShareGroupDescribeRequest,
    78 => ShareFetchRequest,
    79 => ShareAcknowledgeRequest,
    80 => AddRaftVoterRequest,
    81 => RemoveRaftVoterRequest,
    90 => DescribeShareGroupOffsetsRequest,
    91 => AlterShareGroupOffsetsRequest,
    92 => DeleteShareGroupOffsetsRequest,
}
