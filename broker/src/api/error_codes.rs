//! Which errors an answer says, for the counters of errors by API.
//!
//! Asked by `Response::encode` of every answer, so a message without a row here cannot be one. A row names the fields that
//! carry error codes and the lists that they stand in, as Kafka's `AbstractResponse.errorCounts` goes through them: one error
//! for each partition, topic, group or request that it is said of. "No error" is not counted.

use protocol::newer::{
    self, DeleteGroupsResponse, DescribeLogDirsResponse, DescribeShareGroupOffsetsResponse, Same,
};
use protocol::{ErrorCode, fetch_response, messages, share_fetch_response};

/// How often an answer says which error. Few: an answer rarely says two different ones.
pub(crate) type ErrorCounts = Vec<(i16, u64)>;

/// An answer whose errors can be counted.
pub(crate) trait ErrorCodes {
    /// Tells every error code in it, also where it says that there is none.
    fn tell(&self, told: &mut dyn FnMut(i16));

    /// The errors in it; empty, and without memory of its own, when there are none.
    fn errors(&self) -> ErrorCounts {
        let mut counts = ErrorCounts::new();
        self.tell(&mut |code| {
            if code == ErrorCode::None.code() {
                return;
            }
            match counts.iter_mut().find(|(known, _)| *known == code) {
                Some((_, count)) => *count += 1,
                None => counts.push((code, 1)),
            }
        });
        counts
    }
}

macro_rules! tell {
    ($it:expr, $told:ident;) => {};
    ($it:expr, $told:ident; $list:ident[$($inner:tt)*] $($rest:tt)*) => {
        for item in &$it.$list {
            tell!(item, $told; $($inner)*);
        }
        tell!($it, $told; $($rest)*);
    };
    ($it:expr, $told:ident; $code:ident $($rest:tt)*) => {
        $told($it.$code);
        tell!($it, $told; $($rest)*);
    };
}

macro_rules! errors_of {
    ($($message:ident { $($fields:tt)* })*) => {
        $(impl ErrorCodes for messages::$message {
            fn tell(&self, told: &mut dyn FnMut(i16)) {
                tell!(self, told; $($fields)*);
            }
        })*
    };
}

errors_of! {
    AddOffsetsToTxnResponse { error_code }
    AddPartitionsToTxnResponse {
        error_code
        results_by_transaction[topic_results[results_by_partition[partition_error_code]]]
        results_by_topic_v3_and_below[results_by_partition[partition_error_code]]
    }
    AddRaftVoterResponse { error_code }
    AlterClientQuotasResponse { entries[error_code] }
    AlterConfigsResponse { responses[error_code] }
    AlterPartitionReassignmentsResponse { error_code responses[partitions[error_code]] }
    AlterReplicaLogDirsResponse { results[partitions[error_code]] }
    AlterShareGroupOffsetsResponse { error_code responses[partitions[error_code]] }
    AlterUserScramCredentialsResponse { results[error_code] }
    ApiVersionsResponse { error_code }
    ConsumerGroupDescribeResponse { groups[error_code] }
    ConsumerGroupHeartbeatResponse { error_code }
    CreateAclsResponse { results[error_code] }
    CreateDelegationTokenResponse { error_code }
    CreatePartitionsResponse { results[error_code] }
    CreateTopicsResponse { topics[error_code] }
    DeleteAclsResponse { filter_results[error_code] }
    DeleteGroupsResponse { results[error_code] }
    DeleteRecordsResponse { topics[partitions[error_code]] }
    DeleteShareGroupOffsetsResponse { error_code responses[error_code] }
    DeleteTopicsResponse { responses[error_code] }
    DescribeAclsResponse { error_code }
    DescribeClientQuotasResponse { error_code }
    DescribeClusterResponse { error_code }
    DescribeConfigsResponse { results[error_code] }
    DescribeDelegationTokenResponse { error_code }
    DescribeGroupsResponse { groups[error_code] }
    DescribeLogDirsResponse { error_code results[error_code] }
    DescribeProducersResponse { topics[partitions[error_code]] }
    DescribeQuorumResponse { error_code topics[partitions[error_code]] }
    DescribeShareGroupOffsetsResponse { groups[error_code topics[partitions[error_code]]] }
    DescribeTopicPartitionsResponse { topics[error_code partitions[error_code]] }
    DescribeTransactionsResponse { transaction_states[error_code] }
    DescribeUserScramCredentialsResponse { error_code results[error_code] }
    ElectLeadersResponse { error_code replica_election_results[partition_result[error_code]] }
    EndTxnResponse { error_code }
    ExpireDelegationTokenResponse { error_code }
    FetchResponse { error_code responses[partitions[error_code]] }
    FindCoordinatorResponse { error_code coordinators[error_code] }
    HeartbeatResponse { error_code }
    IncrementalAlterConfigsResponse { responses[error_code] }
    InitProducerIdResponse { error_code }
    JoinGroupResponse { error_code }
    LeaveGroupResponse { error_code members[error_code] }
    ListConfigResourcesResponse { error_code }
    ListGroupsResponse { error_code }
    ListOffsetsResponse { topics[partitions[error_code]] }
    ListPartitionReassignmentsResponse { error_code }
    ListTransactionsResponse { error_code }
    MetadataResponse { error_code topics[error_code partitions[error_code]] }
    OffsetCommitResponse { topics[partitions[error_code]] }
    OffsetDeleteResponse { error_code topics[partitions[error_code]] }
    OffsetFetchResponse {
        error_code
        topics[partitions[error_code]]
        groups[error_code topics[partitions[error_code]]]
    }
    OffsetForLeaderEpochResponse { topics[partitions[error_code]] }
    ProduceResponse { responses[partition_responses[error_code]] }
    RemoveRaftVoterResponse { error_code }
    RenewDelegationTokenResponse { error_code }
    SaslAuthenticateResponse { error_code }
    SaslHandshakeResponse { error_code }
    ShareAcknowledgeResponse { error_code responses[partitions[error_code]] }
    ShareFetchResponse { error_code responses[partitions[error_code acknowledge_error_code]] }
    ShareGroupDescribeResponse { groups[error_code] }
    ShareGroupHeartbeatResponse { error_code }
    SyncGroupResponse { error_code }
    TxnOffsetCommitResponse { topics[partitions[error_code]] }
    UnregisterBrokerResponse { error_code }
    UpdateFeaturesResponse { error_code results[error_code] }
    WriteTxnMarkersResponse { markers[topics[partitions[error_code]]] }
}

impl<M: ErrorCodes, const LAST: i16> ErrorCodes for Same<M, LAST> {
    fn tell(&self, told: &mut dyn FnMut(i16)) {
        self.0.tell(told);
    }
}

impl ErrorCodes for DescribeLogDirsResponse {
    fn tell(&self, told: &mut dyn FnMut(i16)) {
        self.0.tell(told);
    }
}

impl ErrorCodes for DescribeShareGroupOffsetsResponse {
    fn tell(&self, told: &mut dyn FnMut(i16)) {
        self.common.tell(told);
    }
}

impl ErrorCodes for DeleteGroupsResponse {
    fn tell(&self, told: &mut dyn FnMut(i16)) {
        self.common.tell(told);
    }
}

impl ErrorCodes for fetch_response::FetchResponse {
    fn tell(&self, told: &mut dyn FnMut(i16)) {
        told(self.error_code.code());
        let partitions = self.topics.iter().flat_map(|topic| &topic.partitions);
        partitions.for_each(|partition| told(partition.error_code.code()));
    }
}

impl ErrorCodes for newer::ShareAcknowledgeResponse {
    fn tell(&self, told: &mut dyn FnMut(i16)) {
        self.common.tell(told);
    }
}

impl ErrorCodes for share_fetch_response::ShareFetchResponse {
    fn tell(&self, told: &mut dyn FnMut(i16)) {
        told(self.error_code.code());
        for partition in self.topics.iter().flat_map(|topic| &topic.partitions) {
            told(partition.error_code.code());
            told(partition.acknowledge_error_code.code());
        }
    }
}

#[cfg(test)]
mod tests {
    use protocol::messages::metadata_response::{MetadataResponsePartition, MetadataResponseTopic};

    use super::*;

    #[test]
    fn errors_are_counted_in_every_list_and_no_error_is_none() {
        let failed = |error: ErrorCode| MetadataResponsePartition::default().with_error_code(error.code());
        let topic = MetadataResponseTopic::default()
            .with_error_code(ErrorCode::UnknownTopicOrPartition.code())
            .with_partitions(vec![
                failed(ErrorCode::None),
                failed(ErrorCode::LeaderNotAvailable),
                failed(ErrorCode::LeaderNotAvailable),
            ]);
        let response = messages::MetadataResponse::default().with_topics(vec![topic]);
        let (unknown, unavailable) = (ErrorCode::UnknownTopicOrPartition, ErrorCode::LeaderNotAvailable);
        assert_eq!(response.errors(), [(unknown.code(), 1), (unavailable.code(), 2)]);
        assert_eq!(messages::MetadataResponse::default().errors(), []);
    }
}
