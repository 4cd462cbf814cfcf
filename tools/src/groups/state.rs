//! What a group is: listed by all brokers, described by its coordinator, in either protocol.

use kafka_protocol::messages::consumer_group_describe_response::Assignment;
use kafka_protocol::messages::{ConsumerGroupDescribeRequest, DescribeGroupsRequest, ListGroupsRequest};
use protocol::ErrorCode;

use super::id;
use crate::client::{Broker, Client, Target};
use crate::consumer::assigned;
use crate::failure::{Failure, Outcome};
use crate::partitions::TopicPartition;

/// A group as it is listed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Listed {
    pub(super) name: String,
    pub(super) kind: String,
    pub(super) state: String,
}

#[derive(Debug)]
pub(super) struct Member {
    pub(super) id: String,
    pub(super) instance: Option<String>,
    pub(super) host: String,
    pub(super) client: String,
    pub(super) epoch: Option<i32>,
    pub(super) assigned: Vec<TopicPartition>,
    pub(super) target: Option<Vec<TopicPartition>>,
}

#[derive(Debug)]
pub(super) struct Group {
    pub(super) name: String,
    pub(super) coordinator: Broker,
    pub(super) assignor: String,
    pub(super) state: String,
    /// Of groups of the new protocol: the group's and its target assignment's.
    pub(super) epochs: Option<(i32, i32)>,
    pub(super) members: Vec<Member>,
}

/// All consumer groups, by name.
pub(super) fn list(client: &mut Client) -> Outcome<Vec<Listed>> {
    let brokers = client.cluster(Some(&[]))?.brokers;
    let mut groups = Vec::new();
    for broker in brokers {
        let answer = client.retry(|client| {
            let answer = client.call(Target::Node(broker.id), &ListGroupsRequest::default())?;
            Failure::check(answer.error_code, None)?;
            Ok(answer)
        })?;
        // Groups without members may have no protocol; Connect's and others' are not consumers'.
        let consumers =
            answer.groups.into_iter().filter(|group| matches!(group.protocol_type.as_str(), "consumer" | ""));
        groups.extend(consumers.map(|group| Listed {
            name: group.group_id.0.to_string(),
            kind: proper(group.group_type.as_str(), "Classic"),
            state: group.group_state.to_string(),
        }));
    }
    groups.sort_by(|a, b| a.name.cmp(&b.name));
    Ok(groups)
}

/// `classic` as Kafka's tool writes it.
fn proper(word: &str, default: &str) -> String {
    let mut letters = word.chars();
    match letters.next() {
        None => default.to_owned(),
        Some(first) => first.to_uppercase().chain(letters.flat_map(char::to_lowercase)).collect(),
    }
}

/// # Errors
/// There is no such group.
pub(super) fn describe(client: &mut Client, name: &str) -> Outcome<Group> {
    let modern = ConsumerGroupDescribeRequest::default().with_group_ids(vec![id(name)]);
    let outcome = client.retry(|client| {
        let coordinator = client.coordinator(name)?;
        let answer = client.call(Target::Node(coordinator.id), &modern)?;
        let group = answer
            .groups
            .into_iter()
            .next()
            .ok_or_else(|| Failure::new("the broker left the group out of its answer"))?;
        Failure::check(group.error_code, group.error_message.as_deref())?;
        let members = group.members.into_iter().map(|member| Member {
            id: member.member_id.to_string(),
            instance: member.instance_id.map(|id| id.to_string()),
            host: member.client_host.to_string(),
            client: member.client_id.to_string(),
            epoch: Some(member.member_epoch),
            assigned: partitions(&member.assignment),
            target: Some(partitions(&member.target_assignment)),
        });
        Ok(Group {
            name: name.to_owned(),
            coordinator,
            assignor: group.assignor_name.to_string(),
            state: group.group_state.to_string(),
            epochs: Some((group.group_epoch, group.assignment_epoch)),
            members: members.collect(),
        })
    });
    match outcome {
        Err(failure)
            if matches!(failure.code(), Some(ErrorCode::GroupIdNotFound | ErrorCode::UnsupportedVersion)) =>
        {
            classic(client, name)
        }
        outcome => outcome,
    }
}

fn classic(client: &mut Client, name: &str) -> Outcome<Group> {
    let request = DescribeGroupsRequest::default().with_groups(vec![id(name)]);
    client.retry(|client| {
        let coordinator = client.coordinator(name)?;
        let answer = client.call(Target::Node(coordinator.id), &request)?;
        let group = answer
            .groups
            .into_iter()
            .next()
            .ok_or_else(|| Failure::new("the broker left the group out of its answer"))?;
        // Brokers before 4.0 know every name and call the group dead.
        let dead = group.error_code == 0 && group.group_state.as_str() == "Dead";
        if dead || group.error_code == ErrorCode::GroupIdNotFound.code() {
            return Err(Failure::broker(69, Some(&format!("Group {name} not found."))));
        }
        Failure::check(group.error_code, group.error_message.as_deref())?;
        let mut members = Vec::new();
        for member in group.members {
            members.push(Member {
                id: member.member_id.to_string(),
                instance: member.group_instance_id.map(|id| id.to_string()),
                host: member.client_host.to_string(),
                client: member.client_id.to_string(),
                epoch: None,
                assigned: assigned(member.member_assignment)?,
                target: None,
            });
        }
        Ok(Group {
            name: name.to_owned(),
            coordinator,
            assignor: group.protocol_data.to_string(),
            state: group.group_state.to_string(),
            epochs: None,
            members,
        })
    })
}

fn partitions(assignment: &Assignment) -> Vec<TopicPartition> {
    let topics = assignment.topic_partitions.iter();
    topics
        .flat_map(|topic| topic.partitions.iter().map(|index| (topic.topic_name.to_string(), *index)))
        .collect()
}
