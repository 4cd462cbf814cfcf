//! SaslHandshake (17), versions 0 and 1, and SaslAuthenticate (36), versions 0 to 2: the answers of a listener that asks nobody
//! who it is.
//!
//! As from Kafka: ILLEGAL_SASL_STATE, and the connection stays. A client that was told to authenticate learns so that it need
//! not, where a closed connection would look like a broker that is not there.

use std::sync::Arc;

use protocol::layout::Layout;
use protocol::messages::{
    ApiKey, SaslAuthenticateRequest, SaslAuthenticateResponse, SaslHandshakeRequest, SaslHandshakeResponse,
};
use protocol::{ErrorCode, StrBytes, layouts};

use super::{Api, Reply, RequestContext};
use crate::broker::Broker;

const ILLEGAL: i16 = ErrorCode::IllegalSaslState.code();
/// Kafka's sentence: who needs no authentication has it already.
const WHY: StrBytes =
    StrBytes::from_static_str("SaslAuthenticate request received after successful authentication");

pub(super) struct SaslHandshake;
pub(super) struct SaslAuthenticate;

impl Api for SaslHandshake {
    type Request = SaslHandshakeRequest;
    type Response = SaslHandshakeResponse;
    const KEY: ApiKey = ApiKey::SaslHandshake;
    const LAYOUT: &'static Layout = &layouts::cluster::SASL_HANDSHAKE;

    fn handle(_: &Arc<Broker>, context: &RequestContext<'_>, _: SaslHandshakeRequest) -> Reply {
        context.reply(&SaslHandshakeResponse::default().with_error_code(ILLEGAL))
    }
}

impl Api for SaslAuthenticate {
    type Request = SaslAuthenticateRequest;
    type Response = SaslAuthenticateResponse;
    const KEY: ApiKey = ApiKey::SaslAuthenticate;
    const LAYOUT: &'static Layout = &layouts::cluster::SASL_AUTHENTICATE;

    fn handle(_: &Arc<Broker>, context: &RequestContext<'_>, _: SaslAuthenticateRequest) -> Reply {
        let refused = SaslAuthenticateResponse::default().with_error_code(ILLEGAL);
        context.reply(&refused.with_error_message(Some(WHY)))
    }
}
