//! `onelog test`: the verbs from the command line, against brokers in this process.

use std::process::{Command, Output};

use super::*;

impl Broker {
    fn command(&self, arguments: &[&str]) -> Output {
        let admin = self.server().admin_address().unwrap().to_string();
        onelog(&[&["test", "--admin", admin.as_str()], arguments].concat())
    }

    /// What a command that is carried out prints.
    fn done(&self, arguments: &[&str]) -> String {
        let output = self.command(arguments);
        assert!(output.status.success(), "{arguments:?}: {}", String::from_utf8_lossy(&output.stderr));
        String::from_utf8(output.stdout).unwrap()
    }

    /// Exit code and sentence of one that is not.
    fn fails(&self, arguments: &[&str]) -> (i32, String) {
        told(&self.command(arguments))
    }
}

fn onelog(arguments: &[&str]) -> Output {
    Command::new(env!("CARGO_BIN_EXE_onelog")).args(arguments).output().unwrap()
}

fn told(output: &Output) -> (i32, String) {
    assert!(output.stdout.is_empty());
    (output.status.code().unwrap(), String::from_utf8(output.stderr.clone()).unwrap())
}

#[test]
fn a_fault_is_made_seen_and_cleared_from_the_command_line() {
    let broker = Broker::with_topic();
    let mut client = broker.connect();
    let rule = [
        "fault",
        "add",
        "--keys",
        "Produce",
        "--topic",
        "t",
        "--partition",
        "1",
        "--error",
        "6",
        "--count",
        "1",
    ];
    assert_eq!(broker.done(&rule), "id: 1\n");
    assert_eq!(client.produce(&[0, 1]), [(0, 0, 0), (1, NOT_LEADER, -1)]);
    let waited: Value = serde_json::from_str(&broker.done(&["fault", "wait", "1", "--json"])).unwrap();
    assert_eq!((&waited["hits"], &waited["rule"]["error"]), (&1.into(), &6.into()));
    let listed = broker.done(&["fault", "list"]);
    assert!(listed.starts_with("hits=1 id=1 rule={"), "{listed}");
    let (code, sentence) = broker.fails(&["fault", "wait", "1", "--hits", "2", "--timeout-ms", "1"]);
    assert!(code == 3 && sentence.contains("fired 1 times, not 2"), "{sentence}");
    let (code, sentence) = broker.fails(&["fault", "add", r#"{"keys": ["Prodce"], "disconnect": true}"#]);
    assert!(code == 1 && sentence.contains("the nearest is Produce"), "the broker's sentence: {sentence}");
    broker.done(&["fault", "clear", "1"]);
    let (code, sentence) = broker.fails(&["fault", "show", "1"]);
    assert!(code == 1 && sentence.contains("there is no fault 1"), "{sentence}");
}

#[test]
fn verbs_of_the_whole_broker_are_carried_out_from_the_command_line() {
    let broker = Broker::with_topic();
    let mut client = broker.connect();
    client.produce(&[0]);
    assert!(broker.done(&["snapshot", "take", "one record"]).contains("name: one record\n"));
    client.produce(&[0]);
    broker.done(&["snapshot", "restore", "one record"]);
    assert_eq!(client.end(0), 1);
    assert!(broker.done(&["snapshot", "list"]).contains("name=one record"), "listed");
    broker.done(&["snapshot", "delete", "one record"]);
    let requests = broker.done(&["requests", "--key", "produce"]);
    assert_eq!(requests.lines().filter(|line| line.contains("api=Produce")).count(), 2, "{requests}");
    broker.done(&["disk-full"]);
    assert_ne!(client.produce(&[0])[0].1, 0);
    broker.done(&["disk-full", "--off"]);
    assert_eq!(client.produce(&[0])[0].1, 0);
    assert!(broker.done(&["clock", "--advance-ms", "30000"]).contains("ahead_ms: 30000\n"));
    assert_eq!(broker.done(&["quiesce"]), "done\n");
    assert_eq!(broker.done(&["retention"]), "done\n");
    assert_eq!(broker.done(&["compact"]), "done\n");
    assert_eq!(broker.done(&["max-versions", "kafka-2.8"]), "profile: kafka-2.8\n");
    assert_eq!(broker.done(&["max-versions"]), "profile: null\n");
    let joined = join(&mut client);
    assert!(
        broker.done(&["wait-group", "g", "--state", "Stable", "--members", "1"]).contains("members: 1\n")
    );
    broker.done(&["expire-member", "g", joined.member_id.as_str()]);
    assert_eq!(heartbeat(&mut client, &joined), UNKNOWN_MEMBER_ID);
    let (code, sentence) = broker.fails(&["expire-transaction", "nobody"]);
    assert!(code == 1 && sentence.contains("no transactional id nobody"), "{sentence}");
    let (code, sentence) = broker.fails(&["slow-disk", "5"]);
    assert!(code == 1 && sentence.contains("--flush sync"), "{sentence}");
    for verb in [&["nodes"][..], &["node-down", "1"], &["node-up", "1"], &["move-leader", "t", "0", "1"]] {
        let (code, sentence) = broker.fails(verb);
        assert!(code == 1 && sentence.contains("--brokers"), "{verb:?}: {sentence}");
    }
    assert!(broker.done(&["reset", "--keep-topic", "t"]).contains("topics_deleted: u\n"));
}

#[test]
fn a_broker_that_is_not_there_or_not_in_test_mode_says_so() {
    let broker = Broker::start(&[("onelog.admin.listen", "127.0.0.1:0")]);
    let (code, sentence) = broker.fails(&["reset"]);
    assert!(code == 1 && sentence.contains("not in test mode"), "{sentence}");
    let (code, sentence) = told(&onelog(&["test", "--admin", "127.0.0.1:1", "reset"]));
    assert!(code == 1 && sentence.contains("no broker answers at 127.0.0.1:1"), "{sentence}");
}
