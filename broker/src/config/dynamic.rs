//! Which broker configs can be changed while the broker runs, for all brokers or for one, and what a change must satisfy.
//!
//! Called by the alter APIs and by DescribeConfigs. The lists are those of Kafka 4.3.1's `DynamicBrokerConfig`, the
//! sentences are the ones that a Kafka broker answers (`DynamicBrokerConfig.validateConfigs` and the `Reconfigurable`s
//! behind it). Pure: invariant, a change is checked as a whole and nothing is taken over here.

use storage::Configs;

use super::keys::{Kind, find};
use super::listeners::judge_advertised;
use crate::topic_config::canonical;

/// How far a broker config can be changed over the wire.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum UpdateMode {
    /// Only in the properties file.
    ReadOnly,
    /// For one broker at a time.
    PerBroker,
    /// For one broker or as the default of all.
    ClusterWide,
}

/// Settings of single listeners and of SASL and TLS; those of TLS stores need a listener's name before them.
///
/// `advertised.listeners` is not among those of Kafka since its controllers keep what brokers register; until 3.9 it was.
const PER_BROKER: &[&str] = &[
    "advertised.listeners",
    "cordoned.log.dirs",
    "listener.security.protocol.map",
    "listeners",
    "principal.builder.class",
    "sasl.enabled.mechanisms",
    "sasl.jaas.config",
    "sasl.kerberos.kinit.cmd",
    "sasl.kerberos.min.time.before.relogin",
    "sasl.kerberos.principal.to.local.rules",
    "sasl.kerberos.service.name",
    "sasl.kerberos.ticket.renew.jitter",
    "sasl.kerberos.ticket.renew.window.factor",
    "sasl.login.refresh.buffer.seconds",
    "sasl.login.refresh.min.period.seconds",
    "sasl.login.refresh.window.factor",
    "sasl.login.refresh.window.jitter",
    "sasl.mechanism.inter.broker.protocol",
    "ssl.cipher.suites",
    "ssl.client.auth",
    "ssl.enabled.protocols",
    "ssl.endpoint.identification.algorithm",
    "ssl.engine.factory.class",
    "ssl.key.password",
    "ssl.keymanager.algorithm",
    "ssl.keystore.certificate.chain",
    "ssl.keystore.key",
    "ssl.keystore.location",
    "ssl.keystore.password",
    "ssl.keystore.type",
    "ssl.protocol",
    "ssl.provider",
    "ssl.secure.random.implementation",
    "ssl.trustmanager.algorithm",
    "ssl.truststore.certificates",
    "ssl.truststore.location",
    "ssl.truststore.password",
    "ssl.truststore.type",
];

const CLUSTER_WIDE: &[&str] = &[
    "background.threads",
    "compression.gzip.level",
    "compression.lz4.level",
    "compression.type",
    "compression.zstd.level",
    "config.providers",
    "follower.fetch.last.tiered.offset.enable",
    "follower.replication.throttled.rate",
    "group.consumer.assignment.interval.ms",
    "group.coordinator.cached.buffer.max.bytes",
    "group.share.assignment.interval.ms",
    "group.streams.assignment.interval.ms",
    "leader.replication.throttled.rate",
    "log.cleaner.backoff.ms",
    "log.cleaner.dedupe.buffer.size",
    "log.cleaner.delete.retention.ms",
    "log.cleaner.io.buffer.load.factor",
    "log.cleaner.io.buffer.size",
    "log.cleaner.io.max.bytes.per.second",
    "log.cleaner.max.compaction.lag.ms",
    "log.cleaner.min.cleanable.ratio",
    "log.cleaner.min.compaction.lag.ms",
    "log.cleaner.threads",
    "log.cleanup.policy",
    "log.flush.interval.messages",
    "log.flush.interval.ms",
    "log.index.interval.bytes",
    "log.index.size.max.bytes",
    "log.local.retention.bytes",
    "log.local.retention.ms",
    "log.message.timestamp.after.max.ms",
    "log.message.timestamp.before.max.ms",
    "log.message.timestamp.type",
    "log.preallocate",
    "log.retention.bytes",
    "log.retention.ms",
    "log.roll.jitter.ms",
    "log.roll.ms",
    "log.segment.bytes",
    "log.segment.delete.delay.ms",
    "max.connection.creation.rate",
    "max.connections",
    "max.connections.per.ip",
    "max.connections.per.ip.overrides",
    "message.max.bytes",
    "metric.reporters",
    "min.insync.replicas",
    "num.io.threads",
    "num.network.threads",
    "num.recovery.threads.per.data.dir",
    "num.replica.fetchers",
    "producer.id.expiration.ms",
    "remote.fetch.max.wait.ms",
    "remote.list.offsets.request.timeout.ms",
    "remote.log.index.file.cache.total.size.bytes",
    "remote.log.manager.copier.thread.pool.size",
    "remote.log.manager.copy.max.bytes.per.second",
    "remote.log.manager.expiration.thread.pool.size",
    "remote.log.manager.fetch.max.bytes.per.second",
    "remote.log.manager.follower.thread.pool.size",
    "remote.log.reader.threads",
    "replica.alter.log.dirs.io.max.bytes.per.second",
    "share.coordinator.cached.buffer.max.bytes",
    "transaction.partition.verification.enable",
    "unclean.leader.election.enable",
];

/// Configs that exist only as dynamic ones (Kafka `QuotaConfig`): a broker's limits for replication, bytes per second.
const DYNAMIC_ONLY: &[&str] = &[
    "follower.replication.throttled.rate",
    "leader.replication.throttled.rate",
    "replica.alter.log.dirs.io.max.bytes.per.second",
];

/// TLS stores are set per listener, under `listener.name.<listener>.`.
const LISTENER_ONLY: &[&str] = &[
    "ssl.key.password",
    "ssl.keystore.certificate.chain",
    "ssl.keystore.key",
    "ssl.keystore.location",
    "ssl.keystore.password",
    "ssl.keystore.type",
    "ssl.truststore.certificates",
    "ssl.truststore.location",
    "ssl.truststore.password",
    "ssl.truststore.type",
];

/// Settings of a listener that can be given for all brokers at once.
const CLUSTER_WIDE_OF_LISTENERS: &[&str] =
    &["max.connection.creation.rate", "max.connections", "num.network.threads"];

const THREAD_COUNTS: &[&str] = &[
    "background.threads",
    "num.io.threads",
    "num.network.threads",
    "num.recovery.threads.per.data.dir",
    "num.replica.fetchers",
    "remote.log.manager.copier.thread.pool.size",
    "remote.log.manager.expiration.thread.pool.size",
    "remote.log.manager.follower.thread.pool.size",
    "remote.log.reader.threads",
];

/// What can be done with `name`; `None` when Kafka has no such config.
pub(crate) fn update_mode(name: &str) -> Option<UpdateMode> {
    let base = without_listener(name);
    if PER_BROKER.binary_search(&base).is_ok() {
        return Some(UpdateMode::PerBroker);
    }
    if CLUSTER_WIDE.binary_search(&base).is_ok() {
        return Some(UpdateMode::ClusterWide);
    }
    find(base).map(|_| UpdateMode::ReadOnly)
}

/// Type of a config that may be set dynamically; `None` for one that belongs to nobody here.
pub(crate) fn kind(name: &str) -> Option<Kind> {
    let base = without_listener(name);
    if DYNAMIC_ONLY.contains(&base) {
        return Some(Kind::Long(0, i64::MAX));
    }
    find(base).map(|key| key.kind)
}

/// `listener.name.<listener>.<key>`, and for SASL `listener.name.<listener>.<mechanism>.<key>`, without what is before the
/// key.
pub(crate) fn without_listener(name: &str) -> &str {
    let Some((_, key)) = name.strip_prefix("listener.name.").and_then(|rest| rest.split_once('.')) else {
        return name;
    };
    match key.split_once('.') {
        Some((_, behind)) if find(key).is_none() && find(behind).is_some() => behind,
        _ => key,
    }
}

/// Checks everything that is to be set for all brokers, or for one; `in_effect` tells the values of now. Returns it in
/// canonical form.
///
/// # Errors
/// Kafka's sentence; the error code is INVALID_REQUEST.
pub(crate) fn validate(
    configs: &Configs,
    per_broker: bool,
    in_effect: &dyn Fn(&str) -> Option<String>,
) -> Result<Configs, String> {
    let named = |holds: &dyn Fn(&str) -> bool, why: &str| {
        let names: Vec<&str> = configs.keys().map(String::as_str).filter(|name| holds(name)).collect();
        if names.is_empty() { Ok(()) } else { Err(format!("{why}: [{}]", names.join(", "))) }
    };
    named(
        &|name| !name.starts_with("listener.name.") && update_mode(name) == Some(UpdateMode::ReadOnly),
        "Cannot update these configs dynamically",
    )?;
    named(
        &|name| LISTENER_ONLY.contains(&name),
        "These security configs can be dynamically updated only per-listener using the listener prefix",
    )?;
    named(
        &|name| name.starts_with('@') || name.contains('/'),
        "These names cannot be stored, they begin with @ or contain a slash",
    )?;
    let mut checked = Configs::new();
    for (name, value) in configs {
        let value = match kind(name) {
            Some(kind) => canonical(name, kind, value)?,
            // Kafka takes what it does not know for a plugin's.
            None => value.clone(),
        };
        checked.insert(name.clone(), value);
    }
    if !per_broker {
        let of_one_listener = |name: &str| {
            name.starts_with("listener.name.") && !CLUSTER_WIDE_OF_LISTENERS.contains(&without_listener(name))
        };
        named(
            &|name| update_mode(name) == Some(UpdateMode::PerBroker) || of_one_listener(name),
            "Cannot update these configs at default cluster level, broker id must be specified",
        )?;
    }
    for (name, value) in &checked {
        take_over(name, value, &|key| checked.get(key).cloned().or_else(|| in_effect(key)), in_effect)?;
    }
    Ok(checked)
}

type Values<'a> = &'a dyn Fn(&str) -> Option<String>;

/// What Kafka's parts say when they are asked to take over a value that is right by itself.
fn take_over(name: &str, value: &str, after: Values<'_>, before: Values<'_>) -> Result<(), String> {
    let number = value.parse::<i64>().unwrap_or_default();
    let whole = |values: Values<'_>, key: &str| values(key).and_then(|value| value.parse::<i64>().ok());
    requirement(name, value).map_err(required)?;
    match name {
        "max.connections" if number == 0 => Err(refused("Invalid max.connections 0")),
        "max.connections.per.ip"
            if number == 0 && after("max.connections.per.ip.overrides").is_none_or(|set| set.is_empty()) =>
        {
            Err(required(
                "max.connections.per.ip can be set to zero only if max.connections.per.ip.overrides property is set.",
            ))
        }
        "log.cleaner.threads" => cleaner_threads(number, whole(before, name).unwrap_or(1)),
        "log.cleaner.dedupe.buffer.size"
            if number / whole(after, "log.cleaner.threads").unwrap_or(1).max(1) <= 1024 * 1024 =>
        {
            Err(required("log.cleaner.dedupe.buffer.size must be at least 1MB per cleaner thread."))
        }
        name if THREAD_COUNTS.contains(&name) => {
            thread_count(name, number, whole(before, name).unwrap_or(number))
        }
        "advertised.listeners" => {
            let of = |key| after(key).unwrap_or_default();
            judge_advertised(value, &of("listeners"), &of("controller.listener.names"))
                .map_err(|what| format!("{name} {what}"))
        }
        "listeners" | "listener.security.protocol.map" => {
            Err(format!("{name} cannot be changed while this broker runs; change the properties file"))
        }
        "cordoned.log.dirs" if !value.is_empty() => {
            Err("This broker has one data directory, which cannot be cordoned".to_owned())
        }
        "metric.reporters" | "principal.builder.class" | "config.providers" | "ssl.engine.factory.class"
            if !value.is_empty() =>
        {
            Err(refused(&format!("{name} names Java classes, and this broker can load none")))
        }
        _ => Ok(()),
    }
}

/// Conditions beyond type and range, which also hold in the properties file (Kafka `KafkaConfig.validateValues`).
pub(super) fn requirement(name: &str, value: &str) -> Result<(), &'static str> {
    let number = value.parse::<i64>().unwrap_or(1);
    match name {
        "log.retention.ms" | "log.retention.minutes" | "log.retention.hours" if number == 0 => {
            Err("log.retention.ms must be unlimited (-1) or, greater than or equal to 1")
        }
        "log.roll.ms" if number < 1 => Err("log.roll.ms must be greater than or equal to 1"),
        "log.roll.jitter.ms" if number < 0 => Err("log.roll.jitter.ms must be greater than or equal to 0"),
        "max.connections.per.ip.overrides" if !overrides_parse(value) => {
            Err("max.connections.per.ip.overrides must be a list of HOST:COUNT")
        }
        _ => Ok(()),
    }
}

fn overrides_parse(value: &str) -> bool {
    let entry =
        |entry: &str| entry.rsplit_once(':').is_some_and(|(_, count)| count.trim().parse::<i32>().is_ok());
    value.split(',').map(str::trim).filter(|text| !text.is_empty()).all(entry)
}

fn cleaner_threads(new: i64, old: i64) -> Result<(), String> {
    if new < 1 {
        return Err(refused("Log cleaner threads must be at least 1"));
    }
    if new < old / 2 {
        return Err(refused(&format!(
            "Log cleaner threads cannot be reduced to less than half the current value {old}"
        )));
    }
    if new > old * 2 {
        return Err(refused(&format!(
            "Log cleaner threads cannot be increased to more than double the current value {old}"
        )));
    }
    Ok(())
}

/// `DynamicThreadPool.validateReconfiguration`.
fn thread_count(name: &str, new: i64, old: i64) -> Result<(), String> {
    let failed = format!("Dynamic thread count update validation failed for {name}={new}, value should");
    if new < old / 2 {
        return Err(refused(&format!("{failed} be at least half the current value {old}")));
    }
    if new > old * 2 {
        return Err(refused(&format!("{failed} not be greater than double the current value {old}")));
    }
    Ok(())
}

fn required(why: &str) -> String {
    format!("requirement failed: {why}")
}

/// The wrapping that a refusal by one of Kafka's `Reconfigurable`s gets.
fn refused(why: &str) -> String {
    format!(
        "Invalid value org.apache.kafka.common.config.ConfigException: {why} for configuration Invalid dynamic configuration"
    )
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::KEYS;

    #[test]
    fn lists_are_sorted_and_name_configs_that_there_are() {
        for list in [PER_BROKER, CLUSTER_WIDE] {
            assert!(list.is_sorted());
            for name in list {
                assert!(DYNAMIC_ONLY.contains(name) || find(name).is_some(), "{name}");
            }
        }
        let listed = PER_BROKER.iter().chain(CLUSTER_WIDE);
        let count = listed.filter(|name| !DYNAMIC_ONLY.contains(name)).count();
        let shown = KEYS.iter().filter(|key| update_mode(key.name) != Some(UpdateMode::ReadOnly)).count();
        assert_eq!(
            (count, shown),
            (100, 100),
            "99 that DescribeConfigs of Kafka 4.3.1 shows, advertised.listeners"
        );
    }

    #[test]
    fn a_listeners_own_settings_count_as_the_setting_itself() {
        for (name, base) in [
            ("listener.name.in.ssl.keystore.location", "ssl.keystore.location"),
            ("listener.name.in.scram-sha-256.sasl.jaas.config", "sasl.jaas.config"),
            ("listener.name.in", "listener.name.in"),
            ("log.retention.ms", "log.retention.ms"),
        ] {
            assert_eq!(without_listener(name), base);
        }
    }
}
