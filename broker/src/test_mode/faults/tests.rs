//! Rules by themselves: what they match, how often, and which are refused.

use serde_json::json;

use super::super::touched::TouchedTopic;
use super::*;

fn spec(rule: Value) -> Spec {
    serde_json::from_value(rule).unwrap()
}

fn faults(rules: impl IntoIterator<Item = Value>) -> Faults {
    let mut faults = Faults::default();
    for rule in rules {
        faults.add(spec(rule)).unwrap();
    }
    faults
}

fn refused(rule: Value) -> String {
    Faults::default().add(spec(rule)).unwrap_err()
}

fn touched(topic: &str, partitions: &[i32], groups: &[&str]) -> Touched {
    Touched {
        topics: vec![TouchedTopic { topic: topic.to_owned(), partitions: partitions.to_vec() }],
        groups: groups.iter().map(|group| (*group).to_owned()).collect(),
        transactional_ids: Vec::new(),
    }
}

fn meets(faults: &mut Faults, api: &'static str, touched: &Touched, client_id: &str) -> Option<u64> {
    faults.meet(&Facts { api, touched, client_id, node: 1 }).map(|met| met.id)
}

#[test]
fn a_rule_wants_what_all_of_its_matchers_want() {
    let rule =
        json!({"keys": ["produce"], "topic": "t", "partition": 2, "client_id": "app-?*", "disconnect": true});
    let mut faults = faults([rule]);
    let wanted = touched("t", &[1, 2], &[]);
    assert_eq!(meets(&mut faults, "Produce", &wanted, "app-1"), Some(1));
    assert_eq!(meets(&mut faults, "Fetch", &wanted, "app-1"), None);
    assert_eq!(meets(&mut faults, "Produce", &wanted, "app-"), None);
    assert_eq!(meets(&mut faults, "Produce", &touched("t", &[1], &[]), "app-1"), None);
    assert_eq!(meets(&mut faults, "Produce", &touched("u", &[2], &[]), "app-1"), None);
    let shown = faults.shown(1).unwrap();
    assert_eq!((shown.seen, shown.hits), (1, 0), "not done yet");
    faults.done(1);
    assert_eq!(faults.shown(1).unwrap().hits, 1);
}

#[test]
fn minus_one_is_any_partition_and_groups_and_nodes_are_matched() {
    let mut faults = faults([
        json!({"topic": "t", "partition": -1, "node": 1, "delay_ms": 5}),
        json!({"group": "g", "node": 2, "delay_ms": 5}),
        json!({"group": "g", "delay_ms": 5}),
    ]);
    assert_eq!(meets(&mut faults, "Fetch", &touched("t", &[9], &["g"]), ""), Some(1));
    assert_eq!(meets(&mut faults, "Heartbeat", &touched("u", &[], &["g"]), ""), Some(3));
    assert_eq!(meets(&mut faults, "Heartbeat", &touched("u", &[], &["h"]), ""), None);
}

#[test]
fn count_and_nth_are_budgets() {
    let hits = |rule: Value| {
        let mut faults = faults([rule]);
        (1..=6).filter(|_| meets(&mut faults, "Fetch", &Touched::default(), "").is_some()).count()
    };
    assert_eq!(hits(json!({"disconnect": true})), 6);
    assert_eq!(hits(json!({"disconnect": true, "count": 2})), 2);
    assert_eq!(hits(json!({"disconnect": true, "nth": 3})), 1);
    assert_eq!(hits(json!({"disconnect": true, "nth": 3, "count": 9})), 4);
    let mut third = faults([json!({"disconnect": true, "nth": 3})]);
    let met: Vec<bool> =
        (0..4).map(|_| meets(&mut third, "Fetch", &Touched::default(), "").is_some()).collect();
    assert_eq!(met, [false, false, true, false]);
    assert!(third.shown(1).unwrap().spent);
}

#[test]
fn chance_is_the_same_for_the_same_seed() {
    let met = |seed: u64| -> Vec<bool> {
        let mut faults = faults([json!({"disconnect": true, "probability": 0.25, "seed": seed})]);
        (0..400).map(|_| meets(&mut faults, "Fetch", &Touched::default(), "").is_some()).collect()
    };
    assert_eq!(met(7), met(7));
    assert_ne!(met(7), met(8));
    let hits = met(7).iter().filter(|hit| **hit).count();
    assert!((70..130).contains(&hits), "{hits} of 400 at a quarter");
}

#[test]
fn a_hit_without_effect_is_given_back() {
    let mut faults = faults([json!({"keys": ["Fetch"], "corrupt_crc": true, "count": 1})]);
    assert_eq!(meets(&mut faults, "Fetch", &Touched::default(), ""), Some(1));
    assert!(faults.shown(1).unwrap().spent);
    faults.give_back(1);
    assert_eq!(meets(&mut faults, "Fetch", &Touched::default(), ""), Some(1));
}

#[test]
fn the_first_rule_wins_until_it_is_spent() {
    let mut faults = faults([json!({"disconnect": true, "count": 1}), json!({"truncate": true})]);
    let mut next = || meets(&mut faults, "Fetch", &Touched::default(), "");
    assert_eq!([next(), next(), next()], [Some(1), Some(2), Some(2)]);
}

#[test]
fn rules_that_cannot_be_carried_out_are_refused_with_what_could() {
    for (rule, said) in [
        (json!({}), "the rule does nothing"),
        (json!({"keys": ["Prodce"], "disconnect": true}), "the nearest is Produce"),
        (json!({"keys": ["JoinGroup"], "topic": "t", "disconnect": true}), "JoinGroup names no topic"),
        (json!({"keys": ["Produce"], "group": "g", "disconnect": true}), "Produce names no group"),
        (json!({"error": "NOT_LEADER_OR_FOLLOWER"}), "error needs keys"),
        (
            json!({"keys": ["DescribeConfigs"], "error": 3}),
            "DescribeConfigs cannot be answered with an error of choice",
        ),
        (json!({"keys": ["Fetch"], "error": "NOT_LEADER"}), "the nearest is "),
        (json!({"keys": ["Fetch"], "error": "NONE"}), "there is no error \"NONE\""),
        (json!({"keys": ["Fetch"], "error": 0}), "give Kafka's name"),
        (json!({"keys": ["Fetch"], "error": 9999}), "give Kafka's name"),
        (json!({"keys": ["Produce"], "corrupt_crc": true}), "give keys [\"Fetch\"]"),
        (json!({"disconnect": true, "truncate": true}), "disconnect and truncate cannot both"),
        (json!({"disconnect": true, "count": 0}), "count is 0"),
        (json!({"disconnect": true, "nth": 0}), "the first request is 1"),
        (json!({"disconnect": true, "probability": 1.5}), "between 0 and 1"),
        (json!({"disconnect": true, "seed": 1}), "seed has no meaning"),
        (json!({"partition": -2, "disconnect": true}), "partition is below -1"),
        (json!({"throttle_ms": 5}), "throttle_ms needs keys"),
        (json!({"keys": ["DescribeConfigs"], "throttle_ms": 5}), "cannot be throttled"),
    ] {
        let sentence = refused(rule.clone());
        assert!(sentence.contains(said), "{rule}: {sentence}");
    }
    assert!(serde_json::from_value::<Spec>(json!({"kyes": []})).unwrap_err().to_string().contains("`keys`"));
}

#[test]
fn errors_go_by_name_or_number() {
    let mut faults = faults([
        json!({"keys": ["Fetch"], "error": "not_leader_or_follower"}),
        json!({"keys": ["Produce"], "error": 6}),
    ]);
    for api in ["Fetch", "Produce"] {
        let facts = Facts { api, touched: &Touched::default(), client_id: "", node: 0 };
        let met = faults.meet(&facts).unwrap();
        assert_eq!(met.breakage, Breakage::Error(ErrorCode::NotLeaderOrFollower));
    }
}

#[test]
fn patterns_have_stars_and_question_marks() {
    for (pattern, text) in
        [("*", ""), ("a*", "a"), ("*-x", "a-b-x"), ("a?c*e", "abcde"), ("**", "q"), ("a*b*c", "aXbYbZc")]
    {
        assert!(glob(pattern, text), "{pattern} {text}");
    }
    for (pattern, text) in [("", "a"), ("a", "ab"), ("?", ""), ("*x", "ay"), ("a*c", "ab"), ("A", "a")] {
        assert!(!glob(pattern, text), "{pattern} {text}");
    }
}
