//! One GET, one answer.

use std::io::{Read as _, Write as _};
use std::net::TcpStream;
use std::time::Duration;

use anyhow::{Context as _, Result, ensure};

const LIMIT: Duration = Duration::from_secs(30);

/// The body behind `path` on `address`.
///
/// # Errors
/// Nobody answers, or not with 200.
pub(crate) fn get(address: &str, path: &str) -> Result<String> {
    let mut stream = TcpStream::connect(address).with_context(|| format!("{address} does not answer"))?;
    stream.set_read_timeout(Some(LIMIT))?;
    // HTTP/1.0: the answer ends with the connection.
    write!(stream, "GET {path} HTTP/1.0\r\nHost: {address}\r\n\r\n")?;
    let mut answer = String::new();
    stream.read_to_string(&mut answer)?;
    let (head, body) = answer.split_once("\r\n\r\n").context("the answer has no head")?;
    let status = head.split(' ').nth(1).unwrap_or_default();
    ensure!(status == "200", "{path} is answered with {status}: {body}");
    Ok(body.to_owned())
}

/// For a query string.
pub(crate) fn encoded(text: &str) -> String {
    text.bytes().map(|byte| format!("%{byte:02X}")).collect()
}
