//! What a topic's configs mean for the log, parsed for storage.
//!
//! Called by storage through [`policies`] whenever a topic's overrides or the dynamic broker configs change, and when the
//! log is opened. Invariant: every topic has a policy; a value that does not parse counts as its default.

use std::sync::Arc;
use std::time::Duration;

use storage::{Configs, LogPolicy, Policies, ProducerExpiration};

use super::{BrokerLayers, find, list};
use crate::config::Config;

/// What storage asks: the policy of a topic, from its overrides and the dynamic broker configs, over `config`.
pub(crate) fn policies(config: Arc<Config>) -> Policies {
    Arc::new(move |_topic, overrides, dynamic| {
        log_policy(&BrokerLayers { config: &config, dynamic }, overrides)
    })
}

/// What storage asks: `producer.id.expiration.ms`, from the dynamic broker configs over `config`.
pub(crate) fn producer_expiration(config: Arc<Config>) -> ProducerExpiration {
    Arc::new(move |dynamic| {
        let layers = BrokerLayers { config: &config, dynamic };
        let set = layers.dynamic_number("producer.id.expiration.ms").and_then(|ms| u64::try_from(ms).ok());
        set.map_or(config.producer_id_expiration, Duration::from_millis)
    })
}

/// The policy of a topic with these overrides.
pub(crate) fn log_policy(layers: &BrokerLayers<'_>, overrides: &Configs) -> LogPolicy {
    let number = |name| layers.number(name, overrides);
    // Kafka keeps everything for any negative value, not for -1 alone.
    let limit = |name| Some(number(name)).filter(|limit| *limit >= 0);
    let cleanup = layers.text("cleanup.policy", overrides);
    LogPolicy {
        segment_bytes: number("segment.bytes").unsigned_abs(),
        segment_ms: number("segment.ms"),
        retention_bytes: limit("retention.bytes").map(i64::unsigned_abs),
        retention_ms: limit("retention.ms"),
        delete: list(&cleanup).contains(&"delete"),
        compact: list(&cleanup).contains(&"compact"),
        min_cleanable_dirty_ratio: ratio(layers, overrides),
        min_compaction_lag_ms: number("min.compaction.lag.ms"),
        max_compaction_lag_ms: number("max.compaction.lag.ms"),
        delete_retention_ms: number("delete.retention.ms"),
        index_keys: layers.text("onelog.index.keys", overrides) == "true",
    }
}

fn ratio(layers: &BrokerLayers<'_>, overrides: &Configs) -> f64 {
    let key = find("min.cleanable.dirty.ratio").expect("a topic config of the table");
    let parse = |value: &str| value.parse().ok();
    parse(&layers.effective(key, overrides))
        .or_else(|| parse(key.default))
        .expect("defaults are checked by a test")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn configs(pairs: &[(&str, &str)]) -> Configs {
        pairs.iter().map(|(key, value)| ((*key).to_owned(), (*value).to_owned())).collect()
    }

    fn policy(
        fixed: &[(&'static str, &'static str)],
        dynamic: &[(&str, &str)],
        overrides: &[(&str, &str)],
    ) -> LogPolicy {
        let config = Config::from_properties(fixed.iter().copied()).unwrap();
        policies(Arc::new(config))("t", &configs(overrides), &configs(dynamic))
    }

    #[test]
    fn without_any_setting_the_policy_is_kafkas() {
        assert_eq!(policy(&[], &[], &[]), LogPolicy::default());
    }

    #[test]
    fn every_override_has_its_place() {
        let overrides = [
            ("cleanup.policy", "compact"),
            ("delete.retention.ms", "1"),
            ("max.compaction.lag.ms", "20"),
            ("min.cleanable.dirty.ratio", "0.25"),
            ("min.compaction.lag.ms", "3"),
            ("onelog.index.keys", "true"),
            ("retention.bytes", "4"),
            ("retention.ms", "5"),
            ("segment.bytes", "1048577"),
            ("segment.ms", "6"),
        ];
        let expected = LogPolicy {
            segment_bytes: 1_048_577,
            segment_ms: 6,
            retention_bytes: Some(4),
            retention_ms: Some(5),
            delete: false,
            compact: true,
            min_cleanable_dirty_ratio: 0.25,
            min_compaction_lag_ms: 3,
            max_compaction_lag_ms: 20,
            delete_retention_ms: 1,
            index_keys: true,
        };
        assert_eq!(policy(&[], &[], &overrides), expected);
    }

    #[test]
    fn negative_limits_keep_everything_and_zero_keeps_nothing() {
        let forever = policy(&[], &[], &[("retention.ms", "-1"), ("retention.bytes", "-1")]);
        assert_eq!((forever.retention_ms, forever.retention_bytes), (None, None));
        assert_eq!(policy(&[], &[], &[("retention.bytes", "-7")]).retention_bytes, None);
        let nothing = policy(&[], &[], &[("retention.ms", "0"), ("retention.bytes", "0")]);
        assert_eq!((nothing.retention_ms, nothing.retention_bytes), (Some(0), Some(0)));
        assert_eq!(policy(&[("log.retention.hours", "-1")], &[], &[]).retention_ms, None);
    }

    #[test]
    fn cleanup_policy_is_a_list() {
        let both = |text| {
            let policy = policy(&[], &[], &[("cleanup.policy", text)]);
            (policy.delete, policy.compact)
        };
        assert_eq!(both("compact,delete"), (true, true));
        assert_eq!(both("delete"), (true, false));
        assert_eq!(both(""), (false, false));
    }

    #[test]
    fn strongest_layer_wins_in_its_own_unit() {
        let fixed = [("log.retention.minutes", "2"), ("log.cleaner.min.cleanable.ratio", "0.75")];
        let policy = |dynamic: &[(&str, &str)], overrides: &[(&str, &str)]| {
            let policy = policy(&fixed, dynamic, overrides);
            (policy.retention_ms, policy.min_cleanable_dirty_ratio)
        };
        assert_eq!(policy(&[], &[]), (Some(120_000), 0.75));
        assert_eq!(policy(&[("log.retention.ms", "50")], &[]), (Some(50), 0.75));
        assert_eq!(
            policy(&[("0/log.retention.ms", "60"), ("log.retention.ms", "50")], &[]),
            (Some(60), 0.75)
        );
        let overrides = [("retention.ms", "70"), ("min.cleanable.dirty.ratio", "0.0")];
        assert_eq!(policy(&[("log.retention.ms", "50")], &overrides), (Some(70), 0.0));
    }
}
