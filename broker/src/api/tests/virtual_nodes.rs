//! What clients of three virtual nodes see: who leads, who coordinates, and that only those answer.

use std::time::Duration;

use protocol::ErrorCode;
use protocol::messages::alter_partition_reassignments_request::{ReassignablePartition, ReassignableTopic};
use protocol::messages::create_partitions_request::CreatePartitionsTopic;
use protocol::messages::create_topics_request::CreatableTopic;
use protocol::messages::delete_topics_request::DeleteTopicState;
use protocol::messages::list_offsets_request::{ListOffsetsPartition, ListOffsetsTopic};
use protocol::messages::metadata_response::MetadataResponsePartition;
use protocol::messages::{
    AlterPartitionReassignmentsRequest, AlterPartitionReassignmentsResponse, ApiKey, CreatePartitionsRequest,
    CreatePartitionsResponse, CreateTopicsRequest, CreateTopicsResponse, DeleteTopicsRequest,
    DeleteTopicsResponse, DescribeLogDirsRequest, DescribeLogDirsResponse, ElectLeadersRequest,
    ElectLeadersResponse, FetchResponse, FindCoordinatorRequest, FindCoordinatorResponse, GroupId,
    HeartbeatRequest, HeartbeatResponse, InitProducerIdRequest, InitProducerIdResponse, ListOffsetsRequest,
    ListOffsetsResponse, MetadataRequest, MetadataResponse, ProduceResponse, TransactionalId,
};

use super::consume::waiting_request;
use super::metrics::{assert_has, scraped};
use super::{Client, batch, block_on, decoded, finished, produce_request, topic_name};
use crate::api::Reply;
use crate::virtual_nodes::{Addresses, NodeError, move_leader, overview, set_up};

const NODES: [i32; 3] = [1, 2, 3];
const NOT_LEADER: i16 = ErrorCode::NotLeaderOrFollower.code();

fn three() -> Client {
    let client = Client::with_config(&[
        ("onelog.brokers", "3"),
        ("onelog.flush", "sync"),
        ("transaction.state.log.num.partitions", "3"),
    ]);
    let address = |port: u16| (Some(format!("nodes.example:{port}").parse().unwrap()), port);
    let addresses: Addresses =
        [("PLAINTEXT".into(), vec![address(9001), address(9002), address(9003)])].into();
    client.broker.virtual_nodes.as_ref().unwrap().listen_on(addresses);
    client
}

impl Client {
    /// From now on requests come to this node.
    fn at(&mut self, node: i32) -> &Self {
        self.connection.node = Some(usize::try_from(node - 1).unwrap());
        self
    }

    fn replicated(&self, name: &str, partitions: i32, factor: i16) -> CreateTopicsResponse {
        let topic = CreatableTopic::default()
            .with_name(topic_name(name))
            .with_num_partitions(partitions)
            .with_replication_factor(factor);
        self.call(ApiKey::CreateTopics, 7, &CreateTopicsRequest::default().with_topics(vec![topic]))
    }

    fn metadata(&self) -> MetadataResponse {
        self.call(ApiKey::Metadata, 12, &MetadataRequest::default().with_topics(None))
    }

    fn shown(&self, topic: &str, partition: usize) -> MetadataResponsePartition {
        let metadata = self.metadata();
        let of_name = |shown: &&_| is_named(shown, topic);
        metadata.topics.iter().find(of_name).unwrap().partitions[partition].clone()
    }

    fn leader(&self, topic: &str) -> i32 {
        self.shown(topic, 0).leader_id.0
    }
}

fn is_named(topic: &protocol::messages::metadata_response::MetadataResponseTopic, name: &str) -> bool {
    topic.name.as_ref().is_some_and(|found| found.as_str() == name)
}

fn ids(nodes: &[protocol::messages::BrokerId]) -> Vec<i32> {
    nodes.iter().map(|id| id.0).collect()
}

#[test]
fn nodes_have_their_addresses_and_share_the_leading_of_a_replicated_topic() {
    let mut client = three();
    let created = client.replicated("t", 6, 3);
    assert_eq!((created.topics[0].error_code, created.topics[0].replication_factor), (0, 3));
    let metadata = client.at(2).metadata();
    let brokers: Vec<_> =
        metadata.brokers.iter().map(|node| (node.node_id.0, node.host.to_string(), node.port)).collect();
    let address = |id, port| (id, "nodes.example".to_owned(), port);
    assert_eq!(brokers, [address(1, 9001), address(2, 9002), address(3, 9003)]);
    let partitions = &metadata.topics[0].partitions;
    for node in NODES {
        assert_eq!(partitions.iter().filter(|shown| shown.leader_id.0 == node).count(), 2);
    }
    for shown in partitions {
        let (mut replicas, leader) = (ids(&shown.replica_nodes), shown.leader_id.0);
        assert_eq!((replicas[0], ids(&shown.isr_nodes)), (leader, replicas.clone()));
        replicas.sort_unstable();
        assert_eq!((replicas, shown.leader_epoch), (NODES.to_vec(), 0));
    }
    let refused = client.replicated("u", 1, 4);
    assert_eq!(refused.topics[0].error_code, ErrorCode::InvalidReplicationFactor.code());
    assert!(refused.topics[0].error_message.as_ref().unwrap().contains("only 3 broker(s)"));
    assert_eq!(client.replicated("one", 1, 1).topics[0].replication_factor, 1);
    assert_eq!(client.shown("one", 0).replica_nodes.len(), 1);
}

#[test]
fn each_node_tells_of_the_log_of_the_partitions_that_it_has() {
    let mut client = three();
    client.replicated("one", 6, 1);
    client.replicated("all", 2, 3);
    let leaders: Vec<i32> = (0..6).map(|partition| client.shown("one", partition).leader_id.0).collect();
    for node in NODES {
        let request = DescribeLogDirsRequest::default().with_topics(None);
        let response: DescribeLogDirsResponse = client.at(node).call(ApiKey::DescribeLogDirs, 4, &request);
        let of = |name: &str| {
            let topic = response.results[0].topics.iter().find(|topic| topic.name == topic_name(name));
            topic.unwrap().partitions.iter().map(|it| it.partition_index).collect::<Vec<_>>()
        };
        let led: Vec<i32> =
            (0..6).filter(|partition| leaders[usize::try_from(*partition).unwrap()] == node).collect();
        assert_eq!((of("one"), of("all")), (led, vec![0, 1]), "node {node}");
    }
}

#[test]
fn metrics_tell_who_leads_and_that_a_replica_is_missing() {
    let client = three();
    client.replicated("t", 1, 3);
    let leader = client.leader("t");
    let of = |name: &str, value: &str| {
        format!("kafka_topic_partition_{name}{{topic=\"t\",partition=\"0\"}} {value}")
    };
    let preferred = leader.to_string();
    let mut lines = vec![
        "kafka_brokers 3".to_owned(),
        "kafka_broker_info{id=\"2\",address=\"nodes.example:9002\"} 1".to_owned(),
        of("leader", &preferred),
        of("replicas", "3"),
        of("in_sync_replica", "3"),
        of("leader_is_preferred", "1"),
        of("under_replicated_partition", "0"),
    ];
    let has = |lines: &[String]| {
        let page = scraped(&client).metrics;
        assert_has(&page, &lines.iter().map(String::as_str).collect::<Vec<_>>());
    };
    has(&lines);
    set_up(&client.broker, leader, false).unwrap();
    let next = client.broker.placement(&client.broker.store.topic("t").unwrap().partition(0).unwrap()).leader;
    assert_ne!(next, leader);
    lines = vec![
        "kafka_brokers 2".to_owned(),
        "kafka_controller_kafkacontroller_offlinepartitionscount 0".to_owned(),
        of("leader", &next.to_string()),
        of("replicas", "3"),
        of("in_sync_replica", "2"),
        of("leader_is_preferred", "0"),
        of("under_replicated_partition", "1"),
    ];
    has(&lines);
}

#[test]
fn only_the_leader_takes_and_gives_records_and_the_others_say_who_it_is() {
    let mut client = three();
    client.replicated("t", 1, 3);
    let leader = client.leader("t");
    for node in NODES {
        client.at(node);
        let request = produce_request(-1, "t", 0, batch(&["a"]));
        let response: ProduceResponse = client.call(ApiKey::Produce, 10, &request);
        let partition = &response.responses[0].partition_responses[0];
        let asked = waiting_request("t", 1).with_max_wait_ms(0);
        let fetched: FetchResponse = client.call(ApiKey::Fetch, 12, &asked);
        let offsets = ListOffsetsPartition::default().with_timestamp(-1);
        let offsets = ListOffsetsTopic::default().with_name(topic_name("t")).with_partitions(vec![offsets]);
        let offsets = ListOffsetsRequest::default().with_topics(vec![offsets]);
        let listed: ListOffsetsResponse = client.call(ApiKey::ListOffsets, 6, &offsets);
        let errors = [
            partition.error_code,
            fetched.responses[0].partitions[0].error_code,
            listed.topics[0].partitions[0].error_code,
        ];
        if node == leader {
            assert_eq!(errors, [0; 3]);
            continue;
        }
        assert_eq!(errors, [NOT_LEADER; 3]);
        assert_eq!(
            (partition.current_leader.leader_id.0, partition.current_leader.leader_epoch),
            (leader, 0)
        );
        let [endpoint] = response.node_endpoints.as_slice() else { panic!("{response:?}") };
        assert_eq!((endpoint.node_id.0, endpoint.port), (leader, 9000 + leader));
    }
    let log = client.broker.store.topic("t").unwrap().partition(0).unwrap();
    assert_eq!(log.log_end_offset(), 1);
}

#[test]
fn newest_fetch_tells_the_leader_and_where_it_is() {
    let mut client = three();
    client.replicated("t", 1, 3);
    let (leader, id) = (client.leader("t"), client.broker.store.topic("t").unwrap().id());
    let other = NODES.into_iter().find(|node| *node != leader).unwrap();
    let mut asked = waiting_request("t", 1);
    asked.topics[0].topic_id = id;
    asked.topics[0].topic = Default::default();
    let response: FetchResponse = client.at(other).call(ApiKey::Fetch, 16, &asked);
    let partition = &response.responses[0].partitions[0];
    assert_eq!((partition.error_code, partition.current_leader.leader_id.0), (NOT_LEADER, leader));
    assert_eq!(response.node_endpoints.iter().map(|node| node.port).collect::<Vec<_>>(), [9000 + leader]);
}

#[test]
fn parked_fetch_is_sent_away_when_its_leader_moves_and_the_epoch_grows_by_one() {
    let mut client = three();
    client.replicated("t", 1, 3);
    let leader = client.leader("t");
    let other = NODES.into_iter().find(|node| *node != leader).unwrap();
    client.at(leader);
    client.fill("t", 0, &["a"]);
    let mut asked = waiting_request("t", 1).with_max_wait_ms(600_000);
    asked.topics[0].partitions[0].fetch_offset = 1;
    let Reply::Later(parked) = client.reply(ApiKey::Fetch, 12, &asked) else { panic!("it waits") };
    let broker = &client.broker;
    let response = block_on(async {
        let moved = async { move_leader(broker, "t", 0, other).unwrap() };
        let (response, placement) =
            tokio::join!(tokio::time::timeout(Duration::from_secs(30), parked), moved);
        assert_eq!((placement.leader, placement.leader_epoch), (other, 1));
        response.expect("it is woken")
    });
    let response: FetchResponse = decoded(response, 12);
    assert_eq!(response.responses[0].partitions[0].error_code, NOT_LEADER);
    assert_eq!(move_leader(&client.broker, "t", 0, other).unwrap().leader_epoch, 1, "it leads already");
    assert_eq!(client.broker.store.topic("t").unwrap().partition(0).unwrap().end_offset_for_epoch(0), (0, 1));
    let mut stale = waiting_request("t", 1).with_max_wait_ms(0);
    stale.topics[0].partitions[0].current_leader_epoch = 0;
    let fenced: FetchResponse = client.at(other).call(ApiKey::Fetch, 12, &stale);
    assert_eq!(fenced.responses[0].partitions[0].error_code, ErrorCode::FencedLeaderEpoch.code());
}

#[test]
fn partitions_of_a_node_that_is_down_are_led_elsewhere_or_by_nobody() {
    let mut client = three();
    client.replicated("safe", 1, 3);
    client.replicated("alone", 1, 1);
    let (safe, alone) = (client.leader("safe"), client.leader("alone"));
    for node in [safe, alone] {
        set_up(&client.broker, node, false).unwrap();
    }
    let seen: Vec<i32> = client.metadata().brokers.iter().map(|node| node.node_id.0).collect();
    assert!(!seen.contains(&safe) && !seen.contains(&alone), "{seen:?}");
    let shown = client.shown("safe", 0);
    assert!(seen.contains(&shown.leader_id.0) && shown.leader_epoch >= 1, "{shown:?}");
    assert!(ids(&shown.offline_replicas).contains(&safe) && !ids(&shown.isr_nodes).contains(&safe));
    let lost = client.shown("alone", 0);
    assert_eq!((lost.leader_id.0, lost.error_code), (-1, ErrorCode::LeaderNotAvailable.code()));
    assert_eq!(move_leader(&client.broker, "safe", 0, safe), Err(NodeError::Down(safe)));
    for node in [safe, alone] {
        set_up(&client.broker, node, true).unwrap();
    }
    let back = client.shown("alone", 0);
    assert_eq!((back.leader_id.0, back.leader_epoch, back.error_code), (alone, 2, 0));
    assert_eq!(client.shown("safe", 0).isr_nodes.len(), 3);
    client.at(alone);
    assert_eq!(client.produce("alone", 0, batch(&["a"])).error_code, 0);
    let nodes = overview(&client.broker).unwrap();
    assert!(nodes.iter().all(|node| node.up), "{nodes:?}");
}

#[test]
fn preferred_leaders_lead_again_when_somebody_elects_them_and_partitions_can_be_reassigned() {
    let client = three();
    client.replicated("t", 2, 2);
    let shown = client.shown("t", 0);
    let (preferred, other) = (shown.replica_nodes[0].0, shown.replica_nodes[1].0);
    move_leader(&client.broker, "t", 0, other).unwrap();
    let elected = elect_preferred_leaders(&client);
    let [result] = elected.replica_election_results.as_slice() else { panic!("{elected:?}") };
    assert_eq!(result.partition_result.iter().map(|it| it.partition_id).collect::<Vec<_>>(), [0]);
    assert_eq!((client.leader("t"), client.shown("t", 0).leader_epoch), (preferred, 2));
    let third = NODES.into_iter().find(|node| ![preferred, other].contains(node)).unwrap();
    reassign(&client, "t", &[third, other]);
    let moved = client.shown("t", 0);
    assert_eq!(
        (ids(&moved.replica_nodes), moved.leader_id.0, moved.leader_epoch),
        (vec![third, other], third, 3)
    );
}

#[test]
fn groups_and_transactions_are_coordinated_by_one_node_each() {
    let mut client = three();
    let found = |client: &Client, key_type: i8, key: &str| {
        let request = FindCoordinatorRequest::default()
            .with_key_type(key_type)
            .with_coordinator_keys(vec![key.to_owned().into()]);
        let response: FindCoordinatorResponse = client.call(ApiKey::FindCoordinator, 4, &request);
        assert_eq!(response.coordinators[0].error_code, 0);
        (response.coordinators[0].node_id.0, response.coordinators[0].port)
    };
    let mut coordinators = std::collections::BTreeSet::new();
    for name in ["a", "b", "c", "d", "e", "f"] {
        let (group_at, port) = found(&client, 0, name);
        assert_eq!(port, 9000 + group_at);
        let (transaction_at, _) = found(&client, 1, name);
        coordinators.insert(group_at);
        for node in NODES {
            client.at(node);
            let beat = HeartbeatRequest::default().with_group_id(GroupId(name.to_owned().into()));
            let beat: HeartbeatResponse = client.call(ApiKey::Heartbeat, 4, &beat);
            let expected =
                if node == group_at { ErrorCode::UnknownMemberId } else { ErrorCode::NotCoordinator };
            assert_eq!(beat.error_code, expected.code(), "group {name} at {node}");
            let init = InitProducerIdRequest::default()
                .with_transactional_id(Some(TransactionalId(name.to_owned().into())))
                .with_transaction_timeout_ms(60_000);
            let init: InitProducerIdResponse = client.call(ApiKey::InitProducerId, 4, &init);
            let expected = if node == transaction_at { ErrorCode::None } else { ErrorCode::NotCoordinator };
            assert_eq!(init.error_code, expected.code(), "transaction {name} at {node}");
        }
    }
    assert!(coordinators.len() > 1, "{coordinators:?}");
    let (at, _) = found(&client, 0, "a");
    set_up(&client.broker, at, false).unwrap();
    assert_ne!(found(&client, 0, "a").0, at);
}

#[test]
fn leader_epoch_of_the_last_batch_is_known_after_a_restart() {
    let mut client = three();
    client.replicated("t", 1, 3);
    for node in [2, 3, 1] {
        move_leader(&client.broker, "t", 0, node).unwrap();
    }
    let epoch = client.shown("t", 0).leader_epoch;
    client.at(1);
    assert_eq!(client.produce("t", 0, batch(&["a"])).error_code, 0);
    let client = client.reopened();
    let log = client.broker.store.topic("t").unwrap().partition(0).unwrap();
    assert!(epoch >= 2 && log.leader_epoch() == epoch, "{epoch} {}", log.leader_epoch());
}

/// Moves a partition to these replicas (AlterPartitionReassignments).
fn reassign(client: &Client, topic: &str, to: &[i32]) {
    let to = to.iter().map(|id| (*id).into()).collect();
    let partition = ReassignablePartition::default().with_replicas(Some(to));
    let topic = ReassignableTopic::default().with_name(topic_name(topic)).with_partitions(vec![partition]);
    let request = AlterPartitionReassignmentsRequest::default().with_topics(vec![topic]);
    let response: AlterPartitionReassignmentsResponse =
        client.call(ApiKey::AlterPartitionReassignments, 0, &request);
    assert_eq!(response.responses[0].partitions[0].error_code, 0);
}

fn elect_preferred_leaders(client: &Client) -> ElectLeadersResponse {
    let elect = ElectLeadersRequest::default().with_topic_partitions(None).with_timeout_ms(1000);
    client.call(ApiKey::ElectLeaders, 2, &elect)
}

/// Names of what the log has about the broker itself, but for how many replicas its topics were made with.
fn stored(client: &Client) -> Vec<String> {
    let all = client.broker.store.broker_configs();
    all.keys().filter(|name| !name.ends_with("/replication")).cloned().collect()
}

#[test]
fn topic_has_as_many_replicas_after_a_restart_also_in_partitions_that_come_later() {
    let client = three();
    client.replicated("two", 2, 2);
    client.replicated("three", 1, 3);
    let before: Vec<_> = ["two", "three"].map(|topic| client.shown(topic, 0).replica_nodes).into();
    let client = client.reopened_with(&[("onelog.brokers", "2")]);
    assert_eq!(client.shown("three", 0).replica_nodes.len(), 2, "there are no more nodes");
    let client = client.reopened_with(&[("onelog.brokers", "3")]);
    let after: Vec<_> = ["two", "three"].map(|topic| client.shown(topic, 0).replica_nodes).into();
    assert_eq!(after, before);
    let more =
        CreatePartitionsTopic::default().with_name(topic_name("two")).with_count(3).with_assignments(None);
    let request = CreatePartitionsRequest::default().with_topics(vec![more]).with_timeout_ms(1000);
    let made: CreatePartitionsResponse = client.call(ApiKey::CreatePartitions, 3, &request);
    assert_eq!((made.results[0].error_code, client.shown("two", 2).replica_nodes.len()), (0, 2));
}

#[test]
fn leaders_and_replicas_that_were_moved_are_where_they_were_after_a_restart() {
    let client = three();
    client.replicated("moved", 2, 3);
    client.replicated("elected", 1, 3);
    client.replicated("reassigned", 1, 1);
    client.replicated("left", 1, 1);
    assert_eq!(stored(&client), Vec::<String>::new(), "nobody moved anything");
    let (left, preferred) = (client.leader("left"), client.leader("elected"));
    move_leader(&client.broker, "elected", 0, preferred % 3 + 1).unwrap();
    reassign(&client, "reassigned", &[3, 1]);
    elect_preferred_leaders(&client);
    let next = client.leader("moved") % 3 + 1;
    move_leader(&client.broker, "moved", 0, next).unwrap();
    let moved = client.shown("moved", 0);
    assert_eq!(stored(&client).len(), 2, "that of the moved one and of the reassigned one");
    let client = client.reopened();
    let again = client.shown("moved", 0);
    assert_eq!((again.leader_id.0, &again.replica_nodes), (next, &moved.replica_nodes));
    assert_eq!((again.leader_epoch, again.isr_nodes.len()), (moved.leader_epoch, 3));
    let again = client.shown("reassigned", 0);
    assert_eq!((again.leader_id.0, ids(&again.replica_nodes)), (3, vec![3, 1]));
    assert_eq!((client.leader("elected"), client.leader("left")), (preferred, left));
}

#[test]
fn nothing_is_stored_of_topics_that_are_gone_and_of_leaders_that_are_back() {
    let client = three();
    client.replicated("back", 1, 3);
    client.replicated("gone", 1, 3);
    for name in ["back", "gone"] {
        move_leader(&client.broker, name, 0, client.leader(name) % 3 + 1).unwrap();
    }
    assert_eq!(stored(&client).len(), 2);
    elect_preferred_leaders(&client);
    assert_eq!(stored(&client).len(), 0);
    move_leader(&client.broker, "gone", 0, client.leader("gone") % 3 + 1).unwrap();
    let state = DeleteTopicState::default().with_name(Some(topic_name("gone")));
    let request = DeleteTopicsRequest::default().with_topics(vec![state]).with_timeout_ms(1000);
    let deleted: DeleteTopicsResponse = client.call(ApiKey::DeleteTopics, 6, &request);
    assert_eq!((deleted.responses[0].error_code, stored(&client).len()), (0, 0));
}

#[test]
fn partitions_of_nodes_that_are_not_there_any_more_are_led_by_one_that_is_and_go_back_with_them() {
    let client = three();
    client.replicated("shared", 1, 1);
    client.replicated("alone", 1, 1);
    reassign(&client, "shared", &[3, 2]);
    reassign(&client, "alone", &[3]);
    let client = client.reopened_with(&[("onelog.brokers", "2")]);
    let shared = client.shown("shared", 0);
    assert_eq!((shared.leader_id.0, ids(&shared.replica_nodes)), (2, vec![2]));
    let alone = client.leader("alone");
    assert!((1..=2).contains(&alone), "{alone}");
    let client = client.reopened_with(&[]);
    assert_eq!(client.metadata().brokers.len(), 1);
    let client = client.reopened_with(&[("onelog.brokers", "3")]);
    assert_eq!((client.leader("shared"), client.leader("alone")), (3, 3));
}

#[test]
fn broker_of_one_node_has_no_nodes_to_move_between() {
    let client = Client::new();
    client.create("t", 1, &[]);
    assert_eq!(overview(&client.broker).unwrap_err(), NodeError::OneNode);
    assert_eq!(move_leader(&client.broker, "t", 0, 0), Err(NodeError::OneNode));
    assert!(matches!(client.reply(ApiKey::Metadata, 12, &MetadataRequest::default()), Reply::Now(_)));
    let metadata: MetadataResponse = decoded(
        finished(client.reply(ApiKey::Metadata, 12, &MetadataRequest::default().with_topics(None))),
        12,
    );
    assert_eq!((metadata.brokers.len(), metadata.controller_id.0), (1, 0));
}
