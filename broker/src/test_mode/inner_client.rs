//! A client inside the broker: verbs that delete, leave or end something ask for it by the same APIs as everybody.
//!
//! So no verb knows a coordinator's insides, and what a verb does to clients is what another client could have done.
//! Invariant: its requests are neither remembered nor met by faults.

use std::net::Ipv4Addr;
use std::sync::Arc;

use bytes::{Bytes, BytesMut};
use protocol::header::RequestHeader;
use protocol::messages::ApiKey;
use protocol::{Decodable, Encodable};

use super::http::Failure;
use crate::api::{self, ConnectionInfo, Reply, RequestContext};
use crate::broker::Broker;
use crate::config::HostPort;

/// The answer to `request`.
///
/// # Errors
/// The API gave none, which no request of a verb brings about while the log is sound.
pub(super) async fn ask<Q: Encodable, R: Decodable>(
    broker: &Arc<Broker>,
    key: ApiKey,
    version: i16,
    request: &Q,
) -> Result<R, Failure> {
    let entry = api::find(key as i16).expect("verbs ask what is served");
    let mut body = BytesMut::new();
    request.encode(&mut body, version).expect("verbs fill requests for the version that they name");
    let header = RequestHeader {
        api_key: key as i16,
        api_version: version,
        correlation_id: 0,
        client_id: Some("onelog-test-mode".into()),
    };
    let nowhere = HostPort { host: "127.0.0.1".to_owned(), port: 0 };
    let connection = ConnectionInfo::new((Ipv4Addr::LOCALHOST, 0).into(), "PLAINTEXT".into(), &nowhere);
    let context = RequestContext { header, connection: &connection };
    let mut reply = entry
        .handle(broker, &context, body.freeze())
        .map_err(|refused| Failure::internal(format!("{} was refused: {refused}", entry.name())))?;
    let response = loop {
        reply = match reply {
            Reply::Now(response) => break response,
            Reply::Later(later) => break later.await,
            Reply::Ordered(work) => work.await,
            Reply::Nothing | Reply::Close => {
                return Err(Failure::internal(format!("{} was not answered", entry.name())));
            }
        };
    };
    let mut body: Bytes = response.chunks.concat().into();
    Ok(R::decode(&mut body, version).expect("what the broker encoded can be decoded"))
}
