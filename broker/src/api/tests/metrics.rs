//! What the pages for Prometheus say of a broker that did something.

use protocol::messages::fetch_request::{FetchPartition, FetchTopic};
use protocol::messages::offset_commit_request::{OffsetCommitRequestPartition, OffsetCommitRequestTopic};
use protocol::messages::{
    ApiKey, BrokerId, DeleteTopicsRequest, DeleteTopicsResponse, FetchRequest, FetchResponse, GroupId,
    OffsetCommitRequest, OffsetCommitResponse,
};
use protocol::record_batch_builder::RecordBatchBuilder;

use super::{Client, batch, block_on, topic_name};
use crate::metrics::{Coordinators, Detail, Metrics, Observed};

pub(super) struct Pages {
    pub(super) metrics: String,
    detailed: String,
    public: String,
}

pub(super) fn scraped(client: &Client) -> Pages {
    let page = |detail, public| {
        let coordinators = block_on(Coordinators::ask(&client.broker));
        let (metrics, broker) = (Metrics::new(), &client.broker);
        let observed = Observed::gather(broker, "127.0.0.1:9092", coordinators, detail);
        let page =
            if public { metrics.public_page(broker, &observed) } else { metrics.page(broker, &observed) };
        String::from_utf8(page).unwrap()
    };
    Pages {
        metrics: page(Detail::Bounded, false),
        detailed: page(Detail::Full, false),
        public: page(Detail::Bounded, true),
    }
}

pub(super) fn assert_has(page: &str, lines: &[&str]) {
    for line in lines {
        assert!(page.lines().any(|it| it == *line), "{line} is missing in\n{page}");
    }
}

fn fetch(client: &Client, topic: &str) -> FetchResponse {
    let partition = FetchPartition::default().with_partition_max_bytes(1 << 20);
    let topic = FetchTopic::default().with_topic(topic_name(topic)).with_partitions(vec![partition]);
    let request = FetchRequest::default().with_replica_id(BrokerId(-1)).with_max_bytes(1 << 20);
    client.call(ApiKey::Fetch, 12, &request.with_session_epoch(-1).with_topics(vec![topic]))
}

fn commit(client: &Client, group: &str, topic: &str, offset: i64) {
    let partition = OffsetCommitRequestPartition::default().with_committed_offset(offset);
    let topic =
        OffsetCommitRequestTopic::default().with_name(topic_name(topic)).with_partitions(vec![partition]);
    let request = OffsetCommitRequest::default()
        .with_group_id(GroupId(group.to_owned().into()))
        .with_generation_id_or_member_epoch(-1)
        .with_topics(vec![topic]);
    let response: OffsetCommitResponse = client.call(ApiKey::OffsetCommit, 8, &request);
    assert_eq!(response.topics[0].partitions[0].error_code, 0);
}

#[test]
fn traffic_and_offsets_show_under_the_names_of_all_schemes() {
    let client = Client::new();
    client.create("t", 2, &[]);
    let records = batch(&["a", "b", "c"]);
    let bytes = records.len();
    assert_eq!(client.produce("t", 0, records).error_code, 0);
    assert_ne!(client.produce("t", 7, batch(&["nowhere"])).error_code, 0);
    fetch(&client, "t");
    let pages = scraped(&client);
    assert_has(
        &pages.metrics,
        &[
            &format!("kafka_server_brokertopicmetrics_bytesin_total {bytes}"),
            &format!("kafka_server_brokertopicmetrics_bytesin_total{{topic=\"t\"}} {bytes}"),
            &format!("kafka_server_brokertopicmetrics_bytesout_total{{topic=\"t\"}} {bytes}"),
            "kafka_server_brokertopicmetrics_messagesin_total{topic=\"t\"} 3",
            "kafka_server_brokertopicmetrics_totalproducerequests_total{topic=\"t\"} 2",
            "kafka_server_brokertopicmetrics_failedproducerequests_total{topic=\"t\"} 1",
            "kafka_server_brokertopicmetrics_totalfetchrequests_total{topic=\"t\"} 1",
            "kafka_server_replicamanager_leadercount 2",
            "kafka_topic_partitions{topic=\"t\"} 2",
            "kafka_topic_partition_current_offset{topic=\"t\",partition=\"0\"} 3",
            &format!("kafka_log_log_size{{topic=\"t\",partition=\"0\"}} {bytes}"),
            "kafka_cluster_partition_laststableoffsetlag{topic=\"t\",partition=\"0\"} 0",
            "onelog_commitlog_append_seconds_count{stage=\"write\"} 1",
        ],
    );
    assert_has(
        &pages.public,
        &[
            "redpanda_cluster_partitions 2",
            "redpanda_kafka_max_offset{redpanda_namespace=\"kafka\",redpanda_topic=\"t\",redpanda_partition=\"0\"} 3",
            &format!(
                "redpanda_kafka_request_bytes_total{{redpanda_namespace=\"kafka\",redpanda_topic=\"t\",redpanda_request=\"produce\"}} {bytes}"
            ),
        ],
    );
}

#[test]
fn lag_is_told_in_records_and_in_seconds() {
    let client = Client::new();
    client.create("t", 1, &[]);
    for age_s in [50, 40, 30] {
        let mut builder = RecordBatchBuilder::new(0);
        builder.append(client.now() - age_s * 1_000, Some(b"k"), Some(b"v"));
        assert_eq!(client.produce("t", 0, builder.build()).error_code, 0);
    }
    commit(&client, "slow \"one\"", "t", 1);
    commit(&client, "done", "t", 3);
    let page = scraped(&client).metrics;
    assert_has(
        &page,
        &[
            "kafka_consumergroup_lag{consumergroup=\"done\",topic=\"t\",partition=\"0\"} 0",
            "kafka_consumergroup_lag{consumergroup=\"slow \\\"one\\\"\",topic=\"t\",partition=\"0\"} 2",
            "kafka_consumergroup_lag_sum{consumergroup=\"slow \\\"one\\\"\",topic=\"t\"} 2",
            "kafka_consumergroup_current_offset{consumergroup=\"done\",topic=\"t\",partition=\"0\"} 3",
            "kafka_coordinator_group_groupmetadatamanager_numgroups 2",
            "onelog_group_lag_seconds{group=\"done\",topic=\"t\"} 0.000",
        ],
    );
    let behind = page.lines().find_map(|line| {
        line.strip_prefix("onelog_group_lag_seconds{group=\"slow \\\"one\\\"\",topic=\"t\"} ")
    });
    let seconds: f64 = behind.unwrap().parse().unwrap();
    assert!((40.0..50.0).contains(&seconds), "{seconds}");
}

#[test]
fn open_transactions_and_their_age_show_until_they_end() {
    let client = Client::with_config(&[("transaction.state.log.num.partitions", "3")]);
    client.create("t", 3, &[]);
    let none = ["onelog_transactions{state=\"ongoing\"} 0", "onelog_transaction_oldest_seconds 0.000"];
    assert_has(&scraped(&client).metrics, &none);
    let producer = client.begin("tx");
    client.send_transactional(12, Some("tx"), producer, (0, 0));
    let page = scraped(&client).metrics;
    assert_has(
        &page,
        &["onelog_transactions{state=\"ongoing\"} 1", "kafka_server_replicamanager_produceridcount 1"],
    );
    let age = page.lines().find_map(|line| line.strip_prefix("onelog_transaction_oldest_seconds "));
    assert!(age.unwrap().parse::<f64>().unwrap() < 60.0, "{age:?}");
    client.end(5, "tx", producer, true);
    client.becomes("tx", "CompleteCommit");
    assert_has(&scraped(&client).metrics, &none);
}

#[test]
fn topics_tell_how_old_their_records_are_and_how_long_they_stay() {
    let client = Client::new();
    client.create("kept", 2, &[("retention.ms", "-1")]);
    client.create("short", 2, &[("retention.ms", "90500")]);
    client.create("compacted", 1, &[("cleanup.policy", "compact")]);
    let mut builder = RecordBatchBuilder::new(0);
    builder.append(client.now() - 50_000, Some(b"k"), Some(b"v"));
    assert_eq!(client.produce("short", 1, builder.build()).error_code, 0);
    for _ in 0..90 {
        client.fill("short", 0, &["one entry of the 85 on a page"]);
    }
    client.fill("compacted", 0, &["a", "b", "c"]);
    let page = scraped(&client).metrics;
    assert_has(
        &page,
        &[
            "onelog_topic_retention_seconds{topic=\"short\"} 90.500",
            "onelog_topic_uncompacted_offsets{topic=\"compacted\"} 3",
            "onelog_queue_bytes 4096",
            "onelog_index_files 0",
            "onelog_group_rebalances_total{reason=\"session_timeout\"} 0",
        ],
    );
    assert!(!page.contains("onelog_topic_retention_seconds{topic=\"kept\"}"), "{page}");
    assert!(!page.contains("onelog_topic_retention_seconds{topic=\"compacted\"}"), "{page}");
    assert!(!page.contains("onelog_topic_uncompacted_offsets{topic=\"short\"}"), "{page}");
    let age = page
        .lines()
        .find_map(|line| line.strip_prefix("onelog_topic_oldest_record_seconds{topic=\"short\"} "));
    assert!((50.0..60.0).contains(&age.unwrap().parse::<f64>().unwrap()), "{age:?}");
}

#[test]
fn totals_do_not_fall_when_a_topic_is_deleted() {
    let client = Client::new();
    client.create("t", 1, &[]);
    client.fill("t", 0, &["a", "b"]);
    let request = DeleteTopicsRequest::default().with_topic_names(vec![topic_name("t")]);
    let response: DeleteTopicsResponse = client.call(ApiKey::DeleteTopics, 3, &request);
    assert_eq!(response.responses[0].error_code, 0);
    let page = scraped(&client).metrics;
    assert_has(&page, &["kafka_server_brokertopicmetrics_messagesin_total 2"]);
    assert!(!page.contains("topic=\"t\""), "{page}");
}

#[test]
fn pages_stay_small_with_ten_thousand_partitions_and_the_detail_is_elsewhere() {
    let client = Client::new();
    for topic in 0..10 {
        client.create(&format!("a-topic-with-a-longer-name-{topic}"), 1_000, &[]);
    }
    for partition in [0, 500] {
        client.fill("a-topic-with-a-longer-name-3", partition, &["a"]);
    }
    let pages = scraped(&client);
    assert!(pages.metrics.len() < 2_000_000 && pages.public.len() < 2_000_000, "{}", pages.metrics.len());
    assert_has(&pages.metrics, &["onelog_metrics_series_shown{of=\"partitions\"} 0"]);
    assert!(!pages.metrics.contains("kafka_topic_partition_current_offset{"));
    let line =
        "kafka_topic_partition_current_offset{topic=\"a-topic-with-a-longer-name-3\",partition=\"500\"} 1";
    assert_has(&pages.detailed, &[line]);
}

#[test]
fn pages_stay_small_just_before_single_series_are_left_out() {
    let client = Client::new();
    let name = |number: usize| format!("a-topic-with-a-longer-name-{number:0200}");
    let shown = |page: &str, count: u8| {
        for of in ["partitions", "topics"] {
            assert_has(page, &[&format!("onelog_metrics_series_shown{{of=\"{of}\"}} {count}")]);
        }
    };
    for number in 0..210 {
        client.create(&name(number), 1, &[]);
        client.fill(&name(number), 0, &["a"]);
    }
    for number in 0..190 {
        commit(&client, "a-group", &name(number), 0);
    }
    let pages = scraped(&client);
    shown(&pages.metrics, 1);
    assert!(pages.metrics.len() < 2_000_000 && pages.public.len() < 2_000_000, "{}", pages.metrics.len());
    assert!(pages.metrics.len() > 1_000_000, "this is not close to the limit: {}", pages.metrics.len());
    for number in 210..230 {
        client.create(&name(number), 1, &[]);
    }
    let pages = scraped(&client);
    shown(&pages.metrics, 0);
    shown(&pages.detailed, 1);
}

#[test]
fn no_family_comes_twice_on_a_page() {
    let client = Client::new();
    client.create("t", 1, &[]);
    client.fill("t", 0, &["a"]);
    commit(&client, "g", "t", 0);
    let pages = scraped(&client);
    for page in [pages.metrics, pages.detailed, pages.public] {
        let mut families: Vec<&str> = page.lines().filter_map(|line| line.strip_prefix("# TYPE ")).collect();
        assert!(families.len() > 15);
        families.sort_unstable();
        let all = families.len();
        families.dedup_by_key(|family| family.split(' ').next());
        assert_eq!(families.len(), all);
    }
}
