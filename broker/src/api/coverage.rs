//! Writes `docs/PROTOCOL_COVERAGE.md` from the table of APIs and keeps it current.
//!
//! `UPDATE_COVERAGE=1 cargo test -p broker coverage` writes it anew; the test fails when it is not what the table says.

use std::path::Path;

use super::APIS;

/// Apache Kafka 4.3.1 on a broker's listener: key, name, first and last version (its message schemas; Produce and JoinGroup
/// as advertised). Broker-to-broker APIs are left out.
#[rustfmt::skip]
const KAFKA: &[(i16, &str, i16, i16)] = &[
    (0, "Produce", 0, 13), (1, "Fetch", 4, 18), (2, "ListOffsets", 1, 11), (3, "Metadata", 0, 13),
    (8, "OffsetCommit", 2, 10), (9, "OffsetFetch", 1, 10), (10, "FindCoordinator", 0, 6), (11, "JoinGroup", 0, 9),
    (12, "Heartbeat", 0, 4), (13, "LeaveGroup", 0, 5), (14, "SyncGroup", 0, 5), (15, "DescribeGroups", 0, 6),
    (16, "ListGroups", 0, 5), (17, "SaslHandshake", 0, 1), (18, "ApiVersions", 0, 4), (19, "CreateTopics", 2, 7),
    (20, "DeleteTopics", 1, 6), (21, "DeleteRecords", 0, 2), (22, "InitProducerId", 0, 5),
    (23, "OffsetForLeaderEpoch", 2, 4), (24, "AddPartitionsToTxn", 0, 5), (25, "AddOffsetsToTxn", 0, 4),
    (26, "EndTxn", 0, 5), (27, "WriteTxnMarkers", 1, 2), (28, "TxnOffsetCommit", 0, 5), (29, "DescribeAcls", 1, 3),
    (30, "CreateAcls", 1, 3), (31, "DeleteAcls", 1, 3), (32, "DescribeConfigs", 1, 4), (33, "AlterConfigs", 0, 2),
    (34, "AlterReplicaLogDirs", 1, 2), (35, "DescribeLogDirs", 1, 5), (36, "SaslAuthenticate", 0, 2),
    (37, "CreatePartitions", 0, 3), (38, "CreateDelegationToken", 1, 3), (39, "RenewDelegationToken", 1, 2),
    (40, "ExpireDelegationToken", 1, 2), (41, "DescribeDelegationToken", 1, 3), (42, "DeleteGroups", 0, 2),
    (43, "ElectLeaders", 0, 2), (44, "IncrementalAlterConfigs", 0, 1), (45, "AlterPartitionReassignments", 0, 1),
    (46, "ListPartitionReassignments", 0, 0), (47, "OffsetDelete", 0, 0), (48, "DescribeClientQuotas", 0, 1),
    (49, "AlterClientQuotas", 0, 1), (50, "DescribeUserScramCredentials", 0, 0),
    (51, "AlterUserScramCredentials", 0, 0), (55, "DescribeQuorum", 0, 2), (57, "UpdateFeatures", 0, 2),
    (60, "DescribeCluster", 0, 2), (61, "DescribeProducers", 0, 0), (64, "UnregisterBroker", 0, 0),
    (65, "DescribeTransactions", 0, 0), (66, "ListTransactions", 0, 2), (68, "ConsumerGroupHeartbeat", 0, 1),
    (69, "ConsumerGroupDescribe", 0, 1), (71, "GetTelemetrySubscriptions", 0, 0), (72, "PushTelemetry", 0, 0),
    (74, "ListConfigResources", 0, 1), (75, "DescribeTopicPartitions", 0, 0), (76, "ShareGroupHeartbeat", 1, 1),
    (77, "ShareGroupDescribe", 1, 1), (78, "ShareFetch", 1, 2), (79, "ShareAcknowledge", 1, 2),
    (80, "AddRaftVoter", 0, 1), (81, "RemoveRaftVoter", 0, 0), (88, "StreamsGroupHeartbeat", 0, 0),
    (89, "StreamsGroupDescribe", 0, 0), (90, "DescribeShareGroupOffsets", 0, 1),
    (91, "AlterShareGroupOffsets", 0, 0), (92, "DeleteShareGroupOffsets", 0, 0),
];

/// Versions that Apache Kafka 4.4 has beyond those.
const NEWER: &[(i16, i16)] = &[(18, 5), (28, 6), (42, 3)];

/// The other keys: what no client sends to a broker of Kafka 4.3, and why.
#[rustfmt::skip]
const INTERNAL: &[(i16, &str, &str)] = &[
    (4, "LeaderAndIsr", GONE), (5, "StopReplica", GONE), (6, "UpdateMetadata", GONE), (7, "ControlledShutdown", GONE),
    (52, "Vote", CONTROLLERS), (53, "BeginQuorumEpoch", CONTROLLERS), (54, "EndQuorumEpoch", CONTROLLERS),
    (56, "AlterPartition", CONTROLLERS), (58, "Envelope", CONTROLLERS), (59, "FetchSnapshot", CONTROLLERS),
    (62, "BrokerRegistration", CONTROLLERS), (63, "BrokerHeartbeat", CONTROLLERS),
    (67, "AllocateProducerIds", CONTROLLERS), (70, "ControllerRegistration", CONTROLLERS),
    (73, "AssignReplicasToDirs", CONTROLLERS), (82, "UpdateRaftVoter", CONTROLLERS),
    (83, "InitializeShareGroupState", SHARE_STATE), (84, "ReadShareGroupState", SHARE_STATE),
    (85, "WriteShareGroupState", SHARE_STATE), (86, "DeleteShareGroupState", SHARE_STATE),
    (87, "ReadShareGroupStateSummary", SHARE_STATE),
    (93, "StreamsGroupTopologyDescriptionUpdate", "Kafka 4.4's, for streams groups"),
];

const GONE: &str = "gone since Kafka 4.0";
const CONTROLLERS: &str = "between brokers and controllers";
const SHARE_STATE: &str = "between brokers, for share groups";
const STREAMS: &str = "streams groups are not served";

/// A word on each API whose served versions are others than Kafka's. One that is no difference any more is not shown.
#[rustfmt::skip]
const WORDS: &[(i16, &str)] = &[
    (0, "0 to 2 are advertised and refused, as on Kafka"),
    (18, "5 is Kafka 4.4's: the client says whom it means"),
    (42, "3 is Kafka 4.4's: a sentence with each error"),
    (71, "hidden, as Kafka hides it without a telemetry receiver"),
    (72, "hidden, as Kafka hides it without a telemetry receiver"),
    (88, STREAMS), (89, STREAMS),
];

const HEAD: &str = "\
# Protocol coverage

Generated from the table of APIs in `broker/src/api.rs` by
`UPDATE_COVERAGE=1 cargo test -p broker coverage`. Do not edit.

\"Served\" are the versions that are decoded and answered; \"advertised\" is what ApiVersions names. What each API leaves
out on purpose is written at the head of its file in `broker/src/api/`. Everything not served is not advertised, and a
request for it closes the connection, as on Apache Kafka.

| Key | API | Served | Advertised | Apache Kafka 4.3.1 | Difference |
|--:|---|---|---|---|---|
";

fn coverage_markdown() -> String {
    let mut lines: Vec<(i16, String)> = Vec::new();
    let mut full = 0;
    for (key, name, first, last) in KAFKA {
        let entry = APIS.iter().find(|entry| entry.key == *key);
        let (served, advertised) = entry.map_or(("-".to_owned(), "-".to_owned()), |entry| {
            full += usize::from(entry.versions.1 >= *last);
            (range(entry.versions.0, entry.versions.1), range(entry.advertised_min, entry.versions.1))
        });
        let kafka = range(*first, *last);
        let word = if served == kafka { "" } else { word(*key) };
        lines.push((*key, format!("| {key} | {name} | {served} | {advertised} | {kafka} | {word} |")));
    }
    for (key, name, why) in INTERNAL {
        lines.push((*key, format!("| {key} | {name} | - | - | - | {why} |")));
    }
    lines.sort();
    let lines: Vec<String> = lines.into_iter().map(|(_, line)| line).collect();
    let (served, all) = (APIS.len(), KAFKA.len());
    format!(
        "{HEAD}{}\n\n{served} of the {all} APIs that clients use are served, {full} of them up to Kafka's newest version.\n",
        lines.join("\n")
    )
}

fn word(key: i16) -> &'static str {
    WORDS.iter().find(|(known, _)| *known == key).map(|(_, word)| *word).unwrap_or_default()
}

fn range(first: i16, last: i16) -> String {
    if first == last { first.to_string() } else { format!("{first}-{last}") }
}

#[test]
fn coverage_document_is_what_the_table_says() {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../docs/PROTOCOL_COVERAGE.md");
    let expected = coverage_markdown();
    if std::env::var_os("UPDATE_COVERAGE").is_some() {
        std::fs::write(&path, &expected).unwrap();
    }
    let found = std::fs::read_to_string(&path).unwrap_or_default();
    assert_eq!(found, expected, "write it anew with UPDATE_COVERAGE=1 cargo test -p broker coverage");
}

#[test]
fn coverage_knows_every_api_of_the_table_under_its_name() {
    for entry in APIS {
        let known = KAFKA.iter().find(|(key, ..)| *key == entry.key).expect("an API of Kafka");
        assert_eq!(known.1, entry.name());
        let newest = NEWER.iter().find(|(key, ..)| *key == entry.key).map_or(known.3, |(_, last)| *last);
        assert!(entry.advertised_min >= known.2 && entry.versions.1 <= newest, "{}", entry.name());
    }
}

#[test]
fn every_key_from_0_to_93_has_a_line_and_every_difference_a_word() {
    let keys = KAFKA.iter().map(|(key, ..)| *key).chain(INTERNAL.iter().map(|(key, ..)| *key));
    let mut keys: Vec<i16> = keys.collect();
    keys.sort_unstable();
    assert!(keys.into_iter().eq(0..=93));
    for (key, name, first, last) in KAFKA {
        let served = APIS.iter().find(|entry| entry.key == *key).map(|entry| entry.versions);
        assert!(served == Some((*first, *last)) || !word(*key).is_empty(), "{name}");
    }
}
