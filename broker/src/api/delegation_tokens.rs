//! CreateDelegationToken (38) and DescribeDelegationToken (41), versions 1 to 3, RenewDelegationToken (39) and
//! ExpireDelegationToken (40), versions 1 and 2: the answers to somebody who has not said who it is.
//!
//! As from Kafka over a listener without authentication: DELEGATION_TOKEN_REQUEST_NOT_ALLOWED, with or without a
//! `delegation.token.secret.key`. Tools tell that from an API that is not there.

use std::sync::Arc;

use protocol::layout::Layout;
use protocol::messages::{
    ApiKey, CreateDelegationTokenRequest, CreateDelegationTokenResponse, DescribeDelegationTokenRequest,
    DescribeDelegationTokenResponse, ExpireDelegationTokenRequest, ExpireDelegationTokenResponse,
    RenewDelegationTokenRequest, RenewDelegationTokenResponse,
};
use protocol::{ErrorCode, StrBytes, layouts};

use super::{Api, Reply, RequestContext};
use crate::broker::Broker;

const NOT_ALLOWED: i16 = ErrorCode::DelegationTokenRequestNotAllowed.code();
/// Who everybody is without authentication: type and name of Kafka's `KafkaPrincipal.ANONYMOUS`.
const ANONYMOUS: (StrBytes, StrBytes) =
    (StrBytes::from_static_str("User"), StrBytes::from_static_str("ANONYMOUS"));
/// No point in time.
const NEVER: i64 = -1;

pub(super) struct CreateDelegationToken;
pub(super) struct RenewDelegationToken;
pub(super) struct ExpireDelegationToken;
pub(super) struct DescribeDelegationToken;

impl Api for CreateDelegationToken {
    type Request = CreateDelegationTokenRequest;
    type Response = CreateDelegationTokenResponse;
    const KEY: ApiKey = ApiKey::CreateDelegationToken;
    const LAYOUT: &'static Layout = &layouts::security::CREATE_DELEGATION_TOKEN;

    fn handle(_: &Arc<Broker>, context: &RequestContext<'_>, asked: CreateDelegationTokenRequest) -> Reply {
        let named = asked.owner_principal_name.filter(|name| !name.is_empty());
        let owner = match named {
            Some(name) => (asked.owner_principal_type.unwrap_or_default(), name),
            None => ANONYMOUS,
        };
        let requester = if context.version() >= 3 { ANONYMOUS } else { Default::default() };
        let refused = CreateDelegationTokenResponse::default()
            .with_error_code(NOT_ALLOWED)
            .with_principal_type(owner.0)
            .with_principal_name(owner.1)
            .with_token_requester_principal_type(requester.0)
            .with_token_requester_principal_name(requester.1)
            .with_issue_timestamp_ms(NEVER)
            .with_expiry_timestamp_ms(NEVER)
            .with_max_timestamp_ms(NEVER);
        context.reply(&refused)
    }
}

impl Api for RenewDelegationToken {
    type Request = RenewDelegationTokenRequest;
    type Response = RenewDelegationTokenResponse;
    const KEY: ApiKey = ApiKey::RenewDelegationToken;
    const LAYOUT: &'static Layout = &layouts::security::RENEW_DELEGATION_TOKEN;

    fn handle(_: &Arc<Broker>, context: &RequestContext<'_>, _: RenewDelegationTokenRequest) -> Reply {
        let refused = RenewDelegationTokenResponse::default().with_error_code(NOT_ALLOWED);
        context.reply(&refused.with_expiry_timestamp_ms(NEVER))
    }
}

impl Api for ExpireDelegationToken {
    type Request = ExpireDelegationTokenRequest;
    type Response = ExpireDelegationTokenResponse;
    const KEY: ApiKey = ApiKey::ExpireDelegationToken;
    const LAYOUT: &'static Layout = &layouts::security::EXPIRE_DELEGATION_TOKEN;

    fn handle(_: &Arc<Broker>, context: &RequestContext<'_>, _: ExpireDelegationTokenRequest) -> Reply {
        let refused = ExpireDelegationTokenResponse::default().with_error_code(NOT_ALLOWED);
        context.reply(&refused.with_expiry_timestamp_ms(NEVER))
    }
}

impl Api for DescribeDelegationToken {
    type Request = DescribeDelegationTokenRequest;
    type Response = DescribeDelegationTokenResponse;
    const KEY: ApiKey = ApiKey::DescribeDelegationToken;
    const LAYOUT: &'static Layout = &layouts::security::DESCRIBE_DELEGATION_TOKEN;

    fn handle(_: &Arc<Broker>, context: &RequestContext<'_>, _: DescribeDelegationTokenRequest) -> Reply {
        context.reply(&DescribeDelegationTokenResponse::default().with_error_code(NOT_ALLOWED))
    }
}
