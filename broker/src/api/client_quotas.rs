//! DescribeClientQuotas (48), versions 0 and 1, and AlterClientQuotas (49), versions 0 and 1 (KIP-546).
//!
//! A filter names entity types with a name, the default, or anything; a strict one takes no entity with further types. Each
//! entity of a change has its own outcome, the answer waits until the changes are durable. An entity or a quota that is
//! named twice is refused. What is right about both is said in `client_quotas`.
//!
//! Deliberate gaps: quotas are kept and told, nobody is throttled by them; names of hosts are not resolved.

use std::collections::HashSet;
use std::sync::Arc;

use protocol::layout::Layout;
use protocol::messages::alter_client_quotas_request::{EntityData as RequestedPart, EntryData as Change};
use protocol::messages::alter_client_quotas_response as altered;
use protocol::messages::describe_client_quotas_request::ComponentData;
use protocol::messages::describe_client_quotas_response::{EntityData, EntryData, ValueData};
use protocol::messages::{
    AlterClientQuotasRequest, AlterClientQuotasResponse, ApiKey, DescribeClientQuotasRequest,
    DescribeClientQuotasResponse,
};
use protocol::{ErrorCode, StrBytes, layouts};
use storage::{Configs, Position};

use super::create_topics::Failure;
use super::{Api, Reply, RequestContext, Response};
use crate::broker::Broker;
use crate::client_quotas::{Entity, Filter, Match, WrongFilter, check};
use crate::error_map;
use crate::stored_configs::{self, Scope};

pub(super) struct DescribeClientQuotas;
pub(super) struct AlterClientQuotas;

impl Api for DescribeClientQuotas {
    type Request = DescribeClientQuotasRequest;
    type Response = DescribeClientQuotasResponse;
    const KEY: ApiKey = ApiKey::DescribeClientQuotas;
    const LAYOUT: &'static Layout = &layouts::security::DESCRIBE_CLIENT_QUOTAS;

    fn handle(
        broker: &Arc<Broker>,
        context: &RequestContext<'_>,
        request: DescribeClientQuotasRequest,
    ) -> Reply {
        let parts = request.components.iter().map(|part| (part.entity_type.to_string(), matched(part)));
        let filter = Filter::checked(parts, request.strict).map_err(|wrong| match wrong {
            WrongFilter::Request(why) => (ErrorCode::InvalidRequest, why),
            WrongFilter::Version(why) => (ErrorCode::UnsupportedVersion, why),
        });
        let response = match filter {
            Ok(filter) => DescribeClientQuotasResponse::default()
                .with_error_message(Some(StrBytes::default()))
                .with_entries(Some(entries(&broker.store.broker_configs(), &filter))),
            Err((error, message)) => DescribeClientQuotasResponse::default()
                .with_error_code(error.code())
                .with_error_message(Some(StrBytes::from_string(message)))
                .with_entries(None),
        };
        context.reply(&response)
    }
}

fn matched(component: &ComponentData) -> Result<Match, String> {
    let invalid = |why: &str| Err(why.to_owned());
    let matched = match (component.match_type, &component._match) {
        (0, Some(name)) => Match::Exact(name.to_string()),
        (0, None) => return invalid("Request specified MATCH_TYPE_EXACT, but set match string to null."),
        (1, None) => Match::Default,
        (1, Some(_)) => {
            return invalid("Request specified MATCH_TYPE_DEFAULT, but also specified a match string.");
        }
        (2, None) => Match::Any,
        (2, Some(_)) => {
            return invalid("Request specified MATCH_TYPE_SPECIFIED, but also specified a match string.");
        }
        (other, _) => return invalid(&format!("Unknown match type {other}")),
    };
    Ok(matched)
}

fn entries(all: &Configs, filter: &Filter) -> Vec<EntryData> {
    let mut entries = Vec::new();
    for stored in stored_configs::quotas(all) {
        let entity = Entity::from_stored(&stored);
        if !filter.takes(&entity) {
            continue;
        }
        let values = Scope::Quota(&stored).of(all).into_iter().filter_map(|(key, value)| {
            let value = value.parse().ok()?;
            Some(ValueData::default().with_key(StrBytes::from_string(key)).with_value(value))
        });
        let parts = entity.parts().map(|(kind, name)| {
            EntityData::default()
                .with_entity_type(StrBytes::from_string(kind.clone()))
                .with_entity_name(name.clone().map(StrBytes::from_string))
        });
        entries.push(EntryData::default().with_entity(parts.collect()).with_values(values.collect()));
    }
    entries
}

impl Api for AlterClientQuotas {
    type Request = AlterClientQuotasRequest;
    type Response = AlterClientQuotasResponse;
    const KEY: ApiKey = ApiKey::AlterClientQuotas;
    const LAYOUT: &'static Layout = &layouts::security::ALTER_CLIENT_QUOTAS;

    fn handle(
        broker: &Arc<Broker>,
        context: &RequestContext<'_>,
        request: AlterClientQuotasRequest,
    ) -> Reply {
        let version = context.version();
        let (outcomes, durable) = alter(broker, &request.entries, request.validate_only);
        let mut entries: Vec<altered::EntryData> =
            request.entries.iter().zip(outcomes).map(answered).collect();
        Reply::when_acknowledged(broker, durable, move |outcome| {
            if let Err(error) = outcome {
                let good = entries.iter_mut().filter(|entry| entry.error_code == 0);
                good.for_each(|entry| entry.error_code = error.code());
            }
            Response::encode(&AlterClientQuotasResponse::default().with_entries(entries), version)
        })
    }
}

fn answered((change, outcome): (&Change, Result<(), Failure>)) -> altered::EntryData {
    // Of a type that is named twice the last one counts.
    let is_last = |(place, part): &(usize, &RequestedPart)| {
        change.entity[place + 1..].iter().all(|later| later.entity_type != part.entity_type)
    };
    let parts = change.entity.iter().enumerate().filter(is_last).map(|(_, part)| {
        altered::EntityData::default()
            .with_entity_type(part.entity_type.clone())
            .with_entity_name(part.entity_name.clone())
    });
    let entry = altered::EntryData::default().with_entity(parts.collect());
    match outcome {
        Ok(()) => entry.with_error_message(None),
        Err((error, message)) => {
            entry.with_error_code(error.code()).with_error_message(Some(StrBytes::from_string(message)))
        }
    }
}

/// Makes all changes that are right, in one piece.
fn alter(
    broker: &Broker,
    changes: &[Change],
    validate_only: bool,
) -> (Vec<Result<(), Failure>>, Option<Position>) {
    let _one_at_a_time = broker.config_changes.lock().expect("nothing panics under this lock");
    let before = broker.store.broker_configs();
    let (mut all, mut seen) = (before.as_ref().clone(), HashSet::new());
    let mut outcomes: Vec<Result<(), Failure>> = Vec::with_capacity(changes.len());
    for change in changes {
        let made = make(change, &mut seen, &mut all);
        outcomes.push(made.map_err(|why| (ErrorCode::InvalidRequest, why)));
    }
    if validate_only || all == *before {
        return (outcomes, None);
    }
    match broker.store.set_broker_configs(all) {
        Ok(position) => (outcomes, Some(position)),
        Err(error) => {
            let failure = (error_map::topic_error(&error), error.to_string());
            let fail = |outcome: Result<(), Failure>| outcome.and_then(|()| Err(failure.clone()));
            (outcomes.into_iter().map(fail).collect(), None)
        }
    }
}

/// Leaves `all` as it is where the change is wrong.
fn make(change: &Change, seen: &mut HashSet<Entity>, all: &mut Configs) -> Result<(), String> {
    let parts = change
        .entity
        .iter()
        .map(|part| (part.entity_type.to_string(), part.entity_name.as_ref().map(ToString::to_string)));
    let entity = Entity::checked(parts)?;
    let mut keys = HashSet::new();
    let twice = change.ops.iter().any(|op| !keys.insert(op.key.as_str()));
    if !seen.insert(entity.clone()) || twice {
        return Err(format!("Ignoring duplicate entity {entity}"));
    }
    let stored = entity.stored();
    let scope = Scope::Quota(&stored);
    let mut quotas = scope.of(all);
    for op in &change.ops {
        let key = op.key.to_string();
        if op.remove {
            quotas.remove(&key);
        } else {
            check(&entity, &key, op.value)?;
            quotas.insert(key, format!("{:?}", op.value));
        }
    }
    scope.replace(all, quotas);
    Ok(())
}
