//! One connection: frames, headers, and the versions that both sides know.
//!
//! Invariant: one request at a time, so the next frame is its answer; memory for an answer grows with the bytes that came.

use std::collections::BTreeMap;
use std::io::{self, Read as _, Write as _};
use std::net::{TcpStream, ToSocketAddrs as _};
use std::time::Duration;

use bytes::{BufMut as _, Bytes, BytesMut};
use kafka_protocol::messages::{ApiVersionsRequest, RequestHeader, ResponseHeader};
use kafka_protocol::protocol::{Decodable, Encodable as _, HeaderVersion as _, Request, StrBytes};
use protocol::ErrorCode;

use super::Settings;
use crate::failure::{Failure, Outcome};

const CONNECT_LIMIT: Duration = Duration::from_secs(10);
/// No broker answers a tool with more.
const LONGEST_ANSWER: u64 = 256 * 1024 * 1024;
/// The oldest version that names the client's software; brokers since Kafka 2.4 know it.
const API_VERSIONS: i16 = 3;

/// One row of an ApiVersions answer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct ApiRange {
    pub(crate) key: i16,
    pub(crate) oldest: i16,
    pub(crate) newest: i16,
}

#[derive(Debug)]
pub(crate) struct Connection {
    address: String,
    stream: TcpStream,
    client_id: StrBytes,
    next_correlation_id: i32,
    ranges: Vec<ApiRange>,
    newest: BTreeMap<i16, (i16, i16)>,
}

impl Connection {
    /// Connects and asks for the versions.
    ///
    /// # Errors
    /// `Unreachable`, also when what answers is no Kafka broker.
    pub(crate) fn open(address: &str, settings: &Settings) -> Outcome<Self> {
        let stream = connect(address, settings.request_timeout.min(CONNECT_LIMIT))
            .map_err(|error| Failure::Unreachable(format!("no broker answers at {address}: {error}")))?;
        let mut connection = Self {
            address: address.to_owned(),
            stream,
            client_id: StrBytes::from_string(settings.client_id.clone()),
            next_correlation_id: 0,
            ranges: Vec::new(),
            newest: BTreeMap::new(),
        };
        connection.negotiate(settings.request_timeout)?;
        Ok(connection)
    }

    pub(crate) fn api_ranges(&self) -> &[ApiRange] {
        &self.ranges
    }

    /// Sends `request` and waits for its answer.
    ///
    /// # Errors
    /// `Unreachable` when the connection is of no use any more; `Said` when the versions have nothing in common or the
    /// request cannot be said in them.
    pub(crate) fn call<R: Request>(
        &mut self,
        request: &R,
        newest: i16,
        timeout: Duration,
    ) -> Outcome<R::Response> {
        let api = protocol::messages::ApiKey::try_from(R::KEY)
            .map_or_else(|()| R::KEY.to_string(), |key| format!("{key:?}"));
        let Some(&(theirs_oldest, theirs_newest)) = self.newest.get(&R::KEY) else {
            return Err(unsupported(&self.address, format!("has no {api}")));
        };
        let version = theirs_newest.min(R::VERSIONS.max).min(newest);
        if version < theirs_oldest.max(R::VERSIONS.min) {
            let words = format!("speaks {api} {theirs_oldest} to {theirs_newest}, this tool {}", R::VERSIONS);
            return Err(unsupported(&self.address, words));
        }
        let body = self.exchange(request, version, timeout)?;
        self.decode::<R::Response>(body, version)
    }

    fn negotiate(&mut self, timeout: Duration) -> Outcome {
        let software = env!("CARGO_PKG_VERSION");
        let request = ApiVersionsRequest::default()
            .with_client_software_name(StrBytes::from_static_str("onelog-tools"))
            .with_client_software_version(StrBytes::from_static_str(software));
        let mut body = self.exchange(&request, API_VERSIONS, timeout)?;
        let mut version = API_VERSIONS;
        if body.first_chunk() == Some(&ErrorCode::UnsupportedVersion.code().to_be_bytes()) {
            version = 0;
            body = self.exchange(&ApiVersionsRequest::default(), version, timeout)?;
        }
        let answer: protocol::messages::ApiVersionsResponse = self.decode(body, version)?;
        Failure::check(answer.error_code, None)?;
        self.ranges = answer
            .api_keys
            .iter()
            .map(|api| ApiRange { key: api.api_key, oldest: api.min_version, newest: api.max_version })
            .collect();
        self.newest = self.ranges.iter().map(|api| (api.key, (api.oldest, api.newest))).collect();
        Ok(())
    }

    /// The body of the answer to `request`.
    fn exchange<R: Request>(&mut self, request: &R, version: i16, timeout: Duration) -> Outcome<Bytes> {
        let correlation_id = self.next_correlation_id;
        self.next_correlation_id = correlation_id.wrapping_add(1);
        let header = RequestHeader::default()
            .with_request_api_key(R::KEY)
            .with_request_api_version(version)
            .with_correlation_id(correlation_id)
            .with_client_id(Some(self.client_id.clone()));
        let mut frame = BytesMut::new();
        frame.put_u32(0);
        header
            .encode(&mut frame, R::header_version(version))
            .and_then(|()| request.encode(&mut frame, version))
            .map_err(|error| {
                Failure::new(format!(
                    "the broker's version {version} of the request cannot say this: {error}"
                ))
            })?;
        let length = u32::try_from(frame.len() - 4)
            .map_err(|_| Failure::new("the request is larger than the protocol allows"))?;
        frame[..4].copy_from_slice(&length.to_be_bytes());
        let answer = self.talk(&frame, timeout).map_err(|error| self.broken(&error.to_string()))?;
        let mut body = Bytes::from(answer);
        let header = ResponseHeader::decode(&mut body, R::Response::header_version(version))
            .map_err(|error| self.broken(&error.to_string()))?;
        if header.correlation_id != correlation_id {
            return Err(self.broken("it answered another request"));
        }
        Ok(body)
    }

    fn talk(&mut self, frame: &[u8], timeout: Duration) -> io::Result<Vec<u8>> {
        self.stream.set_read_timeout(Some(timeout))?;
        self.stream.write_all(frame)?;
        let mut length = [0; 4];
        self.stream.read_exact(&mut length)?;
        let length = u64::from(u32::from_be_bytes(length));
        if length > LONGEST_ANSWER {
            return Err(io::Error::other(format!("a frame of {length} bytes; is this a Kafka port?")));
        }
        let mut answer = Vec::new();
        (&self.stream).take(length).read_to_end(&mut answer)?;
        if u64::try_from(answer.len()).is_ok_and(|read| read == length) {
            return Ok(answer);
        }
        Err(io::ErrorKind::UnexpectedEof.into())
    }

    fn decode<M: Decodable>(&self, mut body: Bytes, version: i16) -> Outcome<M> {
        M::decode(&mut body, version).map_err(|error| self.broken(&error.to_string()))
    }

    fn broken(&self, why: &str) -> Failure {
        Failure::Unreachable(format!("the connection to {} broke: {why}", self.address))
    }
}

fn unsupported(address: &str, words: String) -> Failure {
    Failure::Broker {
        code: ErrorCode::UnsupportedVersion,
        text: format!("the broker at {address} {words} (UNSUPPORTED_VERSION)"),
    }
}

fn connect(address: &str, limit: Duration) -> io::Result<TcpStream> {
    let mut last = io::Error::other("the name has no address");
    for socket in address.to_socket_addrs()? {
        match TcpStream::connect_timeout(&socket, limit) {
            Ok(stream) => {
                stream.set_nodelay(true)?;
                return Ok(stream);
            }
            Err(error) => last = error,
        }
    }
    Err(last)
}
