//! `POST /test/reset`: the broker as if it had just been started empty, between two tests.
//!
//! Invariant: when it is answered, no client can see a topic or a group of before; internal topics stay, what they said of
//! groups is tombstoned.

use std::sync::Arc;

use hyper::StatusCode;
use protocol::messages::delete_topics_request::DeleteTopicState;
use protocol::messages::{
    ApiKey, DeleteGroupsRequest, DeleteGroupsResponse, DeleteTopicsRequest, DeleteTopicsResponse, GroupId,
    TopicName,
};
use protocol::{ErrorCode, StrBytes};
use serde::{Deserialize, Serialize};

use super::broker_verbs::fill_disk;
use super::faults::Shown;
use super::groups;
use super::http::{Call, Failure, Outcome, answer};
use super::inner_client::ask;
use crate::broker::Broker;
use crate::topics;

/// What the caller may say.
#[derive(Debug, Default, Deserialize)]
#[serde(default, deny_unknown_fields)]
struct Wish {
    /// Topics that stay with their records.
    keep_topics: Vec<String>,
}

/// What was done.
#[derive(Debug, Serialize)]
struct Done {
    topics_deleted: Vec<String>,
    groups_deleted: Vec<String>,
    requests_forgotten: usize,
    faults_deleted: usize,
    /// Rules that no request met: what a test believed to be tested was not.
    faults_never_fired: Vec<Shown>,
}

/// See the module.
pub(super) async fn reset(call: Call) -> Outcome {
    let wish: Wish = call.body()?;
    let unknown = wish.keep_topics.iter().find(|name| call.broker.store.topic(name).is_none());
    if let Some(unknown) = unknown {
        let sentence = format!("keep_topics names {unknown}, which is no topic; nothing was deleted");
        return Err(Failure::bad(sentence));
    }
    // First, so that none of them meets what clients do about the rest.
    let faults = call.test_mode().faults().remove_all();
    call.test_mode().imitate(None);
    call.test_mode().disk.slow_down(0);
    fill_disk(&call, false);
    let groups_deleted = delete_groups(&call.broker).await?;
    let topics_deleted = delete_topics(&call.broker, &wish.keep_topics).await?;
    let requests_forgotten = call.test_mode().requests().forget_all();
    answer(&Done {
        topics_deleted,
        groups_deleted,
        requests_forgotten,
        faults_deleted: faults.len(),
        faults_never_fired: faults.into_iter().filter(|fault| fault.hits == 0).collect(),
    })
}

async fn delete_groups(broker: &Arc<Broker>) -> Result<Vec<String>, Failure> {
    let mut deleted = Vec::new();
    for group in groups::all(broker).await {
        for member in groups::members(broker, &group.group_id).await? {
            groups::take_out(broker, &group.group_id, &member).await?;
        }
        deleted.push(group.group_id);
    }
    let names = deleted.iter().map(|name| GroupId(StrBytes::from_string(name.clone())));
    let request = DeleteGroupsRequest::default().with_groups_names(names.collect());
    let answered: DeleteGroupsResponse = ask(broker, ApiKey::DeleteGroups, 2, &request).await?;
    let codes = answered.results.iter().map(|result| (result.group_id.to_string(), result.error_code));
    check(codes, &[ErrorCode::GroupIdNotFound])?;
    Ok(deleted)
}

async fn delete_topics(broker: &Arc<Broker>, keep: &[String]) -> Result<Vec<String>, Failure> {
    let mut names: Vec<String> = broker.store.topics().iter().map(|topic| topic.name().to_string()).collect();
    names.retain(|name| !topics::is_internal(name) && !keep.contains(name));
    let topics = names.iter().map(|name| {
        DeleteTopicState::default().with_name(Some(TopicName(StrBytes::from_string(name.clone()))))
    });
    let request = DeleteTopicsRequest::default().with_topics(topics.collect()).with_timeout_ms(10_000);
    let answered: DeleteTopicsResponse = ask(broker, ApiKey::DeleteTopics, 6, &request).await?;
    let name = |name: &Option<TopicName>| name.as_ref().map(|name| name.to_string()).unwrap_or_default();
    let codes = answered.responses.iter().map(|result| (name(&result.name), result.error_code));
    check(codes, &[ErrorCode::UnknownTopicOrPartition])?;
    Ok(names)
}

/// The first that did not go is the answer; `gone` are codes of what went by itself.
fn check(codes: impl Iterator<Item = (String, i16)>, gone: &[ErrorCode]) -> Result<(), Failure> {
    let refused = |(_, code): &(String, i16)| *code != 0 && gone.iter().all(|gone| gone.code() != *code);
    let Some((name, code)) = codes.into_iter().find(refused) else { return Ok(()) };
    let error = ErrorCode::from_code(code).map_or("an unknown error", ErrorCode::name);
    Err(Failure::new(
        StatusCode::CONFLICT,
        format!("{name} was not deleted: {error}; reset again when its clients are gone"),
    ))
}
