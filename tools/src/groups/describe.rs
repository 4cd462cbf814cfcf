//! `kafka-consumer-groups --describe`: offsets and lag, members, or state, in Kafka's columns.

use std::collections::{BTreeMap, BTreeSet};
use std::io::{self, Write};

use serde_json::{Value, json};

use super::state::{self, Group, Member};
use super::{Arguments, named_partitions};
use crate::client::Client;
use crate::failure::{Failure, Outcome};
use crate::group_offsets::{Committed, committed};
use crate::partitions::{self, LATEST, READ_UNCOMMITTED, TopicPartition};
use crate::table::{self, fixed, growing, notable};
use crate::text::joined;

pub(super) fn run(client: &mut Client, arguments: &Arguments, out: &mut dyn Write) -> Outcome {
    let mut shown = Vec::new();
    for name in arguments.groups(client)? {
        let group = state::describe(client, &name)
            .map_err(|failure| failure.in_words("Error: Executing consumer group command failed due to "))?;
        let rows = if arguments.members || arguments.state.is_some() {
            Vec::new()
        } else {
            rows(client, arguments, &group)?
        };
        if arguments.json {
            shown.push(as_json(&group, &rows));
            continue;
        }
        match () {
            () if arguments.members => write_members(&group, arguments.verbose, out)?,
            () if arguments.state.is_some() => write_state(&group, arguments.verbose, out)?,
            () if rows.is_empty() => {}
            () => write_rows(&group, &rows, arguments.verbose, out)?,
        }
        out.flush()?;
        say_state(&group)?;
    }
    if arguments.json {
        writeln!(out, "{}", json!({ "groups": shown }))?;
    }
    Ok(())
}

fn say_state(group: &Group) -> Outcome {
    let name = &group.name;
    match group.state.as_str() {
        "Empty" => writeln!(io::stderr(), "\nConsumer group '{name}' has no active members.")?,
        "PreparingRebalance" | "CompletingRebalance" | "Assigning" | "Reconciling" => {
            writeln!(io::stderr(), "\nWarning: Consumer group '{name}' is rebalancing.")?;
        }
        _ => {}
    }
    Ok(())
}

/// A line of `--offsets`.
#[derive(Debug)]
struct Row<'a> {
    /// `None` for a member that has nothing to read.
    partition: Option<TopicPartition>,
    committed: Option<Committed>,
    end: Option<i64>,
    member: Option<&'a Member>,
}

impl Row<'_> {
    fn lag(&self) -> Option<i64> {
        Some(self.end?.saturating_sub(self.committed?.offset))
    }
}

fn rows<'a>(client: &mut Client, arguments: &Arguments, group: &'a Group) -> Outcome<Vec<Row<'a>>> {
    let committed = committed(client, &group.name)?;
    let owners: BTreeMap<&TopicPartition, &Member> = group
        .members
        .iter()
        .flat_map(|member| member.assigned.iter().map(move |partition| (partition, member)))
        .collect();
    let mut wanted: BTreeSet<TopicPartition> = committed.keys().cloned().collect();
    wanted.extend(owners.keys().map(|partition| (*partition).clone()));
    if !arguments.topic.is_empty() {
        let named = named_partitions(client, &arguments.topic)?;
        wanted.retain(|partition| named.contains(partition));
    }
    // Of a topic that is gone there are offsets and no end.
    let names: BTreeSet<&str> = wanted.iter().map(|(topic, _)| topic.as_str()).collect();
    let cluster = client.cluster(Some(&names.into_iter().collect::<Vec<_>>()))?;
    let there = wanted.iter().filter(|(topic, index)| cluster.leader(topic, *index).is_ok());
    let there: Vec<_> = there.map(|partition| (partition.clone(), LATEST)).collect();
    let ends = if there.is_empty() {
        BTreeMap::new()
    } else {
        partitions::offsets(client, &there, READ_UNCOMMITTED)?
    };
    let mut rows: Vec<Row<'_>> = wanted
        .into_iter()
        .map(|partition| Row {
            committed: committed.get(&partition).copied(),
            end: ends.get(&partition).copied(),
            member: owners.get(&partition).copied(),
            partition: Some(partition),
        })
        .collect();
    if arguments.topic.is_empty() {
        let idle = group.members.iter().filter(|member| member.assigned.is_empty());
        rows.extend(idle.map(|member| Row {
            partition: None,
            committed: None,
            end: None,
            member: Some(member),
        }));
    }
    Ok(rows)
}

fn dash(value: Option<impl ToString>) -> String {
    value.map_or_else(|| "-".to_owned(), |value| value.to_string())
}

fn write_rows(group: &Group, rows: &[Row<'_>], verbose: bool, out: &mut dyn Write) -> Outcome {
    let mut columns = vec![
        growing("GROUP", 15),
        growing("TOPIC", 15),
        fixed("PARTITION", 10),
        fixed("CURRENT-OFFSET", 15),
        fixed("LOG-END-OFFSET", 15),
        notable("LAG", 15),
        growing("CONSUMER-ID", 15),
        growing("HOST", 15),
        fixed("CLIENT-ID", 0),
    ];
    if verbose {
        columns.insert(3, fixed("LEADER-EPOCH", 15));
    }
    let row = |row: &Row<'_>| {
        let epoch = row.committed.map(|committed| committed.leader_epoch).filter(|epoch| *epoch >= 0);
        let mut cells = vec![
            group.name.clone(),
            dash(row.partition.as_ref().map(|(topic, _)| topic)),
            dash(row.partition.as_ref().map(|(_, index)| index)),
            dash(row.committed.map(|committed| committed.offset)),
            dash(row.end),
            dash(row.lag()),
            dash(row.member.map(|member| &member.id)),
            dash(row.member.map(|member| &member.host)),
            dash(row.member.map(|member| &member.client)),
        ];
        if verbose {
            cells.insert(3, dash(epoch));
        }
        cells
    };
    writeln!(out)?;
    table::write(&columns, &rows.iter().map(row).collect::<Vec<_>>(), out)
}

fn write_state(group: &Group, verbose: bool, out: &mut dyn Write) -> Outcome {
    let coordinator =
        format!("{}:{}  ({})", group.coordinator.host, group.coordinator.port, group.coordinator.id);
    let mut columns = vec![
        growing("GROUP", 15),
        growing("COORDINATOR (ID)", 25),
        fixed("ASSIGNMENT-STRATEGY", 20),
        fixed("STATE", 20),
        fixed("#MEMBERS", 0),
    ];
    let assignor = if group.assignor.is_empty() { "-" } else { &group.assignor };
    let members = group.members.len().to_string();
    let mut cells = vec![group.name.clone(), coordinator, assignor.to_owned(), group.state.clone(), members];
    if verbose {
        columns.splice(4..4, [fixed("GROUP-EPOCH", 15), fixed("TARGET-ASSIGNMENT-EPOCH", 25)]);
        let (epoch, target) = (group.epochs.map(|(epoch, _)| epoch), group.epochs.map(|(_, target)| target));
        cells.splice(4..4, [dash(epoch), dash(target)]);
    }
    writeln!(out)?;
    table::write(&columns, &[cells], out)
}

fn write_members(group: &Group, verbose: bool, out: &mut dyn Write) -> Outcome {
    let has_instances = group.members.iter().any(|member| member.instance.is_some());
    // Also of a group without members the name makes the column, though it stands in no line.
    let mut columns = vec![growing("GROUP", group.name.len().max(15)), growing("CONSUMER-ID", 15)];
    if has_instances {
        columns.push(growing("GROUP-INSTANCE-ID", 15));
    }
    columns.extend([growing("HOST", 15), growing("CLIENT-ID", 15), fixed("#PARTITIONS", 15)]);
    if verbose {
        columns.extend([
            fixed("CURRENT-EPOCH", 15),
            fixed("CURRENT-ASSIGNMENT", 20),
            fixed("TARGET-EPOCH", 15),
            fixed("TARGET-ASSIGNMENT", 20),
        ]);
    } else {
        // Kafka's line ends with a blank.
        columns.push(fixed("", 0));
    }
    let row = |member: &Member| {
        let mut cells = vec![group.name.clone(), member.id.clone()];
        if has_instances {
            cells.push(member.instance.clone().unwrap_or_default());
        }
        cells.extend([member.host.clone(), member.client.clone(), member.assigned.len().to_string()]);
        if verbose {
            let target_epoch = dash(member.target.as_ref().and(group.epochs).map(|(_, target)| target));
            let target = dash(member.target.as_ref().map(|target| assignment(target)));
            cells.extend([dash(member.epoch), assignment(&member.assigned), target_epoch, target]);
        } else {
            cells.push(String::new());
        }
        cells
    };
    writeln!(out)?;
    table::write(&columns, &group.members.iter().map(row).collect::<Vec<_>>(), out)
}

/// `a:0,1;b:2`, as Kafka's tool writes assignments since 4.0.
fn assignment(partitions: &[TopicPartition]) -> String {
    let mut topics: BTreeMap<&str, BTreeSet<i32>> = BTreeMap::new();
    for (topic, index) in partitions {
        topics.entry(topic).or_default().insert(*index);
    }
    if topics.is_empty() {
        return "-".to_owned();
    }
    let words: Vec<String> =
        topics.into_iter().map(|(topic, indexes)| format!("{topic}:{}", joined(indexes))).collect();
    words.join(";")
}

fn as_json(group: &Group, rows: &[Row<'_>]) -> Value {
    let members: Vec<Value> = group
        .members
        .iter()
        .map(|member| json!({ "id": member.id, "client": member.client, "host": member.host, "assigned": assignment(&member.assigned) }))
        .collect();
    let offsets: Vec<Value> = rows
        .iter()
        .filter_map(|row| {
            let (topic, partition) = row.partition.as_ref()?;
            Some(json!({
                "topic": topic,
                "partition": partition,
                "current": row.committed.map(|committed| committed.offset),
                "end": row.end,
                "lag": row.lag(),
                "member": row.member.map(|member| &member.id),
            }))
        })
        .collect();
    json!({ "group": group.name, "state": group.state, "members": members, "offsets": offsets })
}

/// For callers that need the group to stand still.
///
/// # Errors
/// It has members.
pub(super) fn require_inactive(client: &mut Client, name: &str) -> Outcome {
    match state::describe(client, name) {
        // A group that is new comes into being with its first offset.
        Err(failure) if failure.code() == Some(protocol::ErrorCode::GroupIdNotFound) => Ok(()),
        Err(failure) => Err(failure),
        Ok(group) if matches!(group.state.as_str(), "Empty" | "Dead") => Ok(()),
        Ok(group) => Err(Failure::new(format!(
            "Error: Assignments can only be reset if the group '{name}' is inactive, but the current state is {}.",
            group.state
        ))),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::client::Broker;

    fn group() -> Group {
        let coordinator = Broker { id: 0, host: "127.0.0.1".to_owned(), port: 9092, rack: None };
        let (assignor, state) = (String::new(), "Empty".to_owned());
        Group { name: "g1".to_owned(), coordinator, assignor, state, epochs: None, members: Vec::new() }
    }

    fn text(write: impl FnOnce(&mut Vec<u8>) -> Outcome) -> String {
        let mut out = Vec::new();
        write(&mut out).unwrap();
        String::from_utf8(out).unwrap()
    }

    #[test]
    fn tables_are_kafkas_to_the_column() {
        let committed = Some(Committed { offset: 2, leader_epoch: 0 });
        let rows = [Row { partition: Some(("alpha".to_owned(), 1)), committed, end: Some(5), member: None }];
        assert_eq!(
            text(|out| write_rows(&group(), &rows, false, out)),
            "\nGROUP           TOPIC           PARTITION  CURRENT-OFFSET  LOG-END-OFFSET  LAG             CONSUMER-ID     HOST            CLIENT-ID\n\
             g1              alpha           1          2               5               3               -               -               -\n"
        );
        assert_eq!(
            text(|out| write_state(&group(), false, out)),
            "\nGROUP           COORDINATOR (ID)          ASSIGNMENT-STRATEGY  STATE                #MEMBERS\n\
             g1              127.0.0.1:9092  (0)       -                    Empty                0\n"
        );
        assert_eq!(
            text(|out| write_members(&group(), false, out)),
            "\nGROUP           CONSUMER-ID     HOST            CLIENT-ID       #PARTITIONS     \n"
        );
    }

    #[test]
    fn assignment_is_sorted_by_topic_and_partition() {
        let partitions = [("b", 2), ("a", 1), ("a", 0)].map(|(topic, index)| (topic.to_owned(), index));
        assert_eq!(assignment(&partitions), "a:0,1;b:2");
    }
}
