//! Where in a request of each API its first array begins. A table of its own, so that the broker's tables cannot make both
//! sides wrong in the same way.

/// The only API that answers versions it does not know.
pub(crate) const API_VERSIONS: i16 = 18;

/// No version of the API is flexible.
const NEVER: i16 = i16::MAX;

/// One API.
pub(crate) struct Layout {
    pub(crate) key: i16,
    /// First version with request header v2 and compact lengths (KIP-482).
    pub(crate) flexible_from: i16,
    /// Its first array, if it has one.
    pub(crate) array: Option<Array>,
}

/// An array in one version of a request.
#[derive(Clone, Copy)]
pub(crate) struct Array {
    pub(crate) version: i16,
    /// The body before its count.
    pub(crate) before: &'static [u8],
}

const fn array(key: i16, flexible_from: i16, version: i16, before: &'static [u8]) -> Layout {
    Layout { key, flexible_from, array: Some(Array { version, before }) }
}

const fn no_array(key: i16, flexible_from: i16) -> Layout {
    Layout { key, flexible_from, array: None }
}

/// Strings are `g` (group), `m` (member) and `t` (topic).
pub(crate) const LAYOUTS: &[Layout] = &[
    array(0, 9, 3, b"\xff\xff\0\x01\0\0\x03\xe8"), // Produce: transactional id, acks, timeout
    array(0, 9, 9, b"\0\0\x01\0\0\x03\xe8"),
    array(1, 12, 4, b"\xff\xff\xff\xff\0\0\0\0\0\0\0\x01\0\0\x10\0\0"), // Fetch: replica, wait, min, max, isolation
    array(1, 12, 12, b"\xff\xff\xff\xff\0\0\0\0\0\0\0\x01\0\0\x10\0\0\0\0\0\0\xff\xff\xff\xff"), // ... session, epoch
    array(2, 6, 1, b"\xff\xff\xff\xff"), // ListOffsets: replica
    array(2, 6, 6, b"\xff\xff\xff\xff\0"),
    array(3, 9, 0, b""), // Metadata
    array(3, 9, 9, b""),
    array(8, 8, 2, b"\0\x01g\xff\xff\xff\xff\0\0\xff\xff\xff\xff\xff\xff\xff\xff"), // OffsetCommit
    array(9, 6, 1, b"\0\x01g"),                                                     // OffsetFetch: group
    array(9, 6, 8, b""),
    array(10, 3, 4, b"\0"), // FindCoordinator: key type
    array(11, 6, 0, b"\0\x01g\0\0\x27\x10\0\0\0\x08consumer"), // JoinGroup: group, session, member, protocol type
    no_array(12, 4),                                           // Heartbeat
    array(13, 4, 3, b"\0\x01g"),                               // LeaveGroup: group
    array(14, 4, 0, b"\0\x01g\0\0\0\x01\0\x01m"),              // SyncGroup: group, generation, member
    array(15, 5, 0, b""),                                      // DescribeGroups
    array(16, 3, 4, b""),                                      // ListGroups
    no_array(17, NEVER),                                       // SaslHandshake
    no_array(18, 3),                                           // ApiVersions
    array(19, 5, 2, b""),                                      // CreateTopics
    array(19, 5, 5, b""),
    array(20, 4, 1, b""),                              // DeleteTopics
    array(21, 2, 0, b""),                              // DeleteRecords
    no_array(22, 2),                                   // InitProducerId
    array(23, 4, 2, b""),                              // OffsetForLeaderEpoch
    array(24, 3, 0, b"\0\x01x\0\0\0\0\0\0\0\x01\0\0"), // AddPartitionsToTxn: transactional id, producer, epoch
    array(24, 3, 4, b""),
    no_array(25, 3),                                            // AddOffsetsToTxn
    no_array(26, 3),                                            // EndTxn
    array(27, 1, 1, b""),                                       // WriteTxnMarkers
    array(28, 3, 0, b"\0\x01x\0\x01g\0\0\0\0\0\0\0\x01\0\0"), // TxnOffsetCommit: transactional id, group, producer, epoch
    no_array(29, 2),                                          // DescribeAcls
    array(30, 2, 1, b""),                                     // CreateAcls
    array(31, 2, 1, b""),                                     // DeleteAcls
    array(32, 4, 1, b""),                                     // DescribeConfigs
    array(33, 2, 0, b""),                                     // AlterConfigs
    array(34, 2, 1, b""),                                     // AlterReplicaLogDirs
    array(35, 2, 1, b""),                                     // DescribeLogDirs
    no_array(36, 2),                                          // SaslAuthenticate
    array(37, 2, 0, b""),                                     // CreatePartitions
    array(38, 2, 1, b""),                                     // CreateDelegationToken
    no_array(39, 2),                                          // RenewDelegationToken
    no_array(40, 2),                                          // ExpireDelegationToken
    array(41, 2, 1, b""),                                     // DescribeDelegationToken
    array(42, 2, 0, b""),                                     // DeleteGroups
    array(43, 2, 0, b""),                                     // ElectLeaders
    array(44, 1, 0, b""),                                     // IncrementalAlterConfigs
    array(45, 0, 0, b"\0\0\x03\xe8"),                         // AlterPartitionReassignments: timeout
    array(46, 0, 0, b"\0\0\x03\xe8"),                         // ListPartitionReassignments: timeout
    array(47, NEVER, 0, b"\0\x01g"),                          // OffsetDelete: group
    array(48, 1, 0, b""),                                     // DescribeClientQuotas
    array(49, 1, 0, b""),                                     // AlterClientQuotas
    array(50, 0, 0, b""),                                     // DescribeUserScramCredentials
    array(51, 0, 0, b""),                                     // AlterUserScramCredentials
    array(55, 0, 0, b""),                                     // DescribeQuorum
    array(57, 0, 0, b"\0\0\x03\xe8"),                         // UpdateFeatures: timeout
    no_array(60, 0),                                          // DescribeCluster
    array(61, 0, 0, b""),                                     // DescribeProducers
    no_array(64, 0),                                          // UnregisterBroker
    array(65, 0, 0, b""),                                     // DescribeTransactions
    array(66, 0, 0, b""),                                     // ListTransactions
    array(68, 0, 0, b"\x02g\x02m\0\0\0\0\0\0\xff\xff\xff\xff"), // ConsumerGroupHeartbeat: group, member, epoch, ...
    array(69, 0, 0, b""),                                       // ConsumerGroupDescribe
    array(74, 0, 1, b""),                                       // ListConfigResources
    array(75, 0, 0, b""),                                       // DescribeTopicPartitions
    array(76, 0, 1, b"\x02g\x02m\0\0\0\0\0"), // ShareGroupHeartbeat: group, member, epoch, rack
    array(77, 0, 1, b""),                     // ShareGroupDescribe
    // ShareFetch: group, member, epoch, wait, min, max, records, batch; from version 2 on mode and renewal
    array(78, 0, 1, b"\x02g\x02m\0\0\0\0\0\0\0\0\0\0\0\x01\0\0\x10\0\0\0\0\x01\0\0\0\x01"),
    array(78, 0, 2, b"\x02g\x02m\0\0\0\0\0\0\0\0\0\0\0\x01\0\0\x10\0\0\0\0\x01\0\0\0\x01\0\0"),
    array(79, 0, 1, b"\x02g\x02m\0\0\0\x01"), // ShareAcknowledge: group, member, epoch
    array(79, 0, 2, b"\x02g\x02m\0\0\0\x01\0"),
    array(80, 0, 0, b"\0\0\0\x03\xe8\0\0\0\x01\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0"), // AddRaftVoter: cluster, timeout, voter
    no_array(81, 0),                                                              // RemoveRaftVoter
    array(90, 0, 0, b""),                                                         // DescribeShareGroupOffsets
    array(91, 0, 0, b"\x02g"), // AlterShareGroupOffsets: group
    array(92, 0, 0, b"\x02g"), // DeleteShareGroupOffsets: group
];

/// Key, version, and the body up to a length inside the first element of the first array.
pub(crate) const NESTED: &[(i16, i16, &[u8])] = &[
    (0, 3, b"\xff\xff\0\x01\0\0\x03\xe8\0\0\0\x01\0\x01t"), // Produce: partitions
    (0, 3, b"\xff\xff\0\x01\0\0\x03\xe8\0\0\0\x01\0\x01t\0\0\0\x01\0\0\0\0"), // its records
    (1, 4, b"\xff\xff\xff\xff\0\0\0\0\0\0\0\x01\0\0\x10\0\0\0\0\0\x01\0\x01t"), // Fetch: partitions
    (2, 1, b"\xff\xff\xff\xff\0\0\0\x01\0\x01t"),           // ListOffsets: partitions
    (8, 2, b"\0\x01g\xff\xff\xff\xff\0\0\xff\xff\xff\xff\xff\xff\xff\xff\0\0\0\x01\0\x01t"), // OffsetCommit: partitions
    (9, 1, b"\0\x01g\0\0\0\x01\0\x01t"), // OffsetFetch: partitions
    (11, 0, b"\0\x01g\0\0\x27\x10\0\0\0\x08consumer\0\0\0\x01\0\x05range"), // JoinGroup: metadata of a protocol
    (14, 0, b"\0\x01g\0\0\0\x01\0\x01m\0\0\0\x01\0\x01m"),                  // SyncGroup: an assignment
    (19, 2, b"\0\0\0\x01\0\x01t\0\0\0\x01\0\x01"), // CreateTopics: replica assignments
    (19, 2, b"\0\0\0\x01\0\x01t\0\0\0\x01\0\x01\0\0\0\0"), // its configs
    (21, 0, b"\0\0\0\x01\0\x01t"),                 // DeleteRecords: partitions
    (24, 0, b"\0\x01x\0\0\0\0\0\0\0\x01\0\0\0\0\0\x01\0\x01t"), // AddPartitionsToTxn: partitions
    (32, 1, b"\0\0\0\x01\x02\0\x01t"),             // DescribeConfigs: names
    (33, 0, b"\0\0\0\x01\x02\0\x01t"),             // AlterConfigs: configs
    (37, 0, b"\0\0\0\x01\0\x01t\0\0\0\x02"),       // CreatePartitions: assignments
];
