//! Configs of single groups (resource type GROUP): the table, its checks, and the value that counts.
//!
//! Called by the config APIs; `consumer.*` and `share.*` also by whoever serves those groups. Names, ranges and sentences are those
//! of Kafka 4.3.1's `GroupConfig`: the default of most is a broker config, and two more broker configs bound it. Configs of
//! streams groups are kept and shown, nothing here uses them yet.

use storage::Configs;

use crate::config::Kind::{self, Boolean, Int, OneOf, Text};
use crate::stored_configs::Scope;
use crate::topic_config::{BrokerLayers, Setting, Source, canonical, invalid_value};

/// One group config.
#[derive(Debug)]
pub(crate) struct GroupKey {
    pub(crate) name: &'static str,
    pub(crate) kind: Kind,
    default: Fallback,
    /// Broker configs that say how small and how large the value may be.
    bounds: [Option<&'static str>; 2],
    pub(crate) doc: &'static str,
}

#[derive(Debug, Clone, Copy)]
enum Fallback {
    /// What this broker config says.
    Broker(&'static str),
    Fixed(&'static str),
}

use Fallback::{Broker, Fixed};

const RESET: &str = "share.auto.offset.reset";
const COUNT: Kind = Int(1, i32::MAX);
const NATURAL: Kind = Int(0, i32::MAX);
const KEPT: &str = "Kept for groups of a kind that this broker does not have yet.";

const fn key(
    name: &'static str,
    kind: Kind,
    default: Fallback,
    bounds: [Option<&'static str>; 2],
    doc: &'static str,
) -> GroupKey {
    GroupKey { name, kind, default, bounds, doc }
}

/// The table.
#[rustfmt::skip]
pub(crate) static GROUP_KEYS: &[GroupKey] = &[
    key("consumer.assignment.interval.ms", NATURAL, Broker("group.consumer.assignment.interval.ms"), [Some("group.consumer.min.assignment.interval.ms"), Some("group.consumer.max.assignment.interval.ms")], "The least time between two assignments of a consumer group."),
    key("consumer.heartbeat.interval.ms", COUNT, Broker("group.consumer.heartbeat.interval.ms"), [Some("group.consumer.min.heartbeat.interval.ms"), Some("group.consumer.max.heartbeat.interval.ms")], "How often members of a consumer group report."),
    key("consumer.session.timeout.ms", COUNT, Broker("group.consumer.session.timeout.ms"), [Some("group.consumer.min.session.timeout.ms"), Some("group.consumer.max.session.timeout.ms")], "How long a member of a consumer group may be silent before it is evicted."),
    key("share.assignment.interval.ms", NATURAL, Broker("group.share.assignment.interval.ms"), [Some("group.share.min.assignment.interval.ms"), Some("group.share.max.assignment.interval.ms")], "The least time between two assignments of a share group."),
    key(RESET, Text, Fixed("latest"), [None, None], "Where a share group begins to read: earliest, latest or by_duration:PnDTnHnMn.nS."),
    key("share.delivery.count.limit", Int(2, i32::MAX), Broker("group.share.delivery.count.limit"), [Some("group.share.min.delivery.count.limit"), Some("group.share.max.delivery.count.limit")], "How often a record is delivered to a share group before it is given up."),
    key("share.heartbeat.interval.ms", COUNT, Broker("group.share.heartbeat.interval.ms"), [Some("group.share.min.heartbeat.interval.ms"), Some("group.share.max.heartbeat.interval.ms")], "How often members of a share group report."),
    key("share.isolation.level", OneOf(&["read_committed", "read_uncommitted"]), Fixed("read_uncommitted"), [None, None], "Whether a share group reads records of open and aborted transactions."),
    key("share.partition.max.record.locks", Int(100, i32::MAX), Broker("group.share.partition.max.record.locks"), [Some("group.share.min.partition.max.record.locks"), Some("group.share.max.partition.max.record.locks")], "How many records of a partition a share group may hold in flight."),
    key("share.record.lock.duration.ms", Int(1000, i32::MAX), Broker("group.share.record.lock.duration.ms"), [Some("group.share.min.record.lock.duration.ms"), Some("group.share.max.record.lock.duration.ms")], "How long a record is locked for the member that it was delivered to."),
    key("share.renew.acknowledge.enable", Boolean, Fixed("true"), [None, None], "Whether members may renew the lock of a record."),
    key("share.session.timeout.ms", COUNT, Broker("group.share.session.timeout.ms"), [Some("group.share.min.session.timeout.ms"), Some("group.share.max.session.timeout.ms")], "How long a member of a share group may be silent before it is evicted."),
    key("streams.assignment.interval.ms", NATURAL, Broker("group.streams.assignment.interval.ms"), [Some("group.streams.min.assignment.interval.ms"), Some("group.streams.max.assignment.interval.ms")], KEPT),
    key("streams.heartbeat.interval.ms", COUNT, Broker("group.streams.heartbeat.interval.ms"), [Some("group.streams.min.heartbeat.interval.ms"), Some("group.streams.max.heartbeat.interval.ms")], KEPT),
    key("streams.initial.rebalance.delay.ms", NATURAL, Broker("group.streams.initial.rebalance.delay.ms"), [None, None], KEPT),
    key("streams.num.standby.replicas", NATURAL, Broker("group.streams.num.standby.replicas"), [None, Some("group.streams.max.standby.replicas")], KEPT),
    key("streams.session.timeout.ms", COUNT, Broker("group.streams.session.timeout.ms"), [Some("group.streams.min.session.timeout.ms"), Some("group.streams.max.session.timeout.ms")], KEPT),
];

/// The config called `name`.
pub(crate) fn find(name: &str) -> Option<&'static GroupKey> {
    GROUP_KEYS.binary_search_by(|key| key.name.cmp(name)).ok().map(|index| &GROUP_KEYS[index])
}

/// What each layer says, strongest first: the group itself, then the broker.
pub(crate) fn settings<'a>(
    layers: &BrokerLayers<'a>,
    own: &'a Configs,
    key: &'static GroupKey,
) -> Vec<Setting<'a>> {
    let set = own.get(key.name).map(|value| Setting {
        key: key.name.into(),
        value: value.as_str().into(),
        source: Source::Group,
    });
    let below = match key.default {
        Broker(name) => layers.settings(&[name]),
        Fixed(value) => vec![Setting { key: key.name.into(), value: value.into(), source: Source::Default }],
    };
    set.into_iter().chain(below).collect()
}

/// The value that counts for `group`. Every config of the table has one.
pub(crate) fn effective(layers: &BrokerLayers<'_>, group: &str, name: &str) -> Option<String> {
    let own = Scope::Group(group).of(layers.dynamic);
    settings(layers, &own, find(name)?).into_iter().next().map(|top| top.value.into_owned())
}

/// Checks what is to be set on a group and writes it canonically.
///
/// # Errors
/// Kafka's sentence; the error code is INVALID_CONFIG.
pub(crate) fn validate(layers: &BrokerLayers<'_>, configs: &Configs) -> Result<Configs, String> {
    let mut checked = Configs::new();
    for (name, value) in configs {
        let key = find(name).ok_or_else(|| format!("Unknown group config name: {name}"))?;
        let value = canonical(name, key.kind, value)?;
        if name == RESET && !is_reset_strategy(&value) {
            let why = format!(
                "Invalid value `{value}` for configuration {name}. The value must be either 'earliest', 'latest' \
                 or of the format 'by_duration:<PnDTnHnMn.nS>'."
            );
            return Err(invalid_value(name, &value, &why));
        }
        checked.insert(name.clone(), value);
    }
    for (name, value) in &checked {
        within_bounds(layers, find(name).expect("it was found above"), value)?;
    }
    for [session, heartbeat] in SESSIONS {
        let millis = |name| {
            let key = find(name).expect("it is in the table");
            let top = settings(layers, &checked, key).into_iter().next();
            top.and_then(|top| top.value.parse::<i64>().ok()).unwrap_or(0)
        };
        if millis(session) <= millis(heartbeat) {
            return Err(format!("{session} must be greater than {heartbeat}"));
        }
    }
    Ok(checked)
}

/// A session is longer than the time between two heartbeats.
const SESSIONS: [[&str; 2]; 3] = [
    ["consumer.session.timeout.ms", "consumer.heartbeat.interval.ms"],
    ["share.session.timeout.ms", "share.heartbeat.interval.ms"],
    ["streams.session.timeout.ms", "streams.heartbeat.interval.ms"],
];

fn within_bounds(layers: &BrokerLayers<'_>, key: &GroupKey, value: &str) -> Result<(), String> {
    let Ok(value) = value.parse::<i64>() else { return Ok(()) };
    let bound = |name: &'static str| {
        let top = layers.settings(&[name]).into_iter().next();
        top.and_then(|top| top.value.parse::<i64>().ok()).map(|bound| (name, bound))
    };
    let [least, most] = key.bounds.map(|name| name.and_then(bound));
    if let Some((name, _)) = least.filter(|(_, least)| value < *least) {
        return Err(format!("{} must be greater than or equal to {name}", key.name));
    }
    if let Some((name, _)) = most.filter(|(_, most)| value > *most) {
        return Err(format!("{} must be less than or equal to {name}", key.name));
    }
    Ok(())
}

/// `ShareGroupAutoOffsetResetStrategy`.
fn is_reset_strategy(value: &str) -> bool {
    matches!(value.to_ascii_lowercase().as_str(), "earliest" | "latest")
        || value.strip_prefix("by_duration:").is_some_and(is_duration)
}

/// Whether `text` is a duration as ISO 8601 and Java write it, `PnDTnHnMn.nS`, and not negative.
fn is_duration(text: &str) -> bool {
    let upper = text.to_ascii_uppercase();
    let Some(rest) = upper.strip_prefix('P') else { return false };
    let (date, time) = rest.split_once('T').map_or((rest, None), |(date, time)| (date, Some(time)));
    let date_is_right = date.is_empty() || date.strip_suffix('D').is_some_and(is_whole);
    let time_is_right = time.is_none_or(|time| !time.is_empty() && is_time(time));
    date_is_right && time_is_right && !(date.is_empty() && time.is_none())
}

fn is_time(mut text: &str) -> bool {
    for unit in ['H', 'M'] {
        if let Some((number, rest)) = text.split_once(unit) {
            if !is_whole(number) {
                return false;
            }
            text = rest;
        }
    }
    text.is_empty()
        || text.strip_suffix('S').is_some_and(|seconds| match seconds.split_once('.') {
            Some((whole, part)) => {
                is_whole(whole) && part.len() <= 9 && part.bytes().all(|b| b.is_ascii_digit())
            }
            None => is_whole(seconds),
        })
}

/// Milliseconds of a duration that was set.
pub(crate) fn duration_ms(text: &str) -> Option<i64> {
    if !is_duration(text) {
        return None;
    }
    let (mut ms, mut number) = (0_i64, String::new());
    let upper = text.to_ascii_uppercase();
    for letter in upper.chars().filter(|letter| !matches!(letter, 'P' | 'T')) {
        let unit: i64 = match letter {
            'D' => 86_400_000,
            'H' => 3_600_000,
            'M' => 60_000,
            'S' => 1000,
            digit => {
                number.push(digit);
                continue;
            }
        };
        let (whole, part) = number.split_once('.').unwrap_or((&number, ""));
        let whole: i64 = whole.parse().ok()?;
        let thousandths: i64 = format!("{part:0<3}").get(..3)?.parse().ok()?;
        ms = ms.saturating_add(whole.saturating_mul(unit)).saturating_add(thousandths);
        number.clear();
    }
    Some(ms)
}

fn is_whole(text: &str) -> bool {
    !text.is_empty() && text.len() <= 18 && text.bytes().all(|byte| byte.is_ascii_digit())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::{Config, find_key};

    #[test]
    fn table_is_sorted_and_names_only_known_broker_keys() {
        assert!(GROUP_KEYS.is_sorted_by(|left, right| left.name < right.name));
        for key in GROUP_KEYS {
            let default = match key.default {
                Broker(name) => Some(name),
                Fixed(_) => None,
            };
            for name in key.bounds.into_iter().flatten().chain(default) {
                assert!(find_key(name).is_some_and(|known| known.default.is_some()), "{name}");
            }
        }
    }

    #[test]
    fn a_group_overrides_its_brokers_value() {
        let config = Config::from_properties([("group.consumer.session.timeout.ms", "46000")]).unwrap();
        let dynamic =
            Configs::from([("@group/g/consumer.session.timeout.ms".to_owned(), "47000".to_owned())]);
        let layers = BrokerLayers { config: &config, dynamic: &dynamic };
        let value = |group| effective(&layers, group, "consumer.session.timeout.ms");
        assert_eq!((value("g").as_deref(), value("h").as_deref()), (Some("47000"), Some("46000")));
        assert_eq!(effective(&layers, "g", "nope"), None);
    }

    #[test]
    fn session_must_be_longer_than_the_time_between_two_heartbeats() {
        let bounds = [
            ("group.share.min.session.timeout.ms", "1"),
            ("group.share.max.heartbeat.interval.ms", "60000"),
            ("group.consumer.session.timeout.ms", "50000"),
        ];
        let config = Config::from_properties(bounds).unwrap();
        let dynamic = Configs::new();
        let layers = BrokerLayers { config: &config, dynamic: &dynamic };
        let judged = |name: &str, value: &str| {
            validate(&layers, &Configs::from([(name.to_owned(), value.to_owned())]))
        };
        let refused =
            Err("share.session.timeout.ms must be greater than share.heartbeat.interval.ms".to_owned());
        assert_eq!(judged("share.heartbeat.interval.ms", "45000"), refused);
        assert_eq!(judged("share.session.timeout.ms", "5000"), refused);
        assert!(judged("share.session.timeout.ms", "5001").is_ok());
        assert!(judged("consumer.heartbeat.interval.ms", "6000").is_ok());
    }

    #[test]
    fn durations_are_those_that_java_reads() {
        for good in ["P1D", "PT1H", "PT1H2M3.5S", "P2DT3M", "pt0s"] {
            assert!(is_duration(good), "{good}");
        }
        for bad in ["", "P", "PT", "1D", "P1H", "PT1D", "P-1D", "PT1.5H", "PT1S2M", "P1DT"] {
            assert!(!is_duration(bad), "{bad}");
        }
    }
}
