//! Writes `docs/CONFIGS.md` from the tables of configs and keeps it current.
//!
//! `UPDATE_CONFIGS=1 cargo test -p broker config::document` writes it anew; the test fails when it is not what the tables
//! say.

use std::fmt::Write as _;
use std::path::Path;

use super::dynamic::{UpdateMode, update_mode};
use super::{KEYS, Key, Kind, Role};
use crate::group_config::GROUP_KEYS;
use crate::topic_config::TOPIC_KEYS;

const HEAD: &str = "\
# Configs

Generated from the tables in `broker/src/config/keys.rs`, `broker/src/topic_config/keys.rs` and
`broker/src/group_config.rs` by `UPDATE_CONFIGS=1 cargo test -p broker config::document`. Do not edit.

Names, types, ranges, defaults and the answers of DescribeConfigs and the alter calls are those of Apache Kafka 4.3.1,
compared with it name by name (`broker/src/api/tests/config_shown.rs`, `config_verdicts.rs`). What has no effect here is
accepted where Kafka accepts it, checked, stored and shown, and marked in these tables. Client metrics subscriptions
(`interval.ms`, `match`, `metrics`) are kept and shown; no client is told of them.

Defaults that differ from Kafka's: `listeners` is 127.0.0.1 only; `max.connections` is 10000; `log.dir` is `./onelog-data`;
`metric.reporters` is empty; `node.id` is 0 without a file. `advertised.listeners` is dynamic here, as it was before Kafka 4.

";

fn document() -> String {
    let mut text = HEAD.to_owned();
    topics(&mut text);
    text.push_str("\n## Groups\n\nType GROUP; the default of each is the broker config with `group.` before its name.\n\n");
    text.push_str("| Name | Type | What it does |\n|---|---|---|\n");
    for key in GROUP_KEYS {
        line(&mut text, &[&code(key.name), &kind(key.kind), key.doc]);
    }
    text.push_str("\n## Brokers\n\nA config that is dynamic can be changed while the broker runs, for all brokers or for one.\n\n");
    text.push_str("| Name | Type | Default | Dynamic | What it does |\n|---|---|---|---|---|\n");
    let (used, without): (Vec<&Key>, Vec<&Key>) = KEYS.iter().partition(|key| key.role == Role::Used);
    for key in &used {
        line(&mut text, &[&code(key.name), &kind(key.kind), &default(key.default), mode(key.name), key.doc]);
    }
    text.push_str("\n## Brokers: accepted and without effect\n\n| Name | Type | Default | Dynamic |\n|---|---|---|---|\n");
    for key in &without {
        line(&mut text, &[&code(key.name), &kind(key.kind), &default(key.default), mode(key.name)]);
    }
    writeln!(text, "\n{} broker configs have an effect here, {} have none.", used.len(), without.len())
        .expect("a string takes everything");
    text
}

fn topics(text: &mut String) {
    text.push_str("## Topics\n\n| Name | Type | Default | Broker configs behind it | What it does |\n|---|---|---|---|---|\n");
    for key in TOPIC_KEYS {
        let behind: Vec<String> = key.synonyms.iter().map(|synonym| code(synonym.key)).collect();
        line(
            text,
            &[&code(key.name), &kind(key.kind), &default(Some(key.default)), &behind.join(", "), key.doc],
        );
    }
}

fn line(text: &mut String, cells: &[&str]) {
    writeln!(text, "| {} |", cells.join(" | ")).expect("a string takes everything");
}

fn code(name: &str) -> String {
    format!("`{name}`")
}

fn default(value: Option<&str>) -> String {
    match value {
        None => "null".to_owned(),
        Some("") => "empty".to_owned(),
        Some(value) => code(value),
    }
}

fn mode(name: &str) -> &'static str {
    match update_mode(name) {
        Some(UpdateMode::PerBroker) => "per broker",
        Some(UpdateMode::ClusterWide) => "yes",
        Some(UpdateMode::ReadOnly) | None => "",
    }
}

fn kind(kind: Kind) -> String {
    let from = |name: &str, min: String, max: String| match (min.is_empty(), max.is_empty()) {
        (true, true) => name.to_owned(),
        (false, true) => format!("{name} from {min}"),
        (true, false) => format!("{name} to {max}"),
        (false, false) => format!("{name} {min} to {max}"),
    };
    let unless = |extreme: bool, value: String| if extreme { String::new() } else { value };
    match kind {
        Kind::Boolean => "boolean".to_owned(),
        Kind::Short(min, max) => {
            from("short", unless(min == i16::MIN, min.to_string()), unless(max == i16::MAX, max.to_string()))
        }
        Kind::Int(min, max) => {
            from("int", unless(min == i32::MIN, min.to_string()), unless(max == i32::MAX, max.to_string()))
        }
        Kind::Long(min, max) => {
            from("long", unless(min == i64::MIN, min.to_string()), unless(max == i64::MAX, max.to_string()))
        }
        Kind::Double(min, max) => {
            from("double", unless(min <= f64::MIN, min.to_string()), unless(max >= f64::MAX, max.to_string()))
        }
        Kind::Text => "text".to_owned(),
        Kind::OneOf(words) => words.join(", "),
        Kind::List([]) => "list".to_owned(),
        Kind::List(words) => format!("list of {}", words.join(", ")),
        Kind::Class => "class".to_owned(),
        Kind::Password => "password".to_owned(),
    }
}

#[test]
fn the_document_is_what_the_tables_say() {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../docs/CONFIGS.md");
    let expected = document();
    if std::env::var_os("UPDATE_CONFIGS").is_some() {
        std::fs::write(&path, &expected).unwrap();
    }
    let found = std::fs::read_to_string(&path).unwrap_or_default();
    assert!(
        found == expected,
        "write docs/CONFIGS.md anew with UPDATE_CONFIGS=1 cargo test -p broker config::document"
    );
}
