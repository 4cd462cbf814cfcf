//! kill -9 of the broker under load, a start on the same data and port, and clients that go on as if nothing was.

use std::time::Duration;

use anyhow::{Context as _, Result, ensure};

use super::{expect_equal, group};
use crate::clock;
use crate::driver::Driver;
use crate::record::ReceivedRecord;
use crate::scene::Scene;
use crate::verbs::LoadReport;

const PARTITIONS: i32 = 3;
const BEFORE_KILL: usize = 1500;
const AFTER_RESTART: usize = 600;
/// Kafka needs 12 s to serve again and clients back off meanwhile.
const PROGRESS_LIMIT: Duration = Duration::from_secs(90);

/// An idempotent producer runs through the kills. Afterwards every acknowledged record is there at its offset, none
/// is there twice, each partition is in order without a gap, and a group goes on from what it had committed.
pub fn nothing_acknowledged_is_lost_when_the_broker_is_killed_under_load(scene: &Scene) -> Result<()> {
    let session = Duration::from_secs(10);
    let mut admin = scene.driver()?;
    let topic = scene.new_topic(&mut admin, PARTITIONS, &[])?;
    let read_topic = scene.new_topic(&mut admin, 6, &[])?;
    let group = scene.unique_name();
    let mut reader = group::join(scene, &group, &read_topic, session)?;
    let committed = group::produce_round(&mut admin, &read_topic, "committed", 30)?;
    group::expect_once(&group::receive(&mut [&mut reader], committed.len())?.concat(), &committed)?;
    reader.group_commit()?;
    reader.group_leave()?;

    let mut producer = scene.driver()?;
    producer.load_start(&topic, PARTITIONS)?;
    let mut goal = BEFORE_KILL;
    for _ in 0..scene.kind().kills() {
        wait_for_progress(&mut producer, goal)?;
        scene.kill_broker_and_restart()?;
        goal = producer.load_acknowledged()? + AFTER_RESTART;
        wait_for_progress(&mut producer, goal)?;
        goal += BEFORE_KILL;
    }
    let report = producer.load_stop()?;
    ensure!(
        report.failed.is_empty(),
        "the producer gave up on {} records: {:?}",
        report.failed.len(),
        report.failed
    );

    let mut reader = scene.driver()?;
    for partition in 0..PARTITIONS {
        check_partition(&mut reader, &topic, partition, &report)?;
    }
    let mut later = group::join(scene, &group, &read_topic, session)?;
    let sent = group::produce_round(&mut reader, &read_topic, "after the kill", 30)?;
    group::expect_once(&group::receive(&mut [&mut later], sent.len())?.concat(), &sent)
}

fn wait_for_progress(producer: &mut Driver, goal: usize) -> Result<()> {
    let mut acknowledged = 0;
    let reached = clock::poll_until(PROGRESS_LIMIT, Duration::from_millis(50), || {
        acknowledged = producer.load_acknowledged()?;
        Ok((acknowledged >= goal).then_some(()))
    })?;
    reached.with_context(|| {
        format!("{acknowledged} of {goal} records were acknowledged within {PROGRESS_LIMIT:?}")
    })
}

/// The partition holds 0, 1, 2, ... at those offsets, and as many as were acknowledged.
fn check_partition(reader: &mut Driver, topic: &str, partition: i32, report: &LoadReport) -> Result<()> {
    let mut acknowledged: Vec<(i64, i64)> = report
        .acknowledged
        .iter()
        .filter(|(one, _, _)| *one == partition)
        .map(|(_, number, offset)| (*number, *offset))
        .collect();
    acknowledged.sort_unstable();
    ensure!(!acknowledged.is_empty(), "nothing was acknowledged in partition {partition}");
    let (start, end) = reader.watermarks(topic, partition)?;
    let stored = reader.consume(topic, partition, start, usize::try_from(end - start)?)?;
    let stored: Vec<(i64, i64)> = stored.iter().map(number_and_offset).collect::<Result<_>>()?;
    verify(&stored, &acknowledged).with_context(|| format!("partition {partition} (number, offset)"))
}

/// `stored` (number, offset) is 0, 1, 2, ... at those offsets, and exactly what was acknowledged.
fn verify(stored: &[(i64, i64)], acknowledged: &[(i64, i64)]) -> Result<()> {
    for (place, record) in stored.iter().enumerate() {
        let expected = i64::try_from(place)?;
        let around = &stored[place.saturating_sub(3)..stored.len().min(place + 4)];
        ensure!(*record == (expected, expected), "lost, doubled or reordered at {expected}: {around:?}");
    }
    for (number, offset) in acknowledged {
        let found = usize::try_from(*offset).ok().and_then(|place| stored.get(place));
        ensure!(
            found == Some(&(*number, *offset)),
            "{number} was acknowledged at {offset}, where {found:?} is"
        );
    }
    expect_equal("records stored and acknowledged", &stored.len(), &acknowledged.len())
}

fn number_and_offset(record: &ReceivedRecord) -> Result<(i64, i64)> {
    let number = record.text().parse().with_context(|| format!("a foreign record {:?}", record.text()))?;
    Ok((number, record.offset))
}

#[cfg(test)]
mod tests {
    use super::verify;

    #[test]
    fn whole_partition_passes() {
        verify(&[(0, 0), (1, 1), (2, 2)], &[(0, 0), (1, 1), (2, 2)]).unwrap();
    }

    #[test]
    fn lost_doubled_reordered_and_misplaced_records_are_found() {
        let acknowledged = [(0, 0), (1, 1), (2, 2)];
        for (what, stored) in [
            ("the last is lost", vec![(0, 0), (1, 1)]),
            ("one in the middle is lost", vec![(0, 0), (2, 1)]),
            ("one is doubled", vec![(0, 0), (1, 1), (1, 2), (2, 3)]),
            ("two are reordered", vec![(0, 0), (2, 1), (1, 2)]),
            ("an offset is left out", vec![(0, 0), (1, 1), (2, 3)]),
            ("one more than was acknowledged", vec![(0, 0), (1, 1), (2, 2), (3, 3)]),
        ] {
            assert!(verify(&stored, &acknowledged).is_err(), "{what}");
        }
        assert!(
            verify(&[(0, 0), (1, 1)], &[(0, 0), (0, 1)]).is_err(),
            "acknowledged where another record is"
        );
    }
}
