//! `kafka-consumer-groups --reset-offsets`: where each partition would go, and with `--execute` there it goes.

use std::collections::BTreeMap;
use std::io::{self, Write};
use std::path::{Path, PathBuf};

use kafka_protocol::messages::OffsetCommitRequest;
use kafka_protocol::messages::offset_commit_request::{
    OffsetCommitRequestPartition, OffsetCommitRequestTopic,
};
use kafka_protocol::protocol::StrBytes;

use super::{Arguments, id, named_partitions};
use crate::client::{Client, Target, topic_name};
use crate::failure::{Failure, Outcome};
use crate::group_offsets::committed;
use crate::partitions::{self, EARLIEST, LATEST, READ_UNCOMMITTED, TopicPartition};
use crate::table::{self, fixed, growing};
use crate::{clock, time};

const NEWEST_COMMIT: i16 = 7;

/// Where offsets go, and whether they do.
#[derive(Debug, Default, clap::Args)]
pub(super) struct ResetArguments {
    /// To the first record
    #[arg(long)]
    to_earliest: bool,
    /// To the end
    #[arg(long)]
    to_latest: bool,
    /// To where the group is: for --export
    #[arg(long)]
    to_current: bool,
    /// To this offset
    #[arg(long, value_name = "N")]
    to_offset: Option<i64>,
    /// By this many records, forward or back
    #[arg(long, value_name = "N", allow_negative_numbers = true)]
    shift_by: Option<i64>,
    /// To the first record at this time or later: YYYY-MM-DDThh:mm:ss.sss, UTC unless it has an offset
    #[arg(long, value_name = "TIME")]
    to_datetime: Option<String>,
    /// To the first record that is not older: PnDTnHnMnS
    #[arg(long, value_name = "DURATION")]
    by_duration: Option<String>,
    /// To the offsets of a file that --export wrote
    #[arg(long, value_name = "FILE")]
    pub(super) from_file: Option<PathBuf>,
    /// Show what would be done
    #[arg(long)]
    dry_run: bool,
    /// Do it
    #[arg(long)]
    execute: bool,
    /// Show it as CSV
    #[arg(long)]
    export: bool,
}

impl ResetArguments {
    pub(super) fn check(&self) -> Outcome {
        let scenarios = [
            self.to_earliest,
            self.to_latest,
            self.to_current,
            self.to_offset.is_some(),
            self.shift_by.is_some(),
            self.to_datetime.is_some(),
            self.by_duration.is_some(),
            self.from_file.is_some(),
        ];
        if scenarios.into_iter().filter(|chosen| *chosen).count() != 1 {
            return Err(Failure::new(
                "--reset-offsets takes exactly one of --to-earliest, --to-latest, --to-current, --to-offset, --shift-by, --to-datetime, --by-duration, --from-file",
            ));
        }
        if self.dry_run && self.execute {
            return Err(Failure::new("--dry-run and --execute exclude each other"));
        }
        Ok(())
    }
}

type Offsets = BTreeMap<TopicPartition, i64>;

pub(super) fn run(client: &mut Client, arguments: &Arguments, out: &mut dyn Write) -> Outcome {
    let reset = &arguments.reset;
    if !reset.dry_run && !reset.execute {
        writeln!(
            io::stderr(),
            "WARN: No action will be performed as the --execute option is missing. Add --dry-run or --execute."
        )?;
    }
    let groups = arguments.groups(client)?;
    let mut plans = BTreeMap::new();
    for group in &groups {
        super::describe::require_inactive(client, group)?;
        plans.insert(group.clone(), plan(client, arguments, group, groups.len() > 1)?);
    }
    if reset.execute {
        for (group, offsets) in plans.iter().filter(|(_, offsets)| !offsets.is_empty()) {
            commit(client, group, offsets)?;
        }
    }
    if reset.export { write_csv(&plans, out) } else { write_table(&plans, out) }
}

fn write_table(plans: &BTreeMap<String, Offsets>, out: &mut dyn Write) -> Outcome {
    let columns =
        [growing("GROUP", 15), growing("TOPIC", 15), fixed("PARTITION", 10), fixed("NEW-OFFSET", 0)];
    let mut rows = Vec::new();
    for (group, offsets) in plans {
        let row = |((topic, index), offset): (&TopicPartition, &i64)| {
            vec![group.clone(), topic.clone(), index.to_string(), offset.to_string()]
        };
        rows.extend(offsets.iter().map(row));
    }
    writeln!(out)?;
    table::write(&columns, &rows, out)
}

/// Of one group without its name.
fn write_csv(plans: &BTreeMap<String, Offsets>, out: &mut dyn Write) -> Outcome {
    for (group, offsets) in plans {
        for ((topic, index), offset) in offsets {
            if plans.len() > 1 {
                write!(out, "{group},")?;
            }
            writeln!(out, "{topic},{index},{offset}")?;
        }
    }
    Ok(writeln!(out)?)
}

/// The offsets that `group` is to have.
fn plan(client: &mut Client, arguments: &Arguments, group: &str, many: bool) -> Outcome<Offsets> {
    let reset = &arguments.reset;
    if let Some(path) = &reset.from_file {
        return within_bounds(client, from_file(path, group, many)?);
    }
    let current = committed(client, group)?;
    let chosen = if arguments.all_topics {
        current.keys().cloned().collect()
    } else {
        named_partitions(client, &arguments.topic)?
    };
    let all_at = |time: i64| chosen.iter().cloned().map(|partition| (partition, time)).collect::<Vec<_>>();
    if chosen.is_empty() {
        return Ok(Offsets::new());
    }
    let current_or_end = |client: &mut Client| -> Outcome<Offsets> {
        let mut offsets = partitions::offsets(client, &all_at(LATEST), READ_UNCOMMITTED)?;
        for (partition, offset) in &mut offsets {
            *offset = current.get(partition).map_or(*offset, |committed| committed.offset);
        }
        Ok(offsets)
    };
    match reset {
        ResetArguments { to_earliest: true, .. } => {
            partitions::offsets(client, &all_at(EARLIEST), READ_UNCOMMITTED)
        }
        ResetArguments { to_latest: true, .. } => {
            partitions::offsets(client, &all_at(LATEST), READ_UNCOMMITTED)
        }
        ResetArguments { to_offset: Some(offset), .. } => {
            within_bounds(client, all_at(*offset).into_iter().collect())
        }
        ResetArguments { shift_by: Some(by), .. } => {
            if let Some((topic, index)) = chosen.iter().find(|partition| !current.contains_key(*partition)) {
                return Err(Failure::new(format!(
                    "Cannot shift offset for partition {topic}-{index} since there is no current committed offset"
                )));
            }
            let mut offsets = current_or_end(client)?;
            offsets.values_mut().for_each(|offset| *offset = offset.saturating_add(*by));
            within_bounds(client, offsets)
        }
        ResetArguments { to_datetime: Some(text), .. } => since(client, &chosen, time::datetime_ms(text)?),
        ResetArguments { by_duration: Some(text), .. } => {
            since(client, &chosen, clock::unix_ms().saturating_sub(time::duration_ms(text)?))
        }
        _ => current_or_end(client),
    }
}

/// The first record at `timestamp` or later; the end where none is that late.
fn since(client: &mut Client, chosen: &[TopicPartition], timestamp: i64) -> Outcome<Offsets> {
    let at = |time: i64| chosen.iter().cloned().map(|partition| (partition, time)).collect::<Vec<_>>();
    let mut offsets = partitions::offsets(client, &at(timestamp), READ_UNCOMMITTED)?;
    let ends = partitions::offsets(client, &at(LATEST), READ_UNCOMMITTED)?;
    for ((topic, index), offset) in &mut offsets {
        if *offset < 0 {
            *offset = ends.get(&(topic.clone(), *index)).copied().unwrap_or(0);
            writeln!(
                io::stderr(),
                "Warn: Partition {index} from topic {topic} has no record that late. Falling back to latest known offset."
            )?;
        }
    }
    Ok(offsets)
}

/// Offsets outside of what the partitions hold are moved to the nearer end, and that is said.
fn within_bounds(client: &mut Client, mut offsets: Offsets) -> Outcome<Offsets> {
    let at = |time: i64| offsets.keys().cloned().map(|partition| (partition, time)).collect::<Vec<_>>();
    let (first, last) = (at(EARLIEST), at(LATEST));
    let first = partitions::offsets(client, &first, READ_UNCOMMITTED)?;
    let last = partitions::offsets(client, &last, READ_UNCOMMITTED)?;
    for (partition, offset) in &mut offsets {
        let (first, last) =
            (first.get(partition).copied().unwrap_or(0), last.get(partition).copied().unwrap_or(0));
        let bounded = (*offset).clamp(first, last.max(first));
        if bounded != *offset {
            let (topic, index) = partition;
            let side = if bounded > *offset { "lower than earliest" } else { "higher than latest" };
            writeln!(
                io::stderr(),
                "WARN: New offset ({offset}) is {side} offset for topic partition {topic}-{index}. Value will be set to {bounded}"
            )?;
            *offset = bounded;
        }
    }
    Ok(offsets)
}

/// Lines `topic,partition,offset`, or with several groups `group,topic,partition,offset`.
fn from_file(path: &Path, group: &str, many: bool) -> Outcome<Offsets> {
    let shown = path.display();
    let text = std::fs::read_to_string(path)
        .map_err(|error| Failure::new(format!("{shown} cannot be read: {error}")))?;
    let mut offsets = Offsets::new();
    for (number, line) in (1..).zip(text.lines()).filter(|(_, line)| !line.trim().is_empty()) {
        let mut words: Vec<&str> = line.split(',').map(str::trim).collect();
        if many && words.len() == 4 && words.remove(0) != group {
            continue;
        }
        let read = match words[..] {
            [topic, index, offset] => index
                .parse()
                .ok()
                .zip(offset.parse().ok())
                .map(|(index, offset)| ((topic.to_owned(), index), offset)),
            _ => None,
        };
        let (partition, offset) = read.ok_or_else(|| {
            let wanted = if many { "group,topic,partition,offset" } else { "topic,partition,offset" };
            Failure::new(format!("{shown}, line {number}: {line:?} is not {wanted}"))
        })?;
        offsets.insert(partition, offset);
    }
    Ok(offsets)
}

/// As a member of no group does it.
fn commit(client: &mut Client, group: &str, offsets: &Offsets) -> Outcome {
    let topics = offsets.iter().map(|((topic, index), offset)| {
        let partition = OffsetCommitRequestPartition::default()
            .with_partition_index(*index)
            .with_committed_offset(*offset)
            .with_committed_metadata(Some(StrBytes::from_static_str("")));
        OffsetCommitRequestTopic::default().with_name(topic_name(topic)).with_partitions(vec![partition])
    });
    let request = OffsetCommitRequest::default()
        .with_group_id(id(group))
        .with_generation_id_or_member_epoch(-1)
        .with_topics(topics.collect());
    client.retry(|client| {
        let coordinator = client.coordinator(group)?;
        let answer = client.call_at_most(Target::Node(coordinator.id), &request, NEWEST_COMMIT)?;
        let mut partitions = answer.topics.iter().flat_map(|topic| &topic.partitions);
        partitions.try_for_each(|partition| Failure::check(partition.error_code, None))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn plans_are_written_in_kafkas_columns() {
        let plans = BTreeMap::from([("g".to_owned(), Offsets::from([(("t".to_owned(), 0), 5)]))]);
        let mut out = Vec::new();
        write_table(&plans, &mut out).unwrap();
        let text = String::from_utf8(out).unwrap();
        assert_eq!(
            text,
            "\nGROUP           TOPIC           PARTITION  NEW-OFFSET\ng               t               0          5\n"
        );
        let mut out = Vec::new();
        write_csv(&plans, &mut out).unwrap();
        assert_eq!(out, b"t,0,5\n\n");
    }
}
