//! ShareGroupHeartbeat (76), ShareGroupDescribe (77), version 1: share groups (KIP-932).
//!
//! The group coordinator decides; this room translates, and has the share coordinator keep a state of the partitions that
//! the group begins to read. The answer waits for that, so that the next heartbeat can bring them. Each group of a describe
//! has its own outcome, in the order asked.

use std::sync::Arc;
use std::time::Duration;

use futures_util::future::join_all;
use protocol::layout::Layout;
use protocol::messages::share_group_describe_response::{
    Assignment, DescribedGroup, Member, TopicPartitions as DescribedTopic,
};
use protocol::messages::share_group_heartbeat_response::{Assignment as Assigned, TopicPartitions};
use protocol::messages::{
    ApiKey, ShareGroupDescribeRequest, ShareGroupDescribeResponse, ShareGroupHeartbeatRequest,
    ShareGroupHeartbeatResponse,
};
use protocol::{ErrorCode, StrBytes, layouts};

use super::authorized_operations;
use super::group_membership::text;
use super::{Api, Reply, RequestContext, Response};
use crate::broker::Broker;
use crate::coordinator::group::{self, Request, ShareRequest, ShareResponse};
use crate::coordinator::runtime::Groups;
use crate::coordinator::share_runtime::SharePartitions;
use crate::coordinator::shell::unexpected;
use crate::group_config;
use crate::topic_config::BrokerLayers;

/// Longest member id, UTF-16 units (Kafka `KafkaApis.isMemberIdValid`).
const LONGEST_MEMBER_ID: usize = 36;

pub(super) struct ShareGroupHeartbeat;
pub(super) struct ShareGroupDescribe;

impl Api for ShareGroupHeartbeat {
    type Request = ShareGroupHeartbeatRequest;
    type Response = ShareGroupHeartbeatResponse;
    const KEY: ApiKey = ApiKey::ShareGroupHeartbeat;
    const LAYOUT: &'static Layout = &layouts::share::SHARE_GROUP_HEARTBEAT;

    fn handle(
        broker: &Arc<Broker>,
        context: &RequestContext<'_>,
        request: ShareGroupHeartbeatRequest,
    ) -> Reply {
        let version = context.version();
        if !is_member_id(&request.member_id) {
            let error = ErrorCode::InvalidRequest.code();
            return context.reply(&ShareGroupHeartbeatResponse::default().with_error_code(error));
        }
        let names = |topics: Vec<protocol::messages::TopicName>| {
            topics.into_iter().map(|topic| topic.to_string()).collect()
        };
        let group_id = request.group_id.to_string();
        let heartbeat = group::ShareGroupHeartbeat {
            group_id: group_id.clone(),
            member_id: request.member_id.to_string(),
            member_epoch: request.member_epoch,
            rack_id: text(request.rack_id),
            topics: request.subscribed_topic_names.map(names),
            client_id: context.client_id().to_owned(),
            client_host: format!("/{}", context.connection.peer.ip()),
            settings: settings(broker, &request.group_id),
        };
        let asked = context.groups(broker);
        let (groups, share_partitions) = (broker.groups.clone(), broker.share_partitions.clone());
        Reply::Later(Box::pin(async move {
            let request = Request::Share(ShareRequest::Heartbeat(Box::new(heartbeat)));
            let mut beat = match asked.ask(request).await {
                group::Response::Share(ShareResponse::Heartbeat(beat)) => beat,
                other => unexpected(&other),
            };
            if let Some(group::Initialize { state_epoch, partitions }) = beat.initialize.take() {
                let each = partitions.iter().flat_map(|(topic, partitions)| {
                    partitions.iter().map(|partition| (*topic, *partition, NOT_CHOSEN))
                });
                let done = share_partitions.initialize(&group_id, state_epoch, each.collect()).await;
                if let Err(error) = &done {
                    tracing::warn!(group = group_id, %error, "the state of a share group's partitions was not made");
                }
                tell_initialized(&groups, group_id, partitions, done.is_ok()).await;
            }
            Response::encode(&heartbeat_response(beat), version)
        }))
    }
}

/// Start offset of a partition that the first fetch chooses it for.
const NOT_CHOSEN: i64 = -1;

/// Tells the group coordinator whether these partitions have a state from now on.
pub(super) async fn tell_initialized(
    groups: &Groups,
    group_id: String,
    partitions: group::Assignment,
    succeeded: bool,
) {
    let told = ShareRequest::Initialized { group_id, partitions, succeeded };
    match groups.ask(Request::Share(told)).await {
        group::Response::Share(ShareResponse::Noted(error)) if error.is_none() => {}
        // What it does not know is initialized again later: that changes nothing.
        group::Response::Share(ShareResponse::Noted(error)) => {
            tracing::debug!(%error, "the group coordinator was not told of initialized partitions");
        }
        other => unexpected(&other),
    }
}

/// Deletes the state of everything that a share group reads; of a group that is none there is nothing to delete.
///
/// # Errors
/// `NON_EMPTY_GROUP`, or what the share coordinator says.
pub(super) async fn delete_state(
    groups: &Groups,
    share_partitions: &SharePartitions,
    group_id: &str,
) -> Result<(), ErrorCode> {
    let all = ShareRequest::DeleteOffsets { group_id: group_id.to_owned(), topics: None };
    let deleting = match groups.ask(Request::Share(all)).await {
        group::Response::Share(ShareResponse::DeleteOffsets(deleting)) => {
            deleting.map_err(|refusal| refusal.error)?
        }
        other => unexpected(&other),
    };
    let each = deleting
        .delete
        .into_iter()
        .flat_map(|(topic, _, partitions)| partitions.into_iter().map(move |partition| (topic, partition)));
    let outcomes = share_partitions.delete(group_id, each.collect()).await;
    match outcomes.into_iter().find(|error| !error.is_none()) {
        Some(error) => Err(error),
        None => Ok(()),
    }
}

fn is_member_id(id: &str) -> bool {
    !id.is_empty() && id.encode_utf16().count() <= LONGEST_MEMBER_ID
}

/// What counts for this group at this moment: its own configs, else the broker's.
fn settings(broker: &Broker, group_id: &str) -> group::ShareSettings {
    let dynamic = broker.store.broker_configs();
    let default = broker.config.groups.share.settings();
    if dynamic.is_empty() {
        return default;
    }
    let layers = BrokerLayers { config: &broker.config, dynamic: &dynamic };
    let millis = |name, default| {
        let value = group_config::effective(&layers, group_id, name);
        value.and_then(|value| value.parse().ok()).map_or(default, Duration::from_millis)
    };
    group::ShareSettings {
        session_timeout: millis("share.session.timeout.ms", default.session_timeout),
        heartbeat_interval: millis("share.heartbeat.interval.ms", default.heartbeat_interval),
        assignment_interval: millis("share.assignment.interval.ms", default.assignment_interval),
    }
}

fn heartbeat_response(beat: group::ShareGroupHeartbeatResponse) -> ShareGroupHeartbeatResponse {
    let assignment = beat.assignment.map(|assignment| {
        let topics = assignment.into_iter().map(|(topic, partitions)| {
            TopicPartitions::default().with_topic_id(topic).with_partitions(partitions.into_iter().collect())
        });
        Assigned::default().with_topic_partitions(topics.collect())
    });
    ShareGroupHeartbeatResponse::default()
        .with_error_code(beat.error.code())
        .with_error_message(beat.message.map(StrBytes::from))
        .with_member_id(beat.member_id.map(StrBytes::from))
        .with_member_epoch(beat.member_epoch)
        .with_heartbeat_interval_ms(beat.heartbeat_interval_ms)
        .with_assignment(assignment)
}

impl Api for ShareGroupDescribe {
    type Request = ShareGroupDescribeRequest;
    type Response = ShareGroupDescribeResponse;
    const KEY: ApiKey = ApiKey::ShareGroupDescribe;
    const LAYOUT: &'static Layout = &layouts::share::SHARE_GROUP_DESCRIBE;

    fn handle(
        broker: &Arc<Broker>,
        context: &RequestContext<'_>,
        request: ShareGroupDescribeRequest,
    ) -> Reply {
        let version = context.version();
        let groups = context.groups(broker);
        Reply::Later(Box::pin(async move {
            let described = join_all(request.group_ids.into_iter().map(|group_id| {
                groups.ask(Request::Share(ShareRequest::Describe { group_id: group_id.to_string() }))
            }));
            let operations = request.include_authorized_operations;
            let groups = described.await.into_iter().map(|response| match response {
                group::Response::Share(ShareResponse::Describe(group)) => described_group(operations, group),
                other => unexpected(&other),
            });
            Response::encode(&ShareGroupDescribeResponse::default().with_groups(groups.collect()), version)
        }))
    }
}

fn described_group(operations: bool, group: group::DescribedShareGroup) -> DescribedGroup {
    if group.group_id.is_empty() {
        return DescribedGroup::default().with_error_code(ErrorCode::InvalidGroupId.code());
    }
    let members = group.members.into_iter().map(|member| {
        Member::default()
            .with_member_id(member.member_id.into())
            .with_rack_id(member.rack_id.map(StrBytes::from))
            .with_member_epoch(member.epoch)
            .with_client_id(member.client_id.into())
            .with_client_host(member.client_host.into())
            .with_subscribed_topic_names(
                member.topics.into_iter().map(|it| StrBytes::from(it).into()).collect(),
            )
            .with_assignment(assignment(member.assignment))
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
        .with_assignor_name(StrBytes::from_static_str(group.assignor))
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
