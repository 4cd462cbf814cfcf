//! Precedence, every default against its own key, and the sentences that operators get.

use std::io::Write as _;

use super::settings::default_is_valid;
use super::*;

fn load(file: &str, flags: &[(&'static str, &'static str, &str)]) -> Result<(Config, Vec<Notice>), String> {
    let mut properties = tempfile::NamedTempFile::new().unwrap();
    properties.write_all(file.as_bytes()).unwrap();
    let flags: Vec<Flag> = flags
        .iter()
        .map(|(name, key, value)| Flag { name, key: (*key).to_owned(), value: (*value).to_owned() })
        .collect();
    let path = properties.path().display().to_string();
    Config::load(&Sources { file: Some(properties.path()), flags: &flags, ..Sources::default() })
        .map_err(|error| error.to_string().replace(&path, "FILE"))
}

fn error(file: &str) -> String {
    load(file, &[]).unwrap_err()
}

fn listeners(file: &str) -> Vec<(String, Option<String>)> {
    let config = load(file, &[]).unwrap().0;
    config
        .listeners
        .iter()
        .map(|one| (one.bind.to_string(), one.advertised.as_ref().map(ToString::to_string)))
        .collect()
}

#[test]
fn every_default_satisfies_its_own_key_and_names_are_unique() {
    for (index, key) in KEYS.iter().enumerate() {
        assert!(default_is_valid(key), "{}", key.name);
        assert!(KEYS[..index].iter().all(|other| other.name != key.name), "{} twice", key.name);
    }
}

#[test]
fn defaults_are_kafkas() {
    let config = Config::default();
    assert_eq!(
        (config.node_id, config.num_partitions, config.value("message.max.bytes")),
        (0, 1, Some("1048588"))
    );
    assert_eq!(config.log_retention_ms(), 604_800_000);
    assert_eq!(config.log_roll_ms(), 604_800_000);
    assert_eq!(config.groups.initial_rebalance_delay, Duration::from_secs(3));
    assert_eq!(config.groups.offsets_retention, Duration::from_secs(7 * 24 * 3600));
    assert_eq!(config.listeners[0].bind.to_string(), "127.0.0.1:9092");
    assert_eq!(config.data_dir, Path::new("onelog-data"));
    assert_eq!(config.flush, FlushMode::Sync);
    assert!(config.static_properties.is_empty());
}

#[test]
fn a_flag_wins_over_the_file_and_the_file_over_the_default() {
    let file = "num.partitions=3\nlog.dirs=/from/file\nfetch.max.bytes=2048\n";
    let flags = [("--partitions", "num.partitions", "7"), ("--data-dir", "log.dirs", "/with,comma")];
    let (config, notices) = load(file, &flags).unwrap();
    assert_eq!((config.num_partitions, config.fetch_max_bytes), (7, 2048));
    assert_eq!(config.data_dir, Path::new("/with,comma"));
    assert_eq!(config.static_properties["num.partitions"], "7");
    assert_eq!(config.value("auto.create.topics.enable"), Some("true"));
    assert_eq!(notices, vec![]);
}

#[test]
fn a_bad_value_names_place_fault_and_remedy() {
    assert_eq!(
        error("\n\nnum.partitions=many"),
        "FILE:3: num.partitions is \"many\"; give a whole number from 1 to 2147483647"
    );
    assert_eq!(
        error("num.partitions=0"),
        "FILE:1: num.partitions is 0, out of range; give a whole number from 1 to 2147483647"
    );
    assert_eq!(
        error("auto.create.topics.enable=yes"),
        "FILE:1: auto.create.topics.enable is \"yes\"; give true or false"
    );
    assert_eq!(
        error("onelog.flush=fsync"),
        "FILE:1: onelog.flush is \"fsync\"; give one of sync, interval, os"
    );
    assert_eq!(
        error("log.cleanup.policy=delete,shred"),
        "FILE:1: log.cleanup.policy contains \"shred\"; give some of compact, delete, comma separated"
    );
    assert!(error("log.dirs=/a,/b").contains("give one directory"), "{}", error("log.dirs=/a,/b"));
}

#[test]
fn a_missing_file_is_an_error_that_names_it() {
    let error = Config::load(&Sources { file: Some(Path::new("no/such.properties")), ..Sources::default() })
        .unwrap_err()
        .to_string();
    assert!(error.starts_with("--config no/such.properties: cannot be read"), "{error}");
}

#[test]
fn an_unknown_key_warns_once_and_names_the_nearest() {
    let (_, notices) = load("log.retention.hour=1\nlog.retention.hour=2\n", &[]).unwrap();
    assert_eq!(notices.len(), 1);
    assert!(notices[0].warning);
    assert!(
        notices[0].text.ends_with(
            "unknown key log.retention.hour is ignored; the nearest known key is log.retention.hours"
        ),
        "{notices:?}"
    );
}

#[test]
fn keys_without_meaning_are_said_once_and_missing_security_is_a_warning() {
    let (config, notices) =
        load("num.io.threads=8\nnum.io.threads=9\nzookeeper.connect=x\nssl.keystore.location=y\n", &[])
            .unwrap();
    assert_eq!(notices.iter().map(|notice| notice.warning).collect::<Vec<_>>(), [false, false, true]);
    assert_eq!(config.static_properties["num.io.threads"], "9");
}

#[test]
fn values_are_kept_as_kafka_writes_them() {
    let config =
        Config::from_properties([("auto.create.topics.enable", " FALSE "), ("log.retention.ms", "+05")])
            .unwrap();
    assert_eq!(config.value("auto.create.topics.enable"), Some("false"));
    assert_eq!(config.value("log.retention.ms"), Some("5"));
    assert!(!config.auto_create_topics);
}

#[test]
fn the_finer_unit_wins() {
    let of = |pairs: &[(&'static str, &'static str)]| {
        Config::from_properties(pairs.iter().copied()).unwrap().log_retention_ms()
    };
    assert_eq!(of(&[("log.retention.hours", "1")]), 3_600_000);
    assert_eq!(of(&[("log.retention.hours", "1"), ("log.retention.minutes", "2")]), 120_000);
    assert_eq!(
        of(&[("log.retention.hours", "1"), ("log.retention.minutes", "2"), ("log.retention.ms", "3")]),
        3
    );
    assert_eq!(of(&[("log.retention.minutes", "-1")]), -1);
}

#[test]
fn kafkas_stock_single_node_file_gives_one_listener() {
    let file = "process.roles=broker,controller\nnode.id=1\ncontroller.quorum.bootstrap.servers=localhost:9093\n\
        listeners=PLAINTEXT://:9092,CONTROLLER://:9093\ninter.broker.listener.name=PLAINTEXT\n\
        advertised.listeners=PLAINTEXT://localhost:9092,CONTROLLER://localhost:9093\ncontroller.listener.names=CONTROLLER\n\
        listener.security.protocol.map=CONTROLLER:PLAINTEXT,PLAINTEXT:PLAINTEXT,SSL:SSL\nlog.dirs=/data\n";
    assert_eq!(listeners(file), [(":9092".to_owned(), Some("localhost:9092".to_owned()))]);
    assert_eq!(load(file, &[]).unwrap().0.node_id, 1);
}

#[test]
fn listeners_have_names_protocols_and_advertised_addresses() {
    let file = "listeners=IN://[::1]:1,out://0.0.0.0:2\nadvertised.listeners=OUT://example.org:9\n\
        listener.security.protocol.map=IN:PLAINTEXT,OUT:PLAINTEXT\n";
    assert_eq!(
        listeners(file),
        [("[::1]:1".to_owned(), None), ("0.0.0.0:2".to_owned(), Some("example.org:9".to_owned()))]
    );
}

#[test]
fn listeners_that_cannot_be_served_are_refused_with_a_reason() {
    assert!(error("listeners=SASL_SSL://h:1").contains("only PLAINTEXT does: map SASL_SSL to PLAINTEXT"));
    assert!(error("listeners=h:1").contains("give NAME://HOST:PORT"));
    assert!(error("listeners=PLAINTEXT://h:99999").contains("no port from 0 to 65535"));
    assert!(error("listeners=PLAINTEXT://::1:9092").contains("[ADDRESS]:PORT"));
    assert!(error("advertised.listeners=PLAINTEXT://0.0.0.0:9092").contains("cannot connect to"));
    assert!(error("advertised.listeners=OTHER://h:9092").contains("not a name in listeners"));
    assert!(error("listeners=\n").contains("names nothing to listen on"));
}

#[test]
fn a_value_that_a_config_provider_would_fill_in_is_refused_where_it_matters() {
    let providers = "config.providers=dir\nssl.keystore.key=${dir:/a:b}\n";
    assert!(load(providers, &[]).is_ok());
    assert_eq!(
        error(&format!("{providers}broker.rack=${{dir:/init:rack.id}}\n")),
        "FILE:3: broker.rack is \"${dir:/init:rack.id}\", which one of config.providers would fill in; there are none \
         here: give the value itself"
    );
    assert_eq!(load("broker.rack=${x}\n", &[]).unwrap().0.broker_rack.as_deref(), Some("${x}"));
}

#[test]
fn a_jks_store_gets_the_command_that_converts_it() {
    let command =
        "keytool -importkeystore -srckeystore /s/a.jks -destkeystore /s/a.p12 -deststoretype PKCS12";
    let refused = error("ssl.keystore.location=/s/a.jks\nlisteners=SSL://h:1\n");
    assert!(refused.starts_with("FILE:2: listeners has SSL") && refused.contains(command), "{refused}");
    let by_type = error("listener.name.ssl.ssl.truststore.type=JKS\nlisteners=SSL://h:1\n");
    assert!(by_type.contains("-srckeystore STORE.jks -destkeystore STORE.p12"), "{by_type}");
    assert!(!error("ssl.keystore.location=/s/a.p12\nlisteners=SSL://h:1\n").contains("keytool"));
}

#[test]
fn a_listener_between_brokers_that_asks_for_security_is_left_closed_unless_it_is_the_only_one() {
    let two = "inter.broker.listener.name=BETWEEN\nlisteners=BETWEEN://0.0.0.0:1,OUT://0.0.0.0:2\n\
        advertised.listeners=BETWEEN://a:1,OUT://b:2\nlistener.security.protocol.map=BETWEEN:SSL,OUT:PLAINTEXT\n";
    assert_eq!(listeners(two), [("0.0.0.0:2".to_owned(), Some("b:2".to_owned()))]);
    let said = load(two, &[]).unwrap().1;
    assert!(said.iter().any(|notice| notice.text.starts_with("listener BETWEEN is not opened")), "{said:?}");
    let one = "inter.broker.listener.name=BETWEEN\nlisteners=BETWEEN://0.0.0.0:1\n\
        listener.security.protocol.map=BETWEEN:SSL\n";
    assert!(error(one).contains("listeners has BETWEEN with security protocol SSL"), "{}", error(one));
}

#[test]
fn addresses_under_the_names_of_old_kafkas_are_taken_unless_the_newer_ones_are_there() {
    let old = "host.name=127.0.0.1\nport=9099\nadvertised.host.name=kafka.example\nadvertised.port=19092\n";
    assert_eq!(listeners(old), [("127.0.0.1:9099".to_owned(), Some("kafka.example:19092".to_owned()))]);
    assert_eq!(listeners("port=9098\n"), [(":9098".to_owned(), None)]);
    let both = format!("{old}listeners=PLAINTEXT://[::1]:7\n");
    assert_eq!(listeners(&both), [("[::1]:7".to_owned(), Some("kafka.example:19092".to_owned()))]);
    let said = load(&both, &[]).unwrap().1;
    let (useless, taken): (Vec<_>, Vec<_>) =
        said.iter().partition(|notice| notice.text.ends_with("has no effect beside listeners"));
    assert_eq!((useless.len(), taken.len()), (2, 2), "{said:?}");
    assert!(error("port=many\n").starts_with("FILE:1: listeners has"), "{}", error("port=many\n"));
    let image = [("KAFKA_ADVERTISED_HOST_NAME", "192.0.2.1")];
    let listener = from_environment("", &image).unwrap().0.listeners.remove(0);
    assert_eq!(listener.bind.to_string(), "0.0.0.0:9092");
    assert_eq!(listener.advertised.unwrap().to_string(), "192.0.2.1:9092");
}

fn from_environment(file: &str, variables: &[(&str, &str)]) -> Result<(Config, Vec<Notice>), String> {
    let mut properties = tempfile::NamedTempFile::new().unwrap();
    properties.write_all(file.as_bytes()).unwrap();
    let variables = variables.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned()));
    let variables = environment::variables(variables);
    let sources = Sources { file: Some(properties.path()), environment: &variables, ..Sources::default() };
    Config::load(&sources).map_err(|error| error.to_string())
}

#[test]
fn the_environment_wins_over_the_file_and_is_named_when_it_is_wrong() {
    let file = "num.partitions=3\nfetch.max.bytes=2048\n";
    let (config, _) = from_environment(file, &[("KAFKA_NUM_PARTITIONS", "5")]).unwrap();
    assert_eq!((config.num_partitions, config.fetch_max_bytes), (5, 2048));
    let error = from_environment(file, &[("KAFKA_NUM_PARTITIONS", "many")]).unwrap_err();
    assert!(error.starts_with("KAFKA_NUM_PARTITIONS: num.partitions is \"many\""), "{error}");
}

#[test]
fn what_only_the_environment_advertises_is_listened_on_everywhere() {
    let advertised = ("KAFKA_ADVERTISED_LISTENERS", "PLAINTEXT://broker.example:9099");
    let bound = |file: &str, more: &[(&str, &str)]| {
        let variables: Vec<_> = [advertised].into_iter().chain(more.iter().copied()).collect();
        from_environment(file, &variables).unwrap().0.listeners[0].bind.to_string()
    };
    assert_eq!(bound("", &[]), "0.0.0.0:9099");
    assert_eq!(bound("listeners=PLAINTEXT://127.0.0.1:1234\n", &[]), "127.0.0.1:1234");
    assert_eq!(bound("", &[("KAFKA_LISTENERS", "PLAINTEXT://:9000")]), ":9000");
}

/// What the testcontainers modules for Java and Go, Confluent's and other images send.
#[test]
fn environments_of_container_images_are_understood() {
    let java = [
        ("KAFKA_LISTENERS", "PLAINTEXT://0.0.0.0:9092,BROKER://0.0.0.0:9093,CONTROLLER://0.0.0.0:9094"),
        ("KAFKA_ADVERTISED_LISTENERS", "PLAINTEXT://localhost:32768,BROKER://c0ffee:9093"),
        ("KAFKA_LISTENER_SECURITY_PROTOCOL_MAP", "BROKER:PLAINTEXT,PLAINTEXT:PLAINTEXT,CONTROLLER:PLAINTEXT"),
        ("KAFKA_INTER_BROKER_LISTENER_NAME", "BROKER"),
        ("KAFKA_PROCESS_ROLES", "broker,controller"),
        ("KAFKA_CONTROLLER_LISTENER_NAMES", "CONTROLLER"),
        ("KAFKA_CONTROLLER_QUORUM_VOTERS", "1@localhost:9094"),
        ("KAFKA_NODE_ID", "1"),
        ("KAFKA_OFFSETS_TOPIC_REPLICATION_FACTOR", "1"),
        ("KAFKA_OFFSETS_TOPIC_NUM_PARTITIONS", "1"),
        ("KAFKA_TRANSACTION_STATE_LOG_REPLICATION_FACTOR", "1"),
        ("KAFKA_TRANSACTION_STATE_LOG_MIN_ISR", "1"),
        ("KAFKA_LOG_FLUSH_INTERVAL_MESSAGES", "9223372036854775807"),
        ("KAFKA_GROUP_INITIAL_REBALANCE_DELAY_MS", "0"),
        ("KAFKA_HEAP_OPTS", "-Xmx1g"),
    ];
    let (config, notices) = from_environment("", &java).unwrap();
    assert_eq!((config.node_id, config.listeners.len()), (1, 2));
    assert_eq!(config.listeners[0].advertised.as_ref().unwrap().to_string(), "localhost:32768");
    assert_eq!(config.groups.initial_rebalance_delay, Duration::ZERO);
    let warnings: Vec<_> = notices.iter().filter(|notice| notice.warning).collect();
    assert!(warnings.is_empty(), "{warnings:?}");
    let alias = [("KAFKA_CFG_LISTENERS", "PLAINTEXT://:9092"), ("KAFKA_CFG_NODE_ID", "7")];
    let (config, _) = from_environment("", &alias).unwrap();
    assert_eq!((config.node_id, config.listeners[0].bind.to_string()), (7, ":9092".to_owned()));
}
