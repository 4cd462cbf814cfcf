//! DescribeUserScramCredentials (50) and AlterUserScramCredentials (51), version 0 (KIP-554).
//!
//! A user that a request names twice is left alone, also where the two are about different mechanisms. All changes that are
//! right are made in one piece, and the answer waits until they are durable. What is right is said in `scram_users`.
//!
//! Deliberate gaps: users are kept and told, no listener asks for them; results come in the order of the request, where
//! Kafka's have none.

use std::collections::HashMap;
use std::collections::hash_map::Entry;
use std::sync::Arc;

use protocol::layout::Layout;
use protocol::messages::alter_user_scram_credentials_request::{
    ScramCredentialDeletion, ScramCredentialUpsertion,
};
use protocol::messages::alter_user_scram_credentials_response::AlterUserScramCredentialsResult;
use protocol::messages::describe_user_scram_credentials_response::{
    CredentialInfo, DescribeUserScramCredentialsResult,
};
use protocol::messages::{
    AlterUserScramCredentialsRequest, AlterUserScramCredentialsResponse, ApiKey,
    DescribeUserScramCredentialsRequest, DescribeUserScramCredentialsResponse,
};
use protocol::{ErrorCode, StrBytes, layouts};
use storage::{Configs, Position};

use super::create_topics::Failure;
use super::{Api, Reply, RequestContext, Response};
use crate::broker::Broker;
use crate::error_map;
use crate::scram_users::{Mechanism, check_iterations, iterations, stored};
use crate::stored_configs::{self, Scope};

pub(super) struct DescribeUserScramCredentials;
pub(super) struct AlterUserScramCredentials;

impl Api for DescribeUserScramCredentials {
    type Request = DescribeUserScramCredentialsRequest;
    type Response = DescribeUserScramCredentialsResponse;
    const KEY: ApiKey = ApiKey::DescribeUserScramCredentials;
    const LAYOUT: &'static Layout = &layouts::security::DESCRIBE_USER_SCRAM_CREDENTIALS;

    fn handle(
        broker: &Arc<Broker>,
        context: &RequestContext<'_>,
        request: DescribeUserScramCredentialsRequest,
    ) -> Reply {
        let all = broker.store.broker_configs();
        let names = request.users.unwrap_or_default().into_iter().map(|user| user.name.to_string());
        let mut asked = once_or_more(names);
        if asked.is_empty() {
            asked = stored_configs::scram_users(&all).into_iter().map(|user| (user, false)).collect();
        }
        let results = asked.into_iter().map(|(user, more)| described(&all, user, more));
        let response = DescribeUserScramCredentialsResponse::default()
            .with_error_message(Some(StrBytes::default()))
            .with_results(results.collect());
        context.reply(&response)
    }
}

/// Each name in the order of its first mention, and whether there are more of it.
fn once_or_more(names: impl Iterator<Item = String>) -> Vec<(String, bool)> {
    let (mut places, mut found) = (HashMap::<String, usize>::new(), Vec::<(String, bool)>::new());
    for name in names {
        match places.entry(name.clone()) {
            Entry::Occupied(place) => found[*place.get()].1 = true,
            Entry::Vacant(place) => {
                place.insert(found.len());
                found.push((name, false));
            }
        }
    }
    found
}

fn described(all: &Configs, user: String, more: bool) -> DescribeUserScramCredentialsResult {
    let credentials = Scope::ScramUser(&user).of(all);
    let infos: Vec<_> = Mechanism::ALL
        .into_iter()
        .filter_map(|mechanism| {
            let iterations = iterations(credentials.get(mechanism.name())?)?;
            Some(CredentialInfo::default().with_mechanism(mechanism.number()).with_iterations(iterations))
        })
        .collect();
    let failure = if more {
        let why = "Cannot describe SCRAM credentials for the same user twice in a single request: ";
        Some((ErrorCode::DuplicateResource, why))
    } else if infos.is_empty() {
        let why = "Attempt to describe a user credential that does not exist: ";
        Some((ErrorCode::ResourceNotFound, why))
    } else {
        None
    };
    let result = DescribeUserScramCredentialsResult::default();
    let result = match failure {
        None => result.with_error_message(Some(StrBytes::default())).with_credential_infos(infos),
        Some((error, why)) => result
            .with_error_code(error.code())
            .with_error_message(Some(StrBytes::from_string(format!("{why}{user}")))),
    };
    result.with_user(StrBytes::from_string(user))
}

/// What is asked for one user.
enum Change<'a> {
    Delete(&'a ScramCredentialDeletion),
    Upsert(&'a ScramCredentialUpsertion),
}

impl Change<'_> {
    fn user(&self) -> &StrBytes {
        match self {
            Self::Delete(deletion) => &deletion.name,
            Self::Upsert(upsertion) => &upsertion.name,
        }
    }

    /// Under which name what is to be stored; nothing when it goes.
    fn checked(&self, all: &Configs) -> Result<(String, Option<String>), Failure> {
        let stored_name = |mechanism: Mechanism| Scope::ScramUser(self.user()).stored_name(mechanism.name());
        match self {
            Self::Delete(deletion) => {
                let name = stored_name(Mechanism::of(&deletion.name, deletion.mechanism)?);
                if !all.contains_key(&name) {
                    let why = "Attempt to delete a user credential that does not exist";
                    return Err((ErrorCode::ResourceNotFound, why.to_owned()));
                }
                Ok((name, None))
            }
            Self::Upsert(upsertion) => {
                let mechanism = Mechanism::of(&upsertion.name, upsertion.mechanism)?;
                let iterations = upsertion.iterations;
                check_iterations(iterations)?;
                if upsertion.salted_password.is_empty() {
                    // Java's HMAC takes no empty key, and Kafka says no more than this.
                    return Err((ErrorCode::UnknownServerError, String::new()));
                }
                let kept = stored(mechanism, &upsertion.salt, &upsertion.salted_password, iterations);
                Ok((stored_name(mechanism), Some(kept)))
            }
        }
    }
}

impl Api for AlterUserScramCredentials {
    type Request = AlterUserScramCredentialsRequest;
    type Response = AlterUserScramCredentialsResponse;
    const KEY: ApiKey = ApiKey::AlterUserScramCredentials;
    const LAYOUT: &'static Layout = &layouts::security::ALTER_USER_SCRAM_CREDENTIALS;

    fn handle(
        broker: &Arc<Broker>,
        context: &RequestContext<'_>,
        request: AlterUserScramCredentialsRequest,
    ) -> Reply {
        let version = context.version();
        let deletions = request.deletions.iter().map(Change::Delete);
        let changes: Vec<_> = deletions.chain(request.upsertions.iter().map(Change::Upsert)).collect();
        let (mut results, durable) = alter(broker, &changes);
        Reply::when_acknowledged(broker, durable, move |outcome| {
            if let Err(error) = outcome {
                let good = results.iter_mut().filter(|result| result.error_code == 0);
                good.for_each(|result| result.error_code = error.code());
            }
            Response::encode(&AlterUserScramCredentialsResponse::default().with_results(results), version)
        })
    }
}

/// Makes all changes that are right, and says for each user what became of it.
fn alter(
    broker: &Broker,
    changes: &[Change<'_>],
) -> (Vec<AlterUserScramCredentialsResult>, Option<Position>) {
    let _one_at_a_time = broker.config_changes.lock().expect("nothing panics under this lock");
    let before = broker.store.broker_configs();
    let mut times: HashMap<&StrBytes, usize> = HashMap::new();
    changes.iter().for_each(|change| *times.entry(change.user()).or_default() += 1);
    let mut all = before.as_ref().clone();
    let mut outcomes: Vec<(&StrBytes, Result<(), Failure>)> = Vec::with_capacity(changes.len());
    for change in changes {
        let Some(times) = times.remove(change.user()) else { continue };
        let made = change.checked(&all).and_then(|(name, credential)| {
            if times > 1 {
                let why = "A user credential cannot be altered twice in the same request";
                return Err((ErrorCode::DuplicateResource, why.to_owned()));
            }
            match credential {
                Some(credential) => drop(all.insert(name, credential)),
                None => drop(all.remove(&name)),
            }
            Ok(())
        });
        outcomes.push((change.user(), made));
    }
    let mut durable = None;
    if all != *before {
        match broker.store.set_broker_configs(all) {
            Ok(position) => durable = Some(position),
            Err(error) => {
                let failure = (error_map::topic_error(&error), error.to_string());
                outcomes
                    .iter_mut()
                    .filter(|(_, made)| made.is_ok())
                    .for_each(|(_, made)| *made = Err(failure.clone()));
            }
        }
    }
    (outcomes.into_iter().map(answered).collect(), durable)
}

fn answered((user, made): (&StrBytes, Result<(), Failure>)) -> AlterUserScramCredentialsResult {
    let result = AlterUserScramCredentialsResult::default().with_user(user.clone());
    match made {
        Ok(()) => result.with_error_message(None),
        Err((error, why)) => {
            let why = Some(why).filter(|why| !why.is_empty());
            result.with_error_code(error.code()).with_error_message(why.map(StrBytes::from_string))
        }
    }
}
