//! Request and response headers.
//!
//! Called by the broker's connections: once per request to learn API, version and correlation id, once per response.
//! Invariants: what a client puts into tagged fields of the header is skipped, never kept; `client_id` shares the frame's
//! memory; the first eight bytes are understood whatever the version, so an unknown ApiVersions version can be answered.

use bytes::{Buf, BufMut, Bytes};
use kafka_protocol::protocol::StrBytes;
use thiserror::Error;

use crate::wire::{Cursor, Fault};

/// More tagged fields than this in one section are refused; Kafka itself defines none in the request header.
pub const MAX_TAGGED_FIELDS: u32 = 64;

const API_VERSIONS_KEY: i16 = 18;

/// Request header v1 (classic) or v2 (flexible), without its tagged fields.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RequestHeader {
    /// Which API.
    pub api_key: i16,
    /// Which version of it.
    pub api_version: i16,
    /// Echoed in the response.
    pub correlation_id: i32,
    /// Name the client gave itself; `None` is null. Always `None` where the version is unknown.
    pub client_id: Option<StrBytes>,
}

/// Why bytes are not a request header.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
pub enum HeaderError {
    /// The frame ends inside the header.
    #[error("request header ends at byte {position} inside {field}")]
    Short {
        /// The field that is cut.
        field: &'static str,
        /// Where it starts in the frame.
        position: usize,
    },
    /// A length below -1.
    #[error("client id has length {0}")]
    ClientIdLength(i16),
    /// The client id is not UTF-8.
    #[error("client id is not UTF-8")]
    ClientIdUtf8,
    /// A varint has more than 32 bits.
    #[error("varint at byte {position} of the request header is too long")]
    Varint {
        /// Where it starts in the frame.
        position: usize,
    },
    /// More than `MAX_TAGGED_FIELDS`.
    #[error("request header has {0} tagged fields, {MAX_TAGGED_FIELDS} are allowed")]
    TooManyTags(u32),
}

impl RequestHeader {
    /// Takes the header off the front of `frame`, which then starts at the request body.
    ///
    /// `flexible(api_key, api_version)` says whether that version has header v2; `None` means that key or version is not
    /// known: then only the first eight bytes are taken and `client_id` is `None`. In header v2 the client id stays a
    /// classic nullable string (KIP-482). On an error `frame` is untouched.
    ///
    /// # Errors
    /// When the bytes end too early, a length is out of range, the client id is not UTF-8 or there are too many tags.
    pub fn parse(
        frame: &mut Bytes,
        flexible: impl FnOnce(i16, i16) -> Option<bool>,
    ) -> Result<Self, HeaderError> {
        let mut cursor = Cursor::new(frame);
        let short = |field| HeaderError::Short { field, position: 0 };
        let api_key = cursor.i16().map_err(|_| short("api key"))?;
        let api_version = cursor.i16().map_err(|_| short("api version"))?;
        let correlation_id = cursor.i32().map_err(|_| short("correlation id"))?;
        let client_id = match flexible(api_key, api_version) {
            None => None,
            Some(flexible) => {
                let client_id = client_id(&mut cursor, frame)?;
                if flexible {
                    skip_tagged_fields(&mut cursor)?;
                }
                client_id
            }
        };
        let taken = cursor.position();
        frame.advance(taken);
        Ok(Self { api_key, api_version, correlation_id, client_id })
    }
}

fn client_id(cursor: &mut Cursor<'_>, frame: &Bytes) -> Result<Option<StrBytes>, HeaderError> {
    let position = cursor.position();
    let short = |_| HeaderError::Short { field: "client id", position };
    let length = cursor.i16().map_err(short)?;
    if length == -1 {
        return Ok(None);
    }
    let length = usize::try_from(length).map_err(|_| HeaderError::ClientIdLength(length))?;
    let start = cursor.position();
    cursor.take(length).map_err(short)?;
    let text = StrBytes::from_utf8(frame.slice(start..start + length));
    text.map(Some).map_err(|_| HeaderError::ClientIdUtf8)
}

fn skip_tagged_fields(cursor: &mut Cursor<'_>) -> Result<(), HeaderError> {
    let count = tag_varint(cursor)?;
    if count > MAX_TAGGED_FIELDS {
        return Err(HeaderError::TooManyTags(count));
    }
    for _ in 0..count {
        tag_varint(cursor)?;
        let size = tag_varint(cursor)?;
        let position = cursor.position();
        let size = usize::try_from(size).unwrap_or(usize::MAX);
        cursor.take(size).map_err(|_| HeaderError::Short { field: "tagged field", position })?;
    }
    Ok(())
}

fn tag_varint(cursor: &mut Cursor<'_>) -> Result<u32, HeaderError> {
    let position = cursor.position();
    cursor.unsigned_varint().map_err(|fault| match fault {
        Fault::End => HeaderError::Short { field: "tagged fields", position },
        Fault::Varint => HeaderError::Varint { position },
    })
}

/// Appends the response header: the correlation id and, where `flexible`, an empty tag section. ApiVersions always has
/// header v0, because a client reads it before it knows what the broker speaks (KIP-511).
pub fn put_response_header(out: &mut impl BufMut, api_key: i16, flexible: bool, correlation_id: i32) {
    out.put_i32(correlation_id);
    if flexible && api_key != API_VERSIONS_KEY {
        out.put_u8(0);
    }
}

/// Bytes that `put_response_header` appends.
#[must_use]
pub const fn response_header_len(api_key: i16, flexible: bool) -> usize {
    if flexible && api_key != API_VERSIONS_KEY { 5 } else { 4 }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn header(key: i16, version: i16, rest: &[u8]) -> Bytes {
        let mut bytes = Vec::new();
        bytes.extend_from_slice(&key.to_be_bytes());
        bytes.extend_from_slice(&version.to_be_bytes());
        bytes.extend_from_slice(&77_i32.to_be_bytes());
        bytes.extend_from_slice(rest);
        Bytes::from(bytes)
    }

    #[test]
    fn classic_header_ends_after_the_client_id() {
        let mut frame = header(3, 1, &[0, 2, b'm', b'e', 9, 9]);
        let parsed = RequestHeader::parse(&mut frame, |_, _| Some(false)).unwrap();
        assert_eq!((parsed.api_key, parsed.api_version, parsed.correlation_id), (3, 1, 77));
        assert_eq!(parsed.client_id.as_deref(), Some("me"));
        assert_eq!(&frame[..], [9, 9]);
    }

    #[test]
    fn flexible_header_keeps_a_classic_client_id_and_skips_tagged_fields() {
        let mut frame = header(3, 9, &[255, 255, 2, 0, 1, 42, 7, 0, 9]);
        let parsed = RequestHeader::parse(&mut frame, |key, version| Some((key, version) == (3, 9))).unwrap();
        assert_eq!(parsed.client_id, None);
        assert_eq!(&frame[..], [9]);
    }

    #[test]
    fn unknown_version_still_yields_key_version_and_correlation_id() {
        let mut frame = header(18, 99, &[0xff; 3]);
        let parsed = RequestHeader::parse(&mut frame, |_, _| None).unwrap();
        assert_eq!((parsed.api_key, parsed.api_version, parsed.correlation_id), (18, 99, 77));
        assert_eq!(frame.len(), 3);
    }

    #[test]
    fn client_id_shares_the_memory_of_the_frame() {
        let mut frame = header(3, 1, &[0, 2, b'm', b'e']);
        let at = frame[10..].as_ptr();
        let parsed = RequestHeader::parse(&mut frame, |_, _| Some(false)).unwrap();
        assert_eq!(parsed.client_id.unwrap().as_ptr(), at);
    }

    #[test]
    fn lies_in_the_header_are_errors() {
        let parse = |rest: &[u8]| RequestHeader::parse(&mut header(3, 9, rest), |_, _| Some(true));
        assert_eq!(parse(&[255, 254]), Err(HeaderError::ClientIdLength(-2)));
        assert_eq!(parse(&[0, 1, 0xff, 0]), Err(HeaderError::ClientIdUtf8));
        assert_eq!(parse(&[0, 9, b'a']), Err(HeaderError::Short { field: "client id", position: 8 }));
        assert_eq!(parse(&[255, 255, 65]), Err(HeaderError::TooManyTags(65)));
        let size_lie = parse(&[255, 255, 1, 0, 0xff, 0xff, 0xff, 0xff, 0x0f]);
        assert_eq!(size_lie, Err(HeaderError::Short { field: "tagged field", position: 17 }));
        assert_eq!(
            parse(&[255, 255, 0x80, 0x80, 0x80, 0x80, 0x80]),
            Err(HeaderError::Varint { position: 10 })
        );
    }

    proptest! {
        #[test]
        fn any_bytes_give_a_header_or_an_error(bytes: Vec<u8>, flexible: Option<bool>) {
            let mut frame = Bytes::from(bytes.clone());
            match RequestHeader::parse(&mut frame, |_, _| flexible) {
                Ok(_) => prop_assert!(frame.len() + 8 <= bytes.len()),
                Err(_) => prop_assert_eq!(frame.len(), bytes.len()),
            }
        }
    }

    #[test]
    fn response_header_of_api_versions_has_no_tag_section() {
        for (key, flexible, expected) in
            [(3, true, &[0, 0, 0, 7, 0][..]), (3, false, &[0, 0, 0, 7]), (18, true, &[0, 0, 0, 7])]
        {
            let mut out = Vec::new();
            put_response_header(&mut out, key, flexible, 7);
            assert_eq!(out, expected);
            assert_eq!(out.len(), response_header_len(key, flexible));
        }
    }
}
