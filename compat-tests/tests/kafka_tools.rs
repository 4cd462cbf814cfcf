//! Kafka's own command line tools 4.3.1 against the broker.

use anyhow::{Context as _, Result, ensure};
use compat_tests::layout::unique;
use compat_tests::tools::{Tools, expect, run};

const TOPIC: &str = "TopicCommand";
const GROUP: &str = "consumer.group.ConsumerGroupCommand";
const CONFIG: &str = "kafka.admin.ConfigCommand";
const CONSUMER: &str = "consumer.ConsoleConsumer";
const SHARE_GROUP: &str = "consumer.group.ShareGroupCommand";
const SHARE_CONSUMER: &str = "consumer.ConsoleShareConsumer";

#[test]
fn topic_command_creates_describes_alters_and_deletes() {
    run("topic_command_creates_describes_alters_and_deletes", |tools| {
        let topic = unique("tools-topics");
        let create = ["--create", "--topic", &topic, "--partitions", "3", "--config", "retention.ms=3600000"];
        expect(&tools.run(TOPIC, &create)?, &format!("Created topic {topic}."))?;
        tools.run_until(TOPIC, &["--list"], |text| text.lines().any(|line| line == topic))?;
        let describe = ["--describe", "--topic", &topic];
        let described = tools.run_until(TOPIC, &describe, |text| text.contains("PartitionCount: 3"))?;
        expect(&described, "TopicId: ")?;
        expect(&described, "retention.ms=3600000")?;
        expect(&described, &format!("Topic: {topic}\tPartition: 2\tLeader: "))?;
        tools.run(TOPIC, &["--alter", "--topic", &topic, "--partitions", "5"])?;
        tools.run_until(TOPIC, &describe, |text| text.contains("PartitionCount: 5"))?;
        tools.run(TOPIC, &["--delete", "--topic", &topic])?;
        tools.run_until(TOPIC, &["--list"], |text| !text.contains(&topic))?;
        Ok(())
    });
}

#[test]
fn config_command_describes_and_alters_topic_configs() {
    run("config_command_describes_and_alters_topic_configs", |tools| {
        let topic = new_topic(tools, 1)?;
        let entity = ["--entity-type", "topics", "--entity-name", &topic];
        let alter =
            [&entity[..], &["--alter", "--add-config", "max.message.bytes=20000,retention.ms=3600000"]]
                .concat();
        expect(&tools.run(CONFIG, &alter)?, &format!("Completed updating config for topic {topic}."))?;
        let describe = [&entity[..], &["--describe"]].concat();
        let both =
            |text: &str| text.contains("max.message.bytes=20000") && text.contains("retention.ms=3600000");
        tools.run_until(CONFIG, &describe, both)?;
        tools.run(CONFIG, &[&entity[..], &["--alter", "--delete-config", "max.message.bytes"]].concat())?;
        let one =
            |text: &str| !text.contains("max.message.bytes=20000") && text.contains("retention.ms=3600000");
        tools.run_until(CONFIG, &describe, one)?;
        let all = tools.run(CONFIG, &[&entity[..], &["--describe", "--all"]].concat())?;
        expect(&all, "max.message.bytes=1048588")?;
        expect(&all, "cleanup.policy=delete")?;
        let brokers = tools.run(CONFIG, &["--entity-type", "brokers", "--describe", "--all"])?;
        expect(&brokers, "num.partitions=4")
    });
}

#[test]
fn console_producer_and_consumer_pass_keys_headers_and_values() {
    run("console_producer_and_consumer_pass_keys_headers_and_values", |tools| {
        let topic = new_topic(tools, 1)?;
        let lines = "h1:a,h2:b\tkey-1\tvalue-1\nh1:c\tkey-2\tvalue-2\n";
        let properties = ["--reader-property", "parse.key=true", "--reader-property", "parse.headers=true"];
        let produce = [&["--topic", &topic][..], &properties].concat();
        tools.run_with_input("ConsoleProducer", &produce, lines)?;
        let consume = [
            "--topic",
            &topic,
            "--from-beginning",
            "--max-messages",
            "2",
            "--timeout-ms",
            "20000",
            "--formatter-property",
            "print.key=true",
            "--formatter-property",
            "print.headers=true",
            "--formatter-property",
            "print.offset=true",
        ];
        let consumed = tools.run(CONSUMER, &consume)?;
        expect(&consumed, "Offset:0\th1:a,h2:b\tkey-1\tvalue-1")?;
        expect(&consumed, "Offset:1\th1:c\tkey-2\tvalue-2")?;
        expect(&consumed, "Processed a total of 2 messages")
    });
}

#[test]
fn group_command_lists_describes_resets_and_deletes() {
    run("group_command_lists_describes_resets_and_deletes", |tools| {
        let topic = new_topic(tools, 1)?;
        let group = unique("tools-group");
        let lines: String = (0..10).map(|number| format!("value-{number}\n")).collect();
        tools.run_with_input("ConsoleProducer", &["--topic", &topic], &lines)?;
        let consume = [
            "--topic",
            &topic,
            "--group",
            &group,
            "--from-beginning",
            "--timeout-ms",
            "20000",
            "--max-messages",
        ];
        let consumed = tools.run(CONSUMER, &[&consume[..], &["10"]].concat())?;
        expect(&consumed, "Processed a total of 10 messages")?;

        expect(&tools.run(GROUP, &["--list"])?, &group)?;
        let described = tools.run(GROUP, &["--describe", "--group", &group])?;
        ensure!(row(&described, &topic)?[3..6] == ["10", "10", "0"], "current, end and lag in:\n{described}");
        expect(&tools.run(GROUP, &["--describe", "--group", &group, "--state"])?, "Empty")?;

        let reset =
            ["--reset-offsets", "--group", &group, "--topic", &topic, "--to-offset", "7", "--execute"];
        let answer = tools.run(GROUP, &reset)?;
        ensure!(row(&answer, &topic)?.last() == Some(&"7"), "the new offset in:\n{answer}");
        let described = tools.run(GROUP, &["--describe", "--group", &group])?;
        ensure!(row(&described, &topic)?[3..6] == ["7", "10", "3"], "current, end and lag in:\n{described}");
        let consumed = tools.run(CONSUMER, &[&consume[..], &["3"]].concat())?;
        expect(&consumed, "value-7\nvalue-8\nvalue-9\n")?;

        tools.run(GROUP, &["--delete-offsets", "--group", &group, "--topic", &topic])?;
        expect(&tools.run(GROUP, &["--delete", "--group", &group])?, "was successful")?;
        ensure!(!tools.run(GROUP, &["--list"])?.contains(&group), "the deleted group is still listed");
        Ok(())
    });
}

#[test]
fn share_group_command_lists_describes_resets_and_deletes() {
    run("share_group_command_lists_describes_resets_and_deletes", |tools| {
        let topic = new_topic(tools, 1)?;
        let group = unique("tools-share-group");
        let lines: String = (0..10).map(|number| format!("value-{number}\n")).collect();
        tools.run_with_input("ConsoleProducer", &["--topic", &topic], &lines)?;
        let entity = ["--entity-type", "groups", "--entity-name", &group];
        let earliest = ["--alter", "--add-config", "share.auto.offset.reset=earliest"];
        tools.run(CONFIG, &[&entity[..], &earliest].concat())?;
        let consume = ["--topic", &topic, "--group", &group, "--timeout-ms", "30000", "--max-messages"];
        let consumed = tools.run(SHARE_CONSUMER, &[&consume[..], &["10"]].concat())?;
        expect(&consumed, "value-0\nvalue-1\n")?;
        expect(&consumed, "Processed a total of 10 messages")?;

        expect(&tools.run(SHARE_GROUP, &["--list"])?, &group)?;
        let describe = ["--describe", "--group", &group];
        let has_lag = |wanted: &str| {
            let described = tools.run_until(SHARE_GROUP, &describe, |text| {
                row(text, &topic).is_ok_and(|row| row.last() == Some(&wanted))
            });
            described.map(drop)
        };
        has_lag("0")?;
        expect(&tools.run(SHARE_GROUP, &[&describe[..], &["--state"]].concat())?, "Empty")?;

        let reset = ["--reset-offsets", "--group", &group, "--topic", &topic, "--to-earliest", "--execute"];
        let answer = tools.run(SHARE_GROUP, &reset)?;
        ensure!(row(&answer, &topic)?.last() == Some(&"0"), "the new offset in:\n{answer}");
        has_lag("10")?;
        let consumed = tools.run(SHARE_CONSUMER, &[&consume[..], &["4"]].concat())?;
        expect(&consumed, "value-0\nvalue-1\nvalue-2\nvalue-3\n")?;
        has_lag("6")?;

        // Kafka's own readers of the topics read ours.
        for (state_topic, formatter, wanted) in [
            ("__share_group_state", "consumer.group.share.ShareGroupStateMessageFormatter", "deliveryState"),
            ("__consumer_offsets", "consumer.ShareGroupMessageFormatter", &group),
        ] {
            let formatter = format!("org.apache.kafka.tools.{formatter}");
            let read = ["--topic", state_topic, "--from-beginning", "--timeout-ms", "5000"];
            let shown = tools.run(CONSUMER, &[&read[..], &["--formatter", &formatter]].concat())?;
            expect(&shown, &group)?;
            expect(&shown, wanted)?;
        }

        let delete = ["--delete-offsets", "--group", &group, "--topic", &topic];
        expect(&tools.run(SHARE_GROUP, &delete)?, "Successful")?;
        expect(&tools.run(SHARE_GROUP, &["--delete", "--group", &group])?, "was successful")?;
        ensure!(!tools.run(SHARE_GROUP, &["--list"])?.contains(&group), "the deleted group is still listed");
        Ok(())
    });
}

#[test]
fn get_offset_shell_and_delete_records_agree_on_offsets() {
    run("get_offset_shell_and_delete_records_agree_on_offsets", |tools| {
        let topic = new_topic(tools, 1)?;
        let lines: String = (0..10).map(|number| format!("value-{number}\n")).collect();
        tools.run_with_input("ConsoleProducer", &["--topic", &topic], &lines)?;
        let offsets = |time: &str| tools.run("GetOffsetShell", &["--topic", &topic, "--time", time]);
        expect(&offsets("latest")?, &format!("{topic}:0:10"))?;
        expect(&offsets("earliest")?, &format!("{topic}:0:0"))?;
        expect(&offsets("max-timestamp")?, &format!("{topic}:0:"))?;
        let wanted =
            format!(r#"{{"partitions":[{{"topic":"{topic}","partition":0,"offset":4}}],"version":1}}"#);
        let file = compat_tests::layout::log_file("delete-records").context("a file for the tool")?;
        std::fs::write(&file, wanted)?;
        let path = file.to_str().context("the target folder's path is UTF-8")?;
        expect(&tools.run("DeleteRecordsCommand", &["--offset-json-file", path])?, "low_watermark: 4")?;
        expect(&offsets("earliest")?, &format!("{topic}:0:4"))?;
        expect(&offsets("latest")?, &format!("{topic}:0:10"))
    });
}

#[test]
fn producer_and_consumer_performance_move_their_records() {
    run("producer_and_consumer_performance_move_their_records", |tools| {
        let topic = new_topic(tools, 3)?;
        let load =
            ["--topic", &topic, "--num-records", "20000", "--record-size", "100", "--throughput", "-1"];
        let produced =
            tools.run("ProducerPerformance", &[&load[..], &["--command-property", "acks=all"]].concat())?;
        expect(&produced, "20000 records sent")?;
        let consume = ["--topic", &topic, "--num-records", "20000", "--timeout", "30000"];
        let consumed = tools.run("ConsumerPerformance", &consume)?;
        let figures =
            consumed.lines().rev().find(|line| line.matches(", ").count() > 5).context("no figures")?;
        ensure!(figures.split(", ").nth(4) == Some("20000"), "not 20000 records:\n{consumed}");
        let offsets = tools.run("GetOffsetShell", &["--topic", &topic])?;
        let total: u64 =
            offsets.lines().filter_map(|line| line.rsplit(':').next()?.parse::<u64>().ok()).sum();
        ensure!(total == 20_000, "the end offsets do not sum to 20000:\n{offsets}");
        Ok(())
    });
}

#[test]
fn verifiable_producer_and_consumer_count_the_same_records() {
    run("verifiable_producer_and_consumer_count_the_same_records", |tools| {
        let topic = new_topic(tools, 2)?;
        let produce = ["--topic", &topic, "--max-messages", "500", "--throughput", "-1", "--acks", "-1"];
        let produced = tools.run("VerifiableProducer", &produce)?;
        expect(&produced, r#""sent":500"#)?;
        expect(&produced, r#""acked":500"#)?;
        let group = unique("tools-verifiable");
        let consume =
            ["--topic", &topic, "--group-id", &group, "--max-messages", "500", "--reset-policy", "earliest"];
        let consumed = tools.run("VerifiableConsumer", &consume)?;
        let counts = consumed.lines().filter(|line| line.contains(r#""name":"records_consumed""#));
        let total: u64 = counts.filter_map(|line| number_after(line, r#""count":"#)).sum();
        ensure!(total == 500, "{total} records were consumed:\n{consumed}");
        expect(&consumed, r#""name":"offsets_committed""#)
    });
}

#[test]
fn cluster_and_log_dir_tools_answer() {
    run("cluster_and_log_dir_tools_answer", |tools| {
        let topic = new_topic(tools, 2)?;
        expect(&tools.run("ClusterTool", &["cluster-id"])?, "Cluster ID: ")?;
        expect(&tools.run("ClusterTool", &["list-endpoints"])?, "127.0.0.1")?;
        let dirs = tools.run("LogDirsCommand", &["--describe", "--topic-list", &topic])?;
        expect(&dirs, &format!(r#""partition":"{topic}-1""#))?;
        let versions = tools.run("BrokerApiVersionsCommand", &[])?;
        expect(&versions, "Produce(0): 0 to ")?;
        expect(&versions, "Fetch(1): ")
    });
}

fn new_topic(tools: &Tools, partitions: u32) -> Result<String> {
    let topic = unique("tools");
    tools.run(TOPIC, &["--create", "--topic", &topic, "--partitions", &partitions.to_string()])?;
    Ok(topic)
}

/// The words of the line that names `topic`.
fn row<'a>(output: &'a str, topic: &str) -> Result<Vec<&'a str>> {
    let line = output.lines().find(|line| line.split_whitespace().any(|word| word == topic));
    Ok(line.with_context(|| format!("no line names {topic}:\n{output}"))?.split_whitespace().collect())
}

fn number_after(line: &str, name: &str) -> Option<u64> {
    let digits: String = line.split(name).nth(1)?.chars().take_while(char::is_ascii_digit).collect();
    digits.parse().ok()
}
