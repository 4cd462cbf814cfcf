//! Configs of topics: what a topic says itself, over what the broker says, over Kafka's defaults.
//!
//! Called by the admin handlers (describe, validate, alter) and, parsed and cached, by Produce and by storage. Layers, strongest first:
//! topic override, dynamic config of this broker, dynamic default of all brokers, the broker's static properties, default
//! (Kafka's `ConfigHelper`). Invariant: overrides are checked and written canonically before they reach the log.

mod keys;
mod log_policy;
mod value;

use std::borrow::Cow;
use std::collections::BTreeMap;

use protocol::record_batch::Codec;
use storage::Configs;

use crate::config::{Config, find_key};
use crate::stored_configs::Scope;
pub(crate) use keys::{TOPIC_KEYS, TopicKey, find};
pub(crate) use log_policy::{policies, producer_expiration};
pub(crate) use value::{canonical, invalid_value, list};

/// Where a value comes from; the numbers are Kafka's `ConfigSource`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Source {
    Topic,
    Group,
    ClientMetrics,
    DynamicBroker,
    DynamicDefaultBroker,
    StaticBroker,
    Default,
}

impl Source {
    pub(crate) fn code(self) -> i8 {
        match self {
            Self::Topic => 1,
            Self::ClientMetrics => 7,
            Self::Group => 8,
            Self::DynamicBroker => 2,
            Self::DynamicDefaultBroker => 3,
            Self::StaticBroker => 4,
            Self::Default => 5,
        }
    }
}

/// One place that says something about a config.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Setting<'a> {
    pub(crate) key: Cow<'static, str>,
    pub(crate) value: Cow<'a, str>,
    pub(crate) source: Source,
}

impl Setting<'_> {
    /// The same, without borrowing from the configs it was read from.
    pub(crate) fn into_owned(self) -> Setting<'static> {
        Setting { key: self.key, value: Cow::Owned(self.value.into_owned()), source: self.source }
    }
}

/// Everything below the topic itself.
#[derive(Debug, Clone, Copy)]
pub(crate) struct BrokerLayers<'a> {
    pub(crate) config: &'a Config,
    /// As in `Store::broker_configs`, see `stored_configs`.
    pub(crate) dynamic: &'a Configs,
}

impl<'a> BrokerLayers<'a> {
    /// What each layer says about the broker keys `names`, strongest first.
    pub(crate) fn settings(&self, names: &[&'static str]) -> Vec<Setting<'a>> {
        let node_id = self.config.node_id;
        let mut settings = Vec::new();
        let mut layer = |source, value_of: &dyn Fn(&str) -> Option<&'a str>| {
            let values = names.iter().filter_map(|key| value_of(key).map(|value| (*key, value)));
            settings.extend(values.map(|(key, value)| Setting {
                key: Cow::Borrowed(key),
                value: Cow::Borrowed(value),
                source,
            }));
        };
        if !self.dynamic.is_empty() {
            let dynamic = self.dynamic;
            layer(Source::DynamicBroker, &|key| {
                dynamic.get(&Scope::Broker(node_id).stored_name(key)).map(String::as_str)
            });
            layer(Source::DynamicDefaultBroker, &|key| dynamic.get(key).map(String::as_str));
        }
        let fixed = &self.config.static_properties;
        layer(Source::StaticBroker, &|key| fixed.get(key).map(String::as_str));
        layer(Source::Default, &|key| find_key(key).and_then(|known| known.default));
        settings
    }

    /// The number that a change at run time gave the broker config `name`: it counts before the one in `config`.
    pub(crate) fn dynamic_number(&self, name: &str) -> Option<i64> {
        let own = self.dynamic.get(&Scope::Broker(self.config.node_id).stored_name(name));
        own.or_else(|| self.dynamic.get(name))?.parse().ok()
    }

    /// What each layer says about a topic config, strongest first; broker keys with their own values and units.
    pub(crate) fn topic_settings(&self, key: &'static TopicKey, overrides: &'a Configs) -> Vec<Setting<'a>> {
        let own = overrides.get(key.name).map(|value| Setting {
            key: Cow::Borrowed(key.name),
            value: Cow::Borrowed(value.as_str()),
            source: Source::Topic,
        });
        let names: Vec<&'static str> = key.synonyms.iter().map(|synonym| synonym.key).collect();
        own.into_iter().chain(self.settings(&names)).collect()
    }

    /// The value that counts, in the topic config's unit.
    pub(crate) fn effective(&self, key: &'static TopicKey, overrides: &'a Configs) -> Cow<'a, str> {
        let strongest = self.topic_settings(key, overrides).into_iter().next();
        strongest.map_or(Cow::Borrowed(key.default), |setting| in_topic_unit(key, setting))
    }

    fn number(&self, name: &str, overrides: &'a Configs) -> i64 {
        let key = find(name).expect("a topic config of the table");
        let parse = |value: &str| value.parse().ok();
        // A static property was checked by `config`, an override when it was set: the default is for neither.
        parse(&self.effective(key, overrides))
            .or_else(|| parse(key.default))
            .expect("defaults are checked by a test")
    }

    fn text(&self, name: &str, overrides: &'a Configs) -> Cow<'a, str> {
        self.effective(find(name).expect("a topic config of the table"), overrides)
    }
}

fn in_topic_unit<'a>(key: &TopicKey, setting: Setting<'a>) -> Cow<'a, str> {
    let factor =
        key.synonyms.iter().find(|synonym| synonym.key == setting.key).map_or(1, |found| found.factor);
    match setting.value.parse::<i64>() {
        Ok(number) if factor != 1 && number < 0 => Cow::Borrowed("-1"),
        Ok(number) if factor != 1 => Cow::Owned(number.saturating_mul(factor).to_string()),
        _ => setting.value,
    }
}

/// What the broker stores batches with (`compression.type` and the level of that codec).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Compression {
    pub(crate) codec: Codec,
    /// `None` where the codec has none or decides itself.
    pub(crate) level: Option<i32>,
}

/// What Produce has to know of a topic's configs, parsed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct TopicConfig {
    /// Largest batch as it was sent, bytes.
    pub(crate) max_message_bytes: usize,
    /// The broker stamps its own time.
    pub(crate) log_append_time: bool,
    /// How far behind the clock a timestamp may be, ms.
    pub(crate) timestamp_before_max_ms: i64,
    /// How far ahead of the clock a timestamp may be, ms.
    pub(crate) timestamp_after_max_ms: i64,
    /// `cleanup.policy` names compact: every record needs a key.
    pub(crate) compacted: bool,
    /// `cleanup.policy` names delete.
    pub(crate) deletes: bool,
    /// `None` for `producer`: batches stay as they come.
    pub(crate) compression: Option<Compression>,
}

impl TopicConfig {
    pub(crate) fn resolve(layers: &BrokerLayers<'_>, overrides: &Configs) -> Self {
        let policy = layers.text("cleanup.policy", overrides);
        Self {
            max_message_bytes: usize::try_from(layers.number("max.message.bytes", overrides))
                .unwrap_or_default(),
            log_append_time: layers.text("message.timestamp.type", overrides) == "LogAppendTime",
            timestamp_before_max_ms: layers.number("message.timestamp.before.max.ms", overrides),
            timestamp_after_max_ms: layers.number("message.timestamp.after.max.ms", overrides),
            compacted: list(&policy).contains(&"compact"),
            deletes: list(&policy).contains(&"delete"),
            compression: Self::compression(layers, overrides),
        }
    }

    fn compression(layers: &BrokerLayers<'_>, overrides: &Configs) -> Option<Compression> {
        let level = |name| i32::try_from(layers.number(name, overrides)).ok();
        let (codec, level) = match &*layers.text("compression.type", overrides) {
            "uncompressed" => (Codec::None, None),
            // -1 is the codec's own choice.
            "gzip" => (Codec::Gzip, level("compression.gzip.level").filter(|level| *level > 0)),
            "snappy" => (Codec::Snappy, None),
            "lz4" => (Codec::Lz4, None),
            "zstd" => (Codec::Zstd, level("compression.zstd.level")),
            _ => return None,
        };
        Some(Compression { codec, level })
    }
}

/// Checks a topic's overrides and writes them canonically.
///
/// # Errors
/// Kafka's sentence for the first that is wrong; the error code is INVALID_CONFIG.
pub(crate) fn validate(overrides: &Configs) -> Result<Configs, String> {
    let mut checked = BTreeMap::new();
    for (name, value) in overrides {
        let key = find(name).ok_or_else(|| format!("Unknown topic config name: {name}"))?;
        let value = canonical(name, key.kind, value)?;
        if name.ends_with(".replication.throttled.replicas") {
            throttled_replicas(name, &value)?;
        }
        checked.insert(name.clone(), value);
    }
    let number = |name: &str| {
        let default = find(name).map(|key| key.default).unwrap_or_default();
        checked.get(name).map_or(default, String::as_str).parse::<i64>().unwrap_or_default()
    };
    let (min_lag, max_lag) = (number("min.compaction.lag.ms"), number("max.compaction.lag.ms"));
    if min_lag > max_lag {
        return Err(format!(
            "conflict topic config setting min.compaction.lag.ms ({min_lag}) > max.compaction.lag.ms ({max_lag})"
        ));
    }
    if checked.get("remote.storage.enable").is_some_and(|value| value == "true") {
        return Err("Tiered Storage functionality is disabled in the broker. \
                    Topic cannot be configured with remote log storage."
            .to_owned());
    }
    Ok(checked)
}

fn throttled_replicas(name: &str, value: &str) -> Result<(), String> {
    let number = |text: &str| text.parse::<u32>().is_ok();
    let pair = |text: &str| text.split_once(':').is_some_and(|(left, right)| number(left) && number(right));
    let elements = list(value);
    if elements == ["*"] || elements.iter().all(|element| pair(element)) {
        return Ok(());
    }
    let why = format!(
        "{name} must be the literal '*' or a list of replicas in the following format: \
         [partitionId]:[brokerId],[partitionId]:[brokerId],..."
    );
    Err(invalid_value(name, &format!("[{}]", elements.join(", ")), &why))
}

#[cfg(test)]
mod tests;
