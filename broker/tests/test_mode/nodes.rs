//! Several nodes: a fault of one, and who leads after going back to a snapshot.

use super::*;

#[test]
fn a_fault_of_one_node_leaves_the_others_alone() {
    let broker = Broker::start(&[("onelog.test.mode", "local"), ("onelog.brokers", "3")]);
    let nodes = broker.get("/test/nodes");
    let connect = |index: usize| {
        let address = nodes["nodes"][index]["address"].as_str().unwrap();
        Client(TcpStream::connect(address).unwrap())
    };
    broker.fault(json!({"keys": ["Metadata"], "node": nodes["nodes"][1]["id"], "disconnect": true}));
    assert_eq!(connect(0).metadata().brokers.len(), 3);
    let mut second = connect(1);
    second.send(ApiKey::Metadata, 12, true, &MetadataRequest::default().with_topics(None));
    assert!(second.rest().is_empty(), "closed");
    assert_eq!(connect(2).metadata().brokers.len(), 3);
}

#[test]
fn going_back_to_a_snapshot_moves_leaders_back_and_a_reset_leaves_those_of_topics_that_stay() {
    let broker = Broker::start(&[
        ("onelog.test.mode", "local"),
        ("onelog.brokers", "3"),
        ("onelog.create.topics", "t:1:3"),
    ]);
    let address = broker.get("/test/nodes")["nodes"][0]["address"].as_str().unwrap().to_owned();
    let shown = || {
        let metadata = Client(TcpStream::connect(&address).unwrap()).metadata();
        let partition = &metadata.topics.iter().find(|topic| !topic.is_internal).unwrap().partitions[0];
        (partition.leader_id.0, partition.leader_epoch)
    };
    let take_the_lead = |node: i32| {
        let body = json!({ "node": node }).to_string();
        let (status, _, json) = broker.http("POST", "/test/partitions/t/0/leader", &body);
        assert_eq!((status, &json["leader"]), (200, &node.into()), "{json}");
    };
    let snapshot = |path: &str, body: &str| assert_eq!(broker.http("POST", path, body).0, 200, "{path}");
    let (first, _) = shown();
    let [second, third] = [first % 3 + 1, (first + 1) % 3 + 1];
    snapshot("/test/snapshots", r#"{"name": "untouched"}"#);
    take_the_lead(second);
    snapshot("/test/snapshots", r#"{"name": "moved"}"#);
    assert_eq!(shown(), (second, 1), "taking one moves nothing");
    take_the_lead(third);
    snapshot("/test/snapshots/moved/restore", "");
    assert_eq!(shown(), (second, 3), "epochs go up");
    snapshot("/test/snapshots/untouched/restore", "");
    assert_eq!(shown(), (first, 4));
    take_the_lead(third);
    snapshot("/test/reset", r#"{"keep_topics": ["t"]}"#);
    assert_eq!(shown(), (third, 5));
}
