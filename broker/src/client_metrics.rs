//! Client metrics subscriptions (resource type CLIENT_METRICS): the table and its checks.
//!
//! Called by the config APIs. They are kept and shown as Kafka 4.3.1 does (`ClientMetricsConfigs`); nobody is told of them,
//! because a broker without a telemetry receiver does not offer the telemetry APIs to clients.

use storage::Configs;

use crate::config::Kind;
use crate::topic_config::{canonical, list};

const INTERVAL_MS: &str = "interval.ms";
const MATCH: &str = "match";
const INTERVALS: std::ops::RangeInclusive<i64> = 100..=3_600_000;
/// What a subscription can match clients by.
const MATCHED: &[&str] = &[
    "client_id",
    "client_instance_id",
    "client_software_name",
    "client_software_version",
    "client_source_address",
    "client_source_port",
];

/// One config of a subscription.
#[derive(Debug)]
pub(crate) struct MetricsKey {
    pub(crate) name: &'static str,
    pub(crate) kind: Kind,
    pub(crate) default: &'static str,
    pub(crate) doc: &'static str,
}

/// The table.
pub(crate) static METRICS_KEYS: &[MetricsKey] = &[
    MetricsKey {
        name: INTERVAL_MS,
        kind: Kind::Int(i32::MIN, i32::MAX),
        default: "300000",
        doc: "How often clients push their metrics.",
    },
    MetricsKey {
        name: MATCH,
        kind: Kind::List(&[]),
        default: "",
        doc: "Which clients are meant: name=pattern, comma separated; empty means all.",
    },
    MetricsKey {
        name: "metrics",
        kind: Kind::List(&[]),
        default: "",
        doc: "Prefixes of the metrics that are wanted, comma separated; * means all.",
    },
];

/// Why a subscription is refused.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Wrong {
    /// The error code is INVALID_CONFIG.
    Config(String),
    /// The error code is INVALID_REQUEST.
    Request(String),
}

/// Checks what is to be set on a subscription and writes it canonically.
///
/// # Errors
/// Kafka's sentence and which of its two codes.
pub(crate) fn validate(configs: &Configs) -> Result<Configs, Wrong> {
    let mut checked = Configs::new();
    for (name, value) in configs {
        let key = METRICS_KEYS
            .iter()
            .find(|key| key.name == name)
            .ok_or_else(|| Wrong::Request(format!("Unknown client metrics configuration: {name}")))?;
        let value = canonical(name, key.kind, value).map_err(Wrong::Config)?;
        check(name, &value)?;
        checked.insert(name.clone(), value);
    }
    Ok(checked)
}

fn check(name: &str, value: &str) -> Result<(), Wrong> {
    if name == INTERVAL_MS && !value.parse().is_ok_and(|interval: i64| INTERVALS.contains(&interval)) {
        let why =
            format!("Invalid value {value} for {name}, interval must be between 100 and 3600000 (1 hour)");
        return Err(Wrong::Request(why));
    }
    if name == MATCH
        && let Some(pattern) = list(value).into_iter().find(|pattern| !is_pattern(pattern))
    {
        return Err(Wrong::Config(format!("Illegal client matching pattern: {pattern}")));
    }
    Ok(())
}

/// `name=regular expression`. Whether the expression compiles is seen where it would be used, and it is not used here; only
/// brackets that never close are refused.
fn is_pattern(text: &str) -> bool {
    let balanced = |open, close| text.matches(open).count() == text.matches(close).count();
    let named = text.split_once('=').is_some_and(|(name, pattern)| {
        MATCHED.contains(&name.trim()) && !pattern.is_empty() && !pattern.contains('=')
    });
    named && balanced('[', ']') && balanced('(', ')')
}
