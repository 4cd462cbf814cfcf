//! Faults of one of several nodes.

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
