//! Layers and cross checks of topic configs.

use super::*;

fn config(pairs: &[(&'static str, &'static str)]) -> Config {
    Config::from_properties(pairs.iter().copied()).unwrap()
}

fn configs(pairs: &[(&str, &str)]) -> Configs {
    pairs.iter().map(|(key, value)| ((*key).to_owned(), (*value).to_owned())).collect()
}

fn effective(config: &Config, dynamic: &Configs, overrides: &Configs, name: &str) -> String {
    BrokerLayers { config, dynamic }.effective(find(name).unwrap(), overrides).into_owned()
}

#[test]
fn table_is_sorted_and_names_only_known_broker_keys() {
    assert!(TOPIC_KEYS.is_sorted_by(|left, right| left.name < right.name));
    for synonym in TOPIC_KEYS.iter().flat_map(|key| key.synonyms) {
        assert!(find_key(synonym.key).is_some(), "{}", synonym.key);
    }
}

#[test]
fn without_any_setting_a_topic_has_kafkas_defaults() {
    let (config, none) = (Config::default(), Configs::new());
    for key in TOPIC_KEYS {
        assert_eq!(effective(&config, &none, &none, key.name), key.default, "{}", key.name);
    }
}

#[test]
fn the_strongest_layer_wins_and_units_are_converted() {
    let none = Configs::new();
    let fixed = config(&[("log.retention.hours", "2"), ("message.max.bytes", "1000")]);
    assert_eq!(effective(&fixed, &none, &none, "retention.ms"), "7200000");
    assert_eq!(effective(&fixed, &none, &none, "max.message.bytes"), "1000");
    let all_brokers = configs(&[("log.retention.ms", "50"), ("message.max.bytes", "2000")]);
    assert_eq!(effective(&fixed, &all_brokers, &none, "retention.ms"), "50");
    let this_broker = configs(&[
        ("message.max.bytes", "2000"),
        ("0/message.max.bytes", "3000"),
        ("1/message.max.bytes", "9"),
    ]);
    assert_eq!(effective(&fixed, &this_broker, &none, "max.message.bytes"), "3000");
    let topic = configs(&[("max.message.bytes", "4000")]);
    assert_eq!(effective(&fixed, &this_broker, &topic, "max.message.bytes"), "4000");
    let sources: Vec<Source> = BrokerLayers { config: &fixed, dynamic: &this_broker }
        .topic_settings(find("max.message.bytes").unwrap(), &topic)
        .iter()
        .map(|setting| setting.source)
        .collect();
    use Source::{Default, DynamicBroker, DynamicDefaultBroker, StaticBroker, Topic};
    assert_eq!(sources, [Topic, DynamicBroker, DynamicDefaultBroker, StaticBroker, Default]);
}

#[test]
fn negative_hours_mean_forever() {
    let none = Configs::new();
    let fixed = config(&[("log.retention.hours", "-1")]);
    assert_eq!(effective(&fixed, &none, &none, "retention.ms"), "-1");
}

#[test]
fn parsed_config_follows_the_overrides() {
    let (config, none) = (Config::default(), Configs::new());
    let layers = BrokerLayers { config: &config, dynamic: &none };
    let plain = TopicConfig::resolve(&layers, &none);
    assert_eq!(
        plain,
        TopicConfig {
            max_message_bytes: 1_048_588,
            log_append_time: false,
            timestamp_before_max_ms: i64::MAX,
            timestamp_after_max_ms: 3_600_000,
            compacted: false,
            deletes: true,
            compression: None,
        }
    );
    let overrides = configs(&[("cleanup.policy", "compact"), ("message.timestamp.type", "LogAppendTime")]);
    let changed = TopicConfig::resolve(&layers, &overrides);
    assert_eq!(changed, TopicConfig { log_append_time: true, compacted: true, deletes: false, ..plain });
}

#[test]
fn overrides_are_checked_together_and_written_canonically() {
    let good = validate(&configs(&[("retention.ms", " 7 "), ("cleanup.policy", "compact, delete")])).unwrap();
    assert_eq!(good, configs(&[("retention.ms", "7"), ("cleanup.policy", "compact,delete")]));
    assert_eq!(validate(&configs(&[("nope", "1")])), Err("Unknown topic config name: nope".to_owned()));
    assert_eq!(
        validate(&configs(&[("min.compaction.lag.ms", "10"), ("max.compaction.lag.ms", "5")])),
        Err("conflict topic config setting min.compaction.lag.ms (10) > max.compaction.lag.ms (5)".to_owned())
    );
    assert!(validate(&configs(&[("remote.storage.enable", "true")])).is_err());
    assert_eq!(
        validate(&configs(&[("onelog.index.keys", "TRUE")])).unwrap(),
        configs(&[("onelog.index.keys", "true")])
    );
    assert!(validate(&configs(&[("onelog.index.keys", "yes")])).is_err());
    for good in ["", "*", "0:1,1:2"] {
        assert!(validate(&configs(&[("leader.replication.throttled.replicas", good)])).is_ok(), "{good}");
    }
    let wrong = validate(&configs(&[("leader.replication.throttled.replicas", "x")])).unwrap_err();
    assert!(
        wrong.starts_with("Invalid value [x] for configuration leader.replication.throttled.replicas: "),
        "{wrong}"
    );
}

#[test]
fn compression_is_the_codec_with_the_level_of_that_codec() {
    let (fixed, none) =
        (config(&[("compression.type", "zstd"), ("compression.zstd.level", "7")]), Configs::new());
    let resolved = |pairs: &[(&str, &str)]| {
        TopicConfig::resolve(&BrokerLayers { config: &fixed, dynamic: &none }, &configs(pairs)).compression
    };
    let compression = |codec, level| Some(Compression { codec, level });
    assert_eq!(resolved(&[]), compression(Codec::Zstd, Some(7)));
    assert_eq!(resolved(&[("compression.zstd.level", "-5")]), compression(Codec::Zstd, Some(-5)));
    assert_eq!(resolved(&[("compression.type", "gzip")]), compression(Codec::Gzip, None));
    let gzip = [("compression.type", "gzip"), ("compression.gzip.level", "9")];
    assert_eq!(resolved(&gzip), compression(Codec::Gzip, Some(9)));
    assert_eq!(resolved(&[("compression.type", "lz4")]), compression(Codec::Lz4, None));
    assert_eq!(resolved(&[("compression.type", "snappy")]), compression(Codec::Snappy, None));
    assert_eq!(resolved(&[("compression.type", "uncompressed")]), compression(Codec::None, None));
    assert_eq!(resolved(&[("compression.type", "producer")]), None);
}
