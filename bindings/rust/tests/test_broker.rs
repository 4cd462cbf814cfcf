//! The crate against the binary that `ONELOG_BIN` names. What a client sees of a broker is tested in `examples/rust`.
#![allow(clippy::unwrap_used, reason = "a test that cannot go on should say where")]

use std::net::TcpStream;
use std::process::Command;
use std::time::Duration;

use onelog::{ControlError, StartError, TestBroker};

fn connects(address: &str) -> bool {
    TcpStream::connect(address).is_ok()
}

#[test]
fn broker_serves_until_it_is_dropped() {
    let broker =
        TestBroker::builder().topics(["orders:3"]).config("num.partitions", 2).start_blocking().unwrap();
    let address = broker.bootstrap_servers().to_owned();
    assert!(connects(&address) && broker.log().contains("log opened"), "{}", broker.log());
    drop(broker);
    assert!(!connects(&address));
}

#[test]
fn two_brokers_are_started_side_by_side_on_one_thread() {
    let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
    let (first, second) = runtime.block_on(async { tokio::join!(TestBroker::start(), TestBroker::start()) });
    let (first, second) = (first.unwrap(), second.unwrap());
    assert!(connects(first.bootstrap_servers()) && connects(second.bootstrap_servers()));
    assert_ne!(first.bootstrap_servers(), second.bootstrap_servers());
}

#[test]
fn control_and_reset_reach_the_broker() {
    let broker = TestBroker::builder().topics(["orders", "kept"]).test_mode().start_blocking().unwrap();
    let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
    let requests = runtime.block_on(broker.control("GET", "/test/requests?key=produce", None)).unwrap();
    assert_eq!(requests["requests"], serde_json::json!([]));
    let reset = broker.reset_blocking(&["kept"]).unwrap();
    assert_eq!(reset["topics_deleted"], serde_json::json!(["orders"]));
    runtime.block_on(broker.reset(&[])).unwrap();
    let refused = broker.reset_blocking(&["kept"]).unwrap_err().to_string();
    assert!(refused.starts_with("POST /test/reset: ") && refused.contains("kept"), "{refused}");
}

#[test]
fn control_without_test_mode_says_how_to_get_it() {
    let broker = TestBroker::start_blocking().unwrap();
    assert!(matches!(broker.reset_blocking(&[]), Err(ControlError::NotServed)));
}

#[test]
fn broker_ends_with_the_process_that_started_it() {
    const CHILD: &str = "ONELOG_TEST_CHILD";
    if let Some(file) = std::env::var_os(CHILD) {
        let broker = TestBroker::start_blocking().unwrap();
        std::fs::write(file, broker.bootstrap_servers()).unwrap();
        std::process::abort();
    }
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("address");
    let mut child = Command::new(std::env::current_exe().unwrap());
    child.args(["--exact", "broker_ends_with_the_process_that_started_it"]).env(CHILD, &file);
    assert!(!child.output().unwrap().status.success());
    let address = std::fs::read_to_string(&file).unwrap();
    for _ in 0..2000 {
        if !connects(&address) {
            return;
        }
        std::thread::sleep(Duration::from_millis(10));
    }
    panic!("the broker outlived its parent");
}

#[test]
fn refused_start_shows_the_words_of_the_broker() {
    let error = TestBroker::builder().config("num.partitions", "many").start_blocking().unwrap_err();
    assert!(matches!(error, StartError::Ended { .. }));
    assert!(error.to_string().contains("num.partitions is \"many\"; give a whole number"), "{error}");
}

#[test]
fn program_that_is_no_broker_is_named() {
    let start = |binary| TestBroker::builder().binary(binary).start_blocking().unwrap_err().to_string();
    let text = start("/no/such/onelog");
    assert!(text.contains("/no/such/onelog cannot be started"), "{text}");
    let text = start("false");
    assert!(text.contains("false ended at its start with exit status: 1"), "{text}");
}

#[test]
fn start_that_takes_too_long_is_given_up() {
    let error = TestBroker::builder().start_timeout(Duration::ZERO).start_blocking().unwrap_err();
    assert!(matches!(error, StartError::Late { .. }), "{error}");
}
