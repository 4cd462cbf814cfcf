//! Topics and their configs through each client's admin calls.

use anyhow::{Result, ensure};

use super::{expect_equal, expect_offsets_from_zero};
use crate::driver::Driver;
use crate::record::Record;
use crate::scene::{Scene, expect_code, without_code};
use crate::verbs::ProduceOptions;

const UNKNOWN_TOPIC_OR_PARTITION: i32 = 3;
const TOPIC_ALREADY_EXISTS: i32 = 36;
const INVALID_PARTITIONS: i32 = 37;
const INVALID_CONFIG: i32 = 40;

/// A topic's life: created, listed, described, grown, written to, deleted, and made anew, empty.
pub fn topics_are_created_described_grown_and_deleted(scene: &Scene) -> Result<()> {
    let mut driver = scene.driver()?;
    let topic = scene.new_topic(&mut driver, 3, &[])?;
    ensure!(driver.list_topics()?.contains(&topic), "the new topic is not listed");
    expect_equal("partitions", &numbers(&mut driver, &topic)?, &vec![0, 1, 2])?;

    driver.create_partitions(&topic, 5)?;
    scene.settle("five partitions", || Ok(numbers(&mut driver, &topic)? == [0, 1, 2, 3, 4]))?;
    let record = Record::new(&topic, 4, "in a partition that was added");
    expect_offsets_from_zero(&driver.produce(&[record], &ProduceOptions::default())?)?;
    expect_equal("records in it", &driver.consume(&topic, 4, 0, 1)?.len(), &1)?;

    driver.delete_topic(&topic)?;
    scene.settle("the topic is not listed any more", || Ok(!driver.list_topics()?.contains(&topic)))?;
    expect_code(driver.describe_topic(&topic), UNKNOWN_TOPIC_OR_PARTITION, "describing a deleted topic")?;

    driver.create_topic(&topic, 1, &[])?;
    scene.settle("the topic is there again", || {
        Ok(without_code(numbers(&mut driver, &topic), UNKNOWN_TOPIC_OR_PARTITION)?
            .is_some_and(|all| all == [0]))
    })?;
    // A new process: clients may remember the old topic for a while.
    let mut driver = scene.fresh_driver()?;
    expect_equal("watermarks of the topic made anew", &driver.watermarks(&topic, 0)?, &(0, 0))?;
    let record = Record::new(&topic, 0, "the first of the topic made anew");
    expect_offsets_from_zero(&driver.produce(&[record], &ProduceOptions::default())?)
}

/// IncrementalAlterConfigs: setting one config leaves the others, deleting one brings its default back.
pub fn topic_configs_are_altered_one_by_one(scene: &Scene) -> Result<()> {
    let mut driver = scene.driver()?;
    let topic = scene.new_topic(&mut driver, 1, &[("retention.ms", "3600000")])?;
    expect_configs(scene, &mut driver, &topic, &[("retention.ms", "3600000"), ("cleanup.policy", "delete")])?;
    driver.alter_configs_incrementally(
        &topic,
        &[("max.message.bytes", "20000"), ("retention.bytes", "1000000")],
        &[],
    )?;
    let altered =
        [("retention.ms", "3600000"), ("max.message.bytes", "20000"), ("retention.bytes", "1000000")];
    expect_configs(scene, &mut driver, &topic, &altered)?;
    driver.alter_configs_incrementally(&topic, &[("retention.ms", "7200000")], &["max.message.bytes"])?;
    let altered =
        [("retention.ms", "7200000"), ("max.message.bytes", "1048588"), ("retention.bytes", "1000000")];
    expect_configs(scene, &mut driver, &topic, &altered)?;
    let refused = driver.alter_configs_incrementally(&topic, &[("retention.ms", "soon")], &[]);
    expect_code(refused, INVALID_CONFIG, "a retention that is no number")?;
    expect_configs(scene, &mut driver, &topic, &altered)
}

/// AlterConfigs, the older call: what is not named goes back to its default.
pub fn alter_configs_replaces_the_whole_set(scene: &Scene) -> Result<()> {
    let mut driver = scene.driver()?;
    let topic = scene.new_topic(&mut driver, 1, &[("retention.ms", "3600000")])?;
    driver.replace_configs(&topic, &[("max.message.bytes", "20000")])?;
    let replaced = [("max.message.bytes", "20000"), ("retention.ms", "604800000")];
    expect_configs(scene, &mut driver, &topic, &replaced)?;
    driver.replace_configs(&topic, &[("retention.ms", "7200000")])?;
    expect_configs(
        scene,
        &mut driver,
        &topic,
        &[("max.message.bytes", "1048588"), ("retention.ms", "7200000")],
    )
}

/// Each mistake is answered by Kafka's own error.
pub fn admin_mistakes_get_their_kafka_error(scene: &Scene) -> Result<()> {
    let mut driver = scene.driver()?;
    let topic = scene.new_topic(&mut driver, 2, &[])?;
    expect_code(driver.create_topic(&topic, 2, &[]), TOPIC_ALREADY_EXISTS, "creating a topic twice")?;
    expect_code(driver.create_partitions(&topic, 1), INVALID_PARTITIONS, "shrinking a topic")?;
    let missing = scene.unique_name();
    expect_code(driver.delete_topic(&missing), UNKNOWN_TOPIC_OR_PARTITION, "deleting a missing topic")?;
    expect_code(driver.describe_topic(&missing), UNKNOWN_TOPIC_OR_PARTITION, "describing a missing topic")?;
    let wrong = driver.create_topic(&missing, 1, &[("retention.ms", "soon")]);
    expect_code(wrong, INVALID_CONFIG, "creating a topic with a retention that is no number")?;
    ensure!(!driver.list_topics()?.contains(&missing), "a refused or described topic was made all the same");
    expect_equal("partitions after the mistakes", &numbers(&mut driver, &topic)?, &vec![0, 1])
}

fn numbers(driver: &mut Driver, topic: &str) -> Result<Vec<i32>> {
    Ok(driver.describe_topic(topic)?.iter().map(|partition| partition.partition).collect())
}

fn expect_configs(scene: &Scene, driver: &mut Driver, topic: &str, expected: &[(&str, &str)]) -> Result<()> {
    scene.settle(&format!("configs {expected:?}"), || {
        let configs = driver.describe_configs(topic)?;
        Ok(expected
            .iter()
            .all(|(name, value)| configs.get(*name).is_some_and(|is| is.as_deref() == Some(*value))))
    })
}
