//! Quotas, quorum, features, elections, reassignments, directories and members: what one broker answers, in Kafka's words.

use protocol::StrBytes;
use protocol::messages::alter_client_quotas_request::{EntityData, EntryData, OpData};
use protocol::messages::alter_partition_reassignments_request::{ReassignablePartition, ReassignableTopic};
use protocol::messages::alter_replica_log_dirs_request::{AlterReplicaLogDir, AlterReplicaLogDirTopic};
use protocol::messages::create_acls_request::AclCreation;
use protocol::messages::delete_acls_request::DeleteAclsFilter;
use protocol::messages::describe_client_quotas_request::ComponentData;
use protocol::messages::elect_leaders_request::TopicPartitions;
use protocol::messages::update_features_request::FeatureUpdateKey;
use protocol::messages::*;

use super::every_version::answered;
use super::{Client, topic_name};
use crate::api::Reply;

fn text(text: &str) -> StrBytes {
    StrBytes::from_string(text.to_owned())
}

fn quota(user: &str, key: &str, value: f64, remove: bool) -> EntryData {
    let entity = EntityData::default().with_entity_type("user".into()).with_entity_name(Some(text(user)));
    let op = OpData::default().with_key(text(key)).with_value(value).with_remove(remove);
    EntryData::default().with_entity(vec![entity]).with_ops(vec![op])
}

fn quotas(client: &Client, user: &str) -> Vec<(String, f64)> {
    let mut component = ComponentData::default().with_entity_type("user".into());
    component._match = Some(text(user));
    let request = DescribeClientQuotasRequest::default().with_components(vec![component]);
    let response: DescribeClientQuotasResponse = client.call(ApiKey::DescribeClientQuotas, 1, &request);
    let values = response.entries.unwrap_or_default().into_iter().flat_map(|entry| entry.values);
    values.map(|value| (value.key.to_string(), value.value)).collect()
}

#[test]
fn quotas_are_set_kept_over_a_restart_and_taken_away() {
    let mut client = Client::with_config(&[("onelog.flush", "sync")]);
    let alter = |client: &Client, entries: Vec<EntryData>, validate_only| -> Vec<i16> {
        let request =
            AlterClientQuotasRequest::default().with_entries(entries).with_validate_only(validate_only);
        let response: AlterClientQuotasResponse = client.call(ApiKey::AlterClientQuotas, 1, &request);
        response.entries.iter().map(|entry| entry.error_code).collect()
    };
    assert_eq!(alter(&client, vec![quota("a", "producer_byte_rate", 7.0, false)], true), [0]);
    assert_eq!(quotas(&client, "a"), [], "only validated");
    let entries = vec![
        quota("a", "producer_byte_rate", 7.0, false),
        quota("b", "nope", 7.0, false),
        quota("a", "consumer_byte_rate", 7.0, false),
    ];
    assert_eq!(alter(&client, entries, false), [0, 42, 42]);
    client = client.reopened();
    assert_eq!(quotas(&client, "a"), [("producer_byte_rate".to_owned(), 7.0)]);
    assert_eq!(quotas(&client, "b"), []);
    assert_eq!(alter(&client, vec![quota("a", "producer_byte_rate", 0.0, true)], false), [0]);
    assert_eq!(quotas(&client, "a"), []);
}

#[test]
fn quota_filters_are_answered_in_every_version() {
    let client = Client::new();
    let altered: Vec<AlterClientQuotasResponse> = answered(&client, ApiKey::AlterClientQuotas, |_| {
        let entries = vec![quota("a", "producer_byte_rate", 7.0, false), quota("a", "x", 1.0, false)];
        AlterClientQuotasRequest::default().with_entries(entries)
    });
    assert!(altered.iter().all(|response| response.entries[0].error_code == 0));
    let described: Vec<DescribeClientQuotasResponse> =
        answered(&client, ApiKey::DescribeClientQuotas, |_| DescribeClientQuotasRequest::default());
    assert!(described.iter().all(|response| response.entries.as_ref().unwrap().len() == 1));
    let mut nope = ComponentData::default().with_entity_type("nope".into()).with_match_type(2);
    nope._match = None;
    let request = DescribeClientQuotasRequest::default().with_components(vec![nope]);
    let refused: DescribeClientQuotasResponse = client.call(ApiKey::DescribeClientQuotas, 0, &request);
    assert_eq!((refused.error_code, refused.entries), (35, None));
}

#[test]
fn the_quorum_is_this_broker() {
    let client = Client::new();
    let asked = |name: &str, index| {
        let partition = describe_quorum_request::PartitionData::default().with_partition_index(index);
        let topic = describe_quorum_request::TopicData::default()
            .with_topic_name(topic_name(name))
            .with_partitions(vec![partition]);
        DescribeQuorumRequest::default().with_topics(vec![topic])
    };
    let described: Vec<DescribeQuorumResponse> =
        answered(&client, ApiKey::DescribeQuorum, |_| asked("__cluster_metadata", 0));
    for (version, response) in described.iter().enumerate() {
        let partition = &response.topics[0].partitions[0];
        assert_eq!((partition.error_code, partition.leader_id.0, partition.current_voters.len()), (0, 0, 1));
        assert_eq!(partition.current_voters[0].last_fetch_timestamp > 0, version >= 1);
        assert_eq!(response.nodes.len(), usize::from(version >= 2));
    }
    let unknown: Vec<DescribeQuorumResponse> = answered(&client, ApiKey::DescribeQuorum, |_| asked("t", 0));
    assert!(unknown.iter().all(|response| response.topics[0].partitions[0].error_code == 3));
}

#[test]
fn features_that_are_not_there_are_refused_in_every_version() {
    let client = Client::new();
    let updated: Vec<UpdateFeaturesResponse> = answered(&client, ApiKey::UpdateFeatures, |version| {
        let update = FeatureUpdateKey::default().with_feature("nope".into()).with_max_version_level(1);
        let update = if version == 0 { update } else { update.with_upgrade_type(1) };
        UpdateFeaturesRequest::default().with_feature_updates(vec![update])
    });
    for response in updated {
        let message = response.error_message.unwrap();
        assert_eq!(response.error_code, 95);
        assert!(
            message.ends_with("for feature nope. Local controller 0 does not support this feature."),
            "{message:?}"
        );
    }
    let nothing: UpdateFeaturesResponse =
        client.call(ApiKey::UpdateFeatures, 2, &UpdateFeaturesRequest::default());
    assert_eq!(nothing.error_code, 0);
}

#[test]
fn elections_are_never_needed() {
    let client = Client::new();
    client.create("t", 2, &[]);
    let elected: Vec<ElectLeadersResponse> = answered(&client, ApiKey::ElectLeaders, |_| {
        let topic = |name: &str, partitions| {
            TopicPartitions::default().with_topic(topic_name(name)).with_partitions(partitions)
        };
        let asked = vec![topic("t", vec![0, 9]), topic("missing", vec![0])];
        ElectLeadersRequest::default().with_topic_partitions(Some(asked))
    });
    for response in elected {
        let results = response.replica_election_results.iter().flat_map(|topic| &topic.partition_result);
        let told: Vec<(i16, &str)> =
            results.map(|one| (one.error_code, one.error_message.as_deref().unwrap())).collect();
        assert_eq!(
            told,
            [
                (84, "Leader election not needed for topic partition."),
                (3, "No such partition as t-9"),
                (3, "No such topic as missing")
            ]
        );
    }
    let all: Vec<ElectLeadersResponse> = answered(&client, ApiKey::ElectLeaders, |_| {
        ElectLeadersRequest::default().with_topic_partitions(None)
    });
    assert!(
        all.iter().all(|response| response.error_code == 0 && response.replica_election_results.is_empty())
    );
}

#[test]
fn replicas_stay_on_the_one_broker() {
    let client = Client::new();
    client.create("t", 1, &[]);
    let asked = |name: &str, index, replicas: Option<Vec<i32>>| {
        let replicas = replicas.map(|ids| ids.into_iter().map(BrokerId).collect());
        let partition = ReassignablePartition::default().with_partition_index(index).with_replicas(replicas);
        ReassignableTopic::default().with_name(topic_name(name)).with_partitions(vec![partition])
    };
    let altered: Vec<AlterPartitionReassignmentsResponse> =
        answered(&client, ApiKey::AlterPartitionReassignments, |_| {
            let topics = vec![
                asked("t", 0, Some(vec![0])),
                asked("t", 0, Some(vec![7])),
                asked("t", 0, None),
                asked("t", 9, Some(vec![7])),
                asked("missing", 0, None),
            ];
            AlterPartitionReassignmentsRequest::default().with_topics(topics)
        });
    for response in altered {
        let told: Vec<(i16, Option<&str>)> = response
            .responses
            .iter()
            .map(|topic| (topic.partitions[0].error_code, topic.partitions[0].error_message.as_deref()))
            .collect();
        let other = "The manual partition assignment includes broker 7, but no such broker is registered.";
        assert_eq!(
            told,
            [
                (0, None),
                (39, Some(other)),
                (85, None),
                (3, Some("Unable to find partition t:9.")),
                (3, Some("Unable to find a topic named missing."))
            ]
        );
    }
    let listed: Vec<ListPartitionReassignmentsResponse> =
        answered(&client, ApiKey::ListPartitionReassignments, |_| {
            ListPartitionReassignmentsRequest::default().with_topics(None)
        });
    assert!(listed[0].error_code == 0 && listed[0].topics.is_empty());
}

#[test]
fn replicas_stay_in_the_one_directory() {
    let client = Client::new();
    client.create("t", 1, &[]);
    let own = client.broker.config.data_dir.display().to_string();
    let moved: Vec<AlterReplicaLogDirsResponse> = answered(&client, ApiKey::AlterReplicaLogDirs, |_| {
        let topic = |name: &str, partitions| {
            AlterReplicaLogDirTopic::default().with_name(topic_name(name)).with_partitions(partitions)
        };
        let dir =
            |path: &str, topics| AlterReplicaLogDir::default().with_path(text(path)).with_topics(topics);
        let dirs = vec![dir(&own, vec![topic("t", vec![0, 9])]), dir("/nowhere", vec![topic("u", vec![0])])];
        AlterReplicaLogDirsRequest::default().with_dirs(dirs)
    });
    for response in moved {
        let partitions = response.results.iter().flat_map(|topic| &topic.partitions);
        assert_eq!(partitions.map(|partition| partition.error_code).collect::<Vec<_>>(), [0, 3, 57]);
    }
}

#[test]
fn the_one_member_stays() {
    let client = Client::new();
    let unregister = |id| -> UnregisterBrokerResponse {
        let request = UnregisterBrokerRequest::default().with_broker_id(BrokerId(id));
        client.call(ApiKey::UnregisterBroker, 0, &request)
    };
    let other = unregister(7);
    assert_eq!(
        (other.error_code, other.error_message.as_deref()),
        (102, Some("Broker ID 7 is not currently registered"))
    );
    assert_eq!(unregister(0).error_code, 42);
    let add = |cluster_id: Option<&str>| -> AddRaftVoterResponse {
        let request = AddRaftVoterRequest::default().with_cluster_id(cluster_id.map(text));
        client.call(ApiKey::AddRaftVoter, 0, &request)
    };
    assert_eq!((add(None).error_code, add(Some("other")).error_code), (35, 104));
    let request = RemoveRaftVoterRequest::default().with_cluster_id(Some(text(&client.broker.cluster_id)));
    let removed: RemoveRaftVoterResponse = client.call(ApiKey::RemoveRaftVoter, 0, &request);
    assert_eq!(
        removed.error_message.as_deref(),
        Some("Cluster doesn't support removing voter because the kraft.version feature is 0")
    );
}

#[test]
fn without_an_authorizer_each_acl_is_answered_so() {
    let client = Client::new();
    let all = DescribeAclsRequest::default()
        .with_resource_type_filter(1)
        .with_pattern_type_filter(1)
        .with_operation(1)
        .with_permission_type(1);
    let told: Vec<DescribeAclsResponse> = answered(&client, ApiKey::DescribeAcls, |_| all.clone());
    assert!(told.iter().all(|response| response.error_code == 54 && response.resources.is_empty()));
    let acl = AclCreation::default()
        .with_resource_type(2)
        .with_resource_pattern_type(3)
        .with_operation(3)
        .with_permission_type(3);
    let created: Vec<CreateAclsResponse> = answered(&client, ApiKey::CreateAcls, |_| {
        CreateAclsRequest::default().with_creations(vec![acl.clone(); 2])
    });
    for response in created {
        let codes: Vec<i16> = response.results.iter().map(|result| result.error_code).collect();
        assert_eq!(codes, [54, 54]);
    }
    let filter = DeleteAclsFilter::default()
        .with_resource_type_filter(1)
        .with_pattern_type_filter(1)
        .with_operation(1)
        .with_permission_type(1);
    let deleted: Vec<DeleteAclsResponse> = answered(&client, ApiKey::DeleteAcls, |_| {
        DeleteAclsRequest::default().with_filters(vec![filter.clone()])
    });
    for response in deleted {
        let told: Vec<_> =
            response.filter_results.into_iter().map(|one| (one.error_code, one.error_message)).collect();
        assert_eq!(told, [(54, Some(text("No Authorizer is configured.")))]);
    }
}

#[test]
fn acls_of_a_kind_that_their_client_cannot_name_break_the_connection() {
    let client = Client::new();
    let describe = DescribeAclsRequest::default().with_resource_type_filter(1).with_pattern_type_filter(1);
    assert!(matches!(client.reply(ApiKey::DescribeAcls, 2, &describe.with_operation(1)), Reply::Close));
    let create = CreateAclsRequest::default().with_creations(vec![AclCreation::default()]);
    assert!(matches!(client.reply(ApiKey::CreateAcls, 2, &create), Reply::Close));
    let delete = DeleteAclsRequest::default().with_filters(vec![DeleteAclsFilter::default()]);
    assert!(matches!(client.reply(ApiKey::DeleteAcls, 2, &delete), Reply::Close));
}
