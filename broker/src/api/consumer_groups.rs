//! ConsumerGroupHeartbeat (68, versions 0 and 1), ConsumerGroupDescribe (69, 0 and 1): consumer groups (KIP-848).
//!
//! The coordinator decides; this room only translates. Heartbeat: 1 adds the pattern and wants the member to make up its own
//! id. Describe: 1 tells which protocol a member speaks. Each group of a describe has its own outcome, in the order asked.
//! Without `consumer` in `group.coordinator.rebalance.protocols` both answer UNSUPPORTED_VERSION, as Kafka does.

use std::sync::Arc;
use std::time::Duration;

use futures_util::future::join_all;
use protocol::layout::Layout;
use protocol::messages::consumer_group_describe_response::{
    Assignment, DescribedGroup, Member, TopicPartitions as DescribedTopic,
};
use protocol::messages::consumer_group_heartbeat_response::{Assignment as Assigned, TopicPartitions};
use protocol::messages::{
    ApiKey, ConsumerGroupDescribeRequest, ConsumerGroupDescribeResponse, ConsumerGroupHeartbeatRequest,
    ConsumerGroupHeartbeatResponse,
};
use protocol::{ErrorCode, StrBytes, layouts};
use uuid::Uuid;

use super::authorized_operations;
use super::group_membership::{ask, text};
use super::{Api, Reply, RequestContext, Response};
use crate::broker::Broker;
use crate::coordinator::base64_id;
use crate::coordinator::group::{self, Request};
use crate::coordinator::shell::unexpected;
use crate::group_config;
use crate::topic_config::BrokerLayers;

pub(super) struct ConsumerGroupHeartbeat;
pub(super) struct ConsumerGroupDescribe;

impl Api for ConsumerGroupHeartbeat {
    type Request = ConsumerGroupHeartbeatRequest;
    type Response = ConsumerGroupHeartbeatResponse;
    const KEY: ApiKey = ApiKey::ConsumerGroupHeartbeat;
    const LAYOUT: &'static Layout = &layouts::groups::CONSUMER_GROUP_HEARTBEAT;

    fn handle(
        broker: &Arc<Broker>,
        context: &RequestContext<'_>,
        request: ConsumerGroupHeartbeatRequest,
    ) -> Reply {
        let version = context.version();
        if !broker.config.groups.consumer_protocol {
            let error = ErrorCode::UnsupportedVersion.code();
            return context.reply(&ConsumerGroupHeartbeatResponse::default().with_error_code(error));
        }
        let names = |topics: Vec<protocol::messages::TopicName>| {
            topics.into_iter().map(|topic| topic.to_string()).collect()
        };
        let owned = request.topic_partitions.map(|topics| {
            let mut owned = group::Assignment::new();
            for topic in topics {
                owned.entry(topic.topic_id).or_default().extend(topic.partitions);
            }
            owned
        });
        let heartbeat = group::ConsumerGroupHeartbeat {
            group_id: request.group_id.to_string(),
            member_id: request.member_id.to_string(),
            member_epoch: request.member_epoch,
            instance_id: text(request.instance_id),
            rack_id: text(request.rack_id),
            rebalance_timeout_ms: request.rebalance_timeout_ms,
            topics: request.subscribed_topic_names.map(names),
            regex: text(request.subscribed_topic_regex),
            server_assignor: text(request.server_assignor),
            owned,
            client_id: context.client_id().to_owned(),
            client_host: format!("/{}", context.connection.peer.ip()),
            settings: settings(broker, &request.group_id),
            requires_member_id: version >= 1,
            fresh_member_id: base64_id(Uuid::new_v4()),
        };
        ask(broker, context, Request::ConsumerGroupHeartbeat(Box::new(heartbeat)), move |response| {
            match response {
                group::Response::ConsumerGroupHeartbeat(beat) => {
                    Response::encode(&heartbeat_response(beat), version)
                }
                other => unexpected(&other),
            }
        })
    }
}

/// What counts for this group at this moment: its own configs, else the broker's.
fn settings(broker: &Broker, group_id: &str) -> group::ConsumerSettings {
    let dynamic = broker.store.broker_configs();
    let default = broker.config.groups.consumer.settings();
    if dynamic.is_empty() {
        return default;
    }
    let layers = BrokerLayers { config: &broker.config, dynamic: &dynamic };
    let millis = |name, default| {
        let value = group_config::effective(&layers, group_id, name);
        value.and_then(|value| value.parse().ok()).map_or(default, Duration::from_millis)
    };
    group::ConsumerSettings {
        session_timeout: millis("consumer.session.timeout.ms", default.session_timeout),
        heartbeat_interval: millis("consumer.heartbeat.interval.ms", default.heartbeat_interval),
        assignment_interval: millis("consumer.assignment.interval.ms", default.assignment_interval),
    }
}

fn heartbeat_response(beat: group::ConsumerGroupHeartbeatResponse) -> ConsumerGroupHeartbeatResponse {
    let assignment = beat.assignment.map(|assignment| {
        let topics = assignment.into_iter().map(|(topic, partitions)| {
            TopicPartitions::default().with_topic_id(topic).with_partitions(partitions.into_iter().collect())
        });
        Assigned::default().with_topic_partitions(topics.collect())
    });
    ConsumerGroupHeartbeatResponse::default()
        .with_error_code(beat.error.code())
        .with_error_message(beat.message.map(StrBytes::from))
        .with_member_id(beat.member_id.map(StrBytes::from))
        .with_member_epoch(beat.member_epoch)
        .with_heartbeat_interval_ms(beat.heartbeat_interval_ms)
        .with_assignment(assignment)
}

impl Api for ConsumerGroupDescribe {
    type Request = ConsumerGroupDescribeRequest;
    type Response = ConsumerGroupDescribeResponse;
    const KEY: ApiKey = ApiKey::ConsumerGroupDescribe;
    const LAYOUT: &'static Layout = &layouts::groups::CONSUMER_GROUP_DESCRIBE;

    fn handle(
        broker: &Arc<Broker>,
        context: &RequestContext<'_>,
        request: ConsumerGroupDescribeRequest,
    ) -> Reply {
        let version = context.version();
        if !broker.config.groups.consumer_protocol {
            let error = ErrorCode::UnsupportedVersion.code();
            let groups = request.group_ids.into_iter();
            let groups = groups.map(|id| DescribedGroup::default().with_error_code(error).with_group_id(id));
            return context.reply(&ConsumerGroupDescribeResponse::default().with_groups(groups.collect()));
        }
        let groups = context.groups(broker);
        Reply::Later(Box::pin(async move {
            let described = join_all(request.group_ids.into_iter().map(|group_id| {
                groups.ask(Request::ConsumerGroupDescribe { group_id: group_id.to_string() })
            }));
            let operations = request.include_authorized_operations;
            let groups = described.await.into_iter().map(|response| match response {
                group::Response::ConsumerGroupDescribe(group) => described_group(version, operations, group),
                other => unreachable!("the coordinator answered another question: {other:?}"),
            });
            Response::encode(&ConsumerGroupDescribeResponse::default().with_groups(groups.collect()), version)
        }))
    }
}

fn described_group(version: i16, operations: bool, group: group::DescribedConsumerGroup) -> DescribedGroup {
    if group.group_id.is_empty() {
        return DescribedGroup::default().with_error_code(ErrorCode::InvalidGroupId.code());
    }
    let members = group.members.into_iter().map(|member| {
        let described = Member::default()
            .with_member_id(member.member_id.into())
            .with_instance_id(member.instance_id.map(StrBytes::from))
            .with_rack_id(member.rack_id.map(StrBytes::from))
            .with_member_epoch(member.epoch)
            .with_client_id(member.client_id.into())
            .with_client_host(member.client_host.into())
            .with_subscribed_topic_names(
                member.topics.into_iter().map(|it| StrBytes::from(it).into()).collect(),
            )
            .with_subscribed_topic_regex(Some(member.regex.map_or_else(StrBytes::default, StrBytes::from)))
            .with_assignment(assignment(member.assignment))
            .with_target_assignment(assignment(member.target));
        if version >= 1 { described.with_member_type(i8::from(!member.is_classic)) } else { described }
    });
    let mut described = DescribedGroup::default();
    if operations && group.error.is_none() {
        described.authorized_operations = authorized_operations::GROUP;
    }
    described
        .with_error_code(group.error.code())
        .with_error_message(group.message.map(StrBytes::from))
        .with_group_id(StrBytes::from(group.group_id).into())
        .with_group_state(StrBytes::from_static_str(group.state))
        .with_group_epoch(group.epoch)
        .with_assignment_epoch(group.assignment_epoch)
        .with_assignor_name(group.assignor.into())
        .with_members(members.collect())
}

fn assignment(named: group::NamedAssignment) -> Assignment {
    let topics = named.into_iter().map(|(id, name, partitions)| {
        DescribedTopic::default()
            .with_topic_id(id)
            .with_topic_name(StrBytes::from(name).into())
            .with_partitions(partitions)
    });
    Assignment::default().with_topic_partitions(topics.collect())
}
