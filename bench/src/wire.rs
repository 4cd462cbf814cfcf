//! One connection to a broker: requests of the codec crate, one at a time, and raw frames for those who write their own.
//!
//! Everything but the hot path of Produce goes through `Connection::ask`. Invariant: no read waits longer than
//! `READ_LIMIT`, so a broker that hangs is an error and never a hanging benchmark.

use std::io::{Read as _, Write as _};
use std::net::{SocketAddr, TcpStream};
use std::time::Duration;

use anyhow::{Context as _, Result, ensure};
use bytes::{Buf as _, Bytes, BytesMut};
use kafka_protocol::messages::{RequestHeader, ResponseHeader};
use kafka_protocol::protocol::{Decodable as _, Encodable as _, HeaderVersion as _, Request, StrBytes};

/// Fifty thousand partitions take Kafka a while.
const READ_LIMIT: Duration = Duration::from_secs(90);
const CONNECT_LIMIT: Duration = Duration::from_secs(5);
/// Above any response that the benchmark asks for.
const MAX_RESPONSE: usize = 256 << 20;
const LEAST_READ: usize = 64 << 10;
const MOST_READ: usize = 256 << 10;
const CLIENT_ID: &str = "bench";

/// A TCP connection that speaks Kafka's protocol.
#[derive(Debug)]
pub(crate) struct Connection {
    stream: TcpStream,
    input: BytesMut,
    correlation_id: i32,
}

impl Connection {
    /// Connects, without Nagle's delay.
    ///
    /// # Errors
    /// Nobody listens there.
    pub(crate) fn open(address: SocketAddr) -> Result<Self> {
        let stream = TcpStream::connect_timeout(&address, CONNECT_LIMIT)
            .with_context(|| format!("cannot connect to {address}"))?;
        stream.set_nodelay(true)?;
        stream.set_read_timeout(Some(READ_LIMIT))?;
        stream.set_write_timeout(Some(READ_LIMIT))?;
        Ok(Self { stream, input: BytesMut::new(), correlation_id: 0 })
    }

    /// Sends `request` in `version` and returns its response.
    ///
    /// # Errors
    /// The connection breaks, or the answer is not one to this request.
    pub(crate) fn ask<R: Request>(&mut self, version: i16, request: &R) -> Result<R::Response> {
        self.correlation_id = self.correlation_id.wrapping_add(1);
        let frame = request_frame(self.correlation_id, version, request)?;
        self.stream.write_all(&frame)?;
        let mut response = self.next_frame()?;
        let header = ResponseHeader::decode(&mut response, R::Response::header_version(version))?;
        ensure!(header.correlation_id == self.correlation_id, "the broker answered another request");
        <R::Response as kafka_protocol::protocol::Decodable>::decode(&mut response, version)
    }

    /// Writes bytes as they are.
    ///
    /// # Errors
    /// The connection breaks.
    pub(crate) fn send(&mut self, frames: &[u8]) -> Result<()> {
        Ok(self.stream.write_all(frames)?)
    }

    /// The next response without its size field; waits for it.
    ///
    /// # Errors
    /// The connection breaks or `READ_LIMIT` passes.
    pub(crate) fn next_frame(&mut self) -> Result<Bytes> {
        loop {
            if let Some(frame) = self.buffered_frame()? {
                return Ok(frame);
            }
            self.fill()?;
        }
    }

    /// A whole response that is already here.
    ///
    /// # Errors
    /// Its size is not one of a response.
    pub(crate) fn buffered_frame(&mut self) -> Result<Option<Bytes>> {
        let Some(size) = self.input.first_chunk::<4>() else { return Ok(None) };
        let size = usize::try_from(i32::from_be_bytes(*size)).context("negative response size")?;
        ensure!(size <= MAX_RESPONSE, "a response of {size} bytes");
        if self.input.len() < 4 + size {
            self.input.reserve(4 + size - self.input.len());
            return Ok(None);
        }
        self.input.advance(4);
        Ok(Some(self.input.split_to(size).freeze()))
    }

    /// A second handle of the same socket, for a thread that only writes.
    ///
    /// # Errors
    /// The system refuses.
    pub(crate) fn writer(&self) -> Result<TcpStream> {
        Ok(self.stream.try_clone()?)
    }

    fn fill(&mut self) -> Result<()> {
        let have = self.input.len();
        // Bounded, because what is not read into was zeroed for nothing.
        let room = (self.input.capacity() - have).clamp(LEAST_READ, MOST_READ);
        self.input.resize(have + room, 0);
        let read = self.stream.read(&mut self.input[have..]);
        self.input.truncate(have + *read.as_ref().unwrap_or(&0));
        ensure!(read.context("no answer")? > 0, "the broker closed the connection");
        Ok(())
    }
}

/// A request with header and size field.
///
/// # Errors
/// The request has no such version or a field that does not fit it.
pub(crate) fn request_frame<R: Request>(correlation_id: i32, version: i16, request: &R) -> Result<Vec<u8>> {
    let header = RequestHeader::default()
        .with_request_api_key(R::KEY)
        .with_request_api_version(version)
        .with_correlation_id(correlation_id)
        .with_client_id(Some(StrBytes::from_static_str(CLIENT_ID)));
    let mut frame = BytesMut::zeroed(4);
    header.encode(&mut frame, R::header_version(version))?;
    request.encode(&mut frame, version)?;
    let size = i32::try_from(frame.len() - 4)?;
    frame[..4].copy_from_slice(&size.to_be_bytes());
    Ok(frame.into())
}
