//! Asking the control API of a broker in test mode: what `onelog test` sends.
//!
//! Called by the command line. Knows HTTP and JSON, no verb.

use std::io;

use bytes::Bytes;
use http_body_util::{BodyExt, Full};
use hyper::client::conn::http1;
use hyper::header::{CONNECTION, HOST};
use hyper_util::rt::TokioIo;
use percent_encoding::{NON_ALPHANUMERIC, utf8_percent_encode};
use serde_json::Value;
use thiserror::Error;
use tokio::net::TcpStream;

use crate::config::HostPort;
use crate::shutdown::run_on_this_thread;

/// A request to the control API.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Request {
    method: &'static str,
    /// With the query.
    path: String,
    body: Option<Value>,
}

/// What came back.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Answer {
    /// Of HTTP.
    pub status: u16,
    /// What the broker says; a text where it was no JSON.
    pub body: Value,
}

/// Why there is no answer.
#[derive(Debug, Error)]
pub enum ControlError {
    /// Nobody is there.
    #[error(
        "no broker answers at {address}: {source}; give the address of its admin endpoints: --admin HOST:PORT"
    )]
    Connect {
        /// As given.
        address: HostPort,
        /// The system's answer.
        source: io::Error,
    },
    /// The connection broke, or it is not a broker's.
    #[error("no answer from {address}: {source}")]
    Http {
        /// As given.
        address: HostPort,
        /// What went wrong.
        source: hyper::Error,
    },
}

impl Request {
    /// For `/test` and the segments of a path behind it, which may hold any text.
    #[must_use]
    pub fn new(method: &'static str, segments: &[&str]) -> Self {
        let path = segments.iter().map(|segment| format!("/{}", encoded(segment))).collect::<String>();
        Self { method, path: format!("/test{path}"), body: None }
    }

    /// With a query parameter, when there is a value.
    #[must_use]
    pub fn query(mut self, name: &str, value: Option<impl ToString>) -> Self {
        if let Some(value) = value {
            self.path.push(if self.path.contains('?') { '&' } else { '?' });
            self.path.push_str(&format!("{name}={}", encoded(&value.to_string())));
        }
        self
    }

    /// With a body.
    #[must_use]
    pub fn body(self, body: Value) -> Self {
        Self { body: Some(body), ..self }
    }
}

fn encoded(text: &str) -> String {
    utf8_percent_encode(text, NON_ALPHANUMERIC).to_string()
}

/// Asks the broker whose admin endpoints are at `address`.
///
/// # Errors
/// See [`ControlError`]; a refusal is an [`Answer`].
pub fn ask(address: &HostPort, request: &Request) -> Result<Answer, ControlError> {
    let connect = |source| ControlError::Connect { address: address.clone(), source };
    run_on_this_thread(async {
        let stream = TcpStream::connect((address.host.as_str(), address.port)).await.map_err(connect)?;
        let http = |source| ControlError::Http { address: address.clone(), source };
        exchange(stream, address, request).await.map_err(http)
    })
    .map_err(connect)?
}

async fn exchange(stream: TcpStream, address: &HostPort, request: &Request) -> Result<Answer, hyper::Error> {
    let (mut sender, connection) = http1::handshake(TokioIo::new(stream)).await?;
    let body = request.body.as_ref().map(Value::to_string).unwrap_or_default();
    let request = hyper::Request::builder()
        .method(request.method)
        .uri(&request.path)
        .header(HOST, address.to_string())
        .header(CONNECTION, "close")
        .body(Full::<Bytes>::from(body))
        .expect("a path is percent-encoded, an address is printable");
    let answer = async {
        let response = sender.send_request(request).await?;
        let status = response.status().as_u16();
        let bytes = response.into_body().collect().await?.to_bytes();
        let text = || Value::String(String::from_utf8_lossy(&bytes).trim_end().to_owned());
        let body = serde_json::from_slice(&bytes).unwrap_or_else(|_| text());
        Ok(Answer { status, body })
    };
    // The connection only moves while it is polled; the answer says what went wrong with it.
    let (_, answer) = tokio::join!(connection, answer);
    answer
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_a_user_chose_is_encoded() {
        let request = Request::new("GET", &["groups", "a/b c", "wait"])
            .query("state", Some("Stable"))
            .query("members", None::<u32>)
            .query("timeout_ms", Some(5));
        assert_eq!(request.path, "/test/groups/a%2Fb%20c/wait?state=Stable&timeout_ms=5");
    }
}
