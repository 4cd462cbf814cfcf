//! ConsumerGroupDescribe (Kafka's `consumerGroupDescribe` in `GroupMetadataManager`).

use std::time::Instant;

use protocol::ErrorCode;

use super::ConsumerGroup;
use super::assignor::Assignor;
use super::member::{Assignment, ConsumerMember, partitions};
use super::topics::TopicIndex;
use crate::coordinator::effect::WaiterId;
use crate::coordinator::group::GroupCoordinator;
use crate::coordinator::group::response::{
    DescribedConsumer, DescribedConsumerGroup, NamedAssignment, Response,
};

impl GroupCoordinator {
    pub(in crate::coordinator::group) fn describe_consumer_group(
        &mut self,
        now: Instant,
        waiter: WaiterId,
        group_id: &str,
    ) {
        let default = self.config.consumer.assignors.first().copied().unwrap_or(Assignor::Uniform);
        let refused = |message: String| {
            let described = DescribedConsumerGroup::refused(ErrorCode::GroupIdNotFound, group_id.to_owned());
            DescribedConsumerGroup { message: Some(message), ..described }
        };
        let Some(mut turn) = self.turn(now, group_id) else {
            let response = refused(format!("Group {group_id} not found."));
            return self.outbox.respond(waiter, Response::ConsumerGroupDescribe(response));
        };
        let described = match &turn.group.consumer {
            Some(consumer) => describe(group_id, consumer, default, turn.topics),
            None => refused(format!("Group {group_id} is not a consumer group.")),
        };
        turn.respond_when_durable(waiter, Response::ConsumerGroupDescribe(described));
    }
}

fn describe(
    group_id: &str,
    consumer: &ConsumerGroup,
    default: Assignor,
    topics: &TopicIndex,
) -> DescribedConsumerGroup {
    let members = consumer.members().map(|member| {
        let target = consumer.target.get(&member.id).cloned().unwrap_or_default();
        describe_member(member, &target, topics)
    });
    DescribedConsumerGroup {
        error: ErrorCode::None,
        message: None,
        group_id: group_id.to_owned(),
        state: consumer.state().name(),
        epoch: consumer.epoch,
        assignment_epoch: consumer.assignment_epoch,
        assignor: consumer.preferred_assignor().unwrap_or(default.name()).to_owned(),
        members: members.collect(),
    }
}

fn describe_member(member: &ConsumerMember, target: &Assignment, topics: &TopicIndex) -> DescribedConsumer {
    DescribedConsumer {
        member_id: member.id.to_string(),
        instance_id: member.instance_id.clone(),
        rack_id: member.rack_id.clone(),
        epoch: member.epoch,
        client_id: member.client_id.clone(),
        client_host: member.client_host.clone(),
        topics: member.topics.iter().cloned().collect(),
        regex: member.pattern().map(str::to_owned),
        assignment: named(&partitions(&member.assigned), topics),
        target: named(target, topics),
        is_classic: member.classic.is_some(),
    }
}

/// Topics that are gone have no name and are left out.
pub(in crate::coordinator::group) fn named(assignment: &Assignment, topics: &TopicIndex) -> NamedAssignment {
    let name = |(topic, partitions): (&uuid::Uuid, &std::collections::BTreeSet<i32>)| {
        let name = topics.name(*topic)?.to_owned();
        Some((*topic, name, partitions.iter().copied().collect()))
    };
    assignment.iter().filter_map(name).collect()
}
