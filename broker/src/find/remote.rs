//! Asking a running broker: `GET /find` of its admin endpoints.

use std::io;

use bytes::Bytes;
use http_body_util::{BodyExt, Empty};
use hyper::client::conn::http1;
use hyper::header::{CONNECTION, HOST};
use hyper::{Request, StatusCode};
use hyper_util::rt::TokioIo;
use thiserror::Error;
use tokio::net::TcpStream;

use super::{Answer, KeySearch};
use crate::config::HostPort;
use crate::shutdown::run_on_this_thread;

/// Header that says that there may be more records than the answer has.
pub(crate) const MORE: &str = "onelog-more";

/// Why a running broker gave no answer.
#[derive(Debug, Error)]
pub enum RemoteError {
    /// Nobody is there.
    #[error(
        "no broker answers at {address}: {source}; give the address that it was started with: --admin HOST:PORT"
    )]
    Connect {
        /// As given.
        address: HostPort,
        /// The system's answer.
        source: io::Error,
    },
    /// It answered that it cannot.
    #[error("{0}")]
    Refused(String),
    /// The connection broke, or it is not a broker's.
    #[error("no answer from {address}: {what}")]
    Http {
        /// As given.
        address: HostPort,
        /// What went wrong.
        what: String,
    },
}

/// Has the broker whose admin endpoints are at `address` do the search.
///
/// # Errors
/// See [`RemoteError`].
pub fn ask(address: &HostPort, search: &KeySearch) -> Result<Answer, RemoteError> {
    let connect = |source| RemoteError::Connect { address: address.clone(), source };
    run_on_this_thread(async {
        let stream = TcpStream::connect((address.host.as_str(), address.port)).await.map_err(connect)?;
        let http = |what: String| RemoteError::Http { address: address.clone(), what };
        let (status, answer) =
            exchange(stream, address, search).await.map_err(|error| http(error.to_string()))?;
        match status {
            StatusCode::OK => Ok(answer),
            StatusCode::NOT_FOUND | StatusCode::BAD_REQUEST | StatusCode::CONFLICT => {
                Err(RemoteError::Refused(answer.lines.trim_end().to_owned()))
            }
            status => Err(http(format!("{status}: {}", answer.lines.trim_end()))),
        }
    })
    .map_err(connect)?
}

async fn exchange(
    stream: TcpStream,
    address: &HostPort,
    search: &KeySearch,
) -> Result<(StatusCode, Answer), hyper::Error> {
    let (mut sender, connection) = http1::handshake(TokioIo::new(stream)).await?;
    let request = Request::get(format!("/find?{}", search.to_query()))
        .header(HOST, address.to_string())
        .header(CONNECTION, "close")
        .body(Empty::<Bytes>::new())
        .expect("a query is percent-encoded, an address is printable");
    let answer = async {
        let response = sender.send_request(request).await?;
        let (status, more) = (response.status(), response.headers().contains_key(MORE));
        let body = response.into_body().collect().await?.to_bytes();
        Ok((status, Answer { lines: String::from_utf8_lossy(&body).into_owned(), more }))
    };
    // The connection only moves while it is polled; the answer says what went wrong with it.
    let (_, answer) = tokio::join!(connection, answer);
    answer
}
