//! Snapshots of the whole broker, and going back to them under clients that stay connected.

use super::*;

/// Reads the answer to a fetch that was sent before.
fn records(fetched: &FetchResponse) -> usize {
    fetched.responses[0].partitions[0].records.as_ref().map_or(0, Bytes::len)
}

fn take(broker: &Broker, name: &str) {
    let (status, _, json) = broker.http("POST", "/test/snapshots", &json!({ "name": name }).to_string());
    assert_eq!((status, &json["name"]), (200, &name.into()), "{json}");
}

fn restore(broker: &Broker, name: &str) {
    let (status, _, json) = broker.http("POST", &format!("/test/snapshots/{name}/restore"), "");
    assert_eq!(status, 200, "{json}");
}

#[test]
fn going_back_undoes_what_came_after_as_often_as_wanted_and_connections_stay() {
    let broker = Broker::with_topic();
    let (mut client, mut member) = (broker.connect(), broker.connect());
    assert_eq!(client.produce(&[0]), [(0, 0, 0)]);
    let joined = join(&mut member);
    take(&broker, "seeded");
    for _ in 0..2 {
        assert_eq!(client.produce(&[0, 1]), [(0, 0, 1), (1, 0, 0)]);
        let deleted = broker.http("POST", "/test/reset", r#"{"keep_topics": ["t"]}"#).2;
        assert_eq!(deleted["topics_deleted"], json!(["u"]), "{deleted}");
        assert_eq!(heartbeat(&mut member, &joined), UNKNOWN_MEMBER_ID);
        restore(&broker, "seeded");
        assert_eq!((client.end(0), client.end(1)), (1, 0));
        let names: Vec<_> = client.metadata().topics.into_iter().filter(|topic| !topic.is_internal).collect();
        assert_eq!(names.len(), 2, "the topic that was deleted is there: {names:?}");
        assert_eq!(heartbeat(&mut member, &joined), 0, "the member is in its group");
    }
    assert_eq!(broker.connect().produce(&[0]), [(0, 0, 1)], "who comes later finds the same");
}

#[test]
fn a_fetch_that_waits_goes_on_waiting_over_a_snapshot_and_over_going_back() {
    let broker = Broker::with_topic();
    let (mut client, mut reader) = (broker.connect(), broker.connect());
    assert_eq!(client.produce(&[0]), [(0, 0, 0)]);
    take(&broker, "one");
    assert_eq!(client.produce(&[0]), [(0, 0, 1)]);
    std::thread::scope(|scope| {
        restore(&broker, "one");
        let waiting = scope.spawn(|| reader.fetch_at(1, 60_000));
        while broker.get("/test/requests?key=fetch")["requests"].as_array().unwrap().is_empty() {
            std::thread::sleep(Duration::from_millis(5));
        }
        take(&broker, "again");
        restore(&broker, "one");
        assert!(!waiting.is_finished(), "nothing came");
        assert_eq!(client.produce(&[0]), [(0, 0, 1)]);
        assert!(records(&waiting.join().unwrap()) > 0, "the record of the successor came");
    });
}

#[test]
fn a_request_that_is_under_way_is_waited_for_and_keeps_the_log_when_it_takes_too_long() {
    let broker = Broker::with_topic();
    let mut client = broker.connect();
    take(&broker, "empty");
    let rule = broker.fault(json!({"keys": ["Produce"], "delay_ms": 1000, "count": 1}));
    client.send_records(&[0], -1);
    while broker.get(&format!("/test/faults/{rule}"))["seen"] == 0 {
        std::thread::sleep(Duration::from_millis(5));
    }
    let (status, sentence) = broker.refused("POST", "/test/snapshots/empty/restore?timeout_ms=10", "");
    assert!(status == 408 && sentence.contains("1 requests"), "{sentence}");
    take(&broker, "late");
    assert_eq!(client.produced(), [(0, 0, 0)], "the snapshot was taken when it was done");
    assert_eq!(broker.hits(rule), 1, "rules stay");
    restore(&broker, "empty");
    assert_eq!(client.end(0), 0);
    restore(&broker, "late");
    assert_eq!(client.end(0), 1);
}

#[test]
fn snapshots_are_listed_replaced_and_forgotten_and_a_wrong_one_is_refused() {
    let broker = Broker::with_topic();
    let mut client = broker.connect();
    let (status, sentence) = broker.refused("POST", "/test/snapshots/gone/restore", "");
    assert!(status == 404 && sentence.contains("there are none"), "{sentence}");
    for (body, expected) in
        [("", "`name`"), (r#"{"name": ""}"#, "not empty"), (r#"{"name": "a/b"}"#, "without /")]
    {
        let (status, sentence) = broker.refused("POST", "/test/snapshots", body);
        assert!(status == 400 && sentence.contains(expected), "{sentence}");
    }
    take(&broker, "a");
    take(&broker, "b");
    client.produce(&[0]);
    take(&broker, "a");
    assert_eq!(broker.http("POST", "/test/reset", "").0, 200);
    let listed = broker.get("/test/snapshots");
    assert_eq!(
        (&listed["snapshots"][0]["name"], &listed["snapshots"][1]["name"]),
        (&"a".into(), &"b".into())
    );
    restore(&broker, "a");
    assert_eq!(client.end(0), 1, "the later one of this name");
    assert_eq!(broker.http("DELETE", "/test/snapshots/a", "").0, 200);
    let (status, sentence) = broker.refused("POST", "/test/snapshots/a/restore", "");
    assert!(status == 404 && sentence.contains("there are b"), "{sentence}");
    broker.http("POST", "/test/disk-full", "");
    let (status, sentence) = broker.refused("POST", "/test/snapshots/b/restore", "");
    assert!(status == 409 && sentence.contains("disk-full"), "{sentence}");
    assert_eq!(client.end(0), 1, "it is as it was");
    broker.http("POST", "/test/disk-full", r#"{"full": false}"#);
}

#[test]
fn producer_ids_of_clients_are_not_given_to_others_after_going_back() {
    let broker = Broker::with_topic();
    let mut client = broker.connect();
    let mut id = || {
        let request =
            InitProducerIdRequest::default().with_transactional_id(None).with_transaction_timeout_ms(60_000);
        client.send(ApiKey::InitProducerId, 1, false, &request);
        let given: InitProducerIdResponse = client.receive(1, false);
        assert_eq!(given.error_code, 0);
        given.producer_id.0
    };
    take(&broker, "empty");
    let before = id();
    restore(&broker, "empty");
    assert_eq!(id(), before + 1);
}

#[test]
fn metrics_are_told_while_a_test_goes_back() {
    let broker = Broker::with_topic();
    take(&broker, "empty");
    let admin = broker.server().admin_address().unwrap();
    let scrape = || {
        let mut stream = TcpStream::connect(admin).unwrap();
        stream.write_all(b"GET /metrics HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n").unwrap();
        let mut page = String::new();
        stream.read_to_string(&mut page).unwrap();
        page
    };
    std::thread::scope(|scope| {
        let back = scope.spawn(|| (0..20).for_each(|_| restore(&broker, "empty")));
        while !back.is_finished() {
            let page = scrape();
            assert!(page.starts_with("HTTP/1.1 200"), "{page:?}");
        }
        back.join().unwrap();
    });
}
